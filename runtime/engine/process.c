/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One running command, as its owner sees it.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/blob.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "engine/channel.h"
#include "engine/engine.h"
#include "plan/stage.h"

/* How late a report of a stop may be that a suspension has made. */
#define RESUME_MS 500

/* After that, init is killed and everything with it. */
#define INIT_ANSWERS_MS 1000 /* killing all is one system call, but reaping many gigabytes takes its time */
#define SWEEP_TAKES_MS  5000 /* killing one tree among others takes up to some hundred milliseconds (fork bombs) */

/* ---- force ---- */

static void send_simple(struct hutch_process *process, enum message_type type, int a)
{
	const struct message message = {.type = type, .id = process->id, .a = a};
	sandbox_send(process->sandbox, &message, NULL, 0);
}

/* TERM, and what it leaves behind when it ends is killed. */
static void send_term(struct hutch_process *process)
{
	const struct message message = {.type = MESSAGE_SIGNAL, .id = process->id, .a = SIGTERM, .b = 1};
	sandbox_send(process->sandbox, &message, NULL, 0);
	send_simple(process, MESSAGE_SIGNAL, SIGCONT); /* a stopped process cannot handle it otherwise */
}

void process_force(struct hutch_process *process, enum force force)
{
	if (process->state == HUTCH_PROCESS_ENDED || force <= process->force)
		return;
	process->force = force;
	switch (force) {
	case FORCE_TERM:
		send_term(process);
		process->deadline_ms = loop_deadline_ms(process->settings.grace_ms);
		break;
	case FORCE_KILL:
		send_simple(process, process->is_main ? MESSAGE_KILL_ALL : MESSAGE_KILL, 0);
		process->deadline_ms = loop_deadline_ms(process->is_main ? INIT_ANSWERS_MS : SWEEP_TAKES_MS);
		break;
	case FORCE_INIT:
		process->deadline_ms = NO_DEADLINE;
		sandbox_gone(process->sandbox, NULL);
		break;
	case FORCE_NONE: break;
	}
	loop_set_deadlines(process->sandbox->h);
}

void process_decide(struct hutch_process *process, enum hutch_outcome reason)
{
	if (process->has_reason)
		return;
	process->has_reason = true;
	process->reason = reason;
}

void process_warn(struct hutch_process *process, const char *text)
{
	if (!process->warning)
		process->warning = strdup(text);
}

/* Time does not run for a command that is paused, but for what is done to end it. */
static bool is_paused(const struct hutch_process *process)
{
	return process->sandbox->is_suspended && process->force == FORCE_NONE;
}

void process_deadline(struct hutch_process *process, int64_t now)
{
	if (process->state == HUTCH_PROCESS_ENDED || now < process->deadline_ms || is_paused(process))
		return;
	if (process->force == FORCE_NONE) {
		process_decide(process, HUTCH_OUTCOME_TIMEOUT);
		process_force(process, FORCE_TERM);
		return;
	}
	process_decide(process, HUTCH_OUTCOME_KILLED);
	process_force(process, process->force + 1);
}

int64_t process_next_deadline(const struct hutch_process *process)
{
	return process->state == HUTCH_PROCESS_ENDED || is_paused(process) ? NO_DEADLINE : process->deadline_ms;
}

/* ---- what init tells ---- */

void process_finish(struct hutch_process *process)
{
	if (process->state == HUTCH_PROCESS_ENDED)
		return;
	process->state = HUTCH_PROCESS_ENDED;
	process->deadline_ms = NO_DEADLINE;
	capture_drain(&process->out);
	capture_drain(&process->err);
	process->sandbox->idle_since_ms = loop_now_ms();
	loop_unwatch(&process->in);
	loop_set_deadlines(process->sandbox->h);
}

/* Untrusted: a number that is no errno is none. */
static int clean_errno(int number)
{
	return number > 0 && number < 4096 ? number : EPROTO;
}

