/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Removing what a sandbox has written, with the rights of the sandbox's user. Directories deeper than descriptors can be
 * held for are moved up to the top first; the first failure ends it.
 */
#include <errno.h>
#include <linux/stat.h>
#include <sys/stat.h>

#include "base/sys.h"
#include "kernel/listing.h"
#include "kernel/tree.h"

#define SEEK_START 0
#define DIRECTORY  0x200 /* AT_REMOVEDIR */
#define DEPTH      256u  /* directories that are open at a time */

static int fail(struct erase *erase, int error)
{
	return tree_fail(&erase->report, TREE_SYSTEM, error, erase->path);
}

/* Opens a directory that was found, also one without permissions; of this file system. */
static int open_directory(const struct erase *erase, int dir, const char *name)
{
	struct statx stx;
	int fd = listing_open(dir, name);
	if (fd == -EACCES && sys_call3(SYS_fchmodat, dir, name, 0700) == 0)
		fd = listing_open(dir, name);
	if (fd < 0)
		return fd;
	int ret = (int)sys_call5(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx);
	if (ret == 0 && (stx.stx_dev_major != erase->dev_major || stx.stx_dev_minor != erase->dev_minor))
		ret = -EBUSY;
	if (ret == 0 && (stx.stx_mode & 0700) != 0700)
		sys_call2(SYS_fchmod, fd, 0700); /* or else what is in it cannot be removed, which is told then */
	if (ret < 0)
		sys_call1(SYS_close, fd);
	return ret < 0 ? ret : fd;
}

/* The directory is empty, or was moved away under another name. */
static int leave(struct erase *erase)
{
	uint32_t depth = --erase->depth;
	sys_call1(SYS_close, erase->levels[depth].fd);
	if (depth == 0)
		return 0;
	int dir = erase->levels[depth - 1].fd;
	const char *name = erase->path + erase->levels[depth - 1].length;
	name += *name == '/';
	long ret = sys_call3(SYS_unlinkat, dir, name, DIRECTORY);
	if (ret < 0 && ret != -ENOENT)
		return fail(erase, (int)-ret);
	erase->report.entries += ret == 0;
	erase->length = erase->levels[depth - 1].length;
	erase->path[erase->length] = '\0';
	sys_call3(SYS_lseek, dir, 0, SEEK_START); /* all that was before it is gone */
	return 0;
}

static int move_up(struct erase *erase, int dir, const char *name)
{
	char moved[40];
	tree_temporary(moved);
	long ret = sys_call5(SYS_renameat2, dir, name, erase->levels[0].fd, moved, 0);
	erase->moved += ret == 0;
	return ret < 0 ? fail(erase, (int)-ret) : 0;
}

static int remove_entry(struct erase *erase, int dir, const char *name)
{
	long ret = sys_call3(SYS_unlinkat, dir, name, 0);
	if (ret == 0)
		erase->report.entries++;
	if (ret == 0 || ret == -ENOENT)
		return 0;
	int before = tree_push(erase->path, &erase->length, name);
	if (ret != -EISDIR && ret != -EPERM)
		return fail(erase, (int)-ret);
	if (before < 0 || erase->depth == DEPTH) {
		erase->length = before < 0 ? erase->length : (uint32_t)before;
		erase->path[erase->length] = '\0';
		return move_up(erase, dir, name);
	}
	int fd = open_directory(erase, dir, name);
	if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP) { /* exchanged for something else meanwhile: the next pass sees it */
		erase->length = (uint32_t)before;
		erase->path[before] = '\0';
		return ret == -EPERM ? fail(erase, EPERM) : 0;
	}
	if (fd < 0)
		return fail(erase, -fd);
	erase->levels[erase->depth].fd = fd;
	erase->levels[erase->depth].length = erase->length;
	erase->depth++;
	return 1;
}

/* Reads the innermost directory until it is empty or another was entered. A pass that removed something is followed by
 * another, for what came or was moved there meanwhile. */
static int step(struct erase *erase)
{
	const struct listing_entry *listed;
	long filled = 0, used = 0;
	int error = 0, ret = 0, fd = erase->levels[erase->depth - 1].fd;
	uint64_t before = erase->report.entries;
	uint32_t moved = erase->moved;
	while (ret == 0 && (listed = listing_next(fd, erase->listing, TREE_LISTING, &filled, &used, &error)))
		ret = remove_entry(erase, fd, listed->name);
	if (ret != 0)
		return ret < 0 ? ret : 0;
	if (error < 0)
		return fail(erase, -error);
	if (erase->report.entries != before || erase->moved != moved) {
		sys_call3(SYS_lseek, fd, 0, SEEK_START);
		return 0;
	}
	return leave(erase);
}

/* `fd` is the top directory, which is closed. */
static int empty(struct erase *erase, int fd)
{
	struct statx stx;
	int ret = (int)sys_call5(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx);
	if (ret < 0) {
		sys_call1(SYS_close, fd);
		return fail(erase, -ret);
	}
	erase->dev_major = stx.stx_dev_major;
	erase->dev_minor = stx.stx_dev_minor;
	sys_call2(SYS_fchmod, fd, 0700);
	erase->depth = 1;
	erase->levels[0].fd = fd;
	erase->levels[0].length = erase->length = 0;
	while (ret == 0 && erase->depth > 0)
		ret = step(erase);
	while (erase->depth > 0)
		sys_call1(SYS_close, erase->levels[--erase->depth].fd);
	return ret;
}

int erase_tree(struct erase *erase, int dir, const char *name, bool recursive)
{
	long ret = sys_call3(SYS_unlinkat, dir, name, 0);
	bool is_directory = ret == -EISDIR || ret == -EPERM;
	if (is_directory && recursive) {
		int fd = listing_open(dir, name);
		if (fd == -EACCES && sys_call3(SYS_fchmodat, dir, name, 0700) == 0)
			fd = listing_open(dir, name);
		if (fd == -ENOTDIR)
			fd = (int)ret;
		if (fd < 0)
			return fail(erase, -fd);
		if (empty(erase, fd) < 0)
			return -1;
	}
	if (is_directory)
		ret = sys_call3(SYS_unlinkat, dir, name, DIRECTORY);
	if (ret < 0)
		return fail(erase, (int)-ret);
	erase->report.entries++;
	return 0;
}
