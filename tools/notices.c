/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notices: things a user may want to know and a script does not want to see. Who reads stderr decides whether they are
 * printed; the record has them in any case.
 */
#include "notices.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "say.h"

void notices_init(struct notices *notices, const struct run_options *options)
{
	*notices = (struct notices){
		.is_shown = !options->quiet && (options->verbose || isatty(STDERR_FILENO)),
		.is_kept = options->json || options->result,
	};
}

void notices_free(struct notices *notices)
{
	for (size_t i = 0; i < notices->count; i++)
		free(notices->texts[i]);
	notices->count = 0;
}

bool notices_wanted(const struct notices *notices)
{
	return notices->is_shown || notices->is_kept;
}

void notice(struct notices *notices, const char *format, ...)
{
	char text[1024];
	va_list args;

	if (!notices_wanted(notices))
		return;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (notices->is_shown)
		say("%s", text);
	/* there are fewer places that give notice than there is room */
	if (!notices->is_kept || notices->count == sizeof notices->texts / sizeof notices->texts[0])
		return;
	char *copy = strdup(text);
	if (copy)
		notices->texts[notices->count++] = copy;
}
