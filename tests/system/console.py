"""The console and pgwith from outside: every table at every level, PgBouncer's columns and types, the
extended protocol, many clients, and bytes that no driver sends."""

import csv
import io
import json
import os
import select
import socket
import struct
import time

import psycopg
import psycopg2

from pgwtest import (Closed, ServerError, check, child, equal, main, note, test, unavailable,
                     wait_until, wire)
from pgwtest.daemon import SANITIZE_ENV, program

HERE = os.path.dirname(os.path.abspath(__file__))
NOBODY = 65534
TABLES = ("POOLS", "CLIENTS", "SERVERS", "DATABASES", "LISTS", "STATS", "STATS_TOTALS",
          "STATS_AVERAGES", "TOTALS", "SCOPES", "LOCKS", "WAITS", "SCOPE_STATS", "TIMES", "CONFIG", "CLUSTERS", "LIMITS",
          "STATE", "ERRORS", "LOGINS", "HEALTH", "HELD", "MEM", "SOCKETS", "USERS", "VERSION", "LEVEL",
          "HELP")
SECRET = "never-to-be-shown"


def pgbouncer():
    """What PgBouncer 1.18 answers: table to [(column, type oid)]. tests/system/pgbouncer-1.18.txt was
    taken from Debian's package."""
    tables = {}
    with open(os.path.join(HERE, "pgbouncer-1.18.txt")) as f:
        for line in f:
            if line.strip() and not line.startswith("#"):
                name, *columns = line.split()
                tables[name] = [tuple(c.split(":")) for c in columns]
    return tables


def start(t, size=2, options=None, **pool):
    """pgwithd on pgwith-fixture, and a pool without a server."""
    f = t.fixture()
    top = {"admin_users": "boss", "stats_users": "watcher"}
    top.update(options or {})
    return t.daemon(top, {
        "db": {"conninfo": "host=%s port=%d dbname=main user=postgres password=%s"
               % (f.sockets, f.port, SECRET), "size": size, **pool},
        "dead": {"conninfo": "host=%s dbname=x user=postgres" % t.path("nowhere"),
                 "retry_delay": "10min"}})


class Somebody:
    """What is done inside is done by another user of the operating system: root, and the daemon's
    own user, are administrators whatever their role."""

    def __enter__(self):
        if os.geteuid() != 0:
            unavailable("only root can be somebody else")
        os.seteuid(NOBODY)

    def __exit__(self, *exc):
        os.seteuid(0)


def console(t, d, user="watcher"):
    with Somebody():
        c = d.connect("pgwith", user=user)
    t.defer(c.close)
    return c


def described(c, sql):
    """[(name, oid)] of a simple query's RowDescription, and its rows."""
    c.send(wire.query(sql))
    while True:
        kind, body = c.read()
        if kind == "T":
            break
        check(kind != "E", "%s: an error" % sql)
    at, found = 2, []
    for _ in range(struct.unpack(">H", body[:2])[0]):
        end = body.index(b"\0", at)
        found.append((body[at:end].decode(),
                      str(struct.unpack(">I", body[end + 7:end + 11])[0])))
        at = end + 19
    return found, c.until_ready().rows


@test
def columns(t):
    """every table begins with PgBouncer's columns, in its order and of its types"""
    d = start(t)
    d.connect("db").sql("SELECT 1")
    c = console(t, d)
    for name, want in pgbouncer().items():
        got, rows = described(c, "SHOW " + name)
        equal(got[:len(want)], want, "columns of SHOW " + name)
        check(rows, "SHOW %s has rows" % name)
    for name in ("STATE", "HELP"):
        check(described(c, "SHOW " + name)[1], "SHOW %s has rows" % name)


