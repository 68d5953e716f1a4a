"""LISTEN without a pin: one connection of a pool, its keeper, listens for all sessions (listen_mode = shared). What
sessions get is what PostgreSQL itself gives them."""

import os
import signal
import struct

from pgwtest import Closed, check, equal, main, test, wait_until, wire


def notifications(c, count, within=20.0):
    """The next ones, (channel, payload); whatever else comes is in c.others."""
    got = []
    old = c.sock.gettimeout()
    c.sock.settimeout(within)
    try:
        while len(got) < count:
            kind, body = c.read()
            if kind == "A":
                got.append(told(body))
    finally:
        c.sock.settimeout(old)
    return got


def told(body):
    channel, payload = body[4:-1].split(b"\0")
    return channel.decode("latin1"), payload.decode("latin1")


def exchange(c, messages):
    """The messages up to ReadyForQuery, notifications with their texts."""
    c.send(messages)
    got = []
    while not got or got[-1][0] != "Z":
        kind, body = c.read()
        got.append((kind, told(body) if kind == "A" else body if kind in "CZ" else None))
    return got


def keeper(t):
    """The backend of the keeper: the one that has said LISTEN last, or nothing behind it."""
    pids = [a["pid"] for a in t.activity() if a["query"].split(" ")[0] in ("LISTEN", "UNLISTEN", "")
            and a["state"] == "idle"]
    equal(len(pids), 1, "keepers of %r" % t.activity())
    return int(pids[0])


@test
def first(t):
    """a session that listens holds no server, and gets notifications while it idles and ahead of ReadyForQuery, from
    its first LISTEN on up to its UNLISTEN; another one gets none"""
    d = t.daemon(size=1)
    a, b, other = t.client(d), t.client(d), t.direct()
    other.sql("NOTIFY news, 'too early'")
    equal(exchange(a, wire.query("LISTEN news")), [("C", b"LISTEN\0"), ("Z", b"I")], "its answer")
    equal(d.leased(), 0, "leased servers")
    equal([c["pinned"] for c in d.clients() if c["pinned"]], [], "why sessions are pinned")
    other.sql("NOTIFY news, 'one'")
    other.sql("NOTIFY else, 'not for it'")
    other.sql("NOTIFY NEWS, 'two'")
    equal(notifications(a, 2), [("news", "one"), ("news", "two")], "while it idles")
    a.sql("BEGIN; SELECT 1")
    other.sql("NOTIFY news, 'three'")
    check(a.silent(0.1), "nothing in a transaction")
    equal([k for k, _ in exchange(a, wire.query("COMMIT"))], ["C", "A", "Z"], "at its end")
    equal(exchange(b, wire.query("UNLISTEN news"))[-1], ("Z", b"I"), "who does not listen")
    other.sql("NOTIFY news, 'four'")
    equal(exchange(a, wire.query("UNLISTEN news; LISTEN other; LISTEN \"Two\"\" words\"")),
          [("A", ("news", "four")), ("C", b"UNLISTEN\0"), ("C", b"LISTEN\0"), ("C", b"LISTEN\0"), ("Z", b"I")],
          "what was told before an UNLISTEN comes before it")
    other.sql("NOTIFY news, 'five'")
    other.sql("NOTIFY \"Two\"\" words\"")
    other.sql("NOTIFY other, 'six'")
    equal(notifications(a, 2), [("Two\" words", ""), ("other", "six")], "by its new channels")
    a.sql("UNLISTEN *")
    b.sql("NOTIFY other, 'seven'")
    check(a.silent(0.1) and b.silent(0.1), "and none behind UNLISTEN *")
    equal(a.value("SELECT count(*) FROM pg_listening_channels()"), "0", "its server listens to nothing")


