"""What a scope statement can ask for: WAIT, locks and semaphores, NEW, READ ONLY and isolation, USE, names; and SHOW
SCOPES."""

from pgwtest import check, equal, main, seconds, slow_factor, test, wait_until, wire
from pgwtest.scopelog import all_quiet, untouched, warm
from pgwtest.scopewire import frames, marks, refuses, scene, tags


@test
def wait(t):
    """WAIT bounds the wait of its item: 55P03 for locks and semaphores, 53300 for pools; '0' never waits"""
    d, c = scene(t, "p2", size=1)
    other = t.client(d)
    other.sql("ENTER LOCK 'l'; ENTER SEMAPHORE 's' LIMIT 1; ENTER x ON p2")
    for what, sqlstate, name in (("LOCK 'l'", "55P03", "l"), ("LOCK 'l' SHARED", "55P03", "l"),
                                 ("SEMAPHORE 's' LIMIT 1", "55P03", "s"), ("a ON p2", "53300", "p2")):
        for clause, least in (("'0'", 0), ("200", 0.2), ("'0.2s'", 0.2)):
            took, e = seconds(refuses, c, "ENTER %s WAIT %s" % (what, clause), sqlstate, '"%s"' % name, "I")
            check(least - 0.01 < took < least + 0.15 * slow_factor(), "%s WAIT %s: %.3f s" % (what, clause, took))
            check(("within" in e.message) == (least > 0), "%s WAIT %s: %s" % (what, clause, e.message))
            if what == "a ON p2" and not least:
                equal(e.message, 'no server connection of pool "p2" is free, and WAIT 0 does not wait', "the error")
        equal(frames(c), [], "nothing is entered")
    equal(d.waiting("p2"), 0, "nobody waits")
    other.sql("EXIT ALL")
    tags(c, "ENTER LOCK 'l' WAIT '0', SEMAPHORE 's' LIMIT 1 WAIT '0', a ON p2 WAIT '0'", ["ENTER"])
    tags(c, "EXIT ALL", ["EXIT ALL"], "I")
    all_quiet(d, "db", "p2")


@test
def locks(t):
    """locks: shared and exclusive, re-entered, upgraded; semaphores count every frame; LIMIT must agree"""
    d, a = scene(t)
    b = t.client(d)
    tags(a, "ENTER LOCK 'l', LOCK 'l' AS again, LOCK 'l' SHARED AS third", ["ENTER"])
    refuses(b, "ENTER LOCK 'l' SHARED WAIT '0'", "55P03")
    a.sql("EXIT; EXIT")
    refuses(b, "ENTER LOCK 'l' SHARED WAIT '0'", "55P03")
    a.sql("EXIT")
    tags(b, "ENTER LOCK 'l' SHARED", ["ENTER"])
    tags(a, "ENTER LOCK 'l' SHARED", ["ENTER"])
    equal(frames(a, "name", "kind"), [("l", "shared lock")], "SHOW SCOPES")
    refuses(a, "ENTER LOCK 'l' AS up WAIT '50ms'", "55P03")
    b.sql("EXIT")
    tags(a, "ENTER LOCK 'l' AS up WAIT '0'", ["ENTER"])
    refuses(b, "ENTER LOCK 'l' SHARED WAIT '0'", "55P03")
    a.sql("EXIT up")
    tags(b, "ENTER LOCK 'l' SHARED WAIT '0'; EXIT", ["ENTER", "EXIT l"])
    a.sql("EXIT ALL")
    tags(a, "ENTER SEMAPHORE 's' LIMIT 2, SEMAPHORE 's' LIMIT 2 AS s2", ["ENTER"])
    refuses(b, "ENTER SEMAPHORE 's' LIMIT 2 WAIT '0'", "55P03")
    refuses(b, "ENTER SEMAPHORE 's' LIMIT 3", "22023", "LIMIT 2")
    a.sql("EXIT")
    tags(b, "ENTER SEMAPHORE 's' LIMIT 2 WAIT '0'", ["ENTER"])
    refuses(a, "ENTER LOCK 'l', LOCK 'l'", "42710")
    refuses(a, "ENTER LOCK ''", "22023")
    a.sql("EXIT ALL")
    b.sql("EXIT ALL")
    tags(a, "ENTER SEMAPHORE 's' LIMIT 3; EXIT", ["ENTER", "EXIT s"])
    equal(t.activity() and [r["xact"] for r in t.activity()] or [], [None] * len(t.activity()), "transactions")


