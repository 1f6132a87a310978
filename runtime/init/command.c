/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands that run: a table from id to process. A command is "launching" while its report pipe is open and its
 * region in use, and "running" afterwards; it leaves the table when its process was reaped and its end told.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/resource.h>

#include "base/sys.h"
#include "init/launch.h"
#include "kernel/tty.h"

#define WAIT_NOHANG   1
#define WAIT_EXITED   4
#define WAIT_LEAVE    0x01000000 /* WNOWAIT */
#define WAIT_FOR_PID  1          /* P_PID */
#define WAIT_ALL      0x40000000 /* __WALL */
#define USAGE_CHILDREN (-1)

struct command {
	uint32_t id;
	uint32_t flags;         /* PLAN_* */
	int pid;                /* what init waits for: the command, or its leader */
	int group;              /* its process group */
	int report;             /* read end, -1: closed */
	struct leaf leaf;       /* its cgroup */
	int marker_fd;          /* keeps the marker's namespace, and so its number, from being used again; -1: none */
	uint64_t marker;        /* of its tree, 0: none */
	uint64_t pending;       /* signals that came before there was a process group to send them to */
	bool told;              /* STARTED or NOT_STARTED has been sent */
	bool failed;            /* it was NOT_STARTED */
	struct launch *launch;  /* NULL: nothing is needed of it any more */
	uint64_t since_us;
};

static struct command commands[COMMANDS_MAX];
static unsigned commands_count;

static void close_fd(int *fd)
{
	if (*fd >= 0)
		sys_call1(SYS_close, *fd);
	*fd = -1;
}

static void forget(struct command *command)
{
	close_fd(&command->report);
	close_fd(&command->marker_fd);
	leaf_close(&command->leaf);
	launch_free(command->launch);
	*command = commands[--commands_count];
}

static void tell_not_started(const struct init *init, uint32_t id, enum stage stage, uint32_t item, int error)
{
	struct message message = {.type = MESSAGE_NOT_STARTED, .id = id, .stage = stage, .item = item, .a = error};
	control_send(init, &message, -1);
}

/* The exec has happened, or a stage has failed. */
static void tell_started(const struct init *init, struct command *command)
{
	const struct slot *slot = &command->launch->slot;
	command->told = true;
	if (slot->error != 0) {
		command->failed = true;
		tell_not_started(init, command->id, slot->stage, slot->item, slot->error);
		return;
	}
	if (slot->pid > 0)
		command->group = slot->pid;
	struct message message = {.type = MESSAGE_STARTED, .id = command->id, .value = slot->absent};
	trace_stage(init, STAGE_EXEC);
	control_send(init, &message, -1);
	for (int signo = 1; command->pending; signo++, command->pending >>= 1)
		if (command->pending & 1)
			sys_call2(SYS_kill, -command->group, signo);
}

/* ---- starting ---- */

static int open_terminal(const struct init *init, struct launch *launch, int *ret_master)
{
	const struct plan_command *command = launch->plan.command;
	if (!(command->flags & (PLAN_STREAM_PTY(0) | PLAN_STREAM_PTY(1) | PLAN_STREAM_PTY(2))))
		return 0;
	/* the peer belongs to whoever opens the master: the command's user shall be able to open it by name */
	bool range = init->plan.sandbox->flags & PLAN_RANGE;
	if (range)
		sys_call1(SYS_setfsuid, command->uid);
	int ret = tty_open(init->devpts, command->rows, command->columns, ret_master, &launch->terminal);
	if (range)
		sys_call1(SYS_setfsuid, init->plan.sandbox->init_uid);
	die_with_owner(init);
	return ret;
}

