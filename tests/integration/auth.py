"""Clients with passwords: auth = scram-sha-256, auth_file, auth_query; who gets into which pool then; wrong passwords;
what is told and what is not."""

import contextlib
import glob
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

from pgwtest import (Closed, ServerError, Skip, check, child, equal, main, note, only_local, sanitized, slow_factor,
                     test, unavailable, wait_until, wire)
from pgwtest.daemon import SANITIZE_ENV, program
from pgwtest.ports import listens
from pgwtest.process import being

HBA = "local all +asked scram-sha-256\n"  # PostgreSQL asks these roles, too: the tests compare with it
UNICODE = "I\u00adX \u2168 pa\u00dfword \u20ac"  # SASLprep changes it
SECRETS = {"anna": "anna's secret", "bert": "bert-secret", "carl": UNICODE}


def verifier(t, role):
    return t.cluster.value("SELECT rolpassword FROM pg_authid WHERE rolname = '%s'" % role)


def roles(t):
    """Roles with these passwords, in PostgreSQL."""
    for name in ("asked", "nobody"):
        t.cluster.role(name)
    for name, secret in SECRETS.items():
        t.cluster.role(name)
        t.cluster.sql("ALTER ROLE %s PASSWORD '%s'" % (name, secret.replace("'", "''")))
        t.cluster.sql("GRANT asked TO %s" % name)
    t.cluster.sql("GRANT asked TO nobody")


def write_file(path, entries, mode=0o600, more=""):
    with open(path, "w") as f:
        os.fchmod(f.fileno(), mode)
        f.write("; users\n" + more)
        for role, secret in entries.items():
            f.write('"%s" "%s"\n' % (role.replace('"', '""'), secret.replace('"', '""')))
    return path


def users_file(t, **entries):
    """anna by her verifier, bert and carl in clear, none without a password."""
    full = dict({"anna": verifier(t, "anna"), "bert": SECRETS["bert"], "carl": SECRETS["carl"], "none": ""}, **entries)
    return write_file(t.path("userlist.txt"), full)


def daemon(t, options=None, pools=None, supervised=False, **pool):
    roles(t)
    os.chmod(t.directory, 0o755)
    full = dict({"auth": "scram-sha-256", "auth_file": users_file(t), "auth_delay": "0"}, **(options or {}))
    full = {k: v for k, v in full.items() if v is not None}
    if pools is None:
        pools = {"db": dict({"conninfo": t.conninfo(), "size": 2, "users": "*"}, **pool)}
    make = t.supervised if supervised else t.daemon
    return make(options=full, pools=pools)


def enters(d, user, password, database="db"):
    """None if it is let in, else the error."""
    try:
        d.connect(database, user=user, password=password).close()
    except ServerError as e:
        return e
    return None


def refused(e, user):
    """As by PostgreSQL, to the letter."""
    equal(e and (e.severity, e.sqlstate, e.message, e.detail, e.hint),
          ("FATAL", "28P01", 'password authentication failed for user "%s"' % user, None, None), "refused: %s" % e)


def direct_error(t, user, password):
    try:
        wire.Client(t.cluster.sockets, t.cluster.port, t.database, user, password=password).close()
    except ServerError as e:
        return e
    return None


# ---- passwords ---------------------------------------------------------------------------------------


@test
def right_and_wrong(t):
    """a verifier, a password in clear, none, an unknown role: right ones enter, the others get PostgreSQL's words"""
    d = daemon(t)
    for user in ("anna", "bert"):
        equal(enters(d, user, SECRETS[user]), None, user)
        for wrong in ("", "x", SECRETS[user] + " ", SECRETS[user].upper()):
            refused(enters(d, user, wrong), user)
    for user, password in (("none", ""), ("none", "x"), ("stranger", "x"), ("root", "x"), ("postgres", "x")):
        refused(enters(d, user, password), user)
    e, ours = direct_error(t, "anna", "x"), enters(d, "anna", "x")
    equal((ours.severity, ours.sqlstate, ours.message, ours.detail), (e.severity, e.sqlstate, e.message, e.detail),
          "as on a direct connection")
    with d.connect(user="anna", password=SECRETS["anna"]) as c:
        equal(c.ask("SELECT current_user").value, "postgres", "the pool's role")
        equal([r["auth"] for r in d.clients() if r["user"] == "anna"], ["scram-sha-256"], "SHOW CLIENTS")
    equal({r["role"]: int(r["wrong_passwords"]) for r in d.show("LOGINS")},
          {"anna": 5, "bert": 4, "none": 2, "stranger": 1, "root": 1, "postgres": 1}, "SHOW LOGINS")
    row = d.show("LOGINS")[0]
    equal((row["role"], int(row["uid"]), int(row["pid"])), ("anna", os.geteuid(), os.getpid()), "the last one")
    check(row["program"].startswith("python3"), "its program: %s" % row)
    check(d.log_has(r"wrong password role=anna uid=%d pid=%d program=python3" % (os.geteuid(), os.getpid())), "the log")


@test
def saslprep(t):
    """a password that SASLprep changes, in clear in the file and as a verifier: by psql, as to PostgreSQL"""
    d = daemon(t)
    for host, port, database in ((d.sockets, d.port, "db"), (t.cluster.sockets, t.cluster.port, t.database)):
        for password, status in ((UNICODE, 0), ("IX IX pa\u00dfword \u20ac", 0), ("IX", 2)):
            got, out, err = child.run([t.cluster.program("psql"), "-XAtc", "SELECT 42", "-h", host, "-p", str(port), "-U",
                                       "carl", database], env={"PGPASSWORD": password})
            equal((got, out.strip()), (status, "42" if status == 0 else ""), "psql as carl: %s" % err)


@test
def without_a_password(t):
    """psql -w, which has no password, gets libpq's words, and no failure is counted"""
    d = daemon(t)
    got, _, err = child.run([t.cluster.program("psql"), "-wXAtc", "SELECT 1", d.dsn(user="anna")],
                            env={"PGPASSFILE": "/nonexistent"})
    equal(got, 2, "psql's status")
    check("no password supplied" in err, err)
    equal(d.show("LOGINS"), [], "SHOW LOGINS")


@test
def peer_first(t):
    """peer, scram-sha-256: who may come in without a password does, others are asked for it"""
    d = daemon(t, {"auth": "peer, scram-sha-256", "allow": "%d:app" % 61001}, users="*")
    if os.geteuid() != 0:
        raise Skip("only root can play several users")
    equal(enters(d, "anna", None), None, "root as anna")
    with being(61001):
        stranger = {"app": d.connect(user="app", login=False)}
        for user in ("anna", "bert"):
            stranger[user] = d.connect(user=user, login=False, password=SECRETS[user])
        wrong = d.connect(user="anna", login=False, password="x")
        none = d.connect(user="anna", login=False)
    for c in stranger.values():
        c.login()
    equal({c["user"]: c["auth"] for c in d.clients()}, {"app": "peer", "anna": "scram-sha-256", "bert": "scram-sha-256"},
          "how they came in")
    with contextlib.suppress(ServerError):
        wrong.login()
        check(False, "a wrong password is let in")
    none.send(wire.startup_packet(none.params))
    equal(none.read(), ("R", b"\0\0\0\nSCRAM-SHA-256\0\0"), "it is asked")
    for c in [*stranger.values(), wrong, none]:
        c.close()


