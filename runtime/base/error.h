/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_BASE_ERROR_H
#define HUTCH_BASE_ERROR_H

/*
 * How errors are made inside the library: one statement each, `return err_set(err, HUTCH_E_INVALID, "…");`. The value
 * returned is -code, so that it can be handed up as it is. err may be NULL everywhere.
 */

#include <stdarg.h>

#include <hutch/error.h>

/* A wrong request, a missing feature, ... : code and message. */
int err_set(struct hutch_error *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* A failed call: like err_set, with the errno kept and ": strerror" appended to the message. */
int err_sys(struct hutch_error *err, int code, int sys_errno, const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Puts "prefix: " before the message; returns -err->code (or `ret` when err is NULL). */
int err_prefix(struct hutch_error *err, int ret, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* What the user can do about it; returns `ret`. */
int err_hint(struct hutch_error *err, int ret, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The stage that failed; returns `ret`. */
int err_stage(struct hutch_error *err, int ret, const char *stage);

#endif
