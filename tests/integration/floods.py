"""Floods of requests by clients that do not read the answers, which pgwithd gives by itself: it stops reading from them,
as PostgreSQL does, and keeps no more than a little for each."""

import struct
import time

from pgwtest import check, equal, main, sanitized, seconds, slow_factor, test, wait_until, wire

MB = 1 << 20
FLOOD = 8 * MB         # sent at most
GROWTH = 3 * MB        # of the daemon, whatever one client sends


def send_until_stuck(sock, unit, most=FLOOD, patience=0.25):
    """Sends copies of `unit` until nobody takes any more of them for a while. Returns how many whole ones
    went, and what is left of the last one."""
    data = unit * (65536 // len(unit) + 1)
    sent = 0
    sock.setblocking(False)
    last = time.monotonic()
    try:
        while sent < most and time.monotonic() - last < patience * slow_factor():
            try:
                n = sock.send(data[sent % len(unit):])
                sent += n
                last = time.monotonic()
            except BlockingIOError:
                time.sleep(0.005)
    finally:
        sock.settimeout(wire.read_timeout())
    return sent // len(unit), unit[sent % len(unit):] if sent % len(unit) else b""


def growth(d, before):
    return d.memory("VmHWM") - before


def settled(d):
    """Its memory now, from which on its peak counts."""
    d.reset_peak()
    return d.memory()


def flood(d, c, unit, answers, what):
    """The client sends as much as it can without reading: that has an end, nobody else is concerned, and when it
    reads, every answer is there, in order."""
    before = settled(d)
    count, rest = send_until_stuck(c.sock, unit)
    check(count * len(unit) < FLOOD, "%s: %d bytes were taken" % (what, count * len(unit)))
    if not sanitized():
        check(growth(d, before) < GROWTH, "%s: the daemon has grown by %d kB" % (what, growth(d, before) // 1024))
    took, _ = seconds(d.console, "SHOW VERSION")
    check(took < 0.5 * slow_factor(), "%s: others are served" % what)
    c.sock.setblocking(False)
    left = rest
    kinds = []
    seen = 0
    want = (count + (1 if rest else 0)) * answers.count("Z")
    end = time.monotonic() + 30 * slow_factor()
    while seen < want and time.monotonic() < end:
        if left:
            try:
                left = left[c.sock.send(left):]
            except BlockingIOError:
                pass
        try:
            data = c.sock.recv(262144)
            check(data, "%s: it is not ended" % what)
            c.buffer += data
        except BlockingIOError:
            time.sleep(0.001)
        while len(c.buffer) - c.at >= 5:
            length, = struct.unpack_from("!i", c.buffer, c.at + 1)
            if len(c.buffer) - c.at < length + 1:
                break
            kind = chr(c.buffer[c.at])
            c.at += length + 1
            if kind not in "NS":
                kinds.append(kind)
            seen += kind == "Z"
        del c.buffer[:c.at]
        c.at = 0
    equal(seen, want, "%s: answers" % what)
    got = "".join(kinds)
    check(got == answers * (len(got) // len(answers)), "%s: in order: %s" % (what, got[:80]))
    c.sock.settimeout(wire.read_timeout())


def q(*texts):
    return b"".join(wire.query(t) for t in texts)


@test(timeout=120)
def answers_of_our_own(t):
    """floods of what pgwithd answers by itself: it stops reading, and forgets nothing"""
    d = t.daemon(options={"lazy_begin": "on"}, scopes={"sc": {"enter": "SELECT 1"}})
    floods = {
        "Sync": (wire.sync(), "Z"),
        "Syncs and Flushes": (wire.sync() + wire.flush() * 3, "Z"),
        "BEGIN, COMMIT": (q("BEGIN", "COMMIT"), "CZCZ"),
        "BEGIN, ROLLBACK": (q("BEGIN", "ROLLBACK"), "CZCZ"),
        "locks": (q("ENTER LOCK 'l'", "LEAVE l"), "CZCZ"),
        "SHOW SCOPES": (q("SHOW SCOPES"), "TCZ"),
        "many in one text": (q("SHOW SCOPES;" * 200), "TC" * 200 + "Z"),
        "syntax errors": (q("ENTER a ON"), "EZ"),
        "a scope that is not open": (q("LEAVE nothing"), "EZ"),
        "by the extended protocol": (wire.extended("SHOW SCOPES") + wire.sync(), "12TCZ"),
        "errors by the extended protocol": (wire.extended("LEAVE nothing") + wire.sync(), "12nEZ"),
        "half of it from PostgreSQL": (q("SELECT 1", "SHOW SCOPES"), "TDCZTCZ"),
    }
    for name, (unit, answers) in floods.items():
        c = t.client(d)
        flood(d, c, unit, answers, name)
        equal(c.value("SELECT 5"), "5", name + ": it goes on")
        c.close()
    d.quiet()


@test
def answers_to_who_is_refused(t):
    """the same of a transaction that a time limit has ended, of one that got no server, and with pin = off"""
    d = t.daemon(options={"lazy_begin": "on"}, idle_in_scope_timeout="200ms", wait_timeout="100ms", pin="off")
    c = t.client(d)
    c.sql("BEGIN")
    c.sql("SELECT 1")
    d.quiet()
    flood(d, c, q("SELECT 1"), "EZ", "ended by a limit")
    flood(d, c, wire.parse("SELECT 1") + wire.sync(), "EZ", "ended by a limit, by the extended protocol")
    c.sql("ROLLBACK")
    flood(d, c, q("LISTEN a; SELECT 1"), "EZ", "what would pin")
    d.stop()
    d = t.daemon(options={"lazy_begin": "on"}, wait_timeout="100ms")
    c, holder = t.client(d), t.client(d)
    holder.sql("BEGIN; SELECT 1")
    c.sql("BEGIN")
    equal([e.sqlstate for e in c.ask("SELECT 1").errors], ["53300"], "no server")
    flood(d, c, q("SELECT 1"), "EZ", "a transaction that got no server")


@test
def adopted_statements(t):
    """Parse of what another server has, while all are leased"""
    d = t.daemon(size=1)
    holder, c = t.client(d), t.client(d)
    holder.send(wire.parse("SELECT 1", "a") + wire.sync())
    holder.until_ready()
    holder.sql("BEGIN; SELECT 1")
    unit = wire.parse("SELECT 1", "a") + wire.sync() + wire.close_("S", "a")
    c.send(wire.parse("SELECT 1", "a") + wire.sync())
    equal(c.until_ready().kinds, "1Z", "adopted")
    check(unit and holder.status == "T", "held")


@test
def answers_of_the_console(t):
    """the console's tables"""
    d = t.daemon()
    for name, unit, answers in (("SHOW VERSION", q("SHOW VERSION"), None), ("SHOW CONFIG", q("SHOW CONFIG"), None),
                                ("SHOW CLIENTS", q("SHOW CLIENTS"), None), ("an error", q("SHOW NOTHING"), None),
                                ("by the extended protocol", wire.extended("SHOW POOLS") + wire.sync(), None)):
        c = t.client(d, "pgwith")
        c.send(unit)
        answers = c.until_ready().kinds.replace("N", "").replace("S", "")
        if "CLIENTS" not in name:
            flood(d, c, unit, answers, name)
        else:
            before = settled(d)
            send_until_stuck(c.sock, unit)
            check(sanitized() or growth(d, before) < GROWTH, "the daemon has grown by %d" % growth(d, before))
        c.drop()


@test
def one_text_for_the_console(t):
    """one Query with thousands of commands: it is answered as far as it is read, in order, and others are served meanwhile"""
    d = t.daemon()
    other = t.client(d)
    for word, count in (("SHOW HELP", 6000), ("SHOW VERSION", 4000), ("BEGIN", 10000), ("SELECT 1", 7000)):
        c = t.client(d, "pgwith")
        c.ask(word)
        kinds = c.ask(word).kinds[:-1]
        before = settled(d)
        c.send(wire.query((word + ";") * count))
        for _ in range(5):
            took, _ = seconds(other.value, "SELECT 1")
            check(took < 0.3 * slow_factor(), "%s: others are served after %.2f s" % (word, took))
            time.sleep(0.02)
        if not sanitized():
            check(growth(d, before) < GROWTH, "%s: the daemon has grown by %d kB" % (word, growth(d, before) // 1024))
        got = c.until_ready()
        equal((got.kinds.count("C"), got.errors), (count, []), word)
        check(got.kinds[:-1] == kinds * count, "in order")
        equal(c.value("SELECT 5"), "5", "it goes on")
        # who goes, and who cancels
        c.send(wire.query("SHOW HELP;" * 6000))
        c.cancel()
        check([e.sqlstate for e in c.until_ready().errors] in (["57014"], []), "cancelled")
        c.send(wire.query("SHOW HELP;" * 6000))
        c.drop()
    wait_until(lambda: len(d.show("CLIENTS")) == 2, 5, "who has gone is gone")


@test
def before_the_login(t):
    """negotiation requests: one of each kind, as PostgreSQL does it, and no memory"""
    d = t.daemon()
    ssl, gss = (struct.pack("!ii", 8, n) for n in (wire.SSL_REQUEST, wire.GSSENC_REQUEST))

    def dial(where):
        s = wire.dial(*where)
        t.defer(s.close)
        return s

    def answers(where, *requests):
        """To one request after the other: refusals, the SQLSTATE of an error, and whether it has ended."""
        s = dial(where)
        got, ended = b"", False
        for request in requests:
            s.sendall(request)
            s.settimeout(0.3 * slow_factor() if request is requests[-1] else wire.read_timeout())
            try:
                more = b""
                while not ended and (request is requests[-1] or not more):
                    more = s.recv(65536)
                    got, ended = got + more, not more
            except TimeoutError:
                pass
            except ConnectionError:
                ended = True
        rest = got.lstrip(b"N")
        return len(got) - len(rest), wire.report_fields(rest[5:]).get("C") if rest else None, ended
    here, there = (d.sockets, d.port), (t.cluster.sockets, t.cluster.port)
    for requests in ((ssl,), (gss,), (ssl, gss), (gss, ssl), (ssl, ssl), (gss, gss), (ssl, gss, ssl), (gss, ssl, gss)):
        again = len(set(requests)) < len(requests)
        expected = (len(set(requests)), "0A000" if again else None, again)
        if t.cluster.ours and not t.suite.tls:
            equal(answers(there, *requests), expected, "PostgreSQL: %r" % (requests,))
        equal(answers(here, *requests), expected, "%r" % (requests,))
    equal(answers(here, ssl * 5000), (1, "0A000", True), "very many in one write")
    # In pieces, each before the answer to the one before it.
    s = dial(here)
    for request in (ssl, gss):
        s.sendall(request)
        equal(s.recv(10), b"N", "refused")
    c = wire.Client(d.sockets, d.port, "db", login=False)
    c.sock.close()
    c.sock = s
    c.login()
    equal(c.value("SELECT 1"), "1", "and in")
    before = settled(d)
    for data in (ssl, struct.pack("!iiii", 16, wire.CANCEL_REQUEST, 1, 1)):
        for _ in range(20):
            try:
                send_until_stuck(dial(here), data, most=MB, patience=0.05)
            except ConnectionError:
                pass
    check(sanitized() or growth(d, before) < GROWTH, "the daemon has grown by %d" % growth(d, before))


main()
