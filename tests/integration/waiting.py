"""The queue of a pool: first in, first out; bounded and timed; dead waiters leave it at once."""

import re
import time

from pgwtest import check, equal, main, seconds, slow_factor, test, wait_until, wire
from pgwtest.looks import Watch, openings


@test
def wait_timeout(t):
    """a wait runs out: 53300 with pool, time, numbers and the longest holder; the session goes on"""
    d = t.daemon(wait_timeout="250ms")
    holder = t.client(d, application_name="hold it")
    holder.sql("BEGIN")
    c = t.client(d)
    took, r = seconds(c.ask, "SELECT 1")
    check(0.2 < took < 2 * slow_factor(), "it took %.3f s" % took)
    e = r.errors[0]
    equal((e.sqlstate, r.status), ("53300", "I"), "the error")
    equal(e.message, 'no server connection of pool "db" became free within 250 ms'
          if "250 ms" in e.message else
          'no server connection of pool "db" became free within 250ms', "the message")
    check(re.match(r"1 of 1 leased, (.*, )?\d+ waiting; held longest: session \d+ \(.*pid \d+, .*"
                   r"idle in transaction\)$", e.detail or ""), "the detail: %r" % e.detail)
    check(e.hint and e.hint.startswith("raise size"), "the hint: %r" % e.hint)
    equal(d.waiting(), 0, "waiting clients")
    holder.sql("COMMIT")
    equal(c.value("SELECT 2"), "2", "the session goes on")


@test
def wait_timeout_extended(t):
    """a wait of an extended request runs out: one error, one ReadyForQuery at its Sync, nothing executed"""
    t.sql("CREATE TABLE marks (a int)")
    d = t.daemon(wait_timeout="150ms")
    holder = t.client(d)
    holder.sql("BEGIN")
    c = t.client(d)
    r = c.ask_extended("INSERT INTO marks VALUES (1)")
    equal((r.kinds, r.errors[0].sqlstate, r.status), ("EZ", "53300", "I"), "the answer")
    check(c.silent(), "one answer")
    # Without a Sync the error comes all the same, and everything up to the Sync is skipped.
    c.send(wire.extended("INSERT INTO marks VALUES (2)") + wire.flush())
    equal(c.until("E").errors[0].sqlstate, "53300", "the error before the Sync")
    c.send(wire.extended("INSERT INTO marks VALUES (3)") + wire.sync())
    equal(c.until_ready().kinds, "Z", "the answer to the Sync")
    holder.sql("COMMIT")
    equal(c.ask_extended("SELECT 1").value, "1", "the session goes on")
    equal(t.value("SELECT count(*) FROM marks"), "0", "rows")


@test
def queue_full(t):
    """max_waiting: the third waiter is refused at once with 53300, the others are served"""
    d = t.daemon(max_waiting=2)
    holder = t.client(d)
    holder.sql("BEGIN")
    waiters = [t.client(d) for _ in range(2)]
    refused = t.client(d)
    for n, c in enumerate(waiters, 1):
        c.send(wire.query("SELECT 1"))
        wait_until(lambda: d.waiting() == n, 5, "%d wait" % n)
    took, r = seconds(refused.ask, "SELECT 1")
    check(took < 1 * slow_factor(), "at once: %.3f s" % took)
    e = r.errors[0]
    equal((e.sqlstate, e.message, r.status),
          ("53300", 'too many clients wait for pool "db": max_waiting is 2', "I"), "the error")
    equal(e.hint, "raise size or max_waiting", "the hint")
    holder.sql("COMMIT")
    equal([c.until_ready().value for c in waiters], ["1", "1"], "the waiters")
    equal(refused.value("SELECT 1"), "1", "the refused session goes on")


@test
def none_may_wait(t):
    """max_waiting = 0: whoever finds no server is refused"""
    d = t.daemon(max_waiting=0)
    a, b = t.client(d), t.client(d)
    equal(a.value("SELECT 1"), "1", "a server that has to be opened first is no wait in the queue")
    a.sql("BEGIN")
    equal(b.ask("SELECT 1").errors[0].sqlstate, "53300", "the error")
    a.sql("COMMIT")
    equal(b.value("SELECT 1"), "1", "the next one")


