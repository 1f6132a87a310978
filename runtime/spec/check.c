/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/check.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/error.h"

/* ---- names ---- */

const char *hutch_requirement_name(uint32_t bit)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} names[] = {
		{HUTCH_LAYER_LANDLOCK, "landlock"}, {HUTCH_LAYER_KEYRING, "keyring"}, {HUTCH_LAYER_MASKS, "masks"},
		{HUTCH_LAYER_OVERLAY, "overlay"}, {HUTCH_LAYER_IDMAP, "idmap"}, {HUTCH_LAYER_NESTED_USERNS, "nested-userns"},
		{HUTCH_LAYER_CGROUP_NS, "cgroup-ns"}, {HUTCH_LIMIT_MEMORY, "memory"}, {HUTCH_LIMIT_SWAP, "swap"},
		{HUTCH_LIMIT_CPUS, "cpus"}, {HUTCH_LIMIT_PIDS, "pids"}, {HUTCH_LIMIT_IO, "io"}, {HUTCH_LIMIT_DISK, "disk"},
		{HUTCH_LIMIT_CPU_TIME, "cpu-time"},
	};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (names[i].bit == bit)
			return names[i].name;
	return NULL;
}

static const struct {
	const char *name;
	int resource;
} ulimit_names[] = {
	{"as", RLIMIT_AS}, {"core", RLIMIT_CORE}, {"cpu", RLIMIT_CPU}, {"data", RLIMIT_DATA}, {"fsize", RLIMIT_FSIZE},
	{"locks", RLIMIT_LOCKS}, {"memlock", RLIMIT_MEMLOCK}, {"msgqueue", RLIMIT_MSGQUEUE}, {"nofile", RLIMIT_NOFILE},
	{"sigpending", RLIMIT_SIGPENDING}, {"stack", RLIMIT_STACK},
};
#define ULIMIT_NAMES (sizeof ulimit_names / sizeof *ulimit_names)

int spec_ulimit_resource(const char *name)
{
	for (size_t i = 0; i < ULIMIT_NAMES; i++)
		if (strcmp(name, ulimit_names[i].name) == 0)
			return ulimit_names[i].resource;
	return -1;
}

const char *spec_ulimit_name(int resource)
{
	for (size_t i = 0; i < ULIMIT_NAMES; i++)
		if (ulimit_names[i].resource == resource)
			return ulimit_names[i].name;
	return NULL;
}

/* ---- pieces ---- */

/* Copies a sized struct of the caller's version: shorter is older, a longer tail must be zero. */
static int copy_sized(void *to, size_t to_size, const void *from, size_t from_size, const char *what, struct hutch_error *err)
{
	if (from_size < sizeof(size_t))
		return err_set(err, HUTCH_E_INVALID, "%s.size is %zu: use the initialiser macro", what, from_size);
	memset(to, 0, to_size);
	memcpy(to, from, from_size < to_size ? from_size : to_size);
	for (size_t i = to_size; i < from_size; i++)
		if (((const char *)from)[i] != 0)
			return err_set(err, HUTCH_E_INVALID, "%s has a field that this version of the library does not know", what);
	memcpy(to, &to_size, sizeof to_size);
	return 0;
}

static int check_text(const char *text, const char *field, struct hutch_error *err)
{
	if (!text)
		return err_set(err, HUTCH_E_INVALID, "%s is missing", field);
	if (!*text)
		return err_set(err, HUTCH_E_INVALID, "%s is empty", field);
	if (strnlen(text, SPEC_TEXT_MAX) == SPEC_TEXT_MAX)
		return err_set(err, HUTCH_E_INVALID, "%s is longer than %u bytes", field, SPEC_TEXT_MAX - 1);
	return 0;
}

static bool has_dots(const char *path)
{
	for (const char *at = path; (at = strstr(at, "..")); at += 2)
		if ((at == path || at[-1] == '/') && (at[2] == '\0' || at[2] == '/'))
			return true;
	return false;
}

static int check_inside_path(const char *path, const char *field, struct hutch_error *err)
{
	int ret = check_text(path, field, err);
	if (ret < 0)
		return ret;
	if (path[0] != '/')
		return err_set(err, HUTCH_E_INVALID, "%s \"%s\" is not an absolute path", field, path);
	if (has_dots(path))
		return err_set(err, HUTCH_E_INVALID, "%s \"%s\" contains \"..\"", field, path);
	return 0;
}

