#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kept sandboxes in figures: `hutch exec` beside other ways into a sandbox, many at once, idle, and at their end.

`hutch exec` is a new process each time, and is measured as compare.py does it: each round runs each candidate once, and
what counts is the ratio of medians. What the library alone costs, and how many commands a second it gets through, is
bench_exec's; this program calls it.

usage: kept.py HUTCH BENCH_EXEC [ROUNDS]
"""
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import compare

EXEC_AIM = 3.0
STARTS = 200
PROCESSES = 1000
STOP_AIM_MS = 100
LATE_AIM_MS = 20
IDLE_AIM_KIB = 2048
IDLE_SECONDS = 10


def verdict(value, aim):
    return f"to be at most {aim}: {'reached' if value <= aim else 'NOT reached'}"


class Hutch:
    """The program; what it has started is removed at the end."""

    def __init__(self, path):
        self.path = path
        self.boxes = []

    def __call__(self, *words, check=True):
        done = subprocess.run([self.path, *words], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if check and done.returncode != 0:
            sys.exit(f"kept.py: hutch {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def start(self, *options):
        box = self("start", *options).strip()
        self.boxes.append(box)
        return box

    def supervisor(self, box):
        return json.loads(self("inspect", "--json", box))["supervisor"]

    def remove_all(self):
        if self.boxes:
            self("rm", "-f", *self.boxes, check=False)
        self.boxes.clear()


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


def status(pid, name):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith(name + ":"):
                return int(line.split()[1])
    return 0


# ---- hutch exec beside others ----------------------------------------------------------------------------------------


def nsenter_command(hutch, box):
    """Into all namespaces of a command of the sandbox: init itself lets no process of the same user in."""
    if not shutil.which("nsenter"):
        return None
    hutch("exec", "-d", box, "sleep", "1000")
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        target = [pid for init in children(hutch.supervisor(box)) for pid in children(init)]
        if target:
            break
    names = ["--user", "--preserve-credentials", "--mount", "--uts", "--ipc", "--net", "--pid"]
    return [shutil.which("nsenter"), "--target", str(target[0]), *names, "/bin/true"]


def crun_exec_command(hutch, bundles):
    """crun's own kept container, if it can make one here; the reason is told otherwise."""
    if not shutil.which("crun"):
        print("# crun: not installed, left out")
        return None
    bundle = compare.crun_bundle(hutch.path, ["/bin/sleep", "1000"])
    bundles.append(bundle)
    name = f"hutch-bench-{os.getpid()}"
    crun = [shutil.which("crun"), "--root", bundle, "--cgroup-manager=disabled"]
    done = subprocess.run(crun + ["run", "--detach", "--bundle", bundle, name], text=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        print(f"# crun: left out, it can start nothing here: {done.stderr.strip().splitlines()[-1:] or done.returncode}")
        return None
    return crun + ["exec", name, "/bin/true"]


def beside_others(hutch, rounds, bundles):
    box = hutch.start()
    candidates = {"posix_spawn": ["/bin/true"], "hutch": [hutch.path, "exec", box, "/bin/true"]}
    others = {"nsenter": nsenter_command(hutch, box), "crun exec": crun_exec_command(hutch, bundles),
              "bwrap": compare.bwrap_command(hutch.path, ["/bin/true"]) if shutil.which("bwrap") else None}
    for name, argv in others.items():
        if argv and compare.works(name, argv):
            candidates[name] = argv
    samples = compare.measure(candidates, rounds)
    print(f"hutch exec SANDBOX /bin/true, a new process each, {rounds} rounds (ms)\n{'':12}{'median':>8}{'p99':>8}{'min':>8}   hutch / this")
    medians = {name: statistics.median(list_) for name, list_ in samples.items()}
    for name, list_ in samples.items():
        p99 = sorted(list_)[int(len(list_) * 0.99)]
        print(f"{name:12}{medians[name]:8.2f}{p99:8.2f}{min(list_):8.2f}   {medians['hutch'] / medians[name]:.2f}")
    print(f"hutch / posix_spawn = {medians['hutch'] / medians['posix_spawn']:.2f}, {verdict(medians['hutch'] / medians['posix_spawn'], EXEC_AIM)}")
    for name in set(medians) - {"posix_spawn", "hutch"}:
        print(f"below {name}: {'yes' if medians['hutch'] < medians[name] else 'NO'}")
    if "crun exec" in candidates:
        subprocess.run(candidates["crun exec"][:4] + ["delete", "--force", candidates["crun exec"][-2]], check=False)
    hutch.remove_all()


# ---- many at once ----------------------------------------------------------------------------------------------------


def many_at_once(hutch):
    began = time.perf_counter()
    starts = [subprocess.Popen([hutch.path, "start"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) for _ in range(STARTS)]
    boxes = [start.communicate()[0].strip() for start in starts]
    taken = time.perf_counter() - began
    failed = sum(start.returncode != 0 for start in starts)
    hutch.boxes += [box for box in boxes if box]
    print(f"{STARTS} sandboxes started at once: {taken * 1000:.0f} ms, {failed} failed{'' if failed == 0 else ': NOT all'}")
    began = time.perf_counter()
    hutch.remove_all()
    print(f"and removed, one after the other: {(time.perf_counter() - began) * 1000:.0f} ms")


# ---- idle ------------------------------------------------------------------------------------------------------------


def memory_of(pid):
    """KiB of its own and its share of what others use, too; of a process that may not be looked into, all it has resident."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("Pss:")), "proportional"
    except PermissionError:
        return status(pid, "VmRSS"), "resident"


def idle(hutch):
    box = hutch.start()
    supervisor = hutch.supervisor(box)
    pids = [supervisor, *children(supervisor)]
    time.sleep(1)
    before = sum(status(pid, "voluntary_ctxt_switches") for pid in pids)
    time.sleep(IDLE_SECONDS)
    woken = sum(status(pid, "voluntary_ctxt_switches") for pid in pids) - before
    parts = [memory_of(pid) for pid in pids]
    total = sum(size for size, _ in parts)
    text = " + ".join(f"{size} {kind}" for size, kind in parts)
    print(f"an idle sandbox, supervisor and init: {text} = {total} KiB, {verdict(total, IDLE_AIM_KIB)}")
    print(f"wake-ups: {woken} in {IDLE_SECONDS} s, {verdict(woken * 60 / IDLE_SECONDS, 0)}")
    hutch.remove_all()


# ---- the end ---------------------------------------------------------------------------------------------------------


def fill(hutch, box):
    """A thousand processes that do nothing."""
    hutch("exec", box, "--", "sh", "-c", f"i=0; while [ $i -lt {PROCESSES} ]; do sleep 1000 & i=$((i + 1)); done >/dev/null 2>&1 </dev/null")
    init = children(hutch.supervisor(box))[0]
    pids = children(init)
    if len(pids) < PROCESSES:
        sys.exit(f"kept.py: {len(pids)} processes instead of {PROCESSES}")
    return pids


def stop(hutch, rounds=5):
    taken = []
    for number in range(rounds):
        box = hutch.start("--pids", str(PROCESSES + 100))
        pids = fill(hutch, box)
        began = time.perf_counter()
        hutch("stop", box)
        taken.append((time.perf_counter() - began) * 1000)
        left = [pid for pid in pids if os.path.exists(f"/proc/{pid}")]
        if left:
            sys.exit(f"kept.py: {len(left)} processes are left")
        hutch.remove_all()
    print(f"hutch stop with {PROCESSES} processes, until all is reaped, {rounds} rounds: median {statistics.median(taken):.0f} ms, worst {max(taken):.0f}; "
          f"{verdict(round(statistics.median(taken)), STOP_AIM_MS)}")


def deadlines(hutch, rounds=20):
    box = hutch.start()
    for what, options, script, due in (("a deadline", ["--timeout", "0.1"], "exec sleep 100", 100),
                                       ("the same, TERM ignored", ["--timeout", "0.1", "--grace", "0.1"], "trap '' TERM; sleep 100 & sleep 100", 200)):
        late = []
        for _ in range(rounds):
            record = json.loads(hutch("exec", "--json", *options, box, "--", "sh", "-c", script, check=False))
            if record["outcome"] != "timeout":
                sys.exit(f"kept.py: {record['outcome']} instead of timeout")
            late.append(record["wall_ms"] - due)
        print(f"{what} is overrun by {statistics.median(late):.1f} ms in the median, {max(late):.1f} at worst ({rounds} rounds); "
              f"{verdict(round(max(late), 1), LATE_AIM_MS)}")
    hutch.remove_all()


def main():
    hutch = Hutch(os.path.abspath(sys.argv[1]))
    bench_exec = os.path.abspath(sys.argv[2])
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 200
    bundles = []
    home = tempfile.mkdtemp(prefix="hutch-bench-")
    os.chdir(home)
    print(f"# as uid {os.getuid()}, load {os.getloadavg()[0]:.1f}", flush=True)
    try:
        subprocess.run([bench_exec], check=True)
        beside_others(hutch, rounds, bundles)
        many_at_once(hutch)
        idle(hutch)
        stop(hutch)
        deadlines(hutch)
    finally:
        hutch.remove_all()
        os.chdir("/")
        for directory in bundles + [home]:
            shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
