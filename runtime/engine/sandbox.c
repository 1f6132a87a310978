/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sandbox from its owner's side: what init says, and how it ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "engine/channel.h"
#include "engine/engine.h"
#include "plan/stage.h"
#include "spec/check.h"

#define INITIAL_PID_NAMESPACE 0xEFFFFFFCu /* PROC_PID_INIT_INO of the kernel, the same on every machine */

void sandbox_warn(struct hutch_sandbox *sandbox, const char *text)
{
	char **warnings = realloc(sandbox->warnings, (sandbox->warnings_count + 2) * sizeof *warnings);
	if (!warnings)
		return;
	sandbox->warnings = warnings;
	warnings[sandbox->warnings_count] = strdup(text);
	if (!warnings[sandbox->warnings_count])
		return;
	warnings[++sandbox->warnings_count] = NULL;
}

int sandbox_send(struct hutch_sandbox *sandbox, const struct message *message, const int *fds, unsigned count)
{
	if (sandbox->is_gone || !sandbox->control.is_open)
		return -EPIPE;
	return channel_send_waiting(sandbox->control.fd, message, fds, count, sandbox_patience(sandbox));
}

struct patience *sandbox_patience(struct hutch_sandbox *sandbox)
{
	return sandbox->remote ? NULL : &sandbox->patience;
}

/* ---- the end ---- */

/* Everything in the sandbox is dead when this returns. */
void sandbox_gone(struct hutch_sandbox *sandbox, const struct hutch_error *why)
{
	if (sandbox->is_gone)
		return;
	sandbox->is_gone = true;
	if (why)
		sandbox->why = *why;
	guest_end(&sandbox->guest);
	loop_unwatch(&sandbox->control);
	for (struct hutch_process *process = sandbox->processes; process; process = process->next)
		process_lost(process, why);
	if (sandbox->gone)
		sandbox->gone(sandbox);
	sandbox->cpu_budget = LEAF_NONE;
	cgroups_remove(&sandbox->cgroups);
}

/* ---- time ---- */

/* What is frozen could not handle a TERM. */
static void thaw(struct hutch_sandbox *sandbox)
{
	if (sandbox->is_suspended && !sandbox->remote)
		hutch_sandbox_suspend(sandbox, false, NULL);
}

int64_t sandbox_next_deadline(const struct hutch_sandbox *sandbox)
{
	if (sandbox->is_gone)
		return NO_DEADLINE;
	int64_t next = sandbox->lifetime_ms < sandbox->kill_at_ms ? sandbox->lifetime_ms : sandbox->kill_at_ms;
	int64_t check = limits_next_check(sandbox);
	next = check < next ? check : next;
	for (const struct hutch_process *process = sandbox->processes; process; process = process->next) {
		int64_t deadline = process_next_deadline(process);
		next = deadline < next ? deadline : next;
	}
	return next;
}

void sandbox_deadline(struct hutch_sandbox *sandbox, int64_t now)
{
	if (now >= sandbox->lifetime_ms) {
		sandbox->lifetime_ms = NO_DEADLINE;
		sandbox_warn(sandbox, "the sandbox's lifetime is over");
		thaw(sandbox);
		if (sandbox->main)
			process_end(sandbox->main, HUTCH_OUTCOME_KILLED); /* init stays, to tell what was changed */
		else
			sandbox_stop(sandbox, SPEC_GRACE_DEFAULT_MS);
	}
	if (now >= sandbox->kill_at_ms) {
		sandbox->kill_at_ms = NO_DEADLINE;
		sandbox_gone(sandbox, NULL);
	}
	for (struct hutch_process *process = sandbox->processes; process; process = process->next)
		process_deadline(process, now);
	if (!sandbox->is_gone && now >= limits_next_check(sandbox))
		limits_check(sandbox, now);
}

