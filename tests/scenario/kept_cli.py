# SPDX-License-Identifier: Apache-2.0
"""Sandboxes that stay, from the command line: start, exec, wait, ls, inspect, logs, diff, cp, kill, stop, rm, gc."""

import base64
import threading

from tap import *

ID = re.compile(r"[0-9a-f]{12}")
RECORD_KEYS = {"sandbox", "id", "command", "outcome", "exit_code", "signal", "returncode", "started", "error", "stdout", "stdout_base64",
               "stderr", "stderr_base64", "stdout_bytes", "stderr_bytes", "stdout_truncated", "stderr_truncated", "wall_ms", "user_ms",
               "system_ms", "memory_peak_bytes", "pids_peak", "io_read_bytes", "io_write_bytes", "throttled_ms", "oom_kills", "limits_enforced", "limits_hit", "warnings"}
ERROR_KEYS = {"code", "stage", "errno", "errno_name", "message", "hint"}
INFO_KEYS = {"uid", "rootfs", "workspace", "mounts", "net", "seccomp", "cgroup", "controllers", "limits_enforced", "warnings", "commands",
             "lifetime_left_ms", "idle_left_ms"}
LISTING_KEYS = {"sandbox", "name", "state", "created", "supervisor", "command", "labels"}


def remove(t, box):
    t.hutch("rm", "-f", box)


def start(t, *words, **more):
    """hutch start WORDS; its id. It is removed when the test ends."""
    outcome = t.hutch("start", *words, **more)
    equal(outcome.code, 0, "hutch start %s (%r)" % (words, outcome))
    true(ID.fullmatch(outcome.text[:-1]) and outcome.text.endswith("\n"), "the id alone is printed, not %r" % outcome.out)
    box = outcome.text.strip()
    t.undo.append(lambda: remove(t, box))
    return box


def good(t, *words, **more):
    outcome = t.hutch(*words, **more)
    equal(outcome.code, 0, "hutch %s (%r)" % (short(words), outcome))
    return outcome


def sh(t, box, script, *options, **more):
    """hutch exec OPTIONS BOX -- sh -c SCRIPT"""
    return t.hutch("exec", *options, box, "--", "sh", "-c", script, **more)


def refused(t, words, *parts, code=125, **more):
    outcome = t.hutch(*words, **more)
    equal(outcome.code, code, "hutch %s (%r)" % (short(words), outcome))
    if "--json" in words:
        document = outcome.record
        equal(set(document), {"error"}, words)
        equal(set(document["error"]), ERROR_KEYS, words)
    else:
        equal(outcome.out, b"", words)
    true(outcome.errors.startswith("hutch: "), "%s: stderr is %r" % (words, outcome.errors))
    for part in parts:
        contains(outcome.errors, part, words)
    lacks(outcome.errors.replace("\n", ""), "\x1b", words)
    return outcome


def listing(t, *options):
    document = good(t, "ls", "--json", *options).record
    equal(set(document), {"sandboxes"})
    for entry in document["sandboxes"]:
        equal(set(entry), LISTING_KEYS)
    return {entry["sandbox"]: entry for entry in document["sandboxes"]}


def state(t, box):
    return good(t, "inspect", "--json", box).record["state"]


def await_state(t, box, wanted, seconds=5):
    wait_until(lambda: state(t, box) == wanted, seconds, "state %s" % wanted)


# ---- a life ----------------------------------------------------------------------------------------------------------


@test("the life of a sandbox without a main command")
def _(t):
    box = start(t)
    entry = listing(t)[box]
    equal((entry["state"], entry["name"], entry["command"], entry["labels"]), ("running", None, None, {}))
    true(process_field(entry["supervisor"], "Uid"), "its supervisor runs")
    for number in range(3):
        equal(sh(t, box, "echo %d; exit %d" % (number, number)).code, number)
    good(t, "stop", box)
    true(box not in listing(t), "it is not listed any more")
    equal(listing(t, "--all")[box]["state"], "terminated")
    outcome = good(t, "wait", box)
    equal((outcome.out, outcome.err), (b"", b""))
    refused(t, ("exec", box, "true"))
    good(t, "rm", box)
    true(box not in listing(t, "--all"), "it is gone")
    refused(t, ("inspect", box), box)
    refused(t, ("exec", box, "true"), box)


@test("the life of a sandbox with a main command")
def _(t):
    box = start(t, "sh", "-c", "echo out; echo err >&2; sleep 0.3; exit 3")
    equal(t.hutch("wait", box).code, 3)
    document = good(t, "inspect", "--json", box).record
    equal(set(document), LISTING_KEYS | INFO_KEYS | {"result"})
    equal((document["state"], document["command"][0]), ("completed", "sh"))
    record = document["result"]
    equal(set(record), RECORD_KEYS)
    equal((record["outcome"], record["exit_code"], record["returncode"], record["sandbox"]), ("exited", 3, 3, box))
    outcome = t.hutch("wait", "--json", box)
    equal((outcome.code, set(outcome.record), outcome.record["exit_code"]), (3, RECORD_KEYS, 3))
    logs = good(t, "logs", box)
    equal((logs.out, logs.err), (b"out\n", b"err\n"))
    text = good(t, "inspect", box).text
    for part in (box, "completed", "exited, code 3", "sh -c"):
        contains(text, part)
    refused(t, ("exec", box, "true"))


@test("a sandbox outlives its hutch, and nothing holds hutch's streams")
def _(t):
    began = time.monotonic()
    box = start(t, "sleep", "1000")
    within(time.monotonic() - began, 0, 3, "seconds that start took, with its output read to the end")
    contains(sh(t, box, "ps -A -o args= || cat /proc/[0-9]*/cmdline").text, "sleep")
    equal(state(t, box), "running")


