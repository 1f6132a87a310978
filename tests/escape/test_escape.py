#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Must-fail checks: what a payload must not be able to see, reach or do, looked at from three sides.

usage: test_escape.py HUTCH GUEST [--only TEXT] [--configurations NAME,...]

    inside    tests/guest, a static program, tries everything in a sandbox and tells what it got (rows by it are judged here)
    outside   posture.py reads what the host sees of each process of a running sandbox
    after     residue.py compares the host before and after

Canaries (canary.py) are things of the host with a random token; the same search finds them on the host and must not find
them inside. Every row is named by its id in the catalogue of weakness classes and the configuration of the sandbox.
tests/escape/mutate.py shows that the rows can fail.
"""

import ctypes
import hashlib
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time

import canary
import posture
import residue
from checks import Checks

ROOT = os.geteuid() == 0
LIBC = ctypes.CDLL(None, use_errno=True)
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
X86 = os.uname().machine == "x86_64"

# ---- what is expected of every system call (guest syscalls) -----------------------------------------------------------

EPERM = """mount umount2 pivot_root chroot setns unshare unshare-newuser clone-newuser bpf perf_event_open add_key request_key keyctl
    ptrace process_vm_readv process_vm_writev kcmp open_by_handle_at syslog swapon init_module delete_module quotactl settimeofday
    clock_settime adjtimex clock_adjtime sethostname setdomainname fanotify_init fanotify_mark migrate_pages move_pages set_mempolicy
    mbind modify_ldt iopl ioperm tiocsti tiocsti-high tioclinux tioclinux-high tiocsetd tiocsetd-high prlimit-other
    personality-exec""".split()
ENOSYS = """clone3 fsopen fsconfig fsmount fspick open_tree open_tree_attr move_mount mount_setattr statmount listmount listns userfaultfd
    io_uring_setup io_uring_enter io_uring_register io_setup process_madvise pidfd_getfd memfd_secret name_to_handle_at quotactl_fd
    get_mempolicy lsm_list_modules remap_file_pages ustat sysfs nr-471 nr-511 nr-999""".split()
OTHER = {"tcp-ulp": "ENOENT", "sol-tls": "ENOPROTOOPT", "socketpair-tipc": "EAFNOSUPPORT", "prlimit-core": "EINVAL", "setrlimit-core": "EINVAL"}
STRICT = {"flock": "ENOLCK", "fcntl-setlk": "ENOLCK", "fcntl-setlease": "EPERM", "splice": "ENOSYS", "tee": "ENOSYS", "vmsplice": "ENOSYS",
          "futex-requeue-pi": "ENOSYS", "syncfs": "ok"}
SUID = """chmod-suid creat-suid open-suid mkdir-sgid mknod-suid chmod-suid-high fchmod-suid fchmodat-suid fchmodat-sgid fchmodat2-suid
    openat-suid openat-tmpfile-suid mkdirat-sgid mknodat-suid""".split()
DEBUG = ["ptrace", "process_vm_readv", "process_vm_writev"]
X86_ONLY = set("modify_ldt iopl ioperm ustat sysfs chmod-suid creat-suid open-suid mkdir-sgid mknod-suid chmod-suid-high".split())

# The catalogue's row for each call; what is not named is F18.
ROWS = {
    "F2": "unshare unshare-newuser clone-newuser clone3", "F3": "io_uring_setup io_uring_enter io_uring_register io_setup",
    "F4": "keyctl add_key request_key", "F5": "ptrace process_vm_readv process_vm_writev process_madvise pidfd_getfd kcmp", "F6": "userfaultfd",
    "F7": "bpf", "F8": "perf_event_open", "F9": "memfd_secret", "F10": "name_to_handle_at open_by_handle_at",
    "F11": "mount umount2 pivot_root chroot fsopen fsconfig fsmount fspick open_tree open_tree_attr move_mount mount_setattr statmount listmount",
    "F12": "socketpair-tipc", "F13": "tcp-ulp sol-tls", "F14": "personality-exec", "F15": "modify_ldt iopl ioperm",
    "F16": "mbind set_mempolicy move_pages migrate_pages get_mempolicy", "F17": "setns listns", "C14": "syslog", "C10": "prlimit-core setrlimit-core",
    "B1": "tiocsti", "B2": "tioclinux tioclinux-high", "B3": "tiocsti-high", "B4": "tiocsetd tiocsetd-high", "I7": "prlimit-other",
    "C16": " ".join(SUID) + " openat2", "C18": " ".join(STRICT),
}
ROW_OF = {call: row for row, calls in ROWS.items() for call in calls.split()}


def expected_calls(configuration):
    """A dict from call to errno, for all that the filter answers itself."""
    expected = dict({name: "EPERM" for name in EPERM}, **{name: "ENOSYS" for name in ENOSYS})
    expected.update(OTHER)
    if configuration.profile == "strict":
        expected.update(STRICT)
    if configuration.profile == "debug":
        for name in DEBUG:
            del expected[name]
    if configuration.is_writable:
        expected.update({name: "EPERM" for name in SUID}, openat2="ENOSYS")
    return {name: value for name, value in expected.items() if X86 or name not in X86_ONLY}


# ---- the matrix -------------------------------------------------------------------------------------------------------


class Configuration:
    def __init__(self, name, *options, guest="./guest", profile="default", net_host=False, is_writable=False, is_root=False, is_rootfs=False):
        self.name, self.options, self.guest, self.profile = name, list(options), guest, profile
        self.net_host, self.is_writable, self.is_root, self.is_rootfs = net_host, is_writable, is_root, is_rootfs

    @property
    def is_open(self):
        return self.profile == "open"


class World:
    """The directories of a run, its canaries, and how hutch is called."""

    def __init__(self, hutch, guest):
        self.hutch, self.guest = hutch, guest
        self.base = os.path.realpath(tempfile.mkdtemp(prefix="hutch-escape-"))
        os.chmod(self.base, 0o755)
        self.mark = os.path.basename(self.base)
        self.workspace, self.writable, self.rootfs, self.policy = (os.path.join(self.base, name) for name in ("ws", "rw", "rootfs", "open.policy"))
        for directory in (self.workspace, self.writable, self.rootfs, self.rootfs + "/tmp", self.rootfs + "/etc"):
            os.mkdir(directory)
        for directory in (self.workspace, self.writable, self.rootfs):
            shutil.copy(guest, directory + "/guest")
        os.mkdir(self.workspace + "/suid")
        os.mkdir(self.writable + "/suid")
        with open(self.policy, "w") as file:
            file.write("# everything that the default profile refuses, so that the other layers stand alone\ninclude debug\n")
            file.write("allow mount umount2 pivot_root chroot setns unshare kcmp bpf perf_event_open add_key request_key keyctl\n")
            file.write("allow clone clone3 open_tree move_mount fsopen fsmount fsconfig mount_setattr pidfd_getfd process_madvise\n")
            file.write("allow sethostname setdomainname open_by_handle_at name_to_handle_at socket socketpair personality prctl\n")
        self.canaries = canary.Canaries().plant()
        self.sandboxes = 0
        self.environment = dict(os.environ, PATH=PATH)

    def configurations(self):
        return [
            Configuration("default"),
            Configuration("strict", "--seccomp", "strict", profile="strict"),
            Configuration("debug", "--seccomp", "debug", profile="debug"),
            Configuration("no filter", "--seccomp", self.policy, profile="open"),
            Configuration("host network", "--net", "host", net_host=True),
            Configuration("writable", "--workspace", self.writable + ":rw", is_writable=True),
            Configuration("rootfs", "--rootfs", self.rootfs, guest="/guest", is_rootfs=True),
            Configuration("json", "--json"),
            Configuration("as root", "--as-root", is_root=True),
        ]

    def command(self, configuration, words, options=()):
        self.sandboxes += 1
        return [self.hutch, "run", "-q"] + configuration.options + list(options) + ["--"] + words

    def run(self, configuration, *words, options=(), program=None, **more):
        """Runs the guest (or another program) in a sandbox; returns its stdout, its exit code and stderr."""
        more.setdefault("stdin", subprocess.DEVNULL)
        more.setdefault("close_fds", False)  # whatever is inheritable is inherited
        command = self.command(configuration, [program or configuration.guest] + list(words), options)
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self.workspace, env=self.environment, timeout=60, **more)
        out, err, code = done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"), done.returncode
        if "--json" in configuration.options:
            record = json.loads(out)
            return record["stdout"] or "", code, record["stderr"] or json.dumps(record["error"])
        return out, code, err

    def facts(self, configuration, *words, **more):
        """The guest's lines as a dict; the last of a name wins."""
        out, code, err = self.run(configuration, *words, **more)
        found = dict(line.split(None, 1) for line in out.splitlines() if len(line.split(None, 1)) == 2)
        found["exit-code"] = str(code)
        if code:
            found["error"] = err
        return found

    def remove(self):
        self.canaries.remove()
        shutil.rmtree(self.base, ignore_errors=True)


