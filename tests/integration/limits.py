"""Time limits of a pool: scope_deadline, idle_in_scope_timeout, query_timeout. What is too long is cancelled and
rolled back, the client is told why by its next statement, and its session and the server connection go on."""

import time

from pgwtest import check, equal, main, seconds, slow_factor, test, wait_until, wire
from pgwtest.steady import steady

LIMIT = 0.4  # seconds, of each limit here
SWEEP = 0.1  # of the daemon


def start(t, limit, **pool):
    t.sql("CREATE TABLE x (a int)")
    return t.daemon(**{limit: "%dms" % (1000 * LIMIT), "size": 1, **pool})


def rows(t):
    return t.sql("SELECT a FROM x ORDER BY a")


def states(r):
    return [e.sqlstate for e in r.errors]


def in_time(took, what):
    """Between the limit and the limit, two sweeps and some time to do it. The daemon's time is that of the
    beginning of its turn."""
    check(LIMIT - 0.01 <= took, "%s: not before the limit (%.3f s)" % (what, took))
    check(took <= LIMIT + 2 * SWEEP + 2 * slow_factor(), "%s: soon after the limit (%.3f s)" % (what, took))


def is_told(c, limit, what, ask=None):
    """Everything but the end is refused, with the reason."""
    for sql in ("SELECT 1", "INSERT INTO x VALUES (9)", "BEGIN", "SAVEPOINT a", "SHOW SCOPES", "COMMIT; SELECT 1"):
        r = (ask or c.ask)(sql)
        equal((states(r), r.status, r.rows), (["57014"], "E", []), "%s: %s" % (what, sql))
        e = r.errors[0]
        check("%s, %dms" % (limit, 1000 * LIMIT) in e.message and "ROLLBACK" in e.hint,
              "%s: the reason: %s" % (what, e.message))


def goes_on(t, d, c, pid, what, end="ROLLBACK", ask=None):
    """The transaction is gone while the client still has to end it; then session and server are as before."""
    equal(rows(t), [], what + ": rows")
    d.quiet()
    equal(d.server_pids(), {pid}, what + ": the same server")
    r = (ask or c.ask)(end)
    equal((r.tags, r.errors, r.status), (["ROLLBACK"], [], "I"), "%s: %s" % (what, end))
    equal(c.backend(), pid, what + ": the session goes on")
    c.sql("BEGIN; INSERT INTO x VALUES (7); COMMIT")
    equal(rows(t), [("7",)], what + ": and commits")
    t.sql("DELETE FROM x")


@test
def query_alone(t):
    """a statement outside a transaction that is longer than query_timeout is cancelled, and nothing else"""
    d = start(t, "query_timeout")
    c = t.client(d)
    pid = c.backend()
    for ask in (c.ask, c.ask_extended):
        took, r = seconds(ask, "SELECT pg_sleep(30)")
        equal((states(r), r.status), (["57014"], "I"), "cancelled")
        in_time(took, "alone")
        equal(c.value("SELECT 5"), "5", "the next one")
    # Many short ones in a pipeline are not one long one.
    for data in (wire.query("SELECT pg_sleep(0.2)"), wire.extended("SELECT pg_sleep(0.2)") + wire.sync()):
        c.send(data * 4)
        for _ in range(4):
            equal(c.until_ready().errors, [], "many in a pipeline")
    took, r = seconds(c.ask, "SELECT 1; SELECT pg_sleep(30); SELECT 2")
    equal(states(r), ["57014"], "one of many")
    in_time(took, "one of many")
    d.quiet()
    equal(d.server_pids(), {pid}, "the same server")


@test
def query_in_transaction(t):
    """in a transaction, its client gets the error of the statement, and the transaction is rolled back at once"""
    d = start(t, "query_timeout")
    c = t.client(d)
    pid = c.backend()
    for ask in (c.ask, c.ask_extended):
        for end in ("ROLLBACK", "COMMIT", "END WORK", "abort"):
            for first in (["BEGIN", "INSERT INTO x VALUES (1)"], ["BEGIN"])[:2 if end == "COMMIT" else 1]:
                for sql in first:
                    equal(c.ask(sql).errors, [], sql)
                took, r = seconds(ask, "SELECT pg_sleep(30)")
                equal((states(r), r.status), (["57014"], "E"), "cancelled")
                in_time(took, "in a transaction")
                goes_on(t, d, c, pid, "%s, %s" % (ask.__name__, end), end, ask)
        c.sql("BEGIN")
        ask("SELECT pg_sleep(30)")
        is_told(c, "query_timeout", ask.__name__)
        r = c.ask_extended("SELECT 1")
        equal((states(r), r.status), (["57014"], "E"), "by the extended protocol")
        c.sql("ROLLBACK")
    equal(states(c.ask("BEGIN; INSERT INTO x VALUES (1); SELECT pg_sleep(30)")), ["57014"], "one message")
    goes_on(t, d, c, pid, "one message")


