"""What pgwith needs of a connection, for each driver. No driver is imported here: a connection that a program has
brings its own module along.

An adapter runs one statement as a simple query, tells what an error was, makes a connection ready again whose statement
was cut short, and closes it. Blocking and asynchronous adapters have the same methods."""

import asyncio
import os
import select
import socket
import sys
import threading
import time
import weakref
from typing import Any, Callable, Dict, Generator, List, Optional, Tuple, Type

from ._errors import Answer, UsageError

#: The names of the scopes of this package that are open on a connection, the outermost first.
_open: "weakref.WeakKeyDictionary[Any, List[str]]" = weakref.WeakKeyDictionary()
_open_lock = threading.Lock()


def _hang_up(fd: int) -> None:
    """Ends a socket at once. What a driver's own close() sends, a Terminate, would stand behind the statement that
    runs, and PostgreSQL, and pgwithd as well, finish that first. After this they see at once that nobody is there any
    more."""
    try:
        duplicate = os.dup(fd)
    except OSError:
        return
    with socket.socket(fileno=duplicate) as s:
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


class Stuck(Exception):
    """The connection did not become ready for a statement in time."""


class Adapter:
    is_async = False
    #: is there something like a mode without autocommit
    driver = ""

    def __init__(self, conn: Any, key: Any) -> None:
        self.conn, self._key = conn, key

    # -- which scopes are open -----------------------------------------------------------------------
    def opened(self, name: str) -> None:
        with _open_lock:
            _open.setdefault(self._key, []).append(name)

    def left(self, name: str) -> None:
        with _open_lock:
            names = _open.get(self._key, [])
            if name in names:
                names.remove(name)

    def is_open(self, name: str) -> bool:
        return name in _open.get(self._key, [])

    def is_inside(self) -> bool:
        return bool(_open.get(self._key))

    # -- of each driver ----------------------------------------------------------------------------
    def is_closed(self) -> bool:
        raise NotImplementedError

    def is_autocommit(self) -> bool:
        return True

    def is_busy(self) -> bool:
        """Is there a statement whose answer nobody has read to its end?"""
        return False

    def check_usable(self) -> None:
        """Raises UsageError if scope statements cannot be sent on such a connection."""

    def answer(self, error: BaseException) -> Optional[Answer]:
        """What the server has said; None if that is not the driver's error with an answer of the server."""
        raise NotImplementedError

    def is_broken_by(self, error: BaseException) -> bool:
        """Does this error mean that the driver has lost its way in the protocol?"""
        return False

    def is_of_driver(self, error: BaseException) -> bool:
        """Is it the driver's, with an answer of the server or without?"""
        return self.answer(error) is not None

    def check_mode(self, what: str, within: bool) -> None:
        if within or self.is_autocommit() or self.is_inside():
            return
        raise UsageError(
            "the connection is not in autocommit mode: %s would send BEGIN ahead of ENTER, and %s would be inside of "
            "a transaction that only commit() ends" % (self.driver, what),
            hint="connect with autocommit=True; or say within_transaction=True if that is meant")


class Blocking(Adapter):
    def run(self, sql: str, own: bool) -> str:
        """Runs a statement and returns its command tag. `own`: the driver must not begin a transaction for it."""
        raise NotImplementedError

    def settle(self, patience: float) -> None:
        """Stops what runs, and reads its answer to the end. Raises Stuck."""

    def close(self) -> None:
        if not self.is_closed():
            _hang_up(self.conn.fileno())
            self.conn.close()


class Async(Adapter):
    is_async = True

    async def run(self, sql: str, own: bool) -> str:
        raise NotImplementedError

    async def settle(self, patience: float) -> None:
        pass

    async def cancel(self) -> None:
        """Asks the server to cancel the statement of run() that runs in another task; returns when that request has
        been dealt with, so that it cannot hit a later statement."""
        raise NotImplementedError

    def close(self) -> None:
        """At once, without waiting for anything."""
        raise NotImplementedError


# ---- psycopg 3 -------------------------------------------------------------------------------------
def _drain(pgconn: Any, pq: Any) -> Generator[bool, None, None]:
    """Reads and drops the answer of the statement that runs. Yields, when it has to wait for the socket to be readable,
    whether it waits for it to be writable too."""
    status = pq.ExecStatus
    while True:
        unsent = pgconn.flush() == 1
        if pgconn.is_busy():
            yield unsent
            pgconn.consume_input()
            continue
        result = pgconn.get_result()
        if result is None:
            return
        if result.status == status.COPY_IN:
            pgconn.put_copy_end(b"the scope is left")
        elif result.status == status.COPY_OUT:
            while True:
                size, _ = pgconn.get_copy_data(1)
                if size < 0:
                    break
                if size == 0:
                    yield False
                    pgconn.consume_input()
        elif result.status in (status.COPY_BOTH, status.PIPELINE_SYNC, status.PIPELINE_ABORTED):
            raise Stuck("the connection is in " + status(result.status).name)


