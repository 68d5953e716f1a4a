"""LISTEN without a pin: one connection of a pool, its keeper, listens for all sessions (listen_mode = shared). What
sessions get is what PostgreSQL itself gives them."""

import os
import signal
import struct

from pgwtest import Failure, brief, check, equal, main, slow_factor, test, wait_until, wire


def notifications(c, count, within=20.0, what=""):
    """The next ones, (channel, payload)."""
    got = []
    old = c.sock.gettimeout()
    c.sock.settimeout(within * slow_factor())
    try:
        while len(got) < count:
            kind, body = c.read()
            if kind == "A":
                got.append(told(body))
    except TimeoutError:
        raise Failure("only %r of %d notifications have come %s" % (got, count, what)) from None
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
    c.status = got[-1][1].decode()
    return got


def keeper(d):
    """The backend of the keeper."""
    pids = [int(s["remote_pid"]) for s in d.servers() if s["state"] == "listening"]
    equal(len(pids), 1, "keepers of %r" % d.servers())
    return pids[0]


@test
def first(t):
    """a session that listens holds no server, and gets notifications while it idles and ahead of ReadyForQuery, from
    its first LISTEN on up to its UNLISTEN; another one gets none"""
    d = t.daemon(size=1)
    a, b, other = t.client(d), t.client(d), t.direct()
    other.sql("NOTIFY news, 'too early'")
    equal(exchange(a, wire.query("LISTEN news")), [("C", b"LISTEN\0"), ("Z", b"I")], "its answer")
    equal(d.leased(), [], "leased servers")
    equal([c["pinned"] for c in d.clients() if c["pinned"]], [], "why sessions are pinned")
    other.sql("NOTIFY news, 'one'")
    other.sql("NOTIFY elsewhere, 'not for it'")
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
    equal(d.leased(), [], "leased servers")
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
    t.sql("SELECT pg_terminate_backend(%d)" % keeper(d))
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
        old = keeper(d)
        d.console("RECONNECT")
        while old in (x["pid"] for x in t.activity()) or sent % 10:
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


@test
def memory(t):
    """listen_memory bounds what waits for all sessions together: who keeps the most is ended, the others get all; a reload
    changes it, and what was taken does not count"""
    d = t.daemon(size=6, options={"listen_memory": "1MB"})
    large, small, quick = t.client(d), t.client(d), t.client(d)
    other = t.direct()
    text = "x" * 7900
    large.sql("LISTEN large; LISTEN every")
    for c in (small, quick):
        c.sql("LISTEN every")
    large.sql("BEGIN; SELECT 1")
    small.sql("BEGIN; SELECT 1")
    sent = 0
    while not any("keeps the most" in line for line in d.log_text().splitlines()):
        check(sent < 300, "it has a bound")
        other.sql("NOTIFY every, '%d%s'; NOTIFY large, '%d%s'" % (sent, text, sent, text))
        equal(notifications(quick, 1), [("every", "%d%s" % (sent, text))], "who takes them")
        sent += 1
    check(sent * 7900 * 3 < 1.2 * 1024 * 1024 < (sent + 20) * 8000 * 3, "%d were kept" % sent)
    r = large.until_closed()
    equal([(e.severity, e.sqlstate) for e in r.errors], [("FATAL", "53200")], "its last words")
    check("listen_memory" in r.errors[0].detail, r.errors[0].detail)
    # There is room again.
    for n in range(sent, sent + 20):
        other.sql("NOTIFY every, '%d%s'" % (n, text))
    small.send(wire.query("COMMIT"))
    equal(notifications(small, sent + 20), [("every", "%d%s" % (n, text)) for n in range(sent + 20)], "who keeps less")
    small.until_ready()
    for _ in range(3):
        small.sql("BEGIN; SELECT 1")
        for n in range(60):
            other.sql("NOTIFY every, '%d%s'" % (n, text))
        small.send(wire.query("COMMIT"))
        notifications(small, 60)
        notifications(quick, 60 if _ else 80)
        small.until_ready()
    equal(d.log_text().count("keeps the most"), 1, "sessions that were ended")
    d.reload(options={"listen_memory": "4MB"}, pools={"db": {"conninfo": t.conninfo(), "size": 6}})
    small.sql("BEGIN; SELECT 1")
    for n in range(300):
        other.sql("NOTIFY every, '%d%s'" % (n, text))
        notifications(quick, 1)
    small.send(wire.query("COMMIT"))
    notifications(small, 300)
    equal(d.log_text().count("keeps the most"), 1, "sessions that were ended")


@test
def at_commit(t):
    """a transaction that listens: its COMMIT waits until the keeper listens, so that what is committed behind it is
    never lost; what was committed before its COMMIT was sent is not asked for. ROLLBACK needs no keeper"""
    d = t.daemon(size=2)
    a, b, other = t.client(d), t.client(d), t.direct()
    b.sql("LISTEN something")
    pid = keeper(d)
    for encode in (wire.query, lambda x: wire.extended(x) + wire.sync()):
        for end, expect in (("COMMIT", [("one", "behind")]), ("ROLLBACK", [])):
            a.sql("BEGIN")
            equal(exchange(a, encode("LISTEN one"))[-1], ("Z", b"T"), "LISTEN")
            other.sql("NOTIFY one, 'early'")
            t.cluster.signal(pid, signal.SIGSTOP)
            try:
                a.send(encode(end))
                if expect:
                    check(a.silent(0.2), "it waits for the keeper")
                    equal(t.value("SELECT count(*) FROM pg_stat_activity WHERE state <> 'idle' AND "
                              "pid <> pg_backend_pid() AND datname = current_database()"), "1",
                          "the transaction is still open")
                else:
                    a.until_ready()
            finally:
                t.cluster.signal(pid, signal.SIGCONT)
            if expect:
                a.until_ready()
            other.sql("NOTIFY one, 'behind'")
            other.sql("NOTIFY something")
            equal(notifications(b, 1), [("something", "")], "the keeper is at it")
            if expect:
                equal(notifications(a, 1), expect, "behind " + end)
            check(a.silent(0.05), "and no more")
            a.sql("UNLISTEN *")
    equal(d.leased(), [], "leased servers")


