/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"

#define STATUS_MAX (4u << 20)
#define LOCK_TRIES 1000 /* of 10 ms */
#define BURY_TRIES 10   /* of 2 ms */

/* ---- names ---- */

bool store_is_id(const char *text)
{
	return strlen(text) == 12 && strspn(text, "0123456789abcdef") == 12;
}

bool store_is_name(const char *text)
{
	static const char first[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	static const char rest[] = "abcdefghijklmnopqrstuvwxyz0123456789_.-";
	size_t length = strnlen(text, STORE_NAME_SIZE);
	return length > 0 && length < STORE_NAME_SIZE && strchr(first, text[0]) && strspn(text, rest) == length && !store_is_id(text);
}

int store_check_name(const char *name, struct hutch_error *err)
{
	if (store_is_name(name))
		return 0;
	return err_hint(err, err_set(err, HUTCH_E_INVALID, "name: \"%.64s\" is not a name", name),
	                "a name has 1 to 63 characters of a-z 0-9 _ . - and begins with one of a-z 0-9; 12 hexadecimal digits are an id");
}

void store_boot_id(char ret[40])
{
	CLEANUP_CLOSE int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, ret, 39);
	ret[size < 0 ? 0 : size] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
}

/* ---- the run directory ---- */

/* A directory that nobody else can change; -errno, -EPERM if it is somebody else's. */
static int open_own(int dir, const char *path)
{
	struct stat st;
	CLEANUP_CLOSE int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	return st.st_uid == geteuid() && !(st.st_mode & 022) ? TAKE_FD(fd) : -EPERM;
}

