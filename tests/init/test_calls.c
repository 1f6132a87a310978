/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A failure in every stage that no request can provoke: a filter on this process, which the new sandbox inherits, makes
 * one system call fail. The record must name the stage and the error, carry a hint, and nothing of the payload may have
 * run: a sandbox with a layer missing does not exist. What may be missing is reported.
 */
#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/mount.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <sched.h>

#include <hutch/hutch.h>

#include "helpers.h"
#include "plan/stage.h"

#define ANY  (-1)
#define ROOT 1
#define USER 2
#define BOTH 3

static const struct {
	int call, index;      /* the low half of argument `index` ... */
	uint32_t value;       /* ... is this */
	int error;
	enum stage stage;     /* which fails then; STAGE_NONE: none does, and a warning says that a layer is missing */
	int who;
	uint32_t best_effort;
	bool pty;
} calls[] = {
	/* the owner's part */
	{SYS_clone3, ANY, 0, EPERM, STAGE_CLONE, BOTH, 0, false},
	{SYS_clone3, ANY, 0, ENOSYS, STAGE_CLONE, BOTH, 0, false},
	{SYS_clone3, ANY, 0, ENOSPC, STAGE_CLONE, BOTH, 0, false},
	{SYS_close_range, 2, 0, EPERM, STAGE_CLONE, USER, 0, false},
	{SYS_capset, ANY, 0, EPERM, STAGE_LAUNCH, BOTH, 0, false},
	{SYS_execveat, ANY, 0, EACCES, STAGE_LAUNCH, BOTH, 0, false},
	{SYS_prctl, 0, PR_CAP_AMBIENT, EPERM, STAGE_LAUNCH, BOTH, 0, false},

	/* building the sandbox */
	{SYS_signalfd4, ANY, 0, EMFILE, STAGE_RECEIVE, BOTH, 0, false},
	{SYS_setresuid, ANY, 0, EPERM, STAGE_IDS, ROOT, 0, false},
	{SYS_setresgid, ANY, 0, EPERM, STAGE_IDS, ROOT, 0, false},
	{SYS_setgroups, 0, 0, EPERM, STAGE_IDS, ROOT, 0, false},
	{SYS_prctl, 0, PR_SET_DUMPABLE, EPERM, STAGE_CAPABILITIES, BOTH, 0, false},
	{SYS_prctl, 0, PR_CAPBSET_DROP, EPERM, STAGE_CAPABILITIES, BOTH, 0, false},
	{SYS_mount, ANY, 0, EACCES, STAGE_PROPAGATION, BOTH, 0, false},
	{SYS_write, 2, 1, EROFS, STAGE_NESTED_USERNS, BOTH, 0, false},
	{SYS_write, 2, 1, EROFS, STAGE_NONE, BOTH, HUTCH_LAYER_NESTED_USERNS, false},
	{SYS_fsopen, ANY, 0, EPERM, STAGE_ROOT, BOTH, 0, false},
	{SYS_fsmount, ANY, 0, EPERM, STAGE_ROOT, BOTH, 0, false},
	{SYS_move_mount, ANY, 0, EPERM, STAGE_ROOT, BOTH, 0, false},
	{SYS_open_tree, ANY, 0, EPERM, STAGE_MOUNTS, BOTH, 0, false},
	{SYS_mount_setattr, ANY, 0, EPERM, STAGE_MOUNTS, BOTH, 0, false},
	{SYS_symlinkat, ANY, 0, EPERM, STAGE_MOUNTS, BOTH, 0, false},
	{SYS_statx, ANY, 0, EPERM, STAGE_ROOT, BOTH, 0, false},
	{SYS_fsmount, 2, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, EPERM, STAGE_PROC, BOTH, 0, false},
	{SYS_fsmount, 2, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, EPERM, STAGE_DEV, BOTH, 0, false},
	{SYS_umount2, 1, 2 | 8 /* MNT_DETACH | UMOUNT_NOFOLLOW */, EPERM, STAGE_READONLY, BOTH, 0, false},
	{SYS_pivot_root, ANY, 0, EPERM, STAGE_PIVOT, BOTH, 0, false},
	{SYS_umount2, 1, 2 /* MNT_DETACH */, EPERM, STAGE_DETACH, BOTH, 0, false},
	{SYS_chdir, ANY, 0, EPERM, STAGE_DETACH, BOTH, 0, false},
	{SYS_socket, ANY, 0, EACCES, STAGE_LOOPBACK, BOTH, 0, false},
	{SYS_ioctl, 1, 0x8914 /* SIOCSIFFLAGS */, EPERM, STAGE_LOOPBACK, BOTH, 0, false},
	{SYS_sethostname, ANY, 0, EPERM, STAGE_HOSTNAME, BOTH, 0, false},
	{SYS_keyctl, ANY, 0, EPERM, STAGE_KEYRING, BOTH, 0, false},
	{SYS_keyctl, ANY, 0, EDQUOT, STAGE_NONE, BOTH, 0, false},
	{SYS_keyctl, ANY, 0, EPERM, STAGE_NONE, BOTH, HUTCH_LAYER_KEYRING, false},
	{SYS_landlock_create_ruleset, ANY, 0, EPERM, STAGE_LANDLOCK, BOTH, 0, false},
	{SYS_landlock_create_ruleset, ANY, 0, ENOSYS, STAGE_NONE, BOTH, 0, false},
	{SYS_landlock_create_ruleset, ANY, 0, EOPNOTSUPP, STAGE_NONE, BOTH, 0, false},
	{SYS_landlock_create_ruleset, ANY, 0, EPERM, STAGE_NONE, BOTH, HUTCH_LAYER_LANDLOCK, false},
	{SYS_landlock_add_rule, ANY, 0, EPERM, STAGE_LANDLOCK, BOTH, 0, false},
	{SYS_landlock_restrict_self, ANY, 0, EPERM, STAGE_LANDLOCK, BOTH, 0, false},
	{SYS_landlock_restrict_self, ANY, 0, ENOSYS, STAGE_LANDLOCK, BOTH, 0, false}, /* it was there a moment ago */
	{SYS_prctl, 0, PR_SET_SECUREBITS, EPERM, STAGE_SETTLE, BOTH, 0, false},
	{SYS_prctl, 0, PR_SET_NO_NEW_PRIVS, EPERM, STAGE_SETTLE, BOTH, 0, false},

	/* starting the command */
	{SYS_setsid, ANY, 0, EPERM, STAGE_SESSION, BOTH, 0, false},
	{SYS_setsid, ANY, 0, EPERM, STAGE_TERMINAL, BOTH, 0, true},
	{SYS_ioctl, 1, 0x540e /* TIOCSCTTY */, EPERM, STAGE_TERMINAL, BOTH, 0, true},
	{SYS_ioctl, 1, 0x5410 /* TIOCSPGRP */, EPERM, STAGE_SESSION, BOTH, 0, true},
	{SYS_ioctl, 1, 0x40045431 /* TIOCSPTLCK */, EPERM, STAGE_FORK, BOTH, 0, true},
	{SYS_close_range, 2, 4 /* CLOSE_RANGE_CLOEXEC */, EPERM, STAGE_STREAMS, BOTH, 0, false},
	{SYS_unshare, ANY, 0, EPERM, STAGE_CGROUP_NS, BOTH, 0, false},
	{SYS_unshare, ANY, 0, EPERM, STAGES, BOTH, HUTCH_LAYER_CGROUP_NS, false},
	{SYS_prlimit64, ANY, 0, EPERM, STAGE_RLIMITS, BOTH, 0, false},
	{SYS_setgroups, 0, 1, EPERM, STAGE_USER, ROOT, 0, false},
	{SYS_getresuid, ANY, 0, EPERM, STAGE_USER, ROOT, 0, false},
	{SYS_prctl, 0, PR_SET_PDEATHSIG, EPERM, STAGE_PRIVILEGES, BOTH, 0, false},
	{SYS_getcwd, ANY, 0, EPERM, STAGE_CWD, BOTH, 0, false},
	{SYS_seccomp, 0, SECCOMP_SET_MODE_FILTER, EINVAL, STAGE_SECCOMP, BOTH, 0, false},
	{SYS_seccomp, 0, SECCOMP_SET_MODE_FILTER, ENOSYS, STAGE_SECCOMP, BOTH, 0xffffffff, false}, /* never optional */
	{SYS_pivot_root, ANY, 0, ENOSYS, STAGE_PIVOT, BOTH, 0xffffffff, false},
	{SYS_prctl, 0, PR_SET_NO_NEW_PRIVS, EINVAL, STAGE_SETTLE, BOTH, 0xffffffff, false},
	{SYS_prctl, 0, PR_CAPBSET_DROP, EPERM, STAGE_CAPABILITIES, BOTH, 0xffffffff, false},
	{SYS_execve, ANY, 0, EPERM, STAGE_EXEC, BOTH, 0, false},
	{SYS_execve, ANY, 0, ENOMEM, STAGE_EXEC, BOTH, 0, false},
};

