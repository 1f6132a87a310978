/* SPDX-License-Identifier: Apache-2.0 */
/* Help, made from the list of verbs and the option table. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "say.h"
#include "verb.h"

#define HELP_COLUMN 32

static void print_option(const struct option *option)
{
	char left[80];
	const char *before = !option->argument ? "" : option->is_optional ? "[=" : " ";
	int used = option->letter ? snprintf(left, sizeof left, "  -%c, ", option->letter) : snprintf(left, sizeof left, "      ");

	used += snprintf(left + used, sizeof left - (size_t)used, "--%s%s%s%s", option->name, before,
	                 option->argument ? option->argument : "", option->is_optional ? "]" : "");
	if (used < HELP_COLUMN - 1)
		printf("%-*s%s\n", HELP_COLUMN, left, option->help);
	else
		printf("%s\n%*s%s\n", left, HELP_COLUMN, "", option->help);
}

static void print_options(unsigned int verb)
{
	const char *section = NULL;
	const char *printed = NULL;

	for (const struct option *option = option_table; option->name; option++) {
		section = option->section ? option->section : section;
		if (!(option->verbs & verb))
			continue;
		if (section != printed)
			printf("\n%s:\n", section);
		printed = section;
		print_option(option);
	}
}

static void print_verbs(void)
{
	puts("hutch: isolated processes on this machine\n");
	puts("Usage: hutch VERB [options] ...\n");
	for (size_t i = 0; verbs[i]; i++)
		printf("  %-12s %s\n", verbs[i]->name, verbs[i]->summary);
	puts("\nhutch help VERB tells the options of a verb; hutch(1) tells everything.");
}

static void print_options_json(struct json_writer *w, unsigned int verb)
{
	json_begin(w, "options", '[');
	for (const struct option *option = option_table; option->name; option++) {
		char letter[] = {option->letter, '\0'};
		if (!(option->verbs & verb))
			continue;
		json_begin(w, NULL, '{');
		json_string(w, "name", option->name);
		json_string(w, "letter", option->letter ? letter : NULL);
		json_string(w, "argument", option->argument);
		json_bool(w, "argument_optional", option->is_optional);
		json_string(w, "help", option->help);
		json_end(w, '}');
	}
	json_end(w, ']');
}

static void print_json(const struct verb *verb)
{
	struct json_writer w = {.out = stdout};

	json_begin(&w, NULL, '{');
	json_begin(&w, "verbs", '[');
	for (size_t i = 0; verbs[i]; i++) {
		if (verb && verb != verbs[i])
			continue;
		json_begin(&w, NULL, '{');
		json_string(&w, "name", verbs[i]->name);
		json_string(&w, "usage", verbs[i]->usage);
		json_string(&w, "summary", verbs[i]->summary);
		print_options_json(&w, verbs[i]->mask);
		json_end(&w, '}');
	}
	json_end(&w, ']');
	json_end(&w, '}');
}

int help_print(const struct verb *verb, bool json)
{
	if (json) {
		print_json(verb);
	} else if (verb) {
		printf("Usage: hutch %s %s\n\n%c%s.\n", verb->name, verb->usage, toupper(verb->summary[0]), verb->summary + 1);
		print_options(verb->mask);
	} else {
		print_verbs();
	}
	return verb_finish(0);
}

static int help(struct run_options *options, char **words)
{
	const struct verb *verb = words[0] ? verb_find(words[0]) : NULL;
	struct hutch_error err;

	if (verb_refuse_words(words, 1, &err) < 0)
		return verb_failed(&err, options->json);
	if (words[0] && !verb) {
		usage_error(&err, "unknown verb \"%.100s\" (see hutch help)", words[0]);
		return verb_failed(&err, options->json);
	}
	return help_print(verb, options->json);
}

const struct verb verb_help = {
	.name = "help",
	.usage = "[options] [VERB]",
	.summary = "explain hutch, or one of its verbs",
	.mask = FOR_HELP,
	.run = help,
};
