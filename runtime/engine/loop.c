/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "engine/engine.h"

int64_t loop_now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t loop_deadline_ms(uint64_t after)
{
	int64_t now = loop_now_ms();
	return after < (uint64_t)(NO_DEADLINE - now) ? now + (int64_t)after : NO_DEADLINE;
}

/* ---- watches ---- */

static void sandbox_release(struct hutch_sandbox *sandbox)
{
	if (sandbox && --sandbox->open_handles == 0 && sandbox->is_freed)
		free(sandbox);
}

static void on_closed(uv_handle_t *handle)
{
	struct watch *watch = handle->data;
	sandbox_release(watch->sandbox);
}

static void on_ready(uv_poll_t *handle, int status, int events)
{
	struct watch *watch = handle->data;
	(void)status; /* an error shows in the read that follows */
	(void)events;
	watch->ready(watch);
}

int loop_watch(struct hutch *h, struct watch *watch, struct hutch_sandbox *sandbox, int fd, int events, void (*ready)(struct watch *))
{
	*watch = (struct watch){.sandbox = sandbox, .ready = ready, .fd = fd, .events = events};
	int ret = uv_poll_init(&h->loop, &watch->handle, fd);
	if (ret < 0) {
		watch->fd = -1;
		return ret;
	}
	watch->handle.data = watch;
	watch->is_open = true;
	if (sandbox)
		sandbox->open_handles++;
	return events ? uv_poll_start(&watch->handle, events, on_ready) : 0;
}

void loop_rewatch(struct watch *watch)
{
	uv_poll_start(&watch->handle, watch->events, on_ready);
}

void loop_unwatch(struct watch *watch)
{
	if (!watch->is_open)
		return;
	watch->is_open = false;
	uv_close((uv_handle_t *)&watch->handle, on_closed);
	close(TAKE_FD(watch->fd));
}

void loop_flush(struct hutch *h)
{
	uv_run(&h->loop, UV_RUN_NOWAIT);
}

/* ---- deadlines ---- */

void loop_set_deadlines(struct hutch *h)
{
	int64_t next = NO_DEADLINE;
	for (const struct hutch_sandbox *sandbox = h->sandboxes; sandbox; sandbox = sandbox->next) {
		int64_t deadline = sandbox_next_deadline(sandbox);
		next = deadline < next ? deadline : next;
	}
	struct itimerspec when = {0}; /* zero: disarmed */
	if (next != NO_DEADLINE) {
		when.it_value.tv_sec = next / 1000;
		when.it_value.tv_nsec = next % 1000 * 1000000 + 1;
	}
	timerfd_settime(h->timer.fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void on_timer(struct watch *watch)
{
	struct hutch *h = (void *)((char *)watch - offsetof(struct hutch, timer));
	uint64_t expirations;
	if (read(watch->fd, &expirations, sizeof expirations) < 0)
		return;
	h->handled++;
	int64_t now = loop_now_ms();
	for (struct hutch_sandbox *sandbox = h->sandboxes; sandbox; sandbox = sandbox->next)
		sandbox_deadline(sandbox, now);
	loop_set_deadlines(h);
}

/* ---- the handle ---- */

/* libuv aborts when it closes one of its own descriptors below 3, which it has if the program closed its streams. */
static int init_loop(uv_loop_t *loop)
{
	int held[3], count = 0;
	while (count < 3 && (held[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0 && held[count++] < 2)
		;
	int ret = uv_loop_init(loop);
	while (count > 0)
		close(held[--count]);
	return ret;
}

int hutch_new(struct hutch **ret, struct hutch_error *err)
{
	struct hutch *h = calloc(1, sizeof *h);
	if (!h)
		return err_set(err, HUTCH_E_NO_MEMORY, "out of memory");
	h->image = h->null = h->trace = -1;
	int error = init_loop(&h->loop);
	if (error < 0) {
		free(h);
		return err_sys(err, HUTCH_E_SYSTEM, -error, "cannot make an event loop");
	}
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	error = timer < 0 ? -errno : loop_watch(h, &h->timer, NULL, timer, UV_READABLE, on_timer);
	if (error < 0) {
		if (timer >= 0)
			close(timer);
		uv_loop_close(&h->loop);
		free(h);
		return err_sys(err, HUTCH_E_SYSTEM, -error, "cannot make a timer");
	}
	loop_flush(h);
	*ret = h;
	return 0;
}

void hutch_free(struct hutch *h)
{
	if (!h)
		return;
	while (h->sandboxes)
		hutch_sandbox_free(h->sandboxes);
	loop_unwatch(&h->timer);
	uv_run(&h->loop, UV_RUN_DEFAULT); /* the close callbacks */
	uv_loop_close(&h->loop);
	cleanup_close(&h->image);
	cleanup_close(&h->null);
	if (h->delegation)
		delegation_done(h->delegation);
	free(h->delegation);
	free(h);
}

int hutch_fd(struct hutch *h)
{
	return uv_backend_fd(&h->loop);
}

int hutch_dispatch(struct hutch *h, int timeout_ms, struct hutch_error *err)
{
	uint64_t before = h->handled;
	loop_flush(h);
	if (h->handled == before && timeout_ms != 0) {
		struct pollfd fd = {.fd = hutch_fd(h), .events = POLLIN};
		if (poll(&fd, 1, timeout_ms) < 0 && errno != EINTR)
			return err_sys(err, HUTCH_E_SYSTEM, errno, "poll");
		loop_flush(h);
	}
	return h->handled != before;
}
