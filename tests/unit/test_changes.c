/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of changes as its reader gets it: from a helper in the sandbox that says anything. Read on its own, and applied
 * by hutch_sandbox_save() to a directory in which somebody has planted links. A child process plays init.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "engine/changes.h"
#include "engine/channel.h"
#include "engine/engine.h"
#include "helpers.h"

/* ---- streams ---- */

static char stream[1 << 20];
static size_t stream_size;
static uint64_t records;

static void add(const void *data, size_t size)
{
	memcpy(stream + stream_size, data, size);
	stream_size += size;
}

static void add_raw(struct changes_record record, const char *path, const char *link)
{
	record.magic = record.magic ? record.magic : CHANGES_MAGIC;
	record.path_length = record.path_length ? record.path_length : (uint32_t)strlen(path);
	record.link_length = record.link_length ? record.link_length : (uint32_t)strlen(link);
	add(&record, sizeof record);
	add(path, strlen(path));
	add(link, strlen(link));
	records++;
}

static void add_record(enum changes_kind kind, char type, const char *path, const char *link, uint64_t size)
{
	add_raw((struct changes_record){.kind = (uint8_t)kind, .type = (uint8_t)type, .mode = 0644, .size = size}, path, link);
}

static void add_chunk(uint64_t offset, uint64_t length, const char *data)
{
	const struct changes_chunk chunk = {offset, length};
	add(&chunk, sizeof chunk);
	add(data, strlen(data));
}

static void add_file(const char *path, const char *contents)
{
	add_record(CHANGES_ADDED, 'f', path, "", strlen(contents));
	add_chunk(0, strlen(contents), contents);
	if (*contents)
		add_chunk(0, 0, "");
}

static void add_end(uint64_t count, uint32_t error)
{
	const struct changes_record end = {.magic = CHANGES_MAGIC, .kind = CHANGES_END, .size = count, .error = error};
	add(&end, sizeof end);
}

/* A pipe that gives the stream, and then its end. */
static int stream_fd(void)
{
	int fd = memfd_create("stream", MFD_CLOEXEC);
	ck_assert_int_eq((int)write(fd, stream, stream_size), (int)stream_size);
	ck_assert_int_eq((int)lseek(fd, 0, SEEK_SET), 0);
	stream_size = 0;
	records = 0;
	return fd;
}

static struct changes_reader reader;
static struct hutch_error err;

static int next(void)
{
	return changes_next(&reader, &err);
}

static void start_reading(void)
{
	if (reader.fd > 0)
		close(reader.fd);
	memset(&err, 0, sizeof err);
	reader = (struct changes_reader){.fd = stream_fd()};
}

/* ---- reading ---- */

START_TEST(a_proper_stream)
{
	add_record(CHANGES_ADDED, 'd', "a", "", 0);
	add_record(CHANGES_CHANGED, 'l', "a/link", "../../etc/passwd", 0);
	add_record(CHANGES_DELETED, 'f', "a/b c\n", "", 5);
	add_end(3, 0);
	start_reading();
	ck_assert_int_eq(next(), 1);
	ck_assert_str_eq(reader.path, "a");
	ck_assert_int_eq(next(), 1);
	ck_assert_str_eq(reader.link, "../../etc/passwd");
	ck_assert_int_eq(next(), 1);
	ck_assert_str_eq(reader.path, "a/b c\n");
	ck_assert_int_eq(next(), 0);
	ck_assert_uint_eq(reader.count, 3);
}
END_TEST

static const char *const bad_paths[] = {"", "/", "/a", "/etc/passwd", ".", "..", "../a", "a/..", "a/../b", "a/.", "./a", "a//b", "a/", "a/./b", "..//", "a/b/.."};
static const char *const odd_paths[] = {"...", "..a", "a..", ".a", "a b", "\n", "\xff", "-", "*", "a/...", "a/..b/c"};

