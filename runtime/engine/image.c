/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/image.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

static int create(const char *name, int executable)
{
	unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd = memfd_create(name, flags | (executable ? MFD_EXEC : MFD_NOEXEC_SEAL));
	if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		fd = memfd_create(name, flags);
	return fd;
}

int image_memfd(const char *name, const void *data, size_t size, int executable, struct hutch_error *err)
{
	CLEANUP_CLOSE int fd = create(name, executable);
	if (fd < 0)
		return err_sys(err, HUTCH_E_SYSTEM, errno, "cannot make a memory file for %s", name);
	for (size_t at = 0; at < size;) {
		ssize_t written = write(fd, (const char *)data + at, size - at);
		if (written < 0)
			return err_sys(err, HUTCH_E_SYSTEM, errno, "cannot fill the memory file for %s", name);
		at += (size_t)written;
	}
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return err_sys(err, HUTCH_E_SYSTEM, errno, "cannot seal the memory file for %s", name);
	if (fd > 2)
		return TAKE_FD(fd);
	int moved = fcntl(fd, F_DUPFD_CLOEXEC, 3); /* 0 to 2 mean something in a new process */
	return moved < 0 ? err_sys(err, HUTCH_E_SYSTEM, errno, "cannot move a descriptor") : moved;
}
