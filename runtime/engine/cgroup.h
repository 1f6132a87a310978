/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_ENGINE_CGROUP_H
#define HUTCH_ENGINE_CGROUP_H

/*
 * The cgroups of one sandbox.
 *
 *     <base>/                    where delegation_find() says; shared by all sandboxes of the user
 *       hutch-<id>/              locked (flock) by the owner for its life: one whose lock is free is garbage
 *         init/                  hutch-init, which is neither frozen nor limited
 *         run/                   the sandbox's limits; frozen by pause
 *           <n>/                 a leaf: command n and all that it started, with limits of its own
 *
 * The owner makes and removes all of them and reads what they have counted. Init gets a leaf's descriptor with the request
 * for its command, clones the command into it, and kills the command's tree through it. Commands see none of this: no
 * cgroup file system is mounted inside, and each has a cgroup namespace whose root is its leaf.
 *
 * memory.oom.group is set on the leaves and nowhere else: whatever limit is exceeded, one command dies, and that as a whole.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <hutch/error.h>
#include <hutch/spec.h>

#include "engine/delegation.h"
#include "kernel/cgroup.h"
#include "plan/message.h"

#define CGROUP_DISKS_MAX 16u

struct cgroups {
	int base, dir, run;    /* -1: the sandbox has none */
	uint32_t controllers;  /* CGROUP_*, of run and of leaves */
	uid_t user;            /* the host's id of init, which must be able to clone into leaves; (uid_t)-1: our own */
	uint32_t user_inside;  /* what that id, or ours, is called inside */
	bool is_frozen;
	enum delegation_origin origin;
	char path[1100];       /* of hutch-<id>, for people */
	char name[48];         /* its last component */
	dev_t disks[CGROUP_DISKS_MAX]; /* that io.max is about */
	unsigned disks_count;
	uint32_t *lingering;   /* leaves that could not be removed yet: something that a command left still runs there */
	unsigned lingering_count;
};
#define CGROUPS_NONE ((struct cgroups){.base = -1, .dir = -1, .run = -1, .user = (uid_t)-1})

static inline bool cgroups_exist(const struct cgroups *cgroups)
{
	return cgroups->dir >= 0;
}

/* Makes them below the base. `ret` has user, user_inside and disks filled in already. *ret_init: the cgroup of init. -errno,
 * with *ret_what saying what failed. */
int cgroups_make(struct cgroups *ret, const struct delegation *delegation, const char *id, const struct hutch_limits *limits, int *ret_init, const char **ret_what);
/* Once everything in them is dead; also half made ones. */
void cgroups_remove(struct cgroups *cgroups);

/* Sets those limits that are not 0. -errno, *ret_what: the file. */
int cgroups_limit(const struct cgroups *cgroups, int dir, const struct hutch_limits *limits, const char **ret_what);

/* Gives a file of a cgroup to init, where that is another user. 0 or -errno. */
int cgroups_lend(const struct cgroups *cgroups, int dir, const char *file);

/* Returns when all is frozen or thawed; -ETIMEDOUT if the kernel cannot do it within a second. */
int cgroups_freeze(struct cgroups *cgroups, bool freeze);

/* Removes what dead owners have left below `base`; how many. */
unsigned cgroups_collect(int base);

/* ---- one command ---- */

struct leaf {
	int dir;                  /* -1: none */
	int kill, events;         /* cgroup.kill, cgroup.events */
	uint32_t id;
	uint64_t cpu_time_us;     /* its limit; 0: none */
	int64_t check_ms;         /* when its CPU time must be looked at; INT64_MAX: never */
	uint64_t sandbox_ooms, sandbox_pids, sandbox_throttled_us; /* what had happened to the sandbox as a whole before */
};
#define LEAF_NONE ((struct leaf){.dir = -1, .kill = -1, .events = -1, .check_ms = INT64_MAX})

int leaf_make(struct cgroups *cgroups, uint32_t id, const struct hutch_limits *limits, struct leaf *ret, const char **ret_what);
/* Fills in the message that starts the command, and the descriptors that go last with it. */
void leaf_announce(const struct cgroups *cgroups, const struct leaf *leaf, struct message *message, int fds[MESSAGE_LEAF_FDS]);
void leaf_sent(struct leaf *leaf); /* that has been done: init has what it needs */
/* Has it used up its CPU time? Sets when to look again. */
bool leaf_is_over_cpu_time(struct leaf *leaf, int64_t now_ms);
void leaf_usage(const struct cgroups *cgroups, const struct leaf *leaf, struct message_usage *ret, uint64_t *ret_user_us, uint64_t *ret_system_us);
/* The command has ended. What it left behind keeps the directory until that is gone, too. */
void leaf_remove(struct cgroups *cgroups, struct leaf *leaf);

#endif
