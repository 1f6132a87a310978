/* SPDX-License-Identifier: Apache-2.0 */
/* What everything stands on: errors as values, names, ownership by scope, and clone3 onto a stack of one's own. */
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <hutch/hutch.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/sys.h"
#include "helpers.h"

/* ---- errors ---- */

static struct hutch_error err;

START_TEST(code_message_and_nothing_else)
{
	memset(&err, 0x5a, sizeof err);
	ck_assert_int_eq(err_set(&err, HUTCH_E_INVALID, "field %d", 7), -HUTCH_E_INVALID);
	ck_assert_int_eq(err.code, HUTCH_E_INVALID);
	ck_assert_int_eq(err.sys_errno, 0);
	ck_assert_str_eq(err.message, "field 7");
	ck_assert_str_eq(err.stage, "");
	ck_assert_str_eq(err.hint, "");
}
END_TEST

START_TEST(a_failed_call_keeps_its_errno)
{
	ck_assert_int_eq(err_sys(&err, HUTCH_E_SYSTEM, ENOENT, "open %s", "x"), -HUTCH_E_SYSTEM);
	ck_assert_int_eq(err.sys_errno, ENOENT);
	ck_assert_str_eq(err.message, "open x: No such file or directory");
	err_sys(&err, HUTCH_E_SYSTEM, 4095, "odd");
	ck_assert_ptr_nonnull(strstr(err.message, "odd: "));
}
END_TEST

START_TEST(null_takes_no_error)
{
	ck_assert_int_eq(err_set(NULL, HUTCH_E_BUSY, "%s", "x"), -HUTCH_E_BUSY);
	ck_assert_int_eq(err_sys(NULL, HUTCH_E_SYSTEM, EIO, "x"), -HUTCH_E_SYSTEM);
	ck_assert_int_eq(err_prefix(NULL, -5, "x"), -5);
	ck_assert_int_eq(err_hint(NULL, -6, "x"), -6);
	ck_assert_int_eq(err_stage(NULL, -7, "x"), -7);
}
END_TEST

/* Everything is cut to its field, terminated, and what follows the struct stays as it was. */
START_TEST(long_texts_are_cut)
{
	struct {
		struct hutch_error err;
		char canary[64];
	} both;
	char text[4096];
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	memset(both.canary, 0x77, sizeof both.canary);
	err_set(&both.err, HUTCH_E_INVALID, "%s", text);
	ck_assert_uint_eq(strlen(both.err.message), sizeof both.err.message - 1);
	for (size_t length = sizeof both.err.message - 40; length < sizeof both.err.message + 5; length++) {
		text[length] = '\0';
		err_sys(&both.err, HUTCH_E_SYSTEM, ENOENT, "%s", text);
		ck_assert_uint_lt(strlen(both.err.message), sizeof both.err.message);
		ck_assert_int_eq(both.err.message[0], 'x');
		ck_assert_int_eq(err_prefix(&both.err, -1, "p"), -1);
		ck_assert_int_eq(strncmp(both.err.message, "p: xx", 5), 0);
		text[length] = 'x';
	}
	ck_assert_int_eq(err_prefix(&both.err, -1, "%s", text), -1);
	ck_assert_uint_eq(strlen(both.err.message), sizeof both.err.message - 1);
	err_hint(&both.err, -1, "%s", text);
	ck_assert_uint_eq(strlen(both.err.hint), sizeof both.err.hint - 1);
	err_stage(&both.err, -1, text);
	ck_assert_uint_eq(strlen(both.err.stage), sizeof both.err.stage - 1);
	for (size_t i = 0; i < sizeof both.canary; i++)
		ck_assert_int_eq(both.canary[i], 0x77);
}
END_TEST

START_TEST(context_is_added_in_front)
{
	err_sys(&err, HUTCH_E_SYSTEM, EIO, "inner");
	err_hint(&err, 0, "try %s", "again");
	err_stage(&err, 0, "mounts");
	ck_assert_int_eq(err_prefix(&err, -3, "outer %d", 1), -3);
	ck_assert_str_eq(err.message, "outer 1: inner: Input/output error");
	ck_assert_str_eq(err.hint, "try again");
	ck_assert_str_eq(err.stage, "mounts");
	ck_assert_int_eq(err.sys_errno, EIO);
}
END_TEST

START_TEST(an_error_is_a_kibibyte)
{
	ck_assert_uint_eq(sizeof(struct hutch_error), 1024);
}
END_TEST

/* ---- names ---- */

static void check_names(const char *(*name)(int), int count)
{
	for (int i = 0; i < count; i++) {
		ck_assert_msg(name(i) && *name(i), "%d has no name", i);
		ck_assert_str_ne(name(i), "unknown");
		for (const char *at = name(i); *at; at++)
			ck_assert_msg((*at >= 'a' && *at <= 'z') || *at == '_', "%s", name(i));
		for (int j = 0; j < i; j++)
			ck_assert_str_ne(name(i), name(j));
	}
	const int others[] = {-1, count, count + 1, 1 << 30, -(1 << 30)};
	for (int i = 0; i < COUNT(others); i++)
		ck_assert_str_eq(name(others[i]), "unknown");
}

