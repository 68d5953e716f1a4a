#!/usr/bin/python3
"""pgwith-fixture as its clients see it: the real process, by hand and through real drivers. TAP."""
import contextlib
import glob
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rawpg import (Raw, Closed, SYNC, FLUSH, bind, close, columns, describe, execute, fields, kinds,
                   parse, rows, states, status, tags, warnings)

BUILD = os.environ.get("PGWITH_BUILDDIR", ".")
SOURCE = os.environ.get("PGWITH_SRCDIR", ".")
FIXTURE = os.path.join(BUILD, "src", "pgwith-fixture")
PORT = 5999
PG_BIN = "/usr/lib/postgresql/15/bin"


class Server:
    """One pgwith-fixture in a directory of its own."""

    def __init__(self, database=":memory:", scripts=(), directory=None):
        self.owned = directory is None
        self.directory = directory or tempfile.mkdtemp(prefix="fixture-test-")
        self.path = os.path.join(self.directory, f".s.PGSQL.{PORT}")
        self.log_path = os.path.join(self.directory, "log")
        args = [FIXTURE, "-d", "-l", self.directory, "-p", str(PORT)]
        for script in scripts:
            args += ["-i", script]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(args + [database], stderr=log)
        wait_for(lambda: self.reachable() or self.process.poll() is not None)
        if self.process.poll() is not None:
            raise RuntimeError("pgwith-fixture did not start: " + self.log())

    def reachable(self):
        """One that was killed has left its socket, so being there is not enough."""
        try:
            Raw(self.path).close()
            return True
        except OSError:
            return False

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def raw(self, **params):
        r = Raw(self.path)
        r.login(**params)
        return r

    def environment(self):
        return dict(os.environ, PGHOST=self.directory, PGPORT=str(PORT), PGUSER="app",
                    PGDATABASE="orders")

    def rss(self):
        """Resident memory, bytes."""
        with open(f"/proc/{self.process.pid}/statm") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def stop(self, sig=signal.SIGTERM):
        """Ends it. Its exit code; a sanitizer's complaint makes it other than 0."""
        if self.process.poll() is None:
            self.process.send_signal(sig)
        code = self.process.wait(30)
        return code

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.stop()
        finally:
            if self.owned:
                shutil.rmtree(self.directory, ignore_errors=True)


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("waited in vain")
        time.sleep(0.01)


def eq(got, wanted):
    assert got == wanted, f"got {got!r}, wanted {wanted!r}"


def text(messages):
    return [tuple(None if v is None else v.decode() for v in r) for r in rows(messages)]


def closed(sock):
    """The other side has closed: reading gives nothing more."""
    try:
        while sock.recv(65536):
            pass
        return True
    except ConnectionResetError:
        return True


def sanitized():
    with open(FIXTURE, "rb") as f:
        return b"__asan_init" in f.read()


class Skip(Exception):
    pass


# ---- the program ----------------------------------------------------------------------------------

def test_command_line(_):
    def run(*args):
        return subprocess.run([FIXTURE, *args], capture_output=True, text=True)
    r = run("--version")
    eq((r.returncode, r.stdout.split()[0]), (0, "pgwith-fixture"))
    eq(run("-v").stdout, r.stdout)
    r = run("--help")
    eq(r.returncode, 0)
    assert "--init" in r.stdout
    for args in ([], ["a", "b"], ["-x", "a"], ["-p", "0", "a"], ["-p", "70000", "a"], ["-p", "x", "a"]):
        r = run(*args)
        eq((args, r.returncode), (args, 2))
        assert "usage:" in r.stderr
    r = run("-l", "/nonexistent", ":memory:")
    eq(r.returncode, 1)
    r = run("-l", "/tmp/" + "x" * 200, ":memory:")
    eq(r.returncode, 1)
    with tempfile.TemporaryDirectory() as d:
        bad = os.path.join(d, "bad.sql")
        with open(bad, "w") as f:
            f.write("CREATE TABLE t (a int);\n\nINSERT INTO nope VALUES (1);\n")
        r = run("-l", d, "-i", bad, ":memory:")
        eq(r.returncode, 1)
        assert "line=3" in r.stderr and "42P01" in r.stderr, r.stderr
        r = run("-l", d, "/nonexistent/dir/db")
        eq(r.returncode, 1)
        eq(os.listdir(d), ["bad.sql"])


def test_one_server_for_a_socket(s):
    r = subprocess.run([FIXTURE, "-l", s.directory, "-p", str(PORT), ":memory:"],
                       capture_output=True, text=True)
    eq(r.returncode, 1)
    assert "lock" in r.stderr
    with s.raw() as c:
        eq(text(c.query("SELECT 1")), [("1",)])


def test_end_of_the_process(_):
    with Server() as s:
        idle, asleep, deaf, writer, waiter, slow = [s.raw() for _ in range(6)]
        fresh = Raw(s.path)
        half = s.raw()
        half.send(b"Q\0\0\1\0sel")
        asleep.put("Q", b"SELECT pg_sleep(1000)\0")
        deaf.put("Q", b"SELECT fixture_delay(1000000)\0")
        writer.query("CREATE TABLE t (a int)")
        eq(status(writer.query("BEGIN; INSERT INTO t VALUES (1)")), "T")
        waiter.put("Q", b"INSERT INTO t VALUES (2)\0")
        slow.put("Q", b"SELECT * FROM fixture_rows(1000000, 10000)\0")
        with s.raw() as c:
            wait_for(lambda: text(c.query("SELECT count(*) FROM pg_stat_activity WHERE "
                                          "state = 'active'")) == [("5",)])
        mine = directories(s.process.pid)
        eq(len(mine), 1)
        started = time.monotonic()
        eq(s.stop(), 0)
        assert time.monotonic() - started < (20 if sanitized() else 5)
        eq(states(idle.until("E")), ["57P01"])
        eq(states(asleep.until("E")), ["57P01"])
        assert closed(fresh.sock) and closed(half.sock) and closed(slow.sock)
        eq(sorted(os.listdir(s.directory)), ["log"])
    eq([d for d in mine if os.path.exists(d)], [])


