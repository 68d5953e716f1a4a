"""What clients are told of parameters by ParameterStatus: true at login, and as long as they stay. Logins on
a busy pool. application_name."""

import os
import signal

from pgwtest import Cluster, child, check, equal, main, seconds, slow_factor, test, wait_until, wire
from pgwtest.looks import error_of
from pgwtest.tap import unavailable

TOLD = ("client_encoding", "DateStyle", "IntervalStyle", "TimeZone", "standard_conforming_strings", "in_hot_standby",
        "default_transaction_read_only", "is_superuser", "session_authorization", "application_name", "server_version",
        "search_path", "scram_iterations")


def told_is_true(c, what):
    """Whatever it was told is what it has. The question itself may bring the news."""
    c.sql("SELECT 1")
    for name in TOLD:
        if name in c.parameters:
            equal(c.ask("SHOW " + name).value, c.parameters[name], "%s, told %s" % (name, what))


def change(t, settings):
    """ALTER SYSTEM (None: RESET), and the configuration is reloaded."""
    for name, value in settings.items():
        t.cluster.sql("ALTER SYSTEM %s" % ("RESET " + name if value is None else
                                           "SET %s = '%s'" % (name, value)))
    t.cluster.sql("SELECT pg_reload_conf()")


RESETS = (["RESET ALL"], ["DISCARD ALL"], ["BEGIN; RESET ALL; COMMIT"], ["BEGIN", "RESET ALL", "COMMIT"],
          ["BEGIN", "RESET ALL", "ROLLBACK"], ["SELECT 1; RESET ALL"], ["SET DateStyle = 'German'", "RESET ALL"],
          ["SET client_encoding = 'UTF8'", "RESET client_encoding"], ["RESET datestyle"],
          ["SET TimeZone TO DEFAULT", "SET TIME ZONE DEFAULT"], ["SET standard_conforming_strings TO DEFAULT"],
          ["RESET ALL; SET TimeZone = 'UTC'"], ["RESET ALL", "SET DateStyle = 'ISO, MDY'", "RESET DateStyle"],
          ["SET application_name = 'x'", "RESET ALL"], ["RESET ROLE"], ["LISTEN x", "RESET ALL"],
          ["SET default_transaction_read_only = off", "RESET default_transaction_read_only"])
STARTUPS = ({}, {"client_encoding": "latin1"}, {"options": "-c standard_conforming_strings=off"},
            {"DateStyle": "SQL, DMY", "TimeZone": "Asia/Tokyo", "application_name": "mine"},
            {"default_transaction_read_only": "on", "IntervalStyle": "iso_8601"})


@test
def behind_resets(t):
    """behind a RESET a client that has startup parameters is told what it is told directly, before it goes on:
    it writes its next text by that"""
    daemons = [t.daemon(size=2), t.daemon(size=2, mode="session")]
    for startup in STARTUPS:
        for texts in RESETS:
            want = None
            for c in [t.direct(**startup)] + [t.client(d, **startup) for d in daemons]:
                got = []
                for text in texts:
                    for messages in (wire.query(text),) if ";" in text else (
                            wire.query(text), wire.extended(text) + wire.sync(),
                            wire.extended(text) + wire.bind(statement="none") + wire.sync(),
                            wire.bind(statement="none") + wire.extended(text) + wire.sync()):
                        c.send(messages)
                        c.until_ready()
                        got.append({n: c.parameters[n] for n in TOLD if n in c.parameters})
                told_is_true(c, "behind %r" % texts)
                c.close()
                want = want or got
                equal(got, want, "told by %r, startup %r" % (texts, startup))


