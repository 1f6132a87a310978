# SPDX-License-Identifier: Apache-2.0
"""Files into sandboxes and out of them with hutch cp: what arrives, what is refused, and what a hostile inside can do about it."""

import hashlib
import io
import tarfile

from tap import *

COPY_KEYS = {"sandbox", "source", "destination", "type", "entries", "bytes", "skipped"}
ODD_NAMES = (b"new\nline", b"\xff\xfe\x80", b"-rf", b"--json", b" ", b"n" * 255, b"a:b", b"*", b"\x1b[31m")
CANARY = "the canary's content, which never leaves its directory"


def start(t, *words):
    """hutch start WORDS; its id. It is removed when the test ends."""
    outcome = t.hutch("start", *words)
    equal(outcome.code, 0, "hutch start %s (%r)" % (words, outcome))
    box = outcome.text.strip()
    t.undo.append(lambda: t.hutch("rm", "-f", box))
    return box


def good(t, *words, **more):
    outcome = t.hutch(*words, **more)
    equal(outcome.code, 0, "hutch %s (%r)" % (short(words), outcome))
    return outcome


def sh(t, box, script, *options, **more):
    """The output of a shell script inside, which exits with 0."""
    return good(t, "exec", *options, box, "--", "sh", "-c", script, **more).text


def python(t, box, script, *arguments):
    """The output of a Python script inside."""
    return good(t, "exec", box, "--", "python3", "-c", script, *arguments).text


def payload(t, box, script):
    """A Python script that goes on inside; its id, when it has come as far as it says."""
    command = good(t, "exec", "-d", box, "--", "python3", "-c", script).text.strip()
    wait_until(lambda: t.hutch("exec", box, "test", "-e", "/tmp/ready").code == 0, 10, "the payload is ready")
    return command


def copied(t, *words, **more):
    """hutch cp --json WORDS; its document."""
    document = good(t, "cp", "--json", *words, **more).record
    equal(set(document), COPY_KEYS, words)
    return document


def refused(t, code, part, *words, **more):
    """hutch cp --json WORDS fails with this code, within 5 s, and names what it is about, in the text for people, too."""
    outcome = t.hutch("cp", "--json", *words, **more)
    equal(outcome.code, 125, "hutch cp %s (%r)" % (short(words), outcome))
    document = outcome.record
    equal(set(document), {"error"}, words)
    equal(document["error"]["code"], code, "%s (%s)" % (words, document["error"]["message"]))
    contains(document["error"]["message"], part, words)
    contains(outcome.errors, part, words)
    lacks(outcome.errors, "\x1b", words)
    within(outcome.seconds, 0, 5, "seconds for %s" % (words,))
    return document["error"]


def alive(t, box):
    equal(good(t, "exec", box, "echo", "alive").text, "alive\n")


def tree(directory):
    """What must be the same after a copy: kind, permissions, contents and targets, and times of files."""
    return {path: (kind, mode if kind != stat.S_IFLNK else 0, content, mtime)
            for path, (kind, mode, _, _, content, mtime) in snapshot(directory).items()}


def odd_tree(t, top):
    """A directory of the host with all that can be copied."""
    top = os.fsencode(top)
    os.makedirs(top + b"/sub/empty")
    for number, name in enumerate(ODD_NAMES):
        with open(os.path.join(top, name), "wb") as file:
            file.write(b"%d\0\xff" % number)
        os.utime(os.path.join(top, name), ns=(10**18 + number, 10**18 + number))
    os.mkdir(top + b"/sub/" + b"d" * 255)
    with open(top + b"/sub/" + b"d" * 255 + b"/" + b"e" * 255, "wb"):
        pass
    for name, mode in ((b"private", 0o600), (b"program", 0o755), (b"read-only", 0o444)):
        with open(os.path.join(top, b"sub", name), "wb") as file:
            file.write(name)
        os.chmod(os.path.join(top, b"sub", name), mode)
    os.chmod(top + b"/sub/empty", 0o700)
    os.symlink(b"sub/private", top + b"/to-file")
    os.symlink(b"sub", top + b"/to-directory")
    os.symlink(b"nowhere\n\xff", top + b"/dangling")
    os.link(top + b"/sub/program", top + b"/hard")


def canary(t):
    """A directory of the host that no copy may change or show."""
    os.mkdir(t.aside("canary"))
    with open(t.aside("canary", "f"), "w") as file:
        file.write(CANARY)
    os.mkdir(t.aside("canary", "sub"))
    return t.aside("canary"), snapshot(t.aside("canary"))


