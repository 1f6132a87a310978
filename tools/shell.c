/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hutch shell: exec with a terminal. The shell is bash where the sandbox has one, else sh: which of them there is only
 * the inside knows, so a line of sh looks for it there. The caller's own shell is not tried: its configuration is not
 * inside, and some greet who has none with a questionnaire.
 */
#include "exec.h"
#include "report.h"
#include "say.h"
#include "verb.h"

static char *const default_shell[] = {
	(char[]){"/bin/sh"},
	(char[]){"-c"},
	(char[]){"command -v bash >/dev/null 2>&1 && exec bash; exec /bin/sh"},
	NULL,
};

static int shell(struct run_options *options, char **words)
{
	struct hutch_error err;
	char **command;

	if (!words[0]) {
		usage_error(&err, "which sandbox? (hutch shell [options] SANDBOX [COMMAND [ARG...]])");
		return report_failure(options, &err);
	}
	command = exec_words("shell", words + 1, &err);
	if (!command)
		return report_failure(options, &err);
	options->tty = !options->json; /* a terminal's output cannot be captured */
	return exec_command(options, words[0], command[0] ? command : default_shell);
}

const struct verb verb_shell = {
	.name = "shell",
	.usage = "[options] SANDBOX [COMMAND [ARG...]]",
	.summary = "a shell in a sandbox that is there, with a terminal",
	.mask = FOR_SHELL,
	.takes_command = true,
	.takes_sandbox = true,
	.run = shell,
};
