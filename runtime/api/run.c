/* SPDX-License-Identifier: Apache-2.0 */
/* Attached sandboxes are the engine's, detached ones a supervisor's; the handle is the same. */
#include "api/client.h"

int hutch_sandbox_run(struct hutch *h, const struct hutch_spec *spec, const struct hutch_command *command, struct hutch_sandbox **ret, struct hutch_error *err)
{
	bool is_detached = spec && spec->size >= offsetof(struct hutch_spec, detached) + sizeof spec->detached && spec->detached;
	return is_detached ? detached_run(h, spec, command, ret, err) : sandbox_run(h, NULL, spec, command, ret, err);
}
