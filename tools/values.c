/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arguments that become one field: numbers, sizes, words, and the few that are more than that (identity, limits,
 * policy). Each refuses what it does not understand and says what it would have understood; whether the library can do it
 * on this host is not asked here.
 */
#include "values.h"

#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <unistd.h>

#include "keep.h"
#include "say.h"

#define SANDBOX_UID 1000u

const char *const seccomp_words[] = {
	[HUTCH_SECCOMP_DEFAULT] = "default",
	[HUTCH_SECCOMP_STRICT] = "strict",
	[HUTCH_SECCOMP_DEBUG] = "debug",
	NULL,
};

bool read_number(const char *text, uint64_t limit, uint64_t *ret)
{
	uint64_t value = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9' || __builtin_mul_overflow(value, 10u, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
			return false;
	}
	*ret = value;
	return value <= limit;
}

static int set_size(uint64_t *field, const char *value, struct hutch_error *err)
{
	uint64_t bytes;

	if (hutch_parse_size(value, &bytes) < 0)
		return usage_error(err, "\"%.100s\" is not a size (a number of bytes, or one with K, M, G or T, such as 64M)", value);
	if (!bytes)
		return usage_error(err, "zero is not allowed (leave the option away for no limit of your own)");
	*field = bytes;
	return 0;
}

static int set_duration(uint64_t *field, const char *value, struct hutch_error *err)
{
	uint64_t ms;

	if (hutch_parse_duration(value, &ms) < 0)
		return usage_error(err, "\"%.100s\" is not a duration (seconds, or a number with ms, s, m or h, such as 1.5s)", value);
	if (!ms)
		return usage_error(err, "less than a millisecond is not allowed (leave the option away for no limit of your own)");
	*field = ms;
	return 0;
}

static int set_count(uint32_t *field, const char *value, struct hutch_error *err)
{
	uint64_t number;

	if (!read_number(value, UINT32_MAX, &number) || !number)
		return usage_error(err, "\"%.100s\" is not a whole number above zero", value);
	*field = (uint32_t)number;
	return 0;
}

static int set_choice(void *field, const char *const *words, const char *value, struct hutch_error *err)
{
	char list[128] = "";

	for (unsigned int i = 0; words[i]; i++) {
		if (strcmp(words[i], value) == 0) {
			memcpy(field, &i, sizeof i); /* an enum of the public header, of which each is an unsigned int */
			return 0;
		}
		strncat(list, i ? ", " : "", sizeof list - strlen(list) - 1);
		strncat(list, words[i], sizeof list - strlen(list) - 1);
	}
	return usage_error(err, "\"%.100s\" is none of: %s", value, list);
}

static int set_text(const char **field, const char *value, struct hutch_error *err)
{
	if (!*value)
		return usage_error(err, "the name is empty");
	*field = value;
	return 0;
}

int option_apply(struct run_options *options, const struct option *option, const char *value, struct hutch_error *err)
{
	void *field = (char *)options + option->field;

	switch (option->kind) {
	case OPTION_FLAG:
		*(bool *)field = true;
		return 0;
	case OPTION_SIZE:
		return set_size(field, value, err);
	case OPTION_DURATION:
		return set_duration(field, value, err);
	case OPTION_COUNT:
		return set_count(field, value, err);
	case OPTION_TEXT:
	case OPTION_FILE:
	case OPTION_DIRECTORY:
		return set_text(field, value, err);
	case OPTION_CHOICE:
		return set_choice(field, option->words, value, err);
	case OPTION_OWN:
		return option->set(options, value, err);
	}
	return usage_error(err, "the option table is wrong");
}

int set_as_root(struct run_options *options, const char *value, struct hutch_error *err)
{
	(void)value;
	(void)err;
	options->spec.as_root = true;
	options->spec.has_uid = false;
	options->spec.uid = 0;
	return 0;
}

int set_user(struct run_options *options, const char *value, struct hutch_error *err)
{
	uint64_t uid = SANDBOX_UID;

	if (strcmp(value, "root") == 0)
		return set_as_root(options, NULL, err);
	if (strcmp(value, "sandbox") != 0 && !read_number(value, UINT32_MAX - 1, &uid))
		return usage_error(err,
		                   "\"%.100s\" is not a user inside (a number, \"sandbox\" or \"root\"; give an account of this machine by its uid)",
		                   value);
	if (uid == 0)
		return set_as_root(options, NULL, err);
	options->spec.as_root = false;
	options->spec.has_uid = true;
	options->spec.uid = (uint32_t)uid;
	return 0;
}

int set_swap(struct run_options *options, const char *value, struct hutch_error *err)
{
	if (hutch_parse_size(value, &options->spec.limits.swap_bytes) < 0)
		return usage_error(err, "\"%.100s\" is not a size (a number of bytes, or one with K, M, G or T; 0 for none)", value);
	options->spec.limits.has_swap = true;
	return 0;
}

