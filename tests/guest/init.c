/* SPDX-License-Identifier: Apache-2.0 */
/* init: everything that a process can try on PID 1 of its sandbox, and on whatever else of hutch's it can see. */
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define CALL_PIDFD_SEND_SIGNAL 424
#define CALL_PIDFD_OPEN        434
#define CALL_PIDFD_GETFD       438

static void open_parts(const char *pid)
{
	static const char *const parts[] = {"environ", "mem", "maps", "root", "cwd", "exe", "fd", "ns/mnt", "ns/user", "cmdline", "status",
	                                    "oom_score_adj", "coredump_filter", "attr/current", "task", "stack", "syscall"};
	for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++) {
		char path[64], name[80];
		snprintf(path, sizeof path, "/proc/%s/%s", pid, parts[i]);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		snprintf(name, sizeof name, "open-%s/%s", pid, parts[i]);
		say_result(name, fd);
		if (fd >= 0)
			close(fd);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		snprintf(name, sizeof name, "write-%s/%s", pid, parts[i]);
		say_result(name, fd);
		if (fd >= 0)
			close(fd);
	}
}

static void say_signals(void)
{
	unsigned sent = 0;
	for (int signo = 1; signo <= 64; signo++)
		sent += syscall(SYS_kill, 1, signo) == 0;
	printf("signals-sent %u\n", sent);
	int pidfd = (int)syscall(CALL_PIDFD_OPEN, 1, 0);
	say_result("pidfd_open", pidfd);
	say_result("pidfd-kill", syscall(CALL_PIDFD_SEND_SIGNAL, pidfd, SIGKILL, NULL, 0));
	say_result("pidfd_getfd", syscall(CALL_PIDFD_GETFD, pidfd, 0, 0));
	say_result("tgkill", syscall(SYS_tgkill, 1, 1, SIGKILL));
	siginfo_t info = {.si_signo = SIGRTMIN, .si_code = SI_QUEUE};
	say_result("sigqueue", syscall(SYS_rt_sigqueueinfo, 1, SIGRTMIN, &info));
	struct timespec pause_time = {.tv_nsec = 20000000};
	nanosleep(&pause_time, NULL);
	say_result("alive", syscall(SYS_kill, 1, 0) == 0 || errno == EPERM ? 0 : -1);
	printf("parent %d\n", getppid());
}

int verb_init(int argc, char **argv)
{
	(void)argc, (void)argv;
	char byte;
	struct iovec vec = {&byte, 1};
	struct rlimit limit = {16, 16};
	struct sched_param param = {0};
	cpu_set_t cpus;
	void *list = NULL;
	size_t size = 0;
	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	say_signals();
	say_result("ptrace-attach", ptrace(PTRACE_ATTACH, 1, NULL, NULL));
	say_result("ptrace-seize", ptrace(PTRACE_SEIZE, 1, NULL, NULL));
	say_result("vm-read", process_vm_readv(1, &vec, 1, &vec, 1, 0));
	say_result("vm-write", process_vm_writev(1, &vec, 1, &vec, 1, 0));
	say_result("prlimit", syscall(SYS_prlimit64, 1, RLIMIT_NOFILE, &limit, NULL));
	say_result("setpriority", setpriority(PRIO_PROCESS, 1, 19));
	say_result("affinity", sched_setaffinity(1, sizeof cpus, &cpus));
	say_result("scheduler", sched_setscheduler(1, SCHED_IDLE, &param));
	say_result("ioprio", syscall(SYS_ioprio_set, 1, 1, 3 << 13));
	say_result("move_pages", syscall(SYS_move_pages, 1, 0, NULL, NULL, NULL, 0));
	say_result("migrate_pages", syscall(SYS_migrate_pages, 1, 0, NULL, NULL));
	say_result("kcmp", syscall(SYS_kcmp, getpid(), 1, 0, 0, 0));
	say_result("robust_list", syscall(SYS_get_robust_list, 1, &list, &size));
	say_result("setpgid", setpgid(1, 0));
	open_parts("1");
	open_parts("1/task/1");
	printf("done ok\n");
	return 0;
}
