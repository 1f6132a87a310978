/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Detached sandboxes, through the library as a user links it: found from other processes (this program, executed again
 * with --client), and in the hands of clients that die, flood and lie.
 */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <hutch/hutch.h>

static struct hutch *h;
static struct hutch_sandbox *sandbox;
static struct hutch_error err;

#define OK(call) ck_assert_msg((call) >= 0, "%s: %s (%s)", #call, err.message, err.hint)
#define STREAMED .out = {HUTCH_IO_STREAM, -1}, .err = {HUTCH_IO_STREAM, -1}

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void set_up(void)
{
	OK(hutch_new(&h, &err));
	sandbox = NULL;
}

/* Whatever a test leaves: it is removed. */
static void tear_down(void)
{
	struct hutch_error ignored;
	if (sandbox)
		hutch_sandbox_remove(sandbox, true, &ignored);
	hutch_free(h);
}

static const char *const *shell(const char *script)
{
	static const char *argv[4] = {"sh", "-c", NULL, NULL};
	argv[2] = script;
	return argv;
}

static void start_spec(struct hutch_spec *spec, const char *script)
{
	spec->detached = true;
	OK(hutch_sandbox_run(h, spec, script ? &HUTCH_COMMAND(.argv = shell(script)) : NULL, &sandbox, &err));
}

static void start(const char *script)
{
	start_spec(&HUTCH_SPEC(.detached = true), script);
}

static struct hutch_process *exec_in(struct hutch_sandbox *where, const char *script)
{
	struct hutch_process *process;
	OK(hutch_sandbox_exec(where, &HUTCH_COMMAND(.argv = shell(script)), &process, &err));
	return process;
}

static struct hutch_result *result_of(struct hutch_process *process)
{
	struct hutch_result *result;
	OK(hutch_process_result(process, 20000, &result, &err));
	return result;
}

static void expect(const char *script, int code, const char *out)
{
	struct hutch_process *process = exec_in(sandbox, script);
	struct hutch_result *result = result_of(process);
	ck_assert_msg(result->outcome == HUTCH_OUTCOME_EXITED, "%s: %s", hutch_outcome_name((int)result->outcome), result->error.message);
	ck_assert_int_eq(result->exit_code, code);
	ck_assert_str_eq(result->out.data, out);
	hutch_result_free(result);
	hutch_process_free(process);
}

static void expect_state(enum hutch_sandbox_state state)
{
	ck_assert_str_eq(hutch_sandbox_state_name((int)hutch_sandbox_state(sandbox)), hutch_sandbox_state_name((int)state));
}

static void wait_for_state(enum hutch_sandbox_state state, int64_t patience_ms)
{
	for (int64_t end = now_ms() + patience_ms; hutch_sandbox_state(sandbox) != state && now_ms() < end;)
		hutch_dispatch(h, 50, &err);
	expect_state(state);
}

static uint32_t exec_detached(const char *script)
{
	uint32_t id;
	OK(hutch_sandbox_exec_detached(sandbox, &HUTCH_COMMAND(.argv = shell(script)), &id, &err));
	return id;
}

static struct hutch_process *process_of(uint32_t id)
{
	struct hutch_process *process;
	OK(hutch_sandbox_process(sandbox, id, &process, &err));
	return process;
}

/* What the list says of this sandbox; false: nothing. */
static bool find_listed(const char *id, struct hutch_listing *ret)
{
	struct hutch_listing *list;
	size_t count;
	bool found = false;
	OK(hutch_list(h, &list, &count, &err));
	for (size_t i = 0; i < count; i++)
		if (strcmp(list[i].id, id) == 0) {
			*ret = list[i];
			ret->command = ret->labels = NULL;
			found = true;
		}
	hutch_list_free(list, count);
	return found;
}

/* ---- other processes ---- */

static pid_t spawn(int out, const char *const *argv)
{
	pid_t pid = fork();
	if (pid != 0)
		return pid;
	if (out >= 0)
		dup2(out, 1);
	execv("/proc/self/exe", (char *const *)(uintptr_t)argv);
	_exit(99);
}

static pid_t spawn_client(int out, const char *verb, const char *id, const char *script)
{
	const char *const argv[] = {"lib_kept", "--client", verb, id, script, NULL};
	return spawn(out, argv);
}

static int status_of(pid_t pid)
{
	int status;
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int client_exec(struct hutch_sandbox *where, const char *script)
{
	struct hutch_process *process;
	struct hutch_result *result;
	if (hutch_sandbox_exec(where, &HUTCH_COMMAND(.argv = shell(script)), &process, &err) < 0 || hutch_process_result(process, 20000, &result, &err) < 0)
		return 98;
	printf("%s", result->out.data);
	fflush(stdout);
	int code = result->returncode;
	hutch_result_free(result);
	return code;
}

static int client_main(char **argv)
{
	struct hutch *own;
	struct hutch_sandbox *where;
	if (hutch_new(&own, &err) < 0)
		return 96;
	if (strcmp(argv[0], "start") == 0) {
		hutch_sandbox_run(own, &HUTCH_SPEC(.detached = true, .name = argv[1], .workspace = argv[2], .workspace_access = HUTCH_ACCESS_COW), NULL, &where, &err);
		sleep(20);
		return 0;
	}
	if (hutch_sandbox_from_id(own, argv[1], &where, &err) < 0) {
		fprintf(stderr, "%s\n", err.message);
		return 97;
	}
	int code = 0;
	if (strcmp(argv[0], "many") == 0)
		for (unsigned i = 0; i < 30 && code == 0; i++)
			code = client_exec(where, argv[2]);
	else
		code = client_exec(where, argv[2]);
	hutch_free(own);
	return code;
}

static void expect_client(const char *id, const char *script, int code, const char *out)
{
	char got[256] = "";
	int ends[2];
	ck_assert_int_eq(pipe(ends), 0);
	pid_t pid = spawn_client(ends[1], "exec", id, script);
	close(ends[1]);
	ssize_t size = 0, more;
	while ((more = read(ends[0], got + size, sizeof got - 1 - (size_t)size)) > 0)
		size += more;
	close(ends[0]);
	ck_assert_int_eq(status_of(pid), code);
	ck_assert_str_eq(got, out);
}

/* ---- start, exec, results ---- */

START_TEST(without_main)
{
	struct hutch_listing listing;
	start(NULL);
	expect_state(HUTCH_SANDBOX_RUNNING);
	ck_assert_ptr_null(hutch_sandbox_main(sandbox));
	expect("echo hi; exit 4", 4, "hi\n");
	expect("echo $$ > /tmp/f; cat /tmp/f | wc -l", 0, "1\n");
	expect("wc -l < /tmp/f", 0, "1\n"); /* the files stay */
	ck_assert(find_listed(hutch_sandbox_id(sandbox), &listing));
	ck_assert_int_eq((int)listing.state, HUTCH_SANDBOX_RUNNING);
	ck_assert_int_gt(listing.supervisor, 1);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG | __WALL), -1); /* no child of ours */
	ck_assert_int_eq(errno, ECHILD);
}
END_TEST

