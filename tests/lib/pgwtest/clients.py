"""The clients that are published with pgwith, and connections for them: blocking drivers and asynchronous ones behind one
face, so that a test is written once."""

import contextlib
import inspect
import os
import sys

from . import npm, tap

DRIVERS = ("psycopg", "psycopg async", "psycopg2", "asyncpg")


def folder(name):
    """Of a client in the source tree."""
    return os.path.join(os.path.abspath(os.environ.get("PGWITH_SRCDIR", ".")), "src", "clients", name)


def package():
    """The Python package pgwith of this tree."""
    sys.dont_write_bytecode = True
    sys.path.insert(0, folder("python"))
    return __import__("pgwith")


def has(driver):
    """Is the driver there? Where it is not, a test goes on with the others; CI has them all."""
    module = Conn.module(driver)
    try:
        __import__(module)
    except ImportError:
        if tap.in_ci():
            tap.unavailable("no Python module " + module)
        return False
    return True


NODE_PG = "8.23.1"


def node_pg():
    """Where Node finds pg: Debian's node-pg, else npm's, which is installed once in the user's cache."""
    if os.path.isdir("/usr/share/nodejs/pg"):
        return "/usr/share/nodejs"
    return npm.modules("node-pg-" + NODE_PG, ["pg@" + NODE_PG])


class Conn:
    """A connection. `raw`: the driver's own. All of it is awaited; a blocking driver blocks meanwhile."""

    def __init__(self, driver, raw):
        self.driver, self.raw = driver, raw
        self.blocking = driver in ("psycopg", "psycopg2")
        self.errors = sys.modules[self.module(driver)].PostgresError if driver == "asyncpg" else \
            sys.modules[self.module(driver)].Error

    @staticmethod
    def module(driver):
        return driver.split(" ", maxsplit=1)[0]

    @classmethod
    async def open(cls, d, driver, pool="db", autocommit=True):
        if driver == "asyncpg":
            import asyncpg
            return cls(driver, await asyncpg.connect(host=d.sockets, port=d.port, user="postgres", database=pool))
        if driver == "psycopg2":
            import psycopg2
            raw = psycopg2.connect(d.dsn(pool))
            raw.autocommit = autocommit
            return cls(driver, raw)
        import psycopg
        if driver == "psycopg":
            return cls(driver, psycopg.connect(d.dsn(pool), autocommit=autocommit))
        return cls(driver, await psycopg.AsyncConnection.connect(d.dsn(pool), autocommit=autocommit))

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        await self.close()

    @staticmethod
    async def finish(result):
        return await result if inspect.isawaitable(result) else result

    async def close(self):
        if not self.closed():
            await self.finish(self.raw.close())

    def closed(self):
        return self.raw.is_closed() if self.driver == "asyncpg" else bool(self.raw.closed)

    def in_transaction(self):
        """As the driver knows it."""
        return self.raw.is_in_transaction() if self.driver == "asyncpg" else self.raw.info.transaction_status != 0

    @staticmethod
    def sqlstate(error):
        return getattr(error, "pgcode", None) or getattr(error, "sqlstate", None)

    async def autocommit(self, value):
        if self.driver == "psycopg async":
            await self.raw.set_autocommit(value)
        else:
            self.raw.autocommit = value

    async def execute(self, sql):
        if self.driver == "psycopg2":
            with self.raw.cursor() as cursor:
                cursor.execute(sql)
        else:
            await self.finish(self.raw.execute(sql))

    async def rows(self, sql):
        """As tuples."""
        if self.driver == "asyncpg":
            return [tuple(row) for row in await self.raw.fetch(sql)]
        if self.driver == "psycopg2":
            with self.raw.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall()
        cursor = await self.finish(self.raw.execute(sql))
        return await self.finish(cursor.fetchall())

    def pgwith_use(self, name):
        return sys.modules["pgwith"].use(self.raw, name)

    @contextlib.asynccontextmanager
    async def within(self, manager):
        """`async with` of a context manager, blocking or not."""
        if hasattr(manager, "__aenter__"):
            async with manager as value:
                yield value
        else:
            with manager as value:
                yield value

    async def enter(self, manager):
        """Enters what must not be entered."""
        async with self.within(manager):
            raise AssertionError("it was entered")
