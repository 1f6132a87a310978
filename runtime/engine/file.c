/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/error.h"

#define PIPE_SIZE     (1 << 20)
#define END_TAKES_MS  2000
#define UNDO_TAKES_MS 300 /* of a helper whose streams were closed: it removes what it has not completed */

/* ---- frames ---- */

int file_frame_take(struct file_reader *reader, struct file_frame *ret, const char **ret_bytes)
{
	size_t there = reader->filled - reader->at;
	if (there < sizeof *ret)
		return 0;
	memcpy(ret, reader->bytes + reader->at, sizeof *ret);
	if (ret->magic != FILE_MAGIC || ret->kind < FILE_DATA || ret->kind > FILE_END || ret->length > FILE_FRAME_MAX)
		return -1;
	if (there < sizeof *ret + ret->length)
		return 0;
	*ret_bytes = reader->bytes + reader->at + sizeof *ret;
	reader->at += sizeof *ret + ret->length;
	return 1;
}

static int broken(const struct file_call *call, struct hutch_error *err)
{
	return err_set(err, HUTCH_E_FILE, "\"%.400s\": what came from the file helper inside the sandbox is nonsense", call->path);
}

/* ---- errors ---- */

static const struct { int error, code; } codes[] = {
	{ENOENT, HUTCH_E_NOT_FOUND}, {EISDIR, HUTCH_E_IS_DIRECTORY}, {ENOTDIR, HUTCH_E_NOT_DIRECTORY}, {EACCES, HUTCH_E_PERMISSION},
	{EPERM, HUTCH_E_PERMISSION}, {EROFS, HUTCH_E_PERMISSION}, {EFBIG, HUTCH_E_TOO_LARGE}, {EEXIST, HUTCH_E_EXISTS},
	{ENOTEMPTY, HUTCH_E_EXISTS}, {ENOSPC, HUTCH_E_NO_SPACE}, {EDQUOT, HUTCH_E_NO_SPACE}, {ETIMEDOUT, HUTCH_E_TIMEOUT},
};

static int code_of(int error)
{
	for (unsigned i = 0; i < sizeof codes / sizeof *codes; i++)
		if (codes[i].error == error)
			return codes[i].code;
	return HUTCH_E_FILE;
}

static const struct { int code; const char *text; } reasons[TREE_REASONS] = {
	[TREE_NOT_REGULAR] = {HUTCH_E_NOT_REGULAR, "it is not a regular file"},
	[TREE_TOO_LARGE] = {HUTCH_E_TOO_LARGE, "it is larger than allowed"},
	[TREE_ESCAPES] = {HUTCH_E_ARCHIVE, "the archive's entry leads out of the directory, or has no name"},
	[TREE_LINK_ESCAPES] = {HUTCH_E_ARCHIVE, "the archive's link leads out of the directory"},
	[TREE_LINK_IN_WAY] = {HUTCH_E_ARCHIVE, "a symbolic link is in the way of the archive's entry"},
	[TREE_SPECIAL] = {HUTCH_E_ARCHIVE, "the archive's entry is a device, a FIFO or unknown"},
	[TREE_CUT] = {HUTCH_E_ARCHIVE, "the data end too early"},
	[TREE_BROKEN] = {HUTCH_E_ARCHIVE, "this is no tar archive, or it is damaged"},
	[TREE_TOO_LONG] = {HUTCH_E_ARCHIVE, "a name is too long"},
	[TREE_TOO_MANY] = {HUTCH_E_ARCHIVE, "the archive has too many entries"},
	[TREE_TOO_DEEP] = {HUTCH_E_FILE, "directories are nested too deeply"},
};

static void copy_clean(char *to, size_t size, const char *from)
{
	size_t i = 0;
	for (; from[i] && i < size - 1; i++)
		to[i] = (unsigned char)from[i] < 0x20 || from[i] == 0x7f ? '?' : from[i];
	to[i] = '\0';
}

int file_error(const struct tree_report *report, const char *path, struct hutch_error *err)
{
	char below[240];
	copy_clean(below, sizeof below, report->path);
	const char *slash = *below && *path && path[strlen(path) - 1] != '/' ? "/" : "";
	enum tree_reason reason = report->reason < TREE_REASONS ? report->reason : TREE_SYSTEM;
	int error = report->error > 0 && report->error < 4096 ? report->error : EPROTO;
	if (!reasons[reason].text)
		return err_sys(err, code_of(error), error, "\"%.300s%s%s\"", path, slash, below);
	int ret = err_set(err, reasons[reason].code, "\"%.300s%s%s\": %s", path, slash, below, reasons[reason].text);
	if (err)
		err->sys_errno = error;
	return ret;
}

