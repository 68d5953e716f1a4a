"""The Python package pgwith (src/clients/python): each driver, each outcome. Every program is written once, as a
coroutine, and run with psycopg 3 blocking and asynchronous, psycopg2 and asyncpg."""

import asyncio
import contextlib
import datetime
import decimal
import signal
import threading

from pgwtest import check, equal, main, note, slow_factor, test, unavailable, wait_until
from pgwtest.clients import DRIVERS, Conn, has, package
from pgwtest.scopelog import all_quiet, pools

pgwith = package()
QUIET = {"log_level": "info"}


def scene(t, size=2, options=None, scopes=None, **more):
    t.sql("CREATE TABLE marks (a text)")
    return t.daemon(pools=pools(t, "db", "p2", size=size, **more), options={**QUIET, **(options or {})}, scopes=scopes)


def marks(t):
    return [r[0] for r in t.sql("SELECT a FROM marks ORDER BY ctid")]


def nothing_left(d, *names):
    all_quiet(d, *(names or ("db", "p2")))
    wait_until(lambda: not d.show("SCOPES") and not d.show("LOCKS"), 5, "no scope and no lock is open")


def each_driver(t, d, program, drivers=DRIVERS, **how):
    """Runs program(connection) with each driver; the connection has to go on afterwards, unless it is closed."""
    ran = 0
    for name in drivers:
        async def whole():
            async with await Conn.open(d, name, **how) as c:
                await asyncio.wait_for(program(c), 30 * slow_factor())
                if not c.closed():
                    await c.execute("SELECT 1")
        if not has(name):
            continue
        try:
            asyncio.run(whole())
        except Exception as e:
            raise AssertionError("%s: %s: %s" % (name, type(e).__name__, e)) from e
        ran += 1
        t.sql("DELETE FROM marks")
        nothing_left(d)
    if ran == 0:
        unavailable("no driver of Python")


async def fails(kind, work, sqlstate=None, words=""):
    """The awaitable must raise exactly that; returns the exception."""
    try:
        await work
    except BaseException as e:  # pylint: disable=broad-except
        check(type(e) is kind, "%r, and not %s" % (e, kind.__name__))
        if sqlstate:
            equal(e.sqlstate, sqlstate, "the SQLSTATE of %r" % e)
        check(words in str(e), "%r in %r" % (words, str(e)))
        return e
    check(False, "%s must be raised" % kind.__name__)
    return None


# ---- text ------------------------------------------------------------------------------------------
HOSTILE = ["a", "A", "a b", 'a"b', "a'b", "a\\", "\\'; SELECT 1; --", "a;b", "--", "/*", "$1", "$$", "$q$", "a$q", "$q$$q1$", "%s %",
           "%(a)s", "lock", "LOCK", "all", "rollback", "semaphore", "NULL", "ä", "表\\'", "日本", "\u2028", "a\nb", "a\tb", "🐘", "x" * 63,
           "E'a'", ":a", "?", "{}", "a$", "$", "q$", "\\$q$", "é$q$é"]


@test
def quoting(t):
    """names and texts with whatever characters arrive as they are, with standard_conforming_strings off too"""
    d = scene(t)

    async def program(c):
        for conforming in ("on", "off"):
            await c.execute("SET standard_conforming_strings = " + conforming)
            for text in HOSTILE:
                async with c.within(pgwith.scope(c.raw, text)) as s:
                    equal(s.name, text, "its name")
                    equal([r[1] for r in await c.rows("SHOW SCOPES")], [text], "the open scope")
                    async with c.within(pgwith.lock(c.raw, text, as_="l " + text[:50])), \
                            c.within(pgwith.semaphore(c.raw, text, 2, as_="s " + text[:50])):
                        equal([r[1] for r in await c.rows("SHOW SCOPES")], [text, "l " + text[:50], "s " + text[:50]], "names")
                        if text.isprintable():
                            equal([x["name"] for x in d.show("LOCKS")], [text] * 2, "the lock and the semaphore")
                    await c.finish(s.use())
                    await c.finish(s.defer("INSERT INTO marks VALUES (%s)" % pgwith._text.string(text)))
            equal(marks(t), HOSTILE, "deferred statements")
            for text in HOSTILE:
                async with c.within(pgwith.lock(c.raw, text)):
                    equal([r[1] for r in await c.rows("SHOW SCOPES")], [text], "the open lock")
            t.sql("DELETE FROM marks")
    each_driver(t, d, program)
    for bad in ("", "a\0b", None, 5, b"a"):
        try:
            pgwith._text.name(bad)
            check(False, "the name %r must be refused" % (bad,))
        except (TypeError, ValueError):
            pass


