/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_BASE_TAR_H
#define HUTCH_BASE_TAR_H

/*
 * Headers of tar archives, as pure functions on bytes: ustar with pax extensions is written; that, and GNU's long names
 * and large numbers, are read. What is read comes from anywhere: every length is bounded before it is used, a header whose
 * checksum is wrong ends the archive, and so does an end that comes before the two empty blocks' first. What an entry
 * means (whether a path leads out, whether a device is wanted) is not decided here.
 *
 * Runs in hutch-init, too: no libc, no memory of its own.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TAR_BLOCK      512u
#define TAR_PATH_MAX   4096u  /* with the terminating 0 */
#define TAR_PAX_MAX    16384u /* bytes of one extended header */
#define TAR_HEADER_MAX 10240u /* what tar_encode writes at most */

struct tar_entry {
	char type; /* 'f' file, 'd' directory, 'l' symbolic link, 'h' hard link, '?' anything else */
	uint32_t mode; /* 07777 */
	uint64_t uid, gid, size;
	int64_t mtime_s;
	uint32_t mtime_ns;
	char path[TAR_PATH_MAX];
	char link[TAR_PATH_MAX];
};

/* The header of `entry`, preceded by an extended one where it needs that. Returns its size. */
size_t tar_encode(const struct tar_entry *entry, unsigned char to[TAR_HEADER_MAX]);

/* Zero bytes that follow `size` bytes of data. */
static inline size_t tar_padding(uint64_t size)
{
	return (size_t)((TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK);
}

enum tar_error {
	TAR_SOURCE = 1, /* reading failed: struct tar_reader.error */
	TAR_CUT,        /* it ends too early */
	TAR_BROKEN,     /* it is no archive, or uses what is not known here */
	TAR_TOO_LONG    /* a name, or an extended header */
};

struct tar_reader {
	long (*read)(void *data, void *to, size_t size); /* bytes, 0: the end, -errno */
	void *data;
	int error;           /* errno of a failed read */
	uint64_t left;       /* of the data of the entry at hand */
	size_t padding;      /* behind it */
	bool has_path, has_link, has_size, has_mtime; /* given by extended headers, for the next entry */
	uint64_t size;
	int64_t mtime_s;
	uint32_t mtime_ns;
	char path[TAR_PATH_MAX], link[TAR_PATH_MAX];
	unsigned char block[TAR_BLOCK];
	char pax[TAR_PAX_MAX + 1];
};

/* Skips what is left of the entry before. 1: *ret is the next one; 0: the archive's proper end; -enum tar_error. */
int tar_next(struct tar_reader *reader, struct tar_entry *ret);

/* Up to `size` bytes of the entry's data; 0: all have been read; -enum tar_error. */
long tar_data(struct tar_reader *reader, void *to, size_t size);

#endif
