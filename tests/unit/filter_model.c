/* SPDX-License-Identifier: Apache-2.0 */
#include "filter_model.h"

#include <errno.h>
#include <linux/audit.h>
#include <stddef.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define NATIVE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE AUDIT_ARCH_AARCH64
#endif

#define ALLOW   SECCOMP_RET_ALLOW
#define DENY(e) (SECCOMP_RET_ERRNO | (e))

/* Younger than the oldest kernel headers we build with; the same on all architectures but for the first two. */
enum {
#ifdef __x86_64__
	nr_uretprobe = 335,
	nr_uprobe = 336,
#endif
	nr_cachestat = 451,
	nr_fchmodat2 = 452,
	nr_map_shadow_stack = 453,
	nr_futex_wake = 454,
	nr_futex_wait = 455,
	nr_futex_requeue = 456,
	nr_mseal = 462,
	nr_setxattrat = 463,
	nr_getxattrat = 464,
	nr_listxattrat = 465,
	nr_removexattrat = 466,
};

/* security.md 2.2: the published list, minus and plus what is said there. Whether arguments matter is said below. */
static const int allowed[] = {
	__NR_accept, __NR_accept4, __NR_bind, __NR_brk, __NR_capget, __NR_capset, __NR_chdir, __NR_clock_getres,
	__NR_clock_gettime, __NR_clock_nanosleep, __NR_close, __NR_close_range, __NR_connect, __NR_copy_file_range, __NR_dup,
	__NR_dup3, __NR_epoll_create1, __NR_epoll_ctl, __NR_epoll_pwait, __NR_epoll_pwait2, __NR_eventfd2, __NR_execve,
	__NR_execveat, __NR_exit, __NR_exit_group, __NR_faccessat, __NR_faccessat2, __NR_fadvise64, __NR_fallocate,
	__NR_fchdir, __NR_fchmod, __NR_fchmodat, __NR_fchown, __NR_fchownat, __NR_fcntl, __NR_fdatasync, __NR_fgetxattr,
	__NR_flistxattr, __NR_flock, __NR_fremovexattr, __NR_fsetxattr, __NR_fstat, __NR_fstatfs, __NR_fsync, __NR_ftruncate,
	__NR_futex, __NR_futex_waitv, __NR_get_robust_list, __NR_getcpu, __NR_getcwd, __NR_getdents64, __NR_getegid,
	__NR_geteuid, __NR_getgid, __NR_getgroups, __NR_getitimer, __NR_getpeername, __NR_getpgid, __NR_getpid, __NR_getppid,
	__NR_getpriority, __NR_getrandom, __NR_getresgid, __NR_getresuid, __NR_getrlimit, __NR_getrusage, __NR_getsid,
	__NR_getsockname, __NR_getsockopt, __NR_gettid, __NR_gettimeofday, __NR_getuid, __NR_getxattr,
	__NR_inotify_add_watch, __NR_inotify_init1, __NR_inotify_rm_watch, __NR_ioctl, __NR_ioprio_get, __NR_ioprio_set,
	__NR_kill, __NR_landlock_add_rule, __NR_landlock_create_ruleset, __NR_landlock_restrict_self, __NR_lgetxattr,
	__NR_linkat, __NR_listen, __NR_listxattr, __NR_llistxattr, __NR_lremovexattr, __NR_lseek, __NR_lsetxattr,
	__NR_madvise, __NR_membarrier, __NR_memfd_create, __NR_mincore, __NR_mkdirat, __NR_mknodat, __NR_mlock, __NR_mlock2,
	__NR_mlockall, __NR_mmap, __NR_mprotect, __NR_mq_getsetattr, __NR_mq_notify, __NR_mq_open, __NR_mq_timedreceive,
	__NR_mq_timedsend, __NR_mq_unlink, __NR_mremap, __NR_msgctl, __NR_msgget, __NR_msgrcv, __NR_msgsnd, __NR_msync,
	__NR_munlock, __NR_munlockall, __NR_munmap, __NR_nanosleep, __NR_newfstatat, __NR_openat, __NR_openat2,
	__NR_pidfd_open, __NR_pidfd_send_signal, __NR_pipe2, __NR_pkey_alloc, __NR_pkey_free, __NR_pkey_mprotect, __NR_ppoll,
	__NR_prctl, __NR_pread64, __NR_preadv, __NR_preadv2, __NR_prlimit64, __NR_process_mrelease, __NR_pselect6,
	__NR_pwrite64, __NR_pwritev, __NR_pwritev2, __NR_read, __NR_readahead, __NR_readlinkat, __NR_readv, __NR_recvfrom,
	__NR_recvmmsg, __NR_recvmsg, __NR_removexattr, __NR_renameat, __NR_renameat2, __NR_restart_syscall, __NR_rseq,
	__NR_rt_sigaction, __NR_rt_sigpending, __NR_rt_sigprocmask, __NR_rt_sigqueueinfo, __NR_rt_sigreturn,
	__NR_rt_sigsuspend, __NR_rt_sigtimedwait, __NR_rt_tgsigqueueinfo, __NR_sched_get_priority_max,
	__NR_sched_get_priority_min, __NR_sched_getaffinity, __NR_sched_getattr, __NR_sched_getparam,
	__NR_sched_getscheduler, __NR_sched_rr_get_interval, __NR_sched_setaffinity, __NR_sched_setattr, __NR_sched_setparam,
	__NR_sched_setscheduler, __NR_sched_yield, __NR_seccomp, __NR_semctl, __NR_semget, __NR_semop, __NR_semtimedop,
	__NR_sendfile, __NR_sendmmsg, __NR_sendmsg, __NR_sendto, __NR_set_robust_list, __NR_set_tid_address, __NR_setfsgid,
	__NR_setfsuid, __NR_setgid, __NR_setgroups, __NR_setitimer, __NR_setpgid, __NR_setpriority, __NR_setregid,
	__NR_setresgid, __NR_setresuid, __NR_setreuid, __NR_setrlimit, __NR_setsid, __NR_setsockopt, __NR_setuid,
	__NR_setxattr, __NR_shmat, __NR_shmctl, __NR_shmdt, __NR_shmget, __NR_shutdown, __NR_sigaltstack, __NR_signalfd4,
	__NR_socketpair, __NR_splice, __NR_statfs, __NR_statx, __NR_symlinkat, __NR_sync, __NR_sync_file_range, __NR_syncfs,
	__NR_sysinfo, __NR_tee, __NR_tgkill, __NR_timer_create, __NR_timer_delete, __NR_timer_getoverrun, __NR_timer_gettime,
	__NR_timer_settime, __NR_timerfd_create, __NR_timerfd_gettime, __NR_timerfd_settime, __NR_times, __NR_tkill,
	__NR_truncate, __NR_umask, __NR_uname, __NR_unlinkat, __NR_utimensat, __NR_vmsplice, __NR_wait4, __NR_waitid,
	__NR_write, __NR_writev,
	nr_cachestat, nr_fchmodat2, nr_map_shadow_stack, nr_futex_wake, nr_futex_wait, nr_futex_requeue, nr_mseal, nr_setxattrat,
	nr_getxattrat, nr_listxattrat, nr_removexattrat,
#ifdef __x86_64__
	__NR_access, __NR_alarm, __NR_arch_prctl, __NR_chmod, __NR_chown, __NR_creat, __NR_dup2, __NR_epoll_create,
	__NR_epoll_ctl_old, __NR_epoll_wait, __NR_epoll_wait_old, __NR_eventfd, __NR_fork, __NR_futimesat,
	__NR_get_thread_area, __NR_getdents, __NR_getpgrp, __NR_inotify_init, __NR_lchown, __NR_link, __NR_lstat, __NR_stat,
	__NR_mkdir, __NR_mknod, __NR_open, __NR_pause, __NR_pipe, __NR_poll, __NR_readlink, __NR_rename, __NR_rmdir,
	__NR_select, __NR_set_thread_area, __NR_signalfd, __NR_symlink, __NR_time, __NR_unlink, __NR_utime, __NR_utimes,
	__NR_vfork,
	nr_uretprobe, nr_uprobe,
#endif
};

