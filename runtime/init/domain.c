/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sandbox's Landlock domain: one, put on init and inherited by every command. As a domain per command, signals and
 * /proc between the commands of one sandbox would fail.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/stat.h>

#include <hutch/spec.h>

#include "base/sys.h"
#include "init/init.h"
#include "kernel/landlock.h"
#include "kernel/walk.h"

static int allow_fd(const struct landlock *landlock, int fd, bool writable)
{
	struct walk_identity identity;
	int ret = walk_identify(fd, &identity);
	return ret < 0 ? ret : landlock_allow(landlock, fd, !S_ISDIR(identity.mode), writable);
}

static int allow_path(const struct landlock *landlock, const char *path, bool writable)
{
	int fd = (int)sys_call4(SYS_openat, AT_FDCWD, path, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	int ret = allow_fd(landlock, fd, writable);
	sys_call1(SYS_close, fd);
	return ret;
}

/* Streams that were passed in may be opened again as /dev/stdout: scripts do that. Only for what they were opened for:
 * a payload with the caller's id could else write to the caller's input. */
static int allow_streams(const struct init *init, const struct landlock *landlock)
{
	for (unsigned i = init->plan.sandbox->streams_from; i < init->fds_count; i++) {
		struct walk_identity identity;
		int ret = walk_identify(init->fds[i], &identity);
		if (ret < 0)
			return ret;
		if (!S_ISREG(identity.mode))
			continue;
		long flags = sys_call3(SYS_fcntl, init->fds[i], F_GETFL, 0);
		ret = flags < 0 ? (int)flags : landlock_allow_stream(landlock, init->fds[i], (int)flags);
		if (ret < 0 && ret != -EBADFD) /* a memory file without a name: Landlock neither knows nor restricts it */
			return ret;
	}
	return 0;
}

/* The layers of copy-on-write directories, for the helper that says what changed: nothing else can name them. */
static int allow_layers(const struct init *init, const struct landlock *landlock)
{
	int ret = 0;
	for (unsigned i = 0; ret == 0 && i < init->cows_count; i++) {
		ret = allow_fd(landlock, init->cows[i].upper, false);
		if (ret == 0)
			ret = allow_fd(landlock, init->cows[i].lower, false);
	}
	return ret;
}

static int fill(struct init *init, const struct landlock *landlock)
{
	/* /proc: a process may write to its own entries; everything dangerous there is masked, read-only or not its own */
	static const char *const devices[] = {"/proc", "/dev/null", "/dev/zero", "/dev/full", "/dev/tty", "/dev/pts"};
	int ret = allow_path(landlock, "/", false);
	for (unsigned i = 0; ret == 0 && i < sizeof devices / sizeof *devices; i++)
		ret = allow_path(landlock, init->detail = devices[i], true);
	for (uint32_t i = 0; ret == 0 && i < init->plan.sandbox->ops_count; i++) {
		const struct plan_op *op = &init->plan.ops[i];
		if (!(op->flags & PLAN_OP_WRITABLE))
			continue;
		init->item = i;
		ret = allow_path(landlock, init->detail = plan_text(&init->plan, op->target), true);
	}
	if (ret == 0)
		ret = allow_layers(init, landlock);
	return ret < 0 ? ret : allow_streams(init, landlock);
}

/* Should: writing only where the plan says so. Mustn't: come before the last mount. */
int setup_landlock(struct init *init)
{
	struct landlock landlock;
	int ret = landlock_open(&landlock);
	if (ret == -ENOSYS || ret == -EOPNOTSUPP) {
		init->absent |= HUTCH_LAYER_LANDLOCK;
		return 0;
	}
	if (ret < 0)
		return ret;
	ret = fill(init, &landlock);
	if (ret == 0)
		return landlock_enter(&landlock);
	sys_call1(SYS_close, landlock.ruleset);
	return ret;
}