@test
def chained(t):
    """COMMIT AND CHAIN, and a COMMIT in a text with other statements: what is committed behind it comes once, and the
    session keeps its server as long as that listens"""
    d = t.daemon(size=2)
    other = t.direct()
    for encode in (wire.query, lambda x: wire.extended(x) + wire.sync()):
        for texts in (("BEGIN", "LISTEN one", "COMMIT AND CHAIN", "COMMIT"), ("BEGIN", "LISTEN one", "COMMIT AND CHAIN", "ROLLBACK"),
                      ("BEGIN", "LISTEN one", "ROLLBACK AND CHAIN", "COMMIT"), ("BEGIN", "LISTEN one", "SELECT 1; COMMIT; BEGIN", "COMMIT"),
                      ("BEGIN", "LISTEN one", "COMMIT; SELECT 1", "SELECT 1"), ("BEGIN; LISTEN one; COMMIT", "SELECT 1")):
            got = []
            for c in (t.direct(), t.client(d)):
                got.append([])
                for n, text in enumerate(texts):
                    got[-1] += [x for k, x in exchange(c, (wire.query if ";" in text else encode)(text)) if k == "A"]
                    if n == len(texts) - 2:
                        for k in range(3):
                            other.sql("NOTIFY one, '%d'" % k)
                got[-1] += [x for k, x in exchange(c, wire.query("LISTEN fence")) if k == "A"]
                other.sql("NOTIFY one, 'end'")
                other.sql("NOTIFY fence")
                while ("fence", "") not in got[-1]:
                    got[-1] += notifications(c, 1)
                check(c.silent(0.05), "and no more")
                c.close()
            equal(got[1], got[0], "behind %r" % (texts,))


@test
def told_late(t):
    """what is committed while the LISTEN or the COMMIT is answered, and the keeper does not read, is given once, in
    order"""
    d = t.daemon(size=2)
    a, other = t.client(d), t.direct()
    a.sql("LISTEN zero")
    pid = keeper(d)
    a.sql("BEGIN; SELECT 1")
    a.sql("LISTEN one")
    a.sql("COMMIT")
    t.cluster.signal(pid, signal.SIGSTOP)
    for n in range(20):
        other.sql("NOTIFY %s, '%d'" % ("zero" if n % 3 else "one", n))
    a.send(wire.query("UNLISTEN zero"))
    check(a.silent(0.1), "its UNLISTEN waits for what was told before")
    t.cluster.signal(pid, signal.SIGCONT)
    got = []
    while not got or got[-1][0] != "Z":
        got.append(a.read())
    equal([told(b) for k, b in got if k == "A"], [("zero" if n % 3 else "one", str(n)) for n in range(20)],
          "ahead of the answer")
    equal([k for k, _ in got[-2:]], ["C", "Z"], "the answer")


@test
def keeper_hangs(t):
    """a keeper that does not answer is given up after connect_timeout: sessions that listen are told, the LISTEN that
    waits is an error, and the next one is by another keeper"""
    d = t.daemon(size=2, connect_timeout="%dms" % (1000 * brief(1)), check_interval="1s")
    a, b, c = t.client(d), t.client(d), t.client(d)
    a.sql("LISTEN one")
    pid = keeper(d)
    t.cluster.signal(pid, signal.SIGSTOP)
    try:
        b.send(wire.query("LISTEN two"))
        equal([e.sqlstate for e in a.until_closed().errors], ["57P01"], "who listened")
        r = b.until_ready()
        equal([(e.severity, e.sqlstate) for e in r.errors], [("ERROR", "08006")], "who wanted to listen")
        c.sql("LISTEN two")
        b.sql("LISTEN two")
        t.sql("NOTIFY two")
        equal([notifications(x, 1) for x in (b, c)], [[("two", "")]] * 2, "by another one")
    finally:
        t.cluster.signal(pid, signal.SIGCONT)


def asked_for(d, c):
    """The session's LISTEN waits for the keeper."""
    pattern = "session %d: listening quiet -> asked" % c.session
    return d.log_text().count(pattern)


@test
def cancelled(t):
    """a CancelRequest ends a LISTEN that waits for the keeper, by Query and by Bind; its COMMIT goes on without the keeper"""
    d = t.daemon(size=2)
    a, b, other = t.client(d), t.client(d), t.direct()
    a.sql("LISTEN one")
    pid = keeper(d)
    t.cluster.signal(pid, signal.SIGSTOP)
    try:
        for messages in (wire.query("LISTEN two"), wire.extended("LISTEN two") + wire.sync(), wire.query("UNLISTEN one")):
            c = a if b"UNLISTEN" in messages else b
            before = asked_for(d, c)
            c.send(messages)
            wait_until(lambda c=c, before=before: asked_for(d, c) > before, 20, "it is asked for")
            c.cancel()
            equal([e.sqlstate for e in c.until_ready().errors], ["57014"], "its answer")
            equal(c.value("SELECT 1"), "1", "what comes then") if c is b else None
        b.sql("BEGIN")
        b.sql("LISTEN three")
        before = asked_for(d, b)
        b.send(wire.query("COMMIT"))
        wait_until(lambda: asked_for(d, b) > before, 20, "it is asked for")
        b.cancel()
        equal(b.until_ready().tags, ["COMMIT"], "its answer")
        other.sql("NOTIFY three")
        equal(notifications(b, 1), [("three", "")], "by its own server")
    finally:
        t.cluster.signal(pid, signal.SIGCONT)
    other.sql("NOTIFY two; NOTIFY one")
    equal(notifications(a, 1), [("one", "")], "what was not ended")
    b.sql("UNLISTEN *")
    check(b.silent(0.1), "nothing of what was cancelled")
    b.sql("LISTEN two")
    other.sql("NOTIFY two")
    equal(notifications(b, 1), [("two", "")], "again")