def directories(pid):
    """Where a server keeps its database in memory: another one may run beside it."""
    opened = set()
    for link in glob.glob(f"/proc/{pid}/fd/*"):
        with contextlib.suppress(OSError):
            opened.add(os.path.dirname(os.readlink(link)))
    return [d for d in opened if os.path.basename(d).startswith("pgwith-fixture-")]


def test_a_file_outlives_the_process(_):
    with tempfile.TemporaryDirectory() as d:
        database = os.path.join(d, "db")
        with Server(database, directory=d) as s:
            with s.raw() as c:
                eq(tags(c.query("CREATE TABLE t (a int); INSERT INTO t VALUES (1)")),
                   ["CREATE TABLE", "INSERT 0 1"])
                c.query("BEGIN; INSERT INTO t VALUES (2)")
                s.stop(signal.SIGKILL)
        with Server(database, directory=d) as s:
            with s.raw() as c:
                eq(text(c.query("SELECT a FROM t")), [("1",)])
            eq(s.stop(signal.SIGINT), 0)


def test_scripts(_):
    with Server(scripts=[f"{SOURCE}/sql/demo.sql", f"{SOURCE}/sql/pgbench.sql"]) as s:
        with s.raw() as c:
            eq(text(c.query("SELECT count(*) FROM accounts")), [("4",)])
            eq(text(c.query("SELECT count(*) FROM pgbench_accounts")), [("100000",)])
            eq(states(c.query("INSERT INTO orders (account, item, price) VALUES (9, 'x', 1)")),
               ["23503"])


# ---- login ----------------------------------------------------------------------------------------

def test_login(s):
    with Raw(s.path) as c:
        for code in (5679, 5680):
            c.send(struct.pack("!II", 8, 1234 << 16 | code))
            eq(c.recv(1), b"N")
        eq(kinds(c.login(application_name="me"))[0], "R")
        eq(c.params["server_version"].split()[0], "15.0")
        eq((c.params["client_encoding"], c.params["server_encoding"], c.params["integer_datetimes"],
            c.params["standard_conforming_strings"], c.params["TimeZone"], c.params["application_name"],
            c.params["session_authorization"]),
           ("UTF8", "UTF8", "on", "on", "Etc/UTC", "me", "app"))
        eq(text(c.query("SELECT pg_backend_pid(), current_database(), current_user")),
           [(str(c.key[0]), "orders", "app")])
    with Raw(s.path) as c:
        c.send(c.startup(version=3 << 16 | 2, user="app", **{"_pq_.tail": "1"}))
        got = c.until("Z")
        eq(got[0], ("v", struct.pack("!II", 3 << 16, 1) + b"_pq_.tail\0"))
    with Raw(s.path) as c:
        eq(states(c.login(user="")), ["28000"])
        assert closed(c.sock)
    with Raw(s.path) as c:
        eq(states(c.login(replication="true")), ["0A000"])
    with Raw(s.path) as c:
        eq(states(c.login(nosuch="1")), ["42704"])
    with s.raw(options="-c statement_timeout=7s --search-path=a\\ b") as c:
        eq(text(c.query("SHOW statement_timeout; SHOW search_path")), [("7s",), ("a b",)])
        eq(text(c.query("SET statement_timeout = 0; RESET ALL; SHOW statement_timeout")), [("7s",)])
    for packet in (b"\0\0\0\4", b"\0\0\x27\x11", b"\xff\xff\xff\xff", struct.pack("!II", 9, 3 << 16) + b"x",
                   struct.pack("!II", 8, 1234 << 16 | 5678)):
        with Raw(s.path) as c:
            c.send(packet)
            c.sock.shutdown(socket.SHUT_WR)
            assert closed(c.sock)
    with Raw(s.path) as c:
        c.send(struct.pack("!II", 8, 2 << 16))
        eq(states(c.until("E")), ["0A000"])


# ---- the simple protocol --------------------------------------------------------------------------

def test_simple(s):
    with s.raw() as c:
        eq(kinds(c.query("")), "IZ")
        eq(kinds(c.query(" ; -- nothing\n /* a /* nested */ comment */ ;")), "IZ")
        got = c.query("CREATE TABLE simple (id int PRIMARY KEY, v text); "
                      "INSERT INTO simple VALUES (1, 'a;b'), (2, $$it's$$); "
                      "UPDATE simple SET v = E'\\x41\\n' WHERE id = 2; SELECT * FROM simple; "
                      "DELETE FROM simple WHERE id = 1; DROP TABLE simple")
        eq(tags(got), ["CREATE TABLE", "INSERT 0 2", "UPDATE 1", "SELECT 2", "DELETE 1", "DROP TABLE"])
        eq(text(got), [("1", "a;b"), ("2", "A\n")])
        eq(status(got), "I")
        eq(tags(c.query("CREATE TEMP TABLE tt AS SELECT * FROM generate_series(1, 7) g; "
                        "SELECT sum(g) FROM tt; CREATE UNIQUE INDEX ti ON tt USING btree (g); "
                        "CREATE OR REPLACE VIEW nope AS SELECT 1")),
           ["SELECT 7", "SELECT 1", "CREATE INDEX"])


