# SPDX-License-Identifier: Apache-2.0
"""Real programs inside, and what the world looks like to them: compilers, git, gigabytes, thousands of processes, ids, network."""

import select
import socket
import threading

from tap import *

GIB = 1 << 30


def runs(t, script, expected, *options, **more):
    """The script runs with exit code 0 and prints `expected` somewhere."""
    record = t.json(script, *options, **more)
    equal((record["returncode"], record["outcome"]), (0, "exited"), "%s%s" % (record["stderr"], (record["stdout"] or "")[-2000:]))
    contains(record["stdout"], expected)
    return record


# ---- programs --------------------------------------------------------------------------------------------------------


@test("gcc compiles a C program, and it runs")
def _(t):
    needs("gcc")
    t.write("hello.c", '#include <stdio.h>\n#include <math.h>\nint main(int argc, char **argv) { printf("%s %.3f\\n", argc > 1 ? argv[1] : "?", sqrt(2.0 * argc)); return 0; }\n')
    runs(t, "gcc -O2 -Wall -Werror -o hello hello.c -lm && ./hello world", "world 2.000\n")
    runs(t, "gcc -static -o hello hello.c -lm && ./hello static", "static 2.000\n")
    runs(t, "gcc -g -fsanitize=undefined -o hello hello.c -lm && ./hello ubsan; true", "")


@test("gcc -pipe with the result saved: it runs outside")
def _(t):
    needs("gcc")
    t.write("a.c", "int main(void) { return 42; }\n")
    equal(t.sh("gcc -pipe -o a a.c", "--save", t.aside("out")).code, 0)
    equal(t.spawn([t.aside("out/a")]).code, 42)


@test("make -j2 with several files")
def _(t):
    needs("gcc", "make")
    for i in range(8):
        t.write("f%d.c" % i, "int f%d(void) { return %d; }\n" % (i, i))
    t.write("main.c", "#include <stdio.h>\n" + "".join("int f%d(void);\n" % i for i in range(8)) + 'int main(void) { printf("%%d\\n", %s); return 0; }\n' % "+".join("f%d()" % i for i in range(8)))
    t.write("Makefile", "all: main\nmain: main.o %s\n\t$(CC) -o $@ $^\n" % " ".join("f%d.o" % i for i in range(8)))
    runs(t, "make -j2 >/dev/null && ./main", "28\n")


@test("python3: a unittest run")
def _(t):
    needs("python3")
    t.write("test_it.py", "import unittest\nclass T(unittest.TestCase):\n" + "".join("    def test_%d(self): self.assertEqual(%d * 2, %d)\n" % (i, i, 2 * i) for i in range(50))
            + "    def test_tmp(self):\n        import tempfile\n        with tempfile.TemporaryDirectory() as d: open(d + '/x', 'w').close()\n")
    record = runs(t, "python3 -m unittest -v", "")
    contains(record["stderr"], "Ran 51 tests")


@test("python3: processes, pools, shared memory, threads, sockets, asyncio, subprocess")
def _(t):
    needs("python3")
    t.write("p.py", """
import asyncio, multiprocessing, socket, sqlite3, subprocess, threading
from multiprocessing import shared_memory, Pool
def square(x): return x * x
async def talk():
    async def serve(r, w): w.write((await r.readline()).upper()); await w.drain(); w.close()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    r, w = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
    w.write(b"hello\\n"); print((await r.readline()).decode().strip())
if __name__ == "__main__":
    with Pool(4) as pool: print(sum(pool.map(square, range(100))))
    m = shared_memory.SharedMemory(create=True, size=4096); m.buf[0] = 7; print(m.buf[0]); m.close(); m.unlink()
    lock, count = threading.Lock(), [0]
    def work():
        with lock: count[0] += 1
    threads = [threading.Thread(target=work) for _ in range(200)]
    [x.start() for x in threads]; [x.join() for x in threads]; print("threads", count[0])
    asyncio.run(talk())
    db = sqlite3.connect("x.db"); db.execute("create table t(a)"); db.executemany("insert into t values(?)", [(i,) for i in range(1000)]); db.commit()
    print("rows", db.execute("select count(*) from t").fetchone()[0])
    print(subprocess.run(["uname", "-n"], capture_output=True, text=True, check=True).stdout.strip())
    q = multiprocessing.Queue(); p = multiprocessing.Process(target=q.put, args=(5,)); p.start(); print("queue", q.get()); p.join()
""")
    record = runs(t, "python3 p.py", "")
    equal(record["stdout"], "328350\n7\nthreads 200\nHELLO\nrows 1000\nhutch\nqueue 5\n")


