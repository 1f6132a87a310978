/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory tree as a tar stream. There is one open directory per level and one buffer of entries for all: coming back
 * to a directory, its reading goes on at the position of the entry that was entered.
 */
#include <errno.h>
#include <linux/stat.h>
#include <sys/stat.h>

#include "base/sys.h"
#include "kernel/listing.h"
#include "kernel/tree.h"

#define SEEK_START 0

static int fail(struct pack *pack, enum tree_reason reason, int error)
{
	return tree_fail(&pack->report, reason, error, pack->entry.path);
}

static int put(struct pack *pack, const void *bytes, size_t size)
{
	int ret = pack->write(pack->data, bytes, size);
	return ret < 0 ? fail(pack, TREE_SYSTEM, -ret) : 0;
}

static int put_zeros(struct pack *pack, uint64_t size)
{
	size_t cleared = size < TREE_BUFFER ? (size_t)size : TREE_BUFFER;
	for (size_t i = 0; i < cleared; i++)
		pack->buffer[i] = 0;
	while (size > 0) {
		size_t part = size < TREE_BUFFER ? (size_t)size : TREE_BUFFER;
		if (put(pack, pack->buffer, part) < 0)
			return -1;
		size -= part;
	}
	return 0;
}

static int put_header(struct pack *pack)
{
	pack->report.entries++;
	return put(pack, pack->header, tar_encode(&pack->entry, pack->header));
}

/* The header has promised `left` bytes. */
static int put_contents(struct pack *pack, int fd, uint64_t left)
{
	while (left > 0) {
		long got = sys_call3(SYS_read, fd, pack->buffer, left < TREE_BUFFER ? left : TREE_BUFFER);
		if (got == -EINTR)
			continue;
		if (got < 0)
			return fail(pack, TREE_SYSTEM, (int)-got);
		if (got == 0)
			break; /* it has shrunk */
		if (put(pack, pack->buffer, (size_t)got) < 0)
			return -1;
		left -= (uint64_t)got;
	}
	return put_zeros(pack, left + tar_padding(pack->entry.size));
}

static void skip(struct pack *pack)
{
	struct tree_report *report = &pack->report;
	if (report->skipped++ > 0)
		return;
	for (uint32_t i = 0; i <= pack->length; i++)
		report->path[i] = pack->entry.path[i];
}

/* What has vanished since the directory was read is not missed. */
static bool is_vanished(int error)
{
	return error == -ENOENT || error == -ESTALE;
}

static int pack_file(struct pack *pack, int dir, const char *name)
{
	struct tar_entry *entry = &pack->entry;
	int fd = tree_open_file(dir, name, false, &entry->size);
	if (is_vanished(fd))
		return 0;
	if (fd == -EINVAL || fd == -EISDIR || fd == -ELOOP) { /* it was a file a moment ago */
		skip(pack);
		return 0;
	}
	if (fd < 0)
		return fail(pack, TREE_SYSTEM, -fd);
	int ret = 0;
	if (pack->limit > 0 && entry->size > pack->limit - pack->report.bytes)
		ret = fail(pack, TREE_TOO_LARGE, EFBIG);
	pack->report.bytes += entry->size;
	if (ret == 0)
		ret = put_header(pack);
	if (ret == 0)
		ret = put_contents(pack, fd, entry->size);
	sys_call1(SYS_close, fd);
	return ret;
}

static int pack_link(struct pack *pack, int dir, const char *name)
{
	long size = sys_call4(SYS_readlinkat, dir, name, pack->entry.link, TAR_PATH_MAX);
	if (is_vanished((int)size) || size == -EINVAL)
		return 0;
	if (size < 0 || size >= TAR_PATH_MAX)
		return fail(pack, TREE_SYSTEM, size < 0 ? (int)-size : ENAMETOOLONG);
	pack->entry.link[size] = '\0';
	return put_header(pack);
}

