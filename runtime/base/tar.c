/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tar.h"

#define HEADERS_MAX 8u /* extended headers before one entry */

/* Offsets and sizes of the fields of a header block (POSIX.1-2001, ustar). */
enum {
	NAME = 0, NAME_SIZE = 100, MODE = 100, UID = 108, GID = 116, SIZE = 124, SIZE_SIZE = 12, MTIME = 136, CHECKSUM = 148,
	TYPE = 156, LINK = 157, MAGIC = 257, PREFIX = 345, PREFIX_SIZE = 155, SHORT_SIZE = 8
};

/* ---- bytes ---- */

static void fill(unsigned char *to, size_t size)
{
	while (size > 0)
		to[--size] = 0;
}

static size_t length_of(const char *text, size_t most)
{
	size_t length = 0;
	while (length < most && text[length])
		length++;
	return length;
}

static void copy(void *to, const void *from, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((unsigned char *)to)[i] = ((const unsigned char *)from)[i];
}

static bool is_text(const void *bytes, const char *text)
{
	const char *at = bytes;
	for (; *text; at++, text++)
		if (*at != *text)
			return false;
	return true;
}

static size_t decimal(char *to, uint64_t number)
{
	char digits[20];
	size_t count = 0, used = 0;
	do
		digits[count++] = (char)('0' + number % 10);
	while (number /= 10);
	while (count > 0)
		to[used++] = digits[--count];
	return used;
}

static unsigned checksum(const unsigned char block[TAR_BLOCK])
{
	unsigned sum = 8 * ' ';
	for (unsigned i = 0; i < TAR_BLOCK; i++)
		sum += i >= CHECKSUM && i < CHECKSUM + SHORT_SIZE ? 0 : block[i];
	return sum;
}

/* ---- writing ---- */

/* size - 1 octal digits; false: it does not fit, and 0 is written. */
static bool octal(unsigned char *to, size_t size, uint64_t number)
{
	bool fits = size - 1 > 21 || number >> 3 * (size - 1) == 0;
	for (size_t i = size - 1; i > 0; i--, number >>= 3)
		to[i - 1] = (unsigned char)('0' + (fits ? number & 7 : 0));
	return fits;
}

struct pax {
	char *bytes;
	size_t size;
};

/* "LENGTH key=value\n", where LENGTH counts itself. */
static void pax_add(struct pax *pax, const char *key, const char *value, size_t size)
{
	size_t key_length = length_of(key, 32), rest = key_length + size + 3, total = rest + 1;
	char digits[20];
	while (decimal(digits, total) + rest != total)
		total = decimal(digits, total) + rest;
	size_t used = pax->size + decimal(pax->bytes + pax->size, total);
	pax->bytes[used++] = ' ';
	copy(pax->bytes + used, key, key_length);
	used += key_length;
	pax->bytes[used++] = '=';
	copy(pax->bytes + used, value, size);
	pax->bytes[used + size] = '\n';
	pax->size = used + size + 1;
}

static void pax_number(struct pax *pax, const char *key, uint64_t number)
{
	char digits[20];
	pax_add(pax, key, digits, decimal(digits, number));
}

/* Seconds before 1970 with a fraction: -1.25 is s = -2, ns = 750000000. */
static void pax_time(struct pax *pax, int64_t seconds, uint32_t ns)
{
	char text[40];
	size_t used = 0;
	if (seconds < 0) {
		text[used++] = '-';
		seconds = -(seconds + (ns > 0));
		ns = ns > 0 ? 1000000000u - ns : 0;
	}
	used += decimal(text + used, (uint64_t)seconds);
	text[used++] = '.';
	for (uint32_t unit = 100000000; unit > 0; unit /= 10)
		text[used++] = (char)('0' + ns / unit % 10);
	pax_add(pax, "mtime", text, used);
}

static unsigned char type_flag(char type)
{
	switch (type) {
	case 'd': return '5';
	case 'l': return '2';
	case 'h': return '1';
	default: return '0';
	}
}

static void finish(unsigned char *block, unsigned char type)
{
	block[TYPE] = type;
	copy(block + MAGIC, "ustar\0" "00", 8);
	octal(block + CHECKSUM, SHORT_SIZE - 1, checksum(block));
	block[CHECKSUM + SHORT_SIZE - 2] = '\0';
	block[CHECKSUM + SHORT_SIZE - 1] = ' ';
}

