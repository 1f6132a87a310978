/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a detached sandbox is and was made with, as its supervisor tells it. The answer is a packed context (wire/pack.h);
 * the struct handed out points into it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "api/client.h"
#include "base/cleanup.h"
#include "base/error.h"

/* One block: the public part comes first. */
struct info {
	struct hutch_sandbox_info public;
	struct hutch_spec spec;
	char controllers[32];
	struct pack_memory memory;
	void *bytes;
};

void hutch_sandbox_info_free(struct hutch_sandbox_info *public)
{
	struct info *info = (struct info *)public;
	if (!info)
		return;
	free(info->public.limits_enforced);
	pack_memory_done(&info->memory);
	free(info->bytes);
	free(info);
}

/* Sorted by name, separated by spaces. */
static void name_controllers(struct info *info, uint32_t controllers)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} names[] = {{CGROUP_CPU, "cpu"}, {CGROUP_IO, "io"}, {CGROUP_MEMORY, "memory"}, {CGROUP_PIDS, "pids"}};
	size_t at = 0;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (controllers & names[i].bit)
			at += (size_t)snprintf(info->controllers + at, sizeof info->controllers - at, "%s%s", at ? " " : "", names[i].name);
}

static int fill(struct info *info, const struct pack_context *context, const struct message *answer)
{
	struct hutch_sandbox_info *public = &info->public;
	const struct request request = {.spec = context->spec, .has_cgroup = context->has_cgroup, .controllers = context->controllers};
	info->spec = context->spec;
	name_controllers(info, context->controllers);
	public->spec = &info->spec;
	public->workspace = context->workspace;
	public->has_range = context->has_range;
	public->cgroup = context->cgroup;
	public->controllers = info->controllers;
	public->warnings = context->warnings;
	public->supervisor = answer->b;
	public->commands = answer->id;
	public->lifetime_left_ms = (int64_t)answer->user_us;
	public->idle_left_ms = (int64_t)answer->system_us;
	return limits_list(&request, context->scratch_bytes, context->is_on_disk, NULL, &public->limits_enforced, &public->limits_enforced_count);
}

int hutch_sandbox_info(struct hutch_sandbox *sandbox, struct hutch_sandbox_info **ret, struct hutch_error *err)
{
	struct message message = {.type = WIRE_INFO}, answer;
	struct pack_context context;
	CLEANUP_CLOSE int fd = -1;
	size_t size = 0;
	if (!sandbox->remote)
		return err_set(err, HUTCH_E_STATE, "only detached sandboxes can tell that");
	if (sandbox->is_gone)
		return err_set(err, HUTCH_E_GONE, "the sandbox's supervisor has ended");
	int error = client_call(sandbox, &message, NULL, 0, CLIENT_ANSWERS_MS, &answer, &fd, err);
	struct info *info = error < 0 ? NULL : calloc(1, sizeof *info);
	if (error < 0)
		return error;
	if (!info)
		return err_set(err, HUTCH_E_NO_MEMORY, "out of memory");
	bool is_valid = answer.type == WIRE_INFO_IS && wire_read_file(fd, PACK_MAX, &info->bytes, &size) == 0 &&
	                pack_context_read(info->bytes, size, &info->memory, &context) == 0;
	if (is_valid && fill(info, &context, &answer) == 0) {
		*ret = &info->public;
		return 0;
	}
	hutch_sandbox_info_free(&info->public);
	return is_valid ? err_set(err, HUTCH_E_NO_MEMORY, "out of memory")
	                : err_set(err, HUTCH_E_GONE, "the sandbox's supervisor sent what is no description of it");
}
