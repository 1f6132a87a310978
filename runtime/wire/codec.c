/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/codec.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define MAGIC   UINT64_C(0x6b6361706874756b)
#define VERSION 1u

struct header {
	uint64_t magic;
	uint32_t version, kind;
	uint64_t size, checksum; /* of what follows */
};

void codec_fail(struct codec *codec, int error)
{
	if (codec->error == 0)
		codec->error = error;
}

/* FNV-1a: against accidents, not against people. */
static uint64_t checksum(const char *bytes, size_t size)
{
	uint64_t sum = UINT64_C(0xcbf29ce484222325);
	for (size_t i = 0; i < size; i++)
		sum = (sum ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001b3);
	return sum;
}

/* ---- memory of what is read ---- */

static void *memory_new(struct codec *codec, size_t count, size_t size)
{
	struct pack_memory *memory = codec->memory;
	if (codec->error != 0)
		return NULL;
	if (memory->count == memory->capacity) {
		size_t capacity = memory->capacity ? memory->capacity * 2 : 16;
		void **blocks = realloc(memory->blocks, capacity * sizeof *blocks);
		if (!blocks) {
			codec_fail(codec, -HUTCH_E_NO_MEMORY);
			return NULL;
		}
		memory->blocks = blocks;
		memory->capacity = capacity;
	}
	void *block = calloc(count ? count : 1, size);
	if (!block)
		codec_fail(codec, -HUTCH_E_NO_MEMORY);
	else
		memory->blocks[memory->count++] = block;
	return block;
}

void pack_memory_done(struct pack_memory *memory)
{
	while (memory->count > 0)
		free(memory->blocks[--memory->count]);
	free(memory->blocks);
	*memory = (struct pack_memory){0};
}

/* ---- bytes ---- */

static void put(struct codec *codec, const void *bytes, size_t size)
{
	if (codec->error != 0)
		return;
	if (size > PACK_MAX - codec->size) {
		codec_fail(codec, -HUTCH_E_INVALID);
		return;
	}
	if (codec->size + size > codec->capacity) {
		size_t capacity = (codec->size + size) * 2;
		char *data = realloc(codec->data, capacity);
		if (!data) {
			codec_fail(codec, -HUTCH_E_NO_MEMORY);
			return;
		}
		codec->data = data;
		codec->capacity = capacity;
	}
	if (size)
		memcpy(codec->data + codec->size, bytes, size);
	codec->size += size;
}

/* The next `size` bytes, or NULL if they are not there. */
static const char *take(struct codec *codec, uint64_t size)
{
	if (codec->error == 0 && size > codec->left)
		codec_fail(codec, -HUTCH_E_INVALID);
	if (codec->error != 0)
		return NULL;
	const char *at = codec->bytes;
	codec->bytes += size;
	codec->left -= size;
	return at;
}

/* ---- fields ---- */

void codec_u64(struct codec *codec, uint64_t *field)
{
	if (!codec->is_reading) {
		put(codec, field, sizeof *field);
		return;
	}
	const char *at = take(codec, sizeof *field);
	*field = 0;
	if (at)
		memcpy(field, at, sizeof *field);
}

/* Bytes with a 0 behind them; NULL for what was NULL, or after a failure. */
static const char *take_sized(struct codec *codec, size_t *ret_size)
{
	uint64_t size;
	*ret_size = 0;
	codec_u64(codec, &size);
	if (codec->error != 0 || size == 0)
		return NULL;
	const char *at = take(codec, size);
	if (at && at[size - 1] != '\0') {
		codec_fail(codec, -HUTCH_E_INVALID);
		return NULL;
	}
	*ret_size = (size_t)size - 1;
	return at;
}

static void put_sized(struct codec *codec, const char *bytes, size_t size)
{
	uint64_t number = bytes ? size + 1 : 0;
	codec_u64(codec, &number);
	if (!bytes)
		return;
	put(codec, bytes, size);
	put(codec, "", 1);
}

static const char *copy(struct codec *codec, const char *bytes, size_t size)
{
	char *block = bytes ? memory_new(codec, size + 1, 1) : NULL;
	if (block)
		memcpy(block, bytes, size);
	return block;
}

