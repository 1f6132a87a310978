/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Known reasons why hosts refuse what a sandbox needs, most specific first: the first row that applies explains the
 * failure. A stage of NULL applies everywhere.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "kernel/probe_host.h"

static bool refused(const struct probe_report *report)
{
	return report->result == -EPERM || report->result == -EACCES;
}

static bool at_clone(const struct probe_report *report)
{
	return strcmp(report->stage, "clone") == 0 || strcmp(report->stage, "unshare") == 0;
}

static bool at_maps(const struct probe_report *report)
{
	return strcmp(report->stage, "uid_map") == 0 || strcmp(report->stage, "gid_map") == 0;
}

static bool is_nested(const struct probe_host *host, const struct probe_report *report)
{
	return strcmp(report->stage, "clone") == 0 && host->in_userns && host->max_user_namespaces == 0;
}

static bool is_switched_off(const struct probe_host *host, const struct probe_report *report)
{
	return at_clone(report) && report->result == -ENOSPC && host->max_user_namespaces == 0;
}

static bool is_exhausted(const struct probe_host *host, const struct probe_report *report)
{
	(void)host;
	return at_clone(report) && (report->result == -ENOSPC || report->result == -EUSERS);
}

static bool is_debian_switch(const struct probe_host *host, const struct probe_report *report)
{
	return at_clone(report) && refused(report) && !host->is_root && host->unprivileged_userns_clone == 0;
}

/* With AppArmor's restriction the clone itself works, and what the new namespace should allow is refused. */
static bool is_apparmor(const struct probe_host *host, const struct probe_report *report)
{
	return refused(report) && !host->is_root && host->apparmor_restrict_userns == 1;
}

static bool is_chroot(const struct probe_host *host, const struct probe_report *report)
{
	return host->in_chroot && ((at_clone(report) && report->result == -EPERM) || strcmp(report->stage, "pivot") == 0);
}

static bool is_covered_proc(const struct probe_host *host, const struct probe_report *report)
{
	return strcmp(report->stage, "proc") == 0 && refused(report) && host->proc_covers > 0;
}

static bool is_readonly_sysctl(const struct probe_host *host, const struct probe_report *report)
{
	(void)host;
	return strcmp(report->stage, "nested-userns") == 0 && report->result == -EROFS;
}

static bool is_killed(const struct probe_host *host, const struct probe_report *report)
{
	(void)host;
	return report->signal == SIGSYS;
}

static bool is_filtered(const struct probe_host *host, const struct probe_report *report)
{
	return host->has_filter && (refused(report) || report->result == -ENOSYS);
}

static bool is_root_without_range(const struct probe_host *host, const struct probe_report *report)
{
	return host->is_root && at_maps(report) && refused(report);
}

/* Nothing that we can see. The kernel itself refuses user namespaces in a chroot, which cannot always be told. */
static bool is_refused_clone(const struct probe_host *host, const struct probe_report *report)
{
	(void)host;
	return strcmp(report->stage, "clone") == 0 && refused(report);
}

static bool is_process_limit(const struct probe_host *host, const struct probe_report *report)
{
	(void)host;
	return report->result == -EAGAIN && (at_clone(report) || strcmp(report->stage, "fork") == 0 || strcmp(report->stage, "clone3") == 0);
}

static bool is_descriptor_limit(const struct probe_host *host, const struct probe_report *report)
{
	(void)host;
	return report->result == -EMFILE || report->result == -ENFILE;
}

static bool is_late(const struct probe_host *host, const struct probe_report *report)
{
	(void)host;
	return report->result == -ETIMEDOUT;
}

static const struct known {
	bool (*applies)(const struct probe_host *host, const struct probe_report *report);
	struct probe_cause cause;
} known[] = {
	{is_nested,
	 {"this process is already inside a sandbox that allows no further user namespace, as hutch's own do",
	  "run hutch outside of that sandbox; a second sandbox cannot be built inside"}},
	{is_switched_off,
	 {"user.max_user_namespaces is 0",
	  "sudo sysctl -w user.max_user_namespaces=15000 (for good: echo 'user.max_user_namespaces = 15000' | sudo tee "
	  "/etc/sysctl.d/50-userns.conf)"}},
	{is_exhausted,
	 {"a limit on the number or the nesting (32) of namespaces is reached",
	  "raise the limit that is reached among /proc/sys/user/max_*_namespaces, for example sudo sysctl -w "
	  "user.max_user_namespaces=15000, or end what holds that many"}},
	{is_debian_switch,
	 {"kernel.unprivileged_userns_clone is 0",
	  "sudo sysctl -w kernel.unprivileged_userns_clone=1 (for good: echo 'kernel.unprivileged_userns_clone = 1' | sudo tee "
	  "/etc/sysctl.d/50-userns.conf)"}},
	{is_apparmor,
	 {"kernel.apparmor_restrict_unprivileged_userns is 1",
	  "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile for the hutch binary with "
	  "flags=(unconfined) and the rule 'userns,' in /etc/apparmor.d/hutch"}},
	{is_chroot,
	 {"this process runs in a chroot",
	  "run hutch outside of the chroot, or enter the tree by pivot_root (systemd-nspawn, unshare --root) instead of chroot"}},
	{is_covered_proc,
	 {"something is mounted on top of parts of /proc, as container engines do to mask them",
	  "docker: --security-opt systempaths=unconfined; podman: --security-opt unmask=ALL; Kubernetes: procMount: Unmasked; "
	  "else sudo umount what is mounted below /proc"}},
	{is_readonly_sysctl,
	 {"/proc/sys is mounted read-only, as container engines do",
	  "hutch run --best-effort=nested-userns (then the seccomp filter alone forbids nested user namespaces), or a container "
	  "with --security-opt systempaths=unconfined"}},
	{is_killed,
	 {"a seccomp filter around this process kills whoever makes that call",
	  "docker, podman: --security-opt seccomp=unconfined; systemd: without SystemCallFilter= and RestrictNamespaces="}},
	{is_filtered,
	 {"a seccomp filter is on this process",
	  "docker, podman: --security-opt seccomp=unconfined (Kubernetes: seccompProfile: Unconfined); systemd: without "
	  "SystemCallFilter= and RestrictNamespaces=; inside a sandbox: run hutch outside of it"}},
	{is_root_without_range,
	 {"root may not map a range of ids here",
	  "give this root CAP_SETUID and CAP_SETGID (docker: --cap-add SETUID --cap-add SETGID), or run hutch as an ordinary user"}},
	{is_refused_clone,
	 {"no switch of this host explains it",
	  "run hutch outside of any chroot; if it is not in one, a security module forbids it: look for 'denied' in the output of "
	  "sudo dmesg and in /var/log/audit/audit.log"}},
	{is_process_limit,
	 {"a limit on the number of processes is reached",
	  "raise it (ulimit -u, TasksMax= of the systemd unit, --pids-limit of the container), or end some of this user's processes"}},
	{is_descriptor_limit,
	 {"a limit on the number of open files is reached", "ulimit -n 1024 or more; system-wide: sudo sysctl -w fs.file-max=1000000"}},
	{is_late,
	 {"it did not end within its two seconds", "run hutch doctor again when the machine is less busy"}},
};

const struct probe_cause *probe_cause_of(const struct probe_host *host, const struct probe_report *report)
{
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (known[i].applies(host, report))
			return &known[i].cause;
	return NULL;
}
