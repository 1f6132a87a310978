/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Killing one command's tree where it has a cgroup: the kernel kills all that is in it at once, a process that forks
 * meanwhile included (cgroup-v2.rst, cgroup.kill), also what is frozen or stopped. The processes are init's to reap.
 */
#include <linux/time_types.h>
#include <poll.h>
#include <stddef.h>

#include "base/sys.h"
#include "init/init.h"

#define TIME_US 3000000 /* a process that a file system holds back cannot be killed, however often one tries */
#define LOOK_NS 5000000

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

void leaf_kill(struct init *init, const struct leaf *leaf)
{
	uint64_t end = now_us() + TIME_US;
	sys_call3(SYS_write, leaf->kill, "1", 1);
	commands_reap(init);
	while (is_populated(leaf->events) && now_us() < end) {
		struct pollfd changed = {leaf->events, POLLPRI, 0};
		const struct __kernel_timespec look = {.tv_nsec = LOOK_NS};
		sys_call5(SYS_ppoll, &changed, 1, &look, NULL, 0);
		commands_reap(init);
	}
	commands_reap(init);
}

void leaf_close(struct leaf *leaf)
{
	if (leaf->kill >= 0)
		sys_call1(SYS_close, leaf->kill);
	if (leaf->events >= 0)
		sys_call1(SYS_close, leaf->events);
	*leaf = LEAF_NONE;
}
