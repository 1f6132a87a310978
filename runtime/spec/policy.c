/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which system calls a sandboxed command may make.
 *
 * An allow-list for untrusted scripts and the compilers, interpreters and tools that they start. What is not in the table,
 * or unknown, is answered ENOSYS: libc and runtimes fall back on that answer, and on no other, when a newer call is missing
 * (clone3, faccessat2, openat2, ...). Old calls that no program expects to be missing are answered EPERM. Other
 * architectures' calls kill the process (the compiler adds that); x32 numbers are unknown numbers, so they get ENOSYS,
 * which is also what kernels built without x32 say.
 *
 * The filter is one wall of several. Where another wall decides better (the mount namespace for paths, missing capabilities
 * for most of what root may do, the network namespace for addresses), a call is allowed.
 *
 * Knowingly left out, so that nobody has to wonder:
 * - W^X (PROT_EXEC with PROT_WRITE, memory made executable later): breaks every JIT, and a script needs no machine code.
 * - The protocol of AF_INET sockets (SCTP, MPTCP, L2TP, ...): ping and raw sockets need odd ones; the network namespace and
 *   the missing capabilities bound them.
 * - ioctl as an allow-list: there are too many, per driver; /dev holds no driver worth the name, and the three terminal
 *   commands that reach beyond the sandbox are refused.
 * - PR_SET_PTRACER, PR_SET_DUMPABLE and the rest of prctl: act on the caller alone.
 * - Legacy AIO (io_setup and others), io_uring: ENOSYS; those who use them fall back on threads.
 * - file_getattr, file_setattr, statmount, listmount, lsm_*: new, and no script depends on them yet.
 * - prlimit64 on another process of the sandbox: refused with the rest, since a filter cannot tell it from init.
 * - ADDR_NO_RANDOMIZE: only with `debug`, where debuggers use it.
 * - 32-bit programs: not at all. Every argument check would be needed twice, and socketcall(2) and ipc(2) hide arguments.
 * - Arguments behind pointers (paths, clone3's flags, sockaddr): a filter cannot read them.
 */
#include "spec/policy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define ALLOW    SECCOMP_RET_ALLOW
#define DENY(e)  (SECCOMP_RET_ERRNO | (e))

/* The kernel's values; libc has another name for the first, and not every libc has the others. */
enum {
	LINUX_O_TMPFILE_BIT = 020000000, /* O_TMPFILE holds O_DIRECTORY as well */
	LINUX_NETLINK_ROUTE = 0,
	LINUX_SOL_TLS = 282,
	LINUX_F_SETDELEG = 1024 + 16,
};

/* ---- argument checks ---- */

#define IS(n, v)           {.test = POLICY_IS, .argument = (n), .value = (v)}
#define IS_NOT(n, v)       {.test = POLICY_IS_NOT, .argument = (n), .value = (v)}
#define HAS_ANY(n, v)      {.test = POLICY_HAS_ANY, .argument = (n), .value = (v)}
#define MASKED_IS(n, m, v) {.test = POLICY_MASKED_IS, .argument = (n), .mask = (m), .value = (v)}
#define IS_NULL(n)         {.test = POLICY_IS, .argument = (n)}, {.test = POLICY_IS, .argument = (n), .high = true}
#define RULE(v, ...)                                                                                                  \
	{                                                                                                             \
		.verdict = (v), .count = sizeof((struct policy_condition[]){__VA_ARGS__}) / sizeof(struct policy_condition), \
		.all = {__VA_ARGS__},                                                                                 \
	}
#define CHECK(name, ...)                                                                            \
	static const struct policy_check name = {                                                   \
		.count = sizeof((struct policy_rule[]){__VA_ARGS__}) / sizeof(struct policy_rule), \
		.rules = {__VA_ARGS__},                                                             \
	}

/* Every CLONE_NEW* that clone(2) takes; CLONE_NEWTIME is part of its exit signal's byte there. */
#define NEW_NAMESPACES \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)
CHECK(check_clone, RULE(DENY(EPERM), HAS_ANY(0, NEW_NAMESPACES)));

CHECK(check_socket,
      RULE(ALLOW, IS(0, AF_UNIX)),
      RULE(ALLOW, IS(0, AF_INET)),
      RULE(ALLOW, IS(0, AF_INET6)),
      RULE(ALLOW, IS(0, AF_NETLINK), IS(2, LINUX_NETLINK_ROUTE)));
CHECK(check_socketpair, RULE(ALLOW, IS(0, AF_UNIX)));

/* Answers of a kernel without kTLS: no such upper layer protocol, no such option. */
CHECK(check_setsockopt,
      RULE(DENY(ENOENT), IS(1, IPPROTO_TCP), IS(2, TCP_ULP)),
      RULE(DENY(ENOPROTOOPT), IS(1, LINUX_SOL_TLS)));

CHECK(check_ioctl,
      RULE(DENY(EPERM), IS(1, TIOCSTI)),
      RULE(DENY(EPERM), IS(1, TIOCLINUX)),
      RULE(DENY(EPERM), IS(1, TIOCSETD)));

CHECK(check_personality, /* PER_LINUX, PER_LINUX32, the same with UNAME26, and the query */
      RULE(ALLOW, IS(0, 0)),
      RULE(ALLOW, IS(0, 0x8)),
      RULE(ALLOW, IS(0, 0x20000)),
      RULE(ALLOW, IS(0, 0x20008)),
      RULE(ALLOW, IS(0, 0xffffffff)));
CHECK(check_personality_debug, /* PER_LINUX with or without ADDR_NO_RANDOMIZE, PER_LINUX32, and the query */
      RULE(ALLOW, IS(0, 0)),
      RULE(ALLOW, IS(0, 0x8)),
      RULE(ALLOW, IS(0, 0x20000)),
      RULE(ALLOW, IS(0, 0x40000)),
      RULE(ALLOW, IS(0, 0xffffffff)));

CHECK(check_prctl, RULE(DENY(EPERM), IS(0, PR_SET_MM)));

/*
 * Asking is free (no new limit). Another process' limits could be those of init, which has the same user id: RLIMIT_CPU
 * would kill it, RLIMIT_NOFILE lame it.
 *
 * RLIMIT_CORE stays at what the sandbox set: 1, the one value with which the kernel starts no piped core handler, which
 * would run as root on the host, fed by the crashed program. 0 does not stop it. EINVAL and not EPERM: programs that
 * switch core dumps off for safety (gpg) go on when the system has no such limit, and give up after any other answer.
 */
CHECK(check_prlimit64,
      RULE(ALLOW, IS_NULL(2)),
      RULE(DENY(EPERM), IS_NOT(0, 0)),
      RULE(DENY(EINVAL), IS(1, RLIMIT_CORE)));
CHECK(check_setrlimit, RULE(DENY(EINVAL), IS(0, RLIMIT_CORE)));

/* Locks: ENOLCK is what a file system without locks says. Leases and directory notices: as if not permitted. */
CHECK(check_fcntl_strict,
      RULE(DENY(ENOLCK), IS(1, F_GETLK)),
      RULE(DENY(ENOLCK), IS(1, F_SETLK)),
      RULE(DENY(ENOLCK), IS(1, F_SETLKW)),
      RULE(DENY(ENOLCK), IS(1, F_OFD_GETLK)),
      RULE(DENY(ENOLCK), IS(1, F_OFD_SETLK)),
      RULE(DENY(ENOLCK), IS(1, F_OFD_SETLKW)),
      RULE(DENY(EPERM), IS(1, F_SETLEASE)),
      RULE(DENY(EPERM), IS(1, LINUX_F_SETDELEG)),
      RULE(DENY(EPERM), IS(1, F_NOTIFY)));
CHECK(check_futex_strict,
      RULE(DENY(ENOSYS), MASKED_IS(1, (uint32_t)FUTEX_CMD_MASK, FUTEX_WAIT_REQUEUE_PI)),
      RULE(DENY(ENOSYS), MASKED_IS(1, (uint32_t)FUTEX_CMD_MASK, FUTEX_CMP_REQUEUE_PI)));

#define SETID (S_ISUID | S_ISGID)
CHECK(check_mode_1, RULE(DENY(EPERM), HAS_ANY(1, SETID)));
CHECK(check_mode_2, RULE(DENY(EPERM), HAS_ANY(2, SETID)));
/* The mode counts only when a file is made; else it may be whatever the register held, and the kernel ignores it. */
#define MAKES_FILE (O_CREAT | LINUX_O_TMPFILE_BIT)
CHECK(check_mode_open, RULE(DENY(EPERM), HAS_ANY(1, MAKES_FILE), HAS_ANY(2, SETID)));
CHECK(check_mode_openat, RULE(DENY(EPERM), HAS_ANY(2, MAKES_FILE), HAS_ANY(3, SETID)));

/* ---- the table ---- */

/* Base groups name every call exactly once; a test holds this table against those of the architectures. */
static const struct policy_group groups[] = {
	{.verdict = ALLOW,
	 .reason = "work on what is open already: the rights were checked when it was opened, or handed in",
	 .calls = "read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek close close_range dup dup2 dup3 "
	          "pipe pipe2 sendfile copy_file_range splice tee vmsplice fsync fdatasync sync_file_range ftruncate fallocate "
	          "fadvise64 readahead cachestat getdents getdents64 fcntl flock"},
	{.verdict = ALLOW,
	 .reason = "paths: the mount namespace says which exist, read-only mounts and mode bits what may be done to them",
	 .calls = "open openat openat2 creat stat fstat lstat newfstatat statx access faccessat faccessat2 truncate chdir fchdir "
	          "getcwd rename renameat renameat2 mkdir mkdirat rmdir link linkat unlink unlinkat symlink symlinkat readlink "
	          "readlinkat chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat umask utime utimes utimensat futimesat "
	          "mknod mknodat statfs fstatfs"},
	{.verdict = ALLOW,
	 .reason = "extended attributes: trusted.* and security.* need capabilities that nobody inside has",
	 .calls = "setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr removexattr "
	          "lremovexattr fremovexattr setxattrat getxattrat listxattrat removexattrat"},
	{.verdict = ALLOW,
	 .reason = "flushes the host's disks as well, which the neighbours feel; package managers and databases call it (strict: no-op)",
	 .calls = "sync syncfs"},
	{.verdict = ALLOW,
	 .reason = "the caller's own memory, bounded by the memory limit; shadow stacks and memory keys only harden it",
	 .calls = "mmap munmap mprotect mremap brk msync mincore madvise mlock mlock2 munlock mlockall munlockall memfd_create "
	          "pkey_mprotect pkey_alloc pkey_free mseal map_shadow_stack membarrier"},
	{.verdict = ALLOW,
	 .reason = "processes and their ends: the PID namespace says which exist, the pids limit how many",
	 .calls = "fork vfork execve execveat exit exit_group wait4 waitid getpid getppid gettid getpgid getpgrp setpgid getsid "
	          "setsid kill tkill tgkill pidfd_open pidfd_send_signal process_mrelease set_tid_address restart_syscall "
	          "get_robust_list set_robust_list rseq"},
	{.verdict = ALLOW, .check = &check_clone,
	 .reason = "threads and processes, but no new namespace: most kernel escapes start in a nested user namespace",
	 .calls = "clone"},
	{.verdict = ALLOW,
	 .reason = "signals among the sandbox's processes",
	 .calls = "rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigqueueinfo rt_tgsigqueueinfo "
	          "rt_sigsuspend sigaltstack pause signalfd signalfd4"},
	{.verdict = ALLOW,
	 .reason = "ids and capabilities: with none left and no_new_privs these can only give up more",
	 .calls = "getuid getgid geteuid getegid getresuid getresgid getgroups setuid setgid setreuid setregid setresuid setresgid "
	          "setfsuid setfsgid setgroups capget capset"},
	{.verdict = ALLOW,
	 .reason = "scheduling: raising a priority needs a capability, and the cgroup bounds what a class can take",
	 .calls = "sched_yield sched_setaffinity sched_getaffinity sched_setparam sched_getparam sched_setscheduler "
	          "sched_getscheduler sched_get_priority_max sched_get_priority_min sched_rr_get_interval sched_setattr "
	          "sched_getattr getpriority setpriority ioprio_get ioprio_set getrlimit getrusage"},
	{.verdict = ALLOW, .check = &check_prlimit64, .mandatory = true,
	 .reason = "own limits; not those of others, of whom init is one, and not the core limit, which keeps core handlers off",
	 .calls = "prlimit64"},
	{.verdict = ALLOW, .check = &check_setrlimit, .mandatory = true,
	 .reason = "own limits, but for the core limit, which keeps the host's core handlers from being started",
	 .calls = "setrlimit"},
	{.verdict = ALLOW,
	 .reason = "clocks and timers: setting a clock is refused below",
	 .calls = "nanosleep clock_nanosleep clock_gettime clock_getres gettimeofday time times alarm getitimer setitimer "
	          "timer_create timer_settime timer_gettime timer_getoverrun timer_delete timerfd_create timerfd_settime "
	          "timerfd_gettime"},
	{.verdict = ALLOW,
	 .reason = "waiting for events and for each other",
	 .calls = "poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 epoll_ctl_old "
	          "epoll_wait_old eventfd eventfd2 inotify_init inotify_init1 inotify_add_watch inotify_rm_watch futex futex_waitv "
	          "futex_wait futex_wake futex_requeue"},
	{.verdict = DENY(EAFNOSUPPORT), .check = &check_socket,
	 .reason = "an allow-list of families: the bugs of others (ALG, VSOCK, RDS, TIPC, ...) come with no use for a script. VSOCK "
	           "and most netlink protocols reach past the network namespace",
	 .calls = "socket"},
	{.verdict = DENY(EAFNOSUPPORT), .check = &check_socketpair,
	 .reason = "pairs of other families (TIPC) need that family's code",
	 .calls = "socketpair"},
	{.verdict = ALLOW, .check = &check_setsockopt,
	 .reason = "all options but kTLS, whose bugs were many and which user space can do without",
	 .calls = "setsockopt"},
	{.verdict = ALLOW,
	 .reason = "sockets once made: the network namespace says what they reach",
	 .calls = "connect accept accept4 bind listen sendto recvfrom sendmsg recvmsg sendmmsg recvmmsg shutdown getsockname "
	          "getpeername getsockopt"},
	{.verdict = ALLOW,
	 .reason = "System V and POSIX IPC: the IPC namespace is the sandbox's own",
	 .calls = "semget semop semctl semtimedop shmget shmat shmctl shmdt msgget msgsnd msgrcv msgctl mq_open mq_unlink "
	          "mq_timedsend mq_timedreceive mq_notify mq_getsetattr"},
	{.verdict = ALLOW, .check = &check_ioctl, .mandatory = true,
	 .reason = "all commands but those that type into a terminal (TIOCSTI, TIOCLINUX) or load a line discipline (TIOCSETD)",
	 .calls = "ioctl"},
	{.verdict = ALLOW, .check = &check_prctl,
	 .reason = "all of a process' own switches but PR_SET_MM, with which it could pose as another program",
	 .calls = "prctl"},
	{.verdict = DENY(EPERM), .check = &check_personality,
	 .reason = "the harmless personalities: others weaken memory protection (READ_IMPLIES_EXEC, ADDR_NO_RANDOMIZE)",
	 .calls = "personality"},
	{.verdict = ALLOW,
	 .reason = "programs that sandbox themselves further: filters and rulesets only ever take away",
	 .calls = "seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self"},
	{.verdict = ALLOW,
	 .reason = "facts about the machine and the thread, and randomness",
	 .calls = "uname sysinfo getcpu getrandom arch_prctl set_thread_area get_thread_area"},
	{.verdict = ALLOW,
	 .reason = "the kernel's own trampolines call these in a process that somebody outside traces",
	 .calls = "uretprobe uprobe"},

	{.verdict = DENY(EPERM),
	 .reason = "the tree of mounts, the root and the namespaces are the sandbox",
	 .calls = "mount umount2 pivot_root chroot setns unshare"},
	{.verdict = DENY(EPERM),
	 .reason = "looking into and steering other processes (the first three: debug)",
	 .calls = "ptrace process_vm_readv process_vm_writev kcmp"},
	{.verdict = DENY(EPERM),
	 .reason = "large kernel interfaces with a long list of bugs, no need for a script",
	 .calls = "bpf perf_event_open fanotify_init fanotify_mark"},
	{.verdict = DENY(EPERM),
	 .reason = "keyrings: the caller's session keyring would be in reach, no namespace covers it",
	 .calls = "add_key request_key keyctl"},
	{.verdict = DENY(EPERM),
	 .reason = "the host as a whole: its clock, names, swap, modules, kernel image, accounting, quotas, console and log",
	 .calls = "reboot swapon swapoff sethostname setdomainname settimeofday clock_settime adjtimex clock_adjtime init_module "
	          "finit_module delete_module create_module query_module get_kernel_syms kexec_load kexec_file_load acct quotactl "
	          "syslog vhangup"},
	{.verdict = DENY(EPERM),
	 .reason = "opens a file by number, past every directory of the mount namespace",
	 .calls = "open_by_handle_at"},
	{.verdict = DENY(EPERM),
	 .reason = "placement of memory: steals from neighbours; numerical libraries go on without",
	 .calls = "mbind set_mempolicy move_pages migrate_pages"},
	{.verdict = DENY(EPERM),
	 .reason = "processor features of 16-bit programs and of X servers of old",
	 .calls = "modify_ldt iopl ioperm"},

	{.verdict = DENY(ENOSYS),
	 .reason = "its flags are behind a pointer; libc falls back on clone(2), on this answer only",
	 .calls = "clone3"},
	{.verdict = DENY(ENOSYS),
	 .reason = "does system calls, sockets among them, past every filter",
	 .calls = "io_uring_setup io_uring_enter io_uring_register"},
	{.verdict = DENY(ENOSYS),
	 .reason = "the newer interface of the mount tree, and lists of what is mounted and which namespaces exist",
	 .calls = "open_tree open_tree_attr move_mount fsopen fsconfig fsmount fspick mount_setattr statmount listmount listns"},
	{.verdict = DENY(ENOSYS),
	 .reason = "takes descriptors from, and advises about the memory of, other processes",
	 .calls = "pidfd_getfd process_madvise"},
	{.verdict = DENY(ENOSYS),
	 .reason = "memory that the kernel does not account, and page faults served by a program, a favourite of exploits",
	 .calls = "memfd_secret userfaultfd"},
	{.verdict = DENY(ENOSYS),
	 .reason = "half of open_by_handle_at; tells mount ids",
	 .calls = "name_to_handle_at"},
	{.verdict = DENY(ENOSYS),
	 .reason = "new, rarely used, or asking about the host: programs manage without",
	 .calls = "quotactl_fd lsm_get_self_attr lsm_set_self_attr lsm_list_modules file_getattr file_setattr rseq_slice_yield "
	          "get_mempolicy set_mempolicy_home_node"},
	{.verdict = DENY(ENOSYS),
	 .reason = "superseded, and a place for bugs",
	 .calls = "io_setup io_destroy io_submit io_cancel io_getevents io_pgetevents remap_file_pages lookup_dcookie ustat sysfs "
	          "uselib"},
	{.verdict = DENY(ENOSYS),
	 .reason = "reserved or removed: no kernel that we run on has them",
	 .calls = "_sysctl nfsservctl getpmsg putpmsg afs_syscall tuxcall security vserver"},

	{.when = POLICY_STRICT, .verdict = ALLOW, .check = &check_fcntl_strict,
	 .reason = "locks and leases sit on inodes: two sandboxes that are shown the same file could talk through them",
	 .calls = "fcntl"},
	{.when = POLICY_STRICT, .verdict = DENY(ENOLCK),
	 .reason = "as for fcntl",
	 .calls = "flock"},
	{.when = POLICY_STRICT, .verdict = DENY(ENOSYS),
	 .reason = "the way into several page cache bugs; programs fall back on read and write",
	 .calls = "splice tee vmsplice"},
	{.when = POLICY_STRICT, .verdict = DENY(0),
	 .reason = "done, says the answer: what the sandbox wrote does not outlive it by that promise, the host's disks stay unflushed",
	 .calls = "sync syncfs"},
	{.when = POLICY_STRICT, .verdict = ALLOW, .check = &check_futex_strict,
	 .reason = "requeueing to priority-inheriting futexes: a corner with bugs, unused by libc since 2.25",
	 .calls = "futex"},

	{.when = POLICY_DEBUG, .verdict = ALLOW,
	 .reason = "debuggers; the PID namespace and equal ids bound whom they reach, init is not dumpable",
	 .calls = "ptrace process_vm_readv process_vm_writev"},
	{.when = POLICY_DEBUG, .verdict = DENY(EPERM), .check = &check_personality_debug,
	 .reason = "debuggers switch address randomisation off",
	 .calls = "personality"},

	{.when = POLICY_NOSUID, .mandatory = true, .verdict = ALLOW, .check = &check_mode_1,
	 .reason = "nosuid mounts protect the sandbox; a set-user-ID file left in a host directory is live on the host",
	 .calls = "chmod fchmod mknod mkdir creat"},
	{.when = POLICY_NOSUID, .mandatory = true, .verdict = ALLOW, .check = &check_mode_2,
	 .reason = "as for chmod",
	 .calls = "fchmodat fchmodat2 mknodat mkdirat"},
	{.when = POLICY_NOSUID, .mandatory = true, .verdict = ALLOW, .check = &check_mode_open,
	 .reason = "as for chmod, when a file is made",
	 .calls = "open"},
	{.when = POLICY_NOSUID, .mandatory = true, .verdict = ALLOW, .check = &check_mode_openat,
	 .reason = "as for chmod, when a file is made",
	 .calls = "openat"},
	{.when = POLICY_NOSUID, .mandatory = true, .verdict = DENY(ENOSYS),
	 .reason = "its mode is behind a pointer; programs fall back on openat",
	 .calls = "openat2"},
};

const struct policy_group *policy_groups(size_t *ret_count)
{
	*ret_count = sizeof groups / sizeof *groups;
	return groups;
}

bool policy_next_name(const char **calls, char ret[static POLICY_NAME_MAX])
{
	*calls += strspn(*calls, " ");
	size_t length = strcspn(*calls, " ");
	if (!length || length >= POLICY_NAME_MAX)
		return false;
	memcpy(ret, *calls, length);
	ret[length] = '\0';
	*calls += length;
	return true;
}

/* ---- resolving ---- */

/* Calls that this architecture does not have (open and fork on aarch64) are passed over. */
static void apply(const struct policy_arch *arch, const struct policy_group *group, struct policy_map *map)
{
	char name[POLICY_NAME_MAX];
	for (const char *calls = group->calls; policy_next_name(&calls, name);) {
		int number = policy_number(arch, name);
		if (number >= 0)
			map->calls[number] = (struct policy_entry){.verdict = group->verdict, .check = group->check};
	}
}

static void resolve(const struct policy_arch *arch, unsigned options, bool mandatory_only, uint32_t other, struct policy_map *ret)
{
	ret->other = other;
	for (size_t i = 0; i < POLICY_NUMBERS; i++)
		ret->calls[i] = (struct policy_entry){.verdict = other};
	for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
		if ((groups[i].when & ~options) == 0 && (groups[i].mandatory || !mandatory_only))
			apply(arch, &groups[i], ret);
}

void policy_resolve(const struct policy_arch *arch, unsigned options, struct policy_map *ret)
{
	resolve(arch, options, false, DENY(ENOSYS), ret);
}

void policy_resolve_mandatory(const struct policy_arch *arch, unsigned options, struct policy_map *ret)
{
	resolve(arch, options, true, ALLOW, ret);
}