/* security.md 2.3: old calls. All others get ENOSYS. */
static const int not_permitted[] = {
	__NR_mount, __NR_umount2, __NR_pivot_root, __NR_chroot, __NR_setns, __NR_unshare, __NR_ptrace, __NR_process_vm_readv,
	__NR_process_vm_writev, __NR_kcmp, __NR_bpf, __NR_perf_event_open, __NR_add_key, __NR_keyctl, __NR_request_key, __NR_reboot,
	__NR_swapon, __NR_swapoff, __NR_sethostname, __NR_setdomainname, __NR_settimeofday, __NR_clock_settime, __NR_adjtimex,
	__NR_clock_adjtime, __NR_init_module, __NR_finit_module, __NR_delete_module, __NR_kexec_load, __NR_kexec_file_load, __NR_acct,
	__NR_quotactl, __NR_syslog, __NR_vhangup, __NR_open_by_handle_at, __NR_fanotify_init, __NR_fanotify_mark, __NR_mbind,
	__NR_set_mempolicy, __NR_move_pages, __NR_migrate_pages,
#ifdef __x86_64__
	__NR_create_module, __NR_query_module, __NR_get_kernel_syms, __NR_iopl, __NR_ioperm, __NR_modify_ldt,
#endif
};

static bool listed(const int *list, size_t count, int number)
{
	for (size_t i = 0; i < count; i++)
		if (list[i] == number)
			return true;
	return false;
}
#define LISTED(list, number) listed((list), sizeof(list) / sizeof *(list), (number))

