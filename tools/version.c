/* SPDX-License-Identifier: Apache-2.0 */
/* hutch version: the library's, which is the one that matters. */
#include <stdio.h>

#include "json.h"
#include "verb.h"

static int version(struct run_options *options, char **words)
{
	struct json_writer w = {.out = stdout};
	struct hutch_error err;

	if (verb_refuse_words(words, 0, &err) < 0)
		return verb_failed(&err, options->json);
	if (options->json) {
		json_begin(&w, NULL, '{');
		json_string(&w, "version", hutch_version());
		json_end(&w, '}');
	} else {
		printf("hutch %s\n", hutch_version());
	}
	return verb_finish(0);
}

const struct verb verb_version = {
	.name = "version",
	.usage = "[options]",
	.summary = "print the version",
	.mask = FOR_VERSION,
	.run = version,
};
