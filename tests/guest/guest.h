/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_TESTS_GUEST_H
#define HUTCH_TESTS_GUEST_H

/*
 * A static program that runs inside a sandbox and tells what it sees: one fact a line, "name value", on stdout. It
 * judges nothing; tests/escape does. Every attempt is harmless where it succeeds: arguments are invalid, or the effect is
 * on the caller alone.
 */

#include <stdbool.h>
#include <stddef.h>

/* Prints "name ok" for error 0, else the error's name. */
void say_errno(const char *name, int error);
/* The same for what a system call returned: -1 and errno. */
void say_result(const char *name, long result);

int verb_syscalls(int argc, char **argv);
int verb_sockets(int argc, char **argv);
int verb_abi(int argc, char **argv);
int verb_userns(int argc, char **argv);
int verb_attempts(int argc, char **argv);
int verb_orphans(int argc, char **argv);
int verb_inside(int argc, char **argv);
int verb_fds(int argc, char **argv);
int verb_status(int argc, char **argv);
int verb_ids(int argc, char **argv);
int verb_tty(int argc, char **argv);
int verb_init(int argc, char **argv);
int verb_access(int argc, char **argv);
int verb_list(int argc, char **argv);
int verb_cat(int argc, char **argv);
int verb_dotdot(int argc, char **argv);
int verb_suidfile(int argc, char **argv);
int verb_tree(int argc, char **argv);
int verb_traceme(int argc, char **argv);

#endif
