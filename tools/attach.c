/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs of kept sandboxes have in common: the sandbox that their first word names. */
#include "attach.h"

#include <stdio.h>

#include "json.h"
#include "say.h"
#include "verb.h"

/* How long the supervisor may take to tell of a new state. */
#define TELL_MS 500

int attach(struct attached *attached, const char *word, struct hutch_error *err)
{
	if (!*word)
		return usage_error(err, "the sandbox's name is empty (an id, the beginning of one, or a name; see hutch ls)");
	if (!attached->h && hutch_new(&attached->h, err) < 0)
		return -1;
	return hutch_sandbox_from_id(attached->h, word, &attached->sandbox, err) < 0 ? -1 : 0;
}

int attach_to_word(struct attached *attached, char **words, struct hutch_error *err)
{
	if (!words[0])
		return usage_error(err, "which sandbox? (an id, the beginning of one, or a name; see hutch ls)");
	if (verb_refuse_words(words, 1, err) < 0)
		return -1;
	return attach(attached, words[0], err);
}

int attached_process(const struct attached *attached, const struct run_options *options, struct hutch_process **ret,
                     struct hutch_error *err)
{
	*ret = options->exec_id ? NULL : hutch_sandbox_main(attached->sandbox);
	if (*ret)
		return 0;
	if (options->exec_id)
		return hutch_sandbox_process(attached->sandbox, options->exec_id, ret, err) < 0 ? -1 : 0;
	return usage_error(err, "sandbox %s has no main command (name another with --exec ID)", hutch_sandbox_id(attached->sandbox));
}

bool attached_is_over(const struct attached *attached)
{
	enum hutch_sandbox_state state = hutch_sandbox_state(attached->sandbox);

	return state == HUTCH_SANDBOX_COMPLETED || state == HUTCH_SANDBOX_FAILED || state == HUTCH_SANDBOX_TERMINATED;
}

int attached_stop(const struct attached *attached, uint64_t grace_ms, struct hutch_error *err)
{
	if (hutch_sandbox_stop(attached->sandbox, grace_ms, err) < 0)
		return -1;
	/* that it is done and what state it has come to are told one after the other */
	while (!attached_is_over(attached) && hutch_dispatch(attached->h, TELL_MS, NULL) > 0)
		;
	return 0;
}

int attached_finish(const struct attached *attached, const struct run_options *options)
{
	struct json_writer w = {.out = stdout};

	if (!options->json)
		return verb_finish(0);
	json_begin(&w, NULL, '{');
	json_string(&w, "sandbox", hutch_sandbox_id(attached->sandbox));
	json_string(&w, "state", hutch_sandbox_state_name((int)hutch_sandbox_state(attached->sandbox)));
	json_end(&w, '}');
	return verb_finish(0);
}