# ---- what changes on servers -----------------------------------------------------------------------
@test
def reloaded(t):
    """PostgreSQL's configuration is reloaded: new clients are told what holds now, and so are those who stay"""
    d = t.daemon(size=2)
    stays, asked, set_it = t.client(d), t.client(d, DateStyle="SQL, DMY"), t.client(d)
    set_it.sql("SET DateStyle = 'Postgres, YMD'")
    pinned = t.client(d)
    pinned.sql("LISTEN x; SELECT 1")
    stays.sql("SELECT 1")  # by another server, which is idle from now on
    new = {"DateStyle": "German, DMY", "TimeZone": "Asia/Tokyo", "IntervalStyle": "iso_8601",
           "default_transaction_read_only": "on"}
    change(t, new)
    t.defer(change, t, dict.fromkeys(new))

    def told_now():
        with d.connect() as c:
            return [c.parameters[n] for n in new] == list(new.values())
    wait_until(told_now, 5, "a new client is told")
    for c, what in ((stays, "one that stays"), (asked, "one with a startup parameter"),
                    (set_it, "one that has set it"), (pinned, "one that keeps its server")):
        told_is_true(c, what)
        equal(c.parameters["TimeZone"], "Asia/Tokyo", what)
    equal(asked.parameters["DateStyle"], "SQL, DMY", "its own")
    equal(set_it.parameters["DateStyle"], "Postgres, YMD", "its own")
    equal(pinned.parameters["DateStyle"], "German, DMY", "the server's")
    change(t, dict.fromkeys(new))

    def told_as_before():
        with d.connect() as c:
            return c.parameters["TimeZone"] != "Asia/Tokyo" and c.parameters["DateStyle"] == "ISO, MDY"
    wait_until(told_as_before, 5, "a new client is told again")
    for c in (stays, asked, set_it, pinned):
        told_is_true(c, "afterwards")


@test
def context_of_others(t):
    """what a session has set on the server that is idle now is nobody else's: neither at login nor afterwards"""
    d = t.daemon()
    plain = t.client(d)
    before = dict(plain.parameters)
    for i, sql in enumerate(("SET TimeZone = 'Asia/Seoul'; SET DateStyle = 'German'", "SET SESSION AUTHORIZATION other",
                             "SET ROLE other", "SET client_encoding = 'LATIN1'", "SET application_name = 'x\\\\y'",
                             "SET default_transaction_read_only = on", "SET search_path = a, b")):
        t.cluster.role("other") if i == 1 else None
        c = t.client(d, application_name="a%d" % i)
        c.sql(sql)
        told_is_true(c, "after " + sql)
        with d.connect() as new:
            equal({k: v for k, v in new.parameters.items()}, before, "a new client after " + sql)
            told_is_true(new, "a new client after " + sql)
        told_is_true(plain, "the plain one after " + sql)
        equal(plain.parameters, before, "the plain one after " + sql)
        told_is_true(c, "again, after " + sql)


@test
def nothing_needless(t):
    """a client is told only what is news to it, however many others have set something on its server"""
    d = t.daemon()
    a, b = t.client(d, TimeZone="Asia/Seoul", application_name="a"), t.client(d, application_name="b")
    for c in (a, b):
        c.sql("SELECT 1")
    for _ in range(3):
        for c in (a, b):
            equal(c.ask("SELECT 1").kinds, "TDCZ", "what comes")
    r = a.ask("SET TimeZone = 'Asia/Tokyo'")
    equal(r.kinds, "CSZ" if int(t.value("SHOW server_version_num")) >= 140000 else "SCZ", "its own SET")
    equal(b.ask("SELECT 1").kinds, "TDCZ", "the other one")
    equal(a.ask("SHOW TimeZone").rows, [("Asia/Tokyo",)], "its own")


