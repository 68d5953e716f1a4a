"""The option application_name: what name PostgreSQL sees for the clients of a pool. With each value a client is told the
name that its server has, as on a direct connection."""

import os

from pgwtest import check, equal, main, test, wait_until, wire
from pgwtest.server import only_local


def seen(t):
    """What pg_stat_activity shows of the test's database."""
    return sorted(r[0] for r in t.sql("SELECT application_name FROM pg_stat_activity WHERE datname = current_database()"
                                      " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"))


def has(c, name, what):
    """The client's server has this name, by whatever it is asked, and the client has been told so."""
    for ask in (c.ask, c.ask_extended):
        ask("SELECT pg_stat_clear_snapshot()")  # in a transaction, it is that of the first look
        equal(ask("SELECT current_setting('application_name'), (SELECT application_name FROM pg_stat_activity"
                  " WHERE pid = pg_backend_pid())").rows, [(name, name)], what)
    equal(c.ask("SHOW application_name").rows, [(name,)], what + ": SHOW")
    equal(c.parameters["application_name"], name, what + ": told")


def unnamed(d, t):
    """A client that gives no name."""
    c = d.connect(login=False)
    t.defer(c.close)
    del c.params["application_name"]
    c.login()
    return c


@test
def client(t):
    """client: each client's own name, as without the option"""
    d = t.daemon(application_name="client")
    a, b = t.client(d, application_name="one"), t.client(d, application_name="two")
    for _ in range(2):
        has(a, "one", "the first")
        has(b, "two", "the second")


@test
def pool(t):
    """pool: the name that conninfo gives, whatever the client has and sets; SHOW CLIENTS has the client's own"""
    for given, name in (("of the pool", "of the pool"), (None, "pgwith")):
        conninfo = t.conninfo(application_name=given) if given else t.conninfo()
        d = t.daemon(conninfo=conninfo, application_name="pool")
        a, b, none = t.client(d, application_name="one"), t.client(d), unnamed(d, t)
        for c in (a, b, none):
            has(c, name, "at first")
        a.sql("BEGIN")
        a.sql("SELECT 1")
        equal(seen(t), [name], "in a transaction")
        # What it sets holds in its transaction, and is put right in the next one.
        a.sql("SET application_name = 'three'")
        equal(a.value("SHOW application_name"), "three", "set")
        equal(a.parameters["application_name"], "three", "told that it is set")
        a.sql("COMMIT")
        has(b, name, "another client")
        has(a, name, "behind it")
        a.sql("SET application_name = 'four'")
        has(a, name, "the next statement")
        check("four" in [r["application_name"] for r in d.clients()], "SHOW CLIENTS has its own")
        for sql in ("RESET application_name", "RESET ALL", "DISCARD ALL"):
            a.sql(sql)
            has(a, name, sql)
        d.stop()


@test
def formats(t):
    """a format: %a, %p, %u, %e, %s, %%; a fixed name; a client without a name; SET changes %a"""
    d = t.daemon(conninfo=t.conninfo(application_name="base"), application_name="'%a/%p %u %e %s 100%%'")
    a, b, none = t.client(d, application_name="one"), t.client(d, application_name="it's \\ two"), unnamed(d, t)
    with open("/proc/self/comm") as f:
        program = f.read().strip()

    def named(c, own):
        return ("%s/%d %d %s %d 100%%" % (own, os.getpid(), os.getuid(), program, c.session))[:63]
    for _ in range(2):
        has(a, named(a, "one"), "the first")
        has(b, named(b, "it's \\ two"), "the second")
        has(none, named(none, "base"), "that of conninfo")
    a.sql("SET application_name = 'three'")
    equal(a.parameters["application_name"], "three", "told that it is set")
    has(b, named(b, "it's \\ two"), "another")
    for _ in range(2):
        has(a, named(a, "three"), "what it has set is its %a")
    equal(sorted(r["application_name"] for r in d.clients()), ["base", "it's \\ two", "three"], "SHOW CLIENTS")
    a.sql("BEGIN; SET LOCAL application_name = 'four'; COMMIT")
    has(a, named(a, "three"), "set locally")
    a.sql("BEGIN; SET application_name = 'four'; ROLLBACK")
    has(a, named(a, "three"), "rolled back")
    for sql in ("RESET application_name", "RESET ALL", "SET application_name TO DEFAULT", "DISCARD ALL"):
        a.sql("SET application_name = 'five'")
        has(a, named(a, "five"), "set before " + sql)
        a.sql(sql)
        has(a, named(a, "one"), sql)
        equal(a.value("SHOW application_name"), named(a, "one"), sql)
    # To what it has anyway.
    a.sql("SET application_name = '%s'" % named(a, "one"))
    has(a, named(a, "one"), "set to its name")
    d.stop()
    d = t.daemon(application_name="'billing'")
    has(t.client(d, application_name="one"), "billing", "a fixed name")
    has(unnamed(d, t), "billing", "a fixed name")


