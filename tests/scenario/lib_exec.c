/* SPDX-License-Identifier: Apache-2.0 */
/* Command after command in a sandbox that stays, through the library as a user links it. */
#include <check.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <hutch/hutch.h>

static struct hutch *h;
static struct hutch_sandbox *sandbox;
static struct hutch_error err;

static void set_up(void)
{
	ck_assert_msg(hutch_new(&h, &err) == 0, "%s", err.message);
	ck_assert_msg(hutch_sandbox_run(h, NULL, NULL, &sandbox, &err) == 0, "%s", err.message);
}

static void tear_down(void)
{
	hutch_free(h);
}

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static struct hutch_process *exec_with(struct hutch_command *command, const char *script)
{
	const char *argv[] = {"sh", "-c", script, NULL};
	struct hutch_process *process;
	command->argv = argv;
	ck_assert_msg(hutch_sandbox_exec(sandbox, command, &process, &err) == 0, "%s", err.message);
	return process;
}

static struct hutch_process *exec_script(const char *script)
{
	return exec_with(&HUTCH_COMMAND(.on_exit = HUTCH_ON_EXIT_DEFAULT), script);
}

static struct hutch_result *result_of(struct hutch_process *process)
{
	struct hutch_result *result;
	ck_assert_msg(hutch_process_result(process, 20000, &result, &err) == 0, "%s", err.message);
	return result;
}

static void expect(struct hutch_process *process, int code, const char *out)
{
	struct hutch_result *result = result_of(process);
	ck_assert_int_eq(result->outcome, HUTCH_OUTCOME_EXITED);
	ck_assert_int_eq(result->exit_code, code);
	ck_assert_str_eq(result->out.data, out);
	hutch_result_free(result);
	hutch_process_free(process);
}

/* How many processes the sandbox has besides init and the one that counts. */
static int processes_inside(void)
{
	struct hutch_process *process = exec_script("n=0; for p in /proc/[0-9]*; do n=$((n+1)); done; echo $n");
	struct hutch_result *result = result_of(process);
	int count = atoi(result->out.data) - 1;
	hutch_result_free(result);
	hutch_process_free(process);
	return count;
}

static void expect_empty(void)
{
	int count = 0;
	for (int i = 0; i < 50; i++) { /* what was killed a moment ago may still be on its way */
		count = processes_inside();
		if (count == 0)
			return;
		usleep(20000);
	}
	ck_abort_msg("%d processes are left", count);
}

START_TEST(test_one_after_the_other)
{
	expect(exec_script("echo 1 >/tmp/f; echo one"), 0, "one\n");
	expect(exec_script("cat /tmp/f; exit 7"), 7, "1\n");
	for (int i = 0; i < 200; i++)
		expect(exec_script("exit 3"), 3, "");
}
END_TEST

START_TEST(test_many_at_the_same_time)
{
	struct hutch_process *all[50];
	for (int i = 0; i < 50; i++) {
		char script[64];
		snprintf(script, sizeof script, "sleep 0.%d; exit %d", i % 7, i);
		all[i] = exec_script(script);
	}
	for (int i = 49; i >= 0; i--)
		expect(all[i], i, "");
}
END_TEST

START_TEST(test_timeout_kills_exactly_one_tree)
{
	struct hutch_process *other = exec_script("sleep 2; echo alive");
	struct hutch_process *process = exec_with(&HUTCH_COMMAND(.timeout_ms = 300, .grace_ms = 200),
	                                          "trap '' TERM; echo so far; setsid sh -c 'trap \"\" TERM; (sleep 777 & sleep 777) & sleep 777' & sleep 777; sleep 777");
	struct hutch_result *result = result_of(process);
	ck_assert_int_eq(result->outcome, HUTCH_OUTCOME_TIMEOUT);
	ck_assert_str_eq(result->out.data, "so far\n");
	hutch_result_free(result);
	hutch_process_free(process);
	expect(other, 0, "alive\n");
	expect_empty();
}
END_TEST

/* TERM is enough for the command itself, but what it has left in a session of its own must not outlive it. */
START_TEST(test_end_takes_the_tree_of_an_obedient_command)
{
	static const char script[] = "setsid sh -c 'trap \"\" TERM; (setsid sleep 777 &) ; sleep 777' >/dev/null 2>&1 & sleep 777";
	struct hutch_process *process = exec_with(&HUTCH_COMMAND(.timeout_ms = 300), script);
	struct hutch_result *result = result_of(process);
	ck_assert_int_eq(result->outcome, HUTCH_OUTCOME_TIMEOUT);
	hutch_result_free(result);
	hutch_process_free(process);
	expect_empty();
	process = exec_script(script);
	usleep(200000);
	ck_assert_int_eq(hutch_process_terminate(process, &err), 0);
	result = result_of(process);
	ck_assert_int_eq(result->signal, SIGTERM);
	hutch_result_free(result);
	hutch_process_free(process);
	expect_empty();
}
END_TEST

