/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_SPEC_H
#define HUTCH_SPEC_H

/*
 * What a sandbox and a command shall be: plain data.
 *
 * Every struct starts with its own size, set by the initialiser macro, so that a program compiled against an older
 * header keeps working; a tail that the library does not know must be zero. All-zero is always the safest choice.
 * Strings and arrays stay the caller's; the library copies what it keeps before a call returns. File descriptors in a
 * command stay the caller's too and may be closed once the call has returned.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default) /* the library is built with all else hidden */

/* ---- files ---- */

enum hutch_access {
	HUTCH_ACCESS_RO = 0, /* read-only, recursively */
	HUTCH_ACCESS_COW,    /* copy-on-write: writable inside, the host's files never change */
	HUTCH_ACCESS_RW      /* WARNING: the sandbox changes the host's files. setuid and setgid bits stay forbidden */
};

enum hutch_mount_kind {
	HUTCH_MOUNT_HOST = 0, /* `source` of the host at `target`, with `access` */
	HUTCH_MOUNT_TMPFS     /* an empty tmpfs at `target`, `size_bytes` large */
};

struct hutch_mount {
	enum hutch_mount_kind kind;
	enum hutch_access access;
	const char *source;  /* host path; relative ones count from the caller's working directory */
	const char *target;  /* absolute path inside; NULL: the same as the (resolved) source */
	uint64_t size_bytes; /* tmpfs only; 0: the default of the scratch space */
};

enum hutch_root {
	HUTCH_ROOT_SYSTEM = 0, /* the host's system directories, read-only, and a written-down part of /etc */
	HUTCH_ROOT_DIRECTORY   /* `rootfs`, and nothing of the host unless it is asked for */
};

/* ---- policy ---- */

enum hutch_net {
	HUTCH_NET_NONE = 0, /* an own network namespace with nothing but loopback */
	HUTCH_NET_HOST      /* WARNING: the host's network, all of it, including services on its loopback */
};

enum hutch_seccomp {
	HUTCH_SECCOMP_DEFAULT = 0,
	HUTCH_SECCOMP_STRICT, /* less: no file locks and leases, no splice, /proc of processes only, ... (hutch(1) lists it) */
	HUTCH_SECCOMP_DEBUG,  /* WARNING: ptrace and process_vm_* allowed between the commands of the sandbox */
	HUTCH_SECCOMP_FILE    /* WARNING: your own policy from `seccomp_file`; format in hutch-policy(5) */
};

/* Layers that may be missing when they are named in hutch_spec.best_effort; everything else never may. */
#define HUTCH_LAYER_LANDLOCK      (1u << 0)
#define HUTCH_LAYER_KEYRING       (1u << 1)
#define HUTCH_LAYER_MASKS         (1u << 2)
#define HUTCH_LAYER_OVERLAY       (1u << 3)
#define HUTCH_LAYER_IDMAP         (1u << 4)
#define HUTCH_LAYER_NESTED_USERNS (1u << 5)
#define HUTCH_LAYER_CGROUP_NS     (1u << 6)
#define HUTCH_LAYERS              7u
/* Limits, in the same set. */
#define HUTCH_LIMIT_MEMORY   (1u << 16)
#define HUTCH_LIMIT_SWAP     (1u << 17)
#define HUTCH_LIMIT_CPUS     (1u << 18)
#define HUTCH_LIMIT_PIDS     (1u << 19)
#define HUTCH_LIMIT_IO       (1u << 20)
#define HUTCH_LIMIT_DISK     (1u << 21)
#define HUTCH_LIMIT_CPU_TIME (1u << 22)
#define HUTCH_LIMITS_ALL     0x007f0000u

/* "landlock", "memory", ...; NULL for what is not one of these bits. */
const char *hutch_requirement_name(uint32_t bit);

struct hutch_ulimit {
	const char *name; /* as in `ulimit`/limits.conf: "nofile", "fsize", "stack", "as", "core", ... */
	uint64_t value;   /* soft = hard; in the unit of setrlimit(2) */
};

/*
 * Of a sandbox they bound all its commands together; a command may have its own besides. 0 means: not asked for, the
 * default holds. What is asked for is held by cgroups v2 (Documentation/admin-guide/cgroup-v2.rst); where they cannot be
 * had, it is the error HUTCH_E_UNENFORCEABLE, unless hutch_spec.best_effort names the limit.
 */
struct hutch_limits {
	uint64_t memory_bytes; /* memory.max: the kernel kills the whole command that is over it, outcome memory_limit; at least 1 MiB */
	uint64_t swap_bytes;   /* memory.swap.max; counts only when has_swap is set, else 0 as soon as memory_bytes is */
	bool has_swap;
	uint32_t cpus_milli;   /* cpu.max: 1500 is one and a half processors; at least 10 */
	uint64_t cpu_time_ms;  /* total CPU time, user and system; the outcome is cpu_limit */
	uint32_t pids;         /* pids.max: processes and threads; of a sandbox, 0 is 1024 */
	uint64_t io_read_bps;  /* io.max of the disks that the sandbox's directories are on */
	uint64_t io_write_bps;
	uint64_t disk_bytes;   /* what may be written in all to the sandbox's own file systems; 0: the default bound; not for a command */
	const struct hutch_ulimit *ulimits;
	size_t ulimits_count;
};

struct hutch_spec {
	size_t size;

