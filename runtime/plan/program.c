/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command's part of a plan: environment from nothing, where to look for the program, resource limits.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "plan/build.h"
#include "spec/check.h"

#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define DEFAULTS     5u
#define LOOKUPS_MAX  256u

static size_t count(const char *const *list)
{
	size_t entries = 0;
	while (list && list[entries])
		entries++;
	return entries;
}

static bool same_name(const char *a, const char *b)
{
	size_t length = strcspn(a, "=");
	return strncmp(a, b, length + 1) == 0;
}

/* The value that the last "NAME=value" of `env` gives, or NULL. */
static const char *value_of(const char *const *env, const char *name)
{
	const char *value = NULL;
	size_t length = strlen(name);
	for (; env && *env; env++)
		if (strncmp(*env, name, length) == 0 && (*env)[length] == '=')
			value = *env + length + 1;
	return value;
}

static bool is_set_later(const char *const *env, const char *entry)
{
	for (; env && *env; env++)
		if (same_name(entry, *env))
			return true;
	return false;
}

bool plan_wants_pty(const struct hutch_command *command)
{
	return command->in.io == HUTCH_IO_PTY || command->out.io == HUTCH_IO_PTY || command->err.io == HUTCH_IO_PTY;
}

/* ---- who ---- */

uint32_t plan_command_uid(const struct hutch_spec *spec, const struct hutch_command *command)
{
	return command->has_uid ? command->uid : spec->uid;
}

int plan_command_user(const struct plan_host *host, const struct hutch_spec *spec, const struct hutch_command *command, struct hutch_error *err)
{
	uint32_t uid = plan_command_uid(spec, command);

	if (uid == spec->uid)
		return 0;
	if (!host->has_range)
		return err_hint(err, err_set(err, HUTCH_E_UNSUPPORTED, "command.uid %u: the only user in this sandbox is %u, no other id is mapped", uid, spec->uid),
		                "start the sandbox as root, or with -u N for an N other than 0 and 1000, which maps a range of ids from /etc/subuid and /etc/subgid");
	if (uid == plan_init_uid(spec))
		return err_hint(err, err_set(err, HUTCH_E_UNSUPPORTED, "command.uid %u is that of the sandbox's init, which no command may have", uid),
		                "start the sandbox with --as-root");
	return 0;
}

/* Root's home and that of others are two, and a sandbox has only that of its own user. */
static const char *home_of(const struct hutch_spec *spec, const struct hutch_command *command)
{
	return (plan_command_uid(spec, command) == 0) == (spec->uid == 0) ? plan_home(spec) : "/";
}

/* Where it starts unless it is told: only the sandbox's own user may enter the home. */
static const char *start_of(const struct hutch_spec *spec, const struct hutch_command *command, const char *workspace)
{
	bool has_home = spec->root == HUTCH_ROOT_SYSTEM || spec->rootfs_access != HUTCH_ACCESS_RW;

	if (command->cwd || workspace)
		return command->cwd ? command->cwd : workspace;
	return has_home && plan_command_uid(spec, command) == spec->uid ? plan_home(spec) : "/";
}

/* ---- the rest ---- */

static int build_env(const struct hutch_spec *spec, const struct hutch_command *command, struct command_draft *draft, struct hutch_error *err)
{
	char home[PATH_MAX], term[256];
	const char *terminal = command->term ? command->term : "xterm";
	snprintf(home, sizeof home, "HOME=%s", home_of(spec, command));
	snprintf(term, sizeof term, "TERM=%s", terminal);
	const char *const defaults[DEFAULTS] = {"PATH=" PATH_DEFAULT, home, plan_command_uid(spec, command) == 0 ? "USER=root" : "USER=sandbox",
	                                        "LANG=C.UTF-8", plan_wants_pty(command) ? term : NULL};
	draft->env = malloc((count(command->env) + DEFAULTS) * sizeof *draft->env);
	if (!draft->env)
		return err_set(err, HUTCH_E_NO_MEMORY, "out of memory");
	for (size_t i = 0; i < DEFAULTS; i++)
		if (defaults[i] && !is_set_later(command->env, defaults[i]))
			draft->env[draft->fixed.envc++] = pool_add(&draft->pool, defaults[i]);
	for (const char *const *env = command->env; env && *env; env++)
		if (!is_set_later(env + 1, *env))
			draft->env[draft->fixed.envc++] = pool_add(&draft->pool, *env);
	return 0;
}

static int build_argv(const struct hutch_command *command, struct command_draft *draft, struct hutch_error *err)
{
	size_t entries = count(command->argv);
	draft->argv = malloc(entries * sizeof *draft->argv);
	if (!draft->argv)
		return err_set(err, HUTCH_E_NO_MEMORY, "out of memory");
	for (size_t i = 0; i < entries; i++)
		draft->argv[i] = pool_add(&draft->pool, command->argv[i]);
	draft->fixed.argc = (uint32_t)entries;
	return 0;
}

