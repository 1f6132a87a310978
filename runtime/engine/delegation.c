/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation: delegation.h. What is ours is known by kernel/cgroup_tree.h; here it is made usable.
 *
 * Controllers are enabled for the children of a group by writing its cgroup.subtree_control, which the kernel refuses
 * while processes are in the group itself (except in the hierarchy's root). So they have to go into a leaf: one for all
 * owners, since it costs nothing to share and is easy to recognise. They stay under the same limits and the same
 * accounting as before. Leaving the group is left until a controller is wanted that needs it.
 */
#include "engine/delegation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "kernel/cgroup_tree.h"

#define OWNERS       "hutch-owner" /* the leaf for processes that own sandboxes */
#define SUBTREE      "hutch"       /* root's, below the hierarchy's root */
#define MOVE_ROUNDS  64            /* a group whose processes fork all the time may be fuller after each */

static void say(struct delegation *ret, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct delegation *ret, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(ret->why, sizeof ret->why, format, args);
	va_end(args);
}

static void list_controllers(uint32_t controllers, const char *prefix, char *ret, size_t size)
{
	size_t used = 0;
	ret[0] = '\0';
	for (uint32_t bit = 1; bit <= CGROUP_ALL; bit <<= 1)
		if (controllers & bit)
			used += (size_t)snprintf(ret + used, size - used, "%s%s%s", used ? " " : "", prefix, cgroup_controller_name(bit));
}

static uint32_t read_controllers(int dir, const char *file)
{
	char text[512];
	return cgroup_read(dir, file, text, sizeof text) == 0 ? cgroup_parse_controllers(text) : 0;
}

/* ---- emptying a group ---- */

/* Moves processes of `dir` into the leaf, as many as are read at a time. How many there were, or -errno. */
static int move_round(int dir, int leaf)
{
	char text[4096], *next;
	int count = 0;
	CLEANUP_CLOSE int list = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	ssize_t size = list < 0 ? -1 : read(list, text, sizeof text - 1);
	if (size < 0)
		return -errno;
	text[size] = '\0';
	for (char *at = text; (next = strchr(at, '\n')); at = next + 1, count++) {
		*next = '\0';
		if (strcmp(at, "0") == 0) /* in a PID namespace that we do not see */
			return -EPERM;
		int ret = cgroup_write(leaf, "cgroup.procs", at);
		if (ret < 0 && ret != -ESRCH) /* it has ended */
			return ret;
	}
	return count;
}

static int move_into_leaf(int dir)
{
	if (mkdirat(dir, OWNERS, 0755) < 0 && errno != EEXIST)
		return -errno;
	CLEANUP_CLOSE int leaf = openat(dir, OWNERS, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (leaf < 0)
		return -errno;
	int ret = 1;
	for (unsigned i = 0; ret > 0 && i < MOVE_ROUNDS; i++)
		ret = move_round(dir, leaf);
	return ret > 0 ? -EBUSY : ret;
}

/* ---- controllers ---- */

/* All at once, else one by one: one that cannot be had must not cost the others. The last error, or 0. */
static int enable(int dir, uint32_t wanted)
{
	char text[64];
	list_controllers(wanted, "+", text, sizeof text);
	int ret = cgroup_write(dir, "cgroup.subtree_control", text);
	if (ret == 0 || ret == -EBUSY)
		return ret;
	for (uint32_t bit = 1; bit <= CGROUP_ALL; bit <<= 1) {
		if (!(wanted & bit))
			continue;
		list_controllers(bit, "+", text, sizeof text);
		int error = cgroup_write(dir, "cgroup.subtree_control", text);
		ret = error < 0 ? error : ret;
	}
	return ret;
}

/* Reads back what is enabled, whatever was written. */
static int provide(struct delegation *ret, uint32_t wanted, bool may_move)
{
	int error = 0;
	uint32_t available = read_controllers(ret->dir, "cgroup.controllers");
	ret->controllers = read_controllers(ret->dir, "cgroup.subtree_control") & available;
	uint32_t missing = wanted & available & ~ret->controllers;
	if (!missing)
		return 0;
	error = enable(ret->dir, missing);
	if (error == -EBUSY && may_move) {
		error = move_into_leaf(ret->dir);
		error = error < 0 ? error : enable(ret->dir, missing);
	}
	ret->controllers = read_controllers(ret->dir, "cgroup.subtree_control") & available;
	return error;
}

static void explain_missing(struct delegation *ret, uint32_t wanted, bool may_move, int error)
{
	uint32_t missing = wanted & ~ret->controllers;
	char names[64];
	if (!missing)
		return;
	list_controllers(missing, "", names, sizeof names);
	if (error == -EBUSY && !may_move)
		say(ret, "%s: not for groups below %.120s while there are processes in it, such as this one; start it in a group below, or let it be moved",
		    names, ret->path);
	else if (error < 0)
		say(ret, "%s: cannot be enabled for groups below %s: %s", names, ret->path, strerror(-error));
	else
		say(ret, "%s: not available in %s", names, ret->path);
}

/* ---- the ways ---- */

static bool take(struct delegation *ret, enum delegation_origin origin, int dir, const char *path)
{
	ret->origin = origin;
	ret->dir = dir;
	snprintf(ret->path, sizeof ret->path, "%s", path);
	return true;
}

static bool find_own(const struct cgroup_tree *tree, struct delegation *ret)
{
	char path[CGROUP_PATH_MAX];
	CLEANUP_CLOSE int dir = cgroup_tree_own_part(tree, path);
	return dir >= 0 && take(ret, DELEGATION_OWN, TAKE_FD(dir), path);
}

/* The controllers of the hierarchy's root are enabled for its children as they are wanted: there, processes do not matter. */
static bool find_subtree(const struct cgroup_tree *tree, uint32_t wanted, struct delegation *ret)
{
	char path[CGROUP_PATH_MAX + sizeof SUBTREE];
	CLEANUP_CLOSE int root = cgroup_tree_directory(tree, *tree->prefix ? tree->prefix : "/");
	if (root < 0)
		return false;
	if (mkdirat(root, SUBTREE, 0755) < 0 && errno != EEXIST) {
		say(ret, "cannot make the group /%s: %s", SUBTREE, strerror(errno));
		return false;
	}
	uint32_t missing = wanted & read_controllers(root, "cgroup.controllers") & ~read_controllers(root, "cgroup.subtree_control");
	if (missing)
		enable(root, missing);
	CLEANUP_CLOSE int dir = openat(root, SUBTREE, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	snprintf(path, sizeof path, "%s/%s", tree->prefix, SUBTREE);
	return dir >= 0 && strlen(path) < sizeof ret->path && take(ret, DELEGATION_SUBTREE, TAKE_FD(dir), path);
}

static void explain_tree(struct delegation *ret, int error)
{
	if (error == -ENOENT)
		say(ret, "no cgroup2 file system is mounted (mount -t cgroup2 cgroup2 /sys/fs/cgroup)");
	else if (error == -EXDEV)
		say(ret, "the cgroup2 file system here does not show this process' own group; in a container: --cgroupns=private");
	else
		say(ret, "cannot read cgroups: %s", strerror(-error));
}

void delegation_find(uint32_t wanted, bool may_move, struct delegation *ret)
{
	struct cgroup_tree tree;
	*ret = (struct delegation){.dir = -1};
	int error = cgroup_tree_open(&tree);
	if (error < 0) {
		explain_tree(ret, error);
		return;
	}
	if (find_own(&tree, ret) || (geteuid() == 0 && find_subtree(&tree, wanted, ret)))
		explain_missing(ret, wanted, may_move, provide(ret, wanted, may_move));
	else if (!*ret->why)
		say(ret, "this process is in %.120s, and nothing at or above that belongs to its user", tree.own);
	cgroup_tree_close(&tree);
}

void delegation_done(struct delegation *delegation)
{
	if (delegation->dir >= 0)
		close(delegation->dir);
	delegation->dir = -1;
}

const char *delegation_origin_name(enum delegation_origin origin)
{
	static const char *const names[DELEGATION_ORIGINS] = {
		[DELEGATION_NONE] = "none",
		[DELEGATION_OWN] = "own subtree",
		[DELEGATION_USER_MANAGER] = "systemd's user manager",
		[DELEGATION_SYSTEM_MANAGER] = "systemd",
		[DELEGATION_SUBTREE] = "root's subtree",
	};
	return (unsigned)origin < DELEGATION_ORIGINS ? names[origin] : "unknown";
}
