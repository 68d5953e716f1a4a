"""LISTEN by many, while everything else happens: each notification comes once and in order to each that listens, and to
nobody else, as on a direct connection, which listens beside them.

PGWITH_TEST_LISTENERS, PGWITH_TEST_NOTIFICATIONS and PGWITH_HANDOVERS say how much; `make check-listen` has 1000, 100000
and 20."""

import hashlib
import json
import mmap
import os
import random
import signal
import struct
import threading
import time

from pgwtest import Closed, Failure, ServerError, check, child, equal, main, note, sanitized, test, wait_until, wire
from pgwtest.ears import Bracket, Collector, Ear, Flock, Reference, Stream, identifier, parsed

LISTENERS = int(os.environ.get("PGWITH_TEST_LISTENERS") or (150 if sanitized() else 1000))
NOTIFICATIONS = int(os.environ.get("PGWITH_TEST_NOTIFICATIONS") or (1500 if sanitized() else 20000))
HANDOVERS = int(os.environ.get("PGWITH_HANDOVERS") or 3)
SIZE = 5
KILLS = 2 * HANDOVERS + 4
BEHIND_MAX = 64 * 1024   # bytes that the slowest client may be behind before the senders wait
QUIET_TURNS = 20         # of the flock, in which nothing comes: then it is over

CHANNELS = ("news", "jobs:insert", 'he said "go"', "Grüße", "n" * 63, "MixedCase", "a b", "0", "$1", "public.t")


def sets(rng):
    """The sets of channels that clients listen to: all, none, each alone, some of two and three."""
    chosen = {frozenset(CHANNELS), frozenset()}
    chosen.update(frozenset([c]) for c in CHANNELS)
    while len(chosen) < 22:
        chosen.add(frozenset(rng.sample(CHANNELS, rng.choice((2, 3)))))
    return sorted(chosen, key=lambda s: (len(s), sorted(s)))


# ---- what processes tell each other --------------------------------------------------------------------
class Shared:
    """Numbers that the test and the process of the listeners both see."""

    NAMES = ("count", "behind", "over", "times", "ended", "may_leave")

    def __init__(self):
        self._map = mmap.mmap(-1, mmap.PAGESIZE)

    def __getitem__(self, name):
        return struct.unpack_from("q", self._map, 8 * self.NAMES.index(name))[0]

    def __setitem__(self, name, value):
        struct.pack_into("q", self._map, 8 * self.NAMES.index(name), value)


# ---- listeners -----------------------------------------------------------------------------------------
def listen(rng, c, channels):
    """LISTEN to all of them, at once for everybody else; in one of the ways to say so."""
    texts = [rng.choice(("LISTEN %s", "listen %s", "LISTEN/* x */ %s", "\n LISTEN\t%s")) % identifier(ch)
             for ch in sorted(channels)]
    if len(texts) != 1 or rng.random() < 0.3:
        r = c.ask("; ".join(texts) + rng.choice(("", ";")))
    elif rng.random() < 0.5:
        r = c.ask(texts[0])
    else:
        r = c.ask_extended(texts[0])
    equal(r.tags, ["LISTEN"] * len(texts), "answers to LISTEN")