@test
def promoted(t):
    """a standby is promoted: in_hot_standby is off for new clients and for those who stay, and
    target_session_attrs finds what it looks for"""
    if os.environ.get("PGWITH_TEST_SERVER", "local") != "local":
        unavailable("it takes a server of its own")
    settings = {"wal_level": "replica", "max_wal_senders": "5"}
    primary = Cluster(t.path("primary"), settings=settings)
    t.defer(primary.destroy)
    with open(os.path.join(primary.data, "pg_hba.conf"), "a") as f:
        f.write("local replication all trust\n")

    class Standby(Cluster):
        def _initdb(self):
            # A copy of what is at rest: pg_basebackup may be of another version, or not be there.
            primary.stop()
            child.run_ok(["cp", "-a", primary.data, self.data])
            primary.start()
            child.run_ok(["touch", self.data + "/standby.signal"], user="postgres")
            with open(os.path.join(self.data, "postgresql.conf"), "a") as f:
                f.write("primary_conninfo = 'host=%s port=%d user=postgres'\n" % (primary.sockets, primary.port))
    standby = Standby(t.path("standby"), settings=settings)
    t.defer(standby.destroy)
    d = t.daemon(size=2, conninfo="host=%s port=%d dbname=postgres user=postgres" % (standby.sockets, standby.port))

    def psql(attribute):
        return child.run([t.cluster.program("psql") if os.path.exists(t.cluster.program("psql")) else "psql", "-XAtc",
                          "SELECT pg_is_in_recovery()", "host=%s port=%d dbname=db user=postgres target_session_attrs=%s"
                          % (d.sockets, d.port, attribute)])[:2]
    stays = t.client(d)
    equal((stays.parameters["in_hot_standby"], stays.value("SELECT pg_is_in_recovery()")), ("on", "t"), "a standby")
    equal(psql("standby"), (0, "t\n"), "a standby is looked for")
    equal(psql("primary")[0] != 0, True, "a primary is looked for")
    standby.sql("SELECT pg_promote()")

    def told_off():
        with d.connect() as c:
            return c.parameters["in_hot_standby"] == "off"
    wait_until(told_off, 10, "a new client is told")
    equal(psql("primary"), (0, "f\n"), "a primary is looked for")
    equal(psql("read-write"), (0, "f\n"), "what can be written to is looked for")
    check(psql("standby")[0] != 0, "a standby is looked for")
    r = stays.ask("SELECT pg_is_in_recovery()")
    equal((r.value, stays.parameters["in_hot_standby"]), ("f", "off"), "one that stays")
    check(r.kinds.index("S") < r.kinds.index("Z"), "it is told before its answer ends: " + r.kinds)


@test
def of_a_handover(t):
    """what clients have been told goes to the next process"""
    d = t.supervised(size=1)
    a, b = t.client(d, TimeZone="Asia/Seoul", application_name="a"), t.client(d, application_name="")
    a.sql("SET DateStyle = 'German'")
    d.restart()
    for c, date, zone, name in ((a, "German, DMY", "Asia/Seoul", "a"), (b, "ISO, MDY", b.parameters["TimeZone"], "")):
        r = c.ask("SELECT current_setting('DateStyle'), current_setting('TimeZone'), current_setting('application_name')")
        equal(r.rows, [(date, zone, name)], "what it has")
        equal(r.kinds, "TDCZ", "no news")
    with d.connect() as c:
        equal(c.parameters["application_name"], "pgwtest-client", "a new client")
        told_is_true(c, "a new client")


# ---- logins on a busy pool -------------------------------------------------------------------------
# What drivers send: pgjdbc, Npgsql, asyncpg, node-postgres, psycopg by PGOPTIONS.
DRIVERS = [
    {"client_encoding": "UTF8", "DateStyle": "ISO", "TimeZone": "Europe/Berlin", "extra_float_digits": "3",
     "application_name": "PostgreSQL JDBC Driver"},
    {"client_encoding": "UTF8", "application_name": "npgsql", "TimeZone": "UTC"},
    {"client_encoding": "'utf-8'", "search_path": "tenant, public", "application_name": "asyncpg"},
    {"client_encoding": "LATIN1", "application_name": "café", "IntervalStyle": "ISO_8601"},
    {"options": "-c statement_timeout=5s -c geqo=off", "application_name": "psycopg"},
]


