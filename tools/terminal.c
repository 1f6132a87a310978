/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw mode, and the way out of it.
 *
 * While the command has a terminal of its own, every key belongs to it, ^C and ^Z too: our terminal passes bytes and makes
 * no signals. It has to be set back whatever happens: the normal ways out call terminal_leave(); a signal that ends this
 * process on the spot (a crash, USR1, ALRM) is caught for that one purpose and then ends it. Only KILL leaves it raw.
 *
 * Setting the modes from the background would stop this process (TTOU) or take the terminal from whoever has it, so nothing
 * is set unless our process group is in the foreground.
 */
#include "terminal.h"

#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP, SIGXCPU, SIGXFSZ, SIGALRM, SIGVTALRM,
                            SIGPROF, SIGUSR1, SIGUSR2, SIGIO, SIGPWR};

/* A handler is given nothing but a number: what it has to set back can only stand here. */
static struct termios emergency_modes;
static volatile sig_atomic_t emergency_fd = -1;

static void restore_and_die(int signo)
{
	if (emergency_fd >= 0)
		tcsetattr(emergency_fd, TCSANOW, &emergency_modes);
	/* SA_RESETHAND has made it fatal again; it is delivered when this returns */
	raise(signo);
}

static void arm(const struct terminal *terminal)
{
	struct sigaction action = {.sa_handler = restore_and_die, .sa_flags = (int)(SA_RESETHAND)};

	emergency_modes = terminal->saved;
	emergency_fd = terminal->fd;
	sigfillset(&action.sa_mask);
	for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++) {
		struct sigaction before;
		if (sigaction(fatal[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
			sigaction(fatal[i], &action, NULL);
	}
}

static bool is_foreground(int fd)
{
	return tcgetpgrp(fd) == getpgrp();
}

static bool set_modes(int fd, const struct termios *modes)
{
	sigset_t ttou, before;

	/* between is_foreground() and here we may have been put into the background: blocked, TTOU does not stop us */
	sigemptyset(&ttou);
	sigaddset(&ttou, SIGTTOU);
	sigprocmask(SIG_BLOCK, &ttou, &before);
	bool is_set = tcsetattr(fd, TCSANOW, modes) == 0;
	sigprocmask(SIG_SETMASK, &before, NULL);
	return is_set;
}

int terminal_reopen(int fd)
{
	char path[32];

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return open(path, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

bool terminal_enter(struct terminal *terminal)
{
	if (terminal->fd < 0 || !is_foreground(terminal->fd))
		return false;
	/* after a stop from outside the shell has its own modes set, and ours are still to be restored in the end */
	if (!terminal->is_raw && tcgetattr(terminal->fd, &terminal->saved) < 0)
		return false;
	struct termios raw = terminal->saved;
	cfmakeraw(&raw);
	if (terminal->is_shared)
		raw.c_oflag |= terminal->saved.c_oflag & OPOST;
	arm(terminal);
	terminal->is_raw = set_modes(terminal->fd, &raw);
	return terminal->is_raw;
}

void terminal_leave(struct terminal *terminal)
{
	if (!terminal->is_raw)
		return;
	terminal->is_raw = false;
	if (is_foreground(terminal->fd))
		set_modes(terminal->fd, &terminal->saved);
	emergency_fd = -1;
}

void terminal_size(int fd, uint16_t *rows, uint16_t *columns)
{
	struct winsize size;

	if (fd < 0 || ioctl(fd, TIOCGWINSZ, &size) < 0 || !size.ws_row || !size.ws_col)
		return;
	*rows = size.ws_row;
	*columns = size.ws_col;
}
