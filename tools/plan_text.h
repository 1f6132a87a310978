/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_TOOLS_PLAN_TEXT_H
#define HUTCH_TOOLS_PLAN_TEXT_H

#include "options.h"

/* --dry-run: prints what would be done. The exit code, or -1 and the reason. */
int plan_show(struct hutch *h, const struct run_options *options, struct hutch_error *err);

#endif
