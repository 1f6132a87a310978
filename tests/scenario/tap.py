# SPDX-License-Identifier: Apache-2.0
"""A small harness for scenarios that drive the command line: tests are functions, the output is TAP.

    @test("a name")                 registered in the order of the file
    def _(t):                       t.dir is an empty directory of the test's own, removed afterwards
        equal(t.hutch("run", "--", "true").code, 0)

A test fails by an exception (the helpers below raise Failure with what was expected), and skips with skip("reason"). After
each test nothing that it started may be left: this program is the reaper of its orphans, so whatever a dead hutch leaves
behind turns up as a child of ours.
"""

import ctypes
import errno
import glob
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = os.geteuid() == 0
HUTCH = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else os.environ.get("HUTCH", "hutch")
PATTERN = sys.argv[2] if len(sys.argv) > 2 else ""  # by hand: only the tests with this in their name
TOKEN = "hutch-scenario-%d-%s" % (os.getpid(), os.urandom(4).hex())
TEST_SECONDS = 120
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_tests = []
_base = None


class Failure(Exception):
    pass


class Skip(Exception):
    pass


def skip(reason):
    raise Skip(reason)


def test(name):
    def register(function):
        _tests.append((name, function))
        return function

    return register


def tests_of(name, cases):
    """One test for each of `cases`, a dict from a name to the arguments behind t."""

    def register(function):
        for key, arguments in cases.items():
            arguments = arguments if isinstance(arguments, tuple) else (arguments,)
            _tests.append(("%s: %s" % (name, key), lambda t, arguments=arguments: function(t, *arguments)))
        return function

    return register


# ---- what a test says ------------------------------------------------------------------------------------------------


def short(value):
    text = repr(value)
    return text if len(text) <= 2000 else "%s... (%d)" % (text[:2000], len(text))


def fail(message):
    raise Failure(message)


def true(condition, what):
    if not condition:
        raise Failure(what if isinstance(what, str) else "unexpected: %s" % short(what))


def equal(found, expected, what=""):
    if found != expected:
        raise Failure("%sfound %s instead of %s" % (what and "%s: " % (what,), short(found), short(expected)))


def contains(text, part, what=""):
    if part not in text:
        raise Failure("%s%s is not in %s" % (what and "%s: " % (what,), short(part), short(text)))


def lacks(text, part, what=""):
    if part in text:
        raise Failure("%s%s is in %s" % (what and "%s: " % (what,), short(part), short(text)))


def within(value, low, high, what):
    if not low <= value <= high:
        raise Failure("%s: %s is not between %s and %s" % (what, value, low, high))


def needs(*programs):
    for program in programs:
        if not shutil.which(program, path=SYSTEM_PATH):
            skip("this machine has no %s" % program)


def needs_root(why="it makes mounts or users"):
    if not ROOT:
        skip("only root can run this: %s" % why)


# ---- running hutch ---------------------------------------------------------------------------------------------------


class Outcome:
    """What became of a process: code (negative: the signal that ended it), out and err (bytes), seconds."""

    def __init__(self, code, out, err, seconds):
        self.code, self.out, self.err, self.seconds = code, out, err, seconds

    @property
    def text(self):
        return (self.out or b"").decode("utf-8", "surrogateescape")

    @property
    def errors(self):
        return (self.err or b"").decode("utf-8", "surrogateescape")

    @property
    def record(self):
        return one_document(self.out)

    def __repr__(self):
        return "exit code %s after %.2f s, stdout %s, stderr %s" % (self.code, self.seconds, short(self.out), short(self.err))


def one_document(data):
    """The JSON document that `data` consists of; an error if there is anything else."""
    try:
        return json.loads(data.decode("utf-8"))
    except ValueError as error:
        raise Failure("not exactly one JSON document (%s): %s" % (error, short(data))) from None


def environment(**changes):
    env = {"PATH": SYSTEM_PATH, "HOME": os.path.join(_base, "home"), "LANG": "C.UTF-8", "TMPDIR": _base}
    env.update(changes)
    return {name: value for name, value in env.items() if value is not None}


