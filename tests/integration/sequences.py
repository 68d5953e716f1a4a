"""What a backend remembers for whoever uses it, beside parameters: the numbers of sequences and the seed of
random(). No session is told another's."""

import os
import struct

from pgwtest import check, equal, main, test, wait_until, wire

OWN = 1000000  # the first number of the client that asks; its neighbour's are smaller

# Texts that tell of numbers, each with one column.
ASKS = ["SELECT lastval()", "select LASTVAL ( )", 'SELECT "lastval"()', "SELECT pg_catalog.lastval()",
        'SELECT pg_catalog . "lastval" ()', "SELECT/**/lastval/**/()", "SELECT currval('s')", "SELECT CurrVal('s')",
        "SELECT pg_catalog.\"currval\"('public.s')", 'SELECT U&"\\006Castval"()', "SELECT (SELECT lastval())",
        "WITH x AS (SELECT currval('s') AS v) SELECT v FROM x", "VALUES (lastval())", "TABLE tells",
        "SELECT 1 WHERE lastval() > 0", "EXPLAIN ANALYZE SELECT lastval()", "SELECT * FROM lastval()",
        "DO $$BEGIN PERFORM lastval(); END$$", "DO 'BEGIN PERFORM currval(''s''); END'",
        "DO $$BEGIN EXECUTE 'SELECT lastval()'; END$$", "COPY (SELECT lastval()) TO STDOUT",
        "INSERT INTO kept SELECT lastval()", "INSERT INTO kept VALUES (1) RETURNING currval('s')",
        "PREPARE p AS SELECT lastval(); EXECUTE p", "DECLARE c CURSOR WITH HOLD FOR SELECT lastval(); FETCH c",
        "CREATE TEMP TABLE tt AS SELECT lastval() AS v", "SELECT 1; SELECT lastval()", "BEGIN; SELECT lastval()"]
# A view is seen through by nobody: the manual says so.
ASKS.remove("TABLE tells")


def prepare(t):
    t.sql("CREATE SEQUENCE s")
    t.sql("CREATE TABLE kept (v bigint)")
    t.sql("CREATE TABLE item (id serial, v int)")


def states(r):
    return [e.sqlstate for e in r.errors]


def call(oid, *values):
    """A FunctionCall with text arguments."""
    body = struct.pack("!IHH", oid, 0, len(values))
    for v in values:
        body += struct.pack("!I", len(v)) + v.encode()
    return wire.message("F", body + struct.pack("!H", 0))


@test
def never_anothers(t):
    """lastval() and currval() of a session that has called nextval() nowhere, on the server where another just
    has: 55000, by whatever spelling, protocol and place in a transaction"""
    prepare(t)
    for fresh in (True, False):
        d = t.daemon(size=1)
        for ask in ASKS:
            for extended in (False, True):
                if extended and (";" in ask and "$$" not in ask and "'" not in ask):
                    continue
                d2 = t.daemon(size=1) if fresh else d
                with d2.connect() as other, d2.connect() as c:
                    equal(other.sql("SELECT nextval('s') > 0"), [("t",)], "the other's")
                    r = c.ask_extended(ask) if extended else c.ask(ask)
                    equal(states(r), ["55000"], "%s, extended=%s" % (ask, extended))
                d2.quiet()
                if fresh:
                    d2.stop()


@test
def behind_much_else(t):
    """the same behind 70 kB of text, in a pool where no text has named a sequence before"""
    prepare(t)
    ask = "/*" + "x" * 70000 + "*/ SELECT lastval()"
    ways = [wire.query(ask), wire.parse(ask) + wire.bind() + wire.execute() + wire.sync(),
            wire.parse(ask, "n") + wire.bind(statement="n") + wire.execute() + wire.sync()]
    for way in ways:
        d = t.daemon(size=1)
        with d.connect() as other, d.connect() as c:
            other.sql("INSERT INTO item (v) VALUES (1)")
            c.send(way)
            equal(states(c.until_ready()), ["55000"], "its own are none")
        d.stop()