/* The first component of a path, behind slashes and "." components; its length is 0 for "/" itself. */
static const char *first_component(const char *path, size_t *ret_length)
{
	for (;;) {
		path += strspn(path, "/");
		*ret_length = strcspn(path, "/");
		if (*ret_length != 1 || *path != '.')
			return path;
		path++;
	}
}

/* Where nothing may be mounted: the sandbox's own /proc, /dev and /sys are not the user's to change. */
static int check_target(const char *target, const char *field, struct hutch_error *err)
{
	static const char *const reserved[] = {"proc", "dev", "sys", ".hutch"};
	int ret = check_inside_path(target, field, err);
	if (ret < 0)
		return ret;
	size_t length;
	const char *first = first_component(target, &length);
	if (length == 0)
		return err_hint(err, err_set(err, HUTCH_E_INVALID, "%s must not be \"/\"", field), "use --rootfs DIR for a root directory");
	for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
		if (strlen(reserved[i]) == length && strncmp(first, reserved[i], length) == 0)
			return err_set(err, HUTCH_E_INVALID, "%s \"%s\": nothing can be mounted at or below /%s", field, target, reserved[i]);
	return 0;
}

static int check_mount(const struct hutch_mount *mount, size_t index, struct hutch_error *err)
{
	char field[48];
	if ((unsigned)mount->kind > HUTCH_MOUNT_TMPFS || (unsigned)mount->access > HUTCH_ACCESS_RW)
		return err_set(err, HUTCH_E_INVALID, "mounts[%zu].%s has an unknown value", index, (unsigned)mount->access > HUTCH_ACCESS_RW ? "access" : "kind");
	snprintf(field, sizeof field, "mounts[%zu].source", index);
	bool host = mount->kind == HUTCH_MOUNT_HOST;
	int ret = host ? check_text(mount->source, field, err) : 0;
	if (ret < 0)
		return ret;
	snprintf(field, sizeof field, "mounts[%zu].target", index);
	if (mount->target)
		return check_target(mount->target, field, err);
	return host ? 0 : err_set(err, HUTCH_E_INVALID, "%s is missing", field);
}

static int check_files(const struct hutch_spec *spec, struct hutch_error *err)
{
	if (spec->mounts_count > SPEC_MOUNTS_MAX)
		return err_set(err, HUTCH_E_INVALID, "mounts: %zu are more than %u", spec->mounts_count, SPEC_MOUNTS_MAX);
	if (spec->mounts_count > 0 && !spec->mounts)
		return err_set(err, HUTCH_E_INVALID, "mounts is NULL with a count of %zu", spec->mounts_count);
	for (size_t i = 0; i < spec->mounts_count; i++) {
		int ret = check_mount(&spec->mounts[i], i, err);
		if (ret < 0)
			return ret;
	}
	if (spec->workspace && check_text(spec->workspace, "workspace", err) < 0)
		return -HUTCH_E_INVALID;
	if (spec->root == HUTCH_ROOT_DIRECTORY)
		return check_text(spec->rootfs, "rootfs", err);
	if (spec->rootfs)
		return err_set(err, HUTCH_E_INVALID, "rootfs is set, but root is not HUTCH_ROOT_DIRECTORY");
	return 0;
}

static int check_caps(const struct hutch_spec *spec, struct hutch_error *err)
{
	uint64_t unknown = spec->cap_add & ~(SPEC_CAPS_IDS | SPEC_CAPS_NETWORK);
	if (unknown)
		return err_hint(err, err_set(err, HUTCH_E_INVALID, "cap_add: capability %d has no effect inside a sandbox", __builtin_ctzll(unknown)),
		                "CHOWN DAC_OVERRIDE FOWNER SETUID SETGID KILL (with a range of ids), NET_BIND_SERVICE NET_RAW NET_ADMIN (in its own network) can be added");
	if ((spec->cap_add & SPEC_CAPS_NETWORK) && spec->net == HUTCH_NET_HOST)
		return err_set(err, HUTCH_E_INVALID, "cap_add: network capabilities have no effect on the host's network (net host)");
	return 0;
}