/* What the kernel sees where it takes an int. */
static uint32_t word(const struct seccomp_data *data, unsigned n)
{
	return (uint32_t)data->args[n];
}

static uint32_t model_socket(const struct seccomp_data *data)
{
	switch (word(data, 0)) {
	case 1:  /* UNIX */
	case 2:  /* INET */
	case 10: /* INET6 */
		return ALLOW;
	case 16: /* NETLINK */
		return word(data, 2) == 0 ? ALLOW : DENY(EAFNOSUPPORT); /* ROUTE */
	default:
		return DENY(EAFNOSUPPORT);
	}
}

static uint32_t model_personality(uint32_t value, bool debug)
{
	if (value == 0 || value == 8 || value == 0x20000 || value == 0xffffffff || value == (debug ? 0x40000u : 0x20008u))
		return ALLOW;
	return DENY(EPERM);
}

static uint32_t model_ioctl(uint32_t command)
{
	return command == 0x5412 || command == 0x541c || command == 0x5423 ? DENY(EPERM) : ALLOW;
}

static uint32_t model_setsockopt(uint32_t level, uint32_t option)
{
	if (level == 282)
		return DENY(ENOPROTOOPT);
	return level == 6 && option == 31 ? DENY(ENOENT) : ALLOW;
}

static uint32_t model_prlimit64(const struct seccomp_data *data)
{
	if (data->args[2] == 0) /* a pointer: all 64 bits */
		return ALLOW;
	if (word(data, 0) != 0)
		return DENY(EPERM);
	return word(data, 1) == 4 ? DENY(EINVAL) : ALLOW;
}

static uint32_t model_fcntl_strict(uint32_t command)
{
	switch (command) {
	case 5: /* F_GETLK, F_SETLK, F_SETLKW, and the same of open file descriptions */
	case 6:
	case 7:
	case 36:
	case 37:
	case 38:
		return DENY(ENOLCK);
	case 1024: /* F_SETLEASE */
	case 1026: /* F_NOTIFY */
	case 1040: /* F_SETDELEG */
		return DENY(EPERM);
	default:
		return ALLOW;
	}
}

static uint32_t model_futex_strict(uint32_t operation)
{
	uint32_t command = operation & ~(128u | 256u);
	return command == 11 || command == 12 ? DENY(ENOSYS) : ALLOW;
}

static uint32_t setid(uint32_t mode)
{
	return mode & 06000 ? DENY(EPERM) : ALLOW;
}

