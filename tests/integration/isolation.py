"""Nothing of one client gets to another. What a session sets and prepares goes with it from server to
server; what cannot be moved pins it to its server until it leaves; then the server is made new and used
again. Random programs do the same in isolation_fuzz.py; what ends a pin is in pins.py."""

from pgwtest import check, equal, main, test, wait_until, wire
from pgwtest.looks import Watch, check_clean, settings

# What moves: name, statement, and what the session itself must see afterwards (SQL, value).
MOVES = {
    "set": ("SET work_mem = '3MB'", ("SHOW work_mem", "3MB")),
    "set session, in comments": ("/* a */ -- b\n set SESSION work_mem to '3MB'",
                                 ("SHOW work_mem", "3MB")),
    "set in a string of statements": ("SELECT 1; SET work_mem = '3MB'; SELECT 2",
                                      ("SHOW work_mem", "3MB")),
    "set in a transaction": ("BEGIN; SET work_mem = '3MB'; COMMIT", ("SHOW work_mem", "3MB")),
    "set and rolled back to": ("BEGIN; SET work_mem = '3MB'; SAVEPOINT a; SET work_mem = '5MB';"
                               " ROLLBACK TO a; COMMIT", ("SHOW work_mem", "3MB")),
    "custom parameter": ("SET my.tenant = '4''2'", ("SHOW my.tenant", "4'2")),
    "set role": ("SET ROLE pg_monitor", ("SELECT current_user", "pg_monitor")),
    "set session authorization": ("SET SESSION AUTHORIZATION pg_monitor",
                                  ("SELECT session_user", "pg_monitor")),
    "set time zone": ("SET TIME ZONE 'Asia/Tokyo'", ("SHOW TimeZone", "Asia/Tokyo")),
    "search path": ("SET search_path = pg_catalog", ("SHOW search_path", "pg_catalog")),
    "session characteristics": (
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        ("SHOW default_transaction_isolation", "serializable")),
    "set_config": ("SELECT set_config('my.tenant', '43', false)", ("SHOW my.tenant", "43")),
    "block": ("DO $$ BEGIN PERFORM set_config('work_mem', '3MB', false); END $$",
              ("SHOW work_mem", "3MB")),
}

# What pins.
PINS = {
    "listen": ("LISTEN chat", ("SELECT pg_listening_channels()", "chat")),
    "temporary table": ("CREATE TEMP TABLE tt AS SELECT 7 AS a", ("SELECT a FROM tt", "7")),
    "temporary table by select into": ("SELECT 8 AS a INTO TEMP TABLE tt",
                                       ("SELECT a FROM tt", "8")),
    "temporary view": ("CREATE TEMPORARY VIEW tv AS SELECT 9 AS a", ("SELECT a FROM tv", "9")),
    "temporary sequence": ("CREATE TEMP SEQUENCE ts", ("SELECT nextval('ts')", "1")),
    "prepare": ("PREPARE ps AS SELECT 10", ("EXECUTE ps", "10")),
    "advisory lock": ("SELECT pg_advisory_lock(5)",
                      ("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND"
                       " pid = pg_backend_pid()", "1")),
    "advisory lock, tried, shared": (
        "SELECT pg_try_advisory_lock_shared(5)",
        ("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
         "1")),
    "cursor with hold": ("DECLARE ch CURSOR WITH HOLD FOR SELECT 11", ("FETCH ch", "11")),
}


def leave(w, c, kill):
    """The end of a session, peaceful or with a query running."""
    if kill:
        c.send(wire.query("SELECT pg_sleep(60)"))
        w.runs("pg_sleep")
        c.drop()
    else:
        c.close()


