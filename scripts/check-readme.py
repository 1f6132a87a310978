#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The README shows the example program as it is compiled and tested, and names no file that is not there.

usage: check-readme.py            exit code 1 and a line per finding
       check-readme.py --update   puts the example program in
"""
import os
import re
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MARK = "<!-- example: tests/examples/minimal.c -->\n"


def read(name):
    with open(os.path.join(TOP, name), encoding="utf-8") as file:
        return file.read()


def shown(program):
    return MARK + "```c\n" + program + "```\n"


def main():
    text, program = read("README.md"), read("tests/examples/minimal.c")
    if "--update" in sys.argv:
        text = re.sub(re.escape(MARK) + r"(```c\n.*?```\n)?", lambda _: shown(program), text, flags=re.S)
        with open(os.path.join(TOP, "README.md"), "w", encoding="utf-8") as file:
            file.write(text)
        return 0
    findings = []
    if shown(program) not in text:
        findings.append("README.md: the example is not tests/examples/minimal.c (scripts/check-readme.py --update)")
    if program.count("\n") > 60:
        findings.append("tests/examples/minimal.c: longer than 60 lines")
    for name in sorted(set(re.findall(r"(?:scripts|tests|tools|runtime|include)/[\w./-]*\w", text))):
        if not os.path.exists(os.path.join(TOP, name)):
            findings.append(f"README.md: names {name}, which is not there")
    print("\n".join(findings), end="\n" if findings else "")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
