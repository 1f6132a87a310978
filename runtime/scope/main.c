/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hutch-scope [PID]: makes hutch.scope, a transient scope of systemd with Delegate=yes in which sandboxes can have
 * their cgroups, or joins it where it exists.
 *
 * It is a program of its own because it needs libsystemd, which has no static library and which no host program of
 * libhutch should have to load. Descriptor 3 is a socket: one struct scope_answer is written to it.
 *
 * With PID, that process is in the scope afterwards. This takes the manager's help where the process comes from a login
 * session: a user may not move it across to the part of the tree that the user's manager has, but that manager asks the
 * system's. Without PID, this process is in the scope, and stays until the socket is closed: a scope ends when its last
 * process has left, and the caller, who is not moved, needs it until something else lives in it.
 *
 * Processes go into a leaf of the scope, hutch-owner: controllers cannot be enabled for a group with processes in it.
 * Everything may happen at the same time as in another process of the same user, or while the scope ends. So each try
 * takes what it finds (no such unit: make it; it exists: join it) and begins anew when that has changed meanwhile.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-bus.h>
#include <time.h>
#include <unistd.h>

#include "base/scope.h"

#define UNIT       "hutch.scope"
#define LEAF       "/hutch-owner"
#define MANAGER    "org.freedesktop.systemd1"
#define OBJECT     "/org/freedesktop/systemd1"
#define ANSWER_FD  3
#define TIMEOUT_S  10u /* for all of it: many may ask at the same time, and a manager serves one after the other */
#define SECOND_US  UINT64_C(1000000)

struct scope {
	sd_bus *bus;
	bool is_system;
	uint32_t pid;
	uint64_t deadline;
	char job[256];    /* object path; "": none */
	char result[64];  /* of the job, "" while it runs */
	char path[1024];
	char problem[512];
};

static uint64_t now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static int fail(struct scope *scope, int error, const char *what, const char *detail)
{
	snprintf(scope->problem, sizeof scope->problem, "%s: %s", what, detail ? detail : strerror(-error));
	return error;
}

/* ---- the bus ---- */

static int open_user_bus(struct scope *scope)
{
	char address[512];
	const char *dir = getenv("XDG_RUNTIME_DIR");
	int ret = sd_bus_new(&scope->bus);
	if (ret < 0)
		return ret;
	if (dir && *dir == '/' && strlen(dir) < 256 && !strpbrk(dir, ",;%"))
		snprintf(address, sizeof address, "unix:path=%s/bus;unix:path=/run/user/%u/bus;unix:path=%s/systemd/private", dir, geteuid(), dir);
	else
		snprintf(address, sizeof address, "unix:path=/run/user/%u/bus", geteuid());
	ret = sd_bus_set_address(scope->bus, address);
	if (ret >= 0)
		ret = sd_bus_set_bus_client(scope->bus, true);
	return ret < 0 ? ret : sd_bus_start(scope->bus);
}

static int open_bus(struct scope *scope)
{
	int ret = scope->is_system ? sd_bus_open_system(&scope->bus) : open_user_bus(scope);
	if (ret < 0)
		return fail(scope, ret, scope->is_system ? "cannot reach the system bus" : "cannot reach the bus of the user's systemd", NULL);
	sd_bus_set_method_call_timeout(scope->bus, TIMEOUT_S * SECOND_US);
	return 0;
}

static int on_job_removed(sd_bus_message *message, void *data, sd_bus_error *error)
{
	struct scope *scope = data;
	uint32_t id;
	const char *path, *unit, *result;
	(void)error;
	if (sd_bus_message_read(message, "uoss", &id, &path, &unit, &result) >= 0 && strcmp(path, scope->job) == 0)
		snprintf(scope->result, sizeof scope->result, "%s", result);
	return 0;
}

/* Signals of a user's manager are sent only to who asked for them. */
static int subscribe(struct scope *scope)
{
	int ret = sd_bus_match_signal(scope->bus, NULL, MANAGER, OBJECT, MANAGER ".Manager", "JobRemoved", on_job_removed, scope);
	if (ret >= 0)
		ret = sd_bus_call_method(scope->bus, MANAGER, OBJECT, MANAGER ".Manager", "Subscribe", NULL, NULL, NULL);
	return ret < 0 ? fail(scope, ret, "systemd does not answer", NULL) : 0;
}

