/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON, written as it goes.
 *
 * A record may hold two streams of 64 MiB or more. A tree of objects would copy each of them twice and grow them by up to
 * six times before the first byte is written, with an int as the size of the whole; this writer needs no memory of its
 * own. It also spares every start of hutch, most of which print no JSON at all, the loading of a library.
 */
#include "json.h"

#include <inttypes.h>
#include <string.h>

#include "text.h"

static void put_escaped(FILE *out, const char *character, size_t length)
{
	static const char replacement[] = "\xef\xbf\xbd";
	static const char digits[] = "0123456789abcdef";
	unsigned char last = (unsigned char)character[length ? length - 1 : 0];
	/* the code point of C0, DEL and C1 is their last byte */
	char point[] = {'\\', 'u', '0', '0', digits[last >> 4], digits[last & 15]};
	char pair[] = {'\\', *character == '\n' ? 'n' : *character};

	if (!length)
		fwrite(replacement, 1, sizeof replacement - 1, out);
	else if (*character == '"' || *character == '\\' || *character == '\n')
		fwrite(pair, 1, sizeof pair, out);
	else
		fwrite(point, 1, sizeof point, out);
}

static bool is_plain_ascii(char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* Runs of harmless characters are written at once: most output is one such run per line. */
static void put_text(FILE *out, const char *text, size_t size)
{
	size_t from = 0;
	size_t at = 0;

	putc('"', out);
	while (at < size) {
		if (is_plain_ascii(text[at])) {
			at++;
			continue;
		}
		size_t length = utf8_character(text + at, size - at);
		size_t next = at + (length ? length : 1);
		if (length < 2 || is_control(text + at, length)) {
			fwrite(text + from, 1, at - from, out);
			put_escaped(out, text + at, length);
			from = next;
		}
		at = next;
	}
	fwrite(text + from, 1, at - from, out);
	putc('"', out);
}

static void put_key(struct json_writer *w, const char *key)
{
	if (w->has_values)
		fputs(", ", w->out);
	w->has_values = true;
	if (!key)
		return;
	put_text(w->out, key, strlen(key));
	fputs(": ", w->out);
}

void json_begin(struct json_writer *w, const char *key, char bracket)
{
	put_key(w, key);
	putc(bracket, w->out);
	w->depth++;
	w->has_values = false;
}

void json_end(struct json_writer *w, char bracket)
{
	w->depth--;
	putc(bracket, w->out);
	w->has_values = true;
	if (!w->depth)
		putc('\n', w->out);
}

void json_null(struct json_writer *w, const char *key)
{
	put_key(w, key);
	fputs("null", w->out);
}

void json_bool(struct json_writer *w, const char *key, bool value)
{
	put_key(w, key);
	fputs(value ? "true" : "false", w->out);
}

void json_int(struct json_writer *w, const char *key, int64_t value)
{
	put_key(w, key);
	fprintf(w->out, "%" PRId64, value);
}

void json_uint(struct json_writer *w, const char *key, uint64_t value)
{
	put_key(w, key);
	fprintf(w->out, "%" PRIu64, value);
}

void json_ms(struct json_writer *w, const char *key, double value)
{
	put_key(w, key);
	fprintf(w->out, "%.3f", value);
}

void json_text(struct json_writer *w, const char *key, const char *text, size_t size)
{
	put_key(w, key);
	put_text(w->out, text, size);
}

void json_known(struct json_writer *w, const char *key, int64_t value)
{
	if (value < 0)
		json_null(w, key);
	else
		json_int(w, key, value);
}

void json_known_ms(struct json_writer *w, const char *key, double value)
{
	if (value < 0)
		json_null(w, key);
	else
		json_ms(w, key, value);
}

void json_string(struct json_writer *w, const char *key, const char *text)
{
	if (text)
		json_text(w, key, text, strlen(text));
	else
		json_null(w, key);
}

void json_base64(struct json_writer *w, const char *key, const char *data, size_t size)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	put_key(w, key);
	putc('"', w->out);
	for (size_t at = 0; at < size; at += 3) {
		size_t left = size - at < 3 ? size - at : 3;
		unsigned char group[3] = {0};
		memcpy(group, data + at, left);
		putc(digits[group[0] >> 2], w->out);
		putc(digits[(group[0] & 3) << 4 | group[1] >> 4], w->out);
		putc(left > 1 ? digits[(group[1] & 15) << 2 | group[2] >> 6] : '=', w->out);
		putc(left > 2 ? digits[group[2] & 63] : '=', w->out);
	}
	putc('"', w->out);
}
