/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the user asked to see: the root directory, the workspace, further mounts; and the sandbox's private places.
 *
 * Sources are resolved here, with the caller's rights, to a path without links and the identity of what is there; init
 * opens that path again, without following links, and compares. Real root cannot do it that way (init's id may not be
 * able to reach /root): there the owner makes the mounts itself and hands them over. All targets are added in the order
 * of their paths, so that a directory comes before what is mounted below it.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "kernel/probe_parse.h"
#include "plan/build.h"

#define ENTRIES_MAX 300u

/* One place in the sandbox's tree. */
struct entry {
	enum plan_op_kind kind;
	char *target, *source;     /* owned; source NULL: private */
	enum hutch_access access;
	uint32_t mode;
	uint64_t size;
	bool is_file, is_owned, is_workspace;
	struct stat st;
	const char *field;         /* for errors */
};

struct entries {
	struct entry list[ENTRIES_MAX];
	size_t count;
};

static void entries_done(struct entries *entries)
{
	for (size_t i = 0; i < entries->count; i++) {
		free(entries->list[i].target);
		free(entries->list[i].source);
	}
	free(entries);
}

static void cleanup_entries(struct entries **entries)
{
	if (*entries)
		entries_done(*entries);
}

/* A path without doubled and trailing slashes and "." components; spec_check has refused "..". */
static char *normalize(const char *path)
{
	char *result = malloc(strlen(path) + 2), *to = result;
	if (!result)
		return NULL;
	while (*path) {
		size_t length = strcspn(path, "/");
		if (length > 0 && !(length == 1 && *path == '.')) {
			*to++ = '/';
			memcpy(to, path, length);
			to += length;
		}
		path += length + (path[length] == '/');
	}
	if (to == result)
		*to++ = '/';
	*to = '\0';
	return result;
}

static int resolve(const char *path, const char *field, char **ret, struct stat *ret_st, struct hutch_error *err)
{
	CLEANUP_FREE char *resolved = realpath(path, NULL);
	if (!resolved || lstat(resolved, ret_st) < 0)
		return err_sys(err, HUTCH_E_INVALID, errno, "%s \"%s\"", field, path);
	*ret = TAKE(resolved);
	return 0;
}

int plan_workspace_path(const struct hutch_spec *spec, char **ret, struct hutch_error *err)
{
	struct stat st;
	int error = resolve(spec->workspace, "workspace", ret, &st, err);
	if (error < 0)
		return error;
	if (S_ISDIR(st.st_mode))
		return 0;
	free(*ret);
	*ret = NULL;
	return err_set(err, HUTCH_E_INVALID, "workspace \"%s\" is not a directory", spec->workspace);
}

static struct entry *add_entry(struct entries *entries, enum plan_op_kind kind, char *target)
{
	struct entry *entry = &entries->list[entries->count++];
	*entry = (struct entry){.kind = kind, .target = target};
	return entry;
}

static void add_private(struct entries *entries, const char *target, uint32_t mode, bool is_owned)
{
	struct entry *entry = add_entry(entries, PLAN_OP_SCRATCH, strdup(target));
	entry->mode = mode;
	entry->is_owned = is_owned;
	entry->access = HUTCH_ACCESS_RW;
}

static int add_host(struct entries *entries, const char *source, const char *target, enum hutch_access access, const char *field, struct hutch_error *err)
{
	char *resolved = NULL;
	struct stat st;
	int ret = resolve(source, field, &resolved, &st, err);
	if (ret < 0)
		return ret;
	struct entry *entry = add_entry(entries, access == HUTCH_ACCESS_COW ? PLAN_OP_OVERLAY : PLAN_OP_BIND, normalize(target ? target : resolved));
	entry->source = resolved;
	entry->access = access;
	entry->st = st;
	entry->field = field;
	entry->is_file = !S_ISDIR(st.st_mode);
	if (entry->is_file && access == HUTCH_ACCESS_COW)
		return err_set(err, HUTCH_E_INVALID, "%s \"%s\" is not a directory: only directories can be copy-on-write", field, source);
	return 0;
}

static int add_mounts(struct entries *entries, const struct hutch_spec *spec, struct hutch_error *err)
{
	for (size_t i = 0; i < spec->mounts_count; i++) {
		const struct hutch_mount *mount = &spec->mounts[i];
		if (mount->kind == HUTCH_MOUNT_HOST) {
			static const char *const fields[] = {[HUTCH_ACCESS_RO] = "--ro", [HUTCH_ACCESS_COW] = "--cow", [HUTCH_ACCESS_RW] = "--rw"};
			int ret = add_host(entries, mount->source, mount->target, mount->access, fields[mount->access], err);
			if (ret < 0)
				return ret;
			continue;
		}
		struct entry *entry = add_entry(entries, mount->size_bytes ? PLAN_OP_TMPFS : PLAN_OP_SCRATCH, normalize(mount->target));
		entry->size = mount->size_bytes;
		entry->mode = 0755;
		entry->is_owned = true;
		entry->access = HUTCH_ACCESS_RW;
	}
	return 0;
}

