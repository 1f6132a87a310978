/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_H
#define HUTCH_H

/*
 * libhutch: isolated processes on this Linux machine.
 *
 *     struct hutch *h;                 one event loop and what is known of this host
 *     struct hutch_sandbox *sandbox;   namespaces, a file tree, an init
 *     struct hutch_process *process;   one command in it
 *     struct hutch_result *result;     what became of a command
 *
 * Threads: one `struct hutch` and everything made from it belong to one thread at a time; different ones are
 * independent. The library starts no threads, installs no signal handlers, never calls exit and never logs. The init of
 * each sandbox is a child of this process: its end raises SIGCHLD, and a program that waits for any child may reap it,
 * which is no loss.
 *
 * Ownership: handles and results belong to the caller from the successful return on, and end with their _free call.
 * All _free calls take NULL.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hutch/error.h>
#include <hutch/spec.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default) /* the library is built with all else hidden */

struct hutch;
struct hutch_sandbox;
struct hutch_process;
struct hutch_result;

const char *hutch_version(void);

/* ---- the loop ---- */

/* Must not be called inside a signal handler; the process may have any number of threads and any size. */
int hutch_new(struct hutch **ret, struct hutch_error *err);

/* Frees everything that is left of it: attached sandboxes are killed and reaped, their handles become invalid. */
void hutch_free(struct hutch *h);

/* A descriptor for poll(2): readable when hutch_dispatch has something to do. It stays the library's. */
int hutch_fd(struct hutch *h);

/* Handles what is due; waits up to timeout_ms for something to become due (0: don't wait, -1: no bound).
 * Returns 1 if something was handled, 0 if not. */
int hutch_dispatch(struct hutch *h, int timeout_ms, struct hutch_error *err);

/* ---- sandboxes ---- */

/* Builds a sandbox for `spec` and starts `command` as its main command (NULL: it has none, stays until it is freed or
 * stopped, and takes commands by hutch_sandbox_exec). Returns once the sandbox is under way; whether
 * the start succeeded is told by the first wait (outcome not_started). What is wrong with the request itself is an
 * error here and nothing has been started. */
int hutch_sandbox_run(struct hutch *h, const struct hutch_spec *spec, const struct hutch_command *command,
                      struct hutch_sandbox **ret, struct hutch_error *err);

/* Waits (-1: without bound) until the main command has ended and nothing is left of it. HUTCH_E_TIMEOUT after
 * timeout_ms: nothing has changed, wait again. With `check` and a failed command: -HUTCH_E_EXECUTION, *ret is set too.
 * The result is the caller's: hutch_result_free. */
int hutch_sandbox_wait_until_complete(struct hutch_sandbox *sandbox, int64_t timeout_ms, struct hutch_result **ret,
                                      struct hutch_error *err);

/* Starts a further command. Any number may run at the same time; each is timed, ended and told apart from the others:
 * its timeout, kill or on_exit ends exactly its own tree. HUTCH_E_STATE once the main command has ended. The process is
 * the caller's until hutch_process_free, but not longer than the sandbox. */
int hutch_sandbox_exec(struct hutch_sandbox *sandbox, const struct hutch_command *command, struct hutch_process **ret,
                       struct hutch_error *err);

/* TERM to every command, KILL to all after grace_ms; returns when nothing is left of it. Results can still be had. */
int hutch_sandbox_stop(struct hutch_sandbox *sandbox, uint64_t grace_ms, struct hutch_error *err);

/* Kills and reaps everything in it, and frees its processes. */
void hutch_sandbox_free(struct hutch_sandbox *sandbox);

/* The same for a program that is about to exit: nothing is left on disk, and no memory is freed. The sandbox's init may end
 * only with this process, to be reaped by the system's; in a container, where that may not happen, it is reaped here.
 * The handle, and all that was made from it, must not be used any more. */
void hutch_sandbox_abandon(struct hutch_sandbox *sandbox);

const char *hutch_sandbox_id(const struct hutch_sandbox *sandbox);

/* The process of the main command; NULL if there is none. It belongs to the sandbox. */
struct hutch_process *hutch_sandbox_main(struct hutch_sandbox *sandbox);

