/* SPDX-License-Identifier: Apache-2.0 */
/* What is tried, in this order. `userns` comes before everything that needs one; only `start` tries for itself. */
#include <sched.h>

#include "kernel/probe_table.h"

#define USER  CLONE_NEWUSER
#define MOUNT (CLONE_NEWUSER | CLONE_NEWNS)

#define CONTAINER "docker, podman: --security-opt seccomp=unconfined; systemd: no SystemCallFilter= or RestrictNamespaces="
#define KERNEL(version, option) "Linux " version " or newer with " option "; in a container also: " CONTAINER

const struct probe probe_table[] = {
	{.name = "kernel", .judge = probe_judge_kernel,
	 .why = "what the findings below are about"},

	{.name = "start", .required = true, .only_clone3 = true, .body = probe_start,
	 .flags = MOUNT | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS,
	 .found = "all namespaces in one clone, id maps, a root of tmpfs, /usr, /proc and /dev, pivot, seccomp",
	 .why = "the steps of a real start in one sequence: when this fails, no sandbox can be started here",
	 .fix = "see the finding below that names the same step; as a whole it needs " KERNEL("5.12", "user namespaces")},

	{.name = "userns", .required = true, .flags = USER, .body = probe_userns, .describe = probe_describe_userns,
	 .why = "it gives the rights to build a sandbox to a user who has none on the host",
	 .fix = KERNEL("5.12", "CONFIG_USER_NS")},

	{.name = "mount-ns", .required = true, .flags = MOUNT, .body = probe_mount_ns,
	 .found = "created; propagation is private", .why = "the sandbox's file tree is its own",
	 .fix = CONTAINER},

	{.name = "pid-ns", .required = true, .flags = USER | CLONE_NEWPID, .body = probe_pid_ns,
	 .found = "created; its first process is PID 1", .why = "a sandbox sees no process of the host, and ends as a whole with its init",
	 .fix = KERNEL("5.12", "CONFIG_PID_NS")},

	{.name = "net-ns", .required = true, .flags = USER | CLONE_NEWNET, .body = probe_net_ns,
	 .found = "created; loopback is up", .why = "no network but an own loopback, unless asked for",
	 .fix = KERNEL("5.12", "CONFIG_NET_NS")},

	{.name = "ipc-ns", .required = true, .flags = USER | CLONE_NEWIPC, .body = probe_ipc_ns,
	 .found = "created", .why = "System V shared memory, semaphores and queues are the sandbox's own",
	 .fix = KERNEL("5.12", "CONFIG_IPC_NS and CONFIG_SYSVIPC")},

	{.name = "uts-ns", .required = true, .flags = USER | CLONE_NEWUTS, .body = probe_uts_ns,
	 .found = "created; host name set", .why = "hides the host's name, and marks a command's processes where no cgroup can be made",
	 .fix = KERNEL("5.12", "CONFIG_UTS_NS")},

	{.name = "cgroup-ns", .required = true, .flags = USER, .body = probe_cgroup_ns,
	 .found = "created", .why = "hides where in the host's cgroups a sandbox is",
	 .fix = "hutch run --best-effort=cgroup-ns, or " KERNEL("5.12", "CONFIG_CGROUPS")},

	{.name = "time-ns", .degrades = true, .flags = USER, .body = probe_time_ns,
	 .found = "created", .why = "could hide the host's uptime; nothing depends on it",
	 .fix = KERNEL("5.6", "CONFIG_TIME_NS")},

	{.name = "ambient-capabilities", .required = true, .flags = MOUNT, .body = probe_ambient,
	 .found = "kept over an exec", .why = "the sandbox's init is executed under an id that is not 0, and builds with these capabilities",
	 .fix = CONTAINER},

	{.name = "tmpfs", .required = true, .flags = MOUNT, .body = probe_tmpfs,
	 .found = "mounted by fsopen, fsmount and move_mount", .why = "the sandbox's root and everything that it may write to is on it",
	 .fix = KERNEL("5.12", "CONFIG_TMPFS") "; Docker's AppArmor profile: --security-opt apparmor=unconfined"},

	{.name = "mount-setattr", .required = true, .flags = MOUNT, .body = probe_setattr,
	 .found = "read-only holds for mounts below, too", .why = "what the sandbox sees of the host is read-only with all that is mounted below it",
	 .fix = KERNEL("5.12", "no patch that removes mount_setattr")},

	{.name = "proc-mount", .required = true, .flags = MOUNT | CLONE_NEWPID, .body = probe_proc,
	 .found = "mounted with hidepid=ptraceable", .why = "the sandbox has a /proc of its own processes; the host's is never shown instead",
	 .fix = "Linux 5.8 or newer; in a container: docker --security-opt systempaths=unconfined, podman --security-opt unmask=ALL, "
	        "Kubernetes procMount: Unmasked"},

	{.name = "pivot-root", .required = true, .flags = MOUNT, .body = probe_pivot,
	 .found = "the old root is gone", .why = "nothing of the host's file tree can be reached any more",
	 .fix = "start from a root that is a mount of its own: neither in a chroot nor on the initramfs"},

	{.name = "overlay", .required = true, .flags = MOUNT, .body = probe_overlay, .judge = probe_judge_overlay,
	 .found = "copy-up and whiteouts work with the upper layer on a tmpfs",
	 .why = "the current directory is shown copy-on-write: commands may write, the host's files do not change",
	 .fix = "hutch run --workspace DIR:ro, DIR:rw or --no-workspace; or sudo modprobe overlay, and Linux 5.11 or newer with "
	        "CONFIG_OVERLAY_FS (6.6 for changes kept in memory)"},

	{.name = "idmapped-mounts", .degrades = true, .body = probe_idmap, .judge = probe_judge_idmap,
	 .found = "the current directory's file system can be shown under other ids",
	 .why = "as root, the caller's files are usable in a sandbox whose ids are none of the host's",
	 .fix = "work in a directory on ext4, xfs, btrfs or tmpfs (Linux 6.3 or newer), not on overlayfs as in a container; or hutch run "
	        "--no-workspace; or run hutch as an ordinary user"},

	{.name = "openat2", .required = true, .may_be_absent = true, .body = probe_openat2,
	 .found = "refuses magic links when told to", .why = "paths that somebody else can change are opened without following links",
	 .fix = "Linux 5.6 or newer; systemd: no RestrictSUIDSGID=yes around hutch; until then paths are walked step by step"},

	{.name = "close-range", .required = true, .body = probe_close_range,
	 .found = "closes what it should", .why = "no descriptor of the caller reaches the sandbox",
	 .fix = KERNEL("5.9", "close_range")},

	{.name = "clone3", .required = true, .body = probe_clone3,
	 .found = "works", .why = "a sandbox and each command is started in its namespaces and its cgroup in one step",
	 .fix = KERNEL("5.7", "clone3")},

	{.name = "pidfd", .required = true, .body = probe_pidfd,
	 .found = "pidfd_open, pidfd_send_signal and waitid(P_PIDFD) work", .why = "processes are watched and ended without ever meeting another "
	 "one that has the same number",
	 .fix = KERNEL("5.4", "pidfd_open")},

	{.name = "memfd-sealing", .required = true, .body = probe_memfd,
	 .found = "a sealed memfd cannot be written", .why = "the plan of a sandbox and its commands travel to its init in one",
	 .fix = KERNEL("3.17", "CONFIG_MEMFD_CREATE")},

	{.name = "memfd-exec", .degrades = true, .body = probe_memfd_exec,
	 .found = "a sealed memfd can be executed", .why = "init can be started from a copy that nobody can change; else from its file",
	 .fix = "sudo sysctl -w vm.memfd_noexec=0"},

	{.name = "seccomp", .required = true, .body = probe_seccomp,
	 .found = "a filter holds", .why = "commands reach only the system calls of the policy",
	 .fix = KERNEL("4.17", "CONFIG_SECCOMP_FILTER")},

	{.name = "landlock", .required = true, .may_be_absent = true, .body = probe_landlock, .describe = probe_describe_landlock,
	 .why = "a further layer over files, sockets and signals, used from ABI 2 on",
	 .fix = "Linux 5.19 or newer with CONFIG_SECURITY_LANDLOCK, and landlock first in the boot parameter lsm= (see "
	        "/sys/kernel/security/lsm); in a container: --security-opt seccomp=unconfined; else hutch run --best-effort=landlock"},

	{.name = "keyring", .degrades = true, .body = probe_keyring,
	 .found = "a new session keyring was joined", .why = "the caller's keys, which no namespace covers, are out of reach; the filter "
	 "refuses the key calls as well",
	 .fix = "EDQUOT: sudo sysctl -w kernel.keys.maxkeys=2000; in a container: --security-opt seccomp=unconfined; else hutch run "
	        "--best-effort=keyring"},

	{.name = "nested-userns-limit", .degrades = true, .flags = USER, .body = probe_nested_userns,
	 .found = "user.max_user_namespaces = 0 inside: none can be made there", .why = "commands can make no user namespace of their own, "
	 "from where most kernel escapes start",
	 .fix = "hutch run --best-effort=nested-userns; then the seccomp filter alone forbids them"},

	{.name = "cgroup-v2", .judge = probe_judge_cgroup,
	 .why = "limits on memory, processes, CPU and I/O of a sandbox as a whole, and usage per command"},

	{.name = "cgroup-kill", .judge = probe_judge_cgroup_kill,
	 .found = "a new group has cgroup.kill", .why = "one write ends every process of a command for certain; else they are searched for",
	 .fix = "Linux 5.14 or newer"},

	{.name = "id-ranges", .judge = probe_judge_ids,
	 .why = "more than one id inside: -u with another id, and an id of its own for init"},
};

const size_t probe_table_count = sizeof probe_table / sizeof *probe_table;
