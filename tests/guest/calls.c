/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls with invalid arguments. Whether a filter refuses a call shows in the error: the kernel's own is the one
 * of the bad argument. `syscalls baseline` first makes a user namespace in which it is root, so that no missing
 * capability hides the kernel's answer: what an unfiltered kernel says.
 */
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Numbers that the C library's headers may lack; from 424 on they are the same everywhere. */
enum {
	CALL_OPEN_TREE = 428, CALL_MOVE_MOUNT, CALL_FSOPEN, CALL_FSCONFIG, CALL_FSMOUNT, CALL_FSPICK, CALL_PIDFD_OPEN, CALL_CLONE3,
	CALL_OPENAT2 = 437, CALL_PIDFD_GETFD, CALL_PROCESS_MADVISE = 440, CALL_MOUNT_SETATTR = 442, CALL_QUOTACTL_FD,
	CALL_MEMFD_SECRET = 447, CALL_FCHMODAT2 = 452, CALL_STATMOUNT = 457, CALL_LISTMOUNT, CALL_LSM_LIST_MODULES = 461,
	CALL_OPEN_TREE_ATTR = 467, CALL_LISTNS = 470,
};

#define HIGH   (1L << 32)
#define BAD    1L /* a pointer to nowhere */
#define CREATE (O_CREAT | O_WRONLY)

