/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_TOOLS_RESULT_FILE_H
#define HUTCH_TOOLS_RESULT_FILE_H

#include <limits.h>
#include <stdio.h>

#include <hutch/error.h>

/* A file that has its new content all at once or not at all. A FIFO, a device, a socket of /dev/fd is written as it is. */
struct result_file {
	FILE *out;
	char target[PATH_MAX];
	char temporary[PATH_MAX + 32]; /* "" when the target is written itself */
};

/* Could it be written? Asked before the command runs, for afterwards is late. */
int result_file_check(const char *path, struct hutch_error *err);

int result_file_open(struct result_file *file, const char *path, struct hutch_error *err);
int result_file_commit(struct result_file *file, struct hutch_error *err);

#endif
