/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_ENGINE_ENGINE_H
#define HUTCH_ENGINE_ENGINE_H

/*
 * The engine: what owns running sandboxes. One libuv loop per struct hutch; everything happens in callbacks of that
 * loop, in the thread that dispatches it. There is one timer for all deadlines (a timerfd, so that the loop's own
 * descriptor becomes readable for it, which uv timers don't do), and no thread, signal handler or global state.
 *
 * Life of a sandbox:   STARTING --READY--> UP --EOF, nonsense, end()--> GONE
 *                      STARTING --FAILED--> GONE
 * Life of a process:   STARTING --STARTED--> RUNNING --EXITED--> ENDED
 *                      STARTING --NOT_STARTED--> ENDED, and whatever is left is ENDED when the sandbox is GONE
 *
 * A process is ended by force in steps: TERM to its group, KILL to everything, and if init does not answer, the end of
 * init, which the kernel answers by killing all.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <uv.h>

#include <hutch/hutch.h>

#include "engine/cgroup.h"
#include "engine/channel.h"
#include "engine/guest.h"
#include "plan/build.h"
#include "plan/message.h"

#define NO_DEADLINE INT64_MAX
#define MESSAGES_PER_TURN 64u /* that are taken from one socket: who floods it does not keep us from our deadlines */

struct hutch_sandbox;

/* A descriptor in the loop. */
struct watch {
	uv_poll_t handle;
	struct hutch_sandbox *sandbox;
	void (*ready)(struct watch *watch);
	int fd;              /* the watch owns it; -1: closed */
	bool is_open;        /* the uv handle lives */
	int events;
};

/* A captured or streamed output. */
struct capture {
	struct watch watch;
	struct hutch_process *process;
	bool is_captured;
	bool is_streamed;    /* handed out by hutch_process_next, chunk by chunk; `data` holds at most one */
	bool is_big;         /* its pipe was enlarged */
	bool is_paused;      /* a chunk waits to be taken, so nothing is read */
	bool is_taken;       /* ... and has been handed out */
	uint64_t stop;       /* once the command has ended: nothing is read beyond this total */
	char *data;
	size_t size, capacity;
	uint64_t total, limit;
};

enum force {
	FORCE_NONE,
	FORCE_TERM,  /* TERM sent, KILL at the deadline */
	FORCE_KILL,  /* everything is being killed, init itself at the deadline */
	FORCE_INIT   /* init was killed */
};

struct hutch_process {
	struct hutch_sandbox *sandbox;
	struct hutch_process *next;
	uint32_t id;
	bool is_main;
	bool is_kept;                  /* a supervisor's own, seen by a client: what is known of it is asked there */
	uint32_t asked;                /* ... serial number of the request for its result, 0: not yet */
	bool is_refused;               /* ... which was answered with `error` */
	int log;                       /* ... a segment of its log, -1: none is open */
	uint64_t log_segment, log_at, log_offset; /* ... where in it the chunk told last is */
	void *kept;                    /* ... packed result, once it is there */
	size_t kept_size;
	bool is_exit_told;             /* hutch_process_next has handed out the exit */
	enum hutch_process_state state;
	char **argv;
	char *cwd;                     /* as asked for; NULL: the default */
	struct hutch_command settings; /* its pointers are not used */
	struct capture out, err;
	struct watch in;               /* write end of stdin, for HUTCH_IO_PIPE */
	int pty;

	enum force force;
	bool has_reason;               /* `reason` was decided by us: it is not what wait told */
	enum hutch_outcome reason;
	int64_t deadline_ms;           /* monotonic; of the timeout, or of the next step of force */

	struct leaf leaf;              /* its cgroup */
	struct message_usage usage;    /* what that told in the end */
	char *warning;                 /* about this command alone; NULL: none */

	int status;
	struct hutch_error error;      /* when not started */
	bool started;
	int64_t started_ms;
	double wall_ms, user_ms, system_ms;
};

/* What later commands need of the request that a sandbox was made with. Plain values, and strings of its own. */
struct request {
	struct hutch_spec spec;        /* pointers that are not listed below are NULL */
	struct hutch_ulimit *ulimits;  /* = spec.limits.ulimits */
	char *workspace;               /* its path inside; NULL: none */
	struct plan_host host;
	uint64_t range;                /* first id of the host, 0: a single id is mapped */
	bool is_nosuid;                /* the filter refuses setuid and setgid bits */
	bool has_cgroup;               /* each command is in a cgroup of its own */
	uint32_t controllers;          /* ... with these CGROUP_* */
	char *cgroup;                  /* path of the sandbox's, for people; NULL: it has none */
};