START_TEST(test_fork_bomb_beside_another)
{
	struct hutch_process *other = exec_script("sleep 1.5; echo alive");
	struct hutch_process *process = exec_with(&HUTCH_COMMAND(.timeout_ms = 400, .grace_ms = 100), "trap '' TERM; b() { b 2>/dev/null & b 2>/dev/null & wait; }; b 2>/dev/null; sleep 777");
	int64_t start = now_ms();
	struct hutch_result *result = result_of(process);
	printf("# fork bomb: over its deadline by %lld ms\n", (long long)(now_ms() - start - 500));
	ck_assert_int_eq(result->outcome, HUTCH_OUTCOME_TIMEOUT);
	hutch_result_free(result);
	hutch_process_free(process);
	expect(other, 0, "alive\n");
	expect_empty();
}
END_TEST

START_TEST(test_on_exit)
{
	expect(exec_with(&HUTCH_COMMAND(.on_exit = HUTCH_ON_EXIT_KILL), "setsid sleep 777 >/dev/null 2>&1 & sleep 777 >/dev/null 2>&1 & sleep 0.1; echo done"), 0, "done\n");
	expect_empty();
	expect(exec_script("(sleep 0.4; touch /tmp/later) >/dev/null 2>&1 & exit 42"), 42, "");
	usleep(800000);
	expect(exec_script("ls /tmp/later"), 0, "/tmp/later\n");
}
END_TEST

START_TEST(test_kill_and_signal)
{
	struct hutch_process *process = exec_script("trap 'echo got it; exit 5' USR1; echo ready; while :; do sleep 0.05; done");
	usleep(200000);
	ck_assert_int_eq(hutch_process_signal(process, SIGUSR1, &err), 0);
	expect(process, 5, "ready\ngot it\n");
	process = exec_script("sh -c 'kill -STOP $$' & sleep 777");
	usleep(200000);
	ck_assert_int_eq(hutch_process_kill(process, &err), 0);
	struct hutch_result *result = result_of(process);
	ck_assert_int_eq(result->outcome, HUTCH_OUTCOME_KILLED);
	ck_assert_int_eq(result->signal, SIGKILL);
	hutch_result_free(result);
	ck_assert_int_eq(hutch_process_kill(process, &err), -HUTCH_E_STATE);
	hutch_process_free(process);
	expect_empty();
}
END_TEST

START_TEST(test_free_kills)
{
	struct hutch_process *process = exec_script("setsid sleep 777 & sleep 777");
	usleep(100000);
	hutch_process_free(process);
	expect_empty();
}
END_TEST

START_TEST(test_stream)
{
	struct hutch_process *process = exec_with(&HUTCH_COMMAND(.out = {HUTCH_IO_STREAM, -1}, .err = {HUTCH_IO_STREAM, -1}),
	                                          "for i in 1 2 3; do echo out $i; echo err $i >&2; sleep 0.1; done; head -c 3000000 /dev/zero; exit 9");
	struct hutch_event event;
	size_t out = 0, errors = 0;
	int ret, events = 0;
	while ((ret = hutch_process_next(process, 10000, &event, &err)) == 1) {
		events++;
		if (event.kind == HUTCH_EVENT_STDOUT)
			out += event.size;
		else if (event.kind == HUTCH_EVENT_STDERR)
			errors += event.size;
		else
			break;
	}
	ck_assert_msg(ret == 1, "%d %s", ret, err.message);
	ck_assert_uint_eq(out, 18 + 3000000);
	ck_assert_uint_eq(errors, 18);
	ck_assert_int_gt(events, 6);
	ck_assert_int_eq(hutch_process_next(process, 0, &event, &err), 0);
	struct hutch_result *result = result_of(process);
	ck_assert_int_eq(result->exit_code, 9);
	hutch_result_free(result);
	hutch_process_free(process);
}
END_TEST

START_TEST(test_failures)
{
	const char *missing[] = {"/no/such/program", NULL};
	struct hutch_process *process;
	ck_assert_int_eq(hutch_sandbox_exec(sandbox, &HUTCH_COMMAND(.argv = missing), &process, &err), 0);
	struct hutch_result *result = result_of(process);
	ck_assert_int_eq(result->outcome, HUTCH_OUTCOME_NOT_STARTED);
	ck_assert_int_eq(result->returncode, 127);
	hutch_result_free(result);
	hutch_process_free(process);
	ck_assert_int_eq(hutch_sandbox_exec(sandbox, &HUTCH_COMMAND(.argv = NULL), &process, &err), -HUTCH_E_INVALID);
	ck_assert_int_eq(hutch_sandbox_wait_until_complete(sandbox, 0, &result, &err), -HUTCH_E_STATE);
	process = exec_with(&HUTCH_COMMAND(.check = true), "echo why >&2; exit 4");
	ck_assert_int_eq(hutch_process_result(process, 10000, &result, &err), -HUTCH_E_EXECUTION);
	ck_assert_str_eq(result->err.data, "why\n");
	hutch_result_free(result);
	hutch_process_free(process);
}
END_TEST

