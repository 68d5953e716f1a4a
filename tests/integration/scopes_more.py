"""Scope statements, each with what can go wrong in it: grammar, texts of many statements, transactions and
savepoints of the client's own, clauses, deferred statements, outcomes, the state of the session."""

from pgwtest import check, equal, main, seconds, slow_factor, test, wait_until, wire
from pgwtest.scopelog import (all_quiet, events, pools, released, story, told, untouched, warm)


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


# ---- texts of many statements ----------------------------------------------------------------------
@test
def one_text(t):
    """one text of ordinary and scope statements: each in its place, one ReadyForQuery"""
    d, c = scene(t)
    r = tags(c, ";; SELECT 1; INSERT INTO marks VALUES ('before') ; enter /* a */ A;;INSERT INTO marks VALUES"
             " ('in'); ENTER b; SELECT 2, 'EXIT; ENTER x', $$EXIT ALL$$; EXIT b -- x\n; EXIT; SELECT 3;",
             ["SELECT 1", "INSERT 0 1", "ENTER", "INSERT 0 1", "ENTER", "SELECT 1", "EXIT b", "EXIT a",
              "SELECT 1"], "I")
    equal(r.rows, [("1",), ("2", "EXIT; ENTER x", "EXIT ALL"), ("3",)], "the rows")
    equal(marks(t), ["before", "in"], "what was committed")
    told(d, c.session, ["a enter", "a granted", "b enter", "b granted", "b exit", "b released success",
                       "a exit", "a released success"])
    equal(c.value("SELECT 'ENTER a'"), "ENTER a", "a literal is none")
    equal(frames(c), [], "scopes")
    all_quiet(d, "db")


@test
def text_in_the_queue(t):
    """a text with a scope statement behind an ordinary one waits for a server; it goes on when it has it, before who came later"""
    d, a = scene(t, size=1)
    b, c = t.client(d), t.client(d)

    def waiting():
        return sum(int(x["cl_waiting"]) for x in d.show("POOLS"))

    for setting in ("", "SET work_mem = '3MB'"):
        if setting:
            b.sql(setting)
        a.send(wire.query("SELECT pg_sleep(0.3)"))
        wait_until(lambda: any(int(x["cl_active"]) for x in d.show("POOLS")), 5, "it runs")
        b.send(wire.query("SELECT 1; ENTER LOCK 'z'; SELECT 2; LEAVE"))
        wait_until(lambda: waiting() == 1, 5, "one waits")
        c.send(wire.query("ENTER; LEAVE"))
        wait_until(lambda: waiting() == 2, 5, "two wait")
        a.until_ready()
        equal([x.split(" ")[0] for x in b.until_ready().tags], ["SELECT", "ENTER", "SELECT", "LEAVE"], "the first")
        equal(c.until_ready().errors, [], "the second")
    all_quiet(d, "db")


@test
def error_in_a_text(t):
    """an error ends the rest of a text: before, between and in scope statements"""
    d, c = scene(t)
    r = c.ask("INSERT INTO marks VALUES ('1'); ENTER a; INSERT INTO marks VALUES ('2'); SELECT 1/0; EXIT; "
              "INSERT INTO marks VALUES ('3')")
    equal((r.tags, [e.sqlstate for e in r.errors], r.status, r.kinds[-2:]),
          (["INSERT 0 1", "ENTER", "INSERT 0 1"], ["22012"], "E", "EZ"), "between")
    equal(frames(c, "name", "state"), [("a", "failed")], "the scope is open")
    refuses(c, "EXIT", "40000", status="I")
    equal(marks(t), ["1"], "what stood before is committed")
    text = "INSERT INTO marks VALUES ('é'); ENTER a; EXIT a nonsense; ENTER b"
    r = c.ask(text)
    equal((r.kinds, r.errors[0].sqlstate, r.status, r.errors[0].fields["P"]),
          ("EZ", "42601", "I", str(1 + text.index("nonsense"))), "what cannot be understood is found first")
    r = c.ask("SELECT nonsense; ENTER a; SELECT 1")
    equal((r.kinds, r.status), ("EZ", "I"), "before")
    r = c.ask("ENTER a; USE b; INSERT INTO marks VALUES ('4')")
    equal((r.tags, [e.sqlstate for e in r.errors], r.status), (["ENTER"], ["42704"], "T"), "in USE")
    r = c.ask("SELECT 5; EXIT b; EXIT a")
    equal((r.tags, [e.sqlstate for e in r.errors], r.status), (["SELECT 1"], ["42704"], "T"), "in EXIT")
    r = c.ask("INSERT INTO marks VALUES ('6'); SELECT nonsense; EXIT")
    equal((r.tags, [e.sqlstate for e in r.errors], r.status), (["INSERT 0 1"], ["42703"], "E"), "before EXIT")
    r = c.ask("EXIT; SELECT 7")
    equal((r.kinds, r.errors[0].sqlstate, r.status), ("EZ", "40000", "I"), "EXIT itself")
    equal(marks(t), ["1"], "rows")
    all_quiet(d, "db")


