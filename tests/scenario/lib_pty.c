/* SPDX-License-Identifier: Apache-2.0 */
/* A command on a terminal of its own: what it sees, its size, ^C and ^Z, and that the terminal is the sandbox's. */
#include <fcntl.h>
#include <poll.h>

#include "lib.h"

static struct hutch_sandbox *sandbox;
static struct hutch_process *process;
static char seen[1 << 16];
static size_t seen_size;

#define PTY .in.io = HUTCH_IO_PTY, .out.io = HUTCH_IO_PTY, .err.io = HUTCH_IO_PTY

static void begin(const struct hutch_command *command)
{
	seen_size = 0;
	seen[0] = '\0';
	sandbox = start(NULL, command);
	process = hutch_sandbox_main(sandbox);
	double from = now_ms();
	while (hutch_process_state(process) == HUTCH_PROCESS_STARTING && now_ms() - from < 20000)
		ck_assert_int_ge(hutch_dispatch(h, 100, &err), 0);
	ck_assert_int_ge(hutch_process_pty(process), 0);
	fcntl(hutch_process_pty(process), F_SETFL, O_NONBLOCK);
}

/* Reads the master until `text` has come, or the command has ended and nothing more comes. */
static bool wait_for(const char *text)
{
	double from = now_ms();
	while (now_ms() - from < 15000) {
		ssize_t size = read(hutch_process_pty(process), seen + seen_size, sizeof seen - 1 - seen_size);
		if (size > 0) {
			seen_size += (size_t)size;
			seen[seen_size] = '\0';
		}
		if (strstr(seen, text))
			return true;
		if (size <= 0 && hutch_process_state(process) == HUTCH_PROCESS_ENDED)
			return false;
		if (size <= 0)
			ck_assert_int_ge(hutch_dispatch(h, 10, &err), 0);
	}
	return false;
}

static void type(const char *text)
{
	ck_assert_int_eq((int)write(hutch_process_pty(process), text, strlen(text)), (int)strlen(text));
}

static struct hutch_result *end(void)
{
	struct hutch_result *result = finish(sandbox);
	while (read(hutch_process_pty(process), seen, sizeof seen) > 0) /* what nobody asked for */
		;
	return result;
}

static void wait_for_state(enum hutch_process_state state)
{
	double from = now_ms();
	while (hutch_process_state(process) != state && now_ms() - from < 10000)
		ck_assert_int_ge(hutch_dispatch(h, 50, &err), 0);
	ck_assert_int_eq((int)hutch_process_state(process), (int)state);
}

START_TEST(all_three_streams)
{
	begin(&HUTCH_COMMAND(.argv = SH("test -t 0 && test -t 1 && test -t 2 && test -c /dev/tty && : >/dev/tty && tty && echo size $(stty size) $TERM; read a; echo \"<$a>\"; exit 5"), PTY, .rows = 33, .columns = 77, .term = "dumb"));
	ck_assert_msg(wait_for("/dev/pts/0\r\nsize 33 77 dumb\r\n"), "%s", seen);
	type("hello\n");
	ck_assert_msg(wait_for("<hello>"), "%s", seen);
	struct hutch_result *result = end();
	ck_assert_int_eq(result->exit_code, 5);
	ck_assert(!result->out.captured);
	hutch_result_free(result);
	hutch_sandbox_free(sandbox);
}
END_TEST

START_TEST(one_stream_only)
{
	begin(&HUTCH_COMMAND(.argv = SH("test -t 0 && ! test -t 1 && ! test -t 2 && echo captured; read a; echo $a; stty size </dev/tty"), .in.io = HUTCH_IO_PTY));
	type("typed\n");
	struct hutch_result *result = end();
	ck_assert_str_eq(result->out.data, "captured\ntyped\n24 80\n");
	hutch_result_free(result);
	hutch_sandbox_free(sandbox);
}
END_TEST

START_TEST(without_one)
{
	sandbox = start(NULL, &HUTCH_COMMAND(.argv = SH("tty; (: >/dev/tty) || echo none")));
	process = hutch_sandbox_main(sandbox);
	struct hutch_result *result = finish(sandbox);
	ck_assert_str_eq(result->out.data, "not a tty\nnone\n");
	ck_assert_int_eq(hutch_process_pty(process), -1);
	ck_assert_int_eq(hutch_process_resize(process, 1, 1, &err), -HUTCH_E_STATE);
	hutch_result_free(result);
	hutch_sandbox_free(sandbox);
}
END_TEST

