/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Detached sandboxes: starting one, finding one, and the requests that only they know.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "api/client.h"
#include "base/cleanup.h"
#include "base/error.h"

#define START_TAKES_MS  60000

/* ---- starting ---- */

static int start_over(struct hutch *h, int fd, const int *fds, unsigned count, struct hutch_sandbox **ret, struct hutch_error *err)
{
	struct message message = {.type = WIRE_START};
	struct hutch_sandbox *sandbox;
	int error = client_new(h, fd, NULL, &sandbox, err);
	if (error < 0)
		return error;
	error = client_greet(sandbox, &message, fds, count, START_TAKES_MS, err);
	if (error < 0) {
		hutch_sandbox_free(sandbox);
		return error;
	}
	*ret = sandbox;
	return 0;
}

int detached_run(struct hutch *h, const struct hutch_spec *spec, const struct hutch_command *command, struct hutch_sandbox **ret, struct hutch_error *err)
{
	int fds[4] = {-1, -1, -1, -1}, fd, pidfd;
	unsigned count;
	int error = spec->name ? store_check_name(spec->name, err) : 0;
	if (error == 0)
		error = request_pack(spec, command, fds, &count, err);
	if (error < 0)
		return error;
	error = spawn_supervisor(&fd, &pidfd, err);
	if (error == 0) {
		error = start_over(h, fd, fds, count, ret, err);
		spawn_reap(pidfd);
	}
	close(fds[0]); /* the packed request; the others are the caller's */
	return error;
}

/* ---- finding ---- */

/* One whose supervisor is gone: what is written about it, and what it left, until it is removed. */
static int from_record(struct hutch *h, const struct store_record *record, struct hutch_sandbox **ret, struct hutch_error *err)
{
	const struct pack_status *status = &record->status;
	struct hutch_sandbox *sandbox;
	int error = client_new(h, -1, status->logs, &sandbox, err);
	if (error < 0)
		return error;
	struct client *client = sandbox->remote_data;
	snprintf(client->name, sizeof client->name, "%s", status->name ? status->name : "");
	snprintf(sandbox->id, sizeof sandbox->id, "%s", status->id);
	sandbox->remote_state = (enum hutch_sandbox_state)status->state;
	sandbox->left = status->upper ? strdup(status->upper) : NULL;
	if (status->command && status->command[0]) {
		sandbox->main = process_new_kept(sandbox, 1, status->command, err);
		if (!sandbox->main) {
			hutch_sandbox_free(sandbox);
			return -HUTCH_E_NO_MEMORY;
		}
		sandbox->main->is_main = true;
		process_finish(sandbox->main);
	}
	*ret = sandbox;
	return 0;
}

