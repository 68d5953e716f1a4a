"""Random programs of five sessions with scopes on two pools of two and three servers, against a model of
the stack, the locks and the waiting (pgwtest/scopes.py). One step is a request of one session, the end
of one client, a cancel request, or the passing of a time limit. After each of them:

- every session that the model lets go on has its answer, with the SQLSTATE that the model says, and
  nobody else has one: a deadlock is broken by its last wait, and no wait is called one that is none;
- the log of every session has the grants and releases that the model has, in its order, and what was
  granted last is released first, whatever the model says;
- as many servers are leased, and as many sessions wait for one, as in the model.

After each round the clients go, everything is free, and the journal has exactly the rows that were
acknowledged, those of deferred statements among them, in the order in which they were to be run.

A round that fails is cut down to a short program, which is printed. PGWITH_SCOPE_STEPS is the number of
steps, PGWITH_SCOPE_ROUND the first round: with --seed it repeats a round exactly."""

import os
import random
import re
import select
import time

from pgwtest import Failure, check, equal, main, note, sanitized, slow_factor, test, wait_until, wire
from pgwtest.scopes import Item, Model, Racy, Statement

STEPS = int(os.environ.get("PGWITH_SCOPE_STEPS") or (1000 if sanitized() else 3000))
FIRST = int(os.environ.get("PGWITH_SCOPE_ROUND") or 0)
ROUND = 100             # steps
SIZES = {"p": 2, "q": 3}
SESSIONS = 5
SHORT = 250 * slow_factor()     # ms of a deadline; a short WAIT is a fifth of it
SHRINK_S = float(os.environ.get("PGWITH_SCOPE_SHRINK") or 120) * slow_factor()

SCHEMA = """
CREATE TABLE journal (seq bigserial, session int, id int);
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (id int REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
"""


class Late(Exception):
    """This machine was too slow for a time limit of the test's own: nothing is known."""


# ---- programs ----

class Step:
    """what: run, cancel, kill, abort, rush (run, and abort at once), deadline (run a single ENTER with a
    deadline; then `follow`, until the deadline has passed)."""

    def __init__(self, what, session, statements=(), extended=False, pool=None, follow=None):
        self.what, self.session, self.statements = what, session, list(statements)
        self.extended, self.pool, self.follow = extended, pool, follow or []

    @property
    def sql(self):
        return "; ".join(st.sql for st in self.statements)

    def __str__(self):
        return "%d: %-8s %s%s%s%s" % (
            self.session, self.what, "(extended) " if self.extended else "", self.sql,
            " -- then " + "; ".join(st.sql for st in self.follow) if self.follow else "",
            "-- next one on pool " + self.pool if self.pool else "")


