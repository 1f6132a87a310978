/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_KERNEL_WALK_H
#define HUTCH_KERNEL_WALK_H

/*
 * Paths that somebody else may shape are opened here and nowhere else: no symbolic link is followed, no magic link, and
 * ".." is refused, so that the result is below the starting directory. What is returned is an O_PATH descriptor, to be
 * used by descriptor from then on. All return -errno.
 */

#include <stdbool.h>
#include <stdint.h>

/* Opens absolute `path` as seen from the directory `root`. openat2(2) where the kernel has it, else component by
 * component. -ELOOP: a link is in the way. */
int walk_open(int root, const char *path);

/* The same, one component after the other, making what is missing: directories on the way (mode 0755), and at the end a
 * directory or, with `is_file`, an empty file. */
int walk_make(int root, const char *path, bool is_file);

/* Opens the directory that `path` is in (made if missing) and points *ret_name to the last component inside `path`. */
int walk_parent(int root, const char *path, const char **ret_name);

struct walk_identity {
	uint64_t dev, ino; /* dev = major << 32 | minor */
	uint64_t rdev;
	uint32_t mode, uid, gid;
};
int walk_identify(int fd, struct walk_identity *ret);

#endif
