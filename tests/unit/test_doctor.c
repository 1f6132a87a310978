/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The doctor on this host, and on hosts that are made worse: a seccomp filter on the caller takes one system call away,
 * an outer user namespace forbids inner ones, a resource limit is reached. Each time the finding must say so, name a
 * fix, and leave nothing behind. Runs as root and as an ordinary user.
 */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <hutch/hutch.h>

#include "kernel/probe_table.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof(array)[0]))
#define ROOM 64

static char any;
#define HANDLE ((struct hutch *)(void *)&any) /* the doctor does not look into it */

static struct hutch_finding findings[ROOM];
static int count;

static void run_doctor(void)
{
	memset(findings, 0x5a, sizeof findings);
	count = hutch_doctor(HANDLE, findings, ROOM, NULL);
	ck_assert_int_gt(count, 20);
	ck_assert_int_lt(count, ROOM);
}

static const struct hutch_finding *find(const char *name)
{
	for (int i = 0; i < count; i++)
		if (strcmp(findings[i].name, name) == 0)
			return &findings[i];
	ck_abort_msg("no finding %s", name);
	return NULL;
}

static bool is_text(const char *text, size_t size)
{
	return memchr(text, '\0', size - 1) != NULL; /* terminated, and not cut */
}

static void check_form(void)
{
	for (int i = 0; i < count; i++) {
		const struct hutch_finding *finding = &findings[i];
		ck_assert(is_text(finding->name, sizeof finding->name) && finding->name[0]);
		ck_assert_msg(is_text(finding->detail, sizeof finding->detail) && finding->detail[0], "%s", finding->name);
		ck_assert(is_text(finding->why, sizeof finding->why) && finding->why[0]);
		ck_assert_msg(is_text(finding->fix, sizeof finding->fix), "%s", finding->name);
		ck_assert(finding->verdict >= HUTCH_VERDICT_OK && finding->verdict <= HUTCH_VERDICT_MISSING);
		ck_assert_msg((finding->verdict == HUTCH_VERDICT_OK) == (finding->fix[0] == '\0'), "%s: %s", finding->name, finding->detail);
	}
}

static unsigned entries(const char *directory, const char *prefix)
{
	unsigned found = 0;
	DIR *dir = opendir(directory);
	for (const struct dirent *entry; dir && (entry = readdir(dir));)
		found += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
	if (dir)
		closedir(dir);
	return found;
}

/* Other users' runs of this test are not ours to judge. */
static unsigned own_entries(const char *directory, const char *prefix)
{
	unsigned found = 0;
	struct stat st;
	DIR *dir = opendir(directory);
	for (const struct dirent *entry; dir && (entry = readdir(dir));)
		found += strncmp(entry->d_name, prefix, strlen(prefix)) == 0 && fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		         st.st_uid == geteuid();
	if (dir)
		closedir(dir);
	return found;
}

static void check_nothing_left(void)
{
	siginfo_t info;
	ck_assert_int_eq(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | __WALL), -1);
	ck_assert_int_eq(errno, ECHILD);
	ck_assert_uint_eq(own_entries("/var/tmp", "hutch-doctor-"), 0);
	ck_assert_uint_eq(own_entries("/sys/fs/cgroup", "hutch-doctor-"), 0);
	ck_assert_uint_eq(own_entries("/sys/fs/cgroup/unified", "hutch-doctor-"), 0);
}

/* ---- on this host as it is ---- */

/* Before Linux 6.6 a tmpfs keeps no attributes of users, and overlays have their upper layer on disk. */
static bool works(const struct hutch_finding *finding)
{
	return finding->verdict == HUTCH_VERDICT_OK ||
	       (strcmp(finding->name, "overlay") == 0 && finding->verdict == HUTCH_VERDICT_DEGRADED && strstr(finding->detail, "on disk"));
}

START_TEST(required_ones_work)
{
	run_doctor();
	check_form();
	for (int i = 0; i < count; i++)
		ck_assert_msg(!findings[i].required || works(&findings[i]), "%s: %s", findings[i].name, findings[i].detail);
	check_nothing_left();
}
END_TEST

