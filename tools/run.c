/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hutch run: a new sandbox, one command in it, its exit code.
 *
 * Everything that can be wrong with the request is found before anything is started: the words, the streams, the place of
 * the result. From then on there is one way through: build, go with it (session.c), report (report.c).
 */
#include <limits.h>

#include "notices.h"
#include "plan_text.h"
#include "report.h"
#include "result_file.h"
#include "say.h"
#include "session.h"
#include "streams.h"
#include "verb.h"
#include "workspace.h"

struct run {
	struct run_options *options;
	struct notices notices;
	struct streams streams;
	struct hutch *h;
	struct hutch_sandbox *sandbox;
	char directory[PATH_MAX]; /* the current one, while it is the workspace */
};

/* What was asked for and cannot be done as things are is an error, never left away in silence. */
static int check_request(struct run *run, struct hutch_error *err)
{
	const struct run_options *options = run->options;
	const struct hutch_spec *spec = &options->spec;
	bool is_copy = spec->workspace && spec->workspace_access == HUTCH_ACCESS_COW;

	if (options->save && !is_copy)
		return usage_error(err, "--save: there is no copy-on-write workspace to take changes from (name one with --workspace DIR)");
	if (options->diff && !shows_copies(spec))
		return usage_error(err, "--diff: no copy-on-write directory is shown (name one with --workspace DIR or --cow DIR)");
	if (!options->json && (options->command.output_limit || options->command.on_output_limit))
		notice(&run->notices, "an output limit holds for captured output only, and without --json nothing is captured");
	if (options->result && result_file_check(options->result, err) < 0) {
		run->options->result = NULL; /* no use trying to write there that it cannot be written */
		return -1;
	}
	return 0;
}

static int prepare(struct run *run, char **words, struct hutch_error *err)
{
	struct run_options *options = run->options;

	if (!words[0])
		return usage_error(err, "no command (hutch run [options] [--] COMMAND [ARG...])");
	options->command.argv = (const char *const *)words;
	notices_init(&run->notices, options);
	workspace_choose(options, &run->notices, run->directory);
	if (check_request(run, err) < 0)
		return -1;
	return streams_choose(options, &run->streams, err);
}

/* The exit code, or -1: there is none, and the reason. */
static int execute(struct run *run, struct hutch_error *err)
{
	const struct run_options *options = run->options;
	struct hutch_result *result = NULL;

	run->options->spec.may_move = run->options->spec.thread_stays = true; /* it is a process of ours */
	run->options->spec.discard_usage = !options->json && !options->result;
	run->options->spec.discard_changes = !options->save && !options->diff && !notices_wanted(&run->notices);
	if (hutch_sandbox_run(run->h, &options->spec, &options->command, &run->sandbox, err) < 0)
		return -1;
	const struct attended attended = {
		.h = run->h,
		.sandbox = run->sandbox,
		.process = hutch_sandbox_main(run->sandbox),
		.is_alone = true,
	};
	int got = session_run(&attended, options, &run->streams, &result, err);
	if (got < 0 && got != -HUTCH_E_EXECUTION)
		return -1;
	if (got < 0 && result->outcome != HUTCH_OUTCOME_NOT_STARTED)
		say_error(err); /* --check; why a command was not started is told anyway */
	int code = report_result(options, run->sandbox, result, &run->notices);
	hutch_result_free(result);
	return code;
}

static int go(struct run *run, char **words, struct hutch_error *err)
{
	if (prepare(run, words, err) < 0 || hutch_new(&run->h, err) < 0)
		return -1;
	return run->options->dry_run ? plan_show(run->h, run->options, err) : execute(run, err);
}

static int run_verb(struct run_options *options, char **words)
{
	struct run run = {.options = options, .streams = STREAMS_NONE};
	struct hutch_error err;
	int code = go(&run, words, &err);

	if (code < 0)
		code = report_failure(options, &err);
	hutch_sandbox_abandon(run.sandbox); /* this program ends now */
	streams_close(&run.streams);
	notices_free(&run.notices);
	return code;
}

const struct verb verb_run = {
	.name = "run",
	.usage = "[options] [--] COMMAND [ARG...]",
	.summary = "run one command in a new sandbox",
	.mask = FOR_RUN,
	.takes_command = true,
	.run = run_verb,
};