@test
def clauses(t):
    """the text of every clause, and what is refused before anything is sent"""
    seconds = datetime.timedelta
    for item, want in (
            (pgwith.Transaction("a"), '"a"'),
            (pgwith.Transaction("a", "p", True, True, "serializable", 0, seconds(seconds=1.5), True),
             '"a" ON "p" NEW READ ONLY ISOLATION LEVEL SERIALIZABLE WAIT \'0ms\' DEADLINE \'1500ms\' SUPPRESS'),
            (pgwith.Transaction("a", read_only=False, isolation="repeatable_read", wait="2s", suppress=(ValueError, KeyError)),
             '"a" READ WRITE ISOLATION LEVEL REPEATABLE READ WAIT \'2s\' SUPPRESS'),
            (pgwith.Transaction("a", deadline=1e-9), '"a" DEADLINE \'1us\''),
            (pgwith.Transaction("a", wait=0.0001), '"a" WAIT \'100us\''),
            (pgwith.Lock("n", True, "p", "l", 3), "LOCK 'n' ON \"p\" SHARED AS \"l\" WAIT '3000ms'"),
            (pgwith.Semaphore("n", 4, "s"), "SEMAPHORE 'n' LIMIT '4' AS \"s\""),
            (pgwith.Defined("d"), '"d" ()'),
            (pgwith.Defined("d", ("42", 7, -1.5, decimal.Decimal("1.10"), True, False, None, "it's"), "t"),
             '"d" AS "t" (\'42\', \'7\', \'-1.5\', \'1.10\', TRUE, FALSE, NULL, \'it\'\'s\')')):
        equal(item.enter(), want, "the text of %r" % (item,))
    for make in (lambda: pgwith.Transaction("a", isolation="chaos"), lambda: pgwith.Transaction("a", wait=-1),
                 lambda: pgwith.Transaction("a", wait=float("nan")), lambda: pgwith.Transaction("a", deadline=True),
                 lambda: pgwith.Transaction("a", suppress="all"), lambda: pgwith.Defined("d", "text"),
                 lambda: pgwith.Defined("d", (b"x",)), lambda: pgwith.Semaphore("s", "4"), lambda: pgwith.Transaction("")):
        try:
            make().enter()
            check(False, "%r must be refused" % (make(),))
        except (TypeError, ValueError):
            pass
    try:
        pgwith.scope(object(), "a")
        check(False, "an object is no connection")
    except TypeError as e:
        check("psycopg" in str(e), "the error: %s" % e)


# ---- what a scope does -----------------------------------------------------------------------------
@test
def success_and_error(t):
    """commit at the end, rollback by an exception, which goes on as it is; rollback() without one; elapsed, outcome"""
    d = scene(t)

    async def program(c):
        async with c.within(pgwith.scope(c.raw, "a", pool="db")) as s:
            equal((s.outcome, s.elapsed), ("open", None), "outcome")
            await c.execute("INSERT INTO marks VALUES ('1')")
        equal(s.outcome, "success", "outcome")
        check(0 < s.elapsed < 30, "elapsed %r" % s.elapsed)
        for error in (ValueError("mine"), KeyError(1), asyncio.CancelledError(), KeyboardInterrupt(), GeneratorExit()):
            try:
                async with c.within(pgwith.scope(c.raw, "a")) as s:
                    await c.execute("INSERT INTO marks VALUES ('2')")
                    raise error
            except BaseException as e:  # pylint: disable=broad-except
                check(e is error, "the program's own error: %r" % e)
            equal(s.outcome, "rolled back", "outcome")
        async with c.within(pgwith.scope(c.raw, "a")) as s:
            await c.execute("INSERT INTO marks VALUES ('3')")
            s.rollback()
        equal(s.outcome, "rolled back", "outcome")
        try:
            async with c.within(pgwith.scope(c.raw, "a")):
                await c.execute("SELECT 1/0")
        except c.errors as e:
            equal(c.sqlstate(e), "22012", "the driver's own error")
        equal(marks(t), ["1"], "rows")
    each_driver(t, d, program)


@test
def failed_unseen(t):
    """an error that the program has caught inside: the end of the scope is ScopeFailed, with the first error"""
    d = scene(t)

    async def program(c):
        async def inside():
            async with c.within(pgwith.scope(c.raw, "a")):
                await c.execute("INSERT INTO marks VALUES ('1')")
                with contextlib.suppress(c.errors):
                    await c.execute("SELECT 1/0")
        e = await fails(pgwith.ScopeFailed, inside(), "40000", "22012")
        check(isinstance(e.__cause__, c.errors) and e.scope == "a", "cause and scope: %r" % e.__cause__)
        equal(marks(t), [], "rows")
        # in a savepoint, the scope around stays good
        async with c.within(pgwith.scope(c.raw, "out")):
            await c.execute("INSERT INTO marks VALUES ('2')")
            await fails(pgwith.ScopeFailed, inside(), "40000")
        equal(marks(t), ["2"], "rows")
    each_driver(t, d, program)


