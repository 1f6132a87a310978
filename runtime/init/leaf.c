/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Killing one command's tree where it has a cgroup: the kernel kills all that is in it at once, a process that forks
 * meanwhile included (cgroup-v2.rst, cgroup.kill), also what is frozen or stopped. The processes are init's to reap.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/time_types.h>
#include <poll.h>
#include <stddef.h>

#include "base/sys.h"
#include "init/init.h"

#define TIME_US 3000000 /* a process that a file system holds back cannot be killed, however often one tries */
#define LOOK_NS 5000000

/* As whom the files of the leaf are written: see launch.c. */
static int open_as_owner(const struct init *init, int leaf, const char *file, int flags)
{
	int fd = (int)sys_call4(SYS_openat, leaf, file, flags | O_CLOEXEC, 0);
	const struct plan_sandbox *sandbox = init->plan.sandbox;
	if (fd != -EACCES || !(sandbox->flags & PLAN_RANGE))
		return fd;
	sys_call1(SYS_setfsuid, sandbox->uid);
	fd = (int)sys_call4(SYS_openat, leaf, file, flags | O_CLOEXEC, 0);
	sys_call1(SYS_setfsuid, sandbox->init_uid);
	return fd;
}

/* "populated 1" is the first line of cgroup.events, or nearly; anything that cannot be read counts as empty. */
static bool is_populated(int events)
{
	static const char key[] = "populated ";
	char text[128];
	long size = sys_call4(SYS_pread64, events, text, sizeof text, 0);
	for (long at = 0; at + (long)sizeof key <= size; at++) {
		unsigned i = 0;
		while (i < sizeof key - 1 && text[at + i] == key[i])
			i++;
		if (i == sizeof key - 1)
			return text[at + i] == '1';
	}
	return false;
}

void leaf_kill(struct init *init, int leaf)
{
	int fd = open_as_owner(init, leaf, "cgroup.kill", O_WRONLY);
	if (fd >= 0) {
		sys_call3(SYS_write, fd, "1", 1);
		sys_call1(SYS_close, fd);
	}
	int events = (int)sys_call4(SYS_openat, leaf, "cgroup.events", O_RDONLY | O_CLOEXEC, 0);
	uint64_t end = now_us() + TIME_US;
	commands_reap(init);
	while (events >= 0 && is_populated(events) && now_us() < end) {
		struct pollfd changed = {events, POLLPRI, 0};
		const struct __kernel_timespec look = {.tv_nsec = LOOK_NS};
		sys_call5(SYS_ppoll, &changed, 1, &look, NULL, 0);
		commands_reap(init);
	}
	if (events >= 0)
		sys_call1(SYS_close, events);
	commands_reap(init);
}
