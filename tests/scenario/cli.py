# SPDX-License-Identifier: Apache-2.0
"""The command line around run: help, version, completion, doctor, dry runs; sandboxes in sandboxes; odd paths and surroundings."""

import resource

from tap import *

VERBS = ("run", "doctor", "completion", "version", "help")


@test("help of everything, and of each verb")
def _(t):
    for words in (("help",), ("--help",), ("-h",)):
        outcome = t.hutch(*words)
        equal((outcome.code, outcome.err), (0, b""), words)
        for verb in VERBS:
            contains(outcome.text, "  %s " % verb)
    for verb in VERBS:
        first = t.hutch("help", verb)
        equal((first.code, first.err), (0, b""), verb)
        contains(first.text, "Usage: hutch " + verb)
        for option in ("--help", "-h"):
            equal(t.hutch(verb, option).text, first.text, verb + option)
        document = t.hutch("help", "--json", verb).record
        equal([entry["name"] for entry in document["verbs"]], [verb])
        for option in document["verbs"][0]["options"]:
            contains(first.text, "--" + option["name"])
    listed = {entry["name"] for entry in t.hutch("help", "--json").record["verbs"]}
    equal(listed >= set(VERBS), True, listed)


@test("--help among options that are fine, and no sandbox is started")
def _(t):
    outcome = t.hutch("run", "--timeout", "5s", "--help", "--", "sh", "-c", "echo ran")
    equal(outcome.code, 0)
    lacks(outcome.text, "ran\n")


@test("every option of the help is in the manual page")
def _(t):
    page = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools/hutch.1")
    if not os.access(page, os.R_OK):
        skip("the manual page is not beside the tests")
    text = read_file(page).decode().replace("\\-", "-")
    for verb in VERBS:
        for option in t.hutch("help", "--json", verb).record["verbs"][0]["options"]:
            contains(text, "--" + option["name"], verb)


@test("version")
def _(t):
    text = t.hutch("version").text
    true(re.fullmatch(r"hutch \d+\.\d+\.\d+\n", text.split("\n")[0] + "\n"), text)
    equal(t.hutch("--version").text, text)
    document = t.hutch("version", "--json").record
    contains(json.dumps(document), text.split()[1])


@test("output that cannot be written is an error")
def _(t):
    for words in (("version",), ("help",), ("doctor",), ("completion", "bash"), ("run", "--dry-run", "--", "true"), ("run", "--json", "--", "true")):
        with open("/dev/full", "wb") as full:
            outcome = t.hutch(*words, stdout=full)
        equal(outcome.code, 125, words)
        contains(outcome.errors, "hutch: ", words)


@test("completion scripts load, and complete verbs, options and words")
def _(t):
    needs("bash")
    script = t.hutch("completion", "bash")
    equal((script.code, script.err), (0, b""))
    t.write("c.bash", script.out)
    equal(t.spawn(["bash", "-n", "c.bash"]).errors, "")
    function = re.search(r"complete .*-F (\S+)", script.text)
    true(function, "no function is registered: %s" % script.text[-200:])
    ask = ("source ./c.bash || exit 9; COMP_WORDS=(%s); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMP_LINE=\"${COMP_WORDS[*]}\"; COMP_POINT=${#COMP_LINE}; "
           "%s hutch \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD-1]}\"; printf '%%s\\n' \"${COMPREPLY[@]}\"")
    for words, expected in (("hutch ru", "run"), ("hutch run --time", "--timeout"), ("hutch doctor --js", "--json"), ("hutch run --net h", "host")):
        outcome = t.spawn(["bash", "--norc", "-c", ask % (words, function[1])])
        true(expected in [line.strip() for line in outcome.text.splitlines()], "%s: %r" % (words, outcome))
    zsh = t.hutch("completion", "zsh")
    equal(zsh.code, 0)
    contains(zsh.text, "#compdef hutch")
    if shutil.which("zsh"):
        t.write("_hutch", zsh.out)
        equal(t.spawn(["zsh", "-n", "_hutch"]).errors, "")


