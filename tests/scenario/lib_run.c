/* SPDX-License-Identifier: Apache-2.0 */
/* One command, its result, and everything that can be wrong with a request; several at once; ends of every kind. */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "lib.h"

static bool has_warning(const struct hutch_result *result, const char *word)
{
	for (char **warning = result->warnings; *warning; warning++)
		if (strstr(*warning, word))
			return true;
	return false;
}

/* ---- results ---- */

START_TEST(every_field)
{
	const char *const argv[] = {"sh", "-c", "echo out; echo err >&2; exit 3", NULL};
	struct hutch_result *result = run(&HUTCH_SPEC(.limits.pids = 77), &HUTCH_COMMAND(.argv = argv, .timeout_ms = 50000));
	ck_assert_int_eq((int)result->outcome, HUTCH_OUTCOME_EXITED);
	ck_assert(result->started);
	ck_assert_int_eq(result->exit_code, 3);
	ck_assert_int_eq(result->signal, 0);
	ck_assert_int_eq(result->returncode, 3);
	ck_assert_int_eq(result->error.code, 0);
	ck_assert_str_eq(result->command[0], "sh");
	ck_assert_str_eq(result->command[2], argv[2]);
	ck_assert_ptr_null(result->command[3]);
	ck_assert(result->out.captured && result->err.captured && !result->out.truncated && !result->err.truncated);
	ck_assert_str_eq(result->out.data, "out\n");
	ck_assert_uint_eq(result->out.size, 4);
	ck_assert_uint_eq(result->out.total_bytes, 4);
	ck_assert_str_eq(result->err.data, "err\n");
	ck_assert(result->wall_ms > 0 && result->wall_ms < 20000);
	ck_assert(result->user_ms >= 0 && result->system_ms >= 0);
	bool has_memory = false; /* where it is not counted, it is not told either */
	for (size_t i = 0; i < result->limits_enforced_count; i++)
		has_memory |= strcmp(result->limits_enforced[i].name, "pids") == 0 && strcmp(result->limits_enforced[i].by, "cgroup") == 0;
	ck_assert(has_memory ? result->memory_peak_bytes > 0 : result->memory_peak_bytes == -1);
	ck_assert_str_ne(result->sandbox, "");
	ck_assert_str_ne(result->id, "");
	bool pids = false, timeout = false;
	for (size_t i = 0; i < result->limits_enforced_count; i++) {
		pids |= strcmp(result->limits_enforced[i].name, "pids") == 0 && result->limits_enforced[i].value == 77;
		timeout |= strcmp(result->limits_enforced[i].name, "timeout") == 0 && result->limits_enforced[i].value == 50000;
	}
	ck_assert(pids && timeout);
	hutch_result_free(result);
	hutch_result_free(NULL);
}
END_TEST

START_TEST(defaults_inside)
{
	struct hutch_result *result = run_sh("id -u; id -g; pwd; env | sort; cat; hostname 2>/dev/null || cat /proc/sys/kernel/hostname; ls /proc/self/fd | wc -l");
	ck_assert_str_eq(result->out.data, "1000\n1000\n/home/sandbox\nHOME=/home/sandbox\nLANG=C.UTF-8\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nPWD=/home/sandbox\nUSER=sandbox\nhutch\n4\n");
	hutch_result_free(result);
	result = run(&HUTCH_SPEC(.as_root = true), &HUTCH_COMMAND(.argv = SH("id -u; pwd")));
	ck_assert_str_eq(result->out.data, "0\n/root\n");
	hutch_result_free(result);
	const char *const env[] = {"A=1", "PATH=/bin", "A=2", NULL};
	result = run(NULL, &HUTCH_COMMAND(.argv = SH("echo $A $PATH"), .env = env, .cwd = "/tmp"));
	ck_assert_str_eq(result->out.data, "2 /bin\n");
	hutch_result_free(result);
}
END_TEST

static const struct {
	const char *command;
	enum hutch_outcome outcome;
	int exit_code, signal, returncode;
} ends[] = {
	{"exit 0", HUTCH_OUTCOME_EXITED, 0, 0, 0},
	{"exit 255", HUTCH_OUTCOME_EXITED, 255, 0, 255},
	{"exit 124", HUTCH_OUTCOME_EXITED, 124, 0, 124},
	{"kill -9 $$", HUTCH_OUTCOME_SIGNALED, -1, SIGKILL, 137},
	{"kill -TERM $$", HUTCH_OUTCOME_SIGNALED, -1, SIGTERM, 143},
	{"kill -SEGV $$", HUTCH_OUTCOME_SIGNALED, -1, SIGSEGV, 139},
	{"sh -c 'kill -9 $$'; exit 7", HUTCH_OUTCOME_EXITED, 7, 0, 7},
};