def test_types_of_results(s):
    with s.raw() as c:
        c.query("CREATE TABLE typed (a smallint, b bigint, c double precision, d numeric(10,2), "
                "e varchar(20), f boolean DEFAULT true, g bytea, h timestamptz, i date, j text)")
        c.query("INSERT INTO typed VALUES (1, 2, 2.5, 10, 'e', false, '\\x00ff'::bytea, "
                "'2024-05-06 07:08:09.5+02', '2024-05-06', NULL)")
        got = c.query("SELECT * FROM typed")
        eq([oid for _, oid, _ in columns(got)], [21, 20, 701, 1700, 1043, 16, 17, 1184, 1082, 25])
        eq(text(got), [("1", "2", "2.5", "10.00", "e", "f", "\\x00ff", "2024-05-06 05:08:09.5+00",
                        "2024-05-06", None)])
        got = c.query("SELECT 1, 3000000000, 1.5, 'x', true, NULL, now(), a + 1, b::text, count(*), "
                      "a = 1 AS eq, CAST(a AS bigint), max(e), CASE WHEN a = 1 THEN 2.5::float8 END, "
                      "a || 'x', pg_sleep(0), (SELECT b FROM typed) FROM typed")
        eq([oid for _, oid, _ in columns(got)],
           [23, 20, 1700, 25, 16, 25, 1184, 20, 25, 20, 16, 20, 25, 701, 25, 2278, 20])
        eq([n for n, _, _ in columns(got)][6:11], ["now", "?column?", "b", "count", "eq"])
        got = c.query("SELECT 'x' AS first, typed.*, 1 + 1 AS last FROM typed")
        eq((columns(got)[0][:2], columns(got)[1][:2], columns(got)[-1][:2]),
           (("first", 25), ("a", 21), ("last", 23)))
        eq(text(c.query("SELECT '5'::int + 1, '12.50'::numeric, 'yes'::bool, 7::text || 'x', "
                        "-5::int, '2024-01-31 12:00+02'::timestamptz, 2.5::int, 3.5::int8")),
           [("6", "12.5", "t", "7x", "-5", "2024-01-31 10:00:00+00", "2", "4")])
        c.query("DROP TABLE typed")


def test_sqlstates(s):
    with s.raw() as c:
        c.query("CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (id serial PRIMARY KEY, "
                "p int NOT NULL REFERENCES parent, n int CHECK (n > 0) UNIQUE)")
        c.query("INSERT INTO parent VALUES (1); INSERT INTO child (p, n) VALUES (1, 5)")
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
            got = c.query(sql)
            eq((sql, states(got) or warnings(got), status(got)),
               (sql, [wanted] if sql != "SET LOCAL" else ["25P01"], "I"))
        c.query("DROP TABLE child; DROP TABLE parent")


# ---- transactions ---------------------------------------------------------------------------------

def count(c, table="t"):
    return int(text(c.query(f"SELECT count(*) FROM {table}"))[0][0])


def test_transactions(s):
    with s.raw() as c, s.raw() as other:
        c.query("CREATE TABLE tx (a int UNIQUE)")
        eq(status(c.query("BEGIN ISOLATION LEVEL SERIALIZABLE, READ WRITE, NOT DEFERRABLE")), "T")
        eq(text(c.query("SHOW transaction_isolation")), [("serializable",)])
        got = c.query("BEGIN")
        eq((warnings(got), tags(got)), (["25001"], ["BEGIN"]))
        c.query("INSERT INTO tx VALUES (1)")
        eq(count(other, "tx"), 0)
        got = c.query("COMMIT WORK")
        eq((tags(got), status(got)), (["COMMIT"], "I"))
        eq(count(other, "tx"), 1)
        eq(warnings(c.query("COMMIT")) + warnings(c.query("ROLLBACK")), ["25P01", "25P01"])
        # The failed state.
        c.query("START TRANSACTION")
        c.query("INSERT INTO tx VALUES (2)")
        got = c.query("INSERT INTO tx VALUES (1)")
        eq((states(got), status(got)), (["23505"], "E"))
        for sql in ("SELECT 1", "BEGIN", "SAVEPOINT x", "SET work_mem = 1", "INSERT INTO tx VALUES (3)"):
            got = c.query(sql)
            eq((sql, states(got), status(got)), (sql, ["25P02"], "E"))
        # PostgreSQL lets go of locks when the transaction fails, not when the client says so.
        eq(tags(other.query("INSERT INTO tx VALUES (9)")), ["INSERT 0 1"])
        got = c.query("COMMIT")
        eq((tags(got), status(got)), (["ROLLBACK"], "I"))
        eq(count(other, "tx"), 2)
        # Read only.
        c.query("BEGIN READ ONLY")
        eq(states(c.query("DELETE FROM tx")), ["25006"])
        c.query("ROLLBACK")
        c.query("BEGIN READ ONLY")
        eq(states(c.query("SELECT * FROM tx FOR UPDATE")), ["25006"])
        c.query("ROLLBACK")
        c.query("SET default_transaction_read_only = on")
        eq(states(c.query("CREATE TABLE no (a int)")), ["25006"])
        c.query("RESET default_transaction_read_only")
        # AND CHAIN keeps the modes.
        c.query("BEGIN READ ONLY")
        eq(status(c.query("COMMIT AND CHAIN")), "T")
        eq(states(c.query("DELETE FROM tx")), ["25006"])
        eq(status(c.query("ABORT")), "I")
        c.query("DROP TABLE tx")


def test_savepoints(s):
    with s.raw() as c:
        c.query("CREATE TABLE sp (a int UNIQUE)")
        c.query("BEGIN; INSERT INTO sp VALUES (1)")
        c.query("SAVEPOINT one; INSERT INTO sp VALUES (2)")
        c.query("SAVEPOINT \"Two\"; INSERT INTO sp VALUES (3)")
        eq(states(c.query("RELEASE two")), ["3B001"])
        eq(status(c.query("ROLLBACK TO SAVEPOINT \"Two\"")), "T")
        eq(count(c, "sp"), 2)
        eq(states(c.query("INSERT INTO sp VALUES (1)")), ["23505"])
        eq(states(c.query("RELEASE one")), ["25P02"])
        got = c.query("ROLLBACK TRANSACTION TO one")
        eq((tags(got), status(got)), (["ROLLBACK"], "T"))
        eq(count(c, "sp"), 1)
        c.query("INSERT INTO sp VALUES (4); SAVEPOINT one; INSERT INTO sp VALUES (5)")
        c.query("ROLLBACK TO one")
        eq(tags(c.query("RELEASE one; RELEASE one; COMMIT")), ["RELEASE", "RELEASE", "COMMIT"])
        eq(text(c.query("SELECT a FROM sp ORDER BY a")), [("1",), ("4",)])
        c.query("DROP TABLE sp")