def no_content(directory, what):
    """The canary's is in no file of this directory."""
    for path, entry in snapshot(directory).items():
        true(not isinstance(entry[4], bytes) or stat.S_ISLNK(entry[0]) or CANARY.encode() not in entry[4], "%s: it came out as %r" % (what, path))


# ---- one file --------------------------------------------------------------------------------------------------------


@test("a file goes in and out: content, permissions, no setuid, and the document")
def _(t):
    box = start(t)
    for mode, size in ((0o644, 10), (0o600, 0), (0o755, 100000), (0o4755, 1), (0o2755, 1)):
        data = os.urandom(size)
        with open(t.aside("in"), "wb") as file:
            file.write(data)
        os.chmod(t.aside("in"), mode)
        document = copied(t, t.aside("in"), box + ":/tmp/file")
        equal(document, {"sandbox": box, "source": t.aside("in"), "destination": "/tmp/file", "type": "file", "entries": 1, "bytes": size, "skipped": 0})
        equal(sh(t, box, "stat -c '%a %u %s' /tmp/file; id -u").split(), [
            "%o" % (mode & 0o777), sh(t, box, "id -u").strip(), str(size), sh(t, box, "id -u").strip()], oct(mode))
        document = copied(t, box + ":/tmp/file", t.aside("out"))
        equal((document["source"], document["destination"], document["bytes"]), ("/tmp/file", t.aside("out"), size))
        true(read_file(t.aside("out"), None) == data, "the same bytes came back")
        equal(stat.S_IMODE(os.stat(t.aside("out")).st_mode), mode & 0o777, oct(mode))
        equal(os.stat(t.aside("out")).st_uid, os.geteuid())
    for name in ("/usr/bin/su", "/usr/bin/passwd"):  # inside nobody can make a setuid file, but some are there
        if t.hutch("exec", box, "test", "-u", name, "-a", "-r", name).code == 0:
            copied(t, box + ":" + name, t.aside("out"))
            equal(stat.S_IMODE(os.stat(t.aside("out")).st_mode), 0o755, name)
    if ROOT:  # who else can read it
        os.chmod(t.aside("in"), 0)
        copied(t, t.aside("in"), box + ":/tmp/nobody's")
        equal(sh(t, box, "stat -c %a \"/tmp/nobody's\""), "400\n", "a file without permissions is not opened to others")
    os.chmod(t.aside("in"), 0o644)
    outcome = good(t, "cp", t.aside("in"), box + ":/tmp/quiet")
    equal((outcome.out, outcome.err), (b"", b""))


@test("a file: parents are made, a directory is copied into, a file is replaced, a link too")
def _(t):
    box = start(t)
    t.write("name", "1")
    copied(t, "name", box + ":/tmp/a/b/c")
    equal(sh(t, box, "cat /tmp/a/b/c"), "1")
    equal(copied(t, "name", box + ":/tmp/a/b")["destination"], "/tmp/a/b/name")
    equal(copied(t, "name", box + ":/tmp/a/b/")["destination"], "/tmp/a/b/name")
    equal(copied(t, "name", box + ":/tmp/new/")["destination"], "/tmp/new/name")
    t.write("name", "2")
    sh(t, box, "chmod 0 /tmp/a/b/c; ln /tmp/a/b/name /tmp/other; ln -s /tmp/other /tmp/link")
    copied(t, "name", box + ":/tmp/a/b/c")
    copied(t, "name", box + ":/tmp/a/b/name")
    copied(t, "name", box + ":/tmp/link")
    equal(sh(t, box, "cat /tmp/a/b/c /tmp/a/b/name /tmp/other /tmp/link; test -L /tmp/link || echo file; ls -A /tmp/a/b"), "2212file\nc\nname\n")
    equal(copied(t, "name", box + ":relative")["destination"], "relative")
    equal((sh(t, box, "cat relative"), os.path.exists(t.path("relative"))), ("2", False))
    os.makedirs(t.aside("here"))
    equal(copied(t, box + ":/tmp/a/b/c", t.aside("here"))["destination"], t.aside("here") + "/c")
    equal(copied(t, box + ":/tmp/a/b/c", t.aside("here") + "/")["destination"], t.aside("here") + "/c")
    t.write(t.aside("target"), "kept")
    os.symlink(t.aside("target"), t.aside("out"))
    os.link(t.aside("here", "c"), t.aside("hard"))
    sh(t, box, "echo 3 >/tmp/a/b/c")
    copied(t, box + ":/tmp/a/b/c", t.aside("out"))
    copied(t, box + ":/tmp/a/b/c", t.aside("here"))
    equal([read_file(t.aside(*name)) for name in (("target",), ("out",), ("here", "c"), ("hard",))], [b"kept", b"3\n", b"3\n", b"2"])
    equal(sorted(os.listdir(t.side)), ["hard", "here", "out", "target"], "nothing temporary is left")


