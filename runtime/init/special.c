/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /proc and /dev.
 *
 * /proc is complete (ps, free, Java, Go read cpuinfo, meminfo, stat and sys), with hidepid=ptraceable, so that init and
 * commands that have not reached their exec do not exist for the payload; /proc/sys is read-only, and the plan lists
 * what is masked. /dev is a directory of our root with six devices of the host and a devpts of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/stat.h>

#include "base/sys.h"
#include "init/init.h"
#include "kernel/mount.h"
#include "kernel/walk.h"

static const char *target_of(const struct init *init, const struct plan_op *op)
{
	return plan_text(&init->plan, op->target);
}

/* Should: a /proc of this PID namespace. Mustn't: be reachable by any process yet. */
int setup_proc(struct init *init)
{
	const struct mount_option complete[] = {{"hidepid", "ptraceable"}, {NULL, NULL}};
	const struct mount_option pids_only[] = {{"hidepid", "ptraceable"}, {"subset", "pid"}, {NULL, NULL}};
	bool strict = init->plan.sandbox->flags & PLAN_PROC_PIDS_ONLY;
	int proc = mount_new("proc", strict ? pids_only : complete, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	return proc < 0 ? proc : target_attach(init, proc, "/proc", 0);
}

/* A device node of the host, if it is the device it should be. */
static int add_device(struct init *init, const struct plan_op *op)
{
	int source = (int)sys_call4(SYS_openat, AT_FDCWD, plan_text(&init->plan, op->source), O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
	if (source < 0)
		return source;
	struct walk_identity identity;
	int ret = walk_identify(source, &identity);
	if (ret == 0 && (!S_ISCHR(identity.mode) || identity.rdev != op->dev))
		ret = -ENODEV;
	int mount = ret < 0 ? ret : mount_clone(source, 0);
	sys_call1(SYS_close, source);
	if (mount < 0)
		return mount;
	ret = mount_restrict(mount, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, 0);
	if (ret == 0)
		return target_attach(init, mount, target_of(init, op), op->flags);
	sys_call1(SYS_close, mount);
	return ret;
}

static int add_devpts(struct init *init)
{
	/* without a maximum, one sandbox could take all that the machine has for those other than the host's own */
	const struct mount_option options[] = {{"newinstance", NULL}, {"ptmxmode", "0666"}, {"mode", "0620"}, {"max", "256"}, {NULL, NULL}};
	int mount = mount_new("devpts", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	if (mount < 0)
		return mount;
	init->devpts = (int)sys_call4(SYS_openat, mount, ".", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	return target_attach(init, mount, "/dev/pts", 0);
}

/* Should: the plan's devices, /dev/pts. Mustn't: show anything else of the host's /dev. */
int setup_dev(struct init *init)
{
	for (uint32_t i = 0; i < init->plan.sandbox->ops_count; i++) {
		const struct plan_op *op = &init->plan.ops[i];
		if (op->kind != PLAN_OP_DEVICE)
			continue;
		init->item = i;
		init->detail = target_of(init, op);
		int ret = add_device(init, op);
		if (ret < 0)
			return ret;
	}
	init->detail = "/dev/pts";
	return add_devpts(init);
}

static int fill_mask(int dir)
{
	long ret = sys_call3(SYS_mkdirat, dir, "directory", 0555);
	if (ret == 0)
		ret = sys_call4(SYS_mknodat, dir, "file", S_IFREG | 0444, 0);
	return (int)ret;
}

/* An empty directory and an empty file of our own making on a read-only mount: masks are copies of them. */
static int make_mask_source(struct init *init)
{
	int dir = walk_make(init->scratch, "/mask", false);
	if (dir < 0)
		return dir;
	int ret = fill_mask(dir);
	int mount = ret < 0 ? ret : mount_clone(dir, 0);
	ret = mount < 0 ? mount : mount_restrict(mount, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC, 0);
	if (ret == 0)
		ret = mount_attach(mount, dir);
	sys_call1(SYS_close, dir);
	if (ret == 0)
		return mount;
	if (mount >= 0)
		sys_call1(SYS_close, mount);
	return ret;
}

static int add_mask(struct init *init, const struct plan_op *op, int masks)
{
	const char *name = op->flags & PLAN_OP_IS_FILE ? "file" : "directory";
	int source = (int)sys_call4(SYS_openat, masks, name, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
	if (source < 0)
		return source;
	int mount = mount_clone(source, 0);
	sys_call1(SYS_close, source);
	if (mount < 0)
		return mount;
	int place = walk_open(init->root, target_of(init, op));
	int ret = place < 0 ? place : mount_attach(mount, place);
	if (place >= 0)
		sys_call1(SYS_close, place);
	sys_call1(SYS_close, mount);
	return ret == -ENOENT ? 0 : ret; /* what is not there needs no mask */
}

static int add_readonly(struct init *init, const struct plan_op *op)
{
	int place = walk_open(init->root, target_of(init, op));
	if (place < 0)
		return place == -ENOENT ? 0 : place;
	int mount = mount_clone(place, 0);
	int ret = mount < 0 ? mount : mount_restrict(mount, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, 0);
	if (ret == 0)
		ret = mount_attach(mount, place);
	if (mount >= 0)
		sys_call1(SYS_close, mount);
	sys_call1(SYS_close, place);
	return ret;
}

/* Should: every entry of the plan's table is hidden or read-only. Mustn't: use a file of the sandbox's as a mask. */
int setup_masks(struct init *init)
{
	int masks = make_mask_source(init);
	if (masks < 0)
		return masks;
	int ret = 0;
	for (uint32_t i = 0; ret >= 0 && i < init->plan.sandbox->ops_count; i++) {
		const struct plan_op *op = &init->plan.ops[i];
		if (op->kind != PLAN_OP_MASK && op->kind != PLAN_OP_PROC_READONLY)
			continue;
		init->item = i;
		init->detail = target_of(init, op);
		ret = op->kind == PLAN_OP_MASK ? add_mask(init, op, masks) : add_readonly(init, op);
	}
	sys_call1(SYS_close, masks);
	return ret;
}
