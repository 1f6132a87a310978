/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_KERNEL_PROBE_FS_H
#define HUTCH_KERNEL_PROBE_FS_H

/*
 * The steps of building a root, for the bodies that need one. Each sets report->stage and returns -errno.
 */

#include "kernel/probe_child.h"

/* Private propagation, and a tmpfs stacked upon "/", where it hides nothing. Its descriptor. */
long probe_root(struct probe_report *report);

/* Attaches a detached mount at the new directory `name` of `dir`, and closes it. */
long probe_place(int dir, const char *name, long mount);

/* A /proc of the caller's PID namespace, detached. */
long probe_new_proc(struct probe_report *report);

/* Makes the mount `root` the root and detaches the old one. */
long probe_enter(struct probe_report *report, int root);

/* prefix, number, suffix, in one string; `to` holds 40 bytes. */
void probe_path(char to[40], const char *prefix, uint64_t number, const char *suffix);

#endif