# ---- rows -------------------------------------------------------------------------------------------------------------


def row(identity, text, configuration):
    return "%s %s [%s]" % (identity, text, configuration.name)


def search(world, checks, configuration):
    """The canaries."""
    out, code, err = world.run(configuration, *world.canaries.inside_arguments())
    lines = out.splitlines()
    checks.check(row("K2", "the search for the token went to its end", configuration), code == 0 and "done ok" in lines, err or out)
    found = [line.split(None, 2)[1:] for line in lines if line.startswith("found ")]
    results = dict(line.split(None, 1) for line in lines if not line.startswith(("found ", "looked ")))
    looked = dict(line.split()[1:] for line in lines if line.startswith("looked "))
    by_design = set()
    if configuration.net_host:
        # With the host's network its loopback is in reach, and the names of its sockets can be read. Connecting to an
        # abstract socket is refused by Landlock from ABI 6 on.
        by_design = {("tcp4",), ("tcp6",), ("udp4",)}
        by_design |= {("proc", "/proc/net/unix")}
        if not landlock_scopes():
            by_design |= {("abstract",)}
    bad = [entry for entry in found if (entry[0],) not in by_design and tuple(entry) not in by_design]
    kinds = {"A1": ["descriptor"], "K1": ["env"], "G1": ["process", "proc"], "K5": ["file", "name", "content"], "C17": ["unix"], "G2": ["abstract"],
             "G3": ["tcp4", "tcp6", "udp4"], "G4": ["shm", "mq"], "F4": ["key"]}
    texts = {"A1": "no descriptor shows the token", "K1": "no environment has the token", "G1": "no process of the host",
             "K5": "no file of the host", "C17": "no service socket of the host", "G2": "no abstract socket of the host",
             "G3": "the host's loopback", "G4": "no IPC object of the host", "F4": "no key of the caller"}
    for identity, names in kinds.items():
        checks.empty(row(identity, texts[identity], configuration), [entry for entry in bad if entry[0] in names])
    checks.check(row("G1", "pids are those of a new namespace", configuration), 0 < int(looked.get("highest-pid", 0)) < 100, looked)
    if configuration.net_host:
        checks.check(row("G3", "by design the host's loopback is reached, so the check can fail", configuration), ["tcp4"] in [entry[:1] for entry in found], found)
    if not configuration.net_host or landlock_scopes():
        checks.check(row("G2", "connecting to an abstract socket is refused", configuration), results.get("connect-abstract") in ("EPERM", "ECONNREFUSED"), results)
    if configuration.is_open:
        checks.check(row("F4", "the session keyring is a new one, the filter aside", configuration), results.get("key-session") in ("ENOKEY", "EACCES"), results)


def search_on_host(world, checks):
    """The same search finds every kind on the host."""
    arguments = world.canaries.inside_arguments() + ["root=" + world.canaries.directory]
    out = subprocess.run([world.guest] + arguments, stdout=subprocess.PIPE, env=world.environment, close_fds=False).stdout.decode("utf-8", "replace")
    found = {line.split()[1] for line in out.splitlines() if line.startswith("found ")}
    for kind in sorted(set(world.canaries.kinds)):
        checks.check("control the search finds %s on the host" % kind, kind in found, found)


def landlock_scopes():
    return LIBC.syscall(444, None, 0, 1) >= 6


def system_calls(world, checks, configuration, baseline):
    found = world.facts(configuration, "syscalls")
    expected = expected_calls(configuration)
    if configuration.is_open:
        expected = {name: OTHER[name] for name in ("prlimit-core", "setrlimit-core")}
        expected.update({name: "EPERM" for name in "tiocsti tiocsti-high tioclinux tioclinux-high tiocsetd tiocsetd-high prlimit-other".split()})
    rows = {}
    for name, value in expected.items():
        rows.setdefault(ROW_OF.get(name, "F18"), []).append((name, value))
    for identity, entries in sorted(rows.items()):
        wrong = ["%s gives %s instead of %s" % (name, found.get(name), value) for name, value in entries if found.get(name) != value]
        checks.empty(row(identity, "refused by the filter: " + " ".join(name for name, _ in entries)[:90], configuration), wrong)
    controls = ["%s gives %s, the kernel %s" % (name, found.get(name), baseline[name]) for name in baseline
                if name.startswith("control-") and found.get(name) != baseline[name]]
    checks.empty(row("control", "harmless calls go through", configuration), controls)


def baseline_calls(world, checks):
    """What a kernel without a filter says; calls that it answers as the filter does tell nothing here."""
    out = subprocess.run([world.guest, "syscalls", "baseline"], stdout=subprocess.PIPE).stdout.decode()
    found = dict(line.split(None, 1) for line in out.splitlines())
    default = Configuration("default", is_writable=True)
    same = sorted(name for name, value in expected_calls(default).items() if found.get(name) == value)
    checks.check("control the same calls are answered otherwise without a filter", len(found) > 100 and len(same) < 16, (len(found), same))
    checks.note("cannot be told apart on this kernel: " + " ".join(same))
    return found


