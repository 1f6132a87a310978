/* SPDX-License-Identifier: Apache-2.0 */
#include "init/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/prctl.h>
#include <linux/resource.h>
#include <linux/sched.h>
#include <sys/mman.h>

#include <hutch/spec.h>

#include "base/sys.h"
#include "init/file.h"
#include "kernel/caps.h"
#include "kernel/seccomp.h"
#include "kernel/tty.h"

#define PAGE       4096u
#define STACK_SIZE (16u * PAGE)
#define SIG_CHILD  17

/* ---- in init ---- */

static bool is_error(long pointer)
{
	return pointer < 0 && pointer > -4096;
}

static size_t pages(size_t bytes)
{
	return (bytes + PAGE - 1) / PAGE * PAGE;
}

static void fill_vectors(struct launch *launch)
{
	const struct plan *plan = &launch->plan;
	launch->argv = (const char **)(launch + 1);
	launch->env = launch->argv + plan->command->argc + 1;
	for (uint32_t i = 0; i < plan->command->argc; i++)
		launch->argv[i] = plan_text(plan, plan->argv[i]);
	for (uint32_t i = 0; i < plan->command->envc; i++)
		launch->env[i] = plan_text(plan, plan->env[i]);
}

/* One mapping: struct launch and the vectors, a guard page, the child's stack. Shared, for the sake of the slot. */
static int map_region(const struct plan *plan, struct launch **ret)
{
	size_t vectors = ((size_t)plan->command->argc + plan->command->envc + 2) * sizeof(char *);
	size_t front = pages(sizeof(struct launch) + vectors);
	size_t size = front + PAGE + STACK_SIZE;
	long region = sys_call6(SYS_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (is_error(region))
		return (int)region;
	sys_call3(SYS_mprotect, region + (long)front, PAGE, PROT_NONE);
	struct launch *launch = (struct launch *)region;
	launch->region_size = size;
	launch->stack_top = (char *)region + size;
	*ret = launch;
	return 0;
}

static int map_plan(int fd, struct plan *ret, const void **ret_bytes, size_t *ret_size)
{
	long size = sys_call3(SYS_lseek, fd, 0, 2 /* SEEK_END */);
	if (size <= 0)
		return size < 0 ? (int)size : -EBADMSG;
	long bytes = sys_call6(SYS_mmap, 0, size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (is_error(bytes))
		return (int)bytes;
	int error = plan_decode((const void *)bytes, (size_t)size, ret);
	if (error == 0 && ret->kind != PLAN_COMMAND)
		error = -EBADMSG;
	if (error < 0) {
		sys_call2(SYS_munmap, bytes, size);
		return error;
	}
	*ret_bytes = (const void *)bytes;
	*ret_size = (size_t)size;
	return 0;
}

/* Every stream that the plan speaks of must have come with it: none is silently another one. */
static bool has_streams(const struct plan *plan, unsigned sent)
{
	unsigned wanted = 0;
	for (unsigned i = 0; i < 3; i++)
		wanted += (plan->command->flags & PLAN_STREAM_FD(i)) != 0;
	return wanted <= sent;
}

int launch_new(const struct init *init, const int *fds, unsigned count, struct launch **ret)
{
	struct plan plan;
	const void *bytes;
	size_t size;
	int error = count < 1 ? -EBADMSG : map_plan(fds[0], &plan, &bytes, &size);
	if (error < 0)
		return error;
	struct launch *launch;
	error = has_streams(&plan, count - 1) ? map_region(&plan, &launch) : -EBADMSG;
	if (error < 0) {
		sys_call2(SYS_munmap, bytes, size);
		return error;
	}
	launch->init = init;
	launch->plan = plan;
	launch->bytes = bytes;
	launch->bytes_size = size;
	launch->terminal = launch->report = launch->leaf = -1;
	unsigned next = 1;
	for (unsigned i = 0; i < 3; i++)
		launch->streams[i] = plan.command->flags & PLAN_STREAM_FD(i) ? fds[next++] : -1;
	fill_vectors(launch);
	*ret = launch;
	return 0;
}

void launch_free(struct launch *launch)
{
	if (!launch)
		return;
	sys_call2(SYS_munmap, launch->bytes, launch->bytes_size);
	sys_call2(SYS_munmap, launch, launch->region_size);
}

static long clone_child(const struct sys_clone_args *args, void (*child)(void *), struct launch *launch)
{
	/* As whom the cgroup is entered: in a range, init may have another id than the owner of the cgroup. The child has what init
	 * had at that moment, and its own stages set all ids. */
	const struct plan_sandbox *sandbox = launch->init->plan.sandbox;
	bool acts = launch->leaf >= 0 && (sandbox->flags & PLAN_RANGE) && launch->leaf_owner != sandbox->init_uid;
	if (acts)
		sys_call1(SYS_setfsuid, launch->leaf_owner);
	long pid = sys_clone3(args, child, launch);
	if (acts)
		sys_call1(SYS_setfsuid, sandbox->init_uid);
	die_with_owner(launch->init);
	return pid;
}

long launch_start(struct launch *launch)
{
	struct sys_clone_args args = {.exit_signal = SIG_CHILD};
	if (launch->leaf >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)launch->leaf;
	} else if (launch->plan.command->flags & PLAN_MARKED) {
		args.flags |= CLONE_NEWUTS;
	}
	if (launch->terminal >= 0)
		return clone_child(&args, leader_main, launch);
	if (launch->is_fork || launch->plan.command->file.op != FILE_NONE) /* a file operation needs memory of its own */
		return clone_child(&args, launch_child, launch);
	args.flags |= CLONE_VM;
	args.stack = (uint64_t)((char *)launch->stack_top - STACK_SIZE);
	args.stack_size = STACK_SIZE;
	return clone_child(&args, launch_child, launch);
}

bool launch_untrace(int pid, int status)
{
	if ((status & 0xff) != 0x7f)
		return false;
	int signo = status >> 8 & 0xff;
	return sys_call4(SYS_ptrace, 17 /* PTRACE_DETACH */, pid, 0, signo == 5 /* SIGTRAP, of an exec */ ? 0 : signo) == 0;
}

/* ---- in the child ---- */

void launch_fail(struct launch *launch, enum stage stage, int error)
{
	launch->slot.stage = stage;
	launch->slot.error = -error;
	for (;;)
		sys_call1(SYS_exit_group, 125);
}

/* Should: no controlling terminal but the command's own, and a process group that signals can be sent to. */
static int stage_session(struct launch *launch)
{
	if (launch->terminal < 0) {
		long ret = sys_call0(SYS_setsid);
		return ret < 0 ? (int)ret : 0;
	}
	long ret = sys_call2(SYS_setpgid, 0, 0);
	if (ret == 0)
		ret = tty_foreground(launch->terminal, (int)sys_call0(SYS_getpid));
	return (int)ret;
}

/* Should: 0, 1 and 2 are the command's streams, and everything else closes with the exec. */
static int stage_streams(struct launch *launch)
{
	for (unsigned i = 0; i < 3; i++) {
		int fd = launch->plan.command->flags & PLAN_STREAM_PTY(i) ? launch->terminal : launch->streams[i];
		long ret = fd >= 0 ? sys_call3(SYS_dup3, fd, i, 0)                 /* all of ours are above 2 */
		                   : sys_call3(SYS_fcntl, i, F_SETFD, 0);          /* init's /dev/null */
		if (ret < 0)
			return (int)ret;
	}
	return (int)sys_call3(SYS_close_range, 3, ~0u, CLOSE_RANGE_CLOEXEC);
}

/* Should: no path of the host's cgroup tree shows. Mustn't: come before the command is in its leaf. */
static int stage_cgroup_ns(struct launch *launch)
{
	(void)launch;
	return (int)sys_call1(SYS_unshare, CLONE_NEWCGROUP);
}

/* Should: the plan's limits, none above what was inherited. Mustn't: come after the ids, raising needs capabilities. */
static int stage_rlimits(struct launch *launch)
{
	for (uint32_t i = 0; i < launch->plan.command->rlimits_count; i++) {
		const struct plan_rlimit *want = &launch->plan.rlimits[i];
		struct rlimit64 limit;
		long ret = sys_call4(SYS_prlimit64, 0, want->resource, NULL, &limit);
		if (ret < 0)
			return (int)ret;
		if (want->hard < limit.rlim_max)
			limit.rlim_max = want->hard;
		limit.rlim_cur = want->soft < limit.rlim_max ? want->soft : limit.rlim_max;
		ret = sys_call4(SYS_prlimit64, 0, want->resource, &limit, NULL);
		if (ret < 0)
			return (int)ret;
	}
	return 0;
}

/* Should: the ids of the command's plan, verified, never init's, and no other group (in a range; with a single id the kernel forbids setgroups,
 * and the caller's supplementary groups stay, which a warning says). */
static int stage_user(struct launch *launch)
{
	const struct plan_sandbox *sandbox = launch->init->plan.sandbox;
	sys_call1(SYS_umask, launch->plan.command->umask);
	uint32_t uid = launch->plan.command->uid, gid = launch->plan.command->gid, r = ~0u, e = ~0u, s = ~0u;
	if (!(sandbox->flags & PLAN_RANGE))
		return uid == sandbox->uid && gid == sandbox->gid ? 0 : -EPERM;
	if (uid == sandbox->init_uid || gid == sandbox->init_gid) /* it could send init signals and set its limits */
		return -EPERM;
	long ret = sys_call2(SYS_setgroups, 1, &gid);
	if (ret == 0)
		ret = sys_call3(SYS_setresgid, gid, gid, gid);
	if (ret == 0)
		ret = sys_call3(SYS_setresuid, uid, uid, uid);
	if (ret == 0)
		ret = sys_call3(SYS_getresuid, &r, &e, &s);
	if (ret == 0 && (r != uid || e != uid || s != uid))
		ret = -EPERM;
	if (ret == 0)
		ret = sys_call3(SYS_getresgid, &r, &e, &s);
	return ret == 0 && (r != gid || e != gid || s != gid) ? -EPERM : (int)ret;
}

/* Should: all five capability sets empty (or exactly cap_add). Mustn't: come before the ids. */
static int stage_privileges(struct launch *launch)
{
	uint64_t add = launch->init->plan.sandbox->cap_add;
	int ret = caps_set(add, add, add);
	if (ret == 0 && add)
		ret = caps_raise_ambient(add);
	if (ret == 0)
		ret = (int)sys_call5(SYS_prctl, PR_SET_PDEATHSIG, 0, 0, 0, 0);
	return ret;
}

/* Should: a working directory inside the root, entered with the command's own rights. */
static int stage_cwd(struct launch *launch)
{
	char path[PAGE];
	long ret = sys_call1(SYS_chdir, plan_text(&launch->plan, launch->plan.command->cwd));
	if (ret == 0)
		ret = sys_call2(SYS_getcwd, path, sizeof path);
	if (ret > 0 && path[0] != '/') /* "(unreachable)..." */
		ret = -EXDEV;
	return ret < 0 ? (int)ret : 0;
}

/* Should: both programs are loaded. Mustn't: need anything afterwards but execve and exit. */
static int stage_seccomp(struct launch *launch)
{
	const struct plan *plan = &launch->init->plan;
	int ret = 0;
	for (unsigned i = 0; ret == 0 && i < 2; i++) /* the first allows seccomp(2), the second may not */
		if (plan->sandbox->filter_lengths[i] > 0)
			ret = seccomp_load_program(plan->filters[i], plan->sandbox->filter_lengths[i]);
	return ret;
}

/* Tries one path after the other as execvp(3) does; what was found and refused beats what was not found. */
static int stage_exec(struct launch *launch)
{
	uint64_t none = 0;
	if (launch->plan.command->file.op != FILE_NONE)
		return file_main(launch);
	sys_call4(SYS_rt_sigprocmask, 2 /* SIG_SETMASK */, &none, NULL, sizeof none);
	int result = -ENOENT;
	for (uint32_t i = 0; i < launch->plan.command->pathc; i++) {
		const char *path = plan_text(&launch->plan, launch->plan.path[i]);
		int ret = (int)sys_call3(SYS_execve, path, launch->argv, launch->env);
		launch->slot.item = i;
		if (ret == -ENOENT && sys_call3(SYS_faccessat, AT_FDCWD, path, 0) == 0)
			return -ELIBBAD; /* it is there, so its interpreter is not */
		if (ret == -EACCES)
			result = ret;
		else if (ret != -ENOENT && ret != -ENOTDIR)
			return ret;
	}
	return result;
}

const struct command_stage command_stages[] = {
	{STAGE_SESSION, stage_session, 0},
	{STAGE_STREAMS, stage_streams, 0},
	{STAGE_CGROUP_NS, stage_cgroup_ns, HUTCH_LAYER_CGROUP_NS},
	{STAGE_RLIMITS, stage_rlimits, 0},
	{STAGE_USER, stage_user, 0},
	{STAGE_PRIVILEGES, stage_privileges, 0},
	{STAGE_CWD, stage_cwd, 0},
	{STAGE_SECCOMP, stage_seccomp, 0},
	{STAGE_EXEC, stage_exec, 0},
};
const unsigned command_stages_count = sizeof command_stages / sizeof *command_stages;

void launch_child(void *arg)
{
	struct launch *launch = arg;
	uint32_t optional = launch->init->plan.sandbox->best_effort;
	for (unsigned i = 0; i < command_stages_count; i++) {
		const struct command_stage *stage = &command_stages[i];
		sys_call2(SYS_prctl, PR_SET_NAME, stage_name(stage->stage));
		int ret = stage->run(launch);
		if (ret < 0 && !(stage->layer & optional))
			launch_fail(launch, stage->stage, ret);
		if (ret < 0)
			launch->slot.absent |= stage->layer;
		trace_stage(launch->init, stage->stage);
	}
}
