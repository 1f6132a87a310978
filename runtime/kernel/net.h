/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_KERNEL_NET_H
#define HUTCH_KERNEL_NET_H

/* Brings the loopback interface of the calling process's network namespace up. -errno. */
int net_loopback_up(void);

#endif