@test("git: init, add, commit, status, log, branch, and a repository of the host's")
def _(t):
    needs("git")
    script = ("git init -q . && git config user.email a@b && git config user.name n && echo x >f && git add f && git commit -qm first && git checkout -qb other && echo y >>f && "
              "git commit -qam second && git status --short && git log --oneline | wc -l && git diff HEAD~1 --stat | tail -n 1 && git gc -q && git fsck 2>&1 | tail -n 1")
    runs(t, script, "2\n 1 file changed, 1 insertion(+)")
    true(not os.path.exists(t.path(".git")), "nothing on the host")
    equal(t.spawn(["sh", "-c", script]).code, 0)
    record = runs(t, "git status --short; echo z >>f; git commit -qam third && git log --format=%s", "third\nsecond\nfirst\n")
    lacks(record["stderr"], "dubious")
    equal(t.spawn(["git", "log", "--format=%s"]).text, "second\nfirst\n")
    equal(t.sh("echo w >>f; git commit -qam saved", "--save", ".").code, 0)
    equal(t.spawn(["git", "log", "--format=%s"]).text, "saved\nsecond\nfirst\n")
    equal(t.spawn(["git", "status", "--short"]).text, "")
    equal(t.spawn(["git", "fsck", "--strict"]).code, 0)


@test("tar, gzip, find, xargs, sed, awk")
def _(t):
    needs("tar", "gzip")
    for i in range(200):
        t.write("d%d/f%d" % (i % 10, i), "line %d\n" % i)
    runs(t, "tar czf all.tgz d* && mkdir x && tar xzf all.tgz -C x && diff -r d3 x/d3 && find x -type f | xargs cat | awk '{s += $2} END {print s}' && tar tzf all.tgz | wc -l", "19900\n210\n")


@test("perl")
def _(t):
    needs("perl")
    runs(t, "perl -e 'my @a = map { my $p = fork // die; $p or exit $_; $p } 1..5; my $s; for (@a) { waitpid $_, 0; $s += $? >> 8 } print \"$s\\n\"'", "15\n")


@test("sqlite3")
def _(t):
    needs("sqlite3")
    runs(t, "sqlite3 x.db 'pragma journal_mode=wal; create table t(a); insert into t values(1),(2); select sum(a) from t;'", "wal\n3\n")


@test("node")
def _(t):
    needs("node")
    t.write("a.js", "const {Worker, isMainThread, parentPort} = require('worker_threads'); if (isMainThread) { const w = new Worker(__filename); "
                    "w.on('message', m => { console.log(m, require('os').cpus().length > 0); }); } else parentPort.postMessage('from a worker');")
    runs(t, "node a.js", "from a worker true\n")


@test("java")
def _(t):
    needs("java")
    t.write("A.java", "public class A { public static void main(String[] a) throws Exception { Thread x = new Thread(() -> System.out.println(\"thread\")); x.start(); x.join(); "
                      "System.out.println(Runtime.getRuntime().availableProcessors() > 0); } }")
    if t.spawn(["java", "A.java"]).code != 0:
        skip("this machine's java cannot run a source file")
    runs(t, "java A.java", "thread\ntrue\n")


# ---- much of everything ----------------------------------------------------------------------------------------------


@test("2 GiB through pipes inside")
def _(t):
    runs(t, "dd if=/dev/zero bs=1M count=2048 2>/dev/null | cat | wc -c", "2147483648\n")


