/* SPDX-License-Identifier: Apache-2.0 */
/* hutch pause, hutch resume: nothing in a sandbox runs for a while. */
#include "attach.h"
#include "verb.h"

/* How long the supervisor may take to tell of the new state. */
#define TELL_MS 500

static int suspend(struct run_options *options, char **words, bool stop)
{
	enum hutch_sandbox_state wanted = stop ? HUTCH_SANDBOX_PAUSED : HUTCH_SANDBOX_RUNNING;
	struct attached attached = {0};
	struct hutch_error err;

	if (attach_to_word(&attached, words, &err) < 0 || hutch_sandbox_suspend(attached.sandbox, stop, &err) < 0)
		return verb_failed(&err, options->json);
	while (hutch_sandbox_state(attached.sandbox) != wanted && !attached_is_over(&attached) && hutch_dispatch(attached.h, TELL_MS, NULL) > 0)
		;
	return attached_finish(&attached, options);
}

static int pause_verb(struct run_options *options, char **words)
{
	return suspend(options, words, true);
}

static int resume_verb(struct run_options *options, char **words)
{
	return suspend(options, words, false);
}

const struct verb verb_pause = {
	.name = "pause",
	.usage = "[options] SANDBOX",
	.summary = "let nothing in a sandbox run for a while",
	.mask = FOR_PAUSE,
	.takes_sandbox = true,
	.run = pause_verb,
};

const struct verb verb_resume = {
	.name = "resume",
	.usage = "[options] SANDBOX",
	.summary = "let a paused sandbox go on",
	.mask = FOR_RESUME,
	.takes_sandbox = true,
	.run = resume_verb,
};
