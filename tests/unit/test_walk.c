/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walking paths that somebody else shapes: with openat2(2), and without it (a filter takes it away, with the two errors
 * that kernels and containers answer). All must come to the same end.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "helpers.h"
#include "kernel/walk.h"

static char top[4096];
static int root = -1;

static void set_up(void)
{
	snprintf(top, sizeof top, "%s", make_directory());
	ck_assert_int_eq(chdir(top), 0);
	ck_assert_int_eq(mkdir("outside", 0755), 0);
	ck_assert_int_eq(mkdir("root", 0755), 0);
	ck_assert_int_eq(mkdir("root/d", 0755), 0);
	ck_assert_int_eq(mkdir("root/d/e", 0755), 0);
	ck_assert_int_eq(mknod("root/file", S_IFREG | 0644, 0), 0);
	ck_assert_int_eq(symlink("file", "root/link"), 0);
	ck_assert_int_eq(symlink("d", "root/dlink"), 0);
	ck_assert_int_eq(symlink("../outside", "root/out"), 0);
	ck_assert_int_eq(symlink("/", "root/d/slash"), 0);
	ck_assert_int_eq(symlink("nowhere", "root/dangling"), 0);
	root = open("root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(root, 0);
}

static void tear_down(void)
{
	char command[5000];
	close(root);
	snprintf(command, sizeof command, "rm -rf '%s'", top);
	ck_assert_int_eq(system(command), 0);
}

/* _i: 0: as it is; 1, 2: without openat2 */
static void set_mode(int mode)
{
	if (mode > 0)
		deny_call(SYS_openat2, mode == 1 ? ENOSYS : EPERM);
}

static const struct {
	const char *path;
	int error; /* 0: opens `same` */
	const char *same;
} opens[] = {
	{"/", 0, "root"}, {"", 0, "root"}, {"//", 0, "root"}, {".", 0, "root"}, {"/d", 0, "root/d"}, {"d", 0, "root/d"},
	{"/d/e", 0, "root/d/e"}, {"//d///e", 0, "root/d/e"}, {"/d/./e/.", 0, "root/d/e"}, {"/d/e/", 0, "root/d/e"}, {"/file", 0, "root/file"},
	{"/missing", ENOENT, NULL}, {"/missing/x", ENOENT, NULL}, {"/file/x", ENOTDIR, NULL},
	{"/link", ELOOP, NULL}, {"/dlink", ELOOP, NULL}, {"/dlink/e", ELOOP, NULL}, {"/out", ELOOP, NULL}, {"/out/x", ELOOP, NULL},
	{"/d/slash", ELOOP, NULL}, {"/d/slash/etc", ELOOP, NULL}, {"/dangling", ELOOP, NULL}, {"/dangling/x", ELOOP, NULL},
	{"/..", EXDEV, NULL}, {"..", EXDEV, NULL}, {"/../outside", EXDEV, NULL}, {"/d/../../outside", EXDEV, NULL}, {"/d/..", EXDEV, NULL}, {"/d/../d", EXDEV, NULL},
	{"/d/e/../../file", EXDEV, NULL}, {"/dlink/..", EXDEV, NULL}, {"/...", ENOENT, NULL}, {"/..d", ENOENT, NULL},
};

START_TEST(open_stays_below)
{
	unsigned fds = count_fds();
	set_mode(_i);
	for (int i = 0; i < COUNT(opens); i++) {
		int fd = walk_open(root, opens[i].path);
		ck_assert_msg(opens[i].error ? fd == -opens[i].error : fd >= 0, "\"%s\": %d", opens[i].path, fd);
		if (fd < 0)
			continue;
		struct stat a, b;
		ck_assert_int_eq(fstat(fd, &a), 0);
		ck_assert_int_eq(lstat(opens[i].same, &b), 0);
		ck_assert_msg(a.st_ino == b.st_ino, "%s", opens[i].path);
		ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
		ck_assert_int_eq(fcntl(fd, F_GETFL) & O_PATH, O_PATH);
		close(fd);
	}
	ck_assert_uint_eq(count_fds(), fds);
}
END_TEST

START_TEST(magic_links_are_links)
{
	int proc = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	set_mode(_i);
	ck_assert_int_eq(walk_open(proc, "/cwd"), -ELOOP);
	ck_assert_int_eq(walk_open(proc, "/root/etc"), -ELOOP);
	ck_assert_int_eq(walk_open(proc, "/fd/0"), -ELOOP);
	ck_assert_int_eq(walk_make(proc, "/cwd/x", false), -ELOOP);
	close(proc);
}
END_TEST

START_TEST(long_names_and_deep_trees)
{
	char name[300], path[4000] = "";
	set_mode(_i);
	memset(name, 'n', sizeof name);
	name[0] = '/';
	name[256] = '\0'; /* 255 bytes */
	ck_assert_int_eq(walk_open(root, name), -ENOENT);
	name[256] = 'n';
	name[257] = '\0';
	ck_assert_int_eq(walk_open(root, name), -ENAMETOOLONG);
	ck_assert_int_eq(walk_make(root, name, false), -ENAMETOOLONG);
	for (int i = 0; i < 1000; i++)
		strcat(path, "/a");
	int fd = walk_make(root, path, false);
	ck_assert_int_ge(fd, 0);
	close(fd);
	fd = walk_open(root, path);
	ck_assert_int_ge(fd, 0);
	close(fd);
}
END_TEST

START_TEST(make_makes_what_is_missing)
{
	struct stat st;
	unsigned fds = count_fds();
	set_mode(_i);
	umask(0);
	static const struct {
		const char *path;
		bool is_file;
		int error;
	} makes[] = {
		{"/new/a/b", false, 0}, {"/new/a/b", false, 0}, {"/new/file", true, 0}, {"/new/file", true, 0}, {"/d/e", false, 0}, {"/file", true, 0}, {"/x/", false, 0}, {"/", false, 0},
		{"/file/x", false, ENOTDIR}, {"/link", true, ELOOP}, {"/dlink/x", false, ELOOP}, {"/out/x", false, ELOOP}, {"/dangling", true, ELOOP}, {"/d/slash/x", true, ELOOP},
		{"/../x", false, EXDEV}, {"/d/../y", false, EXDEV}, {"/d/..", false, EXDEV},
	};
	for (int i = 0; i < COUNT(makes); i++) {
		int fd = walk_make(root, makes[i].path, makes[i].is_file);
		ck_assert_msg(makes[i].error ? fd == -makes[i].error : fd >= 0, "\"%s\": %d", makes[i].path, fd);
		if (fd < 0)
			continue;
		ck_assert_int_eq(fstat(fd, &st), 0);
		ck_assert_int_eq(!S_ISDIR(st.st_mode), makes[i].is_file);
		close(fd);
	}
	ck_assert_int_eq(stat("root/new/a", &st), 0);
	ck_assert_int_eq((int)(st.st_mode & 07777), 0755);
	ck_assert_int_eq(stat("root/new/file", &st), 0);
	ck_assert_int_eq((int)(st.st_mode & 07777), 0644);
	ck_assert_int_eq((int)st.st_size, 0);
	ck_assert_int_ne(lstat("root/y", &st), 0);
	ck_assert_int_ne(lstat("root/nowhere", &st), 0);
	ck_assert_int_ne(lstat("outside/x", &st), 0);
	ck_assert_uint_eq(count_fds(), fds);
}
END_TEST

START_TEST(parent_and_last_name)
{
	const char *name = NULL;
	struct stat a, b;
	unsigned fds = count_fds();
	set_mode(_i);
	int fd = walk_parent(root, "/p/q/name", &name);
	ck_assert_int_ge(fd, 0);
	ck_assert_str_eq(name, "name");
	ck_assert_int_eq(fstat(fd, &a), 0);
	ck_assert_int_eq(stat("root/p/q", &b), 0);
	ck_assert(a.st_ino == b.st_ino);
	close(fd);
	fd = walk_parent(root, "name", &name);
	ck_assert_int_ge(fd, 0);
	ck_assert_str_eq(name, "name");
	close(fd);
	ck_assert_int_eq(walk_parent(root, "/", &name), -EINVAL);
	ck_assert_int_eq(walk_parent(root, "", &name), -EINVAL);
	ck_assert_int_eq(walk_parent(root, "/out/x", &name), -ELOOP);
	ck_assert_int_eq(walk_parent(root, "/d/slash/x", &name), -ELOOP);
	ck_assert_int_eq(walk_parent(root, "/../x", &name), -EXDEV);
	ck_assert_int_eq(walk_parent(root, "/new/../../x", &name), -EXDEV);
	ck_assert_int_eq(walk_parent(root, "/file/x/y", &name), -ENOTDIR);
	ck_assert_uint_eq(count_fds(), fds);
}
END_TEST

START_TEST(what_is_there)
{
	struct walk_identity identity;
	int fd = open("/dev/null", O_PATH | O_CLOEXEC);
	ck_assert_int_eq(walk_identify(fd, &identity), 0);
	ck_assert(S_ISCHR(identity.mode));
	ck_assert_uint_eq(identity.rdev, (UINT64_C(1) << 32) | 3);
	close(fd);
	fd = walk_open(root, "/file");
	struct stat st;
	ck_assert_int_eq(stat("root/file", &st), 0);
	ck_assert_int_eq(walk_identify(fd, &identity), 0);
	ck_assert_uint_eq(identity.ino, st.st_ino);
	ck_assert_uint_eq(identity.uid, geteuid());
	close(fd);
	ck_assert_int_eq(walk_identify(-1, &identity), -EBADF);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("walk");
	TCase *tests = tcase_create("walk");
	tcase_set_timeout(tests, 60);
	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_loop_test(tests, open_stays_below, 0, 3);
	tcase_add_loop_test(tests, magic_links_are_links, 0, 3);
	tcase_add_loop_test(tests, long_names_and_deep_trees, 0, 3);
	tcase_add_loop_test(tests, make_makes_what_is_missing, 0, 3);
	tcase_add_loop_test(tests, parent_and_last_name, 0, 3);
	tcase_add_test(tests, what_is_there);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
