"""Joined scopes: limits and cancels of one member, of its own or from outside, end that member's unit or that member, and
nothing else. Compared with a direct connection where that is defined."""

import os
import signal
import threading
import time

from pgwtest import Skip, check, equal, main, note, test, wait_until, wire
from pgwtest.joined import enter, enter_token


class Trouble:
    """Calls make(), again and again, in a thread."""

    def __init__(self, make):
        self.make = make
        self.count = 0
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.stop.is_set():
            self.make()
            self.count += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.stop.set()
        self.thread.join(30)


def cancelling(t, pid, pause):
    """Cancels the backend, from outside."""
    client = t.direct()
    return Trouble(lambda: client.ask("SELECT pg_cancel_backend(%s), pg_sleep(%s)" % (pid, pause)))


def stopping(pid):
    """Stops the backend for some milliseconds, so that a timeout of one has passed wherever it is."""
    def stop():
        os.kill(int(pid), signal.SIGSTOP)
        time.sleep(0.002)
        os.kill(int(pid), signal.SIGCONT)
        time.sleep(0.0005)
    return Trouble(stop)


class Model:
    """Random units of several members, of which any may fail by 57014; what is in the table is what they were told."""

    def __init__(self, t, members):
        self.random, self.members = t.random, members
        self.next = 0
        self.rows = set()
        self.units = self.failed = 0

    def ask(self, w, sql):
        r = w.ask(sql) if self.random.random() < 0.6 else w.ask_extended(sql)
        for e in r.errors:
            check(e.sqlstate in ("57014", "25P02"), "the error of %r: %s" % (sql, e))
        return r

    def insert(self):
        self.next += 1
        return "INSERT INTO t VALUES (%d)" % self.next, self.next

    def alone(self, w):
        sql, n = self.insert()
        r = self.ask(w, sql)
        equal(r.status, "I", "the status behind a statement")
        if not r.errors:
            self.rows.add(n)
        return bool(r.errors)

    def block(self, w):
        mine, failed, point = set(), False, None
        r = self.ask(w, self.random.choice(("BEGIN", "BEGIN", "BEGIN READ WRITE", "BEGIN ISOLATION LEVEL SERIALIZABLE")))
        if r.errors:
            equal(r.status, "I", "the status behind a BEGIN that has failed")
            return True
        for _ in range(self.random.randrange(4)):
            roll = self.random.random()
            if roll < 0.6 or (point is None and roll > 0.85):
                sql, n = self.insert()
            else:
                sql, n = ("SAVEPOINT s" if roll < 0.85 else "ROLLBACK TO s"), None
            r = self.ask(w, sql)
            if r.errors:
                failed = True
            elif n:
                mine.add(n)
            elif sql == "SAVEPOINT s":
                point = set(mine)
            else:
                mine, failed = set(point), False
            equal(r.status, "E" if failed else "T", "the status behind " + sql)
        commit = self.random.random() < 0.7
        r = self.ask(w, "COMMIT" if commit else "ROLLBACK")
        if r.errors and r.status == "E":
            # Its Parse was hit: as on a direct connection, the transaction is open still.
            failed = True
            wait_until(lambda: self.ask(w, "ROLLBACK").status == "I", 10, "it can be rolled back")
        else:
            equal(r.status, "I", "the status behind the end")
        if commit and not failed and not r.errors:
            equal(r.tags, ["COMMIT"], "the tag")
            self.rows |= mine
        return failed or bool(r.errors)

    def reads(self, w):
        r = self.ask(w, "BEGIN READ ONLY")
        if r.errors:
            equal(r.status, "I", "the status behind a BEGIN that has failed: %s" % r.errors[0])
            return True
        e = w.ask("INSERT INTO t VALUES (-1)").errors[0]
        check(e.sqlstate in ("25006", "57014"), "writing in READ ONLY: %s" % e)
        equal(w.ask("ROLLBACK").status, "I", "the status")
        return e.sqlstate == "57014"

    def unit(self):
        w = self.random.choice(self.members)
        self.units += 1
        self.failed += self.random.choice((self.alone, self.alone, self.block, self.reads))(w)


