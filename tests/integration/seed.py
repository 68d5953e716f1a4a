"""The twelve programs that pgwith was conceived from, word for word: each is something that a Python program does with
`async with`. Every program is written once, and runs four times: in plain Python, with resources in memory (contextlib,
asyncio.Lock, asyncio.Semaphore); and with the package pgwith on PostgreSQL, with psycopg 3 blocking, each client in a
thread, and with psycopg 3 and asyncpg as tasks. What is printed, and the order in which scopes are entered, granted and
released, are the same; both stand side by side in the output."""

import asyncio
import contextlib
import contextvars
import socket
import threading
import time

from pgwtest import check, equal, main, note, slow_factor, test, wait_until
from pgwtest.clients import Conn, has, package
from pgwtest.scopelog import all_quiet, events, pools

pgwith = package()
STYLES = ("psycopg", "psycopg async", "asyncpg")
SIZES = {"db": 2, "p1": 1, "p2": 1, "p3": 1}
ONE_AT_A_TIME = threading.Lock()  # the harness has one connection for t.sql()
REQUEST = contextvars.ContextVar("request", default="")


class Problem(Exception):
    """A statement that fails."""


class Worker:
    """A client that runs a program of its own."""

    def __init__(self, world, name):
        self.world, self.name, self.client = world, name, None
        self.error, self.over, self.killed = None, False, False

    async def whole(self, program):
        try:
            async with self.world.client(self.name) as self.client:
                await program(self.client)
        except BaseException as e:  # pylint: disable=broad-except
            self.error = e
        finally:
            self.over = True


class World:
    """Where programs run. `lines`: what they have printed."""

    def __init__(self):
        self.lines, self.workers = [], []

    def out(self, *words):
        self.lines.append(" ".join(str(w) for w in words))

    async def until(self, predicate):
        end = time.monotonic() + 20 * slow_factor()
        while not predicate():
            check(time.monotonic() < end, "a condition of the program")
            await asyncio.sleep(0.002)

    async def join(self, *workers):
        """Waits for their ends. An error that is not that of a client that was killed is the test's."""
        await self.until(lambda: all(w.over for w in workers))
        for w in workers:
            if w.error is not None and not w.killed:
                raise w.error


# ---- plain Python --------------------------------------------------------------------------------------
class PlainScope:
    """A transaction in memory, or, with a lock or a semaphore, that."""

    def __init__(self, client, name, pool, gate=None, suppress=False, setup=None, cleanup=None, limit=None):
        self.client, self.name, self.pool, self.gate, self.suppress = client, name, pool, gate, suppress
        self.setup, self.cleanup, self.limit = setup, cleanup, limit
        self.rows, self.deferred, self.elapsed, self.state = [], [], None, "new"

    async def __aenter__(self):
        world = self.client.world
        world.event(self.name, "enter")
        self.started = time.monotonic()
        self.outer = next((f for f in reversed(self.client.frames) if f.pool == self.pool and f.pool), None)
        if self.gate is not None or self.outer is None:
            gate = self.gate or world.pool(self.pool)
            if self.limit == 0 and gate.locked():
                world.event(self.name, "released rolled back")
                raise Problem("no server became free")
            try:
                await gate.acquire()
            except BaseException:
                world.event(self.name, "released rolled back")
                raise
            self.gate = gate
        world.event(self.name, "granted")
        self.client.frames.append(self)
        self.client.current, self.before = (self if self.pool else self.client.current), self.client.current
        self.state = "open"
        if self.setup:
            self.rows.append(self.setup)
        return self

    async def __aexit__(self, kind, error, trace):
        if self.state != "open":
            raise Problem("it is not open")
        self.state, client = "left", self.client
        client.frames.remove(self)
        client.current = self.before
        for what in reversed(self.deferred):
            if what is not None:
                self.rows.append(what) if kind is None else client.world.rows.append(what)
        if kind is None:
            (self.outer.rows if self.outer else client.world.rows).extend(self.rows)
        if self.cleanup:
            client.world.rows.append(self.cleanup)
        self.elapsed = time.monotonic() - self.started
        if self.gate is not None:
            self.gate.release()
        client.world.event(self.name, "released " + ("success" if kind is None else "rolled back"))
        return bool(self.suppress and kind is not None and issubclass(kind, Problem))

    async def use(self):
        if self.state != "open":
            raise Problem("it is not open")
        self.client.current = self


