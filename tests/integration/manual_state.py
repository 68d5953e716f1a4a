"""pgwithd(8), Session state: what the section promises holds, and each difference that its list "What a program can
tell" names is there. A difference that is gone fails here, so that it leaves the manual too.

What is left out here is in startup_packets.py (names that are cut), telling.py (ParameterStatus, notifications),
sequences.py, pins.py and lazy_begin.py."""

import time

from pgwtest import check, equal, main, test, wire
from pgwtest.wire import ServerError, bind, describe, execute, extended, parse, sync


def states(r):
    return [e.sqlstate for e in r.errors]


def exchange(c, *messages):
    c.send(b"".join(messages) + sync())
    return c.until_ready()


def use(c, name, *values):
    """Bind and Execute of a statement that was prepared before."""
    return exchange(c, bind(values, statement=name), execute())


def login_state(connect, **params):
    """The SQLSTATE that a login with these startup parameters gets, or None."""
    try:
        connect(**params).close()
    except ServerError as e:
        return e.sqlstate
    return None


def elsewhere(t, d, c):
    """Makes the next statement of c run on another server connection of the pool of two; returns what undoes that."""
    used = c.backend()
    for _ in range(2):
        other = t.client(d)
        other.sql("BEGIN")
        if other.backend() == used:
            return lambda: other.sql("COMMIT")
    check(False, "nobody has got the server connection %d" % used)


# ---- the connection --------------------------------------------------------------------------------
@test
def who_the_client_is(t):
    """there is no password, and the client is the role of the pool; with role = client its own"""
    t.cluster.role("alice")
    for role, user in (("fixed", "postgres"), ("client", "alice")):
        c = t.client(t.daemon(role=role), user="alice")
        equal(c.sql("SELECT current_user, session_user"), [(user, user)], "role = " + role)


@test
def startup(t):
    """replication is refused; so are startup parameters that PostgreSQL takes only as it starts a session, and libraries
    to load come to nothing; on a busy pool a wrong one is refused with the first statement"""
    d = t.daemon()

    def through(**params):
        return t.client(d, **params)

    equal(login_state(through, replication="database"), "0A000", "replication")
    for name, value, state in (("log_connections", "on", "55P02"), ("ignore_system_indexes", "on", "55P02"),
                               ("temp_tablespaces", "nosuch", "42704")):
        equal(login_state(t.direct, **{name: value}), None, name + " directly")
        equal(login_state(through, **{name: value}), state, name)
    for name in ("session_preload_libraries", "local_preload_libraries"):
        equal(login_state(t.direct, **{name: "nosuch"}), "58P01", name + " directly")
        equal(login_state(through, **{name: "nosuch"}), None, name)
    a = t.client(d)
    equal(login_state(through, work_mem="1xB"), "22023", "a wrong value")
    a.sql("BEGIN")
    a.sql("SELECT 1")
    c = through(work_mem="2xB")
    a.sql("COMMIT")
    equal(states(c.ask("SELECT 1")), ["22023"], "the first statement")


@test
def process_ids(t):
    """BackendKeyData has a number of no process; pg_backend_pid() is the server connection's"""
    d = t.daemon(size=2)
    c = t.client(d)
    number = c.key[0]
    for function in ("pg_cancel_backend", "pg_terminate_backend"):
        equal(c.value("SELECT %s(%d)" % (function, number)), "f", function)
    equal(c.value("SELECT count(*) FROM pg_stat_activity WHERE pid = %d" % number), "0", "in pg_stat_activity")
    pid = c.backend()
    elsewhere(t, d, c)
    check(c.backend() != pid, "the next transaction has another process")


@test
def drop_database(t):
    """a database is in use though no client is there, until its pool is paused"""
    d = t.daemon()
    t.client(d).sql("SELECT 1")
    admin = t.cluster.connect("template1")
    t.defer(admin.close)
    equal(states(admin.ask("DROP DATABASE " + t.database)), ["55006"], "with a pool")
    d.console("PAUSE db")
    equal(states(admin.ask("DROP DATABASE " + t.database)), [], "with a pool that is paused")
    d.console("RESUME db")
    t.new_database()


@test
def old_connections(t):
    """a new session has the defaults, and the role, that there were when its server connection was opened"""
    t.cluster.role("again")
    d = t.daemon(role="client")
    equal(t.client(d, user="again").value("SELECT current_user"), "again", "before")
    t.sql("DROP ROLE again")
    t.sql("CREATE ROLE again " + t.cluster.login)
    t.sql("ALTER DATABASE %s SET work_mem = '7MB'" % t.database)
    t.defer(t.sql, "ALTER DATABASE %s RESET work_mem" % t.database)
    c = t.client(d, user="again")
    equal((states(c.ask("SELECT current_user")), c.value("SHOW work_mem")), (["42704"], "4MB"), "a new session")
    d.console("RECONNECT db")
    c = t.client(d, user="again")
    equal((c.value("SELECT current_user"), c.value("SHOW work_mem")), ("again", "7MB"), "behind RECONNECT")


