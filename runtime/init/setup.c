/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The setup stages, in execution order: this table is what an auditor reads first. A stage that fails ends the sandbox;
 * nothing ever runs with a layer missing, unless the plan says that exactly this layer may be.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/prctl.h>
#include <stddef.h>
#include <sys/mount.h>

#include <hutch/spec.h>

#include "base/sys.h"
#include "init/init.h"
#include "init/text.h"
#include "kernel/caps.h"
#include "kernel/net.h"

/* It is an extra: that the owner has ended before is seen by its pidfd, which init polls. */
void die_with_owner(const struct init *init)
{
	if (init->plan.sandbox->flags & PLAN_DIE_WITH_OWNER)
		sys_call5(SYS_prctl, PR_SET_PDEATHSIG, 9 /* SIGKILL */, 0, 0, 0);
}

/* Should: init has an id of the sandbox's own range, not the owner's. Mustn't: lose capabilities (it has them ambient). */
static int setup_ids(struct init *init)
{
	const struct plan_sandbox *sandbox = init->plan.sandbox;
	if (!(sandbox->flags & PLAN_RANGE)) {
		die_with_owner(init);
		return 0;
	}
	long ret = sys_call3(SYS_setresgid, sandbox->init_gid, sandbox->init_gid, sandbox->init_gid);
	if (ret == 0)
		ret = sys_call2(SYS_setgroups, 0, NULL);
	if (ret == 0)
		ret = sys_call3(SYS_setresuid, sandbox->init_uid, sandbox->init_uid, sandbox->init_uid);
	die_with_owner(init);
	return (int)ret;
}

/* Should: init cannot be traced or read, and what it executes later inherits no capability. Mustn't: drop what the
 * following stages need; that is settle's work. */
static int setup_capabilities(struct init *init)
{
	long ret = sys_call2(SYS_prctl, PR_SET_DUMPABLE, 0);
	if (ret == 0)
		ret = caps_bound(init->plan.sandbox->cap_add);
	if (ret == 0)
		ret = caps_clear_ambient();
	if (ret == 0)
		ret = caps_set(CAPS_ALL, CAPS_ALL, 0);
	return (int)ret;
}

/* Should: no mount event crosses between this namespace and the host's, in either direction. First of all mounts. */
static int setup_propagation(struct init *init)
{
	(void)init;
	return (int)sys_call5(SYS_mount, NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

/* Should: no user namespace can be made inside, whatever the filter says: the kernel counts them against this one's
 * limit, and raising that needs CAP_SYS_RESOURCE here, which no command has. Mustn't: come after the pivot, since the
 * sandbox's own /proc/sys is read-only. */
static int setup_nested_userns(struct init *init)
{
	init->detail = "/proc/sys/user/max_user_namespaces";
	int fd = (int)sys_call4(SYS_openat, AT_FDCWD, init->detail, O_WRONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	long ret = sys_call3(SYS_write, fd, "0", 1);
	sys_call1(SYS_close, fd);
	return ret < 0 ? (int)ret : 0;
}

/* Should: programs find their loopback. */
static int setup_loopback(struct init *init)
{
	return init->plan.sandbox->flags & PLAN_NET_NEW ? net_loopback_up() : 0;
}

/* Should: the host's names are not known inside. */
static int setup_hostname(struct init *init)
{
	const char *name = plan_text(&init->plan, init->plan.sandbox->hostname);
	long ret = sys_call2(SYS_sethostname, name, text_length(name));
	return ret < 0 ? (int)ret : (int)sys_call2(SYS_setdomainname, "(none)", 6); /* the kernel's own word for none */
}

/* Should: the caller's session keyring, which no namespace covers, is out of reach. The filter refuses the calls, too,
 * so that a full quota (EDQUOT, 200 keys per user) is no reason to fail, unless the filter is the user's own. */
static int setup_keyring(struct init *init)
{
	long ret = sys_call2(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
	if (ret != -EDQUOT || (init->plan.sandbox->flags & PLAN_NEEDS_KEYRING))
		return ret < 0 ? (int)ret : 0;
	init->absent |= HUTCH_LAYER_KEYRING;
	return 0;
}

static uint64_t caps_to_keep(const struct plan_sandbox *sandbox)
{
	uint64_t keep = CAP_BIT(CAP_SYS_ADMIN)         /* each command unshares its cgroup namespace */
	                | CAP_BIT(CAP_SYS_PTRACE)      /* with any of them, the payload can neither trace nor renice init */
	                | CAP_BIT(CAP_KILL)            /* ends what runs under other ids */
	                | CAP_BIT(CAP_DAC_READ_SEARCH) /* the changes helper reads directories of mode 000 */
	                | sandbox->cap_add;
	if (sandbox->flags & PLAN_RANGE)
		keep |= CAP_BIT(CAP_SETUID) | CAP_BIT(CAP_SETGID); /* each command switches to its ids */
	return keep;
}

/* Should: nothing that init or a command executes can gain privileges, and init keeps what its loop needs. Last. */
static int setup_settle(struct init *init)
{
	const struct plan_sandbox *sandbox = init->plan.sandbox;
	uint64_t keep = caps_to_keep(sandbox);
	long ret = caps_lock_securebits(sandbox->cap_add != 0);
	if (ret == 0)
		ret = sys_call5(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (ret == 0)
		ret = caps_set(keep, keep, 0);
	return (int)ret;
}

const struct setup_stage setup_stages[] = {
	{STAGE_IDS, setup_ids, 0},
	{STAGE_CAPABILITIES, setup_capabilities, 0},
	{STAGE_PROPAGATION, setup_propagation, 0},
	{STAGE_NESTED_USERNS, setup_nested_userns, HUTCH_LAYER_NESTED_USERNS},
	{STAGE_ROOT, setup_root, 0},
	{STAGE_MOUNTS, setup_mounts, 0},
	{STAGE_PROC, setup_proc, 0},
	{STAGE_DEV, setup_dev, 0},
	{STAGE_MASKS, setup_masks, HUTCH_LAYER_MASKS},
	{STAGE_READONLY, setup_readonly, 0},
	{STAGE_PIVOT, setup_pivot, 0},
	{STAGE_DETACH, setup_detach, 0},
	{STAGE_LOOPBACK, setup_loopback, 0},
	{STAGE_HOSTNAME, setup_hostname, 0},
	{STAGE_KEYRING, setup_keyring, HUTCH_LAYER_KEYRING},
	{STAGE_LANDLOCK, setup_landlock, HUTCH_LAYER_LANDLOCK},
	{STAGE_SETTLE, setup_settle, 0},
};
const unsigned setup_stages_count = sizeof setup_stages / sizeof *setup_stages;
