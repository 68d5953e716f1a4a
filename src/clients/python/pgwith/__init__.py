"""Scopes of pgwithd for Python: a transaction, a savepoint, a lock or a semaphore as `with` or `async with`.

    with pgwith.scope(conn, "a", pool="orders", deadline=timedelta(seconds=30)):
        conn.execute("INSERT INTO orders VALUES (1, 'tea')")

It works with connections of psycopg 3 (blocking and asynchronous), psycopg2 and asyncpg that lead to pgwithd, and needs
none of these itself. pgwith-python(3) is the manual."""

from typing import Any, Awaitable, Optional, Protocol, Sequence, Type, Union, overload

from . import _drivers
from ._errors import (CommitRefused, Deadlock, DeadlineExceeded, EnterCanceled, EnterError, Error, OutcomeUnknown,
                      ScopeEnded, ScopeFailed, ScopeKilled, ScopeLost, Unreachable, UsageError, WaitTimeout)
from ._items import Defined, Item, Lock, Semaphore, Suppressed, Transaction
from ._scopes import (PATIENCE, AsyncScope, ManyAsyncScopes, ManyScopes, OneAsyncScope, OneScope, Scope, _statement,
                      adrive, defer_text, drive, use_text)
from ._text import Duration, Value

__version__ = "0.1"
__all__ = [
    "AsyncConnection", "AsyncScope", "CommitRefused", "Connection", "Deadlock", "DeadlineExceeded", "Defined",
    "Duration", "EnterCanceled", "EnterError", "Error", "Item", "Lock", "OutcomeUnknown", "PATIENCE", "Scope",
    "ScopeEnded", "ScopeFailed", "ScopeKilled", "ScopeLost", "Semaphore", "Transaction", "Unreachable",
    "UsageError", "Value", "WaitTimeout", "defer", "defined", "lock", "scope", "scopes", "semaphore",
    "suppress", "use",
]


class Connection(Protocol):
    """A blocking connection: psycopg.Connection, or that of psycopg2."""

    def close(self) -> None:
        ...


class AsyncConnection(Protocol):
    """An asynchronous one: psycopg.AsyncConnection, asyncpg.Connection, or what asyncpg's Pool.acquire() gives."""

    def close(self) -> Awaitable[None]:
        ...


def _one(conn: Any, item: Item, within_transaction: bool, patience: float) -> Any:
    adapter = _drivers.adapter(conn)
    kind = OneAsyncScope if adapter.is_async else OneScope
    return kind(adapter, (item,), within_transaction, patience)


@overload
def scope(conn: Connection, name: str, *, pool: Optional[str] = ..., new: bool = ..., read_only: Optional[bool] = ...,
          isolation: Optional[str] = ..., wait: Optional[Duration] = ..., deadline: Optional[Duration] = ...,
          suppress: Suppressed = ..., within_transaction: bool = ..., patience: float = ...) -> OneScope:
    ...


@overload
def scope(conn: AsyncConnection, name: str, *, pool: Optional[str] = ..., new: bool = ...,
          read_only: Optional[bool] = ..., isolation: Optional[str] = ..., wait: Optional[Duration] = ...,
          deadline: Optional[Duration] = ...,
          suppress: Suppressed = ..., within_transaction: bool = ..., patience: float = ...) -> OneAsyncScope:
    ...


def scope(conn: Any, name: str, *, pool: Optional[str] = None, new: bool = False, read_only: Optional[bool] = None,
          isolation: Optional[str] = None, wait: Optional[Duration] = None, deadline: Optional[Duration] = None,
          suppress: Suppressed = False, within_transaction: bool = False, patience: float = PATIENCE) -> Any:
    """A transaction; inside of one of the same pool a savepoint, unless `new`. Commits at the end of the block, rolls
    back if an exception leaves it. `isolation`: "serializable", "repeatable read" or "read committed". Durations are a
    timedelta, seconds, or a text as in pgwith.conf(5). `suppress`: exceptions that end with the scope; True: those of
    the database. `within_transaction`: the connection is not in autocommit mode, and its commit() decides. `patience`:
    how long a failed or cancelled scope may take to be left, before the connection is closed."""
    item = Transaction(name, pool, new, read_only, isolation, wait, deadline, suppress)
    return _one(conn, item, within_transaction, patience)


@overload
def defined(conn: Connection, name: str, *args: Value, as_: Optional[str] = ..., pool: Optional[str] = ...,
            wait: Optional[Duration] = ..., deadline: Optional[Duration] = ..., suppress: Suppressed = ...,
            within_transaction: bool = ..., patience: float = ...) -> OneScope:
    ...


@overload
def defined(conn: AsyncConnection, name: str, *args: Value, as_: Optional[str] = ..., pool: Optional[str] = ...,
            wait: Optional[Duration] = ..., deadline: Optional[Duration] = ..., suppress: Suppressed = ...,
            within_transaction: bool = ..., patience: float = ...) -> OneAsyncScope:
    ...


def defined(conn: Any, name: str, *args: Value, as_: Optional[str] = None, pool: Optional[str] = None,
            wait: Optional[Duration] = None, deadline: Optional[Duration] = None, suppress: Suppressed = False,
            within_transaction: bool = False, patience: float = PATIENCE) -> Any:
    """A scope that the administrator has defined in a section [scope NAME], with its arguments. `as_`: its name while
    it is open, if that is not `name`."""
    return _one(conn, Defined(name, args, as_, pool, wait, deadline, suppress), within_transaction, patience)


