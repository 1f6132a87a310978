/* SPDX-License-Identifier: Apache-2.0 */
/* The program that uses the library: its size, its threads, its signals, descriptors and children are its own. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "lib.h"

#define THREADS 64
#define STARTS  20

/* ---- nothing changes ---- */

static volatile sig_atomic_t children_signals;

static void on_child(int signo)
{
	(void)signo;
	children_signals++;
}

static void read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);
	ck_assert_int_ge((int)got, 0);
	text[got] = '\0';
	close(fd);
}

/* Blocked, ignored and caught signals, as the kernel has them. */
static void signal_state(char *text, size_t size)
{
	char status[8192];
	read_text("/proc/self/status", status, sizeof status);
	const char *from = strstr(status, "SigBlk:"), *to = strstr(status, "CapInh:");
	ck_assert(from && to);
	snprintf(text, size, "%.*s", (int)(to - from), from);
}

START_TEST(a_hundred_runs_leave_no_trace)
{
	char before[512], after[512], where[4096], there[4096];
	struct sigaction action = {.sa_handler = on_child};
	sigset_t some;
	sigaction(SIGCHLD, &action, NULL);
	signal(SIGTERM, SIG_IGN);
	sigemptyset(&some);
	sigaddset(&some, SIGUSR2);
	sigprocmask(SIG_BLOCK, &some, NULL);
	hutch_result_free(run_sh("true")); /* init's image, once */
	signal_state(before, sizeof before);
	unsigned fds = count_fds();
	mode_t mask = umask(022);
	umask(mask);
	ck_assert_ptr_nonnull(getcwd(where, sizeof where));
	for (int i = 0; i < 100; i++) {
		struct hutch_result *result = run_sh("echo x; echo y >&2; exit 2");
		ck_assert_int_eq(result->exit_code, 2);
		hutch_result_free(result);
		ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
		ck_assert_int_eq(errno, ECHILD);
	}
	hutch_dispatch(h, 0, &err);
	ck_assert_uint_eq(count_fds(), fds);
	signal_state(after, sizeof after);
	ck_assert_str_eq(before, after);
	/* exec makes init's exit signal SIGCHLD, whatever it was cloned with: one for each sandbox, and no more */
	ck_assert_int_le(children_signals, 101);
	children_signals = 0;
	ck_assert_int_eq(child_of(getpid()), 0);
	ck_assert_ptr_nonnull(getcwd(there, sizeof there));
	ck_assert_str_eq(where, there);
	ck_assert_int_eq((int)umask(mask), (int)mask);
	/* children of the program's own are seen as ever */
	pid_t own = fork();
	if (own == 0)
		_exit(33);
	struct hutch_result *result = run_sh("exit 1");
	int status = 0;
	ck_assert_int_eq(waitpid(-1, &status, 0), own);
	ck_assert_int_eq(WEXITSTATUS(status), 33);
	ck_assert_int_ge(children_signals, 1);
	hutch_result_free(result);
}
END_TEST

/* Programs reap what they find, or let the kernel do it: a sandbox's init is none of their business, and yet nothing is
 * lost when they take it. */
static void reap_all(int signo)
{
	int saved = errno;
	(void)signo;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	errno = saved;
}

START_TEST(a_program_that_reaps_everything)
{
	const struct sigaction actions[] = {{.sa_handler = reap_all}, {.sa_handler = SIG_IGN}, {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT}};
	sigaction(SIGCHLD, &actions[_i], NULL);
	for (int i = 0; i < 50; i++) {
		struct hutch_result *result = run_sh("echo x; setsid sleep 100 & exit 7");
		ck_assert_int_eq((int)result->outcome, HUTCH_OUTCOME_EXITED);
		ck_assert_int_eq(result->exit_code, 7);
		ck_assert_str_eq(result->out.data, "x\n");
		hutch_result_free(result);
		reap_all(0);
	}
	ck_assert_int_eq(child_of(getpid()), 0);
}
END_TEST

