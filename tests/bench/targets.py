"""The processes that are measured: a throw-away PostgreSQL cluster and the poolers before it, all
on Unix sockets in one temporary directory, which goes when Bench.close() is called."""

import functools
import os
import pwd
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

from pgwire import Client, socket_path

PORT = 6432        # of every socket; the directories differ
IDLE_CLIENTS = 64  # connections beside those a part asks for
START_S = 30
POOL_SIZES = {"bench": 20, "bench5": 5}
# PgBouncer's versions from this one on have max_prepared_statements.
PREPARES = (1, 21)
CACHES = ("off", "on")  # pgwithd's pools benchoff and benchon have this statement_cache, all others auto


class Unavailable(Exception):
    """A target that cannot be measured here; the message says why."""


def wait_until(condition, what, seconds=START_S):
    """Polls until condition() is true."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(0.01)


class Target:
    """Something with a socket that pgbench can be pointed at."""

    pooler = True  # a process whose CPU and memory are measured
    port = PORT
    stop_signal = signal.SIGTERM
    good_status = (0,)

    def __init__(self, bench, name, logged=False, wrapper=()):
        """`logged`: each client's coming and going is. `wrapper`: a command that runs the program."""
        self.bench = bench
        self.name = name
        self.logged = logged
        self.wrapper = wrapper
        self.directory = bench.directory(name + (".logged" if logged else ""))
        self.log = os.path.join(self.directory, "log")
        self.process = None

    @property
    def pid(self):
        return self.process.pid

    @property
    def socket(self):
        return socket_path(self.directory, self.port)

    def database(self, pool):
        return pool

    def client(self, pool="bench", timeout=START_S):
        return Client(self.socket, self.database(pool), timeout=timeout)

    def start(self, max_clients=1000):
        argv = self.prepare(max_clients)
        self.process = self.bench.spawn([*self.wrapper, *argv], self.log)
        wait_until(self.answers, f"{self.name} is ready")

    def answers(self):
        if self.process.poll() is not None:
            status, self.process = self.process.returncode, None
            raise Unavailable(f"{self.name} ended at once with status {status}"
                              + self.last_words())
        try:
            self.client().close()
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        return True

    def file(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def last_words(self):
        with open(self.log, errors="replace") as f:
            lines = f.read().splitlines()[-5:]
        return "".join(f"\n    {self.name}: {line}" for line in lines)

    def stop(self):
        """Ends the process. If it had ended before, or will not end, that is kept as a failure."""
        if self.process is None:
            return
        if not self.alive():
            self.bench.casualties.append(f"{self.name} ended by itself with status "
                                         f"{self.process.returncode}{self.last_words()}")
        else:
            self.process.send_signal(self.stop_signal)
            try:
                status = self.process.wait(START_S)
                if status not in self.good_status:
                    self.bench.casualties.append(f"{self.name}, told to end, did so with status "
                                                 f"{status}{self.last_words()}")
            except subprocess.TimeoutExpired:
                self.bench.casualties.append(f"{self.name} did not end within {START_S} s")
                self.process.kill()
                self.process.wait()
        self.process = None


class Postgres(Target):
    """The cluster itself, and the target `direct`."""

    pooler = False
    stop_signal = signal.SIGINT  # fast shutdown

    def database(self, pool):
        return "bench"

    def answers(self):
        if self.process.poll() is not None:
            raise Unavailable(f"PostgreSQL did not start{self.last_words()}")
        try:
            Client(self.socket, "postgres", timeout=START_S).close()
        except OSError:
            return False
        except Exception as e:
            if "57P03" in str(e):  # starting up
                return False
            raise
        return True

    def prepare(self, max_clients):
        data = os.path.join(self.directory, "data")
        self.bench.run([self.bench.postgres_program("initdb"), "-D", data, "-U", "postgres",
                        "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"])
        if self.bench.tls:
            key, crt = (os.path.join(data, "server." + end) for end in ("key", "crt"))
            self.bench.run(["openssl", "req", "-new", "-x509", "-days", "30", "-nodes", "-newkey", "ec",
                            "-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=localhost",
                            "-keyout", key, "-out", crt])
        with open(os.path.join(data, "postgresql.conf"), "a") as f:
            f.write(f"""
listen_addresses = '{"127.0.0.1" if self.bench.tls else ""}'
ssl = {"on" if self.bench.tls else "off"}
unix_socket_directories = '{self.directory}'
port = {PORT}
max_connections = 500
shared_buffers = 512MB
fsync = off
synchronous_commit = off
full_page_writes = off
autovacuum = off
max_wal_size = 4GB
jit = off
""")
        return [self.bench.postgres_program("postgres"), "-D", data]


class Pgbouncer(Target):
    good_status = (0, 1)  # 1.18 ends at once on SIGTERM, with 1

    def prepare(self, max_clients):
        self.bench.need("pgbouncer")
        users = self.file("users", '"postgres" ""\n')
        pools = "".join(f"{pool} = host={self.bench.server_host} port={PORT} dbname=bench"
                        f" pool_size={size}\n" for pool, size in POOL_SIZES.items())
        prepared = "max_prepared_statements = 200" if self.bench.prepares("pgbouncer") else ""
        # -q: nothing goes to stderr, not even what is configured to be logged.
        quiet = [] if self.logged else ["-q"]
        return ["pgbouncer", *quiet, self.file("pgbouncer.ini", f"""[databases]
{pools}
[pgbouncer]
unix_socket_dir = {self.directory}
listen_port = {PORT}
auth_type = trust
auth_file = {users}
pool_mode = transaction
max_client_conn = {max_clients + IDLE_CLIENTS}
default_pool_size = {POOL_SIZES["bench"]}
log_connections = {int(self.logged)}
log_disconnections = {int(self.logged)}
server_tls_sslmode = {"require" if self.bench.tls else "disable"}
{prepared}
""")]


class Pgwithd(Target):
    io = None  # the option of this name; None: its default

    def prepare(self, max_clients):
        io = f"io = {self.io}" if self.io and self.bench.knows_io else ""
        # A copy: the user postgres need not be able to read the build directory.
        program = shutil.copy(self.bench.need(self.bench.pgwithd), self.directory)
        pools = "".join(f"""
[pool {pool}]
conninfo = host={self.bench.server_host} port={PORT} dbname=bench user=postgres {self.bench.sslmode}
size = {size}
""" for pool, size in POOL_SIZES.items())
        pools += "".join(f"""
[pool bench{cache}]
conninfo = host={self.bench.server_host} port={PORT} dbname=bench user=postgres {self.bench.sslmode}
size = {POOL_SIZES["bench"]}
statement_cache = {cache}
""" for cache in CACHES)
        # Where PgBouncer's default is another than ours, its value.
        return [program, "-c", self.file("pgwith.conf", f"""[pgwith]
listen = {self.directory}
port = {PORT}
max_clients = {max_clients + IDLE_CLIENTS}
max_waiting = {max_clients + IDLE_CLIENTS}
wait_timeout = 120s
idle_timeout = 600s
max_lifetime = 1h
check_interval = 30s
log_connections = {"yes" if self.logged else "no"}
log_disconnections = {"yes" if self.logged else "no"}
{io}
{pools}""")]


class PgwithdEpoll(Pgwithd):
    io = "epoll"


class PgwithdRing(Pgwithd):
    io = "uring"

    def prepare(self, max_clients):
        if not self.bench.knows_io:
            raise Unavailable("this pgwithd has no option io, and no ring")
        return super().prepare(max_clients)


class Peer(Target):
    """A pooler that somebody else has started before the same PostgreSQL; nobody here configures or ends it."""

    def __init__(self, bench, name, where):
        """`where`: the directory of its socket, and, if they are others than ours, :port and /database."""
        match = re.fullmatch(r"(?P<directory>.*?)(:(?P<port>\d+)(/(?P<database>[^/]+))?)?", where)
        self.bench, self.name, self.logged = bench, name, False
        self.directory = match["directory"]
        self.port = int(match["port"] or PORT)
        self.only_database = match["database"]
        self.process_id = None
        self.version = ""

    @property
    def pid(self):
        return self.process_id

    def database(self, pool):
        if self.only_database and pool != "bench":
            raise Unavailable(f"{self.name} has no database {pool}")
        return self.only_database or pool

    def start(self, max_clients=1000):
        """Finds out which process it is, and that it serves."""
        try:
            client = self.client()
        except OSError as e:
            raise Unavailable(f"{self.name}, {self.socket}: {e}") from e
        with client.socket:
            client.query("SELECT 1")
            credentials = client.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        self.process_id = struct.unpack("iII", credentials)[0]
        if not os.access(f"/proc/{self.process_id}/fd", os.R_OK):
            raise Unavailable(f"{self.name}: process {self.process_id} cannot be looked at")
        program = f"/proc/{self.process_id}/exe"
        done = subprocess.run([program, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        self.version = (done.stdout.splitlines() or [os.readlink(program)])[0]

    def alive(self):
        return os.path.exists(f"/proc/{self.process_id}")

    def last_words(self):
        return ""

    def stop(self):
        pass


KINDS = {"pgbouncer": Pgbouncer, "pgwithd": Pgwithd, "pgwithd-epoll": PgwithdEpoll,
         "pgwithd-ring": PgwithdRing}


class Bench:
    """Owns the directory, the user and the programs' processes."""

    def __init__(self, pgwithd, postgres_bin, keep=False, tls=False, root=None, peers=None, load=None):
        """`tls`: the poolers reach PostgreSQL over TLS, on 127.0.0.1. `root`: the directory, instead of
        a temporary one. `peers`: {name: where}, see Peer. `load`: the program of load.c."""
        self.tls = tls
        self.pgwithd = pgwithd
        self.load = load
        self.postgres_bin = postgres_bin
        self.keep = keep
        self.made = set()  # below root
        self.own_root = root is None
        self.root = root or tempfile.mkdtemp(prefix="pgwith-bench.", dir="/tmp")
        os.makedirs(self.root, exist_ok=True)
        os.chmod(self.root, 0o755)
        # Neither PostgreSQL nor PgBouncer runs as root.
        self.user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        self.environment["LC_ALL"] = "C"
        # Where libpq looks for certificates; root's own may not be looked at.
        self.environment["HOME"] = self.root
        self.targets = []
        self.casualties = []  # what went wrong with the processes themselves
        self.postgres = self.add(Postgres(self, "direct"))
        self.peers = {name: Peer(self, name, where) for name, where in (peers or {}).items()}

    @functools.cached_property
    def knows_io(self):
        """Has this pgwithd the option `io`, whatever this machine's kernel allows?"""
        path = os.path.join(self.directory("knows"), "pgwith.conf")
        verdicts = []
        for io in ("", "io = uring"):
            with open(path, "w") as f:
                f.write(f"[pgwith]\nlisten = {self.root}\n{io}\n[pool p]\nconninfo = dbname=p\n")
            done = subprocess.run([self.need(self.pgwithd), "-t", "-c", path], stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, env=self.environment)
            verdicts.append(done.returncode == 0)
        if not verdicts[0]:
            raise Unavailable(f"{self.pgwithd} -t: {(done.stderr or done.stdout).strip()}")
        return verdicts[1]

    def prepares(self, name):
        """Do clients of `name` have named prepared statements in transaction mode?"""
        version = {"pgbouncer": self.version}.get(name, self.peer_version)(name)
        found = re.match(r"PgBouncer (\d+)\.(\d+)", version)
        return not found or tuple(map(int, found.groups())) >= PREPARES

    def peer_version(self, name):
        return self.peers[name].version if name in self.peers else ""

    @property
    def server_host(self):
        """Where the poolers find PostgreSQL."""
        return "127.0.0.1" if self.tls else self.postgres.directory

    @property
    def sslmode(self):
        return "sslmode=require" if self.tls else ""

    def add(self, target):
        self.targets.append(target)
        return target

    def target(self, name, **options):
        """A fresh target, not started; `direct` is the cluster, which runs all the time."""
        if name == "direct":
            return self.postgres
        if name in self.peers:
            return self.peers[name]
        return self.add(KINDS[name](self, name, **options))

    def directory(self, name):
        path = os.path.join(self.root, name)
        self.made.add(path)
        os.makedirs(path, exist_ok=True)
        if self.user:
            os.chown(path, self.user.pw_uid, self.user.pw_gid)
        return path

    def need(self, program):
        path = shutil.which(program)
        if path is None:
            raise Unavailable(f"no program {program}")
        return path

    def postgres_program(self, name):
        return self.need(os.path.join(self.postgres_bin, name))

    @functools.cache
    def load_program(self):
        """A copy of load.c's program, which the user postgres can read."""
        return shutil.copy(self.need(self.load), self.directory("load"))

    def identity(self):
        if not self.user:
            return {}
        return {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}

    def spawn(self, argv, log):
        with open(log, "ab") as f:
            return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=f, stderr=f,
                                    cwd=self.root, env=self.environment, start_new_session=True,
                                    **self.identity())

    def run(self, argv, **options):
        """Runs a program to its end and returns its output; an exit status but 0 is an error."""
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              cwd=self.root, env=self.environment, **self.identity(), **options)
        if done.returncode != 0:
            raise RuntimeError(f"{os.path.basename(argv[0])} ended with status {done.returncode}: "
                               + done.stderr.strip()[-500:])
        return done.stdout

    def version(self, name):
        """One line, from the program itself."""
        argv = {"direct": [self.postgres_program("postgres"), "--version"],
                "pgbouncer": ["pgbouncer", "--version"]}[name]
        return self.run(argv).splitlines()[0]

    def close(self):
        for target in reversed(self.targets):
            target.stop()
        if not self.keep:
            for path in [self.root] if self.own_root else self.made:
                shutil.rmtree(path, ignore_errors=True)
