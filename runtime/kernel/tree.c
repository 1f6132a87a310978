/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <sys/stat.h>

#include "base/sys.h"

int tree_fail(struct tree_report *report, enum tree_reason reason, int error, const char *path)
{
	if (report->reason != TREE_NONE)
		return -1;
	report->reason = reason;
	report->error = error;
	uint32_t i = 0;
	for (; path[i] && i < TAR_PATH_MAX - 1; i++)
		report->path[i] = path[i];
	report->path[i] = '\0';
	return -1;
}

static int open_again(int fd)
{
	static const char prefix[] = "/proc/self/fd/";
	char path[40], digits[12];
	unsigned used = sizeof prefix - 1, count = 0;
	for (unsigned i = 0; i < used; i++)
		path[i] = prefix[i];
	do
		digits[count++] = (char)('0' + fd % 10);
	while (fd /= 10);
	while (count > 0)
		path[used++] = digits[--count];
	path[used] = '\0';
	return (int)sys_call4(SYS_openat, AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
}

/* An O_PATH descriptor first: opening a FIFO or a device is what may block or have effects. */
int tree_open_file(int dir, const char *name, bool follow, uint64_t *ret_size)
{
	struct statx stx;
	int fd = (int)sys_call4(SYS_openat, dir, name, O_PATH | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW), 0);
	if (fd < 0)
		return fd;
	int ret = (int)sys_call5(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx);
	if (ret == 0 && !S_ISREG(stx.stx_mode))
		ret = S_ISDIR(stx.stx_mode) ? -EISDIR : -EINVAL;
	if (ret == 0)
		ret = open_again(fd);
	sys_call1(SYS_close, fd);
	*ret_size = stx.stx_size;
	return ret;
}

int tree_push(char path[TAR_PATH_MAX], uint32_t *length, const char *name)
{
	uint32_t before = *length, used = before;
	if (used > 0 && used < TAR_PATH_MAX - 1)
		path[used++] = '/';
	for (; *name && used < TAR_PATH_MAX - 1; name++)
		path[used++] = *name;
	if (*name) {
		path[before] = '\0';
		return -ENAMETOOLONG;
	}
	path[used] = '\0';
	*length = used;
	return (int)before;
}

void tree_temporary(char to[40])
{
	static const char prefix[] = ".hutch-new-";
	unsigned char random[8] = {0};
	unsigned used = sizeof prefix - 1;
	sys_call3(SYS_getrandom, random, sizeof random, 0); /* O_EXCL finds out if it is not new */
	for (unsigned i = 0; i < used; i++)
		to[i] = prefix[i];
	for (unsigned i = 0; i < sizeof random; i++) {
		to[used++] = "0123456789abcdef"[random[i] >> 4];
		to[used++] = "0123456789abcdef"[random[i] & 15];
	}
	to[used] = '\0';
}
