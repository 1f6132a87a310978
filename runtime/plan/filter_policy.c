/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter of a user's own policy is two programs, because libseccomp cannot hold both halves in one: a conditional
 * denial beside an allow of the same call is dropped without an error (2.5.4).
 *
 *   guard: our own compiler; everything allowed, except mandatory denials and the argument checks of the included profile
 *          for calls that the policy leaves alone.
 *   main:  libseccomp; denies by default. Calls of the included profile that have a check are plainly allowed here.
 *
 * The kernel takes the strictest answer. In main, a call has one unconditional rule or conditional ones with one verdict
 * (policy_file.c sees to that), conditions are equalities only, and there is always an allow rule (with none, libseccomp's
 * binary tree forgets the default).
 */
#include "plan/filter_policy.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "plan/filter_cache.h"
#include "plan/filter_compile.h"

#define RULES_MAX (POLICY_NUMBERS + POLICY_FILE_RULES_MAX)

static int no_memory(struct hutch_error *err)
{
	return err_set(err, HUTCH_E_NO_MEMORY, "out of memory");
}

/* ---- guard ---- */

/* Mandatory entries stay as they are: no call has both those and a check in a profile (a test holds that). */
static void add_included_checks(const struct policy_file *policy, struct policy_map *map)
{
	struct policy_map included;
	policy_resolve(policy->arch, policy->include, &included);
	for (unsigned number = 0; number < POLICY_NUMBERS; number++)
		if (included.calls[number].check && !map->calls[number].check && !policy_file_names(policy, number))
			map->calls[number] = included.calls[number];
}

int filter_policy_guard(const struct policy_file *policy, bool nosuid_create, struct filter_program *ret, struct hutch_error *err)
{
	struct policy_map map;
	policy_resolve_mandatory(policy->arch, nosuid_create ? POLICY_NOSUID : 0, &map);
	if (policy->has_include)
		add_included_checks(policy, &map);
	CLEANUP_FREE struct sock_filter *code = calloc(FILTER_INSTRUCTIONS_MAX, sizeof *code);
	size_t length;
	if (!code)
		return no_memory(err);
	int failed = filter_compile(&map, policy->arch->audit, code, &length);
	if (failed < 0)
		return err_set(err, -failed, "cannot compile the mandatory filter");
	*ret = (struct filter_program){.instructions = code, .length = (uint16_t)length, .owned = code};
	code = NULL;
	return 0;
}

/* ---- main ---- */

struct rules {
	uint32_t otherwise;
	size_t count;
	struct policy_file_rule all[RULES_MAX];
};

static void add_rule(struct rules *rules, const struct policy_file_rule *rule)
{
	if (rule->verdict == rules->otherwise) /* libseccomp refuses rules that say what the default says */
		return;
	rules->all[rules->count] = *rule;
	rules->all[rules->count++].line = 0;
}

static void add_included(struct rules *rules, const struct policy_file *policy)
{
	struct policy_map included;
	policy_resolve(policy->arch, policy->include, &included);
	for (unsigned number = 0; number < POLICY_NUMBERS; number++) {
		const struct policy_entry *entry = &included.calls[number];
		if (policy_file_names(policy, number) || !policy_name(policy->arch, number))
			continue;
		add_rule(rules, &(struct policy_file_rule){.number = (uint16_t)number,
		                                           .verdict = entry->check ? SECCOMP_RET_ALLOW : entry->verdict});
	}
}

static struct rules *collect_rules(const struct policy_file *policy)
{
	struct rules *rules = calloc(1, sizeof *rules);
	if (!rules)
		return NULL;
	rules->otherwise = policy->otherwise;
	if (policy->has_include)
		add_included(rules, policy);
	for (size_t i = 0; i < policy->rules_count; i++)
		add_rule(rules, &policy->rules[i]);
	return rules;
}

static uint32_t action(uint32_t verdict)
{
	switch (verdict & SECCOMP_RET_ACTION_FULL) {
	case SECCOMP_RET_ALLOW:
		return SCMP_ACT_ALLOW;
	case SECCOMP_RET_ERRNO:
		return SCMP_ACT_ERRNO(verdict & SECCOMP_RET_DATA);
	default:
		return SCMP_ACT_KILL_PROCESS;
	}
}

