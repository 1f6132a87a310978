# SPDX-License-Identifier: Apache-2.0
"""Terminals: a pty of the test's own plays the user's terminal, with hutch as a foreground job of a session on it."""

import fcntl
import pty
import select
import struct
import termios

from tap import *

CTRL_C, CTRL_D, CTRL_Z, CTRL_BACKSLASH = b"\x03", b"\x04", b"\x1a", b"\x1c"


def modes_of(fd):
    return termios.tcgetattr(fd)


def is_raw(fd):
    return not modes_of(fd)[3] & (termios.ICANON | termios.ISIG | termios.ECHO)


# The session's leader, as a shell with job control is one: it starts hutch as a job, says when the job has stopped, and continues it.
LEADER = r"""
import fcntl, os, signal, sys, termios
terminal, status, orders, background = map(int, sys.argv[1:5])
fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
hold, go = os.pipe()
pid = os.fork()
if pid == 0:
    os.setpgid(0, 0)
    os.close(go)
    os.read(hold, 1)
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.closerange(3, 100)
    os.execv(sys.argv[5], sys.argv[5:])
os.setpgid(pid, pid)
if not background:
    os.tcsetpgrp(terminal, pid)
os.write(status, b"%d\n" % pid)
os.close(hold)
os.close(go)
while True:
    _, code = os.waitpid(pid, os.WUNTRACED)
    if not os.WIFSTOPPED(code):
        break
    os.tcsetpgrp(terminal, os.getpgrp())
    os.write(status, b"S")
    if os.read(orders, 1) == b"f":
        os.tcsetpgrp(terminal, pid)
    os.killpg(pid, signal.SIGCONT)
os.tcsetpgrp(terminal, os.getpgrp())
if os.WIFSIGNALED(code):
    signal.signal(os.WTERMSIG(code), signal.SIG_DFL) if os.WTERMSIG(code) != 9 else None
    os.kill(os.getpid(), os.WTERMSIG(code))
os._exit(os.WEXITSTATUS(code))
"""