class PlainClient:
    def __init__(self, world, name):
        self.world, self.name, self.frames, self.current = world, name, [], None

    def scope(self, name, pool="db", suppress=False, wait=None):
        return PlainScope(self, name, pool, suppress=suppress, limit=wait)

    def timed(self, name, text):
        return PlainScope(self, name, "db", setup="begin " + text, cleanup="end " + text)

    def lock(self, name):
        return PlainScope(self, name, None, self.world.gates.setdefault(name, asyncio.Lock()))

    def semaphore(self, name, limit):
        return PlainScope(self, name, None, self.world.gates.setdefault(name, asyncio.Semaphore(limit)))

    @contextlib.asynccontextmanager
    async def several(self, *items):
        async with contextlib.AsyncExitStack() as stack:
            yield [await stack.enter_async_context(self.scope(name, pool, wait=wait)) for name, pool, wait in items]

    async def insert(self, what):
        (self.current.rows if self.current else self.world.rows).append(what)

    async def fail(self):
        raise Problem("division by zero")

    async def sleep(self, seconds):
        await asyncio.sleep(seconds)

    async def defer(self, what):
        """None: a statement that fails."""
        self.current.deferred.append(what)

    async def seen(self):
        own = [row for f in self.frames for row in f.rows]
        return self.world.rows + own

    async def set_request(self, value):
        REQUEST.set(value)

    async def request(self):
        return REQUEST.get()


class Plain(World):
    style = "plain Python"

    def __init__(self):
        super().__init__()
        self.rows, self.gates, self.pools, self.log = [], {}, {}, []

    def pool(self, name):
        return self.pools.setdefault(name, asyncio.Semaphore(SIZES[name]))

    def event(self, name, what):
        self.log.append("%s %s" % (name, what))

    @contextlib.asynccontextmanager
    async def client(self, name):
        yield PlainClient(self, name)

    def start(self, name, program):
        w = Worker(self, name)
        w.task = asyncio.ensure_future(w.whole(program))
        return w

    def kill(self, w):
        w.killed = True
        w.task.cancel()

    def story(self):
        return list(self.log)

    def waits(self, name):
        return self.log.count(name + " enter") > self.log.count(name + " granted")


# ---- pgwith ----------------------------------------------------------------------------------------------
class PgwithClient:
    def __init__(self, world, name, c):
        self.world, self.name, self.c = world, name, c

    @contextlib.asynccontextmanager
    async def _within(self, manager):
        """The driver's errors are a Problem, as in plain Python."""
        try:
            async with self.c.within(manager) as value:
                yield value
        except (self.c.errors, pgwith.UsageError, pgwith.WaitTimeout) as e:
            if self.c.closed():
                raise
            raise Problem(str(e)) from e

    def scope(self, name, pool="db", suppress=False, wait=None):
        # the program's own error, too: in plain Python they are one
        return self._within(pgwith.scope(self.c.raw, name, pool=pool, suppress=(self.c.errors, Problem) if suppress else False, wait=wait))

    def timed(self, name, text):
        return self._within(pgwith.defined(self.c.raw, "timed", text, as_=name))

    def lock(self, name):
        return self._within(pgwith.lock(self.c.raw, name))

    def semaphore(self, name, limit):
        return self._within(pgwith.semaphore(self.c.raw, name, limit))

    def several(self, *items):
        return self._within(pgwith.scopes(self.c.raw, *(pgwith.Transaction(name, pool, wait=wait) for name, pool, wait in items)))

    async def _statement(self, sql):
        try:
            await self.c.execute(sql)
        except self.c.errors as e:
            if self.c.closed():
                raise
            raise Problem(str(e)) from e

    async def insert(self, what):
        await self._statement("INSERT INTO journal VALUES ('%s')" % what)

    async def fail(self):
        await self._statement("SELECT 1/0")

    async def sleep(self, seconds):
        await self._statement("SELECT pg_sleep(%f)" % seconds)

    async def defer(self, what):
        await self.c.finish(pgwith.defer(self.c.raw, "SELECT 1/0" if what is None else "INSERT INTO journal VALUES ('%s')" % what))

    async def seen(self):
        return [r[0] for r in await self.c.rows("SELECT line FROM journal ORDER BY n")]

    async def set_request(self, value):
        await self._statement("SET app.request_id = '%s'" % value)

    async def request(self):
        return (await self.c.rows("SELECT coalesce(current_setting('app.request_id', true), '')"))[0][0]


