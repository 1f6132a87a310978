/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sandbox that belongs to a supervisor, as its client sees it: what the supervisor says, and requests that are waited
 * for. While a request waits, everything else of the loop goes on.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/client.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "wire/results.h"

/* ---- what the supervisor says ---- */

static void take_result(struct hutch_process *process, int fd)
{
	void *bytes = NULL;
	size_t size = 0;
	if (!process || !process->is_kept || process->kept || wire_read_file(fd, PACK_MAX, &bytes, &size) < 0)
		return;
	process->kept = bytes;
	process->kept_size = size;
	process_finish(process);
}

static int read_error(int fd, struct hutch_error *err)
{
	CLEANUP_FREE void *bytes = NULL;
	struct hutch_error error;
	size_t size = 0;
	if (wire_read_file(fd, PACK_MAX, &bytes, &size) < 0 || pack_error_read(bytes, size, &error) < 0)
		return err_set(err, HUTCH_E_GONE, "the supervisor sent what is no error");
	if (err)
		*err = error;
	return -error.code;
}

/* The answer that is waited for, or one to a question for a result. */
static void take_answer(struct hutch_sandbox *sandbox, const struct message *message, int *fd)
{
	struct client *client = sandbox->remote_data;
	if (message->item == client->awaited && !client->is_answered) {
		client->is_answered = true;
		client->answer = *message;
		client->answer_fd = fd ? TAKE_FD(*fd) : -1;
		return;
	}
	for (struct hutch_process *process = sandbox->processes; process; process = process->next)
		if (message->type == WIRE_ERROR && process->is_kept && process->asked == message->item && fd) {
			process->is_refused = true;
			read_error(*fd, &process->error);
		}
}

/* False: nonsense. */
static bool handle_wire(struct hutch_sandbox *sandbox, const struct message *message, int *fd)
{
	struct hutch_process *process = sandbox_process(sandbox, message->id);
	switch ((enum wire_type)message->type) {
	case WIRE_WELCOME:
	case WIRE_STATS_ARE:
	case WIRE_INFO_IS:
	case WIRE_ERROR:
		if (!fd)
			return false;
		__attribute__((fallthrough));
	case WIRE_DONE: take_answer(sandbox, message, fd); return true;
	case WIRE_RESULT_IS:
		if (fd)
			take_result(process, *fd);
		return fd;
	case WIRE_ENDED:
		if (process && process->is_kept)
			process_finish(process);
		return true;
	case WIRE_STATE:
		if (message->a < 0 || message->a >= HUTCH_SANDBOX_STATES)
			return false;
		sandbox->remote_state = (enum hutch_sandbox_state)message->a;
		sandbox_note_suspension(sandbox, message->a == HUTCH_SANDBOX_PAUSED);
		return true;
	case WIRE_HELLO:
	case WIRE_START:
	case WIRE_EXEC_DETACHED:
	case WIRE_PROCESS:
	case WIRE_RESULT:
	case WIRE_SIGNAL:
	case WIRE_LOG_WAIT:
	case WIRE_STOP:
	case WIRE_REMOVE:
	case WIRE_EXTEND:
	case WIRE_SUSPEND:
	case WIRE_UPDATE:
	case WIRE_STATS:
	case WIRE_INFO:
	case WIRE_TYPES: break;
	}
	return false;
}

/* What init says of a command of ours. */
static bool handle_init(struct hutch_sandbox *sandbox, const struct message *message, int *fd)
{
	struct hutch_process *process = sandbox_process(sandbox, message->id);
	if (message->type < MESSAGE_TERMINAL || message->type >= MESSAGE_TYPES || message->type == MESSAGE_EMPTY || (message->type == MESSAGE_TERMINAL) != (fd != NULL))
		return false;
	if (!process || process->is_kept)
		return true;
	return fd ? sandbox_take_terminal(process, TAKE_FD(*fd)) : process_message(process, message);
}

