/* SPDX-License-Identifier: Apache-2.0 */
/* hutch cp --changes: what a sandbox changed in the copy of its workspace is applied to a directory of the host. */
#include <inttypes.h>
#include <stdio.h>

#include "attach.h"
#include "json.h"
#include "notices.h"
#include "say.h"
#include "verb.h"

static int read_words(const struct run_options *options, char **words, struct hutch_error *err)
{
	if (!options->changes)
		return usage_error(err, "what is to be copied? (hutch cp --changes SANDBOX DIR)");
	if (!words[0] || !words[1])
		return usage_error(err, "a %s is missing (hutch cp --changes SANDBOX DIR)", words[0] ? "directory" : "sandbox");
	if (!*words[1])
		return usage_error(err, "the directory's name is empty");
	return verb_refuse_words(words, 2, err);
}

static void report(const struct run_options *options, const struct attached *attached, int64_t saved, const char *directory)
{
	struct json_writer w = {.out = stdout};
	struct notices notices;

	if (options->json) {
		json_begin(&w, NULL, '{');
		json_string(&w, "sandbox", hutch_sandbox_id(attached->sandbox));
		json_string(&w, "directory", directory);
		json_int(&w, "changes", saved);
		json_end(&w, '}');
		return;
	}
	notices_init(&notices, options);
	notice(&notices, "%" PRId64 " %s applied to %s", saved, saved == 1 ? "change was" : "changes were", directory);
	notices_free(&notices);
}

static int cp(struct run_options *options, char **words)
{
	struct attached attached = {0};
	struct hutch_error err;

	if (read_words(options, words, &err) < 0 || attach(&attached, words[0], &err) < 0)
		return verb_failed(&err, options->json);
	int64_t saved = hutch_sandbox_save(attached.sandbox, words[1], &err);
	if (saved < 0)
		return verb_failed(&err, options->json);
	report(options, &attached, saved, words[1]);
	return verb_finish(0);
}

const struct verb verb_cp = {
	.name = "cp",
	.usage = "--changes [options] SANDBOX DIR",
	.summary = "apply what a sandbox changed to a directory",
	.mask = FOR_CP,
	.takes_sandbox = true,
	.run = cp,
};
