"""Scope statements as they come: texts of many statements, with COPY and errors in them; where in a text a mistake is;
parameters, prepared statements and portals of the extended protocol."""

from pgwtest import check, equal, main, test, wait_until, wire
from pgwtest.scopelog import all_quiet, story, told, untouched, warm
from pgwtest.scopewire import exchange, frames, marks, refuses, scene, tags


# ---- texts of many statements -----------------------------------------------------------------------
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
def behind_what_nothing_answers(t):
    """a scope statement in one write behind messages that PostgreSQL does not answer: a Flush, what is left of a COPY
    that has failed. They go to the server that was the client's when they came"""
    d, c = scene(t, "p2")
    silent = wire.flush() + wire.copy_data(b"left") + wire.flush()
    for end in (wire.query("EXIT a"), wire.extended("EXIT a") + wire.sync()):
        for scope in ("a", "b"):
            c.sql("ENTER " + scope)
            c.sql("INSERT INTO marks VALUES ('%s')" % scope)
            c.send(silent + end.replace(b"EXIT a", b"EXIT " + scope.encode()))
            equal((c.until_ready().errors, c.status), ([], "I"), "EXIT " + scope)
            c.sql("BEGIN")
            c.sql("SELECT 1")
            c.send(silent + wire.query("ENTER " + scope))
            equal((c.until_ready().errors, c.status), ([], "T"), "ENTER " + scope)
            c.sql("EXIT ALL")
            c.sql("ROLLBACK")
    c.sql("ENTER a, b ON p2")
    pids = {name: c.sql("USE %s; SELECT pg_backend_pid()" % name)[0][0] for name in "ab"}
    for name in "aabb":
        for use in (wire.query("USE " + name), wire.extended("USE " + name) + wire.sync()):
            c.sql("USE " + ("b" if name == "a" else "a"))
            c.send(silent + use)
            equal((c.until_ready().tags, c.status), (["USE"], "T"), "USE " + name)
            equal(c.value("SELECT pg_backend_pid()"), pids[name], "the server of " + name)
    c.sql("EXIT ALL")
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


# ---- grammar by the wire ----------------------------------------------------------------------------
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


if __name__ == "__main__":
    main()
