#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""hutch run beside bwrap, crun and a bare posix_spawn, in one interleaved run.

Every round runs each candidate once, so that quiet and noisy phases of the machine meet all of them; what counts is
the ratio of medians. bwrap gets the binds that hutch makes and no system call filter; hutch runs with its defaults.

usage: compare.py HUTCH [ROUNDS]
"""
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

AIMS = {"true": 0.75, "python3": 0.9}
TRUE = ["/bin/true"]
PYTHON = ["/usr/bin/python3", "-c", "pass"]


def plan_binds(hutch):
    """The host directories that hutch shows, and the links and private places, from its own plan."""
    plan = subprocess.run([hutch, "run", "--dry-run", "--", "true"], check=True, capture_output=True, text=True).stdout
    binds, links, private = [], [], []
    for line in plan.splitlines():
        word = line.split()
        if line.startswith("mounts: read-only "):
            binds.append(word[2])
        elif line.startswith("mounts: link ") and word[2].count("/") == 1:
            links.append((word[4], word[2]))
        elif line.startswith("mounts: private ") and word[2] != "/dev/shm,":
            private.append(word[2].rstrip(","))
    return binds, links, private


def bwrap_command(hutch, command):
    binds, links, private = plan_binds(hutch)
    argv = [shutil.which("bwrap"), "--unshare-all", "--die-with-parent", "--new-session"]
    for path in binds:
        argv += ["--ro-bind", path, path]
    for target, path in links:
        argv += ["--symlink", target, path]
    for path in private:
        argv += ["--tmpfs", path]
    cwd = os.getcwd()
    argv += ["--dev", "/dev", "--tmpfs", "/dev/shm", "--proc", "/proc", "--bind", cwd, cwd, "--chdir", cwd]
    return argv + ["--setenv", "HOME", "/home/sandbox"] + command


def crun_bundle(hutch, command):
    """A bundle with the same binds; crun without cgroups, as an ordinary user has none here."""
    binds, links, private = plan_binds(hutch)
    bundle = tempfile.mkdtemp(prefix="hutch-bench-")
    root = os.path.join(bundle, "rootfs")
    os.mkdir(root)
    for target, path in links:
        os.symlink(target, root + path)
    mounts = [{"destination": "/proc", "type": "proc", "source": "proc"},
              {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
              {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "ptmxmode=0666"]},
              {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "nodev"]}]
    mounts += [{"destination": path, "type": "none", "source": path, "options": ["rbind", "ro", "nosuid", "nodev"]} for path in binds]
    mounts += [{"destination": path, "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev"]} for path in private]
    config = {
        "ociVersion": "1.0.0", "hostname": "bench", "root": {"path": "rootfs", "readonly": False}, "mounts": mounts,
        "process": {"args": command, "cwd": "/", "env": ["PATH=/usr/bin:/bin"], "user": {"uid": 0, "gid": 0}, "noNewPrivileges": True},
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "user", "cgroup")],
                  "uidMappings": [{"containerID": 0, "hostID": os.getuid(), "size": 1}],
                  "gidMappings": [{"containerID": 0, "hostID": os.getgid(), "size": 1}]},
    }
    with open(os.path.join(bundle, "config.json"), "w", encoding="utf-8") as out:
        json.dump(config, out)
    return bundle


def run(argv):
    start = time.perf_counter()
    pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)])
    _, status = os.waitpid(pid, 0)
    return (time.perf_counter() - start) * 1000, status


def works(name, argv):
    if not argv or not argv[0]:
        print(f"# {name}: not installed, left out")
        return False
    done = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        print(f"# {name}: left out, it fails here: {done.stderr.strip().splitlines()[-1:] or done.returncode}")
    return done.returncode == 0


def measure(candidates, rounds):
    samples = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, argv in candidates.items():
            taken, status = run(argv)
            if status != 0:
                sys.exit(f"compare.py: {name} failed with wait status {status}")
            samples[name].append(taken)
    return samples


def report(title, samples, aim):
    base = statistics.median(samples["hutch"])
    print(f"\n{title}, {len(samples['hutch'])} rounds (ms)\n{'':12}{'median':>8}{'p90':>8}{'min':>8}   hutch / this")
    for name, list_ in samples.items():
        median = statistics.median(list_)
        p90 = sorted(list_)[int(len(list_) * 0.9)]
        print(f"{name:12}{median:8.2f}{p90:8.2f}{min(list_):8.2f}   {base / median:.2f}")
    if "bwrap" in samples:
        ratio = base / statistics.median(samples["bwrap"])
        print(f"hutch / bwrap = {ratio:.3f}, to be at most {aim}: {'reached' if ratio <= aim else 'NOT reached'}")


def candidates_for(hutch, command, bundles):
    result = {"posix_spawn": command, "hutch": [hutch, "run", "--"] + command}
    bwrap = bwrap_command(hutch, command) if shutil.which("bwrap") else None
    if works("bwrap", bwrap):
        result["bwrap"] = bwrap
    if shutil.which("crun"):
        bundles.append(crun_bundle(hutch, command))
        name = f"hutch-bench-{os.getpid()}-{len(bundles)}"
        crun = [shutil.which("crun"), "--root", bundles[-1], "--cgroup-manager=disabled", "run", "--bundle", bundles[-1], name]
        if works("crun", crun):
            result["crun"] = crun
    else:
        print("# crun: not installed, left out")
    return result


def main():
    hutch = os.path.abspath(sys.argv[1])
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    bundles = []
    home = tempfile.mkdtemp(prefix="hutch-bench-")
    os.chdir(home)
    try:
        print(f"# as uid {os.getuid()}, load {os.getloadavg()[0]:.1f}")
        for title, command in (("true", TRUE), ("python3", PYTHON)):
            report(f"{title}: {' '.join(command)}", measure(candidates_for(hutch, command, bundles), rounds), AIMS[title])
    finally:
        os.chdir("/")
        for directory in bundles + [home]:
            shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
