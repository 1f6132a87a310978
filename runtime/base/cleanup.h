/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_BASE_CLEANUP_H
#define HUTCH_BASE_CLEANUP_H

/*
 * Scope-bound ownership. CLEANUP_CLOSE int fd = -1; closes at the end of the scope; TAKE_FD(fd) and TAKE(pointer) move
 * the value out and leave -1 or NULL behind, which is the one visible way in which ownership leaves a function.
 */

#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_close(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_free(void *pointer)
{
	free(*(void **)pointer);
}

/* unused: a lock is held by being there */
#define CLEANUP(fn)   __attribute__((cleanup(fn), unused))
#define CLEANUP_CLOSE CLEANUP(cleanup_close)
#define CLEANUP_FREE  CLEANUP(cleanup_free)

#define TAKE(pointer) ({ __auto_type taken_ = (pointer); (pointer) = NULL; taken_; })
#define TAKE_FD(fd)   ({ int taken_ = (fd); (fd) = -1; taken_; })

#endif