@test
def waits_too_long(t):
    """a LISTEN for which the keeper is opened can be cancelled, and waits for no longer than wait_timeout"""
    proxy = t.proxy()
    d = t.daemon(size=1, conninfo=t.conninfo(host=proxy.directory, port=proxy.port), wait_timeout="1s",
                 connect_timeout="1min")
    a, b = t.client(d), t.client(d)
    a.sql("SELECT 1")
    proxy.login_gate.clear()
    a.send(wire.query("LISTEN one"))
    wait_until(lambda: asked_for(d, a) > 0, 20, "it is asked for")
    a.cancel()
    equal([(e.sqlstate, e.severity) for e in a.until_ready().errors], [("57014", "ERROR")], "by a cancel")
    b.send(wire.query("LISTEN one"))
    r = b.until_ready()
    equal([e.sqlstate for e in r.errors], ["08006"], "by wait_timeout")
    check("wait_timeout" in r.errors[0].message, r.errors[0].message)
    a.send(wire.query("LISTEN one"))
    proxy.login_gate.set()
    equal(a.until_ready().tags, ["LISTEN"], "when it is open")
    t.sql("NOTIFY one")
    equal(notifications(a, 1), [("one", "")], "what comes")


@test
def killed_waiting(t):
    """KILL SCOPE ends a LISTEN that waits for the keeper at once; and a transaction whose COMMIT waits for it, with what it has done"""
    t.sql("CREATE TABLE made (n int)")
    proxy = t.proxy()
    d = t.daemon(size=2, conninfo=t.conninfo(host=proxy.directory, port=proxy.port), wait_timeout="20s", connect_timeout="1min")
    a, c = t.client(d), t.client(d)
    c.sql("BEGIN; SELECT 1")
    a.sql("BEGIN; INSERT INTO made VALUES (1)")
    c.sql("COMMIT")
    proxy.login_gate.clear()
    c.send(wire.query("LISTEN one"))
    a.sql("LISTEN one")
    a.send(wire.query("COMMIT"))
    killed = "canceled by an administrator while waiting for pool \"db\""
    ended = (["ROLLBACK"], "I", [])  # as by any limit that has passed when COMMIT comes
    for x, what, want in ((c, "LISTEN", ([], "I", ["57014"])), (a, "COMMIT", ended)):
        wait_until(lambda x=x: asked_for(d, x) > 0, 20, "the %s waits" % what)
        d.console("KILL SCOPE %d" % x.session)
        r = x.until_ready()
        equal((r.tags, r.status, [e.sqlstate for e in r.errors]), want, what + ": %s" % r.errors)
        equal([e.message for e in r.errors], [killed] if x is c else [], "the error of the " + what)
        equal(x.value("SELECT 2"), "2", "what comes behind does not wait for it")
    proxy.login_gate.set()
    for x in (a, c):
        equal(x.value("SELECT count(*) FROM made"), "0", "what the transactions have done")
        equal(x.value("SELECT count(*) FROM pg_listening_channels()"), "0", "channels")
    a.sql("LISTEN one")
    t.sql("NOTIFY one")
    equal(notifications(a, 1), [("one", "")], "what comes")


@test
def over_waiting(t):
    """a limit that ends a transaction whose COMMIT waits for the keeper ends that wait, too"""
    proxy = t.proxy()
    d = t.daemon(size=1, conninfo=t.conninfo(host=proxy.directory, port=proxy.port), wait_timeout="1h", connect_timeout="1h",
                 scope_deadline="1s")
    a = t.client(d)
    a.sql("SELECT 1")
    proxy.login_gate.clear()
    a.sql("BEGIN")
    a.sql("LISTEN one")
    a.send(wire.query("COMMIT"))
    wait_until(lambda: asked_for(d, a) > 0, 20, "COMMIT waits")
    r = a.until_ready()
    equal((r.tags, r.status, r.errors), (["ROLLBACK"], "I", []), "COMMIT")
    equal(a.value("SELECT 2"), "2", "what comes behind does not wait for it")
    proxy.login_gate.set()


@test
def unreachable(t):
    """if the keeper cannot be opened, LISTEN is the error that a server would be"""
    proxy = t.proxy()
    d = t.daemon(size=1, conninfo=t.conninfo(host=proxy.directory, port=proxy.port), retry_delay="100ms")
    c = t.client(d)
    c.sql("SELECT 1")
    proxy.refuse = True
    r = c.ask("LISTEN one")
    equal([e.sqlstate for e in r.errors], ["08001"], "LISTEN")
    proxy.refuse = False
    c.sql("LISTEN one")
    t.sql("NOTIFY one")
    equal(notifications(c, 1), [("one", "")], "when it can be opened again")


@test
def killed_while_it_opens(t):
    """KILL SERVER of a keeper that is being opened: the LISTEN goes on with another one, or is an error; RECONNECT, too"""
    proxy = t.proxy()
    d = t.daemon(size=1, conninfo=t.conninfo(host=proxy.directory, port=proxy.port), retry_delay="100ms")
    a = t.client(d)
    a.sql("SELECT 1")
    for command in ("KILL SERVER %s", "RECONNECT", "KILL SERVER %s; RECONNECT"):
        proxy.login_gate.clear()
        seen = proxy.logins
        a.send(wire.query("LISTEN one"))
        wait_until(lambda seen=seen: proxy.logins > seen, 10, "a keeper logs in")
        opening, = [s["id"] for s in d.servers() if s["state"] == "connecting"]
        d.console(command.replace("%s", opening))
        proxy.login_gate.set()
        check([e.sqlstate for e in a.until_ready().errors] in ([], ["08001"]), command)
        a.sql("LISTEN one")
        t.sql("NOTIFY one")
        equal(notifications(a, 1), [("one", "")], "after " + command)
        a.sql("UNLISTEN *")
        d.console("RECONNECT")    # closes the keeper, which nobody needs
        wait_until(lambda: not [s for s in d.servers() if s["state"] == "listening"], 10, "no keeper is there")


