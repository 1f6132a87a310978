/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From argv to struct run_options.
 *
 * A cursor goes over the words and yields one option at a time; it ends at the first word that is none, or behind `--`;
 * where words cannot be a command (FOR_MIXED), it goes on behind them. The words are gone over twice: profiles first, then everything else, so that the command line wins over a profile wherever
 * in the line the profile is named, and repeatable options of the line come behind those of the profile.
 */
#include "options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keep.h"
#include "profile.h"
#include "say.h"

struct cursor {
	char **word;        /* the next one */
	const char *letters; /* what is left of a group of short options */
	unsigned int verb;
	bool is_over;        /* a `--` was passed: words from here on */
};

const struct option *option_find(const char *name, size_t length, unsigned int verb)
{
	for (const struct option *option = option_table; option->name; option++) {
		bool is_named = strncmp(option->name, name, length) == 0 && !option->name[length];
		if (is_named && (option->verbs & verb))
			return option;
	}
	return NULL;
}

static const struct option *find_letter(char letter, unsigned int verb)
{
	for (const struct option *option = option_table; option->name; option++) {
		if (option->letter == letter && (option->verbs & verb))
			return option;
	}
	return NULL;
}

/* The value that an option takes from the next word. */
static int take_word(struct cursor *cursor, const struct option *option, const char **ret_value, struct hutch_error *err)
{
	if (!*cursor->word)
		return usage_error(err, "--%s needs a value (%s)", option->name, option->argument);
	*ret_value = *cursor->word++;
	return 1;
}

static int next_long(struct cursor *cursor, const char *text, const struct option **ret, const char **ret_value,
                     struct hutch_error *err)
{
	size_t length = strcspn(text, "=");
	const char *value = text[length] ? text + length + 1 : NULL;
	const struct option *option = option_find(text, length, cursor->verb);

	if (!option) {
		const char *meant = option_suggestion(text, cursor->verb);
		return usage_error(err, "unknown option --%.*s%s%s%s", length > 100 ? 100 : (int)length, text,
		                   meant ? " (did you mean --" : "", meant ? meant : "", meant ? "?)" : "");
	}
	if (value && !option->argument)
		return usage_error(err, "--%s takes no value", option->name);
	*ret = option;
	*ret_value = value;
	if (value || !option->argument || option->is_optional)
		return 1;
	return take_word(cursor, option, ret_value, err);
}

/* -q, -qv, -eK=V, -e K=V */
static int next_letter(struct cursor *cursor, const struct option **ret, const char **ret_value, struct hutch_error *err)
{
	char letter = *cursor->letters++;
	const struct option *option = find_letter(letter, cursor->verb);

	if (!option)
		return usage_error(err, "unknown option -%c", letter);
	*ret = option;
	*ret_value = NULL;
	if (!option->argument)
		return 1;
	const char *rest = cursor->letters;
	cursor->letters = "";
	if (!*rest)
		return take_word(cursor, option, ret_value, err);
	*ret_value = rest;
	return 1;
}

/* 1 and an option; 0: they are over and cursor->word is the first word behind them; -1 and the reason. */
static int next_option(struct cursor *cursor, const struct option **ret, const char **ret_value, struct hutch_error *err)
{
	const char *word = *cursor->word;

	if (*cursor->letters)
		return next_letter(cursor, ret, ret_value, err);
	if (!word || word[0] != '-' || !word[1])
		return 0;
	cursor->word++;
	if (word[1] != '-') {
		cursor->letters = word + 1;
		return next_letter(cursor, ret, ret_value, err);
	}
	if (word[2])
		return next_long(cursor, word + 2, ret, ret_value, err);
	cursor->is_over = true;
	return 0;
}

/* Where options may stand behind words: the next word, passed over; NULL: everything that follows is words. */
static char *skip_word(struct cursor *cursor)
{
	bool may_skip = (cursor->verb & FOR_MIXED) == cursor->verb && !cursor->is_over;

	return may_skip && *cursor->word ? *cursor->word++ : NULL;
}

static bool is_profile(const struct option *option)
{
	return strcmp(option->name, "profile") == 0;
}

