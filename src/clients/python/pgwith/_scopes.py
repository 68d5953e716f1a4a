"""Entering and leaving.

What is decided is written once, as generators that yield what is to be done with the connection (an Act) and get the
result or the exception back. Scopes drives them on a blocking connection, AsyncScopes on an asynchronous one."""

import asyncio
import re
import time
from typing import Any, Coroutine, Generator, List, Optional, Tuple, Type, Union

from . import _text
from ._drivers import Adapter, Async, Blocking, Stuck
from ._errors import Answer, DeadlineExceeded, Error, OutcomeUnknown, ScopeEnded, ScopeLost, UsageError
from ._items import Item

#: Seconds that a failed scope may take to be left, and one that is left while its task is cancelled. Then the
#: connection is closed: the daemon does the rest.
PATIENCE = 10.0

_ELAPSED = re.compile(r" (\d+\.\d) ms$")
_INNER = re.compile(r" is open inside it$")

#: what LEAVE says of a scope that is not open
NOT_OPEN = ("42704", "55000")


class Act:
    """One thing to be done with the connection."""

    def __init__(self, what: str, sql: str = "", own: bool = True) -> None:
        self.what, self.sql, self.own = what, sql, own


Acts = Generator[Act, str, Any]


class Handle:
    """A scope that was entered. `name` is its name; `elapsed`, once it is left, how many seconds it has lasted, as the
    daemon has measured it; `outcome` is "open", "success", "rolled back", "lost" or "unknown"; `error` is the exception
    that a suppressing scope has ended."""

    def __init__(self, owner: "_Owner", item: Item) -> None:
        self.name = item.scope
        self.elapsed: Optional[float] = None
        self.outcome = "open"
        self.error: Optional[BaseException] = None
        self._owner, self._item = owner, item
        self._to_roll_back = False
        self._deadline: Optional[float] = None

    def __repr__(self) -> str:
        return "<%s %r: %s>" % (type(self).__name__, self.name, self.outcome)

    def rollback(self) -> None:
        """The scope will be rolled back when it is left, as if by an exception, but without one."""
        self._to_roll_back = True

    def _statement(self, sql: str) -> Acts:
        return _statement(self._owner.adapter, sql, self.name)


class Scope(Handle):
    """A scope of a blocking connection."""

    def use(self) -> None:
        """Statements go to this scope's transaction from now on."""
        drive(self._owner.adapter, self._statement(use_text(self.name)))

    def defer(self, sql: str, on: Optional[str] = None) -> None:
        """Has a statement run when the innermost scope with a transaction is left: see defer()."""
        drive(self._owner.adapter, self._statement(defer_text(sql, on)))


class AsyncScope(Handle):
    """A scope of an asynchronous connection."""

    async def use(self) -> None:
        await adrive(self._owner.adapter, self._statement(use_text(self.name)))

    async def defer(self, sql: str, on: Optional[str] = None) -> None:
        await adrive(self._owner.adapter, self._statement(defer_text(sql, on)))


def use_text(scope: str) -> str:
    return "USE " + _text.string(scope, "the name of a scope")


def defer_text(sql: str, on: Optional[str]) -> str:
    if on not in (None, "commit", "rollback"):
        raise ValueError("on is None, 'commit' or 'rollback': %r" % (on,))
    return "DEFER %s%s" % ("ON %s " % on.upper() if on else "", _text.string(sql, "the statement"))


def _statement(adapter: Adapter, sql: str, scope: Optional[str]) -> Acts:
    adapter.check_usable()
    try:
        yield Act("run", sql)
    except Exception as e:
        answer = adapter.answer(e)
        if answer is None:
            raise
        if adapter.is_closed():
            raise answer.error(ScopeLost, scope) from e
        raise answer.of_statement(scope or "") from e


