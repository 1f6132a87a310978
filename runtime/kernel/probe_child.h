/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_KERNEL_PROBE_CHILD_H
#define HUTCH_KERNEL_PROBE_CHILD_H

/*
 * Short-lived children in which things are tried: theory of operation in probe_child.c.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Inside, the caller is this id; as root, it is the first ordinary one of a range that begins here on the host. */
#define PROBE_INSIDE_ID   1000u
#define PROBE_RANGE_FIRST 0x70000000u
#define PROBE_RANGE_COUNT 65536u

/* How a child with a user namespace gets its ids, ready to be written. */
struct probe_ids {
	bool by_parent; /* a range, which only the privileged parent may write; else the child maps the caller's own id */
	char uid_map[48], gid_map[48];
};
/* `has_range`: the caller is root and the range above exists in its own user namespace. */
void probe_ids_init(struct probe_ids *ids, uid_t uid, gid_t gid, bool has_range);

struct probe_report {
	const char *stage; /* what was tried last: a constant string */
	long result;       /* of the body: >= 0, or -errno; -ETIMEDOUT: killed after the deadline */
	int signal;        /* the child died of it; 0: it did not */
};

/* What a child does. Only raw system calls (base/sys.h), no libc, no locks: the caller may have any number of threads.
 * Sets report->stage before each step and returns >= 0 or -errno. */
typedef long probe_body(struct probe_report *report, const void *data);

struct probe_job {
	uint64_t flags;   /* CLONE_NEW*, all in the one clone */
	bool only_clone3; /* no falling back to clone(2) */
	probe_body *body; /* NULL: nothing but the clone and the maps */
	const void *data;
};

/* Runs a job in a child and tells what became of it. The child is reaped when this returns. */
void probe_child_run(const struct probe_job *job, const struct probe_ids *ids, struct probe_report *ret);

/* ---- for bodies ---- */

/* clone3, else clone: 0 in the child, which has the caller's memory as it is now and raises no SIGCHLD; -errno. */
long probe_fork(uint64_t flags, int *ret_pidfd, bool only_clone3);

/* Waits for a child of the calling body and returns its exit code, or -EINTR when it died of a signal, or -errno. */
long probe_reap(long pid);

/* The same for a child that waits for ever; ends it first. */
void probe_end(long pid);

_Noreturn void probe_exit(int code);

/* Writes a string to a file that exists. */
long probe_write(const char *path, const char *text);

#endif
