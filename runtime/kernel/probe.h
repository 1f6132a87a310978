/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_KERNEL_PROBE_H
#define HUTCH_KERNEL_PROBE_H

/*
 * What this host can do, found out by doing it. Theory of operation: probe.c.
 */

#include <stddef.h>

#include <hutch/hutch.h>

/* How many findings there are in all. */
size_t probe_count(void);

/* Fills up to `capacity` findings and returns how many. May be called from any thread of any process; leaves nothing
 * behind: no process, no file, no mount, no cgroup. Takes a fraction of a second. */
size_t probe_all(struct hutch_finding *findings, size_t capacity);

#endif
