/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "engine/engine.h"

/* mkdir -p, 0700 for what is new. */
static int make_directories(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		int ret = mkdir(path, 0700);
		*slash = '/';
		if (ret < 0 && errno != EEXIST)
			return -errno;
	}
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

/* The directory must be ours: somebody else's could be changed under us. */
static int check_own(const char *path, struct hutch_error *err)
{
	struct stat st;
	if (lstat(path, &st) < 0)
		return err_sys(err, HUTCH_E_SYSTEM, errno, "cannot look at %s", path);
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022))
		return err_hint(err, err_set(err, HUTCH_E_INVALID, "%s is not a directory that only you can write to", path), "chmod go-w it, or choose another with --state DIR");
	return 0;
}

static char *state_directory(const char *given, const char *below)
{
	char *path = NULL;
	const char *home = getenv("HOME");
	int ret = given              ? asprintf(&path, "%s/%s", given, below)
	          : geteuid() == 0   ? asprintf(&path, "/var/lib/hutch/%s", below)
	          : home && *home    ? asprintf(&path, "%s/.local/state/hutch/%s", home, below)
	                             : -1;
	return ret < 0 ? NULL : path;
}

/* Makes the directory and locks it; gc may have it found unlocked in between, and have removed it. */
static int make_locked(const char *path, int *ret_lock)
{
	for (;;) {
		struct stat st;
		if (mkdir(path, 0700) < 0)
			return -errno;
		CLEANUP_CLOSE int lock = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (lock < 0 && errno != ENOENT)
			return -errno;
		if (lock < 0 || flock(lock, LOCK_EX) < 0 || fstat(lock, &st) < 0 || st.st_nlink == 0)
			continue;
		*ret_lock = TAKE_FD(lock);
		return 0;
	}
}

static int make_below(const char *state_dir, const char *kind, const char *id, char **ret, int *ret_lock, struct hutch_error *err)
{
	CLEANUP_FREE char *parent = state_directory(state_dir, kind);
	if (!parent)
		return err_hint(err, err_set(err, HUTCH_E_INVALID, "there is no place for data on disk: HOME is not set"), "use --state DIR");
	int error = make_directories(parent);
	if (error < 0)
		return err_hint(err, err_sys(err, HUTCH_E_INVALID, -error, "state: cannot make %s", parent), "use --state DIR with a directory that you can write to");
	error = check_own(parent, err);
	if (error < 0)
		return error;
	CLEANUP_FREE char *resolved = realpath(parent, NULL);
	CLEANUP_FREE char *path = NULL;
	if (!resolved || asprintf(&path, "%s/%s", resolved, id) < 0)
		return err_set(err, HUTCH_E_NO_MEMORY, "out of memory");
	error = make_locked(path, ret_lock);
	if (error < 0)
		return err_sys(err, HUTCH_E_SYSTEM, -error, "cannot make %s", path);
	*ret = TAKE(path);
	return 0;
}

int state_make_upper(const char *state_dir, const char *id, char **ret, int *ret_lock, struct hutch_error *err)
{
	return make_below(state_dir, "upper", id, ret, ret_lock, err);
}

int state_make_logs(const char *state_dir, const char *id, char **ret, int *ret_lock, struct hutch_error *err)
{
	return make_below(state_dir, "logs", id, ret, ret_lock, err);
}

bool state_remove_unused(const char *path)
{
	CLEANUP_CLOSE int lock = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0 && remove_tree(AT_FDCWD, path) == 0;
}

static unsigned remove_all_unused(const char *kind)
{
	unsigned removed = 0;
	CLEANUP_FREE char *parent = state_directory(NULL, kind);
	DIR *dir = parent && check_own(parent, NULL) == 0 ? opendir(parent) : NULL;
	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		CLEANUP_FREE char *path = NULL;
		if (entry->d_name[0] != '.' && asprintf(&path, "%s/%s", parent, entry->d_name) >= 0)
			removed += state_remove_unused(path);
	}
	if (dir)
		closedir(dir);
	return removed;
}

unsigned state_collect(void)
{
	return remove_all_unused("upper") + remove_all_unused("logs");
}

char *state_cache_directory(void)
{
	CLEANUP_FREE char *path = state_directory(NULL, "filters");
	if (!path || make_directories(path) < 0 || check_own(path, NULL) < 0)
		return NULL;
	return TAKE(path);
}
