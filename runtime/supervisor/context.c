/* SPDX-License-Identifier: Apache-2.0 */
/* What every client is told of the sandbox, made once. */
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "engine/image.h"
#include "supervisor/server.h"

/* The engine's list has NULL for what is no root. */
static const char **copy_roots(const struct hutch_sandbox *sandbox)
{
	const char **roots = calloc(sandbox->roots_count + 1, sizeof *roots);
	for (size_t i = 0; roots && i < sandbox->roots_count; i++)
		roots[i] = sandbox->roots[i] ? sandbox->roots[i] : "";
	return roots;
}

int context_make(const struct server *server, struct hutch_error *err)
{
	static const char *const none[] = {NULL};
	const struct hutch_sandbox *sandbox = server->sandbox;
	const struct request *request = &sandbox->request;
	const struct hutch_process *main = sandbox->main;
	CLEANUP_FREE const char **roots = copy_roots(sandbox);
	CLEANUP_FREE void *bytes = NULL;
	size_t size;
	struct hutch_spec spec = server->request.spec; /* with all its texts */
	spec.uid = request->spec.uid;
	spec.limits = request->spec.limits;
	const struct pack_context context = {
		.id = sandbox->id, .name = server->status.name, .spec = spec,
		.uid = request->host.uid, .gid = request->host.gid, .is_privileged = request->host.is_privileged, .has_range = request->host.has_range,
		.is_on_disk = sandbox->is_on_disk, .has_main = main,
		.range = request->range, .scratch_bytes = sandbox->scratch_bytes,
		.workspace = request->workspace, .workspace_op = sandbox->workspace_op,
		.roots = roots, .roots_count = sandbox->roots_count,
		.warnings = sandbox->warnings ? (const char *const *)sandbox->warnings : none,
		.argv = main ? (const char *const *)main->argv : NULL, .cwd = main ? main->cwd : NULL,
		.logs = server->logs, .has_cgroup = request->has_cgroup, .controllers = request->controllers, .cgroup = request->cgroup,
	};
	int ret = roots ? pack_context_write(&context, &bytes, &size) : -HUTCH_E_NO_MEMORY;
	return ret < 0 ? err_set(err, -ret, "the sandbox cannot be described") : image_memfd("hutch-context", bytes, size, 0, err);
}

int context_renew(struct server *server, struct hutch_error *err)
{
	int context = context_make(server, err);
	if (context < 0)
		return context;
	cleanup_close(&server->context);
	server->context = context;
	return 0;
}
