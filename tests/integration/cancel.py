"""CancelRequest: it reaches what the session runs now, or the queue in which it waits, and nothing
else."""

import threading

from pgwtest import check, equal, main, seconds, test, wait_until, wire
from pgwtest.looks import Watch

SLEEP = "SELECT pg_sleep(60)"


@test
def running_simple(t):
    """cancels a running query: 57014, session and server go on"""
    w = Watch(t, t.daemon())
    c = t.client(w.daemon)
    c.send(wire.query(SLEEP))
    w.runs("pg_sleep")
    c.cancel()
    r = c.until_ready()
    equal((r.errors[0].sqlstate, r.status), ("57014", "I"), "the answer")
    equal(c.backend(), w.pid, "the backend afterwards")
    w.free_again()


@test
def running_extended_in_transaction(t):
    """cancels an extended query in a transaction: the transaction has failed and can be rolled back"""
    w = Watch(t, t.daemon())
    c = t.client(w.daemon)
    c.sql("BEGIN")
    c.send(wire.extended(SLEEP) + wire.sync())
    w.runs("pg_sleep")
    c.cancel()
    r = c.until_ready()
    equal((r.errors[0].sqlstate, r.status), ("57014", "E"), "the answer")
    equal(c.ask("ROLLBACK").status, "I", "the rollback")
    w.free_again()


@test
def waiting(t):
    """cancels a session that waits for a server: 57014 with the pool's name, nothing was executed"""
    t.sql("CREATE TABLE marks (a int)")
    w = Watch(t, t.daemon())
    d = w.daemon
    holder = t.client(d)
    holder.sql("BEGIN")
    for send in (lambda: c.send(wire.query("INSERT INTO marks VALUES (1)")),
                 lambda: c.send(wire.extended("INSERT INTO marks VALUES (1)") + wire.sync())):
        c = t.client(d)
        send()
        wait_until(lambda: d.waiting() == 1, 5, "it waits")
        c.cancel()
        r = c.until_ready()
        equal((r.errors[0].sqlstate, r.status), ("57014", "I"), "the answer")
        check('"db"' in r.errors[0].message, "the message names the pool: %s" % r.errors[0])
        equal(d.waiting(), 0, "waiting clients")
        check(c.silent(), "exactly one answer")
        # The session goes on where it was.
        c.send(wire.query("SELECT 7"))
        wait_until(lambda: d.waiting() == 1, 5, "it waits again")
        holder.sql("COMMIT")
        equal(c.until_ready().rows, [("7",)], "it is served now")
        holder.sql("BEGIN")
    holder.sql("COMMIT")
    equal(t.value("SELECT count(*) FROM marks"), "0", "rows of the cancelled statement")
    w.free_again()


@test
def waiting_with_pipeline(t):
    """cancels a session that waits with three requests sent ahead: the others are answered"""
    w = Watch(t, t.daemon())
    d = w.daemon
    holder = t.client(d)
    holder.sql("BEGIN")
    c = t.client(d)
    c.send(wire.query("SELECT 1") + wire.query("SELECT 2") + wire.query("SELECT 3"))
    wait_until(lambda: d.waiting() == 1, 5, "it waits")
    c.cancel()
    equal(c.until_ready().errors[0].sqlstate, "57014", "the first answer")
    holder.sql("COMMIT")
    equal([c.until_ready().rows for _ in range(2)], [[("2",)], [("3",)]], "the other answers")
    w.free_again()


@test
def idle(t):
    """cancels an idle session a hundred times: neither its own next query nor anyone else's is hit"""
    d = t.daemon(size=1)
    c, other = t.client(d), t.client(d)
    for _ in range(100):
        c.cancel()
        equal(other.ask("SELECT pg_sleep(0.001)").errors, [], "the other's errors")
        equal(c.ask("SELECT pg_sleep(0.001)").errors, [], "its own errors")


@test
def idle_in_transaction(t):
    """cancels a session that is idle in a transaction: the transaction goes on"""
    d = t.daemon()
    c = t.client(d)
    c.sql("BEGIN")
    c.cancel()
    equal(c.ask("SELECT 1").errors, [], "errors")
    equal(c.ask("COMMIT").tags, ["COMMIT"], "the end")


