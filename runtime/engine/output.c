/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Captured streams: a pipe that the command writes to directly, read here into a buffer that grows up to the limit.
 * Beyond it, the bytes are counted and dropped, so that the command goes on and this process's memory stays bounded.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/blob.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "engine/engine.h"

#define BIG_PIPE      (1 << 20)
#define BIG_PIPES_MAX 16u /* of 64 that the kernel gives a user; beyond that, all new pipes of that user are tiny */
#define FIRST_SIZE    (64u << 10)

/* Makes room for at least one byte more; how much there is then. mmap'd blocks grow without being copied. */
static size_t make_room(struct capture *capture)
{
	if (capture->is_streamed && capture->capacity > 0)
		return capture->capacity - capture->size;
	if (capture->size < capture->capacity)
		return capture->capacity - capture->size;
	uint64_t capacity = capture->capacity ? (uint64_t)capture->capacity * 2 : FIRST_SIZE;
	if (capacity > capture->limit)
		capacity = capture->limit;
	if (capacity <= capture->size)
		return 0;
	char *data = blob_resize(capture->data, (size_t)capacity + 1); /* the terminating 0 */
	if (!data)
		return 0;
	capture->data = data;
	capture->capacity = (size_t)capacity;
	return capture->capacity - capture->size;
}

static void check_limit(struct capture *capture)
{
	struct hutch_process *process = capture->process;
	if (capture->is_streamed || process->state == HUTCH_PROCESS_ENDED || capture->total <= capture->limit || process->settings.on_output_limit != HUTCH_OUTPUT_KILL || process->has_reason)
		return;
	process->has_reason = true;
	process->reason = HUTCH_OUTCOME_OUTPUT_LIMIT;
	process_force(process, FORCE_KILL);
}

/* Beyond the limit nothing is copied: the pipe's pages are moved to /dev/null. */
static ssize_t drop_some(struct capture *capture)
{
	static _Thread_local char dropped[64 << 10];
	struct hutch *h = capture->process->sandbox->h;
	if (h->null < 0)
		h->null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	ssize_t size = splice(capture->watch.fd, NULL, h->null, NULL, BIG_PIPE, SPLICE_F_NONBLOCK);
	return size >= 0 || errno == EAGAIN ? size : read(capture->watch.fd, dropped, sizeof dropped);
}

/* One read. False: the end, or nothing there. */
static bool read_some(struct capture *capture, bool *ret_end)
{
	size_t room = make_room(capture);
	ssize_t size = room ? read(capture->watch.fd, capture->data + capture->size, room) : drop_some(capture);
	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	*ret_end = size <= 0;
	if (size <= 0)
		return false;
	capture->total += (uint64_t)size;
	if (room)
		capture->size += (size_t)size;
	check_limit(capture);
	return true;
}

void capture_close(struct capture *capture)
{
	if (capture->watch.is_open && capture->is_big)
		capture->watch.sandbox->h->big_pipes--;
	loop_unwatch(&capture->watch);
}

/* One chunk at a time: the command waits while nobody takes it. */
static void stream(struct capture *capture)
{
	bool end = false;
	if (read_some(capture, &end)) {
		uv_poll_stop(&capture->watch.handle);
		capture->is_paused = true;
	} else if (end) {
		capture_close(capture);
	}
}

static void on_output(struct watch *watch)
{
	struct capture *capture = (void *)((char *)watch - offsetof(struct capture, watch));
	bool end = false;
	watch->sandbox->h->handled++;
	if (capture->is_streamed) {
		stream(capture);
		return;
	}
	for (unsigned i = 0; i < 16 && read_some(capture, &end); i++) /* others want their turn */
		;
	if (end)
		capture_close(capture);
}

void capture_resume(struct capture *capture)
{
	capture->is_paused = false;
	capture->size = 0;
	if (!capture->watch.is_open)
		return;
	if (capture->process->state == HUTCH_PROCESS_ENDED && capture->total >= capture->stop) /* a background child goes on and on */
		loop_unwatch(&capture->watch);
	else if (capture->process->state == HUTCH_PROCESS_ENDED) /* what is left in the pipe, and no more than that */
		stream(capture);
	if (capture->watch.is_open && !capture->is_paused && capture->process->state == HUTCH_PROCESS_ENDED)
		capture_close(capture);
	else if (capture->watch.is_open && !capture->is_paused)
		loop_rewatch(&capture->watch);
}

/* What is in the pipe when the command has ended. A background child may go on writing: that is not waited for, and not
 * more than a pipe's fill is taken. */
void capture_drain(struct capture *capture)
{
	bool end = false;
	capture->stop = capture->total + 2 * BIG_PIPE;
	if (capture->is_streamed) {
		if (!capture->is_paused)
			capture_resume(capture);
		return;
	}
	while (capture->watch.is_open && capture->total < capture->stop && read_some(capture, &end))
		;
	capture_close(capture);
}

int capture_open(struct hutch_process *process, struct capture *capture, int *ret_write_end, struct hutch_error *err)
{
	struct hutch *h = process->sandbox->h;
	const struct request *request = &process->sandbox->request;
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(err, HUTCH_E_SYSTEM, errno, "cannot make a pipe");
	capture->is_big = h->big_pipes < BIG_PIPES_MAX && fcntl(ends[0], F_SETPIPE_SZ, BIG_PIPE) > 0;
	h->big_pipes += capture->is_big;
	/* so that the command can open its own /dev/stdout */
	uid_t id = (uid_t)(request->range + plan_command_uid(&request->spec, &process->settings));
	if (request->host.is_privileged && fchown(ends[1], id, id) < 0)
		errno = 0;
	capture->process = process;
	capture->is_captured = !capture->is_streamed;
	capture->limit = capture->is_streamed ? FIRST_SIZE : process->settings.output_limit;
	int error = loop_watch(h, &capture->watch, process->sandbox, ends[0], UV_READABLE, on_output);
	if (error < 0) {
		close(ends[0]);
		close(ends[1]);
		return err_sys(err, HUTCH_E_SYSTEM, -error, "cannot watch a pipe");
	}
	*ret_write_end = ends[1];
	return 0;
}
