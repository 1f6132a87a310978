/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The programs in the kernel: each is loaded in a child, which then makes harmless calls (all with an argument that makes
 * them fail should they get through) and compares the errno with what the filter has to say. Where nothing stops a call,
 * the errno is one that the filter never gives for it, so that the two can be told apart.
 */
#include "test_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plan/filter.h"
#include "spec/policy.h"

static struct filter filter;

static void load(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		_exit(120);
	for (unsigned i = 0; i < filter.count; i++) {
		struct sock_filter *code;
		memcpy(&code, &filter.programs[i].instructions, sizeof code); /* the kernel's struct lacks a const */
		struct sock_fprog program = {.len = filter.programs[i].length, .filter = code};
		if (syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
			_exit(121);
	}
}

/* Runs `body` in a child that wears the filter; returns the wait status. */
static int in_child(void (*body)(void *), void *argument)
{
	int status;
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		prctl(PR_SET_DUMPABLE, 0); /* no core files from those that are killed */
		load();
		body(argument);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

/* ---- calls ---- */

#define BAD_POINTER 1
#define MAYBE(e) (-(e)) /* not stopped: this errno, or any other that the filter would not give, success included */

struct call {
	const char *name;
	long arguments[6];
	int expected[3]; /* errno with default, strict, debug; MAYBE: anything but that */
};
#define ALL(e) {(e), (e), (e)}

static const struct call calls[] = {
	{"mount", {BAD_POINTER, BAD_POINTER, BAD_POINTER}, ALL(EPERM)},
	{"umount2", {BAD_POINTER}, ALL(EPERM)},
	{"pivot_root", {BAD_POINTER, BAD_POINTER}, ALL(EPERM)},
	{"chroot", {BAD_POINTER}, ALL(EPERM)},
	{"setns", {-1}, ALL(EPERM)},
	{"unshare", {1}, ALL(EPERM)},
	{"clone", {CLONE_NEWUSER | CLONE_FS}, ALL(EPERM)},
	{"clone3", {BAD_POINTER, 88}, ALL(ENOSYS)},
	{"fsopen", {BAD_POINTER}, ALL(ENOSYS)},
	{"fsconfig", {-1}, ALL(ENOSYS)},
	{"open_tree", {-1, BAD_POINTER}, ALL(ENOSYS)},
	{"mount_setattr", {-1, BAD_POINTER, 0, BAD_POINTER, 32}, ALL(ENOSYS)},
	{"bpf", {9999, BAD_POINTER, 8}, ALL(EPERM)},
	{"perf_event_open", {BAD_POINTER, 0, -1, -1}, ALL(EPERM)},
	{"userfaultfd", {0x7fffffff}, ALL(ENOSYS)},
	{"io_uring_setup", {1, BAD_POINTER}, ALL(ENOSYS)},
	{"io_uring_enter", {-1}, ALL(ENOSYS)},
	{"io_uring_register", {-1}, ALL(ENOSYS)},
	{"add_key", {BAD_POINTER, BAD_POINTER, BAD_POINTER}, ALL(EPERM)},
	{"request_key", {BAD_POINTER, BAD_POINTER, BAD_POINTER}, ALL(EPERM)},
	{"keyctl", {9999}, ALL(EPERM)},
	{"ptrace", {9999, 0}, {EPERM, EPERM, ESRCH}},
	{"process_vm_readv", {0, 0, 0, 0, 0, 1}, {EPERM, EPERM, EINVAL}},
	{"process_vm_writev", {0, 0, 0, 0, 0, 1}, {EPERM, EPERM, EINVAL}},
	{"process_madvise", {-1, BAD_POINTER, 1}, ALL(ENOSYS)},
	{"pidfd_getfd", {-1}, ALL(ENOSYS)},
	{"kcmp", {-1, -1}, ALL(EPERM)},
	{"memfd_secret", {-1}, ALL(ENOSYS)},
	{"name_to_handle_at", {-1, BAD_POINTER, BAD_POINTER, BAD_POINTER}, ALL(ENOSYS)},
	{"open_by_handle_at", {-1, BAD_POINTER}, ALL(EPERM)},
	{"settimeofday", {BAD_POINTER}, ALL(EPERM)},
	{"clock_settime", {9999}, ALL(EPERM)},
	{"mbind", {0, 0, 9999}, ALL(EPERM)},
	{"move_pages", {0, 0, 0, 0, 0, 9999}, ALL(EPERM)},
	{"modify_ldt", {9999}, ALL(EPERM)},
	{"personality", {0x0400000}, ALL(EPERM)}, /* READ_IMPLIES_EXEC */
	{"personality", {-1}, ALL(MAYBE(EPERM))},
	{"personality", {0x40000}, {EPERM, EPERM, MAYBE(EPERM)}},
	{"ioctl", {-1, TIOCSTI}, ALL(EPERM)},
	{"ioctl", {-1, 0x100000000 | TIOCSTI}, ALL(EPERM)},
	{"ioctl", {-1, TIOCLINUX}, ALL(EPERM)},
	{"ioctl", {-1, TIOCSETD}, ALL(EPERM)},
	{"ioctl", {-1, FIONREAD}, ALL(EBADF)},
	{"setsockopt", {-1, 6, 31}, ALL(ENOENT)},
	{"setsockopt", {-1, 282, 1}, ALL(ENOPROTOOPT)},
	{"setsockopt", {-1, 6, 1}, ALL(EBADF)},
	{"socket", {AF_VSOCK, SOCK_STREAM}, ALL(EAFNOSUPPORT)},
	{"socket", {AF_PACKET, SOCK_RAW}, ALL(EAFNOSUPPORT)},
	{"socket", {AF_ALG, SOCK_SEQPACKET}, ALL(EAFNOSUPPORT)},
	{"socket", {0x100000000 | AF_VSOCK, SOCK_STREAM}, ALL(EAFNOSUPPORT)},
	{"socket", {AF_NETLINK, SOCK_RAW, 9}, ALL(EAFNOSUPPORT)}, /* AUDIT */
	{"socket", {AF_NETLINK, SOCK_RAW, 0}, ALL(MAYBE(EAFNOSUPPORT))},
	{"socket", {AF_INET, SOCK_STREAM}, ALL(MAYBE(EAFNOSUPPORT))},
	{"socket", {AF_UNIX, SOCK_STREAM}, ALL(MAYBE(EAFNOSUPPORT))},
	{"socketpair", {AF_UNIX, SOCK_STREAM, 0, BAD_POINTER}, ALL(EFAULT)},
	{"socketpair", {30, SOCK_STREAM, 0, BAD_POINTER}, ALL(EAFNOSUPPORT)},
	{"prctl", {PR_SET_MM, 9999, 0, 0, 0}, ALL(EPERM)},
	{"prlimit64", {1, RLIMIT_NOFILE, BAD_POINTER, 0}, ALL(EPERM)},
	{"prlimit64", {0x100000000, RLIMIT_NOFILE, BAD_POINTER, 0}, ALL(EFAULT)},
	{"prlimit64", {0, RLIMIT_NOFILE, BAD_POINTER, 0}, ALL(EFAULT)},
	{"prlimit64", {0, RLIMIT_CORE, BAD_POINTER, 0}, ALL(EINVAL)},
	{"prlimit64", {0, RLIMIT_CORE, 0, BAD_POINTER}, ALL(EFAULT)},
	{"setrlimit", {RLIMIT_CORE, BAD_POINTER}, ALL(EINVAL)},
	{"setrlimit", {RLIMIT_NOFILE, BAD_POINTER}, ALL(EFAULT)},
	{"flock", {-1, 1}, {EBADF, ENOLCK, EBADF}},
	{"fcntl", {-1, F_SETLK, BAD_POINTER}, {EBADF, ENOLCK, EBADF}},
	{"fcntl", {-1, F_OFD_GETLK, BAD_POINTER}, {EBADF, ENOLCK, EBADF}},
	{"fcntl", {-1, F_SETLEASE, 0}, {EBADF, EPERM, EBADF}},
	{"fcntl", {-1, F_GETFL}, ALL(EBADF)},
	{"splice", {-1, 0, -1, 0, 1}, {EBADF, ENOSYS, EBADF}},
	{"syncfs", {-1}, {EBADF, 0, EBADF}},
	{"pidfd_send_signal", {-1, 9}, ALL(EBADF)},
	{"seccomp", {9999}, ALL(EINVAL)},
	{"statx", {-1, BAD_POINTER}, ALL(EFAULT)},
	{"landlock_create_ruleset", {BAD_POINTER, 1}, ALL(MAYBE(EPERM))},
};

static const struct call calls_nosuid[] = {
	{"chmod", {BAD_POINTER, 04755}, ALL(EPERM)},
	{"chmod", {BAD_POINTER, 0755}, ALL(EFAULT)},
	{"fchmod", {-1, 02755}, ALL(EPERM)},
	{"fchmod", {-1, 01777}, ALL(EBADF)},
	{"fchmodat", {-1, BAD_POINTER, 06755}, ALL(EPERM)},
	{"fchmodat2", {-1, BAD_POINTER, 06755, 0}, ALL(EPERM)},
	{"mknod", {BAD_POINTER, S_IFREG | 04755}, ALL(EPERM)},
	{"mknodat", {-1, BAD_POINTER, S_IFREG | 04755}, ALL(EPERM)},
	{"mkdir", {BAD_POINTER, 02755}, ALL(EPERM)},
	{"mkdirat", {-1, BAD_POINTER, 02755}, ALL(EPERM)},
	{"mkdirat", {-1, BAD_POINTER, 0755}, ALL(EFAULT)},
	{"creat", {BAD_POINTER, 04700}, ALL(EPERM)},
	{"open", {BAD_POINTER, O_CREAT | O_WRONLY, 04700}, ALL(EPERM)},
	{"open", {BAD_POINTER, O_TMPFILE | O_WRONLY, 02700}, ALL(EPERM)},
	{"open", {BAD_POINTER, O_WRONLY, 04700}, ALL(EFAULT)},
	{"openat", {-1, BAD_POINTER, O_CREAT | O_WRONLY, 04700}, ALL(EPERM)},
	{"openat", {-1, BAD_POINTER, O_CREAT | O_WRONLY, 0700}, ALL(EFAULT)},
	{"openat", {-1, BAD_POINTER, O_RDONLY, -1}, ALL(EFAULT)},
	{"openat2", {-1, BAD_POINTER, BAD_POINTER, 24}, ALL(ENOSYS)},
};

static const struct call calls_plain[] = {
	{"chmod", {BAD_POINTER, 04755}, ALL(EFAULT)},
	{"openat", {-1, BAD_POINTER, O_CREAT | O_WRONLY, 04700}, ALL(EFAULT)},
	{"openat2", {-1, BAD_POINTER, BAD_POINTER, 24}, ALL(EFAULT)},
};

struct attempt {
	const struct call *call;
	int profile;
};

/* Ends with 0, or with 100 when the answer is another. */
static void attempt(void *argument)
{
	const struct attempt *a = argument;
	const long *n = a->call->arguments;
	int number = policy_number(policy_arch_native(), a->call->name), expected = a->call->expected[a->profile];
	errno = 0;
	long ret = syscall(number, n[0], n[1], n[2], n[3], n[4], n[5]);
	int got = ret == -1 ? errno : 0;
	if (expected < 0 ? got == -expected : got != expected) {
		dprintf(2, "%s(%ld, %ld, %ld, %ld): %s\n", a->call->name, n[0], n[1], n[2], n[3], strerrorname_np(got));
		_exit(100);
	}
}

static void attempt_all(const struct call *list, size_t count, int profile)
{
	for (size_t i = 0; i < count; i++) {
		struct attempt a = {.call = &list[i], .profile = profile};
		if (policy_number(policy_arch_native(), list[i].name) < 0)
			continue;
		int status = in_child(attempt, &a);
		ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: row %zu, profile %d, wait status %#x", list[i].name, i,
		              profile, (unsigned)status);
	}
}
#define ATTEMPT_ALL(list, profile) attempt_all((list), sizeof(list) / sizeof *(list), (profile))

START_TEST(harmless_calls_are_answered)
{
	ck_assert_int_eq(filter_select((enum hutch_seccomp)(_i / 2), _i % 2, &filter), 0);
	ATTEMPT_ALL(calls, _i / 2);
	if (_i % 2)
		ATTEMPT_ALL(calls_nosuid, _i / 2);
	else
		ATTEMPT_ALL(calls_plain, _i / 2);
}
END_TEST

/* ---- numbers and architectures ---- */

static void unknown_numbers(void *argument)
{
	(void)argument;
	static const long numbers[] = {470, 471, 500, 999, 0x3fffffff,
#ifdef __x86_64__
	                               0x40000000 | __NR_getpid, 0x40000000 | 520,
#endif
	};
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		if (syscall(numbers[i], -1, -1, -1, -1, -1, -1) != -1 || errno != ENOSYS)
			_exit(100);
}

START_TEST(unknown_numbers_do_not_exist)
{
	ck_assert_int_eq(filter_select((enum hutch_seccomp)(_i / 2), _i % 2, &filter), 0);
	int status = in_child(unknown_numbers, NULL);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "wait status %#x", (unsigned)status);
}
END_TEST

