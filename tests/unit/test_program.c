/* SPDX-License-Identifier: Apache-2.0 */
/* From a request to a plan: what the command gets, where things are mounted and in which order, and the plan as text. */
#include <fcntl.h>
#include <linux/filter.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <hutch/hutch.h>

#include "helpers.h"
#include "plan/build.h"
#include "spec/check.h"

static struct hutch_error err;
static struct hutch_spec spec;
static struct command_draft program;
static struct draft draft;
static struct plan_host host;
static char top[4096];

static void set_up(void)
{
	spec = (struct hutch_spec){.size = sizeof spec, .uid = 1000, .limits.pids = 100};
	host = (struct plan_host){.uid = geteuid(), .gid = getegid()};
	draft_init(&draft);
	snprintf(top, sizeof top, "%s", make_directory());
}

static void tear_down(void)
{
	char command[5000];
	draft_done(&draft);
	command_draft_done(&program);
	snprintf(command, sizeof command, "rm -rf '%s'", top);
	ck_assert_int_eq(system(command), 0);
}

/* ---- the command ---- */

static void build(const struct hutch_command *command, const char *workspace)
{
	struct hutch_command checked;
	command_draft_done(&program);
	ck_assert_int_eq(command_check(command, &checked, &err), 0);
	ck_assert_msg(plan_command_build(&spec, &checked, workspace, &program, &err) == 0, "%s", err.message);
}

static const char *text(plan_string string)
{
	return program.pool.bytes + string;
}

static bool has_env(const char *entry)
{
	for (uint32_t i = 0; i < program.fixed.envc; i++)
		if (strcmp(text(program.env[i]), entry) == 0)
			return true;
	return false;
}

#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})

START_TEST(environment_from_nothing)
{
	setenv("SECRET", "x", 1);
	build(&HUTCH_COMMAND(.argv = ARGV("a")), NULL);
	ck_assert_uint_eq(program.fixed.envc, 4);
	ck_assert(has_env("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin") && has_env("HOME=/home/sandbox") && has_env("USER=sandbox") && has_env("LANG=C.UTF-8"));
	build(&HUTCH_COMMAND(.argv = ARGV("a"), .out.io = HUTCH_IO_PTY, .term = "vt100"), NULL);
	ck_assert(has_env("TERM=vt100"));
	build(&HUTCH_COMMAND(.argv = ARGV("a"), .in.io = HUTCH_IO_PTY), NULL);
	ck_assert(has_env("TERM=xterm"));
	spec.uid = 0;
	build(&HUTCH_COMMAND(.argv = ARGV("a")), NULL);
	ck_assert(has_env("HOME=/root") && has_env("USER=root"));
}
END_TEST

START_TEST(another_user)
{
	struct plan_host single = {.uid = 1000, .gid = 1000}, range = {.has_range = true};
	struct hutch_command command = HUTCH_COMMAND(.argv = ARGV("a"), .has_uid = true, .uid = 5);

	build(&command, NULL);
	ck_assert_uint_eq(program.fixed.uid, 5);
	ck_assert_uint_eq(program.fixed.gid, 5);
	ck_assert(has_env("HOME=/home/sandbox") && has_env("USER=sandbox"));
	ck_assert_str_eq(text(program.fixed.cwd), "/");
	ck_assert_int_eq(plan_command_user(&range, &spec, &command, &err), 0);
	ck_assert_int_eq(plan_command_user(&single, &spec, &command, &err), -HUTCH_E_UNSUPPORTED);
	ck_assert_ptr_nonnull(strstr(err.hint, "/etc/subuid"));
	command.uid = spec.uid;
	ck_assert_int_eq(plan_command_user(&single, &spec, &command, &err), 0);
	command.uid = 0;
	ck_assert_int_eq(plan_command_user(&range, &spec, &command, &err), -HUTCH_E_UNSUPPORTED); /* init's */
	ck_assert_ptr_nonnull(strstr(err.hint, "--as-root"));
	spec.uid = 0;
	ck_assert_int_eq(plan_command_user(&range, &spec, &command, &err), 0);
	command.uid = 1000;
	ck_assert_int_eq(plan_command_user(&range, &spec, &command, &err), 0);
	build(&command, NULL);
	ck_assert(has_env("HOME=/") && has_env("USER=sandbox"));
	ck_assert_int_eq(command_check(&HUTCH_COMMAND(.argv = ARGV("a"), .has_uid = true, .uid = 65534), &command, &err), -HUTCH_E_INVALID);
	ck_assert_int_eq(command_check(&HUTCH_COMMAND(.argv = ARGV("a"), .has_uid = true, .uid = 65533), &command, &err), 0);
}
END_TEST