@test
def pools_of_a_role(t):
    """which pools a proved role may use: role:ROLE, *, its own; and by peer, those of its user; ENTER asks the same"""
    me = {"conninfo": t.conninfo(), "size": 2}
    roles(t)
    t.cluster.sql("GRANT CONNECT ON DATABASE %s TO anna" % t.database)
    pools = {"all": dict(me, users="*"), "listed": dict(me, users="role:anna, role:zoe"), "other": dict(me, users="role:bert"),
             "strangers": dict(me, users="61001"), "own": dict(me, conninfo=t.conninfo(user="anna", password=SECRETS["anna"])),
             "fixed": me, "client": dict(me, role="client"), "client_listed": dict(me, role="client", users="role:bert")}
    d = daemon(t, pools=pools)
    may = {"all", "listed", "own", "client"}
    for pool in pools:
        if pool == "client":
            continue  # its servers would be asked for a password
        e = enters(d, "anna", SECRETS["anna"], pool)
        equal(e and (e.sqlstate, e.message), None if pool in may else
              ("28000", 'role "anna" may not use pool "%s"' % pool), "anna in %s" % pool)
    check("role:anna" in enters(d, "anna", SECRETS["anna"], "other").detail, "the detail")
    refused(enters(d, "anna", "x", "other"), "anna")
    e = enters(d, "anna", SECRETS["anna"], "nosuch")
    equal(e.sqlstate, "3D000", "no such pool")
    refused(enters(d, "anna", "x", "nosuch"), "anna")
    with d.connect("all", user="anna", password=SECRETS["anna"]) as c:
        for pool, state in (("listed", None), ("other", "28000"), ("strangers", "28000")):
            r = c.ask("ENTER x ON %s" % pool)
            equal([e.sqlstate for e in r.errors], [state] if state else [], "ENTER ON %s" % pool)
            if not state:
                c.ask("EXIT ALL")
    # By peer, too, the client is its user of the system: root may use every pool.
    d.reload({"auth": "peer, scram-sha-256", "auth_file": t.path("userlist.txt"), "auth_delay": "0"})
    for pool in pools:
        if os.geteuid() == 0 and not pool.startswith("client"):
            equal(enters(d, "anna", SECRETS["anna"], pool), None, "root as anna in %s" % pool)


@test
def user_and_role(t):
    """peer, scram-sha-256: a client with a password may also use the pools of its user, who is looked up for that"""
    if os.geteuid() != 0:
        raise Skip("only root can play several users")
    me = {"conninfo": t.conninfo(), "size": 2}
    roles(t)
    uid = pwd.getpwnam("nobody").pw_uid
    pools = {"db": dict(me, users="role:anna"), "named": dict(me, users="nobody"), "others": dict(me, users="daemon"),
             "numbered": dict(me, users=str(uid))}
    d = daemon(t, {"auth": "peer, scram-sha-256", "allow": ""}, pools=pools)
    got = {}
    for pool in pools:
        with being(uid):
            c = d.connect(pool, user="anna", login=False, password=SECRETS["anna"])
        try:
            c.login()
            got[pool] = None
        except ServerError as e:
            got[pool] = e.message
        c.close()
    refusal = 'role "anna" may not use pool "others"'
    equal(got, {"db": None, "named": None, "others": refusal, "numbered": None}, "logins")
    with being(uid):
        c = d.connect("db", user="anna", login=False, password=SECRETS["anna"])
    c.login()
    for pool, want in (("named", []), ("others", [refusal]), ("numbered", []), ("db", [])):
        equal([e.message for e in c.ask("ENTER x ON %s" % pool).errors], want, "ENTER ON " + pool)
        if not want:
            c.ask("EXIT ALL")
    c.close()


@test
def commands_with_a_password(t):
    """auth_console = scram-sha-256: pgwith takes PGPASSWORD, PGPASSFILE or ~/.pgpass, says what to do without, and ping needs none"""
    d = daemon(t)
    d.reload({"auth": "scram-sha-256", "auth_file": t.path("userlist.txt"), "auth_delay": "0", "auth_console": "scram-sha-256",
              "admin_users": "anna, bert"})
    d.console_close()
    home, passfile = t.path("home"), t.path("passfile")
    os.mkdir(home)
    for path, user in ((os.path.join(home, ".pgpass"), "bert"), (passfile, "anna")):
        with open(path, "w") as f:
            os.fchmod(f.fileno(), 0o600)
            f.write("%s:%d:pgwith:%s:%s\n" % (d.sockets.replace(":", "\\:"), d.port, user, SECRETS[user]))

    def pgwith(*args, **env):
        return child.run([program("pgwith"), "-S", d.sockets, "-p", str(d.port), *args], env=dict(SANITIZE_ENV, **env), timeout=30)

    nothing = {"HOME": "/nonexistent", "PGPASSFILE": "/nonexistent"}
    for user, env in (("anna", dict(nothing, PGPASSWORD=SECRETS["anna"])), ("anna", {"HOME": home, "PGPASSFILE": passfile}),
                      ("bert", {"HOME": home})):
        status, out, err = pgwith("-U", user, "show", "level", "--csv", "--no-header", **env)
        equal((status, err), (0, ""), "as %s by %s" % (user, sorted(env)))
        check("admin" in out, out)
        equal(pgwith("-U", user, "ready", **env)[0], 0, "ready")
    status, out, err = pgwith("-U", "anna", "status", **nothing)
    equal((status, out), (4, ""), "no password: " + err)
    check('pgwithd asks for the password of the role "anna" (auth_console)' in err and "PGPASSWORD" in err and
          "%s:%d:pgwith:anna:PASSWORD" % (d.sockets, d.port) in err and "fe_sendauth" not in err, err)
    status, out, err = pgwith("-U", "anna", "ready", PGPASSWORD="x")
    equal((status, out), (4, ""), "a wrong one: " + err)
    check("password authentication failed" in err, err)
    equal(pgwith("ping", **nothing)[:2], (0, "pgwithd is alive\n"), "it is alive all the same")
    status, out, err = pgwith("top", "--once", "-U", "anna", "--interval", "100ms", **nothing)
    check(status == 4 and "PGPASSWORD" in out + err, "top: %d %s%s" % (status, out, err))
    status, out, err = pgwith("doctor", "--config", d.conf, "--json", **nothing)
    rows = [f for f in json.loads(out) if "cannot look at what runs" in f["finding"]]
    check(len(rows) == 1 and "auth_console" in rows[0]["finding"] and "PGPASSWORD" in rows[0]["what_to_do"], "doctor: %s" % rows)