@test
def copy_in_a_text(t):
    """COPY from and to the client between scope statements of one text: done, failed, given up"""
    d, c = scene(t)
    text = "ENTER a; COPY marks FROM STDIN; INSERT INTO marks VALUES ('after'); EXIT; SELECT 1"

    def run(data, end):
        c.send(wire.query(text))
        r = c.until("GZ")
        equal(r.kinds.replace("S", ""), "CG", "up to the data")
        c.send(data + end)
        return c.until_ready()

    r = run(wire.copy_data(b"x\ny\n"), wire.copy_done())
    equal([x.split(" ")[0] for x in r.tags], ["COPY", "INSERT", "EXIT", "SELECT"], "the tags")
    equal(marks(t), ["x", "y", "after"], "rows")
    r = run(wire.copy_data(b"x\ty\n"), wire.copy_done())
    equal((r.tags, [e.sqlstate for e in r.errors], r.status), ([], ["22P04"], "E"), "bad data")
    refuses(c, "EXIT", "40000", status="I")
    r = run(wire.copy_data(b"x\n"), wire.copy_fail("no"))
    equal(([e.sqlstate for e in r.errors], r.status), (["57014"], "E"), "given up")
    refuses(c, "EXIT", "40000", status="I")
    r = c.ask("ENTER a; COPY marks TO STDOUT; EXIT; COPY (SELECT 7) TO STDOUT; SELECT 1")
    equal((r.copied, r.errors), ([b"x\n", b"y\n", b"after\n", b"7\n"], []), "out of it")
    equal(marks(t), ["x", "y", "after"], "rows")
    all_quiet(d, "db")


@test
def killed_in_a_text(t):
    """a client is killed in the middle of a text (COPY, a query): the rest is not run, the scope is rolled back"""
    d, _ = scene(t, size=1)
    backends = warm(d, "db")
    for text, wait in (("ENTER a; INSERT INTO marks VALUES ('1'); COPY marks FROM STDIN; EXIT", "G"),
                       ("ENTER a; INSERT INTO marks VALUES ('1'); SELECT pg_sleep(60); EXIT", "C")):
        c = d.connect()
        c.send(wire.query(text))
        c.until(wait)
        c.drop()
        told(d, c.session, ["a enter", "a granted", "a exit", "a released cancelled"], within=1)
        untouched(t, d, backends)
    equal(marks(t), [], "rows")


# ---- grammar by the wire ---------------------------------------------------------------------------
@test
def positions_of_others(t):
    """the positions of PostgreSQL's own errors are those of the client's text, whatever stands before"""
    _, c = scene(t)
    for before in ("SELECT 'é'; ENTER a; EXIT; ", "ENTER a; SELECT 'éü', 1;\n", "ENTER a; SELECT 1; EXIT;\n\tENTER b; SELECT 2, "):
        text = before + ("no_such" if before.endswith(", ") else "SELECT 1, no_such") + ", 3; EXIT"
        r = c.ask(text)
        equal([e.sqlstate for e in r.errors], ["42703"], "the error")
        equal(int(r.errors[0].fields["P"]), text.index("no_such") + 1, "PostgreSQL's position in %r" % text)
        if r.status != "I":
            c.sql("EXIT ALL ROLLBACK")


