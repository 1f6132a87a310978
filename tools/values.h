/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_TOOLS_VALUES_H
#define HUTCH_TOOLS_VALUES_H

/* How the arguments of single options are read; see the option table for which is which. */

#include "options.h"

/* identity, limits and policy: values.c */
option_set_fn set_user, set_as_root, set_swap, set_cpus, set_ulimit, set_best_effort, set_seccomp, set_cap_add, set_on_exit;

/* files: places.c */
option_set_fn set_workspace, set_no_workspace, set_rootfs, set_ro, set_rw, set_cow, set_tmpfs, set_cwd;

/* environment: environment.c */
option_set_fn set_env, set_env_file;

/* kept sandboxes: kept_values.c */
option_set_fn set_label, set_exec_id, set_signal, set_since, set_tail, set_offset;

/* Digits and nothing else, at most `limit`. */
bool read_number(const char *text, uint64_t limit, uint64_t *ret);

extern const char *const seccomp_words[];

#endif
