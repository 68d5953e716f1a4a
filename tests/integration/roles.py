"""role = client: servers log in as the role of their client; the roles of a pool share its size."""

import json
import os
import time

from pgwtest import check, child, equal, main, note, slow_factor, test, wait_until, wire
from pgwtest.daemon import program
from pgwtest.wire import ServerError, query


def pool(t, **options):
    for role in ("alice", "bob", "carol"):
        t.cluster.role(role)
    return t.daemon(role="client", **options)


@test
def own_role(t):
    """each client is its own role on the server, and its login parameters are those of its role"""
    d = pool(t, size=4)
    for role in ("alice", "bob", "postgres"):
        with d.connect(user=role) as c:
            equal(c.value("SELECT session_user || ' ' || current_user"), "%s %s" % (role, role), role)
            equal(c.parameters["session_authorization"], role, "what the client was told")
            equal(c.parameters["is_superuser"], "on" if role == "postgres" else "off", role)


@test
def bounded_together(t):
    """size bounds all roles together: an idle server of one role makes room for another"""
    d = pool(t, size=2)
    clients = {role: t.client(d, user=role) for role in ("alice", "bob", "carol")}
    for _ in range(3):
        for role, c in clients.items():
            equal(c.value("SELECT session_user"), role, role)
            check(len([r for r in d.servers() if r["state"] != "closed"]) <= 2, "two servers at most")
    # A connection that was closed is listed until its backend has ended.
    wait_until(lambda: len(t.activity()) <= 2, 10, "no more in PostgreSQL than in the pool")


@test
def one_order(t):
    """a client of another role that waits gets the place of the role that held all servers"""
    d = pool(t, size=1)
    a = t.client(d, user="alice")
    b = t.client(d, user="bob")
    equal(b.value("SELECT session_user"), "bob", "bob, first")
    a.sql("BEGIN")
    b.send(wire.query("SELECT session_user"))
    wait_until(lambda: sum(int(r["cl_waiting"]) for r in d.show("POOLS") if r["database"] == "db") == 1, 5,
               "bob waits")
    check(b.silent(0.05), "as long as alice is in her transaction")
    a.sql("COMMIT")
    equal(b.until_ready().rows, [("bob",)], "bob is served")


@test
def fair(t):
    """two roles that both want the only server all the time are both served"""
    d = pool(t, size=1)
    a = [t.client(d, user="alice") for _ in range(3)]
    b = t.client(d, user="bob")
    served = 0
    for c in a:
        c.send(wire.query("SELECT pg_sleep(0.02)"))
    b.send(wire.query("SELECT session_user"))
    while b.silent(0.001):
        for c in a:
            if not c.silent(0.005):
                c.until_ready()
                served += 1
                c.send(wire.query("SELECT pg_sleep(0.02)"))
        check(served < 500, "bob is served before alice has been 500 times")
    equal(b.until_ready().rows, [("bob",)], "bob")
    for c in a:
        c.until_ready()


def rows_of(d, pool="db"):
    """The pools of roles, and the group's own."""
    return [r for r in d.show("POOLS") if r["database"] == pool]


def sums(d):
    rows = [r for r in d.show("STATS") if r["database"] == "db"]
    return {k: sum(int(r[k]) for r in rows) for k in rows[0] if k.startswith("total_")}


def no_backwards(before, after):
    equal([k for k in before if after[k] < before[k]], [], "sums that have become less")


def refused(d, role):
    try:
        d.connect(user=role).close()
    except ServerError as e:
        return e
    return None


