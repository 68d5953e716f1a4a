"""The clients that people use, unchanged: psql, psycopg 3, psycopg2, pg_dump and pgbench; pool size 4,
pgbench with 50 clients. PGWITH_TEST_PGBENCH is the number of transactions of each pgbench client (40)."""

import asyncio
import os
import re

from pgwtest import (check, child, equal, main, note, sanitized, slow_factor, test, unavailable,
                     wait_until)

TRANSACTIONS = int(os.environ.get("PGWITH_TEST_PGBENCH") or (15 if sanitized() else 40))
CLIENTS = 50
QUIET = {"log_level": "info"}


def pool(t):
    """Pool size 4, and the backends that may serve it."""
    return t.daemon(size=4, options=QUIET)


def module(name):
    try:
        return __import__(name)
    except ImportError:
        unavailable("no Python module " + name)


def psql(t, d, *args, stdin=None, status=0):
    got, out, err = child.run([t.cluster.program("psql"), "-X", "-At", *args, d.dsn()], stdin=stdin)
    equal(got, status, "psql's status (%s%s)" % (out, err))
    return out, err


# ---- psql ------------------------------------------------------------------------------------------
@test
def psql_script(t):
    """psql: a script with transactions, errors, COPY from and to it, variables and \\gdesc"""
    d = pool(t)
    out, err = psql(t, d, stdin="""
        CREATE TABLE x (a int, b text);
        COPY x FROM stdin;
1\tone
2\ttwo
\\.
        SELECT count(*) FROM x;
        BEGIN; DELETE FROM x; SELECT count(*) FROM x; ROLLBACK;
        SELECT nonsense;
        \\set n 40
        SELECT :n + 2;
        \\copy (SELECT a FROM x ORDER BY a) to pstdout
        SELECT 1 AS col \\gdesc
        \\dt
        PREPARE p AS SELECT 77; EXECUTE p;
        SET work_mem = '3MB'; SHOW work_mem;
    """)
    lines = out.splitlines()
    for want in ("2", "0", "42", "1", "col|integer", "public|x|table|postgres", "77", "3MB"):
        check(want in lines, "%r in psql's output: %r" % (want, lines))
    check('column "nonsense" does not exist' in err, "the error: " + err)
    d.quiet()


@test
def psql_meta(t):
    """psql: describing, \\watch-like repetition, \\copy of 10 MB, single transaction"""
    d = pool(t)
    t.sql("CREATE TABLE y (a int PRIMARY KEY, b text DEFAULT 'x', CHECK (a > 0))")
    out = child.run_ok([t.cluster.program("psql"), "-X", "-c", "\\d y", "-c", "\\df", "-c", "\\l", d.dsn()])
    check("y_pkey" in out and "y_a_check" in out, "\\d: " + out)
    path = t.path("rows")
    with open(path, "w") as f:
        for i in range(1, 100001):
            f.write("%d\t%s\n" % (i, "x" * 100))
    psql(t, d, "-1", "-c", "\\copy y from '%s'" % path)
    equal(t.value("SELECT count(*) FROM y"), "100000", "rows")
    psql(t, d, "-1", "-c", "DELETE FROM y", "-c", "SELECT nonsense", status=1)
    equal(t.value("SELECT count(*) FROM y"), "100000", "rows after a failed single transaction")
    d.quiet()


@test
def psql_interrupted(t):
    """psql: interrupted with SIGINT its query is cancelled"""
    d = pool(t)
    log = t.path("psql.log")
    p = child.start([t.cluster.program("psql"), "-X", d.dsn(), "-c", "SELECT pg_sleep(60)"], log)
    wait_until(lambda: [a for a in t.activity() if a["state"] == "active"], 10, "it runs")
    p.send_signal(2)
    equal(p.wait(10), 1, "psql's status")
    with open(log) as f:
        check("canceling statement due to user request" in f.read(), "it says so")
    d.quiet()


