/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients' commands: what passes between a client and init. A client's id becomes one of ours on the way to init, and
 * the other way round; descriptors are passed and closed here. A client that is gone leaves commands without a
 * connection in the table until init has told that they are dead.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "plan/stage.h"
#include "spec/check.h"
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
	*forward = (struct forward){
		.connection = connection, .id = ++server->sandbox->last_id, .client_id = client_id, .leaf = LEAF_NONE, .kill_until_ms = NO_DEADLINE, .kill_at_ms = NO_DEADLINE,
	};
	return forward;
}

static void take_out(struct server *server, struct forward *forward)
{
	leaf_remove(&server->sandbox->cgroups, &forward->leaf);
	*forward = server->forwards[--server->forwards_count];
}

/* ---- from a client ---- */

static void not_started(struct connection *connection, uint32_t client_id, int error)
{
	const struct message message = {.type = MESSAGE_NOT_STARTED, .id = client_id, .stage = STAGE_FORK, .a = error};
	connection_send(connection, &message, -1);
}

static int make_leaf(struct server *server, struct forward *forward, const struct message_limits *asked)
{
	struct hutch_limits limits;
	struct hutch_error error;
	forward->grace_ms = asked->grace_ms;
	limits_from_message(asked, &limits);
	if (spec_check_limits(&limits, "command.", &error) < 0 || limits_check_command(server->sandbox, &limits, &error) < 0)
		return -EOPNOTSUPP; /* the client has checked the same, and told why */
	return limits_make_leaf(server->sandbox, forward->id, &limits, &forward->leaf, &error) < 0 ? -(error.sys_errno ? error.sys_errno : EIO) : 0;
}

/* The client's descriptors, and the cgroup that we make for it. */
static void send_exec(struct server *server, struct forward *forward, int flags, const int *fds, unsigned count)
{
	struct message message = {.type = MESSAGE_EXEC, .id = forward->id, .a = flags};
	int all[OUTBOX_FDS];
	memcpy(all, fds, count * sizeof *fds);
	if (forward->leaf.dir >= 0) {
		leaf_announce(&server->sandbox->cgroups, &forward->leaf, &message, all + count);
		count += MESSAGE_LEAF_FDS;
	}
	to_init(server, &message, all, count);
	leaf_sent(&forward->leaf);
}

static bool forward_exec(struct connection *connection, const struct message *message, const int *fds, unsigned count)
{
	struct server *server = connection->server;
	if (count < 1 || count > 4 || find_by_client(connection, message->id))
		return false;
	bool is_taken = (message->a & MESSAGE_FILE ? server_takes_files(server) : !server_is_over(server)) && !server->sandbox->is_suspended;
	struct forward *forward = is_taken ? add(connection, message->id) : NULL;
	int error = !is_taken ? -ESRCH : !forward ? -EAGAIN : make_leaf(server, forward, &message->limits);
	if (error == 0) {
		send_exec(server, forward, message->a & MESSAGE_FILE, fds, count);
		return true;
	}
	if (forward)
		take_out(server, forward);
	not_started(connection, message->id, -error);
	return true;
}

