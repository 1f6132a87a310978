/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/outbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/cleanup.h"

struct outbox_entry {
	struct outbox_entry *next;
	struct message message;
	int fds[OUTBOX_FDS];
	unsigned count;
};

bool outbox_is_empty(const struct outbox *outbox)
{
	return !outbox->first;
}

static void entry_free(struct outbox_entry *entry)
{
	wire_close(entry->fds, entry->count);
	free(entry);
}

static bool keep(struct outbox *outbox, const struct message *message, const int *fds, unsigned count)
{
	if (outbox->count == OUTBOX_MAX || count > OUTBOX_FDS || (outbox->fds_max && outbox->fds + count > outbox->fds_max))
		return false;
	struct outbox_entry *entry = calloc(1, sizeof *entry);
	if (!entry)
		return false;
	entry->message = *message;
	for (; entry->count < count; entry->count++) {
		entry->fds[entry->count] = fcntl(fds[entry->count], F_DUPFD_CLOEXEC, 3);
		if (entry->fds[entry->count] < 0) {
			entry_free(entry);
			return false;
		}
	}
	*(outbox->first ? outbox->last : &outbox->first) = entry;
	outbox->last = &entry->next;
	outbox->fds += entry->count;
	outbox->count++;
	return true;
}

bool outbox_send(struct outbox *outbox, int socket, const struct message *message, const int *fds, unsigned count)
{
	int ret = outbox->first ? -EAGAIN : wire_send(socket, message, fds, count);
	/* ETOOMANYREFS: too many descriptors are on their way; some will arrive */
	return ret == -EAGAIN || ret == -ETOOMANYREFS || ret == -ENOBUFS ? keep(outbox, message, fds, count) : ret == 0;
}

bool outbox_flush(struct outbox *outbox, int socket)
{
	while (outbox->first) {
		struct outbox_entry *entry = outbox->first;
		int ret = wire_send(socket, &entry->message, entry->fds, entry->count);
		if (ret == -EAGAIN || ret == -ETOOMANYREFS || ret == -ENOBUFS)
			return true;
		if (ret < 0)
			return false;
		outbox->first = entry->next;
		outbox->fds -= entry->count;
		outbox->count--;
		entry_free(entry);
	}
	return true;
}

void outbox_done(struct outbox *outbox)
{
	while (outbox->first) {
		struct outbox_entry *entry = outbox->first;
		outbox->first = entry->next;
		entry_free(entry);
	}
	outbox->count = outbox->fds = 0;
}