@test
def levels(t):
    """administrators and stats users may look; a stranger gets in, and may not"""
    d = start(t)
    for user in ("boss", "watcher"):
        c = console(t, d, user)
        for name in TABLES:
            r = c.ask("SHOW " + name)
            equal((r.errors, r.tags, r.status), ([], ["SHOW"], "I"), "SHOW %s as %s" % (name, user))
    for user in ("stranger", "bos", "boss2", "nobody"):
        e = console(t, d, user).ask("SHOW POOLS").errors[0]
        equal((e.severity, e.sqlstate), ("ERROR", "42501"), "as " + user)
    equal(d.console("SHOW VERSION").tags, ["SHOW"], "root in any role")


@test
def spelling(t):
    """case, space, comments and semicolons do not matter; several statements are answered in turn"""
    d = start(t)
    c = console(t, d)
    want = c.ask("SHOW VERSION").rows
    for sql in ("show version", "  Show\n\tVersion ; ", "/* a /* b */ */ SHOW -- x\n VERSION;;"):
        equal(c.ask(sql).rows, want, sql)
    r = c.ask("SHOW VERSION; BEGIN; SHOW LISTS; SET application_name = 'a;b'; SELECT 7; COMMIT")
    equal((r.tags, r.errors, r.status), (["SHOW", "BEGIN", "SHOW", "SET", "SELECT 1", "COMMIT"], [],
                                         "I"), "many statements")
    equal(r.rows[-1], ("7",), "SELECT 7")
    r = c.ask("SHOW VERSION; SHOW NONSENSE; SHOW VERSION")
    equal((r.tags, r.errors[0].sqlstate, r.kinds[-2:]), (["SHOW"], "42601", "EZ"), "the first error ends")
    for sql in ("", " ", ";", "-- x"):
        equal(c.ask(sql).kinds, "IZ", "an empty query: %r" % sql)
    for sql, meant in (("SHOW POLS", "SHOW POOLS"), ("clients", "SHOW CLIENTS"),
                       ("SHOW CONFIGS", "SHOW CONFIG"), ("SHO VERSION", "SHOW VERSION")):
        check('"%s"' % meant in c.ask(sql).errors[0].hint, "what %s may have meant" % sql)
    for sql in ("SHOW POOLS x", "SELECT", "SELECT 1, 2", "SELECT version()", "SELECT 'a'",
                "SELECT 99999999999999999999", "DROP TABLE x", "PAUSES", "'", '"', "SHOW 'POOLS'"):
        e = c.ask(sql).errors
        equal([x.sqlstate for x in e], ["42601"], sql)


@test
def blocks(t):
    """BEGIN and COMMIT show in ReadyForQuery, and change nothing else"""
    d = start(t)
    c = console(t, d)
    for sql, status in (("BEGIN", "T"), ("SHOW VERSION", "T"), ("SHOW NONSENSE", "T"),
                        ("SAVEPOINT a", "T"), ("ROLLBACK TO a", "T"), ("ROLLBACK", "I"),
                        ("START TRANSACTION READ ONLY", "T"), ("END", "I"), ("COMMIT", "I")):
        equal(c.ask(sql).status, status, "after " + sql)


