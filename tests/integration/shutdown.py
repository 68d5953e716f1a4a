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


if __name__ == "__main__":
    main()
