"""A primary and its standby behind one pool (several hosts and target_session_attrs): the primary
stops, dies or falls silent, the standby is promoted, and sessions go on with it."""

import os
import signal
import threading
import time

from pgwtest import (Closed, Cluster, ServerError, check, child, equal, main, note, only_local,
                     seconds, slow_factor, test, wait_until, wire)
from pgwtest.context import conninfo
from pgwtest.looks import error_of
from pgwtest.server import USER
from pgwtest.standby import PRIMARY, RULE, Standby, made

LOST = {"57P01", "57P02", "57P03", "08006", "08001", "25006"}


class Pair:
    """A primary with a standby that has confirmed whatever the primary has acknowledged."""

    def __init__(self, t):
        only_local("a primary and its standby")
        self.a = made(t, "a", lambda d: Cluster(d, tls=True, settings=PRIMARY,
                                                      hba=RULE))
        self.a.sql("CREATE TABLE done (n int)")
        self.b = made(t, "b", lambda d: Standby(d, self.a))
        self.a.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.a.sql("ALTER SYSTEM SET synchronous_commit = on")
        self.a.sql("SELECT pg_reload_conf()")
        wait_until(lambda: self.a.sql("SELECT sync_state FROM pg_stat_replication") == [("sync",)], 20,
                   "the standby is synchronous")

    def sockets(self, **more):
        """A conninfo of both, over Unix sockets."""
        parts = {"host": "%s,%s" % (self.a.sockets, self.b.sockets),
                 "port": "%d,%d" % (self.a.port, self.b.port), "user": USER, "dbname": "postgres"}
        parts.update(more)
        return conninfo(parts)

    def tls(self, **more):
        """The same over TLS."""
        parts = self.a.tls_conninfo(host="127.0.0.1,127.0.0.1", dbname="postgres",
                                    port="%d,%d" % (self.a.port, self.b.port))
        parts.update(more)
        return conninfo(parts)


def where(c):
    """Which server answers: the port that it listens on."""
    return int(c.value("SELECT setting FROM pg_settings WHERE name = 'port'"))


def asks(c):
    """True if the session's statement is answered; it must not be the session's end."""
    r = c.ask("INSERT INTO done VALUES (0)")
    for e in r.errors:
        check(e.sqlstate in LOST and e.severity == "ERROR", "the error: %s" % e)
    return not r.errors


def no_server_is_left(d):
    """A statement that goes to a server just before its end is heard of would be lost with it."""
    wait_until(lambda: {s["state"] for s in d.servers()} <= {"connecting"}, 5, "no server is left")


def moves(t, pair, conninfo, stop):
    """Idle sessions are served by the new primary without connecting again."""
    d = t.daemon(conninfo=conninfo, size=3, min_size=2, retry_delay="100ms", wait_timeout="1s")
    idle = [t.client(d) for _ in range(6)]
    for c in idle:
        c.sql("SET application_name = 'mine'")
        equal(where(c), pair.a.port, "the server before")
    holder = t.client(d)
    holder.sql("BEGIN; INSERT INTO done VALUES (100)")
    idle[0].sql("INSERT INTO done VALUES (1)")
    stop()
    check(holder.until_closed().errors[-1].sqlstate in LOST, "the one in a transaction is told")
    no_server_is_left(d)
    # The standby does not do instead: nobody may write there.
    r = idle[0].ask("SELECT 1")
    check(r.errors and r.errors[0].sqlstate == "08001", "no primary: %r" % r.errors)
    pair.b.promote()
    took, _ = seconds(wait_until, lambda: asks(idle[0]), 10, "the session is served")
    note("served again %.3f s after the promotion" % took)
    for c in idle:
        equal(where(c), pair.b.port, "the server afterwards")
        equal(c.value("SHOW application_name"), "mine", "what the session has set")
    equal(pair.b.sql("SELECT n FROM done ORDER BY n"), [("0",), ("1",)], "the rows")
    with d.connect() as c:
        equal(where(c), pair.b.port, "the server of a new session")
    d.quiet()
    equal(pair.b.pids("postgres"), d.server_pids(), "the backends")


@test(timeout=90)
def sockets_read_write(t):
    """Unix sockets, read-write: the primary is shut down, the standby promoted; idle sessions stay"""
    pair = Pair(t)
    moves(t, pair, pair.sockets(target_session_attrs="read-write"), pair.a.stop)


@test(timeout=90)
def tls_primary(t):
    """TLS by name (localhost), primary: the primary is killed, the standby promoted; idle sessions stay"""
    pair = Pair(t)
    moves(t, pair, pair.tls(host="localhost,localhost", target_session_attrs="primary"), pair.a.kill)


@test(timeout=90)
def standby_first(t):
    """the standby stands first in the list: the pool is on the primary; prefer-standby: on the standby"""
    pair = Pair(t)
    both = {"host": "%s,%s" % (pair.b.sockets, pair.a.sockets),
            "port": "%d,%d" % (pair.b.port, pair.a.port)}
    for attrs, at in (("primary", pair.a), ("read-write", pair.a), ("read-only", pair.b),
                      ("standby", pair.b), ("prefer-standby", pair.b), ("any", pair.b)):
        d = t.daemon(conninfo=pair.sockets(target_session_attrs=attrs, **both))
        with d.connect() as c:
            equal(where(c), at.port, "the server of " + attrs)
            equal(c.parameters.get("in_hot_standby"), "on" if at is pair.b else "off", "the status")
        d.stop()
    # A pool for readers outlives its standby.
    d = t.daemon(conninfo=pair.tls(target_session_attrs="prefer-standby"), retry_delay="100ms")
    c = t.client(d)
    equal(where(c), pair.b.port, "the server of a reader")
    pair.b.kill()
    no_server_is_left(d)
    wait_until(lambda: not c.ask("SELECT 1").errors, 5, "the reader is served")
    equal(where(c), pair.a.port, "the server afterwards")


