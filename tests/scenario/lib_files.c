/* SPDX-License-Identifier: Apache-2.0 */
/* Files of a sandbox, attached and detached, with somebody hostile inside. */
#include <fcntl.h>
#include <sys/stat.h>

#include "lib.h"

static struct hutch_sandbox *sandbox;

/* Test cases run in a loop: 0 attached, 1 detached. */
static void begin(int index)
{
	sandbox = start(&HUTCH_SPEC(.detached = index == 1), NULL);
}

static void end(void)
{
	struct hutch_error ignored;
	hutch_sandbox_remove(sandbox, true, &ignored);
	hutch_sandbox_free(sandbox);
}

static void sh(const char *text)
{
	struct hutch_process *process;
	struct hutch_result *result;
	ck_assert_msg(hutch_sandbox_exec(sandbox, &HUTCH_COMMAND(.argv = SH(text)), &process, &err) == 0, "%s", err.message);
	ck_assert_msg(hutch_process_result(process, 60000, &result, &err) == 0, "%s", err.message);
	ck_assert_msg(result->exit_code == 0, "%s: %d %s", text, result->exit_code, result->err.data);
	hutch_result_free(result);
	hutch_process_free(process);
}

static struct hutch_process *background(const char *text)
{
	struct hutch_process *process;
	ck_assert_msg(hutch_sandbox_exec(sandbox, &HUTCH_COMMAND(.argv = SH(text)), &process, &err) == 0, "%s", err.message);
	return process;
}

#define OK(call) ck_assert_msg((call) >= 0, "%s: %d %s (%s)", #call, err.code, err.message, err.hint)
#define FAILS(call, wanted) do { \
	int64_t ret_ = (call); \
	ck_assert_msg(ret_ == -(wanted) && err.code == (wanted), "%s: %lld %s %s", #call, (long long)ret_, hutch_error_code_name(err.code), err.message); \
} while (0)

static char *content(const char *path)
{
	char *data;
	size_t size;
	OK(hutch_sandbox_read_file(sandbox, path, NULL, &data, &size, &err));
	return data;
}

static void expect(const char *path, const char *wanted)
{
	char *data = content(path);
	ck_assert_str_eq(data, wanted);
	free(data);
}

static int read_error(const char *path)
{
	char *data;
	size_t size;
	double since = now_ms();
	int ret = hutch_sandbox_read_file(sandbox, path, NULL, &data, &size, &err);
	if (ret == 0)
		free(data);
	ck_assert_msg(now_ms() - since < LATE_MS, "%s took %.0f ms", path, now_ms() - since);
	return ret;
}

START_TEST(one_file)
{
	struct hutch_file file;
	begin(_i);
	OK(hutch_sandbox_write_file(sandbox, "/tmp/a/b/c", "hello", 5, &HUTCH_FILE_OPTIONS(.mode = 0640), &err));
	expect("/tmp/a/b/c", "hello");
	OK(hutch_sandbox_stat(sandbox, "/tmp/a/b/c", NULL, &file, &err));
	ck_assert_int_eq(file.type, 'f');
	ck_assert_uint_eq(file.mode, 0640);
	ck_assert_uint_eq(file.size, 5);
	ck_assert_uint_eq(file.uid, 1000);
	ck_assert_str_eq(file.name, "c");
	FAILS(hutch_sandbox_write_file(sandbox, "/tmp/a/b/c", "x", 1, &HUTCH_FILE_OPTIONS(.exclusive = true), &err), HUTCH_E_EXISTS);
	OK(hutch_sandbox_write_file(sandbox, "/tmp/a/b/c", "", 0, NULL, &err));
	expect("/tmp/a/b/c", "");
	sh("test \"$(ls -A /tmp/a/b)\" = c");
	end();
}
END_TEST