def model(t, seconds, members, trouble):
    m = Model(t, members)
    end = time.monotonic() + seconds
    with trouble:
        while time.monotonic() < end:
            m.unit()
    wait_until(lambda: not members[0].ask("SELECT 1").errors, 10, "the last cancel is over")
    equal(members[0].value("SELECT string_agg(n::text, ',' ORDER BY n) FROM t"),
          ",".join(str(n) for n in sorted(m.rows)) or None, "what the units have left")
    return m


@test(timeout=120)
def cancels_from_outside(t):
    """pg_cancel_backend from outside, again and again: it ends units, and never the scope or what has been committed"""
    t.sql("CREATE TABLE t (n int UNIQUE)")
    d = t.daemon()
    c, member = enter(t, d)
    members = [member() for _ in range(3)]
    pid = members[0].value("SELECT pg_backend_pid()")
    for pause in "0.02", "0.001":
        hammer = cancelling(t, pid, pause)
        m = model(t, 4, members, hammer)
        note("%d cancels in %d units, of which %d have failed" % (hammer.count, m.units, m.failed))
        check(m.failed > 0, "none has failed")
        members[0].sql("DELETE FROM t")
    members[0].sql("INSERT INTO t VALUES (7)")
    c.sql("EXIT")
    equal(t.value("SELECT string_agg(n::text, ',') FROM t"), "7", "rows")
    d.quiet()


@test(timeout=120)
def cancels_of_rollbacks(t):
    """the same while transactions that have failed are ended by the extended protocol, whose portal PostgreSQL warns of"""
    t.sql("CREATE TABLE t (n int)")
    d = t.daemon()
    c, member = enter(t, d)
    w, calm = member(), member()
    done = failed = 0
    with cancelling(t, calm.value("SELECT pg_backend_pid()"), 0.0006) as hammer:
        end = time.monotonic() + 4
        while time.monotonic() < end:
            if not w.ask("BEGIN").errors:
                w.ask("SELECT 1/0")
                r = w.ask_extended(t.random.choice(("COMMIT", "ROLLBACK")))
                equal(r.status, "I" if not r.errors else "E", "the status")
                if r.errors:
                    w.ask("ROLLBACK")
                    failed += 1
            done += not w.ask("INSERT INTO t VALUES (1)").errors
    note("%d cancels in %d units" % (hammer.count, done))
    check(done > 0, "nothing was done")
    equal(calm.value("SELECT count(*) FROM t"), str(done), "what was answered is kept")
    check(not c.ask("EXIT").errors, "the scope has lived")
    equal(t.value("SELECT count(*) FROM t"), str(done), "and is committed")


@test(timeout=180)
def small_statement_timeouts(t):
    """a statement_timeout of 1 ms, set in every way, hits anywhere: it ends units of its member, and never the scope"""
    t.sql("CREATE TABLE t (n int UNIQUE)")
    d = t.daemon()
    c, member = enter(t, d)
    calm = member()
    pid = calm.value("SELECT pg_backend_pid()")
    for how in "SET", "option", "set_config", "SET LOCAL":
        w = member(statement_timeout="1") if how == "option" else member()
        statement = {"SET": "SET statement_timeout = 1", "set_config": "SELECT set_config('statement_timeout', '1', false)"}
        while how in statement and w.ask(statement[how]).errors:
            pass
        m = Model(t, [w])
        with stopping(pid):
            end = time.monotonic() + 2
            while time.monotonic() < end:
                if how == "SET LOCAL":
                    w.ask("BEGIN")
                    w.ask("SET LOCAL statement_timeout = 1")
                    w.ask("SELECT 1")
                    w.ask("COMMIT")
                m.unit()
                check(calm.value("SELECT 1") == "1", "another member is hit")
        if how != "SET LOCAL":
            equal([e.sqlstate for e in w.ask("SELECT pg_sleep(0.1)").errors], ["57014"], "a long one")
        note("%s: %d units, of which %d have failed" % (how, m.units, m.failed))
        equal(calm.value("SELECT string_agg(n::text, ',' ORDER BY n) FROM t"),
              ",".join(str(n) for n in sorted(m.rows)) or None, "what the units have left")
        equal(calm.value("SHOW statement_timeout"), "0", "another member's")
        calm.sql("DELETE FROM t")
        w.close()
    calm.sql("INSERT INTO t VALUES (7)")
    c.sql("EXIT")
    equal(t.value("SELECT string_agg(n::text, ',') FROM t"), "7", "rows")
    d.quiet()