@test
def busy(t):
    """a pool of which all servers are leased lets everybody in at once, and tells the truth"""
    d = t.daemon(wait_timeout="2s")
    d.connect().close()
    for known in (False, True):
        holder = t.client(d)
        holder.sql("BEGIN; SELECT 1")
        clients = []
        for params in DRIVERS:
            took, c = seconds(lambda: t.client(d, **params))
            check(took < 0.5 * slow_factor(), "%r is in after %.3f s" % (params, took))
            clients.append(c)
        for c, params in zip(clients, DRIVERS):
            for name, value in (("client_encoding", "LATIN1" if params.get("client_encoding") == "LATIN1" else "UTF8"),
                                ("DateStyle", "ISO, MDY"), ("TimeZone", params.get("TimeZone")),
                                ("IntervalStyle", "iso_8601" if "IntervalStyle" in params else "postgres")):
                if value:
                    equal(c.parameters[name], value, "%s of %r" % (name, params))
        holder.sql("COMMIT")
        for c, params in zip(clients, DRIVERS):
            told_is_true(c, "%r" % params)
            for name in set(params) & {"search_path", "TimeZone", "extra_float_digits"}:
                equal(c.ask("SHOW " + name).value, params[name], name)
            c.close()
        holder.close()
        wait_until(lambda: len(d.clients()) == 0, 5, "all have left")


@test
def busy_and_unknown(t):
    """on a busy pool: a spelling that only a server knows is put right, and what is wrong is refused, with the first
    statement; the SQLSTATE is PostgreSQL's"""
    d = t.daemon()
    d.connect().close()
    holder = t.client(d)
    holder.sql("BEGIN; SELECT 1")
    zone = t.client(d, TimeZone="asia/TOKYO")
    wrong = [(d.connect(options="-c %s=%s" % (name, value)), state) for name, value, state in
             (("work_mem", "plenty", "22023"), ("no_such_parameter", "1", "42704"), ("port", "1", "55P02"),
              ("TimeZone", "Mars/Phobos", "22023"))]
    holder.sql("COMMIT")
    r = zone.ask("SHOW TimeZone")
    equal((r.value, zone.parameters["TimeZone"]), ("Asia/Tokyo", "Asia/Tokyo"), "put right")
    for c, state in wrong:
        c.send(wire.query("SELECT 1"))
        equal([(e.sqlstate, e.severity) for e in c.until_closed().errors], [(state, "FATAL")], state)
        c.drop()
    for name, value, state in (("work_mem", "plenty", "22023"), ("no_such_parameter", "1", "42704")):
        equal(error_of(d.connect, **{name: value}).sqlstate, state, "now at login")
    with d.connect() as c:
        equal(c.value("SELECT 1"), "1", "the next one")


@test
def many_spellings(t):
    """hundreds of clients, each with a value of its own, while new servers come: none is refused nor waits"""
    d = t.daemon(size=2, wait_timeout="1s")
    d.connect().close()
    for i in range(150):
        with d.connect(application_name="app %d" % i, search_path="s%d" % i, extra_float_digits=str(i % 4)) as c:
            if i % 30 == 0:
                d.console("RECONNECT")
            if i % 10 == 0:
                equal(c.sql("SELECT current_setting('search_path'), current_setting('application_name')"),
                      [("s%d" % i, "app %d" % i)], "its own")


@test
def silent(t):
    """an idle server that does not answer keeps nobody out who is known; nor one with a value that is not"""
    d = t.daemon(size=2, cleanup_timeout="500ms")
    with d.connect(work_mem="7MB") as c:
        c.sql("SELECT 1")
    d.quiet()
    pid = t.activity()[0]["pid"]
    t.cluster.signal(pid, signal.SIGSTOP)
    try:
        for params in ({"work_mem": "9MB"}, {}, {"work_mem": "7MB"}):
            took, c = seconds(lambda: t.client(d, **params))
            check(took < 1.5 * slow_factor(), "in after %.3f s with %r" % (took, params))
            equal(c.value("SHOW work_mem"), params.get("work_mem", "4MB"), "served by another one")
            c.close()
    finally:
        t.cluster.signal(pid, signal.SIGCONT)


