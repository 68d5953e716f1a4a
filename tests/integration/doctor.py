"""pgwith doctor as root, of a daemon that runs as another user: it tells what that user would meet."""

import json
import os
import pwd
import shutil
import socket
import subprocess
import threading

from pgwtest import Skip, check, child, equal, main, only_local, test, wait_until, wire
from pgwtest.daemon import SANITIZE_ENV, program

USER = "daemon"  # a system user of every Debian

HBA = """local all rejected reject
local all withpass scram-sha-256
local all %s peer
local all otherpeer peer
""" % USER


def roles(t):
    only_local("rules of its own")
    if os.geteuid() != 0:
        raise Skip("only root can look as another user")
    for sql in ("CREATE ROLE %s LOGIN" % USER, "CREATE ROLE otherpeer LOGIN", "CREATE ROLE rejected LOGIN",
                "CREATE ROLE nologin NOLOGIN", "CREATE ROLE withpass LOGIN PASSWORD 'right'",
                "CREATE ROLE full LOGIN CONNECTION LIMIT 0", "CREATE ROLE noconnect LOGIN"):
        try:
            t.cluster.sql(sql, "postgres")
        except wire.ServerError as e:
            equal(e.sqlstate, "42710", sql)
    t.sql('REVOKE CONNECT ON DATABASE "%s" FROM PUBLIC' % t.database)
    t.sql('GRANT CONNECT ON DATABASE "%s" TO %s, otherpeer, rejected, nologin, withpass, "full"' % (t.database, USER))


def start(t, pools, env=None, prefix=None):
    """pgwithd as USER; its configuration is root's, but may be read. `prefix`: a command of root's that starts it as USER."""
    os.chmod(t.directory, 0o755)
    os.chmod(os.path.dirname(t.directory), 0o755)
    directory = t.path("run")
    os.makedirs(directory, exist_ok=True)
    shutil.chown(directory, USER, USER)
    binary = os.path.join(directory, "pgwithd")
    shutil.copy(program("pgwithd"), binary)
    os.chmod(binary, 0o755)
    conf = t.path("pgwith.conf")
    with open(conf, "w") as f:
        f.write("[pgwith]\nlisten = %s\nadmin_users = postgres\n" % directory)
        for name, options in pools.items():
            f.write("[pool %s]\n" % name)
            for k, v in options.items():
                f.write("%s = %s\n" % (k, v))
    os.chmod(conf, 0o644)
    p = child.start([*(prefix or []), binary, "-c", conf], t.path("pgwithd.log"), env=dict(SANITIZE_ENV, **(env or {})),
                    user=None if prefix else USER)
    t.defer(p.wait)
    t.defer(p.terminate)

    def answers():
        check(p.poll() is None, "it runs: " + open(t.path("pgwithd.log")).read())
        try:
            wire.Client(directory, 6432, "pgwith").close()
            return True
        except (OSError, wire.Closed):
            return False
    wait_until(answers, 10, "it answers")
    return conf, directory


def doctor(conf, *args, **env):
    status, out, err = child.run([program("pgwith"), "doctor", "-c", conf, "--json", "--timeout", "3s", *args],
                                 env=dict(SANITIZE_ENV, **env))
    return status, json.loads(out), err


def of(findings, pool, levels=("problem", "warning")):
    return [f for f in findings if f["subject"] == "pool " + pool and f["level"] in levels]


def own(path, mode, user=USER, text=""):
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)
    shutil.chown(path, user, user)
    return path


