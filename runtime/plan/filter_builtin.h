/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_PLAN_FILTER_BUILTIN_H
#define HUTCH_PLAN_FILTER_BUILTIN_H

/*
 * The programs of the built-in profiles. Their definition is written at build time by tools/filterc.c.
 */

#include <linux/filter.h>
#include <stdint.h>

enum filter_builtin_profile {
	FILTER_BUILTIN_DEFAULT = 0,
	FILTER_BUILTIN_STRICT,
	FILTER_BUILTIN_DEBUG,
	FILTER_BUILTIN_PROFILES
};

struct filter_builtin {
	uint16_t length;
	const struct sock_filter *instructions;
};

/* The second index is 1 for the variant in which no set-user-ID file can be made (POLICY_NOSUID). */
extern const struct filter_builtin filter_builtin[FILTER_BUILTIN_PROFILES][2];

/* The profile's name, and its POLICY_* options without POLICY_NOSUID. */
struct filter_builtin_profile_info {
	const char *name;
	unsigned options;
};
extern const struct filter_builtin_profile_info filter_builtin_profiles[FILTER_BUILTIN_PROFILES];

#endif