@test
def unreachable(t):
    """a pool that has had a server, and cannot reach any now: a login needs none"""
    cluster = Cluster(t.path("gone")) if os.environ.get("PGWITH_TEST_SERVER", "local") == "local" else \
        unavailable("it takes a server of its own")
    t.defer(cluster.destroy)
    d = t.daemon(conninfo="host=%s port=%d dbname=postgres user=postgres" % (cluster.sockets, cluster.port))
    d.connect().close()
    cluster.stop()
    for params in ({}, {"DateStyle": "German"}, {"work_mem": "7MB"}):
        took, c = seconds(lambda: t.client(d, **params))
        check(took < 2 * slow_factor(), "in after %.3f s" % took)
    cluster.start()
    with d.connect(work_mem="7MB") as c:
        def works():
            r = c.ask("SHOW work_mem")
            return not r.errors and r.value == "7MB"
        wait_until(works, 10, "it is back")


# ---- the number of a backend -----------------------------------------------------------------------
def notifications(c, n):
    """The next n: (pid, channel, payload)."""
    got = []
    while len(got) < n:
        kind, body = c.read()
        if kind == "A":
            got.append((int.from_bytes(body[:4], "big"),) + tuple(x.decode() for x in body[4:].split(b"\0")[:2]))
    return got


@test
def own_notifications(t):
    """a listener recognises its own notifications by the process id that it was given, others' not; that id is no
    process's, and a pg_cancel_backend() of it does nothing"""
    d = t.daemon(size=3)
    for options in ({}, {"options": "-c work_mem=5MB"}):
        a, b, direct = t.client(d, **options), t.client(d), t.direct()
        pid_max = int(open("/proc/sys/kernel/pid_max").read())
        for c in (a, b):
            check(max(pid_max, 1 << 22) <= c.key[0] < 1 << 31, "%d is no process" % c.key[0])
        check(a.key[0] != b.key[0], "each has its own")
        a.send(wire.query("LISTEN news; NOTIFY news, '0'"))
        equal(notifications(a, 1), [(a.key[0], "news", "0")], "with LISTEN in one query")
        a.until_ready()
        for i in range(3):
            a.send(wire.query("NOTIFY news, 'a%d'" % i))
            equal(notifications(a, 1), [(a.key[0], "news", "a%d" % i)], "its own")
            a.until_ready()
        backend = a.backend()
        a.send(wire.extended("SELECT pg_notify('news', $1)", ("x",)) + wire.sync())
        equal(notifications(a, 1), [(a.key[0], "news", "x")], "its own, in the extended protocol")
        a.until_ready()
        b.sql("NOTIFY news, 'b'")
        direct.sql("NOTIFY news, 'direct'")
        others = notifications(a, 2)
        equal([x[2] for x in others], ["b", "direct"], "others'")
        check(all(x[0] not in (a.key[0], backend) for x in others), "others' are not its own: %r" % others)
        equal(others[1][0], direct.backend(), "a backend of another's has its own")
        many = 300
        a.send(wire.query("SELECT pg_notify('news', i::text || repeat('.', i)) FROM generate_series(1, %d) i" % many))
        got = notifications(a, many)
        equal({x[0] for x in got}, {a.key[0]}, "many, cut anywhere")
        a.until_ready()
        equal(direct.value("SELECT count(*) FROM pg_stat_activity WHERE pid = %d" % a.key[0]), "0", "no backend")
        equal(b.value("SELECT pg_cancel_backend(%d)" % a.key[0]), "f", "cancels nothing")
        for c in (a, b):
            c.close()


@test
def of_the_scope(t):
    """behind USE, and behind the end of a scope, a client is told what the server has that its statements go to now"""
    t.cluster.role("weak")
    d = t.daemon(pools={"db": {"conninfo": t.conninfo(), "size": 1}, "weak": {"conninfo": t.conninfo(user="weak"), "size": 1}})
    c = t.client(d)

    def is_true(what):
        rows = c.ask("SELECT current_setting('is_superuser'), session_user").rows  # it may bring the news
        equal([(c.parameters["is_superuser"], c.parameters["session_authorization"])], rows, what)
    is_true("at first")
    for _ in range(2):
        for sql in ("ENTER a ON db, b ON weak", "USE a", "USE b", "USE a", "EXIT b", "ENTER b ON weak", "EXIT b", "EXIT a",
                    "ENTER b ON weak", "ENTER a ON db", "EXIT a", "ROLLBACK", "SELECT 1"):
            c.ask(sql)
            is_true("behind " + sql)
        c.send(wire.query("ENTER a ON db; ENTER b ON weak; USE a; SELECT 1"))
        c.until_ready()
        is_true("behind a text")
        c.ask_extended("USE b")
        is_true("behind the extended protocol")
        c.sql("EXIT ALL")


