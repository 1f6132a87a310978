/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_TOOLS_PRINT_H
#define HUTCH_TOOLS_PRINT_H

#include <stdio.h>

#include <hutch/hutch.h>

#include "changes.h"
#include "json.h"
#include "notices.h"

/* The result record of hutch(1) as one JSON document. `changes` NULL: they were not asked for. */
void print_record(FILE *out, const struct hutch_result *result, const struct notices *notices, const struct changes *changes);

/* The same as the value of `key` within another document. */
void record_json(struct json_writer *w, const char *key, const struct hutch_result *result, const struct notices *notices,
                 const struct changes *changes);

/* {"error": …}, for failures before there is a record. */
void print_error_document(FILE *out, const struct hutch_error *err);

/* Their keys "error" and "changes" within another document. */
void print_error(struct json_writer *w, const struct hutch_error *err);
void print_change_list(struct json_writer *w, const struct changes *changes);

/* The key "command", null if there is none. */
void print_command(struct json_writer *w, char *const *command);

/* "A path", one a line, with control bytes escaped. */
void print_changes(FILE *out, const struct changes *changes);

/* A name or argument, with control bytes escaped so that it can be told exactly. */
void print_name(FILE *out, const char *name);

/* Text of several lines from the library, with all other control bytes escaped. */
void print_lines(FILE *out, const char *text);

#endif
