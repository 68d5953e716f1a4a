"""The Python package pgwith, cancelled at random moments: task.cancel(), wait_for(), timeout(), TaskGroup and gather(), once or
twice, while it waits, enters, works or leaves. The connection goes on or is closed, and is never left in a scope; what was
committed is whole; nothing leaks. PGWITH_TEST_CANCELLATIONS: how many for each driver (100)."""

import asyncio
import importlib.util
import os
import time

from pgwtest import brief, check, equal, main, note, slow_factor, test, unavailable, wait_until
from pgwtest.clients import Conn, has, package
from pgwtest.scopelog import all_quiet, pools

pgwith = package()
ROUNDS = int(os.environ.get("PGWITH_TEST_CANCELLATIONS", "100"))
WORKERS = 4


class Program:
    """A random program in scopes: what it does is drawn when it is made, so that a seed repeats it."""

    def __init__(self, rng, number, deadlines=False):
        self.number, self.deadline = number, None
        self.shape = [rng.choice(("scope", "scope", "lock", "semaphore", "savepoint", "two", "new")) for _ in range(rng.randrange(0, 3))]
        self.steps = [rng.choice(("sleep", "value", "values", "error", "defer")) for _ in range(rng.randrange(0, 5))]
        if deadlines:
            self.deadline = rng.random() * 0.02 + 0.001

    async def run(self, c):
        """Two rows or none."""
        async with pgwith.scope(c.raw, "out", deadline=self.deadline, wait=20, patience=5):
            await c.execute("INSERT INTO marks VALUES (%d)" % self.number)
            await self.inside(c, list(self.shape))
            await c.execute("INSERT INTO marks VALUES (%d)" % self.number)

    async def inside(self, c, shape):
        if not shape:
            for step in self.steps:
                await self.step(c, step)
            return
        kind = shape.pop()
        name = "%s %d" % (kind, len(shape))
        if kind == "lock":
            manager = pgwith.lock(c.raw, "l", as_=name)
        elif kind == "semaphore":
            manager = pgwith.semaphore(c.raw, "s", 2, as_=name)
        elif kind == "two":
            manager = pgwith.scopes(c.raw, pgwith.Lock("l", as_=name), pgwith.Transaction(name + " tx", pool="p2"),
                                    pgwith.Transaction(name + " sp", pool="p2"))
        elif kind == "new":
            manager = pgwith.scope(c.raw, name, pool="p2", new=True)
        else:
            manager = pgwith.scope(c.raw, name)
        try:
            async with manager:
                await self.inside(c, shape)
                if kind in ("two", "new"):
                    await pgwith.use(c.raw, "out")
        except pgwith.Deadlock:
            pass

    async def step(self, c, step):
        if step == "sleep":
            await c.execute("SELECT pg_sleep(0.004)")
        elif step == "value":
            equal(await c.rows("SELECT %d" % self.number), [(self.number,)], "a value")
        elif step == "values":
            equal(len(await c.rows("SELECT generate_series(1, 300)")), 300, "values")
        elif step == "defer":
            await pgwith.defer(c.raw, "SELECT pg_sleep(0.001)")
        else:
            async with pgwith.suppress(c.raw, "try"):
                await c.execute("SELECT 1/0")


# ---- ways to cancel ------------------------------------------------------------------------------------
async def by_task(work, after, again):
    task = asyncio.ensure_future(work)
    await asyncio.sleep(after)
    task.cancel()
    if again is not None:
        await asyncio.sleep(again)
        task.cancel()
    return await task


async def by_wait_for(work, after, again):
    return await asyncio.wait_for(work, after)


async def by_timeout(work, after, again):
    async with asyncio.timeout(after):
        return await work


async def by_group(work, after, again):
    async def fail():
        await asyncio.sleep(after)
        raise RuntimeError("the other task")
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(work)
            group.create_task(fail())
    except BaseExceptionGroup as e:
        rest = e.split(RuntimeError)[1]
        if rest is not None:
            raise rest.exceptions[0] from None
        raise asyncio.CancelledError from None