/* ---- making it ---- */

static int append_properties(sd_bus_message *message, const struct scope *scope)
{
	int ret = sd_bus_message_open_container(message, 'a', "(sv)");
	if (ret >= 0)
		ret = sd_bus_message_append(message, "(sv)(sv)(sv)(sv)(sv)(sv)", "Description", "s", "Sandboxes of hutch", "Delegate", "b", 1,
		                            "CollectMode", "s", "inactive-or-failed", "TasksMax", "t", UINT64_MAX,
		                            "Slice", "s", scope->is_system ? "system.slice" : "app.slice", "PIDs", "au", 1, scope->pid);
	return ret < 0 ? ret : sd_bus_message_close_container(message);
}

static int wait_for_job(struct scope *scope)
{
	while (!*scope->result) {
		int ret = sd_bus_process(scope->bus, NULL);
		if (ret > 0)
			continue;
		uint64_t now = now_us();
		if (ret < 0)
			return fail(scope, ret, "the connection to systemd broke", NULL);
		if (now >= scope->deadline)
			return fail(scope, -ETIMEDOUT, "systemd did not make the scope in time", "10 s");
		ret = sd_bus_wait(scope->bus, scope->deadline - now);
		if (ret < 0 && ret != -EINTR)
			return fail(scope, ret, "the connection to systemd broke", NULL);
	}
	return strcmp(scope->result, "done") == 0 ? 0 : fail(scope, -EAGAIN, "systemd did not make the scope", scope->result);
}

/* -EEXIST: somebody else has made it. */
static int make_scope(struct scope *scope)
{
	sd_bus_message *call = NULL, *reply = NULL;
	sd_bus_error error = SD_BUS_ERROR_NULL;
	const char *job;
	scope->result[0] = '\0';
	int ret = sd_bus_message_new_method_call(scope->bus, &call, MANAGER, OBJECT, MANAGER ".Manager", "StartTransientUnit");
	if (ret >= 0)
		ret = sd_bus_message_append(call, "ss", UNIT, "fail");
	if (ret >= 0)
		ret = append_properties(call, scope);
	if (ret >= 0)
		ret = sd_bus_message_append(call, "a(sa(sv))", 0);
	if (ret >= 0)
		ret = sd_bus_call(scope->bus, call, 0, &error, &reply);
	if (ret >= 0)
		ret = sd_bus_message_read(reply, "o", &job);
	if (ret >= 0)
		snprintf(scope->job, sizeof scope->job, "%s", job);
	else if (sd_bus_error_has_name(&error, MANAGER ".UnitExists"))
		ret = -EEXIST;
	else
		fail(scope, ret, "systemd does not make a scope", error.message);
	sd_bus_error_free(&error);
	sd_bus_message_unref(call);
	sd_bus_message_unref(reply);
	return ret < 0 ? ret : wait_for_job(scope);
}

/* ---- its directory ---- */

static int read_path(struct scope *scope)
{
	char *path = NULL, object[512] = OBJECT "/unit/hutch_2escope";
	sd_bus_error error = SD_BUS_ERROR_NULL;
	int ret = sd_bus_get_property_string(scope->bus, MANAGER, object, MANAGER ".Scope", "ControlGroup", &error, &path);
	if (ret < 0)
		fail(scope, ret, "systemd does not say where the scope is", error.message);
	else if (!*path || strlen(path) >= sizeof scope->path)
		ret = fail(scope, -EAGAIN, "the scope has no group", "it is ending");
	else
		snprintf(scope->path, sizeof scope->path, "%s", path);
	sd_bus_error_free(&error);
	free(path);
	return ret;
}

static int open_scope(const struct scope *scope)
{
	static const char *const mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
	int fd = -1;
	for (size_t i = 0; fd < 0 && i < 2; i++) {
		char path[1200];
		snprintf(path, sizeof path, "%s%s", mounts[i], scope->path);
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0 && faccessat(fd, "cgroup.type", F_OK, 0) < 0) { /* not version 2 */
			close(fd);
			fd = -1;
			errno = ENOENT;
		}
	}
	return fd < 0 ? -errno : fd;
}

