/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/net.h"

#include <linux/if.h>
#include <linux/sockios.h>
#include <sys/socket.h>

#include "base/sys.h"

int net_loopback_up(void)
{
	int fd = (int)sys_call3(SYS_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int ret = (int)sys_call3(SYS_ioctl, fd, SIOCSIFFLAGS, &request);
	sys_call1(SYS_close, fd);
	return ret;
}
