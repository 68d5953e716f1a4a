"""What can be entered. An item is a value: nothing happens until it is given to scopes()."""

from dataclasses import dataclass
from typing import List, Optional, Sequence, Tuple, Type, Union

from . import _text
from ._text import Duration, Value

Suppressed = Union[bool, Type[BaseException], Tuple[Type[BaseException], ...]]


@dataclass(frozen=True)
class Item:
    """What all items have in common."""

    name: str

    #: the name of the open scope
    @property
    def scope(self) -> str:
        return self.name

    def enter(self) -> str:
        """Its text behind ENTER."""
        raise NotImplementedError

    def leave(self) -> str:
        """How it is named behind LEAVE."""
        return _text.name(self.scope)


def _check_suppress(suppress: Suppressed) -> None:
    kinds = suppress if isinstance(suppress, tuple) else (suppress,)
    for kind in kinds:
        if not isinstance(kind, bool) and not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise TypeError("suppress is True, False, an exception class or a tuple of them: %r" % (suppress,))


def _clauses(words: List[str], wait: Optional[Duration], deadline: Optional[Duration], suppress: Suppressed) -> str:
    _check_suppress(suppress)
    if wait is not None:
        words.append("WAIT " + _text.duration(wait, "wait"))
    if deadline is not None:
        words.append("DEADLINE " + _text.duration(deadline, "deadline"))
    if suppress is not False:
        words.append("SUPPRESS")
    return " ".join(words)


@dataclass(frozen=True)
class Transaction(Item):
    """A transaction on a pool; inside of one of the same pool, a savepoint, unless `new`."""

    pool: Optional[str] = None
    new: bool = False
    read_only: Optional[bool] = None
    isolation: Optional[str] = None
    wait: Optional[Duration] = None
    deadline: Optional[Duration] = None
    suppress: Suppressed = False

    def enter(self) -> str:
        words = [_text.name(self.name)]
        if self.pool is not None:
            words.append("ON " + _text.name(self.pool, "the name of a pool"))
        if self.new:
            words.append("NEW")
        if self.read_only is not None:
            words.append("READ ONLY" if self.read_only else "READ WRITE")
        if self.isolation is not None:
            words.append(_text.isolation(self.isolation))
        return _clauses(words, self.wait, self.deadline, self.suppress)


@dataclass(frozen=True)
class Defined(Item):
    """A scope that the administrator has defined, with its arguments."""

    args: Sequence[Value] = ()
    as_: Optional[str] = None
    pool: Optional[str] = None
    wait: Optional[Duration] = None
    deadline: Optional[Duration] = None
    suppress: Suppressed = False

    @property
    def scope(self) -> str:
        return self.name if self.as_ is None else self.as_

    def enter(self) -> str:
        words = [_text.name(self.name)]
        if self.as_ is not None:
            words.append("AS " + _text.name(self.as_))
        words.append(_text.arguments(self.args))
        if self.pool is not None:
            words.append("ON " + _text.name(self.pool, "the name of a pool"))
        return _clauses(words, self.wait, self.deadline, self.suppress)


@dataclass(frozen=True)
class Lock(Item):
    """A named lock of the daemon; with `pool`, an advisory lock in that pool's database."""

    shared: bool = False
    pool: Optional[str] = None
    as_: Optional[str] = None
    wait: Optional[Duration] = None
    deadline: Optional[Duration] = None
    suppress: Suppressed = False

    @property
    def scope(self) -> str:
        return self.name if self.as_ is None else self.as_

    def enter(self) -> str:
        words = ["LOCK " + _text.string(self.name, "the name of a lock")]
        if self.pool is not None:
            words.append("ON " + _text.name(self.pool, "the name of a pool"))
        if self.shared:
            words.append("SHARED")
        if self.as_ is not None:
            words.append("AS " + _text.name(self.as_))
        return _clauses(words, self.wait, self.deadline, self.suppress)

    def leave(self) -> str:
        return _text.string(self.scope)


@dataclass(frozen=True)
class Semaphore(Item):
    """As a lock that `limit` sessions may have at a time."""

    limit: int = 1
    as_: Optional[str] = None
    wait: Optional[Duration] = None
    deadline: Optional[Duration] = None
    suppress: Suppressed = False

    @property
    def scope(self) -> str:
        return self.name if self.as_ is None else self.as_

    def enter(self) -> str:
        if isinstance(self.limit, bool) or not isinstance(self.limit, int):
            raise TypeError("limit is a number: %r" % (self.limit,))
        words = ["SEMAPHORE " + _text.string(self.name, "the name of a semaphore"), "LIMIT '%d'" % self.limit]
        if self.as_ is not None:
            words.append("AS " + _text.name(self.as_))
        return _clauses(words, self.wait, self.deadline, self.suppress)

    def leave(self) -> str:
        return _text.string(self.scope)
