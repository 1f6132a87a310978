/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_WIRE_PACK_H
#define HUTCH_WIRE_PACK_H

/*
 * Plain data as flat bytes, for what does not fit a message: requests, results, errors, the status of a sandbox.
 *
 *     magic | version | kind | size of the rest | checksum of the rest | fields, one after the other
 *
 * A number is 8 bytes. A text is its length + 1 (0: NULL) and its bytes with a terminating 0. A list is its length + 1
 * (0: NULL) and its elements. The fields of each struct are listed once, in one function that both writes and reads.
 *
 * The reader takes any bytes: every length is compared with what is there before it is used, memory is never more than a
 * small multiple of the bytes, and what is left over is an error.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hutch/error.h>
#include <hutch/hutch.h>
#include <hutch/spec.h>

#define PACK_MAX (20u << 20) /* bytes: more than execve(2) accepts of argv and environment */

enum pack_kind {
	PACK_REQUEST = 1,
	PACK_CONTEXT,
	PACK_RESULT,
	PACK_ERROR,
	PACK_STATUS,
	PACK_STATS
};

/* What a read struct's pointers point to, besides the bytes themselves. */
struct pack_memory {
	void **blocks;
	size_t count, capacity;
};
void pack_memory_done(struct pack_memory *memory);

/* A sandbox and its main command, or a command alone. */
struct pack_request {
	bool has_spec, has_command;
	struct hutch_spec spec;
	struct hutch_command command;
};

/* What a client must know of a sandbox to use it as its own. */
struct pack_context {
	const char *id, *name;
	struct hutch_spec spec;
	uint32_t uid, gid;            /* of the supervisor */
	bool is_privileged, has_range, is_on_disk, has_main;
	uint64_t range, scratch_bytes;
	const char *workspace;        /* its path inside */
	uint64_t workspace_op;
	const char *const *roots;     /* by op; "": none */
	size_t roots_count;
	const char *const *warnings;
	const char *const *argv;      /* of the main command */
	const char *cwd;
	const char *logs;             /* directory */
	bool has_cgroup;
	uint32_t controllers;         /* CGROUP_* */
	const char *cgroup;           /* path; NULL: none */
};

/* The file `status` of a run directory. */
struct pack_status {
	const char *id, *name, *boot;
	uint64_t state;               /* enum hutch_sandbox_state */
	int64_t created_ms, supervisor;
	const char *const *command, *const *labels;
	const char *upper, *logs;     /* directories that go with the sandbox; NULL: none */
};

/* All return 0, -HUTCH_E_NO_MEMORY, or (reading) -HUTCH_E_INVALID. What is written is freed with free(3). What is read
 * points into `bytes` and `memory`, which is the caller's to free even after an error. */
int pack_request_write(const struct pack_request *request, void **ret, size_t *ret_size);
int pack_request_read(const void *bytes, size_t size, struct pack_memory *memory, struct pack_request *ret);
int pack_context_write(const struct pack_context *context, void **ret, size_t *ret_size);
int pack_context_read(const void *bytes, size_t size, struct pack_memory *memory, struct pack_context *ret);
int pack_status_write(const struct pack_status *status, void **ret, size_t *ret_size);
int pack_status_read(const void *bytes, size_t size, struct pack_memory *memory, struct pack_status *ret);
int pack_error_write(const struct hutch_error *error, void **ret, size_t *ret_size);
int pack_error_read(const void *bytes, size_t size, struct hutch_error *ret);

/* *ret of the reader is one block for free(3). */
int pack_stats_write(const struct hutch_stats *stats, size_t count, void **ret, size_t *ret_size);
int pack_stats_read(const void *bytes, size_t size, struct hutch_stats **ret, size_t *ret_count);

/* A result owns its memory, so it is read into one that ends with hutch_result_free. */
int pack_result_write(const struct hutch_result *result, void **ret, size_t *ret_size);
int pack_result_read(const void *bytes, size_t size, struct hutch_result **ret);

#endif
