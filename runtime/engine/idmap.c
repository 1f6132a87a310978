/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/idmap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/sys.h"
#include "engine/guest.h"
#include "engine/program.h"
#include "kernel/account.h"

#define RANGE_FIRST UINT64_C(0x70000000) /* above what distributions and systemd hand out, below what is negative as an int */
#define RANGES      4096u
#define RANGE_DIR   "/run/hutch/ids"
#define STACK_SIZE  65536u

/* ---- real root's ranges ---- */

bool idmap_is_real_root(void)
{
	char map[4096];
	if (geteuid() != 0)
		return false;
	CLEANUP_CLOSE int fd = open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, map, sizeof map - 1);
	if (size <= 0)
		return false;
	map[size] = '\0';
	return probe_map_covers(map, (uint32_t)RANGE_FIRST, RANGES * GUEST_IDS);
}

static int open_range_directory(struct hutch_error *err)
{
	if ((mkdir("/run/hutch", 0700) < 0 && errno != EEXIST) || (mkdir(RANGE_DIR, 0700) < 0 && errno != EEXIST))
		return err_sys(err, HUTCH_E_SYSTEM, errno, "cannot make %s", RANGE_DIR);
	CLEANUP_CLOSE int dir = open(RANGE_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	if (dir < 0 || fstat(dir, &st) < 0)
		return err_sys(err, HUTCH_E_SYSTEM, errno, "cannot open %s", RANGE_DIR);
	if (st.st_uid != 0 || (st.st_mode & 077))
		return err_hint(err, err_set(err, HUTCH_E_SYSTEM, "%s is not root's alone", RANGE_DIR), "chown root %s && chmod 0700 %s", RANGE_DIR, RANGE_DIR);
	return TAKE_FD(dir);
}

int idmap_take_range(uint64_t *ret_base, int *ret_lock, struct hutch_error *err)
{
	CLEANUP_CLOSE int dir = open_range_directory(err);
	if (dir < 0)
		return dir;
	unsigned start = (unsigned)getpid() * 61u % RANGES; /* spreads, so that the first try is free most of the time */
	for (unsigned i = 0; i < RANGES; i++) {
		unsigned slot = (start + i) % RANGES;
		char name[16];
		snprintf(name, sizeof name, "%u", slot);
		CLEANUP_CLOSE int lock = openat(dir, name, O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (lock < 0)
			return err_sys(err, HUTCH_E_SYSTEM, errno, "cannot open %s/%s", RANGE_DIR, name);
		if (flock(lock, LOCK_EX | LOCK_NB) < 0)
			continue;
		*ret_base = RANGE_FIRST + (uint64_t)slot * GUEST_IDS;
		*ret_lock = fcntl(lock, F_DUPFD_CLOEXEC, 3);
		return *ret_lock < 0 ? err_sys(err, HUTCH_E_SYSTEM, errno, "cannot keep a lock") : 0;
	}
	return err_set(err, HUTCH_E_BUSY, "all %u ranges of ids are in use", RANGES);
}

/* ---- writing maps ---- */

static int write_map(pid_t pid, const char *file, const char *text, struct hutch_error *err)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
	CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return err_hint(err, err_stage(err, err_sys(err, HUTCH_E_UNSUPPORTED, errno, "cannot write %s", path), "maps"), "see `hutch doctor`");
	return 0;
}

static int write_both(pid_t pid, const char *text, struct hutch_error *err)
{
	int ret = write_map(pid, "gid_map", text, err);
	return ret == 0 ? write_map(pid, "uid_map", text, err) : ret;
}

/* ---- an ordinary user's range: newuidmap and newgidmap ---- */

/* Its exit code, or -errno; 0 as well if a caller that ignores SIGCHLD gets no exit codes. */
static int run_helper(const char *const *argv)
{
	static const char *const env[] = {"PATH=/usr/bin:/bin", NULL};
	int pidfd;
	int ret = program_start(&(struct program){.path = argv[0], .argv = argv, .env = env}, &pidfd);
	if (ret < 0)
		return ret;
	ret = program_wait(pidfd);
	return ret < 0 ? 0 : ret;
}

static bool has_map(pid_t pid, const char *name)
{
	char path[64], byte;
	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && read(fd, &byte, 1) == 1;
}

/* The sandbox's user is the caller; every other id comes from the caller's range. */
static int map_with(const char *program, pid_t pid, uint32_t inside, uint64_t caller, uint64_t base, struct hutch_error *err)
{
	char numbers[10][24];
	const uint64_t values[] = {(uint64_t)pid, 0, base, inside, inside, caller, 1, inside + 1, base + inside, GUEST_IDS - 1 - inside};
	for (unsigned i = 0; i < 10; i++)
		snprintf(numbers[i], sizeof numbers[i], "%llu", (unsigned long long)values[i]);
	const char *argv[12] = {program, numbers[0]};
	unsigned count = 2;
	for (unsigned i = inside == 0 ? 4 : 1; i < 10; i++)
		argv[count++] = numbers[i];
	argv[count] = NULL;
	int code = run_helper(argv);
	if (code == 0 && has_map(pid, strstr(program, "uid") ? "uid_map" : "gid_map"))
		return 0;
	int ret = code < 0 ? err_sys(err, HUTCH_E_UNSUPPORTED, -code, "cannot run %s", program)
	                   : err_set(err, HUTCH_E_UNSUPPORTED, "%s refused the id map (exit code %d)", program, code);
	return err_hint(err, err_stage(err, ret, "maps"), "install newuidmap and newgidmap (Debian: apt install uidmap) and give yourself a range of 65536 ids in /etc/subuid and /etc/subgid (usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER)");
}

int idmap_write(pid_t pid, const struct guest_request *request, struct hutch_error *err)
{
	if (request->use_helpers) {
		int ret = map_with("/usr/bin/newgidmap", pid, request->inside, request->gid, request->gid_range_base, err);
		return ret == 0 ? map_with("/usr/bin/newuidmap", pid, request->inside, request->uid, request->range_base, err) : ret;
	}
	char text[64];
	snprintf(text, sizeof text, "0 %llu %u", (unsigned long long)request->range_base, GUEST_IDS);
	return write_both(pid, text, err);
}

int idmap_subids(uid_t uid, uint64_t *ret_uid_base, uint64_t *ret_gid_base, struct hutch_error *err)
{
	char name[256];
	struct probe_range uids, gids;
	account_name(uid, name, sizeof name);
	bool has_uids = account_range("/etc/subuid", uid, GUEST_IDS - 1, &uids), has_gids = account_range("/etc/subgid", uid, GUEST_IDS - 1, &gids);
	if (has_uids && has_gids) {
		*ret_uid_base = uids.first;
		*ret_gid_base = gids.first;
		return 0;
	}
	return err_hint(err, err_set(err, HUTCH_E_UNSUPPORTED, "another user id inside needs a range of ids, and /etc/%s has none of %u for %s",
	                             has_uids ? "subgid" : "subuid", GUEST_IDS - 1, *name ? name : "this user"),
	                "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 %s (a range that no other user has); add newuidmap (Debian: apt install uidmap) if it is missing",
	                *name ? name : "USER");
}

/* ---- user namespaces for mounts ---- */

/* Raw calls only. It holds nothing of its owner's, and does not outlive it: killed in between, the owner can end nothing. */
CHILD_CODE static void wait_to_be_killed(void *arg)
{
	sys_call3(SYS_close_range, 0, ~0u, 0);
	sys_call5(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	while (sys_call0(SYS_getppid) == (long)(intptr_t)arg) /* the owner may have died before the line above */
		sys_call0(SYS_pause);
	for (;;)
		sys_call1(SYS_exit_group, 0);
}

/* Ids of the host, in the order of the host, to ids of the range. caller and inside change places. */
static void format_mount_map(char *text, size_t size, uint64_t base, uid_t caller, uint32_t inside)
{
	if (caller == inside || caller >= GUEST_IDS) {
		snprintf(text, size, "0 %llu %u", (unsigned long long)base, GUEST_IDS);
		return;
	}
	uint64_t low = caller < inside ? caller : inside, high = caller < inside ? inside : caller;
	size_t used = 0;
	if (low > 0)
		used += (size_t)snprintf(text + used, size - used, "0 %llu %llu\n", (unsigned long long)base, (unsigned long long)low);
	used += (size_t)snprintf(text + used, size - used, "%llu %llu 1\n", (unsigned long long)low, (unsigned long long)(base + high));
	if (high > low + 1)
		used += (size_t)snprintf(text + used, size - used, "%llu %llu %llu\n", (unsigned long long)(low + 1), (unsigned long long)(base + low + 1), (unsigned long long)(high - low - 1));
	used += (size_t)snprintf(text + used, size - used, "%llu %llu 1\n", (unsigned long long)high, (unsigned long long)(base + low));
	if (high + 1 < GUEST_IDS)
		snprintf(text + used, size - used, "%llu %llu %llu", (unsigned long long)(high + 1), (unsigned long long)(base + high + 1), (unsigned long long)(GUEST_IDS - high - 1));
}

int idmap_mount_namespace(uint64_t base, uid_t caller, uint32_t inside, struct hutch_error *err)
{
	char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (stack == MAP_FAILED)
		return err_set(err, HUTCH_E_NO_MEMORY, "out of memory");
	struct guest holder = {.pid = -1, .pidfd = -1, .stack = stack};
	struct sys_clone_args args = {
		.flags = CLONE_NEWUSER | CLONE_PIDFD | CLONE_VM | CLONE_CLEAR_SIGHAND,
		.pidfd = (uint64_t)(uintptr_t)&holder.pidfd,
		.stack = (uint64_t)(uintptr_t)stack,
		.stack_size = STACK_SIZE,
	};
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	long pid = sys_clone3(&args, wait_to_be_killed, (void *)(intptr_t)getpid());
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	int fd = pid < 0 ? err_sys(err, HUTCH_E_UNSUPPORTED, (int)-pid, "cannot make a user namespace for id-mapped mounts") : 0;
	if (fd == 0) {
		char text[256], path[64];
		format_mount_map(text, sizeof text, base, caller, inside);
		fd = write_both((pid_t)pid, text, err);
		snprintf(path, sizeof path, "/proc/%ld/ns/user", pid);
		if (fd == 0 && (fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
			fd = err_sys(err, HUTCH_E_SYSTEM, errno, "cannot open %s", path);
	}
	guest_end(&holder);
	return fd;
}