static int apply(struct run_options *options, unsigned int verb, const struct option *option, const char *value, bool profiles,
                 struct hutch_error *err)
{
	if (is_profile(option) != profiles)
		return 0;
	if (option_apply(options, option, value, err) < 0)
		return usage_prefix(err, "--%s", option->name);
	return profiles ? profile_load(options, verb, value, err) : 0;
}

/* The words that options stood between are put before those that `cursor` has come to. */
static int go_over(struct run_options *options, struct cursor *cursor, bool profiles, struct hutch_error *err)
{
	const struct option *option;
	const char *value;
	size_t count = 0;

	for (;;) {
		int got = next_option(cursor, &option, &value, err);
		if (got < 0 || (got > 0 && apply(options, cursor->verb, option, value, profiles, err) < 0))
			return -1;
		char *word = got == 0 ? skip_word(cursor) : NULL;
		if (word)
			options->words[count++] = word;
		else if (got == 0)
			break;
	}
	if (!options->words)
		return 0;
	for (char **word = cursor->word; *word; word++)
		options->words[count++] = *word;
	options->words[count] = NULL;
	return 0;
}

static int make_words(struct run_options *options, unsigned int verb, char **argv, struct hutch_error *err)
{
	size_t count = 0;

	if ((verb & FOR_MIXED) != verb)
		return 0;
	while (argv[count])
		count++;
	options->words = calloc(count + 1, sizeof *options->words);
	return options->words ? 0 : system_error(err, ENOMEM, "cannot keep %zu words", count);
}

int options_parse(struct run_options *options, unsigned int verb, char **argv, char ***ret_words, struct hutch_error *err)
{
	options->spec.size = sizeof options->spec;
	options->command.size = sizeof options->command;
	if (make_words(options, verb, argv, err) < 0)
		return -1;
	for (int pass = 0; pass < 2; pass++) {
		struct cursor cursor = {.word = argv, .letters = "", .verb = verb};
		if (go_over(options, &cursor, pass == 0, err) < 0)
			return -1;
		*ret_words = options->words ? options->words : cursor.word;
	}
	return 0;
}

void options_free(struct run_options *options)
{
	free((void *)options->env);
	free(options->mounts);
	free(options->ulimits);
	free((void *)options->labels);
	free(options->words);
	keep_free(options->kept);
	*options = (struct run_options){0};
}

bool options_ask_json(unsigned int verb, char **argv)
{
	struct cursor cursor = {.word = argv, .letters = "", .verb = verb};
	const struct option *option = NULL;
	const char *value;
	struct hutch_error ignored;
	int got;

	/* what cannot be read is skipped: it has been reported already */
	while ((got = next_option(&cursor, &option, &value, &ignored)) != 0 || skip_word(&cursor)) {
		if (got > 0 && strcmp(option->name, "json") == 0)
			return true;
	}
	return false;
}

static unsigned int smallest(unsigned int a, unsigned int b, unsigned int c)
{
	unsigned int least = a < b ? a : b;
	return least < c ? least : c;
}

/* How many letters must be changed, added or removed to make one of the other. */
static unsigned int distance(const char *a, size_t a_length, const char *b)
{
	enum { LONGEST = 32 };
	unsigned int row[LONGEST + 1];
	size_t b_length = strlen(b);

	if (a_length > LONGEST || b_length > LONGEST)
		return LONGEST;
	for (unsigned int j = 0; j <= b_length; j++)
		row[j] = j;
	for (unsigned int i = 1; i <= a_length; i++) {
		unsigned int diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= b_length; j++) {
			unsigned int above = row[j];
			row[j] = smallest(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[b_length];
}

const char *option_suggestion(const char *name, unsigned int verb)
{
	const char *best = NULL;
	unsigned int least = 3; /* further away is a guess */
	size_t length = strcspn(name, "=");

	for (const struct option *option = option_table; option->name; option++) {
		unsigned int away = option->verbs & verb ? distance(name, length, option->name) : least;
		if (away < least && away < length) {
			least = away;
			best = option->name;
		}
	}
	return best;
}