@test
def extended(t):
    """the extended protocol: descriptions, formats, row limits, names, errors up to Sync"""
    d = start(t)
    c = console(t, d)
    full = c.ask("SHOW LISTS")
    r = c.ask_extended("SHOW LISTS;")
    equal((r.errors, r.columns, len(r.rows), r.tags), ([], full.columns, len(full.rows), ["SHOW"]),
          "unnamed")
    c.send(wire.parse("SHOW LISTS", "s") + wire.describe("S", "s") + wire.bind(statement="s") +
           wire.execute(limit=10) + wire.execute(limit=10) + wire.execute(limit=3) +
           wire.execute() + wire.sync())
    r = c.until_ready()
    equal(r.kinds, "1tT2" + "D" * 10 + "s" + "D" * 10 + "s" + "D" * 3 + "s" +
          "D" * (len(full.rows) - 23) + "CZ", "in portions")
    equal([x[0] for x in r.rows], [x[0] for x in full.rows], "all rows")
    for what, message, state in (
            ("an unknown command", wire.parse("SHOW NONSENSE"), "42601"),
            ("two commands", wire.parse("SHOW LISTS; SHOW LISTS"), "42601"),
            ("a statement twice", wire.parse("SHOW LISTS", "s"), "42P05"),
            ("no such statement", wire.bind(statement="t"), "26000"),
            ("no such statement", wire.describe("S", "t"), "26000"),
            ("no such portal", wire.describe("P", "t"), "34000"),
            ("no such portal", wire.execute("t"), "34000"),
            ("a portal twice", wire.bind(portal="p", statement="s") * 2, "42P03"),
            ("parameters", wire.bind(("1",), statement="s"), "0A000"),
            ("a long name", wire.parse("SHOW LISTS", "n" * 64), "0A000")):
        c.send(message + wire.execute() + wire.query("SHOW VERSION") + wire.sync())
        r = c.until_ready()
        equal((r.kinds[-2:], [e.sqlstate for e in r.errors]), ("EZ", [state]), what)
        check("D" not in r.kinds, "%s: what follows is skipped" % what)
    c.send(wire.close_("S", "s") + wire.close_("S", "s") + wire.close_("P", "p") +
           wire.bind(statement="s") + wire.sync())
    r = c.until_ready()
    equal((r.kinds, r.errors[0].sqlstate), ("333EZ", "26000"), "closed")
    c.send(wire.parse("") + wire.bind() + wire.describe() + wire.execute() + wire.flush())
    equal(c.until("I").kinds, "12nI", "an empty statement, handed out by Flush")
    c.send(wire.sync())
    equal(c.until_ready().kinds, "Z", "Sync")
    c.send(wire.close_("S") + b"".join(wire.parse("SHOW VERSION", "n%d" % i) for i in range(300)) +
           wire.sync())
    r = c.until_ready()
    equal((r.kinds.count("1"), [e.sqlstate for e in r.errors]), (256, ["0A000"]), "their number is bounded")
    c.send(wire.message("F", b"\0\0\0\1\0\0\0\0\0\0"))
    r = c.until_ready()
    equal(([e.sqlstate for e in r.errors], r.status), (["0A000"], "I"), "a function call")


@test
def drivers(t):
    """psycopg 3 and psycopg2 as they come: prepared, binary, in transactions"""
    d = start(t)
    d.connect("db").sql("SELECT 1")
    dsn = d.dsn("pgwith", "watcher")
    with psycopg.connect(dsn) as conn:
        for name in TABLES:
            text, binary = (conn.execute("SHOW " + name, prepare=True, binary=b) for b in (False, True))
            names = [x.name for x in text.description]
            steady = [i for i, n in enumerate(names) if not n.endswith(("_us", "_time", "sent",
                                                                        "received", "queries", "_ms"))]
            a, b = ([[row[i] for i in steady] for row in cur.fetchall()] for cur in (text, binary))
            if name not in ("TOTALS", "STATE"):
                equal(b, a, "binary results of SHOW " + name)
        conn.commit()
        with conn.transaction(), conn.transaction():
            for _ in range(10):  # prepared by itself after five
                conn.execute("SHOW POOLS")
        try:
            conn.execute("SHOW NONSENSE")
            check(False, "an error must come")
        except psycopg.errors.SyntaxError as e:
            check("SHOW HELP" in e.diag.message_hint, "the hint")
        conn.rollback()
        equal(conn.execute("SHOW server_encoding").fetchone()[0], "UTF8", "a parameter")
        equal(conn.execute("SELECT 1").fetchone()[0], 1, "a ping")
        with conn.pipeline():
            curs = [conn.execute("SHOW LISTS") for _ in range(20)]
        check(all(cur.fetchall() for cur in curs), "a pipeline")
    old = psycopg2.connect(dsn)
    with old, old.cursor() as cur:
        cur.execute("SHOW POOLS")
        equal(len(cur.fetchall()), 2, "psycopg2")
    old.close()