def sockets(world, checks, configuration):
    if configuration.is_open:
        return
    found = world.facts(configuration, "sockets")
    allowed = {1: {1, 2, 3, 5}, 2: {1, 2}, 10: {1, 2}, 16: {2, 3}}
    made = [name for name, value in found.items() if value == "ok" and not name.startswith(("high", "netlink"))]
    wrong = [name for name in made if int(name.split("/")[1]) not in allowed.get(int(name.split("/")[0]), ())]
    checks.empty(row("F12", "sockets of no other family", configuration), wrong)
    refused = ["%s %s" % (name, value) for name, value in found.items() if "/" in name and not name.startswith(("high", "netlink"))
               and int(name.split("/")[0]) not in allowed and value != "EAFNOSUPPORT"]
    checks.empty(row("F12", "every other family is answered EAFNOSUPPORT", configuration), refused)
    checks.equal(row("G8", "no vsock", configuration), {found.get("40/%d" % kind) for kind in range(1, 6)}, {"EAFNOSUPPORT"})
    high = [name for name, value in found.items() if name.startswith("high/") and value != found.get(name[5:])]
    checks.empty(row("B3", "bits 32 to 63 of the family change nothing", configuration), high)
    netlink = [name for name, value in found.items() if name.startswith("netlink/") and value == "ok"]
    checks.check(row("G8", "of netlink, only route", configuration), set(netlink) <= {"netlink/0"}, netlink)


def raw_sockets(world, checks, configuration):
    found = world.facts(configuration, "attempts")
    expected = {name: "EPERM" for name in ("mount-tmpfs", "mount-cgroup", "remount-usr", "remount-proc-sys", "umount-proc-sys", "umount-proc", "chroot",
                                           "pivot_root", "fsopen", "open_tree", "sethostname", "trusted-xattr", "unshare-net", "raw-socket")}
    wrong = ["%s %s" % (name, found.get(name)) for name in expected if found.get(name) not in ("EPERM", "ENOSYS", "EACCES", "EINVAL", "ENOENT")]
    checks.empty(row("E1", "nothing that needs a capability works", configuration), wrong)
    checks.check(row("E6", "no way into a user namespace with capabilities", configuration), found.get("setns-user") in ("EINVAL", "EPERM"), found)


def descriptors(world, checks, configuration):
    out, _, err = world.run(configuration, "fds")
    lines = [line.split() for line in out.splitlines() if line.startswith("fd ")]
    checks.check(row("A1", "exactly the descriptors 0, 1 and 2", configuration), [line[1] for line in lines] == ["0", "1", "2"], out + err)
    checks.empty(row("A5", "no descriptor is of a cgroup", configuration), [line for line in lines if line[3] in ("63677270", "27e0eb")])
    checks.empty(row("A1", "no stream is a directory", configuration), [line for line in lines if line[2] == "dir"])


def status(world, checks, configuration):
    out, _, err = world.run(configuration, "status")
    found = dict(line.split(None, 1) for line in out.splitlines() if len(line.split(None, 1)) == 2)
    ids = "0" if configuration.is_root else "1000"
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        checks.equal(row("E1", name + " is empty", configuration), found.get("status-%s:" % name), "0" * 16)
    checks.equal(row("E2", "no_new_privs", configuration), found.get("no-new-privs"), "1")
    # NOROOT, NO_SETUID_FIXUP and their locks, KEEP_CAPS locked at 0, no ambient capabilities and its lock
    checks.equal(row("E3", "securebits are locked", configuration), found.get("securebits"), "0xef")
    checks.equal(row("E7", "ids: real, effective and saved", configuration), (found.get("uid"), found.get("gid")), (" ".join([ids] * 3),) * 2)
    if ROOT:
        checks.equal(row("E4", "groups are exactly the one", configuration), found.get("status-Groups:", "").split(), [ids])
    checks.equal(row("F20", "a filter is loaded", configuration), found.get("status-Seccomp:"), "2")
    checks.equal(row("C10", "the core limit is the one that starts no handler", configuration), found.get("rlimit-core"), "1 1")
    checks.equal(row("H1", "a limit on processes", configuration), found.get("rlimit-nproc"), "1024 1024")
    for name, value in (("keepcaps", "0"), ("pdeathsig", "0"), ("personality", "0"), ("subreaper", "0"), ("status-SigBlk:", "0" * 16),
                        ("status-SigIgn:", "0" * 16), ("umask", "022"), ("policy", "0"), ("rlimit-rtprio", "0 0")):
        checks.equal(row("A8", name.strip(":"), configuration), found.get(name), value)
    checks.check(row("B1", "a session of its own, init its parent", configuration),
                 found.get("sid") == found.get("pid") == found.get("pgid") and found.get("ppid") == "1", out)
    lines = out.splitlines()
    names = sorted(line[4:].split("=")[0] for line in lines if line.startswith("env "))
    checks.equal(row("K1", "the environment is the list", configuration), names, ["HOME", "LANG", "PATH", "USER"])
    cgroups = [line for line in lines if line.startswith("cgroup ")]
    checks.check(row("G5", "no path of a cgroup shows", configuration), cgroups and all(line.endswith(":/") for line in cgroups), cgroups)
    checks.check(row("G6", "the host's names are unknown", configuration),
                 found.get("hostname") == "hutch" != os.uname().nodename and found.get("domainname") == "(none)", out)
    maps = [line.split()[1:] for line in lines if line.startswith("uid_map ")]
    checks.check(row("E5", "the host's 0 is not inside", configuration), maps and not any(int(outside) == 0 for _, outside, _ in maps), maps)
    return found


def init(world, checks, configuration):
    found = world.facts(configuration, "init")
    checks.check(row("I7", "every signal to init, and it lives", configuration), found.get("done") == "ok" and found.get("alive") == "ok"
                 and found.get("parent") == "1" and found["exit-code"] == "0", found)
    refused = ("EPERM", "ENOSYS", "ESRCH", "EACCES")
    names = ("ptrace-attach", "ptrace-seize", "vm-read", "vm-write", "prlimit", "setpriority", "affinity", "scheduler", "ioprio", "migrate_pages",
             "pidfd_getfd", "robust_list", "setpgid")
    if not configuration.is_open:
        names += ("kcmp", "move_pages")
    checks.empty(row("A6", "init can be neither steered nor looked into", configuration),
                 ["%s %s" % (name, found.get(name)) for name in names if found.get(name) not in refused])
    opened = ["%s %s" % (name, value) for name, value in found.items() if name.startswith(("open-", "write-")) and value not in ("ENOENT", "EACCES")]
    checks.empty(row("A3", "nothing of init's in /proc can be opened", configuration), opened)


def namespaces(world, checks, configuration):
    found = world.facts(configuration, "userns")
    expected = {"unshare-user": "EPERM", "unshare-mount": "EPERM", "unshare-all": "EPERM", "clone-user": "EPERM", "clone3-user": "ENOSYS"}
    if configuration.is_open:
        expected = {"unshare-user": "ENOSPC", "unshare-mount": "EPERM", "unshare-all": "ENOSPC", "clone-user": "ENOSPC", "clone3-user": "ENOSPC"}
    for name, value in expected.items():
        checks.equal(row("E6", name, configuration), found.get(name), value)
    checks.check(row("E6", "the limit on user namespaces cannot be raised", configuration), found.get("raise-limit") in ("EROFS", "EACCES", "ENOENT"), found)
    if not configuration.is_root:
        checks.check(row("E7", "no way to uid 0", configuration), found.get("setresuid-0") in ("EPERM", "EINVAL"), found)
    checks.check(row("E4", "no way to another group", configuration), found.get("setgroups-0") == "EPERM", found)


