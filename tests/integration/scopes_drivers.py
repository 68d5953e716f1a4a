"""Scope statements from the clients that people use, unchanged: psql, pgbench, psycopg 3 (text and server-side
binding, prepared, pipelines), psycopg2, asyncpg, and the message sequences of JDBC."""

import asyncio
import os
import pty
import re
import select
import signal
import time

from pgwtest import check, child, equal, main, sanitized, slow_factor, test, unavailable, wire
from pgwtest.scopelog import (all_quiet, connect, dial, driver, elapsed, events, number, pools, refused, story,
                              told, untouched, warm)

QUIET = {"log_level": "info"}


def module(name):
    try:
        return __import__(name)
    except ImportError:
        unavailable("no Python module " + name)


def scene(t, size=2, **how):
    t.sql("CREATE TABLE marks (a text)")
    return t.daemon(pools=pools(t, "db", "p2", size=size), options=QUIET, **how)


def marks(t):
    return [r[0] for r in t.sql("SELECT a FROM marks ORDER BY ctid")]


def psql(t, d, *args, stdin=None, status=0):
    got, out, err = child.run([t.cluster.program("psql"), "-X", "-At", *args, d.dsn()], stdin=stdin)
    equal(got, status, "psql's status (%s%s)" % (out, err))
    return out, err


def one_story(d, session, *names, outcome="success"):
    told(d, session, [x for n in names for x in (n + " enter", n + " granted")] +
         [x for n in reversed(names) for x in (n + " exit", "%s released %s" % (n, outcome))])


# ---- psql ------------------------------------------------------------------------------------------
@test
def psql_command(t):
    """psql -c: one text, several -c, an error in it, a scope left open when psql ends"""
    d = scene(t)
    out, _ = psql(t, d, "-c", "ENTER a; INSERT INTO marks VALUES ('1'); EXIT; SELECT 'after'")
    check(out.splitlines()[:2] == ["ENTER", "INSERT 0 1"] and out.splitlines()[2].startswith("EXIT a ") and
          out.splitlines()[3] == "after", "the output: " + out)
    out, _ = psql(t, d, "-c", "ENTER a", "-c", "INSERT INTO marks VALUES ('2')", "-c", "ENTER b", "-c", "EXIT ALL")
    equal([x.split(" ")[0] for x in out.splitlines()], ["ENTER", "INSERT", "ENTER", "EXIT"], "the output")
    _, err = psql(t, d, "-c", "ENTER a; SELECT 1/0; EXIT", status=1)
    check("division by zero" in err, "the error: " + err)
    psql(t, d, "-c", "ENTER a; INSERT INTO marks VALUES ('left open')")
    _, err = psql(t, d, "-c", "ENTER a ON", status=1)
    check("LINE 1: ENTER a ON" in err and err.splitlines()[2].endswith(" ^"), "the place: " + err)
    all_quiet(d, "db")
    equal(marks(t), ["1", "2"], "rows")


class Typed:
    """psql at a terminal, as a person has it."""

    def __init__(self, t, d):
        program, argv = t.cluster.program("psql"), ["psql", "-X", "-At", d.dsn()]
        env = dict(os.environ, PSQL_PAGER="", PSQLRC="/dev/null", TERM="dumb")
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:  # Nothing of the harness may run here: the servers that it looks after are not this process's.
                os.execve(program, argv, env)
            finally:
                os._exit(127)
        self.seen = ""
        t.defer(self.end)

    def until(self, pattern):
        """Reads until what it has said matches, or it has ended; returns whether it still runs."""
        deadline = time.monotonic() + 20 * slow_factor()
        while not re.search(pattern, self.seen) and time.monotonic() < deadline:
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    got = os.read(self.fd, 4096)
                except OSError:
                    got = b""
                if not got:
                    return False
                self.seen += got.decode()
        check(re.search(pattern, self.seen), "%r in what psql says: %r" % (pattern, self.seen))
        return True

    def prompt(self):
        """Reads until psql waits for a line. What is typed earlier, while readline turns the terminal's line editing
        off and on, may be lost."""
        return self.until(r"[=-][*!]?[#>] \Z")

    def type(self, text, words):
        """Types the text, each of its lines at a prompt, and reads until psql has said the words and asks for the next
        line. Returns whether psql still runs."""
        for line in text.split("\n"):
            self.seen = ""
            os.write(self.fd, (line + "\n").encode())
            if not self.prompt():
                return False
        check(words in self.seen, "%r in what psql says: %r" % (words, self.seen))
        return True

    def end(self):
        os.close(self.fd)
        try:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass


