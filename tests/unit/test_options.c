/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line's options: parsing, profile files, environment files, the workspace decision, and that option table and
 * man page say the same. Nothing of the library is linked but its number parsers.
 *
 * tests/corpus/profile/accept must load; a file of reject says in its first line what is wrong with it:
 * "# expect LINE: TEXT" (LINE 0: the error names no line).
 */
#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../tools/keep.h"
#include "../../tools/options.h"
#include "../../tools/profile.h"
#include "../../tools/workspace.h"

#ifndef SOURCE_ROOT
#define SOURCE_ROOT "."
#endif

#define COUNT(array) ((int)(sizeof(array) / sizeof(array)[0]))

static struct run_options options;
static struct hutch_error err;
static char **words;

static void set_up(void)
{
	options = (struct run_options){0};
	err = (struct hutch_error){0};
	words = NULL;
}

static void tear_down(void)
{
	options_free(&options);
}

#define ARGV(...) ((char *[]){__VA_ARGS__, NULL})
#define W(text)   ((char[]){text}) /* argv is not const */

static int parse(char **argv)
{
	return options_parse(&options, FOR_RUN, argv, &words, &err);
}

static void parse_well(char **argv)
{
	ck_assert_msg(parse(argv) == 0, "%s", err.message);
}

START_TEST(options_end_at_the_command)
{
	parse_well(ARGV(W("-q"), W("--timeout"), W("2"), W("ls"), W("-v"), W("--json")));
	ck_assert(options.quiet && !options.verbose && !options.json);
	ck_assert_uint_eq(options.command.timeout_ms, 2000);
	ck_assert_str_eq(words[0], "ls");
	ck_assert_str_eq(words[2], "--json");
	ck_assert_uint_eq(options.spec.size, sizeof(struct hutch_spec));
	ck_assert_uint_eq(options.command.size, sizeof(struct hutch_command));
}
END_TEST

START_TEST(options_end_at_two_dashes)
{
	parse_well(ARGV(W("-v"), W("--"), W("--json"), W("--"), W("x")));
	ck_assert(options.verbose && !options.json);
	ck_assert_str_eq(words[0], "--json");
	ck_assert_str_eq(words[1], "--");
}
END_TEST

START_TEST(one_dash_is_a_word)
{
	parse_well(ARGV(W("-"), W("-q")));
	ck_assert(!options.quiet);
	ck_assert_str_eq(words[0], "-");
}
END_TEST

START_TEST(no_words_at_all)
{
	char *none[] = {NULL};
	parse_well(none);
	ck_assert_ptr_null(words[0]);
}
END_TEST

START_TEST(values_follow_or_are_attached)
{
	parse_well(ARGV(W("--memory=64M"), W("--pids"), W("7"), W("-qve"), W("A=1"), W("-eB=2"), W("--cwd=/a=b"), W("x")));
	ck_assert_uint_eq(options.spec.limits.memory_bytes, 64 << 20);
	ck_assert_uint_eq(options.spec.limits.pids, 7);
	ck_assert(options.quiet && options.verbose);
	ck_assert_str_eq(options.command.env[0], "A=1");
	ck_assert_str_eq(options.command.env[1], "B=2");
	ck_assert_ptr_null(options.command.env[2]);
	ck_assert_str_eq(options.command.cwd, "/a=b");
}
END_TEST

START_TEST(the_last_of_several_holds)
{
	parse_well(ARGV(W("--timeout=1"), W("--timeout=2"), W("--net=host"), W("--net=none"), W("--workspace=/a"), W("--no-workspace"),
	                W("-eA=1"), W("-eAB=1"), W("-eA=2"), W("x")));
	ck_assert_uint_eq(options.command.timeout_ms, 2000);
	ck_assert_int_eq(options.spec.net, HUTCH_NET_NONE);
	ck_assert_int_eq(options.workspace, WORKSPACE_NONE);
	ck_assert_ptr_null(options.spec.workspace);
	ck_assert_uint_eq(options.env_count, 2);
	ck_assert_str_eq(options.env[0], "A=2");
}
END_TEST

START_TEST(a_bare_name_passes_the_callers_value)
{
	setenv("HUTCH_TEST_SET", "a=b c", 1);
	unsetenv("HUTCH_TEST_UNSET");
	parse_well(ARGV(W("-e"), W("HUTCH_TEST_SET"), W("-e"), W("HUTCH_TEST_UNSET"), W("x")));
	ck_assert_uint_eq(options.env_count, 1);
	ck_assert_str_eq(options.env[0], "HUTCH_TEST_SET=a=b c");
}
END_TEST

