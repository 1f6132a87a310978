# SPDX-License-Identifier: Apache-2.0
"""Results as TAP. A check's name begins with the id of its class in the catalogue of weaknesses (A1, F12, ...)."""

import sys


class Checks:
    def __init__(self, only=""):
        self.only = only
        self.number = 0
        self.failed = []

    def check(self, name, condition, detail=""):
        """One row; `detail` says what was found. Returns the condition."""
        if self.only not in name:
            return bool(condition)
        self.number += 1
        print("%s %d - %s" % ("ok" if condition else "not ok", self.number, name.replace("#", "")))
        if not condition:
            self.failed.append(name)
            for line in str(detail).splitlines()[:40]:
                self.note("  " + line)
        sys.stdout.flush()
        return bool(condition)

    def equal(self, name, found, expected):
        return self.check(name, found == expected, "found    %r\nexpected %r" % (found, expected))

    def empty(self, name, problems):
        """`problems` is a list of texts: none may be there."""
        return self.check(name, not problems, "\n".join(str(problem) for problem in problems))

    def skip(self, name, reason):
        if self.only in name:
            self.number += 1
            print("ok %d - %s # SKIP %s" % (self.number, name, reason))

    def note(self, text):
        print("# " + text.encode("ascii", "backslashreplace").decode())

    def done(self):
        print("1..%d" % self.number)
        return 1 if self.failed or not self.number else 0