static volatile sig_atomic_t signals;

static void count_signal(int signo)
{
	(void)signo;
	signals++;
}

static size_t read_all(const char *path, char *text, size_t size)
{
	FILE *file = fopen(path, "re");
	size_t used = file ? fread(text, 1, size, file) : 0;
	if (file)
		fclose(file);
	return used;
}

START_TEST(host_is_not_disturbed)
{
	static char before[1 << 20], after[1 << 20];
	signal(SIGCHLD, count_signal);
	size_t size = read_all("/proc/self/mountinfo", before, sizeof before);
	unsigned fds = entries("/proc/self/fd", "");
	char host[256] = "", same[256] = "";
	gethostname(host, sizeof host - 1);
	sigset_t mask_before, mask_after;
	memset(&mask_before, 0, sizeof mask_before);
	memset(&mask_after, 0, sizeof mask_after);
	sigprocmask(SIG_BLOCK, NULL, &mask_before);
	run_doctor();
	sigprocmask(SIG_BLOCK, NULL, &mask_after);
	gethostname(same, sizeof same - 1);
	ck_assert_uint_eq(read_all("/proc/self/mountinfo", after, sizeof after), size);
	ck_assert_mem_eq(before, after, size);
	ck_assert_uint_eq(entries("/proc/self/fd", ""), fds);
	ck_assert_str_eq(host, same);
	ck_assert_mem_eq(&mask_before, &mask_after, sizeof mask_before);
	ck_assert_int_eq(signals, 0);
	ck_assert_int_eq(prctl(PR_GET_DUMPABLE), 1);
	ck_assert_int_eq(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
	check_nothing_left();
}
END_TEST

START_TEST(capacity_is_respected)
{
	for (size_t capacity = 0; capacity < 6; capacity++) {
		memset(findings, 0x5a, sizeof findings);
		count = hutch_doctor(HANDLE, findings, capacity, NULL);
		ck_assert_int_eq(count, (int)capacity);
		check_form();
		const unsigned char *rest = (const unsigned char *)&findings[capacity];
		for (size_t i = 0; i < sizeof findings[0]; i++)
			ck_assert_uint_eq(rest[i], 0x5a);
	}
	ck_assert_int_eq(hutch_doctor(HANDLE, NULL, 0, NULL), 0);
}
END_TEST

START_TEST(arguments_are_checked)
{
	struct hutch_error err = {0};
	ck_assert_int_eq(hutch_doctor(NULL, findings, ROOM, &err), -HUTCH_E_INVALID);
	ck_assert_int_eq(err.code, HUTCH_E_INVALID);
	ck_assert_int_eq(hutch_doctor(HANDLE, NULL, 1, &err), -HUTCH_E_INVALID);
}
END_TEST

START_TEST(is_quick)
{
	struct timespec from, to;
	clock_gettime(CLOCK_MONOTONIC, &from);
	run_doctor();
	clock_gettime(CLOCK_MONOTONIC, &to);
	ck_assert_int_lt((to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000, 1500);
}
END_TEST

/* ---- from a process with many threads ---- */

static volatile bool stop;

static void *churn(void *data)
{
	while (!stop) {
		free(malloc(100000));
		FILE *file = fopen("/dev/null", "we");
		if (file)
			fclose(file);
	}
	return data;
}

static void *examine(void *data)
{
	struct hutch_finding *mine = data;
	int found = hutch_doctor(HANDLE, mine, ROOM, NULL);
	for (int i = 0; i < found; i++)
		if (mine[i].required && !works(&mine[i]))
			return mine;
	return NULL;
}

START_TEST(threads_do_not_matter)
{
	static struct hutch_finding each[2][ROOM];
	pthread_t busy[16], doctors[2];
	for (int i = 0; i < COUNT(busy); i++)
		ck_assert_int_eq(pthread_create(&busy[i], NULL, churn, NULL), 0);
	for (int i = 0; i < COUNT(doctors); i++)
		ck_assert_int_eq(pthread_create(&doctors[i], NULL, examine, each[i]), 0);
	for (int i = 0; i < COUNT(doctors); i++) {
		void *bad;
		ck_assert_int_eq(pthread_join(doctors[i], &bad), 0);
		ck_assert_ptr_null(bad);
	}
	stop = true;
	for (int i = 0; i < COUNT(busy); i++)
		pthread_join(busy[i], NULL);
	check_nothing_left();
}
END_TEST

/* ---- without one system call ---- */

static int filter(unsigned number, unsigned action, unsigned flags)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog fprog = {.len = COUNT(program), .filter = program};
	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	long ret = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &fprog);
	ck_assert_int_ge(ret, 0);
	return (int)ret;
}

