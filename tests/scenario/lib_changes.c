/* SPDX-License-Identifier: Apache-2.0 */
/* A copy-on-write workspace: the host's files stay as they are, the changes are listed, and saved where they are wanted. */
#include <sys/stat.h>

#include "lib.h"

static char top[4096], work[4200], saved[4200];

static void set_up(void)
{
	lib_set_up();
	snprintf(top, sizeof top, "%s", make_directory());
	ck_assert_int_eq(chdir(top), 0);
	snprintf(work, sizeof work, "%s/work", top);
	snprintf(saved, sizeof saved, "%s/saved", top);
	ck_assert_int_eq(system("mkdir -p work/dir/sub work/gone && echo one > work/one && echo two > work/two && echo x > work/dir/x && echo y > work/gone/y && ln -s one work/link && chmod 640 work/one && cp -a work before"), 0);
}

static void tear_down(void)
{
	char command[5000];
	lib_tear_down();
	ck_assert_int_eq(chdir("/"), 0);
	snprintf(command, sizeof command, "rm -rf '%s'", top);
	ck_assert_int_eq(system(command), 0);
}

static void host_is_unchanged(void)
{
	ck_assert_int_eq(system("diff -r --no-dereference before work && test \"$(cd work; ls -lARn --time-style=+ .)\" = \"$(cd before; ls -lARn --time-style=+ .)\""), 0);
}

static char list[1 << 16];

static int collect(void *data, const struct hutch_change *change)
{
	(void)data;
	snprintf(list + strlen(list), sizeof list - strlen(list), "%c %c %s %llu\n", "ACD"[change->kind], change->type, change->path, (unsigned long long)change->size);
	return strcmp(change->root, work) == 0 ? 0 : 77;
}

static bool listed(const char *line)
{
	return strstr(list, line) != NULL;
}

#define WORKSPACE &HUTCH_SPEC(.workspace = work, .workspace_access = HUTCH_ACCESS_COW)

START_TEST(listed_and_saved)
{
	struct hutch_sandbox *sandbox = start(WORKSPACE, &HUTCH_COMMAND(.argv = SH(
		"test \"$(cat one)\" = one && echo changed > one && rm two && rm -r gone && echo new > new && mkdir -p a/b && echo deep > a/b/c && ln -s /etc/passwd link2 && "
		"touch dir/x && cat dir/x > /dev/null && chmod 755 dir/x && dd if=/dev/zero of=sparse bs=1 count=1 seek=1048575 2>/dev/null && pwd")));
	struct hutch_result *result = finish(sandbox);
	ck_assert_msg(result->exit_code == 0, "%s", result->err.data);
	ck_assert_int_eq(strncmp(result->out.data, work, strlen(work)), 0);
	list[0] = '\0';
	int64_t count = hutch_sandbox_changes(sandbox, collect, NULL, &err);
	ck_assert_msg(count > 0, "%s", err.message);
	static const char *const lines[] = {"C f one 8\n", "D f two ", "D d gone ", "A f new 4\n", "A d a ", "A d a/b ", "A f a/b/c 5\n", "A l link2 ", "C f dir/x 2\n", "A f sparse 1048576\n"};
	for (int i = 0; i < COUNT(lines); i++)
		ck_assert_msg(listed(lines[i]), "no \"%s\" in:\n%s", lines[i], list);
	ck_assert_int_eq((int)count, COUNT(lines));
	ck_assert(strstr(list, "A d a ") < strstr(list, "A d a/b ") && strstr(list, "A d a/b ") < strstr(list, "A f a/b/c")); /* parents first */
	host_is_unchanged();

	ck_assert_int_eq((int)hutch_sandbox_save(sandbox, saved, &err), COUNT(lines));
	ck_assert_int_eq(system("test \"$(cat saved/one)\" = changed && test \"$(cat saved/a/b/c)\" = deep && test \"$(readlink saved/link2)\" = /etc/passwd && test -x saved/dir/x && "
	                        "test $(stat -c %s saved/sparse) = 1048576 && test $(stat -c %b saved/sparse) -lt 100 && test ! -e saved/two"), 0);
	ck_assert_int_eq(system("cp -a before copy"), 0); /* upon the original, it makes what the sandbox saw */
	char copy[4200];
	snprintf(copy, sizeof copy, "%s/copy", top);
	ck_assert_int_eq((int)hutch_sandbox_save(sandbox, copy, &err), COUNT(lines));
	ck_assert_int_eq(system("test ! -e copy/two && test ! -e copy/gone && test -f copy/new && test \"$(cat copy/one)\" = changed && test -L copy/link"), 0);
	struct stat st;
	ck_assert_int_eq(stat("saved/one", &st), 0);
	ck_assert_uint_eq(st.st_uid, geteuid());
	host_is_unchanged();
	hutch_result_free(result);
	hutch_sandbox_free(sandbox);
}
END_TEST

static int stop(void *data, const struct hutch_change *change)
{
	(void)change;
	return ++*(int *)data == 2 ? 42 : 0;
}