@test
def psql_typed(t):
    """psql at a terminal: a line with EXIT and nothing else ends psql, whatever a server could do; LEAVE in every
    spelling ends the scope, and the work is there"""
    d = scene(t)
    spellings = ("LEAVE;", "leave;", "LEAVE ;", "LEAVE a;", "Leave all;", "LEAVE/* a */;", " LEAVE;", "LEAVE -- the end\n;",
                 "EXIT a;", "EXIT ALL;", "SELECT 1; EXIT;")
    psql = Typed(t, d)
    check(psql.prompt(), "psql begins")
    for n, line in enumerate(spellings):
        check(psql.type("ENTER a;", "ENTER\r\n"), "ENTER")
        check(psql.type("INSERT INTO marks VALUES ('%d');" % n, "INSERT 0 1\r\n"), "INSERT")
        check(psql.type(line, " ms\r\n"), "psql goes on behind %r" % line)
        equal(marks(t)[-1:], [str(n)], "rows behind %r" % line)
    psql.type("ENTER a; INSERT INTO marks VALUES ('lost');", "INSERT 0 1\r\n")
    check(not psql.type("EXIT;", " ms\r\n"), "psql takes a bare EXIT for its own")
    all_quiet(d, "db")
    equal(marks(t), [str(n) for n in range(len(spellings))], "rows")


@test
def psql_script(t):
    """psql: a script with errors, SHOW SCOPES, \\copy, variables and \\gdesc inside scopes; -1 around it"""
    d = scene(t)
    out, err = psql(t, d, stdin="""
        \\set scope work
        ENTER :"scope", LOCK 'l';
        COPY marks FROM stdin;
one
\\.
        \\copy (SELECT a FROM marks) to pstdout
        SHOW SCOPES;
        SAVEPOINT s;
        SELECT nonsense;
        ROLLBACK TO s;
        COMMIT;
        EXIT; EXIT;
        EXIT;
        SELECT 1 AS col \\gdesc
        ENTER bad; SELECT 1/0; EXIT;
        DEFER 'SELECT 1';
        ENTER /* comment */ last -- comment
        ; INSERT INTO marks VALUES ('two');
        EXIT last;
    """)
    lines = out.splitlines()
    check("one" in lines and "col|integer" in lines, "the output: " + out)
    check([x.split("|")[1:5] for x in lines if "|transaction|" in x] == [["work", "transaction", "db", "open"]],
          "SHOW SCOPES: " + out)
    for words in ('column "nonsense" does not exist', 'would end the transaction of scope "work"', "no scope is open",
                  'scope "bad" failed and was rolled back', "DETAIL:  first error: SQLSTATE 22012",
                  "DEFER needs a scope"):
        check(words in err, "%r in: %s" % (words, err))
    equal(marks(t), ["one", "two"], "rows")
    # Its own BEGIN and COMMIT around.
    psql(t, d, "-1", "-c", "ENTER sp", "-c", "INSERT INTO marks VALUES ('three')", "-c", "EXIT")
    equal(marks(t), ["one", "two", "three"], "rows")
    all_quiet(d, "db")


@test
def psql_stops(t):
    """psql with ON_ERROR_STOP in a scope: it ends, and what it had open is rolled back"""
    d = scene(t)
    psql(t, d, "-v", "ON_ERROR_STOP=1", status=3, stdin="ENTER a; INSERT INTO marks VALUES ('x');\nSELECT 1/0;\nEXIT;\n")
    all_quiet(d, "db")
    equal(marks(t), [], "rows")


