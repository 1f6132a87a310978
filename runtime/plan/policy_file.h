/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_PLAN_POLICY_FILE_H
#define HUTCH_PLAN_POLICY_FILE_H

/*
 * A user's own system call policy, parsed: hutch-policy(5). A pure function from text to data; nothing is skipped, every
 * word that is not understood is an error that names file and line.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hutch/error.h>

#include "spec/policy.h"

#define POLICY_FILE_BYTES_MAX (64u * 1024u)
#define POLICY_FILE_RULES_MAX 1024u
#define POLICY_FILE_ARGUMENTS 6u

/* Whole arguments, all 64 bits: (argument & mask) == value. */
struct policy_file_condition {
	bool is_used;
	uint64_t mask; /* UINT64_MAX: none */
	uint64_t value;
};

/* One call of one line. */
struct policy_file_rule {
	uint16_t number;
	uint32_t verdict; /* SECCOMP_RET_* */
	unsigned line;
	struct policy_file_condition conditions[POLICY_FILE_ARGUMENTS]; /* by argument; none used: unconditional */
};

struct policy_file {
	const struct policy_arch *arch;
	bool has_include;
	unsigned include;   /* POLICY_* of the profile to start from */
	uint32_t otherwise; /* the verdict of calls that are not named anywhere */
	size_t rules_count;
	struct policy_file_rule rules[POLICY_FILE_RULES_MAX];
};

/* `name` is for messages. */
int policy_file_parse(const char *name, const char *text, size_t size, struct policy_file *ret, struct hutch_error *err);

bool policy_file_is_conditional(const struct policy_file_rule *rule);

/* Whether any rule names this call, so that the included profile no longer says anything about it. */
bool policy_file_names(const struct policy_file *policy, unsigned number);

#endif
