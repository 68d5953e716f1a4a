"""A pod, made of namespaces: pgwithd and its application in a user namespace of their own, each with its own mounts and
processes, and a shared folder with the socket. As containers of Kubernetes they start in any order, are probed, and get
SIGTERM."""

import os
import signal
import subprocess
import sys

from pgwtest import Failure, Skip, check, equal, main, seconds, slow_factor, test, wait_until
from pgwtest.daemon import SANITIZE_ENV, program
from pgwtest.server import only_local

# The uids inside of the pod, if we are root. Otherwise it has only one, which is 0 inside.
DAEMON, APP = 10001, 10002
FIRST = 300000  # the uid outside that is 0 inside
ROOT = os.geteuid() == 0

# One connection for each job, as PHP does. On SIGTERM it takes ten more jobs, and then ends. It prints the number of each
# job that PostgreSQL has confirmed.
APPLICATION = r"""
import os, signal, sys, time
sys.path.insert(0, sys.argv[1])
from pgwtest import wire
sockets, first, most = sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
left = [most]
signal.signal(signal.SIGTERM, lambda *_: left.__setitem__(0, 10))
done = 0
begun = False
while left[0] > 0:
    try:
        with wire.Client(sockets, 6432, "db", "app", application_name="worker") as c:
            c.sql("INSERT INTO jobs VALUES (%d)" % (first + done))
        done += 1
        left[0] -= 1
        begun = True
        print(first + done - 1, flush=True)
    except (FileNotFoundError, ConnectionRefusedError) as e:
        # Only before pgwithd has started.
        if begun:
            print("lost: %r" % e, flush=True)
            sys.exit(3)
    except BaseException as e:
        print("lost: %r" % e, flush=True)
        sys.exit(4)
    time.sleep(0.02)
"""


def without_leaks(environment):
    """LeakSanitizer looks at a process from a clone of it, which now and then cannot be in somebody else's namespaces."""
    return dict(environment, ASAN_OPTIONS=environment.get("ASAN_OPTIONS", "") + ":detect_leaks=0")