static int enter(struct pack *pack, int fd, uint32_t length, int64_t at)
{
	if (pack->depth > 0)
		pack->levels[pack->depth - 1].at = at;
	pack->levels[pack->depth].fd = fd;
	pack->levels[pack->depth].length = length;
	pack->depth++;
	pack->filled = pack->used = 0;
	return 0;
}

static int leave(struct pack *pack)
{
	pack->depth--;
	sys_call1(SYS_close, pack->levels[pack->depth].fd);
	pack->filled = pack->used = 0;
	if (pack->depth == 0)
		return 0;
	pack->length = pack->levels[pack->depth - 1].length;
	pack->entry.path[pack->length] = '\0';
	long ret = sys_call3(SYS_lseek, pack->levels[pack->depth - 1].fd, pack->levels[pack->depth - 1].at, SEEK_START);
	return ret < 0 ? fail(pack, TREE_SYSTEM, (int)-ret) : 0;
}

/* 1: it was entered. */
static int pack_directory(struct pack *pack, int dir, const char *name, int64_t at)
{
	if (pack->depth == TREE_DEPTH)
		return fail(pack, TREE_TOO_DEEP, ELOOP);
	int fd = listing_open(dir, name);
	if (is_vanished(fd) || fd == -ENOTDIR || fd == -ELOOP)
		return 0;
	if (fd < 0)
		return fail(pack, TREE_SYSTEM, -fd);
	enter(pack, fd, pack->length, at);
	return put_header(pack) < 0 ? -1 : 1;
}

static void describe(struct tar_entry *entry, const struct statx *stx)
{
	entry->mode = stx->stx_mode & 0777;
	entry->uid = stx->stx_uid;
	entry->gid = stx->stx_gid;
	entry->size = 0;
	entry->mtime_s = stx->stx_mtime.tv_sec;
	entry->mtime_ns = stx->stx_mtime.tv_nsec;
	entry->link[0] = '\0';
}

/* 1: a directory was entered, which is the path at hand from now on. */
static int pack_entry(struct pack *pack, int dir, const struct listing_entry *listed)
{
	struct statx stx;
	int ret = (int)sys_call5(SYS_statx, dir, listed->name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &stx);
	if (is_vanished(ret))
		return 0;
	if (ret < 0)
		return fail(pack, TREE_SYSTEM, -ret);
	describe(&pack->entry, &stx);
	switch (stx.stx_mode & S_IFMT) {
	case S_IFREG: pack->entry.type = 'f'; return pack_file(pack, dir, listed->name);
	case S_IFLNK: pack->entry.type = 'l'; return pack_link(pack, dir, listed->name);
	case S_IFDIR: pack->entry.type = 'd'; return pack_directory(pack, dir, listed->name, listed->off);
	default: skip(pack); return 0;
	}
}

/* One entry, or the end, of the innermost directory. */
static int step(struct pack *pack)
{
	int error = 0, dir = pack->levels[pack->depth - 1].fd;
	const struct listing_entry *listed = listing_next(dir, pack->listing, TREE_LISTING, &pack->filled, &pack->used, &error);
	if (error < 0)
		return fail(pack, TREE_SYSTEM, -error);
	if (!listed)
		return leave(pack);
	int before = tree_push(pack->entry.path, &pack->length, listed->name);
	if (before < 0)
		return fail(pack, TREE_TOO_LONG, ENAMETOOLONG);
	int ret = pack_entry(pack, dir, listed);
	if (ret == 0) {
		pack->length = (uint32_t)before;
		pack->entry.path[before] = '\0';
	}
	return ret < 0 ? ret : 0;
}

int pack_tree(struct pack *pack)
{
	int fd = listing_open(pack->root, ".");
	if (fd < 0)
		return fail(pack, TREE_SYSTEM, -fd);
	pack->depth = pack->length = 0;
	enter(pack, fd, 0, 0);
	int ret = 0;
	while (ret == 0 && pack->depth > 0)
		ret = step(pack);
	while (pack->depth > 0)
		sys_call1(SYS_close, pack->levels[--pack->depth].fd);
	return ret < 0 ? ret : put_zeros(pack, 2 * TAR_BLOCK);
}