START_TEST(environment_is_replaced_and_added)
{
	build(&HUTCH_COMMAND(.argv = ARGV("a"), .env = ARGV("A=1", "HOME=/x", "A=2", "EMPTY=", "HOMER=y", "PATHX=z", "EQ=a=b")), NULL);
	ck_assert(has_env("A=2") && !has_env("A=1") && has_env("HOME=/x") && !has_env("HOME=/home/sandbox") && has_env("EMPTY=") && has_env("HOMER=y") && has_env("EQ=a=b") && has_env("USER=sandbox"));
	ck_assert_uint_eq(program.fixed.envc, 3 + 6);
}
END_TEST

static const struct {
	const char *name, *path;
	const char *tries[4];
} lookups[] = {
	{"ls", "PATH=/a:/b", {"/a/ls", "/b/ls"}},
	{"ls", "PATH=/a", {"/a/ls"}},
	{"ls", "PATH=", {"./ls"}},
	{"ls", "PATH=:/b:", {"./ls", "/b/ls", "./ls"}},
	{"ls", "PATH=/a//", {"/a///ls"}},
	{"./ls", "PATH=/a", {"./ls"}},
	{"/bin/ls", "PATH=/a", {"/bin/ls"}},
	{"a/b", "PATH=/a", {"a/b"}},
	{"ls", "PATHS=/a", {"/usr/local/sbin/ls", "/usr/local/bin/ls", "/usr/sbin/ls", "/usr/bin/ls"}},
};

START_TEST(looking_up)
{
	build(&HUTCH_COMMAND(.argv = ARGV(lookups[_i].name, "-l"), .env = ARGV(lookups[_i].path)), NULL);
	for (uint32_t i = 0; i < 4 && lookups[_i].tries[i]; i++) {
		ck_assert_uint_gt(program.fixed.pathc, i);
		ck_assert_str_eq(text(program.path[i]), lookups[_i].tries[i]);
	}
	ck_assert_str_eq(text(program.argv[0]), lookups[_i].name);
	ck_assert_uint_eq(program.fixed.argc, 2);
}
END_TEST

START_TEST(names_and_paths_without_end)
{
	static char name[5000], path[100000] = "PATH=";
	struct hutch_command checked;
	memset(name, 'n', sizeof name - 1);
	const char *const argv[] = {name, NULL};
	ck_assert_int_eq(command_check(&HUTCH_COMMAND(.argv = argv), &checked, &err), 0);
	ck_assert_int_eq(plan_command_build(&spec, &checked, NULL, &program, &err), -HUTCH_E_NOT_EXECUTABLE);
	ck_assert_int_eq(err.sys_errno, ENAMETOOLONG);
	for (int i = 0; i < 2000; i++)
		strcat(path, "/a:");
	build(&HUTCH_COMMAND(.argv = ARGV("ls"), .env = ARGV(path)), NULL);
	ck_assert_uint_le(program.fixed.pathc, 256); /* what the decoder takes */
}
END_TEST

static const struct plan_rlimit *limit(unsigned resource)
{
	for (uint32_t i = 0; i < program.fixed.rlimits_count; i++)
		if (program.rlimits[i].resource == resource)
			return &program.rlimits[i];
	ck_abort_msg("no limit %u", resource);
	return NULL;
}

