/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_INIT_LAUNCH_H
#define HUTCH_INIT_LAUNCH_H

/*
 * From a request to a running program.
 *
 * The child shares init's memory until its exec (CLONE_VM, with a stack of its own): copying even a small address space
 * costs more than the rest. Init is never suspended for it (no CLONE_VFORK): a payload that stops the child before its
 * exec would freeze init with it. So everything that the child uses lives in a region of its own, which init leaves
 * alone until the close-on-exec report pipe says that the exec has happened or the child is gone.
 *
 * A command on a pty has a leader between itself and init: a session leader, so that the command's process group is
 * not orphaned and ^Z stops it. The leader is a real fork, since it lives as long as the command.
 */

#include "init/init.h"

/* What the child tells, in memory shared over fork too. `pid` and below are written by a leader only. */
struct slot {
	uint32_t stage, item;
	int32_t error;       /* positive errno of the failed stage, 0: none */
	uint32_t absent;     /* HUTCH_LAYER_* that failed and were allowed to */
	int32_t pid;
	int32_t ended;
	int32_t status;
	uint64_t user_us, system_us;
};

struct launch {
	struct slot slot;
	const struct init *init;
	struct plan plan;
	int streams[3];      /* -1: /dev/null */
	int terminal;        /* the pty's peer, -1: none */
	int report;          /* write end of the report pipe */
	int leaf;            /* the cgroup to start in, -1: init's own */
	uint32_t leaf_owner; /* the id that may do that */
	bool is_fork;        /* no memory of init's is shared */
	const char **argv, **env;
	size_t region_size;  /* of the mapping that this struct is the start of */
	const void *bytes;   /* the mapped plan */
	size_t bytes_size;
	void *stack_top;
};

/* Maps and decodes the plan, builds the vectors. `fds` stay the caller's. */
int launch_new(const struct init *init, const int *fds, unsigned count, struct launch **ret);
void launch_free(struct launch *launch);

/* Starts the child (or the leader); its pid, or -errno. */
long launch_start(struct launch *launch);

/* A child that asked its parent to trace it (--seccomp debug) stops instead of taking a signal, and wait tells that as if
 * it had ended. If `status` is such a stop, the child goes on untraced, with the signal. */
bool launch_untrace(int pid, int status);

/* The child's own part: executes the command stages; ends in the program or in a failure in the slot. */
void launch_child(void *launch);
_Noreturn void launch_fail(struct launch *launch, enum stage stage, int error);

/* leader.c */
void leader_main(void *launch);

struct command_stage {
	enum stage stage;
	int (*run)(struct launch *launch);
	uint32_t layer;
};
extern const struct command_stage command_stages[];
extern const unsigned command_stages_count;

/* What the leader writes to the report pipe. */
#define REPORT_STARTED 'S'
#define REPORT_STOPPED 'T'

#endif