/* The child reads `launch` from now on: what is closed here is not written back to it. */
static int start(struct init *init, struct command *command, struct launch *launch, int *ret_master)
{
	int pipe[2];
	int ret = open_terminal(init, launch, ret_master);
	int terminal = launch->terminal;
	if (ret == 0)
		ret = (int)sys_call2(SYS_pipe2, pipe, O_CLOEXEC | O_NONBLOCK);
	if (ret == 0) {
		launch->report = pipe[1];
		command->report = pipe[0];
		command->flags = launch->plan.command->flags;
		command->since_us = now_us();
		trace_stage(init, STAGE_FORK);
		command->pid = command->group = (int)launch_start(launch);
		sys_call1(SYS_close, pipe[1]);
		if (command->pid < 0) {
			ret = command->pid;
			close_fd(&command->report);
		} else if ((command->flags & PLAN_MARKED) && command->leaf.kill < 0) {
			command->marker = marker_pin(init, command->pid, &command->marker_fd);
		}
	}
	close_fd(&terminal);
	return ret;
}

/* The owner gets the master before anything can be written to it. */
static void send_terminal(const struct init *init, uint32_t id, int *master)
{
	if (*master < 0)
		return;
	struct message message = {.type = MESSAGE_TERMINAL, .id = id};
	control_send(init, &message, *master);
	close_fd(master);
}

/* Takes the descriptors of the command's cgroup off the end of those that came. */
static int take_leaf(const struct message *request, const int *fds, unsigned *count, struct leaf *ret)
{
	if (!(request->a & MESSAGE_LEAF) || *count < MESSAGE_LEAF_FDS)
		return -1;
	*count -= MESSAGE_LEAF_FDS;
	*ret = (struct leaf){.kill = fds[*count + 1], .events = fds[*count + 2]};
	return fds[*count];
}

void command_start(struct init *init, const struct message *request, const int *fds, unsigned count)
{
	struct launch *launch = NULL;
	struct leaf leaf = LEAF_NONE;
	int master = -1, directory = take_leaf(request, fds, &count, &leaf);
	bool is_file = request->a & MESSAGE_FILE;
	int ret = commands_count == COMMANDS_MAX ? -EAGAIN : launch_new(init, fds, count, &launch);
	if (ret == 0 && (launch->plan.command->file.op != FILE_NONE) != is_file)
		ret = -EBADMSG;
	if (ret == 0 && init->main_ended && !is_file) /* files can still be looked at */
		ret = -ESRCH;
	if (ret == 0) {
		struct command *command = &commands[commands_count];
		*command = (struct command){.id = request->id, .report = -1, .leaf = leaf, .marker_fd = -1, .launch = launch};
		launch->leaf = directory;
		launch->leaf_owner = (uint32_t)request->b;
		launch->is_fork = request->a & MESSAGE_FORK;
		ret = start(init, command, launch, &master);
		if (ret == 0)
			commands_count++;
	}
	close_fd(&directory);
	if (ret < 0) {
		leaf_close(&leaf);
		launch_free(launch);
		tell_not_started(init, request->id, STAGE_FORK, 0, -ret);
	} else {
		send_terminal(init, request->id, &master);
	}
	close_fd(&master);
	while (count > 0)
		sys_call1(SYS_close, fds[--count]);
}

/* ---- reports ---- */

unsigned commands_reports(const struct init *init, int *fds, unsigned capacity)
{
	(void)init;
	unsigned count = 0;
	for (unsigned i = 0; i < commands_count && count < capacity; i++)
		if (commands[i].report >= 0)
			fds[count++] = commands[i].report;
	return count;
}

static void tell_stopped(const struct init *init, const struct command *command)
{
	struct message message = {.type = MESSAGE_STOPPED, .id = command->id, .a = command->launch->slot.status};
	control_send(init, &message, -1);
}

/* False: nothing more to read for now. */
static bool read_report(const struct init *init, struct command *command)
{
	char what;
	long size = sys_call3(SYS_read, command->report, &what, 1);
	if (size == -EAGAIN)
		return false;
	if (size == 1 && what == REPORT_STOPPED) {
		tell_stopped(init, command);
		return true;
	}
	if (size == 1) {
		tell_started(init, command);
		return true;
	}
	close_fd(&command->report);
	if (!command->told)
		tell_started(init, command);
	if (command->group == command->pid) { /* no leader: the region is not used any more */
		launch_free(command->launch);
		command->launch = NULL;
	}
	return false;
}

