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

static void add_limit(struct hutch_limit_enforced *limits, size_t *count, const char *name, uint64_t value, const char *by)
{
	struct hutch_limit_enforced *limit = &limits[(*count)++];
	snprintf(limit->name, sizeof limit->name, "%s", name);
	snprintf(limit->by, sizeof limit->by, "%s", by);
	limit->value = value;
}

/* The command's own limit where it has one, else the sandbox's. */
static uint64_t either(uint64_t own, uint64_t all)
{
	return own ? own : all;
}

int limits_list(const struct request *request, uint64_t scratch_bytes, bool is_on_disk, const struct hutch_command *command, struct hutch_limit_enforced **ret,
                size_t *ret_count)
{
	static const struct hutch_command none;
	const struct hutch_limits *all = &request->spec.limits, *own = command ? &command->limits : &none.limits;
	const struct {
		const char *name;
		uint32_t limit;
		uint64_t value;
		bool is_set; /* though 0 */
	} list[] = {
		{"memory", HUTCH_LIMIT_MEMORY, either(own->memory_bytes, all->memory_bytes), false},
		{"swap", HUTCH_LIMIT_SWAP, own->has_swap ? own->swap_bytes : all->has_swap ? all->swap_bytes : 0,
		 own->has_swap || all->has_swap || own->memory_bytes || all->memory_bytes},
		{"cpus", HUTCH_LIMIT_CPUS, either(own->cpus_milli, all->cpus_milli), false}, /* in thousandths */
		{"cpu-time", HUTCH_LIMIT_CPU_TIME, either(own->cpu_time_ms, all->cpu_time_ms), false},
		{"io-read", HUTCH_LIMIT_IO, either(own->io_read_bps, all->io_read_bps), false},
		{"io-write", HUTCH_LIMIT_IO, either(own->io_write_bps, all->io_write_bps), false},
	};
	struct hutch_limit_enforced *limits = calloc(3 + sizeof list / sizeof *list, sizeof *limits);
	size_t count = 0;
	if (!limits)
		return -1;
	if (own->pids || all->pids)
		add_limit(limits, &count, "pids", either(own->pids, all->pids), limits_enforcer(request, HUTCH_LIMIT_PIDS));
	add_limit(limits, &count, "disk", scratch_bytes, is_on_disk ? "none" : "tmpfs");
	if (command && command->timeout_ms)
		add_limit(limits, &count, "timeout", command->timeout_ms, "timer");
	for (size_t i = 0; i < sizeof list / sizeof *list; i++)
		if (list[i].value || list[i].is_set)
			add_limit(limits, &count, list[i].name, list[i].value, limits_enforcer(request, list[i].limit));
	*ret = limits;
	*ret_count = count;
	return 0;
}

static int set_limits(const struct hutch_process *process, struct hutch_result *result)
{
	const struct hutch_sandbox *sandbox = process->sandbox;
	return limits_list(&sandbox->request, sandbox->scratch_bytes, sandbox->is_on_disk, &process->settings, &result->limits_enforced, &result->limits_enforced_count);
}

static void set_usage(const struct hutch_process *process, struct hutch_result *result)
{
	const struct message_usage *usage = &process->usage;
	result->memory_peak_bytes = usage->known & USAGE_MEMORY ? (int64_t)usage->memory_peak : -1;
	result->pids_peak = usage->known & USAGE_PIDS ? (int64_t)usage->pids_peak : -1;
	result->io_read_bytes = usage->known & USAGE_IO ? (int64_t)usage->io_read : -1;
	result->io_write_bytes = usage->known & USAGE_IO ? (int64_t)usage->io_write : -1;
	result->oom_kills = usage->known & USAGE_OOM ? (int64_t)usage->oom_kills : -1;
	result->throttled_ms = usage->known & USAGE_THROTTLED ? (double)usage->throttled_us / 1000 : -1;
	result->limits_hit = usage->limits_hit;
}

/* The sandbox's warnings, and the one that is about this command. */
static char **copy_warnings(const struct hutch_process *process)
{
	const struct hutch_sandbox *sandbox = process->sandbox;
	char **copy = calloc(sandbox->warnings_count + 2, sizeof *copy);
	size_t count = 0;
	for (; copy && count < sandbox->warnings_count; count++)
		if (!(copy[count] = strdup(sandbox->warnings[count])))
			return copy;
	if (copy && process->warning)
		copy[count] = strdup(process->warning);
	return copy;
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
	set_usage(process, result);
	result->command = copy_list(process->argv);
	result->warnings = copy_warnings(process);
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
