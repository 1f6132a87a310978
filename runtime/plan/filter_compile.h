/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_PLAN_FILTER_COMPILE_H
#define HUTCH_PLAN_FILTER_COMPILE_H

/*
 * From a policy map to one seccomp program: a decision tree over ranges of call numbers with the argument checks as leaves.
 * A pure function: the same map gives the same program. Runs at build time (tools/filterc.c) for the built-in profiles, at
 * run time only for the small program that stands beside a user's own policy.
 */

#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>

#include "spec/policy.h"

#define FILTER_INSTRUCTIONS_MAX BPF_MAXINSNS /* the kernel's bound: 4096 */

/* `audit` is the architecture's AUDIT_ARCH_*; calls of any other kill the process. -HUTCH_E_NO_MEMORY, or -HUTCH_E_INVALID
 * if the program would be too long. */
int filter_compile(const struct policy_map *map, uint32_t audit, struct sock_filter ret[static FILTER_INSTRUCTIONS_MAX],
                   size_t *ret_length);

#endif
