/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_TOOLS_TERMINAL_H
#define HUTCH_TOOLS_TERMINAL_H

#include <stdbool.h>
#include <stdint.h>
#include <termios.h>

/* The caller's terminal as a source of keys. */
struct terminal {
	int fd; /* -1: there is none */
	bool is_raw;
	bool is_shared; /* it prints for others too, who count on its making CR LF of every LF */
	struct termios saved;
};

#define TERMINAL_NONE ((struct terminal){.fd = -1})

/* A second way to the terminal behind `fd`, of our own, so that reading and writing without waiting is our business only:
 * O_NONBLOCK on `fd` itself would be there for the shell too. -1 if that is refused; then use `fd`. */
int terminal_reopen(int fd);

/* Raw mode, if we are in the foreground and so allowed to; true if the keys are ours now. May be called again. */
bool terminal_enter(struct terminal *terminal);

/* The modes it had; nothing if it is not in raw mode. */
void terminal_leave(struct terminal *terminal);

/* Leaves the values alone if `fd` has no size. */
void terminal_size(int fd, uint16_t *rows, uint16_t *columns);

#endif
