/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_TOOLS_RELAY_H
#define HUTCH_TOOLS_RELAY_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

/* Bytes on their way in one direction: full means that its source is not read. */
struct relay_lane {
	size_t start, end;
	char data[8 << 10];
};

/*
 * Between the caller's terminal (or what stands in for it) and the master of the command's. No descriptor belongs to it.
 */
struct relay {
	int source;  /* keys come from here; -1: none, or none any more */
	int sink;    /* what the command prints goes here; -1: nowhere */
	int master;  /* -1: not there yet, or closed by the other side */
	bool is_listening;   /* keys may be read: the terminal is ours, or the source is none */
	bool source_is_tty;  /* its end is a hangup, not an end of file to be passed on */
	bool is_broken;      /* the sink takes no more: whoever reads is gone */
	bool ends_pending;   /* the end of file has still to be passed on */
	char last;           /* the last byte passed in; at first as if a line had ended */
	struct relay_lane in, out;
};

#define RELAY_NONE ((struct relay){.source = -1, .sink = -1, .master = -1, .last = '\n'})

enum { RELAY_POLLS = 3 };

/* What to wait for. */
void relay_poll(const struct relay *relay, struct pollfd polls[RELAY_POLLS]);

/* Moves what can be moved without waiting. */
void relay_move(struct relay *relay, const struct pollfd polls[RELAY_POLLS]);

/* Nobody will read what is typed. */
void relay_end_input(struct relay *relay);

/* Moves all that the command has printed by now; waits for a sink that takes nothing at most `patience_ms` at a time. */
void relay_pump(struct relay *relay, int patience_ms);

#endif
