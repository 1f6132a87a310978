/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --result FILE: written beside its place and moved there, so that whoever looks finds a whole record or none. Only a
 * regular file is replaced this way: moving something over /dev/stdout or a FIFO would destroy it.
 */
#include "result_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "say.h"

/* /dev/stdout and /proc/self/fd/3 mean a file that is open, and not its name: whatever it is, it is written as it is. */
static bool is_open_file(const char *path)
{
	return strncmp(path, "/dev/", 5) == 0 || strncmp(path, "/proc/", 6) == 0;
}

/* Links are followed, so that the file they name is replaced and not the link. */
static int resolve(const char *path, char target[PATH_MAX], bool *ret_is_replaced, struct hutch_error *err)
{
	struct stat st;

	*ret_is_replaced = !is_open_file(path) && (stat(path, &st) < 0 || S_ISREG(st.st_mode));
	if (*ret_is_replaced && realpath(path, target))
		return 0;
	if (*ret_is_replaced && errno != ENOENT)
		return system_error(err, errno, "--result: cannot find %s", path);
	if (snprintf(target, PATH_MAX, "%s", path) >= PATH_MAX)
		return system_error(err, ENAMETOOLONG, "--result: %s", path);
	return 0;
}

int result_file_check(const char *path, struct hutch_error *err)
{
	char target[PATH_MAX];
	bool is_replaced;
	struct stat st;

	if (resolve(path, target, &is_replaced, err) < 0)
		return -1;
	if (is_replaced) {
		char *slash = strrchr(target, '/');
		if (slash)
			slash[slash == target] = '\0'; /* the root's name is its slash */
		else
			strcpy(target, ".");
	} else if (stat(target, &st) == 0 && S_ISDIR(st.st_mode)) {
		return usage_error(err, "--result: %s is a directory", path);
	}
	if (faccessat(AT_FDCWD, target, W_OK, AT_EACCESS) < 0)
		return system_error(err, errno, "--result: cannot write %s", path);
	return 0;
}

int result_file_open(struct result_file *file, const char *path, struct hutch_error *err)
{
	bool is_replaced;
	int fd;

	file->temporary[0] = '\0';
	if (resolve(path, file->target, &is_replaced, err) < 0)
		return -1;
	if (is_replaced) {
		snprintf(file->temporary, sizeof file->temporary, "%s.%d.tmp", file->target, (int)getpid());
		fd = open(file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	} else {
		fd = open(file->target, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY);
	}
	file->out = fd < 0 ? NULL : fdopen(fd, "w");
	if (!file->out) {
		system_error(err, errno, "--result: cannot write %s", path);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return 0;
}

int result_file_commit(struct result_file *file, struct hutch_error *err)
{
	bool is_written = fflush(file->out) == 0 && !ferror(file->out);
	int reason = errno;

	if (fclose(file->out) != 0 && is_written) {
		is_written = false;
		reason = errno;
	}
	if (is_written && (!file->temporary[0] || rename(file->temporary, file->target) == 0))
		return 0;
	reason = is_written ? errno : reason;
	if (file->temporary[0])
		unlink(file->temporary);
	return system_error(err, reason, "--result: cannot write %s", file->target);
}
