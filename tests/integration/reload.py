"""Reload: the file is read again by SIGHUP or RELOAD, and taken over wholly or not at all; SET changes one option.
Pools come, go, grow, shrink and move while they are used, and nobody who is connected is dropped."""

import os
import signal
import time

from pgwtest import check, equal, main, test, wait_until, wire
from pgwtest.looks import error_of


def one(t, **options):
    """The options of the pool `db`."""
    return dict({"conninfo": t.conninfo(), "size": 2}, **options)


def states(r):
    return [e.sqlstate for e in r.errors]


def config(d, key, section="pgwith"):
    """The row of SHOW CONFIG."""
    rows = [r for r in d.show("CONFIG") if r["key"] == key and r["section"] == section]
    equal(len(rows), 1, "rows of SHOW CONFIG for %s in %s" % (key, section))
    return rows[0]


def other_database(t):
    """The conninfo of a second database of the cluster, with the same marker table."""
    name = t.database + "_other"
    t.cluster.create_database(name)
    t.defer(t.cluster.forget)
    t.sql("CREATE TABLE place AS SELECT 'first'::text AS name")
    t.cluster.sql("CREATE TABLE place AS SELECT 'second'::text AS name", name)
    return t.conninfo(dbname=name)


def logged(d, pattern):
    wait_until(lambda: d.log_has(pattern), 5, "the log has " + pattern)


@test
def pools_come_and_go(t):
    """a pool that is added is there at once, one that is removed goes when its last session has left, and comes back"""
    d = t.daemon(pools={"db": one(t)})
    equal(error_of(d.connect, "new").sqlstate, "3D000", "before it is there")
    both = {"db": one(t), "new": one(t, min_size=2)}
    d.reload(pools=both)
    wait_until(lambda: int(d.pool("new")["opened"]) == 2, 5, "min_size of the new pool is opened")
    wait_until(lambda: len(t.activity()) == 2, 5, "in PostgreSQL")
    c = t.client(d, "new")
    pid = c.backend()
    c.sql("BEGIN")
    d.reload(pools={"db": one(t)})
    e = error_of(d.connect, "new")
    equal((e.sqlstate, e.message), ("3D000", 'there is no pool "new"'), "it is removed")
    equal(c.value("SELECT pg_backend_pid()"), str(pid), "the session of the removed pool goes on in its transaction")
    equal([d.pool(p)["removed"] for p in ("db", "new")], [0, 1], "SHOW POOLS")
    c.sql("COMMIT")
    equal(c.value("SELECT 5"), "5", "and behind it")
    # Another session, which opens scopes by name, finds it no more; its own session does.
    with d.connect() as other:
        equal(states(other.ask("ENTER a ON new")), ["3D000"], "ENTER ON the removed pool")
    equal(c.ask("ENTER a ON new; EXIT a").errors, [], "of its own session")
    d.reload(pools=both)
    with d.connect("new") as again:
        check(again.backend() in d.server_pids("new"), "the pool is the same again")
    equal([int(d.pool("new")[x]) for x in ("opened", "removed")], [2, 0], "no server was lost")
    d.reload(pools={"db": one(t)})
    c.close()
    wait_until(lambda: all(r["database"] != "new" for r in d.show("POOLS")), 5, "the pool vanishes")
    wait_until(lambda: {r["pid"] for r in t.activity()} == d.server_pids(), 5, "and its servers")
    logged(d, "pool new: gone")


