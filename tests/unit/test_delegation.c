/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where cgroups may be made: which part of a tree is ours (on made-up trees of plain files), and the real hierarchy, as
 * far as this host has one; it needs no controllers.
 */
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "base/sys.h"
#include "engine/delegation.h"
#include "helpers.h"
#include "kernel/cgroup_tree.h"

#define USER 71234u /* nobody's */

/* ---- made-up trees ---- */

struct group {
	const char *path;
	uid_t owner;
	const char *mark; /* "user.delegate", ... */
};

static const struct {
	const char *about;
	uid_t caller;
	bool is_whole;
	const char *own, *found; /* NULL: none */
	struct group groups[8];
} parts[] = {
	{"given by root", USER, true, "/given", "/given", {{"/given", USER, NULL}}},
	{"below what was given by root", USER, true, "/given/a/b", "/given", {{"/given", USER, NULL}, {"/given/a", USER, NULL}, {"/given/a/b", USER, NULL}}},
	{"a foreign group below", USER, true, "/given/a", "/given", {{"/given", USER, NULL}, {"/given/a", 0, NULL}}},
	{"another user's", USER, true, "/given/a", NULL, {{"/given", USER + 1, NULL}, {"/given/a", USER + 1, NULL}}},
	{"another user's, marked", USER, true, "/given", NULL, {{"/given", USER + 1, "user.delegate"}}},
	{"root's", USER, true, "/a", NULL, {{"/a", 0, NULL}}},
	{"root's, marked", USER, true, "/a", NULL, {{"/a", 0, "user.delegate"}}},
	{"the root of all, as anybody", USER, true, "/", NULL, {{"/", USER, NULL}}},
	{"a service", USER, true, "/system.slice/s", "/system.slice/s",
	 {{"/init.scope", 0, NULL}, {"/system.slice", 0, NULL}, {"/system.slice/s", USER, "user.delegate"}}},
	{"the user's manager", USER, true, "/u/app.slice/x", NULL,
	 {{"/u", USER, "user.delegate"}, {"/u/init.scope", USER, NULL}, {"/u/app.slice", USER, NULL}, {"/u/app.slice/x", USER, NULL}}},
	{"a marked scope of the user's manager", USER, true, "/u/app.slice/x/y", "/u/app.slice/x",
	 {{"/u", USER, "user.delegate"}, {"/u/init.scope", USER, NULL}, {"/u/app.slice", USER, NULL}, {"/u/app.slice/x", USER, "user.delegate"},
	  {"/u/app.slice/x/y", USER, NULL}}},
	{"our scope of an old manager", USER, true, "/u/app.slice/hutch.scope/y", "/u/app.slice/hutch.scope",
	 {{"/u", USER, NULL}, {"/u/init.scope", USER, NULL}, {"/u/app.slice", USER, NULL}, {"/u/app.slice/hutch.scope", USER, NULL},
	  {"/u/app.slice/hutch.scope/y", USER, NULL}}},
	{"root, not given", 0, true, "/a/b", NULL, {{"/a", 0, NULL}, {"/a/b", 0, NULL}}},
	{"root, marked", 0, true, "/a/b", "/a", {{"/a", 0, "user.delegate"}, {"/a/b", 0, NULL}}},
	{"root, marked where only root sees it", 0, true, "/a/b", "/a", {{"/a", 0, "trusted.delegate"}, {"/a/b", 0, NULL}}},
	{"root in a user's group", 0, true, "/a", NULL, {{"/a", USER, "user.delegate"}}},
	{"root of all", 0, true, "/", NULL, {{"/", 0, NULL}}},
	{"root of a namespace", 0, false, "/", "/", {{"/", 0, NULL}}},
	{"below the root of a namespace", 0, false, "/a/b", "/", {{"/", 0, NULL}, {"/a", 0, NULL}, {"/a/b", 0, NULL}}},
	{"a namespace with a systemd in it", 0, false, "/a", NULL, {{"/", 0, NULL}, {"/a", 0, NULL}, {"/init.scope", 0, NULL}}},
	{"a user's namespace", USER, false, "/", "/", {{"/", USER, NULL}}},
	{"somebody's namespace", USER, false, "/", NULL, {{"/", 0, NULL}}},
	{"outside of the namespace", 0, false, "/../a", NULL, {{"/", 0, NULL}}},
};

