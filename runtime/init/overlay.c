/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copy-on-write directories: overlay file systems whose layers are named by descriptor, so that no host path shows in
 * the sandbox's mountinfo. The upper layer is a directory of the scratch file system or one on disk that the owner
 * made; either way it is nowhere in the sandbox's tree. See overlayfs.rst of the kernel, "User xattr".
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/stat.h>

#include "base/sys.h"
#include "init/init.h"
#include "init/text.h"
#include "kernel/mount.h"
#include "kernel/walk.h"

static int open_directory(int dir, const char *name)
{
	return (int)sys_call4(SYS_openat, dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
}

/* A mount must be attached somewhere before an overlay takes it. All lower layers go to the same place, one upon the
 * other; the descriptor keeps each reachable. */
static int park(struct init *init, int mount)
{
	int place = walk_make(init->scratch, "/lower", false);
	int ret = place < 0 ? place : mount_attach(mount, place);
	if (place >= 0)
		sys_call1(SYS_close, place);
	return ret;
}

static int parked_fd(struct init *init, int index)
{
	if ((unsigned)index >= init->fds_count)
		return -EBADF;
	int ret = park(init, init->fds[index]);
	return ret < 0 ? ret : open_directory(init->fds[index], ".");
}

/* The directory that holds upper and work. */
static int layers_open(struct init *init, const struct plan_op *op)
{
	if (op->upper_fd >= 0)
		return parked_fd(init, op->upper_fd);
	if (plan_text(&init->plan, op->upper)[0]) {
		int root = open_directory(AT_FDCWD, "/");
		int fd = walk_open(root, plan_text(&init->plan, op->upper));
		sys_call1(SYS_close, root);
		return fd;
	}
	char name[24];
	text_number(name, (uint64_t)(op - init->plan.ops));
	long ret = sys_call3(SYS_mkdirat, init->scratch, name, 0700);
	return ret < 0 ? (int)ret : open_directory(init->scratch, name);
}

/* The upper root shows through as the directory itself: same mode, and the user of the sandbox owns it. */
static int make_layers(struct init *init, int layers, const struct walk_identity *lower)
{
	uint32_t mode = (lower->mode & 0777) | 0700;
	static const char *const names[] = {"upper", "work"};
	for (unsigned i = 0; i < 2; i++) {
		long ret = sys_call3(SYS_mkdirat, layers, names[i], 0700);
		if (ret < 0 && ret != -EEXIST)
			return (int)ret;
	}
	long ret = sys_call3(SYS_fchmodat, layers, "upper", mode);
	if (ret == 0 && (init->plan.sandbox->flags & PLAN_RANGE))
		ret = sys_call5(SYS_fchownat, layers, "upper", init->plan.sandbox->uid, init->plan.sandbox->gid, AT_SYMLINK_NOFOLLOW);
	return (int)ret;
}

static int mount_overlay(int lower, int layers, bool on_disk)
{
	int upper = open_directory(layers, "upper"), work = open_directory(layers, "work");
	int ret = upper < 0 ? upper : work;
	if (ret >= 0) {
		char lowerdir[40], upperdir[40], workdir[40];
		text_fd_path(lowerdir, lower);
		text_fd_path(upperdir, upper);
		text_fd_path(workdir, work);
		const struct mount_option options[] = {
			{"lowerdir", lowerdir}, {"upperdir", upperdir}, {"workdir", workdir}, {"userxattr", NULL},
			{on_disk ? "volatile" : NULL, NULL}, /* without it, the last umount syncs the host's file system */
			{NULL, NULL},
		};
		ret = mount_new("overlay", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	}
	if (upper >= 0)
		sys_call1(SYS_close, upper);
	if (work >= 0)
		sys_call1(SYS_close, work);
	return ret;
}

/* Keeps what tells later what has changed. */
static int remember(struct init *init, const struct plan_op *op, int lower, int layers)
{
	if (init->cows_count == PLAN_COW_MAX)
		return -E2BIG;
	struct cow cow = {.op = (uint32_t)(op - init->plan.ops), .upper = open_directory(layers, "upper"), .lower = -1};
	if (cow.upper < 0)
		return cow.upper;
	int detached = mount_clone(lower, 0);
	if (detached < 0)
		return detached;
	int ret = mount_restrict(detached, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, 0);
	if (ret < 0)
		return ret;
	cow.lower = detached;
	init->cows[init->cows_count++] = cow;
	return 0;
}

static int attach_overlay(struct init *init, const struct plan_op *op, int overlay)
{
	const char *target = plan_text(&init->plan, op->target);
	if (target[1] != '\0')
		return target_attach(init, overlay, target, op->flags);
	int ret = mount_attach(overlay, init->staging); /* the user's root directory */
	if (ret == 0)
		init->root = overlay;
	return ret;
}

static int build(struct init *init, const struct plan_op *op, int lower, int layers)
{
	struct walk_identity identity;
	int ret = walk_identify(lower, &identity);
	if (ret == 0)
		ret = make_layers(init, layers, &identity);
	if (ret < 0)
		return ret;
	bool on_disk = op->upper_fd >= 0 || plan_text(&init->plan, op->upper)[0];
	int overlay = mount_overlay(lower, layers, on_disk);
	if (overlay < 0)
		return overlay;
	if (op->flags & PLAN_OP_WRITABLE) /* else it is only there to take mount points */
		ret = remember(init, op, lower, layers);
	if (ret == 0)
		return attach_overlay(init, op, overlay);
	sys_call1(SYS_close, overlay);
	return ret;
}

int setup_overlay(struct init *init, const struct plan_op *op)
{
	int lower = op->fd >= 0 ? parked_fd(init, op->fd) : source_open(init, op);
	if (lower < 0)
		return lower;
	int layers = layers_open(init, op);
	int ret = layers < 0 ? layers : build(init, op, lower, layers);
	if (layers >= 0)
		sys_call1(SYS_close, layers);
	sys_call1(SYS_close, lower);
	return ret;
}