@test("doctor: works here, and says the same as a document")
def _(t):
    outcome = t.hutch("doctor", timeout=60)
    equal(outcome.code, 0, repr(outcome))
    contains(outcome.text, "hutch run works here")
    outcome = t.hutch("doctor", "--json", timeout=60)
    document = outcome.record
    equal(outcome.code, 0)
    true(isinstance(document, dict), document)
    findings = next(value for value in document.values() if isinstance(value, list))
    true(len(findings) > 15, len(findings))
    for finding in findings:
        true({"name", "verdict"} <= set(finding), finding)
        true(finding["verdict"] in ("ok", "degraded", "missing"), finding)
        if finding["verdict"] != "ok":
            true(finding.get("why") and finding.get("fix"), "what is not ok says why it matters and what mends it: %r" % finding)
        if finding.get("required"):
            equal(finding["verdict"] != "missing", True, finding)
    names = [finding["name"] for finding in findings]
    equal(len(names), len(set(names)), "each once")
    for name in ("userns", "overlay", "seccomp", "landlock", "cgroup-v2", "pivot-root"):
        true(name in names, "%s is not in %s" % (name, names))


@test("doctor leaves nothing behind")
def _(t):
    before = set(state_files())
    for _ in range(3):
        equal(t.hutch("doctor", timeout=60).code, 0)
    equal(set(state_files()) - before, set())
    equal(orphans(2), [])


@test("--dry-run prints the plan, as text and as a document, and starts nothing")
def _(t):
    t.write("file", "x")
    before = snapshot(t.dir)
    options = ("--dry-run", "--ro", "/usr/share:/data", "-e", "A=b", "--save", t.aside("out"))
    outcome = t.sh("echo ran >ran; echo ran", *options)
    equal((outcome.code, outcome.err), (0, b""))
    for part in ("clone: ", t.dir, "/usr/share at /data", "A=b", "seccomp", "landlock", "pivot"):
        contains(outcome.text, part)
    lacks(outcome.text.splitlines(), "ran")
    document = t.sh("echo ran >ran; echo ran", "--json", *options).record
    equal([line for line in document["plan"] if "streams: " not in line], [line for line in outcome.text.splitlines() if "streams: " not in line])
    unchanged = snapshot(t.dir)
    equal((unchanged, os.path.exists(t.aside("out"))), (before, False))
    outcome = t.hutch("run", "--dry-run", "--", "/no/such/command")
    equal(outcome.code, 0, "whether it is there is seen inside")
    outcome = t.hutch("run", "--dry-run", "--workspace", "nowhere", "--", "true")
    equal((outcome.code, outcome.out), (125, b""))


# ---- surroundings ----------------------------------------------------------------------------------------------------


@test("hutch in a sandbox: 125 and why, doctor says 1, version works")
def _(t):
    options = ("--ro", os.path.dirname(HUTCH) + ":/hutch")
    inner = "/hutch/" + os.path.basename(HUTCH)
    for more in ((), ("--as-root",), ("--net", "host"), ("--seccomp", "debug"), ("--no-workspace",)):
        outcome = t.run(inner, "run", "--", "echo", "ran", options=options + more)
        equal((outcome.code, outcome.out), (125, b""), "%s: %r" % (more, outcome))
        contains(outcome.errors, "sandbox", more)
        contains(outcome.errors, "hint: ", more)
    outcome = t.run(inner, "run", "--json", "--", "true", options=options)
    equal(outcome.code, 125)
    equal(one_document(outcome.out)["error"]["code"], "nested")
    equal(t.run(inner, "version", options=options).code, 0)
    outcome = t.run(inner, "doctor", options=options, timeout=60)
    equal(outcome.code, 1, repr(outcome))


@test("without XDG_RUNTIME_DIR, HOME, PATH, TERM: it runs all the same")
def _(t):
    for env in ({}, {"HOME": ""}, {"HOME": "/nonexistent"}, {"HOME": "relative"}, {"XDG_RUNTIME_DIR": "/nonexistent"}, {"XDG_RUNTIME_DIR": ""}, {"XDG_RUNTIME_DIR": "relative"},
                {"XDG_RUNTIME_DIR": "/tmp", "HOME": "/tmp"}, {"HOME": "/" + "x" * 5000}, {"TMPDIR": "/nonexistent"}):
        outcome = t.sh("echo x >f && cat f && pwd", env=env)
        equal((outcome.code, outcome.text), (0, "x\n%s\n" % t.dir), "%s: %r" % (short(env), outcome))
    equal(sorted(os.listdir(t.dir)), [])