/* Pauses (true) or resumes (false) every process of the sandbox, init excepted: by the freezer where the sandbox has a cgroup,
 * else by SIGSTOP and SIGCONT. Meanwhile no command is taken, and timeouts of commands don't run; the lifetime does. */
int hutch_sandbox_suspend(struct hutch_sandbox *sandbox, bool stop, struct hutch_error *err);

/* ---- kept sandboxes: hutch_spec.detached ---- */

/* What a command on HUTCH_IO_STREAM does, as it happens. */
enum hutch_event_kind {
	HUTCH_EVENT_STDOUT = 0,
	HUTCH_EVENT_STDERR,
	HUTCH_EVENT_EXIT        /* told once, after all output; ask hutch_process_result for the rest */
};

enum hutch_sandbox_state {
	HUTCH_SANDBOX_PENDING = 0,
	HUTCH_SANDBOX_RUNNING,
	HUTCH_SANDBOX_PAUSED,
	HUTCH_SANDBOX_COMPLETED,  /* the main command ended by itself, with any code */
	HUTCH_SANDBOX_FAILED,     /* could not be started, or its supervisor is gone */
	HUTCH_SANDBOX_TERMINATED, /* a stop, kill, lifetime or timeout was asked for before it was reaped */
	HUTCH_SANDBOX_STATES
};
const char *hutch_sandbox_state_name(int state); /* "pending", ...; never NULL */
enum hutch_sandbox_state hutch_sandbox_state(const struct hutch_sandbox *sandbox);

/* A handle on a sandbox of this user's that is there already: by id, unique prefix of one, or name. Everything works as
 * on the one that made it; freeing it only lets go, and kills the commands that were started through it. */
int hutch_sandbox_from_id(struct hutch *h, const char *id, struct hutch_sandbox **ret, struct hutch_error *err);

struct hutch_listing {
	char id[40];
	char name[64];            /* "" if it has none */
	enum hutch_sandbox_state state;
	int64_t created_ms;       /* since the epoch */
	int64_t supervisor;       /* process id, 0: none */
	char **command;           /* of the main command, NULL-terminated; NULL: none */
	char **labels;            /* "K=V", NULL-terminated */
};
/* All sandboxes of this user; never blocks on a broken one. Freed with hutch_list_free. */
int hutch_list(struct hutch *h, struct hutch_listing **ret, size_t *ret_count, struct hutch_error *err);
void hutch_list_free(struct hutch_listing *list, size_t count);

/* Ends a detached sandbox's supervisor and removes its record, logs and files. `force`: kills what still runs, else
 * HUTCH_E_STATE. The handle can only be freed afterwards. */
int hutch_sandbox_remove(struct hutch_sandbox *sandbox, bool force, struct hutch_error *err);

/* New deadlines from now on, in milliseconds; 0: none, -1: as it was. */
int hutch_sandbox_extend(struct hutch_sandbox *sandbox, int64_t lifetime_ms, int64_t idle_timeout_ms, struct hutch_error *err);

/* New limits for the sandbox as a whole while it runs; what is 0 stays as it is. ulimits and disk_bytes cannot be changed. */
int hutch_sandbox_update(struct hutch_sandbox *sandbox, const struct hutch_limits *limits, struct hutch_error *err);

/* Pressure stall information (Documentation/accounting/psi.rst): the share of the last ten seconds in percent, and the time
 * in all, in which some or all processes had to wait. -1: not known. */
struct hutch_pressure {
	double some_avg10, full_avg10;
	int64_t some_total_us, full_total_us;
};

/* What is used at the moment, from the cgroups. -1: not known here. */
struct hutch_stats {
	uint32_t id;             /* of a command; 0: all of the sandbox, which comes first */
	double user_ms, system_ms, throttled_ms;
	int64_t memory_bytes, memory_peak_bytes, swap_bytes, pids, pids_peak, io_read_bytes, io_write_bytes, oom_kills;
	struct hutch_pressure cpu, memory, io;
};
/* *ret is one block for free(3). HUTCH_E_UNSUPPORTED: the sandbox has no cgroup. */
int hutch_sandbox_stats(struct hutch_sandbox *sandbox, struct hutch_stats **ret, size_t *ret_count, struct hutch_error *err);