class Generator:
    def __init__(self, rng):
        self.rng = rng
        self.ids = 0

    def chance(self, p):
        return self.rng.random() < p

    def id(self):
        self.ids += 1
        return self.ids

    # -- statements
    def plain(self, s):
        """An ordinary statement for session s."""
        kind = self.rng.choices(("insert", "violate", "fail", "select"), (20, 2, 2, 2))[0]
        if kind == "insert":
            n = self.id()
            return Statement(kind, "INSERT INTO journal (session, id) VALUES (%d, %d)" % (s, n), id=n)
        if kind == "violate":
            return Statement(kind, "INSERT INTO child VALUES (1)")
        if kind == "select":
            return Statement(kind, "SELECT 1")
        return self.rng.choice((Statement(kind, "SELECT 1/0", state="22012"),
                                Statement(kind, "SELECT nonsense", state="42703"),
                                Statement(kind, "nonsense", state="42601")))

    def sleep(self):
        return Statement("sleep", "SELECT pg_sleep(600) /* k%d */" % self.id())

    def control(self):
        return self.rng.choice((Statement("begin", "BEGIN"), Statement("begin", "BEGIN"),
                                Statement("commit", "COMMIT"), Statement("commit", "COMMIT"),
                                Statement("commit", "END"), Statement("rollback", "ROLLBACK"),
                                Statement("rollback", "ABORT")))

    def defer(self, s):
        inner = Statement("commit", "COMMIT") if self.chance(0.03) else self.plain(s)
        when = self.rng.choice(("", "", "ON COMMIT", "ON ROLLBACK"))
        return Statement("defer", " ".join(filter(None, ("DEFER", when, "'%s'" % inner.sql))),
                         when=when, inner=inner)

    def item(self, first):
        rng = self.rng
        kind = rng.choices(("transaction", "lock", "semaphore", "advisory"),
                           (10, 8, 4, 1 if first else 0))[0]
        name = rng.choice("abcdefg")
        if kind == "transaction":
            it = Item(kind, name, pool=rng.choice((None, None, "p", "q")), new=self.chance(0.2),
                      access=rng.choices((None, "READ ONLY", "READ WRITE"), (8, 1, 1))[0],
                      isolation=self.chance(0.08))
            if self.chance(0.02):
                it.pool = "nowhere"
        elif kind == "lock":
            it = Item(kind, rng.choice("xyz"), shared=self.chance(0.4))
        elif kind == "semaphore":
            it = Item(kind, rng.choice("st"), limit=rng.choices((1, 2, 3), (1, 10, 1))[0])
        else:
            it = Item(kind, rng.choice("uv"), shared=self.chance(0.4), wait="short",
                      pool=rng.choice("pq"))
        if kind != "transaction" and self.chance(0.5):
            it.name = rng.choice("hijklmn")
        it.suppress = self.chance(0.12)
        if it.wait is None:
            it.wait = rng.choices((None, "0", "long", "short" if first else None), (14, 1, 2, 1))[0]
        return it

    def enter(self, alone, deadline=False):
        """`alone`: nothing else is in the request, so that a short WAIT may be in it."""
        if self.chance(0.06) and not deadline:
            items = [Item("transaction", None)]
        else:
            items = [self.item(alone and not deadline)]
            while self.chance(0.3) and len(items) < 4:
                items.append(self.item(False))
            if deadline:
                items[0].deadline = "short"
        return Statement("enter", ("ENTER " + ", ".join(i.sql(SHORT) for i in items)).strip(),
                         items=items)

    def exit(self, s):
        roll = self.rng.random()
        back = self.chance(0.25)
        word = self.rng.choice(("EXIT", "LEAVE"))
        name = None
        if roll < 0.15:
            return Statement("exit", word + " ALL" + " ROLLBACK" * back, all=True, rollback=back)
        if roll < 0.45:
            inner = s.innermost()
            name = inner.name if inner and inner.name and self.chance(0.7) else \
                self.rng.choice("abcdefgxyz")
        return Statement("exit", word + (" " + name if name else "") + " ROLLBACK" * back,
                         name=name, rollback=back)

    def use(self, s):
        names = [f.name for f in s.frames if f.name] + ["a"]
        name = self.rng.choice(names)
        return Statement("use", "USE " + name, name=name)

    def one(self, s, alone):
        depth = len(s.frames)
        pick = self.rng.choices(
            ("enter", "plain", "exit", "defer", "use", "show", "control"),
            (40 if depth < 4 else 12, 18, 2 + 6 * depth, 10 if depth else 2, 4 if depth else 1, 3,
             5 if alone else 4 if s.current() else 0))[0]
        if pick == "enter":
            return self.enter(alone)
        if pick == "plain":
            return self.plain(s.number)
        if pick == "exit":
            return self.exit(s)
        if pick == "defer":
            return self.defer(s.number)
        if pick == "use":
            return self.use(s)
        return Statement("show", "SHOW SCOPES") if pick == "show" else self.control()

    def text(self, s):
        """Several statements in one; no two ordinary ones side by side, which would be one
        transaction outside of scopes."""
        if self.chance(0.15):
            # A commit that is refused, and what that does to the scope around.
            n = s.number
            return [self.enter(False), Statement("violate", "INSERT INTO child VALUES (1)"),
                    self.exit(s), self.plain(n), self.exit(s)]
        out = [self.one(s, False)]
        for _ in range(self.rng.randrange(1, 5)):
            st = self.one(s, False)
            if st.ours or out[-1].ours:
                out.append(st)
        return out

    # -- steps
    def step(self, model):
        rng = self.rng
        while True:
            s = rng.choice(model.sessions)
            if not s.busy or self.chance(0.06):
                break
            if all(x.busy for x in model.sessions):
                break
        n = s.number
        if s.busy:
            what = rng.choice(("cancel", "cancel", "kill", "abort"))
            return Step(what, n, pool=None if what == "cancel" else rng.choice("pq"))
        pick = rng.choices(("one", "text", "sleep", "cancel", "kill", "abort", "rush", "deadline"),
                           (70, 14, 2, 1, 1.5, 1.5, 2, 1.2))[0]
        if pick == "one":
            st = self.one(s, True)
            # What is violated is found at the Sync, behind the tag.
            return Step("run", n, [st], extended=st.kind != "violate" and self.chance(0.3))
        if pick == "text":
            return Step("run", n, self.text(s))
        if pick == "sleep":
            return Step("run", n, [self.sleep()])
        if pick == "rush":
            st = self.exit(s) if self.chance(0.5) else \
                self.enter(False) if self.chance(0.5) else self.plain(n)
            return Step("rush", n, [st], pool=rng.choice("pq"))
        if pick == "deadline":
            follow = rng.choice(([], [self.sleep()], [self.enter(False)],
                                 [self.defer(n), self.plain(n), self.defer(n)],
                                 [self.defer(n), self.enter(False)]))
            return Step("deadline", n, [self.enter(True, deadline=True)], follow=follow)
        return Step(pick, n, pool=None if pick == "cancel" else rng.choice("pq"))