@test
def positions(t):
    """what cannot be understood is a 42601 that points at the place, in characters, and says what was expected"""
    d, c = scene(t)
    for sql, mark in (("ENTER a ON", len("ENTER a ON") + 1), ("ENTER LOCK", 11), ("ENTER LOCK x", 12),
                      ("EXIT a b", 8), ("USE", 4), ("DEFER ON x 'y'", 10), ("ENTER a NEW NEW", 13),
                      ("ENTER SEMAPHORE 's'", 20), ("ENTER a SHARED", 9), ("EXIT ALL ALL", 10),
                      ("ENTER a,", 9), ("ENTER LOCK 'é', LOCK é", 22), ("  ENTER a WAIT x", 16)):
        for extended in (False, True):
            e = refuses(c, sql, "42601", "xpected", "I", extended)
            if mark:
                at = int(e.fields["P"])
                check(abs(at - mark) <= (1 if mark > len(sql) else 0),
                      "%r: position %d, %d is the place (%s)" % (sql, at, mark, e.message))
    # In a text of many, and behind characters of several bytes.
    for before in ("SELECT 'é'; ", "ENTER a; SELECT 'éü', 1; EXIT;\n"):
        r = c.ask(before + "ENTER x ON )")
        equal([e.sqlstate for e in r.errors], ["42601"], "the error")
        equal(int(r.errors[0].fields["P"]), len(before + "ENTER x ON )"), "the position behind %r" % before)
    refuses(c, "ENTER LOCK $1", "42601", "$1", "I")
    equal(story(d), [], "nothing of these texts is done")
    equal(frames(c), [], "scopes")


def exchange(c, *messages):
    c.send(b"".join(messages) + wire.sync())
    return c.until_ready()


@test
def parameters(t):
    """parameters by the extended protocol: text and binary, described, too few, too many, NULL, bad"""
    d, c = scene(t)
    other = t.client(d)
    other.sql("ENTER LOCK 'it''s'")

    def run(sql, *values, types=()):
        return exchange(c, wire.parse(sql, types=types), wire.describe("S"), wire.bind(values), wire.describe(),
                        wire.execute())

    r = run("ENTER LOCK $1 WAIT $2", "it's", "100ms")
    equal((r.kinds, r.errors[0].sqlstate), ("1tn2nEZ", "55P03"), "a lock that is taken")
    check("it's" in r.errors[0].message, "its name: " + r.errors[0].message)
    r = run("ENTER LOCK $1 WAIT $2", "'; DROP", "100ms")
    equal((r.kinds, r.tags), ("1tn2nCZ", ["ENTER"]), "a lock that is free")
    equal(frames(c, "name"), [("'; DROP",)], "its name")
    tags(c, "EXIT '''; DROP'", ["EXIT '; DROP"])
    r = run("ENTER SEMAPHORE $1 LIMIT $2 AS s", "x", "3", types=(25, 23))
    equal((r.errors, r.tags), ([], ["ENTER"]), "a semaphore")
    equal(frames(c, "name", "kind"), [("s", "semaphore")], "it")
    c.sql("EXIT")
    # Binary numbers.
    c.send(wire.parse("ENTER SEMAPHORE 'y' LIMIT $1 WAIT $2", types=(23, 20)) +
           wire.message("B", b"\0\0" + b"\0\1\0\1" + b"\0\2" + b"\0\0\0\4\0\0\0\7" +
                        b"\0\0\0\10\0\0\0\0\0\0\0\5" + b"\0\0") + wire.execute() + wire.sync())
    equal(c.until_ready().errors, [], "binary numbers")
    equal(refuses(other, "ENTER SEMAPHORE 'y' LIMIT 8", "22023", "LIMIT 7").sqlstate, "22023", "its limit")
    c.sql("EXIT")
    for values, sqlstates in (((), ("08P01", "22023")), (("a", "1s", "x"), ("08P01", "22023")),
                              ((None, "1s"), ("22023", "22004")), (("a", None), ("22023", "22004")),
                              (("a", "soon"), ("22023",)), (("a", "-1s"), ("22023",)), (("", "1s"), ("22023",))):
        r = run("ENTER LOCK $1 WAIT $2", *values)
        equal(len(r.errors), 1, "errors of %r" % (values,))
        check(r.errors[0].sqlstate in sqlstates, "%r: %s" % (values, r.errors[0]))
        equal((r.status, frames(c)), ("I", []), "nothing was entered")
    c.sql("ENTER a")
    r = run("DEFER $1", "INSERT INTO marks VALUES ('it''s')")
    equal((r.errors, r.tags), ([], ["DEFER"]), "DEFER")
    c.sql("EXIT")
    equal(marks(t), ["it's"], "rows")
    r = exchange(c, wire.parse("SHOW SCOPES"), wire.describe("S"))
    equal(r.kinds, "1tTZ", "SHOW SCOPES is described")
    all_quiet(d, "db")