@test(timeout=90)
def wrong_names(t):
    """roles that there are not leave nothing, and make no login slower"""
    t.cluster.for_us_alone("many failed logins")
    d = t.daemon(size=3, role="client", conninfo=t.conninfo(user=None), retry_delay="100ms",
                 options={"log_level": "error"})
    count = int(os.environ.get("PGWITH_WRONG_ROLES", "400"))

    def some(kind, n):
        took = []
        for i in range(n):
            began = time.monotonic()
            e = refused(d, "%s_%d" % (kind, i))
            check(e is not None and "does not exist" in e.message, "refused: %s" % e)
            took.append(time.monotonic() - began)
        return sorted(took)[n // 2]

    first = some("first", 60)
    wait_until(lambda: len(rows_of(d)) == 1, 10, "they are gone")
    memory = d.memory()
    before = sums(d)
    some("more", count)
    last = some("last", 60)
    wait_until(lambda: len(rows_of(d)) == 1, 10, "they are gone too")
    no_backwards(before, sums(d))
    equal(int({r["list"]: r["items"] for r in d.show("LISTS")}["pools"]), 1, "SHOW LISTS")
    grown = d.memory() - memory
    note("%d names: %.1f ms each at first, %.1f at last, %d kB more" % (count, first * 1e3, last * 1e3, grown // 1024))
    check(grown < 4 * 1024 * 1024 * slow_factor(), "memory: %d kB more" % (grown // 1024))
    check(last < 3 * first + 0.002, "a login takes %.1f ms, %.1f at first" % (last * 1e3, first * 1e3))


@test
def wrong_name_again(t):
    """within retry_delay a wrong name is refused without asking PostgreSQL again, whoever has left meanwhile"""
    d = t.daemon(size=3, role="client", conninfo=t.conninfo(user=None), retry_delay="20s")
    for _ in range(20):
        check(refused(d, "nobody_here") is not None, "refused")
        time.sleep(0.1)
    equal([int(r["open_fails"]) for r in rows_of(d) if r["user"] == "nobody_here"], [1], "attempts")


@test
def unused(t):
    """a role's pool goes with its last server and session, and comes back; its statistics stay"""
    for role in ("alice", "bob"):
        t.cluster.role(role)
    d = t.daemon(size=3, role="client", conninfo=t.conninfo(user=None), idle_timeout="200ms", retry_delay="100ms")
    before = sums(d)
    for _ in range(3):
        a, b = t.client(d, user="alice"), t.client(d, user="bob")
        for c in (a, b):
            c.sql("SELECT 1")
        before, after = sums(d), before
        no_backwards(after, before)
        b.close()
        wait_until(lambda: [r["user"] for r in rows_of(d) if r["user"] in ("alice", "bob")] == ["alice"], 10, "bob's is gone")
        no_backwards(before, sums(d))
        wait_until(lambda: not d.servers(), 10, "no server is left")
        time.sleep(2.5)  # two looks for pools that nobody is in
        # She is in, without a server.
        equal(a.value("SELECT current_user"), "alice", "her own pool")
        d.reload(pools={"db": {"conninfo": t.conninfo(user=None), "role": "client", "size": 2, "idle_timeout": "200ms"}})
        equal(a.value("SELECT current_user"), "alice", "after a reload")
        a.close()
        wait_until(lambda: len(rows_of(d)) == 1, 10, "both are gone")
        after = sums(d)
        no_backwards(before, after)
        equal(after["total_query_count"] - before["total_query_count"], 2, "queries of what is gone")
        before = after


@test
def one_line_of_status(t):
    """pgwith status: one line for the pool, whatever roles are in it; it and doctor name the role whose login fails"""
    d = pool(t, size=4)
    failing = ["fails%d" % i for i in range(5)]
    for role in failing:
        t.cluster.role(role)
        t.cluster.sql("ALTER ROLE %s NOLOGIN" % role)

    def status():
        code, out, err = child.run([program("pgwith"), "-S", d.sockets, "-p", str(d.port), "status", "--json"])
        return code, json.loads(out)

    clients = [t.client(d, user=role) for role in ("alice", "bob")]
    for c in clients:
        c.sql("BEGIN; SELECT 1")
    code, rows = status()
    equal((code, [(r["pool"], r["size"], r["leased"], r["trouble"]) for r in rows]), (0, [("db", 4, 2, None)]), "both in one line")
    for n, role in enumerate(failing, 1):
        try:
            d.connect(user=role).sql("SELECT 1")
        except ServerError as e:
            equal(e.sqlstate, "08001", role)
        if n == 1:
            code, rows = status()
            equal((code, len(rows)), (1, 1), "trouble")
            check('role "fails0": cannot connect' in rows[0]["trouble"] and "more" not in rows[0]["trouble"], rows)
    code, rows = status()
    equal((code, len(rows), rows[0]["leased"]), (1, 1, 2), "trouble")
    check("; 2 more roles have an error" in rows[0]["trouble"] and "fails4" not in rows[0]["trouble"], rows)
    found = [f for f in json.loads(child.run([program("pgwith"), "doctor", "-c", d.conf, "--json"])[1]) if "own last attempt" in f["finding"]]
    for role in failing:
        check([f for f in found if 'as the role "%s" failed' % role in f["finding"]], "%s: %s" % (role, found))
    d.console("DISABLE db")
    found = [f for f in json.loads(child.run([program("pgwith"), "doctor", "-c", d.conf, "--json"])[1]) if "has disabled" in f["finding"]]
    equal(len(found), 1, "it is said once: %s" % found)
    code, rows = status()
    equal(rows[0]["trouble"].count("disabled by an administrator"), 1, "once: %s" % rows)


@test
def used_by_a_scope(t):
    """a pool that a session of another one is in by a scope, or waits for, stays"""
    t.cluster.role("alice")
    pool = {"conninfo": t.conninfo(user=None), "role": "client", "size": 1, "idle_timeout": "100ms"}
    d = t.daemon(pools={"db": pool, "other": dict(pool)})
    c, holder = t.client(d, user="alice"), t.client(d, "other", user="postgres")
    holder.sql("BEGIN; SELECT 1")
    c.send(query("ENTER a ON other"))
    wait_until(lambda: sum(int(r["cl_waiting"]) for r in rows_of(d, "other")) == 1, 5, "it waits")
    time.sleep(2.5)
    holder.sql("COMMIT")
    equal(c.until_ready().errors, [], "entered")
    time.sleep(2.5)
    equal(c.value("SELECT current_user"), "alice", "in it")
    c.sql("LEAVE a")


if __name__ == "__main__":
    main()