@test
def reconnect_fails(t):
    """RECONNECT when no other keeper can be had: the one that listens stays, it is tried again, and WAIT_CLOSE waits
    for that"""
    proxy = t.proxy()
    d = t.daemon(size=1, conninfo=t.conninfo(host=proxy.directory, port=proxy.port), retry_delay="100ms")
    a, other = t.client(d), t.direct()
    a.sql("LISTEN one")
    old = keeper(d)
    proxy.refuse = True
    d.console("RECONNECT")
    wait_until(lambda: proxy.refused > 0, 20, "another keeper is refused")
    other.sql("NOTIFY one, 'old'")
    equal(notifications(a, 1), [("one", "old")], "by the old one")
    equal(keeper(d), old, "the keeper")
    proxy.refuse = False
    d.console("WAIT_CLOSE")
    check(keeper(d) != old, "it was exchanged")
    other.sql("NOTIFY one, 'new'")
    equal(notifications(a, 1), [("one", "new")], "by the new one")


@test
def paused(t):
    """a pool that is paused opens no keeper: LISTEN waits for RESUME; one that listens goes on, until nobody listens"""
    d = t.daemon(size=2)
    a, b, other = t.client(d), t.client(d), t.direct()
    d.console("PAUSE")
    a.send(wire.query("LISTEN one"))
    check(a.silent(0.2), "it waits")
    equal(d.servers(), [], "servers")
    d.console("RESUME")
    equal(a.until_ready().tags, ["LISTEN"], "its answer")
    pid = keeper(d)
    equal([n["M"] for n in d.console("PAUSE").notices],
          ["1 server connection that listens for sessions stays"], "the notice")
    equal(keeper(d), pid, "the keeper")
    b.sql("LISTEN one")
    other.sql("NOTIFY one, 'paused'")
    equal([notifications(c, 1) for c in (a, b)], [[("one", "paused")]] * 2, "while it is paused")
    a.sql("UNLISTEN *")
    b.sql("UNLISTEN *")
    d.console("RESUME")
    d.console("PAUSE")
    wait_until(lambda: d.servers() == [], 20, "nobody listens: it is closed")
    d.console("RESUME")
    b.sql("LISTEN one")
    other.sql("NOTIFY one, 'again'")
    equal(notifications(b, 1), [("one", "again")], "by another one")


@test
def restarted_while_it_opens(t):
    """a restart while the keeper is opened: LISTEN waits for that of the next process"""
    proxy = t.proxy()
    d = t.supervised(size=1, conninfo=t.conninfo(host=proxy.directory, port=proxy.port))
    a, other = t.client(d), t.direct()
    proxy.login_gate.clear()
    seen = proxy.logins
    a.send(wire.query("LISTEN one"))
    wait_until(lambda: proxy.logins > seen, 20, "it is opened")
    d.restart()
    proxy.login_gate.set()
    equal(a.until_ready().tags, ["LISTEN"], "its answer")
    other.sql("NOTIFY one, 'there'")
    equal(notifications(a, 1), [("one", "there")], "what came")


@test
def reloaded(t):
    """another conninfo of the same database: another keeper takes over, and nothing is lost. Another database: the
    sessions that listen are ended, as notifications of the two have no order"""
    d = t.daemon(size=2)
    a, other = t.client(d), t.direct()
    a.sql("LISTEN one; LISTEN two")
    old, sent = keeper(d), 0
    d.reload(pools={"db": {"conninfo": t.conninfo(application_name="moved"), "size": 2}})
    while old in (x["pid"] for x in t.activity()):
        other.sql("NOTIFY one, '%d'" % sent)
        sent += 1
    other.sql("NOTIFY two, 'end'")
    equal(notifications(a, sent + 1), [("one", str(n)) for n in range(sent)] + [("two", "end")], "what came")
    a.sql("UNLISTEN one")
    old = keeper(d)
    t.new_database()
    d.reload(pools={"db": {"conninfo": t.conninfo(), "size": 2}})
    equal([e.sqlstate for e in a.until_closed().errors], ["57P01"], "its last words")
    with d.connect() as b:
        b.sql("LISTEN one")
        t.sql("NOTIFY one, 'there'")
        equal(notifications(b, 1), [("one", "there")], "at the new place")


@test
def encodings(t):
    """payloads and channels in the encoding of each session: what has no equivalent there is a warning, and order is
    kept"""
    d = t.daemon(size=2)
    utf8, latin, direct = t.client(d), t.client(d, client_encoding="LATIN1"), t.direct(client_encoding="LATIN1")
    utf8.sql('LISTEN one; LISTEN "\u00e9"')
    for c in (latin, direct):
        c.sql("LISTEN one")
        c.send(wire.query(b'LISTEN "\xe9"'))
        equal(c.until_ready().tags, ["LISTEN"], "a channel in another encoding")
    other = t.direct()
    texts = ["plain", "caf\u00e9 %d", "plain", "\u00e4" * 3000, "plain"]
    for n, text in enumerate(texts):
        other.sql("NOTIFY one, '%s'" % text)
        other.sql("NOTIFY \"\u00e9\", '%d'" % n)
    want = [x for n, text in enumerate(texts) for x in (("one", text), ("\u00e9", str(n)))]
    equal([tuple(y.encode("latin1").decode() for y in x) for x in notifications(utf8, 10)], want, "UTF8")
    equal(notifications(direct, 10), want, "LATIN1, directly")
    # Its own server listens to the channel that is not ASCII: the order is that of each connection.
    equal(sorted(notifications(latin, 10)), sorted(want), "LATIN1")
    other.sql("NOTIFY one, '\u20ac'")
    other.sql("NOTIFY one, 'behind'")
    kind, body = latin.read()
    equal((kind, wire.report_fields(body)["C"]), ("N", "22P05"), "a character that LATIN1 lacks")
    equal(notifications(latin, 1), [("one", "behind")], "the next one")