@test("a file as a stream, both ways, and 64 MiB")
def _(t):
    box = start(t)
    data = os.urandom(1 << 20) * 64
    digest = hashlib.sha256(data).hexdigest()
    document = copied(t, "-", box + ":/tmp/big", input=data)
    equal((document["source"], document["type"], document["bytes"]), ("-", "file", len(data)))
    contains(sh(t, box, "sha256sum /tmp/big"), digest)
    outcome = good(t, "cp", box + ":/tmp/big", "-")
    equal((hashlib.sha256(outcome.out).hexdigest(), outcome.err), (digest, b""))
    copied(t, box + ":/tmp/big", t.aside("big"))
    equal(hashlib.sha256(read_file(t.aside("big"))).hexdigest(), digest)
    for size in (0, 1, 4095, 65536, 65537):
        good(t, "cp", "-", box + ":/tmp/s", input=data[:size])
        true(good(t, "cp", box + ":/tmp/s", "-").out == data[:size], "%d bytes through both" % size)


@test("odd names, as the path itself")
def _(t):
    box = start(t)
    os.mkdir(t.aside("out"))
    for name in ODD_NAMES:
        with open(os.fsencode(t.aside("")) + name, "wb") as file:
            file.write(name)
        good(t, "cp", os.fsencode(t.aside("")) + name, box.encode() + b":/tmp/odd/")
        good(t, "cp", box.encode() + b":/tmp/odd/" + name, t.aside("out"))
        equal(read_file(os.fsencode(t.aside("out/")) + name), name)
    equal(eval(python(t, box, "import os; print(sorted(os.listdir(b'/tmp/odd')))")), sorted(ODD_NAMES))


# ---- directories -----------------------------------------------------------------------------------------------------


@test("a directory goes in and out: names, links, empty ones, permissions, times")
def _(t):
    box = start(t)
    odd_tree(t, t.aside("tree"))
    document = copied(t, t.aside("tree"), box + ":/tmp/tree")
    equal((document["type"], document["destination"], document["skipped"]), ("directory", "/tmp/tree", 0))
    equal(document["entries"], len(tree(t.aside("tree"))))
    contains(sh(t, box, "stat -c '%a' /tmp/tree/sub/empty /tmp/tree/sub/private /tmp/tree/hard"), "700\n600\n755\n")
    document = copied(t, box + ":/tmp/tree", t.aside("back"))
    equal(document["entries"], len(tree(t.aside("tree"))))
    equal(tree(t.aside("back")), tree(t.aside("tree")))
    os.mkdir(t.aside("into"))
    equal(copied(t, t.aside("tree"), box + ":/tmp/")["destination"], "/tmp/tree")
    equal(copied(t, box + ":/tmp/tree/", t.aside("into"))["destination"], t.aside("into", "tree"))
    equal(tree(t.aside("into", "tree")), tree(t.aside("tree")), "copied over itself")
    os.mkdir(t.aside("none"))
    copied(t, t.aside("none"), box + ":/tmp/none")
    equal(copied(t, box + ":/tmp/none", t.aside("empty"))["entries"], 0)
    equal(os.listdir(t.aside("empty")), [])


