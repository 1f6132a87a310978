# SPDX-License-Identifier: Apache-2.0
"""Many of everything, and everything at the wrong moment: kept sandboxes in numbers, commands that do not want to end,
clients that mean harm, kills at random. What counts is that all is as it was afterwards.

HUTCH_STRESS=full makes the numbers as large as they are meant (an hour); else they fit into a test run. HUTCH_STRESS_SEED
repeats the moments of an earlier run, which prints its seed.
"""
import concurrent.futures
import os
import random
import resource
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "scenario"))

import tap
from tap import *

FULL = os.environ.get("HUTCH_STRESS") == "full"
SEED = int(os.environ.get("HUTCH_STRESS_SEED") or int.from_bytes(os.urandom(4), "little"))
AT_ONCE = 8  # clients of ours at a time
tap.TEST_SECONDS = 3600 if FULL else 120

# struct message of plan/message.h, and what a client says first (wire/wire.h)
MESSAGE = struct.Struct("<IIiiIIQQQ80s")
HELLO, DETACHED, PROCESS, RESULT, STATS, WELCOME = 64, 66, 67, 68, 76, 96


def number(small, full):
    return full if FULL else small


def say(text):
    print("# " + text)
    sys.stdout.flush()


def until(condition, seconds, what):
    """wait_until, with a text that is made when it has failed."""
    try:
        wait_until(condition, seconds, "")
    except Failure:
        fail("not within %s s: %s" % (seconds, what()))


def message(kind, id=0, item=0, value=0):
    return MESSAGE.pack(kind, id, 0, 0, 0, item, value, 0, 0, b"")


# ---- hutch -----------------------------------------------------------------------------------------------------------


def call(*words, codes=(0,), timeout=120):
    """hutch WORDS; for threads, which t.hutch is not."""
    done = subprocess.run([HUTCH, *words], stdin=subprocess.DEVNULL, capture_output=True, env=environment(), cwd=base(), timeout=timeout, check=False)
    if codes and done.returncode not in codes:
        fail("hutch %s: exit code %d: %s" % (short(words), done.returncode, short(done.stderr)))
    return done


def start(t, *words):
    box = call("start", *words).stdout.decode().strip()
    t.undo.append(lambda: call("rm", "-f", box, codes=None))
    return box


def inspect(box):
    return json.loads(call("inspect", "--json", box).stdout)


def supervisor(box):
    return inspect(box)["supervisor"]


def in_parallel(function, items):
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(function, items))


# ---- what there is ---------------------------------------------------------------------------------------------------


def children(pid):
    found = []
    for task in glob.glob("/proc/%d/task/*/children" % pid):
        found += [int(word) for word in read_file(task).split()]
    return found


def descendants(pid):
    found, new = [], children(pid)
    while new:
        found += new
        new = [below for one in new for below in children(one)]
    return found


def inside(box):
    """The processes of a sandbox without its init, zombies as well."""
    return [pid for init in children(supervisor(box)) for pid in descendants(init)]


def reap():
    """Orphans that have ended and were left to us, which no thread of ours waits for."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def run_directory():
    runtime = environment().get("XDG_RUNTIME_DIR")
    places = ["/run/hutch"] if ROOT else [runtime + "/hutch"] if runtime else ["/run/user/%d/hutch" % os.geteuid(), base() + "/home/.local/state/hutch/run"]
    return next((place for place in places if os.path.isdir(place)), places[-1])


def traces(boxes):
    """Cgroups, and files in hutch's directories, that have the id of one of `boxes` in their name."""
    found = []
    boxes = set(boxes)
    for place in ["/sys/fs/cgroup", run_directory(), "/var/lib/hutch" if ROOT else base() + "/home/.local/state/hutch"]:
        for parent, directories, files in os.walk(place):
            found += [os.path.join(parent, name) for name in directories + files if boxes & set(re.findall("[0-9a-f]{12}", name))]
    return found


