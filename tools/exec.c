/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hutch exec: a further command in a sandbox that is there.
 *
 * In the foreground it is as in `run`: streams pass through or are captured, a terminal becomes one of the command's own,
 * the exit code is the command's. With --detach it goes on alone, and its id is what is printed.
 */
#include "exec.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "attach.h"
#include "json.h"
#include "notices.h"
#include "report.h"
#include "result_file.h"
#include "say.h"
#include "session.h"
#include "streams.h"
#include "verb.h"

struct exec {
	struct run_options *options;
	struct notices notices;
	struct streams streams;
	struct attached attached;
};

static int check_detached(const struct run_options *options, struct hutch_error *err)
{
	if (options->result)
		return usage_error(err, "--detach and --result exclude each other: there is no result yet (hutch wait --exec ID --json SANDBOX)");
	if (options->command.check)
		return usage_error(err, "--detach and --check exclude each other: hutch does not see the command end");
	return 0;
}

static int prepare(struct exec *exec, struct hutch_error *err)
{
	struct run_options *options = exec->options;

	notices_init(&exec->notices, options);
	options->command.limits = options->spec.limits; /* of this command, not of the sandbox */
	options->command.has_uid = options->spec.has_uid || options->spec.as_root;
	options->command.uid = options->spec.uid;
	if (options->detach)
		return check_detached(options, err) < 0 ? -1 : streams_choose_kept(options, &exec->streams, err);
	if (!options->json && (options->command.output_limit || options->command.on_output_limit))
		notice(&exec->notices, "an output limit holds for captured output only, and without --json nothing is captured");
	if (options->result && result_file_check(options->result, err) < 0) {
		options->result = NULL; /* no use trying to write there that it cannot be written */
		return -1;
	}
	return streams_choose(options, &exec->streams, err);
}

static int detach(struct exec *exec, struct hutch_error *err)
{
	struct json_writer w = {.out = stdout};
	char text[16];
	uint32_t id;

	if (hutch_sandbox_exec_detached(exec->attached.sandbox, &exec->options->command, &id, err) < 0)
		return -1;
	snprintf(text, sizeof text, "%" PRIu32, id);
	if (exec->options->json) {
		json_begin(&w, NULL, '{');
		json_string(&w, "sandbox", hutch_sandbox_id(exec->attached.sandbox));
		json_string(&w, "id", text);
		json_end(&w, '}');
	} else {
		puts(text);
	}
	return verb_finish(0);
}

static int attend(struct exec *exec, struct hutch_error *err)
{
	const struct run_options *options = exec->options;
	struct attended attended = {.h = exec->attached.h, .sandbox = exec->attached.sandbox};
	struct hutch_result *result;

	if (hutch_sandbox_exec(attended.sandbox, &options->command, &attended.process, err) < 0)
		return -1;
	int got = session_run(&attended, options, &exec->streams, &result, err);
	if (got < 0 && got != -HUTCH_E_EXECUTION)
		return -1;
	if (got < 0 && result->outcome != HUTCH_OUTCOME_NOT_STARTED)
		say_error(err); /* --check; why a command was not started is told anyway */
	int code = report_result(options, attended.sandbox, result, &exec->notices);
	hutch_result_free(result);
	return code;
}

static int go(struct exec *exec, const char *word, struct hutch_error *err)
{
	if (prepare(exec, err) < 0 || attach(&exec->attached, word, err) < 0)
		return -1;
	return exec->options->detach ? detach(exec, err) : attend(exec, err);
}

/* Nothing is let go of at the end: the process ends, and that is quicker. */
int exec_command(struct run_options *options, const char *word, char *const *command)
{
	struct exec exec = {.options = options, .streams = STREAMS_NONE};
	struct hutch_error err;

	options->command.argv = (const char *const *)command;
	int code = go(&exec, word, &err);
	if (code < 0)
		code = report_failure(options, &err);
	streams_close(&exec.streams);
	notices_free(&exec.notices);
	return code;
}

char **exec_words(const char *verb, char **words, struct hutch_error *err)
{
	if (words[0] && strcmp(words[0], "--") == 0)
		return words + 1;
	if (words[0] && words[0][0] == '-') {
		usage_error(err, "\"%.100s\" is no command: options stand before the sandbox (hutch %s [options] SANDBOX [--] COMMAND)", words[0],
		            verb);
		return NULL;
	}
	return words;
}

static int exec_verb(struct run_options *options, char **words)
{
	struct hutch_error err;
	char **command = words[0] ? exec_words("exec", words + 1, &err) : words;

	if (command && command[0])
		return exec_command(options, words[0], command);
	if (command)
		usage_error(&err, "no %s (hutch exec [options] SANDBOX [--] COMMAND [ARG...])", words[0] ? "command" : "sandbox and no command");
	return report_failure(options, &err);
}

const struct verb verb_exec = {
	.name = "exec",
	.usage = "[options] SANDBOX [--] COMMAND [ARG...]",
	.summary = "run a command in a sandbox that is there",
	.mask = FOR_EXEC,
	.takes_command = true,
	.takes_sandbox = true,
	.run = exec_verb,
};
