/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What hutch itself says, and how it says that something is wrong.
 *
 * Nothing here goes through stdio: a line is made in one buffer and written with one write(2), so that lines of several
 * processes on one stderr don't mix, and a start that says nothing pays nothing.
 */
#include "say.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "text.h"

static void say_line(const char *text)
{
	char line[4096] = "hutch: ";
	size_t used = strlen(line);

	escape_text(line + used, sizeof line - used - 1, text, strlen(text), ESCAPE_MESSAGE);
	used += strlen(line + used);
	line[used++] = '\n';
	/* where stderr is gone there is nobody to tell */
	if (write(STDERR_FILENO, line, used) < 0)
		return;
}

void say(const char *format, ...)
{
	char text[2048];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	say_line(text);
}

void say_error(const struct hutch_error *err)
{
	if (err->stage[0])
		say("%s (stage %s)", err->message, err->stage);
	else
		say("%s", err->message);
	if (err->hint[0])
		say("hint: %s", err->hint);
}

int usage_error(struct hutch_error *err, const char *format, ...)
{
	va_list args;

	*err = (struct hutch_error){.code = HUTCH_E_INVALID};
	va_start(args, format);
	vsnprintf(err->message, sizeof err->message, format, args);
	va_end(args);
	return -1;
}

int usage_prefix(struct hutch_error *err, const char *format, ...)
{
	char text[sizeof err->message];
	va_list args;

	va_start(args, format);
	int used = vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (used >= 0 && (size_t)used < sizeof text)
		snprintf(text + used, sizeof text - (size_t)used, ": %.*s", (int)(sizeof text - (size_t)used - 3), err->message);
	memcpy(err->message, text, sizeof text);
	return -1;
}

int system_error(struct hutch_error *err, int sys_errno, const char *format, ...)
{
	va_list args;

	*err = (struct hutch_error){.code = HUTCH_E_SYSTEM, .sys_errno = sys_errno};
	va_start(args, format);
	int used = vsnprintf(err->message, sizeof err->message, format, args);
	va_end(args);
	if (used >= 0 && (size_t)used < sizeof err->message)
		snprintf(err->message + used, sizeof err->message - (size_t)used, ": %s", strerrordesc_np(sys_errno));
	return -1;
}
