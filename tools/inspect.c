/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hutch inspect: everything that is known of one sandbox. What its record says (limits, warnings, how it ended) is there
 * once its main command has ended.
 */
#include <stdio.h>
#include <string.h>

#include "attach.h"
#include "listing.h"
#include "print.h"
#include "say.h"
#include "verb.h"

/* A supervisor that does not answer is not waited for longer. */
#define ANSWER_MS 2000

/* Found in the list and not by attaching, so that one whose supervisor was killed can be looked at, too. */
static const struct hutch_listing *find(const struct hutch_listing *list, size_t count, const char *word, struct hutch_error *err)
{
	const struct hutch_listing *found = NULL;
	size_t length = strlen(word);

	for (size_t i = 0; i < count; i++) {
		if (strcmp(list[i].id, word) == 0 || strcmp(list[i].name, word) == 0)
			return &list[i];
	}
	for (size_t i = 0; i < count; i++) {
		if (strncmp(list[i].id, word, length) != 0)
			continue;
		if (found) {
			usage_error(err, "\"%.100s\" is the beginning of several ids (%s, %s)", word, found->id, list[i].id);
			return NULL;
		}
		found = &list[i];
	}
	if (!found)
		usage_error(err, "there is no sandbox \"%.100s\" (see hutch ls --all)", word);
	return found;
}

/* NULL while it runs, or where nobody is there any more who could tell. */
static struct hutch_result *find_result(struct hutch *h, const struct hutch_listing *listing)
{
	struct attached attached = {.h = h};
	struct hutch_result *result = NULL;

	if (!listing_has_ended(listing) || !listing->command)
		return NULL;
	if (attach(&attached, listing->id, NULL) == 0)
		hutch_sandbox_wait_until_complete(attached.sandbox, ANSWER_MS, &result, NULL);
	return result;
}

static void print_json(const struct hutch_listing *listing, const struct hutch_result *result)
{
	static const struct notices none;
	struct json_writer w = {.out = stdout};

	json_begin(&w, NULL, '{');
	listing_json(&w, listing);
	if (result)
		record_json(&w, "result", result, &none, NULL);
	else
		json_null(&w, "result");
	json_end(&w, '}');
}

static void print_result(const struct hutch_result *result)
{
	printf("%-10s %s, code %d", "result", hutch_outcome_name((int)result->outcome), result->returncode);
	if (result->wall_ms >= 0)
		printf(", after %.3f s", result->wall_ms / 1000);
	putchar('\n');
	if (result->outcome == HUTCH_OUTCOME_NOT_STARTED) {
		printf("%-10s ", "error");
		print_name(stdout, result->error.message);
		putchar('\n');
	}
	for (size_t i = 0; i < result->limits_enforced_count; i++) {
		const struct hutch_limit_enforced *limit = &result->limits_enforced[i];
		printf("%-10s %s %llu by %s\n", "limit", limit->name, (unsigned long long)limit->value, limit->by);
	}
	for (char **warning = result->warnings; warning && *warning; warning++) {
		printf("%-10s ", "warning");
		print_name(stdout, *warning);
		putchar('\n');
	}
}

static void print_text(const struct hutch_listing *listing, const struct hutch_result *result)
{
	char created[TIME_TEXT], age[TIME_TEXT];

	time_text(created, listing->created_ms);
	age_text(age, listing->created_ms);
	printf("%-10s %s\n", "sandbox", listing->id);
	if (listing->name[0]) {
		printf("%-10s ", "name");
		print_name(stdout, listing->name);
		putchar('\n');
	}
	printf("%-10s %s\n%-10s %s (%s ago)\n", "state", hutch_sandbox_state_name((int)listing->state), "created", created, age);
	if (listing->supervisor)
		printf("%-10s process %lld\n", "supervisor", (long long)listing->supervisor);
	printf("%-10s ", "command");
	if (listing->command)
		print_command_line(stdout, listing->command, 0);
	else
		putchar('-');
	putchar('\n');
	for (char **label = listing->labels; label && *label; label++) {
		printf("%-10s ", "label");
		print_name(stdout, *label);
		putchar('\n');
	}
	if (result)
		print_result(result);
}

static int inspect_one(const struct run_options *options, const char *word, struct hutch_error *err)
{
	struct hutch_listing *list;
	struct hutch *h;
	size_t count;
	int code = -1;

	if (!*word)
		return usage_error(err, "the sandbox's name is empty");
	if (hutch_new(&h, err) < 0 || hutch_list(h, &list, &count, err) < 0)
		return -1;
	const struct hutch_listing *found = find(list, count, word, err);
	if (found) {
		struct hutch_result *result = find_result(h, found);
		(options->json ? print_json : print_text)(found, result);
		hutch_result_free(result);
		code = verb_finish(0);
	}
	hutch_list_free(list, count);
	return code;
}

static int inspect(struct run_options *options, char **words)
{
	struct hutch_error err;
	int code = -1;

	if (!words[0])
		usage_error(&err, "which sandbox? (an id, the beginning of one, or a name; see hutch ls --all)");
	else if (verb_refuse_words(words, 1, &err) == 0)
		code = inspect_one(options, words[0], &err);
	return code < 0 ? verb_failed(&err, options->json) : code;
}

const struct verb verb_inspect = {
	.name = "inspect",
	.usage = "[options] SANDBOX",
	.summary = "tell what is known of a sandbox",
	.mask = FOR_INSPECT,
	.takes_sandbox = true,
	.run = inspect,
};
