/* SPDX-License-Identifier: Apache-2.0 */
/* Tar archives: there and back, hostile ones, damaged ones; and the reader of a helper's frames on nonsense. */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/tar.h"
#include "engine/file.h"
#include "helpers.h"
#include "kernel/tree.h"

struct bytes {
	const unsigned char *at;
	size_t left;
};

static long take(void *data, void *to, size_t size)
{
	struct bytes *bytes = data;
	size = size < bytes->left ? size : bytes->left;
	size = size > 700 ? 700 : size; /* never all at once */
	memcpy(to, bytes->at, size);
	bytes->at += size;
	bytes->left -= size;
	return (long)size;
}

static unsigned char archive[1 << 20];
static size_t archive_size;

static struct tar_entry entry(char type, const char *path, const char *link)
{
	struct tar_entry made = {.type = type, .mode = type == 'd' ? 0755 : 0644, .mtime_s = 1};
	snprintf(made.path, sizeof made.path, "%s", path);
	snprintf(made.link, sizeof made.link, "%s", link ? link : "");
	return made;
}

static void add_entry(const struct tar_entry *made, const char *content)
{
	archive_size += tar_encode(made, archive + archive_size);
	memcpy(archive + archive_size, content, made->size);
	archive_size += made->size;
	memset(archive + archive_size, 0, tar_padding(made->size));
	archive_size += tar_padding(made->size);
}

static void add(char type, const char *path, const char *text)
{
	struct tar_entry made = entry(type, path, type == 'f' ? NULL : text);
	made.size = type == 'f' ? strlen(text) : 0;
	add_entry(&made, type == 'f' ? text : "");
}

static void add_end(void)
{
	memset(archive + archive_size, 0, 2 * TAR_BLOCK);
	archive_size += 2 * TAR_BLOCK;
}

static void renew(void)
{
	archive_size = 0;
}

START_TEST(there_and_back)
{
	static struct tar_entry in, out;
	static struct tar_reader reader;
	char path[TAR_PATH_MAX];
	const uint64_t sizes[] = {0, 1, 511, 512, 513, UINT64_C(8) << 30, INT64_MAX};
	const int64_t times[] = {0, 1, -1, -2, 2000000000, INT64_C(1) << 40};
	for (unsigned length = 1; length < TAR_PATH_MAX; length += length < 300 ? 1 : 311) {
		memset(path, 'p', length);
		path[length] = '\0';
		in = entry(length % 3 ? 'f' : 'l', path, length % 3 ? NULL : path);
		in.size = length % 3 ? sizes[length % 7] : 0;
		in.mtime_s = times[length % 6];
		in.mtime_ns = length % 2 ? length * 1000u + 1 : 0;
		in.uid = length % 5 ? 1000 : 4000000000u;
		renew();
		archive_size = tar_encode(&in, archive);
		ck_assert_uint_le(archive_size, TAR_HEADER_MAX);
		struct bytes bytes = {archive, archive_size};
		reader = (struct tar_reader){.read = take, .data = &bytes};
		ck_assert_int_eq(tar_next(&reader, &out), 1);
		ck_assert_str_eq(out.path, in.path);
		ck_assert_str_eq(out.link, in.link);
		ck_assert_int_eq(out.type, in.type);
		ck_assert_uint_eq(out.size, in.size);
		ck_assert_int_eq(out.mtime_s, in.mtime_s);
		ck_assert_uint_eq(out.mtime_ns, in.mtime_ns);
	}
}
END_TEST

static struct unpack unpacked;

static int unpack_into(int root)
{
	struct bytes bytes = {archive, archive_size};
	memset(&unpacked, 0, sizeof unpacked);
	unpacked.root = root;
	unpacked.reader.read = take;
	unpacked.reader.data = &bytes;
	return unpack_tree(&unpacked);
}

