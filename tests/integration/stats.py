"""SHOW STATS and SHOW CLIENTS against a model: what clients ask for is counted and timed, what the daemon itself sends
(SET ahead, BEGIN, the question at the end, statements that are prepared again) is not. The definitions are those of
PgBouncer's manual; where PgBouncer does the same, the same programs run through it too and must give the same numbers."""

import os
import shutil
import time

from pgwtest import Skip, check, child, equal, main, note, only_local, slow_factor, test, wait_until, wire
from pgwtest.scopelog import pools
from pgwtest.wire import bind, execute, extended, parse, query, sync

SLEEP = 0.04  # seconds, of statements and of rests
COUNTS = ("total_query_count", "total_xact_count")
TIMES = ("total_query_time", "total_xact_time")


class Done:
    """What a client has done: requests, transactions, the least times that these took, and how many can be open at once."""

    def __init__(self, queries, xacts, query_s=0.0, xact_s=None, at_once=1):
        self.queries, self.xacts, self.query_s, self.at_once = queries, xacts, query_s, at_once
        self.xact_s = query_s if xact_s is None else xact_s

    def add(self, other):
        self.queries += other.queries
        self.xacts += other.xacts
        self.query_s += other.query_s
        self.xact_s += other.xact_s


def answers(c, data, n):
    c.send(data)
    for _ in range(n):
        c.until_ready()


def ask(*texts):
    return lambda c: [c.ask(text) for text in texts]


def send(n, data):
    return lambda c: answers(c, data, n)


def flushed(c):
    c.send(extended("SELECT 1") + wire.flush())
    c.until("C")
    time.sleep(SLEEP)
    answers(c, sync(), 1)


def copy_in(c):
    c.send(query("COPY marks FROM STDIN"))
    c.until("G")
    answers(c, wire.copy_data(b"1\n") + wire.copy_done(), 1)


def idle_in_transaction(c):
    c.ask("BEGIN")
    c.ask("SELECT 1")
    time.sleep(SLEEP)
    c.ask("COMMIT")


def named(c):
    name = "s%d" % time.monotonic_ns()
    answers(c, parse("SELECT 1", name) + sync(), 1)
    for _ in range(2):
        answers(c, bind(statement=name) + execute() + sync(), 1)


SLEEPS = "SELECT pg_sleep(%f)" % SLEEP
# name: (what is done, what is to be counted)
COMMON = {
    "a query": (ask("SELECT 1"), Done(1, 1)),
    "an error": (ask("SELECT 1/0"), Done(1, 1)),
    "a text of many": (ask("SELECT 1; SELECT 2; SELECT 3"), Done(1, 1)),
    "an empty query": (ask(""), Done(1, 1)),
    "extended": (send(1, extended("SELECT 1") + sync()), Done(1, 1)),
    "an exchange of many": (send(1, extended("SELECT 1") + extended("SELECT 2") + sync()), Done(1, 1)),
    "an extended error": (send(1, extended("SELECT 1/0") + extended("SELECT 2") + sync()), Done(1, 1)),
    "a long one": (ask(SLEEPS), Done(1, 1, SLEEP)),
    "a long exchange": (send(1, extended(SLEEPS) + sync()), Done(1, 1, SLEEP)),
    "a transaction": (ask("BEGIN", "SELECT 1", SLEEPS, "COMMIT"), Done(4, 1, SLEEP)),
    "rolled back": (ask("BEGIN", "SELECT 1/0", "SELECT 1", "ROLLBACK"), Done(4, 1)),
    "with savepoints": (ask("BEGIN", "SAVEPOINT a", "SELECT 1", "ROLLBACK TO a", "COMMIT"), Done(5, 1)),
    "an empty transaction": (ask("BEGIN", "COMMIT"), Done(2, 1)),
    "in one text": (ask("BEGIN; SELECT 1; COMMIT"), Done(1, 1)),
    "in one exchange": (send(1, extended("BEGIN") + extended("SELECT 1") + extended("COMMIT") + sync()), Done(1, 1)),
    "in extended ones": (lambda c: [answers(c, extended(x) + sync(), 1) for x in ("BEGIN", SLEEPS, "COMMIT")],
                         Done(3, 1, SLEEP)),
    "idle in transaction": (idle_in_transaction, Done(3, 1, 0, SLEEP)),
    "COPY TO": (ask("COPY (SELECT 1) TO STDOUT"), Done(1, 1)),
    "COPY FROM": (copy_in, Done(1, 1)),
    "a rest": (lambda c: time.sleep(2 * SLEEP), Done(0, 0)),
    "a flushed exchange": (flushed, Done(1, 1)),
}
# What PgBouncer counts in another way, or cannot do.
OURS = {
    "a pipeline of three": (send(3, (extended("SELECT 1") + sync()) * 3), Done(3, 3)),
    "three queries in a write": (send(3, query(SLEEPS) + query("SELECT 1") * 2), Done(3, 3, SLEEP)),
    "a transaction in a write": (send(3, query("BEGIN") + query(SLEEPS) + query("COMMIT")), Done(3, 1, SLEEP)),
    "two of them": (send(6, (query("BEGIN") + query("SELECT 1") + query("COMMIT")) * 2), Done(6, 2)),
    "chained": (ask("BEGIN", "SELECT 1", "COMMIT AND CHAIN", "SELECT 1", "COMMIT"), Done(5, 2)),
    "a setting": (ask("SET timezone = 'Asia/Tokyo'", "SELECT 1"), Done(2, 2)),
    "another setting": (ask("SET timezone = 'Europe/Berlin'"), Done(1, 1)),
    "a role": (ask("SET ROLE pg_monitor", "SELECT 1", "RESET ROLE"), Done(3, 3)),
    "named": (named, Done(3, 3)),
}
# Of lazy_begin too: they count where they are no server's.
SCOPES = {
    "a scope": (ask("ENTER a", "SELECT 1", "EXIT a"), Done(3, 1)),
    "scopes": (ask("ENTER a; ENTER b", "SELECT 1", "EXIT b", "EXIT a ROLLBACK"), Done(4, 1)),
    "an independent scope": (ask("ENTER a", "ENTER b NEW", "SELECT 1", "EXIT ALL"), Done(4, 2, at_once=2)),
}