/* TERM to every command, and when the grace is over the end of init, which is the end of everything. */
void sandbox_stop(struct hutch_sandbox *sandbox, int64_t grace_ms)
{
	thaw(sandbox);
	sandbox->was_ended = true;
	for (struct hutch_process *process = sandbox->processes; process; process = process->next)
		if (process->state != HUTCH_PROCESS_ENDED)
			process_stop(process);
	sandbox->kill_at_ms = loop_deadline_ms((uint64_t)grace_ms);
	loop_set_deadlines(sandbox->h);
}

/* ---- what init says ---- */

static bool ready(struct hutch_sandbox *sandbox, const struct message *message)
{
	if (sandbox->is_ready) /* each of them could be made to leave warnings */
		return false;
	sandbox->is_ready = true;
	guest_release_stack(&sandbox->guest);
	for (unsigned i = 0; i < HUTCH_LAYERS; i++) {
		char text[160];
		if (!(message->value & (1u << i)))
			continue;
		const char *layer = hutch_requirement_name(1u << i);
		bool allowed = sandbox->request.spec.best_effort & (1u << i);
		snprintf(text, sizeof text, "layer %s is not in force: %s", layer,
		         allowed ? "it could not be had, and --best-effort allows that" : 1u << i == HUTCH_LAYER_KEYRING ? "the quota of keys is used up (the filter refuses the calls all the same)" : "this kernel does not have it");
		sandbox_warn(sandbox, text);
	}
	return true;
}

/* Untrusted text for people: no control bytes. */
static void clean_text(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || (unsigned char)*text == 0x7f)
			*text = '?';
}

static void failed(struct hutch_sandbox *sandbox, struct message *message)
{
	struct hutch_error why;
	clean_text(message->detail);
	int error = message->a > 0 && message->a < 4096 ? message->a : EPROTO;
	err_sys(&why, HUTCH_E_SETUP, error, "the sandbox could not be built%s%s", *message->detail ? ": " : "", message->detail);
	err_stage(&why, 0, stage_name(message->stage));
	hint_for_stage(&why, message->stage, error, message->detail);
	sandbox_gone(sandbox, &why);
}

/* The process that a message is about, if the sandbox has it. */
struct hutch_process *sandbox_process(const struct hutch_sandbox *sandbox, uint32_t id)
{
	struct hutch_process *process = sandbox->processes;
	while (process && process->id != id)
		process = process->next;
	return process;
}

/* The descriptor may be anything: nobody who has not asked for one looks at it. */
bool sandbox_take_terminal(struct hutch_process *process, int fd)
{
	CLEANUP_CLOSE int owned = fd;
	if (process->state == HUTCH_PROCESS_ENDED)
		return true;
	if (process->state != HUTCH_PROCESS_STARTING || process->pty >= 0 || !plan_wants_pty(&process->settings))
		return false;
	process->pty = TAKE_FD(owned);
	return true;
}

/* False: nonsense. It takes the descriptor. */
static bool handle(struct hutch_sandbox *sandbox, struct message *message, int fd)
{
	CLEANUP_CLOSE int owned = fd;
	struct hutch_process *process = sandbox_process(sandbox, message->id);
	if (message->type == MESSAGE_READY)
		return ready(sandbox, message);
	if (message->type == MESSAGE_FAILED)
		failed(sandbox, message);
	else if (!process && sandbox->foreign)
		return sandbox->foreign(sandbox, message, TAKE_FD(owned));
	else if (process && message->type == MESSAGE_TERMINAL)
		return sandbox_take_terminal(process, TAKE_FD(owned));
	else if (process)
		return process_message(process, message);
	return true;
}

