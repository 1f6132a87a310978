/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fields of each struct, in the order in which they travel.
 *
 * `size` of a spec or command does not travel: both sides are of one build (HELLO compares versions), and what is
 * read has the reader's own.
 */
#include "wire/pack.h"

#include <stdlib.h>
#include <string.h>

#include "base/blob.h"
#include "base/cleanup.h"
#include "wire/codec.h"

static void code_double(struct codec *codec, double *field)
{
	uint64_t bits;
	memcpy(&bits, field, sizeof bits);
	codec_u64(codec, &bits);
	memcpy(field, &bits, sizeof bits);
}

/* ---- spec ---- */

static void code_mounts(struct codec *codec, struct hutch_spec *spec)
{
	struct hutch_mount *mounts = codec_array(codec, spec->mounts, &spec->mounts_count, sizeof *mounts);
	for (size_t i = 0; i < spec->mounts_count && codec->error == 0; i++) {
		CODEC(codec, mounts[i].kind);
		CODEC(codec, mounts[i].access);
		codec_text(codec, &mounts[i].source);
		codec_text(codec, &mounts[i].target);
		CODEC(codec, mounts[i].size_bytes);
	}
	spec->mounts = mounts;
}

static void code_limits(struct codec *codec, struct hutch_limits *limits)
{
	CODEC(codec, limits->memory_bytes);
	CODEC(codec, limits->swap_bytes);
	CODEC(codec, limits->has_swap);
	CODEC(codec, limits->cpus_milli);
	CODEC(codec, limits->cpu_time_ms);
	CODEC(codec, limits->pids);
	CODEC(codec, limits->io_read_bps);
	CODEC(codec, limits->io_write_bps);
	CODEC(codec, limits->disk_bytes);
	struct hutch_ulimit *ulimits = codec_array(codec, limits->ulimits, &limits->ulimits_count, sizeof *ulimits);
	for (size_t i = 0; i < limits->ulimits_count && codec->error == 0; i++) {
		codec_text(codec, &ulimits[i].name);
		CODEC(codec, ulimits[i].value);
		if (!ulimits[i].name)
			codec_fail(codec, -HUTCH_E_INVALID);
	}
	limits->ulimits = ulimits;
}

static void code_spec(struct codec *codec, struct hutch_spec *spec)
{
	spec->size = sizeof *spec;
	codec_text(codec, &spec->name);
	codec_texts(codec, &spec->labels, &spec->labels_count);
	CODEC(codec, spec->as_root);
	CODEC(codec, spec->has_uid);
	CODEC(codec, spec->uid);
	CODEC(codec, spec->root);
	codec_text(codec, &spec->rootfs);
	CODEC(codec, spec->rootfs_access);
	codec_text(codec, &spec->workspace);
	CODEC(codec, spec->workspace_access);
	code_mounts(codec, spec);
	CODEC(codec, spec->discard_changes);
	codec_text(codec, &spec->state_dir);
	CODEC(codec, spec->net);
	CODEC(codec, spec->seccomp);
	codec_text(codec, &spec->seccomp_file);
	CODEC(codec, spec->cap_add);
	code_limits(codec, &spec->limits);
	CODEC(codec, spec->best_effort);
	CODEC(codec, spec->lifetime_ms);
	CODEC(codec, spec->idle_timeout_ms);
	CODEC(codec, spec->detached);
	CODEC(codec, spec->may_move);
	CODEC(codec, spec->thread_stays);
	CODEC(codec, spec->discard_usage);
}

/* ---- command ---- */

static void code_stream(struct codec *codec, struct hutch_stream *stream)
{
	CODEC(codec, stream->io);
	CODEC(codec, stream->fd);
}

