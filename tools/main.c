/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hutch: isolated processes from the command line.
 *
 * One process: it parses, asks libhutch for a sandbox, passes bytes between terminal and sandbox if there is a terminal, and
 * reports. It holds no privilege that its caller does not have. What a verb does is in that verb's file.
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "say.h"
#include "verb.h"

/* Were 0, 1 or 2 closed, the next files opened would take their place and be written to as standard output. */
static void open_missing_streams(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		/* open() takes the lowest free number, and those below are in use by now */
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			_exit(EXIT_HUTCH);
	}
}

static const struct verb *choose(const char *name)
{
	if (strcmp(name, "-h") == 0 || strcmp(name, "--help") == 0)
		return &verb_help;
	if (strcmp(name, "--version") == 0)
		return &verb_version;
	return verb_find(name);
}

static int refuse(const char *name, char **rest)
{
	struct hutch_error err;

	if (!name)
		usage_error(&err, "no verb (see hutch help)");
	else if (name[0] == '-')
		usage_error(&err, "%.100s: options follow the verb, as in hutch run %.100s (see hutch help)", name, name);
	else
		usage_error(&err, "unknown verb \"%.100s\" (see hutch help)", name);
	return verb_failed(&err, name && options_ask_json(FOR_ALL, rest));
}

static int dispatch(const struct verb *verb, char **argv)
{
	struct run_options options = {0};
	struct hutch_error err;
	char **words;
	int code;

	if (options_parse(&options, verb->mask, argv, &words, &err) < 0)
		code = verb_failed(&err, options_ask_json(verb->mask, argv));
	else if (options.help)
		code = help_print(verb, options.json);
	else
		code = verb->run(&options, words);
	options_free(&options);
	return code;
}

int main(int argc, char **argv)
{
	open_missing_streams();
	signal(SIGPIPE, SIG_IGN);
	if (argc < 2)
		return refuse(NULL, NULL);
	const struct verb *verb = choose(argv[1]);
	return verb ? dispatch(verb, argv + 2) : refuse(argv[1], argv + 2);
}
