/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_KERNEL_ACCOUNT_H
#define HUTCH_KERNEL_ACCOUNT_H

/* The caller's account, from the files themselves: the name service switch loads modules, which a statically linked
 * program and a library without side effects cannot have, and newuidmap goes by the files, too. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "kernel/probe_parse.h"

/* The login name of `uid` in /etc/passwd; "" and false if it has none there. */
bool account_name(uid_t uid, char *ret, size_t size);

/* The first range of at least `minimum` ids that `file` (/etc/subuid or /etc/subgid) has for the account. */
bool account_range(const char *file, uid_t uid, uint32_t minimum, struct probe_range *ret);

#endif