def other_calls(world, checks, configuration):
    if not X86:
        return
    found = world.facts(configuration, "abi")
    checks.equal(row("F1", "int 0x80 is the end", configuration), found.get("int80"), "signal-31")
    checks.check(row("F1", "x32 calls do not exist", configuration), {found.get("x32"), found.get("x32-ioctl")} <= {"ENOSYS", "signal-31"}, found)
    checks.equal(row("control", "a child that does nothing lives", configuration), found.get("control"), "ok")


def parse_mounts(text):
    """(mount point, flags, fs type, source, super options, root) of each line."""
    found = []
    for line in text.splitlines():
        left, right = line.split(" - ", 1)
        words, super_words = left.split(), right.split()
        found.append((words[4], set(words[5].split(",")), super_words[0], super_words[1], super_words[2], words[3], line))
    return found


def mounts(world, checks, configuration):
    text, _, _ = world.run(configuration, "cat", "/proc/self/mountinfo")
    table = parse_mounts(text)
    checks.check(row("control", "mounts are listed", configuration), len(table) > 8, text)
    checks.empty(row("C15", "nosuid everywhere", configuration), [entry[6] for entry in table if "nosuid" not in entry[1]])
    # a device node bound as a file, and devpts, cannot be nodev
    checks.empty(row("C13", "nodev everywhere but on the devices", configuration),
                 [entry[6] for entry in table if "nodev" not in entry[1] and not entry[0].startswith("/dev/")])
    checks.empty(row("C13", "noexec on devices and /proc", configuration),
                 [entry[6] for entry in table if (entry[0].startswith(("/dev/", "/proc"))) and entry[0] != "/dev/shm" and "noexec" not in entry[1]])
    writable = {"/proc", "/dev/pts", "/tmp", "/var/tmp", "/dev/shm", "/home/sandbox", "/root", world.workspace, world.writable}
    writable |= {"/dev/" + name for name in ("null", "zero", "full", "random", "urandom", "tty")}
    checks.empty(row("C8", "read-only but for the known places", configuration), [entry[6] for entry in table if "ro" not in entry[1] and entry[0] not in writable])
    checks.empty(row("C6", "nothing is shared with the host", configuration), [entry[6] for entry in table if re.search(r" (shared|master|propagate_from):", entry[6])])
    checks.empty(row("C12", "no cgroup file system", configuration), [entry[6] for entry in table if entry[2].startswith("cgroup")])
    checks.empty(row("C11", "no sysfs, debugfs, tracefs, bpf, securityfs", configuration),
                 [entry[6] for entry in table if entry[2] in ("sysfs", "debugfs", "tracefs", "bpf", "securityfs", "configfs", "efivarfs", "mqueue")])
    state = [entry[6] for entry in table if re.search(r"/run/hutch|state/hutch|upperdir=/(?!proc/self/fd)|workdir=/(?!proc/self/fd)|lowerdir=/(?!proc/self/fd)", entry[6])]
    checks.empty(row("K3", "no path of a layer or of hutch's state", configuration), state)
    checks.empty(row("C7", "no mount is left of the old root", configuration), [entry[6] for entry in table if entry[0] == "/"][1 + (configuration.is_rootfs):])
    overlays = [entry for entry in table if entry[2] == "overlay"]
    checks.empty(row("C24", "overlays use userxattr and follow no redirect", configuration),
                 [entry[6] for entry in overlays if "userxattr" not in entry[4] or "redirect_dir=nofollow" not in entry[4] or "metacopy=on" in entry[4]])
    tmpfs = [entry for entry in table if entry[2] == "tmpfs" and "rw" in entry[1]]
    checks.empty(row("H3", "every writable tmpfs has a size and a number of inodes", configuration),
                 [entry[6] for entry in tmpfs if "size=" not in entry[4] or "nr_inodes=" not in entry[4] or "nr_inodes=0" in entry[4]])
    checks.check(row("H6", "the number of terminals is bounded", configuration),
                 any(entry[2] == "devpts" and re.search(r"(^|,)max=\d{1,3}(,|$)", entry[4]) for entry in table), text)
    if configuration.profile != "strict":
        checks.check(row("C9", "/proc/sys is a read-only mount", configuration), any(entry[0] == "/proc/sys" and "ro" in entry[1] for entry in table), text)
    if configuration.profile == "strict":
        checks.check(row("C9", "/proc has processes only", configuration), any(entry[2] == "proc" and "subset=pid" in entry[4] for entry in table), text)
    checks.empty(row("C9", "/proc hides what cannot be traced", configuration), [entry[6] for entry in table if entry[2] == "proc" and "hidepid=ptraceable" not in entry[4]])
    hidden = world.facts(configuration, "access", "/.hutch", "/.hutch/lower", "/lower", "/upper", "/work", "/mask")
    checks.empty(row("C24", "no layer can be reached", configuration), [name for name, value in hidden.items() if name.startswith("/") and not value.startswith("ENOENT")])


DEVICES = {"null": "1:3", "zero": "1:5", "full": "1:7", "random": "1:8", "urandom": "1:9", "tty": "5:0"}
DEV_LINKS = {"fd", "stdin", "stdout", "stderr", "ptmx"}


def devices(world, checks, configuration):
    out, _, _ = world.run(configuration, "list", "/dev", "/dev/shm", "/dev/pts")
    found = {line.split()[0]: line.split()[1:] for line in out.splitlines()}
    expected = {"/dev/" + name: ["char", number] for name, number in DEVICES.items()}
    expected.update({"/dev/" + name: ["link", "0:0"] for name in DEV_LINKS})
    expected["/dev/pts"] = ["dir", "0:0"]
    expected["/dev/pts/ptmx"] = ["char", "5:2"]
    optional = {"/dev/shm": ["dir", "0:0"]}
    checks.equal(row("C13", "/dev is the list", configuration), {name: value for name, value in found.items() if name not in optional}, expected)


MASKED = """/proc/acpi /proc/asound /proc/kcore /proc/keys /proc/key-users /proc/latency_stats /proc/timer_list /proc/timer_stats /proc/sched_debug
    /proc/scsi /proc/kmsg /proc/kpagecount /proc/kpageflags /proc/kpagecgroup /proc/slabinfo /proc/vmallocinfo /proc/interrupts /proc/diskstats
    /proc/config.gz /proc/sysrq-trigger /proc/pagetypeinfo /sys/firmware /sys/kernel /sys/fs/bpf /sys/devices/virtual/powercap""".split()
