"""The modes of a pool: session, transaction, statement."""

from pgwtest import check, equal, main, test, wait_until, wire
from pgwtest.looks import Watch


@test
def session_mode(t):
    """mode = session: a client keeps its server with all that it has set, and after it the server is as new"""
    w = Watch(t, t.daemon(mode="session", size=1))
    d = w.daemon
    a = d.connect()
    equal(a.value("SELECT 1"), "1", "a's first query")
    a.sql("SET work_mem = '3MB'")
    a.sql("CREATE TEMP TABLE mine (i int)")
    a.ask_extended("SELECT 2")
    b = t.client(d)
    b.send(wire.query("SELECT 'b'"))
    wait_until(lambda: d.waiting() == 1, 5, "b waits, although a has no transaction")
    equal(a.value("SHOW work_mem"), "3MB", "what a has set")
    a.close()
    equal(b.until_ready().rows, [("b",)], "b is served")
    b.close()
    w.serves_clean()


@test
def session_mode_names(t):
    """mode = session: prepared statements have the client's own names on the server"""
    w = Watch(t, t.daemon(mode="session", size=1))
    a = w.daemon.connect()
    a.send(wire.parse("SELECT 7", "own") + wire.sync())
    equal(a.until_ready().errors, [], "Parse")
    equal(a.value("SELECT name FROM pg_prepared_statements"), "own", "its name")
    equal(a.value("EXECUTE own"), "7", "by SQL")
    a.close()
    w.serves_clean()


@test
def session_mode_leaves_nothing(t):
    """mode = session: what no DISCARD ALL undoes is not the next client's"""
    t.sql("SELECT pg_replication_origin_create('o')")
    d = t.daemon(mode="session", size=1)
    for extended in (False, True):
        with d.connect() as a:
            equal((a.ask_extended if extended else a.ask)("SELECT pg_replication_origin_session_setup('o')").errors, [], "setup")
            equal(a.value("SELECT pg_replication_origin_session_is_setup()"), "t", "its own")
            pid = a.backend()
        with d.connect() as b:
            equal(b.value("SELECT pg_replication_origin_session_is_setup()"), "f", "the next one's")
        wait_until(lambda: pid not in t.cluster.pids(t.database), 10, "its server is gone")
    d.stop()
    t.sql("SELECT pg_replication_origin_drop('o')")


@test
def statement_mode(t):
    """mode = statement: single statements are served, a transaction is refused and nothing of it is done"""
    w = Watch(t, t.daemon(mode="statement", size=1))
    d = w.daemon
    t.sql("CREATE TABLE s (i int)")
    a = d.connect()
    equal(a.ask("INSERT INTO s VALUES (1)").errors, [], "a statement")
    for begin in ("BEGIN", "START TRANSACTION READ ONLY", "SELECT 1; BEGIN; INSERT INTO s VALUES (2)"):
        r = a.ask(begin)
        equal((r.errors[0].sqlstate, r.status), ("0A000", "I"), begin)
        check('"db" has mode statement' in r.errors[0].message, r.errors[0].message)
    r = a.ask_extended("BEGIN")
    equal((r.errors[0].sqlstate, r.status), ("0A000", "I"), "BEGIN by Parse")
    equal(a.value("SELECT count(*) FROM s"), "1", "rows")
    a.close()
    w.serves_clean()


@test
def statement_mode_behind_others(t):
    """mode = statement: a BEGIN in one write behind a statement that has not been answered ends the session; the
    statement has gone to the server, which another client gets at once"""
    d = t.daemon(mode="statement", size=1)
    a, b = d.connect(), t.client(d)
    pid = b.backend()
    a.send(wire.query("SELECT pg_sleep(30)") + wire.query("BEGIN"))
    equal(a.until_closed().errors[-1].sqlstate, "0A000", "the last words")
    equal(b.backend(), pid, "the server is as before")
    d.quiet()


@test
def statement_mode_extended(t):
    """mode = statement: BEGIN by Parse is refused, the rest up to Sync with it"""
    w = Watch(t, t.daemon(mode="statement", size=1))
    d = w.daemon
    t.sql("CREATE TABLE s (i int)")
    a = d.connect()
    a.send(wire.parse("begin") + wire.bind() + wire.execute() + wire.sync())
    r = a.until_ready()
    equal(r.errors[0].sqlstate, "0A000", "by Parse, in lower case")
    a.close()
    equal(t.value("SELECT count(*) FROM s"), "0", "rows")
    w.serves_clean()


@test
def shown(t):
    """SHOW POOLS tells the mode"""
    d = t.daemon(mode="session")
    equal([r["pool_mode"] for r in d.show("POOLS") if r["database"] == "db"], ["session"], "pool_mode")


if __name__ == "__main__":
    main()
