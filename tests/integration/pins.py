"""What keeps a session on its server and what lets it go again, and what needs no server at all."""

from pgwtest import check, equal, main, test, wait_until, wire
from pgwtest.looks import LEFTOVERS


def pinned(d, session=None):
    """Why sessions of the pool keep their servers; of this one, when what it did last is settled."""
    if session:
        session.sql("SELECT 1")
    return sorted(c["pinned"] for c in d.clients() if c["pinned"])


def free(d, why):
    """Waits until no session keeps its server."""
    wait_until(lambda: not pinned(d) and not d.leased(), 5, "nothing is pinned: " + why)


# ---- letting go ------------------------------------------------------------------------------------
# what pins, as SHOW CLIENTS says it; what undoes a part of it; what undoes the rest
UNDONE = {
    "LISTEN": ("LISTEN a; LISTEN b", "UNLISTEN a", "UNLISTEN *"),
    "temporary object": ("CREATE TEMP TABLE x (a int); CREATE TEMP VIEW y AS SELECT 1", "DROP VIEW y",
                         "DROP TABLE x"),
    "PREPARE": ("PREPARE x AS SELECT 1; PREPARE y AS SELECT 2", "DEALLOCATE x", "DEALLOCATE ALL"),
    "WITH HOLD cursor": ("DECLARE x CURSOR WITH HOLD FOR SELECT 1; DECLARE y CURSOR WITH HOLD FOR SELECT 1",
                         "CLOSE x", "CLOSE ALL"),
    "advisory lock": ("SELECT pg_advisory_lock(1), pg_advisory_lock(1)", "SELECT pg_advisory_unlock(1)",
                      "SELECT pg_advisory_unlock(1)"),
}


@test
def undone(t):
    """each reason to keep a server ends when the last of it is undone, as the server itself says"""
    d = t.daemon(size=1, listen_mode="pin")
    c, other = t.client(d), t.client(d)
    for simple in (True, False):
        for why, (pin, part, rest) in UNDONE.items():
            for statement in (pin.split("; ") if not simple else [pin]):
                (c.sql if simple else c.ask_extended)(statement)
            equal(pinned(d, c), [why], "after " + pin)
            (c.ask if simple else c.ask_extended)(part)
            equal(pinned(d, c), [why], "after " + part)
            (c.ask if simple else c.ask_extended)(rest)
            free(d, rest)
            equal(other.value("SELECT 1"), "1", "the only server is another's")
            for what, sql in LEFTOVERS.items():
                equal(other.sql(sql), [], what + " of another client")
    equal(len(d.server_pids()), 1, "servers")


@test
def undone_by_nothing_that_fails(t):
    """what was to undo everything and has failed undoes nothing: the session keeps what it has, and nobody else sees it"""
    d = t.daemon(size=1, listen_mode="pin")
    fails = ["SELECT 1; DISCARD ALL", "DISCARD ALL; SELECT 1", "DISCARD ALL; DISCARD ALL", "SELECT 1/0; DISCARD ALL", "BEGIN; DISCARD ALL",
             "DISCARD ALL x", "UNLISTEN *; SELECT 1/0", "DROP TABLE x CASCADE; SELECT 1/0"]
    # With a startup parameter the server is asked something behind each reset.
    for startup in ({}, {"DateStyle": "SQL, DMY"}):
        for why, (pin, _, rest) in UNDONE.items():
            with d.connect(**startup) as c:
                c.sql(pin + "; SET work_mem = '3MB'")
                for text in fails:
                    for ask in (c.ask, c.ask_extended):
                        if not (ask == c.ask_extended and ";" in text):
                            check(ask(text).errors, "%s fails" % text)
                        c.ask("ROLLBACK")
                        equal(pinned(d, c), [why], "after %s, with %s" % (text, startup))
                        equal(c.value("SHOW work_mem"), "3MB", "its work_mem after " + text)
                check(any(c.sql(sql) for sql in LEFTOVERS.values()), "it is there")
            free(d, "its session has gone")
            with d.connect() as other:
                for what, sql in LEFTOVERS.items():
                    equal(other.sql(sql), [], "%s of another client, after %s" % (what, pin))
                equal(other.value("SHOW work_mem"), "4MB", "work_mem of another client")


@test
def never_was(t):
    """what failed, was rolled back, or ended with its transaction keeps no server"""
    d = t.daemon(size=1, listen_mode="pin")
    c, other = t.client(d), t.client(d)
    t.sql("SELECT pg_advisory_lock(7)")
    for sql in ("LISTEN a; SELECT 1 / 0", "BEGIN; LISTEN a; ROLLBACK", "SELECT pg_try_advisory_lock(7)",
                "CREATE TEMP TABLE x (a nonsense)",
                "BEGIN; CREATE TEMP TABLE x (a int) ON COMMIT DROP; INSERT INTO x VALUES (1); COMMIT",
                "BEGIN; DECLARE x CURSOR WITH HOLD FOR SELECT 1; ROLLBACK",
                "PREPARE x AS SELECT nonsense"):
        c.ask(sql)
        free(d, sql)
        equal(other.value("SELECT 1"), "1", "the only server is another's")
    t.sql("SELECT pg_advisory_unlock(7)")