static struct hutch *h;
static struct hutch_error err;
static int out[2];

static void set_up(void)
{
	ck_assert_int_eq(hutch_new(&h, &err), 0);
	ck_assert_int_eq(pipe2(out, O_CLOEXEC | O_NONBLOCK), 0); /* before pipe2 can be one of those that fail */
}

static void tear_down(void)
{
	hutch_free(h);
	close(out[0]);
	close(out[1]);
}

/* What the payload wrote: it never runs in a sandbox that is not complete. */
static void check_silence(bool silent)
{
	char text[256];
	ssize_t size = read(out[0], text, sizeof text);
	if (silent)
		ck_assert_msg(size <= 0, "the payload has run");
	else
		ck_assert_msg(size > 0, "the payload has not run");
}

static void check_record(const struct hutch_error *error, int expected, int sys_errno)
{
	ck_assert_msg(strcmp(error->stage, stage_name((unsigned)expected)) == 0, "stage \"%s\" instead of \"%s\" (%s)", error->stage, stage_name((unsigned)expected), error->message);
	ck_assert_msg(error->sys_errno == sys_errno, "%s instead of %s (%s)", hutch_errno_name(error->sys_errno), hutch_errno_name(sys_errno), error->message);
	ck_assert_str_ne(error->message, "");
	ck_assert_str_ne(error->hint, "");
	ck_assert_int_ne(error->code, 0);
}

