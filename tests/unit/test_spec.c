/* SPDX-License-Identifier: Apache-2.0 */
/* What a request may say: every field, what is accepted with which defaults, and what is refused with which words. */
#include <stdint.h>
#include <sys/resource.h>

#include <hutch/hutch.h>

#include "helpers.h"
#include "spec/check.h"

#define LONG_TEXT_BYTES 5000

static struct hutch_error err;
static char long_text[LONG_TEXT_BYTES];
static const char *const argv[] = {"true", NULL};

static void set_up(void)
{
	memset(long_text, 'x', sizeof long_text - 1);
	long_text[0] = '/';
	memset(&err, 0, sizeof err);
}

/* ---- accepted ---- */

START_TEST(nothing_is_all_defaults)
{
	struct hutch_spec spec, same;
	ck_assert_int_eq(spec_check(NULL, &spec, &err), 0);
	ck_assert_int_eq(spec_check(&HUTCH_SPEC(.root = HUTCH_ROOT_SYSTEM), &same, &err), 0);
	ck_assert_int_eq(memcmp(&spec, &same, sizeof spec), 0);
	ck_assert_uint_eq(spec.uid, SPEC_UID_DEFAULT);
	ck_assert_uint_eq(spec.limits.pids, SPEC_PIDS_DEFAULT);
	ck_assert_int_eq((int)spec.net, HUTCH_NET_NONE);
	ck_assert_int_eq((int)spec.seccomp, HUTCH_SECCOMP_DEFAULT);
	ck_assert_ptr_null(spec.workspace);
	struct hutch_command command;
	ck_assert_int_eq(command_check(&HUTCH_COMMAND(.argv = argv), &command, &err), 0);
	ck_assert_uint_eq(command.grace_ms, SPEC_GRACE_DEFAULT_MS);
	ck_assert_uint_eq(command.output_limit, SPEC_OUTPUT_DEFAULT);
	ck_assert_uint_eq(command.rows, 24);
	ck_assert_uint_eq(command.columns, 80);
	ck_assert_uint_eq(command.timeout_ms, 0);
}
END_TEST

START_TEST(identities)
{
	struct hutch_spec spec;
	ck_assert_int_eq(spec_check(&HUTCH_SPEC(.as_root = true), &spec, &err), 0);
	ck_assert_uint_eq(spec.uid, 0);
	ck_assert_int_eq(spec_check(&HUTCH_SPEC(.as_root = true, .has_uid = true, .uid = 0), &spec, &err), 0);
	ck_assert_uint_eq(spec.uid, 0);
	ck_assert_int_eq(spec_check(&HUTCH_SPEC(.has_uid = true, .uid = 65533), &spec, &err), 0);
	ck_assert_uint_eq(spec.uid, 65533);
	ck_assert_int_eq(spec_check(&HUTCH_SPEC(.uid = 5), &spec, &err), 0); /* without has_uid it does not count */
	ck_assert_uint_eq(spec.uid, SPEC_UID_DEFAULT);
}
END_TEST

/* ---- refused ---- */

static const struct hutch_mount
	no_source = {.target = "/x"}, no_target = {.kind = HUTCH_MOUNT_TMPFS}, bad_kind = {.kind = (enum hutch_mount_kind)7, .source = "/", .target = "/x"},
	bad_access = {.access = (enum hutch_access)9, .source = "/", .target = "/x"}, negative_access = {.access = (enum hutch_access)-1, .source = "/", .target = "/x"}, empty_source = {.source = "", .target = "/x"},
	relative = {.source = "/", .target = "x"}, dots = {.source = "/", .target = "/x/../y"}, dots_end = {.source = "/", .target = "/x/.."}, slash = {.source = "/", .target = "/"},
	slashes = {.source = "/", .target = "///"}, slash_dot = {.source = "/", .target = "/."}, proc = {.source = "/", .target = "/proc"}, proc_below = {.source = "/", .target = "/proc/sys"},
	proc_slashes = {.source = "/", .target = "//proc"}, proc_dot = {.source = "/", .target = "/./proc/x"}, dev = {.source = "/", .target = "/dev/shm"}, sys = {.source = "/", .target = "/sys"},
	own = {.source = "/", .target = "/.hutch"}, own_below = {.source = "/", .target = "/.//.hutch//x"}, tmpfs_dev = {.kind = HUTCH_MOUNT_TMPFS, .target = "/dev"},
	long_source = {.source = long_text, .target = "/x"}, long_target = {.source = "/", .target = long_text};

