/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command on its way to init: its plan, its streams, the request. The first command of a sandbox and the hundredth
 * take the same way.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "engine/channel.h"
#include "engine/engine.h"
#include "engine/image.h"
#include "spec/check.h"

/* ---- what a sandbox keeps of its request ---- */

int request_keep(struct request *request, const struct hutch_spec *spec, const struct plan_host *host, const char *workspace, uint64_t range, bool is_nosuid)
{
	*request = (struct request){.spec = *spec, .host = *host, .range = range, .is_nosuid = is_nosuid};
	struct hutch_spec *kept = &request->spec;
	size_t size = spec->limits.ulimits_count * sizeof *request->ulimits;
	kept->name = kept->rootfs = kept->workspace = kept->state_dir = kept->seccomp_file = NULL;
	kept->labels = NULL;
	kept->labels_count = 0;
	kept->mounts = NULL;
	kept->mounts_count = 0;
	request->host.upper = NULL;
	request->workspace = workspace ? strdup(workspace) : NULL;
	request->ulimits = size ? malloc(size) : NULL;
	if ((workspace && !request->workspace) || (size && !request->ulimits))
		return -1;
	for (size_t i = 0; i < spec->limits.ulimits_count; i++) {
		request->ulimits[i] = spec->limits.ulimits[i];
		request->ulimits[i].name = spec_ulimit_name(spec_ulimit_resource(spec->limits.ulimits[i].name));
	}
	kept->limits.ulimits = request->ulimits;
	return 0;
}

void request_done(struct request *request)
{
	free(request->ulimits);
	free(request->workspace);
	free(request->cgroup);
	*request = (struct request){0};
}

/* ---- streams ---- */

/* Scripts open /dev/stdout; a pipe of root's would refuse the sandbox's user. Only anonymous pipes: a FIFO has a name
 * and an owner that others see. */
static void lend_pipe(const struct hutch_process *process, int fd)
{
	const struct request *request = &process->sandbox->request;
	struct stat st;
	char link[64], path[64];
	if (!request->host.is_privileged || fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode) || st.st_uid != 0)
		return;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	ssize_t length = readlink(path, link, sizeof link - 1);
	if (length < 5 || strncmp(link, "pipe:", 5) != 0)
		return;
	uid_t id = (uid_t)(request->range + plan_command_uid(&request->spec, &process->settings));
	if (fchown(fd, id, id) < 0)
		return;
}

static int add_fd(struct launch_request *launch, int fd, bool owned)
{
	launch->owned[launch->count] = owned;
	launch->fds[launch->count++] = fd;
	return 0;
}

static int open_stdin_pipe(struct launch_request *launch, struct hutch_error *err)
{
	struct hutch_process *process = launch->process;
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(err, HUTCH_E_SYSTEM, errno, "cannot make a pipe");
	lend_pipe(process, ends[0]);
	add_fd(launch, ends[0], true);
	int ret = loop_watch(process->sandbox->h, &process->in, process->sandbox, ends[1], 0, NULL);
	if (ret == 0)
		return 0;
	close(ends[1]);
	return err_sys(err, HUTCH_E_SYSTEM, -ret, "cannot watch a pipe");
}

static int open_output(struct launch_request *launch, struct capture *capture, struct hutch_error *err)
{
	int fd;
	int ret = capture_open(launch->process, capture, &fd, err);
	return ret < 0 ? ret : add_fd(launch, fd, true);
}

