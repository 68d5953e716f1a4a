"""Terminate: what a client has sent before it is done and answered, as PostgreSQL does it, whether the client waits for
the answers or closes at once; a client that goes without it is cancelled."""

import socket

from pgwtest import check, equal, main, test, wait_until, wire

SCHEMA = "CREATE TABLE x (a int); CREATE TABLE big AS SELECT i, repeat('x', 1000) AS t FROM generate_series(1, 5000) i"


def rows_of(data):
    return wire.query("COPY x FROM STDIN") + b"".join(wire.copy_data(d) for d in data) + wire.copy_done()


# What stands before the Terminate. None of it leaves rows in x behind that depend on when it ran.
EXCHANGES = {
    "nothing": b"",
    "a query": wire.query("SELECT 1"),
    "a query that takes a while": wire.query("SELECT pg_sleep(0.2), 2"),
    "three queries": wire.query("SELECT 1") + wire.query("SELECT pg_sleep(0.1), 2") + wire.query("SELECT 3"),
    "many statements in one": wire.query("SELECT 1; SELECT pg_sleep(0.1); SELECT 3"),
    "an empty query": wire.query(""),
    "an error": wire.query("SELECT 1/0") + wire.query("SELECT 2"),
    "a transaction": wire.query("BEGIN") + wire.query("SELECT 1") + wire.query("COMMIT"),
    "a transaction that stays open": wire.query("BEGIN") + wire.query("SELECT pg_sleep(0.1)"),
    "a lazy BEGIN": wire.query("BEGIN"),
    "an extended exchange": wire.extended("SELECT 1") + wire.sync(),
    "a pipeline": b"".join(wire.extended("SELECT %d, pg_sleep(0.02)" % i) + wire.sync() for i in range(8)),
    "a pipeline with one Sync": b"".join(wire.extended("SELECT %d" % i) for i in range(8)) + wire.sync(),
    "a pipeline with an error": wire.extended("SELECT 1") + wire.extended("SELECT 1/0") + wire.extended("SELECT 3") +
    wire.sync() + wire.extended("SELECT 4") + wire.sync(),
    "a Flush, no Sync": wire.extended("SELECT 1, pg_sleep(0.1)") + wire.flush(),
    "an exchange behind a Flush": wire.extended("SELECT 1, pg_sleep(0.1)") + wire.flush() + wire.extended("SELECT 2") +
    wire.sync(),
    "a named statement": wire.parse("SELECT 1", "n") + wire.bind(statement="n") + wire.execute() + wire.sync(),
    "rows": wire.query("SELECT * FROM big"),
    "rows by the extended protocol": wire.extended("SELECT * FROM big") + wire.sync(),
    "rows and more": wire.query("SELECT * FROM big") * 3 + wire.query("SELECT 1"),
    "COPY OUT": wire.query("COPY big TO STDOUT") + wire.query("SELECT 1"),
    "COPY IN": rows_of([b"1\n", b"2\n"]) + wire.query("SELECT count(*) FROM x"),
    "a large message": wire.query("SELECT length('%s')" % ("x" * 300000)) + wire.query("SELECT 2"),
    "SET": wire.query("SET work_mem = '5MB'") + wire.query("SHOW work_mem"),
    "DEALLOCATE": wire.parse("SELECT 1", "n") + wire.sync() + wire.query("DEALLOCATE n") + wire.query("SELECT 1"),
    "DISCARD ALL": wire.query("DISCARD ALL") + wire.query("SELECT 1"),
    "LISTEN": wire.query("LISTEN a") + wire.query("NOTIFY a, 'b'") + wire.query("SELECT 1"),
    "a temporary table": wire.query("CREATE TEMP TABLE t AS SELECT 1") + wire.query("SELECT * FROM t"),
    "Syncs": wire.sync() * 20,
}

# The same of what only pgwithd understands.
SCOPES = {
    "a scope": (wire.query("ENTER a") + wire.query("SELECT 1") + wire.query("LEAVE"), "CZ TDCZ CZ"),
    "a scope in one text": (wire.query("ENTER a; SELECT pg_sleep(0.1); LEAVE"), "C TDC CZ"),
    "a lock": (wire.query("ENTER LOCK 'l'") + wire.query("SHOW SCOPES") + wire.query("LEAVE l"), "CZ TDCZ CZ"),
    "a scope that stays open": (wire.query("ENTER a") + wire.query("SELECT 1"), "CZ TDCZ"),
    "a failed scope": (wire.query("ENTER a") + wire.query("SELECT 1/0") + wire.query("LEAVE"), "CZ EZ EZ"),
}


def seen(c):
    """What has come up to the end of the connection, but for ParameterStatus, which may be said once more than by
    PostgreSQL: a server has been somebody else's."""
    r = c.until_closed()
    return (r.kinds.replace("S", ""), [row for row in r.rows if len(row) < 2 or len(row[1] or "") < 100], len(r.rows), r.tags,
            [(e.severity, e.sqlstate) for e in r.errors], r.status)


def pieces(data, rng):
    """One write, or a few."""
    if rng.random() < 0.5 or len(data) < 3:
        return [data]
    cuts = sorted(rng.sample(range(1, len(data)), min(len(data) - 1, rng.randrange(1, 4))))
    return [data[a:b] for a, b in zip([0] + cuts, cuts + [len(data)])]