static int error_code(const struct message *message)
{
	if (message->stage == STAGE_CWD)
		return HUTCH_E_CWD;
	if (message->stage != STAGE_EXEC)
		return HUTCH_E_COMMAND;
	return message->a == ENOENT || message->a == ENOTDIR || message->a == ELIBBAD ? HUTCH_E_NOT_FOUND : HUTCH_E_NOT_EXECUTABLE;
}

static void set_error(struct hutch_process *process, const struct message *message)
{
	const char *name = process->argv[0];
	struct hutch_error *err = &process->error;
	int code = error_code(message);
	if (code == HUTCH_E_CWD)
		err_sys(err, code, message->a, "cannot enter the working directory%s%s", process->cwd ? " " : "", process->cwd ? process->cwd : "");
	else if (message->a == ELIBBAD && code == HUTCH_E_NOT_FOUND)
		err_set(err, code, "cannot execute \"%s\": its interpreter (the \"#!\" line's program, or the dynamic loader) does not exist in the sandbox", name);
	else if (code == HUTCH_E_COMMAND)
		err_sys(err, code, message->a, "cannot start \"%s\"", name);
	else
		err_sys(err, code, message->a, "cannot execute \"%s\"", name);
	err->sys_errno = message->a == ELIBBAD ? ENOENT : message->a;
	err_stage(err, 0, stage_name(message->stage));
	hint_for_stage(err, message->stage, message->a, name);
}

static void exited(struct hutch_process *process, const struct message *message)
{
	process->status = message->a;
	process->wall_ms = (double)message->value / 1000;
	process->user_ms = (double)message->user_us / 1000;
	process->system_ms = (double)message->system_us / 1000;
	limits_take_usage(process, message);
	process_finish(process);
}

/* A suspension stops the command with SIGSTOP, and that is reported when it is over, too: it is no stop of the command's own. */
static bool is_by_suspension(const struct hutch_process *process, const struct message *message)
{
	const struct hutch_sandbox *sandbox = process->sandbox;
	return message->a == SIGSTOP && (sandbox->is_suspended || (sandbox->resumed_ms && loop_now_ms() - sandbox->resumed_ms < RESUME_MS));
}

bool process_message(struct hutch_process *process, const struct message *message)
{
	if (process->state == HUTCH_PROCESS_ENDED)
		return true; /* it has been given up, which init could not know */
	switch ((enum message_type)message->type) {
	case MESSAGE_STARTED:
		if (process->state != HUTCH_PROCESS_STARTING)
			return false;
		process->state = HUTCH_PROCESS_RUNNING;
		process->started = true;
		process->started_ms = loop_now_ms();
		if (message->value & HUTCH_LAYER_CGROUP_NS)
			sandbox_warn(process->sandbox, "layer cgroup-ns is not in force: it could not be had, and --best-effort allows that");
		return true;
	case MESSAGE_NOT_STARTED: {
		struct message clean = *message;
		if (process->started)
			return false;
		clean.a = clean_errno(message->a);
		set_error(process, &clean);
		leaf_remove(&process->sandbox->cgroups, &process->leaf);
		process_finish(process);
		return true;
	}
	case MESSAGE_EXITED:
		process->started = true;
		exited(process, message);
		return true;
	case MESSAGE_STOPPED:
		if (process->started && !is_by_suspension(process, message)) /* before its exec, it is nobody's business */
			process->state = HUTCH_PROCESS_STOPPED;
		return true;
	case MESSAGE_GO:
	case MESSAGE_SETUP:
	case MESSAGE_EXEC:
	case MESSAGE_SIGNAL:
	case MESSAGE_KILL:
	case MESSAGE_KILL_ALL:
	case MESSAGE_SUSPEND:
	case MESSAGE_CHANGES:
	case MESSAGE_READY:
	case MESSAGE_FAILED:
	case MESSAGE_EMPTY:
	case MESSAGE_TERMINAL:
	case MESSAGE_TYPES: break;
	}
	return true;
}

void process_end(struct hutch_process *process, enum hutch_outcome reason)
{
	process_decide(process, reason);
	process_force(process, FORCE_TERM);
}

