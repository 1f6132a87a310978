# SPDX-License-Identifier: Apache-2.0
"""hutch shell and hutch exec -t, typed at: a pseudo-terminal stands for the user's, and what hutch does to it is looked at."""

import fcntl
import pty
import select
import struct
import termios

from tap import *

PROMPT = "hutch-test$ "


class Screen:
    """A program on a terminal of its own. It is the leader of the terminal's session, as a login shell is."""

    def __init__(self, t, *command, rows=24, columns=80):
        self.output = b""
        self.mark = 0
        self.status = None
        env = environment(TERM="xterm", PS1=PROMPT, HISTFILE="")
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.chdir(t.dir)
                os.execve(command[0], list(command), env)
            finally:
                os._exit(255)
        self.resize(rows, columns)
        t.undo.append(self.close)

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.fd, text.encode())

    def _read(self, seconds):
        if not select.select([self.fd], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            data = b""
        self.output += data
        return bool(data)

    def expect(self, pattern, seconds=10):
        """Waits until what was printed since the last match has `pattern` in it; the match."""
        deadline = time.monotonic() + seconds
        while True:
            text = self.output[self.mark:].decode("utf-8", "replace")
            found = re.search(pattern, text)
            if found:
                self.mark += len(text[:found.end()].encode())
                return found
            left = deadline - time.monotonic()
            if left <= 0 or (not self._read(left) and time.monotonic() < deadline and self.poll() is not None):
                raise Failure("%r does not come; on the screen: %s" % (pattern, short(self.output[-1500:])))

    def poll(self):
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status

    def wait(self, seconds=10):
        deadline = time.monotonic() + seconds
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise Failure("still running; on the screen: %s" % short(self.output[-1500:]))
            self._read(0.05)
        while self._read(0):
            pass
        return self.status

    def modes(self):
        """stty -g, and whether the terminal echoes, edits lines and makes signals."""
        modes = termios.tcgetattr(self.fd)
        return modes, tuple(bool(modes[3] & flag) for flag in (termios.ECHO, termios.ICANON, termios.ISIG))

    def close(self):
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1


COOKED, RAW = (True, True, True), (False, False, False)


def start(t, *words):
    outcome = t.hutch("start", *words)
    equal(outcome.code, 0, "hutch start %s (%r)" % (words, outcome))
    box = outcome.text.strip()
    t.undo.append(lambda: t.hutch("rm", "-f", box))
    return box


def shell(t, box, *command):
    """hutch shell without a surrounding shell; with a prompt that is known."""
    screen = Screen(t, HUTCH, "shell", "-e", "PS1=" + PROMPT, box, *(command or ("bash", "--norc", "--noprofile", "--noediting")))
    screen.expect(re.escape(PROMPT))
    return screen


def user_shell(t):
    """A shell with job control on a terminal, as the user of hutch has it."""
    screen = Screen(t, "/bin/bash", "--norc", "--noprofile", "--noediting", "-i")
    screen.expect(re.escape(PROMPT))
    screen.type("set +m; set -m; hutch() { '%s' \"$@\"; }\r" % HUTCH)
    screen.expect(re.escape(PROMPT))
    return screen


# ---- the shell -------------------------------------------------------------------------------------------------------


@test("a prompt, a command, an exit code; the terminal is as before")
def _(t):
    box = start(t)
    screen = Screen(t, "/bin/sh", "-c", 'stty -g; "$0" shell -e PS1="$1" "$2" bash --norc --noprofile --noediting; echo "code $?"; stty -g', HUTCH, PROMPT, box)
    before = screen.expect(r"([0-9a-f:]{30,})\r\n")[1]
    screen.expect(re.escape(PROMPT))
    equal(screen.modes()[1], RAW)
    screen.type("echo $((6 * 7)) $TERM $(tty)\r")
    screen.expect(r"\r\n42 xterm /dev/pts/\d+\r\n")
    screen.expect(re.escape(PROMPT))
    screen.type("exit 33\r")
    screen.expect(r"code 33\r\n")
    equal(screen.expect(r"([0-9a-f:]{30,})\r\n")[1], before, "stty -g")
    equal(screen.wait(), 0)


@test("without a command: bash if there is one, else sh")
def _(t):
    box = start(t)
    screen = Screen(t, HUTCH, "shell", box)
    screen.type("echo shell=$0 home=$HOME; exit 5\r")
    found = screen.expect(r"shell=(\S+) home=(\S+)\r\n")
    contains(("bash", "sh", "/bin/sh"), found[1])
    equal(found[1] == "bash", bool(shutil.which("bash", path="/usr/bin:/bin")), found[1])
    equal(screen.wait(), 5)


@test("a shell without a terminal: keys from a pipe, and with --json captured")
def _(t):
    box = start(t)
    outcome = t.hutch("shell", box, "sh", input=b"echo out; exit 6\n")
    equal(outcome.code, 6)
    contains(outcome.text, "out\r\n")
    outcome = t.hutch("shell", "--json", box, input=b"echo out; exit 7\n")
    equal((outcome.code, outcome.record["stdout"], outcome.record["exit_code"]), (7, "out\n", 7))


@test("the size is the terminal's, and follows it")
def _(t):
    box = start(t)
    screen = Screen(t, HUTCH, "shell", "-e", "PS1=" + PROMPT, box, "bash", "--norc", "--noprofile", "--noediting", rows=33, columns=101)
    screen.expect(re.escape(PROMPT))
    screen.type("stty size\r")
    screen.expect(r"\n33 101\r\n")
    screen.resize(44, 55)
    wait_until(lambda: (screen.type("stty size\r"), screen.expect(r"(\d+ \d+)\r\n"))[1][1] == "44 55", 5, "the new size is inside")
    screen.type("exec sh -c \"trap 'echo got WINCH; exit 9' WINCH; echo ready; while :; do sleep 0.05; done\"\r")
    screen.expect(r"ready\r\n")
    screen.resize(25, 80)
    screen.expect(r"got WINCH\r\n")
    equal(screen.wait(), 9)


@test("^C ends what runs inside, and neither the shell nor hutch")
def _(t):
    screen = shell(t, start(t))
    screen.type("sleep 1000\r")
    screen.expect("sleep 1000\r\n")
    time.sleep(0.3)
    screen.type("\x03")
    screen.expect(re.escape(PROMPT))
    screen.type("echo code $?\r")
    screen.expect(r"\ncode 130\r\n")
    screen.type("\x04")
    screen.wait()


@test("^Z and job control inside are the inner shell's")
def _(t):
    screen = shell(t, start(t))
    screen.type("sleep 1000\r")
    screen.expect("sleep 1000\r\n")
    time.sleep(0.3)
    screen.type("\x1a")
    screen.expect("Stopped")
    screen.expect(re.escape(PROMPT))
    equal(screen.poll(), None)
    screen.type("jobs; fg\r")
    screen.expect(r"Stopped\s+sleep 1000[\s\S]*sleep 1000\r\n")
    time.sleep(0.3)
    screen.type("\x03")
    screen.expect(re.escape(PROMPT))
    screen.type("sleep 1000 & kill %1; wait; exit 3\r")
    equal(screen.wait(), 3)


@test("two shells in one sandbox do not disturb each other")
def _(t):
    box = start(t)
    one, two = shell(t, box), shell(t, box)
    one.type("echo from one >/tmp/x; sleep 1000\r")
    one.expect("sleep 1000\r\n")
    wait_until(lambda: (two.type("cat /tmp/x\r"), two.expect(r"(from one|No such file)"))[1][1] == "from one", 5, "the file is there")
    two.type("exit 2\r")
    equal(two.wait(), 2)
    time.sleep(0.2)
    one.type("\x03")
    one.expect(re.escape(PROMPT))
    one.type("exit 1\r")
    equal(one.wait(), 1)


# ---- exec with a terminal --------------------------------------------------------------------------------------------


@test("exec: a terminal inside where hutch has one, pipes where it has pipes")
def _(t):
    box = start(t)
    screen = Screen(t, HUTCH, "exec", "-it", box, "sh", "-c", "for fd in 0 1 2; do test -t $fd && echo tty $fd; done; exit 4")
    screen.expect("tty 0\r\ntty 1\r\ntty 2\r\n")
    equal(screen.wait(), 4)
    screen = Screen(t, "/bin/sh", "-c", '"$0" exec "$1" sh -c "test -t 0 && test ! -t 1 && test -t 2 && echo mixed" | cat', HUTCH, box)
    screen.expect("mixed\r\n")
    equal(screen.wait(), 0)
    screen = Screen(t, HUTCH, "exec", box, "test", "-t", "0")
    equal(screen.wait(), 0)


@test("^Z stops the command and hutch; the terminal is set back; fg continues both")
def _(t):
    box = start(t)
    screen = user_shell(t)
    before = screen.modes()[0]
    screen.type("hutch exec -t %s sh -c 'echo ready; while :; do read line && echo got $line; done'\r" % box)
    screen.expect(r"\nready\r\n")
    equal(screen.modes()[1], RAW)
    for turn in range(3):
        screen.type("\x1a")
        screen.expect("Stopped")
        screen.expect(re.escape(PROMPT))
        equal(screen.modes()[0], before, "the modes of the terminal while it is stopped")
        screen.type("echo turn %d\r" % turn)
        screen.expect(r"turn %d\r\n" % turn)
        screen.type("fg\r")
        screen.expect("hutch")
        wait_until(lambda: screen.modes()[1] == RAW, 5, "the terminal is raw again")
        screen.type("line%d\r" % turn)
        screen.expect("got line%d" % turn)
    screen.type("\x03")
    screen.expect(re.escape(PROMPT))
    screen.type("echo code $?\r")
    screen.expect("code 130")
    screen.expect(re.escape(PROMPT))
    equal(screen.modes()[0], before, "the modes of the terminal")
    screen.type("exit 0\r")
    equal(screen.wait(), 0)


@test("while a command is stopped by ^Z, others in the sandbox go on")
def _(t):
    box = start(t)
    screen = user_shell(t)
    screen.type("hutch exec -t %s sh -c 'echo ready; sleep 1000'\r" % box)
    screen.expect(r"\nready\r\n")
    time.sleep(0.3)  # stopped between vfork and exec, a child keeps its parent from stopping; so it is without hutch
    screen.type("\x1a")
    screen.expect("Stopped")
    screen.expect(re.escape(PROMPT))
    outcome = t.hutch("exec", box, "echo", "still here", timeout=5)
    equal((outcome.code, outcome.text), (0, "still here\n"))
    screen.type("kill %1; fg\r")
    screen.expect(re.escape(PROMPT))
    screen.type("echo code $?\r")
    screen.expect(r"code \d+")
    screen.type("exit 0\r")
    equal(screen.wait(), 0)


@test("the terminal is set back whatever ends the command")
def _(t):
    for end in ("stop", "kill", "rm -f"):
        box = start(t)
        screen = shell(t, box)
        equal(screen.modes()[1], RAW)
        t.hutch(*end.split(), box)
        code = screen.wait()
        true(code not in (0, None), "%s: exit code %s" % (end, code))
        equal(screen.modes()[1], COOKED, end)


@test("the terminal is set back when hutch is ended by a signal")
def _(t):
    box = start(t)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGSEGV):
        screen = shell(t, box, "sh", "-i")
        equal(screen.modes()[1], RAW)
        os.kill(screen.pid, number)
        screen.wait()
        equal(screen.modes()[1], COOKED, str(number))
    equal(t.hutch("exec", box, "true").code, 0, "the sandbox goes on")


@test("when the terminal goes away, so does the command")
def _(t):
    box = start(t)
    token = t.token + "-x"
    screen = shell(t, box)
    screen.type("sh -c 'sleep 1000; : %s'\r" % token)
    wait_until(lambda: holders(token), 5, "it runs")
    os.close(screen.fd)
    screen.fd = -1
    gone(token, 5)
    wait_until(lambda: screen.poll() is not None, 5, "hutch ends")
    equal(t.hutch("exec", box, "true").code, 0, "the sandbox goes on")


@test("the caller's terminal is not there inside")
def _(t):
    screen = shell(t, start(t))
    screen.type("ls -l /proc/self/fd /dev/tty; tty; readlink /proc/self/fd/0\r")
    inside = screen.expect(r"\n(/dev/pts/\d+)\r\n[\s\S]*\1\r\n")[1]
    screen.type("stat -c %d /proc/self/fd/0/. ; stat -L -c 'device %d' /proc/self/fd/0\r")
    device = int(screen.expect(r"device (\d+)")[1])
    true(device != os.fstat(screen.fd).st_dev, "%s is of another devpts" % inside)
    screen.type("exit\r")
    screen.wait()


sys.exit(main())