/* '/' sorts before everything else, so that a directory precedes what is below it; the order of equals is kept. */
static int path_compare(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	unsigned char x = (unsigned char)(*a == '/' ? 1 : *a), y = (unsigned char)(*b == '/' ? 1 : *b);
	return x - y;
}

static void sort_entries(struct entries *entries)
{
	for (size_t i = 1; i < entries->count; i++) {
		struct entry moved = entries->list[i];
		size_t at = i;
		for (; at > 0 && path_compare(entries->list[at - 1].target, moved.target) > 0; at--)
			entries->list[at] = entries->list[at - 1];
		entries->list[at] = moved;
	}
}

/* ---- checks that need the host ---- */

static bool is_below(const char *path, const char *directory)
{
	size_t length = strlen(directory);
	return strncmp(path, directory, length) == 0 && path[length] == '/';
}

/* In an overlay, what is mounted below the source looks empty (or the kernel refuses): never silently. */
static int check_submounts(const struct entry *entry, struct hutch_error *err)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	if (!mounts)
		return err_sys(err, HUTCH_E_SYSTEM, errno, "cannot read /proc/self/mountinfo");
	char *line = NULL;
	size_t size = 0;
	struct probe_mount mount;
	int ret = 0;
	while (ret == 0 && getline(&line, &size, mounts) > 0)
		if (probe_parse_mountinfo(line, &mount) && is_below(mount.target, entry->source))
			ret = err_set(err, HUTCH_E_UNSUPPORTED, "%s \"%.200s\" cannot be copy-on-write: another file system is mounted at \"%.200s\"",
			              entry->field, entry->source, mount.target);
	free(line);
	fclose(mounts);
	return ret == 0 ? 0 : err_hint(err, ret, "show it read-only or writable instead (--workspace DIR:ro or DIR:rw), or not at all (--no-workspace)");
}

/* ---- to ops ---- */

static void fill_op(const struct plan_host *host, const struct entry *entry, struct draft *draft, struct plan_op *op)
{
	op->mode = entry->mode;
	op->size = entry->size;
	op->flags |= entry->is_file ? PLAN_OP_IS_FILE : 0;
	op->flags |= entry->access != HUTCH_ACCESS_RO ? PLAN_OP_WRITABLE : 0;
	op->flags |= entry->is_owned && host->has_range ? PLAN_OP_OWNED : 0;
	op->flags |= entry->is_workspace ? PLAN_OP_WORKSPACE : 0;
	if (!entry->source)
		return;
	op->dev = (uint64_t)major(entry->st.st_dev) << 32 | minor(entry->st.st_dev);
	op->ino = entry->st.st_ino;
	op->source = draft_text(draft, entry->source);
}

/* Where upper layers of this overlay go: a directory that the owner makes, unless they fit into the scratch. */
static void place_upper(const struct plan_host *host, struct draft *draft, size_t index)
{
	if (!host->upper)
		return;
	char path[PATH_MAX];
	snprintf(path, sizeof path, "%s/%zu", host->upper, index);
	draft->ops[index].upper = draft_text(draft, path);
	if (!host->is_privileged)
		return;
	draft->ops[index].upper_fd = draft_upper(draft, path);
}

/* With a single id mapped, a file of another owner or group cannot be copied up (EOVERFLOW in the command). */
static void warn_foreign(const struct plan_host *host, const struct entry *entry, struct draft *draft)
{
	if (host->has_range || (entry->st.st_uid == host->uid && entry->st.st_gid == host->gid))
		return;
	draft_warn(draft, "%s belongs to another %s: files of it that the command changes in the copy fail with EOVERFLOW (\"Value too large\"); show it with :rw or :ro, or copy it first",
	           entry->source, entry->st.st_uid == host->uid ? "group than your primary one" : "user");
}

/* The place that an entry is mounted on: where the nearest entry above it shows a directory of the user's for writing,
 * we must not make mount points, they would stay. */
static int check_place(const struct entries *entries, size_t index, struct plan_op *op, struct hutch_error *err)
{
	const struct entry *entry = &entries->list[index], *above = NULL;
	for (size_t i = 0; i < index; i++)
		if (is_below(entry->target, entries->list[i].target))
			above = &entries->list[i]; /* sorted: the last one is the nearest */
	if (!above || above->kind != PLAN_OP_BIND || above->access != HUTCH_ACCESS_RW)
		return 0;
	char path[PATH_MAX];
	struct stat st;
	op->flags |= PLAN_OP_NO_MAKE;
	snprintf(path, sizeof path, "%s%s", above->source, entry->target + strlen(above->target));
	if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode) == !entry->is_file && !S_ISLNK(st.st_mode))
		return 0;
	return err_hint(err, err_set(err, HUTCH_E_INVALID, "cannot mount at \"%s\": there is no such %s in \"%s\", which is shown for writing", entry->target,
	                             entry->is_file ? "file" : "directory", above->source),
	                "make it first, or mount elsewhere: hutch makes nothing in your own directories");
}