@test
def equal_names_cost_nothing(t):
    """while clients have equal names, no name is sent; otherwise it is sent with each lease of another client"""
    only_local("the server's log")
    t.sql("ALTER DATABASE \"%s\" SET log_statement = 'all'" % t.database)
    for naming, sent in (("'%u'", 0), ("pool", 0), ("client", 0), ("'%s'", 12)):
        d = t.daemon(application_name=naming)
        clients = [t.client(d, application_name="same") for _ in range(3)]
        for c in clients:
            c.sql("SELECT 1")
        seen_bytes = os.path.getsize(t.cluster.log)
        for _ in range(4):
            for c in clients:
                r = c.ask("SELECT 1")
                equal((r.rows, r.tags, r.errors), ([("1",)], ["SELECT 1"], []), naming)
        clients[0].sql("SELECT 'the end of it'")
        with open(t.cluster.log, errors="replace") as f:
            f.seek(seen_bytes)
            log = f.read()
        equal(log.count("SELECT 1\n"), 12, naming + ": statements")
        equal(log.split("the end of it")[0].count("set_config('application_name'") - (sent > 0), sent, naming + ": names")
        d.stop()


@test
def lengths(t):
    """names over 63 bytes, the client's and what is made, are cut between two characters, and what is not ASCII is written as PostgreSQL does"""
    d = t.daemon(application_name="'%a|%s'")
    for own in ("x" * 63, "x" * 200, "\u00e9" * 40, "caf\u00e9", "a\tb", "\u20ac" * 21, "\U0001f600" * 20):
        c = t.client(d, application_name=own)
        cut = own.encode()[:63].decode(errors="ignore")
        direct = t.direct(application_name=("%s|%d" % (cut, c.session)))
        whole = direct.value("SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()")
        for _ in range(2):
            has(c, whole[:63], repr(own))
        c.close()


@test
def scopes(t):
    """%c: ENTER gives the name of its scope, ahead of its BEGIN; behind the scope it is gone; nested ones change nothing"""
    d = t.daemon(size=2, application_name="'%a:%c'")
    c, other = t.client(d, application_name="web"), t.client(d, application_name="job")
    has(c, "web:", "outside of scopes")
    for _ in range(2):
        c.sql("ENTER billing")
        has(c, "web:billing", "in a scope")
        c.sql("ENTER inner")
        has(c, "web:billing", "in a savepoint")
        c.sql("EXIT inner")
        other.sql("ENTER nightly")
        has(other, "job:nightly", "another client's scope")
        has(c, "web:billing", "in a scope")
        equal(seen(t), ["job:nightly", "web:billing"], "pg_stat_activity")
        c.sql("SET application_name = 'three'")
        c.sql("EXIT ALL")
        other.sql("EXIT")
        has(c, "three:", "outside again: what it has set stays")
        c.sql("ENTER again")
        has(c, "three:again", "the next scope")
        c.sql("RESET application_name")
        equal(c.value("SHOW application_name"), "web:", "reset in a scope")
        c.sql("EXIT")
        has(c, "web:", "behind it")
        c.sql("ENTER LOCK 'x'")
        has(c, "web:", "a lock has no server")
        c.sql("EXIT")
        # The client's own BEGIN has no name; scopes in it are savepoints.
        c.sql("BEGIN")
        has(c, "web:", "BEGIN")
        c.sql("ENTER inner")
        has(c, "web:", "in BEGIN")
        c.sql("EXIT inner")
        c.sql("COMMIT")
    # A session that keeps its server is renamed by the next scope.
    c.sql("LISTEN x; SELECT 1")
    c.sql("ENTER one")
    has(c, "web:one", "pinned, in a scope")
    c.sql("EXIT")
    c.sql("SELECT 1")
    c.sql("ENTER two")
    has(c, "web:two", "pinned, in the next scope")
    c.sql("EXIT")
    c.sql("UNLISTEN x")
    c.sql("SELECT 1")
    has(c, "web:", "pinned no more")
    equal([r["application_name"] for r in d.clients() if r["application_name"].startswith("web")], ["web"], "SHOW CLIENTS")