@test
def scope_statements(t):
    """the words of pgwith-scopes(7) are no statements of PostgreSQL's"""
    d = t.daemon()
    c, direct = t.client(d), t.direct()
    for sql in ("ENTER a", "DEFER 'SELECT 1'", "USE a", "SHOW SCOPES", "LEAVE", "ENTER a", "EXIT a"):
        equal(states(c.ask(sql)), [], sql)
        check(states(direct.ask(sql))[0] in ("42601", "42704"), sql + " directly")


# ---- parameters, and what functions do -------------------------------------------------------------
FUNCTIONS = """
CREATE FUNCTION sets() RETURNS text LANGUAGE sql AS $$ SELECT set_config('work_mem', '7MB', false) $$;
CREATE FUNCTION sets_app() RETURNS text LANGUAGE sql AS $$ SELECT set_config('app.tenant', '7', false) $$;
CREATE FUNCTION locks() RETURNS void LANGUAGE sql AS $$ SELECT pg_advisory_lock(5) $$;
CREATE FUNCTION makes() RETURNS void LANGUAGE plpgsql AS $$ BEGIN CREATE TEMP TABLE made (a int); END $$;
CREATE VIEW sets_too AS SELECT set_config('work_mem', '8MB', false);
"""
OWN_LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"


@test
def functions(t):
    """what a function or view sets, locks or makes is the next client's; with discard_always it is nobody's"""
    t.sql(FUNCTIONS)
    for always in ("off", "on"):
        d = t.daemon(discard_always=always)
        c, other = t.client(d), t.client(d)
        found = []
        for sql, look in (("SELECT sets()", "SHOW work_mem"), ("SELECT * FROM sets_too", "SHOW work_mem"),
                          ("SELECT locks()", OWN_LOCKS), ("SELECT makes()", "SELECT to_regclass('made')")):
            c.sql(sql)
            found.append(other.value(look))
        equal(found, ["4MB", "4MB", "0", None] if always == "on" else ["7MB", "8MB", "1", "made"],
              "discard_always = " + always)
        d.stop()


@test
def custom_parameters(t):
    """app.tenant is empty if another has set it, and lost if only a procedure sets it"""
    t.sql(FUNCTIONS)
    d = t.daemon()
    c, other = t.client(d), t.client(d)
    equal(states(other.ask("SHOW app.tenant")), ["42704"], "unknown")
    c.sql("DO $$BEGIN PERFORM sets_app(); END$$")
    equal(c.value("SELECT current_setting('app.tenant', true)"), "", "lost")
    c.sql("SET app.tenant = '1'")
    equal(other.value("SHOW app.tenant"), "", "another's")
    c.sql("DO $$BEGIN PERFORM sets_app(); END$$")
    other.sql("SELECT 1")
    equal(c.value("SHOW app.tenant"), "7", "the session has named it")


@test
def reset(t):
    """behind RESET, in the same text or exchange, a parameter of the startup packet has the server's value"""
    default = '"$user", public'
    for mode in ("transaction", "session"):
        d = t.daemon(mode=mode)
        for c, here in ((t.direct(search_path="tenant"), "tenant"), (t.client(d, search_path="tenant"), default)):
            text = "SET search_path = x; RESET search_path; SHOW search_path"
            equal(c.value(text), here, "in the same text")
            equal(exchange(c, extended("RESET search_path"), extended("SHOW search_path")).value, here,
                  "in the same exchange")
            equal(c.value("SHOW search_path"), "tenant", "afterwards")


@test
def dropped_role(t):
    """a session whose role was dropped gets PostgreSQL's error until it resets the role"""
    t.cluster.role("fades")
    d = t.daemon()
    c = t.client(d)
    c.sql("SET ROLE fades")
    t.sql("DROP ROLE fades")
    t.client(d).sql("SELECT 1")
    for _ in range(2):
        equal(states(c.ask("SELECT 1")), ["22023"], "behind another client")
    c.sql("RESET ROLE")
    equal(c.value("SELECT 1"), "1", "afterwards")