void sandbox_control_ready(struct watch *watch)
{
	struct hutch_sandbox *sandbox = watch->sandbox;
	struct message message;
	int fd = -1, ret = 1;
	for (unsigned i = 0; i < MESSAGES_PER_TURN && ret > 0 && !sandbox->is_gone; i++) {
		ret = channel_receive(watch->fd, &message, &fd);
		if (ret <= 0)
			break;
		sandbox->h->handled++;
		if (!handle(sandbox, &message, fd))
			ret = -EBADMSG;
	}
	if (sandbox->is_gone || ret > 0 || ret == -EAGAIN) /* what is left is for the next turn */
		return;
	struct hutch_error why;
	sandbox->h->handled++;
	if (ret == 0 && guest_failure(&sandbox->guest, &why) == 0)
		err_set(&why, HUTCH_E_GONE, "the sandbox's init ended unexpectedly");
	else if (ret < 0)
		err_set(&why, HUTCH_E_GONE, "the sandbox's init sent what is no message, or not now");
	sandbox_gone(sandbox, &why);
}

/* ---- public ---- */

void sandbox_make_id(char id[40])
{
	unsigned char random[6];
	if (getrandom(random, sizeof random, 0) != sizeof random)
		memset(random, 0, sizeof random);
	snprintf(id, 40, "%02x%02x%02x%02x%02x%02x", random[0], random[1], random[2], random[3], random[4], random[5]);
}

static void link_in(struct hutch *h, struct hutch_sandbox *sandbox)
{
	sandbox->next = h->sandboxes;
	h->sandboxes = sandbox;
}

static void link_out(struct hutch *h, struct hutch_sandbox *sandbox)
{
	struct hutch_sandbox **at = &h->sandboxes;
	while (*at && *at != sandbox)
		at = &(*at)->next;
	if (*at)
		*at = sandbox->next;
}

struct hutch_sandbox *sandbox_new(struct hutch *h, const char *id, struct hutch_error *err)
{
	struct hutch_sandbox *sandbox = calloc(1, sizeof *sandbox);
	if (!sandbox) {
		err_set(err, HUTCH_E_NO_MEMORY, "out of memory");
		return NULL;
	}
	sandbox->h = h;
	sandbox->range_lock = sandbox->upper_lock = -1;
	sandbox->workspace_op = ~0u;
	sandbox->guest = (struct guest){.pid = -1, .pidfd = -1};
	sandbox->cgroups = CGROUPS_NONE;
	sandbox->cpu_budget = LEAF_NONE;
	sandbox->lifetime_ms = sandbox->kill_at_ms = NO_DEADLINE;
	if (id)
		snprintf(sandbox->id, sizeof sandbox->id, "%s", id);
	else
		sandbox_make_id(sandbox->id);
	link_in(h, sandbox);
	sandbox->open_handles = 1; /* our own, released by free */
	return sandbox;
}

int sandbox_run(struct hutch *h, const char *id, const struct hutch_spec *spec, const struct hutch_command *command, struct hutch_sandbox **ret, struct hutch_error *err)
{
	struct hutch_sandbox *sandbox = sandbox_new(h, id, err);
	if (!sandbox)
		return -HUTCH_E_NO_MEMORY;
	int error = sandbox_start(sandbox, spec, command, err);
	if (error < 0) {
		hutch_sandbox_free(sandbox);
		return error;
	}
	loop_set_deadlines(h);
	loop_flush(h);
	*ret = sandbox;
	return 0;
}

static bool has_running(const struct hutch_sandbox *sandbox)
{
	for (const struct hutch_process *process = sandbox->processes; process; process = process->next)
		if (process->state != HUTCH_PROCESS_ENDED)
			return true;
	return false;
}

static int execution_error(const struct hutch_result *result, struct hutch_error *err)
{
	return err_set(err, HUTCH_E_EXECUTION, "\"%s\" failed: %s, code %d", result->command[0], hutch_outcome_name((int)result->outcome), result->returncode);
}

static bool has_result(const struct hutch_process *process)
{
	if (process->is_kept)
		return process->kept || process->is_refused || process->sandbox->is_gone;
	return process->state == HUTCH_PROCESS_ENDED;
}

