/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The compiled programs: equal to the model for all numbers and boundary arguments, without an instruction that nothing
 * reaches, short, and unchanged since somebody last looked (filter.golden).
 */
#include "test_filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "bpf.h"
#include "filter_inputs.h"
#include "filter_model.h"
#include "plan/filter.h"
#include "plan/filter_builtin.h"
#include "plan/filter_compile.h"

/* Loading costs about 0.4 us for each instruction. */
#define LENGTH_MAX 180

struct program {
	struct sock_filter code[FILTER_INSTRUCTIONS_MAX];
	size_t length;
	bool ran[FILTER_INSTRUCTIONS_MAX];
};

static void compile(struct program *program, const struct policy_map *map, uint32_t audit)
{
	memset(program, 0, sizeof *program);
	ck_assert_int_eq(filter_compile(map, audit, program->code, &program->length), 0);
}

static void compile_profile(struct program *program, const char *arch_name, int profile, bool nosuid)
{
	static struct policy_map map;
	const struct policy_arch *arch = policy_arch_find(arch_name);
	policy_resolve(arch, filter_builtin_profiles[profile].options | (nosuid ? POLICY_NOSUID : 0), &map);
	compile(program, &map, arch->audit);
}

static void assert_all_ran(const struct program *program)
{
	for (size_t i = 0; i < program->length; i++)
		ck_assert_msg(program->ran[i], "instruction %zu of %zu never runs", i, program->length);
}

/* ---- against the model ---- */

struct comparison {
	struct program *program;
	enum hutch_seccomp profile;
	bool nosuid;
	size_t inputs;
};

static void compare(void *context, const struct seccomp_data *data)
{
	struct comparison *c = context;
	uint32_t answer = bpf_run(c->program->code, c->program->length, data, c->program->ran);
	uint32_t expected = filter_model(data, c->profile, c->nosuid);
	c->inputs++;
	if (answer != expected)
		ck_abort_msg("arch %#x call %#x (%llx, %llx, %llx, %llx): answer %#x, model %#x", data->arch, (unsigned)data->nr,
		             (unsigned long long)data->args[0], (unsigned long long)data->args[1], (unsigned long long)data->args[2],
		             (unsigned long long)data->args[3], answer, expected);
}

/* _i: profile * 2 + nosuid */
START_TEST(program_answers_as_the_model)
{
	static struct program program;
	struct filter filter;
	struct comparison c = {.program = &program, .profile = (enum hutch_seccomp)(_i / 2), .nosuid = _i % 2};
	ck_assert_int_eq(filter_select(c.profile, c.nosuid, &filter), 0);
	ck_assert_uint_eq(filter.count, 1);
	ck_assert_ptr_null(filter.programs[0].owned);
	program.length = filter.programs[0].length;
	memcpy(program.code, filter.programs[0].instructions, program.length * sizeof *program.code);
	filter_inputs(FILTER_INPUTS_ARCH, compare, &c);
	ck_assert_uint_gt(c.inputs, 1000000);
	assert_all_ran(&program);
	ck_assert_uint_le(program.length, LENGTH_MAX);
	filter_done(&filter);
}
END_TEST

START_TEST(built_in_is_what_the_table_says)
{
	static struct program program;
	const struct filter_builtin *builtin = &filter_builtin[_i / 2][_i % 2];
	compile_profile(&program, policy_arch_native()->name, _i / 2, _i % 2);
	ck_assert_uint_eq(program.length, builtin->length);
	ck_assert_int_eq(memcmp(program.code, builtin->instructions, program.length * sizeof *program.code), 0);
}
END_TEST

START_TEST(select_refuses_what_is_no_profile)
{
	struct filter filter;
	ck_assert_int_eq(filter_select(HUTCH_SECCOMP_FILE, false, &filter), -HUTCH_E_INVALID);
	ck_assert_int_eq(filter_select((enum hutch_seccomp)17, false, &filter), -HUTCH_E_INVALID);
	ck_assert_int_eq(filter_select((enum hutch_seccomp)-1, false, &filter), -HUTCH_E_INVALID);
	filter_done(NULL);
}
END_TEST

/* ---- other architectures: what has the same name gets the same answer ---- */

struct translation {
	struct program *one, *two;
	const struct policy_arch *other;
	int number;
};

static void compare_translated(void *context, const struct seccomp_data *data)
{
	struct translation *t = context;
	struct seccomp_data translated = *data;
	translated.arch = t->other->audit;
	translated.nr = t->number;
	uint32_t one = bpf_run(t->one->code, t->one->length, data, NULL);
	uint32_t two = bpf_run(t->two->code, t->two->length, &translated, t->two->ran);
	if (one != two)
		ck_abort_msg("%s: %#x and %#x", policy_name(t->other, (unsigned)t->number), one, two);
}

