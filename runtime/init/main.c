/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Init from its first instruction to its last: receive, set up, serve. The theory of operation is in init.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <linux/resource.h>
#include <poll.h>
#include <stddef.h>
#include <sys/mman.h>

#include <hutch/spec.h>

#include "base/sys.h"
#include "init/init.h"
#include "kernel/walk.h"

#define SIGNALS    64
#define SIGNAL_CHLD 17

/* As the kernel takes it; libc's struct sigaction is another. */
struct kernel_sigaction {
	void *handler;
	unsigned long flags;
	void *restorer;
	uint64_t mask;
};

_Noreturn static void quit(int code)
{
	for (;;)
		sys_call1(SYS_exit_group, code);
}

_Noreturn static void fail(const struct init *init, enum stage stage, int error)
{
	struct message message = {.type = MESSAGE_FAILED, .stage = stage, .item = init->item, .a = -error};
	message_detail(&message, init->detail);
	control_send(init, &message, -1);
	quit(1);
}

/* Dispositions that the owner ignored stay ignored over clone and exec: put all back. All signals stay blocked in init:
 * commands unblock theirs. */
static void reset_signals(void)
{
	const struct kernel_sigaction standard = {0};
	for (int signo = 1; signo <= SIGNALS; signo++)
		sys_call4(SYS_rt_sigaction, signo, &standard, NULL, sizeof standard.mask); /* fails for KILL and STOP */
	uint64_t all = ~UINT64_C(0);
	sys_call4(SYS_rt_sigprocmask, 0 /* SIG_BLOCK */, &all, NULL, sizeof all);
}