static int give_rule(scmp_filter_ctx context, const struct policy_file_rule *rule)
{
	struct scmp_arg_cmp compare[POLICY_FILE_ARGUMENTS];
	unsigned count = 0;
	for (unsigned i = 0; i < POLICY_FILE_ARGUMENTS; i++) {
		const struct policy_file_condition *c = &rule->conditions[i];
		if (!c->is_used)
			continue;
		if (c->mask == UINT64_MAX)
			compare[count++] = (struct scmp_arg_cmp){.arg = i, .op = SCMP_CMP_EQ, .datum_a = c->value};
		else
			compare[count++] = (struct scmp_arg_cmp){.arg = i, .op = SCMP_CMP_MASKED_EQ, .datum_a = c->mask, .datum_b = c->value};
	}
	return seccomp_rule_add_array(context, action(rule->verdict), rule->number, count, compare);
}

static int give_rules(scmp_filter_ctx context, const struct policy_file *policy, const struct rules *rules, struct hutch_error *err)
{
	int failed = seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (failed == 0)
		failed = seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a binary tree: cheaper to load */
	if (failed < 0)
		return err_sys(err, HUTCH_E_SYSTEM, -failed, "cannot set up libseccomp");
	for (size_t i = 0; i < rules->count; i++) {
		failed = give_rule(context, &rules->all[i]);
		if (failed < 0) {
			const char *name = policy_name(policy->arch, rules->all[i].number);
			return err_sys(err, HUTCH_E_INVALID, -failed, "libseccomp refuses a rule for '%s'", name ? name : "?");
		}
	}
	return 0;
}

static int read_back(int fd, struct filter_program *ret, struct hutch_error *err)
{
	off_t size = lseek(fd, 0, SEEK_END);
	if (size <= 0 || size % (off_t)sizeof(struct sock_filter))
		return err_set(err, HUTCH_E_SYSTEM, "libseccomp made no program");
	size_t length = (size_t)size / sizeof(struct sock_filter);
	if (length > FILTER_INSTRUCTIONS_MAX)
		return err_set(err, HUTCH_E_INVALID, "the program would have %zu instructions, the kernel takes %d", length,
		               FILTER_INSTRUCTIONS_MAX);
	CLEANUP_FREE struct sock_filter *code = malloc((size_t)size);
	if (!code)
		return no_memory(err);
	if (pread(fd, code, (size_t)size, 0) != size)
		return err_sys(err, HUTCH_E_SYSTEM, errno, "cannot read the program back");
	*ret = (struct filter_program){.instructions = code, .length = (uint16_t)length, .owned = code};
	code = NULL;
	return 0;
}

static int compile(const struct policy_file *policy, const struct rules *rules, struct filter_program *ret, struct hutch_error *err)
{
	CLEANUP_CLOSE int fd = memfd_create("filter", MFD_CLOEXEC);
	if (fd < 0)
		return err_sys(err, HUTCH_E_SYSTEM, errno, "memfd_create");
	scmp_filter_ctx context = seccomp_init(action(rules->otherwise));
	if (!context)
		return err_set(err, HUTCH_E_SYSTEM, "cannot start libseccomp");
	int failed = give_rules(context, policy, rules, err);
	if (failed == 0) {
		int exported = seccomp_export_bpf(context, fd);
		if (exported < 0)
			failed = err_sys(err, HUTCH_E_SYSTEM, -exported, "libseccomp cannot compile the policy");
	}
	seccomp_release(context);
	return failed < 0 ? failed : read_back(fd, ret, err);
}

int filter_policy_main(const struct policy_file *policy, const char *cache_dir, struct filter_program *ret, struct hutch_error *err)
{
	CLEANUP_FREE struct rules *rules = collect_rules(policy);
	CLEANUP(filter_cache_done) struct filter_cache cache = {.directory = -1};
	if (!rules)
		return no_memory(err);
	if (cache_dir)
		filter_cache_open(&cache, cache_dir, policy->arch->audit, rules->otherwise, rules->all, rules->count);
	if (filter_cache_read(&cache, ret))
		return 0;
	int failed = compile(policy, rules, ret, err);
	if (failed == 0)
		filter_cache_write(&cache, ret);
	return failed;
}
