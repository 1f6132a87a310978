/* SPDX-License-Identifier: Apache-2.0 */
/* The owner's side of the control socket, with a peer that says anything: init lives among hostile processes. */
#include <fcntl.h>
#include <sys/socket.h>

#include "engine/channel.h"
#include "helpers.h"

static int ends[2];
static unsigned fds_before;

static void set_up(void)
{
	struct hutch_error err;
	fds_before = count_fds();
	ck_assert_int_eq(channel_pair(ends, &err), 0);
}

static void tear_down(void)
{
	close(ends[0]);
	close(ends[1]);
	ck_assert_uint_eq(count_fds(), fds_before);
}

/* What a peer could send: `size` bytes and `count` descriptors, all /dev/null. */
static void peer_sends(const void *data, size_t size, unsigned count)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(253 * sizeof(int))];
	} control = {0};
	struct iovec vec = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
	struct msghdr header = {.msg_iov = &vec, .msg_iovlen = 1};
	int fds[253];
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (unsigned i = 0; i < count; i++)
		fds[i] = null;
	if (count > 0) {
		header.msg_control = control.bytes;
		header.msg_controllen = CMSG_SPACE(count * sizeof(int));
		struct cmsghdr *part = CMSG_FIRSTHDR(&header);
		part->cmsg_level = SOL_SOCKET;
		part->cmsg_type = SCM_RIGHTS;
		part->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(part), fds, count * sizeof(int));
	}
	ck_assert_int_eq((int)sendmsg(ends[1], &header, MSG_NOSIGNAL), (int)size);
	close(null);
}

static int receive(struct message *message, int *fd)
{
	unsigned before = count_fds();
	*fd = -1;
	int ret = channel_receive(ends[0], message, fd);
	ck_assert_uint_eq(count_fds(), before + (ret > 0 && *fd >= 0));
	if (ret <= 0)
		ck_assert_int_eq(*fd, -1);
	return ret;
}

START_TEST(a_message_arrives)
{
	const struct message sent = {.type = MESSAGE_EXITED, .id = 7, .a = -3, .value = UINT64_MAX, .detail = "x"};
	struct message message;
	int fd;
	ck_assert_int_eq(receive(&message, &fd), -EAGAIN);
	ck_assert_int_eq(channel_send(ends[1], &sent, NULL, 0), 0);
	ck_assert_int_eq(receive(&message, &fd), 1);
	ck_assert_int_eq(memcmp(&sent, &message, sizeof sent), 0);
	ck_assert_int_eq(fd, -1);
	ck_assert_int_eq(receive(&message, &fd), -EAGAIN);
}
END_TEST

START_TEST(ends_are_above_the_streams)
{
	struct hutch_error err;
	int low[2];
	for (int fd = 0; fd < 3; fd++)
		close(fd);
	int ret = channel_pair(low, &err);
	int above = ret == 0 && low[0] > 2 && low[1] > 2 && fcntl(0, F_GETFD) < 0 && fcntl(1, F_GETFD) < 0 && fcntl(2, F_GETFD) < 0;
	int cloexec = ret == 0 && fcntl(low[0], F_GETFD) == FD_CLOEXEC && fcntl(low[1], F_GETFD) == FD_CLOEXEC;
	for (int fd = 0; fd < 3; fd++)
		if (open("/dev/null", O_RDWR) != fd)
			above = 0;
	ck_assert(above && cloexec);
	close(low[0]);
	close(low[1]);
}
END_TEST

