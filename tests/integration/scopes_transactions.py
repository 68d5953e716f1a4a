"""Transactions and savepoints of the client's own: inside of scopes, and around them."""

from pgwtest import check, equal, main, test, wire
from pgwtest.scopelog import all_quiet, pools
from pgwtest.scopewire import exchange, frames, marks, refuses, scene, tags


# ---- transactions of the client's own ---------------------------------------------------------------
@test
def the_end_is_refused(t):
    """COMMIT and what else would end the transaction behind its back: 2D000, nothing changes"""
    d, c = scene(t)
    tags(c, "ENTER a; INSERT INTO marks VALUES ('kept')", ["ENTER", "INSERT 0 1"], "T")
    for sql in ("COMMIT", "END", "commit work;", "/* */ COMMIT -- x", "COMMIT AND CHAIN",
                "ROLLBACK AND CHAIN", "PREPARE TRANSACTION 'x'", "COMMIT; SELECT 1"):
        e = refuses(c, sql, "2D000", '"a"', "T")
        check("LEAVE" in e.hint, "the hint: %s" % e.hint)
        if sql.count(";") == 0:
            refuses(c, sql, "2D000", '"a"', "T", extended=True)
    # Prepared before, and bound now.
    other = t.client(d)
    other.send(wire.parse("COMMIT", "bye") + wire.parse("END", "oh") + wire.sync())
    other.until_ready()
    tags(other, "ENTER b; INSERT INTO marks VALUES ('too')", ["ENTER", "INSERT 0 1"])
    for name in ("bye", "oh"):
        other.send(wire.bind(statement=name) + wire.execute() + wire.sync())
        r = other.until_ready()
        equal(([e.sqlstate for e in r.errors], r.status), (["2D000"], "T"), "prepared " + name)
    tags(other, "EXIT", ["EXIT b"], "I")
    equal(marks(t), ["too"], "the rows")
    # A failed one as well.
    refuses(c, "SELECT 1/0", "22012", status="E")
    refuses(c, "COMMIT", "2D000", status="E")
    refuses(c, "EXIT", "40000", status="I")
    # Only its own transaction is guarded.
    tags(c, "ENTER LOCK 'l'; BEGIN; SELECT 1; COMMIT; EXIT", ["ENTER", "BEGIN", "SELECT 1", "COMMIT", "EXIT l"])
    all_quiet(d, "db")


@test
def begin_is_harmless(t):
    """a second BEGIN inside a scope is PostgreSQL's warning; a block that commits gets PostgreSQL's error"""
    d, c = scene(t)
    tags(c, "ENTER a; BEGIN", ["ENTER", "BEGIN"])
    for sql in ("BEGIN", "START TRANSACTION"):
        r = tags(c, sql, [sql], "T")
        equal([n["C"] for n in r.notices], ["25001"], "the warning")
    tags(c, "COMMIT", ["COMMIT"], "T")
    refuses(c, "DO $$ BEGIN COMMIT; END $$", "2D000", status="E")
    refuses(c, "EXIT", "40000", status="I")
    all_quiet(d, "db")


@test
def savepoints(t):
    """SAVEPOINT, RELEASE and ROLLBACK TO work inside a scope, also after an error"""
    d, c = scene(t)
    c.sql("ENTER a; SAVEPOINT one; INSERT INTO marks VALUES ('1')")
    refuses(c, "SELECT 1/0", "22012", status="E")
    tags(c, "ROLLBACK TO one", ["ROLLBACK"], "T")
    c.sql("INSERT INTO marks VALUES ('2'); RELEASE SAVEPOINT one")
    tags(c, "EXIT", ["EXIT a"], "I")
    equal(marks(t), ["2"], "the rows")
    all_quiet(d, "db")