START_TEST(with_main)
{
	struct hutch_result *result;
	struct hutch_process *process;
	struct hutch_listing listing;
	char id[40];
	start("sleep 0.3; exit 7");
	snprintf(id, sizeof id, "%s", hutch_sandbox_id(sandbox));
	ck_assert_int_eq(hutch_sandbox_wait_until_complete(sandbox, 10, &result, &err), -HUTCH_E_TIMEOUT);
	OK(hutch_sandbox_wait_until_complete(sandbox, 10000, &result, &err));
	ck_assert_int_eq(result->exit_code, 7);
	ck_assert_str_eq(result->sandbox, id);
	hutch_result_free(result);
	expect_state(HUTCH_SANDBOX_COMPLETED);
	ck_assert_int_eq(hutch_sandbox_exec(sandbox, &HUTCH_COMMAND(.argv = shell("true")), &process, &err), -HUTCH_E_STATE);
	ck_assert(find_listed(id, &listing));
	ck_assert_int_eq((int)listing.state, HUTCH_SANDBOX_COMPLETED);
	hutch_sandbox_free(sandbox);
	OK(hutch_sandbox_from_id(h, id, &sandbox, &err)); /* later, too */
	expect_state(HUTCH_SANDBOX_COMPLETED);
	OK(hutch_sandbox_wait_until_complete(sandbox, 10000, &result, &err));
	ck_assert_int_eq(result->exit_code, 7);
	hutch_result_free(result);
	OK(hutch_sandbox_remove(sandbox, false, &err));
	ck_assert(!find_listed(id, &listing));
	hutch_sandbox_free(sandbox);
	ck_assert_int_eq(hutch_sandbox_from_id(h, id, &sandbox, &err), -HUTCH_E_NOT_FOUND);
	sandbox = NULL;
}
END_TEST

START_TEST(main_that_cannot_start)
{
	struct hutch_sandbox *failed;
	static const char *const argv[] = {"/does/not/exist", NULL};
	for (unsigned i = 0; i < 2; i++) { /* twice: the name is free again */
		ck_assert_int_eq(hutch_sandbox_run(h, &HUTCH_SPEC(.detached = true, .name = "kept-not-there"), &HUTCH_COMMAND(.argv = argv), &failed, &err), -HUTCH_E_NOT_FOUND);
		ck_assert_str_eq(err.stage, "exec");
		ck_assert_int_gt(strlen(err.hint), 0);
	}
	ck_assert_int_eq(hutch_sandbox_run(h, &HUTCH_SPEC(.detached = true, .workspace = "/does/not/exist"), NULL, &failed, &err), -HUTCH_E_INVALID);
	ck_assert_int_eq(hutch_sandbox_from_id(h, "kept-not-there", &failed, &err), -HUTCH_E_NOT_FOUND);
}
END_TEST

START_TEST(from_another_process)
{
	char prefix[8];
	static const char *const labels[] = {"a=b", NULL}, *const wrong[] = {"a", NULL};
	struct hutch_sandbox *refused;
	ck_assert_int_eq(hutch_sandbox_run(h, &HUTCH_SPEC(.detached = true, .labels = wrong, .labels_count = 1), NULL, &refused, &err), -HUTCH_E_INVALID);
	start_spec(&HUTCH_SPEC(.name = "kept-named", .labels = labels, .labels_count = 1), NULL);
	snprintf(prefix, sizeof prefix, "%.7s", hutch_sandbox_id(sandbox));
	expect_client(hutch_sandbox_id(sandbox), "echo by id; exit 3", 3, "by id\n");
	expect_client("kept-named", "echo by name", 0, "by name\n");
	expect_client(prefix, "echo by prefix; kill -9 $$", 137, "by prefix\n");
	expect("echo still here", 0, "still here\n");
}
END_TEST

START_TEST(clients_at_the_same_time)
{
	start(NULL);
	pid_t clients[3];
	int null = open("/dev/null", O_WRONLY);
	for (unsigned i = 0; i < 3; i++)
		clients[i] = spawn_client(null, "many", hutch_sandbox_id(sandbox), "test $$ -gt 1");
	struct hutch_process *mine[20];
	for (unsigned i = 0; i < 20; i++)
		mine[i] = exec_in(sandbox, "sleep 0.1; echo x");
	for (unsigned i = 0; i < 20; i++) {
		struct hutch_result *result = result_of(mine[i]);
		ck_assert_str_eq(result->out.data, "x\n");
		hutch_result_free(result);
	}
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(status_of(clients[i]), 0);
	close(null);
}
END_TEST