static const struct {
	unsigned number;
	int error;
	const char *finding;
	enum hutch_verdict verdict;
	bool starts; /* whether `start` still works */
} without[] = {
	{SYS_unshare, EPERM, "cgroup-ns", HUTCH_VERDICT_MISSING, false},
	{SYS_unshare, EPERM, "time-ns", HUTCH_VERDICT_DEGRADED, false},
	{SYS_clone3, ENOSYS, "clone3", HUTCH_VERDICT_MISSING, false},
	{SYS_clone3, ENOSYS, "start", HUTCH_VERDICT_MISSING, false},
	{SYS_openat2, ENOSYS, "openat2", HUTCH_VERDICT_DEGRADED, true},
	{SYS_openat2, EPERM, "openat2", HUTCH_VERDICT_MISSING, true},
	{SYS_landlock_create_ruleset, ENOSYS, "landlock", HUTCH_VERDICT_DEGRADED, true},
	{SYS_landlock_create_ruleset, EOPNOTSUPP, "landlock", HUTCH_VERDICT_DEGRADED, true},
	{SYS_landlock_create_ruleset, EPERM, "landlock", HUTCH_VERDICT_MISSING, false},
	{SYS_landlock_restrict_self, EPERM, "landlock", HUTCH_VERDICT_MISSING, false},
	{SYS_mount_setattr, ENOSYS, "mount-setattr", HUTCH_VERDICT_MISSING, false},
	{SYS_fsopen, ENOSYS, "tmpfs", HUTCH_VERDICT_MISSING, false},
	{SYS_fsmount, EPERM, "proc-mount", HUTCH_VERDICT_MISSING, false},
	{SYS_move_mount, EPERM, "overlay", HUTCH_VERDICT_MISSING, false},
	{SYS_fsetxattr, EOPNOTSUPP, "overlay", HUTCH_VERDICT_MISSING, true},
	{SYS_pivot_root, EPERM, "pivot-root", HUTCH_VERDICT_MISSING, false},
	{SYS_mount, EPERM, "mount-ns", HUTCH_VERDICT_MISSING, false},
	{SYS_sethostname, EPERM, "uts-ns", HUTCH_VERDICT_MISSING, false},
	{SYS_msgget, ENOSYS, "ipc-ns", HUTCH_VERDICT_MISSING, true},
	{SYS_ioctl, EPERM, "net-ns", HUTCH_VERDICT_MISSING, false},
	{SYS_capset, EPERM, "ambient-capabilities", HUTCH_VERDICT_MISSING, true},
	{SYS_close_range, ENOSYS, "close-range", HUTCH_VERDICT_MISSING, true},
	{SYS_pidfd_open, EPERM, "pidfd", HUTCH_VERDICT_MISSING, true},
	{SYS_pidfd_send_signal, ENOSYS, "pidfd", HUTCH_VERDICT_MISSING, true},
	{SYS_memfd_create, ENOSYS, "memfd-sealing", HUTCH_VERDICT_MISSING, true},
	{SYS_execveat, EACCES, "memfd-exec", HUTCH_VERDICT_DEGRADED, true},
	{SYS_seccomp, EPERM, "seccomp", HUTCH_VERDICT_MISSING, false},
	{SYS_keyctl, EPERM, "keyring", HUTCH_VERDICT_DEGRADED, false},
	{SYS_keyctl, EDQUOT, "keyring", HUTCH_VERDICT_DEGRADED, true},
	{SYS_mkdirat, EROFS, "cgroup-v2", HUTCH_VERDICT_DEGRADED, false},
};