@test
def resized(t):
    """a larger size serves those who wait at once; a smaller one closes idle servers, and leased ones at their return"""
    d = t.daemon(pools={"db": one(t, size=1)})
    a, b, c = (t.client(d) for _ in range(3))
    a.sql("BEGIN")
    for waiting in (b, c):
        waiting.send(wire.query("BEGIN"))
    wait_until(lambda: d.waiting() == 2, 5, "two wait")
    d.reload(pools={"db": one(t, size=3)})
    for served in (b, c):
        equal(served.until_ready().status, "T", "served")
    equal(len(t.activity()), 3, "servers")
    d.reload(pools={"db": one(t, size=1)})
    equal((len(t.activity()), d.waiting()), (3, 0), "nobody in a transaction is touched")
    for done, left in ((a, 2), (b, 1)):
        done.sql("COMMIT")
        wait_until(lambda left=left: len(t.activity()) == left, 5, "%d are left" % left)
    a.send(wire.query("SELECT 7"))
    wait_until(lambda: d.waiting() == 1, 5, "one waits for the last server")
    c.sql("COMMIT")
    equal(a.until_ready().rows, [("7",)], "which is leased again")
    equal(len(d.servers()), 1, "servers in the end")
    # Idle ones.
    d.reload(pools={"db": one(t, size=3, min_size=3)})
    wait_until(lambda: len(d.servers()) == 3, 5, "min_size is opened")
    d.reload(pools={"db": one(t, size=2)})
    wait_until(lambda: len(t.activity()) == 2, 5, "surplus idle servers are closed")
    check(d.log_has('the pool was made smaller'), "and the log says why")


@test
def moved(t):
    """with another conninfo no server of the old place is leased again; who is in a transaction ends it there"""
    second = other_database(t)
    d = t.daemon(pools={"db": one(t, size=4)})
    in_transaction, idle, pinned, prepared = (t.client(d) for _ in range(4))
    for c in (in_transaction, pinned):
        c.sql("BEGIN")
        equal(c.value("SELECT name FROM place"), "first", "the first place")
    equal(prepared.ask_extended("SELECT name FROM place").rows, [("first",)], "by the extended protocol")
    prepared.send(wire.parse("SELECT name || $1 FROM place", "mine") + wire.sync())
    equal(prepared.until_ready().errors, [], "a prepared statement")
    equal(idle.value("SELECT name FROM place"), "first", "the first place")
    d.reload(pools={"db": one(t, size=4, conninfo=second)})
    wait_until(lambda: len(t.activity()) == 2, 5, "idle servers of the first place are closed")
    equal(in_transaction.value("SELECT name FROM place"), "first", "the transaction goes on")
    in_transaction.sql("INSERT INTO place VALUES ('late')")
    in_transaction.sql("COMMIT")
    equal(t.value("SELECT count(*) FROM place"), "2", "and commits")
    for c in (in_transaction, idle):
        equal(c.value("SELECT name FROM place"), "second", "the next lease")
    prepared.send(wire.bind(("!",), "", "mine") + wire.execute() + wire.sync())
    r = prepared.until_ready()
    equal((r.errors, r.rows), ([], [("second!",)]), "a prepared statement goes along")
    with d.connect() as new:
        equal(new.value("SELECT name FROM place"), "second", "a new session")
    pinned.sql("ROLLBACK")
    wait_until(lambda: len(t.activity()) == 0, 5, "nothing is left at the first place")
    equal(pinned.value("SELECT name FROM place"), "second", "the last one")
    equal(d.pool()["cl_waiting"], 0, "waiting")
    # The same place in other words is the same place.
    pids = d.server_pids()
    d.reload(pools={"db": one(t, size=4, conninfo="  ".join(reversed(second.split())))})
    equal(d.server_pids(), pids, "another order of the words")


@test
def moved_while_they_wait(t):
    """who waits for a server gets one of the new place; what a client was told goes on to hold"""
    second = other_database(t)
    t.cluster.sql("ALTER DATABASE %s_other SET TimeZone = 'Asia/Tokyo'" % t.database)
    t.cluster.sql("ALTER DATABASE %s_other SET DateStyle = 'German'" % t.database)
    d = t.daemon(pools={"db": one(t, size=1)})
    a, b = t.client(d), t.client(d)
    zone = b.parameters["TimeZone"]
    check(zone != "Asia/Tokyo", "what it is told")
    a.sql("BEGIN")
    b.send(wire.query("SELECT name, '2020-02-01'::date, current_setting('TimeZone') FROM place"))
    wait_until(lambda: d.waiting() == 1, 5, "one waits")
    # A login whose parameters only a server can tell does not wait.
    login = wire.Client(d.sockets, d.port, "db", "postgres", login=False)
    t.defer(login.close)
    login.send(wire.startup_packet({"user": "postgres", "database": "db", "TimeZone": "Asia/Seoul"}))
    equal(login.until_ready().errors, [], "the login")
    d.reload(pools={"db": one(t, size=1, conninfo=second)})
    check(b.silent(0.05), "size bounds both places together")
    a.sql("COMMIT")
    equal(b.until_ready().rows, [("second", "2020-02-01", zone)], "with the dates that it was told")
    equal(login.value("SELECT name || current_setting('TimeZone') FROM place"), "secondAsia/Seoul", "the login")
    with d.connect() as new:
        equal((new.parameters["TimeZone"], new.value("SELECT '2020-02-01'::date")), ("Asia/Tokyo", "01.02.2020"),
              "a new session is told what holds there")