@test
def commit_refused(t):
    """PostgreSQL refuses the commit: CommitRefused with its SQLSTATE, of a deferred constraint and of a conflict"""
    t.sql("CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (id int REFERENCES parent DEFERRABLE INITIALLY DEFERRED)")
    d = scene(t, size=3)

    async def program(c):
        async def bad():
            async with c.within(pgwith.scope(c.raw, "a")):
                await c.execute("INSERT INTO child VALUES (1)")
        e = await fails(pgwith.CommitRefused, bad(), "23503")
        check(isinstance(e.__cause__, c.errors) and not e.retryable, "cause %r" % e.__cause__)

        async def around():
            async with c.within(pgwith.scope(c.raw, "a")):
                await c.execute("INSERT INTO marks VALUES ('1')")
                async with c.within(pgwith.scope(c.raw, "b", pool="p2")):
                    await c.execute("INSERT INTO child VALUES (1)")
        await fails(pgwith.CommitRefused, around(), "23503")

        async def conflict():
            async with await Conn.open(d, c.driver) as other:
                async with c.within(pgwith.scope(c.raw, "a", isolation="serializable")):
                    await c.execute("SELECT count(*) FROM marks")
                    async with other.within(pgwith.scope(other.raw, "b", isolation="serializable")):
                        await other.execute("SELECT count(*) FROM marks")
                        await other.execute("INSERT INTO marks VALUES ('other')")
                    await c.execute("INSERT INTO marks VALUES ('mine')")
        try:
            await conflict()
            check(False, "a conflict")
        except pgwith.CommitRefused as e:
            equal((e.sqlstate, e.retryable), ("40001", True), "the conflict")
        except c.errors as e:  # PostgreSQL may see it at the INSERT
            equal(c.sqlstate(e), "40001", "the conflict")
        equal(marks(t), ["other"], "rows")
    each_driver(t, d, program)


@test
def waits(t):
    """WaitTimeout: of a pool, a lock, a semaphore; Deadlock; Unreachable"""
    d = scene(t, size=1)
    d.reload(pools={**pools(t, "db", "p2", size=1), "dead": {"conninfo": "host=/nonexistent", "size": 1}})

    async def program(c):
        async with await Conn.open(d, c.driver) as other:
            async with other.within(pgwith.scopes(other.raw, pgwith.Transaction("a"), pgwith.Lock("l"),
                                                  pgwith.Semaphore("s", 1))):
                for cm, state in ((pgwith.scope(c.raw, "a", wait=0), "53300"), (pgwith.scope(c.raw, "a", wait=0.05), "53300"),
                                  (pgwith.lock(c.raw, "l", wait=datetime.timedelta(milliseconds=50)), "55P03"),
                                  (pgwith.semaphore(c.raw, "s", 1, wait="50ms"), "55P03")):
                    e = await fails(pgwith.WaitTimeout, c.enter(cm), state)
                    check(isinstance(e.__cause__, c.errors) and e.detail, "cause and detail: %r" % e)
        for cm, kind, state in ((pgwith.scope(c.raw, "a", pool="dead"), pgwith.Unreachable, "08001"),
                                (pgwith.scope(c.raw, "a", pool="nowhere"), pgwith.UsageError, "3D000"),
                                (pgwith.defined(c.raw, "nothing"), pgwith.UsageError, "42704"),
                                (pgwith.semaphore(c.raw, "s", 0), pgwith.UsageError, "22023"),
                                (pgwith.scope(c.raw, "a", wait="soon"), pgwith.UsageError, "22023")):
            await fails(kind, c.enter(cm), state)
        # a circle
        if c.blocking:
            return
        async with await Conn.open(d, c.driver) as other:
            async def second():
                async with other.within(pgwith.lock(other.raw, "y")):
                    has_y.set()
                    async with other.within(pgwith.lock(other.raw, "x")):
                        pass

            async def first():
                async with c.within(pgwith.lock(c.raw, "x")):
                    await has_y.wait()
                    async with c.within(pgwith.lock(c.raw, "y")):
                        pass
            has_y = asyncio.Event()
            got = await asyncio.gather(first(), second(), return_exceptions=True)
            equal(sorted(type(x).__name__ for x in got), ["Deadlock", "NoneType"], "outcomes")
            equal([x.sqlstate for x in got if x], ["40P01"], "SQLSTATE")
    each_driver(t, d, program)


