/* SPDX-License-Identifier: Apache-2.0 */
/* Namespaces: each is made together with its user namespace in one clone, and then used for something. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ipc.h>
#include <sys/mount.h>

#include "base/sys.h"
#include "kernel/net.h"
#include "kernel/probe_table.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

long probe_userns(struct probe_report *report, const void *data)
{
	(void)data;
	report->stage = "ids";
	bool mapped = sys_call0(SYS_getuid) == PROBE_INSIDE_ID && sys_call0(SYS_getgid) == PROBE_INSIDE_ID;
	return mapped ? 0 : -EUCLEAN;
}

void probe_describe_userns(const struct probe_host *host, const struct probe_report *report, char *text, size_t size)
{
	(void)report;
	if (host->ids.by_parent)
		snprintf(text, size, "created; uid_map and gid_map written by root: a range of %u ids from %u on", PROBE_RANGE_COUNT,
		         PROBE_RANGE_FIRST);
	else
		snprintf(text, size, "created; /proc/self/uid_map written: %u inside is %u outside", PROBE_INSIDE_ID, host->uid);
}

long probe_mount_ns(struct probe_report *report, const void *data)
{
	(void)data;
	report->stage = "propagation";
	return sys_call5(SYS_mount, NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

long probe_pid_ns(struct probe_report *report, const void *data)
{
	(void)data;
	report->stage = "getpid";
	return sys_call0(SYS_getpid) == 1 ? 0 : -EUCLEAN;
}

long probe_net_ns(struct probe_report *report, const void *data)
{
	(void)data;
	report->stage = "loopback";
	return net_loopback_up();
}

long probe_ipc_ns(struct probe_report *report, const void *data)
{
	(void)data;
	report->stage = "msgget";
	return sys_call2(SYS_msgget, IPC_PRIVATE, 0600);
}

long probe_uts_ns(struct probe_report *report, const void *data)
{
	(void)data;
	report->stage = "hostname";
	return sys_call2(SYS_sethostname, "sandbox", 7);
}

static long unshare_one(struct probe_report *report, unsigned long flag)
{
	report->stage = "unshare";
	return sys_call1(SYS_unshare, flag);
}

/* As every command does it in its own cgroup; init itself has none. */
long probe_cgroup_ns(struct probe_report *report, const void *data)
{
	(void)data;
	return unshare_one(report, CLONE_NEWCGROUP);
}

long probe_time_ns(struct probe_report *report, const void *data)
{
	(void)data;
	return unshare_one(report, CLONE_NEWTIME);
}

long probe_nested_userns(struct probe_report *report, const void *data)
{
	(void)data;
	report->stage = "nested-userns";
	long ret = probe_write("/proc/sys/user/max_user_namespaces", "0");
	if (ret < 0)
		return ret;
	report->stage = "unshare";
	return sys_call1(SYS_unshare, CLONE_NEWUSER) < 0 ? 0 : -EUCLEAN; /* which errno does not matter, as long as it is off */
}

void probe_judge_kernel(const struct probe *probe, const struct probe_host *host, struct hutch_finding *finding)
{
	(void)probe;
	probe_found(finding, HUTCH_VERDICT_OK, "%s%s%s%s", host->kernel, host->in_userns ? ", in a user namespace" : "",
	            host->has_filter ? ", under a seccomp filter" : "", host->is_root ? ", as root" : ", as an ordinary user");
}