@test("what cannot be started leaves nothing behind")
def _(t):
    name = "s%d" % os.getpid()
    t.write("plain", "text")
    for word, code in (("/no/such/program", 127), ("no-such-program", 127), ("/usr", 126), ("./plain", 126)):
        before = set(listing(t, "--all"))
        outcome = refused(t, ("start", "--name", name, word), code=code)
        contains(outcome.errors, word)
        refused(t, ("start", "--json", "--name", name, word), code=code)
        equal(set(listing(t, "--all")) - before, set(), "sandboxes left by %s" % word)
    refused(t, ("start", "--cwd", "/no/such/directory", "true"), "/no/such/directory")
    refused(t, ("start", "--ro", "/no/such/file", "true"), "/no/such/file")
    refused(t, ("start", "-t"), "--tty")
    box = start(t, "--name", name)
    equal(listing(t)[box]["name"], name)


@test("states: completed, terminated by stop, by kill, by a timeout, by its lifetime")
def _(t):
    boxes = {
        "completed": start(t, "true"),
        "terminated by a timeout": start(t, "--timeout", "0.2", "--", "sleep", "100"),
        "terminated by its lifetime": start(t, "--lifetime", "0.2", "--", "sleep", "100"),
        "terminated by its lifetime, no command": start(t, "--lifetime", "0.2"),
        "terminated by being idle": start(t, "--idle-timeout", "0.2"),
    }
    for what, box in boxes.items():
        wait_until(lambda: state(t, box) == what.split()[0], 5, "%s, but it is %s" % (what, state(t, box)))
    equal(t.hutch("wait", boxes["terminated by a timeout"]).code, 124)
    stopped, killed = start(t, "sleep", "100"), start(t, "sleep", "100")
    good(t, "stop", stopped)
    good(t, "kill", killed)
    equal((state(t, stopped), state(t, killed)), ("terminated", "terminated"))
    equal(t.hutch("wait", killed).code, 128 + 9)


# ---- exec ------------------------------------------------------------------------------------------------------------


@test("exec: streams and exit codes")
def _(t):
    box = start(t)
    outcome = sh(t, box, "cat; echo err >&2; exit 7", input=b"in\0put\xff")
    equal((outcome.code, outcome.out, outcome.err), (7, b"in\0put\xff", b"err\n"))
    equal(sh(t, box, "kill -TERM $$").code, 128 + 15)
    for word, code in (("/no/such/program", 127), ("/usr", 126)):
        contains(refused(t, ("exec", box, word), code=code).errors, word)
    refused(t, ("exec", "--cwd", "/no/such/directory", box, "true"), "/no/such/directory")
    equal(good(t, "exec", "--cwd", "/tmp", "-e", "A=b c", box, "--", "sh", "-c", 'pwd; echo "$A"').text, "/tmp\nb c\n")
    equal(good(t, "exec", box, "echo", "-x", "--json").text, "-x --json\n")
    equal(good(t, "exec", "--", box, "echo", "x").text, "x\n")
    t.write("input", "from a file")
    equal(good(t, "exec", "--stdin", "input", box, "cat").text, "from a file")


@test("exec: what one writes the next one reads, and the host does not see it")
def _(t):
    t.write("there", "host")
    box = start(t)
    good(t, "exec", box, "--", "sh", "-c", "echo changed >there; echo new >new; echo x >/tmp/x; mkdir -p ~/d")
    equal(good(t, "exec", box, "cat", "there", "new", "/tmp/x").text, "changed\nnew\nx\n")
    equal((read_file(t.path("there")), os.path.exists(t.path("new"))), (b"host", False))


@test("exec: 5 MiB through both directions, and a command that reads nothing")
def _(t):
    box = start(t)
    data = os.urandom(5 << 20)
    outcome = good(t, "exec", box, "cat", input=data)
    true(outcome.out == data, "the same bytes come back")
    equal(t.hutch("exec", box, "true", input=data).code, 0)


@test("exec: --json, --result, --check, --timeout")
def _(t):
    box = start(t)
    outcome = sh(t, box, "echo out; echo err >&2; exit 3", "--json")
    record = outcome.record
    equal((outcome.code, set(record)), (3, RECORD_KEYS))
    equal((record["sandbox"], record["stdout"], record["stderr"], record["exit_code"]), (box, "out\n", "err\n", 3))
    outcome = sh(t, box, "echo out; exit 4", "--result", t.aside("r"), "--check")
    equal((outcome.code, outcome.text), (4, "out\n"))
    contains(outcome.errors, "failed")
    equal(one_document(read_file(t.aside("r")))["exit_code"], 4)
    outcome = sh(t, box, "echo before; sleep 100", "--json", "--timeout", "0.3")
    equal((outcome.code, outcome.record["outcome"], outcome.record["stdout"]), (124, "timeout", "before\n"))
    within(outcome.seconds, 0.3, 3, "seconds")
    equal(sh(t, box, "trap '' TERM; sleep 100 & wait; sleep 100", "--timeout", "0.2", "--grace", "0.2").code, 124)
    equal(state(t, box), "running")
    record = t.hutch("exec", "--json", box, "no-such-program").record
    equal((record["outcome"], record["returncode"], record["error"]["code"]), ("not_started", 127, "not_found"))


@test("exec: background children stay, or go with --on-exit kill")
def _(t):
    box = start(t)
    token = t.token + "-stays"
    outcome = sh(t, box, "sh -c 'sleep 100; : %s' >/dev/null 2>&1 </dev/null & exit 5" % token)
    equal(outcome.code, 5)
    within(outcome.seconds, 0, 2, "seconds")
    time.sleep(0.2)
    true(holders(token), "it goes on")
    killed = t.token + "-goes"
    equal(sh(t, box, "sh -c 'sleep 100; : %s' >/dev/null 2>&1 </dev/null & exit 6" % killed, "--on-exit", "kill").code, 6)
    gone(killed)
    true(holders(token), "the other one still goes on")
    good(t, "stop", box)
    gone(token)