/* There was no proper end: what became of the helper tells why. */
static int lost(struct file_call *call, struct hutch_error *err)
{
	struct hutch_result *result = NULL;
	struct hutch_error failed = {0};
	if (call->sandbox->is_gone)
		return err_set(err, HUTCH_E_GONE, "\"%.400s\": the sandbox has ended", call->path);
	int ret = hutch_process_result(call->process, END_TAKES_MS, &result, &failed);
	if (ret < 0 && ret != -HUTCH_E_EXECUTION)
		return err_set(err, HUTCH_E_FILE, "\"%.400s\": the file helper has closed its stream without a word", call->path);
	enum hutch_outcome outcome = result->outcome;
	int signo = result->signal;
	failed = result->error;
	hutch_result_free(result);
	if (outcome == HUTCH_OUTCOME_TIMEOUT)
		return err_set(err, HUTCH_E_TIMEOUT, "\"%.400s\": the time for it is over", call->path);
	if (outcome == HUTCH_OUTCOME_NOT_STARTED && failed.sys_errno == ESRCH)
		return err_set(err, HUTCH_E_STATE, "the sandbox is ending or has ended: its files cannot be reached");
	if (outcome == HUTCH_OUTCOME_NOT_STARTED) {
		if (err)
			*err = failed;
		return err_prefix(err, -failed.code, "\"%.300s\"", call->path);
	}
	if (signo)
		return err_set(err, HUTCH_E_FILE, "\"%.400s\": the file helper was killed inside the sandbox (signal %d)", call->path, signo);
	return broken(call, err);
}

/* ---- waiting ---- */

int file_wait(struct file_call *call, int fd, short events, struct hutch_error *err)
{
	struct hutch *h = call->sandbox->h;
	int64_t end = loop_deadline_ms(FILE_SILENCE_MS);
	for (;;) {
		struct pollfd polls[2] = {{.fd = fd, .events = events}, {.fd = hutch_fd(h), .events = POLLIN}};
		int64_t left = end - loop_now_ms();
		int ret = left <= 0 ? 0 : poll(polls, 2, (int)left);
		if (ret < 0 && errno != EINTR)
			return err_sys(err, HUTCH_E_SYSTEM, errno, "poll");
		if (ret == 0)
			return err_set(err, HUTCH_E_TIMEOUT, "\"%.400s\": nothing has moved for %d s", call->path, FILE_SILENCE_MS / 1000);
		if (ret > 0 && polls[1].revents && hutch_dispatch(h, 0, err) < 0)
			return -HUTCH_E_SYSTEM;
		if (ret > 0 && polls[0].revents)
			return 0;
		if (call->process->has_reason && call->process->reason == HUTCH_OUTCOME_TIMEOUT)
			return err_set(err, HUTCH_E_TIMEOUT, "\"%.400s\": the time for it is over", call->path);
	}
}

/* ---- begin and end ---- */

static void block_sigpipe(struct file_call *call)
{
	sigset_t set, pending;
	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	sigpending(&pending);
	call->had_sigpipe = sigismember(&pending, SIGPIPE) == 1;
	pthread_sigmask(SIG_BLOCK, &set, &call->mask);
}

static void restore_sigpipe(const struct file_call *call)
{
	const struct timespec now = {0};
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	if (!call->had_sigpipe)
		sigtimedwait(&set, NULL, &now);
	pthread_sigmask(SIG_SETMASK, &call->mask, NULL);
}

static int make_pipe(int ends[2], int own, struct hutch_error *err)
{
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(err, HUTCH_E_SYSTEM, errno, "cannot make a pipe");
	fcntl(ends[own], F_SETFL, O_NONBLOCK);
	fcntl(ends[own], F_SETPIPE_SZ, PIPE_SIZE); /* if the user's budget has it */
	return 0;
}

static int check(const struct hutch_sandbox *sandbox, const char *path, struct hutch_error *err)
{
	if (!path || !*path)
		return err_set(err, HUTCH_E_INVALID, "the path is empty");
	if (strlen(path) >= TAR_PATH_MAX)
		return err_sys(err, HUTCH_E_INVALID, ENAMETOOLONG, "\"%.60s...\"", path);
	return sandbox->is_gone ? err_set(err, HUTCH_E_STATE, "the sandbox has ended, and its files are out of reach") : 0;
}

static int start(struct file_call *call, const struct plan_file *file, uint64_t timeout_ms, struct hutch_error *err)
{
	int in[2], out[2];
	int ret = make_pipe(in, 1, err);
	if (ret < 0)
		return ret;
	ret = make_pipe(out, 0, err);
	if (ret < 0) {
		close(in[0]);
		close(in[1]);
		return ret;
	}
	const char *const argv[] = {"hutch-file", call->path, NULL};
	const struct hutch_command command = HUTCH_COMMAND(
		.argv = argv, .cwd = call->path[0] == '/' ? "/" : NULL, .in = {HUTCH_IO_FD, in[0]}, .out = {HUTCH_IO_FD, out[1]},
		.err = {HUTCH_IO_NULL, -1}, .timeout_ms = timeout_ms, .grace_ms = 100);
	ret = exec_start(call->sandbox, &command, file, &call->process, err);
	close(in[0]);
	close(out[1]);
	call->in = in[1];
	call->reader.fd = out[0];
	return ret;
}

