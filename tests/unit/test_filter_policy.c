/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A user's own policy: the files of tests/corpus/policy (a bad one says in its first line what the message has to contain),
 * programs against their rules for random policies, what holds under any policy, and the cache.
 */
#include "test_filter.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bpf.h"
#include "filter_inputs.h"
#include "filter_model.h"
#include "plan/filter.h"
#include "plan/policy_file.h"

#define CORPUS HUTCH_TESTS_DIR "/corpus/policy"

/* The kernel's rule: the strictest wins, of equals the one that was loaded last. */
static uint32_t answer_of(const struct filter *filter, const struct seccomp_data *data)
{
	uint32_t strictest = SECCOMP_RET_ALLOW;
	for (unsigned i = filter->count; i-- > 0;) {
		uint32_t answer = bpf_run(filter->programs[i].instructions, filter->programs[i].length, data, NULL);
		if (answer == BPF_BROKEN) /* the assertions of Check are too slow for inner loops */
			ck_abort_msg("program %u is broken", i);
		if ((int32_t)(answer & SECCOMP_RET_ACTION_FULL) < (int32_t)(strictest & SECCOMP_RET_ACTION_FULL))
			strictest = answer;
	}
	return strictest;
}

static struct filter make(const char *text, bool nosuid)
{
	struct filter filter;
	struct hutch_error err = {0};
	int ret = filter_compile_policy_text("text", text, strlen(text), NULL, nosuid, &filter, &err);
	ck_assert_msg(ret == 0, "%s\n%s", err.message, text);
	return filter;
}

static uint32_t answer(const struct filter *filter, int number, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	return answer_of(filter, &(struct seccomp_data){.nr = number, .arch = FILTER_INPUTS_ARCH, .args = {a, b, c, d}});
}

#define ALLOW   SECCOMP_RET_ALLOW
#define DENY(e) (SECCOMP_RET_ERRNO | (e))

static uint64_t random_state = 0x2545f4914f6cdd1d;

static uint32_t random_below(uint32_t bound)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 20) % bound;
}

/* ---- corpus ---- */

static void try_good(const char *path)
{
	for (int nosuid = 0; nosuid < 2; nosuid++) {
		struct filter filter;
		struct hutch_error err = {0};
		int ret = filter_compile_policy(path, NULL, nosuid, &filter, &err);
		ck_assert_msg(ret == 0, "%s", err.message);
		ck_assert_uint_eq(filter.count, 2);
		filter_done(&filter);
		ck_assert_uint_eq(filter.count, 0);
		filter_done(&filter);
	}
}

static void read_expectation(const char *path, char *ret, size_t size)
{
	static const char prefix[] = "# expect: ";
	FILE *file = fopen(path, "r");
	ck_assert(file && fgets(ret, (int)size, file));
	fclose(file);
	ck_assert_msg(strncmp(ret, prefix, strlen(prefix)) == 0, "%s has no expectation", path);
	memmove(ret, ret + strlen(prefix), strlen(ret) - strlen(prefix) + 1);
	ret[strcspn(ret, "\n")] = '\0';
}

static void try_bad(const char *path)
{
	char expected[256];
	struct filter filter = {.count = 77};
	struct hutch_error err = {0};
	read_expectation(path, expected, sizeof expected);
	int ret = filter_compile_policy(path, NULL, false, &filter, &err);
	ck_assert_msg(ret == -HUTCH_E_INVALID && err.code == HUTCH_E_INVALID, "%s is accepted", path);
	ck_assert_msg(strstr(err.message, expected) != NULL, "%s: '%s' is not in '%s'", path, expected, err.message);
	ck_assert_msg(strncmp(err.message, path, strlen(path)) == 0, "no file name in '%s'", err.message);
	ck_assert_uint_eq(filter.count, 77);
}

static size_t for_each_file(const char *prefix, void (*try)(const char *path))
{
	size_t count = 0;
	DIR *directory = opendir(CORPUS);
	ck_assert_ptr_nonnull(directory);
	for (const struct dirent *entry; (entry = readdir(directory));) {
		char path[PATH_MAX];
		if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
			continue;
		snprintf(path, sizeof path, "%s/%s", CORPUS, entry->d_name);
		try(path);
		count++;
	}
	closedir(directory);
	return count;
}

