/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_ENGINE_STATE_H
#define HUTCH_ENGINE_STATE_H

/* Where hutch keeps bulk data on disk: `state_dir` if given, else /var/lib/hutch for root and ~/.local/state/hutch.
 * Never /tmp. Directories are 0700 and checked to be the caller's own. */

#include <stdbool.h>

#include <hutch/error.h>

/* Makes <state>/upper/<id> for upper layers or <state>/logs/<id>; *ret is freed with free(3), the directory removed with
 * remove_tree(). As long as *ret_lock is open, nobody takes it for garbage. */
int state_make_upper(const char *state_dir, const char *id, char **ret, int *ret_lock, struct hutch_error *err);
int state_make_logs(const char *state_dir, const char *id, char **ret, int *ret_lock, struct hutch_error *err);

/* Removes such a directory, unless it is in use. */
bool state_remove_unused(const char *path);
/* Removes all that are not in use below the default place, and says how many. */
unsigned state_collect(void);

/* A directory for compiled policies, or NULL if there cannot be one. Freed with free(3). */
char *state_cache_directory(void);

#endif
