/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hutch run: a new sandbox, one command in it, its exit code.
 *
 * Everything that can be wrong with the request is found before anything is started: the words, the streams, the place of
 * the result. From then on there is one way through: build, go with it (session.c), report (report.c).
 */
#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "json.h"
#include "notices.h"
#include "print.h"
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

/* getpwuid() would load name services, which a statically linked program cannot. */
static const char *find_home_entry(void)
{
	FILE *file = fopen("/etc/passwd", "re");
	const struct passwd *entry = NULL;

	if (!file)
		return NULL;
	do
		entry = fgetpwent(file);
	while (entry && entry->pw_uid != getuid());
	fclose(file);
	return entry ? entry->pw_dir : NULL;
}

/* Without links, as the current directory's name is. The password file is asked only if the environment has no answer. */
static const char *find_home(char home[PATH_MAX])
{
	const char *name = getenv("HOME");

	if (!name || name[0] != '/')
		name = find_home_entry();
	return name && realpath(name, home) ? home : name;
}

static void choose_workspace(struct run *run)
{
	struct hutch_spec *spec = &run->options->spec;
	char home[PATH_MAX];
	const char *refusal = "a directory that cannot be found";

	/* with --rootfs nothing of the host is shown unless it is named */
	if (run->options->workspace != WORKSPACE_DEFAULT || spec->root == HUTCH_ROOT_DIRECTORY)
		return;
	if (getcwd(run->directory, sizeof run->directory) && run->directory[0] == '/')
		refusal = workspace_refusal(run->directory, find_home(home));
	if (refusal) {
		notice(&run->notices,
		       "the current directory is not shown: it is %s; the command starts in a private home (to show one: --workspace DIR)",
		       refusal);
		return;
	}
	spec->workspace = run->directory;
	spec->workspace_access = HUTCH_ACCESS_COW;
}

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
	choose_workspace(run);
	if (check_request(run, err) < 0)
		return -1;
	return streams_choose(options, &run->streams, err);
}

static void print_plan(const char *plan, bool json)
{
	struct json_writer w = {.out = stdout};

	if (!json) {
		print_lines(stdout, plan);
		return;
	}
	json_begin(&w, NULL, '{');
	json_begin(&w, "plan", '[');
	while (*plan) {
		size_t length = strcspn(plan, "\n");
		json_text(&w, NULL, plan, length);
		plan += length + (plan[length] == '\n');
	}
	json_end(&w, ']');
	json_end(&w, '}');
}

static int show_plan(struct run *run, struct hutch_error *err)
{
	char *plan;

	if (hutch_plan_text(run->h, &run->options->spec, &run->options->command, &plan, err) < 0)
		return -1;
	print_plan(plan, run->options->json);
	free(plan);
	return verb_finish(0);
}

/* The exit code, or -1: there is none, and the reason. */
static int execute(struct run *run, struct hutch_error *err)
{
	const struct run_options *options = run->options;
	struct hutch_result *result = NULL;

	run->options->spec.discard_changes = !options->save && !options->diff && !notices_wanted(&run->notices);
	if (hutch_sandbox_run(run->h, &options->spec, &options->command, &run->sandbox, err) < 0)
		return -1;
	int got = session_run(run->h, run->sandbox, options, &run->streams, &result, err);
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
	return run->options->dry_run ? show_plan(run, err) : execute(run, err);
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