class Terminal:
    """A user at a terminal. `streams` of hutch are the terminal, the others what is given in `other`."""

    def __init__(self, t, *words, streams=(0, 1, 2), other=None, rows=24, columns=80, background=False):
        self.t = t
        self.seen = b""
        self.master, self.slave = pty.openpty()
        self.status, status = os.pipe()
        orders, self.orders = os.pipe()
        t.undo.append(self.close)
        self.fds = (self.master, self.slave, self.status, self.orders)
        self.resize(rows, columns)
        self.before = modes_of(self.slave)
        fds = {0: subprocess.DEVNULL, 1: subprocess.DEVNULL, 2: subprocess.DEVNULL}
        fds.update(other or {})
        fds.update({fd: self.slave for fd in streams})
        self.process = t.popen("-I", "-c", LEADER, str(self.slave), str(status), str(orders), str(int(background)), HUTCH, *words, program=sys.executable,
                               stdin=fds[0], stdout=fds[1], stderr=fds[2], pass_fds=(self.slave, status, orders), start_new_session=True,
                               env=environment(TERM="xterm-256color"))
        os.close(status)
        os.close(orders)
        line = b""
        while not line.endswith(b"\n"):
            byte = os.read(self.status, 1)
            true(byte, "the leader has not started hutch: %s" % short(self.seen))
            line += byte
        self.pid = int(line)

    def has_stopped(self, seconds=5):
        """The job has stopped itself within that time."""
        deadline = time.monotonic() + seconds
        while not select.select([self.status], [], [], 0)[0]:
            if time.monotonic() > deadline:
                raise Failure("hutch has not stopped itself; seen: %s" % short(self.seen[-200:]))
            self.read(0.02)
        equal(os.read(self.status, 1), b"S", "hutch has ended instead")

    def foreground(self):
        os.write(self.orders, b"f")

    def send_signal(self, number):
        os.kill(self.pid, number)

    def close(self):
        fds, self.fds = self.fds, ()
        for fd in fds:
            os.close(fd)

    def resize(self, rows, columns):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds=0.0):
        """What has come within that time."""
        if select.select([self.master], [], [], seconds)[0]:
            try:
                data = os.read(self.master, 65536)
            except OSError:
                data = b""
            self.seen += data
            return data
        return b""

    def expect(self, part, seconds=8):
        """Reads until `part` has come, and forgets all up to its end."""
        deadline = time.monotonic() + seconds
        while part not in self.seen:
            if time.monotonic() > deadline:
                raise Failure("%s has not come within %s s, but %s" % (short(part), seconds, short(self.seen)))
            self.read(0.05)
        before, _, self.seen = self.seen.partition(part)
        return before

    def type(self, data):
        os.write(self.master, data)

    def end(self, seconds=8):
        """The exit code; all output is read on the way."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                raise Failure("still running after %s s; seen: %s" % (seconds, short(self.seen)))
            self.read(0.02)
        while self.read(0.05):
            pass
        return self.process.returncode

    def restored(self, what="terminal modes"):
        equal(modes_of(self.slave), self.before, what)


def run(t, script, *options, notices="-q", **more):
    return Terminal(t, "run", notices, *options, "--", "sh", "-c", script, **more)


# ---- whose terminal ----------------------------------------------------------------------------------------------------


@test("the command has a terminal of its own, not the caller's")
def _(t):
    terminal = run(t, "tty; ls /dev/pts; test -t 0 && test -t 1 && test -t 2 && echo all three; ls -l /proc/self/fd | grep -c pts; : </dev/tty && echo tty opens")
    equal(terminal.end(), 0)
    text = terminal.seen.decode()
    contains(text, "/dev/pts/0\r\n")
    contains(text, "all three\r\n")
    contains(text, "tty opens\r\n")
    lacks(text.replace("/dev/pts/0", ""), "pts/")
    name = os.ttyname(terminal.slave)
    if name != "/dev/pts/0":
        lacks(text, name)
    terminal.restored()


@test("TERM is passed, and nothing else")
def _(t):
    terminal = run(t, "env | sort")
    equal(terminal.end(), 0)
    equal(terminal.seen.decode().replace("\r", ""),
          "HOME=/home/sandbox\nLANG=C.UTF-8\nPATH=%s\nPWD=%s\nTERM=xterm-256color\nUSER=sandbox\n" % (SYSTEM_PATH, t.dir))


@test("the size is passed on, and its changes")
def _(t):
    terminal = run(t, "stty size; trap 'stty size' WINCH; echo ready; while :; do sleep 0.05; done", rows=33, columns=101)
    terminal.expect(b"33 101\r\n")
    terminal.expect(b"ready\r\n")
    for rows, columns in ((50, 132), (10, 20), (500, 1000)):
        terminal.resize(rows, columns)
        terminal.expect(b"%d %d\r\n" % (rows, columns))
    terminal.type(CTRL_C)
    equal(terminal.end(), 130)
    terminal.restored()


@test("exit codes come through; the terminal is as before")
def _(t):
    for script, code in (("exit 0", 0), ("exit 3", 3), ("exit 255", 255), ("kill -9 $$", 137), ("kill -SEGV $$", 139)):
        terminal = run(t, script)
        equal(terminal.end(), code, script)
        terminal.restored(script)
    terminal = Terminal(t, "run", "--", "/nowhere")
    equal(terminal.end(), 127)
    contains(terminal.seen, b"hutch: cannot execute")
    terminal.restored()


@test("notices are shown at a terminal, without -q")
def _(t):
    for option, shown in (("--check", True), ("-v", True), ("-q", False)):
        terminal = run(t, "echo x >new", notices=option)
        equal(terminal.end(), 0)
        equal(b"--save DIR" in terminal.seen, shown, "notice with %s: %r" % (option, terminal.seen))


@test("input comes as typed, line by line; ^D ends it")
def _(t):
    terminal = run(t, "echo ready; cat; echo over")
    terminal.expect(b"ready\r\n")
    terminal.type(b"one\n")
    equal(terminal.expect(b"one\r\none\r\n"), b"", "echoed once, by the terminal inside")
    terminal.type(b"tw\x7fwo\n")
    terminal.expect(b"two\r\n")
    terminal.type(CTRL_D)
    terminal.expect(b"over\r\n")
    equal(terminal.end(), 0)


@test("what is typed ahead is not lost")
def _(t):
    terminal = run(t, "sleep 0.5; read line; echo \"got $line\"")
    terminal.type(b"early\n")
    terminal.expect(b"got early\r\n")
    equal(terminal.end(), 0)


# ---- keys that make signals --------------------------------------------------------------------------------------------


@test("^C interrupts the command inside, and hutch ends with its code")
def _(t):
    terminal = run(t, "echo ready; exec sleep 60")
    terminal.expect(b"ready\r\n")
    wait_until(lambda: is_raw(terminal.slave), 3, "the terminal is raw")
    terminal.type(CTRL_C)
    equal(terminal.end(), 130)
    terminal.restored()


@test("^C and ^\\ reach a command that handles them; hutch goes on")
def _(t):
    terminal = run(t, "trap 'echo interrupted' INT; trap 'echo quit' QUIT; echo ready; while :; do sleep 0.05; done")
    terminal.expect(b"ready\r\n")
    for key, word in ((CTRL_C, b"interrupted\r\n"), (CTRL_BACKSLASH, b"quit\r\n"), (CTRL_C, b"interrupted\r\n")):
        terminal.type(key)
        terminal.expect(word)
    equal(terminal.process.poll(), None)
    terminal.send_signal(signal.SIGTERM)
    equal(terminal.end(), 143)
    terminal.restored()


@test("^C interrupts the foreground job only, not the shell inside")
def _(t):
    terminal = run(t, "trap : INT; echo ready; sleep 60; echo after; exit 4")
    terminal.expect(b"ready\r\n")
    time.sleep(0.2)
    terminal.type(CTRL_C)
    terminal.expect(b"after\r\n")
    equal(terminal.end(), 4)


# No shell: one that is stopped between vfork and exec of its child has not stopped itself and is never told of, on any terminal.
TICK = "import sys,time\nprint('ready', flush=True)\nfor i in range(%d): time.sleep(0.03); print('tick', flush=True)\nsys.exit(3)"


@test("^Z stops hutch itself, with the terminal set back; continued, the command goes on")
def _(t):
    needs("python3")
    terminal = Terminal(t, "run", "-q", "--", "python3", "-c", TICK % 10000)
    terminal.expect(b"ready\r\n")
    for _ in range(2):
        terminal.expect(b"tick\r\n")
        wait_until(lambda: is_raw(terminal.slave), 3, "the terminal is raw")
        terminal.type(CTRL_Z)
        terminal.has_stopped()
        terminal.restored("modes while it is stopped")
        while terminal.read(0.2):
            pass
        equal(terminal.read(0.4), b"", "nothing is written while it is stopped")
        terminal.seen = b""
        terminal.foreground()
    terminal.expect(b"tick\r\n")
    terminal.type(CTRL_C)
    equal(terminal.end(), 130)
    terminal.restored()


def interactive(t, shell):
    """A shell with job control inside."""
    needs(shell)
    terminal = Terminal(t, "run", "-e", "PS1=prompt> ", "--", *([shell, "--norc", "--noprofile", "-i"] if shell == "bash" else [shell, "-i"]))
    terminal.expect(b"prompt> ")
    terminal.type(b"sleep 60\n")
    terminal.expect(b"sleep 60\r\n")
    time.sleep(0.3)
    terminal.type(CTRL_Z)
    terminal.expect(b"prompt> ")
    equal(terminal.process.poll(), None, "^Z stopped the job inside, not hutch")
    terminal.type(b"jobs\n")
    contains(terminal.expect(b"prompt> "), b"Stopped")
    terminal.type(b"fg\n")
    time.sleep(0.3)
    terminal.type(CTRL_C)
    terminal.expect(b"prompt> ")
    terminal.type(b"echo code $?\n")
    terminal.expect(b"code 130\r\n")
    terminal.type(b"sleep 61 & echo st\"arted\"\n")
    terminal.expect(b"started")
    time.sleep(0.3)  # until it is sleep, and no longer a shell that ignores signals
    terminal.type(b"kill %1; wait; exit 7\n")
    equal(terminal.end(), 7)
    terminal.restored()


@test("job control inside: sh")
def _(t):
    interactive(t, "sh")


@test("job control inside: bash, without complaints")
def _(t):
    interactive(t, "bash")
    terminal = Terminal(t, "run", "--", "bash", "--norc", "--noprofile", "-i")
    terminal.expect(b"$ ")
    lacks(terminal.seen, b"no job control")
    terminal.type(CTRL_D)
    equal(terminal.end(), 0)
    lacks(terminal.seen, b"cannot set terminal process group")


# ---- the terminal is set back ------------------------------------------------------------------------------------------


@test("the terminal is set back: after raw mode inside, a timeout, TERM, HUP, a crash of hutch's, its lifetime")
def _(t):
    terminal = run(t, "stty raw -echo; exit 0")
    equal(terminal.end(), 0)
    terminal.restored("the command had set raw mode on its own terminal")
    terminal = run(t, "echo ready; trap '' TERM; sleep 60; sleep 60", "--timeout", "400ms", "--grace", "300ms")
    equal(terminal.end(), 124)
    terminal.restored("timeout")
    for signo, code in ((signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130), (signal.SIGQUIT, 131), (signal.SIGUSR1, -signal.SIGUSR1),
                        (signal.SIGALRM, -signal.SIGALRM), (signal.SIGABRT, -signal.SIGABRT)):
        terminal = run(t, "echo ready; exec sleep 60")
        terminal.expect(b"ready\r\n")
        wait_until(lambda: is_raw(terminal.slave), 3, "the terminal is raw")
        terminal.send_signal(signo)
        equal(terminal.end(), code, signo)
        terminal.restored("after %s" % signo)
    terminal = run(t, "sleep 60", "--lifetime", "300ms")
    terminal.end()
    terminal.restored("lifetime")


@test("a hangup of the terminal ends the sandbox")
def _(t):
    terminal = run(t, "trap '' HUP; echo ready; sleep 300; : %s" % t.token, "--grace", "500ms")
    terminal.expect(b"ready\r\n")
    terminal.close()
    terminate(terminal.process, 8)
    wait_until(lambda: process_field(terminal.pid, "State")[:1] in ("", "Z"), 8, "hutch has ended")
    gone(t.token)


# ---- some streams are a terminal ---------------------------------------------------------------------------------------


def lines(terminal):
    """Where the user's terminal is not raw it adds CRs of its own, which do no harm."""
    return terminal.seen.replace(b"\r", b"")


