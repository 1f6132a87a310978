/* SPDX-License-Identifier: Apache-2.0 */
/* What the doctor concludes without trying: text files of the host, and which known cause explains which failure. */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/probe_host.h"
#include "kernel/probe_parse.h"
#include "kernel/probe_table.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof(array)[0]))

/* ---- mountinfo ---- */

static const struct {
	const char *line, *root, *target, *type; /* root NULL: refused */
} mounts[] = {
	{"41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n", "/", "/sys/fs/cgroup/unified", "cgroup2"},
	{"27 1 254:0 / / rw shared:1 master:2 - ext4 /dev/vda rw", "/", "/", "ext4"},
	{"1 2 0:3 /a\\040b /c\\011d\\134e rw - tmpfs t rw\n", "/a b", "/c\td\\e", "tmpfs"},
	{"1 2 0:3 / /x\\04 rw - tmpfs t rw\n", "/", "/x\\04", "tmpfs"},
	{"1 2 0:3 / /a\\040-\\040b rw - fuse.x f rw", "/", "/a - b", "fuse.x"},
	{"1 2 0:3 / /a rw - proc", "/", "/a", "proc"},
	{"", NULL, NULL, NULL},
	{"\n", NULL, NULL, NULL},
	{"1 2 0:3", NULL, NULL, NULL},
	{"1 2 0:3 ", NULL, NULL, NULL},
	{"1 2 0:3 /", NULL, NULL, NULL},
	{"1 2 0:3 /  rw - proc proc rw", NULL, NULL, NULL},
	{"1 2 0:3 / /a rw proc proc rw", NULL, NULL, NULL},
	{"1 2 0:3 / /a rw - \n", NULL, NULL, NULL},
	{"1 2 0:3 / /a rw - aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa x rw", NULL, NULL, NULL},
};

START_TEST(mountinfo)
{
	struct probe_mount mount;
	ck_assert_int_eq(probe_parse_mountinfo(mounts[_i].line, &mount), mounts[_i].root != NULL);
	if (!mounts[_i].root)
		return;
	ck_assert_str_eq(mount.root, mounts[_i].root);
	ck_assert_str_eq(mount.target, mounts[_i].target);
	ck_assert_str_eq(mount.type, mounts[_i].type);
}
END_TEST

START_TEST(mountinfo_too_long)
{
	static char line[2 * PATH_MAX];
	memset(line, 'a', sizeof line - 1);
	memcpy(line, "1 2 0:3 / /", 11);
	struct probe_mount mount;
	ck_assert(!probe_parse_mountinfo(line, &mount));
}
END_TEST

/* ---- cgroups ---- */

START_TEST(cgroup_lines)
{
	char path[16];
	ck_assert(probe_parse_cgroup("0::/user.slice\n", path, sizeof path));
	ck_assert_str_eq(path, "/user.slice");
	ck_assert(probe_parse_cgroup("0::/", path, sizeof path));
	ck_assert_str_eq(path, "/");
	ck_assert(!probe_parse_cgroup("0::", path, sizeof path));
	ck_assert(!probe_parse_cgroup("10::/", path, sizeof path));
	ck_assert(!probe_parse_cgroup("4:memory:/x\n", path, sizeof path));
	ck_assert(!probe_parse_cgroup("0::/0123456789abcdef\n", path, sizeof path));
	ck_assert(probe_parse_cgroup_v1("4:memory:/x\n"));
	ck_assert(!probe_parse_cgroup_v1("9:name=systemd:/\n"));
	ck_assert(!probe_parse_cgroup_v1("0::/\n"));
	ck_assert(!probe_parse_cgroup_v1("garbage\n"));
}
END_TEST

static const struct {
	const char *root, *target, *path, *directory; /* directory NULL: the mount does not show it */
} directories[] = {
	{"/", "/sys/fs/cgroup", "/", "/sys/fs/cgroup"},
	{"/", "/sys/fs/cgroup/unified", "/a/b", "/sys/fs/cgroup/unified/a/b"},
	{"/docker/1", "/sys/fs/cgroup", "/docker/1", "/sys/fs/cgroup"},
	{"/docker/1", "/sys/fs/cgroup", "/docker/1/x", "/sys/fs/cgroup/x"},
	{"/docker/1", "/sys/fs/cgroup", "/docker/12", NULL},
	{"/docker/1", "/sys/fs/cgroup", "/", NULL},
	{"/", "/sys/fs/cgroup", "/../other", NULL},
	{"/", "/sys/fs/cgroup", "", "/sys/fs/cgroup"},
	{"/", "/", "/a", "/a"},
};

START_TEST(cgroup_directory)
{
	struct probe_mount mount = {.type = "cgroup2"};
	strcpy(mount.root, directories[_i].root);
	strcpy(mount.target, directories[_i].target);
	char directory[64];
	ck_assert_int_eq(probe_cgroup_directory(&mount, directories[_i].path, directory, sizeof directory), directories[_i].directory != NULL);
	if (directories[_i].directory)
		ck_assert_str_eq(directory, directories[_i].directory);
	ck_assert(!probe_cgroup_directory(&mount, directories[_i].path, directory, 1));
}
END_TEST

