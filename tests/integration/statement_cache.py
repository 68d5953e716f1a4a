"""Unnamed statements that are parsed once (statement_cache): every answer is compared, message by message, with that of
a direct connection, while others alter the tables; and the counters of SHOW STATS say what was answered how.

PGWITH_CACHE_STEPS is the number of steps of the random tests; --seed repeats a run."""

import os
import time

from pgwtest import check, equal, main, note, only_local, sanitized, test, wait_until, wire
from pgwtest.wire import bind, close_, describe, execute, flush, parse, query, sync

STEPS = int(os.environ.get("PGWITH_CACHE_STEPS") or (150 if sanitized() else 500))
INT4, INT8, TEXT = 23, 20, 25
TABLES = """
CREATE TABLE item (id int PRIMARY KEY, code int, name text);
INSERT INTO item VALUES (1, 7, 'seven'), (2, 8, 'eight'), (3, 9, NULL);
CREATE TABLE sink (code int, name text);
"""


def counters(d):
    """(seen, served, redone)"""
    row = next(r for r in d.show("STATS") if r["database"] == "db")
    return tuple(int(row["total_parse_%s_count" % k]) for k in ("seen", "served", "redone"))


def said(client, count):
    """Everything up to that many ReadyForQuery, but for what is told of parameters."""
    got = []
    while count > 0:
        kind, body = client.read()
        if kind != "S":
            got.append((kind, body))
        if kind == "Z":
            client.status = body.decode()
            count -= 1
    return got


def without_oids(messages):
    """Without the oids of tables: those of temporary ones differ."""
    out = []
    for kind, body in messages:
        at, kept = 2, body[:2]
        while kind == "T" and at < len(body):
            end = body.index(b"\0", at) + 1
            kept += body[at:end] + body[end + 4:end + 18]
            at = end + 18
        out.append((kind, kept if kind == "T" else body))
    return out


def whole(sql, values=(), types=(), more=b"", formats=()):
    """The messages of a driver's query, with its Sync."""
    return parse(sql, types=types) + bind(values, result_formats=formats) + describe() + execute() + more + sync()


class Pair:
    """A client of the daemon and a direct one, which are told the same and must be answered the same."""

    oids = True     # do the oids of tables in descriptions count?

    def __init__(self, t, d, **params):
        self.d = d
        self.pooled = t.client(d, **params)
        self.direct = t.direct(**params)

    def say(self, data, syncs=1, what=""):
        self.direct.send(data)
        wanted = said(self.direct, syncs)
        self.pooled.send(data)
        got = said(self.pooled, syncs)
        if not self.oids:
            wanted, got = without_oids(wanted), without_oids(got)
        equal(got, wanted, "answers %s" % (what or data))
        return wanted

    def ask(self, sql, *values, types=(), times=1, **how):
        for _ in range(times):
            got = self.say(whole(sql, values, types, **how), what=sql)
        return got

    def served(self, data, count=1, what="", syncs=1):
        """The same, and so many Parses were answered by a statement that was there."""
        before = counters(self.d)
        got = self.say(data, syncs, what)
        now = counters(self.d)
        equal(now[1] - before[1], count, "Parses served %s" % (what or data))
        return got


def pair(t, cache="auto", **pool):
    t.sql(TABLES)
    pool.setdefault("size", 1)
    return Pair(t, t.daemon(statement_cache=cache, **pool))


def kinds(got):
    return "".join(k for k, _ in got)


@test
def from_the_second_time_on(t):
    """A text is prepared when it comes the second time, and answered from the third time on"""
    p = pair(t)
    data = whole("SELECT name FROM item WHERE id = $1", (1,), (INT4,))
    for i, wanted in enumerate(((0, 0, 0), (1, 0, 0), (2, 1, 0), (3, 2, 0))):
        p.say(data)
        equal(counters(p.d), wanted, "counters after %d" % (i + 1))
    with p.d.connect() as other:
        other.send(data)
        equal(other.until_ready().rows, [("seven",)], "another session's rows")
    equal(counters(p.d), (4, 3, 0), "another session is answered, too")


@test
def which_texts(t):
    """auto answers where types are given or cast, on where they are inferred, neither what must be parsed each time"""
    t.sql("CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT $1'; CREATE TYPE mood AS ENUM ('sad')")
    auto = pair(t)
    on = Pair(t, t.daemon(statement_cache="on"))
    off = Pair(t, t.daemon(statement_cache="off"))
    texts = (
        # text, values, types, auto, on
        ("SELECT code FROM item WHERE id = $1", (1,), (INT4,), 1, 1),
        ("SELECT code FROM item WHERE id = $1::int", (1,), (), 1, 1),
        ("SELECT code FROM item WHERE id = $1", (1,), (), 0, 1),
        ("SELECT code FROM item WHERE id = $1 AND code = $2", (1, 7), (INT4,), 0, 1),
        ("SELECT id, code FROM item ORDER BY id", (), (), 1, 1),
        ("SELECT * FROM item ORDER BY id", (), (), 1, 1),
        ("UPDATE item SET code = $2::int WHERE id = $1::int", (1, 7), (), 1, 1),
        ("UPDATE item SET name = 'x' WHERE id = 0", (), (), 0, 1),
        ("DELETE FROM item WHERE id = -1 RETURNING *", (), (), 1, 1),
        ("SELECT f(1)", (), (), 0, 1),
        ("SELECT 'sad'::mood", (), (), 0, 1),
        ("SELECT count(*), coalesce(max(id), 0) FROM item", (), (), 0, 1),
        ("SELECT count(*), CASE WHEN true THEN 1 END FROM item", (), (), 1, 1),
        ("SELECT 'now'::date = current_date", (), (), 0, 0),
        ("SHOW work_mem", (), (), 0, 0),
        ("BEGIN; SELECT 1; COMMIT", (), (), 0, 0),
        ("", (), (), 0, 0),
        ("SELECT id AS a234567890123456789012345678901234567890123456789012345678901234 FROM item", (), (), 0, 0),
        ("SELECT 1 AS \"b\" FROM item WHERE name = 'a\\b'", (), (), 0, 0),
    )
    for sql, values, types, in_auto, with_on in texts:
        data = whole(sql, values, types)
        for p, served in ((auto, in_auto), (on, with_on), (off, 0)):
            for _ in range(2):
                p.say(data, what=sql)
            for _ in range(2):
                p.served(data, served, what=sql)
    equal(counters(off.d), (0, 0, 0), "counters with off")


@test
def texts_that_come_once(t):
    """Texts that come once take the place of no statement"""
    p = pair(t, max_prepared_statements=4)
    c = p.pooled
    for i in range(4):
        c.send(parse("SELECT %d" % i, "s%d" % i) + sync())
        c.until_ready()
    names = "SELECT name FROM pg_prepared_statements ORDER BY 1"
    before = c.sql(names)
    equal(len(before), 4, "statements")
    for i in range(300):
        c.send(whole("SELECT %d + $1" % (1000 + i), (1,), (INT4,)))
        equal(c.until_ready().rows, [(str(1001 + i),)], "rows")
    equal(c.sql(names), before, "statements on the server")
    p.ask("SELECT $1::int", 1, times=20)
    now = c.sql(names)
    check(len(now) == 4 and now != before, "one that repeats does: %r" % now)


