#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Counts what one `meson test` run did, from its testlog.json.

usage: count-tests.py PART SUITE SECONDS TESTLOG.json    prints tab-separated lines for scripts/test.sh:
           count PART SUITE PROGRAMS PASSED FAILED SKIPPED SECONDS
           fail|skip PART SUITE what and why
       SECONDS may be -: the sum of what the tests took.
       count-tests.py --suites BUILD                     prints the suites of a build directory, without benchmarks
       count-tests.py --self-test

A program counts by what it prints: the summary lines of Check ("100%: Checks: 12, Failures: 0, Errors: 0") or the lines
of TAP. One that prints neither counts as one test, by Meson's verdict on it. One that failed without a failed test of its
own (it crashed, or ended too early) counts as one failed test more, so that nothing gets lost.
"""

import json
import re
import subprocess
import sys

CHECK = re.compile(r"^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)", re.MULTILINE)
CHECK_FAILURE = re.compile(r"^\S+:\d+:[FE]:.*$", re.MULTILINE)
TAP = re.compile(r"^(not )?ok\b *\d* *(?:- )?(.*)$")
DIRECTIVE = re.compile(r"#\s*(SKIP|TODO)\S*\s*(.*)$", re.IGNORECASE)
SKIP_ALL = re.compile(r"^1\.\.0\s*#\s*skip\S*\s*(.*)$", re.IGNORECASE)


class Count:
    def __init__(self):
        self.passed = 0
        self.failures = []
        self.skips = []
        self.seconds = 0.0

    def add_check(self, name, output):
        found = CHECK.findall(output)
        for checks, failures, errors in found:
            bad = int(failures) + int(errors)
            self.passed += int(checks) - bad
            names = CHECK_FAILURE.findall(output)
            self.failures += [f"{name}: {line}" for line in names[:bad]] + [f"{name}: a check"] * (bad - len(names))
            if int(checks) == 0:
                self.failures.append(f"{name}: ran no check")
        return bool(found)

    def add_tap(self, name, output):
        found = False
        for line in output.splitlines():
            skip_all = SKIP_ALL.match(line)
            if skip_all:
                found = True
                self.skips.append(f"{name}: {skip_all[1] or 'no reason given'}")
                continue
            match = TAP.match(line)
            if not match:
                continue
            found = True
            directive = DIRECTIVE.search(match[2])
            title = DIRECTIVE.sub("", match[2]).strip()
            if directive:
                self.skips.append(f"{name}: {title}: {directive[2] or directive[1]}")
            elif match[1]:
                self.failures.append(f"{name}: {title}")
            else:
                self.passed += 1
        return found

    def add_program(self, test):
        name, result = test["name"].split(" / ")[-1], test["result"]
        self.seconds += test.get("duration") or 0
        output = test.get("stdout") or ""
        before = len(self.failures)
        counted = self.add_check(name, output) or self.add_tap(name, output)
        if result in ("OK", "EXPECTEDFAIL"):
            self.passed += not counted
        elif result == "SKIP":
            if not counted:
                lines = (output + (test.get("stderr") or "")).strip().splitlines()
                self.skips.append(f"{name}: {lines[-1] if lines else 'no reason given'}")
        elif len(self.failures) == before:
            self.failures.append(f"{name}: {result}, exit code {test.get('returncode')}")


def count(lines):
    total, programs = Count(), 0
    for line in lines:
        if not line.strip():
            continue
        programs += 1
        try:
            total.add_program(json.loads(line))
        except ValueError:
            total.failures.append("the test log ends in the middle of a line")
    return total, programs


def report(part, suite, seconds, path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            total, programs = count(file)
    except OSError as error:
        total, programs = Count(), 0
        total.failures.append(f"no test log: {error}")
    numbers = (programs, total.passed, len(total.failures), len(total.skips), round(total.seconds) if seconds == "-" else seconds)
    print("\t".join(["count", part, suite, *map(str, numbers)]))
    for kind, texts in (("fail", total.failures), ("skip", total.skips)):
        for text in texts:
            print("\t".join([kind, part, suite, text.replace("\t", " ")]))


def suites(build):
    tests = json.loads(subprocess.run(["meson", "introspect", "--tests", build], check=True, capture_output=True).stdout)
    names = {suite.split(":")[-1] for test in tests for suite in test["suite"]}
    order = ["unit", "init", "guest", "scenario"]
    return sorted(names - {"benchmark"}, key=lambda name: (order.index(name) if name in order else len(order), name))


SAMPLES = [  # result, return code, output; passed, failed, skipped
    ("OK", 0, "Running suite(s): a\n100%: Checks: 12, Failures: 0, Errors: 0\n", (12, 0, 0)),
    ("FAIL", 1, "50%: Checks: 4, Failures: 1, Errors: 1\na.c:3:F:x:y:0: no\na.c:9:E:x:z:0: died\n", (2, 2, 0)),
    ("OK", 0, "100%: Checks: 2, Failures: 0, Errors: 0\n100%: Checks: 3, Failures: 0, Errors: 0\n", (5, 0, 0)),
    ("FAIL", 139, "100%: Checks: 3, Failures: 0, Errors: 0\n", (3, 1, 0)),
    ("OK", 0, "0%: Checks: 0, Failures: 0, Errors: 0\n", (0, 1, 0)),
    ("OK", 0, "1..3\nok 1 - a\nok 2 - b # SKIP no overlay\nok 3\n", (2, 0, 1)),
    ("FAIL", 1, "ok 1 - a\nnot ok 2 - b\n# why\nok 3 - okay\n1..3\n", (2, 1, 0)),
    ("ERROR", 0, "ok 1 - a\n1..2\n", (1, 1, 0)),
    ("SKIP", 0, "1..0 # SKIP no namespaces\n", (0, 0, 1)),
    ("SKIP", 77, "this host has no gcc\n", (0, 0, 1)),
    ("OK", 0, "fine\n", (1, 0, 0)),
    ("TIMEOUT", -9, "", (0, 1, 0)),
]


def self_test():
    wrong = 0
    for result, code, output, expected in SAMPLES:
        total, _ = count([json.dumps({"name": "hutch:unit / x", "result": result, "returncode": code, "stdout": output})])
        found = (total.passed, len(total.failures), len(total.skips))
        if found != expected:
            wrong += 1
            print(f"self-test: {result} {output!r}: {found} instead of {expected}")
    print(f"count-tests: self-test, {len(SAMPLES) - wrong} of {len(SAMPLES)} right")
    return 1 if wrong else 0


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    if len(arguments) == 2 and arguments[0] == "--suites":
        for name in suites(arguments[1]):
            print(name)
    elif len(arguments) == 4:
        report(*arguments)
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
