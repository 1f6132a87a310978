/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The owner's side against an init that floods, repeats itself, lies or does not read, and a client's side against such
 * a supervisor: the peer is this program, at the other end of a socket pair.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "api/client.h"
#include "engine/engine.h"
#include "helpers.h"
#include "supervisor/server.h"

static struct hutch *h;
static struct hutch_sandbox *sandbox;
static struct server server;
static int peer;
static unsigned fds_before;

static void set_up(void)
{
	int ends[2];
	ck_assert_int_eq(hutch_new(&h, NULL), 0); /* the first one opens what libuv keeps for the process */
	hutch_free(h);
	fds_before = count_fds();
	ck_assert_int_eq(hutch_new(&h, NULL), 0);
	sandbox = sandbox_new(h, NULL, NULL);
	ck_assert_ptr_nonnull(sandbox);
	ck_assert_int_eq(channel_pair(ends, NULL), 0);
	peer = ends[1];
	ck_assert_int_eq(loop_watch(h, &sandbox->control, sandbox, ends[0], UV_READABLE, sandbox_control_ready), 0);
	server_init(&server);
	server.h = h;
	server.sandbox = sandbox;
}

static void tear_down(void)
{
	hutch_free(h);
	free(server.forwards);
	close(peer);
	ck_assert_uint_eq(count_fds(), fds_before);
}

static struct hutch_process *command(enum hutch_io io, uint64_t timeout_ms)
{
	static const char *const argv[] = {"true", NULL};
	const struct hutch_command settings = {.argv = argv, .in = {.io = io}, .timeout_ms = timeout_ms, .grace_ms = 10};
	struct hutch_process *process = process_new(sandbox, &settings, false, NULL);
	ck_assert_ptr_nonnull(process);
	loop_set_deadlines(h);
	return process;
}

static void say(enum message_type type, const struct hutch_process *process, int a)
{
	const struct message message = {.type = type, .id = process ? process->id : 0, .a = a};
	ck_assert_int_eq(channel_send(peer, &message, NULL, 0), 0);
}

static void say_with_fd(enum message_type type, const struct hutch_process *process)
{
	const struct message message = {.type = type, .id = process->id};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(channel_send(peer, &message, &null, 1), 0);
	close(null);
}

static void listen_to_it(void)
{
	while (hutch_dispatch(h, 0, NULL) > 0)
		;
}

static void assert_gone(void)
{
	ck_assert(sandbox->is_gone);
	ck_assert_int_eq(sandbox->why.code, HUTCH_E_GONE);
}

/* ---- floods ---- */

/* A peer that never stops: a process of its own, since a full socket would end it otherwise. */
static pid_t start_flood(const struct message *message)
{
	pid_t pid = fork();
	if (pid == 0) {
		fcntl(peer, F_SETFL, 0);
		while (channel_send(peer, message, NULL, 0) == 0)
			;
		_exit(0);
	}
	ck_assert_int_gt(pid, 0);
	return pid;
}

