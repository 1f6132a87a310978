/* SPDX-License-Identifier: Apache-2.0 */
/* The policy table: complete, without contradictions, and with the right numbers. */
#include "test_filter.h"

#include <seccomp.h>
#include <string.h>

#include "spec/policy.h"

static const char *const arch_names[] = {"x86_64", "aarch64"};
static const uint32_t arch_tokens[] = {SCMP_ARCH_X86_64, SCMP_ARCH_AARCH64};

/* How often groups that apply with exactly these options name the call. */
static unsigned times_named(const char *call, unsigned when)
{
	size_t count;
	unsigned times = 0;
	const struct policy_group *groups = policy_groups(&count);
	char name[POLICY_NAME_MAX];
	for (size_t i = 0; i < count; i++)
		for (const char *calls = groups[i].calls; policy_next_name(&calls, name);)
			times += groups[i].when == when && strcmp(name, call) == 0;
	return times;
}

/* libseccomp has its own tables; it may lack calls that are younger than it is. */
START_TEST(numbers_are_right)
{
	const struct policy_arch *arch = policy_arch_find(arch_names[_i]);
	ck_assert_ptr_nonnull(arch);
	size_t compared = 0;
	for (size_t i = 0; i < arch->count; i++) {
		const struct policy_call *call = &arch->calls[i];
		int number = seccomp_syscall_resolve_name_arch(arch_tokens[_i], call->name);
		bool unknown = number == __NR_SCMP_ERROR && (call->number >= 451 || call->number == 335 || call->number == 336);
		ck_assert_msg(number == call->number || unknown, "%s %s is %u, libseccomp says %d", arch->name, call->name, call->number, number);
		ck_assert_msg(i == 0 || arch->calls[i - 1].number < call->number, "%s is out of order", call->name);
		compared += !unknown;
	}
	ck_assert_uint_gt(compared, 300);
}
END_TEST

START_TEST(every_call_is_decided_once)
{
	const struct policy_arch *arch = policy_arch_find(arch_names[_i]);
	for (size_t i = 0; i < arch->count; i++) {
		const char *name = arch->calls[i].name;
		ck_assert_msg(times_named(name, 0) == 1, "%s is in %u base groups", name, times_named(name, 0));
		for (unsigned when = 1; when <= (POLICY_STRICT | POLICY_DEBUG | POLICY_NOSUID); when++)
			ck_assert_msg(times_named(name, when) <= 1, "%s is twice in the groups of option %u", name, when);
	}
}
END_TEST

START_TEST(every_group_has_a_reason_and_known_calls)
{
	size_t count;
	const struct policy_group *groups = policy_groups(&count);
	char name[POLICY_NAME_MAX];
	for (size_t i = 0; i < count; i++) {
		ck_assert_uint_ge(strlen(groups[i].reason), 12);
		const char *calls = groups[i].calls;
		while (policy_next_name(&calls, name))
			ck_assert_msg(policy_number(policy_arch_find("x86_64"), name) >= 0, "no call '%s'", name);
		ck_assert_msg(*calls == '\0', "a name is too long: %s", calls);
	}
}
END_TEST

/* Base groups first: a later group overrides an earlier one. */
START_TEST(base_groups_come_first)
{
	size_t count;
	const struct policy_group *groups = policy_groups(&count);
	for (size_t i = 1; i < count; i++)
		ck_assert(groups[i].when || !groups[i - 1].when);
}
END_TEST

/* filter_policy.c puts both into one program, one entry for a call. */
START_TEST(mandatory_entries_override_no_other_check)
{
	static struct policy_map profile, mandatory;
	const struct policy_arch *arch = policy_arch_find(arch_names[_i]);
	for (unsigned options = 0; options <= (POLICY_STRICT | POLICY_DEBUG); options++) {
		policy_resolve(arch, options, &profile);
		policy_resolve_mandatory(arch, POLICY_NOSUID, &mandatory);
		for (size_t n = 0; n < POLICY_NUMBERS; n++)
			if (mandatory.calls[n].check && profile.calls[n].check)
				ck_assert_ptr_eq(mandatory.calls[n].check, profile.calls[n].check);
	}
}
END_TEST

START_TEST(rules_have_room)
{
	size_t count;
	const struct policy_group *groups = policy_groups(&count);
	for (size_t i = 0; i < count; i++) {
		const struct policy_check *check = groups[i].check;
		for (size_t r = 0; check && r < check->count; r++) {
			ck_assert_uint_ge(check->rules[r].count, 1);
			ck_assert_uint_le(check->rules[r].count, sizeof check->rules[r].all / sizeof *check->rules[r].all);
		}
		ck_assert(!check || check->count <= sizeof check->rules / sizeof *check->rules);
	}
}
END_TEST

Suite *suite_filter_table(void)
{
	Suite *suite = suite_create("filter_table");
	TCase *tcase = tcase_create("table");
	tcase_add_loop_test(tcase, numbers_are_right, 0, 2);
	tcase_add_loop_test(tcase, every_call_is_decided_once, 0, 2);
	tcase_add_test(tcase, every_group_has_a_reason_and_known_calls);
	tcase_add_test(tcase, base_groups_come_first);
	tcase_add_loop_test(tcase, mandatory_entries_override_no_other_check, 0, 2);
	tcase_add_test(tcase, rules_have_room);
	suite_add_tcase(suite, tcase);
	return suite;
}