async def by_gather(work, after, again):
    task = asyncio.ensure_future(work)
    both = asyncio.gather(task, asyncio.sleep(60))
    await asyncio.sleep(after)
    both.cancel()
    try:
        return await both
    finally:
        await asyncio.wait({task})  # gather() ends with the first of its tasks that does, and the scope may still be left


WAYS = [by_task, by_task, by_wait_for, by_timeout, by_group, by_gather]
if not hasattr(asyncio, "TaskGroup"):
    WAYS = [by_task, by_wait_for, by_gather]  # before Python 3.11


class Run:
    """Workers with a connection each, which run programs that are cancelled."""

    def __init__(self, t, d, driver, rounds, deadlines=False):
        self.t, self.d, self.driver, self.deadlines = t, d, driver, deadlines
        self.left, self.span = rounds, 0.01
        self.number = self.done = self.closed = self.late = 0
        self.finished, self.cut = set(), set()

    def draw(self):
        self.number += 1
        rng = self.t.random
        return (Program(rng, self.number, self.deadlines), rng.choice(WAYS), rng.random() * self.span * 1.1,
                rng.choice((None, None, 0, rng.random() * 0.005)))

    async def worker(self):
        c = await Conn.open(self.d, self.driver)
        while self.left > 0:
            self.left -= 1
            program, way, after, again = self.draw()
            if self.deadlines:
                after = 30
            try:
                await (program.run(c) if self.deadlines else way(program.run(c), after, again))
                self.finished.add(program.number)
            except (asyncio.CancelledError, asyncio.TimeoutError):
                self.cut.add(program.number)
            except pgwith.ScopeEnded:
                check(self.deadlines, "a deadline without one")
                self.cut.add(program.number)
            except pgwith.ScopeLost as e:
                # asyncpg 0.27 and an error that it does not expect: see pgwith-python(3)
                check(self.deadlines and self.driver == "asyncpg" and c.closed(), "lost: %r" % e)
                self.cut.add(program.number)
            try:
                c = await self.goes_on(c, program)
            except Exception:
                note("behind %r, cancelled by %s after %.4f s and %r" % (vars(program), way.__name__, after, again))
                raise
        await c.close()

    async def goes_on(self, c, program):
        """The connection is as new, or closed; what to go on with."""
        if not c.closed():
            equal(await asyncio.wait_for(c.rows("SHOW SCOPES"), 20 * slow_factor()), [], "open scopes behind %r" % vars(program))
            check(not c.in_transaction(), "a transaction is open behind %r" % vars(program))
            equal(await c.rows("SELECT %d, pg_current_xact_id_if_assigned() IS NULL" % program.number), [(program.number, True)],
                  "its own answer, outside of any transaction")
            self.done += 1
            return c
        self.closed += 1
        return await Conn.open(self.d, self.driver)

    async def whole(self):
        async with await Conn.open(self.d, self.driver) as c:
            took = []
            for _ in range(10):
                program = Program(self.t.random, 0)
                started = time.monotonic()
                await program.run(c)
                took.append(time.monotonic() - started)
            self.span = max(took)
            await c.execute("DELETE FROM marks")
        limit = (30 + self.left * 0.3) * slow_factor()
        await asyncio.wait_for(asyncio.gather(*(self.worker() for _ in range(WORKERS))), limit)


