#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs test programs in the virtual machine of scripts/vm.sh, as whoever calls it there.

usage: suites.py BUILD [WORD...]     all that this identity (HUTCH_VM_AS) runs; only names with one of the words

Each program that ended is one line on stdout, of the form of Meson's testlog.json, with the suite that it belongs to
("root-limits") added; scripts/count-tests.py counts them. What is said about it for people goes to stderr.

The list is TESTS, below. Programs of the test list of Meson are known by their names there; others by their own words.
"""

import json
import os
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SLOWER = 4  # than a host: emulation
# Everything that can be limited must be there, and times are those of an emulated machine.
ENVIRONMENT = {"PYTHONDONTWRITEBYTECODE": "1", "HUTCH_LIMITS": "all", "HUTCH_SLOW": "1", "CK_TIMEOUT_MULTIPLIER": str(SLOWER)}
EVERYBODY = ("root", "user", "session")


class Test:
    def __init__(self, suite, name, who=EVERYBODY, command=None, seconds=300):
        self.suite, self.name, self.who = suite, name, who
        self.command, self.seconds, self.env = command, seconds, {}


# A command's words may contain {hutch}, {build} and {here}, this directory.
TESTS = [
    Test("limits", "cli-limits"),
] + [Test("kernel", name, who=("root", "user")) for name in ("delegation", "probe")]


def add_meson_tests(build):
    """What the build's test list says about the tests that name no command."""
    with open(build + "/meson-info/intro-tests.json", encoding="utf-8") as file:
        known = {entry["name"]: entry for entry in json.load(file)}
    for test in TESTS:
        if test.command is None:
            entry = known[test.name]
            # The host's Python may be anywhere.
            test.command = ["python3" if os.path.basename(word).startswith("python3") else word for word in entry["cmd"]]
            test.env, test.seconds = entry["env"], entry["timeout"] * SLOWER


def run(test, build):
    places = {"hutch": build + "/tools/hutch", "build": build, "here": HERE}
    words = [word.format(**places) if "{" in word else word for word in test.command]
    environment = {**os.environ, **ENVIRONMENT, **test.env}
    # Words of the test list may be relative to the build.
    process = subprocess.Popen(words, cwd=build, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               start_new_session=True, encoding="utf-8", errors="backslashreplace")
    result = None
    try:
        out, err = process.communicate(timeout=test.seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        result = "TIMEOUT"
    if result is None and ("\n" + out).find("\nnot ok") >= 0:
        result = "FAIL"  # whatever its exit code is
    if result is None:
        result = {0: "OK", 77: "SKIP"}.get(process.returncode, "FAIL")
    return {"result": result, "returncode": process.returncode, "stdout": out, "stderr": err}


def show(entry):
    print("%s: %s: %s after %.0f s" % (entry["suite"], entry["name"], entry["result"], entry["duration"]), file=sys.stderr)
    if entry["result"] not in ("OK", "SKIP"):
        print(entry["stdout"][-20000:] + entry["stderr"][-20000:], file=sys.stderr)
    sys.stderr.flush()


def main(arguments):
    build, words = os.path.abspath(arguments[0]), arguments[1:]
    who = os.environ["HUTCH_VM_AS"]
    add_meson_tests(build)
    bad = 0
    for test in TESTS:
        if who not in test.who or (words and not any(word in test.name for word in words)):
            continue
        start = time.monotonic()
        entry = run(test, build)
        entry.update(name=test.name, suite="%s-%s" % (who, test.suite), duration=time.monotonic() - start)
        bad += entry["result"] not in ("OK", "SKIP")
        print(json.dumps(entry), flush=True)
        show(entry)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