@test
def answers_of_postgresql(t):
    """each way in which PostgreSQL lets nobody in, as the daemon's user meets it, with its cure"""
    roles(t)
    database = t.database
    cases = {  # pool: conninfo, words of the finding (None: no problem), words of the cure
        "peer": (dict(user=USER), None, None),
        "byname": (dict(user=None), None, None),  # libpq's default: the daemon's user
        "otherpeer": (dict(user="otherpeer"), "eer authentication failed", "system user"),
        "rejected": (dict(user="rejected"), "pg_hba.conf rejects", "reject"),
        "nologin": (dict(user="nologin"), "not permitted to log in", "LOGIN"),
        "norole": (dict(user="nosuchrole"), "does not exist", "CREATE ROLE"),
        "nopass": (dict(user="withpass"), "no password supplied", "passfile"),
        "badpass": (dict(user="withpass", password="wrong"), "28P01", "correct the password"),
        "pass": (dict(user="withpass", password="right"), None, None),
        "nodb": (dict(user="postgres", dbname="nosuchdb"), "3D000", "create the database"),
        "noconnect": (dict(user="noconnect"), "42501", "GRANT CONNECT"),
        "full": (dict(user="full"), "53300", "CONNECTION LIMIT"),
        "badoption": (dict(user="postgres", options="-c nosuch=1"), "nosuch", "options"),
        "notls": (dict(user="postgres", host="127.0.0.1", port=1, sslmode="require"), "refused", "nobody listens"),
        "gone": (dict(user="postgres", host=t.path("nowhere")), "No such file", "start PostgreSQL"),
        "service": (dict(user=None, service="nosuchservice"), "nosuchservice", "service"),
    }
    pools = {name: {"conninfo": t.conninfo(**dict({"dbname": database}, **more)), "size": 1} for name, (more, _, _) in cases.items()
             if name != "service"}  # with that one no daemon starts
    conf, directory = start(t, pools)
    status, findings, err = doctor(conf)
    equal(status, 1, "problems")
    for name, (_, words, cure) in cases.items():
        if name == "service":
            continue
        there = of(findings, name)
        if words is None:
            equal(there, [], "pool " + name)
            continue
        equal(len(there), 1, "one finding for %s: %s" % (name, there))
        check(there[0]["level"] == "problem" and words in there[0]["finding"], "%s: %s" % (name, there))
        check(cure in there[0]["what_to_do"], "the cure for %s: %s" % (name, there))
        check("LOCATION" not in there[0]["finding"] and ".c:" not in there[0]["finding"], there)
    # and PostgreSQL's language is not what decides
    check("28P01" in of(findings, "badpass")[0]["finding"], "SQLSTATE")
    # what the daemon itself has met is shown, too
    for pool in ("badpass", "gone"):
        try:
            with wire.Client(directory, 6432, pool) as c:
                c.sql("SELECT 1")
        except (wire.ServerError, wire.Closed):
            pass
    _, findings, _ = doctor(conf)
    for pool in ("badpass", "gone"):
        check([f for f in of(findings, pool) if "pgwithd's own last attempt" in f["finding"]], "of %s" % pool)


@test
def no_entry(t):
    """no line of pg_hba.conf, PostgreSQL starting, a server that closes: each with its cure"""
    roles(t)
    path = t.path("s")
    os.mkdir(path)
    os.chmod(path, 0o755)
    replies = {5001: ("28000", 'no pg_hba.conf entry for host "[local]", user "x", database "y", no encryption', "add a line"),
               5002: ("57P03", "the database system is starting up", "wait until"),
               5003: ("57P03", "das Datenbanksystem startet", "wait until"),
               5004: ("28000", "kein Eintrag in pg_hba.conf", "pg_hba.conf"),
               5005: ("28P01", "Passwort-Authentifizierung fehlgeschlagen", "correct the password"),
               5006: ("53300", "sorry, too many clients already", "max_connections"),
               5007: ("55000", 'database "y" is not currently accepting connections', "ALLOW_CONNECTIONS"),
               5008: ("42501", "keine Berechtigung", "GRANT CONNECT"),
               5009: (None, "server closed the connection", "log")}

    def serve(listener, reply):
        while True:
            try:
                c, _ = listener.accept()
            except OSError:
                return
            with c:
                c.recv(4096)
                if reply[0]:
                    body = b"SFATAL\0VFATAL\0C%s\0M%s\0Fauth.c\0L1\0Rx\0\0" % (reply[0].encode(), reply[1].encode())
                    c.sendall(b"E" + (len(body) + 4).to_bytes(4, "big") + body)
    for port, reply in replies.items():
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(os.path.join(path, ".s.PGSQL.%d" % port))
        os.chmod(os.path.join(path, ".s.PGSQL.%d" % port), 0o777)
        listener.listen()
        t.defer(listener.close)
        threading.Thread(target=serve, args=(listener, reply), daemon=True).start()
    conf, _ = start(t, {"p%d" % port: {"conninfo": "host=%s port=%d user=x dbname=y" % (path, port)} for port in replies})
    _, findings, _ = doctor(conf)
    for port, (sqlstate, words, cure) in replies.items():
        there = of(findings, "p%d" % port)
        equal(len(there), 1, "%s: %s" % (words, there))
        check(words in there[0]["finding"], "%s: %s" % (words, there))
        check(cure in there[0]["what_to_do"], "%s: %s" % (words, there))


