"""What comes of a scope: deferred statements, refused commits, EXIT ALL, SUPPRESS; and what the session keeps: its
parameters, its pin, its prepared statements."""

from pgwtest import check, equal, main, test, wire
from pgwtest.scopelog import all_quiet, events, released, told, untouched, warm
from pgwtest.scopewire import exchange, frames, marks, refuses, scene, tags


# ---- deferred statements ----------------------------------------------------------------------------
def put(text):
    return "'INSERT INTO marks VALUES (''%s'')'" % text


@test
def defer_kinds(t):
    """DEFER, ON COMMIT and ON ROLLBACK: last added first; in transactions, savepoints; failing ones are warnings"""
    d, c = scene(t)
    add = ("DEFER %s; DEFER ON COMMIT %s; DEFER ON ROLLBACK %s; DEFER 'INSERT INTO nowhere VALUES (1)'; DEFER %s"
           % (put("first"), put("commit"), put("rollback"), put("last")))
    for end, want, warnings in (("EXIT", ["row", "last", "commit", "first"], 1),
                                ("EXIT ROLLBACK", ["last", "rollback", "first"], 1)):
        for inner in (False, True):
            t.sql("TRUNCATE marks")
            c.sql("ENTER a; " + ("ENTER b; " if inner else "") + "INSERT INTO marks VALUES ('row'); " + add)
            equal(frames(c, "deferred")[-1], ("5",), "SHOW SCOPES")
            r = tags(c, end, ["EXIT b" if inner else "EXIT a"], "T" if inner else "I")
            equal([(n["S"], n["C"]) for n in r.notices], [("WARNING", "42P01")] * warnings, "warnings")
            check("nowhere" in r.notices[0]["M"], "its text: " + r.notices[0]["M"])
            if inner:
                equal([x[0] for x in c.sql("SELECT a FROM marks ORDER BY ctid")], want, "rows inside")
                tags(c, "EXIT", ["EXIT a"], "I")
            equal(marks(t), want, "rows")
    # Its failure is the transaction's if it comes at the commit.
    all_quiet(d, "db")


@test
def defer_where(t):
    """DEFER needs a transaction: 55000 without; it goes to the innermost of the current one; what it may be"""
    d, c = scene(t, "p2")
    refuses(c, "DEFER 'SELECT 1'", "55000", "DEFER")
    c.sql("ENTER LOCK 'l'")
    refuses(c, "DEFER 'SELECT 1'", "55000", "DEFER")
    c.sql("EXIT; BEGIN")
    refuses(c, "DEFER 'SELECT 1'", "55000", "DEFER")
    c.sql("ROLLBACK; ENTER a, sp, LOCK 'l', b ON p2; DEFER 'SELECT 1'; USE a; DEFER %s" % put("sp"))
    equal(frames(c, "deferred"), [("0",), ("1",), ("0",), ("1",)], "SHOW SCOPES")
    for sql in ("COMMIT", "BEGIN", "SAVEPOINT x", "EXIT", "SELECT 1; ROLLBACK"):
        refuses(c, "DEFER '%s'" % sql, "0A000", status="T")
    c.sql("EXIT ALL")
    equal(marks(t), ["sp"], "rows")
    c.sql("ENTER a; DEFER ''; DEFER 'SELECT 1; SELECT 2'; DEFER 'COPY marks FROM STDIN'; DEFER 'COPY marks TO STDOUT';"
          "DEFER 'SELEC'; DEFER 'SELECT generate_series(1, 10000)'; DEFER '-- nothing'")
    r = c.ask("EXIT")
    equal((r.errors, r.rows, r.copied, r.status), ([], [], [], "I"), "EXIT")
    check({"42601"} <= {n["C"] for n in r.notices} and all(n["S"] == "WARNING" for n in r.notices), "warnings")
    c.sql("ENTER a")
    refuses(c, "SELECT 1/0", "22012")
    refuses(c, "DEFER 'SELECT 1'", "25P02", status="E")
    refuses(c, "EXIT", "40000")
    all_quiet(d, "db", "p2")