@test
def other_parameters(t):
    """idle_session_timeout ends only who keeps a server; application_name comes from conninfo"""
    d = t.daemon(size=2, conninfo=t.conninfo(application_name="of_the_pool"))
    c = wire.Client(d.sockets, d.port, "db", login=False)
    t.defer(c.close)
    del c.params["application_name"]
    c.login()
    equal(c.value("SHOW application_name"), "of_the_pool", "application_name")
    free, pinned = t.client(d), t.client(d)
    for each in (free, pinned):
        each.sql("SET idle_session_timeout = '100ms'")
    pinned.sql("LISTEN a; SELECT 1")
    check(pinned.hung_up(), "who is pinned")
    equal(free.value("SELECT 1"), "1", "who is not")


# ---- prepared statements ---------------------------------------------------------------------------
@test
def names(t):
    """SQL sees other names, unless max_prepared_statements is 0"""
    for most, listed, state in ((200, "pgwith_1", ["26000"]), (0, "mine", [])):
        c = t.client(t.daemon(max_prepared_statements=most))
        exchange(c, parse("SELECT 1", "mine"))
        equal(c.value("SELECT name FROM pg_prepared_statements"), listed, "the name")
        equal(states(c.ask("EXECUTE mine")), state, "EXECUTE")
        equal(states(c.ask("DEALLOCATE mine")), [], "DEALLOCATE")
        equal(states(use(c, "mine")), ["26000"], "it is gone")
    d = t.daemon()
    exchange(t.client(d), parse("SELECT 2", "theirs"))
    equal(t.client(d).sql("SELECT name, statement FROM pg_prepared_statements"), [("pgwith_1", "SELECT 2")],
          "those of others")


@test
def another_meaning(t):
    """on another server connection a text means what it means there now; PostgreSQL goes on with the old meaning"""
    t.sql("CREATE SCHEMA s1; CREATE SCHEMA s2; CREATE TABLE s2.item AS SELECT 'two' AS x")
    t.cluster.role("low")
    t.sql("GRANT SELECT ON s2.item TO low")
    d = t.daemon(size=2)
    for c, date, item, state in ((t.direct(), "2003-02-01", "two", []), (t.client(d), "2003-01-02", "one", ["42501"])):
        exchange(c, parse("SELECT x FROM s2.item", "s"))
        equal(use(c, "s").value, "two", "as the role of the Parse")
        c.sql("SET DateStyle = 'ISO, DMY'; SET search_path = s1, s2")
        exchange(c, parse("SELECT '01/02/2003'::date", "d"), parse("SELECT x FROM item", "i"))
        equal((use(c, "d").value, use(c, "i").value), ("2003-02-01", "two"), "at first")
        c.sql("SET DateStyle = 'ISO, MDY'")
        t.sql("CREATE TABLE s1.item AS SELECT 'one' AS x")
        back = elsewhere(t, d, c) if state else None
        equal((use(c, "d").value, use(c, "i").value), (date, item), "a date and a table")
        c.sql("RESET search_path; SET ROLE low")
        equal(states(use(c, "s")), state, "as a role that may not use the schema")
        c.sql("RESET ROLE")
        if back:
            back()
        t.sql("DROP TABLE s1.item")


@test
def hidden_by_a_temporary_table(t):
    """a statement goes on with the hidden table if its connection has had a temporary table before"""
    t.sql("CREATE TABLE item (code int); INSERT INTO item VALUES (77)")
    d = t.daemon(size=1)

    def second(c):
        run = wire.bind((), statement="s") + wire.execute() + wire.sync()
        c.send(wire.parse("SELECT * FROM item", "s") + wire.describe("S", "s") + wire.sync() + run)
        equal((c.until_ready().errors, c.until_ready().rows), ([], [("77",)]), "before")
        c.sql("CREATE TEMP TABLE item AS SELECT 1.5::float4 AS code")
        c.send(run)
        r = c.until_ready()
        c.close()
        return r.rows, [e.sqlstate for e in r.errors]

    used = t.direct()
    used.sql("CREATE TEMP TABLE other (i int); DROP TABLE other")
    equal(second(t.direct()), ([], ["0A000"]), "directly, its first one")
    equal(second(used), ([("77",)], []), "directly, not its first one")
    equal(second(t.client(d)), ([], ["0A000"]), "a new server connection")
    equal(second(t.client(d)), ([("77",)], []), "the same, of the next session")


