# SPDX-License-Identifier: Apache-2.0
"""Exit codes, the result record, captured output, timeouts: what a caller can rely on when a command has ended."""

import base64

from tap import *

NUMBER = (int, float)
KEYS = {  # every key of the record: its type when it is not null
    "sandbox": str, "id": str, "command": list, "outcome": str, "exit_code": int, "signal": int, "returncode": int, "started": bool,
    "error": dict, "stdout": str, "stdout_base64": str, "stderr": str, "stderr_base64": str, "stdout_bytes": int,
    "stderr_bytes": int, "stdout_truncated": bool, "stderr_truncated": bool, "wall_ms": NUMBER, "user_ms": NUMBER,
    "system_ms": NUMBER, "memory_peak_bytes": int, "pids_peak": int, "io_read_bytes": int, "io_write_bytes": int,
    "throttled_ms": NUMBER, "oom_kills": int,
    "limits_enforced": dict, "limits_hit": list, "warnings": list,
}
NEVER_NULL = ("sandbox", "id", "command", "outcome", "returncode", "started", "limits_enforced", "limits_hit", "warnings")
ERROR_KEYS = {"code", "stage", "errno", "errno_name", "message", "hint"}
OUTCOMES = ("exited", "signaled", "timeout", "cpu_limit", "memory_limit", "pids_limit", "output_limit", "killed", "not_started")
ENFORCERS = ("cgroup", "rlimit", "tmpfs", "quota", "timer", "none")


def check_record(record, outcome, captured=True):
    equal(set(record) - {"changes"}, set(KEYS), "keys of the record")
    for key, kind in KEYS.items():
        value = record[key]
        if value is None:
            true(key not in NEVER_NULL, "%s is null" % key)
        else:
            true(isinstance(value, kind) and (kind is bool or not isinstance(value, bool)), "%s is %r" % (key, value))
    equal(record["outcome"], outcome, "outcome")
    true(record["outcome"] in OUTCOMES, record["outcome"])
    for name, limit in record["limits_enforced"].items():
        equal(set(limit), {"value", "by"}, "limit %s" % name)
        true(limit["by"] in ENFORCERS, "limit %s is enforced by %r" % (name, limit["by"]))
    if outcome == "not_started":
        equal(record["started"], False, "started")
        equal((record["exit_code"], record["signal"], record["wall_ms"]), (None, None, None), "how it ended")
        equal(set(record["error"]), ERROR_KEYS, "keys of the error")
        true(record["error"]["message"] and record["error"]["code"].islower(), record["error"])
    else:
        equal(record["started"], True, "started")
        equal(record["error"], None, "error")
        true((record["exit_code"] is None) != (record["signal"] is None), "one of exit_code and signal is null: %r" % record)
        true(record["wall_ms"] is not None and record["wall_ms"] >= 0, "wall_ms is %r" % record["wall_ms"])
    for stream in ("stdout", "stderr"):
        text, encoded = record[stream], record[stream + "_base64"]
        if not captured:
            equal((text, encoded, record[stream + "_bytes"]), (None, None, None), stream)
            true(not record[stream + "_truncated"], stream)
            continue
        true((text is None) != (encoded is None), "%s: exactly one of text and base64" % stream)
        kept = len(text.encode()) if text is not None else len(base64.b64decode(encoded, validate=True))
        total = record[stream + "_bytes"]
        true(kept <= total, "%s: %d kept of %d" % (stream, kept, total))
        equal(record[stream + "_truncated"], kept < total, stream + "_truncated")


# ---- exit codes ------------------------------------------------------------------------------------------------------


@test("every exit code 0 to 255 comes through")
def _(t):
    wrong = []
    for code in range(256):
        found = t.run("sh", "-c", "exit %d" % code).code
        if found != code:
            wrong.append((code, found))
    equal(wrong, [], "(code, found)")


@tests_of("a command that kills itself", {name: name for name in ("TERM", "KILL", "SEGV", "HUP", "INT", "ABRT", "USR1", "PIPE", "QUIT")})
def _(t, name):
    number = int(getattr(signal, "SIG" + name))
    equal(t.sh("kill -%s $$; sleep 5" % name).code, 128 + number)
    record = t.json("echo before; kill -%s $$; sleep 5" % name)
    check_record(record, "signaled")
    equal((record["exit_code"], record["signal"], record["returncode"]), (None, number, 128 + number))
    equal(record["stdout"], "before\n")


