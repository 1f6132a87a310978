/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_TOOLS_TEXT_H
#define HUTCH_TOOLS_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Length in bytes of the UTF-8 character at `text` (1 to 4), 0 if there is no valid one within `size` bytes. */
size_t utf8_character(const char *text, size_t size);

/* True if the first `size` bytes are UTF-8. With `cut`, the text may end within a character; *ret_size is what remains
 * when that one is left away. */
bool utf8_text(const char *text, size_t size, bool cut, size_t *ret_size);

/* A byte, or character of `length` bytes, that could steer a terminal: C0, DEL, and C1 in UTF-8. */
bool is_control(const char *character, size_t length);

enum escape_style {
	ESCAPE_MESSAGE, /* controls and invalid bytes as \xNN */
	ESCAPE_LINES,   /* the same, line feeds kept: text of several lines */
	ESCAPE_NAME     /* controls as \n, \t or \xNN, and \ as \\: the name can be told exactly */
};

/*
 * Writes `text` to `to` so that it cannot steer a terminal, and a terminating 0. At most `size` bytes are used and no
 * escape is cut in half. Returns how many bytes of `text` went in, so that a caller can go on behind them.
 */
size_t escape_text(char *to, size_t size, const char *text, size_t length, enum escape_style style);

#endif
