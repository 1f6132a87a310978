/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_TOOLS_VERB_H
#define HUTCH_TOOLS_VERB_H

/*
 * A verb of the command line: one file with one such object. A new one is that file, a line in verbs.c, and a bit in the
 * option table.
 */

#include "options.h"

struct verb {
	const char *name;
	const char *usage;   /* what follows "hutch NAME " */
	const char *summary; /* one line */
	unsigned int mask;   /* FOR_* */
	const char *const *words; /* what its words can be, for completion; NULL: anything */
	bool takes_command;  /* its words are a command of the sandbox; for completion */
	bool takes_sandbox;  /* its first word names a sandbox; for completion */
	/* `words` is what follows the options, NULL-terminated. Returns the exit code. */
	int (*run)(struct run_options *options, char **words);
};

extern const struct verb verb_run, verb_doctor, verb_completion, verb_version, verb_help;
extern const struct verb verb_start, verb_exec, verb_shell, verb_wait, verb_ls, verb_inspect, verb_logs, verb_cp, verb_diff,
	verb_kill, verb_stop, verb_rm, verb_gc, verb_update, verb_pause, verb_resume, verb_stats;

extern const struct verb *const verbs[]; /* NULL-terminated, in the order of help */

const struct verb *verb_find(const char *name);

/* Prints the help of one verb (NULL: of hutch) on stdout; the exit code. */
int help_print(const struct verb *verb, bool json);

/* Ends a verb that failed: tells `err` on stderr, with `json` as the document too. Returns EXIT_HUTCH. */
int verb_failed(const struct hutch_error *err, bool json);

/* Writes out what stdout still holds. Returns `code`, or EXIT_HUTCH if it could not be written. */
int verb_finish(int code);

/* An error for words behind a verb that takes at most `most`. */
int verb_refuse_words(char **words, int most, struct hutch_error *err);

#endif
