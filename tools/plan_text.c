/* SPDX-License-Identifier: Apache-2.0 */
/* The plan of `run` and `start`, for --dry-run. */
#include "plan_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "print.h"
#include "verb.h"

static void print_plan(const char *plan, bool json)
{
	struct json_writer w = {.out = stdout};

	if (!json) {
		print_lines(stdout, plan);
		return;
	}
	json_begin(&w, NULL, '{');
	json_begin(&w, "plan", '[');
	while (*plan) {
		size_t length = strcspn(plan, "\n");
		json_text(&w, NULL, plan, length);
		plan += length + (plan[length] == '\n');
	}
	json_end(&w, ']');
	json_end(&w, '}');
}

int plan_show(struct hutch *h, const struct run_options *options, struct hutch_error *err)
{
	const struct hutch_command *command = options->command.argv ? &options->command : NULL;
	char *plan;

	if (hutch_plan_text(h, &options->spec, command, &plan, err) < 0)
		return -1;
	print_plan(plan, options->json);
	free(plan);
	return verb_finish(0);
}
