/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_PLAN_MESSAGE_H
#define HUTCH_PLAN_MESSAGE_H

/*
 * What owner and init say to each other: one fixed-size record per SOCK_SEQPACKET message, some with descriptors.
 *
 * Owner to init is trusted. Init to owner is not: init lives among hostile processes. The owner checks size, type, id
 * and every number, takes no path from it, and treats nonsense as the death of the sandbox.
 */

#include <stdint.h>

#define MESSAGE_FDS 250u /* descriptors in one message, at most; the kernel's own bound is 253 */

enum message_type {
	/* owner to init */
	MESSAGE_GO = 1,    /* the id maps are written; read by the child before it becomes init */
	MESSAGE_SETUP,     /* fds: plan, owner's pidfd, then what the plan's ops refer to */
	MESSAGE_EXEC,      /* id; fds: plan, one per stream that is not a pty, with MESSAGE_LEAF its cgroup; a = MESSAGE_*, b = the
	                    * id inside that may clone into the cgroup; from a client to its supervisor: limits */
	MESSAGE_SIGNAL,    /* id, a = signal: to the command's process group; b = 1: it is to end, and its whole tree with it */
	MESSAGE_KILL,      /* id: the command and its whole tree */
	MESSAGE_KILL_ALL,  /* everything but init */
	MESSAGE_SUSPEND,   /* a = 1: SIGSTOP to all, 0: SIGCONT */
	MESSAGE_CHANGES,   /* fd: a pipe that takes the stream of plan/changes.h; b = 1: with contents; value: copy-on-write op or ~0 */

	/* init to owner */
	MESSAGE_READY,     /* value = layers that are absent here */
	MESSAGE_FAILED,    /* stage, item, a = errno, detail: the sandbox could not be built; init is gone */
	MESSAGE_TERMINAL,  /* id; fd: the master of its pty; comes before STARTED */
	MESSAGE_STARTED,   /* id, value = layers that are absent for this command */
	MESSAGE_NOT_STARTED, /* id, stage, item, a = errno, detail */
	MESSAGE_EXITED,    /* id, a = wait status, value = wall time in us, user_us, system_us; from a supervisor to its client also
	                    * usage, and b = 1 + enum hutch_outcome if it was ended for a limit that the supervisor holds */
	MESSAGE_EMPTY,     /* the answer to KILL_ALL: nothing but init is left */
	MESSAGE_STOPPED,   /* id, a = signal: the foreground job of a pty command has stopped */
	MESSAGE_TYPES
};

#define MESSAGE_LEAF (1 << 0) /* the last MESSAGE_LEAF_FDS fds are the cgroup that the command starts in */
#define MESSAGE_FORK (1 << 1) /* it must not share init's memory until its exec: the kernel kills all that share a victim's */

#define MESSAGE_FILE (1 << 2) /* it is a file operation; also from a client to its supervisor */

/* Of a cgroup: its directory to clone into, cgroup.kill for writing, cgroup.events for reading. Init could not open the files
 * itself, since its Landlock domain does not have them. */
#define MESSAGE_LEAF_FDS 3u

/* The limits of one command, for whoever makes its cgroup. 0: none. */
struct message_limits {
	uint64_t memory_bytes, swap_bytes, cpu_time_ms, io_read_bps, io_write_bps;
	uint32_t cpus_milli, pids, grace_ms, has_swap;
};

/* What the cgroup of a command tells once the command has ended. */
#define USAGE_CPU    (1u << 0) /* user_us, system_us, of the whole tree */
#define USAGE_MEMORY (1u << 1) /* memory_peak */
#define USAGE_PIDS   (1u << 2)
#define USAGE_IO     (1u << 3)
#define USAGE_OOM    (1u << 4) /* oom_kills */
#define USAGE_THROTTLED (1u << 5)
struct message_usage {
	uint32_t known;         /* USAGE_* */
	uint32_t limits_hit;    /* HUTCH_LIMIT_* */
	uint64_t memory_peak, pids_peak, io_read, io_write, throttled_us;
	uint32_t oom_kills;
	uint32_t oom_scope;     /* enum oom_scope */
};
enum oom_scope {
	OOM_NONE = 0,
	OOM_COMMAND, /* over its own limit */
	OOM_SANDBOX, /* over that of the sandbox */
	OOM_HOST     /* over none of ours */
};

struct message {
	uint32_t type;
	uint32_t id;
	int32_t a, b;
	uint32_t stage, item;
	uint64_t value;
	uint64_t user_us, system_us;
	union {
		char detail[80];
		struct message_limits limits;
		struct message_usage usage;
	};
};

_Static_assert(sizeof(struct message) == 128, "both sides agree on the size");
/* Whoever receives a message terminates `detail`. */
_Static_assert(sizeof(struct message_limits) < sizeof ((struct message *)0)->detail && sizeof(struct message_usage) < sizeof ((struct message *)0)->detail, "the last byte is a 0");

#endif
