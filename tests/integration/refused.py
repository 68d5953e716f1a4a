"""Servers that refuse what a session has set though others took it: what is not to be undone in a backend, roles and
objects that have gone. Another server takes it, and nobody notices; what no server takes is an error, and the session
goes on."""

from pgwtest import check, equal, main, test, wait_until, wire

TOUCH = "CREATE TEMP TABLE touched AS SELECT 1; SELECT * FROM touched; DROP TABLE touched"


def touch(d, n=1):
    """That many servers of the pool have had temporary tables, whose clients have left."""
    cs = [d.connect() for _ in range(n)]
    for c in cs:
        c.sql("CREATE TEMP TABLE touched AS SELECT 1 AS a")
        c.sql("SELECT * FROM touched")
    for c in cs:
        c.close()
    d.quiet()


def states(r):
    return [e.sqlstate for e in r.errors]


@test
def temp_buffers(t):
    """temp_buffers is set on whatever server, in each way, and goes with the session to servers that have had
    temporary tables of others"""
    d = t.daemon(size=2)
    for way in ("SET temp_buffers = '16MB'", "SET SESSION \"temp_buffers\" TO '16MB'",
                "SELECT set_config('temp_buffers', '16MB', false)", "BEGIN; SET temp_buffers = '16MB'; COMMIT",
                "DO $$BEGIN SET temp_buffers = '16MB'; END$$"):
        for extended in (False, True):
            if extended and way.startswith("BEGIN"):
                continue
            touch(d, 2)
            c = d.connect()
            r = (c.ask_extended if extended else c.ask)(way)
            equal(r.errors, [], way)
            for _ in range(3):
                touch(d, 2)
                equal(c.value("SHOW temp_buffers"), "16MB", "moved, after " + way)
                equal(c.ask_extended("SHOW temp_buffers").value, "16MB", "by the extended protocol")
            # The session itself may use temporary tables with it.
            c.sql("CREATE TEMP TABLE own AS SELECT 1 AS a")
            equal(c.sql("SELECT a FROM own"), [("1",)], "its own table")
            equal(states(c.ask("SET temp_buffers = '17MB'")), ["22023"], "as PostgreSQL has it")
            c.close()
    d.quiet()
    equal(t.client(d).value("SHOW temp_buffers"), "8MB", "another's")


@test
def temp_buffers_at_login(t):
    """temp_buffers in the startup packet, and in a lazily begun transaction, and in scopes"""
    d = t.daemon(size=1, options={"lazy_begin": "on"})
    touch(d)
    with d.connect(temp_buffers="16MB") as c:
        for _ in range(3):
            equal(c.value("SHOW temp_buffers"), "16MB", "of the startup packet")
            touch(d)
    with d.connect() as c:
        c.sql("BEGIN")
        equal(c.ask("SET LOCAL temp_buffers = '16MB'").errors, [], "first in a transaction")
        equal(c.value("SHOW temp_buffers"), "16MB", "there")
        c.sql("COMMIT")
        equal(c.value("SHOW temp_buffers"), "8MB", "behind it")
    with d.connect() as c:
        c.sql("SET temp_buffers = '16MB'")
        touch(d)
        equal(c.ask("ENTER a").errors, [], "a scope")
        equal(c.value("SHOW temp_buffers"), "16MB", "in a scope")
        c.sql("EXIT a")
    d.quiet()


@test
def full_pool(t):
    """the new server is had in a pool whose servers are all in use or wanted by others"""
    d = t.daemon(size=2)
    touch(d, 2)
    holder, c = t.client(d), t.client(d)
    waiting = [t.client(d) for _ in range(5)]
    holder.sql("BEGIN; SELECT 1")
    c.send(wire.query("SET temp_buffers = '16MB'"))
    for w in waiting:
        w.send(wire.query("SELECT pg_sleep(0.02), 5"))
    equal(c.until_ready().errors, [], "set")
    for w in waiting:
        equal(w.until_ready().rows[0][1], "5", "the others have their answers")
    holder.sql("COMMIT")
    touch(d, 2)
    for w in waiting:
        w.send(wire.query("SELECT pg_sleep(0.02), 6"))
    equal(c.value("SHOW temp_buffers"), "16MB", "moved")
    for w in waiting:
        equal(w.until_ready().rows[0][1], "6", "the others have their answers")
    d.quiet()
    check(len(t.activity()) <= 2, "no more servers than there may be")


