"""pgwith-fixture as its clients see it: the process, logins, statements, transactions, parameters."""

import contextlib
import glob
import os
import signal
import socket
import struct

from pgwtest import Fixture, check, child, main, seconds, slow_factor, test, wire
from pgwtest.daemon import program
from pgwtest.raw import Raw, columns, ends, eq, kinds, parameters, states, status, tags, text, wait_for, warnings

SOURCE = os.environ.get("PGWITH_SRCDIR", os.getcwd())


# ---- the program ----------------------------------------------------------------------------------
@test
def command_line(t):
    """the command line: versions, help, wrong arguments, scripts that fail"""
    def run(*args):
        return child.run([program("pgwith-fixture"), *args])

    status, version, _ = run("--version")
    eq((status, version.split()[0]), (0, "pgwith-fixture"))
    eq(run("-v")[1], version)
    status, out, _ = run("--help")
    eq(status, 0)
    check("--init" in out, "the help: " + out)
    for args in ([], ["a", "b"], ["-x", "a"], ["-p", "0", "a"], ["-p", "70000", "a"], ["-p", "x", "a"]):
        status, _, err = run(*args)
        eq((args, status), (args, 2))
        check("usage:" in err, "%s: %s" % (args, err))
    eq(run("-l", "/nonexistent", ":memory:")[0], 1)
    eq(run("-l", "/tmp/" + "x" * 200, ":memory:")[0], 1)
    bad = t.path("bad.sql")
    with open(bad, "w") as f:
        f.write("CREATE TABLE t (a int);\n\nINSERT INTO nope VALUES (1);\n")
    status, _, err = run("-l", t.directory, "-i", bad, ":memory:")
    eq(status, 1)
    check("line=3" in err and "42P01" in err, err)
    eq(run("-l", t.directory, "/nonexistent/dir/db")[0], 1)
    eq(os.listdir(t.directory), ["bad.sql"])


@test
def one_server_for_a_socket(t):
    """there is one server for a socket"""
    s = t.fixture()
    status, _, err = child.run([program("pgwith-fixture"), "-l", s.sockets, "-p", str(s.port), ":memory:"])
    eq(status, 1)
    check("lock" in err, err)
    with Raw(s) as c:
        eq(text(c.ask("SELECT 1")), [("1",)])


@test
def end_of_the_process(t):
    """SIGTERM ends every session, whatever it does, and nothing is left"""
    s = t.fixture()
    idle, asleep, deaf, writer, waiter, slow = [Raw(s) for _ in range(6)]
    fresh = Raw(s, login=False)
    half = Raw(s)
    half.send(b"Q\0\0\1\0sel")
    asleep.send(wire.query("SELECT pg_sleep(1000)"))
    deaf.send(wire.query("SELECT fixture_delay(1000000)"))
    writer.ask("CREATE TABLE t (a int)")
    eq(status(writer.ask("BEGIN; INSERT INTO t VALUES (1)")), "T")
    waiter.send(wire.query("INSERT INTO t VALUES (2)"))
    slow.send(wire.query("SELECT * FROM fixture_rows(1000000, 10000)"))
    with Raw(s) as c:
        wait_for(lambda: text(c.ask("SELECT count(*) FROM pg_stat_activity WHERE state = 'active'")) == [("5",)],
                 "all are at work")
    mine = directories(s.pid)
    eq(len(mine), 1)
    took, _ = seconds(s.stop)
    check(took < 5 * slow_factor(), "it took %.1f s" % took)
    eq(states(idle.messages("E")), ["57P01"])
    eq(states(asleep.messages("E")), ["57P01"])
    for c in (fresh, half, slow):
        ends(c.sock)
    eq(sorted(os.listdir(s.sockets)), ["fixture.log"])
    eq([d for d in mine if os.path.exists(d)], [])
    for c in (idle, asleep, deaf, writer, waiter, slow, fresh, half):
        c.drop()


