# SPDX-License-Identifier: Apache-2.0
"""Files: the copy-on-write workspace, what is listed and saved of it, what is shown read-only and writable, other roots."""

import pwd
import re

from tap import *

EVERYTHING = """
echo more >>changed; : >emptied; rm removed; mv old-name new-name; mv tree/inner moved-inner
echo new >added; mkdir -p made/deep; echo deep >made/deep/file; ln -s nowhere added-link; ln added added-hard
rm -rf replaced; mkdir replaced; echo r >replaced/other; chmod 600 mode; rm link; ln -s elsewhere link; rm -r tree/gone
"""


def fill(t):
    """A workspace for EVERYTHING to work on."""
    for name in ("changed", "emptied", "removed", "old-name", "mode", "untouched", "tree/inner/a", "tree/inner/b/c", "tree/gone/x", "tree/stays",
                 "replaced/one", "replaced/two/three"):
        t.write(name, "content of %s\n" % name)
    os.symlink("target", t.path("link"))
    return snapshot(t.dir)


def unchanged(t, before):
    after = snapshot(t.dir)
    equal({name: after.get(name) for name in set(before) | set(after) if before.get(name) != after.get(name)}, {}, "the host's files changed")


def changes(t, script, *options):
    """The record's list of changes, as a dict from path to (kind, type)."""
    record = t.json(script, "--diff", *options)
    equal(record["returncode"], 0, record["stderr"])
    paths = [change["path"] for change in record["changes"]]
    equal(len(set(paths)), len(paths), "a path is listed twice: %r" % paths)
    return {change["path"]: (change["kind"], change["type"]) for change in record["changes"]}


# ---- the copy-on-write workspace -------------------------------------------------------------------------------------


@tests_of("copy-on-write: the command sees its change, the host does not", {
    "append": ("echo more >>changed && tail -n 1 changed", "more\n"),
    "truncate": (": >changed && wc -c <changed", "0\n"),
    "create": ("echo new >added && cat added", "new\n"),
    "create below": ("echo new >tree/inner/b/added && cat tree/inner/b/added", "new\n"),
    "delete": ("rm removed && ls removed 2>&1 | grep -c 'No such'", "1\n"),
    "delete a tree": ("rm -r tree && ls tree 2>&1 | grep -c 'No such'", "1\n"),
    "rename": ("mv old-name new-name && cat new-name", "content of old-name\n"),
    "rename over another": ("mv old-name changed && cat changed", "content of old-name\n"),
    "rename a directory": ("mv tree/inner tree/other && cat tree/other/b/c", "content of tree/inner/b/c\n"),
    "chmod": ("chmod 741 mode && stat -c %a mode", "741\n"),
    "chmod of a directory": ("chmod 711 tree && stat -c %a tree", "711\n"),
    "touch": ("touch -d 2001-02-03T04:05:06Z mode && stat -c %Y mode", "981173106\n"),
    "symbolic link": ("rm link && ln -s other link && readlink link", "other\n"),
    "hard link": ("ln mode hard && stat -c %h hard", "2\n"),
    "mkdir, rmdir": ("mkdir new && rmdir new && rm -r tree/gone && ls tree", "inner\nstays\n"),
    "replace a directory": ("rm -rf replaced && mkdir replaced && ls -A replaced | wc -l", "0\n"),
    "directory to file": ("rm -rf replaced && echo file >replaced && cat replaced", "file\n"),
    "file to directory": ("rm changed && mkdir changed && ls -A changed | wc -l", "0\n"),
    "FIFO and socket": ("mkfifo fifo && test -p fifo && echo yes", "yes\n"),
    "everything": (EVERYTHING + "cat added", "new\n"),
})
def _(t, script, expected):
    before = fill(t)
    equal(t.good(script), expected)
    unchanged(t, before)


@test("the workspace is at its own path, is the working directory, and is the sandbox user's")
def _(t):
    t.write("file", "x")
    t.write("private", "secret\n", 0o600)
    equal(t.good("pwd; stat -c %u:%g file .; cat private"), "%s\n1000:1000\n1000:1000\nsecret\n" % t.dir)
    equal(t.good("id -u; stat -c %u file; cat private", "--as-root"), "0\n0\nsecret\n")


@test("two runs do not see each other's changes")
def _(t):
    equal(t.good("echo 1 >new; ls"), "new\n")
    equal(t.good("ls"), "")


@test("a link out of the workspace leads into the sandbox, not to the host")
def _(t):
    t.write(t.aside("secret"), "secret\n")
    os.symlink(t.aside("secret"), t.path("out"))
    os.symlink("/etc/passwd", t.path("passwd"))
    outcome = t.sh("cat out; cat passwd; echo x >>out; echo y >>passwd")
    lacks(outcome.text, "secret")
    lacks(outcome.text, "daemon:")
    equal(read_file(t.aside("secret")), b"secret\n")
    lacks(read_file("/etc/passwd"), b"\ny\n")


@test("a large file is changed in place")
def _(t):
    with open(t.path("big"), "wb") as file:
        file.truncate(200 << 20)
        file.seek(100 << 20)
        file.write(b"middle")
    before = os.stat(t.path("big")).st_mtime_ns
    equal(t.good("printf END >>big; stat -c %s big; dd if=big bs=1 skip=104857600 count=6 2>/dev/null"), "209715203\nmiddle")
    equal((os.stat(t.path("big")).st_size, os.stat(t.path("big")).st_mtime_ns), (200 << 20, before))


# ---- --diff ----------------------------------------------------------------------------------------------------------