static bool checks_several_arguments(const char *name)
{
	for (size_t i = 0; filter_inputs_several[i] >= 0; i++)
		if (strcmp(policy_name(policy_arch_native(), (unsigned)filter_inputs_several[i]), name) == 0)
			return true;
	return false;
}

/* A number without a call gets what a number that nobody has gets. */
static void translate_number(struct translation *t, const struct policy_arch *from)
{
	const char *name = policy_name(t->other, (unsigned)t->number);
	struct seccomp_data data = {.nr = name ? policy_number(from, name) : 1000, .arch = from->audit};
	ck_assert_int_ge(data.nr, 0);
	compare_translated(t, &data);
	if (name)
		filter_inputs_light(from->audit, data.nr, compare_translated, t);
	if (name && checks_several_arguments(name))
		filter_inputs_pairs(from->audit, data.nr, compare_translated, t);
}

START_TEST(architectures_agree)
{
	static struct program x86, arm;
	const struct policy_arch *from = policy_arch_find("x86_64"), *to = policy_arch_find("aarch64");
	compile_profile(&x86, "x86_64", _i / 2, _i % 2);
	compile_profile(&arm, "aarch64", _i / 2, _i % 2);
	struct translation t = {.one = &x86, .two = &arm, .other = to};
	for (t.number = 0; t.number < 600; t.number++)
		translate_number(&t, from);
	ck_assert_uint_eq(bpf_run(arm.code, arm.length, &(struct seccomp_data){.arch = from->audit}, arm.ran), SECCOMP_RET_KILL_PROCESS);
	assert_all_ran(&arm);
	ck_assert_uint_le(arm.length, LENGTH_MAX);
}
END_TEST

/* ---- the compiler, with policies that nobody would write ---- */

static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint32_t random_below(uint32_t bound)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 20) % bound;
}

static bool holds(const struct policy_condition *c, const struct seccomp_data *data)
{
	uint32_t word = (uint32_t)(c->high ? data->args[c->argument] >> 32 : data->args[c->argument]);
	switch (c->test) {
	case POLICY_IS:
		return word == c->value;
	case POLICY_IS_NOT:
		return word != c->value;
	case POLICY_HAS_ANY:
		return (word & c->value) != 0;
	case POLICY_MASKED_IS:
		return (word & c->mask) == c->value;
	}
	return false;
}

static uint32_t evaluate(const struct policy_map *map, const struct seccomp_data *data)
{
	if ((uint32_t)data->nr >= POLICY_NUMBERS)
		return map->other;
	const struct policy_entry *entry = &map->calls[data->nr];
	for (size_t i = 0; entry->check && i < entry->check->count; i++) {
		const struct policy_rule *rule = &entry->check->rules[i];
		bool all = true;
		for (size_t k = 0; k < rule->count; k++)
			all = all && holds(&rule->all[k], data);
		if (all)
			return rule->verdict;
	}
	return entry->verdict;
}

static void make_check(struct policy_check *check)
{
	check->count = 1 + random_below(9);
	for (size_t i = 0; i < check->count; i++) {
		struct policy_rule *rule = &check->rules[i];
		rule->verdict = SECCOMP_RET_ERRNO | random_below(6);
		rule->count = 1 + random_below(2);
		for (size_t k = 0; k < rule->count; k++) {
			uint32_t mask = random_below(16);
			rule->all[k] = (struct policy_condition){.test = random_below(4), .argument = (uint8_t)random_below(3),
			                                         .high = random_below(4) == 0, .mask = mask};
			rule->all[k].value = rule->all[k].test == POLICY_MASKED_IS ? random_below(16) & mask : random_below(16);
		}
	}
}

/* `variety`: the more, the shorter the runs of numbers, and the longer the program. */
static void make_map(struct policy_map *map, struct policy_check *checks, size_t checks_count, uint32_t variety)
{
	for (size_t i = 0; i < checks_count; i++)
		make_check(&checks[i]);
	struct policy_entry entry = {.verdict = SECCOMP_RET_ALLOW};
	for (size_t n = 0; n < POLICY_NUMBERS; n++) {
		if (random_below(100) < variety)
			entry = (struct policy_entry){.verdict = SECCOMP_RET_ERRNO | random_below(40),
			                              .check = random_below(8) ? NULL : &checks[random_below((uint32_t)checks_count)]};
		map->calls[n] = entry;
	}
	map->other = SECCOMP_RET_ERRNO | ENOSYS;
}