class _Psycopg:
    """What both kinds of connections of psycopg 3 have in common."""

    conn: Any
    driver = "psycopg"

    def is_closed(self) -> bool:
        return bool(self.conn.closed)

    def is_autocommit(self) -> bool:
        return bool(self.conn.autocommit)

    def is_busy(self) -> bool:
        pq = sys.modules["psycopg"].pq
        return bool(self.conn.pgconn.transaction_status == pq.TransactionStatus.ACTIVE)

    def check_usable(self) -> None:
        if not self.conn.closed and self.conn.pgconn.pipeline_status:
            raise UsageError("scopes cannot be entered or left in pipeline mode",
                             hint="begin the pipeline inside the scope")

    def answer(self, error: BaseException) -> Optional[Answer]:
        if not isinstance(error, sys.modules["psycopg"].Error):
            return None
        diag: Any = getattr(error, "diag")
        return Answer(error, getattr(error, "sqlstate", None) or diag.sqlstate, diag.message_primary or str(error),
                      diag.message_detail, diag.message_hint)

    def _is_own(self, own: bool) -> bool:
        """Has autocommit to be switched on, so that psycopg sends no BEGIN?"""
        pq = sys.modules["psycopg"].pq
        return own and not self.conn.autocommit and self.conn.pgconn.transaction_status == pq.TransactionStatus.IDLE

    def _is_idle(self) -> bool:
        pq = sys.modules["psycopg"].pq
        return bool(self.conn.pgconn.transaction_status == pq.TransactionStatus.IDLE)


class Psycopg(_Psycopg, Blocking):
    def run(self, sql: str, own: bool) -> str:
        switched = self._is_own(own)
        if switched:
            self.conn.autocommit = True
        try:
            with sys.modules["psycopg"].Cursor(self.conn) as cursor:
                cursor.execute(sql, prepare=False)
                return cursor.statusmessage or ""
        finally:
            if switched and self._is_idle():
                self.conn.autocommit = False

    def settle(self, patience: float) -> None:
        """A result that is half read by stream() or copy() holds the connection's lock, too."""
        until = time.monotonic() + patience
        if not self.is_busy() and not self.conn.lock.locked():
            return
        if self.is_busy():
            self.conn.cancel()
        if not self.conn.lock.acquire(timeout=patience):
            raise Stuck("another statement keeps the connection")
        try:
            if not self.is_busy():
                return
            pgconn = self.conn.pgconn
            if pgconn.pipeline_status:
                raise Stuck("the connection is in pipeline mode")
            for unsent in _drain(pgconn, sys.modules["psycopg"].pq):
                poll = select.poll()
                poll.register(pgconn.socket, select.POLLIN | (select.POLLOUT if unsent else 0))
                if not poll.poll(max(until - time.monotonic(), 0) * 1000):
                    raise Stuck("the statement did not end")
        finally:
            self.conn.lock.release()


class AsyncPsycopg(_Psycopg, Async):
    async def run(self, sql: str, own: bool) -> str:
        switched = self._is_own(own)
        if switched:
            await self.conn.set_autocommit(True)
        try:
            async with sys.modules["psycopg"].AsyncCursor(self.conn) as cursor:
                await cursor.execute(sql, prepare=False)
                return cursor.statusmessage or ""
        finally:
            if switched and not self.conn.closed and self._is_idle():
                await self.conn.set_autocommit(False)

    async def cancel(self) -> None:
        if self.conn.closed:
            return
        request = self.conn.pgconn.get_cancel()
        loop = asyncio.get_running_loop()
        done: "asyncio.Future[None]" = loop.create_future()

        def over(error: Optional[Exception]) -> None:
            if done.cancelled():
                return
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(None)

        def work() -> None:
            failure: Optional[Exception] = None
            try:
                request.cancel()
            except Exception as e:
                failure = e
            try:
                loop.call_soon_threadsafe(over, failure)
            except RuntimeError:
                pass  # the loop is closed

        # libpq's request blocks until pgwithd has read it: for ever, if that is stopped. The end of the program must
        # not wait for it, as it would for a thread of the loop's own pool.
        threading.Thread(target=work, name="pgwith cancel", daemon=True).start()
        await done

    async def settle(self, patience: float) -> None:
        # A task that was cancelled leaves its statement running (psycopg before 3.2); another task may still run one.
        if not self.is_busy() and not self.conn.lock.locked():
            return
        if self.is_busy():
            await self.cancel()
        until = time.monotonic() + patience
        try:
            await asyncio.wait_for(self.conn.lock.acquire(), patience)
        except asyncio.TimeoutError:
            raise Stuck("another statement keeps the connection") from None
        try:
            if not self.is_busy():
                return
            pgconn = self.conn.pgconn
            if pgconn.pipeline_status:
                raise Stuck("the connection is in pipeline mode")
            for unsent in _drain(pgconn, sys.modules["psycopg"].pq):
                await self._ready(pgconn.socket, unsent, until)
        finally:
            self.conn.lock.release()

    @staticmethod
    async def _ready(fd: int, unsent: bool, until: float) -> None:
        loop = asyncio.get_running_loop()
        event = asyncio.Event()
        loop.add_reader(fd, event.set)
        if unsent:
            loop.add_writer(fd, event.set)
        try:
            await asyncio.wait_for(event.wait(), max(until - time.monotonic(), 0))
        except asyncio.TimeoutError:
            raise Stuck("the statement did not end") from None
        finally:
            loop.remove_reader(fd)
            if unsent:
                loop.remove_writer(fd)

    def close(self) -> None:
        # AsyncConnection.close() waits for nothing either, but is a coroutine; what waits for the socket must wake up.
        if not self.conn.closed:
            _hang_up(self.conn.fileno())
            self.conn.pgconn.finish()