START_TEST(paths)
{
	for (int i = 0; i < COUNT(bad_paths); i++) {
		add_record(CHANGES_ADDED, 'd', bad_paths[i], "", 0);
		start_reading();
		ck_assert_msg(next() == -HUTCH_E_GONE, "\"%s\"", bad_paths[i]);
	}
	for (int i = 0; i < COUNT(odd_paths); i++) {
		add_record(CHANGES_ADDED, 'd', odd_paths[i], "", 0);
		start_reading();
		ck_assert_msg(next() == 1, "\"%s\"", odd_paths[i]);
	}
}
END_TEST

START_TEST(broken_records)
{
	static const struct changes_record bad[] = {
		{.magic = 1, .type = 'f'}, {.kind = CHANGES_END + 1, .type = 'f'}, {.kind = 255, .type = 'f'}, {.type = 'x'}, {.type = 0}, {.type = 'f', .path_length = CHANGES_PATH_MAX},
		{.type = 'f', .path_length = UINT32_MAX}, {.type = 'f', .path_length = 2}, {.type = 'l', .link_length = CHANGES_PATH_MAX}, {.type = 'l', .link_length = UINT32_MAX}, {.type = 'f', .path_length = 0x80000001},
	};
	for (int i = 0; i < COUNT(bad); i++) {
		add_raw(bad[i], "a", "");
		add("\0", 1);
		start_reading();
		ck_assert_msg(next() == -HUTCH_E_GONE, "record %d", i);
	}
	/* a zero byte in the middle of a path: the length would lie about the string */
	struct changes_record record = {.magic = CHANGES_MAGIC, .type = 'f', .path_length = 3};
	add(&record, sizeof record);
	add("a\0b", 3);
	start_reading();
	ck_assert_int_eq(next(), -HUTCH_E_GONE);
}
END_TEST

START_TEST(ends_of_the_list)
{
	start_reading(); /* nothing at all */
	ck_assert_int_eq(next(), -HUTCH_E_GONE);
	add_record(CHANGES_ADDED, 'd', "a", "", 0);
	start_reading(); /* no end */
	ck_assert_int_eq(next(), 1);
	ck_assert_int_eq(next(), -HUTCH_E_GONE);
	add_record(CHANGES_ADDED, 'd', "a", "", 0);
	add_end(2, 0); /* something got lost */
	start_reading();
	ck_assert_int_eq(next(), 1);
	ck_assert_int_eq(next(), -HUTCH_E_GONE);
	add_end(0, ENAMETOOLONG); /* the walk was cut short */
	start_reading();
	ck_assert_int_eq(next(), -HUTCH_E_SYSTEM);
	ck_assert_int_eq(err.sys_errno, ENAMETOOLONG);
	add_record(CHANGES_ADDED, 'd', "abc", "", 0);
	size_t whole = stream_size;
	char copy[128];
	memcpy(copy, stream, whole);
	for (size_t size = 0; size < whole; size++) {
		stream_size = 0;
		add(copy, size);
		start_reading();
		ck_assert_int_eq(next(), -HUTCH_E_GONE);
	}
}
END_TEST

static int copy_to(int fd)
{
	return changes_copy(&reader, fd, &err);
}

START_TEST(chunks)
{
	char data[32] = "";
	int fd = memfd_create("file", MFD_CLOEXEC);
	add_record(CHANGES_ADDED, 'f', "a", "", 10);
	add_chunk(2, 3, "abc");
	add_chunk(7, 1, "x");
	add_chunk(0, 0, "");
	start_reading();
	ck_assert_int_eq(next(), 1);
	ck_assert_int_eq(copy_to(fd), 0);
	ck_assert_int_eq((int)pread(fd, data, sizeof data, 0), 10);
	ck_assert_int_eq(memcmp(data, "\0\0abc\0\0x\0\0", 10), 0);
	close(fd);
}
END_TEST

