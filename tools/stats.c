/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hutch stats: what a sandbox and each of its commands use, and how much they have to wait. Without a sandbox: a line for
 * each that runs. With --follow again every second, as JSON lines with --json, until the sandbox has ended.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "attach.h"
#include "json.h"
#include "say.h"
#include "verb.h"

#define EVERY_MS 1000

static void json_pressure(struct json_writer *w, const char *key, const struct hutch_pressure *pressure)
{
	json_begin(w, key, '{');
	json_known_ms(w, "some_avg10", pressure->some_avg10);
	json_known_ms(w, "full_avg10", pressure->full_avg10);
	json_known(w, "some_total_us", pressure->some_total_us);
	json_known(w, "full_total_us", pressure->full_total_us);
	json_end(w, '}');
}

static void json_stats(struct json_writer *w, const char *key, const struct hutch_stats *stats)
{
	json_begin(w, key, '{');
	if (stats->id)
		json_uint(w, "id", stats->id);
	json_known_ms(w, "user_ms", stats->user_ms);
	json_known_ms(w, "system_ms", stats->system_ms);
	json_known_ms(w, "throttled_ms", stats->throttled_ms);
	json_known(w, "memory_bytes", stats->memory_bytes);
	json_known(w, "memory_peak_bytes", stats->memory_peak_bytes);
	json_known(w, "swap_bytes", stats->swap_bytes);
	json_known(w, "pids", stats->pids);
	json_known(w, "pids_peak", stats->pids_peak);
	json_known(w, "io_read_bytes", stats->io_read_bytes);
	json_known(w, "io_write_bytes", stats->io_write_bytes);
	json_known(w, "oom_kills", stats->oom_kills);
	json_begin(w, "pressure", '{');
	json_pressure(w, "cpu", &stats->cpu);
	json_pressure(w, "memory", &stats->memory);
	json_pressure(w, "io", &stats->io);
	json_end(w, '}');
	json_end(w, '}');
}

static void print_json(const char *id, const struct hutch_stats *stats, size_t count)
{
	struct json_writer w = {.out = stdout};

	json_begin(&w, NULL, '{');
	json_string(&w, "sandbox", id);
	json_stats(&w, "total", &stats[0]);
	json_begin(&w, "commands", '[');
	for (size_t i = 1; i < count; i++)
		json_stats(&w, NULL, &stats[i]);
	json_end(&w, ']');
	json_end(&w, '}');
}

static void print_known(double value, int decimals)
{
	if (value < 0)
		printf("  %9s", "-");
	else
		printf("  %9.*f", decimals, value);
}

static void print_row(const char *name, const struct hutch_stats *stats)
{
	const double mib = 1 << 20;

	printf("%-12s", name);
	print_known(stats->user_ms < 0 ? -1 : (stats->user_ms + stats->system_ms) / 1000, 2);
	print_known((double)stats->memory_bytes < 0 ? -1 : (double)stats->memory_bytes / mib, 1);
	print_known((double)stats->memory_peak_bytes < 0 ? -1 : (double)stats->memory_peak_bytes / mib, 1);
	print_known((double)stats->pids, 0);
	print_known((double)stats->io_read_bytes < 0 ? -1 : (double)stats->io_read_bytes / mib, 1);
	print_known((double)stats->io_write_bytes < 0 ? -1 : (double)stats->io_write_bytes / mib, 1);
	print_known(stats->cpu.some_avg10, 2);
	print_known(stats->memory.some_avg10, 2);
	print_known(stats->io.some_avg10, 2);
	putchar('\n');
}

static void print_head(void)
{
	printf("%-12s  %9s  %9s  %9s  %9s  %9s  %9s  %9s  %9s  %9s\n", "ID", "CPU s", "MEM MiB", "PEAK MiB", "PIDS", "READ MiB", "WRIT MiB", "CPU wait%",
	       "MEM wait%", "IO wait%");
}

static void print_table(const char *id, const struct hutch_stats *stats, size_t count)
{
	print_row(id, &stats[0]);
	for (size_t i = 1; i < count; i++) {
		char name[24];
		snprintf(name, sizeof name, "  %" PRIu32, stats[i].id);
		print_row(name, &stats[i]);
	}
}

static int show(struct hutch_sandbox *sandbox, const struct run_options *options, struct hutch_error *err)
{
	struct hutch_stats *stats;
	size_t count;

	if (hutch_sandbox_stats(sandbox, &stats, &count, err) < 0)
		return -1;
	(options->json ? print_json : print_table)(hutch_sandbox_id(sandbox), stats, count);
	free(stats);
	return fflush(stdout) == 0 ? 0 : verb_finish(0);
}

static int show_one(const struct run_options *options, char **words, struct hutch_error *err)
{
	struct attached attached = {0};

	if (attach_to_word(&attached, words, err) < 0)
		return -1;
	if (!options->json)
		print_head();
	int code = show(attached.sandbox, options, err);
	while (code == 0 && options->follow) {
		while (hutch_dispatch(attached.h, EVERY_MS, NULL) > 0 && !attached_is_over(&attached))
			;
		if (attached_is_over(&attached))
			break;
		code = show(attached.sandbox, options, err);
	}
	return code < 0 ? code : verb_finish(code);
}

/* One that has ended meanwhile, or has no cgroup, is a line on stderr at most. */
static void show_each(struct attached *attached, const struct run_options *options, const struct hutch_listing *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct hutch_error why;
		bool is_running = list[i].state == HUTCH_SANDBOX_RUNNING || list[i].state == HUTCH_SANDBOX_PAUSED;
		if (!is_running || attach(attached, list[i].id, NULL) < 0)
			continue;
		if (show(attached->sandbox, options, &why) < 0)
			say("%s: %s", list[i].id, why.message);
		hutch_sandbox_free(attached->sandbox);
	}
}

static int show_all(const struct run_options *options, struct hutch_error *err)
{
	struct attached attached = {0};
	struct hutch_listing *list;
	size_t count;

	if (hutch_new(&attached.h, err) < 0)
		return -1;
	if (!options->json)
		print_head();
	for (;;) {
		if (hutch_list(attached.h, &list, &count, err) < 0)
			return -1;
		show_each(&attached, options, list, count);
		hutch_list_free(list, count);
		if (!options->follow || verb_finish(0) != 0)
			return verb_finish(0);
		poll(NULL, 0, EVERY_MS);
	}
}

static int stats(struct run_options *options, char **words)
{
	struct hutch_error err;
	int code = words[0] ? show_one(options, words, &err) : show_all(options, &err);

	return code < 0 ? verb_failed(&err, options->json) : code;
}

const struct verb verb_stats = {
	.name = "stats",
	.usage = "[options] [SANDBOX]",
	.summary = "tell what a sandbox and its commands use",
	.mask = FOR_STATS,
	.takes_sandbox = true,
	.run = stats,
};
