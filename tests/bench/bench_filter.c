/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_filter [N]: how long loading each built-in program takes, in a fresh child each time (default N 200), interleaved
 * so that quiet and noisy phases of the machine hit all alike. Also: making a user's own policy, without and with the cache.
 */
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "plan/filter.h"
#include "plan/filter_builtin.h"

#define PROGRAMS (FILTER_BUILTIN_PROFILES * 2)
#define POLICY   "include default\nallow ptrace\n"

static double now_us(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b)
{
	double one = *(const double *)a, two = *(const double *)b;
	return (one > two) - (one < two);
}

static void print_row(const char *name, unsigned instructions, double *samples, size_t count)
{
	qsort(samples, count, sizeof *samples, by_value);
	printf("%-28s %4u instructions  median %8.1f us  p90 %8.1f us  n %zu\n", name, instructions, samples[count / 2],
	       samples[count * 9 / 10], count);
}

/* In the child: the time of the load alone. */
static double load(const struct filter *filter)
{
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	double start = now_us();
	for (unsigned i = 0; i < filter->count; i++) {
		struct sock_filter *code;
		memcpy(&code, &filter->programs[i].instructions, sizeof code);
		struct sock_fprog program = {.len = filter->programs[i].length, .filter = code};
		if (syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
			return -1;
	}
	return now_us() - start;
}

static double load_in_child(const struct filter *filter)
{
	int ends[2];
	double took = -1;
	if (pipe(ends) < 0)
		return -1;
	pid_t pid = fork();
	if (pid == 0) {
		took = load(filter);
		_exit(write(ends[1], &took, sizeof took) != (ssize_t)sizeof took);
	}
	close(ends[1]);
	if (pid < 0 || read(ends[0], &took, sizeof took) != (ssize_t)sizeof took)
		took = -1;
	close(ends[0]);
	waitpid(pid, NULL, 0);
	return took;
}

static void bench_loads(size_t count)
{
	static const struct sock_filter nothing[] = {{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
	struct filter filters[PROGRAMS + 1] = {{.count = 1, .programs = {{.instructions = nothing, .length = 1}}}};
	double *samples = calloc((PROGRAMS + 1) * count, sizeof *samples);
	for (int i = 0; i < PROGRAMS; i++)
		filter_select((enum hutch_seccomp)(i / 2), i % 2, &filters[i + 1]);
	for (size_t n = 0; samples && n < count; n++)
		for (size_t i = 0; i <= PROGRAMS; i++)
			samples[i * count + n] = load_in_child(&filters[i]);
	for (size_t i = 0; samples && i <= PROGRAMS; i++) {
		char name[64] = "load: allow everything";
		if (i > 0)
			snprintf(name, sizeof name, "load: %s%s", filter_builtin_profiles[(i - 1) / 2].name, (i - 1) % 2 ? ", nosuid" : "");
		print_row(name, filters[i].programs[0].length, &samples[i * count], count);
	}
	free(samples);
}

static void bench_policy(const char *name, const char *cache_dir, size_t count)
{
	unsigned instructions = 0;
	double *samples = calloc(count, sizeof *samples), *loads = calloc(count, sizeof *loads);
	for (size_t n = 0; samples && loads && n < count; n++) {
		struct filter filter;
		double start = now_us();
		if (filter_compile_policy_text("bench", POLICY, strlen(POLICY), cache_dir, false, &filter, NULL) < 0)
			abort();
		samples[n] = now_us() - start;
		loads[n] = load_in_child(&filter);
		instructions = (unsigned)filter.programs[0].length + filter.programs[1].length;
		filter_done(&filter);
	}
	if (samples && loads) {
		print_row(name, instructions, samples, count);
		print_row("load: own policy, both", instructions, loads, count);
	}
	free(samples);
	free(loads);
}

int main(int argc, char **argv)
{
	char cache_dir[] = "/tmp/hutch-bench-XXXXXX", command[64];
	long count = argc > 1 ? strtol(argv[1], NULL, 10) : 200;
	if (count < 1 || count > 100000 || !mkdtemp(cache_dir)) {
		fprintf(stderr, "usage: bench_filter [N]\n");
		return EXIT_FAILURE;
	}
	bench_loads((size_t)count);
	bench_policy("make: own policy", NULL, (size_t)count);
	bench_policy("make: own policy, cached", cache_dir, (size_t)count);
	snprintf(command, sizeof command, "rm -r %s", cache_dir);
	return system(command) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