static const struct {
	const char *name;
	long number;
	long args[6];
} calls[] = {
	{"mount", SYS_mount, {BAD, BAD, BAD}},
	{"umount2", SYS_umount2, {BAD}},
	{"pivot_root", SYS_pivot_root, {BAD, BAD}},
	{"chroot", SYS_chroot, {BAD}},
	{"setns", SYS_setns, {-1, 0}},
	{"unshare", SYS_unshare, {1}},
	{"unshare-newuser", SYS_unshare, {CLONE_NEWUSER | 1}},
	{"clone-newuser", SYS_clone, {CLONE_NEWUSER | CLONE_FS}},
	{"clone3", CALL_CLONE3, {BAD, 88}},
	{"fsopen", CALL_FSOPEN, {BAD}},
	{"fsconfig", CALL_FSCONFIG, {-1, 9999}},
	{"fsmount", CALL_FSMOUNT, {-1}},
	{"fspick", CALL_FSPICK, {-1, BAD}},
	{"open_tree", CALL_OPEN_TREE, {-1, BAD}},
	{"open_tree_attr", CALL_OPEN_TREE_ATTR, {-1, BAD, 0, BAD, 32}},
	{"move_mount", CALL_MOVE_MOUNT, {-1, BAD, -1, BAD}},
	{"mount_setattr", CALL_MOUNT_SETATTR, {-1, BAD, 0, BAD, 32}},
	{"statmount", CALL_STATMOUNT, {BAD, BAD, 0}},
	{"listmount", CALL_LISTMOUNT, {BAD, BAD, 0}},
	{"listns", CALL_LISTNS, {BAD, BAD, 0}},
	{"bpf", SYS_bpf, {9999, BAD, 8}},
	{"perf_event_open", SYS_perf_event_open, {BAD, 0, -1, -1, 0}},
	{"userfaultfd", SYS_userfaultfd, {0x7fffffff}},
	{"io_uring_setup", 425, {1, BAD}},
	{"io_uring_enter", 426, {-1}},
	{"io_uring_register", 427, {-1, 9999}},
	{"io_setup", SYS_io_setup, {1, BAD}},
	{"add_key", SYS_add_key, {BAD, BAD, BAD}},
	{"request_key", SYS_request_key, {BAD, BAD, BAD}},
	{"keyctl", SYS_keyctl, {9999}},
	{"ptrace", SYS_ptrace, {9999, 0}},
	{"process_vm_readv", SYS_process_vm_readv, {0, BAD, 1, BAD, 1, 1}},
	{"process_vm_writev", SYS_process_vm_writev, {0, BAD, 1, BAD, 1, 1}},
	{"process_madvise", CALL_PROCESS_MADVISE, {-1, BAD, 1}},
	{"pidfd_getfd", CALL_PIDFD_GETFD, {-1, 0}},
	{"kcmp", SYS_kcmp, {-1, -1}},
	{"memfd_secret", CALL_MEMFD_SECRET, {0x7fffffff}},
	{"name_to_handle_at", SYS_name_to_handle_at, {-1, BAD, BAD, BAD}},
	{"open_by_handle_at", SYS_open_by_handle_at, {-1, BAD}},
	{"syslog", SYS_syslog, {9999}},
	{"swapon", SYS_swapon, {BAD}},
	{"init_module", SYS_init_module, {BAD, 0, BAD}},
	{"delete_module", SYS_delete_module, {BAD}},
	{"quotactl", SYS_quotactl, {~0u, BAD}},
	{"quotactl_fd", CALL_QUOTACTL_FD, {-1, ~0u}},
	{"settimeofday", SYS_settimeofday, {BAD}},
	{"clock_settime", SYS_clock_settime, {9999, BAD}},
	{"adjtimex", SYS_adjtimex, {BAD}},
	{"clock_adjtime", SYS_clock_adjtime, {9999, BAD}},
	{"sethostname", SYS_sethostname, {BAD, 1}},
	{"setdomainname", SYS_setdomainname, {BAD, 1}},
	{"fanotify_init", SYS_fanotify_init, {0x7fffffff}},
	{"fanotify_mark", SYS_fanotify_mark, {-1, 0x7fffffff}},
	{"migrate_pages", SYS_migrate_pages, {-1}},
	{"move_pages", SYS_move_pages, {0, 1, BAD, BAD, BAD, 0x7fffffff}},
	{"set_mempolicy", SYS_set_mempolicy, {9999}},
	{"mbind", SYS_mbind, {0, 4096, 9999}},
	{"get_mempolicy", SYS_get_mempolicy, {0, 0, 0, 0, 0x7fffffff}},
	{"lsm_list_modules", CALL_LSM_LIST_MODULES, {BAD, BAD, 1}},
	{"remap_file_pages", SYS_remap_file_pages, {1, 1, 1, 1, 1}},
#if defined(__x86_64__)
	{"modify_ldt", SYS_modify_ldt, {9999}},
	{"iopl", SYS_iopl, {9999}},
	{"ioperm", SYS_ioperm, {1L << 30, 1L << 30, 1}},
	{"ustat", SYS_ustat, {-1, BAD}},
	{"sysfs", SYS_sysfs, {9999}},
#endif
	{"tiocsti", SYS_ioctl, {-1, TIOCSTI}},
	{"tiocsti-high", SYS_ioctl, {-1, (0x123L << 32) | TIOCSTI}},
	{"tioclinux", SYS_ioctl, {-1, TIOCLINUX}},
	{"tioclinux-high", SYS_ioctl, {-1, HIGH | TIOCLINUX}},
	{"tiocsetd", SYS_ioctl, {-1, TIOCSETD}},
	{"tiocsetd-high", SYS_ioctl, {-1, HIGH | TIOCSETD}},
	{"tcp-ulp", SYS_setsockopt, {-1, 6, 31}},
	{"sol-tls", SYS_setsockopt, {-1, 282, 1}},
	{"socketpair-tipc", SYS_socketpair, {30, SOCK_STREAM, 0, BAD}},
	{"prlimit-other", SYS_prlimit64, {0x7ffffff0, RLIMIT_NOFILE, BAD, 0}},
	{"prlimit-core", SYS_prlimit64, {0, RLIMIT_CORE, BAD, 0}},
	{"setrlimit-core", SYS_setrlimit, {RLIMIT_CORE, BAD}},
	{"nr-471", 471, {BAD, BAD, BAD}},
	{"nr-511", 511, {BAD, BAD, BAD}},
	{"nr-999", 999, {BAD, BAD, BAD}},
	/* refused only under --seccomp strict */
	{"flock", SYS_flock, {-1, 9999}},
	{"fcntl-setlk", SYS_fcntl, {-1, F_SETLK, BAD}},
	{"fcntl-setlease", SYS_fcntl, {-1, F_SETLEASE, 0}},
	{"splice", SYS_splice, {-1, BAD, -1, BAD, 1, 0}},
	{"tee", SYS_tee, {-1, -1, 1, 0}},
	{"vmsplice", SYS_vmsplice, {-1, BAD, 1, 0}},
	{"futex-requeue-pi", SYS_futex, {BAD, FUTEX_CMP_REQUEUE_PI, 1, 0, BAD, 0}},
	{"syncfs", SYS_syncfs, {-1}},
	/* refused where a host directory is writable */
#if defined(__x86_64__)
	{"chmod-suid", SYS_chmod, {BAD, 04755}},
	{"creat-suid", SYS_creat, {BAD, 04755}},
	{"open-suid", SYS_open, {BAD, CREATE, 04755}},
	{"mkdir-sgid", SYS_mkdir, {BAD, 02755}},
	{"mknod-suid", SYS_mknod, {BAD, S_IFREG | 04755}},
	{"chmod-suid-high", SYS_chmod, {BAD, HIGH | 04755}},
#endif
	{"fchmod-suid", SYS_fchmod, {-1, 04755}},
	{"fchmodat-suid", SYS_fchmodat, {-1, BAD, 04755}},
	{"fchmodat-sgid", SYS_fchmodat, {-1, BAD, 02755}},
	{"fchmodat2-suid", CALL_FCHMODAT2, {-1, BAD, 04755, 0}},
	{"openat-suid", SYS_openat, {-1, BAD, CREATE, 04755}},
	{"openat-tmpfile-suid", SYS_openat, {-1, BAD, O_TMPFILE | O_WRONLY, 04755}},
	{"mkdirat-sgid", SYS_mkdirat, {-1, BAD, 02755}},
	{"mknodat-suid", SYS_mknodat, {-1, BAD, S_IFREG | 04755}},
	{"openat2", CALL_OPENAT2, {-1, BAD, BAD, 24}},
	/* controls: must go through to the kernel */
	{"control-ioctl", SYS_ioctl, {-1, FIONREAD}},
	{"control-fchmodat", SYS_fchmodat, {-1, BAD, 0700}},
	{"control-openat", SYS_openat, {-1, BAD, CREATE, 0644}},
	{"control-openat-no-create", SYS_openat, {-1, BAD, O_RDONLY, 04755}},
	{"control-setsockopt", SYS_setsockopt, {-1, 6, 1}},
	{"control-prlimit", SYS_prlimit64, {0, RLIMIT_NOFILE, BAD, 0}},
	{"control-seccomp", SYS_seccomp, {9999}},
	{"control-clone", SYS_clone, {CLONE_SIGHAND}},
	{"control-pidfd_open", CALL_PIDFD_OPEN, {-1, 0}},
	{"control-fcntl", SYS_fcntl, {-1, F_GETFD}},
	{"control-futex", SYS_futex, {BAD, FUTEX_WAIT, 0}},
};