# ---- psycopg 3 -------------------------------------------------------------------------------------
@test
def psycopg3_binding(t):
    """psycopg 3: client-side and server-side binding, prepared and not, again and again"""
    psycopg = driver()
    d = scene(t, scopes={"tagged": {"enter": "INSERT INTO marks VALUES ($1)"}})
    for prepare, factory in ((None, psycopg.Cursor), (True, psycopg.Cursor), (False, psycopg.Cursor),
                             (None, psycopg.ClientCursor)):
        t.sql("TRUNCATE marks")
        c = connect(t, d, cursor_factory=factory)
        how = {} if factory is psycopg.ClientCursor else {"prepare": prepare}
        for n in range(8):
            cur = c.cursor()
            cur.execute("ENTER LOCK %s WAIT %s", ("lock %d" % n, "5s"), **how)
            equal(cur.statusmessage, "ENTER", "the tag")
            cur.execute("ENTER tagged AS t (%s)", (str(n),), **how)
            cur.execute("DEFER %s", ("INSERT INTO marks VALUES ('deferred')",), **how)
            equal(len(cur.execute("SHOW SCOPES", **how).fetchall()), 2, "SHOW SCOPES")
            equal(cur.execute("SELECT %s::int", (n,), **how).fetchone(), (n,), "a query")
            elapsed(cur.execute("EXIT", **how).statusmessage)
            elapsed(cur.execute("EXIT ALL", **how).statusmessage)
        equal(marks(t), [x for n in range(8) for x in (str(n), "deferred")], "rows")
        # Numbers, too.
        cur = c.cursor()
        cur.execute("ENTER SEMAPHORE %s LIMIT %s AS s WAIT 0", ("sem", 3), **how)
        cur.execute("EXIT s", **how)
        c.close()
    all_quiet(d, "db")


@test
def psycopg3_transactions(t):
    """psycopg 3: conn.transaction() inside scopes is savepoints; without autocommit ENTER is inside its BEGIN"""
    psycopg = driver()
    d = scene(t)
    c = connect(t, d)
    c.execute("ENTER a")
    with c.transaction():
        c.execute("INSERT INTO marks VALUES ('1')")
    try:
        with c.transaction():
            c.execute("INSERT INTO marks VALUES ('2')")
            c.execute("SELECT 1/0")
    except psycopg.errors.DivisionByZero:
        pass
    c.execute("ENTER b")
    with c.transaction():
        c.execute("INSERT INTO marks VALUES ('3')")
        try:
            with c.transaction():
                c.execute("INSERT INTO marks VALUES ('4')")
                raise ValueError
        except ValueError:
            pass
    c.execute("EXIT ALL")
    equal(marks(t), ["1", "3"], "rows")
    # Without autocommit.
    with driver().connect(d.dsn()) as k:
        k.execute("ENTER a")
        k.execute("INSERT INTO marks VALUES ('5')")
        try:
            k.commit()
            check(False, "the commit must be refused")
        except psycopg.Error as e:
            equal(e.sqlstate, "2D000", "commit() with a scope open")
        k.execute("EXIT")
        k.commit()
    equal(marks(t), ["1", "3", "5"], "rows")
    all_quiet(d, "db")


@test
def psycopg3_pipeline(t):
    """psycopg 3 in pipeline mode: scopes and statements sent at once; an error skips the rest"""
    psycopg = driver()
    if not psycopg.Pipeline.is_supported():
        unavailable("libpq has no pipelines")
    d = scene(t)
    c = connect(t, d)
    for _ in range(3):
        with c.pipeline():
            c.execute("ENTER a")
            cur = c.execute("INSERT INTO marks VALUES ('1') RETURNING a")
            c.execute("ENTER b ON p2")
            c.execute("INSERT INTO marks VALUES ('2')")
            c.execute("EXIT b")
            out = c.execute("EXIT")
        equal(cur.fetchone(), ("1",), "the row")
        elapsed(out.statusmessage)
    equal(sorted(marks(t)), ["1"] * 3 + ["2"] * 3, "rows")
    try:
        with c.pipeline():
            c.execute("ENTER a")
            c.execute("SELECT 1/0")
            c.execute("INSERT INTO marks VALUES ('3')")
            c.execute("EXIT")
    except psycopg.errors.DivisionByZero:
        pass
    equal(c.execute("SHOW SCOPES").fetchone()[4], "failed", "the scope is open")
    refused(c, "EXIT", "40000")
    equal(len(marks(t)), 6, "rows")
    all_quiet(d, "db", "p2")


