"""A cancel that comes late, or pg_cancel_backend(), or a short statement_timeout, hits a statement of ours: the savepoint
of a deferred statement, startup parameters that are set again, a mark of LISTEN. A proxy makes just that statement end so,
one after the other, in programs that make pgwithd send all kinds of them. The client's transaction has never failed, and
is never rolled back, without an error that the client knows of, and what it was told is true."""

import os
import random
import threading
import time

from pgwtest import check, equal, main, note, test, wait_until, wire

HIT = "DO $hit$BEGIN RAISE SQLSTATE '57014' USING MESSAGE = 'canceling statement due to user request'; END$hit$"
MINE = "/*c*/"  # stands in each text of the client's


class Hitter:
    """Lets the n-th statement of ours end by 57014; with 0, only counts them."""

    def __init__(self, n=0, times=1):
        self.at, self.times, self.seen, self.hit, self.on = n, times, 0, [], False

    def _one(self, text):
        """One statement of ours."""
        self.seen += 1
        if not 0 < self.at <= self.seen < self.at + self.times:
            return text
        self.hit.append(text.strip())
        return HIT

    def rewrite(self, kind, body):
        if not self.on or kind not in "QP" or MINE.encode() in body:
            return body
        if kind == "Q":
            parts = body.rstrip(b"\0").decode().split("; ")
            return wire.cstr("; ".join(self._one(p) for p in parts))
        name, text, types = body.split(b"\0", 2)
        return wire.cstr(name) + wire.cstr(self._one(text.decode())) + types


class Known:
    """What the client knows of its session by the answers that it has got."""

    def __init__(self, c, what):
        self.c, self.what = c, what
        self.aborted = False      # a statement in a failed transaction is hit, which is 25P02 then
        self.failed = False       # its transaction has failed
        self.warned = False       # a deferred statement has failed
        self.closed = False
        self.errors = []

    def take(self, sql, r):
        self.warned |= any(n["S"] == "WARNING" for n in r.notices)
        for e in r.errors:
            check(e.sqlstate != "25P02" or self.failed or self.aborted,
                  "%s: its transaction has failed, and it was not told, at %r" % (self.what, sql))
            self.errors.append((sql, e.sqlstate))
        self.closed |= r.status is None
        check(r.status != "E" or self.failed or r.errors, "%s: in a failed transaction, at %r" % (self.what, sql))
        check("ROLLBACK" not in r.tags or "ROLLBACK" in sql or self.failed,
              "%s: %r has rolled back without an error" % (self.what, sql))
        self.failed = r.status == "E"

    def run(self, statements):
        """Returns whether all have succeeded. Behind an error it ends what is open."""
        good = True
        for sql in statements:
            if self.closed:
                return False
            try:
                r = self.c.ask(MINE + sql) if sql[0] != "!" else self.c.ask_extended(MINE + sql[1:])
            except (wire.Closed, ConnectionError):
                self.closed = True
                return False
            self.take(sql, r)
            good = good and not r.errors
        return good


