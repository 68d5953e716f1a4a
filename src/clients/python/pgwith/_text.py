"""Scope statements as text. The grammar is that of pgwith-scopes(7).

A statement goes to pgwithd as one simple query without parameters, so that it takes one round trip, is never prepared,
and is the same for every driver. All that comes from the program is quoted here, and only here."""

import decimal
from datetime import timedelta
from typing import Optional, Sequence, Union

Duration = Union[timedelta, int, float, str]
Value = Union[str, int, float, bool, decimal.Decimal, None]

ISOLATION = ("SERIALIZABLE", "REPEATABLE READ", "READ COMMITTED", "READ UNCOMMITTED")


def name(text: str, what: str = "the name of a scope") -> str:
    """An identifier, in double quotes: taken as it is, neither folded to lower case nor mistaken for a word of the
    grammar. Backslashes mean nothing there."""
    if not isinstance(text, str):
        raise TypeError("%s is a str, not %r" % (what, text))
    if not text or "\0" in text:
        raise ValueError("%s cannot be empty, nor have a NUL character: %r" % (what, text))
    return '"' + text.replace('"', '""') + '"'


def string(text: str, what: str = "the value") -> str:
    """A string constant. Plain ASCII stands between single quotes. What has a backslash is in dollar quotes, where
    nothing is an escape, whatever standard_conforming_strings is; so is what is not ASCII, because a character of some
    client encodings (SJIS, GBK, BIG5) has a byte that looks like a backslash."""
    if not isinstance(text, str):
        raise TypeError("%s is a str, not %r" % (what, text))
    if "\0" in text:
        raise ValueError("%s cannot have a NUL character: %r" % (what, text))
    if text.isascii() and "\\" not in text:
        return "'" + text.replace("'", "''") + "'"
    tag, n = "$q$", 0
    while (text + tag).index(tag) != len(text):
        n += 1
        tag = "$q%d$" % n
    return tag + text + tag


def argument(value: Value) -> str:
    """An argument of a defined scope. pgwithd passes each on as text."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, (int, float, decimal.Decimal)):
        return string(str(value))
    return string(value, "an argument of a scope (str, int, float, Decimal, bool or None)")


def seconds(value: Duration) -> Optional[float]:
    """A duration in seconds; None for a text, whose unit pgwithd reads."""
    if isinstance(value, str):
        return None
    return value.total_seconds() if isinstance(value, timedelta) else float(value)


def duration(value: Duration, what: str) -> str:
    """A number is in seconds, as everywhere in Python; a text is written as in pgwith.conf(5), '250ms'."""
    if isinstance(value, str):
        return string(value, what)
    if isinstance(value, bool) or not isinstance(value, (timedelta, int, float)):
        raise TypeError("%s is a timedelta, a number of seconds, or a str as '2s': %r" % (what, value))
    s = seconds(value)
    if s is None or not 0 <= s < 1e12:  # NaN is no duration either
        raise ValueError("%s cannot be %r" % (what, value))
    # Not less than was asked for, as 0 means something else.
    us = round(s * 1e6) or (1 if s > 0 else 0)
    return "'%dms'" % (us // 1000) if us % 1000 == 0 else "'%dus'" % us


def isolation(level: str) -> str:
    words = " ".join(str(level).replace("_", " ").replace("-", " ").upper().split())
    if words not in ISOLATION:
        raise ValueError("isolation is one of %s: %r" % (", ".join(ISOLATION).lower(), level))
    return "ISOLATION LEVEL " + words


def arguments(values: Sequence[Value]) -> str:
    if isinstance(values, (str, bytes)):
        raise TypeError("args is a sequence of values, not one text: %r" % (values,))
    return "(" + ", ".join(argument(v) for v in values) + ")"