@test
def the_console(t):
    """the console asks for no password unless auth_console says so; then the role's rights count, not root's"""
    d = daemon(t)
    check(d.show("CLIENTS") is not None, "by peer")
    d.reload({"auth": "scram-sha-256", "auth_file": t.path("userlist.txt"), "auth_delay": "0", "auth_console": "scram-sha-256",
              "admin_users": "anna"})
    d.console_close()
    refused(enters(d, "anna", "x", "pgwith"), "anna")
    with d.connect("pgwith", user="anna", password=SECRETS["anna"]) as c:
        equal(c.ask("SHOW CONFIG").errors, [], "an administrator by password")
    with d.connect("pgwith", user="bert", password=SECRETS["bert"]) as c:
        equal([e.sqlstate for e in c.ask("RELOAD").errors], ["42501"], "root by the password of bert")
    d.rewrite({"auth": "scram-sha-256", "auth_file": t.path("userlist.txt"), "auth_console": "peer"})
    os.kill(d.pid, signal.SIGHUP)
    wait_until(lambda: d.log_text().count("pgwithd: reloaded") == 2, 10, "reloaded")
    check(d.show("CLIENTS") is not None, "by peer again")


# ---- wrong passwords ---------------------------------------------------------------------------------


@test
def slowed_down(t):
    """a wrong password is answered after auth_delay, and nobody else waits; who hangs up meanwhile is gone"""
    # So long that 40 exchanges are done before it is over, on a busy machine, too.
    delay = min(3 * slow_factor(), 10)  # login_timeout is 15 s
    d = daemon(t, {"auth_delay": "%dms" % (1000 * delay)})
    started = time.monotonic()
    waiting = [d.connect(user="anna", login=False, password="x") for _ in range(20)]
    for c in waiting:
        c.send(wire.startup_packet(c.params))
        scram = wire.Scram("x")
        c.read()
        c.send(wire.message("p", scram.first()))
        _, body = c.read()
        c.send(wire.message("p", scram.final(body[4:])))
    wait_until(lambda: sum(r["state"] == "password" for r in d.show("CLIENTS")) == 20, 5, "20 wait")
    for _ in range(20):
        equal(enters(d, "anna", SECRETS["anna"]), None, "others come in")
    took = time.monotonic() - started
    check(took < delay, "others did not wait: %.2f s" % took)
    waiting.pop().close()
    wait_until(lambda: sum(r["state"] == "password" for r in d.show("CLIENTS")) == 19, 2, "who has hung up is gone")
    for c in waiting:
        kind, body = c.read()
        refused(wire.ServerError(body) if kind == "E" else None, "anna")
        c.close()
    took = time.monotonic() - started
    check(took >= delay - 0.01, "not before its time: %.2f s" % took)


@test
def delay_of_its_own(t):
    """auth_delay passes before the answer, and no more"""
    d = daemon(t, {"auth_delay": "700ms"})
    started = time.monotonic()
    refused(enters(d, "anna", "x"), "anna")
    took = time.monotonic() - started
    check(0.69 <= took < 3 * slow_factor(), "took %.3f s" % took)
    started = time.monotonic()
    refused(enters(d, "stranger", "x"), "stranger")
    check(time.monotonic() - started >= 0.69, "an unknown role, too")


def challenge(d, user):
    """The server's first message to a client of that name, as a dict."""
    c = d.connect(user=user, login=False)
    c.send(wire.startup_packet(c.params))
    c.read()
    c.send(wire.message("p", wire.Scram("x").first()))
    kind, body = c.read()
    c.close()
    equal(kind, "R", "the answer")
    return dict(item.split("=", 1) for item in body[4:].decode().split(","))


@test
def unknown_roles(t):
    """an unknown role cannot be told from one that is there: salt and iterations are the same each time"""
    d = daemon(t)
    equal(enters(d, "bert", SECRETS["bert"]), None, "bert")
    seen = {user: challenge(d, user) for user in ("anna", "bert", "none", "stranger", "other", "\u00e4\u00f6")}
    for user, first in seen.items():
        again = challenge(d, user)
        equal((again["s"], again["i"]), (first["s"], first["i"]), "of " + user)
        check(again["r"] != first["r"], "another nonce for " + user)
        equal((len(first["s"]), len(first["r"]), first["i"]), (24, 48, "4096"), "looks as any other: " + user)
    equal(len({f["s"] for f in seen.values()}), len(seen), "each role has another salt")
    d.reload({"auth": "scram-sha-256", "auth_file": t.path("userlist.txt"), "auth_delay": "0"})
    for user, first in seen.items():
        equal(challenge(d, user)["s"], first["s"], "after a reload: " + user)


@test
def many_at_once(t):
    """2,000 wrong passwords at once: each is answered, the oldest before its time, and a right one enters meanwhile"""
    d = daemon(t, {"auth_delay": "30s", "login_timeout": "1min", "log_level": "info"})
    count = 2000
    clients = []
    for _ in range(count):
        c = d.connect(user="anna", login=False, password="x")
        c.send(wire.startup_packet(c.params))
        clients.append(c)
    for c in clients:
        scram = wire.Scram.__new__(wire.Scram)
        c.read()
        scram._nonce = "x"
        c.send(wire.message("p", scram.first()))
        _, body = c.read()
        parts = dict(item.split("=", 1) for item in body[4:].decode().split(","))
        c.send(wire.message("p", ("c=biws,r=%s,p=%s" % (parts["r"], "A" * 43 + "=")).encode()))
    for c in clients[:count - 1000]:
        refused(wire.ServerError(c.read()[1]), "anna")
    equal(enters(d, "anna", SECRETS["anna"]), None, "a right one")
    equal(sum(r["state"] == "password" for r in d.show("CLIENTS")), 1000, "those that wait")
    for c in clients:
        c.close()
    wait_until(lambda: not any(r["state"] == "password" for r in d.show("CLIENTS")), 10, "all gone")


# ---- limits ------------------------------------------------------------------------------------------


@test
def time_limit(t):
    """a client that never proves its password is told PostgreSQL's words after login_timeout"""
    d = daemon(t, {"login_timeout": "500ms"})
    c = d.connect(user="anna", login=False)
    c.send(wire.startup_packet(c.params))
    c.read()
    kind, body = c.read()
    e = wire.ServerError(body)
    equal((kind, e.severity, e.sqlstate, e.message), ("E", "FATAL", "57014", "canceling authentication due to timeout"), "told")
    c.close()
    # A wrong password that is to be answered later than that gets its own answer then.
    d.reload({"auth": "scram-sha-256", "auth_file": t.path("userlist.txt"), "auth_delay": "50s", "login_timeout": "500ms"})
    refused(enters(d, "anna", "x"), "anna")


@test
def places(t):
    """clients that have not proved who they are take nobody's place under max_clients"""
    d = daemon(t, {"max_clients": 5})
    idle = []
    for _ in range(15):
        c = d.connect(user="anna", login=False)
        c.send(wire.startup_packet(c.params))
        c.read()
        idle.append(c)
    inside = [d.connect(user="anna", password=SECRETS["anna"]) for _ in range(4)]
    e = None
    try:
        inside.append(d.connect(user="anna", password=SECRETS["anna"]))
        inside.append(d.connect(user="anna", password=SECRETS["anna"]))
    except ServerError as error:
        e = error
    equal(e and e.sqlstate, "53300", "too many")
    for c in idle + inside:
        c.close()