static const struct hutch_ulimit unknown_limit = {"nofiles", 1}, nproc = {"nproc", 1}, no_name = {NULL, 1}, thirteen[13] = {{"nofile", 1}};

static const struct {
	struct hutch_spec spec;
	int code;
	const char *word;
} bad_specs[] = {
#define MOUNT(mount) {.size = sizeof(struct hutch_spec), .mounts = &(mount), .mounts_count = 1}
#define SPEC(...) {.size = sizeof(struct hutch_spec), __VA_ARGS__}
	{MOUNT(no_source), HUTCH_E_INVALID, "mounts[0].source"}, {MOUNT(no_target), HUTCH_E_INVALID, "mounts[0].target"},
	{MOUNT(bad_kind), HUTCH_E_INVALID, "mounts[0].kind"}, {MOUNT(bad_access), HUTCH_E_INVALID, "mounts[0].access"}, {MOUNT(negative_access), HUTCH_E_INVALID, "mounts[0].access"},
	{MOUNT(empty_source), HUTCH_E_INVALID, "mounts[0].source is empty"}, {MOUNT(relative), HUTCH_E_INVALID, "absolute"},
	{MOUNT(dots), HUTCH_E_INVALID, "\"..\""}, {MOUNT(dots_end), HUTCH_E_INVALID, "\"..\""}, {MOUNT(slash), HUTCH_E_INVALID, "must not be \"/\""},
	{MOUNT(slashes), HUTCH_E_INVALID, "must not be \"/\""}, {MOUNT(slash_dot), HUTCH_E_INVALID, "must not be \"/\""}, {MOUNT(proc), HUTCH_E_INVALID, "/proc"},
	{MOUNT(proc_below), HUTCH_E_INVALID, "/proc"}, {MOUNT(proc_slashes), HUTCH_E_INVALID, "/proc"}, {MOUNT(proc_dot), HUTCH_E_INVALID, "/proc"},
	{MOUNT(dev), HUTCH_E_INVALID, "/dev"}, {MOUNT(sys), HUTCH_E_INVALID, "/sys"}, {MOUNT(own), HUTCH_E_INVALID, "/.hutch"}, {MOUNT(own_below), HUTCH_E_INVALID, "/.hutch"},
	{MOUNT(tmpfs_dev), HUTCH_E_INVALID, "/dev"}, {MOUNT(long_source), HUTCH_E_INVALID, "longer"}, {MOUNT(long_target), HUTCH_E_INVALID, "longer"},
	{SPEC(.mounts_count = 1), HUTCH_E_INVALID, "mounts"}, {SPEC(.mounts = &proc, .mounts_count = SPEC_MOUNTS_MAX + 1), HUTCH_E_INVALID, "mounts"},
	{SPEC(.root = (enum hutch_root)2), HUTCH_E_INVALID, "root"}, {SPEC(.root = (enum hutch_root)-1), HUTCH_E_INVALID, "root"},
	{SPEC(.rootfs_access = (enum hutch_access)3), HUTCH_E_INVALID, "rootfs_access"}, {SPEC(.workspace_access = (enum hutch_access)3), HUTCH_E_INVALID, "workspace_access"},
	{SPEC(.net = (enum hutch_net)2), HUTCH_E_INVALID, "net"}, {SPEC(.seccomp = (enum hutch_seccomp)4), HUTCH_E_INVALID, "seccomp"},
	{SPEC(.seccomp = HUTCH_SECCOMP_FILE), HUTCH_E_INVALID, "seccomp_file"}, {SPEC(.root = HUTCH_ROOT_DIRECTORY), HUTCH_E_INVALID, "rootfs is missing"},
	{SPEC(.rootfs = "/"), HUTCH_E_INVALID, "rootfs"}, {SPEC(.workspace = ""), HUTCH_E_INVALID, "workspace"}, {SPEC(.workspace = long_text), HUTCH_E_INVALID, "workspace"},
	{SPEC(.as_root = true, .has_uid = true, .uid = 5), HUTCH_E_INVALID, "as_root"}, {SPEC(.has_uid = true, .uid = 65534), HUTCH_E_INVALID, "uid"},
	{SPEC(.has_uid = true, .uid = UINT32_MAX), HUTCH_E_INVALID, "uid"}, {SPEC(.cap_add = UINT64_C(1) << 21), HUTCH_E_INVALID, "capability 21"},
	{SPEC(.cap_add = UINT64_C(1) << 63), HUTCH_E_INVALID, "capability 63"}, {SPEC(.cap_add = UINT64_C(1) << 10, .net = HUTCH_NET_HOST), HUTCH_E_INVALID, "net host"},
	{SPEC(.limits.ulimits = &unknown_limit, .limits.ulimits_count = 1), HUTCH_E_INVALID, "nofiles"}, {SPEC(.limits.ulimits = &nproc, .limits.ulimits_count = 1), HUTCH_E_INVALID, "nproc"},
	{SPEC(.limits.ulimits = &no_name, .limits.ulimits_count = 1), HUTCH_E_INVALID, "ulimits[0]"}, {SPEC(.limits.ulimits = thirteen, .limits.ulimits_count = 13), HUTCH_E_INVALID, "ulimits"},
	{SPEC(.limits.ulimits_count = 1), HUTCH_E_INVALID, "ulimits"}, {SPEC(.limits.memory_bytes = SPEC_MEMORY_MIN - 1), HUTCH_E_INVALID, "memory_bytes"},
	{SPEC(.limits.cpus_milli = SPEC_CPUS_MIN - 1), HUTCH_E_INVALID, "cpus_milli"},
};