/* What a detached sandbox is, and what it was made with. */
struct hutch_sandbox_info {
	const struct hutch_spec *spec;      /* with its defaults, and with the limits as they are now */
	const char *workspace;              /* its path inside; NULL: it has none */
	bool has_range;                     /* a range of ids is mapped, so that commands may be of other users */
	const char *cgroup;                 /* its path; NULL: it has none */
	const char *controllers;            /* of that cgroup, which hold its limits: "cpu memory pids"; "": none */
	struct hutch_limit_enforced *limits_enforced; /* what holds for all of its commands together */
	size_t limits_enforced_count;
	const char *const *warnings;        /* NULL-terminated */
	int64_t supervisor;                 /* process id */
	uint32_t commands;                  /* that run at the moment, the main command and those of clients included */
	int64_t lifetime_left_ms;           /* -1: it has no end */
	int64_t idle_left_ms;               /* -1: it has no such time-out, or is not idle */
};
/* HUTCH_E_GONE: its supervisor has ended, and nobody can tell. All that *ret points to ends with hutch_sandbox_info_free. */
int hutch_sandbox_info(struct hutch_sandbox *sandbox, struct hutch_sandbox_info **ret, struct hutch_error *err);
void hutch_sandbox_info_free(struct hutch_sandbox_info *info);

/* A command that goes on without its caller; its output is kept in a log of its own, also that of a terminal (HUTCH_IO_PTY),
 * at which nobody sits then. *ret_id is what
 * hutch_sandbox_process finds it by, from any process. */
int hutch_sandbox_exec_detached(struct hutch_sandbox *sandbox, const struct hutch_command *command, uint32_t *ret_id, struct hutch_error *err);

/* The process of a detached command (1: the main command). It belongs to the sandbox. */
int hutch_sandbox_process(struct hutch_sandbox *sandbox, uint32_t id, struct hutch_process **ret, struct hutch_error *err);

/* A kept log: the output of a detached command, its oldest part dropped beyond 16 MiB. */
struct hutch_log_chunk {
	enum hutch_event_kind stream; /* HUTCH_EVENT_STDOUT or _STDERR */
	int64_t time_ms;          /* since the epoch, when it was read */
	uint64_t offset;          /* of `data` in all output of the command */
	uint64_t dropped;         /* bytes dropped before it, because they were older than what is kept */
	char *data;               /* free(3) */
	size_t size;
};
/* The next chunk at or after `offset`: 1; 0: the end (of what is there now, or with `follow` of what there will be). */
int hutch_process_log(struct hutch_process *process, uint64_t offset, bool follow, int64_t timeout_ms, struct hutch_log_chunk *ret,
                      struct hutch_error *err);

/* Removes what dead supervisors have left behind: run directories, upper layers. Returns how many sandboxes. */
int hutch_gc(struct hutch *h, struct hutch_error *err);

/* ---- processes ---- */

enum hutch_process_state {
	HUTCH_PROCESS_STARTING = 0,
	HUTCH_PROCESS_RUNNING,
	HUTCH_PROCESS_STOPPED, /* only told for commands on a pty: the foreground job was stopped (^Z) */
	HUTCH_PROCESS_ENDED
};
enum hutch_process_state hutch_process_state(const struct hutch_process *process);

/* As hutch_sandbox_wait_until_complete, for one command. */
int hutch_process_result(struct hutch_process *process, int64_t timeout_ms, struct hutch_result **ret, struct hutch_error *err);

struct hutch_event {
	enum hutch_event_kind kind;
	const char *data;       /* `size` bytes, valid until the next call for this process */
	size_t size;
};
/* The next event: 1, or 0 when the exit has been told already. HUTCH_E_TIMEOUT after timeout_ms (-1: no bound). */
int hutch_process_next(struct hutch_process *process, int64_t timeout_ms, struct hutch_event *ret, struct hutch_error *err);