START_TEST(ends_of_commands)
{
	struct hutch_result *result = run_sh(ends[_i].command);
	ck_assert_str_eq(hutch_outcome_name((int)result->outcome), hutch_outcome_name((int)ends[_i].outcome));
	ck_assert_int_eq(result->exit_code, ends[_i].exit_code);
	ck_assert_int_eq(result->signal, ends[_i].signal);
	ck_assert_int_eq(result->returncode, ends[_i].returncode);
	hutch_result_free(result);
}
END_TEST

static const struct {
	const char *argv0, *cwd;
	int code, returncode, sys_errno;
	const char *stage;
} never[] = {
	{"no-such-command", NULL, HUTCH_E_NOT_FOUND, 127, ENOENT, "exec"},
	{"/no/such/command", NULL, HUTCH_E_NOT_FOUND, 127, ENOENT, "exec"},
	{"/usr", NULL, HUTCH_E_NOT_EXECUTABLE, 126, EACCES, "exec"},
	{"/etc/passwd", NULL, HUTCH_E_NOT_EXECUTABLE, 126, EACCES, "exec"},
	{"true", "/no/such/directory", HUTCH_E_CWD, 125, ENOENT, "cwd"},
	{"true", "/etc/passwd", HUTCH_E_CWD, 125, ENOTDIR, "cwd"},
};

START_TEST(commands_that_do_not_start)
{
	struct hutch_result *result = run(NULL, &HUTCH_COMMAND(.argv = ARGV(never[_i].argv0), .cwd = never[_i].cwd));
	ck_assert_int_eq((int)result->outcome, HUTCH_OUTCOME_NOT_STARTED);
	ck_assert(!result->started);
	ck_assert_str_eq(hutch_error_code_name(result->error.code), hutch_error_code_name(never[_i].code));
	ck_assert_int_eq(result->error.sys_errno, never[_i].sys_errno);
	ck_assert_str_eq(result->error.stage, never[_i].stage);
	ck_assert_str_ne(result->error.message, "");
	ck_assert_str_ne(result->error.hint, "");
	ck_assert_int_eq(result->returncode, never[_i].returncode);
	ck_assert_int_eq(result->exit_code, -1);
	hutch_result_free(result);
}
END_TEST

START_TEST(an_argument_list_that_is_too_long)
{
	char *big = malloc(3 << 20);
	memset(big, 'x', (3 << 20) - 1);
	big[(3 << 20) - 1] = '\0';
	struct hutch_result *result = run(NULL, &HUTCH_COMMAND(.argv = ARGV("true", big)));
	ck_assert_int_eq(result->error.code, HUTCH_E_NOT_EXECUTABLE);
	ck_assert_int_eq(result->error.sys_errno, E2BIG);
	ck_assert_int_eq(result->returncode, 126);
	hutch_result_free(result);
	free(big);
}
END_TEST

START_TEST(check_makes_failure_an_error)
{
	struct hutch_result *result = NULL;
	struct hutch_sandbox *sandbox = start(NULL, &HUTCH_COMMAND(.argv = SH("echo x; exit 4"), .check = true));
	ck_assert_int_eq(hutch_sandbox_wait_until_complete(sandbox, -1, &result, &err), -HUTCH_E_EXECUTION);
	ck_assert_int_eq(err.code, HUTCH_E_EXECUTION);
	ck_assert_ptr_nonnull(result);
	ck_assert_int_eq(result->exit_code, 4);
	ck_assert_str_eq(result->out.data, "x\n");
	hutch_result_free(result);
	hutch_sandbox_free(sandbox);
	sandbox = start(NULL, &HUTCH_COMMAND(.argv = ARGV("true"), .check = true));
	ck_assert_int_eq(hutch_sandbox_wait_until_complete(sandbox, -1, &result, &err), 0);
	hutch_result_free(result);
	/* it can be asked again */
	ck_assert_int_eq(hutch_sandbox_wait_until_complete(sandbox, 0, &result, &err), 0);
	hutch_result_free(result);
	hutch_sandbox_free(sandbox);
}
END_TEST