START_TEST(wrong_specs)
{
	struct hutch_spec spec, untouched;
	memset(&spec, 0x5a, sizeof spec);
	untouched = spec;
	int ret = spec_check(&bad_specs[_i].spec, &spec, &err);
	ck_assert_msg(ret == -bad_specs[_i].code, "%s: %d", bad_specs[_i].word, ret);
	ck_assert_int_eq(err.code, bad_specs[_i].code);
	ck_assert_msg(strstr(err.message, bad_specs[_i].word), "\"%s\" lacks \"%s\"", err.message, bad_specs[_i].word);
	ck_assert_int_eq(memcmp(&spec, &untouched, sizeof spec), 0);
	ck_assert_int_eq(spec_check(&bad_specs[_i].spec, &spec, NULL), ret);
}
END_TEST

static const struct hutch_mount good_mounts[] = {
	{.source = "/"}, {.source = "relative", .target = "/x"}, {.source = "/", .target = "/x/..y"}, {.source = "/", .target = "/proc2"}, {.source = "/", .target = "/device"},
	{.kind = HUTCH_MOUNT_TMPFS, .target = "/x"}, {.source = "/", .target = "/x", .access = HUTCH_ACCESS_RW}, {.source = "/", .target = "/.hutch2"}, {.source = "/", .target = "/x/proc"},
};

static const struct hutch_ulimit every_limit[] = {{"as", 1}, {"core", 1}, {"cpu", 1}, {"data", 1}, {"fsize", 1}, {"locks", 1}, {"memlock", 1}, {"msgqueue", 1}, {"nofile", 1}, {"sigpending", 1}, {"stack", 1}};

static const struct hutch_spec good_specs[] = {
	SPEC(.mounts = good_mounts, .mounts_count = COUNT(good_mounts)), SPEC(.limits.memory_bytes = SPEC_MEMORY_MIN),
	SPEC(.limits = {.memory_bytes = SPEC_MEMORY_MIN, .has_swap = true, .cpus_milli = SPEC_CPUS_MIN, .cpu_time_ms = 1, .io_read_bps = 1, .io_write_bps = 1}),
	SPEC(.limits.ulimits = every_limit, .limits.ulimits_count = COUNT(every_limit)), SPEC(.cap_add = SPEC_CAPS_IDS | SPEC_CAPS_NETWORK), SPEC(.cap_add = SPEC_CAPS_IDS, .net = HUTCH_NET_HOST),
	SPEC(.seccomp = HUTCH_SECCOMP_FILE, .seccomp_file = "x"), SPEC(.root = HUTCH_ROOT_DIRECTORY, .rootfs = "x"), SPEC(.workspace = "."), SPEC(.limits.swap_bytes = 5),
};

