/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tar stream as a directory tree. The archive is hostile, and so may be whoever else writes in that tree. Each path is
 * walked anew from the root by kernel/walk.h, which follows no link, so that neither a link of the archive's own nor one
 * that was put in the way meanwhile leads out. A directory gets its mode and time when its contents have come (an archive
 * may make it read-only): the directories that are being filled are a stack, since each is inside the one before.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <linux/time_types.h>
#include <sys/stat.h>

#include "base/sys.h"
#include "kernel/tree.h"
#include "kernel/walk.h"

#define TIME_OMIT ((1l << 30) - 2l) /* UTIME_OMIT */

static int fail(struct unpack *unpack, enum tree_reason reason, int error)
{
	return tree_fail(&unpack->report, reason, error, unpack->entry.path);
}

static int fail_system(struct unpack *unpack, int ret)
{
	return fail(unpack, ret == -ELOOP ? TREE_LINK_IN_WAY : ret == -EXDEV ? TREE_ESCAPES : TREE_SYSTEM, -ret);
}

static int fail_tar(struct unpack *unpack, int ret)
{
	static const enum tree_reason reasons[] = {TREE_NONE, TREE_SYSTEM, TREE_CUT, TREE_BROKEN, TREE_TOO_LONG};
	return fail(unpack, reasons[-ret], ret == -TAR_SOURCE ? unpack->reader.error : EBADMSG);
}

/* ---- paths ---- */

/* Takes "." and empty components out, in place. False: it is absolute or has "..", or a name is longer than names are. */
static bool clean(char *path)
{
	char *to = path;
	const char *at = path;
	if (*at == '/')
		return false;
	while (*at) {
		uint32_t length = 0;
		while (at[length] && at[length] != '/')
			length++;
		if (length > 255 || (length == 2 && at[0] == '.' && at[1] == '.'))
			return false;
		if (length > 0 && !(length == 1 && at[0] == '.')) {
			if (to > path)
				*to++ = '/';
			for (uint32_t i = 0; i < length; i++)
				*to++ = at[i];
		}
		at += length + (at[length] == '/');
	}
	*to = '\0';
	return true;
}

/* Would a link at `path` with this target lead above the root? Counted on the text alone: what links on the way would make
 * of it does not matter, since none of them leads out. */
static bool leads_out(const char *path, const char *target)
{
	int32_t depth = 0;
	if (*target == '/' || !*target)
		return true;
	for (; *path; path++)
		depth += *path == '/';
	while (*target) {
		uint32_t length = 0;
		while (target[length] && target[length] != '/')
			length++;
		if (length == 2 && target[0] == '.' && target[1] == '.')
			depth--;
		else if (length > 0 && !(length == 1 && target[0] == '.'))
			depth++;
		if (depth < 0)
			return true;
		target += length + (target[length] == '/');
	}
	return false;
}

static bool is_inside(const char *path, const char *directory, uint32_t length)
{
	for (uint32_t i = 0; i < length; i++)
		if (path[i] != directory[i])
			return false;
	return path[length] == '/';
}

/* ---- modes and times ---- */

static int set_attributes(int fd, uint32_t mode, int64_t seconds, uint32_t ns)
{
	const struct __kernel_timespec times[2] = {{.tv_nsec = TIME_OMIT}, {.tv_sec = seconds, .tv_nsec = ns}};
	long ret = sys_call2(SYS_fchmod, fd, mode & 0777);
	if (ret == 0)
		sys_call4(SYS_utimensat, fd, NULL, times, 0); /* a time that the file system cannot hold is no reason to fail */
	return (int)ret;
}