@test
def deadlines(t):
    """a deadline while a statement runs, between statements, seen only at the end; of the scope around; KILL SCOPE"""
    d = scene(t)

    async def program(c):
        async def running():
            async with c.within(pgwith.scope(c.raw, "a", deadline=0.2)):
                await c.execute("SELECT pg_sleep(20)")
        e = await fails(pgwith.DeadlineExceeded, running(), "57014", "deadline")
        check(isinstance(e.__cause__, c.errors) and e.scope == "a", "cause %r" % e.__cause__)

        def expired():
            return any(x["state"] == "expired" for x in d.show("SCOPES"))

        async def between():
            async with c.within(pgwith.scope(c.raw, "a", deadline=0.05)):
                wait_until(expired, 5, "the scope has expired")
                await c.execute("SELECT 1")
        await fails(pgwith.DeadlineExceeded, between(), "57014")

        async def unseen():
            async with c.within(pgwith.scope(c.raw, "a", deadline=0.05)):
                wait_until(expired, 5, "the scope has expired")
        await fails(pgwith.DeadlineExceeded, unseen(), "57014")

        async def around():
            async with c.within(pgwith.scope(c.raw, "out", deadline=0.2)):
                async with c.within(pgwith.scope(c.raw, "in", suppress=True)):
                    await c.execute("SELECT pg_sleep(20)")
                check(False, "the deadline of the scope around is not suppressed")
        equal((await fails(pgwith.DeadlineExceeded, around(), "57014")).scope, "out", "whose deadline")

        # one that suppresses its own
        async with c.within(pgwith.scope(c.raw, "out")):
            await c.execute("INSERT INTO marks VALUES ('1')")
            async with c.within(pgwith.scope(c.raw, "in", suppress=True, deadline=0.1)) as s:
                await c.execute("SELECT pg_sleep(20)")
            check(isinstance(s.error, pgwith.DeadlineExceeded), "what was suppressed: %r" % s.error)

        async def killed():
            async with c.within(pgwith.scope(c.raw, "a")):
                session = d.show("SCOPES")[0]["session"]
                d.console("KILL SCOPE %s a" % session)
                await c.execute("SELECT 1")
        await fails(pgwith.ScopeKilled, killed(), "57014", "administrator")
    each_driver(t, d, program)


@test
def lost(t):
    """ScopeLost: the server connection or the session is gone, inside and at the end; OutcomeUnknown"""
    d = scene(t)

    async def program(c):
        async def inside():
            async with c.within(pgwith.scope(c.raw, "a")):
                await c.execute("INSERT INTO marks VALUES ('lost')")
                pid = (await c.rows("SELECT pg_backend_pid()"))[0][0]
                t.sql("SELECT pg_terminate_backend(%s)" % pid)
                await c.execute("SELECT 1")
                await c.execute("SELECT 1")
        e = await fails(pgwith.ScopeLost, inside())
        check(e.__cause__ is not None, "its cause")
        check(c.closed(), "the connection is closed")
    each_driver(t, d, program)

    async def at_the_end(c):
        async def end():
            async with c.within(pgwith.scope(c.raw, "a")):
                d.console("KILL SESSION %s" % d.show("SCOPES")[0]["session"])
        await fails(pgwith.OutcomeUnknown, end())
        check(c.closed(), "the connection is closed")
    each_driver(t, d, at_the_end)

    async def closed(c):
        async def end():
            async with c.within(pgwith.scope(c.raw, "a")):
                await c.close()
        await fails(pgwith.ScopeLost, end())
    each_driver(t, d, closed)


@test
def order(t):
    """what was entered, or begun, inside by statements and left open: rolled back with the scope, which says so"""
    d = scene(t)

    async def program(c):
        for sql in ("ENTER inner", "BEGIN", "ENTER LOCK 'l'", "ENTER x; BEGIN; ENTER y"):
            async def left_open():
                async with c.within(pgwith.scope(c.raw, "a")):
                    await c.execute("INSERT INTO marks VALUES ('1')")
                    await c.execute(sql)
            await fails(pgwith.UsageError, left_open())

            async def left_by_error():
                async with c.within(pgwith.scope(c.raw, "a")):
                    await c.execute(sql)
                    raise ValueError
            await fails(ValueError, left_by_error())
            equal(await c.rows("SHOW SCOPES"), [], "open scopes")

        # whether the program's own LEAVE has committed nobody knows here
        async def left_before(error=None):
            async with c.within(pgwith.scope(c.raw, "a")) as s:
                handles.append(s)
                await c.execute("LEAVE a")
                if error:
                    raise error
        handles = []
        await fails(pgwith.UsageError, left_before())
        await fails(ValueError, left_before(ValueError()))
        equal([s.outcome for s in handles], ["unknown"] * 2, "outcomes")

        async def twice():
            async with c.within(pgwith.scope(c.raw, "a")):
                async with c.within(pgwith.scope(c.raw, "a")):
                    pass
        await fails(pgwith.UsageError, twice(), "42710")
        once = pgwith.scope(c.raw, "a")
        async with c.within(once):
            pass
        await fails(pgwith.UsageError, c.enter(once))
        equal(marks(t), [], "rows")
    each_driver(t, d, program)