@test
def least_recently_used(t):
    """Statements are bounded with the named ones, and the one that was used last stays"""
    p = pair(t, max_prepared_statements=3)
    for _ in range(10):
        for i in range(6):
            p.ask("SELECT %d + $1::int" % i, 5)
            p.ask("SELECT 100", times=2)
    check(len(p.pooled.sql("SELECT FROM pg_prepared_statements")) <= 3, "no more than three")
    p.served(whole("SELECT 100"))


@test
def errors(t):
    """Errors of values, of numbers of values and of the text are those of a direct connection, with their positions"""
    p = pair(t)
    sql = "SELECT 10 / $1 FROM item"
    p.ask(sql, 5, types=(INT4,), times=3)
    p.ask(sql, 0, types=(INT4,))
    p.ask(sql, "x", types=(INT4,))
    p.ask(sql, types=(INT4,))
    p.ask(sql, 1, 2, types=(INT4,))
    p.ask(sql, 2, types=(INT4,), formats=(0, 0))
    p.ask(sql, b"\1\2", types=(INT4,))
    p.say(parse(sql, types=(INT4,)) + bind((5,), portal="p") + bind((5,), portal="p") + execute("p") + sync())
    for bad in ("SELECT 1 FROM nowhere", "SELECT nothing FROM item", "SELEC 1", "SELECT 1 +"):
        p.ask(bad, times=4)
    p.ask("SELECT code FROM later", times=3)
    t.sql("CREATE TABLE later AS SELECT 1 AS code")
    p.ask("SELECT code FROM later", times=3)
    p.served(whole("SELECT code FROM later"))
    # Behind a Parse that has failed there is no unnamed statement, whatever stood in for it before.
    p.ask("SELECT code FROM later")
    t.sql("DROP TABLE later")
    p.ask("SELECT code FROM later")
    p.say(bind() + execute() + sync())
    p.ask("SELECT code FROM item", times=3)
    p.say(bind() + execute() + sync())
    p.say(parse("SELEC") + sync())
    p.say(bind() + execute() + sync())


ALTERATIONS = (
    "ALTER TABLE item ALTER code TYPE bigint", "ALTER TABLE item ADD more int DEFAULT 3",
    "ALTER TABLE item ALTER code TYPE text", "ALTER TABLE item DROP more",
    "ALTER TABLE item ALTER code TYPE int USING code::int", "ALTER TABLE item ALTER name TYPE varchar(30)",
    "ALTER TABLE item ALTER name TYPE varchar(20)", "ALTER TABLE item RENAME name TO title",
    "ALTER TABLE item RENAME title TO name", "ALTER TABLE item RENAME TO thing", "ALTER TABLE thing RENAME TO item",
    "DROP TABLE item; " + TABLES, "ALTER TABLE item DROP code; ALTER TABLE item ADD code text DEFAULT 'new'",
    "ALTER TABLE item DROP code; ALTER TABLE item ADD code int DEFAULT 7",
    "CREATE OR REPLACE VIEW seen AS SELECT id AS a FROM item",
    "CREATE OR REPLACE VIEW seen AS SELECT id AS a, 1 AS b FROM item", "DROP VIEW IF EXISTS seen",
    "DROP VIEW IF EXISTS seen; CREATE VIEW seen AS SELECT name AS a FROM item",
    "CREATE SCHEMA more", "DROP SCHEMA more", "CREATE INDEX ON item (code)", "ANALYZE item",
    "CREATE DOMAIN small AS int; CREATE TABLE domains (a small)", "DROP DOMAIN IF EXISTS small CASCADE",
    "DROP TABLE IF EXISTS domains",
)
PLAIN = (
    ("SELECT code FROM item WHERE id = $1", (1,), (INT4,)),
    ("SELECT * FROM item ORDER BY id", (), ()),
    ("SELECT id, name FROM item ORDER BY id", (), ()),
    ("SELECT item FROM item ORDER BY id", (), ()),
    ("SELECT i.id, i.name FROM item i WHERE i.name <> $1 ORDER BY i.id", ("nine",), (TEXT,)),
    ("SELECT a FROM seen ORDER BY 1", (), ()),
    ("SELECT (SELECT code FROM item i WHERE i.id = item.id) FROM item ORDER BY id", (), ()),
    ("SELECT a FROM domains", (), ()),
    ("WITH x AS (SELECT code AS c FROM item) SELECT c FROM x ORDER BY 1", (), ()),
    ("SELECT count(*) FROM item WHERE code IS NOT NULL", (), ()),
    ("SELECT id + $1::int AS x, $2::text FROM item ORDER BY 1", (3, "y"), ()),
)


@test
def altered_by_others(t):
    """Outside of transactions a statement whose tables others alter answers as on a direct connection, each time"""
    p = pair(t)
    for sql, values, types in PLAIN:
        p.ask(sql, *values, types=types, times=3)
    for ddl in ALTERATIONS:
        try:
            t.sql(ddl)
        except wire.ServerError:
            continue        # of a view that depends on it
        for sql, values, types in PLAIN:
            p.ask(sql, *values, types=types, times=2)
    seen, served, redone = counters(p.d)
    check(served > 100 and redone > 5, "served %d, redone %d" % (served, redone))


@test
def in_transactions(t):
    """In a transaction auto answers what has no result, and nothing fails when others alter a table"""
    p = pair(t)
    select = whole("SELECT code, name FROM item WHERE id = $1", (1,), (INT4,))
    star = whole("SELECT * FROM item")
    update = whole("UPDATE item SET name = $1 WHERE id = $2", ("z", 1), (TEXT, INT4))
    for data in (select, star, update):
        for _ in range(3):
            p.say(data)
    p.direct.sql("SET lock_timeout = '20s'")
    for begin in (query("BEGIN"), whole("BEGIN")):
        p.say(begin)
        p.served(select, 0)
        p.say(query("ROLLBACK"))
        for _ in range(2):
            # Each transaction by itself, as they lock the same row.
            for client, is_pooled in ((p.pooled, True), (p.direct, False)):
                before = counters(p.d)
                client.send(begin)
                said(client, 1)
                client.send(update)
                equal(kinds(said(client, 1)), "12nCZ", "the update")
                client.send(select)
                equal(kinds(said(client, 1)), "12TDCZ", "the select")
                equal(counters(p.d)[1] - before[1], int(is_pooled), "Parses served")
                client.sql("ROLLBACK")
    p.say(query("BEGIN"))
    t.sql("ALTER TABLE item ALTER code TYPE bigint")
    t.sql("ALTER TABLE item ADD more int")
    for data in (select, star):
        p.say(data)
    p.say(query("ROLLBACK"))
    # A transaction that has failed
    p.say(query("BEGIN"))
    p.say(query("SELECT 1/0"))
    for data in (update, select):
        p.say(data)
    p.say(query("BEGIN") + update + select, 3)
    p.say(query("ROLLBACK"))
    p.say(query("BEGIN") + query("SELECT 1/0") + update + select + query("ROLLBACK"), 5)
    p.served(select, 1)