@test
def pipelined(t):
    """messages that a client sends behind its proof are kept until it is in; those before it are refused"""
    d = daemon(t)
    c = d.connect(user="anna", login=False)
    c.send(wire.startup_packet(c.params))
    c.read()
    scram = wire.Scram(SECRETS["anna"])
    c.send(wire.message("p", scram.first()))
    _, body = c.read()
    c.send(wire.message("p", scram.final(body[4:])) + wire.query("SELECT repeat('x', 5), 7") + wire.query("SELECT 8"))
    kind, body = c.read()
    equal((kind, body[:4]), ("R", b"\0\0\0\x0c"), "AuthenticationSASLFinal")
    scram.verify(body[4:])
    c.let_in()
    equal(c.until_ready().rows, [("xxxxx", "7")], "the first query")
    equal(c.until_ready().rows, [("8",)], "the second one")
    c.close()
    # byte by byte
    c = d.connect(user="anna", login=False)
    scram = wire.Scram(SECRETS["anna"])

    def drip(data):
        for i in range(len(data)):
            c.send(data[i:i + 1])
    drip(wire.startup_packet(c.params))
    c.read()
    drip(wire.message("p", scram.first()))
    _, body = c.read()
    drip(wire.message("p", scram.final(body[4:])))
    c.read()
    c.let_in()
    equal(c.ask("SELECT 9").value, "9", "byte by byte")
    c.close()
    # startup packet and choice in one write
    c = d.connect(user="anna", login=False)
    scram = wire.Scram(SECRETS["anna"])
    c.send(wire.startup_packet(c.params) + wire.message("p", scram.first()))
    equal(c.read()[1][:4], b"\0\0\0\n", "asked")
    _, body = c.read()
    c.send(wire.message("p", scram.final(body[4:])))
    c.read()
    c.let_in()
    c.close()


# ---- auth_query --------------------------------------------------------------------------------------


def asking(t, options=None, **more):
    """A daemon without a file, with a pool `admin` that asks pg_authid."""
    roles(t)
    pools = {"db": {"conninfo": t.conninfo(), "size": 2, "users": "*"},
             "admin": dict({"conninfo": t.conninfo(application_name="admin"), "size": 1}, **more)}
    return daemon(t, dict({"auth_file": None, "auth_pool": "admin"}, **(options or {})), pools=pools)


def asked(t):
    """How many logins of anna were asked about: the query is noted by PostgreSQL."""
    return int(t.value("SELECT count(*) FROM looked"))


COUNTING = ("CREATE TABLE looked (at timestamptz DEFAULT clock_timestamp(), who text);"
            "CREATE FUNCTION look(name) RETURNS TABLE (who name, secret text) LANGUAGE sql AS $$"
            " INSERT INTO looked (who) VALUES ($1);"
            " SELECT rolname, rolpassword FROM pg_authid WHERE rolname = $1 AND rolcanlogin $$")


@test
def by_query(t):
    """auth_query: right, wrong, without a password, unknown; through a lease of its pool; kept for auth_cache_age"""
    t.sql(COUNTING)
    d = asking(t, {"auth_query": "SELECT * FROM look($1)", "auth_cache_age": "1h"})
    for user, secret in SECRETS.items():
        if user != "carl":
            equal(enters(d, user, secret), None, user)
    first = asked(t)
    equal(first, 2, "each was asked for once")
    for _ in range(5):
        equal(enters(d, "anna", SECRETS["anna"]), None, "anna again")
    equal(asked(t), first, "the answer is kept")
    refused(enters(d, "nobody", "x"), "nobody")
    refused(enters(d, "stranger", ""), "stranger")
    refused(enters(d, "x' OR true --", "x"), "x' OR true --")
    equal(int(t.value("SELECT count(*) FROM looked WHERE who LIKE 'x%'")), 1, "the name is a parameter")
    equal(int(d.pool("admin")["queries"] if "queries" in d.pool("admin") else 1) > 0, True, "it was a query of the pool")
    equal({r["user"] for r in d.clients("admin")}, set(), "nothing is left of the questions")
    d.quiet("admin")


@test
def default_query(t):
    """the default of auth_query reads pg_authid; a role whose password has run out, or that may not log in, is refused"""
    d = asking(t, {"auth_cache_age": "0"})
    for user in ("anna", "bert"):
        equal(enters(d, user, SECRETS[user]), None, user)
    t.cluster.sql("ALTER ROLE bert VALID UNTIL '2001-01-01'")
    t.cluster.sql("ALTER ROLE anna NOLOGIN")
    try:
        refused(enters(d, "bert", SECRETS["bert"]), "bert")
        refused(enters(d, "anna", SECRETS["anna"]), "anna")
    finally:
        t.cluster.sql("ALTER ROLE bert VALID UNTIL 'infinity'")
        t.cluster.sql("ALTER ROLE anna LOGIN")
    equal(enters(d, "anna", SECRETS["anna"]), None, "and comes in again")


@test
def a_new_password(t):
    """a password that has changed in PostgreSQL: the first failure makes pgwithd ask anew"""
    d = asking(t, {"auth_cache_age": "1h"})
    equal(enters(d, "anna", SECRETS["anna"]), None, "the old one")
    time.sleep(1.1)  # an answer that is younger than a second is not doubted
    t.cluster.sql("ALTER ROLE anna PASSWORD 'new one'")
    try:
        refused(enters(d, "anna", "new one"), "anna")
        equal(enters(d, "anna", "new one"), None, "the second attempt")
        refused(enters(d, "anna", SECRETS["anna"]), "anna")
    finally:
        t.cluster.sql("ALTER ROLE anna PASSWORD '%s'" % SECRETS["anna"].replace("'", "''"))


@test
def file_and_query(t):
    """a role of the file is not asked for; others are; passwords in clear, md5 and NULL as answers"""
    t.sql("CREATE TABLE secrets (who text, secret text)")
    t.sql("INSERT INTO secrets VALUES ('dora', 'dora secret'), ('emil', 'md5%s'), ('fred', NULL), ('anna', 'wrong')" % ("0" * 32))
    roles(t)
    pools = {"db": {"conninfo": t.conninfo(), "size": 2, "users": "*"}, "admin": {"conninfo": t.conninfo(), "size": 1}}
    d = daemon(t, {"auth_pool": "admin", "auth_query": "SELECT secret FROM secrets WHERE who = $1"}, pools=pools)
    equal(enters(d, "anna", SECRETS["anna"]), None, "of the file")
    equal(enters(d, "dora", "dora secret"), None, "in clear")
    for user in ("emil", "fred", "stranger"):
        refused(enters(d, user, "x"), user)
    check(d.log_has("auth_query gives no verifier of SCRAM-SHA-256 role=emil gives=md5"), "the log says so of md5")


