/* SPDX-License-Identifier: Apache-2.0 */
/* What the process itself is made of: descriptors, credentials, limits, what it inherited. */
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

/* fds: "fd N type filesystem link" for every open descriptor. */
int verb_fds(int argc, char **argv)
{
	(void)argc, (void)argv;
	static bool open_fds[65536];
	for (int fd = 0; fd < 65536; fd++) /* before anything of ours is opened */
		open_fds[fd] = fcntl(fd, F_GETFD) >= 0;
	for (int fd = 0; fd < 65536; fd++) {
		if (!open_fds[fd])
			continue;
		char path[64], link[4096];
		struct stat st = {0};
		struct statfs fs = {0};
		fstat(fd, &st);
		fstatfs(fd, &fs);
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		ssize_t length = readlink(path, link, sizeof link - 1);
		link[length > 0 ? length : 0] = '\0';
		const char *type = S_ISDIR(st.st_mode) ? "dir" : S_ISREG(st.st_mode) ? "file" : S_ISCHR(st.st_mode) ? "char" :
		                   S_ISFIFO(st.st_mode) ? "pipe" : S_ISSOCK(st.st_mode) ? "socket" : "other";
		printf("fd %d %s %lx %s\n", fd, type, (unsigned long)fs.f_type, link);
	}
	return 0;
}

static void say_limit(const char *name, int resource)
{
	struct rlimit limit;
	if (getrlimit((__rlimit_resource_t)resource, &limit) == 0)
		printf("rlimit-%s %lld %lld\n", name, (long long)limit.rlim_cur, (long long)limit.rlim_max);
}

static void say_file(const char *prefix, const char *path)
{
	char line[4096];
	FILE *file = fopen(path, "re");
	while (file && fgets(line, sizeof line, file))
		printf("%s%s", prefix, line);
	if (file)
		fclose(file);
}

/* ids: whom an execution made of us. */
int verb_ids(int argc, char **argv)
{
	(void)argc, (void)argv;
	uid_t ruid, euid, suid;
	gid_t rgid, egid, sgid;
	getresuid(&ruid, &euid, &suid);
	getresgid(&rgid, &egid, &sgid);
	printf("uid %u %u %u\ngid %u %u %u\nsecure %lu\n", ruid, euid, suid, rgid, egid, sgid, getauxval(AT_SECURE));
	say_file("status-", "/proc/self/status");
	return 0;
}

int verb_status(int argc, char **argv)
{
	verb_ids(argc, argv);
	printf("securebits %#x\n", (unsigned)prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
	printf("keepcaps %d\n", prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0));
	printf("no-new-privs %d\n", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	printf("dumpable %d\n", prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
	printf("subreaper %d\n", (int)({ int value = 0; prctl(PR_GET_CHILD_SUBREAPER, &value, 0, 0, 0); value; }));
	printf("pdeathsig %d\n", (int)({ int value = 0; prctl(PR_GET_PDEATHSIG, &value, 0, 0, 0); value; }));
	printf("timerslack %d\n", prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0));
	printf("thp-disable %d\n", prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
	printf("personality %#lx\n", (unsigned long)personality(0xffffffff));
	mode_t mask = umask(0);
	umask(mask);
	printf("umask %#o\n", mask);
	printf("pid %d\nppid %d\npgid %d\nsid %d\n", getpid(), getppid(), getpgrp(), getsid(0));
	errno = 0;
	printf("nice %d\n", getpriority(PRIO_PROCESS, 0));
	printf("policy %d\n", sched_getscheduler(0));
	cpu_set_t cpus;
	if (sched_getaffinity(0, sizeof cpus, &cpus) == 0)
		printf("cpus %d\n", CPU_COUNT(&cpus));
	say_limit("core", RLIMIT_CORE);
	say_limit("nproc", RLIMIT_NPROC);
	say_limit("nofile", RLIMIT_NOFILE);
	say_limit("stack", RLIMIT_STACK);
	say_limit("memlock", RLIMIT_MEMLOCK);
	say_limit("rtprio", RLIMIT_RTPRIO);
	say_limit("nice", RLIMIT_NICE);
	struct utsname names;
	uname(&names);
	printf("hostname %s\ndomainname %s\n", names.nodename, names.domainname);
	char cwd[4096];
	printf("cwd %s\n", syscall(SYS_getcwd, cwd, sizeof cwd) > 0 ? cwd : "-");
	for (char **entry = environ; *entry; entry++)
		printf("env %s\n", *entry);
	say_file("cgroup ", "/proc/self/cgroup");
	say_file("uid_map ", "/proc/self/uid_map");
	return 0;
}

static void *wait_for_ever(void *arg)
{
	for (;;)
		pause();
	return arg;
}

/* tree: three children, a thread each, then waits for the end of stdin. Something to look at from outside. */
int verb_tree(int argc, char **argv)
{
	(void)argc, (void)argv;
	pthread_t thread;
	pid_t children[3];
	for (unsigned i = 0; i < 3; i++) {
		children[i] = fork();
		if (children[i] == 0) {
			pthread_create(&thread, NULL, wait_for_ever, NULL);
			wait_for_ever(NULL);
		}
	}
	pthread_create(&thread, NULL, wait_for_ever, NULL);
	printf("ready %d\n", getpid());
	fflush(stdout);
	char byte;
	while (read(0, &byte, 1) > 0)
		;
	return 0;
}