/* The block itself; what does not fit into it goes to `pax`. */
static void encode_block(const struct tar_entry *entry, unsigned char *block, struct pax *pax)
{
	size_t path = length_of(entry->path, TAR_PATH_MAX), link = length_of(entry->link, TAR_PATH_MAX);
	copy(block + NAME, entry->path, path < NAME_SIZE ? path : NAME_SIZE);
	copy(block + LINK, entry->link, link < NAME_SIZE ? link : NAME_SIZE);
	if (path > NAME_SIZE)
		pax_add(pax, "path", entry->path, path);
	if (link > NAME_SIZE)
		pax_add(pax, "linkpath", entry->link, link);
	octal(block + MODE, SHORT_SIZE, entry->mode & 07777);
	if (!octal(block + UID, SHORT_SIZE, entry->uid))
		pax_number(pax, "uid", entry->uid);
	if (!octal(block + GID, SHORT_SIZE, entry->gid))
		pax_number(pax, "gid", entry->gid);
	if (!octal(block + SIZE, SIZE_SIZE, entry->size))
		pax_number(pax, "size", entry->size);
	if (!octal(block + MTIME, SIZE_SIZE, entry->mtime_s < 0 ? 0 : (uint64_t)entry->mtime_s) || entry->mtime_s < 0 || entry->mtime_ns > 0)
		pax_time(pax, entry->mtime_s, entry->mtime_ns);
	finish(block, type_flag(entry->type));
}

size_t tar_encode(const struct tar_entry *entry, unsigned char to[TAR_HEADER_MAX])
{
	unsigned char block[TAR_BLOCK];
	struct pax pax = {.bytes = (char *)to + TAR_BLOCK};
	fill(block, TAR_BLOCK);
	encode_block(entry, block, &pax);
	size_t used = 0;
	if (pax.size > 0) {
		fill(to, TAR_BLOCK);
		copy(to + NAME, "././@PaxHeader", 14);
		octal(to + MODE, SHORT_SIZE, 0644);
		octal(to + UID, SHORT_SIZE, 0);
		octal(to + GID, SHORT_SIZE, 0);
		octal(to + SIZE, SIZE_SIZE, pax.size);
		octal(to + MTIME, SIZE_SIZE, 0);
		finish(to, 'x');
		used = TAR_BLOCK + pax.size;
		fill(to + used, tar_padding(used));
		used += tar_padding(used);
	}
	copy(to + used, block, TAR_BLOCK);
	return used + TAR_BLOCK;
}

/* ---- reading ---- */

static int read_all(struct tar_reader *reader, void *to, size_t size)
{
	for (size_t used = 0; used < size;) {
		long got = reader->read(reader->data, (char *)to + used, size - used);
		if (got < 0) {
			reader->error = (int)-got;
			return -TAR_SOURCE;
		}
		if (got == 0)
			return -TAR_CUT;
		used += (size_t)got;
	}
	return 0;
}

long tar_data(struct tar_reader *reader, void *to, size_t size)
{
	if (size > reader->left)
		size = (size_t)reader->left;
	int ret = read_all(reader, to, size);
	if (ret < 0)
		return ret;
	reader->left -= size;
	return (long)size;
}

static int skip_rest(struct tar_reader *reader)
{
	while (reader->left > 0) {
		long got = tar_data(reader, reader->pax, TAR_PAX_MAX);
		if (got < 0)
			return (int)got;
	}
	int ret = read_all(reader, reader->pax, reader->padding);
	reader->padding = 0;
	return ret;
}

/* Octal with blanks around it, or GNU's binary with the first bit set. */
static bool number(const unsigned char *field, size_t size, uint64_t *ret)
{
	uint64_t value = 0;
	size_t at = 0;
	if (field[0] & 0x80) {
		for (value = field[0] & 0x7f, at = 1; at < size; at++) {
			if (value >> 55)
				return false;
			value = value << 8 | field[at];
		}
		*ret = value;
		return true;
	}
	while (at < size && field[at] == ' ')
		at++;
	for (; at < size && field[at] >= '0' && field[at] <= '7'; at++) {
		if (value >> 60)
			return false;
		value = value << 3 | (uint64_t)(field[at] - '0');
	}
	for (; at < size; at++)
		if (field[at] != ' ' && field[at] != '\0')
			return false;
	*ret = value;
	return true;
}