@test
def several(t):
    """scopes(): in one go, one fails to be entered, each left in reverse with what the inner one has left"""
    d = scene(t)

    async def program(c):
        A, B = pgwith.Transaction("a"), pgwith.Transaction("b", pool="p2")
        async with c.within(pgwith.scopes(c.raw, A, B, pgwith.Lock("l"))) as (a, b, l):
            await c.execute("INSERT INTO marks VALUES ('b')")
            await c.finish(a.use())
            await c.execute("INSERT INTO marks VALUES ('a')")
            await c.finish(c.pgwith_use("b"))
        equal([x.outcome for x in (a, b, l)], ["success"] * 3, "outcomes")
        equal(sorted(marks(t)), ["a", "b"], "rows")
        await fails(pgwith.UsageError, c.enter(pgwith.scopes(c.raw, A, pgwith.Transaction("b", pool="nowhere"))), "3D000")
        equal(await c.rows("SHOW SCOPES"), [], "open scopes")
        t.sql("DELETE FROM marks")
        async with c.within(pgwith.scopes(c.raw, A, pgwith.Transaction("b", pool="p2", suppress=True))) as (a, b):
            await c.finish(a.use())
            await c.execute("INSERT INTO marks VALUES ('a')")
            await c.finish(b.use())
            await c.execute("SELECT 1/0")
        equal((a.outcome, b.outcome), ("success", "rolled back"), "outcomes")
        equal(marks(t), ["a"], "rows")
        try:
            async with c.within(pgwith.scopes(c.raw, A, B)) as (a, b):
                raise ValueError
        except ValueError:
            equal((a.outcome, b.outcome), ("rolled back", "rolled back"), "outcomes")
    each_driver(t, d, program)


@test
def defer_and_suppress(t):
    """defer() for the end, for commit and rollback only; suppress() of any database error, and of some"""
    d = scene(t, scopes={"tagged": {"enter": "INSERT INTO marks VALUES ($1)", "cleanup": "INSERT INTO marks VALUES ('cleanup')"}})

    async def program(c):
        async with c.within(pgwith.scope(c.raw, "a")) as s:
            await c.finish(s.defer("INSERT INTO marks VALUES ('last')"))
            await c.finish(pgwith.defer(c.raw, "INSERT INTO marks VALUES ('commit')", "commit"))
            await c.finish(pgwith.defer(c.raw, "INSERT INTO marks VALUES ('rollback')", "rollback"))
            await c.execute("INSERT INTO marks VALUES ('first')")
        equal(marks(t), ["first", "commit", "last"], "rows")
        t.sql("DELETE FROM marks")
        with contextlib.suppress(ValueError):
            async with c.within(pgwith.scope(c.raw, "a")) as s:
                await c.finish(s.defer("INSERT INTO marks VALUES ('commit')", on="commit"))
                await c.finish(s.defer("INSERT INTO marks VALUES ('rollback')", on="rollback"))
                raise ValueError
        equal(marks(t), ["rollback"], "rows")
        t.sql("DELETE FROM marks")

        async def no_scope():
            await c.finish(pgwith.defer(c.raw, "SELECT 1"))
        await fails(pgwith.UsageError, no_scope(), "55000")
        async with c.within(pgwith.scope(c.raw, "a")):
            await c.execute("INSERT INTO marks VALUES ('1')")
            async with c.within(pgwith.suppress(c.raw, "try")) as s:
                await c.execute("INSERT INTO marks VALUES ('2')")
                await c.execute("SELECT 1/0")
            equal((s.outcome, c.sqlstate(s.error)), ("rolled back", "22012"), "outcome")
            async with c.within(pgwith.suppress(c.raw, "try", ValueError, KeyError)):
                raise KeyError

            async def other():
                async with c.within(pgwith.suppress(c.raw, "try", ValueError)):
                    await c.execute("SELECT 1/0")
            try:
                await other()
                check(False, "another error is not suppressed")
            except c.errors as e:
                equal(c.sqlstate(e), "22012", "it")
        async with c.within(pgwith.defined(c.raw, "tagged", "it's", as_="t")):
            pass
        equal(marks(t), ["1", "it's", "cleanup"], "rows")
    each_driver(t, d, program)


