/* SPDX-License-Identifier: Apache-2.0 */
/* Streams: much output, any bytes, the cap and what happens at it, and input in both directions. */
#include <fcntl.h>
#include <sys/resource.h>

#include "lib.h"

#define MIB (UINT64_C(1) << 20)

/* "abcdefg\n" over and over, from its beginning. */
static bool repeats(const char *data, size_t size, const char *unit)
{
	size_t length = strlen(unit);
	for (size_t i = 0; i < size; i++)
		if (data[i] != unit[i % length])
			return false;
	return true;
}

START_TEST(a_hundred_mebibytes_on_both)
{
	struct hutch_result *result = run(NULL, &HUTCH_COMMAND(.argv = SH("yes abcdefg | head -c 104857600 & yes 1234567 | head -c 104857600 >&2; wait")));
	ck_assert_int_eq(result->exit_code, 0);
	ck_assert_uint_eq(result->out.total_bytes, 100 * MIB);
	ck_assert_uint_eq(result->err.total_bytes, 100 * MIB);
	ck_assert_uint_eq(result->out.size, 64 * MIB);
	ck_assert_uint_eq(result->err.size, 64 * MIB);
	ck_assert(result->out.truncated && result->err.truncated);
	ck_assert(repeats(result->out.data, result->out.size, "abcdefg\n"));
	ck_assert(repeats(result->err.data, result->err.size, "1234567\n"));
	ck_assert_int_eq(result->out.data[result->out.size], '\0');
	/* what is kept, and little else */
	long peak = status_kib("VmHWM");
	fprintf(stderr, "measured: 2 x 100 MiB, 2 x 64 MiB kept: peak of this process %ld MiB\n", peak >> 10);
	if (!IS_SANITIZED)
		ck_assert_int_lt(peak, (2 * 64 + 72) << 10);
	hutch_result_free(result);
}
END_TEST

START_TEST(below_the_cap_every_byte)
{
	struct hutch_result *result = run(NULL, &HUTCH_COMMAND(.argv = SH("yes abcdefg | head -c 20000001; yes 1234567 | head -c 7 >&2"), .output_limit = 20000001));
	ck_assert_uint_eq(result->out.size, 20000001);
	ck_assert_uint_eq(result->out.total_bytes, 20000001);
	ck_assert(!result->out.truncated);
	ck_assert(repeats(result->out.data, result->out.size, "abcdefg\n"));
	ck_assert_str_eq(result->err.data, "1234567");
	hutch_result_free(result);
}
END_TEST

START_TEST(small_caps)
{
	static const struct {
		uint64_t limit;
		const char *data;
		bool truncated;
	} caps[] = {{1, "a", true}, {3, "abc", true}, {4, "abcd", false}, {5, "abcd", false}};
	for (int i = 0; i < COUNT(caps); i++) {
		struct hutch_result *result = run(NULL, &HUTCH_COMMAND(.argv = ARGV("printf", "abcd"), .output_limit = caps[i].limit));
		ck_assert_str_eq(result->out.data, caps[i].data);
		ck_assert(result->out.truncated == caps[i].truncated);
		ck_assert_uint_eq(result->out.total_bytes, 4);
		ck_assert_int_eq((int)result->outcome, HUTCH_OUTCOME_EXITED);
		hutch_result_free(result);
	}
}
END_TEST

START_TEST(the_cap_may_kill)
{
	struct hutch_result *result = run(NULL, &HUTCH_COMMAND(.argv = SH("yes & yes"), .output_limit = 100000, .on_output_limit = HUTCH_OUTPUT_KILL));
	ck_assert_int_eq((int)result->outcome, HUTCH_OUTCOME_OUTPUT_LIMIT);
	ck_assert_int_eq(result->signal, SIGKILL);
	ck_assert_int_eq(result->returncode, 137);
	ck_assert_uint_eq(result->out.size, 100000);
	ck_assert(result->out.truncated);
	ck_assert(repeats(result->out.data, result->out.size, "y\n"));
	hutch_result_free(result);
	result = run(NULL, &HUTCH_COMMAND(.argv = SH("yes >&2"), .output_limit = 10, .on_output_limit = HUTCH_OUTPUT_KILL));
	ck_assert_int_eq((int)result->outcome, HUTCH_OUTCOME_OUTPUT_LIMIT);
	hutch_result_free(result);
	result = run(NULL, &HUTCH_COMMAND(.argv = ARGV("printf", "abcd"), .output_limit = 4, .on_output_limit = HUTCH_OUTPUT_KILL));
	ck_assert_int_eq((int)result->outcome, HUTCH_OUTCOME_EXITED); /* reached is not exceeded */
	hutch_result_free(result);
}
END_TEST

START_TEST(any_bytes)
{
	struct hutch_result *result = run_sh("i=0; while [ $i -lt 256 ]; do printf \"\\\\$(printf %o $i)\"; i=$((i+1)); done; printf 'a\\0b' >&2");
	ck_assert_uint_eq(result->out.size, 256);
	for (unsigned i = 0; i < 256; i++)
		ck_assert_uint_eq((unsigned char)result->out.data[i], i);
	ck_assert_uint_eq(result->err.size, 3);
	ck_assert_int_eq(memcmp(result->err.data, "a\0b", 4), 0);
	hutch_result_free(result);
}
END_TEST

