/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text from elsewhere: is it UTF-8, and how is it shown.
 *
 * Names, arguments and messages may hold bytes that the sandboxed program chose. Printed as they are, they could move the
 * cursor, change the title or answer for the user, so everything that is not the command's own output passes through
 * escape_text() on its way to a terminal or a log.
 */
#include "text.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static bool is_continuation(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

/* How long the character is that starts with `first`, and the smallest code point that needs that length. */
static size_t sequence_length(unsigned char first, uint32_t *ret_smallest)
{
	if (first < 0x80) {
		*ret_smallest = 0;
		return 1;
	}
	if (first >= 0xc2 && first < 0xe0) {
		*ret_smallest = 0x80;
		return 2;
	}
	if (first >= 0xe0 && first < 0xf0) {
		*ret_smallest = 0x800;
		return 3;
	}
	if (first >= 0xf0 && first < 0xf5) {
		*ret_smallest = 0x10000;
		return 4;
	}
	return 0;
}

size_t utf8_character(const char *text, size_t size)
{
	uint32_t smallest;
	size_t length = size ? sequence_length((unsigned char)text[0], &smallest) : 0;

	if (length <= 1)
		return length;
	if (length > size)
		return 0;
	uint32_t point = (unsigned char)text[0] & (0x7fu >> length);
	for (size_t i = 1; i < length; i++) {
		if (!is_continuation(text[i]))
			return 0;
		point = point << 6 | ((unsigned char)text[i] & 0x3f);
	}
	bool is_surrogate = point >= 0xd800 && point <= 0xdfff;
	return point < smallest || point > 0x10ffff || is_surrogate ? 0 : length;
}

/* The rest could be the beginning of a character whose end was cut away. */
static bool is_beginning(const char *text, size_t size)
{
	uint32_t smallest;

	if (sequence_length((unsigned char)text[0], &smallest) <= size)
		return false;
	for (size_t i = 1; i < size; i++) {
		if (!is_continuation(text[i]))
			return false;
	}
	return true;
}

bool utf8_text(const char *text, size_t size, bool cut, size_t *ret_size)
{
	size_t at = 0;

	while (at < size) {
		size_t length = utf8_character(text + at, size - at);
		if (!length)
			break;
		at += length;
	}
	*ret_size = at;
	return at == size || (cut && is_beginning(text + at, size - at));
}

bool is_control(const char *character, size_t length)
{
	unsigned char first = (unsigned char)character[0];

	if (length == 1)
		return first < 0x20 || first == 0x7f;
	return length == 2 && first == 0xc2 && (unsigned char)character[1] < 0xa0;
}

/* The escaped form of one character or invalid byte: how many bytes it takes; at most 8. */
static size_t escape_one(char *to, const char *character, size_t length, enum escape_style style)
{
	static const char short_forms[] = "\n\t\r\\";
	static const char short_letters[] = "ntr\\";
	const char *found = style == ESCAPE_NAME && length == 1 && *character ? strchr(short_forms, *character) : NULL;

	if (found) {
		to[0] = '\\';
		to[1] = short_letters[found - short_forms];
		return 2;
	}
	bool is_kept = length && (!is_control(character, length) || (style == ESCAPE_LINES && *character == '\n'));
	if (is_kept) {
		memcpy(to, character, length);
		return length;
	}
	size_t used = 0;
	for (size_t i = 0; i < (length ? length : 1); i++)
		used += (size_t)snprintf(to + used, 5, "\\x%02x", (unsigned int)(unsigned char)character[i]);
	return used;
}

size_t escape_text(char *to, size_t size, const char *text, size_t length, enum escape_style style)
{
	size_t at = 0;
	size_t used = 0;

	while (at < length) {
		char one[16];
		size_t character = utf8_character(text + at, length - at);
		size_t needed = escape_one(one, text + at, character, style);
		if (used + needed >= size)
			break;
		memcpy(to + used, one, needed);
		used += needed;
		at += character ? character : 1;
	}
	to[used] = '\0';
	return at;
}