void process_stop(struct hutch_process *process)
{
	process_decide(process, HUTCH_OUTCOME_KILLED);
	send_simple(process, MESSAGE_SIGNAL, SIGTERM);
	send_simple(process, MESSAGE_SIGNAL, SIGCONT);
}

void process_lost(struct hutch_process *process, const struct hutch_error *why)
{
	if (process->state == HUTCH_PROCESS_ENDED)
		return;
	if (process->is_kept) { /* not known what became of it */
		process_finish(process);
		return;
	}
	process->status = SIGKILL; /* the kernel kills all of a PID namespace without its init */
	if (why)
		process->error = *why;
	if (!process->started) {
		if (!why)
			err_set(&process->error, HUTCH_E_GONE, "the sandbox ended before the command had started");
	} else {
		process->wall_ms = (double)(loop_now_ms() - process->started_ms);
		if (!process->has_reason && !process->sandbox->was_ended)
			sandbox_warn(process->sandbox, "the sandbox's init ended unexpectedly; everything in it was killed");
		limits_take_usage(process, NULL);
		process_decide(process, HUTCH_OUTCOME_KILLED);
	}
	process_finish(process);
}

/* ---- birth and death ---- */

static char **copy_strings(const char *const *strings)
{
	size_t count = 0;
	while (strings[count])
		count++;
	char **copy = calloc(count + 1, sizeof *copy);
	for (size_t i = 0; copy && i < count; i++)
		copy[i] = strdup(strings[i]);
	return copy;
}

struct hutch_process *process_new(struct hutch_sandbox *sandbox, const struct hutch_command *command, bool is_main, struct hutch_error *err)
{
	struct hutch_process *process = calloc(1, sizeof *process);
	char **argv = process ? copy_strings(command->argv) : NULL;
	char *cwd = command->cwd ? strdup(command->cwd) : NULL;
	if (!argv || (command->cwd && !cwd)) {
		free(process);
		free(argv);
		free(cwd);
		err_set(err, HUTCH_E_NO_MEMORY, "out of memory");
		return NULL;
	}
	*process = (struct hutch_process){
		.sandbox = sandbox, .next = sandbox->processes, .id = ++sandbox->last_id, .is_main = is_main, .argv = argv, .cwd = cwd, .settings = *command,
		.pty = -1, .log = -1, .leaf = LEAF_NONE, .deadline_ms = command->timeout_ms ? loop_deadline_ms(command->timeout_ms) : NO_DEADLINE,
		.wall_ms = -1, .user_ms = -1, .system_ms = -1,
	};
	process->out.is_streamed = command->out.io == HUTCH_IO_STREAM;
	process->err.is_streamed = command->err.io == HUTCH_IO_STREAM;
	sandbox->processes = process;
	return process;
}

struct hutch_process *process_new_kept(struct hutch_sandbox *sandbox, uint32_t id, const char *const *argv, struct hutch_error *err)
{
	static const char *const unknown[] = {"", NULL};
	struct hutch_process *process = calloc(1, sizeof *process);
	char **copy = process ? copy_strings(argv ? argv : unknown) : NULL;
	if (!copy) {
		free(process);
		err_set(err, HUTCH_E_NO_MEMORY, "out of memory");
		return NULL;
	}
	*process = (struct hutch_process){
		.sandbox = sandbox, .next = sandbox->processes, .id = id, .is_kept = true, .state = HUTCH_PROCESS_RUNNING, .argv = copy,
		.pty = -1, .log = -1, .leaf = LEAF_NONE, .deadline_ms = NO_DEADLINE, .wall_ms = -1, .user_ms = -1, .system_ms = -1,
	};
	sandbox->processes = process;
	return process;
}

