/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup version 2: where it is mounted (found in mountinfo, never assumed: hybrid hosts have it at
 * /sys/fs/cgroup/unified), which group we are in, whether we may make groups below it, and which controllers they would
 * get. A group is made for that and removed at once. Version 1 is of no use: it cannot be delegated safely.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "kernel/probe_parse.h"
#include "kernel/probe_table.h"

static const struct {
	const char *name, *limits;
} controllers[] = {{"memory", "--memory"}, {"pids", "--pids"}, {"cpu", "--cpus"}, {"io", "--io-*"}};
#define CONTROLLERS (sizeof controllers / sizeof *controllers)

struct group {
	bool is_mounted, is_found; /* anywhere; our own group is visible in it */
	bool has_v1;               /* controllers are held by version 1 */
	char directory[2 * PATH_MAX];
	char available[512];       /* cgroup.controllers */
	int make_errno;            /* of making a group below; 0: it worked */
	bool has_kill;
};

static void read_path(struct group *group, char *path, size_t size)
{
	FILE *file = fopen("/proc/self/cgroup", "re");
	CLEANUP_FREE char *line = NULL;
	size_t line_size = 0;
	path[0] = '\0';
	while (file && getline(&line, &line_size, file) > 0) {
		probe_parse_cgroup(line, path, size);
		group->has_v1 |= probe_parse_cgroup_v1(line);
	}
	if (file)
		fclose(file);
}

static void find_directory(struct group *group)
{
	char path[PATH_MAX];
	read_path(group, path, sizeof path);
	FILE *file = fopen("/proc/self/mountinfo", "re");
	CLEANUP_FREE char *line = NULL;
	size_t size = 0;
	struct probe_mount mount;
	while (file && !group->is_found && getline(&line, &size, file) > 0) {
		if (!probe_parse_mountinfo(line, &mount) || strcmp(mount.type, "cgroup2") != 0)
			continue;
		group->is_mounted = true;
		group->is_found = probe_cgroup_directory(&mount, path, group->directory, sizeof group->directory);
	}
	if (file)
		fclose(file);
}

static void read_available(struct group *group, int directory)
{
	CLEANUP_CLOSE int fd = openat(directory, "cgroup.controllers", O_RDONLY | O_CLOEXEC);
	ssize_t used = fd < 0 ? 0 : read(fd, group->available, sizeof group->available - 1);
	group->available[used > 0 ? used : 0] = '\0';
}

static void try_to_make(struct group *group, int directory)
{
	uint32_t random = 0;
	if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0)
		random = (uint32_t)(uintptr_t)&random;
	char name[64], file[96];
	snprintf(name, sizeof name, "hutch-doctor-%d-%08x", getpid(), random);
	snprintf(file, sizeof file, "%s/cgroup.kill", name);
	if (mkdirat(directory, name, 0700) < 0) {
		group->make_errno = errno;
		return;
	}
	group->has_kill = faccessat(directory, file, W_OK, AT_EACCESS) == 0;
	unlinkat(directory, name, AT_REMOVEDIR);
}

static void look(struct group *ret)
{
	*ret = (struct group){.make_errno = ENOENT};
	find_directory(ret);
	CLEANUP_CLOSE int directory = ret->is_found ? open(ret->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (directory < 0)
		return;
	ret->make_errno = 0;
	read_available(ret, directory);
	try_to_make(ret, directory);
}

/* "memory pids": what is not there; returns how many. */
static unsigned list_missing(const struct group *group, char *names, size_t size)
{
	unsigned count = 0;
	size_t used = 0;
	names[0] = '\0';
	for (size_t i = 0; i < CONTROLLERS; i++) {
		if (probe_list_has(group->available, controllers[i].name))
			continue;
		int length = snprintf(names + used, size - used, "%s%s (%s)", count++ ? ", " : "", controllers[i].name, controllers[i].limits);
		used += (size_t)length;
	}
	return count;
}

static void fix_delegation(struct hutch_finding *finding, const struct group *group, const struct probe_host *host)
{
	if (group->make_errno == EROFS)
		probe_fix(finding, "mount it writable in the container: docker, podman: --cgroupns=private -v /sys/fs/cgroup:/sys/fs/cgroup:rw");
	else if (host->is_root)
		probe_fix(finding, "run hutch in a group that may have children: systemd-run --scope -p Delegate=yes hutch ...");
	else
		probe_fix(finding, "systemd-run --user --scope -p Delegate=yes hutch ...; without systemd: sudo mkdir CGROUP && sudo chown -R %u CGROUP, "
		          "and start hutch in there", host->uid);
}

static void fix_controllers(struct hutch_finding *finding, const struct group *group, const struct probe_host *host)
{
	if (group->has_v1)
		probe_fix(finding, "version 1 holds the controllers: boot with systemd.unified_cgroup_hierarchy=1 (or cgroup_no_v1=all)");
	else if (host->is_root)
		probe_fix(finding, "write '+memory +pids +cpu +io' to cgroup.subtree_control of every group above this one");
	else
		probe_fix(finding, "sudo systemctl edit user@.service, add the lines [Service] and Delegate=cpu cpuset io memory pids, and log in again");
}

void probe_judge_cgroup(const struct probe *probe, const struct probe_host *host, struct hutch_finding *finding)
{
	(void)probe;
	struct group group;
	look(&group);
	if (!group.is_found) {
		probe_found(finding, HUTCH_VERDICT_MISSING, "%s; limits of the sandbox as a whole cannot be enforced",
		            group.is_mounted ? "cgroup2 is mounted, but our own group is outside of what it shows" : "no cgroup2 file system is mounted");
		probe_fix(finding, "sudo mount -t cgroup2 cgroup2 /sys/fs/cgroup, or boot with systemd.unified_cgroup_hierarchy=1");
		return;
	}
	char missing[128], write[64] = "may make groups";
	unsigned count = list_missing(&group, missing, sizeof missing);
	if (group.make_errno)
		snprintf(write, sizeof write, "may not make groups (%s)", hutch_errno_name(group.make_errno));
	probe_found(finding, count || group.make_errno ? HUTCH_VERDICT_DEGRADED : HUTCH_VERDICT_OK, "%.60s: %s; %s%s", group.directory, write,
	            count ? "cannot be enforced for want of the controller: " : "controllers memory, pids, cpu, io", missing);
	if (group.make_errno)
		fix_delegation(finding, &group, host);
	else if (count)
		fix_controllers(finding, &group, host);
}

void probe_judge_cgroup_kill(const struct probe *probe, const struct probe_host *host, struct hutch_finding *finding)
{
	struct group group;
	look(&group);
	if (group.make_errno) {
		probe_found(finding, HUTCH_VERDICT_DEGRADED, "not tried: no group can be made (%s)", hutch_errno_name(group.make_errno));
		fix_delegation(finding, &group, host);
	} else if (group.has_kill) {
		probe_found(finding, HUTCH_VERDICT_OK, "%s", probe->found);
	} else {
		probe_found(finding, HUTCH_VERDICT_DEGRADED, "a new group has no cgroup.kill");
		probe_fix(finding, "%s", probe->fix);
	}
}