@test("--diff lists what was added, changed and deleted, each once")
def _(t):
    before = fill(t)
    found = changes(t, EVERYTHING)
    expected = {
        "changed": ("changed", "f"), "emptied": ("changed", "f"), "removed": ("deleted", "f"), "old-name": ("deleted", "f"), "new-name": ("added", "f"),
        "added": ("added", "f"), "added-hard": ("added", "f"), "made": ("added", "d"), "made/deep": ("added", "d"), "made/deep/file": ("added", "f"),
        "added-link": ("added", "l"), "replaced/other": ("added", "f"), "mode": ("changed", "f"), "link": ("changed", "l"), "tree/gone": ("deleted", "d"),
        "tree/inner": ("deleted", "d"), "moved-inner": ("added", "d"), "moved-inner/a": ("added", "f"), "moved-inner/b": ("added", "d"),
        "moved-inner/b/c": ("added", "f"), "replaced/one": ("deleted", "f"), "replaced/two": ("deleted", "d"),
    }
    # an emptied directory may be told by itself or by what was in it, and the type of what is gone need not be known
    kinds = {path: kind for path, (kind, _) in found.items()}
    equal(kinds, {path: kind for path, (kind, _) in expected.items()})
    equal({p: k for p, (n, k) in found.items() if n != "deleted"}, {p: k for p, (n, k) in expected.items() if n != "deleted"})
    unchanged(t, before)


@test("--diff without --json: letters and paths, behind the output")
def _(t):
    t.write("m", "x")
    t.write("d", "x")
    text = t.good("echo output; echo >>m; rm d; echo >a", "--diff")
    equal(text.split("\n")[0], "output")
    equal(sorted(text.splitlines()[1:]), ["A a", "D d", "M m"])


@test("--diff: what was only read, or changed and set back by name, is not listed")
def _(t):
    fill(t)
    equal(changes(t, "cat changed; ls -R; stat mode; test -w changed; touch -c nothing; mkdir x; rmdir x; echo >y; rm y"), {})
    equal(changes(t, ": >>changed; chmod u+w changed"), {}, "opened for writing: copied up, but nothing is different")
    equal(changes(t, "mv mode x; mv x mode"), {}, "there and back")
    equal(changes(t, "chmod 600 mode; chmod 644 mode"), {}, "the mode, and back")
    equal(changes(t, ": >>tree/inner/b/c"), {}, "the directories above are no change either")


@test("--diff: parents come before children")
def _(t):
    record = t.json("mkdir -p a/b/c; echo >a/b/c/f; mkdir z; echo >z/y", "--diff")
    paths = [change["path"] for change in record["changes"]]
    for path in paths:
        parent = os.path.dirname(path)
        true(not parent or paths.index(parent) < paths.index(path), "%s in %s" % (path, paths))


@test("--diff: a directory that was removed and made again (opaque)")
def _(t):
    fill(t)
    found = changes(t, "rm -rf tree; mkdir tree; echo n >tree/stays; echo n >tree/new; mkdir tree/inner; echo n >tree/inner/a")
    equal(found.get("tree/new"), ("added", "f"))
    equal(found.get("tree/stays", ("", ""))[0], "changed", found)
    equal(found.get("tree/gone", ("", ""))[0], "deleted", found)
    equal(found.get("tree/inner/a", ("", ""))[0], "changed", found)
    equal(found.get("tree/inner/b", ("", ""))[0], "deleted", found)
    equal(changes(t, "rm -rf tree/gone; mkdir tree/gone; echo 'content of tree/gone/x' >tree/gone/x"), {}, "made again as it was")


@test("--diff: odd names come out readable, and exact in the record")
def _(t):
    script = r"""printf x >"$(printf 'new\nline')"; printf x >"$(printf 'tab\tback\\slash')"; printf x >"$(printf 'esc\033[31m')"; printf x >"$(printf '\377\376')"; printf x >' space '; printf x >é; printf x >-dash"""
    lines = t.good(script, "--diff").splitlines()
    equal(sorted(lines), sorted(["A new\\nline", "A tab\\tback\\\\slash", "A esc\\x1b[31m", "A \\xff\\xfe", "A  space ", "A é", "A -dash"]))
    equal(sorted(changes(t, script)), sorted(["new\nline", "tab\tback\\slash", "esc\x1b[31m", "\ufffd\ufffd", " space ", "é", "-dash"]))


@test("--diff with thousands of files")
def _(t):
    os.mkdir(t.path("many"))
    for i in range(3000):
        t.write("many/%d" % i)
    found = changes(t, "rm -r many; mkdir new; i=0; while [ $i -lt 3000 ]; do : >new/$i; i=$((i+1)); done")
    equal(sum(kind == "added" for kind, _ in found.values()), 3001)


@test("--diff and --save: mount points are no change of the command's")
def _(t):
    options = ("--ro", "/usr/share:" + t.path("new/dir"), "--tmpfs", t.path("own"))
    equal(changes(t, "ls new/dir >/dev/null && echo x >own/file", *options), {})
    equal(changes(t, "echo x >file; mkdir other", *options), {"file": ("added", "f"), "other": ("added", "d")})
    t.good("echo x >file", "--save", t.aside("out"), *options)
    equal(os.listdir(t.aside("out")), ["file"])
    equal(os.listdir(t.dir), [])


@test("--diff of several copy-on-write directories: those that are not the workspace by their full path")
def _(t):
    t.write(t.aside("file"), "x")
    found = changes(t, "echo >in-workspace; echo >>/data/file; echo >/data/new", "--cow", t.side + ":/data")
    equal(found, {"in-workspace": ("added", "f"), "/data/file": ("changed", "f"), "/data/new": ("added", "f")})
    found = changes(t, "echo >>/data/file", "--cow", t.side + ":/data", "--no-workspace")
    equal(found, {"/data/file": ("changed", "f")})