@test
def end_by_extended(t):
    """the end by the extended protocol: described, named, in pieces; COMMIT is answered ROLLBACK"""
    d = start(t, "query_timeout")
    c = t.client(d)
    pid = c.backend()

    def expire():
        c.sql("BEGIN; INSERT INTO x VALUES (1)")
        equal(states(c.ask("SELECT pg_sleep(30)")), ["57014"], "cancelled")
    c.send(wire.parse("COMMIT", "end") + wire.parse("SELECT 1", "other") + wire.sync())
    equal(c.until_ready().kinds, "11Z", "prepared before")
    expire()
    c.send(wire.bind(statement="end") + wire.describe() + wire.execute() + wire.sync())
    r = c.until_ready()
    equal((r.kinds, r.tags, r.status), ("2nCZ", ["ROLLBACK"], "I"), "a named COMMIT")
    expire()
    c.send(wire.parse("COMMIT") + wire.sync())
    equal((c.until_ready().kinds, rows(t)), ("1Z", []), "Parse")
    c.send(wire.describe("S") + wire.bind() + wire.sync() + wire.bind() + wire.execute() + wire.sync())
    r, s = c.until_ready(), c.until_ready()
    equal((r.kinds, r.status), ("tn2Z", "E"), "Describe and Bind")
    equal((s.kinds, s.tags, s.status), ("2CZ", ["ROLLBACK"], "I"), "Bind and Execute")
    expire()
    for what, data in (("another named", wire.bind(statement="other")), ("no statement", wire.bind(statement="no")),
                       ("no portal", wire.execute()), ("another text", wire.parse("SELECT 2")),
                       ("a portal that a Sync has ended", wire.parse("COMMIT") + wire.bind() + wire.sync() +
                        wire.execute()),
                       ("a function", wire.message("F", b"\0\0\0\1\0\0\0\0\0\0"))):
        c.send(data + (b"" if what == "a function" else wire.query("SELECT 1") + wire.sync()))
        r = c.until_ready()
        if what.startswith("a portal"):
            r = c.until_ready()
        equal((states(r), r.status), (["57014"], "E"), what)
    c.send(wire.close_("S", "other") + wire.close_("S", "end") + wire.sync())
    equal(c.until_ready().kinds, "33Z", "closed")
    goes_on(t, d, c, pid, "at last")
    c.send(wire.parse("SELECT 3", "other") + wire.bind(statement="other") + wire.execute() + wire.sync())
    equal(c.until_ready().rows, [("3",)], "the closed name is free")


@test
def idle(t):
    """a transaction whose client says nothing for idle_in_scope_timeout is rolled back; one that talks is not"""
    d = start(t, "idle_in_scope_timeout")
    c = t.client(d)
    pid = c.backend()

    def talks():
        c.ask("ROLLBACK")
        c.sql("BEGIN")
        c.sql("INSERT INTO x VALUES (1)")
        for _ in range(8):
            time.sleep(LIMIT / 4)
            equal(c.ask("SELECT 1").errors, [], "it talks")

    def is_silent():
        talks()
        equal(c.ask("SELECT pg_sleep(%f)" % (2 * LIMIT)).errors, [], "it waits for an answer")
        took, _ = seconds(wait_until, lambda: not d.leased(), 5, "the server is free")
        in_time(took, "idle")

    for end in ("ROLLBACK", "COMMIT"):
        steady(is_silent, margin=0.01)
        goes_on(t, d, c, pid, "idle", end)
    c.sql("BEGIN; INSERT INTO x VALUES (1)")
    equal(states(c.ask("SELECT 1/0")), ["22012"], "a transaction that has failed")
    wait_until(lambda: not d.leased(), 5, "that one too")
    is_told(c, "idle_in_scope_timeout", "failed")
    goes_on(t, d, c, pid, "failed")
    time.sleep(2 * LIMIT)
    equal(c.value("SELECT 1"), "1", "outside a transaction it may be silent")


