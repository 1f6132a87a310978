/* SPDX-License-Identifier: Apache-2.0 */
/* The plan for people: `hutch run --dry-run`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hutch/spec.h>

#include "base/error.h"
#include "plan/build.h"
#include "plan/stage.h"

static const char *text(const struct pool *pool, plan_string string)
{
	return pool->bytes ? pool->bytes + string : "";
}

static void describe_op(FILE *out, const struct draft *draft, const struct plan_op *op)
{
	const char *source = text(&draft->pool, op->source), *target = text(&draft->pool, op->target);
	const char *access = op->flags & PLAN_OP_WRITABLE ? "read-write" : "read-only";
	switch ((enum plan_op_kind)op->kind) {
	case PLAN_OP_DIRECTORY: fprintf(out, "mounts: directory %s, mode %04o\n", target, op->mode); break;
	case PLAN_OP_FILE: fprintf(out, "mounts: file %s, %zu bytes written anew\n", target, strlen(source)); break;
	case PLAN_OP_SYMLINK: fprintf(out, "mounts: link %s -> %s\n", target, source); break;
	case PLAN_OP_BIND: fprintf(out, "mounts: %s %s at %s%s\n", access, source, target, op->fd >= 0 ? ", ids mapped" : ""); break;
	case PLAN_OP_TMPFS: fprintf(out, "mounts: tmpfs of %llu bytes at %s\n", (unsigned long long)op->size, target); break;
	case PLAN_OP_SCRATCH: fprintf(out, "mounts: private %s, in the scratch file system, mode %04o\n", target, op->mode); break;
	case PLAN_OP_OVERLAY:
		fprintf(out, "mounts: %s %s at %s%s, changes go to %s\n", op->flags & PLAN_OP_WRITABLE ? "copy-on-write" : "read-only", source, target,
		        op->fd >= 0 ? ", ids mapped" : "", *text(&draft->pool, op->upper) ? text(&draft->pool, op->upper) : "the scratch file system");
		break;
	case PLAN_OP_MASK: fprintf(out, "masks: %s hidden\n", target); break;
	case PLAN_OP_PROC_READONLY: fprintf(out, "masks: %s read-only\n", target); break;
	case PLAN_OP_DEVICE: fprintf(out, "dev: %s\n", target); break;
	case PLAN_OP_KINDS: break;
	}
}

static void describe_sandbox(FILE *out, const struct draft *draft)
{
	const struct plan_sandbox *fixed = &draft->fixed;
	fprintf(out, "clone: user, mount, pid, ipc, uts%s namespaces\n", fixed->flags & PLAN_NET_NEW ? ", net" : " (the host's network)");
	if (fixed->flags & PLAN_RANGE)
		fprintf(out, "maps: a range of 65536 ids; init runs as %u, commands as %u\n", fixed->init_uid, fixed->uid);
	else
		fprintf(out, "maps: the caller is %u, and no other id exists\n", fixed->uid);
	fprintf(out, "nested-userns: user.max_user_namespaces = 0\n");
	fprintf(out, "root: scratch file system of %llu bytes, %llu inodes\n", (unsigned long long)fixed->scratch_bytes, (unsigned long long)fixed->scratch_inodes);
	for (size_t i = 0; i < draft->ops_count; i++)
		describe_op(out, draft, &draft->ops[i]);
	fprintf(out, "proc: %s\n", fixed->flags & PLAN_PROC_PIDS_ONLY ? "processes only" : "complete, other users' processes hidden");
	fprintf(out, "pivot: and the old root detached\n");
	fprintf(out, "hostname: %s\n", text(&draft->pool, fixed->hostname));
	fprintf(out, "keyring: a new one\n");
	fprintf(out, "landlock: writing only where the list above says so\n");
	for (size_t i = 0; i < draft->warnings_count; i++)
		fprintf(out, "warning: %s\n", draft->warnings[i]);
}

static void describe_command(FILE *out, const struct draft *draft, const struct command_draft *command)
{
	static const char *const streams[] = {"stdin", "stdout", "stderr"};
	const struct plan_command *fixed = &command->fixed;
	for (unsigned i = 0; i < 3; i++)
		fprintf(out, "streams: %s is %s\n", streams[i], fixed->flags & PLAN_STREAM_PTY(i) ? "a terminal of its own" : fixed->flags & PLAN_STREAM_FD(i) ? "passed in" : "/dev/null");
	for (uint32_t i = 0; i < fixed->rlimits_count; i++) {
		const struct plan_rlimit *limit = &command->rlimits[i];
		fprintf(out, "rlimits: %u = %lld, at most %lld\n", limit->resource, (long long)limit->soft, (long long)limit->hard);
	}
	fprintf(out, "privileges: capabilities %#llx, no_new_privs\n", (unsigned long long)draft->fixed.cap_add);
	fprintf(out, "cwd: %s\n", text(&command->pool, fixed->cwd));
	for (unsigned i = 0; i < 2; i++)
		if (draft->fixed.filter_lengths[i])
			fprintf(out, "seccomp: a filter of %u instructions\n", draft->fixed.filter_lengths[i]);
	for (uint32_t i = 0; i < fixed->envc; i++)
		fprintf(out, "exec: environment %s\n", text(&command->pool, command->env[i]));
	for (uint32_t i = 0; i < fixed->pathc; i++)
		fprintf(out, "exec: try %s\n", text(&command->pool, command->path[i]));
	fprintf(out, "exec:");
	for (uint32_t i = 0; i < fixed->argc; i++)
		fprintf(out, " %s", text(&command->pool, command->argv[i]));
	fprintf(out, "\n");
}

int plan_describe(const struct draft *draft, const struct command_draft *command, char **ret, struct hutch_error *err)
{
	char *buffer = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&buffer, &size);
	if (!out || draft->failed || draft->pool.failed || command->pool.failed) {
		if (out)
			fclose(out);
		free(buffer);
		return err_set(err, HUTCH_E_NO_MEMORY, "out of memory");
	}
	describe_sandbox(out, draft);
	describe_command(out, draft, command);
	if (fclose(out) != 0) {
		free(buffer);
		return err_set(err, HUTCH_E_NO_MEMORY, "out of memory");
	}
	*ret = buffer;
	return 0;
}