START_TEST(every_code_and_outcome_has_its_name)
{
	check_names(hutch_error_code_name, HUTCH_E_CODES);
	check_names(hutch_outcome_name, HUTCH_OUTCOMES);
	/* programs compare with these words */
	ck_assert_str_eq(hutch_error_code_name(HUTCH_E_NOT_EXECUTABLE), "not_executable");
	ck_assert_str_eq(hutch_outcome_name(HUTCH_OUTCOME_NOT_STARTED), "not_started");
	ck_assert_str_eq(hutch_outcome_name(HUTCH_OUTCOME_EXITED), "exited");
}
END_TEST

START_TEST(errno_names)
{
	ck_assert_str_eq(hutch_errno_name(ENOENT), "ENOENT");
	ck_assert_str_eq(hutch_errno_name(0), "");
	ck_assert_str_eq(hutch_errno_name(-ENOENT), "");
	ck_assert_str_eq(hutch_errno_name(1 << 20), "");
}
END_TEST

START_TEST(version_is_there)
{
	ck_assert_str_eq(hutch_version(), HUTCH_VERSION);
}
END_TEST

/* ---- ownership ---- */

START_TEST(scopes_close_and_free)
{
	unsigned before = count_fds();
	int kept = -1;
	{
		CLEANUP_CLOSE int a = open("/", O_RDONLY | O_CLOEXEC);
		CLEANUP_CLOSE int b = open("/", O_RDONLY | O_CLOEXEC);
		CLEANUP_FREE char *text = strdup("x");
		ck_assert_ptr_nonnull(text);
		ck_assert_int_ge(a, 0);
		kept = TAKE_FD(b);
		ck_assert_int_eq(b, -1);
		ck_assert_uint_eq(count_fds(), before + 2);
	}
	ck_assert_uint_eq(count_fds(), before + 1);
	close(kept);
	CLEANUP_FREE char *text = strdup("y");
	char *taken = TAKE(text);
	ck_assert_ptr_null(text);
	free(taken);
}
END_TEST

/* ---- clone3 ---- */

#define STACK 65536

struct seen {
	long argument, pid, aligned;
	uintptr_t frame;
};

_Noreturn static void child(void *arg)
{
	struct seen *seen = arg;
	char local[32] __attribute__((aligned(16)));
	seen->argument = 42;
	seen->pid = sys_call0(SYS_getpid);
	seen->frame = (uintptr_t)__builtin_frame_address(0);
	seen->aligned = (uintptr_t)local % 16;
	for (;;)
		sys_call1(SYS_exit_group, 7);
}

static void clone_and_wait(uint64_t flags)
{
	char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct seen *seen = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const struct sys_clone_args args = {.flags = flags, .exit_signal = SIGCHLD, .stack = (uint64_t)(uintptr_t)stack, .stack_size = STACK};
	long pid = sys_clone3(&args, child, seen);
	int status = 0;
	ck_assert_int_gt((int)pid, 0);
	ck_assert_int_eq(waitpid((pid_t)pid, &status, 0), (pid_t)pid);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 7);
	ck_assert_int_eq((int)seen->argument, 42);
	ck_assert_int_eq((int)seen->pid, (int)pid);
	ck_assert_int_eq((int)seen->aligned, 0);
	ck_assert_msg(seen->frame > (uintptr_t)stack && seen->frame < (uintptr_t)stack + STACK, "the child ran on another stack");
	munmap(stack, STACK);
	munmap(seen, 4096);
}

START_TEST(clone_runs_a_function_on_its_stack)
{
	clone_and_wait(0);
	clone_and_wait(CLONE_VM);
	clone_and_wait(CLONE_VM | CLONE_VFORK);
}
END_TEST

START_TEST(clone_tells_its_error)
{
	const struct sys_clone_args args = {.flags = CLONE_THREAD};
	errno = 0;
	ck_assert_int_eq((int)sys_clone3(&args, child, NULL), -EINVAL);
	ck_assert_int_eq(errno, 0); /* raw calls leave it alone */
}
END_TEST

START_TEST(raw_calls_return_errors)
{
	errno = 0;
	ck_assert_int_eq((int)sys_call1(SYS_close, -1), -EBADF);
	ck_assert_int_eq(errno, 0);
	ck_assert_int_eq((int)sys_call0(SYS_getpid), getpid());
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("base");
	TCase *tests = tcase_create("base");
	tcase_add_test(tests, code_message_and_nothing_else);
	tcase_add_test(tests, a_failed_call_keeps_its_errno);
	tcase_add_test(tests, null_takes_no_error);
	tcase_add_test(tests, long_texts_are_cut);
	tcase_add_test(tests, context_is_added_in_front);
	tcase_add_test(tests, an_error_is_a_kibibyte);
	tcase_add_test(tests, every_code_and_outcome_has_its_name);
	tcase_add_test(tests, errno_names);
	tcase_add_test(tests, version_is_there);
	tcase_add_test(tests, scopes_close_and_free);
	tcase_add_test(tests, clone_runs_a_function_on_its_stack);
	tcase_add_test(tests, clone_tells_its_error);
	tcase_add_test(tests, raw_calls_return_errors);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
