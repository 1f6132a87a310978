/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup version 2: where sandboxes would have their groups (engine/delegation.h has the order), and which controllers.
 * In a part that is ours, or root's, a group is made for that and removed at once. A scope of systemd's is not asked for:
 * its manager must be there, and what that could give is read. Version 1 is of no use: it cannot be delegated safely.
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
#include "kernel/cgroup.h"
#include "kernel/cgroup_tree.h"
#include "kernel/probe_parse.h"
#include "kernel/probe_table.h"

static const struct {
	const char *name, *limits;
} controllers[] = {{"memory", "--memory"}, {"pids", "--pids"}, {"cpu", "--cpus"}, {"io", "--io-*"}};
#define CONTROLLERS (sizeof controllers / sizeof *controllers)

enum way { WAY_NONE = 0, WAY_OWN, WAY_SUBTREE, WAY_MANAGER };

struct group {
	int error;                 /* of looking at the tree: -errno */
	bool has_v1;               /* controllers are held by version 1 */
	enum way way;
	char path[CGROUP_PATH_MAX]; /* where they would be; without a way: our own */
	uint32_t available;        /* CGROUP_* */
	int make_errno;            /* of making a group; 0: it worked, or was not tried with a manager */
	bool has_kill;
};

static bool has_version_1(void)
{
	FILE *file = fopen("/proc/self/cgroup", "re");
	CLEANUP_FREE char *line = NULL;
	size_t size = 0;
	bool found = false;
	while (file && getline(&line, &size, file) > 0)
		found |= probe_parse_cgroup_v1(line);
	if (file)
		fclose(file);
	return found;
}

