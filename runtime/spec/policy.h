/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_SPEC_POLICY_H
#define HUTCH_SPEC_POLICY_H

/*
 * The system call policy, as data: what each call is answered, and why. plan/filter_compile.h makes BPF of it.
 *
 * The table in policy.c names calls; the numbers of an architecture are in policy_<architecture>.h. Both exist once. The
 * profile options below choose among the groups of the table.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POLICY_STRICT (1u << 0) /* HUTCH_SECCOMP_STRICT */
#define POLICY_DEBUG  (1u << 1) /* HUTCH_SECCOMP_DEBUG */
#define POLICY_NOSUID (1u << 2) /* no set-user-ID or set-group-ID file can be made: for host directories writable inside */

/* Verdicts are values of the kernel's SECCOMP_RET_*, so that they need no translation. */
enum policy_test {
	POLICY_IS,        /* word == value */
	POLICY_IS_NOT,    /* word != value */
	POLICY_HAS_ANY,   /* (word & value) != 0 */
	POLICY_MASKED_IS, /* (word & mask) == value */
};

/* Looks at one 32-bit word of an argument. The kernel takes most arguments as int or unsigned int and ignores bits 32 to
 * 63, so looking at them would open a way round; `high` is for pointers, of which every bit counts. */
struct policy_condition {
	enum policy_test test;
	uint8_t argument; /* 0 to 5 */
	bool high;
	uint32_t mask;
	uint32_t value;
};

/* All conditions hold: the verdict is given. */
struct policy_rule {
	uint32_t verdict;
	size_t count;
	struct policy_condition all[2];
};

/* The first rule that applies decides. */
struct policy_check {
	size_t count;
	struct policy_rule rules[9];
};

/* What one call is answered: by its check, or if there is none or no rule of it applies, the verdict. */
struct policy_entry {
	uint32_t verdict;
	const struct policy_check *check;
};

#define POLICY_NUMBERS 512
struct policy_map {
	struct policy_entry calls[POLICY_NUMBERS];
	uint32_t other; /* for numbers from POLICY_NUMBERS on, x32 numbers among them */
};

/* ---- architectures ---- */

struct policy_call {
	uint16_t number;
	const char *name;
};

struct policy_arch {
	const char *name; /* "x86_64", "aarch64" */
	uint32_t audit;   /* AUDIT_ARCH_* */
	const struct policy_call *calls;
	size_t count;
};

const struct policy_arch *policy_arch_find(const char *name); /* NULL: not known */
const struct policy_arch *policy_arch_native(void);

/* -1 if the architecture has no such call. */
int policy_number(const struct policy_arch *arch, const char *name);
/* NULL if no call has this number. */
const char *policy_name(const struct policy_arch *arch, unsigned number);

/* ---- the table ---- */

struct policy_group {
	unsigned when;      /* POLICY_*: applies only with all of these; a later group overrides an earlier one */
	bool mandatory;     /* holds with a user's own policy too */
	uint32_t verdict;
	const struct policy_check *check;
	const char *reason;
	const char *calls;  /* names, separated by spaces */
};
const struct policy_group *policy_groups(size_t *ret_count);

/* Takes the next name off *calls; false at the end. `ret` is terminated. */
#define POLICY_NAME_MAX 32
bool policy_next_name(const char **calls, char ret[static POLICY_NAME_MAX]);

/* The profile's answer to every number. */
void policy_resolve(const struct policy_arch *arch, unsigned options, struct policy_map *ret);

/* Everything allowed but for the mandatory groups: what stands beside a user's own policy. */
void policy_resolve_mandatory(const struct policy_arch *arch, unsigned options, struct policy_map *ret);

#endif