@test
def idle_in_exchange(t):
    """in the middle of the extended protocol the client is told at once, and its Sync is answered"""
    d = start(t, "idle_in_scope_timeout")
    c = t.client(d)
    pid = c.backend()
    for begin, status in (("BEGIN", "E"), ("", "I")):
        for more in (wire.flush(), b""):
            c.sql(begin + "; INSERT INTO x VALUES (1)" if begin else "")
            # The daemon counts from its answer, which may be read late: what is measured must not begin later.
            began = time.monotonic()
            c.send(wire.extended("INSERT INTO x VALUES (2)") + more)
            if not more and not begin:
                # Nobody can know that nothing runs.
                c.send(wire.sync())
                c.until_ready()
                t.sql("DELETE FROM x")
                continue
            if more:
                equal(c.until("C").tags, ["INSERT 0 1"], "an answer")
                r = c.until("E")
                equal(states(r), ["57014"], "told at once")
                in_time(time.monotonic() - began, "in an exchange")
                check("idle_in_scope_timeout" in r.errors[0].message, "why: " + r.errors[0].message)
                wait_until(lambda: not d.leased(), 5, "the server is free")
            c.send(wire.extended("SELECT 1") + wire.sync())
            r = c.until_ready()
            if more:
                equal((r.kinds, r.status), ("Z", status), "up to Sync")
            if begin and more:
                goes_on(t, d, c, pid, "in an exchange")
            elif begin:
                c.sql("ROLLBACK")
            else:
                equal(rows(t), [], "nothing is done")
    equal(c.backend(), pid, "the same server")


@test
def idle_in_copy(t):
    """COPY FROM STDIN without data: the COPY fails, the transaction is rolled back"""
    for limit in ("idle_in_scope_timeout", "query_timeout"):
        t.new_database()
        d = start(t, limit)
        c = t.client(d)
        pid = c.backend()
        c.sql("BEGIN; INSERT INTO x VALUES (1)")
        c.send(wire.query("COPY x FROM STDIN"))
        c.until("G")
        c.send(wire.copy_data(b"2\n"))
        r = c.until_ready()
        equal((states(r), r.status), (["57014"], "E"), limit + ": a COPY in a transaction")
        c.send(wire.copy_data(b"3\n") + wire.copy_done())
        is_told(c, limit, "COPY")
        goes_on(t, d, c, pid, "COPY")
        began = time.monotonic()
        c.send(wire.query("COPY x FROM STDIN"))
        c.until("G")
        r = c.until_ready()
        equal((states(r), r.status), (["57014"], "I"), limit + ": a COPY alone")
        in_time(time.monotonic() - began, "a COPY alone")
        c.send(wire.copy_data(b"3\n") + wire.copy_done())
        equal((c.backend(), rows(t)), (pid, []), "it goes on")

        def copies():
            c.send(wire.query("COPY x FROM STDIN"))
            c.until("G")
            for i in range(8 if limit.startswith("idle") else 1):
                c.send(wire.copy_data(b"%d\n" % i))
                time.sleep(LIMIT / 4)
            c.send(wire.copy_done())
            equal(c.until_ready().errors, [], "data come slowly")

        steady(copies, margin=LIMIT / 8)
        d.quiet()


@test
def deadline(t):
    """a transaction older than scope_deadline ends, whatever its client does; the next one has its own time"""
    for lazy in ("on", "off"):
        t.new_database()
        d = start(t, "scope_deadline", lazy_begin=lazy)
        c = t.client(d)
        pid = c.backend()

        def busy():
            while not states(c.ask("SELECT 1")):
                pass
        for what, sql, how in (("busy", "BEGIN; INSERT INTO x VALUES (1)", busy),
                               ("long", "BEGIN", lambda: c.ask("INSERT INTO x SELECT 1 FROM pg_sleep(30)")),
                               ("one message", "", lambda: c.ask("BEGIN; SELECT pg_sleep(30)")),
                               ("idle", "BEGIN; INSERT INTO x VALUES (1)",
                                lambda: wait_until(lambda: not d.leased(), 5, "free"))):
            before = time.monotonic()
            c.sql(sql)
            how()
            in_time(time.monotonic() - before, what)
            is_told(c, "scope_deadline", what)
            goes_on(t, d, c, pid, what)
        equal(c.ask("SELECT pg_sleep(%f)" % (2 * LIMIT)).errors, [], "no transaction")
        for end in ("COMMIT; BEGIN", "COMMIT AND CHAIN", "ROLLBACK AND CHAIN"):
            c.sql("BEGIN; SELECT 1")
            for _ in range(6):
                equal(c.ask("SELECT pg_sleep(%f)" % (LIMIT / 3)).errors, [], "short ones: " + end)
                equal(c.ask(end).errors, [], end)
            c.sql("COMMIT")
        d.quiet()