START_TEST(good_files_are_accepted)
{
	ck_assert_uint_ge(for_each_file("good_", try_good), 12);
}
END_TEST

START_TEST(bad_files_are_refused)
{
	ck_assert_uint_ge(for_each_file("bad_", try_bad), 55);
}
END_TEST

/* Every prefix of a good policy is accepted or refused; nothing else happens (run under sanitizers). */
START_TEST(truncated_files_do_no_harm)
{
	static const char text[] = "include strict\ndeny socket errno EACCES if arg0 & 0xf == 1 and arg2 == 010\nkill ptrace # x\nallow flock";
	static struct policy_file policy;
	for (size_t size = 0; size < sizeof text; size++) {
		char *copy = malloc(size + 1);
		memcpy(copy, text, size);
		int ret = policy_file_parse("text", copy, size, &policy, NULL);
		ck_assert(ret == 0 || ret == -HUTCH_E_INVALID);
		free(copy);
	}
}
END_TEST

START_TEST(mutated_files_do_no_harm)
{
	static const char seed[] = "include default\ndefault kill\nallow flock mount if arg0 & 0x7 == 1 and arg2 == 010\n"
	                           "deny socket errno EACCES if arg1 == 5 # x\nkill ptrace\n";
	static const char letters[] = "\n\n #&=0179xfaegr\t\0\xff";
	static struct policy_file policy;
	for (unsigned i = 0; i < 30000; i++) {
		char text[sizeof seed];
		memcpy(text, seed, sizeof seed);
		for (uint32_t n = 1 + random_below(6); n > 0; n--)
			text[random_below(sizeof seed - 1)] = letters[random_below(sizeof letters)];
		int ret = policy_file_parse("text", text, sizeof seed - 1, &policy, NULL);
		if (ret != 0 && ret != -HUTCH_E_INVALID)
			ck_abort_msg("%d", ret);
	}
}
END_TEST

START_TEST(odd_files_are_refused)
{
	struct filter filter;
	struct hutch_error err = {0};
	ck_assert_int_eq(filter_compile_policy("/nonexistent/policy", NULL, false, &filter, &err), -HUTCH_E_INVALID);
	ck_assert_int_eq(err.sys_errno, ENOENT);
	ck_assert_int_eq(filter_compile_policy("/dev/zero", NULL, false, &filter, &err), -HUTCH_E_INVALID);
	ck_assert_ptr_nonnull(strstr(err.message, "not a regular file"));
	ck_assert_int_eq(filter_compile_policy("/", NULL, false, &filter, NULL), -HUTCH_E_INVALID);
	char *text = malloc(POLICY_FILE_BYTES_MAX + 1);
	memset(text, '\n', POLICY_FILE_BYTES_MAX + 1);
	memcpy(text, "allow read", 10);
	ck_assert_int_eq(filter_compile_policy_text("t", text, POLICY_FILE_BYTES_MAX + 1, NULL, false, &filter, &err), -HUTCH_E_INVALID);
	ck_assert_int_eq(filter_compile_policy_text("t", text, POLICY_FILE_BYTES_MAX, NULL, false, &filter, &err), 0);
	filter_done(&filter);
	free(text);
}
END_TEST

/* ---- meaning ---- */

struct included {
	struct filter *filter;
	enum hutch_seccomp profile;
	bool nosuid;
};

/* x32 numbers: libseccomp's program kills, ours says that there is no such call. */
static void compare_included(void *context, const struct seccomp_data *data)
{
	const struct included *c = context;
	if ((uint32_t)data->nr >= 0x40000000)
		return;
	uint32_t expected = filter_model(data, c->profile, c->nosuid), got = answer_of(c->filter, data);
	if (got != expected)
		ck_abort_msg("call %d (%llx, %llx, %llx): %#x instead of %#x", data->nr, (unsigned long long)data->args[0],
		             (unsigned long long)data->args[1], (unsigned long long)data->args[2], got, expected);
}

START_TEST(included_profile_means_the_same)
{
	static const char *const texts[] = {"include default", "include strict", "include debug"};
	struct filter filter = make(texts[_i / 2], _i % 2);
	struct included c = {.filter = &filter, .profile = (enum hutch_seccomp)(_i / 2), .nosuid = _i % 2};
	for (int number = 0; number < 600; number++)
		filter_inputs_light(FILTER_INPUTS_ARCH, number, compare_included, &c);
	for (unsigned i = 0; i < filter.count; i++)
		ck_assert_uint_eq(bpf_run(filter.programs[i].instructions, filter.programs[i].length,
		                          &(struct seccomp_data){.arch = AUDIT_ARCH_I386}, NULL), SECCOMP_RET_KILL_PROCESS);
	filter_done(&filter);
}
END_TEST