START_TEST(errors_differ)
{
	struct hutch_file file;
	begin(_i);
	sh("mkdir /tmp/d; echo x >/tmp/f; mkfifo /tmp/fifo; echo no >/tmp/secret; chmod 0 /tmp/secret; truncate -s 7E /tmp/huge;"
	   "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"/tmp/socket\")'");
	ck_assert_int_eq(read_error("/tmp/none"), -HUTCH_E_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(err.message, "/tmp/none"));
	ck_assert_int_eq(read_error("/tmp/d"), -HUTCH_E_IS_DIRECTORY);
	ck_assert_int_eq(read_error("/tmp/f/x"), -HUTCH_E_NOT_DIRECTORY);
	ck_assert_int_eq(read_error("/tmp/secret"), -HUTCH_E_PERMISSION);
	ck_assert_int_eq(read_error("/tmp/huge"), -HUTCH_E_TOO_LARGE);
	ck_assert_int_eq(read_error("/tmp/fifo"), -HUTCH_E_NOT_REGULAR);
	ck_assert_int_eq(read_error("/tmp/socket"), -HUTCH_E_NOT_REGULAR);
	ck_assert_int_eq(read_error("/dev/zero"), -HUTCH_E_NOT_REGULAR);
	FAILS(hutch_sandbox_list(sandbox, "/tmp/f", NULL, NULL, NULL, &err), HUTCH_E_NOT_DIRECTORY);
	FAILS(hutch_sandbox_write_file(sandbox, "/tmp/d", "x", 1, NULL, &err), HUTCH_E_IS_DIRECTORY);
	FAILS(hutch_sandbox_write_file(sandbox, "/usr/x", "x", 1, NULL, &err), HUTCH_E_PERMISSION);
	FAILS(hutch_sandbox_mkdir(sandbox, "/tmp/f", NULL, &err), HUTCH_E_EXISTS);
	OK(hutch_sandbox_mkdir(sandbox, "/tmp/d", NULL, &err));
	FAILS(hutch_sandbox_mkdir(sandbox, "/tmp/d", &HUTCH_FILE_OPTIONS(.exclusive = true), &err), HUTCH_E_EXISTS);
	OK(hutch_sandbox_mkdir(sandbox, "/tmp/d/e/f", NULL, &err));
	FAILS(hutch_sandbox_remove_path(sandbox, "/tmp/d", NULL, &err), HUTCH_E_EXISTS);
	OK(hutch_sandbox_remove_path(sandbox, "/tmp/d", &HUTCH_FILE_OPTIONS(.recursive = true), &err));
	FAILS(hutch_sandbox_stat(sandbox, "/tmp/d", NULL, &file, &err), HUTCH_E_NOT_FOUND);
	FAILS(hutch_sandbox_remove_path(sandbox, "/tmp/d", NULL, &err), HUTCH_E_NOT_FOUND);
	end();
}
END_TEST