START_TEST(streams_and_terminals)
{
	struct hutch_process *process;
	struct hutch_event event;
	char got[64] = "";
	start(NULL);
	OK(hutch_sandbox_exec(sandbox, &HUTCH_COMMAND(.argv = shell("cat; echo end >&2"), .in = {HUTCH_IO_PIPE, -1}, STREAMED), &process, &err));
	ck_assert_int_eq(hutch_process_write_stdin(process, "abc", 3, &err), 3);
	while (strlen(got) < 3) {
		OK(hutch_process_next(process, 5000, &event, &err));
		ck_assert_int_eq((int)event.kind, HUTCH_EVENT_STDOUT);
		strncat(got, event.data, event.size);
	}
	ck_assert_str_eq(got, "abc");
	OK(hutch_process_close_stdin(process, &err));
	OK(hutch_process_next(process, 5000, &event, &err));
	ck_assert_int_eq((int)event.kind, HUTCH_EVENT_STDERR);
	OK(hutch_process_next(process, 5000, &event, &err));
	ck_assert_int_eq((int)event.kind, HUTCH_EVENT_EXIT);
	hutch_process_free(process);
	struct hutch_stream pty = {HUTCH_IO_PTY, -1};
	OK(hutch_sandbox_exec(sandbox, &HUTCH_COMMAND(.argv = shell("stty size; read x; stty size; exit 5"), .in = pty, .out = pty, .err = pty, .rows = 30, .columns = 90), &process, &err));
	while (hutch_process_state(process) == HUTCH_PROCESS_STARTING)
		hutch_dispatch(h, 1000, &err);
	int master = hutch_process_pty(process);
	ck_assert_int_ge(master, 0);
	char text[256] = "";
	size_t size = 0;
	bool resized = false;
	for (int64_t end = now_ms() + 5000; now_ms() < end && !strstr(text, "40 120");) {
		struct pollfd ready = {.fd = master, .events = POLLIN};
		hutch_dispatch(h, 0, &err);
		if (poll(&ready, 1, 100) <= 0)
			continue;
		ssize_t more = read(master, text + size, sizeof text - 1 - size);
		size += more > 0 ? (size_t)more : 0;
		if (!resized && strstr(text, "30 90")) {
			resized = true;
			OK(hutch_process_resize(process, 40, 120, &err));
			ck_assert_int_eq(write(master, "\n", 1), 1);
		}
	}
	ck_assert_msg(strstr(text, "40 120") != NULL, "%s", text);
	struct hutch_result *result = result_of(process);
	ck_assert_int_eq(result->exit_code, 5);
	hutch_result_free(result);
}
END_TEST

START_TEST(timeouts_and_kills)
{
	struct hutch_process *process;
	struct hutch_log_chunk chunk;
	uint32_t id;
	start(NULL);
	OK(hutch_sandbox_exec(sandbox, &HUTCH_COMMAND(.argv = shell("trap '' TERM; sleep 60"), .timeout_ms = 100, .grace_ms = 100), &process, &err));
	struct hutch_result *result = result_of(process);
	ck_assert_int_eq((int)result->outcome, HUTCH_OUTCOME_TIMEOUT);
	hutch_result_free(result);
	OK(hutch_sandbox_exec_detached(sandbox, &HUTCH_COMMAND(.argv = shell("setsid sleep 60 & sleep 60"), .timeout_ms = 100, .grace_ms = 100), &id, &err));
	result = result_of(process_of(id));
	ck_assert_int_eq((int)result->outcome, HUTCH_OUTCOME_TIMEOUT);
	hutch_result_free(result);
	id = exec_detached("trap '' TERM; echo ready; while :; do sleep 1; done");
	OK(hutch_process_log(process_of(id), 0, true, 5000, &chunk, &err));
	free(chunk.data);
	OK(hutch_process_signal(process_of(id), SIGTERM, &err));
	OK(hutch_process_kill(process_of(id), &err));
	result = result_of(process_of(id));
	ck_assert_int_eq((int)result->outcome, HUTCH_OUTCOME_KILLED);
	hutch_result_free(result);
	expect("echo ok", 0, "ok\n");
}
END_TEST

/* ---- states ---- */

START_TEST(stop_and_remove)
{
	struct hutch_process *process;
	struct hutch_listing listing;
	start("trap 'exit 3' TERM; while :; do sleep 0.05; done");
	ck_assert_int_eq(hutch_sandbox_remove(sandbox, false, &err), -HUTCH_E_STATE);
	struct hutch_process *stubborn = exec_in(sandbox, "trap '' TERM; sleep 60");
	expect("sleep 0.2", 0, ""); /* the traps are set */
	int64_t before = now_ms();
	OK(hutch_sandbox_stop(sandbox, 300, &err));
	ck_assert_int_lt(now_ms() - before, 2000);
	expect_state(HUTCH_SANDBOX_TERMINATED);
	struct hutch_result *result = result_of(hutch_sandbox_main(sandbox));
	ck_assert_int_eq((int)result->outcome, HUTCH_OUTCOME_KILLED);
	ck_assert_int_eq(result->exit_code, 3); /* the true status is kept */
	hutch_result_free(result);
	result = result_of(stubborn);
	ck_assert_int_eq(result->signal, SIGKILL);
	hutch_result_free(result);
	ck_assert_int_eq(hutch_sandbox_exec(sandbox, &HUTCH_COMMAND(.argv = shell("true")), &process, &err), -HUTCH_E_STATE);
	ck_assert(find_listed(hutch_sandbox_id(sandbox), &listing));
	ck_assert_int_eq((int)listing.state, HUTCH_SANDBOX_TERMINATED);
	OK(hutch_sandbox_stop(sandbox, 300, &err)); /* again is no error */
	OK(hutch_sandbox_remove(sandbox, false, &err));
	ck_assert(!find_listed(hutch_sandbox_id(sandbox), &listing));
}
END_TEST

START_TEST(pausing)
{
	start(NULL);
	uint32_t id = exec_detached("i=0; while :; do i=$((i+1)); echo $i > /tmp/count; done");
	OK(hutch_sandbox_suspend(sandbox, true, &err));
	expect_state(HUTCH_SANDBOX_PAUSED);
	struct hutch_process *refused;
	ck_assert_int_eq(hutch_sandbox_exec(sandbox, &HUTCH_COMMAND(.argv = shell("true")), &refused, &err), -HUTCH_E_STATE);
	OK(hutch_sandbox_suspend(sandbox, false, &err));
	expect_state(HUTCH_SANDBOX_RUNNING);
	ck_assert_int_eq((int)hutch_process_state(process_of(id)), HUTCH_PROCESS_RUNNING);
}
END_TEST

