/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_WIRE_CODEC_H
#define HUTCH_WIRE_CODEC_H

/* Fields in both directions: each function writes *field, or reads into it. The first failure sticks. */

#include "wire/pack.h"

struct codec {
	bool is_reading;
	int error;                    /* 0 or -HUTCH_E_* */
	/* writing */
	char *data;
	size_t size, capacity;
	/* reading */
	const char *bytes;
	size_t left;
	struct pack_memory *memory;
	bool copies_texts;            /* each text is a block of its own, instead of pointing into the bytes */
};

void codec_u64(struct codec *codec, uint64_t *field);
void codec_text(struct codec *codec, const char **field);
void codec_blob(struct codec *codec, char **field, size_t *field_size);  /* read: a block of its own with a 0 behind it */
void codec_texts(struct codec *codec, const char *const **field, size_t *field_count); /* NULL-terminated; count may be NULL */
void codec_chars(struct codec *codec, char *field, size_t capacity);     /* a char array with a terminating 0 */
/* The number of elements of an array whose elements take `size` in memory; the array itself when reading. */
void *codec_array(struct codec *codec, const void *field, size_t *count, size_t size);

/* Any integer, enum or bool; a value that does not fit is an error. */
#define CODEC(codec, field) \
	do { \
		uint64_t value_ = (uint64_t)(field); \
		codec_u64((codec), &value_); \
		if ((codec)->is_reading) { \
			(field) = (__typeof__(field))value_; \
			if ((uint64_t)(field) != value_) \
				codec_fail((codec), -HUTCH_E_INVALID); \
		} \
	} while (0)
void codec_fail(struct codec *codec, int error);

/* A whole: with its header. */
void codec_begin_write(struct codec *codec);
int codec_end_write(struct codec *codec, enum pack_kind kind, void **ret, size_t *ret_size);
void codec_begin_read(struct codec *codec, const void *bytes, size_t size, enum pack_kind kind, struct pack_memory *memory);
int codec_end_read(struct codec *codec);

#endif