@test
def prepared_and_portals(t):
    """named and unnamed scope statements and portals: again and again, closed, replaced, mixed with others"""
    d, c = scene(t)
    r = exchange(c, wire.parse("ENTER a", "in"), wire.parse("EXIT", "out"), wire.parse("SELECT 1", "one"))
    equal(r.kinds, "111Z", "prepared")
    for _ in range(8):
        r = exchange(c, wire.bind(statement="in"), wire.execute(), wire.bind(statement="one"), wire.execute(),
                     wire.bind(statement="out"), wire.execute())
        equal((r.kinds, r.tags[:2]), ("2C2DC2CZ", ["ENTER", "SELECT 1"]), "an exchange")
    r = exchange(c, wire.parse("ENTER b", "in"))
    equal([e.sqlstate for e in r.errors], ["42P05"], "a name twice")
    r = exchange(c, wire.parse("SELECT 2", "in"))
    equal([e.sqlstate for e in r.errors], ["42P05"], "a name twice, an ordinary statement")
    r = exchange(c, wire.parse("ENTER b", "one"))
    equal([e.sqlstate for e in r.errors], ["42P05"], "a name twice, a scope statement")
    r = exchange(c, wire.close_("S", "in"), wire.parse("SELECT 2", "in"), wire.bind(statement="in"),
                 wire.execute())
    equal((r.kinds, r.rows), ("312DCZ", [("2",)]), "closed and used for another")
    # Without names: the last one counts.
    r = exchange(c, wire.parse("ENTER a"), wire.parse("SELECT 3"), wire.bind(), wire.execute())
    equal(r.rows, [("3",)], "an ordinary one in its place")
    r = exchange(c, wire.parse("SELECT 3"), wire.parse("ENTER a"), wire.bind(), wire.describe(), wire.execute())
    equal((r.kinds, r.tags), ("112nCZ", ["ENTER"]), "a scope statement in its place")
    r = exchange(c, wire.bind(), wire.execute())
    equal([e.sqlstate for e in r.errors], ["42710"], "it is there for the next one")
    r = exchange(c, wire.bind((), "q", "one"), wire.execute("q"))
    equal(r.rows, [("1",)], "a portal by name")
    r = exchange(c, wire.bind((), "q", "out"), wire.execute("q"), wire.execute("q"))
    equal(([x.split(" ")[0] for x in r.tags], [e.sqlstate for e in r.errors]), (["EXIT"], ["34000"]),
          "a portal is for once")
    r = exchange(c, wire.execute("nobody"))
    equal([e.sqlstate for e in r.errors], ["34000"], "no such portal")
    equal((frames(c), c.status), ([], "I"), "nothing is open")
    all_quiet(d, "db")


@test
def an_error_skips_to_the_sync(t):
    """extended: an error of a scope statement or before it skips the rest up to the Sync"""
    d, c = scene(t)
    r = exchange(c, wire.extended("ENTER a"), wire.extended("EXIT b"),
                 wire.extended("INSERT INTO marks VALUES ('x')"), wire.extended("EXIT"))
    equal((r.tags, [e.sqlstate for e in r.errors], r.status), (["ENTER"], ["42704"], "T"), "its own")
    r = exchange(c, wire.extended("SELECT 1/0"), wire.extended("EXIT"), wire.extended("SELECT 1"))
    equal((r.tags, [e.sqlstate for e in r.errors], r.status), ([], ["22012"], "E"), "before it")
    equal(frames(c, "state"), [("failed",)], "still open")
    r = exchange(c, wire.extended("EXIT"), wire.extended("SELECT 1"))
    equal((r.tags, [e.sqlstate for e in r.errors], r.status), ([], ["40000"], "I"), "EXIT")
    # What stands before a scope statement outside a transaction is completed first.
    r = exchange(c, wire.extended("INSERT INTO marks VALUES ('1')"), wire.extended("ENTER a"),
                 wire.extended("SELECT nonsense"))
    equal((r.tags, [e.sqlstate for e in r.errors], r.status), (["INSERT 0 1", "ENTER"], ["42703"], "E"), "after")
    refuses(c, "EXIT", "40000", extended=True)
    equal(marks(t), ["1"], "rows")
    all_quiet(d, "db")


