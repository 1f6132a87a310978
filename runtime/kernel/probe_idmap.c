/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As root, a sandbox's ids are none of the caller's, and the caller's files are shown through an idmapped copy of their
 * mount. Tried with the current directory, since whether it works depends on the file system. The copy is never
 * attached.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>

#include "base/sys.h"
#include "kernel/mount.h"
#include "kernel/probe_fs.h"
#include "kernel/probe_table.h"

/* A user namespace in which the caller's uid and gid 0 are the range's ordinary user. */
static long make_userns(struct probe_report *report, long *ret_pid)
{
	report->stage = "clone";
	int pidfd;
	long pid = probe_fork(CLONE_NEWUSER, &pidfd, false);
	if (pid == 0) {
		sys_call2(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
		sys_call5(SYS_ppoll, NULL, 0, NULL, NULL, 0); /* until we are killed */
		probe_exit(0);
	}
	if (pid < 0)
		return pid;
	*ret_pid = pid;
	char path[40], map[40];
	probe_path(map, "0 ", PROBE_RANGE_FIRST + PROBE_INSIDE_ID, " 1");
	report->stage = "uid_map";
	probe_path(path, "/proc/", (uint64_t)pid, "/uid_map");
	long ret = probe_write(path, map);
	if (ret == 0) {
		report->stage = "gid_map";
		probe_path(path, "/proc/", (uint64_t)pid, "/gid_map");
		ret = probe_write(path, map);
	}
	probe_path(path, "/proc/", (uint64_t)pid, "/ns/user");
	return ret < 0 ? ret : sys_call4(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
}

long probe_idmap(struct probe_report *report, const void *data)
{
	(void)data;
	long pid = 0;
	long userns = make_userns(report, &pid);
	if (pid > 0)
		probe_end(pid); /* the descriptor keeps the namespace */
	if (userns < 0)
		return userns;
	report->stage = "open_tree";
	long here = sys_call4(SYS_openat, AT_FDCWD, ".", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	long tree = here < 0 ? here : mount_clone((int)here, 0);
	if (tree < 0)
		return tree;
	report->stage = "mount_setattr";
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns};
	return sys_call5(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof attr);
}

void probe_judge_idmap(const struct probe *probe, const struct probe_host *host, struct hutch_finding *finding)
{
	if (!host->ids.by_parent) {
		probe_found(finding, HUTCH_VERDICT_OK, "not needed: an ordinary user's own id is mapped into the sandbox");
		return;
	}
	struct probe_report report;
	probe_try_body(probe, host, NULL, &report);
	probe_judge_report(probe, host, &report, finding);
}