void codec_text(struct codec *codec, const char **field)
{
	if (!codec->is_reading) {
		put_sized(codec, *field, *field ? strlen(*field) : 0);
		return;
	}
	size_t size;
	const char *text = take_sized(codec, &size);
	if (text && strlen(text) != size)
		codec_fail(codec, -HUTCH_E_INVALID);
	*field = codec->copies_texts ? copy(codec, text, size) : text;
}

void codec_blob(struct codec *codec, char **field, size_t *field_size)
{
	if (!codec->is_reading) {
		put_sized(codec, *field, *field_size);
		return;
	}
	const char *bytes = take_sized(codec, field_size);
	*field = (char *)(uintptr_t)copy(codec, bytes, *field_size);
}

void codec_chars(struct codec *codec, char *field, size_t capacity)
{
	const char *text = field;
	bool copies = codec->copies_texts;
	codec->copies_texts = false;
	codec_text(codec, &text);
	codec->copies_texts = copies;
	if (!codec->is_reading)
		return;
	size_t length = text && codec->error == 0 ? strlen(text) : 0;
	if (length >= capacity)
		codec_fail(codec, -HUTCH_E_INVALID);
	else if (text && codec->error == 0)
		memcpy(field, text, length + 1);
}

void *codec_array(struct codec *codec, const void *field, size_t *count, size_t size)
{
	uint64_t number = field ? *count + 1 : 0;
	codec_u64(codec, &number);
	if (!codec->is_reading && field)
		return (void *)(uintptr_t)field;
	*count = 0;
	if (!codec->is_reading)
		return NULL;
	if (codec->error != 0 || number == 0)
		return NULL;
	if (number - 1 > codec->left / sizeof(uint64_t)) { /* every element takes a number at least */
		codec_fail(codec, -HUTCH_E_INVALID);
		return NULL;
	}
	void *array = memory_new(codec, (size_t)number, size);
	*count = array ? (size_t)number - 1 : 0;
	return array;
}

void codec_texts(struct codec *codec, const char *const **field, size_t *field_count)
{
	size_t count = 0;
	while (!codec->is_reading && *field && (*field)[count])
		count++;
	const char **list = codec_array(codec, *field, &count, sizeof **field);
	for (size_t i = 0; i < count; i++) {
		codec_text(codec, &list[i]);
		if (codec->is_reading && !list[i])
			codec_fail(codec, -HUTCH_E_INVALID);
	}
	if (codec->is_reading)
		*field = list;
	if (codec->is_reading && field_count)
		*field_count = count;
}

/* ---- wholes ---- */

void codec_begin_write(struct codec *codec)
{
	const struct header none = {0};
	*codec = (struct codec){0};
	put(codec, &none, sizeof none);
}

int codec_end_write(struct codec *codec, enum pack_kind kind, void **ret, size_t *ret_size)
{
	if (codec->error != 0) {
		free(codec->data);
		return codec->error;
	}
	const char *rest = codec->data + sizeof(struct header);
	size_t size = codec->size - sizeof(struct header);
	const struct header header = {.magic = MAGIC, .version = VERSION, .kind = kind, .size = size, .checksum = checksum(rest, size)};
	memcpy(codec->data, &header, sizeof header);
	*ret = codec->data;
	*ret_size = codec->size;
	return 0;
}

void codec_begin_read(struct codec *codec, const void *bytes, size_t size, enum pack_kind kind, struct pack_memory *memory)
{
	struct header header;
	*codec = (struct codec){.is_reading = true, .bytes = bytes, .left = size, .memory = memory};
	const char *at = take(codec, sizeof header);
	if (!at)
		return;
	memcpy(&header, at, sizeof header);
	if (header.magic != MAGIC || header.version != VERSION || header.kind != (uint32_t)kind || size > PACK_MAX || header.size != codec->left ||
	    header.checksum != checksum(codec->bytes, codec->left))
		codec_fail(codec, -HUTCH_E_INVALID);
}

int codec_end_read(struct codec *codec)
{
	if (codec->error == 0 && codec->left != 0)
		codec_fail(codec, -HUTCH_E_INVALID);
	return codec->error;
}
