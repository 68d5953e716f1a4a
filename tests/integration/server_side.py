"""What happens on PostgreSQL's side: backends end, the server restarts, cannot be reached, is full."""

import signal
import threading
import time

from pgwtest import (Closed, ServerError, check, child, equal, main, only_local, seconds, slow_factor, test,
                     wait_until, wire)
from pgwtest.daemon import program
from pgwtest.looks import Watch, error_of

LOST = {"57P01", "57P02", "57P03", "08006", "08001"}


def answers(d, **client):
    """True if a new client is served; errors of a server that is not there yet are not."""
    try:
        with d.connect(**client) as c:
            return c.value("SELECT 1") == "1"
    except (ServerError, Closed, ConnectionError):
        return False


def lost_error(c, send):
    """The error that a client gets whose server goes; its connection ends with it."""
    if send:
        try:
            c.send(send)
        except OSError:
            pass
    r = c.until_closed()
    check(r.errors, "the client is told (got %r)" % r.kinds)
    e = r.errors[-1]
    check(e.sqlstate in LOST and e.severity == "FATAL", "the error: %s" % e)
    return e


# ---- backends end ----------------------------------------------------------------------------------
@test
def terminated_idle(t):
    """an idle backend is terminated: the next client is served by another and notices nothing"""
    w = Watch(t, t.daemon())
    c = t.client(w.daemon)
    c.sql("SELECT 1")
    t.sql("SELECT pg_terminate_backend(%d)" % w.pid)
    w.lost(2)
    check(c.backend() != w.pid, "the same session, another backend")
    w.serves_clean(same=False)


@test
def terminated_in_transaction(t):
    """a leased backend, idle in its transaction, is terminated: its client is told, the next is served"""
    w = Watch(t, t.daemon())
    c = t.client(w.daemon)
    c.sql("BEGIN")
    t.sql("SELECT pg_terminate_backend(%d)" % w.pid)
    w.lost(2)
    lost_error(c, b"")
    w.serves_clean(same=False)


@test
def terminated_running(t):
    """a backend is terminated while it runs a query: its client is told, the next is served"""
    for request in (wire.query("SELECT pg_sleep(60)"),
                    wire.extended("SELECT pg_sleep(60)") + wire.sync()):
        w = Watch(t, t.daemon())
        c = t.client(w.daemon)
        c.send(request)
        w.runs("pg_sleep")
        t.sql("SELECT pg_terminate_backend(%d)" % w.pid)
        lost_error(c, b"")
        w.lost(2)
        w.serves_clean(same=False)
        w.daemon.stop()


@test
def terminated_while_others_wait(t):
    """a backend is terminated while others wait for it: a new one serves them"""
    w = Watch(t, t.daemon())
    a, b, c = (t.client(w.daemon) for _ in range(3))
    a.sql("BEGIN")
    for x in (b, c):
        x.send(wire.query("SELECT 5"))
    wait_until(lambda: w.daemon.waiting() == 2, 5, "two wait")
    t.sql("SELECT pg_terminate_backend(%d)" % w.pid)
    equal([x.until_ready().rows for x in (b, c)], [[("5",)]] * 2, "the waiters' answers")
    w.serves_clean(same=False)


@test
def terminated_by_itself(t):
    """a client terminates its own backend: it is told, the next is served"""
    w = Watch(t, t.daemon())
    c = t.client(w.daemon)
    lost_error(c, wire.query("SELECT pg_terminate_backend(pg_backend_pid())"))
    w.serves_clean(same=False)


@test
def terminated_in_cleanup(t):
    """a backend is terminated while its client's death is being cleaned up: replaced"""
    proxy = t.proxy()
    d = t.daemon(conninfo=t.conninfo(host=proxy.directory, port=proxy.port), cleanup_timeout="20s")
    with d.connect() as c:
        pid = c.backend()
    d.quiet()
    proxy.cancel_gate.clear()
    c = d.connect()
    c.send(wire.query("SELECT pg_sleep(60)"))
    wait_until(lambda: [a for a in t.activity() if a["state"] == "active"], 5, "it runs")
    c.drop()
    wait_until(lambda: proxy.cancels == 1, 5, "the cancel is under way")
    t.sql("SELECT pg_terminate_backend(%d)" % pid)
    c = t.client(d)
    check(c.backend() != pid, "another backend")
    proxy.cancel_gate.set()
    d.quiet()
    equal(len(t.activity()), 1, "backends")


