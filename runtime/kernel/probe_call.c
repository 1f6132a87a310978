/* SPDX-License-Identifier: Apache-2.0 */
/* Single system calls: that they are there, and that they do what they are used for. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/memfd.h>
#include <linux/openat2.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>

#include "base/sys.h"
#include "kernel/probe_table.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

long probe_openat2(struct probe_report *report, const void *data)
{
	(void)data;
	report->stage = "openat2";
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_MAGICLINKS};
	long ret = sys_call4(SYS_openat2, AT_FDCWD, "/", &how, sizeof how);
	if (ret < 0)
		return ret;
	ret = sys_call4(SYS_openat2, AT_FDCWD, "/proc/self/exe", &how, sizeof how);
	return ret == -ELOOP ? 0 : -EUCLEAN;
}

long probe_close_range(struct probe_report *report, const void *data)
{
	(void)data;
	report->stage = "close_range";
	long fd = sys_call4(SYS_openat, AT_FDCWD, "/", O_PATH | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	long ret = sys_call3(SYS_close_range, fd, UINT_MAX, 0);
	if (ret < 0)
		return ret;
	return sys_call2(SYS_fcntl, fd, F_GETFD) == -EBADF ? 0 : -EUCLEAN;
}

long probe_clone3(struct probe_report *report, const void *data)
{
	(void)data;
	report->stage = "clone3";
	int pidfd;
	long pid = probe_fork(0, &pidfd, true);
	if (pid == 0)
		probe_exit(7);
	if (pid < 0)
		return pid;
	return probe_reap(pid) == 7 ? 0 : -EUCLEAN;
}

static long end_by_pidfd(struct probe_report *report, long pid)
{
	report->stage = "pidfd_open";
	long pidfd = sys_call2(SYS_pidfd_open, pid, 0);
	if (pidfd < 0)
		return pidfd;
	report->stage = "pidfd_send_signal";
	long ret = sys_call4(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
	if (ret < 0)
		return ret;
	report->stage = "waitid";
	siginfo_t info = {0};
	ret = sys_call5(SYS_waitid, P_PIDFD, pidfd, &info, WEXITED | WNOWAIT | __WALL, NULL);
	if (ret < 0)
		return ret;
	return info.si_code == CLD_KILLED && info.si_pid == pid ? 0 : -EUCLEAN;
}

long probe_pidfd(struct probe_report *report, const void *data)
{
	(void)data;
	report->stage = "fork";
	int pidfd;
	long pid = probe_fork(0, &pidfd, false);
	if (pid == 0) {
		sys_call5(SYS_ppoll, NULL, 0, NULL, NULL, 0); /* until we are killed */
		probe_exit(0);
	}
	if (pid < 0)
		return pid;
	long ret = end_by_pidfd(report, pid);
	probe_end(pid);
	return ret;
}

/* A plan for init: written once, then nobody can change it. */
long probe_memfd(struct probe_report *report, const void *data)
{
	(void)data;
	report->stage = "memfd_create";
	long fd = sys_call2(SYS_memfd_create, "hutch", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return fd;
	report->stage = "seal";
	long ret = sys_call3(SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
	if (ret < 0)
		return ret;
	return sys_call3(SYS_write, fd, "x", 1) == -EPERM ? 0 : -EUCLEAN;
}