@test
def suppressed(t):
    """suppress=True: errors of inner scopes, entering and leaving, and their deadlines end there; not UsageError, and not the end of a
    scope around"""
    d = scene(t)

    async def program(c):
        async with await Conn.open(d, c.driver) as other, other.within(pgwith.lock(other.raw, "l")):
            async with c.within(pgwith.scope(c.raw, "out", deadline=20)):
                async with c.within(pgwith.suppress(c.raw, "try")) as s:
                    await c.enter(pgwith.lock(c.raw, "l", wait=0))
                equal(type(s.error), pgwith.WaitTimeout, "suppressed")
                async with c.within(pgwith.suppress(c.raw, "try")) as s:
                    async with c.within(pgwith.scope(c.raw, "in")):
                        with contextlib.suppress(c.errors):
                            await c.execute("SELECT 1/0")
                equal(type(s.error), pgwith.ScopeFailed, "suppressed")
                async with c.within(pgwith.suppress(c.raw, "try")) as s:
                    async with c.within(pgwith.scope(c.raw, "in", deadline=0.1)):
                        await c.execute("SELECT pg_sleep(20)")
                equal(type(s.error), pgwith.DeadlineExceeded, "suppressed")

                async def usage():
                    async with c.within(pgwith.suppress(c.raw, "try")):
                        await c.enter(pgwith.scope(c.raw, "out"))
                await fails(pgwith.UsageError, usage())
                await c.execute("INSERT INTO marks VALUES ('1')")
        equal(marks(t), ["1"], "rows")

        async def around():
            async with c.within(pgwith.suppress(c.raw, "all")):
                async with c.within(pgwith.scope(c.raw, "out", deadline=0.1)):
                    async with c.within(pgwith.suppress(c.raw, "try")):
                        await c.execute("SELECT pg_sleep(20)")
                    check(False, "the end of the scope around is not suppressed inside of it")
        await around()
    each_driver(t, d, program)


@test
def no_pgwithd(t):
    """a connection that leads to PostgreSQL itself: UsageError, which says so"""
    d = scene(t)

    class Direct:
        sockets, port = t.cluster.sockets, t.cluster.port

        def dsn(self, pool):
            return t.conninfo()

    async def program(name):
        async with await Conn.open(Direct(), name, pool=t.database) as c:
            e = await fails(pgwith.UsageError, c.enter(pgwith.scope(c.raw, "a")), "42601")
            check("pgwithd" in e.hint, "the hint: %r" % e.hint)
            await c.execute("SELECT 1")
    for name in filter(has, DRIVERS):
        asyncio.run(program(name))
    d.stop()


@test
def interrupted(t):
    """blocking psycopg: a signal's handler raises at random moments, as Ctrl-C does: no scope is left open"""
    d = scene(t)
    try:
        import psycopg
    except ImportError:
        unavailable("no Python module psycopg")

    class Alarm(BaseException):
        pass

    class Ring(Exception):
        pass

    def ring(*_):
        raise (Alarm, Ring)[cut % 2]
    before = signal.signal(signal.SIGALRM, ring)
    c, closed, cut, span = psycopg.connect(d.dsn(), autocommit=True), 0, 0, 0.004
    missed = 0
    try:
        for n in range(200):
            try:
                signal.setitimer(signal.ITIMER_REAL, t.random.random() * span + 1e-6)
                with pgwith.scope(c, "a"), pgwith.lock(c, "l"):
                    c.execute("INSERT INTO marks VALUES ('%d')" % n)
                    with pgwith.suppress(c, "try"):
                        c.execute("SELECT 1/0")
                    c.execute("INSERT INTO marks VALUES ('%d')" % n)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except (Alarm, Ring):
                cut += 1
            except psycopg.OperationalError:
                check(c.closed, "the connection was closed in the middle")
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            try:
                scopes = None if c.closed else c.execute("SHOW SCOPES").fetchall()
            except psycopg.OperationalError:
                c.close()  # psycopg itself was interrupted
                scopes = None
            if scopes is None:
                closed += 1
                c = psycopg.connect(d.dsn(), autocommit=True)
            if scopes:
                # It was raised before the first step of __exit__(), as can happen to any `with` of Python.
                missed += 1
                c.execute("LEAVE ALL ROLLBACK")
    finally:
        signal.signal(signal.SIGALRM, before)
    c.close()
    note("%d cut short, %d connections closed, %d raised ahead of __exit__()" % (cut, closed, missed))
    check(missed <= 3, "scopes are left: %d" % missed)
    check(cut > 20, "enough were cut short: %d" % cut)
    rows = marks(t)
    check(all(rows.count(x) == 2 for x in rows), "both rows or none")
    nothing_left(d)


