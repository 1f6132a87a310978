/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/cgroup_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "kernel/cgroup.h"
#include "kernel/probe_parse.h"

#define FIRST_NAMESPACE 0xEFFFFFFBu /* inode of the initial cgroup namespace: PROC_CGROUP_INIT_INO */

/* ---- where it is mounted ---- */

static int open_mount(const char *path)
{
	struct statfs fs;
	CLEANUP_CLOSE int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return fstatfs(fd, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC ? TAKE_FD(fd) : -ENOENT;
}

static bool has_file(int dir, const char *name)
{
	return faccessat(dir, name, F_OK, 0) == 0;
}

/* mountinfo costs more the more is mounted. In the initial namespace paths are those of the whole hierarchy, and its
 * root is known by what it does not have. */
static bool open_usual(struct cgroup_tree *tree)
{
	static const char *const places[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
	struct stat ns;
	if (stat("/proc/self/ns/cgroup", &ns) < 0 || ns.st_ino != FIRST_NAMESPACE)
		return false;
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		CLEANUP_CLOSE int fd = open_mount(places[i]);
		if (fd < 0 || has_file(fd, "cgroup.type"))
			continue;
		tree->root = TAKE_FD(fd);
		tree->is_whole = true;
		return true;
	}
	return false;
}

/* The mount shows us if its root is at or above our group. */
static bool take_mount(struct cgroup_tree *tree, const struct probe_mount *mount, int fd)
{
	char unused[2 * PATH_MAX];
	if (!probe_cgroup_directory(mount, tree->own, unused, sizeof unused))
		return false;
	int length = snprintf(tree->prefix, sizeof tree->prefix, "%s", strcmp(mount->root, "/") == 0 ? "" : mount->root);
	if (length < 0 || (size_t)length >= sizeof tree->prefix)
		return false;
	tree->root = fd;
	tree->is_whole = !has_file(fd, "cgroup.type");
	return true;
}

static int search_mounts(struct cgroup_tree *tree)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	CLEANUP_FREE char *line = NULL;
	size_t size = 0;
	struct probe_mount mount;
	int ret = file ? -ENOENT : -errno;
	while (file && tree->root < 0 && getline(&line, &size, file) > 0) {
		if (!probe_parse_mountinfo(line, &mount) || strcmp(mount.type, "cgroup2") != 0)
			continue;
		CLEANUP_CLOSE int fd = open_mount(mount.target); /* refused if something else is mounted on top of it */
		if (fd < 0)
			continue;
		ret = -EXDEV;
		if (take_mount(tree, &mount, fd))
			fd = -1;
	}
	if (file)
		fclose(file);
	return tree->root < 0 ? ret : 0;
}

/* The line of version 2 is the last one in a hybrid layout, and the list of version 1 is short. */
static int read_own(char own[CGROUP_PATH_MAX])
{
	char text[CGROUP_PATH_MAX + 3072];
	int ret = cgroup_read(AT_FDCWD, "/proc/self/cgroup", text, sizeof text);
	if (ret < 0)
		return ret;
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (probe_parse_cgroup(line, own, CGROUP_PATH_MAX))
			return 0;
	}
	return -ENOENT;
}

int cgroup_tree_open(struct cgroup_tree *ret)
{
	ret->root = -1;
	ret->is_whole = false;
	ret->prefix[0] = '\0';
	int error = read_own(ret->own);
	if (error < 0)
		return error;
	return open_usual(ret) ? 0 : search_mounts(ret);
}

void cgroup_tree_close(struct cgroup_tree *tree)
{
	if (tree->root >= 0)
		close(tree->root);
	tree->root = -1;
}

/* ---- what is ours ---- */

