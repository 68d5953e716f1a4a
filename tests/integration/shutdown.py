"""The end of the daemon: SIGTERM drains, SIGINT drains less, a second signal ends at once."""

import os
import signal

from pgwtest import (Closed, ServerError, check, child, equal, main, seconds, slow_factor, test,
                     wait_until, wire)
from pgwtest.daemon import SANITIZE_ENV, program

LONG = {"shutdown_timeout": "60s"}


def refuses(d):
    """New clients are turned away: the socket is gone, or the answer is 57P01."""
    try:
        d.connect().close()
    except (FileNotFoundError, ConnectionError, Closed):
        return True
    except ServerError as e:
        return e.sqlstate == "57P01"
    return False


def told(c):
    """The client is told 57P01 and cut off."""
    errors = c.until_closed().errors
    equal([e.sqlstate for e in errors], ["57P01"], "the error")


@test
def sigterm_idle(t):
    """SIGTERM with idle sessions: told 57P01, the daemon ends with 0, backends and socket are gone"""
    d = t.daemon(size=3, min_size=3, options=LONG)
    clients = [t.client(d) for _ in range(5)]
    for c in clients:
        c.sql("SELECT 1")
    path = os.path.join(d.sockets, ".s.PGSQL.%d" % d.port)
    check(os.path.exists(path), "the socket exists")
    d.signal(signal.SIGTERM)
    for c in clients:
        told(c)
    equal(d.wait_end(5), 0, "the status")
    check(not os.path.exists(path), "the socket is removed")
    wait_until(lambda: not t.activity(), 5, "the backends have ended")


@test
def sigterm_drains(t):
    """SIGTERM with a transaction open: it can be committed, then the daemon ends"""
    t.sql("CREATE TABLE marks (a int)")
    d = t.daemon(size=2, options=LONG)
    c = t.client(d)
    c.sql("BEGIN; INSERT INTO marks VALUES (1)")
    running = t.client(d)
    running.send(wire.query("SELECT pg_sleep(0.5)"))
    wait_until(lambda: [a for a in t.activity() if a["state"] == "active"], 5, "it runs")
    d.signal(signal.SIGTERM)
    wait_until(lambda: refuses(d), 5, "new clients are turned away")
    equal(running.until_ready().errors, [], "errors of the running query")
    told(running)
    c.sql("INSERT INTO marks VALUES (2)")
    d.check_alive()
    equal(c.ask("COMMIT").tags, ["COMMIT"], "the commit")
    told(c)
    equal(d.wait_end(5), 0, "the status")
    equal(t.value("SELECT count(*) FROM marks"), "2", "rows")


@test
def sigterm_waiters(t):
    """SIGTERM with clients waiting: each is told or served, never something in between"""
    t.sql("CREATE TABLE marks (a int)")
    d = t.daemon(options=LONG)
    holder = t.client(d)
    holder.sql("BEGIN")
    waiters = [t.client(d) for _ in range(3)]
    for c in waiters:
        c.send(wire.query("INSERT INTO marks VALUES (1)"))
    wait_until(lambda: d.waiting() == 3, 5, "they wait")
    d.signal(signal.SIGTERM)
    wait_until(lambda: refuses(d), 5, "new clients are turned away")
    equal(holder.ask("COMMIT").tags, ["COMMIT"], "the holder's commit")
    served = 0
    for c in waiters:
        r = c.until_closed()
        equal([e.sqlstate for e in r.errors], ["57P01"], "the waiter is told in the end")
        served += len(r.tags)
    equal(d.wait_end(5), 0, "the status")
    equal(t.value("SELECT count(*) FROM marks"), str(served), "rows")


@test
def shutdown_timeout(t):
    """SIGTERM with a transaction that does not end: rolled back after shutdown_timeout"""
    t.sql("CREATE TABLE marks (a int)")
    d = t.daemon(size=2, options={"shutdown_timeout": "500ms"})
    c = t.client(d)
    c.sql("BEGIN; INSERT INTO marks VALUES (1)")
    running = t.client(d)
    running.send(wire.query("SELECT pg_sleep(60)"))
    wait_until(lambda: [a for a in t.activity() if a["state"] == "active"], 5, "it runs")
    d.signal(signal.SIGTERM)
    took, status = seconds(d.wait_end, 10)
    equal(status, 0, "the status")
    check(0.4 < took < 4 * slow_factor(), "it took %.3f s" % took)
    check(running.until_closed().errors, "the running client is told")
    check(c.until_closed().errors, "the client in a transaction is told")
    wait_until(lambda: not t.activity(), 2, "the query is gone and the backends have ended")
    equal(t.value("SELECT count(*) FROM marks"), "0", "rows")


