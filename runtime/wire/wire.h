/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_WIRE_WIRE_H
#define HUTCH_WIRE_WIRE_H

/*
 * What a client and the supervisor of a detached sandbox say to each other.
 *
 * The records are those of plan/message.h, on a SOCK_SEQPACKET socket, and after the greeting the client speaks to init
 * as the owner of an attached sandbox does: EXEC, SIGNAL, KILL and CHANGES go through the supervisor, which only puts in
 * ids of its own, and so do the answers TERMINAL, STARTED, NOT_STARTED, EXITED and STOPPED. The descriptors of a command
 * are passed on, not relayed: its output goes from the sandbox to the client without the supervisor. What the supervisor
 * itself is asked has the types below.
 *
 * A request has a serial number in `item`, which its answer repeats. Commands that a client has started in this way are
 * its own: they are killed when its connection ends. Those of EXEC_DETACHED, and the main command, are the supervisor's.
 *
 * The peer is a process of the same user on the same machine. It is nevertheless not believed: sizes, types, ids and
 * numbers of descriptors are checked on both sides, and nonsense ends the connection.
 */

#include <stddef.h>

#include "plan/message.h"

#define WIRE_VERSION 1u
#define WIRE_FDS_MAX 253u /* the kernel's own bound */

enum wire_type {
	/* client to supervisor */
	WIRE_HELLO = 64,    /* value = version */
	WIRE_START,         /* over an inherited socket only. fds: packed request, streams that are passed in */
	WIRE_EXEC_DETACHED, /* the same -> DONE with id */
	WIRE_PROCESS,       /* id -> DONE with a = enum hutch_process_state, b = 1: stdin is held open */
	WIRE_RESULT,        /* id -> RESULT_IS, once it has ended */
	WIRE_SIGNAL,        /* id, a = signal, or WIRE_END_* */
	WIRE_LOG_WAIT,      /* id, value = offset -> DONE once there is more, or with b = 1 once there never will be */
	WIRE_STOP,          /* value = grace in ms -> DONE once nothing is left */
	WIRE_REMOVE,        /* a = 1: even if it runs -> DONE once it is gone */
	WIRE_EXTEND,        /* value, user_us = int64_t lifetime and idle timeout -> DONE */
	WIRE_SUSPEND,       /* a -> DONE */
	WIRE_UPDATE,        /* limits -> DONE */
	WIRE_STATS,         /* -> STATS_ARE */
	WIRE_INFO,          /* -> INFO_IS */

	/* supervisor to client */
	WIRE_WELCOME = 96,  /* fd: packed context; a = state, b = 1: the main command has ended */
	WIRE_DONE,
	WIRE_ERROR,         /* fd: packed error */
	WIRE_RESULT_IS,     /* id, fd: packed result */
	WIRE_ENDED,         /* id: a command of the supervisor's has ended (only the main command's is told unasked) */
	WIRE_STATE,         /* a = state, whenever it changes */
	WIRE_STATS_ARE,     /* fd: packed stats */
	WIRE_INFO_IS,       /* fd: packed context; id = commands that run, b = process id, user_us, system_us = int64_t lifetime, idle time left */
	WIRE_TYPES
};

#define WIRE_END_TERMINATE (-1) /* of WIRE_SIGNAL: as hutch_process_terminate */
#define WIRE_END_KILL      (-2) /* ... hutch_process_kill */

/* ---- socket.c ---- */

/* 0, or -errno; -EAGAIN: the peer does not read. Never blocks. The descriptors stay the caller's. */
int wire_send(int fd, const struct message *message, const int *fds, unsigned count);

/* 1: a message with *ret_count descriptors that are the caller's; 0: the peer is gone; -EAGAIN: nothing there;
 * -EBADMSG: nonsense, whose descriptors have been closed. */
int wire_receive(int fd, struct message *ret, int fds[WIRE_FDS_MAX], unsigned *ret_count);

void wire_close(int *fds, unsigned count);

/* Binds `name` in the directory / connects to it; paths of any length. The socket does not block. Or -errno. */
int wire_listen(int dir, const char *name);
int wire_connect(int dir, const char *name);

/* The connected peer may talk to us: 0. It is another user, or lives in another user namespace: -EPERM. */
int wire_check_peer(int fd);

/* The contents of a memory file that a peer has sent, at most `max` bytes; freed with free(3). Or -errno. */
int wire_read_file(int fd, size_t max, void **ret, size_t *ret_size);

#endif