/* Kills the command's tree if it runs, and frees the process. Not for the main command's, which is the sandbox's. */
void hutch_process_free(struct hutch_process *process);

/* Sends `signo` to the command's process group. -HUTCH_E_STATE when it has ended. */
int hutch_process_signal(struct hutch_process *process, int signo, struct hutch_error *err);

/* Kills the command and its whole tree; the outcome is `killed`. */
int hutch_process_kill(struct hutch_process *process, struct hutch_error *err);

/* TERM now and KILL to the tree after the command's grace; the outcome is `killed` if KILL was needed. */
int hutch_process_terminate(struct hutch_process *process, struct hutch_error *err);

/* For HUTCH_IO_PTY: the master side, -1 until the command has started. It belongs to the library and stays valid until
 * the sandbox is freed; read and write it directly. */
int hutch_process_pty(const struct hutch_process *process);
int hutch_process_resize(struct hutch_process *process, uint16_t rows, uint16_t columns, struct hutch_error *err);

/* For stdin HUTCH_IO_PIPE. Queues up to `size` bytes and returns how many were taken: what the library keeps until the
 * command reads is bounded, so 0 means: dispatch and try again. A command that no longer reads is not an error. */
int64_t hutch_process_write_stdin(struct hutch_process *process, const void *data, size_t size, struct hutch_error *err);
int hutch_process_close_stdin(struct hutch_process *process, struct hutch_error *err);

/* ---- results: the record of hutch(1), "Result record" ---- */

enum hutch_outcome {
	HUTCH_OUTCOME_EXITED = 0,
	HUTCH_OUTCOME_SIGNALED,
	HUTCH_OUTCOME_TIMEOUT,
	HUTCH_OUTCOME_CPU_LIMIT,
	HUTCH_OUTCOME_MEMORY_LIMIT,
	HUTCH_OUTCOME_PIDS_LIMIT,
	HUTCH_OUTCOME_OUTPUT_LIMIT,
	HUTCH_OUTCOME_KILLED,
	HUTCH_OUTCOME_NOT_STARTED,
	HUTCH_OUTCOMES
};
const char *hutch_outcome_name(int outcome); /* "exited", ...; never NULL */

struct hutch_output {
	bool captured;       /* false: passed through; data is NULL and the totals are unknown */
	bool truncated;      /* total_bytes > size */
	char *data;          /* `size` bytes and a terminating 0 that is not counted */
	size_t size;
	uint64_t total_bytes;
};

struct hutch_limit_enforced {
	char name[16];       /* "memory", "pids", ... */
	uint64_t value;
	char by[16];         /* "cgroup", "rlimit", "tmpfs", "quota", "timer", "none" */
};

struct hutch_result {
	char sandbox[40];
	char id[40];
	char **command;      /* argv as asked for, NULL-terminated */
	enum hutch_outcome outcome;
	bool started;
	int exit_code;       /* -1: did not exit */
	int signal;          /* 0: was not ended by a signal */
	int returncode;      /* what `hutch run` exits with */
	struct hutch_error error; /* when not_started */
	struct hutch_output out, err;
	double wall_ms;      /* from the start of the command to its reaping; -1: unknown, like all that follow */
	double user_ms, system_ms;
	int64_t memory_peak_bytes, pids_peak, io_read_bytes, io_write_bytes;
	struct hutch_limit_enforced *limits_enforced;
	size_t limits_enforced_count;
	uint32_t limits_hit; /* HUTCH_LIMIT_* */
	char **warnings;     /* NULL-terminated */
	double throttled_ms; /* how long it was held back by limits.cpus_milli; -1: unknown, as is oom_kills */
	int64_t oom_kills;   /* processes of it that the kernel killed for want of memory */
};
void hutch_result_free(struct hutch_result *result);

/* ---- what the sandbox changed in its copy-on-write directories ---- */

enum hutch_change_kind {
	HUTCH_CHANGE_ADDED = 0,
	HUTCH_CHANGE_CHANGED,
	HUTCH_CHANGE_DELETED
};

