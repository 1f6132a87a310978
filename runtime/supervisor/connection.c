/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients: who may connect, what is read from them and when, what is sent to them. What their messages mean is not
 * known here (request.c, forward.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "engine/image.h"
#include "supervisor/server.h"

/* ---- sending ---- */

static void watch_events(struct connection *connection)
{
	struct watch *watch = &connection->watch;
	int events = (connection->is_stopped ? 0 : UV_READABLE) | (outbox_is_empty(&connection->out) ? 0 : UV_WRITABLE);
	if (!watch->is_open || events == watch->events)
		return;
	watch->events = events;
	if (events)
		loop_rewatch(watch);
	else
		uv_poll_stop(&watch->handle);
}

void connection_send(struct connection *connection, const struct message *message, int fd)
{
	if (connection->is_dead)
		return;
	connection->is_dead = !outbox_send(&connection->out, connection->watch.fd, message, &fd, fd >= 0);
	watch_events(connection);
}

void connection_answer(struct connection *connection, const struct message *request, uint32_t id, int a, int b)
{
	const struct message answer = {.type = WIRE_DONE, .item = request->item, .id = id, .a = a, .b = b};
	connection_send(connection, &answer, -1);
}

void connection_error(struct connection *connection, const struct message *request, const struct hutch_error *error)
{
	const struct message answer = {.type = WIRE_ERROR, .item = request->item, .id = request->id};
	CLEANUP_FREE void *bytes = NULL;
	size_t size;
	CLEANUP_CLOSE int fd = pack_error_write(error, &bytes, &size) < 0 ? -1 : image_memfd("hutch-error", bytes, size, 0, NULL);
	if (fd < 0)
		connection->is_dead = true; /* no memory even for that */
	else
		connection_send(connection, &answer, fd);
}

void connection_welcome(struct connection *connection, const struct message *request)
{
	const struct server *server = connection->server;
	const struct hutch_process *main = server->sandbox->main;
	const struct message answer = {
		.type = WIRE_WELCOME, .item = request->item, .a = (int)server->state, .b = main && main->state == HUTCH_PROCESS_ENDED,
	};
	connection->is_greeted = true;
	connection_send(connection, &answer, server->context);
}

void connections_tell(struct server *server, const struct message *message)
{
	for (struct connection *connection = server->connections; connection; connection = connection->next)
		if (connection->is_greeted)
			connection_send(connection, message, -1);
}

/* ---- reading: one message, and no more until it has been handled ---- */

static void on_ready(struct watch *watch)
{
	struct connection *connection = (void *)((char *)watch - offsetof(struct connection, watch));
	connection->server->h->handled++;
	if (!outbox_flush(&connection->out, watch->fd))
		connection->is_dead = true;
	if (connection->is_dead || connection->has_message) {
		connection->is_stopped = true;
		watch_events(connection);
		return;
	}
	int ret = wire_receive(watch->fd, &connection->message, connection->fds, &connection->fds_count);
	connection->has_message = ret > 0;
	connection->is_dead = ret <= 0 && ret != -EAGAIN;
	watch_events(connection);
}

struct connection *connection_new(struct server *server, int fd)
{
	struct connection *connection = calloc(1, sizeof *connection);
	if (!connection || loop_watch(server->h, &connection->watch, NULL, fd, UV_READABLE, on_ready) < 0) {
		free(connection);
		close(fd);
		return NULL;
	}
	connection->server = server;
	connection->out.fds_max = FDS_PER_CLIENT;
	connection->greet_until_ms = loop_deadline_ms(HELLO_TAKES_MS);
	connection->next = server->connections;
	server->connections = connection;
	server->connections_count++;
	return connection;
}

void listener_ready(struct watch *watch)
{
	struct server *server = (void *)((char *)watch - offsetof(struct server, listener));
	server->h->handled++;
	CLEANUP_CLOSE int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0 || server->connections_count >= CONNECTIONS_MAX || wire_check_peer(fd) < 0)
		return;
	connection_new(server, TAKE_FD(fd));
}

/* ---- requests that wait ---- */