#ifdef __x86_64__
static void getpid_of_i386(void *argument)
{
	(void)argument;
	long ret;
	__asm__ volatile("int $0x80" : "=a"(ret) : "a"(20L) : "memory", "r8", "r9", "r10", "r11");
	_exit(ret > 0 ? 100 : 101);
}

/* SIGSEGV: a kernel without 32-bit calls. */
START_TEST(other_architecture_is_killed)
{
	ck_assert_int_eq(filter_select((enum hutch_seccomp)(_i / 2), _i % 2, &filter), 0);
	int status = in_child(getpid_of_i386, NULL);
	ck_assert_msg(WIFSIGNALED(status) && (WTERMSIG(status) == SIGSYS || WTERMSIG(status) == SIGSEGV), "wait status %#x", (unsigned)status);
}
END_TEST
#endif

/* ---- programs ---- */

static void run_shell(void *script)
{
	execl("/bin/sh", "sh", "-c", script, (char *)NULL);
	_exit(126);
}

static const char *const scripts[] = {
	"ls -l / | sort | head -3 > /dev/null && test \"$(echo a | cat)\" = a",
	"command -v python3 > /dev/null || exit 0; exec python3 -c 'import threading, subprocess, socket, tempfile, multiprocessing as m\n"
	"t = threading.Thread(target=print); t.start(); t.join()\n"
	"assert subprocess.run([\"true\"]).returncode == 0\n"
	"s = socket.socketpair(); s[0].send(b\"x\"); assert s[1].recv(1) == b\"x\"\n"
	"tempfile.TemporaryFile().write(b\"x\")' > /dev/null",
	/* gives up when core dumps cannot be switched off for any other reason than that there are none */
	"command -v gpg > /dev/null || exit 0; exec gpg --version > /dev/null 2>&1",
};

