#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that includes point downwards only (design chapter of the README, "Folders").

usage: check-includes.py [TREE]      exit 1 and one "file:line: reason" for each violation
       check-includes.py --self-test shows that planted violations are found
"""

import re
import sys
import tempfile
from pathlib import Path

# What each folder of runtime/ may include besides itself. A folder that is not listed here is a violation.
LAYERS = {
    "base": set(),
    "spec": {"base"},
    "kernel": {"base"},
    "plan": {"kernel", "spec", "base"},
    "init": {"plan", "kernel", "base"},
    "scope": {"base"},
    "engine": {"plan", "kernel", "spec", "base"},
    "wire": {"plan", "base"},
    "supervisor": {"engine", "wire", "plan", "spec", "base"},
    "api": {"engine", "wire", "spec", "base", "plan"},
}

# Headers of libraries, and the folders (or files) that alone may include them.
LIBRARIES = {
    r"uv(/.*)?\.h": ("runtime/engine/", "runtime/supervisor/", "tools/serve/"),
    r"systemd/.*\.h": ("runtime/scope/",),
    r"seccomp\.h": ("runtime/plan/", "tools/filterc.c"),
    r"check\.h": (),  # tests only, and those are not looked at
}

# Single includes that are right although they skip a layer, with the reason.
EXCEPTIONS = {
    ("runtime/api/doctor.c", "kernel/probe.h"): "the doctor keeps no state, so the engine has no part in it",
}

# The build-time filter compiler stands in tools/ but belongs to the runtime's side of the line.
BUILD_TOOLS = {"tools/filterc.c": {"spec", "plan", "base"}}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def library_problem(name, header):
    for pattern, places in LIBRARIES.items():
        if re.fullmatch(pattern, header) and not name.startswith(tuple(places)):
            where = " and ".join(places) or "tests"
            return f"<{header}> belongs to {where} only"
    return None


def runtime_problem(tree, name, quoted, header):
    folder = name.split("/")[1]
    target = header.split("/")[0] if "/" in header else None
    if folder not in LAYERS:
        return f"runtime/{folder} has no place in the order of layers"
    if target == "..":
        return f'"{header}" must be written from runtime/, without ".."'
    if target == "hutch" and quoted:
        return f"public headers are included as <{header}>"
    if target is None:
        # A generated table has no folder of its own; a header beside the file is written with its folder.
        if quoted and (tree / name).parent.joinpath(header).exists():
            return f'"{header}" must be written from runtime/: "{folder}/{header}"'
        return None
    if target not in LAYERS or (not quoted and not (tree / "runtime" / header).exists()):
        return None
    if target != folder and target not in LAYERS[folder]:
        return f"{folder} must not include {target} (\"{header}\")"
    if not quoted:
        return f'"{header}" is ours: use quotes'
    return None


def tools_problem(tree, name, quoted, header):
    if (tree / "runtime" / header).exists() or header.startswith("../") or header.split("/")[0] in LAYERS and quoted:
        if header.split("/")[0] in BUILD_TOOLS.get(name, ()):
            return None
        own = (tree / name).parent / header
        if own.resolve().is_relative_to((tree / "tools").resolve()) and own.exists():
            return None
        return f'tools may include only <hutch/...> of the project, not "{header}"'
    if header.startswith("hutch/") and quoted:
        return f"public headers are included as <{header}>"
    return None


def public_problem(tree, name, quoted, header):
    if quoted:
        return f'a public header must not include "{header}"'
    return None


CHECKS = {"runtime": runtime_problem, "tools": tools_problem, "include": public_problem}


def problems(tree):
    """Yields (file, line number, reason)."""
    for top, check in CHECKS.items():
        for path in sorted((tree / top).rglob("*.[ch]")):
            name = path.relative_to(tree).as_posix()
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                match = INCLUDE.match(line)
                if not match:
                    continue
                quoted, header = match[1] == '"', match[2]
                if (name, header) in EXCEPTIONS:
                    continue
                reason = library_problem(name, header) or check(tree, name, quoted, header)
                if reason:
                    yield name, number, reason


PLANTED = [  # file, include, whether it is a violation
    ("runtime/base/a.c", '"base/a.h"', False),
    ("runtime/base/a.c", "<hutch/error.h>", False),
    ("runtime/base/a.c", '"kernel/a.h"', True),
    ("runtime/base/a.c", '"a.h"', True),
    ("runtime/base/a.c", '"../kernel/a.h"', True),
    ("runtime/base/a.c", '"hutch/error.h"', True),
    ("runtime/spec/a.c", '"plan/a.h"', True),
    ("runtime/kernel/a.c", '"spec/a.h"', True),
    ("runtime/kernel/a.c", "<linux/seccomp.h>", False),
    ("runtime/kernel/a.c", "<net/if.h>", False),
    ("runtime/plan/a.c", '"kernel/a.h"', False),
    ("runtime/plan/a.c", "<seccomp.h>", False),
    ("runtime/plan/a.c", '"engine/a.h"', True),
    ("runtime/init/a.c", '"plan/a.h"', False),
    ("runtime/init/a.c", '"wire/a.h"', True),
    ("runtime/init/a.c", '"spec/a.h"', True),
    ("runtime/init/a.c", "<uv.h>", True),
    ("runtime/init/a.c", "<seccomp.h>", True),
    ("runtime/init/a.c", "  <  uv.h>", False),  # no header of libuv, and no compiler finds it
    ("runtime/engine/a.c", "<uv.h>", False),
    ("runtime/engine/a.c", '"api/a.h"', True),
    ("runtime/api/a.c", '"engine/a.h"', False),
    ("runtime/api/a.c", '"kernel/a.h"', True),
    ("runtime/api/doctor.c", '"kernel/probe.h"', False),
    ("runtime/api/doctor.c", '"kernel/a.h"', True),
    ("runtime/api/a.c", "<kernel/a.h>", True),
    ("runtime/api/a.c", "<uv.h>", True),
    ("runtime/supervisor/a.c", "<uv/unix.h>", False),
    ("runtime/supervisor/a.c", '"init/a.h"', True),
    ("runtime/other/a.c", "<stdio.h>", True),
    ("tools/a.c", '"a.h"', False),
    ("tools/a.c", "<hutch/error.h>", False),
    ("tools/a.c", "<sys/capability.h>", False),
    ("tools/a.c", '"base/a.h"', True),
    ("tools/a.c", '"../runtime/base/a.h"', True),
    ("tools/a.c", "<uv.h>", True),
    ("tools/serve/a.c", "<uv.h>", False),
    ("tools/serve/a.c", '"../a.h"', False),
    ("tools/filterc.c", '"plan/a.h"', False),
    ("tools/filterc.c", '"engine/a.h"', True),
    ("include/hutch/a.h", '"base/a.h"', True),
]


def self_test():
    failed = 0
    for name, include, wrong in PLANTED:
        with tempfile.TemporaryDirectory() as folder:
            tree = Path(folder)
            for layer in LAYERS:
                (tree / "runtime" / layer).mkdir(parents=True)
                (tree / "runtime" / layer / "a.h").touch()
            (tree / "tools").mkdir()
            (tree / "tools/a.h").touch()
            path = tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"/* planted */\n#  include {include}\n")
            found = [(file, line) for file, line, _ in problems(tree)]
            if found != ([(name, 2)] if wrong else []):
                failed += 1
                print(f"self-test: {name} with {include}: found {found}, expected {'one' if wrong else 'none'}")
    print(f"check-includes: self-test, {len(PLANTED) - failed} of {len(PLANTED)} right")
    return 1 if failed else 0


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    if len(arguments) > 1 or arguments and arguments[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    tree = Path(arguments[0]) if arguments else Path(__file__).resolve().parent.parent
    if not (tree / "runtime").is_dir():
        print(f"check-includes: {tree}: no runtime/ there", file=sys.stderr)
        return 2
    found = list(problems(tree))
    for name, line, reason in found:
        print(f"{name}:{line}: {reason}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