	/* identity */
	const char *name;          /* for kept sandboxes; NULL: none */
	const char *const *labels; /* "K=V", NULL-terminated; NULL: none */
	size_t labels_count;
	bool as_root;              /* uid and gid 0 inside (never uid 0 of the host when the caller is root) */
	bool has_uid;
	uint32_t uid;              /* uid and gid inside, when has_uid; default 1000. Others need a range of ids */

	/* files */
	enum hutch_root root;
	const char *rootfs;
	enum hutch_access rootfs_access;
	const char *workspace;     /* shown at its own path and used as working directory; NULL: none */
	enum hutch_access workspace_access;
	const struct hutch_mount *mounts;
	size_t mounts_count;
	bool discard_changes;      /* nobody will ask what was changed in copies: the sandbox may be gone as soon as its main command has ended */
	const char *state_dir;     /* where uppers on disk, logs and records go; NULL: see hutch(1), "State" */

	/* isolation */
	enum hutch_net net;
	enum hutch_seccomp seccomp;
	const char *seccomp_file;
	uint64_t cap_add;          /* 1 << CAP_*; only those that have an effect, see hutch(1) */
	struct hutch_limits limits;
	uint32_t best_effort;      /* HUTCH_LAYER_* | HUTCH_LIMIT_* */

	/* time, in milliseconds; 0: none */
	uint64_t lifetime_ms;
	uint64_t idle_timeout_ms;  /* stopped when no command has run for so long; detached sandboxes only */

	/* The sandbox outlives this process: a supervisor of its own keeps it, and it is found by id or name. */
	bool detached;

	/* cgroups */
	bool may_move;             /* this process may be moved into a cgroup of its user's (a scope of systemd's), where that is the only way to enforce
	                            * the limits; a detached sandbox's supervisor always may */
	bool thread_stays;         /* the thread that makes the sandbox lives as long as this process, as in any program with one thread: then even
	                            * an init that somebody has stopped ends with it (PR_SET_PDEATHSIG, which goes by threads); a supervisor's does */
	bool discard_usage;        /* nobody will look at what the commands used (memory, I/O, ...): no cgroup is made just to know it */
};

/* struct hutch_spec *: &HUTCH_SPEC(.limits.memory_bytes = 256 << 20) */
#define HUTCH_SPEC(...) ((struct hutch_spec){.size = sizeof(struct hutch_spec), __VA_ARGS__})

/* ---- one command ---- */

enum hutch_io {
	HUTCH_IO_DEFAULT = 0, /* stdin: /dev/null; stdout and stderr: captured */
	HUTCH_IO_NULL,        /* /dev/null */
	HUTCH_IO_FD,          /* `fd` of the caller is passed as it is; must not be a terminal */
	HUTCH_IO_CAPTURE,     /* stdout, stderr: kept in the result, up to output_limit */
	HUTCH_IO_PIPE,        /* stdin: written with hutch_process_write_stdin */
	HUTCH_IO_PTY,         /* this stream is the command's own pseudo-terminal (one for all streams that ask) */
	HUTCH_IO_STREAM       /* stdout, stderr: handed out in chunks by hutch_process_next; the command waits for its reader */
};

struct hutch_stream {
	enum hutch_io io;
	int fd;
};

enum hutch_on_output_limit {
	HUTCH_OUTPUT_TRUNCATE = 0, /* keep the head, count the rest, let the command go on */
	HUTCH_OUTPUT_KILL          /* end the command, outcome output_limit */
};

enum hutch_on_exit {
	HUTCH_ON_EXIT_DEFAULT = 0, /* kill for the main command, leave for an exec in a kept sandbox */
	HUTCH_ON_EXIT_KILL,        /* its background children are killed when it ends */
	HUTCH_ON_EXIT_LEAVE        /* they go on; for a main command: the sandbox ends when the last of them has */
};

struct hutch_command {
	size_t size;
	const char *const *argv; /* NULL-terminated; argv[0] is looked up in PATH of the command's environment */
	const char *const *env;  /* "K=V" added to (or replacing) the default environment; NULL-terminated; NULL: none */
	const char *cwd;         /* absolute path inside; NULL: the workspace, else the private home */
	struct hutch_stream in, out, err;
	const char *term;        /* TERM for a pty; NULL: "xterm" */
	uint16_t rows, columns;  /* of a pty; 0: 24 x 80 */
	uint64_t timeout_ms;     /* 0: none */
	uint64_t grace_ms;       /* between TERM to its process group and KILL to its tree; 0: 2000 */
	uint64_t output_limit;   /* bytes kept per captured stream; 0: 64 MiB */
	enum hutch_on_output_limit on_output_limit;
	enum hutch_on_exit on_exit;
	bool check;              /* anything but exit code 0 is the error HUTCH_E_EXECUTION */
	struct hutch_limits limits; /* of this command and all that it starts, besides the sandbox's */
	bool has_uid;
	uint32_t uid;            /* uid and gid inside, when has_uid; else the sandbox's. Others need a sandbox with a range of ids */
};

/* struct hutch_command *: &HUTCH_COMMAND(.argv = argv) */
#define HUTCH_COMMAND(...) ((struct hutch_command){.size = sizeof(struct hutch_command), __VA_ARGS__})

/* Parsers of the command line's notations, for programs that read the same from their own users. 0 or -HUTCH_E_INVALID.
 * Sizes: "64M", "1.5GiB" (1024 based, K M G T, either case). Durations: "1.5s", "200ms", "2m", "1h", bare is seconds.
 * Both refuse signs, empty text, unknown suffixes and overflow; zero is left to the caller to judge. */
int hutch_parse_size(const char *text, uint64_t *ret_bytes);
int hutch_parse_duration(const char *text, uint64_t *ret_ms);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
