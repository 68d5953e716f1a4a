"""pgwith-fixture through the clients that people use."""

import datetime
import decimal
import os
import shutil
import threading

from pgwtest import Failure, check, child, main, test, unavailable
from pgwtest.raw import Raw, active, eq, text, wait_for

try:
    import psycopg
except ImportError:
    psycopg = None

SOURCE = os.environ.get("PGWITH_SRCDIR", os.getcwd())
PG_BIN = "/usr/lib/postgresql/15/bin"


@test
def by_psycopg(t):
    """psycopg 3: types both ways, prepared statements, pipelines, cursors, a cancel"""
    s = t.fixture()
    if psycopg is None:
        unavailable("psycopg 3 is not installed")
    errors = psycopg.errors
    conninfo = f"host={s.sockets} port={s.port} user=app dbname=orders"
    with psycopg.connect(conninfo) as c:
        c.execute("CREATE TABLE py (a int, b text, c bytea, d date, e boolean, f numeric(8,2), g timestamptz)")
        now = datetime.datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=datetime.timezone.utc)
        values = (1, "zwö", b"\0\1", datetime.date(2024, 5, 6), True, decimal.Decimal("1.25"), now)
        c.execute("INSERT INTO py VALUES (%s, %s, %s, %s, %s, %s, %s)", values)
        for binary in (False, True):
            eq(c.cursor(binary=binary).execute("SELECT * FROM py").fetchone(), values)
        c.execute("INSERT INTO py VALUES (%b, %b, %b, %b, %b, %b, %b)", values)
        eq(c.execute("SELECT 1, 'x', 2.5::float8, now() IS NULL").fetchone(), (1, "x", 2.5, False))
        try:
            with c.transaction():
                c.execute("DELETE FROM py")
                c.execute("SELECT 1 / 0")
            raise Failure("no error")
        except errors.DivisionByZero:
            pass
        eq(c.execute("SELECT count(*) FROM py").fetchone(), (2,))
        c.commit()
        for i in range(20):  # prepares after the fifth
            eq(c.execute("SELECT %s::int + 1", (i,)).fetchone(), (i + 1,))
        with c.pipeline():
            cursors = [c.execute("SELECT %s::int", (i,)) for i in range(10)]
        eq([cur.fetchone()[0] for cur in cursors], list(range(10)))
        with c.cursor("named") as cur:
            cur.itersize = 10
            cur.execute("SELECT g FROM generate_series(1, 35) g")
            eq([r[0] for r in cur], list(range(1, 36)))
        c.commit()
        canceller = threading.Thread(target=lambda: wait_for(lambda: active(s) == 1, "it runs") and c.cancel())
        canceller.start()
        try:
            c.execute("SELECT pg_sleep(1000)")
            raise Failure("not cancelled")
        except errors.QueryCanceled:
            pass
        canceller.join()
        c.rollback()
        c.execute("DROP TABLE py")


def tool(name):
    path = shutil.which(name) or shutil.which(name, path=PG_BIN)
    if path is None:
        unavailable(f"{name} is not installed")
    return path


def environment(s):
    return {"PGHOST": s.sockets, "PGPORT": str(s.port), "PGUSER": "app", "PGDATABASE": "orders"}


@test
def by_psql(t):
    """psql"""
    s = t.fixture()
    out = child.run_ok([tool("psql"), "-XAtq", "-v", "ON_ERROR_STOP=1"], env=environment(s),
                       stdin="SELECT 1;\n\\set x 5\nSELECT :x + 1, current_database();\n\\conninfo\n")
    eq(out.split("\n")[:2], ["1", "6|orders"])


@test(timeout=120)
def by_pgbench(t):
    """pgbench: every protocol; what it adds up is right"""
    s = t.fixture(sql=[os.path.join(SOURCE, "sql", "pgbench.sql")])
    for mode in ("simple", "extended", "prepared"):
        for args in (["-S"], []):
            out = child.run_ok([tool("pgbench"), "-M", mode, "-c", "4", "-j", "2", "-t", "50", *args],
                               env=environment(s))
            check("processed: 200/200" in out and "failed transactions: 0" in out, out)
    with Raw(s) as c:
        got = text(c.ask("SELECT (SELECT sum(bbalance) FROM pgbench_branches), "
                         "(SELECT sum(tbalance) FROM pgbench_tellers), "
                         "(SELECT sum(abalance) FROM pgbench_accounts)"))
        eq(len(set(got[0])), 1)


if __name__ == "__main__":
    main()
