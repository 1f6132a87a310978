# SPDX-License-Identifier: Apache-2.0
"""Wrong input: every option with a bad value, commands that cannot be started, files that are not there, closed streams.

What is wrong with the request ends with 125 before anything ran, and the reason names the option and says what would be right.
"""

import resource
import socket

from tap import *

MARK = "echo ran"  # the command of all requests that must not run


def refused(t, options, *parts, **more):
    """hutch run OPTIONS ends with 125, has run nothing, and its message has all `parts`."""
    outcome = t.sh(MARK, *options, **more)
    equal(outcome.code, 125, "%s: exit code (%r)" % (short(options), outcome))
    lacks(outcome.text, "ran\n", short(options))
    true("--json" in options or not outcome.out, "%s: stdout is %r" % (short(options), outcome.out))
    true(outcome.errors.startswith("hutch: "), "%s: stderr is %r" % (options, outcome.errors))
    for part in parts:
        contains(outcome.errors, part, short(options))
    return outcome.errors


# ---- values of options -----------------------------------------------------------------------------------------------

DURATIONS = ("", "x", "0", "-1", "1x", "1 s", "s", "1e400", "99999999999999999999999", "1s2", "0ms", "0.0001", "nan", "inf", "0x10", "+1", "1,5")
SIZES = ("", "x", "0", "-1", "1Q", "M", "1 M", "99999999999999999999", "99999999T", "0x10", "1MM", "+1", "1iB", "nan", "-0")
COUNTS = ("", "x", "0", "-1", "1.5", "4294967296", "99999999999999999999", "0x10", "1K", "+1", " 1")

BAD = {
    "timeout": DURATIONS, "grace": DURATIONS, "lifetime": DURATIONS, "cpu-time": DURATIONS,
    "memory": SIZES, "io-read": SIZES, "io-write": SIZES, "disk": SIZES, "output-limit": SIZES,
    "swap": [size for size in SIZES if size not in ("0", "0x10", "-0")] + ["0x10", "-0"],
    "pids": COUNTS,
    "cpus": ("", "x", "0", "-1", "1s", "0.0001", "99999999999", "nan", "1,5", "0x1", "+1"),
    "ulimit": ("", "x", "nofile", "nofile=", "nofile=x", "nofile=-1", "=5", "nofile=99999999999999999999", "nofile=1.5"),
    "best-effort": ("", "x", "userns", "memory,", ",memory", "memory,,cpus", "Memory", "seccomp"),
    "on-output-limit": ("", "x", "Kill", "kill,truncate"),
    "on-exit": ("", "x", "stay", "KILL"),
    "net": ("", "x", "NONE", "bridge"),
    "seccomp": ("", "of", "/no/such/policy", "DEFAULT"),
    "cap-add": ("", "x", "CAP_", "CAP_NOTHING", "99", "-1", "all", "n" * 200),
    "env": ("", "=x", " A=b", "A B=c", "\n=1"),
    "env-file": ("", "/no/such/file", "/usr"),
    "cwd": ("", "x", "relative/path", "./x"),
    "user": ("", "x", "nobody", "-1", "4294967295", "4294967296", "1000:1000", "+5", "0x0"),
    "workspace": ("", ":ro", ":rw", "/no/such/directory", "/tmp:xx", ".:RO", "/etc/passwd"),
    "rootfs": ("", ":ro", "/no/such/directory", "/usr:x", "/etc/passwd"),
    "save": ("",),
    "state": ("",),
    "ro": ("", ":", ":/x", "/no/such/file", "/usr:relative", "/usr:"),
    "rw": ("", ":", ":/x", "/no/such/file", "/tmp:relative"),
    "cow": ("", ":", ":/x", "/no/such/file", "/tmp:relative"),
    "tmpfs": ("", "x", "relative", "/x:", "/x:0", "/x:y", "/x:-1", "/x:99999999999999999999T", ":1M"),
    "stdin": ("", "/no/such/file", "/usr"),
    "profile": ("", "/no/such/file", "/usr"),
    "result": ("", "/no/such/directory/file", "/usr"),
}