# ---- psycopg ---------------------------------------------------------------------------------------
@test
def psycopg3(t):
    """psycopg 3: transactions, savepoints, prepared by itself, COPY both ways, cursors, notices"""
    psycopg = module("psycopg")
    d = pool(t)
    for threshold in (5, 0, None):
        with psycopg.connect(d.dsn(), prepare_threshold=threshold) as conn:
            conn.execute("CREATE TABLE IF NOT EXISTS p3 (a int PRIMARY KEY, b text)")
            conn.execute("TRUNCATE p3")
            conn.commit()
            for i in range(12):
                equal(conn.execute("SELECT %s::int + 1", (i,)).fetchone(), (i + 1,), "a parameter")
                conn.commit()
            with conn.transaction():
                conn.execute("INSERT INTO p3 VALUES (1, 'one')")
                try:
                    with conn.transaction():
                        conn.execute("INSERT INTO p3 VALUES (1, 'again')")
                except psycopg.errors.UniqueViolation:
                    pass
                conn.execute("INSERT INTO p3 VALUES (2, 'two')")
            with conn.cursor() as cur:
                with cur.copy("COPY p3 FROM STDIN") as copy:
                    for i in range(10, 5000):
                        copy.write_row((i, "x" * 50))
                with cur.copy("COPY (SELECT a FROM p3 ORDER BY a) TO STDOUT") as copy:
                    equal(len(list(copy.rows())), 4992, "rows copied out")
            with conn.cursor(name="server_side") as cur:
                cur.itersize = 100
                cur.execute("SELECT a FROM p3 ORDER BY a")
                equal(sum(1 for _ in cur), 4992, "rows of a server-side cursor")
            conn.commit()
            with conn.cursor(binary=True) as cur:
                equal(cur.execute("SELECT 7::int8").fetchone(), (7,), "binary")
            with conn.cursor() as cur:
                cur.executemany("UPDATE p3 SET b = %s WHERE a = %s", [("y", i) for i in range(200)])
            with conn.pipeline():
                curs = [conn.execute("SELECT %s::int", (i,)) for i in range(50)]
                equal([c.fetchone()[0] for c in curs], list(range(50)), "a pipeline")
        d.quiet()
    equal(t.value("SELECT count(*) FROM p3 WHERE b = 'y'"), "192", "rows updated")


@test
def psycopg3_async(t):
    """psycopg 3 asynchronous: forty tasks over four servers, some cancelled in the middle"""
    psycopg = module("psycopg")
    d = pool(t)
    t.sql("CREATE TABLE done (a int)")

    async def task(i):
        conn = await psycopg.AsyncConnection.connect(d.dsn(), prepare_threshold=None)
        try:
            async with conn.transaction():
                await conn.execute("INSERT INTO done VALUES (%s)", (i,))
                if i % 4 == 0:
                    await conn.execute("SELECT pg_sleep(60)")
        finally:
            await conn.close()

    async def everything():
        tasks = [asyncio.create_task(task(i)) for i in range(40)]
        good = [x for i, x in enumerate(tasks) if i % 4]
        end = asyncio.get_running_loop().time() + 30 * slow_factor()
        while not all(x.done() for x in good):
            check(asyncio.get_running_loop().time() < end, "the tasks end")
            # The sleepers would fill the pool: cancel those that sleep.
            for i, x in enumerate(tasks):
                if i % 4 == 0 and not x.done():
                    x.cancel()
            await asyncio.sleep(0.02)
        for x in tasks:
            x.cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    results = asyncio.run(everything())
    equal([r for i, r in enumerate(results) if i % 4], [None] * 30, "the good tasks")
    d.quiet()
    equal(t.value("SELECT count(*) FROM done"), "30", "rows")


@test
def psycopg2_driver(t):
    """psycopg2: transactions, errors, named cursors, COPY, cancel"""
    psycopg2 = module("psycopg2")
    d = pool(t)
    conn = psycopg2.connect(d.dsn())
    with conn, conn.cursor() as cur:
        cur.execute("CREATE TABLE p2 (a int PRIMARY KEY)")
        cur.execute("INSERT INTO p2 SELECT generate_series(1, 1000)")
    try:
        with conn, conn.cursor() as cur:
            cur.execute("DELETE FROM p2")
            cur.execute("SELECT nonsense")
    except psycopg2.errors.UndefinedColumn:
        pass
    with conn, conn.cursor("named") as cur:
        cur.execute("SELECT a FROM p2")
        equal(len(cur.fetchall()), 1000, "rows")
    with conn, conn.cursor() as cur:
        with open(t.path("out"), "w+") as f:
            cur.copy_expert("COPY p2 TO STDOUT", f)
            f.seek(0)
            cur.execute("TRUNCATE p2")
            cur.copy_expert("COPY p2 FROM STDIN", f)
    conn.close()
    equal(t.value("SELECT count(*) FROM p2"), "1000", "rows")
    d.quiet()


