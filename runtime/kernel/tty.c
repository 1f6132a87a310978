/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/tty.h"

#include <asm/ioctls.h>
#include <asm/termios.h>
#include <fcntl.h>

#include "base/sys.h"

int tty_resize(int master, uint16_t rows, uint16_t columns)
{
	struct winsize size = {.ws_row = rows, .ws_col = columns};
	return (int)sys_call3(SYS_ioctl, master, TIOCSWINSZ, &size);
}

int tty_open(int devpts, uint16_t rows, uint16_t columns, int *ret_master, int *ret_peer)
{
	int master = (int)sys_call4(SYS_openat, devpts, "ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW, 0);
	if (master < 0)
		return master;
	int unlocked = 0;
	long ret = sys_call3(SYS_ioctl, master, TIOCSPTLCK, &unlocked);
	if (ret >= 0)
		ret = tty_resize(master, rows, columns);
	if (ret >= 0)
		ret = sys_call3(SYS_ioctl, master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (ret < 0) {
		sys_call1(SYS_close, master);
		return (int)ret;
	}
	*ret_master = master;
	*ret_peer = (int)ret;
	return 0;
}

int tty_control(int tty)
{
	return (int)sys_call3(SYS_ioctl, tty, TIOCSCTTY, 0);
}

int tty_foreground(int tty, int pgid)
{
	return (int)sys_call3(SYS_ioctl, tty, TIOCSPGRP, &pgid);
}
