/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A copy-on-write directory: first as `run` wants it, with the upper layer on a tmpfs, and if that does not work, on a
 * disk. On the disk a directory of our own is made, and removed afterwards; the overlay itself is never attached.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/sys.h"
#include "kernel/mount.h"
#include "kernel/probe_fs.h"
#include "kernel/probe_table.h"

static long open_directory(long dir, const char *name, int flags)
{
	return sys_call4(SYS_openat, dir, name, flags | O_DIRECTORY | O_CLOEXEC, 0);
}

static long make_file(long dir, const char *name)
{
	long fd = sys_call4(SYS_openat, dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0)
		sys_call1(SYS_close, fd);
	return fd;
}

static long make_layers(long root, long layers)
{
	long ret = sys_call3(SYS_mkdirat, root, "lower", 0700);
	if (ret == 0)
		ret = sys_call3(SYS_mkdirat, layers, "upper", 0700);
	if (ret == 0)
		ret = sys_call3(SYS_mkdirat, layers, "work", 0700);
	long lower = ret < 0 ? ret : open_directory(root, "lower", O_PATH);
	if (lower < 0)
		return lower;
	ret = make_file(lower, "changed");
	return ret < 0 ? ret : make_file(lower, "removed");
}

/* Without them whiteouts and opaque directories cannot be remembered; a mount would work nevertheless. */
static long check_xattr(long layers)
{
	long upper = open_directory(layers, "upper", O_RDONLY);
	return upper < 0 ? upper : sys_call5(SYS_fsetxattr, upper, "user.overlay.probe", "y", 1, 0);
}

static long mount_layers(long root, long layers, bool on_disk)
{
	char lower[40], upper[40], work[40];
	long fds[] = {open_directory(root, "lower", O_PATH), open_directory(layers, "upper", O_PATH), open_directory(layers, "work", O_PATH)};
	for (unsigned i = 0; i < 3; i++)
		if (fds[i] < 0)
			return fds[i];
	probe_path(lower, "/proc/self/fd/", (uint64_t)fds[0], "");
	probe_path(upper, "/proc/self/fd/", (uint64_t)fds[1], "");
	probe_path(work, "/proc/self/fd/", (uint64_t)fds[2], "");
	const struct mount_option options[] = {
		{"lowerdir", lower}, {"upperdir", upper}, {"workdir", work}, {"userxattr", NULL},
		{on_disk ? "volatile" : NULL, NULL},
		{NULL, NULL},
	};
	return mount_new("overlay", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
}

static long exists(long dir, const char *name)
{
	struct stat st;
	return sys_call4(SYS_newfstatat, dir, name, &st, AT_SYMLINK_NOFOLLOW);
}

/* A write copies the file up, and what is removed stays in the lower layer. */
static long use(struct probe_report *report, long overlay, long root, long layers)
{
	report->stage = "copy-up";
	long fd = sys_call4(SYS_openat, overlay, "changed", O_WRONLY | O_APPEND | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	sys_call1(SYS_close, fd);
	long upper = open_directory(layers, "upper", O_PATH), lower = open_directory(root, "lower", O_PATH);
	if (exists(upper, "changed") < 0)
		return -EUCLEAN;
	report->stage = "whiteout";
	long ret = sys_call3(SYS_unlinkat, overlay, "removed", 0);
	if (ret < 0)
		return ret;
	return exists(overlay, "removed") == -ENOENT && exists(lower, "removed") == 0 ? 0 : -EUCLEAN;
}

/* `data`: the directory on disk for the upper layer; NULL: a tmpfs. */
long probe_overlay(struct probe_report *report, const void *data)
{
	long root = probe_root(report);
	if (root < 0)
		return root;
	report->stage = "layers";
	long layers = data ? open_directory(AT_FDCWD, data, O_PATH) : root;
	long ret = layers < 0 ? layers : make_layers(root, layers);
	if (ret < 0)
		return ret;
	report->stage = "user-xattr";
	ret = check_xattr(layers);
	if (ret < 0)
		return ret;
	report->stage = "overlay";
	long overlay = mount_layers(root, layers, data != NULL);
	if (overlay < 0)
		return overlay;
	ret = use(report, overlay, root, layers);
	sys_call1(SYS_close, overlay);
	return ret;
}

/* ---- the caller's side ---- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	remove(path);
	return 0;
}

/* The kernel makes the work directory's contents with mode 000, which only root can look into. */
static void remove_layers(const char *directory)
{
	static const char *const shut[] = {"work/work", "work/work/incompat", "work/work/incompat/volatile"};
	for (size_t i = 0; i < sizeof shut / sizeof *shut; i++) {
		char path[96];
		snprintf(path, sizeof path, "%s/%s", directory, shut[i]);
		chmod(path, 0700);
	}
	nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static bool works_on_disk(const struct probe *probe, const struct probe_host *host)
{
	char directory[] = "/var/tmp/hutch-doctor-XXXXXX";
	if (!mkdtemp(directory))
		return false;
	uid_t owner = PROBE_RANGE_FIRST + PROBE_INSIDE_ID;
	struct probe_report report = {.result = -EPERM};
	if (!host->ids.by_parent || chown(directory, owner, owner) == 0)
		probe_try_body(probe, host, directory, &report);
	remove_layers(directory);
	return report.result >= 0;
}

void probe_judge_overlay(const struct probe *probe, const struct probe_host *host, struct hutch_finding *finding)
{
	struct probe_report report;
	probe_try_body(probe, host, NULL, &report);
	probe_judge_report(probe, host, &report, finding);
	if (report.result >= 0 || !works_on_disk(probe, host))
		return;
	probe_found(finding, HUTCH_VERDICT_DEGRADED, "not with the upper layer on a tmpfs (%s: %s), but on disk (/var/tmp)", report.stage,
	            hutch_errno_name((int)-report.result));
	probe_fix(finding, "Linux 6.6 or newer with CONFIG_TMPFS_XATTR; until then changes are kept on disk");
}