START_TEST(lifetime)
{
	start_spec(&HUTCH_SPEC(.lifetime_ms = 400), NULL);
	OK(hutch_sandbox_extend(sandbox, 1000, -1, &err));
	usleep(500000);
	expect("echo there", 0, "there\n");
	wait_for_state(HUTCH_SANDBOX_TERMINATED, 3000);
}
END_TEST

START_TEST(idle_timeout)
{
	start_spec(&HUTCH_SPEC(.idle_timeout_ms = 400), NULL);
	for (unsigned i = 0; i < 3; i++) {
		usleep(200000);
		expect("sleep 0.1", 0, "");
	}
	expect("sleep 0.6", 0, ""); /* while a command runs, it is not idle */
	expect_state(HUTCH_SANDBOX_RUNNING);
	wait_for_state(HUTCH_SANDBOX_TERMINATED, 1500);
}
END_TEST

/* ---- names ---- */

START_TEST(names)
{
	struct hutch_sandbox *second;
	static const char *const bad[] = {"../x", "a/b", "a\nb", "", ".x", "A", "0123456789ab"};
	char longest[4097];
	memset(longest, 'a', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	start_spec(&HUTCH_SPEC(.name = "kept-twice"), NULL);
	ck_assert_int_eq(hutch_sandbox_run(h, &HUTCH_SPEC(.detached = true, .name = "kept-twice"), NULL, &second, &err), -HUTCH_E_BUSY);
	OK(hutch_sandbox_remove(sandbox, true, &err));
	hutch_sandbox_free(sandbox);
	start_spec(&HUTCH_SPEC(.name = "kept-twice"), NULL);
	for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
		ck_assert_int_eq(hutch_sandbox_run(h, &HUTCH_SPEC(.detached = true, .name = bad[i]), NULL, &second, &err), -HUTCH_E_INVALID);
		ck_assert_int_lt(hutch_sandbox_from_id(h, bad[i], &second, &err), 0);
	}
	ck_assert_int_eq(hutch_sandbox_run(h, &HUTCH_SPEC(.detached = true, .name = longest), NULL, &second, &err), -HUTCH_E_INVALID);
	ck_assert_int_eq(hutch_sandbox_from_id(h, longest, &second, &err), -HUTCH_E_INVALID);
	ck_assert_int_eq(hutch_sandbox_from_id(h, NULL, &second, &err), -HUTCH_E_INVALID);
}
END_TEST

/* ---- logs ---- */

/* Everything from `offset` on; *ret_dropped what was not there any more. */
static size_t read_log(struct hutch_process *process, uint64_t offset, bool follow, char *to, size_t capacity, uint64_t *ret_dropped)
{
	struct hutch_log_chunk chunk;
	size_t size = 0;
	int ret;
	*ret_dropped = 0;
	while ((ret = hutch_process_log(process, offset, follow, 20000, &chunk, &err)) > 0) {
		*ret_dropped += chunk.dropped;
		ck_assert_uint_eq(chunk.offset, offset + chunk.dropped);
		ck_assert_int_gt(chunk.time_ms, INT64_C(1600000000000));
		if (to) {
			ck_assert_uint_lt(size + chunk.size, capacity);
			memcpy(to + size, chunk.data, chunk.size);
		}
		size += chunk.size;
		offset = chunk.offset + chunk.size;
		free(chunk.data);
	}
	OK(ret);
	if (to)
		to[size] = '\0';
	return size;
}

START_TEST(logs_from_start_middle_and_end)
{
	char text[256];
	uint64_t dropped;
	struct hutch_log_chunk chunk;
	start("echo from main");
	read_log(hutch_sandbox_main(sandbox), 0, true, text, sizeof text, &dropped);
	ck_assert_str_eq(text, "from main\n");
	OK(hutch_sandbox_remove(sandbox, true, &err));
	hutch_sandbox_free(sandbox);
	start(NULL);
	uint32_t id = exec_detached("echo one; sleep 0.3; echo two >&2; sleep 0.3; echo three");
	struct hutch_process *process = process_of(id);
	ck_assert_int_eq(hutch_process_log(process, 1000, true, 150, &chunk, &err), -HUTCH_E_TIMEOUT); /* and from the start again */
	read_log(process, 0, true, text, sizeof text, &dropped); /* while it runs */
	ck_assert_str_eq(text, "one\ntwo\nthree\n");
	read_log(process, 5, false, text, sizeof text, &dropped); /* after the end, from the middle of a chunk */
	ck_assert_str_eq(text, "wo\nthree\n");
	ck_assert_int_eq(hutch_process_log(process, 4, false, 0, &chunk, &err), 1);
	ck_assert_int_eq((int)chunk.stream, HUTCH_EVENT_STDERR);
	free(chunk.data);
	ck_assert_uint_eq(read_log(process, 14, true, text, sizeof text, &dropped), 0);
	char name[40];
	snprintf(name, sizeof name, "%s", hutch_sandbox_id(sandbox));
	hutch_sandbox_free(sandbox);
	OK(hutch_sandbox_from_id(h, name, &sandbox, &err)); /* another handle */
	read_log(process_of(id), 0, false, text, sizeof text, &dropped);
	ck_assert_str_eq(text, "one\ntwo\nthree\n");
	ck_assert_int_eq(hutch_sandbox_process(sandbox, 4711, &process, &err), -HUTCH_E_NOT_FOUND);
}
END_TEST

START_TEST(logs_are_bounded)
{
	char *text = malloc(32u << 20);
	uint64_t dropped;
	start(NULL);
	struct hutch_process *process = process_of(exec_detached("head -c 50000000 /dev/zero; echo the end"));
	struct hutch_result *result = result_of(process);
	ck_assert_int_eq(result->exit_code, 0);
	hutch_result_free(result);
	size_t size = read_log(process, 0, true, text, 32u << 20, &dropped);
	ck_assert_uint_eq(size + dropped, 50000008);
	ck_assert_uint_ge(size, 8u << 20 >> 1);
	ck_assert_uint_le(size, 16u << 20);
	ck_assert_str_eq(text + size - 8, "the end\n");
	free(text);
}
END_TEST