START_TEST(controller_lists)
{
	ck_assert(probe_list_has("cpu io memory pids\n", "cpu"));
	ck_assert(probe_list_has("cpu io memory pids\n", "pids"));
	ck_assert(probe_list_has("memory", "memory"));
	ck_assert(!probe_list_has("cpuset io\n", "cpu"));
	ck_assert(!probe_list_has("xcpu\n", "cpu"));
	ck_assert(!probe_list_has("cpu\n", "cpuset"));
	ck_assert(!probe_list_has("", "cpu"));
	ck_assert(!probe_list_has("\n", "cpu"));
	ck_assert(!probe_list_has("cpu", ""));
}
END_TEST

/* ---- ids ---- */

static const struct {
	const char *line;
	uint32_t first, count; /* count 0: not ours, or refused */
} subids[] = {
	{"ann:100000:65536\n", 100000, 65536},
	{"ann:100000:65536", 100000, 65536},
	{"1001:5:6\n", 5, 6},
	{"ann:4294967295:1\n", 4294967295u, 1},
	{"bob:100000:65536\n", 0, 0},
	{"annie:100000:65536\n", 0, 0},
	{"1002:5:6\n", 0, 0},
	{"01001x:5:6\n", 0, 0},
	{"ann:100000:0\n", 0, 0},
	{"ann:100000:\n", 0, 0},
	{"ann::65536\n", 0, 0},
	{"ann:-1:65536\n", 0, 0},
	{"ann: 1:65536\n", 0, 0},
	{"ann:1:65536x\n", 0, 0},
	{"ann:1:65536:1\n", 0, 0},
	{"ann:4294967296:1\n", 0, 0},
	{"ann:1:99999999999999999999999999\n", 0, 0},
	{"ann\n", 0, 0},
	{":1:1\n", 0, 0},
	{"\n", 0, 0},
	{"", 0, 0},
	{"# ann:1:1\n", 0, 0},
};

START_TEST(subid_lines)
{
	struct probe_range range = {.first = 7, .count = 7};
	bool found = probe_parse_subid(subids[_i].line, "ann", 1001, &range);
	ck_assert_int_eq(found, subids[_i].count != 0);
	ck_assert_uint_eq(range.first, found ? subids[_i].first : 7);
	ck_assert_uint_eq(range.count, found ? subids[_i].count : 7);
}
END_TEST

START_TEST(subid_without_name)
{
	struct probe_range range;
	ck_assert(!probe_parse_subid(":1:1\n", "", 1001, &range));
	ck_assert(!probe_parse_subid("ann:1:1\n", NULL, 1001, &range));
	ck_assert(probe_parse_subid("1001:1:1\n", NULL, 1001, &range));
	char line[400];
	memset(line, 'a', sizeof line - 1);
	line[sizeof line - 1] = '\0';
	ck_assert(!probe_parse_subid(line, "ann", 1001, &range));
}
END_TEST

START_TEST(id_maps)
{
	ck_assert(probe_map_is_initial("         0          0 4294967295\n"));
	ck_assert(!probe_map_is_initial("         0       1000          1\n"));
	ck_assert(!probe_map_is_initial(""));
	ck_assert(!probe_map_is_initial("0 0"));
	ck_assert(!probe_map_is_initial("0 0 42949672950\n"));
	ck_assert(!probe_map_is_initial("x"));
	const char *two = "         0       1000          1\n         1     100000      65536\n";
	ck_assert(probe_map_covers(two, 1, 65536));
	ck_assert(probe_map_covers(two, 65536, 1));
	ck_assert(!probe_map_covers(two, 0, 2));
	ck_assert(!probe_map_covers(two, 65537, 1));
	ck_assert(probe_map_covers("0 0 4294967295", 4294967294u, 1));
	ck_assert(!probe_map_covers("0 0 4294967295", 4294967294u, 2));
	ck_assert(!probe_map_covers("", 0, 1));
}
END_TEST

/* ---- causes ---- */

enum {
	ROOT = 1,
	USERNS = 2,
	FILTER = 4,
	CHROOT = 8,
	COVERED = 16
};
#define NO_SWITCH PROBE_NO_SWITCH

/* The three switches, and what holds for the process. */
#define HOST(max, debian, ubuntu, flags) \
	{.max_user_namespaces = (max), .unprivileged_userns_clone = (debian), .apparmor_restrict_userns = (ubuntu), \
	 .is_root = (flags) & ROOT, .in_userns = (flags) & USERNS, .has_filter = (flags) & FILTER, .in_chroot = (flags) & CHROOT, \
	 .proc_covers = (flags) & COVERED}
#define PLAIN(flags) HOST(60000, NO_SWITCH, NO_SWITCH, flags)