START_TEST(many_of_them)
{
	char *argv[2 * 300 + 1];
	char texts[300][32];

	char ro[] = "--ro";
	for (int i = 0; i < 300; i++) {
		snprintf(texts[i], sizeof texts[i], "/src:/dst%d", i);
		argv[2 * i] = ro;
		argv[2 * i + 1] = texts[i];
	}
	argv[600] = NULL;
	parse_well(argv);
	ck_assert_uint_eq(options.spec.mounts_count, 300);
	ck_assert_str_eq(options.spec.mounts[299].source, "/src");
	ck_assert_str_eq(options.spec.mounts[299].target, "/dst299");
}
END_TEST

START_TEST(identity)
{
	parse_well(ARGV(W("-u"), W("1234"), W("x")));
	ck_assert(options.spec.has_uid && options.spec.uid == 1234 && !options.spec.as_root);
	parse_well(ARGV(W("-uroot"), W("x")));
	ck_assert(options.spec.as_root && !options.spec.has_uid);
	parse_well(ARGV(W("-u0"), W("x")));
	ck_assert(options.spec.as_root);
	parse_well(ARGV(W("--as-root"), W("-usandbox"), W("x")));
	ck_assert(!options.spec.as_root && options.spec.uid == 1000);
}
END_TEST

START_TEST(limits)
{
	parse_well(ARGV(W("--swap=0"), W("--cpus=1.5"), W("--cpu-time=1m"), W("--ulimit=core=0"), W("--ulimit=nofile=64"),
	                W("--best-effort=io,landlock"), W("--io-read=1K"), W("--disk=1G"), W("x")));
	ck_assert(options.spec.limits.has_swap && options.spec.limits.swap_bytes == 0);
	ck_assert_uint_eq(options.spec.limits.cpus_milli, 1500);
	ck_assert_uint_eq(options.spec.limits.cpu_time_ms, 60000);
	ck_assert_uint_eq(options.spec.limits.ulimits_count, 2);
	ck_assert_str_eq(options.spec.limits.ulimits[1].name, "nofile");
	ck_assert_uint_eq(options.spec.best_effort, HUTCH_LIMIT_IO | HUTCH_LAYER_LANDLOCK);
	parse_well(ARGV(W("--best-effort"), W("memory")));
	ck_assert_uint_eq(options.spec.best_effort, HUTCH_LIMITS_ALL | HUTCH_LAYER_LANDLOCK);
	ck_assert_str_eq(words[0], "memory");
}
END_TEST

START_TEST(policy)
{
	parse_well(ARGV(W("--cap-add=net_raw"), W("--cap-add=CAP_CHOWN"), W("--seccomp=debug"), W("--on-exit=leave"),
	                W("--on-output-limit=kill"), W("x")));
	ck_assert_uint_eq(options.spec.cap_add, 1u << 13 | 1u << 0);
	ck_assert_int_eq(options.spec.seccomp, HUTCH_SECCOMP_DEBUG);
	ck_assert_int_eq(options.command.on_exit, HUTCH_ON_EXIT_LEAVE);
	ck_assert_int_eq(options.command.on_output_limit, HUTCH_OUTPUT_KILL);
	parse_well(ARGV(W("--seccomp=/dev/null"), W("x")));
	ck_assert_int_eq(options.spec.seccomp, HUTCH_SECCOMP_FILE);
	ck_assert_str_eq(options.spec.seccomp_file, "/dev/null");
}
END_TEST

static const struct {
	char option[16], value[32];
	const char *source, *target;
	enum hutch_access access;
} host_mounts[] = {
	{"--ro", "/a", "/a", NULL, HUTCH_ACCESS_RO},
	{"--rw", "a/b:/c", "a/b", "/c", HUTCH_ACCESS_RW},
	{"--cow", "/a:b:/c:d", "/a:b", "/c:d", HUTCH_ACCESS_COW},
	{"--ro", "/a:/b:/c", "/a:/b", "/c", HUTCH_ACCESS_RO},
	{"--ro", ".:/", ".", "/", HUTCH_ACCESS_RO},
};

