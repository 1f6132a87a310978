/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/log.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "wire/log.h"

static void segment_path(const struct log *log, uint64_t segment, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/%u.%llu", log->directory, log->id, (unsigned long long)segment);
}

void log_init(struct log *log, const char *directory, uint32_t id)
{
	*log = (struct log){.directory = directory, .id = id, .fd = -1};
}

static void open_segment(struct log *log, uint64_t segment)
{
	char path[PATH_MAX];
	segment_path(log, segment, path);
	cleanup_close(&log->fd);
	log->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	log->segment = segment;
	log->size = 0;
}

/* The next segment; the one before the last goes. */
static void roll(struct log *log)
{
	char path[PATH_MAX];
	if (log->segment > 0) {
		segment_path(log, log->segment - 1, path);
		unlink(path);
	}
	open_segment(log, log->segment + 1);
}

void log_append(struct log *log, unsigned stream, const char *data, size_t size)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	struct log_record record = {
		.magic = LOG_MAGIC, .stream = stream, .time_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000, .offset = log->offset, .size = size,
	};
	const struct iovec parts[] = {{&record, sizeof record}, {(void *)(uintptr_t)data, size}};
	log->offset += size;
	if (log->fd < 0)
		open_segment(log, log->segment);
	if (log->size + sizeof record + size > LOG_SEGMENT)
		roll(log);
	if (log->fd < 0)
		return;
	ssize_t written = writev(log->fd, parts, 2);
	if (written == (ssize_t)(sizeof record + size))
		log->size += (uint64_t)written;
	else if (ftruncate(log->fd, (off_t)log->size) == 0) /* no half records */
		lseek(log->fd, (off_t)log->size, SEEK_SET);
}

void log_close(struct log *log)
{
	cleanup_close(&log->fd);
	log->fd = -1;
}

void log_remove(struct log *log)
{
	char path[PATH_MAX];
	log_close(log);
	for (unsigned back = 0; back < 2 && back <= log->segment; back++) {
		segment_path(log, log->segment - back, path);
		unlink(path);
	}
}
