/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_TOOLS_PROFILE_H
#define HUTCH_TOOLS_PROFILE_H

#include "options.h"

/* Applies the options in the file `path`, which must be options of `verb`. An error names the file and the line. */
int profile_load(struct run_options *options, unsigned int verb, const char *path, struct hutch_error *err);

#endif