def directories(pid):
    """Where a server keeps its database in memory: another one may run beside it."""
    opened = set()
    for link in glob.glob("/proc/%d/fd/*" % pid):
        with contextlib.suppress(OSError):
            opened.add(os.path.dirname(os.readlink(link)))
    return [d for d in opened if os.path.basename(d).startswith("pgwith-fixture-")]


@test
def a_file_outlives_the_process(t):
    """a database in a file outlives the process, also one that is killed"""
    database = t.path("database")
    s = t.fixture(database=database)
    with Raw(s) as c:
        eq(tags(c.ask("CREATE TABLE t (a int); INSERT INTO t VALUES (1)")), ["CREATE TABLE", "INSERT 0 1"])
        c.ask("BEGIN; INSERT INTO t VALUES (2)")
        s.stop(signal.SIGKILL)
    again = Fixture(s.sockets, database)  # where the socket and the lock of the other are still
    t.defer(again.stop)
    with Raw(again) as c:
        eq(text(c.ask("SELECT a FROM t")), [("1",)])
    again.stop(signal.SIGINT)


@test
def scripts(t):
    """scripts are run at the start: those that the project has"""
    s = t.fixture(sql=[os.path.join(SOURCE, "sql", name) for name in ("demo.sql", "pgbench.sql")])
    with Raw(s) as c:
        eq(text(c.ask("SELECT count(*) FROM accounts")), [("4",)])
        eq(text(c.ask("SELECT count(*) FROM pgbench_accounts")), [("100000",)])
        eq(states(c.ask("INSERT INTO orders (account, item, price) VALUES (9, 'x', 1)")), ["23503"])


# ---- login ----------------------------------------------------------------------------------------
@test
def logins(t):
    """logins: negotiation, wrong ones, parameters, packets that are none"""
    s = t.fixture()
    with Raw(s, login=False, application_name="me") as c:
        for code in (5679, 5680):
            c.send(struct.pack("!II", 8, 1234 << 16 | code))
            eq(c.sock.recv(1), b"N")
        eq(kinds(c.login())[0], "R")
        eq(c.parameters["server_version"].split()[0], "15.0")
        eq((c.parameters["client_encoding"], c.parameters["server_encoding"], c.parameters["integer_datetimes"],
            c.parameters["standard_conforming_strings"], c.parameters["TimeZone"], c.parameters["application_name"],
            c.parameters["session_authorization"]),
           ("UTF8", "UTF8", "on", "on", "Etc/UTC", "me", "app"))
        eq(text(c.ask("SELECT pg_backend_pid(), current_database(), current_user")),
           [(str(c.key[0]), "orders", "app")])
    with Raw(s, login=False) as c:
        c.send(wire.startup_packet({"user": "app", "_pq_.tail": "1"}, 3 << 16 | 2))
        got = c.messages("Z")
        eq(got[0], ("v", struct.pack("!II", 3 << 16, 1) + b"_pq_.tail\0"))
    for wrong, sqlstate in (({"user": ""}, "28000"), ({"replication": "true"}, "0A000"), ({"nosuch": "1"}, "42704")):
        with Raw(s, login=False, **wrong) as c:
            eq(states(c.login()), [sqlstate])
            ends(c.sock)
    with Raw(s, options="-c statement_timeout=7s --search-path=a\\ b") as c:
        eq(text(c.ask("SHOW statement_timeout; SHOW search_path")), [("7s",), ("a b",)])
        eq(text(c.ask("SET statement_timeout = 0; RESET ALL; SHOW statement_timeout")), [("7s",)])
    for packet in (b"\0\0\0\4", b"\0\0\x27\x11", b"\xff\xff\xff\xff", struct.pack("!II", 9, 3 << 16) + b"x",
                   struct.pack("!II", 8, 1234 << 16 | 5678)):
        with Raw(s, login=False) as c:
            c.send(packet)
            c.sock.shutdown(socket.SHUT_WR)
            ends(c.sock)
    with Raw(s, login=False) as c:
        c.send(struct.pack("!II", 8, 2 << 16))
        eq(states(c.messages("E")), ["0A000"])


