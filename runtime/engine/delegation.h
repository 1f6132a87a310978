/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_ENGINE_DELEGATION_H
#define HUTCH_ENGINE_DELEGATION_H

/*
 * Where this process may make cgroups (v2). In the order in which they are tried:
 *
 *     own subtree     the process is in a cgroup that was delegated to its user: a service or scope with Delegate=yes, a
 *                     container with a private and writable cgroup namespace, a subtree that was chowned to the user
 *     user's manager  a transient scope of systemd's user manager, made or joined by the program hutch-scope; only if the
 *                     process may be moved into it
 *     system manager  the same for root where systemd is the system's init
 *     plain subtree   root without systemd, or without hutch-scope: a directory of the hierarchy's root
 *     none            and why
 */

#include <stdbool.h>
#include <stdint.h>

#include "kernel/cgroup.h"

enum delegation_origin {
	DELEGATION_NONE = 0,
	DELEGATION_OWN,
	DELEGATION_USER_MANAGER,
	DELEGATION_SYSTEM_MANAGER,
	DELEGATION_SUBTREE,
	DELEGATION_ORIGINS
};

struct delegation {
	enum delegation_origin origin;
	int dir;               /* the base: a cgroup in which children can be made, cloned into from here, and have `controllers`; -1: none */
	uint32_t controllers;  /* CGROUP_*: enabled for its children */
	char path[1024];       /* of the base, as /proc/PID/cgroup shows it */
	int holder, holder_process; /* of a process that keeps a new scope alive until delegation_let_go; -1: none. So that comes
	                             * after the first process was cloned into the base */
	char why[320];         /* what is missing (no base, or a controller that was wanted) and what would help; "" if nothing is */
};

/* `needed`: CGROUP_* for which an own part is left that does not have them. `wanted`: what is enabled where it can be had.
 * may_move: this process may be moved into another cgroup for it. Never fails: what cannot be had is not in the answer. */
void delegation_find(uint32_t needed, uint32_t wanted, bool may_move, struct delegation *ret);
void delegation_let_go(struct delegation *delegation); /* the scope ends with its last process from now on */
void delegation_done(struct delegation *delegation);
const char *delegation_origin_name(enum delegation_origin origin); /* "own subtree", ... for people */

#endif
