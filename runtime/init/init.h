/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_INIT_INIT_H
#define HUTCH_INIT_INIT_H

/*
 * hutch-init, PID 1 of a sandbox.
 *
 * Started with two descriptors, 0, the control socket, and 1, the owner's pidfd, all capabilities of its user namespace,
 * and nothing else of its owner. It receives the plan, executes the setup stages, keeps what a command's stages need (and of capabilities no
 * more than that), and then waits: for requests, for its children, and for the end of its owner, which ends the
 * sandbox. Commands are as hostile as can be and have the same user id in the simplest case: so init is not dumpable,
 * blocks all signals, holds no descriptor of the host but /dev/null and its sockets, and never stops for a child.
 *
 * There is no libc: all calls are raw and return -errno, all memory is static or mapped. The same files are linked into
 * the unit tests with one.
 */

#include <stdbool.h>
#include <stdint.h>

#include "plan/message.h"
#include "plan/plan.h"
#include "plan/stage.h"

/* A copy-on-write directory: what is needed to say later what changed. */
struct cow {
	uint32_t op;  /* index of its op */
	int upper;    /* the upper layer */
	int lower;    /* the directory below, as a mount of its own: ".." does not lead out of it */
};

struct init {
	int control;           /* SOCK_SEQPACKET to the owner */
	int owner;             /* pidfd of the owner: readable when it is gone, even if something else holds the socket */
	int children;          /* signalfd for SIGCHLD */

	struct plan plan;
	int fds[MESSAGE_FDS];  /* of MESSAGE_SETUP */
	unsigned fds_count;

	/* while the tree is built */
	int staging;           /* our own tmpfs: the new root, or where things are prepared for it */
	int root;              /* the new root */
	int scratch;           /* the sandbox's writable tmpfs */
	int devpts;            /* root directory of its devpts; stays open */
	int proc;              /* its /proc; stays open */
	struct cow cows[PLAN_COW_MAX];
	unsigned cows_count;

	int trace;             /* takes struct plan_trace, -1: none */
	uint32_t absent;       /* HUTCH_LAYER_* that this kernel lacks or that were allowed to fail */

	/* of the failure at hand: the op's index and a path or word that says more */
	uint32_t item;
	const char *detail;

	bool main_ended;       /* no exec is taken any more */
	bool quits;            /* the end of the main command is the end of all */
	struct message wait_rest; /* the main command's end, not told yet because something else still runs; type 0: none */
};

/* A stage: Should say what it must have achieved, Mustn't what it must not have taken away yet. Beside each function. */
struct setup_stage {
	enum stage stage;
	int (*run)(struct init *init);
	uint32_t layer; /* HUTCH_LAYER_* if --best-effort may name it, else 0 */
};
extern const struct setup_stage setup_stages[];
extern const unsigned setup_stages_count;

#define COMMANDS_MAX 1024 /* at the same time */

_Noreturn void init_main(void);

/* Has the kernel kill init when the owner's thread ends, also an init that is stopped. To be repeated after each change of
 * ids, which takes it back. */
void die_with_owner(const struct init *init);

/* CLOCK_MONOTONIC */
uint64_t now_us(void);

/* Tells the benchmark that `stage` is over. */
void trace_stage(const struct init *init, enum stage stage);

/* ---- control.c: the socket ---- */

/* Receives one message with up to MESSAGE_FDS descriptors. 1: received, 0: the owner is gone, -errno. Surplus or
 * unreadable messages are -EBADMSG; their descriptors are closed. */
int control_receive(struct init *init, struct message *ret, int fds[MESSAGE_FDS], unsigned *ret_count);
/* Sends; the owner's death is noticed elsewhere, so nothing is returned. fd -1: none. */
void control_send(const struct init *init, const struct message *message, int fd);
void message_detail(struct message *message, const char *text);

/* ---- setup stages that fill files of their own ---- */

int setup_root(struct init *init);     /* tree.c */
int setup_mounts(struct init *init);
int setup_readonly(struct init *init);
int setup_pivot(struct init *init);
int setup_detach(struct init *init);
int setup_overlay(struct init *init, const struct plan_op *op); /* overlay.c */
int setup_proc(struct init *init);     /* special.c */
int setup_dev(struct init *init);
int setup_masks(struct init *init);
int setup_landlock(struct init *init); /* domain.c */

/* ---- helpers shared by them (tree.c) ---- */

/* Opens a host path of the plan again and compares it with what the owner saw: -ESTALE if it is another file. */
int source_open(struct init *init, const struct plan_op *op);
/* Attaches a detached mount at `target` of the new root, which is made if it is missing, unless the op's flags say that it
 * must not be. Closes `mount`. */
int target_attach(struct init *init, int mount, const char *target, uint32_t flags);

/* ---- commands (command.c, launch.c, leader.c) ---- */

/* Starts what MESSAGE_EXEC asks for; whatever goes wrong is told to the owner. Closes the descriptors. */
void command_start(struct init *init, const struct message *request, const int *fds, unsigned count);
/* Descriptors to poll for, at most `capacity`; command_report() is called with what became readable. */
unsigned commands_reports(const struct init *init, int *fds, unsigned capacity);
void command_report(struct init *init, int fd);
void command_signal(struct init *init, uint32_t id, int signo, bool ends);
/* Kills and reaps everything but init. */
void commands_kill_all(struct init *init);
/* Kills the tree of one command: all that carry its marker. */
void command_kill(struct init *init, uint32_t id);
/* Reaps what is ready and tells what ended. */
void commands_reap(struct init *init);

/* ---- leaf.c ---- */

/* A command's cgroup, as it came with MESSAGE_EXEC. -1: it has none. */
struct leaf {
	int kill, events;
};
#define LEAF_NONE ((struct leaf){-1, -1})

/* Kills everything in it and waits until nothing is left. */
void leaf_kill(struct init *init, const struct leaf *leaf);
void leaf_close(struct leaf *leaf);

/* ---- sweep.c ---- */

/* The marker of a command's tree: the inode of its UTS namespace; 0: it cannot be told. *ret_fd keeps the namespace, since
 * the number of one that is gone is given to the next. */
uint64_t marker_pin(const struct init *init, int pid, int *ret_fd);
/* Kills every process that carries the marker, until none is left. */
void sweep(struct init *init, uint64_t marker);

/* ---- changes.c ---- */
void changes_start(struct init *init, const struct message *request, int fd);

#endif
