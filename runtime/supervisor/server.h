/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_SUPERVISOR_SERVER_H
#define HUTCH_SUPERVISOR_SERVER_H

/*
 * hutch-supervisor: one process per detached sandbox, which is what keeps it alive.
 *
 * It hosts the same engine as any program with an attached sandbox, in one thread and one loop, and serves the socket
 * `ctl` of the sandbox's run directory (wire/wire.h). Three kinds of things happen in the loop:
 *
 *   own commands      the main command and those of EXEC_DETACHED are the engine's processes; their output is read here
 *                     and written to logs (own.c, log.c), their results are kept
 *   clients' commands are started by clients; only their messages pass through, under ids of ours (forward.c)
 *   requests          are answered at once, or wait in a list until they can be (connection.c)
 *
 * Callbacks of the loop only take in what has come, one message of each client; server_tick(), after each turn, draws
 * the conclusions (engine calls must not be made in callbacks, since some run the loop): requests, output to be logged, commands that have ended, the state to be written down and told, requests that can be answered now, the next
 * deadline. Whatever a client can make us keep is bounded; one that does not read its answers is dropped.
 *
 * Life: PENDING (server_start) -> RUNNING <-> PAUSED -> COMPLETED | TERMINATED | FAILED, and on until it is removed or
 * gets SIGTERM. Its death is the sandbox's: init sees it at once.
 */

#include <stdbool.h>
#include <stdint.h>

#include "engine/engine.h"
#include "supervisor/log.h"
#include "supervisor/outbox.h"
#include "wire/store.h"
#include "wire/wire.h"

#define CONNECTIONS_MAX 64u
#define FORWARDS_MAX    1024u /* clients' commands at a time; init's own bound */
#define FDS_PER_CLIENT  8u    /* that wait for it to read; all clients' must be less than RLIMIT_NOFILE */
#define WAITERS_MAX     256u  /* requests of one client that wait */
#define OWNS_MAX        256u  /* detached commands whose results and logs are kept */
#define HELLO_TAKES_MS  10000

struct connection {
	struct watch watch;
	struct server *server;
	struct connection *next;
	bool is_greeted;
	bool is_dead;             /* freed after this turn */
	bool is_stopped;          /* not read: there is a message that has not been handled yet */
	bool has_message;
	struct message message;
	int fds[WIRE_FDS_MAX];
	unsigned fds_count;
	int64_t greet_until_ms;
	struct outbox out;
	unsigned waiters;
};

/* A client's command. */
struct forward {
	struct connection *connection; /* NULL: it is gone, and the command is being killed */
	uint32_t id, client_id;
	bool is_started;
	int64_t kill_until_ms;         /* by then init must have killed it */
	struct leaf leaf;
	enum hutch_outcome reason;     /* of the limit that it is ended for; EXITED: none */
	uint32_t grace_ms;
	int64_t kill_at_ms;            /* ... when that is over */
};

/* A command of our own. */
struct own {
	struct own *next;
	struct hutch *h;
	struct hutch_process *process;
	struct log log;
	struct watch terminal;         /* a duplicate of the process's, read into the log; not open: it has none */
	int slave;                     /* keeps reads from failing while nothing else has the terminal open; -1: none */
	bool is_over;                  /* it has ended, and all its output is in the log */
};

/* A request that is answered later. */
struct waiter {
	struct waiter *next;
	struct connection *connection;
	struct message request;
};

enum stop_phase { STOP_NONE, STOP_TERM, STOP_KILL, STOP_DONE };

struct server {
	struct hutch *h;
	struct hutch_sandbox *sandbox;
	struct pack_request request;   /* points into the two below */
	void *request_bytes;
	struct pack_memory request_memory;
	struct store_entry entry;
	struct pack_status status;
	char boot[40];
	char *logs;
	int logs_lock;
	int context;                   /* what clients are told of the sandbox, a sealed memory file */

	struct watch listener, signals, timer, init_writable;
	struct connection *connections;
	unsigned connections_count;
	struct forward *forwards;
	unsigned forwards_count;
	struct own *owns;
	unsigned owns_count;
	struct waiter *waiters;
	struct outbox to_init;