@test
def savepoints_across(t):
    """a savepoint of outside a savepoint scope cannot be used inside it: 3B001; its own can"""
    d, c = scene(t)
    c.sql("ENTER a; SAVEPOINT outer_one; ENTER b; INSERT INTO marks VALUES ('in b')")
    for sql in ("ROLLBACK TO outer_one", "RELEASE outer_one", "ROLLBACK TO SAVEPOINT \"outer_one\"",
                "rollback work to Outer_One", "SELECT 1; ROLLBACK TO outer_one", "ROLLBACK TO pgwith_2",
                "RELEASE pgwith_2"):
        refuses(c, sql, "3B001", '"b"', "T")
        if ";" not in sql:
            refuses(c, sql, "3B001", '"b"', "T", extended=True)
    refuses(c, "SAVEPOINT pgwith_9", "0A000", "pgwith_", "T")
    tags(c, 'SAVEPOINT "In";INSERT INTO marks VALUES (\'gone\')', ["SAVEPOINT", "INSERT 0 1"])
    refuses(c, "SELECT nonsense", "42703", status="E")
    tags(c, 'ROLLBACK TO "In"', ["ROLLBACK"], "T")
    refuses(c, "ROLLBACK TO \"IN\"", "3B001")
    tags(c, 'RELEASE "In"', ["RELEASE"], "T")
    refuses(c, 'RELEASE "In"', "3B001", status="T")
    tags(c, "EXIT b", ["EXIT b"], "T")
    equal(frames(c, "name"), [("a",)], "scopes")
    # Outside it is there still.
    tags(c, "ROLLBACK TO outer_one; RELEASE outer_one; EXIT a", ["ROLLBACK", "RELEASE", "EXIT a"], "I")
    equal(marks(t), [], "the rows")
    all_quiet(d, "db")


@test
def savepoints_named_as_words(t):
    """a savepoint may be called as a word of its statements: it is kept apart in a savepoint scope as any other"""
    d, c = scene(t)
    for name in ("work", "Transaction", "savepoint"):
        c.sql("ENTER a; SAVEPOINT %s; ENTER b; INSERT INTO marks VALUES ('in b')" % name)
        for sql in ("ROLLBACK TO %s", "ROLLBACK WORK TO %s", "rollback transaction to savepoint %s", "RELEASE %s",
                    "RELEASE SAVEPOINT %s"):
            refuses(c, sql % name, "3B001", '"b"', "T")
        tags(c, "SAVEPOINT %s; ROLLBACK TO %s; RELEASE SAVEPOINT %s" % (name, name, name), ["SAVEPOINT", "ROLLBACK", "RELEASE"])
        tags(c, "EXIT b; ROLLBACK TO %s; RELEASE %s; EXIT a" % (name, name), ["EXIT b", "ROLLBACK", "RELEASE", "EXIT a"], "I")
    equal(marks(t), [], "the rows")
    all_quiet(d, "db")


@test
def savepoint_by_old_names(t):
    """ROLLBACK TO that was prepared or bound before the savepoint scope does not reach across it"""
    d, c = scene(t)
    c.send(wire.parse("ROLLBACK TO one", "back") + wire.parse("SAVEPOINT one", "point") + wire.sync())
    c.until_ready()
    tags(c, "ENTER a", ["ENTER"])
    c.send(wire.bind(statement="point") + wire.execute() + wire.bind(portal="p", statement="back") + wire.sync())
    equal(c.until_ready().errors, [], "before")
    tags(c, "ENTER b; INSERT INTO marks VALUES ('in b')", ["ENTER", "INSERT 0 1"])
    c.send(wire.bind(statement="back") + wire.execute() + wire.sync())
    equal([e.sqlstate for e in c.until_ready().errors], ["3B001"], "prepared before")
    tags(c, "EXIT ALL", ["EXIT ALL"], "I")
    equal(marks(t), ["in b"], "the rows")
    all_quiet(d, "db")


@test
def portal_across(t):
    """a portal of ROLLBACK TO that was bound before the savepoint scope breaks it: an error, nothing else"""
    d, c = scene(t)
    exchange(c, wire.parse("ROLLBACK TO one", "back"))
    c.sql("ENTER a; INSERT INTO marks VALUES ('in a'); SAVEPOINT one")
    exchange(c, wire.bind(portal="p", statement="back"))
    c.sql("ENTER b; INSERT INTO marks VALUES ('in b')")
    exchange(c, wire.execute("p"))
    c.send(wire.query("EXIT"))
    r = c.until("Z")
    check(r.errors, "EXIT is an error")
    c.drop()
    all_quiet(d, "db")
    equal(marks(t), [], "the rows")


