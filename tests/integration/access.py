"""Who may come in: users of the operating system, pools, roles; and a name service that is slow."""

import contextlib
import itertools
import os
import re
import socket
import subprocess
import time

from pgwtest import ServerError, Skip, check, equal, main, note, sanitized, slow_factor, test, wait_until, wire
from pgwtest.context import conninfo
from pgwtest.process import being

ANNA, BERT, NOBODY = 61001, 61002, 61003  # the last one has no name
STAFF, EXTRA = 61100, 61101               # groups
SOURCE = os.path.join(os.environ.get("PGWITH_SRCDIR") or os.path.join(os.path.dirname(__file__), "../.."),
                      "tests/lib/slow_nss.c")


class Names:
    """A name service of our own for a daemon: see slow_nss.c."""

    def __init__(self, t):
        if os.geteuid() != 0:
            raise Skip("only root can play several users")
        self.directory = t.path("names")
        os.mkdir(self.directory)
        library = os.path.join(self.directory, "slow_nss.so")
        subprocess.run([os.environ.get("CC", "cc").split()[0], "-shared", "-fPIC", "-o", library, SOURCE,
                        "-ldl"], check=True)
        # In a container, the user of PostgreSQL has no name, or that of somebody else.
        keeper = os.stat(os.path.join(t.cluster.sockets, ".s.PGSQL.%s" % t.cluster.port)).st_uid
        self.write("passwd", "".join("%s:%d:%d\n" % (name, uid, uid)
                                     for name, uid in (("anna", ANNA), ("bert", BERT), ("keeper", keeper))))
        self.write("group", "staff:%d:anna\nextra:%d:\n" % (STAFF, EXTRA))
        if sanitized():
            # That one wants to be first.
            asan = subprocess.run(["gcc", "-print-file-name=libasan.so"], check=True, capture_output=True, text=True).stdout.strip()
            library = os.path.realpath(asan) + ":" + library
        self.env = {"LD_PRELOAD": library, "SLOW_NSS_DIR": self.directory}
        t.defer(self.clear, "hang")  # the daemon may not end before

    def write(self, name, text=""):
        with open(os.path.join(self.directory, name), "w") as f:
            f.write(text)

    def clear(self, name):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self.directory, name))

    def calls(self):
        """What has been asked since forget()."""
        try:
            with open(os.path.join(self.directory, "calls")) as f:
                return f.read().splitlines()
        except FileNotFoundError:
            return []

    def forget(self):
        self.clear("calls")

    def in_loop(self):
        return [c for c in self.calls() if c.startswith("main ")]


def connect(d, uid, database="db", user="app", groups=(), **more):
    with being(uid, groups):
        c = d.connect(database, user=user, login=False, **more)
    c.login()
    return c


def enters(d, uid, database="db", user="app", groups=()):
    """None if it is let in, else the error."""
    try:
        connect(d, uid, database, user, groups).close()
    except ServerError as e:
        return e
    return None


def refused(e):
    equal(e and (e.severity, e.sqlstate), ("FATAL", "28000"), "refused: %s" % e)
    return e


def daemon(t, names=None, options=None, **pools):
    os.chmod(t.directory, 0o755)
    for role in ("app", "anna", "bert"):
        t.cluster.role(role)
    full = {name: dict({"conninfo": t.conninfo(user="app"), "size": 2}, **(o or {})) for name, o in pools.items()}
    d = t.daemon(options=dict({"allow": ""}, **(options or {})), pools=full, env=names.env if names else None)
    os.chmod(d.directory, 0o755)
    if names:
        names.forget()
    return d


# ---- the rules, said a second time ---------------------------------------------------------------

NAMES = {0: "root", ANNA: "anna", BERT: "bert", NOBODY: None}
MEMBERS = {"staff": (STAFF, "anna"), "extra": (EXTRA, None)}


def may_be(allow, uid, role):
    if uid == 0 or NAMES[uid] == role:
        return True
    for item in filter(None, (i.strip() for i in allow.split(","))):
        user, _, as_role = item.rpartition(":")
        if as_role in ("*", role) and user in ("", str(uid), NAMES[uid]):
            return True
    return False


