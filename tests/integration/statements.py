"""Named prepared statements and parameters that move from server to server, where they go wrong."""

from pgwtest import check, equal, main, test, wait_until, wire
from pgwtest.looks import Watch

GROUP = wire.sync()


def run(statement):
    return wire.bind(statement=statement) + wire.execute() + GROUP


def states(results):
    return [r.errors[0].sqlstate if r.errors else r.rows for r in results]


def pipeline(client, *groups):
    """Sends everything at once; what each group was answered."""
    client.send(b"".join(groups))
    return states([client.until_ready() for _ in groups])


def told(results):
    """As states(), with the whole errors: code, message, detail, context."""
    return [[(e.sqlstate, e.message, e.detail, e.fields.get("W")) for e in r.errors] or r.rows for r in results]


def step_by_step(client, groups):
    """One after the other."""
    results = []
    for g in groups:
        client.send(g)
        results.append(client.until_ready())
    return told(results)


def alike(t, d, *groups):
    """The groups are answered as on a direct connection."""
    with t.direct() as direct:
        wanted = pipeline(direct, *groups)
    with d.connect() as client:
        equal(pipeline(client, *groups), wanted, "answers")
    return wanted


@test
def a_parse_that_fails(t):
    """What came behind a Parse that fails, in the same and in later exchanges, is answered as by PostgreSQL"""
    w = Watch(t, t.daemon(size=1))
    d = w.daemon
    bad = wire.parse("SELEC 1", "a") + GROUP
    good = wire.parse("SELECT 1", "a") + GROUP
    close = wire.close_("S", "a") + GROUP
    alike(t, d, bad, close, good, run("a"))
    alike(t, d, bad, good, run("a"))
    alike(t, d, good, wire.parse("SELEC", "b") + wire.close_("S", "a") + GROUP, run("a"))
    alike(t, d, good, wire.parse("SELEC", "b") + wire.close_("S", "a") + GROUP, good, run("a"))
    alike(t, d, bad, wire.query("DEALLOCATE a"), good, run("a"))
    alike(t, d, good, good, run("a"), close, run("a"))
    w.serves_clean()


@test
def failed_transactions(t):
    """In a transaction that has failed a Parse fails, and the statement is whole afterwards"""
    w = Watch(t, t.daemon(size=1))
    d = w.daemon
    with d.connect() as other:
        equal(pipeline(other, wire.parse("SELECT 5", "x") + GROUP), [[]], "the text is known")
    parse = wire.parse("SELECT 5", "a") + GROUP
    alike(t, d, wire.query("BEGIN"), wire.query("SELECT 1/0"), parse, wire.query("ROLLBACK"), run("a"))
    alike(t, d, wire.query("BEGIN"), parse, wire.query("SELECT 1/0"), run("a"), wire.query("ROLLBACK"), run("a"))
    with d.connect() as a:
        for group in (wire.query("BEGIN"), wire.query("SELECT 1/0")):
            pipeline(a, group)
        equal(pipeline(a, parse), ["25P02"], "Parse of a known text")
        pipeline(a, wire.query("ROLLBACK"))
        equal(pipeline(a, run("a")), ["26000"], "it is not there")
        equal(pipeline(a, parse, run("a")), [[], [("5",)]], "and now it is")
    w.serves_clean()


@test
def deallocate(t):
    """DEALLOCATE by SQL, also as a prepared statement, ends what was prepared by the protocol"""
    w = Watch(t, t.daemon(size=1))
    d = w.daemon
    a = wire.parse("SELECT 1", "a") + GROUP
    alike(t, d, a, wire.query("DEALLOCATE a"), run("a"))
    alike(t, d, a, wire.query("DEALLOCATE A"), run("a"))
    alike(t, d, a, wire.query('DEALLOCATE "A"'), run("a"))
    alike(t, d, wire.parse("SELECT 1", 'q"q') + GROUP, wire.query('DEALLOCATE "q""q"'), run('q"q'))
    for text in ("DEALLOCATE prepare", "DEALLOCATE Prepare; SELECT 1", "DEALLOCATE PREPARE prepare", 'DEALLOCATE "prepare"',
                 'DEALLOCATE U&"prep\\0061re"', "DEALLOCATE PREPARE ALL"):
        alike(t, d, wire.parse("SELECT 1", "prepare") + GROUP, wire.query(text), run("prepare"))
    for text in ("DEALLOCATE a", "DEALLOCATE ALL", "DEALLOCATE x"):
        alike(t, d, a, wire.parse(text, "x") + GROUP, run("x"), run("a"), wire.query("SELECT 1"))
    alike(t, d, wire.query("SELECT 1/0; DEALLOCATE a"), run("a"))
    # Nothing of it is left for others.
    with d.connect() as b:
        equal(pipeline(b, run("a")), ["26000"], "the name of another session")
    w.serves_clean()


