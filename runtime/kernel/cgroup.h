/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_KERNEL_CGROUP_H
#define HUTCH_KERNEL_CGROUP_H

/* Control groups, version 2 (Documentation/admin-guide/cgroup-v2.rst): the files of one directory. A directory is a
 * descriptor; nothing here knows where it is. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CGROUP_MEMORY (1u << 0)
#define CGROUP_CPU    (1u << 1)
#define CGROUP_PIDS   (1u << 2)
#define CGROUP_IO     (1u << 3)
#define CGROUP_ALL    15u

/* "memory", "cpu", "pids", "io"; NULL for what is not one of these bits. */
const char *cgroup_controller_name(uint32_t bit);

/* The CGROUP_* that a list of controllers, such as "cpu memory pids", names; unknown ones are skipped. */
uint32_t cgroup_parse_controllers(const char *list);

/* Writes a whole value / reads one, terminated and without its last newline. 0 or -errno; -E2BIG if it does not fit. */
int cgroup_write(int dir, const char *file, const char *value);
int cgroup_write_u64(int dir, const char *file, uint64_t value);
int cgroup_read(int dir, const char *file, char *ret, size_t size);
/* "max" is UINT64_MAX. */
int cgroup_read_u64(int dir, const char *file, uint64_t *ret);
/* The number behind `key` in a file of "key number" lines; -ENOENT if there is no such line. */
int cgroup_read_key(int dir, const char *file, const char *key, uint64_t *ret);

/* Bytes read from and written to all disks together (io.stat). False: not known. */
bool cgroup_sum_io(int dir, uint64_t *ret_read, uint64_t *ret_written);

#endif