@test
def lock_on_a_pool(t):
    """LOCK ... ON pool: an advisory transaction lock in PostgreSQL, shared and exclusive, with WAIT and names"""
    d, a = scene(t, size=3)
    b = t.client(d)
    a.sql("BEGIN; SELECT 1")
    b.sql("ENTER warm; EXIT")
    a.sql("COMMIT")
    held = "SELECT mode, granted FROM pg_locks WHERE locktype = 'advisory' ORDER BY 1"
    tags(a, "ENTER LOCK 'x' ON db", ["ENTER"], "T")
    equal(t.sql(held), [("ExclusiveLock", "t")], "pg_locks")
    equal(frames(a, "name", "kind", "pool"), [("x", "transaction", "db")], "SHOW SCOPES")
    took, _ = seconds(refuses, b, "ENTER LOCK 'x' ON db WAIT '200ms'", "55P03", '"x"', "I")
    check(0.19 <= took < 1 * slow_factor(), "it took %.3f s" % took)
    equal(frames(b), [], "nothing is entered")
    refuses(b, "ENTER LOCK 'x' ON db SHARED WAIT '1s'", "55P03")
    for lock in ("LOCK 'x' ON db WAIT '0'", "LOCK 'x' ON db SHARED WAIT 0"):
        # There is a server at once: what is not waited for is the lock.
        wait_until(lambda: [s for s in d.servers() if s["state"] == "idle"], 5, "an idle server")
        refuses(b, "ENTER " + lock, "55P03", '"x"', "I")
    for wait in ('1ms', '5s'):
        tags(b, "ENTER LOCK 'y' ON db WAIT '%s'; EXIT" % wait, ["ENTER", "EXIT y"])
    tags(b, "ENTER sp, LOCK 'y' ON db WAIT '0'", ["ENTER"])
    refuses(b, "ENTER LOCK 'x' ON db WAIT '1s'", "55P03", '"x"', "T")
    refuses(b, "ENTER LOCK 'x' ON db WAIT 0", "55P03", '"x"', "T")
    tags(b, "EXIT ALL", ["EXIT ALL"], "I")
    b.send(wire.query("ENTER LOCK 'x' ON db"))
    wait_until(lambda: ("ExclusiveLock", "f") in t.sql(held), 5, "it waits in PostgreSQL")
    a.sql("EXIT")
    equal(b.until_ready().tags, ["ENTER"], "it has it")
    b.sql("EXIT")
    tags(a, "ENTER LOCK 'x' ON db SHARED", ["ENTER"])
    tags(b, "ENTER LOCK 'x' ON db SHARED WAIT '5s'", ["ENTER"])
    equal(t.sql(held), [("ShareLock", "t")] * 2, "pg_locks")
    # Inside a transaction on the pool it is a savepoint.
    tags(a, "ENTER LOCK 'z' ON db AS inner_one", ["ENTER"])
    equal(frames(a, "name", "kind")[1:], [("inner_one", "savepoint")], "SHOW SCOPES")
    a.sql("EXIT ALL")
    b.sql("EXIT ALL")
    equal(t.sql(held), [], "pg_locks")
    all_quiet(d, "db")


@test
def new_is_independent(t):
    """NEW: a second transaction on the same pool, which survives the rollback of the one around it"""
    d, c = scene(t)
    tags(c, "ENTER a; INSERT INTO marks VALUES ('work'); SELECT pg_backend_pid()",
         ["ENTER", "INSERT 0 1", "SELECT 1"])
    outer = c.backend()
    tags(c, "ENTER audit NEW; INSERT INTO marks VALUES ('tried')", ["ENTER", "INSERT 0 1"])
    check(c.backend() != outer, "another backend")
    equal(frames(c, "name", "kind", "current"), [("a", "transaction", "f"), ("audit", "transaction", "t")],
          "SHOW SCOPES")
    tags(c, "ENTER sp; EXIT", ["ENTER", "EXIT sp"])
    tags(c, "EXIT", ["EXIT audit"], "T")
    equal(c.backend(), outer, "the backend")
    tags(c, "EXIT ROLLBACK", ["EXIT a"], "I")
    equal(marks(t), ["tried"], "rows")
    # With no server left for it, it would wait for itself.
    tags(c, "ENTER a, b NEW", ["ENTER"])
    e = refuses(c, "ENTER x NEW", "40P01", status="T")
    check("2 of 2" in e.detail, "the circle: %s" % e.detail)
    tags(c, "EXIT ALL", ["EXIT ALL"], "I")
    all_quiet(d, "db")