@test
def duplicates(t):
    """A name that exists is refused under the client's own name, and others do not find it"""
    w = Watch(t, t.daemon(size=1))
    d = w.daemon
    a = d.connect()
    pipeline(a, wire.parse("SELECT 1", "mine") + GROUP)
    a.send(wire.parse("SELECT 2", "mine") + GROUP)
    r = a.until_ready()
    equal(r.errors[0].message, 'prepared statement "mine" already exists', "the error")
    equal(pipeline(a, run("mine")), [[("1",)]], "the first one stands")
    with d.connect() as b:
        equal(pipeline(b, run("mine")), ["26000"], "the name of another session")
    a.close()
    w.serves_clean()


@test
def discard_all(t):
    """DISCARD ALL in pipelines, by Query and as a statement, ends what was before it and nothing else"""
    w = Watch(t, t.daemon(size=1))
    d = w.daemon
    a = wire.parse("SELECT 1", "a") + GROUP
    b = wire.parse("SELECT 2", "b") + GROUP
    prepared = wire.parse("DISCARD ALL", "x") + GROUP
    unnamed = wire.parse("DISCARD ALL") + wire.bind() + wire.execute() + GROUP
    alike(t, d, a, wire.query("DISCARD ALL"), b, run("a"), run("b"))
    alike(t, d, a, prepared, run("x"), b, run("a"), run("b"), run("x"))
    alike(t, d, a, unnamed, b, run("a"), run("b"))
    alike(t, d, a, wire.query("BEGIN"), wire.query("DISCARD ALL"), b, wire.query("ROLLBACK"), run("a"), run("b"))
    alike(t, d, a, prepared, wire.bind(statement="x") + GROUP, run("a"))
    w.serves_clean()


@test
def deallocated_within_an_exchange(t):
    """DEALLOCATE and DISCARD ALL, then Parse, Bind, Describe or Close of the same name, without a Sync between them"""
    w = Watch(t, t.daemon(size=1))
    d = w.daemon
    p, b, e = wire.parse, wire.bind, wire.execute()
    a = p("SELECT 1", "a") + GROUP
    named = [p(text, "x") + GROUP for text in ("DEALLOCATE a", "DEALLOCATE ALL")]
    for text in ("DEALLOCATE a", "DEALLOCATE ALL", 'deallocate prepare "a"'):
        unnamed = p(text) + b() + e
        for behind in (p("SELECT 2", "a") + b(statement="a") + e, b(statement="a") + e, wire.describe("S", "a"),
                       wire.close_("S", "a") + p("SELECT 2", "a"), p("SELECT 2", "b") + b(statement="b") + e,
                       p("SELECT 2", "a") + unnamed + p("SELECT 3", "a") + b(statement="a") + e,
                       p("SELECT 2", "a") + p("SELECT 3", "a"), unnamed):
            alike(t, d, a, unnamed + behind + GROUP, run("a"), run("b"))
            for prepare in named:
                alike(t, d, a, prepare, b(statement="x") + e + behind + GROUP, run("a"), run("x"))
        # It was bound, and not executed yet.
        alike(t, d, a, p(text) + b() + p("SELECT 2", "a") + GROUP, run("a"))
        alike(t, d, a, p(text) + b() + b(portal="two", statement="a") + e + wire.execute("two") + GROUP, run("a"))
        # In a transaction, and in one that fails behind it.
        alike(t, d, a, wire.query("BEGIN"), unnamed + p("SELECT 2", "a") + p("SELECT 1/0") + b() + e + GROUP,
              wire.query("ROLLBACK"), run("a"))
        alike(t, d, a, wire.query("SELECT 1; %s" % text), p("SELECT 2", "a") + GROUP, run("a"))
    discard = p("DISCARD ALL") + b() + e
    for behind in (p("SELECT 2", "a") + b(statement="a") + e, b(statement="a") + e, p("SELECT 2", "b")):
        alike(t, d, a, discard + behind + GROUP, run("a"), run("b"))
        alike(t, d, a, p("DISCARD ALL", "x") + GROUP, b(statement="x") + e + behind + GROUP, run("a"), run("x"))
    w.serves_clean()


