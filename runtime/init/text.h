/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_INIT_TEXT_H
#define HUTCH_INIT_TEXT_H

/* The little of strings that init needs. */

#include <stddef.h>
#include <stdint.h>

static inline size_t text_length(const char *text)
{
	size_t length = 0;
	while (text[length])
		length++;
	return length;
}

/* Writes `number` in decimal and returns the end of it. `to` holds at least 21 bytes. */
static inline char *text_number(char *to, uint64_t number)
{
	char digits[20];
	unsigned count = 0;
	do
		digits[count++] = (char)('0' + number % 10);
	while (number /= 10);
	while (count > 0)
		*to++ = digits[--count];
	*to = '\0';
	return to;
}

/* Writes "/proc/self/fd/N". */
static inline void text_fd_path(char to[40], int fd)
{
	static const char prefix[] = "/proc/self/fd/";
	size_t i = 0;
	for (; prefix[i]; i++)
		to[i] = prefix[i];
	text_number(to + i, (uint64_t)fd);
}

/* struct linux_dirent64 of getdents64(2). */
struct directory_entry {
	uint64_t ino;
	int64_t off;
	uint16_t length;
	uint8_t type;
	char name[];
};

#endif
