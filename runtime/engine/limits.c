/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which limit is held by what on this host, and what happens when one is exceeded.
 *
 * Cgroups hold all of them where they can be had. Without the pids controller, the number of processes is bounded by
 * RLIMIT_NPROC, which counts those of the sandbox's user namespace. What nothing can hold is an error; under best_effort,
 * resource limits come as close as they can (memory: RLIMIT_DATA, CPU time: RLIMIT_CPU, each per process), and the record
 * says so.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "engine/disks.h"
#include "engine/engine.h"
#include "spec/check.h"

struct asked {
	uint32_t limit, controller; /* HUTCH_LIMIT_*, CGROUP_*; 0: any cgroup will do */
	const char *field, *option;
	bool is_asked;
};
#define ASKED_MAX 7u

static void list_asked(const struct hutch_limits *limits, struct asked ret[ASKED_MAX])
{
	const struct asked list[ASKED_MAX] = {
		{HUTCH_LIMIT_MEMORY, CGROUP_MEMORY, "memory_bytes", "memory", limits->memory_bytes},
		{HUTCH_LIMIT_SWAP, CGROUP_MEMORY, "swap_bytes", "swap", limits->has_swap},
		{HUTCH_LIMIT_CPUS, CGROUP_CPU, "cpus_milli", "cpus", limits->cpus_milli},
		{HUTCH_LIMIT_CPU_TIME, 0, "cpu_time_ms", "cpu-time", limits->cpu_time_ms},
		{HUTCH_LIMIT_IO, CGROUP_IO, "io_read_bps", "io-read", limits->io_read_bps},
		{HUTCH_LIMIT_IO, CGROUP_IO, "io_write_bps", "io-write", limits->io_write_bps},
		{HUTCH_LIMIT_PIDS, CGROUP_PIDS, "pids", "pids", limits->pids},
	};
	memcpy(ret, list, sizeof list);
}

/* ---- can it be held? ---- */

static int refuse(const struct asked *asked, const char *prefix, const char *why, struct hutch_error *err)
{
	return err_hint(err, err_set(err, HUTCH_E_UNENFORCEABLE, "%slimits.%s: --%s cannot be enforced: %s", prefix, asked->field, asked->option, why),
	                "leave it out, or say --best-effort=%s to run without it; `hutch doctor` tells what would make cgroups available", hutch_requirement_name(asked->limit));
}

/* `why` says what is missing where a controller is. */
static int check_all(const struct hutch_limits *limits, const struct request *request, bool is_command, const char *why, struct hutch_error *err)
{
	struct asked list[ASKED_MAX];
	const char *prefix = is_command ? "command." : "";
	list_asked(limits, list);
	for (unsigned i = 0; i < ASKED_MAX; i++) {
		const struct asked *asked = &list[i];
		bool has_rlimit = asked->limit == HUTCH_LIMIT_PIDS && !is_command;
		bool is_held = asked->controller ? (request->controllers & asked->controller) != 0 : request->has_cgroup;
		if (asked->is_asked && !is_held && !has_rlimit && !(request->spec.best_effort & asked->limit))
			return refuse(asked, prefix, why, err);
	}
	return 0;
}

int limits_check_command(const struct hutch_sandbox *sandbox, const struct hutch_limits *limits, struct hutch_error *err)
{
	const struct request *request = &sandbox->request;
	return check_all(limits, request, true, request->has_cgroup ? "the sandbox's cgroup does not have the controller for it" : "the sandbox has no cgroup", err);
}

