/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_WIRE_STORE_H
#define HUTCH_WIRE_STORE_H

/*
 * The run directory: which detached sandboxes a user has. There is no daemon; this directory is all that they share.
 *
 *     /run/hutch | $XDG_RUNTIME_DIR/hutch | /run/user/UID/hutch | ~/.local/state/hutch/run      0700, ours
 *         <id>/lock      held by the supervisor for its life: whoever can lock it knows that it is dead
 *         <id>/ctl       the supervisor's socket
 *         <id>/status    struct pack_status, replaced atomically
 *         names/<name>   symbolic link whose text is the id
 *         .new-<id>, .dead-<id>     being made, being removed
 *
 * Making and removing happen under a lock on the run directory itself, held for some system calls. A directory is
 * published by rename when its lock is held already, so one whose lock is free is always dead.
 */

#include <stdbool.h>
#include <stddef.h>

#include <hutch/error.h>

#include "wire/pack.h"

#define STORE_ID_SIZE   40
#define STORE_NAME_SIZE 64

/* 12 hexadecimal digits / [a-z0-9][a-z0-9_.-]{0,62}, and no id. */
bool store_is_id(const char *text);
bool store_is_name(const char *text);
int store_check_name(const char *name, struct hutch_error *err);

/* The run directory, made if it is missing and `make`. -HUTCH_E_NOT_FOUND: there is none. */
int store_open(bool make, struct hutch_error *err);

/* One sandbox's directory, as its supervisor has it. */
struct store_entry {
	char id[STORE_ID_SIZE];
	int root;                     /* the run directory */
	int dir;                      /* the entry itself */
	int lock;
};
/* Makes <id>/ with its lock held, takes the name (NULL: none), and puts the first status there. */
int store_create(const char *id, const char *name, const struct pack_status *status, struct store_entry *ret, struct hutch_error *err);
int store_write_status(const struct store_entry *entry, const struct pack_status *status, struct hutch_error *err);
/* Takes the entry away; the name is free again. `status`: for the name. */
void store_remove(struct store_entry *entry, const char *name);
void store_entry_done(struct store_entry *entry);

/* What is written about a sandbox. The supervisor is dead when `is_dead`: what runs nowhere is then failed. */
struct store_record {
	struct pack_status status;
	bool is_dead;
	void *bytes;
	struct pack_memory memory;
};
int store_read(int root, const char *id, struct store_record *ret, struct hutch_error *err);
void store_record_done(struct store_record *record);

/* The id that `text` names: an id, a name, or the unique beginning of an id. */
int store_find(int root, const char *text, char ret_id[STORE_ID_SIZE], struct hutch_error *err);

/* Calls `each` for every entry, in no order, until it returns non-zero, which is returned. */
int store_each(int root, int (*each)(void *data, int root, const char *id), void *data);

/* For a dead entry: takes it away, and tells its record, so that what belongs to it can be removed. 1: done; 0: it is
 * alive, or somebody else removes it. */
int store_bury(int root, const char *id, struct store_record *ret);
/* Removes what was left half made or half removed. */
void store_sweep(int root);

/* A file of ours, replaced as a whole: a reader sees the old one or the new one, also after a kill in between. It is not
 * synced: what a power cut leaves belongs to a former boot, and is removed. 0 or -errno. */
int store_replace_file(int dir, const char *name, const void *bytes, size_t size);
/* The contents of one of ours, freed with free(3); -EBADMSG: it is somebody else's, no file, or larger than `max`. */
int store_read_file(int dir, const char *name, size_t max, void **ret, size_t *ret_size);

/* The kernel's id of this boot; "" if it cannot be had. */
void store_boot_id(char ret[40]);

#endif
