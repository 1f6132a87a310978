/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_ENGINE_PROGRAM_H
#define HUTCH_ENGINE_PROGRAM_H

/*
 * Helper programs: finding and starting them from inside somebody else's process.
 *
 * The child shares the caller's memory until its exec (a caller with a big heap would take long to copy its page tables)
 * and runs on a stack of its own, with raw system calls only: the caller's threads, locks, errno and handlers do not
 * matter. No SIGCHLD is raised, and the child is reaped by its pidfd.
 */

/*
 * One of our own programs, by file name: the one that `variable` of the environment names (for tests), else the one next
 * to this library or program (a build tree, or an installation that was moved), else below libexec as it was installed. A
 * file that belongs to somebody else than root and the caller, or that others may write to, is never executed.
 * A descriptor, or -ENOENT.
 */
int program_open(const char *name, const char *variable);

struct program {
	int file;                /* as opened above, or ... */
	const char *path;        /* ... NULL */
	const char *const *argv, *const *env;
	int socket;              /* becomes descriptor 3, the last one that stays open; 0: none does above 2. 4 or more */
};

/* 0 when it executes: its pidfd, to be given to program_wait. Else -errno. */
int program_start(const struct program *program, int *ret_pidfd);

/* Waits for the end, reaps and closes. The exit code (128 and more: signal), or -errno (-ECHILD: the caller ignores SIGCHLD). */
int program_wait(int pidfd);

#endif