static const struct hostile {
	const char *name;
	enum tree_reason reason;
	struct { char type; const char *path, *text; } entries[4];
} hostile[] = {
	{"absolute", TREE_ESCAPES, {{'f', "/tmp/hutch-escaped", "x"}}},
	{"dots", TREE_ESCAPES, {{'f', "../escaped", "x"}}},
	{"dots inside", TREE_ESCAPES, {{'d', "a", ""}, {'f', "a/../../escaped", "x"}}},
	{"dots at the end", TREE_ESCAPES, {{'d', "a/..", ""}}},
	{"a file without a name", TREE_ESCAPES, {{'f', ".", "x"}}},
	{"absolute link", TREE_LINK_ESCAPES, {{'l', "l", "/etc"}}},
	{"link with dots", TREE_LINK_ESCAPES, {{'l', "a/l", "../../x"}}},
	{"link that goes down and up", TREE_LINK_ESCAPES, {{'l', "l", "a/b/../../../x"}}},
	{"file through a link", TREE_LINK_IN_WAY, {{'d', "d", ""}, {'l', "l", "d"}, {'f', "l/f", "x"}}},
	{"directory over a link", TREE_SYSTEM, {{'d', "d", ""}, {'l', "l", "d"}, {'d', "l", ""}}},
	{"hard link outside", TREE_LINK_ESCAPES, {{'h', "h", "../canary"}}},
	{"absolute hard link", TREE_LINK_ESCAPES, {{'h', "h", "/etc/passwd"}}},
	{"hard link to a link", TREE_LINK_IN_WAY, {{'f', "f", "x"}, {'l', "l", "f"}, {'h', "h", "l"}}},
	{"hard link through a link", TREE_LINK_IN_WAY, {{'f', "d/f", "x"}, {'l', "l", "d"}, {'h', "h", "l/f"}}},
	{"hard link to nothing", TREE_SYSTEM, {{'h', "h", "none"}}},
	{"file in a file", TREE_SYSTEM, {{'f', "f", "x"}, {'f', "f/g", "x"}}},
	{"file over a directory", TREE_SYSTEM, {{'d', "d", ""}, {'f', "d", "x"}}},
};

