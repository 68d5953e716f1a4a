"""A plain BEGIN needs no server before the first statement behind it (option lazy_begin), and nobody can
tell but by now()."""

from pgwtest import check, equal, main, test, wait_until, wire

LAZY = {"lazy_begin": "on"}
QUERY = wire.query


def lazy(t, **pool):
    t.sql("CREATE TABLE x (a int)")
    return t.daemon(options=LAZY, **pool)


def rows(t):
    return t.sql("SELECT a FROM x ORDER BY a")


def shape(r):
    """What must be the same on a direct connection."""
    return (r.kinds, r.tags, r.rows, [e.sqlstate for e in r.errors], [n["C"] for n in r.notices], r.status)


# Each is sent Query by Query; tuples are sent in one write.
SCRIPTS = [
    ["BEGIN", "COMMIT"],
    ["BEGIN", "ROLLBACK"],
    ["begin work;", "END"],
    ["/* x */ START TRANSACTION -- y", "ABORT TRANSACTION ;"],
    ["BEGIN", "BEGIN", "SELECT 1", "COMMIT"],
    ["BEGIN", "SELECT 1", "COMMIT"],
    ["BEGIN", "SELECT 1/0", "SELECT 1", "COMMIT"],
    ["BEGIN", "SELEC", "BEGIN", "ROLLBACK"],
    ["BEGIN", "", "COMMIT"],
    ["BEGIN", "COMMIT AND CHAIN", "SHOW transaction_isolation", "COMMIT"],
    ["BEGIN", "SAVEPOINT a", "SELECT 1/0", "ROLLBACK TO a", "SELECT 2", "COMMIT"],
    ["BEGIN", "SELECT 1; COMMIT; SELECT 2"],
    ["BEGIN", "COMMIT; SELECT 2"],
    ["BEGIN", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SHOW transaction_isolation", "COMMIT"],
    ["BEGIN", "SET LOCAL work_mem = '3MB'", "SHOW work_mem", "COMMIT", "SHOW work_mem"],
    ["BEGIN", "SET work_mem = '5MB'", "ROLLBACK", "SHOW work_mem"],
    ["BEGIN", "VACUUM", "ROLLBACK"],
    ["BEGIN", "LOCK TABLE x IN SHARE MODE", "COMMIT"],
    ["BEGIN; SELECT 1", "COMMIT"],
    ["BEGIN READ ONLY", "INSERT INTO x VALUES (1)", "COMMIT"],
    ["BEGIN ISOLATION LEVEL SERIALIZABLE", "SHOW transaction_isolation", "ROLLBACK"],
    ["START", "START TRANSACTION", "COMMIT"],
    ["COMMIT", "ROLLBACK"],
    [("BEGIN", "COMMIT")],
    [("BEGIN", "SELECT 1", "COMMIT")],
    [("BEGIN", "SELECT 1/0", "SELECT 1", "COMMIT", "SELECT 2")],
    [("BEGIN", "COMMIT", "BEGIN", "ROLLBACK", "SELECT 3", "BEGIN", "SELECT 4"), "END"],
]


@test
def answers(t):
    """answers are those of a direct connection, whatever follows the BEGIN, one by one and in one write"""
    d = lazy(t)
    with d.connect() as c, t.cluster.connect(t.database) as direct:
        for script in SCRIPTS:
            for step in script:
                step = step if isinstance(step, tuple) else (step,)
                data = b"".join(QUERY(sql) for sql in step)
                c.send(data)
                direct.send(data)
                for sql in step:
                    equal(shape(c.until_ready()), shape(direct.until_ready()), "%r of %r" % (sql, script))
        # The extended protocol behind it, errors, and portals that must not be there.
        use = wire.extended("SELECT $1::int", (5,)) + wire.sync()
        for first, data, answers in (
                ("BEGIN", use, 1), ("BEGIN", wire.sync(), 1), ("BEGIN", wire.execute() + wire.sync(), 1),
                ("BEGIN", wire.describe("P") + wire.sync(), 1), ("BEGIN", wire.bind() + wire.sync(), 1),
                ("BEGIN", wire.extended("SELECT 1/0") + wire.sync() + use, 2),
                ("BEGIN", wire.extended("COMMIT") + wire.sync(), 1),
                ("BEGIN", wire.close_("S", "none") + wire.sync() + QUERY("COMMIT"), 2)):
            for x in (c, direct):
                x.send(QUERY(first) + data)
            for i in range(answers + 1):
                equal(shape(c.until_ready()), shape(direct.until_ready()), "%r, %d" % (data, i))
            equal(shape(c.ask("ROLLBACK")), shape(direct.ask("ROLLBACK")), "ROLLBACK after %r" % data)
    d.quiet()


@test
def needs_no_cleanup(t):
    """the server of a transaction that has ended is the next one's without a cleanup, and what comes next is answered"""
    d = lazy(t, size=1)
    for data, answers in ((QUERY("SELECT 1"), 1), (QUERY("SELECT 1") + QUERY("COMMIT"), 2),
                          (wire.extended("SELECT 1") + wire.sync(), 1),
                          (wire.extended("SELECT 1") + wire.sync() + QUERY("SELECT 2") + QUERY("COMMIT"), 3)):
        with d.connect() as c:
            c.send(QUERY("BEGIN") + data)
            for _ in range(answers + 1):
                c.until_ready()
            equal(c.ask("COMMIT").status, "I", "the end after %r" % data)
            equal(t.client(d).value("SELECT 'next'"), "next", "the next client after %r" % data)
    d.quiet()
    check(not d.log_has("cleanup done"), "no cleanup")


@test
def holds_nothing(t):
    """who has begun a transaction and no more holds no server, and its first statement waits for one"""
    d = lazy(t, wait_timeout="20s")
    begun = [t.client(d) for _ in range(5)]
    other = t.client(d)
    for c in begun:
        equal(c.ask("BEGIN").status, "T", "the status")
    equal(d.leased(), [], "servers in use")
    equal(other.value("SELECT 'other'"), "other", "the only server is another's")
    for i, c in enumerate(begun):
        c.send(QUERY("INSERT INTO x VALUES (%d)" % i))
    equal(begun[0].until_ready().status, "T", "the first")
    wait_until(lambda: d.waiting() == 4, 5, "the others wait")
    for i, c in enumerate(begun):
        if i:
            equal(c.until_ready().tags, ["INSERT 0 1"], "the next one")
        equal(rows(t), [(str(k),) for k in range(0, i, 2)], "what the others have committed")
        equal(c.ask("COMMIT" if i % 2 == 0 else "ROLLBACK").status, "I", "its end")
    equal(rows(t), [("0",), ("2",), ("4",)], "rows")
    begun[0].ask("BEGIN")
    begun[0].close()
    d.quiet()


@test
def no_server(t):
    """if no server can be had, the statement is refused and the transaction has failed: 25P02 up to its
    end, which is a ROLLBACK; nothing of it is done"""
    d = lazy(t, wait_timeout="200ms")
    holder, c = t.client(d), t.client(d)
    for end, tag in (("COMMIT", "ROLLBACK"), ("ROLLBACK", "ROLLBACK"), ("END", "ROLLBACK")):
        holder.sql("BEGIN; SELECT 1")
        equal(c.ask("BEGIN").status, "T", "BEGIN")
        r = c.ask("INSERT INTO x VALUES (1)")
        equal(([e.sqlstate for e in r.errors], r.status), (["53300"], "E"), "the first statement")
        holder.sql("COMMIT")
        for ask in (c.ask, c.ask_extended):
            r = ask("INSERT INTO x VALUES (2)")
            equal(([e.sqlstate for e in r.errors], r.status), (["25P02"], "E"), "the next one")
        r = c.ask("BEGIN")
        equal(([e.sqlstate for e in r.errors], r.status), (["25P02"], "E"), "another BEGIN")
        equal(d.leased(), [], "servers in use")
        r = c.ask(end)
        equal((r.errors, r.tags, r.status), ([], [tag], "I"), end)
        equal(c.value("SELECT 'fine'"), "fine", "afterwards")
    equal(rows(t), [], "rows")
    # In one write: the rest of it must not run outside of the transaction.
    holder.sql("BEGIN; SELECT 1")
    c.send(QUERY("BEGIN") + QUERY("INSERT INTO x VALUES (3)") + QUERY("INSERT INTO x VALUES (4)") +
           QUERY("COMMIT"))
    equal([shape(c.until_ready())[3:] for _ in range(4)],
          [([], [], "T"), (["53300"], [], "E"), (["25P02"], [], "E"), ([], [], "I")], "in one write")
    holder.sql("COMMIT")
    equal(rows(t), [], "rows")
    d.quiet()


@test
def begin_fails(t):
    """a statement is not executed if its BEGIN fails on the server"""
    d = lazy(t)
    t.sql("CREATE FUNCTION note() RETURNS int LANGUAGE sql AS 'INSERT INTO x VALUES (9) RETURNING a'")
    # A server on which a transaction has been left open answers BEGIN with a warning only; one whose
    # backend ends answers nothing: that is the failure that can be made from outside.
    for send in (lambda c: c.send(QUERY("SELECT note()")),
                 lambda c: c.send(wire.extended("SELECT note()") + wire.sync())):
        with d.connect() as c:
            pid = c.backend()
            equal(c.ask("BEGIN").status, "T", "BEGIN")
            t.sql("SELECT pg_terminate_backend(%d, 5000)" % pid)
            try:
                send(c)
                r = c.until_ready()
                check(r.errors or r.status == "T", "an error, or a transaction on another server")
            except (wire.Closed, ConnectionError):
                pass
        equal(rows(t), [], "rows")
    d.quiet()


@test
def off(t):
    """with lazy_begin = off, a BEGIN takes a server at once"""
    d = t.daemon(options={"lazy_begin": "off"})
    with d.connect() as c:
        c.sql("BEGIN")
        equal(len(d.leased()), 1, "servers in use")
        c.sql("COMMIT")
    d.quiet()


if __name__ == "__main__":
    main()
