#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Resident memory of hutch and of hutch-init while a sandbox runs. usage: memory.py HUTCH"""

import subprocess
import sys
import time


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


def field(pid, name):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith(name + ":"):
                return int(line.split()[1])
    return 0


def main():
    hutch = subprocess.Popen([sys.argv[1], "run", "--no-workspace", "--", "sleep", "30"], stdin=subprocess.DEVNULL)
    try:
        init = []
        for _ in range(200):
            time.sleep(0.01)
            init = children(hutch.pid)
            if init and children(init[0]):
                break
        time.sleep(0.1)
        rows = (("hutch-init resident", field(init[0], "VmRSS"), 1024), ("hutch peak", field(hutch.pid, "VmHWM"), 8192))
        for name, value, aim in rows:
            print(f"{name}: {value} KiB, to be at most {aim}: {'reached' if value <= aim else 'NOT reached'}")
    finally:
        hutch.terminate()
        hutch.wait()


if __name__ == "__main__":
    main()