@test("stdin a terminal, stdout a pipe: the pipe is passed as it is, without CR")
def _(t):
    read, write = os.pipe()
    terminal = run(t, "test -t 0 && echo stdin; test -t 1 || echo no stdout; test -t 2 && echo stderr; read x; echo \"got $x\"", streams=(0, 2), other={1: write})
    os.close(write)
    terminal.type(b"word\n")
    equal(terminal.end(), 0)
    with os.fdopen(read, "rb") as file:
        equal(file.read(), b"stdin\nno stdout\nstderr\ngot word\n")
    terminal.restored()


@test("stdout a file, stdin and stderr a terminal")
def _(t):
    with open(t.aside("out"), "wb") as file:
        terminal = run(t, "read x; echo \"got $x\"; echo told >&2; exit 2", streams=(0, 2), other={1: file})
        terminal.type(b"word\n")
        equal(terminal.end(), 2)
    equal(read_file(t.aside("out")), b"got word\n")
    contains(lines(terminal), b"told\n")


@test("stdin a file, stdout a terminal")
def _(t):
    t.write(t.aside("in"), "one\ntwo\n")
    with open(t.aside("in"), "rb") as file:
        terminal = run(t, "test -t 0 || echo no stdin; cat; test -t 1 && echo stdout", streams=(1, 2), other={0: file})
        equal(terminal.end(), 0)
    equal(lines(terminal), b"no stdin\none\ntwo\nstdout\n")
    terminal.restored()


