/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_WIRE_RESULTS_H
#define HUTCH_WIRE_RESULTS_H

/*
 * Results that outlive their supervisor: one file per ended command of the supervisor's own, "result.<id>" beside its
 * log, the bytes of pack_result_write. Written as soon as the command has ended, before anybody is told; there are no
 * more of them than the supervisor keeps commands.
 */

#include <hutch/hutch.h>

/* 0, or -errno: the disk is full, and the result lives as long as the supervisor. */
int results_write(const char *logs, uint32_t id, const void *bytes, size_t size);
void results_remove(const char *logs, uint32_t id);

/* The result of command `id` of `sandbox`. -HUTCH_E_NOT_FOUND: none was written; -HUTCH_E_INVALID: what is there is not
 * that. */
int results_read(const char *logs, const char *sandbox, uint32_t id, struct hutch_result **ret);

#endif