/* What a client of a detached sandbox does instead, by messages to its supervisor (api/remote.c). */
struct remote {
	int (*stop)(struct hutch_sandbox *sandbox, uint64_t grace_ms, struct hutch_error *err);
	int (*suspend)(struct hutch_sandbox *sandbox, bool stop, struct hutch_error *err);
	int (*update)(struct hutch_sandbox *sandbox, const struct hutch_limits *limits, struct hutch_error *err);
	int (*stats)(struct hutch_sandbox *sandbox, struct hutch_stats **ret, size_t *ret_count, struct hutch_error *err);
	/* for processes that are is_kept */
	void (*ask_result)(struct hutch_process *process);
	int (*read_result)(const struct hutch_process *process, struct hutch_result **ret, struct hutch_error *err);
	int (*signal)(struct hutch_process *process, int signo_or_end, struct hutch_error *err);
};
#define REMOTE_TERMINATE (-1)
#define REMOTE_KILL      (-2)

struct hutch_sandbox {
	struct hutch *h;
	struct hutch_sandbox *next;
	char id[40];
	struct watch control;
	struct guest guest;
	struct cgroups cgroups;
	struct patience patience;      /* with init, when it does not read */
	bool is_ready, is_gone, is_freed;
	bool was_ended;                /* by stop or kill */
	struct hutch_error why;        /* of being gone; code 0: none was told */
	const struct remote *remote;   /* NULL: it is this process's own. Else `control` leads to a supervisor, and there is no guest */
	enum hutch_sandbox_state remote_state; /* what the supervisor has told last */
	void *remote_data;
	/* In a supervisor: what init says about commands that are not this process's. It takes the descriptor; false: nonsense. */
	bool (*foreign)(struct hutch_sandbox *sandbox, const struct message *message, int fd);
	void *foreign_data;
	void (*gone)(struct hutch_sandbox *sandbox); /* it is, and what its cgroups have counted can still be read */
	unsigned open_handles;
	int range_lock;
	char *upper;                   /* directory on disk with upper layers, removed at the end */
	char *left;                    /* of one whose supervisor is dead: that directory, which is not ours to remove; NULL: none, or not known */
	int upper_lock;                /* held as long as it is in use */
	bool is_on_disk;               /* upper layers are */
	char **roots;                  /* by op: the path inside, for copy-on-write directories; NULL else */
	size_t roots_count;
	uint32_t workspace_op;         /* index of the workspace's op if it is copy-on-write, else ~0 */
	char **warnings;
	size_t warnings_count;
	struct request request;        /* what it was made with */
	uint64_t scratch_bytes;
	struct hutch_process *processes; /* all that have not been freed */
	struct hutch_process *main;    /* NULL: it has no main command */
	uint32_t last_id;
	bool is_suspended;
	int64_t suspended_ms, resumed_ms; /* when a suspension began, was over */
	struct leaf cpu_budget;        /* CPU time of all commands together; its descriptor is cgroups.run */
	bool is_over_cpu_time;
	bool has_disks;                /* all that can be written to is on disks that io.max knows */
	int64_t lifetime_ms, idle_since_ms, kill_at_ms; /* deadlines, monotonic; NO_DEADLINE: none */
};

struct hutch {
	uv_loop_t loop;
	struct watch timer;
	struct hutch_sandbox *sandboxes;
	int image;                     /* hutch-init, a sealed memfd; made at the first start */
	int null;                      /* /dev/null, -1: not opened yet */
	int trace;                     /* takes struct plan_trace of the next starts, -1: none; the benchmark's */
	struct delegation *delegation; /* where cgroups can be made; NULL: not asked for yet */
	uint32_t delegation_needed, delegation_wanted; /* ... and for which controllers */
	bool delegation_moved;         /* ... and whether this process might be moved */
	unsigned big_pipes;            /* enlarged pipes that are open: a user's budget for that is small */
	uint64_t handled;              /* events handled, ever */
};

