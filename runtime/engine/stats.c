/* SPDX-License-Identifier: Apache-2.0 */
/* What the cgroups of a sandbox tell while it runs. What the host cannot tell stays -1. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "engine/engine.h"

static void read_number(int dir, const char *file, int64_t *ret)
{
	uint64_t value;
	if (cgroup_read_u64(dir, file, &value) == 0 && value <= INT64_MAX)
		*ret = (int64_t)value;
}

static void read_ms(int dir, const char *key, double *ret)
{
	uint64_t us;
	if (cgroup_read_key(dir, "cpu.stat", key, &us) == 0)
		*ret = (double)us / 1000;
}

/* "some avg10=0.00 avg60=... total=123", and a line "full" (Documentation/accounting/psi.rst). */
static void read_line(const char *text, const char *kind, double *ret_avg10, int64_t *ret_total_us)
{
	const char *line = strstr(text, kind);
	const char *total = line ? strstr(line, "total=") : NULL;
	if (!total || sscanf(line + strlen(kind), " avg10=%lf", ret_avg10) != 1)
		return;
	*ret_total_us = strtoll(total + strlen("total="), NULL, 10);
}

static void read_pressure(int dir, const char *file, struct hutch_pressure *ret)
{
	char text[512];
	*ret = (struct hutch_pressure){-1, -1, -1, -1};
	if (cgroup_read(dir, file, text, sizeof text) < 0)
		return;
	read_line(text, "some", &ret->some_avg10, &ret->some_total_us);
	read_line(text, "full", &ret->full_avg10, &ret->full_total_us);
}

void stats_read(int dir, uint32_t id, struct hutch_stats *ret)
{
	uint64_t number;
	*ret = (struct hutch_stats){.id = id, .user_ms = -1, .system_ms = -1, .throttled_ms = -1, .memory_bytes = -1, .memory_peak_bytes = -1, .swap_bytes = -1,
	                            .pids = -1, .pids_peak = -1, .io_read_bytes = -1, .io_write_bytes = -1, .oom_kills = -1};
	read_ms(dir, "user_usec", &ret->user_ms);
	read_ms(dir, "system_usec", &ret->system_ms);
	read_ms(dir, "throttled_usec", &ret->throttled_ms);
	read_number(dir, "memory.current", &ret->memory_bytes);
	read_number(dir, "memory.peak", &ret->memory_peak_bytes);
	read_number(dir, "memory.swap.current", &ret->swap_bytes);
	read_number(dir, "pids.current", &ret->pids);
	read_number(dir, "pids.peak", &ret->pids_peak);
	if (cgroup_read_key(dir, "memory.events", "oom_kill", &number) == 0)
		ret->oom_kills = (int64_t)number;
	uint64_t read_bytes, written;
	if (cgroup_sum_io(dir, &read_bytes, &written)) {
		ret->io_read_bytes = (int64_t)read_bytes;
		ret->io_write_bytes = (int64_t)written;
	}
	read_pressure(dir, "cpu.pressure", &ret->cpu);
	read_pressure(dir, "memory.pressure", &ret->memory);
	read_pressure(dir, "io.pressure", &ret->io);
}

int stats_check(const struct hutch_sandbox *sandbox, struct hutch_error *err)
{
	if (sandbox->is_gone)
		return err_set(err, HUTCH_E_STATE, "the sandbox has ended: its commands' records say what they used");
	if (!sandbox->request.has_cgroup)
		return err_hint(err, err_set(err, HUTCH_E_UNSUPPORTED, "the sandbox has no cgroup, so nothing is counted"), "`hutch doctor` tells what would make cgroups available");
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct hutch_stats *left = a, *right = b;
	return left->id < right->id ? -1 : left->id > right->id;
}

void stats_sort(struct hutch_stats *stats, size_t count)
{
	qsort(stats, count, sizeof *stats, compare);
}

int hutch_sandbox_stats(struct hutch_sandbox *sandbox, struct hutch_stats **ret, size_t *ret_count, struct hutch_error *err)
{
	if (sandbox->remote)
		return sandbox->remote->stats(sandbox, ret, ret_count, err);
	int error = stats_check(sandbox, err);
	if (error < 0)
		return error;
	size_t count = 1;
	for (const struct hutch_process *process = sandbox->processes; process; process = process->next)
		count += process->leaf.dir >= 0;
	struct hutch_stats *stats = calloc(count, sizeof *stats);
	if (!stats)
		return err_set(err, HUTCH_E_NO_MEMORY, "out of memory");
	size_t used = 0;
	stats_read(sandbox->cgroups.run, 0, &stats[used++]);
	for (const struct hutch_process *process = sandbox->processes; process; process = process->next)
		if (process->leaf.dir >= 0)
			stats_read(process->leaf.dir, process->id, &stats[used++]);
	stats_sort(stats, used);
	*ret = stats;
	*ret_count = used;
	return 0;
}

int hutch_sandbox_update(struct hutch_sandbox *sandbox, const struct hutch_limits *limits, struct hutch_error *err)
{
	int error = limits_check_values(limits, err);
	if (error < 0)
		return error;
	if (sandbox->is_gone)
		return err_set(err, HUTCH_E_STATE, "the sandbox has ended");
	return sandbox->remote ? sandbox->remote->update(sandbox, limits, err) : limits_update(sandbox, limits, err);
}
