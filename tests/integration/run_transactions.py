"""pgwith run --pool: a transaction around a program, whatever it is made of and however many connections it has."""

import json
import os
import re
import signal
import subprocess
import time

from pgwtest import Skip, brief, check, child, equal, main, only_local, slow_factor, test, wait_until
from pgwtest.daemon import SANITIZE_ENV, program
from pgwtest.runs import PY, READY, Running, ends_within, has_children, holding, is_gone, locks, ms, run, words
from pgwtest.server import bindir

SYSTEM_PYTHON = "/usr/bin/python3"


def pg(name):
    return os.path.join(bindir(), name)


def script(t, name, text):
    path = t.path(name)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, 0o755)
    return path


def shell(t, text, name="script"):
    """A shell script in which psql has no file of its own and stops at errors."""
    return script(t, name, "#!/bin/sh\nset -e\npsql() { %s -XAtq -v ON_ERROR_STOP=1 \"$@\"; }\n%s\n" % (pg("psql"), text))


def fifo(t, name):
    os.mkfifo(t.path(name))
    return t.path(name)


def dump(t):
    """What pg_dump says of the test's database, byte for byte; without the key that newer ones draw at random."""
    host = t.cluster.sockets
    out = child.run_ok([pg("pg_dump"), "-h", host, "-p", str(t.cluster.port), "-U", "postgres", t.database],
                       env={"PGPASSWORD": t.cluster.password or ""})
    return "\n".join(line for line in out.split("\n") if not line.startswith(("\\restrict", "\\unrestrict")))


def quiet(d, pool="db"):
    d.quiet(pool)
    wait_until(lambda: not [c for c in d.clients(pool)], 5, "no session is left")


# ---- the end --------------------------------------------------------------------------------------------------------------
@test
def ends(t):
    """exit status 0 commits; any other, a signal, or --rollback, rolls back; the status is the program's"""
    t.sql("CREATE TABLE t (n int)")
    d = t.daemon(size=2)
    good = shell(t, "psql -c 'INSERT INTO t VALUES (1)'\npsql -c 'SELECT count(*) FROM t'")
    equal(run(d, "--pool", "db", good), (0, "1\n", ""), "commit")
    equal(t.value("SELECT count(*) FROM t"), "1", "rows")
    bad = shell(t, "psql -c 'INSERT INTO t VALUES (1)'\npsql -c 'SELECT count(*) FROM t'\nexit 3", "bad")
    equal(run(d, "--pool", "db", bad), (3, "2\n", ""), "rollback")
    equal(t.value("SELECT count(*) FROM t"), "1", "rows")
    equal(run(d, "--pool", "db", "--rollback", good), (0, "2\n", ""), "--rollback")
    equal(run(d, "--pool", "db", "--rollback", bad)[0], 3, "--rollback")
    killed = shell(t, "psql -c 'INSERT INTO t VALUES (1)'\nkill -TERM $$", "killed")
    equal(run(d, "--pool", "db", killed)[0], 143, "a signal")
    equal(run(d, "--pool", "db", "no-such-program")[0], 127, "nothing")
    equal(t.value("SELECT count(*) FROM t"), "1", "rows")
    quiet(d)


@test
def invisible(t):
    """nobody outside sees anything before the end; sessions inside see each other's work; errors of one are its own"""
    t.sql("CREATE TABLE t (n int UNIQUE)")
    d = t.daemon(size=2)
    p = Running(t, d, ("--pool", "db"), "", argv=["bash"])

    def psql(sql, more=""):
        p.p.stdin.write("%s -XAtq %s -c \"%s\" 2>&1; echo status $?\n" % (pg("psql"), more, sql))
        p.p.stdin.flush()
        lines = []
        while not (lines and lines[-1].startswith("status")):
            lines.append(p.line())
        return lines[:-1], int(lines[-1].split()[1])
    equal(psql("INSERT INTO t VALUES (1)"), ([], 0), "insert")
    equal(psql("SELECT n FROM t"), (["1"], 0), "inside")
    equal(t.sql("SELECT n FROM t"), [], "outside")
    out, status = psql("INSERT INTO t VALUES (2), (1)")
    equal(status, 1, "an error")
    check("duplicate key" in out[0], out)
    equal(psql("SELECT n FROM t"), (["1"], 0), "its statement alone is undone")
    equal(psql("BEGIN; INSERT INTO t VALUES (3); ROLLBACK")[1], 0, "its own transaction")
    equal(psql("INSERT INTO t VALUES (4)", "-1")[1], 0, "--single-transaction")
    equal(psql("SELECT n FROM t ORDER BY n"), (["1", "4"], 0), "inside")
    equal(t.sql("SELECT n FROM t"), [], "outside")
    equal(p.finish()[0], 0, "status")
    equal(t.sql("SELECT n FROM t ORDER BY n"), [("1",), ("4",)], "after")


