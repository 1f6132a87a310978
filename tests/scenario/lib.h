/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_TESTS_LIB_H
#define HUTCH_TESTS_LIB_H

/* Scenarios through the library, as a program of its users sees it: only <hutch/hutch.h>, and libhutch.so. */

#include <signal.h>
#include <sys/wait.h>

#include <hutch/hutch.h>

#include "helpers.h"

#define SH(text) ((const char *const[]){"sh", "-c", (text), NULL})
#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})
#define LATE_MS 2000 /* what a noisy machine may add to a time; the measured one is printed */

static struct hutch *h;
static struct hutch_error err;

static inline void lib_set_up(void)
{
	memset(&err, 0, sizeof err);
	ck_assert_msg(hutch_new(&h, &err) == 0, "%s", err.message);
}

static inline void lib_tear_down(void)
{
	hutch_free(h);
	h = NULL;
}

static inline struct hutch_sandbox *start(const struct hutch_spec *spec, const struct hutch_command *command)
{
	struct hutch_sandbox *sandbox = NULL;
	int ret = hutch_sandbox_run(h, spec, command, &sandbox, &err);
	ck_assert_msg(ret == 0, "%d: %s (%s)", ret, err.message, err.hint);
	ck_assert_ptr_nonnull(sandbox);
	return sandbox;
}

static inline struct hutch_result *finish(struct hutch_sandbox *sandbox)
{
	struct hutch_result *result = NULL;
	int ret = hutch_sandbox_wait_until_complete(sandbox, 100000, &result, &err);
	ck_assert_msg(ret == 0 || ret == -HUTCH_E_EXECUTION, "%d: %s", ret, err.message);
	ck_assert_ptr_nonnull(result);
	if (result->outcome == HUTCH_OUTCOME_NOT_STARTED)
		fprintf(stderr, "not started: %s: %s\n", result->error.stage, result->error.message);
	return result;
}

/* Runs to the end; the sandbox is gone, the result remains. */
static inline struct hutch_result *run(const struct hutch_spec *spec, const struct hutch_command *command)
{
	struct hutch_sandbox *sandbox = start(spec, command);
	struct hutch_result *result = finish(sandbox);
	hutch_sandbox_free(sandbox);
	return result;
}

static inline struct hutch_result *run_sh(const char *text)
{
	return run(NULL, &HUTCH_COMMAND(.argv = SH(text)));
}

/* The pid of the first child of this process: a sandbox's init. 0: there is none. */
static inline pid_t child_of(pid_t parent)
{
	char path[64], text[64] = "";
	snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)parent, (int)parent);
	FILE *file = fopen(path, "re");
	if (!file)
		return 0;
	if (!fgets(text, sizeof text, file))
		text[0] = '\0';
	fclose(file);
	return (pid_t)strtol(text, NULL, 10);
}

static inline long status_kib(const char *field)
{
	char line[256];
	long value = -1;
	FILE *file = fopen("/proc/self/status", "re");
	while (file && value < 0 && fgets(line, sizeof line, file))
		if (strncmp(line, field, strlen(field)) == 0)
			value = strtol(line + strlen(field) + 1, NULL, 10);
	if (file)
		fclose(file);
	return value;
}

#endif
