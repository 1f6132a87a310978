/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/server.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "engine/state.h"
#include "spec/check.h"

/* ---- state ---- */

bool server_is_over(const struct server *server)
{
	const struct hutch_sandbox *sandbox = server->sandbox;
	return server->stop != STOP_NONE || sandbox->is_gone || (sandbox->main && sandbox->main->state == HUTCH_PROCESS_ENDED);
}

bool server_takes_files(const struct server *server)
{
	return !server->sandbox->is_gone && (server->stop == STOP_NONE || server->stop == STOP_DONE);
}

static enum hutch_sandbox_state current_state(const struct server *server)
{
	enum hutch_sandbox_state state = hutch_sandbox_state(server->sandbox);
	return state < HUTCH_SANDBOX_COMPLETED && server->stop == STOP_DONE ? HUTCH_SANDBOX_TERMINATED : state;
}

void server_update_state(struct server *server)
{
	enum hutch_sandbox_state state = current_state(server);
	if (state == server->state)
		return;
	const struct message message = {.type = WIRE_STATE, .a = (int)state};
	server->state = state;
	server->status.state = state;
	store_write_status(&server->entry, &server->status, NULL); /* if the disk is full, the old one stays */
	connections_tell(server, &message);
}

/* ---- time ---- */

static void update_idle(struct server *server, int64_t now)
{
	if (server->forwards_count + own_running(server) > 0)
		server->idle_since_ms = NO_DEADLINE;
	else if (server->idle_since_ms == NO_DEADLINE)
		server->idle_since_ms = now;
}

static int64_t idle_deadline(const struct server *server)
{
	if (!server->idle_timeout_ms || server->idle_since_ms == NO_DEADLINE || server->idle_timeout_ms > INT64_MAX / 2)
		return NO_DEADLINE;
	return server->idle_since_ms + (int64_t)server->idle_timeout_ms;
}

static int64_t left(const struct server *server, int64_t deadline, int64_t now)
{
	return deadline == NO_DEADLINE || server_is_over(server) ? -1 : deadline > now ? deadline - now : 0;
}

int64_t server_time_left(const struct server *server, int64_t now)
{
	return left(server, server->lifetime_ms, now);
}

int64_t server_idle_left(const struct server *server, int64_t now)
{
	return left(server, idle_deadline(server), now);
}

static void check_time(struct server *server, int64_t now)
{
	if (server_is_over(server))
		return;
	bool is_old = now >= server->lifetime_ms, is_idle = now >= idle_deadline(server);
	if (server->sandbox->is_over_cpu_time) {
		forward_limit_all(server, HUTCH_OUTCOME_CPU_LIMIT);
		stop_begin(server, SPEC_GRACE_DEFAULT_MS);
		return;
	}
	if (!is_old && !is_idle)
		return;
	sandbox_warn(server->sandbox, is_old ? "the sandbox's lifetime is over" : "the sandbox was idle for too long");
	stop_begin(server, SPEC_GRACE_DEFAULT_MS);
}

static void set_timer(struct server *server)
{
	const int64_t deadlines[] = {
		server_is_over(server) ? NO_DEADLINE : server->lifetime_ms, server_is_over(server) ? NO_DEADLINE : idle_deadline(server),
		stop_next_deadline(server), forward_next_deadline(server), connections_next_deadline(server),
	};
	int64_t next = NO_DEADLINE;
	for (unsigned i = 0; i < sizeof deadlines / sizeof *deadlines; i++)
		next = deadlines[i] < next ? deadlines[i] : next;
	struct itimerspec when = {0}; /* zero: disarmed */
	if (next != NO_DEADLINE) {
		when.it_value.tv_sec = next / 1000;
		when.it_value.tv_nsec = next % 1000 * 1000000 + 1;
	}
	timerfd_settime(server->timer.fd, TFD_TIMER_ABSTIME, &when, NULL);
}

void server_extend(struct server *server, int64_t lifetime_ms, int64_t idle_timeout_ms)
{
	if (lifetime_ms >= 0)
		server->lifetime_ms = lifetime_ms ? loop_deadline_ms((uint64_t)lifetime_ms) : NO_DEADLINE;
	if (idle_timeout_ms < 0)
		return;
	server->idle_timeout_ms = (uint64_t)idle_timeout_ms;
	if (server->idle_since_ms != NO_DEADLINE)
		server->idle_since_ms = loop_now_ms();
}

static void on_timer(struct watch *watch)
{
	struct server *server = (void *)((char *)watch - offsetof(struct server, timer));
	uint64_t expirations;
	if (read(watch->fd, &expirations, sizeof expirations) > 0)
		server->h->handled++;
}

