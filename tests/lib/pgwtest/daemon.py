"""The programs under test: pgwithd with a configuration of a dict, and pgwith-fixture."""

import os
import re
import signal
import subprocess
import time

from . import child, wire
from .tap import Failure, built, check, sanitized, slow_factor, unavailable, wait_until

PORT = 6432
SANITIZER = re.compile(r"ERROR: (Address|Leak|Thread)Sanitizer|runtime error:|SUMMARY: \w+Sanitizer")

SANITIZE_ENV = {
    # A small quarantine: freed memory must not count as growth.
    "ASAN_OPTIONS": "detect_leaks=1:quarantine_size_mb=4:abort_on_error=0:exitcode=99",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
}


def program(name):
    """A program of this build; PGWITHD names another pgwithd, which the tests of this tree run instead."""
    path = built(name)
    if not os.access(path, os.X_OK):
        unavailable("%s is not built (PGWITH_BUILDDIR names the build)" % path)
    return path


class Program:
    """A process of ours with its log."""

    def __init__(self, argv, log, env=None):
        self.log = log
        self.process = child.start(argv, log, env=dict(SANITIZE_ENV, **(env or {})))

    @property
    def pid(self):
        return self.process.pid

    def log_text(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def log_has(self, pattern):
        return re.search(pattern, self.log_text()) is not None

    def check_alive(self):
        if self.process.poll() is not None:
            raise Failure("%s ended with status %d, see %s"
                          % (self.process.args, self.process.returncode, self.log))

    def signal(self, number):
        self.check_alive()
        self.process.send_signal(number)

    def wait_end(self, timeout=20.0):
        """Its exit status, negative for a signal."""
        try:
            return self.process.wait(timeout * slow_factor())
        except subprocess.TimeoutExpired:
            raise Failure("%s did not end within %g s" % (self.process.args[-3:], timeout)) from None

    def check_log(self):
        """Fails if a sanitizer or a broken assertion has spoken."""
        text = self.log_text()
        found = SANITIZER.search(text) or re.search(r"Assertion .* failed", text)
        if found:
            raise Failure("%s reports:\n%s" % (self.log, text[max(0, found.start() - 200):][:3000]))

    def destroy(self):
        """The harsh end, when the test has failed."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def memory(self, what="VmRSS"):
        """A line of /proc/PID/status in bytes."""
        with open("/proc/%d/status" % self.pid) as f:
            for line in f:
                if line.startswith(what + ":"):
                    return int(line.split()[1]) * 1024
        raise Failure("no %s of process %d" % (what, self.pid))

    def reset_peak(self):
        """Makes VmHWM start again at the present size (proc(5), clear_refs)."""
        with open("/proc/%d/clear_refs" % self.pid, "w") as f:
            f.write("5")

    def cpu_s(self):
        """User and system seconds used so far."""
        with open("/proc/%d/stat" % self.pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.pid))


class Daemon(Program):
    def __init__(self, directory, pools, options=None, start_timeout=15, env=None, scopes=None, arguments=(),
                 sections=None):
        """Starts pgwithd and returns when its console answers. `pools`, `scopes`: name to a dict of
        options; `options`: those of section [pgwith]; `arguments`: more words of its command line;
        `sections`: other sections, by what stands in their brackets."""
        os.makedirs(directory, exist_ok=True)
        self.directory = directory
        self.sockets = os.path.join(directory, "l")
        os.makedirs(self.sockets, exist_ok=True)
        self.port = PORT
        self.conf = os.path.join(directory, "pgwith.conf")
        self._console = None
        self.expect_status = 0
        top = {"listen": self.sockets, "port": self.port, "admin_users": "postgres", "allow": "*",
               "log_level": os.environ.get("PGWITH_TEST_LOG_LEVEL", "debug"),
               "shutdown_timeout": "5s",
               # most tests mean a BEGIN to take a server; those of lazy_begin switch it on
               "lazy_begin": "off"}
        if os.environ.get("PGWITH_TEST_IO"):
            top["io"] = os.environ["PGWITH_TEST_IO"]
        top.update(options or {})
        self._written = top, pools, scopes, sections
        self.write_conf(top, pools, scopes, sections)
        argv = [program("pgwithd"), "-c", self.conf, *arguments]
        if os.environ.get("PGWITH_TEST_LOGS"):
            argv.append("-v")  # each move of a state, whatever level the test asks for
        super().__init__(argv, os.path.join(directory, "pgwithd.log"), env)
        try:
            wait_until(self._answers, start_timeout, "pgwithd answers on its console")
        except BaseException:
            self.destroy()
            raise

    def write_conf(self, top, pools, scopes=None, others=None):
        with open(self.conf, "w") as f:
            f.write("[pgwith]\n")
            for k, v in top.items():
                f.write("%s = %s\n" % (k, v))
            for kind, sections in (("pool ", pools), ("scope ", scopes or {}), ("", others or {})):
                for name, options in sections.items():
                    f.write("\n[%s%s]\n" % (kind, name))
                    for k, v in options.items():
                        f.write("%s = %s\n" % (k, v))

    def rewrite(self, options=None, pools=None, scopes=None, sections=None):
        """The file anew, with what is not given as it was at the start; it is not read yet."""
        top, old_pools, old_scopes, old_sections = self._written
        self.write_conf(dict(top, **(options or {})), old_pools if pools is None else pools,
                        old_scopes if scopes is None else scopes,
                        old_sections if sections is None else sections)

    def reload(self, options=None, pools=None, scopes=None, sections=None):
        """Rewrites it; the Result of RELOAD, which succeeds."""
        self.rewrite(options, pools, scopes, sections)
        return self.console("RELOAD")

    def _answers(self):
        self.check_alive()
        try:
            self.console("SHOW VERSION")
            return True
        except (FileNotFoundError, ConnectionError, wire.Closed):
            return False

    # -- clients ---------------------------------------------------------------------------------
    def connect(self, database="db", user="postgres", **params):
        return wire.Client(self.sockets, self.port, database, user, **params)

    def dsn(self, database="db", user="postgres", **more):
        """A libpq connection string."""
        parts = {"host": self.sockets, "port": self.port, "dbname": database, "user": user}
        parts.update(more)
        return " ".join("%s='%s'" % kv for kv in parts.items())

    # -- console ---------------------------------------------------------------------------------
    def console(self, sql):
        """A console command's Result."""
        if self._console is None:
            self._console = self.connect("pgwith", application_name="pgwtest-look")
        try:
            r = self._console.ask(sql)
        except BaseException:
            self._console.drop()
            self._console = None
            raise
        if r.errors:
            raise r.errors[0]
        return r

    def console_close(self):
        """Gives up the console's connection, until the next command."""
        if self._console is not None:
            self._console.close()
            self._console = None

    def show(self, what):
        """SHOW `what`: a list of dicts."""
        r = self.console("SHOW " + what)
        return [dict(zip(r.columns, row)) for row in r.rows]

    def servers(self, pool="db"):
        """SHOW SERVERS of one pool."""
        return [s for s in self.show("SERVERS") if s["database"] == pool]

    def clients(self, pool="db"):
        """SHOW CLIENTS of one pool."""
        return [c for c in self.show("CLIENTS") if c["database"] == pool]

    def server_pids(self, pool="db"):
        return {int(s["remote_pid"]) for s in self.servers(pool)}

    def pool(self, pool="db"):
        """The row of SHOW POOLS, numbers as int."""
        for row in self.show("POOLS"):
            if row["database"] == pool:
                return {k: int(v) if v is not None and v.lstrip("-").isdigit() else v
                        for k, v in row.items()}
        raise Failure("SHOW POOLS has no pool " + pool)

    def waiting(self, pool="db"):
        return self.pool(pool)["cl_waiting"]

    def leased(self, pool="db"):
        """Servers that are not idle: leased, in cleanup, being opened. The one that listens for sessions is none."""
        return [s for s in self.servers(pool) if s["state"] not in ("idle", "listening")]

    def quiet(self, pool="db", within=5.0):
        """Waits until nobody waits and every server is idle; returns SHOW SERVERS."""
        wait_until(lambda: not self.leased(pool) and self.waiting(pool) == 0, within,
                   "pool %s is quiet" % pool)
        return self.servers(pool)

    # -- end -------------------------------------------------------------------------------------
    def stop(self, number=signal.SIGTERM, timeout=20.0):
        """Ends it and checks its exit status and its log."""
        self.console_close()
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            status = self.wait_end(timeout)
        finally:
            self.destroy()
        self.check_log()
        check(status == self.expect_status, "pgwithd ended with status %d, see %s"
              % (status, self.log))


class Fixture(Program):
    def __init__(self, directory, database=":memory:", sql=(), port=5432):
        """Starts pgwith-fixture, with its log of everything, and returns when it accepts a login."""
        os.makedirs(directory, exist_ok=True)
        self.sockets, self.port, self.database = directory, port, database
        argv = [program("pgwith-fixture"), "-d", "-l", directory, "-p", str(port)]
        for path in sql:
            argv += ["-i", path]
        super().__init__(argv + [database], os.path.join(directory, "fixture.log"))
        try:
            wait_until(self._answers, 15, "pgwith-fixture accepts a login")
        except BaseException:
            self.destroy()
            raise

    def _answers(self):
        self.check_alive()
        try:
            self.connect().close()
            return True
        except (FileNotFoundError, ConnectionError, wire.Closed):
            return False

    def connect(self, **params):
        return wire.Client(self.sockets, self.port, "main", "postgres", **params)

    def stop(self, number=signal.SIGTERM, timeout=30.0):
        """Ends it, unless it has ended, and checks its exit status and its log."""
        status = 0
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                status = self.wait_end(timeout)
            finally:
                self.destroy()
        self.check_log()
        check(status == (-number if number == signal.SIGKILL else 0),
              "pgwith-fixture ended with status %d, see %s" % (status, self.log))


def seconds(function, *args):
    """(how long it took, its value)."""
    started = time.monotonic()
    value = function(*args)
    return time.monotonic() - started, value
