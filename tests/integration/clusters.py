"""Limits that cross pools: server_limit of a cluster; max_clients, max_servers and priority of roles and uids."""

import os
import random
import threading
import time

from pgwtest import check, child, equal, main, test, wait_until, wire
from pgwtest.daemon import SANITIZE_ENV, program
from pgwtest.looks import error_of


def limited(t, limit, names="abc", sections=None, start=None, each=None, **options):
    """A daemon with pools of these names in the cluster main; `each`: name to options of its own."""
    t.cluster.role("app")
    pools = {n: dict({"conninfo": t.conninfo(user="app"), "cluster": "main", "size": 8}, **dict(options, **(each or {}).get(n, {})))
             for n in names}
    d = (start or t.daemon)(pools=pools, sections=dict({"cluster main": {"server_limit": limit}}, **(sections or {})))
    # Before its first server has logged in, a pool lets nobody in: that is not what is tested here.
    for n in names:
        with d.connect(n) as c:
            c.sql("SELECT 1")
    return d


def cluster(d):
    return {k: int(v) if v is not None and v.lstrip("-").isdigit() else v for k, v in d.show("CLUSTERS")[0].items()}


def limits(d):
    return {(x["kind"], x["name"]): x for x in d.show("LIMITS")}


def begun(t, d, *where, **params):
    """Clients of these pools, each with a server."""
    clients = [t.client(d, pool, **params) for pool in where]
    for c in clients:
        c.sql("BEGIN")
    return clients


def waits(t, d, pool, sql="SELECT 1", **params):
    c = t.client(d, pool, **params)
    before = d.waiting(pool)
    c.send(wire.query(sql))
    wait_until(lambda: d.waiting(pool) == before + 1, 5, "a client waits for " + pool)
    return c


def many(t, d, names, clients, requests, seed):
    """Clients that use all pools; returns what went wrong."""
    wrong = []

    def work(number):
        rng = random.Random(seed + number)
        mine = {n: d.connect(n) for n in names}
        try:
            for _ in range(requests):
                c = mine[rng.choice(names)]
                r = c.ask("SELECT pg_sleep(%g)" % rng.choice([0, 0, 0.001, 0.01]))
                wrong.extend(str(e) for e in r.errors)
        except Exception as e:  # noqa: BLE001
            wrong.append(repr(e))
        finally:
            for c in mine.values():
                c.close()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return wrong


@test
def postgresql_is_never_asked_for_more(t):
    """three pools of 8 and a role that PostgreSQL lets have 4: no login is refused, nobody fails, over 2,000 requests"""
    d = limited(t, 4, wait_timeout="60s")
    # PostgreSQL itself counts: one connection too many is refused with 53300.
    t.sql("ALTER ROLE app CONNECTION LIMIT 4")
    try:
        # All of them are in one pool at first.
        for c in begun(t, d, "a", "a", "a", "a"):
            c.sql("COMMIT")
        equal(many(t, d, "abc", 20, 100, t.random.randrange(1 << 30)), [], "what went wrong")
        check(not d.log_has("cannot connect"), "PostgreSQL has refused a login")
        row = cluster(d)
        check(row["servers"] <= 4 and row["waiting"] == 0, "the cluster at rest: %r" % row)
        check(row["moved"] > 0, "servers went from pool to pool: %r" % row)
        opened = sum(d.pool(n)["opened"] for n in "abc")
        check(opened < 1500, "%d logins for 2,000 requests" % opened)
    finally:
        t.sql("ALTER ROLE app CONNECTION LIMIT -1")