@test("2 GiB through hutch's own stdout, and 1 GiB through its stdin")
def _(t):
    process = t.popen("run", "--", "head", "-c", "2G", "/dev/zero", stdout=subprocess.PIPE)
    count = 0
    while True:
        data = process.stdout.read(1 << 20)
        if not data:
            break
        count += len(data)
    equal((terminate(process), count), (0, 2 * GIB))
    outcome = t.spawn(["sh", "-c", "head -c 1G /dev/zero | '%s' run -- wc -c" % HUTCH])
    equal(outcome.text, "1073741824\n")


@test("100 MiB to both streams at once with --json")
def _(t):
    script = "head -c 100M /dev/zero | tr '\\0' o & head -c 100M /dev/zero | tr '\\0' e >&2 & wait"
    record = t.json(script, "--output-limit", "1M")
    equal((record["stdout_bytes"], record["stderr_bytes"]), (100 << 20, 100 << 20))
    equal((record["stdout"], record["stderr"]), ("o" * (1 << 20), "e" * (1 << 20)))


@test("hutch's memory is bounded by the output limit, not by the output")
def _(t):
    process = t.popen("run", "--json", "--output-limit", "1M", "--", "sh", "-c", "head -c 1G /dev/zero; sleep 1", stdout=subprocess.PIPE)
    time.sleep(0.3)
    peak = 0
    while process.poll() is None and not peak > 1 << 30:
        peak = max(peak, int((process_field(process.pid, "VmHWM") or "0").split()[0]))
        if select_soon(process.stdout):
            break
    process.communicate(timeout=30)
    within(peak, 1, 24 << 10, "peak of hutch in KiB")


def select_soon(file):
    return bool(select.select([file], [], [], 0.02)[0])


@test("a program that forks thousands of children, orphans too: all are reaped")
def _(t):
    needs("python3")
    t.write("forks.py", """
import os, time
for i in range(3000):
    pid = os.fork()
    if pid == 0:
        if i % 3 == 0 and os.fork() == 0:  # an orphan: init's to reap
            os._exit(0)
        os._exit(0)
    os.waitpid(pid, 0)
for _ in range(200):
    zombies = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            try: zombies += open("/proc/%s/stat" % name).read().rsplit(")", 1)[1].split()[0] == "Z"
            except OSError: pass
    if not zombies: break
    time.sleep(0.02)
print("zombies", zombies)
""")
    runs(t, "python3 forks.py", "zombies 0\n")


