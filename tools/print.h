/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_TOOLS_PRINT_H
#define HUTCH_TOOLS_PRINT_H

#include <stdio.h>

#include <hutch/hutch.h>

#include "changes.h"
#include "notices.h"

/* The result record of hutch(1) as one JSON document. `changes` NULL: they were not asked for. */
void print_record(FILE *out, const struct hutch_result *result, const struct notices *notices, const struct changes *changes);

/* {"error": …}, for failures before there is a record. */
void print_error_document(FILE *out, const struct hutch_error *err);

/* "A path", one a line, with control bytes escaped. */
void print_changes(FILE *out, const struct changes *changes);

/* Text of several lines from the library, with all other control bytes escaped. */
void print_lines(FILE *out, const char *text);

#endif