@test("only stderr a terminal")
def _(t):
    read, write = os.pipe()
    terminal = run(t, "test -t 2 && echo yes; echo error >&2", streams=(2,), other={1: write})
    os.close(write)
    equal(terminal.end(), 0)
    with os.fdopen(read, "rb") as file:
        equal(file.read(), b"yes\n")
    contains(lines(terminal), b"error\n")


@test("-t: a terminal inside where the caller has none")
def _(t):
    outcome = t.sh("tty; test -t 0 && test -t 1 && test -t 2 && echo all; stty size", "-t", input=b"")
    equal((outcome.code, outcome.out), (0, b"/dev/pts/0\r\nall\r\n24 80\r\n"), repr(outcome))
    outcome = t.sh("cat; echo over", "-t", input=b"line\nrest")
    equal(outcome.code, 0, repr(outcome))
    contains(outcome.text, "over\r\n", "the end of the input is an end of file")


@test("--json at a terminal: output is captured, stdin is a terminal still")
def _(t):
    read, write = os.pipe()
    terminal = run(t, "test -t 0 && echo stdin; test -t 1 || echo captured; read x; echo $x", "--json", streams=(0, 2), other={1: write})
    os.close(write)
    terminal.type(b"word\n")
    equal(terminal.end(), 0)
    with os.fdopen(read, "rb") as file:
        equal(one_document(file.read())["stdout"], "stdin\ncaptured\nword\n")


