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

/* What a killed owner has left: its directory is there, and nobody holds its lock. */
static void remove_stale(int parent)
{
	int copy = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = copy < 0 ? NULL : fdopendir(copy);
	for (struct dirent *entry; directory && (entry = readdir(directory));) {
		if (entry->d_name[0] == '.') /* being made */
			continue;
		CLEANUP_CLOSE int lock = openat(parent, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0)
			remove_tree(parent, entry->d_name);
	}
	if (directory)
		closedir(directory);
}

/* The directory appears under its name only once its lock is held. */
static int make_locked(int parent, const char *id, struct hutch_error *err)
{
	char hidden[64];
	snprintf(hidden, sizeof hidden, ".%s", id);
	if (mkdirat(parent, hidden, 0700) < 0)
		return err_sys(err, HUTCH_E_SYSTEM, errno, "cannot make a directory for copy-on-write data");
	CLEANUP_CLOSE int lock = openat(parent, hidden, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0 || renameat(parent, hidden, parent, id) < 0)
		return err_sys(err, HUTCH_E_SYSTEM, errno, "cannot lock a directory for copy-on-write data");
	int moved = fcntl(lock, F_DUPFD_CLOEXEC, 3);
	return moved < 0 ? err_sys(err, HUTCH_E_SYSTEM, errno, "cannot keep a lock") : moved;
}

int state_make_upper(const char *state_dir, const char *id, char **ret, int *ret_lock, struct hutch_error *err)
{
	CLEANUP_FREE char *parent = state_directory(state_dir, "upper");
	if (!parent)
		return err_hint(err, err_set(err, HUTCH_E_INVALID, "there is no place for copy-on-write data: HOME is not set"), "use --state DIR");
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
	CLEANUP_CLOSE int dir = open(resolved, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return err_sys(err, HUTCH_E_SYSTEM, errno, "cannot open %s", resolved);
	remove_stale(dir);
	int lock = make_locked(dir, id, err);
	if (lock < 0)
		return lock;
	*ret_lock = lock;
	*ret = TAKE(path);
	return 0;
}

char *state_cache_directory(void)
{
	CLEANUP_FREE char *path = state_directory(NULL, "filters");
	if (!path || make_directories(path) < 0 || check_own(path, NULL) < 0)
		return NULL;
	return TAKE(path);
}
