# SPDX-License-Identifier: Apache-2.0
"""Things of the host that a sandbox must not find: each holds one random token, and `guest inside` looks for it."""

import ctypes
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import threading

LIBC = ctypes.CDLL(None, use_errno=True)
MACHINE = os.uname().machine
ADD_KEY, KEYCTL = {"x86_64": (248, 250), "aarch64": (217, 219)}[MACHINE]
SESSION_RING, USER_RING = -3, -4
IPC_CREAT, IPC_RMID = 0o1000, 0

# Where a program would look for the host's services; none may exist inside.
SERVICE_SOCKETS = ["/run/docker.sock", "/var/run/docker.sock", "/run/dbus/system_bus_socket", "/run/systemd/private",
                   "/run/systemd/notify", "/tmp/.X11-unix/X0", "/run/containerd/containerd.sock", "/run/podman/podman.sock",
                   "/run/user/%d/bus" % os.getuid(), "/run/user/%d/wayland-0" % os.getuid(), "/run/user/%d/pipewire-0" % os.getuid(),
                   "/run/user/%d/gnupg/S.gpg-agent" % os.getuid(), "/run/snapd.socket", "/run/hutch"]


class Canaries:
    def __init__(self):
        self.token = os.urandom(12).hex()
        self.name = "hutch-canary-" + self.token
        self.kinds = []  # what was planted, and so must be found on the host
        self._files, self._sockets, self._undo = [], [], []
        self.descriptors = []

    # ---- planting ----

    def _file(self, directory):
        if not os.access(directory, os.W_OK):
            return
        path = os.path.join(directory, self.name)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        os.write(descriptor, self.token.encode())
        os.close(descriptor)
        self._files.append(path)
        self._undo.append(lambda: os.unlink(path))

    def _serve(self, listener, answer):
        """Answers every connection (a datagram socket: every datagram) with the token, until the socket is closed."""

        def loop():
            while True:
                try:
                    if listener.type == socket.SOCK_DGRAM:
                        _, peer = listener.recvfrom(16)
                        if peer is None:  # it was shut down
                            return
                        listener.sendto(answer, peer)
                    else:
                        connection, _ = listener.accept()
                        connection.sendall(answer)
                        connection.close()
                except OSError:
                    if listener.fileno() < 0 or self.closing:
                        return

        self.closing = False
        threading.Thread(target=loop, daemon=True).start()
        self._sockets.append(listener)

    def _listener(self, family, kind, address):
        listener = socket.socket(family, kind)
        listener.bind(address)
        if kind == socket.SOCK_STREAM:
            listener.listen(64)
        self._serve(listener, self.token.encode())
        return listener

    def plant(self):
        """Returns self. The environment of what is started next has the token, too."""
        self.directory = tempfile.mkdtemp(prefix="hutch-canary-")
        os.chmod(self.directory, 0o755)
        self._undo.append(lambda: shutil.rmtree(self.directory, ignore_errors=True))
        for place in (pwd.getpwuid(os.getuid()).pw_dir, "/tmp", "/var/tmp", "/dev/shm", self.directory, "/run", "/etc", "/srv"):
            self._file(place)
        self.arguments = ["file=" + path for path in self._files]
        os.environ["HUTCH_CANARY"] = self.token
        self._undo.append(lambda: os.environ.pop("HUTCH_CANARY", None))

        self._listener(socket.AF_UNIX, socket.SOCK_STREAM, "\0" + self.name)
        for name in ("bus", "wayland-0"):
            path = os.path.join(self.directory, name)
            self._listener(socket.AF_UNIX, socket.SOCK_STREAM, path)
            self.arguments.append("unix=" + path)
        for kind, family, address in (("tcp4", socket.AF_INET, "127.0.0.1"), ("tcp6", socket.AF_INET6, "::1")):
            try:
                listener = self._listener(family, socket.SOCK_STREAM, (address, 0))
            except OSError:
                continue
            self.kinds.append(kind)
            self.arguments.append("%s=%d" % (kind, listener.getsockname()[1]))
        listener = self._listener(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
        self.arguments.append("udp4=%d" % listener.getsockname()[1])
        self.kinds += ["udp4", "abstract", "unix", "file", "content", "name", "env", "process"]

        self._plant_ipc()
        self._plant_keys()
        self._plant_process()
        self._plant_descriptors()
        return self

    def _plant_ipc(self):
        key = int.from_bytes(os.urandom(3), "big") | 0x1000000
        ident = LIBC.shmget(key, 4096, IPC_CREAT | 0o666)
        if ident >= 0:
            LIBC.shmat.restype = ctypes.c_void_p
            memory = LIBC.shmat(ident, None, 0)
            ctypes.memmove(memory, self.token.encode(), len(self.token))
            LIBC.shmdt(ctypes.c_void_p(memory))
            self._undo.append(lambda: LIBC.shmctl(ident, IPC_RMID, None))
            self.arguments.append("shm=%d" % key)
            self.kinds.append("shm")
        name = ("/" + self.name).encode()
        queue = LIBC.mq_open(name, os.O_RDWR | os.O_CREAT, 0o644, None)
        if queue >= 0:
            os.close(queue)
            self._undo.append(lambda: LIBC.mq_unlink(name))
            self.kinds.append("mq")

    def _plant_keys(self):
        """In a session keyring of our own, which children inherit, and in the user's."""
        if LIBC.syscall(KEYCTL, 1, None) < 0:
            return
        for ring in (SESSION_RING, USER_RING):
            data = self.token.encode()
            key = LIBC.syscall(ADD_KEY, b"user", self.name.encode(), data, len(data), ring)
            if key >= 0:
                LIBC.syscall(KEYCTL, 5, key, 0x3f3f3f3f)  # KEYCTL_SETPERM: everybody may
                self._undo.append(lambda key=key, ring=ring: LIBC.syscall(KEYCTL, 9, key, ring))  # KEYCTL_UNLINK
                if "key" not in self.kinds:
                    self.kinds.append("key")

    def _plant_process(self):
        """Ends with this program, at the end of its stdin."""
        self.process = subprocess.Popen(["sh", "-c", "read line", self.token], stdin=subprocess.PIPE)
        self._undo.append(self._end_process)

    def _end_process(self):
        self.process.stdin.close()
        self.process.wait()

    def _plant_descriptors(self):
        """Fifty, inheritable: directories, files, sockets, pipes."""
        places = ["/", "/etc", "/proc", self.directory, "/dev/shm", os.path.expanduser("~")]
        places += [path for path in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified") if os.path.isdir(path)]
        while len(self.descriptors) < 30:
            self.descriptors.append(os.open(places[len(self.descriptors) % len(places)], os.O_RDONLY | os.O_DIRECTORY))
        while len(self.descriptors) < 40:
            self.descriptors.append(os.open(self._files[len(self.descriptors) % len(self._files)], os.O_RDONLY))
        while len(self.descriptors) < 50:
            self.descriptors += [end.detach() for end in socket.socketpair()]
        for descriptor in self.descriptors:
            os.set_inheritable(descriptor, True)

    # ---- use ----

    def halves(self):
        return [self.token[:9], self.token[9:]]

    def inside_arguments(self):
        services = ["unix=" + path for path in SERVICE_SOCKETS]
        return ["inside"] + self.halves() + [text.replace(self.token, "@") for text in self.arguments] + services

    def remove(self):
        self.closing = True
        for action in reversed(self._undo):
            try:
                action()
            except OSError:
                pass
        for listener in self._sockets:
            try:
                listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            listener.close()
        for descriptor in self.descriptors:
            os.close(descriptor)