START_TEST(listing_can_be_stopped)
{
	int count = 0;
	struct hutch_sandbox *sandbox = start(WORKSPACE, &HUTCH_COMMAND(.argv = SH("i=0; while [ $i -lt 500 ]; do echo > f$i; i=$((i+1)); done")));
	ck_assert_int_lt((int)hutch_sandbox_changes(sandbox, NULL, NULL, &err), 0); /* not yet */
	ck_assert_int_eq(err.code, HUTCH_E_STATE);
	hutch_result_free(finish(sandbox));
	ck_assert_int_eq((int)hutch_sandbox_changes(sandbox, stop, &count, &err), 42);
	ck_assert_int_eq(count, 2);
	ck_assert_int_eq((int)hutch_sandbox_changes(sandbox, NULL, NULL, &err), 500);
	hutch_sandbox_free(sandbox);
}
END_TEST

START_TEST(no_changes)
{
	struct hutch_sandbox *sandbox = start(WORKSPACE, &HUTCH_COMMAND(.argv = SH("cat one; ls -lR >/dev/null; : >> two; echo x > /tmp/x; chmod 640 one")));
	struct hutch_result *result = finish(sandbox);
	ck_assert_int_eq(result->exit_code, 0);
	list[0] = '\0';
	ck_assert_int_eq((int)hutch_sandbox_changes(sandbox, collect, NULL, &err), 0);
	ck_assert_str_eq(list, "");
	ck_assert_int_eq((int)hutch_sandbox_save(sandbox, saved, &err), 0);
	hutch_result_free(result);
	hutch_sandbox_free(sandbox);
	sandbox = start(NULL, &HUTCH_COMMAND(.argv = ARGV("true")));
	hutch_result_free(finish(sandbox));
	ck_assert_int_eq((int)hutch_sandbox_changes(sandbox, collect, NULL, &err), 0);
	ck_assert_int_eq((int)hutch_sandbox_save(sandbox, saved, &err), -HUTCH_E_STATE);
	hutch_sandbox_free(sandbox);
}
END_TEST

START_TEST(other_kinds_of_access)
{
	struct hutch_result *result = run(&HUTCH_SPEC(.workspace = work), &HUTCH_COMMAND(.argv = SH("cat one && ! echo x > one && ! touch new && ! rm two")));
	ck_assert_int_eq(result->exit_code, 0);
	hutch_result_free(result);
	host_is_unchanged();
	result = run(&HUTCH_SPEC(.workspace = work, .workspace_access = HUTCH_ACCESS_RW), &HUTCH_COMMAND(.argv = SH("echo written > one && rm two && ! chmod u+s one")));
	ck_assert_int_eq(result->exit_code, 0);
	ck_assert_int_eq(system("test \"$(cat work/one)\" = written && test ! -e work/two && test ! -u work/one"), 0);
	struct stat st;
	ck_assert_int_eq(stat("work/one", &st), 0);
	ck_assert_uint_eq(st.st_uid, geteuid());
	hutch_result_free(result);
}
END_TEST

/* Names and types that hurt careless readers. */
START_TEST(odd_changes)
{
	struct hutch_sandbox *sandbox = start(WORKSPACE, &HUTCH_COMMAND(.argv = SH("printf x > \"$(printf 'a\\nb')\"; mkfifo fifo; printf y > -rf; mkdir -p d/e; echo z > d/e/f; chmod 000 d/e; rm -r dir; ln -s .. dir")));
	hutch_result_free(finish(sandbox));
	list[0] = '\0';
	ck_assert_int_ge((int)hutch_sandbox_changes(sandbox, collect, NULL, &err), 7);
	ck_assert_msg(listed("A f a\nb 1\n") && listed("A p fifo ") && listed("A f -rf 1\n") && listed("A f d/e/f 2\n") && listed("C l dir "), "%s", list);
	ck_assert_int_eq((int)hutch_sandbox_save(sandbox, saved, &err), -HUTCH_E_UNSUPPORTED);
	ck_assert_ptr_nonnull(strstr(err.hint, "fifo"));
	ck_assert_int_eq(system("test -f saved/-rf && test -L saved/dir && test ! -e saved/fifo"), 0);
	host_is_unchanged();
	hutch_sandbox_free(sandbox);
}
END_TEST

START_TEST(a_state_directory_is_left_empty)
{
	char state[4200], command[5000];
	snprintf(state, sizeof state, "%s/state", top);
	ck_assert_int_eq(mkdir(state, 0700), 0);
	struct hutch_sandbox *sandbox = start(&HUTCH_SPEC(.workspace = work, .workspace_access = HUTCH_ACCESS_COW, .state_dir = state),
	                                      &HUTCH_COMMAND(.argv = SH("echo changed > one; mkdir -p n/m; chmod 000 n; rm two; i=0; while [ $i -lt 300 ]; do mkdir d && cd d; i=$((i+1)); done")));
	struct hutch_result *result = finish(sandbox);
	ck_assert_msg(result->exit_code == 0, "%s %s", result->err.data, result->error.message);
	ck_assert_int_gt((int)hutch_sandbox_changes(sandbox, NULL, NULL, &err), 300);
	host_is_unchanged();
	hutch_result_free(result);
	hutch_sandbox_free(sandbox);
	snprintf(command, sizeof command, "test -z \"$(find '%s' -mindepth 1 -type f -o -mindepth 2 -type d | grep -v lock)\"", state);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lib_changes");
	TCase *tests = tcase_create("changes");
	tcase_set_timeout(tests, 120);
	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_test(tests, listed_and_saved);
	tcase_add_test(tests, listing_can_be_stopped);
	tcase_add_test(tests, no_changes);
	tcase_add_test(tests, other_kinds_of_access);
	tcase_add_test(tests, odd_changes);
	tcase_add_test(tests, a_state_directory_is_left_empty);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
