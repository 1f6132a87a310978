/* SPDX-License-Identifier: Apache-2.0 */
/* What is taken from a command for good: filters, Landlock, the keyring. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/landlock.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>

#include "base/sys.h"
#include "kernel/landlock.h"
#include "kernel/probe_table.h"
#include "kernel/seccomp.h"

static long no_new_privs(struct probe_report *report)
{
	report->stage = "no_new_privs";
	return sys_call5(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

long probe_seccomp(struct probe_report *report, const void *data)
{
	(void)data;
	/* an errno that getpgid never gives by itself */
	static const struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpgid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EUCLEAN),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	long ret = no_new_privs(report);
	if (ret < 0)
		return ret;
	report->stage = "seccomp";
	ret = seccomp_load_program(program, sizeof program / sizeof *program);
	if (ret < 0)
		return ret;
	return sys_call1(SYS_getpgid, 0) == -EUCLEAN ? 0 : -ENOSYS;
}

long probe_landlock(struct probe_report *report, const void *data)
{
	(void)data;
	report->stage = "landlock_create_ruleset";
	long abi = sys_call3(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	if (abi < 0)
		return abi;
	if (abi == 1)
		report->stage = "ABI 1, which refuses ordinary renames and is not used";
	struct landlock landlock;
	long ret = landlock_open(&landlock);
	if (ret < 0)
		return ret;
	ret = no_new_privs(report);
	if (ret < 0)
		return ret;
	report->stage = "landlock_restrict_self";
	ret = landlock_enter(&landlock);
	if (ret < 0)
		return ret;
	ret = sys_call4(SYS_openat, AT_FDCWD, "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	return ret == -EACCES ? abi : -EUCLEAN;
}

void probe_describe_landlock(const struct probe_host *host, const struct probe_report *report, char *text, size_t size)
{
	(void)host;
	snprintf(text, size, "ABI %ld", report->result);
}

long probe_keyring(struct probe_report *report, const void *data)
{
	(void)data;
	report->stage = "keyring";
	return sys_call2(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
}
