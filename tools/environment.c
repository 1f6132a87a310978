/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --env and --env-file: the environment inside starts from nothing, and these are what is added to the default.
 *
 * A bare name passes the caller's value; a name the caller does not have adds nothing. Of several values for one name the
 * last one holds. A file has one `K=V` or `K` a line; white space around a line is dropped, what stands between `=` and the
 * end of the line is taken as it is: no quotes, no expansion. Empty lines and lines that start with # are skipped.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keep.h"
#include "say.h"
#include "values.h"

#define ENV_FILE_MAX (256u << 10)

/* How long the name in front of `=` is; 0 if it is none. White space in it is a sign of `export K=V` or `K = V`. */
static size_t name_length(const char *text)
{
	size_t length = strcspn(text, "=");

	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c <= ' ' || c == 0x7f)
			return 0;
	}
	return length;
}

static int add(struct run_options *options, const char *entry, size_t name, struct hutch_error *err)
{
	for (size_t i = 0; i < options->env_count; i++) {
		if (strncmp(options->env[i], entry, name + 1) == 0) {
			options->env[i] = entry;
			return 0;
		}
	}
	/* one more than there are entries: the NULL at the end */
	const char **env = grow(options->env, options->env_count + 1, sizeof *env, err);
	if (!env)
		return -1;
	env[options->env_count++] = entry;
	env[options->env_count] = NULL;
	options->env = env;
	options->command.env = env;
	return 0;
}

/* K=V with the value that this process has for K. */
static int add_inherited(struct run_options *options, const char *name, struct hutch_error *err)
{
	const char *value = getenv(name);
	if (!value)
		return 0;

	size_t size = strlen(name) + 1 + strlen(value);
	char *entry = keep_room(options, size, err);
	if (!entry)
		return -1;
	snprintf(entry, size + 1, "%s=%s", name, value);
	return add(options, entry, strlen(name), err);
}

int set_env(struct run_options *options, const char *value, struct hutch_error *err)
{
	size_t length = name_length(value);

	if (!length)
		return usage_error(err, "\"%.200s\" is not a variable (K=V, or K alone for this process's value; no space in K)", value);
	return value[length] ? add(options, value, length, err) : add_inherited(options, value, err);
}

int set_env_file(struct run_options *options, const char *value, struct hutch_error *err)
{
	unsigned int number = 0;
	char *text = keep_file(options, value, ENV_FILE_MAX, err);

	if (!text)
		return -1;
	for (char *line = next_line(&text, &number); line; line = next_line(&text, &number)) {
		if (set_env(options, line, err) < 0)
			return usage_prefix(err, "%s:%u", value, number);
	}
	return 0;
}
