/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_BASE_BLOB_H
#define HUTCH_BASE_BLOB_H

/*
 * Bytes with several owners in one thread: captured output belongs to its process and to every result made of it, and
 * copying 64 MiB for that would double both time and memory.
 */

#include <stddef.h>
#include <stdlib.h>

struct blob {
	size_t owners;
	char data[];
};

static inline struct blob *blob_of(char *data)
{
	return (struct blob *)(void *)(data - offsetof(struct blob, data));
}

/* Grows (or, with NULL, makes) the bytes of a single owner; NULL: out of memory, and the old bytes are untouched. */
static inline char *blob_resize(char *data, size_t size)
{
	struct blob *blob = realloc(data ? blob_of(data) : NULL, sizeof *blob + size);
	if (!blob)
		return NULL;
	blob->owners = 1;
	return blob->data;
}

static inline char *blob_share(char *data)
{
	blob_of(data)->owners++;
	return data;
}

static inline void blob_release(char *data)
{
	if (data && --blob_of(data)->owners == 0)
		free(blob_of(data));
}

#endif
