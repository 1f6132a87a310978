#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows that the must-fail checks can fail: takes one defence at a time out of a copy of the sources, builds that and runs
tests/escape/test_escape.py, which must complain.

usage: mutate.py [--only REGEX] [--user NAME] [--json FILE] [--list]

    --only REGEX   only defences whose name has a match
    --user NAME    run the checks as this user, too (as root only)
    --json FILE    write the table to FILE
    --list         print the defences and stop

Not part of the test suites: it takes some seconds for each defence. Prints "defence -> the rows that caught it". Exit code 0
if every defence was missed by some row; 1 otherwise. A text that is not found in the sources is an error: then the list
below has to follow them. Where one defence alone is not missed because a second one does the same work, the list says so
(`also`), and takes out both.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
SETUP, MAIN, TREE, SPECIAL, LAUNCH, COMMAND, OVERLAY = ("runtime/init/%s.c" % name for name in (
    "setup", "main", "tree", "special", "launch", "command", "overlay"))
GUEST, TREES, IDMAP, EXEC, SAVE, POLICY, MASKS, SYSTEM, PROGRAM, LANDLOCK, CAPS, BUILD = (
    "runtime/engine/guest.c", "runtime/engine/trees.c", "runtime/engine/idmap.c", "runtime/engine/exec.c", "runtime/engine/save.c",
    "runtime/spec/policy.c", "runtime/plan/special.c", "runtime/plan/system.c", "runtime/plan/program.c", "runtime/kernel/landlock.c",
    "runtime/kernel/caps.c", "runtime/plan/build.c")

# Without the word "else" behind it, a call is left out by giving its result.
SKIP_CLOSE_INIT = (GUEST, "ret = sys_call3(SYS_close_range, 2, child->image - 1, 0);", "ret = 0;")
SKIP_CLOSE_REST = (GUEST, "ret = sys_call3(SYS_close_range, child->image + 1, ~0u, 0);", "ret = 0;")
SKIP_CLOSE_COMMAND = (LAUNCH, "return (int)sys_call3(SYS_close_range, 3, ~0u, CLOSE_RANGE_CLOEXEC);", "return 0;")
SKIP_ROOT_CHECK = (TREE, "ret = check_root_is_top();", "ret = 0 * check_root_is_top();")


def calls(*names):
    """Takes names off the policy table and lets them through."""
    edits = [(POLICY, re.compile(r'(?<=[" ])%s(?=[" ])' % name), "") for name in names]
    return edits + [(POLICY, '"get_robust_list set_robust_list rseq"', '"get_robust_list set_robust_list rseq %s"' % " ".join(names))]


class Defence:
    def __init__(self, name, *edits, also="", root_only=False, user_only=False):
        self.name, self.edits, self.also = name, edits, also
        self.root_only, self.user_only = root_only, user_only  # who is protected by it at all