START_TEST(hostile_chunks)
{
	static const struct changes_chunk bad[] = {{0, 11}, {10, 1}, {11, 1}, {UINT64_MAX, 1}, {5, UINT64_MAX}, {UINT64_MAX, UINT64_MAX}, {1, UINT64_MAX - 1}, {0, 1 << 20}, {1, UINT64_C(1) << 63}};
	for (int i = 0; i < COUNT(bad); i++) {
		int fd = memfd_create("file", MFD_CLOEXEC);
		struct stat st;
		add_record(CHANGES_ADDED, 'f', "a", "", 10);
		add_chunk(bad[i].offset, bad[i].length, "0123456789abcdef");
		add_chunk(0, 0, "");
		start_reading();
		ck_assert_int_eq(next(), 1);
		ck_assert_msg(copy_to(fd) == -HUTCH_E_GONE, "chunk %d", i);
		ck_assert_int_eq(fstat(fd, &st), 0);
		ck_assert_int_eq((int)st.st_size, 0);
		close(fd);
	}
	add_record(CHANGES_ADDED, 'f', "a", "", 10);
	add_chunk(0, 5, "ab"); /* and then the end */
	start_reading();
	ck_assert_int_eq(next(), 1);
	ck_assert_int_eq(copy_to(-1), -HUTCH_E_GONE);
}
END_TEST

/* ---- applying ---- */

static char top[4096], target[4200];
static struct hutch_process process = {.state = HUTCH_PROCESS_ENDED};
static struct hutch_sandbox sandbox;
static pid_t init = -1;

static void set_up(void)
{
	snprintf(top, sizeof top, "%s", make_directory());
	snprintf(target, sizeof target, "%s/target", top);
	ck_assert_int_eq(chdir(top), 0);
	ck_assert_int_eq(mkdir("target", 0755), 0);
	ck_assert_int_eq(mkdir("outside", 0755), 0);
	ck_assert_int_eq(system("echo canary > outside/canary; ln -s ../outside target/out; ln -s ../outside/canary target/file; echo old > target/old; mkdir -p target/dir/sub; echo x > target/dir/sub/x"), 0);
}

static void tear_down(void)
{
	char command[5000];
	if (init > 0)
		waitpid(init, NULL, 0);
	snprintf(command, sizeof command, "rm -rf '%s'", top);
	ck_assert_int_eq(system(command), 0);
}

/* Waits for MESSAGE_CHANGES and answers with the stream. */
_Noreturn static void play_init(int channel)
{
	struct message message;
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec vec = {.iov_base = &message, .iov_len = sizeof message};
	struct msghdr header = {.msg_iov = &vec, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
	int fd = -1;
	if (recvmsg(channel, &header, 0) == sizeof message && message.type == MESSAGE_CHANGES && CMSG_FIRSTHDR(&header))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&header)), sizeof fd);
	for (size_t at = 0; at < stream_size;) {
		ssize_t size = write(fd, stream + at, stream_size - at);
		if (size < 0)
			_exit(1);
		at += (size_t)size;
	}
	_exit(0);
}

static int64_t save(void)
{
	static char workspace[] = "/w";
	static char *roots[] = {workspace, NULL};
	int ends[2];
	ck_assert_int_eq(channel_pair(ends, &err), 0);
	signal(SIGPIPE, SIG_IGN);
	init = fork();
	if (init == 0) {
		close(ends[0]);
		play_init(ends[1]);
	}
	close(ends[1]);
	sandbox = (struct hutch_sandbox){.workspace_op = 0, .roots = roots, .roots_count = 1, .control = {.fd = ends[0], .is_open = true}, .main = &process};
	memset(&err, 0, sizeof err);
	int64_t ret = hutch_sandbox_save(&sandbox, target, &err);
	close(ends[0]);
	waitpid(init, NULL, 0);
	init = -1;
	stream_size = 0;
	records = 0;
	return ret;
}

static void outside_is_unchanged(void)
{
	ck_assert_int_eq(system("test \"$(cat outside/canary)\" = canary && test \"$(ls -A outside)\" = canary && test -f outside/canary"), 0);
}