# ---- outcomes ---------------------------------------------------------------------------------------
@test
def refused_commit(t):
    """a commit that PostgreSQL refuses is the answer of EXIT, and the scope around it is marked failed"""
    d, c = scene(t, "p2")
    t.sql("CREATE TABLE parent (a int PRIMARY KEY);"
          "CREATE TABLE child (a int REFERENCES parent DEFERRABLE INITIALLY DEFERRED)")
    bad = "INSERT INTO child VALUES (9)"
    c.sql("ENTER a; " + bad)
    e = refuses(c, "EXIT", "23503", status="I")
    check("child" in e.message, "PostgreSQL's own words: " + e.message)
    told(d, c.session, ["a enter", "a granted", "a exit", "a released error"])
    # Two pools: the outer one is marked.
    for clause in ("ON p2", "NEW"):
        c.sql("ENTER a; INSERT INTO marks VALUES ('lost'); ENTER b %s; %s" % (clause, bad))
        refuses(c, "EXIT", "23503", status="T")
        equal(frames(c, "name", "state"), [("a", "failed")], "SHOW SCOPES")
        e = refuses(c, "EXIT", "40000", '"a"', "I")
        check("23503" in e.detail, "the detail: %s" % e.detail)
    # SUPPRESS ends it there.
    c.sql("ENTER a; INSERT INTO marks VALUES ('kept'); ENTER b ON p2 SUPPRESS; " + bad)
    r = tags(c, "EXIT", ["EXIT b"], "T")
    equal([n["S"] for n in r.notices], ["NOTICE"], "the notice")
    tags(c, "EXIT", ["EXIT a"], "I")
    # EXIT ALL: the first error, and what is around is rolled back too; a lock is no obstacle.
    c.sql("ENTER a; INSERT INTO marks VALUES ('lost'); ENTER LOCK 'l', b ON p2; " + bad)
    refuses(c, "EXIT ALL", "23503", status="I")
    # A deferred statement makes it so.
    c.sql("ENTER a; INSERT INTO marks VALUES ('lost'); DEFER '%s'" % bad)
    refuses(c, "EXIT", "23503", status="I")
    # A deferred statement that checks: its own failure is a warning, and it is undone.
    c.sql("ENTER a; INSERT INTO marks VALUES ('kept too'); DEFER '%s; SET CONSTRAINTS ALL IMMEDIATE'" % bad)
    r = tags(c, "EXIT", ["EXIT a"], "I")
    equal([n["S"] for n in r.notices], ["WARNING"], "the warning")
    equal(marks(t), ["kept", "kept too"], "rows")
    equal(t.value("SELECT count(*) FROM child"), "0", "rows of the child")
    all_quiet(d, "db", "p2")


@test
def serialization(t):
    """a serialization failure at the commit: 40001 is the answer of EXIT, rolled back"""
    d, a = scene(t, size=3)
    b = t.client(d)
    for c, name in ((a, "a"), (b, "b")):
        c.sql("ENTER s ISOLATION LEVEL SERIALIZABLE; SELECT count(*) FROM marks; INSERT INTO marks VALUES ('%s')"
              % name)
    tags(a, "EXIT", ["EXIT s"], "I")
    refuses(b, "EXIT", "40001", status="I")
    equal(marks(t), ["a"], "rows")
    all_quiet(d, "db")


@test
def exit_all(t):
    """EXIT ALL: innermost to outermost; once one has failed those around it are rolled back, up to a SUPPRESS"""
    d, c = scene(t, "p2", "p3", size=1)
    pids = warm(d, "db", "p2", "p3")
    ins = "INSERT INTO marks VALUES ('%s')"
    enter = "ENTER a%s; %s; ENTER b ON p2%s; %s; ENTER LOCK 'l'; ENTER c ON p3; %s; SELECT 1/0"
    for sup_a, sup_b, sqlstates, notices, rows in (
            ("", "", ["40000"], 0, []), ("", " SUPPRESS", [], 1, ["a"]), (" SUPPRESS", "", [], 1, [])):
        t.sql("TRUNCATE marks")
        seen = len(events(d))
        r = c.ask(enter % (sup_a, ins % "a", sup_b, ins % "b", ins % "c"))
        equal([e.sqlstate for e in r.errors], ["22012"], "the error")
        r = c.ask("EXIT ALL")
        equal(([e.sqlstate for e in r.errors], r.status), (sqlstates, "I"), "EXIT ALL %r" % ((sup_a, sup_b),))
        if sqlstates:
            check('"c"' in r.errors[0].message, "the first error: " + r.errors[0].message)
        equal(released(d, since=seen), ["c", "l", "b", "a"], "the order")
        equal(marks(t), rows, "rows with %r" % ((sup_a, sup_b),))
        untouched(t, d, pids)
    refuses(c, "EXIT ALL", "55000")
    refuses(c, "EXIT ALL ROLLBACK", "55000")