START_TEST(mounts)
{
	char option[16], value[32];
	strcpy(option, host_mounts[_i].option);
	strcpy(value, host_mounts[_i].value);
	parse_well(ARGV(option, value, W("x")));
	const struct hutch_mount *mount = &options.spec.mounts[0];
	ck_assert_str_eq(mount->source, host_mounts[_i].source);
	ck_assert_pstr_eq(mount->target, host_mounts[_i].target);
	ck_assert_int_eq(mount->access, host_mounts[_i].access);
}
END_TEST

START_TEST(directories)
{
	parse_well(ARGV(W("--workspace=/a:b:rw"), W("--rootfs=/r"), W("--tmpfs=/t:1:64K"), W("x")));
	ck_assert_str_eq(options.spec.workspace, "/a:b");
	ck_assert_int_eq(options.spec.workspace_access, HUTCH_ACCESS_RW);
	ck_assert_int_eq(options.workspace, WORKSPACE_GIVEN);
	ck_assert_str_eq(options.spec.rootfs, "/r");
	ck_assert_int_eq(options.spec.root, HUTCH_ROOT_DIRECTORY);
	ck_assert_int_eq(options.spec.rootfs_access, HUTCH_ACCESS_RO);
	ck_assert_str_eq(options.spec.mounts[0].target, "/t:1");
	ck_assert_uint_eq(options.spec.mounts[0].size_bytes, 64 << 10);
	parse_well(ARGV(W("--workspace"), W("."), W("x")));
	ck_assert_int_eq(options.spec.workspace_access, HUTCH_ACCESS_COW);
}
END_TEST

/* A wrong word, and what the error says of it. */
static const struct {
	char word[48];
	const char *message;
} wrong[] = {
	{"--memroy=1M", "unknown option --memroy (did you mean --memory?)"},
	{"--xyzzy", "unknown option --xyzzy"},
	{"--mem=1M", "unknown option --mem"},
	{"-Z", "unknown option -Z"},
	{"-qZ", "unknown option -Z"},
	{"--memory", "--memory needs a value (SIZE)"},
	{"-e", "--env needs a value (K=V)"},
	{"--json=1", "--json takes no value"},
	{"--memory=12Q", "--memory: \"12Q\" is not a size"},
	{"--memory=", "--memory: \"\" is not a size"},
	{"--memory=0", "--memory: zero is not allowed"},
	{"--swap=-1", "--swap: \"-1\" is not a size"},
	{"--timeout=1d", "--timeout: \"1d\" is not a duration"},
	{"--timeout=0", "--timeout: less than a millisecond"},
	{"--grace=0.0001", "--grace: less than a millisecond"},
	{"--lifetime=", "--lifetime: \"\" is not a duration"},
	{"--cpus=0", "--cpus: \"0\" is not a number of processors"},
	{"--cpus=1s", "--cpus: \"1s\""},
	{"--cpus=4294968", "--cpus: \"4294968\""},
	{"--pids=0", "--pids: \"0\" is not a whole number"},
	{"--pids=4294967296", "--pids: \"4294967296\""},
	{"--pids=1.5", "--pids: \"1.5\""},
	{"--ulimit=nofile", "--ulimit: \"nofile\" is not NAME=N"},
	{"--ulimit==3", "--ulimit: \"=3\""},
	{"--ulimit=nofile=-1", "--ulimit: \"nofile=-1\""},
	{"--best-effort=", "--best-effort: \"\" may not be missing"},
	{"--best-effort=io,", "--best-effort: \"\" may not be missing"},
	{"--best-effort=seccomp", "--best-effort: \"seccomp\" may not be missing"},
	{"--user=bob", "--user: \"bob\" is not a user inside"},
	{"--user=", "--user: \"\""},
	{"--user=4294967295", "--user: \"4294967295\""},
	{"--env=", "--env: \"\" is not a variable"},
	{"--env==x", "--env: \"=x\" is not a variable"},
	{"--env=A B=x", "--env: \"A B=x\" is not a variable"},
	{"--env-file=/nonexistent/f", "--env-file: cannot open /nonexistent/f"},
	{"--env-file=/", "--env-file: cannot read /"},
	{"--env-file=/dev/zero", "--env-file: /dev/zero is"},
	{"--profile=/nonexistent/f", "--profile: cannot open /nonexistent/f"},
	{"--cwd=a", "--cwd: \"a\" is not an absolute path"},
	{"--stdin=", "--stdin: the name is empty"},
	{"--net=foo", "--net: \"foo\" is none of: none, host"},
	{"--on-output-limit=x", "--on-output-limit: \"x\" is none of: truncate, kill"},
	{"--on-exit=default", "--on-exit: \"default\" is none of: kill, leave"},
	{"--seccomp=strct", "--seccomp: \"strct\" is neither"},
	{"--cap-add=FOO", "--cap-add: \"FOO\" is not a capability"},
	{"--cap-add=", "--cap-add: \"\""},
	{"--workspace=", "--workspace: \"\" names no directory"},
	{"--workspace=:rw", "--workspace: \":rw\" names no directory"},
	{"--workspace=.:wr", "--workspace: \"wr\" is not an access"},
	{"--rootfs=/:x", "--rootfs: \"x\" is not an access"},
	{"--ro=", "--ro: \"\" names no source"},
	{"--ro=:/b", "--ro: \":/b\" names no source"},
	{"--rw=/a:b", "--rw: \"/a:b\": what follows the colon"},
	{"--cow=/a:", "--cow: \"/a:\": what follows the colon"},
	{"--tmpfs=a", "--tmpfs: \"a\" is not an absolute path"},
	{"--tmpfs=/a:0", "--tmpfs: \"0\" is not a size"},
	{"--tmpfs=/a:", "--tmpfs: \"\" is not a size"},
	{"--idle-timeout=1", "unknown option --idle-timeout"},
};

