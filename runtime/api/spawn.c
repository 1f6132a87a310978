/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting hutch-supervisor. It is a program of its own, so that nothing of the caller's memory and descriptors goes
 * with it, and that it stays small.
 *
 * HUTCH_SUPERVISOR names another one, for tests.
 *
 * Its first process forks and ends, so that the supervisor is no child of the caller's for long.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/client.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "engine/channel.h"
#include "engine/program.h"

#define PATH_SIZE 4200u

static int find_program(struct hutch_error *err)
{
	const char *given = secure_getenv("HUTCH_SUPERVISOR");
	int fd = program_open("hutch-supervisor", "HUTCH_SUPERVISOR");
	if (fd >= 0)
		return fd;
	return err_hint(err, err_set(err, HUTCH_E_UNSUPPORTED, "hutch-supervisor is not installed: %s", given ? given : HUTCH_LIBEXEC "/hutch-supervisor"),
	                "it must belong to root or to you, and nobody else may write to it");
}

void spawn_reap(int pidfd)
{
	program_wait(pidfd);
}

/* Of the environment, no more than says where things are: it may hold secrets. */
static void fill_environment(char texts[3][PATH_SIZE], const char *env[4])
{
	static const char *const names[] = {"HOME", "XDG_RUNTIME_DIR"};
	unsigned count = 0;
	for (unsigned i = 0; i < 2; i++) {
		const char *value = getenv(names[i]);
		if (value && strlen(value) < PATH_SIZE - 32) {
			snprintf(texts[count], PATH_SIZE, "%s=%s", names[i], value);
			env[count] = texts[count];
			count++;
		}
	}
	env[count++] = "PATH=/usr/bin:/bin";
	env[count] = NULL;
}

int spawn_supervisor(int *ret_socket, int *ret_pidfd, struct hutch_error *err)
{
	char texts[3][PATH_SIZE];
	const char *env[4];
	int pair[2];
	CLEANUP_CLOSE int program = find_program(err);
	if (program < 0)
		return program;
	int ret = channel_pair(pair, err);
	if (ret < 0)
		return ret;
	CLEANUP_CLOSE int ours = pair[0];
	CLEANUP_CLOSE int theirs = fcntl(pair[1], F_DUPFD_CLOEXEC, 4); /* dup3 to itself would fail, and keep CLOEXEC */
	close(pair[1]);
	if (theirs < 0)
		return err_sys(err, HUTCH_E_SYSTEM, errno, "cannot keep a socket");
	fill_environment(texts, env);
	static const char *const argv[] = {"hutch-supervisor", NULL};
	int pidfd = -1;
	ret = program_start(&(struct program){.file = program, .argv = argv, .env = env, .socket = theirs}, &pidfd);
	if (ret < 0)
		return err_sys(err, HUTCH_E_SYSTEM, -ret, "cannot start hutch-supervisor");
	*ret_socket = TAKE_FD(ours);
	*ret_pidfd = pidfd;
	return 0;
}