int file_begin(struct hutch_sandbox *sandbox, const struct plan_file *file, const char *path, uint64_t timeout_ms, struct file_call **ret, struct hutch_error *err)
{
	*ret = NULL;
	int error = check(sandbox, path, err);
	if (error < 0)
		return error;
	struct file_call *call = calloc(1, sizeof *call);
	if (!call)
		return err_set(err, HUTCH_E_NO_MEMORY, "out of memory");
	*call = (struct file_call){.sandbox = sandbox, .path = path, .in = -1, .reader.fd = -1};
	block_sigpipe(call);
	error = start(call, file, timeout_ms, err);
	if (error < 0) {
		file_end(call);
		return error;
	}
	*ret = call;
	return 0;
}

void file_end(struct file_call *call)
{
	if (!call)
		return;
	cleanup_close(&call->in);
	cleanup_close(&call->reader.fd);
	int64_t end = loop_deadline_ms(call->is_over ? END_TAKES_MS : UNDO_TAKES_MS);
	while (!call->sandbox->is_gone && call->process && call->process->state != HUTCH_PROCESS_ENDED && loop_now_ms() < end)
		if (hutch_dispatch(call->sandbox->h, 100, NULL) < 0)
			break;
	hutch_process_free(call->process); /* kills it, if it must be */
	restore_sigpipe(call);
	free(call);
}

/* ---- data ---- */

/* 1: something came; 0: the end. */
static int fill(struct file_call *call, struct hutch_error *err)
{
	struct file_reader *reader = &call->reader;
	memmove(reader->bytes, reader->bytes + reader->at, reader->filled - reader->at);
	reader->filled -= reader->at;
	reader->at = 0;
	for (;;) {
		ssize_t got = read(reader->fd, reader->bytes + reader->filled, sizeof reader->bytes - reader->filled);
		if (got >= 0) {
			reader->filled += (size_t)got;
			return got > 0;
		}
		if (errno != EAGAIN && errno != EINTR)
			return err_sys(err, HUTCH_E_SYSTEM, errno, "cannot read from the file helper");
		int ret = file_wait(call, reader->fd, POLLIN, err);
		if (ret < 0)
			return ret;
	}
}

static int take_end(struct file_call *call, const struct file_frame *frame, const char *bytes, struct hutch_error *err)
{
	struct tree_report *report = &call->report;
	size_t length = frame->length < sizeof report->path ? frame->length : sizeof report->path - 1;
	memcpy(report->path, bytes, length);
	report->path[length] = '\0';
	report->reason = frame->reason < TREE_REASONS ? (enum tree_reason)frame->reason : TREE_SYSTEM;
	report->error = (int)(frame->error & 4095);
	report->entries = frame->entries & INT64_MAX;
	report->bytes = frame->bytes & INT64_MAX;
	report->skipped = frame->skipped & INT64_MAX;
	call->is_over = true;
	return report->reason == TREE_NONE ? 0 : file_error(report, call->path, err);
}

int file_next(struct file_call *call, struct file_frame *ret, const char **ret_bytes, struct hutch_error *err)
{
	for (;;) {
		int taken = file_frame_take(&call->reader, ret, ret_bytes);
		if (taken < 0)
			return broken(call, err);
		if (taken > 0)
			return ret->kind == FILE_END ? take_end(call, ret, *ret_bytes, err) : 1;
		int more = fill(call, err);
		if (more < 0)
			return more;
		if (more == 0)
			return lost(call, err);
	}
}

static int send_all(struct file_call *call, const void *data, size_t size, struct hutch_error *err)
{
	for (const char *at = data; size > 0 && call->in >= 0;) {
		ssize_t written = write(call->in, at, size);
		if (written >= 0) {
			at += written;
			size -= (size_t)written;
			continue;
		}
		if (errno == EPIPE) {
			close(TAKE_FD(call->in));
		} else if (errno == EAGAIN) {
			int ret = file_wait(call, call->in, POLLOUT, err);
			if (ret < 0)
				return ret;
		} else if (errno != EINTR) {
			return err_sys(err, HUTCH_E_SYSTEM, errno, "cannot write to the file helper");
		}
	}
	return call->in < 0;
}

int file_send(struct file_call *call, const void *data, size_t size, struct hutch_error *err)
{
	int ret = call->in < 0;
	for (const char *at = data; size > 0 && ret == 0;) {
		size_t part = size < FILE_FRAME_MAX ? size : FILE_FRAME_MAX;
		const struct file_frame frame = {.magic = FILE_MAGIC, .kind = FILE_DATA, .length = (uint32_t)part};
		ret = send_all(call, &frame, sizeof frame, err);
		if (ret == 0)
			ret = send_all(call, at, part, err);
		at += part;
		size -= part;
	}
	return ret;
}

int file_send_end(struct file_call *call, struct hutch_error *err)
{
	const struct file_frame frame = {.magic = FILE_MAGIC, .kind = FILE_END};
	int ret = send_all(call, &frame, sizeof frame, err);
	cleanup_close(&call->in);
	call->in = -1;
	return ret < 0 ? ret : 0;
}