@test
def changed_results(t):
    """A statement whose result has changed fails as PostgreSQL's own, on every server, in every kind of exchange"""
    d = t.daemon(size=2)
    setup = "DROP TABLE IF EXISTS acc; CREATE TABLE acc (id int, amount int); INSERT INTO acc VALUES (1, 1000)"
    change = ("ALTER TABLE acc ALTER amount TYPE float4", "ALTER TABLE acc ADD more int", "DROP TABLE acc",
              "ALTER TABLE acc RENAME amount TO sum", "ALTER TABLE acc ALTER id TYPE int",
              "ALTER TABLE acc DROP id; ALTER TABLE acc ADD id int")
    text = "SELECT * FROM acc WHERE id = $1"

    def exchanges(name):
        run = wire.bind(["1"], statement=name) + wire.execute()
        binary = wire.bind(["1"], statement=name, result_formats=(1,)) + wire.describe() + wire.execute()
        yield (run + GROUP,)
        yield (binary + GROUP,)
        yield (wire.describe("S", name) + GROUP,)
        yield (wire.query("BEGIN"), run + wire.parse("SELECT 5") + wire.bind() + wire.execute() + GROUP,
               wire.query("SELECT 1"), wire.query("ROLLBACK"))
        if name:
            # Behind and ahead of others in one exchange, and once more in the next one; and a new Parse.
            other = wire.parse("SELECT 3") + wire.bind() + wire.execute()
            yield (other + run + other + GROUP, run + GROUP, wire.query("SELECT 4"),
                   wire.close_("S", name) + wire.parse(text, name) + binary + GROUP)

    moves = 0
    with t.direct() as direct, d.connect() as client, d.connect() as holder, t.direct() as admin:
        for sql in change:
            for name in ("s", ""):
                for moved in (True, False):
                    for number in range(len(list(exchanges(name)))):
                        answers = []
                        for c in (direct, client):
                            admin.sql(setup)
                            c.send(wire.close_("S", name) + wire.parse(text, name) + GROUP)
                            c.until_ready()
                            if moved and c is client:
                                before = client.backend() if name else None
                                holder.sql("BEGIN")
                                holder.sql("SELECT 1")
                            admin.sql(sql)
                            groups = list(exchanges(name))[number]
                            c.send(b"".join(groups))
                            answers.append(
                                [(r.kinds, r.rows, [(e.sqlstate, e.message, e.fields.get("R")) for e in r.errors], r.status)
                                 for r in [c.until_ready() for _ in groups]])
                            if moved and c is client:
                                moves += bool(name) and client.backend() != before
                                holder.sql("COMMIT")
                        what = (sql, name, moved, number)
                        if "DROP TABLE" in sql and number == 2:
                            # The parameters, which it has told of before, come ahead of the server's error.
                            answers[0][0] = (answers[0][0][0].replace("t", ""),) + answers[0][0][1:]
                            answers[1][0] = (answers[1][0][0].replace("t", ""),) + answers[1][0][1:]
                        equal(answers[1], answers[0], "%s" % (what,))
        check(moves > 20, "it has moved %d times" % moves)


@test
def fetched(t):
    """What a prepared FETCH returns is known when it is executed, on whatever server that is"""
    d = t.daemon(size=2)
    with t.direct() as direct, d.connect() as client, d.connect() as holder:
        for name in ("f", ""):
            got = []
            for c in (direct, client):
                pipeline(c, wire.close_("S", name) + wire.parse("FETCH ALL FROM cur", name) + GROUP)
                if c is client:
                    holder.sql("BEGIN")
                    holder.sql("SELECT 1")
                got.append(pipeline(c, wire.parse("BEGIN") + wire.bind() + wire.execute() + GROUP) if name else [])
                got[-1] += pipeline(c, wire.parse("DECLARE cur CURSOR WITH HOLD FOR SELECT 1, 2", "d" + name) +
                                    wire.bind(statement="d" + name) + wire.execute() + GROUP,
                                    run(name), wire.query("CLOSE cur"), wire.query("COMMIT"),
                                    wire.close_("S", "d" + name) + GROUP)
                holder.sql("ROLLBACK")
            equal(got[1], got[0], "%r" % name)