class Context:
    def __init__(self, directory):
        self.dir = directory  # the workspace, and the current directory of what is run
        self.side = directory + ".side"  # what must not be in the workspace
        os.mkdir(self.dir)
        os.mkdir(self.side)
        self.token = "%s-%s" % (TOKEN, os.path.basename(directory))
        self.started = []
        self.undo = []

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def aside(self, *names):
        return os.path.join(self.side, *names)

    def write(self, name, content="", mode=0o644):
        """A file of the workspace, or at an absolute path; its directories are made."""
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        os.chmod(path, mode)
        return path

    def popen(self, *arguments, program=None, cwd=None, env=None, **options):
        """A running hutch; it is killed when the test ends."""
        options.setdefault("stdin", subprocess.DEVNULL)
        process = subprocess.Popen([program or HUTCH] + list(arguments), cwd=cwd or self.dir,
                                   env=environment() if env is None else env, **options)
        self.started.append(process)
        return process

    def spawn(self, command, input=None, timeout=60, **options):
        """Runs a whole command line to its end."""
        if input is not None:
            options["stdin"] = subprocess.PIPE
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        start = time.monotonic()
        process = self.popen(*command[1:], program=command[0], **options)
        try:
            out, err = process.communicate(input, timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise Failure("not finished after %d s: %s" % (timeout, short(command))) from None
        return Outcome(process.returncode, out, err, time.monotonic() - start)

    def hutch(self, *arguments, **options):
        return self.spawn((HUTCH,) + arguments, **options)

    def run(self, *words, options=(), **more):
        """hutch run OPTIONS -- WORDS"""
        return self.hutch("run", *options, "--", *words, **more)

    def sh(self, script, *options, **more):
        """hutch run OPTIONS -- sh -c SCRIPT"""
        return self.hutch("run", *options, "--", "sh", "-c", script, **more)

    def good(self, script, *options, **more):
        """The same, and it must exit with 0; its stdout as text."""
        outcome = self.sh(script, *options, **more)
        equal(outcome.code, 0, "exit code (%r)" % outcome)
        return outcome.text

    def json(self, script, *options, **more):
        """The record of a shell script; hutch's exit code must be its returncode."""
        outcome = self.sh(script, "--json", *options, **more)
        record = outcome.record
        equal(outcome.code, record.get("returncode"), "exit code and returncode")
        return record

    def finish(self):
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    try:
                        stream.close()
                    except OSError:
                        pass
        for action in reversed(self.undo):
            action()
        left = orphans(3)
        remove_tree(self.dir)
        remove_tree(self.side)
        if left:
            raise Failure("left behind: %s" % "; ".join(left))


# What depends on who runs the tests and on what else this machine has done: keys are freed minutes after their sandbox.
ELSEWHERE = ("layer keyring is not in force", "the caller's supplementary groups")


def without_elsewhere(text):
    """Notices, a string or the record's list, without those that are not the test's doing."""
    if isinstance(text, list):
        return [line for line in text if not line.startswith(ELSEWHERE)]
    return "".join(line for line in text.splitlines(True) if not line.startswith(tuple("hutch: " + word for word in ELSEWHERE)))


# ---- processes -------------------------------------------------------------------------------------------------------


def read_file(path, default=b""):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return default


def process_field(pid, name):
    for line in read_file("/proc/%s/status" % pid).decode("utf-8", "replace").splitlines():
        if line.startswith(name + ":"):
            return line.split(":", 1)[1].strip()
    return ""


def pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def holders(token):
    """The processes of this machine that have `token` in their arguments, this one and hutch not counted."""
    found = []
    for pid in pids():
        arguments = read_file("/proc/%d/cmdline" % pid)
        if token.encode() in arguments and pid != os.getpid() and not arguments.startswith(HUTCH.encode() + b"\0"):
            found.append(pid)
    return found


def wait_until(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure("not within %s s: %s" % (seconds, what))
        time.sleep(0.01)


def gone(token, seconds=2):
    """Nothing with this token in its arguments is left."""
    wait_until(lambda: not holders(token), seconds, "all processes with %s are gone, but %s" % (token, holders(token)))


def _children():
    me = str(os.getpid())
    return [pid for pid in pids() if process_field(pid, "PPid") == me]


def orphans(seconds):
    """Reaps what was left to us; what is still alive after `seconds`, as texts. Only between tests: all are ours."""
    deadline = time.monotonic() + seconds
    while True:
        alive = []
        for pid in _children():
            try:
                ended, _ = os.waitpid(pid, os.WNOHANG)
            except OSError:
                ended = 0
            if not ended:
                alive.append(pid)
        if not alive:
            return []
        if time.monotonic() > deadline:
            break
        time.sleep(0.01)
    texts = []
    for pid in alive:
        texts.append("%d %s %s" % (pid, process_field(pid, "Name"), short(read_file("/proc/%d/cmdline" % pid))))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return texts


def terminate(process, seconds=5):
    """Waits for a process; its exit code."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        raise Failure("still running after %s s" % seconds) from None


# ---- files -----------------------------------------------------------------------------------------------------------


def remove_tree(path):
    for parent, directories, _ in os.walk(os.fsencode(path)):
        for name in directories:
            name = os.path.join(parent, name)
            try:
                if not ROOT and not os.path.islink(name):
                    os.chmod(name, 0o700)
            except OSError:
                pass  # too long for a name: rm knows how
    subprocess.run(["rm", "-rf", "--", path], check=False)  # knows no limit of depth


def snapshot(directory):
    """What a tree consists of: a dict from path to kind, mode, size or target and contents."""
    found = {}
    directory = os.fsencode(directory)
    for parent, directories, files in os.walk(directory):
        for name in directories + files:
            path = os.path.join(parent, name)
            st = os.lstat(path)
            content = None
            if stat.S_ISLNK(st.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(st.st_mode) and st.st_size < 1 << 20:
                content = read_file(path)
            found[os.path.relpath(path, directory)] = (stat.S_IFMT(st.st_mode), stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid, content,
                                                       st.st_mtime_ns if stat.S_ISREG(st.st_mode) else 0)
    return found


def state_files():
    """Files of hutch's that may not stay: in its run-time and state directories, lock files and caches left out, and kept
    sandboxes, which are somebody else's on this machine: no test here makes one."""
    home = os.path.join(_base, "home")
    places = [home + "/.local/state/hutch"] + (["/run/hutch", "/var/lib/hutch"] if ROOT else [])
    found = []
    for place in places:
        for path in glob.glob(place + "/**", recursive=True):
            if re.search("/run/hutch/[0-9a-f]{12}(/|$)", path):
                continue
            if not os.path.isdir(path) and not path.endswith(".lock") and not re.search("/(filters|ids)/", path):
                found.append(path)
            elif os.path.dirname(path).endswith("/upper"):
                found.append(path)
    return sorted(found)


# ---- all of it -------------------------------------------------------------------------------------------------------


def _alarm(signo, frame):
    raise Failure("not finished after %d s" % TEST_SECONDS)


def _run_one(function, number):
    context = Context(os.path.join(_base, "t%d" % number))
    result = None
    signal.alarm(TEST_SECONDS)
    try:
        function(context)
    except (Failure, Skip) as error:
        result = error
        if isinstance(error, Failure):
            frames = traceback.extract_tb(error.__traceback__)
            lines = [frame for frame in frames if not frame.filename.endswith("tap.py")] or frames
            result = Failure("%s:%d: %s" % (os.path.basename(lines[-1].filename), lines[-1].lineno, error))
    except Exception:
        result = Failure(traceback.format_exc())
    finally:
        signal.alarm(30)
        try:
            context.finish()
        except Failure as error:
            result = error if result is None or isinstance(result, Skip) else Failure("%s\n%s" % (result, error))
        signal.alarm(0)
    return result


def _report(number, name, result):
    if result is None:
        print("ok %d - %s" % (number, name))
    elif isinstance(result, Skip):
        print("ok %d - %s # SKIP %s" % (number, name, result))
    else:
        print("not ok %d - %s" % (number, name))
        for line in str(result).splitlines():
            print("#   " + line.encode("ascii", "backslashreplace").decode())
    sys.stdout.flush()


def main():
    global _base
    os.umask(0o022)
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    signal.signal(signal.SIGALRM, _alarm)
    for name in ("SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), lambda signo, frame: sys.exit(1))
    if not os.access(HUTCH, os.X_OK):
        print("Bail out! %s is no program that can be run" % HUTCH)
        return 1
    _base = os.path.realpath(tempfile.mkdtemp(prefix="hutch-scenario-"))
    failed = 0
    try:
        os.chmod(_base, 0o755)
        os.mkdir(os.path.join(_base, "home"), 0o700)
        chosen = [entry for entry in _tests if PATTERN in entry[0]]
        for number, (name, function) in enumerate(chosen, 1):
            start = time.monotonic()
            result = _run_one(function, number)
            failed += isinstance(result, Failure)
            _report(number, name, result)
            if os.environ.get("TAP_TIMES"):
                print("# %.2f s" % (time.monotonic() - start))
        print("1..%d" % len(chosen))
    finally:
        remove_tree(_base)
    return 1 if failed else 0


def base():
    return _base


__all__ = [name for name in dir() if not name.startswith("_")]