# name: (options of the pool, of the client's startup packet, statements, rows that are there then)
PROGRAMS = {
    "resets in a transaction": (
        {}, {"work_mem": "5MB", "search_path": "public, pg_catalog"},
        ["BEGIN", "INSERT INTO t VALUES (1)", "RESET work_mem", "INSERT INTO t VALUES (2)", "RESET ALL",
         "INSERT INTO t VALUES (3)", "COMMIT"], "1 2 3"),
    "resets in the extended protocol": (
        {}, {"work_mem": "5MB"},
        ["!BEGIN", "!INSERT INTO t VALUES (1)", "!RESET ALL", "!INSERT INTO t VALUES (2)", "!COMMIT"], "1 2"),
    "resets in a scope": (
        {}, {"work_mem": "5MB"},
        ["ENTER a", "INSERT INTO t VALUES (1)", "RESET work_mem", "INSERT INTO t VALUES (2)", "EXIT"], "1 2"),
    "resets behind a pin": (
        {}, {"work_mem": "5MB"},
        ["CREATE TEMP TABLE p ()", "RESET work_mem", "INSERT INTO t VALUES (1)", "DROP TABLE p"], "1"),
    "deferred": (
        {}, {},
        ["ENTER a", "INSERT INTO t VALUES (1)", "DEFER 'INSERT INTO t VALUES (2)" + MINE + "'",
         "DEFER ON COMMIT 'INSERT INTO t VALUES (3)" + MINE + "'", "EXIT"], "1 2 3"),
    "deferred, for a ROLLBACK": (
        {}, {},
        ["ENTER a", "INSERT INTO t VALUES (1)", "DEFER ON ROLLBACK 'INSERT INTO t VALUES (2)" + MINE + "'",
         "DEFER ON ROLLBACK 'INSERT INTO t VALUES (3)" + MINE + "'", "EXIT ROLLBACK"], "2 3"),
    "deferred in a savepoint": (
        {}, {},
        ["ENTER a", "INSERT INTO t VALUES (1)", "ENTER b", "INSERT INTO t VALUES (2)",
         "DEFER 'INSERT INTO t VALUES (3)" + MINE + "'", "EXIT", "INSERT INTO t VALUES (4)", "EXIT"], "1 2 3 4"),
    "deferred in a savepoint, for a ROLLBACK": (
        {}, {},
        ["ENTER a", "INSERT INTO t VALUES (1)", "ENTER b", "INSERT INTO t VALUES (2)",
         "DEFER ON ROLLBACK 'INSERT INTO t VALUES (3)" + MINE + "'",
         "DEFER ON ROLLBACK 'INSERT INTO t VALUES (4)" + MINE + "'", "EXIT ROLLBACK", "INSERT INTO t VALUES (5)",
         "EXIT"], "1 3 4 5"),
    "deferred, and fails": (
        {}, {},
        ["ENTER a", "INSERT INTO t VALUES (1)", "DEFER 'INSERT INTO t VALUES (2)" + MINE + "'",
         "DEFER 'INSERT INTO t VALUES (1/0)" + MINE + "'", "EXIT"], "1 2"),
    "blocks in a scope": (
        {}, {},
        ["ENTER a", "BEGIN", "INSERT INTO t VALUES (1)", "COMMIT", "BEGIN", "INSERT INTO t VALUES (2)", "ROLLBACK",
         "INSERT INTO t VALUES (3)", "EXIT"], "1 3"),
    "two of one pool": (
        {"size": 2}, {},
        ["ENTER a, b NEW", "INSERT INTO t VALUES (1)", "USE a", "INSERT INTO t VALUES (2)", "EXIT", "EXIT"], "1 2"),
    "a suppressed failure": (
        {}, {},
        ["ENTER a", "INSERT INTO t VALUES (1)", "ENTER b SUPPRESS", "INSERT INTO t VALUES (2)", "EXIT ROLLBACK",
         "INSERT INTO t VALUES (3)", "EXIT"], "1 3"),
    "a lock": (
        {}, {},
        ["ENTER a", "ENTER LOCK 'x' ON db", "INSERT INTO t VALUES (1)", "EXIT", "INSERT INTO t VALUES (2)", "EXIT"],
        "1 2"),
    "listens in a transaction": (
        {"listen_mode": "shared"}, {},
        ["BEGIN", "LISTEN ch", "INSERT INTO t VALUES (1)", "SAVEPOINT s", "LISTEN ch2", "ROLLBACK TO s", "UNLISTEN ch3",
         "INSERT INTO t VALUES (2)", "COMMIT", "UNLISTEN *"], "1 2"),
    "listens in the extended protocol": (
        {"listen_mode": "shared"}, {},
        ["!LISTEN ch", "!BEGIN", "!LISTEN ch2", "!INSERT INTO t VALUES (1)", "!UNLISTEN ch", "!COMMIT", "!UNLISTEN *"],
        "1"),
    "parameters": (
        {}, {"work_mem": "5MB"},
        ["SET work_mem = '6MB'", "BEGIN", "INSERT INTO t VALUES (1)", "COMMIT", "RESET ALL", "BEGIN",
         "INSERT INTO t VALUES (2)", "SET work_mem = '7MB'", "COMMIT", "INSERT INTO t VALUES (3)"], "1 2 3"),
    "sequences": (
        {}, {},
        ["SELECT nextval('s')", "SELECT 1", "BEGIN", "INSERT INTO t VALUES (currval('s'))", "COMMIT"], "2"),
    "statements": (
        {}, {},
        ["BEGIN", "INSERT INTO t VALUES (1)", "!INSERT INTO t VALUES (2)", "!INSERT INTO t VALUES (2)", "COMMIT",
         "!INSERT INTO t VALUES (3)"], "1 2 2 3"),
}


def rows(t):
    return " ".join(r[0] for r in t.sql("SELECT n FROM t ORDER BY n"))


