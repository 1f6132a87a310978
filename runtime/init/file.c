/* SPDX-License-Identifier: Apache-2.0 */
#include "init/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <linux/resource.h>
#include <linux/stat.h>
#include <stddef.h>
#include <sys/stat.h>

#include "base/sys.h"
#include "init/text.h"
#include "kernel/listing.h"
#include "kernel/tree.h"
#include "plan/file.h"

#define SIGNAL_TERM   15
#define ENDLESS_MAX   (UINT64_C(64) << 20) /* of a file that says it is empty and is not: /proc */
#define NO_REPLACE    1                    /* RENAME_NOREPLACE */

struct helper {
	const struct plan_file *request;
	const char *path;
	struct tree_report report;
	uint32_t input_left;   /* of the frame at hand */
	bool input_ended;
	struct {
		struct file_frame frame;
		char bytes[FILE_FRAME_MAX];
	} out;
	union {                /* one operation is one process */
		struct pack pack;
		struct unpack unpack;
		struct erase erase;
		struct { _Alignas(8) char listing[TREE_LISTING]; char link[TAR_PATH_MAX]; } list;
		char buffer[TREE_BUFFER];
	};
};

/* ---- streams ---- */

static int write_all(const void *data, size_t size)
{
	for (const char *at = data; size > 0;) {
		long written = sys_call3(SYS_write, 1, at, size);
		if (written < 0)
			return (int)written;
		at += written;
		size -= (size_t)written;
	}
	return 0;
}

/* Sends what has been gathered in `out` as one frame. */
static int flush(struct helper *helper, enum file_frame_kind kind)
{
	struct file_frame *frame = &helper->out.frame;
	size_t size = frame->length;
	frame->magic = FILE_MAGIC;
	frame->kind = kind;
	int ret = size > 0 || kind == FILE_END ? write_all(&helper->out, sizeof *frame + size) : 0;
	frame->length = 0;
	return ret;
}

static void gather(struct helper *helper, const void *data, size_t size)
{
	char *to = helper->out.bytes + helper->out.frame.length;
	for (size_t i = 0; i < size; i++)
		to[i] = ((const char *)data)[i];
	helper->out.frame.length += (uint32_t)size;
}

static int put_data(void *data, const void *bytes, size_t size)
{
	struct helper *helper = data;
	for (const char *at = bytes; size > 0;) {
		size_t room = FILE_FRAME_MAX - helper->out.frame.length, part = size < room ? size : room;
		gather(helper, at, part);
		at += part;
		size -= part;
		int ret = helper->out.frame.length == FILE_FRAME_MAX ? flush(helper, FILE_DATA) : 0;
		if (ret < 0)
			return ret;
	}
	return 0;
}

static long read_some(void *to, size_t size)
{
	long got;
	do
		got = sys_call3(SYS_read, 0, to, size);
	while (got == -EINTR);
	return got;
}

/* What the owner sends; 0: all of it has come. An end without the word for it is the owner's death. */
static long get_data(void *data, void *to, size_t size)
{
	struct helper *helper = data;
	struct file_frame frame;
	while (helper->input_left == 0 && !helper->input_ended) {
		for (size_t used = 0; used < sizeof frame;) {
			long got = read_some((char *)&frame + used, sizeof frame - used);
			if (got <= 0)
				return got < 0 ? got : -EPIPE;
			used += (size_t)got;
		}
		if (frame.magic != FILE_MAGIC || (frame.kind != FILE_DATA && frame.kind != FILE_END))
			return -EBADMSG;
		helper->input_ended = frame.kind == FILE_END;
		helper->input_left = helper->input_ended ? 0 : frame.length;
	}
	if (helper->input_ended)
		return 0;
	long got = read_some(to, size < helper->input_left ? size : helper->input_left);
	if (got <= 0)
		return got < 0 ? got : -EPIPE;
	helper->input_left -= (uint32_t)got;
	return got;
}

static int fail(struct helper *helper, int error)
{
	enum tree_reason reason = error == -EPIPE ? TREE_CUT : error == -EINVAL ? TREE_NOT_REGULAR : TREE_SYSTEM;
	return tree_fail(&helper->report, reason, -error, "");
}