static void assert_equal(struct program *program, const struct policy_map *map, uint32_t audit)
{
	for (unsigned i = 0; i < 60000; i++) {
		struct seccomp_data data = {.nr = (int)random_below(POLICY_NUMBERS + 4), .arch = audit};
		for (unsigned argument = 0; argument < 3; argument++)
			data.args[argument] = random_below(17) | (uint64_t)random_below(3) << 32;
		uint32_t answer = bpf_run(program->code, program->length, &data, program->ran);
		if (answer != evaluate(map, &data))
			ck_abort_msg("call %d: %#x instead of %#x", data.nr, answer, evaluate(map, &data));
	}
}

START_TEST(compiler_is_right_about_any_map)
{
	static struct program program;
	static struct policy_map map;
	static struct policy_check checks[20];
	size_t longest = 0;
	random_state += (uint64_t)_i * 77;
	for (uint32_t variety = 0; variety <= 100; variety += 10) {
		make_map(&map, checks, 20, variety);
		compile(&program, &map, AUDIT_ARCH_X86_64);
		assert_equal(&program, &map, AUDIT_ARCH_X86_64);
		longest = program.length > longest ? program.length : longest;
	}
	ck_assert_uint_gt(longest, 600); /* jumps further than one can reach have been among them */
}
END_TEST

START_TEST(compiler_says_when_it_is_too_much)
{
	static struct program program;
	static struct policy_map map;
	static struct policy_check checks[POLICY_NUMBERS];
	for (size_t n = 0; n < POLICY_NUMBERS; n++) {
		checks[n].count = 9;
		for (uint32_t r = 0; r < 9; r++)
			checks[n].rules[r] = (struct policy_rule){.count = 1, .all = {{.value = (uint32_t)n * 16 + r}}, .verdict = (uint32_t)n};
		map.calls[n].check = &checks[n];
	}
	ck_assert_int_eq(filter_compile(&map, AUDIT_ARCH_X86_64, program.code, &program.length), -HUTCH_E_INVALID);
}
END_TEST

/* ---- golden ---- */

static uint64_t fingerprint(const struct program *program)
{
	uint64_t state = 0xcbf29ce484222325;
	for (size_t i = 0; i < program->length * sizeof *program->code; i++)
		state = (state ^ ((const uint8_t *)program->code)[i]) * 0x100000001b3;
	return state;
}

static void describe_all(FILE *out)
{
	static struct program program;
	static const char *const names[] = {"x86_64", "aarch64"};
	for (size_t arch = 0; arch < 2; arch++)
		for (int i = 0; i < FILTER_BUILTIN_PROFILES * 2; i++) {
			compile_profile(&program, names[arch], i / 2, i % 2);
			fprintf(out, "%s %s %s %zu %016llx\n", names[arch], filter_builtin_profiles[i / 2].name, i % 2 ? "nosuid" : "plain",
			        program.length, (unsigned long long)fingerprint(&program));
		}
}

START_TEST(programs_are_the_golden_ones)
{
	static char expected[4096], actual[4096];
	const char *path = HUTCH_TESTS_DIR "/unit/filter.golden";
	FILE *memory = fmemopen(actual, sizeof actual, "w");
	describe_all(memory);
	fclose(memory);
	FILE *file = fopen(path, getenv("HUTCH_UPDATE_GOLDEN") ? "w+" : "r");
	ck_assert_msg(file != NULL, "cannot open %s", path);
	if (getenv("HUTCH_UPDATE_GOLDEN"))
		fputs(actual, file);
	rewind(file);
	expected[fread(expected, 1, sizeof expected - 1, file)] = '\0';
	fclose(file);
	ck_assert_msg(strcmp(expected, actual) == 0,
	              "The compiled filters are not those of tests/unit/filter.golden. If you meant to change the policy or its compiler,\n"
	              "run this test once with HUTCH_UPDATE_GOLDEN=1 and commit the new file with your change. Now:\n%s", actual);
}
END_TEST

Suite *suite_filter_programs(void)
{
	Suite *suite = suite_create("filter_programs");
	TCase *tcase = tcase_create("programs");
	tcase_set_timeout(tcase, 300);
	tcase_add_loop_test(tcase, program_answers_as_the_model, 0, FILTER_BUILTIN_PROFILES * 2);
	tcase_add_loop_test(tcase, built_in_is_what_the_table_says, 0, FILTER_BUILTIN_PROFILES * 2);
	tcase_add_test(tcase, select_refuses_what_is_no_profile);
	tcase_add_loop_test(tcase, architectures_agree, 0, FILTER_BUILTIN_PROFILES * 2);
	tcase_add_loop_test(tcase, compiler_is_right_about_any_map, 0, 8);
	tcase_add_test(tcase, compiler_says_when_it_is_too_much);
	tcase_add_test(tcase, programs_are_the_golden_ones);
	suite_add_tcase(suite, tcase);
	return suite;
}