@test
def other_errors(t):
    """an unnamed statement is not compared; of two errors the other one; no Describe in a failed transaction"""
    t.sql("CREATE TABLE w (a int); INSERT INTO w VALUES (1)")
    d = t.daemon(size=2)
    for c, unnamed, wrong, failed in ((t.direct(), ["0A000"], ["22P02"], []),
                                      (t.client(d), [], ["0A000"], ["25P02"])):
        exchange(c, parse("SELECT * FROM w"), bind(), execute())
        t.sql("ALTER TABLE w ADD b int")
        equal(states(use(c, "")), unnamed, "the unnamed statement")
        exchange(c, parse("SELECT * FROM w WHERE a = $1", "n"), describe("S", "n"), parse("CREATE TABLE z (a int)", "u"))
        t.sql("ALTER TABLE w ADD c int")
        back = elsewhere(t, d, c) if failed else None
        equal(states(use(c, "n", "x")), wrong, "a wrong value, and other columns")
        c.sql("BEGIN")
        c.ask("SELECT 1 / 0")
        equal(states(exchange(c, describe("S", "u"))), failed, "Describe")
        c.sql("ROLLBACK")
        if back:
            back()
        t.sql("ALTER TABLE w DROP b, DROP c")


@test
def parse_alone(t):
    """on a busy pool a Parse of a known text is answered at once, its error comes with the first use"""
    t.sql("CREATE TABLE w (a int)")
    d = t.daemon()
    a, b = t.client(d), t.client(d)
    exchange(a, parse("SELECT * FROM w", "n"))
    a.sql("BEGIN")
    a.sql("SELECT 1")
    t.sql("DROP TABLE w")
    equal(states(exchange(b, parse("SELECT * FROM w", "n"))), [], "the Parse")
    a.sql("COMMIT")
    equal(states(use(b, "n")), ["42P01"], "the first use")


# ---- sequences and transactions --------------------------------------------------------------------
@test
def sequences(t):
    """55000 in the first transaction, and when somebody had the server; a view is not noticed; CACHE skips numbers"""
    t.sql("CREATE TABLE item (id serial, v int); CREATE VIEW tells AS SELECT lastval() AS v; CREATE SEQUENCE s CACHE 10")
    d = t.daemon()
    c, other = t.client(d), t.client(d)
    other.sql("INSERT INTO item (v) VALUES (1)")
    equal(c.value("SELECT v FROM tells"), "1", "another's number, through a view")
    for state in (["55000"], []):
        c.sql("BEGIN")
        c.sql("INSERT INTO item (v) VALUES (2)")
        equal(states(c.ask("SELECT lastval()")), state, "in a transaction")
        c.ask("COMMIT")
    equal(states(c.ask("SELECT lastval()")), [], "afterwards")
    other.sql("SELECT 1")
    equal(states(c.ask("SELECT lastval()")), ["55000"], "when another had the server")
    equal([x.value("SELECT nextval('s')") for x in (c, other, c)], ["1", "11", "21"], "with CACHE")


@test
def begin(t):
    """BEGIN goes with the next statement, and so does what depends on its time; lazy_begin = off"""
    for lazy in ("on", "off"):
        d = t.daemon(lazy_begin=lazy, wait_timeout="0.3s", size=1)
        c, other = t.client(d), t.client(d)
        c.sql("BEGIN")
        time.sleep(0.3)
        old = c.value("SELECT clock_timestamp() - now() > '0.25s'")
        equal(old, "f" if lazy == "on" else "t", "now() is that of BEGIN, lazy_begin = " + lazy)
        if lazy == "on":
            other.sql("BEGIN")
            equal(states(other.ask("SELECT 1")), ["53300"], "no server")
            equal(states(other.ask("SELECT 1")), ["25P02"], "the transaction has failed")
            other.sql("ROLLBACK")
        else:
            equal(states(other.ask("BEGIN")), ["53300"], "no server")
    equal(states(t.client(t.daemon(mode="statement")).ask("BEGIN")), ["0A000"], "mode = statement")


@test
def mode_session(t):
    """with mode = session SQL sees the session's names and numbers, and nothing passes to the next client"""
    t.sql(FUNCTIONS + "CREATE SEQUENCE s")
    d = t.daemon(mode="session")
    c = t.client(d)
    exchange(c, parse("SELECT 1", "mine"))
    equal(c.value("EXECUTE mine"), "1", "EXECUTE")
    c.sql("SELECT nextval('s')")
    for sql in ("SET app.tenant = '1'", "SELECT sets()", "SELECT locks()", "SELECT makes()"):
        c.sql(sql)
    equal(c.value("SELECT lastval()"), "1", "lastval()")
    c.close()
    d.quiet()
    c = t.client(d)
    equal((c.value("SHOW work_mem"), c.value(OWN_LOCKS), c.value("SELECT to_regclass('made')")), ("4MB", "0", None),
          "the next client")
    equal(c.value("SHOW app.tenant"), "", "the empty string")


main()