static void code_command(struct codec *codec, struct hutch_command *command)
{
	command->size = sizeof *command;
	codec_texts(codec, &command->argv, NULL);
	codec_texts(codec, &command->env, NULL);
	codec_text(codec, &command->cwd);
	code_stream(codec, &command->in);
	code_stream(codec, &command->out);
	code_stream(codec, &command->err);
	codec_text(codec, &command->term);
	CODEC(codec, command->rows);
	CODEC(codec, command->columns);
	CODEC(codec, command->timeout_ms);
	CODEC(codec, command->grace_ms);
	CODEC(codec, command->output_limit);
	CODEC(codec, command->on_output_limit);
	CODEC(codec, command->on_exit);
	CODEC(codec, command->check);
	code_limits(codec, &command->limits);
	CODEC(codec, command->has_uid);
	CODEC(codec, command->uid);
}

/* ---- wholes that point into the bytes ---- */

static void code_request(struct codec *codec, struct pack_request *request)
{
	CODEC(codec, request->has_spec);
	CODEC(codec, request->has_command);
	if (request->has_spec)
		code_spec(codec, &request->spec);
	if (request->has_command)
		code_command(codec, &request->command);
}

int pack_request_write(const struct pack_request *request, void **ret, size_t *ret_size)
{
	struct codec codec;
	struct pack_request copy = *request;
	codec_begin_write(&codec);
	code_request(&codec, &copy);
	return codec_end_write(&codec, PACK_REQUEST, ret, ret_size);
}

int pack_request_read(const void *bytes, size_t size, struct pack_memory *memory, struct pack_request *ret)
{
	struct codec codec;
	*ret = (struct pack_request){0};
	codec_begin_read(&codec, bytes, size, PACK_REQUEST, memory);
	code_request(&codec, ret);
	return codec_end_read(&codec);
}

static void code_context(struct codec *codec, struct pack_context *context)
{
	codec_text(codec, &context->id);
	codec_text(codec, &context->name);
	code_spec(codec, &context->spec);
	CODEC(codec, context->uid);
	CODEC(codec, context->gid);
	CODEC(codec, context->is_privileged);
	CODEC(codec, context->has_range);
	CODEC(codec, context->is_on_disk);
	CODEC(codec, context->has_main);
	CODEC(codec, context->range);
	CODEC(codec, context->scratch_bytes);
	codec_text(codec, &context->workspace);
	CODEC(codec, context->workspace_op);
	codec_texts(codec, &context->roots, &context->roots_count);
	codec_texts(codec, &context->warnings, NULL);
	codec_texts(codec, &context->argv, NULL);
	codec_text(codec, &context->cwd);
	codec_text(codec, &context->logs);
	CODEC(codec, context->has_cgroup);
	CODEC(codec, context->controllers);
	codec_text(codec, &context->cgroup);
	if (codec->is_reading && (!context->id || !context->roots || !context->warnings || (context->has_main && !context->argv)))
		codec_fail(codec, -HUTCH_E_INVALID);
}

int pack_context_write(const struct pack_context *context, void **ret, size_t *ret_size)
{
	struct codec codec;
	struct pack_context copy = *context;
	codec_begin_write(&codec);
	code_context(&codec, &copy);
	return codec_end_write(&codec, PACK_CONTEXT, ret, ret_size);
}

int pack_context_read(const void *bytes, size_t size, struct pack_memory *memory, struct pack_context *ret)
{
	struct codec codec;
	*ret = (struct pack_context){0};
	codec_begin_read(&codec, bytes, size, PACK_CONTEXT, memory);
	code_context(&codec, ret);
	return codec_end_read(&codec);
}

static void code_status(struct codec *codec, struct pack_status *status)
{
	codec_text(codec, &status->id);
	codec_text(codec, &status->name);
	codec_text(codec, &status->boot);
	CODEC(codec, status->state);
	CODEC(codec, status->created_ms);
	CODEC(codec, status->supervisor);
	codec_texts(codec, &status->command, NULL);
	codec_texts(codec, &status->labels, NULL);
	codec_text(codec, &status->upper);
	codec_text(codec, &status->logs);
	if (codec->is_reading && (!status->id || !status->boot || status->state >= HUTCH_SANDBOX_STATES))
		codec_fail(codec, -HUTCH_E_INVALID);
}