READ_ONLY = """/proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe
    /proc/sys/kernel/hostname /proc/sys/kernel/domainname /proc/sys/kernel/hotplug /proc/sys/kernel/randomize_va_space /proc/sys/kernel/pid_max
    /proc/sys/kernel/ns_last_pid /proc/sys/kernel/shmmax /proc/sys/kernel/sem /proc/sys/kernel/msgmax /proc/sys/kernel/yama/ptrace_scope
    /proc/sys/fs/binfmt_misc/register /proc/sys/fs/mqueue/msg_max /proc/sys/fs/protected_symlinks /proc/sys/vm/overcommit_memory
    /proc/sys/vm/drop_caches /proc/sys/vm/mmap_min_addr /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/ping_group_range
    /proc/sys/net/core/somaxconn /proc/sys/user/max_user_namespaces /proc/sys/user/max_net_namespaces /proc/mtrr /proc/1/oom_score_adj
    /proc/irq/default_smp_affinity""".split()
ABSENT = """/sys /etc/shadow /etc/gshadow /etc/machine-id /etc/ssh /etc/sudoers /etc/hostname /etc/fstab /root/.ssh /home/hutch-dev /srv /mnt /media
    /boot /run/hutch /run/user /run/systemd /run/dbus /var/lib /var/log /var/run/docker.sock /dev/kmsg /dev/mem /dev/kvm /dev/fuse
    /dev/net /dev/vsock /dev/userfaultfd /dev/loop-control /dev/mapper /dev/snd /dev/dri /dev/mqueue /dev/hugepages /dev/console""".split()


def surfaces(world, checks, configuration):
    found = world.facts(configuration, "access", *MASKED)
    open_words = ("0", "ENOENT", "EACCES", "EPERM", "EIO")
    checks.empty(row("C9", "masked entries tell nothing", configuration),
                 ["%s %s" % (name, found.get(name)) for name in MASKED if found.get(name, "?").split()[0] not in open_words])
    checks.empty(row("C9", "masked entries cannot be written", configuration),
                 ["%s %s" % (name, found.get(name)) for name in MASKED if found.get(name, "? ok").split()[1] == "ok"])
    found = world.facts(configuration, "access", *READ_ONLY)
    checks.empty(row("G7", "no sysctl or control file can be written", configuration),
                 ["%s %s" % (name, found.get(name)) for name in READ_ONLY if found.get(name, "? ok").split()[1] == "ok"])
    if not configuration.is_rootfs and configuration.profile != "strict":
        checks.empty(row("G7", "/proc/sys is read-only by its mount", configuration), ["/proc/sys/kernel/pid_max: " + found.get("/proc/sys/kernel/pid_max", "?")]
                     if found.get("/proc/sys/kernel/pid_max", "? ?").split()[1] not in ("EROFS", "EACCES") else [])
    found = world.facts(configuration, "access", *(ABSENT + ([] if configuration.net_host else ["/etc/resolv.conf"])))
    checks.empty(row("K5", "nothing else of the host's tree is there", configuration),
                 ["%s %s" % (name, found.get(name)) for name in ABSENT if not found.get(name, "?").startswith("ENOENT")])
    if not configuration.is_rootfs:
        system = ["/", "/usr", "/usr/bin", "/etc", "/etc/ssl", "/dev", "/proc", "/var", "/home", "/run"]
        found = world.facts(configuration, "access", *system)
        checks.empty(row("C8", "the system cannot be written", configuration), ["%s %s" % (name, found.get(name)) for name in system
                     if found.get(name, "? ok").split()[1] not in ("EROFS", "EACCES", "ENOENT")])
        found = world.facts(configuration, "access", "/tmp", "/dev/shm")
        checks.equal(row("control", "/tmp can be written", configuration), [value.split()[1] for name, value in sorted(found.items()) if name.startswith("/")], ["ok", "ok"])


def upwards(world, checks, configuration):
    out, code, err = world.run(configuration, "dotdot", "/", "/proc", "/proc/self/fd", "/proc/self/cwd", "/dev", "/dev/pts", "/tmp", "/usr", world.workspace)
    lines = [line.split(None, 1) for line in out.splitlines()]
    checks.check(row("C7", "a hundred steps up end at the root", configuration), code == 0 and len(lines) >= 4 and all(value == "root /" for _, value in lines), out + err)


def suid(world, checks, configuration):
    directory = world.writable if configuration.is_writable else world.workspace
    if configuration.is_rootfs:
        directory = "/tmp"
    else:
        directory += "/suid"
    out, code, err = world.run(configuration, "suidfile", directory)
    lines = [line.split() for line in out.splitlines()]
    checks.check(row("control", "every way to a set-user-ID file was tried", configuration), code == 0 and len(lines) > 12 and ["control", "ok", "0755"] in lines, out + err)
    if configuration.is_writable:
        checks.empty(row("C16", "no set-user-ID file can be made", configuration), [line for line in lines if len(line) == 3 and int(line[2], 8) & 0o6000])
    if not configuration.is_rootfs:
        checks.empty(row("C16", "no set-user-ID file is on the host", configuration), residue.suid_files(directory))
    found = {line[0]: line[1] for line in lines}
    checks.check(row("C13", "no device can be made", configuration), found.get("device") == "EPERM" and found.get("block") == "EPERM", out)


def terminal(world, checks, configuration):
    found = world.facts(configuration, "tty")
    names = [name for name in found if name.startswith(("tiocsti", "tioclinux", "tiocsetd"))]
    checks.check(row("B1", "nothing can be typed into a stream", configuration), len(names) == 12 and all(found[name] == "EPERM" for name in names), found)
    checks.equal(row("B1", "no controlling terminal", configuration), found.get("dev-tty"), "ENXIO")
    checks.equal(row("B5", "a terminal of its own is number 0", configuration), found.get("pty-number", "0"), "0")


def executes(world, checks, configuration):
    """Planted set-user-ID programs, and one with file capabilities."""
    for name, owner, mode in (("suid-self", -1, 0o4755), ("sgid-self", -1, 0o2755), ("suid-root", 0, 0o6755), ("suid-1000", 1000, 0o6755), ("suid-other", 33, 0o6755)):
        if owner >= 0 and not ROOT:
            continue
        path = os.path.join(world.workspace, name)
        if not os.path.exists(path):
            shutil.copy(world.guest, path)
            os.chown(path, owner, owner)
            os.chmod(path, mode)
        found = world.facts(configuration, "ids", program="./" + name)
        expected = "0 0 0" if configuration.is_root else "1000 1000 1000"
        # a file of somebody who is not inside cannot be executed by some modes; that is fine
        checks.equal(row("C15", name + " has no effect", configuration), (found.get("uid"), found.get("gid"), found.get("status-CapPrm:")), (expected, expected, "0" * 16))
    if ROOT:
        path = os.path.join(world.workspace, "file-caps")
        shutil.copy(world.guest, path)
        os.chmod(path, 0o755)
        os.setxattr(path, "security.capability", struct.pack("<IIIII", 0x02000001, 0xffffffff, 0, 0xffffffff, 0))
        found = world.facts(configuration, "ids", program="./file-caps")
        checks.equal(row("C15", "file capabilities have no effect", configuration), (found.get("status-CapPrm:"), found.get("status-CapEff:")), ("0" * 16,) * 2)


