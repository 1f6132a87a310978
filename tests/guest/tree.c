/* SPDX-License-Identifier: Apache-2.0 */
/* The file tree: what can be read and written, where ".." leads, which modes can be given to files. */
#include "guest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

/* cat FILE...: as it is. */
int verb_cat(int argc, char **argv)
{
	char buffer[65536];
	for (int i = 0; i < argc; i++) {
		int fd = open(argv[i], O_RDONLY | O_CLOEXEC);
		ssize_t size;
		while (fd >= 0 && (size = read(fd, buffer, sizeof buffer)) > 0)
			fwrite(buffer, 1, (size_t)size, stdout);
		if (fd < 0)
			return 1;
		close(fd);
	}
	return 0;
}

/* list DIR...: "PATH KIND MAJOR:MINOR" for each entry. */
int verb_list(int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		DIR *dir = opendir(argv[i]);
		struct dirent *entry;
		while (dir && (entry = readdir(dir))) {
			char path[4096];
			struct stat st;
			if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
				continue;
			snprintf(path, sizeof path, "%s/%s", argv[i], entry->d_name);
			if (lstat(path, &st) < 0)
				continue;
			const char *kind = S_ISCHR(st.st_mode) ? "char" : S_ISBLK(st.st_mode) ? "block" : S_ISDIR(st.st_mode) ? "dir" :
			                   S_ISLNK(st.st_mode) ? "link" : S_ISSOCK(st.st_mode) ? "socket" : S_ISREG(st.st_mode) ? "file" : "other";
			printf("%s %s %u:%u\n", path, kind, major(st.st_rdev), minor(st.st_rdev));
		}
		if (dir)
			closedir(dir);
	}
	return 0;
}

static long count_entries(const char *path)
{
	DIR *dir = opendir(path);
	long count = dir ? -2 : 0; /* . and .. */
	while (dir && readdir(dir))
		count++;
	if (dir)
		closedir(dir);
	return count;
}

static const char *error_name(int error)
{
	const char *name = strerrorname_np(error);
	return name ? name : "?";
}

/* access PATH...: "PATH READ WRITE": bytes or entries that can be read, or an error; whether it can be opened for
 * writing (a directory: whether a file can be made in it). Nothing is written. */