def cancelled(t, driver, rounds=ROUNDS, deadlines=False):
    try:
        __import__(Conn.module(driver))
    except ImportError:
        unavailable("no Python module " + driver)
    t.sql("CREATE TABLE marks (a int)")
    d = t.daemon(pools=pools(t, "db", "p2", size=2), options={"log_level": "info"})
    fds = len(os.listdir("/proc/self/fd"))
    run = Run(t, d, driver, rounds, deadlines)
    asyncio.run(run.whole())
    note("%s: %d cancelled, %d finished; %d connections went on, %d were closed" %
         (driver, len(run.cut), len(run.finished), run.done, run.closed))
    all_quiet(d, "db", "p2")
    wait_until(lambda: not d.show("SCOPES") and not d.show("LOCKS"), 5, "no scope and no lock is open")
    wait_until(lambda: [x["database"] for x in d.show("CLIENTS")] == ["pgwith"], 5, "no client but the console")
    check(all(len(d.server_pids(name)) <= 2 for name in ("db", "p2")), "servers")
    equal(len(os.listdir("/proc/self/fd")), fds, "descriptors of this process")
    rows = {}
    for (n,) in t.sql("SELECT a FROM marks"):
        rows[int(n)] = rows.get(int(n), 0) + 1
    check(all(n == 2 for n in rows.values()), "both rows or none: %r" % [n for n in rows if rows[n] != 2])
    check(run.finished <= set(rows), "what was finished is there: %r" % sorted(run.finished - set(rows)))
    check(set(rows) <= run.finished | run.cut, "nothing else is there")
    return run