@test
def innocents(t):
    """A statement that is prepared after a change works on every server, whoever has had it there before"""
    d = t.daemon(size=3)
    t.sql("CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE acc (code int, m mood); INSERT INTO acc VALUES (7, 'sad')")
    texts = ("SELECT * FROM acc", "UPDATE acc SET code = $1 RETURNING code", "SELECT 'sad'::mood", "SELECT m FROM acc WHERE m = $1")
    values = ((), ("0012",), (), ("sad",))

    def uses(client):
        return states([(client.send(wire.bind(v, statement="s%d" % n) + wire.execute() + GROUP), client.until_ready())[1]
                       for n, v in enumerate(values)])

    def prepare(client):
        client.send(b"".join(wire.close_("S", "s%d" % n) + wire.parse(x, "s%d" % n) for n, x in enumerate(texts)) + GROUP)
        return client.until_ready()

    everywhere = [d.connect() for _ in range(3)]

    def on_each_server(client):
        """What it is answered on each of them."""
        answers, pids = [], set()
        for held in range(3):
            for h in everywhere[:held]:
                h.sql("BEGIN")
                h.sql("SELECT 1")
            client.sql("BEGIN")
            answers.append(uses(client))
            pids.add(client.backend())
            client.sql("ROLLBACK")
            for h in everywhere[:held]:
                h.sql("COMMIT")
        equal(len(pids), 3, "servers")
        return answers

    old = d.connect()
    prepare(old)
    on_each_server(old)
    for change in ("ALTER TABLE acc ALTER code TYPE text", "ALTER TABLE acc ADD note text",
                   "DROP TABLE acc; DROP TYPE mood; CREATE TYPE mood AS ENUM ('x', 'sad'); CREATE TABLE acc (code text, "
                   "m mood); INSERT INTO acc VALUES ('0013', 'sad')"):
        t.sql(change)
        with d.connect() as innocent, t.direct() as direct:
            equal(prepare(innocent).errors, [], "prepared after " + change)
            prepare(direct)
            direct.sql("BEGIN")
            wanted = uses(direct)
            direct.sql("ROLLBACK")
            check(all(isinstance(w, list) for w in wanted), "on a direct connection: %r" % wanted)
            equal(on_each_server(innocent), [wanted] * 3, "after " + change)
            # Who has prepared before is told; who prepares again is not any more.
            old.sql("BEGIN")
            equal(uses(old)[0], "0A000", "the old one is told")
            old.sql("ROLLBACK")
            prepare(old)
            equal(on_each_server(old), [wanted] * 3, "prepared again after " + change)


@test
def names_in_errors(t):
    """An error about a statement has the client's name for it, in every field"""
    d = t.daemon(size=2)
    two = wire.parse("SELECT $1::int + $2::int", "mine") + GROUP
    again = wire.parse("SELECT $1::int + $2::int", "other name") + GROUP
    groups = [two, again] + [wire.bind(["1"] * n, statement=name) + wire.execute() + GROUP
                             for name in ("mine", "other name") for n in (0, 1, 2, 3)]
    groups += [wire.bind(["1", "pgwith_1 x"], statement="mine") + GROUP,
               wire.bind(statement="pgwith_1") + GROUP, wire.describe("S", "pgwith_2") + GROUP,
               wire.bind(statement="pgwith_none") + GROUP, wire.bind(statement="none") + GROUP,
               wire.describe("S", "pgwith_") + GROUP,
               wire.parse("SELECT 1", "mine") + GROUP, wire.parse("SELECT 1", "pgwith_7") + GROUP,
               wire.bind(["1"], statement="pgwith_7") + GROUP, wire.parse("SELECT 1", "pgwith_7") + GROUP,
               wire.bind(["x" * 100, "2"], statement="mine") + GROUP, wire.query("DEALLOCATE nobody"),
               wire.query("DEALLOCATE mine"), wire.bind(["1"], statement="mine") + GROUP]
    with t.direct() as direct, d.connect() as client, d.connect() as holder:
        wanted = step_by_step(direct, groups)
        equal(step_by_step(client, groups), wanted, "the answers")
        check(any("mine" in str(w) for w in wanted), "names are in them")
        # In the middle of other answers, and on another server.
        mixed = [wire.query("SELECT 1"), two, run("none"), wire.bind(["1"], statement="mine") + GROUP,
                 wire.query("SELECT repeat('x', 100000)")]
        for moved in (False, True):
            if moved:
                holder.sql("BEGIN")
                holder.sql("SELECT 1")
            for c in (direct, client):
                c.send(b"".join(mixed))
            equal(told([client.until_ready() for _ in mixed]), told([direct.until_ready() for _ in mixed]),
                  "in a pipeline")


