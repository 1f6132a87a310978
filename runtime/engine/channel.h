/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_ENGINE_CHANNEL_H
#define HUTCH_ENGINE_CHANNEL_H

/* The owner's side of the control socket. What comes from it is checked here: size, type, number of descriptors. */

#include <hutch/error.h>

#include "plan/message.h"

/* A connected SOCK_SEQPACKET pair; both ends are above 2 and close on exec. */
int channel_pair(int ret[2], struct hutch_error *err);

/* 0, or -errno: EPIPE when init is gone, EAGAIN when it does not read. The descriptors stay the caller's. */
int channel_send(int channel, const struct message *message, const int *fds, unsigned count);

/* How long may be waited for a peer that does not read: CHANNEL_PATIENCE_MS within CHANNEL_WINDOW_MS, however many messages
 * are for it. Init is among hostile processes, and nobody's deadline may depend on it. */
#define CHANNEL_PATIENCE_MS 500 /* it may be busy killing */
#define CHANNEL_WINDOW_MS   5000
struct patience {
	int64_t since_ms, spent_ms;
};

/* The same, but waits for a peer that does not read just now: as long as `patience` allows, 5 s if it is NULL. */
int channel_send_waiting(int channel, const struct message *message, const int *fds, unsigned count, struct patience *patience);

/* 1: a message, *ret_fd is -1 or a descriptor that is the caller's; 0: init is gone; -EAGAIN: nothing there;
 * -EBADMSG: nonsense. Strings in the message are terminated. */
int channel_receive(int channel, struct message *ret, int *ret_fd);

#endif
