"""Joined scopes: what one member sends hurts that member alone, not the scope, its other members or the daemon: messages
for which PostgreSQL closes its connection, halves of messages, pipelines and texts that are very long."""

import struct
import threading
import time

from pgwtest import check, equal, main, note, slow_factor, test, wait_until, wire
from pgwtest.joined import enter
from pgwtest.wire import query


def runs(t, text):
    """Does a backend execute a statement with that text?"""
    return any(text in r["query"] and r["state"] == "active" for r in t.activity())


def header(kind, length):
    """Of a message that says that it is so long."""
    return kind.encode() + struct.pack("!I", length)


@test
def gone_in_a_message(t):
    """a member that is gone in the middle of a long message, behind a megabyte that waits: its query is cancelled"""
    t.sql("CREATE TABLE t (n int)")
    d = t.daemon(cleanup_timeout="20s")
    for size in 14, 30:
        c, member = enter(t, d)
        w = member()
        w.send(query("INSERT INTO t VALUES (1); SELECT pg_sleep(1000)"))
        wait_until(lambda: runs(t, "pg_sleep(1000)"), 5, "it runs")
        w.sock.setblocking(False)
        data = query("SELECT '" + "x" * 60000 + "'") * size + header("B", 50_000_000) + b"\0\0" + b"x" * 2_000_000
        sent = 0
        # What the daemon does not take now, it will never take.
        end = time.monotonic() + 1
        while sent < len(data) and time.monotonic() < end:
            try:
                sent += w.sock.send(data[sent:])
            except BlockingIOError:
                time.sleep(0.01)
        began = time.monotonic()
        w.drop()
        n = member()
        equal(n.value("SELECT count(*) FROM t"), "0", "rows")
        took = time.monotonic() - began
        check(took < 5 * slow_factor(), "the next member waits for %.1f s" % took)
        check(not runs(t, "pg_sleep(1000)"), "the query has been cancelled")
        check(not c.ask("LEAVE ROLLBACK").errors, "the scope has lived")


LONG = b"x" * 20000
LARGE = 0x3ffffffe  # of a length, by PostgreSQL
# By their names, what ends a direct connection without any other message, and the longest of its kind that PostgreSQL takes.
TOO_LONG = {
    "Describe": (wire.message("D", b"S" + LONG + b"\0"), wire.message("D", b"S" + LONG[:9993] + b"\0")),
    "Execute": (wire.message("E", LONG + b"\0\0\0\0\0"), wire.message("E", LONG[:9991] + b"\0\0\0\0\0")),
    "Close": (wire.message("C", b"P" + LONG + b"\0"), wire.message("C", b"P" + LONG[:9993] + b"\0")),
    "Flush": (wire.message("H", LONG), None),
    "Sync": (wire.message("S", LONG), None),
    "CopyDone outside of a COPY": (wire.message("c", LONG), None),
    "CopyFail outside of a COPY": (wire.message("f", LONG), None),
    "Bind": (header("B", LARGE + 1) + b"\0\0" + LONG * 5, None),
    "FunctionCall": (header("F", LARGE + 1) + LONG * 5, None),
    "CopyData outside of a COPY": (header("d", LARGE + 1) + LONG * 5, None),
    "COPY, CopyFail": (query("COPY t FROM STDIN") + wire.message("f", LONG + b"\0"),
                       query("COPY t FROM STDIN") + wire.message("f", LONG[:9995] + b"\0")),
    "COPY, CopyDone": (query("COPY t FROM STDIN") + wire.message("c", LONG), None),
    "COPY, Flush": (query("COPY t FROM STDIN") + wire.message("H", LONG), None),
    "COPY, Sync": (query("COPY t FROM STDIN") + wire.message("S", LONG), None),
    "COPY, CopyData": (query("COPY t FROM STDIN") + header("d", LARGE + 1) + LONG * 5, None),
    "extended COPY, CopyFail": (wire.extended("COPY t FROM STDIN") + wire.message("f", LONG + b"\0"), None),
}


def ends(w, data):
    """Sends it, and tells what it comes to."""
    try:
        w.send(data)
    except ConnectionError:
        pass
    return w.hung_up(20)