@test
def moved_during_login(t):
    """a login that asks a server of the old place for its parameters when the pool is moved asks one of the new place"""
    second = other_database(t)
    t.cluster.sql("ALTER DATABASE %s_other SET DateStyle = 'German'" % t.database)
    d = t.daemon(pools={"db": one(t)})
    with d.connect() as c:
        pid = c.backend()
    d.quiet()
    t.cluster.signal(pid, signal.SIGSTOP)
    try:
        login = wire.Client(d.sockets, d.port, "db", "postgres", login=False)
        t.defer(login.close)
        login.send(wire.startup_packet({"user": "postgres", "database": "db", "TimeZone": "Asia/Seoul"}))
        wait_until(lambda: [r["state"] for r in d.clients()] == ["setup"], 5, "the server is asked")
        d.reload(pools={"db": one(t, conninfo=second)})
    finally:
        t.cluster.signal(pid, signal.SIGCONT)
    equal(login.until_ready().errors, [], "it is let in")
    equal((login.parameters["DateStyle"], login.parameters["TimeZone"]), ("German, DMY", "Asia/Seoul"), "what it is told")
    equal(login.value("SELECT name || current_setting('TimeZone') FROM place"), "secondAsia/Seoul", "where it is")
    wait_until(lambda: pid not in {r["pid"] for r in t.activity()}, 5, "the old server is closed")


@test
def all_or_nothing(t):
    """a file with problems changes nothing: RELOAD names them all, and what runs goes on"""
    d = t.daemon(pools={"db": one(t)})
    before = d.show("CONFIG")
    d.rewrite({"max_clients": 0, "prot": 1}, {"db": one(t, size=5), "new": {"size": 1}})
    e = error_of(d.console, "RELOAD")
    equal(e.sqlstate, "F0000", "sqlstate")
    for words in ("pgwith.conf:", "max_clients", "1000000", '"prot"; did you mean "port"', '"new" has no conninfo'):
        check(words in e.detail, "DETAIL has %s: %s" % (words, e.detail))
    check("3 problems" in e.message and "pgwithd -t" in e.hint, "message and hint")
    d.signal(signal.SIGHUP)
    logged(d, "signal name=SIGHUP")
    # What repeats is folded, and written a second later.
    logged(d, "reload refused .*repeated=")
    equal(d.log_text().count("reload refused why=") >= 3, True, "each is in the log")
    equal(d.show("CONFIG"), before, "the configuration")
    equal(error_of(d.connect, "new").sqlstate, "3D000", "no pool")
    # What only libpq knows to be wrong.
    d.rewrite(pools={"db": one(t), "far": {"conninfo": "host=a,b port=1,2,3"}})
    check("far" in error_of(d.console, "RELOAD").detail, "a conninfo that cannot be")
    d.rewrite(pools={"db": one(t, size=5)})
    d.signal(signal.SIGHUP)
    wait_until(lambda: config(d, "size", "pool db")["value"] == "5", 5, "SIGHUP takes a good file over")
    with d.connect() as c:
        equal(c.value("SELECT 1"), "1", "served")