@test
def suppress(t):
    """SUPPRESS: an outermost scope that failed ends with a NOTICE; an undone ENTER is an error all the same"""
    d, c = scene(t)
    c.sql("ENTER a SUPPRESS; INSERT INTO marks VALUES ('x')")
    refuses(c, "SELECT 1/0", "22012")
    r = tags(c, "EXIT", ["EXIT a"], "I")
    equal([(n["S"], n["M"]) for n in r.notices], [("NOTICE", 'scope "a" failed and was rolled back')], "the notice")
    check("22012" in r.notices[0]["D"], "its detail")
    refuses(c, "ENTER a SUPPRESS, b ON nowhere", "3D000", status="I")
    equal(marks(t), [], "rows")
    all_quiet(d, "db")


# ---- the state of the session -----------------------------------------------------------------------
@test
def settings(t):
    """SET inside scopes: committed it is the session's everywhere, rolled back it never was"""
    d, c = scene(t, "p2", size=1)
    show = "SHOW work_mem"
    first = c.value(show)
    for enter in ("ENTER a", "ENTER a ON p2", "ENTER a, b", "ENTER LOCK 'l', a ON p2"):
        c.sql("%s; SET work_mem = '5MB'" % enter)
        equal(c.value(show), "5MB", "inside " + enter)
        c.sql("EXIT ALL ROLLBACK")
        equal(c.value(show), first, "after the rollback of " + enter)
        c.sql("%s; SET LOCAL work_mem = '6MB'" % enter)
        equal(c.value(show), "6MB", "inside " + enter)
        c.sql("EXIT ALL")
        equal(c.value(show), first, "SET LOCAL after " + enter)
        c.sql("%s; SET work_mem = '7MB'; EXIT ALL" % enter)
        equal(c.value(show), "7MB", "after the commit of " + enter)
        for pool in ("db", "p2"):
            equal(c.ask("ENTER z ON %s; SHOW work_mem; EXIT" % pool).rows, [("7MB",)], "on " + pool)
            with d.connect(pool) as stranger:
                equal(stranger.value(show), first, "a stranger's on " + pool)
        c.sql("RESET work_mem")
        equal(c.value(show), first, "reset")
    c.sql("ENTER a; SET work_mem = '8MB'; ENTER sp; SET work_mem = '9MB'; EXIT ROLLBACK")
    equal(c.value(show), "8MB", "after the rollback of a savepoint scope")
    c.sql("EXIT")
    equal(c.value(show), "8MB", "outside")
    c.sql("ENTER a; DEFER 'SET work_mem = ''3MB'''; EXIT")
    equal(c.value(show), "3MB", "a deferred SET")
    all_quiet(d, "db", "p2")


@test
def pinned_session(t):
    """scopes in a session with a temporary table: its own lease; elsewhere nothing of it is seen"""
    d, c = scene(t, "p2", size=1)
    c.sql("CREATE TEMP TABLE tt (a int)")
    pid = c.backend()
    c.sql("ENTER a; INSERT INTO tt VALUES (1); ENTER sp; INSERT INTO tt VALUES (2); EXIT ROLLBACK; EXIT")
    equal(c.sql("TABLE tt"), [("1",)], "the table")
    c.sql("ENTER a; INSERT INTO tt VALUES (3); EXIT ROLLBACK")
    equal(c.sql("TABLE tt"), [("1",)], "the table")
    c.sql("ENTER b ON p2")
    equal(c.ask("TABLE tt").errors[0].sqlstate, "42P01", "on another server")
    c.sql("EXIT ROLLBACK")
    equal((c.sql("TABLE tt"), c.backend()), ([("1",)], pid), "afterwards")
    # Made inside a scope.
    c.sql("ENTER a; CREATE TEMP TABLE t2 (a int); PREPARE ps AS SELECT 5; LISTEN chat; EXIT")
    equal((c.sql("TABLE t2"), c.value("EXECUTE ps"), c.backend()), ([], "5", pid), "made inside")
    c.sql("DISCARD ALL")
    d.quiet("db")
    # On another pool it ends with the scope.
    c.sql("ENTER b ON p2; CREATE TEMP TABLE t3 (a int); PREPARE ps AS SELECT 5; LISTEN chat; EXIT")
    d.quiet("p2")
    for sql in ("SELECT relname FROM pg_class WHERE relname = 't3'", "SELECT pg_listening_channels()",
                "SELECT name FROM pg_prepared_statements WHERE name = 'ps'"):
        equal(c.ask("ENTER b ON p2; %s; EXIT" % sql).rows, [], sql)
    c.drop()
    all_quiet(d, "db", "p2")


