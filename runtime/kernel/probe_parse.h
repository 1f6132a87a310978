/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_KERNEL_PROBE_PARSE_H
#define HUTCH_KERNEL_PROBE_PARSE_H

/*
 * The text files of the kernel and of shadow(5) that probes read: one line or string in, plain data out. What does not
 * have the expected form is refused as a whole.
 */

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* One line of /proc/PID/mountinfo, octal escapes resolved. */
struct probe_mount {
	char root[PATH_MAX];   /* which directory of the file system ... */
	char target[PATH_MAX]; /* ... is mounted where */
	char type[64];
};
bool probe_parse_mountinfo(const char *line, struct probe_mount *ret);

/* The path in a line of /proc/PID/cgroup when it is that of version 2 ("0::/path"). `size` includes the final 0. */
bool probe_parse_cgroup(const char *line, char *ret_path, size_t size);

/* Whether the line names a version 1 hierarchy with controllers ("4:memory:/path"; not "1:name=systemd:/"). */
bool probe_parse_cgroup_v1(const char *line);

/* The directory of cgroup `path`, as seen through a cgroup2 mount. False: the mount does not show it. */
bool probe_cgroup_directory(const struct probe_mount *mount, const char *path, char *ret, size_t size);

/* Whether the space-separated `list` (cgroup.controllers) has `name`. */
bool probe_list_has(const char *list, const char *name);

/* A line of /etc/subuid or /etc/subgid: owner:first:count. The owner is a login name or a number. */
struct probe_range {
	uint32_t first, count;
};
bool probe_parse_subid(const char *line, const char *name, uid_t uid, struct probe_range *ret);

/* Whether /proc/self/uid_map is that of the initial user namespace: everything maps to itself. */
bool probe_map_is_initial(const char *map);

/* Whether the ids [first, first + count) exist in a namespace with this map. */
bool probe_map_covers(const char *map, uint32_t first, uint32_t count);

#endif