# The message of the library names the field; the word that tells the option from others is enough.
NAMED = {"workspace": "workspace", "rootfs": "rootfs", "ro": "mounts[0]", "rw": "mounts[0]", "cow": "mounts[0]", "user": "uid", "ulimit": "ulimits"}


@tests_of("a bad value of --", {name: (name, values) for name, values in BAD.items()})
def _(t, name, values):
    wrong = []
    for value in values:
        outcome = t.sh(MARK, "--" + name + "=" + value)
        is_named = "--" + name in outcome.errors or (name in NAMED and NAMED[name] in outcome.errors) or "at or below" in outcome.errors
        if outcome.code != 125 or outcome.out or not outcome.errors.startswith("hutch: ") or not is_named:
            wrong.append((value, outcome))
        if len(outcome.errors.splitlines()[0]) < 20:
            wrong.append((value, "this tells nothing: %r" % outcome.errors))
    equal(wrong, [], "--" + name)


@test("every option of run is in this list of bad values, or has no value")
def _(t):
    document = t.hutch("help", "--json", "run").record
    with_value = {option["name"] for option in document["verbs"][0]["options"] if option["argument"]}
    equal(with_value ^ set(BAD), set(), "options without a test, or tests without an option")


@test("an option without its value, and a value for an option that takes none")
def _(t):
    document = t.hutch("help", "--json", "run").record
    for option in document["verbs"][0]["options"]:
        if option["argument"] and not option["argument_optional"]:
            outcome = t.hutch("run", "--" + option["name"])
            equal(outcome.code, 125, option["name"])
            contains(outcome.errors, "--%s needs a value" % option["name"])
        elif not option["argument"]:
            outcome = t.hutch("run", "--%s=true" % option["name"], "--", "sh", "-c", MARK)
            equal((outcome.code, outcome.out), (125, b""), option["name"])
            contains(outcome.errors, "--" + option["name"])


@test("unknown options and verbs; what was meant is suggested")
def _(t):
    for words, part in ((("run", "--nonsense"), "--nonsense"), (("run", "--time-out=1s"), "--timeout"), (("run", "-Z"), "-Z"),
                        (("run", "-qZ"), "-Z"), (("run", "--"), "no command"), (("run",), "no command"), (("nonsense",), "nonsense"), ((), "verb"),
                        (("--nonsense",), "--nonsense"), (("doctor", "x"), "x"), (("version", "--timeout", "1"), "--timeout"),
                        (("completion", "fish"), "bash"), (("help", "nonsense"), "nonsense"), (("run", "--memory-limit=1"), "--memory-limit")):
        outcome = t.hutch(*words)
        equal((outcome.code, outcome.out), (125, b""), words)
        contains(outcome.errors, part, words)


@test("options that exclude each other")
def _(t):
    refused(t, ["--json", "-t"], "--json", "--tty")
    refused(t, ["-t", "--stdin", "/dev/null"], "--stdin", "--tty")
    refused(t, ["--save", t.aside("s"), "--no-workspace"], "--save")
    refused(t, ["--save", t.aside("s"), "--workspace", ".:rw"], "--save")
    refused(t, ["--diff", "--no-workspace"], "--diff")
    true(not os.path.exists(t.aside("s")), "nothing was made")


@test("options behind the command belong to the command")
def _(t):
    equal(t.run("echo", "--json", "-x").text, "--json -x\n")
    equal(t.hutch("run", "echo", "--json").text, "--json\n")


# ---- limits that cannot be enforced ----------------------------------------------------------------------------------

UNENFORCED = {"memory": ("--memory", "64M", "memory", 64 << 20), "swap": ("--swap", "0", "swap", 0), "cpus": ("--cpus", "1.5", "cpus", None),
              "cpu-time": ("--cpu-time", "5s", "cpu-time", None), "io-read": ("--io-read", "1M", "io", None), "io-write": ("--io-write", "1M", "io", None)}