START_TEST(save_writes_what_is_listed)
{
	add_file("new", "hello");
	add_file("deep/er/file", "x");
	add_record(CHANGES_ADDED, 'd', "empty", "", 0);
	add_record(CHANGES_ADDED, 'l', "link", "/etc/passwd", 0);
	add_record(CHANGES_DELETED, 'f', "old", "", 0);
	add_record(CHANGES_DELETED, 'd', "dir", "", 0);
	add_record(CHANGES_DELETED, 'f', "never/was", "", 0);
	add_end(records, 0);
	ck_assert_int_eq((int)save(), 7);
	ck_assert_int_eq(system("test \"$(cat target/new)\" = hello && test -f target/deep/er/file && test -d target/empty && test \"$(readlink target/link)\" = /etc/passwd && test ! -e target/old && test ! -e target/dir"), 0);
	outside_is_unchanged();
}
END_TEST

/* What is at the place of a link is replaced, never followed; what is behind one is refused. */
START_TEST(planted_links)
{
	add_file("file", "mine");
	add_end(records, 0);
	ck_assert_int_eq((int)save(), 1);
	outside_is_unchanged();
	ck_assert_int_eq(system("test ! -L target/file && test \"$(cat target/file)\" = mine"), 0);

	static const char *const through[] = {"out/canary", "out/new", "out/a/b"};
	for (int i = 0; i < COUNT(through); i++) {
		add_file(through[i], "evil");
		add_end(records, 0);
		ck_assert_int_lt((int)save(), 0);
		ck_assert_int_eq(err.sys_errno, ELOOP);
		ck_assert_str_ne(err.hint, "");
		add_record(CHANGES_DELETED, 'f', through[i], "", 0);
		add_end(records, 0);
		ck_assert_int_lt((int)save(), 0);
		add_record(CHANGES_ADDED, 'd', through[i], "", 0);
		add_end(records, 0);
		ck_assert_int_lt((int)save(), 0);
		add_record(CHANGES_ADDED, 'l', through[i], "x", 0);
		add_end(records, 0);
		ck_assert_int_lt((int)save(), 0);
		outside_is_unchanged();
	}
	/* the stream itself makes the link, and goes through it */
	add_record(CHANGES_ADDED, 'l', "trap", "../outside", 0);
	add_file("trap/canary", "evil");
	add_end(records, 0);
	ck_assert_int_lt((int)save(), 0);
	outside_is_unchanged();
	/* a link where a directory shall be is replaced */
	add_record(CHANGES_ADDED, 'd', "out", "", 0);
	add_file("out/canary", "inside");
	add_end(records, 0);
	ck_assert_int_eq((int)save(), 2);
	outside_is_unchanged();
	ck_assert_int_eq(system("test ! -L target/out && test \"$(cat target/out/canary)\" = inside"), 0);
}
END_TEST

START_TEST(planted_temporary)
{
	ck_assert_int_eq(symlink("../outside/canary", "target/.hutch-save.tmp"), 0);
	add_file("new", "x");
	add_end(records, 0);
	ck_assert_int_eq((int)save(), 1);
	outside_is_unchanged();
	ck_assert_int_eq(system("test -L target/.hutch-save.tmp && test \"$(ls -A target | grep -c hutch-save)\" = 1"), 0); /* temporary names are random */
}
END_TEST

START_TEST(kinds_change_places)
{
	add_file("dir", "now a file");
	add_record(CHANGES_CHANGED, 'd', "old", "", 0);
	add_file("old/x", "1");
	add_end(records, 0);
	ck_assert_int_eq((int)save(), 3);
	ck_assert_int_eq(system("test -f target/dir && test -d target/old && test -f target/old/x"), 0);
}
END_TEST

START_TEST(modes_lose_their_special_bits)
{
	struct stat st;
	add_raw((struct changes_record){.type = 'f', .mode = 07755}, "suid", "");
	add_chunk(0, 0, "");
	add_raw((struct changes_record){.type = 'd', .mode = 07777}, "sgid", "");
	add_end(records, 0);
	ck_assert_int_eq((int)save(), 2);
	ck_assert_int_eq(stat("target/suid", &st), 0);
	ck_assert_int_eq((int)(st.st_mode & 07777), 0755);
	ck_assert_int_eq(stat("target/sgid", &st), 0);
	ck_assert_int_eq((int)(st.st_mode & 07777), 0777);
}
END_TEST

