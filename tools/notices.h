/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_TOOLS_NOTICES_H
#define HUTCH_TOOLS_NOTICES_H

#include <stdbool.h>
#include <stddef.h>

#include "options.h"

/* What hutch tells besides errors: on stderr where somebody reads it, and in the record's `warnings` always. */
struct notices {
	bool is_shown;   /* stderr is a terminal or -v, and not -q */
	bool is_kept;    /* there will be a record */
	char *texts[8];
	size_t count;
};

void notices_init(struct notices *notices, const struct run_options *options);
void notices_free(struct notices *notices);

void notice(struct notices *notices, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Will anybody see it? Asked before something is computed only for a notice. */
bool notices_wanted(const struct notices *notices);

#endif