/* The watches' memory must outlive their close callbacks, which the next turn of the loop runs. */
void process_drop(struct hutch_process *process)
{
	struct hutch_process **at = &process->sandbox->processes;
	while (*at && *at != process)
		at = &(*at)->next;
	if (*at)
		*at = process->next;
	capture_close(&process->out);
	capture_close(&process->err);
	loop_unwatch(&process->in);
	cleanup_close(&process->pty);
	cleanup_close(&process->log);
	leaf_remove(&process->sandbox->cgroups, &process->leaf);
	loop_flush(process->sandbox->h);
	blob_release(process->out.data);
	blob_release(process->err.data);
	free(process->kept);
	for (char **arg = process->argv; *arg; arg++)
		free(*arg);
	free(process->argv);
	free(process->cwd);
	free(process->warning);
	free(process);
}

/* ---- public ---- */

static int check_running(const struct hutch_process *process, struct hutch_error *err)
{
	return process->state == HUTCH_PROCESS_ENDED ? err_set(err, HUTCH_E_STATE, "the command has ended") : 0;
}

enum hutch_process_state hutch_process_state(const struct hutch_process *process)
{
	return process->state;
}

int hutch_process_signal(struct hutch_process *process, int signo, struct hutch_error *err)
{
	if (signo < 1 || signo > 64)
		return err_set(err, HUTCH_E_INVALID, "%d is not a signal", signo);
	int ret = check_running(process, err);
	if (ret == 0 && process->is_kept)
		return process->sandbox->remote->signal(process, signo, err);
	if (ret == 0)
		send_simple(process, MESSAGE_SIGNAL, signo);
	if (ret == 0 && signo == SIGCONT && process->state == HUTCH_PROCESS_STOPPED)
		process->state = HUTCH_PROCESS_RUNNING;
	return ret;
}

int hutch_process_kill(struct hutch_process *process, struct hutch_error *err)
{
	int ret = check_running(process, err);
	if (ret < 0)
		return ret;
	if (process->is_kept)
		return process->sandbox->remote->signal(process, REMOTE_KILL, err);
	process_decide(process, HUTCH_OUTCOME_KILLED);
	process_force(process, FORCE_KILL);
	return 0;
}

int hutch_process_terminate(struct hutch_process *process, struct hutch_error *err)
{
	int ret = check_running(process, err);
	if (ret == 0 && process->is_kept)
		return process->sandbox->remote->signal(process, REMOTE_TERMINATE, err);
	if (ret == 0)
		process_force(process, FORCE_TERM);
	return ret;
}

int hutch_process_pty(const struct hutch_process *process)
{
	return process->pty;
}

int hutch_process_resize(struct hutch_process *process, uint16_t rows, uint16_t columns, struct hutch_error *err)
{
	const struct winsize size = {.ws_row = rows, .ws_col = columns};
	if (process->pty < 0)
		return err_set(err, HUTCH_E_STATE, "the command has no terminal");
	if (ioctl(process->pty, TIOCSWINSZ, &size) < 0)
		return err_sys(err, HUTCH_E_SYSTEM, errno, "cannot set the terminal's size");
	return 0;
}