def may_use(users, kind, login, uid, groups):
    if uid == 0:
        return True
    items = [i.strip() for i in users.split(",") if i.strip()]
    if not items:
        return kind == "client" or NAMES[uid] == login
    for item in items:
        if item.startswith("@"):
            gid, member = MEMBERS.get(item[1:], (int(item[1:]) if item[1:].isdigit() else None, None))
            member = member or next((m for g, m in MEMBERS.values() if g == gid), None)
            if gid in groups or gid == uid or (member and member == NAMES[uid]):
                return True
        elif item in ("*", str(uid), NAMES[uid]):
            return True
    return False


USERS = ["", "*", "anna", "bert, anna", str(ANNA), "%d, %d" % (BERT, NOBODY), "@staff", "@extra", "@%d" % STAFF,
         "@nosuch", "root", "bert, @extra", "nosuch"]


@test
def matrix(t):
    """every user, with every group, for every spelling of users and allow: who comes in where"""
    names = Names(t)
    d = daemon(t, names, db=None)
    cases = 0
    logins = [("app", "app"), ("anna", "anna")]
    kinds = [("fixed", login) for login in logins] + [("client", (None, None))]
    pools = {}
    for i, (users, (kind, (login, _))) in enumerate(itertools.product(USERS, kinds)):
        pools["p%d" % i] = (users, kind, login)
    for allow in ("", "app", "anna:app, %d:app" % BERT, "*"):
        d.reload({"allow": allow}, {name: dict({"conninfo": t.conninfo(user=login), "size": 1},
                                               **{"users": users, "role": kind}) for name, (users, kind, login) in pools.items()})
        for name, (users, kind, login) in pools.items():
            for uid, groups, role in ((ANNA, (), "app"), (ANNA, (), "anna"), (BERT, (), "app"),
                                      (BERT, (EXTRA,), "bert"), (NOBODY, (STAFF,), "app"), (0, (), "app")):
                if t.random.random() > 0.3 and allow not in ("", "*"):
                    continue
                expected = may_be(allow, uid, role) and may_use(users, kind, login, uid, groups)
                e = enters(d, uid, name, role, groups)
                equal(e.sqlstate if e else None, None if expected else "28000",
                      "allow=%r users=%r role=%s login=%s: uid %d %s as %s: %s" % (allow, users, kind, login, uid, groups, role, e))
                cases += 1
    note("%d logins" % cases)
    equal(names.in_loop(), [], "nothing is asked in the loop")


@test
def by_default(t):
    """two users, two pools, nothing configured: each enters what is named as they are, and nobody else does"""
    names = Names(t)
    t.cluster.role("anna")
    d = daemon(t, names, of_anna={"conninfo": t.conninfo(user="anna")}, of_app=None, each={"role": "client"})
    for uid, who in ((ANNA, "anna"), (BERT, "bert")):
        equal(enters(d, uid, "of_anna", who) is None, who == "anna", "%s in of_anna" % who)
        refused(enters(d, uid, "of_app", who))
        equal(enters(d, uid, "each", who), None, "%s as himself" % who)
        refused(enters(d, uid, "each", "app"))
    for pool in ("of_anna", "of_app", "each"):
        equal(enters(d, 0, pool), None, "root")
    c = connect(d, BERT, "each", "bert")
    for sql, sqlstate in (("ENTER x ON of_app", "28000"), ("ENTER LOCK 'x' ON of_app", "28000"), ("ENTER a ON each, b ON of_anna", "28000"),
                          ("ENTER x ON of_anna NEW", "28000"), ("ENTER x ON nosuch", "3D000")):
        e = c.ask(sql).errors
        equal([x.sqlstate for x in e], [sqlstate], sql)
        equal(c.value("SELECT current_user"), "bert", "the session goes on")
    equal(c.ask("SHOW SCOPES").rows, [], "nothing is open")
    c.close()