@test
def what_needs_a_restart(t):
    """what cannot be taken over is told and stays as it is; the rest of the file is taken over"""
    d = t.daemon(pools={"db": one(t)})
    r = d.reload({"port": 6000, "socket_mode": "0700", "max_clients": 77}, {"db": one(t, role="client", size=4)})
    notice = r.notices[0]
    words = " ".join((notice["M"], notice["D"]))
    for option in ("port", "socket_mode", "role"):
        check("option %s of" % option in words and "needs a restart" in words, "%s is named: %s" % (option, words))
    equal(notice["V"], "WARNING", "severity")
    equal((config(d, "port")["value"], config(d, "port")["changeable"]), ("6432", "no"), "port")
    equal((config(d, "max_clients")["value"], config(d, "max_clients")["changeable"]), ("77", "yes"), "max_clients")
    equal(config(d, "size", "pool db")["value"], "4", "size")
    equal(config(d, "role", "pool db")["value"], "fixed", "role")
    check(d.log_has('needs a restart section="pgwith" option=port is="6432" wanted="6000"'), "logged")


@test
def set_options(t):
    """SET changes an option until the next reload; drivers' own SETs are ignored, and mistakes explained"""
    d = t.daemon({"wait_timeout": "30s"}, {"db": one(t, size=1), "own": one(t, wait_timeout="20s")})
    with d.connect() as a, d.connect() as b:
        a.sql("BEGIN")
        b.send(wire.query("SELECT 9"))
        wait_until(lambda: d.waiting() == 1, 5, "one waits")
        d.console("SET size = 2 FOR POOL db")
        equal(b.until_ready().rows, [("9",)], "and is served")
        d.console("SET wait_timeout TO '100ms'")
        d.console("set size to 1 for pool \"db\"")
        wait_until(lambda: len(d.servers()) == 1, 5, "smaller again")
        equal(states(b.ask("SELECT 9")), ["53300"], "the wait ends after the new limit")
        b.send(wire.query("SELECT 9"))
        wait_until(lambda: d.waiting() == 1, 5, "one waits")
        d.console("SET max_waiting = 0")
        a.sql("COMMIT")
        b.until_ready()
    row = config(d, "size", "pool db")
    equal((row["value"], row["source"]), ("1", "SET by postgres"), "SHOW CONFIG")
    equal((config(d, "wait_timeout")["value"], config(d, "wait_timeout", "pool db")["value"],
           config(d, "wait_timeout", "pool own")["value"]), ("100ms", "100ms", "20s"),
          "a default for all pools leaves what a pool has of its own")
    d.console("RELOAD")
    row = config(d, "wait_timeout", "pool db")
    check(row["value"] == "30s" and row["source"].startswith(d.conf + ":"), "the file again: %s" % row)
    for sql in ("SET client_encoding = 'UTF8'", "SET application_name TO x", "SET SESSION CHARACTERISTICS AS TRANSACTION "
                "READ ONLY", "SET extra_float_digits = 3", "SET TIME ZONE 'UTC'", "SET NAMES 'UTF8'", "RESET ALL"):
        d.console(sql)
    for sql, state, words in (
            ("SET sise = 3 FOR POOL db", "22023", ('"sise"', "size")),
            ("SET size = 0 FOR POOL db", "22023", ('"0"', "from 1 to 10000")),
            ("SET size = 3 FOR POOL owns", "22023", ('no pool "owns"', '"own"?')),
            ("SET min_size = 3 FOR POOL db", "22023", ("min_size (3) is larger than size (1)",)),
            ("SET port = 1", "22023", ("port", "restart")),
            ("SET include = x", "22023", ("file",)),
            ("SET max_clients = 5 FOR POOL db", "22023", ("max_clients", "SET max_clients = VALUE")),
            ("SET suppress = on", "22023", ("FOR SCOPE",)),
            ("SET conninfo = 'host=a dbname' FOR POOL db", "22023", ("conninfo",)),
            ("SET size", "42601", ("SET OPTION = VALUE",)),
            ("SET size 3", "42601", ("SET OPTION = VALUE",))):
        e = error_of(d.console, sql)
        equal(e.sqlstate, state, sql)
        for word in words:
            check(word in " ".join((e.message, e.hint or "")), "%s: %s has %s" % (sql, (e.message, e.hint), word))
    equal(config(d, "size", "pool db")["value"], "1", "none of them has changed anything")