static int pass_fd(struct launch_request *launch, int fd, const char *name, struct hutch_error *err)
{
	const struct request *request = &launch->process->sandbox->request;
	struct stat st;
	int mode = fcntl(fd, F_GETFL);
	if (mode < 0 || fstat(fd, &st) < 0)
		return err_sys(err, HUTCH_E_INVALID, errno, "command.%s.fd %d", name, fd);
	if (S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode) || (mode & O_PATH)) /* whatever is beside and above it would be in reach */
		return err_set(err, HUTCH_E_INVALID, "command.%s.fd %d is a directory, a disk or an O_PATH descriptor, which leads out of the sandbox", name, fd);
	if (S_ISREG(st.st_mode) && !request->is_nosuid) /* the command could make the host's file setuid */
		return err_hint(err, err_set(err, HUTCH_E_INVALID, "command.%s.fd %d is a file, and this sandbox was made without the filter for that", name, fd), "pass a pipe");
	if (isatty(fd))
		return err_hint(err, err_set(err, HUTCH_E_INVALID, "command.%s.fd %d is a terminal, which is never handed in", name, fd), "use HUTCH_IO_PTY and relay");
	lend_pipe(launch->process, fd);
	return add_fd(launch, fd, false);
}

static int open_stream(struct launch_request *launch, unsigned index, const struct hutch_stream *stream, struct hutch_error *err)
{
	static const char *const names[] = {"in", "out", "err"};
	struct hutch_process *process = launch->process;
	switch (stream->io) {
	case HUTCH_IO_DEFAULT:
		if (index == 0)
			return 0;
		__attribute__((fallthrough));
	case HUTCH_IO_CAPTURE:
	case HUTCH_IO_STREAM: return open_output(launch, index == 1 ? &process->out : &process->err, err);
	case HUTCH_IO_FD: return pass_fd(launch, stream->fd, names[index], err);
	case HUTCH_IO_PIPE: return open_stdin_pipe(launch, err);
	case HUTCH_IO_NULL:
	case HUTCH_IO_PTY: break;
	}
	return 0;
}

/* ---- the request ---- */

/* Init ends at once where its end will be waited for; otherwise it would only compete with the owner for a processor. */
static uint32_t end_flags(const struct hutch_command *command, bool is_main, bool discard_changes)
{
	if (is_main)
		return PLAN_MAIN | (command->on_exit == HUTCH_ON_EXIT_LEAVE ? PLAN_WAIT_REST : PLAN_KILL_REST) | (discard_changes ? PLAN_QUIT : 0);
	/* CPU time is the one limit that the kernel does not hold by itself: nothing goes on when nobody watches it any more */
	return PLAN_MARKED | (command->on_exit == HUTCH_ON_EXIT_KILL || command->limits.cpu_time_ms ? PLAN_KILL_TREE : 0);
}

static int make_plan(struct launch_request *launch, const struct hutch_command *command, struct hutch_error *err)
{
	const struct request *request = &launch->process->sandbox->request;
	struct command_draft draft = {0};
	CLEANUP_FREE void *bytes = NULL;
	size_t size;
	int ret = plan_command_build(&request->spec, command, request->workspace, &draft, err);
	limits_to_rlimits(request, &command->limits, &draft);
	if (launch->file)
		draft.fixed.file = *launch->file;
	draft.fixed.flags |= end_flags(command, launch->process->is_main, request->spec.discard_changes && !sandbox_is_reaped_by_others());
	if (ret == 0)
		ret = command_draft_encode(&draft, &bytes, &size, err);
	command_draft_done(&draft);
	if (ret < 0)
		return err_stage(err, ret, "exec");
	int fd = image_memfd("hutch-command", bytes, size, 0, err);
	return fd < 0 ? fd : add_fd(launch, fd, true);
}

static int prepare(struct hutch_sandbox *sandbox, const struct hutch_command *command, bool is_main, const struct plan_file *file, struct launch_request *ret, struct hutch_error *err)
{
	struct hutch_command checked;
	int error = command_check(command, &checked, err);
	if (error == 0)
		error = plan_command_user(&sandbox->request.host, &sandbox->request.spec, &checked, err);
	if (error < 0)
		return err_stage(err, error, "plan");
	struct launch_request launch = {.file = file, .process = process_new(sandbox, &checked, is_main, err)};
	if (!launch.process)
		return -HUTCH_E_NO_MEMORY;
	if (is_main)
		sandbox->main = launch.process;
	error = limits_check_command(sandbox, &checked.limits, err);
	if (error == 0)
		error = make_plan(&launch, &checked, err);
	if (error == 0)
		error = open_stream(&launch, 0, &checked.in, err);
	if (error == 0)
		error = open_stream(&launch, 1, &checked.out, err);
	if (error == 0)
		error = open_stream(&launch, 2, &checked.err, err);
	if (error == 0)
		error = limits_make_leaf(sandbox, launch.process->id, &checked.limits, &launch.process->leaf, err);
	if (error < 0) {
		exec_done(&launch);
		return error;
	}
	*ret = launch;
	return 0;
}

