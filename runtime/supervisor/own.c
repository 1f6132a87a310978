/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor's own commands: the main command and detached ones. Their output goes to logs; what became of them is
 * kept until the sandbox is removed, for the last OWNS_MAX of them; also on disk, should this process be killed.
 */
#include <asm/ioctls.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "engine/image.h"
#include "supervisor/server.h"
#include "wire/results.h"

struct own *own_find(const struct server *server, uint32_t id)
{
	struct own *own = server->owns;
	while (own && own->process->id != id)
		own = own->next;
	return own;
}

unsigned own_running(const struct server *server)
{
	unsigned running = 0;
	for (const struct own *own = server->owns; own; own = own->next)
		running += own->process->state != HUTCH_PROCESS_ENDED;
	return running;
}

struct own *own_new(struct server *server, struct hutch_process *process, struct hutch_error *err)
{
	struct own *own = calloc(1, sizeof *own);
	if (!own) {
		err_set(err, HUTCH_E_NO_MEMORY, "out of memory");
		return NULL;
	}
	own->process = process;
	own->slave = -1;
	own->h = server->h;
	log_init(&own->log, server->logs, process->id);
	own->next = server->owns;
	server->owns = own;
	server->owns_count++;
	return own;
}

/* ---- starting ---- */

static int place_stream(struct hutch_stream *stream, const int *fds, unsigned count)
{
	if (stream->io != HUTCH_IO_FD)
		return 0;
	if (stream->fd < 1 || (unsigned)stream->fd >= count)
		return -1;
	stream->fd = fds[stream->fd];
	return 0;
}

int own_streams(struct hutch_command *command, const int *fds, unsigned count)
{
	return place_stream(&command->in, fds, count) < 0 || place_stream(&command->out, fds, count) < 0 || place_stream(&command->err, fds, count) < 0 ? -1 : 0;
}

static int start(struct server *server, struct hutch_command *command, uint32_t *ret_id, struct hutch_error *err)
{
	struct hutch_process *process;
	int ret = hutch_sandbox_exec(server->sandbox, command, &process, err);
	if (ret < 0)
		return ret;
	if (!own_new(server, process, err)) {
		hutch_process_free(process);
		return -HUTCH_E_NO_MEMORY;
	}
	*ret_id = process->id;
	return 0;
}

/* Makes room by forgetting the oldest that has ended. */
static bool make_room(struct server *server)
{
	struct own **oldest = NULL;
	if (server->owns_count < OWNS_MAX)
		return true;
	for (struct own **at = &server->owns; *at; at = &(*at)->next)
		if ((*at)->is_over && !(*at)->process->is_main)
			oldest = at;
	if (!oldest)
		return false;
	struct own *own = *oldest;
	*oldest = own->next;
	server->owns_count--;
	log_remove(&own->log);
	results_remove(server->logs, own->process->id);
	hutch_process_free(own->process);
	loop_flush(server->h); /* the memory of a watch must outlive its close callback, which the loop runs */
	free(own);
	return true;
}

int own_exec(struct server *server, const int *fds, unsigned count, uint32_t *ret_id, struct hutch_error *err)
{
	CLEANUP_FREE void *bytes = NULL;
	size_t size = 0;
	struct pack_memory memory = {0};
	struct pack_request request;
	if (server_is_over(server))
		return err_set(err, HUTCH_E_STATE, "the sandbox has ended: it takes no command");
	if (!make_room(server))
		return err_set(err, HUTCH_E_BUSY, "%u detached commands run, more are not allowed", OWNS_MAX);
	int ret = wire_read_file(fds[0], PACK_MAX, &bytes, &size) < 0 || pack_request_read(bytes, size, &memory, &request) < 0 || !request.has_command ||
	                  own_streams(&request.command, fds, count) < 0
	              ? err_set(err, HUTCH_E_INVALID, "the request is broken")
	              : start(server, &request.command, ret_id, err);
	pack_memory_done(&memory);
	return ret;
}

/* ---- results ---- */