@test
def failing_query(t):
    """auth_query fails, gives two rows, its pool is paused or gone: another error than that of a wrong password"""
    d = asking(t, {"auth_query": "SELECT nonsense FROM pg_authid WHERE rolname = $1", "login_timeout": "1s"})
    e = enters(d, "anna", SECRETS["anna"])
    equal((e.severity, e.sqlstate, e.message), ("FATAL", "57P03", 'the password of user "anna" cannot be checked now'), "told")
    check("nonsense" not in str(e) and "nonsense" not in (e.hint or ""), "no reason: %s" % e)
    check(d.log_has('cannot be checked role=anna why="auth_query on pool admin: column .*nonsense.* does not exist"'), "the log")
    base = {"auth": "scram-sha-256", "auth_pool": "admin", "auth_delay": "0", "login_timeout": "1s"}
    d.rewrite(dict(base, auth_query="SELECT 'a' FROM generate_series(1, 2) WHERE $1::name IS NOT NULL"))
    d.console("RELOAD")
    equal(enters(d, "anna", "x").sqlstate, "57P03", "two rows")
    check(d.log_has("it has given more than one row"), "the log")
    d.rewrite(dict(base, auth_query="SELECT $1::text, pg_sleep(60)::text"))
    d.console("RELOAD")
    check(enters(d, "anna", "x").sqlstate in ("57014", "57P03"), "no answer")
    d.rewrite(dict(base, auth_query="SELECT rolpassword FROM pg_authid WHERE rolname = $1"))
    d.console("RELOAD")
    wait_until(lambda: not d.clients("admin"), 10, "the question is gone")
    d.quiet("admin", within=10)
    d.console("PAUSE admin")
    check(enters(d, "anna", SECRETS["anna"]).sqlstate in ("57014", "57P03"), "paused")
    d.console("RESUME admin")
    wait_until(lambda: not d.clients("admin"), 10, "the question is gone")
    equal(enters(d, "anna", SECRETS["anna"]), None, "goes on")


@test
def reload_while_asking(t):
    """a RELOAD while the old auth_query is under way: its late answer is not kept, and nobody who came since is judged by it"""
    t.sql("CREATE TABLE secrets (who text, secret text)")
    t.sql("INSERT INTO secrets VALUES ('dora', 'old one')")
    options = {"auth_pool": "admin", "auth_cache_age": "1h", "auth_delay": "0", "auth": "scram-sha-256"}
    slow = "SELECT secret FROM (SELECT secret, pg_advisory_lock_shared(77) FROM secrets WHERE who = $1) x"
    d = asking(t, dict(options, auth_query=slow), size=3)
    with t.direct() as gate:
        gate.ask("SELECT pg_advisory_lock(77)")
        first = threading.Thread(target=enters, args=(d, "dora", "x"))
        first.start()
        wait_until(lambda: t.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") == "1",
                   5, "the old query is under way")
        t.sql("UPDATE secrets SET secret = 'new one'")
        d.rewrite(dict(options, auth_query="SELECT secret FROM secrets WHERE who = $1"))
        d.console("RELOAD")
        equal(enters(d, "dora", "new one"), None, "the new query")
        first.join(20)
        gate.ask("SELECT pg_advisory_unlock(77)")
    wait_until(lambda: not d.clients("admin"), 10, "the old question is over")
    refused(enters(d, "dora", "old one"), "dora")
    equal(enters(d, "dora", "new one"), None, "still")


@test
def limits_of_roles(t):
    """[role *] and [uid *] limit clients, not the questions of pgwithd"""
    roles(t)
    uid = str(os.geteuid())
    pools = {"db": {"conninfo": t.conninfo(), "size": 2, "users": "*"}, "admin": {"conninfo": t.conninfo(), "size": 4}}
    os.chmod(t.directory, 0o755)
    d = t.daemon(options={"auth": "scram-sha-256", "auth_pool": "admin", "auth_delay": "0", "auth_cache_age": "0",
                          "auth_query": "SELECT rolpassword FROM (SELECT rolpassword, pg_sleep(0.3) FROM pg_authid "
                                        "WHERE rolname = $1) x"},
                 pools=pools, sections={"role *": {"max_clients": 1, "max_servers": 1}, "uid " + uid: {"max_clients": 4, "max_servers": 1}})
    inside = d.connect(user="anna", password=SECRETS["anna"])
    inside.ask("BEGIN; SELECT 1")  # has the one server of its uid
    seen = {}
    threads = [threading.Thread(target=lambda u=u: seen.update({u: enters(d, u, SECRETS.get(u, "x"))}))
               for u in ("bert", "stranger", "other")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    equal(seen.pop("bert"), None, "bert comes in")
    for user, e in seen.items():
        refused(e, user)
    e = enters(d, "anna", SECRETS["anna"])
    equal(e and e.sqlstate, "53300", "a client is limited: %s" % e)
    d.console("RELOAD")
    inside.ask("COMMIT")
    inside.close()
    wait_until(lambda: not d.clients(), 10, "all are gone")
    equal(enters(d, "anna", SECRETS["anna"]), None, "counted right")


# ---- the file ----------------------------------------------------------------------------------------


@test
def files(t):
    """a file that others may read, of md5 hashes or damaged: no start, and no reload, which changes nothing"""
    d = daemon(t)
    path, options = t.path("userlist.txt"), {"auth": "scram-sha-256", "auth_file": t.path("userlist.txt"), "auth_delay": "0"}
    inside = d.connect(user="bert", password=SECRETS["bert"])
    for text, mode, why in (('"bert" "x"\n', 0o644, "it is open to others (mode 0644)"),
                            ('"bert" "md5%s"\n' % ("a" * 32), 0o600, 'role "bert" has an md5 hash'),
                            ('"bert" "SCRAM-SHA-256$x"\n', 0o600, 'role "bert" has a damaged verifier')):
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, mode)
        try:
            d.console("RELOAD")
            check(False, "reloaded with: " + why)
        except ServerError as e:
            equal(e.sqlstate, "F0000", "RELOAD")
            check(why in e.detail, "RELOAD says why: %s" % e.detail)
        equal(enters(d, "bert", SECRETS["bert"]), None, "the old file is in force")
        got, out, err = child.run([program("pgwithd"), "-c", d.conf, "-t"])
        equal(got, 2, "pgwithd -t: %s" % out)
        check(why in out + err, "pgwithd -t says why: %s%s" % (out, err))
    write_file(path, {"bert": "another"})
    equal(d.reload(options).errors, [], "RELOAD")
    refused(enters(d, "bert", SECRETS["bert"]), "bert")
    refused(enters(d, "anna", SECRETS["anna"]), "anna")
    equal(enters(d, "bert", "another"), None, "the new password")
    equal(inside.ask("SELECT 1").value, "1", "who was in is in")
    inside.close()
    os.unlink(path)
    try:
        d.console("RELOAD")
        check(False, "reloaded without the file")
    except ServerError as e:
        check("No such file" in e.detail, e.detail)
    equal(enters(d, "bert", "another"), None, "the old file is in force")
    write_file(path, {"bert": "another"})


@test
def ends_meanwhile(t):
    """pgwithd ends well while it makes verifiers of many passwords in clear, and a client that needs one comes first"""
    many = {"user%d" % i: "secret %d" % i for i in range(400)}
    path = write_file(t.path("many.txt"), many)
    for i in range(4):
        d = daemon(t, {"auth_file": path, "log_level": "info"})
        if i % 2:
            started = time.monotonic()
            equal(enters(d, "user399", "secret 399"), None, "the last of them")
            note("let in after %.3f s" % (time.monotonic() - started))
        d.stop()


