"""pgwith-fixture by hand: the extended protocol, cancels, clients that vanish, mischief, much and strange input."""

import socket
import struct
import time

from pgwtest import Closed, Failure, check, main, sanitized, seconds, slow_factor, test, wire
from pgwtest.raw import FLUSH, Raw, SYNC, active, columns, ends, eq, kinds, rows, states, status, tags, text, wait_for


# ---- the extended protocol ------------------------------------------------------------------------
@test
def extended(t):
    """the extended protocol: names, portals, limits, errors up to the Sync"""
    s = t.fixture()
    with Raw(s) as c:
        c.ask("CREATE TABLE ext (a int PRIMARY KEY, b text); INSERT INTO ext SELECT g, 'v' || g FROM "
              "generate_series(1, 10) g")
        # Everything in one go.
        c.send(wire.parse("SELECT a, b FROM ext WHERE a > $1::int ORDER BY a", "q") + wire.describe("S", "q") +
               wire.bind([b"7"], statement="q") + wire.describe("P") + wire.execute() + SYNC)
        got = c.messages("Z")
        eq(kinds(got), "1tT2TDDDCZ")
        eq(got[1][1], struct.pack("!HI", 1, 23))
        eq(columns(got), [("a", 23, 0), ("b", 25, 0)])
        eq(text(got), [("8", "v8"), ("9", "v9"), ("10", "v10")])
        # Binary both ways, named portal, row limit, resumption.
        c.send(wire.bind([struct.pack("!i", 4)], portal="p", statement="q", formats=[1], result_formats=[1, 0]) +
               wire.execute("p", 4) + wire.execute("p", 4) + wire.execute("p", 4) + SYNC)
        got = c.messages("Z")
        eq(kinds(got), "2DDDDsDDCCZ")
        eq([r[0] for r in rows(got)], [struct.pack("!i", n) for n in range(5, 11)])
        eq(tags(got), ["SELECT 2", "SELECT 0"])
        # The portal went with its transaction; in a block it stays.
        c.send(wire.execute("p") + SYNC)
        eq(states(c.messages("Z")), ["34000"])
        c.ask("BEGIN")
        c.send(wire.bind([b"0"], portal="p", statement="q") + wire.execute("p", 3) + SYNC)
        eq(kinds(c.messages("Z")), "2DDDsZ")
        c.send(wire.execute("p", 3) + wire.close_("P", "p") + SYNC)
        eq(kinds(c.messages("Z")), "DDDs3Z")
        c.ask("COMMIT")
        # Nothing is answered before Sync or Flush.
        c.send(wire.bind([b"9"], statement="q") + wire.execute())
        check(c.silent(0.2), "an answer without Flush")
        c.send(FLUSH)
        eq([c.read()[0] for _ in range(3)], ["2", "D", "C"])
        c.send(SYNC)
        eq(kinds(c.messages("Z")), "Z")
        # An error skips up to Sync and undoes the whole batch.
        c.send(wire.parse("DELETE FROM ext") + wire.bind() + wire.execute() +
               wire.parse("SELECT nope FROM ext") + wire.bind() + wire.execute() + wire.close_("S", "q") + SYNC +
               wire.parse("SELECT count(*) FROM ext") + wire.bind() + wire.execute() + SYNC)
        got = c.messages("Z")
        eq((kinds(got), states(got), status(got)), ("12CEZ", ["42703"], "I"))
        eq(text(c.messages("Z")), [("10",)])
        # In a block the error fails it.
        c.ask("BEGIN")
        c.send(wire.parse("SELECT 1 / $1::int", "div") + wire.bind([b"0"], statement="div") + wire.execute() + SYNC)
        got = c.messages("Z")
        eq((states(got), status(got)), (["22012"], "E"))
        c.send(wire.bind([b"1"], statement="div") + SYNC)
        eq(states(c.messages("Z")), ["25P02"])
        c.send(wire.parse("ROLLBACK") + wire.bind() + wire.execute() + SYNC)
        got = c.messages("Z")
        eq((tags(got), status(got)), (["ROLLBACK"], "I"))
        # Names, empty statements, several in one.
        c.send(wire.parse("SELECT 1", "q") + SYNC)
        eq(states(c.messages("Z")), ["42P05"])
        c.send(wire.close_("S", "q") + wire.close_("S", "never") + wire.bind(statement="q") + SYNC)
        got = c.messages("Z")
        eq((kinds(got), states(got)), ("33EZ", ["26000"]))
        c.send(wire.parse("") + wire.describe("S") + wire.bind() + wire.describe("P") + wire.execute() + SYNC)
        eq(kinds(c.messages("Z")), "1tn2nIZ")
        c.send(wire.parse("SELECT 1; SELECT 2") + SYNC)
        eq(states(c.messages("Z")), ["42601"])
        c.send(wire.parse("SELECT 1") + wire.bind([b"1"]) + SYNC)
        eq(states(c.messages("Z")), ["08P01"])
        c.send(wire.parse("INSERT INTO ext VALUES ($1, $2) RETURNING a, b") + wire.bind([b"11", None]) +
               wire.describe("P") + wire.execute() + SYNC)
        got = c.messages("Z")
        eq((text(got), tags(got)), ([("11", None)], ["INSERT 0 1"]))
        c.ask("DROP TABLE ext")


