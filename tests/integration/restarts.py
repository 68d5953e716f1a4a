"""PostgreSQL restarts, crashes, and is down for a while: nobody hears of it but those whose statement or transaction was
at work at that moment. Clients wait (wait_while_down), or are told at once; what PostgreSQL itself answers is told at
once in any case. The same through PgBouncer, for comparison."""

import os
import re
import shutil
import signal
import subprocess
import threading
import time

from pgwtest import check, equal, main, note, only_local, seconds, slow_factor, test, wait_until, wire
from pgwtest.looks import error_of
from pgwtest.wire import Closed, ServerError, bind, execute, extended, parse, query, sync

DOWN = "pool db: cannot connect why="
SIZE = 3
CLIENTS = 12


# ---- statements that were not at work ---------------------------------------------------------------
def idle_servers(t, d, count):
    """So many, by as many transactions at once."""
    clients = [d.connect() for _ in range(count)]
    for c in clients:
        c.sql("BEGIN; SELECT 1")
    for c in clients:
        c.sql("COMMIT")
    d.quiet()
    equal(len(d.servers()), count, "idle servers")
    return clients


WAYS = {
    "simple": lambda c: c.send(query("SELECT 1")),
    "extended": lambda c: c.send(extended("SELECT 1") + sync()),
    "prepared": lambda c: c.send(bind(statement="p") + execute() + sync()),
    "transaction": lambda c: c.send(query("BEGIN; SELECT 1; COMMIT")),
    "parameter": lambda c: c.send(query("SET work_mem = '3MB'")),
}


def terminate_all(t):
    t.cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '%s' AND pid <>"
                  " pg_backend_pid() AND application_name <> 'pgwtest-look'" % t.database)
    wait_until(lambda: not t.cluster.pids(t.database), 5, "the backends are gone")


def crash(t):
    pids = t.cluster.pids(t.database)
    t.cluster.forget()
    t.cluster.signal(min(pids), signal.SIGKILL)
    wait_until(lambda: not [pid for pid in pids if os.path.exists("/proc/%d" % pid)], 20, "the others are ended")
    wait_until(t.cluster.accepts, 20, "PostgreSQL is up again")


