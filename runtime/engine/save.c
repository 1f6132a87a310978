/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Applying changes to a directory of the host's. The names come from inside the sandbox, so every path is walked from
 * that directory without following any link (kernel/walk.h): a link that the sandbox, or somebody else, has put in the
 * way is refused. Files are written under a temporary name
 * and renamed, so that an interrupted save leaves whole files. setuid, setgid and sticky bits are not taken over.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "engine/changes.h"
#include "engine/engine.h"
#include "kernel/walk.h"

struct save {
	int root;
	struct changes_reader reader;
	int64_t applied;
	unsigned skipped;
	char temporary[40];      /* a name that nobody inside can have guessed */
	char first_skipped[128];
};

static int remove_below(int dir, const char *name)
{
	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	return errno == EISDIR || errno == EPERM ? remove_tree(dir, name) : -errno;
}

/* What is in the way of another kind of file goes; the sandbox has replaced it, too. */
static int clear_way(int dir, const char *name, bool wants_directory)
{
	struct stat st;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	return S_ISDIR(st.st_mode) == wants_directory ? 0 : remove_below(dir, name);
}

static int save_file(struct save *save, int dir, const char *name, struct hutch_error *err)
{
	mode_t mode = save->reader.record.mode & 0777;
	CLEANUP_CLOSE int fd = openat(dir, save->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		int error = errno;
		changes_copy(&save->reader, -1, err);
		return err_sys(err, HUTCH_E_SYSTEM, error, "cannot write \"%s\"", save->reader.path);
	}
	int ret = changes_copy(&save->reader, fd, err);
	if (ret == 0 && fchmod(fd, mode) < 0)
		ret = err_sys(err, HUTCH_E_SYSTEM, errno, "cannot set the mode of \"%s\"", save->reader.path);
	if (ret == 0 && (clear_way(dir, name, false) < 0 || renameat(dir, save->temporary, dir, name) < 0))
		ret = err_sys(err, HUTCH_E_SYSTEM, errno, "cannot write \"%s\"", save->reader.path);
	if (ret < 0)
		unlinkat(dir, save->temporary, 0);
	return ret;
}

static int save_directory(const struct save *save, int dir, const char *name, struct hutch_error *err)
{
	int ret = clear_way(dir, name, true);
	if (ret == 0 && mkdirat(dir, name, 0700) < 0 && errno != EEXIST)
		ret = -errno;
	CLEANUP_CLOSE int fd = ret < 0 ? -1 : openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (ret == 0 && (fd < 0 || fchmod(fd, (save->reader.record.mode & 0777) | 0700) < 0))
		ret = -errno;
	return ret < 0 ? err_sys(err, HUTCH_E_SYSTEM, -ret, "cannot make the directory \"%s\"", save->reader.path) : 0;
}

static int save_link(const struct save *save, int dir, const char *name, struct hutch_error *err)
{
	int ret = remove_below(dir, name);
	if (ret == 0 && symlinkat(save->reader.link, dir, name) < 0)
		ret = -errno;
	return ret < 0 ? err_sys(err, HUTCH_E_SYSTEM, -ret, "cannot make the link \"%s\"", save->reader.path) : 0;
}

static void skip(struct save *save)
{
	if (save->skipped++ == 0)
		snprintf(save->first_skipped, sizeof save->first_skipped, "%.100s", save->reader.path);
}

static int apply(struct save *save, struct hutch_error *err)
{
	const struct changes_record *record = &save->reader.record;
	const char *name;
	/* a directory that was there before is no change: it may be missing here, and is made */
	CLEANUP_CLOSE int dir = walk_parent(save->root, save->reader.path, &name);
	if (dir < 0)
		return err_hint(err, err_sys(err, HUTCH_E_SYSTEM, -dir, "cannot open the directory of \"%s\"", save->reader.path),
		                dir == -ELOOP ? "a symbolic link is in the way, and links are not followed" : "");
	if (record->kind == CHANGES_DELETED) {
		int ret = remove_below(dir, name);
		return ret < 0 ? err_sys(err, HUTCH_E_SYSTEM, -ret, "cannot remove \"%s\"", save->reader.path) : 0;
	}
	switch (record->type) {
	case 'f': return save_file(save, dir, name, err);
	case 'd': return save_directory(save, dir, name, err);
	case 'l': return save_link(save, dir, name, err);
	default: skip(save); return 0;
	}
}

static int open_target(const char *directory, struct hutch_error *err)
{
	if (mkdir(directory, 0777) < 0 && errno != EEXIST)
		return err_sys(err, HUTCH_E_INVALID, errno, "save: cannot make \"%s\"", directory);
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_sys(err, HUTCH_E_INVALID, errno, "save: cannot open \"%s\"", directory) : fd;
}

int64_t hutch_sandbox_save(struct hutch_sandbox *sandbox, const char *directory, struct hutch_error *err)
{
	int ret = changes_check(sandbox, err);
	if (ret < 0)
		return ret;
	if (sandbox->workspace_op == ~0u)
		return err_set(err, HUTCH_E_STATE, "save: the sandbox has no copy-on-write workspace");
	CLEANUP_CLOSE int root = open_target(directory, err);
	if (root < 0)
		return root;
	CLEANUP_CLOSE int fd = changes_request(sandbox, true, sandbox->workspace_op, err);
	if (fd < 0)
		return fd;
	struct save save = {.root = root, .reader = {.fd = fd, .has_contents = true}};
	uint64_t random = 0;
	if (getrandom(&random, sizeof random, 0) != sizeof random)
		return err_sys(err, HUTCH_E_SYSTEM, errno, "getrandom");
	snprintf(save.temporary, sizeof save.temporary, ".hutch-save-%016llx", (unsigned long long)random);
	while ((ret = changes_next(&save.reader, err)) > 0) {
		ret = apply(&save, err);
		if (ret < 0)
			return ret;
		save.applied++;
	}
	if (ret == 0 && save.skipped > 0)
		return err_hint(err, err_set(err, HUTCH_E_UNSUPPORTED, "save: %u of the changes are no files, directories or links and were left out", save.skipped),
		                "the first is \"%.100s\"", save.first_skipped);
	return ret < 0 ? ret : save.applied;
}