@test
def more_than_allowed(t):
    """Beyond max_session_statements the names are still the session's: in use is in use, however long the text"""
    long = "SELECT 2 /* %s */" % ("x" * 100000)
    groups = [wire.parse("SELECT %d" % i, "s%d" % i) + GROUP for i in range(5)]
    for n in (0, 3):
        for text in ("SELECT 7", long):
            groups += [wire.parse(text, "s%d" % n) + GROUP, run("s%d" % n)]
    groups += [wire.close_("S", "s1") + GROUP, wire.parse("SELECT 8", "s4") + GROUP, run("s4"),
               wire.parse(long, "s1") + GROUP, run("s1"), wire.parse("SELECT 9", "s1") + GROUP, run("s1"),
               wire.query("DEALLOCATE s3"), run("s3"), wire.parse("SELECT 10", "s3") + GROUP, run("s3"),
               wire.query("DEALLOCATE s0"), run("s0"), wire.parse("SELECT 11", "s0") + GROUP, run("s0"),
               wire.query("DISCARD ALL")] + groups[:5] + [run("s%d" % i) for i in range(5)]
    d = t.daemon(size=1, max_session_statements=3)
    with t.direct() as direct:
        wanted = step_by_step(direct, groups)
    with d.connect() as client:
        equal(step_by_step(client, groups), wanted, "the answers")
    with d.connect() as client:
        client.send(b"".join(groups))
        equal(told([client.until_ready() for _ in groups]), wanted, "in a pipeline")
    # The first long text of all.
    with d.connect() as client, t.direct() as direct:
        groups = [wire.parse("SELECT 1", "a") + GROUP, wire.parse(long, "a") + GROUP, run("a"),
                  wire.parse(long, "b") + GROUP, wire.parse("SELECT 3", "b") + GROUP, run("b")]
        equal(step_by_step(client, groups), step_by_step(direct, groups), "a long text")


@test
def unnamed_and_begin(t):
    """A BEGIN that is answered at once ends the unnamed statement, as every simple Query does"""
    w = Watch(t, t.daemon(size=1))
    alike(t, w.daemon, wire.parse("SELECT 1") + GROUP, wire.query("BEGIN"), run(""), wire.query("ROLLBACK"))
    w.serves_clean()


@test
def our_names(t):
    """The names on the servers are nobody's"""
    w = Watch(t, t.daemon(size=1))
    d = w.daemon
    a, b = d.connect(), d.connect()
    pipeline(a, wire.parse("SELECT 1", "a") + GROUP)
    for message in (wire.bind(statement="pgwith_1"), wire.describe("S", "pgwith_1")):
        equal(pipeline(b, message + GROUP), ["26000"], "the name of another session")
    equal(pipeline(b, wire.close_("S", "pgwith_1") + GROUP), [[]], "Close")
    equal(pipeline(a, run("a")), [[("1",)]], "it is still there")
    pipeline(b, wire.query("DEALLOCATE pgwith_1"))
    equal(pipeline(a, run("a")), [[("1",)]], "it is there again")
    a.close()
    b.close()
    w.serves_clean()


@test
def large_messages(t):
    """A Bind of a megabyte to a named statement, in any pieces; a long Query that sets at its end"""
    w = Watch(t, t.daemon(size=1))
    d = w.daemon
    a = d.connect()
    pipeline(a, wire.parse("SELECT length($1::text)", "long") + GROUP)
    message = wire.bind(["x" * 1000000], statement="long")
    for cut in (1, 5, 6, 11, 70000):
        a.send(message[:cut])
        d.console("SHOW CLIENTS")  # the daemon has been round the loop
        a.send(message[cut:] + wire.execute() + GROUP)
        equal(a.until_ready().value, "1000000", "cut at %d" % cut)
    a.sql("SELECT '%s'; SET work_mem = '3MB'" % ("x" * 100000))
    equal(a.value("SHOW work_mem"), "3MB", "what was set behind 100 kB")
    with d.connect() as b:
        equal(b.value("SHOW work_mem"), "4MB", "of another session")
    equal(a.value("SHOW work_mem"), "3MB", "and here again")
    a.close()
    w.serves_clean()