@test
def cut_in_a_row(t):
    """a connection is cut in the middle of a DataRow: the client gets no made-up end of it"""
    proxy = t.proxy()
    d = t.daemon(conninfo=t.conninfo(host=proxy.directory, port=proxy.port))
    c = t.client(d)
    c.send(wire.query("SELECT repeat('x', 30000000)"))
    equal(c.read()[0], "T", "the first message")
    proxy.cut()
    try:
        while c.read()[0] != "Z":
            pass
        check(False, "no ReadyForQuery may come")
    except (Closed, ConnectionError):
        pass
    check(answers(d) or answers(d), "the next client is served")


# ---- PostgreSQL restarts ---------------------------------------------------------------------------
def restarts_idle(t, mode):
    d = t.daemon(size=3, min_size=1, retry_delay="100ms")
    c, in_transaction = t.client(d), t.client(d)
    equal(c.value("SELECT 1"), "1", "before")
    in_transaction.sql("BEGIN")
    t.cluster.restart(mode)
    lost_error(in_transaction, b"")
    wait_until(lambda: answers(d), 10, "new clients are served")
    # A session that held nothing has lost nothing.
    equal(c.value("SELECT 2"), "2", "the idle session after the restart")
    d.quiet()
    equal(t.cluster.pids(t.database), d.server_pids(), "the backends")


@test
def restart_fast_idle(t):
    """PostgreSQL restarts (fast): idle sessions survive, one in a transaction is told"""
    restarts_idle(t, "fast")


@test
def restart_immediate_idle(t):
    """PostgreSQL restarts (immediate): the same"""
    restarts_idle(t, "immediate")


def restarts_under_load(t, mode):
    t.sql("CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL)")
    t.sql("INSERT INTO accounts SELECT i, 1000 FROM generate_series(1, 20) i")
    d = t.daemon(size=4, retry_delay="100ms", options={"log_level": "info"})
    stop = threading.Event()
    done, errors, strange = [], [], []

    def work(number):
        c = None
        while not stop.is_set():
            try:
                if c is None:
                    c = d.connect()
                a, b = 1 + number, 1 + (number + 7) % 20
                c.sql("BEGIN")
                c.sql("UPDATE accounts SET balance = balance - 1 WHERE id = %d" % min(a, b))
                c.sql("UPDATE accounts SET balance = balance + 1 WHERE id = %d" % max(a, b))
                c.sql("COMMIT")
                done.append(number)
            except (ServerError, Closed, OSError) as e:
                errors.append(number)
                if isinstance(e, ServerError) and e.sqlstate not in LOST:
                    strange.append(str(e))
                if c is not None:
                    c.drop()
                c = None
                time.sleep(0.01)
        if c is not None:
            c.close()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(12)]
    for x in threads:
        x.start()
    try:
        for _ in range(2):
            seen = len(done)
            wait_until(lambda: len(done) >= seen + 50, 20, "there is load")
            t.cluster.restart(mode)
            wait_until(lambda: answers(d), 10, "clients are served again")
        seen = len(done)
        wait_until(lambda: len(done) >= seen + 50, 20, "the load goes on")
    finally:
        stop.set()
        for x in threads:
            x.join()
    equal(strange, [], "errors other than a lost server")
    check(errors, "the restarts were noticed")
    equal(t.value("SELECT sum(balance) FROM accounts"), "20000", "the sum")
    d.quiet()
    equal(t.cluster.pids(t.database), d.server_pids(), "the backends")


@test
def restart_fast_under_load(t):
    """PostgreSQL restarts twice (fast) under load: clients are told, served again, sums add up"""
    restarts_under_load(t, "fast")


@test
def restart_immediate_under_load(t):
    """PostgreSQL restarts twice (immediate) under load: the same"""
    restarts_under_load(t, "immediate")


