/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_TOOLS_SAY_H
#define HUTCH_TOOLS_SAY_H

#include <hutch/error.h>

/* The exit code for every failure of hutch itself. */
#define EXIT_HUTCH 125

/* "hutch: …" and a line feed on stderr, in one write, with control bytes escaped. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* "hutch: MESSAGE (stage X)" and, if there is one, "hutch: hint: …". */
void say_error(const struct hutch_error *err);

/* Makes `err` the error of a wrong request (HUTCH_E_INVALID); returns -1. */
int usage_error(struct hutch_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "prefix: " before err's message; returns -1. */
int usage_prefix(struct hutch_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for a failed call: errno is kept and its text is put behind the message. Returns -1. */
int system_error(struct hutch_error *err, int sys_errno, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