/* Nothing of the program's descriptors, environment or memory is inside. */
START_TEST(nothing_goes_inside)
{
	int fds[50];
	setenv("HUTCH_TEST_SECRET", "secret", 1);
	for (int i = 0; i < COUNT(fds); i++)
		fds[i] = open("/etc/passwd", O_RDONLY); /* not close-on-exec: programs are like that */
	struct hutch_result *result = run_sh("ls /proc/self/fd; env | grep -c SECRET; grep -E 'Sig(Blk|Ign)' /proc/self/status");
	ck_assert_str_eq(result->out.data, "0\n1\n2\n3\n0\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
	hutch_result_free(result);
	for (int i = 0; i < COUNT(fds); i++)
		close(fds[i]);
}
END_TEST

START_TEST(closed_standard_streams)
{
	int saved = fcntl(2, F_DUPFD_CLOEXEC, 100);
	for (int fd = 0; fd < 3; fd++)
		close(fd);
	struct hutch *own = NULL;
	struct hutch_sandbox *sandbox = NULL;
	struct hutch_result *result = NULL;
	int ret = hutch_new(&own, &err);
	if (ret == 0)
		ret = hutch_sandbox_run(own, NULL, &HUTCH_COMMAND(.argv = SH("cat; echo out; echo err >&2")), &sandbox, &err);
	if (ret == 0)
		ret = hutch_sandbox_wait_until_complete(sandbox, 20000, &result, &err);
	bool good = ret == 0 && strcmp(result->out.data, "out\n") == 0 && strcmp(result->err.data, "err\n") == 0;
	hutch_result_free(result);
	hutch_free(own);
	for (int fd = 0; fd < 3; fd++)
		dup2(saved, fd);
	ck_assert_msg(good, "%d: %s", ret, ret < 0 ? err.message : result ? "wrong output" : "");
}
END_TEST

/* ---- threads ---- */

static volatile bool stop;
static unsigned failures;

static void *press_malloc(void *arg)
{
	unsigned state = (unsigned)(uintptr_t)arg;
	void *blocks[64] = {NULL};
	while (!stop) {
		state = state * 1103515245u + 12345u;
		unsigned at = state >> 16 & 63;
		free(blocks[at]);
		blocks[at] = malloc((state >> 8 & 0xffff) + 1);
		if (blocks[at])
			memset(blocks[at], 1, 1);
		if (at == 0)
			sleep_us(500);
	}
	for (int i = 0; i < COUNT(blocks); i++)
		free(blocks[i]);
	return NULL;
}

static bool one_start(struct hutch *own, int number)
{
	char text[64], expected[64];
	struct hutch_sandbox *sandbox;
	struct hutch_result *result = NULL;
	struct hutch_error why = {.code = 0};
	snprintf(text, sizeof text, "echo %d; exit %d", number, number % 200);
	snprintf(expected, sizeof expected, "%d\n", number);
	if (hutch_sandbox_run(own, NULL, &HUTCH_COMMAND(.argv = SH(text)), &sandbox, &why) < 0) {
		fprintf(stderr, "%s\n", why.message);
		return false;
	}
	int ret = hutch_sandbox_wait_until_complete(sandbox, 120000, &result, &why);
	bool good = ret == 0 && result->exit_code == number % 200 && strcmp(result->out.data, expected) == 0;
	if (!good)
		fprintf(stderr, "%d: %s %s\n", ret, why.message, result ? result->error.message : "");
	hutch_result_free(result);
	hutch_sandbox_free(sandbox);
	return good;
}

static void *start_many(void *arg)
{
	struct hutch *own;
	int first = (int)(intptr_t)arg * STARTS;
	if (hutch_new(&own, NULL) < 0) {
		__atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED);
		return NULL;
	}
	for (int i = 0; i < STARTS; i++)
		if (!one_start(own, first + i))
			__atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED);
	hutch_free(own);
	return NULL;
}

START_TEST(sixty_four_threads)
{
	pthread_t threads[THREADS], pressers[4];
	unsigned fds = count_fds();
	double begin = now_ms();
	for (uintptr_t i = 0; i < COUNT(pressers); i++)
		ck_assert_int_eq(pthread_create(&pressers[i], NULL, press_malloc, (void *)(i + 1)), 0);
	for (intptr_t i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, start_many, (void *)i), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	stop = true;
	for (int i = 0; i < COUNT(pressers); i++)
		pthread_join(pressers[i], NULL);
	fprintf(stderr, "measured: %d starts from %d threads in %.1f s\n", THREADS * STARTS, THREADS, (now_ms() - begin) / 1000);
	ck_assert_uint_eq(failures, 0);
	ck_assert_uint_eq(count_fds(), fds);
	ck_assert_int_eq(child_of(getpid()), 0);
}
END_TEST

static void *idle(void *arg)
{
	while (!stop)
		sleep_us(50000);
	return arg;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static double median_start(void)
{
	double times[41];
	for (int i = 0; i < COUNT(times); i++) {
		double begin = now_ms();
		ck_assert(one_start(h, i));
		times[i] = now_ms() - begin;
	}
	qsort(times, COUNT(times), sizeof *times, compare);
	return times[COUNT(times) / 2];
}

START_TEST(a_large_program_starts_as_fast)
{
	pthread_t threads[THREADS];
	size_t size = (size_t)1 << 30;
	double small = median_start();
	char *heap = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(heap, MAP_FAILED);
	for (size_t at = 0; at < size; at += 4096)
		heap[at] = 1;
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, idle, NULL), 0);
	double large = median_start();
	stop = true;
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	fprintf(stderr, "measured: a start takes %.1f ms, with 1 GiB and %d threads %.1f ms\n", small, THREADS, large);
	ck_assert(large < 5 * small);
	munmap(heap, size);
}
END_TEST

START_TEST(few_descriptors)
{
	const struct rlimit few = {count_fds() + 6, 1024};
	struct hutch_sandbox *sandbox = NULL;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	unsigned fds = count_fds();
	for (int i = 0; i < 5; i++) { /* an error, no crash, no leak */
		int ret = hutch_sandbox_run(h, NULL, &HUTCH_COMMAND(.argv = ARGV("true")), &sandbox, &err);
		ck_assert_int_lt(ret, 0);
		ck_assert_str_ne(err.message, "");
		ck_assert_uint_le(count_fds(), fds + 1);
	}
	const struct rlimit enough = {1024, 1024};
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &enough), 0);
	ck_assert(one_start(h, 1));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lib_host");
	TCase *tests = tcase_create("host");
	tcase_set_timeout(tests, 400);
	tcase_add_checked_fixture(tests, lib_set_up, lib_tear_down);
	tcase_add_test(tests, a_hundred_runs_leave_no_trace);
	tcase_add_loop_test(tests, a_program_that_reaps_everything, 0, 3);
	tcase_add_test(tests, nothing_goes_inside);
	tcase_add_test(tests, closed_standard_streams);
	tcase_add_test(tests, sixty_four_threads);
	tcase_add_test(tests, a_large_program_starts_as_fast);
	tcase_add_test(tests, few_descriptors);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
