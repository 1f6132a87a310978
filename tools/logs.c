/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hutch logs: the kept output of a detached command, each stream to the one of ours that it was written to. The bytes are
 * passed as they are; with --json each piece is a line of its own, and nothing in it can be taken for another.
 *
 * --tail takes two passes: one that counts lines and one that prints, so that no part of the log is held in memory.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attach.h"
#include "listing.h"
#include "say.h"
#include "text.h"
#include "verb.h"

/* A character that a piece ended in the middle of waits here for its rest. */
struct held {
	uint64_t offset;
	size_t size;
	char bytes[4];
};

struct logs {
	const struct run_options *options;
	struct hutch_process *process;
	uint64_t skip_lines;
	bool is_inside_line[2]; /* by stream */
	bool has_told_of_dropped;
	struct held held[2];
};

/* ---- as text ---- */

static void put_with_times(FILE *out, bool *is_inside_line, const char *data, size_t size, const char *when)
{
	while (size) {
		const char *feed = memchr(data, '\n', size);
		size_t length = feed ? (size_t)(feed - data) + 1 : size;
		if (!*is_inside_line)
			fprintf(out, "%s ", when);
		fwrite(data, 1, length, out);
		*is_inside_line = !feed;
		data += length;
		size -= length;
	}
}

static void put_text(struct logs *logs, const struct hutch_log_chunk *chunk)
{
	char when[TIME_TEXT];
	FILE *out = chunk->stream == HUTCH_EVENT_STDERR ? stderr : stdout;

	if (out == stderr)
		fflush(stdout); /* the order in which they were written */
	if (logs->options->timestamps) {
		time_text(when, chunk->time_ms);
		put_with_times(out, &logs->is_inside_line[chunk->stream], chunk->data, chunk->size, when);
	} else {
		fwrite(chunk->data, 1, chunk->size, out);
	}
}

/* ---- as JSON lines ---- */

static void put_line(const struct hutch_log_chunk *chunk, bool is_text)
{
	struct json_writer w = {.out = stdout};
	char when[TIME_TEXT];

	time_text(when, chunk->time_ms);
	json_begin(&w, NULL, '{');
	json_string(&w, "stream", chunk->stream == HUTCH_EVENT_STDERR ? "stderr" : "stdout");
	json_string(&w, "time", when);
	json_uint(&w, "offset", chunk->offset);
	json_uint(&w, "dropped", chunk->dropped);
	if (is_text) {
		json_text(&w, "text", chunk->data, chunk->size);
		json_null(&w, "base64");
	} else {
		json_null(&w, "text");
		json_base64(&w, "base64", chunk->data, chunk->size);
	}
	json_end(&w, '}');
}

/* What was held is put before the piece, and what ends within a character is held. */
static int put_json(struct logs *logs, const struct hutch_log_chunk *chunk, struct hutch_error *err)
{
	struct held *held = &logs->held[chunk->stream];
	struct hutch_log_chunk whole = *chunk;
	size_t size;

	whole.data = malloc(held->size + chunk->size + 1);
	if (!whole.data)
		return system_error(err, ENOMEM, "cannot keep %zu bytes", chunk->size);
	memcpy(whole.data, held->bytes, held->size);
	memcpy(whole.data + held->size, chunk->data, chunk->size);
	whole.size = held->size + chunk->size;
	whole.offset = held->size ? held->offset : chunk->offset;
	bool is_text = utf8_text(whole.data, whole.size, true, &size);
	*held = (struct held){0};
	if (is_text && size < whole.size) {
		held->size = whole.size - size;
		held->offset = chunk->offset + chunk->size - held->size;
		memcpy(held->bytes, whole.data + size, held->size);
		whole.size = size;
	}
	if (whole.size)
		put_line(&whole, is_text);
	free(whole.data);
	return 0;
}

/* A character that never got its end. */
static void put_held(struct logs *logs, int64_t now_ms)
{
	for (int stream = 0; stream < 2; stream++) {
		struct held *held = &logs->held[stream];
		const struct hutch_log_chunk chunk = {
			.stream = stream ? HUTCH_EVENT_STDERR : HUTCH_EVENT_STDOUT,
			.time_ms = now_ms,
			.offset = held->offset,
			.data = held->bytes,
			.size = held->size,
		};
		if (held->size)
			put_line(&chunk, false);
	}
}

/* ---- which part ---- */