static void on_ready(struct watch *watch)
{
	struct hutch_sandbox *sandbox = watch->sandbox;
	struct message message;
	int fds[WIRE_FDS_MAX], ret = 1;
	unsigned count;
	for (unsigned turn = 0; turn < MESSAGES_PER_TURN && ret > 0 && !sandbox->is_gone; turn++) {
		ret = wire_receive(watch->fd, &message, fds, &count);
		if (ret <= 0)
			break;
		int *fd = count == 1 ? &fds[0] : NULL;
		sandbox->h->handled++;
		bool is_valid = count <= 1 && (message.type < WIRE_HELLO ? handle_init(sandbox, &message, fd) : handle_wire(sandbox, &message, fd));
		for (unsigned i = 0; i < count; i++)
			cleanup_close(&fds[i]);
		if (!is_valid)
			ret = -EBADMSG;
	}
	if (sandbox->is_gone || ret > 0 || ret == -EAGAIN) /* what is left is for the next turn */
		return;
	struct hutch_error why;
	sandbox->h->handled++;
	err_set(&why, HUTCH_E_GONE, ret == 0 ? "the sandbox's supervisor has ended, or has closed the connection" : "the sandbox's supervisor sent what is no message");
	if (sandbox->remote_state < HUTCH_SANDBOX_COMPLETED)
		sandbox->remote_state = HUTCH_SANDBOX_FAILED;
	sandbox_gone(sandbox, &why);
}

/* ---- requests ---- */

#define LAST_TURNS 64u

