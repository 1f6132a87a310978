/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_TESTS_FILTER_INPUTS_H
#define HUTCH_TESTS_FILTER_INPUTS_H

/*
 * System calls to try a filter with: every number, foreign architectures, and for the arguments every constant that the
 * documents name, with its neighbours and with the bits set that the kernel ignores.
 */

#include <linux/seccomp.h>
#include <stdint.h>

#if defined(__x86_64__)
#define FILTER_INPUTS_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define FILTER_INPUTS_ARCH AUDIT_ARCH_AARCH64
#endif

typedef void filter_input_fn(void *context, const struct seccomp_data *data);

/* Everything. `arch` is the architecture under test. */
void filter_inputs(uint32_t arch, filter_input_fn *each, void *context);

/* One call: each argument for itself, and some random combinations. */
void filter_inputs_light(uint32_t arch, int number, filter_input_fn *each, void *context);

/* One call: all combinations of two arguments, and many random ones. */
void filter_inputs_pairs(uint32_t arch, int number, filter_input_fn *each, void *context);

/* The calls of which several arguments are looked at together; ends with -1. Numbers of the architecture the tests run on. */
extern const int filter_inputs_several[];

#endif