@test
def psycopg3_async(t):
    """psycopg 3 AsyncConnection: `async with` made of ENTER and EXIT, with a task that is cancelled"""
    psycopg = driver()
    d = scene(t)

    class Scope:
        def __init__(self, conn, items):
            self.conn, self.items = conn, items

        async def __aenter__(self):
            await self.conn.execute("ENTER " + self.items)

        async def __aexit__(self, kind, error, trace):
            await self.conn.execute("EXIT ROLLBACK" if kind else "EXIT")

    async def program():
        async with await psycopg.AsyncConnection.connect(d.dsn(), autocommit=True) as c:
            async with Scope(c, "a"), Scope(c, "b ON p2"):
                await c.execute("INSERT INTO marks VALUES ('1')")
            try:
                async with Scope(c, "a"):
                    await c.execute("INSERT INTO marks VALUES ('2')")
                    raise ValueError
            except ValueError:
                pass
            return wire.session_of(c.info.backend_pid)

    session = asyncio.run(program())
    equal(story(d, session)[-4:], ["a enter", "a granted", "a exit", "a released rolled back"], "the log")
    equal(marks(t), ["1"], "rows")
    all_quiet(d, "db", "p2")


# ---- psycopg2, asyncpg -----------------------------------------------------------------------------
@test
def psycopg2_scopes(t):
    """psycopg2: autocommit and not, parameters, errors and notices"""
    psycopg2 = module("psycopg2")
    d = scene(t)
    conn = psycopg2.connect(d.dsn())
    conn.autocommit = True
    cur = conn.cursor()
    for _ in range(6):
        cur.execute("ENTER a, LOCK %s WAIT %s", ("it's", "1s"))
        equal(cur.statusmessage, "ENTER", "the tag")
        cur.execute("INSERT INTO marks VALUES (%s)", ("x",))
        cur.execute("EXIT ALL")
        elapsed(cur.statusmessage)
    cur.execute("ENTER a; INSERT INTO marks VALUES ('y'); EXIT ROLLBACK; SELECT 7")
    equal(cur.fetchall(), [(7,)], "the row")
    cur.execute("ENTER a")
    try:
        cur.execute("SELECT 1/0")
    except psycopg2.Error as e:
        equal(e.pgcode, "22012", "the error")
    try:
        cur.execute("EXIT")
        check(False, "EXIT must fail")
    except psycopg2.Error as e:
        equal((e.pgcode, "22012" in e.diag.message_detail), ("40000", True), "the error of EXIT")
    conn.autocommit = False
    cur.execute("ENTER sp")
    cur.execute("INSERT INTO marks VALUES ('z')")
    cur.execute("EXIT")
    conn.commit()
    equal(marks(t), ["x"] * 6 + ["z"], "rows")
    conn.close()
    all_quiet(d, "db")


