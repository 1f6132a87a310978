/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_KERNEL_CGROUP_TREE_H
#define HUTCH_KERNEL_CGROUP_TREE_H

/*
 * The hierarchy of cgroups (v2) as this process sees it: where it is mounted, where we are in it, and which part of it
 * is ours to make groups in. Only looks; nothing is made, moved or enabled.
 *
 * A part is ours if its top is a directory of our own user id whose cgroup.procs and cgroup.subtree_control we may
 * write, and
 *
 *     it is marked              systemd's Delegate=yes sets the extended attribute user.delegate or trusted.delegate to
 *                               "1" (older user managers cannot, but the scope that we ask for has a name: hutch.scope)
 *     or its parent is not ours somebody gave us the subtree (not asked as root, to whom nearly everything belongs)
 *     or it is the root of our  a container with a private cgroup namespace and a writable file system
 *     cgroup namespace
 *
 * A part whose top has a child init.scope belongs to the systemd that made it, also where the files are ours: the user's
 * manager (user@UID.service) removes and reconfigures groups there as it likes. Below it, only a marked one is ours.
 */

#include <stdbool.h>
#include <stddef.h>

#define CGROUP_PATH_MAX 1024
#define CGROUP_SCOPE    "hutch.scope" /* what we ask systemd for */
#define CGROUP_MANAGER_MAX 128
#define CGROUP_SCOPE_MAX   192

struct cgroup_tree {
	int root;                  /* the mounted directory, O_PATH */
	bool is_whole;             /* it is the hierarchy's own root: neither a namespace's nor a part that was bound */
	char prefix[CGROUP_PATH_MAX]; /* its path as /proc/PID/cgroup shows it; "" for "/" */
	char own[CGROUP_PATH_MAX]; /* our path, as /proc/self/cgroup shows it */
};

/* 0; -ENOENT: no cgroup2 is mounted; -EXDEV: it is, but does not show our own group; another -errno: cannot be read. */
int cgroup_tree_open(struct cgroup_tree *ret);
void cgroup_tree_close(struct cgroup_tree *tree);

/* The group `path` (as /proc/PID/cgroup shows it): a descriptor to read its files by and make groups in, or -errno. */
int cgroup_tree_directory(const struct cgroup_tree *tree, const char *path);

/* The nearest group at or above our own that is the top of a part which is ours: its directory and path, or -EACCES. */
int cgroup_tree_own_part(const struct cgroup_tree *tree, char ret_path[CGROUP_PATH_MAX]);

/* The last group that both are in or below. */
void cgroup_tree_common(const char *one, const char *other, char ret[CGROUP_PATH_MAX]);

/* Whether processes may be moved from here (or cloned) into groups at and below `path`. */
bool cgroup_tree_can_reach(const struct cgroup_tree *tree, const char *path);

/* Whether systemd runs for us: as root, the host's; else the user's manager. */
bool cgroup_tree_has_manager(void);

/* Where that one's part of the tree starts, and the scope is that it gives, by all experience. */
void cgroup_tree_guess_scope(char ret_manager[CGROUP_MANAGER_MAX], char ret_scope[CGROUP_SCOPE_MAX]);

#endif
