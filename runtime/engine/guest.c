/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/sys.h"
#include "engine/idmap.h"
#include "kernel/caps.h"
#include "plan/message.h"
#include "plan/stage.h"

#define STACK_SIZE 65536u

/* All that the child reads and writes; lives at the low end of its stack, so that both have one lifetime. */
struct child {
	int channel, image, owner;
	bool wait_for_go;
	char uid_map[48], gid_map[48];
	size_t uid_map_size, gid_map_size;
	const char *const *argv, *const *env;
	enum stage stage; /* of a failure, written by the child */
	int error;
};

/* ---- the child: raw calls only ---- */

CHILD_CODE _Noreturn static void child_fail(struct child *child, enum stage stage, long error)
{
	child->stage = stage;
	child->error = (int)-error;
	for (;;)
		sys_call1(SYS_exit_group, 125);
}

CHILD_CODE static long write_file(const char *path, const char *text, size_t size)
{
	long fd = sys_call4(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	long ret = sys_call3(SYS_write, fd, text, size);
	sys_call1(SYS_close, fd);
	return ret;
}

/* 0 is the control socket, 1 the owner's pidfd, and the image is left; the owner's other descriptors would keep its ends
 * open. */
CHILD_CODE static long child_descriptors(struct child *child)
{
	long ret = sys_call3(SYS_dup3, child->channel, 0, 0); /* all are above 2 */
	if (ret >= 0)
		ret = sys_call3(SYS_dup3, child->owner, 1, 0);
	if (ret >= 0)
		ret = sys_call3(SYS_close_range, 2, child->image - 1, 0);
	if (ret >= 0)
		ret = sys_call3(SYS_close_range, child->image + 1, ~0u, 0);
	return ret;
}

/* The end of the owner is not the end of the socket: a process that it has forked may hold that. */
CHILD_CODE static long child_wait_for_go(void)
{
	struct message message;
	struct pollfd polls[2] = {{0, POLLIN, 0}, {1, POLLIN, 0}};
	long ret = sys_call4(SYS_ppoll, polls, 2, NULL, NULL);
	if (ret < 0 || !polls[0].revents)
		return ret < 0 ? ret : -EPIPE;
	ret = sys_call6(SYS_recvfrom, 0, &message, sizeof message, 0, 0, 0);
	return ret == 0 ? -EPIPE : ret;
}

CHILD_CODE static long child_maps(const struct child *child)
{
	if (child->wait_for_go)
		return child_wait_for_go();
	long ret = write_file("/proc/self/setgroups", "deny", 4);
	if (ret >= 0)
		ret = write_file("/proc/self/uid_map", child->uid_map, child->uid_map_size);
	if (ret >= 0)
		ret = write_file("/proc/self/gid_map", child->gid_map, child->gid_map_size);
	return ret;
}

CHILD_CODE static void child_main(void *arg)
{
	struct child *child = arg;
	long ret = child_descriptors(child);
	if (ret < 0)
		child_fail(child, STAGE_CLONE, ret);
	ret = child_maps(child);
	if (ret < 0)
		child_fail(child, STAGE_MAPS, ret);
	ret = caps_set(CAPS_ALL, CAPS_ALL, CAPS_ALL);
	if (ret == 0)
		ret = caps_raise_ambient(CAPS_ALL);
	if (ret == 0)
		ret = sys_call5(SYS_execveat, child->image, "", child->argv, child->env, AT_EMPTY_PATH);
	child_fail(child, STAGE_LAUNCH, ret);
}

/* ---- the owner ---- */

static void *stack_new(void)
{
	void *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	return stack == MAP_FAILED ? NULL : stack;
}

void guest_release_stack(struct guest *guest)
{
	if (guest->stack)
		munmap(guest->stack, STACK_SIZE);
	guest->stack = NULL;
}

/* Why would a kernel refuse to make namespaces? */
static int explain_clone(struct hutch_error *err, const struct guest_request *request, int error)
{
	bool filtered = prctl(PR_GET_SECCOMP) == 2;
	if (request->cgroup >= 0 && (error == EACCES || error == EBUSY || error == ENOENT || error == ENODEV || error == EOPNOTSUPP))
		return err_hint(err, err_stage(err, err_sys(err, HUTCH_E_UNENFORCEABLE, error, "the sandbox cannot be started in its cgroup"), "clone"),
		                "see `hutch doctor`, cgroup; this process may lie outside of the part of the hierarchy that was delegated to its user");
	if (filtered && (error == ENOSYS || error == EPERM))
		return err_hint(err, err_stage(err, err_sys(err, HUTCH_E_NESTED, error, "a sandbox cannot be built here: a system call filter refuses new namespaces, as inside another hutch sandbox or a container"), "clone"),
		                "run hutch outside of the sandbox; in a container, allow it clone3 and unshare (for Docker: --security-opt seccomp=unconfined)");
	int ret = err_stage(err, err_sys(err, HUTCH_E_UNSUPPORTED, error, "cannot make new namespaces"), "clone");
	if (error == ENOSPC || error == EUSERS)
		return err_hint(err, ret, "sysctl -w user.max_user_namespaces=15000 (it, or another user.max_*_namespaces, is used up or 0; inside a hutch sandbox it always is)");
	return err_hint(err, ret, "see `hutch doctor`; on Debian: sysctl -w kernel.unprivileged_userns_clone=1");
}

static int explain_child(struct hutch_error *err, const struct child *child)
{
	int ret = err_sys(err, HUTCH_E_UNSUPPORTED, child->error, "%s", child->stage == STAGE_MAPS ? "cannot write the id map of the new user namespace" : child->stage == STAGE_LAUNCH ? "cannot execute hutch-init" : "cannot prepare the new process");
	err_stage(err, ret, stage_name((unsigned)child->stage));
	if (child->stage == STAGE_MAPS)
		return err_hint(err, ret, "Ubuntu: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile with `userns,` for hutch; see `hutch doctor`");
	return err_hint(err, ret, child->stage == STAGE_LAUNCH ? "sysctl vm.memfd_noexec must be less than 2" : "see `hutch doctor`");
}

int guest_failure(const struct guest *guest, struct hutch_error *err)
{
	const struct child *child = guest->stack;
	return child && child->error != 0 ? explain_child(err, child) : 0;
}

static int clone_child(const struct guest_request *request, struct child *child, struct guest *guest, struct hutch_error *err)
{
	struct sys_clone_args args = {
		.flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_PIDFD | CLONE_VM | CLONE_CLEAR_SIGHAND |
		         (request->own_network ? CLONE_NEWNET : 0) | (child->wait_for_go ? 0 : CLONE_VFORK) | (request->cgroup >= 0 ? CLONE_INTO_CGROUP : 0),
		.pidfd = (uint64_t)(uintptr_t)&guest->pidfd,
		.stack = (uint64_t)(uintptr_t)guest->stack,
		.stack_size = STACK_SIZE,
		.cgroup = request->cgroup >= 0 ? (uint64_t)request->cgroup : 0,
	};
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before); /* a handler of the owner's must not run in the child */
	long pid = sys_clone3(&args, child_main, child);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (pid < 0)
		return explain_clone(err, request, (int)-pid);
	guest->pid = (pid_t)pid;
	return 0;
}