@test
def statement_timeout_of_the_role(t):
    """a small statement_timeout that the role or the database has by itself hits no statement of ours"""
    t.sql("CREATE TABLE t (n int UNIQUE)")
    t.sql('ALTER DATABASE "%s" SET statement_timeout = 25' % t.database)
    d = t.daemon()
    c, member = enter(t, d)
    w = member()
    equal(w.value("SHOW statement_timeout"), "25ms", "the member's")
    pid = w.value("SELECT pg_backend_pid()")

    def stop():
        os.kill(int(pid), signal.SIGSTOP)
        time.sleep(0.03)
        os.kill(int(pid), signal.SIGCONT)
        time.sleep(0.0005)
    m = model(t, 3, [w], Trouble(stop))
    note("%d units, of which %d have failed" % (m.units, m.failed))
    w.ask("RESET ALL")
    equal([e.sqlstate for e in w.ask("SELECT pg_sleep(2)").errors], ["57014"], "a long one behind RESET ALL")
    equal(w.value("SHOW statement_timeout"), "25ms", "the member's")
    c.sql("EXIT")
    d.quiet()


@test
def timeouts_and_deferred_checks(t):
    """statement_timeout does not hit what a COMMIT does, and lock_timeout does, as on a direct connection"""
    t.sql("CREATE TABLE t (n int)")
    t.sql("CREATE TABLE locked (n int)")
    t.sql("CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
          "$$ BEGIN IF NEW.n < 0 THEN LOCK TABLE locked; ELSE PERFORM pg_sleep(0.4); END IF; RETURN NULL; END $$")
    t.sql("CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()")
    d = t.daemon()
    c, member = enter(t, d)
    holder = t.direct()
    holder.sql("BEGIN")
    holder.sql("LOCK TABLE locked")
    answers = []
    for w in t.direct(), member():
        w.sql("SET statement_timeout = '200ms'")
        got = [w.ask(s).tags for s in ("BEGIN", "INSERT INTO t VALUES (1)", "COMMIT")]
        got.append(w.ask("INSERT INTO t VALUES (2)").tags)
        w.sql("SET statement_timeout = 0")
        w.sql("SET lock_timeout = '50ms'")
        for s in "BEGIN", "INSERT INTO t VALUES (-1)", "COMMIT", "INSERT INTO t VALUES (-1)":
            r = w.ask(s)
            got.append((r.tags, [e.sqlstate for e in r.errors], r.status))
        answers.append(got)
        w.sql("DELETE FROM t")
    equal(answers[1], answers[0], "the answers")
    c.sql("EXIT")
    d.quiet()


IDLE = "idle_in_transaction_session_timeout"