/* ---- signals: stop, and go when nothing is left; the record stays ---- */

static void on_signal(struct watch *watch)
{
	struct server *server = (void *)((char *)watch - offsetof(struct server, signals));
	struct signalfd_siginfo info;
	if (read(watch->fd, &info, sizeof info) != (ssize_t)sizeof info)
		return;
	server->h->handled++;
	server->is_told_to_go = true;
}

static void check_signal(struct server *server)
{
	if (!server->is_told_to_go)
		return;
	stop_begin(server, SPEC_GRACE_DEFAULT_MS);
	if (server->stop != STOP_TERM && server->stop != STOP_KILL)
		server->quit = true;
}

static int watch_signals(struct server *server, struct hutch_error *err)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	int ret = fd < 0 ? -errno : loop_watch(server->h, &server->signals, NULL, fd, UV_READABLE, on_signal);
	return ret < 0 ? err_sys(err, HUTCH_E_SYSTEM, -ret, "cannot watch signals") : 0;
}

/* ---- a turn ---- */

static void server_tick(struct server *server)
{
	connections_free_dead(server); /* first: it lets the loop run, and what that brings is for this turn */
	own_tick(server);
	connections_tick(server);
	if (server->quit)
		return;
	int64_t now = loop_now_ms();
	update_idle(server, now);
	check_time(server, now);
	check_signal(server);
	stop_tick(server, now);
	forward_tick(server, now);
	own_tick(server);
	server_update_state(server);
	waiters_tick(server); /* whoever gets an answer has been told the state before */
	set_timer(server);
}

void server_run(struct server *server)
{
	malloc_trim(0);
	while (!server->quit) {
		server_tick(server);
		if (!server->quit)
			hutch_dispatch(server->h, -1, NULL);
	}
	connections_free(server);
}

/* ---- the start ---- */

void server_init(struct server *server)
{
	*server = (struct server){
		.logs_lock = -1, .context = -1, .entry = {.root = -1, .dir = -1, .lock = -1}, .lifetime_ms = NO_DEADLINE, .idle_since_ms = NO_DEADLINE, .stop_at_ms = NO_DEADLINE,
	};
}

static int read_request(struct server *server, const int *fds, unsigned count, struct hutch_error *err)
{
	size_t size = 0;
	bool is_valid = count >= 1 && wire_read_file(fds[0], PACK_MAX, &server->request_bytes, &size) == 0 &&
	                pack_request_read(server->request_bytes, size, &server->request_memory, &server->request) == 0 && server->request.has_spec &&
	                (!server->request.has_command || own_streams(&server->request.command, fds, count) == 0);
	return is_valid ? 0 : err_set(err, HUTCH_E_INVALID, "the request is broken");
}

static int64_t wall_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The record in the run directory, the socket that clients find there, the directory of logs. */
static int make_places(struct server *server, struct hutch_error *err)
{
	char id[40];
	const struct hutch_spec *spec = &server->request.spec;
	sandbox_make_id(id);
	store_boot_id(server->boot);
	int ret = spec->name ? store_check_name(spec->name, err) : 0;
	if (ret == 0)
		ret = state_make_logs(spec->state_dir, id, &server->logs, &server->logs_lock, err);
	if (ret < 0)
		return ret;
	server->status = (struct pack_status){
		.id = server->entry.id, .name = spec->name, .boot = server->boot, .state = HUTCH_SANDBOX_PENDING, .created_ms = wall_ms(), .supervisor = getpid(),
		.command = server->request.has_command ? server->request.command.argv : NULL, .labels = spec->labels, .logs = server->logs,
	};
	snprintf(server->entry.id, sizeof server->entry.id, "%s", id);
	ret = store_create(id, spec->name, &server->status, &server->entry, err);
	if (ret < 0)
		return ret;
	server->status.id = server->entry.id;
	int fd = wire_listen(server->entry.dir, "ctl");
	ret = fd < 0 ? fd : loop_watch(server->h, &server->listener, NULL, fd, 0, listener_ready);
	return ret < 0 ? err_sys(err, HUTCH_E_SYSTEM, -ret, "cannot make the socket of the sandbox") : 0;
}

static int build(struct server *server, struct hutch_error *err)
{
	struct hutch_spec spec = server->request.spec;
	const struct hutch_command *command = server->request.has_command ? &server->request.command : NULL;
	spec.lifetime_ms = 0; /* is counted here */
	spec.detached = true;
	server->h->big_pipes = UINT32_MAX; /* the user's budget for them is not for hundreds of supervisors */
	int ret = sandbox_run(server->h, server->entry.id, &spec, command, &server->sandbox, err);
	if (ret < 0)
		return ret;
	server->sandbox->foreign = forward_from_init;
	server->sandbox->foreign_data = server;
	server->sandbox->gone = forward_gone;
	server->status.upper = server->sandbox->upper;
	if (command && !own_new(server, server->sandbox->main, err))
		return -HUTCH_E_NO_MEMORY;
	return store_write_status(&server->entry, &server->status, err);
}

