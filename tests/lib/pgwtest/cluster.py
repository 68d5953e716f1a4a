"""A throw-away PostgreSQL cluster: initdb in a temporary directory, a Unix socket of its own, no
fsync. As root it runs as the user postgres, otherwise as ourselves; the superuser is `postgres`."""

import fcntl
import glob
import os
import shutil
import signal
import socket
import subprocess

from . import child, wire
from .tap import Failure, check, unavailable, wait_until

PORT = 5432
USER = "postgres"
PASSWORD = r"secret \ '7"  # of USER, if the cluster has TLS

SETTINGS = """
fsync = off
synchronous_commit = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
max_wal_size = 4GB
autovacuum = off
jit = off
shared_buffers = 64MB
log_min_messages = warning
log_line_prefix = '%%m [%%p] %%a '
logging_collector = off
unix_socket_directories = '%(sockets)s'
port = %(port)d
max_connections = %(connections)d
"""


def bindir():
    """Where PostgreSQL's programs are; skips (fails in CI) if nowhere."""
    places = [os.environ.get("PG_BINDIR", "")]
    places += sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda p: (
        p.split("/")[4] != "15", p))
    places += ["/usr/local/pgsql/bin", "/usr/local/bin", "/usr/bin"]
    for place in places:
        if place and os.access(os.path.join(place, "initdb"), os.X_OK):
            return place
    unavailable("no PostgreSQL server programs (initdb) on this machine; PG_BINDIR names them")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Cluster:
    def __init__(self, directory, connections=120, tls=False, settings=None, hba=None):
        """Makes and starts it. `tls`: also listen on 127.0.0.1 with certificates of its own CA, where
        only TLS with a password (SCRAM) gets in; the role `certified`, only with a certificate.
        `settings`: more lines of postgresql.conf."""
        self.bin = bindir()
        self.directory = directory
        self.sockets = os.path.join(directory, "s")
        self.data = os.path.join(directory, "data")
        self.log = os.path.join(directory, "postgres.log")
        self.port = free_port() if tls else PORT
        self.tls = tls
        self.process = None
        self._looks = {}
        os.makedirs(self.sockets)
        if os.geteuid() == 0:
            for d in (directory, self.sockets):
                shutil.chown(d, USER, USER)
        self._initdb()
        with open(os.path.join(self.data, "postgresql.conf"), "a") as f:
            f.write(SETTINGS % {"sockets": self.sockets, "port": self.port,
                                "connections": connections})
            f.write("listen_addresses = '%s'\n" % ("127.0.0.1" if tls else ""))
            for k, v in (settings or {}).items():
                f.write("%s = '%s'\n" % (k, v))
            if tls:
                self._certificates()
                f.write("ssl = on\nssl_ca_file = 'ca.crt'\nssl_min_protocol_version = 'TLSv1.2'\n")
        with open(os.path.join(self.data, "pg_hba.conf"), "w") as f:
            f.write((hba or "") + "local all all trust\n")
            if tls:
                f.write("hostssl all certified 127.0.0.1/32 cert\n"
                        "hostssl all all 127.0.0.1/32 scram-sha-256\n")
        try:
            self.start()
            if tls:
                self.sql("ALTER ROLE postgres PASSWORD '%s'" % PASSWORD.replace("'", "''"))
                self.sql("CREATE ROLE certified LOGIN")
        except BaseException:
            self.kill()
            raise

    def _initdb(self):
        """With PGWITH_TEST_TEMPLATE, a directory, the first cluster that is made leaves a copy of itself
        there, and the next ones are copies of that: it takes a quarter of the time."""
        template = os.environ.get("PGWITH_TEST_TEMPLATE")
        fresh = ["-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"]
        if not template:
            child.run_ok([self.program("initdb"), "-D", self.data, *fresh], user=USER, timeout=120)
            return
        with open(template + ".lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not os.path.isdir(template):
                making = template + ".making"
                shutil.rmtree(making, ignore_errors=True)
                os.mkdir(making, 0o700)
                if os.geteuid() == 0:
                    shutil.chown(making, USER, USER)
                child.run_ok([self.program("initdb"), "-D", making, *fresh], user=USER, timeout=120)
                os.rename(making, template)
        child.run_ok(["cp", "-a", template, self.data])

    def _certificates(self):
        """A CA, the server's certificate, and one for the role `certified`, in directory/tls; what
        the server needs is in its data directory."""
        self.certificates = os.path.join(self.directory, "tls")
        os.makedirs(self.certificates)
        self.ca = self._certificate("ca", "/CN=pgwtest CA", ["-x509", "-days", "30"])
        self._certificate("server", "/CN=server", ["-addext",
                                                   "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        self._certificate("certified", "/CN=certified", [])
        for name in ("ca.crt", "server.crt", "server.key"):
            path = shutil.copy(os.path.join(self.certificates, name), self.data)
            os.chmod(path, 0o600)
            if os.geteuid() == 0:
                shutil.chown(path, USER, USER)

    def _certificate(self, name, subject, more):
        """Makes NAME.key and NAME.crt, signed by the CA but for the CA itself."""
        crt, key, csr = (os.path.join(self.certificates, name + e) for e in (".crt", ".key", ".csr"))
        own = "-x509" in more
        child.run_ok(["openssl", "req", "-new", "-nodes", "-newkey", "ec", "-pkeyopt",
                      "ec_paramgen_curve:prime256v1", "-subj", subject, "-keyout", key,
                      "-out", crt if own else csr] + more)
        if not own:
            child.run_ok(["openssl", "x509", "-req", "-in", csr, "-days", "30", "-CA", self.ca, "-CAkey",
                          os.path.join(self.certificates, "ca.key"), "-CAcreateserial",
                          "-copy_extensions", "copy", "-out", crt])
        os.chmod(key, 0o600)
        return crt

    def tls_conninfo(self, **more):
        """Of a connection over TLS, everything verified both ways, as a dict."""
        parts = {"host": "127.0.0.1", "port": self.port, "user": USER, "password": PASSWORD,
                 "sslmode": "verify-full", "sslrootcert": self.ca, "channel_binding": "require"}
        parts.update(more)
        return parts

    def program(self, name):
        return os.path.join(self.bin, name)

    # -- life ------------------------------------------------------------------------------------
    def start(self):
        check(self.process is None, "the cluster runs already")
        self.process = child.start([self.program("postgres"), "-D", self.data], self.log,
                                   death=signal.SIGQUIT, user=USER)

        def accepts():
            check(self.process.poll() is None,
                  "postgres ended with status %s, see %s" % (self.process.returncode, self.log))
            try:
                wire.Client(self.sockets, self.port, "postgres", USER).close()
                return True
            except (OSError, wire.Closed, wire.ServerError):
                return False
        wait_until(accepts, 30, "PostgreSQL accepts connections")

    def running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, mode="fast"):
        """smart, fast or immediate."""
        if self.process is None:
            return
        self.forget()
        self.process.send_signal({"smart": signal.SIGTERM, "fast": signal.SIGINT,
                                  "immediate": signal.SIGQUIT}[mode])
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure("PostgreSQL did not stop (%s)" % mode) from None
        self.process = None

    def restart(self, mode="fast"):
        self.stop(mode)
        self.start()

    def kill(self):
        """SIGKILL of the postmaster and all of its processes."""
        if self.process is None:
            return
        self.forget()
        pids = [self.process.pid]
        for path in glob.glob("/proc/[0-9]*/stat"):
            try:
                with open(path) as f:
                    text = f.read()
            except OSError:
                continue
            if int(text.rsplit(")", 1)[1].split()[1]) == self.process.pid:
                pids.append(int(path.split("/")[2]))
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        self.process = None

    def ensure_running(self):
        if not self.running():
            self.process = None
            self.start()

    # -- looking ---------------------------------------------------------------------------------
    def forget(self):
        """Closes the connections that sql() keeps."""
        for c in self._looks.values():
            c.close()
        self._looks.clear()

    def connect(self, database="postgres", **params):
        """A direct client, past the daemon."""
        return wire.Client(self.sockets, self.port, database, USER, **params)

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