static int open_or_make(int dir, const char *name, bool make)
{
	int fd = open_own(dir, name);
	if (fd != -ENOENT || !make)
		return fd;
	if (mkdirat(dir, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	return open_own(dir, name);
}

static int open_path(int parent, const char *const *names, bool make)
{
	CLEANUP_CLOSE int dir = parent;
	for (; dir >= 0 && *names; names++) {
		int next = open_or_make(dir, *names, make);
		cleanup_close(&dir);
		dir = next;
	}
	return TAKE_FD(dir);
}

/* ~/.local/state, which other programs have made, too: only what is below it is ours to judge. */
static int open_state(const char *home, bool make)
{
	static const char *const names[] = {".local", "state"};
	CLEANUP_CLOSE int dir = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (unsigned i = 0; i < 2 && dir >= 0; i++) {
		if (make && mkdirat(dir, names[i], 0700) < 0 && errno != EEXIST)
			return -errno;
		int next = openat(dir, names[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		cleanup_close(&dir);
		dir = next;
	}
	return dir < 0 ? -errno : TAKE_FD(dir);
}

/* The first of the places that an ordinary user has; *ret_path says which. */
static int open_user_place(bool make, char *ret_path, size_t size)
{
	static const char *const hutch[] = {"hutch", NULL}, *const run[] = {"hutch", "run", NULL};
	const char *runtime = getenv("XDG_RUNTIME_DIR"), *home = getenv("HOME");
	int dir = -ENOENT;
	if (runtime && runtime[0] == '/') {
		snprintf(ret_path, size, "%s/hutch", runtime);
		dir = open_own(AT_FDCWD, runtime);
	}
	if (dir < 0) {
		snprintf(ret_path, size, "/run/user/%u", (unsigned)geteuid());
		dir = open_own(AT_FDCWD, ret_path);
		snprintf(ret_path, size, "/run/user/%u/hutch", (unsigned)geteuid());
	}
	if (dir >= 0)
		return open_path(dir, hutch, make);
	if (!home || home[0] != '/')
		return -ENOENT;
	snprintf(ret_path, size, "%s/.local/state/hutch/run", home);
	dir = open_state(home, make);
	return dir < 0 ? dir : open_path(dir, run, make);
}

int store_open(bool make, struct hutch_error *err)
{
	char path[4200] = "/run/hutch";
	CLEANUP_CLOSE int dir = geteuid() == 0 ? open_or_make(AT_FDCWD, path, make) : open_user_place(make, path, sizeof path);
	if (dir == -EPERM || dir == -ELOOP || dir == -ENOTDIR)
		return err_hint(err, err_set(err, HUTCH_E_INVALID, "%.300s is not a directory that only you can write to", path), "remove it, or give it to yourself (chown, chmod 0700)");
	if (dir == -ENOENT)
		return err_set(err, HUTCH_E_NOT_FOUND, "there is no run directory%s", make ? ": neither XDG_RUNTIME_DIR nor HOME is set" : "");
	if (dir < 0)
		return err_sys(err, HUTCH_E_SYSTEM, -dir, "cannot open the run directory %.300s", path);
	if (make && fchmod(dir, 0700) < 0)
		return err_sys(err, HUTCH_E_SYSTEM, errno, "cannot set the mode of %.300s", path);
	return TAKE_FD(dir);
}

/* A lock of its own on the run directory; somebody holds it for some system calls at most. */
static int lock_root(int root, bool wait)
{
	int fd = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (unsigned i = 0; fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
		if (!wait || i == LOCK_TRIES) {
			close(fd);
			return -EAGAIN;
		}
		poll(NULL, 0, i < 20 ? 1 : 10);
	}
	return fd < 0 ? -errno : fd;
}

/* ---- status ---- */

int store_replace_file(int dir, const char *name, const void *bytes, size_t size)
{
	CLEANUP_CLOSE int fd = openat(dir, ".new", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	ssize_t written = write(fd, bytes, size);
	if (written != (ssize_t)size) {
		int error = written < 0 ? -errno : -ENOSPC;
		unlinkat(dir, ".new", 0); /* a full disk shall not stay full of halves */
		return error;
	}
	if (renameat(dir, ".new", dir, name) == 0)
		return 0;
	return -errno;
}

int store_write_status(const struct store_entry *entry, const struct pack_status *status, struct hutch_error *err)
{
	CLEANUP_FREE void *bytes = NULL;
	size_t size;
	int ret = pack_status_write(status, &bytes, &size);
	if (ret < 0)
		return err_set(err, -ret, "the status of the sandbox cannot be written");
	ret = store_replace_file(entry->dir, "status", bytes, size);
	return ret < 0 ? err_sys(err, HUTCH_E_SYSTEM, -ret, "cannot write the status of the sandbox") : 0;
}

int store_read_file(int dir, const char *name, size_t max, void **ret, size_t *ret_size)
{
	struct stat st;
	CLEANUP_CLOSE int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_size > (off_t)max)
		return -EBADMSG;
	CLEANUP_FREE void *bytes = malloc((size_t)st.st_size + 1);
	if (!bytes)
		return -ENOMEM;
	ssize_t got = read(fd, bytes, (size_t)st.st_size);
	if (got < 0)
		return -errno;
	*ret = TAKE(bytes);
	*ret_size = (size_t)got;
	return 0;
}

/* ---- liveness ---- */

/* -1: cannot be told; else the lock is free, and *ret_lock holds it. */
static bool try_lock(int dir, int operation, int *ret_lock)
{
	CLEANUP_CLOSE int lock = openat(dir, "lock", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	*ret_lock = -1;
	if (lock < 0)
		return errno == ENOENT;
	if (flock(lock, operation | LOCK_NB) < 0)
		return false;
	*ret_lock = TAKE_FD(lock);
	return true;
}

static void settle(struct store_record *record)
{
	enum hutch_sandbox_state state = (enum hutch_sandbox_state)record->status.state;
	if (!record->is_dead)
		return;
	record->status.supervisor = 0;
	if (state < HUTCH_SANDBOX_COMPLETED)
		record->status.state = HUTCH_SANDBOX_FAILED;
}

static int read_record(int dir, const char *id, struct store_record *ret)
{
	size_t size = 0;
	int error = store_read_file(dir, "status", STATUS_MAX, &ret->bytes, &size);
	if (error < 0)
		return error;
	error = pack_status_read(ret->bytes, size, &ret->memory, &ret->status) < 0 ? -EBADMSG : 0;
	return error == 0 && strcmp(ret->status.id, id) != 0 ? -EBADMSG : error;
}

int store_read(int root, const char *id, struct store_record *ret, struct hutch_error *err)
{
	*ret = (struct store_record){0};
	CLEANUP_CLOSE int dir = store_is_id(id) ? openat(root, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
	if (dir < 0)
		return err_set(err, HUTCH_E_NOT_FOUND, "there is no sandbox \"%.64s\"", id);
	CLEANUP_CLOSE int lock = -1;
	ret->is_dead = try_lock(dir, LOCK_SH, &lock);
	int error = read_record(dir, id, ret);
	if (error < 0) {
		bool is_dead = ret->is_dead;
		store_record_done(ret);
		*ret = (struct store_record){.is_dead = is_dead};
		return err_sys(err, HUTCH_E_GONE, -error, "the record of sandbox %.64s cannot be read", id);
	}
	settle(ret);
	return 0;
}

void store_record_done(struct store_record *record)
{
	pack_memory_done(&record->memory);
	free(record->bytes);
	*record = (struct store_record){0};
}

/* ---- finding ---- */

int store_each(int root, int (*each)(void *data, int root, const char *id), void *data)
{
	int fd = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	int ret = 0;
	if (!dir) {
		cleanup_close(&fd);
		return 0;
	}
	for (struct dirent *entry; ret == 0 && (entry = readdir(dir));)
		if (store_is_id(entry->d_name))
			ret = each(data, root, entry->d_name);
	closedir(dir);
	return ret;
}

static bool exists(int root, const char *id)
{
	struct stat st;
	return fstatat(root, id, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

/* The id that a name leads to. */
static bool resolve_name(int root, const char *name, char ret_id[STORE_ID_SIZE])
{
	CLEANUP_CLOSE int names = openat(root, "names", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t length = names < 0 ? -1 : readlinkat(names, name, ret_id, STORE_ID_SIZE - 1);
	if (length < 0)
		return false;
	ret_id[length] = '\0';
	return store_is_id(ret_id) && exists(root, ret_id);
}

struct search {
	const char *prefix;
	char *id;
	unsigned found;
};

static int match(void *data, int root, const char *id)
{
	struct search *search = data;
	(void)root;
	if (strncmp(id, search->prefix, strlen(search->prefix)) == 0 && search->found++ == 0)
		snprintf(search->id, STORE_ID_SIZE, "%s", id);
	return 0;
}

int store_find(int root, const char *text, char ret_id[STORE_ID_SIZE], struct hutch_error *err)
{
	if (!store_is_id(text) && !store_is_name(text))
		return err_set(err, HUTCH_E_INVALID, "\"%.64s\" is neither an id nor a name", text);
	if (store_is_id(text) && exists(root, text)) {
		snprintf(ret_id, STORE_ID_SIZE, "%s", text);
		return 0;
	}
	if (store_is_name(text) && resolve_name(root, text, ret_id))
		return 0;
	struct search search = {.prefix = text, .id = ret_id};
	store_each(root, match, &search);
	if (search.found == 1)
		return 0;
	return search.found == 0 ? err_set(err, HUTCH_E_NOT_FOUND, "there is no sandbox \"%.64s\"", text)
	                         : err_set(err, HUTCH_E_INVALID, "\"%.64s\" is the beginning of %u ids", text, search.found);
}

/* ---- making ---- */

static int take_name(int root, const char *name, const char *id, struct hutch_error *err)
{
	char owner[STORE_ID_SIZE];
	if (!name)
		return 0;
	CLEANUP_CLOSE int names = open_or_make(root, "names", true);
	if (names < 0)
		return err_sys(err, HUTCH_E_SYSTEM, -names, "cannot open the directory of names");
	if (symlinkat(id, names, name) == 0)
		return 0;
	if (errno == EEXIST && resolve_name(root, name, owner))
		return err_hint(err, err_set(err, HUTCH_E_BUSY, "the name \"%s\" is taken by sandbox %s", name, owner), "hutch rm %s, or choose another name", name);
	if (errno == EEXIST && unlinkat(names, name, 0) == 0 && symlinkat(id, names, name) == 0)
		return 0; /* its sandbox was gone */
	return err_sys(err, HUTCH_E_SYSTEM, errno, "cannot take the name \"%s\"", name);
}

static int make_entry(struct store_entry *entry, const struct pack_status *status, struct hutch_error *err)
{
	char temporary[STORE_ID_SIZE + 8];
	snprintf(temporary, sizeof temporary, ".new-%s", entry->id);
	if (mkdirat(entry->root, temporary, 0700) < 0)
		return err_sys(err, HUTCH_E_SYSTEM, errno, "cannot make a directory in the run directory");
	entry->dir = openat(entry->root, temporary, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	entry->lock = entry->dir < 0 ? -1 : openat(entry->dir, "lock", O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (entry->lock < 0 || flock(entry->lock, LOCK_EX | LOCK_NB) < 0)
		return err_sys(err, HUTCH_E_SYSTEM, errno, "cannot lock a directory in the run directory");
	int ret = store_write_status(entry, status, err);
	if (ret == 0 && renameat(entry->root, temporary, entry->root, entry->id) < 0)
		ret = err_sys(err, HUTCH_E_SYSTEM, errno, "cannot name a directory in the run directory");
	return ret;
}

int store_create(const char *id, const char *name, const struct pack_status *status, struct store_entry *ret, struct hutch_error *err)
{
	int root = store_open(true, err);
	if (root < 0)
		return root;
	CLEANUP_CLOSE int lock = lock_root(root, true);
	if (lock < 0) {
		close(root);
		return err_sys(err, HUTCH_E_SYSTEM, -lock, "cannot lock the run directory");
	}
	struct store_entry entry = {.root = root, .dir = -1, .lock = -1};
	snprintf(entry.id, sizeof entry.id, "%s", id);
	int error = take_name(root, name, id, err);
	if (error == 0)
		error = make_entry(&entry, status, err);
	if (error < 0) {
		store_entry_done(&entry); /* what is half made goes with the next sweep */
		return error;
	}
	*ret = entry;
	return 0;
}

void store_entry_done(struct store_entry *entry)
{
	cleanup_close(&entry->lock);
	cleanup_close(&entry->dir);
	cleanup_close(&entry->root);
	entry->lock = entry->dir = entry->root = -1;
}

/* ---- removing ---- */

/* Entries have no directories in them. */
static void remove_entry(int root, const char *name)
{
	int fd = openat(root, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		cleanup_close(&fd);
		return;
	}
	for (struct dirent *entry; (entry = readdir(dir));)
		unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
	unlinkat(root, name, AT_REMOVEDIR);
}

/* A name belongs to `id`, or to nobody. */
static void free_name(int root, const char *name, const char *id)
{
	char owner[STORE_ID_SIZE];
	if (!name || !store_is_name(name))
		return;
	CLEANUP_CLOSE int names = openat(root, "names", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t length = names < 0 ? -1 : readlinkat(names, name, owner, sizeof owner - 1);
	if (length < 0)
		return;
	owner[length] = '\0';
	if (strcmp(owner, id) == 0)
		unlinkat(names, name, 0);
}

/* Under the run directory's lock: nobody finds it any more. */
static void take_away(int root, const char *id, const char *name)
{
	char dead[STORE_ID_SIZE + 8];
	snprintf(dead, sizeof dead, ".dead-%s", id);
	free_name(root, name, id);
	renameat(root, id, root, dead);
	remove_entry(root, dead);
}

void store_remove(struct store_entry *entry, const char *name)
{
	if (entry->root < 0)
		return;
	CLEANUP_CLOSE int lock = lock_root(entry->root, true);
	take_away(entry->root, entry->id, name);
}

int store_bury(int root, const char *id, struct store_record *ret)
{
	*ret = (struct store_record){.is_dead = true};
	CLEANUP_CLOSE int root_lock = lock_root(root, true);
	CLEANUP_CLOSE int dir = root_lock < 0 ? -1 : openat(root, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	CLEANUP_CLOSE int lock = -1;
	bool is_dead = false;
	for (unsigned i = 0; dir >= 0 && !is_dead && i < BURY_TRIES; i++) { /* somebody may just be looking at it */
		is_dead = try_lock(dir, LOCK_EX, &lock);
		if (!is_dead)
			poll(NULL, 0, 2);
	}
	if (!is_dead)
		return 0;
	if (read_record(dir, id, ret) < 0) { /* unreadable, and nobody's */
		store_record_done(ret);
		ret->is_dead = true;
	}
	take_away(root, id, ret->status.name);
	return 1;
}

static void sweep_names(int root)
{
	char owner[STORE_ID_SIZE];
	int fd = openat(root, "names", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		cleanup_close(&fd);
		return;
	}
	for (struct dirent *entry; (entry = readdir(dir));)
		if (entry->d_name[0] != '.' && !resolve_name(root, entry->d_name, owner))
			unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
}

void store_sweep(int root)
{
	CLEANUP_CLOSE int lock = lock_root(root, false);
	int fd = lock < 0 ? -1 : openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		cleanup_close(&fd);
		return;
	}
	for (struct dirent *entry; (entry = readdir(dir));)
		if (strncmp(entry->d_name, ".new-", 5) == 0 || strncmp(entry->d_name, ".dead-", 6) == 0)
			remove_entry(root, entry->d_name);
	closedir(dir);
	sweep_names(root);
}