@test
def innocent(t):
    """a role that is dropped while a server has it costs the next client of that server nothing"""
    for take in ("SET ROLE gone", "SET SESSION AUTHORIZATION gone", "SET SESSION AUTHORIZATION gone; SET ROLE gone"):
        for fate in ("DROP ROLE gone", "ALTER ROLE gone RENAME TO gone_too"):
            t.sql("CREATE ROLE gone LOGIN")
            d = t.daemon(size=1)
            with d.connect() as a:
                other = t.client(d)
                for sql in take.split("; "):
                    a.sql(sql)
                equal(a.value("SELECT current_user"), "gone", "it is that")
                t.sql(fate)
                for i in range(3):
                    equal(other.value("SELECT current_user"), "postgres", "the innocent one")
            equal(t.client(d).value("SELECT current_user"), "postgres", "who comes later")
            d.quiet()
            t.sql("DROP ROLE IF EXISTS gone, gone_too")


@test
def the_guilty(t):
    """the session whose role has gone is told so by each statement, in PostgreSQL's words; it goes on when it sets or
    resets what was refused, and keeps the rest"""
    for undo in ("RESET ROLE", "SET ROLE none", "DISCARD ALL", "SET ROLE still", "SET SESSION AUTHORIZATION DEFAULT"):
        for extended in (False, True):
            t.sql("CREATE ROLE gone LOGIN; CREATE ROLE still LOGIN")
            d = t.daemon(size=1)
            with d.connect() as c, d.connect() as other:
                c.sql("SET work_mem = '9MB'")
                c.sql("SET ROLE gone")
                other.sql("SET work_mem = '8MB'")
                t.sql("DROP ROLE gone")
                pids = set()
                for _ in range(3):
                    r = c.ask_extended("SELECT 1") if extended else c.ask("SELECT 1")
                    equal(([(e.severity, e.sqlstate, e.message) for e in r.errors], r.status),
                          ([("ERROR", "22023", 'role "gone" does not exist')], "I"), "a statement")
                    equal(other.value("SELECT 5"), "5", "another's")
                    pids.add(tuple(d.server_pids()))
                check(len(pids) <= 2, "no new server for each: %r" % pids)
                r = c.ask_extended(undo) if extended else c.ask(undo)
                equal(r.errors, [], undo)
                equal(c.value("SELECT current_user"), "still" if "still" in undo else "postgres", "after " + undo)
                equal(c.value("SHOW work_mem"), "4MB" if undo == "DISCARD ALL" else "9MB", "after " + undo)
            d.quiet()
            t.sql("DROP ROLE still")


@test
def in_transactions(t):
    """the same at the beginning of a transaction, and in pipelines: nothing of it is done"""
    t.sql("CREATE TABLE marks (a int)")
    for lazy in ("on", "off"):
        t.sql("CREATE ROLE gone LOGIN; GRANT ALL ON marks TO gone")
        d = t.daemon(size=1, options={"lazy_begin": lazy})
        with d.connect() as c, d.connect() as other:
            c.sql("SET ROLE gone")
            other.sql("SELECT 1")
            t.sql("REASSIGN OWNED BY gone TO postgres; DROP OWNED BY gone; DROP ROLE gone")
            c.send(wire.query("BEGIN") + wire.query("INSERT INTO marks VALUES (1)") + wire.query("COMMIT") +
                   wire.query("INSERT INTO marks VALUES (2)"))
            got = [c.until_ready() for _ in range(4)]
            check(all(e.sqlstate in ("22023", "25P02") for r in got for e in r.errors), "%r" % got)
            equal(got[-1].status, "I", "it goes on")
            c.send(wire.extended("INSERT INTO marks VALUES (3)") + wire.sync() + wire.query("INSERT INTO marks VALUES (4)"))
            for _ in range(2):
                equal(states(c.until_ready()), ["22023"], "in an exchange")
            equal(states(c.ask("ENTER a")), ["22023"], "a scope")
            equal(states(c.ask("SELECT 1; ENTER a; SELECT 2; EXIT a")), ["22023"], "a text of both kinds")
            c.sql("RESET ROLE")
            equal(c.sql("SELECT * FROM marks"), [], "nothing was done")
        d.quiet()


