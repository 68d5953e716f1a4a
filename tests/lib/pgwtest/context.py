"""What a test has in its hands: Test, one per test, and Suite, one per script."""

import os
import traceback

from . import server, tap, wire
from .cluster import Cluster
from .container import Container
from .daemon import Daemon, Fixture
from .process import ClientProcess
from .proxy import Proxy
from .running import Running
from .supervisor import SupervisedDaemon

SERVERS = {"local": Cluster, "container": Container, "running": Running}


def conninfo(parts):
    """A dict as libpq writes it; what is None is left out."""
    def quoted(value):
        value = str(value)
        if value and not any(c in value for c in " \\'"):
            return value
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return " ".join("%s=%s" % (k, quoted(v)) for k, v in parts.items() if v is not None)


class Suite:
    """The fixtures that the tests of one script share: one PostgreSQL server, of the kind that
    PGWITH_TEST_SERVER says, made when first asked for. cluster: keyword arguments of its class. tls: the
    servers of every test are reached over TLS (for scripts that do not ask: if PGWITH_TEST_TLS is set)."""

    def __init__(self, top, cluster=None, tls=False):
        self.top = top
        self._options = cluster or {}
        self.tls = tls or bool(os.environ.get("PGWITH_TEST_TLS"))
        if self.tls:
            self._options["tls"] = True
        self._cluster = None
        self._missing = None
        self._log_seen = 0
        self.databases = 0

    def cluster(self):
        if self._missing:
            raise self._missing
        if self._cluster is None:
            directory = os.path.join(self.top, "pg")
            os.mkdir(directory)
            os.chmod(directory, 0o755)
            try:
                tap.check(server.kind() in SERVERS, "PGWITH_TEST_SERVER is one of " + ", ".join(SERVERS))
                self._cluster = SERVERS[server.kind()](directory, **self._options)
            except (tap.Skip, tap.Failure) as e:
                self._missing = e
                raise
        self._cluster.ensure_running()
        return self._cluster

    def tails(self, note):
        """PostgreSQL's log since the last time."""
        if self._cluster is None or not self._cluster.ours:
            return
        with open(self._cluster.log, errors="replace") as f:
            f.seek(self._log_seen)
            lines = f.read().splitlines()
            self._log_seen = f.tell()
        if lines:
            note("---- " + self._cluster.log)
        for line in lines[-tap.TAIL_LINES:]:
            note("| " + line[:400])

    def close(self):
        try:
            if self._cluster is not None:
                self._cluster.destroy()
        except Exception:
            return traceback.format_exc()
        return None


class Test:
    """One test's context. Whatever it starts is ended, last first, when the test is over."""

    def __init__(self, suite, name, directory, random):
        self.suite, self.name, self.directory, self.random = suite, name, directory, random
        self._undo = []
        self._database = None
        self._counts = {}

    def defer(self, function, *args):
        """Called at the end of the test; if it raises, the test fails."""
        self._undo.append((function, args))

    def undo(self):
        """Runs what was deferred; the texts of what went wrong."""
        problems = []
        while self._undo:
            function, args = self._undo.pop()
            try:
                function(*args)
            except Exception:
                problems.append("while ending the test:\n" + traceback.format_exc())
        return problems

    def path(self, name):
        return os.path.join(self.directory, name)

    def _number(self, kind):
        self._counts[kind] = self._counts.get(kind, 0) + 1
        n = self._counts[kind]
        return kind if n == 1 else "%s%d" % (kind, n)

    # -- fixtures --------------------------------------------------------------------------------
    @property
    def cluster(self):
        return self.suite.cluster()

    @property
    def database(self):
        """The name of this test's own, fresh database."""
        if self._database is None:
            cluster = self.cluster
            self.suite.databases += 1
            self._database = cluster.database_name(self.suite.databases)
            cluster.create_database(self._database)
        return self._database

    def sql(self, sql):
        """Rows of a statement sent directly to PostgreSQL, in the test's database."""
        return self.cluster.sql(sql, self.database)

    def value(self, sql):
        return self.sql(sql)[0][0]

    def activity(self):
        return self.cluster.activity(self.database)

    def conninfo(self, **more):
        """libpq's words for the test's database. A value of None leaves its keyword out."""
        parts = {"host": self.cluster.sockets, "port": self.cluster.port, "user": "postgres"}
        if self.suite.tls:
            parts = self.cluster.tls_conninfo()
        parts["dbname"] = self.database
        parts.update(more)
        return conninfo(parts)

    def new_database(self):
        """From now on the test has another, empty database."""
        self._database = None

    def unless_crashed(self, run, *args, **named):
        """run(test, ...): something random. PostgreSQL 15 itself dies of some of these programs (a savepoint rolled back
        over portals that have failed), on a direct connection too: then other ones are drawn, in a new database."""
        for _ in range(4):
            seen, failure = os.path.getsize(self.cluster.log), None
            try:
                run(self, *args, **named)
            except Exception as e:
                failure = e
            with open(self.cluster.log, errors="replace") as f:
                f.seek(seen)
                crashed = "was terminated by signal 11" in f.read()
            if crashed:
                self.cluster.forget()
                tap.wait_until(self._is_up, 30, "PostgreSQL has recovered")
            if failure is None:
                return
            if not crashed:
                raise failure
            tap.note("PostgreSQL has crashed: drawing anew")
            self.new_database()
        raise tap.Failure("PostgreSQL crashes each time")

    def _is_up(self):
        try:
            return self.cluster.sql("SELECT 1")
        except (ConnectionError, wire.Closed, wire.ServerError):
            return False

    def daemon(self, options=None, pools=None, env=None, scopes=None, sections=None, **pool):
        """pgwithd with the pool `db` (keyword arguments are its options) on the test's database."""
        if pools is None:
            if "conninfo" not in pool:
                pool["conninfo"] = self.conninfo()
            pool.setdefault("size", 1)
            pools = {"db": pool}
        d = Daemon(self.path(self._number("d")), pools, options, env=env, scopes=scopes, sections=sections)
        self._undo.append((self._end_daemon, (d,)))
        return d

    def supervised(self, options=None, pools=None, scopes=None, sections=None, **pool):
        """The same below a supervisor that keeps descriptors: see supervisor.py."""
        if pools is None:
            pool.setdefault("conninfo", self.conninfo())
            pool.setdefault("size", 1)
            pools = {"db": pool}
        d = SupervisedDaemon(self.path(self._number("s")), pools, options, scopes=scopes, sections=sections)
        self._undo.append((self._end_daemon, (d,)))
        return d

    @staticmethod
    def _end_daemon(d):
        try:
            d.stop()
        finally:
            d.destroy()

    def fixture(self, **how):
        f = Fixture(self.path(self._number("f")), **how)
        self.defer(f.stop)
        return f

    def proxy(self):
        p = Proxy(self.path(self._number("p")), 5432, self.cluster, tcp=self.suite.tls)
        self.defer(p.close)
        return p

    def direct(self, **params):
        """A direct client of PostgreSQL in the test's database."""
        c = self.cluster.connect(self.database, **params)
        self.defer(c.close)
        return c

    def client(self, daemon, database="db", **params):
        """A client through the daemon, closed at the end of the test."""
        c = daemon.connect(database, **params)
        self.defer(c.close)
        return c

    def process(self, script, *args):
        """A ClientProcess, killed at the end of the test."""
        p = ClientProcess(self.path(self._number("process") + ".log"), script, *args)
        self.defer(p.kill)
        return p