# ---- --save ----------------------------------------------------------------------------------------------------------


def contents(directory):
    """A tree without owners and times."""
    return {name: value[:2] + value[4:5] for name, value in snapshot(directory).items()}


@test("--save onto the workspace itself is as if it had been written to")
def _(t):
    fill(t)
    twin = t.aside("twin")
    equal(t.spawn(["cp", "-a", t.dir, twin]).code, 0)
    equal(t.spawn(["sh", "-c", EVERYTHING], cwd=twin).code, 0)
    equal(t.sh(EVERYTHING, "--save", ".").code, 0)
    equal(contents(t.dir), contents(twin))
    for name, value in snapshot(t.dir).items():
        equal(value[2:4], (os.geteuid(), os.getegid()), "owner of %s" % name)


@test("--save onto the workspace: directories removed and made again, files for directories and directories for files")
def _(t):
    fill(t)
    script = ("rm -rf tree; mkdir tree; mkdir tree/inner tree/new; echo n >tree/inner/a; echo n >tree/new/x; rm -rf replaced; echo file >replaced; "
              "rm changed; mkdir changed; echo n >changed/x; rm link; mkdir link; rm mode; ln -s x mode")
    twin = t.aside("twin")
    equal(t.spawn(["cp", "-a", t.dir, twin]).code, 0)
    equal(t.spawn(["sh", "-c", script], cwd=twin).code, 0)
    t.good(script, "--save", ".")
    equal(contents(t.dir), contents(twin))


@test("--save to a new directory: what was added and changed, and nothing else")
def _(t):
    before = fill(t)
    target = t.aside("new")
    equal(t.sh(EVERYTHING, "--save", target).code, 0)
    unchanged(t, before)
    saved = snapshot(target)
    equal(read_file(target + "/changed"), b"content of changed\nmore\n")
    equal(read_file(target + "/made/deep/file"), b"deep\n")
    equal((os.readlink(target + "/link"), os.readlink(target + "/added-link")), ("elsewhere", "nowhere"))
    for name in (b"untouched", b"removed", b"tree/stays", b"tree/gone", b"tree/inner", b"old-name", b"replaced/one"):
        true(name not in saved, "%s was saved" % name)
    for name, value in saved.items():
        equal(value[2:4], (os.geteuid(), os.getegid()), "owner of %s" % name)
    equal([name for name in saved if b".hutch" in name], [], "no temporary files")


@test("--save to a directory with other things in it leaves them")
def _(t):
    fill(t)
    for name in ("untouched", "mine", "tree/mine", "replaced/mine"):
        t.write(t.aside("out", name), "mine\n")
    t.write(t.aside("out/removed"), "mine\n")
    equal(t.sh(EVERYTHING, "--save", t.aside("out")).code, 0)
    for name in ("untouched", "mine", "tree/mine", "replaced/mine"):
        equal(read_file(t.aside("out", name)), b"mine\n", name)
    true(not os.path.exists(t.aside("out/removed")), "what was deleted inside is deleted there")


@test("--save: modes without setuid, setgid and sticky bits; times do not matter")
def _(t):
    t.write("had-setuid", "x", 0o6755)
    os.mkdir(t.path("had-sticky"), 0o755)
    os.chmod(t.path("had-sticky"), 0o3777)
    t.good("echo >>had-setuid; echo >new; chmod 751 new; chmod 4755 new 2>/dev/null; mkdir dir; chmod 2770 dir 2>/dev/null; chmod 1777 had-sticky; echo >had-sticky/x; echo >plain; chmod 600 plain; true",
           "--save", t.aside("out"))
    for name, value in snapshot(t.aside("out")).items():
        equal(value[1] & 0o7000, 0, name)
    equal(oct(os.stat(t.aside("out/plain")).st_mode & 0o777), "0o600")
    true(os.stat(t.aside("out/new")).st_mode & 0o777 in (0o751, 0o755), "mode of new")


@test("--save: a changed mode of a directory is taken over")
def _(t):
    os.mkdir(t.path("dir"))
    t.good("chmod 711 dir; mkdir new; chmod 750 new", "--save", ".")
    equal([oct(os.stat(t.path(name)).st_mode & 0o777) for name in ("dir", "new")], ["0o711", "0o750"])


@test("--save never goes through links that are in the way")
def _(t):
    fill(t)
    canary = t.aside("canary")
    for name in ("file", "gone/x", "removed", "stays"):
        t.write(os.path.join(canary, name), "canary\n")
    before = snapshot(canary)
    out = t.aside("out")
    os.mkdir(out)
    os.symlink(canary + "/file", out + "/changed")
    os.symlink("../canary/file", out + "/added")
    os.symlink(canary + "/removed", out + "/removed")
    os.symlink(canary, out + "/made")
    outcome = t.sh(EVERYTHING, "--save", out)
    equal(snapshot(canary), before, "the canary changed")
    true(outcome.code in (0, 125), outcome)
    if outcome.code == 125:
        contains(outcome.errors, "--save")
    for name in ("tree", "replaced", "moved-inner"):
        out = t.aside("out-" + name)
        os.mkdir(out)
        os.symlink(canary, os.path.join(out, name))
        outcome = t.sh(EVERYTHING, "--save", out)
        equal(snapshot(canary), before, "the canary changed, by %s" % name)
        true(outcome.code in (0, 125), outcome)


@test("--save: DIR itself a link to a directory, a file, or below what is missing")
def _(t):
    os.mkdir(t.aside("real"))
    os.symlink("real", t.aside("link"))
    t.write(t.aside("file"))
    equal(t.sh("echo x >f", "--save", t.aside("link")).code, 0)
    equal(read_file(t.aside("real/f")), b"x\n")
    for path in (t.aside("file"), t.aside("no/such")):
        outcome = t.sh("echo ran; echo x >f", "--save", path)
        equal(outcome.code, 125, path)
        contains(outcome.errors, "--save")


