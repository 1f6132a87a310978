/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client asks of the supervisor. Each handler answers, now or later; false is nonsense, and ends the connection.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "engine/image.h"
#include "supervisor/server.h"

static void refuse(struct connection *connection, const struct message *request, int code, const char *text)
{
	struct hutch_error error;
	err_set(&error, code, "%s", text);
	connection_error(connection, request, &error);
}

static void hello(struct connection *connection, const struct message *request)
{
	if (request->value == WIRE_VERSION)
		connection_welcome(connection, request);
	else
		refuse(connection, request, HUTCH_E_UNSUPPORTED, "the sandbox was started by another version of hutch, which speaks another protocol");
}

static void exec_detached(struct connection *connection, const struct message *request, const int *fds, unsigned count)
{
	struct hutch_error error;
	uint32_t id = 0;
	if (own_exec(connection->server, fds, count, &id, &error) < 0)
		connection_error(connection, request, &error);
	else
		connection_answer(connection, request, id, 0, 0);
}

static void unknown_process(struct connection *connection, const struct message *request)
{
	struct hutch_error error;
	err_set(&error, HUTCH_E_NOT_FOUND, "the sandbox has no detached command %u", request->id);
	connection_error(connection, request, &error);
}

static void wait_for(struct connection *connection, const struct message *request)
{
	if (request->type != WIRE_STOP && !own_find(connection->server, request->id))
		unknown_process(connection, request);
	else if (!connection_wait(connection, request))
		refuse(connection, request, HUTCH_E_BUSY, "too many requests wait for an answer");
}

static void process(struct connection *connection, const struct message *request)
{
	const struct own *own = own_find(connection->server, request->id);
	if (own)
		connection_answer(connection, request, request->id, (int)own->process->state, own->is_over);
	else
		unknown_process(connection, request);
}

static void signal_process(struct connection *connection, const struct message *request)
{
	struct hutch_error error;
	const struct own *own = own_find(connection->server, request->id);
	if (!own) {
		unknown_process(connection, request);
		return;
	}
	int ret = request->a == WIRE_END_KILL        ? hutch_process_kill(own->process, &error)
	          : request->a == WIRE_END_TERMINATE ? hutch_process_terminate(own->process, &error)
	                                             : hutch_process_signal(own->process, request->a, &error);
	if (ret < 0)
		connection_error(connection, request, &error);
	else
		connection_answer(connection, request, request->id, 0, 0);
}

static void stop(struct connection *connection, const struct message *request)
{
	stop_begin(connection->server, request->value);
	wait_for(connection, request);
}

static void remove_all(struct connection *connection, const struct message *request)
{
	struct hutch_error error;
	if (server_remove(connection->server, request->a != 0, &error) < 0)
		connection_error(connection, request, &error);
	else
		connection_answer(connection, request, 0, 0, 0);
}

static void suspend(struct connection *connection, const struct message *request)
{
	struct hutch_error error;
	struct server *server = connection->server;
	if (server_is_over(server))
		refuse(connection, request, HUTCH_E_STATE, "the sandbox has ended");
	else if (hutch_sandbox_suspend(server->sandbox, request->a != 0, &error) < 0)
		connection_error(connection, request, &error);
	else {
		server_update_state(server); /* known when the answer is there */
		connection_answer(connection, request, 0, 0, 0);
	}
}

static void update(struct connection *connection, const struct message *request)
{
	struct server *server = connection->server;
	struct hutch_limits limits;
	struct hutch_error error;
	limits_from_message(&request->limits, &limits);
	int ret = server_is_over(server) ? err_set(&error, HUTCH_E_STATE, "the sandbox has ended") : hutch_sandbox_update(server->sandbox, &limits, &error);
	if (ret == 0)
		ret = context_renew(server, &error);
	if (ret < 0)
		connection_error(connection, request, &error);
	else
		connection_answer(connection, request, 0, 0, 0);
}

