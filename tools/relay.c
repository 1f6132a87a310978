/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes between a terminal and the command's own pseudo-terminal.
 *
 * Two bounded lanes. A lane's source is polled only while there is room and its target only while there is something to
 * write, so a stalled side stops the other one instead of filling memory, and nothing is polled that would be ready at
 * once and stay so. The master reports EIO when nobody inside holds the other side any more: that is its end of file.
 */
#include "relay.h"

#include <errno.h>
#include <stdint.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

/* What a pipe that is reported writable takes at once, so that a descriptor without O_NONBLOCK does not block us. */
#define WRITE_AT_ONCE 4096u

static bool is_empty(const struct relay_lane *lane)
{
	return lane->start == lane->end;
}

static size_t room(struct relay_lane *lane)
{
	if (is_empty(lane))
		lane->start = lane->end = 0;
	return sizeof lane->data - lane->end;
}

static bool has_room(const struct relay_lane *lane)
{
	return is_empty(lane) || lane->end < sizeof lane->data;
}

static bool is_only_later(int reason)
{
	return reason == EAGAIN || reason == EINTR;
}

/* 1: something came, 0: nothing now, -1: nothing will come any more. */
static int fill(struct relay_lane *lane, int fd)
{
	size_t size = room(lane);
	if (!size)
		return 0;
	ssize_t got = read(fd, lane->data + lane->end, size);
	if (got < 0)
		return is_only_later(errno) ? 0 : -1;
	lane->end += (size_t)got;
	return got ? 1 : -1;
}

/* 1: something went, 0: nothing now, -1: nothing will go any more. */
static int flush(struct relay_lane *lane, int fd)
{
	size_t size = lane->end - lane->start;
	if (!size)
		return 0;
	ssize_t put = write(fd, lane->data + lane->start, size < WRITE_AT_ONCE ? size : WRITE_AT_ONCE);
	if (put < 0)
		return is_only_later(errno) ? 0 : -1;
	lane->start += (size_t)put;
	return 1;
}

/* A file at the end of which the command shall see an end of file types ^D, twice if the line is not empty. */
static void type_end_of_file(struct relay *relay)
{
	struct termios modes;

	if (!relay->ends_pending || !is_empty(&relay->in))
		return;
	relay->ends_pending = false;
	if (tcgetattr(relay->master, &modes) < 0 || !(modes.c_lflag & ICANON))
		return;
	room(&relay->in);
	for (int i = relay->last == '\n' ? 1 : 0; i < 2; i++)
		relay->in.data[relay->in.end++] = (char)modes.c_cc[VEOF];
}

static void read_source(struct relay *relay)
{
	if (fill(&relay->in, relay->source) < 0) {
		relay->ends_pending = !relay->source_is_tty;
		relay->source = -1;
	}
	if (!is_empty(&relay->in))
		relay->last = relay->in.data[relay->in.end - 1];
}

void relay_end_input(struct relay *relay)
{
	relay->source = -1;
	relay->ends_pending = false;
	relay->in.start = relay->in.end = 0;
}

static void read_master(struct relay *relay)
{
	if (fill(&relay->out, relay->master) < 0) {
		relay->master = -1;
		relay_end_input(relay);
	}
}

static void write_sink(struct relay *relay)
{
	if (relay->sink >= 0 && flush(&relay->out, relay->sink) < 0) {
		relay->is_broken = true;
		relay->sink = -1;
	}
	/* without a sink the command goes on, unheard */
	if (relay->sink < 0)
		relay->out.start = relay->out.end = 0;
}

void relay_poll(const struct relay *relay, struct pollfd polls[RELAY_POLLS])
{
	bool has_master = relay->master >= 0;
	bool reads = has_master && relay->is_listening && !relay->ends_pending && has_room(&relay->in);
	short events = (short)((has_room(&relay->out) ? POLLIN : 0) | (is_empty(&relay->in) ? 0 : POLLOUT));

	/* a hangup is reported even if nothing is asked for: what is not wanted is not polled at all */
	polls[0] = (struct pollfd){.fd = reads ? relay->source : -1, .events = POLLIN};
	polls[1] = (struct pollfd){.fd = has_master && events ? relay->master : -1, .events = events};
	polls[2] = (struct pollfd){.fd = is_empty(&relay->out) ? -1 : relay->sink, .events = POLLOUT};
}

void relay_move(struct relay *relay, const struct pollfd polls[RELAY_POLLS])
{
	if (polls[0].revents && relay->source >= 0)
		read_source(relay);
	if (polls[1].revents & POLLHUP)
		relay_end_input(relay);
	if (polls[1].revents & POLLOUT)
		flush(&relay->in, relay->master);
	if (relay->master >= 0)
		type_end_of_file(relay);
	if (polls[1].revents & ~POLLOUT)
		read_master(relay);
	if (polls[2].revents)
		write_sink(relay);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* One round without waiting; true if something moved. Reading the master hands over what the kernel still has on the way. */
static bool pump_once(struct relay *relay)
{
	int came = relay->master >= 0 ? fill(&relay->out, relay->master) : 0;
	bool has_moved = came > 0;

	if (came < 0)
		relay->master = -1;
	size_t before = relay->out.end - relay->out.start;
	struct pollfd sink = {.fd = relay->sink, .events = POLLOUT};
	if (relay->sink < 0 || poll(&sink, 1, 0) > 0) /* whoever reads our output may have stopped doing so */
		write_sink(relay);
	return has_moved || relay->out.end - relay->out.start < before;
}

void relay_pump(struct relay *relay, int patience_ms)
{
	int64_t deadline = now_ms() + patience_ms;

	for (;;) {
		if (pump_once(relay)) {
			deadline = now_ms() + patience_ms;
			continue;
		}
		int64_t left = deadline - now_ms();
		struct pollfd sink = {.fd = relay->sink, .events = POLLOUT};
		if (is_empty(&relay->out) || left <= 0 || poll(&sink, 1, (int)left) <= 0)
			return;
	}
}
