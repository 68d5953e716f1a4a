"""A client in a process of its own, which a test can kill without warning (SIGKILL) at any point; and clients of other
users of the operating system."""

import contextlib
import ctypes
import os
import select
import signal
import time
import traceback

from .tap import Failure, slow_factor

PR_SET_PDEATHSIG = 1


class Side:
    """What the script in the process gets: words to and from the test."""

    def __init__(self, read_fd, write_fd):
        self._in = os.fdopen(read_fd, "r")
        self._out = write_fd

    def say(self, word):
        os.write(self._out, (str(word) + "\n").encode())

    def hear(self):
        line = self._in.readline()
        if not line:
            raise SystemExit(0)
        return line.rstrip("\n")

    @staticmethod
    def stay():
        """Stays, open sockets and all, until it is killed."""
        while True:
            signal.pause()


class ClientProcess:
    def __init__(self, log, script, *args):
        """Forks; the child runs script(side, *args), and ends when that returns."""
        down_r, down_w = os.pipe()
        up_r, up_w = os.pipe()
        parent = os.getpid()
        self.log = log
        self.status = None
        self.pid = os.fork()
        if self.pid == 0:
            self._child(parent, down_r, up_w, log, script, args)
        os.close(down_r)
        os.close(up_w)
        self._down, self._up = down_w, up_r
        self._pending = b""

    @staticmethod
    def _child(parent, read_fd, write_fd, log, script, args):
        status = 1
        try:
            ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)
            signal.alarm(0)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            # The test's own sockets must not stay open through this process.
            low, high = sorted((read_fd, write_fd))
            os.closerange(3, low)
            os.closerange(low + 1, high)
            os.closerange(high + 1, 65536)
            script(Side(read_fd, write_fd), *args)
            status = 0
        except SystemExit as e:
            status = e.code or 0
        except BaseException:
            with open(log, "a") as f:
                traceback.print_exc(file=f)
        finally:
            os._exit(status)

    def fileno(self):
        """For select(): readable when the process says something or ends."""
        return self._up

    def _listen(self):
        data = os.read(self._up, 65536)
        if not data:
            raise Failure("process %d ended early, see %s" % (self.pid, self.log))
        self._pending += data

    def heard(self, timeout=30.0):
        """The next word that the process says."""
        end = time.monotonic() + timeout * slow_factor()
        while b"\n" not in self._pending:
            ready, _, _ = select.select([self._up], [], [], max(0, end - time.monotonic()))
            if not ready:
                raise Failure("process %d said nothing" % self.pid)
            self._listen()
        line, self._pending = self._pending.split(b"\n", 1)
        return line.decode()

    def heard_all(self):
        """All whole words that are there, once the process is readable."""
        self._listen()
        *lines, self._pending = self._pending.split(b"\n")
        return [line.decode() for line in lines]

    def tell(self, word):
        os.write(self._down, (str(word) + "\n").encode())

    def alive(self):
        """False once it has ended, well or not."""
        if self.status is None and os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return True
        return False

    def signal_kill(self):
        """SIGKILL, without waiting for the end."""
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)

    def kill(self):
        """SIGKILL; returns when the process is gone."""
        self.signal_kill()
        self.wait()

    def wait(self):
        """Its wait status when it has ended."""
        if self.status is None:
            _, self.status = os.waitpid(self.pid, 0)
            os.close(self._up)
            os.close(self._down)
        return self.status

    def finish(self):
        """Waits for its end, which must be a good one."""
        status = os.waitstatus_to_exitcode(self.wait())
        if status != 0:
            raise Failure("process %d ended with %d, see %s" % (self.pid, status, self.log))


@contextlib.contextmanager
def being(uid, groups=()):
    """Sockets that are connected inside are this user's."""
    os.setgroups(list(groups))
    os.setegid(uid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups([])