# ---- clauses ---------------------------------------------------------------------------------------
@test
def wait(t):
    """WAIT bounds the wait of its item: 55P03 for locks and semaphores, 53300 for pools; '0' never waits"""
    d, c = scene(t, "p2", size=1)
    other = t.client(d)
    other.sql("ENTER LOCK 'l'; ENTER SEMAPHORE 's' LIMIT 1; ENTER x ON p2")
    for what, sqlstate, name in (("LOCK 'l'", "55P03", "l"), ("LOCK 'l' SHARED", "55P03", "l"),
                                 ("SEMAPHORE 's' LIMIT 1", "55P03", "s"), ("a ON p2", "53300", "p2")):
        for clause, least in (("'0'", 0), ("200", 0.2), ("'0.2s'", 0.2)):
            took, e = seconds(refuses, c, "ENTER %s WAIT %s" % (what, clause), sqlstate, '"%s"' % name, "I")
            check(least - 0.01 < took < least + 0.15 * slow_factor(), "%s WAIT %s: %.3f s" % (what, clause, took))
        equal(frames(c), [], "nothing is entered")
    equal(d.waiting("p2"), 0, "nobody waits")
    other.sql("EXIT ALL")
    tags(c, "ENTER LOCK 'l' WAIT '0', SEMAPHORE 's' LIMIT 1 WAIT '0', a ON p2 WAIT '0'", ["ENTER"])
    tags(c, "EXIT ALL", ["EXIT ALL"], "I")
    all_quiet(d, "db", "p2")


@test
def locks(t):
    """locks: shared and exclusive, re-entered, upgraded; semaphores count every frame; LIMIT must agree"""
    d, a = scene(t)
    b = t.client(d)
    tags(a, "ENTER LOCK 'l', LOCK 'l' AS again, LOCK 'l' SHARED AS third", ["ENTER"])
    refuses(b, "ENTER LOCK 'l' SHARED WAIT '0'", "55P03")
    a.sql("EXIT; EXIT")
    refuses(b, "ENTER LOCK 'l' SHARED WAIT '0'", "55P03")
    a.sql("EXIT")
    tags(b, "ENTER LOCK 'l' SHARED", ["ENTER"])
    tags(a, "ENTER LOCK 'l' SHARED", ["ENTER"])
    equal(frames(a, "name", "kind"), [("l", "shared lock")], "SHOW SCOPES")
    refuses(a, "ENTER LOCK 'l' AS up WAIT '50ms'", "55P03")
    b.sql("EXIT")
    tags(a, "ENTER LOCK 'l' AS up WAIT '0'", ["ENTER"])
    refuses(b, "ENTER LOCK 'l' SHARED WAIT '0'", "55P03")
    a.sql("EXIT up")
    tags(b, "ENTER LOCK 'l' SHARED WAIT '0'; EXIT", ["ENTER", "EXIT l"])
    a.sql("EXIT ALL")
    tags(a, "ENTER SEMAPHORE 's' LIMIT 2, SEMAPHORE 's' LIMIT 2 AS s2", ["ENTER"])
    refuses(b, "ENTER SEMAPHORE 's' LIMIT 2 WAIT '0'", "55P03")
    refuses(b, "ENTER SEMAPHORE 's' LIMIT 3", "22023", "LIMIT 2")
    a.sql("EXIT")
    tags(b, "ENTER SEMAPHORE 's' LIMIT 2 WAIT '0'", ["ENTER"])
    refuses(a, "ENTER LOCK 'l', LOCK 'l'", "42710")
    refuses(a, "ENTER LOCK ''", "22023")
    a.sql("EXIT ALL")
    b.sql("EXIT ALL")
    tags(a, "ENTER SEMAPHORE 's' LIMIT 3; EXIT", ["ENTER", "EXIT s"])
    equal(t.activity() and [r["xact"] for r in t.activity()] or [], [None] * len(t.activity()), "transactions")