# ---- what is decided -------------------------------------------------------------------------------
class _Owner:
    """One entering and leaving of one item or more."""

    handle: Type[Handle] = Handle

    def __init__(self, adapter: Adapter, items: Tuple[Item, ...], within_transaction: bool, patience: float) -> None:
        if not items:
            raise TypeError("nothing to be entered")
        self.adapter, self._patience, self._within = adapter, patience, within_transaction
        self._handles = [self.handle(self, item) for item in items]
        # Whatever is wrong with the values is said here, where the program has made them.
        self._sql = "ENTER " + ", ".join(item.enter() for item in items)
        #: "new", "asking" (for it, with an answer that is not known yet), "entered", "leaving", "over"
        self._state = "new"
        self._over = False  # the time that a failed scope may take was over, and the connection was closed

    @property
    def _names(self) -> str:
        return ", ".join(h.name for h in self._handles)

    def _enter(self) -> Acts:
        if self._state != "new":
            raise UsageError("this has been entered already: make another one", scope=self._names)
        self.adapter.check_usable()
        self.adapter.check_mode("the scope", self._within)
        started = time.monotonic()
        self._state = "asking"
        try:
            yield Act("run", self._sql, not self._within)
        except Exception as e:
            answer = self.adapter.answer(e)
            if answer is None or self.adapter.is_closed():
                # Whether it was entered is not known.
                yield Act("close")
                self._state = "over"
                if self.adapter.is_of_driver(e):
                    raise self._lost(ScopeLost, e, answer) from e
                raise
            self._state = "over"
            raise answer.of_enter(self._names) from e
        except BaseException:
            yield Act("close")
            self._state = "over"
            raise
        self._state = "entered"
        for h in self._handles:
            self.adapter.opened(h.name)
            deadline = getattr(h._item, "deadline", None)
            limit = _text.seconds(deadline) if deadline is not None else None
            h._deadline = started + limit if limit is not None else None

    def _lost(self, kind: Type[ScopeLost], cause: Optional[BaseException], answer: Optional[Answer] = None,
              scope: Optional[str] = None) -> Error:
        scope = scope or self._names
        if answer is not None:
            return answer.error(kind, scope)
        why = ": %s" % cause if cause else ""
        e = kind("the connection was lost or closed with scope %s open%s" % (scope, why), scope=scope)
        e.__cause__ = cause
        return e

    def _leave(self, error: Optional[BaseException]) -> Acts:
        """Leaves all, the innermost first; each sees the exception that the one inside has left. Returns the exception
        that is left in the end, or None."""
        if self._state != "entered":
            raise UsageError("the scope is not open: it has been left, or was never entered", scope=self._names)
        self._state = "leaving"
        for h in reversed(self._handles):
            try:
                error = yield from self._leave_one(h, error)
            finally:
                self.adapter.left(h.name)
        self._state = "over"
        return error

    def _leave_one(self, h: Handle, error: Optional[BaseException]) -> Acts:
        adapter = self.adapter
        if error is not None and adapter.is_broken_by(error):
            yield Act("close")
        if not adapter.is_closed():
            try:
                error = yield from self._leave_open(h, error)
            except Exception as e:  # the answer is not known
                yield Act("close")
                committing = error is None and not h._to_roll_back
                h.outcome = "unknown" if committing else "lost"
                answer = adapter.answer(e)
                if not adapter.is_of_driver(e) and not isinstance(e, (Error, Stuck, OSError)):
                    raise  # of a signal's handler
                if error is None:
                    error = self._lost(OutcomeUnknown if committing else ScopeLost, e, answer, h.name)
            except BaseException:
                yield Act("close")
                h.outcome = "unknown" if error is None and not h._to_roll_back else "lost"
                raise
        elif h.outcome == "open":
            h.outcome = "lost"
            if error is None:
                error = self._lost(ScopeLost, None, None, h.name)
        if error is None:
            return None
        error = self._told(h, error)
        adapter.left(h.name)
        if self._is_suppressed(h, error):
            h.error = error
            return None
        return error

    def _leave_open(self, h: Handle, error: Optional[BaseException]) -> Acts:
        """LEAVE on a connection that is there. Raises what says nothing of the outcome."""
        adapter = self.adapter
        adapter.check_usable()
        if error is not None or adapter.is_busy():
            yield Act("settle")
            if error is None:
                error = UsageError("a statement was not read to its end when its scope was left: it was rolled back",
                                   scope=h.name)
        good = error is None and not h._to_roll_back
        failed = False
        if good:
            try:
                self._left(h, (yield Act("run", "LEAVE " + h._item.leave())), "success")
                return None
            except Exception as e:
                answer = adapter.answer(e)
                if answer is None or adapter.is_closed():
                    raise
                error = answer.of_leave(h.name)
                failed = answer.sqlstate not in NOT_OPEN
        yield from self._roll_back(h, failed)
        return error

    def _roll_back(self, h: Handle, failed: bool) -> Acts:
        """LEAVE ROLLBACK, and whatever was entered or begun inside before it. `failed`: behind a LEAVE that has failed;
        most of these have ended the scope, but not all."""
        adapter = self.adapter
        for _ in range(1000):
            try:
                self._left(h, (yield Act("run", "LEAVE %s ROLLBACK" % h._item.leave())), "rolled back")
                return
            except Exception as e:
                answer = adapter.answer(e)
                if answer is None or adapter.is_closed():
                    raise
                if answer.sqlstate == "25001":
                    yield Act("run", "ROLLBACK")  # of a BEGIN inside
                elif answer.sqlstate == "55000" and _INNER.search(answer.message):
                    yield Act("run", "LEAVE ROLLBACK")
                elif answer.sqlstate in NOT_OPEN:
                    # The LEAVE before has ended it, or else the program itself, which may have committed it.
                    h.outcome = "rolled back" if failed else "unknown"
                    return
                elif answer.sqlstate != "57014":  # a cancel request that came late
                    raise
        raise Stuck("the scope cannot be left")

    @staticmethod
    def _left(h: Handle, tag: str, outcome: str) -> None:
        m = _ELAPSED.search(tag)
        h.elapsed = float(m.group(1)) / 1000 if m else None
        h.outcome = outcome

    def _told(self, h: Handle, error: BaseException) -> BaseException:
        """The driver's error as one of ours, if it tells how the scope has ended; else as it is."""
        adapter = self.adapter
        overdue = h._deadline is not None and time.monotonic() >= h._deadline
        answer = adapter.answer(error)
        if answer is not None and answer.ended == h.name:
            return answer.ended_error(h.name)
        if not adapter.is_closed():
            return error
        broken = adapter.is_broken_by(error)
        if overdue and (broken or (isinstance(error, ScopeLost) and error.__cause__ is not None and
                                   adapter.is_broken_by(error.__cause__))):
            text = 'scope "%s" was ended: its deadline has passed, and the connection was closed' % h.name
            e: Error = DeadlineExceeded(text, scope=h.name, sqlstate="57014")
            e.__cause__ = error
            return e
        if adapter.is_of_driver(error) or broken:
            return self._lost(ScopeLost, error, answer, h.name)
        return error

    def _is_suppressed(self, h: Handle, error: BaseException) -> bool:
        suppress = getattr(h._item, "suppress", False)
        if suppress is False or self.adapter.is_closed():
            return False
        if suppress is not True:
            return isinstance(error, suppress)
        answer = self.adapter.answer(error)
        if answer is not None:
            return answer.ended is None or not self.adapter.is_open(answer.ended)
        if isinstance(error, ScopeEnded):  # of this scope or of one inside, not of one around, which is still open
            return not self.adapter.is_open(error.scope or "")
        return isinstance(error, Error) and not isinstance(error, (UsageError, ScopeLost))


