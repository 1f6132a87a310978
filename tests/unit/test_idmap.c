/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges of ids: never the same for two at a time, and user namespaces for mounts in which no id is lost. */
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "engine/guest.h"
#include "engine/idmap.h"
#include "helpers.h"

static struct hutch_error err;

START_TEST(who_is_root)
{
	ck_assert(idmap_is_real_root() == (geteuid() == 0)); /* where these tests run, root has all ids */
}
END_TEST

START_TEST(ranges_are_exclusive)
{
	enum { MANY = 100 };
	uint64_t bases[MANY];
	int locks[MANY];
	SKIP_UNLESS_ROOT();
	for (int i = 0; i < MANY; i++) {
		ck_assert_msg(idmap_take_range(&bases[i], &locks[i], &err) == 0, "%s", err.message);
		ck_assert_int_eq(fcntl(locks[i], F_GETFD), FD_CLOEXEC);
		ck_assert_int_gt(locks[i], 2);
		ck_assert(bases[i] >= 0x10000000 && bases[i] + GUEST_IDS <= UINT64_C(0x80000000)); /* no account's, and positive as an int */
		ck_assert_uint_eq(bases[i] % GUEST_IDS, 0);
		for (int j = 0; j < i; j++)
			ck_assert(bases[i] != bases[j]);
	}
	/* another process gets others; what is given back is had again */
	pid_t pid = fork();
	if (pid == 0) {
		uint64_t base;
		int lock, ret = idmap_take_range(&base, &lock, NULL);
		for (int i = 0; i < MANY; i++)
			ret |= base == bases[i];
		_exit(ret != 0);
	}
	int status = -1;
	waitpid(pid, &status, 0);
	ck_assert_int_eq(status, 0);
	for (int i = 0; i < MANY; i++)
		close(locks[i]);
	uint64_t again;
	int lock;
	ck_assert_int_eq(idmap_take_range(&again, &lock, &err), 0);
	ck_assert(again == bases[0]);
	close(lock);
}
END_TEST

/* The host id that `inside` stands for in the user namespace `fd`, read from a process in it. */
static uint64_t mapped(int fd, uint64_t id)
{
	int pipes[2], status;
	char text[4096] = "";
	ck_assert_int_eq(pipe(pipes), 0);
	pid_t pid = fork();
	if (pid == 0) {
		char done;
		int ret = setns(fd, CLONE_NEWUSER);
		close(pipes[1]);
		if (read(pipes[0], &done, 1) < 0)
			ret = -1;
		_exit(ret != 0);
	}
	sleep_us(20000);
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/uid_map", (int)pid);
	for (int i = 0; i < 200; i++) { /* until it is inside */
		int map = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t size = map < 0 ? -1 : read(map, text, sizeof text - 1);
		close(map);
		ck_assert_int_gt((int)size, 0);
		text[size] = '\0';
		if (!strstr(text, "4294967295"))
			break;
		sleep_us(5000);
	}
	close(pipes[1]);
	close(pipes[0]);
	waitpid(pid, &status, 0);
	ck_assert_int_eq(status, 0);
	unsigned long long first, host, count;
	const char *at = text;
	int used;
	while (sscanf(at, "%llu %llu %llu%n", &first, &host, &count, &used) == 3) {
		if (id >= first && id < first + count)
			return host + (id - first);
		at += used;
	}
	return UINT64_MAX;
}

/* In the map of an idmapped mount, the left side is the id on disk. */
START_TEST(mount_maps)
{
	static const struct {
		uid_t caller;
		uint32_t inside;
	} cases[] = {{0, 1000}, {0, 0}, {1000, 1000}, {1000, 0}, {5, 6}, {6, 5}, {0, 65533}, {65533, 0}, {65535, 1}, {1, 65535}, {0, 1}, {70000, 1000}};
	uint64_t base;
	int lock;
	SKIP_UNLESS_ROOT();
	ck_assert_int_eq(idmap_take_range(&base, &lock, &err), 0);
	uid_t caller = cases[_i].caller;
	uint32_t inside = cases[_i].inside;
	int fd = idmap_mount_namespace(base, caller, inside, &err);
	ck_assert_msg(fd >= 0, "%u as %u: %s", caller, inside, err.message);
	ck_assert_int_eq(ioctl(fd, NS_GET_NSTYPE), CLONE_NEWUSER);
	bool swapped = caller < GUEST_IDS;
	const uint64_t ids[] = {0, 1, 2, 5, 6, 7, 999, 1000, 1001, 65532, 65533, 65534, 65535};
	for (int i = 0; i < COUNT(ids); i++) {
		uint64_t expected = swapped && ids[i] == caller ? inside : swapped && ids[i] == inside ? caller : ids[i];
		ck_assert_msg(mapped(fd, ids[i]) == base + expected, "%u as %u: %llu is not %llu", caller, inside, (unsigned long long)ids[i], (unsigned long long)expected);
	}
	ck_assert(mapped(fd, 65536) == UINT64_MAX);
	close(fd);
	close(lock);
	ck_assert_int_eq(waitpid(-1, NULL, __WALL | WNOHANG), -1); /* what held the namespace is gone */
}
END_TEST

START_TEST(subids)
{
	uint64_t uids = 0, gids = 0;
	ck_assert_int_eq(idmap_subids(4000000000u, &uids, &gids, &err), -HUTCH_E_UNSUPPORTED);
	ck_assert_ptr_nonnull(strstr(err.hint, "subuids"));
	int ret = idmap_subids(geteuid(), &uids, &gids, &err);
	if (skipped(ret < 0, "subids", "this account has no subordinate ids"))
		return;
	ck_assert(uids >= 1000 && gids >= 1000);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("idmap");
	TCase *tests = tcase_create("idmap");
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, who_is_root);
	tcase_add_test(tests, ranges_are_exclusive);
	tcase_add_loop_test(tests, mount_maps, 0, 12);
	tcase_add_test(tests, subids);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