START_TEST(waiting_has_a_time_of_its_own)
{
	struct hutch_result *result = NULL;
	struct hutch_sandbox *sandbox = start(NULL, &HUTCH_COMMAND(.argv = SH("sleep 0.5; echo done")));
	double before = now_ms();
	ck_assert_int_eq(hutch_sandbox_wait_until_complete(sandbox, 50, &result, &err), -HUTCH_E_TIMEOUT);
	ck_assert(now_ms() - before < 50 + LATE_MS);
	ck_assert_ptr_null(result);
	ck_assert_int_eq(hutch_sandbox_wait_until_complete(sandbox, 0, &result, NULL), -HUTCH_E_TIMEOUT);
	ck_assert_int_eq(hutch_sandbox_wait_until_complete(sandbox, INT64_MAX, &result, &err), 0);
	ck_assert_str_eq(result->out.data, "done\n");
	hutch_result_free(result);
	hutch_sandbox_free(sandbox);
}
END_TEST

START_TEST(times_beyond_all_time)
{
	struct hutch_result *result = run(&HUTCH_SPEC(.lifetime_ms = UINT64_MAX), &HUTCH_COMMAND(.argv = SH("sleep 0.1"), .timeout_ms = UINT64_MAX, .grace_ms = UINT64_MAX));
	ck_assert_int_eq((int)result->outcome, HUTCH_OUTCOME_EXITED);
	hutch_result_free(result);
}
END_TEST

/* ---- wrong requests ---- */

/* With the controller in cgroup v2 a limit may be held, or not, as the caller was started. */
static bool may_limit_memory(void)
{
	char controllers[256] = "";
	FILE *file = fopen("/sys/fs/cgroup/cgroup.controllers", "re");
	if (!file)
		return false;
	bool found = fgets(controllers, sizeof controllers, file) && strstr(controllers, "memory");
	fclose(file);
	return found;
}

START_TEST(wrong_requests_start_nothing)
{
	static const struct hutch_mount missing = {.source = "/no/such/place", .target = "/x"}, proc = {.source = "/", .target = "//proc"};
	static const char *const argv[] = {"true", NULL};
	const struct {
		struct hutch_spec spec;
		struct hutch_command command;
		int code;
	} wrong[] = {
		{HUTCH_SPEC(.net = (enum hutch_net)9), HUTCH_COMMAND(.argv = argv), HUTCH_E_INVALID},
		{HUTCH_SPEC(.mounts = &missing, .mounts_count = 1), HUTCH_COMMAND(.argv = argv), HUTCH_E_INVALID},
		{HUTCH_SPEC(.mounts = &proc, .mounts_count = 1), HUTCH_COMMAND(.argv = argv), HUTCH_E_INVALID},
		{HUTCH_SPEC(.workspace = "/no/such/place"), HUTCH_COMMAND(.argv = argv), HUTCH_E_INVALID},
		{HUTCH_SPEC(.workspace = "/etc/passwd"), HUTCH_COMMAND(.argv = argv), HUTCH_E_INVALID},
		{HUTCH_SPEC(.root = HUTCH_ROOT_DIRECTORY, .rootfs = "/"), HUTCH_COMMAND(.argv = argv), HUTCH_E_INVALID},
		{HUTCH_SPEC(.seccomp = HUTCH_SECCOMP_FILE, .seccomp_file = "/no/such/file"), HUTCH_COMMAND(.argv = argv), HUTCH_E_INVALID},
		{HUTCH_SPEC(.limits.memory_bytes = 1 << 20), HUTCH_COMMAND(.argv = argv), HUTCH_E_UNENFORCEABLE},
		{{.size = 1}, HUTCH_COMMAND(.argv = argv), HUTCH_E_INVALID},
		{HUTCH_SPEC(.net = HUTCH_NET_NONE), HUTCH_COMMAND(.argv = NULL), HUTCH_E_INVALID},
		{HUTCH_SPEC(.net = HUTCH_NET_NONE), HUTCH_COMMAND(.argv = argv, .out = {HUTCH_IO_FD, 999}), HUTCH_E_INVALID},
		{HUTCH_SPEC(.net = HUTCH_NET_NONE), HUTCH_COMMAND(.argv = argv, .cwd = "x"), HUTCH_E_INVALID},
	};
	unsigned fds = count_fds();
	bool has_memory = may_limit_memory();
	for (int i = 0; i < COUNT(wrong); i++) {
		struct hutch_sandbox *sandbox = NULL;
		if (has_memory && wrong[i].code == HUTCH_E_UNENFORCEABLE)
			continue;
		int ret = hutch_sandbox_run(h, &wrong[i].spec, &wrong[i].command, &sandbox, &err);
		ck_assert_msg(ret == -wrong[i].code, "%d: %d (%s)", i, ret, ret < 0 ? err.message : "");
		ck_assert_ptr_null(sandbox);
		ck_assert_str_eq(err.stage, wrong[i].command.out.io == HUTCH_IO_FD ? err.stage : "plan");
		ck_assert_int_eq(hutch_sandbox_run(h, &wrong[i].spec, &wrong[i].command, &sandbox, NULL), ret);
		ck_assert_int_eq(child_of(getpid()), 0);
	}
	ck_assert_uint_le(count_fds(), fds + 3); /* kept for the next: the directory of our cgroups, and two for its holder */
	struct hutch_result *result = run_sh("exit 5"); /* the handle is as good as before */
	ck_assert_int_eq(result->exit_code, 5);
	hutch_result_free(result);
}
END_TEST