@test
def meanings(t):
    """who is leased, waiting, idle and linked to whom is told truly"""
    d = start(t, size=1)
    holder = t.client(d, application_name="holder")
    idle, waiter = t.client(d), t.client(d)

    def sums():
        row = [s for s in d.show("STATS") if s["database"] == "db"][0]
        return [int(row["total_%s_count" % k]) for k in ("xact", "query", "wait")]
    before = sums()
    holder.sql("BEGIN")
    waiter.send(wire.query("SELECT 1"))
    wait_until(lambda: d.waiting() == 1, 10, "one waits")
    pool = d.pool()
    equal([pool[k] for k in ("cl_active", "cl_waiting", "cl_idle", "sv_active", "sv_idle", "size")],
          [1, 1, 1, 1, 0, 1], "SHOW POOLS")
    clients = {c["state"]: c for c in d.clients()}
    equal(sorted(clients), ["idle", "idle in transaction", "waiting"], "states of clients")
    server = d.servers()[0]
    equal((server["state"], server["status"], server["link"], server["ptr"], server["session"]),
          ("leased", "T", clients["idle in transaction"]["ptr"], clients["idle in transaction"]["link"], clients["idle in transaction"]["id"]),
          "SHOW SERVERS")
    equal((clients["idle in transaction"]["application_name"], clients["idle in transaction"]["remote_pid"]),
          ("holder", str(os.getpid())), "the holder")
    with open("/proc/self/comm") as f:
        equal(clients["idle in transaction"]["program"], f.read().strip(), "its program")
    wait_until(lambda: int(d.pool()["maxwait_us"]) > 1000, 10, "the wait grows")
    check(int([c for c in d.clients() if c["state"] == "waiting"][0]["wait_us"]) > 0, "its wait")
    lists = {r["list"]: int(r["items"]) for r in d.show("LISTS")}
    equal([lists[k] for k in ("databases", "pools", "idle_clients", "waiting_clients", "active_clients",
                              "console_clients", "used_servers", "leased_servers")],
          [2, 2, 1, 1, 1, 1, 1, 1], "SHOW LISTS")
    holder.sql("COMMIT")
    equal(waiter.until_ready().errors, [], "the waiter")
    equal([a - b for a, b in zip(sums(), before)], [2, 3, 1], "SHOW STATS")
    config = {(c["section"], c["key"]): c for c in d.show("CONFIG")}
    equal(config["pool db", "size"]["value"], "1", "SHOW CONFIG")
    check(config["pool db", "size"]["source"].startswith(d.conf + ":"), "the line that set it")
    equal(config["pool db", "min_size"]["source"], "default", "what is not set")
    equal(idle.value("SELECT 1"), "1", "the idle one")