@test
def killed_while_waiting(t):
    """a waiting client is killed: it leaves the queue at once and nothing of it is executed"""
    t.sql("CREATE TABLE marks (a int)")
    w = Watch(t, t.daemon())
    d = w.daemon
    holder = t.client(d)
    holder.sql("BEGIN")

    def script(side):
        c = d.connect()
        c.send(wire.query("INSERT INTO marks VALUES (1)"))
        side.say("done")
        side.stay()

    p = t.process(script)
    p.heard()
    wait_until(lambda: d.waiting() == 1, 5, "it waits")
    p.kill()
    wait_until(lambda: d.waiting() == 0, 1, "it has left the queue")
    holder.sql("COMMIT")
    w.free_again()
    equal(t.value("SELECT count(*) FROM marks"), "0", "rows")


@test
def closes_while_waiting(t):
    """a waiting client closes with Terminate, or shuts down its sending side: it leaves the queue"""
    d = t.daemon()
    holder = t.client(d)
    holder.sql("BEGIN")
    for leave in (lambda c: c.close(), lambda c: c.sock.shutdown(1)):
        c = t.client(d)
        c.send(wire.query("SELECT 1"))
        wait_until(lambda: d.waiting() == 1, 5, "it waits")
        leave(c)
        wait_until(lambda: d.waiting() == 0, 1, "it has left the queue")
    holder.sql("COMMIT")
    d.quiet()


@test
def killed_while_opening(t):
    """a client is killed while its server is being opened: the connection is kept for the next"""
    proxy = t.proxy()
    d = t.daemon(conninfo=t.conninfo(host=proxy.directory, port=proxy.port), size=2)
    proxy.login_gate.clear()

    def script(side):
        c = d.connect()
        c.send(wire.query("SELECT 1"))
        side.say("done")
        side.stay()

    p = t.process(script)
    # Where the daemon needs a server to answer the first login at all, it hangs there.
    wait_until(lambda: proxy.logins == 1, 5, "a server is being opened")
    p.kill()
    wait_until(lambda: not d.clients(), 1, "the session is gone")
    proxy.login_gate.set()
    wait_until(lambda: [s["state"] for s in d.servers()] == ["idle"], 5, "the server is idle")
    c = t.client(d)
    c.backend()
    equal(proxy.logins, 1, "logins at PostgreSQL")


@test
def waiter_takes_the_dead_ones_server(t):
    """a client is killed while its server is being opened, and one waits behind it: that one gets it"""
    proxy = t.proxy()
    d = t.daemon(conninfo=t.conninfo(host=proxy.directory, port=proxy.port), size=1)
    with d.connect() as c:
        c.sql("SELECT 1")
    d.quiet()
    # Lose the only server, so that the next one must be opened.
    proxy.login_gate.clear()
    seen = proxy.logins
    proxy.cut()
    a, b = d.connect(), t.client(d)
    a.send(wire.query("SELECT 1"))
    wait_until(lambda: proxy.logins == seen + 1, 5, "a server is being opened")
    b.send(wire.query("SELECT 2"))
    wait_until(lambda: d.waiting() == 2, 5, "two wait")
    a.drop()
    wait_until(lambda: d.waiting() == 1, 1, "one waits")
    proxy.login_gate.set()
    equal(b.until_ready().rows, [("2",)], "the other's answer")
    equal(proxy.logins, seen + 1, "logins at PostgreSQL")


@test
def opens_in_parallel(t):
    """several servers open at once, bounded by max_opening; waiters take whichever is ready first"""
    proxy = t.proxy()
    d = t.daemon(conninfo=t.conninfo(host=proxy.directory, port=proxy.port), size=8, max_opening=3)
    with d.connect() as c:
        c.sql("SELECT 1")
    d.quiet()
    proxy.login_gate.clear()
    clients = [t.client(d) for _ in range(8)]
    seen = proxy.logins
    clients[0].sql("BEGIN")
    for c in clients[1:]:
        c.send(wire.query("BEGIN; SELECT pg_backend_pid()"))
    wait_until(lambda: proxy.logins == seen + 3, 5, "three are being opened")
    # Given back, that server serves a waiter although others are still being opened.
    clients[0].sql("COMMIT")
    wait_until(lambda: d.waiting() == 6, 5, "one waiter less")
    equal(proxy.logins, seen + 3, "logins under way")
    proxy.login_gate.set()
    pids = {c.until_ready().rows[0][0] for c in clients[1:]}
    equal(len(pids), 7, "different backends")
    for c in clients[1:]:
        c.sql("COMMIT")
    check(len(d.quiet()) <= 8, "no more servers than size")


