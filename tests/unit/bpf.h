/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_TESTS_BPF_H
#define HUTCH_TESTS_BPF_H

/*
 * An interpreter for seccomp programs, as strict as the kernel's checker, that notes which instructions ran.
 */

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* No verdict: the program is not one that the kernel would take. */
#define BPF_BROKEN 0x00010001u

/* `ran` has room for `length` marks, or is NULL. */
uint32_t bpf_run(const struct sock_filter *code, size_t length, const struct seccomp_data *data, bool *ran);

#endif