def both(t, driver):
    run = cancelled(t, driver)
    check(len(run.cut) >= ROUNDS // 4, "enough were cut short: %d" % len(run.cut))
    check(run.closed <= ROUNDS // 20, "most connections go on: %d were closed" % run.closed)


@test(timeout=60 + ROUNDS)
def psycopg(t):
    """psycopg 3 AsyncConnection, cancelled at random moments"""
    both(t, "psycopg async")


@test(timeout=60 + ROUNDS)
def asyncpg(t):
    """asyncpg, cancelled at random moments"""
    both(t, "asyncpg")


@test(timeout=60 + ROUNDS)
def deadlines(t):
    """deadlines at random moments: psycopg, and asyncpg, whose connection may have to be closed"""
    run = cancelled(t, "psycopg async", ROUNDS // 2, deadlines=True)
    check(run.cut and run.closed == 0, "deadlines came, and no connection was closed: %d, %d" % (len(run.cut), run.closed))
    t.new_database()
    run = cancelled(t, "asyncpg", ROUNDS // 2, deadlines=True)
    check(run.cut, "deadlines came")


@test
def deadline_in_exchange(t):
    """deadlines between Parse with Flush and Bind of asyncpg: DeadlineExceeded each time; the connection goes on, or is closed
    by the package if asyncpg cannot go on with it"""
    d = t.daemon(pools=pools(t, "db", "p2", size=2), options={"log_level": "info"})
    if not importlib.util.find_spec("asyncpg"):
        unavailable("no Python module asyncpg")

    async def program():
        c, closed, n = await Conn.open(d, "asyncpg"), 0, 0
        for _ in range(ROUNDS // 2):
            for around in (False, True):
                try:
                    async with pgwith.scope(c.raw, "a", deadline=0.002 + t.random.random() * 0.004):
                        while True:
                            n += 1
                            if around:
                                async with pgwith.scope(c.raw, "b"):
                                    equal(await c.raw.fetchval("SELECT %d + $1::int" % n, 1), n + 1, "a value")
                            else:
                                equal(await c.raw.fetchval("SELECT %d + $1::int" % n, 1), n + 1, "a value")
                except pgwith.DeadlineExceeded as e:
                    equal((e.scope, e.sqlstate), ("a", "57014"), "whose deadline: %r" % e)
                if c.closed():
                    closed += 1
                    c = await Conn.open(d, "asyncpg")
                equal(await c.rows("SHOW SCOPES"), [], "open scopes")
        await c.close()
        note("%d statements, %d connections closed" % (n, closed))
    asyncio.run(program())
    all_quiet(d, "db")
    wait_until(lambda: not d.show("SCOPES"), 5, "no scope is open")


@test
def program_ends(t):
    """asyncio.run() that is left with tasks inside of scopes cancels them all: nothing stays open"""
    t.sql("CREATE TABLE marks (a int)")
    d = t.daemon(pools=pools(t, "db", "p2", size=3), options={"log_level": "info"})
    for driver in ("psycopg async", "asyncpg"):
        if not has(driver):
            continue

        async def program():
            inside = asyncio.Event()

            async def worker():
                c = await Conn.open(d, driver)
                async with pgwith.scopes(c.raw, pgwith.Transaction("a"), pgwith.Lock("l", shared=True)):
                    await c.execute("INSERT INTO marks VALUES (1)")
                    inside.set()
                    await c.execute("SELECT pg_sleep(60)")
            tasks = [asyncio.ensure_future(worker()) for _ in range(2)]
            await inside.wait()
            return tasks
        asyncio.run(program())
        wait_until(lambda: not d.show("SCOPES") and not d.show("LOCKS"), 5, "no scope and no lock is open")
        all_quiet(d, "db")
    equal(t.sql("SELECT * FROM marks"), [], "rows")


@test
def closed_while_running(t):
    """a connection that the package closes while a statement runs in its scope: the statement is stopped and the scope ended at
    once, not when the statement ends"""
    d = t.daemon(pools=pools(t, "db", "p2", size=3), options={"log_level": "info"})
    for driver in ("psycopg async", "asyncpg"):
        if not has(driver):
            continue

        async def program():
            c = await Conn.open(d, driver)
            manager = pgwith.scope(c.raw, "a")
            await manager.__aenter__()
            running = asyncio.ensure_future(c.execute("SELECT pg_sleep(60)"))
            while not any(r["state"] == "active" and "pg_sleep(60)" in r["query"] for r in t.activity()):
                await asyncio.sleep(0.01)
            pgwith._drivers.adapter(c.raw).close()
            check(c.closed(), "it is closed")
            running.cancel()
            await asyncio.wait({running})
            try:
                await manager.__aexit__(None, None, None)
                check(False, "the scope is lost")
            except pgwith.ScopeLost:
                pass
        asyncio.run(program())
        wait_until(lambda: not d.show("SCOPES"), 5, "no scope is open")
        all_quiet(d, "db")


@test
def stuck(t):
    """a daemon that does not answer (stopped) while a scope is left: after `patience` the connection is closed"""
    import signal
    d = t.daemon(pools=pools(t, "db", "p2", size=3), options={"log_level": "info"})
    for driver in ("psycopg async", "asyncpg"):
        if not has(driver):
            continue

        async def program():
            c = await Conn.open(d, driver)
            started = None
            try:
                async with pgwith.scope(c.raw, "a", patience=0.2):
                    d.signal(signal.SIGSTOP)
                    started = time.monotonic()
                    raise ValueError
            except ValueError:
                took = time.monotonic() - started
            finally:
                d.signal(signal.SIGCONT)
            check(c.closed(), "the connection is closed")
            check(0.15 < took < 5 * slow_factor(), "it took %.2f s" % took)
            c = await Conn.open(d, driver)
            for way in ("enter", "leave"):
                d.signal(signal.SIGSTOP)
                try:
                    if way == "enter":
                        async with asyncio.timeout(0.1):
                            async with pgwith.scope(c.raw, "a", patience=0.2):
                                pass
                    else:
                        d.signal(signal.SIGCONT)
                        async with asyncio.timeout(brief(0.3)):
                            async with pgwith.scope(c.raw, "a", patience=0.2):
                                d.signal(signal.SIGSTOP)
                    check(False, "it must be cut short")
                except TimeoutError:
                    pass
                finally:
                    d.signal(signal.SIGCONT)
                check(c.closed(), "the connection is closed")
                c = await Conn.open(d, driver)
            await c.close()
        if hasattr(asyncio, "timeout"):
            asyncio.run(program())
    wait_until(lambda: not d.show("SCOPES"), 5, "no scope is open")
    all_quiet(d, "db")


if __name__ == "__main__":
    main()
