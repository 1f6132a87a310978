/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One start: check the request, plan it, make what the plan needs (filter, mounts, pipes), clone. The requests to init
 * are queued in its socket before it exists, so that setup and command follow each other without a round trip.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "engine/channel.h"
#include "engine/engine.h"
#include "engine/idmap.h"
#include "engine/image.h"
#include "engine/state.h"
#include "engine/trees.h"
#include "plan/filter.h"
#include "spec/check.h"

/* Everything a start needs and nothing after it does. */
struct start {
	struct hutch_sandbox *sandbox;
	struct hutch_spec spec;
	const struct hutch_command *command; /* NULL: none */
	struct plan_host host;
	struct draft draft;
	struct filter filter;
	struct launch_request launch;        /* of the main command */
	char *workspace;
	bool is_nosuid;
	uint64_t range, gid_range;
	int setup_fds[MESSAGE_FDS];
	unsigned setup_count, owned_from, owned_to; /* setup_fds[owned_from..owned_to) are closed here */
	int channels[2];
	int cgroup;                          /* init's; -1: none */
};

static void start_done(struct start *start)
{
	draft_done(&start->draft);
	filter_done(&start->filter);
	free(start->workspace);
	for (unsigned i = start->owned_from; i < start->owned_to; i++)
		cleanup_close(&start->setup_fds[i]);
	exec_done(&start->launch);
	cleanup_close(&start->channels[0]);
	cleanup_close(&start->channels[1]);
	cleanup_close(&start->cgroup);
}

/* ---- who ---- */

static bool needs_range(const struct hutch_spec *spec)
{
	return (spec->has_uid && spec->uid != SPEC_UID_DEFAULT && spec->uid != 0) || (spec->cap_add & SPEC_CAPS_IDS);
}

static int find_ids(struct start *start, struct hutch_error *err)
{
	start->host = (struct plan_host){.uid = geteuid(), .gid = getegid(), .is_privileged = idmap_is_real_root()};
	start->host.has_range = start->host.is_privileged || needs_range(&start->spec);
	if (start->host.is_privileged)
		return idmap_take_range(&start->range, &start->sandbox->range_lock, err);
	return start->host.has_range ? idmap_subids(start->host.uid, &start->range, &start->gid_range, err) : 0;
}

static void warn_groups(const struct start *start)
{
	gid_t groups[64];
	int count = getgroups(64, groups);
	if (start->host.is_privileged || count < 0)
		return;
	char text[512];
	size_t used = (size_t)snprintf(text, sizeof text, "the caller's supplementary groups stay in force inside, since an ordinary user cannot drop them:");
	bool any = false;
	for (int i = 0; i < count && used < sizeof text; i++) {
		if (groups[i] == start->host.gid)
			continue;
		any = true;
		used += (size_t)snprintf(text + used, sizeof text - used, " %u", groups[i]);
	}
	if (any)
		sandbox_warn(start->sandbox, text);
}

/* With a hard core limit of 0 an ordinary user cannot set the 1 that keeps the host's dump handler from being started. */
static void warn_core_handler(const struct start *start)
{
	struct rlimit limit;
	char first = 0;
	if (start->host.is_privileged || getrlimit(RLIMIT_CORE, &limit) < 0 || limit.rlim_max > 0)
		return;
	CLEANUP_CLOSE int fd = open("/proc/sys/kernel/core_pattern", O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && read(fd, &first, 1) == 1 && first == '|')
		sandbox_warn(start->sandbox, "the hard core limit is 0, so a crash inside starts the host's core dump handler; raise it (ulimit -Hc 1) to keep it out");
}

/* ---- what ---- */

/* User extended attributes on tmpfs came with Linux 6.6; an overlay's upper layer needs them. */
static bool tmpfs_has_user_xattrs(void)
{
	CLEANUP_CLOSE int fd = memfd_create("hutch-probe", MFD_CLOEXEC);
	return fd >= 0 && fsetxattr(fd, "user.hutch", "", 0, 0) == 0;
}

static bool wants_copy_on_write(const struct hutch_spec *spec)
{
	bool wants = (spec->workspace && spec->workspace_access == HUTCH_ACCESS_COW) ||
	             (spec->root == HUTCH_ROOT_DIRECTORY && spec->rootfs_access != HUTCH_ACCESS_RW);
	for (size_t i = 0; i < spec->mounts_count; i++)
		wants |= spec->mounts[i].kind == HUTCH_MOUNT_HOST && spec->mounts[i].access == HUTCH_ACCESS_COW;
	return wants;
}

/* A kept sandbox may grow and live for long; in memory, though, a bound can be enforced, and what an ordinary user's range
 * of ids has written can be removed. */
