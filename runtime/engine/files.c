/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of a sandbox, for callers: one file, a listing, a tar stream. Directories of the host are copy.c's.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "engine/file.h"
#include "engine/files.h"

#define MEMORY_MAX (UINT64_C(64) << 20) /* read_file without a bound of the caller's */
#define PIPE_PART  4096                 /* what poll(2) promises that a pipe takes without blocking */

int files_options(const struct hutch_file_options *options, struct hutch_file_options *ret, struct hutch_error *err)
{
	*ret = HUTCH_FILE_OPTIONS(.timeout_ms = 0);
	if (!options)
		return 0;
	const unsigned char *tail = (const unsigned char *)options + sizeof *ret;
	for (size_t i = sizeof *ret; i < options->size; i++)
		if (*tail++)
			return err_set(err, HUTCH_E_UNSUPPORTED, "options: a field that this version does not know is set");
	memcpy(ret, options, options->size < sizeof *ret ? options->size : sizeof *ret);
	return ret->mode & ~0777u ? err_set(err, HUTCH_E_INVALID, "options.mode: only permission bits are taken") : 0;
}

int files_begin(struct hutch_sandbox *sandbox, enum file_op op, const char *path, const struct hutch_file_options *options, struct file_call **ret,
                struct hutch_error *err)
{
	uint32_t mode = options->mode ? options->mode : op == FILE_WRITE ? 0644 : 0755;
	const struct plan_file file = {
		.op = op, .mode = mode, .limit = options->max_bytes,
		.flags = (options->exclusive ? FILE_EXCLUSIVE : 0) | (options->recursive ? FILE_RECURSIVE : 0) | (options->no_follow ? FILE_NO_FOLLOW : 0) |
		         (options->outside_links ? FILE_OUTSIDE_LINKS : 0),
	};
	return file_begin(sandbox, &file, path, options->timeout_ms, ret, err);
}

/* The options are checked, and the helper is asked. *ret_own: the options as this version of the library has them. */
static int begin(struct hutch_sandbox *sandbox, enum file_op op, const char *path, const struct hutch_file_options *options, struct hutch_file_options *ret_own,
                 struct file_call **ret, struct hutch_error *err)
{
	int error = files_options(options, ret_own, err);
	return error < 0 ? error : files_begin(sandbox, op, path, ret_own, ret, err);
}

/* ---- the caller's descriptors ---- */

/* None of them may block for longer than the helper may be silent. */
static int write_fd(struct file_call *call, int fd, const char *data, size_t size, struct hutch_error *err)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return err_sys(err, HUTCH_E_INVALID, errno, "fd %d", fd);
	bool is_file = S_ISREG(st.st_mode) || S_ISBLK(st.st_mode);
	while (size > 0) {
		int ret = is_file ? 0 : file_wait(call, fd, POLLOUT, err);
		if (ret < 0)
			return ret;
		ssize_t written = S_ISSOCK(st.st_mode) ? send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL)
		                                       : write(fd, data, !is_file && size > PIPE_PART ? PIPE_PART : size);
		if (written < 0 && errno != EAGAIN && errno != EINTR)
			return err_sys(err, errno == ENOSPC || errno == EDQUOT ? HUTCH_E_NO_SPACE : errno == EFBIG ? HUTCH_E_TOO_LARGE : HUTCH_E_SYSTEM, errno,
			               "cannot write to descriptor %d", fd);
		data += written < 0 ? 0 : written;
		size -= written < 0 ? 0 : (size_t)written;
	}
	return 0;
}

static int64_t receive_to(struct file_call *call, int fd, struct hutch_error *err)
{
	struct file_frame frame;
	const char *bytes;
	uint64_t total = 0;
	int ret;
	while ((ret = file_next(call, &frame, &bytes, err)) > 0) {
		ret = frame.kind == FILE_DATA ? write_fd(call, fd, bytes, frame.length, err) : err_set(err, HUTCH_E_FILE, "nonsense from the file helper");
		if (ret < 0)
			return ret;
		total += frame.length;
	}
	return ret < 0 ? ret : (int64_t)total;
}

static int64_t send_from(struct file_call *call, int fd, uint64_t limit, struct hutch_error *err)
{
	char data[FILE_FRAME_MAX];
	uint64_t total = 0;
	for (;;) {
		int ret = file_wait(call, fd, POLLIN, err);
		if (ret < 0)
			return ret;
		ssize_t got = read(fd, data, sizeof data);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (got < 0)
			return err_sys(err, HUTCH_E_SYSTEM, errno, "cannot read from descriptor %d", fd);
		if (got == 0)
			break;
		total += (uint64_t)got;
		if (limit > 0 && total > limit)
			return err_set(err, HUTCH_E_TOO_LARGE, "\"%.400s\": more than %llu bytes", call->path, (unsigned long long)limit);
		ret = file_send(call, data, (size_t)got, err);
		if (ret < 0)
			return ret;
		if (ret > 0)
			break;
	}
	int ret = file_send_end(call, err);
	return ret < 0 ? ret : (int64_t)total;
}

