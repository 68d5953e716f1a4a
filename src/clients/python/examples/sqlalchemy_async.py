"""Scopes of pgwithd in an asyncio program that uses SQLAlchemy with asyncpg.

A task that is cancelled inside of a scope leaves it rolled back. SQLAlchemy closes the connection of a statement that
is cancelled, with a Terminate behind it, and PostgreSQL finishes such a statement first: give a scope a deadline.
PGHOST, PGPORT and PGDATABASE lead to pgwithd."""

import asyncio
import contextlib

import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine

import pgwith

engine = create_async_engine("postgresql+asyncpg://", isolation_level="AUTOCOMMIT")


@contextlib.asynccontextmanager
async def scope(name, **options):
    """A connection in a scope."""
    async with engine.connect() as conn:
        raw = await conn.get_raw_connection()
        async with pgwith.scope(raw.driver_connection, name, **options):
            yield conn


async def main():
    insert = sqlalchemy.text("INSERT INTO orders VALUES (:id, :what)")
    async with scope("order") as conn:
        await conn.execute(insert, {"id": 11, "what": "tea"})

    async def slow():
        async with scope("order", deadline=1) as conn:
            await conn.execute(insert, {"id": 12, "what": "lost"})
            await conn.execute(sqlalchemy.text("SELECT pg_sleep(30)"))

    try:
        await asyncio.wait_for(slow(), 0.3)
    except asyncio.TimeoutError:
        print("too slow")
    try:
        async with scope("order", deadline=0.2) as conn:
            await conn.execute(insert, {"id": 13, "what": "lost"})
            await conn.execute(sqlalchemy.text("SELECT pg_sleep(30)"))
    except (pgwith.DeadlineExceeded, sqlalchemy.exc.DBAPIError) as e:
        print("too late:", e.args[0].splitlines()[0])
    async with scope("order") as conn:
        await conn.execute(insert, {"id": 14, "what": "rice"})
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(main())
