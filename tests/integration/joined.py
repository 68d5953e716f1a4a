"""Joined scopes: what sessions see that work in the scope of another one, through psql, psycopg, asyncpg, node's pg,
pgbench, and message by message."""

import importlib.util
import os
import re
import select
import subprocess
import threading

from pgwtest import brief, check, equal, main, note, slow_factor, test, wait_until, wire
from pgwtest.scopelog import connect, dial, number, refused
from pgwtest.server import bindir
from pgwtest.wire import ServerError, query


def owner_of(t, d, statement="ENTER a JOINABLE"):
    """A session that has entered a joinable scope, and its token."""
    c = connect(t, d)
    c.execute(statement)
    row = c.execute("SHOW SCOPES").fetchone()
    token = row[-1]
    equal(len(token), 32, "digits of the token")
    return c, token


def run(argv, more):
    r = subprocess.run(argv, env=dict(os.environ, **more), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                       timeout=120 * slow_factor(), check=False)
    equal(r.returncode, 0, "status of %s: %s" % (argv[0], r.stdout))
    return r.stdout


def in_thread(function):
    """Runs it in a thread; what is returned waits for its end, and raises what it has raised."""
    box = []

    def work():
        try:
            function()
        except Exception as e:  # pylint: disable=broad-except
            box.append(e)
    thread = threading.Thread(target=work, daemon=True)
    thread.start()

    def wait():
        thread.join(30)
        check(not thread.is_alive(), "it has not ended")
        if box:
            raise box[0]
    return wait


def psql(d, token, *commands, database="db", check_status=0):
    """Output of psql as a member."""
    argv = [os.path.join(bindir(), "psql"), "-XAtq", "-h", d.sockets, "-p", str(d.port), "-U", "postgres", database]
    for c in commands:
        argv += ["-c", c]
    r = subprocess.run(argv, env=dict(os.environ, PGOPTIONS="-c pgwith.join=" + token), stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, timeout=60 * slow_factor(), check=False)
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


def raw_members(t, d, statement="ENTER a JOINABLE"):
    """An owner of a joinable scope, and two members of it on bare connections."""
    c, token = owner_of(t, d, statement)
    return c, raw_member(t, d, token), raw_member(t, d, token)


def rows(t):
    return t.value("SELECT string_agg(n::text, ',' ORDER BY n) FROM t")


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
    c, a, b = raw_members(t, d)
    a.ask("INSERT INTO t VALUES (1)")
    equal(b.value("SELECT n FROM t"), "1", "what the other member sees")
    c.execute("EXIT ROLLBACK")
    equal(rows(t), None, "rows")
    for w in a, b:
        e = w.until_closed().errors[0]
        equal((e.severity, e.sqlstate, e.message), ("FATAL", "57P01", 'the joined scope "a" has ended: it is rolled back'),
              "what a member is told")
    equal(c.execute("SELECT 1").fetchone()[0], 1, "the owner goes on")


def member_in_query(t, d, token):
    """A member that has committed a row, and runs a long query in a BEGIN behind another row."""
    w = raw_member(t, d, token)
    w.ask("INSERT INTO t VALUES (1)")
    w.ask("BEGIN")
    w.ask("INSERT INTO t VALUES (2)")
    w.send(query("SELECT pg_sleep(100)"))
    return w


@test
def exit_with_open_units(t):
    """EXIT ends what members have open: one in a BEGIN, one whose query runs, one that waits"""
    t.sql("CREATE TABLE t (n int UNIQUE)")
    d = t.daemon()
    c, token = owner_of(t, d)
    a = member_in_query(t, d, token)
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
    a = member_in_query(t, d, token)
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


@test
def tokens(t):
    """a wrong token, one of another pool, a list, the statement JOIN, another user"""
    t.sql("CREATE TABLE t (n int UNIQUE)")
    d = t.daemon(pools={"db": {"conninfo": t.conninfo(), "size": 3}, "other": {"conninfo": t.conninfo()}})
    c, token = owner_of(t, d, "ENTER a JOINABLE, b ON other JOINABLE")
    table = c.execute("SHOW SCOPES").fetchall()
    equal([r[1:4] for r in table], [("a", "joinable", "db"), ("b", "joinable", "other")], "the scopes")
    equal([r[10:14] for r in table], [(0, 0, None, 0)] * 2, "members")
    other = table[1][-1]
    check(other != token, "each scope has a token of its own")
    for wrong in (other, "", "0" * 32, token[:-1], token + "0", token.upper() + "x"):
        try:
            d.connect("db", **{"pgwith.join": wrong}).close()
        except ServerError as e:
            equal((e.sqlstate, e.message), ("28000", 'there is no scope on pool "db" with such a token'), "the error")
        else:
            check(False, "the token %r is taken" % wrong)
    both = other + "," + token
    a = d.connect("db", options="-c pgwith.join=" + both)
    b = d.connect("other", **{"pgwith.join": both})
    a.sql("INSERT INTO t VALUES (1)")
    equal(c.execute("SHOW SCOPES").fetchone()[10:14], (1, 0, None, 1), "members")
    equal(b.value("SELECT count(*) FROM t"), "0", "what a member of the other scope sees")
    j = connect(t, d)
    refused(j, "JOIN 'nonsense'", "28000", "no scope")
    equal(j.execute("SELECT count(*) FROM t").fetchone()[0], 0, "what it sees before")
    j.execute("BEGIN")
    refused(j, "JOIN '%s'" % token, "55000", "a transaction open")
    j.execute("ROLLBACK")
    equal(j.execute("JOIN '%s'" % token).statusmessage, "JOIN", "the tag")
    equal(j.execute("SELECT count(*) FROM t").fetchone()[0], 1, "what it sees then")
    refused(j, "JOIN '%s'" % token, "55000", "joined a scope already")
    # The table of another session does not have the token, nor has that of the console.
    equal(j.execute("SHOW SCOPES").fetchall(), [], "SHOW SCOPES of a member")
    check(all(token not in (v or "") for r in d.show("SCOPES") for v in r.values()), "the console has no token")
    check(token not in d.log_text(), "the log has no token")
    c.execute("EXIT ALL")
    equal(rows(t), "1", "rows")
    for w in a, b:
        w.close()


