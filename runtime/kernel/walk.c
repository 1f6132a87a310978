/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/walk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <stddef.h>
#include <sys/stat.h>

#include "base/sys.h"

#define COMPONENT_MAX 256
#define PARENT_MAX    4096
#define WALK_FLAGS    (O_PATH | O_NOFOLLOW | O_CLOEXEC)

/* Copies the next component of *path into `name` and moves *path behind it. 1: there is one, 0: the end, -errno. */
static int next_component(const char **path, char name[COMPONENT_MAX])
{
	const char *at = *path;
	while (*at == '/')
		at++;
	size_t length = 0;
	for (; at[length] != '\0' && at[length] != '/'; length++) {
		if (length == COMPONENT_MAX - 1)
			return -ENAMETOOLONG;
		name[length] = at[length];
	}
	name[length] = '\0';
	*path = at + length;
	if (name[0] == '.' && name[1] == '.' && name[2] == '\0')
		return -EXDEV; /* what RESOLVE_BENEATH would say */
	return length > 0;
}

/* openat2 would take a ".." that stays below. */
static int check_components(const char *path)
{
	char name[COMPONENT_MAX];
	int more;
	while ((more = next_component(&path, name)) > 0)
		;
	return more;
}

static bool is_last(const char *rest)
{
	while (*rest == '/')
		rest++;
	return *rest == '\0';
}

static int is_link(int fd)
{
	struct walk_identity identity;
	int ret = walk_identify(fd, &identity);
	return ret < 0 ? ret : S_ISLNK(identity.mode);
}

/* Opens one component below `dir`; refuses links. */
static int open_component(int dir, const char *name)
{
	int fd = (int)sys_call4(SYS_openat, dir, name, WALK_FLAGS, 0);
	if (fd < 0)
		return fd;
	int link = is_link(fd);
	if (link == 0)
		return fd;
	sys_call1(SYS_close, fd);
	return link < 0 ? link : -ELOOP;
}

static int make_component(int dir, const char *name, bool is_file)
{
	return is_file ? (int)sys_call4(SYS_mknodat, dir, name, S_IFREG | 0644, 0) : (int)sys_call3(SYS_mkdirat, dir, name, 0755);
}

static int walk_components(int root, const char *path, bool make, bool is_file)
{
	char name[COMPONENT_MAX];
	int dir = (int)sys_call4(SYS_openat, root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	int more = 0;
	while (dir >= 0 && (more = next_component(&path, name)) > 0) {
		int fd = open_component(dir, name);
		if (fd == -ENOENT && make) {
			fd = make_component(dir, name, is_file && is_last(path));
			if (fd == 0)
				fd = open_component(dir, name);
		}
		sys_call1(SYS_close, dir);
		dir = fd;
	}
	if (dir >= 0 && more < 0) {
		sys_call1(SYS_close, dir);
		return more;
	}
	return dir;
}

static int open_beneath(int root, const char *path)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS};
	return (int)sys_call4(SYS_openat2, root, path, &how, sizeof how);
}

/* Without openat2; EPERM is what some containers answer to calls that they don't know. */
static bool must_walk(int error)
{
	return error == -ENOSYS || error == -EPERM;
}

int walk_open(int root, const char *path)
{
	int ret = check_components(path);
	if (ret < 0)
		return ret;
	while (*path == '/')
		path++;
	int fd = open_beneath(root, *path ? path : ".");
	return must_walk(fd) ? walk_components(root, path, false, false) : fd;
}

/* Splits off the last component; false if there is none, or the rest is longer than fits. */
static bool split(const char *path, char parent[PARENT_MAX], const char **ret_name)
{
	size_t length = 0, name = 0;
	while (*path == '/')
		path++;
	for (; path[length] != '\0'; length++)
		if (path[length] == '/' && path[length + 1] != '/' && path[length + 1] != '\0')
			name = length + 1;
	if (length == 0 || name >= PARENT_MAX)
		return false;
	for (size_t i = 0; i < name; i++)
		parent[i] = path[i];
	parent[name] = '\0';
	*ret_name = path + name;
	return true;
}

int walk_parent(int root, const char *path, const char **ret_name)
{
	char parent[PARENT_MAX];
	int ret = check_components(path);
	if (ret < 0)
		return ret;
	if (!split(path, parent, ret_name))
		return -EINVAL;
	int fd = open_beneath(root, *parent ? parent : ".");
	return fd == -ENOENT || must_walk(fd) ? walk_components(root, parent, true, false) : fd;
}

int walk_make(int root, const char *path, bool is_file)
{
	const char *name;
	char plain[COMPONENT_MAX];
	int dir = walk_parent(root, path, &name);
	if (dir == -EINVAL) /* the root itself */
		return walk_open(root, "/");
	if (dir < 0)
		return dir;
	int fd = next_component(&name, plain);
	if (fd > 0) {
		fd = make_component(dir, plain, is_file);
		if (fd == 0 || fd == -EEXIST || fd == -EROFS) /* EROFS comes before EEXIST */
			fd = open_component(dir, plain);
		if (fd == -ENOENT)
			fd = -EROFS;
	}
	sys_call1(SYS_close, dir);
	return fd;
}

int walk_identify(int fd, struct walk_identity *ret)
{
	struct statx stx;
	int error = (int)sys_call5(SYS_statx, fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &stx);
	if (error < 0)
		return error;
	*ret = (struct walk_identity){
		.dev = (uint64_t)stx.stx_dev_major << 32 | stx.stx_dev_minor,
		.ino = stx.stx_ino,
		.rdev = (uint64_t)stx.stx_rdev_major << 32 | stx.stx_rdev_minor,
		.mode = stx.stx_mode,
		.uid = stx.stx_uid,
		.gid = stx.stx_gid,
	};
	return 0;
}
