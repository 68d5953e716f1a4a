"""The processes that are measured: a throw-away PostgreSQL cluster and the poolers before it, all
on Unix sockets in one temporary directory, which goes when Bench.close() is called."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time

from pgwire import Client, socket_path

PORT = 6432        # of every socket; the directories differ
IDLE_CLIENTS = 64  # connections beside those a part asks for
START_S = 30
POOL_SIZES = {"bench": 20, "bench5": 5}
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
    stop_signal = signal.SIGTERM
    good_status = (0,)

    def __init__(self, bench, name):
        self.bench = bench
        self.name = name
        self.directory = bench.directory(name)
        self.log = os.path.join(self.directory, "log")
        self.process = None

    @property
    def pid(self):
        return self.process.pid

    @property
    def socket(self):
        return socket_path(self.directory, PORT)

    def database(self, pool):
        return pool

    def client(self, pool="bench", timeout=START_S):
        return Client(self.socket, self.database(pool), timeout=timeout)

    def start(self, max_clients=1000):
        argv = self.prepare(max_clients)
        self.process = self.bench.spawn(argv, self.log)
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
max_connections = 200
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
        return ["pgbouncer", "-q", self.file("pgbouncer.ini", f"""[databases]
{pools}
[pgbouncer]
unix_socket_dir = {self.directory}
listen_port = {PORT}
auth_type = trust
auth_file = {users}
pool_mode = transaction
max_client_conn = {max_clients + IDLE_CLIENTS}
default_pool_size = {POOL_SIZES["bench"]}
log_connections = 0
log_disconnections = 0
server_tls_sslmode = {"require" if self.bench.tls else "disable"}
""")]


class Pgwithd(Target):

    def prepare(self, max_clients):
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
log_connections = no
log_disconnections = no
{pools}""")]


class Bench:
    """Owns the directory, the user and the programs' processes."""

    def __init__(self, pgwithd, postgres_bin, keep=False, tls=False):
        """`tls`: the poolers reach PostgreSQL over TLS, on 127.0.0.1."""
        self.tls = tls
        self.pgwithd = pgwithd
        self.postgres_bin = postgres_bin
        self.keep = keep
        self.root = tempfile.mkdtemp(prefix="pgwith-bench.", dir="/tmp")
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

    def target(self, name):
        """A fresh target, not started; `direct` is the cluster, which runs all the time."""
        if name == "direct":
            return self.postgres
        return self.add({"pgbouncer": Pgbouncer, "pgwithd": Pgwithd}[name](self, name))

    def directory(self, name):
        path = os.path.join(self.root, name)
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
            shutil.rmtree(self.root, ignore_errors=True)