/* ---- one file ---- */

/* What is read is what the file held when it was opened; a file that grows is not followed. */
static int read_file(struct helper *helper)
{
	uint64_t size, limit = helper->request->limit;
	int fd = tree_open_file(AT_FDCWD, helper->path, true, &size);
	if (fd < 0)
		return fail(helper, fd);
	if (limit > 0 && size > limit)
		return tree_fail(&helper->report, TREE_TOO_LARGE, EFBIG, "");
	bool is_endless = size == 0;
	uint64_t left = is_endless ? (limit > 0 && limit < ENDLESS_MAX ? limit : ENDLESS_MAX) + 1 : size;
	while (left > 0) {
		long got = sys_call3(SYS_read, fd, helper->out.bytes, left < FILE_FRAME_MAX ? left : FILE_FRAME_MAX);
		if (got < 0)
			return fail(helper, (int)got);
		if (got == 0)
			break;
		left -= (uint64_t)got;
		if (is_endless && left == 0)
			return tree_fail(&helper->report, TREE_TOO_LARGE, EFBIG, "");
		helper->report.bytes += (uint64_t)got;
		helper->out.frame.length = (uint32_t)got;
		int ret = flush(helper, FILE_DATA);
		if (ret < 0)
			return fail(helper, ret);
	}
	return 0;
}

/* Opens the directory that `path` is in, as far as wanted making it; points *ret_name to the last component. Links are
 * followed as for any program inside. `path` is changed. */