def test_several_statements_are_one_transaction(s):
    with s.raw() as c:
        c.query("CREATE TABLE im (a int UNIQUE)")
        got = c.query("INSERT INTO im VALUES (1); INSERT INTO im VALUES (1); INSERT INTO im VALUES (2)")
        eq((tags(got), states(got), status(got)), (["INSERT 0 1"], ["23505"], "I"))
        eq(count(c, "im"), 0)
        got = c.query("INSERT INTO im VALUES (1); BEGIN; INSERT INTO im VALUES (2)")
        eq((warnings(got), status(got)), ([], "T"))
        c.query("ROLLBACK")
        eq(count(c, "im"), 0)
        got = c.query("INSERT INTO im VALUES (1); COMMIT; INSERT INTO im VALUES (1)")
        eq((warnings(got), states(got)), (["25P01"], ["23505"]))
        eq(count(c, "im"), 1)
        eq(states(c.query("SELECT 1; VACUUM")), ["25001"])
        eq(tags(c.query("VACUUM")), ["VACUUM"])
        c.query("DROP TABLE im")


def test_deferred_constraint_fails_the_commit(s):
    with s.raw() as c:
        c.query("CREATE TABLE dp (id int PRIMARY KEY); CREATE TABLE dc (p int REFERENCES dp (id) "
                "DEFERRABLE INITIALLY DEFERRED)")
        eq(tags(c.query("BEGIN")) + tags(c.query("INSERT INTO dc VALUES (7)")), ["BEGIN", "INSERT 0 1"])
        got = c.query("COMMIT")
        eq((states(got), status(got)), (["23503"], "I"))
        eq(count(c, "dc"), 0)
        c.query("DROP TABLE dc; DROP TABLE dp")


def test_writers(s):
    with s.raw() as a, s.raw() as b:
        a.query("CREATE TABLE wr (id int PRIMARY KEY, v int); INSERT INTO wr VALUES (1, 0)")
        # One waits for the other and then sees its work.
        a.query("BEGIN; UPDATE wr SET v = v + 1")
        b.put("Q", b"UPDATE wr SET v = v + 1\0")
        eq(tags(a.query("COMMIT")), ["COMMIT"])
        eq(tags(b.until("Z")), ["UPDATE 1"])
        eq(text(a.query("SELECT v FROM wr")), [("2",)])
        # Who has read what the other changed cannot write.
        a.query("BEGIN; SELECT v FROM wr")
        b.query("UPDATE wr SET v = v + 1")
        got = a.query("UPDATE wr SET v = v + 1")
        eq((states(got), status(got)), (["40001"], "E"))
        a.query("ROLLBACK")
        # FOR UPDATE takes the right to write.
        a.query("BEGIN; SELECT v FROM wr WHERE id = 1 FOR UPDATE")
        eq(states(b.query("SET lock_timeout = '50ms'; UPDATE wr SET v = 0")), ["55P03"])
        eq(tags(a.query("UPDATE wr SET v = 10; COMMIT")), ["UPDATE 1", "COMMIT"])
        b.query("SET lock_timeout = '50ms'")
        a.query("BEGIN; LOCK TABLE wr IN EXCLUSIVE MODE")
        eq(states(b.query("UPDATE wr SET v = 0")), ["55P03"])
        eq(text(b.query("SELECT v FROM wr")), [("10",)])
        a.query("COMMIT; DROP TABLE wr")


# ---- parameters -----------------------------------------------------------------------------------

def told(messages):
    return dict(body.decode().split("\0")[:2] for kind, body in messages if kind == "S")


def test_parameters(s):
    def show(name):
        return text(c.query(f"SHOW {name}"))[0][0]
    with s.raw(application_name="start") as c:
        eq(told(c.query("SET application_name = 'a b'")), {"application_name": "a b"})
        eq(told(c.query("SELECT 1")), {})
        eq(told(c.query("RESET application_name")), {"application_name": "start"})
        c.query("SET search_path TO \"$user\", other, public; SET my.own TO 'x'; SET work_mem = '1MB'")
        eq((show("search_path"), show("my.own"), show("WORK_MEM")), ('"$user", other, public', "x", "1MB"))
        c.query("SET TIME ZONE 'Europe/Berlin'; SET NAMES 'utf-8'")
        eq((show("timezone"), show("client_encoding")), ("Europe/Berlin", "UTF8"))
        # What a transaction set goes with it; LOCAL goes in any case.
        c.query("BEGIN; SET work_mem = '2MB'; SET LOCAL application_name = 'local'")
        eq((show("work_mem"), show("application_name")), ("2MB", "local"))
        eq(told(c.query("ROLLBACK")), {"application_name": "start"})
        eq(show("work_mem"), "1MB")
        c.query("BEGIN; SET work_mem = '2MB'; SAVEPOINT s; SET work_mem = '3MB'; SET LOCAL jit = on")
        c.query("ROLLBACK TO s")
        eq((show("work_mem"), show("jit")), ("2MB", "off"))
        c.query("SET LOCAL work_mem = '4MB'; COMMIT")
        eq(show("work_mem"), "2MB")
        eq(warnings(c.query("SET LOCAL work_mem = '9MB'")), ["25P01"])
        eq(text(c.query("SELECT set_config('work_mem', '5MB', false), current_setting('work_mem'), "
                        "current_setting('no.such', true)")), [("5MB", "5MB", None)])
        eq(tags(c.query("DISCARD ALL")), ["DISCARD ALL"])
        eq((show("work_mem"), show("search_path")), ("4MB", '"$user", public'))
        c.query("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY, ISOLATION LEVEL REPEATABLE READ")
        eq((show("transaction_read_only"), show("TRANSACTION ISOLATION LEVEL")), ("on", "repeatable read"))
        c.query("BEGIN; SET TRANSACTION READ WRITE; CREATE TABLE pa (a int); COMMIT")
        assert len(text(c.query("SHOW ALL"))) > 20
        c.query("BEGIN; SET work_mem = '7MB'")
        eq(states(c.query("DISCARD ALL")), ["25001"])
        c.query("ROLLBACK; SET default_transaction_read_only = off; CREATE TEMP TABLE tmp (a int)")
        eq(tags(c.query("DISCARD TEMP")), ["DISCARD TEMP"])
        eq(states(c.query("SELECT * FROM tmp")), ["42P01"])
        c.query("SET default_transaction_read_only = off")
        c.query("DROP TABLE pa")