@test("^Z and fg in a pipeline: hutch run | a program that reads its pipe")
def _(t):
    read, write = os.pipe()
    terminal = run(t, "while read x; do echo \"got $x\"; done; echo over", streams=(0, 2), other={1: write})
    os.close(write)
    with os.fdopen(read, "rb", buffering=0) as file:
        terminal.type(b"one\n")
        equal(file.read(8), b"got one\n")
        terminal.type(CTRL_Z)
        terminal.has_stopped()
        terminal.restored("modes while it is stopped")
        terminal.foreground()
        wait_until(lambda: is_raw(terminal.slave), 3, "the terminal is raw again")
        terminal.type(b"two\n")
        equal(file.read(8), b"got two\n")
        terminal.type(CTRL_D)
        equal(terminal.end(), 0)
        equal(file.read(), b"over\n")


@test("where nobody could continue it (no shell), ^Z does not stop anything for good")
def _(t):
    needs("python3")
    for stubborn in ("", "import signal; signal.signal(signal.SIGTSTP, signal.SIG_IGN); "):
        master, slave = pty.openpty()
        t.undo.append(lambda master=master, slave=slave: (os.close(master), os.close(slave)))
        process = t.popen("run", "--", "python3", "-c", stubborn + TICK % 60, stdin=slave,
                          stdout=slave, stderr=slave, start_new_session=True, preexec_fn=lambda slave=slave: fcntl.ioctl(slave, termios.TIOCSCTTY, 0))
        seen = b""
        deadline = time.monotonic() + 12
        typed = False
        while process.poll() is None and time.monotonic() < deadline:
            if select.select([master], [], [], 0.05)[0]:
                seen += os.read(master, 65536)
            if not typed and b"tick" in seen and is_raw(slave):
                os.write(master, CTRL_Z)
                typed = True
        equal(process.poll(), 3, "exit code; seen %s" % short(seen[-100:]))


# ---- in the background -------------------------------------------------------------------------------------------------


@test("in the background: a command that does not read runs to its end, and the terminal's modes are let alone")
def _(t):
    terminal = run(t, "echo from behind; exit 3", background=True)
    equal(terminal.end(), 3)
    contains(terminal.seen, b"from behind")
    terminal.restored()


@test("in the background: what the user types is not taken away")
def _(t):
    terminal = run(t, "sleep 0.8; exit 0", background=True)
    time.sleep(0.3)
    terminal.restored("modes")
    terminal.type(b"for the shell\n")
    equal(terminal.end(), 0)
    os.set_blocking(terminal.slave, False)
    equal(os.read(terminal.slave, 100), b"for the shell\n")


@test("brought from the background to the foreground, it takes the keys")
def _(t):
    terminal = run(t, "read x; echo \"got $x\"; exit 6", background=True)
    time.sleep(0.4)
    true(not is_raw(terminal.slave), "not its terminal yet")
    terminal.send_signal(signal.SIGTSTP)
    terminal.has_stopped()
    terminal.foreground()
    wait_until(lambda: is_raw(terminal.slave), 3, "the terminal is raw")
    terminal.type(b"word\n")
    terminal.expect(b"got word")
    equal(terminal.end(), 6)
    terminal.restored()


# ---- bytes ---------------------------------------------------------------------------------------------------------------


