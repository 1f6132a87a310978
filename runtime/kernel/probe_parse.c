/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/probe_parse.h"

#include <stdio.h>
#include <string.h>

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* Copies one word of mountinfo, in which space, tab, newline and backslash are \ooo. Returns what follows it and one
 * space (or the end), NULL when it is empty or does not fit. */
static const char *take_word(const char *from, char *to, size_t size)
{
	size_t used = 0;
	while (*from && *from != ' ' && *from != '\n') {
		char c = *from++;
		if (c == '\\' && is_octal(from[0]) && is_octal(from[1]) && is_octal(from[2])) {
			c = (char)((from[0] - '0') << 6 | (from[1] - '0') << 3 | (from[2] - '0'));
			from += 3;
		}
		if (used + 1 >= size)
			return NULL;
		to[used++] = c;
	}
	to[used] = '\0';
	return used ? from + (*from == ' ') : NULL;
}

static const char *skip_words(const char *from, unsigned count)
{
	for (; from && count > 0; count--) {
		from = strchr(from, ' ');
		from = from ? from + 1 : NULL;
	}
	return from;
}

/* "36 35 98:0 /root /target options optional-fields... - type source super-options" */
bool probe_parse_mountinfo(const char *line, struct probe_mount *ret)
{
	const char *at = skip_words(line, 3);
	at = at ? take_word(at, ret->root, sizeof ret->root) : NULL;
	at = at ? take_word(at, ret->target, sizeof ret->target) : NULL;
	const char *separator = at ? strstr(at, " - ") : NULL;
	return separator && take_word(separator + 3, ret->type, sizeof ret->type);
}

bool probe_parse_cgroup(const char *line, char *ret_path, size_t size)
{
	if (strncmp(line, "0::/", 4) != 0)
		return false;
	size_t length = strcspn(line + 3, "\n");
	if (length >= size)
		return false;
	memcpy(ret_path, line + 3, length);
	ret_path[length] = '\0';
	return true;
}

bool probe_parse_cgroup_v1(const char *line)
{
	const char *first = strchr(line, ':');
	const char *second = first ? strchr(first + 1, ':') : NULL;
	return second && second > first + 1 && strncmp(first + 1, "name=", 5) != 0;
}

bool probe_cgroup_directory(const struct probe_mount *mount, const char *path, char *ret, size_t size)
{
	size_t root = strcmp(mount->root, "/") == 0 ? 0 : strlen(mount->root);
	if (strncmp(path, mount->root, root) != 0 || (path[root] != '/' && path[root] != '\0'))
		return false;
	if (strncmp(path, "/..", 3) == 0) /* outside of our cgroup namespace */
		return false;
	const char *rest = strcmp(path + root, "/") == 0 ? "" : path + root;
	int used = snprintf(ret, size, "%s%s", strcmp(mount->target, "/") == 0 ? "" : mount->target, rest);
	return used > 0 && (size_t)used < size;
}

bool probe_list_has(const char *list, const char *name)
{
	size_t length = strlen(name);
	for (const char *at = list; *at;) {
		size_t word = strcspn(at, " \n");
		if (word == length && length > 0 && strncmp(at, name, length) == 0)
			return true;
		at += word;
		at += strspn(at, " \n");
	}
	return false;
}

/* A decimal number that is followed by `end`. Returns what follows that, NULL for anything else. */
static const char *take_number(const char *from, char end, uint32_t *ret)
{
	uint64_t value = 0;
	const char *at = from;
	for (; *at >= '0' && *at <= '9'; at++) {
		value = value * 10 + (uint64_t)(*at - '0');
		if (value > UINT32_MAX)
			return NULL;
	}
	if (at == from || *at != end)
		return NULL;
	*ret = (uint32_t)value;
	return end ? at + 1 : at;
}

bool probe_parse_subid(const char *line, const char *name, uid_t uid, struct probe_range *ret)
{
	char text[256];
	size_t length = strcspn(line, "\n");
	if (length >= sizeof text)
		return false;
	memcpy(text, line, length);
	text[length] = '\0';
	char *rest = strchr(text, ':');
	if (!rest)
		return false;
	*rest++ = '\0';
	uint32_t owner;
	bool by_number = take_number(text, '\0', &owner) && owner == uid;
	if (!by_number && (!name || !*name || strcmp(text, name) != 0))
		return false;
	struct probe_range range;
	const char *at = take_number(rest, ':', &range.first);
	if (!at || !take_number(at, '\0', &range.count) || range.count == 0)
		return false;
	*ret = range;
	return true;
}

/* "         0     100000      65536\n", in the file's own order: inside, outside, count. */
static bool take_extent(const char **map, uint32_t ret[3])
{
	for (unsigned i = 0; i < 3; i++) {
		*map += strspn(*map, " \n");
		size_t digits = strspn(*map, "0123456789");
		char text[16];
		if (digits == 0 || digits >= sizeof text)
			return false;
		memcpy(text, *map, digits);
		text[digits] = '\0';
		if (!take_number(text, '\0', &ret[i]))
			return false;
		*map += digits;
	}
	return true;
}

bool probe_map_is_initial(const char *map)
{
	uint32_t extent[3];
	return take_extent(&map, extent) && extent[0] == 0 && extent[1] == 0 && extent[2] == UINT32_MAX;
}

bool probe_map_covers(const char *map, uint32_t first, uint32_t count)
{
	uint32_t extent[3];
	while (take_extent(&map, extent))
		if (first >= extent[0] && (uint64_t)first + count <= (uint64_t)extent[0] + extent[2])
			return true;
	return false;
}
