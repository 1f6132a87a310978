/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_PLAN_PLAN_H
#define HUTCH_PLAN_PLAN_H

/*
 * A plan is what init executes: everything that could be decided before is decided in it. It travels as flat bytes in a
 * sealed memfd:
 *
 *     struct plan_header | fixed part | records | string pool
 *
 * A string is an offset into the pool; the pool's first and last byte are 0, so offset 0 is "" and every offset inside
 * the pool is a terminated string. plan_encode() (owner) is the only writer and plan_decode() the only reader; the
 * decoder checks every count and offset, so that nothing after it has to.
 *
 * There are two kinds: one sandbox (struct plan_sandbox, its ops and its seccomp programs) and one command
 * (struct plan_command, argv, environment, where to look for it, resource limits).
 */

#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>

#include "plan/file.h"

#define PLAN_MAGIC   0x6e6c7068u /* "hpln" */
#define PLAN_VERSION 2u
#define PLAN_MAX     (16u << 20) /* bytes: more than execve(2) accepts of argv and environment */

#define PLAN_OPS_MAX      512u
#define PLAN_RLIMITS_MAX  16u
#define PLAN_STRINGS_MAX  1000000u /* argv and environment entries */
#define PLAN_FILTER_MAX   4096u    /* instructions of one program, the kernel's own bound */
#define PLAN_UID_MAX      65533u   /* of a command; 65534 is nobody, or init */
#define PLAN_COW_MAX      8u       /* copy-on-write directories */

typedef uint32_t plan_string;

enum plan_kind {
	PLAN_SANDBOX = 1,
	PLAN_COMMAND
};

/* ---- one sandbox ---- */

enum plan_op_kind {
	PLAN_OP_DIRECTORY = 1, /* target, mode */
	PLAN_OP_FILE,          /* target, mode, source = contents */
	PLAN_OP_SYMLINK,       /* target, source = where it points to */
	PLAN_OP_BIND,          /* source (or fd) at target */
	PLAN_OP_TMPFS,         /* target, size, mode */
	PLAN_OP_SCRATCH,       /* target, mode: a directory of the sandbox's scratch file system */
	PLAN_OP_OVERLAY,       /* source (or fd) at target, copy-on-write; upper in the scratch, or below `upper` */
	PLAN_OP_MASK,          /* target below /proc: hidden behind something empty */
	PLAN_OP_PROC_READONLY, /* target below /proc: read-only */
	PLAN_OP_DEVICE,        /* target in /dev, source on the host, dev = its rdev */
	PLAN_OP_KINDS
};

#define PLAN_OP_WRITABLE  (1u << 0) /* the sandbox may write there */
#define PLAN_OP_IS_FILE   (1u << 1) /* source is not a directory */
#define PLAN_OP_NO_EXEC   (1u << 2)
#define PLAN_OP_OWNED     (1u << 3) /* belongs to the sandbox's user */
#define PLAN_OP_WORKSPACE (1u << 4) /* the workspace itself, for save and diff */
#define PLAN_OP_NO_MAKE   (1u << 5) /* target must be there: it is in a directory of the user's */

struct plan_op {
	uint32_t kind, flags;
	plan_string source, target, upper; /* upper: of an overlay, a host directory; "": in the scratch */
	uint32_t mode;
	int32_t fd;               /* index among the fds of MESSAGE_SETUP: a detached mount made by the owner; -1: none */
	int32_t upper_fd;         /* the same for the upper layer's directory */
	uint64_t dev, ino;        /* what the owner saw at `source`; init compares */
	uint64_t size;
};

#define PLAN_RANGE          (1u << 0) /* a range of ids is mapped: init and commands switch to theirs */
#define PLAN_NET_NEW        (1u << 1) /* own network namespace: bring its loopback up */
#define PLAN_PROC_PIDS_ONLY (1u << 2) /* subset=pid */
#define PLAN_DIE_WITH_OWNER (1u << 4) /* the owner's thread that makes init lives as long as the owner */
#define PLAN_NEEDS_KEYRING  (1u << 3) /* the filter may allow the key calls, so that the caller's keyring must be gone */

struct plan_sandbox {
	uint32_t flags;
	uint32_t best_effort;     /* HUTCH_LAYER_*: may be missing */
	uint32_t init_uid, init_gid, uid, gid;
	uint64_t cap_add;
	uint64_t scratch_bytes, scratch_inodes;
	plan_string hostname;
	uint32_t trace_fd;        /* fd of MESSAGE_SETUP that takes a struct plan_trace at the end of each stage; 0: none */
	uint32_t streams_from;    /* fds of MESSAGE_SETUP from here on are streams: Landlock lets them be opened again */
	uint32_t ops_count;
	uint32_t filter_lengths[2];
};

/* When a stage was over: for the benchmark. */
struct plan_trace {
	uint32_t stage, reserved;
	uint64_t monotonic_ns;
};

/* ---- one command ---- */

struct plan_rlimit {
	uint32_t resource, reserved;
	uint64_t soft, hard;      /* `hard` above what init inherited is cut to that */
};

#define PLAN_STREAM_PTY(n)   (1u << (n))       /* stream n is the pty */
#define PLAN_STREAM_FD(n)    (1u << (4 + (n))) /* stream n is the next fd of MESSAGE_EXEC; else /dev/null */
#define PLAN_MAIN            (1u << 8)         /* the sandbox's main command */
#define PLAN_KILL_REST       (1u << 9)         /* when it ends, everything else is killed before that is told */
#define PLAN_WAIT_REST       (1u << 10)        /* its end is told when nothing else is left */
#define PLAN_MARKED          (1u << 11)        /* its tree can be told from others' and killed alone: see init/sweep.c */
#define PLAN_QUIT            (1u << 13)        /* when it ends, so does init */
#define PLAN_KILL_TREE       (1u << 12)        /* when it ends, what is left of its tree is killed before that is told */

struct plan_command {
	uint32_t flags;
	uint32_t umask;
	uint32_t uid, gid;        /* without a range: the sandbox's; in one, any but init's */
	plan_string cwd;
	uint16_t rows, columns;
	uint32_t argc, envc, pathc, rlimits_count;
	struct plan_file file;    /* op 0: a program is executed; else that is done instead, and argv[1] is the path */
};

/* ---- flat bytes ---- */

struct plan_header {
	uint32_t magic, version, kind, total;
	uint32_t strings, strings_size; /* offset and size of the pool */
};

/* A decoded plan points into the bytes it was decoded from. */
struct plan {
	enum plan_kind kind;
	const char *strings;
	uint32_t strings_size;
	/* PLAN_SANDBOX */
	const struct plan_sandbox *sandbox;
	const struct plan_op *ops;
	const struct sock_filter *filters[2];
	/* PLAN_COMMAND */
	const struct plan_command *command;
	const plan_string *argv, *env, *path;
	const struct plan_rlimit *rlimits;
};

/* 0, or -EBADMSG for bytes that are no plan. Allocates nothing; `bytes` must be 8-byte aligned and stay where they are. */
int plan_decode(const void *bytes, size_t size, struct plan *ret);

static inline const char *plan_text(const struct plan *plan, plan_string string)
{
	return plan->strings + string;
}

#endif
