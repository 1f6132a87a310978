/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_TOOLS_SESSION_H
#define HUTCH_TOOLS_SESSION_H

#include "options.h"
#include "streams.h"

/* A command in the foreground. */
struct attended {
	struct hutch *h;
	struct hutch_sandbox *sandbox;
	struct hutch_process *process;
	bool is_alone; /* the sandbox is there for nothing else: ^Z stops all of it */
};

/* Goes with a running command until it has ended: drives the library, passes signals and terminal bytes on. Returns what
 * hutch_process_result() returned (HUTCH_E_EXECUTION comes with a result), or another error. */
int session_run(const struct attended *attended, const struct run_options *options, const struct streams *streams,
                struct hutch_result **ret, struct hutch_error *err);

#endif
