"""The TAP runner: tests are functions marked @test, run in the order of the file.

A test gets one argument, its Test (see context.py): its own directory, its own fixtures, and a stack
of things to undo. A test fails when it raises, when undoing raises, or when its time is over. The
directory of a failed test is kept; the tails of its logs are printed as TAP diagnostics.
"""

import argparse
import faulthandler
import functools
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback

TAIL_LINES = 60


class Skip(Exception):
    """Raised by a test (or a fixture) that cannot run here; its text says why."""


class Failure(AssertionError):
    """What was expected did not hold."""


class TimeIsOver(BaseException):
    """The test's time limit passed. Not an Exception: no test may swallow it."""


class Case:
    """One test: its function, title and time limit in seconds."""

    def __init__(self, function, timeout):
        self.function = function
        self.timeout = timeout
        self.name = function.__name__
        if function.__module__ != "__main__":
            self.name = function.__module__ + "." + self.name
        text = (function.__doc__ or self.name.replace("_", " ")).strip()
        self.title = " ".join(text.split("\n\n")[0].split()).rstrip(".").replace("#", "no. ")


_cases = []


def test(function=None, *, timeout=60):
    """Marks a test. Its docstring is its TAP title."""
    if function is None:
        return lambda f: test(f, timeout=timeout)
    _cases.append(Case(function, timeout))
    return function


def _running():
    """How many processes run or want to: on the average of the last minute, or now, whatever is more. The average follows
    a burst of load only slowly."""
    try:
        with open("/proc/loadavg") as f:
            now = int(f.read().split()[3].split("/")[0])
    except (OSError, ValueError):
        now = 0
    return max(os.getloadavg()[0], now)


def slow_factor():
    """How much longer than on an idle machine with a plain build things may take: as many times as processes share a
    processor (up to eight), and four times of that with the sanitizers."""
    text = os.environ.get("PGWITH_TEST_SLOW")
    if text:
        return float(text)
    crowd = min(max(_running() / (os.cpu_count() or 1), 1.0), 8.0)
    return crowd * (4.0 if sanitized() else 1.0)


def brief(seconds):
    """A time that a test waits for, and in which something has to be done before it is over: as long on an idle machine,
    longer on a slower one."""
    return seconds * min(slow_factor(), 8.0)


class Limit:
    """A time limit in seconds on an idle machine. It grows as the machine gets slower, also while it runs."""

    def __init__(self, seconds):
        self._seconds = seconds
        self._factor = slow_factor()
        self.started = time.monotonic()

    def left(self):
        """Seconds up to the limit; not more than 0: it has passed."""
        if self.started + self._seconds * self._factor <= time.monotonic():
            self._factor = max(self._factor, slow_factor())
        return self.started + self._seconds * self._factor - time.monotonic()


def built(name):
    """The path of a program under test."""
    if name == "pgwithd" and os.environ.get("PGWITHD"):
        return os.path.abspath(os.environ["PGWITHD"])
    return os.path.join(os.path.abspath(os.environ.get("PGWITH_BUILDDIR", ".")), "src", name)


@functools.lru_cache(maxsize=None)
def _has_sanitizers(path, _modified):
    with open(path, "rb") as f:
        return b"__asan_init" in f.read()


def sanitized():
    """True if the daemon under test is built with AddressSanitizer."""
    path = built("pgwithd")
    try:
        return _has_sanitizers(path, os.stat(path).st_mtime_ns)
    except OSError:
        return False


def in_ci():
    return os.environ.get("CI", "") not in ("", "0", "false")


def unavailable(what):
    """Something a test needs is missing: a skip for a developer, a failure in CI."""
    if in_ci():
        raise Failure(what + " (and CI never skips)")
    raise Skip(what)


def check(condition, what):
    """Fails with `what` unless the condition holds."""
    if not condition:
        raise Failure(what)


def equal(got, want, what):
    if got != want:
        raise Failure("%s: got %r, want %r" % (what, got, want))


def wait_until(predicate, timeout, what):
    """Waits until predicate() is true and returns its value; fails after `timeout` seconds (times
    the slow factor). The time limit is the test's loud end, never what it waits for."""
    limit = Limit(timeout)
    pause = 0.001
    while True:
        value = predicate()
        if value:
            return value
        if limit.left() <= 0:
            raise Failure("not within %.1f s: %s (last: %r)"
                          % (time.monotonic() - limit.started, what, value))
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


def note(text):
    """A TAP diagnostic."""
    for line in str(text).splitlines() or [""]:
        print("# " + line, flush=True)


_limit = None  # of the test that runs, or of its clean-up


def _begin_limit(seconds):
    global _limit
    _limit = Limit(seconds)
    _set_alarm()


def _set_alarm():
    """Rings at the limit. If the test is somewhere where that does not end it, the process ends a minute later."""
    left = int(_limit.left()) + 1
    faulthandler.dump_traceback_later(left + 60, exit=True)
    signal.alarm(left)


def _end_limit():
    signal.alarm(0)
    faulthandler.cancel_dump_traceback_later()


