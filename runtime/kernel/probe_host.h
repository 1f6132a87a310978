/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_KERNEL_PROBE_HOST_H
#define HUTCH_KERNEL_PROBE_HOST_H

/*
 * Who we are and which of the host's switches are known to get in the way. Nothing of it decides a verdict: that is
 * done by trying. It only explains a failure, so that the fix fits the host.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "kernel/probe_child.h"

#define PROBE_NO_SWITCH (-1L) /* this host does not have that sysctl, or does not show it */

struct probe_host {
	uid_t uid;
	gid_t gid;
	bool is_root;
	bool in_userns;      /* not in the initial user namespace: a container, or a sandbox */
	bool has_filter;     /* a seccomp filter is on this process */
	bool in_chroot;
	unsigned proc_covers; /* mounts on top of /proc */
	long max_user_namespaces;          /* user.max_user_namespaces, of our own user namespace */
	long unprivileged_userns_clone;    /* Debian's patch */
	long apparmor_restrict_userns;     /* Ubuntu's patch */
	long memfd_noexec;
	struct probe_ids ids;
	char kernel[200];    /* release and machine */
};

void probe_host_read(struct probe_host *ret);

/* Why `report` failed on this host, as far as a known switch explains it: what was found and what mends it. NULL: no
 * idea. Pure. */
struct probe_cause {
	const char *found, *fix;
};
const struct probe_cause *probe_cause_of(const struct probe_host *host, const struct probe_report *report);

#endif