@test
def scopes(t):
    """SHOW SCOPES, LOCKS, SCOPE_STATS and the scope stack in SHOW CLIENTS"""
    d = start(t, size=3)
    c, waiter, plain = (t.client(d, user=u) for u in ("app", "web", "old"))
    for sql in ("ENTER a DEADLINE '1h'", "CREATE TABLE x (i int)", "DEFER 'SELECT 1'", "ENTER b", "ENTER c NEW", "ENTER LOCK 'l' SHARED",
                "ENTER SEMAPHORE 's' LIMIT 2", "USE a"):
        c.sql(sql)
    plain.sql("BEGIN; SELECT 1")
    plain.sql("ENTER LOCK 'l' SHARED AS mine")
    waiter.send(wire.query("ENTER LOCK 'l' AS wanted"))
    wait_until(lambda: [x for x in d.show("LOCKS") if x["state"] == "waiting"], 10, "one waits")
    me = str(os.getpid())
    rows = d.show("SCOPES")
    pids = {x["id"]: x["remote_pid"] for x in d.servers()}
    mine = [x for x in rows if x["role"] == "app"]
    equal([(x["level"], x["name"], x["kind"], x["pool"], x["state"], x["current"], x["deferred"], x["pid"])
           for x in mine],
          [("1", "a", "transaction", "db", "open", "f", "1", me), ("2", "b", "savepoint", "db", "open", "t", "0", me),
           ("3", "c", "transaction", "db", "open", "f", "0", me), ("4", "l", "shared lock", None, "open", "f", "0", me),
           ("5", "s", "semaphore", None, "open", "f", "0", me)], "one session's")
    equal(len({x["session"] for x in mine}), 1, "its id")
    check(3500000 < int(mine[0]["deadline_ms"]) <= 3600000 and mine[1]["deadline_ms"] is None, "deadlines")
    backends = [x["backend_pid"] for x in mine]
    check(backends[0] == backends[1] != backends[2] and backends[3] is None, "backends: %r" % backends)
    check(set(backends[:3]) <= set(pids.values()), "they are those of SHOW SERVERS")
    wants = [x for x in rows if x["role"] == "web"][0]
    equal((wants["name"], wants["state"]), ("wanted", "entering"), "one that waits")
    check(0 <= int(wants["wait_ms"]) < 60000, "its wait: " + wants["wait_ms"])
    equal([(x["name"], x["kind"]) for x in rows if x["role"] == "old"], [("db", "implicit"), ("mine", "shared lock")],
          "inside a plain transaction")
    equal([(x["name"], x["kind"], x["limit"], x["role"], x["mode"], x["state"], x["position"]) for x in d.show("LOCKS")],
          [("l", "lock", None, "app", "shared", "held", "0"), ("l", "lock", None, "old", "shared", "held", "0"),
           ("l", "lock", None, "web", "exclusive", "waiting", "1"),
           ("s", "semaphore", "2", "app", "semaphore", "held", "0")], "SHOW LOCKS")
    clients = {x["user"]: x for x in d.clients()}
    equal([(clients[u]["state"], clients[u]["scopes"], clients[u]["leases"]) for u in ("app", "web", "old")],
          [("idle in transaction", "a > b > c > shared lock l > semaphore s", "2"), ("scope", "lock wanted", "0"),
           ("idle in transaction", "(transaction) > shared lock mine", "1")], "SHOW CLIENTS")
    wait_until(lambda: int({x["user"]: x for x in d.clients()}["web"]["wait_us"]) > 0, 10, "the wait is shown")
    equal(sorted(x["session"] or "" for x in d.servers()), sorted([mine[0]["session"]] * 2 + [clients["old"]["id"]]),
          "SHOW SERVERS")
    equal(d.pool()["sv_active"], 3, "SHOW POOLS")
    c.sql("EXIT ALL ROLLBACK")
    plain.sql("EXIT; COMMIT")
    equal(waiter.until_ready().tags, ["ENTER"], "the waiter")
    waiter.sql("EXIT")
    for i in range(30):
        c.sql("ENTER %s" % ("n" * 60 + "%03d" % i))
    path = [x for x in d.clients() if x["user"] == "app"][0]["scopes"]
    check(len(path) < 256 and path.endswith("..."), "the stack is bounded: " + path)
    c.sql("EXIT ALL")
    equal((d.show("SCOPES"), d.show("LOCKS")), ([], []), "nothing is left")
    stats = {(x["pool"], x["scope"]): x for x in d.show("SCOPE_STATS")}
    a = stats["db", "a"]
    equal([a[k] for k in ("success", "error", "cancelled", "expired")], ["0", "1", "0", "0"], "outcomes")
    equal([a[k + "_count"] for k in ("wait", "enter", "hold", "cleanup")], ["1"] * 4, "counts")
    check(0 < float(a["hold_p50_ms"]) <= float(a["hold_max_ms"]) < 60000, "times: %r" % a)
    equal(stats[None, "wanted"]["success"], "1", "a lock has no pool")


@test
def no_secrets(t):
    """no table, error or log line shows a password"""
    d = start(t)
    d.connect("db").sql("SELECT 1")
    try:
        d.connect("dead").sql("SELECT 1")
    except (ServerError, Closed):
        pass
    for name in TABLES:
        check(SECRET not in str(d.console("SHOW " + name).rows), "SHOW " + name)
    check(SECRET not in d.log_text(), "the log")


