/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

#define PREFIX     "hutch-"
#define FREEZE_MS  1000
#define LOCK_TRIES 10 /* of 1 ms */
#define BUSY_TRIES 200    /* of 0.1 ms: a cgroup whose last process has just been reaped */
#define BUSY_NS    100000

static int open_dir(int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int make_dir(int parent, const char *name)
{
	return mkdirat(parent, name, 0755) < 0 ? -errno : open_dir(parent, name);
}

/* ---- limits ---- */

static int limit_memory(int dir, const struct hutch_limits *limits, const char **ret_what)
{
	*ret_what = "memory.swap.max"; /* before memory.max: what is over that shall not go to swap first */
	if (limits->has_swap || limits->memory_bytes) {
		uint64_t swap = limits->has_swap ? limits->swap_bytes : 0;
		int ret = cgroup_write_u64(dir, *ret_what, swap);
		if (ret < 0 && (ret != -ENOENT || swap > 0)) /* without the file, this kernel has no swap */
			return ret;
	}
	*ret_what = "memory.max";
	return limits->memory_bytes ? cgroup_write_u64(dir, *ret_what, limits->memory_bytes) : 0;
}

static int limit_cpus(int dir, const struct hutch_limits *limits, const char **ret_what)
{
	char value[48];
	*ret_what = "cpu.max";
	if (!limits->cpus_milli)
		return 0;
	snprintf(value, sizeof value, "%" PRIu64 " 100000", (uint64_t)limits->cpus_milli * 100); /* us of each 100 ms */
	return cgroup_write(dir, *ret_what, value);
}

static int limit_io(const struct cgroups *cgroups, int dir, const struct hutch_limits *limits, const char **ret_what)
{
	*ret_what = "io.max";
	for (unsigned i = 0; (limits->io_read_bps || limits->io_write_bps) && i < cgroups->disks_count; i++) {
		char value[128];
		int used = snprintf(value, sizeof value, "%u:%u", major(cgroups->disks[i]), minor(cgroups->disks[i]));
		if (limits->io_read_bps)
			used += snprintf(value + used, sizeof value - (size_t)used, " rbps=%" PRIu64, limits->io_read_bps);
		if (limits->io_write_bps)
			snprintf(value + used, sizeof value - (size_t)used, " wbps=%" PRIu64, limits->io_write_bps);
		int ret = cgroup_write(dir, *ret_what, value);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int cgroups_limit(const struct cgroups *cgroups, int dir, const struct hutch_limits *limits, const char **ret_what)
{
	int ret = cgroups->controllers & CGROUP_MEMORY ? limit_memory(dir, limits, ret_what) : 0;
	if (ret == 0 && (cgroups->controllers & CGROUP_CPU))
		ret = limit_cpus(dir, limits, ret_what);
	if (ret == 0 && (cgroups->controllers & CGROUP_PIDS) && limits->pids) {
		*ret_what = "pids.max";
		ret = cgroup_write_u64(dir, *ret_what, limits->pids);
	}
	if (ret == 0 && (cgroups->controllers & CGROUP_IO))
		ret = limit_io(cgroups, dir, limits, ret_what);
	return ret;
}

/* ---- the tree ---- */

static int enable(int dir, uint32_t controllers)
{
	char text[64] = "";
	for (uint32_t bit = 1; bit & CGROUP_ALL; bit <<= 1)
		if (controllers & bit) {
			strcat(text, *text ? " +" : "+");
			strcat(text, cgroup_controller_name(bit));
		}
	return *text ? cgroup_write(dir, "cgroup.subtree_control", text) : 0;
}

/* Init moves commands between cgroups below `dir`: it needs to write the list of the common ancestor. */
int cgroups_lend(const struct cgroups *cgroups, int dir, const char *file)
{
	if (cgroups->user == (uid_t)-1)
		return 0;
	return fchownat(dir, file, cgroups->user, (gid_t)-1, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

/* hutch-<id>, locked. Somebody who collects garbage may have been between the two: then it is not there any more. */
static int make_locked(int base, const char *name)
{
	CLEANUP_CLOSE int dir = make_dir(base, name);
	struct stat ours, there;
	if (dir < 0)
		return dir;
	if (flock(dir, LOCK_EX | LOCK_NB) < 0)
		return -EAGAIN;
	if (fstat(dir, &ours) < 0 || fstatat(base, name, &there, AT_SYMLINK_NOFOLLOW) < 0 || ours.st_ino != there.st_ino)
		return -EAGAIN;
	return TAKE_FD(dir);
}

static int make_tree(struct cgroups *cgroups, const struct hutch_limits *limits, int *ret_init, const char **ret_what)
{
	*ret_what = "the sandbox's cgroup";
	for (unsigned i = 0; (cgroups->dir = make_locked(cgroups->base, cgroups->name)) < 0; i++) {
		if ((cgroups->dir != -EAGAIN && cgroups->dir != -EEXIST) || i == LOCK_TRIES)
			return cgroups->dir;
		poll(NULL, 0, 1);
	}
	*ret_what = "cgroup.procs";
	int ret = cgroups_lend(cgroups, cgroups->dir, *ret_what);
	*ret_what = "cgroup.subtree_control";
	if (ret == 0)
		ret = enable(cgroups->dir, cgroups->controllers);
	*ret_what = "the cgroup of the sandbox's init";
	if (ret == 0)
		ret = *ret_init = make_dir(cgroups->dir, "init");
	*ret_what = "the cgroup of the sandbox's commands";
	if (ret >= 0)
		ret = cgroups->run = make_dir(cgroups->dir, "run");
	if (ret >= 0)
		ret = cgroups_limit(cgroups, cgroups->run, limits, ret_what);
	if (ret == 0)
		ret = enable(cgroups->run, cgroups->controllers);
	return ret;
}

int cgroups_make(struct cgroups *ret, const struct delegation *delegation, const char *id, const struct hutch_limits *limits, int *ret_init, const char **ret_what)
{
	*ret_init = -1;
	ret->dir = ret->run = -1;
	ret->controllers = delegation->controllers;
	ret->origin = delegation->origin;
	ret->base = fcntl(delegation->dir, F_DUPFD_CLOEXEC, 3);
	*ret_what = "a descriptor";
	if (ret->base < 0)
		return -errno;
	snprintf(ret->name, sizeof ret->name, PREFIX "%s", id);
	snprintf(ret->path, sizeof ret->path, "%s/%s", strcmp(delegation->path, "/") == 0 ? "" : delegation->path, ret->name);
	int error = make_tree(ret, limits, ret_init, ret_what);
	if (error < 0) {
		cleanup_close(ret_init);
		*ret_init = -1;
		cgroups_remove(ret);
	}
	return error;
}

/* ---- removing ---- */

static int remove_dir(int parent, const char *name)
{
	for (unsigned i = 0;; i++) {
		if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
			return 0;
		if (errno != EBUSY || i == BUSY_TRIES)
			return -errno;
		nanosleep(&(const struct timespec){.tv_nsec = BUSY_NS}, NULL);
	}
}

/* All directories below `dir`, one level deep: leaves have no children, since nobody inside can make any. */
static void remove_children(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	if (!list) {
		cleanup_close(&fd);
		return;
	}
	for (struct dirent *entry; (entry = readdir(list));)
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
			remove_dir(dir, entry->d_name);
	closedir(list);
}

static void remove_tree_of(int base, int dir, const char *name)
{
	CLEANUP_CLOSE int run = open_dir(dir, "run");
	if (run >= 0)
		remove_children(run);
	remove_dir(dir, "run");
	remove_dir(dir, "init");
	remove_dir(base, name);
}

void cgroups_remove(struct cgroups *cgroups)
{
	if (cgroups->dir >= 0)
		remove_tree_of(cgroups->base, cgroups->dir, cgroups->name);
	cleanup_close(&cgroups->run);
	cleanup_close(&cgroups->dir);
	cleanup_close(&cgroups->base);
	free(cgroups->lingering);
	cgroups->base = cgroups->dir = cgroups->run = -1;
	cgroups->lingering = NULL;
	cgroups->lingering_count = 0;
}

unsigned cgroups_collect(int base)
{
	unsigned count = 0;
	int fd = openat(base, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	if (!list) {
		cleanup_close(&fd);
		return 0;
	}
	for (struct dirent *entry; (entry = readdir(list));) {
		if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) != 0 || strlen(entry->d_name) != strlen(PREFIX) + 12)
			continue;
		CLEANUP_CLOSE int dir = open_dir(base, entry->d_name);
		if (dir < 0 || flock(dir, LOCK_EX | LOCK_NB) < 0)
			continue;
		cgroup_write(dir, "cgroup.kill", "1"); /* nothing should be left; whatever is has no owner */
		remove_tree_of(base, dir, entry->d_name);
		count++;
	}
	closedir(list);
	return count;
}

/* ---- freezing ---- */

int cgroups_freeze(struct cgroups *cgroups, bool freeze)
{
	int ret = cgroup_write(cgroups->run, "cgroup.freeze", freeze ? "1" : "0");
	for (unsigned i = 0; ret == 0; i++) {
		uint64_t frozen = 0;
		ret = cgroup_read_key(cgroups->run, "cgroup.events", "frozen", &frozen);
		if (ret < 0 || (frozen != 0) == freeze)
			break;
		if (i == FREEZE_MS) {
			ret = -ETIMEDOUT;
			cgroup_write(cgroups->run, "cgroup.freeze", cgroups->is_frozen ? "1" : "0");
			break;
		}
		poll(NULL, 0, 1);
	}
	if (ret == 0)
		cgroups->is_frozen = freeze;
	return ret;
}