@test("a shell that exits with 137 was not signaled")
def _(t):
    record = t.json("exit 137")
    check_record(record, "exited")
    equal((record["exit_code"], record["signal"], record["returncode"]), (137, None, 137))


@test("codes 124 to 127 of the command itself are exits, not hutch's")
def _(t):
    for code in (124, 125, 126, 127):
        record = t.json("exit %d" % code)
        check_record(record, "exited")
        equal((record["exit_code"], record["started"]), (code, True))


@tests_of("returncode and error code", {
    "not found": ("/no/such/program", 127, "not_found"),
    "not found in PATH": ("no-such-program", 127, "not_found"),
    "a directory": ("/usr", 126, "not_executable"),
    "not executable": ("./plain", 126, "not_executable"),
    "no format": ("./empty-program", 126, "not_executable"),
})
def _(t, word, code, error):
    t.write("plain", "text")
    t.write("empty-program", "just text\n", 0o755)
    outcome = t.run(word, options=("--json",))
    equal(outcome.code, code)
    check_record(outcome.record, "not_started")
    equal((outcome.record["returncode"], outcome.record["error"]["code"]), (code, error))
    true(outcome.record["error"]["errno"] and outcome.record["error"]["errno_name"].startswith("E"), outcome.record["error"])
    true(outcome.record["error"]["hint"], "a hint is given")
    equal(t.run(word).code, code, "without --json")


# ---- the record ------------------------------------------------------------------------------------------------------


@test("the record of a command that exited")
def _(t):
    record = t.json("echo out; echo err >&2; exit 3")
    check_record(record, "exited")
    equal((record["exit_code"], record["signal"], record["returncode"]), (3, None, 3))
    equal((record["stdout"], record["stderr"], record["stdout_bytes"], record["stderr_bytes"]), ("out\n", "err\n", 4, 4))
    equal(record["command"], ["sh", "-c", "echo out; echo err >&2; exit 3"])
    equal(record["limits_hit"], [])
    within(record["wall_ms"], 0, 5000, "wall_ms")


@test("times are those of the command")
def _(t):
    record = t.json("sleep 0.5; i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done")
    within(record["wall_ms"], 500, 20000, "wall_ms")
    within(record["user_ms"], 30, record["wall_ms"], "user_ms")


@test("two sandboxes have different ids")
def _(t):
    ids = {t.json("true")["sandbox"] for _ in range(10)}
    equal(len(ids), 10)


@test("no output is empty text, not null")
def _(t):
    record = t.json("true")
    check_record(record, "exited")
    equal((record["stdout"], record["stderr"], record["stdout_bytes"], record["stdout_truncated"]), ("", "", 0, False))


@test("--json prints one document for each kind of failure, with the same exit code")
def _(t):
    t.write("bad.profile", "nonsense = 1\n")
    # With the controller in cgroup v2 it may be held, or not, as the caller was started.
    unenforceable = [] if b"memory" in read_file("/sys/fs/cgroup/cgroup.controllers") else [["run", "--json", "--memory", "1G", "--", "true"]]
    for words in (["run", "--json"], ["run", "--json", "--nonsense", "--", "true"], ["run", "--json", "--timeout", "x", "--", "true"],
                  ["run", "--timeout", "x", "--json", "--", "true"], *unenforceable,
                  ["run", "--json", "--profile", "bad.profile", "--", "true"], ["run", "--json", "--profile", "none", "--", "true"],
                  ["run", "--json", "--workspace", "nowhere", "--", "true"], ["run", "--json", "--cwd", "/nowhere", "--", "true"],
                  ["run", "--json", "-t", "--", "true"], ["doctor", "--json", "word"], ["version", "--json", "word"],
                  ["nonsense", "--json"], ["--json"], ["help", "--json", "nonsense"], ["completion", "--json", "fish"]):
        outcome = t.hutch(*words)
        equal(outcome.code, 125, "exit code of %s (%r)" % (words, outcome))
        if words == ["--json"]:
            continue
        error = one_document(outcome.out)["error"]
        equal(set(error), ERROR_KEYS, "keys of the error of %s" % words)
        true(error["message"], words)
        true(outcome.err.startswith(b"hutch: "), "the reason is on stderr, too: %r" % outcome)
        if "-t" in words:
            continue  # only together are they wrong
        without = t.hutch(*[word for word in words if word != "--json"])
        equal((without.code, without.out), (125, b""), "without --json: %s" % words)