START_TEST(limits)
{
	const struct hutch_ulimit asked[] = {{"nofile", 77}, {"locks", 5}, {"msgqueue", 6}, {"sigpending", 7}, {"core", 0}, {"nofile", 78}};
	build(&HUTCH_COMMAND(.argv = ARGV("a")), NULL);
	ck_assert_uint_eq(limit(RLIMIT_NPROC)->soft, 100);
	ck_assert_uint_eq(limit(RLIMIT_NPROC)->hard, 100);
	ck_assert_uint_eq(limit(RLIMIT_CORE)->hard, 1);
	ck_assert_uint_eq(limit(RLIMIT_NOFILE)->soft, 1024);
	spec.limits.ulimits = asked;
	spec.limits.ulimits_count = COUNT(asked);
	build(&HUTCH_COMMAND(.argv = ARGV("a")), NULL);
	ck_assert_uint_eq(limit(RLIMIT_NOFILE)->soft, 78);
	ck_assert_uint_eq(limit(RLIMIT_NOFILE)->hard, 78);
	ck_assert_uint_eq(limit(RLIMIT_LOCKS)->hard, 5);
	ck_assert_uint_eq(limit(RLIMIT_CORE)->hard, 0);
	ck_assert_uint_le(program.fixed.rlimits_count, PLAN_RLIMITS_MAX);
}
END_TEST

START_TEST(every_limit_at_once)
{
	const struct hutch_ulimit all[] = {{"as", 1}, {"core", 1}, {"cpu", 1}, {"data", 1}, {"fsize", 1}, {"locks", 1}, {"memlock", 1}, {"msgqueue", 1}, {"nofile", 1}, {"sigpending", 1}, {"stack", 1}, {"as", 2}};
	spec.limits.ulimits = all;
	spec.limits.ulimits_count = COUNT(all);
	build(&HUTCH_COMMAND(.argv = ARGV("a")), NULL);
	ck_assert_uint_le(program.fixed.rlimits_count, PLAN_RLIMITS_MAX);
	for (int i = 0; i < COUNT(all) - 1; i++)
		ck_assert_uint_eq(limit((unsigned)spec_ulimit_resource(all[i].name))->hard, i == 0 ? 2 : 1);
}
END_TEST

START_TEST(directories_and_streams)
{
	build(&HUTCH_COMMAND(.argv = ARGV("a")), "/w");
	ck_assert_str_eq(text(program.fixed.cwd), "/w");
	ck_assert_uint_eq(program.fixed.flags & 0xff, PLAN_STREAM_FD(1) | PLAN_STREAM_FD(2));
	build(&HUTCH_COMMAND(.argv = ARGV("a"), .cwd = "/c", .in.io = HUTCH_IO_PTY, .out.io = HUTCH_IO_NULL, .err = {HUTCH_IO_FD, 1}), "/w");
	ck_assert_str_eq(text(program.fixed.cwd), "/c");
	ck_assert_uint_eq(program.fixed.flags & 0xff, PLAN_STREAM_PTY(0) | PLAN_STREAM_FD(2));
	build(&HUTCH_COMMAND(.argv = ARGV("a"), .in.io = HUTCH_IO_PIPE), NULL);
	ck_assert_str_eq(text(program.fixed.cwd), "/home/sandbox");
	ck_assert_uint_eq(program.fixed.flags & 0xff, PLAN_STREAM_FD(0) | PLAN_STREAM_FD(1) | PLAN_STREAM_FD(2));
	spec.root = HUTCH_ROOT_DIRECTORY;
	spec.rootfs_access = HUTCH_ACCESS_RW;
	build(&HUTCH_COMMAND(.argv = ARGV("a")), NULL);
	ck_assert_str_eq(text(program.fixed.cwd), "/");
	ck_assert_uint_eq(program.fixed.umask, 022);
}
END_TEST