@test
def files(t):
    """passfiles, certificates and keys as the daemon's user may use them, not as root may"""
    roles(t)
    good = own(t.path("good"), 0o600, text="*:*:*:withpass:right\n")
    cases = {  # name: keyword, path, words or None
        "rootpass": ("passfile", own(t.path("rootpass"), 0o600, "root", "*:*:*:withpass:right\n"), "cannot be read by daemon"),
        "openpass": ("passfile", own(t.path("openpass"), 0o644, USER, "*:*:*:withpass:right\n"), "can be read by others"),
        "goodpass": ("passfile", good, None),
        "nopass": ("passfile", t.path("nopass"), "No such file"),
        "dirpass": ("passfile", t.directory, "no plain file"),
        "rootca": ("sslrootcert", own(t.path("rootca"), 0o600, "root"), "cannot be read by daemon"),
        "noca": ("sslrootcert", t.path("noca"), "No such file"),
        "goodca": ("sslrootcert", own(t.path("goodca"), 0o644, "root"), None),
        "rootkey": ("sslkey", own(t.path("rootkey"), 0o600, "root"), "cannot be read by daemon"),
        "openkey": ("sslkey", own(t.path("openkey"), 0o644, USER), "can be used by others"),
        "groupkey": ("sslkey", own(t.path("groupkey"), 0o640, USER), "can be used by others"),
        "goodkey": ("sslkey", own(t.path("goodkey"), 0o600, USER), None),
        "rootcert": ("sslcert", own(t.path("rootcert"), 0o600, "root"), "cannot be read by daemon"),
        "rootcrl": ("sslcrl", own(t.path("rootcrl"), 0o600, "root"), "cannot be read by daemon"),
    }
    hidden = t.path("hidden")
    os.mkdir(hidden, 0o700)
    cases["hidden"] = ("passfile", own(os.path.join(hidden, "pass"), 0o600, USER, "x"), "cannot be read by daemon")
    pools = {name: {"conninfo": t.conninfo(**{"user": "withpass" if keyword == "passfile" else USER, keyword: path})}
             for name, (keyword, path, _) in cases.items()}
    conf, _ = start(t, pools)
    _, findings, _ = doctor(conf)
    for name, (keyword, path, words) in cases.items():
        there = [f for f in of(findings, name) if keyword in f["finding"]]
        if words is None:
            equal(of(findings, name), [], name)
        else:
            check(len(there) == 1 and there[0]["level"] == "problem" and words in there[0]["finding"] and path in there[0]["finding"],
                  "%s: %s" % (name, of(findings, name)))