@test
def alone(t):
    """what only undoes keeps no server, and what drivers send to reset a session leaves it free"""
    d = t.daemon(size=1, listen_mode="pin")
    c, other = t.client(d), t.client(d)
    for sql in ("SELECT pg_advisory_unlock_all()", "CLOSE ALL", "UNLISTEN *", "RESET ALL", "DEALLOCATE ALL",
                "DISCARD TEMP", "SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;",
                "DISCARD ALL"):
        c.sql(sql)
        free(d, sql)
        equal(other.value("SELECT 1"), "1", "the only server is another's")
    c.sql("LISTEN a; DECLARE x CURSOR WITH HOLD FOR SELECT 1; SET work_mem = '3MB'")
    c.sql("SELECT pg_advisory_lock(1)")
    equal(len(pinned(d, c)), 1, "pinned sessions")
    c.sql("SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;")
    free(d, "the reset of asyncpg")
    equal((c.value("SHOW work_mem"), other.value("SHOW work_mem")), ("4MB", "4MB"), "work_mem")


@test
def discard_all_that_failed(t):
    """a DISCARD ALL that has failed undoes nothing, even if a time limit has ended its transaction since"""
    d = t.daemon(size=1, idle_in_scope_timeout="300ms", listen_mode="pin")
    c = t.client(d)
    c.sql("LISTEN a")
    c.sql("BEGIN")
    equal(c.ask("DISCARD ALL").errors[0].sqlstate, "25001", "DISCARD ALL in a transaction")
    # The daemon's own ROLLBACK comes before the client's.
    pid, = d.server_pids()
    wait_until(lambda: t.value("SELECT state FROM pg_stat_activity WHERE pid = %d" % pid) == "idle", 5,
               "the transaction is ended")
    equal(c.ask("SELECT 1").errors[0].sqlstate, "57014", "by a time limit")
    c.sql("ROLLBACK")
    equal(pinned(d, c), ["LISTEN"], "why it is pinned")
    t.sql("NOTIFY a")
    check("A" in c.until("A").kinds, "a notification")


@test
def notified_while_asked(t):
    """a notification that comes while a session lets go of something else is not lost"""
    d = t.daemon(size=1, listen_mode="pin")
    c = t.client(d)
    c.sql("LISTEN a")
    for i in range(50):
        c.sql("PREPARE x AS SELECT 1")
        t.sql("NOTIFY a, '%d'" % i)
        kinds = c.ask("DEALLOCATE x").kinds
        kinds += "" if "A" in kinds else c.until("A").kinds
        equal(kinds.count("A"), 1, "notifications")
    equal(pinned(d, c), ["LISTEN"], "why it is pinned")


@test
def half_a_notification(t):
    """a notification of which a part has come while a scope was waited for is whole for the client, behind the answer"""
    for half in (3, 5, 12):
        proxy = t.proxy()
        d = t.daemon(size=1, conninfo=t.conninfo(host=proxy.directory, port=proxy.port), listen_mode="pin")
        c, holder = t.client(d), t.client(d)
        c.sql("LISTEN a")
        holder.sql("ENTER LOCK 'l'")
        c.send(wire.query("ENTER LOCK 'l'"))
        wait_until(lambda: [x for x in d.show("LOCKS") if x["state"] == "waiting"], 5, "the lock is waited for")
        proxy.half = half
        t.sql("NOTIFY a, 'whole'")
        check(proxy.halved.wait(10), "half of it")
        holder.sql("EXIT")
        equal(c.until("Z").kinds, "CZ", "the answer of ENTER")
        proxy.half_gate.set()
        equal(c.until("A").kinds, "A", "the notification")
        equal(c.value("SELECT 1"), "1", "behind it")
        c.close()
        holder.close()


@test
def what_a_block_makes(t):
    """what a DO block leaves to its session pins it, and a search_path that begins with pg_temp too"""
    d = t.daemon(size=1, listen_mode="pin")
    c, other = t.client(d), t.client(d)
    c.sql("DO $$BEGIN CREATE TEMP TABLE x (a int); END$$")
    equal(pinned(d, c), ["temporary object"], "after DO")
    equal(c.sql("SELECT * FROM x"), [], "its table")
    c.sql("DROP TABLE x")
    free(d, "dropped")
    c.sql("SELECT set_config('search_path', 'pg_temp', false)")
    equal(pinned(d, c), ["temporary object"], "with that search_path")
    c.sql("CREATE TABLE x (a int)")
    c.sql("SET search_path = public, pg_temp")
    equal(pinned(d, c), ["temporary object"], "there is one")
    c.sql("DROP TABLE x")
    free(d, "dropped")
    equal(other.value("SHOW search_path"), '"$user", public', "another's search_path")
    equal(c.value("SHOW search_path"), "public, pg_temp", "its search_path")


