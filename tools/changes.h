/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_TOOLS_CHANGES_H
#define HUTCH_TOOLS_CHANGES_H

#include <hutch/hutch.h>

/* What a run changed in its copy-on-write directories. */
struct change {
	enum hutch_change_kind kind;
	char type;
	char *path; /* relative to the workspace; elsewhere absolute */
	uint64_t size;
};

struct changes {
	struct change *all;
	size_t count;
};

#define CHANGES_NONE ((struct changes){0})

/* `workspace` is its path inside, NULL if there is none. */
int changes_collect(struct hutch_sandbox *sandbox, const char *workspace, struct changes *ret, struct hutch_error *err);
void changes_free(struct changes *changes);

/* How many there are, without keeping them. */
struct change_count {
	size_t files;       /* and whatever else is no directory */
	size_t directories;
	char root[512];     /* where the first one is */
};
int changes_count(struct hutch_sandbox *sandbox, struct change_count *ret, struct hutch_error *err);

#endif