def moved(t, w, name, how, kill):
    """A client runs the statement; between its statements others are served by the same, only server
    and see nothing of it, but the client does; also after it has left they see nothing."""
    sql, (look, want) = MOVES[name]
    d = w.daemon
    c, other = d.connect(), d.connect()
    r = c.ask(sql) if how == "simple" else c.ask_extended(sql)
    equal((r.errors, r.status), ([], "I"), name)
    for _ in range(2):
        equal([x["pinned"] for x in d.clients() if x["pinned"]], [], "pinned by " + name)
        check_clean(other, w.settings)
        equal(other.backend(), w.pid, "the only server (%s)" % name)
        equal(c.value(look), want, "what the session sees (%s)" % name)
        equal(c.ask_extended(look).value, want, "what it sees (%s), extended" % name)
    leave(w, c, kill)
    check_clean(other, w.settings)
    other.close()
    w.free_again()


def pinned(t, w, name, how, kill):
    """A client runs the statement; another one waits until it leaves; then its server is as new."""
    sql, (look, want) = PINS[name]
    d = w.daemon
    c = d.connect()
    r = c.ask(sql) if how == "simple" else c.ask_extended(sql)
    equal((r.errors, r.status), ([], "I"), name)
    other = t.client(d)
    other.send(wire.query("SELECT 'other'"))
    wait_until(lambda: d.waiting() == 1, 5, "another client waits (%s)" % name)
    equal(c.value(look), want, "what the session sees (%s)" % name)
    check(other.silent(0.01), "the other waits still")
    leave(w, c, kill)
    equal(other.until_ready().value, "other", "the other is served")
    equal(other.backend(), w.pid, "the same backend serves on (%s)" % name)
    check_clean(other, w.settings)
    other.close()


def every(t, how, kill):
    d = t.daemon(listen_mode="pin")
    with d.connect() as c:
        # Loads plpgsql, with its parameters.
        c.sql("DO $$ BEGIN END $$")
    w = Watch(t, d)
    for table, function in ((MOVES, moved), (PINS, pinned)):
        for name in table:
            if how == "simple" or "; " not in table[name][0] or "$$" in table[name][0]:
                function(t, w, name, how, kill)
    w.free_again()


@test(timeout=120)
def simple(t):
    """SET and its like go with the session, LISTEN, temporary tables and so on pin it, and nobody else
    sees any of it"""
    every(t, "simple", kill=False)


@test(timeout=120)
def extended(t):
    """the same through Parse, Bind and Execute"""
    every(t, "extended", kill=False)


@test(timeout=120)
def killed(t):
    """the same when the session is killed with a query running"""
    every(t, "simple", kill=True)


@test
def named_statement(t):
    """a protocol-level prepared statement with a name is there for its session, on whatever server, and
    for nobody else, though servers keep the texts"""
    w = Watch(t, t.daemon())
    d = w.daemon
    c = d.connect()
    c.send(wire.parse("SELECT $1::int * 2", name="twice") + wire.sync())
    equal(c.until_ready().errors, [], "Parse")
    for i in range(3):
        c.send(wire.bind((i,), statement="twice") + wire.execute() + wire.sync())
        equal(c.until_ready().value, str(2 * i), "Execute")
        with d.connect() as other:
            equal(other.sql("SELECT name FROM pg_prepared_statements"), [("pgwith_1",)],
                  "what the server has")
    c.close()
    with d.connect() as other:
        other.send(wire.bind((1,), statement="twice") + wire.execute() + wire.sync())
        equal(other.until_ready().errors[0].sqlstate, "26000", "the statement is unknown to another")
        # The same name is free.
        other.send(wire.parse("SELECT 'mine'", name="twice") + wire.bind(statement="twice") +
                   wire.execute() + wire.sync())
        equal(other.until_ready().value, "mine", "another's statement of that name")
    w.free_again()
    w.serves_clean()


