# SPDX-License-Identifier: Apache-2.0
"""Runs in the virtual machine of scripts/vm.sh, as its system service hutch-vm: does what job.json says, tells the host by
virtio ports, and ends, upon which the machine is switched off.

A command is started as systemd starts what people use: each is a unit of its own, so that its cgroup is a real place.
    root      a service of the system manager, in system.slice
    user      a service of the manager of `lingering`, under user@UID.service
    session   a process in the scope of a login session of `visitor`, under user-UID.slice and outside of user@UID.service

Its stdout and stderr are pipes, as a port can be opened once only and programs open /dev/stdout again.
"""

import json
import os
import pwd
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
PORTS = "/dev/virtio-ports/hutch."
# What the tests provoke must not end the unit that they run in.
COMMON = ["systemd-run", "--quiet", "--wait", "--collect", "--service-type=exec", "-pTasksMax=infinity", "-pLimitNOFILE=1024:524288"]


def by_root(words):
    return COMMON + ["-pOOMPolicy=continue"] + words


def by_user(words):
    user = pwd.getpwnam("lingering")
    run_time = "/run/user/%d" % user.pw_uid
    subprocess.run(["systemctl", "start", "user@%d.service" % user.pw_uid], check=True)
    become = ["setpriv", "--reuid=%d" % user.pw_uid, "--regid=%d" % user.pw_gid, "--init-groups", "--reset-env"]
    become += ["env", "XDG_RUNTIME_DIR=" + run_time, "DBUS_SESSION_BUS_ADDRESS=unix:path=%s/bus" % run_time]
    return become + COMMON + ["--user", "-pOOMPolicy=continue"] + words


def by_session(words):
    return COMMON + ["-pPAMName=login", "-pUser=visitor", "-pOOMPolicy=continue"] + words


BY = {"root": by_root, "user": by_user, "session": by_session}


def relay(source, port):
    while True:
        data = os.read(source, 65536)
        if not data:
            return
        while data:
            data = data[os.write(port, data):]


def run(who, job, ports):
    words = ["--pipe", "--working-directory=" + job["directory"], "--setenv=HUTCH_VM_AS=" + who, "--setenv=LANG=C.UTF-8", "--"]
    process = subprocess.Popen(BY[who](words + job["command"]), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    threads = [threading.Thread(target=relay, args=(pipe.fileno(), port), daemon=True)
               for pipe, port in ((process.stdout, ports[0]), (process.stderr, ports[1]))]
    for thread in threads:
        thread.start()
    code = process.wait()
    for thread in threads:
        thread.join(5)  # what it left behind may keep them open
    return code if 0 <= code <= 255 else 1


def shell(who):
    words = ["-pStandardInput=tty", "-pStandardOutput=tty", "-pTTYPath=/dev/hvc0", "--setenv=TERM=linux", "--", "bash", "-l"]
    return subprocess.run(BY[who](words)).returncode


def main():
    with open(HERE + "/job.json", encoding="utf-8") as file:
        job = json.load(file)
    if job["command"] == ["shell"]:
        return shell(job["as"][0])
    ports = [os.open(PORTS + name, os.O_WRONLY) for name in ("out", "err")]
    codes = [run(who, job, ports) for who in job["as"]]
    code = next((code for code in codes if code), 0)
    with open(PORTS + "code", "w", encoding="ascii") as port:
        port.write("%d\n" % code)
    return code


sys.exit(main())