/* As execvp(3): a name with a slash as it is, another one in each directory of PATH. */
static int build_lookup(const struct hutch_command *command, struct command_draft *draft, struct hutch_error *err)
{
	const char *name = command->argv[0];
	draft->path = malloc(LOOKUPS_MAX * sizeof *draft->path);
	if (!draft->path)
		return err_set(err, HUTCH_E_NO_MEMORY, "out of memory");
	if (strchr(name, '/')) {
		draft->path[draft->fixed.pathc++] = pool_add(&draft->pool, name);
		return 0;
	}
	const char *path = value_of(command->env, "PATH");
	for (path = path ? path : PATH_DEFAULT; draft->fixed.pathc < LOOKUPS_MAX;) {
		size_t length = strcspn(path, ":");
		char candidate[PATH_MAX];
		int size = snprintf(candidate, sizeof candidate, "%.*s/%s", (int)(length ? length : 1), length ? path : ".", name);
		if (size > 0 && (size_t)size < sizeof candidate)
			draft->path[draft->fixed.pathc++] = pool_add(&draft->pool, candidate);
		if (path[length] == '\0')
			break;
		path += length + 1;
	}
	if (draft->fixed.pathc == 0)
		return err_sys(err, HUTCH_E_NOT_EXECUTABLE, ENAMETOOLONG, "command \"%.64s...\"", name);
	return 0;
}

void plan_command_rlimit(struct command_draft *draft, uint32_t resource, uint64_t soft, uint64_t hard)
{
	uint32_t at = 0;
	while (at < draft->fixed.rlimits_count && draft->rlimits[at].resource != resource)
		at++;
	if (at == PLAN_RLIMITS_MAX)
		return; /* cannot be: fewer names are known than fit */
	draft->fixed.rlimits_count += at == draft->fixed.rlimits_count;
	draft->rlimits[at] = (struct plan_rlimit){resource, 0, soft, hard};
}

void plan_command_ulimits(struct command_draft *draft, const struct hutch_limits *limits)
{
	for (size_t i = 0; i < limits->ulimits_count; i++)
		plan_command_rlimit(draft, (uint32_t)spec_ulimit_resource(limits->ulimits[i].name), limits->ulimits[i].value, limits->ulimits[i].value);
}

/* Defined values, whatever the caller's shell had; hard limits that are lower stay (init cuts). */
static void build_rlimits(const struct hutch_spec *spec, struct command_draft *draft)
{
	const struct plan_rlimit defaults[] = {
		/* 1, not 0: the kernel starts no core dump handler of the host for 1 (fs/coredump.c), and does for 0 */
		{RLIMIT_CORE, 0, 1, 1},
		{RLIMIT_NPROC, 0, spec->limits.pids, spec->limits.pids},
		{RLIMIT_NOFILE, 0, 1024, 524288},
		{RLIMIT_STACK, 0, 8 << 20, RLIM_INFINITY},
		{RLIMIT_MEMLOCK, 0, 8 << 20, 8 << 20},
		{RLIMIT_AS, 0, RLIM_INFINITY, RLIM_INFINITY},
		{RLIMIT_DATA, 0, RLIM_INFINITY, RLIM_INFINITY},
		{RLIMIT_FSIZE, 0, RLIM_INFINITY, RLIM_INFINITY},
		{RLIMIT_CPU, 0, RLIM_INFINITY, RLIM_INFINITY},
		{RLIMIT_RSS, 0, RLIM_INFINITY, RLIM_INFINITY},
		{RLIMIT_LOCKS, 0, RLIM_INFINITY, RLIM_INFINITY},
		{RLIMIT_SIGPENDING, 0, 4096, 4096},
		{RLIMIT_MSGQUEUE, 0, 819200, 819200},
		{RLIMIT_RTPRIO, 0, 0, 0},
		{RLIMIT_NICE, 0, 0, 0},
	};
	memcpy(draft->rlimits, defaults, sizeof defaults);
	draft->fixed.rlimits_count = sizeof defaults / sizeof *defaults;
	plan_command_ulimits(draft, &spec->limits);
}

static uint32_t stream_flags(const struct hutch_stream *stream, unsigned index)
{
	switch (stream->io) {
	case HUTCH_IO_PTY: return PLAN_STREAM_PTY(index);
	case HUTCH_IO_NULL: return 0;
	case HUTCH_IO_DEFAULT: return index == 0 ? 0 : PLAN_STREAM_FD(index);
	case HUTCH_IO_FD:
	case HUTCH_IO_CAPTURE:
	case HUTCH_IO_STREAM:
	case HUTCH_IO_PIPE: break;
	}
	return PLAN_STREAM_FD(index);
}

int plan_command_build(const struct hutch_spec *spec, const struct hutch_command *command, const char *workspace, struct command_draft *draft,
                       struct hutch_error *err)
{
	draft->fixed.uid = draft->fixed.gid = plan_command_uid(spec, command);
	draft->fixed.umask = 022;
	draft->fixed.rows = command->rows;
	draft->fixed.columns = command->columns;
	draft->fixed.flags = stream_flags(&command->in, 0) | stream_flags(&command->out, 1) | stream_flags(&command->err, 2);
	draft->fixed.cwd = pool_add(&draft->pool, start_of(spec, command, workspace));
	build_rlimits(spec, draft);
	int ret = build_argv(command, draft, err);
	if (ret == 0)
		ret = build_env(spec, command, draft, err);
	if (ret == 0)
		ret = build_lookup(command, draft, err);
	return ret;
}
