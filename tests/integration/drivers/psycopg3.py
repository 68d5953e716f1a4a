"""psycopg 3, by drivers_matrix.py: psycopg3.py DSN FEATURE"""

import sys
import threading

import psycopg
from common import LARGE, NAMES, SEEN, SLEEP, dispatch, expect, ready

DSN = sys.argv[1]


def connect(**more):
    return psycopg.connect(DSN, **more)


def state_of(call):
    try:
        call()
    except psycopg.Error as e:
        return e.sqlstate
    return None


def version():
    print("psycopg %s, libpq %s" % (psycopg.__version__, psycopg.pq.version()))


def query():
    with connect() as c:
        expect(c.execute("SELECT 1 + 1, NULL, 'grüße'").fetchone(), (2, None, "grüße"))
        expect(len(c.execute("SELECT generate_series(1, 1000)").fetchall()), 1000)
        expect(c.execute("SELECT 1 WHERE false").fetchall(), [])
        c.execute("")


def parameters():
    with connect() as c:
        for value in NAMES:
            expect(c.execute("SELECT %s::text", (value,)).fetchone(), (value,))
        expect(c.execute("SELECT %s::int + %s, %s::int IS NULL, %s::bytea", (1, 2, None, b"\0\xff")).fetchone(),
               (3, True, b"\0\xff"))
        with c.cursor(binary=True) as cur:
            expect(cur.execute("SELECT %b::int8", (1 << 40,)).fetchone(), (1 << 40,))


def prepared():
    pids = set()
    with connect(autocommit=True, prepare_threshold=0) as c:
        n = 0
        while n < 50 or len(pids) < 2:
            with c.transaction():
                got = c.execute("SELECT %s::int + 1, pg_backend_pid()", (n,)).fetchone()
            expect(got[0], n + 1)
            expect(c.execute("SELECT %s::text", (str(n),)).fetchone(), (str(n),))
            pids.add(got[1])
            n += 1


def transactions():
    with connect() as c:
        c.execute("CREATE TABLE x (a int)")
        c.commit()
        c.execute("INSERT INTO x VALUES (1)")
        c.rollback()
        c.execute("INSERT INTO x VALUES (2)")
        try:
            with c.transaction():
                c.execute("INSERT INTO x VALUES (3)")
                raise psycopg.Rollback()
        except psycopg.Rollback:
            pass
        c.commit()
        expect(c.execute("SELECT a FROM x").fetchall(), [(2,)])


def errors():
    with connect() as c:
        expect(state_of(lambda: c.execute("SELEC 1")), "42601")
        expect(state_of(lambda: c.execute("SELECT 1")), "25P02")
        c.rollback()
        expect(state_of(lambda: c.execute("SELECT 1 / %s", (0,))), "22012")
        c.rollback()
        expect(c.execute("SELECT 1").fetchone(), (1,))


def copy():
    with connect() as c:
        c.execute("CREATE TABLE x (a int, b text)")
        with c.cursor().copy("COPY x FROM STDIN") as to:
            for i in range(10000):
                to.write_row((i, "b%d" % i))
        with c.cursor().copy("COPY (SELECT * FROM x ORDER BY a) TO STDOUT") as out:
            expect(sum(1 for _ in out.rows()), 10000)
        c.commit()

        def bad():
            with c.cursor().copy("COPY x FROM STDIN") as to:
                to.write("nonsense\n")
        expect(state_of(bad), "22P02")
        c.rollback()
        expect(c.execute("SELECT count(*) FROM x").fetchone(), (10000,))


def listen():
    with connect(autocommit=True) as c, connect(autocommit=True) as other:
        c.execute("LISTEN chan")
        ready()
        other.execute("NOTIFY chan, 'hello'")
        expect(next(c.notifies()).payload, "hello")
        c.execute("UNLISTEN *")
        expect(c.execute("SELECT 1").fetchone(), (1,))


def large():
    with connect() as c, c.cursor() as cur:
        expect(sum(len(row[0]) for row in cur.stream(LARGE)), 55000000)
        expect(c.execute("SELECT 1").fetchone(), (1,))


def cancel():
    with connect(autocommit=True) as c, connect(autocommit=True) as other:
        states = []
        thread = threading.Thread(target=lambda: states.append(state_of(lambda: c.execute(SLEEP))))
        thread.start()
        while other.execute(SEEN).fetchone()[0] == 0:
            pass
        c.cancel()
        thread.join()
        expect(states, ["57014"])
        expect(c.execute("SELECT 1").fetchone(), (1,))


def restart():
    idle = connect(autocommit=True, prepare_threshold=0)
    busy = connect()
    expect(idle.execute("SELECT %s::int", (1,)).fetchone(), (1,))
    busy.execute("SELECT 1")
    ready()
    expect(idle.execute("SELECT %s::int", (2,)).fetchone(), (2,))
    try:
        busy.execute("SELECT 1")
        raise SystemExit("a transaction outlived its server")
    except psycopg.OperationalError:
        pass
    with connect() as again:
        expect(again.execute("SELECT 3").fetchone(), (3,))


dispatch(globals())