@test(timeout=300)
def too_long(t):
    """a message so long that PostgreSQL closes its connection ends the member that sends it, and no other"""
    t.sql("CREATE TABLE t (n int)")
    d = t.daemon()
    c, member = enter(t, d)
    other = member()
    backend = other.backend()
    # What stands before it has been executed.
    m = member()
    check(ends(m, query("SELECT pg_sleep(0.2)") + query("INSERT INTO t VALUES (-2)") + TOO_LONG["Close"][0]), "it is ended")
    equal(other.value("DELETE FROM t RETURNING n"), "-2", "the row of a statement ahead of it")
    for i, (name, (data, fits)) in enumerate(TOO_LONG.items()):
        for begin in False, True:
            a = t.direct()
            if begin:
                a.ask("BEGIN")
            check(ends(a, data), "%s ends a direct connection" % name)
            m = member()
            m.ask("INSERT INTO t VALUES (%d)" % (2 * i + begin))
            if begin:
                m.ask("BEGIN")
                m.ask("INSERT INTO t VALUES (-1)")
            if "outside" in name:
                # A pool drops these, however long they are.
                m.send(data)
                m.drop()
            else:
                check(ends(m, data), "%s ends the member" % name)
            equal(other.value("SELECT string_agg(n::text, ',' ORDER BY n) FROM t"),
                  ",".join(str(n) for n in range(2 * i + begin + 1)), "rows behind " + name)
        if fits:
            a, m = t.direct(), member()
            for w in a, m:
                w.send(fits + (wire.sync() if not name.startswith("COPY") else b""))
            one, two = a.until_ready(), m.until_ready()
            equal([(e.sqlstate, e.message) for e in two.errors], [(e.sqlstate, e.message) for e in one.errors],
                  "the errors of a %s that is not too long" % name)
            equal(two.status, one.status, "the status behind it")
    w = member()
    w.send(wire.message("D", b"S" + LONG + b"\0"))
    e = w.until_closed().errors[0]
    equal((e.severity, e.sqlstate, e.message), ("FATAL", "08P01", "invalid message length"), "what the member is told")
    equal(other.backend(), backend, "the backend")
    c.sql("LEAVE")
    equal(t.value("SELECT count(*) FROM t"), str(2 * len(TOO_LONG)), "rows")


def told(w, steps):
    """Sends the parts, each when what is named with it has come, and a last query. Tells what has come in all."""
    result = wire.Result()

    def send(data):
        try:
            w.send(data)
        except ConnectionError:
            pass  # what has come before that is still to be read
    try:
        for data, until in steps:
            send(data)
            if until:
                while not result.kinds.endswith(until):
                    w.take(*w.read(), result)
        send(query("SELECT 'the end'"))
        while not (result.rows[-1:] == [("the end",)] and result.kinds.endswith("Z")):
            w.take(*w.read(), result)
        end = "open"
    except (wire.Closed, ConnectionError):
        end = "closed"
    except TimeoutError:
        end = "hangs"
    # A pool closes a portal ahead of its Bind.
    errors = [(e.severity, e.sqlstate, e.message.replace("type 0x43", "type 0x42")) for e in result.errors]
    return result.kinds.replace("S", ""), result.rows, result.tags, errors, result.status, end


COPY, DATA, DONE = query("COPY t FROM STDIN"), wire.copy_data(b"1\n"), wire.copy_done()
XCOPY = wire.extended("COPY t FROM STDIN")
BAD = wire.copy_data(b"x\n")
OTHERS = {"Parse": wire.parse("COMMIT"), "Bind": wire.bind(), "Execute": wire.execute(), "Describe": wire.describe("P", ""),
          "Close": wire.close_("P", ""), "Query": query("SELECT 1"), "FunctionCall": wire.message("F", b"\0" * 20)}


def copies():
    """Names of what is sent around a COPY, and its parts: bytes, and the type of the message that ends the wait for answers."""
    for name, other in OTHERS.items():
        for begin in b"", query("BEGIN"):
            for copy in COPY, XCOPY:
                for data in b"", DATA:
                    title = "%s in a COPY, %r" % (name, (begin[:1], copy[:1], data[:1]))
                    if begin:
                        # Else what stands before it could end, or not end, before the member does.
                        yield title + ", at once", [(begin, "Z"), (copy + data + other + wire.sync(), None)]
                    yield title, [(begin + copy + wire.flush() * (copy is XCOPY), "G"), (data + other + wire.sync(), None)]
        yield name + " behind an extended COPY", [(XCOPY + DATA + DONE + other + wire.sync(), None)]
        yield name + " behind an extended COPY that is open", [(XCOPY + wire.flush(), "G"), (DATA + DONE + other + wire.sync(), None)]
        yield name + " behind an extended COPY that fails", [(XCOPY + BAD + DONE + other + wire.sync(), None)]
        yield name + " behind a COPY", [(COPY + DATA + DONE + other + wire.sync(), None)]
    yield "COPY TO and more", [(wire.extended("COPY (SELECT 1) TO STDOUT") + wire.extended("SELECT 2") + wire.sync(), None)]
    yield "two extended COPY", [(XCOPY + DATA + DONE + XCOPY + DATA + DATA + DONE + wire.sync(), None)]
    yield "COPY that cannot be opened", [(wire.extended("COPY nothing FROM STDIN") + DATA + DONE + wire.sync() + query("SELECT 1"), None)]
    yield "COPY by a named statement", [(wire.parse("/* */ copy t from stdin", "x") + wire.bind((), "y", "x") + wire.execute("y") + DATA +
                                         DONE + wire.bind((), "z", "x") + wire.execute("z") + DATA + DONE + wire.sync(), None)]
    for begin in b"", query("BEGIN"):
        for syncs in 1, 2, 3:
            yield ("%d Sync behind a COPY that fails, %r" % (syncs, begin[:1]),
                   [(begin, "Z" if begin else None), (COPY + BAD + DONE + wire.sync() * syncs + query("ROLLBACK") + query("SELECT 7"), None)])
            yield ("%d Sync in a COPY that fails, %r" % (syncs, begin[:1]),
                   [(begin + COPY, "G"), (wire.sync() * syncs + BAD, "E"), (DONE, None), (query("ROLLBACK") + query("SELECT 7"), None)])
            yield ("%d Sync in and behind a COPY, %r" % (syncs, begin[:1]),
                   [(begin + COPY, "G"), (wire.sync() + DATA + wire.flush() + DONE + wire.sync() * syncs + query("SELECT 7"), None)])
            yield ("%d Sync in an extended COPY, %r" % (syncs, begin[:1]),
                   [(begin + XCOPY + wire.flush(), "G"), (wire.sync() * syncs + DATA + DONE + wire.sync() + query("SELECT 7"), None)])
    yield "two COPY in a text", [(query("COPY t FROM STDIN; COPY t FROM STDIN") + DATA + DONE + DATA + DONE + query("SELECT 7"), None)]
    yield "two COPY in a text of parts", [(query("BEGIN; COPY t FROM STDIN; COMMIT; COPY t FROM STDIN; SELECT 6") +
                                           DATA + DONE + DATA + DATA + DONE + query("SELECT 7"), None)]
    yield "three COPY in a part", [(query("BEGIN; COPY t FROM STDIN; COPY (SELECT 1) TO STDOUT; COPY t FROM STDIN; COMMIT; COPY t FROM STDIN") +
                                    (DATA + DONE) * 3 + query("SELECT 7"), None)]
    yield "a COPY in a text of parts that fails", [(query("BEGIN; COPY t FROM STDIN; COMMIT; COPY t FROM STDIN") +
                                                    BAD + DONE + DATA + DONE + query("ROLLBACK") + query("SELECT 7"), None)]
    yield "another message in a text of parts", [(query("BEGIN; COPY t FROM STDIN; COMMIT"), "G"), (DATA + query("SELECT 7"), None)]