@test
def prepared_statements_follow(t):
    """protocol-level prepared statements of the session are there in its scopes, on every pool"""
    d, c = scene(t, "p2", size=1)
    exchange(c, wire.parse("SELECT 40 + $1::int", "plus"))

    def plus():
        r = exchange(c, wire.bind((2,), statement="plus"), wire.execute())
        equal((r.errors, r.rows), ([], [("42",)]), "the statement")

    for enter in ("ENTER a", "ENTER b ON p2", "ENTER a, b ON p2", "ENTER b ON p2, sp ON p2"):
        c.sql(enter)
        plus()
        c.sql("EXIT ALL ROLLBACK")
        plus()
    c.sql("ENTER b ON p2")
    exchange(c, wire.parse("SELECT 'made inside'", "inside"))
    c.sql("EXIT")
    r = exchange(c, wire.bind(statement="inside"), wire.execute())
    equal(r.rows, [("made inside",)], "one made in a scope")
    all_quiet(d, "db", "p2")


@test
def long_errors(t):
    """an error of 100 kB or 2 MB is one as any other, at the commit of a scope and in a deferred statement"""
    t.sql("CREATE FUNCTION nay(bytes int) RETURNS void LANGUAGE plpgsql AS "
          "$$ BEGIN RAISE EXCEPTION '%', repeat('x', bytes) USING errcode = 'P0007'; END $$")
    t.sql("CREATE FUNCTION nay() RETURNS trigger LANGUAGE plpgsql AS "
          "$$ BEGIN PERFORM nay(length(NEW.a)); RETURN NEW; END $$")
    d, c = scene(t)
    t.sql("CREATE CONSTRAINT TRIGGER nay AFTER INSERT ON marks DEFERRABLE INITIALLY DEFERRED FOR EACH ROW "
          "EXECUTE FUNCTION nay()")
    for size, length in ((100000, 100000), (2000000, 0)):
        c.sql("ENTER a")
        c.sql("INSERT INTO marks VALUES (repeat('a', %d))" % size)
        r = c.ask("EXIT")
        equal(([e.sqlstate for e in r.errors], r.status), (["P0007"], "I"), "EXIT")
        check(len(r.errors[0].message) >= length, "its words")
        equal(marks(t), [], "rows")
        c.sql("ENTER a; DEFER 'SELECT nay(%d)'" % size)
        r = c.ask("EXIT")
        equal((r.errors, [n["C"] for n in r.notices], r.status), ([], ["P0007"], "I"), "EXIT with a warning")
        check(len(r.notices[0]["M"]) >= length, "its words")
    all_quiet(d, "db")


@test
def what_cannot_be_kept(t):
    """pin = off: a session that has set in a scope what cannot be kept is told so by EXIT, and ends; the server is the
    next one's, without it"""
    d, c = scene(t, "p2", size=1, pin="off")
    for enter, pool in (("ENTER a", "db"), ("ENTER a ON p2", "p2")):
        c.sql(enter)
        c.sql("SELECT set_config('app.x', repeat('y', 600000), false)")
        try:
            c.sql("EXIT")
            check(False, "no error")
        except wire.ServerError as e:
            check("cannot be kept" in e.message and "pin = off" in e.message, "the error says it: " + e.message)
        all_quiet(d, "db", "p2")
        c = t.client(d, database=pool)
        equal(c.value("SELECT coalesce(current_setting('app.x', true), '')"), "", "the next one's")
        c = t.client(d)


if __name__ == "__main__":
    main()