class Visitor(threading.Thread):
    """A client that listens for a while, and no more, again and again, and does other things meanwhile. `ends`: SQLSTATEs
    that may end it, or be the answer to its LISTEN; then it connects again."""

    def __init__(self, place, reference, seed, ends=()):
        super().__init__(daemon=True)
        self.place, self.reference, self.random, self.ends = place, reference, random.Random(seed), ends
        self.times = self.ended = self.number = 0
        self.problem = None
        self.over = threading.Event()

    def run(self):
        try:
            c, self.direct = self.place.connect(), self.place.direct()
            while not self.over.is_set() or self.times == 0:
                if self._visit(c):
                    self.times += 1
                else:
                    self.ended += 1
                    c.drop()
                    c = self.place.connect()
            c.close()
        except (Failure, ServerError, Closed, OSError) as e:
            self.problem = "a visitor, time %d: %s %s" % (self.times, type(e).__name__, e)

    def _visit(self, c):
        """False if the connection has ended, or had to."""
        stream = self.reference.streams[self.random.choice([s for s in self.reference.streams if s])]
        bracket = Bracket(self.reference, stream)
        c.heard = []
        try:
            self._listen_for_a_while(c, bracket, stream.channels)
        except Ended as e:
            check(e.sqlstate in self.ends, "a visitor was told %s" % e)
            self.reference.wait(stream, self._mark(stream.channels))
            bracket.judge(c.heard)
            return False
        bracket.judge(c.heard)
        return True

    def _mark(self, channels):
        self.number += 1
        mark = "%s%x %d" % (Reference.MARK, id(self), self.number)
        self.direct.sql("NOTIFY %s, '%s'" % (identifier(self.random.choice(sorted(channels))), mark))
        return mark

    def _listen_for_a_while(self, c, bracket, channels):
        rng = self.random
        bracket.marks.append(self._mark(channels))
        listen(rng, c, channels)
        bracket.marks.append(self._mark(channels))
        c.hear(bracket.marks[1])
        for _ in range(rng.randrange(4)):
            rng.choice((self._query, self._transaction, self._idle))(c, channels)
        bracket.marks.append(self._mark(channels))
        if rng.random() < 0.5:
            r = c.ask(rng.choice(("UNLISTEN *", "unlisten  *;")))
        else:
            r = c.ask("; ".join("UNLISTEN " + identifier(ch) for ch in sorted(channels)))
        equal(set(r.tags), {"UNLISTEN"}, "answers to UNLISTEN")
        bracket.marks.append(self._mark(channels))
        equal(c.value("SELECT 'still here'"), "still here", "an answer")

    def _query(self, c, channels):
        n = self.random.randrange(1000)
        r = self.random.choice((c.ask, c.ask_extended))("SELECT %d, repeat('x', %d)" % (n, n * 10))
        equal(r.rows, [(str(n), "x" * (n * 10))], "an answer")

    def _transaction(self, c, channels):
        """PostgreSQL tells nothing in a transaction."""
        c.sql("BEGIN")
        c.sql("SELECT 1")  # with lazy_begin there is a transaction only now
        heard = len(c.heard)
        mark = self._mark(channels)
        c.sql("SELECT pg_sleep(0.01)")
        equal(len(c.heard), heard, "notifications inside a transaction")
        c.sql(self.random.choice(("COMMIT", "ROLLBACK")))
        c.hear(mark)

    def _idle(self, c, channels):
        c.hear(self._mark(channels))


class Ended(ServerError):
    """An error that a client is told."""


class Client(Collector):
    """It raises each error."""

    def send(self, data):
        try:
            super().send(data)
        except (BrokenPipeError, ConnectionResetError):
            self.until_closed()  # the error is there
            raise

    def take(self, kind, body, r):
        super().take(kind, body, r)
        if kind == "E":
            raise Ended(body)


class Place:
    """Where clients connect."""

    def __init__(self, pooled, direct, pool):
        self._pooled, self._direct, self.pool = pooled, direct, pool

    def connect(self, **params):
        host, port, database = self._pooled
        return Client(host, port, database, timeout=120, **params)

    def direct(self):
        host, port, database = self._direct
        return Collector(host, port, database, timeout=120)

    def in_pool(self, pool):
        return Place(self._pooled[:2] + (pool,), self._direct, pool)


