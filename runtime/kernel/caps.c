/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/caps.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <linux/securebits.h>

#include "base/sys.h"

/* This kernel's last capability is the last one whose bounding bit can be asked for. */
CHILD_CODE static uint64_t known(void)
{
	unsigned cap = CAP_LAST_CAP; /* of the headers; the kernel may know more or fewer */
	while (cap < 63 && sys_call2(SYS_prctl, PR_CAPBSET_READ, cap + 1) >= 0)
		cap++;
	while (cap > 0 && sys_call2(SYS_prctl, PR_CAPBSET_READ, cap) < 0)
		cap--;
	return CAPS_ALL >> (63 - cap);
}

CHILD_CODE int caps_set(uint64_t effective, uint64_t permitted, uint64_t inheritable)
{
	uint64_t all = known();
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];
	for (unsigned i = 0; i < 2; i++) {
		data[i].effective = (uint32_t)((effective & all) >> (32 * i));
		data[i].permitted = (uint32_t)((permitted & all) >> (32 * i));
		data[i].inheritable = (uint32_t)((inheritable & all) >> (32 * i));
	}
	return (int)sys_call2(SYS_capset, &header, data);
}

CHILD_CODE int caps_raise_ambient(uint64_t caps)
{
	caps &= known();
	for (unsigned cap = 0; cap < 64; cap++) {
		if (!(caps & CAP_BIT(cap)))
			continue;
		int ret = (int)sys_call5(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int caps_clear_ambient(void)
{
	return (int)sys_call5(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

int caps_bound(uint64_t keep)
{
	uint64_t drop = known() & ~keep;
	for (unsigned cap = 0; cap < 64; cap++) {
		if (!(drop & CAP_BIT(cap)))
			continue;
		int ret = (int)sys_call2(SYS_prctl, PR_CAPBSET_DROP, cap);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int caps_lock_securebits(int keep_ambient)
{
	unsigned long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED |
	                     SECBIT_KEEP_CAPS_LOCKED;
	if (!keep_ambient)
		bits |= SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
	return (int)sys_call2(SYS_prctl, PR_SET_SECUREBITS, bits);
}