@test
def refused_at_the_end(t):
    """What PostgreSQL has refused at the end of a lease is parsed anew, and the next Parse of another session is counted"""
    p = pair(t)
    sql = "INSERT INTO sink (code) VALUES (1)"
    for _ in range(2):
        p.ask(sql, times=3)
        p.ask("SELECT id FROM item ORDER BY id", times=3)
        p.say(query("BEGIN"))
        p.served(whole(sql))
        p.say(query("COMMIT"))
        t.sql("ALTER TABLE sink DROP code")
        p.say(query("BEGIN"))
        equal(kinds(p.served(whole(sql))), "EZ", "answer")
        p.say(query("ROLLBACK"))
        before = counters(p.d)
        p.ask("SELECT id FROM item ORDER BY id")
        equal(counters(p.d), (before[0] + 1, before[1] + 1, before[2]), "counters")
        t.sql("ALTER TABLE sink ADD code int")


@test
def in_transactions_with_on(t):
    """With on, a transaction is answered too, but for `*`; a result that has changed is 0A000 there, once"""
    p = pair(t, "on")
    select = whole("SELECT code FROM item WHERE id = $1", (1,))
    star = whole("SELECT * FROM item")
    for data in (select, star):
        for _ in range(3):
            p.say(data)
    p.say(query("BEGIN"))
    p.served(select, 1)
    p.served(star, 0)
    p.say(query("COMMIT"))
    t.sql("ALTER TABLE item ALTER code TYPE bigint")
    c = p.pooled
    c.sql("BEGIN")
    c.send(select)
    r = c.until_ready()
    equal([(e.sqlstate, e.message) for e in r.errors], [("0A000", "cached plan must not change result type")], "error")
    equal(r.kinds, "EZ", "the Parse has failed")
    c.sql("ROLLBACK")
    for _ in range(2):
        c.sql("BEGIN")
        c.send(select)
        equal(c.until_ready().rows, [("7",)], "rows")
        c.sql("COMMIT")


@test
def pipelines(t):
    """Several statements in one exchange, several exchanges in one write, with errors in each place"""
    p = pair(t)
    one = "SELECT code FROM item WHERE id = $1::int"
    two = "UPDATE item SET name = $1::text WHERE id = 2"
    three = "SELECT 10 / $1::int"

    def use(sql, value):
        return parse(sql) + bind((value,)) + describe() + execute()

    for sql, value in ((one, 1), (two, "x"), (three, 1)):
        p.ask(sql, value, times=3)
    p.served(use(one, 1) + use(two, "y") + use(three, 2) + sync(), 2)
    p.say(use(one, 1) + use(three, 0) + use(two, "no") + sync())
    p.say(use(three, 0) + use(two, "no") + sync() + use(one, 2) + sync(), 2)
    p.say((use(one, 1) + sync()) * 5, 5)
    p.say((use(one, 1) + use(three, 0) + sync()) * 3 + use(two, "z") + sync(), 4)
    p.say(use(one, 1) + sync() + query("SELECT 5") + use(two, "q") + sync(), 3)
    # PostgreSQL 18 leaves a transaction half begun then, and fails the direct client's next statement.
    if int(t.value("SHOW server_version_num")) < 180000:
        p.say(use(one, 1) + query("SELECT 5") + sync(), 2)
        p.say(use(three, 0) + query("SELECT 5") + sync())
    p.say(parse(one) + parse(three) + bind((2,)) + execute() + sync())
    p.say(parse(one) + parse("SELEC") + bind((2,)) + execute() + sync())
    p.say(bind((1,)) + execute() + sync())
    p.say(sync())
    t.sql("ALTER TABLE item ALTER code TYPE bigint")
    p.say(use(one, 1) + use(two, "y") + use(three, 0) + sync())
    t.sql("ALTER TABLE item ALTER code TYPE int")
    p.say((use(one, 1) + sync()) * 5, 5)
    t.sql("ALTER TABLE item ALTER code TYPE bigint")
    p.say(use(one, 1) + close_("S") + use(one, 2) + sync())