@test
def many(t):
    """1000 sessions listen, by a pool of 5: none holds a server; each gets every notification once and in order"""
    d = t.daemon(size=5)
    listeners = [d.connect() for _ in range(1000)]
    for c in listeners:
        c.send(wire.query("LISTEN all_of_us; LISTEN c%d" % (c.session % 10)))
    for c in listeners:
        equal(c.until_ready().tags, ["LISTEN", "LISTEN"], "its answer")
    equal(d.leased(), 0, "leased servers")
    worker, want = t.client(d), []
    for n in range(50):
        worker.sql("NOTIFY all_of_us, '%d'" % n)
        want.append(("all_of_us", str(n)))
    for k in range(10):
        worker.sql("NOTIFY c%d, 'own'" % k)
    for c in listeners:
        equal(notifications(c, 51), want + [("c%d" % (c.session % 10), "own")], "of session %d" % c.session)
    for c in listeners:
        c.close()
    d.quiet()


@test
def keeper_ends(t):
    """the keeper's backend ends: every session that listens is told so, and ended; the next LISTEN is by another"""
    d = t.daemon(size=2)
    a, b = t.client(d), t.client(d)
    a.sql("LISTEN one")
    b.sql("SELECT 1")
    t.sql("SELECT pg_terminate_backend(%d)" % keeper(t))
    r = a.until_closed()
    equal([(e.severity, e.sqlstate) for e in r.errors], [("FATAL", "57P01")], "its last words")
    check("may have been missed" in r.errors[0].hint, r.errors[0].hint)
    equal(b.value("SELECT 1"), "1", "who does not listen")
    b.sql("LISTEN one")
    t.sql("NOTIFY one, 'again'")
    equal(notifications(b, 1), [("one", "again")], "by another keeper")


@test
def handed_over(t):
    """channels, the keeper and what waits for a session are handed over to the next process: nothing is lost"""
    d = t.supervised(size=2)
    a, b, other = t.client(d), t.client(d), t.direct()
    a.sql("LISTEN one; LISTEN two")
    b.sql("LISTEN two")
    b.sql("BEGIN; SELECT 1")
    want = []
    for n in range(5):
        other.sql("NOTIFY two, 'before %d'" % n)
        d.restart()
        other.sql("NOTIFY two, 'behind %d'" % n)
        want += [("two", "before %d" % n), ("two", "behind %d" % n)]
    equal(notifications(a, 10), want, "who idles")
    got = exchange(b, wire.query("COMMIT"))
    equal([x for k, x in got if k == "A"], want, "who was in a transaction")
    a.sql("UNLISTEN two")
    other.sql("NOTIFY two")
    other.sql("NOTIFY one")
    equal(notifications(a, 1), [("one", "")], "behind an UNLISTEN")


@test
def reconnected(t):
    """RECONNECT exchanges the keeper, while notifications come without a pause: none is lost, doubled or reordered"""
    d = t.daemon(size=2)
    a, other = t.client(d), t.direct()
    a.sql("LISTEN one")
    sent = 0
    for _ in range(5):
        old = keeper(t)
        d.console("RECONNECT")
        while old in (x["pid"] for x in t.activity()):
            other.sql("NOTIFY one, '%d'" % sent)
            sent += 1
    other.sql("NOTIFY one, 'end'")
    equal(notifications(a, sent + 1), [("one", str(n)) for n in range(sent)] + [("one", "end")], "what came")


@test
def slow(t):
    """a session that does not take its notifications is ended with an error when 8 MB wait for it; others go on"""
    d = t.daemon(size=2)
    a, b, other = t.client(d), t.client(d), t.direct()
    a.sql("LISTEN one")
    b.sql("LISTEN one")
    a.sql("BEGIN; SELECT 1")
    text = "x" * 7900
    for n in range(1200):
        other.sql("NOTIFY one, '%d%s'" % (n, text))
        equal(notifications(b, 1), [("one", "%d%s" % (n, text))], "who takes them")
    r = a.until_closed()
    equal([(e.severity, e.sqlstate) for e in r.errors], [("FATAL", "53200")], "its last words")
    equal(b.value("SELECT 1"), "1", "who takes them")


if __name__ == "__main__":
    main()
