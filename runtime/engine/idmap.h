/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_ENGINE_IDMAP_H
#define HUTCH_ENGINE_IDMAP_H

/*
 * Ranges of ids: choosing one, writing it into a user namespace, and user namespaces that exist only to map the ids of
 * a mount.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <hutch/error.h>

struct guest_request;

/* Real root's sandboxes get 65536 ids each, far from any account and never the same for two at a time: the range is
 * held by a lock on a file below /run/hutch/ids for as long as *ret_lock is open. 0: this uid 0 is not real root (its
 * own user namespace has no such ids). */
int idmap_take_range(uint64_t *ret_base, int *ret_lock, struct hutch_error *err);

/* Whether the caller's user namespace has the ids that idmap_take_range() hands out. */
bool idmap_is_real_root(void);

/* Writes the maps of a child that waits for them. */
int idmap_write(pid_t pid, const struct guest_request *request, struct hutch_error *err);

/* An ordinary user's range of /etc/subuid and /etc/subgid: *ret_base is 0 when there is none. */
int idmap_subids(uid_t uid, uint64_t *ret_uid_base, uint64_t *ret_gid_base, struct hutch_error *err);

/* A user namespace for mount_setattr(MOUNT_ATTR_IDMAP) on files of the host: the files of `caller` belong to `inside` of
 * the range (and the other way round, so that no id is lost), all others to the same id of it; with caller ==
 * inside, every id to itself. */
int idmap_mount_namespace(uint64_t base, uid_t caller, uint32_t inside, struct hutch_error *err);

#endif