@test
def limits_and_scopes(t):
    """max_clients, allow, console roles, log_level and scopes hold for what comes after; an ENTER under way is not mixed"""
    t.sql("CREATE TABLE x (a text)")
    scopes = {"audit": {"enter": "INSERT INTO x VALUES ($1)"}}
    d = t.daemon(pools={"db": one(t, size=1)}, scopes=scopes)
    a, b = t.client(d), t.client(d)
    a.sql("BEGIN")
    b.send(wire.query("ENTER audit ('one')"))
    wait_until(lambda: d.waiting() == 1, 5, "an ENTER waits")
    d.reload({"max_clients": 4, "log_level": "info"}, scopes={
        "audit": {"enter": "INSERT INTO x VALUES ($1 || $2)"}, "other": {"pool": "db", "access": "read only"}})
    a.sql("COMMIT")
    equal(b.until_ready().errors, [], "it is entered as it was defined")
    b.sql("EXIT audit")
    equal(t.sql("SELECT a FROM x"), [("one",)], "what it did")
    equal(states(b.ask("ENTER audit ('one')")), ["22023"], "the next has two arguments")
    b.sql("ENTER audit ('one', 'two'); EXIT audit; ENTER other; EXIT other")
    equal(t.value("SELECT count(*) FROM x"), "2", "rows")
    more = t.client(d)
    equal(error_of(d.connect).sqlstate, "53300", "max_clients")
    more.close()
    d.reload(scopes={})
    equal(b.ask("ENTER audit ('one', 'two')").errors[0].sqlstate, "42704", "no definition")


@test
def modes_and_pins(t):
    """mode and pin hold for sessions that come in later; those that are in keep what they have"""
    d = t.daemon(pools={"db": one(t, size=2)})
    old = t.client(d)
    old.send(wire.parse("SELECT 'old'", "s") + wire.sync())
    equal(old.until_ready().errors, [], "a prepared statement")
    old.sql("LISTEN a; SELECT 1")
    old.sql("BEGIN")
    d.reload(pools={"db": one(t, size=2, mode="session", pin="off", max_prepared_statements=0)})
    old.sql("COMMIT")
    equal(old.value("SELECT pg_listening_channels()"), "a", "what it has made stays")
    old.send(wire.bind((), "", "s") + wire.execute() + wire.sync())
    equal(old.until_ready().rows, [("old",)], "its statement too")
    old.sql("UNLISTEN *")
    d.quiet()
    new = t.client(d)
    new.sql("SELECT 1")
    equal(len(d.leased()), 1, "a session of mode session keeps its server")
    d.reload(pools={"db": one(t, size=2, pin="off")})
    new.sql("CREATE TEMP TABLE tt (a int)")
    equal(new.value("SELECT count(*) FROM tt"), "0", "as long as it lives")
    new.close()
    d.quiet()
    with d.connect() as last:
        equal(states(last.ask("LISTEN a; SELECT 1")), ["0A000"], "pin = off")


@test
def time_limits(t):
    """limits of time that come or go hold for what begins then"""
    d = t.daemon(pools={"db": one(t)})
    c = t.client(d)
    c.sql("BEGIN")
    d.reload(pools={"db": one(t, query_timeout="600ms", idle_in_scope_timeout="600ms")})
    time.sleep(0.8)
    equal(c.ask("SELECT 1").errors, [], "a transaction of before has no limit")
    c.sql("COMMIT")
    equal(states(c.ask("SELECT pg_sleep(20)")), ["57014"], "a statement of after has")
    c.sql("BEGIN")
    d.reload(pools={"db": one(t)})
    time.sleep(0.8)
    equal(c.ask("SELECT 1").errors, [], "without limit")
    c.sql("COMMIT")