@test
def kept(t):
    """sessions that keep their server: of mode session, and pinned ones; what pins them stays"""
    for pool in ({"mode": "session"}, {}):
        t.new_database()
        d = start(t, "scope_deadline", query_timeout="%dms" % (1000 * LIMIT), **pool)
        c = t.client(d)
        pid = c.backend()
        c.sql("LISTEN news; SELECT 1")
        time.sleep(1.5 * LIMIT)

        def has_its_time():
            c.ask("ROLLBACK")
            c.sql("BEGIN")
            equal(c.ask("SELECT pg_sleep(%f)" % (LIMIT / 2)).errors, [], "its own time")
            equal(c.ask("COMMIT").tags, ["COMMIT"], "COMMIT")

        for _ in range(4):
            steady(has_its_time, margin=LIMIT / 8)
        for ask in (c.ask, c.ask_extended):
            for end in ("ROLLBACK", "COMMIT"):
                c.sql("BEGIN; INSERT INTO x VALUES (1)")
                took, r = seconds(ask, "SELECT pg_sleep(30)")
                equal((states(r), r.status), (["57014"], "E"), "cancelled")
                in_time(took, "kept")
                equal(rows(t), [], "rolled back")
                equal([states(ask("SELECT 1")), states(ask("LISTEN b"))], [["57014"]] * 2, "told")
                r = ask(end)
                equal((r.tags, r.status), (["ROLLBACK"], "I"), end)
                equal(c.backend(), pid, "the same server")
        c.sql("BEGIN; INSERT INTO x VALUES (1)")
        time.sleep(LIMIT + 3 * SWEEP)
        equal((rows(t), states(c.ask("SELECT 1"))), ([], ["57014"]), "idle, too long")
        c.sql("ROLLBACK")
        t.sql("NOTIFY news")
        r = c.ask("SELECT 1")
        check("A" in r.kinds or "A" in c.ask("SELECT pg_sleep(0.1)").kinds, "it listens still: " + r.kinds)


@test
def late_cancel(t):
    """the cancel of what took too long, if it comes late, hits nothing of a session that keeps its server"""
    proxy = t.proxy()
    d = start(t, "scope_deadline", conninfo=t.conninfo(host=proxy.directory, port=proxy.port), cleanup_timeout="30s")
    t.sql("SELECT pg_advisory_lock(1)")
    c = t.client(d)
    c.sql("LISTEN news; SELECT 1")
    c.sql("BEGIN")
    proxy.cancel_gate.clear()
    c.send(wire.query("SELECT pg_advisory_lock(1)"))
    wait_until(lambda: proxy.cancels > 0, 5, "the cancel is under way")
    # The query ends by itself, before the cancel arrives.
    t.sql("SELECT pg_advisory_unlock(1)")
    wait_until(lambda: c.until_ready(), 5, "its answer")
    c.send(wire.query("ROLLBACK") + wire.query("SELECT pg_sleep(0.2)"))
    check(c.silent(0.3), "nothing of the client's runs while the cancel is under way")
    proxy.cancel_gate.set()
    equal([states(c.until_ready()) for _ in range(2)], [[], []], "what was sent meanwhile")


@test
def scopes(t):
    """scopes end by the same limits, and say so until they are exited"""
    d = start(t, "query_timeout", idle_in_scope_timeout="%dms" % (1500 * LIMIT))
    c = t.client(d)
    pid = c.backend()
    c.sql("ENTER a; INSERT INTO x VALUES (1); ENTER b")
    took, r = seconds(c.ask, "SELECT pg_sleep(30)")
    equal((states(r), r.status), (["57014"], "E"), "cancelled")
    in_time(took, "in a scope")
    r = c.ask("SELECT 1")
    equal(states(r), ["57014"], "told")
    check('"a"' in r.errors[0].message and "query_timeout, 400ms" in r.errors[0].message, r.errors[0].message)
    d.quiet()
    equal((rows(t), states(c.ask("EXIT")), states(c.ask("EXIT ROLLBACK"))), ([], ["57014"], []), "exited")

    def asks():
        c.ask("EXIT ALL ROLLBACK")
        c.sql("ENTER a; INSERT INTO x VALUES (1); ENTER LOCK 'l'")
        for _ in range(8):
            time.sleep(LIMIT / 4)
            equal(c.ask("SHOW SCOPES").errors, [], "a client that asks is not silent")

    steady(asks, margin=LIMIT / 8)
    wait_until(lambda: not d.leased(), 5, "the server is free")
    r = c.ask("SELECT 1")
    check("idle_in_scope_timeout, 600ms" in r.errors[0].message, r.errors[0].message)
    c.ask("EXIT ALL ROLLBACK")
    equal((rows(t), c.backend()), ([], pid), "rolled back")


