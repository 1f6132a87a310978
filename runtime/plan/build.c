/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/build.h"

#include <string.h>
#include <sys/sysinfo.h>

#include "base/error.h"
#include "spec/check.h"

#define SCRATCH_MAX    (UINT64_C(4) << 30)
#define SCRATCH_MIN    (UINT64_C(64) << 20)
#define SCRATCH_INODES 524288u

uint32_t plan_init_uid(const struct hutch_spec *spec)
{
	return spec->uid == 0 ? 65534 : 0;
}

const char *plan_home(const struct hutch_spec *spec)
{
	return spec->uid == 0 ? "/root" : "/home/sandbox";
}

/* What may be written in all: half of the machine's memory, at most 4 GiB, unless the caller says. */
static void plan_scratch(struct draft *draft, const struct hutch_spec *spec)
{
	struct sysinfo info = {0};
	sysinfo(&info);
	uint64_t bytes = (uint64_t)info.totalram * info.mem_unit / 2;
	if (bytes > SCRATCH_MAX)
		bytes = SCRATCH_MAX;
	if (bytes < SCRATCH_MIN)
		bytes = SCRATCH_MIN;
	draft->fixed.scratch_bytes = spec->limits.disk_bytes ? spec->limits.disk_bytes : bytes;
	draft->fixed.scratch_inodes = SCRATCH_INODES;
}

static int plan_identity(const struct plan_host *host, const struct hutch_spec *spec, struct draft *draft, struct hutch_error *err)
{
	if ((spec->cap_add & SPEC_CAPS_IDS) && !host->has_range)
		return err_hint(err, err_set(err, HUTCH_E_UNSUPPORTED, "cap_add: with a single id mapped, this capability has no effect"),
		                "run as root, or ask for another user with -u (which takes a range from /etc/subuid)");
	draft->fixed.flags |= host->has_range ? PLAN_RANGE : 0;
	draft->fixed.uid = draft->fixed.gid = spec->uid;
	/* an id of its own for init, where there is one: then the sandbox's user cannot even send it a signal */
	draft->fixed.init_uid = draft->fixed.init_gid = plan_init_uid(spec);
	draft->fixed.cap_add = spec->cap_add;
	return 0;
}

int plan_sandbox_build(const struct plan_host *host, const struct hutch_spec *spec, struct draft *draft, struct hutch_error *err)
{
	draft->fixed.best_effort = spec->best_effort;
	draft->fixed.flags |= spec->net == HUTCH_NET_NONE ? PLAN_NET_NEW : 0;
	draft->fixed.flags |= spec->thread_stays || spec->detached ? PLAN_DIE_WITH_OWNER : 0;
	draft->fixed.flags |= spec->seccomp == HUTCH_SECCOMP_FILE ? PLAN_NEEDS_KEYRING : 0;
	draft->fixed.hostname = draft_text(draft, spec->name ? spec->name : "hutch");
	plan_scratch(draft, spec);
	int ret = plan_identity(host, spec, draft, err);
	if (ret == 0)
		ret = plan_root(host, spec, draft, err);
	if (ret < 0)
		return ret;
	if (spec->root == HUTCH_ROOT_SYSTEM)
		plan_system(draft, spec);
	plan_devices(draft, spec);
	plan_proc(draft, spec);
	return plan_files(host, spec, draft, err);
}