@test
def asyncpg_scopes(t):
    """asyncpg: execute and fetch, parameters, prepared statements, a pool, ENTER inside its transaction()"""
    asyncpg = module("asyncpg")
    d = scene(t)

    async def program():
        c = await asyncpg.connect(host=d.sockets, port=d.port, user="postgres", database="db")
        for n in range(6):
            equal(await c.execute("ENTER a"), "ENTER", "the tag")
            await c.execute("ENTER LOCK $1 WAIT $2", "lock", "1s")
            equal(await c.fetchval("SELECT $1::int", n), n, "a query")
            equal(len(await c.fetch("SHOW SCOPES")), 2, "SHOW SCOPES")
            row = await c.fetchrow("SHOW SCOPES")
            equal((row["level"], row["name"], row["current"]), (1, "a", True), "its first row")
            await c.execute("INSERT INTO marks VALUES ('%d')" % n)
            elapsed(await c.execute("EXIT"))
            elapsed(await c.execute("EXIT ALL"))
        async with c.transaction():
            await c.execute("ENTER sp")
            await c.execute("INSERT INTO marks VALUES ('gone')")
            await c.execute("EXIT ROLLBACK")
        enter, leave = await c.prepare("ENTER b"), await c.prepare("EXIT b")
        for _ in range(3):
            await enter.fetch()
            await c.execute("INSERT INTO marks VALUES ('b')")
            await leave.fetch()
            elapsed(leave.get_statusmsg())
        await c.execute("ENTER a")
        try:
            await c.fetch("SELECT 1/0")
        except asyncpg.DivisionByZeroError:
            pass
        try:
            await c.execute("EXIT")
            check(False, "EXIT must fail")
        except asyncpg.PostgresError as e:
            equal((e.sqlstate, "22012" in e.detail), ("40000", True), "the error of EXIT")
        await c.close()

        async def work(connections, n):
            async with connections.acquire() as k:
                await k.execute("ENTER a")
                await k.execute("INSERT INTO marks VALUES ('pool')")
                await k.execute("EXIT ROLLBACK" if n % 2 else "EXIT")

        async with asyncpg.create_pool(host=d.sockets, port=d.port, user="postgres", database="db", min_size=5,
                                       max_size=5) as connections:
            await asyncio.gather(*(work(connections, n) for n in range(30)))

    asyncio.run(program())
    equal(marks(t), [str(n) for n in range(6)] + ["b"] * 3 + ["pool"] * 15, "rows")
    all_quiet(d, "db")


# ---- pgbench ---------------------------------------------------------------------------------------
@test(timeout=120)
def pgbench(t):
    """pgbench: ENTER and EXIT in a script, 20 clients on a pool of 4, simple, extended and prepared"""
    t.sql("CREATE TABLE n (id int PRIMARY KEY, v int); INSERT INTO n SELECT i, 0 FROM generate_series(1, 50) i;"
          "CREATE TABLE log (id int)")
    d = t.daemon(pools=pools(t, "db", size=4), options=QUIET)
    with open(t.path("script.sql"), "w") as f:
        f.write("\\set id random(1, 50)\n"
                "ENTER a;\n"
                "UPDATE n SET v = v + 1 WHERE id = :id;\n"
                "ENTER sp;\nINSERT INTO log VALUES (-1);\nEXIT sp ROLLBACK;\n"
                "ENTER LOCK 'l';\nSELECT v FROM n WHERE id = :id;\nEXIT;\n"
                "INSERT INTO log VALUES (:id);\n"
                "EXIT;\n")
    each = 8 if sanitized() else 25
    total = 0
    for mode in ("simple", "extended", "prepared"):
        out = child.run_ok([t.cluster.program("pgbench"), "-n", "-M", mode, "-c", "20", "-j", "2", "-t", str(each),
                            "-f", t.path("script.sql"), d.dsn()], timeout=100)
        total += 20 * each
        check("number of transactions actually processed: %d/%d" % (20 * each, 20 * each) in out, out)
        equal((t.value("SELECT sum(v) FROM n"), t.value("SELECT count(*) FROM log")), (str(total), str(total)),
              "what was done with -M " + mode)
    equal(t.value("SELECT count(*) FROM log WHERE id < 0"), "0", "rows of scopes that were rolled back")
    all_quiet(d, "db", within=5)
    check(len(d.servers()) <= 4, "no more servers than size")
    equal(len(events(d, what="released")), 3 * total, "scopes released")