# ---- PostgreSQL cannot be reached ------------------------------------------------------------------
@test
def down_at_start(t):
    """PostgreSQL is down when pgwithd starts: clients are told at once and why; served when it is up"""
    conninfo = t.conninfo()
    cluster = t.cluster
    cluster.stop()
    try:
        d = t.daemon(conninfo=conninfo, min_size=1, retry_delay="100ms")

        def refused():
            c = d.connect()
            try:
                c.sql("SELECT 1")
            finally:
                c.close()
        took, e = seconds(error_of, refused)
        check(took < 2 * slow_factor(), "at once: %.3f s" % took)
        equal(e.sqlstate, "08001", "the error")
        check('cannot connect to the server of pool "db"' in e.message, "the message: %s" % e)
        check("No such file" in str(e) or "refused" in str(e), "libpq's own reason: %s" % e)
    finally:
        cluster.start()
    wait_until(lambda: answers(d), 5, "clients are served")
    d.quiet()


@test
def goes_down_and_comes_back(t):
    """PostgreSQL goes away while sessions are open and comes back: no session has to reconnect"""
    d = t.daemon(size=2, retry_delay="100ms", wait_while_down="off")
    c = t.client(d)
    c.sql("SELECT 1")
    cluster = t.cluster
    cluster.stop()
    try:
        r = c.ask("SELECT 1")
        equal((r.errors[0].sqlstate, r.status), ("08001", "I"), "the error")
        r = c.ask_extended("SELECT 1")
        equal((r.errors[0].sqlstate, r.status), ("08001", "I"), "the error (extended)")
    finally:
        cluster.start()
    wait_until(lambda: not c.ask("SELECT 1").errors, 5, "the same session is served again")


@test
def back_again(t):
    """a server that is back is seen without a client: the pool's error goes, and pgwith status is good again"""
    only_local("stops the server")
    t.cluster.role("alice")
    d = t.daemon(pools={"db": {"conninfo": t.conninfo(), "retry_delay": "100ms", "wait_while_down": "off"},
                        "each": {"conninfo": t.conninfo(user=None), "role": "client", "retry_delay": "100ms",
                                 "wait_while_down": "off"},
                        "wrong": {"conninfo": t.conninfo(user="nosuchrole"), "retry_delay": "100ms", "wait_while_down": "off"},
                        "gone": {"conninfo": t.conninfo(host=t.path("nowhere")), "retry_delay": "100ms", "wait_while_down": "off"}})

    def errors():
        return {r["database"]: r["last_error"] for r in d.show("POOLS") if r["last_error"]}

    def status():
        return child.run([program("pgwith"), "-S", d.sockets, "-p", str(d.port), "status"])

    for user, pool in (("postgres", "db"), ("alice", "each"), ("postgres", "each")):
        d.connect(pool, user=user).close()
    equal(status()[0], 0, "all is well")
    cluster = t.cluster
    cluster.stop()
    for user, pool in (("postgres", "db"), ("alice", "each"), ("postgres", "each")):
        try:
            with d.connect(pool, user=user) as c:
                c.sql("SELECT 1")
            check(False, "no server")
        except (ServerError, Closed):
            pass
    wait_until(lambda: set(errors()) == {"db", "each"}, 10, "the errors are there: %s" % errors())
    equal(status()[0], 1, "trouble")
    cluster.start()
    wait_until(lambda: not errors(), 15, "they are gone, though nobody came")
    equal(status()[0], 0, "all is well again")
    # What a new try cannot mend is not tried, while another pool is.
    for pool in ("wrong", "gone"):
        try:
            d.connect(pool).sql("SELECT 1")
        except (ServerError, Closed) as e:
            check("28000" not in str(e).split(" ", 1)[1], "the SQLSTATE is not in the words: %s" % e)
    wait_until(lambda: set(errors()) == {"wrong", "gone"}, 5, "both have failed")

    def fails(pool):
        return int({r["database"]: r["open_fails"] for r in d.show("POOLS")}[pool])
    wrong, gone = fails("wrong"), fails("gone")
    wait_until(lambda: fails("gone") >= gone + 2, 20, "a server that cannot be reached is tried again")
    equal(fails("wrong"), wrong, "a role that is not there is not")
    check("nosuchrole" in errors()["wrong"], errors())


