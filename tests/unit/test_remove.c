/* SPDX-License-Identifier: Apache-2.0 */
/* Deleting what a sandbox left behind: any depth, any names, any modes, and never a byte outside. */
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "engine/engine.h"
#include "helpers.h"

#define DEEP 20000

static char top[4096];
static int dir = -1;

static void set_up(void)
{
	snprintf(top, sizeof top, "%s", make_directory());
	ck_assert_int_eq(chdir(top), 0);
	dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(mkdir("outside", 0755), 0);
	ck_assert_int_eq(mkdir("outside/sub", 0755), 0);
	ck_assert_int_eq(mknod("outside/canary", S_IFREG | 0640, 0), 0);
	ck_assert_int_eq(mkdir("tree", 0755), 0);
}

static void tear_down(void)
{
	struct stat st;
	ck_assert_int_eq(fchdir(dir), 0);
	ck_assert_int_eq(stat("outside/canary", &st), 0);
	ck_assert_int_eq((int)(st.st_mode & 07777), 0640);
	ck_assert_int_eq(stat("outside", &st), 0);
	ck_assert_int_eq((int)(st.st_mode & 07777), 0755);
	ck_assert_int_eq(rmdir("outside/sub"), 0);
	ck_assert_int_eq(unlink("outside/canary"), 0);
	ck_assert_int_eq(rmdir("outside"), 0);
	ck_assert_int_eq(rmdir(top), 0);
	close(dir);
}

static void remove_and_check(int expected)
{
	struct stat st;
	unsigned fds = count_fds();
	ck_assert_int_eq(remove_tree(dir, "tree"), expected);
	ck_assert_int_eq(fstatat(dir, "tree", &st, AT_SYMLINK_NOFOLLOW), -1);
	ck_assert_uint_eq(count_fds(), fds);
}

START_TEST(nothing_there)
{
	ck_assert_int_eq(rmdir("tree"), 0);
	ck_assert_int_eq(remove_tree(dir, "tree"), 0);
	ck_assert_int_eq(remove_tree(AT_FDCWD, "tree/below"), 0);
}
END_TEST

START_TEST(files_of_every_kind)
{
	ck_assert_int_eq(system("cd tree && touch a && mkdir -p b/c && touch b/c/d && mkfifo fifo && ln -s ../outside l && ln -s ../outside/canary b/l && ln -s / root && ln -s nowhere dangling && ln ../outside/canary hard"), 0);
	remove_and_check(0);
}
END_TEST

/* Made as a payload makes it: no path is ever longer than one name. */
START_TEST(very_deep)
{
	ck_assert_int_eq(chdir("tree"), 0);
	for (int i = 0; i < DEEP; i++) {
		ck_assert_int_eq(mkdir("d", i % 3 ? 0755 : 0711), 0);
		if (i % 100 == 0)
			ck_assert_int_eq(mknod("f", S_IFREG | 0600, 0), 0);
		ck_assert_int_eq(chdir("d"), 0);
	}
	ck_assert_int_eq(symlink(top, "up"), 0);
	ck_assert_int_eq(fchdir(dir), 0);
	remove_and_check(0);
}
END_TEST