@test("--save: a huge sparse file stays sparse, and does not take its time")
def _(t):
    start = time.monotonic()
    t.good("truncate -s 20G big; printf middle | dd of=big bs=1 seek=10737418240 conv=notrunc 2>/dev/null", "--save", t.aside("out"))
    within(time.monotonic() - start, 0, 60, "seconds")
    st = os.stat(t.aside("out/big"))
    equal(st.st_size, 20 << 30)
    within(st.st_blocks * 512, 0, 64 << 20, "bytes on disk")
    with open(t.aside("out/big"), "rb") as file:
        file.seek(10 << 30)
        equal(file.read(6), b"middle")


@test("--save: a deep tree")
def _(t):
    deep = "exec python3 -c \"import os\nfor i in range(%d): os.mkdir('d' * 19); os.chdir('d' * 19)\nopen('file', 'w').write('bottom\\n')\""
    t.good(deep % 150, "--save", t.aside("out"))
    equal(read_file(t.aside("out", *["d" * 19] * 150, "file")), b"bottom\n")
    # deeper than a path can name: whole, or an error that says so
    equal(t.sh(deep % 400).code, 0)
    outcome = t.sh(deep % 400, "--save", t.aside("deeper"), timeout=60)
    if outcome.code == 0:
        found = t.spawn(["find", t.aside("deeper"), "-name", "file"]).text
        equal(found.count("/file\n"), 1)
    else:
        equal(outcome.code, 125, repr(outcome))
        contains(outcome.errors, "--save")


@test("--save: odd names")
def _(t):
    names = [b"new\nline", b"\xff\xfe", b"n" * 255, b" ", b"-rf", b"a\\b", "é€".encode(), b"..x", b"...", b"*", b"$(x)", b".hutch"]
    t.write(t.aside("names"), b"\0".join(names))
    t.good("xargs -0 sh -c 'for n; do printf \"%s\\n\" \"$n\" >\"./$n\"; done' x", "--stdin", t.aside("names"), "--save", t.aside("out"))
    equal(sorted(os.listdir(os.fsencode(t.aside("out")))), sorted(names))
    for name in names:
        equal(read_file(os.path.join(os.fsencode(t.aside("out")), name)), name + b"\n")


@test("--save: what cannot be saved is told, the rest is saved")
def _(t):
    outcome = t.sh("echo x >file; mkfifo fifo", "--save", t.aside("out"))
    equal(outcome.code, 125, repr(outcome))
    contains(outcome.errors, "fifo")
    equal(os.listdir(t.aside("out")), ["file"])


@test("--save keeps the command's exit code, and saves after a failure and a timeout, too")
def _(t):
    equal(t.sh("echo x >f; exit 3", "--save", t.aside("a")).code, 3)
    equal(t.sh("echo x >f; sleep 60", "--save", t.aside("b"), "--timeout", "300ms").code, 124)
    equal((os.listdir(t.aside("a")), os.listdir(t.aside("b"))), (["f"], ["f"]))
    equal(t.run("/nowhere", options=("--save", t.aside("c"))).code, 127)


@test("--save where it cannot be written: the record has the code and a warning")
def _(t):
    if ROOT:
        os.mkdir(t.aside("out"))
        t.write(t.aside("out/made"), "a file where a directory goes\n")
        t.good("mkdir -p made/deep", "--save", t.aside("out"))
        true(os.path.isdir(t.aside("out/made/deep")), "a file in the way is replaced")
        skip("root can write everywhere")
    os.mkdir(t.aside("out"), 0o555)
    outcome = t.sh("echo x >f", "--save", t.aside("out"), "--json")
    equal((outcome.code, outcome.record["returncode"], outcome.record["exit_code"]), (125, 125, 0))
    true(any("--save" in warning for warning in outcome.record["warnings"]), outcome.record["warnings"])


# ---- ro and rw -------------------------------------------------------------------------------------------------------


@test("--workspace DIR:ro")
def _(t):
    before = fill(t)
    outcome = t.sh("cat changed; echo x >changed; echo x >new; rm removed; mkdir d; chmod 700 mode; touch mode; mv mode m; ln -s a b; pwd", "--workspace", t.dir + ":ro")
    equal(outcome.text, "content of changed\n%s\n" % t.dir)
    equal(outcome.errors.count("Read-only file system"), 8, outcome.errors)
    unchanged(t, before)


@test("--workspace DIR:rw writes through, as the caller")
def _(t):
    fill(t)
    t.good(EVERYTHING, "--workspace", t.dir + ":rw")
    equal(read_file(t.path("changed")), b"content of changed\nmore\n")
    true(not os.path.exists(t.path("removed")), "removed")
    for name, value in snapshot(t.dir).items():
        equal(value[2:4], (os.geteuid(), os.getegid()), "owner of %s" % name)


@test("--workspace of another directory, relative and by a link")
def _(t):
    t.write("sub/file", "x\n")
    os.symlink("sub", t.path("link"))
    equal(t.good("pwd; ls", "--workspace", "sub"), "%s\nfile\n" % t.path("sub"))
    equal(t.good("ls", "--workspace", "link"), "file\n")
    equal(t.good("ls", "--workspace", "./sub/../sub:rw"), "file\n")
    equal(t.good("pwd; ls -A", "--no-workspace"), "/home/sandbox\n")


