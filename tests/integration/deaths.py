"""Deaths: clients end at every message of random exchanges, between messages and inside of them, by themselves, by an
administrator's hand and by time limits. Then the next client on the same server connection asks numbered questions:
each must be answered by its own number, by nothing else, and once.

PGWITH_TEST_DEATHS is the number of deaths (2000; fewer in a sanitized build). The seed is that of the test (--seed);
a death alone: PGWITH_TEST_DEATH=its number, as the failure says it, and PGWITH_TEST_TIMES=how often."""

import os
import random
import re
import struct
import time

from pgwtest import check, main, note, sanitized, test, wire
from pgwtest.looks import Numbered

DEATHS = int(os.environ.get("PGWITH_TEST_DEATHS") or (300 if sanitized() else 2000))
ONLY = os.environ.get("PGWITH_TEST_DEATH")

SCHEMA = """
CREATE TABLE x (a int); CREATE TABLE big AS SELECT i, repeat('x', 1000) AS t FROM generate_series(1, 3000) i;
CREATE FUNCTION slow(int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT $1 FROM pg_sleep(0.03)';
"""

# ---- what clients do ---------------------------------------------------------------------------------
NAMES = ("s1", "s2", "S 3")


def texts(rng):
    return rng.choice((
        "SELECT 1", "SELECT 1, 2", "SELECT slow(3)", "SELECT pg_sleep(0.05)", "SELECT 1/0", "SELECT nonsense", "",
        "SELECT 1; SELECT slow(2); SELECT 3", "SELECT 1; SELECT 1/0; SELECT 3", "SELECT * FROM big", "SELEC", "; ;",
        "INSERT INTO x VALUES (1)", "DELETE FROM x", "INSERT INTO x SELECT slow(1); SELECT 2",
        "BEGIN", "COMMIT", "ROLLBACK", "BEGIN; SELECT 1; COMMIT", "SAVEPOINT a", "ROLLBACK TO a", "BEGIN; SELECT 1/0",
        "SET work_mem = '3MB'", "SET timezone = 'Asia/Tokyo'", "SET LOCAL work_mem = '5MB'", "RESET ALL",
        "SET search_path = nosuch", "SELECT set_config('app.x', '1', false)", "SET nonsense = 1",
        "LISTEN a", "NOTIFY a", "UNLISTEN *", "CREATE TEMP TABLE IF NOT EXISTS tt (a int)", "DISCARD TEMP",
        "SELECT pg_advisory_lock(1)", "PREPARE q1 AS SELECT 1", "EXECUTE q1", "DEALLOCATE q1", "DEALLOCATE s1",
        "DEALLOCATE \"S 3\"", "DEALLOCATE ALL", "DISCARD ALL", "DEALLOCATE s1; SELECT 1/0", "SELECT 1; DEALLOCATE s2",
        "DO $$BEGIN RAISE NOTICE 'x'; END$$", "DO $$BEGIN PERFORM set_config('work_mem', '7MB', false); END$$",
        "DECLARE c CURSOR WITH HOLD FOR SELECT * FROM big", "FETCH 5 FROM c", "CLOSE ALL",
        "COPY big TO STDOUT", "COPY (SELECT slow(1)) TO STDOUT"))


def scope_texts(rng):
    return rng.choice((
        "ENTER a", "ENTER b", "LEAVE", "LEAVE a", "LEAVE ALL", "LEAVE ALL ROLLBACK", "SHOW SCOPES", "ENTER LOCK 'l'",
        "ENTER a; SELECT 1; LEAVE", "ENTER a; SELECT 1/0", "SELECT 1; ENTER b; SELECT slow(1)", "ENTER a SUPPRESS",
        "DEFER 'SELECT slow(1)'", "DEFER 'SELECT 1/0'", "DEFER ON ROLLBACK 'INSERT INTO x VALUES (1)'", "USE a",
        "ENTER c NEW", "ENTER SEMAPHORE 'm' LIMIT 1", "SELECT 1; LEAVE; SELECT 2", "ENTER a DEADLINE '20ms'",
        "ENTER sc"))


def any_text(rng):
    return scope_texts(rng) if rng.random() < 0.15 else texts(rng)


def extended(rng):
    """Messages of the extended protocol, without their end."""
    name = rng.choice(("", "") + NAMES)
    portal = rng.choice(("", "", "p"))
    out = []
    if rng.random() < 0.8:
        out.append(wire.parse(any_text(rng), name))
    if rng.random() < 0.15:
        out.append(wire.describe("S", name))
    if rng.random() < 0.9:
        out.append(wire.bind(portal=portal, statement=name))
    if rng.random() < 0.4:
        out.append(wire.describe("P", portal))
    if rng.random() < 0.9:
        out.append(wire.execute(portal, rng.choice((0, 0, 1))))
    if rng.random() < 0.1:
        out.append(wire.close_(rng.choice("SP"), name))
    return out