struct hutch_change {
	enum hutch_change_kind kind;
	char type;           /* 'f' file, 'd' directory, 'l' symbolic link, 'p' FIFO, 's' socket, '?' other */
	const char *path;    /* relative to the directory that was shown copy-on-write */
	const char *root;    /* that directory's path inside */
	uint64_t size;       /* of a file */
};

/* Calls `each` for every change, parents before children; a non-zero return ends it and is returned. The main command
 * must have ended. Returns the number of changes otherwise. */
typedef int hutch_change_fn(void *data, const struct hutch_change *change);
int64_t hutch_sandbox_changes(struct hutch_sandbox *sandbox, hutch_change_fn *each, void *data, struct hutch_error *err);

/* Applies the changes of the workspace to the host directory `directory` (made if it does not exist): added and changed
 * files are written there, deleted ones are removed if they are there. Never follows a link, never sets setuid or setgid
 * bits. What cannot be taken over (sockets, FIFOs) is named in `err`'s hint and counted as a failure. */
int64_t hutch_sandbox_save(struct hutch_sandbox *sandbox, const char *directory, struct hutch_error *err);

/* ---- files of a sandbox ---- */

/*
 * Everything below is done inside, by a helper with the rights of the sandbox's user, as if a command did it: paths mean
 * what they mean there (a relative one counts from where commands start), links lead nowhere else, and FIFOs, sockets and
 * devices are never opened. It works as long as the sandbox's init lives: also after the main command has ended, and
 * on a detached sandbox until it is removed. No call waits without bound: one on which nothing has moved for 30 s, for
 * whatever reason, ends with HUTCH_E_TIMEOUT, and `timeout_ms` bounds the whole of it. While it waits, the loop goes on.
 *
 * Errors tell what is wrong: not_found, is_directory, not_directory, permission, too_large, not_regular, exists,
 * no_space, archive, timeout; the message has the path.
 */
struct hutch_file_options {
	size_t size;
	uint64_t timeout_ms;    /* 0: none */
	uint64_t max_bytes;     /* more is HUTCH_E_TOO_LARGE; of contents, in all. 0: no bound, but 64 MiB for hutch_sandbox_read_file */
	uint32_t mode;          /* permission bits of what is made; 0: 0644, directories 0755 */
	bool exclusive;         /* write_file, mkdir: what is there already is HUTCH_E_EXISTS */
	bool recursive;         /* remove_path: a directory and all that is in it */
	bool no_follow;         /* stat: a link at the end of the path is meant itself */
	bool outside_links;     /* copy_in, copy_out_to: symbolic links may lead out of the directory, instead of being refused */
};
/* struct hutch_file_options *: &HUTCH_FILE_OPTIONS(.recursive = true) */
#define HUTCH_FILE_OPTIONS(...) ((struct hutch_file_options){.size = sizeof(struct hutch_file_options), __VA_ARGS__})

struct hutch_file {
	char type;              /* 'f' file, 'd' directory, 'l' symbolic link, 'p' FIFO, 's' socket, 'c' or 'b' device */
	uint32_t mode, uid, gid, links; /* as seen inside */
	uint64_t size;
	int64_t mtime_s;
	uint32_t mtime_ns;
	char name[256];         /* the last component; any bytes */
	char link[4096];        /* what a symbolic link says; "" for anything else */
};

/* The whole file; *ret is freed with free(3) and has a 0 behind it that is not counted. */
int hutch_sandbox_read_file(struct hutch_sandbox *sandbox, const char *path, const struct hutch_file_options *options, char **ret, size_t *ret_size,
                            struct hutch_error *err);
/* To `fd`, which stays the caller's; returns the number of bytes. What was written before a failure stays written. */
int64_t hutch_sandbox_read_file_to(struct hutch_sandbox *sandbox, const char *path, int fd, const struct hutch_file_options *options,
                                   struct hutch_error *err);

/* Directories on the way are made. The file appears under its name when it is complete, in place of what had the name; a
 * link there is replaced, not followed. */
int hutch_sandbox_write_file(struct hutch_sandbox *sandbox, const char *path, const void *data, size_t size, const struct hutch_file_options *options,
                             struct hutch_error *err);
