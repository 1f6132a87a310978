/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting hutch-supervisor. It is a program of its own, so that nothing of the caller's memory and descriptors goes
 * with it, and that it stays small.
 *
 * Where it is: below libexec as it was installed, or next to this library or program (a build tree, or an installation
 * that was moved). A file that belongs to somebody else than root and the caller, or that others may write to, is never
 * executed. HUTCH_SUPERVISOR names another one, for tests.
 *
 * Its first process forks and ends, so that the supervisor is no child of the caller's for long.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/client.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/sys.h"
#include "engine/channel.h"

#define STACK_SIZE 65536u
#define PATH_SIZE  4200u

/* ---- finding it ---- */

static int open_program(const char *path)
{
	struct stat st;
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || !(st.st_mode & 0111))
		return -1;
	if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & 022))
		return -1;
	int high = fcntl(fd, F_DUPFD_CLOEXEC, 10); /* out of the way of what the child arranges */
	return high;
}

/* `file` is in bin, lib, lib/TRIPLET, or a directory of a build tree. */
static int open_near(const char *file)
{
	static const char *const places[] = {"", "../libexec/hutch/", "../../libexec/hutch/", "../runtime/", "../../runtime/"};
	const char *slash = strrchr(file, '/');
	int fd = -1;
	for (size_t i = 0; slash && fd < 0 && i < sizeof places / sizeof *places; i++) {
		char path[PATH_SIZE];
		int length = snprintf(path, sizeof path, "%.*s/%shutch-supervisor", (int)(slash - file), file, places[i]);
		if (length > 0 && (size_t)length < sizeof path)
			fd = open_program(path);
	}
	return fd;
}

static int find_program(struct hutch_error *err)
{
	char self[PATH_SIZE];
	Dl_info info;
	const char *given = secure_getenv("HUTCH_SUPERVISOR");
	int fd = given ? open_program(given) : -1;
	if (fd < 0 && !given && dladdr((const void *)(uintptr_t)hutch_version, &info) && info.dli_fname)
		fd = open_near(info.dli_fname);
	ssize_t length = fd < 0 && !given ? readlink("/proc/self/exe", self, sizeof self - 1) : -1;
	if (length > 0) {
		self[length] = '\0';
		fd = open_near(self);
	}
	if (fd < 0 && !given)
		fd = open_program(HUTCH_LIBEXEC "/hutch-supervisor");
	if (fd >= 0)
		return fd;
	return err_hint(err, err_set(err, HUTCH_E_UNSUPPORTED, "hutch-supervisor is not installed: %s", given ? given : HUTCH_LIBEXEC "/hutch-supervisor"),
	                "it must belong to root or to you, and nobody else may write to it");
}

/* ---- the child: raw calls only, it shares our memory ---- */

struct launch {
	int program, socket;
	const char *const *env;
	int error;
};

CHILD_CODE static void child_main(void *arg)
{
	static const char *const argv[] = {"hutch-supervisor", NULL};
	struct launch *launch = arg;
	uint64_t none = 0;
	long ret = sys_call3(SYS_dup3, launch->socket, 3, 0);
	if (ret >= 0)
		ret = sys_call3(SYS_close_range, 4, launch->program - 1, 0);
	if (ret >= 0)
		ret = sys_call3(SYS_close_range, launch->program + 1, ~0u, 0);
	sys_call4(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof none);
	if (ret >= 0)
		ret = sys_call5(SYS_execveat, launch->program, "", argv, launch->env, AT_EMPTY_PATH);
	launch->error = (int)-ret;
	for (;;)
		sys_call1(SYS_exit_group, 127);
}

static int clone_child(struct launch *launch, int *ret_pidfd)
{
	char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (stack == MAP_FAILED)
		return -errno;
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
	long pid = sys_clone3(&args, child_main, launch);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	munmap(stack, STACK_SIZE);
	if (pid < 0)
		return (int)pid;
	*ret_pidfd = pidfd;
	return 0;
}

void spawn_reap(int pidfd)
{
	siginfo_t info;
	while (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | __WALL) < 0 && errno == EINTR)
		;
	close(pidfd);
}

/* Of the environment, no more than says where things are: it may hold secrets. */
static void fill_environment(char texts[3][PATH_SIZE], const char *env[4])
{
	static const char *const names[] = {"HOME", "XDG_RUNTIME_DIR"};
	unsigned count = 0;
	for (unsigned i = 0; i < 2; i++) {
		const char *value = getenv(names[i]);
		if (value && strlen(value) < PATH_SIZE - 32) {
			snprintf(texts[count], PATH_SIZE, "%s=%s", names[i], value);
			env[count] = texts[count];
			count++;
		}
	}
	env[count++] = "PATH=/usr/bin:/bin";
	env[count] = NULL;
}

int spawn_supervisor(int *ret_socket, int *ret_pidfd, struct hutch_error *err)
{
	char texts[3][PATH_SIZE];
	const char *env[4];
	int pair[2];
	CLEANUP_CLOSE int program = find_program(err);
	if (program < 0)
		return program;
	int ret = channel_pair(pair, err);
	if (ret < 0)
		return ret;
	CLEANUP_CLOSE int ours = pair[0];
	CLEANUP_CLOSE int theirs = fcntl(pair[1], F_DUPFD_CLOEXEC, 4); /* dup3 to itself would fail, and keep CLOEXEC */
	close(pair[1]);
	if (theirs < 0)
		return err_sys(err, HUTCH_E_SYSTEM, errno, "cannot keep a socket");
	fill_environment(texts, env);
	struct launch launch = {.program = program, .socket = theirs, .env = env};
	int pidfd = -1;
	ret = clone_child(&launch, &pidfd);
	if (ret == 0 && launch.error) {
		spawn_reap(pidfd);
		ret = -launch.error;
	}
	if (ret < 0)
		return err_sys(err, HUTCH_E_SYSTEM, -ret, "cannot start hutch-supervisor");
	*ret_socket = TAKE_FD(ours);
	*ret_pidfd = pidfd;
	return 0;
}
