/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/channel.h"

#include <errno.h>
#include <stdbool.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/error.h"

#define TRUSTED_MS 5000 /* a supervisor; it may have much to do */

static int move_up(int *fd)
{
	if (*fd > 2)
		return 0;
	int moved = fcntl(*fd, F_DUPFD_CLOEXEC, 3);
	close(*fd);
	*fd = moved;
	return moved < 0 ? -1 : 0;
}

int channel_pair(int ret[2], struct hutch_error *err)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, HUTCH_E_SYSTEM, errno, "cannot make a socket pair");
	if (move_up(&pair[0]) < 0 || move_up(&pair[1]) < 0) {
		cleanup_close(&pair[0]);
		cleanup_close(&pair[1]);
		return err_sys(err, HUTCH_E_SYSTEM, errno, "cannot move a descriptor");
	}
	ret[0] = pair[0];
	ret[1] = pair[1];
	return 0;
}

union control_buffer {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(MESSAGE_FDS * sizeof(int))];
};

int channel_send(int channel, const struct message *message, const int *fds, unsigned count)
{
	union control_buffer control = {0};
	struct iovec vec = {.iov_base = (void *)(uintptr_t)message, .iov_len = sizeof *message};
	struct msghdr header = {.msg_iov = &vec, .msg_iovlen = 1};
	if (count > MESSAGE_FDS)
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
		sent = sendmsg(channel, &header, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool wait_for_room(int channel, struct patience *patience)
{
	struct pollfd ready = {.fd = channel, .events = POLLOUT};
	if (!patience)
		return poll(&ready, 1, TRUSTED_MS) == 1;
	int64_t before = now_ms();
	if (before - patience->since_ms >= CHANNEL_WINDOW_MS)
		*patience = (struct patience){.since_ms = before};
	int64_t left = CHANNEL_PATIENCE_MS - patience->spent_ms;
	bool has_room = poll(&ready, 1, left > 0 ? (int)left : 0) == 1;
	patience->spent_ms += now_ms() - before;
	return has_room;
}

int channel_send_waiting(int channel, const struct message *message, const int *fds, unsigned count, struct patience *patience)
{
	int ret = channel_send(channel, message, fds, count);
	if (ret == -EAGAIN && wait_for_room(channel, patience))
		ret = channel_send(channel, message, fds, count);
	return ret;
}

/* Keeps the one descriptor that a message may carry, closes the rest. */
static int take_fd(struct msghdr *header, unsigned *ret_count)
{
	int kept = -1;
	*ret_count = 0;
	for (struct cmsghdr *part = CMSG_FIRSTHDR(header); part; part = CMSG_NXTHDR(header, part)) {
		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
			if ((*ret_count)++ == 0)
				kept = fd;
			else
				close(fd);
		}
	}
	return kept;
}

int channel_receive(int channel, struct message *ret, int *ret_fd)
{
	union control_buffer control;
	struct iovec vec = {.iov_base = ret, .iov_len = sizeof *ret};
	struct msghdr header = {.msg_iov = &vec, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
	ssize_t size;
	do /* ECONNRESET: it died with a message of ours unread. Told once, and before its own last words, which follow */
		size = recvmsg(channel, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (size < 0 && (errno == EINTR || errno == ECONNRESET));
	if (size < 0)
		return -errno;
	unsigned count;
	int fd = take_fd(&header, &count);
	if (size == 0 && count == 0)
		return 0;
	bool valid = size == sizeof *ret && !(header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) && ret->type >= MESSAGE_READY &&
	             ret->type < MESSAGE_TYPES && count == (ret->type == MESSAGE_TERMINAL ? 1 : 0);
	if (!valid) {
		cleanup_close(&fd);
		return -EBADMSG;
	}
	ret->detail[sizeof ret->detail - 1] = '\0';
	*ret_fd = fd;
	return 1;
}