int set_cpus(struct run_options *options, const char *value, struct hutch_error *err)
{
	uint64_t milli;

	/* a number of processors and its thousandths are read like seconds and milliseconds */
	bool has_unit = strpbrk(value, "smh") != NULL;
	if (has_unit || hutch_parse_duration(value, &milli) < 0 || !milli || milli > UINT32_MAX)
		return usage_error(err, "\"%.100s\" is not a number of processors (above zero, such as 1.5)", value);
	options->spec.limits.cpus_milli = (uint32_t)milli;
	return 0;
}

int set_ulimit(struct run_options *options, const char *value, struct hutch_error *err)
{
	const char *equals = strchr(value, '=');
	struct hutch_ulimit ulimit = {0};

	if (!equals || equals == value || !read_number(equals + 1, UINT64_MAX, &ulimit.value))
		return usage_error(err, "\"%.100s\" is not NAME=N (a resource limit and a whole number, such as nofile=1024)", value);
	ulimit.name = keep_text(options, value, (size_t)(equals - value), err);
	struct hutch_ulimit *ulimits = ulimit.name ? grow(options->ulimits, options->ulimits_count, sizeof *ulimits, err) : NULL;
	if (!ulimits)
		return -1;
	ulimits[options->ulimits_count++] = ulimit;
	options->ulimits = ulimits;
	options->spec.limits.ulimits = ulimits;
	options->spec.limits.ulimits_count = options->ulimits_count;
	return 0;
}

static uint32_t find_layer(const char *name, size_t length)
{
	for (unsigned int i = 0; i < 32; i++) {
		const char *known = hutch_requirement_name(1u << i);
		if (known && strlen(known) == length && memcmp(known, name, length) == 0)
			return 1u << i;
	}
	return 0;
}

static int refuse_layer(const char *name, size_t length, struct hutch_error *err)
{
	usage_error(err, "\"%.*s\" may not be missing, or is no layer or limit (those that may:", length > 100 ? 100 : (int)length, name);
	size_t used = strlen(err->message);
	for (unsigned int i = 0; i < 32; i++) {
		const char *known = hutch_requirement_name(1u << i);
		if (known)
			used += (size_t)snprintf(err->message + used, sizeof err->message - used, "%s%s", i ? ", " : " ", known);
	}
	snprintf(err->message + used, sizeof err->message - used, ")");
	return -1;
}

int set_best_effort(struct run_options *options, const char *value, struct hutch_error *err)
{
	if (!value) {
		options->spec.best_effort |= HUTCH_LIMITS_ALL;
		return 0;
	}
	for (const char *at = value;; at++) {
		size_t length = strcspn(at, ",");
		uint32_t bit = find_layer(at, length);
		if (!bit)
			return refuse_layer(at, length, err);
		options->spec.best_effort |= bit;
		at += length;
		if (!*at)
			return 0;
	}
}

int set_seccomp(struct run_options *options, const char *value, struct hutch_error *err)
{
	for (unsigned int i = 0; seccomp_words[i]; i++) {
		if (strcmp(value, seccomp_words[i]) == 0) {
			options->spec.seccomp = (enum hutch_seccomp)i;
			options->spec.seccomp_file = NULL;
			return 0;
		}
	}
	/* a misspelt word is more likely than a policy that does not exist */
	if (access(value, F_OK) < 0)
		return usage_error(err, "\"%.200s\" is neither default, strict or debug nor a policy file that exists", value);
	options->spec.seccomp = HUTCH_SECCOMP_FILE;
	options->spec.seccomp_file = value;
	return 0;
}

int set_cap_add(struct run_options *options, const char *value, struct hutch_error *err)
{
	char name[64] = "cap_";
	cap_value_t cap;
	bool has_prefix = strncasecmp(value, "cap_", 4) == 0;
	size_t used = has_prefix ? 0 : 4;

	if (strlen(value) < sizeof name - used)
		strcpy(name + used, value);
	if (cap_from_name(name, &cap) < 0 || cap < 0 || cap > 63)
		return usage_error(err, "\"%.100s\" is not a capability (such as NET_BIND_SERVICE; see capabilities(7))", value);
	options->spec.cap_add |= UINT64_C(1) << cap;
	return 0;
}

int set_on_exit(struct run_options *options, const char *value, struct hutch_error *err)
{
	bool is_kill = strcmp(value, "kill") == 0;

	if (!is_kill && strcmp(value, "leave") != 0)
		return usage_error(err, "\"%.100s\" is none of: kill, leave", value);
	options->command.on_exit = is_kill ? HUTCH_ON_EXIT_KILL : HUTCH_ON_EXIT_LEAVE;
	return 0;
}