static int become_root_of_namespace(void)
{
	char map[48];
	int length = snprintf(map, sizeof map, "0 %u 1", (unsigned)geteuid());
	if (unshare(CLONE_NEWUSER) < 0)
		return -1;
	int fd = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
	bool written = fd >= 0 && write(fd, map, (size_t)length) == length;
	if (fd >= 0)
		close(fd);
	return written ? 0 : -1;
}

int verb_syscalls(int argc, char **argv)
{
	if (argc > 0 && strcmp(argv[0], "baseline") == 0 && become_root_of_namespace() < 0)
		return 3;
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
		const long *a = calls[i].args;
		say_result(calls[i].name, syscall(calls[i].number, a[0], a[1], a[2], a[3], a[4], a[5]));
	}
	say_result("personality-exec", syscall(SYS_personality, READ_IMPLIES_EXEC)); /* acts if it can, so last */
	return 0;
}

/* ---- sockets: every family and netlink protocol, and what high bits do ---- */

int verb_sockets(int argc, char **argv)
{
	(void)argc, (void)argv;
	char name[64];
	for (long high = 0; high < 2; high++)
		for (long family = 0; family < 64; family++)
			for (long type = SOCK_STREAM; type <= SOCK_SEQPACKET; type++) {
				long fd = syscall(SYS_socket, high << 32 | family, type, 0);
				snprintf(name, sizeof name, "%s%ld/%ld", high ? "high/" : "", family, type);
				say_result(name, fd);
				if (fd >= 0)
					close((int)fd);
			}
	for (long protocol = 0; protocol < 32; protocol++) {
		long fd = syscall(SYS_socket, AF_NETLINK, SOCK_RAW, protocol);
		snprintf(name, sizeof name, "netlink/%ld", protocol);
		say_result(name, fd);
		if (fd >= 0)
			close((int)fd);
	}
	return 0;
}