void command_report(struct init *init, int fd)
{
	for (unsigned i = 0; i < commands_count; i++)
		if (commands[i].report == fd) {
			read_report(init, &commands[i]);
			return;
		}
}

/* ---- ends ---- */

static void set_usage(struct message *message, const struct rusage *usage)
{
	message->user_us = (uint64_t)usage->ru_utime.tv_sec * 1000000 + (uint64_t)usage->ru_utime.tv_usec;
	message->system_us = (uint64_t)usage->ru_stime.tv_sec * 1000000 + (uint64_t)usage->ru_stime.tv_usec;
}

/* The main command's usage is that of all that ran: whatever is left has been reaped before its end is told. */
static void tell_main_ended(struct init *init, struct message *message)
{
	struct rusage usage;
	if (sys_call2(SYS_getrusage, USAGE_CHILDREN, &usage) == 0)
		set_usage(message, &usage);
	control_send(init, message, -1);
	message->type = 0;
	while (init->quits) /* the namespaces are taken apart while the owner reads */
		sys_call1(SYS_exit_group, 0);
}

static void kill_tree(struct init *init, const struct leaf *leaf, uint64_t marker)
{
	if (leaf->kill >= 0)
		leaf_kill(init, leaf);
	else
		sweep(init, marker);
}

static void ended(struct init *init, struct command *command, struct message *message)
{
	uint32_t flags = command->flags;
	uint64_t marker = command->marker;
	int marker_fd = command->marker_fd;
	struct leaf leaf = command->leaf;
	command->marker_fd = -1; /* kept until the tree is dead */
	command->leaf = LEAF_NONE;
	bool failed = command->failed;
	forget(command);
	if (flags & PLAN_MAIN)
		init->main_ended = true;
	init->quits |= flags & PLAN_QUIT;
	if (flags & PLAN_KILL_REST)
		commands_kill_all(init);
	else if (flags & PLAN_KILL_TREE)
		kill_tree(init, &leaf, marker);
	close_fd(&marker_fd);
	leaf_close(&leaf);
	if (failed)
		return; /* it never started, and that has been said */
	if (flags & PLAN_WAIT_REST)
		init->wait_rest = *message; /* told when there is no child left */
	else if (flags & PLAN_MAIN)
		tell_main_ended(init, message);
	else
		control_send(init, message, -1);
}

static bool is_our_child(int pid)
{
	return sys_call5(SYS_waitid, WAIT_FOR_PID, pid, 0, WAIT_EXITED | WAIT_NOHANG | WAIT_LEAVE | WAIT_ALL, 0) == 0;
}

/* The leader has ended: with the command's status, or killed by the payload, and then init inherits the command. */
static bool leader_ended(struct command *command, struct message *message)
{
	const struct slot *slot = &command->launch->slot;
	if (slot->ended || slot->error != 0 || slot->pid <= 0) {
		message->a = slot->ended ? slot->status : message->a;
		message->user_us = slot->user_us;
		message->system_us = slot->system_us;
		return true;
	}
	if (!is_our_child(slot->pid))
		return true; /* the leader had just reaped it when it was killed; how it ended is lost, but both were killed */
	command->pid = slot->pid;
	return false;
}

/* A leader that is killed hands its command over before it can be reaped itself, so a command killed at the same time may
 * come first. Its end is noted where the leader would have. */
static bool outlived_leader(const struct command *command, int pid, int status, const struct rusage *usage)
{
	if (!command->launch || command->launch->slot.pid != pid)
		return false;
	struct slot *slot = &command->launch->slot;
	struct message message;
	set_usage(&message, usage);
	slot->status = status;
	slot->user_us = message.user_us;
	slot->system_us = message.system_us;
	slot->ended = true;
	return true;
}

