/* SPDX-License-Identifier: Apache-2.0 */
/* What travels between client and supervisor: every struct comes back as it went, and any other bytes are refused. */
#include <check.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "helpers.h"
#include "wire/pack.h"
#include "wire/results.h"
#include "wire/store.h"
#include "wire/wire.h"

/* ---- there and back ---- */

static const char *const argv[] = {"sh", "-c", "echo 'a b'", "", NULL};
static const char *const env[] = {"A=1", "B=\n\xff", NULL};
static const char *const labels[] = {"k=v", "empty=", NULL};
static const struct hutch_mount mounts[] = {
	{.kind = HUTCH_MOUNT_HOST, .access = HUTCH_ACCESS_COW, .source = "/usr", .target = "/x"},
	{.kind = HUTCH_MOUNT_TMPFS, .target = "/t", .size_bytes = UINT64_MAX},
};
static const struct hutch_ulimit ulimits[] = {{"nofile", 64}, {"core", 0}};

static struct pack_request full_request(void)
{
	return (struct pack_request){
		.has_spec = true,
		.has_command = true,
		.spec = HUTCH_SPEC(.name = "n", .labels = labels, .labels_count = 2, .has_uid = true, .uid = 7, .root = HUTCH_ROOT_DIRECTORY, .rootfs = "/r",
		                   .rootfs_access = HUTCH_ACCESS_RW, .workspace = "/w", .workspace_access = HUTCH_ACCESS_COW, .mounts = mounts, .mounts_count = 2,
		                   .state_dir = "/s", .net = HUTCH_NET_HOST, .seccomp = HUTCH_SECCOMP_FILE, .seccomp_file = "p", .cap_add = 1, .best_effort = 3,
		                   .limits = {.memory_bytes = 1, .swap_bytes = 2, .has_swap = true, .cpus_milli = 3, .cpu_time_ms = 4, .pids = 5, .io_read_bps = 6,
		                              .io_write_bps = 7, .disk_bytes = 8, .ulimits = ulimits, .ulimits_count = 2},
		                   .lifetime_ms = 9, .idle_timeout_ms = 10, .detached = true),
		.command = HUTCH_COMMAND(.argv = argv, .env = env, .cwd = "/", .in = {HUTCH_IO_FD, 1}, .out = {HUTCH_IO_STREAM, -1}, .term = "vt", .rows = 1, .columns = 2,
		                         .timeout_ms = 3, .grace_ms = 4, .output_limit = 5, .on_output_limit = HUTCH_OUTPUT_KILL, .on_exit = HUTCH_ON_EXIT_LEAVE, .check = true,
		                         .has_uid = true, .uid = 6),
	};
}

static void expect_texts(const char *const *got, const char *const *wanted)
{
	size_t i = 0;
	for (; wanted[i]; i++)
		ck_assert_str_eq(got[i], wanted[i]);
	ck_assert_ptr_null(got[i]);
}

START_TEST(request_comes_back)
{
	const struct pack_request request = full_request();
	struct pack_memory memory = {0};
	struct pack_request got;
	CLEANUP_FREE void *bytes = NULL;
	size_t size;
	ck_assert_int_eq(pack_request_write(&request, &bytes, &size), 0);
	ck_assert_int_eq(pack_request_read(bytes, size, &memory, &got), 0);
	expect_texts(got.spec.labels, labels);
	ck_assert_uint_eq(got.spec.labels_count, 2);
	ck_assert_uint_eq(got.spec.mounts_count, 2);
	ck_assert_str_eq(got.spec.mounts[0].source, "/usr");
	ck_assert_ptr_null(got.spec.mounts[1].source);
	ck_assert_uint_eq(got.spec.mounts[1].size_bytes, UINT64_MAX);
	ck_assert_str_eq(got.spec.limits.ulimits[1].name, "core");
	ck_assert_uint_eq(got.spec.limits.disk_bytes, 8);
	ck_assert(got.spec.limits.has_swap && got.spec.detached && got.command.check);
	ck_assert_uint_eq(got.spec.idle_timeout_ms, 10);
	expect_texts(got.command.argv, argv);
	expect_texts(got.command.env, env);
	ck_assert_int_eq(got.command.out.fd, -1);
	ck_assert_int_eq((int)got.command.on_exit, HUTCH_ON_EXIT_LEAVE);
	ck_assert(got.command.has_uid && got.command.uid == 6);
	pack_memory_done(&memory);
}
END_TEST