START_TEST(a_terminal_is_not_handed_in)
{
	struct hutch_sandbox *sandbox = NULL;
	int master, terminal;
	ck_assert_int_eq(openpty(&master, &terminal, NULL, NULL, NULL), 0);
	ck_assert_int_eq(hutch_sandbox_run(h, NULL, &HUTCH_COMMAND(.argv = ARGV("true"), .out = {HUTCH_IO_FD, terminal}), &sandbox, &err), -HUTCH_E_INVALID);
	ck_assert_int_eq(hutch_sandbox_run(h, NULL, &HUTCH_COMMAND(.argv = ARGV("true"), .in = {HUTCH_IO_FD, terminal}), &sandbox, &err), -HUTCH_E_INVALID);
	ck_assert_ptr_nonnull(strstr(err.message, "terminal"));
	close(master);
	close(terminal);
}
END_TEST

START_TEST(plan_text)
{
	char *text = NULL;
	ck_assert_int_eq(hutch_plan_text(h, &HUTCH_SPEC(.net = HUTCH_NET_NONE), &HUTCH_COMMAND(.argv = ARGV("ls", "-l")), &text, &err), 0);
	static const char *const words[] = {"clone:", "maps:", "mounts:", "masks:", "dev:", "pivot:", "hostname:", "landlock:", "keyring:", "seccomp:", "rlimits:", "cwd:", "exec: ls -l", "nested-userns:"};
	for (int i = 0; i < COUNT(words); i++)
		ck_assert_msg(strstr(text, words[i]), "no \"%s\" in the plan", words[i]);
	ck_assert_int_eq(child_of(getpid()), 0);
	free(text);
	ck_assert_int_lt(hutch_plan_text(h, &HUTCH_SPEC(.net = (enum hutch_net)9), &HUTCH_COMMAND(.argv = ARGV("ls")), &text, &err), 0);
}
END_TEST

/* ---- several ---- */

START_TEST(several_at_once)
{
	enum { MANY = 12 };
	struct hutch_sandbox *sandboxes[MANY];
	char text[MANY][64];
	for (int i = 0; i < MANY; i++) {
		snprintf(text[i], sizeof text[i], "echo begin %d; sleep 0.%d; exit %d", i, i % 5, i);
		sandboxes[i] = start(NULL, &HUTCH_COMMAND(.argv = SH(text[i])));
		for (int j = 0; j < i; j++)
			ck_assert_str_ne(hutch_sandbox_id(sandboxes[i]), hutch_sandbox_id(sandboxes[j]));
	}
	for (int i = MANY - 1; i >= 0; i--) { /* waiting for one drives all */
		struct hutch_result *result = finish(sandboxes[i]);
		ck_assert_int_eq(result->exit_code, i);
		snprintf(text[i], sizeof text[i], "begin %d\n", i);
		ck_assert_str_eq(result->out.data, text[i]);
		hutch_result_free(result);
		hutch_sandbox_free(sandboxes[i]);
	}
}
END_TEST

