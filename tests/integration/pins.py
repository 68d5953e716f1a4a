"""What keeps a session on its server and what lets it go again, and what needs no server at all."""

from pgwtest import check, equal, main, test, wait_until, wire


def pinned(d, pid=None):
    """Why sessions of the pool keep their servers."""
    return sorted(c["pinned"] for c in d.clients() if c["pinned"])


# ---- prepared statements ---------------------------------------------------------------------------
@test
def parse_without_server(t):
    """a text that is prepared on a server in use is prepared for others without waiting for one"""
    d = t.daemon(size=1)
    a, b, c = t.client(d), t.client(d), t.client(d)
    text = "SELECT $1::int + 1"
    a.send(wire.parse(text, "mine") + wire.sync())
    equal(a.until_ready().kinds, "1Z", "the first")
    a.sql("BEGIN; SELECT 1")
    b.send(wire.parse(text, "yours") + wire.sync())
    equal((b.until_ready().kinds, b.status), ("1Z", "I"), "its Parse while the server is in use")
    b.send(wire.bind([1], statement="yours") + wire.execute() + wire.sync())
    # Another text, and a name that is there, are for the server to judge.
    c.send(wire.parse("SELECT nonsense", "other") + wire.sync())
    wait_until(lambda: d.waiting() == 2, 5, "both wait")
    check(b.silent() and c.silent(), "they wait")
    a.sql("COMMIT")
    r = b.until_ready()
    equal((r.rows, r.errors), ([("2",)], []), "its answer")
    equal([e.sqlstate for e in c.until_ready().errors], ["42703"], "the other's error")
    a.sql("BEGIN; SELECT 1")
    b.send(wire.parse(text, "yours") + wire.sync())
    a.sql("COMMIT")
    equal([e.sqlstate for e in b.until_ready().errors], ["42P05"], "a name twice")
    b.send(wire.close_("S", "yours") + wire.sync())
    equal(b.until_ready().kinds, "3Z", "it is closed")
    d.quiet()


if __name__ == "__main__":
    main()