@overload
def lock(conn: Connection, name: str, *, shared: bool = ..., pool: Optional[str] = ..., as_: Optional[str] = ...,
         wait: Optional[Duration] = ..., deadline: Optional[Duration] = ..., suppress: Suppressed = ...,
         within_transaction: bool = ..., patience: float = ...) -> OneScope:
    ...


@overload
def lock(conn: AsyncConnection, name: str, *, shared: bool = ..., pool: Optional[str] = ..., as_: Optional[str] = ...,
         wait: Optional[Duration] = ..., deadline: Optional[Duration] = ..., suppress: Suppressed = ...,
         within_transaction: bool = ..., patience: float = ...) -> OneAsyncScope:
    ...


def lock(conn: Any, name: str, *, shared: bool = False, pool: Optional[str] = None, as_: Optional[str] = None,
         wait: Optional[Duration] = None, deadline: Optional[Duration] = None, suppress: Suppressed = False,
         within_transaction: bool = False, patience: float = PATIENCE) -> Any:
    """A named lock of the daemon, first come first served; with `pool` an advisory lock in that pool's database, which
    holds for the clients of more than one daemon."""
    return _one(conn, Lock(name, shared, pool, as_, wait, deadline, suppress), within_transaction, patience)


@overload
def semaphore(conn: Connection, name: str, limit: int, *, as_: Optional[str] = ..., wait: Optional[Duration] = ...,
              deadline: Optional[Duration] = ..., suppress: Suppressed = ..., within_transaction: bool = ...,
              patience: float = ...) -> OneScope:
    ...


@overload
def semaphore(conn: AsyncConnection, name: str, limit: int, *, as_: Optional[str] = ..., wait: Optional[Duration] = ...,
              deadline: Optional[Duration] = ..., suppress: Suppressed = ..., within_transaction: bool = ...,
              patience: float = ...) -> OneAsyncScope:
    ...


def semaphore(conn: Any, name: str, limit: int, *, as_: Optional[str] = None, wait: Optional[Duration] = None,
              deadline: Optional[Duration] = None, suppress: Suppressed = False, within_transaction: bool = False,
              patience: float = PATIENCE) -> Any:
    """As a lock that `limit` sessions may have at a time. Everybody has to say the same limit."""
    return _one(conn, Semaphore(name, limit, as_, wait, deadline, suppress), within_transaction, patience)


@overload
def suppress(conn: Connection, name: str, *kinds: Type[BaseException], pool: Optional[str] = ...) -> OneScope:
    ...


@overload
def suppress(conn: AsyncConnection, name: str, *kinds: Type[BaseException], pool: Optional[str] = ...) -> OneAsyncScope:
    ...


def suppress(conn: Any, name: str, *kinds: Type[BaseException], pool: Optional[str] = None) -> Any:
    """As contextlib.suppress(): a scope, in most cases a savepoint, that is rolled back and ends these exceptions;
    without any, those of the database."""
    return _one(conn, Transaction(name, pool, suppress=kinds or True), False, PATIENCE)


@overload
def scopes(conn: Connection, *items: Item, within_transaction: bool = ..., patience: float = ...) -> ManyScopes:
    ...


@overload
def scopes(conn: AsyncConnection, *items: Item, within_transaction: bool = ...,
           patience: float = ...) -> ManyAsyncScopes:
    ...


def scopes(conn: Any, *items: Item, within_transaction: bool = False, patience: float = PATIENCE) -> Any:
    """Several at once, from left to right, in one round trip: Transaction, Defined, Lock, Semaphore. If one cannot be
    entered, those before it are left. They are left from right to left, as nested blocks are."""
    adapter = _drivers.adapter(conn)
    kind = ManyAsyncScopes if adapter.is_async else ManyScopes
    return kind(adapter, items, within_transaction, patience)


def _done(conn: Any, sql: str, scope: Optional[str] = None) -> Any:
    adapter = _drivers.adapter(conn)
    acts = _statement(adapter, sql, scope)
    return adrive(adapter, acts) if adapter.is_async else drive(adapter, acts)


@overload
def defer(conn: Connection, sql: str, on: Optional[str] = ...) -> None:
    ...


@overload
def defer(conn: AsyncConnection, sql: str, on: Optional[str] = ...) -> Awaitable[None]:
    ...


def defer(conn: Any, sql: str, on: Optional[str] = None) -> Union[None, Awaitable[None]]:
    """Has a statement run when the innermost scope with a transaction is left, the last one added first: before the
    commit inside the transaction, or after the rollback by itself. `on`: "commit" or "rollback" for one of these
    only."""
    result: Union[None, Awaitable[None]] = _done(conn, defer_text(sql, on))
    return result


@overload
def use(conn: Connection, name: str) -> None:
    ...


@overload
def use(conn: AsyncConnection, name: str) -> Awaitable[None]:
    ...


def use(conn: Any, name: str) -> Union[None, Awaitable[None]]:
    """Statements go to the transaction of that open scope from now on."""
    result: Union[None, Awaitable[None]] = _done(conn, use_text(name), name)
    return result
