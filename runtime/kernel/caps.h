/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_KERNEL_CAPS_H
#define HUTCH_KERNEL_CAPS_H

/*
 * Capabilities, by raw calls: usable in a child that shares its parent's memory. Sets are bit masks, 1 << CAP_*.
 * See capabilities(7).
 */

#include <stdint.h>

#define CAP_BIT(cap) (UINT64_C(1) << (cap))
#define CAPS_ALL     (~UINT64_C(0))

/* Sets effective, permitted and inheritable sets; CAPS_ALL means those that this kernel knows. */
int caps_set(uint64_t effective, uint64_t permitted, uint64_t inheritable);

/* Makes `caps` ambient, so that they survive execve of an id that is not 0. They must be permitted and inheritable. */
int caps_raise_ambient(uint64_t caps);
int caps_clear_ambient(void);

/* Takes everything but `keep` out of the bounding set. */
int caps_bound(uint64_t keep);

/* Locks securebits(7) so that no uid change and no exec of root's gives anything back; with `keep_ambient` the ambient
 * set may still be used. */
int caps_lock_securebits(int keep_ambient);

#endif