@test
def lock_on_a_pool(t):
    """LOCK ... ON pool: an advisory transaction lock in PostgreSQL, shared and exclusive, with WAIT and names"""
    d, a = scene(t, size=3)
    b = t.client(d)
    a.sql("BEGIN; SELECT 1")
    b.sql("ENTER warm; EXIT")
    a.sql("COMMIT")
    held = "SELECT mode, granted FROM pg_locks WHERE locktype = 'advisory' ORDER BY 1"
    tags(a, "ENTER LOCK 'x' ON db", ["ENTER"], "T")
    equal(t.sql(held), [("ExclusiveLock", "t")], "pg_locks")
    equal(frames(a, "name", "kind", "pool"), [("x", "transaction", "db")], "SHOW SCOPES")
    took, _ = seconds(refuses, b, "ENTER LOCK 'x' ON db WAIT '200ms'", "55P03", '"x"', "I")
    check(0.19 <= took < 1 * slow_factor(), "it took %.3f s" % took)
    equal(frames(b), [], "nothing is entered")
    refuses(b, "ENTER LOCK 'x' ON db SHARED WAIT '1s'", "55P03")
    for lock in ("LOCK 'x' ON db WAIT '0'", "LOCK 'x' ON db SHARED WAIT 0"):
        # There is a server at once: what is not waited for is the lock.
        wait_until(lambda: [s for s in d.servers() if s["state"] == "idle"], 5, "an idle server")
        refuses(b, "ENTER " + lock, "55P03", '"x"', "I")
    for wait in ('1ms', '5s'):
        tags(b, "ENTER LOCK 'y' ON db WAIT '%s'; EXIT" % wait, ["ENTER", "EXIT y"])
    tags(b, "ENTER sp, LOCK 'y' ON db WAIT '0'", ["ENTER"])
    refuses(b, "ENTER LOCK 'x' ON db WAIT '1s'", "55P03", '"x"', "T")
    refuses(b, "ENTER LOCK 'x' ON db WAIT 0", "55P03", '"x"', "T")
    tags(b, "EXIT ALL", ["EXIT ALL"], "I")
    b.send(wire.query("ENTER LOCK 'x' ON db"))
    wait_until(lambda: ("ExclusiveLock", "f") in t.sql(held), 5, "it waits in PostgreSQL")
    a.sql("EXIT")
    equal(b.until_ready().tags, ["ENTER"], "it has it")
    b.sql("EXIT")
    tags(a, "ENTER LOCK 'x' ON db SHARED", ["ENTER"])
    tags(b, "ENTER LOCK 'x' ON db SHARED WAIT '5s'", ["ENTER"])
    equal(t.sql(held), [("ShareLock", "t")] * 2, "pg_locks")
    # Inside a transaction on the pool it is a savepoint.
    tags(a, "ENTER LOCK 'z' ON db AS inner_one", ["ENTER"])
    equal(frames(a, "name", "kind")[1:], [("inner_one", "savepoint")], "SHOW SCOPES")
    a.sql("EXIT ALL")
    b.sql("EXIT ALL")
    equal(t.sql(held), [], "pg_locks")
    all_quiet(d, "db")


@test
def new_is_independent(t):
    """NEW: a second transaction on the same pool, which survives the rollback of the one around it"""
    d, c = scene(t)
    tags(c, "ENTER a; INSERT INTO marks VALUES ('work'); SELECT pg_backend_pid()",
         ["ENTER", "INSERT 0 1", "SELECT 1"])
    outer = c.backend()
    tags(c, "ENTER audit NEW; INSERT INTO marks VALUES ('tried')", ["ENTER", "INSERT 0 1"])
    check(c.backend() != outer, "another backend")
    equal(frames(c, "name", "kind", "current"), [("a", "transaction", "f"), ("audit", "transaction", "t")],
          "SHOW SCOPES")
    tags(c, "ENTER sp; EXIT", ["ENTER", "EXIT sp"])
    tags(c, "EXIT", ["EXIT audit"], "T")
    equal(c.backend(), outer, "the backend")
    tags(c, "EXIT ROLLBACK", ["EXIT a"], "I")
    equal(marks(t), ["tried"], "rows")
    # With no server left for it, it would wait for itself.
    tags(c, "ENTER a, b NEW", ["ENTER"])
    e = refuses(c, "ENTER x NEW", "40P01", status="T")
    check("2 of 2" in e.detail, "the circle: %s" % e.detail)
    tags(c, "EXIT ALL", ["EXIT ALL"], "I")
    all_quiet(d, "db")