START_TEST(without_a_call)
{
	filter(without[_i].number, SECCOMP_RET_ERRNO | (unsigned)without[_i].error, 0);
	run_doctor();
	check_form();
	const struct hutch_finding *finding = find(without[_i].finding);
	ck_assert_msg(finding->verdict == without[_i].verdict, "%s: %d: %s", finding->name, (int)finding->verdict, finding->detail);
	const struct hutch_finding *start = find("start");
	ck_assert_msg((start->verdict == HUTCH_VERDICT_OK) == without[_i].starts, "%s", start->detail);
	check_nothing_left();
}
END_TEST

/* As container engines do: clone3 cannot be looked into, and clone with a user namespace is refused. */
START_TEST(container_filter)
{
	filter(SYS_clone3, SECCOMP_RET_ERRNO | ENOSYS, 0);
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_NEWUSER, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog fprog = {.len = COUNT(program), .filter = program};
	ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &fprog), 0);
	run_doctor();
	check_form();
	const struct hutch_finding *userns = find("userns"), *pivot = find("pivot-root");
	ck_assert_int_eq(userns->verdict, HUTCH_VERDICT_MISSING);
	ck_assert_ptr_nonnull(strstr(userns->detail, "EPERM"));
	ck_assert_ptr_nonnull(strstr(userns->fix, "seccomp=unconfined"));
	ck_assert_int_eq(pivot->verdict, HUTCH_VERDICT_MISSING);
	ck_assert_ptr_nonnull(strstr(pivot->detail, "not tried"));
	ck_assert_ptr_nonnull(strstr(pivot->fix, "userns"));
	ck_assert_int_eq(find("pidfd")->verdict, HUTCH_VERDICT_OK);
	check_nothing_left();
}
END_TEST

START_TEST(killed_for_a_call)
{
	filter(SYS_pivot_root, SECCOMP_RET_KILL_PROCESS, 0);
	struct rlimit none = {0};
	setrlimit(RLIMIT_CORE, &none);
	run_doctor();
	check_form();
	ck_assert_int_eq(find("pivot-root")->verdict, HUTCH_VERDICT_MISSING);
	ck_assert_ptr_nonnull(strstr(find("pivot-root")->detail, "killed by signal 31"));
	ck_assert(works(find("overlay")));
	check_nothing_left();
}
END_TEST

/* A call that never returns: the filter asks a supervisor that does not answer. */
START_TEST(stuck_in_a_call)
{
	filter(SYS_close_range, SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER);
	run_doctor();
	check_form();
	ck_assert_int_eq(find("close-range")->verdict, HUTCH_VERDICT_MISSING);
	ck_assert_ptr_nonnull(strstr(find("close-range")->detail, "ETIMEDOUT"));
	ck_assert_int_eq(find("pidfd")->verdict, HUTCH_VERDICT_OK);
	check_nothing_left();
}
END_TEST

/* ---- other bad hosts ---- */

/* A kernel whose tmpfs has no user xattrs; the disk's file system has. */
static long overlay_on_disk_only(struct probe_report *report, const void *data)
{
	report->stage = "user-xattr";
	return data ? probe_overlay(report, data) : -EOPNOTSUPP;
}

START_TEST(overlay_on_disk)
{
	struct probe probe = {.flags = CLONE_NEWUSER | CLONE_NEWNS, .body = overlay_on_disk_only, .fix = "none"};
	struct probe_host host;
	struct hutch_finding finding = {.name = "overlay"};
	probe_host_read(&host);
	probe_judge_overlay(&probe, &host, &finding);
	ck_assert_msg(finding.verdict == HUTCH_VERDICT_DEGRADED, "%s", finding.detail);
	ck_assert_ptr_nonnull(strstr(finding.detail, "EOPNOTSUPP"));
	ck_assert_ptr_nonnull(strstr(finding.fix, "6.6"));
	check_nothing_left();
}
END_TEST

static void write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(text, file), 0);
	ck_assert_int_eq(fclose(file), 0);
}