static uint32_t read_available(int directory)
{
	char text[512];
	return cgroup_read(directory, "cgroup.controllers", text, sizeof text) < 0 ? 0 : cgroup_parse_controllers(text);
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

/* A manager's part cannot always be looked at (a container); then it may have everything. */
static uint32_t look_at_manager(const struct cgroup_tree *tree, struct group *group)
{
	char manager[CGROUP_MANAGER_MAX], scope[CGROUP_SCOPE_MAX];
	cgroup_tree_guess_scope(manager, scope);
	CLEANUP_CLOSE int directory = cgroup_tree_directory(tree, manager);
	if (group->way == WAY_NONE) {
		group->way = WAY_MANAGER;
		group->make_errno = 0;
		snprintf(group->path, sizeof group->path, "%s", scope);
	}
	const char *kill = geteuid() == 0 ? "system.slice/cgroup.kill" : "cgroup.kill"; /* the root has none */
	group->has_kill = group->has_kill || directory < 0 || faccessat(directory, kill, F_OK, 0) == 0;
	return directory < 0 ? CGROUP_ALL : read_available(directory);
}

static void look_at(const struct cgroup_tree *tree, struct group *ret)
{
	snprintf(ret->path, sizeof ret->path, "%s", tree->own);
	char path[CGROUP_PATH_MAX];
	bool has_manager = cgroup_tree_has_manager();
	CLEANUP_CLOSE int directory = cgroup_tree_own_part(tree, path);
	if (directory >= 0) {
		ret->way = WAY_OWN;
	} else if (geteuid() == 0 && !has_manager) {
		ret->way = WAY_SUBTREE;
		snprintf(path, sizeof path, "%s", *tree->prefix ? tree->prefix : "/");
		directory = cgroup_tree_directory(tree, path);
	}
	if (directory >= 0) {
		snprintf(ret->path, sizeof ret->path, "%s", path);
		ret->make_errno = 0;
		ret->available = read_available(directory);
		try_to_make(ret, directory);
	}
	if (has_manager)
		ret->available |= look_at_manager(tree, ret);
}

static void look(struct group *ret)
{
	struct cgroup_tree tree;
	*ret = (struct group){.make_errno = EACCES, .has_v1 = has_version_1()};
	ret->error = cgroup_tree_open(&tree);
	if (ret->error < 0)
		return;
	look_at(&tree, ret);
	cgroup_tree_close(&tree);
}

/* "memory (--memory), pids (--pids)": what is not there; returns how many. */
static unsigned list_missing(const struct group *group, char *names, size_t size)
{
	unsigned count = 0;
	size_t used = 0;
	names[0] = '\0';
	for (size_t i = 0; i < CONTROLLERS; i++) {
		if (group->available & cgroup_parse_controllers(controllers[i].name))
			continue;
		int length = snprintf(names + used, size - used, "%s%s (%s)", count++ ? ", " : "", controllers[i].name, controllers[i].limits);
		used += (size_t)length;
	}
	return count;
}

static void fix_delegation(struct hutch_finding *finding, const struct group *group, const struct probe_host *host)
{
	if (group->make_errno == EROFS || (group->make_errno && host->is_root))
		probe_fix(finding, "in a container: a cgroup namespace of its own with a writable file system (docker, podman: --cgroupns=private "
		          "-v /sys/fs/cgroup:/sys/fs/cgroup:rw)");
	else
		probe_fix(finding, "sudo loginctl enable-linger %u starts systemd's manager of this user, which gives a scope; without systemd: "
		          "sudo mkdir CGROUP && sudo chown -R %u CGROUP, and start hutch in there", host->uid, host->uid);
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

static void judge_no_tree(struct hutch_finding *finding, const struct group *group)
{
	probe_found(finding, HUTCH_VERDICT_MISSING, "%s; limits of the sandbox as a whole cannot be enforced",
	            group->error == -EXDEV ? "cgroup2 is mounted, but our own group is outside of what it shows" :
	            group->error == -ENOENT ? "no cgroup2 file system is mounted" : strerror(-group->error));
	if (group->error == -EXDEV)
		probe_fix(finding, "in a container: docker, podman: --cgroupns=private");
	else
		probe_fix(finding, "sudo mount -t cgroup2 cgroup2 /sys/fs/cgroup, or boot with systemd.unified_cgroup_hierarchy=1");
}

void probe_judge_cgroup(const struct probe *probe, const struct probe_host *host, struct hutch_finding *finding)
{
	static const char *const ways[] = {
		[WAY_NONE] = "nothing at or above this group is ours, and no systemd of ours runs",
		[WAY_OWN] = "own subtree",
		[WAY_SUBTREE] = "root's subtree",
		[WAY_MANAGER] = "a scope that systemd gives (asked by hutch-scope)",
	};
	(void)probe;
	struct group group;
	look(&group);
	if (group.error < 0) {
		judge_no_tree(finding, &group);
		return;
	}
	char missing[128], write[64] = "";
	unsigned count = group.way == WAY_NONE ? 0 : list_missing(&group, missing, sizeof missing);
	if (group.way != WAY_NONE && group.make_errno)
		snprintf(write, sizeof write, ": may not make groups (%s)", hutch_errno_name(group.make_errno));
	const char *controllers_are = count ? "; cannot be enforced for want of the controller: " : "; controllers memory, pids, cpu, io";
	probe_found(finding, count || group.make_errno ? HUTCH_VERDICT_DEGRADED : HUTCH_VERDICT_OK, "%.90s: %s%s%s%s", group.path,
	            ways[group.way], write, group.way == WAY_NONE ? "" : controllers_are, count ? missing : "");
	if (group.make_errno)
		fix_delegation(finding, &group, host);
	else if (count)
		fix_controllers(finding, &group, host);
}

void probe_judge_cgroup_kill(const struct probe *probe, const struct probe_host *host, struct hutch_finding *finding)
{
	struct group group;
	look(&group);
	if (group.error < 0) {
		judge_no_tree(finding, &group);
		finding->verdict = HUTCH_VERDICT_DEGRADED;
	} else if (group.make_errno) {
		probe_found(finding, HUTCH_VERDICT_DEGRADED, "not tried: no group can be made (%s)", hutch_errno_name(group.make_errno));
		fix_delegation(finding, &group, host);
	} else if (group.has_kill) {
		probe_found(finding, HUTCH_VERDICT_OK, "%s", probe->found);
	} else {
		probe_found(finding, HUTCH_VERDICT_DEGRADED, "a new group has no cgroup.kill");
		probe_fix(finding, "%s", probe->fix);
	}
}