@test
def retry_delay(t):
    """while PostgreSQL refuses, many clients fail at once without an attempt each"""
    proxy = t.proxy()
    proxy.refuse = True
    d = t.daemon(conninfo=t.conninfo(host=proxy.directory, port=proxy.port), retry_delay="30s",
                 size=10, max_opening=2)

    def refused():
        c = d.connect()
        try:
            c.sql("SELECT 1")
        finally:
            c.close()
    equal(error_of(refused).sqlstate, "08001", "the error")
    attempts = proxy.refused
    for _ in range(50):
        took, e = seconds(error_of, refused)
        check(took < 0.5 * slow_factor(), "at once: %.3f s" % took)
    equal(proxy.refused, attempts, "attempts for 50 more clients")


@test
def wrong_database(t):
    """a pool whose database does not exist: clients get PostgreSQL's reason, at once"""
    d = t.daemon(conninfo=t.conninfo(dbname="nowhere"))

    def refused():
        c = d.connect()
        try:
            c.sql("SELECT 1")
        finally:
            c.close()
    took, e = seconds(error_of, refused)
    check(took < 2 * slow_factor(), "at once: %.3f s" % took)
    check('database "nowhere" does not exist' in str(e), "the reason: %s" % e)
    check(e.sqlstate in ("08001", "3D000"), "the error: %s" % e)


@test
def hanging_login(t):
    """a server that never answers a login: connect_timeout, and the client is told"""
    proxy = t.proxy()
    proxy.login_gate.clear()
    d = t.daemon(conninfo=t.conninfo(host=proxy.directory, port=proxy.port), connect_timeout="500ms",
                 retry_delay="100ms")

    def refused():
        c = d.connect()
        try:
            c.sql("SELECT 1")
        finally:
            c.close()
    took, e = seconds(error_of, refused)
    equal(e.sqlstate, "08001", "the error")
    check(took < 4 * slow_factor(), "it took %.3f s" % took)
    proxy.login_gate.set()
    wait_until(lambda: answers(d), 5, "clients are served")


@test
def max_connections(t):
    """PostgreSQL has no connection left: who holds one goes on, who wants one is told or waits, and all
    is well when there is room again"""
    t.cluster.for_us_alone("every connection is taken")
    d = t.daemon(size=3, retry_delay="100ms", wait_timeout="2s")
    holder, second = t.client(d), t.client(d)
    holder.sql("BEGIN")
    others = []
    try:
        while True:
            others.append(t.cluster.connect(t.database))
    except ServerError as e:
        equal(e.sqlstate, "53300", "PostgreSQL is full")
    # Make sure that not even our own looking gives a place back in the meantime.
    took, r = seconds(second.ask, "SELECT 1")
    check(r.errors and r.errors[0].sqlstate in ("08001", "53300"), "the error: %r" % r.errors)
    check(took < 3 * slow_factor(), "it took %.3f s" % took)
    equal(holder.value("SELECT 3"), "3", "the holder goes on")
    # The holder's server serves the others too, as soon as it is free.
    holder.sql("COMMIT")
    wait_until(lambda: not second.ask("SELECT 1").errors, 5, "the second is served by the only server")
    for c in others:
        c.close()
    clients = [t.client(d) for _ in range(3)]

    def all_in():
        got = [c.ask("BEGIN").errors for c in clients]
        for c in clients:
            c.ask("ROLLBACK")
        return not any(got)
    wait_until(all_in, 10, "three at a time are served again")
    d.quiet()


@test
def health_check(t):
    """an idle server whose connection hangs is found by the check and replaced"""
    proxy = t.proxy()
    d = t.daemon(conninfo=t.conninfo(host=proxy.directory, port=proxy.port), check_interval="200ms", connect_timeout="2s")
    with d.connect() as c:
        pid = c.backend()
    d.quiet()
    # Stopped, the backend answers nothing, though its socket is open.
    t.cluster.signal(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: pid not in d.server_pids(), 20, "it is given up")
        c = t.client(d)
        check(c.backend() != pid, "another backend serves")
    finally:
        t.cluster.signal(pid, signal.SIGCONT)


if __name__ == "__main__":
    main(cluster={"connections": 30})
