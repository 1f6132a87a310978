/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hutch-init, as its owner sees it, with plans made by hand: good ones, wrong ones, bytes that are none, and messages in
 * the wrong order. What fails is told with stage, errno, item and detail; then init is gone, and nothing has run.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "engine/channel.h"
#include "engine/guest.h"
#include "engine/idmap.h"
#include "engine/image.h"
#include "helpers.h"
#include "plan/build.h"
#include "plan/filter.h"
#include "plan/stage.h"

#define PATIENCE_MS 10000

/* ---- a scene: one sandbox and one command, as small as they can be ---- */

static struct draft draft;
static struct command_draft program;
static struct filter filter;
static struct hutch_spec spec;
static struct hutch_error err;
static struct guest guest;
static int channels[2], out[2], lock, owner, image;
static uint64_t range;
static char top[4096];
static unsigned fds_before;

static uint64_t device_of(const struct stat *st)
{
	return (uint64_t)major(st->st_dev) << 32 | minor(st->st_dev);
}

static struct plan_op *add_source(enum plan_op_kind kind, const char *source, const char *target)
{
	struct stat st = {0};
	plan_string text = draft_text(&draft, source);
	struct plan_op *op = draft_op(&draft, kind, target);
	lstat(source, &st);
	op->source = text;
	op->dev = device_of(&st);
	op->ino = st.st_ino;
	op->flags = S_ISDIR(st.st_mode) ? 0 : PLAN_OP_IS_FILE;
	return op;
}

static void add_link(const char *target, const char *to)
{
	plan_string text = draft_text(&draft, to);
	draft_op(&draft, PLAN_OP_SYMLINK, target)->source = text;
}

static void set_command(const char *const *argv)
{
	struct hutch_command command = {.argv = argv, .rows = 24, .columns = 80, .out.io = HUTCH_IO_CAPTURE, .err.io = HUTCH_IO_NULL};
	command_draft_done(&program);
	ck_assert_int_eq(plan_command_build(&spec, &command, "/tmp", &program, &err), 0);
	program.fixed.flags |= PLAN_MAIN | PLAN_KILL_REST;
}

#define COMMAND(...) set_command((const char *const[]){__VA_ARGS__, NULL})

static void set_up(void)
{
	fds_before = count_fds();
	lock = owner = image = -1;
	guest = (struct guest){.pid = -1, .pidfd = -1};
	snprintf(top, sizeof top, "%s", make_directory());
	ck_assert_int_eq(chmod(top, 0755), 0);
	spec = (struct hutch_spec){.size = sizeof spec, .uid = 1000, .limits.pids = 64};
	bool root = idmap_is_real_root();
	if (root)
		ck_assert_int_eq(idmap_take_range(&range, &lock, &err), 0);
	draft_init(&draft);
	draft.fixed = (struct plan_sandbox){.flags = PLAN_NET_NEW | (root ? PLAN_RANGE : 0), .uid = 1000, .gid = 1000, .scratch_bytes = 16 << 20, .scratch_inodes = 1000, .streams_from = 2};
	draft.fixed.hostname = draft_text(&draft, "hand");
	add_source(PLAN_OP_BIND, "/usr", "/usr");
	add_link("/bin", "usr/bin");
	add_link("/lib", "usr/lib");
	add_link("/lib64", "usr/lib64");
	plan_devices(&draft, &spec);
	draft_op(&draft, PLAN_OP_PROC_READONLY, "/proc/sys");
	struct plan_op *tmp = draft_op(&draft, PLAN_OP_SCRATCH, "/tmp");
	tmp->mode = 01777;
	tmp->flags = PLAN_OP_WRITABLE;
	ck_assert_int_eq(filter_select(HUTCH_SECCOMP_DEFAULT, true, &filter), 0);
	for (unsigned i = 0; i < filter.count; i++)
		draft.fixed.filter_lengths[i] = filter.programs[i].length;
	COMMAND("/bin/sh", "-c", "echo ran");
	ck_assert_int_eq(channel_pair(channels, &err), 0);
	ck_assert_int_eq(pipe2(out, O_CLOEXEC | O_NONBLOCK), 0);
	owner = (int)syscall(SYS_pidfd_open, getpid(), 0);
	image = image_memfd("hutch-init", init_image, init_image_size, 1, &err);
	ck_assert(owner > 2 && image > 2);
}