int pack_status_write(const struct pack_status *status, void **ret, size_t *ret_size)
{
	struct codec codec;
	struct pack_status copy = *status;
	codec_begin_write(&codec);
	code_status(&codec, &copy);
	return codec_end_write(&codec, PACK_STATUS, ret, ret_size);
}

int pack_status_read(const void *bytes, size_t size, struct pack_memory *memory, struct pack_status *ret)
{
	struct codec codec;
	*ret = (struct pack_status){0};
	codec_begin_read(&codec, bytes, size, PACK_STATUS, memory);
	code_status(&codec, ret);
	return codec_end_read(&codec);
}

/* ---- wholes that own what they have ---- */

static void code_pressure(struct codec *codec, struct hutch_pressure *pressure)
{
	code_double(codec, &pressure->some_avg10);
	code_double(codec, &pressure->full_avg10);
	CODEC(codec, pressure->some_total_us);
	CODEC(codec, pressure->full_total_us);
}

static void code_stats(struct codec *codec, struct hutch_stats *stats)
{
	CODEC(codec, stats->id);
	code_double(codec, &stats->user_ms);
	code_double(codec, &stats->system_ms);
	code_double(codec, &stats->throttled_ms);
	CODEC(codec, stats->memory_bytes);
	CODEC(codec, stats->memory_peak_bytes);
	CODEC(codec, stats->swap_bytes);
	CODEC(codec, stats->pids);
	CODEC(codec, stats->pids_peak);
	CODEC(codec, stats->io_read_bytes);
	CODEC(codec, stats->io_write_bytes);
	CODEC(codec, stats->oom_kills);
	code_pressure(codec, &stats->cpu);
	code_pressure(codec, &stats->memory);
	code_pressure(codec, &stats->io);
}

int pack_stats_write(const struct hutch_stats *stats, size_t count, void **ret, size_t *ret_size)
{
	struct codec codec;
	codec_begin_write(&codec);
	codec_array(&codec, stats, &count, sizeof *stats);
	for (size_t i = 0; i < count; i++) {
		struct hutch_stats copy = stats[i];
		code_stats(&codec, &copy);
	}
	return codec_end_write(&codec, PACK_STATS, ret, ret_size);
}

int pack_stats_read(const void *bytes, size_t size, struct hutch_stats **ret, size_t *ret_count)
{
	struct codec codec;
	struct pack_memory memory = {0};
	size_t count = 0;
	codec_begin_read(&codec, bytes, size, PACK_STATS, &memory);
	struct hutch_stats *stats = codec_array(&codec, NULL, &count, sizeof *stats);
	for (size_t i = 0; i < count && codec.error == 0; i++)
		code_stats(&codec, &stats[i]);
	int error = codec_end_read(&codec);
	if (error == 0 && (!stats || count == 0))
		error = -HUTCH_E_INVALID;
	if (error == 0)
		memory.count = 0; /* the array was its only block */
	pack_memory_done(&memory);
	if (error < 0)
		return error;
	*ret = stats;
	*ret_count = count;
	return 0;
}

static void code_error(struct codec *codec, struct hutch_error *error)
{
	CODEC(codec, error->code);
	CODEC(codec, error->sys_errno);
	codec_chars(codec, error->stage, sizeof error->stage);
	codec_chars(codec, error->message, sizeof error->message);
	codec_chars(codec, error->hint, sizeof error->hint);
}

int pack_error_write(const struct hutch_error *error, void **ret, size_t *ret_size)
{
	struct codec codec;
	struct hutch_error copy = *error;
	codec_begin_write(&codec);
	code_error(&codec, &copy);
	return codec_end_write(&codec, PACK_ERROR, ret, ret_size);
}

int pack_error_read(const void *bytes, size_t size, struct hutch_error *ret)
{
	struct codec codec;
	struct pack_memory memory = {0};
	struct hutch_error error = {0};
	codec_begin_read(&codec, bytes, size, PACK_ERROR, &memory);
	code_error(&codec, &error);
	int failed = codec_end_read(&codec);
	pack_memory_done(&memory);
	if (failed == 0 && (error.code <= 0 || error.code >= HUTCH_E_CODES))
		failed = -HUTCH_E_INVALID;
	if (failed == 0)
		*ret = error;
	return failed;
}

