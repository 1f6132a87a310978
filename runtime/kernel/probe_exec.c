/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What survives an exec. The program that is executed is made here, byte by byte, so that nothing has to be installed
 * for it: it asks whether CAP_SYS_ADMIN is in its ambient set and exits with 200 (no) or 201 (yes).
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stddef.h>
#include <string.h>

#include "base/sys.h"
#include "kernel/caps.h"
#include "kernel/probe_fs.h"
#include "kernel/probe_table.h"

#define EXIT_PLAIN   200
#define EXIT_AMBIENT 201

#define LOAD_ADDRESS 0x400000u
#define LOAD_ALIGN   0x10000u /* the largest page size */

#ifndef MFD_EXEC
#define MFD_EXEC 0x10U
#endif

#if defined(__x86_64__)
#define MACHINE EM_X86_64
static const unsigned char code[] = {
	0xb8, 157, 0, 0, 0,       /* mov  eax, prctl */
	0xbf, 47, 0, 0, 0,        /* mov  edi, PR_CAP_AMBIENT */
	0xbe, 1, 0, 0, 0,         /* mov  esi, PR_CAP_AMBIENT_IS_SET */
	0xba, 21, 0, 0, 0,        /* mov  edx, CAP_SYS_ADMIN */
	0x45, 0x31, 0xd2,         /* xor  r10d, r10d */
	0x45, 0x31, 0xc0,         /* xor  r8d, r8d */
	0x0f, 0x05,               /* syscall */
	0x8d, 0xb8, 200, 0, 0, 0, /* lea  edi, [rax + 200] */
	0xb8, 231, 0, 0, 0,       /* mov  eax, exit_group */
	0x0f, 0x05,               /* syscall */
};
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
static const uint32_t code[] = {
	0xd28014e8, /* mov x8, prctl */
	0xd28005e0, /* mov x0, PR_CAP_AMBIENT */
	0xd2800021, /* mov x1, PR_CAP_AMBIENT_IS_SET */
	0xd28002a2, /* mov x2, CAP_SYS_ADMIN */
	0xd2800003, /* mov x3, 0 */
	0xd2800004, /* mov x4, 0 */
	0xd4000001, /* svc 0 */
	0x91032000, /* add x0, x0, 200 */
	0xd2800bc8, /* mov x8, exit_group */
	0xd4000001, /* svc 0 */
};
#endif

struct program {
	Elf64_Ehdr file;
	Elf64_Phdr segment;
	unsigned char code[sizeof code];
};

static long write_program(long fd)
{
	struct program program = {
		.file = {
			.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
			.e_type = ET_EXEC, .e_machine = MACHINE, .e_version = EV_CURRENT,
			.e_entry = LOAD_ADDRESS + offsetof(struct program, code), .e_phoff = offsetof(struct program, segment),
			.e_ehsize = sizeof(Elf64_Ehdr), .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 1,
		},
		.segment = {
			.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_vaddr = LOAD_ADDRESS, .p_paddr = LOAD_ADDRESS,
			.p_filesz = sizeof program, .p_memsz = sizeof program, .p_align = LOAD_ALIGN,
		},
	};
	memcpy(program.code, code, sizeof code);
	long ret = sys_call3(SYS_write, fd, &program, sizeof program);
	return ret == sizeof program ? 0 : -EIO;
}

/* Executes `fd` in a child of its own: its exit code, or -errno when it could not be executed. */
static long execute(long fd)
{
	int pidfd;
	long pid = probe_fork(0, &pidfd, false);
	if (pid == 0) {
		char *argv[] = {NULL, NULL}, *env[] = {NULL};
		char name[] = "probe";
		argv[0] = name;
		probe_exit((int)-sys_call5(SYS_execveat, fd, "", argv, env, AT_EMPTY_PATH));
	}
	if (pid < 0)
		return pid;
	long code_or_errno = probe_reap(pid);
	return code_or_errno > 0 && code_or_errno < EXIT_PLAIN ? -code_or_errno : code_or_errno;
}

long probe_memfd_exec(struct probe_report *report, const void *data)
{
	(void)data;
	report->stage = "memfd_create";
	long fd = sys_call2(SYS_memfd_create, "hutch", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
	if (fd == -EINVAL) /* before 6.3, where every memfd can be executed */
		fd = sys_call2(SYS_memfd_create, "hutch", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	long ret = fd < 0 ? fd : write_program(fd);
	if (ret < 0)
		return ret;
	report->stage = "seal";
	ret = sys_call3(SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
	if (ret < 0)
		return ret;
	report->stage = "execveat";
	ret = execute(fd);
	return ret == EXIT_PLAIN || ret == EXIT_AMBIENT || ret < 0 ? ret : -EUCLEAN;
}

/* From a file, not from a memfd, so that vm.memfd_noexec has no say in it. Written through one descriptor and executed
 * through another, since an open writer makes it ETXTBSY. */
static long new_program_file(struct probe_report *report)
{
	long root = probe_root(report);
	if (root < 0)
		return root;
	report->stage = "file";
	long fd = sys_call4(SYS_openat, root, "program", O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
	long ret = fd < 0 ? fd : write_program(fd);
	if (ret < 0)
		return ret;
	sys_call1(SYS_close, fd);
	return sys_call4(SYS_openat, root, "program", O_PATH | O_CLOEXEC, 0);
}

long probe_ambient(struct probe_report *report, const void *data)
{
	(void)data;
	long fd = new_program_file(report);
	if (fd < 0)
		return fd;
	report->stage = "capset";
	long ret = caps_set(CAPS_ALL, CAPS_ALL, CAPS_ALL);
	if (ret < 0)
		return ret;
	report->stage = "ambient";
	ret = caps_raise_ambient(CAPS_ALL);
	if (ret < 0)
		return ret;
	report->stage = "execveat";
	ret = execute(fd);
	return ret == EXIT_AMBIENT || ret < 0 ? ret : -EUCLEAN;
}