@test
def scopes_on_two_pools(t):
    """each pool's own option decides what its servers get"""
    pools = {"db": {"conninfo": t.conninfo(application_name="first"), "size": 2, "application_name": "'%a/db:%c'"},
             "other": {"conninfo": t.conninfo(application_name="second"), "size": 2, "application_name": "pool"},
             "plain": {"conninfo": t.conninfo(), "size": 2},
             "made": {"conninfo": t.conninfo(), "size": 2, "application_name": "'%a %c'"}}
    d = t.daemon(pools=pools)
    for database, outside, names in (("db", "web/db:", ("web/db:a", "second", "web", "web d")),
                                     ("plain", "web", ("web/db:a", "second", "web", "web d")),
                                     ("other", "second", ("web/db:a", "second", "web", "web d"))):
        c = t.client(d, database, application_name="web")
        for _ in range(2):
            has(c, outside, database)
            c.sql("ENTER a ON db, b ON other, c ON plain, d ON made")
            for scope, name in zip("abcd", names):
                c.sql("USE " + scope)
                has(c, name, "%s: scope %s" % (database, scope))
            c.sql("USE b")
            c.sql("SET work_mem = '5MB'")
            c.sql("EXIT ALL")
            has(c, outside, database + ": behind them")
            equal(c.value("SHOW work_mem"), "5MB", "what was set in a scope")
            c.sql("RESET work_mem")
        c.close()


@test
def session_mode(t):
    """mode = session: the name is given once, and what the client sets stays for the session"""
    for naming, name in (("'%a/%u'", "web/%d" % os.getuid()), ("pool", "mine")):
        d = t.daemon(conninfo=t.conninfo(application_name="mine"), size=2, mode="session", application_name=naming)
        with d.connect(application_name="web") as c:
            has(c, name, naming)
            c.sql("SET application_name = 'three'")
            for _ in range(2):
                has(c, "three", "set: " + naming)
            c.sql("RESET application_name")
            has(c, name, "reset: " + naming)
        d.stop()


@test
def reloads(t):
    """a reload gives sessions that are in already another name with their next lease, and one in a transaction keeps
    its name to the end of that"""
    base = {"conninfo": t.conninfo(application_name="base"), "size": 3}
    names = {"client": "web", "pool": "base", "'%a/%u'": "web/%d" % os.getuid(), "'%a:%c'": "web:"}
    d = t.daemon(pools={"db": base})
    c, busy, held = (t.client(d, application_name="web") for _ in range(3))
    was = "client"
    has(c, "web", "at first")
    for naming in ("pool", "'%a/%u'", "client", "'%a:%c'", "pool", "client", "'%a/%u'", "'%a:%c'", "client"):
        busy.sql("BEGIN")
        has(busy, names[was], "in a transaction")
        held.sql("ENTER s")
        in_scope = names[was] + ("s" if "%c" in was else "")
        has(held, in_scope, "in a scope")
        d.reload(pools={"db": dict(base, application_name=naming)})
        has(c, names[naming], "%s behind %s" % (naming, was))
        has(busy, names[was], "in a transaction still")
        has(held, in_scope, "in a scope still")
        # It sets something else: its server is asked, and the name is not taken for one that it has set.
        busy.sql("SET work_mem = '5MB'")
        busy.sql("COMMIT")
        has(busy, names[naming], "behind the transaction")
        held.sql("SET work_mem = '6MB'")
        held.sql("EXIT s")
        has(held, names[naming], "behind the scope")
        equal((busy.value("SHOW work_mem"), held.value("SHOW work_mem")), ("5MB", "6MB"), "what they have set")
        with d.connect(application_name="web") as new:
            has(new, names[naming], "a new client")
        was = naming
    c.sql("SET application_name = 'mine'")
    for naming, name in (("'%a/%u'", "mine/%d" % os.getuid()), ("client", "mine"), ("pool", "base"), ("client", "mine")):
        d.reload(pools={"db": dict(base, application_name=naming)})
        has(c, name, "what the client has set, with " + naming)
    d.console("SET application_name = 'ignored'")
    d.console("SET application_name = '''%a+%u''' FOR POOL db")
    has(c, "mine+%d" % os.getuid(), "by SET on the console")


