/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/results.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "wire/store.h"

#define NAME_SIZE 24

static void set_name(char name[NAME_SIZE], uint32_t id)
{
	snprintf(name, NAME_SIZE, "result.%u", id);
}

static int open_logs(const char *logs)
{
	int fd = open(logs, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int results_write(const char *logs, uint32_t id, const void *bytes, size_t size)
{
	char name[NAME_SIZE];
	CLEANUP_CLOSE int dir = open_logs(logs);
	set_name(name, id);
	return dir < 0 ? dir : store_replace_file(dir, name, bytes, size);
}

void results_remove(const char *logs, uint32_t id)
{
	char name[NAME_SIZE];
	CLEANUP_CLOSE int dir = open_logs(logs);
	set_name(name, id);
	if (dir >= 0)
		unlinkat(dir, name, 0);
}

/* A result that was copied here from elsewhere tells of another command. */
static bool is_about(const struct hutch_result *result, const char *sandbox, uint32_t id)
{
	char text[16];
	snprintf(text, sizeof text, "%u", id);
	return strcmp(result->sandbox, sandbox) == 0 && strcmp(result->id, text) == 0;
}

int results_read(const char *logs, const char *sandbox, uint32_t id, struct hutch_result **ret)
{
	char name[NAME_SIZE];
	CLEANUP_FREE void *bytes = NULL;
	size_t size = 0;
	struct hutch_result *result;
	CLEANUP_CLOSE int dir = open_logs(logs);
	set_name(name, id);
	int error = dir < 0 ? dir : store_read_file(dir, name, PACK_MAX, &bytes, &size);
	if (error < 0)
		return error == -ENOENT ? -HUTCH_E_NOT_FOUND : error == -ENOMEM ? -HUTCH_E_NO_MEMORY : -HUTCH_E_INVALID;
	error = pack_result_read(bytes, size, &result);
	if (error < 0)
		return error;
	if (!is_about(result, sandbox, id)) {
		hutch_result_free(result);
		return -HUTCH_E_INVALID;
	}
	*ret = result;
	return 0;
}
