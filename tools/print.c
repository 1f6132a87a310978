/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The result record and its relatives, as text.
 *
 * The keys and their order are those of hutch(1), "Result record"; every key is always there, null where it does not apply.
 */
#include "print.h"

#include <string.h>

#include "json.h"
#include "text.h"

void print_error(struct json_writer *w, const struct hutch_error *err)
{
	json_begin(w, "error", '{');
	json_string(w, "code", hutch_error_code_name(err->code));
	json_string(w, "stage", err->stage[0] ? err->stage : NULL);
	if (err->sys_errno) {
		json_int(w, "errno", err->sys_errno);
		json_string(w, "errno_name", hutch_errno_name(err->sys_errno));
	} else {
		json_null(w, "errno");
		json_null(w, "errno_name");
	}
	json_string(w, "message", err->message);
	json_string(w, "hint", err->hint[0] ? err->hint : NULL);
	json_end(w, '}');
}

void print_error_document(FILE *out, const struct hutch_error *err)
{
	struct json_writer w = {.out = out};

	json_begin(&w, NULL, '{');
	print_error(&w, err);
	json_end(&w, '}');
}

/* A truncated text may end within a character, which is then left away. */
static void print_output(struct json_writer *w, const char *key, const char *base64_key, const struct hutch_output *output)
{
	size_t size = 0;
	bool is_text = output->captured && utf8_text(output->data, output->size, output->truncated, &size);

	if (is_text)
		json_text(w, key, output->data, size);
	else
		json_null(w, key);
	if (output->captured && !is_text)
		json_base64(w, base64_key, output->data, output->size);
	else
		json_null(w, base64_key);
}

static void print_totals(struct json_writer *w, const char *bytes_key, const char *truncated_key, const struct hutch_output *output)
{
	if (!output->captured) {
		json_null(w, bytes_key);
		json_null(w, truncated_key);
		return;
	}
	json_uint(w, bytes_key, output->total_bytes);
	json_bool(w, truncated_key, output->truncated);
}

void print_command(struct json_writer *w, char *const *command)
{
	if (!command) {
		json_null(w, "command");
		return;
	}
	json_begin(w, "command", '[');
	for (char *const *arg = command; *arg; arg++)
		json_string(w, NULL, *arg);
	json_end(w, ']');
}

static void print_outcome(struct json_writer *w, const struct hutch_result *result)
{
	json_string(w, "sandbox", result->sandbox);
	json_string(w, "id", result->id);
	print_command(w, result->command);
	json_string(w, "outcome", hutch_outcome_name((int)result->outcome));
	json_known(w, "exit_code", result->exit_code);
	json_known(w, "signal", result->signal > 0 ? result->signal : -1);
	json_int(w, "returncode", result->returncode);
	json_bool(w, "started", result->started);
	if (result->outcome == HUTCH_OUTCOME_NOT_STARTED)
		print_error(w, &result->error);
	else
		json_null(w, "error");
}

static void print_usage(struct json_writer *w, const struct hutch_result *result)
{
	json_known_ms(w, "wall_ms", result->wall_ms);
	json_known_ms(w, "user_ms", result->user_ms);
	json_known_ms(w, "system_ms", result->system_ms);
	json_known(w, "memory_peak_bytes", result->memory_peak_bytes);
	json_known(w, "pids_peak", result->pids_peak);
	json_known(w, "io_read_bytes", result->io_read_bytes);
	json_known(w, "io_write_bytes", result->io_write_bytes);
	json_known_ms(w, "throttled_ms", result->throttled_ms);
	json_known(w, "oom_kills", result->oom_kills);
}

static void print_limits(struct json_writer *w, const struct hutch_result *result)
{
	json_begin(w, "limits_enforced", '{');
	for (size_t i = 0; i < result->limits_enforced_count; i++) {
		const struct hutch_limit_enforced *limit = &result->limits_enforced[i];
		json_begin(w, limit->name, '{');
		json_uint(w, "value", limit->value);
		json_string(w, "by", limit->by);
		json_end(w, '}');
	}
	json_end(w, '}');
	json_begin(w, "limits_hit", '[');
	for (uint32_t bit = HUTCH_LIMIT_MEMORY; bit & HUTCH_LIMITS_ALL; bit <<= 1) {
		if (bit & result->limits_hit)
			json_string(w, NULL, hutch_requirement_name(bit));
	}
	json_end(w, ']');
}

static void print_warnings(struct json_writer *w, const struct hutch_result *result, const struct notices *notices)
{
	json_begin(w, "warnings", '[');
	for (char **warning = result->warnings; warning && *warning; warning++)
		json_string(w, NULL, *warning);
	for (size_t i = 0; i < notices->count; i++)
		json_string(w, NULL, notices->texts[i]);
	json_end(w, ']');
}

void print_change_list(struct json_writer *w, const struct changes *changes)
{
	static const char *const kinds[] = {
		[HUTCH_CHANGE_ADDED] = "added",
		[HUTCH_CHANGE_CHANGED] = "changed",
		[HUTCH_CHANGE_DELETED] = "deleted",
	};

	json_begin(w, "changes", '[');
	for (size_t i = 0; i < changes->count; i++) {
		const struct change *change = &changes->all[i];
		json_begin(w, NULL, '{');
		json_string(w, "kind", kinds[change->kind]);
		json_text(w, "type", &change->type, 1);
		json_string(w, "path", change->path);
		json_uint(w, "size", change->size);
		json_end(w, '}');
	}
	json_end(w, ']');
}

void record_json(struct json_writer *w, const char *key, const struct hutch_result *result, const struct notices *notices,
                 const struct changes *changes)
{
	json_begin(w, key, '{');
	print_outcome(w, result);
	print_output(w, "stdout", "stdout_base64", &result->out);
	print_output(w, "stderr", "stderr_base64", &result->err);
	print_totals(w, "stdout_bytes", "stdout_truncated", &result->out);
	print_totals(w, "stderr_bytes", "stderr_truncated", &result->err);
	print_usage(w, result);
	print_limits(w, result);
	print_warnings(w, result, notices);
	if (changes)
		print_change_list(w, changes);
	json_end(w, '}');
}

void print_record(FILE *out, const struct hutch_result *result, const struct notices *notices, const struct changes *changes)
{
	struct json_writer w = {.out = out};

	record_json(&w, NULL, result, notices, changes);
}

/* Escaped piece by piece: a text of any length needs one small buffer. */
static void print_escaped(FILE *out, const char *text, enum escape_style style)
{
	char piece[1024];
	size_t left = strlen(text);

	while (left) {
		size_t taken = escape_text(piece, sizeof piece, text, left, style);
		fputs(piece, out);
		text += taken;
		left -= taken;
	}
}

void print_changes(FILE *out, const struct changes *changes)
{
	static const char letters[] = {
		[HUTCH_CHANGE_ADDED] = 'A',
		[HUTCH_CHANGE_CHANGED] = 'M',
		[HUTCH_CHANGE_DELETED] = 'D',
	};

	for (size_t i = 0; i < changes->count; i++) {
		fprintf(out, "%c ", letters[changes->all[i].kind]);
		print_escaped(out, changes->all[i].path, ESCAPE_NAME);
		putc('\n', out);
	}
}

void print_name(FILE *out, const char *name)
{
	print_escaped(out, name, ESCAPE_NAME);
}

void print_lines(FILE *out, const char *text)
{
	print_escaped(out, text, ESCAPE_LINES);
}