START_TEST(detached_goes_on_without_its_client)
{
	uint64_t dropped;
	char text[64];
	start(NULL);
	char name[40];
	snprintf(name, sizeof name, "%s", hutch_sandbox_id(sandbox));
	uint32_t id = exec_detached("sleep 0.4; echo done");
	uint32_t server = exec_detached("echo background; sleep 0.1 & exit 0");
	hutch_sandbox_free(sandbox);
	OK(hutch_sandbox_from_id(h, name, &sandbox, &err));
	read_log(process_of(id), 0, true, text, sizeof text, &dropped);
	ck_assert_str_eq(text, "done\n");
	read_log(process_of(server), 0, true, text, sizeof text, &dropped);
	ck_assert_str_eq(text, "background\n");
}
END_TEST

/* ---- deaths ---- */

/* A pipe whose write end something in the sandbox holds: EOF says that it is dead. */
static int hold_pipe(struct hutch_process **ret, const char *script)
{
	int ends[2];
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	OK(hutch_sandbox_exec(sandbox, &HUTCH_COMMAND(.argv = shell(script), .out = {HUTCH_IO_FD, ends[1]}), ret, &err));
	close(ends[1]);
	return ends[0];
}

static bool ends_within(int fd, int timeout_ms)
{
	char byte;
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	return poll(&ready, 1, timeout_ms) == 1 && read(fd, &byte, 1) == 0;
}

START_TEST(client_dies)
{
	int ends[2];
	char line[16];
	struct hutch_process *process;
	start(NULL);
	int mine = hold_pipe(&process, "sleep 60");
	ck_assert_int_eq(pipe(ends), 0);
	pid_t client = spawn_client(-1, "exec", hutch_sandbox_id(sandbox), "echo $$ > /tmp/pid; (setsid sleep 61 &); trap '' TERM; sleep 61; sleep 61");
	close(ends[1]);
	close(ends[0]);
	expect("while ! test -s /tmp/pid; do sleep 0.02; done", 0, "");
	kill(client, SIGKILL);
	ck_assert_int_eq(status_of(client), 137);
	expect("for i in 1 2 3 4 5 6 7 8 9 10; do grep -lq [6]1 /proc/[0-9]*/cmdline 2>/dev/null || exit 0; sleep 0.1; done; exit 1", 0, "");
	ck_assert(!ends_within(mine, 0)); /* others' commands live */
	snprintf(line, sizeof line, "ok\n");
	expect("echo ok", 0, line);
	close(mine);
}
END_TEST

START_TEST(what_it_is)
{
	struct hutch_sandbox_info *info;
	struct hutch_sandbox *attached;
	OK(hutch_sandbox_run(h, &HUTCH_SPEC(.as_root = true), NULL, &attached, &err));
	ck_assert_int_eq(hutch_sandbox_info(attached, &info, &err), -HUTCH_E_STATE);
	hutch_sandbox_free(attached);
	start_spec(&HUTCH_SPEC(.name = "info-of", .idle_timeout_ms = 60000, .limits.pids = 50, .mounts = (const struct hutch_mount[]){{.source = "/usr/share"}}, .mounts_count = 1), NULL);
	OK(hutch_sandbox_info(sandbox, &info, &err));
	ck_assert_str_eq(info->spec->name, "info-of");
	ck_assert_uint_eq(info->spec->uid, 1000);
	ck_assert_uint_eq(info->spec->mounts_count, 1);
	ck_assert_str_eq(info->spec->mounts[0].source, "/usr/share");
	ck_assert_uint_eq(info->spec->limits.pids, 50);
	ck_assert_int_eq(info->has_range, geteuid() == 0);
	ck_assert_uint_eq(info->commands, 0);
	ck_assert_int_eq(info->lifetime_left_ms, -1);
	ck_assert(info->idle_left_ms > 50000 && info->idle_left_ms <= 60000);
	ck_assert_int_eq(kill((pid_t)info->supervisor, SIGKILL), 0);
	hutch_sandbox_info_free(info);
	hutch_sandbox_info_free(NULL);
	ck_assert_int_eq(hutch_sandbox_info(sandbox, &info, &err), -HUTCH_E_GONE);
	ck_assert_int_eq((int)hutch_sandbox_changes(sandbox, NULL, NULL, &err), -HUTCH_E_GONE);
	ck_assert_int_eq((int)hutch_sandbox_save(sandbox, "/nonexistent/x", &err), -HUTCH_E_GONE);
	OK(hutch_sandbox_remove(sandbox, true, &err));
	hutch_sandbox_free(sandbox);
	sandbox = NULL;
}
END_TEST

START_TEST(supervisor_dies)
{
	struct hutch_process *process;
	struct hutch_listing listing;
	char id[40];
	start_spec(&HUTCH_SPEC(.name = "kept-orphan"), "sleep 60");
	snprintf(id, sizeof id, "%s", hutch_sandbox_id(sandbox));
	int held = hold_pipe(&process, "(setsid sh -c 'trap \"\" TERM; sleep 60; sleep 60' &); sleep 60");
	exec_detached("echo kept; sleep 60");
	expect("sleep 0.1", 0, "");
	ck_assert(find_listed(id, &listing));
	kill((pid_t)listing.supervisor, SIGKILL);
	ck_assert(ends_within(held, 2000));
	close(held);
	struct hutch_result *result = result_of(process); /* of our own command it is known */
	ck_assert_int_eq((int)result->outcome, HUTCH_OUTCOME_KILLED);
	hutch_result_free(result);
	ck_assert_int_eq(hutch_sandbox_wait_until_complete(sandbox, 1000, &result, &err), -HUTCH_E_GONE);
	expect_state(HUTCH_SANDBOX_FAILED);
	ck_assert(find_listed(id, &listing));
	ck_assert_int_eq((int)listing.state, HUTCH_SANDBOX_FAILED);
	ck_assert_int_eq(listing.supervisor, 0);
	hutch_sandbox_free(sandbox);
	OK(hutch_sandbox_from_id(h, "kept-orphan", &sandbox, &err)); /* what is left of it */
	expect_state(HUTCH_SANDBOX_FAILED);
	char text[64];
	uint64_t dropped;
	read_log(process_of(3), 0, true, text, sizeof text, &dropped);
	ck_assert_str_eq(text, "kept\n");
	ck_assert_int_ge(hutch_gc(h, &err), 1);
	ck_assert(!find_listed(id, &listing));
	hutch_sandbox_free(sandbox);
	start_spec(&HUTCH_SPEC(.name = "kept-orphan"), NULL); /* the name is free */
}
END_TEST

