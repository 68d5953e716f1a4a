"""Programs that a test starts. All of them end with the test process, whatever ends that."""

import os
import signal
import subprocess

from .tap import Failure, Limit


def start(argv, log, env=None, death=signal.SIGKILL, user=None, cwd="/"):
    """Starts a program with its output appended to the file `log`. setpriv makes the kernel send it
    `death` when this process dies; `user` is who it runs as if we are root."""
    wrap = ["setpriv", "--pdeathsig", signal.Signals(death).name]
    if user and os.geteuid() == 0:
        wrap += ["--reuid", user, "--regid", user, "--clear-groups"]
    full_env = dict(os.environ)
    full_env.update(env or {})
    with open(log, "ab") as out:
        return subprocess.Popen(wrap + list(argv), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                env=full_env, cwd=cwd)


def _communicate(p, text, limit):
    """Popen.communicate() with a limit, which grows if the machine becomes slower."""
    while True:
        try:
            return p.communicate(text, max(limit.left(), 0.001))
        except subprocess.TimeoutExpired:
            if limit.left() <= 0:
                raise
            text = None  # it has been taken


def run(argv, timeout=60, env=None, user=None, stdin=None, cwd="/"):
    """Runs a program to its end: (status, stdout, stderr). The timeout is that of an idle machine (tap.Limit)."""
    limit = Limit(timeout)
    wrap = []
    if user and os.geteuid() == 0:
        wrap = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups"]
    full_env = dict(os.environ)
    full_env.update(env or {})
    p = subprocess.Popen(wrap + list(argv), stdin=subprocess.PIPE if stdin is not None else
                         subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         env=full_env, cwd=cwd, process_group=0)
    try:
        out, err = _communicate(p, stdin.encode() if isinstance(stdin, str) else stdin, limit)
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, signal.SIGKILL)  # what it has started holds the pipes, too
        out, err = p.communicate()
        raise Failure("%s did not end within %g s\n%s\n%s"
                      % (" ".join(argv), timeout, out[-2000:], err[-2000:])) from None
    except BaseException:
        p.kill()
        p.wait()
        raise
    return p.returncode, out.decode(errors="replace"), err.decode(errors="replace")


def run_ok(argv, **how):
    """Runs a program that must succeed; its standard output."""
    status, out, err = run(argv, **how)
    if status != 0:
        raise Failure("%s: status %d\n%s%s" % (" ".join(argv), status, out[-3000:], err[-3000:]))
    return out