@test
def savepoints_as_drivers_use_them(t):
    """RELEASE in a failed transaction, then ROLLBACK TO: what was refused has changed nothing"""
    d, c = scene(t)
    c.sql("ENTER a; ENTER b; SAVEPOINT one; SAVEPOINT two")
    refuses(c, "SELECT 1/0", "22012", status="E")
    refuses(c, "RELEASE two", "25P02", status="E")
    refuses(c, "SAVEPOINT three", "25P02", status="E")
    tags(c, "ROLLBACK TO two; RELEASE two", ["ROLLBACK", "RELEASE"], "T")
    refuses(c, "SAVEPOINT four; SELECT 1/0", "22012", status="E")
    tags(c, "ROLLBACK TO one", ["ROLLBACK"], "T")
    refuses(c, "ROLLBACK TO four", "3B001", status="T")
    refuses(c, "SAVEPOINT five; ROLLBACK TO outside", "3B001", status="T")
    refuses(c, "ROLLBACK TO five", "3B001", status="T")
    tags(c, "RELEASE one; EXIT ALL", ["RELEASE", "EXIT ALL"], "I")
    all_quiet(d, "db")


# ---- inside the client's own BEGIN ------------------------------------------------------------------
def own_begin(t, lazy):
    d = t.daemon(pools=pools(t, "db", "p2", size=2), options={"lazy_begin": lazy})
    t.sql("CREATE TABLE marks (a text)")
    c = t.client(d)
    c.sql("BEGIN")
    tags(c, "ENTER sp; INSERT INTO marks VALUES ('1')", ["ENTER", "INSERT 0 1"], "T")
    equal(frames(c, "kind"), [("implicit",), ("savepoint",)], "SHOW SCOPES")
    refuses(c, "COMMIT", "2D000", status="T")
    refuses(c, "SELECT 1/0", "22012", status="E")
    refuses(c, "EXIT", "40000", '"sp"', "T")
    tags(c, "INSERT INTO marks VALUES ('2'); COMMIT", ["INSERT 0 1", "COMMIT"], "I")
    c.sql("BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY")
    c.sql("ENTER LOCK 'l', b ON p2; INSERT INTO marks VALUES ('3')")
    tags(c, "EXIT ALL", ["EXIT ALL"], "T")
    equal(c.ask("SHOW transaction_isolation; SHOW transaction_read_only").rows, [("serializable",), ("on",)], "its own")
    refuses(c, "EXIT", "55000", "no scope")
    tags(c, "ROLLBACK", ["ROLLBACK"], "I")
    # A failed one takes no scopes.
    c.sql("BEGIN")
    refuses(c, "SELECT 1/0", "22012", status="E")
    refuses(c, "ENTER a", "25P02", status="E")
    tags(c, "ROLLBACK", ["ROLLBACK"], "I")
    # One text.
    tags(c, "BEGIN; ENTER sp; INSERT INTO marks VALUES ('4'); EXIT; COMMIT",
         ["BEGIN", "ENTER", "INSERT 0 1", "EXIT sp", "COMMIT"], "I")
    # An inner one that fails marks it.
    t.sql("CREATE TABLE parent (a int PRIMARY KEY);"
          "CREATE TABLE child (a int REFERENCES parent DEFERRABLE INITIALLY DEFERRED)")
    c.sql("BEGIN; ENTER b NEW; INSERT INTO child VALUES (1)")
    refuses(c, "EXIT", "23503")
    c.ask("ROLLBACK")
    # The client goes.
    pids = d.server_pids()
    c.sql("BEGIN; INSERT INTO marks VALUES ('5'); ENTER sp, b ON p2")
    c.drop()
    all_quiet(d, "db", "p2")
    equal(d.server_pids(), pids, "servers")
    equal(marks(t), ["2", "3", "4"], "rows")


@test
def inside_begin(t):
    """scopes inside the client's own BEGIN: savepoints in it; COMMIT waits for their end"""
    own_begin(t, "off")


@test
def inside_lazy_begin(t):
    """the same where no server knows of the BEGIN yet"""
    own_begin(t, "on")


@test
def begin_inside_a_lock(t):
    """BEGIN with a lock around it: EXIT has to wait for COMMIT; the lock goes when the client does"""
    d, c = scene(t)
    c.sql("ENTER LOCK 'l'; BEGIN; INSERT INTO marks VALUES ('1')")
    refuses(c, "EXIT", "25001", status="T")
    tags(c, "COMMIT; EXIT", ["COMMIT", "EXIT l"], "I")
    c.sql("ENTER LOCK 'l'; BEGIN; INSERT INTO marks VALUES ('2')")
    c.drop()
    other = t.client(d)
    tags(other, "ENTER LOCK 'l' WAIT '1s'; EXIT", ["ENTER", "EXIT l"])
    all_quiet(d, "db")
    equal(marks(t), ["1"], "rows")


if __name__ == "__main__":
    main()
