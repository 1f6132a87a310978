/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of the host's system a sandbox sees, read-only: programs and libraries, and of /etc what they need to run. This
 * list is the policy; nothing else of the host's tree is visible unless the user asks for it. Left out on purpose:
 * /etc/shadow, ssh and machine-id (secrets, identity), passwd, group and hosts (written anew, below), /run and /var
 * (sockets, other people's data), /sys (the host's hardware), /home, /root, /srv, /mnt.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "plan/build.h"

static const char *const directories[] = {"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt"};

/* Every entry is a mount in every sandbox: what is here has a reader. Links are shown as links, at no cost. */
static const char *const etc[] = {
	"/etc/alternatives",    /* what /usr/bin's links go through */
	"/etc/crypto-policies", /* trust, in the places of three distributions */
	"/etc/pki",
	"/etc/ssl",
	"/etc/fonts",           /* anything that draws text, Java included */
	"/etc/java-11-openjdk", /* a JDK's own conf directory links here */
	"/etc/java-17-openjdk",
	"/etc/java-21-openjdk",
	"/etc/ld.so.cache",
	"/etc/localtime",
	"/etc/mime.types",      /* Python's mimetypes, web servers */
	"/etc/mtab",
	"/etc/os-release",
	"/etc/protocols",       /* getprotobyname, getservbyname */
	"/etc/services",
};

static uint64_t device_number(dev_t dev)
{
	return (uint64_t)major(dev) << 32 | minor(dev);
}

/* A directory or file as a bind, a symbolic link as the same link; what is not there is not shown. */
static void show(struct draft *draft, const char *path)
{
	struct stat st;
	if (lstat(path, &st) < 0)
		return;
	if (S_ISLNK(st.st_mode)) {
		char target[PATH_MAX];
		ssize_t length = readlink(path, target, sizeof target - 1);
		if (length <= 0)
			return;
		target[length] = '\0';
		plan_string source = draft_text(draft, target);
		draft_op(draft, PLAN_OP_SYMLINK, path)->source = source;
		return;
	}
	struct plan_op *op = draft_op(draft, PLAN_OP_BIND, path);
	op->source = op->target;
	op->flags = S_ISDIR(st.st_mode) ? 0 : PLAN_OP_IS_FILE;
	op->dev = device_number(st.st_dev);
	op->ino = st.st_ino;
}

static void write_file(struct draft *draft, const char *path, plan_string contents)
{
	struct plan_op *op = draft_op(draft, PLAN_OP_FILE, path);
	op->source = contents;
	op->mode = 0644;
}

static void write_identity(struct draft *draft, const struct hutch_spec *spec)
{
	unsigned uid = spec->uid;
	const char *home = plan_home(spec);
	if (uid == 0) {
		write_file(draft, "/etc/passwd", draft_format(draft, "root:x:0:0:root:%s:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n", home));
		write_file(draft, "/etc/group", draft_text(draft, "root:x:0:\nnogroup:x:65534:\n"));
		return;
	}
	write_file(draft, "/etc/passwd",
	           draft_format(draft, "root:x:0:0:root:/nonexistent:/usr/sbin/nologin\nsandbox:x:%u:%u:sandbox:%s:/bin/sh\n"
	                               "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n", uid, uid, home));
	write_file(draft, "/etc/group", draft_format(draft, "root:x:0:\nsandbox:x:%u:\nnogroup:x:65534:\n", uid));
}

void plan_system(struct draft *draft, const struct hutch_spec *spec)
{
	for (size_t i = 0; i < sizeof directories / sizeof *directories; i++)
		show(draft, directories[i]);
	for (size_t i = 0; i < sizeof etc / sizeof *etc; i++)
		show(draft, etc[i]);
	write_identity(draft, spec);
	write_file(draft, "/etc/hosts", draft_text(draft, "127.0.0.1 localhost hutch\n::1 localhost ip6-localhost\n"));
	write_file(draft, "/etc/nsswitch.conf", draft_text(draft, "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\nprotocols: files\n"));
	draft_op(draft, PLAN_OP_DIRECTORY, "/run")->mode = 0755;
	plan_string run = draft_text(draft, "../run");
	draft_op(draft, PLAN_OP_SYMLINK, "/var/run")->source = run;
	if (spec->net == HUTCH_NET_HOST) {
		char *resolved = realpath("/etc/resolv.conf", NULL); /* usually a link into /run */
		struct stat st;
		if (resolved && stat(resolved, &st) == 0 && S_ISREG(st.st_mode)) {
			plan_string source = draft_text(draft, resolved);
			struct plan_op *op = draft_op(draft, PLAN_OP_BIND, "/etc/resolv.conf");
			op->source = source;
			op->flags = PLAN_OP_IS_FILE;
			op->dev = device_number(st.st_dev);
			op->ino = st.st_ino;
		}
		free(resolved);
	}
}