def listeners(side, shared, place, others, seed, how_many, victims, visitors, ends=()):
    """The process of them all. It tells the sessions that an administrator is to kill; then, when all have got all, what
    came from each sender. `ends`: what visitors may be told."""
    rng = random.Random(seed)
    chosen = sets(rng)
    reference = Reference(place.direct(), chosen)
    flock = Flock(reference)
    kills = []
    for n in range(how_many):
        # few listen to all, and few to nothing
        stream = reference.streams[chosen[n] if n < len(chosen) else rng.choice(chosen[1:-1])]
        client = rng.choice([place] * 9 + others).connect()
        if n < victims:
            client = place.connect()
            kills.append(client.session if place.pool else None)
        if stream.channels:
            listen(rng, client, stream.channels)
        elif rng.random() < 0.5:
            listen(rng, client, CHANNELS[:2])
            client.sql("UNLISTEN *")
        flock.add(Ear(client, stream, "57P01" if n < victims else None))
    guests = [Visitor(place, reference, rng.random(), ends) for _ in range(visitors)]
    side.say(json.dumps(kills))
    for guest in guests:
        guest.start()
    dropped, leaving = 0, how_many // 10
    while not shared["over"]:
        flock.turn()
        shared["count"], shared["behind"] = reference.count, flock.behind()
        shared["times"], shared["ended"] = sum(g.times for g in guests), sum(g.ended for g in guests)
        check_guests(guests)
        # clients that vanish, evenly over the time
        while leaving and shared["may_leave"] and reference.count * leaving > NOTIFICATIONS * dropped and dropped < leaving:
            flock.leave(rng.choice([e for e in flock.ears if not e.ends]))
            dropped += 1
    for guest in guests:
        guest.over.set()
    while any(guest.is_alive() for guest in guests):
        flock.turn()
        shared["count"] = reference.count
    check_guests(guests)
    quiet, seen = 0, None
    while quiet < QUIET_TURNS:
        flock.turn()
        now = reference.count, flock.behind()
        quiet, seen = (quiet + 1 if now == seen else 0), now
    for ear in flock.ears:
        ear.finish()
    for ear in flock.ears:
        ear.client.close()
    sums = {k: [len(v), hashlib.sha256("\n".join(v).encode()).hexdigest()] for k, v in reference.senders.items()}
    side.say(json.dumps({"senders": sums, "count": reference.count, "times": sum(g.times for g in guests),
                         "ears": len(flock.ears), "dropped": dropped,
                         "deliveries": sum(len(e.stream.starts) for e in flock.ears)}))


def check_guests(guests):
    for guest in guests:
        check(not guest.problem, guest.problem)


def doomed(side, place, seed, how_many):
    """Listeners that are killed with their process."""
    rng = random.Random(seed)
    clients = [place.connect() for _ in range(how_many)]
    for c in clients:
        listen(rng, c, rng.sample(CHANNELS, 2))
    side.say("in")
    side.stay()


