/* SPDX-License-Identifier: Apache-2.0 */
/* The list of verbs, and how each of them ends. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "print.h"
#include "say.h"
#include "verb.h"

const struct verb *const verbs[] = {
	&verb_run, &verb_start, &verb_exec, &verb_shell, &verb_wait, &verb_ls, &verb_inspect, &verb_logs, &verb_cp, &verb_diff,
	&verb_stats, &verb_update, &verb_pause, &verb_resume, &verb_kill, &verb_stop, &verb_rm, &verb_gc, &verb_doctor, &verb_completion, &verb_version, &verb_help, NULL,
};

const struct verb *verb_find(const char *name)
{
	for (size_t i = 0; verbs[i]; i++) {
		if (strcmp(verbs[i]->name, name) == 0)
			return verbs[i];
	}
	return NULL;
}

int verb_finish(int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	say("cannot write to standard output: %s", strerrordesc_np(errno));
	return EXIT_HUTCH;
}

int verb_failed(const struct hutch_error *err, bool json)
{
	say_error(err);
	if (json)
		print_error_document(stdout, err);
	return verb_finish(EXIT_HUTCH);
}

int verb_refuse_words(char **words, int most, struct hutch_error *err)
{
	for (int i = 0; i < most && *words; i++)
		words++;
	return *words ? usage_error(err, "\"%.100s\" is one word too many", *words) : 0;
}