START_TEST(hostile_is_refused)
{
	const struct hostile *test = &hostile[_i];
	char *top = make_directory(), path[4300], command[4400];
	snprintf(path, sizeof path, "%.4000s/root", top);
	mkdir(path, 0755);
	int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(path, sizeof path, "%.4000s/canary", top);
	int canary = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	renew();
	for (int i = 0; i < 4 && test->entries[i].type; i++)
		add(test->entries[i].type, test->entries[i].path, test->entries[i].text);
	add_end();
	ck_assert_msg(unpack_into(root) < 0, "%s was unpacked", test->name);
	ck_assert_msg(unpacked.report.reason == test->reason, "%s: %d (errno %d)", test->name, (int)unpacked.report.reason, unpacked.report.error);
	snprintf(path, sizeof path, "%.4000s/escaped", top);
	ck_assert_int_ne(access(path, F_OK), 0);
	struct stat st;
	fstat(canary, &st);
	ck_assert_uint_eq(st.st_nlink, 1);
	close(root);
	close(canary);
	snprintf(command, sizeof command, "test -z \"$(find '%.4000s' -name '.hutch-*')\" && rm -r '%.200s'", top, top);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

START_TEST(devices_are_refused)
{
	char *top = make_directory();
	int root = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (const char *flag = "346SVM"; *flag; flag++) {
		renew();
		add('f', "dev", "");
		archive[156] = (unsigned char)*flag;
		unsigned sum = 8 * ' ';
		for (int i = 0; i < 512; i++)
			sum += i >= 148 && i < 156 ? 0 : archive[i];
		snprintf((char *)archive + 148, 8, "%06o", sum);
		add_end();
		ck_assert_int_lt(unpack_into(root), 0);
		ck_assert_int_eq(unpacked.report.reason, TREE_SPECIAL);
	}
	close(root);
	ck_assert_int_eq(rmdir(top), 0);
}
END_TEST

START_TEST(bits_and_duplicates)
{
	char *top = make_directory(), command[4400];
	struct stat st;
	int root = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	renew();
	struct tar_entry made = entry('f', "s", NULL);
	made.mode = 06755;
	add_entry(&made, "");
	made = entry('d', "ro/sub", NULL);
	made.mode = 0555;
	add_entry(&made, "");
	add('f', "ro/sub/f", "first");
	add('f', "ro/sub/f", "second");
	add('h', "hard", "ro/sub/f");
	add('l', "l", "ro/sub");
	add('f', "l", "replaces the link");
	add_end();
	ck_assert_int_eq(unpack_into(root), 0);
	ck_assert_int_eq(fstatat(root, "s", &st, 0), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0755);
	ck_assert_int_eq(fstatat(root, "ro/sub", &st, 0), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0555);
	ck_assert_int_eq(fstatat(root, "hard", &st, 0), 0);
	ck_assert_int_eq((int)st.st_size, 6);
	ck_assert_int_eq(fstatat(root, "l", &st, AT_SYMLINK_NOFOLLOW), 0);
	ck_assert(S_ISREG(st.st_mode));
	close(root);
	snprintf(command, sizeof command, "chmod -R u+w '%.200s'; rm -r '%.200s'", top, top);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

/* Cut anywhere, it is told; never more than an entry's own bytes are used. */
START_TEST(cut_and_damaged)
{
	char *top = make_directory(), command[4400];
	int root = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	renew();
	add('d', "d", "");
	add('f', "d/f", "content");
	struct tar_entry made = entry('f', "d/long", NULL);
	memset(made.path + 6, 'n', 200);
	made.mtime_ns = 5;
	add_entry(&made, "");
	size_t without_end = archive_size;
	add_end();
	size_t whole = archive_size;
	for (archive_size = 0; archive_size < without_end + TAR_BLOCK; archive_size += 37) {
		ck_assert_int_lt(unpack_into(root), 0);
		ck_assert_int_eq(unpacked.report.reason, TREE_CUT);
	}
	archive_size = whole;
	archive[0] ^= 1; /* the checksum tells */
	ck_assert_int_lt(unpack_into(root), 0);
	ck_assert_int_eq(unpacked.report.reason, TREE_BROKEN);
	archive[0] ^= 1;
	static unsigned char kept[sizeof archive];
	memcpy(kept, archive, whole);
	srandom(1);
	for (int i = 0; i < 20000; i++) {
		memcpy(archive, kept, whole);
		for (int j = 0; j < 1 + i % 4; j++)
			archive[(size_t)random() % whole] = (unsigned char)random();
		archive_size = whole;
		unpack_into(root);
	}
	close(root);
	snprintf(command, sizeof command, "rm -r '%.200s'", top);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

START_TEST(packed_and_unpacked)
{
	static struct tar_reader reader;
	static struct tar_entry out;
	/* an extended header that says it is enormous, and one that never ends */
	renew();
	struct tar_entry made = entry('f', "x", NULL);
	made.mtime_ns = 1;
	archive_size = tar_encode(&made, archive);
	snprintf((char *)archive + 124, 12, "%011o", 1u << 30);
	unsigned sum = 8 * ' ';
	for (int i = 0; i < 512; i++)
		sum += i >= 148 && i < 156 ? 0 : archive[i];
	snprintf((char *)archive + 148, 8, "%06o", sum);
	struct bytes bytes = {archive, archive_size};
	reader = (struct tar_reader){.read = take, .data = &bytes};
	ck_assert_int_eq(tar_next(&reader, &out), -TAR_TOO_LONG);
}
END_TEST

/* ---- frames ---- */

START_TEST(frames_of_nonsense)
{
	static struct file_reader reader;
	struct file_frame frame;
	const char *bytes;
	srandom(2);
	for (int round = 0; round < 200000; round++) {
		reader.at = (size_t)random() % 64;
		reader.filled = reader.at + (size_t)random() % 400;
		for (size_t i = reader.at; i < reader.filled; i++)
			reader.bytes[i] = (char)random();
		if (round % 2 && reader.filled - reader.at >= sizeof frame) {
			frame = (struct file_frame){.magic = FILE_MAGIC, .kind = (uint32_t)random() % 6, .length = round % 3 ? (uint32_t)random() % 500 : (uint32_t)random() * 3u};
			memcpy(reader.bytes + reader.at, &frame, sizeof frame);
		}
		size_t filled = reader.filled;
		int ret = file_frame_take(&reader, &frame, &bytes);
		ck_assert(ret >= -1 && ret <= 1 && reader.filled == filled && reader.at <= filled);
		if (ret == 1)
			ck_assert(bytes >= reader.bytes && bytes + frame.length <= reader.bytes + filled);
		if (ret == 0) /* what is waited for must fit */
			ck_assert(filled - reader.at < sizeof frame || sizeof frame + frame.length <= FILE_READ_AHEAD);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tar");
	TCase *tar = tcase_create("tar");
	tcase_set_timeout(tar, 60);
	tcase_add_test(tar, there_and_back);
	tcase_add_loop_test(tar, hostile_is_refused, 0, COUNT(hostile));
	tcase_add_test(tar, devices_are_refused);
	tcase_add_test(tar, bits_and_duplicates);
	tcase_add_test(tar, cut_and_damaged);
	tcase_add_test(tar, packed_and_unpacked);
	tcase_add_test(tar, frames_of_nonsense);
	suite_add_tcase(suite, tar);
	return run_suite(suite);
}
