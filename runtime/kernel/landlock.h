/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_KERNEL_LANDLOCK_H
#define HUTCH_KERNEL_LANDLOCK_H

/*
 * Landlock as one more layer behind the mounts: even if a mount flag were wrong, files outside of the writable places
 * can be read and executed only. From ABI 2 on; ABI 1 refuses ordinary renames across directories. Newer rights
 * (truncate, device ioctls) and scopes (abstract sockets, signals) are used where the kernel has them.
 * See landlock(7).
 */

#include <stdbool.h>

struct landlock {
	int ruleset;
	unsigned abi;
};

/* -ENOSYS or -EOPNOTSUPP: not in this kernel, or too old. */
int landlock_open(struct landlock *ret);

/* Allows reading and executing below `fd` (O_PATH), and everything with `writable`. `is_file`: fd is not a directory. */
int landlock_allow(const struct landlock *landlock, int fd, bool is_file, bool writable);

/* Allows a file to be opened again for what it is open for: `flags` as F_GETFL tells them. */
int landlock_allow_stream(const struct landlock *landlock, int fd, int flags);

/* Puts the calling process and its future children into the domain and closes the ruleset. Needs no_new_privs or
 * CAP_SYS_ADMIN. No mount can be made from then on. */
int landlock_enter(struct landlock *landlock);

#endif