@test
def its_environment(t):
    """PGPASSFILE, PGSERVICEFILE and HOME are the daemon's, and its configuration is read as its user reads it"""
    roles(t)
    passfile = own(t.path("pass"), 0o600, text="*:*:*:withpass:right\n")
    service = own(t.path("service"), 0o600, text="[s]\nuser=withpass\nhost=%s\nport=%s\ndbname=%s\n" % (t.cluster.sockets, t.cluster.port, t.database))
    secret = own(t.path("secret"), 0o600, text="right")
    conf, _ = start(t, {"a": {"conninfo": t.conninfo(user="withpass")}, "s": {"conninfo": "service=s"},
                        "f": {"conninfo": t.conninfo(user="withpass"), "password": "file:" + secret}},
                    env={"PGPASSFILE": passfile, "PGSERVICEFILE": service})
    shutil.chown(conf, "root", USER)
    os.chmod(conf, 0o640)
    status, findings, _ = doctor(conf, PGPASSFILE="/nonexistent")
    for pool in ("a", "s", "f"):
        equal(of(findings, pool), [], pool)
    equal(status, 0, "no problem: %s" % [f for f in findings if f["level"] == "problem"])
    shutil.chown(secret, "root", "root")
    status, findings, _ = doctor(conf)
    check([f for f in findings if f["level"] == "problem" and "read by daemon" in f["finding"] and secret in f["finding"]],
          "the secret cannot be read again: %s" % findings)
    os.chmod(conf, 0o600)
    _, findings, _ = doctor(conf)
    check([f for f in findings if f["level"] == "problem" and "read by daemon" in f["finding"] and "cannot open" in f["finding"]],
          "the file cannot be read again")


@test
def whose_pools(t):
    """a pool without a user in its conninfo is that of the daemon's user, or of its environment, not of root who asks"""
    roles(t)
    for env, login in (({}, USER), ({"PGUSER": "otherpeer"}, "otherpeer")):
        conf, _ = start(t, {"byname": {"conninfo": t.conninfo(user=None)}, "open": {"conninfo": t.conninfo(user=None), "users": "*"}}, env)
        _, findings, _ = doctor(conf)
        for pool, words in (("byname", 'system user "%s"'), ("open", 'is "%s" in PostgreSQL')):
            said = [f["finding"] for f in findings if f["subject"] == "pool " + pool and ("users" in f["finding"])]
            check(len(said) == 1 and words % login in said[0], "%s, %s: %s" % (pool, env, said))
        t.undo()


SPY = """#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
__attribute__((constructor)) static void
loaded(void)
{
	char line[32];
	int fd = open("%s", O_WRONLY | O_APPEND);

	if (write(fd, line, snprintf(line, sizeof line, "%%d\\n", (int)geteuid())) < 0)
		return;
	close(fd);
}
"""
NSS_LIBRARY = "/lib/x86_64-linux-gnu/libnss_hesiod.so.2"


@test
def its_view_of_files(t):
    """what the daemon's user shows doctor in its view of the file system is never executed as root"""
    roles(t)
    if not os.path.exists(NSS_LIBRARY) or subprocess.run(["unshare", "-m", "true"], stderr=subprocess.DEVNULL).returncode:
        raise Skip("no name spaces here, or no " + NSS_LIBRARY)
    who = own(t.path("who"), 0o666)
    source = own(t.path("spy.c"), 0o644, "root", SPY % who)
    library = t.path("spy.so")
    subprocess.run([os.environ.get("CC", "cc").split()[0], "-shared", "-fPIC", "-o", library, source], check=True)
    names = own(t.path("nsswitch.conf"), 0o644, "root", "passwd: hesiod files\ngroup: files\nhosts: files\n")
    conf, directory = start(t, {"a": {"conninfo": t.conninfo(user=USER)}},
                            prefix=["unshare", "-m", "sh", "-c", 'mount --bind "$1" /etc/nsswitch.conf && mount --bind "$2" "$3" && shift 3 && '
                                    "exec setpriv --reuid=%s --regid=%s --clear-groups -- \"$@\"" % (USER, USER), "sh", names, library, NSS_LIBRARY])
    with open(who, "w"):
        pass
    _, findings, _ = doctor(conf)
    equal(of(findings, "a"), [], "it has looked")
    with open(who) as f:
        equal(set(f.read().split()) - {str(pwd.getpwnam(USER).pw_uid)}, set(), "users that have loaded the library")