@test
def handover(t):
    """names go to the next process, also if its configuration has another option"""
    base = {"conninfo": t.conninfo(application_name="base"), "size": 4}
    d = t.supervised(pools={"db": dict(base, application_name="'%a:%c'")})
    c, busy, held, fixed = (t.client(d, application_name="web") for _ in range(4))
    fixed.sql("SET application_name = 'mine'")
    for _ in range(2):
        busy.sql("BEGIN")
        has(busy, "web:", "in a transaction")
        held.sql("ENTER s")
        has(held, "web:s", "in a scope")
        d.restart()
        has(c, "web:", "idle")
        has(fixed, "mine:", "what it has set")
        has(busy, "web:", "in a transaction")
        has(held, "web:s", "in a scope")
        busy.sql("SET work_mem = '5MB'")
        busy.sql("COMMIT")
        held.sql("SET work_mem = '6MB'")
        held.sql("EXIT s")
        has(busy, "web:", "behind it")
        has(held, "web:", "behind the scope")
    for naming, name, mine in (("client", "web", "mine"), ("pool", "base", "base"), ("'%a!'", "web!", "mine!")):
        held.sql("ENTER s")
        was = held.value("SHOW application_name")
        d.rewrite(pools={"db": dict(base, application_name=naming)})
        d.restart()
        has(c, name, "idle, with " + naming)
        has(fixed, mine, "what it has set, with " + naming)
        has(held, was, "in a scope")
        held.sql("SET work_mem = '7MB'")
        held.sql("EXIT s")
        has(held, name, "behind the scope, with " + naming)


@test
def prepared_and_pipelines(t):
    """statements are shared by sessions of different names; a pipeline that spans transactions has its name in each"""
    d = t.daemon(application_name="'%a/%s'")
    clients = [t.client(d, application_name="app") for _ in range(4)]
    for round_ in range(3):
        for c in clients:
            c.send(wire.parse("SELECT current_setting('application_name') || $1", "s") if round_ == 0 else b"")
            for _ in range(3):
                c.send(wire.bind(("!",), statement="s") + wire.execute() + wire.sync())
            for _ in range(3):
                equal(c.until_ready().rows, [("app/%d!" % c.session,)], "its own")
    with d.connect() as c:
        equal(c.value("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%|| $1'"), "1", "shared")


