/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between a directory of the host and one of the sandbox: a tar stream, of which one end is here. Coming from inside it is
 * hostile, and is unpacked below a directory that is opened once, by kernel/unpack.c; going in, the host's tree is walked
 * without following links.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "engine/files.h"

struct copy {
	struct file_call *call;
	struct hutch_error *err;
	bool has_failed;       /* `err` is set: the stream itself broke */
	const char *bytes;     /* of the frame at hand */
	size_t left;
	bool has_ended;
};

void files_report(const struct tree_report *report, struct hutch_copy *ret)
{
	*ret = (struct hutch_copy){.entries = report->entries, .bytes = report->bytes, .skipped = report->skipped};
	if (report->skipped > 0)
		snprintf(ret->first_skipped, sizeof ret->first_skipped, "%.255s", report->path);
}

/* One that is written to is not opened through a link at its name, which a sandbox that shares its parent can put there. */
static int open_directory(const char *directory, bool make, struct hutch_error *err)
{
	if (!directory || !*directory)
		return err_set(err, HUTCH_E_INVALID, "the directory's name is empty");
	if (make && mkdir(directory, 0777) < 0 && errno != EEXIST)
		return err_sys(err, HUTCH_E_INVALID, errno, "cannot make \"%s\"", directory);
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (make ? O_NOFOLLOW : 0));
	return fd < 0 ? err_sys(err, HUTCH_E_INVALID, errno, "cannot open \"%s\"", directory) : fd;
}

/* ---- out ---- */

static long read_stream(void *data, void *to, size_t size)
{
	struct copy *copy = data;
	struct file_frame frame;
	while (copy->left == 0 && !copy->has_ended) {
		int ret = file_next(copy->call, &frame, &copy->bytes, copy->err);
		if (ret > 0 && frame.kind != FILE_DATA)
			ret = err_set(copy->err, HUTCH_E_FILE, "nonsense from the file helper");
		if (ret < 0) {
			copy->has_failed = true;
			return -EIO;
		}
		copy->has_ended = ret == 0;
		copy->left = ret == 0 ? 0 : frame.length;
	}
	size_t part = size < copy->left ? size : copy->left;
	memcpy(to, copy->bytes, part);
	copy->bytes += part;
	copy->left -= part;
	return (long)part;
}

static int unpack_here(struct copy *copy, int root, const char *directory, const struct hutch_file_options *options, struct hutch_copy *ret, struct hutch_error *err)
{
	struct unpack *unpack = calloc(1, sizeof *unpack);
	if (!unpack)
		return err_set(err, HUTCH_E_NO_MEMORY, "out of memory");
	unpack->root = root;
	unpack->limit = options->max_bytes;
	unpack->outside_links = options->outside_links;
	unpack->reader.read = read_stream;
	unpack->reader.data = copy;
	int error = unpack_tree(unpack);
	char rest[4096];
	while (error == 0 && read_stream(copy, rest, sizeof rest) > 0) /* up to the helper's last word */
		;
	if (copy->has_failed)
		error = -HUTCH_E_FILE;
	else if (error < 0)
		error = file_error(&unpack->report, directory, err);
	if (error == 0 && ret) {
		files_report(&copy->call->report, ret);
		ret->entries = unpack->report.entries;
		ret->bytes = unpack->report.bytes;
	}
	free(unpack);
	return error;
}

int hutch_sandbox_copy_out_to(struct hutch_sandbox *sandbox, const char *path, const char *directory, const struct hutch_file_options *options,
                              struct hutch_copy *ret, struct hutch_error *err)
{
	struct hutch_file_options own;
	struct hutch_error failed = {0};
	struct copy copy = {.err = &failed};
	int error = files_options(options, &own, err);
	CLEANUP_CLOSE int root = error < 0 ? error : open_directory(directory, true, err);
	if (root < 0)
		return root;
	error = files_begin(sandbox, FILE_PACK, path, &own, &copy.call, err);
	if (error == 0)
		error = unpack_here(&copy, root, directory, &own, ret, err);
	if (copy.has_failed) {
		error = -failed.code;
		if (err)
			*err = failed;
	}
	file_end(copy.call);
	return error;
}

/* ---- in ---- */

static int write_stream(void *data, const void *bytes, size_t size)
{
	struct copy *copy = data;
	int ret = file_send(copy->call, bytes, size, copy->err);
	copy->has_failed |= ret < 0;
	return ret < 0 ? -EIO : ret > 0 ? -EPIPE : 0;
}

static int pack_here(struct copy *copy, int root, const char *directory, const struct hutch_file_options *options, struct hutch_copy *ret, struct hutch_error *err)
{
	struct pack *pack = calloc(1, sizeof *pack);
	if (!pack)
		return err_set(err, HUTCH_E_NO_MEMORY, "out of memory");
	pack->root = root;
	pack->limit = options->max_bytes;
	pack->write = write_stream;
	pack->data = copy;
	int error = pack_tree(pack);
	bool is_refused = error < 0 && pack->report.reason == TREE_SYSTEM && pack->report.error == EPIPE && copy->call->in < 0;
	if (copy->has_failed)
		error = -HUTCH_E_FILE;
	else if (error < 0 && !is_refused)
		error = file_error(&pack->report, directory, err);
	else
		error = is_refused ? 0 : file_send_end(copy->call, err);
	if (error == 0)
		error = files_finish(copy->call, err); /* what the other end had to say */
	if (error == 0 && is_refused)
		error = err_set(err, HUTCH_E_FILE, "nonsense from the file helper");
	if (error == 0 && ret)
		files_report(&pack->report, ret);
	free(pack);
	return error;
}

int hutch_sandbox_copy_in_from(struct hutch_sandbox *sandbox, const char *path, const char *directory, const struct hutch_file_options *options,
                               struct hutch_copy *ret, struct hutch_error *err)
{
	struct hutch_file_options own;
	struct hutch_error failed = {0};
	struct copy copy = {.err = &failed};
	int error = files_options(options, &own, err);
	CLEANUP_CLOSE int root = error < 0 ? error : open_directory(directory, false, err);
	if (root < 0)
		return root;
	error = files_begin(sandbox, FILE_UNPACK, path, &own, &copy.call, err);
	if (error == 0)
		error = pack_here(&copy, root, directory, &own, ret, err);
	if (copy.has_failed) {
		error = -failed.code;
		if (err)
			*err = failed;
	}
	file_end(copy.call);
	return error;
}