# ---- blocking --------------------------------------------------------------------------------------
def drive(adapter: Adapter, acts: Acts, patience: float = PATIENCE) -> Any:
    assert isinstance(adapter, Blocking)
    try:
        act = next(acts)
        while True:
            result = ""
            try:
                if act.what == "run":
                    result = adapter.run(act.sql, act.own)
                elif act.what == "settle":
                    adapter.settle(patience)
                else:
                    adapter.close()
            except BaseException as e:
                act = acts.throw(e)
            else:
                act = acts.send(result)
    except StopIteration as end:
        return end.value


class Scopes(_Owner):
    handle = Scope

    def _interrupted(self) -> None:
        """Ctrl-C, or what else a signal's handler raises, between any two steps of ours: what is open is not known."""
        assert isinstance(self.adapter, Blocking)
        for h in self._handles:
            self.adapter.left(h.name)
        self.adapter.close()

    def _entering(self) -> Tuple[Scope, ...]:
        try:
            drive(self.adapter, self._enter(), self._patience)
            return tuple(h for h in self._handles if isinstance(h, Scope))
        except BaseException:
            if self._state in ("asking", "entered"):
                self._interrupted()
            raise

    def _leaving(self, error: Optional[BaseException]) -> bool:
        """As __exit__()."""
        try:
            left = drive(self.adapter, self._leave(error), self._patience)
        except BaseException:
            if self._state in ("entered", "leaving"):
                self._interrupted()
            raise
        if left is not None and left is not error:
            raise left
        return error is not None and left is None

    def __exit__(self, kind: Any, error: Optional[BaseException], traceback: Any) -> bool:
        return self._leaving(error)