# ---- the simple protocol --------------------------------------------------------------------------
@test
def texts(t):
    """the simple protocol: texts of several statements, their tags and rows"""
    s = t.fixture()
    with Raw(s) as c:
        eq(kinds(c.ask("")), "IZ")
        eq(kinds(c.ask(" ; -- nothing\n /* a /* nested */ comment */ ;")), "IZ")
        got = c.ask("CREATE TABLE simple (id int PRIMARY KEY, v text); "
                    "INSERT INTO simple VALUES (1, 'a;b'), (2, $$it's$$); "
                    "UPDATE simple SET v = E'\\x41\\n' WHERE id = 2; SELECT * FROM simple; "
                    "DELETE FROM simple WHERE id = 1; DROP TABLE simple")
        eq(tags(got), ["CREATE TABLE", "INSERT 0 2", "UPDATE 1", "SELECT 2", "DELETE 1", "DROP TABLE"])
        eq(text(got), [("1", "a;b"), ("2", "A\n")])
        eq(status(got), "I")
        eq(tags(c.ask("CREATE TEMP TABLE tt AS SELECT * FROM generate_series(1, 7) g; "
                      "SELECT sum(g) FROM tt; CREATE UNIQUE INDEX ti ON tt USING btree (g); "
                      "CREATE OR REPLACE VIEW nope AS SELECT 1")),
           ["SELECT 7", "SELECT 1", "CREATE INDEX"])


@test
def types_of_results(t):
    """results have the types that PostgreSQL would give them"""
    s = t.fixture()
    with Raw(s) as c:
        c.ask("CREATE TABLE typed (a smallint, b bigint, c double precision, d numeric(10,2), "
              "e varchar(20), f boolean DEFAULT true, g bytea, h timestamptz, i date, j text)")
        c.ask("INSERT INTO typed VALUES (1, 2, 2.5, 10, 'e', false, '\\x00ff'::bytea, "
              "'2024-05-06 07:08:09.5+02', '2024-05-06', NULL)")
        got = c.ask("SELECT * FROM typed")
        eq([oid for _, oid, _ in columns(got)], [21, 20, 701, 1700, 1043, 16, 17, 1184, 1082, 25])
        eq(text(got), [("1", "2", "2.5", "10.00", "e", "f", "\\x00ff", "2024-05-06 05:08:09.5+00",
                        "2024-05-06", None)])
        got = c.ask("SELECT 1, 3000000000, 1.5, 'x', true, NULL, now(), a + 1, b::text, count(*), "
                    "a = 1 AS eq, CAST(a AS bigint), max(e), CASE WHEN a = 1 THEN 2.5::float8 END, "
                    "a || 'x', pg_sleep(0), (SELECT b FROM typed) FROM typed")
        eq([oid for _, oid, _ in columns(got)],
           [23, 20, 1700, 25, 16, 25, 1184, 20, 25, 20, 16, 20, 25, 701, 25, 2278, 20])
        eq([n for n, _, _ in columns(got)][6:11], ["now", "?column?", "b", "count", "eq"])
        got = c.ask("SELECT 'x' AS first, typed.*, 1 + 1 AS last FROM typed")
        eq((columns(got)[0][:2], columns(got)[1][:2], columns(got)[-1][:2]),
           (("first", 25), ("a", 21), ("last", 23)))
        eq(text(c.ask("SELECT '5'::int + 1, '12.50'::numeric, 'yes'::bool, 7::text || 'x', "
                      "-5::int, '2024-01-31 12:00+02'::timestamptz, 2.5::int, 3.5::int8")),
           [("6", "12.5", "t", "7x", "-5", "2024-01-31 10:00:00+00", "2", "4")])
        c.ask("DROP TABLE typed")