/* A program with a loop of its own: nothing but poll on the descriptor, and dispatch that does not wait. */
START_TEST(poll_alone_drives_everything)
{
	struct hutch_sandbox *late = start(NULL, &HUTCH_COMMAND(.argv = SH("trap '' TERM; echo x; sleep 100"), .timeout_ms = 300, .grace_ms = 200));
	struct hutch_sandbox *early = start(NULL, &HUTCH_COMMAND(.argv = SH("head -c 300000 /dev/zero")));
	double begin = now_ms();
	unsigned wakes = 0;
	while (hutch_process_state(hutch_sandbox_main(late)) != HUTCH_PROCESS_ENDED || hutch_process_state(hutch_sandbox_main(early)) != HUTCH_PROCESS_ENDED) {
		struct pollfd fd = {.fd = hutch_fd(h), .events = POLLIN};
		int ready = poll(&fd, 1, 10000);
		ck_assert_msg(ready == 1, "the descriptor stays silent");
		ck_assert_int_ge(hutch_dispatch(h, 0, &err), 0);
		wakes++;
		ck_assert_msg(now_ms() - begin < 10000, "no end");
	}
	ck_assert_uint_lt(wakes, 2000); /* no busy loop */
	struct hutch_result *result = finish(late);
	ck_assert_int_eq((int)result->outcome, HUTCH_OUTCOME_TIMEOUT);
	ck_assert_str_eq(result->out.data, "x\n");
	hutch_result_free(result);
	result = finish(early);
	ck_assert_uint_eq(result->out.size, 300000);
	hutch_result_free(result);
	/* nothing left to do: silent */
	struct pollfd fd = {.fd = hutch_fd(h), .events = POLLIN};
	unsigned strays = 0; /* a deadline that is none any more may wake us once */
	for (begin = now_ms(); now_ms() - begin < 300 && strays < 20;)
		if (poll(&fd, 1, 50) == 1) {
			strays++;
			ck_assert_int_ge(hutch_dispatch(h, 0, &err), 0);
		}
	if (strays > 0)
		fprintf(stderr, "measured: %u wakes with nothing to do\n", strays);
	ck_assert_uint_lt(strays, 20);
	hutch_sandbox_free(late);
	hutch_sandbox_free(early);
}
END_TEST

/* ---- ends ---- */

START_TEST(free_in_the_middle)
{
	unsigned fds = count_fds();
	for (int i = 0; i < 30; i++) {
		struct hutch_sandbox *sandbox = start(NULL, &HUTCH_COMMAND(.argv = SH("setsid sleep 100 & yes")));
		hutch_dispatch(h, i, &err);
		hutch_sandbox_free(sandbox);
		ck_assert_int_eq(child_of(getpid()), 0);
	}
	hutch_dispatch(h, 0, &err);
	ck_assert_uint_le(count_fds(), fds + 4); /* kept: init's image, the directory of our cgroups, and two for its holder */
	hutch_sandbox_free(NULL);
}
END_TEST

START_TEST(free_with_live_sandboxes)
{
	unsigned fds = count_fds();
	struct hutch *other;
	struct hutch_sandbox *sandboxes[5];
	ck_assert_int_eq(hutch_new(&other, &err), 0);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(hutch_sandbox_run(other, NULL, &HUTCH_COMMAND(.argv = SH("sleep 100")), &sandboxes[i], &err), 0);
	ck_assert_int_gt(child_of(getpid()), 0);
	hutch_free(other);
	ck_assert_int_eq(child_of(getpid()), 0);
	ck_assert_uint_eq(count_fds(), fds);
	hutch_free(NULL);
}
END_TEST

START_TEST(background_children_are_killed)
{
	double begin = now_ms();
	struct hutch_result *result = run_sh("(setsid sleep 100; echo late) & echo out; exit 6");
	ck_assert_int_eq(result->exit_code, 6);
	ck_assert_str_eq(result->out.data, "out\n");
	ck_assert(now_ms() - begin < 20000);
	ck_assert_int_eq(child_of(getpid()), 0);
	hutch_result_free(result);
}
END_TEST

START_TEST(background_children_may_stay)
{
	struct hutch_result *result = run(NULL, &HUTCH_COMMAND(.argv = SH("(setsid sh -c 'sleep 0.5; echo late') & echo out; exit 6"), .on_exit = HUTCH_ON_EXIT_LEAVE));
	ck_assert_int_eq(result->exit_code, 6);
	ck_assert_str_eq(result->out.data, "out\nlate\n");
	hutch_result_free(result);
}
END_TEST