/* The process is in the scope, or this one may write so far; into the leaf. */
static int move_into_leaf(struct scope *scope)
{
	char pid[16];
	int dir = open_scope(scope);
	if (dir < 0)
		return dir;
	int ret = mkdirat(dir, &LEAF[1], 0755) < 0 && errno != EEXIST ? -errno : 0;
	int procs = ret < 0 ? -1 : openat(dir, &LEAF[1] , O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int file = procs < 0 ? -1 : openat(procs, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	int length = snprintf(pid, sizeof pid, "%u", scope->pid);
	if (ret == 0 && (file < 0 || write(file, pid, (size_t)length) < 0))
		ret = -errno;
	if (file >= 0)
		close(file);
	if (procs >= 0)
		close(procs);
	close(dir);
	return ret;
}

/* ---- joining it ---- */

/* The manager may move where we may not. -EAGAIN: there is no such scope any more, or it is ending (invalid, then). */
static int attach(struct scope *scope)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	int ret = sd_bus_call_method(scope->bus, MANAGER, OBJECT, MANAGER ".Manager", "AttachProcessesToUnit", &error, NULL, "ssau",
	                             UNIT, LEAF, 1, scope->pid);
	static const char *const passing[] = {MANAGER ".NoSuchUnit", MANAGER ".LoadFailed", SD_BUS_ERROR_INVALID_ARGS};
	if (ret < 0)
		fail(scope, ret, "systemd does not move the process into the scope", error.message);
	for (size_t i = 0; ret < 0 && i < sizeof passing / sizeof *passing; i++)
		if (sd_bus_error_has_name(&error, passing[i]))
			ret = -EAGAIN;
	sd_bus_error_free(&error);
	return ret;
}

static int join_scope(struct scope *scope)
{
	int ret = read_path(scope);
	if (ret < 0)
		return -EAGAIN;
	ret = move_into_leaf(scope); /* much faster where it is allowed; makes the leaf in any case */
	return ret == 0 ? 0 : attach(scope);
}

static int enter(struct scope *scope)
{
	int ret = -EAGAIN;
	while (now_us() < scope->deadline) {
		ret = make_scope(scope);
		if (ret >= 0)
			ret = read_path(scope);
		if (ret >= 0) {
			ret = move_into_leaf(scope); /* we are in, so the way from here is short */
			return ret < 0 ? fail(scope, ret, "cannot move the process within the scope", NULL) : 0;
		}
		if (ret == -EEXIST && (ret = join_scope(scope)) >= 0)
			return 0;
		if (ret != -EAGAIN && ret != -ENOENT) /* no such thing as it is ending, or being made */
			return ret;
		nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	}
	return *scope->problem ? ret : fail(scope, -ETIMEDOUT, "the scope could neither be made nor joined", "10 s");
}

static void answer(const struct scope *scope, int error)
{
	struct scope_answer answer = {.magic = SCOPE_ANSWER_MAGIC, .error = -error};
	snprintf(answer.text, sizeof answer.text, "%s", error ? scope->problem : scope->path);
	if (write(ANSWER_FD, &answer, sizeof answer) < 0)
		exit(1);
}

int main(int argc, char **argv)
{
	char *end = NULL;
	unsigned long pid = argc == 2 ? strtoul(argv[1], &end, 10) : (unsigned long)getpid();
	struct scope scope = {.is_system = geteuid() == 0, .pid = (uint32_t)pid, .deadline = now_us() + TIMEOUT_S * SECOND_US};
	if (argc > 2 || pid == 0 || pid > INT32_MAX || (end && *end))
		return 2;
	int ret = open_bus(&scope);
	if (ret >= 0)
		ret = subscribe(&scope);
	if (ret >= 0)
		ret = enter(&scope);
	answer(&scope, ret < 0 ? ret : 0);
	sd_bus_close_unref(scope.bus);
	struct pollfd peer = {.fd = ANSWER_FD, .events = POLLIN};
	while (ret >= 0 && argc < 2 && poll(&peer, 1, -1) < 0 && errno == EINTR)
		;
	return ret < 0;
}