# ---- pg_dump ---------------------------------------------------------------------------------------
SCHEMA = """
CREATE SCHEMA app;
CREATE TABLE app.item (id serial PRIMARY KEY, name text NOT NULL, price numeric(10,2) CHECK (price > 0));
CREATE TABLE app.sale (id bigserial PRIMARY KEY, item int REFERENCES app.item, at timestamptz DEFAULT now());
CREATE VIEW app.sold AS SELECT i.name, count(*) AS n FROM app.item i JOIN app.sale s ON s.item = i.id GROUP BY 1;
CREATE MATERIALIZED VIEW app.totals AS SELECT sum(n) AS n FROM app.sold;
CREATE FUNCTION app.twice(a int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.at := now(); RETURN NEW; END$$;
CREATE TRIGGER touch BEFORE INSERT ON app.sale FOR EACH ROW EXECUTE FUNCTION app.touch();
CREATE INDEX ON app.item (app.twice(id));
CREATE TYPE app.mood AS ENUM ('good', 'bad');
CREATE TABLE public.item (id int, m app.mood);
INSERT INTO app.item (name, price) SELECT 'item ' || i, i FROM generate_series(1, 2000) i;
INSERT INTO app.sale (item) SELECT i % 2000 + 1 FROM generate_series(1, 5000) i;
SELECT lo_from_bytea(0, 'large object');
"""