@test("a directory as a tar stream, both ways, as Python reads and writes it")
def _(t):
    box = start(t)
    odd_tree(t, t.aside("tree"))
    copied(t, t.aside("tree"), box + ":/tmp/tree")
    outcome = good(t, "cp", box + ":/tmp/tree", "-")
    with tarfile.open(fileobj=io.BytesIO(outcome.out), errors="surrogateescape") as archive:
        found = {os.fsencode(member.name): member for member in archive}
        expected = tree(t.aside("tree"))
        equal(set(found), set(expected))
        for name, (kind, mode, content, mtime) in expected.items():
            member = found[name]
            equal({stat.S_IFREG: member.isfile(), stat.S_IFDIR: member.isdir(), stat.S_IFLNK: member.issym()}[kind], True, name)
            if member.isfile():
                equal((archive.extractfile(member).read(), member.mode, int(member.mtime)), (content, mode, mtime // 10**9), name)
            elif member.issym():
                equal(os.fsencode(member.linkname), content, name)
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w", format=form, errors="surrogateescape") as archive:
            archive.add(t.aside("tree"), ".")
        equal(copied(t, "-", box + ":/tmp/form%d/" % form, input=stream.getvalue())["type"], "directory")
        copied(t, box + ":/tmp/form%d" % form, t.aside("form%d" % form))
        found = tree(t.aside("form%d" % form))
        equal({name: entry[:3] for name, entry in found.items()}, {name: entry[:3] for name, entry in tree(t.aside("tree")).items()})
    equal(sh(t, box, "cd /tmp/form%d; test hard -ef sub/program && echo one" % tarfile.GNU_FORMAT), "one\n", "a hard link of the archive is one")
    outcome = t.hutch("cp", "--json", box + ":/tmp/tree", "-")
    equal((outcome.code, outcome.record["error"]["code"]), (125, "invalid"))


@test("FIFOs and sockets in a directory are left out, and told")
def _(t):
    box = start(t)
    sh(t, box, "mkdir /tmp/d; mkfifo /tmp/d/fifo; echo x >/tmp/d/file")
    python(t, box, "import socket; socket.socket(socket.AF_UNIX).bind('/tmp/d/socket')")
    document = copied(t, box + ":/tmp/d", t.aside("out"))
    equal((document["entries"], document["skipped"], os.listdir(t.aside("out"))), (1, 2, ["file"]))
    contains(good(t, "cp", "-v", box + ":/tmp/d", t.aside("again")).errors, "left out")
    os.mkfifo(t.path("fifo"))
    equal(copied(t, t.dir, box + ":/tmp/in")["skipped"], 1)


# ---- when, and as whom -----------------------------------------------------------------------------------------------


@test("after the main command has ended, and after stop; not after rm")
def _(t):
    t.write("in", "in")
    box = start(t, "sh", "-c", "echo made >/tmp/made; exit 3")
    equal(t.hutch("wait", box).code, 3)
    copied(t, box + ":/tmp/made", t.aside("out"))
    equal(read_file(t.aside("out")), b"made\n")
    copied(t, "in", box + ":/tmp/in")
    equal(good(t, "cp", box + ":/tmp/in", "-").out, b"in")
    for end in (("stop", box), ("kill", box)):
        box = start(t)
        sh(t, box, "mkdir /tmp/d; echo before >/tmp/d/made")
        good(t, end[0], box)
        equal(t.hutch("exec", box, "true").code, 125)
        copied(t, box + ":/tmp/d", t.aside(end[0]))
        equal(read_file(t.aside(end[0], "made")), b"before\n")
        copied(t, "in", box + ":/tmp/d/late")
        equal(good(t, "cp", box + ":/tmp/d/late", "-").out, b"in")
    good(t, "rm", box)
    outcome = t.hutch("cp", box + ":/tmp/d/made", t.aside("late"))
    equal((outcome.code, os.path.exists(t.aside("late"))), (125, False))


@test("it is done as the sandbox's user")
def _(t):
    t.write("in", "in")
    box = start(t, "sleep", "1000")
    uid = sh(t, box, "id -u").strip()
    copied(t, "in", box + ":/tmp/d/in")
    equal(sh(t, box, "stat -c '%u %g' /tmp/d /tmp/d/in").split(), [uid, sh(t, box, "id -g").strip()] * 2)
    if ROOT:
        sh(t, box, "mkdir -m 777 /tmp/theirs; echo secret >/tmp/theirs/own; chmod 600 /tmp/theirs/own; mkdir -m 700 /tmp/closed", "-u", "77")
        refused(t, "permission", "/tmp/theirs/own", box + ":/tmp/theirs/own", t.aside("out"))
        refused(t, "permission", "/tmp/closed", "in", box + ":/tmp/closed/in")
        copied(t, "in", box + ":/tmp/theirs/in")


# ---- errors ----------------------------------------------------------------------------------------------------------


@test("errors have a code each, and name the path")
def _(t):
    box = start(t)
    t.write("in", "in")
    os.mkdir(t.path("directory"))
    sh(t, box, "cd /tmp; mkdir d closed; echo x >closed/x; echo file >f; chmod 0 closed; ln -s loop loop; echo 12345678901 >large; mkdir large.d; cp large large.d")
    out = t.aside("out")
    refused(t, "not_found", "/tmp/none", box + ":/tmp/none", out)
    refused(t, "not_directory", "/tmp/f/x", box + ":/tmp/f/x", out)
    refused(t, "not_directory", "/tmp/f/x", "in", box + ":/tmp/f/x")
    refused(t, "permission", "/tmp/closed/x", box + ":/tmp/closed/x", out)
    refused(t, "permission", "/tmp/closed", box + ":/tmp/closed", out)
    refused(t, "permission", "/tmp/closed/x", "in", box + ":/tmp/closed/x")
    refused(t, "permission", "/usr/x", "in", box + ":/usr/x")
    refused(t, "too_large", "/tmp/large", "--limit", "10", box + ":/tmp/large", out)
    refused(t, "too_large", "/tmp/large", "--limit", "10", box + ":/tmp/large.d", t.aside("out.d"))
    for size in [11] * 10 + [1000000] * 10:
        refused(t, "too_large", "/tmp/x", "--limit", "10", "-", box + ":/tmp/x", input=b"x" * size)
    refused(t, "file", "/tmp/loop", box + ":/tmp/loop", out)
    refused(t, "not_directory", "/tmp/f", "directory", box + ":/tmp/f")
    refused(t, "is_directory", "/tmp/new/..", "in", box + ":/tmp/new/..")
    copied(t, "--limit", "12", box + ":/tmp/large", out)
    true(not os.path.exists(t.aside("none")) and sh(t, box, "ls /tmp/x 2>&1 || true") != "/tmp/x\n", "a refused one leaves nothing")
    equal(sh(t, box, "find /tmp -name '.hutch*' 2>/dev/null || true"), "", "nothing temporary is left")
    equal([name for name in os.listdir(t.side) if "hutch" in name], [])


@test("what is no regular file is refused at once")
def _(t):
    box = start(t)
    sh(t, box, "mkfifo /tmp/fifo; ln -s fifo /tmp/link")
    python(t, box, "import socket; socket.socket(socket.AF_UNIX).bind('/tmp/socket')")
    for name in ("/tmp/fifo", "/tmp/link", "/tmp/socket", "/dev/zero", "/dev/null", "/dev/tty"):
        refused(t, "not_regular", name, box + ":" + name, t.aside("out"))
    equal(os.listdir(t.side), [])


@test("wrong words: no side or both sides in a sandbox, an unknown one, a host that refuses")
def _(t):
    box = start(t)
    t.write("in", "in")
    t.write("a:b", "colon")
    refused(t, "invalid", "SANDBOX:PATH", "in", "out")
    refused(t, "invalid", "SANDBOX:PATH", box + ":/tmp/x", box + ":/tmp/y")
    refused(t, "invalid", "SANDBOX:PATH", "in", "./a:b")
    refused(t, "invalid", "empty", "in", box + ":")
    refused(t, "invalid", "destination", "in")
    refused(t, "not_found", "no-such-box", "in", "no-such-box:/tmp/x")
    copied(t, "./a:b", box + ":/tmp/c")
    equal(sh(t, box, "cat /tmp/c"), "colon")
    refused(t, "system", "none", t.path("none"), box + ":/tmp/x")
    refused(t, "system", "in/x", box + ":/tmp/c", t.path("in/x"))
    refused(t, "system", "no/such", box + ":/tmp/c", t.path("no/such"))
    refused(t, "invalid", "no/such", box + ":/tmp", t.path("no/such"))
    if not ROOT:
        os.mkdir(t.aside("closed"), 0o555)
        refused(t, "system", "closed", box + ":/tmp/c", t.aside("closed"))
        refused(t, "invalid", "closed", box + ":/tmp", t.aside("closed", "x"))
    equal(os.listdir(t.side), [] if ROOT else ["closed"])


# ---- a hostile inside ------------------------------------------------------------------------------------------------


@test("links inside lead nowhere but inside")
def _(t):
    box, (place, before) = start(t), canary(t)
    t.write("in", "in")
    sh(t, box, """cd /tmp; mkdir d; ln -s %s d/absolute; ln -s ../../../../../../../../../..%s d/relative
        ln -s / d/l0; for i in $(seq 41); do ln -s l$((i - 1)) d/l$i; done; ln -s /proc/self/root d/self; ln -s /proc/1/root d/one""" % (place, place))
    for link in ("absolute", "relative", "self" + place, "one" + place, "l41" + place):
        path = "/tmp/d/%s" % link
        outcome = t.hutch("cp", "--json", box + ":" + path + "/f", t.aside("out"))
        equal(outcome.code, 125, outcome)
        contains(("not_found", "permission", "file"), outcome.record["error"]["code"])
        t.hutch("cp", "in", box + ":" + path + "/f")
        t.hutch("cp", "-", box + ":" + path + "/new/", input=b"")
    error = refused(t, "file", "/tmp/d/l41", box + ":/tmp/d/l41/etc/passwd", t.aside("out"))
    equal(error["errno_name"], "ELOOP")
    # what it made on the way is inside
    equal(snapshot(place), before, "the canary")
    refused(t, "archive", "out of the directory", box + ":/tmp/d", t.aside("links"))
    copied(t, "--outside-links", box + ":/tmp/d", t.aside("as-they-are"))
    equal(os.readlink(t.aside("as-they-are", "absolute")), place)
    refused(t, "archive", "link", box + ":/tmp/d", t.aside("as-they-are"))
    no_content(t.aside("links"), "links")
    alive(t, box)


SWAP = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
number = {"x86_64": 316, "aarch64": 276}[os.uname().machine]
os.makedirs("%(w)s/d/sub")
for name in ("%(w)s/d/f", "%(w)s/d/sub/f"):
    with open(name, "w") as file:
        file.write("inside" * 1000)
os.symlink("%(canary)s", "%(w)s/l")
open("/tmp/ready", "w").close()
while True:
    libc.syscall(number, -100, b"%(w)s/d", -100, b"%(w)s/l", 2)
"""


@test("a directory that is exchanged for a link all the time")
def _(t):
    box, (place, before) = start(t), canary(t)
    os.makedirs(t.path("tree", "sub"))
    t.write("tree/f", "in")
    t.write("tree/sub/f", "in")
    payload(t, box, SWAP % {"w": "/tmp/w", "canary": place})
    codes = {"in": 0, "out": 0}
    for number in range(100):
        for direction, words in (("out", (box + ":/tmp/w", t.aside("out%d" % number))), ("out", (box + ":/tmp/w/d/sub/f", t.aside("f%d" % number))),
                                 ("in", (t.path("tree"), box + ":/tmp/w/d")), ("in", (t.path("tree", "f"), box + ":/tmp/w/d/sub/f"))):
            outcome = t.hutch("cp", *words)
            true(outcome.code in (0, 125) and (outcome.code == 0 or outcome.errors.startswith("hutch: ")), outcome)
            codes[direction] += outcome.code == 0
        equal(snapshot(place), before, "the canary, round %d" % number)
        if os.path.exists(t.aside("f%d" % number)):
            contains((b"inside" * 1000, b"in"), read_file(t.aside("f%d" % number)))
    no_content(t.path(), "workspace")
    for number in range(100):
        if os.path.isdir(t.aside("out%d" % number)):
            no_content(t.aside("out%d" % number), number)
    true(codes["in"] > 0 and codes["out"] > 0, "some of them succeed: %r" % codes)
    alive(t, box)


@test("a directory of the host that is exchanged for a link by a sandbox that may write there")
def _(t):
    (place, before), shared = canary(t), t.aside("shared")
    os.mkdir(shared)
    os.chmod(shared, 0o777)
    os.chmod(place, 0o777)
    before = snapshot(place)
    box = start(t, "--rw", shared)
    sh(t, box, "mkdir -p /tmp/tree/d/sub; echo inside >/tmp/tree/d/new; echo inside >/tmp/tree/d/sub/new; mv /tmp/tree /tmp/w; mkdir -m 777 %s/w" % shared)
    payload(t, box, SWAP % {"w": shared + "/w", "canary": place})
    codes = {"in": 0, "out": 0}
    for number in range(100):
        outcome = t.hutch("cp", "--outside-links", shared + "/w", box + ":/tmp/in%d" % number)
        codes["in"] += outcome.code == 0
        for source in ("/tmp/w", "/tmp/w/d"):  # d is below what is copied, and is itself what is copied
            outcome = t.hutch("cp", "--outside-links", box + ":" + source, shared + "/w" if source.endswith("d") else shared)
            codes["out"] += outcome.code == 0
        equal(snapshot(place), before, "the canary, round %d (%r)" % (number, outcome))
    equal(t.hutch("exec", box, "grep", "-r", "-l", CANARY, "/tmp").text, "", "the canary's content went in")
    true(codes["in"] > 0 and codes["out"] > 0, "some of them succeed: %r" % codes)
    alive(t, box)


@test("what a sandbox has put under the name of what is copied is replaced or refused, not followed")
def _(t):
    (place, before), shared = canary(t), t.aside("shared")
    os.mkdir(shared)
    os.chmod(shared, 0o777)
    os.mkfifo(t.aside("fifo"))
    box = start(t, "--rw", shared)
    sh(t, box, "cd /tmp; mkdir d; echo x >d/new; for name in file null fifo linked; do echo inside >$name; done; cd %s; ln -s %s d; ln -s %s/f file;"
       "ln -s /dev/full null; mkfifo fifo; ln -s %s linked" % (shared, place, place, t.aside("fifo")))
    refused(t, "invalid", shared + "/d", box + ":/tmp/d", shared)
    for name in ("file", "null", "fifo", "linked"):
        document = copied(t, box + ":/tmp/" + name, shared, timeout=10)
        equal((document["destination"], os.path.islink(shared + "/" + name), read_file(shared + "/" + name)), (shared + "/" + name, False, b"inside\n"))
    equal(snapshot(place), before, "the canary")
    os.symlink(shared, t.aside("mine"))  # one that the caller names is followed
    sh(t, box, "mkdir /tmp/e; echo e >/tmp/e/e")
    copied(t, box + ":/tmp/e", t.aside("mine"))
    equal(read_file(shared + "/e/e"), b"e\n")
    copied(t, box + ":/tmp/d/.", t.aside("mine"))
    equal(read_file(shared + "/new"), b"x\n")


# The helper is not to be seen in /proc, but a signal to all finds it.
TORMENT = """
import os, signal, time
open("/tmp/ready", "w").close()
while not os.path.exists("/tmp/go"):
    time.sleep(0.01)
began = time.monotonic()
while True:
    try:
        os.kill(-1, (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM, 0)[int(time.monotonic() - began) % 4])
    except OSError:
        pass
    time.sleep(0.0005)
"""


@test("a payload that stops and kills the helper")
def _(t):
    box = start(t)
    sh(t, box, "head -c 4000000 /dev/urandom >/tmp/file; mkdir /tmp/d; cp /tmp/file /tmp/d")
    data = good(t, "cp", box + ":/tmp/file", "-").out
    t.write("big", data)
    command = payload(t, box, TORMENT)
    copied(t, "-", box + ":/tmp/go", input=b"")
    seen = {}
    began = time.monotonic()
    while time.monotonic() - began < 8:
        for words in ((box + ":/tmp/file", t.aside("out")), ("big", box + ":/tmp/in"), (box + ":/tmp/d", t.aside("d"))):
            outcome = t.hutch("cp", "--json", "--timeout", "0.5", *words)
            within(outcome.seconds, 0, 6, "seconds of %s" % (words,))
            code = "success" if outcome.code == 0 else outcome.record["error"]["code"]
            seen[code] = seen.get(code, 0) + 1
    equal(set(seen), {"success", "timeout", "file"}, "what became of them (%r)" % seen)
    if os.path.exists(t.aside("out")):
        true(read_file(t.aside("out")) == data, "a file is there whole or not at all")
    equal([name for name in os.listdir(t.side) if "hutch" in name], [], "temporary files")
    good(t, "kill", "--exec", command, box)
    alive(t, box)


GROW = """
with open("/tmp/grows", "wb", buffering=0) as file:
    file.write(b"x" * 1000000)
    open("/tmp/ready", "w").close()
    while file.tell() < 200000000:
        file.write(b"y" * 1000)
"""


@test("a file that grows ends, and one that claims 1 EiB is not believed")
def _(t):
    box = start(t)
    payload(t, box, GROW)
    for words in ((box + ":/tmp/grows", t.aside("out")), (box + ":/tmp", t.aside("tree"))):
        outcome = t.hutch("cp", "--json", *words)
        equal(outcome.code, 0, outcome)
        within(outcome.record["bytes"], 1000000, 200001000, "bytes of %s" % (words,))
    outcome = t.hutch("cp", "--json", "--limit", "900000", box + ":/tmp/grows", t.aside("limited"))
    equal((outcome.code, outcome.record["error"]["code"]), (125, "too_large"))
    sh(t, box, "mkdir /tmp/sparse; truncate -s 1E /tmp/sparse/file")
    refused(t, "too_large", "/tmp/sparse/file", "--limit", "1M", box + ":/tmp/sparse/file", t.aside("huge"))
    refused(t, "too_large", "/tmp/sparse/file", "--limit", "1M", box + ":/tmp/sparse", t.aside("huge.d"))
    true(not os.path.exists(t.aside("huge")), "nothing of it is here")
    equal(snapshot(t.aside("huge.d")), {})
    alive(t, box)


DEEP = """
import os, sys
os.mkdir("/tmp/deep")
os.chdir("/tmp/deep")
for _ in range(int(sys.argv[1])):
    os.mkdir("d")
    os.chdir("d")
open("f", "w").write("bottom")
"""


@test("deep nesting: 900 levels come out, 1,200 are an error, and both are removed")
def _(t):
    box, deeper = start(t), start(t)
    t.undo.append(lambda: subprocess.run(["rm", "-rf", t.aside("deep"), t.aside("deeper")], check=True))
    python(t, box, DEEP, "900")
    equal(copied(t, box + ":/tmp/deep", t.aside("deep"))["entries"], 901)
    equal(read_file(t.aside("deep") + "/d" * 900 + "/f"), b"bottom")
    python(t, deeper, DEEP, "1200")
    refused(t, "file", "/tmp/deep/d/d", deeper + ":/tmp/deep", t.aside("deeper"))
    for each in (box, deeper):
        alive(t, each)
        good(t, "rm", "-f", each)


def archive(*members):
    """A tar stream of (name, type, target or content)."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as file:
        for name, kind, what in members:
            member = tarfile.TarInfo(name)
            member.type = kind
            member.mode = 0o755
            if kind == tarfile.REGTYPE:
                member.size = len(what)
                file.addfile(member, io.BytesIO(what))
            else:
                member.linkname = what
                file.addfile(member)
    return stream.getvalue()


FILE, LINK, HARD, DIRECTORY = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE
HOSTILE = {
    "absolute": archive(("/tmp/outside/new", FILE, b"x")),
    "parent": archive(("../outside/new", FILE, b"x")),
    "parent inside": archive(("a/../../outside/new", FILE, b"x")),
    "absolute link": archive(("link", LINK, "/tmp/outside")),
    "relative link": archive(("link", LINK, "../outside")),
    "deep link": archive(("a", DIRECTORY, ""), ("a/link", LINK, "../../outside")),
    "link, then through": archive(("a", DIRECTORY, ""), ("link", LINK, "a"), ("link/new", FILE, b"x")),
    "through a link that is there": archive(("there/new", FILE, b"x")),
    "through a link that is there, a directory": archive(("there", DIRECTORY, ""), ("there/new", FILE, b"x")),
    "character device": archive(("zero", tarfile.CHRTYPE, "")),
    "block device": archive(("disk", tarfile.BLKTYPE, "")),
    "FIFO": archive(("fifo", tarfile.FIFOTYPE, "")),
    "hard link, absolute": archive(("hard", HARD, "/tmp/outside/victim")),
    "hard link, parent": archive(("hard", HARD, "../outside/victim")),
    "hard link, through a link": archive(("hard", HARD, "there/victim")),
    "hard link, nothing": archive(("hard", HARD, "")),
    "cut in the content": archive(("file", FILE, b"x" * 100000))[:60000],
    "cut in the header": archive(("file", FILE, b"x"))[:300],
    "no archive": b"this is no archive at all " * 100,
}


@test("hostile tar streams are refused, and write nothing outside the target")
def _(t):
    box = start(t)
    sh(t, box, "cd /tmp; mkdir outside outside/d; echo victim >outside/victim")
    look = "cd /tmp/outside; find . -printf '%p %y %m %n %s %T@\\n' | sort; cat victim; ls -A /tmp"
    sh(t, box, "mkdir /tmp/target; ln -s ../outside /tmp/target/there")
    before = sh(t, box, look)
    for name, stream in HOSTILE.items():
        outcome = t.hutch("cp", "--json", "-", box + ":/tmp/target/", input=stream)
        equal((outcome.code, name), (125, name), outcome)
        equal(outcome.record["error"]["code"], "not_directory" if name.endswith("a directory") else "archive", name)
        contains(outcome.errors, "/tmp/target", name)
        equal(sh(t, box, look), before, name)
        equal(sh(t, box, "find /tmp/target -name '.hutch*' -o -type c -o -type b -o -type p"), "", name)
    alive(t, box)
    equal(copied(t, "-", box + ":/tmp/target/", input=archive(("a/b/c", FILE, b"c"), ("l", LINK, "a/b/c"), ("h", HARD, "a/b/c")))["entries"], 3)
    equal(sh(t, box, "cat /tmp/target/l /tmp/target/h"), "cc")


sys.exit(main())