@test
def as_pgbouncer(t):
    """PgBouncer and pgwithd let in the same clients by the same userlist.txt, but for an empty password, as PostgreSQL"""
    bouncer = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
    if not os.access(bouncer, os.X_OK):
        unavailable("no pgbouncer")
    d = daemon(t, options={"auth_file": None, "auth_pool": None, "auth": "peer"})
    path = write_file(t.path("list.txt"), {"anna": verifier(t, "anna"), "bert": 'a "quoted" one', "none": ""},
                      more='"dora"   "dora\'s" trailing\n\n  ; another comment\n', mode=0o640)
    d.reload({"auth": "scram-sha-256", "auth_file": path, "auth_delay": "0"})
    ini = t.path("pgbouncer.ini")
    with open(ini, "w") as f:
        f.write("[databases]\ndb = host=%s port=%d dbname=%s user=postgres\n[pgbouncer]\nlisten_addr =\nunix_socket_dir = %s\n"
                "listen_port = 6543\nauth_type = scram-sha-256\nauth_file = %s\n"
                % (t.cluster.sockets, t.cluster.port, t.database, t.directory, path))
    os.chmod(t.directory, 0o777)
    user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []
    if user:
        shutil.chown(path, "nobody", "nogroup")
    log = open(t.path("pgbouncer.log"), "w")
    p = subprocess.Popen([*user, bouncer, ini], stdout=log, stderr=log)
    t.defer(log.close)
    t.defer(p.wait)
    t.defer(p.terminate)
    wait_until(lambda: listens(os.path.join(t.directory, ".s.PGSQL.6543")), 10, "PgBouncer listens")

    def at_pgbouncer(user, password):
        try:
            wire.Client(t.directory, 6543, "db", user, password=password).close()
        except ServerError as e:
            return e
        return None
    for name, password in (("anna", SECRETS["anna"]), ("bert", 'a "quoted" one'), ("dora", "dora's"), ("anna", "x"), ("bert", ""),
                           ("none", "x"), ("stranger", "x")):
        equal((enters(d, name, password) is None), (at_pgbouncer(name, password) is None), "%s with %r" % (name, password))


# ---- handover ----------------------------------------------------------------------------------------


@test
def handover(t):
    """a restart that hands over: who was in stays in; a login in the middle ends well or is told; counts and salts stay"""
    d = daemon(t, supervised=True)
    inside = d.connect(user="anna", password=SECRETS["anna"])
    refused(enters(d, "bert", "x"), "bert")
    salt = challenge(d, "stranger")["s"]
    half = d.connect(user="anna", login=False)
    half.send(wire.startup_packet(half.params))
    half.read()
    scram = wire.Scram(SECRETS["anna"])
    half.send(wire.message("p", scram.first()))
    _, body = half.read()
    d.process.send_signal(signal.SIGTERM)
    wait_until(lambda: d.log_has("SIGTERM"), 5, "the handover begins")
    half.send(wire.message("p", scram.final(body[4:])))
    half.read()
    d.wait_end(20)
    d._console = None
    d.start_next()
    half.let_in()
    equal(half.ask("SELECT 3").value, "3", "the login in the middle")
    equal(inside.ask("SELECT 4").value, "4", "who was in")
    equal({c["auth"] for c in d.clients()}, {"scram-sha-256"}, "how they came in")
    equal([(r["role"], r["wrong_passwords"]) for r in d.show("LOGINS")], [("bert", "1")], "the counts")
    equal(challenge(d, "stranger")["s"], salt, "the salt of an unknown role")
    equal(enters(d, "bert", SECRETS["bert"]), None, "a new client")
    for c in (half, inside):
        c.close()


@test
def handover_does_not_wait(t):
    """wrong passwords that are not answered yet do not keep a handover waiting"""
    d = daemon(t, {"auth_delay": "30s", "login_timeout": "1min"}, supervised=True)
    waiting = d.connect(user="anna", login=False, password="x")
    thread = threading.Thread(target=lambda: expect_refusal(waiting, "anna"))
    thread.start()
    wait_until(lambda: any(r["state"] == "password" for r in d.show("CLIENTS")) and d.show("LOGINS"), 5, "it waits")
    d.console_close()
    started = time.monotonic()
    d.end()
    took = time.monotonic() - started
    check(took < 4 * slow_factor(), "took %.2f s" % took)
    thread.join(10)
    check(not thread.is_alive(), "the client was told")
    d.start_next()
    waiting.close()


def expect_refusal(c, user):
    try:
        c.login()
    except ServerError as e:
        refused(e, user)


# ---- drivers -----------------------------------------------------------------------------------------

# Each prints the answer of SELECT 42, by the arguments socket folder, port, database, user, password.
DRIVERS = {
    "psycopg 3": [sys.executable, "-c", """
import psycopg, sys
h, p, d, u, w = sys.argv[1:]
print(psycopg.connect(host=h, port=p, dbname=d, user=u, password=w).execute("SELECT 42").fetchone()[0])"""],
    "psycopg2": [sys.executable, "-c", """
import psycopg2, sys
h, p, d, u, w = sys.argv[1:]
c = psycopg2.connect(host=h, port=p, dbname=d, user=u, password=w).cursor()
c.execute("SELECT 42")
print(c.fetchone()[0])"""],
    "asyncpg": [sys.executable, "-c", """
import asyncio, asyncpg, sys
h, p, d, u, w = sys.argv[1:]
async def main():
    c = await asyncpg.connect(host=h, port=int(p), database=d, user=u, password=w)
    print(await c.fetchval("SELECT 42"))
    await c.close()
asyncio.run(main())"""],
    "node-postgres": ["node", "-e", """
const { Client } = require('pg');
const [h, p, d, u, w] = process.argv.slice(1);
(async () => {
	const c = new Client({ host: h, port: +p, database: d, user: u, password: w });
	await c.connect();
	console.log((await c.query('SELECT 42 AS x')).rows[0].x);
	await c.end();
})().catch((e) => { console.error(e.code, e.message); process.exit(1); });"""],
    "DBD::Pg": ["perl", "-MDBI", "-e", """
my ($h, $p, $d, $u, $w) = @ARGV;
my $c = DBI->connect("dbi:Pg:host=$h;port=$p;dbname=$d", $u, $w, { RaiseError => 1, PrintError => 0 });
print $c->selectrow_array('SELECT 42'), "\\n";"""],
    "Ruby pg": ["ruby", "-rpg", "-e", """
h, p, d, u, w = ARGV
puts PG.connect(host: h, port: p, dbname: d, user: u, password: w).exec('SELECT 42').getvalue(0, 0)"""],
    "PHP pgsql": ["php", "-r", """
[, $h, $p, $d, $u, $w] = $argv;
$c = @pg_connect("host=$h port=$p dbname=$d user=$u password='" . addslashes($w) . "'");
if (!$c) { fwrite(STDERR, error_get_last()['message']); exit(1); }
echo pg_fetch_result(pg_query($c, 'SELECT 42'), 0, 0), "\\n";"""],
    "Pgtcl": ["tclsh", "DRIVER.tcl"],
}
PGTCL = """package require Pgtcl
lassign $argv h p d u w
set c [pg_connect -conninfo "host=$h port=$p dbname=$d user=$u password='[string map {' {\\'}} $w]'"]
puts [pg_result [pg_exec $c {SELECT 42}] -getTuple 0]
"""


