/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hutch wait: until a command has ended; its exit code is ours. A sandbox without a main command is waited for until it is
 * stopped, which is code 0: nothing of it can have failed.
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "attach.h"
#include "json.h"
#include "notices.h"
#include "report.h"
#include "say.h"
#include "verb.h"

#define EXIT_TIMEOUT 124

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int wait_for_stop(const struct attached *attached, const struct run_options *options, struct hutch_error *err)
{
	int64_t end = options->wait_ms ? now_ms() + (int64_t)options->wait_ms : INT64_MAX;

	while (!attached_is_over(attached)) {
		int64_t left = end - now_ms();
		if (left <= 0) {
			usage_error(err, "the sandbox was not stopped within the time given");
			err->code = HUTCH_E_TIMEOUT;
			return -err->code;
		}
		int got = hutch_dispatch(attached->h, left < INT32_MAX ? (int)left : -1, err);
		if (got < 0)
			return got;
	}
	if (hutch_sandbox_state(attached->sandbox) != HUTCH_SANDBOX_FAILED)
		return 0;
	usage_error(err, "the sandbox's supervisor has ended, and with it the sandbox");
	err->code = HUTCH_E_GONE;
	return -err->code;
}

static int report_stop(const struct attached *attached, const struct run_options *options)
{
	struct json_writer w = {.out = stdout};

	if (options->json) {
		json_begin(&w, NULL, '{');
		json_string(&w, "sandbox", hutch_sandbox_id(attached->sandbox));
		json_null(&w, "id");
		json_null(&w, "command");
		json_string(&w, "state", hutch_sandbox_state_name((int)hutch_sandbox_state(attached->sandbox)));
		json_int(&w, "returncode", 0);
		json_end(&w, '}');
	}
	return verb_finish(0);
}

static int wait_for_process(const struct attached *attached, const struct run_options *options, struct hutch_error *err)
{
	int64_t timeout_ms = options->wait_ms ? (int64_t)options->wait_ms : -1;
	struct hutch_result *result;
	struct hutch_process *process;
	struct notices notices;

	if (attached_process(attached, options, &process, err) < 0)
		return -1;
	int got = hutch_process_result(process, timeout_ms, &result, err);
	if (got < 0 && got != -HUTCH_E_EXECUTION)
		return got;
	notices_init(&notices, options);
	int code = report_result(options, attached->sandbox, result, &notices);
	notices_free(&notices);
	hutch_result_free(result);
	return code;
}

static int go(struct attached *attached, const struct run_options *options, char **words, struct hutch_error *err)
{
	if (attach_to_word(attached, words, err) < 0)
		return -1;
	if (options->exec_id || hutch_sandbox_main(attached->sandbox))
		return wait_for_process(attached, options, err);
	int got = wait_for_stop(attached, options, err);
	return got < 0 ? got : report_stop(attached, options);
}

static int wait_verb(struct run_options *options, char **words)
{
	struct attached attached = {0};
	struct hutch_error err;
	int code = go(&attached, options, words, &err);

	if (code >= 0)
		return code;
	verb_failed(&err, options->json);
	return err.code == HUTCH_E_TIMEOUT ? EXIT_TIMEOUT : EXIT_HUTCH;
}

const struct verb verb_wait = {
	.name = "wait",
	.usage = "[options] SANDBOX",
	.summary = "wait until a command has ended; exit with its code",
	.mask = FOR_WAIT,
	.takes_sandbox = true,
	.run = wait_verb,
};