/* The innermost of the directories that were being filled is complete. */
static int leave(struct unpack *unpack)
{
	uint32_t last = --unpack->depth;
	unpack->inside[unpack->made[last].length] = '\0';
	int path = walk_open(unpack->root, unpack->inside);
	int fd = path < 0 ? path : (int)sys_call4(SYS_openat, path, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	int ret = fd < 0 ? fd : set_attributes(fd, unpack->made[last].mode, unpack->made[last].mtime_s, unpack->made[last].mtime_ns);
	if (fd >= 0)
		sys_call1(SYS_close, fd);
	if (path >= 0)
		sys_call1(SYS_close, path);
	unpack->inside[last > 0 ? unpack->made[last - 1].length : 0] = '\0';
	return ret < 0 ? fail_system(unpack, ret) : 0;
}

static int leave_until(struct unpack *unpack, const char *path)
{
	while (unpack->depth > 0 && !is_inside(path, unpack->inside, unpack->made[unpack->depth - 1].length))
		if (leave(unpack) < 0)
			return -1;
	return 0;
}

/* ---- entries ---- */

static int write_all(int fd, const char *bytes, long size)
{
	while (size > 0) {
		long written = sys_call3(SYS_write, fd, bytes, size);
		if (written < 0 && written != -EINTR)
			return (int)written;
		bytes += written < 0 ? 0 : written;
		size -= written < 0 ? 0 : written;
	}
	return 0;
}

static int fill_file(struct unpack *unpack, int fd)
{
	for (;;) {
		long got = tar_data(&unpack->reader, unpack->buffer, TREE_BUFFER);
		if (got < 0)
			return fail_tar(unpack, (int)got);
		if (got == 0)
			return 0;
		int ret = write_all(fd, unpack->buffer, got);
		if (ret < 0)
			return fail_system(unpack, ret);
		unpack->report.bytes += (uint64_t)got;
	}
}

/* Gives what was made under the temporary name its own. */
static int put_in_place(struct unpack *unpack, int dir, const char *name)
{
	long ret = sys_call5(SYS_renameat2, dir, unpack->temporary, dir, name, 0);
	return ret < 0 ? fail_system(unpack, (int)ret) : 0;
}

static int unpack_file(struct unpack *unpack, int dir, const char *name)
{
	const struct tar_entry *entry = &unpack->entry;
	if (unpack->limit > 0 && entry->size > unpack->limit - unpack->report.bytes)
		return fail(unpack, TREE_TOO_LARGE, EFBIG);
	int fd = (int)sys_call4(SYS_openat, dir, unpack->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail_system(unpack, fd);
	int ret = fill_file(unpack, fd);
	int error = ret < 0 ? 0 : set_attributes(fd, entry->mode, entry->mtime_s, entry->mtime_ns);
	if (error < 0)
		ret = fail_system(unpack, error);
	sys_call1(SYS_close, fd);
	if (ret == 0)
		ret = put_in_place(unpack, dir, name);
	if (ret < 0)
		sys_call3(SYS_unlinkat, dir, unpack->temporary, 0);
	return ret;
}

static int unpack_symlink(struct unpack *unpack, int dir, const char *name)
{
	const struct tar_entry *entry = &unpack->entry;
	if (!unpack->outside_links && leads_out(entry->path, entry->link))
		return fail(unpack, TREE_LINK_ESCAPES, EXDEV);
	const struct __kernel_timespec times[2] = {{.tv_nsec = TIME_OMIT}, {.tv_sec = entry->mtime_s, .tv_nsec = entry->mtime_ns}};
	int ret = (int)sys_call3(SYS_symlinkat, entry->link, dir, unpack->temporary);
	if (ret < 0)
		return fail_system(unpack, ret);
	sys_call4(SYS_utimensat, dir, unpack->temporary, times, AT_SYMLINK_NOFOLLOW);
	ret = put_in_place(unpack, dir, name);
	if (ret < 0)
		sys_call3(SYS_unlinkat, dir, unpack->temporary, 0);
	return ret;
}

/* To a regular file below the root, which the archive has made before or which was there. */
static int unpack_hard_link(struct unpack *unpack, int dir, const char *name)
{
	struct walk_identity identity;
	const char *target;
	if (!clean(unpack->entry.link) || !*unpack->entry.link)
		return fail(unpack, TREE_LINK_ESCAPES, EXDEV);
	int from = walk_parent(unpack->root, unpack->entry.link, &target);
	if (from < 0)
		return fail_system(unpack, from);
	int file = (int)sys_call4(SYS_openat, from, target, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
	int ret = file < 0 ? file : walk_identify(file, &identity);
	if (file >= 0)
		sys_call1(SYS_close, file);
	if (ret == 0 && !S_ISREG(identity.mode))
		ret = -ELOOP;
	if (ret == 0)
		ret = (int)sys_call5(SYS_linkat, from, target, dir, unpack->temporary, 0); /* does not follow either */
	sys_call1(SYS_close, from);
	if (ret < 0)
		return fail_system(unpack, ret);
	ret = put_in_place(unpack, dir, name);
	sys_call3(SYS_unlinkat, dir, unpack->temporary, 0); /* still there if both are one file already */
	return ret;
}

static int unpack_directory(struct unpack *unpack, int dir, const char *name)
{
	const struct tar_entry *entry = &unpack->entry;
	int ret = (int)sys_call3(SYS_mkdirat, dir, name, (entry->mode & 0777) | 0700);
	if (ret == -EEXIST) {
		int fd = (int)sys_call4(SYS_openat, dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
		if (fd < 0)
			return fail_system(unpack, fd);
		sys_call1(SYS_close, fd);
		return 0;
	}
	if (ret < 0)
		return fail_system(unpack, ret);
	if (unpack->depth == TREE_DEPTH)
		return fail(unpack, TREE_TOO_DEEP, ELOOP);
	uint32_t length = 0;
	for (; entry->path[length]; length++)
		unpack->inside[length] = entry->path[length];
	unpack->inside[length] = '\0';
	unpack->made[unpack->depth].length = length;
	unpack->made[unpack->depth].mode = entry->mode;
	unpack->made[unpack->depth].mtime_s = entry->mtime_s;
	unpack->made[unpack->depth].mtime_ns = entry->mtime_ns;
	unpack->depth++;
	return 0;
}

static int unpack_entry(struct unpack *unpack)
{
	struct tar_entry *entry = &unpack->entry;
	const char *name;
	if (!clean(entry->path) || (!*entry->path && entry->type != 'd'))
		return fail(unpack, TREE_ESCAPES, EXDEV);
	if (entry->type == '?')
		return fail(unpack, TREE_SPECIAL, EPERM);
	if (!*entry->path)
		return 0; /* the directory itself, which is the caller's */
	if (leave_until(unpack, entry->path) < 0)
		return -1;
	int dir = walk_parent(unpack->root, entry->path, &name);
	if (dir < 0)
		return fail_system(unpack, dir);
	int ret = entry->type == 'f'   ? unpack_file(unpack, dir, name)
	          : entry->type == 'd' ? unpack_directory(unpack, dir, name)
	          : entry->type == 'l' ? unpack_symlink(unpack, dir, name)
	                               : unpack_hard_link(unpack, dir, name);
	sys_call1(SYS_close, dir);
	return ret;
}

int unpack_tree(struct unpack *unpack)
{
	int ret;
	tree_temporary(unpack->temporary);
	while ((ret = tar_next(&unpack->reader, &unpack->entry)) > 0) {
		if (unpack->report.entries++ == TREE_ENTRIES_MAX)
			return fail(unpack, TREE_TOO_MANY, E2BIG);
		if (unpack_entry(unpack) < 0)
			return -1;
	}
	if (ret < 0)
		return fail_tar(unpack, ret);
	unpack->entry.path[0] = '\0';
	while (unpack->depth > 0)
		if (leave(unpack) < 0)
			return -1;
	return 0;
}