START_TEST(programs_run)
{
	ck_assert_int_eq(filter_select((enum hutch_seccomp)(_i / 2), _i % 2, &filter), 0);
	for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
		char script[1024];
		strcpy(script, scripts[i]);
		int status = in_child(run_shell, script);
		ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "wait status %#x of %s", (unsigned)status, script);
	}
}
END_TEST

/* ---- a user's own policy ---- */

START_TEST(own_policy_is_loaded)
{
	static const char text[] = "include default\nallow ioctl prlimit64 fchmod\ndeny socket errno EACCES\n";
	static const struct call own[] = {
		{"socket", {AF_UNIX, SOCK_STREAM}, {EACCES}},
		{"ioctl", {-1, TIOCSTI}, {EPERM}},
		{"prlimit64", {1, RLIMIT_NOFILE, BAD_POINTER, 0}, {EPERM}},
		{"fchmod", {-1, 04755}, {EPERM}},
		{"clone", {CLONE_NEWUSER | CLONE_FS}, {EPERM}},
		{"mount", {BAD_POINTER, BAD_POINTER, BAD_POINTER}, {EPERM}},
	};
	char script[] = "ls / > /dev/null";
	struct hutch_error err = {0};
	ck_assert_msg(filter_compile_policy_text("text", text, strlen(text), NULL, true, &filter, &err) == 0, "%s", err.message);
	ATTEMPT_ALL(own, 0);
	int status = in_child(run_shell, script);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "wait status %#x", (unsigned)status);
	filter_done(&filter);
}
END_TEST

Suite *suite_filter_live(void)
{
	Suite *suite = suite_create("filter_live");
	TCase *tcase = tcase_create("live");
	tcase_set_timeout(tcase, 120);
	tcase_add_loop_test(tcase, harmless_calls_are_answered, 0, 6);
	tcase_add_loop_test(tcase, unknown_numbers_do_not_exist, 0, 6);
#ifdef __x86_64__
	tcase_add_loop_test(tcase, other_architecture_is_killed, 0, 6);
#endif
	tcase_add_loop_test(tcase, programs_run, 0, 6);
	tcase_add_test(tcase, own_policy_is_loaded);
	suite_add_tcase(suite, tcase);
	return suite;
}