@test("the working directory that does not exist: not_started and 125")
def _(t):
    record = t.json("true", "--cwd", "/nowhere")
    check_record(record, "not_started")
    equal((record["returncode"], record["error"]["code"], record["error"]["errno_name"]), (125, "cwd", "ENOENT"))


@test("--json: arguments that are not UTF-8, quotes and control bytes")
def _(t):
    outcome = t.run(b"printf", b"%s", b"a\"\\\x01\n\xff\xc3\xa9", options=("--json",))
    record = outcome.record
    equal(record["command"][2], "a\"\\\x01\n\ufffd\u00e9")
    equal(base64.b64decode(record["stdout_base64"]), b"a\"\\\x01\n\xff\xc3\xa9")
    equal(record["stdout"], None)
    check_record(record, "exited")


# ---- --result, --check, notices --------------------------------------------------------------------------------------


@test("--result: the record is in the file while streams pass through")
def _(t):
    path = t.aside("record.json")
    outcome = t.sh("echo out; echo err >&2; exit 5", "--result", path)
    equal((outcome.code, outcome.out, outcome.err), (5, b"out\n", b"err\n"))
    record = one_document(read_file(path))
    check_record(record, "exited", captured=False)
    equal((record["exit_code"], record["returncode"]), (5, 5))
    equal(os.listdir(t.side), ["record.json"], "nothing else beside it")


@test("--result: replaces an old file, and holds the error where there is no result")
def _(t):
    path = t.aside("record.json")
    t.write(path, "old" * 10000)
    equal(t.sh("true", "--result", path).code, 0)
    check_record(one_document(read_file(path)), "exited", captured=False)
    equal(t.run("/nowhere", options=("--result", path)).code, 127)
    check_record(one_document(read_file(path)), "not_started", captured=False)
    equal(t.sh("true", "--result", path, "--workspace", "nowhere").code, 125)
    equal(list(one_document(read_file(path))), ["error"])


@test("--result with --json: both, and the same")
def _(t):
    path = t.aside("record.json")
    outcome = t.sh("echo out", "--json", "--result", path)
    check_record(outcome.record, "exited")
    equal(one_document(read_file(path)), outcome.record)


@test("--result: through a link, to a FIFO, to an open file, not into a directory")
def _(t):
    t.write(t.aside("real"), "old")
    os.symlink("real", t.aside("link"))
    equal(t.sh("true", "--result", t.aside("link")).code, 0)
    true(os.path.islink(t.aside("link")), "the link is still one")
    check_record(one_document(read_file(t.aside("real"))), "exited", captured=False)
    os.mkfifo(t.aside("fifo"))
    reader = t.popen(t.aside("fifo"), program="/bin/cat", stdout=subprocess.PIPE)
    equal(t.sh("true", "--result", t.aside("fifo")).code, 0)
    check_record(one_document(reader.communicate(timeout=10)[0]), "exited", captured=False)
    outcome = t.sh("true", "--result", "/dev/stdout")
    check_record(outcome.record, "exited", captured=False)
    outcome = t.sh("true", "--result", t.side)
    equal(outcome.code, 125)
    contains(outcome.errors, "--result")


@test("--result into a place that cannot be written: nothing ran")
def _(t):
    for path in ("/no/such/directory/r.json", "/proc/nothing"):
        outcome = t.sh("echo ran", "--result", path)
        equal((outcome.code, outcome.out), (125, b""), path)
        contains(outcome.errors, "--result")