def freeze(d):
    """Stops the daemon; what happens from now on it will see all at once."""
    os.kill(d.pid, signal.SIGSTOP)

    def is_stopped():
        with open("/proc/%d/stat" % d.pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "T"
    wait_until(is_stopped, 5, "the daemon is stopped")


def stopped_meanwhile(t, d, clients, happens):
    """The daemon finds at once what its clients have sent and what has become of its servers."""
    for way, send in WAYS.items():
        for c in clients:
            c.sql("SELECT 1")
        d.quiet()
        freeze(d)
        try:
            # Events come in the order of the descriptors' readiness: both orders.
            for c in clients[::2]:
                send(c)
            happens(t)
            for c in clients[1::2]:
                send(c)
        finally:
            os.kill(d.pid, signal.SIGCONT)
        for c in clients:
            r = c.until_ready()
            equal((r.errors, r.status), ([], "I"), way)


def idle_servers_end(t, d, happens):
    clients = idle_servers(t, d, 4)
    for c in clients:
        c.send(parse("SELECT 2", "p") + sync())
        c.until_ready()
    stopped_meanwhile(t, d, clients, happens)
    for c in clients:
        c.close()


@test
def idle_servers_die(t):
    """statements that come together with the news of their server's death go to another server"""
    t.cluster.for_us_alone("servers are terminated")
    for lazy in ("on", "off"):
        idle_servers_end(t, t.daemon(size=4, retry_delay="100ms", lazy_begin=lazy), terminate_all)


@test
def idle_servers_crash(t):
    """the same when another backend crashes, and PostgreSQL starts anew"""
    t.cluster.for_us_alone("a backend is killed")
    idle_servers_end(t, t.daemon(size=4, retry_delay="100ms"), crash)


@test
def last_words_behind_an_answer(t):
    """a FATAL that comes in one read with an answer is not the client's; who waits gets another server"""
    t.cluster.for_us_alone("servers are terminated")
    t.sql("CREATE TABLE held ()")
    for happens in (terminate_all, crash):
        d = t.daemon(size=1, retry_delay="100ms")
        a, b = t.client(d), t.client(d)
        for way, send in WAYS.items():
            for c in (a, b):
                c.send(wire.close_("S", "p") + parse("SELECT 2", "p") + sync())
                c.until_ready()
            send(a)
            a.until_ready()
            d.quiet()
            holder = t.direct(application_name="pgwtest-look")  # activity() leaves this name out
            holder.sql("BEGIN; LOCK TABLE held")
            a.send(query("SELECT count(*) FROM held"))
            wait_until(lambda: [r["state"] for r in t.activity()] == ["active"], 5, "it runs")
            send(b)
            wait_until(lambda: d.waiting() == 1, 5, "b waits")
            freeze(d)
            try:
                holder.sql("COMMIT")
                holder.close()
                wait_until(lambda: [r["state"] for r in t.activity()] == ["idle"], 5, "it has answered")
                happens(t)
            finally:
                os.kill(d.pid, signal.SIGCONT)
            r = a.until_ready()
            equal((r.errors, r.status), ([], "I"), way + ": its answer")
            r = b.until_ready()
            equal((r.errors, r.status), ([], "I"), way + ": who waited")
            check(a.silent(0.1), way + ": nothing more for the first")
            equal(a.value("SELECT 1"), "1", way + ": it goes on")
        for c in (a, b):
            c.close()
        d.stop()


@test
def dies_in_the_setup(t):
    """a server that ends while it gets a session's role is replaced, and the statement is not lost"""
    t.cluster.for_us_alone("servers are terminated")
    t.cluster.role("alice")
    proxy = t.proxy()
    d = t.daemon(size=1, conninfo=t.conninfo(host=proxy.directory, port=proxy.port), retry_delay="50ms")
    c, other = t.client(d), t.client(d)
    c.sql("SET ROLE alice")
    for _ in range(3):
        other.sql("SELECT 1")
        d.quiet()
        freeze(d)
        c.send(query("SELECT current_user"))
        terminate_all(t)
        os.kill(d.pid, signal.SIGCONT)
        r = c.until_ready()
        equal((r.errors, r.rows), ([], [("alice",)]), "its answer")


# ---- under load -------------------------------------------------------------------------------------
class Load:
    """Sessions that work all the time, and what has failed: (when it was sent, when it failed, what)."""

    def __init__(self, connect, rest, ways=("simple", "extended", "prepared", "transaction")):
        self.connect, self.rest, self.ways = connect, rest, ways
        self.stop, self.done, self.failed, self.slowest = threading.Event(), [0] * CLIENTS, [], 0
        self.threads = [threading.Thread(target=self.work, args=(i,)) for i in range(CLIENTS)]
        for x in self.threads:
            x.start()

    def login(self):
        # A login has no server, and none of its own is lost; a new one may come at any time.
        c = self.connect()
        if "prepared" in self.ways:
            c.send(parse("SELECT 1", "p") + sync())
            c.until_ready()
        return c

    def work(self, number):
        way = WAYS[self.ways[number % len(self.ways)]]
        c = None
        while not self.stop.is_set():
            sent = time.monotonic()
            try:
                c = c or self.login()
                sent = time.monotonic()
                way(c)
                r = c.until_ready()
                if r.errors:
                    raise r.errors[0]
                self.done[number] += 1
                self.slowest = max(self.slowest, time.monotonic() - sent)
            except (ServerError, Closed, OSError) as e:
                self.failed.append((sent, time.monotonic(), str(e)))
                if c:
                    c.drop()
                c = None
            time.sleep(self.rest)
        if c:
            c.close()

    def more(self):
        before = list(self.done)
        wait_until(lambda: all(x > y + 5 for x, y in zip(self.done, before)), 30, "all of them work")

    def end(self):
        self.stop.set()
        for x in self.threads:
            x.join()


def loaded(t, connect, happens, what):
    """Errors of those that were at work when it happened. The others must have none."""
    load = Load(connect, 0.002)
    try:
        load.more()
        began = time.monotonic()
        happens(t)
        took = time.monotonic() - began
        load.more()
    finally:
        load.end()
    note("%s: %d statements, %d failed, the slowest took %.2f s; PostgreSQL was away for %.2f s"
         % (what, sum(load.done), len(load.failed), load.slowest, took))
    return load, began


def restart_fast(t):
    t.cluster.restart("fast")


def restart_immediate(t):
    t.cluster.restart("immediate")


@test(timeout=120)
def under_load(t):
    """restarts and crashes under load: no more errors than servers, and none of what was sent afterwards"""
    t.cluster.for_us_alone("it is restarted")
    for what, happens in (("fast", restart_fast), ("immediate", restart_immediate), ("crash", crash)):
        d = t.daemon(size=SIZE, retry_delay="200ms", wait_timeout="30s", options={"log_level": "info"})
        load, began = loaded(t, d.connect, happens, what)
        check(len(load.failed) <= SIZE, "%s: errors: %s" % (what, load.failed))
        for sent, failed, text in load.failed:
            # The shutdown is asked for a moment after `began`, and reaches all backends at once.
            check(sent - began < 0.3 * slow_factor(), "%s: sent %.3f s after it: %s" % (what, sent - began, text))
        check(len(re.findall(DOWN, d.log_text())) <= 1, "logged once")


@test(timeout=120)
def idle_load(t):
    """with more servers than work nearly nothing is at work, and nearly nothing fails; the sessions stay"""
    t.cluster.for_us_alone("it is restarted")
    d = t.daemon(size=CLIENTS, min_size=CLIENTS, retry_delay="200ms", wait_timeout="30s",
                 options={"log_level": "info"})
    for what, happens in (("fast", restart_fast), ("crash", crash)):
        load, began = loaded(t, d.connect, happens, what)
        for sent, failed, text in load.failed:
            check(sent - began < 0.3 * slow_factor(), "%s: sent %.3f s after it: %s" % (what, sent - began, text))
        check(len(load.failed) <= CLIENTS, "errors")


def pgbench_aborts(t, host, port, mode, happens):
    """How many of its clients have ended early."""
    script = t.path("one.sql")
    with open(script, "w") as f:
        f.write("SELECT :client_id + 1;\n")
    p = subprocess.Popen([t.cluster.program("pgbench"), "-n", "-M", mode, "-c", "8", "-j", "2", "-T", "4", "-f", script,
                          "-h", host, "-p", str(port), "-U", "postgres", "db"], text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    time.sleep(1)
    happens(t)
    out, _ = p.communicate(timeout=60 * slow_factor())
    done = re.search(r"actually processed: (\d+)", out)
    return len(re.findall(r"client \d+ (aborted|script)", out)), int(done.group(1)) if done else 0


@test(timeout=240)
def pgbench(t):
    """pgbench, in all its modes, goes on over a restart: only clients whose query was running are aborted"""
    t.cluster.for_us_alone("it is restarted")
    modes = ("simple", "extended", "prepared")
    d = t.daemon(size=SIZE, retry_delay="200ms", wait_timeout="30s", lazy_begin="on", options={"log_level": "info"})
    for mode in modes if os.environ.get("PGWITH_RESTARTS") == "all" else t.random.sample(modes, 1):
        aborted, done = pgbench_aborts(t, d.sockets, d.port, mode, restart_fast)
        note("%s: %d of 8 clients aborted, %d statements" % (mode, aborted, done))
        check(aborted <= SIZE, "clients that were aborted (%s): %d" % (mode, aborted))
        check(done > 100, "statements: %d" % done)


@test(timeout=120)
def as_pgbouncer(t):
    """PgBouncer in the same place, for comparison"""
    only_local("PgBouncer beside it")
    from stats import PgBouncer
    t.cluster.for_us_alone("it is restarted")
    bouncer = PgBouncer(t, "transaction", "server_login_retry = 1\n")
    d = t.daemon(size=2, retry_delay="200ms", wait_timeout="30s", options={"log_level": "info"})
    counts = {}
    for what, connect in (("pgbouncer", bouncer.connect), ("pgwithd", d.connect)):
        load = Load(connect, 0.002, ("simple", "extended", "transaction"))
        try:
            wait_until(lambda: sum(load.done) > 200, 20, "it works")
            t.cluster.restart("fast")
            before = sum(load.done)
            wait_until(lambda: sum(load.done) > before + 200, 40, "it works again")
        finally:
            load.end()
        counts[what] = len(load.failed)
    note("errors: %s" % counts)
    check(counts["pgwithd"] <= 2, "errors: %s" % counts)


# ---- down -------------------------------------------------------------------------------------------
def cut(d, proxy):
    """All servers are lost, and none can be had."""
    proxy.refuse = True

    def lost():
        # Again and again: one that the proxy let in just before may be open only now.
        proxy.cut()
        return not d.servers()
    wait_until(lost, 5, "no server is there")


@test
def waits(t):
    """while it is down clients wait up to wait_timeout; the console tells since when; the log once"""
    proxy = t.proxy()
    d = t.daemon(size=2, conninfo=t.conninfo(host=proxy.directory, port=proxy.port), retry_delay="400ms",
                 wait_timeout="1500ms", max_waiting=2, options={"log_level": "info"})
    a, b, more = t.client(d), t.client(d), t.client(d)
    a.sql("SELECT 1")
    equal(d.pool()["down_since"], None, "not down")
    cut(d, proxy)
    for c, data in ((a, query("SELECT 1")), (b, extended("SELECT 1") + sync())):
        c.send(data)
    wait_until(lambda: d.waiting() == 2, 5, "they wait")
    wait_until(lambda: d.pool()["down_since"], 5, "it is down")
    equal(more.ask("SELECT 1").errors[0].sqlstate, "53300", "the queue has an end")
    began = time.monotonic()
    for c in (a, b):
        r = c.until_ready()
        e = r.errors[0]
        equal((e.sqlstate, r.status), ("08001", "I"), "the error")
        check("cannot connect" in e.message and "waited for" in e.detail and "wait_timeout" in e.detail,
              "the reason: %s" % e)
    check(time.monotonic() - began > 0.5, "they have waited")
    # A login needs no server. From here on nobody's wait is to end, as the attempts come at longer and longer intervals.
    t.client(d)
    d.console("SET wait_timeout = '1min' FOR POOL db")
    for c in (a, b):
        c.send(query("SELECT 2"))
    wait_until(lambda: d.waiting() == 2, 5, "they wait again")
    seen = proxy.refused
    wait_until(lambda: proxy.refused > seen + 1, 5, "it is tried")
    proxy.refuse = False
    for c in (a, b):
        equal(c.until_ready().rows, [("2",)], "served")
    equal((d.pool()["down_since"], d.pool()["last_error"]), (None, None), "up")
    equal([len(re.findall(x, d.log_text())) for x in (DOWN, "pool db: can connect again")], [1, 1], "logged once")
    # That it is back is seen without anybody's waiting.
    cut(d, proxy)
    a.send(query("SELECT 3"))
    wait_until(lambda: d.pool()["down_since"], 5, "it is down")
    a.close()
    proxy.refuse = False
    wait_until(lambda: not d.pool()["down_since"], 5, "up again")


@test
def one_at_a_time(t):
    """while it is down there is one attempt at a time, however many wait, at longer and longer intervals"""
    proxy = t.proxy()
    d = t.daemon(size=20, max_opening=10, conninfo=t.conninfo(host=proxy.directory, port=proxy.port), retry_delay="400ms",
                 wait_timeout="10s")
    clients = [t.client(d) for _ in range(20)]
    clients[0].sql("SELECT 1")
    cut(d, proxy)
    for c in clients:
        c.send(query("SELECT 1"))
    wait_until(lambda: d.waiting() == 20 and d.pool()["down_since"] and d.pool()["sv_login"] == 0, 5, "they wait")
    before, began = proxy.refused, time.monotonic()
    wait_until(lambda: proxy.refused >= before + 5, 10, "it is tried")
    took, tries = time.monotonic() - began, proxy.refused - before
    # After 0.1, 0.2, 0.4, 0.4, ... s, the first of which may be over.
    check(tries == 5 and took >= 1.1, "%d attempts in %.1f s" % (tries, took))
    proxy.refuse = False
    for c in clients:
        equal(c.until_ready().errors, [], "served")


@test
def at_once(t):
    """wait_while_down = off: the error at once, but the first attempt that fails is repeated before anybody is told"""
    proxy = t.proxy()
    d = t.daemon(size=2, conninfo=t.conninfo(host=proxy.directory, port=proxy.port), retry_delay="300ms",
                 wait_timeout="10s", wait_while_down="off")
    c = t.client(d)
    c.sql("SELECT 1")
    for _ in range(3):
        cut(d, proxy)
        before = proxy.refused
        c.send(query("SELECT 1"))
        wait_until(lambda: proxy.refused > before, 5, "an attempt has failed")
        proxy.refuse = False
        equal(c.until_ready().errors, [], "one is no reason")
        d.quiet()
    cut(d, proxy)
    took, r = seconds(c.ask, "SELECT 1")
    equal([e.sqlstate for e in r.errors], ["08001"], "told")
    check(took < 2 * slow_factor(), "soon: %.2f s" % took)
    d.console("SET wait_while_down = on FOR POOL db")
    c.send(query("SELECT 5"))
    wait_until(lambda: d.waiting() == 1, 5, "now it waits")
    proxy.refuse = False
    equal(c.until_ready().rows, [("5",)], "served")


@test
def refusals(t):
    """what PostgreSQL itself answers to a login is told at once, whatever wait_while_down says, in its own words"""
    t.cluster.for_us_alone("roles are changed")
    t.cluster.role("keeper")
    d = t.daemon(size=1, conninfo=t.conninfo(user="keeper"), retry_delay="10s", wait_timeout="30s")
    c = t.client(d)
    c.sql("SELECT 1")
    t.cluster.sql("ALTER ROLE keeper NOLOGIN")
    try:
        terminate_all(t)
        wait_until(lambda: not d.servers(), 5, "it is gone")
        for _ in range(2):
            took, r = seconds(c.ask, "SELECT 1")
            check(took < 2 * slow_factor(), "at once: %.2f s" % took)
            check("keeper" in r.errors[0].message and "28000" not in r.errors[0].message and
                  "not permitted to log in" in r.errors[0].message, "the reason: %s" % r.errors[0])
    finally:
        t.cluster.sql("ALTER ROLE keeper LOGIN")
    d.reload(pools={"db": {"conninfo": t.conninfo(user="keeper"), "size": 1, "retry_delay": "50ms"}})
    wait_until(lambda: not c.ask("SELECT 1").errors, 15, "it may again")


@test
def never_there(t):
    """a server that has not been reached yet is an error at once: it is more likely a mistake"""
    proxy = t.proxy()
    proxy.refuse = True
    d = t.daemon(size=1, conninfo=t.conninfo(host=proxy.directory, port=proxy.port), retry_delay="100ms",
                 wait_timeout="30s")
    took, e = seconds(error_of, d.connect)
    check(took < 2 * slow_factor() and e.sqlstate == "08001", "%.2f s, %s" % (took, e))
    # And so is another place.
    proxy.refuse = False
    c = wait_until(lambda: _connected(d), 5, "let in")
    c.sql("SELECT 1")
    d.reload(pools={"db": {"conninfo": t.conninfo(host="/nowhere"), "size": 1, "retry_delay": "100ms"}})
    took, r = seconds(c.ask, "SELECT 1")
    check(took < 2 * slow_factor() and r.errors[0].sqlstate == "08001", "%.2f s, %s" % (took, r.errors))
    c.close()


def _connected(d):
    try:
        return d.connect()
    except ServerError:
        return None


if __name__ == "__main__":
    main()
