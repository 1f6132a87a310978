/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_PLAN_FILTER_H
#define HUTCH_PLAN_FILTER_H

/*
 * The seccomp programs of a sandbox, ready to be loaded: those of a built-in profile, compiled at build time, or those of a
 * user's own policy. kernel/seccomp loads them; nothing here does.
 */

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>

#include <hutch/error.h>
#include <hutch/spec.h>

struct filter_program {
	const struct sock_filter *instructions;
	uint16_t length;           /* in instructions */
	struct sock_filter *owned; /* what `instructions` points into and filter_done frees; NULL: built in */
};

/* To be loaded in this order: the first of two allows seccomp(2), the second may not. The kernel takes the strictest verdict. */
#define FILTER_PROGRAMS_MAX 2
struct filter {
	struct filter_program programs[FILTER_PROGRAMS_MAX];
	unsigned count;
};

/* The program of a built-in profile; no copy is made. `nosuid_create`: some host directory is writable inside.
 * -HUTCH_E_INVALID for HUTCH_SECCOMP_FILE and what is no profile. */
int filter_select(enum hutch_seccomp profile, bool nosuid_create, struct filter *ret);

/*
 * The programs of the policy in the file `path`, hutch-policy(5). What protects others than the sandbox (terminals, init,
 * core handlers and with nosuid_create the host's files) holds whatever the policy says.
 *
 * Making it takes some milliseconds; with cache_dir, a directory of the caller's own, the result is kept there and found
 * again as long as the policy means the same. NULL: no cache. Trouble with the cache is never an error.
 */
int filter_compile_policy(const char *path, const char *cache_dir, bool nosuid_create, struct filter *ret, struct hutch_error *err);

/* The same for text at hand; `name` is for messages. */
int filter_compile_policy_text(const char *name, const char *text, size_t size, const char *cache_dir, bool nosuid_create,
                               struct filter *ret, struct hutch_error *err);

void filter_done(struct filter *filter);

#endif