@test
def without_pin(t):
    """pin = off: LISTEN is no reason to refuse, as it does not pin, in a transaction and as a prepared statement too;
    what would still pin is refused"""
    d = t.daemon(size=1, pin="off")
    a, other = t.client(d), t.client(d)
    a.sql("LISTEN one")
    a.sql("BEGIN")
    a.sql("LISTEN two")
    a.sql("COMMIT")
    equal(a.ask_extended("LISTEN three").tags, ["LISTEN"], "by Parse")
    a.send(wire.parse("LISTEN four", "s") + wire.sync() + wire.bind(statement="s") + wire.execute() + wire.sync())
    a.until_ready()
    equal(a.until_ready().tags, ["LISTEN"], "by a prepared statement")
    for name in ("one", "two", "three", "four"):
        other.sql("NOTIFY " + name)
    equal(notifications(a, 4), [(n, "") for n in ("one", "two", "three", "four")], "what comes")
    for text in ("LISTEN one; SELECT 1", 'LISTEN U&"d\\00e9j"'):
        equal([e.sqlstate for e in a.ask(text).errors], ["0A000"], text)
        if ";" not in text:
            equal([e.sqlstate for e in a.ask_extended(text).errors], ["0A000"], text)
    equal(a.value("SELECT count(*) FROM pg_listening_channels()"), "0", "nothing of it was done")


@test
def not_in_silence(t):
    """pin = off: a session whose transaction has listened, and which the keeper does not serve, is ended: it is not
    left to wait for what never comes"""
    d = t.daemon(size=2, pin="off")
    for texts, ends in ((("BEGIN", "LISTEN one", "COMMIT AND CHAIN", "COMMIT"), True),
                        (("BEGIN", "LISTEN one", "COMMIT AND CHAIN", "SELECT 1; ROLLBACK"), True),
                        (("BEGIN", "LISTEN one", "ROLLBACK AND CHAIN", "COMMIT"), False),
                        (("BEGIN", "LISTEN one", "SELECT 1; COMMIT"), False)):
        c = t.client(d)
        for text in texts:
            c.send(wire.query(text))
            if text is not texts[-1]:
                c.until_ready()
        if ends:
            equal([e.sqlstate for e in c.until_closed().errors], ["57P01"], "%r" % (texts,))
        else:
            c.until_ready()
            equal(c.value("SELECT 1"), "1", "%r" % (texts,))
            if "ROLLBACK AND CHAIN" not in texts:
                t.sql("NOTIFY one")
                equal(notifications(c, 1), [("one", "")], "%r" % (texts,))
            c.close()


@test
def resets(t):
    """what drivers send to reset a connection ends all listening, if it succeeds"""
    d = t.daemon(size=2)
    a, other = t.client(d), t.client(d)
    texts = ("UNLISTEN *", "DISCARD ALL", "SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;",
             "UNLISTEN one; UNLISTEN two; SELECT 1")
    for encode in (wire.query, lambda x: wire.extended(x) + wire.sync()):
        for text in texts:
            if ";" in text and encode is not wire.query:
                continue
            a.sql("LISTEN one; LISTEN two")
            exchange(a, wire.query("UNLISTEN *; SELECT 1/0"))
            other.sql("NOTIFY one")
            equal(notifications(a, 1), [("one", "")], "behind a text that fails")
            equal(exchange(a, encode(text))[-1], ("Z", b"I"), text)
            other.sql("NOTIFY two")
            wait_until(lambda: [c["listens"] for c in d.clients()] == ["0", "0"], 5, "no channels behind " + text)
            check(a.silent(0.05), "what comes behind " + text)


@test
def limited(t):
    """more than 1000 channels of a session, or LISTENs of a transaction, are for its own server: none is lost"""
    d = t.daemon(size=2)
    other = t.direct()
    for inside in (False, True):
        a = t.client(d)
        if inside:
            a.sql("BEGIN")
        for first in range(0, 2700, 900):
            a.sql(";".join('LISTEN "%04d%s"' % (n, "x" * 40) for n in range(first, first + 900)))
        if inside:
            a.sql("COMMIT")
        check(any("LISTEN" in c["pinned"] for c in d.clients()), "it is pinned")
        for n in range(0, 2700, 271):
            other.sql('NOTIFY "%04d%s"' % (n, "x" * 40))
        want = ["%04d%s" % (n, "x" * 40) for n in range(0, 2700, 271)]
        equal(sorted(c for c, _ in notifications(a, len(want))), want, "what comes")
        check(a.silent(0.05), "and no more")
        a.sql("UNLISTEN *")
        other.sql('NOTIFY "0000%s"' % ("x" * 40))
        check(a.silent(0.05), "behind UNLISTEN *")
        a.close()


@test
def bind_refused(t):
    """a LISTEN whose Bind is refused, because no server is free, is not done, whatever comes behind it"""
    d = t.daemon(size=1, wait_timeout="300ms")
    other = t.direct()
    a, b = t.client(d), t.client(d)
    a.send(wire.parse("LISTEN one", "l") + wire.sync())
    a.until_ready()
    b.sql("BEGIN; SELECT 1")
    a.send(wire.bind(statement="l") + wire.execute() + wire.sync())
    equal(len(a.until_ready().errors), 1, "no server is free")
    b.sql("COMMIT")
    a.sql("SELECT 1")
    equal([c["listens"] for c in d.clients()], ["0", "0"], "channels")
    other.sql("NOTIFY one")
    check(a.silent(0.1), "nothing comes")
    exchange(a, wire.query("LISTEN two"))
    other.sql("NOTIFY two")
    equal(notifications(a, 1), [("two", "")], "the next LISTEN")


@test
def answers_behind_questions(t):
    """each ReadyForQuery comes, also when the server is asked for something of ours behind the answer"""
    d = t.daemon(size=2)
    a, other = t.client(d, DateStyle="German"), t.direct()
    a.sql("LISTEN one")
    a.sql("LOAD 'plpgsql'")
    for text in ("RESET ALL", "SET DateStyle TO DEFAULT", "UNLISTEN other; RESET ALL", "BEGIN; NOTIFY one, 'x'; RESET ALL; COMMIT"):
        equal(exchange(a, wire.query(text))[-1], ("Z", b"I"), text)
    other.sql("NOTIFY one, 'end'")
    equal(notifications(a, 1), [("one", "end")], "what comes")


