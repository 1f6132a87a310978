# SPDX-License-Identifier: Apache-2.0
"""Limits and accounting, by cgroups where this host has them. What it has not is skipped with the reason, unless
HUTCH_LIMITS=all says that everything must be there (in the virtual machine of scripts/vm.sh)."""

from tap import *

ALL = os.environ.get("HUTCH_LIMITS") == "all"
SLOW = 10 if os.environ.get("HUTCH_SLOW") else 1  # an emulated machine
BURN = "while :; do :; done"
# holds memory in two processes; the parent would go on if only the child were killed
HOG = "import os\npid = os.fork()\nif pid == 0:\n    x = bytearray(300 << 20)\n    os._exit(0)\nos.waitpid(pid, 0)\nprint('survived')\n"


def start(t, *words):
    outcome = t.hutch("start", *words)
    equal(outcome.code, 0, "hutch start %s (%r)" % (words, outcome))
    box = outcome.text.strip()
    t.undo.append(lambda: t.hutch("rm", "-f", box))
    return box


def record(t, box, script, *options, code=None, **more):
    outcome = t.hutch("exec", "--json", *options, box, "--", "sh", "-c", script, **more)
    if code is not None:
        equal(outcome.code, code, "%r" % outcome)
    return outcome.record


def enforceable(t, *options):
    """Can it be held here? Otherwise the error must say so; then the test is skipped."""
    outcome = t.sh("true", *options)
    if outcome.code == 0:
        return
    equal(outcome.code, 125, options)
    contains(outcome.errors, "cannot be enforced", options)
    (fail if ALL else skip)("%s cannot be held here: %s" % (" ".join(options), outcome.errors.split("\n")[0]))


def cgroups(box):
    found = []
    for top in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup"):
        for path, names, _ in os.walk(top):
            found += [os.path.join(path, name) for name in names if name == "hutch-" + box]
            if path.count("/") > 9:
                names.clear()
        if found:
            break
    return found


def cgroup(t, box):
    """The sandbox's cgroup, or the test is skipped."""
    found = cgroups(box)
    if not found:
        (fail if ALL else skip)("no cgroup can be made here")
    return found[0]


# ---- memory ----------------------------------------------------------------------------------------------------------


@test("memory: the whole command is killed, and the record knows why")
def _(t):
    enforceable(t, "--memory", "64M")
    found = t.hutch("run", "--json", "--memory", "64M", "--", "python3", "-c", HOG)
    result = found.record
    equal((found.code, result["outcome"], result["signal"], result["stdout"]), (137, "memory_limit", 9, ""))
    equal((result["limits_hit"], result["limits_enforced"]["memory"]), (["memory"], {"value": 64 << 20, "by": "cgroup"}))
    equal(result["limits_enforced"]["swap"], {"value": 0, "by": "cgroup"})
    within(result["memory_peak_bytes"], 60 << 20, (64 << 20) * 1.05, "peak")  # the kernel lets what it is killing charge more
    true(result["oom_kills"] >= 1, result)


@test("memory: below the limit nothing happens, and the peak is told")
def _(t):
    enforceable(t, "--memory", "128M")
    result = t.hutch("run", "--json", "--memory", "128M", "--", "python3", "-c", "x = bytearray(40 << 20); print(len(x))").record
    equal((result["outcome"], result["exit_code"], result["limits_hit"], result["oom_kills"]), ("exited", 0, [], 0))
    within(result["memory_peak_bytes"], 40 << 20, 100 << 20, "peak")


@test("memory: SIGKILL by its own hand is no limit")
def _(t):
    enforceable(t, "--memory", "64M")
    result = t.hutch("run", "--json", "--memory", "64M", "--", "sh", "-c", "kill -9 $$").record
    equal((result["outcome"], result["signal"], result["limits_hit"]), ("signaled", 9, []))