static bool prefers_disk(const struct start *start)
{
	bool foreign_ids = start->host.has_range && !start->host.is_privileged;
	return start->spec.detached && !start->spec.limits.disk_bytes && !foreign_ids;
}

static int choose_upper(struct start *start, struct hutch_error *err)
{
	bool in_memory = !start->spec.state_dir && tmpfs_has_user_xattrs();
	if (!wants_copy_on_write(&start->spec) || (in_memory && !prefers_disk(start)))
		return 0;
	if (start->spec.limits.disk_bytes && !(start->spec.best_effort & HUTCH_LIMIT_DISK))
		return err_hint(err, err_set(err, HUTCH_E_UNENFORCEABLE, "limits.disk_bytes: --disk cannot be enforced: what is changed in copies goes to a directory on disk"),
		                start->spec.state_dir ? "leave --state out, or say --best-effort=disk to run without it" : "leave it out, or say --best-effort=disk to run without it");
	struct hutch_sandbox *sandbox = start->sandbox;
	int ret = state_make_upper(start->spec.state_dir, sandbox->id, &sandbox->upper, &sandbox->upper_lock, err);
	sandbox->is_on_disk = sandbox->upper;
	start->host.upper = start->sandbox->upper;
	return ret;
}

static bool has_writable_host_directory(const struct hutch_spec *spec)
{
	bool writable = (spec->workspace && spec->workspace_access == HUTCH_ACCESS_RW) || (spec->rootfs && spec->rootfs_access == HUTCH_ACCESS_RW);
	for (size_t i = 0; i < spec->mounts_count; i++)
		writable |= spec->mounts[i].kind == HUTCH_MOUNT_HOST && spec->mounts[i].access == HUTCH_ACCESS_RW;
	return writable;
}