@test
def answered_in_full(t):
    """what stands before a Terminate in the same write is answered as by PostgreSQL, then the connection ends"""
    t.sql(SCHEMA)
    for options in ({}, {"mode": "session"}, {"role": "client"}, {"lazy_begin": "on"}):
        d = t.daemon(**options)
        for name, data in EXCHANGES.items():
            t.sql("DELETE FROM x")
            c = t.direct()
            c.send(data + wire.terminate())
            expected = seen(c)
            t.sql("DELETE FROM x")
            c = t.client(d)
            for piece in pieces(data + wire.terminate(), t.random):
                c.send(piece)
            equal(seen(c), expected, "%s %s" % (name, options))
            d.quiet()
        d.stop()


@test
def scopes_are_answered(t):
    """scope statements too; what stays open is rolled back behind the answers"""
    t.sql(SCHEMA)
    d = t.daemon()
    for name, (data, kinds) in SCOPES.items():
        c = t.client(d)
        c.send(data + wire.terminate())
        r = c.until_closed()
        equal(r.kinds.replace("N", "").replace("S", ""), kinds.replace(" ", ""), name)
        d.quiet()
    equal(len(d.clients()), 0, "sessions")


@test
def answered_while_others_hold_the_server(t):
    """it waits for a server like any other, and is answered when it has got one"""
    t.sql(SCHEMA)
    d = t.daemon(size=1)
    holder = t.client(d)
    holder.sql("BEGIN")
    c = t.client(d)
    c.send(wire.query("SELECT 1") + wire.query("INSERT INTO x VALUES (1)") + wire.terminate())
    wait_until(lambda: d.waiting() == 1, 5, "it waits")
    holder.sql("COMMIT")
    r = c.until_closed()
    equal((r.kinds, r.rows, r.tags), ("TDCZCZ", [("1",)], ["SELECT 1", "INSERT 0 1"]), "answers")
    equal(t.value("SELECT count(*) FROM x"), "1", "rows")
    d.quiet()


@test
def half_closed(t):
    """a client that says Terminate and closes its sending side gets its answers"""
    t.sql(SCHEMA)
    d = t.daemon()
    for name in ("a query that takes a while", "a pipeline", "rows and more", "SET"):
        c = t.direct()
        c.send(EXCHANGES[name] + wire.terminate())
        expected = seen(c)
        c = t.client(d)
        c.send(EXCHANGES[name] + wire.terminate())
        c.sock.shutdown(socket.SHUT_WR)
        equal(seen(c), expected, name)
        d.quiet()


def work(i):
    """Takes a while, and can be seen."""
    return "SELECT pg_sleep(0.1); INSERT INTO x VALUES (%d)" % i


@test
def closed_at_once(t):
    """a client that says Terminate and closes at once: what stands before it is executed"""
    t.sql(SCHEMA)
    ways = {
        "simple": lambda i: wire.query(work(i)),
        "extended": lambda i: wire.extended("INSERT INTO x SELECT %d FROM pg_sleep(0.1)" % i) + wire.sync(),
        "a transaction in one text": lambda i: wire.query("BEGIN; %s; COMMIT" % work(i)),
        "behind a parameter of the session": lambda i: wire.query(work(i)),
        "a scope": lambda i: wire.query("ENTER a; %s; LEAVE" % work(i)),
    }
    for options in ({}, {"mode": "session"}):
        d = t.daemon(**options)
        other = t.client(d)
        for i, (name, data) in enumerate(ways.items()):
            t.sql("DELETE FROM x")
            c = d.connect()
            if "parameter" in name:
                c.sql("SET timezone = 'Asia/Tokyo'")
                if not options:
                    other.sql("SELECT 1")
            c.send(data(i) + wire.terminate())
            c.sock.close()
            wait_until(lambda: t.sql("SELECT a FROM x") == [(str(i),)], 10, "%s %s" % (name, options))
            d.quiet()
        equal([s["cl_active"] for s in d.show("POOLS") if s["database"] == "db"], ["0"], "sessions at work")
        d.stop()


@test
def gone_without_a_word(t):
    """a client that closes without Terminate is cancelled, and so is what it has in the middle of rows"""
    t.sql(SCHEMA)
    d = t.daemon()
    for data in (wire.query("SELECT pg_sleep(60); INSERT INTO x VALUES (1)"),
                 wire.query("SELECT pg_sleep(60)") + wire.query("INSERT INTO x VALUES (1)"),
                 wire.extended("SELECT pg_sleep(60)") + wire.sync() + wire.extended("INSERT INTO x VALUES (1)") +
                 wire.sync()):
        c = d.connect()
        c.send(data)
        wait_until(lambda: [a for a in t.activity() if "pg_sleep" in a["query"]], 5, "it runs")
        c.sock.close()
        d.quiet()
        check(d.log_has('why="client gone" cancels=1'), "cancelled")
    t.sql("DELETE FROM x")
    # PostgreSQL sees by its answers that nobody is there: so does pgwithd.
    c = d.connect()
    c.send(wire.query("SELECT t, pg_sleep(0.01) FROM big; INSERT INTO x VALUES (1)") +
           wire.terminate())
    c.sock.close()
    d.quiet()
    equal(t.sql("SELECT * FROM x"), [], "rows behind an answer that nobody took")


@test
def of_the_console(t):
    """the console answers before it ends; a long table too"""
    d = t.daemon()
    clients = [t.client(d) for _ in range(20)]
    for n in (1, 300):
        c = d.connect("pgwith")
        c.send(wire.query("SHOW CLIENTS") * n + wire.terminate())
        r = c.until_closed()
        check(r.kinds.count("Z") == n and len(r.rows) >= n * len(clients), "%d tables" % n)


main()