int cgroup_tree_directory(const struct cgroup_tree *tree, const char *path)
{
	size_t skip = strlen(tree->prefix);
	if (strncmp(path, tree->prefix, skip) != 0 || strncmp(path, "/..", 3) == 0)
		return -EXDEV;
	path += skip;
	path += *path == '/';
	int fd = openat(tree->root, *path ? path : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static bool is_marked(int dir, const char *path)
{
	static const char *const marks[] = {"user.delegate", "trusted.delegate"};
	char value[8];
	for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
		if (fgetxattr(dir, marks[i], value, sizeof value) == 1 && value[0] == '1')
			return true;
	const char *name = strrchr(path, '/');
	return name && strcmp(name + 1, CGROUP_SCOPE) == 0;
}

static bool is_ours(int dir)
{
	struct stat st;
	return fstat(dir, &st) == 0 && st.st_uid == geteuid() && faccessat(dir, "cgroup.procs", W_OK, AT_EACCESS) == 0 &&
	       faccessat(dir, "cgroup.subtree_control", W_OK, AT_EACCESS) == 0 && faccessat(dir, ".", W_OK, AT_EACCESS) == 0;
}

/* False at the last group that the mount shows. */
static bool go_up(const struct cgroup_tree *tree, char *path)
{
	size_t top = strlen(tree->prefix);
	char *slash = strrchr(path, '/');
	if (strlen(path) <= (top > 0 ? top : 1) || !slash)
		return false;
	slash[slash == path] = '\0';
	return true;
}

static bool parent_is_ours(const struct cgroup_tree *tree, const char *path)
{
	char parent[CGROUP_PATH_MAX];
	snprintf(parent, sizeof parent, "%s", path);
	if (!go_up(tree, parent))
		return false;
	CLEANUP_CLOSE int dir = cgroup_tree_directory(tree, parent);
	return dir >= 0 && is_ours(dir);
}

/* Nobody can give us the hierarchy's root; that of a bound part or of a namespace is as good as any other top. */
static bool is_top(const struct cgroup_tree *tree, const char *path)
{
	bool is_root = strcmp(path, *tree->prefix ? tree->prefix : "/") == 0;
	if (is_root)
		return !tree->is_whole;
	return geteuid() != 0 && !parent_is_ours(tree, path);
}

int cgroup_tree_own_part(const struct cgroup_tree *tree, char ret_path[CGROUP_PATH_MAX])
{
	if (strncmp(tree->own, "/..", 3) == 0)
		return -EACCES;
	snprintf(ret_path, CGROUP_PATH_MAX, "%s", tree->own);
	do {
		CLEANUP_CLOSE int dir = cgroup_tree_directory(tree, ret_path);
		if (dir < 0)
			return dir;
		if (has_file(dir, "init.scope"))
			break;
		if (is_ours(dir) && (is_marked(dir, ret_path) || is_top(tree, ret_path)))
			return TAKE_FD(dir);
	} while (go_up(tree, ret_path));
	return -EACCES;
}

/* ---- who may move where ---- */

void cgroup_tree_common(const char *one, const char *other, char ret[CGROUP_PATH_MAX])
{
	size_t same = 0, slash = 0;
	while (one[same] && one[same] == other[same]) {
		if (one[same] == '/')
			slash = same;
		same++;
	}
	bool ends_here = (one[same] == '\0' || one[same] == '/') && (other[same] == '\0' || other[same] == '/');
	size_t length = ends_here ? same : slash;
	if (length > 1 && one[length - 1] == '/')
		length--;
	snprintf(ret, CGROUP_PATH_MAX, "%.*s", length ? (int)length : 1, length ? one : "/");
}

bool cgroup_tree_can_reach(const struct cgroup_tree *tree, const char *path)
{
	char common[CGROUP_PATH_MAX];
	cgroup_tree_common(tree->own, path, common);
	CLEANUP_CLOSE int dir = cgroup_tree_directory(tree, common);
	return dir >= 0 && faccessat(dir, "cgroup.procs", W_OK, AT_EACCESS) == 0;
}

/* ---- systemd ---- */

bool cgroup_tree_has_manager(void)
{
	char path[256];
	const char *dir = secure_getenv("XDG_RUNTIME_DIR");
	if (geteuid() == 0)
		return access("/run/systemd/system", F_OK) == 0;
	snprintf(path, sizeof path, "%.200s/bus", dir ? dir : "");
	if (dir && access(path, F_OK) == 0)
		return true;
	snprintf(path, sizeof path, "/run/user/%u/bus", geteuid());
	return access(path, F_OK) == 0;
}

void cgroup_tree_guess_scope(char ret_manager[CGROUP_MANAGER_MAX], char ret_scope[CGROUP_SCOPE_MAX])
{
	unsigned uid = geteuid();
	if (uid == 0) {
		snprintf(ret_manager, CGROUP_MANAGER_MAX, "/");
		snprintf(ret_scope, CGROUP_SCOPE_MAX, "/system.slice/" CGROUP_SCOPE);
		return;
	}
	snprintf(ret_manager, CGROUP_MANAGER_MAX, "/user.slice/user-%u.slice/user@%u.service", uid, uid);
	snprintf(ret_scope, CGROUP_SCOPE_MAX, "%.127s/app.slice/" CGROUP_SCOPE, ret_manager);
}
