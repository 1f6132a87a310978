/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One command's cgroup: made before the command, read when it has ended.
 *
 * What was exceeded is read from counters and never guessed. An OOM is counted as `oom` by the cgroup whose limit it was (and
 * all above), and as `oom_kill` by those that the victims were in: a leaf with kills and without an oom of its own was the
 * victim of the sandbox's limit, if that has counted one meanwhile, or else of the host's. A fork that was refused
 * is counted where it was tried before Linux 6.11, and where the limit is since then; both are looked at.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "engine/cgroup.h"

#define CHECK_MIN_MS 2

static void leaf_name(uint32_t id, char ret[16])
{
	snprintf(ret, 16, "%" PRIu32, id);
}

/* ---- making ---- */

/* Those that were still in use the last time. */
static void remove_lingering(struct cgroups *cgroups)
{
	unsigned kept = 0;
	for (unsigned i = 0; i < cgroups->lingering_count; i++) {
		char name[16];
		leaf_name(cgroups->lingering[i], name);
		if (unlinkat(cgroups->run, name, AT_REMOVEDIR) < 0 && errno == EBUSY)
			cgroups->lingering[kept++] = cgroups->lingering[i];
	}
	cgroups->lingering_count = kept;
}

static void close_all(struct leaf *leaf)
{
	cleanup_close(&leaf->dir);
	cleanup_close(&leaf->kill);
	cleanup_close(&leaf->events);
	leaf->dir = leaf->kill = leaf->events = -1;
}

static int prepare(struct cgroups *cgroups, struct leaf *leaf, const struct hutch_limits *limits, const char **ret_what)
{
	*ret_what = "cgroup.procs"; /* init must be able to clone into it */
	int ret = cgroups_lend(cgroups, leaf->dir, *ret_what);
	*ret_what = "cgroup.kill";
	leaf->kill = openat(leaf->dir, *ret_what, O_WRONLY | O_CLOEXEC);
	leaf->events = openat(leaf->dir, "cgroup.events", O_RDONLY | O_CLOEXEC);
	if (leaf->kill < 0 || leaf->events < 0)
		return -errno;
	if (ret == 0 && (cgroups->controllers & CGROUP_MEMORY)) {
		*ret_what = "memory.oom.group";
		ret = cgroup_write(leaf->dir, *ret_what, "1");
	}
	return ret == 0 ? cgroups_limit(cgroups, leaf->dir, limits, ret_what) : ret;
}