@test
def access_and_isolation(t):
    """READ ONLY, READ WRITE and ISOLATION LEVEL hold for the scope, READ ONLY for a savepoint scope too"""
    d, c = scene(t)
    show = "SHOW transaction_isolation; SHOW transaction_read_only"
    for clause, isolation, read_only in (
            ("", "read committed", "off"), ("READ ONLY", "read committed", "on"),
            ("ISOLATION LEVEL SERIALIZABLE", "serializable", "off"),
            ("isolation level repeatable read read only", "repeatable read", "on"),
            ("READ WRITE ISOLATION LEVEL READ UNCOMMITTED", "read uncommitted", "off"),
            ("ISOLATION LEVEL READ COMMITTED", "read committed", "off")):
        r = c.ask("ENTER a %s; %s; EXIT" % (clause, show))
        equal((r.rows, r.errors), ([(isolation,), (read_only,)], []), "a scope with " + clause)
    c.sql("SET default_transaction_read_only = on")
    equal(c.ask("ENTER a; SHOW transaction_read_only; EXIT; ENTER a READ WRITE; SHOW transaction_read_only;"
                "EXIT").rows, [("on",), ("off",)], "with the session's own default")
    c.sql("RESET default_transaction_read_only")
    c.sql("ENTER a; INSERT INTO marks VALUES ('a'); ENTER b READ ONLY")
    equal(c.value("SHOW transaction_read_only"), "on", "in the savepoint scope")
    refuses(c, "INSERT INTO marks VALUES ('b')", "25006", status="E")
    refuses(c, "EXIT", "40000", status="T")
    equal(c.value("SHOW transaction_read_only"), "off", "outside")
    c.sql("ENTER b READ ONLY; SELECT 1; EXIT")
    equal(c.value("SHOW transaction_read_only"), "off", "outside, after a success")
    refuses(c, "ENTER b ISOLATION LEVEL SERIALIZABLE", "22023", "isolation", "T")
    tags(c, "EXIT", ["EXIT a"], "I")
    # Read write inside read only is PostgreSQL's error, and nothing is left of the savepoint.
    c.sql("ENTER a READ ONLY")
    refuses(c, "ENTER b READ WRITE", "25001", status="T")
    equal(frames(c, "name"), [("a",)], "scopes")
    tags(c, "SELECT 1; EXIT", ["SELECT 1", "EXIT a"], "I")
    equal(marks(t), ["a"], "rows")
    all_quiet(d, "db")


@test
def use(t):
    """USE: statements go where it says, otherwise to the innermost transaction; EXIT is about the innermost"""
    d, c = scene(t, "p2", "p3", size=1)
    pids = warm(d, "db", "p2", "p3")
    c.sql("ENTER a, LOCK 'l', b ON p2, sp ON p2, c ON p3")
    for name, pool in (("a", "db"), ("b", "p2"), ("c", "p3"), ("sp", "p2"), ("'a'", "db"), ('"b"', "p2")):
        tags(c, "USE " + name, ["USE"], "T")
        equal(c.backend(), pids[pool], "the backend of " + name)
    refuses(c, "USE l", "55000", "USE", "T")
    refuses(c, "USE nobody", "42704", '"nobody"', "T")
    equal(c.backend(), pids["p2"], "nothing has changed")
    c.sql("USE a")
    refuses(c, "EXIT a", "55000", '"c"', "T")
    equal(len(frames(c)), 5, "nothing has changed")
    equal(c.backend(), pids["db"], "nothing has changed")
    tags(c, "EXIT", ["EXIT c"], "T")
    equal(c.backend(), pids["db"], "still in a")
    tags(c, "USE sp; EXIT", ["USE", "EXIT sp"])
    equal(c.backend(), pids["p2"], "the innermost")
    refuses(c, "USE c", "42704")
    tags(c, "EXIT b; EXIT 'l'", ["EXIT b", "EXIT l"], "T")
    equal(c.backend(), pids["db"], "the innermost")
    tags(c, "EXIT", ["EXIT a"], "I")
    refuses(c, "USE a", "42704")
    untouched(t, d, pids)


