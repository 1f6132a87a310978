/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a command in a sandbox for at most ten seconds and tells what became of it: all of libhutch that many programs
 * need. Build: cc minimal.c $(pkg-config --cflags --libs libhutch). Try: ./minimal python3 -c 'print(6 * 7)'
 */
#include <hutch/hutch.h>

#include <stdio.h>

static int fail(const struct hutch_error *err)
{
	fprintf(stderr, "%s: %s\n%s\n", hutch_error_code_name(err->code), err->message, err->hint);
	return 1;
}

static int show(const struct hutch_result *result)
{
	fwrite(result->out.data, 1, result->out.size, stdout);
	fwrite(result->err.data, 1, result->err.size, stderr);
	if (result->outcome == HUTCH_OUTCOME_NOT_STARTED)
		return fail(&result->error);
	printf("outcome: %s, code: %d\n", hutch_outcome_name((int)result->outcome), result->returncode);
	return 0;
}

int main(int argc, char **argv)
{
	struct hutch *hutch;
	struct hutch_sandbox *sandbox;
	struct hutch_result *result;
	struct hutch_error err;
	int ret;

	if (argc < 2) {
		fprintf(stderr, "usage: minimal COMMAND [ARG...]\n");
		return 2;
	}
	if (hutch_new(&hutch, &err) < 0)
		return fail(&err);

	const struct hutch_command command = HUTCH_COMMAND(.argv = (const char *const *)argv + 1, .timeout_ms = 10000);
	if (hutch_sandbox_run(hutch, NULL, &command, &sandbox, &err) < 0)
		ret = fail(&err);
	else if (hutch_sandbox_wait_until_complete(sandbox, -1, &result, &err) < 0)
		ret = fail(&err);
	else {
		ret = show(result);
		hutch_result_free(result);
	}
	hutch_free(hutch); /* and with it the sandbox */
	return ret;
}
