/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The leader of a command that has a terminal: it owns the session, starts the command as the foreground process group
 * and tells init when that stops or ends. It holds no capability and no descriptor but the terminal and the report
 * pipe. If the payload kills it, init inherits the command and learns its end by reaping it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <linux/resource.h>

#include "base/sys.h"
#include "init/launch.h"
#include "kernel/caps.h"
#include "kernel/tty.h"

#define WAIT_UNTRACED 2
#define WAIT_ALL      0x40000000 /* __WALL */

static uint64_t microseconds(const struct rusage *usage, bool system)
{
	return system ? (uint64_t)usage->ru_stime.tv_sec * 1000000 + (uint64_t)usage->ru_stime.tv_usec
	              : (uint64_t)usage->ru_utime.tv_sec * 1000000 + (uint64_t)usage->ru_utime.tv_usec;
}

static void report(const struct launch *launch, char what)
{
	sys_call3(SYS_write, launch->report, &what, 1);
}

/* Closes everything but the terminal, the report pipe and `extra`. */
static void keep_only(const struct launch *launch, int extra)
{
	int keep[3] = {launch->terminal, launch->report, extra};
	for (unsigned i = 0; i < 2; i++) /* sort three numbers */
		for (unsigned j = 0; j < 2; j++)
			if (keep[j] > keep[j + 1]) {
				int other = keep[j];
				keep[j] = keep[j + 1];
				keep[j + 1] = other;
			}
	unsigned from = 0;
	for (unsigned i = 0; i < 3; i++) {
		if ((unsigned)keep[i] > from)
			sys_call3(SYS_close_range, from, keep[i] - 1, 0);
		from = (unsigned)keep[i] + 1;
	}
	sys_call3(SYS_close_range, from, ~0u, 0);
}

_Noreturn static void watch(struct launch *launch, int pid)
{
	for (;;) {
		int status = 0;
		struct rusage usage;
		long ended = sys_call4(SYS_wait4, pid, &status, WAIT_UNTRACED | WAIT_ALL, &usage);
		if (ended == -EINTR || (ended > 0 && launch_untrace((int)ended, status)))
			continue;
		if (ended == pid && (status & 0xff) == 0x7f) { /* stopped */
			launch->slot.status = status >> 8 & 0xff;
			report(launch, REPORT_STOPPED);
			continue;
		}
		launch->slot.status = status;
		launch->slot.user_us = microseconds(&usage, false);
		launch->slot.system_us = microseconds(&usage, true);
		launch->slot.ended = ended == pid;
		for (;;)
			sys_call1(SYS_exit_group, 0);
	}
}

void leader_main(void *arg)
{
	struct launch *launch = arg;
	sys_call2(SYS_prctl, PR_SET_NAME, stage_name(STAGE_TERMINAL));
	long ret = sys_call0(SYS_setsid);
	if (ret >= 0)
		ret = tty_control(launch->terminal);
	int pipe[2];
	if (ret >= 0)
		ret = sys_call2(SYS_pipe2, pipe, O_CLOEXEC);
	if (ret < 0)
		launch_fail(launch, STAGE_TERMINAL, (int)ret);
	struct sys_clone_args args = {.exit_signal = 17 /* SIGCHLD */};
	ret = sys_clone3(&args, launch_child, launch);
	if (ret < 0)
		launch_fail(launch, STAGE_FORK, (int)ret);
	launch->slot.pid = (int)ret;
	keep_only(launch, pipe[0]);
	sys_call2(SYS_prctl, PR_SET_NAME, "hutch-leader");
	caps_set(0, 0, 0);
	char byte;
	sys_call3(SYS_read, pipe[0], &byte, 1); /* ends with the exec, or with the child */
	sys_call1(SYS_close, pipe[0]);
	if (launch->slot.error == 0)
		report(launch, REPORT_STARTED);
	watch(launch, (int)ret);
}
