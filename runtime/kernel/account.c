/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/account.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"

bool account_name(uid_t uid, char *ret, size_t size)
{
	char buffer[4096];
	struct passwd entry, *found = NULL;
	*ret = '\0';
	FILE *file = fopen("/etc/passwd", "re");
	if (!file)
		return false;
	while (fgetpwent_r(file, &entry, buffer, sizeof buffer, &found) == 0 && entry.pw_uid != uid)
		found = NULL;
	if (found)
		snprintf(ret, size, "%s", found->pw_name);
	fclose(file);
	return found;
}

bool account_range(const char *file, uid_t uid, uint32_t minimum, struct probe_range *ret)
{
	char name[256];
	FILE *stream = fopen(file, "re");
	if (!stream)
		return false;
	account_name(uid, name, sizeof name);
	CLEANUP_FREE char *line = NULL;
	size_t size = 0;
	bool found = false;
	while (!found && getline(&line, &size, stream) > 0)
		found = probe_parse_subid(line, name, uid, ret) && ret->count >= minimum;
	fclose(stream);
	return found;
}
