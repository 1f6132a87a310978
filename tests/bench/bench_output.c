/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast is captured output taken? The same command once through the library, once with a plain reader on a pipe of
 * the same size; in turn, N rounds, ratio of medians. Usage: bench_output [ROUNDS [MEGABYTES]]
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <hutch/hutch.h>

#define ROUNDS_MAX 100
#define PIPE_SIZE  (1 << 20)

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static double median(double *list, int count)
{
	qsort(list, (size_t)count, sizeof *list, compare);
	return list[count / 2];
}

static double through_hutch(struct hutch *h, const char *const *argv)
{
	struct hutch_sandbox *sandbox;
	struct hutch_result *result;
	struct hutch_error err;
	double start = now();
	if (hutch_sandbox_run(h, NULL, &HUTCH_COMMAND(.argv = argv), &sandbox, &err) < 0 ||
	    hutch_sandbox_wait_until_complete(sandbox, -1, &result, &err) < 0) {
		fprintf(stderr, "bench_output: %s\n", err.message);
		exit(1);
	}
	double taken = now() - start;
	hutch_result_free(result);
	hutch_sandbox_free(sandbox);
	return taken;
}

static double plain(char *const *argv)
{
	static char buffer[PIPE_SIZE];
	int ends[2];
	pid_t pid;
	posix_spawn_file_actions_t actions;
	double start = now();
	if (pipe2(ends, O_CLOEXEC) < 0 || fcntl(ends[0], F_SETPIPE_SZ, PIPE_SIZE) < 0)
		exit(1);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
	if (posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ) != 0)
		exit(1);
	close(ends[1]);
	while (read(ends[0], buffer, sizeof buffer) > 0)
		;
	close(ends[0]);
	waitpid(pid, NULL, 0);
	posix_spawn_file_actions_destroy(&actions);
	return now() - start;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 15;
	char size[32];
	static double captured[ROUNDS_MAX], drained[ROUNDS_MAX];
	struct hutch *h;
	snprintf(size, sizeof size, "%sM", argc > 2 ? argv[2] : "512");
	const char *const command[] = {"head", "-c", size, "/dev/zero", NULL};
	if (rounds < 1 || rounds > ROUNDS_MAX || hutch_new(&h, NULL) < 0)
		return 1;
	for (int i = 0; i < rounds; i++) {
		captured[i] = through_hutch(h, command);
		drained[i] = plain((char *const *)(uintptr_t)command);
	}
	double a = median(captured, rounds), b = median(drained, rounds);
	printf("captured output, %s, %d rounds: hutch %.0f ms (start included), plain reader %.0f ms; rate %.2f of the plain reader's, to be at least 0.8: %s\n",
	       size, rounds, a * 1e3, b * 1e3, b / a, b / a >= 0.8 ? "reached" : "NOT reached");
	hutch_free(h);
	return 0;
}
