/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_ENGINE_STATE_H
#define HUTCH_ENGINE_STATE_H

/* Where hutch keeps bulk data on disk: `state_dir` if given, else /var/lib/hutch for root and ~/.local/state/hutch.
 * Never /tmp. Directories are 0700 and checked to be the caller's own. */

#include <hutch/error.h>

/* Makes <state>/upper/<id> for upper layers; *ret is freed with free(3), the directory removed with remove_tree().
 * *ret_lock is a lock that is held for as long as it is open: what nobody holds a lock on is removed by the next call. */
int state_make_upper(const char *state_dir, const char *id, char **ret, int *ret_lock, struct hutch_error *err);

/* A directory for compiled policies, or NULL if there cannot be one. Freed with free(3). */
char *state_cache_directory(void);

#endif