START_TEST(supervisor_is_told_to_go)
{
	struct hutch_listing listing;
	start("sleep 60");
	ck_assert(find_listed(hutch_sandbox_id(sandbox), &listing));
	kill((pid_t)listing.supervisor, SIGTERM);
	wait_for_state(HUTCH_SANDBOX_TERMINATED, 3000);
	for (unsigned i = 0; i < 100 && kill((pid_t)listing.supervisor, 0) == 0; i++)
		usleep(20000);
	ck_assert(find_listed(hutch_sandbox_id(sandbox), &listing));
	ck_assert_int_eq((int)listing.state, HUTCH_SANDBOX_TERMINATED);
	hutch_dispatch(h, 0, &err);
	char id[40];
	snprintf(id, sizeof id, "%s", hutch_sandbox_id(sandbox));
	hutch_sandbox_free(sandbox);
	OK(hutch_sandbox_from_id(h, id, &sandbox, &err));
	OK(hutch_sandbox_remove(sandbox, false, &err));
	ck_assert(!find_listed(id, &listing));
}
END_TEST

/* ---- copies on disk ---- */

static bool is_somewhere_below(const char *directory, const char *id)
{
	struct stat st;
	int dir = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	bool is_there = dir >= 0 && fstatat(dir, id, &st, AT_SYMLINK_NOFOLLOW) == 0;
	close(dir);
	return is_there;
}

static void state_directory(const char *kind, char path[PATH_MAX])
{
	if (geteuid() == 0)
		snprintf(path, PATH_MAX, "/var/lib/hutch/%s", kind);
	else
		snprintf(path, PATH_MAX, "%s/.local/state/hutch/%s", getenv("HOME"), kind);
}

START_TEST(copies_are_removed)
{
	char work[64] = "/tmp/hutch-kept-XXXXXX", upper[PATH_MAX], logs[PATH_MAX];
	ck_assert_ptr_nonnull(mkdtemp(work));
	state_directory("upper", upper);
	state_directory("logs", logs);
	start_spec(&HUTCH_SPEC(.workspace = work, .workspace_access = HUTCH_ACCESS_COW), NULL);
	expect("echo x > file; mkdir -p a/b; echo y > a/b/c; chmod 0 a/b", 0, "");
	ck_assert_int_eq(hutch_sandbox_changes(sandbox, NULL, NULL, &err), 4);
	ck_assert(is_somewhere_below(upper, hutch_sandbox_id(sandbox)) && is_somewhere_below(logs, hutch_sandbox_id(sandbox)));
	OK(hutch_sandbox_stop(sandbox, 100, &err));
	ck_assert_int_eq(hutch_sandbox_changes(sandbox, NULL, NULL, &err), 4); /* can still be seen */
	OK(hutch_sandbox_remove(sandbox, false, &err));
	ck_assert(!is_somewhere_below(upper, hutch_sandbox_id(sandbox)) && !is_somewhere_below(logs, hutch_sandbox_id(sandbox)));
	hutch_sandbox_free(sandbox);
	struct hutch_listing listing;
	start_spec(&HUTCH_SPEC(.workspace = work, .workspace_access = HUTCH_ACCESS_COW), NULL); /* and the hard way */
	expect("echo x > file", 0, "");
	ck_assert(find_listed(hutch_sandbox_id(sandbox), &listing));
	kill((pid_t)listing.supervisor, SIGKILL);
	wait_for_state(HUTCH_SANDBOX_FAILED, 2000);
	usleep(100000);
	ck_assert(is_somewhere_below(upper, listing.id));
	OK(hutch_gc(h, &err));
	ck_assert(!is_somewhere_below(upper, listing.id) && !is_somewhere_below(logs, listing.id));
	rmdir(work);
}
END_TEST

/* Those that are called kept-cut-N: kills their supervisors, or removes them, and remembers the ids. Returns how many. */
static unsigned end_cut(bool kill_supervisor, char ids[][40], unsigned *seen)
{
	struct hutch_listing *list;
	size_t count;
	unsigned found = 0;
	OK(hutch_list(h, &list, &count, &err));
	for (size_t i = 0; i < count; i++) {
		struct hutch_sandbox *cut;
		if (strncmp(list[i].name, "kept-cut", 8) != 0)
			continue;
		found++;
		snprintf(ids[(*seen)++ % 100], 40, "%s", list[i].id);
		if (kill_supervisor && list[i].supervisor > 1)
			kill((pid_t)list[i].supervisor, SIGKILL);
		else if (!kill_supervisor && hutch_sandbox_from_id(h, list[i].id, &cut, &err) == 0) {
			hutch_sandbox_remove(cut, true, &err);
			hutch_sandbox_free(cut);
		}
	}
	hutch_list_free(list, count);
	return found;
}

