/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hutch inspect: everything that is known of one sandbox: its line of `ls`, what its supervisor tells (what holds for it, how
 * much time it has), and once its main command has ended the record of that.
 */
#include <inttypes.h>
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

/* What there is to tell of a sandbox; NULL: nobody is there any more who could tell, or (result) it is not over. */
struct known {
	struct hutch_sandbox_info *info;
	struct hutch_result *result;
};

static struct known ask(struct hutch *h, const struct hutch_listing *listing)
{
	struct attached attached = {.h = h};
	struct known known = {0};

	if (attach(&attached, listing->id, NULL) < 0)
		return known;
	if (hutch_sandbox_info(attached.sandbox, &known.info, NULL) < 0)
		known.info = NULL;
	if (listing_has_ended(listing) && listing->command && hutch_sandbox_wait_until_complete(attached.sandbox, ANSWER_MS, &known.result, NULL) < 0)
		known.result = NULL;
	return known;
}

/* ---- words ---- */

static const char *access_word(enum hutch_access access)
{
	return access == HUTCH_ACCESS_RW ? "rw" : access == HUTCH_ACCESS_COW ? "cow" : "ro";
}

static const char *seccomp_word(const struct hutch_spec *spec)
{
	switch (spec->seccomp) {
	case HUTCH_SECCOMP_STRICT: return "strict";
	case HUTCH_SECCOMP_DEBUG: return "debug";
	case HUTCH_SECCOMP_FILE: return spec->seccomp_file ? spec->seccomp_file : "file";
	case HUTCH_SECCOMP_DEFAULT: break;
	}
	return "default";
}

static const char *mount_word(const struct hutch_mount *mount)
{
	return mount->kind == HUTCH_MOUNT_TMPFS ? "tmpfs" : access_word(mount->access);
}

/* ---- JSON: the same keys always ---- */

static void json_mount(struct json_writer *w, const char *key, const char *access, const char *source, const char *target)
{
	json_begin(w, key, '{');
	json_string(w, "access", access);
	json_string(w, "source", source);
	json_string(w, "target", target);
	json_end(w, '}');
}

static void json_mounts(struct json_writer *w, const struct hutch_sandbox_info *info)
{
	const struct hutch_spec *spec = info->spec;

	if (spec->root == HUTCH_ROOT_DIRECTORY)
		json_mount(w, "rootfs", access_word(spec->rootfs_access), spec->rootfs, "/");
	else
		json_null(w, "rootfs");
	if (info->workspace)
		json_mount(w, "workspace", access_word(spec->workspace_access), spec->workspace, info->workspace);
	else
		json_null(w, "workspace");
	json_begin(w, "mounts", '[');
	for (size_t i = 0; i < spec->mounts_count; i++) {
		const struct hutch_mount *mount = &spec->mounts[i];
		json_mount(w, NULL, mount_word(mount), mount->source, mount->target ? mount->target : mount->source);
	}
	json_end(w, ']');
}

static void json_left(struct json_writer *w, const char *key, int64_t left_ms)
{
	if (left_ms < 0)
		json_null(w, key);
	else
		json_int(w, key, left_ms);
}

static void json_info(struct json_writer *w, const struct hutch_sandbox_info *info)
{
	json_uint(w, "uid", info->spec->uid);
	json_mounts(w, info);
	json_string(w, "net", info->spec->net == HUTCH_NET_HOST ? "host" : "none");
	json_string(w, "seccomp", seccomp_word(info->spec));
	json_string(w, "cgroup", info->cgroup);
	json_string(w, "controllers", info->cgroup ? info->controllers : NULL);
	json_begin(w, "limits_enforced", '{');
	for (size_t i = 0; i < info->limits_enforced_count; i++) {
		json_begin(w, info->limits_enforced[i].name, '{');
		json_uint(w, "value", info->limits_enforced[i].value);
		json_string(w, "by", info->limits_enforced[i].by);
		json_end(w, '}');
	}
	json_end(w, '}');
	json_begin(w, "warnings", '[');
	for (const char *const *warning = info->warnings; *warning; warning++)
		json_string(w, NULL, *warning);
	json_end(w, ']');
	json_uint(w, "commands", info->commands);
	json_left(w, "lifetime_left_ms", info->lifetime_left_ms);
	json_left(w, "idle_left_ms", info->idle_left_ms);
}