@test
def binary(t):
    """parameters and results in binary"""
    s = t.fixture()
    with Raw(s) as c:
        cases = ((16, b"\1", "true"), (21, struct.pack("!h", -2), "-2"), (23, struct.pack("!i", -3), "-3"),
                 (20, struct.pack("!q", 1 << 40), str(1 << 40)), (701, struct.pack("!d", 0.1), "0.1"),
                 (25, "é".encode(), "é"), (17, b"\0\xff", "\\x00ff"), (1082, struct.pack("!i", 1), "2000-01-02"),
                 (1184, struct.pack("!q", 1500000), "2000-01-01 00:00:01.5+00"),
                 (1700, struct.pack("!HhHHHH", 2, 0, 0x4000, 2, 12, 5000), "-12.5"),
                 (2950, bytes(range(16)), "00010203-0405-0607-0809-0a0b0c0d0e0f"),
                 (3802, b"\1{}", "{}"))
        for oid, binary, plain in cases:
            c.send(wire.parse("SELECT $1", types=[oid]) +
                   wire.bind([binary], formats=[1]) + wire.describe("P") + wire.execute() +
                   wire.bind([plain.encode()], result_formats=[1]) + wire.describe("P") + wire.execute() + SYNC)
            got = c.messages("Z")
            eq((oid, states(got)), (oid, []))
            eq([r[0] for r in rows(got)],
               [{"true": "t"}.get(plain, plain).encode(),
                binary if oid != 1700 else struct.pack("!HhHHHH", 2, 0, 0x4000, 1, 12, 5000)])
            eq(columns(got)[0][1], oid)
        for oid, bad in ((23, b"\1"), (1184, b""), (1700, b"\0\1\0\0\0\0\0\0"), (3802, b"x"), (600, b"x")):
            c.send(wire.parse("SELECT $1", types=[oid]) + wire.bind([bad], formats=[1]) + SYNC)
            got = states(c.messages("Z"))
            check(got[0] in ("22P03", "0A000"), "%d: %s" % (oid, got))
        c.send(wire.parse("SELECT $1", types=[25]) + wire.bind([b"a\0b"]) + SYNC)
        eq(states(c.messages("Z")), ["22021"])


@test
def cursors(t):
    """DECLARE, FETCH, CLOSE"""
    s = t.fixture()
    with Raw(s) as c:
        eq(tags(c.ask("BEGIN; DECLARE c CURSOR FOR SELECT * FROM generate_series(1, 10) g")),
           ["BEGIN", "DECLARE CURSOR"])
        got = c.ask("FETCH 3 FROM c; FETCH NEXT FROM c; FETCH FORWARD ALL IN c; FETCH c; CLOSE c")
        eq(tags(got), ["FETCH 3", "FETCH 1", "FETCH 6", "FETCH 0", "CLOSE CURSOR"])
        eq([v for (v,) in text(got)], [str(n) for n in range(1, 11)])
        eq(states(c.ask("DECLARE c CURSOR WITH HOLD FOR SELECT 1")), ["0A000"])
        c.ask("ROLLBACK")