# ---- application_name ------------------------------------------------------------------------------
def seen(t):
    """What pg_stat_activity shows of the test's database."""
    return sorted(r[0] for r in t.sql("SELECT application_name FROM pg_stat_activity WHERE datname = current_database()"
                                      " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"))


@test
def application_names(t):
    """each client's own application_name is on the server while it has one, through SET, RESET, rollbacks and
    other clients"""
    d = t.daemon()
    a, b, none = (t.client(d, application_name="one"), t.client(d, application_name="it's \\ two"),
                  d.connect(login=False))
    t.defer(none.close)
    del none.params["application_name"]
    none.login()

    def has(c, name, what):
        equal(c.ask("SELECT current_setting('application_name')").rows, [(name,)], what)
        equal(c.parameters["application_name"], name, what + ": told")
    for _ in range(2):
        has(a, "one", "the first")
        has(b, "it's \\ two", "the second")
        has(none, "", "none")
    a.sql("BEGIN; SELECT 1")
    equal(seen(t), ["one"], "pg_stat_activity in a transaction")
    a.sql("SET application_name = 'three'")
    a.sql("ROLLBACK")
    has(a, "one", "rolled back")
    a.sql("SET application_name = 'three'")
    has(b, "it's \\ two", "the second")
    has(a, "three", "set")
    equal([r["application_name"] for r in d.clients() if r["application_name"] == "three"], ["three"], "SHOW CLIENTS")
    a.sql("BEGIN; SET LOCAL application_name = 'four'; COMMIT")
    has(a, "three", "set locally")
    a.sql("DISCARD ALL")
    has(a, "one", "discarded")
    has(none, "", "none")
    b.sql("LISTEN x; SET application_name = 'five'")
    has(b, "five", "pinned")


@test
def names_after_reset(t):
    """RESET and DISCARD ALL come back to the application_name of the startup packet, as on a direct connection"""
    for how in ({}, {"mode": "session"}):
        d = t.daemon(**how)
        for name in ("x", "", "it's"):
            for more in ({}, {"options": "-c work_mem=5MB"}):
                c, direct = (f(application_name=name, **more) for f in (d.connect, t.direct))
                if not how:
                    c.sql("LISTEN a; SELECT 1")
                for sql in ("SET application_name = 'y'", "RESET application_name", "SET application_name = 'z'; RESET ALL",
                            "SET application_name = 'z'", "SET application_name TO DEFAULT", "BEGIN",
                            "SET application_name = 'y'", "RESET application_name", "COMMIT",
                            "SET application_name = 'y'", "DISCARD ALL"):
                    for x in (c, direct):
                        x.sql(sql)
                    got = [(x.ask("SHOW application_name").rows, x.parameters["application_name"]) for x in (c, direct)]
                    equal(got[0], got[1], "%r, %r, %r after %s" % (how, name, more, sql))
                c.close()


@test
def one_server_many_names(t):
    """distinct names cost no round trip and no statement where they are equal, and share prepared statements"""
    d = t.daemon()
    clients = [t.client(d, application_name="app%d" % i) for i in range(5)]
    for _ in range(3):
        for i, c in enumerate(clients):
            c.send(wire.parse("SELECT current_setting('application_name') || $1", "s") if _ == 0 else b"")
            c.send(wire.bind(("!",), statement="s") + wire.execute() + wire.sync())
            equal(c.until_ready().rows, [("app%d!" % i,)], "its own")
    with d.connect() as c:
        equal(c.value("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%|| $1'"), "1", "shared")


if __name__ == "__main__":
    main()