@test("exec: many at the same time, each with its own result")
def _(t):
    box = start(t)
    clients = [t.popen("exec", box, "--", "sh", "-c", "sleep 0.%d; exit %d" % (9 - number % 10, number), stdin=subprocess.DEVNULL)
               for number in range(20)]
    equal([terminate(client, 20) for client in clients], list(range(20)))


@test("exec: the end of the client is the end of its command, and of nothing else")
def _(t):
    box = start(t, "sleep", "1000")
    token, other = t.token + "-killed", t.token + "-other"
    client = t.popen("exec", box, "--", "sh", "-c", "setsid sh -c 'sleep 1000; : %s' & sleep 1000; : %s" % (token, token))
    detached = good(t, "exec", "-d", box, "--", "sh", "-c", "sleep 1000; : %s" % other).text.strip()
    wait_until(lambda: len(holders(token)) >= 2 and holders(other), 5, "all have started")
    client.kill()
    gone(token, 5)
    true(holders(other), "the detached command goes on")
    equal(state(t, box), "running")
    good(t, "kill", "--exec", detached, box)
    gone(other)


@test("exec: signals are sent on")
def _(t):
    box = start(t)
    for name in ("SIGINT", "SIGTERM"):
        client = t.popen("exec", box, "--", "sh", "-c", "trap 'exit 33' %s; echo ready; while :; do sleep 0.05; done" % name[3:],
                         stdout=subprocess.PIPE)
        equal(client.stdout.readline(), b"ready\n")
        client.send_signal(getattr(signal, name))
        equal(terminate(client), 33, name)


@test("exec -u: any user of a range but init's, else only the sandbox's")
def _(t):
    who = ("sh", "-c", "echo $(id -u) $(id -g) $(id -G) $USER; grep CapEff /proc/self/status")
    if os.geteuid() == 0:
        box, root = start(t), start(t, "--as-root")
        for number in ("77", "65533", "sandbox"):
            uid = number.replace("sandbox", "1000")
            outcome = good(t, "exec", "-u", number, box, "--", *who)
            equal(outcome.text.split(), [uid, uid, uid, "sandbox", "CapEff:", "0" * 16], number)
        for name in ("0", "root"):
            refused(t, ("exec", "-u", name, box, "true"), "init", "--as-root")
        refused(t, ("exec", "-d", "-u", "0", box, "true"), "init", "--as-root")
        equal(good(t, "exec", "-u", "1000", root, "--", "sh", "-c", "id -u; echo $HOME; kill -9 1 2>/dev/null || echo refused").text, "1000\n/\nrefused\n")
        equal(good(t, "exec", root, "id", "-u").text, "0\n")
        # streams and terminals are its own, those of others are not
        equal(good(t, "exec", "-u", "77", "--json", box, "--", "sh", "-c", "echo x >/dev/stdout; echo y >/dev/stderr").record["stdout"], "x\n")
        contains(good(t, "exec", "-t", "-u", "77", box, "--", "sh", "-c", 'stat -c %u "$(tty)"; echo x >"$(tty)" && echo mine').text, "77\r\nx\r\nmine")
        number = good(t, "exec", "-d", "-u", "77", box, "--", "sh", "-c", "id -u >/dev/stdout").text.strip()
        equal(t.hutch("wait", "--exec", number, box).code, 0)
        equal(good(t, "logs", "--exec", number, box).text, "77\n")
        good(t, "exec", "-u", "77", box, "--", "sh", "-c", "umask 077; echo secret >/tmp/of-77")
        true(sh(t, box, "cat /tmp/of-77").code != 0, "another user's file is closed")
        equal(sh(t, box, "exec sleep 0", "-u", "77", "--on-exit", "kill").code, 0)
        token = t.token + "-other-user"
        script = "trap '' TERM; setsid sh -c 'sleep 100; : %s' </dev/null >/dev/null 2>&1 & sleep 100; sleep 100" % token
        equal(sh(t, box, script, "-u", "77", "--timeout", "0.2", "--grace", "0.2").code, 124)
        gone(token)
    else:
        box = start(t)
        equal(good(t, "exec", "-u", "sandbox", box, "id", "-u").text, "1000\n")
        for name in ("root", "77"):
            refused(t, ("exec", "-u", name, box, "true"), "the only user", "/etc/subuid")
    for name in ("65534", "4000000000", "nobody", "-1", ""):
        refused(t, ("exec", "-u", name, box, "true"))


# ---- detached commands -----------------------------------------------------------------------------------------------


@test("exec -d: id, wait, logs and kill")
def _(t):
    box = start(t)
    first = good(t, "exec", "-d", box, "--", "sh", "-c", "echo one; sleep 0.3; echo two >&2; exit 9")
    true(re.fullmatch(r"[0-9]+\n", first.text), "the id alone is printed: %r" % first.out)
    within(first.seconds, 0, 2, "seconds")
    number = first.text.strip()
    equal(t.hutch("wait", "--exec", number, box).code, 9)
    record = t.hutch("wait", "--exec", number, "--json", box).record
    equal((record["id"], record["exit_code"], record["outcome"]), (number, 9, "exited"))
    logs = good(t, "logs", "--exec", number, box)
    equal((logs.out, logs.err), (b"one\n", b"two\n"))
    document = good(t, "exec", "-d", "--json", box, "sleep", "100").record
    equal((set(document), document["sandbox"]), ({"sandbox", "id"}, box))
    true(document["id"] != number, "ids differ")
    good(t, "kill", "--exec", document["id"], box)
    equal(t.hutch("wait", "--exec", document["id"], box).code, 128 + 9)
    refused(t, ("wait", "--exec", "4000000", box), "4000000")
    refused(t, ("exec", "-d", "--result", "r", box, "true"), "--result")
    refused(t, ("exec", "-d", "--check", box, "true"), "--check")
    absent = good(t, "exec", "-d", box, "/no/such/program").text.strip()
    contains(t.hutch("wait", "--exec", absent, box).errors, "/no/such/program")
    equal(t.hutch("wait", "--exec", absent, box).code, 127)