@test
def access_and_isolation(t):
    """READ ONLY, READ WRITE and ISOLATION LEVEL hold for the scope, READ ONLY for a savepoint scope too"""
    d, c = scene(t)
    show = "SHOW transaction_isolation; SHOW transaction_read_only"
    for clause, isolation, read_only in (
            ("", "read committed", "off"), ("READ ONLY", "read committed", "on"),
            ("ISOLATION LEVEL SERIALIZABLE", "serializable", "off"),
            ("isolation level repeatable read read only", "repeatable read", "on"),
            ("READ WRITE ISOLATION LEVEL READ UNCOMMITTED", "read uncommitted", "off"),
            ("ISOLATION LEVEL READ COMMITTED", "read committed", "off")):
        r = c.ask("ENTER a %s; %s; EXIT" % (clause, show))
        equal((r.rows, r.errors), ([(isolation,), (read_only,)], []), "a scope with " + clause)
    c.sql("SET default_transaction_read_only = on")
    equal(c.ask("ENTER a; SHOW transaction_read_only; EXIT; ENTER a READ WRITE; SHOW transaction_read_only;"
                "EXIT").rows, [("on",), ("off",)], "with the session's own default")
    c.sql("RESET default_transaction_read_only")
    c.sql("ENTER a; INSERT INTO marks VALUES ('a'); ENTER b READ ONLY")
    equal(c.value("SHOW transaction_read_only"), "on", "in the savepoint scope")
    refuses(c, "INSERT INTO marks VALUES ('b')", "25006", status="E")
    refuses(c, "EXIT", "40000", status="T")
    equal(c.value("SHOW transaction_read_only"), "off", "outside")
    c.sql("ENTER b READ ONLY; SELECT 1; EXIT")
    equal(c.value("SHOW transaction_read_only"), "off", "outside, after a success")
    refuses(c, "ENTER b ISOLATION LEVEL SERIALIZABLE", "22023", "isolation", "T")
    tags(c, "EXIT", ["EXIT a"], "I")
    # Read write inside read only is PostgreSQL's error, and nothing is left of the savepoint.
    c.sql("ENTER a READ ONLY")
    refuses(c, "ENTER b READ WRITE", "25001", status="T")
    equal(frames(c, "name"), [("a",)], "scopes")
    tags(c, "SELECT 1; EXIT", ["SELECT 1", "EXIT a"], "I")
    equal(marks(t), ["a"], "rows")
    all_quiet(d, "db")


@test
def use(t):
    """USE: statements go where it says, otherwise to the innermost transaction; EXIT is about the innermost"""
    d, c = scene(t, "p2", "p3", size=1)
    pids = warm(d, "db", "p2", "p3")
    c.sql("ENTER a, LOCK 'l', b ON p2, sp ON p2, c ON p3")
    for name, pool in (("a", "db"), ("b", "p2"), ("c", "p3"), ("sp", "p2"), ("'a'", "db"), ('"b"', "p2")):
        tags(c, "USE " + name, ["USE"], "T")
        equal(c.backend(), pids[pool], "the backend of " + name)
    refuses(c, "USE l", "55000", "USE", "T")
    refuses(c, "USE nobody", "42704", '"nobody"', "T")
    equal(c.backend(), pids["p2"], "nothing has changed")
    c.sql("USE a")
    refuses(c, "EXIT a", "55000", '"c"', "T")
    equal(len(frames(c)), 5, "nothing has changed")
    equal(c.backend(), pids["db"], "nothing has changed")
    tags(c, "EXIT", ["EXIT c"], "T")
    equal(c.backend(), pids["db"], "still in a")
    tags(c, "USE sp; EXIT", ["USE", "EXIT sp"])
    equal(c.backend(), pids["p2"], "the innermost")
    refuses(c, "USE c", "42704")
    tags(c, "EXIT b; EXIT 'l'", ["EXIT b", "EXIT l"], "T")
    equal(c.backend(), pids["db"], "the innermost")
    tags(c, "EXIT", ["EXIT a"], "I")
    refuses(c, "USE a", "42704")
    untouched(t, d, pids)


