/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_TOOLS_ATTACH_H
#define HUTCH_TOOLS_ATTACH_H

#include "options.h"

/* A sandbox that is there already, as the verbs of kept sandboxes get hold of it. Nothing of it has to be freed: these
 * verbs end with their process, and letting go is what that does. */
struct attached {
	struct hutch *h; /* NULL: made when it is needed */
	struct hutch_sandbox *sandbox;
};

/* The only word must name a sandbox: an id, a unique prefix of one, or a name. Returns 0, or -1 and the reason. */
int attach_to_word(struct attached *attached, char **words, struct hutch_error *err);
int attach(struct attached *attached, const char *word, struct hutch_error *err);

/* The command that --exec names; without it the main command (an error if there is none). */
int attached_process(const struct attached *attached, const struct run_options *options, struct hutch_process **ret,
                     struct hutch_error *err);

/* Is its state a final one? */
bool attached_is_over(const struct attached *attached);

/* Ends all of its commands; when this returns, that is its state, too. */
int attached_stop(const struct attached *attached, uint64_t grace_ms, struct hutch_error *err);

/* Ends a verb that has done something to a sandbox: with --json, {"sandbox": …, "state": …}. The exit code. */
int attached_finish(const struct attached *attached, const struct run_options *options);

#endif
