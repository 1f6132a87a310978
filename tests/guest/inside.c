/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inside HALF HALF [KIND=WHERE...]: looks for a token in everything that it can reach, prints "found WHERE" for each find
 * and "looked KIND COUNT" for what it looked at. The token comes in two halves, so that its own arguments, and those of
 * the hutch that started it, are no find.
 *
 * KIND is root (a directory to search instead of "/"), file, unix, tcp4, tcp6, udp4 (a port), shm (a key). Names of abstract sockets, message queues and keys are
 * "hutch-canary-" and the token.
 */
#include "guest.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define LOOK_MAX (256 * 1024)

static char token[128], canary[160];
static char buffer[LOOK_MAX];
static unsigned files, processes;

static void found(const char *kind, const char *where)
{
	printf("found %s %s\n", kind, where);
}

static void search(const char *kind, const char *where, const char *data, size_t size)
{
	if (memmem(data, size, token, strlen(token)))
		found(kind, where);
}

static void search_fd(const char *kind, const char *where, int fd)
{
	size_t size = 0;
	ssize_t got;
	while (size < sizeof buffer && (got = read(fd, buffer + size, sizeof buffer - size)) > 0)
		size += (size_t)got;
	search(kind, where, buffer, size);
}

static void search_file(const char *kind, const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return;
	files++;
	search_fd(kind, path, fd);
	close(fd);
}

/* ---- files ---- */

/* Every name and every small file below a directory. Not /proc (looked at on its own), not the system's programs. */
static void search_tree(const char *path, unsigned depth)
{
	static const char *const pruned[] = {"/proc", "/sys", "/usr", "/opt", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/etc/ssl", NULL};
	for (unsigned i = 0; pruned[i]; i++)
		if (strcmp(path, pruned[i]) == 0)
			return;
	DIR *dir = depth < 12 ? opendir(path) : NULL;
	struct dirent *entry;
	while (dir && (entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		char name[4096];
		snprintf(name, sizeof name, "%s/%s", strcmp(path, "/") == 0 ? "" : path, entry->d_name);
		search("name", name, entry->d_name, strlen(entry->d_name));
		struct stat st;
		if (lstat(name, &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode))
			search_tree(name, depth + 1);
		else if (S_ISREG(st.st_mode))
			search_file("content", name);
	}
	if (dir)
		closedir(dir);
}

/* ---- processes ---- */

static void search_process(const char *pid)
{
	static const char *const parts[] = {"cmdline", "environ", "comm", "mountinfo", "status", "stack", "cgroup", "maps"};
	static const char *const places[] = {"root", "cwd"};
	char path[4200];
	processes++;
	for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++) {
		snprintf(path, sizeof path, "/proc/%s/%s", pid, parts[i]);
		search_file("process", path);
	}
	for (unsigned i = 0; i < sizeof places / sizeof *places; i++) {
		snprintf(path, sizeof path, "/proc/%s/%s", pid, places[i]);
		ssize_t length = readlink(path, buffer, 4096);
		if (length > 0)
			search("process", path, buffer, (size_t)length);
	}
	snprintf(path, sizeof path, "/proc/%s/fd", pid);
	DIR *dir = opendir(path);
	struct dirent *entry;
	while (dir && (entry = readdir(dir))) {
		char fd[4500];
		snprintf(fd, sizeof fd, "%s/%s", path, entry->d_name);
		ssize_t length = readlink(fd, buffer, 4096);
		if (length > 0)
			search("descriptor", fd, buffer, (size_t)length);
	}
	if (dir)
		closedir(dir);
}

static void search_processes(void)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	int highest = 0;
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9') {
			search_process(entry->d_name);
			highest = atoi(entry->d_name) > highest ? atoi(entry->d_name) : highest;
		}
	if (dir)
		closedir(dir);
	printf("looked processes %u\nlooked highest-pid %d\n", processes, highest);
	static const char *const global[] = {"/proc/keys", "/proc/net/unix", "/proc/sysvipc/shm", "/proc/cmdline", "/proc/mounts", "/proc/locks"};
	for (unsigned i = 0; i < sizeof global / sizeof *global; i++)
		search_file("proc", global[i]);
}

/* ---- sockets ---- */

static void search_peer(const char *kind, const char *where, int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	if (poll(&poll_fd, 1, 1000) > 0)
		search_fd(kind, where, fd);
	else
		found(kind, where); /* it accepted us at least */
}