@test("10 MiB through the terminal come out byte by byte")
def _(t):
    data = bytes((i * 7 + i // 251) % 95 + 32 if i % 77 else 10 for i in range(1 << 20)) * 10
    t.write("data", data)
    terminal = run(t, "cat data")
    deadline = time.monotonic() + 60
    chunks = []
    while terminal.process.poll() is None and time.monotonic() < deadline:
        chunks.append(terminal.read(0.05))
        terminal.seen = b""
    while True:
        chunk = terminal.read(0.2)
        if not chunk:
            break
        chunks.append(chunk)
    equal(terminal.process.poll(), 0)
    true(b"".join(chunks).replace(b"\r\n", b"\n") == data, "what came differs: %d bytes of %d" % (len(b"".join(chunks)), len(data)))


@test("raw bytes of all values, both ways")
def _(t):
    needs("python3")
    script = "import os,tty,sys\ntty.setraw(0)\nos.write(1,b'ready')\nn=b''\nwhile len(n)<256: n+=os.read(0,256)\nos.write(1,n)\n"
    terminal = Terminal(t, "run", "--", "python3", "-c", script)
    terminal.expect(b"ready")
    data = bytes(range(256))
    terminal.type(data)
    deadline = time.monotonic() + 5
    while len(terminal.seen) < 256 and time.monotonic() < deadline:
        terminal.read(0.1)
    equal(terminal.seen, data)
    equal(terminal.end(), 0)


def cpu_seconds(pid):
    fields = read_file("/proc/%d/stat" % pid).rsplit(b")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@test("no busy waiting: idle, with a terminal that takes nothing, with input that nobody reads")
def _(t):
    for script, keys in (("echo ready; sleep 60", b""), ("echo ready; yes", b""), ("echo ready; sleep 60", b"x" * 3000 + b"\n")):
        terminal = run(t, script)
        terminal.expect(b"ready")
        if keys:
            terminal.type(keys)
        time.sleep(0.3)
        before = cpu_seconds(terminal.pid)
        time.sleep(1.0)
        within(cpu_seconds(terminal.pid) - before, 0, 0.05, "CPU seconds of hutch in one second (%s)" % script)
        terminal.send_signal(signal.SIGKILL)
        terminal.end()
        terminal.close()


@test("a terminal that is slow to read loses nothing at the end")
def _(t):
    terminal = run(t, "i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i+1)); done")
    time.sleep(0.7)
    equal(terminal.end(), 0)
    equal(terminal.seen.replace(b"\r\n", b"\n"), b"".join(b"line %d\n" % i for i in range(5000)))


# ---- tricks ------------------------------------------------------------------------------------------------------------


@test("keys cannot be pushed into a terminal from inside (TIOCSTI), nor the console's")
def _(t):
    needs("python3")
    script = ("import fcntl,termios\n"
              "for fd in (0, 1, 2):\n"
              "  for call, value in ((termios.TIOCSTI, b'x'), (0x541C, b'\\3'), (0x5412 | 1 << 40, b'y')):\n"
              "    try: fcntl.ioctl(fd, call & 0xffffffff if call < 1 << 32 else 0x5412, value); print('pushed')\n"
              "    except OSError as error: print('refused', error.errno)\n")
    terminal = Terminal(t, "run", "--", "python3", "-c", script)
    equal(terminal.end(), 0)
    lacks(terminal.seen, b"pushed")
    equal(terminal.seen.count(b"refused"), 9)
    os.set_blocking(terminal.slave, False)
    try:
        equal(os.read(terminal.slave, 10), b"", "keys in the caller's terminal")
    except BlockingIOError:
        pass


@test("the caller's controlling terminal cannot be opened by the command, with no stream being one")
def _(t):
    terminal = run(t, "(: </dev/tty) 2>/dev/null && echo opened || echo refused", streams=(), other={1: open(t.aside("out"), "wb")})
    equal(terminal.end(), 0)
    equal(read_file(t.aside("out")), b"refused\n")


@test("what hutch itself prints holds no control sequences of the command's")
def _(t):
    terminal = Terminal(t, "run", "--diff", "--", "sh", "-c", "echo x >\"$(printf 'evil\\033]0;title\\007name')\"")
    equal(terminal.end(), 0)
    lacks(terminal.seen, b"\x1b]0")
    contains(terminal.seen, b"evil\\x1b]0;title\\x07name")
    terminal = Terminal(t, "run", "--", b"/no\x1b[31msuch")
    equal(terminal.end(), 127)
    lacks(terminal.seen, b"\x1b[31m")


sys.exit(main())
