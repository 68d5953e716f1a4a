"""Results, COPYs and messages of any size pass through in constant memory, slow readers included.
PGWITH_TEST_BULK_MB is the size in MiB (1024; less in a sanitized build)."""

import hashlib
import os
import socket
import struct

from pgwtest import check, equal, main, note, sanitized, test, wait_until, wire

MIB = 1 << 20
BULK = int(os.environ.get("PGWITH_TEST_BULK_MB") or (64 if sanitized() else 1024)) * MIB
# AddressSanitizer keeps freed memory back (its quarantine: 4 MiB here) and has shadows of its own.
GROWTH = (32 if sanitized() else 8) * MIB
OPTIONS = {"log_level": "info"}


class Growth:
    """The daemon's peak memory against where it stood."""

    def __init__(self, daemon):
        self.daemon = daemon
        daemon.reset_peak()
        self.before = daemon.memory("VmRSS")

    def check(self):
        growth = self.daemon.memory("VmHWM") - self.before
        note("memory grew by %.1f MiB" % (growth / MIB))
        check(growth < GROWTH, "memory grew by %d bytes" % growth)


def warm(d):
    with d.connect() as c:
        c.sql("SELECT repeat('x', 1000000)")
    d.quiet()


class Stream:
    """Reads a client's messages without keeping them: sums up what DataRow or CopyData hold."""

    def __init__(self, client):
        self.sock = client.sock
        self.view = memoryview(bytearray(1 << 18))
        self.have = self.at = 0

    def _some(self):
        if self.at == self.have:
            self.at, self.have = 0, self.sock.recv_into(self.view)
            check(self.have > 0, "the connection was closed")

    def _take(self, count, sink=None):
        while count:
            self._some()
            n = min(count, self.have - self.at)
            if sink is not None:
                sink(self.view[self.at:self.at + n])
            self.at += n
            count -= n

    def message(self, sink=None):
        """(type, bytes of its body), the body given to sink in pieces."""
        header = bytearray()
        self._take(5, header.extend)
        kind, length = struct.unpack("!ci", header)
        self._take(length - 4, sink)
        return kind.decode(), length - 4

    def to_ready(self, sink=None):
        """Reads to ReadyForQuery: {type: (messages, bytes)}."""
        seen = {}
        while True:
            kind, size = self.message(sink)
            n, total = seen.get(kind, (0, 0))
            seen[kind] = (n + 1, total + size)
            check(kind != "E", "an error came")
            if kind == "Z":
                return seen