@test
def sqlstates(t):
    """errors have PostgreSQL's SQLSTATEs"""
    s = t.fixture()
    with Raw(s) as c:
        c.ask("CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (id serial PRIMARY KEY, "
              "p int NOT NULL REFERENCES parent, n int CHECK (n > 0) UNIQUE)")
        c.ask("INSERT INTO parent VALUES (1); INSERT INTO child (p, n) VALUES (1, 5)")
        for sql, wanted in (
                ("INSERT INTO parent VALUES (1)", "23505"),
                ("INSERT INTO child (p, n) VALUES (1, 5)", "23505"),
                ("INSERT INTO child (p) VALUES (2)", "23503"),
                ("DELETE FROM parent", "23503"),
                ("INSERT INTO child (p) VALUES (NULL)", "23502"),
                ("INSERT INTO child (p, n) VALUES (1, -1)", "23514"),
                ("SELECT * FROM nowhere", "42P01"), ("SELECT missing FROM child", "42703"),
                ("INSERT INTO child (missing) VALUES (1)", "42703"),
                ("SELECT nofunction(1)", "42883"), ("SELECT version(1)", "42883"),
                ("SELEC 1", "42601"), ("SELECT (", "42601"), ("SELECT 'open", "42601"),
                ("SELECT /* open", "42601"), ("SELECT a.id FROM child a, parent b WHERE id = 1", "42702"),
                ("CREATE TABLE child (a int)", "42P07"), ("CREATE TABLE t (a int, a int)", "42701"),
                ("SELECT 1 / 0", "22012"), ("SELECT 1 % (1 - 1)", "22012"), ("SELECT 'x'::int", "22P02"),
                ("SELECT 'x'::timestamptz", "22007"), ("SELECT 99999999999::int4", "22003"),
                ("SELECT 1::nosuchtype", "42704"), ("SELECT '1'::int[]", "0A000"),
                ("SELECT 9223372036854775807 + sum(x) FROM (SELECT 9223372036854775807 AS x UNION ALL "
                 "SELECT 1)", "22003"),
                ("COPY child TO STDOUT", "0A000"), ("LISTEN x", "0A000"), ("PRAGMA page_size", "0A000"),
                ("ATTACH 'x' AS y", "0A000"), ("DO $$begin end$$", "0A000"), ("PREPARE x AS SELECT 1", "0A000"),
                ("SELECT $1", "42P02"), ("SELECT :name", "42601"), ("SELECT fixture_error('P0001', 'no')", "P0001"),
                ("SHOW missing", "42704"), ("SET missing = 1", "42704"), ("SET server_version = 1", "55P02"),
                ("SET statement_timeout = 'soon'", "22023"), ("SET client_encoding = 'LATIN1'", "0A000"),
                ("DEALLOCATE missing", "26000"), ("CLOSE missing", "34000"), ("FETCH 1 FROM missing", "34000"),
                ("SAVEPOINT s", "25P01"), ("ROLLBACK TO s", "25P01"), ("RELEASE s", "25P01"),
                ("COMMIT AND CHAIN", "25P01"), ("DECLARE c CURSOR FOR SELECT 1", "25P01"),
                ("BEGIN SIDEWAYS", "42601"), ("START", "42601"), ("SET LOCAL", "42601"), ("DISCARD", "42601")):
            got = c.ask(sql)
            eq((sql, states(got) or warnings(got), status(got)),
               (sql, [wanted] if sql != "SET LOCAL" else ["25P01"], "I"))
        c.ask("DROP TABLE child; DROP TABLE parent")


# ---- transactions ---------------------------------------------------------------------------------
def count(c, table="t"):
    return int(text(c.ask(f"SELECT count(*) FROM {table}"))[0][0])


