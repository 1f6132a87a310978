/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/time_types.h>
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>

#include "base/sys.h"
#include "init/init.h"

union control_buffer {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(MESSAGE_FDS * sizeof(int))];
};

static unsigned take_fds(struct msghdr *header, int fds[MESSAGE_FDS])
{
	unsigned count = 0;
	struct cmsghdr *part = CMSG_FIRSTHDR(header);
	if (!part || part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
		return 0;
	const int *received = (const int *)(const void *)CMSG_DATA(part);
	for (size_t left = part->cmsg_len - CMSG_LEN(0); left >= sizeof(int) && count < MESSAGE_FDS; left -= sizeof(int))
		fds[count++] = *received++;
	return count;
}

int control_receive(struct init *init, struct message *ret, int fds[MESSAGE_FDS], unsigned *ret_count)
{
	union control_buffer control;
	struct iovec vec = {.iov_base = ret, .iov_len = sizeof *ret};
	struct msghdr header = {.msg_iov = &vec, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
	long size = sys_call3(SYS_recvmsg, init->control, &header, MSG_CMSG_CLOEXEC);
	if (size <= 0)
		return (int)size;
	unsigned count = take_fds(&header, fds);
	if (size != sizeof *ret || (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
		while (count > 0)
			sys_call1(SYS_close, fds[--count]);
		return -EBADMSG;
	}
	*ret_count = count;
	return 1;
}

void control_send(const struct init *init, const struct message *message, int fd)
{
	union control_buffer control;
	struct iovec vec = {.iov_base = (void *)(uintptr_t)message, .iov_len = sizeof *message};
	struct msghdr header = {.msg_iov = &vec, .msg_iovlen = 1};
	if (fd >= 0) {
		header.msg_control = control.bytes;
		header.msg_controllen = CMSG_SPACE(sizeof fd);
		struct cmsghdr *part = CMSG_FIRSTHDR(&header);
		part->cmsg_level = SOL_SOCKET;
		part->cmsg_type = SCM_RIGHTS;
		part->cmsg_len = CMSG_LEN(sizeof fd);
		*(int *)(void *)CMSG_DATA(part) = fd;
	}
	while (sys_call3(SYS_sendmsg, init->control, &header, MSG_NOSIGNAL | MSG_DONTWAIT) == -EAGAIN) {
		struct pollfd polls[2] = {{init->control, POLLOUT, 0}, {init->owner, POLLIN, 0}};
		if (message->type == MESSAGE_STOPPED)
			return; /* the payload can make any number of these */
		sys_call4(SYS_ppoll, polls, 2, NULL, NULL); /* the owner does not read, which must not hide its death */
		if (polls[1].revents)
			for (;;)
				sys_call1(SYS_exit_group, 0);
	}
}

static uint64_t now_ns(void)
{
	struct __kernel_timespec now;
	sys_call2(SYS_clock_gettime, 1 /* CLOCK_MONOTONIC */, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t now_us(void)
{
	return now_ns() / 1000;
}

void trace_stage(const struct init *init, enum stage stage)
{
	if (init->trace < 0)
		return;
	struct plan_trace record = {.stage = stage, .monotonic_ns = now_ns()};
	sys_call3(SYS_write, init->trace, &record, sizeof record);
}

void message_detail(struct message *message, const char *text)
{
	size_t i = 0;
	for (; text && text[i] && i < sizeof message->detail - 1; i++)
		message->detail[i] = text[i];
	message->detail[i] = '\0';
}