@test("--check: one line on stderr, the same exit code")
def _(t):
    outcome = t.sh("exit 3", "--check")
    equal(outcome.code, 3)
    true(outcome.errors.startswith("hutch: ") and "3" in outcome.errors, outcome.errors)
    equal(outcome.errors.count("\n"), 1, outcome.errors)
    equal(t.sh("exit 0", "--check").err, b"")
    equal(t.sh("exit 3").err, b"", "without --check nothing is said")
    outcome = t.sh("kill -9 $$", "--check")
    equal(outcome.code, 137)
    contains(outcome.errors, "137")
    outcome = t.sh("sleep 60", "--check", "--timeout", "300ms")
    equal(outcome.code, 124)
    true(outcome.errors.startswith("hutch: "), outcome)
    outcome = t.sh("exit 4", "--check", "--json")
    equal((outcome.code, outcome.record["exit_code"]), (4, 4))


@test("notices: silent for a script, told with -v, in the record's warnings in any case")
def _(t):
    equal(t.sh("echo x >new").err, b"", "stderr is no terminal")
    outcome = t.sh("echo x >new", "-v")
    contains(outcome.errors, "hutch: 1 file")
    contains(outcome.errors, "--save DIR")
    contains(outcome.errors, "--workspace .:rw")
    equal(t.sh("echo x >new", "-v", "-q").err, b"", "-q wins")
    equal(t.sh("echo x >new", "-q", "-v").err, b"", "-q wins in any order")
    equal(without_elsewhere(t.sh("cat /etc/passwd", "-v").errors), "", "nothing was changed")
    record = t.json("echo x >new")
    warnings = without_elsewhere(record["warnings"])
    equal(len(warnings), 1, warnings)
    contains(warnings[0], "1 file")
    equal(without_elsewhere(t.json("echo x >new", "-q")["warnings"]), warnings, "with -q, too")


@test("-q silences no error")
def _(t):
    contains(t.run("/nowhere", options=("-q",)).errors, "hutch: cannot execute")


# ---- captured output -------------------------------------------------------------------------------------------------