static int add_op(const struct plan_host *host, const struct entry *entry, enum tree_ids ids, struct draft *draft, struct hutch_error *err)
{
	if (!entry->target)
		return err_set(err, HUTCH_E_NO_MEMORY, "out of memory");
	if (entry->kind == PLAN_OP_OVERLAY && host->is_privileged) {
		int ret = check_submounts(entry, err);
		if (ret < 0)
			return ret;
	}
	if (entry->kind == PLAN_OP_OVERLAY && entry->access == HUTCH_ACCESS_COW)
		warn_foreign(host, entry, draft);
	struct plan_op *op = draft_op(draft, entry->kind, entry->target);
	size_t index = draft->ops_count - 1;
	fill_op(host, entry, draft, op);
	if (draft->failed)
		return 0;
	if (entry->source && host->is_privileged)
		draft->ops[index].fd = draft_tree(draft, entry->source, &draft->ops[index], ids, entry->kind == PLAN_OP_BIND);
	if (entry->kind == PLAN_OP_OVERLAY)
		place_upper(host, draft, index);
	return 0;
}

/* A root directory that is shown as it is gets no mount point made by us. */
static int check_mount_points(const char *root, const struct hutch_spec *spec, struct hutch_error *err)
{
	static const char *const needed[] = {"proc", "dev", "tmp"};
	for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
		char path[PATH_MAX];
		struct stat st;
		snprintf(path, sizeof path, "%s/%s", root, needed[i]);
		if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode))
			return err_hint(err, err_set(err, HUTCH_E_INVALID, "rootfs \"%s\" has no directory /%s to mount on", spec->rootfs, needed[i]),
			                "make it, or use --rootfs %s:cow", spec->rootfs);
	}
	return 0;
}

int plan_root(const struct plan_host *host, const struct hutch_spec *spec, struct draft *draft, struct hutch_error *err)
{
	if (spec->root != HUTCH_ROOT_DIRECTORY)
		return 0;
	CLEANUP_FREE char *resolved = NULL;
	struct entry entry = {.kind = spec->rootfs_access == HUTCH_ACCESS_RW ? PLAN_OP_BIND : PLAN_OP_OVERLAY, .access = spec->rootfs_access, .field = "rootfs"};
	int ret = resolve(spec->rootfs, "rootfs", &resolved, &entry.st, err);
	if (ret < 0)
		return ret;
	if (!S_ISDIR(entry.st.st_mode))
		return err_set(err, HUTCH_E_INVALID, "rootfs \"%s\" is not a directory", spec->rootfs);
	if (strcmp(resolved, "/") == 0)
		return err_set(err, HUTCH_E_INVALID, "rootfs must not be \"/\": the host's own root is what a sandbox hides");
	if (entry.kind == PLAN_OP_BIND)
		ret = check_mount_points(resolved, spec, err);
	if (ret < 0)
		return ret;
	char slash[] = "/";
	entry.target = slash;
	entry.source = resolved;
	return add_op(host, &entry, TREE_IDS_RANGE, draft, err);
}

static bool shows(const struct entries *entries, const char *target)
{
	for (size_t i = 0; i < entries->count; i++)
		if (entries->list[i].target && strcmp(entries->list[i].target, target) == 0)
			return true;
	return false;
}

/* The private places, unless the user put something else there. */
static void add_private_places(struct entries *entries, const struct hutch_spec *spec)
{
	if (!shows(entries, "/tmp"))
		add_private(entries, "/tmp", 01777, false);
	add_private(entries, "/dev/shm", 01777, false);
	if (spec->root == HUTCH_ROOT_DIRECTORY && spec->rootfs_access == HUTCH_ACCESS_RW)
		return; /* only where a mount point is sure to be there */
	if (!shows(entries, "/var/tmp"))
		add_private(entries, "/var/tmp", 01777, false);
	if (!shows(entries, plan_home(spec)))
		add_private(entries, plan_home(spec), 0700, true);
}

int plan_files(const struct plan_host *host, const struct hutch_spec *spec, struct draft *draft, struct hutch_error *err)
{
	CLEANUP(cleanup_entries) struct entries *entries = calloc(1, sizeof *entries);
	if (!entries)
		return err_set(err, HUTCH_E_NO_MEMORY, "out of memory");
	int ret = add_mounts(entries, spec, err);
	if (ret == 0 && spec->workspace) {
		CLEANUP_FREE char *path = NULL;
		ret = plan_workspace_path(spec, &path, err);
		if (ret == 0)
			ret = add_host(entries, path, NULL, spec->workspace_access, "workspace", err);
		if (ret == 0)
			entries->list[entries->count - 1].is_workspace = true;
	}
	if (ret < 0)
		return ret;
	add_private_places(entries, spec);
	for (size_t i = 0; i < entries->count; i++)
		if (!entries->list[i].target)
			return err_set(err, HUTCH_E_NO_MEMORY, "out of memory");
	sort_entries(entries);
	for (size_t i = 0; ret == 0 && i < entries->count; i++) {
		size_t before = draft->ops_count;
		ret = add_op(host, &entries->list[i], TREE_IDS_CALLER, draft, err);
		if (ret == 0 && draft->ops_count > before)
			ret = check_place(entries, i, &draft->ops[before], err);
	}
	return ret;
}