# ---- the daemon ----

class Client(wire.Client):
    """One that reads without waiting."""

    def __init__(self, *args, **params):
        super().__init__(*args, **params)
        self.got = wire.Result()
        self.results = []

    def poll(self):
        self.sock.settimeout(0)
        try:
            while True:
                data = self.sock.recv(262144)
                if not data:
                    raise wire.Closed("the connection of a client was closed")
                self.buffer += data
        except BlockingIOError:
            self.sock.settimeout(60)
        while len(self.buffer) - self.at >= 5:
            length = int.from_bytes(self.buffer[self.at + 1:self.at + 5], "big")
            if len(self.buffer) - self.at < length + 1:
                break
            kind, body = self.read()
            self.take(kind, body, self.got)
            if kind == "Z":
                self.results.append(self.got)
                self.got = wire.Result()
        del self.buffer[:self.at]
        self.at = 0


class Log:
    """What the daemon says of scopes, by session; a stack of its own for each."""

    LINE = re.compile(r"session (\d+): scope (enter|granted|released|expired) name=(\S+)"
                      r"(?: .*outcome=\"([a-z ]+)\")?")

    def __init__(self, path):
        self.file = open(path, "rb")
        self.rest = b""
        self.events = {}        # by id of the session: (word, name)
        self.outcomes = {}
        self.asked = {}
        self.open = {}

    def read(self):
        data = self.rest + self.file.read()
        lines = data.split(b"\n")
        self.rest = lines.pop()
        for line in lines:
            m = self.LINE.search(line.decode(errors="replace"))
            if m:
                self.note(int(m[1]), m[2], m[3], m[4])

    def note(self, session, word, name, outcome):
        self.events.setdefault(session, []).append((word, name))
        stack = self.open.setdefault(session, [])
        if word == "enter":
            self.asked[session] = name
        elif word == "granted":
            equal(name, self.asked.pop(session, None), "session %d: what is granted" % session)
            stack.append(name)
        elif word == "released":
            self.outcomes.setdefault(session, []).append(outcome)
            # What was not granted, or the innermost one.
            if self.asked.pop(session, None) != name:
                check(stack and stack[-1] == name, "session %d: scope %s is released while %s are open"
                      % (session, name, stack))
                stack.pop()


