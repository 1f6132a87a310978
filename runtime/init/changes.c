/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has the sandbox changed? A helper, forked by init, walks each upper layer beside its lower one and writes the
 * stream of plan/changes.h. It runs without capabilities but CAP_DAC_READ_SEARCH (directories of mode 000), inside the
 * sandbox's namespaces, so whatever the payload left there (links, devices, FIFOs, a million files) can hurt only the
 * helper. Nothing is followed and only regular files are opened.
 *
 * In an upper layer (overlayfs.rst): a character device 0:0 is a whiteout; a directory with user.overlay.opaque = "y"
 * hides all of the lower one, and only it is marked, not the directories below it; a file that was opened for writing and not changed has been copied up all the same, so
 * files are compared. A directory is walked to the depth that its path can be written down (CHANGES_PATH_MAX).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <linux/resource.h>
#include <linux/stat.h>
#include <stddef.h>
#include <sys/stat.h>

#include "base/sys.h"
#include "init/init.h"
#include "init/text.h"
#include "kernel/caps.h"
#include "plan/changes.h"

#define SEEK_TO_DATA 3
#define SEEK_TO_HOLE 4
#define ENTRIES_SIZE 2048

struct walk {
	const struct init *init;
	int out;
	bool contents;
	bool is_hidden; /* below an opaque directory: the lower one's names count for nothing, however deep */
	uint32_t root;
	uint64_t count;
	int error;      /* of what was left out */
	uint32_t path_length;
	char path[CHANGES_PATH_MAX];
	char buffer[65536], other[65536];
};

static int write_out(const struct walk *walk, const void *data, size_t size)
{
	const char *at = data;
	while (size > 0) {
		long written = sys_call3(SYS_write, walk->out, at, size);
		if (written < 0)
			return (int)written;
		at += written;
		size -= (size_t)written;
	}
	return 0;
}

static int status(int dir, const char *name, struct statx *ret)
{
	return (int)sys_call5(SYS_statx, dir, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, ret);
}

static bool is_whiteout(const struct statx *stx)
{
	return S_ISCHR(stx->stx_mode) && stx->stx_rdev_major == 0 && stx->stx_rdev_minor == 0;
}

static char type_letter(const struct statx *stx)
{
	switch (stx->stx_mode & S_IFMT) {
	case S_IFREG: return 'f';
	case S_IFDIR: return 'd';
	case S_IFLNK: return 'l';
	case S_IFIFO: return 'p';
	case S_IFSOCK: return 's';
	default: return '?';
	}
}

/* ---- contents ---- */

static int send_range(struct walk *walk, int fd, uint64_t offset, uint64_t end)
{
	while (offset < end) {
		size_t want = end - offset < sizeof walk->buffer ? (size_t)(end - offset) : sizeof walk->buffer;
		long size = sys_call4(SYS_pread64, fd, walk->buffer, want, offset);
		if (size <= 0)
			return (int)size;
		struct changes_chunk chunk = {.offset = offset, .length = (uint64_t)size};
		int ret = write_out(walk, &chunk, sizeof chunk);
		if (ret == 0)
			ret = write_out(walk, walk->buffer, (size_t)size);
		if (ret < 0)
			return ret;
		offset += (uint64_t)size;
	}
	return 0;
}