/* loop.c */
int64_t loop_now_ms(void);
int64_t loop_deadline_ms(uint64_t after); /* `after` from now; NO_DEADLINE for what is beyond all time */
int loop_watch(struct hutch *h, struct watch *watch, struct hutch_sandbox *sandbox, int fd, int events, void (*ready)(struct watch *));
void loop_rewatch(struct watch *watch);     /* after uv_poll_stop */
void loop_unwatch(struct watch *watch);     /* closes the descriptor, too */
void loop_flush(struct hutch *h);           /* registers what was started, runs due callbacks */
void loop_set_deadlines(struct hutch *h);   /* after any change of a deadline */

/* start.c */
int sandbox_start(struct hutch_sandbox *sandbox, const struct hutch_spec *spec, const struct hutch_command *command, struct hutch_error *err);

/* limits.c: which limit is held by what, and what is done when one is exceeded. */
/* Makes the sandbox's cgroups if there is a reason to; *ret_init: that of init, -1: none. Limits that nothing can hold are an
 * error, unless best_effort allows it. */
int limits_prepare(struct hutch_sandbox *sandbox, const struct hutch_spec *spec, const struct hutch_limits *main, const struct draft *draft, int *ret_init,
                   struct hutch_error *err); /* main: the main command's own limits, or NULL */
/* Its init is in them: a scope of systemd's needs nobody else to hold it for the one sandbox of a supervisor. In other
 * programs the next one spares that effort, so there it is held. */
void limits_started(const struct hutch_sandbox *sandbox);
/* For a dry run: what would hold them, one line each. */
int limits_describe(struct hutch *h, const struct hutch_spec *spec, FILE *out, struct hutch_error *err);
/* A command's own limits, and those of the sandbox that go by resource limits of each command here. */
int limits_check_command(const struct hutch_sandbox *sandbox, const struct hutch_limits *limits, struct hutch_error *err);
void limits_to_rlimits(const struct request *request, const struct hutch_limits *limits, struct command_draft *draft);
void limits_to_message(const struct hutch_command *command, struct message *message);
void limits_from_message(const struct message_limits *from, struct hutch_limits *ret);
int limits_make_leaf(struct hutch_sandbox *sandbox, uint32_t id, const struct hutch_limits *limits, struct leaf *ret, struct hutch_error *err);
const char *limits_enforcer(const struct request *request, uint32_t limit); /* "cgroup", "rlimit", "none" */
/* The command has ended: what its leaf or (client) its supervisor says, and what that means for the outcome. */
void limits_take_usage(struct hutch_process *process, const struct message *message);
/* The first that is due of all CPU time limits of the sandbox; NO_DEADLINE: none. */
int64_t limits_next_check(const struct hutch_sandbox *sandbox);
void limits_check(struct hutch_sandbox *sandbox, int64_t now_ms);
/* stats.c */
void stats_read(int dir, uint32_t id, struct hutch_stats *ret);
int stats_check(const struct hutch_sandbox *sandbox, struct hutch_error *err);
void stats_sort(struct hutch_stats *stats, size_t count);

void limits_merge(struct hutch_limits *into, const struct hutch_limits *limits);
int limits_check_values(const struct hutch_limits *limits, struct hutch_error *err);
/* New limits for the sandbox as a whole; those that are 0 stay. */
int limits_update(struct hutch_sandbox *sandbox, const struct hutch_limits *limits, struct hutch_error *err);

/* exec.c: a command on its way to init. */
int request_keep(struct request *request, const struct hutch_spec *spec, const struct plan_host *host, const char *workspace, uint64_t range, bool is_nosuid);
void request_done(struct request *request);
struct launch_request {
	struct hutch_process *process;
	int fds[4];                    /* of MESSAGE_EXEC; those of its cgroup follow */
	bool owned[4];
	unsigned count;
	const struct plan_file *file;  /* NULL: a program is executed */
};
int exec_prepare(struct hutch_sandbox *sandbox, const struct hutch_command *command, bool is_main, struct launch_request *ret, struct hutch_error *err);
int exec_send(int channel, const struct launch_request *launch, struct hutch_error *err);
/* Starts a command, or a file operation. */
int exec_start(struct hutch_sandbox *sandbox, const struct hutch_command *command, const struct plan_file *file, struct hutch_process **ret, struct hutch_error *err);
void exec_done(struct launch_request *launch);  /* closes what is owned; the process stays the sandbox's */