START_TEST(closed_streams)
{
	struct hutch_result *result = run_sh("exec >&- 2>&-; sleep 0.1; exit 3");
	ck_assert_int_eq(result->exit_code, 3);
	ck_assert_uint_eq(result->out.size, 0);
	ck_assert_str_eq(result->out.data, "");
	hutch_result_free(result);
}
END_TEST

/* ---- stdin ---- */

static char pattern[1 << 16];

static void fill_pattern(void)
{
	for (size_t i = 0; i < sizeof pattern; i++)
		pattern[i] = "0123456789abcdef"[i % 16];
}

/* Writes `total` bytes of the pattern as fast as they are taken. */
static void feed(struct hutch_process *process, uint64_t total)
{
	for (uint64_t done = 0; done < total;) {
		size_t at = (size_t)(done % sizeof pattern), left = sizeof pattern - at;
		if (left > total - done)
			left = (size_t)(total - done);
		int64_t taken = hutch_process_write_stdin(process, pattern + at, left, &err);
		ck_assert_msg(taken >= 0, "%s", err.message);
		if (taken == 0)
			ck_assert_int_ge(hutch_dispatch(h, 5000, &err), 0);
		done += (uint64_t)taken;
	}
	ck_assert_int_eq(hutch_process_close_stdin(process, &err), 0);
}

START_TEST(fifty_mebibytes_both_ways)
{
	fill_pattern();
	struct hutch_sandbox *sandbox = start(NULL, &HUTCH_COMMAND(.argv = ARGV("cat"), .in.io = HUTCH_IO_PIPE));
	feed(hutch_sandbox_main(sandbox), 50 * MIB);
	struct hutch_result *result = finish(sandbox);
	ck_assert_int_eq(result->exit_code, 0);
	ck_assert_uint_eq(result->out.size, 50 * MIB);
	ck_assert(repeats(result->out.data, result->out.size, "0123456789abcdef"));
	hutch_result_free(result);
	hutch_sandbox_free(sandbox);
}
END_TEST

static volatile sig_atomic_t pipes;

static void on_pipe(int signo)
{
	(void)signo;
	pipes++;
}

/* A command that does not read: no error, no signal, no hang. */
START_TEST(fifty_mebibytes_to_true)
{
	fill_pattern();
	signal(SIGPIPE, on_pipe);
	for (int i = 0; i < 5; i++) {
		struct hutch_sandbox *sandbox = start(NULL, &HUTCH_COMMAND(.argv = ARGV("true"), .in.io = HUTCH_IO_PIPE));
		feed(hutch_sandbox_main(sandbox), 50 * MIB);
		struct hutch_result *result = finish(sandbox);
		ck_assert_int_eq(result->exit_code, 0);
		ck_assert_int_eq((int)hutch_process_write_stdin(hutch_sandbox_main(sandbox), "x", 1, &err), 1);
		hutch_result_free(result);
		hutch_sandbox_free(sandbox);
	}
	ck_assert_int_eq(pipes, 0);
	sigset_t pending;
	sigpending(&pending);
	ck_assert(!sigismember(&pending, SIGPIPE));
}
END_TEST

START_TEST(nothing_is_written_to_other_inputs)
{
	struct hutch_sandbox *sandbox = start(NULL, &HUTCH_COMMAND(.argv = ARGV("cat")));
	ck_assert_int_eq((int)hutch_process_write_stdin(hutch_sandbox_main(sandbox), "x", 1, &err), -HUTCH_E_STATE);
	ck_assert_int_eq(hutch_process_close_stdin(hutch_sandbox_main(sandbox), &err), -HUTCH_E_STATE);
	struct hutch_result *result = finish(sandbox);
	ck_assert_uint_eq(result->out.size, 0);
	hutch_result_free(result);
	hutch_sandbox_free(sandbox);
}
END_TEST

START_TEST(an_open_stdin_waits)
{
	struct hutch_result *result = NULL;
	struct hutch_sandbox *sandbox = start(NULL, &HUTCH_COMMAND(.argv = ARGV("cat"), .in.io = HUTCH_IO_PIPE));
	struct hutch_process *process = hutch_sandbox_main(sandbox);
	ck_assert_int_eq((int)hutch_process_write_stdin(process, "ab", 2, &err), 2);
	ck_assert_int_eq(hutch_sandbox_wait_until_complete(sandbox, 300, &result, &err), -HUTCH_E_TIMEOUT);
	ck_assert_int_eq((int)hutch_process_write_stdin(process, "cd", 2, &err), 2);
	ck_assert_int_eq(hutch_process_close_stdin(process, &err), 0);
	ck_assert_int_eq(hutch_process_close_stdin(process, &err), 0);
	result = finish(sandbox);
	ck_assert_str_eq(result->out.data, "abcd");
	hutch_result_free(result);
	hutch_sandbox_free(sandbox);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lib_output");
	TCase *tests = tcase_create("output");
	tcase_set_timeout(tests, 300);
	tcase_add_checked_fixture(tests, lib_set_up, lib_tear_down);
	tcase_add_test(tests, a_hundred_mebibytes_on_both);
	tcase_add_test(tests, below_the_cap_every_byte);
	tcase_add_test(tests, small_caps);
	tcase_add_test(tests, the_cap_may_kill);
	tcase_add_test(tests, any_bytes);
	tcase_add_test(tests, closed_streams);
	tcase_add_test(tests, fifty_mebibytes_both_ways);
	tcase_add_test(tests, fifty_mebibytes_to_true);
	tcase_add_test(tests, nothing_is_written_to_other_inputs);
	tcase_add_test(tests, an_open_stdin_waits);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