@test
def idle_in_transaction(t):
    """a member that breaks its own idle_in_transaction_session_timeout is ended as by PostgreSQL, and nobody else"""
    t.sql("CREATE TABLE t (n int UNIQUE)")
    d = t.daemon()
    c, member = enter(t, d)
    calm = member()
    ways = (("option", ["BEGIN"], {IDLE: "300ms"}),
            ("SET before", ["SET %s = 300" % IDLE, "BEGIN"], {}),
            ("SET in it", ["BEGIN", "SET %s TO '300ms'" % IDLE], {}),
            ("SET LOCAL", ["BEGIN", "SET LOCAL %s = 300" % IDLE], {}),
            ("set_config", ["BEGIN; SELECT set_config('%s', '300', false)" % IDLE], {}),
            ("in a savepoint", ["BEGIN", "SAVEPOINT s", "SET %s = 300" % IDLE], {}),
            ("in a failed one", ["SET %s = 300" % IDLE, "BEGIN", "SELECT 1/0"], {}))
    for how, statements, options in ways:
        told = []
        for w in t.direct(**options), member(**options):
            for s in statements:
                w.ask(s)
            if how != "in a failed one":
                w.ask("INSERT INTO t VALUES (1)")
                equal(w.value("SHOW " + IDLE), "300ms", "the member's own: " + how)
            began = time.monotonic()
            e = w.until_closed().errors[-1]
            told.append((e.severity, e.sqlstate, e.message))
            check(time.monotonic() - began > 0.1, "too early: " + how)
        equal(told[1], told[0], how)
        equal(calm.value("SELECT count(*) FROM t"), "0", "what its unit has left")
        equal(calm.value("SHOW " + IDLE), "0", "another member's")
    # One that is back in time, one that has taken it back, one whose statement is long, one outside of a BEGIN.
    w = member()
    w.ask("BEGIN")
    w.ask("SET %s = '700ms'" % IDLE)
    for _ in range(6):
        time.sleep(0.2)
        w.sql("SELECT 1")
    w.sql("SELECT pg_sleep(1)")
    w.ask("SAVEPOINT s")
    w.ask("SET %s = 100" % IDLE)
    equal(w.ask("ROLLBACK TO s").tags, ["ROLLBACK"], "the tag")
    equal(w.value("SHOW " + IDLE), "700ms", "behind ROLLBACK TO")
    w.ask("SET %s = 0" % IDLE)
    time.sleep(0.8)
    w.sql("INSERT INTO t VALUES (2)")
    w.ask("COMMIT")
    w.ask("SET %s = 200" % IDLE)
    time.sleep(0.4)
    equal(w.value("SHOW " + IDLE), "200ms", "outside of a BEGIN")
    w.ask("BEGIN; SET %s = 10000" % IDLE)
    w.ask("ROLLBACK")
    equal(w.value("SELECT setting FROM pg_settings WHERE name = '%s'" % IDLE), "200", "behind a ROLLBACK")
    equal([w.ask(s).tags for s in ("RESET ALL", "BEGIN")], [["RESET"], ["BEGIN"]], "the tags")
    time.sleep(0.4)
    w.sql("COMMIT")
    c.sql("EXIT")
    equal(t.value("SELECT string_agg(n::text, ',') FROM t"), "2", "rows")
    d.quiet()


@test
def idle_limit_of_the_role(t):
    """an idle_in_transaction_session_timeout that the database has ends a member, and not the scope"""
    t.sql('ALTER DATABASE "%s" SET %s = 300' % (t.database, IDLE))
    d = t.daemon()
    c, member = enter(t, d)
    w, calm = member(), member()
    time.sleep(0.5)
    equal(calm.value("SHOW " + IDLE), "300ms", "its value")
    w.ask("BEGIN")
    equal(w.until_closed().errors[-1].sqlstate, "25P03", "what it is told")
    equal(calm.value("SELECT 1"), "1", "another one goes on")
    calm.ask("SET %s = 0" % IDLE)
    calm.ask("BEGIN")
    time.sleep(0.5)
    equal(calm.ask("COMMIT").tags, ["COMMIT"], "the tag")
    c.sql("EXIT")
    d.quiet()


@test
def new_inside(t):
    """ENTER NEW of owner or member on a pool whose servers the scope has all: 40P01 with the circle, at once"""
    t.sql("CREATE TABLE t (n int)")
    d = t.daemon(size=1, wait_timeout="20s")
    c, member = enter(t, d)
    m = member()
    inner = None
    for w in c, m, inner:
        if w is None:
            token = enter_token(m, "ENTER i JOINABLE")
            w = d.connect("db", options="-c pgwith.join=" + token)
            t.defer(w.close)
        began = time.monotonic()
        e = w.ask("ENTER b ON db NEW").errors[0]
        equal(e.sqlstate, "40P01", "the error: %s" % e)
        check("waits for pool" in e.detail, "the circle: %s" % e.detail)
        check(time.monotonic() - began < 10, "at once")
        equal(w.value("SELECT 1"), "1", "it goes on")
    m.sql("EXIT")
    c.sql("EXIT")
    # With another server it is entered, or waited for, as that one can come back.
    d = t.daemon(size=2, wait_timeout="20s")
    c, member = enter(t, d)
    m, x = member(), d.connect("db")
    t.defer(x.close)
    m.sql("ENTER b NEW")
    m.sql("EXIT")
    x.sql("BEGIN")
    x.sql("SELECT 1")
    m.send(wire.query("ENTER b NEW"))
    wait_until(lambda: d.waiting("db") == 1, 5, "it waits")
    x.sql("COMMIT")
    check(not m.until_ready().errors, "it is entered")
    m.sql("EXIT")
    c.sql("EXIT")
    d.quiet()