/* ---- other ways into the kernel ---- */

static void say_child(const char *name, void (*attempt)(void))
{
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		attempt();
		_exit(0);
	}
	int status = 0;
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		printf("%s signal-%d\n", name, WTERMSIG(status));
	else
		say_errno(name, WEXITSTATUS(status));
}

#if defined(__x86_64__)
static void attempt_int80(void)
{
	long ret = 20; /* getpid */
	__asm__ volatile("int $0x80" : "+a"(ret) : : "memory", "r8", "r9", "r10", "r11");
	_exit(ret < 0 ? (int)-ret : 0);
}

static void attempt_x32(void)
{
	long ret = syscall(0x40000000L | SYS_getpid);
	_exit(ret < 0 ? errno : 0);
}

static void attempt_x32_ioctl(void)
{
	long ret = syscall(0x40000000L | 514, -1, TIOCSTI); /* x32's own ioctl */
	_exit(ret < 0 ? errno : 0);
}
#endif

static void attempt_nothing(void)
{
	getppid();
}

int verb_abi(int argc, char **argv)
{
	(void)argc, (void)argv;
#if defined(__x86_64__)
	say_child("int80", attempt_int80);
	say_child("x32", attempt_x32);
	say_child("x32-ioctl", attempt_x32_ioctl);
#endif
	say_child("control", attempt_nothing);
	return 0;
}

/* ---- namespaces, for real ---- */

static void attempt_unshare_user(void)
{
	_exit(unshare(CLONE_NEWUSER) < 0 ? errno : 0);
}

static void attempt_unshare_mount(void)
{
	_exit(unshare(CLONE_NEWNS) < 0 ? errno : 0);
}

static void attempt_unshare_all(void)
{
	_exit(unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET) < 0 ? errno : 0);
}

static void attempt_clone_user(void)
{
	long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
	_exit(pid < 0 ? errno : 0);
}

static void attempt_clone3_user(void)
{
	struct clone_args args = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
	long pid = syscall(CALL_CLONE3, &args, sizeof args);
	_exit(pid < 0 ? errno : 0);
}

static void attempt_raise_limit(void)
{
	int fd = open("/proc/sys/user/max_user_namespaces", O_WRONLY | O_CLOEXEC);
	_exit(fd < 0 || write(fd, "100", 3) < 0 ? errno : 0);
}

static void attempt_setuid(void)
{
	_exit(setresuid(0, 0, 0) < 0 ? errno : 0);
}

static void attempt_setgroups(void)
{
	gid_t group = 0;
	_exit(syscall(SYS_setgroups, 1, &group) < 0 ? errno : 0);
}

int verb_userns(int argc, char **argv)
{
	(void)argc, (void)argv;
	say_child("unshare-user", attempt_unshare_user);
	say_child("unshare-mount", attempt_unshare_mount);
	say_child("unshare-all", attempt_unshare_all);
	say_child("clone-user", attempt_clone_user);
	say_child("clone3-user", attempt_clone3_user);
	say_child("raise-limit", attempt_raise_limit);
	say_child("setresuid-0", attempt_setuid);
	say_child("setgroups-0", attempt_setgroups);
	return 0;
}

/* attempts: what needs a capability, with arguments that would do; for a filter that lets everything through. What was
 * nevertheless done is the sandbox's own loss. */
