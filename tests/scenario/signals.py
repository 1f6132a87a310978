# SPDX-License-Identifier: Apache-2.0
"""Signals: what is sent to hutch reaches the command, nothing outlives hutch, and what the caller ignores stays outside."""

import random
import select

from tap import *

def started(t, script, *options, **more):
    """A running hutch whose command has come to the first @ of its script."""
    before, _, behind = script.rpartition("@")
    process = t.popen("run", *options, "--", "sh", "-c", before + "echo ready; " + behind, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
    equal(process.stdout.readline(), b"ready\n", "the command has started")
    return process


def ended(process, seconds=10):
    """Exit code, what else came on stdout, and how long it took."""
    start = time.monotonic()
    try:
        out, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise Failure("still running after %s s" % seconds) from None
    return process.returncode, out.decode(), time.monotonic() - start


def state_of(pid):
    return process_field(pid, "State")[:1]


# ---- forwarding ------------------------------------------------------------------------------------------------------


@tests_of("a signal to hutch reaches the command", {name: name for name in ("INT", "TERM", "HUP", "QUIT")})
def _(t, name):
    number = int(getattr(signal, "SIG" + name))
    process = started(t, "trap 'echo caught; exit 5' %s; @ while :; do sleep 0.05; done" % name)
    process.send_signal(number)
    code, out, seconds = ended(process)
    equal((code, out), (5, "caught\n"))
    within(seconds, 0, 3, "seconds")


@tests_of("a signal to hutch ends a command that does nothing about it", {name: name for name in ("INT", "TERM", "HUP", "QUIT")})
def _(t, name):
    number = int(getattr(signal, "SIG" + name))
    process = started(t, "exec sleep 60")
    process.send_signal(number)
    code, _, seconds = ended(process)
    equal(code, 128 + number)
    within(seconds, 0, 2, "seconds")


@test("TERM reaches the whole process group of the command")
def _(t):
    process = started(t, "sh -c 'trap \"echo child; exit\" TERM; : >/tmp/up; while :; do sleep 0.05; done' & trap 'wait; echo parent; exit 3' TERM; "
                         "while [ ! -e /tmp/up ]; do sleep 0.02; done; @ wait")
    process.send_signal(signal.SIGTERM)
    code, out, _ = ended(process)
    equal((code, sorted(out.split())), (3, ["child", "parent"]))


@test("a command may survive INT and QUIT as often as it likes")
def _(t):
    process = started(t, "trap 'echo int' INT; trap 'echo quit' QUIT; trap 'exit 9' TERM; @ while :; do sleep 0.05; done")
    for signo in (signal.SIGINT, signal.SIGQUIT, signal.SIGINT):
        process.send_signal(signo)
        process.stdout.readline()
    equal(process.poll(), None)
    process.send_signal(signal.SIGTERM)
    equal(ended(process)[0], 9)


@test("a command that ignores TERM is killed after the grace")
def _(t):
    process = started(t, "trap '' TERM; @ while :; do sleep 0.1; : %s; done" % t.token, "--grace", "700ms")
    process.send_signal(signal.SIGTERM)
    code, _, seconds = ended(process)
    equal(code, 137)
    within(seconds, 0.6, 2.5, "seconds")
    gone(t.token)


@tests_of("a second signal kills at once", {name: name for name in ("TERM", "HUP")})
def _(t, name):
    number = int(getattr(signal, "SIG" + name))
    process = started(t, "trap 'echo caught' %s; setsid sh -c 'trap \"\" TERM HUP; sleep 300; : %s' & @ while :; do sleep 0.1; done" % (name, t.token), "--grace", "30s")
    process.send_signal(number)
    process.stdout.readline()
    process.send_signal(number)
    code, _, seconds = ended(process)
    equal(code, 137)
    within(seconds, 0, 2, "seconds")
    gone(t.token)


@test("killed by TERM: the record says so")
def _(t):
    process = t.popen("run", "--json", "--grace", "300ms", "--result", t.aside("r"), "--", "sh", "-c", "trap '' TERM; echo x; : >started; sleep 60; sleep 60",
                      stdout=subprocess.PIPE)
    time.sleep(0.4)
    process.send_signal(signal.SIGTERM)
    record = one_document(process.communicate(timeout=10)[0])
    equal((record["outcome"], record["signal"], record["returncode"], record["stdout"]), ("killed", 9, 137, "x\n"))
    equal(process.returncode, 137)


@test("a signal while the sandbox is being built ends it")
def _(t):
    for delay in range(0, 20):
        process = t.popen("run", "--", "sh", "-c", "sleep 300; : " + t.token, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(delay / 1000)
        process.send_signal(signal.SIGTERM)
        code = terminate(process, 8)
        true(code in (128 + 15, 137, 125, -15), "exit code %s after %d ms" % (code, delay))
    gone(t.token)


# ---- stop and continue -----------------------------------------------------------------------------------------------


@test("TSTP stops the sandbox and hutch, CONT continues both")
def _(t):
    process = started(t, "while :; do echo tick; sleep 0.02; done", preexec_fn=os.setpgrp)
    process.send_signal(signal.SIGTSTP)
    pid, status = os.waitpid(process.pid, os.WUNTRACED)
    true(os.WIFSTOPPED(status), "hutch has stopped itself: %x" % status)
    time.sleep(0.2)
    os.set_blocking(process.stdout.fileno(), False)
    while os.read(process.stdout.fileno(), 65536) if select_readable(process.stdout) else False:
        pass
    time.sleep(0.3)
    true(not select_readable(process.stdout), "nothing ticks while it is stopped")
    os.kill(process.pid, signal.SIGCONT)
    wait_until(lambda: select_readable(process.stdout), 3, "it ticks again")
    process.send_signal(signal.SIGTERM)
    equal(ended(process)[0], 128 + 15)


@test("STOP from outside, then CONT: the command goes on")
def _(t):
    process = started(t, "sleep 0.5; echo done; exit 4")
    process.send_signal(signal.SIGSTOP)
    os.waitpid(process.pid, os.WUNTRACED)
    time.sleep(0.8)
    process.send_signal(signal.SIGCONT)
    code, out, _ = ended(process)
    equal((code, out), (4, "done\n"))


@test("a stopped hutch does not keep its timeout from holding once it is continued")
def _(t):
    process = started(t, "trap '' TERM; sleep 60; : %s" % t.token, "--timeout", "500ms", "--grace", "200ms")
    process.send_signal(signal.SIGSTOP)
    os.waitpid(process.pid, os.WUNTRACED)
    time.sleep(1)
    process.send_signal(signal.SIGCONT)
    code, _, seconds = ended(process)
    equal(code, 124)
    within(seconds, 0, 2, "seconds")


def select_readable(file):
    return bool(select.select([file], [], [], 0)[0])


# ---- hutch is killed -------------------------------------------------------------------------------------------------

TREE = "trap '' TERM HUP INT; setsid sh -c 'trap \"\" TERM HUP; sleep 300; : TOKEN' & sh -c 'kill -STOP $$; : TOKEN' & (sleep 300; : TOKEN) & echo ready; sleep 300; : TOKEN"


def left_files(t):
    """Upper layers that a killed hutch had on disk (on Linux before 6.6: tmpfs has no attributes for them) are gc's."""
    equal(t.hutch("gc").code, 0, "hutch gc")
    return state_files()


@test("kill -9 of hutch at any moment of the start: nothing is left")
def _(t):
    before = state_files()
    random.seed(1)
    for _ in range(60):
        process = t.popen("run", "--", "sh", "-c", TREE.replace("TOKEN", t.token), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(random.random() * 0.03)
        process.kill()
        process.wait()
    gone(t.token, 2)
    equal(orphans(2), [], "processes without hutch")
    equal(left_files(t), before)


@test("kill -9 of hutch with stubborn children running: all are gone within two seconds")
def _(t):
    before = state_files()
    for _ in range(10):
        process = t.popen("run", "--", "sh", "-c", TREE.replace("TOKEN", t.token), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        equal(process.stdout.readline(), b"ready\n")
        process.kill()
        process.wait()
        gone(t.token, 2)
        equal(orphans(2), [])
        process.stdout.close()
    equal(left_files(t), before)


@test("kill -9 of hutch while it is stopped, and while its output is blocked")
def _(t):
    process = started(t, "sleep 300; : %s" % t.token)
    process.send_signal(signal.SIGSTOP)
    process.kill()
    process.wait()
    gone(t.token)
    process = started(t, "yes; : %s" % t.token)
    time.sleep(0.2)
    process.kill()
    process.wait()
    gone(t.token)


@test("kill -9 of hutch with a pty and with --json")
def _(t):
    for options in (("-t",), ("--json",), ("--result", t.aside("r")), ("--timeout", "60s")):
        process = t.popen("run", *options, "--", "sh", "-c", "trap '' HUP TERM; touch /tmp/x; sleep 300; : %s" % t.token, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL)
        wait_until(lambda: holders(t.token), 5, "it runs")
        process.kill()
        process.wait()
        gone(t.token)
    equal([name for name in os.listdir(t.side) if name != "r"], [])


@test("somebody else holding hutch's descriptors does not keep the sandbox alive")
def _(t):
    # here it is the shell that started hutch, with open pipes
    process = t.spawn(["sh", "-c", "%s run -- sh -c 'echo ready; sleep 300; : %s' & p=$!; sleep 0.5; kill -9 $p; wait $p; echo ended" % (HUTCH, t.token)])
    contains(process.text, "ended")
    gone(t.token)


# ---- pipes -----------------------------------------------------------------------------------------------------------


@test("a reader that goes away ends the pipeline: hutch run -- yes | head -1")
def _(t):
    start = time.monotonic()
    outcome = t.spawn(["sh", "-c", "'%s' run -- yes | head -n 1" % HUTCH])
    equal((outcome.code, outcome.text, outcome.errors), (0, "y\n", ""))
    within(time.monotonic() - start, 0, 3, "seconds")
    outcome = t.spawn(["bash", "-c", "'%s' run -- sh -c 'yes; exit 3' 2>/dev/null | head -n 1; exit ${PIPESTATUS[0]}" % HUTCH])
    true(outcome.code in (3, 128 + 13), outcome)


@test("--json to a reader that goes away: no hang, no crash")
def _(t):
    outcome = t.spawn(["bash", "-c", "'%s' run --json -- sh -c 'head -c 3000000 /dev/zero | tr \"\\0\" a' | head -c 10; exit ${PIPESTATUS[0]}" % HUTCH])
    equal(len(outcome.out), 10)
    true(outcome.code in (125, 141, 0), outcome)


@test("a command that does not read its input does not hold up the writer")
def _(t):
    data = b"x" * (20 << 20)
    process = t.popen("run", "--", "true", stdin=subprocess.PIPE)
    try:
        process.stdin.write(data)
        process.stdin.close()
    except BrokenPipeError:
        pass
    equal(terminate(process, 5), 0)


# ---- what the caller ignores or blocks -------------------------------------------------------------------------------

ALL = [n for n in range(1, 65) if n not in (9, 19, 32, 33)]
EMPTY = {"SigBlk": 0, "SigIgn": 0, "SigCgt": 0}


def masks(text):
    return {line.split(":")[0]: int(line.split()[1], 16) for line in text.splitlines() if line[:6] in EMPTY}


def ignore_all():
    for number in ALL:
        signal.signal(number, signal.SIG_IGN)


@tests_of("the command starts with default dispositions and an empty mask, whatever its caller has", {
    "nothing special": (lambda: None,),
    "SIGCHLD ignored": (lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN),),
    "SIGPIPE ignored": (lambda: signal.signal(signal.SIGPIPE, signal.SIG_IGN),),
    "nohup": (lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),),
    "all ignored": (ignore_all,),
    "all blocked": (lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ALL),),
    "all ignored and blocked": (lambda: (ignore_all(), signal.pthread_sigmask(signal.SIG_BLOCK, ALL)),),
})
def _(t, prepare):
    # cat, which changes nothing on the way as a shell would
    outcome = t.run("cat", "/proc/self/status", preexec_fn=prepare, timeout=20)
    equal(outcome.code, 0, repr(outcome))
    equal(masks(outcome.text), EMPTY)
    record = t.run("sh", "-c", "exit 6", options=("--json",), preexec_fn=prepare, timeout=20).record
    equal(record["exit_code"], 6)
    equal(t.sh("sleep 30", "--timeout", "200ms", "--grace", "200ms", preexec_fn=prepare, timeout=20).code, 124)


@test("signals that were ignored at the start of hutch stay ignored: nohup survives a hangup")
def _(t):
    process = started(t, "sleep 0.6; echo survived; exit 2", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    process.send_signal(signal.SIGHUP)
    code, out, _ = ended(process)
    equal((code, out), (2, "survived\n"))


@test("blocked signals are not lost, and hutch can still be ended")
def _(t):
    process = started(t, "trap 'exit 8' TERM; @ while :; do sleep 0.05; done", preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]))
    process.send_signal(signal.SIGTERM)
    equal(ended(process)[0], 8)


@test("the command is in a session and process group of its own, without the caller's terminal")
def _(t):
    text = t.good("ps -o pid=,pgid=,sid=,tty= -p $$ 2>/dev/null || cut -d' ' -f1,5,6,7 /proc/$$/stat")
    pid, group, session, tty = text.split()
    equal((group, session), (pid, pid))
    true(tty in ("?", "0"), tty)


sys.exit(main())
