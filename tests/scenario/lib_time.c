/* SPDX-License-Identifier: Apache-2.0 */
/* Timeouts against commands that do not want to end. Each prints how late the result was. */
#include "lib.h"

#define TIMEOUT 400
#define GRACE   300

static const struct {
	const char *name, *text;
	bool needs_kill;
} stubborn[] = {
	{"obedient", "echo begin; exec sleep 100", false},
	{"exits 0 in its grace", "trap 'exit 0' TERM; echo begin; while :; do sleep 0.05; done", false},
	{"ignores all signals", "i=1; while [ $i -lt 65 ]; do trap '' $i 2>/dev/null; i=$((i+1)); done; echo begin; while :; do sleep 1; done", true},
	{"children with setsid", "trap '' TERM; echo begin; setsid sleep 100 & setsid sh -c 'trap \"\" TERM HUP; while :; do sleep 1; done' & while :; do sleep 1; done", true},
	{"double fork", "trap '' TERM; echo begin; (setsid sh -c 'trap \"\" TERM; (sleep 100 &) ; while :; do sleep 1; done' &) ; while :; do sleep 1; done", true},
	{"stopped child", "echo begin; sleep 100 & kill -STOP $!; wait $!", false},
	{"stopped itself", "echo begin; kill -STOP $$; sleep 100", false},
	{"stopped and deaf", "trap '' TERM; echo begin; sleep 100 & kill -STOP $!; wait $!; while :; do kill -STOP $$; done", true},
	{"much output", "trap '' TERM PIPE; echo begin; while :; do echo x; done", true},
};

static struct hutch_result *run_timed(const struct hutch_spec *spec, const char *text, double *ret_ms)
{
	double begin = now_ms();
	struct hutch_result *result = run(spec, &HUTCH_COMMAND(.argv = SH(text), .timeout_ms = TIMEOUT, .grace_ms = GRACE));
	*ret_ms = now_ms() - begin;
	return result;
}

START_TEST(timeouts)
{
	double ms;
	struct hutch_result *result = run_timed(NULL, stubborn[_i].text, &ms);
	double due = stubborn[_i].needs_kill ? TIMEOUT + GRACE : TIMEOUT;
	fprintf(stderr, "measured: %s: %.0f ms, %.0f late\n", stubborn[_i].name, ms, ms - due);
	ck_assert_str_eq(hutch_outcome_name((int)result->outcome), "timeout");
	ck_assert_int_eq(result->returncode, 124);
	ck_assert_msg(strncmp(result->out.data, "begin\n", 6) == 0, "output so far is lost");
	if (stubborn[_i].needs_kill)
		ck_assert_int_eq(result->signal, SIGKILL);
	ck_assert_msg(ms >= TIMEOUT - 5, "%.0f ms: too early", ms);
	ck_assert_msg(ms < TIMEOUT + GRACE + LATE_MS, "%.0f ms", ms);
	ck_assert_int_eq(child_of(getpid()), 0);
	hutch_result_free(result);
}
END_TEST

START_TEST(fork_bomb)
{
	double ms;
	struct hutch_result *result = run_timed(&HUTCH_SPEC(.limits.pids = 200), "echo begin; b() { b 2>/dev/null & b 2>/dev/null & wait; }; trap '' TERM; while :; do b; done 2>/dev/null", &ms);
	fprintf(stderr, "measured: fork bomb: %.0f ms, %.0f late\n", ms, ms - TIMEOUT - GRACE);
	if (result->outcome != HUTCH_OUTCOME_EXITED && result->outcome != HUTCH_OUTCOME_SIGNALED) /* some shells give up when fork fails */
		ck_assert_str_eq(hutch_outcome_name((int)result->outcome), "timeout");
	ck_assert_msg(strncmp(result->out.data, "begin\n", 6) == 0, "output so far is lost");
	ck_assert_msg(ms < TIMEOUT + GRACE + LATE_MS, "%.0f ms", ms);
	ck_assert_int_eq(child_of(getpid()), 0);
	hutch_result_free(result);
}
END_TEST

START_TEST(lifetime_of_the_sandbox)
{
	double begin = now_ms();
	struct hutch_result *result = run(&HUTCH_SPEC(.lifetime_ms = 400), &HUTCH_COMMAND(.argv = SH("trap '' TERM; echo x; while :; do sleep 1; done"), .grace_ms = 200));
	ck_assert_str_eq(hutch_outcome_name((int)result->outcome), "killed");
	ck_assert_str_eq(result->out.data, "x\n");
	ck_assert(now_ms() - begin < 600 + LATE_MS);
	hutch_result_free(result);
}
END_TEST

START_TEST(in_time)
{
	double ms;
	struct hutch_result *result = run_timed(NULL, "echo quick; exit 124", &ms);
	ck_assert_str_eq(hutch_outcome_name((int)result->outcome), "exited");
	ck_assert_int_eq(result->returncode, 124);
	hutch_result_free(result);
}
END_TEST

/* The deadline falls into the start itself: whatever comes of it, it comes soon and is no success. */
START_TEST(hardly_any_time)
{
	for (unsigned ms = 1; ms < 20; ms++) {
		double begin = now_ms();
		struct hutch_result *result = run(NULL, &HUTCH_COMMAND(.argv = SH("trap '' TERM; sleep 100"), .timeout_ms = ms, .grace_ms = 50));
		ck_assert(now_ms() - begin < 50 + 100 + LATE_MS);
		ck_assert_int_ne((int)result->outcome, HUTCH_OUTCOME_EXITED);
		ck_assert_int_ne(result->returncode, 0);
		hutch_result_free(result);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lib_time");
	TCase *tests = tcase_create("time");
	tcase_set_timeout(tests, 60);
	tcase_add_checked_fixture(tests, lib_set_up, lib_tear_down);
	tcase_add_loop_test(tests, timeouts, 0, COUNT(stubborn));
	tcase_add_test(tests, fork_bomb);
	tcase_add_test(tests, lifetime_of_the_sandbox);
	tcase_add_test(tests, in_time);
	tcase_add_test(tests, hardly_any_time);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