# ---- cancelling and vanishing ---------------------------------------------------------------------
@test
def cancel(t):
    """a CancelRequest stops what runs, and nothing else"""
    s = t.fixture()
    with Raw(s) as c, Raw(s) as holder:
        c.ask("CREATE TABLE ca (a int)")
        holder.ask("BEGIN; INSERT INTO ca VALUES (1)")
        for sql in ("SELECT pg_sleep(1000)", "SELECT count(*) FROM generate_series(1, 100000000000)",
                    "INSERT INTO ca VALUES (2)"):
            c.send(wire.query(sql))
            wait_for(lambda: active(s) == 1, "it runs")
            # A wrong key does nothing.
            c.cancel(secret=c.key[1] ^ 1)
            eq(active(s), 1)
            c.cancel()
            took, got = seconds(c.messages, "Z")
            eq((sql, states(got)), (sql, ["57014"]))
            check(took < slow_factor(), "%s: it took %.1f s" % (sql, took))
        # One that comes between two queries hits neither.
        c.cancel()
        eq(text(c.ask("SELECT 1")), [("1",)])
        holder.ask("ROLLBACK; DROP TABLE ca")
        # Nor with a cursor open, which keeps a statement of SQLite's running.
        c.ask("BEGIN; DECLARE k CURSOR FOR SELECT * FROM generate_series(1, 1000) g; FETCH 1 FROM k")
        for _ in range(20):
            late = c.start_cancel()
            c.ask("SELECT 1")
            ends(late)
            if status(c.ask("SELECT 1")) == "E":
                break  # it came while SELECT 1 ran, which is right
            eq((states(c.ask("SELECT count(*) FROM generate_series(1, 10000)")), tags(c.ask("FETCH 1 FROM k"))),
               ([], ["FETCH 1"]))
        c.ask("ROLLBACK")
        # In the middle of the extended protocol.
        c.send(wire.parse("SELECT pg_sleep(1000)") + wire.bind() + wire.execute() + SYNC)
        wait_for(lambda: active(s) == 1, "it runs")
        c.cancel()
        got = c.messages("Z")
        eq((kinds(got), states(got)), ("12EZ", ["57014"]))


@test
def late_cancel(t):
    """fixture_late_cancel(): a CancelRequest that is acted on late"""
    s = t.fixture()
    with Raw(s) as c, Raw(s) as d:
        d.ask("SELECT fixture_late_cancel(300)")
        c.send(wire.query("SELECT pg_sleep(1000)"))
        wait_for(lambda: active(s) == 1, "it runs")
        started = time.monotonic()
        late = c.start_cancel()
        eq(states(c.messages("Z")), ["57014"])
        check(time.monotonic() - started >= 0.3, "it came too early")
        ends(late)
        # It hits whatever runs by then.
        late = c.start_cancel()
        c.send(wire.query("SELECT pg_sleep(1000)"))
        eq(states(c.messages("Z")), ["57014"])
        ends(late)
        d.ask("SELECT fixture_late_cancel(0)")


@test
def terminate(t):
    """pg_terminate_backend() and pg_cancel_backend()"""
    s = t.fixture()
    with Raw(s) as c, Raw(s) as d:
        eq(text(c.ask(f"SELECT pg_terminate_backend({d.key[0]})")), [("t",)])
        eq(states(d.messages("E")), ["57P01"])
        ends(d.sock)
        eq(text(c.ask("SELECT pg_terminate_backend(1), pg_cancel_backend(-5)")), [("f", "f")])


@test
def client_vanishes(t):
    """what a client has begun that vanishes is rolled back"""
    s = t.fixture()
    with Raw(s) as c:
        c.ask("CREATE TABLE va (a int)")
        gone = Raw(s)
        gone.ask("BEGIN; INSERT INTO va VALUES (1)")
        gone.close()
        # Waits for the writer that is gone: its transaction is rolled back.
        eq(tags(c.ask("INSERT INTO va VALUES (2)")), ["INSERT 0 1"])
        eq(text(c.ask("SELECT a FROM va")), [("2",)])
        half = Raw(s)
        half.ask("BEGIN; INSERT INTO va VALUES (3)")
        half.send(b"Q\0\0\0\x30COMMIT")
        half.close()
        eq(tags(c.ask("DELETE FROM va")), ["DELETE 1"])
        c.ask("DROP TABLE va")


# ---- mischief -------------------------------------------------------------------------------------
@test
def mischief(t):
    """fixture_*(): refused and slow logins, too many, deafness, a dropped connection"""
    s = t.fixture()
    with Raw(s) as c:
        def number(what):
            return int(text(c.ask(f"SELECT fixture_count('{what}')"))[0][0])

        refused = number("refused")
        c.ask("SELECT fixture_refuse_logins(2, '53300', 'full up')")
        for _ in range(2):
            with Raw(s, login=False) as d:
                got = wire.report_fields(d.login()[-1][1])
                eq((got["C"], got["M"], got["S"]), ("53300", "full up", "FATAL"))
        Raw(s).close()
        eq(number("refused") - refused, 2)
        c.ask("SELECT fixture_refuse_logins(-1)")
        for _ in range(3):
            with Raw(s, login=False) as d:
                eq(states(d.login()), ["57P03"])
        c.ask("SELECT fixture_refuse_logins(0)")
        c.ask("SELECT fixture_login_delay(200)")
        took, late = seconds(Raw, s)
        late.close()
        check(took >= 0.2, "the login took %.3f s" % took)
        c.ask("SELECT fixture_login_delay(0)")
        wait_for(lambda: text(c.ask("SELECT count(*) FROM pg_stat_activity")) == [("1",)], "it is alone")
        c.ask("SELECT fixture_max_connections(2)")
        with Raw(s), Raw(s, login=False) as d:
            eq(states(d.login()), ["53300"])
        c.ask("SELECT fixture_max_connections(0)")
        # Deaf while it sleeps, hit when it wakes.
        with Raw(s) as d:
            started = time.monotonic()
            d.send(wire.query("SELECT fixture_delay(300)"))
            wait_for(lambda: active(s) == 1, "it runs")
            d.cancel()
            eq(states(d.messages("Z")), ["57014"])
            check(time.monotonic() - started >= 0.3, "it was not deaf")
        cancels = number("cancels")
        c.cancel()
        eq(number("cancels"), cancels + 1)
        with Raw(s) as d:
            d.send(wire.query("SELECT 1; SELECT fixture_drop()"))
            try:
                d.messages("Z")
                raise Failure("the connection was not dropped")
            except Closed:
                check(len(d.buffer) > d.at, "dropped between two messages")