@test
def login_role(t):
    """the role that a pool logs in as: from conninfo, PGUSER, a service file, or the daemon's own user"""
    names = Names(t)
    service = t.path("services")
    with open(service, "w") as f:
        f.write("[s]\nuser=anna\n")
    t.cluster.role("anna")
    host = "host=%s port=%s dbname=%s" % (t.cluster.sockets, t.cluster.port, t.database)
    for env, conninfo, who in (({}, host + " user=anna", "anna"), ({"PGUSER": "anna"}, host, "anna"),
                               ({"PGSERVICEFILE": service, "PGUSER": "bert"}, host + " service=s", "anna"),
                               ({"PGUSER": "anna"}, host + " user=bert", "bert"), ({}, host, None)):
        env = dict(names.env, **env)
        for k in ("PGUSER",):
            env.setdefault(k, "")
        d = t.daemon(options={"allow": ""}, pools={"db": {"conninfo": conninfo, "size": 1}}, env=env)
        os.chmod(d.directory, 0o755)
        os.chmod(t.directory, 0o755)
        for uid, name in ((ANNA, "anna"), (BERT, "bert")):
            e = enters(d, uid, "db", name)
            equal(e and e.sqlstate, None if name == who else "28000", "%s with %s: %s" % (name, conninfo, e))
        d.stop()


@test
def elsewhere(t):
    """ENTER on another pool asks as a login does: ON, by name, locks, definitions; also if a look-up is needed first"""
    names = Names(t)
    scopes = {"in_b": {"pool": "b"}, "in_a": {"pool": "a"}}
    os.chmod(t.directory, 0o755)
    for users_b in ("anna", str(ANNA), "@staff", "*", "bert"):
        pools = {"a": {"conninfo": t.conninfo(), "users": "%d, %d" % (ANNA, BERT)},
                 "b": {"conninfo": t.conninfo(), "users": users_b}}
        d = t.daemon(options={"allow": "*"}, pools=pools, scopes=scopes, env=names.env)
        os.chmod(d.directory, 0o755)
        names.forget()
        for uid in (ANNA, BERT):
            c = connect(d, uid, "a", "app")
            needs = users_b in ("anna", "@staff", "bert")
            equal(names.calls(), [], "no look-up at login")
            expected = may_use(users_b, "fixed", "postgres", uid, ())
            for sql in ("ENTER x ON b", "ENTER LOCK 'x' ON b", "ENTER in_b", "ENTER x ON a, y ON b",
                        "ENTER x ON b NEW", "ENTER in_a; ENTER y ON b"):
                r = c.ask(sql)
                equal([e.sqlstate for e in r.errors], [] if expected else ["28000"], "%s, users=%s, %d" % (sql, users_b, uid))
                c.ask("EXIT ALL ROLLBACK")
                # through the extended protocol, and with what follows in the same packet
                c.send(wire.parse(sql.split(";")[0]) + wire.bind() + wire.execute() + wire.sync() + wire.query("SELECT 7"))
                r = c.until_ready()
                if ";" not in sql:
                    equal([e.sqlstate for e in r.errors], [] if expected else ["28000"], sql)
                equal(c.until_ready().rows, [("7",)], "the next answer is the next question's")
                c.ask("EXIT ALL ROLLBACK")
            equal(bool(names.calls()), needs, "a look-up only where it is needed: %s" % names.calls())
            names.forget()
            c.close()
            d.console("RELOAD")
        equal(names.in_loop(), [], "nothing is asked in the loop")
        d.stop()


@test
def hints_help(t):
    """who does what the hint of the refusal says comes in"""
    names = Names(t)
    d = daemon(t, names, {"allow": ""}, a=None, b={"users": "bert"}, c={"role": "client"})
    for uid, pool, role, rounds in ((ANNA, "a", "anna", 1), (ANNA, "b", "anna", 1), (ANNA, "a", "app", 2),
                                    (NOBODY, "a", "app", 2), (ANNA, "c", "bert", 1)):
        options, pools = {"allow": ""}, {"a": {}, "b": {"users": "bert"}, "c": {"role": "client"}}

        def reload():
            d.reload(options, {name: dict({"conninfo": t.conninfo(user="app"), "size": 1}, **o) for name, o in pools.items()})
        reload()
        for _ in range(rounds):
            e = refused(enters(d, uid, pool, role))
            check(e.detail, "a detail")
            m = re.search(r"write users = (\S+) in section \[pool (\w+)\]|add (\S+) to the option (\w+) in section \[(?:pool )?(\w+)\]", e.hint)
            check(m, "a hint that can be followed: %s" % e.hint)
            value, section, more, option, where = m.groups()
            if value:
                pools[section]["users"] = value
            elif where == "pgwith":
                options[option] = ", ".join(filter(None, (options[option], more)))
            else:
                pools[where][option] += ", " + more
            reload()
        equal(enters(d, uid, pool, role), None, "after %d hints" % rounds)
    check(re.search(r"refused .*sqlstate=28000 kind=not_a_user .*anna", d.log_text()), "the log says it")
    # common to all pools
    d.reload({"users": "bert"}, {"a": {"conninfo": t.conninfo(), "size": 1}})
    check("users in section [pgwith]" in refused(enters(d, ANNA, "a", "anna")).hint, "where it is written")