DEFENCES = [
    # stages of the setup
    Defence("stage nested-userns", (SETUP, "\t{STAGE_NESTED_USERNS, setup_nested_userns, HUTCH_LAYER_NESTED_USERNS},\n", "")),
    Defence("stage masks", (SETUP, "\t{STAGE_MASKS, setup_masks, HUTCH_LAYER_MASKS},\n", "")),
    Defence("stage readonly", (SETUP, "\t{STAGE_READONLY, setup_readonly, 0},\n", "")),
    Defence("stage hostname", (SETUP, "\t{STAGE_HOSTNAME, setup_hostname, 0},\n", "")),
    Defence("stage keyring", (SETUP, "\t{STAGE_KEYRING, setup_keyring, HUTCH_LAYER_KEYRING},\n", "")),
    Defence("stage landlock", (SETUP, "\t{STAGE_LANDLOCK, setup_landlock, HUTCH_LAYER_LANDLOCK},\n", "")),
    Defence("stage settle", (SETUP, "\t{STAGE_SETTLE, setup_settle, 0},\n", "")),
    Defence("stage propagation", (SETUP, "\t{STAGE_PROPAGATION, setup_propagation, 0},\n", "")),
    Defence("old root detached", (TREE, re.compile(r"ret = sys_call2\(SYS_umount2, \"\.\", MNT_DETACH\);"), "ret = 0;"), SKIP_ROOT_CHECK,
            also="the check that nothing is upon the root"),
    Defence("staging detached under --rootfs", (TREE, 'long ret = init->root == init->staging ? 0 : sys_call2(SYS_umount2, ".", MNT_DETACH);', "long ret = 0;"),
            SKIP_ROOT_CHECK, also="the check that nothing is upon the root"),
    # parts of stages
    # as root init changes its ids, after which the kernel makes it so by itself
    Defence("init is not dumpable", (SETUP, "long ret = sys_call2(SYS_prctl, PR_SET_DUMPABLE, 0);", "long ret = 0;"), user_only=True),
    Defence("bounding set emptied", (SETUP, "ret = caps_bound(init->plan.sandbox->cap_add);", "ret = 0;")),
    Defence("securebits", (SETUP, "long ret = caps_lock_securebits(sandbox->cap_add != 0);", "long ret = 0;")),
    Defence("no_new_privs", (SETUP, "ret = sys_call5(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);", "ret = 0;")),
    Defence("init keeps few capabilities", (SETUP, "ret = caps_set(keep, keep, 0);", "ret = 0;")),
    Defence("domain name", (SETUP, '(int)sys_call2(SYS_setdomainname, "(none)", 6)', "0"), root_only=True),
    Defence("signal dispositions", (MAIN, "\treset_signals();\n", "\t(void)reset_signals;\n")),
    Defence("personality", (MAIN, "\tsys_call1(SYS_personality, 0);\n", "")),
    Defence("timer slack", (MAIN, "\tsys_call2(SYS_prctl, PR_SET_TIMERSLACK, 50000); /* ns */\n", "")),
    Defence("init's own descriptors 0 to 2", (MAIN, "sys_call3(SYS_dup3, null, fd, O_CLOEXEC);", "(void)fd;"), (MAIN, "sys_call1(SYS_close, 0);\n\tsys_call1(SYS_close, 1);", "")),
    Defence("setup descriptors closed", (MAIN, "if (init->fds[i] != init->trace)", "if (0)")),
    # mounts
    Defence("nosuid", (TREE, "#define COMMON_ATTRIBUTES (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)", "#define COMMON_ATTRIBUTES MOUNT_ATTR_NODEV")),
    Defence("nodev", (TREE, "#define COMMON_ATTRIBUTES (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)", "#define COMMON_ATTRIBUTES MOUNT_ATTR_NOSUID")),
    Defence("binds are read-only", (TREE, "attributes |= MOUNT_ATTR_RDONLY;", "attributes |= 0;")),
    Defence("read-only is recursive", (TREE, "int ret = mount_restrict(mount, attributes, 1);", "int ret = mount_restrict(mount, attributes, 0);")),
    Defence("the root is read-only", (TREE, "return mount_restrict(init->root, MOUNT_ATTR_RDONLY, 0);", "return 0;")),
    Defence("layers taken out of the tree", (TREE, 'ret = mount_detach(init->staging, ".hutch");', "ret = 0;"),
            (TREE, 'sys_call3(SYS_unlinkat, init->staging, ".hutch", AT_REMOVEDIR);', "")),
    Defence("size of tmpfs", (TREE, '{{"size", size}, {"nr_inodes", inodes}, {"mode", "0700"}, {NULL, NULL}};\n\tinit->scratch', '{{"mode", "0700"}, {NULL, NULL}};\n\tinit->scratch')),
    Defence("number of terminals", (SPECIAL, ', {"max", "256"}', "")),
    Defence("overlay is nosuid and nodev", (OVERLAY, 'mount_new("overlay", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)', 'mount_new("overlay", options, 0)')),
    Defence("the owner's mounts are private", (TREES, "mount_private(mount, tree->is_recursive);", "0;"), root_only=True),
    Defence("hidepid", (SPECIAL, '{{"hidepid", "ptraceable"}, {NULL, NULL}}', "{{NULL, NULL}}")),
    Defence("subset=pid", (SPECIAL, '{{"hidepid", "ptraceable"}, {"subset", "pid"}, {NULL, NULL}}', '{{"hidepid", "ptraceable"}, {NULL, NULL}}')),
    Defence("/proc is noexec", (SPECIAL, "MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);\n\treturn proc", "MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);\n\treturn proc")),
    Defence("devices are noexec", (SPECIAL, "ret = mount_restrict(mount, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, 0);", "ret = mount_restrict(mount, MOUNT_ATTR_NOSUID, 0);")),
    Defence("/proc/sys is read-only", (MASKS, '\tdraft_op(draft, PLAN_OP_PROC_READONLY, "/proc/sys");\n', "")),
    Defence("mask of /proc/interrupts", (MASKS, '\t{"/proc/interrupts", "keystroke and activity timing"},\n', "")),
    Defence("list of devices", (MASKS, '{"/dev/tty", 5, 0},', '{"/dev/tty", 5, 0}, {"/dev/kmsg", 1, 11},')),
    Defence("list of directories", (SYSTEM, '"/libx32", "/opt"};', '"/libx32", "/opt", "/var/log"};')),
    Defence("list of /etc", (SYSTEM, '\t"/etc/services",\n', '\t"/etc/services", "/etc/hostname", "/etc/fstab",\n')),
    # a command's stages
    Defence("stage session", (LAUNCH, "\t{STAGE_SESSION, stage_session, 0},\n", "")),
    Defence("stage cgroup-ns", (LAUNCH, "\t{STAGE_CGROUP_NS, stage_cgroup_ns, HUTCH_LAYER_CGROUP_NS},\n", "")),
    Defence("stage rlimits", (LAUNCH, "\t{STAGE_RLIMITS, stage_rlimits, 0},\n", "")),
    Defence("stage user", (LAUNCH, "\t{STAGE_USER, stage_user, 0},\n", ""), root_only=True),
    Defence("stage privileges", (LAUNCH, "\t{STAGE_PRIVILEGES, stage_privileges, 0},\n", ""), (SETUP, "ret = caps_set(CAPS_ALL, CAPS_ALL, 0);", "ret = 0;"),
            (SETUP, "ret = caps_clear_ambient();", "ret = 0;"), (SETUP, "ret = caps_set(keep, keep, 0);", "ret = 0;"),
            also="the inheritable and ambient sets that init cleared"),
    Defence("stage seccomp", (LAUNCH, "\t{STAGE_SECCOMP, stage_seccomp, 0},\n", "")),
    Defence("groups dropped", (LAUNCH, "long ret = sys_call2(SYS_setgroups, 1, &gid);", "long ret = 0;"), (SETUP, "ret = sys_call2(SYS_setgroups, 0, NULL);", "ret = 0;"), root_only=True),
    Defence("working directory inside", (LAUNCH, "ret = -EXDEV;", "ret = 0;")),
    Defence("umask", (LAUNCH, "sys_call1(SYS_umask, launch->plan.command->umask);", "(void)0;")),
    Defence("core limit", (PROGRAM, "{RLIMIT_CORE, 0, 1, 1},", "{RLIMIT_CORE, 0, 0, 1},")),
    Defence("descriptors closed for init", SKIP_CLOSE_INIT, SKIP_CLOSE_REST),
    Defence("descriptors closed for the command", SKIP_CLOSE_INIT, SKIP_CLOSE_REST, SKIP_CLOSE_COMMAND, also="the closing for init"),
    Defence("no directory as a stream", (EXEC, "S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode) || (mode & O_PATH)", "S_ISBLK(st.st_mode)")),
    Defence("a tracer that was not asked", (COMMAND, "if (pid > 0 && !launch_untrace((int)pid, status))", "if (pid > 0)")),
    Defence("signals pass init by", (MAIN, "\tuint64_t all = ~UINT64_C(0);\n", "\tuint64_t all = 0;\n"),
            (MAIN, "const struct kernel_sigaction standard = {0};", "const struct kernel_sigaction standard = {.handler = (void *)quit};")),
    # namespaces and ids
    Defence("network namespace", (GUEST, "(request->own_network ? CLONE_NEWNET : 0)", "0"), (SETUP, "\t{STAGE_LOOPBACK, setup_loopback, 0},\n", ""),
            (SETUP, "static int setup_loopback(", "__attribute__((unused)) static int setup_loopback(")),
    Defence("IPC namespace", (GUEST, "CLONE_NEWIPC | ", "")),
    Defence("UTS namespace", (GUEST, "CLONE_NEWUTS | ", ""), (SETUP, "\t{STAGE_HOSTNAME, setup_hostname, 0},\n", "")),
    Defence("ranges are distinct", (IDMAP, "*ret_base = RANGE_FIRST + (uint64_t)slot * GUEST_IDS;", "*ret_base = RANGE_FIRST;"), root_only=True),
    Defence("streams: only what they were opened for", ("runtime/init/domain.c", "landlock_allow_stream(landlock, init->fds[i], (int)flags)",
                                                        "landlock_allow_stream(landlock, init->fds[i], O_RDWR)")),
    Defence("Landlock scopes", (LANDLOCK, "#define SCOPE_ALL    UINT64_C(3)", "#define SCOPE_ALL    UINT64_C(0)")),
    # files that leave
    Defence("--save drops modes", (SAVE, "mode_t mode = save->reader.record.mode & 0777;", "mode_t mode = save->reader.record.mode & 07777;")),
    # the environment
    Defence("environment is the list", (PROGRAM, '"USER=sandbox"', '"HUTCH_LEFT=1"')),
    # the system call policy
    # (The answer to unknown numbers is not here: no kernel tells it from its own ENOSYS. The unit tests of the filter look at it.)
    Defence("filter: other architectures", ("runtime/plan/filter_compile.c", "filter_graph_return(tree->graph, SECCOMP_RET_KILL_PROCESS)", "filter_graph_return(tree->graph, SECCOMP_RET_ALLOW)")),
    Defence("filter: clone", (POLICY, "CHECK(check_clone, RULE(DENY(EPERM), HAS_ANY(0, NEW_NAMESPACES)));", "CHECK(check_clone, RULE(ALLOW, HAS_ANY(0, NEW_NAMESPACES)));")),
    Defence("filter: socket families", (POLICY, "      RULE(ALLOW, IS(0, AF_INET6)),\n", "      RULE(ALLOW, IS(0, AF_INET6)), RULE(ALLOW, IS(0, AF_VSOCK)),\n")),
    Defence("filter: netlink protocols", (POLICY, "RULE(ALLOW, IS(0, AF_NETLINK), IS(2, LINUX_NETLINK_ROUTE))", "RULE(ALLOW, IS(0, AF_NETLINK))")),
    Defence("filter: TIOCSTI", (POLICY, "RULE(DENY(EPERM), IS(1, TIOCSTI))", "RULE(ALLOW, IS(1, TIOCSTI))")),
    Defence("filter: TIOCSTI with high bits", (POLICY, "RULE(DENY(EPERM), IS(1, TIOCSTI))", "RULE(DENY(EPERM), IS(1, TIOCSTI), {.test = POLICY_IS, .argument = 1, .high = true})")),
    Defence("filter: TIOCLINUX", (POLICY, "RULE(DENY(EPERM), IS(1, TIOCLINUX))", "RULE(ALLOW, IS(1, TIOCLINUX))")),
    Defence("filter: TIOCSETD", (POLICY, "RULE(DENY(EPERM), IS(1, TIOCSETD))", "RULE(ALLOW, IS(1, TIOCSETD))")),
    Defence("filter: kTLS", (POLICY, "RULE(DENY(ENOENT), IS(1, IPPROTO_TCP), IS(2, TCP_ULP))", "RULE(ALLOW, IS(1, IPPROTO_TCP), IS(2, TCP_ULP))")),
    Defence("filter: personality", (POLICY, "      RULE(ALLOW, IS(0, 0x8)),\n      RULE(ALLOW, IS(0, 0x20000)),\n      RULE(ALLOW, IS(0, 0x20008)),", "      RULE(ALLOW, IS(0, 0x8)), RULE(ALLOW, IS(0, 0x0400000)),\n      RULE(ALLOW, IS(0, 0x20008)),")),
    Defence("filter: limits of others", (POLICY, "RULE(DENY(EPERM), IS_NOT(0, 0))", "RULE(ALLOW, IS_NOT(0, 0))")),
    Defence("filter: core limit", (POLICY, "RULE(DENY(EINVAL), IS(1, RLIMIT_CORE))", "RULE(ALLOW, IS(1, RLIMIT_CORE))")),
    Defence("filter: keyrings", *calls("keyctl")),
    Defence("filter: io_uring", *calls("io_uring_setup")),
    Defence("filter: ptrace", (POLICY, '"ptrace process_vm_readv process_vm_writev kcmp"', '"process_vm_readv process_vm_writev kcmp"'),
            (POLICY, '"get_robust_list set_robust_list rseq"', '"get_robust_list set_robust_list rseq ptrace"')),
    Defence("filter: bpf", *calls("bpf")),
    Defence("filter: userfaultfd", *calls("userfaultfd")),
    Defence("filter: perf_event_open", *calls("perf_event_open")),
    Defence("filter: memfd_secret", *calls("memfd_secret")),
    Defence("filter: open_by_handle_at", *calls("open_by_handle_at")),
    Defence("filter: mount", *calls("mount")),
    Defence("filter: setns", *calls("setns")),
    Defence("filter: unshare", *calls("unshare")),
    Defence("filter: clone3", *calls("clone3")),
    Defence("filter: modify_ldt", *calls("modify_ldt")),
    Defence("filter: mbind", *calls("mbind")),
    Defence("filter: set-user-ID modes of chmod", (POLICY, "CHECK(check_mode_1, RULE(DENY(EPERM), HAS_ANY(1, SETID)));", "CHECK(check_mode_1, RULE(ALLOW, HAS_ANY(1, SETID)));")),
    Defence("filter: set-user-ID modes of fchmodat", (POLICY, "CHECK(check_mode_2, RULE(DENY(EPERM), HAS_ANY(2, SETID)));", "CHECK(check_mode_2, RULE(ALLOW, HAS_ANY(2, SETID)));")),
    Defence("filter: set-user-ID modes of openat", (POLICY, "CHECK(check_mode_openat, RULE(DENY(EPERM)", "CHECK(check_mode_openat, RULE(ALLOW")),
    Defence("filter: O_TMPFILE", (POLICY, "#define MAKES_FILE (O_CREAT | LINUX_O_TMPFILE_BIT)", "#define MAKES_FILE O_CREAT"), (POLICY, "LINUX_O_TMPFILE_BIT = 020000000,", "")),
    Defence("filter: openat2 where modes count", (POLICY, '.verdict = DENY(ENOSYS),\n\t .reason = "its mode is behind a pointer; programs fall back on openat"', '.verdict = ALLOW,\n\t .reason = "its mode is behind a pointer; programs fall back on openat"')),
    Defence("filter: locks in strict", (POLICY, "RULE(DENY(ENOLCK), IS(1, F_SETLK))", "RULE(ALLOW, IS(1, F_SETLK))")),
    Defence("filter: splice in strict", (POLICY, '.calls = "splice tee vmsplice"', '.calls = "tee vmsplice"')),
]