@tests_of("a limit that cannot be enforced is an error, or named as none with --best-effort", UNENFORCED)
def _(t, option, value, name, number):
    probe = t.sh("true", option, value)
    if probe.code == 0:
        skip("%s can be enforced here" % option)
    errors = refused(t, [option, value], option, "cannot be enforced", "--best-effort=" + name)
    refused(t, [option, value, "--best-effort=" + ("pids" if name != "pids" else "io")], "cannot be enforced")
    refused(t, [option, value, "--best-effort=landlock"], "cannot be enforced")
    for way in ("--best-effort=" + name, "--best-effort", "--best-effort=pids,%s,io" % name):
        record = t.json("echo ran", option, value, way)
        equal(record["stdout"], "ran\n")
        found = [limit for key, limit in record["limits_enforced"].items() if key == name or key.replace("_", "-").startswith(name)]
        holder = "rlimit" if name in ("memory", "cpu-time") else "none"
        equal([limit["by"] for limit in found], [holder], "%s, %s: %r" % (option, way, record["limits_enforced"]))
        if number is not None:
            equal(found[0]["value"], number)
        true(any(name in warning for warning in record["warnings"]), "a warning says so: %r" % record["warnings"])


@test("--best-effort does not loosen what can be enforced")
def _(t):
    record = t.json("echo ran", "--best-effort", "--pids", "77")
    equal(record["limits_enforced"]["pids"]["value"], 77)
    true(record["limits_enforced"]["pids"]["by"] in ("rlimit", "cgroup"), record["limits_enforced"])


# ---- profile and environment files -----------------------------------------------------------------------------------


@test("errors in a profile name the file and the line")
def _(t):
    for number, content in ((1, "nonsense = 1\n"), (3, "# x\n\ntimeout = x\n"), (2, "json\ntimeout\n"), (1, "quiet = maybe\n"), (1, "profile = other\n"),
                            (2, "quiet\nmemory = 0\n"), (1, " = 5\n"), (1, "--timeout = 5\n"), (4, "quiet\n\n\nnet = bridge"), (1, "best-effort = nothing\n")):
        path = t.write("p.profile", content)
        refused(t, ["--profile", path], "%s:%d" % (path, number))
    t.write("relative.profile", "timeout = x")
    refused(t, ["--profile", "relative.profile"], "relative.profile:1")


@test("a profile holds, the command line wins, collecting options add up")
def _(t):
    path = t.write(t.aside("good.profile"), "# comment\n\n  env = A=1 2 = 3  \nenv = B=x\nquiet = false\nuser=root\nno-workspace\n")
    equal(t.good("echo \"$A|$B|$C|$(id -u)|$PWD\"", "--profile", path, "-e", "B=y", "-e", "C=z"), "1 2 = 3|y|z|0|/root\n")
    equal(t.good("id -u", "-u", "sandbox", "--profile", path), "1000\n", "in any order")


@test("profiles that are too large, hold zero bytes, or are no file")
def _(t):
    refused(t, ["--profile", t.write("big", "# x\n" * 100000)], "--profile")
    refused(t, ["--profile", t.write("zero", b"quiet\0\n")], "--profile")
    refused(t, ["--profile", t.dir], "--profile")


@test("errors in an environment file name the file and the line")
def _(t):
    for number, content in ((1, "=x\n"), (2, "A=1\nexport B=2\n"), (3, "\n# c\nA = 1\n")):
        path = t.write("env", content)
        refused(t, ["--env-file", path], "--env-file", "%s:%d" % (path, number))
    refused(t, ["--env-file", t.write("zero", b"A=\0\n")], "--env-file")


# ---- commands that cannot be started ---------------------------------------------------------------------------------


@test("commands that are there and cannot be executed: 126")
def _(t):
    t.write("plain", "#!/bin/sh\necho ran\n", 0o644)
    t.write("text", "echo ran\n", 0o755)
    t.write("empty", "", 0o755)
    t.write("elf", b"\x7fELF" + b"\0" * 60, 0o755)
    t.write("other-elf", b"\x7fELF\x02\x01\x01" + b"\0" * 9 + b"\x02\x00\xf3\x00\x01\0\0\0" + b"\0" * 40, 0o755)
    os.mkdir(t.path("directory"))
    os.mkfifo(t.path("fifo"))
    os.symlink("loop", t.path("loop"))
    os.symlink("plain", t.path("link-to-plain"))
    for word in ("./plain", "./text", "./empty", "./elf", "./other-elf", "./directory", "/usr", "/", ".", "./link-to-plain", "/etc/passwd", "./fifo", "/dev/null",
                 "/proc/self/cmdline"):
        outcome = t.run(word, timeout=10)
        equal((outcome.code, outcome.out), (126, b""), "%s (%r)" % (word, outcome))
        true(outcome.errors.startswith("hutch: cannot execute"), outcome)
        contains(outcome.errors, "hint: ", word)


