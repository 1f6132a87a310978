/* SPDX-License-Identifier: Apache-2.0 */
/* Every option of every verb, once. The man page has the same list in prose; a test compares the two. */
#include <stddef.h>

#include "values.h"

#define FIELD(member) .field = offsetof(struct run_options, member)

static const char *const net_words[] = {[HUTCH_NET_NONE] = "none", [HUTCH_NET_HOST] = "host", NULL};

static const char *const output_limit_words[] = {
	[HUTCH_OUTPUT_TRUNCATE] = "truncate",
	[HUTCH_OUTPUT_KILL] = "kill",
	NULL,
};

/* the default differs from verb to verb and has no word */
static const char *const on_exit_words[] = {"kill", "leave", NULL};

const struct option option_table[] = {
	{.name = "env", .letter = 'e', .argument = "K=V", .kind = OPTION_OWN, .set = set_env, .verbs = FOR_RUN,
	 .section = "Command", .help = "set a variable; a bare K passes the caller's value"},
	{.name = "env-file", .argument = "FILE", .kind = OPTION_OWN, .set = set_env_file, .complete = 'f', .verbs = FOR_RUN,
	 .help = "set variables from FILE, one K=V or K a line"},
	{.name = "cwd", .letter = 'w', .argument = "DIR", .kind = OPTION_OWN, .set = set_cwd, .verbs = FOR_RUN,
	 .help = "start in DIR, an absolute path inside"},
	{.name = "user", .letter = 'u', .argument = "UID|NAME", .kind = OPTION_OWN, .set = set_user, .verbs = FOR_RUN,
	 .help = "run as this uid, as \"sandbox\" (default, 1000) or as \"root\""},
	{.name = "as-root", .kind = OPTION_OWN, .set = set_as_root, .verbs = FOR_RUN,
	 .help = "run as uid 0 of the sandbox (never of the host)"},
	{.name = "tty", .letter = 't', .kind = OPTION_FLAG, FIELD(tty), .verbs = FOR_RUN,
	 .help = "give the command a terminal of its own for all three streams"},
	{.name = "stdin", .argument = "FILE", .kind = OPTION_FILE, FIELD(stdin_file), .verbs = FOR_RUN,
	 .help = "read standard input from FILE"},

	{.name = "timeout", .argument = "TIME", .kind = OPTION_DURATION, FIELD(command.timeout_ms), .verbs = FOR_RUN,
	 .section = "Time", .help = "end the command after TIME (exit code 124)"},
	{.name = "grace", .argument = "TIME", .kind = OPTION_DURATION, FIELD(command.grace_ms), .verbs = FOR_RUN,
	 .help = "between TERM and KILL (default 2s)"},
	{.name = "lifetime", .argument = "TIME", .kind = OPTION_DURATION, FIELD(spec.lifetime_ms), .verbs = FOR_RUN,
	 .help = "kill the sandbox after TIME, whatever runs in it"},

	{.name = "memory", .argument = "SIZE", .kind = OPTION_SIZE, FIELD(spec.limits.memory_bytes), .verbs = FOR_RUN,
	 .section = "Limits", .help = "memory of all processes together"},
	{.name = "swap", .argument = "SIZE", .kind = OPTION_OWN, .set = set_swap, .verbs = FOR_RUN,
	 .help = "swap (default 0 when --memory is set)"},
	{.name = "cpus", .argument = "N", .kind = OPTION_OWN, .set = set_cpus, .verbs = FOR_RUN,
	 .help = "processors, such as 1.5"},
	{.name = "cpu-time", .argument = "TIME", .kind = OPTION_DURATION, FIELD(spec.limits.cpu_time_ms), .verbs = FOR_RUN,
	 .help = "processor time in all (exit code 124)"},
	{.name = "pids", .argument = "N", .kind = OPTION_COUNT, FIELD(spec.limits.pids), .verbs = FOR_RUN,
	 .help = "processes and threads (default 1024)"},
	{.name = "io-read", .argument = "SIZE", .kind = OPTION_SIZE, FIELD(spec.limits.io_read_bps), .verbs = FOR_RUN,
	 .help = "bytes a second read from disks"},
	{.name = "io-write", .argument = "SIZE", .kind = OPTION_SIZE, FIELD(spec.limits.io_write_bps), .verbs = FOR_RUN,
	 .help = "bytes a second written to disks"},
	{.name = "disk", .argument = "SIZE", .kind = OPTION_SIZE, FIELD(spec.limits.disk_bytes), .verbs = FOR_RUN,
	 .help = "bytes written to the sandbox's own file systems"},
	{.name = "ulimit", .argument = "NAME=N", .kind = OPTION_OWN, .set = set_ulimit, .verbs = FOR_RUN,
	 .help = "a resource limit per process, such as nofile=1024"},
	{.name = "best-effort", .argument = "NAME,...", .is_optional = true, .kind = OPTION_OWN, .set = set_best_effort, .verbs = FOR_RUN,
	 .help = "layers and limits that may be missing; without names: all limits"},

	{.name = "output-limit", .argument = "SIZE", .kind = OPTION_SIZE, FIELD(command.output_limit), .verbs = FOR_RUN,
	 .section = "Output", .help = "bytes kept of each captured stream (default 64M)"},
	{.name = "on-output-limit", .argument = "truncate|kill", .kind = OPTION_CHOICE, .words = output_limit_words,
	 FIELD(command.on_output_limit), .verbs = FOR_RUN, .help = "then keep the head and go on (default), or end the command"},

	{.name = "workspace", .argument = "DIR[:ro|cow|rw]", .kind = OPTION_OWN, .set = set_workspace, .complete = 'd', .verbs = FOR_RUN,
	 .section = "Files", .help = "show DIR at its own path and start there (default .:cow)"},
	{.name = "no-workspace", .kind = OPTION_OWN, .set = set_no_workspace, .verbs = FOR_RUN,
	 .help = "do not show the current directory"},
	{.name = "save", .argument = "DIR", .kind = OPTION_DIRECTORY, FIELD(save), .verbs = FOR_RUN,
	 .help = "apply the changes of the workspace's copy to DIR"},
	{.name = "diff", .kind = OPTION_FLAG, FIELD(diff), .verbs = FOR_RUN,
	 .help = "list the changes of copy-on-write directories"},
	{.name = "ro", .argument = "SRC[:DST]", .kind = OPTION_OWN, .set = set_ro, .complete = 'f', .verbs = FOR_RUN,
	 .help = "show SRC read-only"},
	{.name = "rw", .argument = "SRC[:DST]", .kind = OPTION_OWN, .set = set_rw, .complete = 'f', .verbs = FOR_RUN,
	 .help = "show SRC writable: the sandbox changes the host's files"},
	{.name = "cow", .argument = "SRC[:DST]", .kind = OPTION_OWN, .set = set_cow, .complete = 'f', .verbs = FOR_RUN,
	 .help = "show SRC copy-on-write: writable, the host's files stay"},
	{.name = "tmpfs", .argument = "DST[:SIZE]", .kind = OPTION_OWN, .set = set_tmpfs, .verbs = FOR_RUN,
	 .help = "an empty directory in memory"},
	{.name = "rootfs", .argument = "DIR[:ro|cow|rw]", .kind = OPTION_OWN, .set = set_rootfs, .complete = 'd', .verbs = FOR_RUN,
	 .help = "use DIR as the root, and nothing of the host (default ro)"},
	{.name = "state", .argument = "DIR", .kind = OPTION_DIRECTORY, FIELD(spec.state_dir), .verbs = FOR_RUN,
	 .help = "where hutch keeps what is too large for memory"},

	{.name = "net", .argument = "none|host", .kind = OPTION_CHOICE, .words = net_words, FIELD(spec.net), .verbs = FOR_RUN,
	 .section = "Policy", .help = "no network but loopback (default), or the host's"},
	{.name = "seccomp", .argument = "default|strict|debug|FILE", .kind = OPTION_OWN, .set = set_seccomp, .words = seccomp_words,
	 .complete = 'f', .verbs = FOR_RUN, .help = "system call policy; FILE: see hutch-policy(5)"},
	{.name = "cap-add", .argument = "CAP", .kind = OPTION_OWN, .set = set_cap_add, .verbs = FOR_RUN,
	 .help = "keep a capability, such as NET_BIND_SERVICE"},
	{.name = "on-exit", .argument = "kill|leave", .kind = OPTION_OWN, .set = set_on_exit, .words = on_exit_words, .verbs = FOR_RUN,
	 .help = "what becomes of its background children (default kill)"},
	{.name = "profile", .argument = "FILE", .kind = OPTION_FILE, FIELD(profile), .is_command_line = true, .verbs = FOR_RUN,
	 .help = "read options from FILE, one \"name = value\" a line"},
	{.name = "dry-run", .kind = OPTION_FLAG, FIELD(dry_run), .verbs = FOR_RUN,
	 .help = "print what would be done, and do nothing"},

	{.name = "json", .kind = OPTION_FLAG, FIELD(json), .verbs = FOR_ALL,
	 .section = "Results", .help = "print one JSON document and nothing else"},
	{.name = "result", .argument = "FILE", .kind = OPTION_FILE, FIELD(result), .verbs = FOR_RUN,
	 .help = "write the result record to FILE"},
	{.name = "check", .kind = OPTION_FLAG, FIELD(command.check), .verbs = FOR_RUN,
	 .help = "say so on stderr when the command fails"},
	{.name = "quiet", .letter = 'q', .kind = OPTION_FLAG, FIELD(quiet), .verbs = FOR_ALL,
	 .help = "no notices (errors are always told)"},
	{.name = "verbose", .letter = 'v', .kind = OPTION_FLAG, FIELD(verbose), .verbs = FOR_ALL,
	 .help = "notices also when stderr is not a terminal"},
	{.name = "help", .letter = 'h', .kind = OPTION_FLAG, FIELD(help), .is_command_line = true, .verbs = FOR_ALL,
	 .help = "print this help"},
	{.name = NULL},
};