const char *limits_enforcer(const struct request *request, uint32_t limit)
{
	static const struct {
		uint32_t limit, controller;
		const char *otherwise;
	} enforcers[] = {
		{HUTCH_LIMIT_MEMORY, CGROUP_MEMORY, "rlimit"}, {HUTCH_LIMIT_SWAP, CGROUP_MEMORY, "none"}, {HUTCH_LIMIT_CPUS, CGROUP_CPU, "none"},
		{HUTCH_LIMIT_PIDS, CGROUP_PIDS, "rlimit"}, {HUTCH_LIMIT_IO, CGROUP_IO, "none"},
	};
	for (size_t i = 0; i < sizeof enforcers / sizeof *enforcers; i++)
		if (enforcers[i].limit == limit)
			return request->controllers & enforcers[i].controller ? "cgroup" : enforcers[i].otherwise;
	return request->has_cgroup ? "cgroup" : "rlimit"; /* CPU time */
}

/* ---- the sandbox's cgroups ---- */

static const struct delegation *find_delegation(struct hutch *h, uint32_t needed, uint32_t wanted, bool may_move)
{
	bool is_enough = h->delegation && h->delegation->dir >= 0 && (h->delegation->controllers & needed) == needed && (h->delegation_needed & needed) == needed && (h->delegation_wanted & wanted) == wanted && (h->delegation_moved || !may_move);
	if (is_enough)
		return h->delegation;
	if (!h->delegation)
		h->delegation = malloc(sizeof *h->delegation);
	else
		delegation_done(h->delegation);
	if (h->delegation)
		delegation_find(needed, wanted, may_move, h->delegation);
	h->delegation_needed = needed;
	h->delegation_wanted = wanted;
	h->delegation_moved = may_move;
	return h->delegation;
}

static void forget_delegation(struct hutch *h)
{
	if (h->delegation)
		delegation_done(h->delegation);
	free(h->delegation);
	h->delegation = NULL;
}

