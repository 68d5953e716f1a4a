"""SHOW WAITS: who waits, for what, and who holds it."""

import json
import os
import re

from pgwtest import check, child, equal, main, test, wait_until, wire
from pgwtest.daemon import SANITIZE_ENV, program


def waits(d):
    return d.show("WAITS")


def session_of(d, name):
    return [x["id"] for x in d.clients() if x["application_name"] == name][0]


@test
def saturated(t):
    """a saturated pool: the first in the queue names every holder, the others the longest"""
    d = t.daemon(size=2, max_waiting=10)
    holders = [t.client(d, application_name="holder %d" % i) for i in range(2)]
    for c in holders:
        c.sql("BEGIN; SELECT 1")
    ids = [session_of(d, "holder %d" % i) for i in range(2)]
    waiters = [t.client(d, application_name="waiter %d" % i) for i in range(3)]
    for i, c in enumerate(waiters):
        c.send(wire.query("SELECT 1"))
        wait_until(lambda: d.waiting() == i + 1, 10, "one more waits")
    rows = waits(d)
    equal([(x["application_name"], x["kind"], x["position"], x["held_by"], x["root"]) for x in rows],
          [("waiter 0", "server", "1", ids[0], "t"), ("waiter 0", "server", "1", ids[1], "t"),
           ("waiter 1", "server", "2", ids[0], "t"), ("waiter 2", "server", "3", ids[0], "t")], "rows")
    equal({x["pid"] for x in rows}, {str(os.getpid())}, "pid")
    equal({x["name"] for x in rows}, {x["database"] for x in d.clients() if x["state"] == "waiting"}, "the pool")
    check(all(int(x["held_ms"]) >= int(x["wait_ms"]) for x in rows), "the holders came first: %r" % rows)
    for c in holders:
        c.sql("COMMIT")
    for c in waiters:
        c.until_ready()
    equal(waits(d), [], "nobody waits")


@test
def chain(t):
    """a chain of three sessions, by a lock and a semaphore: only the last one is a root"""
    d = t.daemon(size=5)
    a, b, c = (t.client(d, application_name=name) for name in "abc")
    ids = {name: session_of(d, name) for name in "abc"}
    a.sql("ENTER LOCK 'l'")
    b.sql("ENTER SEMAPHORE 's' LIMIT 1")
    b.send(wire.query("ENTER LOCK 'l'"))
    wait_until(lambda: len(waits(d)) == 1, 10, "b waits")
    c.send(wire.query("ENTER SEMAPHORE 's' LIMIT 1"))
    wait_until(lambda: len(waits(d)) == 2, 10, "c waits")
    equal(sorted((x["session"], x["kind"], x["name"], x["position"], x["held_by"], x["root"]) for x in waits(d)),
          sorted([(ids["b"], "lock", "l", "1", ids["a"], "t"), (ids["c"], "semaphore", "s", "1", ids["b"], "f")]), "rows")
    a.sql("EXIT ALL")
    b.until_ready()
    b.sql("EXIT ALL")
    c.until_ready()
    c.sql("EXIT ALL")
    equal(waits(d), [], "nobody waits")


@test
def queue_of_a_lock(t):
    """a queue behind shared holders: the first names both, the one behind it the longest"""
    d = t.daemon(size=5)
    a, b, c, e = (t.client(d, application_name=name) for name in "abce")
    ids = {name: session_of(d, name) for name in "abce"}
    a.sql("ENTER LOCK 'l' SHARED")
    b.sql("ENTER LOCK 'l' SHARED")
    c.send(wire.query("ENTER LOCK 'l'"))
    wait_until(lambda: len(waits(d)) == 2, 10, "c waits")
    e.send(wire.query("ENTER LOCK 'l' SHARED"))
    wait_until(lambda: len(waits(d)) == 3, 10, "e waits")
    equal([(x["session"], x["position"], x["held_by"]) for x in waits(d)],
          [(ids["c"], "1", ids["a"]), (ids["c"], "1", ids["b"]), (ids["e"], "2", ids["a"])], "rows")
    a.sql("EXIT ALL")
    b.sql("EXIT ALL")
    c.until_ready()
    c.sql("EXIT ALL")
    e.until_ready()


@test
def paused(t):
    """in a paused pool no session is to blame"""
    d = t.daemon(size=2)
    t.client(d).sql("SELECT 1")
    d.console("PAUSE")
    c = t.client(d)
    c.send(wire.query("SELECT 1"))
    wait_until(lambda: len(waits(d)) == 1, 10, "it waits")
    row = waits(d)[0]
    equal((row["kind"], row["position"], row["held_by"], row["held_ms"], row["root"]), ("server", "1", None, None, "f"), "row")
    d.console("RESUME")
    c.until_ready()


def pgwith(d, *args):
    status, out, err = child.run([program("pgwith"), "-p", str(d.port), "-U", "postgres", "waits", *args],
                                 env={**SANITIZE_ENV, "PGWITH_SOCKET": d.sockets})
    equal((status, err), (0, ""), "pgwith waits %r" % (args,))
    return out


@test
def tree(t):
    """pgwith waits: a tree with the culprit at its root, a graph, and the table"""
    d = t.daemon(size=1, max_waiting=500)
    equal(pgwith(d), "nobody waits\n", "nobody")
    h = t.client(d, application_name="culprit")
    h.sql("ENTER job")
    h.sql("SELECT 1")
    waiters = [t.client(d, application_name='w"%d' % i) for i in range(450)]
    for c in waiters:
        c.send(wire.query("SELECT 1"))
    wait_until(lambda: d.waiting() == 450, 30, "all wait")
    pool = d.show("WAITS")[0]["name"]
    lines = pgwith(d).splitlines()
    equal(len(lines), 5, "lines: %r" % lines)
    check(re.fullmatch(r"\* session %s \(\S+, pid %d, culprit\) idle in transaction" % (session_of(d, "culprit"), os.getpid()),
                       lines[0]), "root: " + lines[0])
    check(re.fullmatch(r"    holds server of %s for .*: job" % pool, lines[1]), "what it holds: " + lines[1])
    check(lines[2].startswith("+- session ") and 'w"0' in lines[2], "the first: " + lines[2])
    check(lines[4].startswith("+- 448 more wait for server of " + pool), "the rest: " + lines[4])
    check(all(len(x) <= 100 for x in lines), "narrow enough: %r" % lines)
    rows = json.loads(pgwith(d, "--json"))
    equal([x["position"] for x in rows], list(range(1, 451)), "the table, in more than two portions")
    graph = pgwith(d, "--dot")
    equal(graph.count(" -> "), 450, "edges")
    h.sql("EXIT ALL")
    for c in waiters:
        c.until_ready()


if __name__ == "__main__":
    main()
