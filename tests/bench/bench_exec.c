/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command in a sandbox that is there already, beside a bare posix_spawn of it; in turn, N rounds, ratio of medians.
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

#define ROUNDS_MAX 5000

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

static double through_hutch(struct hutch_sandbox *sandbox, const char *const *argv)
{
	struct hutch_process *process;
	struct hutch_result *result;
	struct hutch_error err;
	const struct hutch_stream null = {HUTCH_IO_NULL, -1};
	double start = now();
	if (hutch_sandbox_exec(sandbox, &HUTCH_COMMAND(.argv = argv, .out = null, .err = null), &process, &err) < 0 ||
	    hutch_process_result(process, -1, &result, &err) < 0) {
		fprintf(stderr, "bench_exec: %s\n", err.message);
		exit(1);
	}
	double taken = now() - start;
	if (result->returncode != 0)
		exit(1);
	hutch_result_free(result);
	hutch_process_free(process);
	return taken;
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

int main(int argc, char **argv)
{
	static double inside[ROUNDS_MAX], bare[ROUNDS_MAX];
	static const char *const standard[] = {"/bin/true", NULL};
	const char *const *command = argc > 2 ? (const char *const *)argv + 2 : standard;
	int rounds = argc > 1 ? atoi(argv[1]) : 1000;
	struct hutch *h;
	struct hutch_sandbox *sandbox;
	if (rounds < 1 || rounds > ROUNDS_MAX || hutch_new(&h, NULL) < 0 || hutch_sandbox_run(h, NULL, NULL, &sandbox, NULL) < 0)
		return 1;
	for (int i = 0; i < rounds; i++) {
		inside[i] = through_hutch(sandbox, command);
		bare[i] = plain((char *const *)(uintptr_t)command);
	}
	qsort(inside, (size_t)rounds, sizeof *inside, compare);
	qsort(bare, (size_t)rounds, sizeof *bare, compare);
	int p99 = rounds * 99 / 100;
	printf("exec in a kept sandbox, %d rounds: median %.3f ms, p99 %.3f; posix_spawn %.3f, p99 %.3f; ratio %.2f, p99 %.2f\n", rounds,
	       inside[rounds / 2], inside[p99], bare[rounds / 2], bare[p99], inside[rounds / 2] / bare[rounds / 2], inside[p99] / bare[p99]);
	hutch_free(h);
	return 0;
}