@test(timeout=120)
def under_load(t):
    """the primary is killed under load over TLS: what was acknowledged is on the new one, and nothing
    twice"""
    pair = Pair(t)
    d = t.daemon(conninfo=pair.tls(target_session_attrs="read-write"), size=4, retry_delay="100ms",
                 options={"log_level": "info"})
    stop = threading.Event()
    acknowledged, unknown, strange = set(), set(), []

    def work(number):
        c, n = None, 0
        while not stop.is_set():
            value = number * 1000000 + n
            n += 1
            try:
                if c is None:
                    c = d.connect()
                c.sql("BEGIN")
                c.sql("INSERT INTO done VALUES (%d)" % value)
                c.sql("INSERT INTO done VALUES (%d)" % -value)
                unknown.add(value)
                c.sql("COMMIT")
                acknowledged.add(value)
            except (ServerError, Closed, OSError) as e:
                if isinstance(e, ServerError):
                    if e.sqlstate not in LOST:
                        strange.append(str(e))
                    if e.severity == "ERROR" and c.ask("ROLLBACK").errors == []:
                        time.sleep(0.01)
                        continue
                if c is not None:
                    c.drop()
                c = None
                time.sleep(0.01)
        if c is not None:
            c.close()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(1, 11)]
    for x in threads:
        x.start()
    try:
        wait_until(lambda: len(acknowledged) > 100, 20, "there is load")
        pair.a.kill()
        pair.b.promote()
        seen = len(acknowledged)
        wait_until(lambda: len(acknowledged) > seen + 100, 20, "the load goes on")
    finally:
        stop.set()
        for x in threads:
            x.join()
    equal(strange, [], "errors other than a lost server")
    rows = [int(r[0]) for r in pair.b.sql("SELECT n FROM done")]
    there = {n for n in rows if n > 0}
    equal(len(rows), 2 * len(there), "rows")
    equal({-n for n in rows if n < 0}, there, "halves of transactions")
    equal(acknowledged - there, set(), "acknowledged and lost")
    equal(there - unknown, set(), "there without a COMMIT")
    note("%d acknowledged, %d there" % (len(acknowledged), len(there)))
    d.quiet()


class Silence:
    """All processes of a cluster are stopped: its sockets are open, and nothing answers."""

    def __init__(self, t, cluster):
        self.pids = [cluster.process.pid] + [int(r[0]) for r in
                                             cluster.sql("SELECT pid FROM pg_stat_activity")]
        cluster.forget()
        self._signal(signal.SIGSTOP)
        t.defer(self._signal, signal.SIGCONT)

    def _signal(self, number):
        for pid in self.pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass


def silent(t, conninfo, pair):
    """The connections to the old primary are half open, and its address swallows new ones."""
    d = t.daemon(conninfo=conninfo, size=3, retry_delay="100ms", connect_timeout="%dms" % (300 * slow_factor()),
                 check_interval="200ms", cleanup_timeout="500ms")
    idle = [t.client(d) for _ in range(4)]
    busy = t.client(d)
    for c in idle:
        equal(where(c), pair.a.port, "the server before")
    busy.sql("BEGIN")
    pair.a.sql("ALTER SYSTEM SET synchronous_standby_names = ''")
    # The checkpointer and the like are no part of what is stopped: pids of pg_stat_activity.
    Silence(t, pair.a)
    pair.b.promote()
    # Servers that nobody holds are found by the check; then a silent host comes first, each time.
    wait_until(lambda: len(d.servers()) <= 1, 10, "the idle servers are given up")
    for c in idle:
        took, at = seconds(where, c)
        equal(at, pair.b.port, "the server afterwards")
        check(took < 3 * slow_factor(), "an idle session waited %.3f s" % took)
    # Who held one waits as TCP lets him; when he leaves, his server is replaced.
    busy.send(wire.query("SELECT 1"))
    busy.drop()
    wait_until(lambda: not d.leased(), 5, "the held server is given up")
    equal(pair.b.pids("postgres"), d.server_pids(), "the backends")


@test(timeout=90)
def silent_sockets(t):
    """the primary falls silent (Unix sockets): the standby is promoted, and sessions go on there"""
    pair = Pair(t)
    silent(t, pair.sockets(target_session_attrs="read-write"), pair)


@test(timeout=90)
def silent_tls(t):
    """the same over TLS"""
    pair = Pair(t)
    silent(t, pair.tls(target_session_attrs="primary"), pair)


@test(timeout=90)
def silent_alone(t):
    """a silent server without another: connect_timeout, and the client is told"""
    pair = Pair(t)
    d = t.daemon(conninfo=conninfo(pair.a.tls_conninfo(dbname="postgres")), retry_delay="100ms",
                 connect_timeout="300ms")
    Silence(t, pair.a)

    def refused():
        c = d.connect()
        try:
            c.sql("SELECT 1")
        finally:
            c.close()
    took, e = seconds(error_of, refused)
    check("no answer within 300ms" in str(e), "the reason: %s" % e)
    check(took < 3 * slow_factor(), "it took %.3f s" % took)


if __name__ == "__main__":
    main()