START_TEST(own_rules_replace_included_ones)
{
	struct filter filter = make("include default\ndefault kill\nallow socket if arg0 == 40\nallow ptrace clone3\nkill fork\n"
	                            "deny read errno EIO\n", false);
	ck_assert_uint_eq(answer(&filter, __NR_socket, 40, 0, 0, 0), ALLOW);
	ck_assert_uint_eq(answer(&filter, __NR_socket, AF_UNIX, 0, 0, 0), SECCOMP_RET_KILL_PROCESS);
	ck_assert_uint_eq(answer(&filter, __NR_ptrace, 0, 0, 0, 0), ALLOW);
	ck_assert_uint_eq(answer(&filter, __NR_clone3, 0, 0, 0, 0), ALLOW);
	ck_assert_uint_eq(answer(&filter, __NR_read, 0, 0, 0, 0), DENY(EIO));
	ck_assert_uint_eq(answer(&filter, __NR_clone, CLONE_NEWUSER, 0, 0, 0), DENY(EPERM));
	ck_assert_uint_eq(answer(&filter, __NR_mount, 0, 0, 0, 0), DENY(EPERM));
	ck_assert_uint_eq(answer(&filter, 499, 0, 0, 0, 0), SECCOMP_RET_KILL_PROCESS);
	filter_done(&filter);
}
END_TEST

struct mandatory {
	struct filter *filter;
	bool nosuid;
};

static void compare_mandatory(void *context, const struct seccomp_data *data)
{
	const struct mandatory *m = context;
	if (answer_of(m->filter, data) != filter_model_mandatory(data, m->nosuid))
		ck_abort_msg("call %d: %#x", data->nr, answer_of(m->filter, data));
}

/* A policy that allows every call there is cannot allow what protects others than the sandbox. */
START_TEST(mandatory_denials_hold)
{
	static char text[32768] = "allow";
	const struct policy_arch *arch = policy_arch_native();
	for (size_t i = 0, length = 5; i < arch->count; i++)
		length += (size_t)snprintf(text + length, sizeof text - length, "%s%s", i % 20 ? " " : "\nallow ", arch->calls[i].name);
	memmove(text, text + 6, strlen(text + 6) + 1);
	struct filter filter = make(text, _i);
	struct mandatory m = {.filter = &filter, .nosuid = _i};
	for (size_t i = 0; i < arch->count; i++)
		filter_inputs_light(arch->audit, arch->calls[i].number, compare_mandatory, &m);
	filter_inputs_pairs(arch->audit, __NR_prlimit64, compare_mandatory, &m);
	filter_done(&filter);
}
END_TEST

/* ---- random policies: what libseccomp made of the rules, against the rules ---- */

static uint64_t random_value(void)
{
	static const uint64_t above[] = {0, 0, 0, UINT64_C(1) << 32, UINT64_C(0xffffffff) << 32};
	return random_below(6) | above[random_below(5)];
}

static size_t write_condition(char *to, size_t size, unsigned argument)
{
	uint32_t mask = 1 + random_below(15);
	if (random_below(2))
		return (size_t)snprintf(to, size, "arg%u == %#llx", argument, (unsigned long long)random_value());
	return (size_t)snprintf(to, size, "arg%u & %#x == %u", argument, mask, random_below(8) & mask);
}

static void write_rule(FILE *out, const char *name, const char *verdict)
{
	char condition[64];
	unsigned first = random_below(3);
	write_condition(condition, sizeof condition, first);
	fprintf(out, "%s %s%s if %s", *verdict == 'D' ? "deny" : verdict, name, *verdict == 'D' ? " errno EXDEV" : "", condition);
	for (unsigned argument = first + 1; argument < 3; argument++)
		if (random_below(3) == 0) {
			write_condition(condition, sizeof condition, argument);
			fprintf(out, " and %s", condition);
		}
	fputc('\n', out);
}

/* Calls without mandatory or other checks, so that only the rules speak. */
static const char *const random_calls[] = {"read", "write", "close", "dup", "lseek", "getpid", "mmap", "munmap", "kill", "uname"};