	enum hutch_sandbox_state state; /* as told last */
	enum stop_phase stop;
	int64_t stop_at_ms;
	int64_t lifetime_ms, idle_since_ms;
	uint64_t idle_timeout_ms;
	bool is_told_to_go;            /* by a signal */
	bool quit;                     /* leave the loop */
};

/* server.c */
void server_init(struct server *server);
/* Builds the sandbox that is asked for; returns once it is there. An error leaves nothing behind. */
int server_start(struct server *server, const struct connection *starter, const int *fds, unsigned count, struct hutch_error *err);
void server_run(struct server *server);
void server_done(struct server *server);
void server_update_state(struct server *server);         /* writes it down and tells clients, if it has changed */
bool server_is_over(const struct server *server);        /* no command is taken any more */
bool server_takes_files(const struct server *server);    /* file operations; also when all commands have ended */
int server_remove(struct server *server, bool force, struct hutch_error *err);
int64_t server_time_left(const struct server *server, int64_t now_ms);  /* of the lifetime; -1: it has no end, or is over */
int64_t server_idle_left(const struct server *server, int64_t now_ms);  /* of the idle time-out; the same, or it is not idle */
void server_extend(struct server *server, int64_t lifetime_ms, int64_t idle_timeout_ms);

/* context.c */
int context_make(const struct server *server, struct hutch_error *err);
int context_renew(struct server *server, struct hutch_error *err); /* the sandbox's limits have changed */

/* stop.c */
/* TERM to all, and KILL to what is left after the grace; init stays, so that files and changes can be looked at. */
void stop_begin(struct server *server, uint64_t grace_ms);
void stop_tick(struct server *server, int64_t now_ms);
bool stop_emptied(struct server *server);                /* init says that nothing is left; false: that is a lie */
int64_t stop_next_deadline(const struct server *server);

/* connection.c */
struct connection *connection_new(struct server *server, int fd);
void connections_tick(struct server *server);            /* handles what has come */
void connections_free_dead(struct server *server);
int64_t connections_next_deadline(const struct server *server);
void connections_free(struct server *server);
void connection_send(struct connection *connection, const struct message *message, int fd);
void connection_answer(struct connection *connection, const struct message *request, uint32_t id, int a, int b);
void connection_error(struct connection *connection, const struct message *request, const struct hutch_error *error);
void connection_welcome(struct connection *connection, const struct message *request);
bool connection_wait(struct connection *connection, const struct message *request); /* answered by waiters_tick */
void connections_tell(struct server *server, const struct message *message);
void listener_ready(struct watch *watch);
void waiters_tick(struct server *server);

/* request.c */
bool request_handle(struct connection *connection, const struct message *message, const int *fds, unsigned count);

/* forward.c */
bool forward_request(struct connection *connection, const struct message *message, const int *fds, unsigned count);
bool forward_from_init(struct hutch_sandbox *sandbox, const struct message *message, int fd);
void forward_orphan(struct connection *connection);      /* its commands are killed */
void forward_lost(struct server *server);                /* init is gone: all of them are dead */
void forward_gone(struct hutch_sandbox *sandbox);        /* the same, told by the engine */
void forward_stop_all(struct server *server);            /* TERM; they count as killed */
void forward_signal_all(struct server *server, int signo);
void forward_limit_all(struct server *server, enum hutch_outcome reason); /* they end for a limit of the sandbox's */
void forward_tick(struct server *server, int64_t now_ms);
int64_t forward_next_deadline(const struct server *server);
void to_init(struct server *server, const struct message *message, const int *fds, unsigned count);
void to_init_ready(struct watch *watch);

/* own.c */
struct own *own_new(struct server *server, struct hutch_process *process, struct hutch_error *err);
int own_exec(struct server *server, const int *fds, unsigned count, uint32_t *ret_id, struct hutch_error *err);
int own_result(const struct own *own, struct hutch_error *err); /* packed, a memory file */
struct own *own_find(const struct server *server, uint32_t id);
unsigned own_running(const struct server *server);
void own_tick(struct server *server);
void own_free_all(struct server *server);
int own_streams(struct hutch_command *command, const int *fds, unsigned count); /* indices to descriptors */

#endif