@test("--ro, --rw, --cow: directories")
def _(t):
    t.write(t.aside("d/file"), "host\n")
    data = t.aside("d")
    equal(t.good("cat /data/file; echo x 2>/dev/null >/data/new; echo x 2>/dev/null >>/data/file; ls /data", "--ro", data + ":/data"), "host\nfile\n")
    equal(t.good("echo c >>/data/file; echo x >/data/new; cat /data/file; ls /data", "--cow", data + ":/data"), "host\nc\nfile\nnew\n")
    equal((read_file(data + "/file"), os.listdir(data)), (b"host\n", ["file"]))
    equal(t.good("echo w >>/data/file; echo x >/data/new; cat /data/file", "--rw", data + ":/data"), "host\nw\n")
    equal((read_file(data + "/file"), sorted(os.listdir(data))), (b"host\nw\n", ["file", "new"]))
    equal(os.stat(data + "/new").st_uid, os.geteuid())
    equal(t.good("cat %s/file" % data, "--ro", data), "host\nw\n", "at its own path")


@test("--ro, --rw, --cow: files")
def _(t):
    path = t.write(t.aside("file"), "host\n")
    equal(t.good("cat /data/f; (echo x >>/data/f) 2>/dev/null; cat /data/f", "--ro", path + ":/data/f"), "host\nhost\n")
    outcome = t.sh("echo c >>/data/f; cat /data/f", "--cow", path + ":/data/f")
    if outcome.code == 0:
        equal(outcome.text, "host\nc\n")
    else:
        equal(outcome.code, 125, repr(outcome))
    equal(read_file(path), b"host\n")
    equal(t.good("echo w >>/data/f; cat /data/f", "--rw", path + ":/data/f"), "host\nw\n")
    equal(read_file(path), b"host\nw\n")
    equal(t.good("cat " + path, "--ro", path), "host\nw\n")


@test("targets within each other, and within the workspace; nothing is made on the host")
def _(t):
    t.write(t.aside("a/file"), "a\n")
    t.write(t.aside("b/file"), "b\n")
    t.write("sub/own", "own\n")
    before = snapshot(t.dir)
    for order in ((("--ro", "a:/x"), ("--rw", "b:/x/y")), (("--rw", "b:/x/y"), ("--ro", "a:/x"))):
        options = [word for option, value in order for word in (option, t.side + "/" + value)]
        outcome = t.sh("cat /x/file /x/y/file", *options)
        true(outcome.code == 125 or outcome.text == "a\nb\n", outcome)
    equal(t.good("cat sub/file; ls", "--ro", t.aside("a") + ":" + t.path("sub")), "a\nsub\n")
    outcome = t.sh("cat new/dir/file; ls", "--ro", t.aside("a") + ":" + t.path("new/dir"))
    true(outcome.code == 125 or outcome.text == "a\nnew\nsub\n", outcome)
    unchanged(t, before)
    equal(t.good("cat /deep/er/x/file", "--ro", t.aside("a") + ":/deep/er/x"), "a\n")
    equal((os.listdir(t.aside("a")), os.listdir(t.aside("b"))), (["file"], ["file"]))


@test("setuid and setgid bits cannot be made in --rw, nor used")
def _(t):
    t.write("program", "#!/bin/sh\necho\n", 0o755)
    script = r"""
cp /bin/sh copy
for mode in 4755 2755 6755 u+s g+s; do chmod $mode copy 2>&1 | grep -o 'Operation not permitted'; done
chmod 4755 program 2>&1 | grep -o 'Operation not permitted'
mkdir d; chmod 2755 d 2>&1 | grep -o 'Operation not permitted'
install -m 4755 /bin/sh installed 2>/dev/null; cp /bin/sh c2; umask 0; stat -c %a copy program
"""
    lines = t.good(script, "--workspace", ".:rw").splitlines()
    equal(lines.count("Operation not permitted"), 7, lines)
    for name, value in snapshot(t.dir).items():
        equal(value[1] & 0o6000, 0, name)


@test("a setuid program of the host has no effect inside")
def _(t):
    t.write("s", "", 0o755)
    equal(t.spawn(["cp", "/usr/bin/id", t.path("s")]).code, 0)
    os.chmod(t.path("s"), 0o6755)
    for access in ("ro", "cow", "rw"):
        equal(t.good("./s -u; ./s -ru", "--workspace", ".:" + access, "-u", "sandbox"), "1000\n1000\n", access)
    contains(t.good("grep -E ' (/usr|%s) ' /proc/self/mounts" % re.escape(t.dir)), "nosuid")


@test("device nodes cannot be made or used")
def _(t):
    outcome = t.sh("mknod null c 1 3; mknod disk b 8 0; mknod fifo p && ls", "--workspace", ".:rw", "--as-root")
    equal(outcome.text, "fifo\n")
    equal(outcome.errors.count("Operation not permitted"), 2, outcome.errors)


# ---- private places and their sizes ----------------------------------------------------------------------------------


@test("/tmp, /var/tmp, /dev/shm, /run and home are private, writable where they should be, and go away")
def _(t):
    name = "hutch-%s" % t.token
    script = "for d in /tmp /var/tmp /dev/shm $HOME; do echo x >$d/%s && cat $d/%s; done" % (name, name)
    equal(t.good(script, "--no-workspace"), "x\n" * 4)
    for directory in ("/tmp", "/var/tmp", "/dev/shm"):
        true(not os.path.exists(os.path.join(directory, name)), directory)
    equal(t.good("ls -A /var/tmp /dev/shm $HOME /tmp", "--no-workspace").split(), ["/dev/shm:", "/home/sandbox:", "/tmp:", "/var/tmp:"], "empty")
    equal(t.good("stat -c %a /tmp /var/tmp /dev/shm $HOME"), "1777\n1777\n1777\n700\n")
    script = "for d in / /usr /etc /usr/bin /dev /proc /run; do echo x 2>/dev/null >$d/%s && echo wrote $d; done; true" % name
    text = t.good(script).replace("wrote /dev\n", "").replace("wrote /run\n", "").replace("wrote /\n", "")
    equal(text, "")