/* A new field of a public struct must be packed, too: this fails then, and says where to look. */
START_TEST(no_field_is_forgotten)
{
	ck_assert_uint_eq(sizeof(struct hutch_spec), 248);   /* code_spec */
	ck_assert_uint_eq(sizeof(struct hutch_command), 200); /* code_command */
	ck_assert_uint_eq(sizeof(struct hutch_mount), 32);
	ck_assert_uint_eq(sizeof(struct hutch_error), 1024);
}
END_TEST

static char *const command[] = {(char *)(uintptr_t)"true", NULL};
static char *const warnings[] = {(char *)(uintptr_t)"w", NULL};

static struct hutch_result full_result(struct hutch_limit_enforced *limits)
{
	limits[0] = (struct hutch_limit_enforced){.name = "pids", .value = 5, .by = "rlimit"};
	struct hutch_result result = {
		.sandbox = "abc", .id = "1", .command = (char **)(uintptr_t)command, .outcome = HUTCH_OUTCOME_NOT_STARTED, .exit_code = -1, .signal = 0, .returncode = 127,
		.error = {.code = HUTCH_E_NOT_FOUND, .sys_errno = 2, .stage = "exec", .message = "m", .hint = "h"},
		.out = {.captured = true, .data = (char *)(uintptr_t)"a\0b", .size = 3, .total_bytes = 9, .truncated = true}, .wall_ms = -1, .user_ms = 1.5,
		.memory_peak_bytes = -1, .limits_enforced = limits, .limits_enforced_count = 1, .warnings = (char **)(uintptr_t)warnings,
	};
	return result;
}

START_TEST(result_comes_back)
{
	struct hutch_limit_enforced limits[1];
	const struct hutch_result result = full_result(limits);
	struct hutch_result *got;
	CLEANUP_FREE void *bytes = NULL;
	size_t size;
	ck_assert_int_eq(pack_result_write(&result, &bytes, &size), 0);
	ck_assert_int_eq(pack_result_read(bytes, size, &got), 0);
	ck_assert_str_eq(got->sandbox, "abc");
	ck_assert_str_eq(got->command[0], "true");
	ck_assert_int_eq(got->exit_code, -1);
	ck_assert_str_eq(got->error.hint, "h");
	ck_assert_mem_eq(got->out.data, "a\0b", 4);
	ck_assert_ptr_null(got->err.data);
	ck_assert_double_eq(got->user_ms, 1.5);
	ck_assert_int_eq(got->memory_peak_bytes, -1);
	ck_assert_str_eq(got->limits_enforced[0].by, "rlimit");
	ck_assert_str_eq(got->warnings[0], "w");
	hutch_result_free(got);
}
END_TEST

START_TEST(status_comes_back)
{
	const struct pack_status status = {.id = "0123456789ab", .name = NULL, .boot = "b", .state = HUTCH_SANDBOX_PAUSED, .created_ms = -5, .supervisor = 77,
	                                   .command = argv, .labels = NULL, .upper = "/u", .logs = NULL};
	struct pack_memory memory = {0};
	struct pack_status got;
	CLEANUP_FREE void *bytes = NULL;
	size_t size;
	ck_assert_int_eq(pack_status_write(&status, &bytes, &size), 0);
	ck_assert_int_eq(pack_status_read(bytes, size, &memory, &got), 0);
	ck_assert_str_eq(got.id, status.id);
	ck_assert_int_eq(got.created_ms, -5);
	ck_assert_ptr_null(got.labels);
	expect_texts(got.command, argv);
	pack_memory_done(&memory);
}
END_TEST

/* ---- other bytes ---- */

static void fix_checksum(char *bytes, size_t size)
{
	uint64_t sum = UINT64_C(0xcbf29ce484222325), rest = size - 32;
	for (size_t i = 32; i < size; i++)
		sum = (sum ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001b3);
	memcpy(bytes + 16, &rest, sizeof rest);
	memcpy(bytes + 24, &sum, sizeof sum);
}

/* Reads as every kind: whatever the bytes are, it ends, and touches nothing outside of them. Exactly as large as they
 * are, so that a sanitizer sees it. */
