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
	MESSAGE_EXEC,      /* id; fds: plan, then one per stream that is not a pty; b = 1: it is a file operation */
	MESSAGE_SIGNAL,    /* id, a = signal: to the command's process group */
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
	MESSAGE_EXITED,    /* id, a = wait status, value = wall time in us, user_us, system_us */
	MESSAGE_EMPTY,     /* the answer to KILL_ALL: nothing but init is left */
	MESSAGE_STOPPED,   /* id, a = signal: the foreground job of a pty command has stopped */
	MESSAGE_TYPES
};

struct message {
	uint32_t type;
	uint32_t id;
	int32_t a, b;
	uint32_t stage, item;
	uint64_t value;
	uint64_t user_us, system_us;
	char detail[80];
};

_Static_assert(sizeof(struct message) == 128, "both sides agree on the size");

#endif
