/* SPDX-License-Identifier: Apache-2.0 */
/* hutch diff: what a sandbox changed in its copy-on-write directories. */
#include <stdio.h>

#include "attach.h"
#include "changes.h"
#include "json.h"
#include "print.h"
#include "verb.h"

static void print_json(const struct attached *attached, const struct changes *changes)
{
	struct json_writer w = {.out = stdout};

	json_begin(&w, NULL, '{');
	json_string(&w, "sandbox", hutch_sandbox_id(attached->sandbox));
	print_change_list(&w, changes);
	json_end(&w, '}');
}

static int diff(struct run_options *options, char **words)
{
	struct attached attached = {0};
	struct changes changes = CHANGES_NONE;
	struct hutch_error err;

	if (attach_to_word(&attached, words, &err) < 0 || changes_collect(attached.sandbox, NULL, &changes, &err) < 0)
		return verb_failed(&err, options->json);
	if (options->json)
		print_json(&attached, &changes);
	else
		print_changes(stdout, &changes);
	changes_free(&changes);
	return verb_finish(0);
}

const struct verb verb_diff = {
	.name = "diff",
	.usage = "[options] SANDBOX",
	.summary = "list what a sandbox changed in its copies",
	.mask = FOR_DIFF,
	.takes_sandbox = true,
	.run = diff,
};