@test
def sigint(t):
    """SIGINT does not wait for open transactions: they are rolled back, queries are cancelled"""
    t.sql("CREATE TABLE marks (a int)")
    d = t.daemon(size=2, options=LONG)
    c, running = t.client(d), t.client(d)
    c.sql("BEGIN; INSERT INTO marks VALUES (1)")
    running.send(wire.query("BEGIN; INSERT INTO marks VALUES (1); SELECT pg_sleep(60)"))
    wait_until(lambda: [a for a in t.activity() if a["state"] == "active"], 5, "it runs")
    d.signal(signal.SIGINT)
    took, status = seconds(d.wait_end, 10)
    equal(status, 0, "the status")
    check(took < 5 * slow_factor(), "it took %.3f s" % took)
    wait_until(lambda: not t.activity(), 2, "the query is gone and the backends have ended")
    equal(t.value("SELECT count(*) FROM marks"), "0", "rows")


@test
def second_signal(t):
    """a second signal ends the daemon at once"""
    for first, second in ((signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGINT),
                          (signal.SIGTERM, signal.SIGINT)):
        d = t.daemon(options=LONG)
        c = t.client(d)
        c.sql("BEGIN")
        d.signal(first)
        if first == signal.SIGTERM:
            wait_until(lambda: refuses(d), 5, "it drains")
        try:
            d.signal(second)
        except ProcessLookupError:
            pass
        took, status = seconds(d.wait_end, 5)
        check(took < 1 * slow_factor(), "%s then %s: it took %.3f s" % (first, second, took))
        d.expect_status = status
        check(status in (0, 1), "the status is %d" % status)
        check(c.hung_up(2), "the client is cut off")


@test
def daemon_killed(t):
    """the daemon is killed (SIGKILL): PostgreSQL rolls back, and a new daemon starts over the stale
    socket"""
    t.sql("CREATE TABLE marks (a int)")
    d = t.daemon(size=2)
    c = t.client(d)
    c.sql("BEGIN; INSERT INTO marks VALUES (1)")
    d.signal(signal.SIGKILL)
    d.wait_end(5)
    d.expect_status = -signal.SIGKILL
    check(c.hung_up(2), "the client is cut off")
    wait_until(lambda: not t.activity(), 5, "the backends have ended")
    again = d.__class__(d.directory, {"db": {"conninfo": t.conninfo(), "size": 1}})
    t.defer(again.stop)
    with again.connect() as c:
        equal(c.value("SELECT count(*) FROM marks"), "0", "rows")


@test
def daemon_killed_at_work(t):
    """the same while a query runs: it ends when client_connection_check_interval says, if the pool sets that"""
    d = t.daemon(conninfo=t.conninfo(options="-c client_connection_check_interval=100ms"))
    c = t.client(d)
    c.send(wire.query("SELECT pg_sleep(60)"))
    wait_until(lambda: [a for a in t.activity() if a["state"] == "active"], 5, "it runs")
    d.signal(signal.SIGKILL)
    d.wait_end(5)
    d.expect_status = -signal.SIGKILL
    check(c.hung_up(2), "the client is cut off")
    wait_until(lambda: not t.activity(), 5, "the backend has ended")


@test
def second_daemon(t):
    """a second daemon on the same socket is refused, the first serves on"""
    d = t.daemon()
    status, out, err = child.run([program("pgwithd"), "-c", d.conf], env=SANITIZE_ENV, timeout=20)
    check(status > 0, "its status is %d" % status)
    check("in use" in err, "it says why: " + out + err)
    with d.connect() as c:
        equal(c.value("SELECT 1"), "1", "the first one serves")


# ---- on_term and exit_when_unused ----------------------------------------------------------------
def phase(d):
    return {r["key"]: r["value"] for r in d.show("STATE")}["phase"]


@test
def after_clients(t):
    """on_term = after-clients: SIGTERM changes nothing for clients, new ones come in, until the last has left"""
    t.sql("CREATE TABLE marks (a int)")
    d = t.daemon(size=2, options={"on_term": "after-clients"})
    idle, busy = t.client(d), t.client(d)
    busy.sql("BEGIN; INSERT INTO marks VALUES (1)")
    d.signal(signal.SIGTERM)
    wait_until(lambda: phase(d) == "finishing", 5, "it is finishing")
    equal(d.show("HEALTH")[0]["reason"], None, "SHOW HEALTH")
    with d.connect() as new:
        equal(new.value("SELECT 1"), "1", "a new client")
    equal(idle.value("SELECT 2"), "2", "an idle one")
    idle.close()
    busy.sql("INSERT INTO marks VALUES (2); COMMIT")
    d.check_alive()
    busy.close()
    # The console does not keep it.
    equal(d.wait_end(10), 0, "the status")
    equal(t.value("SELECT count(*) FROM marks"), "2", "rows")
    wait_until(lambda: not t.activity(), 5, "the backends have ended")


