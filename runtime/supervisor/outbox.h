/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_SUPERVISOR_OUTBOX_H
#define HUTCH_SUPERVISOR_OUTBOX_H

/* Messages for a peer that does not read as fast as we write. */

#include <stdbool.h>

#include "wire/wire.h"

#define OUTBOX_MAX 4096u /* messages: a client's commands cannot cause more than some of each */
#define OUTBOX_FDS 7u /* plan, three streams, a cgroup */

struct outbox {
	struct outbox_entry *first, **last;
	unsigned count;
	unsigned fds, fds_max; /* descriptors that are kept: a peer must not fill our table with them. 0: no bound */
};

/* Sends, or keeps the message until outbox_flush(); descriptors are duplicated. False: the peer is gone or too slow. */
bool outbox_send(struct outbox *outbox, int socket, const struct message *message, const int *fds, unsigned count);
/* Sends what it can. False: the peer is gone. */
bool outbox_flush(struct outbox *outbox, int socket);
bool outbox_is_empty(const struct outbox *outbox);
void outbox_done(struct outbox *outbox);

#endif
