/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_KERNEL_TTY_H
#define HUTCH_KERNEL_TTY_H

#include <stdint.h>

/* A new pseudo-terminal of the devpts instance whose root directory is `devpts`. The peer is opened through the master
 * (TIOCGPTPEER), never by a name that could lead elsewhere. -errno; on success both descriptors are the caller's. */
int tty_open(int devpts, uint16_t rows, uint16_t columns, int *ret_master, int *ret_peer);

int tty_resize(int master, uint16_t rows, uint16_t columns);

/* Makes `tty` the controlling terminal of the caller, a session leader. */
int tty_control(int tty);

/* Makes process group `pgid` the foreground one. The caller must block SIGTTOU. */
int tty_foreground(int tty, int pgid);

#endif