static void write_policy(FILE *out)
{
	static const char *const defaults[] = {"enosys", "eperm", "kill"}, *const verdicts[] = {"allow", "D", "kill", "allow"};
	fprintf(out, "default %s\nallow exit_group\n", defaults[random_below(3)]);
	for (size_t i = 0; i < sizeof random_calls / sizeof *random_calls; i++) {
		const char *verdict = verdicts[random_below(4)];
		for (uint32_t rules = random_below(5); rules > 0; rules--)
			write_rule(out, random_calls[i], verdict);
	}
}

static bool rule_applies(const struct policy_file_rule *rule, const struct seccomp_data *data)
{
	for (size_t i = 0; i < POLICY_FILE_ARGUMENTS; i++)
		if (rule->conditions[i].is_used && (data->args[i] & rule->conditions[i].mask) != rule->conditions[i].value)
			return false;
	return rule->number == data->nr;
}

static uint32_t evaluate(const struct policy_file *policy, const struct seccomp_data *data)
{
	for (size_t i = 0; i < policy->rules_count; i++)
		if (rule_applies(&policy->rules[i], data))
			return policy->rules[i].verdict;
	return policy->otherwise;
}

static bool try_random_policy(const char *text, struct policy_file *policy)
{
	struct filter filter;
	int ret = filter_compile_policy_text("random", text, strlen(text), NULL, false, &filter, NULL);
	if (ret < 0) /* two rules with the same condition */
		return false;
	ck_assert_int_eq(policy_file_parse("random", text, strlen(text), policy, NULL), 0);
	for (unsigned i = 0; i < 6000; i++) {
		const char *name = random_calls[random_below(sizeof random_calls / sizeof *random_calls)];
		struct seccomp_data data = {.nr = policy_number(policy->arch, name), .arch = policy->arch->audit,
		                            .args = {random_value(), random_value(), random_value(), random_value()}};
		if (answer_of(&filter, &data) != evaluate(policy, &data))
			ck_abort_msg("%s(%#llx, %#llx, %#llx): %#x instead of %#x\n%s", name, (unsigned long long)data.args[0],
			             (unsigned long long)data.args[1], (unsigned long long)data.args[2], answer_of(&filter, &data),
			             evaluate(policy, &data), text);
	}
	filter_done(&filter);
	return true;
}

START_TEST(random_policies_are_compiled_right)
{
	static char text[16384];
	static struct policy_file policy;
	random_state += (uint64_t)_i * 99991;
	unsigned tried = 0;
	for (unsigned round = 0; round < 60; round++) {
		FILE *out = fmemopen(text, sizeof text, "w");
		write_policy(out);
		fclose(out);
		tried += try_random_policy(text, &policy);
	}
	ck_assert_uint_gt(tried, 20);
}
END_TEST

/* ---- cache ---- */

static char cache_dir[64];

static void make_cache_dir(void)
{
	strcpy(cache_dir, "/tmp/hutch-filter-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(cache_dir));
}

/* The one file in it; "" if there is none. */
static void cached_file(char ret[static 400])
{
	ret[0] = '\0';
	DIR *directory = opendir(cache_dir);
	for (const struct dirent *entry; (entry = readdir(directory));)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
			ck_assert_msg(!ret[0], "two files: %s and %s", ret, entry->d_name);
			snprintf(ret, 400, "%s/%s", cache_dir, entry->d_name);
		}
	closedir(directory);
}

static void remove_cache_dir(void)
{
	char path[400];
	cached_file(path);
	if (path[0])
		unlink(path);
	rmdir(cache_dir);
}

static uint16_t compile_cached(const char *text)
{
	struct filter filter;
	struct hutch_error err = {0};
	int ret = filter_compile_policy_text("text", text, strlen(text), cache_dir, false, &filter, &err);
	ck_assert_msg(ret == 0, "%s", err.message);
	ck_assert_uint_eq(answer(&filter, __NR_getpid, 0, 0, 0, 0), ALLOW);
	ck_assert_uint_eq(answer(&filter, __NR_mount, 0, 0, 0, 0), DENY(ENOSYS));
	uint16_t length = filter.programs[1].length;
	filter_done(&filter);
	return length;
}

#define CACHED "allow getpid exit_group read write"