@test
def idle_servers_make_room(t):
    """a full cluster whose servers idle: the one that idles longest is closed, down to min_size"""
    d = limited(t, 3, each={"c": {"min_size": 1}})
    wait_until(lambda: d.pool("c")["sv_idle"] == 1, 10, "min_size")
    for c in begun(t, d, "a", "b"):
        c.sql("COMMIT")
    equal([d.pool(n)["sv_idle"] for n in "abc"], [1, 1, 1], "idle servers")
    keep = begun(t, d, "a")[0]
    equal(t.client(d, "a").value("SELECT 1"), "1", "a second one for a")
    equal([d.pool(n)["sv_active"] + d.pool(n)["sv_idle"] for n in "abc"], [2, 0, 1], "servers")
    keep.sql("COMMIT")
    row = cluster(d)
    equal((row["servers"], row["server_limit"], row["moved"], row["pools"]), (3, 3, 1, 3), "SHOW CLUSTERS")
    equal({p["cluster"] for p in d.show("POOLS")}, {"main"}, "SHOW POOLS")


@test
def whoever_waits_longest(t):
    """a full cluster at work: the next server that comes back goes to the longest wait of all pools"""
    d = limited(t, 2, wait_timeout="60s")
    held = begun(t, d, "a", "a")
    first = waits(t, d, "b", application_name="first")
    second = waits(t, d, "c")
    row = [x for x in d.show("WAITS") if x["application_name"] == "first"]
    equal(len(row), 2, "both holders hold it up: %r" % row)
    equal({x["reason"] for x in row}, {'cluster "main" has 2 of 2 servers (server_limit)'}, "the reason")
    health = {x["pool"]: x["verdict"] for x in d.show("HEALTH")}
    check('cluster "main" has 2 of 2 servers (server_limit)' in health["b"], "the verdict: %r" % health)
    status, out, err = child.run([program("pgwith"), "-p", str(d.port), "-U", "postgres", "waits"],
                                 env=dict(SANITIZE_ENV, PGWITH_SOCKET=d.sockets))
    equal((status, err), (0, ""), "pgwith waits")
    check('for server of b, as cluster "main" has 2 of 2 servers (server_limit), held for' in out, "the tree: " + out)
    check("holds a server for" in out, "the tree: " + out)
    held[0].sql("COMMIT")
    equal(first.until_ready().value, "1", "the first")
    first.close()
    held[1].sql("COMMIT")
    equal(second.until_ready().value, "1", "the second")


@test
def wait_runs_out(t):
    """wait_timeout in a full cluster: 53300, and the hint names the cluster's limit"""
    d = limited(t, 1, wait_timeout="200ms")
    begun(t, d, "a")
    e = t.client(d, "b").ask("SELECT 1").errors[0]
    equal(e.sqlstate, "53300", "the error")
    check('cluster "main" has 1 of 1 servers (server_limit)' in e.hint, "the hint: %r" % e.hint)


@test
def deadlock_by_way_of_the_cluster(t):
    """two sessions that each hold a server and want one of the other pool: 40P01, and the reason in words"""
    d = limited(t, 2, wait_timeout="60s")
    one, two = t.client(d, "a"), t.client(d, "b")
    one.sql("ENTER x ON a")
    two.sql("ENTER y ON b")
    one.send(wire.query("ENTER z ON b"))
    wait_until(lambda: d.waiting("b") == 1, 5, "one waits")
    e = error_of(two.sql, "ENTER w ON a")
    equal(e.sqlstate, "40P01", "the error")
    check('waits for pool "a" in cluster "main", of which session' in e.detail, "the detail: %r" % e.detail)
    two.sql("LEAVE ALL")
    one.until_ready()
    one.sql("LEAVE ALL")
    # A session alone, too, and none is invented where a server idles.
    one.sql("ENTER x ON a; ENTER y ON b")
    equal(error_of(one.sql, "ENTER z ON c").sqlstate, "40P01", "alone")
    one.sql("LEAVE ALL")
    d.quiet("a")


