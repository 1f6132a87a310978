/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The owner dies, without a chance to say goodbye: everything that it started is gone soon after. At any moment of a
 * start, with children that ignore all signals and have sessions of their own, and also when a forked child of the owner
 * holds every descriptor open. This process is the reaper of orphans: what it can wait for still existed.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <hutch/hutch.h>

#include "helpers.h"

#define ROUNDS  200
#define SOON_MS 2000
#define START_MS 30000

static const char stubborn[] = "i=1; while [ $i -lt 65 ]; do trap '' $i 2>/dev/null; i=$((i+1)); done; setsid sleep 1000 & (setsid sh -c 'sleep 1000 & sleep 1000' &); "
                               "echo up; while :; do sleep 1; done";

/* Between this process and the owner. */
static struct {
	volatile int begun;   /* it is about to start a sandbox */
	volatile int running; /* the payload has spoken */
	volatile pid_t holder;
	long holder_us;       /* when the holder shall be forked; -1: none */
} *shared;

static void set_up(void)
{
	ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(shared, MAP_FAILED);
}

/* A child of the owner that has nothing to do with us: it keeps all of the owner's descriptors. */
static void *fork_holder(void *arg)
{
	sleep_us(shared->holder_us);
	pid_t pid = fork();
	if (pid == 0) {
		shared->holder = getpid();
		for (;;)
			pause();
	}
	return arg;
}

_Noreturn static void owner(void)
{
	const char *const argv[] = {"sh", "-c", stubborn, NULL};
	struct hutch *h;
	struct hutch_sandbox *sandbox;
	pthread_t thread;
	if (hutch_new(&h, NULL) < 0)
		_exit(1);
	if (shared->holder_us >= 0 && pthread_create(&thread, NULL, fork_holder, NULL) != 0)
		_exit(1);
	shared->begun = 1;
	if (hutch_sandbox_run(h, NULL, &HUTCH_COMMAND(.argv = argv), &sandbox, NULL) < 0)
		_exit(2);
	for (;;) { /* what has happened already does not happen again */
		if (hutch_process_state(hutch_sandbox_main(sandbox)) == HUTCH_PROCESS_RUNNING)
			shared->running = 1;
		if (hutch_process_state(hutch_sandbox_main(sandbox)) == HUTCH_PROCESS_ENDED)
			_exit(4);
		if (hutch_dispatch(h, -1, NULL) < 0)
			_exit(3);
	}
}

/* Milliseconds until every process but the holder is gone, or -1 after SOON_MS. */
static double time_until_gone(pid_t own)
{
	double begin = now_ms();
	bool owner_seen = false;
	for (;;) {
		int status;
		pid_t pid = waitpid(-1, &status, __WALL | WNOHANG);
		if (pid == own) {
			owner_seen = true;
			ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the owner ended by itself: %d", status);
		}
		if (pid > 0)
			continue;
		/* the holder alone is left, or nothing */
		bool holder = shared->holder > 0 && kill(shared->holder, 0) == 0;
		char text[256] = "";
		FILE *file = fopen("/proc/thread-self/children", "re");
		ck_assert_ptr_nonnull(file);
		if (!fgets(text, sizeof text, file))
			text[0] = '\0';
		fclose(file);
		int children = 0;
		for (char *at = text; *at; at++)
			children += *at == ' ';
		if (owner_seen && children == holder)
			return now_ms() - begin;
		if (now_ms() - begin > SOON_MS) {
			fprintf(stderr, "left: %s(holder %d)\n", text, (int)shared->holder);
			return -1;
		}
		sleep_us(200);
	}
}

static void round_of(long kill_us, long holder_us, bool when_running, double *worst)
{
	memset(shared, 0, sizeof *shared);
	shared->holder_us = holder_us;
	pid_t pid = fork();
	if (pid == 0)
		owner();
	ck_assert_int_gt(pid, 0);
	double begin = now_ms();
	while (!(when_running ? shared->running : shared->begun)) {
		int status;
		ck_assert_msg(waitpid(pid, &status, WNOHANG) == 0, "the owner ended by itself: %d", status);
		ck_assert_msg(now_ms() - begin < START_MS, "the sandbox does not start");
		sleep_us(50);
	}
	sleep_us(kill_us);
	kill(pid, SIGKILL);
	double ms = time_until_gone(pid);
	if (shared->holder > 0) {
		kill(shared->holder, SIGKILL);
		waitpid(shared->holder, NULL, 0);
	}
	ck_assert_msg(ms >= 0, "killed after %ld us (holder at %ld us): something is left after %d ms", kill_us, holder_us, SOON_MS);
	if (ms > *worst)
		*worst = ms;
}

START_TEST(while_it_runs)
{
	double worst = 0;
	for (int i = 0; i < 10; i++)
		round_of(20000 * i, -1, true, &worst);
	fprintf(stderr, "measured: all gone at most %.1f ms after the owner\n", worst);
}
END_TEST

START_TEST(a_child_of_the_owner_holds_the_socket)
{
	double worst = 0;
	for (int i = 0; i < 10; i++)
		round_of(150000, 100000, true, &worst);
	fprintf(stderr, "measured: with a holder, all gone at most %.1f ms after the owner\n", worst);
}
END_TEST

START_TEST(at_any_moment_of_the_start)
{
	double worst = 0;
	srand(42);
	for (int i = 0; i < ROUNDS; i++)
		round_of(rand() % 10000, -1, false, &worst);
	fprintf(stderr, "measured: %d rounds, at most %.1f ms\n", ROUNDS, worst);
}
END_TEST

START_TEST(at_any_moment_with_a_holder)
{
	double worst = 0;
	srand(43);
	for (int i = 0; i < ROUNDS; i++) {
		long at = rand() % 6000;
		round_of(at + rand() % 300, at, false, &worst);
	}
	fprintf(stderr, "measured: %d rounds with a holder, at most %.1f ms\n", ROUNDS, worst);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("owner");
	TCase *tests = tcase_create("owner");
	tcase_set_timeout(tests, 300);
	tcase_add_checked_fixture(tests, set_up, NULL);
	tcase_add_test(tests, while_it_runs);
	tcase_add_test(tests, a_child_of_the_owner_holds_the_socket);
	tcase_add_test(tests, at_any_moment_of_the_start);
	tcase_add_test(tests, at_any_moment_with_a_holder);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