class Pod:
    """The process that holds the namespaces which both containers share."""

    def __init__(self, t):
        self.t = t
        self.sockets = t.path("pod")
        os.mkdir(self.sockets)
        words = ["setpriv", "--pdeathsig", "KILL", "unshare", "-U", "-n"] + ([] if ROOT else ["-r"])
        self.holder = subprocess.Popen(words + ["sh", "-c", "echo; exec sleep infinity"], stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        t.defer(self.end)
        if self.holder.stdout.readline() != b"\n":
            raise Skip("no user namespaces here: " + self.holder.stderr.read().decode(errors="replace").strip())
        if ROOT:
            os.chown(self.sockets, FIRST + DAEMON, FIRST + DAEMON)
            for kind in "uid", "gid":
                with open("/proc/%d/%s_map" % (self.holder.pid, kind), "w") as f:
                    f.write("0 %d 65536\n" % FIRST)

    def end(self):
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()
        self.holder.stderr.close()

    def start(self, name, uid, argv):
        return Container(self, name, uid, argv)


class Container:
    """A process in the pod, which is process 1 of a namespace of its own."""

    def __init__(self, pod, name, uid, argv):
        self.pod, self.uid, self.log = pod, uid, pod.t.path(name + ".log")
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL"] + self.enter(pod.holder.pid) +
                                            ["unshare", "-m", "-p", "-f", "--kill-child"] + self.as_user() + argv,
                                            stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=self.environment(), cwd="/")
        pod.t.defer(self.end)

    @staticmethod
    def environment():
        env = dict(os.environ, **SANITIZE_ENV)
        env.pop("NOTIFY_SOCKET", None)
        return env

    @staticmethod
    def enter(pid, more=()):
        return ["nsenter", "-t", str(pid), "-U", "-n", *more] + ([] if ROOT else ["--preserve-credentials"])

    def as_user(self):
        return ["setpriv", "--reuid", str(self.uid), "--regid", str(self.uid), "--clear-groups"] if ROOT else []

    def text(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def first(self):
        """Its process 1, as it is called outside; None: it has not begun, or has ended."""
        for pid in os.listdir("/proc"):
            try:
                with open("/proc/%s/stat" % pid) as f:
                    if f.read().rsplit(")", 1)[1].split()[1] == str(self.process.pid):
                        return int(pid)
            except (OSError, IndexError):
                continue
        return None

    def signal(self, number):
        os.kill(self.first(), number)

    def wait(self, timeout):
        try:
            return self.process.wait(timeout * slow_factor())
        except subprocess.TimeoutExpired:
            raise Failure("it did not end within %g s:\n%s" % (timeout, self.text()[-2000:])) from None

    def probe(self, *words):
        """The exit status of `pgwith` in this container, as a kubelet runs it."""
        p = subprocess.run(self.enter(self.first(), ["-m", "-p"]) + self.as_user() +
                           [program("pgwith"), "-S", self.pod.sockets, "--timeout", "4s", *words],
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           env=without_leaks(self.environment()), timeout=60, check=False)
        self.said = p.stdout.decode(errors="replace").strip()
        return p.returncode

    def end(self):
        self.process.kill()
        self.process.wait()


def make(t, **options):
    """A pod for the test's database, and the words for its two containers."""
    only_local("a pod, whose server is outside")
    t.sql("CREATE TABLE jobs (n int)")
    pod = Pod(t)
    conf = t.path("pgwith.conf")
    with open(conf, "w") as f:
        f.write("[pgwith]\nlisten = %s\nlog_level = debug\n" % pod.sockets)
        for option in options.items():
            f.write("%s = %s\n" % option)
        f.write("allow = *\n[pool db]\nconninfo = %s\nsize = 2\nmin_size = 1\nusers = *\nretry_delay = 100ms\n"
                "application_name = '%%a %%e/%%p %%u'\n" % t.conninfo())

    def daemon():
        return pod.start("pgwithd", DAEMON, [program("pgwithd"), "-c", conf])

    def application(first=0, most=1000000):
        library = next(p for p in sys.path if os.path.isdir(os.path.join(p, "pgwtest")))
        return pod.start("app%d" % first, APP, ["/usr/bin/python3", "-B", "-c", APPLICATION, library, pod.sockets,
                                                str(first), str(most)])
    return daemon, application


def confirmed(app):
    """How many jobs are confirmed, and none is lost."""
    lines = app.text().split()
    check("lost" not in app.text(), app.text()[-500:])
    return len(lines)


def nothing_is_lost(t, *apps):
    rows = t.sql("SELECT count(*), count(DISTINCT n) FROM jobs")[0]
    equal(rows, (str(sum(confirmed(a) for a in apps)),) * 2, "jobs in the table")


@test
def any_order(t):
    """whichever starts first: the application works as soon as pgwithd is there, and nothing is lost"""
    daemon, application = make(t)
    app = application()
    d = daemon()
    wait_until(lambda: confirmed(app) > 20, 20, "the application works")
    app.signal(signal.SIGTERM)
    equal(app.wait(20), 0, "the application")
    d.signal(signal.SIGTERM)
    equal(d.wait(20), 0, "pgwithd, which gets SIGTERM as a native sidecar: behind the application")
    again = daemon()
    wait_until(lambda: again.first() and again.probe("ready", "db") == 0, 20, "it is ready")
    second = application(1000000)
    wait_until(lambda: confirmed(second) > 20, 20, "the application works")
    names = {r[0] for r in t.sql("SELECT application_name FROM pg_stat_activity WHERE datname = current_database()"
                                 " AND application_name LIKE 'worker%'")}
    # The application's processes cannot be seen from pgwithd's namespace.
    equal(names, {"worker ?/0 %d" % (APP if ROOT else 0)}, "application_name")
    second.signal(signal.SIGTERM)
    equal(second.wait(20), 0, "the application")
    again.signal(signal.SIGTERM)
    equal(again.wait(20), 0, "pgwithd")
    nothing_is_lost(t, app, second)


@test
def probes(t):
    """pgwith ping and pgwith ready as probes: alive as long as it runs, ready only while PostgreSQL is there"""
    daemon, application = make(t)
    d = daemon()
    wait_until(lambda: d.first() and d.probe("ping") == 0, 20, "it is alive")
    wait_until(lambda: d.probe("ready", "db") == 0, 20, "it is ready")
    cluster = t.cluster  # to ask for it again would start it
    cluster.stop()
    wait_until(lambda: d.probe("ready", "db") != 0, 20, "it is not ready")
    equal(d.probe("ping"), 0, "it is alive without PostgreSQL")
    cluster.start()
    wait_until(lambda: d.probe("ready", "db") == 0, 20, "it is ready again")
    app = application(0, 20)
    equal(app.wait(20), 0, "the application")
    os.kill(d.first(), signal.SIGSTOP)
    check(d.probe("ping") != 0, "it hangs, and is not alive")
    os.kill(d.first(), signal.SIGCONT)
    wait_until(lambda: d.probe("ping") == 0, 20, "it goes on")
    d.signal(signal.SIGTERM)
    equal(d.wait(20), 0, "pgwithd")
    nothing_is_lost(t, app)


@test
def application_last(t):
    """both get SIGTERM together: the application finishes its jobs, with new connections, and pgwithd ends behind it"""
    daemon, application = make(t, on_term="after-clients", exit_when_unused="3s")
    d = daemon()
    apps = [application(0), application(1000000)]
    for app in apps:
        wait_until(lambda app=app: confirmed(app) > 20, 20, "the application works")
    d.signal(signal.SIGTERM)
    wait_until(lambda: "finishing" in d.text(), 10, "it is finishing")
    equal((d.probe("ping"), d.probe("ready", "db")), (0, 0), "the probes while it is finishing: " + d.said)
    before = [confirmed(app) for app in apps]
    for app, n in zip(apps, before):
        wait_until(lambda app=app, n=n: confirmed(app) > n + 10, 20, "it goes on working")
        app.signal(signal.SIGTERM)
    for app in apps:
        equal(app.wait(20), 0, "the application")
    check(d.process.poll() is None, "pgwithd is there still")
    equal(d.wait(20), 0, "pgwithd")
    nothing_is_lost(t, *apps)


@test
def job(t):
    """a Job: the application ends when its work is done, and pgwithd by itself, with exit status 0"""
    daemon, application = make(t, on_term="after-clients", exit_when_unused="2s")
    app = application(0, 50)
    d = daemon()
    equal(app.wait(30), 0, "the application")
    took, status = seconds(d.wait, 20)
    equal(status, 0, "pgwithd")
    check(took > 0.9, "it ended %.1f s behind the application" % took)
    equal(confirmed(app), 50, "jobs")
    nothing_is_lost(t, app)


if __name__ == "__main__":
    main()