/* From `fd` until its end. */
int64_t hutch_sandbox_write_file_from(struct hutch_sandbox *sandbox, const char *path, int fd, const struct hutch_file_options *options,
                                      struct hutch_error *err);

/* Calls `each` for every entry of a directory, in no order; a non-zero return ends it and is returned. Links are not
 * followed. Returns the number of entries otherwise. */
typedef int hutch_file_fn(void *data, const struct hutch_file *file);
int64_t hutch_sandbox_list(struct hutch_sandbox *sandbox, const char *path, const struct hutch_file_options *options, hutch_file_fn *each, void *data,
                           struct hutch_error *err);
int hutch_sandbox_stat(struct hutch_sandbox *sandbox, const char *path, const struct hutch_file_options *options, struct hutch_file *ret,
                       struct hutch_error *err);

/* With the directories on the way; one that is there already is right, unless it must be `exclusive`. */
int hutch_sandbox_mkdir(struct hutch_sandbox *sandbox, const char *path, const struct hutch_file_options *options, struct hutch_error *err);

/* A file, an empty directory, or with `recursive` any. A link itself, never what it leads to; no other file system. */
int hutch_sandbox_remove_path(struct hutch_sandbox *sandbox, const char *path, const struct hutch_file_options *options, struct hutch_error *err);

struct hutch_copy {
	uint64_t entries, bytes;
	uint64_t skipped;        /* FIFOs, sockets and devices, which are left out */
	char first_skipped[256]; /* one of them */
};

/* What is in the directory `path`, as a tar stream (ustar, with pax extensions) to `fd`. Returns the size of the stream; *ret
 * (or NULL) tells what was in it. */
int64_t hutch_sandbox_copy_out(struct hutch_sandbox *sandbox, const char *path, int fd, const struct hutch_file_options *options, struct hutch_copy *ret,
                               struct hutch_error *err);
/* A tar stream into the directory `path`, which is made if it is missing; what is there already is replaced or filled.
 * Everything belongs to the sandbox's user. An archive with absolute paths, "..", devices, links that lead out or entries
 * that lead through a link is refused with HUTCH_E_ARCHIVE; what came before that entry stays. */
int64_t hutch_sandbox_copy_in(struct hutch_sandbox *sandbox, const char *path, int fd, const struct hutch_file_options *options, struct hutch_copy *ret,
                              struct hutch_error *err);
/* The same, with a directory of the host at the other end: made if it does not exist, or copied without following links.
 * What comes out is unpacked by the same rules, follows no link there, and has no setuid or setgid bits. A link that is
 * `directory` itself is refused, too, unless a slash follows its name: a sandbox that shares its parent could have put it
 * there. */
int hutch_sandbox_copy_out_to(struct hutch_sandbox *sandbox, const char *path, const char *directory, const struct hutch_file_options *options,
                              struct hutch_copy *ret, struct hutch_error *err);
int hutch_sandbox_copy_in_from(struct hutch_sandbox *sandbox, const char *path, const char *directory, const struct hutch_file_options *options,
                               struct hutch_copy *ret, struct hutch_error *err);

/* ---- looking before leaping ---- */

/* The plan for this request on this host, one line per step, as `hutch run --dry-run` prints it. *ret is one string,
 * freed with free(3). Nothing is started. */
int hutch_plan_text(struct hutch *h, const struct hutch_spec *spec, const struct hutch_command *command, char **ret,
                    struct hutch_error *err);

enum hutch_verdict {
	HUTCH_VERDICT_OK = 0,
	HUTCH_VERDICT_DEGRADED, /* works, with less */
	HUTCH_VERDICT_MISSING   /* does not work here */
};

struct hutch_finding {
	char name[32];
	enum hutch_verdict verdict;
	bool required;          /* `hutch run` with its defaults cannot work when this is missing */
	char detail[256];       /* what was found */
	char why[256];          /* why it matters */
	char fix[384];          /* the command or setting that mends it; "" when ok */
};

/* Tries each primitive for real, in short-lived child processes. Fills up to `capacity` findings and returns how many. */
int hutch_doctor(struct hutch *h, struct hutch_finding *findings, size_t capacity, struct hutch_error *err);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