@test
def nothing_to_end(t):
    """an UNLISTEN of a session that has never listened opens no connection"""
    d = t.daemon(size=1)
    a = t.client(d)
    for encode in (wire.query, lambda x: wire.extended(x) + wire.sync()):
        for text in ("UNLISTEN *", "UNLISTEN a; UNLISTEN b", "BEGIN", "UNLISTEN one", "COMMIT"):
            if ";" not in text or encode is wire.query:
                equal([k for k, _ in exchange(a, encode(text))][-2:], ["C", "Z"], text)
    equal([s for s in d.servers() if s["state"] == "listening"], [], "keepers")


@test
def once(t):
    """a channel of the keeper's to which the session's own server listens for a while, or for good, is told once"""
    d = t.daemon(size=2)
    for before in ("LISTEN a", "LISTEN a; LISTEN b", "LISTEN a; SELECT 1"):
        for text in ("LISTEN a; NOTIFY a, 'x'", "NOTIFY a, 'x'; LISTEN a", "LISTEN a; LISTEN c; NOTIFY a, 'x'; NOTIFY c, 'y'",
                     "LISTEN a; SELECT repeat('x', 100000); NOTIFY a, '%s'" % ("y" * 7000), "BEGIN; LISTEN a; NOTIFY a, 'x'; COMMIT",
                     "SELECT pg_notify('a', i::text) FROM generate_series(1, 30) i; LISTEN a", "NOTIFY a, 'x'; UNLISTEN a; LISTEN a",
                     "BEGIN; LISTEN a; NOTIFY a, 'x'; SAVEPOINT s; NOTIFY a, 'z'; COMMIT; SELECT 1"):
            seen = []
            for c in (t.direct(), t.client(d)):
                c.sql(before)
                got = []
                for _ in range(3):
                    got += [x for k, x in exchange(c, wire.query(text)) if k == "A"]
                check(c.silent(0.02), "and no more")
                seen.append(sorted(got))
                c.close()
            equal(seen[1], seen[0], "%r behind %r" % (text, before))


@test
def cut_short(t):
    """a cancel that comes late, and hits the mark behind a LISTEN, does not fail the transaction"""
    d = t.daemon(size=1)
    a, other, b = t.client(d), t.direct(), t.direct()
    done = 0
    for n in range(300):
        a.sql("BEGIN")
        pid = a.value("SELECT pg_backend_pid()")
        # The signals come within the next millisecond or so.
        b.send(wire.query("SELECT pg_cancel_backend(%s) FROM generate_series(1, %d)" % (pid, t.random.randint(1, 400))))
        a.send(wire.query("LISTEN c%d" % n))
        b.until_ready()
        if a.until_ready().errors:
            equal([e.sqlstate for e in a.ask("SELECT 1").errors], ["25P02"], "it has failed itself")
            a.sql("ROLLBACK")
            continue
        r = a.ask("SELECT 1")
        check([e.sqlstate for e in r.errors] != ["25P02"], "an error of which the client knows nothing")
        if r.errors:
            a.sql("ROLLBACK")
            continue
        a.sql("COMMIT")
        other.sql("NOTIFY c%d" % n)
        equal(notifications(a, 1), [("c%d" % n, "")], "what comes")
        done += 1
    check(done > 0, "no transaction")


@test
def lifetime(t):
    """max_lifetime holds for the keeper too: another one takes over"""
    d = t.daemon(size=1, max_lifetime="1s")
    a = t.client(d)
    a.sql("LISTEN one")
    old = keeper(d)
    equal(notifications_for(t, a, lambda: old in (x["pid"] for x in t.activity())), None, "what came")


def notifications_for(t, c, holds):
    """NOTIFY while it holds; None if all came in order."""
    other, sent = t.direct(), 0
    while holds():
        other.sql("NOTIFY one, '%d'" % sent)
        sent += 1
    got, want = notifications(c, sent), [("one", str(n)) for n in range(sent)]
    return None if got == want else (got, want)


# ---- compared with PostgreSQL itself ----------------------------------------------------------------
def heard(c, fence, what):
    """What comes up to a notification of the fence, which is the last one."""
    got = []
    while not got or got[-1] != ("fence", fence):
        got += notifications(c, 1, what="%s behind %r" % (what, got))
    return got[:-1]


NAMES = ("a", "B", '"C"', '"with ""quotes"""', "u&\"d\\0061t\"", "select", '""', "x" * 63, "y" * 70,
         "d\u00e9j\u00e0", '"\u00e9"',
         "a.b", "'a'", "$1", '"' + "z" * 64 + '"', "_1", "a$b", "between", "public", "/* c */ a", '"a b"')


@test
def spellings(t):
    """LISTEN and UNLISTEN in every spelling: the answers, and what is heard then, are those of PostgreSQL"""
    d = t.daemon(size=2)
    other = t.direct()
    texts = ["%s %s" % (word, name) for name in NAMES for word in ("LISTEN", "unlisten")]
    texts += ["LISTEN a; LISTEN b", "LISTEN a;", " listen\ta ; ; LISTEN \"B\" ;", "LISTEN", "LISTEN a b", "LISTEN a, b",
              "LISTEN a; SELECT 1", "SELECT 1; LISTEN a", "UNLISTEN *", "UNLISTEN *; LISTEN b", "LISTEN a; UNLISTEN *",
              "LISTEN a; UNLISTEN a; LISTEN a", "LISTEN *", "LISTEN a; nonsense", "LISTEN a; SELECT 1/0",
              "-- LISTEN b\nLISTEN a", "LISTEN /* x */ a -- y", "EXPLAIN LISTEN a", "DO $$ BEGIN LISTEN a; END $$",
              "LISTEN a; LISTEN a; UNLISTEN b", "LISTEN a; BEGIN; LISTEN b; ROLLBACK", "BEGIN; LISTEN a; COMMIT",
              "LISTEN a; LISTEN b; UNLISTEN a; LISTEN \"A\""]
    for text in texts:
        for encode in (wire.query, lambda x: wire.extended(x) + wire.sync(),
                       lambda x: wire.parse(x, "s") + wire.describe("S", "s") + wire.sync() +
                       wire.bind(statement="s") + wire.execute() + wire.sync()):
            seen = []
            for c in (t.direct(), t.client(d)):
                c.sql("LISTEN fence; LISTEN b")
                got = [exchange(c, encode(text))]
                if encode(text).count(wire.sync()) > 1:
                    c.send(wire.query(""))
                    got.append([x for x in _until_empty(c)])
                c.sql("LISTEN fence")  # in case of UNLISTEN *
                for name in ("a", "b", "B", "C", "A", "dat", 'with "quotes"', "x" * 63, "y" * 63, "z" * 63, "_1", "a$b",
                             "between", "public", "d\u00e9j\u00e0", "\u00e9", "a b", "select"):
                    other.sql('NOTIFY "%s"' % name.replace('"', '""'))
                other.sql("NOTIFY fence, 'end'")
                if any(x["pinned"] for x in d.clients()):
                    # Its server and the keeper are two connections: in order are those of each.
                    seen[0][-1].sort()
                    got.append(sorted(notifications(c, len(seen[0][-1]) + 1, what=text)))
                    got[-1].remove(("fence", "end"))
                else:
                    got.append(heard(c, "end", text))
                seen.append(got)
                c.close()
            equal(seen[1], seen[0], "%r" % text)