def test_timeouts(s):
    with s.raw() as c:
        c.query("SET statement_timeout = '50ms'")
        started = time.monotonic()
        eq(states(c.query("SELECT pg_sleep(100)")), ["57014"])
        eq(states(c.query("SELECT count(*) FROM fixture_rows(1000000000000, 1)")), ["57014"])
        assert time.monotonic() - started < 10
        c.query("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = '50ms'")
        eq(states(c.query("BEGIN")), [])
        eq(states(c.until("E")), ["25P03"])
        assert closed(c.sock)


# ---- the extended protocol ------------------------------------------------------------------------

def test_extended(s):
    with s.raw() as c:
        c.query("CREATE TABLE ext (a int PRIMARY KEY, b text); INSERT INTO ext SELECT g, 'v' || g FROM "
                "generate_series(1, 10) g")
        # Everything in one go.
        c.send(parse("SELECT a, b FROM ext WHERE a > $1::int ORDER BY a", "q") + describe("S", "q") +
               bind([b"7"], name="q") + describe("P") + execute() + SYNC)
        got = c.until("Z")
        eq(kinds(got), "1tT2TDDDCZ")
        eq(got[1][1], struct.pack("!HI", 1, 23))
        eq(columns(got), [("a", 23, 0), ("b", 25, 0)])
        eq(text(got), [("8", "v8"), ("9", "v9"), ("10", "v10")])
        # Binary both ways, named portal, row limit, resumption.
        c.send(bind([struct.pack("!i", 4)], portal="p", name="q", formats=[1], results=[1, 0]) +
               execute("p", 4) + execute("p", 4) + execute("p", 4) + SYNC)
        got = c.until("Z")
        eq(kinds(got), "2DDDDsDDCCZ")
        eq([r[0] for r in rows(got)], [struct.pack("!i", n) for n in range(5, 11)])
        eq(tags(got), ["SELECT 2", "SELECT 0"])
        # The portal went with its transaction; in a block it stays.
        c.send(execute("p") + SYNC)
        eq(states(c.until("Z")), ["34000"])
        c.query("BEGIN")
        c.send(bind([b"0"], portal="p", name="q") + execute("p", 3) + SYNC)
        eq(kinds(c.until("Z")), "2DDDsZ")
        c.send(execute("p", 3) + close("P", "p") + SYNC)
        eq(kinds(c.until("Z")), "DDDs3Z")
        c.query("COMMIT")
        # Nothing is answered before Sync or Flush.
        c.send(bind([b"9"], name="q") + execute())
        c.sock.settimeout(0.2)
        try:
            c.recv(1)
            raise AssertionError("an answer without Flush")
        except socket.timeout:
            pass
        c.sock.settimeout(20)
        c.send(FLUSH)
        eq([c.get()[0] for _ in range(3)], ["2", "D", "C"])
        c.send(SYNC)
        eq(kinds(c.until("Z")), "Z")
        # An error skips up to Sync and undoes the whole batch.
        c.send(parse("DELETE FROM ext") + bind() + execute() + parse("SELECT nope FROM ext") + bind() +
               execute() + close("S", "q") + SYNC + parse("SELECT count(*) FROM ext") + bind() + execute() + SYNC)
        got = c.until("Z")
        eq((kinds(got), states(got), status(got)), ("12CEZ", ["42703"], "I"))
        eq(text(c.until("Z")), [("10",)])
        # In a block the error fails it.
        c.query("BEGIN")
        c.send(parse("SELECT 1 / $1::int", "div") + bind([b"0"], name="div") + execute() + SYNC)
        got = c.until("Z")
        eq((states(got), status(got)), (["22012"], "E"))
        c.send(bind([b"1"], name="div") + SYNC)
        eq(states(c.until("Z")), ["25P02"])
        c.send(parse("ROLLBACK") + bind() + execute() + SYNC)
        got = c.until("Z")
        eq((tags(got), status(got)), (["ROLLBACK"], "I"))
        # Names, empty statements, several in one.
        c.send(parse("SELECT 1", "q") + SYNC)
        eq(states(c.until("Z")), ["42P05"])
        c.send(close("S", "q") + close("S", "never") + bind(name="q") + SYNC)
        got = c.until("Z")
        eq((kinds(got), states(got)), ("33EZ", ["26000"]))
        c.send(parse("") + describe("S") + bind() + describe("P") + execute() + SYNC)
        eq(kinds(c.until("Z")), "1tn2nIZ")
        c.send(parse("SELECT 1; SELECT 2") + SYNC)
        eq(states(c.until("Z")), ["42601"])
        c.send(parse("SELECT 1") + bind([b"1"]) + SYNC)
        eq(states(c.until("Z")), ["08P01"])
        c.send(parse("INSERT INTO ext VALUES ($1, $2) RETURNING a, b") + bind([b"11", None]) +
               describe("P") + execute() + SYNC)
        got = c.until("Z")
        eq((text(got), tags(got)), ([("11", None)], ["INSERT 0 1"]))
        c.query("DROP TABLE ext")


