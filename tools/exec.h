/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_TOOLS_EXEC_H
#define HUTCH_TOOLS_EXEC_H

#include "options.h"

/* Runs `command` (NULL-terminated) in the sandbox that `word` names, as the options say. The exit code. */
int exec_command(struct run_options *options, const char *word, char *const *command);

/* What follows the sandbox's name: past a `--`. NULL and the reason if it starts with what looks like an option. */
char **exec_words(const char *verb, char **words, struct hutch_error *err);

#endif
