/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/program.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/sys.h"

#define STACK_SIZE 65536u
#define PATH_SIZE  4200u

/* ---- finding one ---- */

static int open_program(const char *path)
{
	struct stat st;
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || !(st.st_mode & 0111))
		return -1;
	if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & 022))
		return -1;
	return fcntl(fd, F_DUPFD_CLOEXEC, 10); /* out of the way of what the child arranges */
}

/* `file` is in bin, lib, lib/TRIPLET, or a directory of a build tree. */
static int open_near(const char *file, const char *name)
{
	static const char *const places[] = {"", "../libexec/hutch/", "../../libexec/hutch/", "../runtime/", "../../runtime/"};
	const char *slash = strrchr(file, '/');
	int fd = -1;
	for (size_t i = 0; slash && fd < 0 && i < sizeof places / sizeof *places; i++) {
		char path[PATH_SIZE];
		int length = snprintf(path, sizeof path, "%.*s/%s%s", (int)(slash - file), file, places[i], name);
		if (length > 0 && (size_t)length < sizeof path)
			fd = open_program(path);
	}
	return fd;
}

int program_open(const char *name, const char *variable)
{
	char self[PATH_SIZE];
	Dl_info info;
	const char *given = secure_getenv(variable);
	int fd = given ? open_program(given) : -1;
	if (fd < 0 && !given && dladdr((const void *)(uintptr_t)program_open, &info) && info.dli_fname)
		fd = open_near(info.dli_fname, name);
	ssize_t length = fd < 0 && !given ? readlink("/proc/self/exe", self, sizeof self - 1) : -1;
	if (length > 0) {
		self[length] = '\0';
		fd = open_near(self, name);
	}
	if (fd < 0 && !given) {
		snprintf(self, sizeof self, "%s/%s", HUTCH_LIBEXEC, name);
		fd = open_program(self);
	}
	return fd < 0 ? -ENOENT : fd;
}

/* ---- starting one: raw calls only, the child shares our memory ---- */

struct launch {
	const struct program *program;
	int error;
};

CHILD_CODE static long keep_own_descriptors(const struct program *program)
{
	unsigned first = program->socket > 0 ? 4 : 3;
	long ret = program->socket > 0 ? sys_call3(SYS_dup3, program->socket, 3, 0) : 0;
	if (ret < 0 || program->path)
		return ret < 0 ? ret : sys_call3(SYS_close_range, first, ~0u, 0);
	ret = sys_call3(SYS_close_range, first, program->file - 1, 0);
	return ret < 0 ? ret : sys_call3(SYS_close_range, program->file + 1, ~0u, 0);
}

CHILD_CODE static void child_main(void *arg)
{
	struct launch *launch = arg;
	const struct program *program = launch->program;
	uint64_t none = 0;
	long ret = keep_own_descriptors(program);
	sys_call4(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof none);
	if (ret >= 0 && program->path)
		ret = sys_call3(SYS_execve, program->path, program->argv, program->env);
	else if (ret >= 0)
		ret = sys_call5(SYS_execveat, program->file, "", program->argv, program->env, AT_EMPTY_PATH);
	launch->error = (int)-ret;
	for (;;)
		sys_call1(SYS_exit_group, 127);
}

int program_start(const struct program *program, int *ret_pidfd)
{
	char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (stack == MAP_FAILED)
		return -errno;
	struct launch launch = {.program = program};
	int pidfd = -1;
	struct sys_clone_args args = {
		.flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_CLEAR_SIGHAND,
		.pidfd = (uint64_t)(uintptr_t)&pidfd,
		.stack = (uint64_t)(uintptr_t)stack,
		.stack_size = STACK_SIZE,
	};
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	long pid = sys_clone3(&args, child_main, &launch);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	munmap(stack, STACK_SIZE);
	if (pid < 0)
		return (int)pid;
	if (launch.error) {
		program_wait(pidfd);
		return -launch.error;
	}
	*ret_pidfd = pidfd;
	return 0;
}

int program_wait(int pidfd)
{
	siginfo_t info = {0};
	int waited;
	do
		waited = waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | __WALL);
	while (waited < 0 && errno == EINTR);
	int error = errno;
	close(pidfd);
	if (waited < 0)
		return -error;
	return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}