/* -1: not a call that the variant changes. */
static int64_t model_nosuid(const struct seccomp_data *data)
{
	const uint32_t creates = 0100 | 020000000;
	switch (data->nr) {
#ifdef __x86_64__
	case __NR_chmod:
	case __NR_mknod:
	case __NR_mkdir:
	case __NR_creat:
		return setid(word(data, 1));
	case __NR_open:
		return word(data, 1) & creates ? setid(word(data, 2)) : ALLOW;
#endif
	case __NR_fchmod:
		return setid(word(data, 1));
	case __NR_fchmodat:
	case nr_fchmodat2:
	case __NR_mknodat:
	case __NR_mkdirat:
		return setid(word(data, 2));
	case __NR_openat:
		return word(data, 2) & creates ? setid(word(data, 3)) : ALLOW;
	case __NR_openat2:
		return DENY(ENOSYS);
	default:
		return -1;
	}
}

static int64_t model_strict(const struct seccomp_data *data)
{
	switch (data->nr) {
	case __NR_fcntl:
		return model_fcntl_strict(word(data, 1));
	case __NR_flock:
		return DENY(ENOLCK);
	case __NR_splice:
	case __NR_tee:
	case __NR_vmsplice:
		return DENY(ENOSYS);
	case __NR_sync:
	case __NR_syncfs:
		return DENY(0);
	case __NR_futex:
		return model_futex_strict(word(data, 1));
	default:
		return -1;
	}
}

static int64_t model_debug(const struct seccomp_data *data)
{
	switch (data->nr) {
	case __NR_ptrace:
	case __NR_process_vm_readv:
	case __NR_process_vm_writev:
		return ALLOW;
	default:
		return -1;
	}
}

static int64_t model_always(const struct seccomp_data *data)
{
	switch (data->nr) {
	case __NR_ioctl:
		return model_ioctl(word(data, 1));
	case __NR_prlimit64:
		return model_prlimit64(data);
	case __NR_setrlimit:
		return word(data, 0) == 4 ? DENY(EINVAL) : ALLOW;
	default:
		return -1;
	}
}

static uint32_t model_base(const struct seccomp_data *data, bool debug)
{
	switch (data->nr) {
	case __NR_clone:
		return word(data, 0) & 0x7e020000 ? DENY(EPERM) : ALLOW;
	case __NR_socket:
		return model_socket(data);
	case __NR_socketpair:
		return word(data, 0) == 1 ? ALLOW : DENY(EAFNOSUPPORT);
	case __NR_setsockopt:
		return model_setsockopt(word(data, 1), word(data, 2));
	case __NR_personality:
		return model_personality(word(data, 0), debug);
	case __NR_prctl:
		return word(data, 0) == 35 ? DENY(EPERM) : ALLOW; /* PR_SET_MM */
	default:
		if (LISTED(allowed, data->nr))
			return ALLOW;
		return LISTED(not_permitted, data->nr) ? DENY(EPERM) : DENY(ENOSYS);
	}
}

uint32_t filter_model(const struct seccomp_data *data, enum hutch_seccomp profile, bool nosuid)
{
	if (data->arch != NATIVE)
		return SECCOMP_RET_KILL_PROCESS;
	int64_t answer = model_always(data);
	if (answer < 0 && nosuid)
		answer = model_nosuid(data);
	if (answer < 0 && profile == HUTCH_SECCOMP_STRICT)
		answer = model_strict(data);
	if (answer < 0 && profile == HUTCH_SECCOMP_DEBUG)
		answer = model_debug(data);
	return answer < 0 ? model_base(data, profile == HUTCH_SECCOMP_DEBUG) : (uint32_t)answer;
}

uint32_t filter_model_mandatory(const struct seccomp_data *data, bool nosuid)
{
	if (data->arch != NATIVE)
		return SECCOMP_RET_KILL_PROCESS;
	int64_t answer = model_always(data);
	if (answer < 0 && nosuid)
		answer = model_nosuid(data);
	return answer < 0 ? ALLOW : (uint32_t)answer;
}
