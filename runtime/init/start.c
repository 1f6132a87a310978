/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entry of hutch-init, without libc.
 *
 * Init is exec'd for every sandbox, so its own start is on the clock, and its memory is paid once per sandbox. Without
 * libc it is a few dozen KiB that need no dynamic linker, no locale, no heap. What a libc would do before main and what
 * we want of it is done here: relocate the position-independent image, make what has been relocated read-only again,
 * and give the stack protector its canary.
 */
#include <elf.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include "base/sys.h"
#include "init/init.h"

#define HIDDEN __attribute__((visibility("hidden")))

#if defined(__clang__)
#define NO_CANARY __attribute__((no_stack_protector))
#else
#define NO_CANARY __attribute__((optimize("no-stack-protector")))
#endif

HIDDEN extern const Elf64_Dyn _DYNAMIC[];
HIDDEN _Noreturn void init_start(const uintptr_t *stack);

#if defined(__x86_64__)
#define RELOC_RELATIVE R_X86_64_RELATIVE
__asm__(".globl _start\n"
        ".type _start, @function\n"
        "_start:\n\t"
        "xorl %ebp, %ebp\n\t"
        "movq %rsp, %rdi\n\t"
        "andq $-16, %rsp\n\t"
        "callq init_start\n\t"
        "ud2\n");

#include <asm/prctl.h>

static uintptr_t thread_area[8]; /* the canary is at %fs:0x28 */

static inline void set_canary(uintptr_t canary)
{
	thread_area[0] = (uintptr_t)thread_area;
	thread_area[5] = canary;
	sys_call2(SYS_arch_prctl, ARCH_SET_FS, thread_area);
}
#elif defined(__aarch64__)
#define RELOC_RELATIVE R_AARCH64_RELATIVE
__asm__(".globl _start\n"
        ".type _start, %function\n"
        "_start:\n\t"
        "mov x29, xzr\n\t"
        "mov x0, sp\n\t"
        "bl init_start\n\t"
        "brk #1\n");

HIDDEN uintptr_t __stack_chk_guard;

static inline void set_canary(uintptr_t canary)
{
	__stack_chk_guard = canary;
}
#endif

_Noreturn void __stack_chk_fail(void);
_Noreturn void __stack_chk_fail(void)
{
	for (;;)
		sys_call1(SYS_exit_group, 127);
}

static inline void relocate(uintptr_t base)
{
	uintptr_t rela = 0, size = 0;
	for (const Elf64_Dyn *dyn = _DYNAMIC; dyn->d_tag != DT_NULL; dyn++) {
		if (dyn->d_tag == DT_RELA)
			rela = base + dyn->d_un.d_ptr;
		if (dyn->d_tag == DT_RELASZ)
			size = dyn->d_un.d_val;
	}
	for (uintptr_t at = rela; at < rela + size; at += sizeof(Elf64_Rela)) {
		const Elf64_Rela *entry = (const Elf64_Rela *)at;
		if (ELF64_R_TYPE(entry->r_info) == RELOC_RELATIVE)
			*(uintptr_t *)(base + entry->r_offset) = base + (uintptr_t)entry->r_addend;
	}
}

static inline void protect(uintptr_t base, const Elf64_Phdr *header)
{
	uintptr_t start = (base + header->p_vaddr) & ~(uintptr_t)4095;
	uintptr_t end = (base + header->p_vaddr + header->p_memsz) & ~(uintptr_t)4095;
	sys_call3(SYS_mprotect, start, end - start, PROT_READ);
}

/* Runs before there is a canary, and before pointers in data are valid. */
NO_CANARY _Noreturn void init_start(const uintptr_t *stack)
{
	const uintptr_t *auxv = stack + 1 + stack[0] + 1; /* behind argc, argv and its NULL ... */
	while (*auxv++) /* ... and the environment and its NULL */
		;
	const Elf64_Phdr *headers = NULL;
	uintptr_t count = 0, canary = 0;
	for (; auxv[0] != AT_NULL; auxv += 2) {
		if (auxv[0] == AT_PHDR)
			headers = (const Elf64_Phdr *)auxv[1];
		if (auxv[0] == AT_PHNUM)
			count = auxv[1];
		if (auxv[0] == AT_RANDOM)
			canary = *(const uintptr_t *)auxv[1] & ~(uintptr_t)0xff; /* its first byte 0 stops string overruns */
	}
	uintptr_t base = 0;
	for (uintptr_t i = 0; i < count; i++)
		if (headers[i].p_type == PT_DYNAMIC)
			base = (uintptr_t)_DYNAMIC - headers[i].p_vaddr;
	relocate(base);
	for (uintptr_t i = 0; i < count; i++)
		if (headers[i].p_type == PT_GNU_RELRO)
			protect(base, &headers[i]);
	set_canary(canary);
	init_main();
}
