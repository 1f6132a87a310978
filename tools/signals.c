/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals, read like input.
 *
 * They are blocked and read from a signalfd, so that no code of hutch runs inside a handler. Blocked signals come through a
 * signalfd even when they are ignored, which is why those that were ignored from the start (nohup, a job of a shell without
 * job control) are left alone.
 */
#include "signals.h"

#include <errno.h>
#include <stddef.h>
#include <sys/signalfd.h>
#include <unistd.h>

static const int handled[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP, SIGCONT};

static bool is_ignored(int signo)
{
	struct sigaction action;

	return sigaction(signo, NULL, &action) == 0 && !(action.sa_flags & SA_SIGINFO) && action.sa_handler == SIG_IGN;
}

int signals_open(struct signals *signals)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof handled / sizeof handled[0]; i++) {
		if (!is_ignored(handled[i]))
			sigaddset(&set, handled[i]);
	}
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	sigprocmask(SIG_BLOCK, &set, &signals->before);
	signals->fd = fd;
	return 0;
}

int signals_next(struct signals *signals)
{
	struct signalfd_siginfo info;

	return read(signals->fd, &info, sizeof info) == (ssize_t)sizeof info ? (int)info.ssi_signo : 0;
}

void signals_stop_self(bool group)
{
	sigset_t stop, before;

	/* TSTP and not STOP: only TSTP has the kernel look for a shell that could continue us */
	sigemptyset(&stop);
	sigaddset(&stop, SIGTSTP);
	kill(group ? 0 : getpid(), SIGTSTP);
	sigprocmask(SIG_UNBLOCK, &stop, &before);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

void signals_close(struct signals *signals)
{
	if (signals->fd < 0)
		return;
	while (signals_next(signals) > 0)
		;
	sigprocmask(SIG_SETMASK, &signals->before, NULL);
	close(signals->fd);
	signals->fd = -1;
}
