/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Killing one command's tree, and nothing else, where no cgroup can be had.
 *
 * Every marked command is cloned into a UTS namespace of its own. The namespace is inherited, and leaving it takes
 * CAP_SYS_ADMIN, which nothing in the sandbox has: whatever the command starts carries it, through setsid, double forks
 * and changes of name. So all of /proc is read, and what carries the marker is killed by pidfd, again and again until
 * two passes have found nothing: a process that forks faster than one pass reads is caught by a later one, since every
 * pass kills all parents that it sees.
 *
 * A process whose first thread has ended shows no namespace of its own; its other threads do.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <stddef.h>

#include "base/sys.h"
#include "init/init.h"
#include "init/text.h"

#define CHUNK   4096
#define TIME_US 3000000 /* a process that a file system holds back cannot be killed, however often one tries */

/* The number that a name is, or -1. */
static int number_of(const char *name)
{
	int number = 0;
	for (; *name; name++) {
		if (*name < '0' || *name > '9' || number > 99999999)
			return -1;
		number = number * 10 + (*name - '0');
	}
	return number;
}

static uint64_t marker_at(int dir, const char *path)
{
	struct statx stx;
	return sys_call5(SYS_statx, dir, path, 0, STATX_INO, &stx) == 0 ? stx.stx_ino : 0;
}

/* "NUMBER/rest" */
static void numbered_path(char path[40], int number, const char *rest)
{
	char *end = text_number(path, (uint64_t)number);
	do
		*end++ = *rest;
	while (*rest++);
}

static uint64_t numbered_marker(int dir, int number)
{
	char path[40];
	numbered_path(path, number, "/ns/uts");
	return marker_at(dir, path);
}

uint64_t marker_pin(const struct init *init, int pid, int *ret_fd)
{
	char path[40];
	struct statx stx;
	numbered_path(path, pid, "/ns/uts");
	*ret_fd = (int)sys_call4(SYS_openat, init->proc, path, O_RDONLY | O_CLOEXEC, 0);
	if (*ret_fd < 0 || sys_call5(SYS_statx, *ret_fd, "", AT_EMPTY_PATH, STATX_INO, &stx) < 0)
		return 0;
	return stx.stx_ino;
}

/* Calls `each` for every number that a directory lists, until it returns true. */
static bool for_each_number(int dir, bool (*each)(void *data, int dir, int number), void *data)
{
	_Alignas(8) char entries[CHUNK];
	sys_call3(SYS_lseek, dir, 0, 0 /* SEEK_SET */);
	for (;;) {
		long size = sys_call3(SYS_getdents64, dir, entries, sizeof entries);
		if (size <= 0)
			return false;
		for (long at = 0; at < size;) {
			const struct directory_entry *entry = (const struct directory_entry *)(const void *)(entries + at);
			at += entry->length;
			int number = number_of(entry->name);
			if (number > 0 && each(data, dir, number))
				return true;
		}
	}
}

struct pass {
	struct init *init;
	uint64_t marker;
	unsigned killed;
};

static bool thread_carries(void *data, int dir, int tid)
{
	const struct pass *pass = data;
	return numbered_marker(dir, tid) == pass->marker;
}

static bool carries(struct pass *pass, int pid)
{
	uint64_t marker = numbered_marker(pass->init->proc, pid);
	if (marker != 0)
		return marker == pass->marker;
	char path[40];
	numbered_path(path, pid, "/task");
	int tasks = (int)sys_call4(SYS_openat, pass->init->proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (tasks < 0)
		return false;
	bool found = for_each_number(tasks, thread_carries, pass);
	sys_call1(SYS_close, tasks);
	return found;
}

static bool kill_if_marked(void *data, int dir, int pid)
{
	struct pass *pass = data;
	(void)dir;
	if (pid == 1)
		return false;
	int pidfd = (int)sys_call2(SYS_pidfd_open, pid, 0); /* from here on the number cannot be another process's */
	if (pidfd < 0)
		return false;
	if (carries(pass, pid) && sys_call4(SYS_pidfd_send_signal, pidfd, 9 /* SIGKILL */, NULL, 0) == 0)
		pass->killed++;
	sys_call1(SYS_close, pidfd);
	return false;
}

void sweep(struct init *init, uint64_t marker)
{
	unsigned clean = 0;
	uint64_t end = now_us() + TIME_US;
	while (marker != 0 && clean < 2 && now_us() < end) {
		struct pass pass = {.init = init, .marker = marker};
		for_each_number(init->proc, kill_if_marked, &pass);
		clean = pass.killed == 0 ? clean + 1 : 0;
		commands_reap(init);
	}
}