@test
def strangers_names(t):
    """what clients call themselves neither breaks a driver nor steers a terminal"""
    d = start(t)
    s = wire.dial(d.sockets, d.port)
    body = (b"user\0we\xffird\0database\0db\0application_name\0\x1b[2Jx\ny\xc3\xa9\xe2\x80\xae\0\0")
    s.sendall(struct.pack(">II", len(body) + 8, wire.PROTOCOL_3) + body)
    t.defer(s.close)
    answer = b""
    while not answer.endswith(b"Z\0\0\0\5I"):
        more = s.recv(65536)
        check(more, "it is let in: %r" % answer)
        answer += more
    row = d.clients()[0]
    equal((row["user"], row["application_name"]),
          ("we\\xffird", "?[2Jx?y?????"), "its names, the latter cleaned as PostgreSQL 15 does it")
    for how in ((), ("--json",), ("--csv",)):
        status, out, _ = pgwith(d, "clients", *how)
        equal(status, 0, "pgwith clients")
        check("\x1b" not in out and "we" in out, "its output")


@test(timeout=120)
def many_clients(t):
    """2,000 clients are listed, whole, quickly and in little memory"""
    d = start(t, options={"max_clients": 5000})
    clients = [t.client(d, application_name="client %d" % i) for i in range(2000)]
    before = d.memory()
    started = time.monotonic()
    rows = d.clients()
    took = time.monotonic() - started
    equal(len(rows), 2000, "rows")
    equal(len({r["id"] for r in rows}), 2000, "ids")
    equal({r["application_name"] for r in rows}, {"client %d" % i for i in range(2000)}, "names")
    for _ in range(20):
        d.clients()
    grown = d.memory() - before
    note("SHOW CLIENTS: %.3f s, reading included; memory grew by %d kB" % (took, grown // 1024))
    check(grown < 16 << 20, "memory grew by %d kB" % (grown // 1024))
    status, out, _ = pgwith(d, "clients", "--json")
    equal((status, len(json.loads(out))), (0, 2002), "pgwith clients, and two consoles")
    equal(clients[7].value("SELECT 1"), "1", "a client")


@test
def slow_reader(t):
    """who asks for much and does not read is not read from; the others are served, and memory is bounded"""
    d = start(t)
    other = console(t, d)
    with Somebody():
        s = wire.dial(d.sockets, d.port)
    t.defer(s.close)
    s.sendall(wire.startup_packet({"user": "watcher", "database": "pgwith"}))
    wait_until(lambda: len(d.show("CLIENTS")) == 3, 10, "it is in")
    s.setblocking(False)
    message = wire.query("SHOW CONFIG;" * 100)
    sent = 0
    while select.select([], [s], [], 1)[1]:
        sent += s.send(message[sent % len(message):])
        check(sent < 400 * len(message), "no end to what is read")
    check(sent > len(message), "some of it was read: %d bytes" % sent)
    equal(other.ask("SHOW VERSION").errors, [], "the other")
    check(d.memory() < 60 << 20, "the memory: %d" % d.memory())
    s.close()
    wait_until(lambda: len(d.show("CLIENTS")) == 2, 20, "it has gone")


@test
def hostile(t):
    """malformed messages end their session, never the daemon"""
    d = start(t)
    bad = {
        "a Query without an end": wire.message("Q", b"SHOW VERSION"),
        "a Query with more": wire.message("Q", b"SHOW VERSION\0x"),
        "an empty Query": wire.message("Q"),
        "an empty Parse": wire.message("P"),
        "a Parse with too many types": wire.message("P", b"\0SHOW VERSION\0\xff\xff"),
        "an empty Bind": wire.message("B"),
        "a Bind with many formats": wire.parse("SHOW VERSION") +
        wire.message("B", b"\0\0\0\0\0\0\xff\xff" + b"\0\1" * 100),
        "a Bind with a third format": wire.parse("SHOW VERSION") +
        wire.message("B", b"\0\0\0\0\0\0\0\1\0\2"),
        "a Bind with formats for two": wire.parse("SHOW VERSION") +
        wire.message("B", b"\0\0\0\0\0\0\0\2\0\0\0\0"),
        "a Describe of nothing": wire.message("D", b"X\0"),
        "an empty Describe": wire.message("D"),
        "an empty Close": wire.message("C"),
        "an Execute cut short": wire.message("E", b"\0\0"),
        "an unknown message": wire.message("z"),
        "a password": wire.message("p", b"x\0"),
        "a length of 3": b"Q\0\0\0\3",
        "a giant": b"Q\x7f\xff\xff\xff",
        "just too long": b"Q" + struct.pack(">I", 64 * 1024 + 1),
    }
    for what, data in bad.items():
        c = console(t, d)
        c.send(data)
        r = c.until_closed()
        equal([(e.severity, e.sqlstate) for e in r.errors], [("FATAL", "08P01")], what)
    c = console(t, d)
    for piece in (b"Q", b"\0\0", b"\0\x11SHOW", b" VERSION", b"\0"):
        c.send(piece)
    equal(c.until_ready().errors, [], "a Query in pieces")
    c.send(wire.query("x" * 60000))
    equal([e.sqlstate for e in c.until_ready().errors], ["42601"], "a long one")
    c.send(wire.query(";" * 60000))
    equal(c.until_ready().kinds, "IZ", "nothing, many times")
    c.send(wire.query("SHOW VERSION;" * 4000))
    equal(c.until_ready().tags, ["SHOW"] * 4000, "4,000 statements")


@test(timeout=120)
def random_messages(t):
    """random messages, whole and broken (seeded): the daemon answers the next client"""
    d = start(t)
    pieces = [wire.query("SHOW POOLS"), wire.query("BEGIN"), wire.query("nonsense"), wire.sync(),
              wire.flush(), wire.parse("SHOW LISTS", "a"), wire.parse("SHOW CLIENTS"),
              wire.bind(portal="p", statement="a"), wire.bind(), wire.describe(),
              wire.describe("S", "a"), wire.execute(limit=2), wire.execute("p", 1), wire.execute(),
              wire.close_("S", "a"), wire.close_("P", "p"), wire.message("d", b"xyz"),
              wire.query("COMMIT"), wire.message("F", b"x")]
    for _ in range(300):
        data = b"".join(t.random.choice(pieces) for _ in range(t.random.randrange(1, 30)))
        if t.random.random() < 0.5:
            at = t.random.randrange(len(data))
            data = data[:at] + bytes([t.random.randrange(256)]) + data[at + 1:]
        s = wire.dial(d.sockets, d.port)
        try:
            s.sendall(wire.startup_packet({"user": "boss", "database": "pgwith"}))
            s.sendall(data)
            if t.random.random() < 0.5:
                s.sendall(wire.terminate())
                s.shutdown(socket.SHUT_WR)
                while s.recv(65536):
                    pass
        except (BrokenPipeError, ConnectionResetError):
            pass
        s.close()
    wait_until(lambda: len(d.show("CLIENTS")) == 1, 10, "all are gone")


# ---- pgwith ------------------------------------------------------------------------------------------

def pgwith(d, *args, uid=None, env=None):
    full = {**SANITIZE_ENV, "PGWITH_SOCKET": d.sockets, **(env or {})}
    who = ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups"] if uid else []
    return child.run([*who, program("pgwith"), *args], env=full)


@test
def exit_statuses(t):
    """pgwith's exit status: 0 good, 1 trouble, 2 usage, 3 unreachable, 4 refused"""
    d = start(t, size=1)
    status, out, err = pgwith(d, "status")
    equal((status, err), (0, ""), "status")
    check("running" in out and "db" in out.split() and "dead" in out.split(), "status: " + out)
    for args in (["status", "x"], ["nonsense"], [], ["pools", "--nonsense"], ["pools", "-o", "nonsense"],
                 ["show", "nonsense"], ["pools", "-p", "0"], ["status", "--max-wait", "soon"],
                 ["-S", "", "pools"], ["show", "version; show pools"]):
        status, out, err = pgwith(d, *args)
        equal((status, out), (2, ""), "pgwith %s" % args)
        check(err, "pgwith %s says why" % args)
    check('"pools"' in pgwith(d, "pols")[2], "the nearest command is named")
    for args in (["-h"], ["--help"], ["help"], ["help", "status"], ["pools", "-h"], ["-V"]):
        status, out, err = pgwith(d, *args)
        equal((status, err), (0, ""), "pgwith %s" % args)
        check(out, "pgwith %s prints" % args)
    equal(pgwith(d, "pools", "-S", t.directory)[0], 3, "nobody there")
    silent = socket.socket(socket.AF_UNIX)
    silent.bind(t.path(".s.PGSQL.1"))
    silent.listen()
    t.defer(silent.close)
    status, out, err = pgwith(d, "status", "-S", t.directory, "-p", "1", "--timeout", "300ms")
    equal(status, 3, "nobody answers: " + err)
    if os.geteuid() == 0:
        equal(pgwith(d, "pools", uid=NOBODY)[0], 4, "a stranger")
    equal(pgwith(d, "pools", env={"PGHOST": "/nowhere", "PGPORT": "1", "PGSSLMODE": "require",
                                  "PGSERVICE": "x", "PGUSER": "y", "PGOPTIONS": "-z",
                                  "PGDATABASE": "z", "PGTZ": "Mars"})[0], 0, "PG* has no effect")
    holder, waiter = t.client(d), t.client(d)
    holder.sql("BEGIN")
    waiter.send(wire.query("SELECT 1"))
    wait_until(lambda: d.waiting() == 1, 10, "one waits")
    wait_until(lambda: d.pool()["maxwait_us"] > 2000, 10, "for 2 ms")
    status, out, err = pgwith(d, "status", "--max-wait", "2ms")
    equal((status, err), (1, ""), "a session waits")
    check("has waited for" in out, "status: " + out)
    equal(pgwith(d, "status", "--max-wait", "1h")[0], 0, "not for so long")
    holder.sql("COMMIT")
    waiter.until_ready()
    try:
        d.connect("dead")
    except (ServerError, Closed):
        pass
    status, out, err = pgwith(d, "status")
    equal((status, err), (1, ""), "a pool without a server")
    check("cannot connect" in out, "status: " + out)


@test
def formats(t):
    """pgwith's aligned tables, JSON and CSV have the same cells"""
    d = start(t)
    t.client(d).sql("ENTER a; EXIT; ENTER b; ENTER LOCK 'c'")
    for args in (["pools"], ["servers"], ["databases"], ["lists"], ["stats"], ["config"], ["version"],
                 ["scopes"], ["locks"], ["scope-stats"],
                 ["show", "totals"], ["show"], ["status"]):
        rows = json.loads(pgwith(d, *args, "--json")[1])
        check(rows, "rows of %s" % args)
        raw = pgwith(d, *args, "--csv")[1]
        table = list(csv.reader(io.StringIO(raw, newline="")))
        equal(table[0], list(rows[0]), "CSV's head of %s" % args)
        equal(len(table) - 1, len(rows), "CSV's rows of %s" % args)
        for have, want in zip(table[1:], rows):
            for name, text in zip(table[0], have):
                if not name.endswith(("_us", "_time", "received", "sent", "_ms")):
                    value = want[name]
                    equal(text, "" if value is None else str(value).lower()[0] if value is True or
                          value is False else str(value), "%s of %s" % (name, args))
        equal(len(list(csv.reader(io.StringIO(pgwith(d, *args, "--csv", "--no-header")[1])))),
              len(rows), "without a head")
        lines = pgwith(d, *args, "--no-header")[1].splitlines()
        equal(len(lines), len(rows), "aligned rows of %s" % args)
        check(all("\x1b" not in line for line in lines), "no colour in a pipe")
    rows = json.loads(pgwith(d, "pools", "--json", "-o", "size,database")[1])
    equal(list(rows[0].items()), [("size", 2), ("database", "db")], "chosen columns")


if __name__ == "__main__":
    main()