@test(timeout=300)
def in_pieces(t):
    """Wherever the exchange is cut, and whatever has changed before, the answer is the same"""
    p = pair(t)
    data = whole("SELECT code FROM item WHERE id = $1", (1,), (INT4,), more=whole("SELECT 5")[:-5])
    p.direct.send(data)
    said(p.direct, 1)
    types = ("int", "bigint")
    for at in range(1, len(data), 1 if not sanitized() else 5):
        # Prepared as it is now, and altered before every second one.
        for _ in range(2):
            p.pooled.send(data)
            said(p.pooled, 1)
        if at % 2:
            t.sql("ALTER TABLE item ALTER code TYPE " + types[at // 2 % 2])
        p.direct.send(data)
        wanted = said(p.direct, 1)
        p.pooled.send(data[:at])
        time.sleep(0.002)
        p.pooled.send(data[at:])
        equal(said(p.pooled, 1), wanted, "answer to what was cut at %d" % at)
    check(counters(p.d)[2] > 10, "some were done again")


@test
def behind_what_is_done_again(t):
    """What comes in a later read behind an exchange that has to be done again waits for that, and is done once"""
    d = pair(t).d
    counted = "INSERT INTO sink (code) VALUES (1)"
    behind = [sync() + query(counted), sync() + bind(statement="counted") + execute() + sync(),
              sync() + parse(counted) + bind() + execute() + sync(), close_("P", "") + sync() + query(counted)]
    if int(t.value("SHOW server_version_num")) < 180000:  # see pipelines()
        behind.append(query(counted) + sync())
    sql = "SELECT code FROM item WHERE id = $1"
    lock, types = t.direct(), ("bigint", "int")
    for i, rest in enumerate(behind * 2):
        p = Pair(t, d)  # with a client that was seen to do so, it is not tried for a while
        p.say(parse(counted, name="counted") + sync())
        p.ask(sql, 1, types=(INT4,), times=3)
        before = counters(p.d)[2]
        lock.sql("BEGIN; LOCK item")
        for client in (p.direct, p.pooled):
            client.send(parse(sql, types=(INT4,)) + bind((1,)))
        # The servers cannot answer before the second half has come.
        wait_until(lambda: t.value("SELECT count(*) FROM pg_locks WHERE NOT granted") == "2", 10, "both wait for the lock")
        for client in (p.direct, p.pooled):
            client.send(execute() + rest)
        for _ in range(2):
            counters(p.d)  # by then the daemon has read it
        lock.sql("ALTER TABLE item ALTER code TYPE %s; COMMIT" % types[i % 2])
        wanted = said(p.direct, 2)
        equal(said(p.pooled, 2), wanted, "answers to %r" % rest)
        equal(counters(p.d)[2] - before, 1, "exchanges done again ahead of %r" % rest)
        equal(t.value("SELECT count(*) FROM sink"), str(2 * (i + 1)), "rows, one of each client each time")


@test
def without_a_sync(t):
    """With a Flush, the answer comes before the Sync; what has to be done again is, and the Sync ends it"""
    p = pair(t)
    use = parse("SELECT code FROM item ORDER BY id") + bind() + describe() + execute("", 2)
    p.say(use + sync(), what="first")
    p.say(use + sync(), what="second")

    def flushed(client, kind):
        client.send(use + flush())
        got = [client.read()]
        while got[-1][0] != kind:
            got.append(client.read())
        client.send(execute("", 0) + sync())
        return got + said(client, 1)

    for i in range(4):
        equal(flushed(p.pooled, "s"), flushed(p.direct, "s"), "answers")
        t.sql("ALTER TABLE item ALTER code TYPE " + ("int", "bigint")[i % 2 ^ 1])
    t.sql("ALTER TABLE item RENAME code TO gone")
    for client in (p.pooled, p.direct):
        client.send(use + flush())
        equal(client.read()[0], "E", "the error comes ahead of the Sync")
        client.send(sync())
        equal(kinds(said(client, 1)), "Z", "and then ReadyForQuery")


@test
def big_values(t):
    """A value that is longer than what is kept to be done again"""
    p = pair(t)
    sql = "SELECT octet_length($1::text), code FROM item WHERE id = 1"
    p = Pair(t, t.daemon(statement_cache="on"))
    for size in (10, 10, 10, 20000, 60000, 200000, 10):
        p.ask(sql, "x" * size)
    for i, size in enumerate((10, 20000, 60000, 200000)):
        t.sql("ALTER TABLE item ALTER code TYPE " + ("bigint", "int")[i % 2])
        p.ask(sql, "x" * size, times=2)
        # The Parse alone first, then a long Bind
        t.sql("ALTER TABLE item ALTER code TYPE " + ("int", "bigint")[i % 2])
        p.ask(sql, "y")
        for client in (p.direct, p.pooled):
            client.send(parse(sql) + b"B")
            time.sleep(0.01)
            client.send(bind(("x" * size,))[1:] + describe() + execute() + sync())
        equal(said(p.pooled, 1), said(p.direct, 1), "answers of a Bind that came later")


@test
def descriptions_and_portals(t):
    """Describe of the statement, NoData, portals with names and limits, in transactions and out of them"""
    p = pair(t)
    sql, none = "SELECT id, name FROM item ORDER BY id", "DELETE FROM item WHERE id = 99"
    typed = "SELECT id FROM item WHERE id >= $1 ORDER BY id"
    for s in (sql, none):
        p.ask(s, times=3)
    p.ask(typed, 1, types=(INT4,), times=3)
    p.served(parse(sql) + describe("S") + bind(portal="p") + execute("p", 1) + execute("p", 1) + sync())
    # Described first, and without result: PostgreSQL looks at the analysis only for the Bind.
    p.served(parse(none) + describe("S") + bind() + describe() + execute() + sync(), 0)
    p.served(parse(typed, types=(INT4,)) + describe("S") + sync())
    # The Bind comes in another transaction, after another session has had the server.
    p.say(bind((2,)) + execute() + sync())
    p.served(parse(typed, types=(INT4,)) + describe("S") + sync())
    p.d.connect().sql("SELECT 1")
    p.say(bind((2,)) + describe() + execute() + sync())
    p.say(bind((3,)) + describe() + execute() + sync())
    p.say(describe("S") + sync())
    p.say(close_("S") + bind((3,)) + sync())
    p.say(parse(sql) + close_("S") + describe("S") + sync())
    p.say(parse(sql) + bind(portal="p") + parse(none) + bind() + execute("p") + execute() + sync())
    p.say(parse(sql) + query("SELECT 1") + bind() + sync(), 2)
    p.say(query("BEGIN"))
    p.say(parse(sql) + bind(portal="c") + execute("c", 1) + sync())
    p.say(execute("c", 1) + parse(none) + bind() + execute() + execute("c", 5) + sync())
    p.say(close_("P", "c") + execute("c") + sync())
    p.say(query("ROLLBACK"))
    p.say(parse(sql) + bind(result_formats=(1,)) + describe() + execute() + sync())


@test
def shared_with_named(t):
    """Named and unnamed statements of one text; DEALLOCATE ALL and DISCARD ALL"""
    p = pair(t)
    sql = "SELECT code FROM item ORDER BY id"
    p.ask(sql, times=3)
    p.say(parse(sql, "n") + bind(statement="n") + execute() + sync())
    p.served(whole(sql))
    p.say(parse(sql) + bind(statement="n") + execute() + bind() + execute() + sync())
    for words in ("DEALLOCATE ALL", "DISCARD ALL", "DEALLOCATE n"):
        p.say(query(words))
        p.ask(sql, times=4)
        p.say(bind(statement="n") + sync())
        p.say(close_("S", "n") + parse(sql, "n") + sync())
    p.say(parse("DISCARD ALL", "d") + sync())
    p.say(bind(statement="d") + execute() + sync())
    p.ask(sql, times=3)
    p.say(bind((1,)) + sync(), what="one value too many")


@test
def temporary_objects(t):
    """A temporary table comes first in its session, and only there; so it is while the transaction makes it"""
    p = pair(t, size=2)
    other = Pair(t, p.d)
    p.oids = False
    sql = "SELECT name FROM item ORDER BY id"
    for who in (p, other):
        who.ask(sql, times=4)
    for make in ("CREATE TEMP TABLE item (id int, name uuid)", "CREATE TEMP VIEW item AS SELECT 1 AS id, 2 AS name"):
        p.say(query(make))
        p.ask(sql, times=3)
        other.ask(sql, times=3)
        p.say(query("DROP %s item" % make.split()[2]))
        p.ask(sql, times=3)
    p.say(query("BEGIN") + query("CREATE TEMP TABLE item (id int, name int) ON COMMIT DROP"), 2)
    p.ask(sql, times=2)
    other.ask(sql)
    p.say(query("COMMIT"))
    p.ask(sql, times=3)
    answers = []
    for client in (p.direct, p.pooled):
        client.send(query("BEGIN") + query("CREATE SCHEMA mine") + query("SET LOCAL search_path = mine") +
                    query("CREATE TABLE item (id int, name bytea)") + whole(sql) * 2 + query("ROLLBACK"))
        answers.append(without_oids(said(client, 7)))
    equal(answers[1], answers[0], "answers")
    p.ask(sql, times=2)


@test
def search_path_and_role(t):
    """search_path, SET LOCAL, roles and other parameters: each session has what its own say"""
    t.sql("CREATE SCHEMA a; CREATE TABLE a.item (id int, name date); INSERT INTO a.item VALUES (1, '2020-01-02');"
          "GRANT USAGE ON SCHEMA a TO PUBLIC; GRANT SELECT ON a.item TO PUBLIC")
    t.cluster.role("alice", "")
    p = pair(t, "on", size=2)
    q = Pair(t, p.d, search_path="a")
    sql, stamp = "SELECT name FROM item ORDER BY id", "SELECT '01/02/2003'::date, '2020-01-01 00:00+00'::timestamptz"
    for _ in range(3):
        for who in (p, q):
            who.ask(sql, times=2)
            who.ask(stamp, times=2)
    for setting in ("search_path = a", "search_path = public, a", "DateStyle = 'German, DMY'", "TimeZone = 'Asia/Tokyo'",
                    "role = alice", "role = none", "standard_conforming_strings = off"):
        p.say(query("SET " + setting))
        q.ask(sql)
        for _ in range(3):
            p.ask(sql)
            p.ask(stamp)
            p.ask("SELECT 'a\\\\b'")
            q.ask(stamp)
    p.say(query("RESET ALL"))
    p.ask(sql, times=3)
    for setting in ("search_path = a", "role = alice", "DateStyle = 'SQL, DMY'"):
        p.say(query("BEGIN") + query("SET LOCAL " + setting), 2)
        p.ask(sql, times=2)
        p.ask(stamp, times=2)
        p.say(query("COMMIT"))
        p.ask(sql, times=2)
        p.ask(stamp, times=2)
    p.say(query("BEGIN") + whole("SELECT set_config('search_path', 'a', true)") * 3 + whole(sql) + query("ROLLBACK"), 6)


@test
def definitions_of_this_daemon(t):
    """With on, what a session of the daemon defines counts at once: types, functions, tables that hide others"""
    t.sql("CREATE SCHEMA a; CREATE FUNCTION f(bigint) RETURNS text LANGUAGE sql AS 'SELECT ''bigint'''")
    p = pair(t, "on", size=2)
    definer = t.client(p.d)
    code, call = whole("SELECT id FROM item WHERE code = $1", ("007",)), whole("SELECT f(1)")
    t.sql("ALTER ROLE postgres IN DATABASE \"%s\" SET search_path = a, public" % t.database)
    p = Pair(t, p.d)
    p.d.console("RECONNECT db")
    for data in (code, call, whole("SELECT name FROM item")):
        for _ in range(4):
            p.say(data)
    p.served(code)
    steps = ("ALTER TABLE item ALTER code TYPE text", "CREATE FUNCTION f(int) RETURNS text LANGUAGE sql AS 'SELECT ''int'''",
             "DROP FUNCTION f(int)", "CREATE TABLE a.item (id int, code int, name int)", "DROP TABLE a.item",
             "DO 'BEGIN ALTER TABLE item ALTER code TYPE int USING 7; END'",
             "DO 'BEGIN CREATE FUNCTION f(int) RETURNS text LANGUAGE sql AS ''SELECT ''''in DO''''''; END'")
    for sql in steps:
        definer.sql(sql)
        for data in (code, call, whole("SELECT name FROM item")):
            p.say(data)
            p.say(data)
    # In a transaction: what it has made counts when it is there for others.
    definer.sql("BEGIN")
    definer.sql("CREATE FUNCTION f(integer, int DEFAULT 5) RETURNS text LANGUAGE sql AS 'SELECT ''none'''")
    definer.sql("DROP FUNCTION f(int)")
    for _ in range(3):
        p.say(call)
    definer.sql("COMMIT")
    for _ in range(3):
        p.say(call)


@test
def definitions_of_other_roles(t):
    """The same with role = client: what a session of another role defines in DO counts, too"""
    t.cluster.role("carol", "LOGIN")
    t.sql("CREATE FUNCTION f(bigint) RETURNS text LANGUAGE sql AS 'SELECT ''bigint'''")
    d = t.daemon(statement_cache="on", size=2, role="client")
    carol, definer = t.client(d, user="carol"), t.client(d)
    call = whole("SELECT f(1)")
    for _ in range(4):
        carol.send(call)
        equal(carol.until_ready().rows, [("bigint",)], "f(1)")
    definer.sql("DO 'BEGIN CREATE FUNCTION f(int) RETURNS text LANGUAGE sql AS ''SELECT ''''int''''''; END'")
    carol.send(call)
    equal(carol.until_ready().rows, [("int",)], "f(1), when a better f is there")


@test
def definitions_of_others(t):
    """With on, what others define counts after statement_cache_age, and after RECONNECT"""
    p = pair(t, "on", statement_cache_age="2s")
    code = whole("UPDATE item SET code = $1 WHERE id = 1", ("007",))

    def stored(client):
        client.send(code)
        check(not client.until_ready().errors, "it is stored")
        return t.value("SELECT code FROM item WHERE id = 1")

    for _ in range(3):
        stored(p.pooled)
    t.sql("ALTER TABLE item ALTER code TYPE text")
    equal(stored(p.pooled), "7", "the parameter is a number, as before")
    equal(stored(p.direct), "007", "and would be a text now")
    wait_until(lambda: stored(p.pooled) == "007", 10, "the statement is parsed anew")
    t.sql("ALTER TABLE item ALTER code TYPE int USING 7")
    for _ in range(3):
        stored(p.pooled)
    t.sql("ALTER TABLE item ALTER code TYPE text")
    p.d.console("RECONNECT db")
    equal(stored(p.pooled), "007", "after RECONNECT")


@test
def auto_is_safe_with_inferred_types(t):
    """auto: a parameter's type that is inferred is inferred each time, a changed column at once"""
    p = pair(t)
    code = whole("SELECT id FROM item WHERE code = $1", ("007",))
    for _ in range(4):
        p.say(code)
    t.sql("ALTER TABLE item ALTER code TYPE text")
    equal(kinds(p.say(code)), "12TCZ", "no row")
    equal(counters(p.d)[1], 0, "Parses served")


@test
def reloads(t):
    """The options may be changed by a reload"""
    p = pair(t, "off")
    data = whole("SELECT code FROM item WHERE id = $1", (1,))
    for _ in range(3):
        p.say(data)
    equal(counters(p.d), (0, 0, 0), "off")
    for cache, served in (("auto", 0), ("on", 1), ("off", 0), ("on", 1), ("auto", 0)):
        p.d.reload(pools={"db": {"conninfo": t.conninfo(), "size": 1, "statement_cache": cache}})
        p.say(data)
        p.say(data)
        p.served(data, served, what=cache)


@test
def modes(t):
    """mode = session and max_prepared_statements = 0 parse each time; mode = statement answers"""
    t.sql(TABLES)
    data = whole("SELECT code FROM item ORDER BY id")
    for options, served in (({"mode": "session"}, 0), ({"max_prepared_statements": 0}, 0), ({"mode": "statement"}, 1)):
        p = Pair(t, t.daemon(**options))
        p.say(data)
        p.say(data)
        p.served(data, served, what=str(options))


@test
def many_sessions(t):
    """Sessions on several servers: each server prepares once, and a text that is altered is done again on each"""
    p = pair(t, size=3)
    clients = [t.client(p.d) for _ in range(3)]
    data = whole("SELECT code FROM item WHERE id = $1", (1,), (INT4,))
    for c in clients:
        c.sql("BEGIN")
    for c in clients:
        c.sql("COMMIT")
    for i in range(6):
        p.direct.send(data)
        wanted = said(p.direct, 1)
        holders = [t.client(p.d) for _ in range(i % 3)]
        for h in holders:
            h.sql("BEGIN; SELECT 1")
        for c in clients:
            c.send(data)
            equal(said(c, 1), wanted, "answers")
        for h in holders:
            h.close()
        if i % 2:
            t.sql("ALTER TABLE item ALTER code TYPE " + ("int", "bigint")[i // 2 % 2 ^ 1])


@test
def cancelled(t):
    """A statement that is answered so can be cancelled, and the next one is answered"""
    p = pair(t, "on")
    sql = "SELECT pg_sleep($1::float8) IS NULL FROM item LIMIT 1"
    p.ask(sql, 0, times=3)
    for _ in range(2):
        p.pooled.send(whole(sql, (30,)))
        wait_until(lambda: [a for a in t.activity() if a["wait_event"] == "PgSleep"], 10, "it runs")
        p.pooled.cancel()
        equal([e.sqlstate for e in p.pooled.until_ready().errors], ["57014"], "error")
        p.served(whole(sql, (0,)))
    # Waiting for a lock, at the Parse
    lock = t.direct()
    lock.sql("BEGIN; LOCK item")
    p.pooled.send(whole(sql, (0,)))
    wait_until(lambda: [a for a in t.activity() if a["wait_event"] == "relation"], 10, "it waits for the lock")
    p.pooled.cancel()
    equal([e.sqlstate for e in p.pooled.until_ready().errors], ["57014"], "error")
    lock.sql("COMMIT")
    p.say(whole(sql, (0,)))
    p.served(whole(sql, (0,)))


@test
def clients_that_die(t):
    """A client that dies while its exchange is being done again leaves a server that serves on"""
    p = pair(t)
    data = whole("SELECT code FROM item ORDER BY id")
    types = ("int", "bigint")
    for i in range(30):
        p.say(data)
        p.say(data)
        t.sql("ALTER TABLE item ALTER code TYPE " + types[i % 2 ^ 1])
        c = p.d.connect()
        c.send(data if i % 3 else data[:-5])
        if i % 5 == 0:
            time.sleep(0.001)
        c.drop()
    p.d.quiet()
    p.say(data)


@test
def handed_over(t):
    """A restart that hands over keeps the unnamed statement, and what is prepared"""
    t.sql(TABLES)
    d = t.supervised(size=2)
    p = Pair(t, d)
    sql = "SELECT code FROM item WHERE id = $1"
    for _ in range(4):
        p.ask(sql, 1, types=(INT4,))
    p.say(parse(sql, types=(INT4,)) + describe("S") + sync())
    d.restart()
    p.say(bind((2,)) + describe() + execute() + sync())
    p.ask(sql, 1, types=(INT4,), times=3)
    p.served(whole(sql, (1,), (INT4,)))
    # In a transaction, and in the middle of an exchange
    p.say(query("BEGIN"))
    p.ask("UPDATE item SET code = code WHERE id = 9", times=3)
    for client in (p.direct, p.pooled):
        client.send(parse("UPDATE item SET code = code WHERE id = 9") + bind() + flush())
    d.restart()
    for client in (p.direct, p.pooled):
        client.send(execute() + sync())
    equal(said(p.pooled, 1), said(p.direct, 1), "answers over a restart")
    p.say(query("COMMIT"))
    p.ask(sql, 1, types=(INT4,), times=3)


@test
def what_only_looks_harmless(t):
    """auto: functions that are called like words of the grammar, and types like PostgreSQL's own, are another's when they are"""
    t.sql("CREATE SCHEMA s; CREATE TYPE zone AS ENUM ('a', 'b'); CREATE TYPE s.date AS ENUM ('a', 'b')")
    p = pair(t)
    words = ("by", "conflict", "filter", "is", "join", "like", "matched", "materialized", "of", "over", "partition",
             "set", "similar")
    for word in words:
        t.sql('CREATE FUNCTION "%s"(bigint) RETURNS text LANGUAGE sql AS $$SELECT 1$$' % word)
        p.ask("SELECT %s(1)" % word, times=4)
        t.sql('CREATE FUNCTION "%s"(int) RETURNS text LANGUAGE sql AS $$SELECT 2$$' % word)
        p.ask("SELECT %s(1)" % word, times=2)
    for sql, name in (("SELECT zone 'a'", "zone"), ("SELECT s.date 'a'", "s.date")):
        p.ask(sql, times=4)
        for old, new in (("a", "c"), ("b", "a")):
            t.sql("ALTER TYPE %s RENAME VALUE '%s' TO '%s'" % (name, old, new))
        p.ask(sql, times=2)
    equal(counters(p.d)[1], 0, "Parses served")


@test
def rows_of_composites(t):
    """auto: ROW() is not answered, as PostgreSQL does not notice that a composite type has got another attribute"""
    p = pair(t)
    t.sql("CREATE TYPE pair AS (x int); CREATE TABLE pairs (c pair)")
    for _ in range(4):
        p.ask("INSERT INTO pairs (c) VALUES (ROW($1::int))", 1)
    t.sql("ALTER TYPE pair ADD ATTRIBUTE y int")
    check("C42846" in str(p.ask("INSERT INTO pairs (c) VALUES (ROW($1::int))", 1)), "too few columns")


@test
def names_of_constraints(t):
    """auto: ON CONSTRAINT is not answered, as PostgreSQL does not notice that ALTER INDEX has renamed the constraint"""
    p = pair(t)
    insert = "INSERT INTO item (id, code) VALUES ($1::int, 1) ON CONFLICT ON CONSTRAINT item_pkey DO NOTHING RETURNING id"
    for _ in range(4):
        p.ask(insert, 1)
    t.sql("ALTER INDEX item_pkey RENAME TO other")
    check("C42704" in str(p.ask(insert, 1)), "there is no such constraint")


@test
def columns_and_calls(t):
    """auto: t.name is answered where the server says that it is a column; where it calls a function, a better one counts at once"""
    t.sql("CREATE TABLE base (a int); CREATE TABLE derived () INHERITS (base); INSERT INTO derived VALUES (1);"
          "CREATE FUNCTION label(base) RETURNS text LANGUAGE sql AS $$SELECT 'of base'$$")
    p = pair(t)
    calls = ("SELECT d.label FROM derived d", "SELECT d.a, d.label FROM derived d WHERE d.a = 1",
             "SELECT d.a FROM derived d WHERE d.label = 'of base'::text",
             "UPDATE derived d SET a = 1 RETURNING d.label")
    for sql in calls:
        p.ask(sql, times=4)
    t.sql("CREATE FUNCTION label(derived) RETURNS text LANGUAGE sql AS $$SELECT 'of derived'$$")
    for sql in calls:
        p.ask(sql, times=2)
    equal(counters(p.d)[1], 0, "Parses served")
    columns = ("SELECT i.id, i.name FROM item i WHERE i.id = 1 ORDER BY i.name",
               "SELECT i.id, d.a FROM item i JOIN derived d ON d.a = i.id",
               "UPDATE item i SET code = 7 WHERE i.id = 1 RETURNING i.id, i.code",
               "INSERT INTO item (id, code) VALUES (1, 7) ON CONFLICT (id) DO UPDATE SET code = excluded.code")
    for sql in columns:
        p.ask(sql, times=2)
        p.served(whole(sql), what=sql)
    # A column that has gone makes a call of what named it, and the other way round.
    t.sql("ALTER TABLE derived ADD label text DEFAULT 'a column'")
    for column in ("DROP label", "ADD label text DEFAULT 'another'", "DROP label"):
        for sql in calls:
            p.ask(sql, times=4)
        t.sql("ALTER TABLE derived " + column)
        for sql in calls:
            p.ask(sql, times=2)


@test
def literals_of_the_moment(t):
    """auto: no literal that means another value now is answered: of the present time, and read by the configuration's TimeZone"""
    only_local("it changes the configuration")
    p = pair(t)
    sql = "SELECT timestamptz '2020-01-01 00:00' = timestamptz '2020-01-01 00:00+00', date '01/02/2020' = date '2020-01-02'"
    p.ask(sql, times=4)
    t.sql("ALTER SYSTEM SET TimeZone = 'Asia/Tokyo'")
    t.sql("ALTER SYSTEM SET DateStyle = 'ISO, DMY'")
    t.sql("SELECT pg_reload_conf()")
    # The postmaster signals all its processes at once; each reads the file at its next statement.
    wait_until(lambda: p.direct.value("SHOW TimeZone") == "Asia/Tokyo", 10, "the signal has come")
    p.ask(sql, times=3)
    t.sql("ALTER SYSTEM RESET ALL")
    t.sql("SELECT pg_reload_conf()")
    for text in ("E'no'\n'w'", "'no'\n'w'", "$$now$$", "'Now'", "E'n' -- '\n'ow'"):
        got = set()
        for _ in range(4):
            p.pooled.send(whole("SELECT %s::timestamptz" % text))
            got.add(p.pooled.until_ready().rows[0])
        equal(len(got), 4, "times of " + text)
    equal(counters(p.d)[1], 0, "Parses served")


@test
def memberships(t):
    """A GRANT or REVOKE of this daemon counts at once: PostgreSQL does not notice that a role has lost a schema"""
    t.cluster.role("alice", "")
    p = pair(t, size=2)
    group = "readers_" + t.database
    t.sql("CREATE ROLE %s; CREATE SCHEMA s; CREATE TABLE s.x (a int); GRANT SELECT ON s.x TO alice; "
          "GRANT USAGE ON SCHEMA s TO %s; GRANT %s TO alice" % (group, group, group))
    try:
        definer = t.client(p.d)
        p.say(query("SET role = alice"))
        sql = "SELECT a FROM s.x"
        p.ask(sql, times=3)
        p.served(whole(sql))
        for words in ("REVOKE %s FROM alice", "GRANT %s TO alice", "REVOKE %s FROM alice"):
            definer.sql(words % group)
            p.ask(sql, times=3)
    finally:
        t.sql("DROP OWNED BY %s; DROP ROLE %s" % (group, group))


@test
def rules_that_leave_nothing(t):
    """PostgreSQL does not notice that a rule is gone which had left nothing of the statement: rows are written again"""
    p = pair(t)
    texts = ("INSERT INTO item (id, code) VALUES (99, 1)", "UPDATE item SET code = 5 WHERE id = $1::int",
             "DELETE FROM item WHERE id > 50", "MERGE INTO item USING (VALUES (1)) AS v (n) ON id = n "
             "WHEN MATCHED THEN UPDATE SET code = 6")

    def ask(what):
        for sql in texts:
            got = []
            for client in (p.direct, p.pooled):
                for data in (query("BEGIN"), whole(sql, (1,) if "$1" in sql else ()), query("ROLLBACK")):
                    client.send(data)
                    got.append(said(client, 1))
            equal(got[3:], got[:3], "%s, %s" % (sql, what))

    for _ in range(3):
        ask("at first")
    before = counters(p.d)[1]
    ask("at first")
    equal(counters(p.d)[1] - before, 3, "the three that write are answered")
    for action in ("NOTHING", "NOTIFY item"):
        t.sql("; ".join("CREATE RULE r%s AS ON %s TO item DO INSTEAD %s" % (what, what, action)
                        for what in ("insert", "update", "delete")))
        for _ in range(3):
            ask("with INSTEAD " + action)
        t.sql("; ".join("DROP RULE r%s ON item" % what for what in ("insert", "update", "delete")))
        for _ in range(3):
            ask("behind INSTEAD " + action)


@test
def deallocated_ahead(t):
    """Behind a DEALLOCATE ALL that has not been answered, no statement answers that it takes away"""
    p = pair(t)
    one, two = "INSERT INTO sink (code) VALUES (1)", "SELECT code FROM item ORDER BY id"
    for cache in ("auto", "on"):
        p = Pair(t, t.daemon(statement_cache=cache, size=1))
        for sql in (one, two):
            p.ask(sql, times=3)
        use = {sql: parse(sql) + bind() + describe() + execute() for sql in (one, two)}
        drop = parse("DEALLOCATE ALL") + bind() + execute()
        p.say(drop + use[one] + use[two] + sync())
        p.ask(one, times=3)
        p.say(use[one] + drop + use[one] + bind() + execute() + sync())
        p.say(parse("DEALLOCATE ALL", "d") + sync())
        p.ask(one, times=3)
        p.say(use[one] + bind(statement="d") + execute() + bind() + execute() + sync())
        p.ask(one, times=3)
        p.served(whole(one))


@test
def names_in_errors(t):
    """An error of a Bind names the unnamed statement, though the session has a named one of the same text"""
    p = pair(t, "on")
    sql = "SELECT 10 / $1"
    p.say(parse(sql, "n") + sync())
    p.ask(sql, 2, times=3)
    wrong = bind((1, 2, 3)) + execute()
    for ahead in (b"", parse("SELECT 5") + bind() + execute()):
        p.say(ahead + parse(sql) + wrong + sync())
        p.say(ahead + parse(sql) + describe("S") + wrong + sync())
        p.say(ahead + parse(sql) + bind((1,)) + wrong + sync())
        p.say(ahead + parse(sql) + bind((1,)) + execute() + bind((1, 2), statement="n") + sync())
        t.sql("CREATE SCHEMA s; DROP SCHEMA s")
        p.d.console("RECONNECT db")
    # Many errors that come at once, of the one and the other.
    p.ask(sql, 2, times=3)
    many = [bind((1, 2), statement=name) + sync() for name in ("n", "", "", "n", "n", "") for _ in range(10)]
    for _ in range(3):
        p.say(parse(sql) + bind((1,)) + sync() + b"".join(many), 1 + len(many))


@test
def waiting_for_locks(t):
    """A time-out while a lock of the table is waited for is the Parse's, as directly, and the text is answered afterwards"""
    p = pair(t)
    sql = "SELECT code FROM item ORDER BY id"
    described = parse(sql) + describe("S") + bind() + execute() + sync()
    p.ask(sql, times=3)
    lock = t.direct()
    for limit, sqlstate in (("lock_timeout", "55P03"), ("statement_timeout", "57014")):
        for client in (p.pooled, p.direct):
            client.sql("SET %s = '300ms'" % limit)
        p.ask(sql, times=3)
        for data in (whole(sql), described):
            lock.sql("BEGIN; LOCK item")
            for client in (p.direct, p.pooled):
                client.send(data)
                r = client.until_ready()
                equal((r.kinds, [e.sqlstate for e in r.errors]), ("EZ", [sqlstate]), "answer")
            lock.sql("ROLLBACK")
            p.say(bind() + execute() + sync(), what="no statement is left")
            p.ask(sql, times=3)
            p.served(whole(sql))
        for client in (p.pooled, p.direct):
            client.sql("SET %s = 0" % limit)


@test
def values_that_are_names(t):
    """In a transaction, a value that PostgreSQL reads as it reads a text is still a value of the Bind"""
    p = pair(t)
    sql = "INSERT INTO sink SELECT 1 WHERE 23::oid = $1"
    regtype = 2206
    p.ask(sql, "int4", types=(regtype,), times=3)
    for value in ("int4", "nosuch", "a b c", "int4("):
        p.say(query("BEGIN"))
        p.served(whole(sql, (value,), (regtype,)))
        p.say(query("ROLLBACK"))


@test
def as_much_as_is_kept(t):
    """The longest exchange that is done again, and those that are a few bytes longer or shorter"""
    p = pair(t)

    def exchange(text, behind):
        sql = "SELECT $1::text, code FROM item WHERE id = 1 -- "
        sql += "x" * (text - len(parse(sql)))
        rest = describe() + execute() + sync()
        values = "y" * (behind - len(bind(("",)) + rest))
        return parse(sql) + bind((values,)) + rest

    for text in range(16384 - 3, 16384 + 8):
        for i, behind in enumerate((16379 - 1, 16379, 16380, 16384, 16385)):
            data = exchange(text, behind)
            for _ in range(2):
                p.say(data, what="first")
            t.sql("ALTER TABLE item ALTER code TYPE " + ("int", "bigint")[(i + text + 1) % 2])
            p.say(data, what="a Parse of %d bytes, %d behind it" % (text, behind))
    check(counters(p.d)[2] > 10, "some were done again")


# ---- random ----
EXPRESSIONS = ("id", "code", "name", "code + 1", "id * code", "coalesce(code, 0)", "$1::int", "$2::text", "$1::int * id",
               "CASE WHEN id > 1 THEN code END", "item", "id AS x", "now() IS NULL", "1.5", "NULL", "*", "item.*",
               "(SELECT code FROM item i WHERE i.id = 2)", "count(*) OVER ()", "lower(name)", "code::text", "-code",
               "name || $2::text", "'lit'", "interval '1 day'", "more", "x")
SOURCES = ("item", "item", "item", "(SELECT * FROM item) item", "seen item", "item JOIN item j USING (id)",
           "public.item", "item NATURAL JOIN (SELECT 1 AS id) one", "domains item")


def a_text(rng):
    roll = rng.random()
    what = ", ".join(rng.choice(EXPRESSIONS) for _ in range(rng.choice((1, 1, 2, 3))))
    where = rng.choice(("", " WHERE id < 3", " WHERE code = $1::int", " WHERE id = $1", " WHERE name = $2::text"))
    if roll < 0.75:
        return "SELECT %s FROM %s%s%s" % (what, rng.choice(SOURCES), where,
                                          rng.choice(("", " ORDER BY 1", " LIMIT 1", " ORDER BY 1")))
    if roll < 0.82:
        # It writes rows, and locks none that another client waits for.
        return "INSERT INTO sink (code) SELECT %s FROM item%s" % (rng.choice(("code", "$1::int", "$1", "NULL")),
                                                                  rng.choice(("", " WHERE code = $1::int OR id > 1")))
    if roll < 0.9:
        return "UPDATE item SET code = %s%s%s" % (rng.choice(("code", "$1::int", "$1", "NULL")),
                                                  rng.choice((" WHERE id = 77", " WHERE id = -1")),
                                                  rng.choice(("", "", " RETURNING *", " RETURNING code")))
    return rng.choice(("SELECT item.code, item.id FROM item WHERE item.code = $1::int ORDER BY item.id",
                       "SELECT item.name, more FROM item ORDER BY item.id", "TABLE item", "VALUES ($1::int, $2::text)", "SELEC 1", "SELECT 1; SELECT 2", "SHOW TimeZone",
                       "INSERT INTO item SELECT 9 FROM item WHERE false"))


def values_of(sql, types):
    count = max([n for n in (1, 2) if "$%d" % n in sql] + [len(types)])
    return ("2", "two")[:count]


def an_exchange(rng, texts):
    out = b""
    for _ in range(rng.choice((1, 1, 1, 1, 2, 3))):
        sql, types = rng.choice(texts)
        values = values_of(sql, types) if rng.random() < 0.95 else ("x",)
        portal = rng.choice(("", "", "", "p"))
        messages = [parse(sql, types=types), describe("S"), bind(values, portal), describe("P", portal), execute(portal)]
        if rng.random() < 0.6:
            messages.pop(1)
        if rng.random() < 0.1:
            messages.pop(rng.randrange(1, len(messages)))
        if rng.random() < 0.1:
            messages.append(close_("P", portal) if rng.random() < 0.5 else close_("S"))
        if rng.random() < 0.1:
            messages.append(execute(portal))
        out += b"".join(messages)
    return out + sync()


def random_steps(t, cache):
    t.sql(TABLES)
    d = t.daemon(statement_cache=cache, size=3, max_prepared_statements=12)
    rng = t.random
    pairs = [Pair(t, d) for _ in range(4)]
    alter = t.client(d).sql if cache == "on" else t.sql

    def typed():
        return a_text(rng), rng.choice(((), (), (INT4,), (INT4, TEXT), (INT4, TEXT), (INT4, 0)))

    texts = [typed() for _ in range(10)]
    for i in range(STEPS):
        roll = rng.random()
        if roll < 0.06:
            # A table that a transaction has locked can be altered by nobody.
            for q in pairs:
                q.say(query("ROLLBACK"))
            try:
                alter(rng.choice(ALTERATIONS))
            except wire.ServerError:
                pass
            continue
        p = rng.choice(pairs)
        if roll < 0.12:
            texts[rng.randrange(len(texts))] = typed()
        elif roll < 0.2:
            sql = rng.choice(("BEGIN", "COMMIT", "ROLLBACK", "SELECT 1/0", "SET search_path = public",
                              "SET DateStyle = 'German'", "RESET ALL", "DISCARD ALL", "DEALLOCATE ALL"))
            p.say(query(sql))
        elif roll < 0.3:
            syncs = rng.choice((2, 3))
            p.say(b"".join(an_exchange(rng, texts) for _ in range(syncs)), syncs)
        else:
            p.say(an_exchange(rng, texts))
        if p.direct.status != "I" and rng.random() < 0.5:
            p.say(query("ROLLBACK"))
        if roll > 0.95:
            for q in pairs:
                q.say(query("ROLLBACK"))
        for q in pairs:
            if q.direct.status != "I" and q is not p:
                q.say(query("COMMIT"))
    note("served %d of %d seen, %d done again" % (counters(d)[1], counters(d)[0], counters(d)[2]))
    for q in pairs:
        q.say(query("ROLLBACK"))
    d.quiet()


@test(timeout=600)
def random_texts(t):
    """Random texts and exchanges, transactions and alterations: auto answers all as direct connections"""
    t.unless_crashed(random_steps, "auto")


@test(timeout=600)
def random_texts_on(t):
    """The same with on, if a session of the daemon alters the tables"""
    t.unless_crashed(random_steps, "on")


@test(timeout=600)
def random_texts_off(t):
    """The same with off, so that a difference is not the test's own"""
    t.unless_crashed(random_steps, "off")


if __name__ == "__main__":
    main()
