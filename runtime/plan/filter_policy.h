/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_PLAN_FILTER_POLICY_H
#define HUTCH_PLAN_FILTER_POLICY_H

/*
 * From a parsed policy file to the two programs of its filter.
 */

#include "plan/filter.h"
#include "plan/policy_file.h"

/* Allows everything but what is forbidden under any policy, and what the argument checks of the included profile forbid. */
int filter_policy_guard(const struct policy_file *policy, bool nosuid_create, struct filter_program *ret, struct hutch_error *err);

/* The policy proper, compiled by libseccomp, or taken from the cache. */
int filter_policy_main(const struct policy_file *policy, const char *cache_dir, struct filter_program *ret, struct hutch_error *err);

#endif