int verb_attempts(int argc, char **argv)
{
	(void)argc, (void)argv;
	say_result("mount-tmpfs", mount("none", "/tmp", "tmpfs", 0, NULL));
	say_result("mount-cgroup", mount("none", "/tmp", "cgroup2", 0, NULL));
	say_result("remount-usr", mount(NULL, "/usr", NULL, MS_REMOUNT | MS_BIND, NULL));
	say_result("remount-proc-sys", mount(NULL, "/proc/sys", NULL, MS_REMOUNT | MS_BIND, NULL));
	say_result("umount-proc-sys", umount2("/proc/sys", MNT_DETACH));
	say_result("umount-proc", umount2("/proc", MNT_DETACH));
	say_result("chroot", chroot("/tmp"));
	say_result("pivot_root", syscall(SYS_pivot_root, "/tmp", "/tmp"));
	say_result("fsopen", syscall(CALL_FSOPEN, "tmpfs", 0));
	say_result("open_tree", syscall(CALL_OPEN_TREE, AT_FDCWD, "/tmp", 1 /* OPEN_TREE_CLONE */));
	say_result("sethostname", sethostname("escaped", 7));
	say_result("trusted-xattr", setxattr(".", "trusted.hutch", "1", 1, 0));
	say_result("unshare-net", unshare(CLONE_NEWNET));
	int fd = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
	say_result("setns-user", setns(fd, CLONE_NEWUSER));
	int raw = socket(AF_INET, SOCK_RAW, 1);
	say_result("raw-socket", raw);
	return 0;
}

/* orphans N: makes N orphans that end at once, then counts zombies. */
int verb_orphans(int argc, char **argv)
{
	int count = argc > 0 ? atoi(argv[0]) : 100;
	for (int i = 0; i < count; i++) {
		pid_t pid = fork();
		if (pid == 0) {
			if (fork() == 0)
				_exit(0);
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}
	unsigned zombies = 0;
	for (unsigned round = 0; round < 50; round++) {
		zombies = 0;
		for (int pid = 2; pid < 32768 && pid < 4 * count + 100; pid++) {
			char path[64], text[256] = "";
			snprintf(path, sizeof path, "/proc/%d/stat", pid);
			int fd = open(path, O_RDONLY | O_CLOEXEC);
			if (fd >= 0 && read(fd, text, sizeof text - 1) > 0)
				zombies += strstr(text, ") Z ") != NULL;
			if (fd >= 0)
				close(fd);
		}
		if (zombies == 0)
			break;
		usleep(20000);
	}
	printf("zombies %u\n", zombies);
	return 0;
}

/* ---- a terminal ---- */

int verb_tty(int argc, char **argv)
{
	(void)argc, (void)argv;
	char byte = 'x', paste = 3, name[64];
	int discipline = 0;
	for (int fd = 0; fd < 3; fd++) {
		struct stat st = {0};
		fstat(fd, &st);
		snprintf(name, sizeof name, "isatty-%d", fd);
		printf("%s %d %lx\n", name, isatty(fd), isatty(fd) ? (unsigned long)st.st_dev : 0UL);
		snprintf(name, sizeof name, "tiocsti-%d", fd);
		say_result(name, ioctl(fd, TIOCSTI, &byte));
		snprintf(name, sizeof name, "tiocsti-high-%d", fd);
		say_result(name, syscall(SYS_ioctl, fd, HIGH | TIOCSTI, &byte));
		snprintf(name, sizeof name, "tioclinux-%d", fd);
		say_result(name, ioctl(fd, TIOCLINUX, &paste));
		snprintf(name, sizeof name, "tiocsetd-%d", fd);
		say_result(name, ioctl(fd, TIOCSETD, &discipline));
		snprintf(name, sizeof name, "tiocgsid-%d", fd);
		pid_t session = -1;
		say_result(name, ioctl(fd, TIOCGSID, &session));
	}
	int fd = open("/dev/tty", O_RDWR | O_CLOEXEC);
	say_result("dev-tty", fd);
	int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	unsigned number = 0;
	say_result("dev-ptmx", master);
	if (master >= 0 && ioctl(master, TIOCGPTN, &number) == 0)
		printf("pty-number %u\n", number);
	return 0;
}

/* The parent, init, becomes the tracer: it must not take the stop for the end. */
int verb_traceme(int argc, char **argv)
{
	(void)argc, (void)argv;
	say_result("traceme", syscall(SYS_ptrace, 0, 0, 0, 0));
	fflush(stdout);
	signal(SIGUSR1, SIG_IGN);
	raise(SIGUSR1);
	raise(SIGCONT);
	printf("after ok\n");
	return 0;
}