def test_binary(s):
    with s.raw() as c:
        cases = ((16, b"\1", "true"), (21, struct.pack("!h", -2), "-2"), (23, struct.pack("!i", -3), "-3"),
                 (20, struct.pack("!q", 1 << 40), str(1 << 40)), (701, struct.pack("!d", 0.1), "0.1"),
                 (25, "é".encode(), "é"), (17, b"\0\xff", "\\x00ff"), (1082, struct.pack("!i", 1), "2000-01-02"),
                 (1184, struct.pack("!q", 1500000), "2000-01-01 00:00:01.5+00"),
                 (1700, struct.pack("!HhHHHH", 2, 0, 0x4000, 2, 12, 5000), "-12.5"),
                 (2950, bytes(range(16)), "00010203-0405-0607-0809-0a0b0c0d0e0f"),
                 (3802, b"\1{}", "{}"))
        for oid, binary, plain in cases:
            c.send(parse("SELECT $1", oids=[oid]) + bind([binary], formats=[1]) + describe("P") + execute() +
                   bind([plain.encode()], results=[1]) + describe("P") + execute() + SYNC)
            got = c.until("Z")
            eq((oid, states(got)), (oid, []))
            eq([r[0] for r in rows(got)],
               [{"true": "t"}.get(plain, plain).encode(),
                binary if oid != 1700 else struct.pack("!HhHHHH", 2, 0, 0x4000, 1, 12, 5000)])
            eq(columns(got)[0][1], oid)
        for oid, bad in ((23, b"\1"), (1184, b""), (1700, b"\0\1\0\0\0\0\0\0"), (3802, b"x"), (600, b"x")):
            c.send(parse("SELECT $1", oids=[oid]) + bind([bad], formats=[1]) + SYNC)
            assert states(c.until("Z"))[0] in ("22P03", "0A000"), oid
        c.send(parse("SELECT $1", oids=[25]) + bind([b"a\0b"]) + SYNC)
        eq(states(c.until("Z")), ["22021"])


def test_cursors(s):
    with s.raw() as c:
        eq(tags(c.query("BEGIN; DECLARE c CURSOR FOR SELECT * FROM generate_series(1, 10) g")),
           ["BEGIN", "DECLARE CURSOR"])
        got = c.query("FETCH 3 FROM c; FETCH NEXT FROM c; FETCH FORWARD ALL IN c; FETCH c; CLOSE c")
        eq(tags(got), ["FETCH 3", "FETCH 1", "FETCH 6", "FETCH 0", "CLOSE CURSOR"])
        eq([v for (v,) in text(got)], [str(n) for n in range(1, 11)])
        eq(states(c.query("DECLARE c CURSOR WITH HOLD FOR SELECT 1")), ["0A000"])
        c.query("ROLLBACK")


# ---- cancelling and vanishing ---------------------------------------------------------------------

def active(s, where="state = 'active' AND pid <> pg_backend_pid()"):
    with s.raw() as c:
        return int(text(c.query(f"SELECT count(*) FROM pg_stat_activity WHERE {where}"))[0][0])


def test_cancel(s):
    with s.raw() as c, s.raw() as holder:
        c.query("CREATE TABLE ca (a int)")
        holder.query("BEGIN; INSERT INTO ca VALUES (1)")
        for sql in ("SELECT pg_sleep(1000)", "SELECT count(*) FROM generate_series(1, 100000000000)",
                    "INSERT INTO ca VALUES (2)"):
            c.put("Q", sql.encode() + b"\0")
            wait_for(lambda: active(s) == 1)
            # A wrong key does nothing.
            assert closed(c.cancel((c.key[0], c.key[1] ^ 1)).sock)
            eq(active(s), 1)
            started = time.monotonic()
            assert closed(c.cancel().sock)
            eq((sql, states(c.until("Z"))), (sql, ["57014"]))
            assert time.monotonic() - started < (5 if sanitized() else 1)
        # One that comes between two queries hits neither.
        assert closed(c.cancel().sock)
        eq(text(c.query("SELECT 1")), [("1",)])
        holder.query("ROLLBACK; DROP TABLE ca")
        # Nor with a cursor open, which keeps a statement of SQLite's running.
        c.query("BEGIN; DECLARE k CURSOR FOR SELECT * FROM generate_series(1, 1000) g; FETCH 1 FROM k")
        for _ in range(20):
            late = c.cancel()
            c.query("SELECT 1")
            assert closed(late.sock)
            if status(c.query("SELECT 1")) == "E":
                break  # it came while SELECT 1 ran, which is right
            eq((states(c.query("SELECT count(*) FROM generate_series(1, 10000)")), tags(c.query("FETCH 1 FROM k"))),
               ([], ["FETCH 1"]))
        c.query("ROLLBACK")
        # In the middle of the extended protocol.
        c.send(parse("SELECT pg_sleep(1000)") + bind() + execute() + SYNC)
        wait_for(lambda: active(s) == 1)
        assert closed(c.cancel().sock)
        got = c.until("Z")
        eq((kinds(got), states(got)), ("12EZ", ["57014"]))


def test_late_cancel(s):
    with s.raw() as c, s.raw() as d:
        d.query("SELECT fixture_late_cancel(300)")
        c.put("Q", b"SELECT pg_sleep(1000)\0")
        wait_for(lambda: active(s) == 1)
        started = time.monotonic()
        late = c.cancel()
        eq(states(c.until("Z")), ["57014"])
        assert time.monotonic() - started >= 0.3
        assert closed(late.sock)
        # It hits whatever runs by then.
        late = c.cancel()
        c.put("Q", b"SELECT pg_sleep(1000)\0")
        eq(states(c.until("Z")), ["57014"])
        assert closed(late.sock)
        d.query("SELECT fixture_late_cancel(0)")


def test_terminate(s):
    with s.raw() as c, s.raw() as d:
        eq(text(c.query(f"SELECT pg_terminate_backend({d.key[0]})")), [("t",)])
        eq(states(d.until("E")), ["57P01"])
        assert closed(d.sock)
        eq(text(c.query("SELECT pg_terminate_backend(1), pg_cancel_backend(-5)")), [("f", "f")])