@test
def after_clients_none(t):
    """on_term = after-clients without a client: it ends at once, or when exit_when_unused has passed"""
    d = t.daemon(options={"on_term": "after-clients"})
    d.signal(signal.SIGTERM)
    took, status = seconds(d.wait_end, 10)
    equal(status, 0, "the status")
    check(took < 2 * slow_factor(), "it took %.3f s" % took)
    d = t.daemon(options={"on_term": "after-clients", "exit_when_unused": "2s"})
    d.connect().close()
    d.signal(signal.SIGTERM)
    wait_until(lambda: phase(d) == "finishing", 5, "it is finishing")
    # Each request of a web server may be a connection of its own: the next one still comes in.
    for _ in range(5):
        with d.connect() as c:
            equal(c.value("SELECT 1"), "1", "the next one")
    took, status = seconds(d.wait_end, 15)
    equal(status, 0, "the status")
    check(took > 0.9, "it took %.3f s" % took)


@test
def after_clients_again(t):
    """on_term = after-clients: a second SIGTERM drains, a third ends at once; SIGINT stops; SHUTDOWN does what it says"""
    for second in (lambda d: d.signal(signal.SIGTERM), lambda d: d.console("SHUTDOWN"), lambda d: d.signal(signal.SIGINT)):
        d = t.daemon(size=2, options=dict(LONG, on_term="after-clients"))
        idle = t.client(d)
        idle.sql("SELECT 1")
        d.signal(signal.SIGTERM)
        wait_until(lambda: phase(d) == "finishing", 5, "it is finishing")
        second(d)
        told(idle)
        equal(d.wait_end(10), 0, "the status")
    d = t.daemon(size=2, options=dict(LONG, on_term="after-clients"))
    busy = t.client(d)
    busy.sql("BEGIN; SELECT 1")
    d.signal(signal.SIGTERM)
    wait_until(lambda: phase(d) == "finishing", 5, "it is finishing")
    d.signal(signal.SIGTERM)
    wait_until(lambda: refuses(d), 5, "it drains")
    d.signal(signal.SIGTERM)
    took, status = seconds(d.wait_end, 5)
    check(took < 2 * slow_factor(), "it took %.3f s" % took)
    equal(status, 0, "the status")


@test
def unused(t):
    """exit_when_unused: it ends by itself, with status 0, when there has been a client and none for that long; the
    console and connections that do not log in are none"""
    d = t.daemon(options={"exit_when_unused": "1s"})
    # Nobody has come: it stays.
    wait_until(lambda: int({r["key"]: r["value"] for r in d.show("STATE")}["uptime_s"]) >= 3, 10, "three seconds")
    d.check_alive()
    c = t.client(d)
    equal(c.value("SELECT 1"), "1", "a client")
    before = seconds(lambda: wait_until(lambda: int({r["key"]: r["value"] for r in d.show("STATE")}["uptime_s"]) >= 6,
                                        15, "three more"))[0]
    check(before > 1, "it was there for %.1f s" % before)
    d.check_alive()
    c.close()
    took, status = seconds(d.wait_end, 10)
    equal(status, 0, "the status")
    check(took > 0.9, "it took %.3f s" % took)
    check(d.log_has("unused: it ends"), "the log says why")
    # A client that has come and gone between two sweeps counts.
    d = t.daemon(options={"exit_when_unused": "1s"})
    d.console_close()
    d.connect().close()
    equal(d.wait_end(10), 0, "the status")
    # Set while it runs.
    d = t.daemon()
    d.connect().close()
    d.console("SET exit_when_unused = '1s'")
    equal(d.wait_end(10), 0, "the status")


@test
def unused_and_handed_over(t):
    """exit_when_unused: that there has been a client is handed over; and a client that is"""
    d = t.supervised(options={"exit_when_unused": "3s"})
    with d.connect() as c:
        c.sql("SELECT 1")
        d.restart()
        c.sql("SELECT 1")
    d.restart()
    equal(d.wait_end(20), 0, "the status")


if __name__ == "__main__":
    main()
