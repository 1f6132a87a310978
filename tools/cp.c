/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hutch cp: a file or a directory into a sandbox or out of it, or with --changes what it changed in the copy of its
 * workspace. One side is SANDBOX:PATH, the other a path here or "-", a stream: a file's content, or a tar stream where
 * the other side is a directory.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attach.h"
#include "json.h"
#include "notices.h"
#include "say.h"
#include "verb.h"

static int read_words(const struct run_options *options, char **words, struct hutch_error *err)
{
	const char *usage = options->changes ? "hutch cp --changes SANDBOX DIR" : "hutch cp SRC DST, one of them SANDBOX:PATH";

	if (!words[0])
		return usage_error(err, "what is to be copied? (%s)", usage);
	if (!words[1])
		return usage_error(err, "a %s is missing (%s)", options->changes ? "directory" : "destination", usage);
	if (!*words[0] || !*words[1])
		return usage_error(err, "the name of a %s is empty (%s)", !*words[0] ? "source" : options->changes ? "directory" : "destination", usage);
	return verb_refuse_words(words, 2, err);
}

/* ---- --changes ---- */

static void report_changes(const struct run_options *options, const struct attached *attached, int64_t saved, const char *directory)
{
	struct json_writer w = {.out = stdout};
	struct notices notices;

	if (options->json) {
		json_begin(&w, NULL, '{');
		json_string(&w, "sandbox", hutch_sandbox_id(attached->sandbox));
		json_string(&w, "directory", directory);
		json_int(&w, "changes", saved);
		json_end(&w, '}');
		return;
	}
	notices_init(&notices, options);
	notice(&notices, "%" PRId64 " %s applied to %s", saved, saved == 1 ? "change was" : "changes were", directory);
	notices_free(&notices);
}

static int copy_changes(const struct run_options *options, char **words)
{
	struct attached attached = {0};
	struct hutch_error err;

	if (attach(&attached, words[0], &err) < 0)
		return verb_failed(&err, options->json);
	int64_t saved = hutch_sandbox_save(attached.sandbox, words[1], &err);
	if (saved < 0)
		return verb_failed(&err, options->json);
	report_changes(options, &attached, saved, words[1]);
	return verb_finish(0);
}

/* ---- SRC DST ---- */

struct cp {
	const struct run_options *options;
	struct hutch_file_options files;
	struct attached attached;
	bool is_out;              /* from the sandbox */
	char *sandbox;            /* before the colon */
	const char *inside, *here;
	char path[8192];          /* where it goes in the end: here, or inside */
	bool is_below;            /* the last component of `path` is the source's name, in a directory that was named */
	bool is_directory;
	struct hutch_copy copy;
	struct hutch_error err;
};

/* What is before the first colon is a sandbox, unless it has a slash: ./a:b is a file. */
static const char *inside_part(const char *word)
{
	size_t length = strcspn(word, ":/");
	return length > 0 && word[length] == ':' ? word + length + 1 : NULL;
}

static int split(struct cp *cp, char **words)
{
	const char *from = inside_part(words[0]), *to = inside_part(words[1]);

	if (!from == !to)
		return usage_error(&cp->err, "exactly one of the two must be in a sandbox: SANDBOX:PATH (a file of yours with a colon is ./NAME)");
	cp->is_out = from;
	cp->inside = from ? from : to;
	cp->here = words[cp->is_out];
	cp->sandbox = strndup(words[!cp->is_out], (size_t)(cp->inside - words[!cp->is_out]) - 1);
	if (!cp->sandbox)
		return system_error(&cp->err, ENOMEM, "cp");
	if (!*cp->inside)
		return usage_error(&cp->err, "the path inside is empty: %s:PATH", cp->sandbox);
	if (cp->is_out && strcmp(cp->here, "-") == 0 && cp->options->json)
		return usage_error(&cp->err, "--json and \"-\" both want standard output");
	return 0;
}

