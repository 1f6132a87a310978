/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Children for probes.
 *
 *     caller ── clone (copied memory, exit signal 0, all namespaces of the job at once) ──► child
 *        │   as root: writes the id maps and opens the gate                                  │ else maps itself
 *        │                                                                                    │ runs the job's body
 *        └── waits for its pidfd, kills it after the deadline, reaps it ◄── shared page: report
 *
 * The child is a fork, not a CLONE_VM child as in a real start: it may crash, be killed by somebody's filter, or change
 * its ids (which would make a process that shares its memory undumpable), and nothing of that reaches the caller. The
 * price is a copy of the caller's page tables, which nobody minds in a doctor. All of it is raw system calls, since
 * another thread may hold any lock of libc at the moment of the clone.
 *
 * Signals stay blocked in the child, so that no handler of the caller's program runs there. The caller's SIGCHLD and
 * wait() notice nothing.
 */
#include "kernel/probe_child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/prctl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "base/sys.h"

#define DEADLINE_MS 2000
#define SIGSET_SIZE 8 /* the kernel's; libc's sigset_t is larger and begins with it */

#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND 0x100000000ULL
#endif
#ifndef P_PIDFD
#define P_PIDFD 3
#endif

/* What parent and child share. The gate is a futex: 0 shut, 1 open, 2 give up. */
struct page {
	struct probe_report report;
	uint32_t gate;
};

void probe_ids_init(struct probe_ids *ids, uid_t uid, gid_t gid, bool has_range)
{
	ids->by_parent = has_range;
	if (has_range) {
		snprintf(ids->uid_map, sizeof ids->uid_map, "0 %u %u\n", PROBE_RANGE_FIRST, PROBE_RANGE_COUNT);
		memcpy(ids->gid_map, ids->uid_map, sizeof ids->gid_map);
		return;
	}
	snprintf(ids->uid_map, sizeof ids->uid_map, "%u %u 1\n", PROBE_INSIDE_ID, uid);
	snprintf(ids->gid_map, sizeof ids->gid_map, "%u %u 1\n", PROBE_INSIDE_ID, gid);
}

_Noreturn void probe_exit(int code)
{
	for (;;)
		sys_call1(SYS_exit_group, code);
}

