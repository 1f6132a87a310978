/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_PLAN_BUILD_H
#define HUTCH_PLAN_BUILD_H

/*
 * From a checked request to a plan for this host. Looks at the host (which directories exist, who the caller is) and
 * changes nothing. What cannot be had is an error here, before anything has been started.
 */

#include <sys/types.h>

#include <hutch/error.h>
#include <hutch/spec.h>

#include "plan/draft.h"

/* Who is asking. */
struct plan_host {
	uid_t uid;
	gid_t gid;
	bool is_privileged; /* real root: a range of ids, mounts made by the owner */
	bool has_range;     /* several ids are mapped */
	const char *upper;  /* directory on disk for upper layers; NULL: they are in the scratch file system */
};

int plan_sandbox_build(const struct plan_host *host, const struct hutch_spec *spec, struct draft *draft, struct hutch_error *err);

/* The host paths at or below which everything is the system's (plan/system.c). */
void plan_system(struct draft *draft, const struct hutch_spec *spec);      /* system.c */
int plan_root(const struct plan_host *host, const struct hutch_spec *spec, struct draft *draft, struct hutch_error *err); /* files.c */
int plan_files(const struct plan_host *host, const struct hutch_spec *spec, struct draft *draft, struct hutch_error *err);
void plan_devices(struct draft *draft, const struct hutch_spec *spec);     /* special.c */
void plan_proc(struct draft *draft, const struct hutch_spec *spec);

/* The sandbox user's home. */
const char *plan_home(const struct hutch_spec *spec);

bool plan_wants_pty(const struct hutch_command *command);
/* The id of the sandbox's init, where there is a range: none that a command may have. */
uint32_t plan_init_uid(const struct hutch_spec *spec);
/* Whom a command runs as, and whether it may. */
uint32_t plan_command_uid(const struct hutch_spec *spec, const struct hutch_command *command);
int plan_command_user(const struct plan_host *host, const struct hutch_spec *spec, const struct hutch_command *command, struct hutch_error *err);

/* argv, environment, where to look for the program, limits. `spec` is the sandbox's. */
int plan_command_build(const struct hutch_spec *spec, const struct hutch_command *command, const char *workspace, struct command_draft *draft,
                       struct hutch_error *err);

/* Replaces one of the resource limits, or adds it. */
void plan_command_rlimit(struct command_draft *draft, uint32_t resource, uint64_t soft, uint64_t hard);
void plan_command_ulimits(struct command_draft *draft, const struct hutch_limits *limits);

/* The canonical path of the workspace, as it is shown inside; freed with free(3). */
int plan_workspace_path(const struct hutch_spec *spec, char **ret, struct hutch_error *err);

/* One line per step, for people. */
int plan_describe(const struct draft *draft, const struct command_draft *command, char **ret, struct hutch_error *err);

#endif
