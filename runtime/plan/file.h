/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_PLAN_FILE_H
#define HUTCH_PLAN_FILE_H

/*
 * What a file helper inside the sandbox is asked, and how it answers. The request is a command's plan with an `op`: the path
 * is its argv[1], data come on its stdin and go to its stdout, both as frames: a header, and `length` bytes. The last one
 * is FILE_END, and a stream without it was cut short. The owner trusts nothing of what it reads.
 */

#include <stdint.h>

#include "kernel/tree.h"

enum file_op {
	FILE_NONE,
	FILE_READ,   /* -> DATA */
	FILE_WRITE,  /* DATA -> */
	FILE_LIST,   /* -> ENTRY */
	FILE_STAT,   /* -> ENTRY */
	FILE_MKDIR,
	FILE_REMOVE,
	FILE_PACK,   /* -> DATA, a tar stream */
	FILE_UNPACK, /* DATA, a tar stream -> */
	FILE_OPS
};

#define FILE_EXCLUSIVE     (1u << 0) /* what is there already is an error */
#define FILE_RECURSIVE     (1u << 1)
#define FILE_NO_FOLLOW     (1u << 2) /* a link at the end of the path is meant itself */
#define FILE_OUTSIDE_LINKS (1u << 3) /* an archive's links may lead anywhere */

/* Part of struct plan_command. */
struct plan_file {
	uint32_t op, flags, mode, reserved;
	uint64_t limit;              /* bytes; 0: no bound */
};

#define FILE_MAGIC     0x6c696668u
#define FILE_FRAME_MAX 65536u    /* `length` of a frame */

enum file_frame_kind {
	FILE_DATA = 1,
	FILE_ENTRY, /* struct file_entry, name, link */
	FILE_END    /* reason, error, entries, bytes, skipped; the text is the path that these are about */
};

struct file_frame {
	uint32_t magic, kind, length;
	uint32_t reason, error, reserved;
	uint64_t entries, bytes, skipped;
};

struct file_entry {
	uint32_t type; /* 'f' 'd' 'l' 'p' 's' 'c' 'b' */
	uint32_t mode, uid, gid;
	uint32_t name_length, link_length, mtime_ns, links;
	uint64_t size;
	int64_t mtime_s;
};

#endif
