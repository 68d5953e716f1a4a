"""A supervisor that keeps descriptors over restarts, as systemd does: sd_notify(3) with FDSTORE, and
sd_listen_fds(3)."""

import array
import os
import signal
import socket
import subprocess
import threading

from . import child
from .daemon import SANITIZE_ENV, Daemon, program
from .tap import Failure, check, slow_factor, wait_until

SOCKET_MAX = 100
# Puts the descriptors, which are inherited somewhere, to 3 and on, and says whose they are.
LAUNCHER = r"""
import fcntl, os, sys
fds = [int(n) for n in os.environ.pop("PGWTEST_FDS").split(",") if n]
fds = [fcntl.fcntl(fd, fcntl.F_DUPFD, 3 + len(fds)) for fd in fds]
for i, fd in enumerate(fds):
    os.dup2(fd, 3 + i)
os.closerange(3 + len(fds), os.sysconf("SC_OPEN_MAX"))
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDS"] = str(len(fds))
os.execv(sys.argv[1], sys.argv[1:])
"""


class Store:
    """The descriptors, by name, and the socket on which they come."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "notify")
        if len(self.path) > SOCKET_MAX:
            raise Failure("the path is too long: " + self.path)
        self.kept = []  # (name, descriptor), first come first
        self.said = []  # what came beside FDSTORE, as text
        self.drop = lambda name: False  # names that are not kept, for tests of a store that is full
        self._lock = threading.Lock()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        os.chmod(self.path, 0o777)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self):
        while True:
            try:
                data, control, _, _ = self._socket.recvmsg(65536, 65536)
            except OSError:
                return
            fds = array.array("i")
            for level, kind, bytes_ in control:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    fds.frombytes(bytes_[:len(bytes_) - len(bytes_) % fds.itemsize])
            self._take(data.decode(), list(fds))

    def _take(self, text, fds):
        lines = text.split("\n")
        names = [line[7:] for line in lines if line.startswith("FDNAME=")]
        with self._lock:
            if "FDSTORE=1" in lines and not self.drop(names[0]):
                self.kept += [(names[0], fd) for fd in fds]
                return
            if "FDSTOREREMOVE=1" in lines:
                for name, fd in self.kept:
                    if name == names[0]:
                        os.close(fd)
                self.kept = [k for k in self.kept if k[0] != names[0]]
            else:
                self.said.append(text)
        # of a barrier too: that is what it waits for
        for fd in fds:
            os.close(fd)

    def names(self):
        with self._lock:
            return [name for name, _ in self.kept]

    def copies(self):
        """A copy of each descriptor that is kept, with its name, for the caller to close: pgwithd may remove one at any time."""
        with self._lock:
            return [(name, os.dup(fd)) for name, fd in self.kept]

    def read(self, name):
        """What stands in the file that is kept under that name."""
        with self._lock:
            fd = dict(self.kept)[name]
            return os.pread(fd, os.fstat(fd).st_size, 0)

    def replace(self, name, fd):
        """Another descriptor under that name; None: none."""
        with self._lock:
            for n, old in self.kept:
                if n == name:
                    os.close(old)
            self.kept = [k for k in self.kept if k[0] != name]
            if fd is not None:
                self.kept.append((name, fd))

    def close(self):
        self._socket.close()
        with self._lock:
            for _, fd in self.kept:
                os.close(fd)
            self.kept = []


class SupervisedDaemon(Daemon):
    """pgwithd under such a supervisor. `restarts` counts."""

    def __init__(self, directory, pools, options=None, **how):
        os.makedirs(directory, exist_ok=True)
        self.store = Store(directory)
        self.restarts = 0
        options = dict({"handover": "on"}, **(options or {}))
        env = dict(how.pop("env", None) or {}, NOTIFY_SOCKET=self.store.path)
        self._env = env
        self._arguments = list(how.get("arguments", ()))
        super().__init__(directory, pools, options, env=env, **how)

    def start_next(self, wait=True):
        """The next process, with what is kept."""
        kept = self.store.copies()
        for _, fd in kept:
            os.set_inheritable(fd, True)
        env = dict(os.environ, **SANITIZE_ENV)
        env.update(self._env, PGWTEST_FDS=",".join(str(fd) for _, fd in kept),
                   LISTEN_FDNAMES=":".join(name for name, _ in kept))
        argv = ["setpriv", "--pdeathsig", "KILL", "/usr/bin/python3", "-S", "-c", LAUNCHER,
                program("pgwithd"), "-c", self.conf, *self._arguments]
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            env=env, close_fds=False, cwd="/")
        for _, fd in kept:
            os.close(fd)
        self.restarts += 1
        if wait:
            lines = self.log_text().count("pgwithd: ready")
            wait_until(lambda: self.log_text().count("pgwithd: ready") >= self.restarts + 1 or
                       self.check_alive(), 15, "the next pgwithd is ready (%d lines)" % lines)

    def end(self, number=signal.SIGTERM, status=0):
        """This process ends, handing over if it does."""
        self.process.send_signal(number)
        ended = self.wait_end(20)
        check(ended == status, "pgwithd ended with status %d, see %s" % (ended, self.log))

    def restart(self, number=signal.SIGTERM):
        self.end(number)
        self.start_next()

    def stop(self, number=signal.SIGINT, timeout=20.0):
        try:
            super().stop(number, timeout)
        finally:
            self.store.close()

    def destroy(self):
        super().destroy()
        self.store.close()