static bool is_in_memory(const char *path)
{
	struct statfs fs;
	return statfs(path, &fs) == 0 && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

/* The disks of all directories that are shown, and of the one that takes changes. Every directory of the host that can be written to
 * must be on one that is known: where it is not, the answer is its path. NULL: all are. */
static const char *find_disks(struct cgroups *cgroups, const struct hutch_sandbox *sandbox, const struct draft *draft)
{
	struct stat st;
	uint64_t last = 0;
	const char *missing = NULL;
	cgroups->disks_count = 0;
	for (size_t i = 0; i < draft->ops_count; i++) {
		const struct plan_op *op = &draft->ops[i];
		const char *source = draft->pool.bytes + op->source;
		bool is_written = op->kind == PLAN_OP_BIND && (op->flags & PLAN_OP_WRITABLE);
		if ((op->kind != PLAN_OP_BIND && op->kind != PLAN_OP_OVERLAY) || (op->dev == last && !is_written))
			continue;
		last = op->dev;
		bool is_known = disks_add(makedev((unsigned)(op->dev >> 32), (unsigned)op->dev), cgroups->disks, &cgroups->disks_count, CGROUP_DISKS_MAX);
		if (is_written && !is_known && !is_in_memory(source))
			missing = source;
	}
	if (sandbox->upper && (stat(sandbox->upper, &st) < 0 || !disks_add(st.st_dev, cgroups->disks, &cgroups->disks_count, CGROUP_DISKS_MAX)))
		missing = sandbox->upper;
	return cgroups->disks_count == 0 && !missing ? "nothing that the sandbox sees" : missing;
}

static uint32_t needed_controllers(const struct hutch_limits *limits, bool *ret_any)
{
	struct asked list[ASKED_MAX];
	uint32_t needed = 0;
	*ret_any = false;
	list_asked(limits, list);
	for (unsigned i = 0; i < ASKED_MAX; i++) {
		bool is_default = list[i].limit == HUTCH_LIMIT_PIDS && limits->pids == SPEC_PIDS_DEFAULT; /* which a resource limit holds as well */
		if (!list[i].is_asked || is_default)
			continue;
		needed |= list[i].controller;
		*ret_any = true;
	}
	return needed;
}

/* Whoever pays for a cgroup gets the accounting, too. */
static uint32_t wanted_controllers(const struct hutch_spec *spec, bool is_asked)
{
	return is_asked || spec->detached ? CGROUP_ALL : 0;
}

static void set_up(struct hutch_sandbox *sandbox, const struct draft *draft)
{
	struct request *request = &sandbox->request;
	struct cgroups *cgroups = &sandbox->cgroups;
	cgroups->user = request->host.is_privileged ? (uid_t)(request->range + draft->fixed.init_uid) : (uid_t)-1;
	cgroups->user_inside = request->host.is_privileged ? draft->fixed.init_uid : request->spec.uid;
}

/* They are there: what the rest of the engine wants to know of them. */
static int note(struct hutch_sandbox *sandbox, const struct hutch_limits *limits)
{
	struct request *request = &sandbox->request;
	request->has_cgroup = true;
	request->controllers = sandbox->cgroups.controllers & (sandbox->has_disks ? CGROUP_ALL : CGROUP_ALL & ~CGROUP_IO);
	request->cgroup = strdup(sandbox->cgroups.path);
	sandbox->cpu_budget = (struct leaf){.dir = sandbox->cgroups.run, .cpu_time_us = limits->cpu_time_ms * 1000, .check_ms = limits->cpu_time_ms ? 0 : INT64_MAX};
	return request->cgroup ? 0 : -HUTCH_E_NO_MEMORY;
}

/* Would a group with these controllers hold what is asked for? */
static int check_group(struct hutch_sandbox *sandbox, const struct hutch_spec *spec, const struct delegation *delegation, const struct draft *draft, struct hutch_error *err)
{
	char why[400];
	const char *missing = delegation->controllers & CGROUP_IO ? find_disks(&sandbox->cgroups, sandbox, draft) : NULL;
	struct request with = {.spec.best_effort = spec->best_effort, .has_cgroup = true, .controllers = delegation->controllers};
	sandbox->has_disks = (delegation->controllers & CGROUP_IO) && !missing;
	if (missing)
		with.controllers &= ~CGROUP_IO;
	snprintf(why, sizeof why, missing ? "%.300s is not on a disk of this machine" : "%.300s", missing ? missing : *delegation->why ? delegation->why : "the controller is not available here");
	return check_all(&spec->limits, &with, false, why, err);
}

/* A scope that was found earlier, and was held by the sandbox of another process, may be gone: then it is looked for again. */
static int make(struct hutch_sandbox *sandbox, const struct hutch_spec *spec, const struct draft *draft, uint32_t needed, bool is_asked, int *ret_init, struct hutch_error *err)
{
	const char *what = "";
	char why[300];
	struct hutch *h = sandbox->h;
	for (unsigned i = 0;; i++) {
		const struct delegation *delegation = find_delegation(h, needed, wanted_controllers(spec, is_asked), spec->may_move || spec->detached);
		if (!delegation)
			return err_set(err, HUTCH_E_NO_MEMORY, "out of memory");
		if (delegation->dir < 0)
			return check_all(&spec->limits, &sandbox->request, false, delegation->why, err);
		int ret = check_group(sandbox, spec, delegation, draft, err);
		if (ret < 0)
			return ret;
		if (spec->detached)
			cgroups_collect(delegation->dir); /* what killed owners have left; a kept sandbox has the time */
		ret = cgroups_make(&sandbox->cgroups, delegation, sandbox->id, &spec->limits, ret_init, &what);
		if (ret == 0)
			return note(sandbox, &spec->limits);
		forget_delegation(h);
		if (i == 0 && (ret == -ENOENT || ret == -ENODEV))
			continue;
		snprintf(why, sizeof why, "%s in %.160s: %s", what, sandbox->cgroups.path, strerrordesc_np(-ret));
		sandbox->has_disks = false;
		return check_all(&spec->limits, &sandbox->request, false, why, err); /* without it, then, if that is allowed */
	}
}

/* Only what best_effort names comes this far without being held. */
static void warn_weaker(struct hutch_sandbox *sandbox)
{
	struct asked list[ASKED_MAX];
	const struct request *request = &sandbox->request;
	list_asked(&request->spec.limits, list);
	for (unsigned i = 0; i < ASKED_MAX; i++) {
		char text[200];
		const char *by = limits_enforcer(request, list[i].limit);
		if (!list[i].is_asked || list[i].limit == HUTCH_LIMIT_PIDS || strcmp(by, "cgroup") == 0)
			continue;
		if (strcmp(by, "none") == 0)
			snprintf(text, sizeof text, "limit %s is not in force: it cannot be enforced here, and --best-effort allows that", list[i].option);
		else
			snprintf(text, sizeof text, "limit %s holds for each process and not for all together: it is a resource limit, which --best-effort allows", list[i].option);
		sandbox_warn(sandbox, text);
	}
}

int limits_prepare(struct hutch_sandbox *sandbox, const struct hutch_spec *spec, const struct hutch_limits *main, const struct draft *draft, int *ret_init, struct hutch_error *err)
{
	bool is_asked, is_main_asked = false;
	uint32_t needed = needed_controllers(&spec->limits, &is_asked);
	if (main)
		needed |= needed_controllers(main, &is_main_asked);
	is_asked |= is_main_asked;
	*ret_init = -1;
	if (!is_asked && spec->discard_usage && !spec->detached)
		return 0;
	set_up(sandbox, draft);
	int ret = make(sandbox, spec, draft, needed, is_asked, ret_init, err);
	if (ret == 0)
		warn_weaker(sandbox);
	return ret;
}

void limits_started(const struct hutch_sandbox *sandbox)
{
	if (sandbox->h->delegation && sandbox->request.spec.detached)
		delegation_let_go(sandbox->h->delegation);
}

static void describe_limits(FILE *out, const struct request *request)
{
	struct asked list[ASKED_MAX];
	list_asked(&request->spec.limits, list);
	for (unsigned i = 0; i < ASKED_MAX; i++)
		if (list[i].is_asked)
			fprintf(out, "limits: --%s by %s\n", list[i].option, limits_enforcer(request, list[i].limit));
}

int limits_describe(struct hutch *h, const struct hutch_spec *spec, FILE *out, struct hutch_error *err)
{
	bool is_asked;
	uint32_t needed = needed_controllers(&spec->limits, &is_asked);
	struct request request = {.spec = *spec};
	bool is_made = is_asked || spec->detached || !spec->discard_usage;
	const struct delegation *delegation = NULL;
	if (is_made)
		delegation = find_delegation(h, needed, wanted_controllers(spec, is_asked), false); /* nothing is moved for looking */
	if (delegation && delegation->origin != DELEGATION_NONE) {
		request.has_cgroup = true;
		request.controllers = delegation->controllers;
		fprintf(out, "cgroup: below %s (%s)\n", delegation->path, delegation_origin_name(delegation->origin));
	} else {
		fprintf(out, "cgroup: none%s%s\n", delegation ? ": " : " needed", delegation ? delegation->why : "");
	}
	int ret = spec->may_move || spec->detached ? 0 : check_all(&spec->limits, &request, false, delegation ? delegation->why : "", err);
	if (ret == 0)
		describe_limits(out, &request);
	return ret;
}

/* ---- one command ---- */

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a == 0 ? b : b == 0 || a < b ? a : b;
}