/* write(2) without SIGPIPE: blocked, and taken back if it was raised by this write. */
static ssize_t write_quietly(int fd, const void *data, size_t size)
{
	sigset_t pipe_set, before, pending;
	sigemptyset(&pipe_set);
	sigaddset(&pipe_set, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe_set, &before);
	sigpending(&pending);
	bool was_pending = sigismember(&pending, SIGPIPE);
	ssize_t written = write(fd, data, size);
	int error = errno;
	if (written < 0 && error == EPIPE && !was_pending) {
		const struct timespec now = {0};
		sigtimedwait(&pipe_set, NULL, &now);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = error;
	return written;
}

static void on_writable(struct watch *watch)
{
	watch->sandbox->h->handled++;
	uv_poll_stop(&watch->handle); /* until the next write finds the pipe full */
}

static void raw_writable(uv_poll_t *handle, int status, int events)
{
	(void)status;
	(void)events;
	on_writable(handle->data);
}

int64_t hutch_process_write_stdin(struct hutch_process *process, const void *data, size_t size, struct hutch_error *err)
{
	if (process->settings.in.io != HUTCH_IO_PIPE)
		return err_set(err, HUTCH_E_STATE, "the command's stdin is not a pipe of the library's");
	if (!process->in.is_open)
		return (int64_t)size; /* it no longer reads */
	ssize_t written = write_quietly(process->in.fd, data, size);
	if (written >= 0)
		return written;
	if (errno == EPIPE) {
		loop_unwatch(&process->in);
		return (int64_t)size;
	}
	if (errno != EAGAIN && errno != EINTR)
		return err_sys(err, HUTCH_E_SYSTEM, errno, "cannot write to the command's stdin");
	uv_poll_start(&process->in.handle, UV_WRITABLE, raw_writable);
	loop_flush(process->sandbox->h);
	return 0;
}

int hutch_process_close_stdin(struct hutch_process *process, struct hutch_error *err)
{
	if (process->settings.in.io != HUTCH_IO_PIPE)
		return err_set(err, HUTCH_E_STATE, "the command's stdin is not a pipe of the library's");
	loop_unwatch(&process->in);
	return 0;
}

/* ---- events ---- */

static bool take_chunk(struct capture *capture, enum hutch_event_kind kind, struct hutch_event *ret)
{
	if (!capture->is_paused)
		return false;
	*ret = (struct hutch_event){.kind = kind, .data = capture->data, .size = capture->size};
	capture->is_taken = true;
	return true;
}

/* The chunk of the last call has been used. */
static void release_chunk(struct capture *capture)
{
	if (!capture->is_taken)
		return;
	capture->is_taken = false;
	capture_resume(capture);
}

static bool next_event(struct hutch_process *process, struct hutch_event *ret)
{
	if (take_chunk(&process->out, HUTCH_EVENT_STDOUT, ret) || take_chunk(&process->err, HUTCH_EVENT_STDERR, ret))
		return true;
	if (process->state != HUTCH_PROCESS_ENDED || process->is_exit_told)
		return false;
	process->is_exit_told = true;
	*ret = (struct hutch_event){.kind = HUTCH_EVENT_EXIT};
	return true;
}

bool process_next_event(struct hutch_process *process, struct hutch_event *ret)
{
	release_chunk(&process->out);
	release_chunk(&process->err);
	return next_event(process, ret);
}

static void release_buffer(struct capture *capture)
{
	if (capture->watch.is_open || capture->is_paused || capture->is_captured)
		return;
	blob_release(capture->data);
	capture->data = NULL;
	capture->capacity = 0;
}

void process_release_output(struct hutch_process *process)
{
	release_buffer(&process->out);
	release_buffer(&process->err);
}

int hutch_process_next(struct hutch_process *process, int64_t timeout_ms, struct hutch_event *ret, struct hutch_error *err)
{
	int64_t end = timeout_ms < 0 ? NO_DEADLINE : loop_deadline_ms((uint64_t)timeout_ms);
	if (process->is_kept)
		process->sandbox->remote->ask_result(process);
	release_chunk(&process->out);
	release_chunk(&process->err);
	for (;;) {
		if (next_event(process, ret))
			return 1;
		if (process->is_exit_told)
			return 0;
		int64_t left = end == NO_DEADLINE ? INT32_MAX : end - loop_now_ms();
		if (left <= 0 && timeout_ms != 0)
			return err_set(err, HUTCH_E_TIMEOUT, "nothing has happened within %lld ms", (long long)timeout_ms);
		int error = hutch_dispatch(process->sandbox->h, left < 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left, err);
		if (error < 0)
			return error;
		if (timeout_ms == 0 && !next_event(process, ret))
			return err_set(err, HUTCH_E_TIMEOUT, "nothing has happened");
		if (timeout_ms == 0)
			return 1;
	}
}

void hutch_process_free(struct hutch_process *process)
{
	if (!process || process->is_main || process->is_kept)
		return;
	if (process->state != HUTCH_PROCESS_ENDED)
		send_simple(process, MESSAGE_KILL, 0);
	process_drop(process);
}
