/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_SPEC_CHECK_H
#define HUTCH_SPEC_CHECK_H

/*
 * Every rule about a request that can be judged without looking at the host. An error names the field as it is called
 * in hutch/spec.h. After a check, the copies have all defaults filled in and no field contradicts another.
 */

#include <hutch/error.h>
#include <hutch/spec.h>

#define SPEC_UID_DEFAULT       1000u
#define SPEC_UID_MAX           65533u
#define SPEC_PIDS_DEFAULT      1024u
#define SPEC_GRACE_DEFAULT_MS  2000u
#define SPEC_OUTPUT_DEFAULT    (UINT64_C(64) << 20)
#define SPEC_MOUNTS_MAX        256u
#define SPEC_ULIMITS_MAX       12u
#define SPEC_MEMORY_MIN        (UINT64_C(1) << 20)
#define SPEC_CPUS_MIN          10u /* thousandths: cpu.max counts from 1 ms in 100 */
#define SPEC_LABELS_MAX        64u
#define SPEC_TEXT_MAX          4096u /* of a path or a name */

/* Copies `spec` (NULL: all defaults) into *ret. The copy is shallow: strings stay the caller's. */
int spec_check(const struct hutch_spec *spec, struct hutch_spec *ret, struct hutch_error *err);

/* `prefix` of the fields' names in errors: "" or "command." */
int spec_check_limits(const struct hutch_limits *limits, const char *prefix, struct hutch_error *err);

int command_check(const struct hutch_command *command, struct hutch_command *ret, struct hutch_error *err);

/* RLIMIT_* for a name as in hutch_ulimit, or -1. */
int spec_ulimit_resource(const char *name);
const char *spec_ulimit_name(int resource); /* a constant; NULL if it has none */

/* The capabilities that hutch_spec.cap_add may name, as a mask: with several ids mapped, and in an own network. */
#define SPEC_CAPS_IDS     ((UINT64_C(1) << 0) | (UINT64_C(1) << 1) | (UINT64_C(1) << 3) | (UINT64_C(1) << 5) | (UINT64_C(1) << 6) | (UINT64_C(1) << 7))
#define SPEC_CAPS_NETWORK ((UINT64_C(1) << 10) | (UINT64_C(1) << 12) | (UINT64_C(1) << 13))

#endif
