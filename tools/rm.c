/* SPDX-License-Identifier: Apache-2.0 */
/* hutch rm: removes sandboxes with their records, logs and files. One that cannot be removed does not keep the others. */
#include <stdio.h>

#include "attach.h"
#include "json.h"
#include "print.h"
#include "say.h"
#include "verb.h"

/* Returns 0 and its id in full, or -1 and the reason. */
static int remove_one(struct hutch *h, const char *word, bool force, char id[40], struct hutch_error *err)
{
	struct attached attached = {.h = h};

	if (attach(&attached, word, err) < 0)
		return -1;
	snprintf(id, 40, "%s", hutch_sandbox_id(attached.sandbox));
	int ret = hutch_sandbox_remove(attached.sandbox, force, err);
	hutch_sandbox_free(attached.sandbox);
	return ret < 0 ? -1 : 0;
}

static void print_one(struct json_writer *w, const char *word, const char *id, const struct hutch_error *err)
{
	json_begin(w, NULL, '{');
	json_string(w, "name", word);
	json_string(w, "sandbox", id);
	if (err)
		print_error(w, err);
	else
		json_null(w, "error");
	json_end(w, '}');
}

static int remove_all(const struct run_options *options, struct hutch *h, char **words)
{
	struct json_writer w = {.out = options->json ? stdout : NULL};
	struct hutch_error err;
	int code = 0;

	if (w.out) {
		json_begin(&w, NULL, '{');
		json_begin(&w, "sandboxes", '[');
	}
	for (char **word = words; *word; word++) {
		char id[40];
		bool is_removed = remove_one(h, *word, options->force, id, &err) == 0;
		if (!is_removed) {
			code = EXIT_HUTCH;
			usage_prefix(&err, "%.100s", *word);
			say_error(&err);
		}
		if (w.out)
			print_one(&w, *word, is_removed ? id : NULL, is_removed ? NULL : &err);
	}
	if (w.out) {
		json_end(&w, ']');
		json_end(&w, '}');
	}
	return verb_finish(code);
}

static int rm(struct run_options *options, char **words)
{
	struct hutch_error err;
	struct hutch *h;

	if (!words[0]) {
		usage_error(&err, "which sandbox? (hutch rm SANDBOX...; see hutch ls --all)");
		return verb_failed(&err, options->json);
	}
	if (hutch_new(&h, &err) < 0)
		return verb_failed(&err, options->json);
	return remove_all(options, h, words);
}

const struct verb verb_rm = {
	.name = "rm",
	.usage = "[options] SANDBOX...",
	.summary = "remove sandboxes with their records, logs and files",
	.mask = FOR_RM,
	.takes_sandbox = true,
	.run = rm,
};