@test
def transactions(t):
    """transactions: their states, modes, chains; what a failed one lets go"""
    s = t.fixture()
    with Raw(s) as c, Raw(s) as other:
        c.ask("CREATE TABLE tx (a int UNIQUE)")
        eq(status(c.ask("BEGIN ISOLATION LEVEL SERIALIZABLE, READ WRITE, NOT DEFERRABLE")), "T")
        eq(text(c.ask("SHOW transaction_isolation")), [("serializable",)])
        got = c.ask("BEGIN")
        eq((warnings(got), tags(got)), (["25001"], ["BEGIN"]))
        c.ask("INSERT INTO tx VALUES (1)")
        eq(count(other, "tx"), 0)
        got = c.ask("COMMIT WORK")
        eq((tags(got), status(got)), (["COMMIT"], "I"))
        eq(count(other, "tx"), 1)
        eq(warnings(c.ask("COMMIT")) + warnings(c.ask("ROLLBACK")), ["25P01", "25P01"])
        # The failed state.
        c.ask("START TRANSACTION")
        c.ask("INSERT INTO tx VALUES (2)")
        got = c.ask("INSERT INTO tx VALUES (1)")
        eq((states(got), status(got)), (["23505"], "E"))
        for sql in ("SELECT 1", "BEGIN", "SAVEPOINT x", "SET work_mem = 1", "INSERT INTO tx VALUES (3)"):
            got = c.ask(sql)
            eq((sql, states(got), status(got)), (sql, ["25P02"], "E"))
        # PostgreSQL lets go of locks when the transaction fails, not when the client says so.
        eq(tags(other.ask("INSERT INTO tx VALUES (9)")), ["INSERT 0 1"])
        got = c.ask("COMMIT")
        eq((tags(got), status(got)), (["ROLLBACK"], "I"))
        eq(count(other, "tx"), 2)
        # Read only.
        c.ask("BEGIN READ ONLY")
        eq(states(c.ask("DELETE FROM tx")), ["25006"])
        c.ask("ROLLBACK")
        c.ask("BEGIN READ ONLY")
        eq(states(c.ask("SELECT * FROM tx FOR UPDATE")), ["25006"])
        c.ask("ROLLBACK")
        c.ask("SET default_transaction_read_only = on")
        eq(states(c.ask("CREATE TABLE no (a int)")), ["25006"])
        c.ask("RESET default_transaction_read_only")
        # AND CHAIN keeps the modes.
        c.ask("BEGIN READ ONLY")
        eq(status(c.ask("COMMIT AND CHAIN")), "T")
        eq(states(c.ask("DELETE FROM tx")), ["25006"])
        eq(status(c.ask("ABORT")), "I")
        c.ask("DROP TABLE tx")


@test
def savepoints(t):
    """savepoints, in good transactions and failed ones"""
    s = t.fixture()
    with Raw(s) as c:
        c.ask("CREATE TABLE sp (a int UNIQUE)")
        c.ask("BEGIN; INSERT INTO sp VALUES (1)")
        c.ask("SAVEPOINT one; INSERT INTO sp VALUES (2)")
        c.ask("SAVEPOINT \"Two\"; INSERT INTO sp VALUES (3)")
        eq(states(c.ask("RELEASE two")), ["3B001"])
        eq(status(c.ask("ROLLBACK TO SAVEPOINT \"Two\"")), "T")
        eq(count(c, "sp"), 2)
        eq(states(c.ask("INSERT INTO sp VALUES (1)")), ["23505"])
        eq(states(c.ask("RELEASE one")), ["25P02"])
        got = c.ask("ROLLBACK TRANSACTION TO one")
        eq((tags(got), status(got)), (["ROLLBACK"], "T"))
        eq(count(c, "sp"), 1)
        c.ask("INSERT INTO sp VALUES (4); SAVEPOINT one; INSERT INTO sp VALUES (5)")
        c.ask("ROLLBACK TO one")
        eq(tags(c.ask("RELEASE one; RELEASE one; COMMIT")), ["RELEASE", "RELEASE", "COMMIT"])
        eq(text(c.ask("SELECT a FROM sp ORDER BY a")), [("1",), ("4",)])
        c.ask("DROP TABLE sp")