def mounts():
    return read_file("/proc/self/mountinfo").count(b"\n")


def census():
    reap()
    return {"processes": sorted(descendants(os.getpid())), "mounts": mounts(), "descriptors": len(os.listdir("/proc/self/fd"))}


def same_as(before, boxes=(), seconds=10):
    until(lambda: census() == before, seconds, lambda: "all is as it was: %s, but %s" % (short(before), short(census())))
    equal(traces(boxes), [], "cgroups and files that are left")


# ---- many at once, one after the other ---------------------------------------------------------------------------------


@test("many sandboxes at once, each of which answers")
def _(t):
    count = number(60, 500)
    before, began = census(), time.monotonic()
    boxes = []
    t.undo.append(lambda: boxes and call("rm", "-f", *boxes, codes=None))
    boxes += in_parallel(lambda index: call("start").stdout.decode().strip(), range(count))
    started = time.monotonic()
    equal(len(set(boxes)), count)
    answers = in_parallel(lambda box: call("exec", box, "--", "sh", "-c", "echo " + box).stdout.decode().strip(), boxes)
    equal(answers, boxes)
    answered = time.monotonic()
    listed = {entry["sandbox"]: entry["state"] for entry in json.loads(call("ls", "--json").stdout)["sandboxes"]}
    equal([box for box in boxes if listed.get(box) != "running"], [], "not listed as running")
    call("rm", "-f", *boxes, timeout=600)
    same_as(before, boxes)
    say("%d sandboxes: started in %.1f s, asked in %.1f s, removed in %.1f s" % (count, started - began, answered - started, time.monotonic() - answered))
    boxes.clear()


@test("start, exec, stop, rm, again and again")
def _(t):
    count = number(100, 10000)
    before, began = census(), time.monotonic()

    def cycle(index):
        box = call("start").stdout.decode().strip()
        equal(call("exec", box, "--", "sh", "-c", "sleep 1000 >/dev/null 2>&1 & exit 3", codes=(3,)).returncode, 3)
        call("stop", "--grace", "0.001", box)
        call("rm", box)
        return box

    boxes = in_parallel(cycle, range(count))
    same_as(before, boxes)
    say("%d cycles in %.1f s" % (count, time.monotonic() - began))


@test("a stop leaves nothing of many processes")
def _(t):
    count = number(200, 1000)
    before = census()
    box = start(t, "--pids", str(count + 100))
    call("exec", box, "--", "sh", "-c", "i=0; while [ $i -lt %d ]; do setsid sleep 1000 & i=$((i + 1)); done >/dev/null 2>&1 </dev/null" % count)
    init, = children(supervisor(box))
    wait_until(lambda: len(inside(box)) >= count, 20, "%d processes" % count)
    pids = inside(box)
    began = time.monotonic()
    call("stop", "--grace", "0.001", box)
    taken = time.monotonic() - began
    equal([pid for pid in pids if pid in descendants(init)], [], "processes that are left, zombies as well")
    call("rm", box)
    same_as(before, [box])
    say("stop with %d processes: %.0f ms" % (len(pids), taken * 1000))


# ---- timeouts --------------------------------------------------------------------------------------------------------

STUBBORN = {
    "ignores TERM": "trap '' TERM; while :; do sleep 1000; done",
    "a session of its own, and a double fork": "setsid sh -c '(trap \"\" TERM; sleep 1000) & sleep 1000' & (setsid sleep 1000 &) ; sleep 1000",
    "stopped": "(kill -STOP $(exec sh -c 'echo $PPID'); sleep 1000) & sleep 1000 & kill -STOP $!; kill -STOP $$",
}