# ---- senders -------------------------------------------------------------------------------------------
class Sender(threading.Thread):
    """Sends notifications in transactions, some of which are rolled back."""

    def __init__(self, name, client, seed, gate):
        super().__init__(daemon=True)
        self.name_, self.client, self.random, self.gate = name, client, random.Random(seed), gate
        self.sent = []
        self.number = 0
        self.problem = None

    def run(self):
        try:
            while True:
                n = self.gate.take(self.random.choice((1, 1, 2, 5, 20)))
                if n == 0:
                    return
                self._transaction(n)
        except (Failure, ServerError, Closed, OSError) as e:
            self.problem = "sender %s: %s %s" % (self.name_, type(e).__name__, e)
            self.gate.stop()

    def _next(self):
        self.number += 1
        size = self.random.choice((0, 5, 30, 200)) if self.random.random() > 0.005 else 7000
        return "%d %s" % (self.number, "p" * size)

    def _text(self, rest):
        channel, payload = self.random.choice(CHANNELS), "%s %s" % (self.name_, rest)
        if self.random.random() < 0.5:
            return "NOTIFY %s, '%s'" % (identifier(channel), payload)
        return "SELECT pg_notify('%s', '%s')" % (channel, payload)

    def _transaction(self, n):
        c, rng = self.client, self.random
        rests = [self._next() for _ in range(n)]
        texts = [self._text(rest) for rest in rests]
        way = rng.random()
        if way < 0.5:
            c.sql("; ".join(texts))
        elif way < 0.6:
            for text in texts:
                equal(c.ask_extended(text).errors, [], "errors of NOTIFY")
        else:
            c.sql("BEGIN")
            c.sql("; ".join(texts[:n // 2] + ["SAVEPOINT a", self._text("rolled back"), "ROLLBACK TO a"]))
            c.sql("; ".join(texts[n // 2:]))
            c.sql("COMMIT")
        self.sent += rests
        if rng.random() < 0.1:
            c.sql("BEGIN; %s; ROLLBACK" % self._text("rolled back, too"))


class Gate:
    """How many may be sent so far."""

    def __init__(self, shared):
        self._condition = threading.Condition()
        self._shared = shared
        self.sent = self.allowed = 0
        self._over = False

    def take(self, n):
        """At most n that may be sent now; 0: no more."""
        with self._condition:
            while not self._over and (self.sent >= self.allowed or self._shared["behind"] > BEHIND_MAX):
                self._condition.wait(0.01)
            n = 0 if self._over else min(n, self.allowed - self.sent)
            self.sent += n
            return n

    def allow(self, n):
        with self._condition:
            self.allowed = n
            self._condition.notify_all()

    def stop(self):
        with self._condition:
            self._over = True
            self._condition.notify_all()


class Bench(threading.Thread):
    """pgbench, again and again."""

    def __init__(self, t, daemon):
        super().__init__(daemon=True)
        child.run_ok([t.cluster.program("pgbench"), "-i", "-q", "-s", "1", "-h", t.cluster.sockets, "-p",
                      str(t.cluster.port), "-U", "postgres", t.database])
        self.argv = [t.cluster.program("pgbench"), "-n", "-t", "40", "-c", "8", "-h", daemon.sockets, "-p",
                     str(daemon.port), "-U", "postgres", "db"]
        self.rounds = 0
        self.problem = None
        self.over = threading.Event()

    def run(self):
        while not self.over.is_set():
            try:
                child.run_ok(self.argv, timeout=300)
            except Failure as e:
                self.problem = str(e)
                return
            self.rounds += 1


# ---- the test ------------------------------------------------------------------------------------------
def end_senders(senders, gate):
    gate.stop()
    for s in senders:
        s.join()
    for s in senders:
        check(not s.problem, s.problem)


def reconcile(senders, said):
    """What the direct connection has got is what was committed."""
    said = json.loads(said)
    want = {s.name_: [len(s.sent), hashlib.sha256("\n".join(s.sent).encode()).hexdigest()] for s in senders if s.sent}
    equal(said["senders"], want, "notifications of each sender, in order")
    check(said["times"] > 0, "visitors have listened")
    return said


def start_senders(t, gate, names):
    senders = [Sender(name, client, t.random.random(), gate) for name, client in names]
    for s in senders:
        s.start()
    return senders


def lives(process):
    check(process.alive(), "the process of the listeners has ended, see %s" % process.log)
    return True


def progress(gate, shared, n, senders, process):
    """Lets them send up to n, and waits until the direct connection has got most of that."""
    gate.allow(n)

    def there():
        for s in senders:
            check(not s.problem, s.problem)
        lives(process)
        return gate.sent >= n * 9 // 10 and shared["count"] >= n * 9 // 10
    wait_until(there, 120, "%d notifications have come (sent %d, come %d, the slowest is %d bytes behind)"
               % (n, gate.sent, shared["count"], shared["behind"]))


@test(timeout=300)
def judged(t):
    """the judge finds what is lost, doubled, swapped, of another channel, invented, too early and too late"""
    def raw(channel, payload):
        return wire.message("A", struct.pack("!i", 7) + wire.cstr(channel) + wire.cstr(payload))

    class Socket:
        def __init__(self):
            self.parts = []

        def setblocking(self, _):
            pass

        def recv(self, _):
            if not self.parts:
                raise BlockingIOError
            return self.parts.pop(0)

    class Silent:
        def __init__(self):
            self.sock = Socket()

    good = [raw("a", "x %d" % n) for n in range(20)]
    error = wire.message("E", b"VFATAL\0C57P01\0Mkilled\0\0")

    def verdict(messages, ends=None, cut=None, closed=False, late=False):
        """The Failure's text of what came so, in pieces of `cut` bytes."""
        stream = Stream(["a"])
        ear = Ear(Silent(), stream, ends)
        data = b"".join(messages)
        cut = cut or len(data)
        parts = [data[i:i + cut] for i in range(0, len(data), cut)] + ([b""] if closed else [])
        try:
            for n, part in enumerate(parts):
                if not late or n == len(parts) // 2:
                    for m in good[len(stream.starts):]:
                        stream.add(m)
                ear.client.sock.parts.append(part)
                ear.read()
            check(ear.over == closed and not ear.waiting and (closed or ear.behind == 0), "missing")
            if closed:
                ear.finish()
        except Failure as e:
            return str(e)
        return None

    for cut in (None, 1, 2, 7, 30, 50):
        for late in (False, True):
            how = {"cut": cut, "late": late}
            equal(verdict(good, **how), None, "all")
            note_ = wire.message("S", b"a\0b\0")
            equal(verdict(good[:3] + [note_] + good[3:] + [note_], **how), None, "all, and something else")
            equal(verdict(good[:9] + [error], "57P01", closed=True, **how), None, "killed in the middle")
            for what, messages in (("lost", good[:5] + good[6:]), ("doubled", good[:6] + good[5:]),
                                   ("lost", good[:5] + [good[6], good[5]] + good[7:]),
                                   ("does not listen", good[:5] + [raw("b", "x")] + good[5:]),
                                   ("no direct", good[:5] + [raw("a", "invented")] + good[5:]),
                                   ("missing", good[:-1])):
                said = verdict(messages, **how)
                check(said and what in said, "%s, in pieces of %s: %r" % (what, cut, said))
            check(verdict(good[:9] + [error[:-3]], "57P01", closed=True, **how), "an end without an error")
            check(verdict(good[:9], closed=True, **how), "an end")

    class Known:
        changed = threading.Condition()

        @staticmethod
        def wait(stream, mark):
            return stream.starts[mark]

    stream = Stream(["a"])
    for m in good:
        stream.add(m)
    for (low, high), want in (((3, 15), None), ((2, 15), "before LISTEN"), ((5, 15), "behind LISTEN is lost"),
                              ((3, 12), "before UNLISTEN is lost"), ((3, 13), None), ((3, 16), "sent behind UNLISTEN"),
                              ((4, 14), None)):
        b = Bracket(Known, stream)
        b.marks = [2, 4, 13, 16]
        try:
            b.judge(good[low:high + 1])
            said = None
        except Failure as e:
            said = str(e)
        check(said == want or (want and said and want in said), "%d to %d: %r" % (low, high, said))


@test(timeout=120)
def directly(t):
    """the same listeners, visitors and senders on direct connections: what they judge by is what PostgreSQL does"""
    shared = Shared()
    where = (t.cluster.sockets, t.cluster.port, t.database)
    place = Place(where, where, None)
    p = t.process(listeners, shared, place, [], t.random.random(), 40, 0, 4)
    p.heard(60)
    gate = Gate(shared)
    senders = start_senders(t, gate, [("s%d" % n, t.direct()) for n in range(4)])
    for part in range(1, 5):
        progress(gate, shared, 500 * part, senders, p)
    end_senders(senders, gate)
    shared["over"] = 1
    said = reconcile(senders, p.heard(120))
    p.finish()
    note("%(count)d notifications, %(deliveries)d deliveries, visitors %(times)d times" % said)


def stop_and_continue(pid, shared, gate):
    """Stops a process until others have gone on without it, or wait for it."""
    check(pid > 0, "a process, and not all of this test's")
    os.kill(pid, signal.SIGSTOP)
    try:
        before = shared["count"]
        wait_until(lambda: shared["count"] >= before + 20 or shared["behind"] > BEHIND_MAX or gate.sent >= gate.allowed, 60,
                   "others go on")
    finally:
        os.kill(pid, signal.SIGCONT)


def keepers(d, pool="db"):
    return [int(s["remote_pid"]) for s in d.servers(pool) if s["state"] == "listening"]


def servers_of(t):
    """Backends of pgwithd, of both pools together; there is a keeper for each."""
    return len([a for a in t.activity() if not a["application_name"].startswith("pgwtest-client")])


@test(timeout=300)
def load(t):
    """notifications to a thousand clients on five servers, with pgbench, kills, reloads, RECONNECT and handovers"""
    shared = Shared()
    pools = {"db": {"conninfo": t.conninfo(), "size": SIZE, "wait_timeout": "120s"},
             "same": {"conninfo": t.conninfo(), "size": 2, "wait_timeout": "120s"}}
    d = t.supervised({"log_level": "info"}, pools)
    bench = Bench(t, d)
    place = Place((d.sockets, d.port, "db"), (t.cluster.sockets, t.cluster.port, t.database), "db")
    began = time.monotonic()
    p = t.process(listeners, shared, place, [place.in_pool("same")], t.random.random(), LISTENERS, KILLS, 6)
    kills = json.loads(p.heard(120))
    note("%d clients listen after %.1f s" % (LISTENERS, time.monotonic() - began))
    clients = d.clients() + d.clients("same")
    check(len(clients) >= LISTENERS, "%d sessions" % len(clients))
    shared["may_leave"] = 1
    bench.start()
    gate = Gate(shared)
    senders = start_senders(t, gate, [("direct%d" % n, t.direct()) for n in range(3)] +
                            [("pooled%d" % n, t.client(d)) for n in range(3)] +
                            [("same%d" % n, t.client(d, "same")) for n in range(2)])
    events = (["handover"] * HANDOVERS + ["RELOAD"] * (1 + HANDOVERS // 4) + ["RECONNECT"] * (2 + HANDOVERS // 4) +
              ["kill"] * KILLS + ["process"] * (1 + HANDOVERS // 4))
    if t.cluster.ours:
        events += ["stop keeper", "stop server", "stop pgwithd"] * (1 + HANDOVERS // 4)
    t.random.shuffle(events)
    most = 0
    for n, event in enumerate(events):
        progress(gate, shared, NOTIFICATIONS * (n + 1) // (len(events) + 1), senders, p)
        # It happens while they go on with the next part.
        gate.allow(NOTIFICATIONS * (n + 2) // (len(events) + 1))
        if event == "handover":
            d.console_close()
            d.restart()
        elif event == "RELOAD":
            d.reload(pools=dict(pools, db=dict(pools["db"], max_waiting=1000 + n)))
        elif event == "RECONNECT":
            d.console("RECONNECT")
        elif event == "kill":
            d.console("KILL SESSION %d" % kills.pop())
        elif event == "stop keeper":
            stop_and_continue(wait_until(lambda: keepers(d), 20, "a connection listens")[0], shared, gate)
        elif event == "stop server":
            # 0: it is being opened
            servers = wait_until(lambda: {int(s["remote_pid"]) for s in d.servers()} - {0, *keepers(d)}, 20, "a server")
            stop_and_continue(t.random.choice(sorted(servers)), shared, gate)
        elif event == "stop pgwithd":
            stop_and_continue(d.pid, shared, gate)
        else:
            victim = t.process(doomed, place, t.random.random(), 20)
            victim.heard(60)
            gate.allow(NOTIFICATIONS * (n + 2) // (len(events) + 1) + 1)
            victim.kill()
        most = max(most, servers_of(t))
        check(not bench.problem, bench.problem)
    progress(gate, shared, NOTIFICATIONS, senders, p)
    end_senders(senders, gate)
    bench.over.set()
    bench.join()
    check(not bench.problem, bench.problem)
    check(bench.rounds > 0, "pgbench has run")
    idle = [c for c in d.clients() + d.clients("same") if c["state"] != "active"]
    check(len(idle) >= LISTENERS * 8 // 10, "%d sessions idle" % len(idle))
    shared["over"] = 1
    said = reconcile(senders, p.heard(300))
    p.finish()
    check(not d.log_has("not taken over"), "everything was taken over")
    # With RECONNECT there are, for a moment, the old ones and the new.
    check(most <= 2 * (SIZE + 2 + 2), "%d servers at once" % most)
    d.quiet()
    took = time.monotonic() - began
    note("%d notifications, %d deliveries to %d clients, %d have vanished, visitors %d times; %d handovers, pgbench %d "
         "times; %.1f s" % (said["count"], said["deliveries"], said["ears"], said["dropped"], said["times"], HANDOVERS,
                            bench.rounds, took))


def end_keeper(t, d, stopped):
    """Ends a connection that listens; while it is stopped, if that is asked for."""
    pid = wait_until(lambda: keepers(d), 20, "a connection listens")[0]
    try:
        if stopped:
            os.kill(pid, signal.SIGSTOP)
        t.sql("SELECT pg_terminate_backend(%d)" % pid)
        if stopped:
            os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        pass    # it has ended already


@test(timeout=120)
def keeper_lost(t):
    """the connection that listens is ended again and again, with reloads, RECONNECT and handovers between: who listens is
    told so, and until then has got all, in order"""
    t.cluster.for_us_alone("ends a server")
    shared = Shared()
    d = t.supervised({"log_level": "info"}, size=SIZE, wait_timeout="60s")
    place = Place((d.sockets, d.port, "db"), (t.cluster.sockets, t.cluster.port, t.database), "db")
    # those that come and go only; 08006: their LISTEN has not been done
    p = t.process(listeners, shared, place, [], t.random.random(), 0, 0, 10, ("57P01", "08006"))
    p.heard(60)
    gate = Gate(shared)
    senders = start_senders(t, gate, [("direct", t.direct()), ("pooled", t.client(d))])
    for n in range(4 * (HANDOVERS + 2)):
        progress(gate, shared, 60 * (n + 1), senders, p)
        gate.allow(60 * (n + 2))
        seen = shared["ended"]
        event = ("kill", "kill moving", "handover", "kill stopped")[n % 4]
        if event == "handover":
            d.console_close()
            d.restart()
            continue
        if event == "kill moving":
            wait_until(lambda: keepers(d), 20, "a connection listens")
            d.console("RECONNECT")
        end_keeper(t, d, event == "kill stopped")
        if event == "kill moving":  # then the next one may listen already
            continue
        # Visitors come and go: at that moment perhaps none listened.
        for _ in range(20):
            try:
                wait_until(lambda seen=seen: lives(p) and shared["ended"] > seen, 1, "visitors are told")
                break
            except Failure:
                end_keeper(t, d, event == "kill stopped")
        wait_until(lambda seen=seen: lives(p) and shared["ended"] > seen, 10, "visitors are told")
    times = shared["times"]
    wait_until(lambda: lives(p) and shared["times"] >= times + 10, 60, "visitors go on")
    end_senders(senders, gate)
    shared["over"] = 1
    said = reconcile(senders, p.heard(60))
    p.finish()
    d.quiet()
    note("%d notifications; visitors listened %d times, and were ended %d times" % (said["count"], said["times"],
                                                                                 shared["ended"]))


if __name__ == "__main__":
    main()