/* ---- files ---- */

static const char *target_of(size_t i)
{
	return draft.pool.bytes + draft.ops[i].target;
}

static bool is_shown(const char *target)
{
	for (size_t i = 0; i < draft.ops_count; i++)
		if (strcmp(target_of(i), target) == 0)
			return true;
	return false;
}

static const struct plan_op *op_at(const char *target)
{
	size_t i = 0;
	while (i < draft.ops_count && strcmp(target_of(i), target) != 0)
		i++;
	ck_assert_msg(i < draft.ops_count, "nothing at %s", target);
	return &draft.ops[i];
}

/* A directory is mounted before what is in it, whatever the caller's order and whatever sorts between them. */
START_TEST(parents_come_first)
{
	struct hutch_mount mounts[] = {
		{.source = top, .target = "/m/b/c"}, {.source = top, .target = "/m/b-c"}, {.source = top, .target = "/m/b"}, {.kind = HUTCH_MOUNT_TMPFS, .target = "/m"}, {.source = top, .target = "/m/b!"},
		{.source = top, .target = "/m/b/c/d"}, {.source = top, .target = "/tmp/x"}, {.source = top, .target = "//m/./a//"}, {.source = top, .target = "/m/b0"}, {.source = top, .target = "/home/sandbox/y"},
	};
	spec.mounts = mounts;
	spec.mounts_count = COUNT(mounts);
	ck_assert_msg(plan_files(&host, &spec, &draft, &err) == 0, "%s", err.message);
	for (size_t i = 0; i < draft.ops_count; i++)
		for (size_t j = 0; j < i; j++) {
			size_t length = strlen(target_of(i));
			ck_assert_msg(strncmp(target_of(j), target_of(i), length) != 0 || target_of(j)[length] != '/', "%s comes before %s", target_of(j), target_of(i));
		}
	ck_assert(is_shown("/m/a")); /* as it was meant */
	ck_assert(is_shown("/m/b-c"));
	ck_assert_uint_eq(draft.ops_count, COUNT(mounts) + 4); /* tmp, shm, var/tmp, home */
}
END_TEST

START_TEST(kinds_and_flags)
{
	char file[4200], resolved[4096];
	snprintf(file, sizeof file, "%s/file", top);
	ck_assert_int_eq(mknod(file, S_IFREG | 0644, 0), 0);
	struct stat st;
	ck_assert_int_eq(stat(file, &st), 0);
	const struct hutch_mount mounts[] = {
		{.source = top, .target = "/ro"}, {.source = top, .target = "/rw", .access = HUTCH_ACCESS_RW}, {.source = top, .target = "/cow", .access = HUTCH_ACCESS_COW}, {.source = file, .target = "/f"},
		{.kind = HUTCH_MOUNT_TMPFS, .target = "/t", .size_bytes = 4096}, {.kind = HUTCH_MOUNT_TMPFS, .target = "/s"}, {.kind = HUTCH_MOUNT_TMPFS, .target = "/tmp", .size_bytes = 8192},
	};
	spec.mounts = mounts;
	spec.mounts_count = COUNT(mounts);
	spec.workspace = top;
	ck_assert_int_eq(plan_files(&host, &spec, &draft, &err), 0);
	ck_assert_uint_eq(op_at("/ro")->kind, PLAN_OP_BIND);
	ck_assert_uint_eq(op_at("/ro")->flags & PLAN_OP_WRITABLE, 0);
	ck_assert_uint_eq(op_at("/rw")->flags & PLAN_OP_WRITABLE, PLAN_OP_WRITABLE);
	ck_assert_uint_eq(op_at("/cow")->kind, PLAN_OP_OVERLAY);
	ck_assert_uint_eq(op_at("/f")->flags & PLAN_OP_IS_FILE, PLAN_OP_IS_FILE);
	ck_assert_uint_eq(op_at("/f")->ino, st.st_ino);
	ck_assert_uint_eq(op_at("/t")->kind, PLAN_OP_TMPFS);
	ck_assert_uint_eq(op_at("/t")->size, 4096);
	ck_assert_uint_eq(op_at("/s")->kind, PLAN_OP_SCRATCH);
	ck_assert_uint_eq(op_at("/tmp")->kind, PLAN_OP_TMPFS); /* the user's, and no second one */
	ck_assert_uint_eq(op_at(realpath(top, resolved))->flags & PLAN_OP_WORKSPACE, PLAN_OP_WORKSPACE);
	ck_assert_uint_eq(op_at("/dev/shm")->mode, 01777);
	ck_assert_uint_eq(op_at("/home/sandbox")->mode, 0700);
}
END_TEST