/* sandbox.c */
struct hutch_sandbox *sandbox_new(struct hutch *h, const char *id, struct hutch_error *err); /* id NULL: a new one */
int sandbox_run(struct hutch *h, const char *id, const struct hutch_spec *spec, const struct hutch_command *command, struct hutch_sandbox **ret, struct hutch_error *err);
void sandbox_make_id(char id[40]);
struct hutch_process *sandbox_process(const struct hutch_sandbox *sandbox, uint32_t id); /* NULL: it has none of that id */
struct patience *sandbox_patience(struct hutch_sandbox *sandbox); /* for messages; NULL: they go to a supervisor, which is trusted */
bool sandbox_take_terminal(struct hutch_process *process, int fd); /* false: it has asked for none, or has one */
bool sandbox_is_reaped_by_others(void); /* once this process has ended */
void sandbox_gone(struct hutch_sandbox *sandbox, const struct hutch_error *why);
void sandbox_warn(struct hutch_sandbox *sandbox, const char *text);
void sandbox_note_suspension(struct hutch_sandbox *sandbox, bool is_suspended); /* timeouts of commands don't run meanwhile */
int sandbox_send(struct hutch_sandbox *sandbox, const struct message *message, const int *fds, unsigned count);
void sandbox_control_ready(struct watch *watch);
void sandbox_stop(struct hutch_sandbox *sandbox, int64_t grace_ms);
void sandbox_deadline(struct hutch_sandbox *sandbox, int64_t now_ms);
int64_t sandbox_next_deadline(const struct hutch_sandbox *sandbox);

/* process.c */
bool process_message(struct hutch_process *process, const struct message *message); /* false: nonsense */
void process_finish(struct hutch_process *process);
void process_decide(struct hutch_process *process, enum hutch_outcome reason); /* the first reason stays */
void process_warn(struct hutch_process *process, const char *text); /* in its own record */
void process_end(struct hutch_process *process, enum hutch_outcome reason); /* TERM, and KILL after its grace */
void process_stop(struct hutch_process *process); /* TERM; the sandbox is to end */
void process_lost(struct hutch_process *process, const struct hutch_error *why); /* its sandbox is gone */
void process_force(struct hutch_process *process, enum force force);
void process_deadline(struct hutch_process *process, int64_t now_ms);
int64_t process_next_deadline(const struct hutch_process *process);
struct hutch_process *process_new(struct hutch_sandbox *sandbox, const struct hutch_command *command, bool is_main, struct hutch_error *err);
/* One that a supervisor has, for its client. `argv` NULL: not known. */
struct hutch_process *process_new_kept(struct hutch_sandbox *sandbox, uint32_t id, const char *const *argv, struct hutch_error *err);
void process_drop(struct hutch_process *process); /* frees it; it must have ended */
bool process_next_event(struct hutch_process *process, struct hutch_event *ret); /* hutch_process_next without waiting */
void process_release_output(struct hutch_process *process); /* after the end: frees the buffers of streamed output */

/* output.c */
int capture_open(struct hutch_process *process, struct capture *capture, int *ret_write_end, struct hutch_error *err);
void capture_resume(struct capture *capture); /* the chunk has been taken */
void capture_drain(struct capture *capture);
void capture_close(struct capture *capture);

/* result.c */
/* What holds for a command, or with `own` NULL for all of them together. *ret is for free(3). */
int limits_list(const struct request *request, uint64_t scratch_bytes, bool is_on_disk, const struct hutch_command *own, struct hutch_limit_enforced **ret,
                size_t *ret_count);
int result_make(const struct hutch_process *process, struct hutch_result **ret, struct hutch_error *err);

/* hints.c */
void hint_for_stage(struct hutch_error *err, unsigned stage, int sys_errno, const char *detail);

/* changes.c: starts the helper inside; the pipe that it writes to, or -HUTCH_E_*. root: index of an op, or ~0 for all. */
int changes_check(const struct hutch_sandbox *sandbox, struct hutch_error *err); /* whether there still is somebody who can tell them */
int changes_request(struct hutch_sandbox *sandbox, bool contents, uint64_t root, struct hutch_error *err);

/* remove.c: deletes the directory `name` in `dir`, which a sandbox has filled; follows nothing. 0 or the first -errno. */
int remove_tree(int dir, const char *name);

#endif
