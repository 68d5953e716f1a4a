"""The family of errors. Each keeps the driver's own error as __cause__, if there is one."""

import re
from typing import Optional, Type


class Error(Exception):
    """Whatever goes wrong with a scope. `scope`: its name. The other attributes are those of the answer, if there was
    one: `sqlstate`, `message`, `detail`, `hint`."""

    def __init__(self, message: str, *, scope: Optional[str] = None, sqlstate: Optional[str] = None,
                 detail: Optional[str] = None, hint: Optional[str] = None) -> None:
        super().__init__(message)
        self.message, self.scope, self.sqlstate, self.detail, self.hint = message, scope, sqlstate, detail, hint

    def __str__(self) -> str:
        text = self.message
        if self.detail:
            text += "\nDETAIL:  " + self.detail
        if self.hint:
            text += "\nHINT:  " + self.hint
        return text


class UsageError(Error):
    """The program asks for something that is not possible there: a name that is open already, a pool that does not
    exist, the wrong order, a connection that is not in autocommit mode. Nothing was entered."""


class EnterError(Error):
    """The scope could not be entered, and nothing is held."""


class WaitTimeout(EnterError):
    """No server connection, lock or semaphore became free in time (`wait`, or the pool's wait_timeout), or too many
    wait already (max_waiting)."""


class Deadlock(EnterError):
    """Sessions would wait for each other for ever (40P01)."""


class EnterCanceled(EnterError):
    """A cancel request, or an administrator, has ended the wait (57014)."""


class Unreachable(EnterError):
    """PostgreSQL cannot be reached (08001, 57P03)."""


class ScopeEnded(Error):
    """The daemon has ended the scope while it was open: it was rolled back, and the connection goes on."""


class DeadlineExceeded(ScopeEnded):
    """Its deadline has passed, or a time limit of the pool: idle_in_scope_timeout, query_timeout, scope_deadline."""


class ScopeKilled(ScopeEnded):
    """An administrator has ended it."""


class ScopeFailed(Error):
    """A statement had failed in the scope, and the program went on as if it had not: all was rolled back."""


class CommitRefused(Error):
    """PostgreSQL has refused the commit, and all was rolled back. `sqlstate` is PostgreSQL's."""

    @property
    def retryable(self) -> bool:
        """Can the same succeed when it is tried again?"""
        return self.sqlstate in ("40001", "40P01")


class ScopeLost(Error):
    """The connection was lost or had to be closed with the scope open. The daemon rolls it back."""


class OutcomeUnknown(ScopeLost):
    """The connection was lost while the scope was committed: that may have been done or not."""


#: how pgwithd says that it has ended a scope (src/base/err.c)
ENDED = re.compile(r'^scope "(?P<scope>.*)" was ended(?P<how>: its deadline of |: no statement came for longer than |'
                   r': a statement took longer than | by an administrator)', re.S)
ENTERING = {"40P01": Deadlock, "53300": WaitTimeout, "55P03": WaitTimeout, "57014": EnterCanceled, "08001": Unreachable,
            "57P03": Unreachable, "08006": ScopeLost, "57P01": ScopeLost}
#: of statements that were understood and refused, with nothing changed
REFUSED = frozenset(("42601", "22023", "0A000", "54000", "3D000", "42704", "42710", "55000", "25001", "25P02", "2D000",
                     "3B001", "42501", "28000"))


class Answer:
    """An error answer, whatever the driver: what its adapter has found in the driver's exception."""

    def __init__(self, cause: BaseException, sqlstate: Optional[str], message: str, detail: Optional[str],
                 hint: Optional[str]) -> None:
        self.cause, self.sqlstate, self.message, self.detail, self.hint = cause, sqlstate, message, detail, hint
        m = ENDED.match(message) if sqlstate == "57014" else None
        #: the scope that it says was ended
        self.ended: Optional[str] = m.group("scope") if m else None
        self.killed = bool(m) and m is not None and m.group("how") == " by an administrator"

    def error(self, kind: Type[Error], scope: Optional[str]) -> Error:
        e = kind(self.message, scope=scope, sqlstate=self.sqlstate, detail=self.detail, hint=self.hint)
        e.__cause__ = self.cause
        return e

    def ended_error(self, scope: Optional[str]) -> Error:
        return self.error(ScopeKilled if self.killed else DeadlineExceeded, scope)

    def of_enter(self, scope: str) -> Error:
        if self.ended is not None:  # the scope around has ended, or the wait went beyond the new one's deadline
            return self.ended_error(self.ended)
        if self.sqlstate == "42601" and 'at or near "ENTER"' in self.message:
            self.hint = "the connection does not lead to pgwithd"
        if self.sqlstate in ENTERING:
            return self.error(ENTERING[self.sqlstate], scope)
        return self.error(UsageError if self.sqlstate in REFUSED else EnterError, scope)

    def of_leave(self, scope: str) -> Error:
        if self.ended is not None:
            return self.ended_error(self.ended)
        if self.sqlstate == "40000":
            return self.error(ScopeFailed, scope)
        if self.sqlstate in ("55000", "25001", "42704"):
            return self.error(UsageError, scope)
        return self.error(CommitRefused, scope)

    def of_statement(self, scope: str) -> Error:
        """Of USE and DEFER."""
        return self.ended_error(self.ended) if self.ended is not None else self.error(UsageError, scope)