int leaf_make(struct cgroups *cgroups, uint32_t id, const struct hutch_limits *limits, struct leaf *ret, const char **ret_what)
{
	char name[16];
	struct leaf leaf = {.dir = -1, .kill = -1, .events = -1, .id = id, .cpu_time_us = limits->cpu_time_ms * 1000, .check_ms = INT64_MAX};
	if (cgroups->lingering_count > 0)
		remove_lingering(cgroups);
	leaf_name(id, name);
	*ret_what = "the command's cgroup";
	if (mkdirat(cgroups->run, name, 0755) < 0)
		return -errno;
	leaf.dir = openat(cgroups->run, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int error = leaf.dir < 0 ? -errno : prepare(cgroups, &leaf, limits, ret_what);
	if (error < 0) {
		close_all(&leaf);
		unlinkat(cgroups->run, name, AT_REMOVEDIR);
		return error;
	}
	if (cgroups->controllers & CGROUP_MEMORY)
		cgroup_read_key(cgroups->run, "memory.events.local", "oom", &leaf.sandbox_ooms);
	if (cgroups->controllers & CGROUP_PIDS)
		cgroup_read_key(cgroups->run, "pids.events", "max", &leaf.sandbox_pids);
	if (cgroups->controllers & CGROUP_CPU)
		cgroup_read_key(cgroups->run, "cpu.stat", "throttled_usec", &leaf.sandbox_throttled_us);
	if (leaf.cpu_time_us)
		leaf.check_ms = 0;
	*ret = leaf;
	return 0;
}

void leaf_announce(const struct cgroups *cgroups, const struct leaf *leaf, struct message *message, int fds[MESSAGE_LEAF_FDS])
{
	fds[0] = leaf->dir;
	fds[1] = leaf->kill;
	fds[2] = leaf->events;
	message->a |= MESSAGE_LEAF | (cgroups->controllers & CGROUP_MEMORY ? MESSAGE_FORK : 0);
	message->b = (int32_t)cgroups->user_inside;
}

void leaf_sent(struct leaf *leaf)
{
	cleanup_close(&leaf->kill);
	cleanup_close(&leaf->events);
	leaf->kill = leaf->events = -1;
}

/* ---- looking ---- */

bool leaf_is_over_cpu_time(struct leaf *leaf, int64_t now_ms)
{
	uint64_t used = 0;
	if (leaf->dir < 0 || now_ms < leaf->check_ms || cgroup_read_key(leaf->dir, "cpu.stat", "usage_usec", &used) < 0)
		return false;
	if (used >= leaf->cpu_time_us) {
		leaf->check_ms = INT64_MAX;
		return true;
	}
	/* not before all processors together can have used it up */
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	int64_t left_ms = (int64_t)((leaf->cpu_time_us - used) / 1000) / (processors > 0 ? processors : 1);
	leaf->check_ms = now_ms + (left_ms < CHECK_MIN_MS ? CHECK_MIN_MS : left_ms);
	return false;
}

/* The cgroup whose limit it is counts for how long all below it were held back. */
static void read_cpu(const struct cgroups *cgroups, const struct leaf *leaf, struct message_usage *usage, uint64_t *ret_user_us, uint64_t *ret_system_us)
{
	uint64_t sandbox = 0;
	if (cgroup_read_key(leaf->dir, "cpu.stat", "user_usec", ret_user_us) == 0 && cgroup_read_key(leaf->dir, "cpu.stat", "system_usec", ret_system_us) == 0)
		usage->known |= USAGE_CPU;
	if (cgroup_read_key(leaf->dir, "cpu.stat", "throttled_usec", &usage->throttled_us) < 0)
		return;
	usage->known |= USAGE_THROTTLED;
	if (usage->throttled_us == 0 && cgroup_read_key(cgroups->run, "cpu.stat", "throttled_usec", &sandbox) == 0 && sandbox > leaf->sandbox_throttled_us)
		usage->throttled_us = sandbox - leaf->sandbox_throttled_us; /* by the sandbox's limit, which holds back all alike */
	if (usage->throttled_us > 0)
		usage->limits_hit |= HUTCH_LIMIT_CPUS;
}

static void read_memory(const struct cgroups *cgroups, const struct leaf *leaf, struct message_usage *usage)
{
	uint64_t kills = 0, own = 0, sandbox = leaf->sandbox_ooms;
	if (cgroup_read_u64(leaf->dir, "memory.peak", &usage->memory_peak) == 0)
		usage->known |= USAGE_MEMORY;
	if (cgroup_read_key(leaf->dir, "memory.events", "oom_kill", &kills) < 0 || cgroup_read_key(leaf->dir, "memory.events", "oom", &own) < 0)
		return;
	usage->known |= USAGE_OOM;
	usage->oom_kills = kills < UINT32_MAX ? (uint32_t)kills : UINT32_MAX;
	cgroup_read_key(cgroups->run, "memory.events.local", "oom", &sandbox);
	usage->oom_scope = kills == 0 ? OOM_NONE : own > 0 ? OOM_COMMAND : sandbox > leaf->sandbox_ooms ? OOM_SANDBOX : OOM_HOST;
	if (own > 0 || usage->oom_scope == OOM_SANDBOX)
		usage->limits_hit |= HUTCH_LIMIT_MEMORY;
}

static void read_pids(const struct cgroups *cgroups, const struct leaf *leaf, struct message_usage *usage)
{
	uint64_t own = 0, sandbox = leaf->sandbox_pids;
	uint64_t limit = UINT64_MAX, all = UINT64_MAX;
	cgroup_read_u64(leaf->dir, "pids.max", &limit);
	cgroup_read_u64(cgroups->run, "pids.max", &all);
	limit = all < limit ? all : limit;
	if (cgroup_read_u64(leaf->dir, "pids.peak", &usage->pids_peak) == 0)
		usage->known |= USAGE_PIDS;
	if (usage->pids_peak > limit) /* the kernel also counts what it then refused */
		usage->pids_peak = limit;
	cgroup_read_key(leaf->dir, "pids.events", "max", &own);
	cgroup_read_key(cgroups->run, "pids.events", "max", &sandbox);
	if (own > 0 || sandbox > leaf->sandbox_pids)
		usage->limits_hit |= HUTCH_LIMIT_PIDS;
}

void leaf_usage(const struct cgroups *cgroups, const struct leaf *leaf, struct message_usage *ret, uint64_t *ret_user_us, uint64_t *ret_system_us)
{
	*ret = (struct message_usage){0};
	if (leaf->dir < 0)
		return;
	read_cpu(cgroups, leaf, ret, ret_user_us, ret_system_us);
	if (cgroups->controllers & CGROUP_MEMORY)
		read_memory(cgroups, leaf, ret);
	if (cgroups->controllers & CGROUP_PIDS)
		read_pids(cgroups, leaf, ret);
	if ((cgroups->controllers & CGROUP_IO) && cgroup_sum_io(leaf->dir, &ret->io_read, &ret->io_write))
		ret->known |= USAGE_IO;
}

/* ---- removing ---- */

static void linger(struct cgroups *cgroups, uint32_t id)
{
	uint32_t *lingering = realloc(cgroups->lingering, (cgroups->lingering_count + 1) * sizeof *lingering);
	if (!lingering)
		return; /* it goes with the sandbox */
	cgroups->lingering = lingering;
	lingering[cgroups->lingering_count++] = id;
}

void leaf_remove(struct cgroups *cgroups, struct leaf *leaf)
{
	char name[16];
	if (leaf->dir < 0)
		return;
	close_all(leaf);
	leaf->check_ms = INT64_MAX;
	leaf_name(leaf->id, name);
	if (cgroups->run >= 0 && unlinkat(cgroups->run, name, AT_REMOVEDIR) < 0 && errno == EBUSY)
		linger(cgroups, leaf->id);
}
