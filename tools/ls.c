/* SPDX-License-Identifier: Apache-2.0 */
/* hutch ls: the sandboxes of this user, oldest first; those that have ended only with --all. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "listing.h"
#include "print.h"
#include "verb.h"

#define COMMAND_WIDTH 60

/* "K=V" must be there as it is; "K" with any value. */
static bool has_label(const struct hutch_listing *listing, const char *wanted)
{
	size_t length = strlen(wanted);
	bool is_whole = strchr(wanted, '=');

	for (char **label = listing->labels; label && *label; label++) {
		if (strncmp(*label, wanted, length) == 0 && (!(*label)[length] || (!is_whole && (*label)[length] == '=')))
			return true;
	}
	return false;
}

static bool is_wanted(const struct run_options *options, const struct hutch_listing *listing)
{
	for (size_t i = 0; i < options->labels_count; i++) {
		if (!has_label(listing, options->labels[i]))
			return false;
	}
	return options->all || !listing_has_ended(listing);
}

static int by_age(const void *a, const void *b)
{
	const struct hutch_listing *first = a, *second = b;

	if (first->created_ms != second->created_ms)
		return first->created_ms < second->created_ms ? -1 : 1;
	return strcmp(first->id, second->id);
}

static void print_row(const struct hutch_listing *listing)
{
	char age[TIME_TEXT];

	age_text(age, listing->created_ms);
	printf("%-12s  ", listing->id);
	print_name(stdout, listing->name[0] ? listing->name : "-");
	printf("%*s  %-10s  %5s  ", listing->name[0] ? (int)(16 - strnlen(listing->name, 16)) : 15, "",
	       hutch_sandbox_state_name((int)listing->state), age);
	if (listing->command)
		print_command_line(stdout, listing->command, COMMAND_WIDTH);
	else
		putchar('-');
	putchar('\n');
}

static void print_table(const struct run_options *options, const struct hutch_listing *list, size_t count)
{
	printf("%-12s  %-16s  %-10s  %5s  %s\n", "ID", "NAME", "STATE", "AGE", "COMMAND");
	for (size_t i = 0; i < count; i++) {
		if (is_wanted(options, &list[i]))
			print_row(&list[i]);
	}
}

static void print_json(const struct run_options *options, const struct hutch_listing *list, size_t count)
{
	struct json_writer w = {.out = stdout};

	json_begin(&w, NULL, '{');
	json_begin(&w, "sandboxes", '[');
	for (size_t i = 0; i < count; i++) {
		if (!is_wanted(options, &list[i]))
			continue;
		json_begin(&w, NULL, '{');
		listing_json(&w, &list[i]);
		json_end(&w, '}');
	}
	json_end(&w, ']');
	json_end(&w, '}');
}

static int ls(struct run_options *options, char **words)
{
	struct hutch_listing *list;
	struct hutch_error err;
	struct hutch *h;
	size_t count;

	if (verb_refuse_words(words, 0, &err) < 0 || hutch_new(&h, &err) < 0 || hutch_list(h, &list, &count, &err) < 0)
		return verb_failed(&err, options->json);
	if (count)
		qsort(list, count, sizeof *list, by_age);
	(options->json ? print_json : print_table)(options, list, count);
	hutch_list_free(list, count);
	return verb_finish(0);
}

const struct verb verb_ls = {
	.name = "ls",
	.usage = "[options]",
	.summary = "list sandboxes",
	.mask = FOR_LS,
	.run = ls,
};
