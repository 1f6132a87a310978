/* SPDX-License-Identifier: Apache-2.0 */
/* hutch update: new limits and deadlines for a sandbox that runs. What is not named stays as it is. */
#include <string.h>

#include "attach.h"
#include "say.h"
#include "verb.h"

static int apply(const struct attached *attached, const struct run_options *options, struct hutch_error *err)
{
	static const struct hutch_limits none;
	const struct hutch_spec *spec = &options->spec;
	bool has_limits = memcmp(&spec->limits, &none, sizeof none) != 0;
	bool has_time = spec->lifetime_ms || spec->idle_timeout_ms;

	if (!has_limits && !has_time)
		return usage_error(err, "what is to be changed? (such as --memory 512M or --lifetime 1h)");
	if (attached_is_over(attached)) {
		usage_error(err, "the sandbox is %s", hutch_sandbox_state_name((int)hutch_sandbox_state(attached->sandbox)));
		return err->code = HUTCH_E_STATE, -1;
	}
	if (has_limits && hutch_sandbox_update(attached->sandbox, &spec->limits, err) < 0)
		return -1;
	if (!has_time)
		return 0;
	return hutch_sandbox_extend(attached->sandbox, spec->lifetime_ms ? (int64_t)spec->lifetime_ms : -1,
	                            spec->idle_timeout_ms ? (int64_t)spec->idle_timeout_ms : -1, err);
}

static int update(struct run_options *options, char **words)
{
	struct attached attached = {0};
	struct hutch_error err;

	if (attach_to_word(&attached, words, &err) < 0 || apply(&attached, options, &err) < 0)
		return verb_failed(&err, options->json);
	return attached_finish(&attached, options);
}

const struct verb verb_update = {
	.name = "update",
	.usage = "[options] SANDBOX",
	.summary = "change the limits and deadlines of a sandbox",
	.mask = FOR_UPDATE,
	.takes_sandbox = true,
	.run = update,
};
