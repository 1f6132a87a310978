/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_TOOLS_WORKSPACE_H
#define HUTCH_TOOLS_WORKSPACE_H

#include <limits.h>

#include "notices.h"
#include "options.h"

/*
 * May the directory `cwd` be shown without having been asked for? Both paths are absolute and free of links; `home` may be
 * NULL. Returns NULL if it may, else the reason as the end of the sentence "the current directory is not shown: it is …".
 */
const char *workspace_refusal(const char *cwd, const char *home);

/* Makes the current directory the workspace of `run` and `start`, if it is for them to choose and it may be shown; else gives
 * notice. `directory` holds its name as long as the options are used. */
void workspace_choose(struct run_options *options, struct notices *notices, char directory[PATH_MAX]);

#endif
