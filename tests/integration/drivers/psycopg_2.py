"""psycopg2, by drivers_matrix.py: psycopg_2.py DSN FEATURE"""

import io
import select
import sys
import threading

import psycopg2
from common import LARGE, NAMES, SEEN, SLEEP, dispatch, expect, ready

DSN = sys.argv[1]


def connect(autocommit=False):
    c = psycopg2.connect(DSN)
    c.autocommit = autocommit
    return c


def rows(c, sql, args=None):
    with c.cursor() as cur:
        cur.execute(sql, args)
        return cur.fetchall()


def run(c, sql):
    with c.cursor() as cur:
        cur.execute(sql)


def state_of(call):
    try:
        call()
    except psycopg2.Error as e:
        return e.pgcode
    return None


def version():
    print("psycopg2 %s, libpq %s" % (psycopg2.__version__.split()[0], psycopg2.__libpq_version__))


def query():
    c = connect()
    expect(rows(c, "SELECT 1 + 1, NULL, 'grüße'"), [(2, None, "grüße")])
    expect(len(rows(c, "SELECT generate_series(1, 1000)")), 1000)
    expect(rows(c, "SELECT 1 WHERE false"), [])


def parameters():
    c = connect()
    for value in NAMES:
        expect(rows(c, "SELECT %s::text", (value,)), [(value,)])
    got = rows(c, "SELECT %s::int + %s, %s::int IS NULL, %s::bytea", (1, 2, None, b"\0\xff"))[0]
    expect((got[0], got[1], bytes(got[2])), (3, True, b"\0\xff"))


def prepared():
    print("none the driver has no prepared statements")
    raise SystemExit(0)


def transactions():
    c = connect()
    run(c, "CREATE TABLE x (a int)")
    c.commit()
    run(c, "INSERT INTO x VALUES (1)")
    c.rollback()
    run(c, "INSERT INTO x VALUES (2); SAVEPOINT s; INSERT INTO x VALUES (3)")
    run(c, "ROLLBACK TO s")
    c.commit()
    c.set_session(isolation_level="SERIALIZABLE", readonly=True)
    expect(rows(c, "SELECT a FROM x"), [(2,)])
    expect(rows(c, "SHOW transaction_isolation"), [("serializable",)])
    expect(state_of(lambda: run(c, "DELETE FROM x")), "25006")
    c.rollback()


def errors():
    c = connect()
    expect(state_of(lambda: run(c, "SELEC 1")), "42601")
    expect(state_of(lambda: run(c, "SELECT 1")), "25P02")
    c.rollback()
    expect(state_of(lambda: rows(c, "SELECT 1 / %s", (0,))), "22012")
    c.rollback()
    expect(rows(c, "SELECT 1"), [(1,)])


def copy():
    c = connect()
    run(c, "CREATE TABLE x (a int, b text)")
    with c.cursor() as cur:
        cur.copy_expert("COPY x FROM STDIN", io.StringIO("".join("%d\tb%d\n" % (i, i) for i in range(10000))))
        out = io.StringIO()
        cur.copy_expert("COPY x TO STDOUT", out)
        expect(out.getvalue().count("\n"), 10000)
        c.commit()
        expect(state_of(lambda: cur.copy_expert("COPY x FROM STDIN", io.StringIO("nonsense\n"))), "22P02")
        c.rollback()
    expect(rows(c, "SELECT count(*) FROM x"), [(10000,)])


def listen():
    c, other = connect(True), connect(True)
    run(c, "LISTEN chan")
    ready()
    run(other, "NOTIFY chan, 'hello'")
    while not c.notifies:
        select.select([c], [], [])
        c.poll()
    expect(c.notifies[0].payload, "hello")
    run(c, "UNLISTEN *")
    expect(rows(c, "SELECT 1"), [(1,)])


def large():
    c = connect()
    expect(sum(len(r[0]) for r in rows(c, LARGE)), 55000000)
    with c.cursor("named") as cur:  # a server-side cursor
        cur.execute(LARGE)
        expect(sum(len(r[0]) for r in cur), 55000000)
    expect(rows(c, "SELECT 1"), [(1,)])


def cancel():
    c, other = connect(True), connect(True)
    states = []
    thread = threading.Thread(target=lambda: states.append(state_of(lambda: run(c, SLEEP))))
    thread.start()
    while rows(other, SEEN)[0][0] == 0:
        pass
    c.cancel()
    thread.join()
    expect(states, ["57014"])
    expect(rows(c, "SELECT 1"), [(1,)])


def restart():
    idle, busy = connect(True), connect()
    expect(rows(idle, "SELECT 1"), [(1,)])
    run(busy, "SELECT 1")
    ready()
    expect(rows(idle, "SELECT 2"), [(2,)])
    try:
        run(busy, "SELECT 1")
        raise SystemExit("a transaction outlived its server")
    except psycopg2.OperationalError:
        pass
    expect(rows(connect(), "SELECT 3"), [(3,)])


dispatch(globals())