@test
def refused(t):
    """a commit that PostgreSQL refuses: 76, with its error, and nothing is kept"""
    t.sql("CREATE TABLE acc (n int); INSERT INTO acc VALUES (0); CREATE TABLE log (n int)")
    d = t.daemon(size=3)
    # write skew: at SERIALIZABLE one of two commits is refused
    go = t.path("go")
    os.mkfifo(go)
    text = "psql -c 'SELECT count(*) FROM log' >/dev/null\npsql -c 'INSERT INTO log VALUES (1)'\necho READY $$\nread x\n"
    p = Running(t, d, ("--pool", "db", "--isolation", "serializable"), "", argv=["sh", shell(t, text)]).ready()
    q = Running(t, d, ("--pool", "db", "--isolation", "serializable"), "", argv=["sh", shell(t, text)]).ready()
    p.p.stdin.write("\n")
    q.p.stdin.write("\n")
    equal(p.finish(), (0, "", ""), "the first")
    status, _, err = q.finish()
    equal(status, 76, err)
    check(err.startswith("pgwith: could not serialize access due to read/write dependencies among transactions\n"), err)
    equal(t.value("SELECT count(*) FROM log"), "1", "rows")
    # a deferred constraint is checked where a program alone would have committed: that is its error, and its exit status
    t.sql("CREATE TABLE a (n int PRIMARY KEY); CREATE TABLE b (n int REFERENCES a DEFERRABLE INITIALLY DEFERRED)")
    status, _, err = run(d, "--pool", "db", "--", pg("psql"), "-XAtq", "-c", "INSERT INTO b VALUES (1)")
    equal(status, 1, err)
    check("foreign key" in err, err)
    equal(run(d, "--pool", "db", "--", "sh", shell(t, "psql -c 'BEGIN; INSERT INTO b VALUES (1); INSERT INTO a VALUES (1); COMMIT'"))[0], 0, "good")
    # so is that of a trigger
    t.sql("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
          " IF (SELECT count(*) FROM acc) > 1 THEN RAISE EXCEPTION 'too many rows in acc'; END IF; RETURN NULL; END $$;"
          "CREATE CONSTRAINT TRIGGER c AFTER INSERT ON log DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION f()")
    status, _, err = run(d, "--pool", "db", "--", pg("psql"), "-XAtq", "-c", "INSERT INTO acc VALUES (1); INSERT INTO log VALUES (2)")
    equal(status, 1, err)
    check("too many rows in acc" in err, err)
    text = "psql -c 'INSERT INTO log VALUES (3)'\npsql -c 'INSERT INTO acc VALUES (1)'\npsql -c 'SELECT count(*) FROM acc'"
    status, out, err = run(d, "--pool", "db", "--", "sh", shell(t, text))
    # As directly: what a connection has committed is not checked again for what the next one does.
    equal((status, out), (0, "2\n"), err)
    equal(t.value("SELECT count(*) FROM acc"), "2", "rows")
    quiet(d)


@test
def no_trace(t):
    """--rollback: whatever the program does, pg_dump says the same as before, byte for byte"""
    t.sql("CREATE TABLE t (n serial PRIMARY KEY, s text); INSERT INTO t (s) SELECT 'x' || i FROM generate_series(1, 100) i;"
          "CREATE INDEX i ON t (s); CREATE VIEW v AS SELECT * FROM t")
    d = t.daemon(size=2)
    before = dump(t)
    text = ("psql -c \"DELETE FROM t WHERE n %% 2 = 0; UPDATE t SET s = 'y'\" \n"
            "psql -c 'DROP VIEW v' -c 'DROP INDEX i' -c 'CREATE TABLE new AS SELECT * FROM t; ALTER TABLE t ADD COLUMN more int DEFAULT 5' -c 'TRUNCATE t'\n"
            "psql <<'END'\nBEGIN;\nCREATE SCHEMA s;\nCREATE FUNCTION s.f() RETURNS int LANGUAGE sql AS 'SELECT 1';\nCOMMIT;\n"
            "COPY t (n, s) FROM STDIN;\n1000\ta\n1001\tb\n\\.\nEND\n"
            "psql -c 'GRANT ALL ON t TO public' -c \"COMMENT ON TABLE t IS 'x'\"\npsql -c 'SELECT count(*) FROM t'\n%s | grep -c 'CREATE TABLE'\n" % pg("pg_dump"))
    equal(run(d, "--pool", "db", "--rollback", "--", "sh", shell(t, text)), (0, "2\n2\n", ""), "what it sees")
    equal(dump(t), before, "pg_dump")
    quiet(d)


# ---- what the program gets ------------------------------------------------------------------------------------------------
ENV = "import os, json; print(json.dumps(dict(os.environ)))"