# ---- much and strange -----------------------------------------------------------------------------
@test
def large_results_are_streamed(t):
    """large results are streamed"""
    s = t.fixture()
    total = (64 if sanitized() else 400) << 20
    with Raw(s) as c:
        c.ask("SELECT * FROM fixture_rows(100, 10000)")
        before = s.memory()
        s.reset_peak()
        c.send(wire.query(f"SELECT * FROM fixture_rows({total >> 14}, 16384)"))
        got = 0
        last = b""
        while not last.endswith(b"Z\0\0\0\5I"):
            part = c.sock.recv(1 << 20)
            check(part, "the connection was closed")
            got += len(part)
            last = (last + part)[-6:]
        check(got > total, "%d bytes came" % got)
        if not sanitized():
            grew = s.memory("VmHWM") - before
            check(grew < 8 << 20, "it grew by %d bytes" % grew)
        # One large value both ways.
        size = 30 << 20
        c.send(wire.parse("SELECT $1, length($1)", types=[25]) + wire.bind([b"y" * size]) + wire.execute() + SYNC)
        (value, length), = rows(c.messages("Z"))
        eq((len(value), length), (size, str(size).encode()))


@test
def hostile_bytes(t):
    """random bytes among messages, and statements that are deep and long"""
    s = t.fixture()
    rng = t.random
    good = [wire.parse("SELECT $1::int"), wire.bind([b"1"]), wire.execute(), wire.describe("P"), wire.describe("S"),
            wire.close_("P"), SYNC, FLUSH, wire.query("SELECT 1; SELECT 'x'::text, 1/2 FROM generate_series(1,3) g"),
            wire.query("BEGIN; SET LOCAL work_mem = '1MB'; SAVEPOINT a; ROLLBACK TO a; COMMIT"),
            wire.parse("SELECT CAST('5' AS numeric), E'\\x41', $a$b$a$, date '2024-01-01' FOR UPDATE", "n"),
            wire.message("F", b"\0\0"), wire.message("d", b"x")]
    for _ in range(150 if sanitized() else 400):
        with Raw(s) as c:
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
                ends(c.sock)
            except (BrokenPipeError, ConnectionResetError):
                pass
    with Raw(s) as c:
        eq(text(c.ask("SELECT 1")), [("1",)])
        # Deep and long, within one message.
        for sql in ("SELECT " + "(" * 20000, "SELECT " + "1::int" + "::int" * 20000,
                    "SELECT " + "(SELECT " * 3000 + "1", "/*" * 50000, "SELECT " + "-" * 3 + "\n1",
                    "SELECT " + "/(" * 200000, "SELECT " + "CAST(" * 200000, "SELECT " + "x::int(" * 100000,
                    "SELECT 1" + "/1" * 5000, "SELECT 'x' " + "CASE " * 5000, ";" * 100000, "$" * 5000,
                    "SELECT $65536", "SELECT ?1", "SELECT @x", "SELECT " + "a." * 5000 + "b",
                    "SELECT " + ",".join(["1"] * 3000)):
            kind = c.ask(sql)[-1][0]
            eq(kind, "Z")
        eq(text(c.ask("SELECT 2")), [("2",)])


@test
def many_sessions(t):
    """two hundred sessions"""
    s = t.fixture()
    many = [Raw(s) for _ in range(200)]
    eq([text(c.ask("SELECT 7")) for c in many], [[("7",)]] * 200)
    for c in many:
        c.close()
    wait_for(lambda: active(s, "pid <> pg_backend_pid()") == 0, "all have left")


if __name__ == "__main__":
    main()
