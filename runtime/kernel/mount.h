/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_KERNEL_MOUNT_H
#define HUTCH_KERNEL_MOUNT_H

/*
 * Mounts by descriptor (fsopen, open_tree, mount_setattr, move_mount): a path is resolved once, by kernel/walk.h, and
 * never again. Everything returns -errno; functions that return a descriptor return a detached mount, which the kernel
 * drops when the descriptor is closed.
 */

#include <stdint.h>

#include <linux/mount.h>

/* A parameter of a file system; value NULL: a flag. */
struct mount_option {
	const char *key, *value;
};

/* A new file system of `type` with `options` (ended by a NULL key), mounted with the MOUNT_ATTR_* `attributes`. */
int mount_new(const char *type, const struct mount_option *options, uint64_t attributes);

/* The mount tree (or only the mount, without `recursive`) at the O_PATH descriptor `source`, as a detached copy. */
int mount_clone(int source, int recursive);

/* Adds attributes to every mount of the tree at `fd`. */
int mount_restrict(int fd, uint64_t attributes, int recursive);

/* No mount event comes to the tree at `fd` any more: a copy of a shared mount is shared with it. */
int mount_private(int fd, int recursive);

/* Puts the detached mount on the place that the O_PATH descriptor `target` names. */
int mount_attach(int mount, int target);

/* Takes the mount at `path` (relative to the directory `dir`; no link is followed) out of the tree, with all below it. */
int mount_detach(int dir, const char *path);

#endif
