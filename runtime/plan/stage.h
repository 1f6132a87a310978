/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_PLAN_STAGE_H
#define HUTCH_PLAN_STAGE_H

/*
 * The names of the stages, in execution order. A stage's name is the name of the process while it runs, the stage in a
 * failure record, and the key of the hint that the user reads (engine/hints.c), so it exists once: here.
 */

/* The owner's part of a start. */
#define OWNER_STAGES(X) \
	X(PLAN, "plan") \
	X(CLONE, "clone") \
	X(MAPS, "maps") \
	X(LAUNCH, "launch")

/* Building the sandbox, in init. */
#define SETUP_STAGES(X) \
	X(RECEIVE, "receive") \
	X(IDS, "ids") \
	X(CAPABILITIES, "capabilities") \
	X(PROPAGATION, "propagation") \
	X(NESTED_USERNS, "nested-userns") \
	X(ROOT, "root") \
	X(MOUNTS, "mounts") \
	X(PROC, "proc") \
	X(DEV, "dev") \
	X(MASKS, "masks") \
	X(READONLY, "readonly") \
	X(PIVOT, "pivot") \
	X(DETACH, "detach") \
	X(LOOPBACK, "loopback") \
	X(HOSTNAME, "hostname") \
	X(KEYRING, "keyring") \
	X(LANDLOCK, "landlock") \
	X(SETTLE, "settle")

/* Starting a command, in its own process. */
#define COMMAND_STAGES(X) \
	X(FORK, "fork") \
	X(TERMINAL, "terminal") \
	X(SESSION, "session") \
	X(STREAMS, "streams") \
	X(CGROUP_NS, "cgroup-ns") \
	X(RLIMITS, "rlimits") \
	X(USER, "user") \
	X(PRIVILEGES, "privileges") \
	X(CWD, "cwd") \
	X(SECCOMP, "seccomp") \
	X(EXEC, "exec")

enum stage {
	STAGE_NONE,
#define X(id, name) STAGE_##id,
	OWNER_STAGES(X) SETUP_STAGES(X) COMMAND_STAGES(X)
#undef X
	STAGES
};

/* "" for what is not a stage. */
const char *stage_name(unsigned stage);

#endif