class Pgwith(World):
    def __init__(self, t, d, style):
        super().__init__()
        self.t, self.d, self.style = t, d, style
        self.begun = len(events(d))

    @contextlib.asynccontextmanager
    async def client(self, name):
        async with await Conn.open(self.d, self.style) as c:
            yield PgwithClient(self, name, c)

    def start(self, name, program):
        w = Worker(self, name)
        if self.style in ("psycopg", "psycopg2"):
            w.thread = threading.Thread(target=lambda: asyncio.run(w.whole(program)), daemon=True)
            w.thread.start()
        else:
            w.task = asyncio.ensure_future(w.whole(program))
        return w

    def kill(self, w):
        """A task is cancelled. A thread cannot be: its connection is cut, as when its process is killed."""
        w.killed = True
        if hasattr(w, "task"):
            w.task.cancel()
        else:
            s = socket.socket(fileno=socket.dup(w.client.c.raw.fileno()))
            s.shutdown(socket.SHUT_RDWR)
            s.close()

    @property
    def rows(self):
        with ONE_AT_A_TIME:
            return [r[0] for r in self.t.sql("SELECT line FROM journal ORDER BY n")]

    def story(self):
        return ["%s %s" % (e.name, e.what if e.what != "released" else
                           "released " + ("success" if e.fields["outcome"] == "success" else "rolled back"))
                for e in events(self.d, since=self.begun) if e.what in ("enter", "granted", "released")]

    def waits(self, name):
        log = self.story()
        return log.count(name + " enter") > log.count(name + " granted")


# ---- the twelve ------------------------------------------------------------------------------------------
async def outcome(w, name, work):
    """Runs the work, and prints how it ended."""
    try:
        await work
        w.out(name, "good")
    except Problem as e:
        w.out(name, "failed:", "division by zero" if "division by zero" in str(e) else "not possible")


async def enter_use_exit(w):
    """1. enter, use, exit; a second exit is an error"""
    async with w.client("c") as c:
        manager = c.scope("a")
        async with manager:
            await c.insert("1")
            w.out("inside", await c.seen())
        w.out("outside", await c.seen())

        async def again():
            async with manager:
                pass
        if isinstance(w, Pgwith):
            again = lambda: c._statement("LEAVE a")  # noqa: E731
        else:
            again = lambda: manager.__aexit__(None, None, None)  # noqa: E731
        await outcome(w, "second exit", again())


async def commit_or_roll_back(w):
    """2. commit on success, roll back on error; the scope is not open afterwards"""
    async def program(c, last):
        async with c.scope("a") as s:
            await c.insert(c.name + " 1")
            await c.insert(c.name + " 2")
            await last(c)
        return s
    for name, last in (("good", lambda c: c.insert("good 3")), ("bad", lambda c: c.fail())):
        async with w.client(name) as c:
            await outcome(w, name, program(c, last))
    async with w.client("c") as c:
        async with c.scope("a") as s:
            pass

        async def late():
            try:
                await c.c.finish(s.use()) if isinstance(w, Pgwith) else await s.use()
            except pgwith.UsageError as e:
                raise Problem(str(e)) from e
        await outcome(w, "use afterwards", late())


async def a_lock(w):
    """3. a lock: two workers, three rounds each, read, wait and write; they alternate and lose nothing"""
    shared = {"n": 0, "inside": 0, "order": []}

    async def program(c):
        for _ in range(3):
            async with c.lock("counter"):
                shared["inside"] += 1
                check(shared["inside"] == 1, "one inside")
                shared["order"].append(c.name)
                n = shared["n"]
                await c.sleep(0.03)
                # they alternate if the next one has asked before it is free
                if len(shared["order"]) < 2 * 3:
                    await w.until(lambda: w.waits("counter"))
                shared["n"] = n + 1
                shared["inside"] -= 1
    first = w.start("A", program)
    await w.until(lambda: shared["order"])
    second = w.start("B", program)
    await w.join(first, second)
    w.out("counter", shared["n"], "order", "".join(shared["order"]))


async def a_semaphore(w):
    """4. a semaphore of 2 and five workers: never more than two, in the order of asking; one is killed inside"""
    order, inside, most, leave = [], set(), [0], set()

    async def program(c):
        async with c.semaphore("export", 2):
            order.append(c.name)
            inside.add(c.name)
            most[0] = max(most[0], len(inside))
            try:
                if c.name == "w1":
                    await c.sleep(10)
                await w.until(lambda: c.name in leave)
            finally:
                inside.discard(c.name)
    workers = []
    for n in range(1, 6):
        before = w.story().count("export enter")
        workers.append(w.start("w%d" % n, program))
        await w.until(lambda: w.story().count("export enter") > before)
    await w.until(lambda: len(order) == 2)
    w.kill(workers[0])
    for n in range(2, 6):
        await w.until(lambda: len(order) == min(n + 1, 5))
        leave.add("w%d" % n)
        await w.join(workers[n - 1])
    await w.join(workers[0])
    w.out("order", order, "most", most[0])


