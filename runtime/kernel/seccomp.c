/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/seccomp.h"

#include <errno.h>
#include <linux/seccomp.h>

#include "base/sys.h"

int seccomp_load_program(const struct sock_filter *instructions, unsigned length)
{
	struct sock_fprog program = {.len = (unsigned short)length, .filter = (struct sock_filter *)(uintptr_t)instructions};
	/* without SPEC_ALLOW, kernels before 5.16 slow every filtered process down */
	return (int)sys_call3(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program);
}