@test
def roles_and_uids(t):
    """max_clients refuses, max_servers lets wait, and who waits for it keeps nobody waiting"""
    uid = str(os.getuid())
    d = limited(t, 8, "a", size=3, wait_timeout="60s",
                sections={"role batch": {"max_clients": 3, "max_servers": 1}, "uid " + uid: {"max_clients": 6}})
    held = begun(t, d, "a", user="batch")[0]
    second = waits(t, d, "a", user="batch")
    row = [x for x in d.show("WAITS")]
    equal([x["reason"] for x in row], ['role "batch" has 1 of 1 servers (max_servers)'], "the reason")
    equal(d.pool("a")["cl_limited"], 1, "cl_limited")
    equal(t.client(d, "a").value("SELECT 1"), "1", "another role passes")
    third = t.client(d, "a", user="batch")
    e = error_of(d.connect, "a", user="batch")
    equal((e.sqlstate, e.message), ("53300", 'too many clients of role "batch": max_clients is 3'), "of a role")
    check("[role NAME]" in e.hint, "the hint: %r" % e.hint)
    t.client(d, "a"), t.client(d, "a")
    e = error_of(d.connect, "a")
    equal((e.sqlstate, e.message), ("53300", "too many clients of uid %s: max_clients is 6" % uid), "of a uid")
    got = limits(d)
    equal((got["role", "batch"]["clients"], got["role", "batch"]["servers"], got["role", "batch"]["kept_waiting"]),
          ("3", "1", "1"), "SHOW LIMITS")
    equal(got["uid", uid]["clients"], "6", "SHOW LIMITS")
    held.sql("COMMIT")
    equal(second.until_ready().value, "1", "the second of the role")
    third.close()
    wait_until(lambda: limits(d)["role", "batch"]["clients"] == "2", 5, "it has gone")
    equal(t.client(d, "a", user="batch").value("SELECT 1"), "1", "there is room again")


@test
def its_own_role_is_in_the_way(t):
    """a session that holds all servers its role may have and wants one more: 40P01"""
    d = limited(t, 8, "ab", sections={"role *": {"max_servers": 1}})
    c = t.client(d, "a")
    e = error_of(c.sql, "ENTER x ON a; ENTER y ON b")
    equal(e.sqlstate, "40P01", "the error")
    check('a server of role "postgres", of which session' in e.detail, "the detail: %r" % e.detail)


@test
def priority(t):
    """priority: its sessions are first, in the order in which they came; others that wait for longer than that go before"""
    d = limited(t, 1, "a", wait_timeout="60s", sections={"role boss": {"priority": 100}})
    held = begun(t, d, "a")[0]
    low = [waits(t, d, "a", "SELECT clock_timestamp()") for _ in range(2)]
    high = [waits(t, d, "a", "SELECT clock_timestamp()", user="boss") for _ in range(2)]
    held.sql("COMMIT")
    at = [c.until_ready().value for c in high + low]
    equal(at, sorted(at), "the order")


@test
def reload_and_set(t):
    """a smaller limit: nobody at work loses its server, and the cluster converges; SET; a larger one serves who waits"""
    d = limited(t, 4, wait_timeout="60s")
    held = begun(t, d, "a", "a", "b", "c")
    d.console("SET server_limit = 2 FOR CLUSTER main")
    equal([c.value("SELECT 1") for c in held], ["1"] * 4, "all go on")
    for c in held:
        c.sql("COMMIT")
    wait_until(lambda: cluster(d)["servers"] <= 2, 5, "it converges")
    held = begun(t, d, "a", "b")
    waiting = waits(t, d, "c")
    d.reload(sections={"cluster main": {"server_limit": 3}})
    equal(waiting.until_ready().value, "1", "who waited")
    e = error_of(d.console, "SET server_limit = 2 FOR CLUSTER mian")
    check("mian" in e.message and 'did you mean "main"' in (e.hint or ""), "a wrong name: %r %r" % (e.message, e.hint))
    e = error_of(d.console, "SET max_servers = 2 FOR ROLE nobody")
    check("nobody" in e.message, "no section: %r" % e.message)
    config = {(x["section"], x["key"]): x["value"] for x in d.show("CONFIG")}
    equal((config["cluster main", "server_limit"], config["pool a", "cluster"]), ("3", "main"), "SHOW CONFIG")
    # Out of the cluster, and roles with limits that come and go while their sessions wait.
    d.reload(sections={"cluster main": {"server_limit": 3}, "role postgres": {"max_servers": 2}})
    c = waits(t, d, "a")
    d.reload(sections={"cluster main": {"server_limit": 3}})
    equal(c.until_ready().value, "1", "without the limit")
    for h in held:
        h.sql("COMMIT")


