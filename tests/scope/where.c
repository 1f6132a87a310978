/* SPDX-License-Identifier: Apache-2.0 */
/*
 * where CONTROLLERS MOVE: asks for a place for cgroups and uses it as the engine does: a group with its controllers, a
 * process cloned into it. Prints one line: origin, path, controllers, milliseconds, why. Exit code 1: the clone failed.
 * With a third argument, stays with that process until stdin ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/sys.h"
#include "engine/delegation.h"

static char stack[16384] __attribute__((aligned(16)));

static void wait_for_end(void *fd)
{
	char byte;
	while (sys_call3(SYS_read, (long)(intptr_t)fd, &byte, 1) > 0)
		;
	for (;;)
		sys_call1(SYS_exit_group, 0);
}

static double now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1000 + (double)now.tv_nsec / 1e6;
}

int main(int argc, char **argv)
{
	struct delegation found;
	char name[64], words[64];
	if (argc < 3)
		return 2;
	double start = now_ms();
	delegation_find(cgroup_parse_controllers(argv[1]), 0, strcmp(argv[2], "move") == 0, &found);
	double took = now_ms() - start;
	size_t used = 0;
	words[0] = '\0';
	for (uint32_t bit = 1; bit <= CGROUP_ALL; bit <<= 1)
		if (found.controllers & bit)
			used += (size_t)snprintf(words + used, sizeof words - used, "%s%s", used ? "," : "", cgroup_controller_name(bit));
	printf("%s | %s | %s | %.2f | %s\n", delegation_origin_name(found.origin), found.path, words, took, found.why);
	fflush(stdout);
	if (found.dir < 0)
		return 0;
	snprintf(name, sizeof name, "hutch-where-%d", getpid());
	int made = mkdirat(found.dir, name, 0755), group = openat(found.dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC), pidfd = -1;
	int input = argc > 3 ? 0 : open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct sys_clone_args args = {
		.flags = CLONE_VM | CLONE_PIDFD | CLONE_INTO_CGROUP, .pidfd = (uint64_t)(uintptr_t)&pidfd,
		.stack = (uint64_t)(uintptr_t)stack, .stack_size = sizeof stack, .cgroup = (uint64_t)group,
	};
	long pid = made < 0 || group < 0 ? -EIO : sys_clone3(&args, wait_for_end, (void *)(intptr_t)input);
	int base = fcntl(found.dir, F_DUPFD_CLOEXEC, 3);
	delegation_done(&found);
	if (pid < 0) {
		fprintf(stderr, "cannot clone into it: %s\n", strerror((int)-pid));
		unlinkat(base, name, AT_REMOVEDIR);
		return 1;
	}
	siginfo_t info;
	waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | __WALL);
	int tries = 0;
	while (unlinkat(base, name, AT_REMOVEDIR) < 0 && errno == EBUSY && tries++ < 500)
		usleep(2000);
	return faccessat(base, name, F_OK, 0) == 0;
}