@test
def objects_that_go(t):
    """parameters that name what has been dropped since: a brand-new server refuses them too, with PostgreSQL's error;
    the session and others go on"""
    t.sql("CREATE TEXT SEARCH CONFIGURATION mine (COPY = simple)")
    d = t.daemon(size=1)
    c, other = t.client(d), t.client(d)
    c.sql("SET default_text_search_config = 'public.mine'")
    c.sql("SET work_mem = '9MB'")
    other.sql("SELECT 1")
    t.sql("DROP TEXT SEARCH CONFIGURATION mine")
    for _ in range(2):
        equal(states(c.ask("SELECT 1")), ["22023"], "refused")
        equal(other.value("SELECT 5"), "5", "another's")
    c.sql("RESET ALL")
    equal(c.value("SHOW default_text_search_config"), other.value("SHOW default_text_search_config"), "reset")
    d.quiet()


@test
def extension_parameters(t):
    """a name that is a placeholder here and an extension's own there, whose library refuses it"""
    d = t.daemon(size=2)
    with d.connect() as c:
        c.sql("SELECT set_config('plpgsql.nonsense', '1', false)")
        h = t.client(d)
        h.sql("BEGIN; SELECT 1")
        h2 = d.connect()
        h2.sql("DO $$BEGIN END$$")
        h2.close()
        for _ in range(2):
            r = c.ask("SELECT 1")
            check(states(r) in ([], ["42602"]), "taken, or said why not: %r" % r.errors)
            equal(r.status, "I", "and it goes on")
        h.sql("COMMIT")
        equal(c.value("SELECT 1"), "1", "where it is taken")
    equal(t.client(d).value("SELECT 1"), "1", "others")


@test
def a_pool_behind_a_pool(t):
    """two daemons in a row: a role that is dropped while the servers of the second have it costs an innocent client of
    the first nothing"""
    t.sql("CREATE ROLE gone LOGIN")
    back = t.daemon(size=2)
    front = t.daemon(size=1, conninfo="host=%s port=%d dbname=db user=postgres" % (back.sockets, back.port))
    with front.connect() as a, front.connect() as other:
        a.sql("SET ROLE gone")
        equal(a.value("SELECT current_user"), "gone", "it is that")
        t.sql("DROP ROLE gone")
        for _ in range(3):
            equal(other.value("SELECT current_user"), "postgres", "the innocent one")
            equal(states(a.ask("SELECT 1")), ["22023"], "the guilty one")
        a.sql("RESET ROLE")
        equal(a.value("SELECT current_user"), "postgres", "it goes on")
    equal(t.client(front).value("SELECT current_user"), "postgres", "who comes later")


@test
def nologin(t):
    """the pool's own role may not log in any more: who has servers goes on, and the rest is told by PostgreSQL's
    words"""
    t.sql("CREATE ROLE poolrole LOGIN SUPERUSER")
    t.cluster.role("weak")
    d = t.daemon(size=2, conninfo=t.conninfo(user="poolrole"))
    with d.connect() as a, d.connect() as b:
        a.sql("SET SESSION AUTHORIZATION weak")
        b.sql("SELECT 1")
        t.sql("ALTER ROLE poolrole NOLOGIN")
        for c, who in ((a, "weak"), (b, "poolrole"), (a, "weak"), (b, "poolrole")):
            equal(c.value("SELECT session_user"), who, "goes on")
    d.stop()
    t.sql("DROP ROLE poolrole")


if __name__ == "__main__":
    main()