@test("memory: one command over its own limit, the others go on")
def _(t):
    enforceable(t, "--memory", "64M")
    box = start(t)
    other = t.popen("exec", box, "--", "sh", "-c", "sleep %d; echo unharmed" % (3 * SLOW), stdout=subprocess.PIPE)
    result = record(t, box, "exec python3 -c 'x = bytearray(200 << 20)'", "--memory", "48M", code=137)
    equal((result["outcome"], result["limits_hit"], result["limits_enforced"]["memory"]["value"]), ("memory_limit", ["memory"], 48 << 20))
    lacks(" ".join(result["warnings"]), "whole sandbox")
    equal(other.communicate(timeout=60)[0], b"unharmed\n")
    equal(record(t, box, "echo fresh", "--memory", "48M", code=0)["limits_hit"], [], "fresh counters")


@test("memory: the sandbox's own limit kills one command, and the record says whose limit it was")
def _(t):
    enforceable(t, "--memory", "64M")
    box = start(t, "--memory", "96M")
    result = record(t, box, "exec python3 -c 'x = bytearray(300 << 20)'", code=137)
    equal(result["outcome"], "memory_limit")
    contains(" ".join(result["warnings"]), "whole sandbox")
    equal(record(t, box, "echo alive", code=0)["stdout"], "alive\n")


@test("memory: files that fill a kept sandbox do not kill its init; update makes room")
def _(t):
    enforceable(t, "--memory", "64M")
    box = start(t, "--memory", "64M")
    result = record(t, box, "head -c 200M /dev/zero >/tmp/fill")
    equal(result["outcome"], "memory_limit", result)
    for _ in range(5):
        record(t, box, "python3 -c 'x = bytearray(20 << 20)'")
    equal(t.hutch("update", "--memory", "512M", box).code, 0)
    equal(record(t, box, "echo alive", code=0)["stdout"], "alive\n")


# ---- processors ------------------------------------------------------------------------------------------------------


@test("cpus: a share of a processor is kept within 5 %, and what was held back is told")
def _(t):
    enforceable(t, "--cpus", "0.5")
    result = t.json(BURN, "--cpus", "0.5", "--timeout", "5s", "--grace", "10ms")
    equal((result["outcome"], result["limits_hit"]), ("timeout", ["cpus"]))
    share = (result["user_ms"] + result["system_ms"]) / result["wall_ms"]
    within(share, 0.40, 0.525 if SLOW == 1 else 0.6, "share")
    true(result["throttled_ms"] > 0, result)


@test("cpu-time: ended with cpu_limit, however many processes used it")
def _(t):
    enforceable(t, "--cpu-time", "1s")
    found = t.hutch("run", "--json", "--cpu-time", "600ms", "--", "sh", "-c", "(%s) & (%s) & wait" % (BURN, BURN))
    result = found.record
    equal((found.code, result["outcome"], result["limits_hit"], result["limits_enforced"]["cpu-time"]), (124, "cpu_limit", ["cpu-time"], {"value": 600, "by": "cgroup"}))
    within(result["user_ms"] + result["system_ms"], 590, 600 + 200 * SLOW, "CPU time")


@test("cpu-time: what sleeps uses none")
def _(t):
    enforceable(t, "--cpu-time", "1s")
    equal(t.json("sleep 1.2; echo done", "--cpu-time", "%ds" % SLOW)["outcome"], "exited")


@test("cpu-time: of one command in a kept sandbox, and of the sandbox as a whole")
def _(t):
    enforceable(t, "--cpu-time", "1s")
    box = start(t, "--cpu-time", "%ds" % (2 * SLOW))
    result = record(t, box, BURN, "--cpu-time", "300ms", code=124)
    equal((result["outcome"], result["limits_hit"]), ("cpu_limit", ["cpu-time"]))
    equal(record(t, box, "trap '' TERM; " + BURN, "--cpu-time", "300ms", "--grace", "100ms", code=124)["outcome"], "cpu_limit", "TERM ignored")
    equal(record(t, box, "echo alive", code=0)["stdout"], "alive\n")
    equal(record(t, box, BURN, code=124)["outcome"], "cpu_limit", "the sandbox's")
    wait_until(lambda: t.hutch("exec", box, "--", "true").code == 125, 5, "a sandbox without CPU time takes no command")


# ---- processes -------------------------------------------------------------------------------------------------------

