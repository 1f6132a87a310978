/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables of /dev and of what is hidden in /proc.
 *
 * A /proc entry needs a mask only if it tells something to readers other than root: files of the host's root belong to
 * nobody inside, whoever runs there, so kcore, kmsg, sysrq-trigger, kpagecount, slabinfo, timer_list and the like are
 * refused by their mode, and so is writing to bus, fs and irq. kallsyms, iomem, ioports and modules show addresses only
 * to capabilities of the initial user namespace. The table names what a kernel could be more generous with, too: the
 * host's own mode decides.
 */
#include <stdio.h>
#include <sys/stat.h>

#include "plan/build.h"

static const struct {
	const char *path;
	const char *why;
} masks[] = {
	{"/proc/acpi", "hardware"},
	{"/proc/asound", "hardware"},
	{"/proc/config.gz", "the kernel's build"},
	{"/proc/diskstats", "what the host does"},
	{"/proc/interrupts", "keystroke and activity timing"},
	{"/proc/kcore", "the host's memory"},
	{"/proc/key-users", "other users' keys"},
	{"/proc/keys", "other users' keys"},
	{"/proc/kmsg", "the kernel's log"},
	{"/proc/kpagecgroup", "the host's memory"},
	{"/proc/kpagecount", "the host's memory"},
	{"/proc/kpageflags", "the host's memory"},
	{"/proc/latency_stats", "what the host does"},
	{"/proc/sched_debug", "what the host does"},
	{"/proc/scsi", "hardware"},
	{"/proc/slabinfo", "what the host does"},
	{"/proc/sysrq-trigger", "reboots the host"},
	{"/proc/timer_list", "what the host does"},
	{"/proc/timer_stats", "what the host does"},
	{"/proc/vmallocinfo", "addresses"},
};

void plan_proc(struct draft *draft, const struct hutch_spec *spec)
{
	if (spec->seccomp == HUTCH_SECCOMP_STRICT) {
		draft->fixed.flags |= PLAN_PROC_PIDS_ONLY; /* none of these exists then */
		return;
	}
	draft_op(draft, PLAN_OP_PROC_READONLY, "/proc/sys");
	for (size_t i = 0; i < sizeof masks / sizeof *masks; i++) {
		struct stat st;
		if (lstat(masks[i].path, &st) < 0 || !(st.st_mode & 07))
			continue;
		draft_op(draft, PLAN_OP_MASK, masks[i].path)->flags = S_ISDIR(st.st_mode) ? 0 : PLAN_OP_IS_FILE;
	}
}

/* Numbers as in the kernel's devices.txt; init checks that the host's node is what it should be. */
static const struct {
	const char *path;
	unsigned major, minor;
} devices[] = {
	{"/dev/null", 1, 3}, {"/dev/zero", 1, 5}, {"/dev/full", 1, 7}, {"/dev/random", 1, 8}, {"/dev/urandom", 1, 9}, {"/dev/tty", 5, 0},
};

static const char *const links[][2] = {
	{"/dev/fd", "/proc/self/fd"},
	{"/dev/stdin", "/proc/self/fd/0"},
	{"/dev/stdout", "/proc/self/fd/1"},
	{"/dev/stderr", "/proc/self/fd/2"},
	{"/dev/ptmx", "pts/ptmx"},
};

void plan_devices(struct draft *draft, const struct hutch_spec *spec)
{
	if (spec->root == HUTCH_ROOT_DIRECTORY) { /* whatever it has there is not ours: /dev is a file system of its own */
		struct plan_op *op = draft_op(draft, PLAN_OP_TMPFS, "/dev");
		op->size = 64 << 10;
		op->mode = 0755;
	}
	for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
		struct plan_op *op = draft_op(draft, PLAN_OP_DEVICE, devices[i].path);
		op->source = op->target;
		op->flags = PLAN_OP_IS_FILE;
		op->dev = (uint64_t)devices[i].major << 32 | devices[i].minor;
	}
	for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
		plan_string target = draft_text(draft, links[i][1]);
		draft_op(draft, PLAN_OP_SYMLINK, links[i][0])->source = target;
	}
}
