"""Scope statements over the wire, in few words: what a test of them says again and again."""

from . import wire
from .scopelog import pools
from .tap import check, equal


def refuses(c, sql, sqlstate, words="", status=None, extended=False):
    """One error with this SQLSTATE and these words in its message, and nothing else; returns it."""
    r = c.ask_extended(sql) if extended else c.ask(sql)
    equal([e.sqlstate for e in r.errors], [sqlstate], "the error of %r (%s)" % (sql, r.errors))
    check(words in r.errors[0].message, "%r in the message of %r: %r" % (words, sql, r.errors[0].message))
    if status:
        equal(r.status, status, "the status after %r" % sql)
    return r.errors[0]


def tags(c, sql, want, status=None, extended=False):
    """The command tags of a text that must succeed; the time of EXIT is left out."""
    r = c.ask_extended(sql) if extended else c.ask(sql)
    equal(r.errors, [], "errors of %r" % sql)
    equal([x.rsplit(" ", 2)[0] if x.startswith("EXIT") else x for x in r.tags], want, "the tags of %r" % sql)
    equal(r.kinds.count("Z"), 1, "ReadyForQuery of %r" % sql)
    if status:
        equal(r.status, status, "the status after %r" % sql)
    return r


def marks(t):
    return [r[0] for r in t.sql("SELECT a FROM marks ORDER BY ctid")]


def scene(t, *more, **options):
    """A table `marks`, a daemon with the pool db (and more), a client."""
    t.sql("CREATE TABLE marks (a text)")
    options.setdefault("size", 2)
    d = t.daemon(pools=pools(t, "db", *more, **options))
    return d, t.client(d)


def frames(c, *columns):
    """SHOW SCOPES: a list of dicts, or of tuples of some columns."""
    r = c.ask("SHOW SCOPES")
    rows = [dict(zip(r.columns, row)) for row in r.rows]
    return [tuple(row[name] for name in columns) for row in rows] if columns else rows


def exchange(c, *messages):
    c.send(b"".join(messages) + wire.sync())
    return c.until_ready()