/* Of the sandbox, of our own commands, and of clients'. */
static int collect_stats(const struct server *server, struct hutch_stats **ret, size_t *ret_count, struct hutch_error *err)
{
	int error = hutch_sandbox_stats(server->sandbox, ret, ret_count, err);
	struct hutch_stats *all = error < 0 ? NULL : realloc(*ret, (*ret_count + server->forwards_count) * sizeof *all);
	if (error < 0)
		return error;
	if (!all) {
		free(*ret);
		return err_set(err, HUTCH_E_NO_MEMORY, "out of memory");
	}
	for (unsigned i = 0; i < server->forwards_count; i++)
		if (server->forwards[i].leaf.dir >= 0)
			stats_read(server->forwards[i].leaf.dir, server->forwards[i].id, &all[(*ret_count)++]);
	stats_sort(all, *ret_count);
	*ret = all;
	return 0;
}

static void stats(struct connection *connection, const struct message *request)
{
	const struct message answer = {.type = WIRE_STATS_ARE, .item = request->item};
	struct hutch_error error;
	CLEANUP_FREE struct hutch_stats *all = NULL;
	CLEANUP_FREE void *bytes = NULL;
	size_t count = 0, size = 0;
	int ret = collect_stats(connection->server, &all, &count, &error);
	if (ret < 0)
		all = NULL;
	else if (pack_stats_write(all, count, &bytes, &size) < 0)
		ret = err_set(&error, HUTCH_E_NO_MEMORY, "out of memory");
	CLEANUP_CLOSE int fd = ret < 0 ? -1 : image_memfd("hutch-stats", bytes, size, 0, &error);
	if (fd < 0)
		connection_error(connection, request, &error);
	else
		connection_send(connection, &answer, fd);
}

static void info(struct connection *connection, const struct message *request)
{
	const struct server *server = connection->server;
	int64_t now = loop_now_ms();
	const struct message answer = {
		.type = WIRE_INFO_IS, .item = request->item, .id = server->forwards_count + own_running(server), .b = getpid(),
		.user_us = (uint64_t)server_time_left(server, now), .system_us = (uint64_t)server_idle_left(server, now),
	};
	connection_send(connection, &answer, server->context);
}

static void extend(struct connection *connection, const struct message *request)
{
	if (server_is_over(connection->server)) {
		refuse(connection, request, HUTCH_E_STATE, "the sandbox has ended");
		return;
	}
	server_extend(connection->server, (int64_t)request->value, (int64_t)request->user_us);
	connection_answer(connection, request, 0, 0, 0);
}

bool request_handle(struct connection *connection, const struct message *message, const int *fds, unsigned count)
{
	if (message->type == WIRE_HELLO && count == 0) {
		hello(connection, message);
		return true;
	}
	if (!connection->is_greeted)
		return false;
	if (message->type < WIRE_HELLO)
		return forward_request(connection, message, fds, count);
	if (message->type == WIRE_EXEC_DETACHED && count >= 1 && count <= 4) {
		exec_detached(connection, message, fds, count);
		return true;
	}
	if (count > 0)
		return false;
	switch ((enum wire_type)message->type) {
	case WIRE_PROCESS: process(connection, message); return true;
	case WIRE_RESULT:
	case WIRE_LOG_WAIT: wait_for(connection, message); return true;
	case WIRE_SIGNAL: signal_process(connection, message); return true;
	case WIRE_STOP: stop(connection, message); return true;
	case WIRE_REMOVE: remove_all(connection, message); return true;
	case WIRE_EXTEND: extend(connection, message); return true;
	case WIRE_SUSPEND: suspend(connection, message); return true;
	case WIRE_UPDATE: update(connection, message); return true;
	case WIRE_STATS: stats(connection, message); return true;
	case WIRE_INFO: info(connection, message); return true;
	case WIRE_HELLO:
	case WIRE_START:
	case WIRE_EXEC_DETACHED:
	case WIRE_WELCOME:
	case WIRE_DONE:
	case WIRE_ERROR:
	case WIRE_RESULT_IS:
	case WIRE_ENDED:
	case WIRE_STATE:
	case WIRE_STATS_ARE:
	case WIRE_INFO_IS:
	case WIRE_TYPES: break;
	}
	return false;
}
