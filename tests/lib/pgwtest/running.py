"""A PostgreSQL that is there already, and that others may use too: PGWITH_TEST_CONNINFO says how libpq gets
there as the superuser postgres. The tests make databases with names of their own and a few roles there, and
drop them; tests that stop or fill a server, signal its processes or read its log are skipped."""

import os

from . import wire
from .server import USER, Server, bindir
from .tap import Failure, Skip, check

# Scripts that make roles take turns: the names are the same. The key is any number that is nobody else's.
ROLES_LOCK = 0x70677769
ENVIRONMENT = {"password": "PGPASSWORD", "passfile": "PGPASSFILE", "sslmode": "PGSSLMODE",
               "sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY",
               "channel_binding": "PGCHANNELBINDING", "gssencmode": "PGGSSENCMODE",
               "connect_timeout": "PGCONNECT_TIMEOUT"}


def _not_ours(self, *args):
    raise Skip("PostgreSQL's own end: not with PGWITH_TEST_SERVER=running")


class Running(Server):
    ours = False

    start = stop = kill = _not_ours

    def __init__(self, directory, connections=None, tls=False, settings=None, hba=None):
        super().__init__()
        if tls or settings or hba:
            raise Skip("settings and certificates of its own: not with PGWITH_TEST_SERVER=running")
        self.bin = bindir("pgbench")
        self._parse(os.environ.get("PGWITH_TEST_CONNINFO", ""))
        self._prefix = "pgwtest_%s_" % os.urandom(4).hex()
        self._turn = None
        try:
            self._look_at_it(connections)
        except (OSError, wire.Closed, wire.ServerError, ValueError) as e:
            raise Failure("PGWITH_TEST_CONNINFO: %s" % e) from e

    def _parse(self, text):
        """What the tests do not write themselves goes to libpq by its variables, the daemon's too."""
        try:
            from psycopg import ProgrammingError
            from psycopg.conninfo import conninfo_to_dict
        except ImportError:
            raise Failure("PGWITH_TEST_SERVER=running needs python3-psycopg") from None
        try:
            parts = conninfo_to_dict(text)
        except ProgrammingError as e:
            raise Failure("PGWITH_TEST_CONNINFO: %s" % e) from None
        self.sockets = parts.pop("host", os.environ.get("PGHOST")) or "/var/run/postgresql"
        self.port = int(parts.pop("port", os.environ.get("PGPORT")) or 5432)
        self.password = parts.get("password", os.environ.get("PGPASSWORD"))
        if self.password is not None:
            self.login = "LOGIN PASSWORD '%s'" % self.password.replace("'", "''")
        check(parts.pop("user", USER) == USER, "PGWITH_TEST_CONNINFO: user is %s, always" % USER)
        check(parts.pop("dbname", USER) == USER, "PGWITH_TEST_CONNINFO: dbname is %s, always" % USER)
        unknown = sorted(set(parts) - set(ENVIRONMENT))
        check(not unknown, "PGWITH_TEST_CONNINFO: not possible here: " + ", ".join(unknown))
        for k, v in parts.items():
            os.environ[ENVIRONMENT[k]] = str(v)

    def _look_at_it(self, connections):
        check(self.value("SHOW is_superuser") == "on", "PGWITH_TEST_CONNINFO: %s is no superuser" % USER)
        room = int(self.value("SELECT current_setting('max_connections')::int - count(*)"
                              " FROM pg_stat_activity WHERE backend_type = 'client backend'"))
        if connections and room < connections:
            raise Skip("it has room for %d connections, and %d are needed" % (room, connections))

    def running(self):
        return True

    @property
    def log(self):
        raise Skip("PostgreSQL's log: not with PGWITH_TEST_SERVER=running")

    @staticmethod
    def signal(pid, number):
        raise Skip("a signal to PostgreSQL's processes: not with PGWITH_TEST_SERVER=running")

    # -- names -----------------------------------------------------------------------------------
    def database_name(self, number):
        return self._prefix + str(number)

    def create_database(self, name):
        self.sql('CREATE DATABASE "%s" TEMPLATE template0 ENCODING UTF8 LC_COLLATE "C" LC_CTYPE "C"' % name)

    def role(self, name, options=None):
        if name in self._roles:
            return
        if self._turn is None:
            self._turn = self.connect(application_name="pgwtest-look")
            self._turn.sql("SELECT pg_advisory_lock(%d)" % ROLES_LOCK)
        if self.value("SELECT count(*) FROM pg_roles WHERE rolname = '%s'" % name) != "0":
            raise Skip("the server has a role %s already" % name)
        super().role(name, options)

    def destroy(self):
        """Drops what the tests have made."""
        self.forget()
        for name, in self.sql("SELECT datname FROM pg_database WHERE starts_with(datname, '%s')" % self._prefix):
            self.sql('DROP DATABASE "%s" WITH (FORCE)' % name)
        for name in self._roles:
            self.sql("DROP ROLE IF EXISTS " + name)
        self.forget()
        if self._turn is not None:
            self._turn.close()