START_TEST(a_call_that_fails)
{
	static const char *const argv[] = {"echo", "ran", NULL};
	struct hutch_sandbox *sandbox = NULL;
	struct hutch_result *result = NULL;
	bool root = geteuid() == 0;
	if (skipped(!(calls[_i].who & (root ? ROOT : USER)), stage_name((unsigned)calls[_i].stage), root ? "fails for an ordinary user only" : "fails for root only"))
		return;
	struct hutch_command command = HUTCH_COMMAND(.argv = argv, .out = {HUTCH_IO_FD, out[1]}, .err.io = HUTCH_IO_NULL);
	if (calls[_i].pty)
		command.in.io = HUTCH_IO_PTY;
	deny_call_if(calls[_i].call, calls[_i].index, calls[_i].value, calls[_i].error);
	int ret = hutch_sandbox_run(h, &HUTCH_SPEC(.best_effort = calls[_i].best_effort), &command, &sandbox, &err);
	if (ret < 0) {
		check_record(&err, (int)calls[_i].stage, calls[_i].error);
		check_silence(true);
		return;
	}
	ret = hutch_sandbox_wait_until_complete(sandbox, 20000, &result, &err);
	ck_assert_msg(ret == 0, "%s", err.message);
	if (calls[_i].stage == STAGE_NONE || calls[_i].stage == STAGES) {
		ck_assert_msg(result->outcome == HUTCH_OUTCOME_EXITED, "%s: %s", result->error.stage, result->error.message);
		check_silence(false);
		ck_assert_msg(result->warnings[0] || calls[_i].stage == STAGES, "nobody is told");
	} else {
		ck_assert_str_eq(hutch_outcome_name((int)result->outcome), "not_started");
		ck_assert_int_ge(result->returncode, 125);
		check_record(&result->error, (int)calls[_i].stage, calls[_i].error);
		check_silence(true);
	}
	hutch_result_free(result);
	hutch_sandbox_free(sandbox);
	check_silence(true);
}
END_TEST