# ---- the driver's own transactions -----------------------------------------------------------------
@test
def without_autocommit(t):
    """a connection that is not in autocommit mode: refused with a hint; within_transaction: commit() decides; inside of a
    scope, the driver's own blocks work"""
    d = scene(t)

    async def program(c):
        for cm in (pgwith.scope(c.raw, "a"), pgwith.lock(c.raw, "l"), pgwith.semaphore(c.raw, "s", 1)):
            e = await fails(pgwith.UsageError, c.enter(cm), words="autocommit")
            check("within_transaction" in e.hint, "the hint: %r" % e.hint)
        equal(await c.rows("SELECT 1"), [(1,)], "it goes on")
        await fails(pgwith.UsageError, c.enter(pgwith.scope(c.raw, "a")), words="autocommit")
        await c.finish(c.raw.rollback())
        for end, want in (("rollback", []), ("commit", ["1", "2"])):
            async with c.within(pgwith.scope(c.raw, "a", within_transaction=True)):
                await c.execute("INSERT INTO marks VALUES ('1')")
                async with c.within(pgwith.scope(c.raw, "b")):
                    await c.execute("INSERT INTO marks VALUES ('2')")
            await c.finish(getattr(c.raw, end)())
            equal(marks(t), want, "rows after " + end)
        check(not c.raw.autocommit, "the mode is as before")
    each_driver(t, d, program, drivers=("psycopg", "psycopg async", "psycopg2"), autocommit=False)

    async def switched(c):
        """autocommit off, but switched while a scope is open: as Django's atomic() does"""
        async with c.within(pgwith.lock(c.raw, "l")):
            await c.autocommit(False)
            await c.execute("INSERT INTO marks VALUES ('1')")
            await c.finish(c.raw.commit())
            async with c.within(pgwith.scope(c.raw, "a")):
                await c.execute("INSERT INTO marks VALUES ('2')")
                if c.driver == "psycopg2":
                    await c.finish(c.raw.commit())  # its BEGIN in the scope is a savepoint
        equal(marks(t), ["1", "2"], "rows")

        async def open_inside():
            async with c.within(pgwith.lock(c.raw, "l", within_transaction=False)):
                await c.execute("INSERT INTO marks VALUES ('3')")
        await c.autocommit(True)
        async with c.within(pgwith.lock(c.raw, "out")):
            await c.autocommit(False)
            await fails(pgwith.UsageError, open_inside(), "25001")
        equal(marks(t), ["1", "2"], "rows")
    each_driver(t, d, switched, drivers=("psycopg", "psycopg async", "psycopg2"))

    async def blocks(c):
        async with c.within(pgwith.scope(c.raw, "a")):
            async with c.within(c.raw.transaction()):
                await c.execute("INSERT INTO marks VALUES ('1')")
                async with c.within(pgwith.scope(c.raw, "b")):
                    await c.execute("INSERT INTO marks VALUES ('2')")
        async with c.within(c.raw.transaction()):
            async with c.within(pgwith.scope(c.raw, "b")):
                await c.execute("INSERT INTO marks VALUES ('3')")
            with contextlib.suppress(ValueError):
                async with c.within(pgwith.scope(c.raw, "b")):
                    await c.execute("INSERT INTO marks VALUES ('4')")
                    raise ValueError
        equal(marks(t), ["1", "2", "3"], "rows")
    each_driver(t, d, blocks, drivers=("psycopg", "psycopg async"))


@test
def asyncpg_transaction(t):
    """asyncpg: scopes inside of transaction(); a connection of its pool, which gets it back as it was"""
    d = scene(t)
    try:
        import asyncpg
    except ImportError:
        unavailable("no Python module asyncpg")

    async def program():
        async with asyncpg.create_pool(host=d.sockets, port=d.port, user="postgres", database="db", min_size=1, max_size=2) as pool:
            async with pool.acquire() as c:
                async with c.transaction():
                    async with pgwith.scope(c, "a"):
                        await c.execute("INSERT INTO marks VALUES ('1')")
                    async with pgwith.suppress(c, "try"):
                        await c.execute("SELECT 1/0")
                async with pgwith.scopes(c, pgwith.Transaction("a"), pgwith.Lock("l")):
                    await c.execute("INSERT INTO marks VALUES ('2')")
            async with pool.acquire() as c:
                try:
                    async with pgwith.scope(c, "a", patience=1):
                        c.terminate()
                except pgwith.ScopeLost:
                    pass
            async with pool.acquire() as c:
                equal(await c.fetchval("SELECT 1"), 1, "another connection")
    asyncio.run(program())
    equal(marks(t), ["1", "2"], "rows")
    nothing_left(d)


