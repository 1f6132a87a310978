/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/probe_host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "kernel/probe_parse.h"

static void cleanup_file(FILE **file)
{
	if (*file)
		fclose(*file);
}

static bool read_text(const char *path, char *to, size_t size)
{
	CLEANUP(cleanup_file) FILE *file = fopen(path, "re");
	size_t used = file ? fread(to, 1, size - 1, file) : 0;
	to[used] = '\0';
	return used > 0;
}

static long read_switch(const char *path)
{
	char text[32];
	if (!read_text(path, text, sizeof text))
		return PROBE_NO_SWITCH;
	char *end;
	long value = strtol(text, &end, 10);
	return end == text ? PROBE_NO_SWITCH : value;
}

static bool read_filter_mode(void)
{
	char text[8192];
	if (!read_text("/proc/self/status", text, sizeof text))
		return false;
	const char *line = strstr(text, "\nSeccomp:\t");
	return line && line[strlen("\nSeccomp:\t")] == '2';
}

/* A process whose root is not a mount point is in a chroot. */
static void read_mounts(struct probe_host *host)
{
	CLEANUP(cleanup_file) FILE *file = fopen("/proc/self/mountinfo", "re");
	CLEANUP_FREE char *line = NULL;
	size_t size = 0;
	struct probe_mount mount;
	bool has_root = !file;
	while (file && getline(&line, &size, file) > 0) {
		if (!probe_parse_mountinfo(line, &mount))
			continue;
		if (strcmp(mount.target, "/") == 0)
			has_root = true;
		if (strncmp(mount.target, "/proc/", 6) == 0 && strcmp(mount.type, "binfmt_misc") != 0 && strcmp(mount.type, "autofs") != 0)
			host->proc_covers++;
	}
	host->in_chroot = !has_root;
}

void probe_host_read(struct probe_host *ret)
{
	*ret = (struct probe_host){.uid = geteuid(), .gid = getegid(), .is_root = geteuid() == 0};
	char map[4096];
	bool has_map = read_text("/proc/self/uid_map", map, sizeof map);
	ret->in_userns = has_map && !probe_map_is_initial(map);
	ret->has_filter = read_filter_mode();
	read_mounts(ret);
	ret->max_user_namespaces = read_switch("/proc/sys/user/max_user_namespaces");
	ret->unprivileged_userns_clone = read_switch("/proc/sys/kernel/unprivileged_userns_clone");
	ret->apparmor_restrict_userns = read_switch("/proc/sys/kernel/apparmor_restrict_unprivileged_userns");
	ret->memfd_noexec = read_switch("/proc/sys/vm/memfd_noexec");
	bool has_range = ret->is_root && has_map && probe_map_covers(map, PROBE_RANGE_FIRST, PROBE_RANGE_COUNT);
	probe_ids_init(&ret->ids, ret->uid, ret->gid, has_range);
	struct utsname name;
	if (uname(&name) == 0)
		snprintf(ret->kernel, sizeof ret->kernel, "%s %s %s", name.sysname, name.release, name.machine);
}