@test
def reloads(t):
    """SET and RELOAD of users hold for new logins and ENTERs; who is in stays; groups are looked up anew"""
    names = Names(t)
    d = daemon(t, names, db={"users": "anna"}, other={"users": "anna"})
    c = connect(d, ANNA, user="anna")
    d.console("SET users = 'bert' FOR POOL db")
    equal(c.value("SELECT 1"), "1", "it stays")
    refused(enters(d, ANNA, user="anna"))
    equal(enters(d, BERT, user="bert"), None, "bert now")
    c.sql("ENTER x ON other; EXIT x")
    d.console("SET users = '@extra' FOR POOL other")
    equal([e.sqlstate for e in c.ask("ENTER x ON other").errors], ["28000"], "not any more")
    names.write("group", "staff:%d:\nextra:%d:anna\n" % (STAFF, EXTRA))
    d.reload(pools={name: {"conninfo": t.conninfo(user="app"), "users": "@extra"} for name in ("db", "other")})
    equal(enters(d, ANNA, user="anna"), None, "a member now")
    refused(enters(d, BERT, user="bert"))
    names.write("group", "extra:%d:bert\n" % EXTRA)
    d.console("RELOAD")
    refused(enters(d, ANNA, user="anna"))
    equal(enters(d, BERT, user="bert"), None, "and bert is one")
    equal(d.show("CONFIG") and [r["value"] for r in d.show("CONFIG") if r["key"] == "users" and r["section"] == "pool db"],
          ["@extra"], "SHOW CONFIG")
    equal(names.in_loop(), [], "nothing is asked in the loop")


@test
def who_has_left_a_group(t):
    """a session that is in: its ENTER on another pool asks who the user is now, not who it was at the login"""
    names = Names(t)
    d = daemon(t, names, db={"users": "anna"}, other={"users": "@staff"})
    c = connect(d, ANNA, user="anna")
    t.defer(c.close)
    for member, expected in (("anna", []), ("", ["28000"]), ("anna", []), ("bert", ["28000"])):
        names.write("group", "staff:%d:%s\n" % (STAFF, member))
        d.console("RELOAD")
        equal([e.sqlstate for e in c.ask("ENTER x ON other").errors], expected, "staff has %r" % member)
        c.ask("LEAVE ALL ROLLBACK")
        equal(c.value("SELECT 1"), "1", "the session goes on")
    equal(names.in_loop(), [], "nothing is asked in the loop")


@test
def who_has_left_is_soon_known(t):
    """without a reload, too, who has left a group is kept out, and who has joined it comes in; many logins at once ask once"""
    names = Names(t)
    d = daemon(t, names, db={"users": "@staff"}, other={"users": "*"})
    c = connect(d, ANNA, "other", "anna")
    t.defer(c.close)
    for member in ("anna", "", "anna", "bert"):
        names.write("group", "staff:%d:%s\n" % (STAFF, member))
        for uid, user in ((ANNA, "anna"), (BERT, "bert")):
            wait_until(lambda: (enters(d, uid, user=user) is None) == (user == member), 10,
                       "%s comes in only if a member of staff, which has %r" % (user, member))
        wait_until(lambda: [e.sqlstate for e in c.ask("ENTER x ON db").errors] == ([] if member == "anna" else ["28000"]),
                   10, "ENTER likewise")
        c.ask("LEAVE ALL ROLLBACK")
    equal(names.in_loop(), [], "nothing is asked in the loop")
    names.clear("group")
    before = len(names.calls())
    for _ in range(100):
        enters(d, ANNA, "other", "anna")
    check(len(names.calls()) - before < 100, "%d calls for 100 logins" % (len(names.calls()) - before))