@test("--tmpfs: private, of its size")
def _(t):
    outcome = t.sh("head -c 900K /dev/zero >/x/a && echo fits; head -c 300K /dev/zero >/x/b || echo full; rm /x/a; head -c 300K /dev/zero >/x/c && echo again", "--tmpfs", "/x:1M")
    equal(outcome.text, "fits\nfull\nagain\n")
    contains(outcome.errors, "No space left on device")
    equal(t.good("echo x >/x/y; cat /x/y; ls -A /x", "--tmpfs", "/x"), "x\ny\n")
    os.mkdir(t.path("sub"))
    equal(t.good("echo x >sub/y; ls", "--tmpfs", t.path("sub")), "sub\n", "on a directory of the workspace")
    equal(os.listdir(t.path("sub")), [])


@test("--disk: the workspace's copy and the private directories share it; beyond it ENOSPC")
def _(t):
    for place in ("big", "/tmp/big", "$HOME/big", "/dev/shm/big"):
        outcome = t.sh("head -c 5M /dev/zero >%s && rm %s && echo fits; head -c 30M /dev/zero >%s || echo full" % (place, place, place), "--disk", "20M")
        equal(outcome.text, "fits\nfull\n", place)
        contains(outcome.errors, "No space left on device")
    record = t.json("head -c 12M /dev/zero >big; head -c 12M /dev/zero >/tmp/big", "--disk", "20M")
    true(record["returncode"] != 0, "together they are too large")
    equal(record["limits_enforced"]["disk"]["value"], 20 << 20)
    equal(record["limits_enforced"]["disk"]["by"], "tmpfs")


@test("many small files end at a limit, and not in the host's memory")
def _(t):
    outcome = t.sh("i=0; while [ $i -lt 5000 ]; do : >f$i || exit 3; i=$((i+1)); done", "--disk", "16M")
    true(outcome.code in (0, 2, 3), outcome)


# ---- which directory is the workspace --------------------------------------------------------------------------------


@test("current directories that are not shown by themselves: a notice says so")
def _(t):
    home = t.aside("home")
    os.makedirs(home + "/project/.ssh")
    env = environment(HOME=home)
    places = ["/", "/tmp", "/var", "/home", "/usr", "/usr/share", "/etc", "/proc", "/sys", "/dev", "/run", "/bin", home, t.side]
    for place in places:
        if not os.path.isdir(place):
            continue
        outcome = t.sh("pwd", "-v", cwd=place, env=env)
        equal((outcome.code, outcome.text), (0, "/home/sandbox\n"), place)
        contains(outcome.errors, "not shown", place)
        contains(outcome.errors, "--workspace DIR", place)
        equal(t.sh("pwd", cwd=place, env=env).err, b"", place)
        record = t.hutch("run", "--json", "--", "true", cwd=place, env=env).record
        true(any("not shown" in warning for warning in record["warnings"]), "%s: %r" % (place, record["warnings"]))
        text = t.good("ls -a /", cwd=place, env=env)
        lacks(text, ".ssh", place)
    equal(t.good("pwd", "-v", cwd=home + "/project", env=env), home + "/project\n", "below home")


@test("the home directory is not shown, by whatever name")
def _(t):
    os.makedirs(t.aside("home/.ssh"))
    os.symlink("home", t.aside("alias"))
    for home in (t.aside("home"), t.aside("alias"), t.aside("home") + "/", t.aside("home/./.ssh/..")):
        equal(t.good("pwd; ls -A", cwd=t.aside("home"), env=environment(HOME=home)), "/home/sandbox\n", home)
    equal(t.good("ls -A", "--workspace", ".", cwd=t.aside("home"), env=environment(HOME=t.aside("home"))), ".ssh\n", "unless it is named")


@test("HOME unset, relative or empty: the password file's home directory counts")
def _(t):
    try:
        home = pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        skip("this user has no entry in the password file")
    if not os.access(home, os.R_OK | os.X_OK) or os.path.realpath(home) in ("/", "/nonexistent"):
        skip("no home directory that can be entered")
    for value in (None, "", "relative"):
        equal(t.good("pwd", cwd=home, env=environment(HOME=value)), "/home/sandbox\n", value)


@test("a workspace below directories that only the caller may enter")
def _(t):
    os.makedirs(t.path("private/project"))
    t.write("private/project/file", "x\n", 0o600)
    os.chmod(t.path("private/project"), 0o700)
    os.chmod(t.path("private"), 0o700)
    for access in ("cow", "ro", "rw"):
        equal(t.good("pwd; cat file", "--workspace", ".:" + access, cwd=t.path("private/project")), t.path("private/project") + "\nx\n", access)
    equal(t.good("cat /x/file", "--ro", t.path("private/project") + ":/x", "--no-workspace"), "x\n")
    equal(t.good("cat /x", "--ro", t.path("private/project/file") + ":/x", "--no-workspace"), "x\n")


@test("--state: used and left empty")
def _(t):
    os.mkdir(t.aside("state"), 0o700)
    equal(t.good("echo x >f; cat f", "--state", t.aside("state")), "x\n")
    left = [name for name in snapshot(t.aside("state")) if not name.endswith(b".lock") and not os.path.isdir(os.path.join(os.fsencode(t.aside("state")), name))]
    equal(left, [])


@test("nothing of hutch's is left on the host after a run")
def _(t):
    before = state_files()
    fill(t)
    t.good(EVERYTHING + "head -c 1M /dev/zero >big")
    equal(state_files(), before)


# ---- files of others -------------------------------------------------------------------------------------------------