static int pack(const struct own *own, void **ret, size_t *ret_size, struct hutch_error *err)
{
	struct hutch_result *result;
	int ret_code = result_make(own->process, &result, err);
	if (ret_code < 0)
		return ret_code;
	ret_code = pack_result_write(result, ret, ret_size);
	hutch_result_free(result);
	return ret_code < 0 ? err_set(err, -ret_code, "the result cannot be told") : 0;
}

int own_result(const struct own *own, struct hutch_error *err)
{
	CLEANUP_FREE void *bytes = NULL;
	size_t size;
	int ret = pack(own, &bytes, &size, err);
	return ret < 0 ? ret : image_memfd("hutch-result", bytes, size, 0, err);
}

/* Its output is in the log, so a result is small. What cannot be written (the disk is full) is known as long as we live. */
static void write_down(const struct server *server, const struct own *own)
{
	CLEANUP_FREE void *bytes = NULL;
	size_t size;
	if (pack(own, &bytes, &size, NULL) == 0)
		results_write(server->logs, own->process->id, bytes, size);
}

/* ---- terminals: nobody sits at them, and what is written there is the output ---- */

#define TERMINAL_CHUNK 16384
#define TERMINAL_LEFT  (1 << 20) /* more than the kernel keeps of what has not been read */

/* How many bytes there were; one chunk a turn, so that a command that never stops does not hold up the others. */
static size_t read_terminal(struct own *own)
{
	char data[TERMINAL_CHUNK];
	ssize_t size = read(own->terminal.fd, data, sizeof data);
	if (size > 0)
		log_append(&own->log, 0, data, (size_t)size);
	return size > 0 ? (size_t)size : 0;
}

static void on_terminal(struct watch *watch)
{
	struct own *own = (void *)((char *)watch - offsetof(struct own, terminal));
	own->h->handled++;
	if (read_terminal(own) == 0)
		uv_poll_stop(&watch->handle); /* an error; it would be told without end */
}

static void open_terminal(struct server *server, struct own *own)
{
	int fd = fcntl(own->process->pty, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return;
	own->slave = ioctl(fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK); /* nobody else reads there */
	if (loop_watch(server->h, &own->terminal, NULL, fd, UV_READABLE, on_terminal) < 0)
		close(fd);
}

/* What the command has written before its end, but not what its children write without end. They lose their terminal. */
static void close_terminal(struct own *own)
{
	size_t left = TERMINAL_LEFT, size;
	if (own->terminal.is_open) {
		while (left > 0 && (size = read_terminal(own)) > 0)
			left -= size < left ? size : left;
		loop_unwatch(&own->terminal);
	}
	cleanup_close(&own->slave);
	cleanup_close(&own->process->pty);
}

/* ---- running ---- */

static void ended(struct server *server, struct own *own)
{
	const struct message message = {.type = WIRE_ENDED, .id = own->process->id};
	own->is_over = true;
	close_terminal(own);
	log_close(&own->log);
	process_release_output(own->process);
	write_down(server, own);
	if (own->process->is_main)
		connections_tell(server, &message);
}

static void take_events(struct server *server, struct own *own)
{
	struct hutch_event event;
	if (!own->is_over && own->process->pty >= 0 && !own->terminal.is_open && own->slave < 0)
		open_terminal(server, own);
	while (!own->is_over && process_next_event(own->process, &event)) {
		if (event.kind == HUTCH_EVENT_EXIT)
			ended(server, own);
		else
			log_append(&own->log, event.kind == HUTCH_EVENT_STDERR, event.data, event.size);
	}
}

void own_tick(struct server *server)
{
	for (struct own *own = server->owns; own; own = own->next)
		take_events(server, own);
}

/* ---- the end ---- */

void own_free_all(struct server *server)
{
	for (struct own *own = server->owns; own; own = own->next)
		close_terminal(own);
	if (server->owns)
		loop_flush(server->h);
	while (server->owns) {
		struct own *own = server->owns;
		server->owns = own->next;
		log_close(&own->log);
		free(own); /* the process is the sandbox's */
	}
	server->owns_count = 0;
}