async def setup_and_cleanup(w):
    """5. a scope made of set-up and clean-up: on success, on error and when killed; the time that it took"""
    async with w.client("c") as c:
        async with c.timed("t", "good") as s:
            await c.sleep(0.2)
        check(0.2 <= s.elapsed < 0.2 + 5 * slow_factor(), "elapsed %r" % s.elapsed)

        async def bad():
            async with c.timed("t", "bad"):
                await c.fail()
        await outcome(w, "bad", bad())
    begun = []

    async def killed(c):
        async with c.timed("t", "killed"):
            begun.append(1)
            await c.sleep(10)
    worker = w.start("k", killed)
    await w.until(lambda: begun)
    w.kill(worker)
    await w.join(worker)
    await w.until(lambda: "end killed" in w.rows and w.story()[-1] == "t released rolled back")


async def nesting(w):
    """6. nesting, left to right in, right to left out: on success, by an error, when killed; if the last cannot be entered"""
    items = [(n, p, None) for n, p in (("a", "p1"), ("b", "p2"), ("c", "p3"))]
    async with w.client("x") as c:
        async with c.several(*items):
            w.out("inside")

        async def bad():
            async with c.several(*items):
                await c.fail()
        await outcome(w, "bad", bad())
    begun = []

    async def killed(c):
        async with c.several(*items):
            begun.append(1)
            await c.sleep(10)
    worker = w.start("k", killed)
    await w.until(lambda: begun)
    w.kill(worker)
    await w.join(worker)
    await w.until(lambda: w.story()[-1:] == ["a released rolled back"])
    async with w.client("x") as c, w.client("y") as other:
        async with other.scope("other", "p3"):
            async def no_place():
                async with c.several(items[0], items[1], ("c", "p3", 0)):
                    w.out("never")
            await outcome(w, "no place", no_place())


async def passed_on(w):
    """7. an error seen and passed on: the inner scope rolls back, the outer one commits; with suppress it ends there"""
    async with w.client("c") as c:
        async with c.scope("outer"):
            await c.insert("outer 1")

            async def inner():
                async with c.scope("inner"):
                    await c.insert("inner")
                    await c.fail()
            await outcome(w, "inner", inner())
            async with c.scope("quiet", suppress=True):
                await c.insert("quiet")
                await c.fail()
            await c.insert("outer 2")


async def cancelled_inside(w):
    """8. cancelled in the middle: the statement stops, all is rolled back, the clean-up runs to its end, the next is served"""
    begun = []

    async def program(c):
        async with c.timed("a", "job"):
            await c.insert("lost")
            begun.append(1)
            await c.sleep(10)
    worker = w.start("k", program)
    await w.until(lambda: begun)
    await asyncio.sleep(0.2)
    started = time.monotonic()
    w.kill(worker)
    await w.join(worker)
    await w.until(lambda: "a released rolled back" in w.story())
    async with w.client("next") as c:
        async with c.scope("next"):
            await c.insert("next")
    check(time.monotonic() - started < 1 * slow_factor(), "within a second")


async def many_cleanups(w):
    """9. many clean-up steps, one of which fails: last added first, the others run, the commit stands"""
    async with w.client("c") as c:
        async with c.scope("a"):
            await c.defer("first")
            await c.defer(None)
            await c.defer("third")
            await c.insert("work")

        async def bad():
            async with c.scope("b"):
                await c.defer("after 1")
                await c.defer(None)
                await c.defer("after 2")
                await c.insert("lost")
                await c.fail()
        await outcome(w, "bad", bad())


async def cancelled_entering(w):
    """10. cancelled while entering: a full pool, the second of two items, a lock; the next waiter is not delayed"""
    async with w.client("holder") as holder:
        async def waits(enter, what):
            async def program(c):
                async with enter(c):
                    w.out("never")
            worker = w.start("k", program)
            await w.until(lambda: w.waits(what))

            async def after(c):
                async with enter(c):
                    w.out(what, "got it")
            following = w.start("n", after)
            await w.until(lambda: (w.story().count("a2 granted") == 2) if what == "b" else
                          w.story().count(what + " enter") == w.story().count(what + " granted") + 2)
            w.kill(worker)
            await w.join(worker)
            return following
        async with holder.scope("held", "p1"):
            following = await waits(lambda c: c.scope("a", "p1"), "a")
            await w.until(lambda: "a released rolled back" in w.story())
        await w.join(following)
        async with holder.scope("held", "p3"):
            following = await waits(lambda c: c.several(("a2", "db", None), ("b", "p3", None)), "b")
            await w.until(lambda: "a2 released rolled back" in w.story())
        await w.join(following)
        async with holder.lock("l"):
            following = await waits(lambda c: c.lock("l"), "l")
            await w.until(lambda: "l released rolled back" in w.story())
        await w.join(following)