/* 1 and a piece that is wanted; 0: that was all. Moves *offset behind it. */
static int next(const struct logs *logs, uint64_t *offset, bool follow, struct hutch_log_chunk *ret, struct hutch_error *err)
{
	for (;;) {
		int got = hutch_process_log(logs->process, *offset, follow, -1, ret, err);
		if (got <= 0)
			return got;
		*offset = ret->offset + ret->size;
		if (ret->time_ms >= logs->options->since_ms)
			return 1;
		free(ret->data);
	}
}

static uint64_t count_feeds(const char *data, size_t size)
{
	uint64_t count = 0;

	for (const char *feed = memchr(data, '\n', size); feed; feed = memchr(feed + 1, '\n', size - (size_t)(feed + 1 - data)))
		count++;
	return count;
}

/* A last line without a line feed is one, too. */
static int count_lines(const struct logs *logs, uint64_t *ret, struct hutch_error *err)
{
	uint64_t offset = logs->options->offset;
	struct hutch_log_chunk chunk;
	uint64_t lines = 0;
	bool is_inside_line = false;
	int got;

	while ((got = next(logs, &offset, false, &chunk, err)) > 0) {
		lines += count_feeds(chunk.data, chunk.size);
		is_inside_line = chunk.size && chunk.data[chunk.size - 1] != '\n';
		free(chunk.data);
	}
	*ret = lines + is_inside_line;
	return got;
}

/* Leaves away the lines that are to be skipped: what remains of the piece. */
static struct hutch_log_chunk skip_lines(struct logs *logs, struct hutch_log_chunk chunk)
{
	while (logs->skip_lines && chunk.size) {
		const char *feed = memchr(chunk.data, '\n', chunk.size);
		size_t length = feed ? (size_t)(feed - chunk.data) + 1 : chunk.size;
		logs->skip_lines -= feed ? 1 : 0;
		chunk.data += length;
		chunk.size -= length;
		chunk.offset += length;
	}
	return chunk;
}

static void tell_of_dropped(struct logs *logs, const struct hutch_log_chunk *chunk)
{
	const struct run_options *options = logs->options;
	bool is_part = options->has_tail || options->since_ms;

	if (chunk->dropped && !logs->has_told_of_dropped && !is_part && !options->json && !options->quiet)
		say("the first %llu bytes are older than what is kept", (unsigned long long)chunk->dropped);
	logs->has_told_of_dropped |= chunk->dropped > 0;
}

static int put(struct logs *logs, const struct hutch_log_chunk *chunk, struct hutch_error *err)
{
	struct hutch_log_chunk rest = skip_lines(logs, *chunk);

	tell_of_dropped(logs, chunk);
	if (!rest.size)
		return 0;
	if (logs->options->json && put_json(logs, &rest, err) < 0)
		return -1;
	if (!logs->options->json)
		put_text(logs, &rest);
	if (logs->options->follow)
		fflush(stdout);
	return 0;
}

static int print_log(struct logs *logs, struct hutch_error *err)
{
	const struct run_options *options = logs->options;
	uint64_t offset = options->offset;
	struct hutch_log_chunk chunk;
	int64_t last_ms = 0;
	uint64_t lines;
	int got;

	if (options->has_tail) {
		if (count_lines(logs, &lines, err) < 0)
			return -1;
		logs->skip_lines = lines > options->tail ? lines - options->tail : 0;
	}
	while ((got = next(logs, &offset, options->follow, &chunk, err)) > 0) {
		last_ms = chunk.time_ms;
		got = put(logs, &chunk, err);
		free(chunk.data);
		if (got < 0 || ferror(stdout))
			break;
	}
	put_held(logs, last_ms);
	return got;
}

static int logs_verb(struct run_options *options, char **words)
{
	struct attached attached = {0};
	struct logs logs = {.options = options};
	struct hutch_error err;

	if (attach_to_word(&attached, words, &err) < 0 || attached_process(&attached, options, &logs.process, &err) < 0)
		return verb_failed(&err, options->json);
	signal(SIGPIPE, SIG_DFL); /* hutch logs | head ends as cat | head does */
	if (print_log(&logs, &err) < 0)
		return verb_failed(&err, options->json);
	return verb_finish(0);
}

const struct verb verb_logs = {
	.name = "logs",
	.usage = "[options] SANDBOX",
	.summary = "print the kept output of a command",
	.mask = FOR_LOGS,
	.takes_sandbox = true,
	.run = logs_verb,
};