static const struct {
	struct probe_host host;
	struct probe_report report;
	const char *fix; /* is in the fix; NULL: no known cause */
} causes[] = {
	{PLAIN(0), {"clone", -EPERM, 0}, "outside of any chroot"},
	{PLAIN(0), {"overlay", -EINVAL, 0}, NULL},
	{HOST(0, NO_SWITCH, NO_SWITCH, 0), {"clone", -ENOSPC, 0}, "sysctl -w user.max_user_namespaces="},
	{HOST(0, NO_SWITCH, NO_SWITCH, 0), {"write", -ENOSPC, 0}, NULL},
	{HOST(0, NO_SWITCH, NO_SWITCH, USERNS), {"clone", -ENOSPC, 0}, "outside of that sandbox"},
	{HOST(0, NO_SWITCH, NO_SWITCH, USERNS | FILTER), {"clone", -EPERM, 0}, "outside of that sandbox"},
	{PLAIN(0), {"clone", -ENOSPC, 0}, "max_*_namespaces"},
	{PLAIN(USERNS), {"clone", -EUSERS, 0}, "max_*_namespaces"},
	{HOST(60000, 0, NO_SWITCH, 0), {"clone", -EPERM, 0}, "kernel.unprivileged_userns_clone=1"},
	{HOST(60000, 0, NO_SWITCH, ROOT), {"clone", -EPERM, 0}, "outside of any chroot"},
	{HOST(60000, 1, NO_SWITCH, 0), {"clone", -EPERM, 0}, "outside of any chroot"},
	{HOST(60000, NO_SWITCH, 1, 0), {"uid_map", -EPERM, 0}, "apparmor_restrict_unprivileged_userns=0"},
	{HOST(60000, NO_SWITCH, 1, 0), {"root", -EACCES, 0}, "'userns,'"},
	{HOST(60000, NO_SWITCH, 1, 0), {"root", -ENOMEM, 0}, NULL},
	{HOST(60000, NO_SWITCH, 0, 0), {"uid_map", -EPERM, 0}, NULL},
	{PLAIN(CHROOT), {"clone", -EPERM, 0}, "outside of the chroot"},
	{PLAIN(CHROOT), {"pivot", -EINVAL, 0}, "outside of the chroot"},
	{PLAIN(FILTER | COVERED), {"proc", -EPERM, 0}, "unmask=ALL"},
	{PLAIN(FILTER), {"proc", -EPERM, 0}, "seccomp=unconfined"},
	{PLAIN(0), {"nested-userns", -EROFS, 0}, "--best-effort=nested-userns"},
	{PLAIN(0), {"pivot", -ECANCELED, SIGSYS}, "SystemCallFilter="},
	{PLAIN(0), {"pivot", -ECANCELED, SIGSEGV}, NULL},
	{PLAIN(FILTER), {"clone3", -ENOSYS, 0}, "seccomp=unconfined"},
	{PLAIN(FILTER), {"overlay", -EINVAL, 0}, NULL},
	{PLAIN(ROOT), {"uid_map", -EPERM, 0}, "CAP_SETUID"},
	{PLAIN(0), {"clone", -EAGAIN, 0}, "ulimit -u"},
	{PLAIN(0), {"root", -EMFILE, 0}, "ulimit -n"},
	{PLAIN(0), {"proc", -ETIMEDOUT, 0}, "less busy"},
};

START_TEST(cause)
{
	const struct probe_cause *found = probe_cause_of(&causes[_i].host, &causes[_i].report);
	if (!causes[_i].fix) {
		ck_assert_ptr_null(found);
		return;
	}
	ck_assert_ptr_nonnull(found);
	ck_assert_ptr_nonnull(strstr(found->fix, causes[_i].fix));
	ck_assert_uint_lt(strlen(found->fix), sizeof((struct hutch_finding *)0)->fix);
	ck_assert_uint_lt(strlen(found->found), 150); /* the errno goes before it */
}
END_TEST

/* ---- the table ---- */

START_TEST(row)
{
	const struct probe *probe = &probe_table[_i];
	const struct hutch_finding *finding = NULL;
	ck_assert_uint_lt(strlen(probe->name), sizeof finding->name);
	ck_assert_uint_lt(strlen(probe->why), sizeof finding->why);
	ck_assert(probe->judge || (probe->body && (probe->found || probe->describe)));
	ck_assert(!probe->found || strlen(probe->found) < sizeof finding->detail);
	ck_assert(!probe->body || probe->fix);
	ck_assert(!probe->fix || strlen(probe->fix) < sizeof finding->fix);
	ck_assert(!(probe->required && probe->degrades));
	for (int i = 0; i < _i; i++)
		ck_assert_str_ne(probe->name, probe_table[i].name);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("probe");
	TCase *tcase = tcase_create("pure");
	tcase_add_loop_test(tcase, mountinfo, 0, COUNT(mounts));
	tcase_add_test(tcase, mountinfo_too_long);
	tcase_add_test(tcase, cgroup_lines);
	tcase_add_loop_test(tcase, cgroup_directory, 0, COUNT(directories));
	tcase_add_test(tcase, controller_lists);
	tcase_add_loop_test(tcase, subid_lines, 0, COUNT(subids));
	tcase_add_test(tcase, subid_without_name);
	tcase_add_test(tcase, id_maps);
	tcase_add_loop_test(tcase, cause, 0, COUNT(causes));
	tcase_add_loop_test(tcase, row, 0, (int)probe_table_count);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