@test("with resource limits of the caller's: few descriptors, small files, no core, a small stack")
def _(t):
    for which, soft in ((resource.RLIMIT_NOFILE, 40), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_STACK, 256 << 10)):
        def limit(which=which, soft=soft):
            resource.setrlimit(which, (soft, resource.getrlimit(which)[1]))
        equal(t.sh("echo fine; echo x >f; cat f", preexec_fn=limit).text, "fine\nx\n", which)


@test("with a strict umask")
def _(t):
    t.write("file", "x\n")
    outcome = t.sh("cat file; touch new; umask; stat -c %a new; ls -ld / /tmp /usr $HOME >/dev/null && echo seen", preexec_fn=lambda: os.umask(0o077))
    equal(outcome.code, 0, repr(outcome))
    true(outcome.text.startswith("x\n") and outcome.text.endswith("seen\n"), outcome)


@test("with all descriptors up to 200 open")
def _(t):
    fds = [os.dup(1) for _ in range(200)]
    try:
        equal(t.spawn([HUTCH, "run", "--", "sh", "-c", "ls /proc/self/fd | wc -l"], pass_fds=fds).text, "4\n")
    finally:
        for fd in fds:
            os.close(fd)


@tests_of("workspaces with odd names", {"spaces": (" a  b ",), "a colon": ("a:b",), "ends like an access": ("a:ro",), "a comma": ("a,b=c",), "a backslash": ("a\\b",), "a newline": ("a\nb",),
                                        "quotes and dollars": ("'\"$HOME`id`",), "invalid UTF-8": ("\udcff\udcfe",), "percent": ("%s%n",), "255 bytes": ("n" * 255,), "dots": ("...",),
                                        "like an option": ("--json",), "overlay's separators": ("lower:upper,workdir=x\\:y",)})
def _(t, name):
    place = t.path(name)
    os.mkdir(place)
    with open(os.path.join(place, "file"), "w") as file:
        file.write("host\n")
    outcome = t.sh("cat file; echo x >>file; echo n >new; cat \"$PWD/file\"", cwd=place)
    equal((outcome.code, outcome.text), (0, "host\nhost\nx\n"), repr(outcome))
    equal(os.listdir(place), ["file"])
    equal(t.sh("echo n >new", "--save", t.aside("out"), cwd=place).code, 0)
    equal(os.listdir(t.aside("out")), ["new"])
    for access in (":ro", ":rw", ":cow"):
        outcome = t.sh("cat file", "--workspace", "./" + name + access)
        equal((outcome.code, outcome.text), (0, "host\n"), "%s: %r" % (access, outcome))
    equal(t.sh("cat /data/file", "--ro", place + ":/data").text, "host\n")
    if "\udcff" not in name:
        equal(t.sh("true", "--json", cwd=place).record["returncode"], 0)


@test("long paths: a workspace near the end of what the kernel names")
def _(t):
    for depth, length in ((15, 200), (18, 205)):
        place = os.path.join(t.dir, *["p" * length] * depth)
        os.makedirs(place)
        outcome = t.sh("echo x >f && cat f && pwd | wc -c", cwd=place)
        if outcome.code != 0:
            equal(outcome.code, 125, repr(outcome))
            true(len(place) > 3000 and len(outcome.errors) > 20, outcome)
        else:
            equal(outcome.text, "x\n%d\n" % (len(place) + 1))


@test("a workspace with 20000 files starts as fast as an empty one")
def _(t):
    t.good("true")
    for i in range(20000):
        os.close(os.open(t.path("f%d" % i), os.O_CREAT))
    start = time.monotonic()
    t.good("true")
    within(time.monotonic() - start, 0, 1, "seconds")


@test("many sandboxes at once, from one directory")
def _(t):
    processes = [t.popen("run", "--json", "--", "sh", "-c", "echo %d >f; sleep 0.3; cat f; ls" % i, stdout=subprocess.PIPE) for i in range(20)]
    seen = set()
    for i, process in enumerate(processes):
        record = one_document(process.communicate(timeout=30)[0])
        equal(record["stdout"], "%d\nf\n" % i)
        seen.add(record["sandbox"])
    equal((len(seen), os.listdir(t.dir)), (20, []))


sys.exit(main())