static bool is_undecided(const struct hutch_sandbox *sandbox)
{
	return !sandbox->is_gone && (sandbox->main ? sandbox->main->state == HUTCH_PROCESS_STARTING : !sandbox->is_ready);
}

static int wait_until_started(const struct server *server, const struct connection *starter, struct hutch_error *err)
{
	const struct hutch_sandbox *sandbox = server->sandbox;
	while (is_undecided(sandbox) && !starter->is_dead) {
		int ret = hutch_dispatch(server->h, -1, err);
		if (ret < 0)
			return ret;
	}
	if (starter->is_dead)
		return err_set(err, HUTCH_E_GONE, "nobody waits for the sandbox any more");
	const struct hutch_error *why = sandbox->main && !sandbox->main->started ? &sandbox->main->error : sandbox->is_gone && !sandbox->main ? &sandbox->why : NULL;
	if (!why)
		return 0;
	if (err)
		*err = *why;
	return why->code ? -why->code : err_set(err, HUTCH_E_GONE, "the sandbox ended while it was being started");
}

static int make_watches(struct server *server, struct hutch_error *err)
{
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	int ret = timer < 0 ? -errno : loop_watch(server->h, &server->timer, NULL, timer, UV_READABLE, on_timer);
	int init = ret < 0 || server->sandbox->is_gone ? -1 : fcntl(server->sandbox->control.fd, F_DUPFD_CLOEXEC, 3);
	if (ret == 0 && init >= 0)
		ret = loop_watch(server->h, &server->init_writable, NULL, init, 0, to_init_ready);
	if (ret < 0)
		return err_sys(err, HUTCH_E_SYSTEM, -ret, "cannot watch the sandbox");
	server->listener.events = UV_READABLE;
	loop_rewatch(&server->listener);
	return watch_signals(server, err);
}

static int build_all(struct server *server, const struct connection *starter, const int *fds, unsigned count, struct hutch_error *err)
{
	int ret = read_request(server, fds, count, err);
	if (ret == 0)
		ret = make_places(server, err);
	if (ret == 0)
		ret = build(server, err);
	if (ret == 0)
		ret = wait_until_started(server, starter, err);
	if (ret == 0)
		ret = make_watches(server, err);
	if (ret < 0)
		return ret;
	server->context = context_make(server, err);
	return server->context < 0 ? server->context : 0;
}

int server_start(struct server *server, const struct connection *starter, const int *fds, unsigned count, struct hutch_error *err)
{
	int ret = build_all(server, starter, fds, count, err);
	if (ret < 0) {
		server_remove(server, true, NULL);
		return ret;
	}
	const struct hutch_spec *spec = &server->request.spec;
	server->lifetime_ms = spec->lifetime_ms ? loop_deadline_ms(spec->lifetime_ms) : NO_DEADLINE;
	server->idle_timeout_ms = spec->idle_timeout_ms;
	server_update_state(server);
	return 0;
}

/* ---- the end ---- */

/* Everything of the sandbox goes; the connections stay, for the answer. */
int server_remove(struct server *server, bool force, struct hutch_error *err)
{
	if (server->sandbox && !force && !server_is_over(server))
		return err_hint(err, err_set(err, HUTCH_E_STATE, "the sandbox still runs"), "stop it first, or remove it with force");
	server->quit = true;
	own_free_all(server);
	if (server->sandbox) {
		sandbox_gone(server->sandbox, NULL);
		forward_lost(server);
		hutch_sandbox_free(server->sandbox);
	}
	server->sandbox = NULL;
	store_remove(&server->entry, server->status.name);
	if (server->logs)
		remove_tree(AT_FDCWD, server->logs);
	return 0;
}

void server_done(struct server *server)
{
	own_free_all(server);
	outbox_done(&server->to_init);
	loop_unwatch(&server->listener);
	loop_unwatch(&server->signals);
	loop_unwatch(&server->timer);
	loop_unwatch(&server->init_writable);
	if (server->sandbox) { /* told to go: what it has written stays with the record */
		free(server->sandbox->upper);
		server->sandbox->upper = NULL;
	}
	hutch_free(server->h);
	free(server->forwards);
	free(server->logs);
	pack_memory_done(&server->request_memory);
	free(server->request_bytes);
	cleanup_close(&server->context);
	cleanup_close(&server->logs_lock);
	store_entry_done(&server->entry);
}
