"""A pool daemon that is administered while it works: under pgbench with 50 clients, pools are resized, moved, removed,
brought back and changed in random order, and no client gets an error. PGWITH_RELOADS (25) is how many times; what was
done is printed if it goes wrong, and the seed is that of the test."""

import os
import signal

from pgwtest import check, child, equal, main, note, slow_factor, test, wait_until, wire
from pgwtest.looks import error_of

RELOADS = int(os.environ.get("PGWITH_RELOADS", "25"))
CLIENTS = 50
SCALE = 2
# name -> clients and options of its pgbench. Their places share one cluster.
BENCHES = {
    "simple": (14, ["-M", "simple"]),
    "extended": (14, ["-M", "extended"]),
    "prepared": (14, ["-M", "prepared"]),
    "short": (CLIENTS - 42, ["-M", "simple", "-S", "-C"]),  # a session for each transaction
}
OPTIONS = {
    "lazy_begin": ("on", "off"), "idle_timeout": ("200ms", "10min"), "check_interval": ("100ms", "30s"),
    "max_lifetime": ("500ms", "1h"), "max_prepared_statements": ("1", "5", "200"), "min_size": ("0", "1"),
    "max_opening": ("1", "4"), "retry_delay": ("0", "1s"), "scope_deadline": ("0", "1h"), "pin": ("on", "off"),
}
BALANCES = ("SELECT (SELECT coalesce(sum(abalance), 0) FROM pgbench_accounts), (SELECT coalesce(sum(tbalance), 0) FROM"
            " pgbench_tellers), (SELECT coalesce(sum(bbalance), 0) FROM pgbench_branches), (SELECT coalesce(sum(delta), 0)"
            " FROM pgbench_history)")


class World:
    """What the file says, and the programs that work."""

    def __init__(self, t):
        self.t, self.rng = t, t.random
        self.databases = [t.database, t.database + "_b"]
        child.run_ok([t.cluster.program("pgbench"), "-i", "-q", "-s", str(SCALE), "-h", t.cluster.sockets, "-p",
                      str(t.cluster.port), "-U", "postgres", t.database], timeout=120)
        t.cluster.forget()
        t.cluster.sql("CREATE DATABASE %s TEMPLATE %s" % (self.databases[1], self.databases[0]))
        self.pools = {name: {"conninfo": t.conninfo(), "size": 5} for name in BENCHES}
        self.removed = {}
        self.extra = 0
        self.done = []
        self.d = t.daemon({"log_level": "info", "lazy_begin": "on", "wait_timeout": "60s"}, dict(self.pools))
        self.benches = {}

    def start(self):
        for name, (clients, args) in BENCHES.items():
            log = self.t.path(name + ".log")
            p = child.start([self.t.cluster.program("pgbench"), "-n", "-T", "36000", "-c", str(clients)] + args
                            + [self.d.dsn(name)], log)
            self.benches[name] = (p, log)
            self.t.defer(self.stop_bench, p)

    @staticmethod
    def stop_bench(p):
        if p.poll() is None:
            p.kill()
        p.wait()

    def check_benches(self):
        for name, (p, log) in self.benches.items():
            with open(log) as f:
                said = f.read()
            check(p.poll() is None and "error" not in said.lower(),
                  "pgbench %s goes on without error: %s\n%s" % (name, said[-1500:], "\n".join(self.done[-20:])))

    def reload(self):
        self.d.rewrite(pools=self.pools)
        if self.rng.random() < 0.3:
            seen = self.d.log_text().count("pgwithd: reloaded ")
            self.d.signal(signal.SIGHUP)
            wait_until(lambda: self.d.log_text().count("pgwithd: reloaded ") > seen, 20, "SIGHUP is obeyed")
        else:
            self.d.console("RELOAD")

    def transactions(self):
        """name -> how many there were, of the pools that people may come to."""
        return {r["database"]: int(r["total_query_count"]) for r in self.d.show("STATS")}

    def goes_on(self):
        """Every pool that has clients serves them."""
        before = self.transactions()
        wait_until(lambda: all(self.transactions().get(name, 0) > before.get(name, 0) for name in BENCHES), 60,
                   "every pool serves: %s" % "\n".join(self.done[-20:]))

    def some_pool(self):
        return self.rng.choice([name for name in self.pools if name in BENCHES])

    # -- what an administrator does; each returns what it did, or None if it cannot be done now ------------------
    def resize(self):
        name, size = self.some_pool(), self.rng.choice((1, 2, 3, 5, 8, 20))
        self.pools[name]["size"] = max(size, int(self.pools[name].get("min_size", 0)))
        self.reload()
        return "resize %s to %s" % (name, self.pools[name]["size"])

    def move(self):
        name = self.some_pool()
        database = self.rng.choice(self.databases)
        self.pools[name]["conninfo"] = self.rng.choice((
            self.t.conninfo(dbname=database), self.t.conninfo(dbname=database, application_name="moved"),
            "postgresql://postgres@/%s?host=%s&port=%s" % (database, self.t.cluster.sockets, self.t.cluster.port)))
        self.reload()
        return "move %s to %s" % (name, self.pools[name]["conninfo"])

    def change(self):
        name, option = self.some_pool(), self.rng.choice(sorted(OPTIONS))
        self.pools[name][option] = self.rng.choice(OPTIONS[option])
        self.reload()
        return "%s of %s is %s" % (option, name, self.pools[name][option])

    def set_option(self):
        name, size = self.some_pool(), self.rng.choice((2, 4, 9))
        self.d.console("SET size = %d FOR POOL %s" % (size, name))
        return "SET size of %s to %d" % (name, size)

    def remove(self):
        """A pool whose sessions stay, as they do not come again."""
        stay = [name for name in ("simple", "extended", "prepared") if name in self.pools]
        if len(stay) < 2:
            return None
        name = self.rng.choice(stay)
        self.removed[name] = self.pools.pop(name)
        self.reload()
        equal(error_of(self.d.connect, name).sqlstate, "3D000", "a new session of what was removed")
        return "remove " + name

    def bring_back(self):
        if not self.removed:
            return None
        name, options = self.removed.popitem()
        self.pools[name] = options
        self.reload()
        with self.d.connect(name) as c:
            equal(c.value("SELECT 1"), "1", "it is back")
        return "bring %s back" % name

    def add(self):
        self.extra += 1
        name = "extra%d" % self.extra
        self.pools[name] = {"conninfo": self.t.conninfo(dbname=self.rng.choice(self.databases)), "size": 2,
                            "min_size": self.rng.choice((0, 1))}
        self.reload()
        with self.d.connect(name) as c:
            equal(c.value("SELECT count(*) FROM pgbench_branches"), str(SCALE), "a new pool")
        return "add " + name

    def drop(self):
        """A pool that nobody uses."""
        extras = [name for name in self.pools if name not in BENCHES]
        if not extras:
            return None
        del self.pools[extras[0]]
        self.reload()
        return "drop " + extras[0]

    def break_file(self):
        self.d.rewrite(pools=dict(self.pools, bad={"size": "many"}))
        equal(error_of(self.d.console, "RELOAD").sqlstate, "F0000", "a bad file")
        return "a bad file"

    def pause(self):
        name = self.some_pool()
        self.d.console("PAUSE " + name)
        equal(self.d.servers(name), [], "servers of a pool that is paused")
        self.d.console("RESUME " + name)
        return "PAUSE and RESUME " + name

    def reload_paused(self):
        """What a reload opens for a pool that is paused waits."""
        name = self.some_pool()
        self.d.console("PAUSE " + name)
        what = self.rng.choice((self.resize, self.move, self.change))()
        equal(self.d.servers(name), [], "servers of a pool that is paused and changed")
        self.d.console("RESUME " + name)
        return "PAUSE %s, %s, RESUME" % (name, what)

    def reconnect(self):
        name = self.some_pool()
        before = {s["remote_pid"] for s in self.d.servers(name) if s["state"] != "connecting"}
        self.d.console("RECONNECT " + name)
        self.d.console("WAIT_CLOSE " + name)
        after = {s["remote_pid"] for s in self.d.servers(name) if s["state"] != "connecting"}
        equal(before & after, set(), "servers of before RECONNECT")
        return "RECONNECT " + name

    def drain(self):
        """Of a pool without pgbench: its sessions are told to go, which is what was asked for."""
        extras = [name for name in self.pools if name not in BENCHES]
        if not extras:
            return None
        with self.d.connect(extras[0]) as c:
            self.d.console("DRAIN " + extras[0])
            equal([e.sqlstate for e in c.until_closed().errors], ["57P01"], "a session of a pool that is drained")
        equal(error_of(self.d.connect, extras[0]).sqlstate, "57P03", "a new one")
        self.reload()
        self.d.console("ENABLE " + extras[0])
        with self.d.connect(extras[0]) as c:
            equal(c.value("SELECT 1"), "1", "enabled again")
        return "DRAIN and ENABLE " + extras[0]

    ACTIONS = (resize, resize, move, move, move, change, change, set_option, remove, bring_back, bring_back, add, drop,
               break_file, pause, reload_paused, reconnect, drain)


