/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_BASE_SYS_H
#define HUTCH_BASE_SYS_H

/*
 * Raw system calls: they return a value or -errno and touch nothing else.
 *
 * hutch-init has no libc, and a child that shares its parent's memory (CLONE_VM) shares its parent's errno and locks as
 * well, so neither may call wrappers that set errno. What libc wraps well is used through libc everywhere else.
 */

#include <stdint.h>
#include <sys/syscall.h>

#if defined(__x86_64__)

static inline long sys6(long nr, long a, long b, long c, long d, long e, long f)
{
	long ret;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	__asm__ volatile("syscall" : "=a"(ret) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
	return ret;
}

#elif defined(__aarch64__)

static inline long sys6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
}

#else
#error "hutch knows x86_64 and aarch64"
#endif

#define SYS_ARG(x) ((long)(x))
#define sys_call0(nr)                sys6(nr, 0, 0, 0, 0, 0, 0)
#define sys_call1(nr, a)             sys6(nr, SYS_ARG(a), 0, 0, 0, 0, 0)
#define sys_call2(nr, a, b)          sys6(nr, SYS_ARG(a), SYS_ARG(b), 0, 0, 0, 0)
#define sys_call3(nr, a, b, c)       sys6(nr, SYS_ARG(a), SYS_ARG(b), SYS_ARG(c), 0, 0, 0)
#define sys_call4(nr, a, b, c, d)    sys6(nr, SYS_ARG(a), SYS_ARG(b), SYS_ARG(c), SYS_ARG(d), 0, 0)
#define sys_call5(nr, a, b, c, d, e) sys6(nr, SYS_ARG(a), SYS_ARG(b), SYS_ARG(c), SYS_ARG(d), SYS_ARG(e), 0)
#define sys_call6(nr, a, b, c, d, e, f) sys6(nr, SYS_ARG(a), SYS_ARG(b), SYS_ARG(c), SYS_ARG(d), SYS_ARG(e), SYS_ARG(f))

/* For functions that run in a child which shares its parent's memory: a sanitizer's bookkeeping is not made for that. */
#define CHILD_CODE __attribute__((no_sanitize("address", "undefined")))

/* clone3's argument, up to and including CLONE_INTO_CGROUP's field. */
struct sys_clone_args {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

/*
 * clone3 with a stack of its own: the child calls fn(arg) on it, which must not return. The child may share the
 * parent's memory; nothing on the parent's stack is touched.
 */
long sys_clone3(const struct sys_clone_args *args, void (*fn)(void *), void *arg);

#endif
