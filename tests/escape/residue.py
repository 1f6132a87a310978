# SPDX-License-Identifier: Apache-2.0
"""What a host consists of that a sandbox could leave behind: looked at before and after, and compared.

Other programs run on the same host, and make and remove things of their own. So what is new counts only if it names the
run; what can only be counted (namespaces, keys, links) counts if it grew by half of the sandboxes that were run, as a leak
of one each would make it.
"""

import collections
import glob
import os
import re
import time


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read().decode("utf-8", "surrogateescape")
    except OSError:
        return ""


def names(pattern):
    return set(glob.glob(pattern, recursive=True))


def tree(path):
    """All below a directory but what stays by design: the lock files of id ranges, compiled policies."""
    return {name for name in names(path + "/**") if not re.search(r"/hutch/((ids|filters)(/.*)?)?$", name)}


def processes():
    found = set()
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            text = read("/proc/%s/cmdline" % name) + read("/proc/%s/environ" % name) + read("/proc/%s/comm" % name)
            found.add("%s %s" % (name, text.replace("\0", " ")))
    return found


def count_namespaces():
    found = set()
    for path in glob.glob("/proc/[0-9]*/ns/*"):
        try:
            found.add(os.readlink(path))
        except OSError:
            pass
    return len(found)


def count_keys():
    return sum(int(line.split()[1]) for line in read("/proc/key-users").splitlines())


def count_ipc():
    return sum(max(0, len(read("/proc/sysvipc/" + kind).splitlines()) - 1) for kind in ("shm", "sem", "msg"))


def links():
    try:
        return len(os.listdir("/sys/class/net"))
    except OSError:
        return 0


def state_directories():
    home = os.path.expanduser("~")
    run = os.environ.get("XDG_RUNTIME_DIR", "/run/user/%d" % os.getuid())
    return ["/run/hutch", run + "/hutch", home + "/.local/state/hutch", "/var/lib/hutch"]


class Snapshot:
    def __init__(self):
        self.sets = {
            "processes": processes(),
            "mounts": set(read("/proc/self/mountinfo").splitlines()),
            "state files": set().union(*map(tree, state_directories())),
            "temporary files": names("/tmp/*") | names("/tmp/.*") | names("/var/tmp/*") | names("/dev/shm/*") | names("/dev/mqueue/*"),
            "sockets": {line.split(None, 7)[-1] for line in read("/proc/net/unix").splitlines() if len(line.split()) == 8},
            "cgroups": names("/sys/fs/cgroup/**/*hutch*"),
            "loop devices": names("/sys/block/loop*/loop/backing_file"),
        }
        self.counts = {"namespaces": count_namespaces(), "keys": count_keys(), "SysV objects": count_ipc(), "network links": links(),
                       "descriptors of this program": len(os.listdir("/proc/self/fd")), "mounts": len(self.sets["mounts"]),
                       "temporary files": len(self.sets["temporary files"]), "sockets": len(self.sets["sockets"])}


def compare(before, after, words, sandboxes):
    """Texts by what is left."""
    problems = collections.defaultdict(list)
    for name, old in before.sets.items():
        for entry in after.sets[name] - old:
            if name == "state files" or any(word in entry for word in words):
                problems[name].append("new: " + entry[:300])
    for name, old in before.counts.items():
        limit = old + max(2, sandboxes // 2) if name != "descriptors of this program" else old
        if after.counts[name] > limit:
            problems[name].append("%d before, %d after %d sandboxes" % (old, after.counts[name], sandboxes))
    return problems


def settle(before, words, sandboxes, seconds=5):
    """Compares until nothing is left or the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        after = Snapshot()
        problems = compare(before, after, words, sandboxes)
        if not problems or time.monotonic() > deadline:
            return before, problems
        time.sleep(0.2)


def suid_files(directory):
    """Set-user-ID and set-group-ID files below a directory."""
    found = []
    for parent, directories, files in os.walk(directory):
        for name in directories + files:
            path = os.path.join(parent, name)
            if not os.path.islink(path) and os.lstat(path).st_mode & 0o6000:
                found.append("%s %o" % (path, os.lstat(path).st_mode))
    return found
