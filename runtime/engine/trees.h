/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_ENGINE_TREES_H
#define HUTCH_ENGINE_TREES_H

#include <hutch/error.h>

#include "plan/draft.h"

/* Real root makes the mounts of the caller's files itself and hands them to init, with the ids mapped. Fills fds[] with
 * detached mounts, one per tree, for the caller to close; on failure none is open. *ret_unmapped is set when ids could not
 * be mapped and the plan allows that. */
int trees_open(const struct draft *draft, uint64_t base, unsigned inside, int *fds, bool *ret_unmapped, struct hutch_error *err);

#endif
