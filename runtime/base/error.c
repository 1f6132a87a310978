/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <stdio.h>
#include <string.h>

static const char *const code_names[HUTCH_E_CODES] = {
	[HUTCH_E_NONE] = "none",
	[HUTCH_E_INVALID] = "invalid",
	[HUTCH_E_NO_MEMORY] = "no_memory",
	[HUTCH_E_SYSTEM] = "system",
	[HUTCH_E_UNSUPPORTED] = "unsupported",
	[HUTCH_E_UNENFORCEABLE] = "unenforceable",
	[HUTCH_E_SETUP] = "setup",
	[HUTCH_E_COMMAND] = "command",
	[HUTCH_E_NOT_FOUND] = "not_found",
	[HUTCH_E_NOT_EXECUTABLE] = "not_executable",
	[HUTCH_E_CWD] = "cwd",
	[HUTCH_E_NESTED] = "nested",
	[HUTCH_E_TIMEOUT] = "timeout",
	[HUTCH_E_EXECUTION] = "execution",
	[HUTCH_E_STATE] = "state",
	[HUTCH_E_GONE] = "gone",
	[HUTCH_E_BUSY] = "busy",
	[HUTCH_E_IS_DIRECTORY] = "is_directory",
	[HUTCH_E_NOT_DIRECTORY] = "not_directory",
	[HUTCH_E_PERMISSION] = "permission",
	[HUTCH_E_TOO_LARGE] = "too_large",
	[HUTCH_E_NOT_REGULAR] = "not_regular",
	[HUTCH_E_EXISTS] = "exists",
	[HUTCH_E_NO_SPACE] = "no_space",
	[HUTCH_E_ARCHIVE] = "archive",
	[HUTCH_E_FILE] = "file",
};

const char *hutch_error_code_name(int code)
{
	if (code < 0 || code >= HUTCH_E_CODES)
		return "unknown";
	return code_names[code];
}

const char *hutch_errno_name(int sys_errno)
{
	const char *name = sys_errno > 0 ? strerrorname_np(sys_errno) : NULL;
	return name ? name : "";
}

static void copy_truncated(char *to, size_t size, const char *from)
{
	size_t length = strnlen(from, size - 1);
	memcpy(to, from, length);
	to[length] = '\0';
}

__attribute__((format(printf, 4, 0))) static int set(struct hutch_error *err, int code, int sys_errno, const char *format, va_list args)
{
	if (!err)
		return -code;
	*err = (struct hutch_error){.code = code, .sys_errno = sys_errno};
	int used = vsnprintf(err->message, sizeof err->message, format, args);
	if (sys_errno && used >= 0 && (size_t)used < sizeof err->message) {
		char text[128];
		/* the GNU strerror_r: thread-safe, and never fails */
		const char *reason = strerror_r(sys_errno, text, sizeof text);
		snprintf(err->message + used, sizeof err->message - (size_t)used, ": %s", reason);
	}
	return -code;
}

int err_set(struct hutch_error *err, int code, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int ret = set(err, code, 0, format, args);
	va_end(args);
	return ret;
}

int err_sys(struct hutch_error *err, int code, int sys_errno, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int ret = set(err, code, sys_errno, format, args);
	va_end(args);
	return ret;
}

int err_prefix(struct hutch_error *err, int ret, const char *format, ...)
{
	if (!err)
		return ret;
	char text[sizeof err->message];
	va_list args;
	va_start(args, format);
	int used = vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (used >= 0 && (size_t)used < sizeof text)
		snprintf(text + used, sizeof text - (size_t)used, ": %.*s", (int)(sizeof text - (size_t)used - 3), err->message);
	copy_truncated(err->message, sizeof err->message, text);
	return ret;
}

int err_hint(struct hutch_error *err, int ret, const char *format, ...)
{
	if (!err)
		return ret;
	va_list args;
	va_start(args, format);
	vsnprintf(err->hint, sizeof err->hint, format, args);
	va_end(args);
	return ret;
}

int err_stage(struct hutch_error *err, int ret, const char *stage)
{
	if (err)
		copy_truncated(err->stage, sizeof err->stage, stage);
	return ret;
}