/* The core limit of 1 that keeps dump handlers of the host from being started (plan/program.c) is above a hard limit of
 * 0, which many services have; root can raise it for the child. */
static void allow_core_mark(pid_t pid)
{
	struct rlimit limit;
	const struct rlimit mark = {1, 1};
	if (getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max == 0)
		prlimit(pid, RLIMIT_CORE, &mark, NULL);
}

int guest_start(const struct guest_request *request, struct guest *ret, struct hutch_error *err)
{
	static const char *const argv[] = {"hutch-init", NULL}, *const env[] = {NULL};
	struct guest guest = {.pid = -1, .pidfd = -1, .stack = stack_new()};
	if (!guest.stack)
		return err_set(err, HUTCH_E_NO_MEMORY, "out of memory");
	struct child *child = guest.stack;
	*child = (struct child){.channel = request->channel, .image = request->image, .owner = request->owner, .wait_for_go = request->range_base != 0, .argv = argv, .env = env};
	child->uid_map_size = (size_t)snprintf(child->uid_map, sizeof child->uid_map, "%u %u 1", request->inside, request->uid);
	child->gid_map_size = (size_t)snprintf(child->gid_map, sizeof child->gid_map, "%u %u 1", request->inside, request->gid);
	int error = clone_child(request, child, &guest, err);
	if (error == 0 && request->range_base && !request->use_helpers)
		allow_core_mark(guest.pid);
	if (error == 0 && child->wait_for_go)
		error = idmap_write(guest.pid, request, err);
	else if (error == 0 && child->error != 0)
		error = explain_child(err, child);
	if (error < 0) {
		guest_end(&guest);
		return error;
	}
	if (!child->wait_for_go)
		guest_release_stack(&guest);
	*ret = guest;
	return 0;
}

void guest_end(struct guest *guest)
{
	if (guest->pidfd >= 0) {
		siginfo_t info;
		syscall(SYS_pidfd_send_signal, guest->pidfd, SIGKILL, NULL, 0);
		while (waitid(P_PIDFD, (id_t)guest->pidfd, &info, WEXITED | __WALL) < 0 && errno == EINTR)
			;
		close(guest->pidfd);
	}
	guest_release_stack(guest);
	*guest = (struct guest){.pid = -1, .pidfd = -1};
}
