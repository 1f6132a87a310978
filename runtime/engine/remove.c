/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deleting what a sandbox has written: any depth, any names, directories without permissions, in bounded memory and
 * with a bounded number of descriptors. Nothing is followed, and no other file system is entered. Directories deeper
 * than DEPTH are first moved up to the top.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/engine.h"

#define DEPTH 64

struct removal {
	int top;
	dev_t dev;
	unsigned moved;
	int error; /* the first */
};

static void note(struct removal *removal, int error)
{
	if (removal->error == 0 && error != ENOENT)
		removal->error = error;
}

static int open_directory(int dir, const char *name)
{
	int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(dir, name, flags);
	if (fd < 0 && errno == EACCES && fchmodat(dir, name, 0700, 0) == 0)
		fd = openat(dir, name, flags);
	return fd;
}

static void remove_contents(struct removal *removal, int fd, unsigned depth);

static void remove_directory(struct removal *removal, int dir, const char *name, unsigned depth)
{
	char moved[32];
	if (depth >= DEPTH) {
		snprintf(moved, sizeof moved, ".hutch-deep-%u", removal->moved++);
		if (renameat(dir, name, removal->top, moved) < 0)
			note(removal, errno);
		return; /* the top is read until it is empty */
	}
	int fd = open_directory(dir, name);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_dev != removal->dev) {
		note(removal, fd < 0 ? errno : EXDEV);
		if (fd >= 0)
			close(fd);
		return;
	}
	fchmod(fd, 0700);
	remove_contents(removal, fd, depth + 1); /* closes fd */
	if (unlinkat(dir, name, AT_REMOVEDIR) < 0 && errno != ENOTEMPTY)
		note(removal, errno);
}

static void remove_contents(struct removal *removal, int fd, unsigned depth)
{
	DIR *directory = fdopendir(fd);
	if (!directory) {
		close(fd);
		note(removal, errno);
		return;
	}
	for (struct dirent *entry; (entry = readdir(directory));) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (unlinkat(dirfd(directory), entry->d_name, 0) == 0)
			continue;
		if (errno == EISDIR || errno == EPERM)
			remove_directory(removal, dirfd(directory), entry->d_name, depth);
		else
			note(removal, errno);
	}
	closedir(directory);
}

int remove_tree(int dir, const char *name)
{
	struct removal removal = {.top = open_directory(dir, name)};
	struct stat st;
	if (removal.top < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(removal.top, &st) < 0) {
		close(removal.top);
		return -errno;
	}
	removal.dev = st.st_dev;
	fchmod(removal.top, 0700);
	unsigned before;
	int ret;
	do { /* again while directories were moved up */
		before = removal.moved;
		int fd = openat(removal.top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			break;
		remove_contents(&removal, fd, 0);
		ret = unlinkat(dir, name, AT_REMOVEDIR);
	} while (ret < 0 && errno == ENOTEMPTY && removal.moved != before);
	close(removal.top);
	return -removal.error;
}