START_TEST(right_specs)
{
	struct hutch_spec spec;
	int ret = spec_check(&good_specs[_i], &spec, &err);
	ck_assert_msg(ret == 0, "%d: %s", _i, err.message);
	ck_assert_uint_eq(spec.size, sizeof spec);
}
END_TEST

static const char *const no_equals[] = {"A=1", "B", NULL}, *const no_env_name[] = {"=x", NULL}, *const empty_env[] = {"", NULL}, *const none[] = {NULL}, *const empty[] = {"", NULL};

static const struct {
	struct hutch_command command;
	const char *word;
} bad_commands[] = {
#define COMMAND(...) {.size = sizeof(struct hutch_command), .argv = argv, __VA_ARGS__}
	{{.size = sizeof(struct hutch_command)}, "argv"}, {{.size = sizeof(struct hutch_command), .argv = none}, "argv"}, {{.size = sizeof(struct hutch_command), .argv = empty}, "argv"},
	{COMMAND(.env = no_equals), "\"B\""}, {COMMAND(.env = no_env_name), "\"=x\""}, {COMMAND(.env = empty_env), "NAME=VALUE"},
	{COMMAND(.cwd = ""), "cwd"}, {COMMAND(.cwd = "x"), "cwd"}, {COMMAND(.cwd = "/x/../y"), "cwd"}, {COMMAND(.cwd = long_text), "cwd"},
	{COMMAND(.in.io = HUTCH_IO_CAPTURE), "command.in"}, {COMMAND(.out.io = HUTCH_IO_PIPE), "command.out"}, {COMMAND(.err.io = HUTCH_IO_PIPE), "command.err"},
	{COMMAND(.in = {HUTCH_IO_FD, -1}), "command.in.fd"}, {COMMAND(.out = {HUTCH_IO_FD, -1}), "command.out.fd"}, {COMMAND(.err = {HUTCH_IO_FD, -5}), "command.err.fd"},
	{COMMAND(.in.io = (enum hutch_io)6), "command.in"}, {COMMAND(.out.io = (enum hutch_io)99), "command.out"}, {COMMAND(.err.io = (enum hutch_io)-1), "command.err"},
	{COMMAND(.on_output_limit = (enum hutch_on_output_limit)2), "on_output_limit"}, {COMMAND(.on_exit = (enum hutch_on_exit)3), "on_exit"}, {COMMAND(.on_exit = (enum hutch_on_exit)-1), "on_exit"},
};

START_TEST(wrong_commands)
{
	struct hutch_command command;
	ck_assert_int_eq(command_check(&bad_commands[_i].command, &command, &err), -HUTCH_E_INVALID);
	ck_assert_msg(strstr(err.message, bad_commands[_i].word), "\"%s\" lacks \"%s\"", err.message, bad_commands[_i].word);
	ck_assert_int_eq(command_check(&bad_commands[_i].command, &command, NULL), -HUTCH_E_INVALID);
}
END_TEST

START_TEST(no_command)
{
	struct hutch_command command;
	ck_assert_int_eq(command_check(NULL, &command, &err), -HUTCH_E_INVALID);
}
END_TEST

/* ---- sizes ---- */

/* A program of an older header: what it did not know is zero, whatever lies behind its struct. */
START_TEST(older_structs)
{
	struct hutch_spec spec, old = HUTCH_SPEC(.workspace = "x", .lifetime_ms = 77, .best_effort = 1);
	old.size = offsetof(struct hutch_spec, net);
	ck_assert_int_eq(spec_check(&old, &spec, &err), 0);
	ck_assert_str_eq(spec.workspace, "x");
	ck_assert_uint_eq(spec.lifetime_ms, 0);
	ck_assert_uint_eq(spec.best_effort, 0);
	ck_assert_uint_eq(spec.size, sizeof spec);
	struct hutch_command command, older = HUTCH_COMMAND(.argv = argv, .check = true);
	older.size = offsetof(struct hutch_command, cwd);
	ck_assert_int_eq(command_check(&older, &command, &err), 0);
	ck_assert(!command.check);
}
END_TEST