@test
def names(t):
    """names: the pool's, folded, quoted, a lock's text, AS; a name twice is 42710"""
    d, c = scene(t, "P-q", size=3)
    for enter, name in (("ENTER", "db"), ("ENTER MiXed", "mixed"), ('ENTER "MiXed"', "MiXed"),
                        ("ENTER LOCK 'a b'", "a b"), ("ENTER LOCK 'a b' AS x", "x"),
                        ('ENTER y ON "P-q"', "y"), ('ENTER "lock"', "lock"), ("ENTER new", "new"),
                        ("ENTER a" + "b" * 62, "a" + "b" * 62)):
        tags(c, enter, ["ENTER"])
        equal(frames(c, "name")[-1], (name,), "the name of %r" % enter)
        refuses(c, enter, "42710", name[:20])
        tags(c, 'EXIT "%s"' % name, ["EXIT " + name], "I")
    refuses(c, "ENTER x ON nowhere", "3D000", "nowhere", "I")
    refuses(c, "ENTER x, x", "42710")
    equal(frames(c), [], "the first of them is gone")
    all_quiet(d, "db")


@test
def show_scopes(t):
    """SHOW SCOPES: level, name, kind, pool, state, current, times, deadline, deferred"""
    d, c = scene(t, "p2")
    equal(c.ask("SHOW SCOPES").rows, [], "nothing is open")
    c.sql("BEGIN; ENTER sp, b ON p2 DEADLINE '60s', LOCK 'l' SHARED, SEMAPHORE 's' LIMIT 2; USE b;"
          "DEFER 'SELECT 1'; DEFER ON ROLLBACK 'SELECT 2'")
    r = c.ask("SHOW SCOPES")
    equal(r.columns, ["level", "name", "kind", "pool", "state", "current", "elapsed_ms", "wait_ms",
                      "deadline_ms", "deferred"], "columns")
    rows = [x[:6] + x[9:] for x in r.rows]
    equal(rows, [("1", "db", "implicit", "db", "open", "f", "0"), ("2", "sp", "savepoint", "db", "open", "f", "0"),
                 ("3", "b", "transaction", "p2", "open", "t", "2"), ("4", "l", "shared lock", None, "open", "f", "0"),
                 ("5", "s", "semaphore", None, "open", "f", "0")], "rows")
    check(50000 < int(r.rows[2][8]) <= 60000, "the time left: %s" % r.rows[2][8])
    refuses(c, "SELECT 1/0", "22012")
    equal(frames(c, "name", "state")[2], ("b", "failed"), "the state")
    equal(c.status, "E", "the status is that of the current one")
    r = c.ask("EXIT ALL")
    equal([e.sqlstate for e in r.errors], ["40000"], "EXIT ALL")
    tags(c, "ROLLBACK", ["ROLLBACK"], "I")
    all_quiet(d, "db", "p2")


@test
def show_scopes_in_binary(t):
    """SHOW SCOPES in the binary format, for all columns or for some, and described as it is sent"""
    d, c = scene(t)
    c.sql("ENTER a")
    for formats, level in (((), b"1"), ((0,), b"1"), ((1,), b"\0\0\0\1"), ((1,) + (0,) * 9, b"\0\0\0\1"),
                           ((0,) + (1,) * 9, b"1")):
        c.send(wire.parse("SHOW SCOPES") + wire.bind(result_formats=formats) + wire.describe() + wire.execute() +
               wire.sync())
        described = rows = b""
        kind = None
        while kind != "Z":
            kind, body = c.read()
            described = body if kind == "T" else described
            rows = body if kind == "D" else rows
        first = described.index(b"level\0") + 6
        equal(int.from_bytes(described[first + 16:first + 18], "big"), len(level) // 4, "the format described")
        equal(rows[6:6 + len(level)], level, "the level with formats %r" % (formats,))
    equal(c.sql("SHOW SCOPES")[0][:3], ("1", "a", "transaction"), "as text again")


# ---- deferred statements ---------------------------------------------------------------------------
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


# ---- outcomes --------------------------------------------------------------------------------------
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


if __name__ == "__main__":
    main()
