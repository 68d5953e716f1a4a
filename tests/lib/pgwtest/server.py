"""A PostgreSQL server as the tests see it, wherever it runs. PGWITH_TEST_SERVER says which of the kinds
below Server the suites get (context.py): local, container or running."""

import glob
import os

from . import wire
from .tap import Skip, unavailable, wait_until

USER = "postgres"

SETTINGS = {
    # With synchronous_commit = off, what was committed could be lost by an immediate stop.
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "4GB",
    "autovacuum": "off",
    "jit": "off",
    "shared_buffers": "64MB",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] %a ",
    "logging_collector": "off",
}


def kind():
    """local (a throw-away cluster, the default), container or running."""
    return os.environ.get("PGWITH_TEST_SERVER") or "local"


def only_local(what):
    """Skips a test for which clusters of this machine are made as it needs them."""
    if kind() != "local":
        raise Skip("%s: only with PGWITH_TEST_SERVER=local" % what)


def bindir(program="psql"):
    """Where PostgreSQL's programs are, that one among them; skips (fails in CI) if nowhere."""
    places = [os.environ.get("PG_BINDIR", "")]
    places += sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda p: (
        p.split("/")[4] != "15", p))
    places += ["/usr/local/pgsql/bin", "/usr/local/bin", "/usr/bin"]
    for place in places:
        if place and os.access(os.path.join(place, program), os.X_OK):
            return place
    unavailable("no %s of PostgreSQL on this machine; PG_BINDIR names its folder" % program)


class Server:
    """What all kinds have. `sockets`: libpq's host. `ours`: started by the tests, and theirs alone, so that
    they may stop, fill and crash it, signal its processes and read its log, a file named `log`."""

    ours = True
    password = None
    login = "LOGIN"  # options of a role that the daemon can log in as

    def __init__(self):
        self._looks = {}
        self._roles = []

    def program(self, name):
        return os.path.join(self.bin, name)

    def for_us_alone(self, what):
        """Skips what others that use the server would notice."""
        if not self.ours:
            raise Skip("%s: not on a server that others use (PGWITH_TEST_SERVER=running)" % what)

    def without_password(self, what):
        """Skips what gets in by conninfo alone; the password of a running server is in the environment."""
        if self.password is not None:
            raise Skip("%s: not with a password (PGWITH_TEST_SERVER=running)" % what)

    def restart(self, mode="fast"):
        self.stop(mode)
        self.start()

    def ensure_running(self):
        if not self.running():
            self.process = None
            self.start()

    def accepts(self):
        """True if it lets us in."""
        try:
            wire.Client(self.sockets, self.port, "postgres", USER, password=self.password).close()
            return True
        except (OSError, wire.Closed, wire.ServerError):
            return False

    def wait_until_up(self, alive):
        """Waits until it lets us in. alive() raises when it never will."""
        def up():
            alive()
            return self.accepts()
        wait_until(up, 30, "PostgreSQL accepts connections")

    # -- names -----------------------------------------------------------------------------------
    def database_name(self, number):
        """Of a test's database."""
        return "t%d" % number

    def role(self, name, options=None):
        """Makes a role of that name, unless one of these tests has made it before; without options it can log in."""
        if name not in self._roles:
            self.sql("CREATE ROLE %s %s" % (name, self.login if options is None else options))
            self._roles.append(name)

    # -- looking ---------------------------------------------------------------------------------
    def forget(self):
        """Closes the connections that sql() keeps."""
        for c in self._looks.values():
            c.close()
        self._looks.clear()

    def connect(self, database="postgres", **params):
        """A direct client, past the daemon."""
        return wire.Client(self.sockets, self.port, database, USER, password=self.password, **params)

    def sql(self, sql, database="postgres"):
        """Rows (tuples of str or None) of a statement sent directly to PostgreSQL."""
        c = self._looks.get(database)
        if c is None:
            c = self.connect(database, application_name="pgwtest-look")
            self._looks[database] = c
        try:
            return c.sql(sql)
        except wire.ServerError:
            raise
        except BaseException:
            self._looks.pop(database).drop()
            raise

    def value(self, sql, database="postgres"):
        return self.sql(sql, database)[0][0]

    def create_database(self, name):
        self.sql('CREATE DATABASE "%s"' % name)

    def activity(self, database):
        """pg_stat_activity of a database but for our own looking: a list of dicts."""
        names = ("pid", "state", "query", "xact", "xid", "wait_event", "application_name")
        rows = self.sql("SELECT pid, state, query, xact_start, backend_xid, wait_event,"
                        " application_name FROM pg_stat_activity WHERE datname = '%s' AND"
                        " application_name <> 'pgwtest-look' AND backend_type = 'client backend'"
                        " ORDER BY backend_start, pid" % database)
        found = [dict(zip(names, r)) for r in rows]
        for r in found:
            r["pid"] = int(r["pid"])
        return found

    def pids(self, database):
        """The set of backends of a database."""
        return {r["pid"] for r in self.activity(database)}

    def locks(self, pid):
        """Locks that a backend holds or waits for."""
        return self.sql("SELECT locktype, mode, granted, relation::regclass::text FROM pg_locks"
                        " WHERE pid = %d" % pid)