@test
def unnamed_statement(t):
    """an unnamed statement of one client is never executed by another's Bind, and is kept for its own"""
    d = t.daemon(size=2)
    a, b = t.client(d), t.client(d)
    use = wire.bind() + wire.execute() + wire.sync()
    # Whole in one exchange: the server is free afterwards, and the next one to use it is b.
    a.send(wire.parse("SELECT 'a'") + use)
    equal(a.until_ready().value, "a", "in one exchange")
    d.quiet()
    b.send(use)
    r = b.until_ready()
    equal(([e.sqlstate for e in r.errors], r.rows), (["26000"], []), "b has no unnamed statement")
    # In two exchanges.
    a.send(wire.parse("SELECT 'a2'") + wire.describe("S") + wire.sync())
    equal(a.until_ready().errors, [], "Parse")
    b.send(use)
    equal(b.until_ready().rows, [], "b still has none")
    b.send(wire.parse("SELECT 'b'") + use)
    equal(b.until_ready().value, "b", "b's own")
    a.send(use)
    equal(a.until_ready().value, "a2", "a's, of an earlier exchange")
    a.close()
    b.send(use)
    equal(b.until_ready().value, "b", "b's own is still there")
    # A Parse that fails removes the one before; one that is skipped does not.
    b.send(wire.execute("none") + wire.parse("SELECT 'skipped'") + wire.sync() + use)
    equal(len(b.until_ready().errors), 1, "no such portal")
    equal(b.until_ready().value, "b", "behind a Parse that was skipped")
    b.send(wire.parse("SELECT nonsense") + wire.sync() + use)
    equal([e.sqlstate for e in b.until_ready().errors], ["42703"], "a Parse that fails")
    r = b.until_ready()
    equal(([e.sqlstate for e in r.errors], r.rows), (["26000"], []), "behind a Parse that failed")
    # A simple Query removes it, also one that needs no server.
    b.send(wire.parse("SELECT 'b'") + wire.sync() + wire.query("SELECT 1") + use)
    equal([len(b.until_ready().errors) for _ in range(3)], [0, 0, 1], "behind a Query")


@test
def plain_sessions_are_not_pinned(t):
    """what leaves nothing behind pins nobody: SET LOCAL, transaction locks, BEGIN options, errors"""
    t.sql("CREATE TABLE x (a int)")
    w = Watch(t, t.daemon())
    c, other = t.client(w.daemon), t.client(w.daemon)
    for sql in ("SELECT 1", "INSERT INTO x VALUES (1)", "BEGIN; SET LOCAL work_mem = '3MB'; COMMIT",
                "BEGIN; SELECT pg_advisory_xact_lock(3); COMMIT", "SELECT nonsense",
                "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY; SELECT 1; COMMIT",
                "BEGIN; SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; ROLLBACK",
                "BEGIN; SAVEPOINT a; ROLLBACK TO a; RELEASE a; COMMIT", "SHOW work_mem",
                "SELECT 'SET x = 1; LISTEN y'", "UPDATE x SET a = 2", "TABLE x",
                "BEGIN; DECLARE k CURSOR FOR TABLE x; FETCH k; COMMIT", "VALUES ('LISTEN')"):
        for ask in (c.ask, c.ask_extended):
            if ask == c.ask_extended and "; " in sql and "'" not in sql:
                continue
            ask(sql)
            wait_until(lambda: not w.daemon.leased(), 2, "the server is free after %r" % sql)
            equal(other.value("SELECT 1"), "1", "another client after %r" % sql)
    w.serves_clean()


@test
def notifications_arrive(t):
    """a session that listens gets its notifications, asked or not"""
    d = t.daemon(size=2)
    a, b = t.client(d), t.client(d)
    a.sql("LISTEN chat")
    b.sql("NOTIFY chat, 'hello'")
    kind, body = a.read()
    equal((kind, body[4:]), ("A", b"chat\0hello\0"), "the notification")
    a.sql("UNLISTEN *")
    a.close()
    d.quiet()


@test
def startup_parameters(t):
    """startup parameters and options hold for their session only"""
    w = Watch(t, t.daemon())
    d = w.daemon
    odd = t.client(d, options="-c work_mem=5MB -c my.tenant=4\\ 2", DateStyle="German",
                   TimeZone="Asia/Tokyo", search_path="pg_catalog")
    plain = t.client(d)
    for _ in range(3):
        equal(odd.sql("SELECT current_setting('work_mem'), current_setting('my.tenant'),"
                      " current_setting('DateStyle'), current_setting('TimeZone'),"
                      " current_setting('search_path')"),
              [("5MB", "4 2", "German, DMY", "Asia/Tokyo", "pg_catalog")], "the odd one")
        r = plain.ask_extended("SELECT current_setting('work_mem'), current_setting('TimeZone'),"
                               " current_setting('my.tenant', true)")
        equal(r.rows[0][:2], ("4MB", w.settings["TimeZone"]), "the plain one")
        check(r.rows[0][2] in (None, ""), "another's parameter: %r" % r.rows)
    equal(odd.parameters["TimeZone"], "Asia/Tokyo", "ParameterStatus of the odd one")
    odd.close()
    w.serves_clean()


