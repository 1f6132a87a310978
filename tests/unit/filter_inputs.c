/* SPDX-License-Identifier: Apache-2.0 */
#include "filter_inputs.h"

#include <linux/audit.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/syscall.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Each also less and plus one, and with bits above 31. */
static const uint32_t constants[] = {
	0, 2, 4, 6, 8, 10, 12, 16, 31, 35, 37, 38, 40, 0100, 0755, 02000, 04000, 06000, 04755, 0106755, 128 + 11, 256 + 12, 128 + 256 + 11, 282,
	512 + 11, 1024, 1026, 1040, 0x5412, 0x541c, 0x5423, 0x20000, 0x20008, 0x40000, 020000000, 020200000, 0x02000000, 0x04000000, 0x08000000,
	0x10000000, 0x20000000, 0x40000000, 0x7e020000, 0x80000000, 0xffffffff,
};
static const uint64_t above[] = {0, UINT64_C(1) << 32, UINT64_C(0xffffffff) << 32};

const int filter_inputs_several[] = {
	__NR_socket, __NR_setsockopt, __NR_prlimit64, __NR_openat,
#ifdef __NR_open
	__NR_open,
#endif
	-1,
};

#define VALUES (COUNT(constants) * 3 * COUNT(above))

static uint64_t value(size_t index)
{
	uint32_t low = constants[index / 3 % COUNT(constants)] + (uint32_t)(index % 3) - 1;
	return low | above[index / 3 / COUNT(constants)];
}

static void single_arguments(uint32_t arch, int number, filter_input_fn *each, void *context)
{
	for (unsigned argument = 0; argument < 6; argument++)
		for (size_t i = 0; i < VALUES; i++) {
			struct seccomp_data data = {.nr = number, .arch = arch};
			data.args[argument] = value(i);
			each(context, &data);
		}
}

static void pair(uint32_t arch, int number, unsigned one, unsigned two, filter_input_fn *each, void *context)
{
	for (size_t i = 0; i < VALUES; i++)
		for (size_t j = 0; j < VALUES; j++) {
			struct seccomp_data data = {.nr = number, .arch = arch};
			data.args[one] = value(i);
			data.args[two] = value(j);
			each(context, &data);
		}
}

static void random_arguments(uint32_t arch, int number, size_t count, filter_input_fn *each, void *context)
{
	uint64_t state = 88172645463325252u; /* any seed; the same every time */
	for (size_t i = 0; i < count; i++) {
		struct seccomp_data data = {.nr = number, .arch = arch};
		for (unsigned argument = 0; argument < 6; argument++) {
			state ^= state << 13;
			state ^= state >> 7;
			state ^= state << 17;
			data.args[argument] = value(state % VALUES);
		}
		each(context, &data);
	}
}

void filter_inputs_light(uint32_t arch, int number, filter_input_fn *each, void *context)
{
	single_arguments(arch, number, each, context);
	random_arguments(arch, number, 1000, each, context);
}

void filter_inputs_pairs(uint32_t arch, int number, filter_input_fn *each, void *context)
{
	pair(arch, number, 0, 1, each, context);
	pair(arch, number, 0, 2, each, context);
	pair(arch, number, 1, 2, each, context);
	pair(arch, number, 2, 3, each, context);
	random_arguments(arch, number, 50000, each, context);
}

static void numbers(uint32_t arch, int first, filter_input_fn *each, void *context)
{
	for (int number = first; number < first + 1024; number++) {
		struct seccomp_data data = {.nr = number, .arch = arch};
		each(context, &data);
		for (unsigned argument = 0; argument < 6; argument++)
			data.args[argument] = UINT64_MAX;
		each(context, &data);
	}
}

void filter_inputs(uint32_t arch, filter_input_fn *each, void *context)
{
	static const uint32_t foreign[] = {AUDIT_ARCH_I386, AUDIT_ARCH_X86_64, AUDIT_ARCH_ARM, AUDIT_ARCH_AARCH64, AUDIT_ARCH_X86_64 - 1,
	                                   AUDIT_ARCH_X86_64 + 1, 0, UINT32_MAX};
	static const uint32_t odd[] = {0x3fffffff, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe};
	for (size_t i = 0; i < COUNT(foreign); i++)
		numbers(foreign[i], 0, each, context);
	numbers(arch, 0, each, context);
	numbers(arch, 0x40000000, each, context); /* x32 */
	for (size_t i = 0; i < COUNT(odd); i++)
		each(context, &(struct seccomp_data){.nr = (int)odd[i], .arch = arch});
	for (int number = 0; number < 512; number++)
		single_arguments(arch, number, each, context);
	for (size_t i = 0; filter_inputs_several[i] >= 0; i++)
		filter_inputs_pairs(arch, filter_inputs_several[i], each, context);
}