@test
def asked(t):
    """an UNLISTEN whose name is not read for certain ends the channel that PostgreSQL ends: the server is asked. In a
    transaction that takes effect with its COMMIT, and not if it is rolled back"""
    d = t.daemon(size=2)
    other = t.direct()
    names = ("ch", "\u00e9", "\u00c9", "w" * 63, "keep")
    texts = ('UNLISTEN U&"c\\0068"', "UNLISTEN U&\"c!0068\" UESCAPE /* */ '!'", 'UNLISTEN U&"\\00e9"', "UNLISTEN \u00e9",
             "UNLISTEN \u00c9", 'UNLISTEN "\u00c9"', "UNLISTEN %s" % ("w" * 80), 'UNLISTEN "%s"' % ("w" * 80),
             "SET standard_conforming_strings = off; UNLISTEN ch", "UNLISTEN \u00e9; SELECT 1/0", 'SELECT 1; UNLISTEN U&"\\00e9"',
             'UNLISTEN U&"\\00e9"; SELECT 1', 'UNLISTEN U&"\\00e9"; LISTEN "\u00e9"', 'LISTEN U&"c\\0068"; UNLISTEN U&"c\\0068"')
    frames = ("%s", "BEGIN|%s|COMMIT", "BEGIN|%s|ROLLBACK", "BEGIN|SAVEPOINT s|%s|ROLLBACK TO s|COMMIT",
              "BEGIN|LISTEN ch|%s|SAVEPOINT s|UNLISTEN keep|ROLLBACK TO s|COMMIT", "BEGIN|%s|LISTEN ch|COMMIT")
    for encoding in ("UTF8", "LATIN1"):
        for text in texts:
            for frame in frames:
                if ";" in text and "SAVEPOINT" in frame and "1/0" in text:
                    continue
                statements = [x.encode(encoding) for x in (frame % text).split("|")]
                seen = []
                wait_until(lambda: not d.clients(), 10, "nobody is there")
                for c in (t.direct(client_encoding=encoding), t.client(d, client_encoding=encoding)):
                    for name in names:
                        c.sql(('LISTEN "%s"' % name).encode(encoding))
                    c.sql("LISTEN fence")
                    errors = []
                    for x in statements:
                        errors += [e.sqlstate for e in c.ask(x).errors]
                    for name in names:
                        other.sql('NOTIFY "%s"' % name)
                    other.sql("NOTIFY fence, 'end'")
                    pinned = any(x["pinned"] for x in d.clients())
                    seen.append((errors, heard_in_any_order(c, names, encoding) if pinned else heard(c, "end", text)))
                    if pinned:
                        seen[0] = (seen[0][0], sorted(seen[0][1]))
                    c.close()
                equal(seen[1], seen[0], "%r in %s, %r" % (text, encoding, frame))


@test
def bound_only(t):
    """LISTEN and UNLISTEN of a Bind count when its portal is executed, also later in its transaction"""
    d = t.daemon(size=2)
    other = t.direct()

    def bind(text, portal=""):
        return wire.parse(text) + wire.bind(portal=portal)
    begin, commit = wire.query("BEGIN"), wire.query("COMMIT")
    programs_ = (
        ("LISTEN", bind("LISTEN x") + wire.sync()), ("UNLISTEN", bind("UNLISTEN ch") + wire.sync()),
        ("DISCARD", bind("DISCARD ALL") + wire.sync()), ("*", bind("UNLISTEN *", "p") + wire.sync()),
        ("rebound", bind("LISTEN x") + wire.bind(statement="") + wire.execute() + wire.sync()),
        ("another", bind("LISTEN x") + bind("SELECT 1") + wire.execute() + wire.sync()),
        ("UNLISTEN behind one", bind("LISTEN x") + wire.execute() + bind("UNLISTEN ch") + wire.execute() + wire.sync()),
        ("behind one", bind("UNLISTEN ch") + wire.execute() + bind("LISTEN x") + wire.sync()),
        ("behind one that is not", bind("LISTEN x") + bind("UNLISTEN ch", "q") + wire.execute("q") + wire.sync()),
        ("and back", bind("LISTEN x") + wire.execute() + bind("UNLISTEN x") + wire.execute() + wire.sync()),
        ("and again", bind("UNLISTEN ch") + wire.execute() + bind("LISTEN ch") + wire.execute() + wire.sync()),
        ("no Sync", bind("SELECT 1") + wire.execute() + wire.query("UNLISTEN ch")),
        ("closed", bind("LISTEN x", "p") + wire.close_("P", "p") + wire.execute("p") + wire.sync()),
        ("in a transaction", begin + bind("LISTEN x") + wire.sync() + commit),
        ("unlisten in one", begin + bind("UNLISTEN ch") + wire.sync() + commit),
        ("later", begin + bind("LISTEN x", "p") + wire.sync() + wire.execute("p") + wire.sync() + commit),
        ("later, UNLISTEN", begin + bind("UNLISTEN ch", "p") + wire.sync() + wire.execute("p") + wire.sync() + commit),
        ("later, asked", begin + bind('UNLISTEN U&"!00e9" UESCAPE \'!\'', "p") + wire.sync() + wire.execute("p") +
         wire.sync() + commit),
        ("later, rolled back", begin + bind("LISTEN x", "p") + wire.sync() + wire.query("SAVEPOINT s") + wire.execute("p") +
         wire.sync() + wire.query("ROLLBACK TO s") + commit),
        ("later, closed", begin + bind("LISTEN x", "p") + wire.sync() + wire.close_("P", "p") + wire.sync() + commit),
        ("later, with others", begin + bind("LISTEN x", "p") + wire.sync() + bind("SELECT 1") + wire.execute() +
         wire.execute("p") + wire.sync() + commit),
        ("two", begin + bind("LISTEN x", "p") + wire.sync() + bind("LISTEN y", "q") + wire.sync() + wire.execute("q") +
         wire.sync() + wire.execute("p") + wire.sync() + commit),
    )
    for what, program in programs_:
        seen = []
        for c in (t.direct(), t.client(d)):
            for name in ("ch", "\u00e9"):
                c.sql('LISTEN "%s"' % name)
            errors = []
            for _ in range(program.count(wire.sync()) + program.count(b"Q\0")):
                c.send(program) if not _ else None
                errors += [e.sqlstate for e in c.until_ready().errors]
            for name in ("x", "y", "ch", "\u00e9"):
                other.sql('NOTIFY "%s"' % name)
            seen.append((errors, heard_in_any_order(c, (), "")))
            c.close()
        equal(seen[1], seen[0], what)