static char top[4096];

static void make_file(const char *group, const char *name, uid_t owner)
{
	char path[8192];
	snprintf(path, sizeof path, "%s%s/%s", top, group, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fchown(fd, owner, owner), 0);
	close(fd);
}

static void make_group(const struct group *group)
{
	char path[8192];
	snprintf(path, sizeof path, "%s%s", top, group->path);
	ck_assert(mkdir(path, 0755) == 0 || errno == EEXIST);
	ck_assert_int_eq(chown(path, group->owner, group->owner), 0);
	if (group->mark)
		ck_assert_int_eq(setxattr(path, group->mark, "1", 1, 0), 0);
	make_file(group->path, "cgroup.procs", group->owner);
	make_file(group->path, "cgroup.subtree_control", group->owner);
}

static void remove_top(void)
{
	char command[5000];
	snprintf(command, sizeof command, "rm -rf '%s'", top);
	ck_assert_int_eq(system(command), 0);
}

START_TEST(test_part)
{
	char path[CGROUP_PATH_MAX];
	SKIP_UNLESS_ROOT();
	snprintf(top, sizeof top, "%s", make_directory());
	ck_assert_int_eq(chmod(top, 0755), 0);
	make_group(&(struct group){"/", 0, NULL});
	for (const struct group *group = parts[_i].groups; group->path; group++)
		make_group(group);
	struct cgroup_tree tree = {.root = open(top, O_PATH | O_DIRECTORY | O_CLOEXEC), .is_whole = parts[_i].is_whole};
	snprintf(tree.own, sizeof tree.own, "%s", parts[_i].own);
	ck_assert_int_eq(seteuid(parts[_i].caller), 0);
	int dir = cgroup_tree_own_part(&tree, path);
	ck_assert_int_eq(seteuid(0), 0);
	if (parts[_i].found) {
		ck_assert_msg(dir >= 0, "%s: %s", parts[_i].about, strerror(-dir));
		ck_assert_str_eq(path, parts[_i].found);
		ck_assert_int_eq(faccessat(dir, "cgroup.procs", F_OK, 0), 0);
		close(dir);
	} else {
		ck_assert_msg(dir == -EACCES, "%s: %d, %s", parts[_i].about, dir, path);
	}
	cgroup_tree_close(&tree);
	ck_assert_int_eq(tree.root, -1);
	remove_top();
}
END_TEST

/* A mount may show a part of the hierarchy only. */
START_TEST(test_bound_part)
{
	SKIP_UNLESS_ROOT();
	char path[CGROUP_PATH_MAX];
	snprintf(top, sizeof top, "%s", make_directory());
	make_group(&(struct group){"/", 0, NULL});
	make_group(&(struct group){"/c", 0, NULL});
	struct cgroup_tree tree = {.root = open(top, O_PATH | O_DIRECTORY | O_CLOEXEC), .prefix = "/docker/b", .own = "/docker/b/c"};
	int dir = cgroup_tree_own_part(&tree, path);
	ck_assert_int_ge(dir, 0);
	ck_assert_str_eq(path, "/docker/b");
	close(dir);
	ck_assert_int_eq(cgroup_tree_directory(&tree, "/docker"), -EXDEV);
	ck_assert_int_eq(cgroup_tree_directory(&tree, "/docker/x"), -EXDEV);
	ck_assert_int_eq(cgroup_tree_directory(&tree, "/docker/b/x"), -ENOENT);
	dir = cgroup_tree_directory(&tree, "/docker/b/c");
	ck_assert_int_ge(dir, 0);
	close(dir);
	cgroup_tree_close(&tree);
	remove_top();
}
END_TEST

static const struct {
	const char *one, *other, *common;
} commons[] = {
	{"/", "/", "/"}, {"/", "/a", "/"}, {"/a", "/a", "/a"}, {"/a", "/a/b", "/a"}, {"/a/b", "/a/c", "/a"}, {"/a", "/ab", "/"}, {"/ab", "/ac", "/"},
	{"/a/bc/d", "/a/b", "/a"}, {"/a/b/c", "/a/b/d/e", "/a/b"},
};