START_TEST(newer_structs)
{
	struct {
		struct hutch_spec spec;
		char tail[64];
	} newer = {.spec = {.size = sizeof newer, .workspace = "x"}};
	struct hutch_spec spec;
	ck_assert_int_eq(spec_check(&newer.spec, &spec, &err), 0);
	ck_assert_uint_eq(spec.size, sizeof spec);
	for (size_t i = 0; i < sizeof newer.tail; i++) {
		newer.tail[i] = 1;
		ck_assert_int_eq(spec_check(&newer.spec, &spec, &err), -HUTCH_E_INVALID);
		newer.tail[i] = 0;
	}
	struct {
		struct hutch_command command;
		char tail[8];
	} command = {.command = {.size = sizeof command, .argv = argv}, .tail = {[7] = 1}};
	struct hutch_command copy;
	ck_assert_int_eq(command_check(&command.command, &copy, &err), -HUTCH_E_INVALID);
	command.tail[7] = 0;
	ck_assert_int_eq(command_check(&command.command, &copy, &err), 0);
}
END_TEST

START_TEST(structs_without_a_size)
{
	struct hutch_spec spec;
	struct hutch_command command;
	for (size_t size = 0; size < sizeof(size_t); size++) {
		ck_assert_int_eq(spec_check(&(struct hutch_spec){.size = size}, &spec, &err), -HUTCH_E_INVALID);
		ck_assert_int_eq(command_check(&(struct hutch_command){.size = size, .argv = argv}, &command, &err), -HUTCH_E_INVALID);
	}
	ck_assert_ptr_nonnull(strstr(err.message, "macro"));
}
END_TEST

/* ---- names ---- */

START_TEST(every_layer_and_limit_has_a_name)
{
	for (unsigned i = 0; i < 32; i++) {
		uint32_t bit = UINT32_C(1) << i;
		bool known = i < HUTCH_LAYERS || (bit & HUTCH_LIMITS_ALL);
		ck_assert_msg((hutch_requirement_name(bit) != NULL) == known, "bit %u", i);
	}
	ck_assert_ptr_null(hutch_requirement_name(0));
	ck_assert_ptr_null(hutch_requirement_name(3));
	ck_assert_str_eq(hutch_requirement_name(HUTCH_LAYER_NESTED_USERNS), "nested-userns");
	ck_assert_str_eq(hutch_requirement_name(HUTCH_LIMIT_CPU_TIME), "cpu-time");
}
END_TEST

START_TEST(ulimit_names)
{
	ck_assert_int_eq(spec_ulimit_resource("nofile"), RLIMIT_NOFILE);
	ck_assert_int_eq(spec_ulimit_resource("as"), RLIMIT_AS);
	ck_assert_int_eq(spec_ulimit_resource("nproc"), -1);
	ck_assert_int_eq(spec_ulimit_resource(""), -1);
	ck_assert_int_eq(spec_ulimit_resource("NOFILE"), -1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("spec");
	TCase *tests = tcase_create("spec");
	tcase_add_checked_fixture(tests, set_up, NULL);
	tcase_add_test(tests, nothing_is_all_defaults);
	tcase_add_test(tests, identities);
	tcase_add_loop_test(tests, wrong_specs, 0, COUNT(bad_specs));
	tcase_add_loop_test(tests, right_specs, 0, COUNT(good_specs));
	tcase_add_loop_test(tests, wrong_commands, 0, COUNT(bad_commands));
	tcase_add_test(tests, no_command);
	tcase_add_test(tests, older_structs);
	tcase_add_test(tests, newer_structs);
	tcase_add_test(tests, structs_without_a_size);
	tcase_add_test(tests, every_layer_and_limit_has_a_name);
	tcase_add_test(tests, ulimit_names);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