def heard_in_any_order(c, names, encoding):
    """What comes until it has ended to listen; sorted."""
    c.send(wire.query("UNLISTEN *"))
    got = []
    while True:
        kind, body = c.read()
        if kind == "A":
            got.append(told(body))
        elif kind == "Z":
            return sorted(x for x in got if x[0] != "fence")


def _until_empty(c):
    got = []
    while "I" not in [k for k, _ in got] or got[-1][0] != "Z":
        kind, body = c.read()
        got.append((kind, told(body) if kind == "A" else body if kind in "CZ" else None))
    return got


def a_program(rng):
    """Random transactions with savepoints, LISTEN and UNLISTEN."""
    steps, open_, points = [], False, 0
    for _ in range(rng.randint(5, 25)):
        kind = rng.choice("LLLLUUU*BBCRSSTTEXNMV")
        name = rng.choice(("a", "b", "c", '"D"'))
        if kind == "L":
            steps.append("LISTEN " + name)
        elif kind == "U":
            steps.append("UNLISTEN " + name)
        elif kind == "*":
            steps.append("UNLISTEN *")
        elif kind == "B" and not open_:
            steps.append("BEGIN")
            open_, points = True, 0
        elif kind in "CR" and open_:
            steps.append({"C": rng.choice(("COMMIT", "END", "COMMIT WORK")), "R": "ROLLBACK"}[kind])
            open_ = False
        elif kind == "S" and open_:
            points += 1
            steps.append("SAVEPOINT s%d" % points)
        elif kind == "T" and open_ and points:
            steps.append(rng.choice(("ROLLBACK TO s%d", "RELEASE s%d", "ROLLBACK TO s%d")) % rng.randint(1, points))
        elif kind == "E" and open_:
            steps.append("SELECT 1/0")
        elif kind == "X":
            steps.append("SELECT 1")
        elif kind == "N":
            steps.append("NOTIFY %s, 'own'" % name)
        elif kind == "M":
            steps.append("LISTEN %s; NOTIFY %s, 'own'" % (name, name))
        elif kind == "V":
            steps.append("UNLISTEN %s; SELECT 1" % name)
    if open_:
        steps.append("COMMIT")
    return steps


@test
def programs(t):
    """random programs of LISTEN, UNLISTEN, transactions and savepoints: what is heard between them is what PostgreSQL
    gives, and what is in force at the end is what it says itself"""
    d = t.daemon(size=2)
    other = t.direct()
    for number in range(int(os.environ.get("PGWITH_FUZZ_PROGRAMS", "60"))):
        steps = a_program(t.random)
        how = [wire.query if ";" in x else t.random.choice((wire.query, wire.query, lambda x: wire.extended(x) + wire.sync()))
               for x in steps]
        direct, pooled = t.direct(), t.client(d)
        for c in (direct, pooled):
            c.sql("LISTEN fence")
        for n, (step, encode) in enumerate(zip(steps, how)):
            answers = []
            for c in (direct, pooled):
                # Each hears what the other one says, too: that is not compared.
                mine = "own%d" % len(answers)
                got = exchange(c, encode(step.replace("own", mine)))
                answers.append([(k, (x[0], "own") if k == "A" else x) for k, x in got if k != "A" or x[1] == mine])
            # A pinned session's server and the keeper are two connections: in order are those of each.
            order = sorted if any(x["pinned"] for x in d.clients()) else list
            equal(order(answers[1]), order(answers[0]), "program %d, %r behind %r" % (number, step, steps[:n]))
            if direct.status != "I":
                continue
            if ("fence",) not in direct.sql("SELECT pg_listening_channels()"):
                for c in (direct, pooled):
                    c.sql("LISTEN fence")
            for name in ("a", "b", "c", '"D"'):
                other.sql("NOTIFY %s, '%d'" % (name, n))
            other.sql("NOTIFY fence, '%d'" % n)
            want, got = ([x for x in heard(c, str(n), steps[:n + 1]) if "own" not in x[1]] for c in (direct, pooled))
            while order is sorted and len(got) < len(want):
                got += [x for x in notifications(pooled, 1, what="of %r behind %r" % (want, steps[:n + 1])) if "own" not in x[1]]
            equal(order(got), order(want), "program %d, heard behind %r" % (number, steps[:n + 1]))
        direct.close()
        pooled.close()
    wait_until(lambda: d.leased() == [], 5, "leased servers")


if __name__ == "__main__":
    main()
