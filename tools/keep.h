/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_TOOLS_KEEP_H
#define HUTCH_TOOLS_KEEP_H

#include "options.h"

/* Room for `size` bytes and a terminating 0 (which is there already), that lives as long as the options. */
char *keep_room(struct run_options *options, size_t size, struct hutch_error *err);

/* A copy of `length` bytes and a terminating 0 that lives as long as the options; NULL and `err` if memory is out. */
char *keep_text(struct run_options *options, const char *text, size_t length, struct hutch_error *err);

/* The content of a text file, at most `limit` bytes and without a 0 in it; it lives as long as the options. */
char *keep_file(struct run_options *options, const char *path, size_t limit, struct hutch_error *err);

/* The next line of a text, terminated in place and without white space around it; NULL at its end. Skips empty lines and
 * those that start with #. *line counts all of them. */
char *next_line(char **text, unsigned int *line);

/* Makes room for one more element behind `count`; NULL and `err` if memory is out (`array` is then still valid). */
void *grow(void *array, size_t count, size_t element_size, struct hutch_error *err);

void keep_free(struct kept_text *kept);

#endif