START_TEST(cache_keeps_a_policy)
{
	char path[400];
	struct stat before, after;
	compile_cached(CACHED);
	cached_file(path);
	ck_assert_int_eq(stat(path, &before), 0);
	ck_assert_uint_eq(before.st_mode & 07777, 0600);
	ck_assert_uint_eq(compile_cached(CACHED), compile_cached("# the same\nallow getpid\nallow exit_group read write\n"));
	cached_file(path);
	ck_assert_int_eq(stat(path, &after), 0);
	ck_assert_uint_eq(before.st_ino, after.st_ino); /* read, not written again */
}
END_TEST

/* Whatever byte is changed, and wherever the file ends: the policy is compiled again, and rightly. */
START_TEST(cache_survives_damage)
{
	char path[400];
	struct stat st;
	compile_cached(CACHED);
	cached_file(path);
	ck_assert_int_eq(stat(path, &st), 0);
	for (off_t at = 0; at < st.st_size; at++) {
		char byte;
		int fd = open(path, O_RDWR);
		ck_assert(fd >= 0 && pread(fd, &byte, 1, at) == 1);
		byte = (char)(byte ^ 0x40);
		ck_assert(pwrite(fd, &byte, 1, at) == 1);
		if (at % 3 == 0)
			ck_assert_int_eq(ftruncate(fd, at), 0);
		close(fd);
		compile_cached(CACHED);
	}
}
END_TEST

static void assert_ignored(const char *path, ino_t inode)
{
	struct stat st;
	compile_cached(CACHED);
	ck_assert_int_eq(lstat(path, &st), 0);
	ck_assert_msg(st.st_ino != inode, "the file was used");
}

START_TEST(cache_files_of_others_are_ignored)
{
	char path[400], elsewhere[420];
	struct stat st;
	compile_cached(CACHED);
	cached_file(path);
	ck_assert(stat(path, &st) == 0 && chmod(path, 0666) == 0);
	assert_ignored(path, st.st_ino);
	snprintf(elsewhere, sizeof elsewhere, "%s.moved", cache_dir);
	ck_assert(rename(path, elsewhere) == 0 && symlink(elsewhere, path) == 0 && lstat(path, &st) == 0);
	assert_ignored(path, st.st_ino);
	unlink(elsewhere);
	if (geteuid() == 0) {
		ck_assert(stat(path, &st) == 0 && chown(path, 65534, 65534) == 0);
		assert_ignored(path, st.st_ino);
	}
}
END_TEST

START_TEST(cache_directory_of_others_is_not_used)
{
	char path[400];
	ck_assert_int_eq(chmod(cache_dir, 0777), 0);
	compile_cached(CACHED);
	cached_file(path);
	ck_assert_str_eq(path, "");
	ck_assert_int_eq(chmod(cache_dir, 0500), 0);
	compile_cached(CACHED); /* cannot be written, unless by root */
	ck_assert_int_eq(chmod(cache_dir, 0700), 0);
}
END_TEST

Suite *suite_filter_policy(void)
{
	Suite *suite = suite_create("filter_policy");
	TCase *tcase = tcase_create("policy");
	tcase_set_timeout(tcase, 300);
	tcase_add_test(tcase, good_files_are_accepted);
	tcase_add_test(tcase, bad_files_are_refused);
	tcase_add_test(tcase, truncated_files_do_no_harm);
	tcase_add_test(tcase, mutated_files_do_no_harm);
	tcase_add_test(tcase, odd_files_are_refused);
	tcase_add_loop_test(tcase, included_profile_means_the_same, 0, 6);
	tcase_add_test(tcase, own_rules_replace_included_ones);
	tcase_add_loop_test(tcase, mandatory_denials_hold, 0, 2);
	tcase_add_loop_test(tcase, random_policies_are_compiled_right, 0, 8);
	suite_add_tcase(suite, tcase);
	TCase *cache = tcase_create("cache");
	tcase_set_timeout(cache, 120);
	tcase_add_checked_fixture(cache, make_cache_dir, remove_cache_dir);
	tcase_add_test(cache, cache_keeps_a_policy);
	tcase_add_test(cache, cache_survives_damage);
	tcase_add_test(cache, cache_files_of_others_are_ignored);
	tcase_add_test(cache, cache_directory_of_others_is_not_used);
	suite_add_tcase(suite, cache);
	return suite;
}
