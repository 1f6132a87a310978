/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The numbers of the system calls. Our own lists, because the libseccomp of current distributions lacks the newer calls. All
 * architectures are always built in: the filters can then be compiled for another one, and be tested on any. Ordered by
 * number.
 */
#include "spec/policy.h"

#include <linux/audit.h>
#include <stdlib.h>
#include <string.h>

#define CALL(number_, name_) {.number = (number_), .name = #name_},
static const struct policy_call calls_x86_64[] = {
#include "spec/policy_x86_64.h"
};
static const struct policy_call calls_aarch64[] = {
#include "spec/policy_aarch64.h"
};
#undef CALL

static const struct policy_arch archs[] = {
	{"x86_64", AUDIT_ARCH_X86_64, calls_x86_64, sizeof calls_x86_64 / sizeof *calls_x86_64},
	{"aarch64", AUDIT_ARCH_AARCH64, calls_aarch64, sizeof calls_aarch64 / sizeof *calls_aarch64},
};

const struct policy_arch *policy_arch_find(const char *name)
{
	for (size_t i = 0; i < sizeof archs / sizeof *archs; i++)
		if (strcmp(archs[i].name, name) == 0)
			return &archs[i];
	return NULL;
}

const struct policy_arch *policy_arch_native(void)
{
#if defined(__x86_64__)
	return policy_arch_find("x86_64");
#elif defined(__aarch64__)
	return policy_arch_find("aarch64");
#else
#error "hutch knows x86_64 and aarch64"
#endif
}

int policy_number(const struct policy_arch *arch, const char *name)
{
	for (size_t i = 0; i < arch->count; i++)
		if (arch->calls[i].name[0] == name[0] && strcmp(arch->calls[i].name, name) == 0) /* called often */
			return arch->calls[i].number;
	return -1;
}

static int by_number(const void *key, const void *call)
{
	unsigned number = *(const unsigned *)key, other = ((const struct policy_call *)call)->number;
	return (number > other) - (number < other);
}

const char *policy_name(const struct policy_arch *arch, unsigned number)
{
	const struct policy_call *call = bsearch(&number, arch->calls, arch->count, sizeof *arch->calls, by_number);
	return call ? call->name : NULL;
}