FORKS = "import os, time\nn = 0\ntry:\n    while n < 100:\n        if os.fork() == 0:\n            time.sleep(60)\n            os._exit(0)\n        n += 1\nexcept OSError:\n    pass\nprint(n)\n"


@test("pids: exact, and a command that lives with it is exited")
def _(t):
    enforceable(t, "--memory", "64M")  # where there is that controller, there is pids
    result = t.hutch("run", "--json", "--pids", "20", "--", "python3", "-c", FORKS).record
    equal((result["outcome"], result["stdout"], result["limits_hit"]), ("exited", "19\n", ["pids"]))
    equal((result["limits_enforced"]["pids"], result["pids_peak"]), ({"value": 20, "by": "cgroup"}, 20))


@test("pids: of one command, and of the sandbox for all of them")
def _(t):
    enforceable(t, "--memory", "64M")
    box = start(t, "--pids", "40")
    result = t.hutch("exec", "--json", "--pids", "10", "--on-exit", "kill", box, "--", "python3", "-c", FORKS).record
    equal((result["stdout"], result["limits_hit"], result["limits_enforced"]["pids"]["value"]), ("9\n", ["pids"], 10))
    result = t.hutch("exec", "--json", "--on-exit", "kill", box, "--", "python3", "-c", FORKS).record
    equal((result["stdout"], result["limits_hit"]), ("39\n", ["pids"]))


# ---- disks -----------------------------------------------------------------------------------------------------------


@test("io-write: bytes per second")
def _(t):
    directory = t.path("out")
    os.mkdir(directory)
    os.chmod(directory, 0o777)
    enforceable(t, "--io-write", "1M", "--rw", directory)
    result = t.json("dd if=/dev/zero of=%s/file bs=64k count=64 oflag=direct 2>/dev/null" % directory, "--io-write", "1M", "--rw", directory)
    equal(result["exit_code"], 0, result)
    true(result["wall_ms"] > 2500, "4 MiB at 1 MiB/s took %s ms" % result["wall_ms"])
    within(result["io_write_bytes"], 4 << 20, 6 << 20, "io_write_bytes")


# ---- wrong input -----------------------------------------------------------------------------------------------------

WRONG = {
    "memory 0": ("--memory", "0"), "memory negative": ("--memory", "-1"), "memory suffix": ("--memory", "1X"), "memory tiny": ("--memory", "64K"),
    "memory huge": ("--memory", "99999999999999999999"), "cpus 0": ("--cpus", "0"), "cpus tiny": ("--cpus", "0.001"), "cpus unit": ("--cpus", "1s"),
    "pids 0": ("--pids", "0"), "pids word": ("--pids", "max"), "io 0": ("--io-read", "0"), "cpu-time 0": ("--cpu-time", "0"), "swap negative": ("--swap", "-5"),
}


@tests_of("refused", WRONG)
def _(t, option, value):
    found = t.sh("true", option, value)
    equal(found.code, 125, found)
    contains(found.errors, "hutch: ")
    lacks(found.errors, "cannot be enforced", "a wrong value is not the host's fault")


@test("a limit beyond the machine is no error")
def _(t):
    enforceable(t, "--memory", "64M")
    equal(t.sh("true", "--memory", "1000T", "--cpus", "500").code, 0)


@test("exec: --disk belongs to the sandbox")
def _(t):
    box = start(t)
    equal(t.hutch("exec", "--disk", "1M", box, "--", "true").code, 125)


# ---- leaves ----------------------------------------------------------------------------------------------------------


@test("each command has a cgroup of its own, of which the inside sees nothing; it goes with the command")
def _(t):
    box = start(t)
    group = cgroup(t, box)
    running = t.popen("exec", box, "--", "sleep", "60", stdout=subprocess.DEVNULL)
    wait_until(lambda: os.listdir(group + "/run") and any(name.isdigit() for name in os.listdir(group + "/run")), 5, "a leaf")
    leaf = [name for name in os.listdir(group + "/run") if name.isdigit()][0]
    wait_until(lambda: len(read_file("%s/run/%s/cgroup.procs" % (group, leaf)).split()) == 1, 5 * SLOW, "it is in its leaf")
    contains(record(t, box, "cat /proc/self/cgroup")["stdout"], "0::/\n")
    lacks(record(t, box, "cat /proc/self/mountinfo")["stdout"], "cgroup")
    running.terminate()
    running.wait()
    wait_until(lambda: not [name for name in os.listdir(group + "/run") if name.isdigit()], 5, "no leaf is left")
    equal(t.hutch("rm", "-f", box).code, 0)
    equal(cgroups(box), [])