START_TEST(deep_with_few_descriptors)
{
	const struct rlimit few = {128, 128};
	ck_assert_int_eq(chdir("tree"), 0);
	for (int i = 0; i < 500; i++)
		ck_assert(mkdir("a", 0755) == 0 && mkdir("b", 0755) == 0 && chdir("a") == 0);
	ck_assert_int_eq(fchdir(dir), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	remove_and_check(0);
}
END_TEST

/* Names like those under which deep directories are moved up. */
START_TEST(names_that_are_in_the_way)
{
	char command[256];
	for (int i = 0; i < 4; i++) {
		snprintf(command, sizeof command, "mkdir -p tree/.hutch-deep-%d/full; touch tree/.hutch-deep-%d", 2 * i, 2 * i + 1);
		ck_assert_int_eq(system(command), 0);
	}
	ck_assert_int_eq(chdir("tree"), 0);
	ck_assert(mkdir("0", 0755) == 0 && chdir("0") == 0);
	for (int i = 0; i < 300; i++)
		ck_assert(mkdir("d", 0755) == 0 && chdir("d") == 0);
	ck_assert_int_eq(fchdir(dir), 0);
	remove_and_check(0);
}
END_TEST

START_TEST(directories_without_permissions)
{
	ck_assert_int_eq(system("cd tree && mkdir -p a/b/c r x && touch a/b/c/f r/f x/f && ln -s ../../outside a/l && chmod 000 a/b/c && chmod 000 a/b && chmod 111 x && chmod 444 r && chmod 000 a && chmod 000 ."), 0);
	remove_and_check(0);
}
END_TEST

START_TEST(odd_names)
{
	static const char *const names[] = {"-rf", "*", "\n", " ", "...", "..x", ".x", "\xff\xfe", "a\\b", "\x1b[2J", "'", "\"", "$(x)", "%s%n"};
	ck_assert_int_eq(chdir("tree"), 0);
	for (int i = 0; i < COUNT(names); i++) {
		ck_assert_int_eq(mkdir(names[i], 0755), 0);
		ck_assert(chdir(names[i]) == 0 && mknod(names[i], S_IFREG | 0600, 0) == 0 && chdir("..") == 0);
	}
	char name[256];
	memset(name, 'n', 255);
	name[255] = '\0';
	ck_assert_int_eq(mkdir(name, 0755), 0);
	ck_assert_int_eq(fchdir(dir), 0);
	remove_and_check(0);
}
END_TEST

START_TEST(many_files)
{
	char name[32];
	ck_assert_int_eq(chdir("tree"), 0);
	for (int i = 0; i < 20000; i++) {
		snprintf(name, sizeof name, "f%d", i);
		ck_assert_int_eq(mknod(name, S_IFREG | 0600, 0), 0);
	}
	ck_assert_int_eq(fchdir(dir), 0);
	remove_and_check(0);
}
END_TEST

START_TEST(a_link_in_its_place)
{
	ck_assert_int_eq(rmdir("tree"), 0);
	ck_assert_int_eq(symlink("outside", "tree"), 0);
	int ret = remove_tree(dir, "tree");
	ck_assert_msg(ret == -ELOOP || ret == -ENOTDIR, "%d", ret);
	ck_assert_int_eq(unlink("tree"), 0);
}
END_TEST

START_TEST(other_file_systems_are_not_entered)
{
	ck_assert_int_eq(mkdir("tree/m", 0755), 0);
	if (skipped(geteuid() != 0, "other file systems", "needs root")) {
		remove_and_check(0);
		return;
	}
	ck_assert_int_eq(system("mount -t tmpfs none tree/m && touch tree/m/precious"), 0);
	int ret = remove_tree(dir, "tree");
	ck_assert_int_eq(system("test -f tree/m/precious && umount tree/m && rm -r tree"), 0);
	ck_assert_int_lt(ret, 0);
}
END_TEST

START_TEST(whiteouts)
{
	/* anybody may make this one device */
	ck_assert_int_eq(mknod("tree/w", S_IFCHR | 0000, makedev(0, 0)), 0);
	remove_and_check(0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("remove");
	TCase *tests = tcase_create("remove");
	tcase_set_timeout(tests, 120);
	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_test(tests, files_of_every_kind);
	tcase_add_test(tests, very_deep);
	tcase_add_test(tests, deep_with_few_descriptors);
	tcase_add_test(tests, names_that_are_in_the_way);
	tcase_add_test(tests, directories_without_permissions);
	tcase_add_test(tests, odd_names);
	tcase_add_test(tests, many_files);
	tcase_add_test(tests, nothing_there);
	tcase_add_test(tests, a_link_in_its_place);
	tcase_add_test(tests, other_file_systems_are_not_entered);
	tcase_add_test(tests, whiteouts);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