@test("exec -d: standard input is null, a file, or with -i the caller's")
def _(t):
    box = start(t)
    t.write("file", "from a file\n")
    for options, input, expected in (((), b"typed\n", b""), (("-i",), b"typed\n", b"typed\n"), (("--stdin", "file"), None, b"from a file\n")):
        more = {"input": input} if input else {}
        number = good(t, "exec", "-d", *options, box, "cat", **more).text.strip()
        equal(t.hutch("wait", "--exec", number, box).code, 0)
        equal(good(t, "logs", "--exec", number, box).out, expected, options)


@test("start -t, exec -d -t: a terminal at which nobody sits, read into the log")
def _(t):
    script = "test -t 0 && test -t 1 && test -t 2 && tty && stty size && echo to-stderr >&2; exec 0<&- 1<&- 2<&-; sleep 0.3; exit 4"
    box = start(t, "-t", "--", "sh", "-c", script)
    equal(t.hutch("wait", box).code, 4)
    logs = good(t, "logs", box)
    true(re.fullmatch(r"/dev/pts/\d+\r\n24 80\r\nto-stderr\r\n", logs.text), "not %r" % logs.out)
    box = start(t)
    number = good(t, "exec", "-d", "-t", box, "--", "sh", "-c", script).text.strip()
    equal(t.hutch("wait", "--exec", number, box).code, 4)
    equal(good(t, "logs", "--exec", number, box).text.split("\r\n")[1:], ["24 80", "to-stderr", ""])
    # much at once, up to the last byte, and another command meanwhile
    number = good(t, "exec", "-d", "-t", box, "--", "sh", "-c", "stty -opost; seq 200000; echo end").text.strip()
    within(sh(t, box, "true").seconds, 0, 3, "seconds that another one took")
    equal(t.hutch("wait", "--exec", number, box).code, 0)
    equal(good(t, "logs", "--exec", number, box).text, "".join("%d\n" % line for line in range(1, 200001)) + "end\n")
    # one that reads waits; it can be killed, and so can one that writes without end
    for script in ("read line; echo read", "yes", "yes & wait", "stty -isig; trap '' TERM HUP; cat"):
        number = good(t, "exec", "-d", "-t", box, "--", "sh", "-c", script).text.strip()
        time.sleep(0.2)
        equal(t.hutch("wait", "--exec", number, "--timeout", "0.1", box).code, 124, script)
        good(t, "kill", "--exec", number, box)
        equal(t.hutch("wait", "--exec", number, box).code, 128 + 9, script)
    # what it leaves behind has lost its terminal, and the end is told all the same
    number = good(t, "exec", "-d", "-t", box, "--", "sh", "-c", "trap '' HUP; (while echo x; do sleep 0.05; done; echo over >/tmp/over) & sleep 0.2; exit 5").text.strip()
    equal(t.hutch("wait", "--exec", number, box).code, 5)
    wait_until(lambda: sh(t, box, "test -e /tmp/over").code == 0, 5, "its child gets an error")
    supervisor = listing(t)[box]["supervisor"]
    names = [os.readlink("/proc/%d/fd/%s" % (supervisor, fd)) for fd in os.listdir("/proc/%d/fd" % supervisor)]
    equal([name for name in names if "pts" in name or "ptmx" in name], [], "terminals that are still open")


@test("exec -d: time-outs hold without a client")
def _(t):
    box = start(t)
    number = good(t, "exec", "-d", "--timeout", "0.2", box, "sleep", "100").text.strip()
    equal(t.hutch("wait", "--exec", number, box).code, 124)


# ---- names, ids, labels ----------------------------------------------------------------------------------------------


@test("names: found by them, taken once, free after rm")
def _(t):
    name = "n%d.a-b_c" % os.getpid()
    box = start(t, "--name", name)
    equal(good(t, "inspect", "--json", name).record["sandbox"], box)
    equal(good(t, "exec", name, "echo", "x").text, "x\n")
    refused(t, ("start", "--name", name), name)
    good(t, "stop", name)
    refused(t, ("start", "--name", name), name)
    good(t, "rm", name)
    second = start(t, "--name", name)
    true(second != box, "a new id")
    good(t, "rm", "-f", name)


BAD_NAMES = {"empty": "", "dots": "..", "one dot": ".", "slash": "a/b", "absolute": "/etc", "up": "../x", "newline": "a\nb", "space": "a b",
             "escape": "a\x1b[31m", "dash": "-x", "long": "a" * 4096, "an id": "0123456789ab", "not UTF-8": os.fsdecode(b"a\xff")}


@tests_of("a name that is none", BAD_NAMES)
def _(t, name):
    before = set(listing(t, "--all"))
    outcome = refused(t, ("start", "--name=" + name))
    contains(outcome.errors, "name")
    equal(set(listing(t, "--all")), before)


@tests_of("a sandbox that is none", {**BAD_NAMES, "not there": "0123456789ab", "a file": "/etc/passwd", "percent": "%s%n"})
def _(t, word):
    if word.startswith("-"):
        word = "./" + word
    for verb in ("inspect", "wait", "logs", "stop", "kill", "diff"):
        refused(t, (verb, word))
    for words in (("exec", word, "true"), ("shell", word), ("cp", "--changes", word, t.aside("out"))):
        refused(t, words)
    equal(t.hutch("rm", word).code, 125)
    true(not os.path.exists(t.aside("out")), "nothing was made")


@test("ids: prefixes, as long as they are unique")
def _(t):
    boxes = [start(t) for _ in range(17)]  # two of them have the same first digit
    others = set(listing(t, "--all"))
    for box in boxes[:3]:
        prefix = next(box[:length] for length in range(1, 13) if sum(other.startswith(box[:length]) for other in others) == 1)
        equal(good(t, "inspect", "--json", prefix).record["sandbox"], box)
        equal(good(t, "exec", prefix, "echo", "x").text, "x\n")
    digit = next(box[0] for box in boxes if sum(other[0] == box[0] for other in boxes) > 1)
    refused(t, ("inspect", digit), digit)
    refused(t, ("exec", digit, "true"), digit)
    good(t, "rm", "-f", *boxes)