START_TEST(killed_while_starting)
{
	static char ids[100][40];
	char work[64] = "/tmp/hutch-kept-XXXXXX", name[32], upper[PATH_MAX], logs[PATH_MAX];
	unsigned seen = 0;
	ck_assert_ptr_nonnull(mkdtemp(work));
	for (unsigned i = 0; i < 40; i++) {
		snprintf(name, sizeof name, "kept-cut-%u", i);
		pid_t client = spawn_client(-1, "start", name, work);
		usleep(500 + i * 400);
		if (i % 2)
			end_cut(true, ids, &seen); /* the supervisor */
		kill(client, SIGKILL);             /* ... or the one that waits for it */
		status_of(client);
	}
	unsigned left = 1;
	for (int64_t end = now_ms() + 10000; left > 0 && now_ms() < end; usleep(20000)) {
		left = end_cut(false, ids, &seen);
		hutch_gc(h, &err);
	}
	ck_assert_uint_eq(left, 0);
	state_directory("upper", upper);
	state_directory("logs", logs);
	for (unsigned i = 0; i < seen && i < 100; i++)
		ck_assert(!is_somewhere_below(upper, ids[i]) && !is_somewhere_below(logs, ids[i]));
	ck_assert_int_eq(rmdir(work), 0);
}
END_TEST

/* ---- clients that lie ---- */

static void run_directory(char path[PATH_MAX])
{
	struct stat st;
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	snprintf(path, PATH_MAX, "/run/hutch");
	if (geteuid() == 0)
		return;
	snprintf(path, PATH_MAX, "%s/hutch", runtime ? runtime : "/nowhere");
	if (stat(path, &st) == 0)
		return;
	snprintf(path, PATH_MAX, "/run/user/%u/hutch", (unsigned)geteuid());
	if (stat(path, &st) < 0)
		snprintf(path, PATH_MAX, "%s/.local/state/hutch/run", getenv("HOME"));
}

static int connect_raw(void)
{
	char directory[PATH_MAX];
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	run_directory(directory);
	snprintf(address.sun_path, sizeof address.sun_path, "%.60s/%.20s/ctl", directory, hutch_sandbox_id(sandbox));
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	ck_assert_msg(connect(fd, (const struct sockaddr *)&address, sizeof address) == 0, "%s: %s", address.sun_path, strerror(errno));
	return fd;
}

/* As in plan/message.h. */
struct raw_message {
	uint32_t type, id;
	int32_t a, b;
	uint32_t stage, item;
	uint64_t value, user_us, system_us;
	char detail[80];
};

static int greet_raw(void)
{
	struct raw_message message = {.type = 64, .item = 1, .value = 1};
	int fd = connect_raw();
	ck_assert_int_eq(send(fd, &message, sizeof message, 0), sizeof message);
	ck_assert_int_eq(recv(fd, &message, sizeof message, 0), sizeof message); /* its descriptor is dropped by the kernel */
	ck_assert_uint_eq(message.type, 96);
	return fd;
}

static void send_fds(int fd, const void *data, size_t size, int what, unsigned count)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(253 * sizeof(int))];
	} control = {0};
	struct iovec vec = {(void *)(uintptr_t)data, size};
	struct msghdr header = {.msg_iov = &vec, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = CMSG_SPACE(count * sizeof(int))};
	struct cmsghdr *part = CMSG_FIRSTHDR(&header);
	part->cmsg_level = SOL_SOCKET;
	part->cmsg_type = SCM_RIGHTS;
	part->cmsg_len = CMSG_LEN(count * sizeof(int));
	for (unsigned i = 0; i < count; i++)
		memcpy(CMSG_DATA(part) + i * sizeof(int), &what, sizeof what);
	sendmsg(fd, &header, MSG_NOSIGNAL);
}

static bool is_closed(int fd)
{
	char bytes[256];
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	while (poll(&ready, 1, 3000) == 1) {
		ssize_t size = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
		if (size == 0 || (size < 0 && errno == ECONNRESET))
			return true;
		if (size < 0)
			return false;
	}
	return false;
}