@test
def eviction(t):
    """With max_prepared_statements = 1 every use prepares anew, pipelines with errors too"""
    w = Watch(t, t.daemon(size=1, max_prepared_statements=1))
    d = w.daemon
    a = d.connect()
    made = [wire.parse("SELECT %d" % i, "s%d" % i) + GROUP for i in range(5)]
    equal(pipeline(a, *made), [[]] * 5, "Parse")
    uses = [run("s%d" % (i % 5)) for i in range(50)]
    equal(pipeline(a, *uses), [[(str(i % 5),)] for i in range(50)], "Execute")
    broken = wire.bind(statement="none") + wire.bind(statement="s1") + wire.execute() + GROUP
    equal(pipeline(a, run("s0"), broken, run("s1")), [[("0",)], "26000", [("1",)]], "with an error")
    equal(pipeline(a, run("s3")), [[("3",)]], "alone")
    equal(a.value("SELECT count(*) FROM pg_prepared_statements"), "1", "kept on the server")
    a.close()
    w.serves_clean()


@test
def deallocated_behind_an_end(t):
    """DEALLOCATE in a text that first ends the failed transaction it is sent in"""
    q = wire.query
    steps = (wire.parse("SELECT 1", "s1") + GROUP, q("BEGIN"), q("SELECT 1/0"), q("ROLLBACK; DEALLOCATE s1"),
             run("s1"), wire.parse("SELECT 2", "s1") + GROUP, run("s1"), q("BEGIN"), q("SELECT 1/0"),
             q("DEALLOCATE s1"), q("ROLLBACK"), run("s1"))
    # One after the other: it is known that the transaction has failed.
    with t.direct() as direct, t.daemon(size=1).connect() as client:
        for n, step in enumerate(steps):
            equal(pipeline(client, step), pipeline(direct, step), "step %d" % n)


@test
def deallocated_by_a_bind(t):
    """A prepared DEALLOCATE behind a Parse whose outcome is not known yet"""
    d = t.daemon(size=1)
    with t.direct() as direct, d.connect() as client:
        for c in (direct, client):
            pipeline(c, wire.parse("DEALLOCATE s1", "d") + GROUP)
        for text in ("SELECT nonsense", "SELECT 1"):
            groups = (wire.parse(text, "s1") + GROUP, run("d"), run("s1"), run("d"))
            equal(pipeline(client, *groups), pipeline(direct, *groups), text)


@test
def short_timeout(t):
    """A statement_timeout of a millisecond is the session's, does not end it, and is nobody else's"""
    w = Watch(t, t.daemon(size=1))
    d = w.daemon
    a = d.connect()
    for i in range(20):
        # The one before is in force for this one, too.
        wait_until(lambda: not a.ask("SET statement_timeout = %d" % (1 + i % 2)).errors, 5, "it is set")
        r = a.ask("SELECT pg_sleep(1)")
        equal(r.errors[0].sqlstate, "57014", "it holds")
        with d.connect() as b:
            if i % 4 == 3:
                b.sql("ENTER a")
            equal(b.value("SHOW statement_timeout"), "0", "of another session")
            if i % 4 == 3:
                b.sql("EXIT")
    a.close()
    w.serves_clean()


@test
def idle_session_timeout(t):
    """An idle_session_timeout of a session's does not end the server that it leaves behind"""
    w = Watch(t, t.daemon(size=1))
    d = w.daemon
    idle = ("SELECT now() - state_change > '300ms' FROM pg_stat_activity WHERE pid = %d AND state = 'idle'" % w.pid)
    for how in ("SET", "at the start", "in a scope", "killed"):
        a = d.connect(options="-c Idle_Session_Timeout=100") if how == "at the start" else d.connect()
        if how == "SET":
            a.sql("SET idle_session_timeout = '100ms'")
        elif how == "in a scope":
            a.sql("ENTER a; SET idle_session_timeout = 100; EXIT")
        elif how == "killed":
            a.sql("SET idle_session_timeout = 100")
            a.send(wire.query("SELECT pg_sleep(60)"))
            w.runs("pg_sleep")
            a.drop()
        if how != "killed":
            equal(a.value("SHOW idle_session_timeout"), "100ms", how)
        wait_until(lambda: t.sql(idle) == [("t",)], 5, "idle for longer, %s" % how)
        if how != "killed":
            equal(a.value("SHOW idle_session_timeout"), "100ms", how)
            a.close()
    w.serves_clean()