@test
def hints_name_nobody_else(t):
    """a name that would mean others in the configuration is not in a hint: who follows that lets in the one who was refused"""
    names = Names(t)
    odd = {"33": 61010, "@staff": 61011, "a,bert": 61012, "*": 61013, "x:y": 61014}
    names.write("passwd", "".join("%s:%d:%d\n" % (name, uid, uid) for name, uid in odd.items() if ":" not in name)
                + "bert:%d:%d\n" % (BERT, BERT))
    for name, uid in odd.items():
        d = daemon(t, names, {"allow": ""}, db={"users": "root"})
        for _ in range(2):
            e = refused(enters(d, uid, "db", "app"))
            m = re.search(r"add (\S+) to the option (\w+)", e.hint)
            check(m and m.group(1) in (str(uid), "%d:app" % uid), "%s: %s" % (name, e.hint))
            if m.group(2) == "allow":
                d.reload({"allow": m.group(1)})
            else:
                d.reload({"allow": "%d:app" % uid}, {"db": {"conninfo": t.conninfo(user="app"), "users": "root, " + m.group(1)}})
        equal(enters(d, uid, "db", "app"), None, name)
        for other, role in ((BERT, "bert"), (BERT, "app"), (33, "33"), (ANNA, "app")):
            refused(enters(d, other, "db", role))
        d.stop()
    d = daemon(t, names, {"allow": ""}, db={"users": "*"})
    for role in ("a,*", "app, *", "*", "a b", "a:b"):
        check("add " not in refused(enters(d, BERT, "db", role)).hint, "a role that would be more than one: %r" % role)


# ---- a slow name service -------------------------------------------------------------------------

class Watchdog:
    """Counts WATCHDOG=1."""

    def __init__(self, t):
        self.path = t.path("notify")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(self.path)
        self.sock.setblocking(False)
        t.defer(self.sock.close)

    def fed(self):
        try:
            while True:
                if b"WATCHDOG=1" in self.sock.recv(4096):
                    return True
        except BlockingIOError:
            return False


@test
def slow(t):
    """while the name service hangs: those who are in go on, others come in who need no name, the watchdog is fed"""
    names = Names(t)
    dog = Watchdog(t)
    names.env.update(NOTIFY_SOCKET=dog.path, WATCHDOG_USEC="400000")
    d = daemon(t, names, {"login_timeout": "60s", "allow": "%d:*, app" % NOBODY, "shutdown_timeout": "1s"},
               db={"users": "%d, anna" % BERT}, each={"role": "client"}, open={"users": "*"}, more={"users": "@staff"})
    inside = t.client(d, user="app")
    entering = connect(d, BERT, "db", "app")
    t.defer(entering.close)
    names.write("hang")
    held = [connect_only(d, ANNA, "db", "anna") for _ in range(20)]
    entering.send(wire.query("ENTER x ON more"))
    wait_until(lambda: "thread getpwuid_r" in names.calls(), 10, "the name service is asked")
    for _ in range(3):
        began = time.monotonic()
        for _ in range(50):
            inside.sql("SELECT 1")
        d.show("CLIENTS")
        for uid, pool, role in ((0, "db", "app"), (BERT, "db", "app"), (NOBODY, "open", "app"), (NOBODY, "each", "anna")):
            equal(enters(d, uid, pool, role), None, "%d in %s" % (uid, pool))
        check(time.monotonic() - began < 5 * slow_factor(), "they do not wait")
        while dog.fed():
            pass
        wait_until(dog.fed, 5, "the watchdog is fed")
    for c in held:
        check(c.silent(0), "a login that needs the name waits")
    equal(len(names.calls()), 2, "one look-up for each user that waits: %s" % names.calls())
    equal(int({r["list"]: r["items"] for r in d.show("LISTS")}["login_clients"]), 20, "SHOW LISTS counts them")
    gone = held.pop()
    gone.drop()
    d.reload({"log_level": "info"}, dict(d._written[1], db={"conninfo": t.conninfo(user="app"), "users": "anna", "size": 2}))
    # What was asked before the reload is not kept, but it is an answer.
    names.clear("hang")
    for c in held:
        c.let_in()
        equal(c.value("SELECT session_user"), "app", "in")
        c.close()
    equal([e.sqlstate for e in entering.until_ready().errors], ["28000"], "ENTER goes on")
    equal(entering.value("SELECT 1"), "1", "and its session")
    equal(names.in_loop(), [], "nothing is asked in the loop")


