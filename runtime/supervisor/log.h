/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_SUPERVISOR_LOG_H
#define HUTCH_SUPERVISOR_LOG_H

/* Writing a kept log: wire/log.h. */

#include <stddef.h>
#include <stdint.h>

struct log {
	const char *directory;
	uint32_t id;
	int fd;            /* of the last segment, -1: not made yet */
	uint64_t segment;  /* its number */
	uint64_t size;     /* its bytes */
	uint64_t offset;   /* all output so far, kept or not */
};

void log_init(struct log *log, const char *directory, uint32_t id);
/* What cannot be written (the disk is full) is lost, and shows as dropped: a command never waits for its log. */
void log_append(struct log *log, unsigned stream, const char *data, size_t size);
void log_close(struct log *log);
void log_remove(struct log *log);

#endif