void limits_to_rlimits(const struct request *request, const struct hutch_limits *limits, struct command_draft *draft)
{
	const struct hutch_limits *all = &request->spec.limits;
	uint64_t memory = smaller(all->memory_bytes, limits->memory_bytes), cpu_ms = smaller(all->cpu_time_ms, limits->cpu_time_ms);
	if (request->controllers & CGROUP_PIDS)
		plan_command_rlimit(draft, RLIMIT_NPROC, RLIM_INFINITY, RLIM_INFINITY);
	if (memory && !(request->controllers & CGROUP_MEMORY))
		plan_command_rlimit(draft, RLIMIT_DATA, memory, memory);
	if (cpu_ms && !request->has_cgroup)
		plan_command_rlimit(draft, RLIMIT_CPU, (cpu_ms + 999) / 1000, (cpu_ms + 999) / 1000 + 1);
	plan_command_ulimits(draft, limits);
}

void limits_to_message(const struct hutch_command *command, struct message *message)
{
	const struct hutch_limits *limits = &command->limits;
	message->limits = (struct message_limits){
		.memory_bytes = limits->memory_bytes, .swap_bytes = limits->swap_bytes, .cpu_time_ms = limits->cpu_time_ms, .io_read_bps = limits->io_read_bps,
		.io_write_bps = limits->io_write_bps, .cpus_milli = limits->cpus_milli, .pids = limits->pids,
		.grace_ms = command->grace_ms < UINT32_MAX ? (uint32_t)command->grace_ms : UINT32_MAX, .has_swap = limits->has_swap,
	};
}

