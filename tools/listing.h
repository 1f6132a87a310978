/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_TOOLS_LISTING_H
#define HUTCH_TOOLS_LISTING_H

#include "json.h"
#include "options.h"

/* How sandboxes are shown. */

/* "2026-05-31T14:00:00.123Z" */
enum { TIME_TEXT = 32 };
void time_text(char text[TIME_TEXT], int64_t ms);

/* How long ago, in one unit: "12s", "3m", "5h", "9d". */
void age_text(char text[TIME_TEXT], int64_t ms);

/* A command on one line, cut to `width` bytes where it is longer (0: not cut), with control bytes escaped. */
void print_command_line(FILE *out, char *const *command, size_t width);

/* The keys that `ls` and `inspect` both have; the caller has opened the object. */
void listing_json(struct json_writer *w, const struct hutch_listing *listing);

bool listing_has_ended(const struct hutch_listing *listing);

#endif