class Numbers:
    """Differences of the totals of one pool."""

    def __init__(self, show, pool="db"):
        self._show, self._pool = show, pool
        self.before = self.now()

    def now(self):
        rows = [r for r in self._show() if r["database"] == self._pool]
        return {k: sum(int(r[k]) for r in rows) for k in rows[0] if k.startswith("total_")}

    def more(self):
        now = self.now()
        diff = {k: now[k] - self.before[k] for k in now}
        self.before = now
        return diff


def run(clients, actions, names, numbers, rested, what, mine=None):
    """Does them one after the other, in turns; each must give what the model says."""
    done = [0] * len(clients)
    for step, name in enumerate(names):
        action, want = actions[name]
        i = step % len(clients)
        numbers.before = numbers.now()
        started = time.monotonic()
        action(clients[i])
        took = time.monotonic() - started
        rested()
        diff = numbers.more()
        done[i] += want.queries
        story = "%s, step %d of %s: %s" % (what, step, names[max(0, step - 4):step + 1], diff)
        equal([diff[k] for k in COUNTS], [want.queries, want.xacts], story)
        for k, least in zip(TIMES, (want.query_s, want.xact_s)):
            # To be later than the clock of the loop's turn is none of its business.
            check(0.9 * least * 1e6 - 2000 <= diff[k] <= took * want.at_once * 1e6 + 20000 * slow_factor(), "%s: %s, least %.3f, took %.3f"
                  % (story, k, least, took))
        if "idle" in name or "flushed" not in name and want.query_s == 0:
            check(diff[TIMES[0]] <= (took - (SLEEP if "idle" in name else 0)) * 1e6 + 10000 * slow_factor(),
                  "%s: query time has the rest in it" % story)
    if mine:
        equal(mine(), done, "%s: SHOW CLIENTS" % what)