@test(timeout=60 + 2 * RELOADS)
def under_load(t):
    """1,000 reloads (or PGWITH_RELOADS) under pgbench with 50 clients: no client error, and no money is lost"""
    w = World(t)
    w.start()
    wait_until(lambda: all(w.transactions().get(name, 0) > 20 for name in BENCHES), 30, "all of them work")
    w.pools["prepared"]["conninfo"] = t.conninfo(dbname=w.databases[1])
    w.reload()
    w.goes_on()
    memory = None
    count = 0
    while count < RELOADS:
        what = w.rng.choice(w.ACTIONS)(w)
        if what is None:
            continue
        count += 1
        w.done.append("%d: %s" % (count, what))
        w.check_benches()
        if count % 10 == 0:
            w.goes_on()
        if count == RELOADS // 2:
            memory = w.d.memory()
    # All of it as in the beginning.
    w.pools = {name: {"conninfo": t.conninfo(), "size": 5} for name in BENCHES}
    w.reload()
    w.goes_on()
    w.check_benches()
    note("%d queries through %d changes" % (sum(w.transactions().values()), count))
    if RELOADS >= 200:
        note("memory: %.1f MB in the middle, %.1f MB at the end" % (memory / 1e6, w.d.memory() / 1e6))
    for p, _ in w.benches.values():
        p.terminate()  # SIGINT is ignored in the background of a shell
        p.wait()
    for name in BENCHES:
        servers = w.d.quiet(name, 20)
        check(len(servers) <= 5, "servers of %s: %d" % (name, len(servers)))
    wait_until(lambda: {r["database"] for r in w.d.show("POOLS")} - {"pgwith"} == set(BENCHES), 10, "the pools there are")
    wait_until(lambda: not t.cluster.activity(w.databases[1]), 10, "nobody is left at the other place")
    for database in w.databases:
        sums = t.cluster.sql(BALANCES, database)[0]
        equal(len(set(sums)), 1, "the balances of %s: %s" % (database, sums))
        check(int(t.cluster.value("SELECT count(*) FROM pgbench_history", database)) > 0, "work at " + database)


if __name__ == "__main__":
    main(cluster={"connections": 200})
