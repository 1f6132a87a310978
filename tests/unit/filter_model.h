/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_TESTS_FILTER_MODEL_H
#define HUTCH_TESTS_FILTER_MODEL_H

/*
 * What the built-in filters have to answer, written down a second time and independently: from the documents, not from
 * runtime/spec/policy.c, with the numbers of the system's headers. For the architecture the tests run on.
 *
 * A change of the policy needs both places, on purpose.
 */

#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdint.h>

#include <hutch/spec.h>

uint32_t filter_model(const struct seccomp_data *data, enum hutch_seccomp profile, bool nosuid);

/* The answer for calls that a user's own policy allows. */
uint32_t filter_model_mandatory(const struct seccomp_data *data, bool nosuid);

#endif
