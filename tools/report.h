/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_TOOLS_REPORT_H
#define HUTCH_TOOLS_REPORT_H

#include "notices.h"
#include "options.h"

/* Tells what became of a command: changes, notices, record. Returns the exit code, which is in the record too. */
int report_result(const struct run_options *options, struct hutch_sandbox *sandbox, struct hutch_result *result,
                  struct notices *notices);

/* Tells why there is no result. Returns the exit code. */
int report_failure(const struct run_options *options, const struct hutch_error *err);

/* Does the request show anything copy-on-write? */
bool shows_copies(const struct hutch_spec *spec);

#endif