def orphans(world, checks, configuration):
    found = world.facts(configuration, "orphans", "300")
    checks.equal(row("I5", "orphans are reaped", configuration), found.get("zombies"), "0")


def outside(world, checks, configuration):
    """The posture of a running sandbox; of two at the same time, as root."""
    started = []
    try:
        for _ in range(2):
            process = subprocess.Popen(world.command(configuration, [configuration.guest, "tree"]), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL, cwd=world.workspace, env=world.environment, close_fds=False)
            started.append(process)
            if "--json" not in configuration.options:
                process.stdout.readline()
        time.sleep(0.3 if "--json" in configuration.options else 0.1)  # libc blocks all signals while it makes a thread
        found = [posture.collect(process.pid) for process in started]
    finally:
        for process in started:
            process.stdin.close()
            process.stdout.read()
            process.wait()
    hidden = ("/run/hutch", "state/hutch", world.canaries.token)
    problems = posture.compare(found[0], configuration.net_host, hidden)
    texts = {"A1": "descriptors", "A6": "init is not dumpable", "A8": "nothing was inherited", "C6": "no propagation", "C10": "core limit", "E1": "capabilities of init and payload",
             "E2": "no_new_privs", "E5": "id maps", "F20": "every thread is filtered", "G1": "namespaces", "G5": "cgroup", "J7": "arguments of init",
             "K1": "environment of init", "K3": "no path of hutch's in mountinfo"}
    checks.check(row("control", "outside: init, the payload, its children and threads are seen", configuration),
                 len(found[0]) == 5 and all(len(process["threads"]) == 2 for process in found[0][1:]), [process["pid"] for process in found[0]])
    for identity, text in texts.items():
        checks.empty(row(identity, "outside: " + text, configuration), problems.get(identity, []))
    if ROOT and found[0] and found[1]:
        ranges = [process[0]["uid_map"].split()[1] for process in found]
        checks.check(row("E5", "outside: two sandboxes have two ranges", configuration), ranges[0] != ranges[1], ranges)
    if found[0] and found[1]:
        same = [name for name in ("user", "mnt", "pid", "ipc", "uts", "net") if found[0][0]["threads"][0]["ns"][name] is not None and
                found[0][0]["threads"][0]["ns"][name] == found[1][0]["threads"][0]["ns"][name] and not (name == "net" and configuration.net_host)]
        checks.empty(row("G1", "outside: two sandboxes share no namespace", configuration), same)


# ---- rows that need a caller of their own -----------------------------------------------------------------------------


def from_odd_callers(world, checks, configuration):
    """A8: whatever state hutch is started in, the payload's is the same."""
    normal = world.run(configuration, "status")[0]

    def odd():
        for signo in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGUSR1, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT, signal.SIGTTOU):
            signal.signal(signo, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, set(range(1, 65)))
        os.umask(0o777)
        LIBC.personality(0x0040000 | 0x0400000 | 0x0100000)  # ADDR_NO_RANDOMIZE, READ_IMPLIES_EXEC, MMAP_PAGE_ZERO
        LIBC.prctl(29, 123456, 0, 0, 0)  # PR_SET_TIMERSLACK
        LIBC.prctl(36, 1, 0, 0, 0)       # PR_SET_CHILD_SUBREAPER
        LIBC.prctl(41, 1, 0, 0, 0)       # PR_SET_THP_DISABLE
        os.setpgid(0, 0)

    strange = world.run(configuration, "status", preexec_fn=odd)[0]
    ignored = re.compile(r"^(status-(?!Sig|Cap|Umask|Groups|NoNew|Seccomp)|uid_map |cpus |pid )")
    keep = [[line for line in text.splitlines() if not ignored.match(line)] for text in (normal, strange)]
    checks.empty(row("A8", "nothing of an odd caller's state gets in", configuration),
                 ["%s instead of %s" % pair for pair in zip(keep[1], keep[0]) if pair[0] != pair[1]] + ([] if len(keep[0]) == len(keep[1]) > 30 else [keep]))
    if ROOT:
        def named():
            LIBC.unshare(0x04000000)  # CLONE_NEWUTS
            LIBC.setdomainname(b"secret.example", 14)

        found = world.facts(configuration, "status", preexec_fn=named)
        checks.equal(row("G6", "the host's domain name is unknown", configuration), found.get("domainname"), "(none)")


def closed_streams(world, checks, configuration):
    """A7: with streams closed, hutch's own descriptors are not taken for them."""
    target = world.writable + "/fds"
    options = ["--workspace", world.writable + ":rw", "--result", world.base + "/result"]
    for closed in ((0,), (1,), (2,), (0, 1), (0, 1, 2)):
        if os.path.exists(target):
            os.unlink(target)

        def close(closed=closed):
            for fd in closed:
                os.close(fd)

        world.sandboxes += 1
        process = subprocess.run([world.hutch, "run", "-q"] + options + ["--", "sh", "-c", "./guest fds >fds.new; ls -l /proc/self/fd/ >/dev/null; mv fds.new fds"],
                                 preexec_fn=close, cwd=world.workspace, env=world.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, timeout=30)
        lines = open(target).read().splitlines() if os.path.exists(target) else []
        good = [line for line in lines if int(line.split()[1]) in closed and int(line.split()[1]) != 1]
        checks.check(row("A7", "closed at the start: %s" % (closed,), configuration), [line.split()[1] for line in lines] == ["0", "1", "2"]
                     and all(line.endswith("/dev/null") for line in good), "%s\n%s\n%s" % (process.returncode, lines, process.stderr))


def odd_directories(world, checks, configuration):
    """A2: a working directory, a stream or a root that leads out."""
    link = world.workspace + "/link"
    for fd in world.canaries.descriptors[:6]:
        if os.path.lexists(link):
            os.unlink(link)
        os.symlink("/proc/self/fd/%d" % fd, link)
        for directory in ("/proc/self/fd/%d" % fd, link, "/proc/self/fd/%d/.." % fd):
            out, code, err = world.run(configuration, "dotdot", options=("--cwd", directory))
            checks.check(row("A2", "--cwd %s" % directory.replace(world.base, ""), configuration),
                         code == 125 or all(line.endswith("root /") for line in out.splitlines()), out + err)
    os.unlink(link)
    for number in list(range(3, 60)):
        out, code, err = world.run(configuration, "dotdot", options=("--cwd", "/proc/self/fd/%d" % number))
        if code != 125 and not all(line.endswith("root /") for line in out.splitlines()):
            checks.check(row("A2", "--cwd /proc/self/fd/%d" % number, configuration), False, out + err)
    for directory in ("/", world.canaries.directory):
        stream = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        path = os.open(directory, os.O_PATH | os.O_DIRECTORY)
        for descriptor in (stream, path):
            out, code, err = world.run(configuration, "dotdot", stdin=descriptor)
            checks.check(row("A2", "a directory as stdin leads nowhere: %s" % ("O_PATH" if descriptor == path else directory.split("-")[0]), configuration),
                         code == 125 or "OUTSIDE" not in out and "stuck" not in out and "(unreachable)" not in out and out, out + err)
            os.close(descriptor)