@test("commands and interpreters that are not there: 127")
def _(t):
    t.write("no-interpreter", "#!/no/such/interpreter\n", 0o755)
    t.write("dos", "#!/bin/sh\r\necho ran\r\n", 0o755)
    os.symlink("nowhere", t.path("dangling"))
    for word in ("./no-interpreter", "./dos", "./dangling", "/nowhere", "nowhere", "./nowhere", "./dos/x", "a" * 255, "/no/such/directory/x"):
        outcome = t.run(word)
        equal((outcome.code, outcome.out), (127, b""), "%r (%r)" % (word, outcome))
        true(outcome.errors.startswith("hutch: "), outcome)
    contains(t.run("./no-interpreter").errors, "interpreter")
    equal(t.run("").code, 125, "an empty word is wrong usage")


@test("a program with an ELF interpreter that is missing inside: 127 and the hint")
def _(t):
    needs("gcc")
    t.write("p.c", "int main(void) { return 0; }\n")
    equal(t.spawn(["gcc", "-o", "p", "p.c", "-Wl,--dynamic-linker=/no/such/ld.so"]).code, 0)
    outcome = t.run("./p")
    equal(outcome.code, 127)
    contains(outcome.errors, "interpreter")


@test("a script's #! line: too many levels, an interpreter without execute permission, a directory")
def _(t):
    t.write("directory-interpreter", "#!/usr\n", 0o755)
    t.write("plain-interpreter", "#!/etc/passwd\n", 0o755)
    t.write("nothing-behind", "#!\n", 0o755)
    t.write("s1", "#!./s1\n", 0o755)
    for word in ("./directory-interpreter", "./plain-interpreter", "./nothing-behind", "./s1"):
        outcome = t.run(word)
        equal((outcome.code, outcome.out), (126, b""), "%s (%r)" % (word, outcome))


@test("a command named by PATH of the command's environment")
def _(t):
    t.write("bin/own", "#!/bin/sh\necho own\n", 0o755)
    t.write("bin2/own", "not executable", 0o644)
    equal(t.run("own").code, 127)
    equal(t.run("own", options=("-e", "PATH=%s:/usr/bin:/bin" % t.path("bin"))).text, "own\n")
    equal(t.run("own", options=("-e", "PATH=%s:%s" % (t.path("bin2"), t.path("bin")))).text, "own\n", "the search goes on")
    equal(t.run("own", options=("-e", "PATH=%s" % t.path("bin2"))).code, 126)
    equal(t.run("sh", "-c", "echo hi", options=("-e", "PATH=")).code, 127)


@test("working directories that cannot be entered: 125")
def _(t):
    t.write("file")
    for word in ("/no/such", t.path("file"), "/etc/passwd", "/" + "x" * 300, "/root/x"):
        refused(t, ["--cwd", word], "hint: ")
    equal(t.good("pwd", "--cwd", "/tmp"), "/tmp\n")
    contains(refused(t, ["--cwd", "/no/such"]), "/no/such")


@test("one argument that is too long: 126, and hutch says what to do")
def _(t):
    for size in (128 << 10, 200 << 10, 1 << 20):
        try:
            outcome = t.run("true", "x" * (size - 1) if size > 128 << 10 else "x" * ((128 << 10) - 1))
        except OSError as error:
            equal(error.errno, errno.E2BIG)
            continue
        equal(outcome.code, 0, "as long as the kernel lets it reach hutch, it passes it on")
    outcome = t.run("sh", "-c", "true", options=("-e", "A=1"))
    equal(outcome.code, 0)
    # one that only becomes too long inside: a name looked for in PATH
    t.write("env", "LONG=" + "x" * (130 << 10))
    outcome = t.run("true", options=("--env-file", "env"))
    equal(outcome.code, 126, repr(outcome))
    contains(outcome.errors, "hint: ")
    equal(t.json("true", "--env-file", "env")["error"]["errno_name"], "E2BIG")