@test
def scopes_in_transaction(t):
    """the client's own transaction with scopes inside: all end, and COMMIT is a ROLLBACK"""
    d = start(t, "scope_deadline", size=2)
    c = t.client(d)
    for inside in ("ENTER s", "ENTER LOCK 'l'", "ENTER b NEW"):
        before = time.monotonic()
        c.sql("BEGIN; INSERT INTO x VALUES (1)")
        c.sql(inside)
        r = c.ask("SELECT pg_sleep(30)")
        in_time(time.monotonic() - before, inside)
        equal(states(r), ["57014"], inside)
        wait_until(lambda: not d.leased(), 5, "all servers are free")
        equal((states(c.ask("SELECT 1")), rows(t)), (["57014"], []), "told")
        r = c.ask("EXIT ALL ROLLBACK")
        equal((r.errors, r.status), ([], "E"), "exited, and the transaction is still to be ended")
        is_told(c, "scope_deadline", inside)
        equal(c.ask("COMMIT").tags, ["ROLLBACK"], "COMMIT")
        equal((c.ask("SELECT 1").errors, c.ask("SHOW SCOPES").rows), ([], []), "as before")
    c.sql("ENTER LOCK 'l'; BEGIN; INSERT INTO x VALUES (1)")
    wait_until(lambda: not d.leased(), 5, "a transaction inside a lock")
    is_told(c, "scope_deadline", "inside a lock")
    equal((c.ask("COMMIT").tags, c.ask("EXIT").errors, rows(t)), (["ROLLBACK"], [], []), "the lock is kept, and exited")
    d.quiet()


@test
def commit_at_the_limit(t):
    """a COMMIT that comes about when the limit passes is answered COMMIT if the rows are there, and only then"""
    seen = set()
    for limit in ("query_timeout", "scope_deadline", "idle_in_scope_timeout"):
        for pool in ({}, {"mode": "session"}):
            t.new_database()
            d = start(t, limit, **pool)
            c = t.client(d)
            for i in range(4):
                begin = t.random.choice(("BEGIN; INSERT INTO x VALUES (%d)" % i, "INSERT INTO x VALUES (%d)" % i))
                if not begin.startswith("BEGIN"):
                    c.sql("BEGIN")
                c.sql(begin)
                wait = LIMIT + t.random.uniform(-0.05, 0.2)
                extended = t.random.random() < 0.5
                end = wire.extended("COMMIT") + wire.sync() if extended else wire.query("COMMIT")
                if limit.startswith("idle"):
                    time.sleep(wait)
                    c.send(end)
                elif t.random.random() < 0.5:
                    c.send(wire.query("SELECT pg_sleep(%f)" % wait) + end)
                    c.until_ready()
                else:
                    c.send(wire.query("SELECT pg_sleep(%f)" % wait))
                    c.until_ready()
                    c.send(end)
                r = c.until_ready()
                if r.errors:  # behind one another in a pipeline, the end itself may be what is skipped
                    equal(states(r), ["57014"], "an error")
                    r = c.ask("ROLLBACK")
                here = (str(i),) in rows(t)
                equal((r.tags, r.status), (["COMMIT" if here else "ROLLBACK"], "I"), "%s, %d" % (limit, i))
                seen.add(here)
                equal(c.value("SELECT 1"), "1", "it goes on")
    equal(seen, {True, False}, "both have happened")


@test
def gone_while_ending(t):
    """a client that leaves while its transaction is ended, or after"""
    d = start(t, "query_timeout")
    for when in (LIMIT - 0.02, LIMIT + 0.05, LIMIT + 0.15, LIMIT + 0.5):
        for _ in range(3):
            c = t.client(d)
            c.sql("BEGIN; INSERT INTO x VALUES (1)")
            c.send(wire.query("SELECT pg_sleep(30)"))
            time.sleep(when)
            c.drop()
            d.quiet()
    equal((rows(t), len(d.server_pids())), ([], 1), "nothing is left")


if __name__ == "__main__":
    main()