static int connect_to(int root, const char *id, struct hutch_error *err)
{
	CLEANUP_CLOSE int dir = openat(root, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	CLEANUP_CLOSE int fd = dir < 0 ? -errno : wire_connect(dir, "ctl");
	if (fd < 0)
		return err_sys(err, HUTCH_E_GONE, -fd, "cannot connect to the supervisor of sandbox %s", id);
	return TAKE_FD(fd);
}

static int attach(struct hutch *h, int root, const char *id, struct hutch_sandbox **ret, struct hutch_error *err)
{
	struct message message = {.type = WIRE_HELLO};
	struct hutch_sandbox *sandbox;
	int fd = connect_to(root, id, err);
	int error = fd < 0 ? fd : client_new(h, fd, NULL, &sandbox, err);
	if (error < 0)
		return error;
	error = client_greet(sandbox, &message, NULL, 0, CLIENT_ANSWERS_MS, err);
	if (error < 0) {
		hutch_sandbox_free(sandbox);
		return error;
	}
	*ret = sandbox;
	return 0;
}

int hutch_sandbox_from_id(struct hutch *h, const char *id, struct hutch_sandbox **ret, struct hutch_error *err)
{
	char found[STORE_ID_SIZE];
	struct store_record record;
	if (!id || (!store_is_id(id) && !store_is_name(id)))
		return err_set(err, HUTCH_E_INVALID, "\"%.64s\" is neither an id nor a name", id ? id : "");
	CLEANUP_CLOSE int root = store_open(false, err);
	if (root == -HUTCH_E_NOT_FOUND)
		return err_set(err, HUTCH_E_NOT_FOUND, "there is no sandbox \"%.64s\"", id);
	int error = root < 0 ? root : store_find(root, id, found, err);
	if (error < 0)
		return error;
	error = store_read(root, found, &record, err);
	if (error < 0 && !record.is_dead)
		return error;
	if (error < 0) { /* dead, and its record is broken: it can be removed */
		record.status = (struct pack_status){.id = found, .state = HUTCH_SANDBOX_FAILED};
		return from_record(h, &record, ret, err);
	}
	error = record.is_dead ? from_record(h, &record, ret, err) : attach(h, root, found, ret, err);
	store_record_done(&record);
	return error;
}

/* ---- requests ---- */

static int check_remote(const struct hutch_sandbox *sandbox, struct hutch_error *err)
{
	if (!sandbox->remote)
		return err_set(err, HUTCH_E_STATE, "only detached sandboxes can do that");
	return sandbox->is_gone ? err_set(err, HUTCH_E_STATE, "the sandbox's supervisor has ended") : 0;
}

int hutch_sandbox_extend(struct hutch_sandbox *sandbox, int64_t lifetime_ms, int64_t idle_timeout_ms, struct hutch_error *err)
{
	struct message message = {.type = WIRE_EXTEND, .value = (uint64_t)lifetime_ms, .user_us = (uint64_t)idle_timeout_ms};
	if (lifetime_ms < -1 || idle_timeout_ms < -1)
		return err_set(err, HUTCH_E_INVALID, "%s is negative", lifetime_ms < -1 ? "lifetime_ms" : "idle_timeout_ms");
	int ret = check_remote(sandbox, err);
	return ret < 0 ? ret : client_call(sandbox, &message, NULL, 0, CLIENT_ANSWERS_MS, NULL, NULL, err);
}

int hutch_sandbox_exec_detached(struct hutch_sandbox *sandbox, const struct hutch_command *command, uint32_t *ret_id, struct hutch_error *err)
{
	struct message message = {.type = WIRE_EXEC_DETACHED}, answer;
	int fds[4];
	unsigned count;
	int ret = check_remote(sandbox, err);
	if (ret == 0 && !command)
		ret = err_set(err, HUTCH_E_INVALID, "command is missing");
	if (ret == 0)
		ret = request_pack(NULL, command, fds, &count, err);
	if (ret < 0)
		return ret;
	ret = client_call(sandbox, &message, fds, count, CLIENT_ANSWERS_MS, &answer, NULL, err);
	close(fds[0]);
	if (ret == 0)
		*ret_id = answer.id;
	return ret;
}

int hutch_sandbox_process(struct hutch_sandbox *sandbox, uint32_t id, struct hutch_process **ret, struct hutch_error *err)
{
	struct message message = {.type = WIRE_PROCESS, .id = id}, answer;
	struct hutch_process *process = sandbox_process(sandbox, id);
	if (process) {
		*ret = process;
		return 0;
	}
	if (!sandbox->remote)
		return err_set(err, HUTCH_E_NOT_FOUND, "the sandbox has no command %u", id);
	bool is_gone = sandbox->is_gone; /* its log may be there */
	int error = is_gone ? 0 : client_call(sandbox, &message, NULL, 0, CLIENT_ANSWERS_MS, &answer, NULL, err);
	if (error < 0)
		return error;
	process = process_new_kept(sandbox, id, NULL, err);
	if (!process)
		return -HUTCH_E_NO_MEMORY;
	if (is_gone || answer.a == HUTCH_PROCESS_ENDED)
		process_finish(process);
	*ret = process;
	return 0;
}
