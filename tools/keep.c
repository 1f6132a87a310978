/* SPDX-License-Identifier: Apache-2.0 */
/* What options own: strings that are not in argv, the files that were read, and growing arrays. */
#include "keep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "say.h"

struct kept_text {
	struct kept_text *next;
	char text[];
};

char *keep_room(struct run_options *options, size_t size, struct hutch_error *err)
{
	struct kept_text *kept = malloc(sizeof *kept + size + 1);

	if (!kept) {
		system_error(err, ENOMEM, "cannot keep %zu bytes", size);
		return NULL;
	}
	kept->next = options->kept;
	options->kept = kept;
	kept->text[size] = '\0';
	return kept->text;
}

char *keep_text(struct run_options *options, const char *text, size_t length, struct hutch_error *err)
{
	char *copy = keep_room(options, length, err);

	return copy ? memcpy(copy, text, length) : NULL;
}

/* Reads up to `size` bytes; how many there were, or -1. */
static ssize_t read_all(int fd, char *to, size_t size)
{
	size_t used = 0;

	while (used < size) {
		ssize_t got = read(fd, to + used, size - used);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		used += (size_t)got;
	}
	return (ssize_t)used;
}

char *keep_file(struct run_options *options, const char *path, size_t limit, struct hutch_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0) {
		system_error(err, errno, "cannot open %s", path);
		return NULL;
	}
	char *text = keep_room(options, limit + 1, err);
	ssize_t used = text ? read_all(fd, text, limit + 1) : -1;
	int reason = errno;
	close(fd);
	if (!text)
		return NULL;
	if (used < 0) {
		system_error(err, reason, "cannot read %s", path);
		return NULL;
	}
	if ((size_t)used > limit) {
		usage_error(err, "%s is larger than %zu KiB", path, limit >> 10);
		return NULL;
	}
	if (memchr(text, '\0', (size_t)used)) {
		usage_error(err, "%s is not a text file: there is a zero byte in it", path);
		return NULL;
	}
	text[used] = '\0';
	return text;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

char *next_line(char **text, unsigned int *line)
{
	while (**text) {
		char *from = *text;
		char *to = from + strcspn(from, "\n");
		*text = *to ? to + 1 : to;
		(*line)++;
		while (from < to && is_space(*from))
			from++;
		while (to > from && is_space(to[-1]))
			to--;
		*to = '\0';
		if (*from && *from != '#')
			return from;
	}
	return NULL;
}

void *grow(void *array, size_t count, size_t element_size, struct hutch_error *err)
{
	/* room is always the next power of two, so only a full one grows */
	if (count & (count - 1))
		return array;
	void *grown = reallocarray(array, count ? 2 * count : 1, element_size);
	if (!grown)
		system_error(err, ENOMEM, "cannot keep %zu elements", count + 1);
	return grown;
}

void keep_free(struct kept_text *kept)
{
	while (kept) {
		struct kept_text *next = kept->next;
		free(kept);
		kept = next;
	}
}
