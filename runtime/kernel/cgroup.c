/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

#define FILE_MAX 8192 /* of what is read here; memory.stat, the longest, has less */

static const char *const controllers[] = {"memory", "cpu", "pids", "io"};
#define CONTROLLERS (sizeof controllers / sizeof *controllers)

const char *cgroup_controller_name(uint32_t bit)
{
	for (size_t i = 0; i < CONTROLLERS; i++)
		if (bit == 1u << i)
			return controllers[i];
	return NULL;
}

uint32_t cgroup_parse_controllers(const char *list)
{
	uint32_t found = 0;
	while (*list) {
		size_t length = strcspn(list, " \n");
		for (size_t i = 0; i < CONTROLLERS; i++)
			if (strlen(controllers[i]) == length && memcmp(controllers[i], list, length) == 0)
				found |= 1u << i;
		list += length + (list[length] != '\0');
	}
	return found;
}

int cgroup_write(int dir, const char *file, const char *value)
{
	CLEANUP_CLOSE int fd = openat(dir, file, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	size_t size = strlen(value);
	ssize_t written = write(fd, value, size);
	return written < 0 ? -errno : (size_t)written == size ? 0 : -EIO;
}

int cgroup_write_u64(int dir, const char *file, uint64_t value)
{
	char text[32];
	snprintf(text, sizeof text, "%" PRIu64, value);
	return cgroup_write(dir, file, text);
}

int cgroup_read(int dir, const char *file, char *ret, size_t size)
{
	CLEANUP_CLOSE int fd = openat(dir, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	size_t used = 0;
	for (;;) {
		ssize_t got = read(fd, ret + used, size - used);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		used += (size_t)got;
		if (used == size)
			return -E2BIG;
	}
	ret[used] = '\0';
	if (used > 0 && ret[used - 1] == '\n')
		ret[used - 1] = '\0';
	return 0;
}

static int parse_u64(const char *text, uint64_t *ret)
{
	char *end;
	if (strncmp(text, "max", 3) == 0) {
		*ret = UINT64_MAX;
		return 0;
	}
	if (*text < '0' || *text > '9')
		return -EBADMSG;
	errno = 0;
	unsigned long long value = strtoull(text, &end, 10);
	if (errno != 0 || (*end && *end != '\n' && *end != ' '))
		return -EBADMSG;
	*ret = value;
	return 0;
}

int cgroup_read_u64(int dir, const char *file, uint64_t *ret)
{
	char text[64];
	int error = cgroup_read(dir, file, text, sizeof text);
	return error < 0 ? error : parse_u64(text, ret);
}

int cgroup_read_key(int dir, const char *file, const char *key, uint64_t *ret)
{
	char text[FILE_MAX];
	size_t length = strlen(key);
	int error = cgroup_read(dir, file, text, sizeof text);
	if (error < 0)
		return error;
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, length) == 0 && line[length] == ' ')
			return parse_u64(line + length + 1, ret);
	}
	return -ENOENT;
}

/* "8:0 rbytes=1 wbytes=2 rios=3 ...", a line for each disk. */
bool cgroup_sum_io(int dir, uint64_t *ret_read, uint64_t *ret_written)
{
	char text[FILE_MAX];
	if (cgroup_read(dir, "io.stat", text, sizeof text) < 0)
		return false;
	*ret_read = *ret_written = 0;
	for (const char *at = text; (at = strstr(at, "rbytes=")); at++)
		*ret_read += strtoull(at + strlen("rbytes="), NULL, 10);
	for (const char *at = text; (at = strstr(at, "wbytes=")); at++)
		*ret_written += strtoull(at + strlen("wbytes="), NULL, 10);
	return true;
}
