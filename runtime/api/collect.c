/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is there, and what is left over. Reading files only: a supervisor that hangs holds up nobody here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/client.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "engine/state.h"

#define REMOVE_TAKES_MS 120000 /* gigabytes may have to be deleted */

/* ---- removing ---- */

/* A path of a record's is removed only where it can be ours: .../upper/<id> or .../logs/<id>. */
static void remove_data(const char *path, const char *kind, const char *id)
{
	char end[STORE_ID_SIZE + 16];
	int length = snprintf(end, sizeof end, "/%s/%s", kind, id);
	size_t size = path ? strlen(path) : 0;
	if (path && path[0] == '/' && size > (size_t)length && strcmp(path + size - (size_t)length, end) == 0)
		state_remove_unused(path);
}

/* Takes away what a dead supervisor left; whether there was something. */
static bool bury(int root, const char *id)
{
	struct store_record record;
	if (store_bury(root, id, &record) != 1)
		return false;
	remove_data(record.status.upper, "upper", id);
	remove_data(record.status.logs, "logs", id);
	store_record_done(&record);
	return true;
}

struct collection {
	bool all;          /* also what the user may want to look at */
	int count;
	char boot[40];
};

static int collect(void *data, int root, const char *id)
{
	struct collection *collection = data;
	struct store_record record;
	if (store_read(root, id, &record, NULL) < 0)
		record = (struct store_record){.is_dead = record.is_dead};
	bool is_old = record.status.boot && strcmp(record.status.boot, collection->boot) != 0;
	if (record.is_dead && (collection->all || is_old))
		collection->count += bury(root, id);
	store_record_done(&record);
	return 0;
}

/* Of owners that were killed, where cgroups can be made from here. */
static unsigned collect_cgroups(void)
{
	struct delegation delegation;
	delegation_find(0, 0, false, &delegation);
	unsigned count = delegation.dir >= 0 ? cgroups_collect(delegation.dir) : 0;
	delegation_done(&delegation);
	return count;
}

int hutch_gc(struct hutch *h, struct hutch_error *err)
{
	(void)h;
	struct collection collection = {.all = true};
	CLEANUP_CLOSE int root = store_open(false, err);
	if (root < 0 && root != -HUTCH_E_NOT_FOUND)
		return root;
	store_boot_id(collection.boot);
	if (root >= 0) {
		store_each(root, collect, &collection);
		store_sweep(root);
	}
	return collection.count + (int)state_collect() + (int)collect_cgroups();
}

int hutch_sandbox_remove(struct hutch_sandbox *sandbox, bool force, struct hutch_error *err)
{
	struct message message = {.type = WIRE_REMOVE, .a = force};
	if (!sandbox->remote)
		return err_set(err, HUTCH_E_STATE, "only detached sandboxes can be removed");
	if (!sandbox->is_gone)
		return client_call(sandbox, &message, NULL, 0, REMOVE_TAKES_MS, NULL, NULL, err);
	CLEANUP_CLOSE int root = store_open(false, err);
	if (root < 0)
		return root;
	return bury(root, sandbox->id) ? 0 : err_set(err, HUTCH_E_NOT_FOUND, "sandbox %s is not there any more", sandbox->id);
}

/* ---- listing ---- */

struct list {
	struct hutch_listing *entries;
	size_t count, capacity;
	bool failed;
};

static char **copy_texts(const char *const *texts)
{
	size_t count = 0;
	while (texts && texts[count])
		count++;
	char **copy = calloc(count + 1, sizeof *copy);
	for (size_t i = 0; copy && i < count; i++)
		if (!(copy[i] = strdup(texts[i])))
			break;
	return copy;
}

static struct hutch_listing *add(struct list *list)
{
	if (list->count == list->capacity) {
		size_t capacity = list->capacity ? list->capacity * 2 : 16;
		struct hutch_listing *entries = realloc(list->entries, capacity * sizeof *entries);
		if (!entries)
			return NULL;
		list->entries = entries;
		list->capacity = capacity;
	}
	struct hutch_listing *entry = &list->entries[list->count++];
	*entry = (struct hutch_listing){.state = HUTCH_SANDBOX_FAILED};
	return entry;
}

static int list_one(void *data, int root, const char *id)
{
	struct list *list = data;
	struct store_record record;
	int error = store_read(root, id, &record, NULL);
	if (error == -HUTCH_E_NOT_FOUND) /* removed just now */
		return 0;
	struct hutch_listing *entry = add(list);
	if (!entry) {
		store_record_done(&record);
		list->failed = true;
		return 1;
	}
	const struct pack_status *status = &record.status;
	snprintf(entry->id, sizeof entry->id, "%s", id);
	snprintf(entry->name, sizeof entry->name, "%s", status->name ? status->name : "");
	if (error == 0) {
		entry->state = (enum hutch_sandbox_state)status->state;
		entry->created_ms = status->created_ms;
		entry->supervisor = status->supervisor;
		entry->command = status->command ? copy_texts(status->command) : NULL;
	}
	entry->labels = copy_texts(status->labels);
	list->failed |= !entry->labels || (error == 0 && status->command && !entry->command);
	store_record_done(&record);
	return list->failed;
}

static int by_age(const void *a, const void *b)
{
	const struct hutch_listing *left = a, *right = b;
	if (left->created_ms != right->created_ms)
		return left->created_ms < right->created_ms ? -1 : 1;
	return strcmp(left->id, right->id);
}

int hutch_list(struct hutch *h, struct hutch_listing **ret, size_t *ret_count, struct hutch_error *err)
{
	(void)h;
	struct list list = {0};
	struct collection collection = {0};
	CLEANUP_CLOSE int root = store_open(false, err);
	if (root < 0 && root != -HUTCH_E_NOT_FOUND)
		return root;
	if (root >= 0) {
		store_boot_id(collection.boot);
		store_each(root, collect, &collection); /* of former boots: nobody looks for them any more */
		store_sweep(root);
		store_each(root, list_one, &list);
	}
	if (list.failed) {
		hutch_list_free(list.entries, list.count);
		return err_set(err, HUTCH_E_NO_MEMORY, "out of memory");
	}
	if (list.count > 0)
		qsort(list.entries, list.count, sizeof *list.entries, by_age);
	*ret = list.entries;
	*ret_count = list.count;
	return 0;
}

static void free_texts(char **texts)
{
	for (char **at = texts; at && *at; at++)
		free(*at);
	free(texts);
}

void hutch_list_free(struct hutch_listing *list, size_t count)
{
	for (size_t i = 0; list && i < count; i++) {
		free_texts(list[i].command);
		free_texts(list[i].labels);
	}
	free(list);
}