@test
def pools_come_and_go(t):
    """a reload removes a pool of a full cluster: what its min_size kept is the others', and the limit is the new one"""
    d = limited(t, 3, "ab", wait_timeout="60s", each={"b": {"min_size": 2}})
    inside = t.client(d, "b")
    held = begun(t, d, "a")
    c = waits(t, d, "a")
    pool = {"conninfo": t.conninfo(user="app"), "size": 8, "cluster": "main", "wait_timeout": "60s"}
    d.reload(pools={"a": pool}, sections={"cluster main": {"server_limit": 2}})
    equal(c.until_ready().value, "1", "who waited in a")
    equal(cluster(d)["server_limit"], 2, "the new limit")
    equal(inside.value("SELECT 1"), "1", "who is in b goes on")
    inside.close()
    wait_until(lambda: len(d.show("DATABASES")) == 1, 10, "b is gone")
    held += begun(t, d, "a")
    waits(t, d, "a")
    equal((cluster(d)["servers"], cluster(d)["kept"]), (2, 0), "servers")
    # Out of the cluster: no limit but its size.
    d.reload(pools={"a": dict(pool, cluster="")}, sections={})
    held += begun(t, d, "a", "a")
    equal(d.show("CLUSTERS"), [], "no cluster has a pool")


@test
def a_new_connection_in_a_full_cluster(t):
    """a session whose parameters no server takes gets a new connection, in a full cluster where all idle ones are kept"""
    d = limited(t, 2, "ab", each={"a": {"min_size": 1}, "b": {"min_size": 1}})
    wait_until(lambda: d.pool("a")["sv_idle"] == d.pool("b")["sv_idle"] == 1, 10, "min_size")
    e = error_of(t.client, d, "a", role="nobody_at_all")
    equal(e.sqlstate, "22023", "PostgreSQL's own answer")
    equal(t.client(d, "a").value("SELECT 1"), "1", "others")


@test
def circle_made_by_a_reload(t):
    """a limit that a reload makes smaller closes a circle: one of its sessions gets 40P01"""
    d = limited(t, 4, wait_timeout="60s", size=2)
    one, two = t.client(d, "a"), t.client(d, "b")
    one.sql("ENTER LOCK 'l'")
    two.sql("ENTER y ON b; ENTER z ON c")
    two.send(wire.query("ENTER LOCK 'l'"))
    wait_until(lambda: any(x["kind"] == "lock" for x in d.show("WAITS")), 5, "two waits for the lock")
    third = begun(t, d, "a", "a")
    one.send(wire.query("ENTER x ON a"))
    wait_until(lambda: d.waiting("a") == 1, 5, "one waits")
    d.console("SET server_limit = 2 FOR CLUSTER main")
    for c in third:
        c.sql("COMMIT")
    e = one.until_ready().errors[0]
    equal(e.sqlstate, "40P01", "the error")
    one.sql("LEAVE ALL")
    two.until_ready()


@test
def paused_pool(t):
    """PAUSE gives a pool's servers to the others; RESUME takes none away, and serves who waits"""
    d = limited(t, 1, wait_timeout="60s")
    begun(t, d, "a")[0].sql("COMMIT")
    d.console("PAUSE a")
    held = begun(t, d, "b")[0]
    c = waits(t, d, "a")
    d.console("RESUME a")
    equal(held.value("SELECT 1"), "1", "b goes on")
    equal(d.waiting("a"), 1, "a waits on")
    held.sql("COMMIT")
    equal(c.until_ready().value, "1", "a is served")


