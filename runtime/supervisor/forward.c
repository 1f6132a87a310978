/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients' commands: what passes between a client and init. A client's id becomes one of ours on the way to init, and
 * the other way round; descriptors are passed and closed here. A client that is gone leaves commands without a
 * connection in the table until init has told that they are dead.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "plan/stage.h"
#include "supervisor/server.h"

#define KILL_TAKES_MS 5000

/* ---- the way to init ---- */

static void watch_init(struct server *server)
{
	struct watch *watch = &server->init_writable;
	int events = outbox_is_empty(&server->to_init) ? 0 : UV_WRITABLE;
	if (!watch->is_open || events == watch->events)
		return;
	watch->events = events;
	if (events)
		loop_rewatch(watch);
	else
		uv_poll_stop(&watch->handle);
}

void to_init(struct server *server, const struct message *message, const int *fds, unsigned count)
{
	if (server->sandbox->is_gone)
		return;
	if (!outbox_send(&server->to_init, server->sandbox->control.fd, message, fds, count))
		server->h->handled++; /* init is gone, which its socket will tell */
	watch_init(server);
}

void to_init_ready(struct watch *watch)
{
	struct server *server = (void *)((char *)watch - offsetof(struct server, init_writable));
	server->h->handled++;
	if (server->sandbox->is_gone || !outbox_flush(&server->to_init, watch->fd))
		outbox_done(&server->to_init);
	watch_init(server);
}

/* ---- the table ---- */

static struct forward *find_by_id(const struct server *server, uint32_t id)
{
	for (unsigned i = 0; i < server->forwards_count; i++)
		if (server->forwards[i].id == id)
			return &server->forwards[i];
	return NULL;
}

static struct forward *find_by_client(const struct connection *connection, uint32_t client_id)
{
	const struct server *server = connection->server;
	for (unsigned i = 0; i < server->forwards_count; i++)
		if (server->forwards[i].connection == connection && server->forwards[i].client_id == client_id)
			return &server->forwards[i];
	return NULL;
}

static struct forward *add(struct connection *connection, uint32_t client_id)
{
	struct server *server = connection->server;
	if (server->forwards_count == FORWARDS_MAX)
		return NULL;
	if (server->forwards_count % 16 == 0) {
		struct forward *forwards = realloc(server->forwards, (server->forwards_count + 16) * sizeof *forwards);
		if (!forwards)
			return NULL;
		server->forwards = forwards;
	}
	struct forward *forward = &server->forwards[server->forwards_count++];
	*forward = (struct forward){.connection = connection, .id = ++server->sandbox->last_id, .client_id = client_id, .kill_until_ms = NO_DEADLINE};
	return forward;
}

static void take_out(struct server *server, struct forward *forward)
{
	*forward = server->forwards[--server->forwards_count];
}

/* ---- from a client ---- */

static void not_started(struct connection *connection, uint32_t client_id, int error)
{
	const struct message message = {.type = MESSAGE_NOT_STARTED, .id = client_id, .stage = STAGE_FORK, .a = error};
	connection_send(connection, &message, -1);
}

static bool forward_exec(struct connection *connection, struct message *message, const int *fds, unsigned count)
{
	struct server *server = connection->server;
	uint32_t client_id = message->id;
	if (count < 1 || count > 4 || find_by_client(connection, client_id))
		return false;
	bool is_taken = message->b ? server_takes_files(server) : !server_is_over(server);
	const struct forward *forward = is_taken ? add(connection, client_id) : NULL;
	if (!forward) {
		not_started(connection, client_id, is_taken ? EAGAIN : ESRCH);
		return true;
	}
	message->id = forward->id;
	to_init(server, message, fds, count);
	return true;
}

bool forward_request(struct connection *connection, const struct message *message, const int *fds, unsigned count)
{
	struct message copy = *message;
	const struct forward *forward = find_by_client(connection, message->id);
	switch ((enum message_type)message->type) {
	case MESSAGE_EXEC: return forward_exec(connection, &copy, fds, count);
	case MESSAGE_SIGNAL:
	case MESSAGE_KILL:
		if (count > 0)
			return false;
		if (!forward)
			return true; /* it has just ended */
		copy.id = forward->id;
		to_init(connection->server, &copy, NULL, 0);
		return true;
	case MESSAGE_CHANGES:
		if (count != 1)
			return false;
		to_init(connection->server, &copy, fds, count);
		return true;
	case MESSAGE_GO:
	case MESSAGE_SETUP:
	case MESSAGE_KILL_ALL:
	case MESSAGE_SUSPEND:
	case MESSAGE_READY:
	case MESSAGE_FAILED:
	case MESSAGE_TERMINAL:
	case MESSAGE_STARTED:
	case MESSAGE_NOT_STARTED:
	case MESSAGE_EXITED:
	case MESSAGE_EMPTY:
	case MESSAGE_STOPPED:
	case MESSAGE_TYPES: break;
	}
	return false;
}

/* ---- from init ---- */

void forward_from_init(struct hutch_sandbox *sandbox, const struct message *message, int fd)
{
	struct server *server = sandbox->foreign_data;
	CLEANUP_CLOSE int owned = fd;
	if (message->type == MESSAGE_EMPTY) {
		stop_emptied(server);
		return;
	}
	struct forward *forward = find_by_id(server, message->id);
	if (!forward)
		return;
	struct message copy = *message;
	copy.id = forward->client_id;
	if (forward->connection)
		connection_send(forward->connection, &copy, fd);
	if (message->type == MESSAGE_EXITED || message->type == MESSAGE_NOT_STARTED)
		take_out(server, forward);
}

/* ---- ends ---- */

void forward_orphan(struct connection *connection)
{
	struct server *server = connection->server;
	for (unsigned i = 0; i < server->forwards_count; i++) {
		struct forward *forward = &server->forwards[i];
		if (forward->connection != connection)
			continue;
		const struct message message = {.type = MESSAGE_KILL, .id = forward->id};
		forward->connection = NULL;
		forward->kill_until_ms = loop_deadline_ms(KILL_TAKES_MS);
		to_init(server, &message, NULL, 0);
	}
}

void forward_lost(struct server *server)
{
	while (server->forwards_count > 0) {
		struct forward *forward = &server->forwards[0];
		const struct message message = {.type = MESSAGE_EXITED, .id = forward->client_id, .a = SIGKILL};
		if (forward->connection)
			connection_send(forward->connection, &message, -1);
		take_out(server, forward);
	}
}

void forward_signal_all(struct server *server, int signo)
{
	for (unsigned i = 0; i < server->forwards_count; i++) {
		const struct message message = {.type = MESSAGE_SIGNAL, .id = server->forwards[i].id, .a = signo};
		to_init(server, &message, NULL, 0);
	}
}

/* Init that does not kill what it is told to is itself killed, and everything with it. */
void forward_tick(struct server *server, int64_t now)
{
	for (unsigned i = 0; i < server->forwards_count; i++)
		if (now >= server->forwards[i].kill_until_ms) {
			sandbox_gone(server->sandbox, NULL);
			break;
		}
	if (server->sandbox->is_gone)
		forward_lost(server);
}

int64_t forward_next_deadline(const struct server *server)
{
	int64_t next = NO_DEADLINE;
	for (unsigned i = 0; i < server->forwards_count; i++)
		if (server->forwards[i].kill_until_ms < next)
			next = server->forwards[i].kill_until_ms;
	return next;
}
