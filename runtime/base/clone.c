/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clone3(2) into a function on a stack of its own. libc offers this only for the older clone(2), which cannot place the
 * child in a cgroup. fn and arg travel in registers: when both sides share memory, the parent's stack is not the
 * child's to read.
 */
#include "base/sys.h"

long sys_clone3(const struct sys_clone_args *args, void (*fn)(void *), void *arg)
{
#if defined(__x86_64__)
	long ret;
	register void (*r8)(void *) __asm__("r8") = fn;
	register void *r9 __asm__("r9") = arg;
	__asm__ volatile("syscall\n\t"
	                 "testq %%rax, %%rax\n\t"
	                 "jnz 1f\n\t"
	                 "xorl %%ebp, %%ebp\n\t"
	                 "movq %%r9, %%rdi\n\t"
	                 "andq $-16, %%rsp\n\t"
	                 "callq *%%r8\n\t"
	                 "ud2\n"
	                 "1:"
	                 : "=a"(ret)
	                 : "a"(SYS_clone3), "D"(args), "S"(sizeof *args), "r"(r8), "r"(r9)
	                 : "rcx", "r11", "memory");
	return ret;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = SYS_clone3;
	register long x0 __asm__("x0") = (long)args;
	register long x1 __asm__("x1") = sizeof *args;
	register void (*x10)(void *) __asm__("x10") = fn;
	register void *x11 __asm__("x11") = arg;
	__asm__ volatile("svc 0\n\t"
	                 "cbnz x0, 1f\n\t"
	                 "mov x29, xzr\n\t"
	                 "mov x0, x11\n\t"
	                 "blr x10\n\t"
	                 "brk #1\n"
	                 "1:"
	                 : "+r"(x0)
	                 : "r"(x8), "r"(x1), "r"(x10), "r"(x11)
	                 : "x30", "memory");
	return x0;
#endif
}