def copy_sources(target):
    ignore = shutil.ignore_patterns(".git", "build", "build-*", "__pycache__", "*.pyc")
    shutil.copytree(TOP, target, ignore=ignore, symlinks=True)


def apply(tree, defence):
    """Makes the edits; returns what restores them."""
    before = {}
    for name, old, new in defence.edits:
        path = tree / name
        text = path.read_text()
        before.setdefault(path, text)
        changed = old.sub(new, text) if isinstance(old, re.Pattern) else text.replace(old, new)
        if changed == text and old != new:
            raise SystemExit("%s: %s has no %r any more" % (defence.name, name, old))
        path.write_text(changed)
    return before


def restore(before):
    for path, text in before.items():
        path.write_text(text)


def build(directory):
    done = subprocess.run(["ninja", "-C", directory, "tools/hutch", "tests/escape/guest"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return "" if done.returncode == 0 else done.stdout.decode("utf-8", "replace")[-1500:]


def run_checks(base, tree, directory, user):
    """The names of the rows that failed, and whether a sandbox starts at all."""
    place = Path(base) / ("run-%s" % (user or "self"))
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(tree / "tests/escape", place)
    for program in ("tools/hutch", "tests/escape/guest"):
        shutil.copy(os.path.join(directory, program), place)
    subprocess.run(["chmod", "-R", "a+rX", str(place)], check=True)
    prefix = ["runuser", "-u", user, "--", "env", "HOME=" + os.path.expanduser("~" + user), "PATH=/usr/bin:/bin:/usr/sbin:/sbin"] if user else []
    python = "python3" if user else sys.executable
    try:
        done = subprocess.run(prefix + [python, str(place / "test_escape.py"), str(place / "hutch"), str(place / "guest")], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, cwd=place, stdin=subprocess.DEVNULL, timeout=240)
        text = done.stdout.decode("utf-8", "replace")
    except subprocess.TimeoutExpired:
        return ["(not finished after 240 s)"], True
    failed = [line.split(" - ", 1)[1] for line in text.splitlines() if line.startswith("not ok")]
    starts = "control mounts are listed [default]" not in failed
    if done.returncode and not failed:
        failed = ["(ended early: %s)" % text[-300:]]
    return failed, starts


def summary(failed):
    """The ids that complained, the most frequent first, with an example."""
    count = {}
    for name in failed:
        count.setdefault(name.split()[0], []).append(name)
    order = sorted(count, key=lambda row: (row == "control", row == "AFTER", -len(count[row])))
    return ", ".join("%s (%d)" % (row, len(count[row])) for row in order[:6]), (count[order[0]][0] if order else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="")
    parser.add_argument("--user", default="")
    parser.add_argument("--json", default="")
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    chosen = [defence for defence in DEFENCES if re.search(arguments.only, defence.name)]
    if arguments.list:
        print("\n".join(defence.name for defence in chosen))
        return 0
    signal.signal(signal.SIGTERM, lambda signo, frame: sys.exit(1))  # and clean up
    base = tempfile.mkdtemp(prefix="hutch-mutate-")
    os.chmod(base, 0o755)
    try:
        return run(base, chosen, arguments)
    finally:
        shutil.rmtree(base, ignore_errors=True)


def run(base, chosen, arguments):
    tree, directory = Path(base) / "source", os.path.join(base, "build")
    copy_sources(tree)
    for defence in DEFENCES:  # the whole list first, so that an outdated text shows at once
        restore(apply(tree, defence))
    subprocess.run(["meson", "setup", directory, str(tree)], check=True, stdout=subprocess.DEVNULL)
    error = build(directory)
    users = [""] + ([arguments.user] if arguments.user else [])
    me = "root" if os.geteuid() == 0 else "user"
    titles = {"": me, arguments.user: "user " + arguments.user} if arguments.user else {"": me}
    for user in users:
        failed, _ = run_checks(base, tree, directory, user) if not error else ([error], False)
        if failed:
            print("%s: the checks fail without any change: %s" % (titles[user], failed[:5]))
            return 1
    table, missed = [], []
    for defence in chosen:
        before = apply(tree, defence)
        error = build(directory)
        for user in users:
            is_root = titles[user] == "root"
            if (defence.root_only and not is_root) or (defence.user_only and is_root):
                continue
            if error:
                rows, example, verdict = "", error, "DOES NOT BUILD"
            else:
                failed, starts = run_checks(base, tree, directory, user)
                rows, example = summary(failed)
                verdict = "MISSED BY NONE" if not failed else "caught" if starts else "caught, nothing starts"
            if verdict not in ("caught", "caught, nothing starts"):
                missed.append(defence.name)
            table.append({"defence": defence.name, "also": defence.also, "as": titles[user], "verdict": verdict, "rows": rows, "example": example})
            print("%-42s %-16s %-24s %s  e.g. %s" % (defence.name, titles[user], verdict, rows, example))
            sys.stdout.flush()
        restore(before)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(table, indent=1) + "\n")
    print("%d defences, %d runs, %d not caught%s" % (len(chosen), len(table), len(missed), ": " + ", ".join(missed) if missed else ""))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