@test
def wrong_key(t):
    """a CancelRequest with a wrong key, or one of a session that has gone, does nothing"""
    w = Watch(t, t.daemon())
    c = t.client(w.daemon)
    gone = w.daemon.connect()
    gone.close()
    c.send(wire.query("SELECT pg_sleep(0.5)"))
    w.runs("pg_sleep")
    pid, secret = c.key
    c.cancel(secret=secret ^ 1)
    c.cancel(pid=pid ^ 1)
    c.cancel(pid=0, secret=0)
    c.cancel(*gone.key)
    equal(c.until_ready().errors, [], "errors")


@test
def keys_differ(t):
    """keys of sessions differ, and are not those of PostgreSQL"""
    d = t.daemon()
    clients = [t.client(d) for _ in range(20)]
    equal(len({c.key for c in clients}), 20, "different keys")
    equal(len({c.key[1] for c in clients}), 20, "different secrets")


@test
def malformed(t):
    """malformed cancel packets harm nobody"""
    d = t.daemon()
    c = t.client(d)
    for data in (b"\0\0\0\x10\x04\xd2\x16\x2e", b"\0\0\0\x0c\x04\xd2\x16\x2e\0\0\0\1",
                 b"\0\0\0\x08\x04\xd2\x16\x2e", wire.cancel_packet(*c.key)[:15]):
        s = wire.dial(d.sockets, d.port)
        s.sendall(data)
        s.close()
    equal(c.value("SELECT 1"), "1", "the daemon serves on")


@test(timeout=90)
def never_hits_the_next(t):
    """late cancels: one client cancels its short queries all the time, its neighbour on the same
    server is never hit"""
    d = t.daemon(size=1)
    a, b = t.client(d), t.client(d)
    stop = threading.Event()
    hits = []

    def neighbour():
        while not stop.is_set():
            r = b.ask("SELECT pg_sleep(0.002)")
            if r.errors:
                hits.append(str(r.errors[0]))

    thread = threading.Thread(target=neighbour)
    thread.start()
    try:
        cancelled = 0
        for i in range(300):
            a.send(wire.query("SELECT pg_sleep(0.001)"))
            if t.random.random() < 0.5:
                a.cancel()
                cancelled += len(a.until_ready().errors)
            else:
                # Cancel after the answer, when the server may be the neighbour's already.
                equal(a.until_ready().errors, [], "errors without a cancel")
                a.cancel()
    finally:
        stop.set()
        thread.join()
    equal(hits, [], "errors of the neighbour")
    check(cancelled > 0, "some cancels hit their own query")
    equal(d.log_has("broken"), False, "broken servers")


@test
def many_waiting(t):
    """fifty waiting sessions cancel at once; the queue is empty and the holder undisturbed"""
    d = t.daemon()
    holder = t.client(d)
    holder.sql("BEGIN")
    clients = [t.client(d) for _ in range(50)]
    for c in clients:
        c.send(wire.query("SELECT 1"))
    wait_until(lambda: d.waiting() == 50, 10, "all wait")
    for c in clients:
        c.cancel()
    equal({c.until_ready().errors[0].sqlstate for c in clients}, {"57014"}, "the answers")
    equal(d.waiting(), 0, "waiting clients")
    equal(holder.ask("COMMIT").tags, ["COMMIT"], "the holder")


@test
def cancels_that_hang(t):
    """cancels that hang in one pool hold up no other pool's"""
    proxy = t.proxy()
    proxy.cancel_gate.clear()
    d = t.daemon(pools={"far": {"conninfo": t.conninfo(host=proxy.directory, port=proxy.port), "size": 40,
                                "cleanup_timeout": "500ms", "max_opening": 40},
                        "db": {"conninfo": t.conninfo(), "size": 1}})
    clients = [d.connect("far") for _ in range(40)]
    for c in clients:
        c.send(wire.query("SELECT pg_sleep(60)"))
    wait_until(lambda: len([a for a in t.activity() if "pg_sleep" in a["query"]]) == 40, 20, "all run")
    for c in clients:
        c.drop()
    wait_until(lambda: proxy.cancels > 0 and len(d.servers("far")) < 40, 10,
               "cancels are under way, and the cleanups have given up")
    c = t.client(d)
    c.send(wire.query("SELECT pg_sleep(20)"))
    wait_until(lambda: [a for a in t.activity() if "pg_sleep(20)" in a["query"]], 5, "it runs")
    canceller = threading.Thread(target=c.cancel, daemon=True)
    canceller.start()
    took, r = seconds(c.until_ready)
    proxy.cancel_gate.set()
    canceller.join()
    check(r.errors and took < 10, "the cancel took %.3f s: %r" % (took, r.errors))


if __name__ == "__main__":
    main()