# ---- JDBC ------------------------------------------------------------------------------------------
@test
def jdbc(t):
    """the messages of JDBC: unnamed first, S_1 after five times; batches with one Sync; portals with a fetch size"""
    d = scene(t, size=1)
    backends = warm(d, "db")
    c = t.client(d)

    def run(sql, values=(), name="", prepare=True, sync=True):
        out = wire.parse(sql, name) if prepare else b""
        out += wire.bind(values, statement=name) + wire.describe() + wire.execute()
        c.send(out + (wire.sync() if sync else b""))
        return c.until_ready() if sync else None

    for n in range(8):
        named = n >= 5
        for k, (sql, values, kinds) in enumerate((
                ("ENTER a", (), "2nCZ"), ("INSERT INTO marks VALUES ($1)", (str(n),), "2nCZ"),
                ("SHOW SCOPES", (), "2TDCZ"), ("EXIT", (), "2nCZ"))):
            r = run(sql, values, "S_%d" % k if named else "", prepare=n <= 5)
            if n > 5 or not named:
                if not named and n <= 5:
                    kinds = "1" + kinds
            else:
                kinds = "1" + kinds
            equal((r.errors, r.kinds), ([], kinds), "%s, round %d" % (sql, n))
    # A batch: many Bind and Execute, one Sync.
    c.send(wire.parse("INSERT INTO marks VALUES ($1)", "S_9") + wire.describe("S", "S_9") + wire.extended("ENTER b") +
           b"".join(wire.bind(("batch %d" % i,), statement="S_9") + wire.describe() + wire.execute()
                    for i in range(5)) + wire.extended("EXIT") + wire.sync())
    r = c.until_ready()
    equal((r.errors, r.status, r.tags[:6]), ([], "I", ["ENTER"] + ["INSERT 0 1"] * 5), "a batch")
    elapsed(r.tags[6])
    # A portal that is fetched bit by bit stays where no scope statement comes between.
    run("ENTER c")
    c.send(wire.parse("SELECT generate_series(1, 5)", "S_10") + wire.bind((), "C_1", "S_10") +
           wire.execute("C_1", 2) + wire.sync())
    equal(c.until_ready().rows, [("1",), ("2",)], "the first rows")
    c.send(wire.execute("C_1", 2) + wire.sync())
    equal(c.until_ready().rows, [("3",), ("4",)], "the next rows")
    run("ENTER sp")
    c.send(wire.execute("C_1", 2) + wire.sync())
    equal(c.until_ready().rows, [("5",)], "the last one, in a savepoint scope")
    c.send(wire.close_("P", "C_1") + wire.close_("S", "S_10") + wire.sync())
    equal(c.until_ready().kinds, "33Z", "closed")
    run("EXIT ALL")
    # A scope statement in the middle of a fetch of rows.
    c.send(wire.close_("S", "S_0") + wire.sync())
    equal(c.until_ready().kinds, "3Z", "a scope statement is closed")
    c.send(wire.bind(statement="S_0") + wire.sync())
    equal([e.sqlstate for e in c.until_ready().errors], ["26000"], "it is gone")
    equal(marks(t), [str(n) for n in range(8)] + ["batch %d" % i for i in range(5)], "rows")
    untouched(t, d, backends)


@test
def many_at_once(t):
    """raw: several exchanges of scope statements sent without waiting; each answered in its order"""
    d = scene(t)
    c = t.client(d)
    c.send(b"".join(wire.extended("ENTER a") + wire.extended("INSERT INTO marks VALUES ('%d')" % n) +
                    wire.extended("EXIT") + wire.sync() for n in range(20)) +
           wire.query("ENTER q; INSERT INTO marks VALUES ('q'); EXIT") + wire.query("SELECT 1") +
           wire.extended("SELECT 2") + wire.sync())
    for n in range(20):
        r = c.until_ready()
        equal((r.errors, r.kinds, r.status), ([], "12nC12nC12nCZ", "I"), "exchange %d" % n)
    equal([len(c.until_ready().tags), c.until_ready().value, c.until_ready().value], [3, "1", "2"], "the rest")
    equal(marks(t), [str(n) for n in range(20)] + ["q"], "rows")
    all_quiet(d, "db")


if __name__ == "__main__":
    main()
