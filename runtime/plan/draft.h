/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_PLAN_DRAFT_H
#define HUTCH_PLAN_DRAFT_H

/*
 * A plan while it is made: growing arrays and a string pool. Running out of memory is remembered and told once, by
 * the encoder, so that building reads as a list of what is wanted.
 */

#include <stdbool.h>

#include <hutch/error.h>

#include "plan/plan.h"

struct pool {
	char *bytes;
	size_t size, capacity;
	bool failed;
};

/* How the owner maps ids on a mount that it makes for the sandbox (root only). */
enum tree_ids {
	TREE_IDS_CALLER, /* the caller's files belong to the sandbox's user; all other ids of the host to themselves */
	TREE_IDS_RANGE   /* 0 to 65535 as they are: a root directory */
};

/* A mount that the owner makes before it starts init: fd index 2 + its position. */
struct plan_tree {
	char *source;
	uint64_t dev, ino; /* what was seen there when the plan was made */
	enum tree_ids ids;
	bool is_recursive;
	bool is_upper; /* a directory of ours for an upper layer: ids as they are on disk */
};

struct draft {
	struct plan_sandbox fixed;
	struct pool pool;
	struct plan_op *ops;
	size_t ops_count, ops_capacity;
	struct plan_tree *trees;
	size_t trees_count;
	char **warnings;       /* NULL-terminated */
	size_t warnings_count;
	bool failed;
};

void draft_init(struct draft *draft);
void draft_done(struct draft *draft);

plan_string draft_text(struct draft *draft, const char *text);
plan_string draft_format(struct draft *draft, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A new op of `kind` at `target`; never NULL (a dummy once memory is out). Valid until the next one. */
struct plan_op *draft_op(struct draft *draft, enum plan_op_kind kind, const char *target);

/* A mount of `source`, where `op` saw what it has seen; its index among the fds of MESSAGE_SETUP. */
int draft_tree(struct draft *draft, const char *source, const struct plan_op *op, enum tree_ids ids, bool is_recursive);
/* The same for a directory of ours that takes an upper layer. */
int draft_upper(struct draft *draft, const char *path);

void draft_warn(struct draft *draft, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The flat bytes; *ret is freed with free(3). */
struct sock_filter;
int draft_encode(struct draft *draft, const struct sock_filter *const filters[2], void **ret, size_t *ret_size, struct hutch_error *err);

/* ---- a command ---- */

struct command_draft {
	struct plan_command fixed;
	struct pool pool;
	plan_string *argv, *env, *path;
	struct plan_rlimit rlimits[PLAN_RLIMITS_MAX];
};

void command_draft_done(struct command_draft *draft);
plan_string pool_add(struct pool *pool, const char *text);
int command_draft_encode(struct command_draft *draft, void **ret, size_t *ret_size, struct hutch_error *err);

#endif