@test
def pg_dump(t):
    """pg_dump: the dump equals a direct one, and can be restored through the daemon by psql"""
    d = pool(t)
    t.direct().sql(SCHEMA)
    dump = t.cluster.program("pg_dump")
    for args in ([], ["--inserts"], ["--schema-only", "-n", "app"]):
        through = child.run_ok([dump, *args, d.dsn()])
        direct = child.run_ok([dump, *args, t.conninfo()])
        check(len(direct) > 2000, "there is something in it")

        def plain(text):
            return [line for line in text.splitlines() if not line.startswith(("\\restrict",
                                                                             "\\unrestrict"))]
        equal(plain(through) == plain(direct), True, "pg_dump %s: the dumps are equal" % args)
    d.quiet()
    # Restored through the pool into an empty database.
    whole = child.run_ok([dump, d.dsn()])
    t.cluster.create_database(t.database + "r")
    r = t.daemon(conninfo=t.conninfo(dbname=t.database + "r"), size=4, options=QUIET)
    child.run_ok([t.cluster.program("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", r.dsn()],
                 stdin=whole)
    equal(t.cluster.value("SELECT n FROM app.totals", t.database + "r"), "5000", "restored rows")
    # What pg_dump and psql set (search_path and more) is not there for the next client.
    with d.connect() as c:
        equal(c.value("SHOW search_path"), '"$user", public', "the next client's search_path")


@test
def pg_dump_custom(t):
    """pg_dump -Fc, and pg_restore with two jobs, through the daemon"""
    d = pool(t)
    t.direct().sql(SCHEMA)
    path = t.path("dump")
    child.run_ok([t.cluster.program("pg_dump"), "-Fc", "-f", path, d.dsn()])
    t.cluster.create_database(t.database + "r")
    r = t.daemon(conninfo=t.conninfo(dbname=t.database + "r"), size=4, options=QUIET)
    child.run_ok([t.cluster.program("pg_restore"), "-j", "2", "-d", r.dsn(), path])
    equal(t.cluster.value("SELECT count(*) FROM app.sale", t.database + "r"), "5000", "restored rows")


# ---- pgbench ---------------------------------------------------------------------------------------
def init(t, d, scale=2):
    child.run_ok([t.cluster.program("pgbench"), "-i", "-q", "-s", str(scale), d.dsn()], timeout=120)
    equal(t.value("SELECT count(*) FROM pgbench_accounts"), str(100000 * scale), "accounts")


def bench(t, d, *args, clients=CLIENTS, transactions=TRANSACTIONS, servers=4):
    """Runs pgbench; checks that every transaction was made and none failed."""
    out = child.run_ok([t.cluster.program("pgbench"), "-n", "-c", str(clients), "-j", "2", "-t",
                        str(transactions), *args, d.dsn()], timeout=120 * slow_factor())
    total = clients * transactions
    check("number of transactions actually processed: %d/%d" % (total, total) in out, out)
    failed = re.search(r"number of failed transactions: (\d+)", out)
    check(not failed or failed.group(1) == "0", out)
    note("pgbench %s: %s tps" % (" ".join(args[:4]), re.search(r"tps = ([0-9.]+)", out).group(1)))
    check(len(t.activity()) <= servers, "at most %d backends" % servers)
    return total


def tpcb_adds_up(t, total):
    """The invariants of TPC-B."""
    equal(t.value("SELECT count(*) FROM pgbench_history"), str(total), "rows of the history")
    sums = t.sql("SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM"
                 " pgbench_tellers), (SELECT sum(bbalance) FROM pgbench_branches), (SELECT sum(delta)"
                 " FROM pgbench_history)")[0]
    equal(len(set(sums)), 1, "the four sums %r" % (sums,))


@test(timeout=180)
def pgbench_tpcb(t):
    """pgbench TPC-B, simple and extended, 50 clients on 4 servers: the sums add up"""
    d = pool(t)
    init(t, d)
    total = bench(t, d, "-M", "simple")
    total += bench(t, d, "-M", "extended")
    tpcb_adds_up(t, total)
    d.quiet()


@test(timeout=180)
def pgbench_select(t):
    """pgbench -S, simple and extended, 50 clients on 4 servers"""
    d = pool(t)
    init(t, d, 1)
    bench(t, d, "-S", "-M", "simple", transactions=4 * TRANSACTIONS)
    bench(t, d, "-S", "-M", "extended", transactions=4 * TRANSACTIONS)
    equal(len(d.quiet()) <= 4, True, "servers")


@test(timeout=180)
def pgbench_reconnects(t):
    """pgbench -C, a connection for every transaction, TPC-B and -S"""
    d = pool(t)
    init(t, d, 1)
    total = bench(t, d, "-C", "-M", "simple", transactions=TRANSACTIONS // 4)
    total += bench(t, d, "-C", "-M", "extended", transactions=TRANSACTIONS // 4)
    tpcb_adds_up(t, total)
    bench(t, d, "-C", "-S", transactions=TRANSACTIONS // 4)
    d.quiet()


@test(timeout=180)
def pgbench_three_statements(t):
    """pgbench with a transaction of three statements, simple and extended"""
    d = pool(t)
    init(t, d, 1)
    path = t.path("three.sql")
    with open(path, "w") as f:
        f.write("\\set a random(1, 100000)\nBEGIN;\n"
                "UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = :a;\n"
                "SELECT abalance FROM pgbench_accounts WHERE aid = :a;\n"
                "INSERT INTO pgbench_history VALUES (1, 1, :a, 1, now());\nCOMMIT;\n")
    total = bench(t, d, "-f", path, "-M", "simple") + bench(t, d, "-f", path, "-M", "extended")
    equal(t.sql("SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT count(*) FROM"
                " pgbench_history)"), [(str(total), str(total))], "the sums")
    d.quiet()


@test(timeout=180)
def pgbench_prepared(t):
    """pgbench -M prepared, 50 clients on five servers: the sums add up"""
    d = t.daemon(size=5, options=QUIET)
    init(t, d, 1)
    tpcb_adds_up(t, bench(t, d, "-M", "prepared", servers=5))
    bench(t, d, "-S", "-M", "prepared", transactions=4 * TRANSACTIONS, servers=5)
    equal([c["pinned"] for c in d.clients() if c["pinned"]], [], "sessions that keep their server")
    d.quiet()


@test(timeout=180)
def pgbench_pipeline(t):
    """pgbench with a pipeline of five statements"""
    d = pool(t)
    init(t, d, 1)
    path = t.path("pipeline.sql")
    with open(path, "w") as f:
        f.write("\\startpipeline\n" + "SELECT 1;\n" * 5 + "\\endpipeline\n")
    bench(t, d, "-f", path, "-M", "extended")
    d.quiet()


if __name__ == "__main__":
    main()