def storm_on_a_pool(t, d, proxy, clients):
    """Clients of one pool come, ask, die and lose their servers; its servers are replaced, and its size is changed."""
    asked = ("BEGIN", "COMMIT", "SELECT 1", "SELECT pg_sleep(0.01)", "LISTEN x", "DISCARD ALL", "ENTER a; SELECT 1", "EXIT")
    steps = [what for what, n in {"comes": 30, "asks": 150, "dies": 20, "loses": 4, "replaces": 4, "changes": 10}.items()
             for _ in range(n)]
    t.random.shuffle(steps)
    for what in steps:
        if what == "comes" or not clients:
            clients.append(d.connect())
        elif what == "asks":
            c = t.random.choice(clients)
            try:
                c.send(wire.query(t.random.choice(asked)))
            except OSError:  # its server was lost
                clients.remove(c)
        elif what == "dies":
            clients.pop(t.random.randrange(len(clients))).drop()
        elif what == "loses":
            proxy.cut()
        elif what == "replaces":
            d.console("RECONNECT")
        else:
            d.console("SET size = %d FOR POOL db" % t.random.randint(1, 5))


@test
def never_more_than_size(t):
    """clients come, wait, die and lose their servers, servers age, RECONNECT, size is changed: none is opened beyond it"""
    proxy = t.proxy()
    d = t.daemon(conninfo=t.conninfo(host=proxy.directory, port=proxy.port), size=3, min_size=1, max_opening=4,
                 idle_timeout="20ms", max_lifetime="100ms", retry_delay="0", wait_timeout="60s", listen_mode="pin")
    with d.connect() as c:
        c.sql("SELECT 1")
    clients, seen = [], []
    for _ in range(20):
        storm_on_a_pool(t, d, proxy, clients)
        while clients:
            clients.pop().drop()
        d.quiet()
        seen = openings(d, 3)
        if len(seen) >= 50 and sum(there == size for there, size in seen) >= 10:
            break
    equal([x for x in seen if x[0] > x[1]], [], "servers and size, where one too many was opened")
    check(len(seen) >= 50, "servers were opened: %r" % seen)
    check(sum(there == size for there, size in seen) >= 10, "size was reached: %r" % seen)


@test
def min_size(t):
    """min_size servers are open before any client comes, and size is never exceeded"""
    d = t.daemon(size=3, min_size=2)
    wait_until(lambda: [s["state"] for s in d.servers()] == ["idle", "idle"], 5, "two are warm")
    equal(len(t.activity()), 2, "backends")
    clients = [t.client(d) for _ in range(12)]
    for c in clients:
        c.send(wire.query("SELECT pg_sleep(0.05)"))
    for c in clients:
        equal(c.until_ready().errors, [], "errors")
    check(len(d.servers()) <= 3 and len(t.activity()) <= 3, "at most three servers")
    equal(max(openings(d, 3)), (3, 3), "servers at most, and size")


@test
def lifo_and_idle_timeout(t):
    """the most recently used server serves, and surplus ones age out down to min_size"""
    d = t.daemon(size=4, min_size=1, idle_timeout="400ms")
    clients = [t.client(d) for _ in range(4)]
    for c in clients:
        c.sql("BEGIN")
    equal(len(d.servers()), 4, "servers")
    for c in clients:
        c.sql("COMMIT")
    last = clients[3].backend()
    equal({c.backend() for c in clients}, {last}, "the backend that serves all")

    def aged():
        equal(clients[0].backend(), last, "the busy one stays")
        return len(d.servers()) == 1
    wait_until(aged, 10, "the others are closed")
    wait_until(lambda: t.cluster.pids(t.database) == {last}, 5, "only one backend is left")


