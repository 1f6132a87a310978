/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/probe_fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/mount.h>

#include "base/sys.h"
#include "kernel/mount.h"
#include "kernel/probe_table.h"

#define COMMON (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)

static const struct mount_option small[] = {{"size", "1m"}, {"nr_inodes", "256"}, {"mode", "0755"}, {NULL, NULL}};

void probe_path(char to[40], const char *prefix, uint64_t number, const char *suffix)
{
	char digits[20];
	unsigned count = 0, used = 0;
	do
		digits[count++] = (char)('0' + number % 10);
	while ((number /= 10) > 0);
	while (*prefix && used + count < 39)
		to[used++] = *prefix++;
	while (count > 0)
		to[used++] = digits[--count];
	while (*suffix && used < 39)
		to[used++] = *suffix++;
	to[used] = '\0';
}

long probe_root(struct probe_report *report)
{
	report->stage = "propagation";
	long ret = sys_call5(SYS_mount, NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	if (ret < 0)
		return ret;
	report->stage = "root";
	long root = mount_new("tmpfs", small, COMMON);
	if (root < 0)
		return root;
	ret = sys_call5(SYS_move_mount, root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH);
	return ret < 0 ? ret : root;
}

long probe_place(int dir, const char *name, long mount)
{
	if (mount < 0)
		return mount;
	long ret = sys_call3(SYS_mkdirat, dir, name, 0755);
	long place = ret < 0 ? ret : sys_call4(SYS_openat, dir, name, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	if (place < 0)
		return place;
	ret = mount_attach((int)mount, (int)place);
	sys_call1(SYS_close, place);
	sys_call1(SYS_close, mount);
	return ret;
}

long probe_new_proc(struct probe_report *report)
{
	static const struct mount_option options[] = {{"hidepid", "ptraceable"}, {NULL, NULL}};
	report->stage = "proc";
	return mount_new("proc", options, COMMON | MOUNT_ATTR_NOEXEC);
}

long probe_enter(struct probe_report *report, int root)
{
	report->stage = "pivot";
	long ret = sys_call1(SYS_fchdir, root);
	if (ret == 0)
		ret = sys_call2(SYS_pivot_root, ".", ".");
	if (ret < 0)
		return ret;
	report->stage = "detach";
	ret = sys_call2(SYS_umount2, ".", MNT_DETACH);
	return ret < 0 ? ret : sys_call1(SYS_chdir, "/");
}

/* ---- bodies ---- */

long probe_tmpfs(struct probe_report *report, const void *data)
{
	(void)data;
	long root = probe_root(report);
	if (root < 0)
		return root;
	report->stage = "write";
	return sys_call4(SYS_openat, root, "file", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
}

/* Read-only for a mount and what is mounted below it: the write that is tried is into the lower one. */
long probe_setattr(struct probe_report *report, const void *data)
{
	(void)data;
	long root = probe_root(report);
	if (root < 0)
		return root;
	report->stage = "submount";
	long ret = probe_place((int)root, "below", mount_new("tmpfs", small, COMMON));
	if (ret < 0)
		return ret;
	long below = sys_call4(SYS_openat, root, "below", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	report->stage = "mount_setattr";
	ret = mount_restrict((int)root, MOUNT_ATTR_RDONLY | COMMON, 1);
	if (ret < 0)
		return ret;
	report->stage = "write";
	ret = sys_call4(SYS_openat, below, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	return ret == -EROFS ? 0 : -EUCLEAN;
}

long probe_proc(struct probe_report *report, const void *data)
{
	(void)data;
	long proc = probe_new_proc(report);
	if (proc < 0)
		return proc;
	report->stage = "read"; /* we are PID 1 of it */
	return sys_call4(SYS_openat, proc, "1/status", O_RDONLY | O_CLOEXEC, 0);
}

long probe_pivot(struct probe_report *report, const void *data)
{
	(void)data;
	long root = probe_root(report);
	long ret = root < 0 ? root : probe_enter(report, (int)root);
	if (ret < 0)
		return ret;
	return sys_call4(SYS_openat, AT_FDCWD, "/usr", O_PATH | O_CLOEXEC, 0) == -ENOENT ? 0 : -EUCLEAN;
}
