/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_TESTS_HELPERS_H
#define HUTCH_TESTS_HELPERS_H

/* The little that most test programs need. Header only, so that programs of libhutch's users can have it, too. */

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof(array)[0]))

static inline int run_suite(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#if defined(__SANITIZE_ADDRESS__)
#define IS_SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IS_SANITIZED true
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED false /* else memory and time are not what they are without */
#endif

/* A test that cannot be made here passes, and says so. */
static inline bool skipped(bool cannot, const char *test, const char *reason)
{
	if (cannot)
		fprintf(stderr, "skipped: %s: %s\n", test, reason);
	return cannot;
}
#define SKIP_UNLESS_ROOT() do { if (skipped(geteuid() != 0, __func__, "needs root")) return; } while (0)
#define SKIP_IF_ROOT()     do { if (skipped(geteuid() == 0, __func__, "is about an ordinary user")) return; } while (0)

static inline unsigned count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;
	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count - 3; /* ".", ".." and the directory itself */
}

static inline double now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1000 + (double)now.tv_nsec / 1e6;
}

static inline void sleep_us(long us)
{
	const struct timespec time = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
	nanosleep(&time, NULL);
}

/* From now on, this process and its children get `error` from system call `number`, if the low half of argument `index`
 * is `value` (index -1: always). There is no way back: for forked tests. */
static inline void deny_call_if(int number, int index, uint32_t value, int error)
{
	struct sock_filter filter[8];
	unsigned short length = 0;
	filter[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	filter[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, index < 0 ? 1 : 3);
	if (index >= 0) {
		filter[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(offsetof(struct seccomp_data, args) + 8 * (size_t)index));
		filter[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
	}
	filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error);
	filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	const struct sock_fprog program = {.len = length, .filter = filter};
	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq((int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), 0);
}

static inline void deny_call(int number, int error)
{
	deny_call_if(number, -1, 0, error);
}

/* A new empty directory, which the test leaves behind empty or removes; in TMPDIR. */
static inline char *make_directory(void)
{
	static char path[4096];
	const char *parent = getenv("TMPDIR");
	snprintf(path, sizeof path, "%s/hutch-case-XXXXXX", parent && *parent ? parent : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(path));
	return path;
}

#endif