def _on_alarm(signum, frame):
    if _limit.left() <= 0:
        raise TimeIsOver()
    _set_alarm()  # the machine has become slower meanwhile


def _on_term(signum, frame):
    raise SystemExit(128 + signum)


def _tails(directory):
    for top, _, names in sorted(os.walk(directory)):
        for name in sorted(names):
            path = os.path.join(top, name)
            if not name.endswith(".log") or not os.path.getsize(path):
                continue
            with open(path, errors="replace") as f:
                lines = f.read().splitlines()
            note("---- %s (last %d of %d lines)" % (path, min(TAIL_LINES, len(lines)), len(lines)))
            for line in lines[-TAIL_LINES:]:
                note("| " + line[:400])


def _keep_logs(case, directory):
    """With PGWITH_TEST_LOGS, a directory: the logs of the test's daemons are copied there, where
    tests/moves reads them."""
    kept = os.environ.get("PGWITH_TEST_LOGS")
    if not kept:
        return
    script = os.path.splitext(os.path.basename(sys.argv[0]))[0]
    for top, _, names in sorted(os.walk(directory)):
        for name in names:
            if name.endswith(".log"):
                to = os.path.join(kept, script, case.name, os.path.relpath(top, directory))
                os.makedirs(to, exist_ok=True)
                shutil.copy(os.path.join(top, name), to)


def _run_case(case, suite, top, rng_seed):
    """Returns None, or a Skip, or the text of the failure."""
    from .context import Test

    directory = os.path.join(top, case.name)
    os.mkdir(directory)
    os.chmod(directory, 0o755)
    t = Test(suite, case.name, directory, random.Random("%d/%s" % (rng_seed, case.name)))
    problem = None
    skip = None
    try:
        _begin_limit(case.timeout)
        try:
            case.function(t)
        except Skip as e:
            skip = e
        except TimeIsOver:
            problem = "not finished after %d s:\n%s" % (time.monotonic() - _limit.started, traceback.format_exc())
        except Exception:
            problem = traceback.format_exc()
        _end_limit()
        try:
            _begin_limit(45)
            late = t.undo()
        except TimeIsOver:
            late = "could not clean up within %d s:\n%s" % (time.monotonic() - _limit.started, traceback.format_exc())
        _end_limit()
        if late:
            problem = (problem or "") + "".join(late)
    finally:
        _end_limit()
        _keep_logs(case, directory)
    if problem:
        return problem
    shutil.rmtree(directory, ignore_errors=True)
    return skip


def heed_signals():
    """A shell that starts a program in the background has it ignore SIGINT and SIGQUIT, nohup has it ignore SIGHUP, and
    the programs that a test starts would, too."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL),
                            (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, handler)


def main(**suite_options):
    """Runs the tests of the calling script; suite_options go to the Suite (context.py)."""
    from .context import Suite

    heed_signals()
    args = argparse.ArgumentParser(description="TAP tests")
    args.add_argument("name", nargs="*", help="run only tests whose name or title contains it; =NAME: only that one")
    args.add_argument("--seed", type=int, default=None)
    args.add_argument("--list", action="store_true")
    args.add_argument("--keep", action="store_true", help="keep every test's directory")
    opts = args.parse_args()
    chosen = [c for c in _cases
              if not opts.name or any(n[1:] == c.name if n.startswith("=") else n in c.name or n in c.title
                                      for n in opts.name)]
    if opts.list:
        for c in chosen:
            print("%-40s %s" % (c.name, c.title))
        return
    seed = opts.seed if opts.seed is not None else int(os.environ.get("PGWITH_TEST_SEED") or
                                                       random.SystemRandom().randrange(1 << 31))
    signal.signal(signal.SIGALRM, _on_alarm)
    signal.signal(signal.SIGTERM, _on_term)
    top = tempfile.mkdtemp(prefix="pgw-", dir=os.environ.get("PGWITH_TEST_TMP", "/tmp"))
    os.chmod(top, 0o755)
    print("1..%d" % len(chosen), flush=True)
    note("seed %d, time limits x %g" % (seed, slow_factor()))
    suite = Suite(top, **suite_options)
    failed = 0
    try:
        for number, case in enumerate(chosen, 1):
            started = time.monotonic()
            result = _run_case(case, suite, top, seed)
            took = time.monotonic() - started
            if result is None:
                print("ok %d - %s" % (number, case.title), flush=True)
            elif isinstance(result, Skip):
                print("ok %d - %s # SKIP %s" % (number, case.title, result), flush=True)
            else:
                failed += 1
                print("not ok %d - %s" % (number, case.title), flush=True)
                note("test %s, seed %d" % (case.name, seed))
                note(result)
                _tails(os.path.join(top, case.name))
                suite.tails(note)
            note("%.2f s" % took)
    finally:
        problem = suite.close()
        if problem:
            failed += 1
            note(problem)
            print("Bail out! the suite's fixtures did not end cleanly", flush=True)
        if failed or opts.keep:
            note("kept: " + top)
        else:
            shutil.rmtree(top, ignore_errors=True)
    sys.exit(1 if failed else 0)