void limits_from_message(const struct message_limits *from, struct hutch_limits *ret)
{
	*ret = (struct hutch_limits){
		.memory_bytes = from->memory_bytes, .swap_bytes = from->swap_bytes, .cpu_time_ms = from->cpu_time_ms, .io_read_bps = from->io_read_bps,
		.io_write_bps = from->io_write_bps, .cpus_milli = from->cpus_milli, .pids = from->pids, .has_swap = from->has_swap != 0,
	};
}

int limits_make_leaf(struct hutch_sandbox *sandbox, uint32_t id, const struct hutch_limits *limits, struct leaf *ret, struct hutch_error *err)
{
	const char *what = "";
	*ret = LEAF_NONE;
	if (!cgroups_exist(&sandbox->cgroups))
		return 0;
	int error = leaf_make(&sandbox->cgroups, id, limits, ret, &what);
	if (error == 0)
		return 0;
	return err_hint(err, err_sys(err, HUTCH_E_UNENFORCEABLE, -error, "the command's cgroup cannot be made: %s in %s/run/%u", what, sandbox->cgroups.path, id),
	                "the part of the hierarchy that was delegated may have been taken away; start the sandbox again");
}

/* What comes from a supervisor is foreign, too. */
static void receive_usage(struct hutch_process *process, const struct message *message)
{
	const struct message_usage *usage = &message->usage;
	process->usage = *usage;
	process->usage.known &= USAGE_CPU | USAGE_MEMORY | USAGE_PIDS | USAGE_IO | USAGE_OOM | USAGE_THROTTLED;
	process->usage.limits_hit &= HUTCH_LIMITS_ALL;
	if (message->b > 0 && message->b <= HUTCH_OUTCOMES)
		process_decide(process, (enum hutch_outcome)(message->b - 1));
}

static void read_usage(struct hutch_process *process)
{
	uint64_t user_us = 0, system_us = 0;
	struct cgroups *cgroups = &process->sandbox->cgroups;
	leaf_usage(cgroups, &process->leaf, &process->usage, &user_us, &system_us);
	leaf_remove(cgroups, &process->leaf);
	if (!(process->usage.known & USAGE_CPU))
		return;
	process->user_ms = (double)user_us / 1000;
	process->system_ms = (double)system_us / 1000;
}

void limits_take_usage(struct hutch_process *process, const struct message *message)
{
	const struct message_usage *usage = &process->usage;
	struct hutch_sandbox *sandbox = process->sandbox;
	if (process->leaf.dir >= 0)
		read_usage(process);
	else if (sandbox->remote && message)
		receive_usage(process, message);
	if (process->has_reason && process->reason == HUTCH_OUTCOME_CPU_LIMIT)
		process->usage.limits_hit |= HUTCH_LIMIT_CPU_TIME;
	if (usage->oom_kills == 0)
		return;
	if (usage->oom_scope == OOM_SANDBOX && !process->is_main)
		process_warn(process, "the memory limit that was hit is that of the whole sandbox");
	if (usage->oom_scope == OOM_HOST)
		process_warn(process, "the host was out of memory, and its kernel killed processes of the command; no limit of the sandbox was hit");
	bool is_killed = WIFSIGNALED(process->status) && WTERMSIG(process->status) == SIGKILL;
	if (is_killed && (usage->oom_scope == OOM_COMMAND || usage->oom_scope == OOM_SANDBOX))
		process_decide(process, HUTCH_OUTCOME_MEMORY_LIMIT);
}

