/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The doctor.
 *
 * Which kernel, which distribution, which container engine: all of that lies or goes stale, so nothing is concluded
 * from it. Every primitive that a sandbox is made of is tried, one row of probe_table.c after the other:
 *
 *     row ── body ──► a short-lived child (probe_child.c) with the row's namespaces: {stage, -errno or >= 0}
 *      │                                                          │
 *      └── judge (cgroups, id ranges, overlay: more than one try) │
 *                          ▼                                      ▼
 *           finding: verdict, what was found, why it matters, and the fix, which comes from the known causes
 *           (probe_cause.c, by errno, stage and the host's switches) or else from the row
 *
 * The row "start" is the decisive one: a whole start in one sequence. The others say which part is to blame. What needs
 * a user namespace is not tried when there is none.
 *
 * Nothing remains: children are reaped here, mounts and namespaces end with them, the cgroup and the directory on disk
 * that are made for a moment are removed.
 */
#include "kernel/probe.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "kernel/probe_table.h"

/* What later rows know of the earlier ones. */
struct round {
	struct probe_host host;
	const struct hutch_finding *userns; /* NULL: not tried yet */
};

size_t probe_count(void)
{
	return probe_table_count;
}

static bool is_pointless(const struct probe *probe, const struct round *round)
{
	return (probe->flags & CLONE_NEWUSER) && round->userns && round->userns->verdict != HUTCH_VERDICT_OK;
}

static void try_one(const struct probe *probe, const struct round *round, struct hutch_finding *finding)
{
	*finding = (struct hutch_finding){.required = probe->required};
	snprintf(finding->name, sizeof finding->name, "%s", probe->name);
	snprintf(finding->why, sizeof finding->why, "%s", probe->why);
	struct probe_report report;
	if (is_pointless(probe, round)) {
		probe_found(finding, probe->degrades ? HUTCH_VERDICT_DEGRADED : HUTCH_VERDICT_MISSING, "not tried: no user namespace (see userns)");
		probe_fix(finding, "mend userns first");
	} else if (probe->judge) {
		probe->judge(probe, &round->host, finding);
	} else {
		probe_try_body(probe, &round->host, NULL, &report);
		probe_judge_report(probe, &round->host, &report, finding);
	}
}

size_t probe_all(struct hutch_finding *findings, size_t capacity)
{
	struct round round = {.userns = NULL};
	probe_host_read(&round.host);
	size_t count = capacity < probe_table_count ? capacity : probe_table_count;
	for (size_t i = 0; i < count; i++) {
		try_one(&probe_table[i], &round, &findings[i]);
		if (probe_table[i].body == probe_userns)
			round.userns = &findings[i];
	}
	return count;
}