@test("arguments that are too long in all: 126")
def _(t):
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    if hard != resource.RLIM_INFINITY and hard < 64 << 20:
        skip("the stack limit cannot be raised")
    # the caller's stack is large, so that hutch can be started with them; the command's is 8 MiB, a quarter of which they may take
    outcome = t.run("true", *(["x" * 100000] * 30), options=("--json",),
                    preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_STACK, (64 << 20, hard)))
    equal(outcome.code, outcome.record["returncode"])
    if outcome.code == 0:
        outcome = t.run("true", *(["x" * 100000] * 55), options=("--json",), preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_STACK, (64 << 20, hard)))
    true(outcome.code in (125, 126), outcome.record["error"])
    true(outcome.record["error"]["message"], "and says why")


@test("thousands of small arguments and variables come through")
def _(t):
    equal(t.run("sh", "-c", "echo $#", "sh", *["a"] * 20000).text, "20000\n")
    t.write("env", "".join("V%d=x\n" % i for i in range(2000)))
    equal(t.good("env | grep -c ^V", "--env-file", "env"), "2000\n")


# ---- closed streams --------------------------------------------------------------------------------------------------


def close_some(which):
    for fd in which:
        os.close(fd)


@tests_of("closed streams", {"".join(map(str, which)) or "none": (which,) for which in ((), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2))})
def _(t, which):
    # what is closed is /dev/null inside, nothing else takes its place, and the record tells that the command ran
    script = "for fd in 0 1 2; do readlink /proc/self/fd/$fd; done >out; ls /proc/self/fd >>out; echo out; echo err >&2; cat; exit 9"
    canary = t.write("canary", "canary\n")
    process = t.popen("run", "--workspace", ".:rw", "--result", t.aside("r"), "--", "sh", "-c", script, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                      stderr=subprocess.PIPE, preexec_fn=lambda: close_some(which))
    out, err = process.communicate(b"in", timeout=20)
    equal(process.returncode, 9)
    record = one_document(read_file(t.aside("r")))
    equal((record["outcome"], record["exit_code"]), ("exited", 9))
    lines = read_file(t.path("out")).decode().split()
    for fd in which:
        if fd != 1:  # its name was read with stdout being the file
            equal(lines[fd], "/dev/null", "stream %d" % fd)
    equal(lines[3:], ["0", "1", "2", "3"], "no other descriptors (3 is the directory that ls reads)")
    equal(out, b"" if 1 in which else b"out\n" + (b"" if 0 in which else b"in"))
    equal(err, b"" if 2 in which else b"err\n")
    equal(read_file(canary), b"canary\n")


@test("closed streams: a message of hutch's goes nowhere, not into somebody's file")
def _(t):
    path = t.write("canary", "canary\n")
    for which in ((2,), (1, 2), (0, 1, 2)):
        for words in (("run", "--nonsense"), ("run", "--", "/nowhere"), ("run", "--profile", path, "--", "true"), ("run", "--stdin", path, "--check", "--", "false"),
                      ("run", "--result", t.aside("r"), "--", "/nowhere"), ("doctor",), ("version",)):
            process = t.popen(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=lambda: close_some(which))
            process.communicate(timeout=30)
            true(process.returncode in (0, 1, 125, 127), "%s: %s" % (words, process.returncode))
            equal(read_file(path), b"canary\n")


@test("streams of all kinds are passed as they are: files, sockets, directories, /dev/full")
def _(t):
    with open(t.aside("out"), "wb+") as out:
        equal(t.sh("echo one", stdout=out).code, 0)
        equal(t.sh("echo two", stdout=out).code, 0)
    equal(read_file(t.aside("out")), b"one\ntwo\n", "the offset is shared")
    with open(t.aside("out"), "ab") as out:
        equal(t.sh("echo three", stdout=out).code, 0)
    equal(read_file(t.aside("out")), b"one\ntwo\nthree\n")
    with open("/dev/full", "wb") as full:
        equal(t.sh("echo x", stdout=full).code, 1 if t.sh("echo x >/dev/full").code == 1 else 2)
        equal(t.hutch("version", stdout=full).code, 125, "and hutch itself tells")
    ours, theirs = socket.socketpair()
    ours.sendall(b"hello")
    ours.shutdown(socket.SHUT_WR)
    equal(t.sh("tr a-z A-Z", stdin=theirs, stdout=theirs).code, 0)
    equal(ours.recv(100), b"HELLO")
    ours.close()
    theirs.close()