def connect_only(d, uid, database, user):
    with being(uid):
        c = d.connect(database, user=user, login=False)
    c.send(wire.startup_packet(c.params))
    return c


@test
def too_slow(t):
    """who waits too long for the name service is told so; the next one is served when it answers again"""
    names = Names(t)
    d = daemon(t, names, {"login_timeout": "1s", "allow": "%d:app" % ANNA}, db={"users": str(ANNA)}, more={"users": "anna"},
               named={"users": "anna"})
    c = connect(d, ANNA, "db", "app")
    names.write("hang")
    e = enters(d, ANNA, "named", "anna")
    equal((e.sqlstate, e.severity), ("57P03", "FATAL"), "too late")
    check("%d" % ANNA in e.message and "1s" in e.message and "nsswitch" in e.hint, "which says why: %s, %s" % (e, e.hint))
    c.send(wire.query("ENTER x ON more"))
    wait_until(lambda: names.calls(), 5, "it is asked")
    c.cancel() if hasattr(c, "cancel") else cancel(d, c)
    equal([e.sqlstate for e in c.until_ready().errors], ["57014"], "a cancel ends the wait")
    r = c.ask("BEGIN; SELECT 1; ENTER x ON db; ENTER y ON more")
    equal([e.sqlstate for e in r.errors], ["57P03"], "ENTER is told after five seconds")
    names_open = [row[1] for row in c.ask("SHOW SCOPES").rows]
    check("x" in names_open and "y" not in names_open, "what it had entered is still open: %s" % names_open)
    c.sql("EXIT ALL; COMMIT")
    half = connect(d, ANNA, "db", "app")
    half.send(wire.query("ENTER x ON db; ENTER x ON more"))
    half.drop()
    d.quiet("db")
    names.clear("hang")
    wait_until(lambda: enters(d, ANNA, "named", "anna") is None, 10, "it comes in when the name service is back")
    c.sql("ENTER x ON more; EXIT x")
    c.close()
    equal(names.in_loop(), [], "nothing is asked in the loop")


def cancel(d, c):
    s = wire.dial(d.sockets, d.port, 5)
    s.sendall(wire.cancel_packet(*c.key) if hasattr(wire, "cancel_packet") else
              b"\0\0\0\x10\x04\xd2\x16\x2e" + c.key[0].to_bytes(4, "big") + c.key[1].to_bytes(4, "big", signed=True))
    s.recv(1)
    s.close()


@test
def ends_while_it_hangs(t):
    """SIGTERM and SIGINT end the daemon, though the name service hangs"""
    for stop in ("drain", "stop"):
        names = Names(t) if stop == "drain" else names
        d = daemon(t, names, {"shutdown_timeout": "1s"}, db={"users": "anna"})
        names.write("hang")
        c = connect_only(d, ANNA, "db", "anna")
        wait_until(names.calls, 5, "it is asked")
        d.console_close()
        d.process.send_signal(15 if stop == "drain" else 2)
        equal([e.sqlstate for e in c.until_closed().errors], ["57P01"], "the client is told")
        equal(d.wait_end(10), 0, "it ends")
        names.clear("hang")
        c.drop()


@test
def starts_while_it_hangs(t):
    """a name service that says nothing does not keep the daemon from starting, nor root from coming in"""
    names = Names(t)
    names.write("hang")
    began = time.monotonic()
    names.env.update(PGUSER="")
    d = t.daemon(options={"allow": ""}, pools={"db": {"conninfo": t.conninfo(), "users": "anna"}}, env=names.env)
    os.chmod(t.directory, 0o755)
    os.chmod(d.directory, 0o755)
    check(time.monotonic() - began < 10 * slow_factor(), "it is there")
    names.forget()
    with d.connect() as c:
        equal(c.value("SELECT 1"), "1", "root")
    names.clear("hang")
    equal(enters(d, ANNA, "db", "anna"), None, "anna, when it answers")
    equal(names.in_loop(), [], "nothing is asked in the loop")


