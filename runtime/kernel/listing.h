/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_KERNEL_LISTING_H
#define HUTCH_KERNEL_LISTING_H

/* Reading directories with getdents64(2). */

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>

#include "base/sys.h"

struct listing_entry {
	uint64_t ino;
	int64_t off;
	uint16_t length;
	uint8_t type;
	char name[];
};

/* The next entry but "." and ".." of the directory `fd`, NULL at the end; *ret_error is then 0 or -errno. `filled` and
 * `used` start at 0; setting them to 0 drops what has been read ahead. */
static inline const struct listing_entry *listing_next(int fd, char *buffer, unsigned size, long *filled, long *used, int *ret_error)
{
	for (;;) {
		if (*used >= *filled) {
			*used = 0;
			*filled = sys_call3(SYS_getdents64, fd, buffer, size);
			*ret_error = *filled < 0 ? (int)*filled : 0;
			if (*filled <= 0)
				return NULL;
		}
		const struct listing_entry *entry = (const struct listing_entry *)(const void *)(buffer + *used);
		*used += entry->length;
		const char *name = entry->name;
		if (name[0] != '.' || (name[1] != '\0' && (name[1] != '.' || name[2] != '\0')))
			return entry;
	}
}

static inline int listing_open(int dir, const char *name)
{
	return (int)sys_call4(SYS_openat, dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
}

#endif