/* The last component, for "into that directory". */
static const char *base_name(const char *path, int *ret_length)
{
	size_t end = strlen(path);

	while (end > 0 && path[end - 1] == '/')
		end--;
	size_t from = end;
	while (from > 0 && path[from - 1] != '/')
		from--;
	*ret_length = (int)(end - from);
	return path + from;
}

static bool is_plain(const char *name, int length)
{
	return length > 0 && !(length == 1 && name[0] == '.') && !(length == 2 && name[0] == '.' && name[1] == '.');
}

/* `place`, or the source's name in it if it is a directory. Here what the sandbox may have put under that name, in a
 * directory that it can write to, is neither followed nor opened; `place` itself is the caller's word: with a slash behind
 * it a link is followed. */
static int set_path(struct cp *cp, const char *place, const char *source, bool place_is_directory)
{
	int length;
	const char *name = base_name(source, &length);
	cp->is_below = place_is_directory && is_plain(name, length);
	bool has_slash = cp->is_below || (cp->is_out && place_is_directory);
	int size = snprintf(cp->path, sizeof cp->path, "%s%s%.*s", place, has_slash && place[strlen(place) - 1] != '/' ? "/" : "",
	                    cp->is_below ? length : 0, name);

	return size < (int)sizeof cp->path ? 0 : system_error(&cp->err, ENAMETOOLONG, "\"%.100s...\"", place);
}

/* A new file beside it, renamed when it is complete; what is no file (a FIFO, /dev/stdout) is written to. Its name is not
 * made of the file's, which may be as long as names can be. */
static int receive_file(struct cp *cp, uint32_t mode)
{
	char temporary[8300];
	struct stat st;
	bool is_special = !cp->is_below && stat(cp->path, &st) == 0 && !S_ISREG(st.st_mode);

	const char *slash = strrchr(cp->path, '/');
	snprintf(temporary, sizeof temporary, "%.*s.hutch-XXXXXX", slash ? (int)(slash - cp->path) + 1 : 0, cp->path);
	int fd = is_special ? open(cp->path, O_WRONLY | O_CLOEXEC) : mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return system_error(&cp->err, errno, "cannot write \"%s\"", cp->path);
	int64_t size = hutch_sandbox_read_file_to(cp->attached.sandbox, cp->inside, fd, &cp->files, &cp->err);
	mode_t mask = umask(0);
	umask(mask);
	if (size >= 0 && !is_special && (fchmod(fd, mode & 0777 & ~mask) < 0 || rename(temporary, cp->path) < 0))
		size = system_error(&cp->err, errno, "cannot write \"%s\"", cp->path);
	close(fd);
	if (size < 0 && !is_special)
		unlink(temporary);
	cp->copy = (struct hutch_copy){.entries = 1, .bytes = size < 0 ? 0 : (uint64_t)size};
	return size < 0 ? -1 : 0;
}

static int copy_out(struct cp *cp)
{
	struct hutch_file file;
	struct stat st;
	struct hutch_sandbox *sandbox = cp->attached.sandbox;

	if (hutch_sandbox_stat(sandbox, cp->inside, &cp->files, &file, &cp->err) < 0)
		return -1;
	cp->is_directory = file.type == 'd';
	if (strcmp(cp->here, "-") == 0) {
		snprintf(cp->path, sizeof cp->path, "-");
		int64_t size = cp->is_directory ? hutch_sandbox_copy_out(sandbox, cp->inside, STDOUT_FILENO, &cp->files, &cp->copy, &cp->err)
		                                : hutch_sandbox_read_file_to(sandbox, cp->inside, STDOUT_FILENO, &cp->files, &cp->err);
		return size < 0 ? -1 : 0;
	}
	if (set_path(cp, cp->here, cp->inside, stat(cp->here, &st) == 0 && S_ISDIR(st.st_mode)) < 0)
		return -1;
	if (!cp->is_directory)
		return receive_file(cp, file.mode);
	return hutch_sandbox_copy_out_to(sandbox, cp->inside, cp->path, &cp->files, &cp->copy, &cp->err) < 0 ? -1 : 0;
}

