#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the host sees of a running sandbox: every thread of every process, compared with what it should be made of.

usage: posture.py PID      prints the posture of the sandboxes of the hutch with that pid, and what is wrong with it

The comparison follows one rule: fewer is fine, more is a failure. Some of it only the owner of the sandbox's user
namespace (or root) may read; what could not be read is None and is not compared, except as root.
"""

import json
import os
import re
import sys

CAPS = {"KILL": 5, "SETGID": 6, "SETUID": 7, "SYS_PTRACE": 19, "SYS_ADMIN": 21, "DAC_READ_SEARCH": 2}
NAMESPACES = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time")
O_PATH = 0o10000000


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read().decode("utf-8", "surrogateescape")
    except OSError:
        return None


def link(path):
    try:
        return os.readlink(path)
    except OSError:
        return None


def descendants(pid):
    """Children first; parents by stat, since not every kernel has /proc/PID/task/TID/children."""
    parents = {}
    for name in os.listdir("/proc"):
        stat = read("/proc/%s/stat" % name) if name.isdigit() else None
        if stat:
            parents.setdefault(int(stat.rsplit(")", 1)[1].split()[1]), []).append(int(name))
    found, queue = [], [pid]
    while queue:
        children = sorted(parents.get(queue.pop(0), []))
        found += children
        queue += children
    return found


def fields(status):
    return dict(line.split(":", 1) for line in status.splitlines() if ":" in line)


def descriptors(pid):
    """A dict from number to (link, flags), or None."""
    try:
        names = os.listdir("/proc/%d/fd" % pid)
    except OSError:
        return None
    found = {}
    for name in names:
        info = fields(read("/proc/%d/fdinfo/%s" % (pid, name)) or "")
        found[int(name)] = (link("/proc/%d/fd/%s" % (pid, name)), int(info.get("flags", "0"), 8))
    return found


def collect_thread(pid, tid):
    base = "/proc/%d/task/%d/" % (pid, tid)
    status = {name: value.strip() for name, value in fields(read(base + "status") or "").items()}
    return {"tid": tid, "status": status, "ns": {name: link(base + "ns/" + name) for name in NAMESPACES}}


def collect_process(pid):
    base = "/proc/%d/" % pid
    try:
        threads = [collect_thread(pid, int(name)) for name in os.listdir(base + "task")]
    except OSError:
        return None
    return {"pid": pid, "threads": threads, "fds": descriptors(pid), "cmdline": read(base + "cmdline"), "environ": read(base + "environ"),
            "mountinfo": read(base + "mountinfo"), "limits": read(base + "limits"), "uid_map": read(base + "uid_map"),
            "gid_map": read(base + "gid_map"), "cgroup": read(base + "cgroup"), "cwd": link(base + "cwd"), "root": link(base + "root"),
            "owner": os.stat(base + "environ").st_uid, "exe": link(base + "exe"), "setgroups": read(base + "setgroups"), "attr": read(base + "attr/current"),
            "personality": read(base + "personality"), "oom_score_adj": read(base + "oom_score_adj")}


def collect(pid):
    """The processes below a hutch; the first is init."""
    return [process for process in map(collect_process, descendants(pid)) if process]


# ---- what it should be ------------------------------------------------------------------------------------------------


def bits(*names):
    return sum(1 << CAPS[name] for name in names)


class Problems:
    def __init__(self, strict):
        self.found = {}
        self.strict = strict  # what cannot be read is a problem

    def add(self, row, text):
        self.found.setdefault(row, []).append(text)

    def expect(self, row, who, what, value, good):
        if value is None:
            if self.strict:
                self.add(row, "%s: %s cannot be read" % (who, what))
        elif not good(value):
            self.add(row, "%s: %s is %s" % (who, what, value))


def check_init(process, problems, is_range):
    allowed = bits("SYS_ADMIN", "SYS_PTRACE", "KILL", "DAC_READ_SEARCH") | (bits("SETUID", "SETGID") if is_range else 0)
    for thread in process["threads"]:
        status = thread["status"]
        for name in ("CapPrm", "CapEff"):
            problems.expect("E1", "init", name, status.get(name), lambda value: int(value, 16) & ~allowed == 0)
        for name in ("CapInh", "CapBnd", "CapAmb"):
            problems.expect("E1", "init", name, status.get(name), lambda value: int(value, 16) == 0)
        problems.expect("E2", "init", "NoNewPrivs", status.get("NoNewPrivs"), lambda value: value == "1")
        problems.expect("A8", "init", "SigIgn", status.get("SigIgn"), lambda value: int(value, 16) == 0)
        problems.expect("A8", "init", "SigCgt", status.get("SigCgt"), lambda value: int(value, 16) == 0)
    problems.expect("A6", "init", "the owner of its entries in /proc", process["owner"], lambda owner: not is_dumpable(process, owner))
    problems.expect("J7", "init", "cmdline", process["cmdline"], lambda value: value.replace("\0", " ").strip() in ("hutch-init", ""))
    problems.expect("K1", "init", "environ", process["environ"], lambda value: value == "")
    problems.expect("A1", "init", "descriptors", process["fds"], lambda fds: not init_descriptors(fds))


def is_dumpable(process, owner):
    """The entries of a process that is not dumpable belong to its user namespace's root, or to nobody inside."""
    uid = int(process["threads"][0]["status"]["Uid"].split()[1])
    roots = [int(line.split()[1]) for line in (process["uid_map"] or "").splitlines() if line.split()[0] == "0"]
    return owner == uid and uid not in roots


