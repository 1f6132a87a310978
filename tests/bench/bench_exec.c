/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command in a sandbox that is there already, beside a bare posix_spawn of it: in one of this process's own, and in a
 * detached one through its supervisor. In turn, N rounds, ratios of medians. Then how many commands a second one client
 * gets through one sandbox, one after the other and several at a time.
 * Usage: bench_exec [ROUNDS [COMMAND...]]
 */
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <hutch/hutch.h>

#define ROUNDS_MAX  5000
#define RATIO_AIM   1.8
#define P99_AIM     2.0
#define AT_A_TIME   8

static const struct hutch_stream null = {HUTCH_IO_NULL, -1};
static struct hutch_error err;

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

_Noreturn static void give_up(const char *why)
{
	fprintf(stderr, "bench_exec: %s\n", why);
	exit(1);
}

static struct hutch_process *begin(struct hutch_sandbox *sandbox, const char *const *argv)
{
	struct hutch_process *process;
	if (hutch_sandbox_exec(sandbox, &HUTCH_COMMAND(.argv = argv, .out = null, .err = null), &process, &err) < 0)
		give_up(err.message);
	return process;
}

static void finish(struct hutch_process *process)
{
	struct hutch_result *result;
	if (hutch_process_result(process, -1, &result, &err) < 0)
		give_up(err.message);
	if (result->returncode != 0)
		give_up("the command failed");
	hutch_result_free(result);
	hutch_process_free(process);
}

static double through_hutch(struct hutch_sandbox *sandbox, const char *const *argv)
{
	double start = now();
	finish(begin(sandbox, argv));
	return now() - start;
}

static double plain(char *const *argv)
{
	pid_t pid;
	double start = now();
	if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ) != 0)
		exit(1);
	waitpid(pid, NULL, 0);
	return now() - start;
}

static void report(const char *what, double *samples, int rounds, const double *bare)
{
	qsort(samples, (size_t)rounds, sizeof *samples, compare);
	int p99 = rounds * 99 / 100;
	double ratio = samples[rounds / 2] / bare[rounds / 2], tail = samples[p99] / bare[p99];
	printf("%-24s median %.3f ms, p99 %.3f; ratio %.2f (aim %.1f: %s), p99 %.2f (aim %.1f: %s)\n", what, samples[rounds / 2], samples[p99], ratio, RATIO_AIM,
	       ratio <= RATIO_AIM ? "reached" : "NOT reached", tail, P99_AIM, tail <= P99_AIM ? "reached" : "NOT reached");
}

static void throughput(const char *what, struct hutch_sandbox *sandbox, const char *const *argv, int count, int at_a_time)
{
	struct hutch_process *running[AT_A_TIME] = {NULL};
	double start = now();
	for (int i = 0; i < count + at_a_time; i++) {
		struct hutch_process **slot = &running[i % at_a_time];
		if (*slot)
			finish(*slot);
		*slot = i < count ? begin(sandbox, argv) : NULL;
	}
	printf("%-24s %d at a time: %.0f commands a second (of %d)\n", what, at_a_time, count / (now() - start) * 1e3, count);
}

int main(int argc, char **argv)
{
	static double own[ROUNDS_MAX], kept[ROUNDS_MAX], bare[ROUNDS_MAX];
	static const char *const standard[] = {"/bin/true", NULL};
	const char *const *command = argc > 2 ? (const char *const *)argv + 2 : standard;
	int rounds = argc > 1 ? atoi(argv[1]) : 1000;
	struct hutch *h;
	struct hutch_sandbox *attached, *detached;
	if (rounds < 1 || rounds > ROUNDS_MAX || hutch_new(&h, &err) < 0 || hutch_sandbox_run(h, NULL, NULL, &attached, &err) < 0 ||
	    hutch_sandbox_run(h, &HUTCH_SPEC(.detached = true, .lifetime_ms = 600000), NULL, &detached, &err) < 0)
		give_up(err.message);
	for (int i = 0; i < rounds; i++) {
		own[i] = through_hutch(attached, command);
		kept[i] = through_hutch(detached, command);
		bare[i] = plain((char *const *)(uintptr_t)command);
	}
	qsort(bare, (size_t)rounds, sizeof *bare, compare);
	printf("%-24s median %.3f ms, p99 %.3f (%d rounds)\n", "posix_spawn", bare[rounds / 2], bare[rounds * 99 / 100], rounds);
	report("exec, attached sandbox", own, rounds, bare);
	report("exec, detached sandbox", kept, rounds, bare);
	throughput("throughput, attached", attached, command, rounds, 1);
	throughput("throughput, detached", detached, command, rounds, 1);
	throughput("throughput, detached", detached, command, rounds, AT_A_TIME);
	hutch_sandbox_remove(detached, true, &err);
	hutch_free(h);
	return 0;
}
