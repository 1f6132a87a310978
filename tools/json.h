/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_TOOLS_JSON_H
#define HUTCH_TOOLS_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * Writes one JSON document to a stream. Every call takes the key of the value first; it is NULL within arrays and for
 * the document itself. The document is one line, so that it can be told apart in a stream of them.
 */
struct json_writer {
	FILE *out;
	unsigned int depth;
	bool has_values; /* something stands in the innermost object or array */
};

void json_begin(struct json_writer *w, const char *key, char bracket); /* '{' or '[' */
void json_end(struct json_writer *w, char bracket);                    /* '}' or ']' */

void json_null(struct json_writer *w, const char *key);
void json_bool(struct json_writer *w, const char *key, bool value);
void json_int(struct json_writer *w, const char *key, int64_t value);
void json_uint(struct json_writer *w, const char *key, uint64_t value);
void json_ms(struct json_writer *w, const char *key, double value); /* three decimals */

/* A negative value is not known: null. */
void json_known(struct json_writer *w, const char *key, int64_t value);
void json_known_ms(struct json_writer *w, const char *key, double value);

/* `text` NULL: null. Bytes that are not UTF-8 become U+FFFD. */
void json_string(struct json_writer *w, const char *key, const char *text);
void json_text(struct json_writer *w, const char *key, const char *text, size_t size);
void json_base64(struct json_writer *w, const char *key, const char *data, size_t size);

#endif