@test
def roles_of_a_group(t):
    """with role = client all roles of the pool follow"""
    for role in ("alice", "bob"):
        t.cluster.role(role)
    second = other_database(t)
    for name in (t.database, t.database + "_other"):
        t.cluster.sql("GRANT SELECT ON place TO alice, bob", name)
    d = t.daemon(pools={"db": one(t, role="client", size=2), "x": one(t)})
    clients = [t.client(d, user=role) for role in ("alice", "bob")]
    for c in clients:
        equal(c.value("SELECT name FROM place"), "first", "the first place")
    d.reload(pools={"db": one(t, role="client", size=1, conninfo=second), "x": one(t)})
    for c, role in zip(clients * 2, ("alice", "bob") * 2):
        equal(c.sql("SELECT name, session_user FROM place"), [("second", role)], "moved")
        wait_until(lambda: len([s for s in d.servers() if s["state"] != "closed"]) == 1, 5, "one server for all")
    equal(len(t.activity()), 0, "servers at the first place")
    d.reload(pools={"x": one(t)})
    for c in clients:
        equal(c.value("SELECT name FROM place"), "second", "removed, and still there for them")
        c.close()
    wait_until(lambda: {r["database"] for r in d.show("POOLS")} <= {"x", "pgwith"}, 5, "gone with all its roles")


@test
def circle_by_shrinking(t):
    """a pool that shrinks so that two sessions wait for each other ends one of the waits, naming the circle"""
    d = t.daemon(pools={"db": one(t, size=3)})
    a, b, c = (t.client(d) for _ in range(3))
    c.sql("BEGIN")
    a.sql("ENTER LOCK 'l'")
    b.sql("BEGIN")
    b.sql("ENTER s")
    b.send(wire.query("ENTER LOCK 'l'"))
    wait_until(lambda: any(r["state"] == "waiting" for r in d.show("LOCKS")), 5, "b waits for the lock")
    x = t.client(d)
    x.sql("BEGIN")
    a.send(wire.query("ENTER s"))
    wait_until(lambda: d.waiting() == 1, 5, "a waits for a server: c and x can still give one")
    d.reload(pools={"db": one(t, size=1)})
    # Three are leased; only if all of them came back a could have one, and b waits for a.
    r = a.until_ready()
    equal(states(r), ["40P01"], "the wait is refused")
    check('pool "db"' in r.errors[0].message and "lock" in r.errors[0].detail, "the circle: %s" % r.errors[0].detail)
    a.sql("EXIT ALL ROLLBACK")
    equal(b.until_ready().errors, [], "b has the lock")


@test
def includes_and_secrets(t):
    """files of a folder are part of the configuration, and a secret may be in a file of its own"""
    t.cluster.without_password("passwords of its own")
    d = t.daemon(pools={"db": one(t)})
    folder = os.path.join(d.directory, "conf.d")
    os.mkdir(folder)
    secret = os.path.join(d.directory, "conninfo")

    def write(path, text, mode=0o644):
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, mode)
    write(secret, t.conninfo(password="hushhush") + "\n", 0o600)
    write(os.path.join(folder, "10.conf"), "[pool more]\n\nconninfo = file:%s\n" % secret)
    d.reload({"include": "conf.d/*.conf"})
    with d.connect("more") as c:
        equal(c.value("SELECT 3"), "3", "a pool of an included file")
    row = config(d, "conninfo", "pool more")
    equal(row["source"], "%s/10.conf:3" % folder, "where it is from")
    check("password=********" in row["value"] and "hushhush" not in str(d.show("CONFIG")), "not shown: %s" % row["value"])
    write(secret, t.conninfo(dbname="postgres", password="hushhush"), 0o644)
    e = error_of(d.console, "RELOAD")
    check("10.conf:3: conninfo" in e.detail and "chmod 0600 " + secret in e.detail, "open to others: %s" % e.detail)
    os.chmod(secret, 0o600)
    d.console("RELOAD")
    with d.connect("more") as c:
        equal(c.value("SELECT current_database()"), "postgres", "what the file says now")
    check("hushhush" not in d.log_text(), "not in the log")


if __name__ == "__main__":
    main()