START_TEST(what_cannot_be_saved_is_named)
{
	add_record(CHANGES_ADDED, 'p', "fifo", "", 0);
	add_record(CHANGES_ADDED, 's', "socket", "", 0);
	add_file("file2", "x");
	add_end(records, 0);
	ck_assert_int_eq((int)save(), -HUTCH_E_UNSUPPORTED);
	ck_assert_ptr_nonnull(strstr(err.hint, "fifo"));
	ck_assert_int_eq(system("test -f target/file2"), 0); /* the rest is there */
}
END_TEST

START_TEST(a_stream_that_breaks_off)
{
	add_file("whole", "x");
	add_record(CHANGES_ADDED, 'f', "half", "", 100);
	add_chunk(0, 50, "only a little");
	ck_assert_int_eq((int)save(), -HUTCH_E_GONE);
	ck_assert_int_eq(system("test -f target/whole && test ! -e target/half"), 0);
	add_file("../evil", "x");
	add_end(records, 0);
	ck_assert_int_eq((int)save(), -HUTCH_E_GONE);
	ck_assert_int_eq(system("test ! -e evil"), 0);
}
END_TEST

START_TEST(saving_without_a_workspace)
{
	struct hutch_sandbox none = {.workspace_op = ~0u};
	ck_assert_int_eq((int)hutch_sandbox_save(&none, target, &err), -HUTCH_E_STATE);
}
END_TEST

static int count_change(void *data, const struct hutch_change *change)
{
	(void)change;
	return ++*(int *)data == 2 ? 42 : 0;
}

/* Which directory a change is in is a number from inside, too. */
START_TEST(listing)
{
	static const struct {
		uint32_t root;
		int64_t ret;
	} cases[] = {{0, 42}, {1, -HUTCH_E_GONE}, {2, -HUTCH_E_GONE}, {UINT32_MAX, -HUTCH_E_GONE}};
	static char workspace[] = "/w";
	char *roots[] = {workspace, NULL, NULL};
	for (int i = 0; i < COUNT(cases); i++) {
		int ends[2], count = 0;
		add_raw((struct changes_record){.type = 'd'}, "a", "");
		add_raw((struct changes_record){.type = 'd', .root = cases[i].root}, "b", "");
		add_end(2, 0);
		ck_assert_int_eq(channel_pair(ends, &err), 0);
		init = fork();
		if (init == 0)
			play_init(ends[1]);
		close(ends[1]);
		sandbox = (struct hutch_sandbox){.workspace_op = 0, .roots = roots, .roots_count = 2, .control = {.fd = ends[0], .is_open = true}, .main = &process};
		ck_assert_int_eq((int)hutch_sandbox_changes(&sandbox, count_change, &count, &err), (int)cases[i].ret);
		close(ends[0]);
		waitpid(init, NULL, 0);
		init = -1;
		stream_size = 0;
	}
	process.state = HUTCH_PROCESS_RUNNING;
	ck_assert_int_eq((int)hutch_sandbox_changes(&sandbox, count_change, NULL, &err), -HUTCH_E_STATE);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("changes");
	TCase *reading = tcase_create("reading");
	tcase_add_test(reading, a_proper_stream);
	tcase_add_test(reading, paths);
	tcase_add_test(reading, broken_records);
	tcase_add_test(reading, ends_of_the_list);
	tcase_add_test(reading, chunks);
	tcase_add_test(reading, hostile_chunks);
	TCase *saving = tcase_create("saving");
	tcase_set_timeout(saving, 60);
	tcase_add_checked_fixture(saving, set_up, tear_down);
	tcase_add_test(saving, save_writes_what_is_listed);
	tcase_add_test(saving, planted_links);
	tcase_add_test(saving, planted_temporary);
	tcase_add_test(saving, kinds_change_places);
	tcase_add_test(saving, modes_lose_their_special_bits);
	tcase_add_test(saving, what_cannot_be_saved_is_named);
	tcase_add_test(saving, a_stream_that_breaks_off);
	tcase_add_test(saving, saving_without_a_workspace);
	tcase_add_test(saving, listing);
	suite_add_tcase(suite, reading);
	suite_add_tcase(suite, saving);
	return run_suite(suite);
}