@test("--stdin: a file, a FIFO and /dev/null")
def _(t):
    t.write(t.aside("in"), "from file\n")
    equal(t.good("cat", "--stdin", t.aside("in")), "from file\n")
    equal(t.good("cat", "--stdin", "/dev/null"), "")
    record = t.json("cat", "--stdin", t.aside("in"))
    equal(record["stdout"], "from file\n")
    if not ROOT:
        path = t.write(t.aside("secret"), "", 0o000)
        refused(t, ["--stdin", path], "--stdin")


# ---- files that are shown --------------------------------------------------------------------------------------------


@test("targets where nothing can be mounted")
def _(t):
    for target in ("/proc", "/proc/x", "/proc/self", "/dev", "/dev/x", "/dev/null", "/sys", "/sys/fs", "/", "//", "/.hutch/x"):
        for option in ("--ro", "--rw", "--cow"):
            refused(t, [option, "%s:%s" % (t.dir, target)])
        refused(t, ["--tmpfs", target])
    for target in ("/x/../y", "/..", "/x/..", "/../etc"):
        refused(t, ["--ro", "%s:%s" % (t.dir, target)], "..")


@test("a target in a directory that is shown read-only, and does not exist there")
def _(t):
    for option, value in (("--ro", t.dir + ":/usr/no-such-hutch"), ("--rw", t.dir + ":/usr/lib/no-such-hutch/x"), ("--tmpfs", "/usr/no-such-hutch")):
        errors = refused(t, [option, value])
        contains(errors, "/usr", "%s %s" % (option, value))
    true(not os.path.exists("/usr/no-such-hutch"), "nothing was made on the host")


@test("a target that exists below a read-only place is covered")
def _(t):
    t.write("hutch-test-file", "ours\n")
    equal(t.good("cat /usr/share/hutch-test-file", "--ro", t.dir + ":/usr/share"), "ours\n")
    true(not os.path.exists("/usr/share/hutch-test-file"), "only inside")


@test("a file on a directory and a directory on a file")
def _(t):
    t.write(t.aside("file"), "x")
    refused(t, ["--ro", t.aside("file") + ":/usr/share"])
    refused(t, ["--ro", t.side + ":/etc/passwd"])
    t.write("sub/f", "x")
    refused(t, ["--ro", t.aside("file") + ":" + t.path("sub")])


@test("sources that are no directory or file: FIFO, socket, device, dangling link")
def _(t):
    os.mkfifo(t.aside("fifo"))
    with socket.socket(socket.AF_UNIX) as unix:
        os.chdir(t.side)
        unix.bind("sock")
        os.chdir("/")
    os.symlink("nowhere", t.aside("dangling"))
    os.symlink("loop", t.aside("loop"))
    refused(t, ["--ro", t.aside("dangling") + ":/x"], "dangling")
    refused(t, ["--ro", t.aside("loop") + ":/x"], "loop")
    for name in ("fifo", "sock"):
        outcome = t.sh("true", "--ro", t.aside(name) + ":/x", timeout=10)
        true(outcome.code in (0, 125), "%s: %r" % (name, outcome))
    refused(t, ["--cow", t.aside("fifo") + ":/x"])
    outcome = t.sh("head -c 1 /x", "--ro", "/dev/zero:/x")
    true(outcome.code != 0, "no device comes in as a file: %r" % outcome)


@test("one target twice")
def _(t):
    outcome = t.sh("echo ran", "--ro", t.dir + ":/x", "--tmpfs", "/x")
    true(outcome.code in (0, 125), outcome)
    if outcome.code == 125:
        contains(outcome.errors, "/x")


@test("too many mounts")
def _(t):
    options = [word for i in range(3000) for word in ("--ro", "/usr:/m%d" % i)]
    outcome = t.sh(MARK, *options, timeout=60)
    if outcome.code != 0:
        refused(t, options, "mounts")


