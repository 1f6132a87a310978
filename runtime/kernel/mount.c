/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>

#include "base/sys.h"

int mount_new(const char *type, const struct mount_option *options, uint64_t attributes)
{
	int fs = (int)sys_call2(SYS_fsopen, type, FSOPEN_CLOEXEC);
	if (fs < 0)
		return fs;
	long ret = 0;
	for (; ret >= 0 && options->key; options++) {
		unsigned command = options->value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG;
		ret = sys_call5(SYS_fsconfig, fs, command, options->key, options->value, 0);
	}
	if (ret >= 0)
		ret = sys_call5(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, 0, 0, 0);
	if (ret >= 0)
		ret = sys_call3(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attributes);
	sys_call1(SYS_close, fs);
	return (int)ret;
}

int mount_clone(int source, int recursive)
{
	unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
	return (int)sys_call3(SYS_open_tree, source, "", flags);
}

int mount_restrict(int fd, uint64_t attributes, int recursive)
{
	struct mount_attr attr = {.attr_set = attributes};
	unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
	return (int)sys_call5(SYS_mount_setattr, fd, "", flags, &attr, sizeof attr);
}

int mount_private(int fd, int recursive)
{
	struct mount_attr attr = {.propagation = MS_PRIVATE};
	unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
	return (int)sys_call5(SYS_mount_setattr, fd, "", flags, &attr, sizeof attr);
}

int mount_attach(int mount, int target)
{
	return (int)sys_call5(SYS_move_mount, mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

int mount_detach(int dir, const char *path)
{
	long ret = sys_call1(SYS_fchdir, dir);
	if (ret >= 0)
		ret = sys_call2(SYS_umount2, path, MNT_DETACH | UMOUNT_NOFOLLOW);
	return (int)ret;
}