@test("a command that is killed is dead with all it started, through its cgroup")
def _(t):
    box = start(t)
    group = cgroup(t, box)
    script = "trap '' TERM; setsid sh -c 'trap \"\" TERM; sleep 61 & sleep 62' & (setsid sleep 63 &) ; sleep 64 & kill -STOP $!; sleep 65; sleep 66"
    bystander = t.popen("exec", box, "--", "sleep", "60")
    wait_until(lambda: t.hutch("exec", box, "--", "pgrep", "-x", "sleep").code == 0, 5, "the bystander")
    result = record(t, box, script, "--timeout", "400ms", "--grace", "100ms", code=124)
    equal(result["outcome"], "timeout")
    equal(t.hutch("exec", box, "--", "pgrep", "-cx", "sleep").text, "1\n", "the bystander is left, and nothing else")
    bystander.terminate()
    bystander.wait()
    wait_until(lambda: len(os.listdir(group + "/run")) and not [n for n in os.listdir(group + "/run") if n.isdigit()] or t.hutch("exec", box, "--", "true").code, 5, "leaves are gone")


@test("commands that hit a limit leave no cgroup")
def _(t):
    enforceable(t, "--cpu-time", "1s")
    box = start(t)
    group = cgroup(t, box)
    for _ in range(15):
        equal(record(t, box, BURN, "--cpu-time", "10ms")["outcome"], "cpu_limit")
    t.hutch("exec", box, "--", "true")
    equal([name for name in os.listdir(group + "/run") if name.isdigit()], [])


@test("a cgroup that somebody else has removed is a clear error")
def _(t):
    needs_root("it removes a cgroup of hutch's")
    box = start(t)
    group = cgroup(t, box)
    os.rmdir(group + "/run")
    found = t.hutch("exec", box, "--", "true")
    equal(found.code, 125, found)
    equal(t.hutch("rm", "-f", box).code, 0)


@test("what an owner that was killed leaves is collected")
def _(t):
    enforceable(t, "--cpu-time", "5s")
    def mine():
        return {path for top in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup") for path, _, _ in os.walk(top)
                if re.fullmatch(r"hutch-[0-9a-f]{12}", os.path.basename(path))}
    before = mine()
    owner = t.popen("run", "--cpu-time", "50s", "--", "sleep", "60")
    wait_until(lambda: mine() - before, 5 * SLOW, "its cgroup")
    owner.kill()
    owner.wait()
    def collected():
        return t.hutch("gc").code == 0 and not mine() - before
    wait_until(collected, 5 * SLOW, "nothing is left")


# ---- accounting ------------------------------------------------------------------------------------------------------


@test("every command's record has its own CPU time, of all that it started")
def _(t):
    box = start(t)
    cgroup(t, box)
    busy = record(t, box, "for i in 1 2; do (i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done) & done; wait", code=0)
    idle = record(t, box, "sleep 0.2", code=0)
    true(busy["user_ms"] > 3 * idle["user_ms"] + 1, "%s and %s" % (busy["user_ms"], idle["user_ms"]))
    if ALL:
        true(busy["pids_peak"] >= 3 and busy["memory_peak_bytes"] > 100000, busy)


@test("stats: the sandbox and its commands, with pressure")
def _(t):
    box = start(t)
    cgroup(t, box)
    running = t.popen("exec", box, "--", "sh", "-c", BURN)
    wait_until(lambda: (t.hutch("stats", "--json", box).record["total"]["user_ms"] or 0) > 50, 10 * SLOW, "CPU time")
    document = t.hutch("stats", "--json", box).record
    equal((document["sandbox"], len(document["commands"])), (box, 1))
    true(document["commands"][0]["user_ms"] > 50, document)
    equal(set(document["total"]["pressure"]), {"cpu", "memory", "io"})
    contains(t.hutch("stats", box).text, box)
    contains(t.hutch("stats").text, box)
    running.terminate()
    running.wait()