/* No stage is forgotten: each fails in this table, or is listed here with the reason. */
START_TEST(every_stage_is_in_the_table)
{
	static const enum stage elsewhere[] = {
		STAGE_PLAN,  /* fails for wrong requests: the library's scenarios */
		STAGE_MAPS,  /* below */
		STAGE_MASKS, /* test_plans.c: its calls are those of earlier stages */
	};
	for (int stage = STAGE_NONE + 1; stage < STAGES; stage++) {
		bool found = false;
		for (int i = 0; i < COUNT(calls); i++)
			found |= (int)calls[i].stage == stage;
		for (int i = 0; i < COUNT(elsewhere); i++)
			found |= (int)elsewhere[i] == stage;
		ck_assert_msg(found, "stage %s never fails", stage_name((unsigned)stage));
	}
}
END_TEST

/* An ordinary user's child writes "deny", 4 bytes, and its maps; real root's owner writes them. */
START_TEST(maps_that_cannot_be_written)
{
	static const char *const argv[] = {"echo", "ran", NULL};
	struct hutch_sandbox *sandbox = NULL;
	char map[64];
	for (uint32_t size = sizeof "0 123456789 65536" - 1; geteuid() == 0 && size <= sizeof "0 1234567890 65536" - 1; size++)
		deny_call_if(SYS_write, 2, size, EPERM);
	deny_call_if(SYS_write, 2, (uint32_t)snprintf(map, sizeof map, "1000 %u 1", geteuid()), EPERM);
	int ret = hutch_sandbox_run(h, NULL, &HUTCH_COMMAND(.argv = argv, .out = {HUTCH_IO_FD, out[1]}, .err.io = HUTCH_IO_NULL), &sandbox, &err);
	ck_assert_int_lt(ret, 0);
	check_record(&err, STAGE_MAPS, EPERM);
	check_silence(true);
}
END_TEST

/* Without openat2 all goes well, by the longer way. */
START_TEST(without_openat2)
{
	static const char *const argv[] = {"echo", "ran", NULL};
	struct hutch_sandbox *sandbox = NULL;
	struct hutch_result *result = NULL;
	deny_call(SYS_openat2, _i ? EPERM : ENOSYS);
	ck_assert_int_eq(hutch_sandbox_run(h, NULL, &HUTCH_COMMAND(.argv = argv, .out = {HUTCH_IO_FD, out[1]}), &sandbox, &err), 0);
	ck_assert_int_eq(hutch_sandbox_wait_until_complete(sandbox, 20000, &result, &err), 0);
	ck_assert_int_eq((int)result->outcome, HUTCH_OUTCOME_EXITED);
	check_silence(false);
	hutch_result_free(result);
	hutch_sandbox_free(sandbox);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("calls");
	TCase *tests = tcase_create("calls");
	tcase_set_timeout(tests, 60);
	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_loop_test(tests, a_call_that_fails, 0, COUNT(calls));
	tcase_add_test(tests, every_stage_is_in_the_table);
	tcase_add_test(tests, maps_that_cannot_be_written);
	tcase_add_loop_test(tests, without_openat2, 0, 2);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
