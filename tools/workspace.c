/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which current directory becomes the workspace by itself.
 *
 * A project directory should simply be there. A system directory is there anyway, and the home directory or anything above
 * it would show keys and passwords to a script that nobody looked at, so these have to be named (`--workspace DIR`).
 */
#include "workspace.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Not shown, and nothing below them either. */
static const char *const system_trees[] = {"/usr", "/bin", "/sbin", "/opt", "/etc", "/proc", "/sys", "/dev", "/run"};

/* Not shown themselves: everybody's files are in them. */
static const char *const shared_directories[] = {"/", "/tmp", "/var", "/home"};

static bool is_at_or_below(const char *path, const char *tree)
{
	size_t length = strlen(tree);

	return strncmp(path, tree, length) == 0 && (path[length] == '/' || !path[length]);
}

const char *workspace_refusal(const char *cwd, const char *home)
{
	for (size_t i = 0; i < sizeof shared_directories / sizeof shared_directories[0]; i++) {
		if (strcmp(cwd, shared_directories[i]) == 0)
			return "a directory shared by everybody";
	}
	for (size_t i = 0; i < sizeof system_trees / sizeof system_trees[0]; i++) {
		if (is_at_or_below(cwd, system_trees[i]))
			return "a system directory";
	}
	if (strncmp(cwd, "/lib", 4) == 0) /* lib, lib32, lib64, libx32, ... */
		return "a system directory";
	if (home && strcmp(home, "/") != 0 && is_at_or_below(home, cwd))
		return strcmp(home, cwd) == 0 ? "the home directory" : "above the home directory";
	return NULL;
}

/* getpwuid() would load name services, which a statically linked program cannot. */
static const char *find_home_entry(void)
{
	FILE *file = fopen("/etc/passwd", "re");
	const struct passwd *entry = NULL;

	if (!file)
		return NULL;
	do
		entry = fgetpwent(file);
	while (entry && entry->pw_uid != getuid());
	fclose(file);
	return entry ? entry->pw_dir : NULL;
}

/* Without links, as the current directory's name is. The password file is asked only if the environment has no answer. */
static const char *find_home(char home[PATH_MAX])
{
	const char *name = getenv("HOME");

	if (!name || name[0] != '/')
		name = find_home_entry();
	return name && realpath(name, home) ? home : name;
}

void workspace_choose(struct run_options *options, struct notices *notices, char directory[PATH_MAX])
{
	struct hutch_spec *spec = &options->spec;
	char home[PATH_MAX];
	const char *refusal = "a directory that cannot be found";

	/* with --rootfs nothing of the host is shown unless it is named */
	if (options->workspace != WORKSPACE_DEFAULT || spec->root == HUTCH_ROOT_DIRECTORY)
		return;
	if (getcwd(directory, PATH_MAX) && directory[0] == '/')
		refusal = workspace_refusal(directory, find_home(home));
	if (refusal) {
		notice(notices,
		       "the current directory is not shown: it is %s; the command starts in a private home (to show one: --workspace DIR)",
		       refusal);
		return;
	}
	spec->workspace = directory;
	spec->workspace_access = HUTCH_ACCESS_COW;
}