static int read_all_kinds(const char *bytes, size_t size)
{
	char *exact = malloc(size ? size : 1);
	struct pack_memory memory = {0};
	struct pack_request request;
	struct pack_context context;
	struct pack_status status;
	struct hutch_error error;
	struct hutch_result *result = NULL;
	int good = 0;
	memcpy(exact, bytes, size);
	good += pack_request_read(exact, size, &memory, &request) == 0;
	good += pack_context_read(exact, size, &memory, &context) == 0;
	good += pack_status_read(exact, size, &memory, &status) == 0;
	good += pack_error_read(exact, size, &error) == 0;
	if (pack_result_read(exact, size, &result) == 0) {
		good++;
		hutch_result_free(result);
	}
	pack_memory_done(&memory);
	free(exact);
	return good;
}

static void make_samples(void *bytes[5], size_t sizes[5])
{
	struct hutch_limit_enforced limits[1];
	const struct pack_request request = full_request();
	const struct hutch_result result = full_result(limits);
	const struct hutch_error error = {.code = HUTCH_E_SETUP, .sys_errno = 1, .stage = "root", .message = "x"};
	const struct pack_status status = {.id = "0123456789ab", .boot = "b", .command = argv, .labels = labels};
	const struct pack_context context = {.id = "0123456789ab", .spec = request.spec, .has_main = true, .argv = argv, .roots = labels, .warnings = env, .logs = "/l"};
	ck_assert_int_eq(pack_request_write(&request, &bytes[0], &sizes[0]), 0);
	ck_assert_int_eq(pack_result_write(&result, &bytes[1], &sizes[1]), 0);
	ck_assert_int_eq(pack_error_write(&error, &bytes[2], &sizes[2]), 0);
	ck_assert_int_eq(pack_status_write(&status, &bytes[3], &sizes[3]), 0);
	ck_assert_int_eq(pack_context_write(&context, &bytes[4], &sizes[4]), 0);
}

START_TEST(truncated)
{
	void *bytes[5];
	size_t sizes[5];
	make_samples(bytes, sizes);
	for (unsigned i = 0; i < 5; i++) {
		ck_assert_int_eq(read_all_kinds(bytes[i], sizes[i]), 1);
		for (size_t size = 0; size < sizes[i]; size++) {
			ck_assert_int_eq(read_all_kinds(bytes[i], size), 0);
			if (size < 32)
				continue;
			char *copy = malloc(size);
			memcpy(copy, bytes[i], size);
			fix_checksum(copy, size);
			ck_assert_int_eq(read_all_kinds(copy, size), 0);
			free(copy);
		}
		free(bytes[i]);
	}
}
END_TEST

START_TEST(flipped)
{
	void *samples[5];
	size_t sizes[5];
	make_samples(samples, sizes);
	for (unsigned i = 0; i < 5; i++) {
		char *bytes = samples[i];
		for (size_t at = 0; at < sizes[i]; at++)
			for (unsigned bit = 0; bit < 8; bit++) {
				bytes[at] ^= (char)(1u << bit);
				ck_assert_int_eq(read_all_kinds(bytes, sizes[i]), 0);
				if (at >= 32) { /* the checksum does not protect against intent */
					fix_checksum(bytes, sizes[i]);
					ck_assert_int_le(read_all_kinds(bytes, sizes[i]), 1);
				}
				bytes[at] ^= (char)(1u << bit);
				fix_checksum(bytes, sizes[i]);
			}
		free(samples[i]);
	}
}
END_TEST

START_TEST(huge_numbers)
{
	void *samples[5];
	size_t sizes[5];
	make_samples(samples, sizes);
	for (unsigned i = 0; i < 5; i++) {
		char *bytes = samples[i];
		for (size_t at = 32; at + 8 <= sizes[i]; at++) {
			static const uint64_t numbers[] = {UINT64_MAX, INT64_MAX, UINT64_C(1) << 32, UINT64_C(1) << 61, 0};
			char before[8];
			memcpy(before, bytes + at, 8);
			for (unsigned n = 0; n < 5; n++) {
				memcpy(bytes + at, &numbers[n], 8);
				fix_checksum(bytes, sizes[i]);
				ck_assert_int_le(read_all_kinds(bytes, sizes[i]), 1);
			}
			memcpy(bytes + at, before, 8);
		}
		free(samples[i]);
	}
}
END_TEST

/* ---- the socket ---- */

START_TEST(messages_of_other_sizes)
{
	int pair[2], fds[WIRE_FDS_MAX];
	unsigned count;
	char bytes[1000] = {0};
	struct message message;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	ck_assert_int_eq(wire_receive(pair[1], &message, fds, &count), -EAGAIN);
	for (size_t size = 1; size < sizeof bytes; size += 127) {
		ck_assert_int_eq(send(pair[0], bytes, size, 0), (ssize_t)size);
		ck_assert_int_eq(wire_receive(pair[1], &message, fds, &count), size == sizeof message ? 1 : -EBADMSG);
	}
	close(pair[0]);
	ck_assert_int_eq(wire_receive(pair[1], &message, fds, &count), 0);
	close(pair[1]);
}
END_TEST