def result(t, request, rows, row_bytes, slow=False):
    d = t.daemon(options=OPTIONS)
    warm(d)
    c = t.client(d)
    if slow:
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    g = Growth(d)
    c.send(request)
    s = Stream(c)
    if slow:
        # Nothing is read until the whole way back to PostgreSQL is full; and then again.
        for _ in range(3):
            wait_until(lambda: [a for a in t.activity() if a["wait_event"] == "ClientWrite"], 10,
                       "PostgreSQL waits for the reader")
            g.check()
            for _ in range(max(1, 3 * MIB // row_bytes)):
                s.message()
    seen = s.to_ready()
    kind = "d" if "d" in seen else "D"
    if not slow:
        n, total = seen[kind]
        equal(n, rows, "rows")
        check(total >= rows * row_bytes, "bytes: %d" % total)
    g.check()
    d.quiet()


@test(timeout=120)
def big_result(t):
    """a result of 1 GiB"""
    rows = BULK // 100000
    result(t, wire.query("SELECT repeat('x', 100000) FROM generate_series(1, %d)" % rows), rows,
           100000)


@test(timeout=120)
def big_result_small_rows(t):
    """a result of many small rows (a tenth of the size), extended"""
    rows = BULK // 10 // 100
    result(t, wire.extended("SELECT repeat('x', 100) FROM generate_series(1, %d)" % rows) +
           wire.sync(), rows, 100)


@test(timeout=120)
def big_result_slow_reader(t):
    """a result of half the size to a reader that stops until everything is full"""
    rows = BULK // 2 // 100000
    result(t, wire.query("SELECT repeat('x', 100000) FROM generate_series(1, %d)" % rows), rows,
           100000, slow=True)


@test(timeout=120)
def big_copy_out(t):
    """a COPY OUT of half the size"""
    rows = BULK // 2 // 100000
    result(t, wire.query("COPY (SELECT repeat('x', 100000) FROM generate_series(1, %d)) TO STDOUT"
                         % rows), rows, 100000)


@test(timeout=120)
def one_big_row(t):
    """one row of a quarter of the size, its bytes unchanged"""
    d = t.daemon(options=OPTIONS)
    warm(d)
    c = t.client(d)
    size = min(BULK // 4, 900 * MIB) // 32 * 32
    want = t.value("SELECT md5(repeat(md5('7'), %d))" % (size // 32))
    g = Growth(d)
    c.send(wire.query("SELECT repeat(md5('7'), %d)" % (size // 32)))
    s = Stream(c)
    equal(s.message()[0], "T", "the description")
    md5 = hashlib.md5()
    skip = [6]  # column count and length

    def sink(part):
        n = min(skip[0], len(part))
        skip[0] -= n
        md5.update(part[n:])
    equal(s.message(sink), ("D", size + 6), "the row")
    equal(md5.hexdigest(), want, "its bytes")
    s.to_ready()
    g.check()


@test(timeout=180)
def big_copy_in(t):
    """a COPY IN of 1 GiB, of which every 64th row is kept and compared"""
    t.sql("CREATE UNLOGGED TABLE sink (n int, v text)")
    t.sql("ALTER TABLE sink ALTER v SET STORAGE EXTERNAL")
    d = t.daemon(options=OPTIONS)
    warm(d)
    c = t.client(d)
    g = Growth(d)
    c.send(wire.query("COPY sink FROM STDIN WHERE n % 64 = 0"))
    equal(c.until("G").kinds, "G", "the server's answer")
    size = 32000
    rows = BULK // size
    text = bytes(32 + i % 60 if 32 + i % 60 != 92 else 33 for i in range(size))
    for n in range(rows):
        c.sock.sendall(wire.copy_data(b"%d\t" % n + text + b"\n"))
    c.send(wire.copy_done())
    kept = (rows + 63) // 64
    equal(c.until_ready().tags, ["COPY %d" % kept], "the answer")
    g.check()
    equal(t.sql("SELECT count(*), count(DISTINCT n), min(md5(v)), max(md5(v)) FROM sink"),
          [(str(kept), str(kept), hashlib.md5(text).hexdigest(), hashlib.md5(text).hexdigest())],
          "the rows kept")
    d.quiet()


@test(timeout=120)
def copy_in_slow_server(t):
    """a COPY IN into a server that stops reading: the sender is held back, memory does not grow"""
    t.sql("CREATE UNLOGGED TABLE sink (n int, v text)")
    t.sql("CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN"
          " PERFORM pg_advisory_xact_lock(99); RETURN NULL; END$$")
    t.sql("CREATE TRIGGER hold BEFORE INSERT ON sink FOR EACH ROW EXECUTE FUNCTION hold()")
    d = t.daemon(options=OPTIONS)
    warm(d)
    t.sql("SELECT pg_advisory_lock(99)")
    c = t.client(d)
    g = Growth(d)
    c.send(wire.query("COPY sink FROM STDIN"))
    c.until("G")
    row = wire.copy_data(b"1\t" + b"x" * 60000 + b"\n")
    c.sock.setblocking(False)
    sent, left = 0, b""
    idle = 0
    try:
        # Sends until nothing has been taken for a while: the whole way to PostgreSQL is full.
        while idle < 50 and sent < 100 * MIB:
            left = left or row
            try:
                n = c.sock.send(left)
                left, sent, idle = left[n:], sent + n, 0
            except BlockingIOError:
                idle += 1
                wait_until(lambda: d.show("VERSION"), 5, "the daemon serves others")
        check(sent < 30 * MIB, "the sender is held back (%d bytes were taken)" % sent)
        g.check()
    finally:
        c.sock.settimeout(60)
        t.sql("SELECT pg_advisory_unlock(99)")
    c.send(left)
    c.send(wire.copy_done())
    equal(c.until_ready().tags, ["COPY 0"], "the answer")
    g.check()


@test(timeout=120)
def big_query(t):
    """one Query message of 100 MiB, and one Bind of 100 MiB"""
    d = t.daemon(options=OPTIONS)
    warm(d)
    c = t.client(d)
    size = min(BULK // 8, 100 * MIB)
    g = Growth(d)
    c.send(wire.query("SELECT length('" + "x" * size + "')"))
    equal(c.until_ready().value, str(size), "the Query's answer")
    c.send(wire.parse("SELECT length($1)") + wire.bind(("y" * size,)) + wire.describe() +
           wire.execute() + wire.sync())
    equal(c.until_ready().value, str(size), "the Bind's answer")
    g.check()
    d.quiet()


@test(timeout=120)
def many_slow_readers(t):
    """eight readers that stop in the middle of their results: memory stays small, others are served"""
    d = t.daemon(size=9, options=OPTIONS)
    warm(d)
    g = Growth(d)
    clients = [t.client(d) for _ in range(8)]
    for c in clients:
        c.send(wire.query("SELECT repeat('x', 100000) FROM generate_series(1, 300)"))
    wait_until(lambda: len([a for a in t.activity() if a["wait_event"] == "ClientWrite"]) == 8, 20,
               "all backends wait for their readers")
    with d.connect() as c:
        equal(c.value("SELECT 1"), "1", "another client")
    g.check()
    for c in clients:
        equal(Stream(c).to_ready()["D"][0], 300, "rows")
    g.check()
    d.quiet()


if __name__ == "__main__":
    main()
