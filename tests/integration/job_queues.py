"""Job queues and frameworks that LISTEN, unchanged, with many more workers than the pool has servers.

PGWITH_TEST_JOBS jobs are added, PGWITH_TEST_JOBS_PER_S in a second (0: as fast as it goes). 36000 and 60 are what an hour
brings in ten minutes."""

import base64
import os
import queue
import subprocess
import threading
import time

from pgwtest import Failure, check, child, equal, main, note, sanitized, slow_factor, test, unavailable, wait_until
from pgwtest import npm

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "queues")
JOBS = int(os.environ.get("PGWITH_TEST_JOBS") or (200 if sanitized() else 1500))
JOBS_PER_S = int(os.environ.get("PGWITH_TEST_JOBS_PER_S") or 0)
WORKERS = 40
SIZE = 5
TAKES_S = 60 + (JOBS / JOBS_PER_S if JOBS_PER_S else JOBS / 20)
LOOK_S = 0.2  # between two looks at the sessions

PACKAGES = ("pg@8.23.1", "graphile-worker@0.17.3", "pg-boss@10.4.2")


class Program:
    """A program of queues/ that is talked with in lines."""

    def __init__(self, t, argv, env=None):
        self.log = t.path(os.path.basename(argv[1]) + ".log")
        with open(self.log, "wb") as err:
            self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", argv[0], os.path.join(HERE, argv[1]),
                                             *argv[2:]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err,
                                            env=dict(os.environ, LC_ALL="C.UTF-8", **(env or {})), text=True)
        t.defer(self._end)
        self._lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _end(self):
        self.process.kill()
        self.process.wait()

    def _read(self):
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def heard(self, timeout=30, meanwhile=lambda: None):
        """The next line; meanwhile() is called again and again."""
        end = time.monotonic() + timeout * slow_factor()
        while True:
            try:
                line = self._lines.get(timeout=LOOK_S)
            except queue.Empty:
                meanwhile()
                check(time.monotonic() < end, "the program said nothing, see %s" % self.log)
                continue
            if line is None:
                with open(self.log, errors="replace") as f:
                    raise Failure("the program has ended: %s" % f.read()[-2000:])
            return line

    def finish(self):
        self.tell("end")
        equal(self.heard(), "ended", "the program's last word")
        equal(self.process.wait(30), 0, "its status")

    def silent(self):
        """True if it has said nothing."""
        return self._lines.empty()


def dsn(d):
    return "host=%s port=%d dbname=db user=postgres" % (d.sockets, d.port)


class Look:
    """What must hold at any time: nobody is pinned, and the pool is no larger than it may be."""

    def __init__(self, t, d):
        self.t, self.d = t, d
        self.looks = self.sessions = 0

    def __call__(self):
        clients = self.d.clients()
        for c in clients:
            check(not c["pinned"], "a session is pinned: %s" % c["pinned"])
        self.sessions = max(self.sessions, len(clients))
        check(len(self.d.servers()) <= SIZE + 1, "servers of the pool")
        self.looks += 1


def done(t, at_least=0):
    """(rows, different ones, first, last) of what was done."""
    return tuple(int(n) for n in t.sql("SELECT count(*), count(DISTINCT n), coalesce(min(n), 0), coalesce(max(n), 0)"
                                       " FROM done")[0])


