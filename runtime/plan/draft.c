/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/draft.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

/* ---- strings ---- */

static bool pool_reserve(struct pool *pool, size_t more)
{
	if (pool->failed || more > PLAN_MAX || pool->size + more > PLAN_MAX) {
		pool->failed = true;
		return false;
	}
	if (pool->size + more <= pool->capacity)
		return true;
	size_t capacity = (pool->size + more) * 2 + 4096;
	char *bytes = realloc(pool->bytes, capacity);
	if (!bytes) {
		pool->failed = true;
		return false;
	}
	pool->bytes = bytes;
	pool->capacity = capacity;
	return true;
}

static plan_string pool_append(struct pool *pool, const char *text, size_t length)
{
	if (!pool_reserve(pool, length + 1))
		return 0;
	plan_string at = (plan_string)pool->size;
	memcpy(pool->bytes + at, text, length);
	pool->bytes[at + length] = '\0';
	pool->size += length + 1;
	return at;
}

plan_string pool_add(struct pool *pool, const char *text)
{
	if (pool->size == 0)
		pool_append(pool, "", 0); /* offset 0 is the empty string */
	return *text ? pool_append(pool, text, strlen(text)) : 0;
}

plan_string draft_text(struct draft *draft, const char *text)
{
	return pool_add(&draft->pool, text);
}

plan_string draft_format(struct draft *draft, const char *format, ...)
{
	char text[8192];
	va_list args;
	va_start(args, format);
	int length = vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (length < 0 || (size_t)length >= sizeof text) {
		draft->failed = true;
		return 0;
	}
	return draft_text(draft, text);
}

/* ---- a sandbox ---- */

void draft_init(struct draft *draft)
{
	*draft = (struct draft){0};
	pool_add(&draft->pool, "");
}

void draft_done(struct draft *draft)
{
	for (size_t i = 0; i < draft->trees_count; i++)
		free(draft->trees[i].source);
	for (size_t i = 0; i < draft->warnings_count; i++)
		free(draft->warnings[i]);
	free(draft->trees);
	free(draft->warnings);
	free(draft->ops);
	free(draft->pool.bytes);
	*draft = (struct draft){0};
}

struct plan_op *draft_op(struct draft *draft, enum plan_op_kind kind, const char *target)
{
	static _Thread_local struct plan_op dummy;
	plan_string string = draft_text(draft, target);
	if (draft->ops_count == draft->ops_capacity) {
		size_t capacity = draft->ops_capacity ? draft->ops_capacity * 2 : 64;
		struct plan_op *ops = capacity > 2 * PLAN_OPS_MAX ? NULL : realloc(draft->ops, capacity * sizeof *ops);
		if (!ops) {
			draft->failed = true;
			return &dummy;
		}
		draft->ops = ops;
		draft->ops_capacity = capacity;
	}
	struct plan_op *op = &draft->ops[draft->ops_count++];
	*op = (struct plan_op){.kind = kind, .target = string, .fd = -1, .upper_fd = -1};
	return op;
}

static int add_tree(struct draft *draft, const char *source, const struct plan_tree *tree)
{
	struct plan_tree *trees = realloc(draft->trees, (draft->trees_count + 1) * sizeof *trees);
	if (trees)
		draft->trees = trees;
	char *copy = trees ? strdup(source) : NULL;
	if (!copy) {
		draft->failed = true;
		return -1;
	}
	draft->trees[draft->trees_count] = *tree;
	draft->trees[draft->trees_count++].source = copy;
	return (int)draft->trees_count + 1;
}

int draft_tree(struct draft *draft, const char *source, const struct plan_op *op, enum tree_ids ids, bool is_recursive)
{
	return add_tree(draft, source, &(struct plan_tree){.dev = op->dev, .ino = op->ino, .ids = ids, .is_recursive = is_recursive});
}

int draft_upper(struct draft *draft, const char *path)
{
	return add_tree(draft, path, &(struct plan_tree){.is_upper = true});
}

void draft_warn(struct draft *draft, const char *format, ...)
{
	char **warnings = realloc(draft->warnings, (draft->warnings_count + 2) * sizeof *warnings);
	if (!warnings) {
		draft->failed = true;
		return;
	}
	draft->warnings = warnings;
	va_list args;
	va_start(args, format);
	char *text = NULL;
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	if (!text) {
		draft->failed = true;
		return;
	}
	warnings[draft->warnings_count++] = text;
	warnings[draft->warnings_count] = NULL;
}

/* ---- flat bytes ---- */

struct section {
	const void *data;
	size_t size;
};

static int flatten(enum plan_kind kind, const struct section *sections, size_t count, const struct pool *pool, void **ret,
                   size_t *ret_size, struct hutch_error *err)
{
	size_t front = sizeof(struct plan_header);
	for (size_t i = 0; i < count; i++)
		front += sections[i].size;
	size_t total = front + pool->size;
	if (pool->failed || total > PLAN_MAX)
		return err_set(err, HUTCH_E_NOT_EXECUTABLE, "the plan with its argument list and environment is larger than %u MiB", PLAN_MAX >> 20);
	char *bytes = malloc(total);
	if (!bytes)
		return err_set(err, HUTCH_E_NO_MEMORY, "out of memory");
	const struct plan_header header = {PLAN_MAGIC, PLAN_VERSION, kind, (uint32_t)total, (uint32_t)front, (uint32_t)pool->size};
	char *at = bytes;
	memcpy(at, &header, sizeof header);
	at += sizeof header;
	for (size_t i = 0; i < count; i++) {
		if (sections[i].size)
			memcpy(at, sections[i].data, sections[i].size);
		at += sections[i].size;
	}
	memcpy(at, pool->bytes, pool->size);
	*ret = bytes;
	*ret_size = total;
	return 0;
}

int draft_encode(struct draft *draft, const struct sock_filter *const filters[2], void **ret, size_t *ret_size, struct hutch_error *err)
{
	if (draft->failed)
		return err_set(err, HUTCH_E_NO_MEMORY, "out of memory while planning");
	if (draft->ops_count > PLAN_OPS_MAX)
		return err_set(err, HUTCH_E_INVALID, "the sandbox would have %zu mounts and files, %u are possible", draft->ops_count, PLAN_OPS_MAX);
	draft->fixed.ops_count = (uint32_t)draft->ops_count;
	const struct section sections[] = {
		{&draft->fixed, sizeof draft->fixed},
		{draft->ops, draft->ops_count * sizeof *draft->ops},
		{filters[0], draft->fixed.filter_lengths[0] * sizeof(struct sock_filter)},
		{filters[1], draft->fixed.filter_lengths[1] * sizeof(struct sock_filter)},
	};
	return flatten(PLAN_SANDBOX, sections, 4, &draft->pool, ret, ret_size, err);
}

void command_draft_done(struct command_draft *draft)
{
	free(draft->argv);
	free(draft->env);
	free(draft->path);
	free(draft->pool.bytes);
	*draft = (struct command_draft){0};
}

int command_draft_encode(struct command_draft *draft, void **ret, size_t *ret_size, struct hutch_error *err)
{
	const struct plan_command *fixed = &draft->fixed;
	const struct section sections[] = {
		{fixed, sizeof *fixed},
		{draft->rlimits, fixed->rlimits_count * sizeof *draft->rlimits},
		{draft->argv, fixed->argc * sizeof *draft->argv},
		{draft->env, fixed->envc * sizeof *draft->env},
		{draft->path, fixed->pathc * sizeof *draft->path},
	};
	return flatten(PLAN_COMMAND, sections, 5, &draft->pool, ret, ret_size, err);
}
