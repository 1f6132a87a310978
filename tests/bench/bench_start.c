/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the time of one start goes: runs a command N times through the library, with init telling when each stage was
 * over, and prints the median time of each stage. Usage: bench_start [N [COMMAND...]]
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <hutch/hutch.h>

#include "engine/engine.h"
#include "plan/stage.h"

#define RUNS_MAX 2000

/* Two more than init's stages: what comes before and after them. */
enum { PART_OWNER_DONE = STAGES, PART_RESULT, PART_FREED, PARTS };

static double samples[PARTS][RUNS_MAX];
static unsigned counts[PARTS];
static double totals[RUNS_MAX];

static uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static double median(double *list, unsigned count)
{
	qsort(list, count, sizeof *list, compare);
	return count ? list[count / 2] : 0;
}

static void add(unsigned part, uint64_t from, uint64_t to)
{
	if (counts[part] < RUNS_MAX)
		samples[part][counts[part]++] = (double)(to - from) / 1000;
}

static void run_once(struct hutch *h, const char *const *argv, const char *workspace, unsigned run)
{
	int trace[2];
	struct hutch_error err;
	struct hutch_sandbox *sandbox;
	struct hutch_result *result;
	if (pipe2(trace, O_CLOEXEC | O_NONBLOCK) < 0)
		exit(1);
	h->trace = trace[1];
	uint64_t start = now_ns();
	if (hutch_sandbox_run(h, &HUTCH_SPEC(.workspace = workspace, .workspace_access = HUTCH_ACCESS_COW), &HUTCH_COMMAND(.argv = argv), &sandbox, &err) < 0) {
		fprintf(stderr, "bench_start: %s\n", err.message);
		exit(1);
	}
	uint64_t launched = now_ns();
	if (hutch_sandbox_wait_until_complete(sandbox, -1, &result, &err) < 0 || result->returncode != 0) {
		fprintf(stderr, "bench_start: the command failed\n");
		exit(1);
	}
	uint64_t known = now_ns();
	hutch_result_free(result);
	hutch_sandbox_free(sandbox);
	uint64_t freed = now_ns(), last = start;
	struct plan_trace record;
	while (read(trace[0], &record, sizeof record) == sizeof record) {
		if (record.stage < STAGES)
			add(record.stage, last, record.monotonic_ns);
		last = record.monotonic_ns;
	}
	add(PART_OWNER_DONE, start, launched);
	add(PART_RESULT, last, known);
	add(PART_FREED, known, freed);
	totals[run] = (double)(freed - start) / 1000;
	close(trace[0]);
	close(trace[1]);
}

int main(int argc, char **argv)
{
	static const char *const standard[] = {"/bin/true", NULL};
	unsigned runs = argc > 1 ? (unsigned)atoi(argv[1]) : 200;
	const char *const *command = argc > 2 ? (const char *const *)argv + 2 : standard;
	struct hutch *h;
	char workspace[4096];
	if (runs == 0 || runs > RUNS_MAX || !getcwd(workspace, sizeof workspace) || hutch_new(&h, NULL) < 0)
		return 1;
	for (unsigned i = 0; i < runs; i++)
		run_once(h, command, workspace, i);
	printf("%-16s %8s   (median of %u starts, microseconds)\n", "stage", "us", runs);
	for (unsigned stage = 1; stage < STAGES; stage++)
		if (counts[stage])
			printf("%-16s %8.0f%s\n", stage_name(stage), median(samples[stage], counts[stage]), stage == STAGE_RECEIVE ? "   (with plan, clone and init's exec)" : "");
	printf("%-16s %8.0f   (from the exec to the result)\n", "run", median(samples[PART_RESULT], counts[PART_RESULT]));
	printf("%-16s %8.0f\n", "tear-down", median(samples[PART_FREED], counts[PART_FREED]));
	printf("%-16s %8.0f   (until the clone has returned)\n", "owner", median(samples[PART_OWNER_DONE], counts[PART_OWNER_DONE]));
	printf("%-16s %8.0f\n", "all", median(totals, runs));
	hutch_free(h);
	return 0;
}
