/* SPDX-License-Identifier: Apache-2.0 */
/* hutch gc: removes what sandboxes have left behind whose supervisor was killed, or the machine switched off. */
#include <stdio.h>

#include "json.h"
#include "verb.h"

static int gc(struct run_options *options, char **words)
{
	struct json_writer w = {.out = stdout};
	struct hutch_error err;
	struct hutch *h;

	if (verb_refuse_words(words, 0, &err) < 0 || hutch_new(&h, &err) < 0)
		return verb_failed(&err, options->json);
	int removed = hutch_gc(h, &err);
	if (removed < 0)
		return verb_failed(&err, options->json);
	if (options->json) {
		json_begin(&w, NULL, '{');
		json_int(&w, "removed", removed);
		json_end(&w, '}');
	} else {
		printf("%d removed\n", removed);
	}
	return verb_finish(0);
}

const struct verb verb_gc = {
	.name = "gc",
	.usage = "[options]",
	.summary = "remove what dead sandboxes have left behind",
	.mask = FOR_GC,
	.run = gc,
};