START_TEST(wrong_words_are_refused)
{
	char word[48];
	strcpy(word, wrong[_i].word);
	ck_assert_int_eq(parse(ARGV(word)), -1);
	ck_assert_msg(strncmp(err.message, wrong[_i].message, strlen(wrong[_i].message)) == 0, "%s: %s", word, err.message);
	ck_assert_int_ne(err.code, 0);
}
END_TEST

START_TEST(verbs_have_their_own_options)
{
	char word[] = "--memory=1M";
	ck_assert_int_eq(options_parse(&options, FOR_DOCTOR, ARGV(word), &words, &err), -1);
	ck_assert_int_eq(options_parse(&options, FOR_DOCTOR, ARGV(W("--json")), &words, &err), 0);
	ck_assert(options.json);
}
END_TEST

START_TEST(json_is_seen_behind_an_error)
{
	ck_assert(options_ask_json(FOR_RUN, ARGV(W("--bogus"), W("--memory"), W("--json"), W("-Zq"), W("--json"), W("x"))));
	ck_assert(!options_ask_json(FOR_RUN, ARGV(W("--memory"), W("--json"), W("x"), W("--json"))));
	ck_assert(!options_ask_json(FOR_RUN, ARGV(W("--"), W("--json"))));
}
END_TEST

/* ---- files ---- */

static char *write_file(const char *text)
{
	static char path[] = "/tmp/hutch-options-XXXXXX";
	strcpy(path + sizeof path - 7, "XXXXXX");
	int fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	return path;
}

START_TEST(env_file_is_taken_literally)
{
	char *path = write_file("# comment\n\n  A=1  \nB=\"x\" # y\nHUTCH_TEST_SET\nA=3\n");
	setenv("HUTCH_TEST_SET", "v", 1);
	parse_well(ARGV(W("--env-file"), path, W("x")));
	unlink(path);
	ck_assert_uint_eq(options.env_count, 3);
	ck_assert_str_eq(options.env[0], "A=3");
	ck_assert_str_eq(options.env[1], "B=\"x\" # y");
	ck_assert_str_eq(options.env[2], "HUTCH_TEST_SET=v");
}
END_TEST

START_TEST(env_file_error_names_the_line)
{
	char *path = write_file("A=1\n\nexport B=2\n");
	ck_assert_int_eq(parse(ARGV(W("--env-file"), path, W("x"))), -1);
	unlink(path);
	ck_assert_ptr_nonnull(strstr(err.message, ":3: \"export B=2\" is not a variable"));
}
END_TEST