async def together(w):
    """11. several clients with several scopes each over one pool, at the same time: neither notices the other"""
    async def program(c):
        for n in range(3):
            async with c.scope("a"):
                await c.insert("%s %d" % (c.name, n))
                async with c.scope("b"):
                    await c.sleep(0.01)
                    await c.insert("%s %d inside" % (c.name, n))
    await w.join(*(w.start("w%d" % n, program) for n in range(4)))
    w.out(sorted(w.rows))


async def shared_state(w):
    """12. state shared by the scopes of a session: in each of them, on every pool, and for nobody else"""
    async def mine(c):
        await c.set_request("42")
        for pool in ("db", "p1", "p2"):
            async with c.scope("a", pool):
                w.out(c.name, pool, repr(await c.request()))

    async def other(c):
        async with c.scope("b", "p1"):
            w.out(c.name, repr(await c.request()))
    await w.join(w.start("mine", mine))
    await w.join(w.start("other", other))


TWELVE = (enter_use_exit, commit_or_roll_back, a_lock, a_semaphore, setup_and_cleanup, nesting, passed_on, cancelled_inside,
          many_cleanups, cancelled_entering, together, shared_state)


def run(w, program):
    """What the program prints, the rows that are left, and the story of the scopes."""
    async def whole():
        await asyncio.wait_for(program(w), 40 * slow_factor())
    asyncio.run(whole())
    story = w.story()
    if program in (a_lock, a_semaphore, cancelled_entering):
        # Whether the one that has left asks again before the next one is granted it is a matter of the event loop.
        story = [line for line in story if not line.endswith(" enter")]
    if program is together:  # who comes first is a matter of luck
        story = sorted(story)
        rows = sorted(w.rows)
    else:
        rows = list(w.rows)
    return ["> " + line for line in w.lines] + ["rows " + ", ".join(rows)] + story


def beside(left, right):
    width = min(max(len(line) for line in left), 60)
    for n in range(max(len(left), len(right))):
        a, b = (x[n] if n < len(x) else "" for x in (left, right))
        yield "%s %-*s | %s" % (" " if a == b else "!", width, a, b)


def programs_of(program):
    def run_all(t):
        plain = run(Plain(), program)
        for style in STYLES:
            if not has(style):
                continue
            t.new_database()
            t.sql("CREATE TABLE journal (line text, n serial)")
            conf = {}
            for name, size in SIZES.items():
                conf.update(pools(t, name, size=size))
            d = t.daemon(pools=conf, options={"log_level": "info"},
                         scopes={"timed": {"enter": "INSERT INTO journal VALUES ('begin ' || $1)",
                                           "cleanup": "INSERT INTO journal SELECT 'end ' || $1 FROM pg_sleep(0.1)"}})
            got = run(Pgwith(t, d, style), program)
            note("plain Python beside pgwith with %s:" % style)
            for line in beside(plain, got):
                note(line)
            equal(got, plain, "pgwith with %s, and plain Python" % style)
            all_quiet(d, *SIZES)
            wait_until(lambda: not d.show("SCOPES") and not d.show("LOCKS"), 5, "no scope and no lock is open")
            d.stop()
    run_all.__name__, run_all.__doc__, run_all.__module__ = program.__name__, program.__doc__, __name__
    return run_all


for one in TWELVE:
    test(programs_of(one), timeout=120)


@test
def styles_together(t):
    """11 again: a blocking program and two asynchronous ones over one pool, at the same time"""
    t.sql("CREATE TABLE journal (line text, n serial)")
    d = t.daemon(pools=pools(t, *SIZES, size=2), options={"log_level": "info"})
    errors = []

    def thread(style):
        try:
            world = Pgwith(t, d, style)
            asyncio.run(asyncio.wait_for(together(world), 40 * slow_factor()))
        except BaseException as e:  # pylint: disable=broad-except
            errors.append(e)
    styles = [style for style in STYLES if has(style)]
    threads = [threading.Thread(target=thread, args=(style,)) for style in styles]
    for x in threads:
        x.start()
    for x in threads:
        x.join()
    equal(errors, [], "errors")
    want = sorted("w%d %d%s" % (n, m, end) for n in range(4) for m in range(3) for end in ("", " inside"))
    equal(sorted(r[0] for r in t.sql("SELECT line FROM journal")), sorted(want * len(styles)), "rows")
    all_quiet(d, *SIZES)


if __name__ == "__main__":
    main()