class Lab:
    def __init__(self, t):
        self.t = t
        self.direct = t.cluster.connect(t.database)
        pools = {name: {"conninfo": t.conninfo(), "size": size, "min_size": size,
                        "wait_timeout": "500s", "cleanup_timeout": "60s"} for name, size in SIZES.items()}
        self.daemon = t.daemon(pools=pools, options={"log_level": "info"})
        wait_until(lambda: all(self.daemon.pool(n)["sv_idle"] == s for n, s in SIZES.items()), 20,
                   "all servers are open")
        self.pids = {n: self.daemon.server_pids(n) for n in SIZES}
        self.log = Log(self.daemon.log)

    def connect(self, pool):
        d = self.daemon
        return Client(d.sockets, d.port, pool, timeout=60)

    def stop(self):
        """The harsh end; nothing is known of how it goes."""
        self.daemon.check_log()
        self.daemon.expect_status = -9
        self.daemon.destroy()
        wait_until(lambda: not self.direct.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"), 10,
            "the servers are gone")
        self.direct.close()


class Round:
    """Runs steps and compares."""

    def __init__(self, lab, patience):
        self.lab = lab
        self.patience = patience * slow_factor()
        rng = random.Random(0)
        pools = [rng.choice("pq") for _ in range(SESSIONS)]
        self.model = Model(SIZES, pools)
        lab.direct.sql("TRUNCATE journal RESTART IDENTITY")
        self.clients = [lab.connect(p) for p in pools]
        self.counts = {}

    # -- waiting for what must be
    def until(self, done, what):
        """done() is asked again whenever something may have come."""
        end = time.monotonic() + self.patience
        pause = 0
        while not done():
            check(time.monotonic() < end, "never: %s" % (what() if callable(what) else what))
            select.select([c.sock for c in self.clients if c.sock.fileno() >= 0], [], [], pause)
            pause = min(pause + 0.0005, 0.01)

    def poll(self):
        for c in self.clients:
            c.poll()
        self.lab.log.read()

    def settled(self):
        self.poll()
        good = True
        for s, c in zip(self.model.sessions, self.clients):
            want = self.model.answers.get(s.number, [])
            if len(c.results) > len(want):
                raise Failure("session %d has an answer that the model has not: %s"
                              % (s.number, said(c.results[-1])))
            for got, w in zip(c.results, want):
                compare(s.number, got, w)
            good &= len(c.results) == len(want)
            events = self.lab.log.events.get(c.session, [])
            if events != s.log[:len(events)]:
                raise Failure("the log of session %d (its id is %d): %s\nthe model's: %s"
                              % (s.number, c.session, events, s.log))
            good &= len(events) == len(s.log)
        return good

    def missing(self):
        out = []
        for s, c in zip(self.model.sessions, self.clients):
            want = self.model.answers.get(s.number, [])[len(c.results):]
            out += ["answer of session %d: %s" % (s.number, w) for w in want]
            events = self.lab.log.events.get(c.session, [])
            out += ["event of session %d: %s %s" % ((s.number,) + e) for e in s.log[len(events):]]
        return ", ".join(out) or "the servers: " + ", ".join(self.servers())

    def servers(self):
        """What is not as in the model."""
        rows = {r["database"]: r for r in self.lab.daemon.show("POOLS")}
        out = []
        for name, pool in self.model.pools.items():
            row = rows[name]
            got = tuple(int(row[k]) for k in ("sv_idle", "sv_active", "cl_waiting"))
            want = (pool.size - len(pool.leases), len(pool.leases), len(pool.queue))
            if got != want:
                out.append("pool %s has %d idle, %d leased, %d waiting; the model %d, %d, %d"
                           % ((name,) + got + want))
        return out

    def settle(self):
        self.until(self.settled, self.missing)
        self.until(lambda: not self.servers(), lambda: ", ".join(self.servers()))
        check(self.settled(), "nothing more happens")
        for n, answers in self.model.answers.items():
            for a in answers:
                self.counts[a.error] = self.counts.get(a.error, 0) + 1
            self.clients[n].results = []
        self.model.answers = {}

    # -- steps
    def send(self, step, statements):
        sql = "; ".join(st.sql for st in statements)
        extended = step.extended and len(statements) == 1
        self.clients[step.session].send(wire.extended(sql) + wire.sync() if extended
                                        else wire.query(sql))

    def runs(self, st):
        """Waits until the statement is running."""
        self.until(lambda: self.lab.direct.sql(
            "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid() AND"
            " query LIKE '%%%s'" % st.sql[-8:]), st.sql + " runs")

    def applies(self, step):
        """The model behind the step, or None: it cannot be done now, or nobody knows what comes of
        it."""
        m = self.model.copy()
        s = m.sessions[step.session]
        try:
            if step.what == "cancel":
                m.cancel(step.session)
            elif step.what in ("kill", "abort"):
                m.kill(step.session, step.pool)
            elif s.busy:
                return None
            else:
                m.run(step.session, step.statements)
                if step.what == "rush":
                    # Others must not go on with what may or may not happen.
                    if m.answers.keys() - {step.session} or any(x.waiting for x in m.sessions):
                        return None
        except Racy:
            return None
        return m

    def do(self, step):
        """Returns False if the step was left out."""
        m = self.applies(step)
        if m is None:
            return False
        if step.what == "run":
            self.model = m
            self.send(step, step.statements)
            s = m.sessions[step.session]
            self.settle()
            if s.sleeping:
                self.runs(s.work[0])
        elif step.what == "cancel":
            self.model = m
            self.clients[step.session].cancel()
            self.settle()
        elif step.what in ("kill", "abort"):
            self.kill(step, m)
        elif step.what == "rush":
            self.rush(step)
        else:
            self.deadline(step, m)
        return True

    def drop(self, step):
        c = self.clients[step.session]
        # Behind a Terminate what runs is done nevertheless. Who waits leaves the queue either way.
        if step.what == "kill" and not self.model.sessions[step.session].sleeping:
            c.close()
        else:
            c.drop()
        return c.session

    def replace(self, step):
        self.clients[step.session] = self.lab.connect(step.pool)

    def kill(self, step, m):
        old = self.model.sessions[step.session]
        killed = self.model.copy()
        log = killed.kill(step.session, step.pool)
        session = self.drop(step)

        def ended():
            self.lab.log.read()
            events = self.lab.log.events.get(session, [])
            if events != log[:len(events)]:
                raise Failure("the log of session %d, killed: %s\nthe model's: %s"
                              % (old.number, events, log))
            return len(events) == len(log)
        self.until(ended, lambda: "the end of session %d: %s has come of %s"
                   % (old.number, self.lab.log.events.get(session, []), log))
        self.replace(step)
        self.model = m
        self.settle()

    def rush(self, step):
        """The request may have been done, or not. The log tells."""
        number = step.session
        st = step.statements[0]
        s = self.model.sessions[number]
        before = len(self.lab.log.outcomes.get(self.clients[number].session, []))
        self.send(step, step.statements)
        session = self.drop(step)
        log = self.lab.log

        def ended():
            log.read()
            left = [c for c in self.lab.daemon.show("CLIENTS") if int(c["id"]) == session]
            return not left and not log.open.get(session)
        self.until(ended, "the end of session %d" % number)
        log.read()
        outcomes = log.outcomes.get(session, [])[before:]
        inside = s.current() or s.plain
        if st.kind == "exit" and outcomes and outcomes[0] != "cancelled":
            self.model.run(number, step.statements)
            self.model.answers = {}
        elif st.kind == "insert" and not inside:
            self.model.maybe.add(st.id)
        self.model.kill(number, step.pool)
        self.replace(step)
        self.settle()

    def deadline(self, step, m):
        number = step.session
        st, follow = step.statements[0], step.follow
        started = time.monotonic()
        base = m.sessions[number]
        if base.waiting:
            # Nobody comes to help.
            m.expire(base, next(f for f in base.frames if f.deadline and f in base.entering[1]))
            m.settle()
            self.model = m
            self.send(step, [st])
            self.settle()
            return
        refused = m.answers[number][-1].error
        mine = [f for f in base.frames if f.deadline and f.state == "open"]
        after = m.copy()
        if mine:
            frame = base.frames.index(mine[0])
            s = after.sessions[number]
            after.answers = {}
            inside = s.current() and s.frames.index(s.top_of(s.current())) >= frame
            # A statement that runs outside of the frame is not stopped.
            if not inside and any(x.kind == "sleep" for x in follow):
                follow = []
            try:
                if follow:
                    after.run(number, follow)
                after.expire(s, s.frames[frame])
                after.settle()
            except Racy:
                return
        self.model = m
        self.send(step, [st])
        try:
            self.settle()
        except Failure:
            if time.monotonic() - started > SHORT / 1000 / 2:
                raise Late from None
            raise
        if refused or not mine:
            return
        self.model = after
        if follow:
            self.send(step, follow)
        if time.monotonic() - started > SHORT / 1000 / 2:
            raise Late
        self.settle()

    # -- the end
    def rows(self):
        got = [(int(a), int(b)) for a, b in
               self.lab.direct.sql("SELECT session, id FROM journal ORDER BY seq")]
        m = self.model
        for n in range(SESSIONS):
            # What nobody knows of may be there, or not.
            mine = [i for s, i in got if s == n and i not in m.maybe]
            want = [i for _, s, i in sorted(m.rows) if s == n and i not in m.maybe]
            equal(mine, want, "rows of session %d" % n)

    def finish(self):
        """All clients go; nothing may be left, and a new one gets everything."""
        self.rows()
        order = list(range(SESSIONS))
        while order:
            for n in list(order):
                step = Step("abort", n, pool="p")
                if self.do(step):
                    order.remove(n)
                    break
            else:
                # Who of them is faster does not matter any more.
                n = order.pop()
                self.model.loose = True
                self.do(Step("abort", n, pool="p"))
        if not self.model.loose:
            self.rows()
        check(not self.model.locks and not any(p.leases for p in self.model.pools.values()),
              "the model is at its end")
        self.everything()
        for c in self.clients:
            c.close()

    def everything(self):
        a, b = self.clients[0], self.clients[1]
        equal(self.lab.daemon.show("LOCKS"), [], "locks that are left")
        for c, sql in ((a, "ENTER o1 ON p, o2 ON p NEW, o3 ON q, o4 ON q NEW, o5 ON q NEW"),
                       (b, "ENTER LOCK 'x', LOCK 'y', LOCK 'z', SEMAPHORE 's' LIMIT 1,"
                           " SEMAPHORE 't' LIMIT 1")):
            r = c.ask(re.sub(r"(?=,|$)", " WAIT '0'", sql))
            equal(r.errors, [], "a new session gets everything at once")
        for c in (a, b):
            equal(c.ask("EXIT ALL").errors, [], "EXIT ALL")
            equal(c.ask("SHOW SCOPES").rows, [], "scopes that are left")
        for n in SIZES:
            equal(self.lab.daemon.server_pids(n), self.lab.pids[n], "the servers of pool " + n)

    def close(self):
        for c in self.clients:
            c.drop()


