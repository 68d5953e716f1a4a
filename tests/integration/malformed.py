"""Messages that are not well formed, wherever they come: what PostgreSQL says of them is what the client gets,
also of those that pgwithd would have answered by itself, and the session goes on as PostgreSQL's does."""

from pgwtest import equal, main, test, wait_until, wire
from pgwtest.wire import message as m

QUERY, SYNC = wire.query, wire.sync()


def shape(r):
    return (r.kinds, r.tags, r.rows, [(e.sqlstate, e.message) for e in r.errors], r.status)


# Each ends in one ReadyForQuery.
BAD = {
    "BEGIN without its NUL": m("Q", b"BEGIN"),
    "BEGIN with a byte behind its NUL": m("Q", b"BEGIN\0x"),
    "BEGIN twice in one message": m("Q", b"BEGIN\0BEGIN\0"),
    "START TRANSACTION with a NUL too many": m("Q", b"START TRANSACTION\0\0"),
    "COMMIT without its NUL": m("Q", b"COMMIT"),
    "COMMIT with bytes behind": m("Q", b"COMMIT;\0\0\0"),
    "ROLLBACK with a byte behind": m("Q", b"ROLLBACK\0 "),
    "END without its NUL": m("Q", b"END"),
    "an empty body": m("Q", b""),
    "two NULs": m("Q", b"\0\0"),
    "SELECT without its NUL": m("Q", b"SELECT 1"),
    "LISTEN with bytes behind": m("Q", b"LISTEN x\0y"),
    "SET with bytes behind": m("Q", b"SET work_mem = '3MB'\0y"),
    "DISCARD ALL with bytes behind": m("Q", b"DISCARD ALL\0y"),
    "SAVEPOINT with bytes behind": m("Q", b"SAVEPOINT a\0y"),
    "ENTER with bytes behind": m("Q", b"ENTER a\0y"),
    "SHOW SCOPES without its NUL": m("Q", b"SHOW SCOPES"),
    "Sync with a body": m("S", b"x"),
    "Sync with a NUL": m("S", b"\0"),
    "Flush with a body": m("H", b"x") + SYNC,
    "Flush with a body, and more behind": m("H", b"xy") + wire.extended("SELECT 1") + QUERY("SELECT 2") + SYNC,
    "Parse without types": m("P", b"\0SELECT 1\0") + SYNC,
    "Parse of BEGIN with bytes behind": m("P", b"\0BEGIN\0\0\0\0") + wire.bind() + wire.execute() + SYNC,
    "Parse of a scope statement with bytes behind": m("P", b"\0SHOW SCOPES\0\0\0\0") + SYNC,
    "a named Parse with bytes behind": m("P", b"n\0SELECT 1\0\0\0\0") + SYNC,
    "Bind with bytes behind": wire.parse("SELECT 1") + m("B", b"\0\0\0\0\0\0\0\0\0") + wire.execute() + SYNC,
    "Bind cut short": wire.parse("SELECT 1") + m("B", b"\0\0\0\0\0\0") + SYNC,
    "Describe without a name": m("D", b"S") + SYNC,
    "Describe of a statement with bytes behind": wire.parse("SELECT 1", "d1") + m("D", b"Sd1\0x\0") + SYNC +
    wire.close_("S", "d1") + SYNC,
    "Close of a statement with bytes behind": wire.parse("SELECT 1", "d2") + m("C", b"Sd2\0x\0") + SYNC +
    wire.close_("S", "d2") + SYNC,
    "Execute cut short": wire.parse("SELECT 1") + wire.bind() + m("E", b"\0\0") + SYNC,
}
ANSWERS = {"Describe of a statement with bytes behind": 2, "Close of a statement with bytes behind": 2}

# What stands before it, in messages of their own.
STATES = [[], ["BEGIN"], ["BEGIN", "SELECT 1"], ["BEGIN", "SELECT 1/0"], ["BEGIN", "COMMIT"], ["BEGIN", "SAVEPOINT a"]]
BEHIND = ["SELECT 7", "COMMIT", "SHOW work_mem", "SELECT count(*) FROM pg_listening_channels()"]


def same(c, direct, data, answers, what):
    """The same bytes to both: the same answers."""
    for x in (c, direct):
        x.send(data)
    for i in range(answers):
        equal(shape(c.until_ready()), shape(direct.until_ready()), "%s, answer %d" % (what, i))


def all_of(t, d):
    other = t.client(d)
    for before in STATES:
        for what, bad in BAD.items():
            c, direct = d.connect(), t.cluster.connect(t.database)
            for sql in before:
                same(c, direct, QUERY(sql), 1, sql)
            same(c, direct, bad, ANSWERS.get(what, 1), "%s behind %s" % (what, before))
            for sql in BEHIND:
                same(c, direct, QUERY(sql), 1, "%s after %s behind %s" % (sql, what, before))
            c.close()
            direct.close()
            equal(other.value("SELECT 77"), "77", "another client's answer after " + what)
    other.close()
    d.quiet()


