/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_TOOLS_SIGNALS_H
#define HUTCH_TOOLS_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

/* Signals of a foreground program as bytes of a descriptor. */
struct signals {
	int fd;            /* readable when one has come; -1: not open */
	sigset_t before;   /* the mask of this process's caller */
};

#define SIGNALS_NONE ((struct signals){.fd = -1})

/* From here on INT TERM HUP QUIT WINCH TSTP CONT arrive at fd, except those that the caller had this process ignore. 0, or
 * a negative errno. */
int signals_open(struct signals *signals);

/* The next one, 0 if there is none. */
int signals_next(struct signals *signals);

/* Stops this process the way ^Z does, with its whole process group if `group`; returns when it is continued. Where nobody
 * could continue it (an orphaned process group), the kernel does not stop it and this returns at once. */
void signals_stop_self(bool group);

/* What came in the meantime is forgotten. */
void signals_close(struct signals *signals);

#endif