static bool is_directory_inside(struct cp *cp)
{
	struct hutch_file file;
	struct hutch_error ignored;

	return cp->inside[strlen(cp->inside) - 1] == '/' ||
	       (hutch_sandbox_stat(cp->attached.sandbox, cp->inside, &cp->files, &file, &ignored) == 0 && file.type == 'd');
}

static int send_file(struct cp *cp, int fd)
{
	int64_t size = hutch_sandbox_write_file_from(cp->attached.sandbox, cp->path, fd, &cp->files, &cp->err);

	cp->copy = (struct hutch_copy){.entries = 1, .bytes = size < 0 ? 0 : (uint64_t)size};
	return size < 0 ? -1 : 0;
}

static int copy_in(struct cp *cp)
{
	struct stat st;
	bool is_stream = strcmp(cp->here, "-") == 0, into = is_directory_inside(cp);

	if (is_stream) {
		cp->is_directory = into;
		snprintf(cp->path, sizeof cp->path, "%s", cp->inside);
		if (!into)
			return send_file(cp, STDIN_FILENO);
		return hutch_sandbox_copy_in(cp->attached.sandbox, cp->path, STDIN_FILENO, &cp->files, &cp->copy, &cp->err) < 0 ? -1 : 0;
	}
	if (stat(cp->here, &st) < 0)
		return system_error(&cp->err, errno, "\"%s\"", cp->here);
	if (set_path(cp, cp->inside, cp->here, into) < 0)
		return -1;
	cp->is_directory = S_ISDIR(st.st_mode);
	if (cp->is_directory)
		return hutch_sandbox_copy_in_from(cp->attached.sandbox, cp->path, cp->here, &cp->files, &cp->copy, &cp->err) < 0 ? -1 : 0;
	int fd = open(cp->here, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return system_error(&cp->err, errno, "cannot read \"%s\"", cp->here);
	cp->files.mode = st.st_mode & 0777 ? st.st_mode & 0777 : 0400; /* 0 would mean 0644 */
	int ret = send_file(cp, fd);
	close(fd);
	return ret;
}

static void report_copy(const struct cp *cp)
{
	struct json_writer w = {.out = stdout};
	struct notices notices;

	if (cp->options->json) {
		json_begin(&w, NULL, '{');
		json_string(&w, "sandbox", hutch_sandbox_id(cp->attached.sandbox));
		json_string(&w, "source", cp->is_out ? cp->inside : cp->here);
		json_string(&w, "destination", cp->path);
		json_string(&w, "type", cp->is_directory ? "directory" : "file");
		json_uint(&w, "entries", cp->copy.entries);
		json_uint(&w, "bytes", cp->copy.bytes);
		json_uint(&w, "skipped", cp->copy.skipped);
		json_end(&w, '}');
		return;
	}
	notices_init(&notices, cp->options);
	if (cp->copy.skipped > 0)
		notice(&notices, "%" PRIu64 " FIFOs, sockets or devices were left out, among them %s", cp->copy.skipped, cp->copy.first_skipped);
	notices_free(&notices);
}

static int cp(struct run_options *options, char **words)
{
	struct cp cp = {.options = options, .files = HUTCH_FILE_OPTIONS(.timeout_ms = options->wait_ms, .max_bytes = options->limit, .outside_links = options->outside_links)};

	if (read_words(options, words, &cp.err) < 0)
		return verb_failed(&cp.err, options->json);
	if (options->changes)
		return copy_changes(options, words);
	bool is_done = split(&cp, words) == 0 && attach(&cp.attached, cp.sandbox, &cp.err) == 0 && (cp.is_out ? copy_out(&cp) : copy_in(&cp)) == 0;
	free(cp.sandbox);
	if (!is_done)
		return verb_failed(&cp.err, options->json);
	report_copy(&cp);
	return verb_finish(0);
}

const struct verb verb_cp = {
	.name = "cp",
	.usage = "[options] SRC DST | --changes [options] SANDBOX DIR",
	.summary = "copy files into a sandbox or out of it",
	.mask = FOR_CP,
	.takes_sandbox = true,
	.run = cp,
};