@test("labels: listed, filtered")
def _(t):
    mark = "m%d" % os.getpid()
    one = start(t, "--label", "k=" + mark, "--label", "a=b=c")
    two = start(t, "--label", "k=" + mark, "--label", "only=1")
    equal(listing(t)[one]["labels"], {"k": mark, "a": "b=c"})
    equal(set(listing(t, "--label", "k=" + mark)), {one, two})
    equal(set(listing(t, "--label", "k=" + mark, "--label", "a")), {one})
    equal(set(listing(t, "--label", "k=" + mark[:-1])), set())
    equal(set(listing(t, "--label", "k=" + mark, "--label", "only")), {two})
    for label in ("", "=x", "k"):
        refused(t, ("start", "--label=" + label), "label")


# ---- ls and inspect --------------------------------------------------------------------------------------------------


@test("inspect: what holds for one that runs, and null for what nobody knows")
def _(t):
    os.mkdir(t.path("w"))
    box = start(t, "--workspace", "w:ro", "--ro", "/usr/share", "--tmpfs", "/x:1M", "--lifetime", "100", "--idle-timeout", "50", "--pids", "77",
                "--seccomp", "strict")
    document = good(t, "inspect", "--json", box).record
    equal(set(document), LISTING_KEYS | INFO_KEYS | {"result"})
    equal((document["uid"], document["net"], document["seccomp"], document["rootfs"], without_elsewhere(document["warnings"])),
          (1000, "none", "strict", None, []))
    equal((document["workspace"]["access"], document["workspace"]["target"]), ("ro", t.path("w")))
    equal(document["mounts"], [{"access": "ro", "source": "/usr/share", "target": "/usr/share"}, {"access": "tmpfs", "source": None, "target": "/x"}])
    equal(document["limits_enforced"]["pids"]["value"], 77)
    record = sh(t, box, "true", "--json").record
    equal(document["limits_enforced"], record["limits_enforced"], "what the record of a command says")
    within(document["lifetime_left_ms"], 90000, 100000, "ms of lifetime")
    within(document["idle_left_ms"], 40000, 50000, "ms until it is idle for too long")
    equal(document["commands"], 0)
    good(t, "exec", "-d", box, "sleep", "100")
    client = t.popen("exec", box, "sleep", "100")
    wait_until(lambda: good(t, "inspect", "--json", box).record["commands"] == 2, 5, "two commands run")
    equal(good(t, "inspect", "--json", box).record["idle_left_ms"], None)
    text = good(t, "inspect", box).text
    for part in ("uid 1000", "ro " + t.path("w"), "ro /usr/share", "tmpfs /x", "strict", "2 running", "pids 77", "s left"):
        contains(text, part)
    client.kill()
    other = start(t, "--as-root", "--no-workspace", "--net", "host")
    document = good(t, "inspect", "--json", other).record
    equal([document[key] for key in ("uid", "workspace", "mounts", "net", "lifetime_left_ms", "idle_left_ms")], [0, None, [], "host", None, None])
    os.kill(document["supervisor"], signal.SIGKILL)
    wait_until(lambda: state(t, other) == "failed", 5, "it is dead")
    document = good(t, "inspect", "--json", other).record
    equal(set(document), LISTING_KEYS | INFO_KEYS | {"result"})
    equal([document[key] for key in sorted(INFO_KEYS)], [None] * len(INFO_KEYS))


@test("ls and inspect: control bytes of commands and labels are escaped")
def _(t):
    box = start(t, "--label", "l=\x1b]0;x\x07\n\x9b", "sh", "-c", "sleep 100", "\x1b[31mred\r\n\xc2\x9b", os.fsdecode(b"\xff"))
    for words in (("ls",), ("inspect", box), ("ls", "--json"), ("inspect", "--json", box)):
        out = good(t, *words).out
        bad = [byte for byte in out.replace(b"\n", b"") if byte < 0x20 or byte == 0x7f]
        equal(bad, [], "control bytes in hutch %s" % short(words))
        lacks(out, b"\xc2\x9b")
    equal(len([line for line in good(t, "ls").text.splitlines() if box in line]), 1)
    contains(good(t, "inspect", box).text, "\\x1b[31mred\\r\\n")


@test("ls: a table with a line for each, ended ones with --all")
def _(t):
    mark = "m%d" % os.getpid()
    name = "n%d" % os.getpid()
    box = start(t, "--name", name, "--label", "k=" + mark, "sleep", "1000")
    ended = start(t, "--label", "k=" + mark, "true")
    await_state(t, ended, "completed")
    lines = good(t, "ls", "--label", "k=" + mark).text.splitlines()
    equal(lines[0].split(), ["ID", "NAME", "STATE", "AGE", "COMMAND"])
    equal([line.split()[:3] for line in lines[1:]], [[box, name, "running"]])
    contains(lines[1], "sleep 1000")
    lines = good(t, "ls", "-a", "--label", "k=" + mark).text.splitlines()
    equal([line.split()[:3] for line in lines[1:]], [[box, name, "running"], [ended, "-", "completed"]])


# ---- logs ------------------------------------------------------------------------------------------------------------


