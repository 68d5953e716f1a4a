"""A throw-away PostgreSQL cluster: initdb in a temporary directory, a Unix socket of its own, no
fsync. As root it runs as the user postgres, otherwise as ourselves; the superuser is `postgres`."""

import fcntl
import glob
import os
import select
import shutil
import signal
import subprocess

from . import child
from .ports import free_port
from .server import SETTINGS, USER, Server, bindir
from .tap import Failure, check
from .verified import RULES, TLS_RULES, Verified

PORT = 5432


def end(pid):
    """SIGKILL, and waits until the process has ended: one that ends still has its shared memory."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(fd, signal.SIGKILL)
        select.select([fd], [], [], 30)
    except ProcessLookupError:
        pass
    finally:
        os.close(fd)


class Cluster(Verified, Server):
    def __init__(self, directory, connections=120, tls=False, settings=None, hba=None):
        """Makes and starts it. `tls`: also listen on 127.0.0.1 with certificates of its own CA, where
        only TLS with a password (SCRAM) gets in; the role `certified`, only with a certificate.
        `settings`: more lines of postgresql.conf."""
        super().__init__()
        self.bin = bindir("initdb")
        self.directory = directory
        self.sockets = os.path.join(directory, "s")
        self.data = os.path.join(directory, "data")
        self.log = os.path.join(directory, "postgres.log")
        self.port = free_port() if tls else PORT
        self.tls = tls
        self.process = None
        os.makedirs(self.sockets)
        if os.geteuid() == 0:
            for d in (directory, self.sockets):
                shutil.chown(d, USER, USER)
        self._initdb()
        with open(os.path.join(self.data, "postgresql.conf"), "a") as f:
            own = dict(SETTINGS, unix_socket_directories=self.sockets, port=self.port,
                       max_connections=connections, listen_addresses="127.0.0.1" if tls else "")
            for k, v in dict(own, **(settings or {})).items():
                f.write("%s = '%s'\n" % (k, v))
            if tls:
                self.authority()
                self._give_certificates()
                f.write("ssl = on\nssl_ca_file = 'ca.crt'\nssl_min_protocol_version = 'TLSv1.2'\n")
        with open(os.path.join(self.data, "pg_hba.conf"), "w") as f:
            f.write((hba or "") + (TLS_RULES if tls else RULES))
        try:
            self.start()
            if tls:
                self.tls_roles()
        except BaseException:
            self.kill()
            raise

    def _initdb(self):
        """With PGWITH_TEST_TEMPLATE, a directory, the first cluster that is made leaves a copy of itself
        there, and the next ones are copies of that: it takes a quarter of the time."""
        template = os.environ.get("PGWITH_TEST_TEMPLATE")
        fresh = ["-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions",
                 "--wal-segsize=1"]
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

    def _give_certificates(self):
        """What the server needs of them is in its data directory."""
        for name in ("ca.crt", "server.crt", "server.key"):
            path = shutil.copy(os.path.join(self.certificates, name), self.data)
            os.chmod(path, 0o600)
            if os.geteuid() == 0:
                shutil.chown(path, USER, USER)

    # -- life ------------------------------------------------------------------------------------
    def start(self):
        check(self.process is None, "the cluster runs already")
        self.process = child.start([self.program("postgres"), "-D", self.data], self.log,
                                   death=signal.SIGQUIT, user=USER)

        def alive():
            check(self.process.poll() is None,
                  "postgres ended with status %s, see %s" % (self.process.returncode, self.log))
        self.wait_until_up(alive)

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

    def kill(self):
        """SIGKILL of the postmaster and all of its processes; none of them is left when it returns."""
        if self.process is None:
            return
        self.forget()
        # A postmaster that is stopped starts no more of them meanwhile.
        os.kill(self.process.pid, signal.SIGSTOP)
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
            end(pid)
        self.process.wait()
        self.process = None

    def destroy(self):
        """Stops it, and removes what is big and of no use without a server."""
        self.stop("immediate")
        shutil.rmtree(self.data, ignore_errors=True)

    @staticmethod
    def signal(pid, number):
        """A signal to one of its processes, by pg_backend_pid()."""
        os.kill(pid, number)
