/* SPDX-License-Identifier: Apache-2.0 */
/* The changes of copy-on-write directories: collected for --diff, only counted for the notice that they were dropped. */
#include "changes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keep.h"
#include "say.h"

struct collector {
	const char *workspace;
	struct changes changes;
	struct hutch_error *err;
};

static char *full_path(const char *workspace, const struct hutch_change *change)
{
	char *path = NULL;

	if (workspace && strcmp(change->root, workspace) == 0)
		return strdup(change->path);
	const char *root = strcmp(change->root, "/") == 0 ? "" : change->root;
	return asprintf(&path, "%s/%s", root, change->path) < 0 ? NULL : path;
}

static int collect(void *data, const struct hutch_change *change)
{
	struct collector *collector = data;
	struct changes *changes = &collector->changes;
	struct change *all = grow(changes->all, changes->count, sizeof *all, collector->err);

	if (!all)
		return -HUTCH_E_NO_MEMORY;
	changes->all = all;
	char *path = full_path(collector->workspace, change);
	if (!path) {
		system_error(collector->err, ENOMEM, "cannot list the changes");
		return -HUTCH_E_NO_MEMORY;
	}
	all[changes->count++] = (struct change){.kind = change->kind, .type = change->type, .path = path, .size = change->size};
	return 0;
}

int changes_collect(struct hutch_sandbox *sandbox, const char *workspace, struct changes *ret, struct hutch_error *err)
{
	struct collector collector = {.workspace = workspace, .err = err};

	if (hutch_sandbox_changes(sandbox, collect, &collector, err) < 0) {
		changes_free(&collector.changes);
		return -1;
	}
	*ret = collector.changes;
	return 0;
}

void changes_free(struct changes *changes)
{
	for (size_t i = 0; i < changes->count; i++)
		free(changes->all[i].path);
	free(changes->all);
	*changes = CHANGES_NONE;
}

static int count(void *data, const struct hutch_change *change)
{
	struct change_count *counted = data;

	if (!counted->root[0])
		snprintf(counted->root, sizeof counted->root, "%s", change->root);
	if (change->type == 'd' && change->kind != HUTCH_CHANGE_DELETED)
		counted->directories++;
	else
		counted->files++;
	return 0;
}

int changes_count(struct hutch_sandbox *sandbox, struct change_count *ret, struct hutch_error *err)
{
	*ret = (struct change_count){0};
	return hutch_sandbox_changes(sandbox, count, ret, err) < 0 ? -1 : 0;
}