long probe_write(const char *path, const char *text)
{
	long fd = sys_call4(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	long ret = sys_call3(SYS_write, fd, text, strlen(text));
	sys_call1(SYS_close, fd);
	return ret < 0 ? ret : 0;
}

/* ---- making and ending children ---- */

long probe_fork(uint64_t flags, int *ret_pidfd, bool only_clone3)
{
	int pidfd = -1;
	struct sys_clone_args args = {.flags = flags | CLONE_PIDFD | CLONE_CLEAR_SIGHAND, .pidfd = (uintptr_t)&pidfd};
	long pid = sys_call2(SYS_clone3, &args, sizeof args);
	/* containers' filters answer clone3 with ENOSYS, because they cannot look into its argument */
	if ((pid == -ENOSYS || pid == -EPERM) && !only_clone3)
		pid = sys_call3(SYS_clone, flags | CLONE_PIDFD, 0, &pidfd);
	if (pid > 0)
		*ret_pidfd = pidfd;
	return pid;
}

static long wait_for(int type, long id)
{
	siginfo_t info = {0};
	long ret;
	do
		ret = sys_call5(SYS_waitid, type, id, &info, WEXITED | __WALL, NULL);
	while (ret == -EINTR);
	if (ret < 0)
		return ret;
	return info.si_code == CLD_EXITED ? info.si_status : -EINTR;
}

long probe_reap(long pid)
{
	return wait_for(P_PID, pid);
}

void probe_end(long pid)
{
	sys_call2(SYS_kill, pid, SIGKILL);
	probe_reap(pid);
}

/* ---- the child's side ---- */

static long write_own_maps(struct page *page, const struct probe_ids *ids)
{
	page->report.stage = "setgroups";
	long ret = probe_write("/proc/self/setgroups", "deny");
	if (ret == 0) {
		page->report.stage = "uid_map";
		ret = probe_write("/proc/self/uid_map", ids->uid_map);
	}
	if (ret == 0) {
		page->report.stage = "gid_map";
		ret = probe_write("/proc/self/gid_map", ids->gid_map);
	}
	return ret;
}

/* With a range: waits for the parent's maps and takes an id of the range. The capabilities stay, because the id that
 * is left is not the new namespace's 0. */
static long take_ids(struct page *page)
{
	const struct timespec patience = {.tv_sec = DEADLINE_MS / 1000};
	uint32_t gate;
	while ((gate = __atomic_load_n(&page->gate, __ATOMIC_ACQUIRE)) == 0)
		if (sys_call4(SYS_futex, &page->gate, FUTEX_WAIT, 0, &patience) == -ETIMEDOUT)
			return -ETIMEDOUT;
	if (gate != 1)
		return page->report.result; /* the parent has set it, and the stage */
	page->report.stage = "ids";
	long ret = sys_call3(SYS_setresgid, PROBE_INSIDE_ID, PROBE_INSIDE_ID, PROBE_INSIDE_ID);
	if (ret == 0)
		ret = sys_call2(SYS_setgroups, 0, NULL);
	if (ret == 0)
		ret = sys_call3(SYS_setresuid, PROBE_INSIDE_ID, PROBE_INSIDE_ID, PROBE_INSIDE_ID);
	return ret;
}

static _Noreturn void child_main(struct page *page, const struct probe_job *job, const struct probe_ids *ids)
{
	long ret = 0;
	sys_call2(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
	if (job->flags & CLONE_NEWUSER)
		ret = ids->by_parent ? take_ids(page) : write_own_maps(page, ids);
	sys_call2(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL); /* again: the change of ids took it away */
	if (ret >= 0 && job->body)
		ret = job->body(&page->report, job->data);
	page->report.result = ret;
	probe_exit(0);
}

/* ---- the parent's side ---- */

static long write_map(long pid, const char *name, const char *map)
{
	char path[48];
	snprintf(path, sizeof path, "/proc/%ld/%s", pid, name);
	return probe_write(path, map);
}

static void write_child_maps(struct page *page, long pid, const struct probe_ids *ids)
{
	const char *stage = "uid_map";
	long ret = write_map(pid, stage, ids->uid_map);
	if (ret == 0) {
		stage = "gid_map";
		ret = write_map(pid, stage, ids->gid_map);
	}
	if (ret < 0) {
		page->report.stage = stage;
		page->report.result = ret;
	}
	__atomic_store_n(&page->gate, ret < 0 ? 2 : 1, __ATOMIC_RELEASE);
	sys_call3(SYS_futex, &page->gate, FUTEX_WAKE, 1);
}

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Whether the child has ended by itself. */
static bool wait_until_deadline(int pidfd)
{
	int64_t deadline = now_ms() + DEADLINE_MS;
	for (;;) {
		int64_t left = deadline - now_ms();
		if (left <= 0)
			return false;
		struct timespec timeout = {.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};
		struct pollfd poll = {.fd = pidfd, .events = POLLIN};
		long ret = sys_call5(SYS_ppoll, &poll, 1, &timeout, NULL, SIGSET_SIZE);
		if (ret != -EINTR && ret != 0)
			return ret > 0;
	}
}

static void collect(struct page *page, long pid, int pidfd)
{
	bool in_time = wait_until_deadline(pidfd);
	if (!in_time && sys_call4(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) < 0)
		sys_call2(SYS_kill, pid, SIGKILL); /* not reaped yet, so the number is still its */
	siginfo_t info = {0};
	long ret;
	do
		ret = sys_call5(SYS_waitid, P_PIDFD, pidfd, &info, WEXITED | __WALL, NULL);
	while (ret == -EINTR);
	if (ret < 0 && ret != -ECHILD)
		ret = sys_call5(SYS_waitid, P_PID, pid, &info, WEXITED | __WALL, NULL);
	if (!in_time)
		page->report.result = -ETIMEDOUT;
	else if (ret == 0 && info.si_code != CLD_EXITED) {
		page->report.signal = info.si_status;
		page->report.result = -ECANCELED;
	}
}

static void run(struct page *page, const struct probe_job *job, const struct probe_ids *ids)
{
	uint64_t every = ~UINT64_C(0), before = 0;
	int pidfd = -1;
	page->report.stage = "clone";
	sys_call4(SYS_rt_sigprocmask, SIG_SETMASK, &every, &before, SIGSET_SIZE);
	long pid = probe_fork(job->flags, &pidfd, job->only_clone3);
	if (pid == 0)
		child_main(page, job, ids);
	sys_call4(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, SIGSET_SIZE);
	if (pid < 0) {
		page->report.result = pid;
		return;
	}
	if (ids->by_parent && (job->flags & CLONE_NEWUSER))
		write_child_maps(page, pid, ids);
	collect(page, pid, pidfd);
	sys_call1(SYS_close, pidfd);
}

void probe_child_run(const struct probe_job *job, const struct probe_ids *ids, struct probe_report *ret)
{
	struct page *page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED) {
		*ret = (struct probe_report){.stage = "mmap", .result = -errno};
		return;
	}
	run(page, job, ids);
	*ret = page->report;
	munmap(page, sizeof *page);
}
