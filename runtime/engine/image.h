/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_ENGINE_IMAGE_H
#define HUTCH_ENGINE_IMAGE_H

#include <stddef.h>

#include <hutch/error.h>

/* The program hutch-init, embedded at build time. */
extern const unsigned char init_image[];
extern const size_t init_image_size;

/* A sealed memfd with `size` bytes of `data`: nobody can change it, the one who made it included. `executable`: it can
 * be exec'd, also where memfds are not by default (vm.memfd_noexec). */
int image_memfd(const char *name, const void *data, size_t size, int executable, struct hutch_error *err);

#endif
