/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the user can do when a stage fails. Every stage has a hint; some failures have one of their own, which comes
 * first in the table. A test walks the stages.
 */
#include <errno.h>
#include <stddef.h>

#include "base/error.h"
#include "engine/engine.h"
#include "plan/stage.h"

static const struct {
	enum stage stage;
	int sys_errno; /* 0: any */
	const char *text;
} hints[] = {
	{STAGE_PLAN, 0, "`hutch run --dry-run` prints the plan"},
	{STAGE_CLONE, 0, "`hutch doctor` says which namespace cannot be made, and why"},
	{STAGE_MAPS, 0, "`hutch doctor` tries the id map; on Ubuntu see kernel.apparmor_restrict_unprivileged_userns"},
	{STAGE_LAUNCH, 0, "sysctl vm.memfd_noexec must be less than 2"},
	{STAGE_RECEIVE, 0, "the library and its init do not fit together, or memory ran out; this is a bug"},
	{STAGE_IDS, 0, "the range of ids could not be taken; see `hutch doctor`, id-ranges"},
	{STAGE_CAPABILITIES, 0, "a security module restricts capabilities in user namespaces; see `hutch doctor`"},
	{STAGE_PROPAGATION, 0, "a security module forbids mounts in user namespaces (AppArmor, SELinux); see `hutch doctor`"},
	{STAGE_NESTED_USERNS, EROFS, "/proc/sys is read-only here, as in a container; mount it writable, or use --best-effort=nested-userns (the system call filter still refuses user namespaces)"},
	{STAGE_NESTED_USERNS, 0, "mount /proc, or use --best-effort=nested-userns (the system call filter still refuses user namespaces)"},
	{STAGE_ROOT, 0, "a tmpfs cannot be mounted in a user namespace here; see `hutch doctor`"},
	{STAGE_MOUNTS, EINVAL, "a copy-on-write directory must not have other file systems mounted below it, and not every file system can be one: use --workspace DIR:ro or DIR:rw, or --no-workspace"},
	{STAGE_MOUNTS, ELOOP, "a symbolic link is in the way: name the directory that it leads to"},
	{STAGE_MOUNTS, EROFS, "the mount point does not exist, and cannot be made in a directory that is shown read-only: choose a target that exists, or one elsewhere"},
	{STAGE_MOUNTS, ESTALE, "the directory was replaced while the sandbox was being built; try again"},
	{STAGE_MOUNTS, EACCES, "the directory cannot be reached with the caller's rights"},
	{STAGE_MOUNTS, ENOSPC, "--disk is too small for the sandbox's own files, or the host is out of memory"},
	{STAGE_MOUNTS, 0, "`hutch doctor` tries binds and overlays; --workspace DIR:ro, DIR:rw and --no-workspace do without copy-on-write"},
	{STAGE_PROC, EPERM, "/proc of this host or container is partly covered by other mounts, and the kernel then refuses a new one: run the container with an unmasked /proc (Docker: --security-opt systempaths=unconfined)"},
	{STAGE_PROC, 0, "the kernel refuses a new /proc; see `hutch doctor`, proc-mount"},
	{STAGE_DEV, 0, "/dev/null, zero, full, random, urandom and tty of the host must be the usual device nodes"},
	{STAGE_MASKS, 0, "--best-effort=masks runs with the entry visible"},
	{STAGE_READONLY, 0, "a security module forbids changing mounts; see `hutch doctor`"},
	{STAGE_PIVOT, EINVAL, "the host's root is on a file system that pivot_root refuses (the initramfs); boot from a real root file system"},
	{STAGE_PIVOT, 0, "see `hutch doctor`, pivot-root"},
	{STAGE_DETACH, 0, "a security module forbids unmounting in user namespaces"},
	{STAGE_LOOPBACK, 0, "the loopback interface cannot be brought up (on Ubuntu: AppArmor's restriction of user namespaces); --net host does without"},
	{STAGE_HOSTNAME, 0, "a security module restricts user namespaces; see `hutch doctor`"},
	{STAGE_KEYRING, 0, "--best-effort=keyring runs without a keyring of the sandbox's own (the filter refuses the key calls all the same)"},
	{STAGE_LANDLOCK, 0, "--best-effort=landlock runs without this layer"},
	{STAGE_SETTLE, 0, "a security module restricts capabilities; see `hutch doctor`"},
	{STAGE_FORK, EAGAIN, "the sandbox has as many processes as its limit allows (--pids N)"},
	{STAGE_FORK, 0, "the sandbox takes no command any more, or memory ran out"},
	{STAGE_TERMINAL, 0, "no pseudo-terminal can be made; redirect stdin, stdout and stderr to run without one"},
	{STAGE_SESSION, 0, "a pseudo-terminal could not become the command's own; redirect the streams to run without one"},
	{STAGE_STREAMS, 0, "a stream that was passed in is not open"},
	{STAGE_CGROUP_NS, 0, "--best-effort=cgroup-ns runs without a cgroup namespace (the host's cgroup path is then visible inside)"},
	{STAGE_RLIMITS, 0, "a limit of --ulimit or --pids is above what the caller may have"},
	{STAGE_USER, 0, "the user id is not in the sandbox's range (0 to 65533)"},
	{STAGE_PRIVILEGES, 0, "a capability of --cap-add cannot be given here"},
	{STAGE_CWD, ENOENT, "the directory does not exist in the sandbox: show it with --ro, --rw, --cow or --workspace, or choose another with --cwd DIR"},
	{STAGE_CWD, 0, "choose another working directory with --cwd DIR"},
	{STAGE_SECCOMP, 0, "this kernel lacks seccomp filters, or the policy is too long; see `hutch doctor`"},
	{STAGE_EXEC, ENOENT, "only system directories and the workspace are visible inside; show more with --ro DIR"},
	{STAGE_EXEC, ELIBBAD, "show the directory with the interpreter with --ro DIR"},
	{STAGE_EXEC, EACCES, "it must be a file with the execute permission: chmod +x, or name the interpreter (sh FILE, python3 FILE)"},
	{STAGE_EXEC, ENOEXEC, "it is no program and has no \"#!\" line: name its interpreter (sh FILE, python3 FILE)"},
	{STAGE_EXEC, E2BIG, "pass long input through stdin or a file"},
	{STAGE_EXEC, 0, "see execve(2) for this error"},
};

void hint_for_stage(struct hutch_error *err, unsigned stage, int sys_errno, const char *detail)
{
	(void)detail;
	for (size_t i = 0; i < sizeof hints / sizeof *hints; i++)
		if (hints[i].stage == stage && (hints[i].sys_errno == 0 || hints[i].sys_errno == sys_errno)) {
			err_hint(err, 0, "%s", hints[i].text);
			return;
		}
}