class OneScope(Scopes):
    def __enter__(self) -> Scope:
        return self._entering()[0]


class ManyScopes(Scopes):
    def __enter__(self) -> Tuple[Scope, ...]:
        return self._entering()


# ---- asynchronous ----------------------------------------------------------------------------------
async def adrive(adapter: Adapter, acts: Acts, patience: float = PATIENCE) -> Any:
    assert isinstance(adapter, Async)
    try:
        act = next(acts)
        while True:
            result = ""
            try:
                if act.what == "run":
                    result = await adapter.run(act.sql, act.own)
                elif act.what == "settle":
                    await adapter.settle(patience)
                else:
                    adapter.close()
            except BaseException as e:
                act = acts.throw(e)
            else:
                act = acts.send(result)
    except StopIteration as end:
        return end.value


class AsyncScopes(_Owner):
    """Our own statements run in a task of their own, so that the answer of each is seen even if the program's task is
    cancelled meanwhile. Its cancellation is raised when the scope has been dealt with."""

    handle = AsyncScope

    async def _see_through(self, work: Coroutine[Any, Any, Any], limit: Optional[float],
                           cancels: bool) -> Tuple[Any, Optional[asyncio.CancelledError]]:
        """Runs the work to its end. Returns its result, and the cancellation that came meanwhile. `limit`: seconds that
        it may take; when this task is cancelled, that is `patience` from then. `cancels`: a cancellation cancels the
        statement that runs. If its time is over the connection is closed."""
        adapter = self.adapter
        assert isinstance(adapter, Async)
        task = asyncio.ensure_future(work)
        request: "Optional[asyncio.Task[None]]" = None
        cancelled: Optional[asyncio.CancelledError] = None
        until = time.monotonic() + limit if limit is not None else None
        over = 0
        while not task.done() or (request is not None and not request.done()):
            waits = {t for t in (task, request) if t is not None and not t.done()}
            try:
                done, _ = await asyncio.wait(waits, timeout=None if until is None else max(until - time.monotonic(), 0))
            except asyncio.CancelledError as e:
                if cancelled is None:
                    cancelled = e
                    until = min(until or float("inf"), time.monotonic() + self._patience)
                    if cancels and not task.done():
                        request = asyncio.ensure_future(adapter.cancel())
                continue
            if done:
                continue
            # The time is over. First the driver lets go of the socket, then it is closed.
            over += 1
            until = time.monotonic() + 1.0
            if over == 1:
                for t in waits:
                    t.cancel()
            elif over == 2:
                adapter.close()
            else:
                break
        if over or (request is not None and (request.cancelled() or request.exception() is not None)):
            adapter.close()  # a request may still arrive
        if over and cancelled is None:
            self._over = True
            return None, None
        if not task.done() or task.cancelled():
            # The time is over, or the program ends (asyncio.run() cancels every task).
            adapter.close()
            return None, cancelled or asyncio.CancelledError()
        if cancelled is not None and task.exception() is not None:
            return None, cancelled
        return task.result(), cancelled

    async def _entering(self) -> None:
        _, cancelled = await self._see_through(adrive(self.adapter, self._enter()), None, True)
        if cancelled is None:
            return
        if self._state == "entered":
            await self._see_through(adrive(self.adapter, self._leave(cancelled), self._patience), self._patience, False)
        raise cancelled

    async def _leaving(self, error: Optional[BaseException]) -> bool:
        limit = None if error is None else self._patience
        work = adrive(self.adapter, self._leave(error), self._patience)
        left, cancelled = await self._see_through(work, limit, False)
        if cancelled is not None:
            raise cancelled
        if self._over:
            left = error
        if left is not None and left is not error:
            raise left
        return error is not None and left is None

    async def __aexit__(self, kind: Any, error: Optional[BaseException], traceback: Any) -> bool:
        return await self._leaving(error)


class OneAsyncScope(AsyncScopes):
    async def __aenter__(self) -> AsyncScope:
        await self._entering()
        handle = self._handles[0]
        assert isinstance(handle, AsyncScope)
        return handle


class ManyAsyncScopes(AsyncScopes):
    async def __aenter__(self) -> Tuple[AsyncScope, ...]:
        await self._entering()
        return tuple(h for h in self._handles if isinstance(h, AsyncScope))
