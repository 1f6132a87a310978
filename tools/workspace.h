/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_TOOLS_WORKSPACE_H
#define HUTCH_TOOLS_WORKSPACE_H

#include <stdbool.h>

/*
 * May the directory `cwd` be shown without having been asked for? Both paths are absolute and free of links; `home` may be
 * NULL. Returns NULL if it may, else the reason as the end of the sentence "the current directory is not shown: it is …".
 */
const char *workspace_refusal(const char *cwd, const char *home);

#endif