@test("logs: tail, offset, since, timestamps")
def _(t):
    box = start(t, "sh", "-c", "seq 100; sleep 1; seq 101 103; printf end")
    equal(t.hutch("wait", box).code, 0)
    whole = "".join("%d\n" % number for number in range(1, 104)) + "end"
    equal(good(t, "logs", box).text, whole)
    equal(good(t, "logs", "--tail", "3", box).text, "102\n103\nend")
    equal(good(t, "logs", box, "-n1").text, "end")
    equal(good(t, "logs", "--tail", "0", box).text, "")
    equal(good(t, "logs", "--tail", "1000", box).text, whole)
    equal(good(t, "logs", "--offset", "20", box).text, whole[20:])
    equal(good(t, "logs", "--offset", "100000", box).text, "")
    equal(good(t, "logs", "--since", "1h", box).text, whole)
    equal(good(t, "logs", "--since", "2001-01-01", box).text, whole)
    equal(good(t, "logs", "--since", "2037-01-01T10:00:00Z", box).text, "")
    times = good(t, "logs", "--timestamps", box).text.splitlines()
    equal(len(times), 104)
    for line in times:
        true(re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \w+", line), line)
    late = times[100].split()[0]
    equal(good(t, "logs", "--since", late, box).text, "101\n102\n103\nend")
    for option in ("--tail=x", "--tail=-1", "--offset=x", "--since=x", "--since=2026-13-01", "--exec=0", "--exec=x", "--tail="):
        refused(t, ("logs", option, box), option.split("=")[0])
    refused(t, ("logs", start(t)), "main command")


@test("logs: follows until the command has ended")
def _(t):
    box = start(t, "sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.3; done; echo end >&2")
    outcome = good(t, "logs", "-f", box)
    equal((outcome.out, outcome.err), (b"1\n2\n3\n", b"end\n"))
    within(outcome.seconds, 0.3, 5, "seconds")
    equal(good(t, "logs", "-f", box).out, b"1\n2\n3\n", "again, when it has ended")
    endless = start(t, "sh", "-c", "while :; do echo x; sleep 0.05; done")
    client = t.popen("logs", "-f", endless, stdout=subprocess.PIPE)
    equal([client.stdout.readline() for _ in range(5)], [b"x\n"] * 5)
    client.send_signal(signal.SIGINT)
    equal(terminate(client), -signal.SIGINT)
    equal(state(t, endless), "running")


def json_lines(t, *words):
    lines = []
    for line in good(t, "logs", "--json", *words).out.splitlines():
        document = one_document(line)
        equal(set(document), {"stream", "time", "offset", "dropped", "text", "base64"})
        true((document["text"] is None) != (document["base64"] is None), document)
        lines.append(document)
    return lines


@test("logs: JSON lines; characters that come in two pieces, bytes that are none")
def _(t):
    box = start(t, "sh", "-c", r"""printf 'a\303'; sleep 0.2; printf '\244b'; sleep 0.2; echo '{"stream": 1}' >&2; sleep 0.2; printf '\377\0'""")
    equal(t.hutch("wait", box).code, 0)
    lines = json_lines(t, box)
    equal("".join(line["text"] for line in lines if line["stream"] == "stdout" and line["text"]), "a\u00e4b")
    equal([line["text"] for line in lines if line["stream"] == "stderr"], ['{"stream": 1}\n'])
    equal(b"".join(base64.b64decode(line["base64"]) for line in lines if line["base64"]), b"\377\0")
    equal(good(t, "logs", box).out, b"a\303\244b\377\0")


@test("logs: of 40 MiB at most the youngest 16 are kept, and it is told")
def _(t):
    box = start(t, "sh", "-c", "seq 5000000")
    equal(t.hutch("wait", box).code, 0)
    outcome = good(t, "logs", box)
    within(len(outcome.out), 8 << 20, 16 << 20, "bytes kept")
    true(outcome.text.endswith("4999999\n5000000\n"), "the end is there")
    contains(outcome.errors, "older than what is kept")
    equal(good(t, "logs", "-q", "--tail", "2", box).text, "4999999\n5000000\n")
    true(json_lines(t, box)[0]["dropped"] > 0, "dropped bytes are counted")


# ---- the end ---------------------------------------------------------------------------------------------------------


@test("wait: time-out, and a sandbox without a main command")
def _(t):
    box = start(t, "sleep", "1000")
    refused(t, ("wait", "--timeout", "0.2", box), code=124)
    outcome = refused(t, ("wait", "--timeout=0.2", "--json", box), code=124)
    equal(outcome.record["error"]["code"], "timeout")
    idle = start(t)
    refused(t, ("wait", "--timeout", "0.2", idle), code=124)
    client = t.popen("wait", "--json", idle, stdout=subprocess.PIPE)
    time.sleep(0.3)
    equal(client.poll(), None, "it waits")
    good(t, "stop", idle)
    out, _ = client.communicate(timeout=5)
    document = one_document(out)
    equal((client.returncode, document["returncode"], document["state"]), (0, 0, "terminated"))


@test("stop: TERM first, KILL after the grace")
def _(t):
    token = t.token + "-x"
    polite = start(t, "sh", "-c", "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.05; done")
    wait_until(lambda: good(t, "logs", polite).text, 5, "it runs")
    good(t, "stop", polite)
    equal(good(t, "logs", polite).text, "ready\nbye\n")
    equal(t.hutch("wait", polite).code, 5)
    deaf = start(t, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done; : %s" % token)
    wait_until(lambda: good(t, "logs", deaf).text, 5, "it runs")
    outcome = good(t, "stop", "--grace", "0.4", "--json", deaf)
    equal(outcome.record, {"sandbox": deaf, "state": "terminated"})
    within(outcome.seconds, 0.4, 2, "seconds")
    equal(holders(token), [], "nothing is left when stop returns")
    good(t, "stop", deaf)


@test("kill: at once, or a signal")
def _(t):
    token = t.token + "-x"
    box = start(t, "sh", "-c", "trap '' TERM; echo ready; sleep 1000 & sleep 1000; : %s" % token)
    wait_until(lambda: good(t, "logs", box).text, 5, "it runs")
    outcome = good(t, "kill", box)
    within(outcome.seconds, 0, 1, "seconds")
    equal(holders(token), [], "nothing is left when kill returns")
    box = start(t, "sh", "-c", "trap 'echo usr; exit 8' USR1; echo ready; while :; do sleep 0.05; done")
    wait_until(lambda: good(t, "logs", box).text, 5, "it runs")
    good(t, "kill", "-s", "USR1", box)
    equal(t.hutch("wait", box).code, 8)
    equal(good(t, "logs", box).text, "ready\nusr\n")
    for name in ("NOPE", "0", "65", "-1", "", "SIG"):
        refused(t, ("kill", "--signal=" + name, box), "--signal")
    idle = start(t)
    refused(t, ("kill", "-s", "TERM", idle), "main command")
    good(t, "kill", idle)
    equal(state(t, idle), "terminated")


@test("rm: a running one only with -f; one that fails does not keep the others")
def _(t):
    one, two, three = start(t), start(t, "sleep", "1000"), start(t)
    outcome = t.hutch("rm", one)
    equal((outcome.code, outcome.out), (125, b""))
    contains(outcome.errors, one)
    equal(state(t, one), "running")
    outcome = t.hutch("rm", "-f", "--json", one, "000000000000", two)
    equal(outcome.code, 125)
    found = [(entry["name"], entry["sandbox"], entry["error"] is None) for entry in outcome.record["sandboxes"]]
    equal(found, [(one, one, True), ("000000000000", None, False), (two, two, True)])
    true(not {one, two} & set(listing(t, "--all")), "both are gone")
    good(t, "stop", three)
    outcome = good(t, "rm", three, "-q")
    equal((outcome.out, outcome.err), (b"", b""))
    refused(t, ("rm",), "which sandbox")


@test("a killed supervisor takes everything with it; gc and ls cope")
def _(t):
    token = t.token + "-x"
    box = start(t, "sh", "-c", "setsid sleep 1000 & sleep 1000; : %s" % token)
    wait_until(lambda: holders(token), 5, "it runs")
    os.kill(listing(t)[box]["supervisor"], signal.SIGKILL)
    gone(token)
    outcome = t.hutch("ls", "--all", "--json")
    equal(outcome.code, 0)
    within(outcome.seconds, 0, 2, "seconds that ls took")
    left = {entry["sandbox"]: entry["state"] for entry in outcome.record["sandboxes"]}
    equal(left.get(box, "failed"), "failed")
    refused(t, ("exec", box, "true"))
    removed = good(t, "gc", "--json").record["removed"]
    true(isinstance(removed, int), removed)
    true(box not in listing(t, "--all"), "it is gone")
    equal(good(t, "gc", "--json").record, {"removed": 0})


@test("results survive a killed supervisor; of what still ran nothing is made up")
def _(t):
    box = start(t, "sh", "-c", "echo out; exit 3")
    equal(t.hutch("wait", box).code, 3)
    before = t.hutch("wait", "--json", box).record
    idle = start(t)
    ended = good(t, "exec", "-d", idle, "--", "sh", "-c", "exit 9").text.strip()
    running = good(t, "exec", "-d", idle, "--", "sleep", "1000").text.strip()
    equal(t.hutch("wait", "--exec", ended, idle).code, 9)
    killed = start(t, "sleep", "1000")
    for victim in (box, idle, killed):
        supervisor = listing(t, "--all")[victim]["supervisor"]
        os.kill(supervisor, signal.SIGKILL)
        wait_until(lambda: listing(t, "--all")[victim]["supervisor"] is None, 5, "it is dead")
    outcome = t.hutch("wait", "--json", box)
    equal((outcome.code, outcome.record), (3, before))
    equal(good(t, "inspect", "--json", box).record["result"], before)
    equal(good(t, "logs", box).text, "out\n")
    equal(t.hutch("wait", "--exec", ended, idle).code, 9)
    refused(t, ("wait", "--exec", running, idle), "not known")
    refused(t, ("wait", "--exec", "77", idle), "not known")
    refused(t, ("wait", killed), "not known")
    equal(good(t, "inspect", "--json", killed).record["result"], None)
    good(t, "rm", box)
    refused(t, ("wait", box), box)


# ---- changes ---------------------------------------------------------------------------------------------------------


@test("diff and cp --changes")
def _(t):
    t.write("changed", "old")
    t.write("deleted", "old")
    box = start(t, "--workspace", ".")
    equal(sh(t, box, "echo new >changed; rm deleted; mkdir d; echo x >d/added").code, 0)
    lines = sorted(good(t, "diff", box).text.splitlines())
    equal(lines, sorted(["M " + t.path("changed"), "D " + t.path("deleted"), "A " + t.path("d"), "A " + t.path("d/added")]))
    document = good(t, "diff", "--json", box).record
    equal({(change["kind"], change["path"]) for change in document["changes"]},
          {("changed", t.path("changed")), ("deleted", t.path("deleted")), ("added", t.path("d")), ("added", t.path("d/added"))})
    outcome = good(t, "cp", "--changes", box, t.aside("out"))
    equal(outcome.out, b"")
    equal((read_file(t.aside("out/changed")), read_file(t.aside("out/d/added"))), (b"new\n", b"x\n"))
    equal(set(good(t, "cp", "--json", "--changes", box, t.aside("two")).record), {"sandbox", "directory", "changes"})
    good(t, "stop", box)
    equal(sorted(good(t, "diff", box).text.splitlines()), lines, "still there when it is stopped")
    equal((read_file(t.path("changed")), read_file(t.path("deleted"))), (b"old", b"old"))
    refused(t, ("cp", box, "x"), "SANDBOX:PATH")
    refused(t, ("cp", "--changes", box), "directory")
    refused(t, ("cp", "--changes", box, ""), "directory")


@test("diff and cp --changes: an error, and not nothing, when nobody can tell any more")
def _(t):
    for victim in ("supervisor", "init"):
        t.write("file", "old")
        box = start(t, "--workspace", ".")
        equal(sh(t, box, "echo new >file").code, 0)
        supervisor = listing(t)[box]["supervisor"]
        if victim == "supervisor":
            os.kill(supervisor, signal.SIGKILL)
        else:
            children = read_file("/proc/%d/task/%d/children" % (supervisor, supervisor)).split()
            equal(len(children), 1, "init is the supervisor's only child")
            os.kill(int(children[0]), signal.SIGKILL)
        wait_until(lambda: state(t, box) == "failed", 5, "it is dead")
        outcome = refused(t, ("diff", box), victim)
        refused(t, ("diff", "--json", box), victim)
        refused(t, ("cp", "--changes", box, t.aside("out-" + victim)), victim)
        true(not os.path.exists(t.aside("out-" + victim)), "nothing is made")
        if victim == "supervisor": # and where it is that way, it is there
            left = re.search(r'below "([^"]+)"', outcome.errors.replace("\n", " "))
            true(left, outcome.errors)
            found = [os.path.join(top, name) for top, _, names in os.walk(left.group(1)) for name in names]
            true([path for path in found if path.endswith("/file") and read_file(path) == b"new\n"], found)


# ---- words and options -----------------------------------------------------------------------------------------------

KEPT_VERBS = ("exec", "shell", "wait", "ls", "inspect", "logs", "cp", "diff", "kill", "stop", "rm", "gc")


@test("every verb: help, unknown options, --json for errors")
def _(t):
    for verb in KEPT_VERBS + ("start",):
        contains(good(t, verb, "--help").text, "hutch " + verb)
        equal(good(t, verb, "--help", "--json").record["verbs"][0]["name"], verb)
        refused(t, (verb, "--nonsense"), "--nonsense")
        refused(t, (verb, "--nonsense", "--json"), "--nonsense")
    for words in (("exec",), ("exec", "x"), ("shell",), ("wait",), ("inspect",), ("logs",), ("diff",), ("kill",), ("stop",), ("cp", "--changes"),
                  ("wait", "a", "b"), ("ls", "x"), ("gc", "x"), ("cp", "--changes", "a", "b", "c"), ("stop", "a", "b")):
        refused(t, words)
        refused(t, (words[0], "--json") + words[1:])


@test("options may stand behind the sandbox, but not in front of a command")
def _(t):
    box = start(t)
    equal(good(t, "stop", box, "--json", "--grace", "0.1").record["sandbox"], box)
    contains(t.hutch("stop", "--", box, "--json").errors, "one word too many")
    running = start(t)
    outcome = refused(t, ("exec", running, "-t", "sh"), "before the sandbox")
    equal(good(t, "exec", running, "--", "echo", "x").text, "x\n")
    equal(t.hutch("exec", running, "--", "-t").code, 127)


@test("--json: one document from every verb")
def _(t):
    document = good(t, "start", "--json", "--name", "j%d" % os.getpid()).record
    box = document["sandbox"]
    t.undo.append(lambda: remove(t, box))
    equal((set(document), document["name"], document["state"]), ({"sandbox", "name", "state", "warnings"}, "j%d" % os.getpid(), "running"))
    for words in (("ls",), ("inspect", box), ("exec", box, "true"), ("diff", box), ("kill", box), ("stop", box), ("wait", box), ("gc",), ("rm", box)):
        true(isinstance(good(t, words[0], "--json", *words[1:]).record, dict), words)


@test("streams that are closed, full or broken")
def _(t):
    box = start(t, "sh", "-c", "seq 100000")
    equal(t.hutch("wait", box).code, 0)
    with open("/dev/full", "wb") as full:
        for words in (("ls",), ("inspect", box), ("logs", box)):
            equal(t.hutch(*words, stdout=full).code, 125, words)
    outcome = t.spawn(["sh", "-c", '"$0" logs "$1" | head -n 1', HUTCH, box])
    equal((outcome.text, outcome.errors), ("1\n", ""))


@test("completion knows the verbs and asks for sandboxes")
def _(t):
    box = start(t, "--name", "c%d" % os.getpid())
    script = t.write("c.bash", good(t, "completion", "bash").text + """
hutch() { "%s" "$@"; }
complete_line() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _hutch; printf '%%s\\n' "${COMPREPLY[@]}"; }
complete_line hutch stop %s; complete_line hutch exec c%d; complete_line hutch logs --ta
""" % (HUTCH, box[:11], os.getpid()))
    outcome = t.spawn(["bash", script])
    equal((outcome.code, outcome.text), (0, "%s\nc%d\n--tail\n" % (box, os.getpid())), outcome.errors)



# ---- an init that somebody outside has stopped -------------------------------------------------------------------------


def inits_of(owner):
    return [pid for pid in pids() if process_field(pid, "PPid") == str(owner) and read_file("/proc/%s/comm" % pid).strip() == b"hutch-init"]


@test("a killed owner takes an init with it that was stopped from outside: run")
def _(t):
    owner = t.popen("run", "--", "sleep", "60")
    wait_until(lambda: inits_of(owner.pid), 5, "init")
    init = int(inits_of(owner.pid)[0])
    os.kill(init, signal.SIGSTOP)
    owner.kill()
    owner.wait()
    wait_until(lambda: not os.path.exists("/proc/%d" % init) or process_field(init, "State").startswith("Z"), 2, "init is dead")


@test("a killed owner takes an init with it that was stopped from outside: supervisor, and after a command with a terminal")
def _(t):
    box = start(t)
    equal(good(t, "exec", "-d", "-t", box, "--", "sleep", "60").code, 0)
    supervisor = good(t, "inspect", "--json", box).record["supervisor"]
    wait_until(lambda: inits_of(supervisor), 5, "init")
    init = int(inits_of(supervisor)[0])
    os.kill(init, signal.SIGSTOP)
    os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: not os.path.exists("/proc/%d" % init) or process_field(init, "State").startswith("Z"), 2, "init is dead")

sys.exit(main())