# ---- psycopg2 --------------------------------------------------------------------------------------
class Psycopg2(Blocking):
    driver = "psycopg2"

    def is_closed(self) -> bool:
        return bool(self.conn.closed)

    def is_autocommit(self) -> bool:
        return bool(self.conn.autocommit)

    def is_busy(self) -> bool:
        extensions = sys.modules["psycopg2.extensions"]
        return not self.conn.closed and self.conn.info.transaction_status == extensions.TRANSACTION_STATUS_ACTIVE

    def check_usable(self) -> None:
        if self.conn.async_:
            raise UsageError("asynchronous connections of psycopg2 have no blocking statements",
                             hint="use psycopg 3 or asyncpg")

    def answer(self, error: BaseException) -> Optional[Answer]:
        if not isinstance(error, sys.modules["psycopg2"].Error):
            return None
        diag: Any = getattr(error, "diag")
        return Answer(error, getattr(error, "pgcode"), diag.message_primary or str(error), diag.message_detail,
                      diag.message_hint)

    def run(self, sql: str, own: bool) -> str:
        extensions = sys.modules["psycopg2.extensions"]
        # psycopg2 goes by its own status: in a scope that it has not begun it would send BEGIN, which is a savepoint.
        switched = own and not self.conn.autocommit and self.conn.status == extensions.STATUS_READY
        if switched:
            self.conn.autocommit = True
        try:
            with self.conn.cursor(cursor_factory=extensions.cursor) as cursor:
                cursor.execute(sql)
                return cursor.statusmessage or ""
        finally:
            if switched and not self.conn.closed:
                self.conn.autocommit = False

    def settle(self, patience: float) -> None:
        if self.is_busy():
            raise Stuck("a statement still runs")


# ---- asyncpg ---------------------------------------------------------------------------------------
class Asyncpg(Async):
    driver = "asyncpg"

    def is_closed(self) -> bool:
        try:
            return bool(self.conn.is_closed())
        except sys.modules["asyncpg"].InterfaceError:
            return True  # given back to its pool, which may have lent it to somebody else

    def answer(self, error: BaseException) -> Optional[Answer]:
        if not isinstance(error, sys.modules["asyncpg"].PostgresError):
            return None
        return Answer(error, getattr(error, "sqlstate", None), getattr(error, "message", None) or str(error),
                      getattr(error, "detail", None), getattr(error, "hint", None))

    def is_broken_by(self, error: BaseException) -> bool:
        # asyncpg 0.27: an error that comes between Parse with Flush and Bind ("cannot switch to state 12").
        return isinstance(error, sys.modules["asyncpg"].InternalClientError)

    def is_of_driver(self, error: BaseException) -> bool:
        asyncpg = sys.modules["asyncpg"]
        return isinstance(error, (asyncpg.PostgresError, asyncpg.InterfaceError, ConnectionError))

    async def run(self, sql: str, own: bool) -> str:
        # command_timeout does not hold for it: what it cut short would be unknown, and WAIT is there for that.
        return str(await self.conn.execute(sql, timeout=86400 * 3650))

    async def cancel(self) -> None:
        if self.is_closed():
            return
        request: Optional[Callable[[Any], None]] = getattr(self.conn, "_cancel_current_command", None)
        if request is None:
            self.close()
            return
        waiter: "asyncio.Future[None]" = asyncio.get_running_loop().create_future()
        request(waiter)
        await waiter

    def close(self) -> None:
        if self.is_closed():
            return
        transport = getattr(self.conn, "_transport", None)
        if transport is not None:
            transport.abort()  # without a Terminate: see _hang_up()
        self.conn.terminate()


# ---- which one -------------------------------------------------------------------------------------
_ADAPTERS: Dict[Tuple[str, str], Type[Adapter]] = {
    ("psycopg", "Connection"): Psycopg,
    ("psycopg", "AsyncConnection"): AsyncPsycopg,
    ("psycopg2", "connection"): Psycopg2,
    ("asyncpg", "Connection"): Asyncpg,
    ("asyncpg", "PoolConnectionProxy"): Asyncpg,
}


def adapter(conn: Any) -> Adapter:
    """The adapter of a connection. A connection that a pool of asyncpg has lent is counted as the one that it stands
    for."""
    for cls in type(conn).__mro__:
        kind = _ADAPTERS.get((cls.__module__.partition(".")[0], cls.__name__))
        if kind is not None:
            key = conn
            if cls.__name__ == "PoolConnectionProxy":
                key = getattr(conn, "_con", None) or conn
            return kind(conn, key)
    raise TypeError("not a connection of psycopg, psycopg2 or asyncpg: %r" % (conn,))