def said(r):
    """A Result in words."""
    return "%s %s status %s, notices %s" % (r.tags, [str(e) for e in r.errors], r.status,
                                            [n.get("M") for n in r.notices])


def compare(number, got, want):
    ours = [n for n in got.notices if "a statement of scope" in n.get("M", "")]
    quiet = [n["C"] for n in got.notices if n.get("S") == "NOTICE" and n["C"] in ("40000", "57014", "23503")]
    tags = [re.sub(r" [0-9.]+ ms$", "", t) for t in got.tags]
    state = got.errors[0].sqlstate if got.errors else None
    good = (tags == want.tags and state == want.error and got.status == want.status and
            len(got.errors) <= 1 and len(ours) == want.warnings and quiet == want.notices and
            [n["C"] for n in got.notices].count("01000") == want.swept)
    if good and want.detail:
        good = want.detail in (got.errors[0].detail or "")
    if good and want.shown is not None:
        shown = [r[:6] + (r[9],) for r in got.rows if len(r) == 15]
        good = len(shown) >= len(want.shown) and all(
            all(b is None or a == b for a, b in zip(g[:3] + g[4:], w[:3] + w[4:])) and g[3] == w[3]
            for g, w in zip(shown[-len(want.shown):] if want.shown else [], want.shown))
        if not good:
            raise Failure("session %d: SHOW SCOPES says %s, the model %s" % (number, shown, want.shown))
    if not good:
        raise Failure("session %d is answered: %s\nthe model says: %s" % (number, said(got), want))


