/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole start of a sandbox in small, in the order of init's stages and under their names. It decides: some hosts
 * allow each step by itself and not the sequence, and others (AppArmor's user namespace restriction) the other way
 * round, since there a clone with all namespaces at once passes where clone and unshare one after the other do not.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>

#include "base/sys.h"
#include "kernel/landlock.h"
#include "kernel/mount.h"
#include "kernel/net.h"
#include "kernel/probe_fs.h"
#include "kernel/probe_table.h"
#include "kernel/seccomp.h"

#define COMMON (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)

static long open_path(const char *path)
{
	return sys_call4(SYS_openat, AT_FDCWD, path, O_PATH | O_CLOEXEC, 0);
}

static long bind_usr(struct probe_report *report, int root)
{
	report->stage = "mounts";
	long source = open_path("/usr");
	long mount = source < 0 ? source : mount_clone((int)source, 1);
	if (mount < 0)
		return mount;
	long ret = mount_restrict((int)mount, MOUNT_ATTR_RDONLY | COMMON, 1);
	return ret < 0 ? ret : probe_place(root, "usr", mount);
}

static long add_dev(struct probe_report *report, int root)
{
	static const struct mount_option options[] = {{"newinstance", NULL}, {"ptmxmode", "0666"}, {"mode", "0620"}, {NULL, NULL}};
	report->stage = "dev";
	long ret = sys_call3(SYS_mkdirat, root, "dev", 0755);
	long dev = ret < 0 ? ret : sys_call4(SYS_openat, root, "dev", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	if (dev < 0)
		return dev;
	long null = open_path("/dev/null");
	long mount = null < 0 ? null : mount_clone((int)null, 0);
	long file = sys_call4(SYS_openat, dev, "null", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (mount < 0 || file < 0)
		return mount < 0 ? mount : file;
	ret = mount_restrict((int)mount, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, 0);
	if (ret == 0)
		ret = mount_attach((int)mount, (int)file);
	sys_call1(SYS_close, file); /* an open writer keeps the root from becoming read-only */
	if (ret < 0)
		return ret;
	return probe_place((int)dev, "pts", mount_new("devpts", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC));
}

static long build_tree(struct probe_report *report)
{
	long root = probe_root(report);
	long ret = root < 0 ? root : bind_usr(report, (int)root);
	if (ret == 0)
		ret = probe_place((int)root, "proc", probe_new_proc(report));
	if (ret == 0)
		ret = add_dev(report, (int)root);
	if (ret < 0)
		return ret;
	report->stage = "readonly";
	ret = mount_restrict((int)root, MOUNT_ATTR_RDONLY, 0);
	if (ret == 0)
		ret = probe_enter(report, (int)root);
	if (ret < 0)
		return ret;
	return open_path("/usr") >= 0 && open_path("/etc") == -ENOENT ? 0 : -EUCLEAN;
}

static long limit_nested(struct probe_report *report)
{
	report->stage = "nested-userns";
	return probe_write("/proc/sys/user/max_user_namespaces", "0");
}

static long set_up_rest(struct probe_report *report)
{
	report->stage = "loopback";
	long ret = net_loopback_up();
	if (ret < 0)
		return ret;
	report->stage = "hostname";
	ret = sys_call2(SYS_sethostname, "sandbox", 7);
	if (ret < 0)
		return ret;
	report->stage = "keyring";
	ret = sys_call2(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
	if (ret < 0 && ret != -EDQUOT)
		return ret;
	report->stage = "cgroup-ns";
	return sys_call1(SYS_unshare, CLONE_NEWCGROUP);
}

/* Landlock may be absent, but not refused. */
static long lock_down(struct probe_report *report)
{
	static const struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	report->stage = "settle";
	long ret = sys_call5(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (ret < 0)
		return ret;
	report->stage = "landlock";
	struct landlock landlock;
	ret = landlock_open(&landlock);
	if (ret == 0)
		ret = landlock_enter(&landlock);
	if (ret < 0 && ret != -ENOSYS && ret != -EOPNOTSUPP)
		return ret;
	report->stage = "seccomp";
	return seccomp_load_program(&allow, 1);
}

long probe_start(struct probe_report *report, const void *data)
{
	(void)data;
	long ret = limit_nested(report);
	if (ret == 0)
		ret = build_tree(report);
	if (ret == 0)
		ret = set_up_rest(report);
	return ret < 0 ? ret : lock_down(report);
}