def group_case(t, uid, gid, extra, how):
    """A user with an extra group, and a file of that group in the workspace."""
    t.write("theirs", "before\n", 0o664)
    os.chown(t.path("theirs"), uid, extra)
    t.write("own", "before\n")
    os.chown(t.path("own"), uid, gid)
    os.chown(t.dir, uid, gid)
    outcome = t.sh("echo more >>own && cat own theirs; echo more >>theirs && tail -n 1 theirs; echo done", "-v", **how)
    equal(outcome.code, 0, repr(outcome))
    true(outcome.text.startswith("before\nmore\nbefore\n") and outcome.text.endswith("done\n"), outcome)
    if "more\ndone" not in outcome.text:
        contains(outcome.errors, "Value too large", "it fails aloud")
    equal(read_file(t.path("theirs")), b"before\n")
    outcome = t.sh("echo more >>theirs && tail -n 1 theirs", "--workspace", ".:rw", **how)
    equal((outcome.code, outcome.text), (0, "more\n"), repr(outcome))
    # the directory itself of the extra group: announced before it happens
    os.chown(t.dir, uid, extra)
    outcome = t.sh("cat own; echo x >new && cat new", "-v", **how)
    equal(outcome.text.split("\n")[0], "before", repr(outcome))
    if "x" not in outcome.text:
        true("group" in outcome.errors, outcome.errors)


@test("files of a supplementary group in the workspace (another user)")
def _(t):
    needs_root("it becomes another user")
    def become():
        os.setgroups([40001, 40002])
        os.setgid(40000)
        os.setuid(40000)
    if t.spawn([HUTCH, "version"], preexec_fn=become).code != 0:
        skip("another user cannot execute %s" % HUTCH)
    group_case(t, 40000, 40000, 40001, {"preexec_fn": become, "env": environment(HOME="/nonexistent")})


@test("files of a supplementary group in the workspace (this user)")
def _(t):
    extra = [group for group in os.getgroups() if group != os.getegid()]
    if ROOT or not extra:
        skip("root, or a user without another group")
    group_case(t, os.geteuid(), os.getegid(), extra[0], {})


@test("root's workspace with files of several owners")
def _(t):
    needs_root("it changes owners")
    for uid in (0, 1, 1000, 65534, 100000):
        t.write("f%d" % uid, "x\n")
        os.chown(t.path("f%d" % uid), uid, uid)
    before = snapshot(t.dir)
    outcome = t.sh("cat f*; for f in f*; do echo y >>$f; done; echo n >new; tail -qn 1 f0")
    true(outcome.text.startswith("x\n" * 5), outcome)
    contains(outcome.text, "y\n", "root's own file can be changed in the copy")
    unchanged(t, before)


ON_MOUNT = "mount %s m && mkdir -p m/ws && echo host >m/ws/file && cd m/ws && \"$0\" run %s -- sh -c 'cat file; echo x >>file; echo n >new; cat file; ls'; code=$?; cat file; ls; exit $code"


@tests_of("as root, a workspace on", {"tmpfs": ("-t tmpfs none",), "another tmpfs with mode 0700": ("-t tmpfs -o mode=0700 none",),
                                      "overlayfs": ("-t overlay -o lowerdir=l,upperdir=u,workdir=w none",), "ramfs": ("-t ramfs none",)})
def _(t, mount):
    needs_root()
    for name in ("m", "l", "u", "w"):
        os.mkdir(t.path(name))
    outcome = t.spawn(["unshare", "-m", "sh", "-c", ON_MOUNT % (mount, ""), HUTCH])
    if "mount:" in outcome.errors:
        skip("cannot be mounted here: %s" % outcome.errors.strip().splitlines()[0])
    if outcome.code == 125:
        true("ext4" not in mount and "tmpfs" not in mount, "an ordinary file system must do: %r" % outcome)
        contains(outcome.errors, "--no-workspace")
        equal(outcome.text, "host\nfile\n", "nothing ran, nothing changed")
    else:
        equal((outcome.code, outcome.text), (0, "host\nhost\nx\nfile\nnew\nhost\nfile\n"), repr(outcome))
    for access in ("ro", "rw"):
        script = ON_MOUNT.replace("echo x >>file; echo n >new; cat file; ", "") % (mount, "--workspace .:" + access)
        outcome = t.spawn(["unshare", "-m", "sh", "-c", script, HUTCH])
        if outcome.code == 125:
            true("hint: " in outcome.errors or "--" in outcome.errors, outcome.errors)
        else:
            equal(outcome.text, "host\nfile\nhost\nfile\n", "%s: %r" % (access, outcome))


@test("as root, a workspace on ext4")
def _(t):
    needs_root()
    needs("mkfs.ext4")
    with open(t.aside("image"), "wb") as file:
        file.truncate(16 << 20)
    os.mkdir(t.path("m"))
    if t.spawn(["mkfs.ext4", "-q", t.aside("image")]).code != 0:
        skip("mkfs.ext4 fails")
    outcome = t.spawn(["unshare", "-m", "sh", "-c", ON_MOUNT % ("-o loop " + t.aside("image"), ""), HUTCH])
    if "mount:" in outcome.errors:
        skip("no loop devices here")
    equal((outcome.code, outcome.text), (0, "host\nhost\nx\nfile\nnew\nhost\nfile\n"), repr(outcome))


# ---- other roots -----------------------------------------------------------------------------------------------------