@test
def restart(t):
    """a restart that drops nobody: the next process counts the same servers and clients, and who waits waits on"""
    d = limited(t, 2, "ab", start=t.supervised, wait_timeout="60s", sections={"role batch": {"max_clients": 2, "max_servers": 1}})
    held = begun(t, d, "a", user="batch") + begun(t, d, "a")
    blocked = waits(t, d, "a", user="batch")
    behind = waits(t, d, "b")
    for _ in range(2):
        d.restart()
        row = cluster(d)
        equal((row["servers"], row["leased"], row["waiting"]), (2, 2, 2), "SHOW CLUSTERS")
        row = limits(d)["role", "batch"]
        equal((row["clients"], row["servers"], row["kept_waiting"]), ("2", "1", "1"), "SHOW LIMITS")
    equal(error_of(d.connect, "a", user="batch").sqlstate, "53300", "max_clients")
    held[1].sql("COMMIT")
    equal(behind.until_ready().value, "1", "b")
    held[0].sql("COMMIT")
    equal(blocked.until_ready().value, "1", "the role")
    check(not d.log_has("cannot connect"), "PostgreSQL has refused a login")


# What a client's own statements may be answered with, in a random order.
USUAL = ("25P01", "25P02", "25001", "2D000", "40P01", "42710", "55000")


@test
def everything_at_once(t):
    """150 kills in a full cluster with roles that have limits, while the limit changes, connections are replaced and
    pgwithd restarts: PostgreSQL is never asked for one connection too many, and all counts are right in the end"""
    d = limited(t, 5, start=t.supervised, wait_timeout="30s", each={"a": {"min_size": 1}},
                sections={"role batch": {"max_servers": 2}, "role web": {"priority": 3}})
    t.sql("ALTER ROLE app CONNECTION LIMIT 5")
    wrong = t.path("wrong")

    def script(side, seed):
        rng = random.Random(seed)
        while True:
            with d.connect(rng.choice("abc"), user=rng.choice(["batch", "web", "postgres"])) as c:
                for _ in range(rng.randrange(20)):
                    r = c.ask(rng.choice(["SELECT 1", "BEGIN", "COMMIT", "SELECT pg_sleep(0.01)", "ENTER x ON a", "LEAVE ALL",
                                          "SET work_mem = '1MB'"]))
                    bad = [str(e) for e in r.errors if e.sqlstate not in USUAL]
                    if bad:
                        with open(wrong, "a") as f:
                            f.write("%s\n" % bad)

    try:
        processes = [t.process(script, t.random.randrange(2 ** 32)) for _ in range(14)]
        for n in range(1, 151):
            p = processes.pop(t.random.randrange(len(processes)))
            time.sleep(t.random.random() / 20)  # somewhere in the middle of something
            p.kill()
            processes.append(t.process(script, t.random.randrange(2 ** 32)))
            if n % 49 == 0:
                d.restart()
            if n % 20 == 0:
                d.console("SET server_limit = %d FOR CLUSTER main" % t.random.choice([3, 4, 5]))
            if n % 31 == 0:
                d.console("RECONNECT")
        for p in processes:
            p.kill()
        for n in "abc":
            d.quiet(n, within=20)
        wait_until(lambda: cluster(d)["leaving"] == 0, 10, "all that were closed have gone")
        row = cluster(d)
        equal((row["servers"], row["waiting"]), (sum(len(d.servers(n)) for n in "abc"), 0), "SHOW CLUSTERS")
        check(row["servers"] <= row["server_limit"], "the limit: %r" % row)
        equal(d.show("LIMITS"), [], "nobody is in")
        check(not d.log_has("cannot connect"), "PostgreSQL has refused a login")
        check(not os.path.exists(wrong), "what clients were told: " + (open(wrong).read() if os.path.exists(wrong) else ""))
    finally:
        t.sql("ALTER ROLE app CONNECTION LIMIT -1")


main(cluster={"connections": 40})
