"""A throw-away PostgreSQL in a container of its own, over a Unix socket in a shared folder; without network, or with
127.0.0.1 for TLS.
make integration (tests/integration/with-server.sh) sets what it needs:

PGWITH_TEST_IMAGE   the image: PostgreSQL's official one, or any that has initdb, sh and the user postgres
PGWITH_TEST_ENGINE  the command, podman or docker with its options; the default is the one that is there
PGWITH_TEST_RUN     more options of its `run`
"""

import os
import shlex
import shutil

from . import child
from .ports import free_port
from .server import SETTINGS, USER, Server, bindir
from .tap import Failure, check, unavailable
from .verified import RULES, TLS_RULES, Verified

INSIDE = "/pgwith"  # where the container has `directory`

# The same for every image, so that it is known what listens: the official one's own start-up runs a
# server for itself first.
ENTRY = r"""
set -eu
umask 022
exec >>/pgwith/postgres.log 2>&1
for bin in /usr/lib/postgresql/*/bin /usr/local/bin /usr/bin; do
	if [ -x "$bin/initdb" ]; then PATH=$bin:$PATH; break; fi
done
export PGDATA=/tmp/pgwith-data
if [ -e /pgwith/tls/server.key ]; then
	(umask 077; cat /pgwith/tls/server.key >/tmp/pgwith-server.key)
fi
[ -s "$PGDATA/PG_VERSION" ] || initdb -U postgres -A trust -E UTF8 --locale=C --no-sync --no-instructions >/dev/null
exec postgres "$@"
"""


def engine():
    """The words of the command."""
    text = os.environ.get("PGWITH_TEST_ENGINE") or shutil.which("podman") or shutil.which("docker")
    if not text:
        unavailable("neither podman nor docker on this machine")
    return shlex.split(text)


class Container(Verified, Server):
    def __init__(self, directory, connections=120, tls=False, settings=None, hba=None):
        """As Cluster."""
        super().__init__()
        self.image = os.environ.get("PGWITH_TEST_IMAGE") or unavailable("PGWITH_TEST_IMAGE names no image")
        self.engine = engine()
        self.bin = bindir("pgbench")
        self.directory = directory
        self.sockets = os.path.join(directory, "s")
        self.log = os.path.join(directory, "postgres.log")
        self.port = free_port() if tls else 5432
        self.tls = tls
        self.id = None
        self._up = False
        self._look_pid = None
        os.mkdir(self.sockets)
        for d in (directory, self.sockets):
            os.chmod(d, 0o1777)
        own = dict(SETTINGS, unix_socket_directories=INSIDE + "/s", port=self.port, max_connections=connections,
                   listen_addresses="127.0.0.1" if tls else "", hba_file=INSIDE + "/pg_hba.conf")
        with open(os.path.join(directory, "pg_hba.conf"), "w") as f:
            f.write((hba or "") + (TLS_RULES if tls else RULES))
        if tls:
            self.authority()
            os.chmod(os.path.join(self.certificates, "server.key"), 0o644)  # its reader in there may have any uid
            own.update(ssl="on", ssl_min_protocol_version="TLSv1.2", ssl_key_file="/tmp/pgwith-server.key",
                       ssl_cert_file=INSIDE + "/tls/server.crt", ssl_ca_file=INSIDE + "/tls/ca.crt")
        try:
            self._run(dict(own, **(settings or {})))
            if tls:
                self.tls_roles()
        except BaseException:
            self.destroy()
            raise

    def _engine(self, *words, timeout=60):
        return child.run_ok(self.engine + list(words), timeout=timeout).strip()

    def _run(self, settings):
        options = [w for k, v in settings.items() for w in ("-c", "%s=%s" % (k, v))]
        more = shlex.split(os.environ.get("PGWITH_TEST_RUN", ""))
        network = "host" if self.tls else "none"
        self.id = self._engine("create", "--label", "pgwith-test", "--network", network, "--security-opt",
                               "label=disable", "--shm-size", "256m", "--user", USER, "-v",
                               "%s:%s" % (self.directory, INSIDE), "--entrypoint", "/bin/sh", *more, self.image,
                               "-c", ENTRY, "sh", *options)
        self.start()

    # -- life ------------------------------------------------------------------------------------
    def start(self):
        check(not self._up, "the container runs already")
        self._engine("start", self.id)
        self._up = True
        self._look_pid = self._engine("inspect", "-f", "{{.State.Pid}}", self.id)

        def alive():
            if not self.running():
                text = "it has no log"
                if os.path.exists(self.log):
                    with open(self.log, errors="replace") as f:
                        text = f.read()[-2000:]
                raise Failure("the container has ended:\n" + text)
        self.wait_until_up(alive)

    def running(self):
        return self._up and os.path.exists("/proc/" + self._look_pid)

    def ensure_running(self):
        if not self.running():
            self._up = False
            self.start()

    def _end(self, name):
        if not self._up:
            return
        self.forget()
        self._engine("kill", "-s", name, self.id)
        self._engine("wait", self.id)
        self._up = False

    def stop(self, mode="fast"):
        """smart, fast or immediate."""
        self._end({"smart": "TERM", "fast": "INT", "immediate": "QUIT"}[mode])

    def kill(self):
        """SIGKILL of the postmaster, with which the kernel ends all in the container."""
        self._end("KILL")

    def destroy(self):
        """Nothing is left of it but the log."""
        self.forget()
        if self.id is not None:
            self._engine("rm", "-f", "-v", self.id)

    def signal(self, pid, number):
        """A signal to one of its processes, by pg_backend_pid()."""
        self._engine("exec", self.id, "/bin/sh", "-c", "kill -%d %d" % (number, pid))