START_TEST(all_descriptors_arrive_or_none)
{
	int pair[2], fds[WIRE_FDS_MAX], many[WIRE_FDS_MAX];
	unsigned count, before = count_fds();
	const struct message message = {.type = WIRE_HELLO};
	struct message got;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	for (unsigned i = 0; i < WIRE_FDS_MAX; i++)
		many[i] = pair[0];
	ck_assert_int_eq(wire_send(pair[0], &message, many, WIRE_FDS_MAX), 0);
	ck_assert_int_eq(wire_receive(pair[1], &got, fds, &count), 1);
	ck_assert_uint_eq(count, WIRE_FDS_MAX);
	wire_close(fds, count);
	close(pair[0]);
	close(pair[1]);
	ck_assert_uint_eq(count_fds(), before);
}
END_TEST

START_TEST(only_sealed_memory_files_are_read)
{
	void *bytes = NULL;
	size_t size;
	int pair[2];
	CLEANUP_CLOSE int zero = open("/dev/zero", O_RDONLY);
	CLEANUP_CLOSE int file = open("/etc/passwd", O_RDONLY);
	ck_assert_int_eq(pipe(pair), 0);
	ck_assert_int_lt(wire_read_file(zero, 100, &bytes, &size), 0);
	ck_assert_int_lt(wire_read_file(file, 1u << 20, &bytes, &size), 0);
	ck_assert_int_lt(wire_read_file(pair[0], 100, &bytes, &size), 0);
	close(pair[0]);
	close(pair[1]);
}
END_TEST

/* ---- names ---- */

START_TEST(names)
{
	char longest[64];
	memset(longest, 'a', 63);
	longest[63] = '\0';
	static const char *const good[] = {"a", "web-1", "a.b_c", "0", "0123456789abc", "names"};
	static const char *const bad[] = {"", ".", "..", "../x", "a/b", "-a", "A", "a b", "a\n", "\n", "_a", ".a", "0123456789ab", "\xc3\xa4"};
	for (unsigned i = 0; i < sizeof good / sizeof *good; i++)
		ck_assert_msg(store_is_name(good[i]), "%s", good[i]);
	for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_msg(!store_is_name(bad[i]), "%s", bad[i]);
	ck_assert(store_is_name(longest));
	ck_assert(store_is_id("0123456789ab") && !store_is_id("0123456789aB") && !store_is_id("0123456789a") && !store_is_id("../456789abc"));
}
END_TEST

/* ---- the run directory ---- */

static char home[64];