/* The owner's soft limit may be lower than the number of descriptors in a message. */
static void raise_descriptor_limit(void)
{
	struct rlimit64 limit;
	if (sys_call4(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	sys_call4(SYS_prlimit64, 0, RLIMIT_NOFILE, &limit, NULL);
}

/* What else is inherited over clone and exec and would change how the payload runs: back to what a login has. */
static void reset_inherited(void)
{
	raise_descriptor_limit();
	sys_call1(SYS_umask, 0);
	sys_call1(SYS_personality, 0);
	sys_call2(SYS_prctl, PR_SET_TIMERSLACK, 50000); /* ns */
	sys_call5(SYS_prctl, PR_SET_THP_DISABLE, 0, 0, 0, 0);
}

/* The control socket comes as 0, the owner's pidfd as 1. They move up, and 0 to 2 become /dev/null, so that no descriptor
 * of ours is ever taken for a stream. */
static int settle_descriptors(struct init *init)
{
	init->control = (int)sys_call3(SYS_fcntl, 0, F_DUPFD_CLOEXEC, 10);
	if (init->control < 0)
		return init->control;
	init->owner = (int)sys_call3(SYS_fcntl, 1, F_DUPFD_CLOEXEC, 10);
	if (init->owner < 0)
		return init->owner;
	sys_call1(SYS_close, 0);
	sys_call1(SYS_close, 1);
	init->detail = "/dev/null";
	int null = (int)sys_call4(SYS_openat, AT_FDCWD, init->detail, O_RDWR | O_CLOEXEC, 0);
	if (null < 0)
		return null;
	for (int fd = 0; fd < 3; fd++)
		if (fd != null)
			sys_call3(SYS_dup3, null, fd, O_CLOEXEC);
	uint64_t children = UINT64_C(1) << (SIGNAL_CHLD - 1);
	init->children = (int)sys_call4(SYS_signalfd4, -1, &children, sizeof children, O_CLOEXEC | O_NONBLOCK);
	return init->children < 0 ? init->children : 0;
}

static int map_plan(int fd, enum plan_kind kind, struct plan *ret)
{
	long size = sys_call3(SYS_lseek, fd, 0, 2 /* SEEK_END */);
	if (size <= 0)
		return size < 0 ? (int)size : -EBADMSG;
	long bytes = sys_call6(SYS_mmap, 0, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (bytes < 0 && bytes > -4096)
		return (int)bytes;
	int error = plan_decode((const void *)bytes, (size_t)size, ret);
	return error == 0 && ret->kind != kind ? -EBADMSG : error;
}

static int receive_plan(struct init *init)
{
	struct message message;
	struct pollfd polls[2] = {{init->control, POLLIN, 0}, {init->owner, POLLIN, 0}};
	int ret = (int)sys_call4(SYS_ppoll, polls, 2, NULL, NULL);
	if (ret < 0)
		return ret;
	if (!polls[0].revents)
		quit(0); /* the owner is gone already, and something else holds the socket */
	ret = control_receive(init, &message, init->fds, &init->fds_count);
	if (ret == 0)
		quit(0);
	if (ret < 0)
		return ret;
	if (message.type != MESSAGE_SETUP || init->fds_count < 2)
		return -EBADMSG;
	init->detail = "plan";
	ret = map_plan(init->fds[0], PLAN_SANDBOX, &init->plan);
	if (ret == 0 && init->plan.sandbox->trace_fd && init->plan.sandbox->trace_fd < init->fds_count)
		init->trace = init->fds[init->plan.sandbox->trace_fd];
	return ret;
}

static void set_up(struct init *init)
{
	for (unsigned i = 0; i < setup_stages_count; i++) {
		const struct setup_stage *stage = &setup_stages[i];
		init->item = 0;
		init->detail = NULL;
		sys_call2(SYS_prctl, PR_SET_NAME, stage_name(stage->stage));
		int ret = stage->run(init);
		if (ret < 0 && stage->layer && (init->plan.sandbox->best_effort & stage->layer))
			init->absent |= stage->layer;
		else if (ret < 0)
			fail(init, stage->stage, ret);
		trace_stage(init, stage->stage);
	}
	for (unsigned i = 0; i < init->fds_count; i++) /* mounts of the owner's, streams: all used or never to be */
		if (init->fds[i] != init->trace)
			sys_call1(SYS_close, init->fds[i]);
	sys_call2(SYS_prctl, PR_SET_NAME, "hutch-init");
	struct message message = {.type = MESSAGE_READY, .value = init->absent};
	control_send(init, &message, -1);
}

static void close_all(const int *fds, unsigned count)
{
	while (count > 0)
		sys_call1(SYS_close, fds[--count]);
}

static void suspend_all(int stop)
{
	sys_call2(SYS_kill, -1, stop ? 19 /* SIGSTOP */ : 18 /* SIGCONT */);
}

static void serve_request(struct init *init)
{
	struct message message;
	int fds[MESSAGE_FDS];
	unsigned count = 0;
	int ret = control_receive(init, &message, fds, &count);
	if (ret == -EINTR || ret == -EAGAIN)
		return;
	if (ret <= 0)
		quit(0); /* the kernel kills everything in a PID namespace whose init has ended */
	if (message.type >= MESSAGE_TYPES)
		quit(2);
	switch ((enum message_type)message.type) {
	case MESSAGE_EXEC:
		command_start(init, &message, fds, count);
		return; /* it closes the descriptors */
	case MESSAGE_SIGNAL: command_signal(init, message.id, message.a, message.b == 1); break;
	case MESSAGE_KILL: command_kill(init, message.id); break;
	case MESSAGE_KILL_ALL:
		commands_kill_all(init);
		message.type = MESSAGE_EMPTY;
		control_send(init, &message, -1);
		break;
	case MESSAGE_SUSPEND: suspend_all(message.a); break;
	case MESSAGE_CHANGES:
		if (count == 1)
			changes_start(init, &message, fds[0]);
		break;
	case MESSAGE_GO:
	case MESSAGE_SETUP:
	case MESSAGE_READY:
	case MESSAGE_FAILED:
	case MESSAGE_TERMINAL:
	case MESSAGE_STARTED:
	case MESSAGE_NOT_STARTED:
	case MESSAGE_EXITED:
	case MESSAGE_EMPTY:
	case MESSAGE_STOPPED:
	case MESSAGE_TYPES: quit(2);
	}
	close_all(fds, count);
}

static void drain_signals(const struct init *init)
{
	char records[1024];
	while (sys_call3(SYS_read, init->children, records, sizeof records) > 0)
		;
}

static void serve(struct init *init)
{
	static int reports[COMMANDS_MAX];
	static struct pollfd polls[COMMANDS_MAX + 3];
	unsigned count = commands_reports(init, reports, COMMANDS_MAX);
	polls[0] = (struct pollfd){init->control, POLLIN, 0};
	polls[1] = (struct pollfd){init->owner, POLLIN, 0};
	polls[2] = (struct pollfd){init->children, POLLIN, 0};
	for (unsigned i = 0; i < count; i++)
		polls[i + 3] = (struct pollfd){reports[i], POLLIN, 0};
	if (sys_call4(SYS_ppoll, polls, count + 3, NULL, NULL) < 0)
		return;
	if (polls[1].revents) /* the owner has ended, even if some child of it still holds the socket */
		quit(0);
	for (unsigned i = 0; i < count; i++)
		if (polls[i + 3].revents)
			command_report(init, reports[i]);
	if (polls[2].revents) {
		drain_signals(init);
		commands_reap(init);
	}
	if (polls[0].revents)
		serve_request(init);
}

_Noreturn void init_main(void)
{
	static struct init init = {.control = -1, .owner = -1, .staging = -1, .root = -1, .scratch = -1, .devpts = -1, .proc = -1, .trace = -1};
	sys_call2(SYS_prctl, PR_SET_NAME, stage_name(STAGE_RECEIVE));
	reset_inherited();
	reset_signals();
	int ret = settle_descriptors(&init);
	if (ret == 0)
		ret = receive_plan(&init);
	if (ret < 0)
		fail(&init, STAGE_RECEIVE, ret);
	trace_stage(&init, STAGE_RECEIVE);
	set_up(&init);
	for (;;)
		serve(&init);
}
