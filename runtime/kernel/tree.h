/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_KERNEL_TREE_H
#define HUTCH_KERNEL_TREE_H

/*
 * Whole directory trees: into a tar stream, out of one, away. The same code runs in the sandbox's file helper and, for
 * the other end of a copy, in the owner; on both sides what it meets is hostile: the tree may be changed while it is
 * walked, and the archive may be made to break out.
 *
 * Everything happens below a directory that was opened before. No link is ever followed, no file is opened that is not a
 * regular one, files appear under a temporary name and are renamed, and setuid, setgid and sticky bits are dropped.
 * Memory is that of the structs below, whatever the size of the tree. No libc; errors are -errno and a reason.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/tar.h"

#define TREE_DEPTH       1024u       /* directories below each other; so many descriptors may be open */
#define TREE_BUFFER      65536u
#define TREE_LISTING     32768u
#define TREE_ENTRIES_MAX 4194304u    /* of an archive */

enum tree_reason {
	TREE_NONE,
	TREE_SYSTEM,       /* a system call failed: `error` */
	TREE_NOT_REGULAR,  /* neither file nor directory where one was wanted */
	TREE_TOO_LARGE,    /* more bytes than were allowed */
	TREE_ESCAPES,      /* an entry's path is absolute, has "..", or is none */
	TREE_LINK_ESCAPES, /* a link of the archive leads out of the directory */
	TREE_LINK_IN_WAY,  /* an entry's path leads through a symbolic link */
	TREE_SPECIAL,      /* a device, FIFO or something unknown in an archive */
	TREE_CUT,          /* the archive, or the data, end too early */
	TREE_BROKEN,       /* it is no archive that is understood */
	TREE_TOO_LONG,     /* a name is too long */
	TREE_TOO_MANY,     /* entries */
	TREE_TOO_DEEP,
	TREE_REASONS
};

struct tree_report {
	uint64_t entries, bytes;
	uint64_t skipped;        /* sockets, devices, FIFOs that were left out of an archive */
	enum tree_reason reason; /* TREE_NONE: it went well */
	int error;               /* errno, positive */
	char path[TAR_PATH_MAX]; /* what failed, or the first that was left out; relative */
};

/* Remembers the first failure; returns -1. */
int tree_fail(struct tree_report *report, enum tree_reason reason, int error, const char *path);

/* A regular file, opened for reading without opening anything else on the way; `dir` and `name` as in openat(2), and a
 * link at the end is followed only with `follow`. -EISDIR; -EINVAL: it is special; -errno. *ret_size as it was then. */
int tree_open_file(int dir, const char *name, bool follow, uint64_t *ret_size);

/* Appends "/name" to a path of *length bytes; the length before, or -ENAMETOOLONG. */
int tree_push(char path[TAR_PATH_MAX], uint32_t *length, const char *name);

/* A name that nobody else uses. */
void tree_temporary(char to[40]);

/* ---- pack.c ---- */

struct pack {
	int root;
	uint64_t limit;          /* bytes of contents; 0: no bound */
	int (*write)(void *data, const void *bytes, size_t size); /* 0 or -errno */
	void *data;
	struct tree_report report;

	struct { int fd; uint32_t length; int64_t at; } levels[TREE_DEPTH];
	uint32_t depth, length;
	long filled, used;       /* of `listing` */
	struct tar_entry entry;  /* its path is the one at hand */
	unsigned char header[TAR_HEADER_MAX];
	char buffer[TREE_BUFFER];
	_Alignas(8) char listing[TREE_LISTING];
};

/* Writes all that is below `root`, without itself. What vanishes meanwhile is left out, what grows is cut, what shrinks
 * is filled with zeros. 0, or -1 and the report. */
int pack_tree(struct pack *pack);

/* ---- unpack.c ---- */

struct unpack {
	int root;
	uint64_t limit;
	bool outside_links;      /* links may lead anywhere: nothing here follows them */
	struct tar_reader reader;
	struct tree_report report;

	struct { uint32_t length, mode; int64_t mtime_s; uint32_t mtime_ns; } made[TREE_DEPTH]; /* directories whose contents are awaited */
	uint32_t depth;
	char inside[TAR_PATH_MAX]; /* the deepest of them */
	struct tar_entry entry;
	char temporary[40];
	char buffer[TREE_BUFFER];
};

/* Puts the archive below `root`. Existing files are replaced, existing directories filled and otherwise left as they are.
 * What was done before a failure stays. 0, or -1 and the report. */
int unpack_tree(struct unpack *unpack);

/* ---- erase.c ---- */

struct erase {
	struct tree_report report;
	uint32_t dev_major, dev_minor;
	struct { int fd; uint32_t length; } levels[TREE_DEPTH];
	uint32_t depth, length;
	uint32_t moved;
	char path[TAR_PATH_MAX];
	_Alignas(8) char listing[TREE_LISTING];
};

/* Removes `name` in `dir`: a file, a link itself, an empty directory, or with `recursive` any directory, however deep. It
 * does not enter another file system. 0, or -1 and the report. */
int erase_tree(struct erase *erase, int dir, const char *name, bool recursive);

#endif
