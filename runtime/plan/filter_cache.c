/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file is: header, key, instructions. The key is a serialisation of all rules, led by the versions that have a say in
 * what is made of them. Files are written under a temporary name, mode 0600, and renamed; they are read only if they are
 * regular files of our own that nobody else can write, in a directory of which the same is true. A checksum catches what a
 * crash or a disk did to them. Old files are not removed here: a few KiB for each policy that was ever used.
 */
#include "plan/filter_cache.h"

#include <fcntl.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "plan/filter_compile.h"

#define FORMAT 1u

struct header {
	char magic[8]; /* not terminated */
	uint32_t key_size, length;
	uint64_t checksum; /* of key and instructions */
};
#define MAGIC "hutchbpf"

/* FNV-1a: for names and against accidents, not against forgers; those are kept out by the file modes. */
static uint64_t hash(uint64_t state, const void *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		state = (state ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3u;
	return state;
}
#define HASH_START 0xcbf29ce484222325u

static uint64_t checksum(const struct filter_cache *cache, const struct sock_filter *code, size_t length)
{
	return hash(hash(HASH_START, cache->key, cache->key_size), code, length * sizeof *code);
}

/* ---- the key ---- */

static void put(struct filter_cache *cache, const void *bytes, size_t size)
{
	memcpy(cache->key + cache->key_size, bytes, size);
	cache->key_size += size;
}

static void put_rule(struct filter_cache *cache, const struct policy_file_rule *rule)
{
	put(cache, &rule->number, sizeof rule->number);
	put(cache, &rule->verdict, sizeof rule->verdict);
	for (size_t i = 0; i < POLICY_FILE_ARGUMENTS; i++) {
		const struct policy_file_condition *c = &rule->conditions[i];
		put(cache, &c->is_used, sizeof c->is_used);
		if (c->is_used) {
			put(cache, &c->mask, sizeof c->mask);
			put(cache, &c->value, sizeof c->value);
		}
	}
}

static bool make_key(struct filter_cache *cache, uint32_t audit, uint32_t otherwise, const struct policy_file_rule *rules, size_t count)
{
	const struct scmp_version *version = seccomp_version();
	if (!version)
		return false;
	const uint32_t lead[] = {FORMAT, version->major, version->minor, version->micro, audit, otherwise, (uint32_t)count};
	cache->key = malloc(sizeof lead + count * sizeof *rules); /* a serialised rule is not larger than the struct */
	if (!cache->key)
		return false;
	put(cache, lead, sizeof lead);
	for (size_t i = 0; i < count; i++)
		put_rule(cache, &rules[i]);
	return true;
}

/* ---- files ---- */

static bool is_ours(int fd, mode_t type)
{
	struct stat st;
	return fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) == type && st.st_uid == geteuid() && !(st.st_mode & (S_IWGRP | S_IWOTH));
}

void filter_cache_open(struct filter_cache *ret, const char *path, uint32_t audit, uint32_t otherwise,
                       const struct policy_file_rule *rules, size_t count)
{
	*ret = (struct filter_cache){.directory = -1};
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || !is_ours(fd, S_IFDIR) || !make_key(ret, audit, otherwise, rules, count))
		return;
	snprintf(ret->name, sizeof ret->name, "policy-%016llx.bpf", (unsigned long long)hash(HASH_START, ret->key, ret->key_size));
	ret->directory = fd;
	fd = -1;
}

static bool read_all(int fd, void *buffer, size_t size)
{
	return read(fd, buffer, size) == (ssize_t)size;
}

static bool write_all(int fd, const void *buffer, size_t size)
{
	return write(fd, buffer, size) == (ssize_t)size;
}

static bool header_fits(const struct filter_cache *cache, const struct header *header)
{
	return memcmp(header->magic, MAGIC, sizeof header->magic) == 0 && header->key_size == cache->key_size &&
	       header->length > 0 && header->length <= FILTER_INSTRUCTIONS_MAX;
}

static bool key_fits(const struct filter_cache *cache, int fd)
{
	CLEANUP_FREE uint8_t *key = malloc(cache->key_size);
	return key && read_all(fd, key, cache->key_size) && memcmp(key, cache->key, cache->key_size) == 0;
}

bool filter_cache_read(const struct filter_cache *cache, struct filter_program *ret)
{
	struct header header;
	if (cache->directory < 0)
		return false;
	CLEANUP_CLOSE int fd = openat(cache->directory, cache->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || !is_ours(fd, S_IFREG) || !read_all(fd, &header, sizeof header) || !header_fits(cache, &header) || !key_fits(cache, fd))
		return false;
	CLEANUP_FREE struct sock_filter *code = calloc(header.length, sizeof *code);
	if (!code || !read_all(fd, code, header.length * sizeof *code) || checksum(cache, code, header.length) != header.checksum)
		return false;
	*ret = (struct filter_program){.instructions = code, .length = (uint16_t)header.length, .owned = code};
	code = NULL;
	return true;
}

static bool write_file(const struct filter_cache *cache, int fd, const struct filter_program *program)
{
	struct header header = {.magic = MAGIC, .key_size = (uint32_t)cache->key_size, .length = program->length,
	                        .checksum = checksum(cache, program->instructions, program->length)};
	return write_all(fd, &header, sizeof header) && write_all(fd, cache->key, cache->key_size) &&
	       write_all(fd, program->instructions, program->length * sizeof *program->instructions);
}

void filter_cache_write(const struct filter_cache *cache, const struct filter_program *program)
{
	uint64_t random;
	char temporary[sizeof cache->name + 24];
	if (cache->directory < 0 || getrandom(&random, sizeof random, GRND_NONBLOCK) != (ssize_t)sizeof random)
		return;
	snprintf(temporary, sizeof temporary, ".%s.%016llx", cache->name, (unsigned long long)random);
	CLEANUP_CLOSE int fd = openat(cache->directory, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	if (!write_file(cache, fd, program) || renameat(cache->directory, temporary, cache->directory, cache->name) < 0)
		unlinkat(cache->directory, temporary, 0);
}

void filter_cache_done(struct filter_cache *cache)
{
	if (cache->directory >= 0)
		close(cache->directory);
	free(cache->key);
	*cache = (struct filter_cache){.directory = -1};
}