bool connection_wait(struct connection *connection, const struct message *request)
{
	struct server *server = connection->server;
	struct waiter *waiter = connection->waiters < WAITERS_MAX ? malloc(sizeof *waiter) : NULL;
	if (!waiter)
		return false;
	*waiter = (struct waiter){.next = server->waiters, .connection = connection, .request = *request};
	server->waiters = waiter;
	connection->waiters++;
	return true;
}

static void answer_result(struct connection *connection, const struct message *request, const struct own *own)
{
	struct hutch_error error;
	const struct message answer = {.type = WIRE_RESULT_IS, .item = request->item, .id = request->id};
	CLEANUP_CLOSE int fd = own_result(own, &error);
	if (fd < 0)
		connection_error(connection, request, &error);
	else
		connection_send(connection, &answer, fd);
}

/* True: it has been answered. */
static bool try_to_answer(const struct server *server, const struct waiter *waiter)
{
	const struct message *request = &waiter->request;
	const struct own *own = own_find(server, request->id);
	if (request->type == WIRE_RESULT) {
		if (own && !own->is_over)
			return false;
		if (own)
			answer_result(waiter->connection, request, own);
	} else if (request->type == WIRE_LOG_WAIT) {
		if (own && !own->is_over && own->log.offset <= request->value)
			return false;
		connection_answer(waiter->connection, request, request->id, 0, !own || own->is_over);
	} else { /* WIRE_STOP */
		if (server->stop == STOP_TERM || server->stop == STOP_KILL)
			return false;
		connection_answer(waiter->connection, request, 0, 0, 0);
	}
	return true;
}

void waiters_tick(struct server *server)
{
	for (struct waiter **at = &server->waiters; *at;) {
		struct waiter *waiter = *at;
		if (!waiter->connection->is_dead && !try_to_answer(server, waiter)) {
			at = &waiter->next;
			continue;
		}
		waiter->connection->waiters--;
		*at = waiter->next;
		free(waiter);
	}
}

/* ---- ends ---- */

static void handle_message(struct connection *connection)
{
	connection->has_message = false;
	if (!connection->is_dead && !request_handle(connection, &connection->message, connection->fds, connection->fds_count))
		connection->is_dead = true;
	wire_close(connection->fds, connection->fds_count);
	connection->fds_count = 0;
	connection->is_stopped = false;
	watch_events(connection);
}

/* The memory of a watch must outlive its close callback, which the loop runs. */
void connections_free_dead(struct server *server)
{
	struct connection *dead = NULL;
	for (struct connection **at = &server->connections; *at;) {
		struct connection *connection = *at;
		if (!connection->is_dead) {
			at = &connection->next;
			continue;
		}
		*at = connection->next;
		connection->next = dead;
		dead = connection;
		server->connections_count--;
		forward_orphan(connection);
		wire_close(connection->fds, connection->fds_count);
		loop_unwatch(&connection->watch);
	}
	if (dead)
		loop_flush(server->h);
	while (dead) {
		struct connection *next = dead->next;
		outbox_done(&dead->out);
		free(dead);
		dead = next;
	}
}

void connections_tick(struct server *server)
{
	int64_t now = loop_now_ms();
	for (struct connection *connection = server->connections; connection && !server->quit; connection = connection->next) {
		connection->is_dead |= !connection->is_greeted && now >= connection->greet_until_ms;
		if (connection->has_message && outbox_is_empty(&server->to_init)) /* else init must catch up first */
			handle_message(connection);
	}
}

int64_t connections_next_deadline(const struct server *server)
{
	int64_t next = NO_DEADLINE;
	for (const struct connection *connection = server->connections; connection; connection = connection->next) {
		if (!connection->is_greeted && connection->greet_until_ms < next)
			next = connection->greet_until_ms;
		if (connection->is_dead || (connection->has_message && outbox_is_empty(&server->to_init))) /* came while something else was done */
			next = 0;
	}
	return next;
}

void connections_free(struct server *server)
{
	for (struct connection *connection = server->connections; connection; connection = connection->next) {
		outbox_flush(&connection->out, connection->watch.fd);
		connection->is_dead = true;
	}
	waiters_tick(server);
	connections_free_dead(server);
}
