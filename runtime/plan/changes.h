/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_PLAN_CHANGES_H
#define HUTCH_PLAN_CHANGES_H

/*
 * The stream in which a helper inside the sandbox tells what changed in a copy-on-write directory: a record, the path,
 * and, if contents were asked for, the target of a symbolic link or the data of a file as chunks (holes are left out;
 * a chunk of length 0 ends the file). The last record is of type CHANGES_END. The reader trusts nothing of it.
 */

#include <stdint.h>

#define CHANGES_MAGIC    0x68636867u
#define CHANGES_PATH_MAX 4096u

enum changes_kind {
	CHANGES_ADDED = 0,
	CHANGES_CHANGED,
	CHANGES_DELETED,
	CHANGES_END     /* size = number of records before; error = 0, or the errno that cut the walk short */
};

struct changes_record {
	uint32_t magic;
	uint8_t kind;
	uint8_t type;        /* 'f' 'd' 'l' 'p' 's' '?' */
	uint16_t mode;       /* permission bits */
	uint32_t path_length;
	uint32_t link_length;
	uint32_t root;       /* index of the plan's op */
	uint32_t error;
	uint64_t size;
};

struct changes_chunk {
	uint64_t offset, length;
};

#endif
