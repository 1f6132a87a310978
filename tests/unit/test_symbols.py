#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Three lists must say the same: what the built library exports, the symbol file, and the functions of the headers.

usage: test_symbols.py LIBRARY SYMBOLS HEADER...
"""
import re
import subprocess
import sys


def exported(library):
    lines = subprocess.run(["nm", "-D", "--defined-only", library], check=True, capture_output=True, text=True).stdout.splitlines()
    return {line.split()[-1].split("@")[0] for line in lines if line.split()[-2] != "A"}


def listed(path):
    return set(re.findall(r"^\s+(hutch_\w+);$", open(path, encoding="utf-8").read(), re.MULTILINE))


def declared(paths):
    found = set()
    for path in paths:
        text = re.sub(r"/\*.*?\*/", "", open(path, encoding="utf-8").read(), flags=re.DOTALL)
        text = re.sub(r"^#(.*\\\n)*.*$", "", text, flags=re.MULTILINE)
        text = re.sub(r"^typedef[^;]*;", "", text, flags=re.MULTILINE)
        found |= set(re.findall(r"\b(hutch_\w+)\s*\(", text))
    return found


def main():
    library, symbols, headers = exported(sys.argv[1]), listed(sys.argv[2]), declared(sys.argv[3:])
    checks = [
        ("the library exports exactly what is listed", library ^ symbols),
        ("the headers declare exactly what is listed", headers ^ symbols),
        ("every exported name begins with hutch_", {name for name in library if not name.startswith("hutch_")}),
        ("something is exported", set() if len(library) > 20 else {f"only {len(library)}"}),
    ]
    print(f"1..{len(checks)}")
    for number, (name, wrong) in enumerate(checks, 1):
        print(f"{'not ' if wrong else ''}ok {number} - {name}")
        for word in sorted(wrong):
            print(f"# {word}")
    return any(wrong for _, wrong in checks)


sys.exit(main())
