/* SPDX-License-Identifier: Apache-2.0 */
/* usage: guest VERB [ARG...]; the verbs are explained where they are implemented. */
#include "guest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} verbs[] = {
	{"syscalls", verb_syscalls}, {"sockets", verb_sockets}, {"abi", verb_abi},       {"userns", verb_userns},     {"inside", verb_inside},
	{"fds", verb_fds},           {"status", verb_status},   {"ids", verb_ids},       {"tty", verb_tty},           {"init", verb_init},
	{"access", verb_access},     {"list", verb_list},       {"cat", verb_cat},       {"dotdot", verb_dotdot},     {"suidfile", verb_suidfile},
	{"tree", verb_tree},         {"traceme", verb_traceme}, {"attempts", verb_attempts},   {"orphans", verb_orphans},
};

void say_errno(const char *name, int error)
{
	const char *text = error ? strerrorname_np(error) : "ok";
	if (text)
		printf("%s %s\n", name, text);
	else
		printf("%s %d\n", name, error);
}

void say_result(const char *name, long result)
{
	say_errno(name, result == -1 ? errno : 0);
}

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof verbs / sizeof *verbs; i++)
		if (strcmp(argv[1], verbs[i].name) == 0)
			return verbs[i].run(argc - 2, argv + 2);
	fprintf(stderr, "usage: guest VERB [ARG...]\nverbs:");
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		fprintf(stderr, " %s", verbs[i].name);
	fprintf(stderr, "\n");
	return 2;
}