@test
def behind_parameters(t):
    """texts of sessions that each have parameters of their own sent ahead, with one server for them all: each is answered,
    also in a pool where no text has named a sequence before"""
    prepare(t)
    for text in ("SELECT nextval('s')", "/*" + "x" * 70000 + "*/ SELECT nextval('s')", 'SELECT U&"x" FROM (SELECT 1 AS x) a'):
        d = t.daemon(size=1)
        clients = [t.client(d, application_name="a%d" % n) for n in range(4)]
        for _ in range(3):
            for c in clients:
                c.send(wire.query(text))
            for c in clients:
                equal(states(c.until_ready()), [], "errors")
            for n, c in enumerate(clients):
                equal(c.value("SHOW application_name"), "a%d" % n, "its parameter")
        d.stop()


@test
def where_it_is_asked(t):
    """the same behind other statements of a transaction, in pipelines, in statements that were prepared before on
    another server, and by FunctionCall"""
    prepare(t)
    d = t.daemon(size=2)
    other, c = t.client(d), t.client(d)

    def dirty():
        other.sql("SELECT nextval('s')")

    dirty()
    c.sql("BEGIN; SELECT 1")
    equal(states(c.ask("SELECT lastval()")), ["55000"], "behind another statement, for the first time")
    equal(states(c.ask("SELECT lastval()")), ["25P02"], "its transaction has failed")
    c.sql("ROLLBACK")
    for _ in range(3):
        dirty()
        c.send(wire.query("BEGIN") + wire.query("SELECT 1") + wire.query("SELECT currval('s')") + wire.query("ROLLBACK"))
        equal([states(c.until_ready()) for _ in range(4)], [[], [], ["55000"], []], "in one write")
        dirty()
        c.send(wire.extended("SELECT 1") + wire.extended("SELECT lastval()") + wire.sync())
        equal(states(c.until_ready()), ["55000"], "in one exchange")
        dirty()
        c.send(call(2559) + call(1575, "s"))
        equal([states(c.until_ready()) for _ in range(2)], [["55000"], ["55000"]], "by FunctionCall")
    # Prepared on one server, bound on another one that others have used.
    c.send(wire.parse("SELECT lastval()", "l") + wire.sync())
    equal(c.until_ready().errors, [], "it is prepared")
    with d.connect() as holder:
        holder.sql("BEGIN; SELECT 1")
        dirty()
        c.send(wire.bind(statement="l") + wire.execute() + wire.sync())
        equal(states(c.until_ready()), ["55000"], "bound on the server of the other")
        holder.sql("SELECT nextval('s'); COMMIT")
        c.send(wire.bind(statement="l") + wire.execute() + wire.sync())
        equal(states(c.until_ready()), ["55000"], "and on the holder's")
    # In a text that ends a failed transaction there is no place ahead of it.
    dirty()
    c.sql("BEGIN")
    c.ask("SELECT 1/0")
    r = c.ask("ROLLBACK; SELECT lastval()")
    equal(states(r), ["55000"], "behind a ROLLBACK in one text")
    c.ask("ROLLBACK")
    d.quiet()


@test
def behind_the_end_of_a_failed_one(t):
    """in a pool where no text has named a sequence before: a text that begins by ending a failed transaction is refused, any
    other one is PostgreSQL's to refuse"""
    prepare(t)
    d = t.daemon(size=1)
    with d.connect() as other, d.connect() as c:
        other.sql("INSERT INTO item (v) VALUES (1)")
        c.sql("BEGIN")
        c.ask("SELECT 1/0")
        for text in "SELECT lastval(); ROLLBACK", "SELECT 1; ROLLBACK; SELECT lastval()", "BEGIN; COMMIT; SELECT lastval()":
            equal(states(c.ask(text)), ["25P02"], text)
        for text in "ROLLBACK; SELECT lastval()", "/* */ COMMIT; SELECT lastval()", "ABORT; SELECT currval('s')":
            r = c.ask(text)
            equal((states(r), r.errors[0].message[:11], r.status), (["55000"], "the numbers", "E"), text)
        c.ask("ROLLBACK")
        equal(states(c.ask("SELECT lastval()")), ["55000"], "the numbers of others")
    d.quiet()


