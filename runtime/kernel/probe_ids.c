/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ranges of ids for an ordinary user: needed for `-u` with another id, and for giving init an id of its own. Two things
 * must be there, the setuid helpers that may write a map with a range, and an entry in both subuid(5) and subgid(5).
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "kernel/account.h"
#include "kernel/probe_parse.h"
#include "kernel/probe_table.h"

#define INSTALL "sudo apt install uidmap (or dnf install shadow-utils, pacman -S shadow)"

enum helper {
	HELPER_ABSENT,
	HELPER_POWERLESS,
	HELPER_OK
};

static enum helper look_at(const char *path)
{
	struct stat st;
	if (stat(path, &st) < 0)
		return HELPER_ABSENT;
	bool is_setuid = (st.st_mode & S_ISUID) && st.st_uid == 0;
	return is_setuid || getxattr(path, "security.capability", NULL, 0) > 0 ? HELPER_OK : HELPER_POWERLESS;
}

static enum helper find_helper(const char *name)
{
	static const char *const directories[] = {"/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin", "/run/wrappers/bin"};
	enum helper best = HELPER_ABSENT;
	for (size_t i = 0; i < sizeof directories / sizeof *directories; i++) {
		char path[256];
		snprintf(path, sizeof path, "%s/%s", directories[i], name);
		enum helper helper = look_at(path);
		best = helper > best ? helper : best;
	}
	return best;
}

/* Whether both helpers can be used; else says what is wrong. */
static bool judge_helpers(struct hutch_finding *finding)
{
	static const char *const names[] = {"newuidmap", "newgidmap"};
	for (unsigned i = 0; i < 2; i++) {
		enum helper helper = find_helper(names[i]);
		if (helper == HELPER_OK)
			continue;
		probe_found(finding, HUTCH_VERDICT_DEGRADED, "%s is %s", names[i],
		            helper == HELPER_ABSENT ? "not installed" : "neither setuid root nor has file capabilities");
		if (helper == HELPER_ABSENT)
			probe_fix(finding, "%s", INSTALL);
		else
			probe_fix(finding, "sudo chmod u+s $(command -v %s)", names[i]);
		return false;
	}
	return true;
}

void probe_judge_ids(const struct probe *probe, const struct probe_host *host, struct hutch_finding *finding)
{
	(void)probe;
	if (host->ids.by_parent) {
		probe_found(finding, HUTCH_VERDICT_OK, "not needed: root maps ranges itself");
		return;
	}
	if (host->in_userns) {
		probe_found(finding, HUTCH_VERDICT_DEGRADED, "this process is in a user namespace that has no range to spare");
		probe_fix(finding, "run hutch outside of the user namespace, or give that (the container) at least %u more ids", PROBE_RANGE_COUNT);
		return;
	}
	if (!judge_helpers(finding))
		return;
	char name[256];
	account_name(host->uid, name, sizeof name);
	struct probe_range uids, gids;
	bool has_uids = account_range("/etc/subuid", host->uid, PROBE_RANGE_COUNT - 1, &uids);
	bool has_gids = account_range("/etc/subgid", host->uid, PROBE_RANGE_COUNT - 1, &gids);
	if (has_uids && has_gids) {
		probe_found(finding, HUTCH_VERDICT_OK, "newuidmap, newgidmap; subuid %u+%u, subgid %u+%u", uids.first, uids.count, gids.first,
		            gids.count);
		return;
	}
	probe_found(finding, HUTCH_VERDICT_DEGRADED, "newuidmap, newgidmap; no range for %s in %s", name[0] ? name : "this uid",
	            has_uids ? "/etc/subgid" : has_gids ? "/etc/subuid" : "/etc/subuid and /etc/subgid");
	probe_fix(finding, "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 %s (a range that no other user has)",
	          name[0] ? name : "USER");
}