int verb_access(int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		struct stat st;
		char buffer[4096], name[4096];
		printf("%s ", argv[i]);
		if (stat(argv[i], &st) < 0) {
			printf("%s %s\n", error_name(errno), error_name(errno));
			continue;
		}
		bool is_dir = S_ISDIR(st.st_mode);
		int fd = open(argv[i], O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		ssize_t size = fd < 0 ? -1 : is_dir ? count_entries(argv[i]) : read(fd, buffer, sizeof buffer);
		if (size < 0)
			printf("%s ", error_name(errno));
		else
			printf("%zd ", size);
		if (fd >= 0)
			close(fd);
		snprintf(name, sizeof name, "%s/hutch-probe", argv[i]);
		fd = is_dir ? open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : open(argv[i], O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		printf("%s\n", fd < 0 ? error_name(errno) : "ok");
		if (fd >= 0)
			close(fd);
		if (fd >= 0 && is_dir)
			unlink(name);
	}
	return 0;
}

/* ---- the way up ---- */

static bool is_root(int fd, const struct stat *root)
{
	struct stat st;
	return fstat(fd, &st) == 0 && st.st_dev == root->st_dev && st.st_ino == root->st_ino;
}

/* 100 steps up from a directory; where that ends. */
static void climb(const char *name, int fd, const struct stat *root)
{
	for (unsigned i = 0; fd >= 0 && i < 100; i++) {
		int up = open("..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (up < 0 || fchdir(up) < 0) {
			printf("%s stuck %s\n", name, error_name(errno));
			return;
		}
		close(up);
	}
	int end = fd < 0 ? -1 : open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char cwd[4096];
	long length = syscall(SYS_getcwd, cwd, sizeof cwd);
	printf("%s %s %s\n", name, end < 0 ? "closed" : is_root(end, root) ? "root" : "OUTSIDE", length > 0 ? cwd : "-");
	if (end >= 0)
		close(end);
}

/* dotdot DIR...: from those, from the working directory and from every descriptor. */
int verb_dotdot(int argc, char **argv)
{
	struct stat root;
	if (stat("/", &root) < 0)
		return 1;
	climb("start", open(".", O_PATH | O_DIRECTORY | O_CLOEXEC), &root);
	for (int i = 0; i < argc; i++)
		if (chdir(argv[i]) == 0)
			climb(argv[i], open(".", O_PATH | O_DIRECTORY | O_CLOEXEC), &root);
	for (int fd = 0; fd < 1024; fd++) {
		char name[32];
		snprintf(name, sizeof name, "fd-%d", fd);
		if (fchdir(fd) == 0)
			climb(name, fd, &root);
	}
	return 0;
}

/* ---- modes ---- */

static void say_mode(const char *how, const char *path, int error)
{
	struct stat st;
	bool has = lstat(path, &st) == 0;
	printf("%s %s %04o\n", how, error ? error_name(error) : "ok", has ? st.st_mode & 07777 : 0);
}

static void plain(const char *path)
{
	unlink(path);
	close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
}

static int result(long ret)
{
	return ret < 0 ? errno : 0;
}

/* A socket's inode takes a mode before it has a name. */
static int bind_socket(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof address.sun_path, "%.100s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int changed = result(fchmod(fd, 06755));
	int ret = result(bind(fd, (const struct sockaddr *)&address, sizeof address));
	close(fd);
	return changed ? changed : ret;
}

static int open_with(long flags, const char *path, long mode)
{
	long fd = syscall(SYS_openat, AT_FDCWD, path, flags, mode);
	int error = result(fd);
	if (fd >= 0)
		close((int)fd);
	return error;
}

/* suidfile DIR: every call that can leave a set-user-ID or set-group-ID file there; "HOW ERROR MODE". Nothing is
 * removed, so that the outside can look, too. */
int verb_suidfile(int argc, char **argv)
{
	if (argc != 1 || chdir(argv[0]) < 0)
		return 2;
	umask(0);
	struct {
		uint64_t flags, mode, resolve;
	} how = {O_CREAT | O_WRONLY, 04755, 0};
	plain("fchmodat");
	say_mode("fchmodat", "fchmodat", result(syscall(SYS_fchmodat, AT_FDCWD, "fchmodat", 04755)));
	plain("fchmodat2");
	say_mode("fchmodat2", "fchmodat2", result(syscall(452, AT_FDCWD, "fchmodat2", 04755, 0)));
	plain("sgid");
	say_mode("sgid", "sgid", result(syscall(SYS_fchmodat, AT_FDCWD, "sgid", 02755)));
	plain("fchmod");
	int fd = open("fchmod", O_RDWR | O_CLOEXEC);
	say_mode("fchmod", "fchmod", result(fchmod(fd, 06755)));
	close(fd);
	say_mode("openat", "openat", open_with(O_CREAT | O_WRONLY, "openat", 04755));
	say_mode("openat-high", "openat-high", open_with((1L << 32) | O_CREAT | O_WRONLY, "openat-high", 04755));
	int tmp = (int)syscall(SYS_openat, AT_FDCWD, ".", O_TMPFILE | O_RDWR, 06755);
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d", tmp);
	int error = result(tmp);
	if (tmp >= 0)
		error = result(linkat(AT_FDCWD, path, AT_FDCWD, "tmpfile", AT_SYMLINK_FOLLOW));
	say_mode("tmpfile", "tmpfile", error);
	say_mode("openat2", "openat2", result(syscall(437, AT_FDCWD, "openat2", &how, sizeof how)));
	say_mode("mknodat", "mknodat", result(syscall(SYS_mknodat, AT_FDCWD, "mknodat", S_IFREG | 04755, 0)));
	say_mode("mkdirat", "mkdirat", result(syscall(SYS_mkdirat, AT_FDCWD, "mkdirat", 06755)));
	say_mode("socket", "socket", bind_socket("socket"));
#if defined(__x86_64__)
	plain("chmod");
	say_mode("chmod", "chmod", result(syscall(SYS_chmod, "chmod", 04755)));
	say_mode("creat", "creat", result(syscall(SYS_creat, "creat", 04755)));
	say_mode("open", "open", result(syscall(SYS_open, "open", O_CREAT | O_WRONLY, 04755)));
	say_mode("mkdir", "mkdir", result(syscall(SYS_mkdir, "mkdir", 02755)));
	say_mode("mknod", "mknod", result(syscall(SYS_mknod, "mknod", S_IFREG | 04755, 0)));
#endif
	plain("control");
	say_mode("control", "control", result(chmod("control", 0755)));
	say_errno("device", result(syscall(SYS_mknodat, AT_FDCWD, "device", S_IFCHR | 0666, makedev(1, 3))));
	say_errno("block", result(syscall(SYS_mknodat, AT_FDCWD, "block", S_IFBLK | 0666, makedev(7, 0))));
	return 0;
}
