/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The result record. Outcomes are known, never guessed: what we did is recorded when we do it, the rest is what wait
 * told. The mapping to an exit code is here and nowhere else.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/blob.h"
#include "base/error.h"
#include "engine/engine.h"

static const char *const outcome_names[HUTCH_OUTCOMES] = {
	[HUTCH_OUTCOME_EXITED] = "exited",
	[HUTCH_OUTCOME_SIGNALED] = "signaled",
	[HUTCH_OUTCOME_TIMEOUT] = "timeout",
	[HUTCH_OUTCOME_CPU_LIMIT] = "cpu_limit",
	[HUTCH_OUTCOME_MEMORY_LIMIT] = "memory_limit",
	[HUTCH_OUTCOME_PIDS_LIMIT] = "pids_limit",
	[HUTCH_OUTCOME_OUTPUT_LIMIT] = "output_limit",
	[HUTCH_OUTCOME_KILLED] = "killed",
	[HUTCH_OUTCOME_NOT_STARTED] = "not_started",
};

const char *hutch_outcome_name(int outcome)
{
	return outcome >= 0 && outcome < HUTCH_OUTCOMES ? outcome_names[outcome] : "unknown";
}

static int return_code(const struct hutch_result *result)
{
	switch (result->outcome) {
	case HUTCH_OUTCOME_TIMEOUT:
	case HUTCH_OUTCOME_CPU_LIMIT: return 124;
	case HUTCH_OUTCOME_NOT_STARTED:
		return result->error.code == HUTCH_E_NOT_EXECUTABLE ? 126 : result->error.code == HUTCH_E_NOT_FOUND ? 127 : 125;
	case HUTCH_OUTCOME_EXITED:
	case HUTCH_OUTCOME_SIGNALED:
	case HUTCH_OUTCOME_MEMORY_LIMIT:
	case HUTCH_OUTCOME_PIDS_LIMIT:
	case HUTCH_OUTCOME_OUTPUT_LIMIT:
	case HUTCH_OUTCOME_KILLED:
	case HUTCH_OUTCOMES: break;
	}
	return result->signal ? 128 + result->signal : result->exit_code;
}

static void set_outcome(const struct hutch_process *process, struct hutch_result *result)
{
	result->started = process->started;
	result->exit_code = -1;
	if (!process->started) {
		result->outcome = HUTCH_OUTCOME_NOT_STARTED;
		result->error = process->error;
	} else {
		if (WIFSIGNALED(process->status))
			result->signal = WTERMSIG(process->status);
		else
			result->exit_code = WEXITSTATUS(process->status);
		result->outcome = process->has_reason ? process->reason : result->signal ? HUTCH_OUTCOME_SIGNALED : HUTCH_OUTCOME_EXITED;
	}
	result->returncode = return_code(result);
}

static int share_output(const struct capture *capture, struct hutch_output *ret)
{
	ret->captured = capture->is_captured;
	if (!capture->is_captured)
		return 0;
	ret->data = capture->data ? blob_share(capture->data) : blob_resize(NULL, 1);
	if (!ret->data)
		return -1;
	ret->data[capture->size] = '\0'; /* there is room for it */
	ret->size = capture->size;
	ret->total_bytes = capture->total;
	ret->truncated = capture->total > capture->size;
	return 0;
}

static char **copy_list(char *const *list)
{
	size_t count = 0;
	while (list && list[count])
		count++;
	char **copy = calloc(count + 1, sizeof *copy);
	for (size_t i = 0; copy && i < count; i++)
		if (!(copy[i] = strdup(list[i])))
			break;
	return copy;
}

static void add_limit(struct hutch_result *result, const char *name, uint64_t value, const char *by)
{
	struct hutch_limit_enforced *limit = &result->limits_enforced[result->limits_enforced_count++];
	snprintf(limit->name, sizeof limit->name, "%s", name);
	snprintf(limit->by, sizeof limit->by, "%s", by);
	limit->value = value;
}

static int set_limits(const struct hutch_process *process, struct hutch_result *result)
{
	const struct hutch_sandbox *sandbox = process->sandbox;
	const struct hutch_limits *limits = &sandbox->request.spec.limits;
	result->limits_enforced = calloc(10, sizeof *result->limits_enforced);
	if (!result->limits_enforced)
		return -1;
	add_limit(result, "pids", limits->pids, "rlimit");
	add_limit(result, "disk", sandbox->scratch_bytes, sandbox->is_on_disk ? "none" : "tmpfs");
	if (process->settings.timeout_ms)
		add_limit(result, "timeout", process->settings.timeout_ms, "timer");
	/* what was asked for and allowed not to be had */
	if (limits->memory_bytes)
		add_limit(result, "memory", limits->memory_bytes, "none");
	if (limits->has_swap)
		add_limit(result, "swap", limits->swap_bytes, "none");
	if (limits->cpus_milli)
		add_limit(result, "cpus", limits->cpus_milli, "none");
	if (limits->cpu_time_ms)
		add_limit(result, "cpu-time", limits->cpu_time_ms, "none");
	if (limits->io_read_bps)
		add_limit(result, "io-read", limits->io_read_bps, "none");
	if (limits->io_write_bps)
		add_limit(result, "io-write", limits->io_write_bps, "none");
	return 0;
}

int result_make(const struct hutch_process *process, struct hutch_result **ret, struct hutch_error *err)
{
	struct hutch_result *result = calloc(1, sizeof *result);
	if (!result)
		return err_set(err, HUTCH_E_NO_MEMORY, "out of memory");
	const struct hutch_sandbox *sandbox = process->sandbox;
	snprintf(result->sandbox, sizeof result->sandbox, "%s", sandbox->id);
	snprintf(result->id, sizeof result->id, "%u", process->id);
	set_outcome(process, result);
	result->wall_ms = process->wall_ms;
	result->user_ms = process->user_ms;
	result->system_ms = process->system_ms;
	result->memory_peak_bytes = result->pids_peak = result->io_read_bytes = result->io_write_bytes = -1;
	result->command = copy_list(process->argv);
	result->warnings = copy_list(sandbox->warnings);
	if (!result->command || !result->warnings || share_output(&process->out, &result->out) < 0 || share_output(&process->err, &result->err) < 0 ||
	    set_limits(process, result) < 0) {
		hutch_result_free(result);
		return err_set(err, HUTCH_E_NO_MEMORY, "out of memory");
	}
	*ret = result;
	return 0;
}

static void free_list(char **list)
{
	for (char **at = list; at && *at; at++)
		free(*at);
	free(list);
}

void hutch_result_free(struct hutch_result *result)
{
	if (!result)
		return;
	free_list(result->command);
	free_list(result->warnings);
	blob_release(result->out.data);
	blob_release(result->err.data);
	free(result->limits_enforced);
	free(result);
}