@test
def whoever_listens(t):
    """in a directory where everybody can make a socket, nobody's password is shown to whoever has made it"""
    roles(t)
    for mode, owner, looks in ((0o755, "root", True), (0o755, USER, True), (0o1777, "root", False), (0o1777, USER, False)):
        conf, directory = start(t, {"a": {"conninfo": t.conninfo(user="withpass", password="right")}})
        shutil.chown(conf, "root", "root")
        shutil.chown(directory, owner, owner)
        os.chmod(directory, mode)
        _, findings, _ = doctor(conf)
        looked = [f for f in findings if f["subject"] == "pool a" and "answers" in f["finding"]]
        warned = [f for f in findings if f["level"] == "warning" and "everybody may listen" in f["finding"] and USER in f["finding"]]
        equal((bool(looked), bool(warned)), (looks, not looks), "mode %o of %s: %s" % (mode, owner, findings))
        # its own configuration says that it is its own daemon
        shutil.chown(conf, USER, USER)
        check([f for f in doctor(conf)[1] if f["subject"] == "pool a" and "answers" in f["finding"]], "the owner of the file")
        os.chmod(directory, 0o755)
        shutil.chown(directory, USER, USER)
        t.undo()


@test
def administrators(t):
    """a console where everybody is an administrator is pointed out"""
    d = t.daemon(options={"allow": "", "admin_users": "boss, postgres"})
    for allow, open_to in (("", []), ("postgres", ["postgres"]), ("*", ["boss", "postgres"]), ("daemon:postgres, 1:*, app", []), ("boss, x", ["boss"])):
        d.reload({"allow": allow})
        found = [f for f in doctor(d.conf)[1] if f["subject"] == "console"]
        equal([f["level"] for f in found], ["warning"] * len(open_to), "allow = %s: %s" % (allow, found))
        check(all('"%s"' % role in f["finding"] for role, f in zip(open_to, found)), found)


@test
def not_as_root(t):
    """who is neither root nor the daemon's user is told that this is not what the daemon meets"""
    roles(t)
    conf, _ = start(t, {"a": {"conninfo": t.conninfo(user=USER)}})
    tool = t.path("pgwith")
    shutil.copy(program("pgwith"), tool)
    os.chmod(tool, 0o755)
    status, out, err = child.run([tool, "doctor", "-c", conf, "--json"], env=dict(SANITIZE_ENV), user="65534")
    check(out, err)
    findings = json.loads(out)
    check([f for f in findings if "it runs as daemon" in f["finding"]], "it is said: %s" % findings)


@test
def who_may_come_in(t):
    """pools that are open to everybody, and users who are not there, are pointed out"""
    pools = {"open": {"users": "*"}, "named": {"users": "%s, @%s, 12345, @12345" % (USER, USER)}, "wrong": {"users": "nosuchuser, @nosuchgroup"},
             "none": {}, "each": {"role": "client"}, "each_open": {"role": "client", "users": "*"}}
    d = t.daemon(pools={name: dict({"conninfo": t.conninfo(user="postgres")}, **o) for name, o in pools.items()}, options={"allow": ""})

    def access(options=None):
        d.reload(options or {"allow": ""})
        return {name: [(f["level"], f["finding"]) for f in doctor(d.conf)[1] if f["subject"] == "pool " + name and
                       ("users" in f["finding"] or "every user" in f["finding"])] for name in pools}
    found = access()
    equal([level for level, _ in found["open"]], ["warning"], "open")
    check("every user of this machine" in found["open"][0][1] and "postgres" in found["open"][0][1], found)
    for name in ("named", "each", "each_open"):
        equal(found[name], [], name)
    equal([level for level, _ in found["wrong"]], ["warning", "warning"], "users who are not there: %s" % found["wrong"])
    equal([level for level, _ in found["none"]], ["note"], "by default")
    for allow in ("*", "postgres", "daemon:app, postgres"):
        found = access({"allow": allow})
        for name in ("each", "each_open"):
            equal([level for level, _ in found[name]], ["warning"], "allow = %s, %s" % (allow, name))
    found = access({"allow": "daemon:*"})
    equal((found["each"], found["each_open"]), ([], []), "only one of them is anybody")