static int check_ulimits(const struct hutch_limits *limits, struct hutch_error *err)
{
	if (limits->ulimits_count > SPEC_ULIMITS_MAX)
		return err_set(err, HUTCH_E_INVALID, "limits.ulimits: %zu are more than %u", limits->ulimits_count, SPEC_ULIMITS_MAX);
	if (limits->ulimits_count > 0 && !limits->ulimits)
		return err_set(err, HUTCH_E_INVALID, "limits.ulimits is NULL with a count of %zu", limits->ulimits_count);
	for (size_t i = 0; i < limits->ulimits_count; i++) {
		const char *name = limits->ulimits[i].name;
		if (name && strcmp(name, "nproc") == 0)
			return err_hint(err, err_set(err, HUTCH_E_INVALID, "limits.ulimits[%zu]: nproc is set by limits.pids", i), "use --pids N");
		if (!name || spec_ulimit_resource(name) < 0)
			return err_hint(err, err_set(err, HUTCH_E_INVALID, "limits.ulimits[%zu].name \"%s\" is not a limit", i, name ? name : ""),
			                "known: as core cpu data fsize locks memlock msgqueue nofile sigpending stack");
	}
	return 0;
}

/* Whether this host can hold them is not known here. */
int spec_check_limits(const struct hutch_limits *limits, const char *prefix, struct hutch_error *err)
{
	if (limits->memory_bytes && limits->memory_bytes < SPEC_MEMORY_MIN)
		return err_hint(err, err_set(err, HUTCH_E_INVALID, "%slimits.memory_bytes: %llu bytes are not enough to start a program", prefix, (unsigned long long)limits->memory_bytes), "at least 1M");
	if (limits->cpus_milli && limits->cpus_milli < SPEC_CPUS_MIN)
		return err_hint(err, err_set(err, HUTCH_E_INVALID, "%slimits.cpus_milli: %u thousandths are less than the kernel can count", prefix, limits->cpus_milli), "at least 0.01 processors");
	return check_ulimits(limits, err);
}

static int check_enums(const struct hutch_spec *spec, struct hutch_error *err)
{
	const struct {
		int value, count;
		const char *field;
	} enums[] = {
		{(int)spec->root, 2, "root"}, {(int)spec->rootfs_access, 3, "rootfs_access"},
		{(int)spec->workspace_access, 3, "workspace_access"}, {(int)spec->net, 2, "net"}, {(int)spec->seccomp, 4, "seccomp"},
	};
	for (size_t i = 0; i < sizeof enums / sizeof *enums; i++)
		if (enums[i].value < 0 || enums[i].value >= enums[i].count)
			return err_set(err, HUTCH_E_INVALID, "%s has the unknown value %d", enums[i].field, enums[i].value);
	if (spec->seccomp == HUTCH_SECCOMP_FILE)
		return check_text(spec->seccomp_file, "seccomp_file", err);
	return 0;
}

static int check_labels(const struct hutch_spec *spec, struct hutch_error *err)
{
	size_t count = 0;
	for (; spec->labels && spec->labels[count]; count++) {
		const char *label = spec->labels[count];
		if (*label == '=' || !strchr(label, '='))
			return err_set(err, HUTCH_E_INVALID, "labels: \"%.64s\" is not KEY=VALUE", label);
		if (strlen(label) >= SPEC_TEXT_MAX || count >= SPEC_LABELS_MAX)
			return err_set(err, HUTCH_E_INVALID, "labels: more than %u, or longer than %u bytes", SPEC_LABELS_MAX, SPEC_TEXT_MAX - 1);
	}
	return 0;
}

int spec_check(const struct hutch_spec *spec, struct hutch_spec *ret, struct hutch_error *err)
{
	const struct hutch_spec defaults = {.size = sizeof defaults};
	struct hutch_spec copy;
	if (!spec)
		spec = &defaults;
	int error = copy_sized(&copy, sizeof copy, spec, spec->size, "spec", err);
	if (error == 0)
		error = check_enums(&copy, err);
	if (error == 0)
		error = check_labels(&copy, err);
	if (error == 0)
		error = check_files(&copy, err);
	if (error == 0)
		error = check_caps(&copy, err);
	if (error == 0)
		error = spec_check_limits(&copy.limits, "", err);
	if (error == 0 && copy.idle_timeout_ms && !copy.detached)
		error = err_set(err, HUTCH_E_UNSUPPORTED, "idle_timeout_ms: a sandbox of this process is not idle, its owner decides when it ends");
	if (error == 0 && copy.as_root && copy.has_uid && copy.uid != 0)
		error = err_set(err, HUTCH_E_INVALID, "as_root and uid %u contradict each other", copy.uid);
	if (error == 0 && copy.has_uid && copy.uid > SPEC_UID_MAX)
		error = err_set(err, HUTCH_E_INVALID, "uid %u is not between 0 and %u", copy.uid, SPEC_UID_MAX);
	if (error < 0)
		return error;
	if (!copy.has_uid)
		copy.uid = copy.as_root ? 0 : SPEC_UID_DEFAULT;
	if (copy.limits.pids == 0)
		copy.limits.pids = SPEC_PIDS_DEFAULT;
	*ret = copy;
	return 0;
}

