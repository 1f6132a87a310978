/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_TOOLS_SESSION_H
#define HUTCH_TOOLS_SESSION_H

#include "options.h"
#include "streams.h"

/* Goes with a running sandbox until its command has ended: drives the library, passes signals and terminal bytes on. Returns
 * what hutch_sandbox_wait_until_complete() returned (HUTCH_E_EXECUTION comes with a result), or another error. */
int session_run(struct hutch *h, struct hutch_sandbox *sandbox, const struct run_options *options, const struct streams *streams,
                struct hutch_result **ret, struct hutch_error *err);

#endif
