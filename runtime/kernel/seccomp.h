/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_KERNEL_SECCOMP_H
#define HUTCH_KERNEL_SECCOMP_H

#include <linux/filter.h>

/* Loads one program for the calling thread; it can never be taken off again. Needs no_new_privs. -errno. */
int seccomp_load_program(const struct sock_filter *instructions, unsigned length);

#endif
