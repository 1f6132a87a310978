/* SPDX-License-Identifier: Apache-2.0 */
/* hutch stop: TERM to all commands of a sandbox, KILL to what is left after the grace. Its record, logs and files stay. */
#include "attach.h"
#include "verb.h"

#define DEFAULT_GRACE_MS 2000

static int stop(struct run_options *options, char **words)
{
	uint64_t grace_ms = options->command.grace_ms ? options->command.grace_ms : DEFAULT_GRACE_MS;
	struct attached attached = {0};
	struct hutch_error err;

	if (attach_to_word(&attached, words, &err) < 0 || attached_stop(&attached, grace_ms, &err) < 0)
		return verb_failed(&err, options->json);
	return attached_finish(&attached, options);
}

const struct verb verb_stop = {
	.name = "stop",
	.usage = "[options] SANDBOX",
	.summary = "end all commands of a sandbox",
	.mask = FOR_STOP,
	.takes_sandbox = true,
	.run = stop,
};
