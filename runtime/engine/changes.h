/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_ENGINE_CHANGES_H
#define HUTCH_ENGINE_CHANGES_H

/* Reading the stream of plan/changes.h, which comes from inside the sandbox: every number is bounded, every path is
 * checked, and a stream without a proper end is an error. */

#include <stdbool.h>

#include <hutch/error.h>

#include "plan/changes.h"

struct changes_reader {
	int fd;
	struct changes_record record;
	char path[CHANGES_PATH_MAX];  /* relative, without ".", ".." or empty components */
	char link[CHANGES_PATH_MAX];
	bool has_contents;
	uint64_t count;
};

/* 1: `record`, `path` (and `link`) are the next change; 0: the proper end; -HUTCH_E_*. */
int changes_next(struct changes_reader *reader, struct hutch_error *err);

/* After a file's record, when contents were asked for: copies its data to `fd` (-1: drops it). Always to be called. */
int changes_copy(struct changes_reader *reader, int fd, struct hutch_error *err);

#endif