int files_finish(struct file_call *call, struct hutch_error *err)
{
	struct file_frame frame;
	const char *bytes;
	int ret = file_next(call, &frame, &bytes, err);
	return ret > 0 ? err_set(err, HUTCH_E_FILE, "nonsense from the file helper") : ret;
}

/* ---- one file ---- */

static int receive_all(struct file_call *call, uint64_t limit, char **ret, size_t *ret_size, struct hutch_error *err)
{
	struct file_frame frame;
	const char *bytes;
	CLEANUP_FREE char *data = malloc(1);
	size_t size = 0, capacity = 1;
	int more = data ? 0 : err_set(err, HUTCH_E_NO_MEMORY, "out of memory");
	while (data && (more = file_next(call, &frame, &bytes, err)) > 0) {
		if (frame.kind != FILE_DATA || frame.length > limit - size) /* the helper had the limit, too */
			return err_set(err, HUTCH_E_FILE, "nonsense from the file helper");
		if (size + frame.length >= capacity) {
			capacity = capacity * 2 + frame.length;
			char *grown = realloc(data, capacity);
			if (!grown)
				return err_set(err, HUTCH_E_NO_MEMORY, "out of memory");
			data = grown;
		}
		memcpy(data + size, bytes, frame.length);
		size += frame.length;
	}
	if (more < 0)
		return more;
	data[size] = '\0';
	*ret = TAKE(data);
	*ret_size = size;
	return 0;
}

int hutch_sandbox_read_file(struct hutch_sandbox *sandbox, const char *path, const struct hutch_file_options *options, char **ret, size_t *ret_size,
                            struct hutch_error *err)
{
	struct hutch_file_options own;
	struct file_call *call = NULL;
	int error = files_options(options, &own, err);
	own.max_bytes = own.max_bytes ? own.max_bytes : MEMORY_MAX;
	if (error == 0)
		error = files_begin(sandbox, FILE_READ, path, &own, &call, err);
	if (error == 0)
		error = receive_all(call, own.max_bytes, ret, ret_size, err);
	file_end(call);
	return error;
}

/* The helper sends what `op` gives; it goes to `fd`. */
static int64_t stream_out(struct hutch_sandbox *sandbox, enum file_op op, const char *path, int fd, const struct hutch_file_options *options,
                          struct hutch_copy *ret, struct hutch_error *err)
{
	struct hutch_file_options own;
	struct file_call *call = NULL;
	int64_t total = begin(sandbox, op, path, options, &own, &call, err);
	if (total == 0)
		total = receive_to(call, fd, err);
	if (total >= 0 && ret)
		files_report(&call->report, ret);
	file_end(call);
	return total;
}

static int64_t stream_in(struct hutch_sandbox *sandbox, enum file_op op, const char *path, int fd, const struct hutch_file_options *options,
                         struct hutch_copy *ret, struct hutch_error *err)
{
	struct hutch_file_options own;
	struct file_call *call = NULL;
	int64_t total = begin(sandbox, op, path, options, &own, &call, err);
	if (total == 0)
		total = send_from(call, fd, op == FILE_WRITE ? own.max_bytes : 0, err);
	if (total >= 0) {
		int error = files_finish(call, err);
		total = error < 0 ? error : total;
	}
	if (total >= 0 && ret)
		files_report(&call->report, ret);
	file_end(call);
	return total;
}

int64_t hutch_sandbox_read_file_to(struct hutch_sandbox *sandbox, const char *path, int fd, const struct hutch_file_options *options, struct hutch_error *err)
{
	return stream_out(sandbox, FILE_READ, path, fd, options, NULL, err);
}

int64_t hutch_sandbox_write_file_from(struct hutch_sandbox *sandbox, const char *path, int fd, const struct hutch_file_options *options, struct hutch_error *err)
{
	return stream_in(sandbox, FILE_WRITE, path, fd, options, NULL, err);
}

int hutch_sandbox_write_file(struct hutch_sandbox *sandbox, const char *path, const void *data, size_t size, const struct hutch_file_options *options,
                             struct hutch_error *err)
{
	struct hutch_file_options own;
	struct file_call *call = NULL;
	int error = begin(sandbox, FILE_WRITE, path, options, &own, &call, err);
	if (error == 0)
		error = file_send(call, data, size, err);
	if (error >= 0 && call)
		error = file_send_end(call, err);
	if (error >= 0)
		error = files_finish(call, err);
	file_end(call);
	return error;
}