@test
def who_does_not_read(t):
    """a member that does not read what it is told without PostgreSQL waits, and the scope is not lost"""
    d = t.daemon()
    c, member = enter(t, d)
    w = member()
    w.sock.settimeout(1)
    one = wire.query("COMMIT;" * 1000)
    try:
        for _ in range(400):
            w.sock.sendall(one)
        check(False, "all was taken, but nothing read")
    except OSError:
        pass
    equal(c.ask("SHOW SCOPES").rows[0][1], "a", "the scope")
    w.sock.close()
    equal(member().value("SELECT 1"), "1", "the next member")
    check(not d.log_has("joined scope lost"), "the scope is not lost")
    c.sql("EXIT")
    d.quiet()


@test
def gone_behind_much(t):
    """a member that hangs up in the middle of a message, behind much that waits for its query: the query is cancelled at once"""
    d = t.daemon()
    c, member = enter(t, d)
    w, other = member(), member()
    w.send(wire.query("SELECT pg_sleep(100)"))
    wait_until(lambda: any("pg_sleep" in r["query"] for r in t.activity()), 5, "the query runs")
    w.sock.settimeout(2)
    try:
        w.sock.sendall(wire.query("SELECT 1 /* %s */" % ("x" * 1000)) * 800 + wire.parse("SELECT $1") +
                       wire.bind([b"y" * 50000000])[:3000000])
    except OSError:
        pass
    w.sock.close()
    began = time.monotonic()
    equal(other.value("SELECT 1"), "1", "the next member")
    check(time.monotonic() - began < 25, "at once")
    c.sql("EXIT")
    d.quiet()


@test
def transaction_timeout(t):
    """transaction_timeout (PostgreSQL 17): a session that breaks its own is ended as by PostgreSQL, and nobody else; so is a member,
    while its scope goes on"""
    if int(t.direct().value("SHOW server_version_num")) < 170000:
        raise Skip("transaction_timeout came with PostgreSQL 17")
    limit = "SET transaction_timeout = '200ms'"
    d = t.daemon(size=3)
    other = t.client(d)
    for begin, sql in ((limit, "SELECT pg_sleep(60)"), (limit + "; BEGIN", "SELECT pg_sleep(60)"), (limit + "; BEGIN; SELECT 1", None)):
        got = []
        for connect in (t.direct, d.connect):
            c = connect()
            for text in begin.split("; "):
                c.sql(text)
            if sql:
                c.send(wire.query(sql))
            r = c.until_closed()
            got.append((r.kinds, [(e.severity, e.sqlstate) for e in r.errors]))
            c.drop()
        equal(got[0][1], [("FATAL", "25P04")], "by PostgreSQL")
        equal(got[1], got[0], "behind %s" % begin)
        equal(other.value("SHOW transaction_timeout"), "0", "another's")
    owner = d.connect()
    token = enter_token(owner)
    for how in (limit, "SET LOCAL transaction_timeout = '200ms'", None):
        options = {} if how else {"options": "-c transaction_timeout=200ms"}
        member = wire.Client(d.sockets, d.port, "db", timeout=20, **{"pgwith.join": token, **options})
        member.sql("BEGIN")
        if how:
            member.sql(how)
        member.send(wire.query("SELECT pg_sleep(60)"))
        equal([(e.severity, e.sqlstate) for e in member.until_closed().errors], [("FATAL", "25P04")], "the member, by %s" % how)
        member.drop()
        equal(owner.value("SHOW transaction_timeout"), "0", "the owner goes on")
    equal(owner.ask("EXIT a").errors, [], "its end")
    d.quiet()


if __name__ == "__main__":
    main()
