/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/disks.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"

static bool read_dev(const char *path, dev_t *ret)
{
	char text[32];
	unsigned major_number, minor_number;
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (size <= 0)
		return false;
	text[size] = '\0';
	if (sscanf(text, "%u:%u", &major_number, &minor_number) != 2)
		return false;
	*ret = makedev(major_number, minor_number);
	return true;
}

/* A partition's disk is the directory above it in sysfs. */
static dev_t whole_disk(dev_t dev)
{
	char path[96];
	dev_t disk;
	snprintf(path, sizeof path, "/sys/dev/block/%u:%u/partition", major(dev), minor(dev));
	if (access(path, F_OK) < 0)
		return dev;
	snprintf(path, sizeof path, "/sys/dev/block/%u:%u/../dev", major(dev), minor(dev));
	return read_dev(path, &disk) ? disk : dev;
}

/* File systems with anonymous devices (btrfs) name their block device as the source of the mount. */
static dev_t source_of(dev_t dev)
{
	char wanted[32], line[8192], source[4096];
	dev_t found = 0;
	snprintf(wanted, sizeof wanted, "%u:%u", major(dev), minor(dev));
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	while (mounts && !found && fgets(line, sizeof line, mounts)) {
		char id[32];
		struct stat st;
		const char *rest = strstr(line, " - ");
		if (rest && sscanf(line, "%*s %*s %31s", id) == 1 && strcmp(id, wanted) == 0 && sscanf(rest, " - %*s %4095s", source) == 1 && source[0] == '/' &&
		    stat(source, &st) == 0 && S_ISBLK(st.st_mode))
			found = st.st_rdev;
	}
	if (mounts)
		fclose(mounts);
	return found;
}

dev_t disk_of(dev_t dev)
{
	dev_t block = major(dev) ? dev : source_of(dev);
	return block ? whole_disk(block) : 0;
}

bool disks_add(dev_t dev, dev_t *disks, unsigned *count, unsigned capacity)
{
	dev_t disk = disk_of(dev);
	for (unsigned i = 0; disk && i < *count; i++)
		if (disks[i] == disk)
			return true;
	if (!disk || *count == capacity)
		return false;
	disks[(*count)++] = disk;
	return true;
}