static bool is_empty(const unsigned char block[TAR_BLOCK])
{
	for (unsigned i = 0; i < TAR_BLOCK; i++)
		if (block[i])
			return false;
	return true;
}

/* Decimal digits at *at, before `end`. */
static bool digits(const char **at, const char *end, uint64_t *ret)
{
	const char *from = *at;
	uint64_t value = 0;
	for (; *at < end && **at >= '0' && **at <= '9'; (*at)++) {
		if (value > (UINT64_MAX - 9) / 10)
			return false;
		value = value * 10 + (uint64_t)(**at - '0');
	}
	*ret = value;
	return *at > from;
}

static bool pax_take_time(struct tar_reader *reader, const char *at, const char *end)
{
	bool is_negative = at < end && *at == '-';
	uint64_t seconds;
	uint32_t ns = 0, unit = 100000000;
	at += is_negative;
	if (!digits(&at, end, &seconds) || seconds > INT64_MAX / 2)
		return false;
	if (at < end && *at == '.')
		for (at++; at < end && *at >= '0' && *at <= '9'; at++, unit /= 10)
			ns += (uint32_t)(*at - '0') * unit;
	reader->mtime_s = is_negative ? -(int64_t)seconds - (ns > 0) : (int64_t)seconds;
	reader->mtime_ns = is_negative && ns > 0 ? 1000000000u - ns : ns;
	reader->has_mtime = true;
	return at == end;
}

/* A name of an extended header: as long as it says, and without a 0 in it. */
static int take_text(const char *from, size_t size, char to[TAR_PATH_MAX])
{
	if (size >= TAR_PATH_MAX)
		return -TAR_TOO_LONG;
	if (size == 0 || length_of(from, size) != size)
		return -TAR_BROKEN;
	copy(to, from, size);
	to[size] = '\0';
	return 0;
}

static int pax_record(struct tar_reader *reader, const char *key, size_t key_size, const char *value, const char *end, bool is_global)
{
	static const struct { const char *name; size_t size; char what; } known[] = {
		{"path=", 5, 'p'}, {"linkpath=", 9, 'l'}, {"size=", 5, 's'}, {"mtime=", 6, 'm'}, {"GNU.sparse.", 11, '!'},
	};
	char what = 0;
	for (unsigned i = 0; i < sizeof known / sizeof *known; i++)
		if (is_text(key, known[i].name) && (known[i].what == '!' || known[i].size == key_size + 1))
			what = known[i].what;
	if (what == 0 || (is_global && what == 'm'))
		return 0;
	if (what == '!' || is_global) /* one name for all entries, or data that are not the file's */
		return -TAR_BROKEN;
	if (what == 'p') {
		reader->has_path = true;
		return take_text(value, (size_t)(end - value), reader->path);
	}
	if (what == 'l') {
		reader->has_link = true;
		return take_text(value, (size_t)(end - value), reader->link);
	}
	if (what == 'm')
		return pax_take_time(reader, value, end) ? 0 : -TAR_BROKEN;
	reader->has_size = true;
	return digits(&value, end, &reader->size) && value == end ? 0 : -TAR_BROKEN;
}

static int pax_parse(struct tar_reader *reader, size_t size, bool is_global)
{
	const char *at = reader->pax, *end = at + size;
	while (at < end) {
		const char *record = at;
		uint64_t length;
		if (!digits(&at, end, &length) || at == end || *at != ' ' || length > (size_t)(end - record) || length < (size_t)(at - record) + 4)
			return -TAR_BROKEN;
		const char *key = at + 1, *last = record + length - 1;
		if (*last != '\n')
			return -TAR_BROKEN;
		size_t key_size = 0;
		while (key + key_size < last && key[key_size] != '=')
			key_size++;
		if (key + key_size == last)
			return -TAR_BROKEN;
		int ret = pax_record(reader, key, key_size, key + key_size + 1, last, is_global);
		if (ret < 0)
			return ret;
		at = last + 1;
	}
	return 0;
}