@test(timeout=600)
def in_a_copy(t):
    """whatever a member sends in or behind a COPY: it is answered as directly, and the scope goes on"""
    t.sql("CREATE TABLE t (n int)")
    d = t.daemon(size=3)
    c, member = enter(t, d)
    other = member()
    backend = other.backend()
    wrong = 0
    for name, steps in copies():
        a, m = t.direct(), member()
        one, two = told(a, steps), told(m, steps)
        a.close()
        m.drop()
        if one != two:
            note("%s\n    direct %s\n    member %s" % (name, one, two))
            wrong += 1
        equal(other.backend(), backend, "the backend behind " + name)
    equal(wrong, 0, "answers that differ")
    check(not c.ask("LEAVE").errors, "the scope has lived")


def worst_answer(t, d, work):
    """The longest time, in seconds, that another session waits for an answer of the daemon while work() is done."""
    other, stop, worst = d.connect("db"), threading.Event(), [0]
    t.defer(other.close)

    def look():
        while not stop.is_set():
            began = time.monotonic()
            other.sql("SHOW SCOPES")
            worst[0] = max(worst[0], time.monotonic() - began)
    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        work()
    finally:
        stop.set()
        thread.join(60)
    return worst[0]


@test(timeout=300)
def pipelines(t):
    """80,000 messages ahead, each of which gives a name to a statement that is not ordinary: nobody else waits for it"""
    d = t.daemon()
    c, member = enter(t, d)
    memory = d.memory()
    long = "COMMIT --" + "x" * 1_000_000
    ahead = query("SELECT pg_sleep(1)") + wire.parse(long, "c") + wire.parse("SELECT 1", "s")
    cases = {
        "one portal": (80, lambda i: wire.bind(statement="c") * 1000),
        # PostgreSQL itself takes time that grows by the square of them.
        "many portals": (8, lambda i: b"".join(wire.bind(statement="c", portal="p%d" % (1000 * i + k)) for k in range(1000))),
        "portals that are executed": (80, lambda i: (wire.bind(statement="s") + wire.execute()) * 500),
    }
    for name, (many, batch) in cases.items():
        w = member()
        batches, kinds = [batch(i) for i in range(many)], []

        def work():
            w.send(ahead)
            reader = threading.Thread(target=lambda: kinds.extend((w.until_ready().kinds, w.until_ready().kinds)), daemon=True)
            reader.start()
            for data in batches:
                w.send(data)
            w.send(wire.sync())
            reader.join(120)
        worst = worst_answer(t, d, work)
        check(kinds and kinds[1].count("2") == many * batches[0].count(b"B\0") and kinds[1].endswith("Z"),
              "%s: all has been answered: %s" % (name, [k[-20:] for k in kinds]))
        grown = d.memory() - memory
        note("%s: another session waits for at most %.3f s; %d MB more" % (name, worst, grown >> 20))
        check(worst < 0.5 * slow_factor(), "%s: another session waits for %.3f s" % (name, worst))
        check(grown < 200 << 20, "%s: %d bytes more" % (name, grown))
        w.close()
    check(not c.ask("LEAVE").errors, "the scope has lived")


if __name__ == "__main__":
    main()