@test
def another_user(t):
    """another user of the operating system cannot join, even with the token; root can"""
    if os.geteuid() != 0:
        return
    import pwd
    d = t.daemon()
    os.chmod(d.directory, 0o755)
    c, token = owner_of(t, d)
    nobody = pwd.getpwnam("nobody")
    script = ("import sys; sys.path.insert(0, %r)\nfrom pgwtest import wire\n"
              "try:\n    wire.Client(%r, %d, 'db', user='postgres', **{'pgwith.join': %r})\n"
              "except wire.ServerError as e:\n    print(e.sqlstate, e.message)\n"
              % (os.path.dirname(os.path.dirname(os.path.abspath(wire.__file__))), d.sockets, d.port, token))
    r = subprocess.run(["/usr/bin/python3", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                       timeout=60 * slow_factor(), check=False, user=nobody.pw_uid, group=nobody.pw_gid)
    if "ModuleNotFoundError" in r.stdout or "Permission" in r.stdout:
        note("nobody cannot read the tests, or reach the socket: " + r.stdout.splitlines()[-1])
        return
    check(r.stdout.startswith("28000"), "another user is told: " + r.stdout)
    c.execute("EXIT")


@test
def the_owner(t):
    """the owner's own statements are units, and wait for their turn; its parameters are its own"""
    t.sql("CREATE TABLE t (n int UNIQUE)")
    d = t.daemon()
    c = connect(t, d)
    c.execute("SET work_mem = '7MB'")
    c.execute("ENTER a JOINABLE")
    token = c.execute("SHOW SCOPES").fetchone()[-1]
    m = member(t, d, token)
    equal(m.execute("SHOW work_mem").fetchone()[0], "4MB", "the member's own")
    m.execute("SET work_mem = '9MB'")
    m.execute("SET TimeZone = 'Asia/Tokyo'")
    equal(c.execute("SHOW work_mem").fetchone()[0], "7MB", "the owner's own")
    c.execute("INSERT INTO t VALUES (1)")
    refused(c, "INSERT INTO t VALUES (1)", "23505", "duplicate")
    equal(m.execute("SELECT n FROM t").fetchone()[0], 1, "what the owner has done")
    m.execute("BEGIN")
    m.execute("INSERT INTO t VALUES (2)")
    w = in_thread(lambda: c.execute("INSERT INTO t VALUES (3)"))
    wait_until(lambda: d.waiting("db/a") == 1, 5, "the owner waits")
    m.execute("ROLLBACK")
    w()
    # A scope of the owner's inside of it, and one in a member, are units.
    c.execute("ENTER b")
    c.execute("INSERT INTO t VALUES (4)")
    c.execute("EXIT b")
    c.execute("ENTER b; INSERT INTO t VALUES (5)")
    c.execute("EXIT b ROLLBACK")
    m.execute("ENTER x")
    m.execute("INSERT INTO t VALUES (6)")
    m.execute("EXIT x")
    equal(m.execute("SHOW work_mem").fetchone()[0], "9MB", "the member's own")
    c.execute("EXIT a")
    equal(rows(t), "1,3,4,6", "rows")
    equal(c.execute("SHOW work_mem").fetchone()[0], "7MB", "the owner's own")
    equal(c.execute("SHOW TimeZone").fetchone()[0], connect(t, d).execute("SHOW TimeZone").fetchone()[0], "the time zone")


@test
def nested(t):
    """a joinable scope inside of a joined session: its members' units are inside of it"""
    t.sql("CREATE TABLE t (n int UNIQUE)")
    d = t.daemon(size=1)
    c, token = owner_of(t, d)
    m, inner = owner_of(t, d, "JOIN '%s'; ENTER b JOINABLE" % token)
    x = member(t, d, inner)
    x.execute("INSERT INTO t VALUES (1)")
    m.execute("EXIT b ROLLBACK")
    m.execute("ENTER b JOINABLE")
    inner = m.execute("SHOW SCOPES").fetchone()[-1]
    x = member(t, d, inner)
    x.execute("INSERT INTO t VALUES (2)")
    x.execute("BEGIN")
    refused(x, "INSERT INTO t VALUES (2)", "23505")
    x.execute("ROLLBACK")
    m.execute("EXIT b")
    equal(m.execute("SELECT n FROM t").fetchone()[0], 2, "what the outer member sees")
    c.execute("EXIT a")
    equal(rows(t), "2", "rows")


@test
def refusals(t):
    """what cannot work in a joined scope: PostgreSQL's error, or ours"""
    d = t.daemon()
    c, token = owner_of(t, d)
    m = member(t, d, token)
    for sql, sqlstate in (("VACUUM", "25001"), ("CREATE INDEX CONCURRENTLY i ON pg_class (oid)", "25001"),
                          ("LISTEN x", "0A000"), ("PREPARE TRANSACTION 'x'", "0A000"), ("COMMIT PREPARED 'x'", "0A000"),
                          ("ROLLBACK PREPARED 'x'", "0A000"), ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", "0A000"),
                          ("DO 'BEGIN COMMIT; END'", "2D000")):
        refused(m, sql, sqlstate)
        refused(c, sql, sqlstate)
        equal(m.info.transaction_status.name, "IDLE", "the status behind " + sql)
        m.execute("BEGIN")
        refused(m, sql, sqlstate)
        equal(m.info.transaction_status.name, "INERROR", "the status behind %s in a BEGIN" % sql)
        equal(m.execute("COMMIT").statusmessage, "ROLLBACK", "its COMMIT")
        equal(m.execute("SELECT 1").fetchone()[0], 1, "it goes on")
    c.execute("EXIT")
    x = connect(t, d)
    x.execute("CREATE TEMP TABLE tt (a int)")
    refused(x, "ENTER b JOINABLE", "55000", "keeps its server (temporary object)")
    x.execute("DROP TABLE tt")
    x.execute("BEGIN")
    refused(x, "ENTER b JOINABLE", "22023", "cannot be joined")
    x.execute("ROLLBACK")


@test
def modes(t):
    """READ ONLY of a member's BEGIN is kept; an isolation level is told by a NOTICE"""
    t.sql("CREATE TABLE t (n int UNIQUE)")
    d = t.daemon()
    c, token = owner_of(t, d)
    m = member(t, d, token)
    m.execute("BEGIN READ ONLY")
    refused(m, "INSERT INTO t VALUES (1)", "25006")
    m.execute("ROLLBACK")
    m.execute("BEGIN READ ONLY")
    m.execute("COMMIT")
    m.execute("INSERT INTO t VALUES (1)")
    m.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
    equal(m.notices, [], "notices")
    m.execute("COMMIT")
    m.execute("BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY")
    check("joined scope" in m.notices[-1].message, "a notice: %r" % m.notices)
    refused(m, "INSERT INTO t VALUES (2)", "25006")
    m.execute("COMMIT")
    # As pg_dump does.
    m.execute("BEGIN")
    equal(m.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY").statusmessage, "SET", "the tag")
    check("joined scope" in m.notices[-1].message, "a notice: %r" % m.notices)
    refused(m, "INSERT INTO t VALUES (2)", "25006")
    m.execute("ROLLBACK")
    out = run([os.path.join(bindir(), "pg_dump"), "-h", d.sockets, "-p", str(d.port), "-U", "postgres", "db"],
              {"PGOPTIONS": "-c pgwith.join=" + token})
    check("\n1\n\\.\n" in out, "what pg_dump sees: " + out)
    c.execute("EXIT")
    equal(rows(t), "1", "rows")


@test
def constraints(t):
    """deferred constraints are checked at the end of a unit, and are deferred in the next one"""
    t.sql("CREATE TABLE p (id int PRIMARY KEY)")
    t.sql("CREATE TABLE f (id int REFERENCES p DEFERRABLE INITIALLY DEFERRED)")
    d = t.daemon()
    c, token = owner_of(t, d)
    m = member(t, d, token)
    refused(m, "INSERT INTO f VALUES (1)", "23503")
    m.execute("BEGIN")
    m.execute("INSERT INTO f VALUES (1)")
    refused(m, "COMMIT", "23503")
    equal(m.info.transaction_status.name, "IDLE", "the status")
    m.execute("BEGIN")
    m.execute("INSERT INTO f VALUES (2)")
    m.execute("INSERT INTO p VALUES (2)")
    m.execute("COMMIT")
    c.execute("EXIT")
    equal(t.value("SELECT count(*) FROM f"), "1", "rows")


@test
def temporary(t):
    """temporary tables pin nobody; they go with the last member that may have some"""
    d = t.daemon()
    c, token = owner_of(t, d)
    for _ in range(2):
        m = dial(d, options="-c pgwith.join=" + token)
        n = member(t, d, token)
        m.execute("CREATE TEMP TABLE tt AS SELECT 1 AS a")
        m.execute("SELECT pg_advisory_lock(1)")
        equal(n.execute("SELECT 1").fetchone()[0], 1, "another member is served")
        equal(m.execute("SELECT a FROM tt").fetchone()[0], 1, "the table")
        m.close()
    c.execute("EXIT")
    # The server is tidied behind the answer to EXIT, and ahead of who has it next.
    wait_until(lambda: t.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "0", 10, "no advisory lock is left")
    c.execute("BEGIN")
    equal(c.execute("SELECT count(*) FROM pg_class WHERE relname = 'tt'").fetchone()[0], 0, "temporary tables")
    c.execute("COMMIT")


def status_of(result):
    from psycopg.pq import ExecStatus
    return ExecStatus(result.status).name


def copy_by_params(m, data):
    """COPY by PQexecParams, which sends its Sync ahead of the data. Returns the statuses of what it ends by."""
    c = m.pgconn
    r = c.exec_params(b"COPY t FROM STDIN", None)
    if status_of(r) != "COPY_IN":
        return [status_of(r)]
    for line in data:
        c.put_copy_data(line)
    c.put_copy_end()
    found = []
    while True:
        r = c.get_result()
        if r is None:
            return found
        found.append(status_of(r))


def drop_second(m):
    """A COPY has failed ahead of its data. libpq has sent two Syncs, and PostgreSQL answers both of them, unless it has
    read one of them in the COPY. libpq would take the second answer for that of the next query."""
    if select.select([m.pgconn.socket], [], [], 0.3)[0]:
        m.pgconn.consume_input()
        m.pgconn.is_busy()


@test
def copies(t):
    """COPY FROM STDIN by psycopg and by PQexecParams: good ones, ones that fail, one whose member is killed"""
    t.sql("CREATE TABLE t (n int UNIQUE); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS "
          "'BEGIN IF current_setting($$a.b$$, true) = $$1$$ THEN RAISE $$no$$; END IF; RETURN NULL; END'; "
          "CREATE TRIGGER f BEFORE INSERT ON t EXECUTE FUNCTION f()")
    d = t.daemon()
    c, token = owner_of(t, d)
    m = member(t, d, token)
    with m.cursor().copy("COPY t FROM STDIN") as copy:
        for i in range(1000):
            copy.write_row((i,))
    equal(copy_by_params(m, [b"1000\n", b"1001\n"]), ["COMMAND_OK"], "COPY by PQexecParams")
    equal(copy_by_params(m, [b"1002\n", b"1002\n"]), ["FATAL_ERROR"], "one that fails")
    equal(m.execute("SELECT count(*) FROM t").fetchone()[0], 1002, "rows")
    for _ in range(3):
        m.execute("SET a.b = 1")
        equal(copy_by_params(m, [b"1002\n"] * 1000), ["FATAL_ERROR"], "one that fails ahead of its data")
        drop_second(m)
        equal(m.execute("SELECT count(*) FROM t").fetchone()[0], 1002, "rows")
        m.execute("RESET a.b")
        m.execute("BEGIN")
        m.execute("SET a.b = 1")
        equal(copy_by_params(m, [b"1002\n"]), ["FATAL_ERROR"], "one that fails in a BEGIN")
        drop_second(m)
        refused(m, "SELECT 1", "25P02", "aborted")
        m.execute("ROLLBACK")
    k = member(t, d, token)
    k.pgconn.exec_params(b"COPY t FROM STDIN", None)
    k.pgconn.put_copy_data(b"2000\n")
    k.pgconn.flush()
    k.close()
    m2 = member(t, d, token)
    equal(copy_by_params(m2, [b"1002\n"]), ["COMMAND_OK"], "COPY of another one")
    c.execute("EXIT")
    equal(t.value("SELECT count(*) FROM t"), "1003", "rows")


@test
def timeouts(t):
    """timeouts that a member sets are its own, and do not end the scope while nobody works"""
    t.sql("CREATE TABLE t (n int UNIQUE)")
    d = t.daemon()
    c, token = owner_of(t, d)
    m = member(t, d, token)
    m.execute("INSERT INTO t VALUES (1)")
    m.execute("SET idle_in_transaction_session_timeout = '300ms'")
    m.execute("SET statement_timeout = '200ms'")
    other = member(t, d, token)
    other.execute("SELECT pg_sleep(1)")
    for _ in range(2):
        equal(m.execute("SHOW idle_in_transaction_session_timeout").fetchone()[0], "300ms", "the member's own")
        refused(m, "SELECT pg_sleep(10)", "57014", "statement timeout")
        # The scope's transaction has no limit.
        check(not select.select([m.pgconn.socket], [], [], 1)[0], "the member is told something")
    m.execute("BEGIN")
    m.execute("SET LOCAL statement_timeout = '1min'")
    equal(m.execute("SHOW statement_timeout").fetchone()[0], "1min", "in the BEGIN")
    m.execute("COMMIT")
    equal(m.execute("SHOW statement_timeout").fetchone()[0], "200ms", "behind it")
    m.execute("BEGIN")
    m.execute("SET statement_timeout = '1min'")
    m.execute("ROLLBACK")
    equal(m.execute("SHOW statement_timeout").fetchone()[0], "200ms", "behind a ROLLBACK")
    equal(other.execute("SHOW statement_timeout").fetchone()[0], "0", "the other one's")
    m.execute("RESET ALL")
    equal(m.execute("SHOW statement_timeout").fetchone()[0], "0", "behind RESET ALL")
    c.execute("EXIT")
    equal(c.execute("SHOW statement_timeout").fetchone()[0], "0", "the owner's")
    equal(rows(t), "1", "rows")


@test
def never_ended(t):
    """what is prepared as COMMIT ends no scope: not by EXECUTE, not behind a Parse that was skipped"""
    t.sql("CREATE TABLE t (n int UNIQUE)")
    d = t.daemon()
    c, token = owner_of(t, d)
    m = member(t, d, token)
    m.execute("INSERT INTO t VALUES (1)")
    m.pgconn.prepare(b"x", b"COMMIT")
    for row in m.execute("SELECT name, statement FROM pg_prepared_statements").fetchall():
        check("COMMIT" not in row[1].upper(), "the server knows %r" % (row,))
        try:
            m.execute('EXECUTE "%s"' % row[0])
        except Exception as e:  # pylint: disable=broad-except
            note("EXECUTE of %s: %s" % (row, e))
    equal(status_of(m.pgconn.exec_prepared(b"x", None)), "COMMAND_OK", "COMMIT outside of a BEGIN")
    # What ends a transaction that has failed.
    m.execute("BEGIN")
    m.execute("INSERT INTO t VALUES (2)")
    refused(m, "SELECT 1/0", "22012")
    r = m.pgconn.exec_prepared(b"x", None)
    equal((status_of(r), r.command_status), ("COMMAND_OK", b"ROLLBACK"), "COMMIT of a failed one")
    m.execute("BEGIN")
    refused(m, "SELECT 1/0", "22012")
    r = m.pgconn.exec_params(b"ROLLBACK", None)
    equal((status_of(r), r.command_status), ("COMMAND_OK", b"ROLLBACK"), "ROLLBACK of a failed one")
    equal(status_of(m.pgconn.exec_(b"COMMIT;" * 100000)), "FATAL_ERROR", "very many COMMIT")
    equal(m.execute("SELECT count(*) FROM t").fetchone()[0], 1, "rows")
    c.execute("EXIT ROLLBACK")
    equal(rows(t), None, "rows")


@test
def ends(t):
    """a deadline, KILL, the owner's death, the server's death: members are told, all is rolled back"""
    t.sql("CREATE TABLE t (n int UNIQUE)")
    d = t.daemon()
    for how in "deadline", "kill", "death", "server":
        c, m, idle = raw_members(t, d, "ENTER a JOINABLE" + (" DEADLINE '%dms'" % (1000 * brief(0.3)) if how == "deadline" else ""))
        m.sql("INSERT INTO t VALUES (1)")
        pid = int(m.value("SELECT pg_backend_pid()"))
        m.send(query("BEGIN; INSERT INTO t VALUES (2); SELECT pg_sleep(60)"))
        if how == "kill":
            wait_until(lambda: any("pg_sleep" in r["query"] for r in t.activity()), 5, "the query runs")
            d.console("KILL SESSION %d" % number(c))
        elif how == "death":
            wait_until(lambda: any("pg_sleep" in r["query"] for r in t.activity()), 5, "the query runs")
            c.close()
        elif how == "server":
            wait_until(lambda: any("pg_sleep" in r["query"] for r in t.activity()), 5, "the query runs")
            t.sql("SELECT pg_terminate_backend(%s)" % pid)
        for w in m, idle:
            e = w.until_closed().errors[-1]
            equal((e.severity, e.sqlstate), ("FATAL", "57P01"), "what a member is told: %s" % how)
        if how == "deadline":
            refused(c, "SELECT 1", "57014", "deadline")
            c.execute("EXIT ROLLBACK")
            equal(c.execute("SELECT 1").fetchone()[0], 1, "the owner goes on")
        d.quiet()
        equal(rows(t), None, "rows after " + how)


@test
def waiting(t):
    """members are served first in, first out, within wait_timeout; a circle is found"""
    t.sql("CREATE TABLE t (n serial, who int)")
    d = t.daemon(wait_timeout="%dms" % (1000 * brief(0.7)))
    c, token = owner_of(t, d)
    a, b = member(t, d, token), raw_member(t, d, token)
    a.execute("BEGIN")
    b.send(query("SELECT 1"))
    e = b.until_ready().errors[0]
    equal(e.sqlstate, "53300", "the wait runs out: %s" % e)
    equal(e.hint, "a joined scope serves one session at a time: the one that holds the server has to end its transaction first;"
          " a larger size does not help", "the hint")
    check(re.match("1 of 1 leased, 1 waiting; held longest: session [0-9]+ \\(postgres, pid [0-9]+, .*, idle in transaction\\)", e.detail), e.detail)
    check("db/a" in e.message, "the scope in the message %r" % e.message)
    a.execute("COMMIT")
    order = [raw_member(t, d, token) for _ in range(5)]
    a.execute("BEGIN")
    for i, w in enumerate(order):
        w.send(query("INSERT INTO t (who) VALUES (%d)" % i))
        wait_until(lambda i=i: d.waiting("db/a") == i + 1, 5, "member %d waits" % i)
    a.execute("COMMIT")
    for w in order:
        check(not w.until_ready().errors, "each is served")
    equal(a.execute("SELECT string_agg(who::text, '' ORDER BY n) FROM t").fetchone()[0], "01234", "the order")
    # The member that has the lock waits for the scope, whose member with the unit waits for the lock.
    b = member(t, d, token)
    b.execute("ENTER LOCK 'x'")
    a.execute("ENTER y")
    w = in_thread(lambda: b.execute("SELECT 1"))
    wait_until(lambda: d.waiting("db/a") == 1, 5, "it waits for the scope")
    diag = refused(a, "ENTER LOCK 'x'", "40P01")
    check(diag.message_detail.count("waits for") == 2, "the circle: %s" % diag.message_detail)
    a.execute("EXIT ROLLBACK")
    w()
    c.execute("EXIT")


@test
def cancels(t):
    """a CancelRequest of a member hits its own query, or its wait, and nobody else's"""
    d = t.daemon()
    c, a, b = raw_members(t, d)
    a.send(query("SELECT pg_sleep(60)"))
    wait_until(lambda: any("pg_sleep" in r["query"] for r in t.activity()), 5, "the query runs")
    b.send(query("SELECT 1"))
    wait_until(lambda: d.waiting("db/a") == 1, 5, "the other one waits")
    b.cancel()
    equal(b.until_ready().errors[0].sqlstate, "57014", "the wait is cancelled")
    check(a.silent(0.1), "the query goes on")
    a.cancel()
    equal(a.until_ready().errors[0].sqlstate, "57014", "the query is cancelled")
    for _ in range(30):
        a.cancel()
        equal(b.ask("SELECT 1").value, "1", "late cancels hit nobody")
    c.execute("EXIT")


@test
def server_lost_in_copy(t):
    """the server is terminated while members are in the middle of a CopyData message: pgwithd lives, and tells them"""
    t.sql("CREATE TABLE t (n int UNIQUE)")
    d = t.daemon()
    for _ in range(10):
        c, token = owner_of(t, d)
        m = raw_member(t, d, token)
        pid = int(m.value("SELECT pg_backend_pid()"))
        m.send(query("COPY t FROM STDIN"))
        m.until("G")
        data = wire.copy_data(b"1\n" * 1000000)
        m.send(data[:1000])
        t.sql("SELECT pg_terminate_backend(%d)" % pid)
        try:
            for i in range(1000, 1000000, 1000):
                m.send(data[i:i + 1000])
        except OSError:
            pass
        try:
            m.until_closed()
        except OSError:
            pass
        wait_until(lambda c=c: [r for r in d.show("SCOPES") if int(r["session"]) == number(c)] == [], 10, "it has ended")
    d.quiet()
    equal(rows(t), None, "rows")


@test
def leave_in_copy(t):
    """the owner leaves while a member is in the middle of a CopyData message: the scope ends, without the member's unit"""
    t.sql("CREATE TABLE t (n int)")
    d = t.daemon()
    for statement in "EXIT", "EXIT ROLLBACK":
        c, token = owner_of(t, d)
        m = raw_member(t, d, token)
        m.ask("INSERT INTO t VALUES (1)")
        m.send(query("COPY t FROM STDIN"))
        m.until("G")
        data = wire.copy_data(b"2\n" * 100000)
        m.send(data[:1000])
        in_thread(lambda c=c, statement=statement: c.execute(statement))()
        equal(m.until_closed().errors[-1].sqlstate, "57P01", "what the member is told")
        equal(rows(t), "1", "rows behind " + statement)
    d.quiet()


@test
def leave_stubborn(t):
    """a member's statement that no cancel ends: EXIT fails behind twice cleanup_timeout, and nothing is committed"""
    t.sql("CREATE TABLE t (n int)")
    d = t.daemon(cleanup_timeout="300ms")
    c, token = owner_of(t, d)
    m = raw_member(t, d, token)
    m.ask("INSERT INTO t VALUES (1)")
    m.send(query("DO $$ BEGIN LOOP BEGIN PERFORM pg_sleep(60); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; "
                 "END $$"))
    # a cancel that comes before it sleeps ends it
    pid = wait_until(lambda: [r["pid"] for r in t.activity() if r["wait_event"] == "PgSleep"], 5, "it sleeps")[0]
    try:
        c.execute("EXIT")
        check(False, "EXIT has succeeded")
    except Exception as e:  # pylint: disable=broad-except
        check("in time" in str(e) or "closed" in str(e), "the error: %s" % e)
    t.sql("SELECT pg_terminate_backend(%s)" % pid)
    equal(m.until_closed().errors[-1].sqlstate, "57P01", "what the member is told")
    wait_until(lambda: d.show("SCOPES") == [], 10, "the scope has ended")
    equal(rows(t), None, "rows")


@test(timeout=120)
def long_messages(t):
    """a Bind of 5 and of 20 MB, a Query of 12 MB, COPY of 20 MB in one message; what is too long ends that member only"""
    t.sql("CREATE TABLE t (n int, b bytea)")
    d = t.daemon()
    c, token = owner_of(t, d)
    m = raw_member(t, d, token)
    for n in 5, 20:
        size = n * 1000 * 1000
        m.send(wire.parse("INSERT INTO t VALUES (%d, $1)" % n) + wire.bind([b"x" * size], formats=[1]) + wire.execute() +
               wire.sync())
        equal(m.until_ready().tags, ["INSERT 0 1"], "the tag")
        equal(m.value("SELECT length(b) FROM t WHERE n = %d" % n), str(size), "bytes")
    equal(m.value("SELECT length('%s')" % ("x" * 12000000)), "12000000", "characters")
    equal(m.ask("SET a.b = '1'; BEGIN; SELECT length('%s'); COMMIT" % ("x" * 7000000)).tags,
          ["SET", "BEGIN", "SELECT 1", "COMMIT"], "the tags of a text in parts")
    m.send(query("COPY t (b) FROM STDIN"))
    m.until("G")
    m.send(wire.copy_data(b"y" * 20000000 + b"\n") + wire.copy_done())
    equal(m.until_ready().tags, ["COPY 1"], "the tag")
    m.ask("BEGIN")
    m.ask("INSERT INTO t VALUES (99)")
    try:
        m.send(query("SELECT '%s'" % ("x" * 20000000)))
    except OSError:
        pass
    try:
        e = m.until_closed().errors[-1]
        equal((e.severity, e.sqlstate), ("FATAL", "54000"), "what the member is told")
    except OSError as e:
        note("the connection was reset: %s" % e)
    m = raw_member(t, d, token)
    equal(m.value("SELECT count(*) FROM t"), "3", "rows that the next member sees")
    error = m.ask("DO $$ BEGIN RAISE EXCEPTION '%', repeat('x', 20000000); END $$").errors[0]
    check(len(error.message) == 20000000, "a long error is told as a whole")
    equal(m.value("SELECT 1"), "1", "and the member goes on")
    # Half a Bind of a member that is killed.
    m.send(wire.parse("INSERT INTO t VALUES (98, $1)") + wire.bind([b"x" * 9000000], formats=[1])[:3000000])
    m.sock.close()
    m = raw_member(t, d, token)
    equal(m.value("SELECT count(*) FROM t"), "3", "rows behind a member that was killed")
    c.execute("EXIT")
    equal(rows(t), "5,20", "rows")


@test
def cancels_of_short_queries(t):
    """cancels that come at any moment of a member's units end no scope, and hit no other member"""
    t.sql("CREATE TABLE t (n int)")
    d = t.daemon()
    c, token = owner_of(t, d)
    a, b = raw_member(t, d, token), raw_member(t, d, token)
    cancelled = done = 0
    for i in range(150):
        a.send(query(("SELECT pg_sleep(0.003)", "BEGIN; INSERT INTO t VALUES (1); ROLLBACK",
                      "CREATE TEMP TABLE x%d (n int)" % i, "SET work_mem = '1MB'; INSERT INTO t VALUES (2)")[i % 4]))
        a.cancel()
        r = a.until_ready()
        check(all(e.sqlstate == "57014" for e in r.errors), "errors: %s" % r.errors)
        cancelled += len(r.errors) > 0
        done += i % 4 == 3 and not r.errors
        if r.status != "I":
            a.ask("ROLLBACK")
        equal(b.value("SELECT count(*) FROM t"), str(done), "what the other one sees")
    check(cancelled > 0, "some are cancelled")
    note("%d of 150 were cancelled" % cancelled)
    for _ in range(30):
        k = raw_member(t, d, token)
        k.send(query("BEGIN; INSERT INTO t VALUES (3)"))
        k.sock.close()
        equal(b.value("SELECT count(*) FROM t"), str(done), "what the other one sees")
    c.execute("EXIT")
    equal(t.value("SELECT count(*) FROM t"), str(done), "rows")


@test
def another_pool(t):
    """what cannot be used in a joined scope can be in a scope of its owner's on another pool"""
    d = t.daemon(pools={n: {"conninfo": t.conninfo(), "size": 1} for n in ("db", "other")})
    c, token = owner_of(t, d)
    refused(c, "DECLARE h CURSOR WITH HOLD FOR SELECT 1", "0A000")
    c.execute("ENTER b ON other")
    c.execute("DECLARE h CURSOR WITH HOLD FOR SELECT 1")
    c.execute("EXIT")
    equal(psql(d, token, "SELECT 1"), "1\n", "a member")
    c.execute("EXIT")


@test
def console(t):
    """SHOW CLIENTS, SCOPES, POOLS and SERVERS with members; RELOAD, PAUSE and RECONNECT leave the scope alone"""
    t.sql("CREATE TABLE t (n int UNIQUE)")
    d = t.daemon()
    c, token = owner_of(t, d)
    m = member(t, d, token)
    m.execute("INSERT INTO t VALUES (1)")
    row = [r for r in d.show("CLIENTS") if r["joined"]]
    equal([(r["joined"], r["database"]) for r in row], [("a of session %d" % number(c), "db/a")], "the member")
    equal([(r["name"], r["kind"], r["members"]) for r in d.show("SCOPES")], [("a", "joinable", "1")], "the scope")
    for what in ("POOLS", "SERVERS", "STATS", "WAITS", "LISTS", "DATABASES", "MEM", "HELD", "TOTALS", "STATE"):
        d.console("SHOW " + what)
    d.reload(options={"log_level": "debug"})
    d.console("RECONNECT")
    m.execute("INSERT INTO t VALUES (2)")
    d.console("DISABLE db")
    m.execute("INSERT INTO t VALUES (3)")
    d.console("ENABLE db")
    c.execute("EXIT")
    equal(rows(t), "1,2,3", "rows")
    wait_until(lambda: "db/a" not in [r["database"] for r in d.show("POOLS")], 10, "the pool of the scope is gone")


@test
def pgbench_inside(t):
    """pgbench -S -N in simple, extended and prepared mode with several clients"""
    run([os.path.join(bindir(), "pgbench"), "-qi", "-s", "1", t.conninfo()], {})
    d = t.daemon()
    c, token = owner_of(t, d)
    for mode in "simple", "extended", "prepared":
        run([os.path.join(bindir(), "pgbench"), "-n", "-c", "4", "-j", "2", "-t", "50", "-M", mode, "-h", d.sockets, "-p",
             str(d.port), "-U", "postgres", "db"], {"PGOPTIONS": "-c pgwith.join=" + token})
    equal(t.value("SELECT count(*) FROM pgbench_history"), "0", "what others see")
    c.execute("EXIT")
    equal(t.value("SELECT count(*) FROM pgbench_history"), "600", "transactions")


@test
def restarts(t):
    """a restart of the daemon drops neither owner nor members: idle, in a BEGIN, with a query that runs, waiting"""
    t.sql("CREATE TABLE t (n int UNIQUE)")
    d = t.supervised(size=2)
    c, token = owner_of(t, d)
    _, other = owner_of(t, d, "ENTER z JOINABLE")
    a, b, idle, x = (raw_member(t, d, k) for k in (token, token, token, other))
    idle.ask("SET work_mem = '9MB'")
    x.ask("BEGIN")
    x.ask("INSERT INTO t VALUES (70)")
    backend = a.value("SELECT pg_backend_pid()")
    for i in range(4):
        a.ask("BEGIN")
        a.ask("INSERT INTO t VALUES (%d)" % i)
        a.ask("SAVEPOINT s; SET LOCAL TimeZone = 'Asia/Tokyo'")
        a.send(query("SELECT pg_sleep(0.3), %d" % i) + query("SELECT 'behind'"))
        wait_until(lambda: any("pg_sleep" in r["query"] and r["state"] == "active" for r in t.activity()), 5, "it runs")
        b.send(query("INSERT INTO t VALUES (%d)" % (10 + i)))
        wait_until(lambda: d.waiting("db/a") == 1, 5, "the other member waits")
        d.restart()
        equal(a.until_ready().rows, [("", str(i))], "the answer")
        equal(a.until_ready().value, "behind", "the answer of what is behind it")
        equal(a.value("SHOW TimeZone"), "Asia/Tokyo", "its parameter")
        equal(a.ask("COMMIT").tags, ["COMMIT"], "the tag")
        check(a.value("SHOW TimeZone") != "Asia/Tokyo", "the parameter ends with the unit")
        check(not b.until_ready().errors, "the one that waited is served")
        equal(idle.value("SHOW work_mem"), "9MB", "the parameter of the idle one")
        equal(a.value("SELECT pg_backend_pid()"), backend, "the backend")
    equal(x.ask("ROLLBACK").tags, ["ROLLBACK"], "the other scope's member")
    x.ask("INSERT INTO t VALUES (71)")
    n = raw_member(t, d, token)
    equal(n.value("SELECT count(*) FROM t"), "8", "a new member joins by the same token")
    c.execute("EXIT")
    equal(rows(t), "0,1,2,3,10,11,12,13", "rows")


FEATURES = ("query", "parameters", "transactions", "errors", "copy", "large")


@test(timeout=300)
def drivers(t):
    """the programs of drivers_matrix.py as members: psycopg 3, psycopg2, asyncpg, node's pg (by NODE_PATH)"""
    here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "drivers")
    d = t.daemon()
    dsn = "host=%s port=%d dbname=db user=postgres" % (d.sockets, d.port)
    programs = [("psycopg3.py", "psycopg"), ("psycopg_2.py", "psycopg2"), ("async_pg.py", "asyncpg")]
    commands = [["/usr/bin/python3", os.path.join(here, p)] for p, module in programs
                if importlib.util.find_spec(module)]
    if subprocess.run(["node", "-e", "require('pg')"], stderr=subprocess.DEVNULL, check=False).returncode == 0:
        commands.append(["node", os.path.join(here, "node_pg.js")])
    for argv in commands:
        for feature in FEATURES:
            # psycopg2's program asks for that level.
            c, token = owner_of(t, d, "ENTER a JOINABLE ISOLATION LEVEL SERIALIZABLE")
            r = subprocess.run(argv + [dsn, feature], env=dict(os.environ, PGOPTIONS="-c pgwith.join=" + token,
                                                                   PGWITH_TEST_JOIN=token),
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120 * slow_factor(), check=False)
            check(r.returncode == 0 and (r.stdout.strip().endswith("ok") or r.stdout.startswith("none")),
                  "%s %s: %s" % (argv[1:], feature, r.stdout))
            check(r.stdout.startswith("none") or d.log_has("joined scope=a owner=%d" % number(c)), "it has joined")
            c.execute("EXIT ROLLBACK")
            c.close()
        note("%s: %s" % (os.path.basename(argv[1]), ", ".join(FEATURES)))


if __name__ == "__main__":
    main()