static void timeout_fires_in(const struct message *message)
{
	struct hutch_process *process = command(HUTCH_IO_DEFAULT, 100);
	pid_t pid = start_flood(message);
	double before = now_ms();
	while (process->force == FORCE_NONE && now_ms() - before < 5000)
		hutch_dispatch(h, 100, NULL);
	ck_assert_msg(process->force != FORCE_NONE, "the timeout has not fired");
	ck_assert_msg(now_ms() - before < 1500, "after %.0f ms", now_ms() - before);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

START_TEST(a_flood_does_not_keep_timeouts_from_firing)
{
	const struct message message = {.type = MESSAGE_STOPPED, .id = 4711};
	timeout_fires_in(&message);
}
END_TEST

START_TEST(nor_does_one_of_a_supervisor)
{
	const struct message message = {.type = WIRE_STATE, .a = HUTCH_SANDBOX_RUNNING};
	struct hutch_sandbox *client;
	int ends[2];
	ck_assert_int_eq(channel_pair(ends, NULL), 0);
	close(peer);
	peer = ends[1];
	ck_assert_int_eq(client_new(h, ends[0], NULL, &client, NULL), 0);
	sandbox = client;
	timeout_fires_in(&message);
}
END_TEST

static unsigned queued(void)
{
	struct message message;
	unsigned count = 0;
	int fd;
	while (channel_receive(sandbox->control.fd, &message, &fd) > 0)
		count++;
	return count;
}

START_TEST(one_turn_takes_a_fixed_number)
{
	const unsigned sent = MESSAGES_PER_TURN + 40;
	for (unsigned i = 0; i < sent; i++)
		say(MESSAGE_STOPPED, NULL, SIGSTOP);
	sandbox_control_ready(&sandbox->control);
	ck_assert_uint_eq(queued(), sent - MESSAGES_PER_TURN);
	ck_assert(!sandbox->is_gone);
}
END_TEST

START_TEST(last_words_beyond_a_turn_are_heard)
{
	struct hutch_process *process = command(HUTCH_IO_DEFAULT, 0);
	say(MESSAGE_STARTED, process, 0);
	for (unsigned i = 0; i < 2 * MESSAGES_PER_TURN; i++)
		say(MESSAGE_STOPPED, NULL, SIGSTOP);
	say(MESSAGE_EXITED, process, 7 << 8);
	shutdown(peer, SHUT_RDWR);
	listen_to_it();
	ck_assert(sandbox->is_gone && process->state == HUTCH_PROCESS_ENDED && !process->has_reason);
	ck_assert_int_eq(process->status, 7 << 8);
}
END_TEST

/* ---- what comes twice, or at the wrong time ---- */

START_TEST(ready_is_taken_once)
{
	const struct message message = {.type = MESSAGE_READY, .value = HUTCH_LAYER_LANDLOCK};
	for (unsigned i = 0; i < 50; i++)
		ck_assert_int_eq(channel_send(peer, &message, NULL, 0), 0);
	listen_to_it();
	ck_assert_uint_eq(sandbox->warnings_count, 1);
	assert_gone();
}
END_TEST

START_TEST(started_is_taken_once)
{
	struct hutch_process *process = command(HUTCH_IO_DEFAULT, 0);
	const struct message message = {.type = MESSAGE_STARTED, .id = process->id, .value = HUTCH_LAYER_CGROUP_NS};
	ck_assert_int_eq(channel_send(peer, &message, NULL, 0), 0);
	listen_to_it();
	ck_assert(!sandbox->is_gone && process->state == HUTCH_PROCESS_RUNNING);
	for (unsigned i = 0; i < 50; i++)
		ck_assert_int_eq(channel_send(peer, &message, NULL, 0), 0);
	listen_to_it();
	ck_assert_uint_eq(sandbox->warnings_count, 2); /* that of the layer, and that everything was killed */
	assert_gone();
}
END_TEST

START_TEST(what_has_started_cannot_fail_to_start)
{
	struct hutch_process *process = command(HUTCH_IO_DEFAULT, 0);
	struct hutch_result *result;
	say(MESSAGE_STARTED, process, 0);
	say(MESSAGE_NOT_STARTED, process, ENOENT);
	listen_to_it();
	assert_gone();
	ck_assert_int_eq(hutch_process_result(process, 0, &result, NULL), 0);
	ck_assert_msg(result->outcome == HUTCH_OUTCOME_KILLED && result->returncode != 0, "outcome %d, code %d", (int)result->outcome, result->returncode);
	hutch_result_free(result);
}
END_TEST

START_TEST(what_comes_after_the_end_is_ignored)
{
	struct hutch_process *process = command(HUTCH_IO_DEFAULT, 0);
	say(MESSAGE_STARTED, process, 0);
	say(MESSAGE_EXITED, process, 3 << 8);
	say(MESSAGE_STARTED, process, 0);
	say(MESSAGE_NOT_STARTED, process, ENOENT);
	say(MESSAGE_EXITED, process, 0);
	listen_to_it();
	ck_assert(!sandbox->is_gone && process->started && process->error.code == 0);
	ck_assert_int_eq(process->status, 3 << 8);
}
END_TEST

/* ---- terminals ---- */

START_TEST(a_terminal_that_was_asked_for)
{
	struct hutch_process *process = command(HUTCH_IO_PTY, 0);
	say_with_fd(MESSAGE_TERMINAL, process);
	say(MESSAGE_STARTED, process, 0);
	listen_to_it();
	ck_assert(!sandbox->is_gone && process->pty >= 0);
	say_with_fd(MESSAGE_TERMINAL, process);
	listen_to_it();
	assert_gone();
}
END_TEST

START_TEST(a_terminal_that_nobody_asked_for)
{
	struct hutch_process *process = command(HUTCH_IO_DEFAULT, 0);
	say_with_fd(MESSAGE_TERMINAL, process);
	listen_to_it();
	ck_assert_int_lt(process->pty, 0);
	assert_gone();
}
END_TEST

START_TEST(a_terminal_of_a_command_that_is_unknown)
{
	const struct hutch_process unknown = {.id = 4711};
	say_with_fd(MESSAGE_TERMINAL, &unknown);
	unsigned before = count_fds();
	listen_to_it();
	ck_assert_uint_eq(count_fds(), before);
	ck_assert(!sandbox->is_gone);
}
END_TEST

/* ---- an init that does not read ---- */

START_TEST(a_deaf_init_holds_nobody_up)
{
	for (unsigned i = 0; i < 256; i++)
		command(HUTCH_IO_DEFAULT, 0)->state = HUTCH_PROCESS_RUNNING;
	double before = now_ms();
	for (unsigned i = 0; i < 4; i++)
		for (struct hutch_process *process = sandbox->processes; process; process = process->next)
			process_stop(process);
	ck_assert_msg(now_ms() - before < CHANNEL_PATIENCE_MS + 500, "%.0f ms", now_ms() - before);
	ck_assert_int_ge(sandbox->patience.spent_ms, CHANNEL_PATIENCE_MS); /* the socket was full indeed */
}
END_TEST

START_TEST(an_init_that_is_slow_gets_everything)
{
	const struct message message = {.type = MESSAGE_SIGNAL, .id = 1, .a = SIGTERM};
	const unsigned count = 2000;
	pid_t pid = fork();
	if (pid == 0) {
		struct message got;
		fcntl(peer, F_SETFL, 0);
		sleep_us(100000);
		for (unsigned i = 0; i < count; i++)
			if (recv(peer, &got, sizeof got, 0) != (ssize_t)sizeof got)
				_exit(1);
		_exit(0);
	}
	for (unsigned i = 0; i < count; i++)
		ck_assert_int_eq(sandbox_send(sandbox, &message, NULL, 0), 0);
	int status;
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

/* ---- a supervisor's: whether it is empty, and clients' commands ---- */

/* A directory that looks like the cgroup of commands, as far as it is looked at. */
static void make_group(const char *events)
{
	const char *path = make_directory();
	sandbox->cgroups.dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	sandbox->cgroups.run = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = events ? openat(sandbox->cgroups.run, "cgroup.events", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;
	if (events)
		ck_assert_int_eq((int)write(fd, events, strlen(events)), (int)strlen(events));
	if (fd >= 0)
		close(fd);
}

static void drop_group(void)
{
	char link[64], path[4096];
	snprintf(link, sizeof link, "/proc/self/fd/%d", sandbox->cgroups.dir);
	ssize_t size = readlink(link, path, sizeof path - 1);
	ck_assert_int_gt((int)size, 0);
	path[size] = '\0';
	unlinkat(sandbox->cgroups.dir, "cgroup.events", 0);
	ck_assert_int_eq(rmdir(path), 0);
}

static enum stop_phase stop_after_empty(enum stop_phase stop, const char *events, bool *ret_believed)
{
	const struct message message = {.type = MESSAGE_EMPTY};
	if (events)
		make_group(events);
	server.stop = stop;
	sandbox->foreign_data = &server;
	*ret_believed = forward_from_init(sandbox, &message, -1);
	if (events)
		drop_group();
	return server.stop;
}

START_TEST(empty_is_believed_when_it_is_true)
{
	bool believed;
	ck_assert_int_eq(stop_after_empty(STOP_KILL, "populated 0\nfrozen 0\n", &believed), STOP_DONE);
	ck_assert(believed);
}
END_TEST

START_TEST(empty_is_a_lie_while_the_cgroup_is_populated)
{
	bool believed;
	ck_assert_int_eq(stop_after_empty(STOP_KILL, "populated 1\nfrozen 0\n", &believed), STOP_KILL);
	ck_assert(!believed);
}
END_TEST

START_TEST(empty_is_not_believed_if_it_cannot_be_read)
{
	bool believed;
	ck_assert_int_eq(stop_after_empty(STOP_KILL, "", &believed), STOP_KILL);
	ck_assert(!believed);
}
END_TEST

START_TEST(empty_means_nothing_unasked)
{
	static const enum stop_phase phases[] = {STOP_NONE, STOP_TERM, STOP_DONE};
	bool believed;
	for (int i = 0; i < COUNT(phases); i++)
		ck_assert_int_eq(stop_after_empty(phases[i], NULL, &believed), phases[i]);
	ck_assert_int_eq(stop_after_empty(STOP_KILL, NULL, &believed), STOP_DONE); /* without a cgroup, nothing is known */
}
END_TEST

START_TEST(a_lie_is_the_end_of_the_sandbox)
{
	make_group("populated 1\n");
	server.stop = STOP_KILL;
	sandbox->foreign = forward_from_init;
	sandbox->foreign_data = &server;
	say(MESSAGE_EMPTY, NULL, 0);
	int dir = dup(sandbox->cgroups.dir);
	listen_to_it();
	assert_gone();
	sandbox->cgroups.dir = dir;
	drop_group();
	cgroups_remove(&sandbox->cgroups);
	stop_tick(&server, loop_now_ms());
	ck_assert_int_eq(server.stop, STOP_DONE);
}
END_TEST

START_TEST(a_clients_command_starts_once)
{
	static const enum message_type again[] = {MESSAGE_STARTED, MESSAGE_NOT_STARTED, MESSAGE_TERMINAL};
	for (int i = 0; i < COUNT(again); i++) {
		struct message message = {.type = MESSAGE_STARTED, .id = 9};
		free(server.forwards);
		server.forwards = calloc(16, sizeof *server.forwards);
		server.forwards[0] = (struct forward){.id = 9, .client_id = 1, .leaf = LEAF_NONE, .kill_until_ms = NO_DEADLINE, .kill_at_ms = NO_DEADLINE};
		server.forwards_count = 1;
		sandbox->foreign_data = &server;
		ck_assert(forward_from_init(sandbox, &message, -1));
		message.type = again[i];
		ck_assert(!forward_from_init(sandbox, &message, -1));
		message.type = MESSAGE_EXITED;
		ck_assert(forward_from_init(sandbox, &message, -1));
		ck_assert_uint_eq(server.forwards_count, 0);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("owner");
	TCase *tests = tcase_create("owner");
	tcase_set_timeout(tests, 60);
	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_test(tests, a_flood_does_not_keep_timeouts_from_firing);
	tcase_add_test(tests, nor_does_one_of_a_supervisor);
	tcase_add_test(tests, one_turn_takes_a_fixed_number);
	tcase_add_test(tests, last_words_beyond_a_turn_are_heard);
	tcase_add_test(tests, ready_is_taken_once);
	tcase_add_test(tests, started_is_taken_once);
	tcase_add_test(tests, what_has_started_cannot_fail_to_start);
	tcase_add_test(tests, what_comes_after_the_end_is_ignored);
	tcase_add_test(tests, a_terminal_that_was_asked_for);
	tcase_add_test(tests, a_terminal_that_nobody_asked_for);
	tcase_add_test(tests, a_terminal_of_a_command_that_is_unknown);
	tcase_add_test(tests, a_deaf_init_holds_nobody_up);
	tcase_add_test(tests, an_init_that_is_slow_gets_everything);
	tcase_add_test(tests, empty_is_believed_when_it_is_true);
	tcase_add_test(tests, empty_is_a_lie_while_the_cgroup_is_populated);
	tcase_add_test(tests, empty_is_not_believed_if_it_cannot_be_read);
	tcase_add_test(tests, empty_means_nothing_unasked);
	tcase_add_test(tests, a_lie_is_the_end_of_the_sandbox);
	tcase_add_test(tests, a_clients_command_starts_once);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