@test("--pids bounds a fork bomb, and --timeout ends it")
def _(t):
    start = time.monotonic()
    process = t.popen("run", "--pids", "50", "--timeout", "1500ms", "--grace", "300ms", "--", "sh", "-c", "trap '' TERM; f() { f | f & }; f; sleep 60; : %s" % t.token,
                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    most = 0
    while process.poll() is None and time.monotonic() - start < 20:
        most = max(most, len(holders(t.token)))
        time.sleep(0.05)
    equal(process.poll(), 124)
    within(time.monotonic() - start, 1.4, 5, "seconds")
    within(most, 0, 50, "processes at once")
    gone(t.token)


@test("--pids: forks fail, the command goes on, threads count; other sandboxes have their own count")
def _(t):
    needs("python3")
    t.write("p.py", "import os, time\nn = 0\ntry:\n    while n < 100:\n        if os.fork() == 0: time.sleep(5); os._exit(0)\n        n += 1\nexcept OSError as e: print('refused', e.errno)\nprint(10 < n < 30)\n")
    record = t.json("python3 p.py", "--pids", "30")
    equal((record["exit_code"], record["stdout"]), (0, "refused 11\nTrue\n"), record["stderr"])
    equal((record["limits_enforced"]["pids"]["value"], record["outcome"]), (30, "exited"))
    first = t.popen("run", "--pids", "20", "--", "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 5 & done; echo up; wait", stdout=subprocess.PIPE)
    equal(first.stdout.readline(), b"up\n")
    equal(t.good("for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 0.1 & done; wait; echo fine", "--pids", "20"), "fine\n")


@test("--ulimit")
def _(t):
    equal(t.good("ulimit -n; ulimit -Hn; ulimit -f; ulimit -c", "--ulimit", "nofile=77", "--ulimit", "fsize=1048576", "--ulimit", "core=0"), "77\n77\n2048\n0\n")
    equal(t.sh("head -c 2M /dev/zero >big", "--ulimit", "fsize=1048576").code, 128 + signal.SIGXFSZ)


# ---- identity and environment ----------------------------------------------------------------------------------------


@test("the environment is the documented list")
def _(t):
    outcome = t.run("env", env=environment(SECRET="s", LD_PRELOAD="", XDG_RUNTIME_DIR="/x", LC_ALL="C", TERM="xterm"))
    equal(sorted(outcome.text.splitlines()), ["HOME=/home/sandbox", "LANG=C.UTF-8", "PATH=" + SYSTEM_PATH, "USER=sandbox"])


@test("-e and --env-file")
def _(t):
    t.write("env", "# comment\n\nA=1\n  B=two words \nFROM_HOST\nNOT_THERE\nQ=\"quoted\"\nE=\n")
    outcome = t.run("env", options=("--env-file", "env", "-e", "A=2", "-e", "X=x=y", "-eZ=z", "-e", "HOME=/tmp", "-e", "FROM_HOST2", "-e", "NOT_THERE2"),
                    env=environment(FROM_HOST="host", FROM_HOST2="host2"))
    equal(sorted(outcome.text.splitlines()), sorted(["A=2", "B=two words", "E=", "FROM_HOST2=host2", "FROM_HOST=host", "HOME=/tmp", "LANG=C.UTF-8", "PATH=" + SYSTEM_PATH,
                                                     'Q="quoted"', "USER=sandbox", "X=x=y", "Z=z"]))


@test("ids: 1000 and 0, names, one id mapped or a range, no supplementary group by name")
def _(t):
    equal(t.good("id -u; id -g; id -un; id -gn; whoami; echo ~"), "1000\n1000\nsandbox\nsandbox\nsandbox\n/home/sandbox\n")
    equal(t.good("id -u; id -g; id -un", "--as-root"), "0\n0\nroot\n")
    equal(t.good("id -u", "-u", "root"), "0\n")
    equal(t.good("id -u; id -g", "-u", "1000"), "1000\n1000\n")
    if ROOT:
        equal(t.good("id -u; id -g", "-u", "4321"), "4321\n4321\n")
    line = t.good("cat /proc/self/uid_map").split()
    lacks([int(line[1]), int(line[1]) + int(line[2])] if ROOT else [-1], 0, "uid 0 of the host is mapped")
    true(not ROOT or int(line[1]) > 65536, "root's sandbox has unprivileged ids: %s" % line)
    outcome = t.sh("touch f; chown 12345:12345 f", "--as-root")
    if not ROOT:
        true(outcome.code != 0, "a single id is mapped")


@test("on the host, the processes of root's sandbox have unprivileged ids")
def _(t):
    process = t.popen("run", "--as-root", "--", "sh", "-c", "sleep 300; : %s" % t.token)
    pid = wait_until(lambda: holders(t.token), 5, "it runs")[0]
    wait_until(lambda: read_file("/proc/%d/comm" % pid) == b"sh\n", 5, "it is the shell")
    uids = {int(number) for number in process_field(pid, "Uid").split()}
    equal(uids, {os.geteuid()} if not ROOT else uids - {0})
    process.terminate()
    terminate(process)


@test("/proc/self/status: no capabilities, no_new_privs, filtered; also as uid 0")
def _(t):
    for options in ((), ("--as-root",)):
        fields = dict(line.split(":\t") for line in t.good("cat /proc/self/status", *options).splitlines() if ":\t" in line)
        equal({name: int(fields[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}, dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), 0))
        equal((fields["NoNewPrivs"], fields["Seccomp"]), ("1", "2"))
        if ROOT:
            true(set(fields["Groups"].split()) <= {fields["Gid"].split()[0]}, "groups of root's: %s" % fields["Groups"])


@test("host name, time, processes: the sandbox's own")
def _(t):
    equal(t.good("hostname 2>/dev/null || uname -n; cat /etc/hostname 2>/dev/null || true").split()[0], "hutch")
    text = t.good("ls /proc | grep -c '^[0-9]'; cat /proc/1/comm 2>/dev/null; echo $$")
    within(int(text.split()[0]), 1, 6, "processes that are seen")
    lacks(t.good("cat /proc/*/cmdline 2>/dev/null | tr '\\0' ' '"), os.path.basename(__file__))
    lacks(t.good("cat /proc/self/mountinfo"), base() + "/home")
    equal(t.sh("hostname other").code != 0, True)


@test("no descriptors but 0, 1 and 2")
def _(t):
    read, write = os.pipe()
    outcome = t.run("ls", "/proc/self/fd", pass_fds=(read, write))
    equal(outcome.text.split(), ["0", "1", "2", "3"], "3 is the directory that ls reads")
    os.close(read)
    os.close(write)


# ---- network ---------------------------------------------------------------------------------------------------------

CONNECT = ("python3 -c 'import socket,sys\ntry:\n s = socket.create_connection((\"127.0.0.1\", %d), 3); print(s.recv(100).decode())\n"
           "except OSError as e: print(\"refused\", e.errno)'")


def listener(t):
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen(5)
    t.undo.append(server.close)

    def serve():
        try:
            while True:
                connection, _ = server.accept()
                connection.sendall(b"hello from the host")
                connection.close()
        except OSError:
            pass

    threading.Thread(target=serve, daemon=True).start()
    return server.getsockname()[1]


@test("--net none: the host's loopback is out of reach, an own one is up, nothing else is there")
def _(t):
    needs("python3")
    port = listener(t)
    contains(t.good(CONNECT % port), "refused 111")
    contains(t.good(CONNECT % port, "--net", "none"), "refused 111")
    equal(t.good("cat /proc/net/dev | tail -n +3 | cut -d: -f1 | tr -d ' '"), "lo\n")
    contains(t.good("python3 -c 'import socket\ntry: socket.create_connection((\"192.0.2.1\", 80), 2)\nexcept OSError as e: print(\"refused\", e.errno)'"), "refused 101")
    equal(t.good("python3 -c 'import socket; s = socket.socket(); s.bind((\"127.0.0.1\", %d)); print(\"own\")'" % port), "own\n")


@test("--net host: the host's loopback is there")
def _(t):
    needs("python3")
    contains(t.good(CONNECT % listener(t), "--net", "host"), "hello from the host")


@test("abstract sockets of the host are out of reach without --net host")
def _(t):
    needs("python3")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0" + t.token)
        server.listen(1)
        contains(t.good("python3 -c 'import socket\ntry: socket.socket(socket.AF_UNIX).connect(\"\\0%s\"); print(\"connected\")\nexcept OSError as e: print(\"refused\", e.errno)'" % t.token), "refused 111")


# ---- policies --------------------------------------------------------------------------------------------------------


@test("--seccomp strict and debug, and a file that includes the default")
def _(t):
    equal(t.good("echo hi | tr a-z A-Z; ls / >/dev/null", "--seccomp", "strict"), "HI\n")
    equal(t.good("echo hi", "--seccomp", "debug"), "hi\n")
    t.write("policy", "include default\n")
    outcome = t.sh("echo hi", "--seccomp", t.path("policy"))
    equal((outcome.code, outcome.text), (0, "hi\n"), repr(outcome))


@test("strace works with --seccomp debug, and not without")
def _(t):
    needs("strace")
    outcome = t.sh("strace -o trace -e trace=openat cat /etc/hosts >/dev/null && grep -c hosts trace", "--seccomp", "debug")
    equal((outcome.code, outcome.text), (0, "1\n"), repr(outcome))
    true(t.sh("strace -o trace true").code != 0, "ptrace is refused by default")


sys.exit(main())
