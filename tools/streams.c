/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which stream of the command is what.
 *
 * A terminal of the caller is never handed in: whoever holds one can push keys into it (TIOCSTI) and change its modes. Streams
 * that are a terminal become one pty of the command's own. Everything else is passed as it is, so that its bytes take no way
 * round through hutch; with --json, stdout and stderr are captured for the record.
 */
#include "streams.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "say.h"
#include "terminal.h"

static int check_input(int fd, const char *path, struct hutch_error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return system_error(err, errno, "--stdin: cannot look at %s", path);
	if (S_ISDIR(st.st_mode))
		return usage_error(err, "--stdin: %s is a directory", path);
	if (isatty(fd))
		return usage_error(err, "--stdin: %s is a terminal, which is never handed in (leave --stdin away)", path);
	return 0;
}

static int open_input(struct run_options *options, struct streams *streams, struct hutch_error *err)
{
	const char *path = options->stdin_file;

	if (options->tty)
		return usage_error(err, "--stdin and --tty exclude each other: a terminal is for all three streams");
	streams->opened = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (streams->opened < 0)
		return system_error(err, errno, "--stdin: cannot open %s", path);
	options->command.in = (struct hutch_stream){.io = HUTCH_IO_FD, .fd = streams->opened};
	return check_input(streams->opened, path, err);
}

static struct hutch_stream pass(int fd, bool as_pty)
{
	return as_pty ? (struct hutch_stream){.io = HUTCH_IO_PTY} : (struct hutch_stream){.io = HUTCH_IO_FD, .fd = fd};
}

static struct hutch_stream pass_output(const struct run_options *options, int fd)
{
	if (options->json)
		return (struct hutch_stream){.io = HUTCH_IO_CAPTURE};
	return pass(fd, options->tty || isatty(fd));
}

static bool is_pty(const struct hutch_stream *stream)
{
	return stream->io == HUTCH_IO_PTY;
}

/* Where only stdin is a terminal, what it echoes goes back to it. */
static void find_ends(const struct hutch_command *command, struct streams *streams)
{
	const struct hutch_stream *all[] = {&command->in, &command->out, &command->err};

	for (int fd = STDERR_FILENO; fd >= STDIN_FILENO; fd--) {
		if (!is_pty(all[fd]))
			continue;
		streams->has_pty = true;
		if (fd != STDIN_FILENO || streams->sink < 0)
			streams->sink = fd;
		if (isatty(fd))
			streams->sized_by = fd;
	}
	streams->source = is_pty(&command->in) ? STDIN_FILENO : -1;
}

int streams_choose(struct run_options *options, struct streams *ret, struct hutch_error *err)
{
	struct hutch_command *command = &options->command;
	struct streams streams = STREAMS_NONE;

	if (options->json && options->tty)
		return usage_error(err, "--json and --tty exclude each other: a terminal's output cannot be captured (use --result FILE)");
	if (!options->stdin_file)
		command->in = pass(STDIN_FILENO, options->tty || isatty(STDIN_FILENO));
	else if (open_input(options, &streams, err) < 0) {
		streams_close(&streams);
		return -1;
	}
	command->out = pass_output(options, STDOUT_FILENO);
	command->err = pass_output(options, STDERR_FILENO);
	find_ends(command, &streams);
	if (streams.has_pty)
		command->term = getenv("TERM");
	terminal_size(streams.sized_by, &command->rows, &command->columns);
	*ret = streams;
	return 0;
}

/* A terminal that is to be kept open is a pipe that the library holds: nobody writes to it, and it does not end. */
static struct hutch_stream keep_input(const struct run_options *options)
{
	if (options->tty)
		return (struct hutch_stream){.io = HUTCH_IO_PTY};
	if (!options->interactive)
		return (struct hutch_stream){.io = HUTCH_IO_NULL};
	if (isatty(STDIN_FILENO))
		return (struct hutch_stream){.io = HUTCH_IO_PIPE};
	return (struct hutch_stream){.io = HUTCH_IO_FD, .fd = STDIN_FILENO};
}

int streams_choose_kept(struct run_options *options, struct streams *ret, struct hutch_error *err)
{
	struct hutch_command *command = &options->command;
	struct streams streams = STREAMS_NONE;

	if (!options->stdin_file) {
		command->in = keep_input(options);
	} else if (open_input(options, &streams, err) < 0) {
		streams_close(&streams);
		return -1;
	}
	if (options->tty) {
		command->out = command->err = (struct hutch_stream){.io = HUTCH_IO_PTY};
		command->term = getenv("TERM");
		terminal_size(STDOUT_FILENO, &command->rows, &command->columns);
	}
	*ret = streams;
	return 0;
}

void streams_close(struct streams *streams)
{
	if (streams->opened >= 0)
		close(streams->opened);
	streams->opened = -1;
}
