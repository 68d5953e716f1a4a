"""Clients that are connected and do nothing, kept by processes of their own."""

import os
import resource
import signal
import time

SPARE_FILES = 300  # descriptors of the pooler beside those of idle clients, and of the process that keeps them


def limit():
    """How many descriptors a process may have."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return float("inf") if hard == resource.RLIM_INFINITY else hard


class Idlers:
    """`count` idle clients of a target, until close()."""

    def __init__(self, target, count):
        readable, ready = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            self.keep(target, count, ready)
        os.close(ready)
        with os.fdopen(readable) as f:
            said = f.readline()
        if said.strip() != "ready":
            self.close()
            raise RuntimeError(f"{count} idle clients of {target.name}: {said.strip() or 'they ended'}")

    @staticmethod
    def keep(target, count, ready):
        """The life of the process; it does not return, and does not outlive its parent."""
        said = "ready"
        parent = os.getppid()
        sockets = []
        try:
            for _ in range(count):
                sockets.append(target.client().socket)
        except BaseException as e:
            said = f"{len(sockets)} are connected, the next one: {e}"
        os.write(ready, said.replace("\n", " ").encode() + b"\n")
        os.close(ready)
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(0)

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