static int wait_for_answer(struct hutch_sandbox *sandbox, int64_t timeout_ms, struct hutch_error *err)
{
	const struct client *client = sandbox->remote_data;
	int64_t end = loop_deadline_ms((uint64_t)timeout_ms);
	while (!client->is_answered) {
		if (sandbox->is_gone)
			return err_set(err, HUTCH_E_GONE, "the sandbox's supervisor has ended");
		int64_t left = end - loop_now_ms();
		if (left <= 0)
			return err_set(err, HUTCH_E_TIMEOUT, "the sandbox's supervisor has not answered within %lld ms", (long long)timeout_ms);
		int ret = hutch_dispatch(sandbox->h, left > INT32_MAX ? INT32_MAX : (int)left, err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int client_call(struct hutch_sandbox *sandbox, struct message *message, const int *fds, unsigned count, int64_t timeout_ms, struct message *ret, int *ret_fd,
                struct hutch_error *err)
{
	struct client *client = sandbox->remote_data;
	message->item = client->awaited = ++client->serial;
	client->is_answered = false;
	client->answer_fd = -1;
	int error = sandbox_send(sandbox, message, fds, count);
	for (unsigned i = 0; i < LAST_TURNS && error == -EPIPE && sandbox->control.is_open && !sandbox->is_gone; i++)
		on_ready(&sandbox->control); /* it has ended: what it has said last, and that */
	if (error < 0)
		return err_sys(err, HUTCH_E_GONE, -error, "cannot talk to the sandbox's supervisor");
	error = wait_for_answer(sandbox, timeout_ms, err);
	client->awaited = 0;
	CLEANUP_CLOSE int fd = client->answer_fd;
	client->answer_fd = -1;
	if (error < 0)
		return error;
	if (client->answer.type == WIRE_ERROR)
		return read_error(fd, err);
	if (ret)
		*ret = client->answer;
	if (ret_fd)
		*ret_fd = TAKE_FD(fd);
	return 0;
}

/* ---- struct remote ---- */

static int remote_stop(struct hutch_sandbox *sandbox, uint64_t grace_ms, struct hutch_error *err)
{
	struct message message = {.type = WIRE_STOP, .value = grace_ms};
	int64_t patience = grace_ms < INT32_MAX ? (int64_t)grace_ms + CLIENT_ANSWERS_MS : INT32_MAX;
	return client_call(sandbox, &message, NULL, 0, patience, NULL, NULL, err);
}

static int remote_suspend(struct hutch_sandbox *sandbox, bool stop, struct hutch_error *err)
{
	struct message message = {.type = WIRE_SUSPEND, .a = stop};
	return client_call(sandbox, &message, NULL, 0, CLIENT_ANSWERS_MS, NULL, NULL, err);
}

static int remote_update(struct hutch_sandbox *sandbox, const struct hutch_limits *limits, struct hutch_error *err)
{
	const struct hutch_command carrier = {.limits = *limits};
	struct message message = {.type = WIRE_UPDATE};
	limits_to_message(&carrier, &message);
	int ret = client_call(sandbox, &message, NULL, 0, CLIENT_ANSWERS_MS, NULL, NULL, err);
	if (ret == 0)
		limits_merge(&sandbox->request.spec.limits, limits);
	return ret;
}

static int remote_stats(struct hutch_sandbox *sandbox, struct hutch_stats **ret, size_t *ret_count, struct hutch_error *err)
{
	struct message message = {.type = WIRE_STATS}, answer;
	CLEANUP_CLOSE int fd = -1;
	CLEANUP_FREE void *bytes = NULL;
	size_t size = 0;
	int error = client_call(sandbox, &message, NULL, 0, CLIENT_ANSWERS_MS, &answer, &fd, err);
	if (error < 0)
		return error;
	if (answer.type != WIRE_STATS_ARE || wire_read_file(fd, PACK_MAX, &bytes, &size) < 0 || pack_stats_read(bytes, size, ret, ret_count) < 0)
		return err_set(err, HUTCH_E_GONE, "the sandbox's supervisor sent what are no statistics");
	return 0;
}

static void remote_ask_result(struct hutch_process *process)
{
	struct client *client = process->sandbox->remote_data;
	struct message message = {.type = WIRE_RESULT, .id = process->id};
	if (process->asked)
		return;
	message.item = process->asked = ++client->serial;
	sandbox_send(process->sandbox, &message, NULL, 0);
}

/* Nobody is there any more who could be asked: what the supervisor has written down is left. */
static int read_left_result(const struct hutch_process *process, struct hutch_result **ret, struct hutch_error *err)
{
	const struct client *client = process->sandbox->remote_data;
	int error = *client->logs ? results_read(client->logs, process->sandbox->id, process->id, ret) : -HUTCH_E_NOT_FOUND;
	if (error == -HUTCH_E_NOT_FOUND)
		return err_set(err, HUTCH_E_GONE, "the sandbox's supervisor has ended, and what became of the command is not known: it was not over then");
	return error < 0 ? err_set(err, HUTCH_E_GONE, "the sandbox's supervisor has ended, and what it wrote down of the command cannot be read") : 0;
}

static int remote_read_result(const struct hutch_process *process, struct hutch_result **ret, struct hutch_error *err)
{
	if (process->is_refused) {
		if (err)
			*err = process->error;
		return -process->error.code;
	}
	if (!process->kept)
		return read_left_result(process, ret, err);
	int error = pack_result_read(process->kept, process->kept_size, ret);
	return error < 0 ? err_set(err, -error, "the supervisor sent what is no result") : 0;
}

static int remote_signal(struct hutch_process *process, int signo_or_end, struct hutch_error *err)
{
	struct message message = {.type = WIRE_SIGNAL, .id = process->id, .a = signo_or_end};
	return client_call(process->sandbox, &message, NULL, 0, CLIENT_ANSWERS_MS, NULL, NULL, err);
}

static const struct remote remote = {
	.stop = remote_stop, .suspend = remote_suspend, .update = remote_update, .stats = remote_stats, .ask_result = remote_ask_result, .read_result = remote_read_result, .signal = remote_signal,
};

/* ---- birth ---- */

int client_new(struct hutch *h, int fd, const char *logs, struct hutch_sandbox **ret, struct hutch_error *err)
{
	CLEANUP_CLOSE int owned = fd;
	size_t size = logs ? strlen(logs) + 1 : 1;
	struct hutch_sandbox *sandbox = sandbox_new(h, NULL, err);
	struct client *client = sandbox ? calloc(1, sizeof *client + size) : NULL;
	if (!client) {
		hutch_sandbox_free(sandbox);
		return err_set(err, HUTCH_E_NO_MEMORY, "out of memory");
	}
	client->answer_fd = -1;
	memcpy(client->logs, logs ? logs : "", size);
	sandbox->remote_data = client;
	sandbox->remote = &remote;
	if (fd < 0) { /* nobody is there any more */
		sandbox->is_gone = true;
		*ret = sandbox;
		return 0;
	}
	int error = loop_watch(h, &sandbox->control, sandbox, TAKE_FD(owned), UV_READABLE, on_ready);
	if (error < 0) {
		hutch_sandbox_free(sandbox);
		return err_sys(err, HUTCH_E_SYSTEM, -error, "cannot watch a socket");
	}
	*ret = sandbox;
	return 0;
}

/* ---- greeting ---- */

static int keep_lists(struct hutch_sandbox *sandbox, const struct pack_context *context)
{
	sandbox->roots = calloc(context->roots_count + 1, sizeof *sandbox->roots);
	if (!sandbox->roots)
		return -1;
	sandbox->roots_count = context->roots_count;
	for (size_t i = 0; i < context->roots_count; i++)
		if (*context->roots[i])
			sandbox->roots[i] = strdup(context->roots[i]);
	for (const char *const *warning = context->warnings; *warning; warning++)
		sandbox_warn(sandbox, *warning);
	return 0;
}

static int keep_main(struct hutch_sandbox *sandbox, const struct pack_context *context, bool has_ended, struct hutch_error *err)
{
	if (!context->has_main)
		return 0;
	sandbox->main = process_new_kept(sandbox, 1, context->argv, err);
	if (!sandbox->main)
		return -HUTCH_E_NO_MEMORY;
	sandbox->main->is_main = true;
	if (has_ended)
		process_finish(sandbox->main);
	return 0;
}

static int keep_context(struct hutch_sandbox *sandbox, const struct pack_context *context, const struct message *welcome, struct hutch_error *err)
{
	const struct plan_host host = {.uid = context->uid, .gid = context->gid, .is_privileged = context->is_privileged, .has_range = context->has_range};
	size_t size = context->logs ? strlen(context->logs) + 1 : 1;
	struct client *client = realloc(sandbox->remote_data, sizeof *client + size);
	if (!client)
		return err_set(err, HUTCH_E_NO_MEMORY, "out of memory");
	sandbox->remote_data = client;
	memcpy(client->logs, context->logs ? context->logs : "", size);
	snprintf(client->name, sizeof client->name, "%s", context->name ? context->name : "");
	snprintf(sandbox->id, sizeof sandbox->id, "%s", context->id);
	if (request_keep(&sandbox->request, &context->spec, &host, context->workspace, context->range, true) < 0 || keep_lists(sandbox, context) < 0)
		return err_set(err, HUTCH_E_NO_MEMORY, "out of memory");
	sandbox->request.has_cgroup = context->has_cgroup;
	sandbox->request.controllers = context->controllers;
	sandbox->request.cgroup = context->cgroup ? strdup(context->cgroup) : NULL;
	sandbox->is_ready = true;
	sandbox->is_on_disk = context->is_on_disk;
	sandbox->scratch_bytes = context->scratch_bytes;
	sandbox->workspace_op = (uint32_t)context->workspace_op;
	sandbox->last_id = 1u << 30; /* ids of our own commands: above those of the supervisor's */
	return keep_main(sandbox, context, welcome->b, err);
}

int client_greet(struct hutch_sandbox *sandbox, struct message *message, const int *fds, unsigned count, int64_t timeout_ms, struct hutch_error *err)
{
	struct message welcome;
	CLEANUP_CLOSE int fd = -1;
	CLEANUP_FREE void *bytes = NULL;
	size_t size = 0;
	struct pack_memory memory = {0};
	struct pack_context context;
	message->value = WIRE_VERSION;
	int ret = client_call(sandbox, message, fds, count, timeout_ms, &welcome, &fd, err);
	if (ret < 0)
		return ret;
	if (welcome.type != WIRE_WELCOME || welcome.a < 0 || welcome.a >= HUTCH_SANDBOX_STATES || wire_read_file(fd, PACK_MAX, &bytes, &size) < 0)
		return err_set(err, HUTCH_E_GONE, "the sandbox's supervisor does not greet");
	ret = pack_context_read(bytes, size, &memory, &context);
	if (ret == 0) {
		ret = keep_context(sandbox, &context, &welcome, err);
		sandbox->remote_state = (enum hutch_sandbox_state)welcome.a;
	} else {
		err_set(err, HUTCH_E_GONE, "the sandbox's supervisor sent what is no description of it");
	}
	pack_memory_done(&memory);
	return ret < 0 ? -HUTCH_E_GONE : 0;
}
