/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hutch-supervisor: started by libhutch (api/spawn.c) with one socket as descriptor 3, over which START comes. Its
 * first process ends at once, so that it has no parent that would have to know about it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "supervisor/server.h"

#define SOCKET 3

/* A session of its own, and nothing of the caller's but the directory that relative paths count from. */
static int detach(void)
{
	pid_t pid = fork();
	if (pid != 0)
		_exit(pid < 0);
	int null = open("/dev/null", O_RDWR);
	if (setsid() < 0 || null < 0)
		return -1;
	for (int fd = 0; fd < 3; fd++)
		if (dup2(null, fd) < 0)
			return -1;
	if (null > 2)
		close(null);
	umask(077);
	prctl(PR_SET_NAME, "hutch-supervise");
	return fcntl(SOCKET, F_SETFD, FD_CLOEXEC);
}

/* A client's command takes some descriptors each, and there may be a thousand of them. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int receive_start(struct message *message, int fds[WIRE_FDS_MAX], unsigned *ret_count)
{
	struct pollfd poll_fd = {.fd = SOCKET, .events = POLLIN};
	while (poll(&poll_fd, 1, HELLO_TAKES_MS) < 0 && errno == EINTR)
		;
	int ret = wire_receive(SOCKET, message, fds, ret_count);
	return ret == 1 && message->type == WIRE_START && message->value == WIRE_VERSION && *ret_count <= 4 ? 0 : -1;
}

static void serve(struct server *server, struct connection *starter, const struct message *start, int *fds, unsigned count)
{
	struct hutch_error error = {0};
	int ret = server_start(server, starter, fds, count, &error);
	wire_close(fds, count);
	if (chdir("/") < 0 && ret == 0)
		server->is_told_to_go = true;
	if (ret < 0)
		connection_error(starter, start, &error);
	else
		connection_welcome(starter, start);
	server_run(server);
}

int main(int argc, char **argv)
{
	static struct server server;
	struct message start;
	int fds[WIRE_FDS_MAX];
	unsigned count = 0;
	if (argc != 1 || strcmp(argv[0], "hutch-supervisor") != 0 || detach() < 0)
		return EXIT_FAILURE; /* nobody calls it by hand */
	raise_descriptor_limit();
	server_init(&server);
	if (receive_start(&start, fds, &count) < 0 || hutch_new(&server.h, NULL) < 0)
		return EXIT_FAILURE;
	struct connection *starter = connection_new(&server, SOCKET);
	if (!starter)
		return EXIT_FAILURE;
	starter->is_greeted = true; /* by START */
	serve(&server, starter, &start, fds, count);
	server_done(&server);
	return EXIT_SUCCESS;
}