@test
def several_statements_are_one_transaction(t):
    """several statements are one transaction"""
    s = t.fixture()
    with Raw(s) as c:
        c.ask("CREATE TABLE im (a int UNIQUE)")
        got = c.ask("INSERT INTO im VALUES (1); INSERT INTO im VALUES (1); INSERT INTO im VALUES (2)")
        eq((tags(got), states(got), status(got)), (["INSERT 0 1"], ["23505"], "I"))
        eq(count(c, "im"), 0)
        got = c.ask("INSERT INTO im VALUES (1); BEGIN; INSERT INTO im VALUES (2)")
        eq((warnings(got), status(got)), ([], "T"))
        c.ask("ROLLBACK")
        eq(count(c, "im"), 0)
        got = c.ask("INSERT INTO im VALUES (1); COMMIT; INSERT INTO im VALUES (1)")
        eq((warnings(got), states(got)), (["25P01"], ["23505"]))
        eq(count(c, "im"), 1)
        eq(states(c.ask("SELECT 1; VACUUM")), ["25001"])
        eq(tags(c.ask("VACUUM")), ["VACUUM"])
        c.ask("DROP TABLE im")


@test
def deferred_constraint_fails_the_commit(t):
    """deferred constraint fails the commit"""
    s = t.fixture()
    with Raw(s) as c:
        c.ask("CREATE TABLE dp (id int PRIMARY KEY); CREATE TABLE dc (p int REFERENCES dp (id) "
              "DEFERRABLE INITIALLY DEFERRED)")
        eq(tags(c.ask("BEGIN")) + tags(c.ask("INSERT INTO dc VALUES (7)")), ["BEGIN", "INSERT 0 1"])
        got = c.ask("COMMIT")
        eq((states(got), status(got)), (["23503"], "I"))
        eq(count(c, "dc"), 0)
        c.ask("DROP TABLE dc; DROP TABLE dp")


@test
def writers(t):
    """one writes after the other, and nobody on what is no longer true"""
    s = t.fixture()
    with Raw(s) as a, Raw(s) as b:
        a.ask("CREATE TABLE wr (id int PRIMARY KEY, v int); INSERT INTO wr VALUES (1, 0)")
        # One waits for the other and then sees its work.
        a.ask("BEGIN; UPDATE wr SET v = v + 1")
        b.send(wire.query("UPDATE wr SET v = v + 1"))
        eq(tags(a.ask("COMMIT")), ["COMMIT"])
        eq(tags(b.messages("Z")), ["UPDATE 1"])
        eq(text(a.ask("SELECT v FROM wr")), [("2",)])
        # Who has read what the other changed cannot write.
        a.ask("BEGIN; SELECT v FROM wr")
        b.ask("UPDATE wr SET v = v + 1")
        got = a.ask("UPDATE wr SET v = v + 1")
        eq((states(got), status(got)), (["40001"], "E"))
        a.ask("ROLLBACK")
        # FOR UPDATE takes the right to write.
        a.ask("BEGIN; SELECT v FROM wr WHERE id = 1 FOR UPDATE")
        eq(states(b.ask("SET lock_timeout = '50ms'; UPDATE wr SET v = 0")), ["55P03"])
        eq(tags(a.ask("UPDATE wr SET v = 10; COMMIT")), ["UPDATE 1", "COMMIT"])
        b.ask("SET lock_timeout = '50ms'")
        a.ask("BEGIN; LOCK TABLE wr IN EXCLUSIVE MODE")
        eq(states(b.ask("UPDATE wr SET v = 0")), ["55P03"])
        eq(text(b.ask("SELECT v FROM wr")), [("10",)])
        a.ask("COMMIT; DROP TABLE wr")