@test
def behind_what_came_with_it(t):
    """the first to ask in a pool does so in one write behind other messages: the others' numbers are discarded behind
    those, and each answer is that of its own message"""
    prepare(t)
    before = {"exchange": wire.extended("SELECT 11"), "query": wire.query("SELECT 11")}
    asks = {"Parse": wire.extended("SELECT lastval()") + wire.sync(), "FunctionCall": call(2559)}
    for first in before:
        for ask in asks:
            if first == "exchange" and ask == "FunctionCall":
                continue  # PostgreSQL takes none before the Sync
            d = t.daemon(size=1)
            with d.connect() as other, d.connect() as c:
                other.sql("INSERT INTO item (v) VALUES (1)")
                c.sql("BEGIN; SELECT 1")
                c.send(before[first] + asks[ask])
                answers = [c.until_ready() for _ in range(2 if first == "query" else 1)]
                name = "%s behind %s" % (ask, first)
                equal([tag for r in answers for tag in r.tags], ["SELECT 1"], "the tags, " + name)
                equal([row for r in answers for row in r.rows], [("11",)], "the rows, " + name)
                equal(states(answers[-1]), ["55000"], "the other's are not told, " + name)
                c.sql("ROLLBACK")
            d.stop()


@test
def its_own(t):
    """a session has its own numbers in the transaction that got them, whatever others did before, and afterwards as
    long as nobody else came between"""
    prepare(t)
    d = t.daemon(size=1)
    other, c = t.client(d), t.client(d)
    for sql, ask in (("SELECT nextval('s')", "SELECT lastval()"), ("SELECT nextval('s')", "SELECT currval('s')"),
                     ("SELECT setval('s', %d)" % OWN, "SELECT currval('s')"),
                     ("INSERT INTO item (v) VALUES (1) RETURNING id", "SELECT lastval()"),
                     ("INSERT INTO item (v) VALUES (1) RETURNING id", "SELECT currval('item_id_seq')")):
        for _ in range(2):
            other.sql("SELECT nextval('s'); INSERT INTO item (v) VALUES (1)")
            c.sql("BEGIN")
            number = c.value(sql)
            equal(c.value(ask), number, "in the transaction of " + sql)
            equal(c.ask_extended(ask).value, number, "and by the extended protocol")
            c.sql("COMMIT")
            equal(c.value(ask), number, "behind it")
            number = c.value(sql)
            equal(c.value(ask), number, "without a transaction")
            other.sql("SELECT nextval('s'); INSERT INTO item (v) VALUES (1)")
            equal(states(c.ask(ask)), ["55000"], "another has come between")
    c.sql("SELECT nextval('s'); DISCARD SEQUENCES")
    equal(states(c.ask("SELECT lastval()")), ["55000"], "discarded")
    c.sql("SELECT nextval('s')")
    c.sql("DISCARD ALL")
    equal(states(c.ask("SELECT lastval()")), ["55000"], "discarded with everything")
    d.quiet()


@test
def first_of_all(t):
    """a new server is nobody's: the first transaction of a pool has the numbers of its INSERT"""
    prepare(t)
    d = t.daemon(size=2)
    c = t.client(d)
    c.sql("BEGIN; INSERT INTO item (v) VALUES (1)")
    equal(c.value("SELECT currval('item_id_seq')"), "1", "its number")
    c.sql("COMMIT")


@test
def on_two_servers(t):
    """a number of before, on a server that the session comes back to, is not given for the last one"""
    prepare(t)
    d = t.daemon(size=2)
    c, holder = t.client(d), t.client(d)
    c.sql("SELECT nextval('s')")
    first = c.backend()
    holder.sql("BEGIN; SELECT 1")
    equal(holder.backend(), first, "the holder has that server")
    last = c.value("SELECT nextval('s')")
    check(c.backend() != first, "it is on the other server")
    other = t.client(d)
    c.sql("BEGIN; SELECT 1")
    holder.sql("COMMIT")
    del other
    c.sql("COMMIT")
    for _ in range(4):
        r = c.ask("SELECT lastval()")
        check(r.rows == [(last,)] or states(r) == ["55000"], "its last one or none: %r %r" % (r.rows, r.errors))
        holder.sql("SELECT 1")