START_TEST(sources_that_cannot_be)
{
	char file[4200];
	snprintf(file, sizeof file, "%s/file", top);
	ck_assert_int_eq(mknod(file, S_IFREG | 0644, 0), 0);
	const struct hutch_mount wrong[] = {{.source = "/no/such/place", .target = "/x"}, {.source = file, .target = "/x", .access = HUTCH_ACCESS_COW}};
	for (int i = 0; i < COUNT(wrong); i++) {
		spec.mounts = &wrong[i];
		spec.mounts_count = 1;
		ck_assert_int_eq(plan_files(&host, &spec, &draft, &err), -HUTCH_E_INVALID);
		ck_assert_str_ne(err.message, "");
	}
	spec.mounts_count = 0;
	spec.workspace = file;
	ck_assert_int_eq(plan_files(&host, &spec, &draft, &err), -HUTCH_E_INVALID);
}
END_TEST

START_TEST(links_are_resolved_by_the_owner)
{
	char link[4200];
	snprintf(link, sizeof link, "%s/link", top);
	ck_assert_int_eq(symlink("/usr/lib", link), 0);
	const struct hutch_mount mount = {.source = link, .target = "/x"};
	spec.mounts = &mount;
	spec.mounts_count = 1;
	ck_assert_int_eq(plan_files(&host, &spec, &draft, &err), 0);
	ck_assert_str_eq(draft.pool.bytes + op_at("/x")->source, "/usr/lib");
}
END_TEST

/* ---- the system ---- */

START_TEST(what_of_the_host_is_shown)
{
	static const char *const never[] = {"/", "/etc", "/etc/shadow", "/etc/gshadow", "/etc/ssh", "/etc/machine-id", "/root", "/home", "/var", "/sys", "/srv", "/mnt", "/boot", "/media", "/etc/sudoers", "/etc/hostname"};
	ck_assert_int_eq(plan_sandbox_build(&host, &spec, &draft, &err), 0);
	for (int i = 0; i < COUNT(never); i++)
		ck_assert_msg(!is_shown(never[i]), "%s is shown", never[i]);
	ck_assert_uint_eq(op_at("/usr")->kind, PLAN_OP_BIND);
	for (size_t i = 0; i < draft.ops_count; i++) {
		const struct plan_op *op = &draft.ops[i];
		ck_assert_msg(op->kind == PLAN_OP_SCRATCH || !(op->flags & PLAN_OP_WRITABLE), "%s is writable", target_of(i));
		ck_assert_int_eq(target_of(i)[0], '/');
		if (op->kind == PLAN_OP_BIND)
			ck_assert_msg(op->ino != 0, "%s has no identity", target_of(i));
	}
	ck_assert_uint_eq(op_at("/etc/passwd")->kind, PLAN_OP_FILE); /* written anew */
	ck_assert_ptr_nonnull(strstr(draft.pool.bytes + op_at("/etc/passwd")->source, "sandbox:x:1000:1000:"));
	ck_assert_uint_eq(op_at("/dev/null")->dev, UINT64_C(1) << 32 | 3);
	ck_assert(!is_shown("/dev/mem"));
	ck_assert(!is_shown("/etc/resolv.conf"));
	ck_assert_uint_eq(op_at("/proc/sys")->kind, PLAN_OP_PROC_READONLY);
	ck_assert_uint_eq(draft.fixed.flags & PLAN_NET_NEW, PLAN_NET_NEW);
}
END_TEST

