/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_INIT_FILE_H
#define HUTCH_INIT_FILE_H

/*
 * The file helper: a command that is built in. It has gone through all stages of a command (no capabilities, the ids of the
 * sandbox's user, the filter), and where another executes a program it does one file operation and ends. So it can do
 * what the sandbox's user can, paths mean what they mean inside, and whatever lies in wait there (links, FIFOs, endless
 * files) can hurt this process alone, which can be killed like any command. It is a real fork with memory of its own,
 * is not dumpable, and has no descriptor but its two pipes.
 */

#include "init/launch.h"

/* Never returns 0: it ends with the operation. -errno: it could not begin. */
int file_main(struct launch *launch);

#endif