START_TEST(signals_and_kills)
{
	struct hutch_sandbox *sandbox = start(NULL, &HUTCH_COMMAND(.argv = SH("trap 'echo got; exit 9' USR1; echo ready; while :; do sleep 0.05; done")));
	struct hutch_process *process = hutch_sandbox_main(sandbox);
	while (hutch_process_state(process) == HUTCH_PROCESS_STARTING)
		ck_assert_int_ge(hutch_dispatch(h, 1000, &err), 0);
	sleep_us(300000);
	ck_assert_int_eq(hutch_process_signal(process, 0, &err), -HUTCH_E_INVALID);
	ck_assert_int_eq(hutch_process_signal(process, 65, &err), -HUTCH_E_INVALID);
	ck_assert_int_eq(hutch_process_signal(process, SIGUSR1, &err), 0);
	struct hutch_result *result = finish(sandbox);
	ck_assert_int_eq(result->exit_code, 9);
	ck_assert_str_eq(result->out.data, "ready\ngot\n");
	ck_assert_int_eq(hutch_process_signal(process, SIGUSR1, &err), -HUTCH_E_STATE);
	ck_assert_int_eq(hutch_process_kill(process, &err), -HUTCH_E_STATE);
	hutch_result_free(result);
	hutch_sandbox_free(sandbox);

	sandbox = start(NULL, &HUTCH_COMMAND(.argv = SH("trap '' TERM; sleep 100")));
	ck_assert_int_eq(hutch_process_kill(hutch_sandbox_main(sandbox), &err), 0);
	result = finish(sandbox);
	if (result->started)
		ck_assert_int_eq((int)result->outcome, HUTCH_OUTCOME_KILLED);
	hutch_result_free(result);
	hutch_sandbox_free(sandbox);

	sandbox = start(NULL, &HUTCH_COMMAND(.argv = SH("echo x; trap '' TERM; echo y; while :; do sleep 1; done"), .grace_ms = 300));
	process = hutch_sandbox_main(sandbox);
	while (hutch_process_state(process) == HUTCH_PROCESS_STARTING)
		ck_assert_int_ge(hutch_dispatch(h, 1000, &err), 0);
	sleep_us(300000);
	ck_assert_int_eq(hutch_process_terminate(process, &err), 0);
	result = finish(sandbox);
	ck_assert_int_eq((int)result->outcome, HUTCH_OUTCOME_KILLED);
	ck_assert_int_eq(result->signal, SIGKILL);
	ck_assert_str_eq(result->out.data, "x\ny\n");
	hutch_result_free(result);
	hutch_sandbox_free(sandbox);
}
END_TEST

START_TEST(suspended_and_continued)
{
	struct hutch_sandbox *sandbox = start(NULL, &HUTCH_COMMAND(.argv = SH("i=0; while [ $i -lt 10 ]; do echo $i; sleep 0.05; i=$((i+1)); done")));
	struct hutch_result *result = NULL;
	while (hutch_process_state(hutch_sandbox_main(sandbox)) == HUTCH_PROCESS_STARTING)
		ck_assert_int_ge(hutch_dispatch(h, 1000, &err), 0);
	ck_assert_int_eq(hutch_sandbox_suspend(sandbox, true, &err), 0);
	ck_assert_int_eq(hutch_sandbox_wait_until_complete(sandbox, 1500, &result, &err), -HUTCH_E_TIMEOUT);
	ck_assert_int_eq(hutch_sandbox_suspend(sandbox, false, &err), 0);
	result = finish(sandbox);
	ck_assert_str_eq(result->out.data, "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n");
	hutch_result_free(result);
	hutch_sandbox_free(sandbox);
}
END_TEST

/* Somebody kills init: everything in the sandbox is dead, and the result says so. */
START_TEST(init_killed_from_outside)
{
	for (int i = 0; i < 20; i++) {
		struct hutch_sandbox *sandbox = start(NULL, &HUTCH_COMMAND(.argv = SH("echo begin; sleep 100")));
		double begin = now_ms();
		if (i > 0)
			while (hutch_process_state(hutch_sandbox_main(sandbox)) == HUTCH_PROCESS_STARTING && hutch_dispatch(h, 1000, &err) >= 0)
				;
		pid_t init = child_of(getpid());
		ck_assert_int_gt(init, 0);
		ck_assert_int_eq(kill(init, SIGKILL), 0);
		struct hutch_result *result = finish(sandbox);
		ck_assert_msg(now_ms() - begin < 10000, "it hung");
		if (result->started) {
			ck_assert_int_eq((int)result->outcome, HUTCH_OUTCOME_KILLED);
			ck_assert_int_eq(result->signal, SIGKILL);
			ck_assert(has_warning(result, "init"));
		} else {
			ck_assert_int_eq(result->error.code, HUTCH_E_GONE);
		}
		ck_assert_int_ne(result->returncode, 0);
		hutch_result_free(result);
		ck_assert_int_eq(hutch_sandbox_suspend(sandbox, true, &err), -HUTCH_E_GONE);
		hutch_sandbox_free(sandbox);
	}
}
END_TEST

