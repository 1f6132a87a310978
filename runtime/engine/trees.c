/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/trees.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <hutch/spec.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/sys.h"
#include "engine/idmap.h"
#include "kernel/mount.h"
#include "kernel/walk.h"

static int map_ids(int mount, int userns, bool is_recursive)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, .userns_fd = (uint64_t)userns};
	unsigned flags = AT_EMPTY_PATH | (is_recursive ? AT_RECURSIVE : 0);
	return (int)sys_call5(SYS_mount_setattr, mount, "", flags, &attr, sizeof attr);
}

/* The source, opened again without following any link, and the same file that the plan saw: somebody else may own a
 * directory on the way. */
static int open_source(const struct plan_tree *tree, struct hutch_error *err)
{
	struct walk_identity identity;
	CLEANUP_CLOSE int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	CLEANUP_CLOSE int source = root < 0 ? -errno : walk_open(root, tree->source);
	int ret = source < 0 ? source : walk_identify(source, &identity);
	if (ret >= 0 && !tree->is_upper && (identity.dev != tree->dev || identity.ino != tree->ino))
		ret = -ESTALE;
	return ret < 0 ? err_sys(err, HUTCH_E_INVALID, -ret, "cannot open \"%s\"", tree->source) : TAKE_FD(source);
}

static int open_one(const struct plan_tree *tree, int userns, bool optional, bool *ret_unmapped, struct hutch_error *err)
{
	CLEANUP_CLOSE int source = open_source(tree, err);
	if (source < 0)
		return source;
	CLEANUP_CLOSE int mount = mount_clone(source, tree->is_recursive);
	int ret = mount < 0 ? mount : mount_private(mount, tree->is_recursive); /* made in the host's namespace: init's stage does not reach it */
	if (ret < 0)
		return err_sys(err, HUTCH_E_UNSUPPORTED, -ret, "cannot make a mount of \"%s\"", tree->source);
	if (tree->is_upper)
		return TAKE_FD(mount);
	ret = map_ids(mount, userns, tree->is_recursive);
	if (ret < 0 && !optional)
		return err_hint(err, err_stage(err, err_sys(err, HUTCH_E_UNSUPPORTED, -ret, "the file system of \"%s\" cannot map ids, so the sandbox could not use your files there", tree->source), "idmap"),
		                "copy the files to another file system (overlayfs and some network file systems cannot), use --no-workspace, or --best-effort=idmap to see them as files of somebody else");
	*ret_unmapped |= ret < 0;
	return TAKE_FD(mount);
}

static int *namespace_for(enum tree_ids ids, int *caller, int *range)
{
	return ids == TREE_IDS_CALLER ? caller : range;
}

int trees_open(const struct draft *draft, uint64_t base, unsigned inside, int *fds, bool *ret_unmapped, struct hutch_error *err)
{
	CLEANUP_CLOSE int caller = -1;
	CLEANUP_CLOSE int range = -1;
	bool optional = draft->fixed.best_effort & HUTCH_LAYER_IDMAP;
	for (size_t i = 0; i < draft->trees_count; i++) {
		const struct plan_tree *tree = &draft->trees[i];
		int *userns = namespace_for(tree->ids, &caller, &range);
		if (*userns < 0 && !tree->is_upper)
			*userns = idmap_mount_namespace(base, tree->ids == TREE_IDS_CALLER ? geteuid() : inside, inside, err);
		fds[i] = *userns < 0 && !tree->is_upper ? *userns : open_one(tree, *userns, optional, ret_unmapped, err);
		if (fds[i] >= 0)
			continue;
		int ret = fds[i];
		while (i > 0)
			close(fds[--i]);
		return ret;
	}
	return 0;
}