def once(t, name, hitter, proxy):
    """Runs a program against a new daemon. Returns what the client knows of it."""
    pool, startup, statements, there = PROGRAMS[name]
    t.sql("TRUNCATE t; SELECT setval('s', 1, false)")
    proxy.rewrite = hitter.rewrite
    d = t.daemon(conninfo=t.conninfo(host=proxy.directory, port=proxy.port), **dict({"size": 1}, **pool))
    try:
        with d.connect() as other:
            other.sql(MINE + "SET work_mem = '3MB'; SELECT nextval('s')")
            wait_until(lambda: d.quiet(), 10, "it is at rest")
            hitter.on = True
            with d.connect(**startup) as c:
                k = Known(c, "%s, %s" % (name, hitter.hit))
                k.what = "%s, statement %d" % (name, hitter.at)
                k.aborted = "fails" in name
                good = k.run(statements)
                k.what += " (%s)" % hitter.hit
                if good and k.warned and hitter.at:
                    check(set(rows(t)) <= set(there), "rows behind %s" % k.what)
                elif good or not k.errors:
                    equal(rows(t), there, "rows behind %s, without an error" % k.what)
                if not k.closed and startup.get("work_mem") and "SET work_mem = '7MB'" not in statements:
                    equal(c.value(MINE + "SHOW work_mem"), startup["work_mem"], "work_mem behind " + k.what)
        return k
    finally:
        d.stop()


def run(t, names):
    t.sql("CREATE TABLE t (n int); CREATE SEQUENCE s")
    proxy = t.proxy()
    told = closed = total = 0
    wrong = []
    for name in names:
        count = Hitter()
        k = once(t, name, count, proxy)
        equal([e for e in k.errors if "fails" not in name], [], "errors of %s" % name)
        for n in range(1, count.seen + 1):
            hitter = Hitter(n)
            try:
                k = once(t, name, hitter, proxy)
            except Exception as e:  # pylint: disable=broad-except
                wrong.append("%s %s" % (e, hitter.hit))
                continue
            total += bool(hitter.hit)    # the last ones may stand behind the program
            told += bool(k.errors)
            closed += k.closed
            if k.closed:
                check(k.what.endswith("(['RESET ALL'])") or "set_config" in k.what or "DISCARD" in k.what,
                      "closed: %s %s" % (k.what, k.errors))
    note("%d statements hit: %d times an error was told, %d sessions closed" % (total, told, closed))
    for w in wrong:
        note(w)
    equal(len(wrong), 0, "programs that went wrong")


@test
def programs(t):
    """each statement of ours, in each program"""
    run(t, PROGRAMS)


class Storm(threading.Thread):
    """Runs programs one after the other, each in a session of its own, on a table of its own."""

    def __init__(self, t, d, number, programs_each):
        super().__init__(daemon=True)
        self.direct, self.d, self.number, self.each = t.direct(application_name="direct"), d, number, programs_each
        self.rng = random.Random(t.random.random())
        self.error, self.good, self.bad, self.closed = None, 0, 0, 0

    def run(self):
        try:
            for _ in range(self.each):
                self._program(self.rng.choice(sorted(PROGRAMS)))
        except Exception as e:  # pylint: disable=broad-except
            self.error = e

    def _program(self, name):
        _, startup, statements, there = PROGRAMS[name]
        if name in ("sequences", "deferred, and fails"):
            return
        table = "INSERT INTO t%d " % self.number
        self.direct.sql("TRUNCATE t%d" % self.number)
        if self.rng.random() < 0.5:
            startup = dict(startup, statement_timeout=str(self.rng.randint(1, 3)))
        try:
            c = self.d.connect(**startup)
        except (wire.ServerError, wire.Closed, ConnectionError):
            self.closed += 1
            return
        with c:
            k = Known(c, "%s with %s" % (name, startup))
            good = k.run([s.replace("INSERT INTO t ", table) for s in statements])
            if good and not k.warned:
                got = " ".join(r[0] for r in self.direct.sql("SELECT n FROM t%d ORDER BY n" % self.number))
                equal(got, there, "rows behind %s, without an error" % k.what)
        self.good += good
        self.bad += not good
        self.closed += k.closed


@test
def storm(t):
    """all of them at once, while pg_cancel_backend() hits whatever runs, and with a statement_timeout of 1 to 3 ms"""
    threads, each = 6, int(os.environ.get("PGWITH_TEST_CANCELS", "60"))
    t.sql(";".join("CREATE TABLE t%d (n int)" % n for n in range(threads)) + "; CREATE SEQUENCE s")
    d = t.daemon(size=4, listen_mode="shared")
    storms = [Storm(t, d, n, each) for n in range(threads)]
    mine = t.direct(application_name="direct")
    for s in storms:
        s.start()
    cancelled = 0
    while any(s.is_alive() for s in storms):
        cancelled += len(mine.sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                                  "AND application_name <> 'direct' AND state <> 'idle' AND random() < 0.8"))
        time.sleep(t.random.random() / 1000)
    errors = [s.error for s in storms if s.error]
    for e in errors:
        note(e)
    equal(len(errors), 0, "threads that ended by an error")
    note("%d cancels; %d programs went well, %d had an error, %d sessions closed" % (
        cancelled, sum(s.good for s in storms), sum(s.bad for s in storms), sum(s.closed for s in storms)))
    check(sum(s.good for s in storms) > 0 and sum(s.bad for s in storms) > 0, "both have happened")


if __name__ == "__main__":
    main()