static void make_home(void)
{
	snprintf(home, sizeof home, "/tmp/hutch-wire-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(home));
	setenv("XDG_RUNTIME_DIR", home, 1);
}

START_TEST(planted_run_directory_is_refused)
{
	SKIP_IF_ROOT(); /* root's is fixed */
	struct hutch_error err;
	char path[100];
	make_home();
	snprintf(path, sizeof path, "%s/hutch", home);
	ck_assert_int_eq(symlink("/tmp", path), 0);
	ck_assert_int_lt(store_open(true, &err), 0);
	unlink(path);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_eq(chmod(path, 0777), 0);
	ck_assert_int_lt(store_open(true, &err), 0);
	ck_assert_int_eq(chmod(path, 0755), 0);
	CLEANUP_CLOSE int root = store_open(true, &err);
	struct stat st;
	ck_assert_int_ge(root, 0);
	ck_assert_int_eq(fstat(root, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0700);
	rmdir(path);
	rmdir(home);
}
END_TEST

/* A result on disk is believed only for the command that it is about, and only as a whole file of ours. */
START_TEST(results_on_disk)
{
	char dir[] = "/tmp/hutch-results-XXXXXX", path[64], word[] = "x", *words[] = {word, NULL}, *none[] = {NULL};
	struct hutch_result result = {.sandbox = "0123456789ab", .id = "7", .command = words, .warnings = none, .exit_code = 3, .started = true}, *got = NULL;
	CLEANUP_FREE void *bytes = NULL;
	size_t size;
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(pack_result_write(&result, &bytes, &size), 0);
	ck_assert_int_eq(results_read(dir, result.sandbox, 7, &got), -HUTCH_E_NOT_FOUND);
	ck_assert_int_eq(results_write(dir, 7, bytes, size), 0);
	ck_assert_int_eq(results_read(dir, result.sandbox, 7, &got), 0);
	ck_assert_int_eq(got->exit_code, 3);
	hutch_result_free(got);
	ck_assert_int_eq(results_read(dir, "ba9876543210", 7, &got), -HUTCH_E_INVALID);
	ck_assert_int_eq(results_write(dir, 8, bytes, size), 0); /* of command 7, under the name of another */
	ck_assert_int_eq(results_read(dir, result.sandbox, 8, &got), -HUTCH_E_INVALID);
	ck_assert_int_eq(results_write(dir, 7, bytes, size - 1), 0);
	ck_assert_int_eq(results_read(dir, result.sandbox, 7, &got), -HUTCH_E_INVALID);
	results_remove(dir, 8);
	results_remove(dir, 7);
	snprintf(path, sizeof path, "%s/result.7", dir);
	ck_assert_int_eq(symlink("/dev/zero", path), 0);
	ck_assert_int_eq(results_read(dir, result.sandbox, 7, &got), -HUTCH_E_INVALID);
	ck_assert_int_eq(unlink(path) | rmdir(dir), 0); /* and nothing else is there */
}
END_TEST

START_TEST(entries)
{
	static const char name[] = "wire-test-name";
	struct hutch_error err;
	struct store_entry entry, second;
	struct store_record record;
	char id[STORE_ID_SIZE];
	if (geteuid() != 0)
		make_home();
	struct pack_status status = {.id = "00000000feed", .name = name, .boot = "b", .state = HUTCH_SANDBOX_RUNNING, .command = argv};
	ck_assert_int_eq(store_create("00000000feed", name, &status, &entry, &err), 0);
	ck_assert_int_eq(store_find(entry.root, name, id, &err), 0);
	ck_assert_str_eq(id, "00000000feed");
	ck_assert_int_eq(store_find(entry.root, "00000000fee", id, &err), 0);
	ck_assert_int_eq(store_create("00000000beef", name, &status, &second, &err), -HUTCH_E_BUSY);
	ck_assert_int_eq(store_read(entry.root, "00000000feed", &record, &err), 0);
	ck_assert(!record.is_dead);
	store_record_done(&record);
	ck_assert_int_eq(store_bury(entry.root, "00000000feed", &record), 0); /* it is alive */
	store_record_done(&record);
	CLEANUP_CLOSE int root = store_open(false, &err);
	store_entry_done(&entry); /* ... and now it is not */
	ck_assert_int_eq(store_read(root, "00000000feed", &record, &err), 0);
	ck_assert(record.is_dead);
	ck_assert_uint_eq(record.status.state, HUTCH_SANDBOX_FAILED);
	store_record_done(&record);
	ck_assert_int_eq(store_bury(root, "00000000feed", &record), 1);
	store_record_done(&record);
	ck_assert_int_eq(store_find(root, name, id, &err), -HUTCH_E_NOT_FOUND);
	ck_assert_int_eq(store_read(root, "00000000feed", &record, &err), -HUTCH_E_NOT_FOUND);
	status.id = "00000000beef";
	ck_assert_int_eq(store_create("00000000beef", name, &status, &second, &err), 0); /* the name is free */
	store_remove(&second, name);
	store_entry_done(&second);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wire");
	TCase *pack = tcase_create("pack"), *rest = tcase_create("socket and store");
	tcase_set_timeout(pack, 250);
	tcase_add_test(pack, request_comes_back);
	tcase_add_test(pack, no_field_is_forgotten);
	tcase_add_test(pack, result_comes_back);
	tcase_add_test(pack, status_comes_back);
	tcase_add_test(pack, truncated);
	tcase_add_test(pack, flipped);
	tcase_add_test(pack, huge_numbers);
	tcase_add_test(rest, messages_of_other_sizes);
	tcase_add_test(rest, all_descriptors_arrive_or_none);
	tcase_add_test(rest, only_sealed_memory_files_are_read);
	tcase_add_test(rest, names);
	tcase_add_test(rest, planted_run_directory_is_refused);
	tcase_add_test(rest, results_on_disk);
	tcase_add_test(rest, entries);
	suite_add_tcase(suite, pack);
	suite_add_tcase(suite, rest);
	return run_suite(suite);
}
