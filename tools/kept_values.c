/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arguments of the verbs of kept sandboxes: labels, ids of commands, signals, and which part of a log.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "keep.h"
#include "say.h"
#include "values.h"

int set_label(struct run_options *options, const char *value, struct hutch_error *err)
{
	if (!*value || *value == '=')
		return usage_error(err, "\"%.100s\" is not a label (K=V)", value);
	const char **labels = grow(options->labels, options->labels_count + 1, sizeof *labels, err);
	if (!labels)
		return -1;
	/* one more than there are labels: the NULL at the end */
	labels[options->labels_count++] = value;
	labels[options->labels_count] = NULL;
	options->labels = labels;
	options->spec.labels = labels;
	options->spec.labels_count = options->labels_count;
	return 0;
}

int set_exec_id(struct run_options *options, const char *value, struct hutch_error *err)
{
	uint64_t id;

	if (!read_number(value, UINT32_MAX, &id) || !id)
		return usage_error(err, "\"%.100s\" is not the id of a command (the number that hutch exec -d prints)", value);
	options->exec_id = (uint32_t)id;
	return 0;
}

static int find_signal(const char *name)
{
	const char *bare = strncasecmp(name, "SIG", 3) == 0 ? name + 3 : name;

	for (int signo = 1; signo < NSIG; signo++) {
		const char *known = sigabbrev_np(signo);
		if (known && strcasecmp(known, bare) == 0)
			return signo;
	}
	return 0;
}

int set_signal(struct run_options *options, const char *value, struct hutch_error *err)
{
	uint64_t number;
	int signo = read_number(value, NSIG - 1, &number) ? (int)number : find_signal(value);

	if (!signo)
		return usage_error(err, "\"%.100s\" is not a signal (such as TERM, SIGTERM or 15)", value);
	options->signal = signo;
	return 0;
}

int set_tail(struct run_options *options, const char *value, struct hutch_error *err)
{
	if (!read_number(value, UINT64_MAX, &options->tail))
		return usage_error(err, "\"%.100s\" is not a number of lines", value);
	options->has_tail = true;
	return 0;
}

int set_offset(struct run_options *options, const char *value, struct hutch_error *err)
{
	if (!read_number(value, UINT64_MAX, &options->offset))
		return usage_error(err, "\"%.100s\" is not a number of bytes", value);
	return 0;
}

/* 2026-05-31, 2026-05-31T14:00, 2026-05-31T14:00:00.5, each with a Z for UTC or without for local time. */
static bool read_date(const char *text, int64_t *ret_ms)
{
	struct tm parts = {.tm_isdst = -1};
	int64_t ms = 0;

	const char *end = strptime(text, "%Y-%m-%d", &parts);
	if (end && (*end == 'T' || *end == ' ')) {
		const char *from = end + 1;
		end = strptime(from, "%H:%M:%S", &parts);
		end = end ? end : strptime(from, "%H:%M", &parts);
	}
	if (end && *end == '.') {
		int64_t scale = 100;
		for (end++; *end >= '0' && *end <= '9'; end++, scale /= 10)
			ms += (*end - '0') * scale;
	}
	if (!end || (*end && strcmp(end, "Z") != 0))
		return false;
	time_t seconds = *end ? timegm(&parts) : mktime(&parts);
	*ret_ms = (int64_t)seconds * 1000 + ms;
	return seconds != (time_t)-1;
}

int set_since(struct run_options *options, const char *value, struct hutch_error *err)
{
	struct timespec now;
	uint64_t ago_ms;

	if (read_date(value, &options->since_ms))
		return 0;
	if (hutch_parse_duration(value, &ago_ms) < 0)
		return usage_error(err, "\"%.100s\" is neither a duration (10m) nor a date (2026-05-31T14:00:00, with Z for UTC)", value);
	clock_gettime(CLOCK_REALTIME, &now);
	int64_t now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
	options->since_ms = ago_ms < (uint64_t)now_ms ? now_ms - (int64_t)ago_ms : 1;
	return 0;
}