def copy_in(rng):
    """A COPY FROM STDIN, sent ahead of its answers, by either protocol."""
    data = [wire.copy_data(rng.choice((b"1\n", b"2\n3\n", b"x\n", b"4", b"\n", b""))) for _ in range(rng.randrange(4))]
    end = rng.choice(([wire.copy_done()], [wire.copy_done()], [wire.copy_fail()], []))
    sql = rng.choice(("COPY x FROM STDIN", "COPY x FROM STDIN", "COPY nosuch FROM STDIN"))
    if rng.random() < 0.5:
        return [wire.query(sql)] + data + end
    out = [wire.parse(sql), wire.bind(), wire.execute()]
    if rng.random() < 0.4:
        out.append(rng.choice((wire.sync(), wire.flush())))
    return out + data + end + ([wire.sync()] if rng.random() < 0.8 else [])


def function_call():
    """pi()."""
    return wire.message("F", struct.pack("!ihhh", 1610, 0, 0, 0))


def messages(rng):
    """What a client sends, a list of whole messages."""
    out = []
    for _ in range(rng.randrange(1, 7)):
        way = rng.random()
        if way < 0.4:
            out.append(wire.query(any_text(rng)))
        elif way < 0.75:
            for _ in range(rng.randrange(1, 4)):
                out += extended(rng)
            out += rng.choice(([wire.sync()], [wire.sync()], [wire.flush()], []))
        elif way < 0.88:
            out += copy_in(rng)
        elif way < 0.92:
            out.append(function_call())
        elif way < 0.94:
            out.append(wire.query("SELECT length('%s')" % ("x" * rng.choice((60000, 66000, 150000)))))
        else:
            out.append(rng.choice((wire.sync(), wire.flush(), wire.copy_data(b"z"), wire.copy_done(), wire.sync() * 3)))
    return out


# What failed once: messages of the daemon's own that fail with the client's behind them.
OWN_FAILS = (
    # With pin = off it is refused by a statement of ours.
    [wire.query("SELECT slow(1)"), wire.parse("PREPARE q AS SELECT 1"), wire.query("SELECT 1"), wire.query("SELECT 2")],
    [wire.query("SELECT slow(1)"), wire.parse("LISTEN a"), wire.bind(), wire.execute(), wire.query("SELECT 1"),
     wire.query("SELECT 2"), wire.query("SELECT 3")],
    # A statement that the server lacks cannot be prepared where a transaction has failed.
    [wire.parse("SELECT 1", "s1"), wire.sync(), wire.parse("SELECT 2", "s2"), wire.sync(),
     wire.query("BEGIN; SELECT slow(1); SELECT 1/0"), wire.bind(statement="s1"), wire.execute(), wire.query("SELECT 1"),
     wire.query("SELECT 2"), wire.query("ROLLBACK"), wire.query("SELECT 3")],
    # Ahead of a DEALLOCATE stands what it deallocates.
    [wire.parse("SELECT 1", "s1"), wire.sync(), wire.query("BEGIN"), wire.query("SELECT slow(1/0)"),
     wire.query("DEALLOCATE s1"), wire.query("SELECT 1"), wire.query("ROLLBACK"), wire.query("SELECT 2")],
)


def an_exchange(rng):
    return list(rng.choice(OWN_FAILS)) if rng.random() < 0.15 else messages(rng)