static void try_address(const char *kind, const char *where, int type, const void *address, socklen_t size)
{
	int fd = socket(((const struct sockaddr *)address)->sa_family, type | SOCK_CLOEXEC, 0);
	char name[32];
	snprintf(name, sizeof name, "connect-%s", kind);
	int ret = fd < 0 ? -1 : connect(fd, address, size);
	say_result(name, ret);
	if (ret == 0 && type == SOCK_DGRAM) {
		struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
		if (send(fd, "?", 1, 0) == 1 && poll(&poll_fd, 1, 300) > 0 && recv(fd, buffer, sizeof buffer, 0) > 0)
			found(kind, where);
	} else if (ret == 0) {
		search_peer(kind, where, fd);
	}
	if (fd >= 0)
		close(fd);
}

static void try_unix(const char *kind, const char *path, bool is_abstract)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(path);
	if (length > sizeof address.sun_path - 2)
		return;
	memcpy(address.sun_path + is_abstract, path, length);
	try_address(kind, path, SOCK_STREAM, &address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1));
}

static void try_port(const char *kind, const char *port, bool is_six, int type)
{
	if (is_six) {
		struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)atoi(port)), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
		try_address(kind, port, type, &address, sizeof address);
		return;
	}
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	try_address(kind, port, type, &address, sizeof address);
}

/* ---- IPC and keys ---- */

static void search_shm(int id, const char *where)
{
	struct shmid_ds info;
	if (shmctl(id, IPC_STAT, &info) < 0)
		return;
	void *memory = shmat(id, NULL, SHM_RDONLY);
	if (memory == (void *)-1)
		return;
	search("shm", where, memory, info.shm_segsz < LOOK_MAX ? info.shm_segsz : LOOK_MAX);
	shmdt(memory);
}

static void search_ipc(void)
{
	struct shmid_ds info;
	int highest = shmctl(0, SHM_INFO, &info);
	printf("looked shm %d\n", highest);
	for (int i = 0; i <= highest && i < 4096; i++) {
		int id = shmctl(i, SHM_STAT, &info);
		if (id >= 0)
			search_shm(id, "by-index");
	}
	char name[200];
	snprintf(name, sizeof name, "/%s", canary);
	mqd_t queue = mq_open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	say_result("mq_open", queue);
	if (queue != (mqd_t)-1)
		found("mq", "by-name");
}

static void search_keys(void)
{
	static const struct {
		const char *name;
		int ring;
	} rings[] = {{"key-session", KEY_SPEC_SESSION_KEYRING}, {"key-user", KEY_SPEC_USER_KEYRING}, {"key-user-session", KEY_SPEC_USER_SESSION_KEYRING}};
	for (unsigned i = 0; i < sizeof rings / sizeof *rings; i++) {
		long key = syscall(SYS_keyctl, KEYCTL_SEARCH, rings[i].ring, "user", canary, 0);
		say_result(rings[i].name, key);
		long size = key < 0 ? -1 : syscall(SYS_keyctl, KEYCTL_READ, key, buffer, sizeof buffer);
		if (size > 0)
			search("key", rings[i].name, buffer, (size_t)size);
	}
	long key = syscall(SYS_request_key, "user", canary, NULL, 0);
	say_result("key-request", key);
	if (key >= 0)
		found("key", "request");
}

/* '@' stands for the token, so that no argument has it. */
static char *expand(const char *text)
{
	static char path[8192];
	const char *at = strchr(text, '@');
	snprintf(path, sizeof path, "%.*s%s%s", at ? (int)(at - text) : (int)strlen(text), text, at ? token : "", at ? at + 1 : "");
	return path;
}

int verb_inside(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	snprintf(token, sizeof token, "%s%s", argv[0], argv[1]);
	snprintf(canary, sizeof canary, "hutch-canary-%s", token);
	for (char **entry = environ; *entry; entry++)
		search("env", *entry, *entry, strlen(*entry));
	search_processes();
	bool is_told = false;
	for (int i = 2; i < argc; i++)
		if (strncmp(argv[i], "root=", 5) == 0) {
			search_tree(argv[i] + 5, 0);
			is_told = true;
		}
	if (!is_told)
		search_tree("/", 0);
	printf("looked files %u\n", files);
	search_ipc();
	search_keys();
	try_unix("abstract", canary, true);
	for (int i = 2; i < argc; i++) {
		char *where = strchr(argv[i], '=');
		if (!where)
			return 2;
		*where++ = '\0';
		where = expand(where);
		if (strcmp(argv[i], "root") == 0)
			continue;
		if (strcmp(argv[i], "file") == 0)
			search_file("file", where);
		else if (strcmp(argv[i], "unix") == 0)
			try_unix("unix", where, false);
		else if (strcmp(argv[i], "shm") == 0)
			search_shm(shmget(atoi(where), 0, 0), "by-key");
		else
			try_port(argv[i], where, strchr(argv[i], '6') != NULL, argv[i][0] == 'u' ? SOCK_DGRAM : SOCK_STREAM);
	}
	printf("done ok\n");
	return 0;
}
