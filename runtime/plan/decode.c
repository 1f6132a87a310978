/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes to plan. Runs in init, without libc: pure arithmetic on a bounded buffer. Sections follow each other without
 * gaps, each start is the end of the one before, and the pool ends where the bytes end.
 */
#include "plan/plan.h"

#include <errno.h>
#include <stdbool.h>

struct cursor {
	const unsigned char *bytes;
	size_t size, at;
};

/* The next count * size bytes, or NULL if they are not there. */
static const void *take(struct cursor *cursor, size_t count, size_t size)
{
	size_t left = cursor->size - cursor->at;
	if (count > left / size)
		return NULL;
	const void *section = cursor->bytes + cursor->at;
	cursor->at += count * size;
	return section;
}

static bool strings_valid(const struct plan *plan, const plan_string *list, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (list[i] >= plan->strings_size)
			return false;
	return true;
}

static bool op_valid(const struct plan *plan, const struct plan_op *op)
{
	const plan_string texts[] = {op->source, op->target, op->upper};
	return op->kind >= PLAN_OP_DIRECTORY && op->kind < PLAN_OP_KINDS && strings_valid(plan, texts, 3) && op->fd >= -1 && op->upper_fd >= -1 &&
	       plan_text(plan, op->target)[0] == '/';
}

static bool sandbox_valid(struct plan *plan, struct cursor *cursor)
{
	const struct plan_sandbox *sandbox = take(cursor, 1, sizeof *sandbox);
	if (!sandbox || sandbox->ops_count > PLAN_OPS_MAX || sandbox->hostname >= plan->strings_size)
		return false;
	plan->sandbox = sandbox;
	plan->ops = take(cursor, sandbox->ops_count, sizeof *plan->ops);
	if (!plan->ops)
		return false;
	for (uint32_t i = 0; i < sandbox->ops_count; i++)
		if (!op_valid(plan, &plan->ops[i]))
			return false;
	for (unsigned i = 0; i < 2; i++) {
		if (sandbox->filter_lengths[i] > PLAN_FILTER_MAX)
			return false;
		plan->filters[i] = take(cursor, sandbox->filter_lengths[i], sizeof *plan->filters[i]);
		if (!plan->filters[i])
			return false;
	}
	return sandbox->filter_lengths[0] > 0; /* a sandbox without a filter does not exist */
}

static bool command_valid(struct plan *plan, struct cursor *cursor)
{
	const struct plan_command *command = take(cursor, 1, sizeof *command);
	if (!command || command->argc == 0 || command->argc > PLAN_STRINGS_MAX || command->envc > PLAN_STRINGS_MAX ||
	    command->pathc == 0 || command->pathc > 256 || command->rlimits_count > PLAN_RLIMITS_MAX ||
	    command->cwd >= plan->strings_size || command->uid > PLAN_UID_MAX || command->gid > PLAN_UID_MAX || command->file.op >= FILE_OPS ||
	    (command->file.op != FILE_NONE && command->argc != 2))
		return false;
	plan->command = command;
	plan->rlimits = take(cursor, command->rlimits_count, sizeof *plan->rlimits);
	plan->argv = take(cursor, command->argc, sizeof *plan->argv);
	plan->env = take(cursor, command->envc, sizeof *plan->env);
	plan->path = take(cursor, command->pathc, sizeof *plan->path);
	return plan->rlimits && plan->argv && plan->env && plan->path && strings_valid(plan, plan->argv, command->argc) &&
	       strings_valid(plan, plan->env, command->envc) && strings_valid(plan, plan->path, command->pathc);
}

int plan_decode(const void *bytes, size_t size, struct plan *ret)
{
	struct cursor cursor = {.bytes = bytes, .size = size};
	const struct plan_header *header = take(&cursor, 1, sizeof *header);
	if (!header || header->magic != PLAN_MAGIC || header->version != PLAN_VERSION || header->total != size || size > PLAN_MAX)
		return -EBADMSG;
	if (header->strings_size == 0 || header->strings < sizeof *header || header->strings > size || header->strings_size != size - header->strings)
		return -EBADMSG;
	struct plan plan = {.kind = header->kind, .strings = (const char *)bytes + header->strings, .strings_size = header->strings_size};
	if (plan.strings[0] != '\0' || plan.strings[plan.strings_size - 1] != '\0')
		return -EBADMSG;
	cursor.size = header->strings; /* sections end before the pool */
	bool valid = plan.kind == PLAN_SANDBOX   ? sandbox_valid(&plan, &cursor)
	             : plan.kind == PLAN_COMMAND ? command_valid(&plan, &cursor)
	                                         : false;
	if (!valid || cursor.at != cursor.size)
		return -EBADMSG;
	*ret = plan;
	return 0;
}