def test_client_vanishes(s):
    with s.raw() as c:
        c.query("CREATE TABLE va (a int)")
        gone = s.raw()
        gone.query("BEGIN; INSERT INTO va VALUES (1)")
        gone.close()
        # Waits for the writer that is gone: its transaction is rolled back.
        eq(tags(c.query("INSERT INTO va VALUES (2)")), ["INSERT 0 1"])
        eq(text(c.query("SELECT a FROM va")), [("2",)])
        half = s.raw()
        half.query("BEGIN; INSERT INTO va VALUES (3)")
        half.send(b"Q\0\0\0\x30COMMIT")
        half.close()
        eq(tags(c.query("DELETE FROM va")), ["DELETE 1"])
        c.query("DROP TABLE va")


# ---- mischief -------------------------------------------------------------------------------------

def test_mischief(s):
    with s.raw() as c:
        def number(what):
            return int(text(c.query(f"SELECT fixture_count('{what}')"))[0][0])
        refused = number("refused")
        c.query("SELECT fixture_refuse_logins(2, '53300', 'full up')")
        for _ in range(2):
            with Raw(s.path) as d:
                got = d.login()
                eq((states(got), fields(got[-1][1])["M"], fields(got[-1][1])["S"]),
                   (["53300"], "full up", "FATAL"))
        s.raw().close()
        eq(number("refused") - refused, 2)
        c.query("SELECT fixture_refuse_logins(-1)")
        for _ in range(3):
            with Raw(s.path) as d:
                eq(states(d.login()), ["57P03"])
        c.query("SELECT fixture_refuse_logins(0)")
        c.query("SELECT fixture_login_delay(200)")
        started = time.monotonic()
        s.raw().close()
        assert time.monotonic() - started >= 0.2
        c.query("SELECT fixture_login_delay(0)")
        wait_for(lambda: text(c.query("SELECT count(*) FROM pg_stat_activity")) == [("1",)])
        c.query("SELECT fixture_max_connections(2)")
        with s.raw(), Raw(s.path) as d:
            eq(states(d.login()), ["53300"])
        c.query("SELECT fixture_max_connections(0)")
        # Deaf while it sleeps, hit when it wakes.
        with s.raw() as d:
            started = time.monotonic()
            d.put("Q", b"SELECT fixture_delay(300)\0")
            wait_for(lambda: active(s) == 1)
            assert closed(d.cancel().sock)
            eq(states(d.until("Z")), ["57014"])
            assert time.monotonic() - started >= 0.3
        cancels = number("cancels")
        assert closed(c.cancel().sock)
        eq(number("cancels"), cancels + 1)
        with s.raw() as d:
            d.put("Q", b"SELECT 1; SELECT fixture_drop()\0")
            try:
                d.until("Z")
                raise AssertionError("the connection was not dropped")
            except Closed as e:
                assert 0 < len(e.args[0]), "dropped between two messages"


# ---- much and strange -----------------------------------------------------------------------------

def test_large_results_are_streamed(s):
    total = (64 if sanitized() else 400) << 20
    with s.raw() as c:
        c.query("SELECT * FROM fixture_rows(100, 10000)")
        before = s.rss()
        c.put("Q", f"SELECT * FROM fixture_rows({total >> 14}, 16384)\0".encode())
        most = 0
        got = 0
        last = b""
        while not last.endswith(b"Z\0\0\0\5I"):
            part = c.sock.recv(1 << 20)
            assert part
            got += len(part)
            last = (last + part)[-6:]
            if got % 97 == 0:
                most = max(most, s.rss())
        assert got > total
        if not sanitized():
            assert max(most, s.rss()) - before < 8 << 20, (before, most)
        # One large value both ways.
        size = 30 << 20
        c.send(parse("SELECT $1, length($1)", oids=[25]) + bind([b"y" * size]) + execute() + SYNC)
        (value, length), = rows(c.until("Z"))
        eq((len(value), length), (size, str(size).encode()))


def test_hostile_bytes(s):
    seed = int(os.environ.get("FIXTURE_SEED", random.randrange(1 << 30)))
    print(f"# seed {seed}")
    rng = random.Random(seed)
    good = [parse("SELECT $1::int"), bind([b"1"]), execute(), describe("P"), describe("S"), close("P"), SYNC,
            FLUSH, Raw.message("Q", b"SELECT 1; SELECT 'x'::text, 1/2 FROM generate_series(1,3) g\0"),
            Raw.message("Q", b"BEGIN; SET LOCAL work_mem = '1MB'; SAVEPOINT a; ROLLBACK TO a; COMMIT\0"),
            parse("SELECT CAST('5' AS numeric), E'\\x41', $a$b$a$, date '2024-01-01' FOR UPDATE", "n"),
            Raw.message("F", b"\0\0"), Raw.message("d", b"x")]
    for _ in range(150 if sanitized() else 400):
        with s.raw() as c:
            data = bytearray(b"".join(rng.choices(good, k=rng.randrange(1, 12))))
            for _ in range(rng.randrange(0, 8)):
                at = rng.randrange(len(data))
                kind = rng.randrange(3)
                if kind == 0:
                    data[at] = rng.randrange(256)
                elif kind == 1:
                    del data[at:at + rng.randrange(1, 5)]
                else:
                    data[at:at] = rng.randbytes(rng.randrange(1, 5))
                if not data:
                    data = bytearray(b"?")
            try:
                c.send(bytes(data))
                c.sock.shutdown(socket.SHUT_WR)
                closed(c.sock)
            except (BrokenPipeError, ConnectionResetError):
                pass
    with s.raw() as c:
        eq(text(c.query("SELECT 1")), [("1",)])
        # Deep and long, within one message.
        for sql in ("SELECT " + "(" * 20000, "SELECT " + "1::int" + "::int" * 20000,
                    "SELECT " + "(SELECT " * 3000 + "1", "/*" * 50000, "SELECT " + "-" * 3 + "\n1",
                    "SELECT " + "/(" * 200000, "SELECT " + "CAST(" * 200000, "SELECT " + "x::int(" * 100000,
                    "SELECT 1" + "/1" * 5000, "SELECT 'x' " + "CASE " * 5000, ";" * 100000, "$" * 5000,
                    "SELECT $65536", "SELECT ?1", "SELECT @x", "SELECT " + "a." * 5000 + "b",
                    "SELECT " + ",".join(["1"] * 3000)):
            kind = c.query(sql)[-1][0]
            eq(kind, "Z")
        eq(text(c.query("SELECT 2")), [("2",)])