def programs(t, names, count=1, least=30):
    """Random orders, each with everything."""
    for _ in range(count):
        order = sorted(names) * (1 + least // len(names))
        t.random.shuffle(order)
        yield order


@test
def model(t):
    """random programs of two sessions on one server: lazy or not, pinned, in mode session, with settings, in scopes"""
    t.sql("CREATE TABLE marks (a int)")
    actions = {**COMMON, **OURS}
    for what, options, more in (("transaction", {}, SCOPES), ("lazy", {"lazy_begin": "on"}, SCOPES),
                                ("session", {"mode": "session"}, {}), ("pinned", {}, {}),
                                ("untracked", {"max_prepared_statements": "0"}, {}),
                                ("limits", {"query_timeout": "50s", "scope_deadline": "50s", "size": 1}, {})):
        d = t.daemon(**{"size": 2, **options})
        clients = [t.client(d), t.client(d)]
        first = 1 if what == "pinned" else 0
        for c in clients[:len(clients) * first]:
            c.sql("LISTEN news; SELECT 1")
        numbers = Numbers(lambda d=d: d.show("STATS"))

        def mine(d=d):
            return [int(r["queries"]) - first for r in sorted(d.clients(), key=lambda r: int(r["id"]))]
        for names in programs(t, {**actions, **more}):
            run(clients, {**actions, **more}, names, numbers, lambda: None if what in ("session", "pinned", "untracked")
                else d.quiet(), what, mine)
        for c in clients:
            c.close()
        wait_until(lambda: not d.clients(), 5, "they have left")
        diff = numbers.more()
        equal([diff[k] for k in COUNTS + TIMES], [0] * 4, "%s: at the end" % what)


@test
def ends(t):
    """what a client leaves behind counts too: a transaction, a running query; the time is over when it is"""
    d = t.daemon(size=1)
    numbers = Numbers(lambda: d.show("STATS"))
    for steps, last, want in (((), None, (0, 0)), (("SELECT 1",), None, (1, 1)), (("BEGIN",), None, (1, 1)),
                              (("BEGIN", "SELECT 1"), None, (2, 1)), (("BEGIN",), "SELECT pg_sleep(%d)", (2, 1)),
                              ((), "SELECT pg_sleep(%d)", (1, 1))):
        for drop in (True, False):
            c = t.client(d)
            for sql in steps:
                c.sql(sql)
            if last:
                # Behind a Terminate, PostgreSQL carries on to the end.
                c.send(query(last % (30 if drop else 1)))
                wait_until(lambda: [a for a in t.activity() if "pg_sleep" in a["query"] and a["state"] == "active"], 5,
                           "it runs")
            c.drop() if drop else c.close()
            wait_until(lambda: not d.clients(), 5, "it has left")
            d.quiet()
            time.sleep(SLEEP)
            diff = numbers.more()
            equal(tuple(diff[k] for k in COUNTS), want, "%s, %s, %s" % (steps, last, drop))
            check(diff["total_xact_time"] < 5e6 * slow_factor(), "time: %s" % diff)


@test
def waits(t):
    """time in the queue is total_wait_time's alone; that of a login, of settings and of a rest is nobody's"""
    d = t.daemon(size=1)
    holder, c = t.client(d), t.client(d)
    numbers = Numbers(lambda: d.show("STATS"))
    holder.sql("BEGIN")
    c.send(query("SELECT 1"))
    wait_until(lambda: d.waiting() == 1, 5, "it waits")
    time.sleep(5 * SLEEP)
    holder.sql("COMMIT")
    c.until_ready()
    diff = numbers.more()
    equal([diff[k] for k in COUNTS], [3, 2], "counts")
    check(diff["total_wait_time"] >= 5 * SLEEP * 0.95e6, "it waited: %s" % diff)
    check(diff["total_query_time"] < 3 * SLEEP * 1e6 * slow_factor(), "that is no query: %s" % diff)
    time.sleep(10 * SLEEP)
    for i in range(3):
        late = t.client(d, TimeZone="Asia/Tokyo", work_mem="%dkB" % (1000 + i))
        late.sql("SELECT 1")
        time.sleep(2 * SLEEP)
        diff = numbers.more()
        equal([diff[k] for k in COUNTS], [1, 1], "a new session's first query")
        check(diff["total_query_time"] < SLEEP * 1e6 * slow_factor(), "its time: %s" % diff)


@test
def pools_of_scopes(t):
    """what is done in a scope on another pool counts there"""
    d = t.daemon(pools={"db": {"conninfo": t.conninfo(), "size": 1}, "other": {"conninfo": t.conninfo(), "size": 1}})
    here, there = Numbers(lambda: d.show("STATS")), Numbers(lambda: d.show("STATS"), "other")
    c = t.client(d)
    for sql in ("ENTER a ON other", "SELECT 1", "SELECT 2", "EXIT a"):
        c.sql(sql)
    equal([here.more()[k] for k in COUNTS], [2, 0], "ENTER and EXIT are the session's")
    diff = there.more()
    equal([diff[k] for k in COUNTS], [2, 1], "the scope's pool")
    check(0 < diff["total_query_time"] <= diff["total_xact_time"], "times: %s" % diff)


@test
def handed_over(t):
    """a restart that hands over keeps the numbers, and the times of what is open"""
    d = t.supervised(size=1)
    c = t.client(d)
    c.sql("BEGIN")
    numbers = Numbers(lambda: d.show("STATS"))
    time.sleep(SLEEP)
    d.restart()
    time.sleep(SLEEP)
    c.sql("COMMIT")
    diff = numbers.more()
    equal([diff[k] for k in COUNTS], [1, 1], "counts")
    check(2 * SLEEP * 0.95e6 <= diff["total_xact_time"] < 60e6, "the transaction's time: %s" % diff)


# ---- PgBouncer ----

class PgBouncer:
    def __init__(self, t, mode, more=""):
        binary = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
        if not binary:
            raise Skip("no pgbouncer on this machine")
        self.binary = binary
        self.directory = t.path("pgbouncer-" + mode)
        os.mkdir(self.directory)
        if os.geteuid() == 0:
            shutil.chown(self.directory, "postgres", "postgres")
        conf = os.path.join(self.directory, "pgbouncer.ini")
        with open(conf, "w") as f:
            f.write("[databases]\ndb = %s\n[pgbouncer]\nlisten_addr =\nunix_socket_dir = %s\nlisten_port = 6432\n"
                    "auth_type = any\nadmin_users = postgres\npool_mode = %s\ndefault_pool_size = 2\n"
                    "server_reset_query =\nignore_startup_parameters = extra_float_digits\n"
                    "logfile = %s/pgbouncer.log\npidfile =\n%s"
                    % (t.conninfo(), self.directory, mode, self.directory, more))
        self.process = child.start([binary, conf], os.path.join(self.directory, "out.log"), user="postgres")
        t.defer(self.stop)
        wait_until(self._answers, 10, "pgbouncer answers")

    def connect(self, database="db"):
        return wire.Client(self.directory, 6432, database, "postgres")

    def _answers(self):
        try:
            self.connect("pgbouncer").close()
            return True
        except (OSError, wire.Closed):
            return False

    def stats(self):
        with self.connect("pgbouncer") as c:
            r = c.ask("SHOW STATS")
            return [dict(zip(r.columns, row)) for row in r.rows]

    def stop(self):
        self.process.kill()
        self.process.wait()


@test
def as_pgbouncer(t):
    """the same programs through PgBouncer and through pgwithd: the same counts, and times between the same bounds"""
    only_local("PgBouncer beside it")
    t.sql("CREATE TABLE marks (a int)")
    for mode in ("transaction", "session"):
        bouncer = PgBouncer(t, mode)
        d = t.daemon(size=2, mode=mode)
        for names in programs(t, COMMON, 1):
            for what, connect, show in (("pgbouncer", bouncer.connect, bouncer.stats),
                                        ("pgwithd", d.connect, lambda: d.show("STATS"))):
                clients = [connect(), connect()]
                for c in clients:
                    t.defer(c.close)
                    c.sql("SELECT 1")
                run(clients, COMMON, names, Numbers(show), lambda: None, "%s, %s" % (what, mode))
    note("compared with " + child.run_ok([bouncer.binary, "--version"]).split("\n")[0])


def times_of(d, what, pool="db"):
    """The row of SHOW TIMES, numbers as int, and buckets as a dict."""
    row, = [x for x in d.show("TIMES") if (x["pool"], x["what"]) == (pool, what)]
    numbers = {k: int(v) for k, v in row.items() if k not in ("pool", "what", "buckets")}
    return dict(numbers, buckets={int(b): int(n) for b, n in (x.split(":") for x in row["buckets"].split())})


@test
def times(t):
    """SHOW TIMES: how long waits, transactions and statements took; counted from the first SHOW TIMES on"""
    d = t.daemon(size=1)
    c = t.client(d)
    c.sql("SELECT 1")
    equal([times_of(d, what)["count"] for what in ("statement", "hold")], [0, 0], "nobody has asked")
    check(times_of(d, "login")["count"] == 1, "a login of the server")
    for _ in range(3):
        c.sql("SELECT pg_sleep(%s)" % SLEEP)
    row = wait_until(lambda: (lambda r: r["count"] == 3 and r)(times_of(d, "statement")), 5, "three statements")
    equal(sum(row["buckets"].values()), 3, "the buckets")
    check(SLEEP * 1e6 * 0.97 <= row["p50_us"] <= row["p99_us"] <= row["max_us"] <= row["sum_us"], "percentiles: %s" % row)
    check(row["sum_us"] >= 3 * SLEEP * 1e6, "the sum: %s" % row)
    c.sql("BEGIN")
    w = t.client(d)
    before = times_of(d, "wait")["count"]
    w.send(query("SELECT 1"))
    wait_until(lambda: d.waiting() == 1, 5, "one waits")
    time.sleep(SLEEP)
    c.sql("COMMIT")
    w.until_ready()
    row = wait_until(lambda: (lambda r: r["count"] == before + 1 and r)(times_of(d, "wait")), 5, "a wait")
    check(row["max_us"] >= SLEEP * 1e6, "its time: %s" % row)
    check(wait_until(lambda: times_of(d, "hold")["count"] == 5, 5, "transactions"), "five")


@test
def vanished(t):
    """total_vanished_count: clients that go without a word in the middle of a query, transaction or scope, and no others"""
    d = t.daemon(pools=pools(t, "db", "p2", size=2), options={"lazy_begin": "on"})
    holder = t.client(d)

    def counted(pool="db"):
        row, = [x for x in d.show("STATS") if x["database"] == pool]
        return int(row["total_vanished_count"])

    def runs(marker):
        return lambda: [a for a in t.activity() if marker in a["query"] and a["state"] == "active"]

    def goes(what, begin, ready, end, more):
        before = counted(), counted("p2")
        c = d.connect("db")
        number = c.session
        begin(c)
        wait_until(ready, 10, "it is there: " + what)
        end(c)
        wait_until(lambda: not [x for x in d.show("CLIENTS") if int(x["id"]) == number], 10, "it is gone: " + what)
        c.sock.close()
        equal((counted() - before[0], counted("p2") - before[1]), (more, 0), what)

    def drop(c):
        c.sock.close()

    def says_goodbye(c):
        c.send(wire.terminate())
        c.sock.close()

    def nothing():
        return True

    in_the_middle = {
        "a query": (lambda c: c.send(query("SELECT pg_sleep(60), 'one'")), runs("'one'")),
        "an exchange": (lambda c: c.send(extended("SELECT pg_sleep(60), 'two'") + wire.flush()), runs("'two'")),
        "a transaction": (lambda c: [c.sql("BEGIN"), c.sql("SELECT 1")], nothing),
        "a BEGIN": (lambda c: c.sql("BEGIN"), nothing),
        "a failed one": (lambda c: [c.sql("BEGIN"), c.ask("SELECT 1/0")], nothing),
        "COPY": (lambda c: [c.send(query("COPY marks FROM STDIN")), c.until("G")], nothing),
        "a scope": (lambda c: c.sql("ENTER a"), nothing),
        "a scope of another pool": (lambda c: c.sql("ENTER a ON p2"), nothing),
        "a lock": (lambda c: c.sql("ENTER LOCK 'l'"), nothing),
    }
    at_rest = {
        "nothing": (lambda c: None, nothing),
        "a query before": (lambda c: c.sql("SELECT 1"), nothing),
        "a transaction before": (lambda c: [c.sql(x) for x in ("BEGIN", "SELECT 1", "SET work_mem = '5MB'", "COMMIT")], nothing),
        "a pin": (lambda c: c.sql("CREATE TEMP TABLE mine (a int)"), nothing),
        "a scope before": (lambda c: [c.sql(x) for x in ("ENTER a", "EXIT a")], nothing),
    }
    t.sql("CREATE TABLE marks (a int)")
    for name, (begin, ready) in in_the_middle.items():
        goes(name, begin, ready, drop, 1)
    for name, (begin, ready) in at_rest.items():
        goes(name, begin, ready, drop, 0)
        goes(name + ", and goodbye", begin, ready, says_goodbye, 0)
    goes("goodbye in a transaction", lambda c: c.sql("BEGIN; SELECT 1"), nothing, says_goodbye, 0)
    goes("killed", lambda c: c.sql("BEGIN; SELECT 1"), nothing, lambda c: d.console("KILL SESSION %d" % c.session), 0)
    # It waits in the queue.
    holder.sql("ENTER x, y NEW")
    goes("a wait", lambda c: c.send(query("SELECT 1")), lambda: d.waiting() == 1, drop, 1)
    holder.sql("LEAVE ALL")


if __name__ == "__main__":
    main()