def make_rootfs(t, directory, programs=("sh", "ls", "cat", "id", "mkdir", "rm", "touch")):
    """A root with a few programs and what they need."""
    needs("ldd")
    for name in ("bin", "etc", "tmp", "proc", "dev", "home", "root", "usr"):
        os.makedirs(os.path.join(directory, name))
    files = set()
    for program in programs:
        path = shutil.which(program, path=SYSTEM_PATH)
        shutil.copy(os.path.realpath(path), os.path.join(directory, "bin", program))
        files |= set(re.findall(r"(/\S+) \(0x", t.spawn(["ldd", path]).text))
    for path in files:
        os.makedirs(directory + os.path.dirname(path), exist_ok=True)
        shutil.copy(path, directory + path)
    with open(os.path.join(directory, "etc/marker"), "w") as file:
        file.write("own root\n")
    return directory


@test("--rootfs: its own programs, nothing of the host")
def _(t):
    root = make_rootfs(t, t.aside("root"))
    before = snapshot(root)
    text = t.good("cat /etc/marker; ls /; ls /etc; id -u", "--rootfs", root)
    contains(text, "own root\n")
    lacks(text, "alternatives")
    lacks(text, os.path.basename(base()), "the current directory is not shown")
    equal(t.good("ls /usr", "--rootfs", root), "", "nor the system directories")
    equal(t.run("python3", options=("--rootfs", root)).code, 127)
    equal(snapshot(root), before)


@tests_of("--rootfs access", {"default": ("", False), "ro": (":ro", False), "cow": (":cow", True), "rw": (":rw", True)})
def _(t, access, writable):
    root = make_rootfs(t, t.aside("root"))
    before = snapshot(root)
    outcome = t.sh("echo x >/new && cat /new; echo y >>/etc/marker; rm /etc/marker; ls /etc; echo t >/tmp/t; ls /tmp; echo z >/dev/null; cat /proc/self/comm",
                   "--as-root", "--rootfs", root + access)
    equal(outcome.text, ("x\nt\ncat\n" if writable else "marker\nt\ncat\n"), repr(outcome))
    if access == ":rw":
        equal(read_file(root + "/new"), b"x\n")
        true(not os.path.exists(root + "/etc/marker"), "written through")
        equal(os.listdir(root + "/tmp"), [], "but /tmp is private")
    else:
        equal(snapshot(root), before)


@test("--rootfs with a workspace and mounts")
def _(t):
    root = make_rootfs(t, t.aside("root"))
    t.write("file", "workspace\n")
    before = snapshot(root)
    for access in ("", ":cow"):
        equal(t.good("cat file; echo x >new; ls", "--rootfs", root + access, "--workspace", "."), "workspace\nfile\nnew\n", access)
        equal(t.good("cat /data/file", "--rootfs", root + access, "--ro", t.dir + ":/data"), "workspace\n", access)
    equal(snapshot(root), before, "no mount points are left")
    equal(changes(t, "echo x >/etc/new", "--as-root", "--rootfs", root + ":cow"), {"/etc/new": ("added", "f")})


HOSTILE = {
    "/proc to the host": {"proc": "CANARY"}, "/dev to the host": {"dev": "CANARY"}, "/tmp to the host": {"tmp": "CANARY"}, "/etc to the host": {"etc": "CANARY"},
    "/home to the host": {"home": "CANARY"}, "/dev upwards": {"dev": "../../../../../../../../../CANARY"}, "a loop": {"dev": "dev"}, "/proc to itself": {"proc": "/proc/self/root"},
    "/tmp by another": {"tmp": "var/x", "var": "CANARY"}, "/dev a file": {"dev": None}, "/proc a file": {"proc": None}, "/tmp a file": {"tmp": None},
    "/dev/shm to the host": {"dev/shm": "CANARY"}, "/home/sandbox to the host": {"home/sandbox": "CANARY"}, "/.hutch": {".hutch": "CANARY"},
}


@tests_of("a hostile root", HOSTILE)
def _(t, links):
    canary = t.aside("canary")
    t.write(canary + "/secret", "canary\n")
    for name in ("null", "shm", "pts", "self"):
        os.makedirs(canary + "/" + name)
    before = snapshot(canary)
    root = make_rootfs(t, t.aside("root"))
    for name, target in links.items():
        place = os.path.join(root, name)
        if os.path.isdir(place):
            os.rmdir(place) if name != "etc" else shutil.rmtree(place)
        if target is None:
            t.write(place, "file")
        else:
            os.symlink(target.replace("CANARY", canary if ".." not in target else canary[1:]), place)
    before_root = snapshot(root)
    for access in ("ro", "cow", "rw"):
        outcome = t.sh("cat /proc/secret /dev/secret /tmp/secret /etc/secret; for d in /tmp /dev /dev/shm $HOME /proc; do echo x >$d/planted; rm -rf $d/secret; done; echo ran",
                       "--rootfs", root + ":" + access)
        true(outcome.code in (0, 125), outcome)
        lacks(outcome.text, "canary", access)
        if outcome.code == 125:
            true(len(outcome.errors) > 20, outcome)
        equal(snapshot(canary), before, "%s: the canary changed" % access)
        if access != "rw":
            equal(snapshot(root), before_root, "%s: the root changed" % access)


@test("a hostile root's target for a mount: a link that leads out")
def _(t):
    canary = t.aside("canary")
    t.write(canary + "/secret", "canary\n")
    t.write("file", "x\n")
    root = make_rootfs(t, t.aside("root"))
    os.symlink(canary, root + "/data")
    os.symlink("/../../.." + canary, root + "/data2")
    before = snapshot(canary)
    for target in ("/data/x", "/data2/x", "/data", "/data2"):
        for access in ("ro", "cow", "rw"):
            outcome = t.sh("cat %s/file; echo ran" % target, "--rootfs", root + ":" + access, "--rw", t.dir + ":" + target)
            true(outcome.code in (0, 125), outcome)
            equal(snapshot(canary), before, target)


sys.exit(main())