@test
def whole_sessions_and_scopes(t):
    """with mode session, and in scopes"""
    prepare(t)
    d = t.daemon(size=1, options={"mode": "session"})
    with d.connect() as other:
        other.sql("SELECT nextval('s')")
    d.quiet()
    with d.connect() as c:
        equal(states(c.ask("SELECT lastval()")), ["55000"], "another's session has ended")
        number = c.value("SELECT nextval('s')")
        equal(c.value("SELECT lastval()"), number, "its own")
    d = t.daemon(size=1)
    other, c = t.client(d), t.client(d)
    for _ in range(2):
        other.sql("SELECT nextval('s')")
        c.sql("ENTER a")
        r = c.ask("SELECT lastval()")
        equal(states(r), ["55000"], "in a scope")
        c.ask("EXIT a ROLLBACK")
        other.sql("SELECT nextval('s')")
        c.sql("ENTER a")
        number = c.value("SELECT nextval('s')")
        equal(c.value("SELECT lastval()"), number, "its own, in a scope")
        c.sql("DEFER 'INSERT INTO kept SELECT lastval()'")
        c.sql("EXIT a")
        equal(t.value("SELECT max(v) FROM kept"), number, "what was deferred has it too")
        t.sql("TRUNCATE kept")
    d.quiet()


@test
def random_walk(t):
    """many sessions on few servers, at random: each answer is the session's own last number, or 55000; in the
    transaction that called nextval() always the number (PGWITH_TEST_WALK: steps)"""
    prepare(t)
    d = t.daemon(size=3)
    sessions = [{"c": t.client(d), "last": None, "open": False, "here": False} for _ in range(8)]
    sessions[0]["c"].ask("SELECT lastval()")
    seen = {"own": 0, "none": 0}
    for _ in range(int(os.environ.get("PGWITH_TEST_WALK", "1500"))):
        s = t.random.choice(sessions)
        c = s["c"]
        if not s["open"] and sum(x["open"] for x in sessions) == 2 and t.random.random() < .5:
            s = next(x for x in sessions if x["open"])
            c = s["c"]
        what = t.random.choice(["begin", "end", "next", "next", "ask", "ask", "select"])
        if what == "begin" and not s["open"] and sum(x["open"] for x in sessions) < 2:
            c.sql("BEGIN; SELECT 1")
            s["open"], s["here"] = True, False
        elif what == "end" and s["open"]:
            c.sql(t.random.choice(["COMMIT", "ROLLBACK"]))
            s["open"] = False
        elif what == "next":
            sql = t.random.choice(["SELECT nextval('s')", "INSERT INTO item (v) VALUES (1) RETURNING id"])
            s["last"] = (c.ask_extended(sql) if t.random.random() < .5 else c.ask(sql)).value
            s["here"] = s["open"]
        elif what == "ask":
            sql = "SELECT lastval()"
            r = c.ask_extended(sql) if t.random.random() < .5 else c.ask(sql)
            if r.errors:
                equal(states(r), ["55000"], "the error")
                check(not (s["open"] and s["here"]), "in the transaction that has got %s" % s["last"])
                seen["none"] += 1
                if s["open"]:
                    c.sql("ROLLBACK")
                    s["open"] = False
            else:
                equal(r.value, s["last"], "the session's own last number")
                seen["own"] += 1
        else:
            c.sql("SELECT 1")
    check(seen["own"] > 10 and seen["none"] > 10, "both: %r" % seen)


