/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/landlock.h>

#include "base/sys.h"

/* What older headers lack. Values of include/uapi/linux/landlock.h. */
#define FS_REFER     (UINT64_C(1) << 13) /* ABI 2 */
#define FS_TRUNCATE  (UINT64_C(1) << 14) /* ABI 3 */
#define FS_IOCTL_DEV (UINT64_C(1) << 15) /* ABI 5 */
#define SCOPE_ALL    UINT64_C(3)         /* ABI 6: abstract UNIX sockets, signals */

/* struct landlock_ruleset_attr as of ABI 6; older kernels take a prefix. */
struct ruleset_attr {
	uint64_t handled_access_fs, handled_access_net, scoped;
};

static uint64_t handled(unsigned abi)
{
	uint64_t rights = (UINT64_C(1) << 13) - 1 + FS_REFER; /* ABI 1's thirteen rights and REFER */
	if (abi >= 3)
		rights |= FS_TRUNCATE;
	if (abi >= 5)
		rights |= FS_IOCTL_DEV;
	return rights;
}

int landlock_open(struct landlock *ret)
{
	long abi = sys_call3(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	if (abi < 0)
		return (int)abi;
	if (abi < 2)
		return -EOPNOTSUPP;
	struct ruleset_attr attr = {.handled_access_fs = handled((unsigned)abi), .scoped = SCOPE_ALL};
	size_t size = abi >= 6 ? sizeof attr : offsetof(struct ruleset_attr, handled_access_net);
	long fd = sys_call3(SYS_landlock_create_ruleset, &attr, size, 0);
	if (fd < 0)
		return (int)fd;
	*ret = (struct landlock){.ruleset = (int)fd, .abi = (unsigned)abi};
	return 0;
}

static int add_rule(const struct landlock *landlock, int fd, uint64_t rights)
{
	struct landlock_path_beneath_attr attr = {.allowed_access = rights & handled(landlock->abi), .parent_fd = fd};
	return (int)sys_call4(SYS_landlock_add_rule, landlock->ruleset, LANDLOCK_RULE_PATH_BENEATH, &attr, 0);
}

int landlock_allow(const struct landlock *landlock, int fd, bool is_file, bool writable)
{
	uint64_t file = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE;
	if (writable)
		file |= LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE | FS_IOCTL_DEV;
	uint64_t directory = writable ? handled(landlock->abi) : file | LANDLOCK_ACCESS_FS_READ_DIR;
	return add_rule(landlock, fd, is_file ? file : directory);
}

int landlock_allow_stream(const struct landlock *landlock, int fd, int flags)
{
	uint64_t rights = 0;
	if ((flags & O_ACCMODE) != O_WRONLY)
		rights |= LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE;
	if ((flags & O_ACCMODE) != O_RDONLY)
		rights |= LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE;
	return add_rule(landlock, fd, rights);
}

int landlock_enter(struct landlock *landlock)
{
	long ret = sys_call2(SYS_landlock_restrict_self, landlock->ruleset, 0);
	sys_call1(SYS_close, landlock->ruleset);
	landlock->ruleset = -1;
	return (int)ret;
}