@test
def failing(t):
    """a name service that fails is an error that says so, and is asked again by the next login"""
    names = Names(t)
    d = daemon(t, names, db={"users": "anna"})
    names.write("fail")
    e = enters(d, ANNA, "db", "anna")
    equal(e.sqlstate, "57P03", "no answer")
    check("Input/output error" in e.message, e.message)
    equal(enters(d, 0, "db", "anna"), None, "root needs none")
    names.clear("fail")
    equal(enters(d, ANNA, "db", "anna"), None, "the next one comes in")
    names.forget()
    for _ in range(50):
        equal(enters(d, ANNA, "db", "anna"), None, "and the next ones")
    equal(names.calls(), [], "by what is known")
    for uid in range(62000, 62000 + 1200):
        refused(enters(d, uid, "db", "anna"))
    names.forget()
    equal(enters(d, ANNA, "db", "anna"), None, "anna again")
    equal(len(names.calls()), 1, "of the many the oldest are forgotten")
    equal(names.in_loop(), [], "nothing is asked in the loop")


@test
def nothing_in_the_loop(t):
    """the daemon's loop never asks the name service: logins, servers, reloads, the console, with few words in the conninfo"""
    names = Names(t)
    t.cluster.role("root")
    t.cluster.role("anna")
    host = "host=%s port=%s dbname=%s" % (t.cluster.sockets, t.cluster.port, t.database)
    tls = conninfo(t.cluster.tls_conninfo(dbname=t.database))
    by_name = conninfo(t.cluster.tls_conninfo(dbname=t.database, host="localhost"))
    env = dict(names.env, PGUSER="", HOME="")
    d = t.daemon(options={"allow": "*", "socket_group": "root", "socket_owner": "root"}, env=env, pools={
        "db": {"conninfo": host, "users": "*"}, "tls": {"conninfo": tls, "users": "*"},
        "by_name": {"conninfo": by_name, "users": "*"}, "each": {"conninfo": host, "role": "client", "users": "anna, @staff"},
        "peer": {"conninfo": host + " user=anna requirepeer=keeper", "users": "*"},
        "wrong": {"conninfo": host + " user=anna requirepeer=nosuchuser", "users": "*"},
        "other": {"conninfo": host + " user=anna requirepeer=daemon", "users": "*"}})
    os.chmod(t.directory, 0o755)
    os.chmod(d.directory, 0o755)
    names.forget()
    for _ in range(2):
        for pool in ("db", "each", "peer"):
            c = connect(d, ANNA, pool, "anna")
            equal(c.value("SELECT session_user"), "root" if pool == "db" else "anna", pool)
            c.close()
        for pool in ("tls", "by_name"):
            with connect(d, ANNA, pool, "anna") as c:
                equal(c.value("SELECT session_user"), "postgres", pool)
        for pool in ("wrong", "other"):
            e = enters(d, ANNA, pool, "anna")
            check(e and e.sqlstate == "08001" and "requirepeer" in e.message, "%s: %s" % (pool, e))
        d.console("RELOAD")
        d.console("RECONNECT")
    for what in ("CLIENTS", "SERVERS", "POOLS", "DATABASES", "CONFIG", "STATE", "USERS", "LISTS", "STATS"):
        d.show(what)
    d.reload(pools={"db": {"conninfo": host + " port=1", "users": "anna"}})
    d.rewrite(pools={"db": {"conninfo": "hosst=x"}})
    try:
        d.console("RELOAD")
    except ServerError as e:
        check("host" in e.detail, e.detail)
    equal(names.in_loop(), [], "nothing is asked in the loop")


@test
def reload_of_a_pipe(t):
    """a daemon whose configuration came by a pipe refuses a reload, and goes on"""
    d = t.daemon()
    os.unlink(d.conf)
    os.mkfifo(d.conf)
    try:
        d.console("RELOAD")
        check(False, "it is refused")
    except ServerError as e:
        check("pipe" in e.message, e.message)
    equal(len(d.show("VERSION")), 1, "it goes on")


main(cluster={"tls": True})