/* The data of an extended header, and what they say. */
static int take_extension(struct tar_reader *reader, unsigned char type, uint64_t size)
{
	if (size > TAR_PAX_MAX)
		return -TAR_TOO_LONG;
	int ret = read_all(reader, reader->pax, (size_t)size);
	if (ret == 0)
		ret = read_all(reader, reader->block, tar_padding(size));
	if (ret < 0)
		return ret;
	reader->pax[size] = '\0';
	if (type == 'x' || type == 'g')
		return pax_parse(reader, (size_t)size, type == 'g');
	*(type == 'L' ? &reader->has_path : &reader->has_link) = true;
	return take_text(reader->pax, length_of(reader->pax, (size_t)size), type == 'L' ? reader->path : reader->link);
}

static char entry_type(unsigned char flag, const char *path)
{
	size_t length = length_of(path, TAR_PATH_MAX);
	switch (flag) {
	case '\0':
	case '0':
	case '7': return length > 0 && path[length - 1] == '/' ? 'd' : 'f';
	case '1': return 'h';
	case '2': return 'l';
	case '5': return 'd';
	default: return '?';
	}
}

static void block_path(const unsigned char *block, char to[TAR_PATH_MAX])
{
	size_t used = 0, name = length_of((const char *)block + NAME, NAME_SIZE);
	if (is_text(block + MAGIC, "ustar") && block[MAGIC + 5] == '\0' && block[PREFIX]) { /* GNU's old format has other things there */
		used = length_of((const char *)block + PREFIX, PREFIX_SIZE);
		copy(to, block + PREFIX, used);
		to[used++] = '/';
	}
	copy(to + used, block + NAME, name);
	to[used + name] = '\0';
}

static int decode(struct tar_reader *reader, struct tar_entry *ret)
{
	const unsigned char *block = reader->block;
	uint64_t mode, mtime;
	if (!number(block + MODE, SHORT_SIZE, &mode) || !number(block + UID, SHORT_SIZE, &ret->uid) || !number(block + GID, SHORT_SIZE, &ret->gid) ||
	    !number(block + SIZE, SIZE_SIZE, &ret->size))
		return -TAR_BROKEN;
	if (!number(block + MTIME, SIZE_SIZE, &mtime) || mtime > INT64_MAX / 2)
		mtime = 0; /* before 1970, in GNU's way */
	if (reader->has_path)
		copy(ret->path, reader->path, length_of(reader->path, TAR_PATH_MAX - 1) + 1);
	else
		block_path(block, ret->path);
	size_t link = length_of((const char *)block + LINK, NAME_SIZE);
	copy(ret->link, reader->has_link ? reader->link : (const char *)block + LINK, reader->has_link ? length_of(reader->link, TAR_PATH_MAX - 1) : link);
	ret->link[reader->has_link ? length_of(reader->link, TAR_PATH_MAX - 1) : link] = '\0';
	ret->type = entry_type(block[TYPE], ret->path);
	ret->mode = (uint32_t)(mode & 07777);
	ret->size = reader->has_size ? reader->size : ret->size;
	ret->mtime_s = reader->has_mtime ? reader->mtime_s : (int64_t)mtime;
	ret->mtime_ns = reader->has_mtime ? reader->mtime_ns : 0;
	if (ret->type == 'd' || ret->type == 'l' || ret->type == 'h')
		ret->size = 0; /* some write the size of what is linked to; no data follow */
	reader->left = ret->size;
	reader->padding = tar_padding(ret->size);
	return ret->size > INT64_MAX ? -TAR_BROKEN : 1;
}

int tar_next(struct tar_reader *reader, struct tar_entry *ret)
{
	int error = skip_rest(reader);
	reader->has_path = reader->has_link = reader->has_size = reader->has_mtime = false;
	for (unsigned i = 0; error == 0 && i < HEADERS_MAX; i++) {
		uint64_t sum, size;
		error = read_all(reader, reader->block, TAR_BLOCK);
		if (error < 0)
			return error;
		if (is_empty(reader->block))
			return i == 0 ? 0 : -TAR_BROKEN;
		if (!number(reader->block + CHECKSUM, SHORT_SIZE, &sum) || sum != checksum(reader->block))
			return -TAR_BROKEN;
		unsigned char type = reader->block[TYPE];
		if (type != 'x' && type != 'g' && type != 'L' && type != 'K')
			return decode(reader, ret);
		if (!number(reader->block + SIZE, SIZE_SIZE, &size))
			return -TAR_BROKEN;
		error = take_extension(reader, type, size);
	}
	return error < 0 ? error : -TAR_BROKEN;
}