static void reaped(struct init *init, int pid, int status, const struct rusage *usage)
{
	for (unsigned i = 0; i < commands_count; i++) {
		struct command *command = &commands[i];
		if (command->pid != pid && outlived_leader(command, pid, status, usage))
			return;
		if (command->pid != pid)
			continue;
		bool has_leader = command->launch && (command->launch->plan.command->flags & (7 * PLAN_STREAM_PTY(0)));
		while (command->report >= 0 && read_report(init, command)) /* what it said before it ended */
			;
		struct message message = {.type = MESSAGE_EXITED, .id = command->id, .a = status, .value = now_us() - command->since_us};
		set_usage(&message, usage);
		if (!has_leader || pid == command->group || leader_ended(command, &message))
			ended(init, command, &message);
		return;
	}
}

/* Reaps one child; 1: there may be more, 0: none is ready, -ECHILD: there is none. */
static int reap_one(struct init *init, int flags)
{
	int status;
	struct rusage usage;
	long pid = sys_call4(SYS_wait4, -1, &status, flags | WAIT_ALL, &usage);
	if (pid > 0 && !launch_untrace((int)pid, status))
		reaped(init, (int)pid, status, &usage);
	if (pid == -ECHILD && init->wait_rest.type != 0)
		tell_main_ended(init, &init->wait_rest);
	return pid > 0 ? 1 : pid == -EINTR ? 1 : (int)pid;
}

void commands_reap(struct init *init)
{
	while (reap_one(init, WAIT_NOHANG) > 0)
		;
}

void commands_kill_all(struct init *init)
{
	/* One pass reaches all: a process that is forking when it is killed does not get its child. The repetition is for
	 * reaping thousands, where a new pass costs nothing. */
	for (unsigned round = 0;; round++) {
		if (round % 256 == 0)
			sys_call2(SYS_kill, -1, 9 /* SIGKILL */);
		if (reap_one(init, 0) <= 0)
			return;
	}
}

void command_kill(struct init *init, uint32_t id)
{
	for (unsigned i = 0; i < commands_count; i++)
		if (commands[i].id == id) {
			uint64_t marker = commands[i].marker;
			int pin = (int)sys_call3(SYS_fcntl, commands[i].marker_fd, F_DUPFD_CLOEXEC, 3);
			struct leaf leaf = {.kill = (int)sys_call3(SYS_fcntl, commands[i].leaf.kill, F_DUPFD_CLOEXEC, 3),
			                    .events = (int)sys_call3(SYS_fcntl, commands[i].leaf.events, F_DUPFD_CLOEXEC, 3)};
			sys_call2(SYS_kill, -commands[i].group, 9 /* SIGKILL */); /* before its leader, whose end would hang up the terminal */
			if (leaf.kill < 0)
				sys_call2(SYS_kill, commands[i].pid, 9 /* should it be without a marker */);
			kill_tree(init, &leaf, marker); /* the command leaves the table when it is reaped */
			close_fd(&pin);
			leaf_close(&leaf);
			return;
		}
}

/* `ends`: what it leaves shall not outlive it, whatever was asked for when it was started. */
void command_signal(struct init *init, uint32_t id, int signo, bool ends)
{
	if (signo < 1 || signo > 64)
		return;
	for (unsigned i = 0; i < commands_count; i++) {
		struct command *command = &commands[i];
		if (command->id != id)
			continue;
		if (ends && (command->flags & PLAN_MARKED))
			command->flags |= PLAN_KILL_TREE;
		if (command->told)
			sys_call2(SYS_kill, -command->group, signo);
		else
			command->pending |= UINT64_C(1) << (signo - 1);
	}
	if (init->wait_rest.type != 0 && init->wait_rest.id == id) /* it has ended, what it left is meant */
		sys_call2(SYS_kill, -1, signo);
}