int64_t hutch_sandbox_copy_out(struct hutch_sandbox *sandbox, const char *path, int fd, const struct hutch_file_options *options, struct hutch_copy *ret,
                               struct hutch_error *err)
{
	return stream_out(sandbox, FILE_PACK, path, fd, options, ret, err);
}

int64_t hutch_sandbox_copy_in(struct hutch_sandbox *sandbox, const char *path, int fd, const struct hutch_file_options *options, struct hutch_copy *ret,
                              struct hutch_error *err)
{
	return stream_in(sandbox, FILE_UNPACK, path, fd, options, ret, err);
}

/* ---- looking ---- */

/* Untrusted: lengths, and the names themselves, which are no paths. */
static bool take_entry(const struct file_frame *frame, const char *bytes, struct hutch_file *ret)
{
	struct file_entry entry;
	if (frame->kind != FILE_ENTRY || frame->length < sizeof entry)
		return false;
	memcpy(&entry, bytes, sizeof entry);
	if (entry.name_length >= sizeof ret->name || entry.link_length >= sizeof ret->link ||
	    frame->length != sizeof entry + entry.name_length + entry.link_length || !memchr("fdlpscb", (int)entry.type, 7) || entry.type > 127)
		return false;
	*ret = (struct hutch_file){
		.type = (char)entry.type, .mode = entry.mode & 07777, .uid = entry.uid, .gid = entry.gid, .links = entry.links, .size = entry.size,
		.mtime_s = entry.mtime_s, .mtime_ns = entry.mtime_ns % 1000000000,
	};
	memcpy(ret->name, bytes + sizeof entry, entry.name_length);
	memcpy(ret->link, bytes + sizeof entry + entry.name_length, entry.link_length);
	return strlen(ret->name) == entry.name_length && strlen(ret->link) == entry.link_length;
}

static bool is_plain(const char *name)
{
	return *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static int64_t entries(struct file_call *call, hutch_file_fn *each, void *data, struct hutch_error *err)
{
	struct file_frame frame;
	struct hutch_file file;
	const char *bytes;
	int64_t count = 0;
	int ret;
	while ((ret = file_next(call, &frame, &bytes, err)) > 0) {
		if (!take_entry(&frame, bytes, &file) || !is_plain(file.name))
			return err_set(err, HUTCH_E_FILE, "nonsense from the file helper");
		count++;
		int stop = each ? each(data, &file) : 0;
		if (stop != 0)
			return stop;
	}
	return ret < 0 ? ret : count;
}

int64_t hutch_sandbox_list(struct hutch_sandbox *sandbox, const char *path, const struct hutch_file_options *options, hutch_file_fn *each, void *data,
                           struct hutch_error *err)
{
	struct hutch_file_options own;
	struct file_call *call = NULL;
	int64_t ret = begin(sandbox, FILE_LIST, path, options, &own, &call, err);
	if (ret == 0)
		ret = entries(call, each, data, err);
	file_end(call);
	return ret;
}

int hutch_sandbox_stat(struct hutch_sandbox *sandbox, const char *path, const struct hutch_file_options *options, struct hutch_file *ret, struct hutch_error *err)
{
	struct hutch_file_options own;
	struct file_call *call = NULL;
	struct file_frame frame;
	struct hutch_file file;
	const char *bytes;
	int error = begin(sandbox, FILE_STAT, path, options, &own, &call, err);
	if (error == 0)
		error = file_next(call, &frame, &bytes, err);
	if (error > 0)
		error = take_entry(&frame, bytes, &file) ? files_finish(call, err) : err_set(err, HUTCH_E_FILE, "nonsense from the file helper");
	else if (error == 0)
		error = err_set(err, HUTCH_E_FILE, "nonsense from the file helper");
	if (error == 0)
		*ret = file;
	file_end(call);
	return error;
}

/* ---- changing ---- */

static int simple(struct hutch_sandbox *sandbox, enum file_op op, const char *path, const struct hutch_file_options *options, struct hutch_error *err)
{
	struct hutch_file_options own;
	struct file_call *call = NULL;
	int ret = begin(sandbox, op, path, options, &own, &call, err);
	if (ret == 0)
		ret = files_finish(call, err);
	file_end(call);
	return ret;
}

int hutch_sandbox_mkdir(struct hutch_sandbox *sandbox, const char *path, const struct hutch_file_options *options, struct hutch_error *err)
{
	return simple(sandbox, FILE_MKDIR, path, options, err);
}

int hutch_sandbox_remove_path(struct hutch_sandbox *sandbox, const char *path, const struct hutch_file_options *options, struct hutch_error *err)
{
	return simple(sandbox, FILE_REMOVE, path, options, err);
}
