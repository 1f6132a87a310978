/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_KERNEL_PROBE_TABLE_H
#define HUTCH_KERNEL_PROBE_TABLE_H

/*
 * One row per finding, and what the rows are made of. Theory of operation: probe.c.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hutch/hutch.h>

#include "kernel/probe_child.h"
#include "kernel/probe_host.h"

struct probe {
	const char *name;
	bool required;      /* without it, `hutch run` does not work; unless ... */
	bool may_be_absent; /* ... the kernel just does not have it (ENOSYS, EOPNOTSUPP), which only degrades */
	bool degrades;      /* any failure only degrades */
	bool only_clone3;
	uint64_t flags;     /* of the child that tries it */
	probe_body *body;
	const char *found;  /* the detail when it works */
	const char *why;
	const char *fix;    /* when no known cause explains the failure */

	/* Instead of `found`. */
	void (*describe)(const struct probe_host *host, const struct probe_report *report, char *text, size_t size);
	/* Instead of all: fills verdict, detail and fix. */
	void (*judge)(const struct probe *probe, const struct probe_host *host, struct hutch_finding *finding);
};

extern const struct probe probe_table[];
extern const size_t probe_table_count;

/* ---- for judges (probe_try.c) ---- */

/* Runs the row's body with `data` in a child. */
void probe_try_body(const struct probe *probe, const struct probe_host *host, const void *data, struct probe_report *ret);
/* Turns a report into verdict, detail and fix. */
void probe_judge_report(const struct probe *probe, const struct probe_host *host, const struct probe_report *report,
                        struct hutch_finding *finding);
/* Sets verdict and detail, and leaves the fix empty. */
void probe_found(struct hutch_finding *finding, enum hutch_verdict verdict, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void probe_fix(struct hutch_finding *finding, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- bodies, judges and descriptions, by file ---- */

/* probe_ns.c */
probe_body probe_userns, probe_mount_ns, probe_pid_ns, probe_net_ns, probe_ipc_ns, probe_uts_ns, probe_cgroup_ns, probe_time_ns;
probe_body probe_nested_userns;
void probe_describe_userns(const struct probe_host *host, const struct probe_report *report, char *text, size_t size);
void probe_judge_kernel(const struct probe *probe, const struct probe_host *host, struct hutch_finding *finding);

/* probe_fs.c */
probe_body probe_tmpfs, probe_setattr, probe_proc, probe_pivot;

/* probe_overlay.c */
probe_body probe_overlay;
void probe_judge_overlay(const struct probe *probe, const struct probe_host *host, struct hutch_finding *finding);

/* probe_idmap.c */
probe_body probe_idmap;
void probe_judge_idmap(const struct probe *probe, const struct probe_host *host, struct hutch_finding *finding);

/* probe_call.c */
probe_body probe_openat2, probe_close_range, probe_clone3, probe_pidfd, probe_memfd;

/* probe_exec.c */
probe_body probe_memfd_exec, probe_ambient;

/* probe_policy.c */
probe_body probe_seccomp, probe_landlock, probe_keyring;
void probe_describe_landlock(const struct probe_host *host, const struct probe_report *report, char *text, size_t size);

/* probe_start.c */
probe_body probe_start;

/* probe_cgroup.c */
void probe_judge_cgroup(const struct probe *probe, const struct probe_host *host, struct hutch_finding *finding);
void probe_judge_cgroup_kill(const struct probe *probe, const struct probe_host *host, struct hutch_finding *finding);

/* probe_ids.c */
void probe_judge_ids(const struct probe *probe, const struct probe_host *host, struct hutch_finding *finding);

#endif