static unsigned supervisor_fds(void)
{
	struct hutch_listing listing;
	char path[64];
	unsigned count = 0;
	ck_assert(find_listed(hutch_sandbox_id(sandbox), &listing));
	snprintf(path, sizeof path, "/proc/%d/fd", (int)listing.supervisor);
	DIR *dir = opendir(path);
	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

START_TEST(garbage)
{
	char junk[1000];
	start(NULL);
	unsigned before = supervisor_fds();
	memset(junk, 0xa5, sizeof junk);
	for (size_t size = 1; size <= sizeof junk; size += 37) {
		int fd = connect_raw(), greeted = greet_raw();
		send(fd, junk, size, MSG_NOSIGNAL);
		send(greeted, junk, size, MSG_NOSIGNAL);
		ck_assert(is_closed(fd));
		ck_assert(is_closed(greeted));
		close(fd);
		close(greeted);
	}
	for (uint32_t type = 0; type < 120; type++) { /* every type, with nonsense in it */
		struct raw_message message = {.type = type, .id = 4000000000u, .a = -5, .value = UINT64_MAX, .item = 9};
		int fd = greet_raw();
		if (type >= 70 && type <= 74) { /* would be obeyed, or may wait */
			close(fd);
			continue;
		}
		send(fd, &message, sizeof message, MSG_NOSIGNAL);
		send_fds(fd, &message, sizeof message, 0, 3);
		close(fd);
	}
	expect("echo ok", 0, "ok\n");
	ck_assert_uint_eq(supervisor_fds(), before);
}
END_TEST

START_TEST(many_descriptors)
{
	start(NULL);
	unsigned before = supervisor_fds();
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	for (unsigned i = 0; i < 200; i++) {
		struct raw_message message = {.type = i % 2 ? 66 : 3, .id = 7, .item = 1};
		int fd = i % 4 < 2 ? greet_raw() : connect_raw();
		send_fds(fd, &message, i % 8 == 7 ? 5 : sizeof message, null, 253);
		ck_assert(is_closed(fd));
		close(fd);
	}
	close(null);
	expect("echo ok", 0, "ok\n");
	ck_assert_uint_eq(supervisor_fds(), before);
}
END_TEST

START_TEST(client_that_never_reads)
{
	struct raw_message message = {.type = 67, .id = 99, .item = 1}; /* asks for what is not there */
	start(NULL);
	int fd = greet_raw();
	const struct timeval patience = {.tv_sec = 2};
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	unsigned sent = 0;
	while (sent < 20000 && send(fd, &message, sizeof message, MSG_NOSIGNAL) == sizeof message)
		sent++;
	ck_assert_uint_lt(sent, 20000); /* dropped */
	expect("echo ok", 0, "ok\n");
	close(fd);
}
END_TEST

START_TEST(too_many_connections)
{
	int fds[100];
	start(NULL);
	unsigned before = supervisor_fds();
	for (unsigned i = 0; i < 100; i++)
		fds[i] = connect_raw();
	ck_assert(is_closed(fds[99]));
	expect("echo ok", 0, "ok\n");
	for (unsigned i = 0; i < 100; i++)
		close(fds[i]);
	expect("sleep 0.1", 0, "");
	ck_assert_uint_eq(supervisor_fds(), before);
	expect_client(hutch_sandbox_id(sandbox), "echo again", 0, "again\n");
}
END_TEST

/* A process in the sandbox has the same uid, and here even the socket: it lives in another user namespace. */
START_TEST(connection_from_inside)
{
	static const char script[] =
		"import socket,glob,sys\n"
		"n=0\n"
		"for path in glob.glob('/rundir/*/ctl'):\n"
		"    s=socket.socket(socket.AF_UNIX,socket.SOCK_SEQPACKET)\n"
		"    s.settimeout(5)\n"
		"    try:\n"
		"        s.connect(path); n+=1\n"
		"        s.send(b'\\x40'+b'\\0'*23+b'\\x01'+b'\\0'*103)\n"
		"        print('TALKED' if s.recv(128) else 'closed')\n"
		"    except OSError as e: print('closed')\n"
		"print('tried' if n else 'none')\n";
	const char *argv[] = {"python3", "-c", script, NULL};
	char directory[PATH_MAX];
	struct hutch_process *process;
	if (access("/usr/bin/python3", X_OK) != 0) {
		fprintf(stderr, "skipped: connection_from_inside: needs /usr/bin/python3\n");
		return;
	}
	start(NULL); /* makes the run directory */
	struct hutch_sandbox *outer = sandbox;
	run_directory(directory);
	const struct hutch_mount mount = {.kind = HUTCH_MOUNT_HOST, .access = HUTCH_ACCESS_RW, .source = directory, .target = "/rundir"};
	start_spec(&HUTCH_SPEC(.mounts = &mount, .mounts_count = 1), NULL);
	OK(hutch_sandbox_exec(sandbox, &HUTCH_COMMAND(.argv = argv), &process, &err));
	struct hutch_result *result = result_of(process);
	ck_assert_msg(result->exit_code == 0 && !strstr(result->out.data, "TALKED") && strstr(result->out.data, "tried"), "%s%s", result->out.data, result->err.data);
	hutch_result_free(result);
	OK(hutch_sandbox_remove(outer, true, &err));
}
END_TEST

/* ---- many ---- */

START_TEST(many_sandboxes)
{
	struct hutch_sandbox *many[20];
	struct hutch_listing listing;
	for (unsigned i = 0; i < 20; i++)
		OK(hutch_sandbox_run(h, &HUTCH_SPEC(.detached = true), NULL, &many[i], &err));
	for (unsigned i = 0; i < 20; i++) {
		sandbox = many[i];
		expect("echo x", 0, "x\n");
	}
	for (unsigned i = 0; i < 20; i++) {
		OK(hutch_sandbox_remove(many[i], true, &err));
		ck_assert(!find_listed(hutch_sandbox_id(many[i]), &listing));
	}
	sandbox = NULL;
}
END_TEST

START_TEST(local_ones_refuse_what_needs_a_supervisor)
{
	uint32_t id;
	struct hutch_log_chunk chunk;
	OK(hutch_sandbox_run(h, NULL, NULL, &sandbox, &err));
	struct hutch_process *process = exec_in(sandbox, "true");
	ck_assert_int_eq(hutch_sandbox_remove(sandbox, true, &err), -HUTCH_E_STATE);
	ck_assert_int_eq(hutch_sandbox_extend(sandbox, 1, 1, &err), -HUTCH_E_STATE);
	ck_assert_int_eq(hutch_sandbox_exec_detached(sandbox, &HUTCH_COMMAND(.argv = shell("true")), &id, &err), -HUTCH_E_STATE);
	ck_assert_int_eq(hutch_process_log(process, 0, false, 0, &chunk, &err), -HUTCH_E_STATE);
	hutch_result_free(result_of(process));
	expect_state(HUTCH_SANDBOX_RUNNING);
	OK(hutch_sandbox_stop(sandbox, 100, &err));
	expect_state(HUTCH_SANDBOX_TERMINATED);
	sandbox = NULL;
}
END_TEST

int main(int argc, char **argv)
{
	if (argc >= 5 && strcmp(argv[1], "--client") == 0)
		return client_main(argv + 2);
	Suite *suite = suite_create("kept");
	const struct {
		const char *name;
		const TTest *tests[10];
	} cases[] = {
		{"start", {without_main, with_main, main_that_cannot_start, from_another_process, clients_at_the_same_time, streams_and_terminals, timeouts_and_kills}},
		{"states", {stop_and_remove, pausing, lifetime, idle_timeout, names}},
		{"logs", {logs_from_start_middle_and_end, logs_are_bounded, detached_goes_on_without_its_client}},
		{"deaths", {client_dies, supervisor_dies, what_it_is, supervisor_is_told_to_go, copies_are_removed, killed_while_starting}},
		{"lies", {garbage, many_descriptors, client_that_never_reads, too_many_connections, connection_from_inside}},
		{"more", {many_sandboxes, local_ones_refuse_what_needs_a_supervisor}},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		TCase *tcase = tcase_create(cases[i].name);
		tcase_set_timeout(tcase, 60);
		tcase_add_checked_fixture(tcase, set_up, tear_down);
		for (size_t j = 0; j < 10 && cases[i].tests[j]; j++)
			tcase_add_test(tcase, cases[i].tests[j]);
		suite_add_tcase(suite, tcase);
	}
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
