/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_WIRE_LOG_H
#define HUTCH_WIRE_LOG_H

/*
 * The kept output of a command: files <process>.<n> in the sandbox's directory of logs, n = 0, 1, 2, ... Only the
 * supervisor writes, at the end of the last; whoever reads takes what is whole. A file holds records, each with its data
 * behind it. The last two files are kept, so between one and two LOG_SEGMENT of output and records.
 */

#include <stdint.h>

#define LOG_MAGIC    0x676f6c68u
#define LOG_SEGMENT  (8u << 20)
#define LOG_DATA_MAX (1u << 20) /* of one record */

struct log_record {
	uint32_t magic, stream;    /* 0: stdout, 1: stderr */
	int64_t time_ms;
	uint64_t offset;           /* in all output of the command */
	uint64_t size;
};

#endif