int hutch_process_result(struct hutch_process *process, int64_t timeout_ms, struct hutch_result **ret, struct hutch_error *err)
{
	int64_t end = timeout_ms < 0 ? NO_DEADLINE : loop_deadline_ms((uint64_t)timeout_ms);
	if (process->is_kept)
		process->sandbox->remote->ask_result(process);
	while (!has_result(process)) {
		int64_t left = end == NO_DEADLINE ? INT32_MAX : end - loop_now_ms();
		int error = hutch_dispatch(process->sandbox->h, left < 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left, err);
		if (error < 0)
			return error;
		if (!has_result(process) && left <= 0)
			return err_set(err, HUTCH_E_TIMEOUT, "the command has not ended within %lld ms", (long long)timeout_ms);
	}
	struct hutch_result *result;
	int error = process->is_kept ? process->sandbox->remote->read_result(process, &result, err) : result_make(process, &result, err);
	if (error < 0)
		return error;
	*ret = result;
	return process->settings.check && (result->outcome != HUTCH_OUTCOME_EXITED || result->exit_code != 0) ? execution_error(result, err) : 0;
}

int hutch_sandbox_wait_until_complete(struct hutch_sandbox *sandbox, int64_t timeout_ms, struct hutch_result **ret,
                                      struct hutch_error *err)
{
	if (!sandbox->main)
		return err_set(err, HUTCH_E_STATE, "the sandbox has no main command to wait for");
	return hutch_process_result(sandbox->main, timeout_ms, ret, err);
}

static void free_strings(char **strings, size_t count)
{
	for (size_t i = 0; strings && i < count; i++)
		free(strings[i]);
	free(strings);
}

void hutch_sandbox_free(struct hutch_sandbox *sandbox)
{
	if (!sandbox)
		return;
	struct hutch *h = sandbox->h;
	sandbox_gone(sandbox, NULL);
	link_out(h, sandbox);
	while (sandbox->processes)
		process_drop(sandbox->processes);
	request_done(&sandbox->request);
	free_strings(sandbox->warnings, sandbox->warnings_count);
	free_strings(sandbox->roots, sandbox->roots_count);
	if (sandbox->upper)
		remove_tree(AT_FDCWD, sandbox->upper);
	free(sandbox->upper);
	free(sandbox->left);
	cleanup_close(&sandbox->upper_lock);
	cleanup_close(&sandbox->range_lock);
	free(sandbox->remote_data);
	sandbox->is_freed = true;
	if (--sandbox->open_handles == 0)
		free(sandbox);
	else
		loop_flush(h); /* runs the close callbacks, the last of which frees it */
}

/* In the initial PID namespace, process 1 is an init, which reaps what we leave. In a container it may be anything. */
bool sandbox_is_reaped_by_others(void)
{
	struct stat st;
	return stat("/proc/self/ns/pid", &st) == 0 && st.st_ino == INITIAL_PID_NAMESPACE;
}

void hutch_sandbox_abandon(struct hutch_sandbox *sandbox)
{
	if (!sandbox || (!sandbox->upper && !cgroups_exist(&sandbox->cgroups) && sandbox_is_reaped_by_others()))
		return; /* the end of this process is the end of init, and taking the namespaces apart is a tenth of a start */
	guest_end(&sandbox->guest);
	cgroups_remove(&sandbox->cgroups);
	if (sandbox->upper)
		remove_tree(AT_FDCWD, sandbox->upper);
}

const char *hutch_sandbox_id(const struct hutch_sandbox *sandbox)
{
	return sandbox->id;
}

struct hutch_process *hutch_sandbox_main(struct hutch_sandbox *sandbox)
{
	return sandbox->main;
}