@test
def not_postgresql(t):
    """a server that does not know PostgreSQL's catalogs, and so not what a CREATE has left, is the next session's"""
    f = t.fixture()
    d = t.daemon(size=1, conninfo="host=%s port=%d dbname=x user=postgres" % (f.sockets, f.port))
    c, other = t.client(d), t.client(d)
    for sql in ("CREATE TABLE x (a int)", "ENTER a; CREATE TABLE y (a int); EXIT"):
        c.sql(sql)
        equal(other.value("SELECT 1"), "1", "another is served after " + sql)
        free(d, sql)
    c.sql("CREATE TEMP TABLE z (a int)")
    equal(c.sql("SELECT * FROM z"), [], "its temporary table")


# ---- prepared statements ---------------------------------------------------------------------------
@test
def parse_without_server(t):
    """a text that is prepared on a server in use is prepared for others without waiting for one"""
    d = t.daemon(size=1, listen_mode="pin")
    a, b, c = t.client(d), t.client(d), t.client(d)
    text = "SELECT $1::int + 1"
    a.send(wire.parse(text, "mine") + wire.sync())
    equal(a.until_ready().kinds, "1Z", "the first")
    a.sql("BEGIN; SELECT 1")
    b.send(wire.parse(text, "yours") + wire.sync())
    equal((b.until_ready().kinds, b.status), ("1Z", "I"), "its Parse while the server is in use")
    b.send(wire.bind([1], statement="yours") + wire.execute() + wire.sync())
    # Another text, and a name that is there, are for the server to judge.
    c.send(wire.parse("SELECT nonsense", "other") + wire.sync())
    wait_until(lambda: d.waiting() == 2, 5, "both wait")
    check(b.silent() and c.silent(), "they wait")
    a.sql("COMMIT")
    r = b.until_ready()
    equal((r.rows, r.errors), ([("2",)], []), "its answer")
    equal([e.sqlstate for e in c.until_ready().errors], ["42703"], "the other's error")
    a.sql("BEGIN; SELECT 1")
    b.send(wire.parse(text, "yours") + wire.sync())
    a.sql("COMMIT")
    equal([e.sqlstate for e in b.until_ready().errors], ["42P05"], "a name twice")
    b.send(wire.close_("S", "yours") + wire.sync())
    equal(b.until_ready().kinds, "3Z", "it is closed")
    d.quiet()


@test
def pin_off(t):
    """pin = off: what would pin is an error that says so, by Query and by Parse, in a transaction too, and
    nothing of it is done"""
    d = t.daemon(size=1, pin="off", listen_mode="pin")
    c = t.client(d)
    for sql in ("LISTEN chat", "CREATE TEMP TABLE tt (a int)", "PREPARE ps AS SELECT 1",
                "SELECT pg_advisory_lock(1)", "SELECT 1; LISTEN chat"):
        for ask in (c.ask, c.ask_extended):
            if ";" in sql and ask == c.ask_extended:
                continue
            r = ask(sql)
            equal(([e.sqlstate for e in r.errors], r.status), (["0A000"], "I"), sql)
            check('pool "db" has pin = off' in r.errors[0].message, r.errors[0].message)
    d.quiet()
    c.sql("BEGIN")
    equal((c.ask("LISTEN chat").errors[0].sqlstate, c.status), ("0A000", "E"), "in a transaction")
    equal(c.ask("SELECT 1").errors[0].sqlstate, "25P02", "which has failed")
    c.sql("ROLLBACK")
    c.send(wire.parse("SELECT 7", "named") + wire.bind(statement="named") + wire.execute() + wire.sync())
    equal(c.until_ready().value, "7", "prepared statements of the protocol do not pin")
    c.sql("DO $$ BEGIN CREATE TEMP TABLE left_over (a int); END $$")
    d.quiet()
    equal(c.value("SELECT count(*) FROM pg_class WHERE relname = 'left_over'"), "0", "what a block left")


@test
def pin_off_in_a_long_text(t):
    """pin = off: a text of more than 64 kB that would pin, which comes in many reads, is that error too, and what
    comes behind it is served"""
    d = t.daemon(size=1, pin="off", listen_mode="pin")
    c = t.client(d)
    long = "-- " + "x" * 300000 + "\n"
    for message in (wire.query("LISTEN chat; " + long), wire.parse("LISTEN chat; " + long) + wire.sync(),
                    wire.parse("LISTEN chat; " + long, "named") + wire.sync()):
        for size in (len(message), 10000, 70000):
            for at in range(0, len(message), size):
                c.send(message[at:at + size])
            r = c.until_ready()
            equal(([e.sqlstate for e in r.errors], r.status), (["0A000"], "I"), "in pieces of %d" % size)
            equal(c.value("SELECT 7"), "7", "behind it")
    d.quiet()


if __name__ == "__main__":
    main()
