"""Joined scopes: what sessions see that work in the scope of another one, through psql, psycopg, asyncpg, node's pg,
pgbench, and message by message."""

import os
import subprocess

from pgwtest import check, equal, main, test, wait_until
from pgwtest.scopelog import connect, refused
from pgwtest.server import bindir
from pgwtest.wire import query


def owner_of(t, d, statement="ENTER a JOINABLE"):
    """A session that has entered a joinable scope, and its token."""
    c = connect(t, d)
    c.execute(statement)
    row = c.execute("SHOW SCOPES").fetchone()
    token = row[-1]
    equal(len(token), 32, "digits of the token")
    return c, token


def psql(d, token, *commands, database="db", check_status=0):
    """Output of psql as a member."""
    argv = [os.path.join(bindir(), "psql"), "-XAtq", "-h", d.sockets, "-p", str(d.port), "-U", "postgres", database]
    for c in commands:
        argv += ["-c", c]
    r = subprocess.run(argv, env=dict(os.environ, PGOPTIONS="-c pgwith.join=" + token), stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
    equal(r.returncode, check_status, "status of psql: " + r.stdout)
    return r.stdout


@test
def psql_inside(t):
    """psql works in the scope: nobody else sees it before EXIT, everybody after"""
    t.sql("CREATE TABLE t (n int)")
    d = t.daemon()
    c, token = owner_of(t, d)
    equal(psql(d, token, "INSERT INTO t VALUES (1)", "SELECT n FROM t"), "1\n", "what psql sees")
    equal(t.value("SELECT count(*) FROM t"), "0", "rows that others see")
    c.execute("EXIT")
    equal(t.value("SELECT count(*) FROM t"), "1", "rows that others see")


def member(t, d, token, **more):
    """A psycopg 3 connection in autocommit that has joined."""
    return connect(t, d, options="-c pgwith.join=" + token, **more)


def raw_member(t, d, token):
    w = d.connect("db", options="-c pgwith.join=" + token)
    t.defer(w.close)
    return w


def rows(t):
    return t.value("SELECT string_agg(n::text, ',' ORDER BY n) FROM t")


def told(w, sql):
    """What a simple Query gets: tags, SQLSTATEs of errors and warnings, and the status at the end."""
    r = w.ask(sql)
    return r


@test
def units(t):
    """BEGIN, COMMIT, ROLLBACK and errors of a member, as by PostgreSQL"""
    t.sql("CREATE TABLE t (n int UNIQUE)")
    d = t.daemon()
    c, token = owner_of(t, d)
    m = member(t, d, token)
    m.execute("INSERT INTO t VALUES (1)")
    refused(m, "INSERT INTO t VALUES (1)", "23505", "duplicate")
    equal(m.info.transaction_status.name, "IDLE", "the status")
    equal(m.execute("SELECT count(*) FROM t").fetchone()[0], 1, "rows")
    cur = m.execute("BEGIN")
    equal((cur.statusmessage, m.info.transaction_status.name), ("BEGIN", "INTRANS"), "BEGIN")
    m.execute("INSERT INTO t VALUES (2)")
    m.execute("SAVEPOINT s")
    refused(m, "INSERT INTO t VALUES (2)", "23505", "duplicate")
    equal(m.info.transaction_status.name, "INERROR", "the status")
    refused(m, "SELECT 1", "25P02", "aborted")
    m.execute("ROLLBACK TO s")
    m.execute("INSERT INTO t VALUES (3)")
    cur = m.execute("COMMIT")
    equal((cur.statusmessage, m.info.transaction_status.name), ("COMMIT", "IDLE"), "COMMIT")
    m.execute("BEGIN")
    m.execute("INSERT INTO t VALUES (4)")
    equal(m.execute("ROLLBACK").statusmessage, "ROLLBACK", "ROLLBACK")
    m.execute("BEGIN")
    refused(m, "SELECT 1/0", "22012", "division")
    equal(m.execute("COMMIT").statusmessage, "ROLLBACK", "COMMIT of a failed one")
    equal(m.info.transaction_status.name, "IDLE", "the status")
    equal(m.execute("SELECT count(*) FROM t").fetchone()[0], 3, "rows")
    m.execute("BEGIN")
    m.execute("BEGIN")
    equal(m.notices[-1].sqlstate, "25001", "the warning")
    m.execute("COMMIT")
    m.execute("COMMIT")
    equal(m.notices[-1].sqlstate, "25P01", "the warning")
    refused(m, "SAVEPOINT x", "25P01", "transaction blocks")
    refused(m, "COMMIT AND CHAIN", "25P01", "transaction blocks")
    with m.transaction():
        m.execute("INSERT INTO t VALUES (%s)", (5,))
    try:
        with m.transaction():
            m.execute("INSERT INTO t VALUES (%s)", (6,))
            raise KeyError
    except KeyError:
        pass
    c.execute("EXIT")
    equal(rows(t), "1,2,3,5", "rows that have been committed")


@test
def exit_rollback(t):
    """EXIT ROLLBACK undoes what all members have committed; members are told 57P01"""
    t.sql("CREATE TABLE t (n int UNIQUE)")
    d = t.daemon()
    c, token = owner_of(t, d)
    a, b = member(t, d, token), member(t, d, token)
    a.execute("INSERT INTO t VALUES (1)")
    equal(b.execute("SELECT n FROM t").fetchone()[0], 1, "what the other member sees")
    c.execute("EXIT ROLLBACK")
    equal(rows(t), None, "rows")
    refused(a, "SELECT 1", "57P01", '"a"')
    refused(b, "SELECT 1", "57P01", '"a"')
    equal(c.execute("SELECT 1").fetchone()[0], 1, "the owner goes on")


@test
def exit_with_open_units(t):
    """EXIT ends what members have open: one in a BEGIN, one whose query runs, one that waits"""
    t.sql("CREATE TABLE t (n int UNIQUE)")
    d = t.daemon()
    c, token = owner_of(t, d)
    a = raw_member(t, d, token)
    a.ask("INSERT INTO t VALUES (1)")
    a.ask("BEGIN")
    a.ask("INSERT INTO t VALUES (2)")
    a.send(query("SELECT pg_sleep(100)"))
    b = raw_member(t, d, token)
    b.send(query("INSERT INTO t VALUES (3)"))
    wait_until(lambda: d.waiting("db/a") == 1, 5, "the second member waits")
    c.execute("EXIT")
    equal(rows(t), "1", "rows")
    for w in a, b:
        r = w.until_closed()
        equal(r.errors[0].sqlstate, "57P01", "what the member is told")


@test
def member_killed(t):
    """a member that is killed while its query runs: its unit is rolled back, and the scope goes on"""
    t.sql("CREATE TABLE t (n int UNIQUE)")
    d = t.daemon()
    c, token = owner_of(t, d)
    a = raw_member(t, d, token)
    a.ask("INSERT INTO t VALUES (1)")
    a.ask("BEGIN")
    a.ask("INSERT INTO t VALUES (2)")
    a.send(query("SELECT pg_sleep(100)"))
    wait_until(lambda: any("pg_sleep" in r["query"] for r in t.activity()), 5, "the query runs")
    a.sock.close()
    m = member(t, d, token)
    m.execute("INSERT INTO t VALUES (3)")
    equal(m.execute("SELECT string_agg(n::text, ',' ORDER BY n) FROM t").fetchone()[0], "1,3", "rows")
    c.execute("EXIT")
    equal(rows(t), "1,3", "rows")


@test
def with_asyncpg(t):
    """asyncpg: prepared statements, transactions, errors, many tasks"""
    import asyncio
    import asyncpg
    t.sql("CREATE TABLE t (n int UNIQUE)")
    d = t.daemon()
    c, token = owner_of(t, d)

    async def work(n):
        m = await asyncpg.connect(host=d.sockets, port=d.port, user="postgres", database="db",
                                  server_settings={"pgwith.join": token})
        for i in range(20):
            async with m.transaction():
                await m.execute("INSERT INTO t VALUES ($1)", 1000 * n + i)
                equal(await m.fetchval("SELECT n FROM t WHERE n = $1", 1000 * n + i), 1000 * n + i, "value")
            try:
                await m.execute("INSERT INTO t VALUES ($1)", 1000 * n + i)
            except asyncpg.UniqueViolationError:
                pass
            else:
                check(False, "no error")
            try:
                async with m.transaction():
                    await m.execute("INSERT INTO t VALUES ($1)", 1000 * n + 500 + i)
                    async with m.transaction():
                        await m.execute("INSERT INTO t VALUES ($1)", 1000 * n + i)
            except asyncpg.UniqueViolationError:
                pass
        await m.close()

    async def many():
        await asyncio.gather(*(work(n) for n in range(8)))
    asyncio.run(many())
    c.execute("EXIT")
    equal(t.value("SELECT count(*) FROM t"), "160", "rows")


if __name__ == "__main__":
    main()
