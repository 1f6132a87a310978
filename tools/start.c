/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hutch start: a new sandbox that stays, with a main command or without one. Its id, alone, is what is printed, once the
 * command has been started. Where it could not be started nothing stays behind: the reason is told here, and the name is
 * free for the next attempt.
 */
#include <limits.h>
#include <stdio.h>

#include "json.h"
#include "notices.h"
#include "plan_text.h"
#include "say.h"
#include "streams.h"
#include "verb.h"
#include "workspace.h"

#define EXIT_NOT_EXECUTABLE 126
#define EXIT_NOT_FOUND      127

/* A supervisor that does not answer is not waited for longer. */
#define ANSWER_MS 2000

struct start {
	struct run_options *options;
	struct notices notices;
	struct streams streams;
	struct hutch *h;
	struct hutch_sandbox *sandbox;
	char directory[PATH_MAX]; /* the current one, while it is the workspace */
};

static int prepare(struct start *start, char **words, struct hutch_error *err)
{
	struct run_options *options = start->options;

	if (!words[0] && (options->tty || options->interactive || options->stdin_file || options->command.timeout_ms))
		return usage_error(err, "%s is for a main command, and there is none (hutch start [options] [--] [COMMAND [ARG...]])",
		                   options->tty           ? "--tty"
		                   : options->interactive ? "--interactive"
		                   : options->stdin_file  ? "--stdin"
		                                          : "--timeout");
	options->command.argv = words[0] ? (const char *const *)words : NULL;
	options->spec.detached = true;
	notices_init(&start->notices, options);
	workspace_choose(options, &start->notices, start->directory);
	return streams_choose_kept(options, &start->streams, err);
}

/* The library's error for a command that cannot be started, as the exit code that `run` has for it. */
static int error_exit_code(const struct hutch_error *err)
{
	if (err->code == HUTCH_E_NOT_FOUND)
		return EXIT_NOT_FOUND;
	return err->code == HUTCH_E_NOT_EXECUTABLE ? EXIT_NOT_EXECUTABLE : EXIT_HUTCH;
}

static int await_start(struct start *start, struct hutch_error *err)
{
	struct hutch_result *result;

	while (hutch_sandbox_state(start->sandbox) == HUTCH_SANDBOX_PENDING) {
		int got = hutch_dispatch(start->h, -1, err);
		if (got < 0)
			return EXIT_HUTCH;
	}
	if (hutch_sandbox_state(start->sandbox) != HUTCH_SANDBOX_FAILED)
		return 0;
	int got = hutch_sandbox_wait_until_complete(start->sandbox, ANSWER_MS, &result, err);
	if (got < 0 && got != -HUTCH_E_EXECUTION)
		return EXIT_HUTCH;
	int code = result->returncode;
	*err = result->error;
	hutch_result_free(result);
	return code ? code : EXIT_HUTCH;
}

static int print_started(const struct start *start)
{
	const struct run_options *options = start->options;
	const char *id = hutch_sandbox_id(start->sandbox);
	struct json_writer w = {.out = stdout};

	if (!options->json) {
		puts(id);
		return verb_finish(0);
	}
	json_begin(&w, NULL, '{');
	json_string(&w, "sandbox", id);
	json_string(&w, "name", options->spec.name);
	json_string(&w, "state", hutch_sandbox_state_name((int)hutch_sandbox_state(start->sandbox)));
	json_begin(&w, "warnings", '[');
	for (size_t i = 0; i < start->notices.count; i++)
		json_string(&w, NULL, start->notices.texts[i]);
	json_end(&w, ']');
	json_end(&w, '}');
	return verb_finish(0);
}

static int execute(struct start *start, struct hutch_error *err)
{
	const struct run_options *options = start->options;
	const struct hutch_command *command = options->command.argv ? &options->command : NULL;

	int code = 0;
	if (hutch_sandbox_run(start->h, &options->spec, command, &start->sandbox, err) < 0)
		code = error_exit_code(err);
	else
		code = await_start(start, err);
	if (!code)
		return print_started(start);
	if (start->sandbox)
		hutch_sandbox_remove(start->sandbox, true, NULL);
	verb_failed(err, options->json);
	return code;
}

static int go(struct start *start, char **words, struct hutch_error *err)
{
	if (prepare(start, words, err) < 0 || hutch_new(&start->h, err) < 0)
		return -1;
	return start->options->dry_run ? plan_show(start->h, start->options, err) : execute(start, err);
}

static int start_verb(struct run_options *options, char **words)
{
	struct start start = {.options = options, .streams = STREAMS_NONE};
	struct hutch_error err;
	int code = go(&start, words, &err);

	if (code < 0)
		code = verb_failed(&err, options->json);
	streams_close(&start.streams);
	notices_free(&start.notices);
	return code;
}

const struct verb verb_start = {
	.name = "start",
	.usage = "[options] [--] [COMMAND [ARG...]]",
	.summary = "start a sandbox that stays; print its id",
	.mask = FOR_START,
	.takes_command = true,
	.run = start_verb,
};
