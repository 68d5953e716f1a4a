"""asyncpg, by drivers_matrix.py: async_pg.py DSN FEATURE. It speaks the protocol itself, and in
each use of its pool it resets the session."""

import asyncio
import os
import io
import sys

import asyncpg
from common import LARGE, NAMES, SEEN, SLEEP, dispatch, expect, ready

WORDS = dict(word.split("=", 1) for word in sys.argv[1].split())


def target():
    # asyncpg does not read PGOPTIONS.
    join = {"server_settings": {"pgwith.join": os.environ["PGWITH_TEST_JOIN"]}} if "PGWITH_TEST_JOIN" in os.environ else {}
    return {**join, "host": WORDS["host"], "port": int(WORDS["port"]), "user": WORDS["user"],
            "database": WORDS["dbname"]}


def connect(**more):
    return asyncpg.connect(**target(), **more)


async def state_of(awaitable):
    try:
        await awaitable
    except asyncpg.PostgresError as e:
        return e.sqlstate
    return None


def version():
    print("asyncpg " + asyncpg.__version__)


async def query():
    c = await connect()
    expect(tuple(await c.fetchrow("SELECT 1 + 1, NULL, 'grüße'")), (2, None, "grüße"))
    expect(len(await c.fetch("SELECT generate_series(1, 1000)")), 1000)
    expect(await c.fetch("SELECT 1 WHERE false"), [])
    expect(await c.execute("SELECT 1; SELECT 2"), "SELECT 1")
    await c.close()
    # Its own pool of more connections than the pool has servers, each reset when it is released.
    async with asyncpg.create_pool(**target(), min_size=8, max_size=8) as pool:
        async def one(i):
            async with pool.acquire() as c:
                await c.execute("SET work_mem = '%dkB'" % (1001 + i))
                expect(await c.fetchval("SHOW work_mem"), "%dkB" % (1001 + i))
            async with pool.acquire() as c:
                expect(await c.fetchval("SHOW work_mem"), "4MB")
        await asyncio.gather(*(one(i) for i in range(20)))


async def parameters():
    c = await connect()
    for value in NAMES:
        expect(await c.fetchval("SELECT $1::text", value), value)
    got = await c.fetchrow("SELECT $1::int + $2::int, $3::int IS NULL, $4::bytea", 1, 2, None, b"\0\xff")
    expect(tuple(got), (3, True, b"\0\xff"))
    # Types that it has to look up in the catalogue first, for which it sets and resets jit.
    await c.execute("CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE TYPE pair AS (a int, m mood)")
    expect(tuple(await c.fetchval("SELECT $1::pair", (1, "bad"))), (1, "bad"))
    expect(await c.fetchval("SELECT $1::mood[]", ["good", "bad"]), ["good", "bad"])
    await c.close()


async def prepared():
    c = await connect()
    statement = await c.prepare("SELECT $1::int + 1, pg_backend_pid()")
    pids, n = set(), 0
    while n < 50 or len(pids) < 2:
        async with c.transaction():
            got = await statement.fetchrow(n)
        expect(got[0], n + 1)
        expect(await c.fetchval("SELECT $1::text", str(n)), str(n))
        pids.add(got[1])
        n += 1
    await c.close()


async def transactions():
    c = await connect()
    await c.execute("CREATE TABLE x (a int)")
    try:
        async with c.transaction():
            await c.execute("INSERT INTO x VALUES (1)")
            raise KeyError
    except KeyError:
        pass
    async with c.transaction(isolation="serializable"):
        await c.execute("INSERT INTO x VALUES (2)")
        try:
            async with c.transaction():
                await c.execute("INSERT INTO x VALUES ($1)", 3)
                raise KeyError
        except KeyError:
            pass
    expect(await c.fetch("SELECT a FROM x"), [(2,)])
    await c.close()


async def errors():
    c = await connect()
    expect(await state_of(c.fetch("SELEC 1")), "42601")
    expect(await state_of(c.fetch("SELECT 1 / $1::int", 0)), "22012")
    t = c.transaction()
    await t.start()
    expect(await state_of(c.fetch("SELECT nonsense")), "42703")
    expect(await state_of(c.fetch("SELECT 1")), "25P02")
    await t.rollback()
    await c.close()


async def copy():
    c = await connect()
    await c.execute("CREATE TABLE x (a int, b text)")
    expect(await c.copy_records_to_table("x", records=((i, "b%d" % i) for i in range(10000))), "COPY 10000")
    out = io.BytesIO()
    await c.copy_from_query("SELECT * FROM x WHERE a < $1", 9000, output=out)
    expect(out.getvalue().count(b"\n"), 9000)
    expect(await state_of(c.copy_to_table("x", source=io.BytesIO(b"nonsense\n"))), "22P02")
    expect(await c.fetchval("SELECT count(*) FROM x"), 10000)
    await c.close()


async def listen():
    c, other = await connect(), await connect()
    got = asyncio.get_running_loop().create_future()

    def heard(_connection, _pid, _channel, payload):
        got.set_result(payload)
    await c.add_listener("chan", heard)
    await asyncio.to_thread(ready)
    await other.execute("NOTIFY chan, 'hello'")
    expect(await got, "hello")
    await c.remove_listener("chan", heard)
    expect(await c.fetchval("SELECT 1"), 1)
    await c.close()
    await other.close()


async def large():
    c = await connect()
    expect(sum(len(r[0]) for r in await c.fetch(LARGE)), 55000000)
    async with c.transaction():
        expect(sum([len(r[0]) async for r in c.cursor(LARGE, prefetch=500)]), 55000000)
    expect(await c.fetchval("SELECT 1"), 1)
    await c.close()


async def cancel():
    c, other = await connect(), await connect()
    task = asyncio.create_task(c.fetch(SLEEP))
    while await other.fetchval(SEEN) == 0:
        pass
    task.cancel()  # the driver sends the CancelRequest
    try:
        await task
        raise SystemExit("not cancelled")
    except asyncio.CancelledError:
        pass
    expect(await c.fetchval("SELECT 1"), 1)
    expect(await other.fetchval(SEEN), 0)
    await c.close()
    await other.close()


async def restart():
    idle, busy = await connect(), await connect()
    statement = await idle.prepare("SELECT $1::int")
    expect(await statement.fetchval(1), 1)
    t = busy.transaction()
    await t.start()
    await busy.fetch("SELECT 1")
    await asyncio.to_thread(ready)
    expect(await statement.fetchval(2), 2)
    try:
        await busy.fetch("SELECT 1")
        raise SystemExit("a transaction outlived its server")
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        pass
    again = await connect()
    expect(await again.fetchval("SELECT 3"), 3)
    await again.close()
    await idle.close()


def main(name):
    what = globals()[name]
    return lambda: asyncio.run(what()) if asyncio.iscoroutinefunction(what) else what()


dispatch({name: main(name) for name in list(globals())})