START_TEST(test_common)
{
	char common[CGROUP_PATH_MAX];
	cgroup_tree_common(commons[_i].one, commons[_i].other, common);
	ck_assert_str_eq(common, commons[_i].common);
	cgroup_tree_common(commons[_i].other, commons[_i].one, common);
	ck_assert_str_eq(common, commons[_i].common);
}
END_TEST

/* ---- the real one ---- */

/* The hierarchy as root sees it here; -1: skipped. */
static int open_real(struct cgroup_tree *tree, const char *test)
{
	int error = geteuid() == 0 ? cgroup_tree_open(tree) : -EACCES;
	if (skipped(error < 0, test, "needs root and a cgroup2 file system"))
		return -1;
	int root = cgroup_tree_directory(tree, *tree->prefix ? tree->prefix : "/");
	int probe = root < 0 ? -1 : mkdirat(root, "hutch-test-probe", 0755);
	if (probe == 0)
		unlinkat(root, "hutch-test-probe", AT_REMOVEDIR);
	if (skipped(probe < 0, test, "cannot make a cgroup here"))
		return -1;
	return root;
}

static int make_real(int root, const char *name, uid_t owner)
{
	ck_assert(mkdirat(root, name, 0755) == 0 || errno == EEXIST);
	int dir = openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(dir, 0);
	ck_assert_int_eq(fchown(dir, owner, owner), 0);
	ck_assert_int_eq(fchownat(dir, "cgroup.procs", owner, owner, 0), 0);
	ck_assert_int_eq(fchownat(dir, "cgroup.subtree_control", owner, owner, 0), 0);
	return dir;
}

static void remove_real(int root, const char *name)
{
	for (unsigned i = 0; i < 200 && unlinkat(root, name, AT_REMOVEDIR) < 0 && errno == EBUSY; i++)
		sleep_us(5000);
	ck_assert_int_eq(faccessat(root, name, F_OK, 0), -1);
}

static void leave_at_once(void *unused)
{
	(void)unused;
	for (;;)
		sys_call1(SYS_exit_group, 7);
}

/* What the engine does with an answer: a group with a leaf, and a process that is born in it. 0 or -errno. */
static int use(const struct delegation *found)
{
	static char stack[16384] __attribute__((aligned(16)));
	siginfo_t info = {0};
	int pidfd = -1;
	if (mkdirat(found->dir, "hutch-test-use", 0755) < 0)
		return -errno;
	int group = openat(found->dir, "hutch-test-use", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct sys_clone_args args = {
		.flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_INTO_CGROUP, .pidfd = (uint64_t)(uintptr_t)&pidfd,
		.stack = (uint64_t)(uintptr_t)stack, .stack_size = sizeof stack, .cgroup = (uint64_t)group,
	};
	long pid = sys_clone3(&args, leave_at_once, NULL);
	if (pid > 0) {
		ck_assert_int_eq(waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | __WALL), 0);
		ck_assert_int_eq(info.si_status, 7);
		close(pidfd);
	}
	close(group);
	remove_real(found->dir, "hutch-test-use");
	return pid < 0 ? (int)pid : 0;
}

