/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "plan/filter_builtin.h"
#include "plan/filter_policy.h"
#include "plan/policy_file.h"

int filter_select(enum hutch_seccomp profile, bool nosuid_create, struct filter *ret)
{
	static const enum filter_builtin_profile builtin[] = {
		[HUTCH_SECCOMP_DEFAULT] = FILTER_BUILTIN_DEFAULT,
		[HUTCH_SECCOMP_STRICT] = FILTER_BUILTIN_STRICT,
		[HUTCH_SECCOMP_DEBUG] = FILTER_BUILTIN_DEBUG,
	};
	if ((unsigned)profile >= sizeof builtin / sizeof *builtin)
		return -HUTCH_E_INVALID;
	const struct filter_builtin *program = &filter_builtin[builtin[profile]][nosuid_create];
	*ret = (struct filter){.count = 1, .programs = {{.instructions = program->instructions, .length = program->length}}};
	return 0;
}

/* One byte more than is allowed is read, so that too much is seen. */
static int read_policy(const char *path, char *buffer, size_t capacity, size_t *ret_size, struct hutch_error *err)
{
	struct stat st;
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, HUTCH_E_INVALID, errno, "seccomp_file: cannot open %s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, HUTCH_E_INVALID, "seccomp_file: %s is not a regular file", path);
	size_t size = 0;
	while (size < capacity) {
		ssize_t got = read(fd, buffer + size, capacity - size);
		if (got < 0 && errno != EINTR)
			return err_sys(err, HUTCH_E_INVALID, errno, "seccomp_file: cannot read %s", path);
		if (got == 0)
			break;
		size += got > 0 ? (size_t)got : 0;
	}
	*ret_size = size;
	return 0;
}

int filter_compile_policy_text(const char *name, const char *text, size_t size, const char *cache_dir, bool nosuid_create,
                               struct filter *ret, struct hutch_error *err)
{
	CLEANUP_FREE struct policy_file *policy = malloc(sizeof *policy);
	if (!policy)
		return err_set(err, HUTCH_E_NO_MEMORY, "out of memory");
	int failed = policy_file_parse(name, text, size, policy, err);
	if (failed < 0)
		return failed;
	CLEANUP(filter_done) struct filter made = {.count = FILTER_PROGRAMS_MAX};
	failed = filter_policy_guard(policy, nosuid_create, &made.programs[0], err);
	if (failed == 0)
		failed = filter_policy_main(policy, cache_dir, &made.programs[1], err);
	if (failed < 0)
		return err_prefix(err, failed, "%s", name);
	*ret = made;
	made = (struct filter){.count = 0};
	return 0;
}

int filter_compile_policy(const char *path, const char *cache_dir, bool nosuid_create, struct filter *ret, struct hutch_error *err)
{
	const size_t capacity = POLICY_FILE_BYTES_MAX + 1;
	CLEANUP_FREE char *text = malloc(capacity);
	size_t size = 0;
	if (!text)
		return err_set(err, HUTCH_E_NO_MEMORY, "out of memory");
	int failed = read_policy(path, text, capacity, &size, err);
	return failed < 0 ? failed : filter_compile_policy_text(path, text, size, cache_dir, nosuid_create, ret, err);
}

void filter_done(struct filter *filter)
{
	if (!filter)
		return;
	for (size_t i = 0; i < FILTER_PROGRAMS_MAX; i++)
		free(filter->programs[i].owned);
	*filter = (struct filter){.count = 0};
}