@test
def discard_always(t):
    """What a function sets and locks by itself passes to nobody with discard_always, on the same server"""
    t.sql("CREATE FUNCTION sly() RETURNS void LANGUAGE plpgsql AS $$BEGIN"
          " PERFORM set_config('app.tenant', 'mine', false), set_config('work_mem', '3MB', false);"
          " PERFORM pg_advisory_lock(7); END$$")
    look = ("SELECT coalesce(current_setting('app.tenant', true), ''), current_setting('work_mem'), "
            "(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')")
    for setting, seen in (("off", ("mine", "3MB", "1")), ("on", ("", "4MB", "0"))):
        w = Watch(t, t.daemon(size=1, discard_always=setting))
        a, b, c = (w.daemon.connect() for _ in range(3))
        for how in ("SELECT sly()", "BEGIN; SELECT sly(); COMMIT", "ENTER x; SELECT sly(); EXIT"):
            a.sql(how)
            equal(b.sql(look), [seen], "after %s with %s" % (how, setting))
        c.sql("SET my.own = 'c'; SET lock_timeout = '9s'")
        equal(c.sql("SELECT current_setting('my.own'), current_setting('lock_timeout')"), [("c", "9s")], "its own")
        equal(b.backend(), w.pid, "the server")
        for client in (a, b, c):
            client.close()
        w.daemon.stop()


@test
def short_timeout_at_the_end(t):
    """What a session with a statement_timeout of a millisecond leaves behind is undone on the same server"""
    w = Watch(t, t.daemon(size=1))
    for _ in range(5):
        c = w.daemon.connect()
        c.sql("CREATE TEMP TABLE left_here (n int)")
        c.sql("BEGIN")
        c.sql("SET statement_timeout = 1")
        c.drop()
        w.free_again()
    w.serves_clean()


@test
def roles(t):
    """A role that is set, however it is spelled, is the session's and nobody else's"""
    w = Watch(t, t.daemon(size=1))
    d = w.daemon
    t.cluster.role("moves")
    for text in ("SET ROLE moves", "SET SESSION ROLE moves", 'SET "role" = moves', "SET role TO moves",
                 "SET SESSION AUTHORIZATION moves", "SET SESSION SESSION AUTHORIZATION moves",
                 "SET session_authorization = moves", 'SET "session_authorization" TO \'moves\'',
                 "SELECT set_config('role', 'moves', false)", "SELECT set_config('Role', 'moves', false)"):
        with d.connect() as a, d.connect() as b:
            equal(a.ask(text).errors, [], text)
            equal(b.value("SELECT current_user"), "postgres", "another session after " + text)
            equal(a.value("SELECT current_user"), "moves", text)
            equal(b.value("SELECT current_user"), "postgres", "another session again after " + text)
    w.serves_clean()


@test
def refused_parameters(t):
    """If a server does not take what the session has set, nothing is answered as if it had"""
    w = Watch(t, t.daemon(size=1))
    d = w.daemon
    t.cluster.role("goes")
    a, b = d.connect(), d.connect()
    a.sql("SET ROLE goes")
    equal(b.value("SELECT current_user"), "postgres", "another session")
    t.sql("DROP ROLE goes")
    # A role is waited for before the statement goes.
    for _ in range(2):
        r = a.ask("SELECT current_user")
        equal([(e.severity, e.sqlstate) for e in r.errors], [("ERROR", "22023")], "the error")
        check("goes" in r.errors[0].message, "the server's reason: " + r.errors[0].message)
        equal(r.rows, [], "rows")
    equal(b.value("SELECT current_user"), "postgres", "another session afterwards")
    b.close()


@test
def random_cancels(t):
    """Cancels that come too late or too early end no session"""
    w = Watch(t, t.daemon(size=1))
    d = w.daemon
    a, b = d.connect(), d.connect()
    a.sql("SET work_mem = '3MB'")
    for i in range(150):
        if i % 3 == 0:
            a.send(wire.query("SET work_mem = '%dMB'" % (3 + i % 5)))
        else:
            a.send(wire.query("SELECT 1"))
        a.cancel()
        r = a.until_ready()
        check(not r.errors or r.errors[0].sqlstate == "57014", "%s" % r.errors)
        equal(b.value("SHOW work_mem"), "4MB", "of another session")
    a.close()
    b.close()
    w.serves_clean()


if __name__ == "__main__":
    main()
