/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_PLAN_FILTER_CACHE_H
#define HUTCH_PLAN_FILTER_CACHE_H

/*
 * Compiled policies on disk. A file holds the complete input of the compilation beside its output, and the input is
 * compared, so a hash that two policies share, an older libseccomp's work or a changed built-in profile cannot be mistaken.
 * Everything that is not as it should be means: not found.
 */

#include "plan/filter.h"
#include "plan/policy_file.h"

struct filter_cache {
	int directory; /* -1: no cache */
	char name[48];
	uint8_t *key;  /* the input, as bytes */
	size_t key_size;
};

/* Never fails; without a usable directory the cache stays closed. */
void filter_cache_open(struct filter_cache *ret, const char *path, uint32_t audit, uint32_t otherwise,
                       const struct policy_file_rule *rules, size_t count);
bool filter_cache_read(const struct filter_cache *cache, struct filter_program *ret);
void filter_cache_write(const struct filter_cache *cache, const struct filter_program *program);
void filter_cache_done(struct filter_cache *cache);

#endif