/* ---- CPU time ---- */

int64_t limits_next_check(const struct hutch_sandbox *sandbox)
{
	int64_t next = sandbox->cpu_budget.check_ms;
	for (const struct hutch_process *process = sandbox->processes; process; process = process->next)
		if (process->leaf.check_ms < next)
			next = process->leaf.check_ms;
	return next;
}

void limits_check(struct hutch_sandbox *sandbox, int64_t now)
{
	if (leaf_is_over_cpu_time(&sandbox->cpu_budget, now)) {
		sandbox->is_over_cpu_time = true;
		sandbox_warn(sandbox, "the CPU time of all commands of the sandbox together is used up");
	}
	for (struct hutch_process *process = sandbox->processes; process; process = process->next)
		if (process->state != HUTCH_PROCESS_ENDED && (sandbox->is_over_cpu_time || leaf_is_over_cpu_time(&process->leaf, now)))
			process_end(process, HUTCH_OUTCOME_CPU_LIMIT);
}

/* ---- changes while it runs ---- */

int limits_check_values(const struct hutch_limits *limits, struct hutch_error *err)
{
	const struct hutch_limits none = {0};
	if (memcmp(limits, &none, sizeof none) == 0)
		return err_set(err, HUTCH_E_INVALID, "limits: none is given");
	if (limits->disk_bytes || limits->ulimits_count)
		return err_set(err, HUTCH_E_INVALID, "limits.%s cannot be changed while the sandbox runs", limits->disk_bytes ? "disk_bytes" : "ulimits");
	return spec_check_limits(limits, "", err);
}

void limits_merge(struct hutch_limits *into, const struct hutch_limits *limits)
{
	if (limits->memory_bytes)
		into->memory_bytes = limits->memory_bytes;
	if (limits->has_swap) {
		into->has_swap = true;
		into->swap_bytes = limits->swap_bytes;
	}
	into->cpus_milli = limits->cpus_milli ? limits->cpus_milli : into->cpus_milli;
	into->cpu_time_ms = limits->cpu_time_ms ? limits->cpu_time_ms : into->cpu_time_ms;
	into->pids = limits->pids ? limits->pids : into->pids;
	into->io_read_bps = limits->io_read_bps ? limits->io_read_bps : into->io_read_bps;
	into->io_write_bps = limits->io_write_bps ? limits->io_write_bps : into->io_write_bps;
}

int limits_update(struct hutch_sandbox *sandbox, const struct hutch_limits *limits, struct hutch_error *err)
{
	const char *what = "";
	struct request *request = &sandbox->request;
	struct request strict = {.has_cgroup = request->has_cgroup, .controllers = request->controllers};
	int ret = check_all(limits, &strict, true, request->has_cgroup ? "the sandbox's cgroup does not have the controller for it" : "the sandbox has no cgroup", err);
	if (ret < 0)
		return ret;
	struct hutch_limits merged = request->spec.limits;
	limits_merge(&merged, limits);
	ret = request->has_cgroup ? cgroups_limit(&sandbox->cgroups, sandbox->cgroups.run, &merged, &what) : 0;
	if (ret < 0)
		return err_sys(err, HUTCH_E_UNENFORCEABLE, -ret, "the limit cannot be set: %s in %s/run", what, request->cgroup);
	request->spec.limits = merged;
	if (limits->cpu_time_ms) {
		sandbox->is_over_cpu_time = false;
		sandbox->cpu_budget.cpu_time_us = limits->cpu_time_ms * 1000;
		sandbox->cpu_budget.check_ms = 0;
		loop_set_deadlines(sandbox->h);
	}
	return 0;
}