def node_path():
    """As drivers_matrix.py finds it, which installs it."""
    found = ["/usr/share/nodejs"] if os.path.isdir("/usr/share/nodejs/pg") else glob.glob(
        os.path.expanduser("~/.cache/pgwith-tests/node-pg-*/node_modules"))
    return {"NODE_PATH": found[0]} if found else {}


@test(timeout=120)
def drivers(t):
    """psycopg 3, psycopg2, asyncpg, node-postgres, DBD::Pg, Ruby, PHP, Tcl, as they are: right, wrong and other passwords"""
    d = daemon(t)
    with open(t.path("DRIVER.tcl"), "w") as f:
        f.write(PGTCL)
    tried = []
    for name, argv in DRIVERS.items():
        if shutil.which(argv[0]) is None:
            continue
        argv = [t.path(a) if a.endswith(".tcl") else a for a in argv]
        for user in ("anna", "bert"):
            for password, good in ((SECRETS[user], True), ("wrong", False)):
                code, out, err = child.run([*argv, d.sockets, str(d.port), "db", user, password], env=node_path())
                if re.search("No module named|Cannot find module|Can't locate|cannot load such file|undefined function|can't find package",
                             out + err):
                    break
                said = out + err
                equal((code == 0, out.strip() if good else ""), (good, "42" if good else ""), "%s as %s: %s" % (name, user, said))
                check(good or 'password authentication failed for user "%s"' % user in said, "%s is told: %s" % (name, said))
                tried.append(name)
    note("tried: " + ", ".join(sorted(set(tried))))
    check("psycopg 3" in tried and "asyncpg" in tried or not tried, "the usual ones")
    library = os.environ.get("PGWITH_TEST_LIBPQ18")
    if library:
        code, out, err = child.run([t.cluster.program("psql"), "-XAtc", "SELECT 42", d.dsn(user="anna")],
                                   env={"LD_LIBRARY_PATH": library, "PGPASSWORD": SECRETS["anna"]})
        equal((code, out.strip()), (0, "42"), "psql with libpq 18: %s" % err)
        note("and libpq 18")


# ---- containers --------------------------------------------------------------------------------------


def doctor(d, conf=None):
    code, out, err = child.run([program("pgwith"), "-S", d.sockets, "-p", str(d.port), "doctor", "--config", conf or d.conf, "--json"],
                               timeout=60)
    check(out.startswith("["), "doctor: %d %s%s" % (code, out, err))
    return [(f["level"], f["subject"], f["finding"]) for f in json.loads(out)]


def full_doctor(d):
    code, out, err = child.run([program("pgwith"), "-S", d.sockets, "-p", str(d.port), "doctor", "--config", d.conf, "--json"], timeout=60)
    check(out.startswith("["), "doctor: %d %s%s" % (code, out, err))
    return json.loads(out)


def found(findings, level, subject, words):
    return [f for f in findings if f[0] == level and f[1] == subject and re.search(words, f[2])]


@test
def containers(t):
    """pgwithd in a user and pid namespace: a client of another user is uid 65534 and pid 0; doctor explains; a password helps"""
    if os.geteuid() != 0 or subprocess.run(["unshare", "--user", "--map-root-user", "--pid", "--fork", "true"],
                                           capture_output=True).returncode != 0:
        raise Skip("no user namespaces")
    spare = daemon(t)  # writes the configuration, and shows how a daemon outside sees the same clients
    spare.stop()
    conf = t.path("inside.conf")
    with open(spare.conf) as f:
        text = f.read().replace("auth = scram-sha-256", "auth = peer, scram-sha-256").replace("allow = *", "allow =")
    with open(conf, "w") as f:
        f.write(text)
    log = open(t.path("inside.log"), "w")
    t.defer(log.close)
    p = subprocess.Popen(["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc",
                          program("pgwithd"), "-c", conf], stdout=log, stderr=log, env=dict(os.environ, **SANITIZE_ENV))
    t.defer(p.wait)
    t.defer(p.kill)
    wait_until(lambda: "pgwithd: ready" in open(t.path("inside.log")).read(), 10 * slow_factor(), "ready")
    with being(61001):
        c = spare.connect(user="anna", login=False, password=SECRETS["anna"])
        wrong = spare.connect(user="anna", login=False, password="x")
    c.login()
    expect_refusal(wrong, "anna")
    equal(c.ask("SELECT 1").value, "1", "by the password")
    rows = [r for r in spare.show("CLIENTS") if r["user"] == "anna"]
    equal([(r["uid"], r["remote_pid"], r["auth"]) for r in rows], [("65534", "0", "scram-sha-256")], "what pgwithd sees")
    equal([(r["uid"], r["role"], r["pid"], r["program"]) for r in spare.show("LOGINS")], [("65534", "anna", "0", "")], "LOGINS")
    findings = doctor(spare, conf)
    check(found(findings, "note", "pgwithd", r"user namespace; of its uids, 0 is 0 outside.*uid 65534"), "the map: %s" % findings)
    check(found(findings, "warning", "clients", r"1 of \d have uid 65534"), "the foreigner: %s" % findings)
    check(found(findings, "note", "clients", r"pid namespace that pgwithd does not see"), "pid 0: %s" % findings)
    check(found(findings, "warning", "clients", r"root in a container"), "root, whom pgwithd takes for its own: %s" % findings)
    c.close()
    wrong.close()
    spare.console_close()


@test
def root_in_a_container(t):
    """doctor: root of a container without a user namespace is root to pgwithd"""
    if os.geteuid() != 0 or subprocess.run(["unshare", "--pid", "--fork", "true"], capture_output=True).returncode != 0:
        raise Skip("no pid namespaces")
    d = daemon(t, {"auth": "peer, scram-sha-256", "allow": ""})
    equal(found(doctor(d), "warning", "clients", "root in a container"), [], "nobody yet")
    p = subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", t.cluster.program("psql"), "-XAtc", "SELECT pg_sleep(60)",
                          d.dsn(user="anna")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    t.defer(p.wait)
    t.defer(p.kill)
    wait_until(lambda: [c["auth"] for c in d.clients()] == ["peer"], 10, "it is in, without a password")
    check(found(doctor(d), "warning", "clients", r"1 of \d are root in a container"), "doctor says so")