@test
def row_locks(t):
    """pgwith waits --with-server as root asks PostgreSQL as the daemon's user, as doctor does"""
    roles(t)
    conf, directory = start(t, {"db": {"conninfo": t.conninfo(user=USER), "size": 3},
                                "roles": {"conninfo": t.conninfo(user=None), "role": "client", "size": 3}})
    t.sql("CREATE TABLE jobs (id int); INSERT INTO jobs VALUES (1); GRANT ALL ON jobs TO %s" % USER)
    for pool in ("db", "roles"):
        holder, waiter = (wire.Client(directory, 6432, pool, USER, application_name=x) for x in ("holder", "waiter"))
        holder.sql("BEGIN; UPDATE jobs SET id = 1")
        waiter.sql("BEGIN")
        pid = waiter.value("SELECT pg_backend_pid()")
        waiter.send(wire.query("UPDATE jobs SET id = 2"))
        wait_until(lambda: t.value("SELECT cardinality(pg_blocking_pids(%s)) > 0" % pid) == "t", 10, "it is blocked")
        status, out, err = child.run([program("pgwith"), "-S", directory, "-U", "postgres", "waits", "--with-server", "-c", conf],
                                     env=SANITIZE_ENV)
        equal((status, err), (0, ""), "pgwith waits of " + pool)
        lines = out.splitlines()
        check(len(lines) == 3 and ", holder)" in lines[0] and ", waiter) waits" in lines[2] and "row of public.jobs" in lines[2], out)
        holder.sql("ROLLBACK")
        waiter.until_ready()
        waiter.sql("ROLLBACK")
        holder.close()
        waiter.close()
    # the role of the pool may not see when another role's transaction began, nor its state
    other, waiter = t.direct(application_name="other"), wire.Client(directory, 6432, "db", USER, application_name="waiter")
    other.sql("BEGIN; UPDATE jobs SET id = 1")
    pid = other.value("SELECT pg_backend_pid()")
    waiter.sql("BEGIN")
    blocked = waiter.value("SELECT pg_backend_pid()")
    waiter.send(wire.query("UPDATE jobs SET id = 2"))
    wait_until(lambda: t.value("SELECT cardinality(pg_blocking_pids(%s)) > 0" % blocked) == "t", 10, "it is blocked")
    out = child.run_ok([program("pgwith"), "-S", directory, "-U", "postgres", "waits", "--with-server", "-c", conf], env=SANITIZE_ENV)
    lines = out.splitlines()
    equal(lines[:2], ["* backend %s (other, role postgres)" % pid, "    holds row of public.jobs"], "of another role")
    check(lines[2].endswith(" for row of public.jobs"), out)
    other.sql("ROLLBACK")
    waiter.until_ready()
    waiter.close()
    # as a user who may be anybody, PostgreSQL is not asked
    shutil.chown(conf, "root", "root")
    shutil.chown(directory, "root", "root")
    os.chmod(directory, 0o1777)
    c = wire.Client(directory, 6432, "db", USER)
    c.sql("BEGIN; SELECT 1")
    status, out, err = child.run([program("pgwith"), "-S", directory, "-U", "postgres", "waits", "--with-server", "-c", conf],
                                 env=SANITIZE_ENV)
    equal((status, out), (1, "nobody waits\n"), "of a stranger: " + err)
    check("everybody may listen in" in err, err)
    c.close()


if __name__ == "__main__":
    main(cluster={"hba": HBA})