@test
def environment(t):
    """PGHOST, PGPORT, PGDATABASE, PGUSER, PGOPTIONS lead it to the scope; what would lead it elsewhere is removed; the rest stays"""
    d = t.daemon(pools={n: {"conninfo": t.conninfo(), "size": 2} for n in ("one", "two")})
    before = {"PGHOST": "elsewhere", "PGPORT": "1", "PGDATABASE": "no", "PGUSER": "postgres", "PGHOSTADDR": "127.0.0.1", "PGSERVICE": "s",
              "PGSSLMODE": "verify-full", "PGREQUIREPEER": "x", "PGGSSENCMODE": "require", "PGCHANNELBINDING": "require",
              "PGTARGETSESSIONATTRS": "standby", "PGSSLCERTMODE": "require", "PGREQUIREAUTH": "scram-sha-256", "PGREQUIRESSL": "1",
              "PGSSLNEGOTIATION": "direct", "PGLOADBALANCEHOSTS": "random", "PGAPPNAME": "mine", "PGTZ": "UTC", "PGPASSWORD": "secret", "ODD": "a\nb", "EMPTY": ""}

    def seen(*options, **env):
        full = dict(SANITIZE_ENV, PATH=os.environ["PATH"], **before)
        full.update(env)
        p = subprocess.run(words(d, "--quiet", *options) + ["--", PY, "-c", ENV], env=full, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        equal((p.returncode, p.stderr), (0, b""), "status")
        return {k: v for k, v in json.loads(p.stdout).items() if k in before or k.startswith("PG")}
    lead = {"PGHOST": d.sockets, "PGPORT": str(d.port), "PGDATABASE": "two", "PGUSER": "postgres", "PGAPPNAME": "mine", "PGTZ": "UTC",
            "PGPASSWORD": "secret", "ODD": "a\nb", "EMPTY": ""}
    got = seen("--pool", "two")
    options = got.pop("PGOPTIONS")
    equal(got, lead, "one pool")
    name, token = options.split("pgwith.join=")
    equal((name, len(token)), ("-c ", 32), "PGOPTIONS")
    got = seen("--pool", "two", "--pool", "one", PGOPTIONS="-c work_mem=3MB  --geqo=off")
    first, second = got.pop("PGOPTIONS").split("pgwith.join=")
    equal(first, "-c work_mem=3MB  --geqo=off -c ", "kept")
    equal([len(x) for x in second.split(",")], [32, 32], "two tokens")
    equal(got, lead, "two pools")
    for old in ("-c pgwith.join=aa,bb", "-cpgwith.join=aa,bb", "--pgwith.join=aa,bb", "-c  work_mem=3MB -c pgwith.join=aa -c pgwith.join=bb"):
        got = seen("--pool", "two", PGOPTIONS=old)["PGOPTIONS"]
        check(got.endswith(",aa,bb") and got.count("pgwith.join") == 1 and ("work_mem" in old) == ("work_mem" in got), "%s: %s" % (old, got))
    got = seen("--pool", "two", "--no-transaction")
    equal(got, lead, "--no-transaction")
    # a URL for those who want one
    url = seen("--pool", "two", "--url", "ODD")["ODD"]
    check(re.fullmatch(r"postgresql:///two\?host=%s&port=%d&user=postgres&options=-c%%20pgwith\.join%%3D[0-9a-f]{32}"
                       % (d.sockets.replace("/", "%2F"), d.port), url), url)
    equal(seen("--pool", "two", "--url", "ODD", "--no-transaction")["ODD"].split("&")[-1], "user=postgres", "without a token")
    status, out, err = run(d, "--pool", "two", "--rollback", "--url", "U", "--", "sh", "-c",
                           "PGHOST=nowhere PGOPTIONS= %s -XAtc 'CREATE TABLE u ()' -c 'SHOW SCOPES' \"$U\"" % pg("psql"))
    equal(status, 0, err)
    equal(t.sql("SELECT 1 FROM pg_class WHERE relname = 'u'"), [], "psql has joined by it")
    # a relative directory becomes an absolute one, as the program may go elsewhere
    here = os.path.dirname(d.sockets)
    argv = [program("pgwith"), "-S", os.path.basename(d.sockets), "-p", str(d.port), "-U", "postgres", "run", "--pool", "one", PY, "-c", ENV]
    equal(json.loads(child.run_ok(argv, cwd=here, env=SANITIZE_ENV))["PGHOST"], d.sockets, "the directory")
    inside = run(d, "--pool", "two", "--", pg("psql"), "-XAtc", "SHOW work_mem", env=dict(before, PGOPTIONS="-c work_mem=3MB", PGAPPNAME="x"))
    equal(inside, (0, "3MB\n", ""), "psql has them")
    for odd in ("-c work_mem=3MB\\", "-c work_mem=3MB -c search_path=a\\\\", "-c work_mem=3MB  "):
        inside = run(d, "--pool", "two", "--rollback", "--", pg("psql"), "-XAtqc", "CREATE TABLE public.odd ()", "-c", "SHOW work_mem",
                     env={"PGOPTIONS": odd})
        equal(inside, (0, "3MB\n", ""), "psql joins with PGOPTIONS %r" % odd)
        direct = child.run([pg("psql"), "-XAtqc", "SHOW work_mem", "-h", t.cluster.sockets, "-p", str(t.cluster.port), "-U", "postgres",
                            t.database], env={"PGOPTIONS": odd})
        equal(direct, inside, "as directly")
    equal(t.sql("SELECT 1 FROM pg_class WHERE relname = 'odd'"), [], "nothing is left of them")


@test
def drivers(t):
    """psql, pg_dump, psycopg 3 and 2, asyncpg, Node's pg and Ruby's pg work in it together, each with two connections"""
    t.sql("CREATE TABLE t (n int)")
    d = t.daemon(size=2)
    before = dump(t)
    texts = {
        "psycopg": "import psycopg\na, b = psycopg.connect(''), psycopg.connect('', autocommit=True)\na.execute('INSERT INTO t VALUES (1)')\n"
                   "a.commit()\nprint(b.execute('SELECT count(*) FROM t').fetchone()[0])\n",
        "psycopg2": "import psycopg2\na, b = psycopg2.connect(''), psycopg2.connect('')\nc = a.cursor()\nc.execute('INSERT INTO t VALUES (2)')\n"
                    "a.commit()\nc = b.cursor()\nc.execute('SELECT count(*) FROM t')\nprint(c.fetchone()[0])\n",
        "asyncpg": "import asyncio, os\ntry:\n    import asyncpg\nexcept ImportError:\n    raise SystemExit(42)\n"
                   "async def main():\n    url = os.environ['DATABASE_URL']\n"
                   "    a, b = await asyncpg.connect(url), await asyncpg.connect(dsn=url)\n"
                   "    async with a.transaction():\n        await a.execute('INSERT INTO t VALUES ($1)', 3)\n"
                   "    print(await b.fetchval('SELECT count(*) FROM t'))\n    await a.close(); await b.close()\nasyncio.run(main())\n",
    }
    inserted = 0
    parts = []
    for name, text in texts.items():
        status, _, _ = child.run([SYSTEM_PYTHON, "-c", "import " + name])
        if status != 0:
            print("# no %s" % name)
            continue
        inserted += 1
        parts.append((name, [SYSTEM_PYTHON, script(t, "with_%s.py" % name, text)], "%d\n" % inserted))
    node = os.path.join(os.environ.get("HOME", "/root"), ".cache/pgwith-tests/node-pg-8.23.1/node_modules")
    if os.path.isdir("/usr/share/nodejs/pg"):
        node = "/usr/share/nodejs"
    if os.path.isdir(node):
        inserted += 1
        text = ("const { Pool } = require('pg');\n(async () => { const p = new Pool({ max: 2 });\nconst a = await p.connect(), b = await p.connect();\n"
                "await a.query('BEGIN'); await a.query('INSERT INTO t VALUES ($1)', [4]); await a.query('COMMIT');\n"
                "console.log((await b.query('SELECT count(*)::int AS n FROM t')).rows[0].n); a.release(); b.release(); await p.end(); })();\n")
        parts.append(("node", ["env", "NODE_PATH=" + node, "node", script(t, "x.js", text)], "%d\n" % inserted))
    if child.run(["ruby", "-e", "require 'pg'"])[0] == 0:
        inserted += 1
        text = ("require 'pg'\na, b = PG.connect, PG.connect\na.transaction { |c| c.exec_params('INSERT INTO t VALUES ($1)', [5]) }\n"
                "puts b.exec('SELECT count(*) FROM t')[0]['count']\n")
        parts.append(("ruby", ["ruby", script(t, "x.rb", text)], "%d\n" % inserted))
    check(inserted >= 2, "drivers")
    lines = ["%s" % " ".join(argv) for _, argv, _ in parts]
    lines += ["%s | grep -c '^[0-9]'" % pg("pg_dump"), "psql -c 'SELECT count(*) FROM t'"]
    want = "".join(w for _, _, w in parts) + "%d\n%d\n" % (inserted, inserted)
    status, out, err = run(d, "--pool", "db", "--rollback", "--url", "DATABASE_URL", "--", "sh", shell(t, "\n".join(lines)))
    equal((status, out), (0, want), "with %s: %s" % (", ".join(n for n, _, _ in parts), err))
    equal(dump(t), before, "pg_dump")
    quiet(d)
    print("# with %s" % ", ".join(n for n, _, _ in parts))


@test
def modes(t):
    """--read-only and --isolation are those of the transaction"""
    t.sql("CREATE TABLE t (n int)")
    d = t.daemon(size=2)
    psql = [pg("psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-c"]
    for level in ("serializable", "repeatable-read", "read-committed", "READ UNCOMMITTED", "Repeatable Read"):
        status, out, err = run(d, "--pool", "db", "--isolation", level, "--", *psql, "SHOW transaction_isolation")
        equal((status, out), (0, level.lower().replace("-", " ") + "\n"), err)
    status, out, err = run(d, "--pool", "db", "--read-only", "--", *psql, "INSERT INTO t VALUES (1)")
    equal(status, 3 if status == 3 else 1, err)
    check("read-only transaction" in err, err)
    equal(run(d, "--pool", "db", "--read-only", "--", *psql, "SELECT count(*) FROM t"), (0, "0\n", ""), "reads")
    # a snapshot for all of it
    p = Running(t, d, ("--pool", "db", "--isolation", "repeatable-read", "--read-only"), "", argv=["bash"])
    p.p.stdin.write("%s 'SELECT count(*) FROM t'\n" % " ".join(psql))
    p.p.stdin.flush()
    equal(p.line(), "0", "before")
    t.sql("INSERT INTO t VALUES (1)")
    p.p.stdin.write("%s 'SELECT count(*) FROM t'\n" % " ".join(psql))
    p.p.stdin.flush()
    equal(p.line(), "0", "the same")
    equal(p.finish()[0], 0, "status")


@test
def usage(t):
    """what does not go together is said, with 125"""
    d = t.daemon(size=1)
    for words_, text in (
            (("--rollback", "--lock", "a", "true"), "run takes --rollback only with --pool"),
            (("--read-only", "--lock", "a", "true"), "run takes --read-only only with --pool"),
            (("--isolation", "serializable", "--lock", "a", "true"), "run takes --isolation only with --pool"),
            (("--no-transaction", "--lock", "a", "true"), "run takes --no-transaction only with --pool"),
            (("--no-transaction", "--rollback", "--pool", "db", "true"), "run takes either --rollback or --no-transaction"),
            (("--isolation", "snapshot", "--pool", "db", "true"),
             '--isolation: "snapshot" is none of serializable, repeatable-read, read-committed, read-uncommitted'),
            (("--url", "A", "--lock", "a", "true"), "run takes --url only with --pool"),
            (("--pool", "db", "--url", "A=b", "true"), '--url: "A=b" is no name of a variable'),
            (("--pool", "db", "--pool", "db", "true"), '--pool names "db" twice'),
            (("--pool", "", "true"), '--pool: "" is no pool'),
            (("--pool", "pgwith", "true"), '--pool: "pgwith" is no pool'),
            (("--pool", "db", "--on", "db", "true"), "run: --on is for locks: say --lock NAME or --shared-lock NAME")):
        equal(run(d, *words_), (125, "", "pgwith: %s\n" % text), "%r" % (words_,))
    status, out, err = run(d, "--pool", "nowhere", "echo", "x")
    equal((status, out), (125, ""), err)
    check('"nowhere"' in err, err)


# ---- who does not join ----------------------------------------------------------------------------------------------------
NOT_JOINED = ('pgwith: run: no connection has joined the transaction of pool %s: what the program wrote in a database, if anything, '
              "is not a part of it\n")


def worked_outside(count, program):
    return re.compile(r"pgwith: run: %s of the program worked outside of the transaction, and what was committed there stays; "
                      r"the first: %s \(pid [0-9]+\)\n" % ("1 connection" if count == 1 else "%d connections" % count, program))


def outside_of(d, pid):
    """joins, outside and outsider of the scope of that process, by SHOW SCOPES on the console."""
    rows = [r for r in d.show("SCOPES") if r["pid"] == str(pid) and r["joins"] is not None]
    return [(r["joins"], r["outside"], r["outsider"]) for r in rows]


@test
def nobody_joins(t):
    """a program of which no connection has joined: one line on stderr, and none with --quiet; the status is the program's"""
    t.sql("CREATE TABLE t (n int)")
    d = t.daemon(pools={n: {"conninfo": t.conninfo(), "size": 2} for n in ("one", "two")})
    equal(run(d, "--pool", "one", "true"), (0, "", NOT_JOINED % '"one"'), "no database is needed")
    equal(run(d, "--pool", "one", "--rollback", "false"), (1, "", NOT_JOINED % '"one"'), "the status")
    equal(run(d, "--pool", "one", "--pool", "two", "true"), (0, "", NOT_JOINED % '"one", "two"'), "two pools")
    for more in (("--quiet",), ("--quiet", "--rollback"), ("--no-transaction",)):
        equal(run(d, "--pool", "one", *more, "true"), (0, "", ""), "%r" % (more,))
    psql = [pg("psql"), "-XAtq", "-c", "SELECT 1"]
    equal(run(d, "--pool", "one", *psql), (0, "1\n", ""), "one that joins")
    equal(run(d, "--pool", "one", "--pool", "two", *psql), (0, "1\n", NOT_JOINED % '"two"'), "the other pool")
    # a connection to PostgreSQL itself is none that pgwithd could see
    direct = [pg("psql"), "-XAtq", t.conninfo(), "-c", "INSERT INTO t VALUES (1)"]
    equal(run(d, "--pool", "one", "--rollback", *direct), (0, "", NOT_JOINED % '"one"'), "past pgwithd")
    equal(t.value("SELECT count(*) FROM t"), "1", "what it wrote")
    d.quiet("one")


@test
def works_outside(t):
    """connections that the program makes and that do not join are told, with their program; with --rollback the status is 78"""
    t.sql("CREATE TABLE t (n int)")
    d = t.daemon(pools={n: {"conninfo": t.conninfo(), "size": 4} for n in ("db", "other")})
    out = "env -u PGOPTIONS %s -XAtq -v ON_ERROR_STOP=1" % pg("psql")
    inside = "%s -XAtq -v ON_ERROR_STOP=1" % pg("psql")

    def both(n=1, end=""):
        return "%s -c 'SELECT 1' >/dev/null; for i in $(seq %d); do %s -c 'INSERT INTO t VALUES (1)'; done%s" % (inside, n, out, end)

    def seen(want, count, *more, program_="psql"):
        status, printed, err = run(d, "--pool", "db", *more)
        equal((status, printed), (want, ""), err)
        if count:
            check(worked_outside(count, program_).fullmatch(err), err)
        else:
            equal(err, "", "stderr")
    seen(78, 1, "--rollback", "sh", "-c", both())
    seen(78, 3, "--rollback", "--quiet", "sh", "-c", both(3))
    seen(3, 2, "--rollback", "sh", "-c", both(2, "; exit 3"))
    seen(0, 1, "sh", "-c", both())
    seen(3, 1, "sh", "-c", both(1, "; exit 3"))
    seen(0, 0, "--rollback", "--allow-outside", "sh", "-c", both())
    equal(t.value("SELECT count(*) FROM t"), "9", "all of it has stayed")
    # however far below, and in whatever session; in another pool, too
    seen(78, 1, "--rollback", "sh", "-c", "setsid sh -c '(%s -c \"SELECT 1\" >/dev/null; true) & wait; true' | cat; true" % out)
    seen(78, 1, "--rollback", "sh", "-c", "%s -d other -c 'SELECT 1' >/dev/null" % out)
    # a process whose parent has ended
    seen(78, 1, "--rollback", "sh", "-c",
         "(sh -c 'sleep 0.2; %s -c \"SELECT 1\" >/dev/null; echo >%s' &) ; read x <%s" % (out, fifo(t, "a"), t.path("a")))
    # a transaction of its own inside: it is not undone by that of the outer one
    seen(78, 1, "--rollback", program("pgwith"), "-S", d.sockets, "-p", str(d.port), "-U", "postgres", "run", "--pool", "db", "--",
         pg("psql"), "-XAtqc", "INSERT INTO t VALUES (1)", program_="pgwith")
    equal(t.value("SELECT count(*) FROM t"), "10", "that of the inner one")
    # who connects and asks for nothing has not worked; nor has who joins by a statement; nor is anybody else's session one
    seen(0, 0, "--rollback", "--quiet", "sh", "-c", "%s -c '\\q'" % out)
    join = ("token=${PGOPTIONS##*=}; unset PGOPTIONS; %s -XAtq -c \"JOIN '$token'\" -c 'INSERT INTO t VALUES (1)'" % pg("psql"))
    seen(0, 0, "--rollback", "bash", "-c", join)
    p = Running(t, d, ("--pool", "db", "--rollback"), "", argv=["sh", shell(t, "echo READY $$\nread x || true\npsql -c 'SELECT 1' >/dev/null")]).ready()
    other = d.connect("db")
    equal(other.value("SELECT 1"), "1", "an answer")
    other.close()
    equal(outside_of(d, p.pid), [("0", "0", None)], "a session of somebody else")
    equal(p.finish(), (0, "", ""), "a session of somebody else")
    equal(t.value("SELECT count(*) FROM t"), "10", "rows")
    for pool in ("db", "other"):
        d.quiet(pool)


@test
def works_outside_mode_session(t):
    """the same in a pool of mode session; the server that is given to a login for its parameters alone does not count"""
    d = t.daemon(size=4, mode="session")
    psql = "%s -XAtq" % pg("psql")

    def seen(want, text):
        status, printed, err = run(d, "--pool", "db", "--rollback", "bash", "-c", text)
        equal((status, printed), want, err)
        if status:
            check(worked_outside(1, "psql").fullmatch(err), err)
        else:
            equal(err, "", "stderr")
    seen((78, "1\n2\n"), "env -u PGOPTIONS %s -c 'SELECT 1' -c 'SELECT 2'" % psql)
    # a parameter that no server has judged yet
    seen((78, "1\n2\n"), "PGOPTIONS='-c pg_try.a=1' %s -c 'SELECT 1' -c 'SELECT 2'" % psql)
    seen((0, "3\n"), "token=${PGOPTIONS##*=}; PGOPTIONS='-c pg_try.b=1' %s -c \"JOIN '$token'\" -c 'SELECT 3'" % psql)


@test
def outside_and_restart(t):
    """who has joined and who works outside is counted on by the next pgwithd, and nobody twice"""
    d = t.supervised(size=4)
    p = Running(t, d, ("--pool", "db", "--rollback"), "", argv=["env", "-u", "PGOPTIONS", pg("psql"), "-XAtq"])

    def ask(n):
        p.p.stdin.write("SELECT %d;\n" % n)
        p.p.stdin.flush()
        equal(p.line(), str(n), "the answer")
    ask(1)
    first = outside_of(d, p.pid)
    equal(first[0][:2], ("0", "1"), "before")
    check(first[0][2].startswith("psql (pid "), first)
    d.restart()
    ask(2)
    equal(outside_of(d, p.pid), first, "after")
    status, out, err = p.finish()
    equal((status, out), (78, ""), err)
    check(worked_outside(1, "psql").fullmatch(err), err)


@test
def asyncpg_without_url(t):
    """asyncpg, which does not know PGOPTIONS, commits without --url: that is told, and with --rollback the status is 78"""
    if child.run([SYSTEM_PYTHON, "-c", "import asyncpg"])[0] != 0:
        raise Skip("no asyncpg")
    t.sql("CREATE TABLE t (n int)")
    d = t.daemon(size=4)
    text = ("import asyncio, asyncpg, os\nasync def main():\n    c = await asyncpg.connect(os.environ.get('URL'))\n"
            "    await c.execute('INSERT INTO t VALUES (1)')\n    await c.close()\nasyncio.run(main())\n")
    status, out, err = run(d, "--pool", "db", "--rollback", SYSTEM_PYTHON, "-c", text)
    equal((status, out), (78, ""), err)
    check(worked_outside(1, "python3(\\.[0-9]+)?").fullmatch(err), err)
    equal(t.value("SELECT count(*) FROM t"), "1", "it has stayed")
    equal(run(d, "--pool", "db", "--rollback", "--url", "URL", SYSTEM_PYTHON, "-c", text), (0, "", ""), "with --url")
    equal(t.value("SELECT count(*) FROM t"), "1", "it has not")


# ---- several things -------------------------------------------------------------------------------------------------------
@test
def two_pools(t):
    """two pools: the database of a connection says which; both are committed, or both rolled back; another pool is refused"""
    one = t.database
    t.sql("CREATE TABLE t (n int)")
    first = t.conninfo()
    t.new_database()
    t.sql("CREATE TABLE t (n int)")
    d = t.daemon(pools={"one": {"conninfo": first, "size": 2}, "two": {"conninfo": t.conninfo(), "size": 2},
                        "three": {"conninfo": t.conninfo(), "size": 1}})
    both = shell(t, "psql -c 'INSERT INTO t VALUES (1)'\npsql -d two -c 'INSERT INTO t VALUES (2), (3)'\npsql -d one -c 'SELECT count(*) FROM t'")

    def counts():
        return t.cluster.value("SELECT count(*) FROM t", one), t.value("SELECT count(*) FROM t")
    equal(run(d, "--pool", "one", "--pool", "two", both), (0, "1\n", ""), "committed")
    equal(counts(), ("1", "2"), "rows")
    equal(run(d, "--pool", "one", "--pool", "two", "--rollback", both)[:2], (0, "2\n"), "rolled back")
    equal(counts(), ("1", "2"), "rows")
    status, _, err = run(d, "--pool", "one", "--pool", "two", "--", "sh", shell(t, "psql -d two -c 'INSERT INTO t VALUES (2)'; psql -d three -c 'SELECT 1'"))
    check(status != 0 and 'no scope on pool "three"' in err, "another pool: %s" % err)
    equal(counts(), ("1", "2"), "rows")
    for pool in ("one", "two"):
        d.quiet(pool)


@test
def lock_and_pool(t):
    """a lock around the transaction is held until that is committed: who has it next sees all; also with PostgreSQL's own lock"""
    t.sql("CREATE TABLE t (n int); INSERT INTO t VALUES (0)")
    d = t.daemon(size=16)
    for how in (("--lock", "a"), ("--lock", "a", "--on", "db")):
        job = shell(t, "n=$(psql -c 'SELECT max(n) FROM t')\npsql -c \"INSERT INTO t VALUES ($n + 1)\"")
        ps = [Running(t, d, how + ("--pool", "db", "--isolation", "repeatable-read"), "", argv=["sh", job]) for _ in range(6)]
        for p in ps:
            status, _, err = p.finish()
            equal(status, 0, err)
    equal(t.sql("SELECT n FROM t ORDER BY n"), [(str(i),) for i in range(13)], "no number twice")
    equal(locks(d), [], "no lock")
    # all or nothing of what is entered: a pool that cannot be had frees the lock
    full = [t.client(d) for _ in range(16)]
    for c in full:
        c.sql("BEGIN")
        c.sql("SELECT 1")
    status, out, err = run(d, "--lock", "a", "--pool", "db", "--wait", "0", "--timeout", "300ms", "echo", "x")
    equal((status, out), (75, ""), err)
    equal(locks(d), [], "no lock")


@test
def no_transaction(t):
    """--no-transaction: the program works in the pool as ever, under the lock; without a lock nothing is held"""
    t.sql("CREATE TABLE t (n int)")
    d = t.daemon(size=2)
    text = shell(t, "psql -c 'INSERT INTO t VALUES (1)'\nexit 5")
    equal(run(d, "--pool", "db", "--no-transaction", "--lock", "a", text)[0], 5, "status")
    equal(t.value("SELECT count(*) FROM t"), "1", "its statements commit themselves")
    equal(run(d, "--pool", "db", "--no-transaction", "--", "sh", shell(t, "psql -c 'VACUUM t' -c 'SELECT 7'")), (0, "7\n", ""), "VACUUM, too")
    p = holding(t, d, "--pool", "db", "--no-transaction")
    d.process.kill()
    d.wait_end()
    d.expect_status = -9
    equal(p.finish()[0], 0, "nothing could be lost")


@test
def nested(t):
    """pgwith run inside of pgwith run: a transaction of its own; an outer one of another pool is still joined"""
    t.sql("CREATE TABLE t (n int)")
    d = t.daemon(pools={n: {"conninfo": t.conninfo(), "size": 3} for n in ("one", "two")})
    inner = shell(t, "psql -d one -c 'INSERT INTO t VALUES (1)'\npsql -d two -c 'INSERT INTO t VALUES (2)'", "inner")
    text = shell(t, "%s -- sh %s\npsql -d one -c 'SELECT n FROM t'\n" % (" ".join(words(d, "--pool", "two")), inner))
    status, out, err = run(d, "--pool", "one", "--rollback", "--", "sh", text)
    equal(status, 78, err)
    check(worked_outside(1, "pgwith").fullmatch(err), "the outer one says that the inner one stays: %s" % err)
    equal(sorted(out.split()), ["1", "2"], "what the outer one sees")
    equal(t.sql("SELECT n FROM t"), [("2",)], "what is kept")


@test
def nested_no_transaction(t):
    """--no-transaction inside of pgwith run: the program commits by itself, in the same pool and in another; its own PGOPTIONS stay"""
    t.sql("CREATE TABLE t (n int)")
    d = t.daemon(pools={n: {"conninfo": t.conninfo(), "size": 3} for n in ("one", "two")})
    for i, pool in enumerate(("one", "two")):
        inner = shell(t, "psql -c 'INSERT INTO t VALUES (%d)' -c 'SHOW work_mem'\necho \"[$PGOPTIONS]\"" % i, "inner")
        text = shell(t, "%s -- sh %s\n" % (" ".join(words(d, "--pool", pool, "--no-transaction")), inner))
        status, out, err = run(d, "--pool", "one", "--rollback", "--allow-outside", "--quiet", "--", "sh", text,
                               env={"PGOPTIONS": "-c work_mem=3MB"})
        equal((status, out, err), (0, "3MB\n[-c work_mem=3MB ]\n", ""), pool)
        equal(t.value("SELECT count(*) FROM t"), str(i + 1), "what is kept")


# ---- whoever goes ---------------------------------------------------------------------------------------------------------
BUSY = ("import os, subprocess, sys\n"
        "subprocess.run([%r, '-XAtq', '-c', 'INSERT INTO t VALUES (1)'], check=True)\nprint('READY', os.getpid(), flush=True)\n"
        "sys.stdin.read()\n")


def busy(t, d, *options, **how):
    return Running(t, d, ("--pool", "db") + options, BUSY % pg("psql"), **how).ready()


@test
def lost(t):
    """deadline, KILL of scope and session, PostgreSQL and pgwithd gone: the program is ended, 77, nothing is kept"""
    t.sql("CREATE TABLE t (n int)")
    d = t.daemon(size=2)
    soon = brief(0.7)  # seconds: the program is up before it
    began = time.monotonic()
    p = busy(t, d, "--deadline", ms(soon))
    status, _, err = p.ended()
    equal(status, 77, err)
    check("deadline" in err and time.monotonic() - began < soon + 2.3 * slow_factor(), err)
    check(is_gone(p.program), "the program is gone")
    quiet(d)
    for kill in ("KILL SCOPE %s", "KILL SESSION %s"):
        p = busy(t, d)
        session, = [x["id"] for x in d.clients() if int(x["remote_pid"]) == p.pid]
        d.console(kill % session)
        status, _, err = p.ended()
        equal(status, 77, kill + err)
    quiet(d)
    p = busy(t, d)
    t.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction'")
    status, _, err = p.ended()
    equal(status, 77, err)
    quiet(d)
    p = busy(t, d)
    d.process.kill()
    status, _, err = p.ended()
    equal(status, 77, err)
    d.wait_end()
    d.expect_status = -9
    wait_until(lambda: not [a for a in t.activity() if a["state"] != "idle"], 5, "PostgreSQL has noticed")
    equal(t.value("SELECT count(*) FROM t"), "0", "rows")


@test
def run_is_killed(t):
    """kill -9 of pgwith run in the middle of a query: all is rolled back within a second, the same server serves on"""
    t.sql("CREATE TABLE t (n int)")
    d = t.daemon(size=1)
    for i in range(10):
        argv = [pg("psql"), "-XAtq", "-c", "INSERT INTO t VALUES (1)", "-c", "\\echo READY 0", "-c", "SELECT pg_sleep(60)"]
        p = Running(t, d, ("--pool", "db", "--lock", "a"), "", argv=argv)
        p.line()
        if i == 0:
            backend = d.server_pids()
        time.sleep(t.random.uniform(0, 0.05))
        began = time.monotonic()
        os.kill(p.pid, signal.SIGKILL)
        wait_until(lambda: not locks(d) and not d.leased(), 5, "all is free")
        check(time.monotonic() - began < slow_factor(), "within a second")
        p.p.wait()
        equal(d.server_pids(), backend, "the same server")
        wait_until(lambda: not [a for a in t.activity() if a["state"] != "idle"], 5, "no query runs")
    equal(t.value("SELECT count(*) FROM t"), "0", "rows")
    quiet(d)


@test
def limits(t):
    """limits of the pool: idle_in_scope_timeout leaves it alone while the program runs, scope_deadline ends it; long queries are no matter"""
    t.sql("CREATE TABLE t (n int)")
    d = t.daemon(size=1, idle_in_scope_timeout="500ms")
    text = shell(t, "psql -c 'INSERT INTO t VALUES (1)'\nsleep 1.5\npsql -c 'INSERT INTO t VALUES (2)' -c 'SELECT 1 FROM pg_sleep(2.2)'")
    equal(run(d, "--pool", "db", text), (0, "1\n", ""), "status")
    equal(t.value("SELECT count(*) FROM t"), "2", "rows")
    deadline = brief(1)  # seconds: the program is up before it
    d.reload(pools={"db": {"conninfo": t.conninfo(), "size": 1, "scope_deadline": "%dms" % (deadline * 1000)}})
    p = busy(t, d)
    status, _, err = p.ended()
    equal(status, 77, err)
    p = busy(t, d, "--deadline", "90s")
    time.sleep(deadline + 0.5)
    equal(p.finish()[0], 0, "its own deadline")
    equal(t.value("SELECT count(*) FROM t"), "3", "rows")


def commits(d, seen):
    """Waits until the log, beyond what was seen of it, says that a commit is under way."""
    wait_until(lambda: any(" work " in x and "commit" in x for x in d.log_text()[seen:].splitlines()), 5, "the commit is under way")


@test
def signal_at_commit(t):
    """a signal while PostgreSQL commits: the exit status says what has become of it"""
    only_local("it stops a process of PostgreSQL")
    t.sql("CREATE TABLE t (n int)")
    d = t.daemon(size=1)
    kept = 0
    for i in range(6):
        p = busy(t, d)
        backend, = d.server_pids()
        seen = len(d.log_text())
        os.kill(backend, signal.SIGSTOP)
        try:
            p.p.stdin.close()
            wait_until(lambda: is_gone(p.program), 5, "the program has ended")
            commits(d, seen)
            os.kill(p.pid, t.random.choice((signal.SIGTERM, signal.SIGINT, signal.SIGHUP)))
            time.sleep(0.1)
        finally:
            os.kill(backend, signal.SIGCONT)
        status, _, err = p.ended()
        check(status in (0, 76), "%d: %s" % (status, err))
        kept += status == 0
        equal(int(t.value("SELECT count(*) FROM t")), kept, "rows, with status %d" % status)
        d.quiet()


@test
def cut_short(t):
    """signals at the end: before the commit it is rolled back, 76; if pgwithd hangs in it, a second one ends the wait, 77"""
    only_local("it stops a process of PostgreSQL")
    t.sql("CREATE TABLE t (n int)")
    d = t.daemon(size=1)
    for answers in (True, False):
        p = busy(t, d)
        d.console_close()
        os.kill(d.pid, signal.SIGSTOP)
        try:
            p.p.stdin.close()
            wait_until(lambda: is_gone(p.program) and not has_children(p.pid), 5, "the program has ended")
            os.kill(p.pid, signal.SIGTERM)
            check(not ends_within(p, 0.3), "it waits")
            if not answers:
                os.kill(p.pid, signal.SIGTERM)
                check(ends_within(p, 5 * slow_factor()), "it ends")
        finally:
            os.kill(d.pid, signal.SIGCONT)
        status, _, err = p.ended()
        equal((status, err), (76, "pgwith: a signal has come before the commit: the transaction is rolled back\n") if answers else
              (77, "pgwith: a signal has come, and pgwithd does not answer: nothing is committed\n"), "answers: %s" % answers)
        quiet(d)
        equal(t.value("SELECT count(*) FROM t"), "0", "rows")
    p = busy(t, d)
    backend, = d.server_pids()
    seen = len(d.log_text())
    os.kill(backend, signal.SIGSTOP)
    try:
        p.p.stdin.close()
        wait_until(lambda: is_gone(p.program) and not has_children(p.pid), 5, "the program has ended")
        commits(d, seen)
        d.console_close()
        os.kill(d.pid, signal.SIGSTOP)
        try:
            os.kill(p.pid, signal.SIGTERM)
            check(not ends_within(p, 0.5), "the cancel is not answered")
            os.kill(p.pid, signal.SIGTERM)
            status, _, err = p.ended()
        finally:
            os.kill(d.pid, signal.SIGCONT)
    finally:
        os.kill(backend, signal.SIGCONT)
    equal((status, err), (77, "pgwith: a signal has come, and pgwithd does not answer: whether the transaction was committed is not known\n"),
          "status")
    quiet(d)


@test
def cut_short_in_a_question(t):
    """two signals at the end, while the question of each second is still unanswered: what is told is the same"""
    only_local("it stops pgwithd")
    t.sql("CREATE TABLE t (n int)")
    d = t.daemon(size=1)
    p = busy(t, d)
    d.console_close()
    os.kill(d.pid, signal.SIGSTOP)
    try:
        time.sleep(1.2)  # pgwith run asks each second
        p.p.stdin.close()
        wait_until(lambda: is_gone(p.program) and not has_children(p.pid), 5, "the program has ended")
        os.kill(p.pid, signal.SIGTERM)
        check(not ends_within(p, 0.3), "it waits")
        os.kill(p.pid, signal.SIGTERM)
        status, _, err = p.ended()
    finally:
        os.kill(d.pid, signal.SIGCONT)
    equal((status, err), (77, "pgwith: a signal has come, and pgwithd does not answer: nothing is committed\n"), "status")
    quiet(d)
    equal(t.value("SELECT count(*) FROM t"), "0", "rows")


@test
def ignored_signals(t):
    """a signal that was ignored (nohup, a job in the background of a script) or blocked as pgwith run began does not cut the commit short"""
    only_local("it stops pgwithd")
    t.sql("CREATE TABLE t (n int)")
    d = t.daemon(size=1)
    begin = "import os, signal, sys; %s; os.execvp(sys.argv[1], sys.argv[1:])"
    rows = 0
    for how in ("signal.signal(%d, signal.SIG_IGN)", "signal.pthread_sigmask(signal.SIG_BLOCK, [%d])"):
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
            p = busy(t, d, wrap=(PY, "-c", begin % (how % number)))
            d.console_close()
            os.kill(d.pid, signal.SIGSTOP)
            try:
                p.p.stdin.close()
                wait_until(lambda p=p: is_gone(p.program) and not has_children(p.pid), 5, "the program has ended")
                os.kill(p.pid, number)
                check(not ends_within(p, 0.1), "it waits for pgwithd")
            finally:
                os.kill(d.pid, signal.SIGCONT)
            rows += 1
            equal(p.ended(), (0, "", ""), "%s, %s" % (number.name, how))
            equal(t.value("SELECT count(*) FROM t"), str(rows), "rows")
            quiet(d)


@test
def left_behind(t):
    """a connection that the program leaves behind is ended with the transaction, whatever it does"""
    t.sql("CREATE TABLE t (n int)")
    d = t.daemon(size=2)
    behind = ("%s -XAtq -c 'INSERT INTO t VALUES (1)' -c '\\! echo there' -c 'SELECT pg_sleep(60)' -c 'INSERT INTO t VALUES (2)' >%s 2>&1 &\n"
              "while ! grep -q there %s; do sleep 0.01; done\n" % (pg("psql"), t.path("out"), t.path("out")))
    began = time.monotonic()
    equal(run(d, "--pool", "db", "--", "sh", shell(t, behind))[0], 0, "status")
    check(time.monotonic() - began < 10 * slow_factor(), "at once")
    equal(t.value("SELECT count(*) FROM t"), "1", "what it had finished is kept")
    quiet(d)
    wait_until(lambda: "57P01" in open(t.path("out")).read() or "joined scope" in open(t.path("out")).read(), 5, "it is told")


@test
def full(t):
    """75 if no server connection becomes free in time"""
    d = t.daemon(size=1)
    c = t.client(d)
    c.sql("BEGIN")
    c.sql("SELECT 1")
    status, out, err = run(d, "--pool", "db", "--wait", "300ms", "--timeout", "300ms", "echo", "x")
    equal((status, out), (75, ""), err)
    p = Running(t, d, ("--pool", "db"), READY)
    wait_until(lambda: d.waiting() == 1, 5, "it waits")
    c.sql("COMMIT")
    equal(p.ready().finish()[0], 0, "then")


if __name__ == "__main__":
    main()
