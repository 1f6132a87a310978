/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading kept logs (wire/log.h): the files themselves, so that it needs nobody, and works when the supervisor is dead.
 * Only to be woken when there is more, the supervisor is asked.
 *
 * A process remembers where the last chunk was, so that reading on costs nothing. The supervisor may drop a segment
 * while it is being read: what is open can be read to its end, and then the oldest that is left follows.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/client.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "wire/log.h"

static int open_segment(int dir, uint32_t id, uint64_t segment)
{
	char name[48];
	snprintf(name, sizeof name, "%u.%llu", id, (unsigned long long)segment);
	return openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

/* The segments that there are. */
static bool find_segments(int logs, uint32_t id, uint64_t *ret_first, uint64_t *ret_last)
{
	bool found = false;
	int fd = openat(logs, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		cleanup_close(&fd);
		return false;
	}
	for (struct dirent *entry; (entry = readdir(dir));) {
		char *end;
		unsigned long process = strtoul(entry->d_name, &end, 10);
		if (process != id || *end != '.')
			continue;
		uint64_t segment = strtoull(end + 1, &end, 10);
		if (*end)
			continue;
		*ret_first = found && *ret_first < segment ? *ret_first : segment;
		*ret_last = found && *ret_last > segment ? *ret_last : segment;
		found = true;
	}
	closedir(dir);
	return found;
}

/* 1: a whole record at `at`; 0: not there (yet); -1: something else is. */
static int read_record(int fd, uint64_t at, struct log_record *ret)
{
	struct stat st;
	if (pread(fd, ret, sizeof *ret, (off_t)at) != (ssize_t)sizeof *ret)
		return 0;
	if (ret->magic != LOG_MAGIC || ret->stream > 1 || ret->size == 0 || ret->size > LOG_DATA_MAX)
		return -1;
	return fstat(fd, &st) == 0 && (uint64_t)st.st_size >= at + sizeof *ret + ret->size;
}

/* Opens the segment that has `offset`, or the oldest. */
static bool seek_log(struct hutch_process *process, int logs, uint64_t offset)
{
	uint64_t first, last;
	struct log_record record;
	if (!find_segments(logs, process->id, &first, &last))
		return false;
	for (uint64_t segment = last;; segment--) {
		CLEANUP_CLOSE int fd = open_segment(logs, process->id, segment);
		bool is_it = fd >= 0 && (segment == first || (read_record(fd, 0, &record) == 1 && record.offset <= offset));
		if (is_it) {
			cleanup_close(&process->log);
			process->log = TAKE_FD(fd);
			process->log_segment = segment;
			process->log_at = process->log_offset = 0;
			return true;
		}
		if (segment == first)
			return false;
	}
}

/* The next segment, when this one is at its end: it is only written to when there is none after it. */
static bool next_segment(struct hutch_process *process, int logs)
{
	uint64_t first, last;
	struct log_record record;
	if (!find_segments(logs, process->id, &first, &last) || last <= process->log_segment)
		return false;
	if (read_record(process->log, process->log_at, &record) == 1) /* came in between */
		return true;
	uint64_t next = process->log_segment + 1 < first ? first : process->log_segment + 1;
	CLEANUP_CLOSE int fd = open_segment(logs, process->id, next);
	if (fd < 0)
		return false;
	cleanup_close(&process->log);
	process->log = TAKE_FD(fd);
	process->log_segment = next;
	process->log_at = 0;
	return true;
}

static int take_chunk(struct hutch_process *process, const struct log_record *record, uint64_t offset, struct hutch_log_chunk *ret, struct hutch_error *err)
{
	uint64_t skip = offset > record->offset ? offset - record->offset : 0;
	size_t size = (size_t)(record->size - skip);
	CLEANUP_FREE char *data = malloc(size + 1);
	if (!data)
		return err_set(err, HUTCH_E_NO_MEMORY, "out of memory");
	if (pread(process->log, data, size, (off_t)(process->log_at + sizeof *record + skip)) != (ssize_t)size)
		return err_sys(err, HUTCH_E_SYSTEM, errno, "cannot read the log");
	data[size] = '\0';
	*ret = (struct hutch_log_chunk){
		.stream = record->stream ? HUTCH_EVENT_STDERR : HUTCH_EVENT_STDOUT,
		.time_ms = record->time_ms,
		.offset = record->offset + skip,
		.dropped = record->offset > offset ? record->offset - offset : 0,
		.data = TAKE(data),
		.size = size,
	};
	process->log_offset = record->offset;
	return 1;
}

/* 1: a chunk; 0: none is there. */
static int read_chunk(struct hutch_process *process, int logs, uint64_t offset, struct hutch_log_chunk *ret, struct hutch_error *err)
{
	struct log_record record;
	if ((process->log < 0 || offset < process->log_offset) && !seek_log(process, logs, offset))
		return 0;
	for (;;) {
		int found = read_record(process->log, process->log_at, &record);
		if (found < 0)
			return err_set(err, HUTCH_E_SYSTEM, "the log is damaged after byte %llu", (unsigned long long)process->log_offset);
		if (found == 0 && !next_segment(process, logs))
			return 0;
		if (found == 0)
			continue;
		if (record.offset + record.size > offset)
			return take_chunk(process, &record, offset, ret, err);
		process->log_at += sizeof record + record.size;
		process->log_offset = record.offset + record.size; /* whoever wants what is before has to seek */
	}
}

static int open_logs(const struct hutch_process *process, struct hutch_error *err)
{
	const struct client *client = process->sandbox->remote_data;
	if (!process->is_kept)
		return err_set(err, HUTCH_E_STATE, "the output of this command is not kept: only that of detached ones is");
	int fd = open(client->logs, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? err_sys(err, HUTCH_E_SYSTEM, errno, "cannot open the directory of logs") : fd;
}

int hutch_process_log(struct hutch_process *process, uint64_t offset, bool follow, int64_t timeout_ms, struct hutch_log_chunk *ret, struct hutch_error *err)
{
	int64_t end = timeout_ms < 0 ? NO_DEADLINE : loop_deadline_ms((uint64_t)timeout_ms);
	CLEANUP_CLOSE int logs = open_logs(process, err);
	if (logs < 0)
		return logs;
	for (bool is_over = false;;) {
		int got = read_chunk(process, logs, offset, ret, err);
		if (got != 0 || !follow || is_over || process->sandbox->is_gone)
			return got;
		int64_t left = end == NO_DEADLINE ? INT32_MAX : end - loop_now_ms();
		struct message message = {.type = WIRE_LOG_WAIT, .id = process->id, .value = offset}, answer;
		int error = client_call(process->sandbox, &message, NULL, 0, left < 0 ? 0 : left, &answer, NULL, err);
		if (error == -HUTCH_E_GONE && process->sandbox->is_gone)
			continue;
		if (error < 0)
			return error;
		is_over = answer.b;
	}
}
