/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The time between start and end of a command in the foreground.
 *
 * One poll(2) over the library's descriptor, signals, and what is to be passed between the caller's terminal and the
 * command's. What signals do:
 *
 *     INT QUIT     are sent on to the command's process group
 *     TERM HUP     are sent on; what is left after the grace is killed; a second one kills at once
 *     TSTP         stops the sandbox (or the command, in one that others use, too), then this process; continued, the
 *                  other way round
 *     CONT         after a STOP from outside: the terminal is taken again
 *     WINCH        the command's terminal takes the new size
 *
 * While the terminal is raw, ^C, ^Z and ^\ are keys like others and go to the command's terminal. When ^Z has stopped the
 * command there, the library tells, and the same is done as for TSTP, with the whole process group: the keys would have
 * stopped all of a pipeline.
 */
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include "relay.h"
#include "say.h"
#include "signals.h"
#include "terminal.h"

#define DEFAULT_GRACE_MS 2000
/* How long a terminal that takes nothing is waited for when the command has ended. */
#define DRAIN_MS 2000
/* A shell that brings us to the foreground need not tell us, so from the background we look. */
#define FOREGROUND_CHECK_MS 250
/* A command that cannot be stopped at once is not waited for longer. */
#define STOP_MS 100

struct session {
	const struct attended *attended;
	struct hutch_process *process;
	const struct streams *streams;
	int64_t grace_ms;
	int64_t kill_at_ms; /* 0: no TERM or HUP has come */
	bool was_stopped;
	bool has_master;
	int own_source, own_sink; /* reopened terminals; -1: none */
	struct signals signals;
	struct terminal terminal;
	struct relay relay;
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void resize(struct session *s)
{
	uint16_t rows = 0, columns = 0;

	terminal_size(s->streams->sized_by, &rows, &columns);
	if (rows && s->relay.master >= 0)
		hutch_process_resize(s->process, rows, columns, NULL);
}

/* Keys are read if they are ours; a pipe in the place of a terminal always is. */
static void take_terminal(struct session *s)
{
	s->relay.is_listening = s->terminal.fd < 0 || terminal_enter(&s->terminal);
}

/* That the command has stopped is told once. If it were told when we go on, it would look like a further ^Z. */
static void await_stop(struct session *s)
{
	int64_t deadline = now_ms() + STOP_MS;

	while (s->has_master && hutch_process_state(s->process) == HUTCH_PROCESS_RUNNING && now_ms() < deadline)
		hutch_dispatch(s->attended->h, STOP_MS, NULL);
}

static void suspend(struct session *s, bool stop)
{
	if (s->attended->is_alone)
		hutch_sandbox_suspend(s->attended->sandbox, stop, NULL);
	else
		hutch_process_signal(s->process, stop ? SIGSTOP : SIGCONT, NULL);
	if (stop && !s->attended->is_alone)
		await_stop(s);
}

static void stop(struct session *s, bool group)
{
	relay_pump(&s->relay, 0);
	terminal_leave(&s->terminal);
	suspend(s, true);
	signals_stop_self(group);
	take_terminal(s);
	resize(s);
	suspend(s, false);
}

/* What cannot be signalled, because it has ended but for its children's sake, is killed. */
static bool send_on(struct session *s, int signo)
{
	if (hutch_process_signal(s->process, signo, NULL) >= 0)
		return true;
	hutch_process_kill(s->process, NULL);
	return false;
}

static void end(struct session *s, int signo)
{
	if (s->kill_at_ms)
		hutch_process_kill(s->process, NULL);
	else if (send_on(s, signo))
		s->kill_at_ms = now_ms() + s->grace_ms;
}

static void handle_signal(struct session *s, int signo)
{
	switch (signo) {
	case SIGINT:
	case SIGQUIT:
		send_on(s, signo);
		break;
	case SIGTERM:
	case SIGHUP:
		end(s, signo);
		break;
	case SIGTSTP:
		stop(s, false);
		break;
	case SIGCONT:
		take_terminal(s);
		resize(s);
		break;
	case SIGWINCH:
		resize(s);
		break;
	default:
		break;
	}
}

/* True if the command's own terminal has come into being, which it does when the command is started. */
static bool adopt_master(struct session *s)
{
	int master = s->streams->has_pty && !s->has_master ? hutch_process_pty(s->process) : -1;

	if (master < 0)
		return false;
	s->has_master = true;
	fcntl(master, F_SETFL, O_RDWR | O_NONBLOCK);
	s->relay.master = master;
	return true;
}

/* Our terminal becomes raw no sooner than there is one inside, so that ^C ends a start that hangs. */
static void follow_pty(struct session *s)
{
	if (adopt_master(s)) {
		take_terminal(s);
		resize(s);
	}
}

static void follow_stop(struct session *s)
{
	bool is_stopped = hutch_process_state(s->process) == HUTCH_PROCESS_STOPPED;

	if (is_stopped && !s->was_stopped && s->terminal.is_raw)
		stop(s, true);
	s->was_stopped = is_stopped;
}

static void check_deadline(struct session *s)
{
	if (s->kill_at_ms && now_ms() >= s->kill_at_ms) {
		s->kill_at_ms = INT64_MAX; /* once; a further signal still kills */
		hutch_process_kill(s->process, NULL);
	}
}

static bool is_in_background(const struct session *s)
{
	return s->relay.master >= 0 && s->terminal.fd >= 0 && !s->relay.is_listening;
}

static int poll_timeout(const struct session *s)
{
	int64_t left = is_in_background(s) ? FOREGROUND_CHECK_MS : INT32_MAX;

	if (s->kill_at_ms && s->kill_at_ms != INT64_MAX) {
		int64_t until_kill = s->kill_at_ms - now_ms();
		left = until_kill < left ? until_kill : left;
	}
	if (left < 0)
		return 0;
	return left == INT32_MAX ? -1 : (int)left;
}

static int wait_and_move(struct session *s, struct hutch_error *err)
{
	struct pollfd polls[2 + RELAY_POLLS] = {
		{.fd = hutch_fd(s->attended->h), .events = POLLIN},
		{.fd = s->signals.fd, .events = POLLIN},
	};

	if (is_in_background(s))
		take_terminal(s);
	relay_poll(&s->relay, polls + 2);
	int got = poll(polls, 2 + RELAY_POLLS, poll_timeout(s));
	if (got < 0 && errno != EINTR)
		return system_error(err, errno, "cannot wait for the command");
	if (got <= 0)
		return 0;
	relay_move(&s->relay, polls + 2);
	for (int signo = signals_next(&s->signals); signo; signo = signals_next(&s->signals))
		handle_signal(s, signo);
	return 0;
}

/* Until there is a result, or an error that ends it. */
static int follow(struct session *s, struct hutch_result **ret, struct hutch_error *err)
{
	for (;;) {
		int got = hutch_dispatch(s->attended->h, 0, err);
		if (got < 0)
			return got;
		got = hutch_process_result(s->process, 0, ret, err);
		if (got != -HUTCH_E_TIMEOUT)
			return got;
		follow_pty(s);
		follow_stop(s);
		check_deadline(s);
		if (wait_and_move(s, err) < 0)
			return -err->code;
		if (s->relay.is_broken) {
			s->relay.is_broken = false;
			end(s, SIGHUP);
		}
	}
}

static void connect_terminal(struct session *s)
{
	const struct streams *streams = s->streams;

	if (!streams->has_pty)
		return;
	bool source_is_tty = streams->source >= 0 && isatty(streams->source);
	bool sink_is_tty = isatty(streams->sink);
	s->own_source = source_is_tty ? terminal_reopen(streams->source) : -1;
	s->own_sink = sink_is_tty ? terminal_reopen(streams->sink) : -1;
	s->relay.source = s->own_source >= 0 ? s->own_source : streams->source;
	s->relay.sink = s->own_sink >= 0 ? s->own_sink : streams->sink;
	s->relay.source_is_tty = source_is_tty;
	if (source_is_tty)
		s->terminal.fd = streams->source;
	/* what comes from inside has its CR already; one more does no harm, one less makes stairs */
	s->terminal.is_shared = streams->sink != STDOUT_FILENO;
}

static void disconnect_terminal(struct session *s)
{
	terminal_leave(&s->terminal);
	if (s->own_source >= 0)
		close(s->own_source);
	if (s->own_sink >= 0)
		close(s->own_sink);
}

int session_run(const struct attended *attended, const struct run_options *options, const struct streams *streams,
                struct hutch_result **ret, struct hutch_error *err)
{
	struct session s = {
		.attended = attended,
		.process = attended->process,
		.streams = streams,
		.grace_ms = options->command.grace_ms ? (int64_t)options->command.grace_ms : DEFAULT_GRACE_MS,
		.own_source = -1,
		.own_sink = -1,
		.signals = SIGNALS_NONE,
		.terminal = TERMINAL_NONE,
		.relay = RELAY_NONE,
	};

	int opened = signals_open(&s.signals);
	if (opened < 0) {
		system_error(err, -opened, "cannot open a descriptor for signals");
		return -err->code;
	}
	connect_terminal(&s);
	int got = follow(&s, ret, err);
	adopt_master(&s); /* a short command has ended before we saw it start */
	relay_end_input(&s.relay);
	relay_pump(&s.relay, DRAIN_MS);
	disconnect_terminal(&s);
	signals_close(&s.signals);
	return got;
}