@test
def lazily(t):
    """every malformed message in every state of a transaction is answered as PostgreSQL answers it, where a
    plain BEGIN is answered without a server"""
    all_of(t, t.daemon(size=2, options={"lazy_begin": "on"}))


@test
def at_once(t):
    """the same where it is not"""
    all_of(t, t.daemon(size=2, options={"lazy_begin": "off"}))


@test
def whole_sessions(t):
    """the same with mode session"""
    all_of(t, t.daemon(size=3, options={"mode": "session"}))


@test
def one_write(t):
    """the same in one write with what stands before and behind"""
    d = t.daemon(size=1, options={"lazy_begin": "on"})
    for before in STATES:
        for what, bad in BAD.items():
            with d.connect() as c, t.cluster.connect(t.database) as direct:
                data = b"".join(QUERY(sql) for sql in before) + bad + b"".join(QUERY(sql) for sql in BEHIND)
                same(c, direct, data, len(before) + ANSWERS.get(what, 1) + len(BEHIND),
                     "%s behind %s" % (what, before))
    d.quiet()


def until_the_end(c, data):
    c.send(data)
    r = c.until_closed()
    return r.kinds, r.rows, r.tags, [e.sqlstate for e in r.errors]


@test
def behind_what_is_right(t):
    """what breaks the protocol ends the session when all that stands before it has been done and answered, as PostgreSQL does"""
    t.sql("CREATE TABLE done (i int)")
    d = t.daemon(size=1)
    n = 0
    for wrong in (m("z", b"abc"), b"\xff\0\0\0\4", b"Q\0\0\0\2", b"S\xff\xff\xff\xff", b"\0\0\0\0\0"):
        for before in (lambda insert: QUERY(insert), lambda insert: QUERY("SELECT pg_sleep(0.05)") + QUERY(insert),
                       lambda insert: wire.extended(insert) + SYNC, lambda insert: QUERY("BEGIN") + QUERY(insert),
                       lambda insert: QUERY("BEGIN") + QUERY(insert) + QUERY("COMMIT"),
                       lambda insert: QUERY("SELECT 1/0") + QUERY("SET work_mem = '3MB'") + QUERY(insert)):
            answers, rows = [], []
            for connect in (d.connect, lambda: t.cluster.connect(t.database)):
                n += 1
                c = connect()
                answers.append(until_the_end(c, before("INSERT INTO done VALUES (%d)" % n) + wrong))
                c.drop()
                rows.append(t.sql("SELECT count(*) FROM done WHERE i = %d" % n))
            kinds, *rest, sqlstates = answers[1]
            if not kinds.endswith("E"):  # PostgreSQL says nothing of a length that cannot be
                kinds, sqlstates = kinds + "E", sqlstates + ["08P01"]
            equal(answers[0], (kinds, *rest, sqlstates), "%r behind %r" % (wrong, before("INSERT")))
            equal(rows[0], rows[1], "what was done before %r: %r" % (wrong, before("INSERT")))
    # It waits for a server, and then it is done.
    holder = t.client(d)
    holder.sql("BEGIN; SELECT 1")
    c = d.connect()
    c.send(QUERY("INSERT INTO done VALUES (0)") + m("z"))
    wait_until(lambda: d.waiting() == 1, 5, "it waits")
    holder.sql("COMMIT")
    r = c.until_closed()
    equal((r.tags, [e.sqlstate for e in r.errors]), (["INSERT 0 1"], ["08P01"]), "behind a wait")
    equal(t.sql("SELECT count(*) FROM done WHERE i = 0"), [("1",)], "and done")
    d.quiet()


@test
def scope_statements(t):
    """a malformed message about a prepared scope statement costs an error, and nothing else"""
    d = t.daemon(size=1)
    c = t.client(d)
    c.send(wire.parse("ENTER a", "e") + SYNC)
    equal(c.until_ready().kinds, "1Z", "it is prepared")
    for bad in (m("B", b"\0e\0\0\0\0\0\0\0x"), m("B", b"\0e\0\0\0"), m("D", b"Se\0x"), m("C", b"Se\0x")):
        c.send(bad + SYNC)
        r = c.until_ready()
        equal(([(e.sqlstate, e.message) for e in r.errors], r.status), ([("08P01", "invalid message format")], "I"),
              repr(bad))
    c.send(wire.bind(statement="e") + wire.execute() + SYNC)
    equal(c.until_ready().status, "T", "the scope is entered")
    equal(c.ask("EXIT a").status, "I", "and exited")
    d.quiet()


if __name__ == "__main__":
    main()
