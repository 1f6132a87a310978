/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUTCH_ENGINE_GUEST_H
#define HUTCH_ENGINE_GUEST_H

/*
 * Starting hutch-init in namespaces of its own.
 *
 * One clone3 makes all namespaces. The child shares the owner's memory until its exec (an owner of 4 GiB would take
 * 100 ms to copy its page tables) and runs on a stack of its own, with raw system calls only, so that neither the
 * owner's threads and locks nor its errno matter. Its first act is to close every descriptor that is not its own.
 *
 * An ordinary user maps one id, which the child may write itself; the owner is suspended until the exec (CLONE_VFORK).
 * Real root maps a range: the owner writes the maps while the child waits for MESSAGE_GO.
 *
 * The child's capabilities survive the exec as ambient ones (an id other than 0 would lose them), and init drops them.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <hutch/error.h>

struct guest_request {
	int image;           /* hutch-init */
	int channel;         /* init's end of the control socket; stays the caller's, as do all three */
	int owner;           /* pidfd of the caller; all three are above 2 */
	int cgroup;          /* that init starts in; -1: the caller's */
	bool own_network;
	uint32_t inside;     /* single id: what the caller is called inside */
	uid_t uid;
	gid_t gid;
	uint64_t range_base; /* 0: a single id; else ids 0 to 65535 inside are these of the host */
	uint64_t gid_range_base;
	bool use_helpers;    /* an ordinary user's range, through newuidmap and newgidmap; `inside` is the caller */
};

struct guest {
	pid_t pid;
	int pidfd;
	void *stack;         /* of the child, while it may still run on it; NULL: not any more */
};

#define GUEST_IDS 65536u

/* With a range, the caller sends MESSAGE_GO over its end of the socket once this has returned. */
int guest_start(const struct guest_request *request, struct guest *ret, struct hutch_error *err);

/* Init is gone and has never spoken: why the child could not become it, or 0 if it did not say. */
int guest_failure(const struct guest *guest, struct hutch_error *err);

/* Once init has spoken, the child's stack is not used any more. */
void guest_release_stack(struct guest *guest);

/* Kills init, and with it everything in its PID namespace, waits for that, and frees what is left. Takes a half-built
 * or empty guest. */
void guest_end(struct guest *guest);

#endif