/* A user namespace around us, in which we are the only id. */
static void enter_outer_userns(void)
{
	char uids[64], gids[64];
	snprintf(uids, sizeof uids, "%u %u 1", geteuid(), geteuid());
	snprintf(gids, sizeof gids, "%u %u 1", getegid(), getegid());
	ck_assert_int_eq(unshare(CLONE_NEWUSER), 0);
	write_text("/proc/self/setgroups", "deny");
	write_text("/proc/self/uid_map", uids);
	write_text("/proc/self/gid_map", gids);
}

START_TEST(inside_another_userns)
{
	enter_outer_userns();
	run_doctor();
	check_form();
	ck_assert_int_eq(find("start")->verdict, HUTCH_VERDICT_OK);
	ck_assert_ptr_nonnull(strstr(find("kernel")->detail, "in a user namespace"));
	check_nothing_left();
}
END_TEST

START_TEST(inside_a_sandbox)
{
	enter_outer_userns();
	write_text("/proc/sys/user/max_user_namespaces", "0");
	run_doctor();
	check_form();
	const struct hutch_finding *userns = find("userns");
	ck_assert_int_eq(userns->verdict, HUTCH_VERDICT_MISSING);
	ck_assert_ptr_nonnull(strstr(userns->detail, "ENOSPC"));
	ck_assert_ptr_nonnull(strstr(userns->detail, "already inside a sandbox"));
	ck_assert_ptr_nonnull(strstr(userns->fix, "outside"));
	ck_assert_int_eq(find("start")->verdict, HUTCH_VERDICT_MISSING);
	ck_assert_ptr_nonnull(strstr(find("start")->fix, "outside"));
	check_nothing_left();
}
END_TEST

START_TEST(process_limit)
{
	if (geteuid() == 0) { /* root has no such limit */
		ck_assert_int_eq(setresgid(65534, 65534, 65534), 0);
		ck_assert_int_eq(setresuid(65534, 65534, 65534), 0);
		ck_assert_int_eq(prctl(PR_SET_DUMPABLE, 1), 0);
	}
	struct rlimit before;
	ck_assert_int_eq(getrlimit(RLIMIT_NPROC, &before), 0);
	const struct rlimit none = {0, before.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_NPROC, &none), 0);
	run_doctor();
	ck_assert_int_eq(setrlimit(RLIMIT_NPROC, &before), 0);
	check_form();
	ck_assert_int_eq(find("start")->verdict, HUTCH_VERDICT_MISSING);
	ck_assert_ptr_nonnull(strstr(find("start")->fix, "ulimit -u"));
	check_nothing_left();
}
END_TEST

START_TEST(descriptor_limit)
{
	struct rlimit before;
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	const struct rlimit few = {4, before.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	run_doctor();
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	check_form();
	ck_assert_int_eq(find("start")->verdict, HUTCH_VERDICT_MISSING);
	ck_assert_ptr_nonnull(strstr(find("start")->fix, "ulimit -n"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("doctor");
	TCase *here = tcase_create("this host");
	tcase_add_test(here, required_ones_work);
	tcase_add_test(here, host_is_not_disturbed);
	tcase_add_test(here, capacity_is_respected);
	tcase_add_test(here, arguments_are_checked);
	tcase_add_test(here, is_quick);
	tcase_add_test(here, threads_do_not_matter);
	suite_add_tcase(suite, here);
	TCase *worse = tcase_create("worse hosts");
	tcase_add_loop_test(worse, without_a_call, 0, COUNT(without));
	tcase_add_test(worse, container_filter);
	tcase_add_test(worse, killed_for_a_call);
	tcase_add_test(worse, stuck_in_a_call);
	tcase_add_test(worse, overlay_on_disk);
	tcase_add_test(worse, inside_another_userns);
	tcase_add_test(worse, inside_a_sandbox);
	tcase_add_test(worse, process_limit);
	tcase_add_test(worse, descriptor_limit);
	tcase_set_timeout(worse, 20);
	tcase_set_timeout(here, 20);
	suite_add_tcase(suite, worse);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