START_TEST(resizing)
{
	begin(&HUTCH_COMMAND(.argv = SH("trap 'echo now $(stty size)' WINCH; echo ready; while :; do sleep 0.05; done"), PTY));
	ck_assert(wait_for("ready"));
	ck_assert_int_eq(hutch_process_resize(process, 50, 132, &err), 0);
	ck_assert_msg(wait_for("now 50 132"), "%s", seen);
	ck_assert_int_eq(hutch_process_kill(process, &err), 0);
	struct hutch_result *result = end();
	ck_assert_int_eq((int)result->outcome, HUTCH_OUTCOME_KILLED);
	hutch_result_free(result);
	hutch_sandbox_free(sandbox);
}
END_TEST

START_TEST(interrupt)
{
	begin(&HUTCH_COMMAND(.argv = SH("echo ready; sleep 100"), PTY));
	ck_assert(wait_for("ready"));
	for (int i = 0; i < 100 && hutch_process_state(process) != HUTCH_PROCESS_ENDED; i++) {
		if (i % 10 == 0) /* a shell that is just about to fork notes the first one only */
			type("\x03");
		ck_assert_int_ge(hutch_dispatch(h, 50, &err), 0);
	}
	ck_assert_int_eq((int)hutch_process_state(process), HUTCH_PROCESS_ENDED);
	struct hutch_result *result = end();
	ck_assert_int_eq((int)result->outcome, HUTCH_OUTCOME_SIGNALED);
	ck_assert_int_eq(result->signal, SIGINT);
	hutch_result_free(result);
	hutch_sandbox_free(sandbox);
}
END_TEST

START_TEST(stopped_and_resumed)
{
	begin(&HUTCH_COMMAND(.argv = SH("echo ready; read a; echo $a; exit 6"), PTY)); /* a shell that forks just now would not stop */
	ck_assert(wait_for("ready"));
	for (int i = 0; i < 3; i++) {
		type("\x1a");
		wait_for_state(HUTCH_PROCESS_STOPPED);
		ck_assert_int_eq(hutch_sandbox_suspend(sandbox, true, &err), 0);
		ck_assert_int_eq(hutch_sandbox_suspend(sandbox, false, &err), 0);
		ck_assert_int_eq((int)hutch_process_state(process), HUTCH_PROCESS_RUNNING);
		sleep_us(50000);
	}
	type("finished\n");
	ck_assert_msg(wait_for("finished\r\nfinished"), "%s", seen); /* echo and answer */
	struct hutch_result *result = end();
	ck_assert_int_eq(result->exit_code, 6);
	hutch_result_free(result);
	hutch_sandbox_free(sandbox);
}
END_TEST

START_TEST(a_timeout_on_a_terminal)
{
	double from = now_ms();
	begin(&HUTCH_COMMAND(.argv = SH("trap '' INT TERM HUP TSTP; echo ready; setsid sleep 100 & while :; do sleep 1; done"), PTY, .timeout_ms = 500, .grace_ms = 200));
	ck_assert(wait_for("ready"));
	struct hutch_result *result = end();
	ck_assert_str_eq(hutch_outcome_name((int)result->outcome), "timeout");
	ck_assert(now_ms() - from < 700 + LATE_MS);
	hutch_result_free(result);
	hutch_sandbox_free(sandbox);
}
END_TEST

/* The payload kills the process that keeps its session: its end is told all the same. */
START_TEST(the_leader_is_killed)
{
	begin(&HUTCH_COMMAND(.argv = SH("echo ready; kill -9 $PPID 2>/dev/null; kill -9 -1 2>/dev/null; sleep 0.3; exit 7"), PTY));
	wait_for("ready");
	struct hutch_result *result = end();
	ck_assert_msg(result->exit_code == 7 || result->signal != 0, "exit code %d", result->exit_code);
	hutch_result_free(result);
	hutch_sandbox_free(sandbox);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lib_pty");
	TCase *tests = tcase_create("pty");
	tcase_set_timeout(tests, 60);
	tcase_add_checked_fixture(tests, lib_set_up, lib_tear_down);
	tcase_add_test(tests, all_three_streams);
	tcase_add_test(tests, one_stream_only);
	tcase_add_test(tests, without_one);
	tcase_add_test(tests, resizing);
	tcase_add_test(tests, interrupt);
	tcase_add_test(tests, stopped_and_resumed);
	tcase_add_test(tests, a_timeout_on_a_terminal);
	tcase_add_test(tests, the_leader_is_killed);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
