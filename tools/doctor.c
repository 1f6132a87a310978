/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hutch doctor: what works here, what does not, and what to do about it. The library tries each primitive; this prints what
 * it found. Exit code 0 if `hutch run` with its defaults would work, else 1.
 */
#include <stdio.h>
#include <stdlib.h>

#include "json.h"
#include "print.h"
#include "say.h"
#include "verb.h"

#define FINDINGS_MAX 64u

static const char *const verdicts[] = {
	[HUTCH_VERDICT_OK] = "ok",
	[HUTCH_VERDICT_DEGRADED] = "degraded",
	[HUTCH_VERDICT_MISSING] = "missing",
};

static bool is_usable(const struct hutch_finding *findings, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (findings[i].required && findings[i].verdict == HUTCH_VERDICT_MISSING)
			return false;
	}
	return true;
}

static void print_json(const struct hutch_finding *findings, size_t count)
{
	struct json_writer w = {.out = stdout};

	json_begin(&w, NULL, '{');
	json_bool(&w, "ok", is_usable(findings, count));
	json_begin(&w, "findings", '[');
	for (size_t i = 0; i < count; i++) {
		const struct hutch_finding *finding = &findings[i];
		json_begin(&w, NULL, '{');
		json_string(&w, "name", finding->name);
		json_string(&w, "verdict", verdicts[finding->verdict]);
		json_bool(&w, "required", finding->required);
		json_string(&w, "detail", finding->detail);
		json_string(&w, "why", finding->why);
		json_string(&w, "fix", finding->fix[0] ? finding->fix : NULL);
		json_end(&w, '}');
	}
	json_end(&w, ']');
	json_end(&w, '}');
}

static void print_field(const char *label, const char *text)
{
	if (!text[0])
		return;
	printf("%32s%s: ", "", label);
	print_lines(stdout, text);
	putchar('\n');
}

static void print_table(const struct hutch_finding *findings, size_t count, bool verbose)
{
	for (size_t i = 0; i < count; i++) {
		const struct hutch_finding *finding = &findings[i];
		printf("%-9s %-21s ", verdicts[finding->verdict], finding->name);
		print_lines(stdout, finding->detail);
		putchar('\n');
		if (verbose || finding->verdict != HUTCH_VERDICT_OK)
			print_field("why", finding->why);
		print_field("fix", finding->fix);
	}
	puts(is_usable(findings, count) ? "\nhutch run works here." : "\nhutch run does not work here: something it needs is missing.");
}

/* How many findings there are, or -1 and the reason. */
static int examine(struct hutch_finding *findings, struct hutch_error *err)
{
	struct hutch *h;

	if (hutch_new(&h, err) < 0)
		return -1;
	int count = hutch_doctor(h, findings, FINDINGS_MAX, err);
	hutch_free(h);
	return count < 0 ? -1 : count;
}

static int doctor(struct run_options *options, char **words)
{
	struct hutch_error err = {0};
	int count = verb_refuse_words(words, 0, &err);
	struct hutch_finding *findings = calloc(FINDINGS_MAX, sizeof *findings);

	if (!findings)
		count = usage_error(&err, "out of memory");
	if (count == 0)
		count = examine(findings, &err);
	if (count < 0) {
		free(findings);
		return verb_failed(&err, options->json);
	}
	if (options->json)
		print_json(findings, (size_t)count);
	else
		print_table(findings, (size_t)count, options->verbose);
	int code = is_usable(findings, (size_t)count) ? EXIT_SUCCESS : EXIT_FAILURE;
	free(findings);
	return verb_finish(code);
}

const struct verb verb_doctor = {
	.name = "doctor",
	.usage = "[options]",
	.summary = "find out whether sandboxes work on this machine, and how to mend it",
	.mask = FOR_DOCTOR,
	.run = doctor,
};
