/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hutch kill: the end of a sandbox or of one command, or a signal.
 *
 *     kill SANDBOX                     everything in it is killed; its record, logs and files stay until hutch rm
 *     kill --exec ID SANDBOX           that command's tree is killed, nothing else
 *     kill -s SIG [--exec ID] SANDBOX  the signal goes to the process group of the command; KILL means the above
 */
#include <signal.h>

#include "attach.h"
#include "verb.h"

/* Stopping begins with TERM, so the main command is killed before it can hear that. */
static int kill_all(const struct attached *attached, struct hutch_error *err)
{
	struct hutch_process *process = hutch_sandbox_main(attached->sandbox);

	if (process)
		hutch_process_kill(process, NULL); /* it may have ended */
	return attached_stop(attached, 0, err);
}

static int kill_or_signal(const struct attached *attached, const struct run_options *options, struct hutch_error *err)
{
	bool is_kill = !options->signal || options->signal == SIGKILL;
	struct hutch_process *process;

	if (is_kill && !options->exec_id)
		return kill_all(attached, err);
	if (attached_process(attached, options, &process, err) < 0)
		return -1;
	return is_kill ? hutch_process_kill(process, err) : hutch_process_signal(process, options->signal, err);
}

static int kill_verb(struct run_options *options, char **words)
{
	struct attached attached = {0};
	struct hutch_error err;

	if (attach_to_word(&attached, words, &err) < 0 || kill_or_signal(&attached, options, &err) < 0)
		return verb_failed(&err, options->json);
	return attached_finish(&attached, options);
}

const struct verb verb_kill = {
	.name = "kill",
	.usage = "[options] SANDBOX",
	.summary = "kill a sandbox or one of its commands, or send a signal",
	.mask = FOR_KILL,
	.takes_sandbox = true,
	.run = kill_verb,
};