int exec_prepare(struct hutch_sandbox *sandbox, const struct hutch_command *command, bool is_main, struct launch_request *ret, struct hutch_error *err)
{
	return prepare(sandbox, command, is_main, NULL, ret, err);
}

int exec_send(int channel, const struct launch_request *launch, struct hutch_error *err)
{
	const struct hutch_process *process = launch->process;
	struct message message = {.type = MESSAGE_EXEC, .id = process->id, .a = launch->file ? MESSAGE_FILE : 0};
	int fds[4 + MESSAGE_LEAF_FDS];
	unsigned count = launch->count;
	memcpy(fds, launch->fds, count * sizeof *fds);
	if (process->leaf.dir >= 0) {
		leaf_announce(&process->sandbox->cgroups, &process->leaf, &message, fds + count);
		count += MESSAGE_LEAF_FDS;
	} else if (process->sandbox->remote) {
		limits_to_message(&process->settings, &message);
	}
	int ret = channel_send_waiting(channel, &message, fds, count, sandbox_patience(process->sandbox));
	leaf_sent(&launch->process->leaf);
	return ret < 0 ? err_sys(err, HUTCH_E_GONE, -ret, "cannot talk to the sandbox's init") : 0;
}

void exec_done(struct launch_request *launch)
{
	for (unsigned i = 0; i < launch->count; i++)
		if (launch->owned[i])
			close(launch->fds[i]);
	launch->count = 0;
}

/* ---- public ---- */

int exec_start(struct hutch_sandbox *sandbox, const struct hutch_command *command, const struct plan_file *file, struct hutch_process **ret, struct hutch_error *err)
{
	if (sandbox->remote ? sandbox->remote_state == HUTCH_SANDBOX_PAUSED : sandbox->is_suspended)
		return err_hint(err, err_set(err, HUTCH_E_STATE, "the sandbox is paused"), "hutch resume");
	if (sandbox->is_over_cpu_time)
		return err_hint(err, err_set(err, HUTCH_E_STATE, "the sandbox has used up its CPU time"), "hutch update --cpu-time");
	struct hutch_process *before = sandbox->processes;
	struct launch_request launch = {0};
	int error = prepare(sandbox, command, false, file, &launch, err);
	if (error == 0)
		error = exec_send(sandbox->control.fd, &launch, err);
	exec_done(&launch);
	if (error < 0) {
		if (sandbox->processes != before)
			process_drop(sandbox->processes);
		return error;
	}
	loop_set_deadlines(sandbox->h);
	loop_flush(sandbox->h);
	*ret = launch.process;
	return 0;
}

int hutch_sandbox_exec(struct hutch_sandbox *sandbox, const struct hutch_command *command, struct hutch_process **ret, struct hutch_error *err)
{
	if (sandbox->is_gone)
		return err_set(err, HUTCH_E_STATE, "the sandbox has ended");
	if (sandbox->remote && sandbox->remote_state >= HUTCH_SANDBOX_COMPLETED)
		return err_set(err, HUTCH_E_STATE, "the sandbox is %s: it takes no command", hutch_sandbox_state_name((int)sandbox->remote_state));
	if (sandbox->main && sandbox->main->state == HUTCH_PROCESS_ENDED)
		return err_set(err, HUTCH_E_STATE, "the sandbox's main command has ended, and everything in it with it");
	return exec_start(sandbox, command, NULL, ret, err);
}