# ---- rounds ----

def play(lab, steps, patience):
    """Runs a program. Returns what is wrong, or None."""
    r = Round(lab, patience)
    try:
        for step in steps:
            r.do(step)
        r.finish()
    except (Failure, wire.Closed, wire.ServerError, OSError) as e:
        r.close()
        return "%s: %s" % (type(e).__name__, e)
    except Late:
        r.close()
    return None


def shrink(t, steps, found):
    """Leaves out what it fails without."""
    end = time.monotonic() + SHRINK_S
    size = len(steps) // 2
    runs = 0
    while size and time.monotonic() < end:
        at = 0
        while at < len(steps) and time.monotonic() < end:
            less = steps[:at] + steps[at + size:]
            lab = Lab(t)
            runs += 1
            bad = play(lab, less, 4)
            lab.stop()
            if bad:
                steps, found = less, bad
            else:
                at += size
        size //= 2
    note("---- cut down in %d runs to:" % runs)
    for s in steps:
        note("  %s" % s)
    note("---- " + found)


def one_round(t, lab, seed, number, totals):
    """Returns the number of steps done."""
    gen = Generator(random.Random("%s/%d" % (seed, number)))
    r = Round(lab, 15)
    done = []
    try:
        tries = 0
        while len(done) < ROUND and tries < 20 * ROUND:
            tries += 1
            step = gen.step(r.model)
            done.append(step)
            if not r.do(step):
                done.pop()
        r.finish()
    except Late:
        r.close()
        totals["late"] = totals.get("late", 0) + 1
        check(totals["late"] < 5 + len(done) // 20, "too many time limits of the test's own were missed")
        wait_until(lambda: all(not lab.daemon.leased(n) for n in SIZES), 10, "all servers are free")
        return len(done)
    except (Failure, wire.Closed, wire.ServerError, OSError) as e:
        found = "%s: %s" % (type(e).__name__, e)
        note("---- round %d (PGWITH_SCOPE_ROUND=%d) fails at its step %d, %s"
             % (number, number, len(done), done[-1] if done else "none"))
        note(found)
        lab.stop()
        shrink(t, done, found)
        raise Failure("round %d: %s" % (number, found)) from None
    for k, v in r.counts.items():
        totals[k] = totals.get(k, 0) + v
    return len(done)


@test(timeout=1800)
def model(t):
    """random scopes of five sessions on two pools do what a model of them does"""
    for sql in filter(None, SCHEMA.strip().split(";\n")):
        t.sql(sql.rstrip(";"))
    seed = t.random.randrange(1 << 30)
    lab = Lab(t)
    started = time.monotonic()
    totals = {}
    steps, number = 0, FIRST
    while steps < STEPS:
        steps += one_round(t, lab, seed, number, totals)
        number += 1
    note("%d steps, %d rounds in %.1f s; answers: %s"
         % (steps, number - FIRST, time.monotonic() - started,
            ", ".join("%s %d" % (k or "good", v) for k, v in sorted(totals.items(), key=str))))
    # The last two are rare.
    for state, least in [(x, 1000) for x in ("40P01", "23503", "57014", "55P03", "2D000", "42710", "25P02")] + [
            ("40000", 3000), ("53300", 3000)]:
        check(totals.get(state) or steps < least, "SQLSTATE %s has been seen" % state)


if __name__ == "__main__":
    main()