static void json_unknown(struct json_writer *w)
{
	static const char *const keys[] = {"uid", "rootfs", "workspace", "mounts", "net", "seccomp", "cgroup", "controllers", "limits_enforced", "warnings",
	                                   "commands", "lifetime_left_ms", "idle_left_ms"};

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		json_null(w, keys[i]);
}

static void print_json(const struct hutch_listing *listing, const struct known *known)
{
	static const struct notices none;
	struct json_writer w = {.out = stdout};

	json_begin(&w, NULL, '{');
	listing_json(&w, listing);
	if (known->info)
		json_info(&w, known->info);
	else
		json_unknown(&w);
	if (known->result)
		record_json(&w, "result", known->result, &none, NULL);
	else
		json_null(&w, "result");
	json_end(&w, '}');
}

/* ---- text ---- */

static void print_line(const char *key, const char *word, const char *text)
{
	printf("%-10s %s%s", key, word, *word ? " " : "");
	print_name(stdout, text);
	putchar('\n');
}

static void print_limits(const struct hutch_limit_enforced *limits, size_t count)
{
	for (size_t i = 0; i < count; i++)
		printf("%-10s %s %" PRIu64 " by %s\n", "limit", limits[i].name, limits[i].value, limits[i].by);
}

static void print_left(const char *key, int64_t left_ms)
{
	if (left_ms >= 0)
		printf("%-10s %" PRId64 ".%03d s left\n", key, left_ms / 1000, (int)(left_ms % 1000));
}

static void print_mounts(const struct hutch_sandbox_info *info)
{
	const struct hutch_spec *spec = info->spec;

	if (spec->root == HUTCH_ROOT_DIRECTORY)
		print_line("rootfs", access_word(spec->rootfs_access), spec->rootfs);
	if (info->workspace)
		print_line("workspace", access_word(spec->workspace_access), info->workspace);
	for (size_t i = 0; i < spec->mounts_count; i++)
		print_line("mount", mount_word(&spec->mounts[i]), spec->mounts[i].target ? spec->mounts[i].target : spec->mounts[i].source);
}

static void print_info(const struct hutch_sandbox_info *info, bool has_result)
{
	printf("%-10s uid %u inside\n", "user", info->spec->uid);
	print_mounts(info);
	printf("%-10s %s\n", "network", info->spec->net == HUTCH_NET_HOST ? "host" : "none");
	print_line("seccomp", "", seccomp_word(info->spec));
	if (info->cgroup)
		print_line("cgroup", "", info->cgroup);
	printf("%-10s %u running\n", "commands", info->commands);
	print_left("lifetime", info->lifetime_left_ms);
	print_left("idle", info->idle_left_ms);
	if (has_result)
		return; /* whose limits and warnings are these, and more */
	print_limits(info->limits_enforced, info->limits_enforced_count);
	for (const char *const *warning = info->warnings; *warning; warning++)
		print_line("warning", "", *warning);
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
	print_limits(result->limits_enforced, result->limits_enforced_count);
	for (char **warning = result->warnings; warning && *warning; warning++)
		print_line("warning", "", *warning);
}

static void print_text(const struct hutch_listing *listing, const struct known *known)
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
	if (known->info)
		print_info(known->info, known->result);
	if (known->result)
		print_result(known->result);
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
		struct known known = ask(h, found);
		(options->json ? print_json : print_text)(found, &known);
		hutch_sandbox_info_free(known.info);
		hutch_result_free(known.result);
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