@test
def max_lifetime(t):
    """a server that is too old is closed when it is idle, not while it is leased"""
    d = t.daemon(size=1, max_lifetime="500ms")
    c = t.client(d)
    c.sql("BEGIN")
    pid = c.backend()
    started = time.monotonic()
    wait_until(lambda: time.monotonic() - started > 1.2, 10, "more than its lifetime has passed")
    equal(c.backend(), pid, "the backend in the same transaction")
    c.sql("COMMIT")
    wait_until(lambda: pid not in t.cluster.pids(t.database), 5, "it is closed")
    check(c.backend() != pid, "another one serves")


def waiters_in_processes(t, d, count, each):
    """Processes that hold `each` clients; tell() them an index to make that client ask its turn."""
    def script(side):
        clients = [d.connect() for _ in range(each)]
        side.say("in")
        while True:
            i = int(side.hear())
            clients[i].send(wire.query("SELECT nextval('turn')"))
            side.say("asked")

    processes = [t.process(script) for _ in range(count)]
    for p in processes:
        equal(p.heard(), "in", "the process")
    return processes


@test(timeout=120)
def first_in_first_out(t):
    """20 servers, 500 waiters, 200 of them killed: the other 300 are served first in, first out"""
    t.sql("CREATE SEQUENCE turn CACHE 1")
    d = t.daemon(size=20, max_waiting=1000, wait_timeout="60s", options={"max_clients": 1000})
    holders = [t.client(d) for _ in range(20)]
    for c in holders:
        c.sql("BEGIN")
    pids = d.server_pids()
    equal(len(pids), 20, "servers")
    doomed = waiters_in_processes(t, d, 10, 20)
    living = [t.client(d) for _ in range(300)]
    order = ["doomed"] * 200 + ["living"] * 300
    t.random.shuffle(order)
    next_doomed = next_living = 0
    for n, kind in enumerate(order, 1):
        if kind == "doomed":
            p = doomed[next_doomed % 10]
            p.tell(next_doomed // 10)
            equal(p.heard(), "asked", "the process")
            next_doomed += 1
        else:
            living[next_living].send(wire.query("SELECT nextval('turn')"))
            next_living += 1
        wait_until(lambda: d.waiting() == n, 10, "%d wait" % n)
    for p in doomed:
        p.signal_kill()
    for p in doomed:
        p.wait()
    wait_until(lambda: d.waiting() == 300, 2, "the dead have left the queue")
    # One server is let go: it must serve all 300, strictly one after the other, in their order.
    holders[0].sql("COMMIT")
    turns = [int(c.until_ready().value) for c in living]
    equal(turns, list(range(1, 301)), "the order in which they were served")
    for c in holders[1:]:
        c.sql("COMMIT")
    d.quiet()
    equal(d.server_pids(), pids, "the servers")
    equal(t.cluster.pids(t.database), pids, "the backends")
    equal(t.value("SELECT last_value FROM turn"), "300", "turns taken")


@test(timeout=120)
def killed_while_it_moves(t):
    """500 waiters on 20 busy servers, killed at random while the queue moves: every living one is
    served and no server stays leased to a dead one"""
    t.sql("CREATE SEQUENCE turn CACHE 1")
    d = t.daemon(size=20, max_waiting=1000, wait_timeout="60s", options={"max_clients": 1000})
    holders = [t.client(d) for _ in range(20)]
    for c in holders:
        c.sql("BEGIN")
    pids = d.server_pids()
    clients = [t.client(d) for _ in range(500)]
    for c in clients:
        c.send(wire.query("BEGIN; SELECT nextval('turn'); SELECT pg_sleep(0.002); COMMIT"))
    wait_until(lambda: d.waiting() == 500, 20, "all wait")
    dead = set(t.random.sample(range(500), 200))
    doomed = sorted(dead)
    t.random.shuffle(doomed)
    for i, n in enumerate(doomed):
        if i % 10 == 0 and holders:
            holders.pop().sql("COMMIT")
        clients[n].drop()
    for i, c in enumerate(clients):
        if i not in dead:
            r = c.until_ready()
            equal((r.errors, r.tags[-1]), ([], "COMMIT"), "the answer of waiter %d" % i)
    d.quiet()
    equal(d.server_pids(), pids, "the servers")


if __name__ == "__main__":
    main()
