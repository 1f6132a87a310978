/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Profile files: the long options, one `name = value` a line.
 *
 * Empty lines and lines that start with # are skipped, white space around names and values is dropped, values are taken as
 * they are (no quotes). An option without a value stands alone, or with `= true`; `= false` is as if it were not there.
 * Relative paths count from the directory hutch was started in, as on the command line. A profile names no other profile.
 */
#include "profile.h"

#include <string.h>

#include "keep.h"
#include "say.h"

#define PROFILE_MAX (64u << 10)

/* Ends the name in place; returns where the value starts, NULL if there is none. */
static const char *split(char *line)
{
	char *equals = strchr(line, '=');
	char *end = equals ? equals : line + strlen(line);

	while (end > line && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*end = '\0';
	return equals ? equals + 1 + strspn(equals + 1, " \t") : NULL;
}

static int apply_flag(struct run_options *options, const struct option *option, const char *value, struct hutch_error *err)
{
	if (value && strcmp(value, "false") == 0)
		return 0;
	if (value && strcmp(value, "true") != 0)
		return usage_error(err, "\"%.100s\" is neither true nor false", value);
	return option_apply(options, option, NULL, err);
}

static int apply_line(struct run_options *options, unsigned int verb, char *line, struct hutch_error *err)
{
	const char *value = split(line);
	const struct option *option = option_find(line, strlen(line), verb);

	if (!option) {
		const char *meant = option_suggestion(line, verb);
		return usage_error(err, "unknown option \"%.100s\"%s%s%s", line, meant ? " (did you mean " : "", meant ? meant : "",
		                   meant ? "?)" : "");
	}
	if (option->is_command_line)
		return usage_error(err, "%s cannot stand in a profile", option->name);
	int ret = 0;
	if (!option->argument)
		ret = apply_flag(options, option, value, err);
	else if (!value && !option->is_optional)
		ret = usage_error(err, "a value is missing (%s = %s)", option->name, option->argument);
	else
		ret = option_apply(options, option, value, err);
	return ret < 0 ? usage_prefix(err, "%s", option->name) : 0;
}

int profile_load(struct run_options *options, unsigned int verb, const char *path, struct hutch_error *err)
{
	unsigned int number = 0;
	char *text = keep_file(options, path, PROFILE_MAX, err);

	if (!text)
		return usage_prefix(err, "--profile");
	for (char *line = next_line(&text, &number); line; line = next_line(&text, &number)) {
		if (apply_line(options, verb, line, err) < 0)
			return usage_prefix(err, "%s:%u", path, number);
	}
	return 0;
}