bool forward_request(struct connection *connection, const struct message *message, const int *fds, unsigned count)
{
	struct message copy = *message;
	const struct forward *forward = find_by_client(connection, message->id);
	switch ((enum message_type)message->type) {
	case MESSAGE_EXEC: return forward_exec(connection, message, fds, count);
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

/* What the command used is ours to tell; whatever init says about it counts for nothing. */
static void account(const struct server *server, const struct forward *forward, struct message *message)
{
	leaf_usage(&server->sandbox->cgroups, &forward->leaf, &message->usage, &message->user_us, &message->system_us);
	message->b = forward->reason == HUTCH_OUTCOME_EXITED ? 0 : 1 + (int)forward->reason;
}

bool forward_from_init(struct hutch_sandbox *sandbox, const struct message *message, int fd)
{
	struct server *server = sandbox->foreign_data;
	CLEANUP_CLOSE int owned = fd;
	if (message->type == MESSAGE_EMPTY)
		return stop_emptied(server);
	struct forward *forward = find_by_id(server, message->id);
	if (!forward)
		return true;
	bool is_start = message->type == MESSAGE_STARTED || message->type == MESSAGE_NOT_STARTED || message->type == MESSAGE_TERMINAL;
	if (forward->is_started && is_start)
		return false; /* the client would have to take us for mad */
	forward->is_started = message->type == MESSAGE_STARTED || forward->is_started;
	struct message copy = *message;
	copy.id = forward->client_id;
	if (message->type == MESSAGE_EXITED)
		account(server, forward, &copy);
	if (forward->connection)
		connection_send(forward->connection, &copy, fd);
	if (message->type == MESSAGE_EXITED || message->type == MESSAGE_NOT_STARTED)
		take_out(server, forward);
	return true;
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
		struct message message = {.type = MESSAGE_EXITED, .id = forward->client_id, .a = SIGKILL};
		account(server, forward, &message);
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

void forward_gone(struct hutch_sandbox *sandbox)
{
	forward_lost(sandbox->foreign_data);
}

void forward_stop_all(struct server *server)
{
	for (unsigned i = 0; i < server->forwards_count; i++)
		if (server->forwards[i].reason == HUTCH_OUTCOME_EXITED)
			server->forwards[i].reason = HUTCH_OUTCOME_KILLED;
	forward_signal_all(server, SIGTERM);
	forward_signal_all(server, SIGCONT);
}

/* TERM, and KILL to the tree after the grace that the client has named. */
static void end_for(struct server *server, struct forward *forward, enum hutch_outcome reason)
{
	struct message message = {.type = MESSAGE_SIGNAL, .id = forward->id, .a = SIGTERM, .b = 1};
	if (forward->reason != HUTCH_OUTCOME_EXITED)
		return;
	forward->reason = reason;
	to_init(server, &message, NULL, 0);
	message.a = SIGCONT;
	to_init(server, &message, NULL, 0);
	forward->kill_at_ms = loop_deadline_ms(forward->grace_ms);
}

void forward_limit_all(struct server *server, enum hutch_outcome reason)
{
	for (unsigned i = 0; i < server->forwards_count; i++)
		end_for(server, &server->forwards[i], reason);
}

static void check_limits(struct server *server, struct forward *forward, int64_t now)
{
	if (leaf_is_over_cpu_time(&forward->leaf, now))
		end_for(server, forward, HUTCH_OUTCOME_CPU_LIMIT);
	if (now < forward->kill_at_ms)
		return;
	const struct message message = {.type = MESSAGE_KILL, .id = forward->id};
	forward->kill_at_ms = NO_DEADLINE;
	forward->kill_until_ms = loop_deadline_ms(KILL_TAKES_MS);
	to_init(server, &message, NULL, 0);
}

/* Init that does not kill what it is told to is itself killed, and everything with it. */
void forward_tick(struct server *server, int64_t now)
{
	for (unsigned i = 0; i < server->forwards_count && !server->sandbox->is_gone; i++) {
		check_limits(server, &server->forwards[i], now);
		if (now >= server->forwards[i].kill_until_ms)
			sandbox_gone(server->sandbox, NULL);
	}
	if (server->sandbox->is_gone)
		forward_lost(server);
}

int64_t forward_next_deadline(const struct server *server)
{
	int64_t next = NO_DEADLINE;
	for (unsigned i = 0; i < server->forwards_count; i++) {
		const struct forward *forward = &server->forwards[i];
		const int64_t deadlines[] = {forward->kill_until_ms, forward->kill_at_ms, forward->leaf.check_ms};
		for (unsigned j = 0; j < 3; j++)
			next = deadlines[j] < next ? deadlines[j] : next;
	}
	return next;
}
