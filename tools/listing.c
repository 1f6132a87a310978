/* SPDX-License-Identifier: Apache-2.0 */
/* Sandboxes as text and as JSON. Names, labels and commands are what somebody chose: they are escaped. */
#include "listing.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "print.h"
#include "text.h"

void time_text(char text[TIME_TEXT], int64_t ms)
{
	time_t seconds = ms / 1000;
	struct tm parts;

	if (!gmtime_r(&seconds, &parts)) {
		text[0] = '\0';
		return;
	}
	size_t used = strftime(text, TIME_TEXT, "%Y-%m-%dT%H:%M:%S", &parts);
	snprintf(text + used, TIME_TEXT - used, ".%03dZ", (int)(ms % 1000));
}

void age_text(char text[TIME_TEXT], int64_t ms)
{
	static const struct {
		int64_t seconds;
		char letter;
	} units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
	int64_t age = time(NULL) - ms / 1000;
	size_t i = 0;

	age = age < 0 ? 0 : age; /* the clock was set back */
	while (units[i].seconds > 1 && age < 2 * units[i].seconds)
		i++;
	snprintf(text, TIME_TEXT, "%" PRId64 "%c", age / units[i].seconds, units[i].letter);
}

void print_command_line(FILE *out, char *const *command, size_t width)
{
	char line[4096] = "";
	size_t limit = width && width < sizeof line ? width : sizeof line;
	size_t used = 0;
	bool is_cut = false;

	for (char *const *arg = command; *arg && !is_cut; arg++) {
		if (used && used + 1 < limit)
			line[used++] = ' ';
		line[used] = '\0';
		size_t length = strlen(*arg);
		is_cut = escape_text(line + used, limit - used, *arg, length, ESCAPE_NAME) < length;
		used += strlen(line + used);
	}
	fputs(line, out);
	if (is_cut)
		fputs("...", out);
}

static void labels_json(struct json_writer *w, char *const *labels)
{
	json_begin(w, "labels", '{');
	for (char *const *label = labels; label && *label; label++) {
		char key[512];
		size_t length = strcspn(*label, "=");
		snprintf(key, sizeof key, "%.*s", (int)(length < sizeof key ? length : sizeof key - 1), *label);
		json_string(w, key, (*label)[length] ? *label + length + 1 : "");
	}
	json_end(w, '}');
}

void listing_json(struct json_writer *w, const struct hutch_listing *listing)
{
	char created[TIME_TEXT];

	time_text(created, listing->created_ms);
	json_string(w, "sandbox", listing->id);
	json_string(w, "name", listing->name[0] ? listing->name : NULL);
	json_string(w, "state", hutch_sandbox_state_name((int)listing->state));
	json_string(w, "created", created);
	if (listing->supervisor)
		json_int(w, "supervisor", listing->supervisor);
	else
		json_null(w, "supervisor");
	print_command(w, listing->command);
	labels_json(w, listing->labels);
}

bool listing_has_ended(const struct hutch_listing *listing)
{
	return listing->state == HUTCH_SANDBOX_COMPLETED || listing->state == HUTCH_SANDBOX_FAILED ||
	       listing->state == HUTCH_SANDBOX_TERMINATED;
}