static void code_output(struct codec *codec, struct hutch_output *output)
{
	CODEC(codec, output->captured);
	CODEC(codec, output->truncated);
	codec_blob(codec, &output->data, &output->size);
	CODEC(codec, output->total_bytes);
}

static void code_limits_enforced(struct codec *codec, struct hutch_result *result)
{
	struct hutch_limit_enforced *limits = codec_array(codec, result->limits_enforced, &result->limits_enforced_count, sizeof *limits);
	for (size_t i = 0; i < result->limits_enforced_count && codec->error == 0; i++) {
		codec_chars(codec, limits[i].name, sizeof limits[i].name);
		CODEC(codec, limits[i].value);
		codec_chars(codec, limits[i].by, sizeof limits[i].by);
	}
	result->limits_enforced = limits;
}

static void code_strings(struct codec *codec, char ***field)
{
	const char *const *list = (const char *const *)*field;
	codec_texts(codec, &list, NULL);
	if (codec->is_reading)
		*field = (char **)(uintptr_t)list;
}

static void code_result(struct codec *codec, struct hutch_result *result)
{
	codec_chars(codec, result->sandbox, sizeof result->sandbox);
	codec_chars(codec, result->id, sizeof result->id);
	code_strings(codec, &result->command);
	CODEC(codec, result->outcome);
	CODEC(codec, result->started);
	CODEC(codec, result->exit_code);
	CODEC(codec, result->signal);
	CODEC(codec, result->returncode);
	code_error(codec, &result->error);
	code_output(codec, &result->out);
	code_output(codec, &result->err);
	code_double(codec, &result->wall_ms);
	code_double(codec, &result->user_ms);
	code_double(codec, &result->system_ms);
	CODEC(codec, result->memory_peak_bytes);
	CODEC(codec, result->pids_peak);
	CODEC(codec, result->io_read_bytes);
	CODEC(codec, result->io_write_bytes);
	code_limits_enforced(codec, result);
	CODEC(codec, result->limits_hit);
	code_strings(codec, &result->warnings);
	code_double(codec, &result->throttled_ms);
	CODEC(codec, result->oom_kills);
	if (codec->is_reading && (!result->command || !result->command[0] || !result->warnings || result->outcome >= HUTCH_OUTCOMES))
		codec_fail(codec, -HUTCH_E_INVALID);
}

int pack_result_write(const struct hutch_result *result, void **ret, size_t *ret_size)
{
	struct codec codec;
	struct hutch_result copy = *result;
	codec_begin_write(&codec);
	code_result(&codec, &copy);
	return codec_end_write(&codec, PACK_RESULT, ret, ret_size);
}

/* Results share their output (base/blob.h), so that is what it must be. */
static int make_shareable(struct hutch_output *output)
{
	char *plain = TAKE(output->data);
	if (!plain)
		return 0;
	output->data = blob_resize(NULL, output->size + 1);
	if (output->data)
		memcpy(output->data, plain, output->size + 1);
	free(plain);
	return output->data ? 0 : -HUTCH_E_NO_MEMORY;
}

static int finish_result(struct hutch_result *result)
{
	int out = make_shareable(&result->out), err = make_shareable(&result->err);
	return out < 0 ? out : err;
}

int pack_result_read(const void *bytes, size_t size, struct hutch_result **ret)
{
	struct codec codec;
	struct pack_memory memory = {0};
	struct hutch_result *result = calloc(1, sizeof *result);
	if (!result)
		return -HUTCH_E_NO_MEMORY;
	codec_begin_read(&codec, bytes, size, PACK_RESULT, &memory);
	codec.copies_texts = true;
	code_result(&codec, result);
	int error = codec_end_read(&codec);
	if (error == 0)
		memory.count = 0; /* the blocks are the result's now */
	pack_memory_done(&memory);
	if (error < 0) {
		free(result);
		return error;
	}
	error = finish_result(result);
	if (error < 0)
		hutch_result_free(result);
	else
		*ret = result;
	return error;
}