def files_as_streams(world, checks, configuration):
    """A4: a file that was passed in for reading cannot be written, one for writing not read; neither becomes set-user-ID."""
    path, log = world.base + "/input", world.base + "/log"
    for name in (path, log):
        with open(name, "w") as file:
            file.write("before\n")
        os.chmod(name, 0o666)
    script = """for way in /proc/self/fd/0 /dev/stdin; do echo x >$way; echo x >>$way; truncate -s 0 $way; done 2>/dev/null
        chmod 6777 /proc/self/fd/0 /proc/self/fd/1 2>/dev/null; ./guest access /proc/self/fd/1; cat; echo again >>/dev/stdout"""
    world.sandboxes += 1
    with open(path) as stdin, open(log, "a") as stdout:
        done = subprocess.run([world.hutch, "run", "-q", "--", "sh", "-c", script], stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, cwd=world.workspace,
                              env=world.environment, timeout=30)
    with open(path) as file:
        checks.equal(row("A4", "a file passed in as stdin is not written", configuration), file.read(), "before\n")
    with open(log) as file:
        text = file.read()
    checks.check(row("A4", "a file passed in as stdout is not read", configuration), "/proc/self/fd/1 EACCES ok" in text, text)
    checks.check(row("control", "a file passed in as stdout can be opened again", configuration), "again" in text, (text, done))
    checks.equal(row("C16", "files passed in get no set-user-ID bits", configuration), [oct(os.stat(name).st_mode & 0o6000) for name in (path, log)], ["0o0", "0o0"])


def own_terminal(world, checks, configuration):
    """B1: hutch run by a user at a terminal; the payload gets another one."""
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    device = os.fstat(slave).st_dev

    def control():
        os.setsid()
        import fcntl
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    world.sandboxes += 1
    process = subprocess.Popen([world.hutch, "run", "-q", "--", "./guest", "tty"], stdin=slave, stdout=slave, stderr=slave, preexec_fn=control,
                               cwd=world.workspace, env=world.environment)
    out = b""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if select.select([master], [], [], 0.05)[0]:
            out += os.read(master, 65536)
        elif process.poll() is not None:
            break
    process.wait()
    after = termios.tcgetattr(slave)
    found = dict(line.split(None, 1) for line in out.decode("utf-8", "replace").splitlines() if len(line.split(None, 1)) == 2)
    names = [name for name in found if name.startswith(("tiocsti", "tioclinux", "tiocsetd"))]
    checks.check(row("B1", "at a terminal: nothing can be typed", configuration), len(names) == 12 and all(found[name] == "EPERM" for name in names), out)
    terminals = [found.get("isatty-%d" % fd, "0 0").split() for fd in range(3)]
    checks.check(row("B1", "at a terminal: the payload's is another one", configuration), all(is_tty == "1" and int(number, 16) != device for is_tty, number in terminals),
                 (terminals, device))
    checks.equal(row("B7", "at a terminal: its settings are as before", configuration), after[:6], before[:6])
    os.close(master)
    os.close(slave)


def host_mounts(world, checks, configuration):
    """C6, C8: mounts below what is shown. In a mount namespace of the test's own; for a user, in a user namespace."""
    unshare = ["unshare", "-m"] if ROOT else ["unshare", "-Urm"]
    if subprocess.run(unshare + ["true"], stderr=subprocess.DEVNULL).returncode:
        checks.skip(row("C8", "submounts of a read-only directory are read-only", configuration), "unshare cannot make a mount namespace")
        checks.skip(row("C6", "a later mount does not get in", configuration), "unshare cannot make a mount namespace")
        return
    shown = world.base + "/shown"
    os.makedirs(shown + "/sub", exist_ok=True)
    os.makedirs(shown + "/later", exist_ok=True)
    world.sandboxes += 2
    script = """
        mount --make-rprivate / && mount --make-rshared / && mount --bind "$1" "$1" && mount -t tmpfs inner "$1/sub" && chmod 777 "$1/sub" || exit 9
        "$2" run -q --ro "$1" -- ./guest access "$1" "$1/sub"
        mkfifo "$1/../in" "$1/../out"
        exec 4<>"$1/../in"
        "$2" run -q --ro "$1" -- sh -c 'echo ready; read line; cat /proc/self/mountinfo' <&4 >"$1/../out" &
        exec 3<"$1/../out"
        read line <&3
        mount -t tmpfs outer "$1/later"
        echo go >&4
        grep -c "$1/later " /proc/self/mountinfo
        cat <&3
    """
    done = subprocess.run(unshare + ["sh", "-c", script, "sh", shown, world.hutch], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          cwd=world.workspace, env=world.environment, timeout=60, stdin=subprocess.DEVNULL)
    out = done.stdout.decode()
    found = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.startswith(shown)}
    checks.check(row("C8", "submounts of a read-only directory are read-only", configuration),
                 found.get(shown + "/sub", ["", ""])[1] == "EROFS" and found.get(shown, ["", ""])[1] == "EROFS", out + done.stderr.decode())
    lines = out.splitlines()
    inside = [line for line in lines if " - " in line]
    checks.check(row("C6", "a later mount does not get in", configuration), any(re.match("[1-9]$", line) for line in lines) and any(shown + "/sub " in line for line in inside)
                 and not any("outer" in line or "shared:" in line or "master:" in line for line in inside), out + done.stderr.decode())


def saved_modes(world, checks, configuration):
    """C16: what --save brings out has no set-user-ID bits."""
    target = world.base + "/saved"
    os.makedirs(target, exist_ok=True)
    world.run(configuration, "suidfile", world.workspace + "/suid", options=("--save", target))
    kept = sum(len(files) for _, _, files in os.walk(target))
    checks.check(row("control", "--save brought files out", configuration), kept > 5, os.listdir(target))
    checks.empty(row("C16", "--save brings no set-user-ID file out", configuration), residue.suid_files(target))


def listing(directory):
    return sorted((path, os.lstat(path).st_mode, os.lstat(path).st_mtime_ns) for path in residue.tree(directory))


def hostile_roots(world, checks, configuration):
    """C1 to C5, B5: root directories in which the places of our mounts are links to the host, or no directories."""
    outside = world.base + "/outside"
    for name in ("", "/pts", "/shm", "/self", "/sys", "/null"):
        os.makedirs(outside + name, exist_ok=True)
    before = listing(outside)
    for access in ("ro", "cow", "rw"):
        for place in ("proc", "dev", "dev/pts", "dev/null", "dev/console", "tmp", "var/tmp", "home", "etc", "run"):
            for kind in ("absolute", "relative", "file"):
                root = world.base + "/hostile"
                shutil.rmtree(root, ignore_errors=True)
                for name in ("proc", "dev", "tmp", "var", "etc"):
                    os.makedirs(os.path.join(root, name))
                shutil.copy(world.guest, root + "/guest")
                path = os.path.join(root, place)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                if os.path.isdir(path):
                    os.rmdir(path)
                if kind == "file":
                    open(path, "w").close()
                else:
                    os.symlink(outside if kind == "absolute" else "../" * 8 + outside[1:], path)
                out, code, err = world.run(Configuration("hostile", "--rootfs", "%s:%s" % (root, access)), "dotdot", "/proc", "/dev", "/tmp", program="/guest")
                if code != 125 and any("root /" not in line for line in out.splitlines()):
                    checks.check(row("C4", "%s is a %s (%s)" % (place, kind, access), configuration), False, out + err)
    checks.equal(row("C4", "mount points that are links: nothing was made or mounted outside", configuration), listing(outside), before)
    checks.empty(row("C6", "mount points that are links: the host's mounts are as before", configuration),
                 [line for line in residue.read("/proc/self/mountinfo").splitlines() if world.mark in line])


