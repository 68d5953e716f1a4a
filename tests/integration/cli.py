"""pgwith doctor finds what is wrong with a pgwithd on PostgreSQL, and pgwith import makes a pgbouncer.ini
into a pgwith.conf that runs the same programs."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading

import psycopg

from pgwtest import Failure, check, child, equal, main, note, test, wait_until, wire
from pgwtest.daemon import SANITIZE_ENV, program


def pgwith(*args):
    return child.run([program("pgwith"), *args], env=SANITIZE_ENV)


def doctor(d, *args, conf=None, said=""):
    """(exit status, findings)"""
    status, out, err = pgwith("doctor", "-c", conf or d.conf, "--json", *args)
    check(err == "" or said and said in err, "stderr of pgwith doctor: " + err)
    findings = json.loads(out)
    for f in findings:
        check(f["level"] in ("ok", "note", "warning", "problem"), "level: %r" % f)
        check(f["what_to_do"] or f["level"] in ("ok", "note"), "what is to be done: %r" % f)
    equal(status, int(any(f["level"] == "problem" for f in findings)), "status: %r" % findings)
    return status, findings


def found(findings, level, subject, words):
    """The one finding with these words."""
    fitting = [f for f in findings if words in f["finding"]]
    equal([(f["level"], f["subject"]) for f in fitting], [(level, subject)],
          "%r in %s" % (words, json.dumps(findings, indent=1)))
    return fitting[0]


def bad(findings):
    return [f for f in findings if f["level"] in ("warning", "problem")]


def listens(path):
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(path)
        except OSError:
            return False
    return True


@test
def doctor_well(t):
    """a good installation: nothing to complain of, everything looked at"""
    t.cluster.without_password("doctor takes no password of the environment")
    d = t.daemon(options={"allow": ""}, size=5)
    d.connect().sql("SELECT 1")
    status, findings = doctor(d)
    equal((status, bad(findings)), (0, []), "a good one")
    for subject, words in (("configuration", "1 pool"), ("socket", ".s.PGSQL"), ("pgwithd", "answers"),
                           ("descriptors", "are enough"), ("server of db", "up to 5, others have")):
        found([f for f in findings if f["subject"] == subject], "ok", subject, words)
    check([f for f in findings if f["subject"] == "pool db" and "answers; PostgreSQL" in f["finding"]], "the pool")
    status, out, _ = pgwith("doctor", "-c", d.conf)
    equal((status, out.splitlines()[-1][:10]), (0, "0 problems"), "for people: " + out)
    check(out.startswith("ok "), out)


@test
def doctor_server(t):
    """what the server has against the pools: places, limits, time limits, read-only"""
    t.cluster.without_password("doctor takes no password of the environment")
    t.sql("CREATE ROLE %s %s CONNECTION LIMIT 5" % (t.database, t.cluster.login))
    for setting in ("idle_session_timeout = '1min'", "idle_in_transaction_session_timeout = '10s'",
                    "statement_timeout = '500ms'", "default_transaction_read_only = on"):
        t.sql("ALTER ROLE %s SET %s" % (t.database, setting))
    t.defer(lambda: t.sql("DROP ROLE %s" % t.database))
    places = int(t.value("SHOW max_connections")) - int(t.value("SHOW superuser_reserved_connections"))
    role = t.conninfo(user=t.database)
    d = t.daemon(pools={
        "a": {"conninfo": role, "size": 6}, "b": {"conninfo": t.conninfo(), "size": places - 6},
        "kept": {"conninfo": role, "idle_timeout": "10s", "size": 1, "idle_in_scope_timeout": "5s",
                 "query_timeout": "1s"}})
    status, findings = doctor(d)
    equal(status, 1, "problems")
    cure = found(findings, "problem", "pool a", "connection limit 5")["what_to_do"]
    check("ALTER ROLE" in cure and "CONNECTION LIMIT 6" in cure, cure)
    found(findings, "problem", "server of a, b, kept", "make %d, and max_connections leaves %d" % (places + 1, places))
    of = {s: [f for f in findings if f["subject"] == "pool " + s] for s in ("a", "b", "kept")}
    found(of["a"], "warning", "pool a", "idle_session_timeout = 1min (user) ends idle connections before")
    found(of["a"], "warning", "pool a", "idle_in_transaction_session_timeout = 10s")
    found(of["a"], "warning", "pool a", "statement_timeout = 500ms (user) is also for")
    found(of["a"], "warning", "pool a", "default_transaction_read_only is on")
    equal(bad(of["b"]), [], "another role")
    equal([f["finding"][:20] for f in bad(of["kept"])], ["default_transaction_"], "limits of the pool's own")
    found(of["kept"], "note", "pool kept", "statement_timeout = 500ms (user) comes before query_timeout = 1s")
    # Other programs take places too; the pool's own connections are not counted among them.
    d.stop()
    d2 = t.daemon(size=places - 1)
    others = [t.direct() for _ in range(2)]
    d2.connect().sql("SELECT 1")
    _, findings = doctor(d2)
    found(findings, "warning", "server of db", "others have")
    for c in others:
        c.close()
    wait_until(lambda: not [a for a in t.activity() if a["application_name"] == "pgwtest-client"][1:], 10,
               "the others are gone")


@test
def doctor_pools(t):
    """servers that do not answer, each with the cure"""
    t.cluster.without_password("doctor takes no password of the environment")
    passfile = t.path("pgpass")
    with open(passfile, "w") as f:
        f.write("*:*:*:*:x\n")
    os.chmod(passfile, 0o644)
    d = t.daemon(pools={
        "good": {"conninfo": t.conninfo(passfile=passfile)},
        "nobody": {"conninfo": t.conninfo(port=1)},
        "nodb": {"conninfo": t.conninfo(dbname="nodb")},
        "norole": {"conninfo": t.conninfo(user="norole")},
        "nossl": {"conninfo": "host=127.0.0.1 port=1 dbname=x user=y sslmode=require"},
        "nohost": {"conninfo": "host=nohost.invalid dbname=x user=y", "connect_timeout": "2s"},
        "client": {"conninfo": t.conninfo(user=None), "role": "client"}})
    _, findings = doctor(d, said="password file")  # libpq says it by itself
    check("chmod 600" in found(findings, "problem", "pool good", "can be read by others")["what_to_do"], "passfile")
    for name, words, cure in (("nobody", "No such file", "start PostgreSQL"), ("nodb", '"nodb" does not exist', "create the database"),
                              ("norole", '"norole" does not exist', "CREATE ROLE"),
                              ("nossl", "refused", "nobody listens"), ("nohost", "could not translate", "host")):
        check(cure in found([f for f in findings if f["subject"] == "pool " + name], "problem", "pool " + name,
                            words)["what_to_do"], "the cure for " + name)
    _, findings = doctor(d, "-U", "postgres", said="password file")
    found(findings, "note", "pool client", "looked at as postgres")
    # A server that is no PostgreSQL cannot be looked into, and that is said.
    f = t.fixture()
    d2 = t.daemon(options={"allow": ""}, conninfo="host=%s port=%d dbname=main user=x" % (f.sockets, f.port))
    status, findings = doctor(d2)
    equal((status, bad(findings)), (0, []), "the stand-in")
    found(findings, "note", "pool db", "cannot look at the server's settings")


@test
def doctor_silent(t):
    """servers that say nothing are waited for all at once"""
    t.cluster.without_password("doctor takes no password of the environment")
    directory, count = t.path("silent"), 5
    os.mkdir(directory)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.path.join(directory, ".s.PGSQL.5432"))
    listener.listen()
    t.defer(listener.close)

    def hang_up():
        # None of them before all have come.
        for c, _ in [listener.accept() for _ in range(count)]:
            c.close()

    threading.Thread(target=hang_up, daemon=True).start()
    os.chmod(directory, 0o755)
    os.chmod(os.path.join(directory, ".s.PGSQL.5432"), 0o777)
    d = t.daemon(pools={"p%d" % i: {"conninfo": "host=%s port=5432 dbname=x user=y" % directory} for i in range(count)})
    _, findings = doctor(d)
    silent = [f["finding"] for f in findings if "cannot connect" in f["finding"]]
    equal(len(silent), count, "pools")
    check(all("closed the connection" in f for f in silent), "all had come: %r" % silent)


@test
def doctor_here(t):
    """configuration, socket and daemon: broken lines, permissions, a stale socket, another file"""
    t.cluster.without_password("doctor takes no password of the environment")
    d = t.daemon(options={"socket_mode": "0770", "allow": ""}, conninfo=t.conninfo(password="secret"), size=3)
    os.chmod(d.conf, 0o640)
    equal(bad(doctor(d)[1]), [], "at first")
    socket = os.path.join(d.sockets, ".s.PGSQL.%d" % d.port)
    os.chmod(socket, 0o777)
    os.chmod(d.conf, 0o646)
    os.chmod(d.directory, 0o700)
    _, findings = doctor(d)
    found(findings, "warning", "socket", "has mode 0777; socket_mode is 0770")
    found(findings, "problem", "configuration", "can be written by everybody")
    found(findings, "problem", "configuration", "has a password in it and can be read by everybody")
    found(findings, "warning", "socket", "only the owner gets through")
    os.chmod(d.directory, 0o755)
    os.chmod(d.conf, 0o640)
    with open(d.conf) as f:
        text = f.read()
    other = t.path("other.conf")
    with open(other, "w") as f:
        f.write(text.replace("size = 3", "size = 4"))
    os.chmod(other, 0o600)
    found(doctor(d, conf=other)[1], "note", "pgwithd", "[pool db] size = 4 (runs with 3)")
    with open(other, "w") as f:
        f.write(text.replace("size = 3", "sise = 3\nmode = both"))
    _, findings = doctor(d, "-S", d.sockets, conf=other)
    check('did you mean "size"' in found(findings, "problem", "configuration", "sise")["finding"], "the line")
    found(findings, "problem", "configuration", "mode:")
    found(findings, "note", "configuration", "cannot look at the servers")
    found(findings, "ok", "pgwithd", "answers")
    equal(doctor(d, conf=t.path("none.conf"))[0], 1, "no file")
    # The daemon is killed: its socket stays. With io_uring, the kernel closes it some milliseconds behind the end.
    d.process.kill()
    d.process.wait()
    wait_until(lambda: not listens(socket), 10, "nobody listens")
    _, findings = doctor(d)
    found(findings, "problem", "socket", "is left from a pgwithd that does not run")
    found(findings, "ok", "descriptors", "if pgwithd gets the limits of this shell")
    os.unlink(socket)
    found(doctor(d)[1], "problem", "socket", "No such file")
    d.expect_status = -signal.SIGKILL
    d.stop()


INI = """
;; From a server that has run for years.
[databases]
app = host=%(sockets)s port=%(port)d dbname=%(database)s user=postgres pool_size=4
; no user: the client's own
reports = host=%(sockets)s port=%(port)d dbname=%(database)s min_pool_size=0 pool_mode=session
quoted = host=%(sockets)s port=%(port)d dbname='%(database)s' user=postgres password='it''s secret' timezone='Europe/Berlin' connect_query='SELECT 1'
* = host=%(sockets)s port=%(port)d