def init_descriptors(fds):
    """Those that init may not have: anything but /dev/null, the sandbox's own /proc, sockets, pidfds, signalfds, pipes, O_PATH, and of
    the cgroup of each command the file that kills it and the one that tells that it is empty."""
    leaf = r"/sys/fs/cgroup/.*/hutch-[0-9a-f]{12}/run/[0-9]+/cgroup\.(kill|events)"
    good = re.compile(r"^(/dev/null|/null|/proc|socket:.*|pipe:.*|anon_inode:\[(pidfd|signalfd|eventpoll)\]|pidfd:.*|" + leaf + ")$")
    found = {number: entry for number, entry in fds.items() if not (entry[0] and good.match(entry[0])) and not entry[1] & O_PATH}
    found.update({number: fds.get(number) for number in range(3) if fds.get(number, ("",))[0] not in ("/dev/null", "/null")})
    return found


def check_payload(process, problems):
    who = "payload %d" % process["pid"]
    filters = set()
    for thread in process["threads"]:
        status = thread["status"]
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            problems.expect("E1", who, name, status.get(name), lambda value: int(value, 16) == 0)
        problems.expect("E2", who, "NoNewPrivs", status.get("NoNewPrivs"), lambda value: value == "1")
        problems.expect("F20", who, "Seccomp", status.get("Seccomp"), lambda value: value == "2")
        for name in ("SigBlk", "SigIgn"):
            problems.expect("A8", who, name, status.get(name), lambda value: int(value, 16) == 0)
        filters.add(status.get("Seccomp_filters"))
    if len(filters) != 1 or "0" in filters:
        problems.add("F20", "%s: its threads have %s filters" % (who, filters))
    problems.expect("A1", who, "descriptors", process["fds"], lambda fds: set(fds) <= {0, 1, 2})
    problems.expect("C10", who, "limits", process["limits"], lambda value: re.search(r"Max core file size +1 +1 ", value))
    problems.expect("A8", who, "personality", process["personality"], lambda value: int(value, 16) == 0)
    problems.expect("G5", who, "cgroup", process["cgroup"], lambda value: True)


def check_namespaces(process, problems, net_host, is_init):
    who = "init" if is_init else "payload %d" % process["pid"]
    shared = {"time"} | ({"net"} if net_host else set()) | ({"cgroup"} if is_init else set())
    for thread in process["threads"]:
        for name, target in thread["ns"].items():
            if name in shared or not os.path.exists("/proc/self/ns/" + name):
                continue
            problems.expect("G1", who, "namespace " + name, target, lambda value: value != link("/proc/self/ns/" + name))


def check_maps(process, problems):
    for name in ("uid_map", "gid_map"):
        lines = [list(map(int, line.split())) for line in (process[name] or "").splitlines()]
        if not lines:
            problems.add("E5", "no %s" % name)
        own = os.getuid() if name == "uid_map" else os.getgid()
        for inside, outside, count in lines:
            if outside <= 0 < outside + count:
                problems.add("E5", "%s maps the host's 0 to %d" % (name, inside))
            if os.getuid() and (count != 1 or outside != own):
                problems.add("E5", "%s maps more than the caller: %d %d %d" % (name, inside, outside, count))


def check_mounts(process, problems, hidden):
    text = process["mountinfo"]
    if text is None:
        if problems.strict:
            problems.add("C6", "mountinfo of %d cannot be read" % process["pid"])
        return
    for line in text.splitlines():
        optional = line.split(" - ")[0].split()[6:]
        if optional:
            problems.add("C6", "propagation: " + line)
        for word in hidden:
            if word in line:
                problems.add("K3", "shows %s: %s" % (word, line))


def compare(processes, net_host=False, hidden=(), is_range=None):
    """Texts by the id of the row, {} if all is well."""
    is_root = os.getuid() == 0
    problems = Problems(is_root)
    if not processes:
        return {"A1": ["no process was found"]}
    check_init(processes[0], problems, is_root if is_range is None else is_range)
    for index, process in enumerate(processes):
        check_namespaces(process, problems, net_host, index == 0)
        check_maps(process, problems)
        check_mounts(process, problems, hidden)
        if index > 0:
            check_payload(process, problems)
    return problems.found


if __name__ == "__main__":
    found = collect(int(sys.argv[1]))
    print(json.dumps(found, indent=1, default=str))
    for row, texts in compare(found).items():
        for text in texts:
            print("%s %s" % (row, text))