static void tear_down(void)
{
	char command[5000];
	guest_end(&guest);
	draft_done(&draft);
	command_draft_done(&program);
	filter_done(&filter);
	const int fds[] = {channels[0], channels[1], out[0], out[1], lock, owner, image};
	for (int i = 0; i < COUNT(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	snprintf(command, sizeof command, "rm -rf '%s'", top);
	ck_assert_int_eq(system(command), 0);
	ck_assert_uint_eq(count_fds(), fds_before);
}

/* ---- acting ---- */

static void start_init(void)
{
	const struct guest_request request = {.image = image, .channel = channels[1], .owner = owner, .cgroup = -1, .own_network = true, .inside = 1000,
	                                      .uid = geteuid(), .gid = getegid(), .range_base = range};
	const struct message go = {.type = MESSAGE_GO};
	int ret = guest_start(&request, &guest, &err);
	ck_assert_msg(ret == 0, "%s", err.message);
	close(channels[1]);
	channels[1] = -1;
	if (range)
		ck_assert_int_eq(channel_send(channels[0], &go, NULL, 0), 0);
}

static void say(uint32_t type, const int *fds, unsigned count)
{
	const struct message message = {.type = type, .id = 1};
	ck_assert_int_eq(channel_send(channels[0], &message, fds, count), 0);
}

static int sealed(const void *bytes, size_t size)
{
	int fd = image_memfd("plan", bytes, size, 0, &err);
	ck_assert_int_ge(fd, 0);
	return fd;
}

static int sandbox_plan(void)
{
	static const struct sock_filter nothing[1];
	const struct sock_filter *const filters[2] = {filter.programs[0].instructions, filter.count > 1 ? filter.programs[1].instructions : nothing};
	void *bytes;
	size_t size;
	ck_assert_int_eq(draft_encode(&draft, filters, &bytes, &size, &err), 0);
	int fd = sealed(bytes, size);
	free(bytes);
	return fd;
}

static int command_plan(void)
{
	void *bytes;
	size_t size;
	ck_assert_int_eq(command_draft_encode(&program, &bytes, &size, &err), 0);
	int fd = sealed(bytes, size);
	free(bytes);
	return fd;
}

static void send_setup(int plan)
{
	const int fds[] = {plan, owner};
	say(MESSAGE_SETUP, fds, 2);
	close(plan);
}

static void send_exec(int plan)
{
	const int fds[] = {plan, out[1]};
	say(MESSAGE_EXEC, fds, 2);
	close(plan);
}

/* The next word of init. False: it is gone. */
static bool hear(struct message *message)
{
	struct pollfd fd = {.fd = channels[0], .events = POLLIN};
	int descriptor = -1;
	ck_assert_msg(poll(&fd, 1, PATIENCE_MS) == 1, "init says nothing");
	int ret = channel_receive(channels[0], message, &descriptor);
	if (descriptor >= 0)
		close(descriptor);
	ck_assert_msg(ret >= 0, "%d", ret);
	return ret > 0;
}

static void expect_end(void)
{
	struct message message;
	ck_assert_msg(!hear(&message), "message %u instead of the end", message.type);
	struct pollfd fd = {.fd = guest.pidfd, .events = POLLIN};
	ck_assert_msg(poll(&fd, 1, PATIENCE_MS) == 1, "init lives on");
}

static void expect(uint32_t type, struct message *message)
{
	ck_assert_msg(hear(message), "init is gone instead of message %u", type);
	ck_assert_msg(message->type == type, "message %u instead of %u (stage %s, %s, %s)", message->type, type, stage_name(message->stage), strerror(message->a), message->detail);
}

static void expect_silence(void)
{
	char text[64];
	ck_assert_msg(read(out[0], text, sizeof text) <= 0, "the payload has run");
}

static void expect_output(const char *expected)
{
	char text[64] = "";
	ck_assert_int_eq((int)read(out[0], text, sizeof text - 1), (int)strlen(expected));
	ck_assert_str_eq(text, expected);
}

/* ---- good plans ---- */

START_TEST(a_plan_by_hand)
{
	struct message message;
	start_init();
	send_setup(sandbox_plan());
	expect(MESSAGE_READY, &message);
	send_exec(command_plan());
	expect(MESSAGE_STARTED, &message);
	ck_assert_uint_eq(message.id, 1);
	expect(MESSAGE_EXITED, &message);
	ck_assert_int_eq(message.a, 0);
	expect_output("ran\n");
	send_exec(command_plan()); /* the main command has ended */
	expect(MESSAGE_NOT_STARTED, &message);
	ck_assert_uint_eq(message.stage, STAGE_FORK);
	ck_assert_int_eq(message.a, ESRCH);
	expect_silence();
}
END_TEST

START_TEST(many_commands)
{
	struct message message;
	start_init();
	send_setup(sandbox_plan());
	expect(MESSAGE_READY, &message);
	program.fixed.flags &= ~(uint32_t)(PLAN_MAIN | PLAN_KILL_REST);
	for (int i = 0; i < 200; i++) {
		send_exec(command_plan());
		expect(MESSAGE_STARTED, &message);
		expect(MESSAGE_EXITED, &message);
		ck_assert_int_eq(message.a, 0);
		expect_output("ran\n");
	}
}
END_TEST

/* ---- commands of other users ---- */

/* A plan that asks for init's own id is refused by init itself, whoever made it. */
START_TEST(users)
{
	struct message message;
	start_init();
	send_setup(sandbox_plan());
	expect(MESSAGE_READY, &message);
	COMMAND("/bin/sh", "-c", "echo $(id -u) $(id -g)");
	program.fixed.flags &= ~(uint32_t)(PLAN_MAIN | PLAN_KILL_REST);
	program.fixed.uid = program.fixed.gid = 77;
	send_exec(command_plan());
	if (range) {
		expect(MESSAGE_STARTED, &message);
		expect(MESSAGE_EXITED, &message);
		expect_output("77 77\n");
		program.fixed.uid = draft.fixed.init_uid;
		send_exec(command_plan());
	}
	expect(MESSAGE_NOT_STARTED, &message);
	ck_assert_uint_eq(message.stage, STAGE_USER);
	ck_assert_int_eq(message.a, EPERM);
	program.fixed.uid = 65534; /* is no plan */
	send_exec(command_plan());
	expect(MESSAGE_NOT_STARTED, &message);
	ck_assert_int_eq(message.a, EBADMSG);
	expect_silence();
}
END_TEST

/* ---- setup that fails ---- */

static const char *extra; /* of a case: the path that the detail names */

static void missing_source(void) { add_source(PLAN_OP_BIND, extra = "/no/such/place", "/x"); }
static void other_inode(void) { add_source(PLAN_OP_BIND, extra = "/usr/lib", "/x")->ino++; }
static void other_device(void) { add_source(PLAN_OP_BIND, extra = "/usr/lib", "/x")->dev ^= 1; }
static void bad_fd(void) { draft_op(&draft, PLAN_OP_BIND, extra = "/x")->fd = 200; }
static void bad_overlay_fd(void) { draft_op(&draft, PLAN_OP_OVERLAY, extra = "/x")->fd = 200; }

static void linked_source(void)
{
	static char path[4200];
	snprintf(path, sizeof path, "%s/link", top);
	ck_assert_int_eq(symlink("/usr/lib", path), 0);
	add_source(PLAN_OP_BIND, extra = path, "/x");
}

static void source_below_link(void)
{
	static char path[4200];
	snprintf(path, sizeof path, "%s/link", top);
	ck_assert_int_eq(symlink("/usr", path), 0);
	snprintf(path, sizeof path, "%s/link/lib", top);
	add_source(PLAN_OP_BIND, extra = path, "/x");
}

static void unreachable_source(void)
{
	static char path[4200];
	snprintf(path, sizeof path, "%s/closed", top);
	ck_assert_int_eq(mkdir(path, 0000), 0);
	snprintf(path, sizeof path, "%s/closed/x", top);
	add_source(PLAN_OP_BIND, extra = path, "/x");
}

static void target_below_link(void) { add_source(PLAN_OP_BIND, "/usr/lib", extra = "/bin/x"); }
static void target_is_link(void) { add_source(PLAN_OP_BIND, "/usr/lib", extra = "/bin"); }
static void target_with_dots(void) { add_source(PLAN_OP_BIND, "/usr/lib", extra = "/a/../../x"); }
static void target_in_readonly(void) { add_source(PLAN_OP_BIND, "/usr/lib", extra = "/usr/no-such-place"); }
static void link_twice(void) { add_link(extra = "/bin", "x"); }
static void file_twice(void) { draft_op(&draft, PLAN_OP_FILE, "/f"); draft_op(&draft, PLAN_OP_FILE, extra = "/f"); }
static void below_a_file(void) { draft_op(&draft, PLAN_OP_FILE, "/f"); draft_op(&draft, PLAN_OP_DIRECTORY, extra = "/f/x"); }
static void file_over_directory(void) { add_source(PLAN_OP_BIND, "/usr/bin/env", extra = "/tmp"); }
static void few_inodes(void) { draft.fixed.scratch_inodes = 1; extra = ""; }

static void small_staging(void)
{
	static char big[9 << 20];
	memset(big, 'x', sizeof big - 1);
	plan_string text = draft_text(&draft, big);
	draft_op(&draft, PLAN_OP_FILE, "/big")->source = text;
	draft_op(&draft, PLAN_OP_FILE, extra = "/big2")->source = text;
}

static void wrong_device(void)
{
	plan_string source = draft_text(&draft, "/dev/zero");
	struct plan_op *op = draft_op(&draft, PLAN_OP_DEVICE, extra = "/dev/evil");
	op->source = source;
	op->dev = UINT64_C(1) << 32 | 3;
}

static void no_device(void)
{
	plan_string source = draft_text(&draft, "/usr/lib");
	draft_op(&draft, PLAN_OP_DEVICE, extra = "/dev/evil")->source = source;
}

static void missing_device(void)
{
	plan_string source = draft_text(&draft, "/dev/no-such-device");
	draft_op(&draft, PLAN_OP_DEVICE, extra = "/dev/evil")->source = source;
}

static void mask_through_link(void) { draft_op(&draft, PLAN_OP_MASK, extra = "/proc/self/status"); }
static void mask_file_on_directory(void) { draft_op(&draft, PLAN_OP_MASK, extra = "/proc/sys")->flags = PLAN_OP_IS_FILE; }

static void long_hostname(void)
{
	char name[100];
	memset(name, 'h', 99);
	name[99] = '\0';
	draft.fixed.hostname = draft_text(&draft, name);
	extra = "";
}

static void unmapped_init(void) { draft.fixed.flags |= PLAN_RANGE; draft.fixed.init_uid = 70000; draft.fixed.init_gid = 70000; extra = ""; }

static const struct {
	const char *name;
	void (*change)(void);
	enum stage stage;
	int error, other_error; /* the other one is as good */
} setups[] = {
	{"missing source", missing_source, STAGE_MOUNTS, ENOENT, 0},
	{"replaced source", other_inode, STAGE_MOUNTS, ESTALE, 0},
	{"source on another device", other_device, STAGE_MOUNTS, ESTALE, 0},
	{"source is a link", linked_source, STAGE_MOUNTS, ELOOP, 0},
	{"source below a link", source_below_link, STAGE_MOUNTS, ELOOP, 0},
	{"unreachable source", unreachable_source, STAGE_MOUNTS, EACCES, ENOENT},
	{"fd that was not sent", bad_fd, STAGE_MOUNTS, EBADF, 0},
	{"overlay of an fd that was not sent", bad_overlay_fd, STAGE_MOUNTS, EBADF, 0},
	{"target below a link", target_below_link, STAGE_MOUNTS, ELOOP, 0},
	{"target is a link", target_is_link, STAGE_MOUNTS, ELOOP, 0},
	{"target with dots", target_with_dots, STAGE_MOUNTS, EXDEV, 0},
	{"target that cannot be made", target_in_readonly, STAGE_MOUNTS, EROFS, EACCES},
	{"link twice", link_twice, STAGE_MOUNTS, EEXIST, 0},
	{"file twice", file_twice, STAGE_MOUNTS, EEXIST, 0},
	{"below a file", below_a_file, STAGE_MOUNTS, ENOTDIR, 0},
	{"file over a directory", file_over_directory, STAGE_MOUNTS, EINVAL, ENOTDIR},
	{"too few inodes", few_inodes, STAGE_MOUNTS, ENOSPC, 0},
	{"too large files", small_staging, STAGE_MOUNTS, ENOSPC, 0},
	{"another device", wrong_device, STAGE_DEV, ENODEV, 0},
	{"no device", no_device, STAGE_DEV, ENODEV, 0},
	{"missing device", missing_device, STAGE_DEV, ENOENT, 0},
	{"mask through a link", mask_through_link, STAGE_MASKS, ELOOP, 0},
	{"mask of another kind", mask_file_on_directory, STAGE_MASKS, EINVAL, ENOTDIR},
	{"long host name", long_hostname, STAGE_HOSTNAME, EINVAL, 0},
	{"init's id is not mapped", unmapped_init, STAGE_IDS, EINVAL, 0},
};

START_TEST(setup_fails)
{
	struct message message;
	setups[_i].change();
	uint32_t last = (uint32_t)draft.ops_count - 1;
	start_init();
	send_setup(sandbox_plan());
	expect(MESSAGE_FAILED, &message);
	ck_assert_msg(message.stage == setups[_i].stage, "%s: stage %s instead of %s", setups[_i].name, stage_name(message.stage), stage_name(setups[_i].stage));
	ck_assert_msg(message.a == setups[_i].error || (setups[_i].other_error && message.a == setups[_i].other_error), "%s: %s", setups[_i].name, strerror(message.a));
	if (*extra) {
		ck_assert_msg(strncmp(message.detail, extra, sizeof message.detail - 1) == 0, "%s: detail \"%s\"", setups[_i].name, message.detail);
		ck_assert_msg(message.item == last, "%s: item %u of %u", setups[_i].name, message.item, last);
	}
	expect_end();
	expect_silence();
}
END_TEST

START_TEST(masks_may_be_optional)
{
	struct message message;
	mask_through_link();
	draft.fixed.best_effort = HUTCH_LAYER_MASKS;
	start_init();
	send_setup(sandbox_plan());
	expect(MESSAGE_READY, &message);
	ck_assert_uint_eq(message.value & HUTCH_LAYER_MASKS, HUTCH_LAYER_MASKS);
	send_exec(command_plan());
	expect(MESSAGE_STARTED, &message);
}
END_TEST

START_TEST(only_what_is_optional)
{
	struct message message;
	wrong_device();
	draft.fixed.best_effort = ~0u; /* devices are no layer */
	start_init();
	send_setup(sandbox_plan());
	expect(MESSAGE_FAILED, &message);
	ck_assert_uint_eq(message.stage, STAGE_DEV);
}
END_TEST

/* ---- what is no plan ---- */

static void garbage(void)
{
	char bytes[4096];
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (char)(i * 7);
	send_setup(sealed(bytes, sizeof bytes));
}

static void empty_plan(void) { send_setup(sealed("", 0)); }
static void kind_of_command(void) { send_setup(command_plan()); }
static void no_fds(void) { say(MESSAGE_SETUP, NULL, 0); }
static void one_fd(void) { int plan = sandbox_plan(); say(MESSAGE_SETUP, &plan, 1); close(plan); }
static void exec_first(void) { send_exec(command_plan()); }
static void ready_first(void) { say(MESSAGE_READY, NULL, 0); }
static void unknown_first(void) { say(4711, NULL, 0); }
static void short_message(void) { ck_assert_int_eq((int)send(channels[0], "x", 1, MSG_NOSIGNAL), 1); }
static void long_message(void) { char bytes[1000] = {MESSAGE_SETUP}; ck_assert_int_eq((int)send(channels[0], bytes, sizeof bytes, MSG_NOSIGNAL), (int)sizeof bytes); }

static void truncated_plan(void)
{
	char bytes[100];
	int plan = sandbox_plan();
	ck_assert_int_eq((int)pread(plan, bytes, sizeof bytes, 0), (int)sizeof bytes);
	close(plan);
	send_setup(sealed(bytes, sizeof bytes));
}

static void pipe_for_a_plan(void)
{
	const int fds[] = {out[1], owner};
	say(MESSAGE_SETUP, fds, 2);
}

static void (*const firsts[])(void) = {garbage, empty_plan, kind_of_command, no_fds, one_fd, exec_first, ready_first, unknown_first, short_message, long_message, truncated_plan, pipe_for_a_plan};

START_TEST(wrong_beginnings)
{
	struct message message;
	start_init();
	firsts[_i]();
	expect(MESSAGE_FAILED, &message);
	ck_assert_uint_eq(message.stage, STAGE_RECEIVE);
	ck_assert_int_eq(message.a, firsts[_i] == pipe_for_a_plan ? ESPIPE : EBADMSG);
	expect_end();
	expect_silence();
}
END_TEST

/* Between READY and the first command. */
static void (*const laters[])(void) = {ready_first, unknown_first, short_message, long_message, no_fds};

START_TEST(nonsense_ends_init)
{
	struct message message;
	start_init();
	send_setup(sandbox_plan());
	expect(MESSAGE_READY, &message);
	laters[_i]();
	expect_end();
}
END_TEST

START_TEST(the_socket_ends)
{
	struct message message;
	start_init();
	if (_i) {
		send_setup(sandbox_plan());
		expect(MESSAGE_READY, &message);
	}
	ck_assert_int_eq(shutdown(channels[0], SHUT_RDWR), 0);
	struct pollfd fd = {.fd = guest.pidfd, .events = POLLIN};
	ck_assert_int_eq(poll(&fd, 1, PATIENCE_MS), 1);
}
END_TEST

/* ---- commands that fail ---- */

static void cwd_missing(void) { program.fixed.cwd = pool_add(&program.pool, "/no/such/place"); }
static void cwd_file(void) { program.fixed.cwd = pool_add(&program.pool, "/bin/sh"); }
static void not_found(void) { COMMAND("no-such-command"); }
static void path_not_found(void) { COMMAND("/no/such/command"); }
static void a_directory(void) { COMMAND("/usr"); }
static void wrong_rlimit(void) { program.rlimits[0] = (struct plan_rlimit){.resource = 99, .soft = 1, .hard = 1}; }

static void add_script(const char *text, mode_t mode)
{
	plan_string contents = draft_text(&draft, text);
	struct plan_op *op = draft_op(&draft, PLAN_OP_FILE, "/script");
	op->source = contents;
	op->mode = mode;
	COMMAND("/script");
}

static void no_interpreter(void) { add_script("#!/no/such/interpreter\n", 0755); }
static void no_format(void) { add_script("this is no program\n", 0755); }
static void no_execute_bit(void) { add_script("#!/bin/sh\n", 0644); }
static void no_exec_mount(void) { add_source(PLAN_OP_BIND, "/usr/bin", "/progs")->flags |= PLAN_OP_NO_EXEC; COMMAND("/progs/env"); }

static void wrong_filter(void)
{
	static const struct sock_filter broken[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0xffff), BPF_STMT(BPF_RET | BPF_K, 0x7fff0000)};
	filter_done(&filter);
	filter = (struct filter){.count = 1, .programs = {{.instructions = broken, .length = 2}}};
	draft.fixed.filter_lengths[0] = 2;
	draft.fixed.filter_lengths[1] = 0;
}

static void group_of_init(void) { program.fixed.gid = draft.fixed.init_gid; }

static const struct {
	const char *name;
	void (*change)(void);
	enum stage stage;
	int error;
	bool needs_range;
} programs[] = {
	{"cwd missing", cwd_missing, STAGE_CWD, ENOENT, false},
	{"cwd is a file", cwd_file, STAGE_CWD, ENOTDIR, false},
	{"not in PATH", not_found, STAGE_EXEC, ENOENT, false},
	{"not there", path_not_found, STAGE_EXEC, ENOENT, false},
	{"a directory", a_directory, STAGE_EXEC, EACCES, false},
	{"no interpreter", no_interpreter, STAGE_EXEC, ELIBBAD, false},
	{"no format", no_format, STAGE_EXEC, ENOEXEC, false},
	{"no execute bit", no_execute_bit, STAGE_EXEC, EACCES, false},
	{"noexec", no_exec_mount, STAGE_EXEC, EACCES, false},
	{"unknown limit", wrong_rlimit, STAGE_RLIMITS, EINVAL, false},
	{"filter that the kernel refuses", wrong_filter, STAGE_SECCOMP, EINVAL, false},
	{"init's group", group_of_init, STAGE_USER, EPERM, true},
};

START_TEST(command_fails)
{
	struct message message;
	if (skipped(programs[_i].needs_range && !range, programs[_i].name, "needs root"))
		return;
	programs[_i].change();
	start_init();
	send_setup(sandbox_plan());
	send_exec(command_plan());
	expect(MESSAGE_READY, &message);
	expect(MESSAGE_NOT_STARTED, &message);
	ck_assert_msg(message.stage == programs[_i].stage, "%s: stage %s", programs[_i].name, stage_name(message.stage));
	ck_assert_msg(message.a == programs[_i].error, "%s: %s", programs[_i].name, strerror(message.a));
	ck_assert_uint_eq(message.id, 1);
	expect_silence();
}
END_TEST

static void command_garbage(void) { send_exec(sealed("garbage garbage garbage garbage", 32)); }
static void command_empty(void) { send_exec(sealed("", 0)); }
static void command_of_sandbox(void) { send_exec(sandbox_plan()); }
static void command_without_fds(void) { say(MESSAGE_EXEC, NULL, 0); }

static void (*const wrong_commands[])(void) = {command_garbage, command_empty, command_of_sandbox, command_without_fds};

START_TEST(what_is_no_command)
{
	struct message message;
	start_init();
	send_setup(sandbox_plan());
	expect(MESSAGE_READY, &message);
	for (int i = 0; i < 3; i++) { /* init serves on */
		wrong_commands[_i]();
		expect(MESSAGE_NOT_STARTED, &message);
		ck_assert_uint_eq(message.stage, STAGE_FORK);
		ck_assert_int_eq(message.a, EBADMSG);
	}
	send_exec(command_plan());
	expect(MESSAGE_STARTED, &message);
	expect(MESSAGE_EXITED, &message);
	expect_output("ran\n");
}
END_TEST

/* A stream that the plan speaks of and nobody sent is not silently another one. */
START_TEST(a_missing_stream)
{
	struct message message;
	start_init();
	send_setup(sandbox_plan());
	expect(MESSAGE_READY, &message);
	int plan = command_plan();
	say(MESSAGE_EXEC, &plan, 1);
	close(plan);
	expect(MESSAGE_NOT_STARTED, &message);
	ck_assert_uint_eq(message.stage, STAGE_FORK);
	ck_assert_int_eq(message.a, EBADMSG);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("plans");
	TCase *tests = tcase_create("plans");
	tcase_set_timeout(tests, 60);
	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_test(tests, a_plan_by_hand);
	tcase_add_test(tests, many_commands);
	tcase_add_test(tests, users);
	tcase_add_loop_test(tests, setup_fails, 0, COUNT(setups));
	tcase_add_test(tests, masks_may_be_optional);
	tcase_add_test(tests, only_what_is_optional);
	tcase_add_loop_test(tests, wrong_beginnings, 0, COUNT(firsts));
	tcase_add_loop_test(tests, nonsense_ends_init, 0, COUNT(laters));
	tcase_add_loop_test(tests, the_socket_ends, 0, 2);
	tcase_add_loop_test(tests, command_fails, 0, COUNT(programs));
	tcase_add_loop_test(tests, what_is_no_command, 0, COUNT(wrong_commands));
	tcase_add_test(tests, a_missing_stream);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
