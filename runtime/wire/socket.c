/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "wire/wire.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
#define BACKLOG       64
#define CONNECT_TRIES 100 /* of 10 ms, when the backlog is full */

union control_buffer {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(WIRE_FDS_MAX * sizeof(int))];
};

void wire_close(int *fds, unsigned count)
{
	while (count > 0)
		close(fds[--count]);
}

int wire_send(int fd, const struct message *message, const int *fds, unsigned count)
{
	union control_buffer control = {0};
	struct iovec vec = {.iov_base = (void *)(uintptr_t)message, .iov_len = sizeof *message};
	struct msghdr header = {.msg_iov = &vec, .msg_iovlen = 1};
	if (count > WIRE_FDS_MAX)
		return -E2BIG;
	if (count > 0) {
		header.msg_control = control.bytes;
		header.msg_controllen = CMSG_SPACE(count * sizeof *fds);
		struct cmsghdr *part = CMSG_FIRSTHDR(&header);
		part->cmsg_level = SOL_SOCKET;
		part->cmsg_type = SCM_RIGHTS;
		part->cmsg_len = CMSG_LEN(count * sizeof *fds);
		memcpy(CMSG_DATA(part), fds, count * sizeof *fds);
	}
	ssize_t sent;
	do
		sent = sendmsg(fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

static unsigned take_fds(struct msghdr *header, int fds[WIRE_FDS_MAX])
{
	unsigned taken = 0;
	for (struct cmsghdr *part = CMSG_FIRSTHDR(header); part; part = CMSG_NXTHDR(header, part)) {
		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
			if (taken < WIRE_FDS_MAX)
				fds[taken++] = fd;
			else
				close(fd);
		}
	}
	return taken;
}

int wire_receive(int fd, struct message *ret, int fds[WIRE_FDS_MAX], unsigned *ret_count)
{
	union control_buffer control;
	struct iovec vec = {.iov_base = ret, .iov_len = sizeof *ret};
	struct msghdr header = {.msg_iov = &vec, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
	ssize_t size;
	*ret_count = 0;
	do
		size = recvmsg(fd, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (size < 0 && errno == EINTR);
	if (size < 0)
		return errno == ECONNRESET ? 0 : -errno;
	unsigned count = take_fds(&header, fds);
	if (size == 0 && count == 0 && !(header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		return 0;
	if (size != sizeof *ret || (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
		wire_close(fds, count);
		return -EBADMSG;
	}
	ret->detail[sizeof ret->detail - 1] = '\0';
	*ret_count = count;
	return 1;
}

/* ---- addresses ---- */

/* A path that fits into an address, whatever the directory's is. */
static void set_address(struct sockaddr_un *address, int dir, const char *name)
{
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/%.32s", dir, name);
}

static int open_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return fd < 0 ? -errno : fd;
}

int wire_listen(int dir, const char *name)
{
	struct sockaddr_un address;
	CLEANUP_CLOSE int fd = open_socket();
	if (fd < 0)
		return fd;
	set_address(&address, dir, name);
	if (bind(fd, (const struct sockaddr *)&address, sizeof address) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int wire_connect(int dir, const char *name)
{
	struct sockaddr_un address;
	CLEANUP_CLOSE int fd = open_socket();
	if (fd < 0)
		return fd;
	set_address(&address, dir, name);
	for (unsigned i = 0; connect(fd, (const struct sockaddr *)&address, sizeof address) < 0; i++) {
		if ((errno != EAGAIN && errno != EINTR) || i == CONNECT_TRIES)
			return -errno;
		poll(NULL, 0, 10);
	}
	return TAKE_FD(fd);
}

/* ---- who is it ---- */

static int open_peer(int fd, pid_t pid)
{
	int pidfd = -1;
	socklen_t size = sizeof pidfd;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) == 0)
		return pidfd;
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0); /* before Linux 6.5 */
	return pidfd < 0 ? -errno : pidfd;
}

static bool has_ended(int pidfd)
{
	struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};
	return poll(&poll_fd, 1, 0) != 0;
}

/* A process in a sandbox of ours has our uid, and its pid is visible to us; its user namespace is another one. */
int wire_check_peer(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof peer;
	char path[64];
	struct stat theirs, ours;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return -errno;
	if (peer.uid == 0 && geteuid() != 0)
		return 0; /* root of the host: a sandbox's root has another number */
	if (peer.uid != geteuid() || peer.pid <= 0)
		return -EPERM;
	CLEANUP_CLOSE int pidfd = open_peer(fd, peer.pid);
	if (pidfd < 0)
		return -EPERM;
	snprintf(path, sizeof path, "/proc/%d/ns/user", (int)peer.pid);
	if (stat(path, &theirs) < 0 || stat("/proc/self/ns/user", &ours) < 0)
		return -EPERM;
	if (has_ended(pidfd)) /* the number may have been another process's */
		return -EPERM;
	return theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino ? 0 : -EPERM;
}

/* ---- contents ---- */

static bool is_memory_file(int fd)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);
	const int needed = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	return seals >= 0 && (seals & needed) == needed && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

int wire_read_file(int fd, size_t max, void **ret, size_t *ret_size)
{
	struct stat st;
	if (!is_memory_file(fd)) /* another kind could block, or change under us */
		return -EBADMSG;
	if (fstat(fd, &st) < 0 || st.st_size < 0 || (uint64_t)st.st_size > max)
		return -EBADMSG;
	size_t size = (size_t)st.st_size;
	CLEANUP_FREE char *bytes = malloc(size ? size : 1);
	if (!bytes)
		return -ENOMEM;
	for (size_t at = 0; at < size;) {
		ssize_t got = pread(fd, bytes + at, size - at, (off_t)at);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -EBADMSG;
		at += (size_t)got;
	}
	*ret = TAKE(bytes);
	*ret_size = size;
	return 0;
}