START_TEST(descriptors_travel)
{
	const struct message sent = {.type = MESSAGE_TERMINAL, .id = 1};
	struct message message;
	int fd, null = open("/dev/null", O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(channel_send(ends[1], &sent, &null, 1), 0);
	close(null);
	ck_assert_int_eq(receive(&message, &fd), 1);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	int many[MESSAGE_FDS + 1] = {0};
	ck_assert_int_eq(channel_send(ends[1], &sent, many, MESSAGE_FDS + 1), -E2BIG);
	ck_assert_int_eq(channel_send(ends[1], &sent, many, MESSAGE_FDS), 0);
	ck_assert_int_eq(receive(&message, &fd), -EBADMSG);
}
END_TEST

START_TEST(sizes_that_are_no_message)
{
	static const char junk[4096];
	struct message message;
	int fd;
	for (size_t size = 1; size < sizeof junk; size += size < 200 ? 1 : 777) {
		if (size == sizeof message)
			continue;
		peer_sends(junk, size, 0);
		ck_assert_msg(receive(&message, &fd) == -EBADMSG, "%zu bytes", size);
		peer_sends(junk, size, 3);
		ck_assert_msg(receive(&message, &fd) == -EBADMSG, "%zu bytes and descriptors", size);
	}
	peer_sends(junk, 0, 2);
	ck_assert_int_eq(receive(&message, &fd), -EBADMSG);
}
END_TEST

/* Only init's messages, each with its number of descriptors: everything else is closed again. */
START_TEST(types_and_numbers_of_descriptors)
{
	static const uint32_t types[] = {0, MESSAGE_GO, MESSAGE_SETUP, MESSAGE_EXEC, MESSAGE_SIGNAL, MESSAGE_KILL_ALL, MESSAGE_SUSPEND, MESSAGE_CHANGES, MESSAGE_READY,
	                                 MESSAGE_FAILED, MESSAGE_TERMINAL, MESSAGE_STARTED, MESSAGE_NOT_STARTED, MESSAGE_EXITED, MESSAGE_STOPPED, MESSAGE_TYPES,
	                                 MESSAGE_TYPES + 1, 0x7fffffff, 0x80000000, 0xffffffff};
	static const unsigned counts[] = {0, 1, 2, 16, MESSAGE_FDS, 253};
	for (int i = 0; i < COUNT(types); i++)
		for (int j = 0; j < COUNT(counts); j++) {
			struct message sent = {.type = types[i]}, message;
			int fd;
			bool good = types[i] >= MESSAGE_READY && types[i] < MESSAGE_TYPES && counts[j] == (types[i] == MESSAGE_TERMINAL);
			peer_sends(&sent, sizeof sent, counts[j]);
			ck_assert_msg(receive(&message, &fd) == (good ? 1 : -EBADMSG), "type %u with %u descriptors", types[i], counts[j]);
			if (fd >= 0)
				close(fd);
		}
}
END_TEST

START_TEST(texts_are_terminated)
{
	struct message sent = {.type = MESSAGE_FAILED}, message;
	int fd;
	memset(sent.detail, 'x', sizeof sent.detail);
	peer_sends(&sent, sizeof sent, 0);
	ck_assert_int_eq(receive(&message, &fd), 1);
	ck_assert_uint_eq(strlen(message.detail), sizeof message.detail - 1);
}
END_TEST

START_TEST(the_end_of_the_peer)
{
	const struct message sent = {.type = MESSAGE_READY};
	struct message message;
	int fd;
	ck_assert_int_eq(channel_send(ends[1], &sent, NULL, 0), 0);
	close(ends[1]);
	ck_assert_int_eq(receive(&message, &fd), 1); /* its last words are heard */
	ck_assert_int_eq(receive(&message, &fd), 0);
	ck_assert_int_eq(channel_send(ends[0], &sent, NULL, 0), -EPIPE);
	ends[1] = open("/dev/null", O_RDONLY | O_CLOEXEC);
}
END_TEST

/* It dies with a message of ours unread: an error for recvmsg, no different for us. */
START_TEST(the_end_of_a_deaf_peer)
{
	const struct message sent = {.type = MESSAGE_SIGNAL};
	struct message message;
	int fd;
	const struct message last = {.type = MESSAGE_FAILED, .a = 42};
	ck_assert_int_eq(channel_send(ends[0], &sent, NULL, 0), 0);
	ck_assert_int_eq(channel_send(ends[1], &last, NULL, 0), 0);
	close(ends[1]);
	ck_assert_int_eq(receive(&message, &fd), 1); /* why it died */
	ck_assert_int_eq(message.a, 42);
	ck_assert_int_eq(receive(&message, &fd), 0);
	ck_assert_int_eq(receive(&message, &fd), 0);
	ends[1] = open("/dev/null", O_RDONLY | O_CLOEXEC);
}
END_TEST

START_TEST(a_peer_that_does_not_read)
{
	const struct message sent = {.type = MESSAGE_SIGNAL};
	int ret = 0;
	ck_assert_int_eq(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	for (int i = 0; i < 100000 && ret == 0; i++)
		ret = channel_send(ends[0], &sent, NULL, 0);
	ck_assert_int_eq(ret, -EAGAIN);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("channel");
	TCase *tests = tcase_create("channel");
	tcase_set_timeout(tests, 60);
	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_test(tests, a_message_arrives);
	tcase_add_test(tests, ends_are_above_the_streams);
	tcase_add_test(tests, descriptors_travel);
	tcase_add_test(tests, sizes_that_are_no_message);
	tcase_add_test(tests, types_and_numbers_of_descriptors);
	tcase_add_test(tests, texts_are_terminated);
	tcase_add_test(tests, the_end_of_the_peer);
	tcase_add_test(tests, the_end_of_a_deaf_peer);
	tcase_add_test(tests, a_peer_that_does_not_read);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