@test
def names(t):
    """names: the pool's, folded, quoted, a lock's text, AS; a name twice is 42710"""
    d, c = scene(t, "P-q", size=3)
    for enter, name in (("ENTER", "db"), ("ENTER MiXed", "mixed"), ('ENTER "MiXed"', "MiXed"),
                        ("ENTER LOCK 'a b'", "a b"), ("ENTER LOCK 'a b' AS x", "x"),
                        ('ENTER y ON "P-q"', "y"), ('ENTER "lock"', "lock"), ("ENTER new", "new"),
                        ("ENTER a" + "b" * 62, "a" + "b" * 62)):
        tags(c, enter, ["ENTER"])
        equal(frames(c, "name")[-1], (name,), "the name of %r" % enter)
        refuses(c, enter, "42710", name[:20])
        tags(c, 'EXIT "%s"' % name, ["EXIT " + name], "I")
    refuses(c, "ENTER x ON nowhere", "3D000", "nowhere", "I")
    refuses(c, "ENTER x, x", "42710")
    equal(frames(c), [], "the first of them is gone")
    all_quiet(d, "db")


@test
def show_scopes(t):
    """SHOW SCOPES: level, name, kind, pool, state, current, times, deadline, deferred"""
    d, c = scene(t, "p2")
    equal(c.ask("SHOW SCOPES").rows, [], "nothing is open")
    c.sql("BEGIN; ENTER sp, b ON p2 DEADLINE '60s', LOCK 'l' SHARED, SEMAPHORE 's' LIMIT 2; USE b;"
          "DEFER 'SELECT 1'; DEFER ON ROLLBACK 'SELECT 2'")
    r = c.ask("SHOW SCOPES")
    equal(r.columns, ["level", "name", "kind", "pool", "state", "current", "elapsed_ms", "wait_ms",
                      "deadline_ms", "deferred", "joins", "outside", "outsider", "members", "token"], "columns")
    rows = [x[:6] + x[9:10] for x in r.rows]
    equal(rows, [("1", "db", "implicit", "db", "open", "f", "0"), ("2", "sp", "savepoint", "db", "open", "f", "0"),
                 ("3", "b", "transaction", "p2", "open", "t", "2"), ("4", "l", "shared lock", None, "open", "f", "0"),
                 ("5", "s", "semaphore", None, "open", "f", "0")], "rows")
    check(50000 < int(r.rows[2][8]) <= 60000, "the time left: %s" % r.rows[2][8])
    refuses(c, "SELECT 1/0", "22012")
    equal(frames(c, "name", "state")[2], ("b", "failed"), "the state")
    equal(c.status, "E", "the status is that of the current one")
    r = c.ask("EXIT ALL")
    equal([e.sqlstate for e in r.errors], ["40000"], "EXIT ALL")
    tags(c, "ROLLBACK", ["ROLLBACK"], "I")
    all_quiet(d, "db", "p2")


@test
def show_scopes_in_binary(t):
    """SHOW SCOPES in the binary format, for all columns or for some, and described as it is sent"""
    d, c = scene(t)
    c.sql("ENTER a")
    for formats, level in (((), b"1"), ((0,), b"1"), ((1,), b"\0\0\0\1"), ((1,) + (0,) * 11, b"\0\0\0\1"),
                           ((0,) + (1,) * 11, b"1")):
        c.send(wire.parse("SHOW SCOPES") + wire.bind(result_formats=formats) + wire.describe() + wire.execute() +
               wire.sync())
        described = rows = b""
        kind = None
        while kind != "Z":
            kind, body = c.read()
            described = body if kind == "T" else described
            rows = body if kind == "D" else rows
        first = described.index(b"level\0") + 6
        equal(int.from_bytes(described[first + 16:first + 18], "big"), len(level) // 4, "the format described")
        equal(rows[6:6 + len(level)], level, "the level with formats %r" % (formats,))
    equal(c.sql("SHOW SCOPES")[0][:3], ("1", "a", "transaction"), "as text again")


if __name__ == "__main__":
    main()
