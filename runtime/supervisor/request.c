/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client asks of the supervisor. Each handler answers, now or later; false is nonsense, and ends the connection.
 */
#include "base/error.h"
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
	case WIRE_HELLO:
	case WIRE_START:
	case WIRE_EXEC_DETACHED:
	case WIRE_WELCOME:
	case WIRE_DONE:
	case WIRE_ERROR:
	case WIRE_RESULT_IS:
	case WIRE_ENDED:
	case WIRE_STATE:
	case WIRE_TYPES: break;
	}
	return false;
}
