#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The example program does what it says, and is as short as promised. usage: test_minimal.py PROGRAM SOURCE"""
import subprocess
import sys

program, source = sys.argv[1:]


def run(*command):
    done = subprocess.run([program, *command], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


text = open(source, encoding="utf-8").read()
checks = {
    "at most 60 lines": text.count("\n") <= 60,
    "only one header of hutch": [line for line in text.splitlines() if "#include" in line and "hutch" in line] == ["#include <hutch/hutch.h>"],
    "output, outcome and code": run("sh", "-c", "echo out; echo err >&2; exit 3") == (0, "out\noutcome: exited, code: 3\n", "err\n"),
    "python3": run("python3", "-c", "print(6 * 7)") == (0, "42\noutcome: exited, code: 0\n", ""),
    "signaled": run("sh", "-c", "kill -9 $$") == (0, "outcome: signaled, code: 137\n", ""),
    "not found": (lambda done: done[0] == 1 and done[2].startswith("not_found: "))(run("no-such-command")),
    "usage": run()[0] == 2,
}
print(f"1..{len(checks)}")
for number, (name, good) in enumerate(checks.items(), 1):
    print(f"{'' if good else 'not '}ok {number} - {name}")
sys.exit(not all(checks.values()))