def hostile_saves(world, checks, configuration):
    """D3: --save into a directory with links in the places of what is saved; what is saved being links."""
    outside, target = world.base + "/outside-save", world.base + "/save-target"
    os.makedirs(outside)
    os.makedirs(target)
    with open(outside + "/file", "w") as file:
        file.write("kept")
    os.symlink(outside, target + "/directory")
    os.symlink(outside + "/file", target + "/file")
    os.symlink(outside + "/new", target + "/new")
    os.symlink(outside, target + "/gone")
    before = listing(outside)
    script = """mkdir -p directory/below; echo x >directory/file; echo x >directory/below/x; echo x >file; echo x >new; mkdir gone; echo x >gone/file
        ln -s %s link; ln -s /etc/passwd passwd; mkfifo fifo; echo done""" % outside
    out, code, err = world.run(configuration, "-c", script, program="sh", options=("--save", target))
    checks.equal(row("D3", "--save follows no link of its target", configuration), (listing(outside), open(outside + "/file").read()), (before, "kept"))
    checks.check(row("control", "the script for --save ran", configuration), "done" in out, (out, code, err))
    world.run(configuration, "-c", "rm -rf directory file; mkdir -p link2; echo y >file", program="sh", options=("--save", target))
    checks.equal(row("D5", "--save removes nothing behind a link", configuration), (listing(outside), open(outside + "/file").read()), (before, "kept"))


def tracer(world, checks):
    """I7: a payload that makes init its tracer ends as it would without."""
    configuration = Configuration("debug", "--seccomp", "debug", "--json")
    out, code, err = world.run(configuration, "traceme")
    checks.check(row("I7", "PTRACE_TRACEME does not confuse init", configuration), code == 0 and "after ok" in out, (out, code, err))


def nested(world, checks, configuration):
    shutil.copy(world.hutch, world.workspace + "/hutch")
    out, code, err = world.run(configuration, "run", "--", "/bin/true", program="./hutch")
    os.unlink(world.workspace + "/hutch")
    checks.check(row("E6", "hutch run inside ends with 125", configuration), code == 125 and err, (out, code, err))


def neighbours(world, checks, configuration):
    """C13, G1: nothing of one sandbox is seen by another."""
    first = subprocess.Popen(world.command(configuration, ["sh", "-c", "echo %s >/dev/shm/x; echo %s >/tmp/x; echo; read line" % ((world.canaries.token,) * 2)]),
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=world.workspace, env=world.environment)
    first.stdout.readline()
    out, code, err = world.run(configuration, *world.canaries.inside_arguments())
    first.stdin.close()
    first.stdout.read()
    first.wait()
    checks.empty(row("C13", "another sandbox's files and processes", configuration), [line for line in out.splitlines() if line.startswith("found ")])


# ---- all of it --------------------------------------------------------------------------------------------------------

EVERYWHERE = (search, descriptors, status, init, namespaces, other_calls, sockets, mounts, devices, surfaces, upwards, suid, terminal, outside)
ONCE = (executes, orphans, from_odd_callers, closed_streams, odd_directories, files_as_streams, own_terminal, host_mounts, saved_modes, hostile_roots,
        hostile_saves, nested, neighbours)


def binary_hash(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def main():
    arguments = sys.argv[1:]
    only, chosen = "", None
    while "--only" in arguments or "--configurations" in arguments:
        at = arguments.index("--only" if "--only" in arguments else "--configurations")
        if arguments[at] == "--only":
            only = arguments[at + 1]
        else:
            chosen = arguments[at + 1].split(",")
        del arguments[at:at + 2]
    hutch, guest = map(os.path.abspath, arguments)
    os.umask(0o022)
    signal.signal(signal.SIGTERM, lambda signo, frame: sys.exit(1))  # and remove the canaries
    LIBC.prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: what a dead hutch leaves behind becomes our child
    checks = Checks(only)
    digest = binary_hash(hutch)
    first = residue.Snapshot()
    world = World(hutch, guest)
    try:
        before = residue.Snapshot()
        search_on_host(world, checks)
        baseline = baseline_calls(world, checks)
        for configuration in world.configurations():
            if chosen and configuration.name not in chosen:
                continue
            system_calls(world, checks, configuration, baseline)
            for function in EVERYWHERE:
                function(world, checks, configuration)
                orphans_left(world, 0)  # unreaped, each would hold a key of the user's quota
            if configuration.is_open or configuration.is_root:
                raw_sockets(world, checks, configuration)
            if configuration.name in ("default", "as root"):
                executes(world, checks, configuration)
        if not chosen or "default" in chosen:
            for function in ONCE[1:]:
                function(world, checks, world.configurations()[0])
                orphans_left(world, 0)
        if not chosen or "debug" in chosen:
            tracer(world, checks)
        after(world, checks, before)
        checks.equal("A3 hutch is the same program as before", binary_hash(hutch), digest)
    finally:
        world.remove()
    _, problems = residue.settle(first, [world.mark, world.canaries.token], world.sandboxes)
    checks.empty("AFTER the canaries are gone, too", ["%s: %s" % (name, text) for name, texts in problems.items() for text in texts])
    checks.note("%d sandboxes as %s" % (world.sandboxes, "root" if ROOT else "user %d" % os.getuid()))
    return checks.done()


def orphans_left(world, seconds):
    """Reaps what was left to us as subreaper; what still runs after a while."""
    deadline = time.monotonic() + seconds
    while True:
        left = [pid for pid in posture.descendants(os.getpid()) if pid != world.canaries.process.pid]
        for pid in left:
            try:
                os.waitpid(pid, os.WNOHANG | 0x40000000)  # __WALL: init was cloned without an exit signal
            except OSError:
                pass
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.02)


def after(world, checks, before):
    left = orphans_left(world, 3)  # first: an init that nobody has reaped yet holds its namespaces and keys
    _, problems = residue.settle(before, [world.mark, world.canaries.token], world.sandboxes)
    for name in sorted(before.sets) + sorted(set(before.counts) - set(before.sets)):
        checks.empty("AFTER nothing is left: " + name, problems.get(name, []))
    checks.empty("I8 no process is left to its reaper", ["%d %s" % (pid, posture.read("/proc/%d/comm" % pid)) for pid in left])
    checks.empty("C16 no set-user-ID file in a directory that was writable", residue.suid_files(world.writable))


if __name__ == "__main__":
    sys.exit(main())