START_TEST(files_as_streams)
{
	char path[4200], data[64] = "";
	snprintf(path, sizeof path, "%s/f", make_directory());
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_eq((int)write(fd, "abc\n", 4), 4);
	ck_assert_int_eq(fchmod(fd, 0666), 0); /* as root, the sandbox opens it as somebody else */
	int in = open(path, O_RDONLY | O_CLOEXEC);
	int out = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	struct hutch_result *result = run(NULL, &HUTCH_COMMAND(.argv = SH("read a; echo \"<$a>\"; echo again > /dev/stdout; echo e >&2"), .in = {HUTCH_IO_FD, in}, .out = {HUTCH_IO_FD, out}, .err.io = HUTCH_IO_NULL));
	ck_assert_int_eq(result->exit_code, 0);
	ck_assert(!result->out.captured && !result->err.captured);
	ck_assert_ptr_null(result->out.data);
	ck_assert_int_eq(fcntl(in, F_GETFD), FD_CLOEXEC); /* still ours */
	ssize_t size = pread(fd, data, sizeof data - 1, 0);
	ck_assert_msg(size > 0 && strstr(data, "again\n"), "\"%s\"", data);
	hutch_result_free(result);
	close(in);
	close(out);
	close(fd);
	unlink(path);
	*strrchr(path, '/') = '\0';
	rmdir(path);
}
END_TEST

/* Programs keep output in files without a name. */
START_TEST(memory_files_as_streams)
{
	char data[64] = "";
	int in = memfd_create("in", MFD_CLOEXEC), out = memfd_create("out", MFD_CLOEXEC);
	ck_assert_int_eq((int)pwrite(in, "abc\n", 4, 0), 4);
	struct hutch_result *result = run(NULL, &HUTCH_COMMAND(.argv = ARGV("cat"), .in = {HUTCH_IO_FD, in}, .out = {HUTCH_IO_FD, out}));
	ck_assert_int_eq(result->exit_code, 0);
	ck_assert_int_eq((int)pread(out, data, sizeof data, 0), 4);
	ck_assert_str_eq(data, "abc\n");
	hutch_result_free(result);
	close(in);
	close(out);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lib_run");
	TCase *tests = tcase_create("run");
	tcase_set_timeout(tests, 120);
	tcase_add_checked_fixture(tests, lib_set_up, lib_tear_down);
	tcase_add_test(tests, every_field);
	tcase_add_test(tests, defaults_inside);
	tcase_add_loop_test(tests, ends_of_commands, 0, COUNT(ends));
	tcase_add_loop_test(tests, commands_that_do_not_start, 0, COUNT(never));
	tcase_add_test(tests, an_argument_list_that_is_too_long);
	tcase_add_test(tests, check_makes_failure_an_error);
	tcase_add_test(tests, waiting_has_a_time_of_its_own);
	tcase_add_test(tests, times_beyond_all_time);
	tcase_add_test(tests, wrong_requests_start_nothing);
	tcase_add_test(tests, a_terminal_is_not_handed_in);
	tcase_add_test(tests, plan_text);
	tcase_add_test(tests, several_at_once);
	tcase_add_test(tests, poll_alone_drives_everything);
	tcase_add_test(tests, free_in_the_middle);
	tcase_add_test(tests, free_with_live_sandboxes);
	tcase_add_test(tests, background_children_are_killed);
	tcase_add_test(tests, background_children_may_stay);
	tcase_add_test(tests, signals_and_kills);
	tcase_add_test(tests, suspended_and_continued);
	tcase_add_test(tests, init_killed_from_outside);
	tcase_add_test(tests, files_as_streams);
	tcase_add_test(tests, memory_files_as_streams);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