/* Runs a part in a child that is in `group` and has user id `uid`. */
static void run_in(int group, uid_t uid, void (*part)(const char *base), const char *base)
{
	int status;
	pid_t child = fork();
	if (child == 0) {
		int procs = openat(group, "cgroup.procs", O_WRONLY | O_CLOEXEC);
		if (write(procs, "0", 1) != 1 || setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
			_exit(99);
		part(base);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
}

#define MUST(what) do { if (!(what)) { fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what); _exit(1); } } while (0)

static void part_own(const char *base)
{
	struct delegation found;
	unsigned before = count_fds();
	delegation_find(0, 0, false, &found);
	MUST(found.origin == DELEGATION_OWN && strcmp(found.path, base) == 0 && found.dir >= 0 && !*found.why);
	MUST(use(&found) == 0);
	delegation_done(&found);
	MUST(found.dir == -1 && count_fds() == before);
	delegation_done(&found);
}

START_TEST(test_real_own)
{
	struct cgroup_tree tree;
	char path[CGROUP_PATH_MAX + 32];
	int root = open_real(&tree, __func__);
	if (root < 0)
		return;
	snprintf(path, sizeof path, "%s/hutch-test-own", tree.prefix);
	int given = make_real(root, "hutch-test-own", USER), below = make_real(given, "below", USER);
	run_in(given, USER, part_own, path);
	run_in(below, USER, part_own, path);
	close(below);
	remove_real(given, "below");
	close(given);
	remove_real(root, "hutch-test-own");
	close(root);
	cgroup_tree_close(&tree);
}
END_TEST

static void part_none(const char *unused)
{
	struct delegation found;
	(void)unused;
	delegation_find(CGROUP_ALL, 0, true, &found);
	MUST(found.origin == DELEGATION_NONE && found.dir == -1 && found.controllers == 0);
	MUST(strstr(found.why, "hutch-test-none"));
}

START_TEST(test_real_none)
{
	struct cgroup_tree tree;
	int root = open_real(&tree, __func__);
	if (root < 0)
		return;
	int group = make_real(root, "hutch-test-none", 0);
	run_in(group, USER, part_none, NULL);
	close(group);
	remove_real(root, "hutch-test-none");
	close(root);
	cgroup_tree_close(&tree);
}
END_TEST

/* As root in whatever group the test is in. */
START_TEST(test_real_root)
{
	struct cgroup_tree tree;
	struct delegation found;
	int root = open_real(&tree, __func__);
	if (root < 0)
		return;
	delegation_find(CGROUP_ALL, 0, false, &found);
	ck_assert_int_ne(found.origin, DELEGATION_NONE);
	ck_assert_int_eq(use(&found), 0);
	char available[512];
	ck_assert_int_eq(cgroup_read(found.dir, "cgroup.controllers", available, sizeof available), 0);
	ck_assert_uint_eq(found.controllers & ~cgroup_parse_controllers(available), 0);
	ck_assert((found.controllers == CGROUP_ALL) == (*found.why == '\0'));
	delegation_done(&found);
	close(root);
	cgroup_tree_close(&tree);
}
END_TEST

/* A namespace's root is a part of its own if a file system that shows it is mounted, and unusable if none is. */
static void part_namespace(const char *mount_it)
{
	struct delegation found;
	MUST(unshare(CLONE_NEWCGROUP | CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	/* The kernel refuses a file system on top of itself, so the one of the host goes first. */
	if (mount_it)
		MUST(umount2("/sys/fs/cgroup", MNT_DETACH) == 0 && mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, NULL) == 0);
	delegation_find(0, 0, false, &found);
	MUST(found.origin == (mount_it ? DELEGATION_OWN : DELEGATION_NONE));
	MUST(mount_it ? strcmp(found.path, "/") == 0 : strstr(found.why, "--cgroupns=private") != NULL);
	MUST(!mount_it || use(&found) == 0);
	delegation_done(&found);
}

START_TEST(test_real_namespace)
{
	struct cgroup_tree tree;
	int root = open_real(&tree, __func__);
	if (root < 0)
		return;
	int group = make_real(root, "hutch-test-namespace", 0);
	run_in(group, 0, part_namespace, _i ? "mount" : NULL);
	close(group);
	remove_real(root, "hutch-test-namespace");
	close(root);
	cgroup_tree_close(&tree);
}
END_TEST

START_TEST(test_names)
{
	for (int i = 0; i < DELEGATION_ORIGINS; i++)
		ck_assert_str_ne(delegation_origin_name((enum delegation_origin)i), "unknown");
	ck_assert_str_eq(delegation_origin_name(DELEGATION_ORIGINS), "unknown");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("delegation");
	TCase *tree = tcase_create("tree"), *real = tcase_create("real");
	tcase_add_loop_test(tree, test_part, 0, COUNT(parts));
	tcase_add_test(tree, test_bound_part);
	tcase_add_loop_test(tree, test_common, 0, COUNT(commons));
	tcase_add_test(tree, test_names);
	tcase_add_test(real, test_real_own);
	tcase_add_test(real, test_real_none);
	tcase_add_test(real, test_real_root);
	tcase_add_loop_test(real, test_real_namespace, 0, 2);
	suite_add_tcase(suite, tree);
	suite_add_tcase(suite, real);
	return run_suite(suite);
}