@test
def wrong_startup_parameters(t):
    """startup parameters that PostgreSQL refuses are an error of that session, at login or at its first
    statement, and the server serves on"""
    w = Watch(t, t.daemon())
    for params in ({"work_mem": "plenty"}, {"no_such_parameter": "1"}, {"options": "-c work_mem=x"}):
        try:
            c = w.daemon.connect(**params)
            r = c.ask("SELECT 1")
            check(r.errors, "an error for %r" % params)
            c.drop()
        except wire.ServerError:
            pass
    w.free_again()
    w.serves_clean()


@test
def role_that_is_gone(t):
    """a session whose role has been dropped does nothing as another, and its servers serve on"""
    t.sql("CREATE TABLE x (a text)")
    d = t.daemon()
    t.cluster.role("gone")
    t.sql("GRANT INSERT ON x TO gone")
    for params, sql in (({}, "SET ROLE gone"), ({}, "SET SESSION AUTHORIZATION gone"),
                        ({"role": "gone"}, "SELECT 1")):
        c = d.connect(**params)
        c.sql(sql)
        with d.connect() as other:
            equal(other.value("SELECT current_user"), "postgres", "another's role")
            t.sql("REVOKE ALL ON x FROM gone")
            t.sql("DROP ROLE gone")
        for _ in range(2):
            r = c.ask("INSERT INTO x VALUES (current_user)")
            equal([e.sqlstate for e in r.errors], ["22023"], "after " + sql)
        equal(t.sql("SELECT * FROM x"), [], "rows")
        d.quiet()
        with d.connect() as other:
            equal(other.value("SELECT current_user"), "postgres", "another's role")
        c.drop()
        t.sql("CREATE ROLE gone")
    t.sql("DROP ROLE gone")


@test
def told_at_login(t):
    """a client is told at login what its startup parameters make of the server's, also the next one"""
    w = Watch(t, t.daemon())
    for _ in range(2):
        with w.daemon.connect(client_encoding="latin1", DateStyle="German", TimeZone="Asia/Tokyo") as c, \
                w.daemon.connect() as plain:
            equal([c.parameters[n] for n in ("client_encoding", "DateStyle", "TimeZone")],
                  ["LATIN1", "German, DMY", "Asia/Tokyo"], "what it is told")
            equal(plain.parameters["client_encoding"], "UTF8", "what another is told")
    w.serves_clean()


@test
def sequence_values(t):
    """currval and lastval of another client's sequence are not seen after a pinned session has left"""
    t.sql("CREATE SEQUENCE s")
    w = Watch(t, t.daemon())
    c = w.daemon.connect()
    c.sql("LISTEN x; SELECT nextval('s')")
    c.close()
    with w.daemon.connect() as other:
        equal(other.ask("SELECT lastval()").errors[0].sqlstate, "55000", "lastval")


@test
def all_at_once(t):
    """twenty clients with settings of their own over three servers, two rounds: each sees its own"""
    d = t.daemon(size=3, options={"log_level": "info"})
    with d.connect() as c:
        plain = settings(c)
    for _ in range(2):
        for i in range(20):
            c = d.connect()
            check_clean(c, plain)
            c.sql("SET work_mem = '%dkB'; SET my.n = '%d'" % (1000 + i, i))
            equal(c.value("SHOW my.n"), str(i), "its own")
            if i % 3 == 0:
                c.sql("BEGIN; CREATE TEMP TABLE tt (a int)")
            if i % 2:
                c.drop()
            else:
                c.close()
    d.quiet()
    check(len(t.activity()) <= 3, "at most three backends")


if __name__ == "__main__":
    main()