static int open_parent(char *path, const char **ret_name, bool make)
{
	uint32_t end = (uint32_t)text_length(path), at = 0;
	while (end > 1 && path[end - 1] == '/')
		path[--end] = '\0';
	int dir = (int)sys_call4(SYS_openat, AT_FDCWD, *path == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	while (dir >= 0) {
		while (path[at] == '/')
			at++;
		uint32_t length = 0;
		while (path[at + length] && path[at + length] != '/')
			length++;
		*ret_name = path + at;
		if (path[at + length] == '\0')
			return dir;
		path[at + length] = '\0';
		int next = (int)sys_call4(SYS_openat, dir, path + at, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
		if (next == -ENOENT && make) {
			long made = sys_call3(SYS_mkdirat, dir, path + at, 0755);
			next = made == 0 || made == -EEXIST ? (int)sys_call4(SYS_openat, dir, path + at, O_PATH | O_DIRECTORY | O_CLOEXEC, 0) : (int)made;
		}
		path[at + length] = '/';
		sys_call1(SYS_close, dir);
		dir = next;
		at += length;
	}
	return dir;
}

static bool is_name(const char *name)
{
	return name[0] != '\0' && !(name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0')));
}

static int fill(struct helper *helper, int fd)
{
	for (;;) {
		long got = get_data(helper, helper->buffer, TREE_BUFFER);
		if (got <= 0)
			return (int)got;
		for (long done = 0; done < got;) {
			long written = sys_call3(SYS_write, fd, helper->buffer + done, got - done);
			if (written < 0)
				return (int)written;
			done += written;
		}
		helper->report.bytes += (uint64_t)got;
	}
}

/* A new file beside it takes its name once it is complete; a link there is replaced, not followed. */
static int write_file(struct helper *helper, char *path)
{
	char temporary[40];
	const char *name;
	int dir = open_parent(path, &name, true);
	if (dir < 0)
		return fail(helper, dir);
	if (!is_name(name))
		return fail(helper, -EISDIR);
	tree_temporary(temporary);
	int fd = (int)sys_call4(SYS_openat, dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail(helper, fd);
	int ret = fill(helper, fd);
	if (ret == 0)
		ret = (int)sys_call2(SYS_fchmod, fd, helper->request->mode & 0777);
	if (ret == 0)
		ret = (int)sys_call5(SYS_renameat2, dir, temporary, dir, name, helper->request->flags & FILE_EXCLUSIVE ? NO_REPLACE : 0);
	if (ret < 0)
		sys_call3(SYS_unlinkat, dir, temporary, 0);
	return ret < 0 ? fail(helper, ret) : 0;
}

/* ---- looking ---- */

static uint32_t type_letter(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG: return 'f';
	case S_IFDIR: return 'd';
	case S_IFLNK: return 'l';
	case S_IFIFO: return 'p';
	case S_IFSOCK: return 's';
	case S_IFCHR: return 'c';
	default: return 'b';
	}
}

static int send_entry(struct helper *helper, int dir, const char *name, const char *shown, bool follow)
{
	struct statx stx;
	long link = 0;
	int ret = (int)sys_call5(SYS_statx, dir, name, follow ? 0 : AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &stx);
	if (ret < 0)
		return ret;
	if (S_ISLNK(stx.stx_mode))
		link = sys_call4(SYS_readlinkat, dir, name, helper->list.link, TAR_PATH_MAX - 1);
	if (link < 0)
		return (int)link;
	const struct file_entry entry = {
		.type = type_letter(stx.stx_mode), .mode = stx.stx_mode & 07777, .uid = stx.stx_uid, .gid = stx.stx_gid,
		.name_length = (uint32_t)text_length(shown), .link_length = (uint32_t)link, .links = stx.stx_nlink, .size = stx.stx_size,
		.mtime_s = stx.stx_mtime.tv_sec, .mtime_ns = stx.stx_mtime.tv_nsec,
	};
	gather(helper, &entry, sizeof entry);
	gather(helper, shown, entry.name_length);
	gather(helper, helper->list.link, entry.link_length);
	helper->report.entries++;
	return flush(helper, FILE_ENTRY);
}

static int stat_file(struct helper *helper)
{
	const char *base = helper->path;
	for (const char *at = helper->path; *at; at++)
		if (*at == '/' && at[1] && at[1] != '/')
			base = at + 1;
	int ret = send_entry(helper, AT_FDCWD, helper->path, base, !(helper->request->flags & FILE_NO_FOLLOW));
	return ret < 0 ? fail(helper, ret) : 0;
}

static int open_directory(const char *path)
{
	return (int)sys_call4(SYS_openat, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
}

static int list_directory(struct helper *helper)
{
	long filled = 0, used = 0;
	int error = 0, fd = open_directory(helper->path);
	const struct listing_entry *listed;
	if (fd < 0)
		return fail(helper, fd);
	while ((listed = listing_next(fd, helper->list.listing, TREE_LISTING, &filled, &used, &error))) {
		int ret = send_entry(helper, fd, listed->name, listed->name, false);
		if (ret < 0 && ret != -ENOENT && ret != -EINVAL) /* gone, or exchanged, meanwhile */
			return fail(helper, ret);
	}
	return error < 0 ? fail(helper, error) : 0;
}

/* ---- changing ---- */

static int make_directory(struct helper *helper, char *path)
{
	const char *name;
	struct statx stx;
	int dir = open_parent(path, &name, true);
	if (dir < 0)
		return fail(helper, dir);
	int ret = is_name(name) ? (int)sys_call3(SYS_mkdirat, dir, name, helper->request->mode & 0777) : -EEXIST;
	if (ret == -EEXIST && !(helper->request->flags & FILE_EXCLUSIVE)) {
		ret = (int)sys_call5(SYS_statx, AT_FDCWD, path, 0, STATX_TYPE, &stx);
		if (ret == 0 && !S_ISDIR(stx.stx_mode))
			ret = -EEXIST;
	}
	return ret < 0 ? fail(helper, ret) : 0;
}

/* The report of a tree's own is the helper's. */
static int take_report(struct helper *helper, const struct tree_report *report, int ret)
{
	helper->report = *report;
	return ret;
}

static int remove_path(struct helper *helper, char *path)
{
	const char *name;
	int dir = open_parent(path, &name, false);
	if (dir < 0)
		return fail(helper, dir);
	if (!is_name(name))
		return fail(helper, -EBUSY);
	int ret = erase_tree(&helper->erase, dir, name, helper->request->flags & FILE_RECURSIVE);
	return take_report(helper, &helper->erase.report, ret);
}

static int pack_directory(struct helper *helper)
{
	struct pack *pack = &helper->pack;
	pack->root = open_directory(helper->path);
	if (pack->root < 0)
		return fail(helper, pack->root);
	pack->limit = helper->request->limit;
	pack->write = put_data;
	pack->data = helper;
	int ret = pack_tree(pack);
	if (ret == 0 && flush(helper, FILE_DATA) < 0)
		ret = -1;
	helper->out.frame.length = 0; /* of a failed one */
	return take_report(helper, &pack->report, ret);
}

/* Nothing is opened through a link in `path` that appears later: everything is below this descriptor. */
static int unpack_directory(struct helper *helper, char *path)
{
	struct unpack *unpack = &helper->unpack;
	const char *name;
	int dir = open_parent(path, &name, true);
	if (dir < 0)
		return fail(helper, dir);
	long made = is_name(name) ? sys_call3(SYS_mkdirat, dir, name, helper->request->mode & 0777) : -EEXIST;
	if (made < 0 && made != -EEXIST)
		return fail(helper, (int)made);
	unpack->root = (int)sys_call4(SYS_openat, dir, *name ? name : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (unpack->root < 0)
		return fail(helper, unpack->root);
	unpack->limit = helper->request->limit;
	unpack->outside_links = helper->request->flags & FILE_OUTSIDE_LINKS;
	unpack->reader.read = get_data;
	unpack->reader.data = helper;
	int ret = unpack_tree(unpack);
	while (ret == 0 && get_data(helper, unpack->buffer, TREE_BUFFER) > 0) /* what fills the last record */
		;
	return take_report(helper, &unpack->report, ret);
}

static int operate(struct helper *helper, char *path)
{
	switch ((enum file_op)helper->request->op) {
	case FILE_READ: return read_file(helper);
	case FILE_WRITE: return write_file(helper, path);
	case FILE_LIST: return list_directory(helper);
	case FILE_STAT: return stat_file(helper);
	case FILE_MKDIR: return make_directory(helper, path);
	case FILE_REMOVE: return remove_path(helper, path);
	case FILE_PACK: return pack_directory(helper);
	case FILE_UNPACK: return unpack_directory(helper, path);
	case FILE_NONE:
	case FILE_OPS: break;
	}
	return fail(helper, -ENOSYS);
}

static void send_end(struct helper *helper)
{
	const struct tree_report *report = &helper->report;
	struct file_frame *frame = &helper->out.frame;
	frame->reason = report->reason;
	frame->error = (uint32_t)report->error;
	frame->entries = report->entries;
	frame->bytes = report->bytes;
	frame->skipped = report->skipped;
	frame->length = 0;
	gather(helper, report->path, text_length(report->path));
	flush(helper, FILE_END);
}

/* A deep tree takes a descriptor per level. */
static void raise_descriptor_limit(void)
{
	struct rlimit64 limit;
	if (sys_call4(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	sys_call4(SYS_prlimit64, 0, RLIMIT_NOFILE, &limit, NULL);
}

int file_main(struct launch *launch)
{
	static struct helper helper; /* touched in this process only */
	static char path[TAR_PATH_MAX];
	const struct plan *plan = &launch->plan;
	if (plan->command->argc < 2)
		return -EINVAL;
	const char *asked = plan_text(plan, plan->argv[1]);
	size_t length = text_length(asked);
	if (length >= TAR_PATH_MAX)
		return -ENAMETOOLONG;
	for (size_t i = 0; i <= length; i++)
		path[i] = asked[i];
	long ret = sys_call3(SYS_close_range, 3, ~0u, 0); /* init's, and the report pipe: which says that the helper runs */
	if (ret < 0)
		return (int)ret;
	uint64_t blocked = ~(UINT64_C(1) << (SIGNAL_TERM - 1)); /* a closed pipe, a full disk are errors here and not signals */
	sys_call4(SYS_rt_sigprocmask, 2 /* SIG_SETMASK */, &blocked, NULL, sizeof blocked);
	sys_call2(SYS_prctl, PR_SET_NAME, "hutch-file");
	raise_descriptor_limit();
	helper.request = &plan->command->file;
	helper.path = asked;
	operate(&helper, path);
	send_end(&helper);
	for (;;)
		sys_call1(SYS_exit_group, 0);
}