class Model:
    """A client, and what its name must be: `own` is its own, `given` the one that its server got with the lease."""

    def __init__(self, t, d, n, naming):
        self.t, self.naming = t, naming
        self.start = self.own = "app%d" % n
        self.c = t.client(d, application_name=self.start)
        self.in_transaction, self.scope = False, ""
        self.now = self.new = None
        self.did = []

    def made(self, own):
        if self.naming[0] == "client":
            return own
        if self.naming[0] == "pool":
            return "base"
        return "%s/%d:%s" % (own, self.c.session, self.scope)

    def look(self, what):
        if not self.in_transaction:
            self.now = self.made(self.own)
        has(self.c, self.now, "%s, behind %s" % (what, "; ".join(self.did[-12:])))

    def do(self, sql, extended=False):
        self.did.append(sql)
        (self.c.ask_extended if extended else self.c.sql)(sql)

    def begin(self, enter):
        self.scope = "s%d" % self.t.random.randrange(3) if enter else ""
        # lazy_begin is off: the server is there with the BEGIN.
        self.do("ENTER " + self.scope if enter else "BEGIN")
        self.in_transaction, self.new = True, self.own
        self.now = self.made(self.own)

    def set(self, name, how):
        sql = {"set": "SET application_name = '%s'", "local": "SET LOCAL application_name = '%s'",
               "call": "SELECT set_config('application_name', '%s', false)",
               "do": "DO $$BEGIN PERFORM set_config('application_name', '%s', false); END$$"}[how] % name
        self.do(sql, self.t.random.random() < 0.3)
        if how == "local":
            self.now = name if self.in_transaction else self.now
        elif self.in_transaction:
            self.now = self.new = name
        else:
            self.own = name

    def reset(self):
        self.do(self.t.random.choice(["RESET application_name", "RESET ALL", "SET application_name TO DEFAULT"]))
        if self.in_transaction:
            self.new = self.start
        else:
            self.own = self.start

    def end(self, commit):
        self.do(("EXIT" if self.scope else "COMMIT") if commit else ("EXIT ROLLBACK" if self.scope else "ROLLBACK"))
        if commit:
            self.own = self.new
        self.in_transaction, self.scope = False, ""

    def step(self):
        r = self.t.random
        what = r.choice(["look", "look", "work", "set", "begin", "enter", "reset"])
        if self.in_transaction and what in ("begin", "enter", "reset"):
            what = r.choice(["end", "rollback"])
        if what == "look":
            self.look(what)
        elif what == "work":
            self.do("SET work_mem = '%dMB'" % r.randrange(1, 9))
        elif what == "set":
            how = r.choice(["set", "call", "do", "local"])
            if how != "local" or self.in_transaction:
                self.set("x%d" % r.randrange(5), how)
                if how == "local":
                    self.look("set locally")
        elif what in ("begin", "enter"):
            self.begin(what == "enter")
        elif what == "reset":
            self.reset()
        else:
            self.end(what == "end")
        return what


@test
def random_programs(t):
    """random clients set, reset, roll back, enter scopes, while the option changes, and pgwithd is restarted: a model knows
    the name of each"""
    options = ["client", "pool", "'%a/%s:%c'"]
    for _ in range(4):
        naming = [t.random.choice(options)]
        base = {"conninfo": t.conninfo(application_name="base"), "size": 3}
        d = t.supervised(pools={"db": dict(base, application_name=naming[0])})
        clients = [Model(t, d, n, naming) for n in range(5)]
        for _ in range(250):
            m = t.random.choice([m for m in clients if m.in_transaction] or clients) if \
                sum(m.in_transaction for m in clients) == 3 else t.random.choice(clients)
            m.step()
            if t.random.random() < 0.04:
                naming[0] = t.random.choice(options)
                d.rewrite(pools={"db": dict(base, application_name=naming[0])})
                how = t.random.choice(["reload", "reload", "reload", "restart"])
                if how == "reload":
                    d.console("RELOAD")
                else:
                    d.restart()
                for m in clients:
                    m.did.append("(%s: %s)" % (how, naming[0]))
        for m in clients:
            if m.in_transaction:
                m.look("at last")
                m.end(True)
        for m in clients:
            m.look("at the end")
            m.c.close()
        d.stop()


@test
def program_gone(t):
    """%e of a process that is not there any more when the client logs in: ?"""
    d = t.daemon(application_name="'%e'")
    with open("/proc/self/comm") as f:
        program = f.read().strip()
    has(t.client(d), program, "this program")
    # A child connects, gives its socket to nobody, and ends; its descriptor is here, too.
    import socket
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    pid = os.fork()
    if pid == 0:
        s = socket.socket(socket.AF_UNIX)
        s.connect(os.path.join(d.sockets, ".s.PGSQL.%d" % d.port))
        socket.send_fds(theirs, [b"x"], [s.fileno()])
        os._exit(0)
    _, fds, _, _ = socket.recv_fds(ours, 1, 1)
    os.waitpid(pid, 0)
    s = socket.socket(fileno=fds[0])
    ours.close()
    theirs.close()
    s.settimeout(10)
    s.sendall(wire.startup_packet({"user": "postgres", "database": "db", "application_name": "x"}))
    s.sendall(wire.query("SHOW application_name"))
    got = b""

    def answered():
        nonlocal got
        got += s.recv(65536)
        return got.count(b"Z\0\0\0\5I") >= 2
    wait_until(answered, 10, "it is answered")
    s.close()
    check(b"application_name\0?\0" in got, "told: %r" % got)
    check(b"\0\1\0\0\0\1?" in got, "shown: %r" % got)


if __name__ == "__main__":
    main()