START_TEST(test_per_command_settings)
{
	const char *env[] = {"A=b", NULL};
	expect(exec_with(&HUTCH_COMMAND(.cwd = "/usr", .env = env), "pwd; echo $A; id -u"), 0, "/usr\nb\n1000\n");
	struct hutch_process *process = exec_with(&HUTCH_COMMAND(.in = {HUTCH_IO_PIPE, -1}), "cat");
	ck_assert_int_eq(hutch_process_write_stdin(process, "hello", 5, &err), 5);
	ck_assert_int_eq(hutch_process_close_stdin(process, &err), 0);
	expect(process, 0, "hello");
	process = exec_with(&HUTCH_COMMAND(.output_limit = 10), "echo 12345678901234567890");
	struct hutch_result *result = result_of(process);
	ck_assert_uint_eq(result->out.size, 10);
	ck_assert_uint_eq(result->out.total_bytes, 21);
	ck_assert(result->out.truncated);
	hutch_result_free(result);
	hutch_process_free(process);
}
END_TEST

START_TEST(test_stop)
{
	struct hutch_process *polite = exec_script("trap 'echo bye; exit 0' TERM; while :; do sleep 0.05; done");
	struct hutch_process *stubborn = exec_script("trap '' TERM; while :; do sleep 0.05; done");
	usleep(200000);
	int64_t start = now_ms();
	ck_assert_int_eq(hutch_sandbox_stop(sandbox, 400, &err), 0);
	ck_assert_int_ge(now_ms() - start, 390);
	ck_assert_int_lt(now_ms() - start, 3000);
	struct hutch_result *result = result_of(polite);
	ck_assert_str_eq(result->out.data, "bye\n");
	ck_assert_int_eq(result->exit_code, 0);
	ck_assert_int_eq(result->outcome, HUTCH_OUTCOME_KILLED);
	hutch_result_free(result);
	result = result_of(stubborn);
	ck_assert_int_eq(result->signal, SIGKILL);
	hutch_result_free(result);
	ck_assert_int_eq(hutch_sandbox_exec(sandbox, &HUTCH_COMMAND(.argv = (const char *[]){"true", NULL}), &polite, &err), -HUTCH_E_STATE);
}
END_TEST

START_TEST(test_beside_a_main_command)
{
	struct hutch_sandbox *busy;
	const char *argv[] = {"sh", "-c", "sleep 1; exit 6", NULL}, *hello[] = {"echo", "hello", NULL};
	struct hutch_process *process;
	struct hutch_result *result;
	ck_assert_int_eq(hutch_sandbox_run(h, NULL, &HUTCH_COMMAND(.argv = argv), &busy, &err), 0);
	ck_assert_int_eq(hutch_sandbox_exec(busy, &HUTCH_COMMAND(.argv = hello), &process, &err), 0);
	expect(process, 0, "hello\n");
	ck_assert_int_eq(hutch_sandbox_wait_until_complete(busy, 10000, &result, &err), 0);
	ck_assert_int_eq(result->exit_code, 6);
	hutch_result_free(result);
	ck_assert_int_eq(hutch_sandbox_exec(busy, &HUTCH_COMMAND(.argv = hello), &process, &err), -HUTCH_E_STATE);
	hutch_sandbox_free(busy);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("exec");
	TCase *tests = tcase_create("kept sandbox");
	tcase_set_timeout(tests, 60);
	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_test(tests, test_one_after_the_other);
	tcase_add_test(tests, test_many_at_the_same_time);
	tcase_add_test(tests, test_timeout_kills_exactly_one_tree);
	tcase_add_test(tests, test_end_takes_the_tree_of_an_obedient_command);
	tcase_add_test(tests, test_fork_bomb_beside_another);
	tcase_add_test(tests, test_on_exit);
	tcase_add_test(tests, test_kill_and_signal);
	tcase_add_test(tests, test_free_kills);
	tcase_add_test(tests, test_stream);
	tcase_add_test(tests, test_failures);
	tcase_add_test(tests, test_per_command_settings);
	tcase_add_test(tests, test_stop);
	tcase_add_test(tests, test_beside_a_main_command);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