[users]
reporter = pool_mode=session max_user_connections=3

[pgbouncer]
logfile = %(directory)s/pgbouncer.log
pidfile = %(directory)s/pgbouncer.pid
listen_addr =
listen_port = 6543
unix_socket_dir = %(directory)s
unix_socket_mode = 0777
auth_type = trust
auth_file = %(directory)s/userlist.txt
admin_users = postgres
stats_users = postgres, reporter
pool_mode = transaction
server_reset_query = DISCARD ALL
server_check_query = select 1
server_check_delay = 30
max_client_conn = 200
default_pool_size = 5
min_pool_size = 1
reserve_pool_size = 2
reserve_pool_timeout = 3
query_wait_timeout = 20
query_timeout = 0
idle_transaction_timeout = 600
client_idle_timeout = 0
client_login_timeout = 30
server_lifetime = 1800
server_idle_timeout = 300
server_connect_timeout = 10
server_login_retry = 5
ignore_startup_parameters = extra_float_digits, search_path
application_name_add_host = 1
log_connections = 1
log_disconnections = 1
server_round_robin = 0
tcp_keepalive = 1
tcp_keepidle = 60
server_tls_sslmode = prefer
%%include %(directory)s/more.ini
"""


def of_both(t, directory, files, look):
    """What look() sees of PgBouncer with directory/pgbouncer.ini, which reads the files (None: there is no PgBouncer), and then
    of pgwithd with directory/pgwith.conf, at the same socket. pgwithd runs on."""
    socket_path = directory + "/.s.PGSQL.6543"
    want = None
    if shutil.which("pgbouncer", path=os.environ["PATH"] + ":/usr/sbin"):
        if os.geteuid() == 0:
            for name in (directory, *files):
                shutil.chown(name, "postgres", "postgres")
        bouncer = child.start(["/usr/sbin/pgbouncer", os.path.join(directory, "pgbouncer.ini")],
                              os.path.join(directory, "bouncer.out"), user="postgres")
        t.defer(bouncer.wait)
        t.defer(bouncer.kill)
        wait_until(lambda: listens(socket_path), 10, "PgBouncer listens")
        want = look()
        bouncer.terminate()
        bouncer.wait(20)
        for path in (os.path.join(directory, "pgbouncer.pid"), socket_path):
            if os.path.exists(path):
                os.unlink(path)
    else:
        note("no PgBouncer here to compare with")
    with open(os.path.join(directory, "pgwithd.log"), "wb") as log:
        d = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", program("pgwithd"), "-c", os.path.join(directory, "pgwith.conf")],
                             stderr=log, env={**os.environ, **SANITIZE_ENV})
    t.defer(d.wait)
    t.defer(d.terminate)
    wait_until(lambda: listens(socket_path), 10, "pgwithd listens")
    return want, look()


def application(t, sockets):
    """What the programs do; what they saw."""
    seen = []
    dsn = "host=%s port=6543 user=%s dbname=%s"
    with psycopg.connect(dsn % (sockets, "postgres", "app"), prepare_threshold=None) as conn:
        seen.append(conn.execute("SELECT current_user::text, current_database()::text").fetchone())
        conn.execute("CREATE TABLE IF NOT EXISTS orders (i int)")
        conn.execute("TRUNCATE orders")
        conn.execute("INSERT INTO orders SELECT generate_series(1, 100)")
        conn.commit()
        try:
            with conn.transaction():
                conn.execute("DELETE FROM orders")
                conn.execute("SELECT 1/0")
        except psycopg.errors.DivisionByZero:
            seen.append("rolled back")
        seen.append(conn.execute("SELECT count(*) FROM orders").fetchone())
        with conn.cursor().copy("COPY orders TO STDOUT") as copy:
            seen.append(sum(1 for _ in copy.rows()))
    with psycopg.connect(dsn % (sockets, "reporter", "reports"), autocommit=True) as conn:
        seen.append(conn.execute("SELECT current_user::text, count(*) FROM orders").fetchone())
        conn.execute("CREATE TEMP TABLE mine AS SELECT 1 AS one")
        seen.append(conn.execute("SELECT one FROM mine").fetchone())
    with psycopg.connect(dsn % (sockets, "postgres", "quoted")) as conn:
        seen.append(conn.execute("SHOW timezone").fetchone())
    out = child.run_ok([t.cluster.program("pgbench"), "-n", "-c", "4", "-t", "50", "-h", sockets, "-p", "6543", "-U",
                        "postgres", "app"])
    check("number of failed transactions: 0" in out, out)
    with psycopg.connect(dsn % (sockets, "postgres", "pgbouncer" if os.path.exists(sockets + "/pgbouncer.pid")
                                else "pgwith"), autocommit=True) as conn:
        rows = conn.cursor(row_factory=psycopg.rows.dict_row).execute("SHOW DATABASES").fetchall()
        # With role = client, pgwithd has a row for each role, too.
        seen.append(sorted({(r["name"], r["database"], r["pool_size"]) for r in rows
                            if r["name"] in ("app", "reports", "quoted")}))
    return seen


@test
def imported(t):
    """a pgbouncer.ini of 36 settings, imported, runs the same programs as with PgBouncer"""
    t.cluster.without_password("pgbouncer.ini has none")
    directory = t.path("p")
    os.mkdir(directory)
    t.cluster.role("reporter")
    t.defer(lambda: t.sql("DROP OWNED BY reporter"))
    child.run_ok([t.cluster.program("pgbench"), "-i", "-q", "-h", t.cluster.sockets, "-p", str(t.cluster.port),
                  "-U", "postgres", t.database])
    t.sql("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO reporter")
    ini = os.path.join(directory, "pgbouncer.ini")
    with open(ini, "w") as f:
        f.write(INI % {"sockets": t.cluster.sockets, "port": t.cluster.port, "database": t.database,
                       "directory": directory})
    with open(os.path.join(directory, "more.ini"), "w") as f:
        f.write("verbose = 0\n")
    with open(os.path.join(directory, "userlist.txt"), "w") as f:
        f.write('"postgres" "secret:pass"\n"reporter" ""\n')
    equal(len([x for x in (INI % {"sockets": "", "port": 1, "database": "", "directory": ""})
               .split("[pgbouncer]")[1].splitlines() if " =" in x]), 36, "settings")

    conf, passfile = os.path.join(directory, "pgwith.conf"), os.path.join(directory, "pgpass")
    status, text, err = pgwith("import", ini, "--passfile", passfile, "--database", "other")
    # max_user_connections: it counts by the role at the server, which is the client's for some of the databases only.
    equal((status, "1 setting of" in err), (1, True), "pgwith import: " + err)
    check("; max_user_connections cannot be taken over: " in text, text)
    with open(conf, "w") as f:
        f.write(text)
    os.chmod(conf, 0o640)  # as it says
    equal(child.run([program("pgwithd"), "-t", "-c", conf], env=SANITIZE_ENV)[0], 0, "pgwithd -t of\n" + text)
    equal(oct(os.stat(passfile).st_mode)[-3:], "600", "the passfile's mode")
    with open(passfile) as f:
        equal(f.read(), "*:*:*:postgres:secret\\:pass\n", "the passfile")
    equal(pgwith("import", ini, "--passfile", passfile)[0], 2, "it is not overwritten")
    for words in ("reserve_pool_size = 2: ", "connect_query: ", "server_round_robin = 0: ", 'user "reporter"',
                  "ignore_startup_parameters = ", "[pool other]", "allow = postgres, reporter  ;",
                  "users = *  ;", "LET IN: every user"):
        check(words in text, "%r in\n%s" % (words, text))

    want, got = of_both(t, directory, [ini], lambda: application(t, directory))
    note("seen: %r" % got)
    equal(got[0], ("postgres", t.database), "who and where")
    if want is not None:
        equal(got, want, "what the programs saw, as with PgBouncer")
    _, findings = doctor(None, conf=conf)
    equal([f for f in findings if f["level"] == "problem"], [], "pgwith doctor")


PASSWORDS_INI = """[databases]
db = host=%(sockets)s port=%(port)d dbname=%(database)s
fixed = host=%(sockets)s port=%(port)d dbname=%(database)s user=postgres
[pgbouncer]
listen_addr =
unix_socket_dir = %(directory)s
listen_port = 6543
pool_mode = transaction
auth_type = scram-sha-256
auth_file = %(directory)s/userlist.txt
auth_user = postgres
auth_query = SELECT rolname, rolpassword FROM pg_authid WHERE rolname = $1
admin_users = postgres
application_name_add_host = 1
"""
# Who comes, with which password: anna is in the file with a verifier, bert in clear, carl is asked of PostgreSQL.
COMERS = [("anna", "anna's secret"), ("bert", 'a "quoted" one'), ("carl", "carl-secret"), ("anna", "wrong"), ("bert", ""),
          ("carl", "anna's secret"), ("empty", "x"), ("stranger", "x")]


def at_the_door(sockets):
    """For each comer and database: who they are in PostgreSQL and what their connection is called, or the error."""
    seen = []
    for database in ("db", "fixed"):
        for user, password in COMERS:
            # PgBouncer 1.18 ends itself ("put_in_order: found existing elem") when it asks for a role in a second database.
            if database == "fixed" and user not in ("anna", "bert"):
                continue
            try:
                with wire.Client(sockets, 6543, database, user, password=password, application_name="shop") as c:
                    name = c.value("SELECT current_setting('application_name')")
                    # PgBouncer's has the host and the port behind the process, too: shop - unix(4711@host):6543
                    name = re.sub(r"(unix\([0-9]+)@.*", r"\1)", name).replace(str(os.getpid()), "PID")
                    seen.append((database, user, c.value("SELECT current_user"), name))
            except wire.ServerError as e:
                seen.append((database, user, password, e.severity))
    return seen


def roles_with_passwords(t):
    for name, secret in (("anna", "anna''s secret"), ("bert", 'a "quoted" one'), ("carl", "carl-secret"), ("empty", None)):
        t.cluster.role(name)
        if secret:
            t.cluster.sql("ALTER ROLE %s PASSWORD '%s'" % (name, secret))


@test
def imported_passwords(t):
    """auth_type, userlist.txt and auth_query, imported: the same clients come in, with the same passwords, as with PgBouncer"""
    t.cluster.without_password("pgwithd logs in as each of them")
    directory = t.path("p")
    os.mkdir(directory)
    roles_with_passwords(t)
    ini, users, conf = (os.path.join(directory, x) for x in ("pgbouncer.ini", "userlist.txt", "pgwith.conf"))
    with open(ini, "w") as f:
        f.write(PASSWORDS_INI % {"sockets": t.cluster.sockets, "port": t.cluster.port, "database": t.database,
                                 "directory": directory})
    with open(users, "w") as f:
        os.fchmod(f.fileno(), 0o640)
        f.write('; users\n"anna" "%s"\n"bert" "a ""quoted"" one"\n"empty" ""\n' % t.cluster.value(
            "SELECT rolpassword FROM pg_authid WHERE rolname = 'anna'"))

    status, text, err = pgwith("import", ini)
    equal((status, err), (0, ""), "pgwith import")
    check("quoted" not in text and "SCRAM-SHA-256$" not in text, "a secret in\n" + text)
    with open(conf, "w") as f:
        f.write(text)
    status, out, err = child.run([program("pgwithd"), "-t", "-c", conf], env=SANITIZE_ENV)
    equal(status, 0, "pgwithd -t of\n%s\n%s%s" % (text, out, err))

    want, got = of_both(t, directory, [ini, users], lambda: at_the_door(directory))
    note("seen: %r" % got)
    equal([(x[1], x[2]) for x in got[:3]], [("anna", "anna"), ("bert", "bert"), ("carl", "carl")], "each as themselves")
    equal(got[0][3], "shop - unix(PID)", "what anna's connection is called")
    equal([x[3] for x in got[3:8]], ["FATAL"] * 5, "the others are refused")
    if want is not None:
        equal(got, want, "what clients met, as with PgBouncer")
    # The pool that asks is for no client, and pgwith(1) needs no password where it needed none.
    try:
        wire.Client(directory, 6543, "auth", "anna", password="anna's secret").close()
        raise Failure("anna is in the pool of auth_query")
    except wire.ServerError as e:
        equal((e.sqlstate, e.message), ("28000", 'role "anna" may not use pool "auth"'), "anna is refused")
    status, out, err = pgwith("-S", directory, "-p", "6543", "show", "pools", "--csv")
    check(status == 0 and "auth" in out, "SHOW POOLS: %s%s" % (out, err))


@test
def import_errors(t):
    """what import cannot read or make is an error with file and line"""
    ini = t.path("x.ini")
    for text, status, said in (("[databases]\nfoo\n", 2, "x.ini:2: expected KEY = VALUE"),
                               ("[databases]\n* = host=x\n", 1, "--database NAME"), ("", 1, "makes no pool"),
                               ("[pgbouncer]\n%include no.ini\n", 2, "no.ini: cannot open"),
                               ("[databases]\na = user=x\n[pgbouncer]\nauth_file = /no\n", 1, "auth_file: /no: cannot")):
        with open(ini, "w") as f:
            f.write(text)
        got, _, err = pgwith("import", ini)
        equal(got, status, "status of %r: %s" % (text, err))
        check(said in err, "%r: %s" % (text, err))
    # What it does not know is a loss, which the exit status tells; the rest is printed all the same.
    with open(ini, "w") as f:
        f.write("[databases]\na = host=h user=x\n[pgbouncer]\nmade_up = 1\nauth_type = md5\nauth_file = %s\n" % t.path("users"))
    with open(t.path("users"), "w") as f:
        os.fchmod(f.fileno(), 0o644)
        f.write('"app" "x"\n"1001" "x"\n"@g" "x"\n"we:ird" "x"\n"reporter" "x"\n')
    got, out, err = pgwith("import", ini)
    equal(got, 1, "an unknown setting, and the auth_file")
    check("2 settings of" in err and "it is open to others (mode 0644): chmod 0640" in out and "made_up = 1: not known" in out and "[pool a]" in out, err)
    check("users = app, reporter  ;" in out and "LET IN: root, pgwithd's own user, and the system users of these names" in out, out)
    with open(ini, "wb") as f:
        f.write(b"[databases]\na\0b = x\n")
    equal(pgwith("import", ini)[0], 2, "a NUL")
    equal(pgwith("import", t.path("nothing"))[0], 2, "no file")
    equal(pgwith("import", t.directory)[0], 2, "a directory")


if __name__ == "__main__":
    main()