def test_many_sessions(s):
    many = [s.raw() for _ in range(200)]
    eq([text(c.query("SELECT 7")) for c in many], [[("7",)]] * 200)
    for c in many:
        c.close()
    wait_for(lambda: active(s, "pid <> pg_backend_pid()") == 0)


# ---- real clients ---------------------------------------------------------------------------------

def test_psycopg(s):
    try:
        import psycopg
        from psycopg import errors
    except ImportError:
        raise Skip("psycopg 3 is not installed")
    import datetime
    import decimal
    conninfo = f"host={s.directory} port={PORT} user=app dbname=orders"
    with psycopg.connect(conninfo) as c:
        c.execute("CREATE TABLE py (a int, b text, c bytea, d date, e boolean, f numeric(8,2), g timestamptz)")
        now = datetime.datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=datetime.timezone.utc)
        values = (1, "zwö", b"\0\1", datetime.date(2024, 5, 6), True, decimal.Decimal("1.25"), now)
        c.execute("INSERT INTO py VALUES (%s, %s, %s, %s, %s, %s, %s)", values)
        for binary in (False, True):
            eq(c.cursor(binary=binary).execute("SELECT * FROM py").fetchone(), values)
        c.execute("INSERT INTO py VALUES (%b, %b, %b, %b, %b, %b, %b)", values)
        eq(c.execute("SELECT 1, 'x', 2.5::float8, now() IS NULL").fetchone(), (1, "x", 2.5, False))
        try:
            with c.transaction():
                c.execute("DELETE FROM py")
                c.execute("SELECT 1 / 0")
            raise AssertionError("no error")
        except errors.DivisionByZero:
            pass
        eq(c.execute("SELECT count(*) FROM py").fetchone(), (2,))
        c.commit()
        for i in range(20):  # prepares after the fifth
            eq(c.execute("SELECT %s::int + 1", (i,)).fetchone(), (i + 1,))
        with c.pipeline():
            cursors = [c.execute("SELECT %s::int", (i,)) for i in range(10)]
        eq([cur.fetchone()[0] for cur in cursors], list(range(10)))
        with c.cursor("named") as cur:
            cur.itersize = 10
            cur.execute("SELECT g FROM generate_series(1, 35) g")
            eq([r[0] for r in cur], list(range(1, 36)))
        c.commit()
        timer = threading.Timer(0.1, c.cancel)
        timer.start()
        try:
            c.execute("SELECT pg_sleep(1000)")
            raise AssertionError("not cancelled")
        except errors.QueryCanceled:
            pass
        timer.join()
        c.rollback()
        c.execute("DROP TABLE py")


def tool(name):
    path = shutil.which(name) or shutil.which(name, path=PG_BIN)
    if path is None:
        raise Skip(f"{name} is not installed")
    return path


def test_psql(s):
    r = subprocess.run([tool("psql"), "-XAtq", "-v", "ON_ERROR_STOP=1"], env=s.environment(), text=True,
                       input="SELECT 1;\n\\set x 5\nSELECT :x + 1, current_database();\n\\conninfo\n",
                       capture_output=True)
    eq((r.returncode, r.stdout.split("\n")[:2]), (0, ["1", "6|orders"]))


def test_pgbench(_):
    pgbench = tool("pgbench")
    with Server(scripts=[f"{SOURCE}/sql/pgbench.sql"]) as s:
        for mode in ("simple", "extended", "prepared"):
            for args in (["-S"], []):
                r = subprocess.run([pgbench, "-M", mode, "-c", "4", "-j", "2", "-t", "50", *args],
                                   env=s.environment(), capture_output=True, text=True)
                eq((mode, args, r.returncode), (mode, args, 0))
                assert "processed: 200/200" in r.stdout and "failed transactions: 0" in r.stdout, r.stdout
        with s.raw() as c:
            got = text(c.query("SELECT (SELECT sum(bbalance) FROM pgbench_branches), "
                               "(SELECT sum(tbalance) FROM pgbench_tellers), "
                               "(SELECT sum(abalance) FROM pgbench_accounts)"))
            eq(len(set(got[0])), 1)


# ---- TAP ------------------------------------------------------------------------------------------

def main():
    tests = [(n[5:].replace("_", " "), f) for n, f in globals().items() if n.startswith("test_")]
    wanted = sys.argv[1:]
    if wanted:
        tests = [t for t in tests if t[0].replace(" ", "_") in wanted]
    print(f"1..{len(tests)}", flush=True)
    failures = 0
    with Server() as shared:
        for number, (name, test) in enumerate(tests, 1):
            try:
                test(shared)
                print(f"ok {number} - {name}", flush=True)
            except Skip as e:
                print(f"ok {number} - {name} # SKIP {e}", flush=True)
            except Exception:
                failures += 1
                for line in traceback.format_exc().rstrip().split("\n"):
                    print("# " + line)
                print(f"not ok {number} - {name}", flush=True)
        code = shared.stop()
        if code != 0 or failures:
            print(f"# the shared server ended with {code}; its last lines:")
            for line in shared.log().split("\n")[-30:]:
                print("# " + line)
    return 1 if failures or code != 0 else 0


if __name__ == "__main__":
    sys.exit(main())
