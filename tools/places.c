/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options that name directories: what of the host is shown, where, and how.
 *
 * Paths may contain colons. `DIR[:ACCESS]` is split at the last colon, and only if an access follows. `SRC[:DST]` is split at
 * the last colon that is followed by a slash, for DST is always an absolute path inside.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "keep.h"
#include "say.h"
#include "values.h"

static bool read_access(const char *word, enum hutch_access *ret)
{
	static const char *const words[] = {
		[HUTCH_ACCESS_RO] = "ro",
		[HUTCH_ACCESS_COW] = "cow",
		[HUTCH_ACCESS_RW] = "rw",
	};

	for (int i = HUTCH_ACCESS_RO; i <= HUTCH_ACCESS_RW; i++) {
		if (strcmp(word, words[i]) == 0) {
			*ret = (enum hutch_access)i;
			return true;
		}
	}
	return false;
}

/* DIR[:ro|cow|rw]; *access keeps its value when none is given. */
static int read_directory(struct run_options *options, const char *value, const char **ret, enum hutch_access *access,
                          struct hutch_error *err)
{
	const char *colon = strrchr(value, ':');
	size_t length = strlen(value);

	if (colon && read_access(colon + 1, access))
		length = (size_t)(colon - value);
	else if (colon && faccessat(AT_FDCWD, value, F_OK, AT_EACCESS) < 0)
		return usage_error(err, "\"%.100s\" is not an access (ro, cow or rw, as in DIR:ro)", colon + 1);
	if (!length)
		return usage_error(err, "\"%.100s\" names no directory", value);
	*ret = keep_text(options, value, length, err);
	return *ret ? 0 : -1;
}

int set_workspace(struct run_options *options, const char *value, struct hutch_error *err)
{
	enum hutch_access access = HUTCH_ACCESS_COW;

	if (read_directory(options, value, &options->spec.workspace, &access, err) < 0)
		return -1;
	options->spec.workspace_access = access;
	options->workspace = WORKSPACE_GIVEN;
	return 0;
}

int set_no_workspace(struct run_options *options, const char *value, struct hutch_error *err)
{
	(void)value;
	(void)err;
	options->spec.workspace = NULL;
	options->workspace = WORKSPACE_NONE;
	return 0;
}

int set_rootfs(struct run_options *options, const char *value, struct hutch_error *err)
{
	enum hutch_access access = HUTCH_ACCESS_RO;

	if (read_directory(options, value, &options->spec.rootfs, &access, err) < 0)
		return -1;
	options->spec.rootfs_access = access;
	options->spec.root = HUTCH_ROOT_DIRECTORY;
	return 0;
}

static int add_mount(struct run_options *options, const struct hutch_mount *mount, struct hutch_error *err)
{
	struct hutch_mount *mounts = grow(options->mounts, options->mounts_count, sizeof *mounts, err);

	if (!mounts)
		return -1;
	mounts[options->mounts_count++] = *mount;
	options->mounts = mounts;
	options->spec.mounts = mounts;
	options->spec.mounts_count = options->mounts_count;
	return 0;
}

/* The last ":/" that has something in front of it. */
static const char *find_target(const char *value)
{
	const char *found = NULL;

	for (const char *at = strstr(value, ":/"); at; at = strstr(at + 1, ":/"))
		found = at;
	return found;
}

static int add_host_mount(struct run_options *options, const char *value, enum hutch_access access, struct hutch_error *err)
{
	struct hutch_mount mount = {.kind = HUTCH_MOUNT_HOST, .access = access};
	const char *colon = find_target(value);
	size_t length = colon ? (size_t)(colon - value) : strlen(value);

	if (!length)
		return usage_error(err, "\"%.100s\" names no source (SRC or SRC:DST)", value);
	if (!colon && strchr(value, ':'))
		return usage_error(err, "\"%.100s\": what follows the colon is not an absolute path inside (SRC or SRC:/DST)", value);
	if (colon)
		mount.target = colon + 1;
	mount.source = keep_text(options, value, length, err);
	return mount.source ? add_mount(options, &mount, err) : -1;
}

int set_ro(struct run_options *options, const char *value, struct hutch_error *err)
{
	return add_host_mount(options, value, HUTCH_ACCESS_RO, err);
}

int set_rw(struct run_options *options, const char *value, struct hutch_error *err)
{
	return add_host_mount(options, value, HUTCH_ACCESS_RW, err);
}

int set_cow(struct run_options *options, const char *value, struct hutch_error *err)
{
	return add_host_mount(options, value, HUTCH_ACCESS_COW, err);
}

int set_tmpfs(struct run_options *options, const char *value, struct hutch_error *err)
{
	struct hutch_mount mount = {.kind = HUTCH_MOUNT_TMPFS, .access = HUTCH_ACCESS_RW};
	const char *colon = strrchr(value, ':');
	size_t length = colon ? (size_t)(colon - value) : strlen(value);

	if (value[0] != '/')
		return usage_error(err, "\"%.100s\" is not an absolute path inside (/DST or /DST:SIZE)", value);
	if (colon && (hutch_parse_size(colon + 1, &mount.size_bytes) < 0 || !mount.size_bytes))
		return usage_error(err, "\"%.100s\" is not a size (a number with K, M, G or T, not zero, as in /DST:64M)", colon + 1);
	mount.target = keep_text(options, value, length, err);
	return mount.target ? add_mount(options, &mount, err) : -1;
}

int set_cwd(struct run_options *options, const char *value, struct hutch_error *err)
{
	if (value[0] != '/')
		return usage_error(err, "\"%.100s\" is not an absolute path (the directory as it is named inside, such as /tmp)", value);
	options->command.cwd = value;
	return 0;
}