static bool is_file(int fd)
{
	struct stat st;
	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

/* A command can chmod a file that was passed to it: the caller's output, executable by others as the caller. */
static bool has_file_stream(const struct hutch_command *command)
{
	const struct hutch_stream *streams[] = {&command->in, &command->out, &command->err};
	bool found = false;
	for (unsigned i = 0; i < 3; i++)
		found |= streams[i]->io == HUTCH_IO_FD && is_file(streams[i]->fd);
	return found;
}

/* setuid and setgid bits are forbidden wherever a file of the host's can be changed. A sandbox that takes commands later
 * does not know their streams yet. */
static bool must_be_nosuid(const struct start *start)
{
	return has_writable_host_directory(&start->spec) || start->host.upper || start->spec.detached || !start->command || has_file_stream(start->command);
}

static int choose_filter(struct start *start, struct hutch_error *err)
{
	bool nosuid = start->is_nosuid = must_be_nosuid(start);
	int ret;
	if (start->spec.seccomp == HUTCH_SECCOMP_FILE) {
		CLEANUP_FREE char *cache = state_cache_directory();
		ret = filter_compile_policy(start->spec.seccomp_file, cache, nosuid, &start->filter, err);
	} else {
		ret = filter_select(start->spec.seccomp, nosuid, &start->filter);
	}
	for (unsigned i = 0; ret == 0 && i < start->filter.count; i++)
		start->draft.fixed.filter_lengths[i] = start->filter.programs[i].length;
	return ret;
}

static int make_plan(struct start *start, const struct hutch_spec *spec, struct hutch_error *err)
{
	draft_init(&start->draft);
	int ret = spec_check(spec, &start->spec, err);
	if (ret == 0)
		ret = find_ids(start, err);
	if (ret == 0 && start->spec.workspace)
		ret = plan_workspace_path(&start->spec, &start->workspace, err);
	if (ret == 0)
		ret = choose_upper(start, err);
	if (ret == 0)
		ret = plan_sandbox_build(&start->host, &start->spec, &start->draft, err);
	if (ret == 0)
		ret = choose_filter(start, err);
	return ret < 0 ? err_stage(err, ret, "plan") : 0;
}

/* ---- descriptors ---- */

/* Appends the streams that Landlock shall know. */
static void add_streams(struct start *start)
{
	start->draft.fixed.streams_from = start->setup_count;
	if (!start->command)
		return;
	const struct hutch_stream *streams[] = {&start->command->in, &start->command->out, &start->command->err};
	for (unsigned i = 0; i < 3; i++)
		if (streams[i]->io == HUTCH_IO_FD && is_file(streams[i]->fd) && start->setup_count < MESSAGE_FDS)
			start->setup_fds[start->setup_count++] = streams[i]->fd;
}

/* The directories on disk that hold upper layers. As root they belong to the sandbox's range of ids, as all in them will. */
static int make_uppers(const struct start *start, struct hutch_error *err)
{
	const struct draft *draft = &start->draft;
	for (size_t i = 0; i < draft->ops_count; i++) {
		const char *path = draft->pool.bytes + draft->ops[i].upper;
		if (!*path)
			continue;
		if (mkdir(path, 0700) < 0)
			return err_sys(err, HUTCH_E_SYSTEM, errno, "cannot make %s", path);
		if (start->host.is_privileged && lchown(path, (uid_t)start->range, (gid_t)start->range) < 0)
			return err_sys(err, HUTCH_E_SYSTEM, errno, "cannot change the owner of %s", path);
	}
	return 0;
}

static int make_setup(struct start *start, struct hutch_error *err)
{
	if (start->draft.trees_count + 5 > MESSAGE_FDS)
		return err_set(err, HUTCH_E_INVALID, "mounts: as root at most %u of the host", MESSAGE_FDS - 5);
	CLEANUP_CLOSE int owner = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (owner < 0)
		return err_sys(err, HUTCH_E_UNSUPPORTED, errno, "pidfd_open");
	start->setup_fds[1] = owner > 2 ? TAKE_FD(owner) : fcntl(owner, F_DUPFD_CLOEXEC, 3);
	if (start->setup_fds[1] < 0)
		return err_sys(err, HUTCH_E_SYSTEM, errno, "cannot move a descriptor");
	start->owned_from = 1;
	start->owned_to = 2;
	int ret = make_uppers(start, err);
	if (ret < 0)
		return ret;
	bool unmapped = false;
	ret = trees_open(&start->draft, start->range, start->spec.uid, start->setup_fds + 2, &unmapped, err);
	if (ret < 0)
		return ret;
	if (unmapped)
		sandbox_warn(start->sandbox, "layer idmap is not in force: a file system cannot map ids, and --best-effort allows that");
	start->setup_count = 2 + (unsigned)start->draft.trees_count;
	start->owned_to = start->setup_count;
	if (start->sandbox->h->trace >= 0) {
		start->draft.fixed.trace_fd = start->setup_count;
		start->setup_fds[start->setup_count++] = start->sandbox->h->trace;
	}
	add_streams(start);
	const struct sock_filter *const filters[2] = {start->filter.programs[0].instructions, start->filter.programs[1].instructions};
	CLEANUP_FREE void *bytes = NULL;
	size_t size;
	ret = draft_encode(&start->draft, filters, &bytes, &size, err);
	if (ret < 0)
		return ret;
	int plan = image_memfd("hutch-plan", bytes, size, 0, err);
	if (plan < 0)
		return plan;
	start->setup_fds[0] = plan;
	start->owned_from = 0;
	return 0;
}

/* ---- go ---- */

static int queue_requests(struct start *start, struct hutch_error *err)
{
	const struct message setup = {.type = MESSAGE_SETUP};
	int ret = channel_send(start->channels[0], &setup, start->setup_fds, start->setup_count);
	if (ret < 0)
		return err_sys(err, HUTCH_E_SYSTEM, -ret, "cannot talk to init");
	return start->command ? exec_send(start->channels[0], &start->launch, err) : 0;
}

static int launch(struct start *start, struct hutch_error *err)
{
	struct hutch_sandbox *sandbox = start->sandbox;
	struct hutch *h = sandbox->h;
	if (h->image < 0)
		h->image = image_memfd("hutch-init", init_image, init_image_size, 1, err);
	if (h->image < 0)
		return h->image;
	const struct guest_request request = {
		.image = h->image,
		.channel = start->channels[1],
		.owner = start->setup_fds[1],
		.cgroup = start->cgroup,
		.own_network = start->spec.net == HUTCH_NET_NONE,
		.inside = start->spec.uid,
		.uid = start->host.uid,
		.gid = start->host.gid,
		.range_base = start->range,
		.gid_range_base = start->gid_range,
		.use_helpers = start->host.has_range && !start->host.is_privileged,
	};
	const struct message go = {.type = MESSAGE_GO};
	int ret = request.range_base ? 0 : queue_requests(start, err);
	if (ret == 0)
		ret = guest_start(&request, &sandbox->guest, err);
	if (ret == 0 && request.range_base) {
		channel_send(start->channels[0], &go, NULL, 0);
		ret = queue_requests(start, err);
	}
	if (ret < 0)
		return ret;
	int error = loop_watch(h, &sandbox->control, sandbox, start->channels[0], UV_READABLE, sandbox_control_ready);
	if (error < 0)
		return err_sys(err, HUTCH_E_SYSTEM, -error, "cannot watch a socket");
	start->channels[0] = -1; /* the watch's now */
	return 0;
}

/* ---- what the sandbox keeps of the request ---- */

static int keep_roots(struct start *start)
{
	struct hutch_sandbox *sandbox = start->sandbox;
	const struct draft *draft = &start->draft;
	sandbox->roots = calloc(draft->ops_count + 1, sizeof *sandbox->roots);
	if (!sandbox->roots)
		return -1;
	sandbox->roots_count = draft->ops_count;
	for (size_t i = 0; i < draft->ops_count; i++) {
		const struct plan_op *op = &draft->ops[i];
		if (op->kind != PLAN_OP_OVERLAY || !(op->flags & PLAN_OP_WRITABLE))
			continue;
		sandbox->roots[i] = strdup(draft->pool.bytes + op->target);
		if (op->flags & PLAN_OP_WORKSPACE)
			sandbox->workspace_op = (uint32_t)i;
	}
	return 0;
}

static int keep(struct start *start, struct hutch_error *err)
{
	struct hutch_sandbox *sandbox = start->sandbox;
	if (request_keep(&sandbox->request, &start->spec, &start->host, start->workspace, start->range, start->is_nosuid) < 0 || keep_roots(start) < 0)
		return err_set(err, HUTCH_E_NO_MEMORY, "out of memory");
	sandbox->lifetime_ms = start->spec.lifetime_ms ? loop_deadline_ms(start->spec.lifetime_ms) : NO_DEADLINE;
	sandbox->scratch_bytes = start->draft.fixed.scratch_bytes;
	for (size_t i = 0; i < start->draft.warnings_count; i++)
		sandbox_warn(sandbox, start->draft.warnings[i]);
	warn_groups(start);
	warn_core_handler(start);
	return 0;
}

/* Those of a command of this version of the struct; what an older one has not is not asked for. */
static const struct hutch_limits *own_limits(const struct hutch_command *command)
{
	return command && command->size >= sizeof *command ? &command->limits : NULL;
}

int sandbox_start(struct hutch_sandbox *sandbox, const struct hutch_spec *spec, const struct hutch_command *command, struct hutch_error *err)
{
	struct start start = {.sandbox = sandbox, .command = command, .channels = {-1, -1}, .cgroup = -1};
	int ret = make_plan(&start, spec, err);
	if (ret == 0)
		ret = keep(&start, err);
	if (ret == 0)
		ret = err_stage(err, limits_prepare(sandbox, &start.spec, own_limits(command), &start.draft, &start.cgroup, err), "plan");
	if (ret == 0 && command)
		ret = exec_prepare(sandbox, command, true, &start.launch, err);
	if (ret == 0)
		ret = make_setup(&start, err);
	if (ret == 0)
		ret = channel_pair(start.channels, err);
	if (ret == 0)
		ret = launch(&start, err);
	if (ret == 0)
		limits_started(sandbox);
	start_done(&start);
	return ret;
}

/* Both halves of a plan, without a sandbox. */
static int describe(struct start *start, const struct hutch_command *command, char **ret, struct hutch_error *err)
{
	struct hutch_command checked;
	struct command_draft program = {0};
	int error = command_check(command, &checked, err);
	if (error == 0)
		error = plan_command_user(&start->host, &start->spec, &checked, err);
	if (error == 0)
		error = plan_command_build(&start->spec, &checked, start->workspace, &program, err);
	if (error == 0)
		error = plan_describe(&start->draft, &program, ret, err);
	command_draft_done(&program);
	return error;
}

static int describe_limits(struct start *start, char **text, struct hutch_error *err)
{
	char *whole = NULL;
	size_t size;
	FILE *out = open_memstream(&whole, &size);
	int ret = out ? limits_describe(start->sandbox->h, &start->spec, out, err) : err_set(err, HUTCH_E_NO_MEMORY, "out of memory");
	if (out)
		fputs(*text, out);
	if (out && fclose(out) != 0 && ret == 0)
		ret = err_set(err, HUTCH_E_NO_MEMORY, "out of memory");
	free(*text);
	*text = ret < 0 ? NULL : whole;
	if (ret < 0)
		free(whole);
	return ret < 0 ? err_stage(err, ret, "plan") : 0;
}

int hutch_plan_text(struct hutch *h, const struct hutch_spec *spec, const struct hutch_command *command, char **ret, struct hutch_error *err)
{
	struct hutch_sandbox dummy = {.h = h, .range_lock = -1, .upper_lock = -1, .id = "dry-run"};
	struct start start = {.sandbox = &dummy, .command = command, .channels = {-1, -1}, .cgroup = -1};
	int error = make_plan(&start, spec, err);
	if (error == 0)
		error = describe(&start, command, ret, err);
	if (error == 0)
		error = describe_limits(&start, ret, err);
	start_done(&start);
	if (dummy.upper)
		remove_tree(AT_FDCWD, dummy.upper);
	free(dummy.upper);
	cleanup_close(&dummy.upper_lock);
	cleanup_close(&dummy.range_lock);
	return error;
}