START_TEST(scratch_space)
{
	ck_assert_int_eq(plan_sandbox_build(&host, &spec, &draft, &err), 0);
	ck_assert(draft.fixed.scratch_bytes >= UINT64_C(64) << 20 && draft.fixed.scratch_bytes <= UINT64_C(4) << 30);
	draft_done(&draft);
	draft_init(&draft);
	spec.limits.disk_bytes = 12345;
	ck_assert_int_eq(plan_sandbox_build(&host, &spec, &draft, &err), 0);
	ck_assert_uint_eq(draft.fixed.scratch_bytes, 12345);
}
END_TEST

START_TEST(capabilities_need_ids)
{
	spec.cap_add = 1;
	ck_assert_int_eq(plan_sandbox_build(&host, &spec, &draft, &err), -HUTCH_E_UNSUPPORTED);
	ck_assert_str_ne(err.hint, "");
}
END_TEST

START_TEST(the_plan_as_text)
{
	char *plan = NULL;
	const struct hutch_mount mounts[] = {{.source = top, .target = "/rw", .access = HUTCH_ACCESS_RW}, {.source = top, .target = "/cow", .access = HUTCH_ACCESS_COW}, {.kind = HUTCH_MOUNT_TMPFS, .target = "/t", .size_bytes = 4096}};
	spec.mounts = mounts;
	spec.mounts_count = COUNT(mounts);
	ck_assert_int_eq(plan_sandbox_build(&host, &spec, &draft, &err), 0);
	build(&HUTCH_COMMAND(.argv = ARGV("prog", "arg one"), .env = ARGV("A=b")), NULL);
	draft.fixed.filter_lengths[0] = 3;
	ck_assert_int_eq(plan_describe(&draft, &program, &plan, &err), 0);
	static const char *const words[] = {"read-write", "copy-on-write", "tmpfs of 4096 bytes at /t", "read-only /usr at /usr", "exec: environment A=b", "exec: try /usr/bin/prog", "exec: prog arg one",
	                                    "filter of 3 instructions", "cwd: /home/sandbox", "stdin is /dev/null", "dev: /dev/null", "read-only\n", "hostname: hutch"};
	for (int i = 0; i < COUNT(words); i++)
		ck_assert_msg(strstr(plan, words[i]), "\"%s\" is not in\n%s", words[i], plan);
	free(plan);
	draft.failed = true;
	ck_assert_int_eq(plan_describe(&draft, &program, &plan, &err), -HUTCH_E_NO_MEMORY);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("program");
	TCase *tests = tcase_create("program");
	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_test(tests, environment_from_nothing);
	tcase_add_test(tests, another_user);
	tcase_add_test(tests, environment_is_replaced_and_added);
	tcase_add_loop_test(tests, looking_up, 0, COUNT(lookups));
	tcase_add_test(tests, names_and_paths_without_end);
	tcase_add_test(tests, limits);
	tcase_add_test(tests, every_limit_at_once);
	tcase_add_test(tests, directories_and_streams);
	TCase *files = tcase_create("files");
	tcase_add_checked_fixture(files, set_up, tear_down);
	tcase_add_test(files, parents_come_first);
	tcase_add_test(files, kinds_and_flags);
	tcase_add_test(files, sources_that_cannot_be);
	tcase_add_test(files, links_are_resolved_by_the_owner);
	tcase_add_test(files, what_of_the_host_is_shown);
	tcase_add_test(files, scratch_space);
	tcase_add_test(files, capabilities_need_ids);
	tcase_add_test(files, the_plan_as_text);
	suite_add_tcase(suite, tests);
	suite_add_tcase(suite, files);
	return run_suite(suite);
}