/* None of these shows anything of the host: a file beside this program. */
START_TEST(links_stay_inside)
{
	struct hutch_file file;
	char script[32000], *directory = make_directory(), canary[4200];
	snprintf(canary, sizeof canary, "%s/canary", directory);
	int fd = open(canary, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	ck_assert_int_eq((int)write(fd, "host", 4), 4);
	close(fd);
	begin(_i);
	snprintf(script, sizeof script,
	         "ln -s %s /tmp/absolute; ln -s ../../../../../..%s /tmp/dots; ln -s %s /tmp/parent; ln -s /proc/self/root%s /tmp/magic;"
	         "ln -s /proc/1/root%s /tmp/init; i=0; ln -s /etc/hosts /tmp/l0; while [ $i -lt 41 ]; do ln -s l$i /tmp/l$((i+1)); i=$((i+1)); done",
	         canary, canary, directory, canary, canary);
	sh(script);
	static const char *const paths[] = {"/tmp/absolute", "/tmp/dots", "/tmp/parent/canary", "/tmp/magic", "/tmp/init", "/tmp/l41"};
	for (int i = 0; i < COUNT(paths); i++)
		ck_assert_msg(read_error(paths[i]) < 0, "%s was read", paths[i]);
	OK(hutch_sandbox_stat(sandbox, "/tmp/absolute", &HUTCH_FILE_OPTIONS(.no_follow = true), &file, &err));
	ck_assert_int_eq(file.type, 'l');
	ck_assert_str_eq(file.link, canary);
	FAILS(hutch_sandbox_stat(sandbox, "/tmp/absolute", NULL, &file, &err), HUTCH_E_NOT_FOUND);
	OK(hutch_sandbox_write_file(sandbox, "/tmp/absolute", "inside", 6, NULL, &err));
	OK(hutch_sandbox_remove_path(sandbox, "/tmp/dots", &HUTCH_FILE_OPTIONS(.recursive = true), &err));
	end();
	char now[8] = "";
	fd = open(canary, O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq((int)read(fd, now, sizeof now - 1), 4);
	ck_assert_str_eq(now, "host");
	close(fd);
	unlink(canary);
	rmdir(directory);
}
END_TEST

static int count_names(void *data, const struct hutch_file *file)
{
	unsigned *seen = data;
	if (strchr(file->name, '\n'))
		seen[0]++;
	if (strlen(file->name) == 255)
		seen[1]++;
	if (strlen(file->name) == 1)
		seen[2]++;
	return 0;
}

START_TEST(names_and_many)
{
	unsigned seen[3] = {0};
	begin(_i);
	sh("mkdir /tmp/many /tmp/names && python3 -c '\n"
	   "import os\n"
	   "for i in range(100000): os.close(os.open(\"/tmp/many/%06d\" % i, os.O_CREAT))\n"
	   "os.mkdir(b\"/tmp/names/a\\nb\")\n"
	   "os.close(os.open(b\"/tmp/names/\" + b\"x\" * 255, os.O_CREAT))\n"
	   "for i in range(1, 256):\n"
	   "  if i not in (46, 47, 10): os.close(os.open(b\"/tmp/names/\" + bytes([i]), os.O_CREAT))\n'");
	double since = now_ms();
	ck_assert_int_eq(hutch_sandbox_list(sandbox, "/tmp/many", NULL, NULL, NULL, &err), 100000);
	fprintf(stderr, "list of 100,000 entries: %.0f ms\n", now_ms() - since);
	ck_assert_int_eq(hutch_sandbox_list(sandbox, "/tmp/names", NULL, count_names, seen, &err), 254);
	ck_assert_uint_eq(seen[0], 1);
	ck_assert_uint_eq(seen[1], 1);
	ck_assert_uint_eq(seen[2], 252);
	since = now_ms();
	OK(hutch_sandbox_remove_path(sandbox, "/tmp/many", &HUTCH_FILE_OPTIONS(.recursive = true), &err));
	fprintf(stderr, "removal of 100,000 entries: %.0f ms\n", now_ms() - since);
	sh("test ! -e /tmp/many");
	end();
}
END_TEST

START_TEST(trees_there_and_back)
{
	struct hutch_copy copy;
	char *directory = make_directory(), command[9000];
	begin(_i);
	sh("mkdir -p /tmp/t/sub/deep /tmp/t/empty && cd /tmp/t && echo one >one && printf two >sub/two && chmod 750 one && ln -s ../one sub/link && mkfifo pipe &&"
	   "chmod 500 sub/deep && head -c 300000 /dev/urandom >sub/big && touch -d '2001-02-03 04:05:06.789 UTC' sub/two && n=$(printf %0200d 7) && echo long >$n && mkdir $n.d && echo x >$n.d/$n");
	OK(hutch_sandbox_copy_out_to(sandbox, "/tmp/t", directory, NULL, &copy, &err));
	ck_assert_uint_eq(copy.skipped, 1);
	ck_assert_str_eq(copy.first_skipped, "pipe");
	ck_assert_uint_eq(copy.entries, 10);
	OK(hutch_sandbox_copy_in_from(sandbox, "/tmp/u", directory, NULL, &copy, &err));
	ck_assert_uint_eq(copy.entries, 10);
	sh("cd /tmp && rm t/pipe && diff -r t u && test \"$(cd t; find . -printf '%p %m %l %T@\\n' | tail -n +2 | sort)\" = \"$(cd u; find . -printf '%p %m %l %T@\\n' | tail -n +2 | sort)\"");
	end();
	snprintf(command, sizeof command, "chmod -R u+w '%s'; rm -r '%s'", directory, directory);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

/* The same uid may signal the helper. The host is told, in bounded time. */
START_TEST(helper_attacked)
{
	begin(_i);
	OK(hutch_sandbox_write_file(sandbox, "/tmp/f", "x", 1, NULL, &err));
	sh("head -c 50000000 /dev/zero >/tmp/big");
	struct hutch_process *killer = background("exec python3 -c '\nimport os, time\nwhile True:\n  time.sleep(0.002)\n  try: os.kill(-1, 9)\n  except OSError: pass\n'");
	unsigned failed = 0;
	for (int i = 0; i < 30; i++) {
		double since = now_ms();
		int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
		int64_t ret = hutch_sandbox_read_file_to(sandbox, "/tmp/big", fd, NULL, &err);
		close(fd);
		ck_assert_msg(ret == 50000000 || (ret < 0 && err.code == HUTCH_E_FILE), "%lld %s", (long long)ret, err.message);
		failed += ret < 0;
		ck_assert(now_ms() - since < 5000);
	}
	hutch_process_free(killer);
	killer = background("exec python3 -c '\nimport os, time\nwhile True:\n  time.sleep(0.002)\n  try: os.kill(-1, 19)\n  except OSError: pass\n'");
	unsigned late = 0;
	for (int i = 0; i < 5; i++) {
		double since = now_ms();
		int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
		int64_t ret = hutch_sandbox_read_file_to(sandbox, "/tmp/big", fd, &HUTCH_FILE_OPTIONS(.timeout_ms = 300), &err);
		close(fd);
		ck_assert_msg(ret == 50000000 || (ret < 0 && (err.code == HUTCH_E_TIMEOUT || err.code == HUTCH_E_FILE)), "%lld %s", (long long)ret, err.message);
		late += ret < 0;
		ck_assert_msg(now_ms() - since < 300 + LATE_MS, "%.0f ms", now_ms() - since);
	}
	fprintf(stderr, "helper killed in %u of 30 operations, stopped in %u of 5\n", failed, late);
	hutch_process_free(killer);
	expect("/tmp/f", "x");
	end();
}
END_TEST

START_TEST(after_the_main_command)
{
	struct hutch_result *result;
	struct hutch_process *process;
	sandbox = start(&HUTCH_SPEC(.detached = _i == 1), &HUTCH_COMMAND(.argv = SH("echo left >/tmp/left")));
	result = finish(sandbox);
	hutch_result_free(result);
	expect("/tmp/left", "left\n");
	FAILS(hutch_sandbox_exec(sandbox, &HUTCH_COMMAND(.argv = SH("true")), &process, &err), HUTCH_E_STATE);
	end();
	if (_i == 1) {
		begin(1);
		sh("echo kept >/tmp/kept");
		OK(hutch_sandbox_stop(sandbox, 100, &err));
		expect("/tmp/kept", "kept\n");
		end();
	}
}
END_TEST

/* A directory and a link to the host's canary change places all the time. */
START_TEST(swapped_under_way)
{
	char *directory = make_directory(), script[16000], *data;
	size_t size;
	unsigned reached = 0;
	begin(_i);
	snprintf(script, sizeof script,
	         "mkdir -p /tmp/s/d; echo inside >/tmp/s/d/f; ln -s '%s' /tmp/s/l; exec python3 -c '\n"
	         "import ctypes\n"
	         "libc = ctypes.CDLL(None)\n"
	         "while True: libc.renameat2(-100, b\"/tmp/s/d\", -100, b\"/tmp/s/l\", 2)'", directory);
	struct hutch_process *swapper = background(script);
	sleep_us(300000);
	for (int i = 0; i < 200; i++) {
		if (hutch_sandbox_read_file(sandbox, "/tmp/s/d/f", NULL, &data, &size, &err) == 0) {
			ck_assert_str_eq(data, "inside\n");
			free(data);
			reached++;
		}
		hutch_sandbox_write_file(sandbox, "/tmp/s/d/g", "inside", 6, NULL, &err);
		hutch_sandbox_remove_path(sandbox, "/tmp/s/d", i % 20 == 19 ? &HUTCH_FILE_OPTIONS(.recursive = true) : NULL, &err);
	}
	fprintf(stderr, "swapped: read in %u of 200\n", reached);
	ck_assert_int_eq(rmdir(directory), 0); /* nothing was made in it, and it is there */
	hutch_process_free(swapper);
	end();
}
END_TEST

START_TEST(large_with_constant_memory)
{
	const int64_t size = (int64_t)2 << 30;
	char path[] = "/tmp/hutch-large-XXXXXX";
	int fd = mkstemp(path), null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	unlink(path);
	ck_assert_int_eq(ftruncate(fd, size), 0);
	begin(_i);
	sh("truncate -s 2G /tmp/large");
	long before = status_kib("VmRSS:");
	double since = now_ms();
	ck_assert_msg(hutch_sandbox_read_file_to(sandbox, "/tmp/large", null, NULL, &err) == size, "%s", err.message);
	double out = now_ms() - since;
	ck_assert_int_lt(status_kib("VmRSS:") - before, 4096);
	since = now_ms();
	/* more than the sandbox's space: it arrives until that is full */
	int64_t ret = hutch_sandbox_write_file_from(sandbox, "/tmp/in", fd, NULL, &err);
	ck_assert_msg(ret == size || err.code == HUTCH_E_NO_SPACE, "%lld %s", (long long)ret, err.message);
	fprintf(stderr, "2 GiB out %.2f GB/s, in %.2f GB/s (%s), memory grew by %ld KiB\n", 2147.5 / out, 2147.5 / (now_ms() - since), ret < 0 ? "no space" : "all",
	        status_kib("VmRSS:") - before);
	ck_assert_int_lt(status_kib("VmRSS:") - before, 4096);
	close(fd);
	close(null);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("files");
	TCase *files = tcase_create("files");
	tcase_set_timeout(files, 120);
	tcase_add_checked_fixture(files, lib_set_up, lib_tear_down);
	tcase_add_loop_test(files, one_file, 0, 2);
	tcase_add_loop_test(files, errors_differ, 0, 2);
	tcase_add_loop_test(files, links_stay_inside, 0, 2);
	tcase_add_loop_test(files, names_and_many, 0, 2);
	tcase_add_loop_test(files, trees_there_and_back, 0, 2);
	tcase_add_loop_test(files, helper_attacked, 0, 2);
	tcase_add_loop_test(files, after_the_main_command, 0, 2);
	tcase_add_loop_test(files, swapped_under_way, 0, 2);
	tcase_add_loop_test(files, large_with_constant_memory, 0, 2);
	suite_add_tcase(suite, files);
	return run_suite(suite);
}
