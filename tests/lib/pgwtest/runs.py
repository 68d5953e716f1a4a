"""pgwith run as tests start it."""

import os
import signal
import subprocess
import sys

from . import child
from .daemon import SANITIZE_ENV, program
from .tap import Failure, equal, slow_factor

PY = sys.executable


def words(d, *more):
    return [program("pgwith"), "-S", d.sockets, "-p", str(d.port), "-U", "postgres", "run"] + list(more)


def run(d, *more, **how):
    """(status, stdout, stderr) of pgwith run, to its end."""
    how.setdefault("env", {})
    how["env"] = dict(SANITIZE_ENV, **how["env"])
    return child.run(words(d, *more), **how)


class Running:
    """pgwith run that goes on, in a process group of its own; `script`: what the program, a Python, does. What it prints
    are lines. It says READY first; STDIN is a pipe to it."""

    def __init__(self, t, d, options, script, env=None, wrap=(), argv=None, **how):
        self.argv = list(wrap) + words(d, *options) + ["--"] + (argv or [PY, "-u", "-c", script])
        full = dict(os.environ, **SANITIZE_ENV)
        full.update(env or {})
        how.setdefault("process_group", 0)
        self.p = subprocess.Popen(self.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=full,
                                  text=True, **how)
        t.defer(self.end)

    @property
    def pid(self):
        return self.p.pid

    def line(self):
        text = self.p.stdout.readline()
        if not text:
            raise Failure("it has ended: %s" % self.p.stderr.read())
        return text.rstrip("\n")

    def ready(self):
        """Waits for READY and the pid of the program."""
        first, pid = self.line().split()
        equal(first, "READY", "the first line")
        self.program = int(pid)
        return self

    def ended(self, within=20):
        """(status, the rest of stdout, stderr) when it has ended by itself."""
        kept, self.p.stdin = self.p.stdin, None
        try:
            out, err = self.p.communicate(timeout=within * slow_factor())
        finally:
            self.p.stdin = kept
        return self.p.returncode, out, err

    def finish(self):
        """The same; a program that waits for the end of its stdin gets it."""
        self.p.stdin.close()
        return self.ended()

    def end(self):
        if self.p.poll() is None:
            try:
                os.killpg(self.p.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.p.kill()
        self.p.wait()
        for f in (self.p.stdin, self.p.stdout, self.p.stderr):
            try:
                f.close()
            except BrokenPipeError:
                pass


READY = "import os, sys, time, signal; print('READY', os.getpid(), flush=True);"
STAYS = READY + "sys.stdin.read()"


def holding(t, d, *options, script=STAYS, **how):
    """pgwith run whose program runs."""
    return Running(t, d, options or ("--lock", "nightly"), script, **how).ready()


def ms(seconds):
    """A duration as pgwith run takes it."""
    return "%dms" % (seconds * 1000)


def locks(d):
    """[(name, mode, state)] of SHOW LOCKS."""
    return [(x["name"], x["mode"], x["state"]) for x in d.show("LOCKS")]


def is_gone(pid):
    """No process, or one that is only not waited for."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def state(pid):
    """The letter of ps(1)."""
    with open("/proc/%d/stat" % pid) as f:
        return f.read().rsplit(")", 1)[1].split()[0]


def has_children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        return f.read() != ""


def ends_within(p, seconds):
    """Does it end by itself in that time?"""
    try:
        p.p.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def members(group):
    """Processes of a group that still run."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % pid) as f:
                fields = f.read().rsplit(")", 1)[1].split()
            if int(fields[2]) == group and fields[0] not in "ZX":
                found.append(int(pid))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found