# ---- pause, resume, update -------------------------------------------------------------------------------------------


def counter(t, box):
    return int(t.hutch("logs", box).text.split()[-1])


@test("pause and resume: nothing runs meanwhile, no command is taken, and timeouts wait")
def _(t):
    box = start(t, "--", "sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done")
    timed = t.popen("exec", "--timeout", "%dms" % (1500 * SLOW), "--json", box, "--", "sleep", "60", stdout=subprocess.PIPE)
    time.sleep(0.4 * SLOW)
    equal(t.hutch("pause", box).code, 0)
    equal(t.hutch("ls", "--json").record["sandboxes"][0]["state"], "paused")
    before = counter(t, box)
    time.sleep(1.5 * SLOW)
    equal(counter(t, box), before, "it stands still")
    found = t.hutch("exec", box, "--", "true")
    equal(found.code, 125)
    contains(found.errors, "paused")
    equal(timed.poll(), None, "the timeout does not run")
    equal(t.hutch("resume", box).code, 0)
    wait_until(lambda: counter(t, box) > before, 5 * SLOW, "it goes on")
    result = json.loads(timed.communicate(timeout=60)[0])
    equal(result["outcome"], "timeout")
    true(result["wall_ms"] > 2800 * SLOW, "it had its time: %s" % result["wall_ms"])


@test("pause: the lifetime runs on")
def _(t):
    box = start(t, "--lifetime", "%ds" % (1 * SLOW), "--", "sleep", "60")
    equal(t.hutch("pause", box).code, 0)
    wait_until(lambda: t.hutch("inspect", "--json", box).record["state"] == "terminated", 8 * SLOW, "terminated")


@test("pause: stop and rm work; a killed supervisor takes a paused sandbox with it")
def _(t):
    box = start(t, "--", "sleep", "60")
    equal(t.hutch("pause", box).code, 0)
    equal(t.hutch("stop", "--grace", "500ms", box).code, 0)
    box = start(t, "--", "sh", "-c", "exec sleep 61.%s" % os.getpid())
    equal(t.hutch("pause", box).code, 0)
    os.kill(t.hutch("inspect", "--json", box).record["supervisor"], signal.SIGKILL)
    wait_until(lambda: not [pid for pid in pids() if ("61.%s" % os.getpid()).encode() in read_file("/proc/%s/cmdline" % pid)], 5 * SLOW, "it is dead")


@test("update: limits of a sandbox that runs")
def _(t):
    enforceable(t, "--memory", "64M")
    box = start(t, "--memory", "64M")
    equal(record(t, box, "exec python3 -c 'x = bytearray(100 << 20)'")["outcome"], "memory_limit")
    equal(t.hutch("update", "--memory", "300M", "--pids", "30", box).code, 0)
    result = record(t, box, "exec python3 -c 'x = bytearray(100 << 20)'", code=0)
    equal(result["limits_enforced"]["memory"]["value"], 300 << 20)
    result = t.hutch("exec", "--json", "--on-exit", "kill", box, "--", "python3", "-c", FORKS).record
    equal((result["stdout"], result["limits_hit"]), ("29\n", ["pids"]))


@test("update: refuses what cannot be")
def _(t):
    box = start(t)
    for words, part in ((("update", box), "what is to be changed"), (("update", "--memory", "1K", box), "memory"), (("update", "--cpus", "0", box), "cpus")):
        found = t.hutch(*words)
        equal(found.code, 125, words)
        contains(found.errors, part, words)
    equal(t.hutch("update", "--lifetime", "1h", "--idle-timeout", "1h", box).code, 0)
    equal(t.hutch("stop", box).code, 0)
    equal(t.hutch("update", "--lifetime", "1h", box).code, 125)


sys.exit(main())
