/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_ENGINE_DISKS_H
#define HUTCH_ENGINE_DISKS_H

/* The disks below directories, as io.max wants them: whole disks, not partitions. */

#include <stdbool.h>
#include <sys/types.h>

/* The disk that holds what stat(2) says is on `dev`; 0: it is on none (a tmpfs, a network file system). */
dev_t disk_of(dev_t dev);

/* Adds the disk of `dev` to a set without repetitions. False: it is on none, or there is no room. */
bool disks_add(dev_t dev, dev_t *disks, unsigned *count, unsigned capacity);

#endif
