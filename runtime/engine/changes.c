/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/changes.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "engine/engine.h"

#define SILENCE_MS 30000 /* comparing two large files takes its time; more than this is a helper that hangs */

/* ---- the stream ---- */

static int broken(struct hutch_error *err)
{
	return err_set(err, HUTCH_E_GONE, "the list of changes from inside the sandbox is broken");
}

static int read_all(const struct changes_reader *reader, void *data, size_t size, struct hutch_error *err)
{
	char *at = data;
	while (size > 0) {
		struct pollfd more = {.fd = reader->fd, .events = POLLIN};
		if (poll(&more, 1, SILENCE_MS) == 0)
			return err_set(err, HUTCH_E_GONE, "the list of changes from inside the sandbox does not go on");
		ssize_t got = read(reader->fd, at, size);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return broken(err);
		at += got;
		size -= (size_t)got;
	}
	return 0;
}

/* Relative, and every component a name. */
static bool is_clean(const char *path)
{
	if (!*path)
		return false;
	for (;;) {
		size_t length = strcspn(path, "/");
		if (length == 0 || (length == 1 && path[0] == '.') || (length == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		if (path[length] == '\0')
			return true;
		path += length + 1;
	}
}

static int read_text(struct changes_reader *reader, char *to, uint32_t length, struct hutch_error *err)
{
	if (length >= CHANGES_PATH_MAX)
		return broken(err);
	int ret = read_all(reader, to, length, err);
	to[length] = '\0';
	return ret < 0 ? ret : strlen(to) != length ? broken(err) : 0;
}

int changes_next(struct changes_reader *reader, struct hutch_error *err)
{
	struct changes_record *record = &reader->record;
	int ret = read_all(reader, record, sizeof *record, err);
	if (ret < 0)
		return ret;
	if (record->magic != CHANGES_MAGIC || record->kind > CHANGES_END)
		return broken(err);
	if (record->kind == CHANGES_END) {
		if (record->error)
			return err_sys(err, HUTCH_E_SYSTEM, (int)(record->error & 4095), "the changes cannot be listed completely");
		return record->size == reader->count ? 0 : broken(err);
	}
	ret = read_text(reader, reader->path, record->path_length, err);
	if (ret == 0)
		ret = read_text(reader, reader->link, record->link_length, err);
	if (ret < 0)
		return ret;
	if (!is_clean(reader->path) || !memchr("fdlps?", record->type, 6))
		return broken(err);
	reader->count++;
	return 1;
}

static int write_at(int fd, const char *data, size_t size, uint64_t offset)
{
	while (size > 0) {
		ssize_t written = pwrite(fd, data, size, (off_t)offset);
		if (written < 0)
			return -errno;
		data += written;
		offset += (uint64_t)written;
		size -= (size_t)written;
	}
	return 0;
}

int changes_copy(struct changes_reader *reader, int fd, struct hutch_error *err)
{
	char data[65536];
	int failed = 0;
	for (;;) {
		struct changes_chunk chunk;
		int ret = read_all(reader, &chunk, sizeof chunk, err);
		if (ret < 0)
			return ret;
		if (chunk.length == 0)
			break;
		if (chunk.length > sizeof data || chunk.offset > reader->record.size || chunk.length > reader->record.size - chunk.offset)
			return broken(err);
		ret = read_all(reader, data, (size_t)chunk.length, err);
		if (ret < 0)
			return ret;
		if (fd >= 0 && failed == 0)
			failed = write_at(fd, data, (size_t)chunk.length, chunk.offset);
	}
	if (fd >= 0 && failed == 0 && ftruncate(fd, (off_t)reader->record.size) < 0)
		failed = -errno;
	return failed < 0 ? err_sys(err, HUTCH_E_SYSTEM, -failed, "cannot write \"%s\"", reader->path) : 0;
}

/* ---- asking ---- */

/* Only the sandbox's init sees its copies as they are. */
int changes_check(const struct hutch_sandbox *sandbox, struct hutch_error *err)
{
	if (!sandbox->remote || (!sandbox->is_gone && sandbox->remote_state != HUTCH_SANDBOX_FAILED))
		return 0;
	err_set(err, HUTCH_E_GONE, "the sandbox's %s was killed, and with it what could tell its changes", sandbox->is_gone ? "supervisor" : "init");
	return sandbox->left ? err_hint(err, -HUTCH_E_GONE, "what it has written is below \"%s\" until hutch rm or hutch gc removes it", sandbox->left) : -HUTCH_E_GONE;
}

int changes_request(struct hutch_sandbox *sandbox, bool contents, uint64_t root, struct hutch_error *err)
{
	if (sandbox->main && sandbox->main->state != HUTCH_PROCESS_ENDED)
		return err_set(err, HUTCH_E_STATE, "the main command has not ended yet");
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(err, HUTCH_E_SYSTEM, errno, "cannot make a pipe");
	const struct message message = {.type = MESSAGE_CHANGES, .b = contents, .value = root};
	int ret = sandbox_send(sandbox, &message, &ends[1], 1);
	close(ends[1]);
	if (ret == 0)
		return ends[0];
	close(ends[0]);
	return err_set(err, HUTCH_E_GONE, "the sandbox is gone, and what it changed with it");
}

static bool has_roots(const struct hutch_sandbox *sandbox)
{
	for (size_t i = 0; i < sandbox->roots_count; i++)
		if (sandbox->roots[i])
			return true;
	return false;
}

int64_t hutch_sandbox_changes(struct hutch_sandbox *sandbox, hutch_change_fn *each, void *data, struct hutch_error *err)
{
	int ret = changes_check(sandbox, err);
	if (ret < 0)
		return ret;
	if (!has_roots(sandbox))
		return 0;
	CLEANUP_CLOSE int fd = changes_request(sandbox, false, ~UINT64_C(0), err);
	if (fd < 0)
		return fd;
	struct changes_reader reader = {.fd = fd};
	while ((ret = changes_next(&reader, err)) > 0) {
		const struct changes_record *record = &reader.record;
		if (record->root >= sandbox->roots_count || !sandbox->roots[record->root])
			return broken(err);
		const struct hutch_change change = {
			.kind = (enum hutch_change_kind)record->kind,
			.type = (char)record->type,
			.path = reader.path,
			.root = sandbox->roots[record->root],
			.size = record->size,
		};
		int stop = each ? each(data, &change) : 0;
		if (stop != 0)
			return stop;
	}
	return ret < 0 ? ret : (int64_t)reader.count;
}