# ---- the seed --------------------------------------------------------------------------------------
SEEDS = ["SELECT setseed(0.5)", "select pg_catalog.\"setseed\"(.5)", "SET seed = 0.5", 'SET SESSION "seed" TO 0.5',
         "SET LOCAL SEED = 0.5", "SELECT set_config('seed', '0.5', false)", "SELECT set_config('seed', '0.5', true)",
         "DO $$BEGIN PERFORM setseed(0.5); END$$", "BEGIN; SELECT setseed(0.5); ROLLBACK"]


@test
def seeds(t):
    """who sets the seed of random() has the numbers of a direct connection, also after others had their turns, and
    nobody else has them, now or later"""
    d = t.daemon(size=2)
    numbers = "SELECT random() FROM generate_series(1, 3)"
    for sql in SEEDS:
        for extended in (False, True, None):
            if (extended and sql.startswith("BEGIN")) or (extended is None and sql != SEEDS[0]):
                continue
            with t.cluster.connect(t.database) as direct, d.connect() as other:
                c = d.connect()
                for x in (c, direct):
                    if extended is None:
                        x.send(call(1599, "0.5"))
                        x.until_ready()
                    else:
                        (x.ask_extended if extended else x.ask)(sql)
                got = []
                for i in range(3):
                    got += c.sql(numbers)
                    check(not set(other.sql(numbers)) & set(got), "the neighbour has others")
                want = [row for i in range(3) for row in direct.sql(numbers)]
                equal(got, want, "numbers after " + sql)
                pid = c.backend()
                c.close()
                wait_until(lambda: pid not in t.cluster.pids(t.database), 5, "its server is closed")
                with d.connect() as late:
                    check(not set(late.sql(numbers)) & set(want), "who comes later has others")
    d.quiet()


@test
def portals_stay(t):
    """numbers of others are discarded in the middle of a transaction without the loss of the client's unnamed portal, whose
    rows are fetched bit by bit, nor of its unnamed statement"""
    prepare(t)
    more = wire.execute(limit=2) + wire.sync()
    asks = wire.parse("SELECT nextval('s') > 0", "n") + wire.bind(portal="p", statement="n") + wire.execute("p")
    for program in ([wire.parse("SELECT generate_series(1, 9)") + wire.bind() + more, asks + wire.sync(), more,
                     wire.bind() + more, wire.close_("S", "n") + asks + wire.sync(), more],
                    [wire.parse("SELECT generate_series(1, 9)") + wire.bind() + asks + more, more]):
        # The first text of a pool that tells numbers finds a server that had another session.
        d, seen = t.daemon(size=1), []
        t.client(d).sql("SELECT 1")
        for c in (t.client(d), t.direct()):
            c.sql("BEGIN")
            c.sql("SELECT 1")
            got = []
            for exchange in program:
                c.send(exchange)
                r = c.until_ready()
                got.append((r.kinds, r.rows, r.tags, states(r), r.status))
            c.sql("COMMIT")
            seen.append(got)
            c.close()
        equal(seen[0], seen[1], "%r" % program)
        d.quiet()


@test
def seed_of_a_startup_packet(t):
    """seed as a startup parameter does nothing, as PostgreSQL has it, and keeps no server"""
    d = t.daemon(size=1)
    numbers = "SELECT random() FROM generate_series(1, 5)"
    seen = set()
    for _ in range(3):
        with d.connect(options="-c seed=0.25") as c, d.connect() as other:
            got = c.sql(numbers) + other.sql(numbers) + c.sql(numbers)
            check(not set(got) & seen, "others each time")
            seen |= set(got)
    d.quiet()


@test
def seed_without_pins(t):
    """with pin = off a seed is refused, and a column of that name is not"""
    t.sql("CREATE TABLE plants (seed int)")
    d = t.daemon(size=1, pin="off")
    c = t.client(d)
    for sql in SEEDS:
        r = c.ask(sql)
        equal((states(r), r.status), (["0A000"], "I"), sql)
        check("setseed" in r.errors[0].message, r.errors[0].message)
    for sql in ("INSERT INTO plants (seed) VALUES (1)", "UPDATE plants SET seed = 2", "SELECT seed FROM plants"):
        equal(c.ask(sql).errors, [], sql)
    d.quiet()


if __name__ == "__main__":
    main()
