/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filterc ARCHITECTURE OUTPUT.c: compiles the built-in system call policies to BPF, at build time. It runs on the machine
 * that builds, for the architecture that is built for.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan/filter_builtin.h"
#include "plan/filter_compile.h"
#include "spec/policy.h"

static int compile(const struct policy_arch *arch, unsigned options, struct sock_filter *code, size_t *ret_length)
{
	struct policy_map *map = malloc(sizeof *map);
	if (!map)
		return -1;
	policy_resolve(arch, options, map);
	int ret = filter_compile(map, arch->audit, code, ret_length);
	free(map);
	return ret;
}

static int write_program(FILE *out, const struct policy_arch *arch, int profile, int nosuid)
{
	static struct sock_filter code[FILTER_INSTRUCTIONS_MAX];
	size_t length;
	if (compile(arch, filter_builtin_profiles[profile].options | (nosuid ? POLICY_NOSUID : 0), code, &length) < 0)
		return -1;
	fprintf(out, "static const struct sock_filter program_%d_%d[] = { /* %s%s, %zu instructions */\n", profile, nosuid,
	        filter_builtin_profiles[profile].name, nosuid ? ", nosuid" : "", length);
	for (size_t i = 0; i < length; i++)
		fprintf(out, "\t{0x%02x, %u, %u, 0x%08x},\n", code[i].code, code[i].jt, code[i].jf, code[i].k);
	fprintf(out, "};\n\n");
	return 0;
}

#define ENTRY "\t\t{sizeof program_%d_%d / sizeof *program_%d_%d, program_%d_%d},\n"

static int write_all(FILE *out, const struct policy_arch *arch)
{
	fprintf(out, "/* Made by filterc from runtime/spec/policy.c. Do not edit. */\n#include \"plan/filter_builtin.h\"\n\n");
	for (int profile = 0; profile < FILTER_BUILTIN_PROFILES; profile++)
		for (int nosuid = 0; nosuid < 2; nosuid++)
			if (write_program(out, arch, profile, nosuid) < 0)
				return -1;
	fprintf(out, "const struct filter_builtin filter_builtin[FILTER_BUILTIN_PROFILES][2] = {\n");
	for (int p = 0; p < FILTER_BUILTIN_PROFILES; p++)
		fprintf(out, "\t{\n" ENTRY ENTRY "\t},\n", p, 0, p, 0, p, 0, p, 1, p, 1, p, 1);
	fprintf(out, "};\n");
	return ferror(out) ? -1 : 0;
}

int main(int argc, char **argv)
{
	const struct policy_arch *arch = argc == 3 ? policy_arch_find(argv[1]) : NULL;
	if (!arch) {
		fprintf(stderr, "usage: filterc x86_64|aarch64 OUTPUT.c\n");
		return EXIT_FAILURE;
	}
	FILE *out = fopen(argv[2], "w");
	if (!out) {
		perror(argv[2]);
		return EXIT_FAILURE;
	}
	int failed = write_all(out, arch);
	if (fclose(out) != 0 || failed) {
		fprintf(stderr, "filterc: cannot compile the policies for %s\n", arch->name);
		remove(argv[2]);
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}