void sandbox_note_suspension(struct hutch_sandbox *sandbox, bool is_suspended)
{
	int64_t now = loop_now_ms();
	if (sandbox->is_suspended == is_suspended)
		return;
	sandbox->is_suspended = is_suspended;
	*(is_suspended ? &sandbox->suspended_ms : &sandbox->resumed_ms) = now;
	for (struct hutch_process *process = sandbox->processes; process && !is_suspended; process = process->next) {
		if (process->state == HUTCH_PROCESS_STOPPED) /* by ^Z: the freezer does not wake it */
			hutch_process_signal(process, SIGCONT, NULL);
		if (process->force == FORCE_NONE && process->deadline_ms != NO_DEADLINE)
			process->deadline_ms += now - sandbox->suspended_ms;
	}
	loop_set_deadlines(sandbox->h);
}

int hutch_sandbox_suspend(struct hutch_sandbox *sandbox, bool stop, struct hutch_error *err)
{
	const struct message message = {.type = MESSAGE_SUSPEND, .a = stop};
	if (sandbox->remote)
		return sandbox->remote->suspend(sandbox, stop, err);
	if (sandbox->is_gone)
		return err_set(err, HUTCH_E_GONE, "the sandbox has ended");
	int ret = cgroups_exist(&sandbox->cgroups) ? cgroups_freeze(&sandbox->cgroups, stop) : sandbox_send(sandbox, &message, NULL, 0);
	if (ret < 0)
		return err_sys(err, ret == -EPIPE ? HUTCH_E_GONE : HUTCH_E_SYSTEM, -ret, "the sandbox cannot be %s", stop ? "paused" : "resumed");
	sandbox_note_suspension(sandbox, stop);
	return 0;
}

/* Waits until init, and with it everything, is gone; not longer than the grace and what a kill takes. */
static void wait_until_gone(struct hutch_sandbox *sandbox)
{
	while (!sandbox->is_gone && hutch_dispatch(sandbox->h, -1, NULL) >= 0)
		if (!has_running(sandbox))
			sandbox_gone(sandbox, NULL);
}

int hutch_sandbox_stop(struct hutch_sandbox *sandbox, uint64_t grace_ms, struct hutch_error *err)
{
	if (sandbox->is_gone)
		return 0;
	if (sandbox->remote)
		return sandbox->remote->stop(sandbox, grace_ms, err);
	sandbox_stop(sandbox, (int64_t)grace_ms);
	if (!has_running(sandbox))
		sandbox_gone(sandbox, NULL);
	wait_until_gone(sandbox);
	return 0;
}

/* ---- states ---- */

static const char *const state_names[HUTCH_SANDBOX_STATES] = {
	[HUTCH_SANDBOX_PENDING] = "pending",
	[HUTCH_SANDBOX_RUNNING] = "running",
	[HUTCH_SANDBOX_PAUSED] = "paused",
	[HUTCH_SANDBOX_COMPLETED] = "completed",
	[HUTCH_SANDBOX_FAILED] = "failed",
	[HUTCH_SANDBOX_TERMINATED] = "terminated",
};

const char *hutch_sandbox_state_name(int state)
{
	return state >= 0 && state < HUTCH_SANDBOX_STATES ? state_names[state] : "unknown";
}

enum hutch_sandbox_state hutch_sandbox_state(const struct hutch_sandbox *sandbox)
{
	const struct hutch_process *main = sandbox->main;
	if (sandbox->remote)
		return sandbox->remote_state;
	if (main && main->state == HUTCH_PROCESS_ENDED)
		return !main->started || main->error.code ? HUTCH_SANDBOX_FAILED : main->has_reason ? HUTCH_SANDBOX_TERMINATED : HUTCH_SANDBOX_COMPLETED;
	if (sandbox->is_gone)
		return sandbox->was_ended ? HUTCH_SANDBOX_TERMINATED : HUTCH_SANDBOX_FAILED;
	if (!sandbox->is_ready)
		return HUTCH_SANDBOX_PENDING;
	return sandbox->is_suspended ? HUTCH_SANDBOX_PAUSED : HUTCH_SANDBOX_RUNNING;
}
