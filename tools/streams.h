/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_TOOLS_STREAMS_H
#define HUTCH_TOOLS_STREAMS_H

#include "options.h"

/* Where the command's streams go, and what of them hutch has to pass on itself. */
struct streams {
	bool has_pty;     /* at least one is a terminal of the command's own */
	int source;       /* what is typed comes from here; -1: stdin is no pty */
	int sink;         /* what the pty prints goes here; -1: there is no pty */
	int sized_by;     /* the terminal whose size it takes; -1: none */
	int opened;       /* --stdin's file; -1: none */
};

#define STREAMS_NONE ((struct streams){.source = -1, .sink = -1, .sized_by = -1, .opened = -1})

/* Fills the streams of options->command. Returns 0, or -1 and the reason. */
int streams_choose(struct run_options *options, struct streams *ret, struct hutch_error *err);

/* The same for a command that goes on without hutch: its output is kept by the library, and it has no input unless
 * --interactive or --stdin gives it one. */
int streams_choose_kept(struct run_options *options, struct streams *ret, struct hutch_error *err);

void streams_close(struct streams *streams);

#endif