@test("timeouts that fire leave nothing, not even zombies")
def _(t):
    count = number(40, 1000)
    began = time.monotonic()
    box = start(t)
    kinds = sorted(STUBBORN)

    def one(index):
        done = call("exec", "--json", "--timeout", "0.2", "--grace", "0.1", box, "--", "sh", "-c", STUBBORN[kinds[index % len(kinds)]], codes=None)
        record = json.loads(done.stdout)
        return (kinds[index % len(kinds)], record.get("outcome"), record.get("wall_ms"))

    found = in_parallel(one, range(count))
    equal([entry for entry in found if entry[1] != "timeout"], [], "commands that have not ended by their timeout")
    until(lambda: not inside(box), 5, lambda: "no process and no zombie is left, but %s" % [read_file("/proc/%d/stat" % pid) for pid in inside(box)])
    equal(call("exec", box, "echo", "x").stdout, b"x\n")
    say("%d timeouts in %.1f s, the latest command ended after %.0f ms" % (count, time.monotonic() - began, max(entry[2] for entry in found)))


# ---- hostile clients -------------------------------------------------------------------------------------------------


class Hostile:
    """A sandbox, a client of it that is served all the time, and what its supervisor uses."""

    def __init__(self, t):
        self.box = start(t)
        self.path = os.path.join(run_directory(), self.box, "ctl")
        self.pid = supervisor(self.box)
        self.served = t.popen("exec", self.box, "cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.check_served()
        for _ in range(20):  # what the first uses allocate is no leak
            call("exec", self.box, "true")
        self.fds, self.memory = self.count_fds(), self.resident()

    def connect(self, timeout=0.0):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        client.settimeout(timeout or None)
        directory = os.open(os.path.dirname(self.path), os.O_PATH | os.O_DIRECTORY)  # the path may be too long for an address
        try:
            client.connect("/proc/self/fd/%d/ctl" % directory)
        except OSError:
            client.close()
            raise
        finally:
            os.close(directory)
        return client

    def greeted(self):
        client = self.connect(5)
        client.send(message(HELLO, item=1, value=1))
        data, fds, _, _ = socket.recv_fds(client, 4096, 8)
        for fd in fds:
            os.close(fd)
        equal(MESSAGE.unpack(data)[0], WELCOME, "the greeting's answer")
        return client

    def count_fds(self):
        """As a user, the descriptors of a process that cannot be dumped are not shown to us, but their limit is."""
        try:
            return len(os.listdir("/proc/%d/fd" % self.pid))
        except PermissionError:
            return 0

    def resident(self):
        return int(process_field(self.pid, "VmRSS").split()[0])

    def check_served(self):
        word = os.urandom(8).hex().encode() + b"\n"
        self.served.stdin.write(word)
        self.served.stdin.flush()
        equal(self.served.stdout.readline(), word, "the answer to a client that was there before")

    def check_back(self, what):
        self.check_served()
        until(lambda: self.count_fds() <= self.fds, 15, lambda: "%s: its descriptors are back to %d, but %d" % (what, self.fds, self.count_fds()))
        wait_until(lambda: call("exec", self.box, "echo", "x", codes=None).stdout == b"x\n", 15, "%s: a new client is served" % what)
        grown = self.resident() - self.memory
        true(grown <= 1024, "%s: its memory has grown by %d KiB" % (what, grown))
        say("%s: %d descriptors (%d before), memory %+d KiB" % (what, self.count_fds(), self.fds, grown))


@test("a client that never reads")
def _(t):
    hostile = Hostile(t)
    sent = 0
    for _ in range(number(5, 50)):
        client = hostile.greeted()
        client.settimeout(0.2)
        try:
            for index in range(5000):
                client.send(message((PROCESS, RESULT, STATS)[index % 3], id=7, item=index + 2))
                sent += 1
        except OSError:
            pass  # dropped, or not read any more
        hostile.check_served()
        client.close()
    say("%d requests without reading an answer" % sent)
    hostile.check_back("never reads")


# All but what ends, pauses or changes a sandbox when it is well-formed: the peer is its owner.
NEAR = (*range(0, 16), *range(60, 71), *range(76, 105), 0xffffffff)


@test("clients that send garbage")
def _(t):
    hostile = Hostile(t)
    dice = random.Random(SEED)
    dropped = 0
    for index in range(number(300, 5000)):
        client = hostile.greeted() if index % 2 else hostile.connect(5)
        size = dice.choice((1, 3, 127, 128, 128, 128, 129, 4096, 60000))
        data = bytearray(dice.randbytes(size))
        if size == MESSAGE.size:  # types that are near to real ones
            data[:4] = struct.pack("<I", dice.choice(NEAR))
        try:
            client.send(data)
            client.settimeout(0.01 if size == MESSAGE.size else 5)
            if client.recv(4096) == b"":
                dropped += 1
        except OSError as error:
            true(size == MESSAGE.size or not isinstance(error, TimeoutError), "%d bytes end the connection" % size)
        client.close()
        if index % 50 == 0:
            hostile.check_served()
    true(dropped > 0, "none was dropped")
    hostile.check_back("garbage (seed %d), %d dropped" % (SEED, dropped))


@test("253 descriptors in each message")
def _(t):
    hostile = Hostile(t)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    count = number(200, 1000)
    for index in range(count):
        client = hostile.greeted() if index % 2 else hostile.connect(5)
        try:
            for kind in (DETACHED, STATS, HELLO, 200, 3):
                socket.send_fds(client, [message(kind, id=1, item=2, value=1)], [null] * 253)
        except OSError:
            pass
        client.close()
    os.close(null)
    hostile.check_back("%d clients with 253 descriptors a message" % count)


@test("more connections than are taken")
def _(t):
    hostile = Hostile(t)
    count = number(400, 2000)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    at_once = min(400, most - 100)
    opened = 0
    while opened < count:
        held = []
        try:
            while len(held) < at_once and opened < count:
                held.append(hostile.connect(2))
                opened += 1
        except OSError:
            opened += 1  # the backlog is full: that is an answer, too
        hostile.check_served()
        for client in held:
            client.close()
    hostile.check_back("%d connections, up to %d at once" % (count, at_once))


# ---- kills at any moment ---------------------------------------------------------------------------------------------

VICTIMS = ("client", "supervisor", "init", "starter")


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def processes_with(token):
    return [pid for pid in pids() if token.encode() in read_file("/proc/%d/cmdline" % pid) and pid != os.getpid()]


@test("kill -9 of client, supervisor and init at random moments")
def _(t):
    before = census()
    count = number(30, 300)
    dice = random.Random(SEED)
    boxes, struck, began = [], {victim: 0 for victim in VICTIMS}, time.monotonic()
    t.undo.append(lambda: boxes and call("rm", "-f", *boxes, codes=None))
    for index in range(count):
        token = "%s-%d" % (t.token, index)
        victim = VICTIMS[index % len(VICTIMS)]
        script = "setsid sh -c '(sleep 1000; : %s) & sleep 1000; : %s' & sleep 1000; : %s" % (token, token, token)
        if victim == "starter":
            starter = t.popen("start", "--label", "token=" + token, "sh", "-c", script, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            time.sleep(dice.uniform(0, 0.06))
            kill(starter.pid)
            word = starter.stdout.read().decode().strip()
            starter.stdout.close()
            starter.wait()
            known = {entry["sandbox"] for entry in json.loads(call("ls", "--all", "--json", "--label", "token=" + token).stdout)["sandboxes"]}
            for box in known | ({word} if word else set()):
                boxes.append(box)
                call("rm", "-f", box, codes=None)
        else:
            box = call("start").stdout.decode().strip()
            boxes.append(box)
            pid = supervisor(box)
            init, = children(pid)
            client = t.popen("exec", box, "--", "sh", "-c", script, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(dice.uniform(0, 0.06))
            kill({"client": client.pid, "supervisor": pid, "init": init}[victim])
            client.wait(timeout=20)
            if victim == "client":
                wait_until(lambda: not inside(box), 10, "nothing of the client's command is left (round %d, seed %d)" % (index, SEED))
                equal(call("exec", box, "echo", "x").stdout, b"x\n", "the sandbox goes on")
                call("rm", "-f", box)
        struck[victim] += 1
        until(lambda: not processes_with(token), 10,
              lambda: "round %d (%s, seed %d): all of it is gone, but %s" % (index, victim, SEED, processes_with(token)))
        call("ls", "--all", "--json")
    running = [entry["sandbox"] for entry in json.loads(call("ls", "--json").stdout)["sandboxes"] if entry["sandbox"] in boxes]
    equal(running, [], "listed as running (seed %d)" % SEED)
    # A killed init leaves the record of a sandbox that has failed, which stays until it is removed; the rest is for gc.
    left = [entry["sandbox"] for entry in json.loads(call("ls", "--all", "--json").stdout)["sandboxes"] if entry["sandbox"] in boxes]
    call("gc")
    for box in left:
        call("rm", "-f", box, codes=None)
    call("gc")
    same_as(before, boxes)
    say("%s, in %.1f s (seed %d)" % (", ".join("%d of %s" % (struck[victim], victim) for victim in VICTIMS), time.monotonic() - began, SEED))


# ---- a clock that was set back -----------------------------------------------------------------------------------------

FUTURE_MS = 36 * 3600 * 1000


def move_times(path, low_ms, high_ms):
    """Every number in the file that is a time between the two, in ms, is moved into the future; how many were."""
    data = bytearray(read_file(path))
    moved = at = 0
    while at + 8 <= len(data):
        value = int.from_bytes(data[at:at + 8], "little")
        if low_ms <= value <= high_ms:
            data[at:at + 8] = (value + FUTURE_MS).to_bytes(8, "little")
            moved += 1
            at += 8
        else:
            at += 1
    if data[:8] == b"kuthpack":  # the record's header has the sum of the rest (wire/codec.c)
        total = 0xcbf29ce484222325
        for byte in data[32:]:
            total = (total ^ byte) * 0x100000001b3 & 0xffffffffffffffff
        data[24:32] = total.to_bytes(8, "little")
    with open(path, "r+b") as file:
        file.write(data)
    later = time.time() + FUTURE_MS / 1000
    os.utime(path, (later, later))
    return moved


@test("records and logs from the future")
def _(t):
    low = int(time.time() * 1000) - 1000
    box = start(t, "sh", "-c", "echo one; echo two >&2; sleep 0.05; echo three")
    call("wait", box)
    high = int(time.time() * 1000) + 1000
    logs = [path for path in glob.glob(("/var/lib/hutch" if ROOT else base() + "/home/.local/state/hutch") + "/logs/%s/*" % box) if os.path.isfile(path)]
    true(sum(move_times(path, low, high) for path in logs) >= 2, "the log has times: %s" % logs)
    true(move_times(os.path.join(run_directory(), box, "status"), low, high) >= 1, "the record has a time")
    entry, = [entry for entry in json.loads(call("ls", "--all", "--json").stdout)["sandboxes"] if entry["sandbox"] == box]
    created = time.strftime("%Y-%m-%d", time.gmtime((low + FUTURE_MS) / 1000))
    equal((entry["state"], entry["created"][:10]), ("completed", created))
    contains(call("ls", "--all").stdout.decode(), "0s", "an age is never negative")
    contains(call("inspect", box).stdout.decode(), "(0s ago)")
    equal(call("logs", box).stdout, b"one\nthree\n")
    equal(call("logs", "--since", "1h", box).stdout, b"one\nthree\n")
    equal(call("logs", "--since", "%sT00:00:00Z" % time.strftime("%Y-%m-%d", time.gmtime(low / 1000 + 10 * 86400)), box).stdout, b"")
    call("gc")
    equal(inspect(box)["state"], "completed", "gc leaves it alone")
    call("rm", box)
    equal(traces([box]), [])


sys.exit(main())