@test
def doctor_of_lists(t):
    """doctor: a pool that names only users of the system while passwords are asked for; one that names nobody"""
    d = daemon(t, users="postgres")
    check(found(doctor(d), "warning", "pool db", "nobody may use it"), "only users of the system")
    d.reload({"auth": "peer", "auth_file": t.path("userlist.txt")}, {"db": {"conninfo": t.conninfo(), "users": "nobody"}})
    check(found(doctor(d), "warning", "pool db", r"users names nobody \(uid 65534\)"), "nobody")
    d.reload({"auth": "scram-sha-256", "auth_file": t.path("userlist.txt")}, {"db": {"conninfo": t.conninfo(), "users": "role:anna"}})
    equal([f for f in doctor(d) if f[0] == "warning" and f[1] == "pool db"], [], "good")


@test
def doctor_of_passwords(t):
    """doctor: auth_query is tried; who may use a pool where only passwords count; an auth_file that cannot be used"""
    t.sql("CREATE ROLE %s LOGIN" % t.database)
    t.defer(lambda: t.sql("DROP OWNED BY %s; DROP ROLE %s" % (t.database, t.database)))
    t.cluster.without_password("doctor takes no password of the environment")
    admin = {"conninfo": t.conninfo(user=t.database), "size": 2, "users": "role:nobody"}
    pools = {"db": {"conninfo": t.conninfo(), "size": 2, "users": "*"}, "none": {"conninfo": t.conninfo(), "size": 1}, "admin": admin}
    d = daemon(t, {"auth_pool": "admin"}, pools)

    def tells(level, subject, words):
        rows = full_doctor(d)
        check([r for r in rows if (r["level"], r["subject"]) == (level, subject) and re.search(words[0], r["finding"]) and
               re.search(words[1], r["what_to_do"] or "")], "%s, %s: %r in %s" % (level, subject, words, json.dumps(rows, indent=1)))

    tells("problem", "pool admin", ("auth_query fails.*permission denied for table pg_authid", 'GRANT SELECT ON pg_authid TO "%s"' % t.database))
    check(enters(d, "carla", "x").sqlstate == "57P03", "and so it is")
    said = [f for f in doctor(d) if f[1] in ("pool db", "pool none")]
    check(not [f for f in said if "of this machine" in f[2] or "user of pgwithd may" in f[2]], "it is no matter who the user is: %s" % said)
    check(found(said, "note", "pool db", "every role with a password") and
          found(said, "note", "pool none", "password of the role"), "it is the role that counts: %s" % said)
    t.sql("GRANT SELECT ON pg_authid TO %s" % t.database)
    equal(found(doctor(d), "problem", "pool admin", ""), [], "granted")
    tells("ok", "pool admin", ("auth_query can be run", ""))
    for query, words in (("SELECT 'x' WHERE $1::text IS NOT NULL", ("gives a password for a role that does not exist", r"\$1")),
                         ("SELECT nonsense FROM pg_authid WHERE rolname = $1", ("auth_query fails.*nonsense", "correct auth_query"))):
        d.rewrite({"auth": "scram-sha-256", "auth_file": t.path("userlist.txt"), "auth_pool": "admin", "auth_query": query}, pools)
        tells("problem" if "nonsense" in query else "warning", "pool admin", words)
    d.rewrite({"auth": "peer", "auth_pool": "admin", "auth_query": "SELECT nonsense"}, pools)
    equal([f for f in doctor(d) if "auth_query" in f[2]], [f for f in doctor(d) if "it does not run with" in f[2]], "nobody asks")
    path = t.path("userlist.txt")
    for text, mode, words in (('"bert" "x"\n', 0o644, ("open to others", "chmod 640")),
                              ('"bert" "md5%s"\n' % ("a" * 32), 0o600, ("md5 hash", "password_encryption")),
                              (None, 0, ("cannot open: No such file", "make the file"))):
        d.rewrite({"auth": "scram-sha-256", "auth_file": path}, pools)
        if text is None:
            os.unlink(path)
        else:
            with open(path, "w") as f:
                f.write(text)
            os.chmod(path, mode)
        tells("problem", "configuration", words)


# ---- secrets -----------------------------------------------------------------------------------------

WORDS = ("PASSWORD-IN-CLEAR-xyzzy", "ANOTHER-plugh-SECRET")


@test(timeout=120)
def nothing_is_told(t):
    """no password, verifier, key or proof in the log at debug level, SHOW, traces, /metrics, doctor, and a core file"""
    roles(t)
    secret = verifier(t, "anna")
    parts = re.split(r"[$:]", secret)
    path = write_file(t.path("secrets.txt"), {"anna": secret, "bert": WORDS[0]})
    pools = {"db": {"conninfo": t.conninfo(), "size": 2, "users": "*"}, "admin": {"conninfo": t.conninfo(), "size": 1}}
    t.sql("CREATE TABLE secrets (who text, secret text)")
    t.sql("INSERT INTO secrets VALUES ('dora', '%s')" % WORDS[1])
    d = daemon(t, {"auth_file": path, "auth_pool": "admin", "auth_query": "SELECT secret FROM secrets WHERE who = $1",
                   "log_scopes": "on"}, pools=pools)
    inside = [d.connect(user=u, password=p) for u, p in (("anna", SECRETS["anna"]), ("bert", WORDS[0]), ("dora", WORDS[1]))]
    for user in ("anna", "bert", "dora", "stranger"):
        refused(enters(d, user, "WRONG-PASSWORD-frotz"), user)
    for c in inside:
        equal(c.ask("SELECT 1").value, "1", "is in")
    said = [d.log_text()]
    for table in ("CLIENTS", "SERVERS", "CONFIG", "LOGINS", "ERRORS", "STATE", "SOCKETS", "FDS", "MEM", "USERS", "LISTS", "STATS",
                  "TOTALS", "METRICS", "POOLS", "DATABASES", "HELD", "WAITS", "HEALTH"):
        with contextlib.suppress(ServerError):
            said.append(repr(d.show(table)))
    r = child.run([program("pgwith"), "-S", d.sockets, "-p", str(d.port), "doctor", "--config", d.conf])
    said.append(r[1] + r[2])
    secrets = [*WORDS, SECRETS["anna"], "WRONG-PASSWORD-frotz", *(p for p in parts if len(p) > 20)]
    for text in said:
        for word in secrets:
            check(word not in text, "%r is told: %s" % (word, text[max(0, text.find(word) - 200):text.find(word) + 50]))
    with open("/proc/%d/cmdline" % d.pid) as f, open("/proc/%d/environ" % d.pid) as g:
        text = f.read() + g.read()
        check(not any(w in text for w in secrets), "/proc tells nothing")
    for c in inside:
        c.close()
    if sanitized():
        note("no core: a sanitized program has too large a one")
        return
    if not shutil.which("gcore"):
        note("no gcore: no core was looked at")
        return
    code, out, err = child.run(["gcore", "-o", t.path("core"), str(d.pid)], timeout=60)
    cores = glob.glob(t.path("core.*"))
    equal((code, len(cores)), (0, 1), "gcore: %s%s" % (out, err))
    with open(cores[0], "rb") as f:
        core = f.read()
    os.unlink(cores[0])
    check(len(core) > 1 << 20, "it is a core")
    for word in (WORDS[0], SECRETS["anna"], "WRONG-PASSWORD-frotz", *parts[3:]):
        check(word.encode() not in core, "the core has %r" % word)


main(cluster={"hba": HBA, "connections": 60})