# ---- parameters -----------------------------------------------------------------------------------
@test
def settings(t):
    """parameters: SET, RESET, LOCAL, what a rollback takes back, what is told"""
    s = t.fixture()
    def show(name):
        return text(c.ask(f"SHOW {name}"))[0][0]
    with Raw(s, application_name="start") as c:
        eq(parameters(c.ask("SET application_name = 'a b'")), {"application_name": "a b"})
        eq(parameters(c.ask("SELECT 1")), {})
        eq(parameters(c.ask("RESET application_name")), {"application_name": "start"})
        c.ask("SET search_path TO \"$user\", other, public; SET my.own TO 'x'; SET work_mem = '1MB'")
        eq((show("search_path"), show("my.own"), show("WORK_MEM")), ('"$user", other, public', "x", "1MB"))
        c.ask("SET TIME ZONE 'Europe/Berlin'; SET NAMES 'utf-8'")
        eq((show("timezone"), show("client_encoding")), ("Europe/Berlin", "UTF8"))
        # What a transaction set goes with it; LOCAL goes in any case.
        c.ask("BEGIN; SET work_mem = '2MB'; SET LOCAL application_name = 'local'")
        eq((show("work_mem"), show("application_name")), ("2MB", "local"))
        eq(parameters(c.ask("ROLLBACK")), {"application_name": "start"})
        eq(show("work_mem"), "1MB")
        c.ask("BEGIN; SET work_mem = '2MB'; SAVEPOINT s; SET work_mem = '3MB'; SET LOCAL jit = on")
        c.ask("ROLLBACK TO s")
        eq((show("work_mem"), show("jit")), ("2MB", "off"))
        c.ask("SET LOCAL work_mem = '4MB'; COMMIT")
        eq(show("work_mem"), "2MB")
        eq(warnings(c.ask("SET LOCAL work_mem = '9MB'")), ["25P01"])
        eq(text(c.ask("SELECT set_config('work_mem', '5MB', false), current_setting('work_mem'), "
                      "current_setting('no.such', true)")), [("5MB", "5MB", None)])
        eq(tags(c.ask("DISCARD ALL")), ["DISCARD ALL"])
        eq((show("work_mem"), show("search_path")), ("4MB", '"$user", public'))
        c.ask("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY, ISOLATION LEVEL REPEATABLE READ")
        eq((show("transaction_read_only"), show("TRANSACTION ISOLATION LEVEL")), ("on", "repeatable read"))
        c.ask("BEGIN; SET TRANSACTION READ WRITE; CREATE TABLE pa (a int); COMMIT")
        check(len(text(c.ask("SHOW ALL"))) > 20, "SHOW ALL has many")
        c.ask("BEGIN; SET work_mem = '7MB'")
        eq(states(c.ask("DISCARD ALL")), ["25001"])
        c.ask("ROLLBACK; SET default_transaction_read_only = off; CREATE TEMP TABLE tmp (a int)")
        eq(tags(c.ask("DISCARD TEMP")), ["DISCARD TEMP"])
        eq(states(c.ask("SELECT * FROM tmp")), ["42P01"])
        c.ask("SET default_transaction_read_only = off")
        c.ask("DROP TABLE pa")


@test
def timeouts(t):
    """statement_timeout and idle_in_transaction_session_timeout"""
    s = t.fixture()
    with Raw(s) as c:
        c.ask("SET statement_timeout = '50ms'")
        for sql in ("SELECT pg_sleep(100)", "SELECT count(*) FROM fixture_rows(1000000000000, 1)"):
            took, got = seconds(c.ask, sql)
            eq(states(got), ["57014"])
            check(took < 10 * slow_factor(), "%s took %.1f s" % (sql, took))
        c.ask("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = '50ms'")
        eq(states(c.ask("BEGIN")), [])
        eq(states(c.messages("E")), ["25P03"])
        ends(c.sock)


if __name__ == "__main__":
    main()
