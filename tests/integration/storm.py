"""Many clients die at once: no query of theirs lives on, no server is replaced, and a new client is
answered at once."""

import time

from pgwtest import check, equal, main, note, seconds, test, wait_until, wire
from pgwtest.looks import check_clean, settings

CLIENTS, SIZE = 50, 20
DONE = 1.0  # seconds after the kill


def storm(t, request, rounds=1, queries=1):
    """`queries`: of each client on a server that run one after the other, each until it is cancelled.
    With more than one, that takes as many cancels in a row, each of which costs PostgreSQL a new
    process (and a TLS handshake, over TLS): as long as this machine takes for those just now is
    allowed on top."""
    t.sql("CREATE TABLE marks (a int, b text)")
    d = t.daemon(size=SIZE, min_size=SIZE, cleanup_timeout="10s")
    wait_until(lambda: len(d.servers()) == SIZE, 10, "all servers are open")
    pids = d.quiet() and d.server_pids()
    with d.connect() as c:
        clean = settings(c)

    def script(side):
        c = d.connect()
        side.say("in")
        side.hear()
        c.send(request)
        side.stay()

    done = DONE
    if queries > 1 or t.suite.tls:
        with t.direct() as c:
            done += seconds(lambda: [c.cancel() for _ in range(queries * SIZE)])[0]

    for _ in range(rounds):
        processes = [t.process(script) for _ in range(CLIENTS)]
        for p in processes:
            equal(p.heard(), "in", "a process")
        for p in processes:
            p.tell("go")
        wait_until(lambda: len([a for a in t.activity() if "pg_sleep" in a["query"] and
                                a["state"] == "active"]) == SIZE, 20, "all servers are busy")
        wait_until(lambda: d.waiting() == CLIENTS - SIZE, 20, "the others wait")
        for p in processes:
            p.signal_kill()
        killed = time.monotonic()
        with d.connect() as c:
            equal(c.value("SELECT 42"), "42", "the new client's answer")
            answered = time.monotonic() - killed
        wait_until(lambda: not [a for a in t.activity() if a["state"] != "idle"], done,
                   "no abandoned query is alive")
        gone = time.monotonic() - killed
        for p in processes:
            p.wait()
        note("a new client was answered after %.3f s, the last query was gone after %.3f of %.3f s"
             % (answered, gone, done))
        wait_until(lambda: not d.leased(), DONE, "no server is leased")
        equal(d.waiting(), 0, "clients that wait")
        equal(d.server_pids(), pids, "the servers")
        equal(t.cluster.pids(t.database), pids, "the backends")
        check(answered < done + 0.5, "a new client was answered after %.3f s" % answered)
    equal(t.value("SELECT count(*) FROM marks"), "0", "rows of the dead")
    # Twenty clients at once look at every one of the servers.
    clients = [t.client(d) for _ in range(SIZE)]
    for c in clients:
        c.sql("BEGIN")
    equal({c.backend() for c in clients}, pids, "the backends of the next clients")
    for c in clients:
        c.sql("ROLLBACK")
        check_clean(c, clean)


@test(timeout=90)
def simple(t):
    """50 clients in BEGIN; SELECT pg_sleep(30) on 20 servers are killed at once"""
    storm(t, wire.query("BEGIN; INSERT INTO marks VALUES (1); SELECT pg_sleep(30)"), rounds=2)


@test(timeout=90)
def extended(t):
    """the same, each killed inside an extended-protocol exchange"""
    storm(t, wire.query("BEGIN") + wire.extended("INSERT INTO marks VALUES (1)") +
          wire.extended("SELECT pg_sleep(30)") + wire.flush())


@test(timeout=90)
def extended_outside(t):
    """the same without a transaction around, the Sync never sent"""
    storm(t, wire.extended("INSERT INTO marks VALUES (1)") + wire.extended("SELECT pg_sleep(30)") +
          wire.flush())


@test(timeout=90)
def pipelined(t):
    """the same with a pipeline of five transactions each"""
    storm(t, (wire.query("BEGIN") + wire.query("INSERT INTO marks VALUES (1)") +
              wire.extended("SELECT pg_sleep(30)") + wire.sync() + wire.query("ROLLBACK")) * 5,
          queries=5)


if __name__ == "__main__":
    main()