@test
def half_read(t):
    """psycopg 3: a result that is half read when its scope ends, COPY both ways, pipelines: the scope is rolled back or
    works, and the connection goes on or is closed"""
    d = scene(t)
    try:
        import psycopg
    except ImportError:
        unavailable("no Python module psycopg")
    big = "SELECT repeat('x', 1000) FROM generate_series(1, 20000)"

    with psycopg.connect(d.dsn(), autocommit=True) as c:
        with c.pipeline():
            try:
                with pgwith.scope(c, "a"):
                    check(False, "no scope in a pipeline")
            except pgwith.UsageError as e:
                check("pipeline" in str(e), "the error: %s" % e)
        with pgwith.scope(c, "a"), c.pipeline():
            c.execute("INSERT INTO marks VALUES ('1')")
            c.execute("INSERT INTO marks VALUES ('2')")
        for sql, use in (("COPY marks FROM STDIN", lambda copy: copy.write("x\n")),
                         ("COPY (%s) TO STDOUT" % big, lambda copy: copy.read())):
            try:
                with pgwith.scope(c, "a"), c.cursor().copy(sql) as copy:
                    use(copy)
                    raise ValueError
            except (ValueError, psycopg.errors.QueryCanceled):
                pass
        equal(c.execute("SELECT count(*) FROM marks").fetchone(), (2,), "it goes on")
        for error in (None, ValueError()):
            rows = None
            try:
                with pgwith.scope(c, "a", patience=0.2):
                    c.execute("INSERT INTO marks VALUES ('3')")
                    rows = psycopg.Cursor(c).stream(big)
                    next(rows)
                    if error:
                        raise error
            except (ValueError, pgwith.Error) as e:
                check(e is error or isinstance(e, pgwith.Error), "the error: %r" % e)
            del rows
            if c.closed:
                break
    nothing_left(d)
    equal(marks(t), ["1", "2"], "rows")

    async def program():
        async with await psycopg.AsyncConnection.connect(d.dsn(), autocommit=True) as c:
            try:
                async with pgwith.scope(c, "a"):
                    async for _ in psycopg.AsyncCursor(c).stream(big):
                        raise ValueError
            except ValueError:
                pass
            for sql in ("COPY marks FROM STDIN", "COPY (%s) TO STDOUT" % big):
                try:
                    async with pgwith.scope(c, "a"):
                        async with c.cursor().copy(sql):
                            raise ValueError
                except (ValueError, psycopg.errors.QueryCanceled):
                    pass
            equal(await (await c.execute("SELECT count(*) FROM marks")).fetchone(), (2,), "it goes on")
    asyncio.run(program())
    nothing_left(d)


@test
def context_variables(t):
    """context variables of the program are its own: what is set inside of a scope stays, in nobody else's context"""
    import contextvars
    d = scene(t)
    var = contextvars.ContextVar("var", default=0)

    async def program(c):
        var.set(0)

        async def worker(n):
            async with await Conn.open(d, c.driver) as own:
                async with own.within(pgwith.lock(own.raw, "l%d" % n)):
                    var.set(n)
                    await asyncio.sleep(0)
                equal(var.get(), n, "the variable")
        await asyncio.gather(*(worker(n) for n in range(1, 4)))
        equal(var.get(), 0, "the variable outside")
    each_driver(t, d, program)


@test
def threads(t):
    """blocking connections in threads, each with its own scopes, at the same time"""
    d = scene(t, size=4)
    t.sql("CREATE TABLE counter (n int); INSERT INTO counter VALUES (0)")
    errors = []

    def worker(driver):
        async def whole():
            async with await Conn.open(d, driver) as c:
                for _ in range(10):
                    async with c.within(pgwith.scopes(c.raw, pgwith.Lock("counter"), pgwith.Transaction("a"))):
                        n = (await c.rows("SELECT n FROM counter"))[0][0]
                        await c.execute("UPDATE counter SET n = %d" % (n + 1))
        try:
            asyncio.run(whole())
        except BaseException as e:  # pylint: disable=broad-except
            errors.append(e)
    names = [name for name in filter(has, DRIVERS) for _ in (1, 2)]
    workers = [threading.Thread(target=worker, args=(name,)) for name in names]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    equal(errors, [], "errors")
    equal(t.value("SELECT n FROM counter"), str(10 * len(names)), "the counter")
    nothing_left(d)


if __name__ == "__main__":
    main()
