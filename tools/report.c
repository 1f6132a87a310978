/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After the command has ended: its changes are saved, listed or counted, and the record is written.
 *
 * Changes come first, because what goes wrong with them belongs in the record: its `returncode` is always what hutch exits
 * with.
 */
#include "report.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "print.h"
#include "result_file.h"
#include "say.h"
#include "verb.h"

bool shows_copies(const struct hutch_spec *spec)
{
	bool has_copies = (spec->workspace && spec->workspace_access == HUTCH_ACCESS_COW) ||
	                  (spec->rootfs && spec->rootfs_access == HUTCH_ACCESS_COW);

	for (size_t i = 0; i < spec->mounts_count; i++)
		has_copies |= spec->mounts[i].kind == HUTCH_MOUNT_HOST && spec->mounts[i].access == HUTCH_ACCESS_COW;
	return has_copies;
}

/* hutch failed after the command had ended: the record says so in its warnings and its returncode. */
static void spoil(struct hutch_result *result, struct notices *notices, const struct hutch_error *err)
{
	bool is_shown = notices->is_shown;

	say_error(err);
	notices->is_shown = false; /* it has just been told */
	notice(notices, "%s", err->message);
	notices->is_shown = is_shown;
	result->returncode = EXIT_HUTCH;
}

static void give_notice_of_dropped(struct hutch_sandbox *sandbox, struct notices *notices)
{
	struct change_count counted;
	struct hutch_error err;

	if (changes_count(sandbox, &counted, &err) < 0) {
		notice(notices, "cannot tell what was changed in the copies: %s", err.message);
		return;
	}
	size_t number = counted.files ? counted.files : counted.directories;
	if (!number)
		return;
	const char *one = counted.files ? "file" : "directory";
	const char *many = counted.files ? "files" : "directories";
	notice(notices, "%zu %s changed in the copy of %s %s dropped; keep them with --save DIR or write through with --workspace .:rw",
	       number, number == 1 ? one : many, counted.root, number == 1 ? "was" : "were");
}

static int list_changes(const struct run_options *options, struct hutch_sandbox *sandbox, struct changes *ret, struct hutch_error *err)
{
	char workspace[PATH_MAX];
	bool has_workspace = options->spec.workspace && realpath(options->spec.workspace, workspace);

	return changes_collect(sandbox, has_workspace ? workspace : NULL, ret, err);
}

static void handle_changes(const struct run_options *options, struct hutch_sandbox *sandbox, struct hutch_result *result,
                           struct notices *notices, struct changes *ret)
{
	struct hutch_error err;

	if (!result->started || !shows_copies(&options->spec))
		return;
	if (options->diff && list_changes(options, sandbox, ret, &err) < 0)
		spoil(result, notices, &err);
	if (options->save && hutch_sandbox_save(sandbox, options->save, &err) < 0) {
		usage_prefix(&err, "--save");
		spoil(result, notices, &err);
	}
	if (!options->diff && !options->save && notices_wanted(notices))
		give_notice_of_dropped(sandbox, notices);
}

static void write_result_file(const struct run_options *options, struct hutch_result *result, struct notices *notices,
                              const struct changes *changes)
{
	struct result_file file;
	struct hutch_error err;

	if (result_file_open(&file, options->result, &err) < 0) {
		spoil(result, notices, &err);
		return;
	}
	print_record(file.out, result, notices, options->diff ? changes : NULL);
	if (result_file_commit(&file, &err) < 0)
		spoil(result, notices, &err);
}

int report_result(const struct run_options *options, struct hutch_sandbox *sandbox, struct hutch_result *result,
                  struct notices *notices)
{
	struct changes changes = CHANGES_NONE;

	if (result->outcome == HUTCH_OUTCOME_NOT_STARTED)
		say_error(&result->error);
	for (char **warning = result->warnings; notices->is_shown && warning && *warning; warning++)
		if (options->verbose || !strstr(*warning, "layer keyring")) /* a busy hour uses up the quota: in the record, and no news */
			say("%s", *warning);
	handle_changes(options, sandbox, result, notices, &changes);
	if (options->result)
		write_result_file(options, result, notices, &changes);
	if (options->json)
		print_record(stdout, result, notices, options->diff ? &changes : NULL);
	else if (options->diff)
		print_changes(stdout, &changes);
	changes_free(&changes);
	return verb_finish(result->returncode);
}

int report_failure(const struct run_options *options, const struct hutch_error *err)
{
	struct result_file file;
	struct hutch_error second;

	if (options->result) {
		bool is_open = result_file_open(&file, options->result, &second) == 0;
		if (is_open)
			print_error_document(file.out, err);
		if (!is_open || result_file_commit(&file, &second) < 0)
			say_error(&second);
	}
	return verb_failed(err, options->json);
}