static int send_file(struct walk *walk, int dir, const char *name)
{
	int fd = (int)sys_call4(SYS_openat, dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	long ret = 0;
	for (long at = 0; ret == 0;) {
		long data = sys_call3(SYS_lseek, fd, at, SEEK_TO_DATA);
		if (data < 0) { /* ENXIO: only a hole is left */
			ret = data == -ENXIO ? 0 : data;
			break;
		}
		long hole = sys_call3(SYS_lseek, fd, data, SEEK_TO_HOLE);
		ret = hole < 0 ? hole : send_range(walk, fd, (uint64_t)data, (uint64_t)hole);
		at = hole;
	}
	sys_call1(SYS_close, fd);
	struct changes_chunk end = {0};
	return ret < 0 ? (int)ret : write_out(walk, &end, sizeof end);
}

/* ---- records ---- */

static int send_record(struct walk *walk, enum changes_kind kind, int dir, const char *name, const struct statx *stx)
{
	struct changes_record record = {
		.magic = CHANGES_MAGIC,
		.kind = (uint8_t)kind,
		.type = (uint8_t)type_letter(stx),
		.mode = stx->stx_mode & 07777,
		.path_length = walk->path_length,
		.root = walk->root,
		.size = S_ISREG(stx->stx_mode) ? stx->stx_size : 0,
	};
	bool contents = walk->contents && kind != CHANGES_DELETED;
	if (contents && record.type == 'l') {
		long length = sys_call4(SYS_readlinkat, dir, name, walk->buffer, CHANGES_PATH_MAX);
		if (length < 0)
			return (int)length;
		record.link_length = (uint32_t)length;
	}
	walk->count++;
	int ret = write_out(walk, &record, sizeof record);
	if (ret == 0)
		ret = write_out(walk, walk->path, walk->path_length);
	if (ret == 0)
		ret = write_out(walk, walk->buffer, record.link_length);
	if (ret == 0 && contents && record.type == 'f')
		ret = send_file(walk, dir, name);
	return ret;
}

/* ---- comparing ---- */

static int open_file(int dir, const char *name)
{
	return (int)sys_call4(SYS_openat, dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
}

static bool same_bytes(struct walk *walk, int a, int b)
{
	for (uint64_t offset = 0;;) {
		long size = sys_call4(SYS_pread64, a, walk->buffer, sizeof walk->buffer, offset);
		long other = sys_call4(SYS_pread64, b, walk->other, sizeof walk->other, offset);
		if (size < 0 || size != other)
			return false;
		if (size == 0)
			return true;
		for (long i = 0; i < size; i++)
			if (walk->buffer[i] != walk->other[i])
				return false;
		offset += (uint64_t)size;
	}
}

static bool same_file(struct walk *walk, int upper, int lower, const char *name)
{
	int a = open_file(upper, name), b = open_file(lower, name);
	bool same = a >= 0 && b >= 0 && same_bytes(walk, a, b);
	if (a >= 0)
		sys_call1(SYS_close, a);
	if (b >= 0)
		sys_call1(SYS_close, b);
	return same;
}

static bool same_link(struct walk *walk, int upper, int lower, const char *name)
{
	long size = sys_call4(SYS_readlinkat, upper, name, walk->buffer, CHANGES_PATH_MAX);
	long other = sys_call4(SYS_readlinkat, lower, name, walk->other, CHANGES_PATH_MAX);
	if (size < 0 || size != other)
		return false;
	for (long i = 0; i < size; i++)
		if (walk->buffer[i] != walk->other[i])
			return false;
	return true;
}

static bool is_same(struct walk *walk, int upper, int lower, const char *name, const struct statx *u, const struct statx *l)
{
	if (u->stx_mode != l->stx_mode)
		return false;
	if (S_ISREG(u->stx_mode))
		return u->stx_size == l->stx_size && same_file(walk, upper, lower, name);
	if (S_ISLNK(u->stx_mode))
		return same_link(walk, upper, lower, name);
	return S_ISDIR(u->stx_mode);
}

/* ---- walking ---- */

static int open_directory(int dir, const char *name)
{
	return (int)sys_call4(SYS_openat, dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
}

static bool is_dots(const char *name)
{
	return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

/* Appends a component; the length to go back to, or -ENAMETOOLONG. */
static int push(struct walk *walk, const char *name)
{
	size_t length = text_length(name);
	uint32_t back = walk->path_length;
	if (back + 1 + length >= CHANGES_PATH_MAX)
		return -ENAMETOOLONG;
	if (back > 0)
		walk->path[walk->path_length++] = '/';
	for (size_t i = 0; i < length; i++)
		walk->path[walk->path_length++] = name[i];
	return (int)back;
}

typedef int each_entry(struct walk *walk, int upper, int lower, const char *name);

static int for_each(struct walk *walk, int listed, int upper, int lower, each_entry *each)
{
	_Alignas(8) char entries[ENTRIES_SIZE];
	for (;;) {
		long size = sys_call3(SYS_getdents64, listed, entries, sizeof entries);
		if (size <= 0)
			return (int)size;
		for (long at = 0; at < size;) {
			const struct directory_entry *entry = (const struct directory_entry *)(const void *)(entries + at);
			at += entry->length;
			if (is_dots(entry->name))
				continue;
			int back = push(walk, entry->name);
			if (back < 0) {
				walk->error = back; /* too deep to be written down: the rest is still told */
				continue;
			}
			int ret = each(walk, upper, lower, entry->name);
			if (ret < 0)
				return ret;
			walk->path_length = (uint32_t)back;
		}
	}
}

static int compare_directory(struct walk *walk, int upper, int lower);

/* A name that only the lower directory has, below an opaque upper one: it was deleted. */
static int hidden_entry(struct walk *walk, int upper, int lower, const char *name)
{
	struct statx stx;
	if (status(upper, name, &stx) == 0)
		return 0;
	int ret = status(lower, name, &stx);
	return ret < 0 ? ret : send_record(walk, CHANGES_DELETED, lower, name, &stx);
}

static int descend(struct walk *walk, int upper, int lower, const char *name)
{
	int dir = open_directory(upper, name);
	if (dir < 0)
		return dir;
	int below = lower >= 0 ? open_directory(lower, name) : -1; /* absent, or no directory: all in it is new */
	char opaque = 0;
	sys_call4(SYS_fgetxattr, dir, "user.overlay.opaque", &opaque, 1);
	bool was_hidden = walk->is_hidden;
	walk->is_hidden = was_hidden || opaque == 'y';
	int ret = 0;
	if (walk->is_hidden && below >= 0) {
		int listed = open_directory(below, ".");
		ret = listed < 0 ? listed : for_each(walk, listed, dir, below, hidden_entry);
		if (listed >= 0)
			sys_call1(SYS_close, listed);
	}
	if (ret == 0)
		ret = compare_directory(walk, dir, below);
	walk->is_hidden = was_hidden;
	sys_call1(SYS_close, dir);
	if (below >= 0)
		sys_call1(SYS_close, below);
	return ret;
}

/* What is left of `path` behind `prefix` and a slash; NULL if it is not below. The root's prefix is empty. */
static const char *below_prefix(const char *path, const char *prefix)
{
	size_t i = 0;
	while (prefix[i] && prefix[i] == path[i])
		i++;
	return prefix[i] || path[i] != '/' ? NULL : path + i + 1;
}

/* The path at hand is `target` (as it is called in this root), or on the way to it. */
static bool leads_to(const struct walk *walk, const char *target)
{
	size_t i = 0;
	while (i < walk->path_length && target[i] && target[i] == walk->path[i])
		i++;
	return i == walk->path_length && (target[i] == '\0' || target[i] == '/');
}

/* A mount point, or a directory above one, that was made for the sandbox and not by it. */
static bool is_mount_point(const struct walk *walk)
{
	static const char *const others[] = {"/proc", "/dev"};
	const struct plan *plan = &walk->init->plan;
	const char *root = plan_text(plan, plan->ops[walk->root].target);
	root = root[1] ? root : "";
	for (uint32_t i = 0; i < plan->sandbox->ops_count; i++) {
		const char *target = below_prefix(plan_text(plan, plan->ops[i].target), root);
		if (target && leads_to(walk, target))
			return true;
	}
	for (unsigned i = 0; i < sizeof others / sizeof *others; i++) {
		const char *target = below_prefix(others[i], root);
		if (target && leads_to(walk, target))
			return true;
	}
	return false;
}

static int upper_entry(struct walk *walk, int upper, int lower, const char *name)
{
	struct statx u, l;
	int ret = status(upper, name, &u);
	if (ret < 0)
		return ret;
	bool was_there = lower >= 0 && status(lower, name, &l) == 0;
	if (is_whiteout(&u))
		return was_there ? send_record(walk, CHANGES_DELETED, lower, name, &l) : 0;
	if (!was_there)
		ret = is_mount_point(walk) ? 0 : send_record(walk, CHANGES_ADDED, upper, name, &u);
	else if (!is_same(walk, upper, lower, name, &u, &l))
		ret = send_record(walk, CHANGES_CHANGED, upper, name, &u);
	if (ret == 0 && S_ISDIR(u.stx_mode))
		ret = descend(walk, upper, was_there && S_ISDIR(l.stx_mode) ? lower : -1, name);
	return ret;
}

static int compare_directory(struct walk *walk, int upper, int lower)
{
	return for_each(walk, upper, upper, lower, upper_entry);
}

/* ---- the helper ---- */

struct request {
	const struct init *init;
	const struct message *message;
	int out;
};

static int walk_roots(struct walk *walk, const struct init *init, uint64_t only)
{
	int ret = 0;
	for (unsigned i = 0; ret == 0 && i < init->cows_count; i++) {
		const struct cow *cow = &init->cows[i];
		if (only != ~UINT64_C(0) && only != cow->op)
			continue;
		walk->root = cow->op;
		walk->path_length = 0;
		int upper = open_directory(cow->upper, "."), lower = open_directory(cow->lower, ".");
		ret = upper < 0 ? upper : lower < 0 ? lower : compare_directory(walk, upper, lower);
		if (upper >= 0)
			sys_call1(SYS_close, upper);
		if (lower >= 0)
			sys_call1(SYS_close, lower);
	}
	return ret;
}

/* One stack frame per level; descriptors are at their hard limit already. */
static void raise_stack_limit(void)
{
	struct rlimit64 limit;
	if (sys_call4(SYS_prlimit64, 0, RLIMIT_STACK, NULL, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	sys_call4(SYS_prlimit64, 0, RLIMIT_STACK, &limit, NULL);
}

static void helper(void *arg)
{
	static struct walk walk;
	const struct request *request = arg;
	sys_call2(SYS_prctl, PR_SET_NAME, "hutch-changes");
	uint64_t keep = CAP_BIT(CAP_DAC_READ_SEARCH);
	int ret = caps_set(keep, keep, 0);
	raise_stack_limit();
	walk.init = request->init;
	walk.out = request->out;
	walk.contents = request->message->b;
	if (ret == 0)
		ret = walk_roots(&walk, request->init, request->message->value);
	if (ret == 0)
		ret = walk.error;
	struct changes_record end = {.magic = CHANGES_MAGIC, .kind = CHANGES_END, .size = walk.count, .error = (uint32_t)-ret};
	write_out(&walk, &end, sizeof end);
	for (;;)
		sys_call1(SYS_exit_group, 0);
}

void changes_start(struct init *init, const struct message *message, int fd)
{
	struct request request = {.init = init, .message = message, .out = fd};
	struct sys_clone_args args = {.exit_signal = 17 /* SIGCHLD */};
	sys_clone3(&args, helper, &request); /* if it fails, the owner sees the pipe's end without an END record */
}
