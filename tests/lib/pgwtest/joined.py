"""Joined scopes: members, and programs that are run alone on a direct connection and by a member."""

from .tap import equal


def enter_token(c, statement="ENTER a JOINABLE"):
    """The connection enters a joinable scope. Returns its token."""
    c.sql(statement)
    return c.ask("SHOW SCOPES").rows[0][-1]


def enter(t, d, statement="ENTER a JOINABLE"):
    """The owner of a joinable scope, and a function that makes members of it."""
    c = d.connect("db")
    t.defer(c.close)
    token = enter_token(c, statement)

    def member(**more):
        w = d.connect("db", options="-c pgwith.join=" + token, **more)
        t.defer(w.close)
        return w
    return c, member


def answer(w, sql, extended):
    """What a statement is answered, as can be compared."""
    r = w.ask_extended(sql) if extended else w.ask(sql)
    tags = [] if r.errors and extended else r.tags     # the tag comes ahead of the error of a commit
    return sql, tags, r.rows, [(e.sqlstate, e.message) for e in r.errors], [n["M"] for n in r.notices], r.status


def compare(t, d, name, statements, setup, first=()):
    """Runs the statements alone and as a member, between whose units others work: the answers are the same. `first` are
    statements whose answers are not compared."""
    for extended in False, True:
        setup()
        w = t.direct()
        for s in first:
            w.ask(s)
        want = [answer(w, s, extended) for s in statements]
        w.close()
        setup()
        c, member = enter(t, d)
        m, other = member(), member()
        for s in first:
            m.ask(s)
        status = "I"
        for s, expected in zip(statements, want):
            if status == "I" and t.random.random() < 0.5:
                other.ask("SELECT 1")
            got = answer(m, s, extended)
            status = got[-1]
            equal(got, expected, "%s, %s: %r" % (name, "extended" if extended else "simple", s))
        c.sql("EXIT ROLLBACK")
        for w in c, m, other:
            w.close()
