/* SPDX-License-Identifier: Apache-2.0 */
/* From a report to a finding. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "kernel/probe_table.h"

void probe_found(struct hutch_finding *finding, enum hutch_verdict verdict, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(finding->detail, sizeof finding->detail, format, args);
	va_end(args);
	finding->verdict = verdict;
	finding->fix[0] = '\0';
}

void probe_fix(struct hutch_finding *finding, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(finding->fix, sizeof finding->fix, format, args);
	va_end(args);
}

void probe_try_body(const struct probe *probe, const struct probe_host *host, const void *data, struct probe_report *ret)
{
	const struct probe_job job = {.flags = probe->flags, .only_clone3 = probe->only_clone3, .body = probe->body, .data = data};
	probe_child_run(&job, &host->ids, ret);
}

static enum hutch_verdict verdict_of(const struct probe *probe, const struct probe_report *report)
{
	bool is_absent = report->result == -ENOSYS || report->result == -EOPNOTSUPP;
	return probe->degrades || (probe->may_be_absent && is_absent) ? HUTCH_VERDICT_DEGRADED : HUTCH_VERDICT_MISSING;
}

/* "proc: EPERM (Operation not permitted); why" */
static void describe_failure(const struct probe_report *report, const struct probe_cause *cause, char *text, size_t size)
{
	char reason[64], buffer[64];
	int number = (int)-report->result;
	if (report->signal)
		snprintf(reason, sizeof reason, "killed by signal %d", report->signal);
	else if (number == EUCLEAN)
		snprintf(reason, sizeof reason, "without an error, and without effect");
	else
		snprintf(reason, sizeof reason, "%s (%s)", hutch_errno_name(number), strerror_r(number, buffer, sizeof buffer));
	snprintf(text, size, "%s: %s%s%s", report->stage, reason, cause ? "; " : "", cause ? cause->found : "");
}

void probe_judge_report(const struct probe *probe, const struct probe_host *host, const struct probe_report *report,
                        struct hutch_finding *finding)
{
	char text[sizeof finding->detail] = "";
	if (report->result >= 0) {
		if (probe->describe)
			probe->describe(host, report, text, sizeof text);
		probe_found(finding, HUTCH_VERDICT_OK, "%s", probe->describe ? text : probe->found);
		return;
	}
	const struct probe_cause *cause = probe_cause_of(host, report);
	describe_failure(report, cause, text, sizeof text);
	probe_found(finding, verdict_of(probe, report), "%s", text);
	probe_fix(finding, "%s", cause ? cause->fix : probe->fix);
}