@test("a workspace that is a file, missing, or may not be entered")
def _(t):
    t.write("file")
    for access in ("", ":ro", ":rw", ":cow"):
        refused(t, ["--workspace", t.path("file") + access], "workspace")
        refused(t, ["--workspace", t.path("none") + access], "workspace")
    if not ROOT:
        os.mkdir(t.path("closed"), 0)
        for access in (":ro", ":rw"):
            refused(t, ["--workspace", t.path("closed") + access])


@test("the current directory was removed, or may not be read")
def _(t):
    os.mkdir(t.path("gone"))
    outcome = t.spawn(["sh", "-c", "cd gone && rmdir ../gone && exec %s run -v -- sh -c 'pwd; echo ran'" % HUTCH])
    equal(outcome.code, 0, repr(outcome))
    contains(outcome.errors, "not shown")
    equal(outcome.text, "/home/sandbox\nran\n")


SUBMOUNT = "mkdir -p ws/sub && mount -t tmpfs none ws/sub && touch ws/sub/below && cd ws && exec \"$0\" run %s -- sh -c 'ls sub; echo ran'"


@test("a workspace with another file system below it: an error with the choices, or all of it is shown")
def _(t):
    needs("unshare")
    unshare = ["unshare", "-m"] if ROOT else ["unshare", "-Urm"]
    if t.spawn(unshare + ["true"]).code != 0:
        skip("no mount namespace can be made here")
    outcome = t.spawn(unshare + ["sh", "-c", SUBMOUNT % "", HUTCH])
    if "ran" in outcome.text:
        contains(outcome.text, "below", "the submount is shown, not an empty directory")
    else:
        equal(outcome.code, 125, repr(outcome))
        contains(outcome.errors, "--workspace DIR:ro")
        true("sub" in outcome.errors or "below" in outcome.errors, outcome.errors)
    for access in ("ro", "rw"):
        outcome = t.spawn(unshare + ["sh", "-c", SUBMOUNT % ("--workspace .:" + access), HUTCH])
        equal(outcome.text, "below\nran\n", "%s: %r" % (access, outcome))


@test("--state: a file, a place that cannot be written, somebody else's directory")
def _(t):
    t.write(t.aside("file"))
    for path in (t.aside("file"), "/proc/nothing", "/no/such/dir") if not ROOT else (t.aside("file"), "/proc/nothing"):
        outcome = t.sh("echo ran", "--state", path)
        true(outcome.code in (0, 125), outcome)
        if outcome.code == 125:
            contains(outcome.errors, "--state")
    os.mkdir(t.aside("open"), 0o777)
    os.chmod(t.aside("open"), 0o777)
    outcome = t.sh("echo ran", "--state", t.aside("open"))
    true(outcome.code in (0, 125), outcome)


# ---- policy ----------------------------------------------------------------------------------------------------------


@test("policy files that are wrong: the line is named, nothing ran")
def _(t):
    for content in ("", "nonsense\n", "include default\nallow no_such_call\n"):
        path = t.write("policy", content)
        outcome = t.sh(MARK, "--seccomp", path)
        equal((outcome.code, outcome.out), (125, b""), short(content))
        contains(outcome.errors, "policy")
    refused(t, ["--seccomp", t.dir])


@test("capabilities without effect, and those that need a range of ids")
def _(t):
    refused(t, ["--cap-add", "SYS_ADMIN"], "cap_add", "hint: ")
    refused(t, ["--cap-add", "CAP_SYS_PTRACE"], "hint: ")
    refused(t, ["--cap-add", "NET_RAW", "--net", "host"], "net")
    equal(t.good("grep CapEff /proc/self/status", "--cap-add", "net_bind_service").split()[1], "0000000000000400")


@test("users: numbers outside the range, with the way out")
def _(t):
    refused(t, ["-u", "70000"], "uid")
    outcome = t.sh("id -u", "-u", "1234")
    if outcome.code == 0:
        equal(outcome.text, "1234\n")
    else:
        equal(outcome.code, 125)
        contains(outcome.errors, "/etc/subuid")


sys.exit(main())