def jobs(t, program, left, one):
    """Runs them, with a restart and RECONNECT in the middle. `left`: SQL that counts jobs that are not done; `one`: SQL
    that adds job $n, for a queue that has LISTEN."""
    modules = npm.modules("job-queues-1", PACKAGES)
    t.sql("CREATE TABLE done (n int, seen int, at timestamptz DEFAULT clock_timestamp())")
    d = t.supervised({"log_level": "info"}, size=SIZE, wait_timeout="60s")
    look = Look(t, d)
    began = time.monotonic()
    p = Program(t, ["node", program, dsn(d), str(JOBS), str(JOBS_PER_S), str(WORKERS)], {"NODE_PATH": modules})
    equal(p.heard(60), "ready", "its first word")
    p.tell("add")

    def disturb():
        look()
        return done(t)[0] >= JOBS // 3
    wait_until(disturb, TAKES_S, "a third is done")
    check(p.silent(), "it is still at work")
    d.console_close()
    d.restart()
    look()
    wait_until(lambda: done(t)[0] >= JOBS // 2, TAKES_S, "half is done")
    d.console("RECONNECT")
    equal(p.heard(TAKES_S, look), "all", "what it says when all is done")
    took = time.monotonic() - began
    equal(done(t), (JOBS, JOBS, 1, JOBS), "jobs that were done: rows, different ones, first, last")
    equal(t.value("SELECT count(*) FROM done WHERE n <> seen"), "0", "jobs that saw the parameter of another")
    wait_until(lambda: t.value(left) == "0", 30, "no job is left over")
    check(look.sessions >= WORKERS, "%d sessions of %d workers" % (look.sessions, WORKERS))
    if one:
        for n in range(JOBS + 1, JOBS + 4):
            d.quiet()
            if n == JOBS + 2:
                d.console_close()
                d.restart()
            elif n == JOBS + 3:
                d.console("RECONNECT")
            start = time.monotonic()
            t.sql(one.replace("$n", str(n)))
            # It polls only once a day.
            wait_until(lambda n=n: t.value("SELECT count(*) FROM done WHERE n = %d" % n) == "1", 20, "it is done")
            note("a job for a queue that idles took %.0f ms" % (1000 * (time.monotonic() - start)))
        look()
        wait_until(lambda: t.value(left) == "0", 30, "no job is left over")
        equal(done(t)[:2], (JOBS + 3, JOBS + 3), "jobs")
    p.finish()
    wait_until(lambda: not d.clients(), 10, "its sessions are gone")
    d.quiet()
    note("%d jobs by %d workers on %d servers: %.1f s; looked %d times, at up to %d sessions"
         % (JOBS, WORKERS, SIZE, took, look.looks, look.sessions))


@test(timeout=TAKES_S + 120)
def graphile_worker(t):
    """graphile-worker: forty workers on five servers; a job for a queue that idles is done at once, by LISTEN"""
    jobs(t, "graphile_worker.js", "SELECT count(*) FROM graphile_worker.jobs",
         "SELECT graphile_worker.add_job('note', '{\"n\": $n}')")


@test(timeout=TAKES_S + 120)
def pg_boss(t):
    """pg-boss: forty workers on five servers"""
    jobs(t, "pg_boss.js", "SELECT count(*) FROM pgboss.job WHERE name = 'note' AND state NOT IN ('completed')", None)


# ---- Action Cable --------------------------------------------------------------------------------------
def b64(text):
    return base64.b64encode(text.encode()).decode()


class Cable(Program):
    def __init__(self, t, d):
        if child.run(["ruby", "-e", "require 'active_record'; require 'action_cable'; require 'pg'"])[0] != 0:
            unavailable("ruby-actioncable, ruby-activerecord or ruby-pg is not installed")
        super().__init__(t, ["ruby", "action_cable.rb", dsn(d)])
        equal(self.heard(60), "ready", "its first word")

    def do(self, line, answer):
        self.tell(line)
        equal(self.heard(), answer, "answer to %r" % line[:60])

    def subscribe(self, name, channel):
        self.do("subscribe %s %s" % (name, b64(channel)), "subscribed " + name)

    def got(self, *names):
        """Payloads that come for these names, in whatever order of the names: Action Cable has threads."""
        found = [self.heard().split(" ") for _ in names]
        equal(sorted(f[:2] for f in found), sorted(["got", n] for n in names), "who got something")
        texts = {base64.b64decode(f[2]).decode() for f in found}
        equal(len(texts), 1, "different payloads")
        return texts.pop()


@test(timeout=120)
def action_cable(t):
    """Rails' Action Cable: subscriptions of two processes, broadcasts, odd channels, unsubscribe; over a restart"""
    d = t.supervised(size=2)
    look = Look(t, d)
    a, b = Cable(t, d), Cable(t, d)
    channels = {"chat": "chat_1", "odd": 'room "9"; DROP: Grüße', "long": "action_cable/" + "x" * 80}
    for name, channel in channels.items():
        a.subscribe(name, channel)
    b.subscribe("chat", channels["chat"])
    a.subscribe("second", channels["chat"])  # the same channel, by another subscriber: no other LISTEN
    look()

    def broadcast(sender, channel, payload, to_a=(), to_b=()):
        sender.tell("broadcast %s %s" % (b64(channel), b64(payload)))
        if sender is not a and to_a:
            equal(a.got(*to_a), payload, "what a got")
        if sender is not b and to_b:
            equal(b.got(*to_b), payload, "what b got")
        said = [sender.heard() for _ in range(1 + len(to_a if sender is a else to_b))]
        want = ["sent"] + ["got %s %s" % (n, b64(payload)) for n in (to_a if sender is a else to_b)]
        equal(sorted(said), sorted(want), "what the sender said")

    def rounds(word):
        for sender in (a, b):
            broadcast(sender, channels["chat"], word + " it's \\ \"json\"", ("chat", "second"), ("chat",))
            broadcast(sender, channels["odd"], word * 700, ("odd",))
            broadcast(sender, channels["long"], word, ("long",))
            broadcast(sender, "nobody", word)
        look()
    rounds("one")
    for _ in range(2):
        d.console_close()
        d.restart()
        rounds("restarted")
        d.console("RECONNECT")
        rounds("reconnected")
    # The thread that listens looks at what it is to do once a second; a subscription to another channel behind it tells
    # that it has done the UNLISTEN.
    for name in ("chat", "second"):
        a.do("unsubscribe %s %s" % (name, b64(channels["chat"])), "unsubscribed " + name)
    a.subscribe("after", "after")
    broadcast(b, channels["chat"], "not for a", (), ("chat",))
    broadcast(b, "after", "for a", ("after",))
    a.subscribe("chat", channels["chat"])
    broadcast(b, channels["chat"], "again", ("chat",), ("chat",))
    look()
    check(a.silent() and b.silent(), "nothing else was told")
    a.finish()
    b.finish()
    d.quiet()


if __name__ == "__main__":
    main()
