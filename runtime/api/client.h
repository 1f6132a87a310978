/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_API_CLIENT_H
#define HUTCH_API_CLIENT_H

/*
 * The client's side of a detached sandbox: a struct hutch_sandbox whose control socket leads to a supervisor. The
 * engine treats it as its own, but for what struct remote lists.
 */

#include "engine/engine.h"
#include "wire/store.h"
#include "wire/wire.h"

/* hutch_sandbox.remote_data; one block. */
struct client {
	uint32_t serial;          /* of the last request */
	uint32_t awaited;         /* the request whose answer is waited for */
	bool is_answered;
	struct message answer;
	int answer_fd;
	char name[STORE_NAME_SIZE];
	char logs[];
};

/* A sandbox that speaks over `socket`, which is taken. Nothing is known of it yet. */
int client_new(struct hutch *h, int socket, const char *logs, struct hutch_sandbox **ret, struct hutch_error *err);

/* Sends a request and waits for its answer, which is left in *ret with its descriptor in *ret_fd (NULL: none is expected).
 * An answer that is an error is returned as such. */
#define CLIENT_ANSWERS_MS 10000
int client_call(struct hutch_sandbox *sandbox, struct message *message, const int *fds, unsigned count, int64_t timeout_ms, struct message *ret, int *ret_fd,
                struct hutch_error *err);

/* Greets (`message`: HELLO or START), and fills the sandbox with what WELCOME tells. */
int client_greet(struct hutch_sandbox *sandbox, struct message *message, const int *fds, unsigned count, int64_t timeout_ms, struct hutch_error *err);

/* spawn.c: a supervisor, and the socket that leads to it. *ret_pidfd is its first process's, which ends at once. */
int spawn_supervisor(int *ret_socket, int *ret_pidfd, struct hutch_error *err);
void spawn_reap(int pidfd);

/* detached.c */
int detached_run(struct hutch *h, const struct hutch_spec *spec, const struct hutch_command *command, struct hutch_sandbox **ret, struct hutch_error *err);

/* request.c: a request as one memory file, with the streams that are passed in. fds[0..*ret_count) are to be sent; all
 * but fds[0], which is new, stay the caller's. */
int request_pack(const struct hutch_spec *spec, const struct hutch_command *command, int fds[4], unsigned *ret_count, struct hutch_error *err);

#endif
