/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file tree of the sandbox.
 *
 * It is built on a tmpfs of our own ("staging"), stacked upon "/" where it hides nothing, so that the host's paths stay
 * reachable until the pivot. Staging is the new root itself, or, with a root directory of the user's, only where things
 * are prepared. On /.hutch is the scratch file system: every place that the sandbox may write to is a directory of it,
 * so that one size bounds them all. Lower layers and the mask are mounted below it, and it is taken out of the tree as
 * a whole in the end. The plan's ops come in an order in which each finds its parent. Mount points are only ever made in tmpfs and overlays of ours, never in the user's directories.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <hutch/spec.h>

#include "base/sys.h"
#include "init/init.h"
#include "init/text.h"
#include "kernel/mount.h"
#include "kernel/walk.h"

#define COMMON_ATTRIBUTES (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)

static const struct plan_sandbox *sandbox(const struct init *init)
{
	return init->plan.sandbox;
}

static const char *text(const struct init *init, plan_string string)
{
	return plan_text(&init->plan, string);
}

int source_open(struct init *init, const struct plan_op *op)
{
	init->detail = text(init, op->source);
	int root = (int)sys_call4(SYS_openat, AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	if (root < 0)
		return root;
	int fd = walk_open(root, text(init, op->source));
	sys_call1(SYS_close, root);
	if (fd < 0)
		return fd;
	struct walk_identity identity;
	int ret = walk_identify(fd, &identity);
	if (ret == 0 && (identity.dev != op->dev || identity.ino != op->ino))
		ret = -ESTALE;
	if (ret == 0)
		return fd;
	sys_call1(SYS_close, fd);
	return ret;
}

int target_attach(struct init *init, int mount, const char *target, uint32_t flags)
{
	int place = flags & PLAN_OP_NO_MAKE ? walk_open(init->root, target) : walk_make(init->root, target, flags & PLAN_OP_IS_FILE);
	int ret = place < 0 ? place : mount_attach(mount, place);
	if (place >= 0)
		sys_call1(SYS_close, place);
	sys_call1(SYS_close, mount);
	if (ret < 0)
		init->detail = target;
	return ret;
}

/* The detached mount that an op shows: the owner's, or a copy of what is at its source. */
static int source_mount(struct init *init, const struct plan_op *op)
{
	if (op->fd >= 0)
		return (unsigned)op->fd < init->fds_count ? (int)sys_call3(SYS_fcntl, init->fds[op->fd], F_DUPFD_CLOEXEC, 3) : -EBADF;
	int source = source_open(init, op);
	if (source < 0)
		return source;
	int mount = mount_clone(source, 1);
	sys_call1(SYS_close, source);
	return mount;
}

static int add_bind(struct init *init, const struct plan_op *op)
{
	uint64_t attributes = COMMON_ATTRIBUTES;
	if (!(op->flags & PLAN_OP_WRITABLE))
		attributes |= MOUNT_ATTR_RDONLY;
	if (op->flags & PLAN_OP_NO_EXEC)
		attributes |= MOUNT_ATTR_NOEXEC;
	int mount = source_mount(init, op);
	if (mount < 0)
		return mount;
	int ret = mount_restrict(mount, attributes, 1);
	if (ret < 0) {
		sys_call1(SYS_close, mount);
		return ret;
	}
	const char *target = text(init, op->target);
	if (target[1] == '\0') { /* the user's root directory, as it is */
		ret = mount_attach(mount, init->staging);
		if (ret == 0)
			init->root = mount;
		return ret;
	}
	return target_attach(init, mount, target, op->flags);
}

static int own(const struct init *init, int dir, const char *name)
{
	return (int)sys_call5(SYS_fchownat, dir, name, sandbox(init)->uid, sandbox(init)->gid, AT_SYMLINK_NOFOLLOW);
}

static int add_directory(struct init *init, const struct plan_op *op)
{
	const char *name;
	int dir = walk_parent(init->root, text(init, op->target), &name);
	if (dir < 0)
		return dir;
	long ret = sys_call3(SYS_mkdirat, dir, name, op->mode);
	if (ret == -EEXIST)
		ret = 0;
	else if (ret == 0)
		ret = sys_call3(SYS_fchmodat, dir, name, op->mode); /* the umask is not ours to know */
	if (ret == 0 && (op->flags & PLAN_OP_OWNED))
		ret = own(init, dir, name);
	sys_call1(SYS_close, dir);
	return (int)ret;
}

static int add_symlink(struct init *init, const struct plan_op *op)
{
	const char *name;
	int dir = walk_parent(init->root, text(init, op->target), &name);
	if (dir < 0)
		return dir;
	int ret = (int)sys_call3(SYS_symlinkat, text(init, op->source), dir, name);
	sys_call1(SYS_close, dir);
	return ret;
}

static int write_all(int fd, const char *data)
{
	size_t left = text_length(data);
	while (left > 0) {
		long written = sys_call3(SYS_write, fd, data, left);
		if (written < 0)
			return (int)written;
		data += written;
		left -= (size_t)written;
	}
	return 0;
}

static int add_file(struct init *init, const struct plan_op *op)
{
	const char *name;
	int dir = walk_parent(init->root, text(init, op->target), &name);
	if (dir < 0)
		return dir;
	int fd = (int)sys_call4(SYS_openat, dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, op->mode);
	sys_call1(SYS_close, dir);
	if (fd < 0)
		return fd;
	int ret = write_all(fd, text(init, op->source));
	sys_call1(SYS_close, fd);
	return ret;
}

static int add_tmpfs(struct init *init, const struct plan_op *op)
{
	char size[24], inodes[24];
	text_number(size, op->size);
	text_number(inodes, op->size / 4096 + 1024);
	const struct mount_option options[] = {{"size", size}, {"nr_inodes", inodes}, {"mode", "0700"}, {NULL, NULL}};
	int mount = mount_new("tmpfs", options, COMMON_ATTRIBUTES);
	if (mount < 0)
		return mount;
	long ret = sys_call3(SYS_fchmodat, mount, ".", op->mode);
	if (ret == 0 && (op->flags & PLAN_OP_OWNED))
		ret = own(init, mount, ".");
	if (ret < 0) {
		sys_call1(SYS_close, mount);
		return (int)ret;
	}
	return target_attach(init, mount, text(init, op->target), op->flags);
}

static int add_scratch(struct init *init, const struct plan_op *op)
{
	char name[24];
	text_number(name, (uint64_t)(op - init->plan.ops));
	long ret = sys_call3(SYS_mkdirat, init->scratch, name, 0700);
	if (ret == 0)
		ret = sys_call3(SYS_fchmodat, init->scratch, name, op->mode);
	if (ret == 0 && (op->flags & PLAN_OP_OWNED))
		ret = own(init, init->scratch, name);
	if (ret < 0)
		return (int)ret;
	int source = (int)sys_call4(SYS_openat, init->scratch, name, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	if (source < 0)
		return source;
	int mount = mount_clone(source, 0);
	sys_call1(SYS_close, source);
	return mount < 0 ? mount : target_attach(init, mount, text(init, op->target), op->flags);
}

/* Copy-on-write, or read-only where that cannot be had and the caller said that it need not. */
static int add_overlay(struct init *init, const struct plan_op *op)
{
	unsigned before = init->cows_count;
	int ret = setup_overlay(init, op);
	if (ret < 0)
		init->cows_count = before;
	if (ret >= 0 || !(sandbox(init)->best_effort & HUTCH_LAYER_OVERLAY))
		return ret;
	struct plan_op plain = *op;
	plain.flags &= ~PLAN_OP_WRITABLE;
	init->absent |= HUTCH_LAYER_OVERLAY;
	return add_bind(init, &plain);
}

static int add(struct init *init, const struct plan_op *op)
{
	switch ((enum plan_op_kind)op->kind) {
	case PLAN_OP_DIRECTORY: return add_directory(init, op);
	case PLAN_OP_FILE: return add_file(init, op);
	case PLAN_OP_SYMLINK: return add_symlink(init, op);
	case PLAN_OP_BIND: return add_bind(init, op);
	case PLAN_OP_TMPFS: return add_tmpfs(init, op);
	case PLAN_OP_SCRATCH: return add_scratch(init, op);
	case PLAN_OP_OVERLAY: return add_overlay(init, op);
	case PLAN_OP_MASK:
	case PLAN_OP_PROC_READONLY:
	case PLAN_OP_DEVICE: return 0; /* stages of their own */
	case PLAN_OP_KINDS: break;
	}
	return -EINVAL;
}

/* Should: a tmpfs of ours on "/", with the scratch file system below it. Mustn't: hide any host path. */
int setup_root(struct init *init)
{
	const struct mount_option staging[] = {{"size", "16m"}, {"nr_inodes", "4096"}, {"mode", "0755"}, {NULL, NULL}};
	init->staging = mount_new("tmpfs", staging, COMMON_ATTRIBUTES);
	if (init->staging < 0)
		return init->staging;
	long ret = sys_call5(SYS_move_mount, init->staging, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH);
	if (ret < 0)
		return (int)ret;
	init->root = init->staging;
	char size[24], inodes[24];
	text_number(size, sandbox(init)->scratch_bytes);
	text_number(inodes, sandbox(init)->scratch_inodes);
	const struct mount_option scratch[] = {{"size", size}, {"nr_inodes", inodes}, {"mode", "0700"}, {NULL, NULL}};
	init->scratch = mount_new("tmpfs", scratch, COMMON_ATTRIBUTES);
	if (init->scratch < 0)
		return init->scratch;
	int place = walk_make(init->staging, "/.hutch", false);
	ret = place < 0 ? place : mount_attach(init->scratch, place);
	if (place >= 0)
		sys_call1(SYS_close, place);
	return (int)ret;
}

/* Should: everything that the plan shows is at its place, with its flags, recursively. Mustn't: follow a link. */
int setup_mounts(struct init *init)
{
	for (uint32_t i = 0; i < sandbox(init)->ops_count; i++) {
		const struct plan_op *op = &init->plan.ops[i];
		init->item = i;
		init->detail = text(init, op->target);
		int ret = add(init, op);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* File systems of ours that had to be writable only until everything was in its place. */
static int seal(struct init *init)
{
	for (uint32_t i = 0; i < sandbox(init)->ops_count; i++) {
		const struct plan_op *op = &init->plan.ops[i];
		if ((op->kind != PLAN_OP_TMPFS && op->kind != PLAN_OP_OVERLAY) || (op->flags & PLAN_OP_WRITABLE))
			continue;
		init->item = i;
		init->detail = text(init, op->target);
		int place = walk_open(init->root, init->detail);
		int ret = place < 0 ? place : mount_restrict(place, MOUNT_ATTR_RDONLY, 0);
		if (place >= 0)
			sys_call1(SYS_close, place);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* Should: nothing can be written to the root itself any more, and /.hutch is gone from the view. The upper layers live
 * on by their mounts. Mustn't: touch the user's own root directory. */
int setup_readonly(struct init *init)
{
	int ret = seal(init);
	if (ret == 0)
		ret = mount_detach(init->staging, ".hutch"); /* with the mask and lower layers, which are mounted below it */
	if (ret < 0 || init->root != init->staging)
		return ret;
	sys_call3(SYS_unlinkat, init->staging, ".hutch", AT_REMOVEDIR);
	return mount_restrict(init->root, MOUNT_ATTR_RDONLY, 0);
}

/* Should: "/" is the new root. Mustn't: leave a working directory outside. */
int setup_pivot(struct init *init)
{
	long ret = sys_call1(SYS_fchdir, init->root);
	if (ret == 0)
		ret = sys_call2(SYS_pivot_root, ".", ".");
	return (int)ret;
}

/* ".." of the root crosses into whatever is mounted upon it: with the old root still there, it would lead out. */
static int check_root_is_top(void)
{
	static const char *const paths[] = {"/", "/.."};
	struct walk_identity identities[2];
	for (unsigned i = 0; i < 2; i++) {
		int fd = (int)sys_call4(SYS_openat, AT_FDCWD, paths[i], O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
		int ret = fd < 0 ? fd : walk_identify(fd, &identities[i]);
		if (fd >= 0)
			sys_call1(SYS_close, fd);
		if (ret < 0)
			return ret;
	}
	return identities[0].dev == identities[1].dev && identities[0].ino == identities[1].ino ? 0 : -EXDEV;
}

/* Should: the host's tree is gone from this namespace, and no descriptor of it is left. */
int setup_detach(struct init *init)
{
	/* The pivot stacked the old root upon the new one, and on it is still our staging, if that is not the new root. */
	long ret = init->root == init->staging ? 0 : sys_call2(SYS_umount2, ".", MNT_DETACH);
	if (ret == 0)
		ret = sys_call2(SYS_umount2, ".", MNT_DETACH);
	if (ret == 0)
		ret = sys_call1(SYS_chdir, "/");
	if (ret == 0)
		ret = check_root_is_top();
	sys_call1(SYS_close, init->staging);
	if (init->root != init->staging)
		sys_call1(SYS_close, init->root);
	sys_call1(SYS_close, init->scratch);
	init->staging = init->root = init->scratch = -1;
	if (ret == 0)
		ret = init->proc = (int)sys_call4(SYS_openat, AT_FDCWD, "/proc", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
	return ret < 0 ? (int)ret : 0;
}