@test("captured text is cut back to a whole character, totals count every byte")
def _(t):
    for character in ("é", "€", "😀"):
        size = len(character.encode())
        for limit in range(1, 9):
            record = t.json("i=0; while [ $i -lt 10 ]; do printf '%s'; i=$((i+1)); done" % character, "--output-limit", str(limit))
            check_record(record, "exited")
            equal((record["stdout"], record["stdout_bytes"], record["stdout_truncated"]), (character * (limit // size), 10 * size, True),
                  "%s, limit %d" % (character.encode(), limit))


@test("invalid UTF-8 is base64, every byte value comes back")
def _(t):
    data = bytes(range(256)) * 5
    t.write("data", data)
    record = t.json("cat data; cat data >&2")
    check_record(record, "exited")
    equal(record["stdout"], None)
    equal(base64.b64decode(record["stdout_base64"]), data)
    equal(base64.b64decode(record["stderr_base64"]), data)


@test("zero bytes, CR and controls in text stay as they are")
def _(t):
    record = t.json(r"printf 'a\000b\r\n\033[0m\177\342\200\250'")
    check_record(record, "exited")
    equal(record["stdout"], "a\0b\r\n\033[0m\x7f\u2028")


@test("--output-limit is exact: at the limit nothing is truncated, one more is")
def _(t):
    for size, truncated in ((4095, False), (4096, False), (4097, True)):
        record = t.json("head -c %d /dev/zero | tr '\\0' a" % size, "--output-limit", "4K")
        check_record(record, "exited")
        equal((len(record["stdout"]), record["stdout_bytes"], record["stdout_truncated"]), (min(size, 4096), size, truncated))


@test("--output-limit: the streams count separately and the command goes on")
def _(t):
    record = t.json("head -c 3000000 /dev/zero | tr '\\0' x; head -c 1000 /dev/zero | tr '\\0' y >&2; exit 7", "--output-limit", "1M")
    check_record(record, "exited")
    equal((record["exit_code"], len(record["stdout"]), record["stdout_bytes"]), (7, 1 << 20, 3000000))
    equal((len(record["stderr"]), record["stderr_truncated"]), (1000, False))


@test("--on-output-limit kill ends the command")
def _(t):
    start = time.monotonic()
    record = t.json("yes", "--output-limit", "100K", "--on-output-limit", "kill")
    within(time.monotonic() - start, 0, 10, "seconds")
    check_record(record, "output_limit")
    equal((record["signal"], record["returncode"], len(record["stdout"])), (9, 137, 100 << 10))
    true(record["stdout_truncated"], record["stdout_bytes"])
    record = t.json("head -c 102400 /dev/zero | tr '\\0' a", "--output-limit", "100K", "--on-output-limit", "kill")
    check_record(record, "exited")


@test("--on-output-limit kill: stderr counts, and the tree goes with it")
def _(t):
    record = t.json("(trap '' TERM HUP; setsid sh -c 'sleep 300; : %s') & yes >&2" % t.token, "--output-limit", "10K", "--on-output-limit", "kill")
    check_record(record, "output_limit")
    gone(t.token)


@test("the default limit is 64 MiB")
def _(t):
    outcome = t.sh("head -c 70000000 /dev/zero | tr '\\0' a", "--json")
    record = outcome.record
    check_record(record, "exited")
    equal((len(record["stdout"]), record["stdout_bytes"], record["stdout_truncated"]), (64 << 20, 70000000, True))


# ---- timeouts --------------------------------------------------------------------------------------------------------

STUBBORN = {
    "ignores TERM": ("trap '' TERM INT HUP; sleep 300; sleep 300; : TOKEN", 0.6),
    "children in sessions of their own": ("for i in 1 2 3; do setsid sh -c 'trap \"\" TERM; sleep 300; : TOKEN' & done; wait", 0.6),
    "double fork": ("(setsid sh -c '(trap \"\" TERM HUP; sleep 300; : TOKEN) & exit' &) ; trap '' TERM; sleep 300", 0.6),
    "stopped child": ("sh -c 'kill -STOP $$; : TOKEN' & wait; sleep 300", 0.6),
    "stopped itself": ("kill -STOP $$; : TOKEN", 0.6),
    "all of it": ("trap '' TERM; setsid sh -c 'trap \"\" TERM; while :; do sleep 1 & kill -STOP $!; sleep 0.05; done; : TOKEN' & "
                  "sh -c 'kill -STOP $$; : TOKEN' & sleep 300", 0.6),
    "forks without end": ("trap '' TERM; f() { sleep 300 & f & sleep 300; : TOKEN; }; f & sleep 300", 0.6),
}


@tests_of("timeout", STUBBORN)
def _(t, script, grace):
    start = time.monotonic()
    record = t.json("echo first; " + script.replace("TOKEN", t.token), "--timeout", "500ms", "--grace", "%gs" % grace, "--pids", "200")
    seconds = time.monotonic() - start
    check_record(record, "timeout")
    equal(record["returncode"], 124)
    contains(record["stdout"], "first\n", "output so far is kept")
    within(seconds, 0.5, 0.5 + grace + 0.2 + 1.0, "seconds")  # 200 ms are promised; the rest is for a busy machine
    gone(t.token)


@test("timeout: TERM is enough for most, and a handler may still write")
def _(t):
    start = time.monotonic()
    record = t.json("trap 'echo caught; exit 0' TERM; echo first; sleep 60 & wait", "--timeout", "300ms", "--grace", "20s")
    within(time.monotonic() - start, 0.3, 5, "seconds")
    check_record(record, "timeout")
    equal((record["exit_code"], record["signal"], record["returncode"]), (0, None, 124), "exited with 0 within the grace")
    equal(record["stdout"], "first\ncaught\n")


@test("timeout: TERM reaches the whole process group")
def _(t):
    record = t.json("sh -c 'trap \"echo child; exit\" TERM; while :; do sleep 0.05; done' & trap 'wait; exit 1' TERM; wait", "--timeout", "400ms")
    check_record(record, "timeout")
    contains(record["stdout"], "child")


@test("timeout: the default grace is two seconds")
def _(t):
    start = time.monotonic()
    record = t.json("trap '' TERM; sleep 60; sleep 60", "--timeout", "200ms")
    within(time.monotonic() - start, 2.2, 3.6, "seconds")
    check_record(record, "timeout")
    equal((record["signal"], record["returncode"]), (9, 124))


@test("timeout without --json: code 124, the output has come through")
def _(t):
    outcome = t.sh("echo first; sleep 60", "--timeout", "300ms")
    equal((outcome.code, outcome.out), (124, b"first\n"))
    within(outcome.seconds, 0.3, 2.5, "seconds")


@test("a command that ends before its timeout is not touched by it")
def _(t):
    record = t.json("sleep 0.2; echo done", "--timeout", "30s")
    check_record(record, "exited")
    equal(record["stdout"], "done\n")


@test("timeout of a command that fills its pipes and never reads")
def _(t):
    record = t.json("trap '' TERM; while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done", "--timeout", "500ms", "--grace", "300ms", "--output-limit", "1K")
    check_record(record, "timeout")
    equal(len(record["stdout"]), 1024)


@test("timeout while the reader of stdout does not read")
def _(t):
    read, write = os.pipe()
    start = time.monotonic()
    process = t.popen("run", "--timeout", "500ms", "--grace", "300ms", "--", "sh", "-c", "trap '' TERM; yes; : %s" % t.token, stdout=write)
    os.close(write)
    equal(terminate(process, 10), 124)
    within(time.monotonic() - start, 0.5, 2.5, "seconds")
    os.close(read)
    gone(t.token)


@test("--lifetime kills the sandbox")
def _(t):
    start = time.monotonic()
    record = t.json("trap '' TERM; sleep 60; sleep 60; : %s" % t.token, "--lifetime", "500ms")
    within(time.monotonic() - start, 0.5, 4, "seconds")
    check_record(record, record["outcome"])
    true(record["outcome"] in ("timeout", "killed"), record["outcome"])
    gone(t.token)


# ---- background children ---------------------------------------------------------------------------------------------


@test("a background child that holds the pipe is killed, and the answer does not wait for it")
def _(t):
    for script, code in (("sleep 300 &", 0), ("sleep 300 & exit 42", 42), ("setsid sh -c 'trap \"\" TERM; sleep 300; : %s' & exit 7" % t.token, 7)):
        start = time.monotonic()
        record = t.json("echo out; " + script)
        within(time.monotonic() - start, 0, 2, "seconds")
        check_record(record, "exited")
        equal((record["exit_code"], record["stdout"]), (code, "out\n"))
        outcome = t.sh("echo out; " + script)
        equal((outcome.code, outcome.out), (code, b"out\n"))
        within(outcome.seconds, 0, 2, "seconds")
    gone(t.token)


@test("a background child that writes without end does not hold up the answer")
def _(t):
    start = time.monotonic()
    record = t.json("yes & sleep 0.2; exit 3", "--output-limit", "1M")
    within(time.monotonic() - start, 0.2, 3, "seconds")
    check_record(record, "exited")
    equal(record["exit_code"], 3)


@test("--on-exit leave waits for the background children")
def _(t):
    start = time.monotonic()
    record = t.json("(sleep 0.7; echo later) & echo first; exit 6", "--on-exit", "leave")
    within(time.monotonic() - start, 0.7, 5, "seconds")
    check_record(record, "exited")
    equal((record["exit_code"], record["stdout"]), (6, "first\nlater\n"))
    record = t.json("(sleep 0.7; echo later) & echo first; exit 6", "--on-exit", "kill")
    equal((record["exit_code"], record["stdout"]), (6, "first\n"))


@test("--on-exit leave: the timeout still holds")
def _(t):
    start = time.monotonic()
    outcome = t.sh("(trap '' TERM; sleep 300; : %s) & exit 0" % t.token, "--on-exit", "leave", "--timeout", "600ms", "--grace", "300ms")
    within(time.monotonic() - start, 0.5, 4, "seconds")
    gone(t.token)


@test("output written just before the end is complete")
def _(t):
    for _ in range(20):
        record = t.json("head -c 200000 /dev/zero | tr '\\0' a; echo end >&2")
        equal((record["stdout_bytes"], len(record["stdout"]), record["stderr"]), (200000, 200000, "end\n"))


sys.exit(main())