# ---- how they die ------------------------------------------------------------------------------------
def cut(rng, whole):
    """How many bytes of it go, and whether that is at the end of a message."""
    ends = [0]
    for m in whole:
        ends.append(ends[-1] + len(m))
    i = rng.randrange(len(ends))
    if rng.random() < 0.7 or i == len(whole):
        return ends[i], True
    size = len(whole[i])
    inside = rng.choice((1, 2, 4, 5, 6, size // 2, size - 1))
    return ends[i] + min(inside, size - 1), False


def read_some(rng, c):
    """What comes within a moment."""
    c.sock.settimeout(rng.choice((0.001, 0.004, 0.02)))
    try:
        while c.sock.recv(262144):
            pass
    except (TimeoutError, OSError):
        pass


def die(rng, d, c, at_end, ways):
    way = rng.choice(ways)
    if rng.random() < 0.08:
        c.cancel()
    if way == "drop":
        c.sock.close()
    elif way == "terminate":
        try:
            if at_end:
                c.send(wire.terminate())
        except OSError:
            pass
        c.sock.close()
    elif way == "half":
        try:
            c.sock.shutdown(1)
        except OSError:
            pass
        read_some(rng, c)
        c.sock.close()
    elif way == "garbage":
        try:
            c.send(rng.choice((wire.message("?", b"x"), wire.message("S", b"x"), b"Q\0\0\0\1", wire.message("H", b"x"))))
        except OSError:
            pass
        read_some(rng, c)
        c.sock.close()
    elif way == "limit":
        # It stays until the limit has come.
        c.sock.settimeout(0.12)
        try:
            while c.sock.recv(262144):
                pass
        except (TimeoutError, OSError):
            pass
        c.sock.close()
    else:
        try:
            d.console("KILL %s %d" % (way, c.session))
        except wire.ServerError as e:
            # It may have gone by itself, or have no scope.
            check(e.sqlstate in ("42704", "55000"), "KILL: %s" % e)
        read_some(rng, c)
        c.sock.close()
    return way


# ---- the next one ------------------------------------------------------------------------------------
def another(d, **params):
    """A client that asks numbered questions."""
    return Numbered(d.connect(**params))


# ---- the tests ---------------------------------------------------------------------------------------
# Reasons to close a server that are no fault of the daemon's accounting.
ALLOWED = re.compile(r"the client left in the middle of a message|shutdown|the server closed the connection|retired|max_lifetime|idle_timeout|"
                     r"the server ended the session with a fatal error|"
                     r"ROLLBACK failed|killed by an administrator|it refused the parameters of the session")


def given_up(d):
    """What the daemon has logged since the last look that should not be."""
    with open(d.log, errors="replace") as f:
        f.seek(getattr(d, "looked", 0))
        lines = f.readlines()
        d.looked = f.tell()
    return [line for line in lines if "not used again" in line or "has left something" in line or
            (re.search(r"server \d+: closed", line) and not ALLOWED.search(line))]


def deaths(t, count, ways, options=None, **pool):
    if not t.sql("SELECT FROM pg_class WHERE relname = 'big'"):
        t.sql(SCHEMA)
    d = t.daemon(options=dict({"log_level": os.environ.get("PGWITH_TEST_LOG_LEVEL", "info")}, **(options or {})), scopes={"sc": {"enter": "SELECT slow(1)", "cleanup": "SELECT 1"}},
                 **dict({"cleanup_timeout": "3s", "wait_timeout": "20s"}, **pool))
    lookers = [another(d), another(d, timezone="Asia/Tokyo")] if pool.get("mode") != "session" else []
    seed = t.random.randrange(1 << 30)
    note("%d deaths, seed %d, %s %s" % (count, seed, options or "", pool))
    began = time.monotonic()
    for i in [int(ONLY)] * int(os.environ.get("PGWITH_TEST_TIMES") or 1) if ONLY else range(count):
        rng = random.Random(seed + i)
        whole = an_exchange(rng)
        bytes_sent, at_end = cut(rng, whole)
        c = d.connect(application_name="death %d" % i)
        data = b"".join(whole)[:bytes_sent]
        at = 0
        try:
            # In one write or in several, with or without a look at the answers.
            while at < len(data):
                n = len(data) if rng.random() < 0.6 else at + 1 + rng.randrange(len(data) - at)
                c.send(data[at:n])
                at = n
                if rng.random() < 0.3:
                    read_some(rng, c)
        except OSError:
            pass
        c.sock.settimeout(wire.read_timeout())
        way = die(rng, d, c, at_end, ways)
        c.sock.close()
        what = "death %d of seed %d (%s): %s" % (i, seed, way, [m[:60] for m in whole])
        who = rng.choice(lookers) if lookers and rng.random() < 0.9 else another(d)
        try:
            who.ask(rng, what)
        except (wire.Closed, ConnectionError, TimeoutError) as e:
            check(False, "%s: %r" % (what, e))
        if who not in lookers:
            who.client.close()
        bad = given_up(d)
        check(not bad, "%s: %s" % (what, bad))
    note("%.1f ms each" % (1000 * (time.monotonic() - began) / count))
    d.stop()


OWN = ("drop", "drop", "drop", "terminate", "half", "garbage")


@test(timeout=3600)
def by_themselves(t):
    """clients that go, with the default options"""
    t.unless_crashed(deaths, DEATHS // 4, OWN)


@test(timeout=3600)
def without_pins(t):
    """the same with pin = off and few prepared statements on a server"""
    t.unless_crashed(deaths, DEATHS // 4, OWN, options={"lazy_begin": "on"}, pin="off", max_prepared_statements=1)


@test(timeout=3600)
def of_sessions(t):
    """the same with mode = session"""
    t.unless_crashed(deaths, DEATHS // 8, OWN, mode="session")


@test(timeout=3600)
def by_an_administrator(t):
    """clients that are killed, or lose their scope"""
    t.unless_crashed(deaths, DEATHS // 4, ("SESSION", "SCOPE"), options={"lazy_begin": "on"}, max_prepared_statements=2)


@test(timeout=3600)
def by_time_limits(t):
    """clients that time limits end"""
    t.unless_crashed(deaths, DEATHS // 32, ("limit",), options={"lazy_begin": "on"}, query_timeout="30ms",
                     idle_in_scope_timeout="50ms", scope_deadline="70ms")
    t.unless_crashed(deaths, DEATHS // 32, ("limit", "drop"), query_timeout="20ms", pin="off")


main()