START_TEST(command_line_wins_over_profile)
{
	char *path = write_file("timeout = 1m\nmemory = 1G\nenv = A=profile\nenv = B=profile\nro = /p\nworkspace = /p\n");
	parse_well(ARGV(W("--timeout=5"), W("--env=A=line"), W("--ro=/l"), W("--no-workspace"), W("--profile"), path, W("x")));
	unlink(path);
	ck_assert_uint_eq(options.command.timeout_ms, 5000);
	ck_assert_uint_eq(options.spec.limits.memory_bytes, 1 << 30);
	ck_assert_str_eq(options.env[0], "A=line");
	ck_assert_str_eq(options.env[1], "B=profile");
	ck_assert_str_eq(options.spec.mounts[0].source, "/p");
	ck_assert_str_eq(options.spec.mounts[1].source, "/l");
	ck_assert_int_eq(options.workspace, WORKSPACE_NONE);
}
END_TEST

static void each_file(const char *folder, void (*check_file)(const char *path))
{
	char name[512];
	int count = 0;

	snprintf(name, sizeof name, "%s/tests/corpus/profile/%s", SOURCE_ROOT, folder);
	DIR *directory = opendir(name);
	ck_assert_ptr_nonnull(directory);
	for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory)) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof name, "%s/tests/corpus/profile/%s/%s", SOURCE_ROOT, folder, entry->d_name);
		set_up();
		check_file(name);
		tear_down();
		count++;
	}
	closedir(directory);
	ck_assert_int_gt(count, 4);
}

static void must_load(const char *path)
{
	ck_assert_msg(profile_load(&options, FOR_RUN, path, &err) == 0, "%s", err.message);
}

static void must_not_load(const char *path)
{
	char expected[160] = "", place[800] = "--profile: ";
	unsigned int line;
	FILE *file = fopen(path, "r");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fscanf(file, "# expect %u: %159[^\n]", &line, expected), 2);
	fclose(file);
	ck_assert_int_eq(profile_load(&options, FOR_RUN, path, &err), -1);
	if (line)
		snprintf(place, sizeof place, "%s:%u: %s", path, line, expected);
	ck_assert_msg(strncmp(err.message, place, strlen(place)) == 0 && strstr(err.message, expected), "%s: %s", path, err.message);
}

START_TEST(good_profiles_load)
{
	each_file("accept", must_load);
}
END_TEST

START_TEST(bad_profiles_do_not)
{
	each_file("reject", must_not_load);
}
END_TEST

START_TEST(profile_values)
{
	must_load(SOURCE_ROOT "/tests/corpus/profile/accept/all_kinds.profile");
	ck_assert_uint_eq(options.command.timeout_ms, 60000);
	ck_assert_str_eq(options.env[0], "A=1");
}
END_TEST

/* ---- the workspace ---- */

static const struct {
	const char *cwd, *home;
	bool is_shown;
} places[] = {
	{"/home/a/project", "/home/a", true},
	{"/home/a", "/home/a", false},
	{"/home", "/home/a", false},
	{"/", "/home/a", false},
	{"/home/ab", "/home/a", true},
	{"/home/b", "/home/a", true},
	{"/tmp", "/home/a", false},
	{"/tmp/x", "/home/a", true},
	{"/var", "/home/a", false},
	{"/var/lib/x", "/home/a", true},
	{"/var", "/var/lib/a", false},
	{"/var/lib", "/var/lib/a", false},
	{"/usr", NULL, false},
	{"/usr/local/src/x", NULL, false},
	{"/usrx", NULL, true},
	{"/etc/x", NULL, false},
	{"/run/user/1000", NULL, false},
	{"/dev/shm/x", NULL, false},
	{"/proc/1", NULL, false},
	{"/sys", NULL, false},
	{"/opt/x", NULL, false},
	{"/lib", NULL, false},
	{"/lib64/x", NULL, false},
	{"/libx32", NULL, false},
	{"/bin/x", NULL, false},
	{"/sbin", NULL, false},
	{"/root", "/root", false},
	{"/root/x", "/root", true},
	{"/root", NULL, true},
	{"/srv/x", "/", true},
	{"/work", "/nonexistent", true},
};

START_TEST(workspace_decision)
{
	const char *refusal = workspace_refusal(places[_i].cwd, places[_i].home);
	ck_assert_msg(!refusal == places[_i].is_shown, "%s: %s", places[_i].cwd, refusal ? refusal : "shown");
}
END_TEST

/* ---- the table ---- */