/* ---- a command ---- */

static int check_stream(const struct hutch_stream *stream, bool is_input, const char *field, struct hutch_error *err)
{
	switch (stream->io) {
	case HUTCH_IO_DEFAULT:
	case HUTCH_IO_NULL:
	case HUTCH_IO_PTY: return 0;
	case HUTCH_IO_FD:
		return stream->fd >= 0 ? 0 : err_set(err, HUTCH_E_INVALID, "%s.fd is %d", field, stream->fd);
	case HUTCH_IO_CAPTURE:
	case HUTCH_IO_STREAM:
		return is_input ? err_set(err, HUTCH_E_INVALID, "%s is an input: it cannot be captured or streamed", field) : 0;
	case HUTCH_IO_PIPE:
		return is_input ? 0 : err_set(err, HUTCH_E_INVALID, "%s cannot be a pipe to write to: it is an output", field);
	}
	return err_set(err, HUTCH_E_INVALID, "%s.io has the unknown value %d", field, (int)stream->io);
}

int command_check(const struct hutch_command *command, struct hutch_command *ret, struct hutch_error *err)
{
	if (!command)
		return err_set(err, HUTCH_E_INVALID, "command is missing");
	struct hutch_command copy;
	int error = copy_sized(&copy, sizeof copy, command, command->size, "command", err);
	if (error == 0 && (!copy.argv || !copy.argv[0] || !*copy.argv[0]))
		error = err_set(err, HUTCH_E_INVALID, "command.argv is empty");
	for (const char *const *env = copy.env; error == 0 && env && *env; env++)
		if (**env == '=' || !strchr(*env, '='))
			error = err_set(err, HUTCH_E_INVALID, "command.env: \"%.64s\" is not NAME=VALUE", *env);
	if (error == 0 && copy.cwd)
		error = check_inside_path(copy.cwd, "command.cwd", err);
	if (error == 0)
		error = check_stream(&copy.in, true, "command.in", err);
	if (error == 0)
		error = check_stream(&copy.out, false, "command.out", err);
	if (error == 0)
		error = check_stream(&copy.err, false, "command.err", err);
	if (error == 0 && (unsigned)copy.on_output_limit > HUTCH_OUTPUT_KILL)
		error = err_set(err, HUTCH_E_INVALID, "command.on_output_limit has the unknown value %d", (int)copy.on_output_limit);
	if (error == 0 && (unsigned)copy.on_exit > HUTCH_ON_EXIT_LEAVE)
		error = err_set(err, HUTCH_E_INVALID, "command.on_exit has the unknown value %d", (int)copy.on_exit);
	if (error == 0 && copy.has_uid && copy.uid > SPEC_UID_MAX)
		error = err_set(err, HUTCH_E_INVALID, "command.uid %u is not between 0 and %u", copy.uid, SPEC_UID_MAX);
	if (error == 0)
		error = spec_check_limits(&copy.limits, "command.", err);
	if (error == 0 && copy.limits.cpu_time_ms && copy.on_exit == HUTCH_ON_EXIT_LEAVE)
		error = err_set(err, HUTCH_E_INVALID, "command.on_exit: what is left behind cannot have a limit of CPU time");
	if (error == 0 && copy.limits.disk_bytes)
		error = err_set(err, HUTCH_E_INVALID, "command.limits.disk_bytes: the file systems are the sandbox's, and so is their size");
	if (error < 0)
		return error;
	if (copy.grace_ms == 0)
		copy.grace_ms = SPEC_GRACE_DEFAULT_MS;
	if (copy.output_limit == 0)
		copy.output_limit = SPEC_OUTPUT_DEFAULT;
	if (copy.rows == 0)
		copy.rows = 24;
	if (copy.columns == 0)
		copy.columns = 80;
	*ret = copy;
	return 0;
}
