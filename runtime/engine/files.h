/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_ENGINE_FILES_H
#define HUTCH_ENGINE_FILES_H

/* What the public calls about files have in common. */

#include "engine/file.h"

/* Checks the caller's options (NULL: none) and copies them. */
int files_options(const struct hutch_file_options *options, struct hutch_file_options *ret, struct hutch_error *err);
int files_begin(struct hutch_sandbox *sandbox, enum file_op op, const char *path, const struct hutch_file_options *options, struct file_call **ret,
                struct hutch_error *err);
/* Waits for the word that it went well. */
int files_finish(struct file_call *call, struct hutch_error *err);
void files_report(const struct tree_report *report, struct hutch_copy *ret);

#endif