START_TEST(the_table_is_sound)
{
	for (const struct option *option = option_table; option->name; option++) {
		ck_assert_ptr_eq(option_find(option->name, strlen(option->name), option->verbs), option);
		ck_assert_msg(option->help && option->verbs, "%s", option->name);
		ck_assert_msg((option->kind == OPTION_OWN) == (option->set != NULL), "%s", option->name);
		ck_assert_msg((option->kind == OPTION_OWN) == (option->field == 0), "%s", option->name);
		ck_assert_msg(option->kind != OPTION_CHOICE || option->words, "%s", option->name);
		ck_assert_msg(option->kind != OPTION_FLAG || !option->argument, "%s", option->name);
		for (const struct option *other = option + 1; other->name; other++)
			ck_assert_msg(!option->letter || option->letter != other->letter || !(option->verbs & other->verbs), "%s and %s", option->name, other->name);
	}
}
END_TEST

static void append_escaped(char *to, const char *text)
{
	to += strlen(to);
	for (; *text; text++) {
		if (*text == '-')
			*to++ = '\\';
		*to++ = *text;
	}
	*to = '\0';
}

/* The line of the man page that an option must have. */
static void man_line(const struct option *option, char line[256])
{
	line[0] = '\0';
	if (option->letter)
		sprintf(line, "\\fB\\-%c\\fR, ", option->letter);
	strcat(line, "\\fB\\-\\-");
	append_escaped(line, option->name);
	strcat(line, "\\fR");
	if (option->argument) {
		strcat(line, option->is_optional ? "[=\\fI" : " \\fI");
		append_escaped(line, option->argument);
		strcat(line, option->is_optional ? "\\fR]" : "\\fR");
	}
}

static bool is_an_option(const char *line)
{
	for (const struct option *option = option_table; option->name; option++) {
		char expected[256];
		man_line(option, expected);
		if (strcmp(line, expected) == 0)
			return true;
	}
	return false;
}

START_TEST(man_page_has_every_option_once_and_no_other)
{
	FILE *page = fopen(SOURCE_ROOT "/tools/hutch.1", "r");
	char line[2048];
	int found = 0, rows = 0;

	ck_assert_ptr_nonnull(page);
	while (fgets(line, sizeof line, page)) {
		bool is_tag = strcmp(line, ".TP\n") == 0 && fgets(line, sizeof line, page);
		line[strcspn(line, "\n")] = '\0';
		if (!is_tag || strncmp(line, "\\fB\\-", 5) != 0)
			continue;
		ck_assert_msg(is_an_option(line), "not in the option table: %s", line);
		found++;
	}
	fclose(page);
	while (option_table[rows].name)
		rows++;
	ck_assert_int_eq(found, rows);
}
END_TEST

static TCase *parsing(void)
{
	TCase *tests = tcase_create("parsing");
	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_test(tests, options_end_at_the_command);
	tcase_add_test(tests, options_end_at_two_dashes);
	tcase_add_test(tests, one_dash_is_a_word);
	tcase_add_test(tests, no_words_at_all);
	tcase_add_test(tests, values_follow_or_are_attached);
	tcase_add_test(tests, the_last_of_several_holds);
	tcase_add_test(tests, a_bare_name_passes_the_callers_value);
	tcase_add_test(tests, many_of_them);
	tcase_add_test(tests, identity);
	tcase_add_test(tests, limits);
	tcase_add_test(tests, policy);
	tcase_add_loop_test(tests, mounts, 0, COUNT(host_mounts));
	tcase_add_test(tests, directories);
	tcase_add_loop_test(tests, wrong_words_are_refused, 0, COUNT(wrong));
	tcase_add_test(tests, verbs_have_their_own_options);
	tcase_add_test(tests, json_is_seen_behind_an_error);
	return tests;
}

static TCase *files(void)
{
	TCase *tests = tcase_create("files");
	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_test(tests, env_file_is_taken_literally);
	tcase_add_test(tests, env_file_error_names_the_line);
	tcase_add_test(tests, command_line_wins_over_profile);
	tcase_add_test(tests, good_profiles_load);
	tcase_add_test(tests, bad_profiles_do_not);
	tcase_add_test(tests, profile_values);
	tcase_add_test(tests, the_table_is_sound);
	tcase_add_test(tests, man_page_has_every_option_once_and_no_other);
	tcase_add_loop_test(tests, workspace_decision, 0, COUNT(places));
	return tests;
}

int main(void)
{
	Suite *suite = suite_create("options");
	suite_add_tcase(suite, parsing());
	suite_add_tcase(suite, files());

	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
