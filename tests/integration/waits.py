"""SHOW WAITS and pgwith waits: who waits, for what, and who holds it; also inside PostgreSQL."""

import json
import os
import re
import unicodedata

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
def places(t):
    """who waits for a server that is still to be opened is held up by nobody, whoever has the others"""
    d = t.daemon(size=3, max_waiting=10)
    holders = [t.client(d, application_name="holder %d" % i) for i in range(2)]
    waiters = [t.client(d, application_name="waiter %d" % i) for i in range(3)]
    for c in holders:
        c.sql("BEGIN; SELECT 1")
    ids = [session_of(d, "holder %d" % i) for i in range(2)]
    t.cluster.sql("ALTER DATABASE %s ALLOW_CONNECTIONS false" % t.database, "postgres")
    t.defer(t.cluster.sql, "ALTER DATABASE %s ALLOW_CONNECTIONS true" % t.database, "postgres")
    d.console("RECONNECT")  # of a third server that may be idle
    for i, c in enumerate(waiters):
        c.send(wire.query("SELECT 1"))
        wait_until(lambda: d.waiting() == i + 1, 10, "one more waits")
    equal([(x["application_name"], x["position"], x["held_by"], x["root"]) for x in waits(d)],
          [("waiter 0", "1", None, "f"), ("waiter 1", "2", ids[0], "t"), ("waiter 1", "2", ids[1], "t"),
           ("waiter 2", "3", ids[0], "t")], "rows")
    for c in holders + waiters:
        c.close()


@test
def way_out(t):
    """a circle by a server that another session may free, too: it is no deadlock, and the tree does not say so"""
    d = t.daemon(size=2, max_waiting=10)
    a, b, c = (t.client(d, application_name=name) for name in "abc")
    b.sql("BEGIN; SELECT 1")
    c.sql("BEGIN; SELECT 1")
    a.sql("ENTER LOCK 'l'")
    a.send(wire.query("SELECT 1"))
    wait_until(lambda: d.waiting() == 1, 10, "a waits")
    b.send(wire.query("ENTER LOCK 'l'"))
    wait_until(lambda: len({x["session"] for x in waits(d)}) == 2, 10, "b waits")
    lines = pgwith(d).splitlines()
    check(", c) idle in transaction" in lines[0] and lines[1].startswith("    holds server of "), "the root: %r" % lines)
    equal(lines[2], "* a circle: it ends when a session outside of it frees what one of it waits for", "the circle")
    equal(len(lines), 5, "lines %r" % lines)
    c.sql("COMMIT")
    equal(a.until_ready().errors, [], "it has ended")
    a.sql("EXIT ALL")
    b.until_ready()
    b.sql("ROLLBACK")


@test
def paused(t):
    """in a paused pool, and with PostgreSQL down, no session is to blame; pgwith waits says why"""
    proxy = t.proxy()
    d = t.daemon(pools={"db": {"conninfo": t.conninfo(), "size": 2}, "down": {"conninfo": t.conninfo(host=proxy.directory, port=proxy.port)}})
    t.client(d).sql("SELECT 1")
    d.console("PAUSE")
    c = t.client(d)
    c.send(wire.query("SELECT 1"))
    wait_until(lambda: len(waits(d)) == 1, 10, "it waits")
    row = waits(d)[0]
    equal((row["kind"], row["position"], row["held_by"], row["held_ms"], row["root"]), ("server", "1", None, None, "f"), "row")
    check(pgwith(d).endswith("\npool db: the pool is paused: an administrator can RESUME it\n"), pgwith(d))
    d.console("RESUME")
    c.until_ready()
    c = t.client(d, database="down")
    c.sql("SELECT 1")
    proxy.close()
    c.send(wire.query("SELECT 1"))
    wait_until(lambda: 'pool down: cannot connect to the server of pool "down"' in pgwith(d), 10, "the reason")


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


def ask(d, *args, conf=None, status=0):
    """pgwith waits --with-server: its lines, and what it says on stderr."""
    got, out, err = child.run([program("pgwith"), "-p", str(d.port), "-U", "postgres", "waits", "--with-server",
                               "-c", conf or d.conf, *args], env={**SANITIZE_ENV, "PGWITH_SOCKET": d.sockets})
    equal(got, status, "status, with stderr " + err)
    return out.splitlines(), err


def blocked(t, pid):
    """Is this process of PostgreSQL blocked by another one?"""
    return t.value("SELECT cardinality(pg_blocking_pids(%s)) > 0" % pid) == "t"


def table(t):
    t.sql("CREATE TABLE accounts (id int PRIMARY KEY, n int)")
    t.sql("INSERT INTO accounts SELECT g, 0 FROM generate_series(1, 9) g")


def update(c, row):
    """Sends it, and does not wait for an answer."""
    c.send(wire.query("UPDATE accounts SET n = n + 1 WHERE id = %d" % row))


@test
def row_lock(t):
    """a row lock between two clients, and a lock of pgwith behind it: one tree"""
    t.cluster.without_password("pgwith takes no password of the environment")
    table(t)
    d = t.daemon(size=5)
    a, b, c = (t.client(d, application_name=name) for name in "abc")
    ids = {name: session_of(d, name) for name in "abc"}
    a.sql("BEGIN")
    a.sql("UPDATE accounts SET n = 1 WHERE id = 1")
    b.sql("ENTER LOCK 'l'")
    b.sql("ENTER job")
    pid_a = a.value("SELECT pg_backend_pid()")
    pid_b = b.value("SELECT pg_backend_pid()")
    update(b, 1)
    c.send(wire.query("ENTER LOCK 'l'"))
    wait_until(lambda: blocked(t, pid_b), 10, "b is blocked")
    wait_until(lambda: len(waits(d)) == 1, 10, "c waits")
    lines, err = ask(d)
    equal(err, "", "stderr")
    equal(len(lines), 4, "lines: %r" % lines)
    who = r"session %s \(\S+, pid %d, %s\)"
    ms = r"\d+\.\d (ms|s)"
    for line, pattern in zip(lines, (
            r"\* " + who % (ids["a"], os.getpid(), "a") + " idle in transaction",
            "    holds row of public.accounts for " + ms + ".*",
            r"\+- " + who % (ids["b"], os.getpid(), "b") + " waits " + ms + " for row of public.accounts, held for " + ms,
            r"\|  \+- " + who % (ids["c"], os.getpid(), "c") + " waits " + ms + " for lock l, held for " + ms)):
        check(re.fullmatch(pattern, line), "%s: %s" % (pattern, line))
    # without it, b is to blame
    check(pgwith(d).startswith("* session %s " % ids["b"]), "without --with-server: " + pgwith(d))
    hint = "session %s may wait inside PostgreSQL: pgwith waits --with-server may show more" % ids["b"]
    equal(pgwith(d).splitlines()[-1], hint, "and it says so")
    rows = json.loads("\n".join(ask(d, "--json")[0]))
    equal([(x["session"], x["kind"], x["name"], x["held_by"], x["root"], x["backend_pid"], x["held_by_backend"], x["held_by_name"])
           for x in rows],
          [(int(ids["c"]), "lock", "l", int(ids["b"]), False, None, int(pid_b), "b"),
           (int(ids["b"]), "row", "public.accounts", int(ids["a"]), True, int(pid_b), int(pid_a), "a")], "rows")
    graph = "\n".join(ask(d, "--dot")[0])
    check('"%s" -> "%s" [label="row public.accounts"]' % (ids["b"], ids["a"]) in graph, graph)
    # no connection of it stays
    wait_until(lambda: t.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgwith waits'") == "0", 10,
               "its connections end")
    a.sql("COMMIT")
    b.until_ready()
    b.sql("EXIT ALL")
    c.until_ready()
    c.sql("EXIT ALL")
    equal(ask(d)[0], ["nobody waits"], "in the end")


@test
def outsiders(t):
    """processes that are no clients of pgwith: one that holds up a client, and one that waits for a client"""
    t.cluster.without_password("pgwith takes no password of the environment")
    table(t)
    d = t.daemon(size=5)
    c = t.client(d, application_name="c")
    out1, out2 = t.direct(application_name="nightly"), t.direct(application_name="report")
    other1, other2 = t.direct(application_name="x"), t.direct(application_name="y")
    out1.sql("BEGIN; UPDATE accounts SET n = 1 WHERE id = 1")
    pid1 = out1.value("SELECT pg_backend_pid()")
    c.sql("BEGIN")
    c.sql("UPDATE accounts SET n = 1 WHERE id = 2")
    pid = c.value("SELECT pg_backend_pid()")
    pid2 = out2.value("SELECT pg_backend_pid()")
    update(c, 1)
    out2.send(wire.query("BEGIN; LOCK TABLE accounts"))
    other1.sql("SELECT pg_advisory_lock(7)")
    other2.send(wire.query("SELECT pg_advisory_lock(7)"))
    wait_until(lambda: blocked(t, pid) and blocked(t, pid2) and
               t.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") == "1", 10, "all wait")
    lines, err = ask(d)
    equal(err, "", "stderr")
    check(re.fullmatch(r"\* backend %s \(nightly, role postgres\) idle in transaction" % pid1, lines[0]), lines)
    check(lines[1].startswith("    holds "), lines)
    text = "\n".join(lines)
    check(re.search(r"\+- session %s \(.*, c\) waits .* for row of public.accounts" % session_of(d, "c"), text), text)
    check(re.search(r"\+- backend %s \(report, role postgres\) waits .* for table public.accounts" % pid2, text), text)
    check("(x," not in text and "(y," not in text, "nobody's business: " + text)
    out1.sql("ROLLBACK")
    c.until_ready()
    c.sql("ROLLBACK")
    out2.until_ready()
    out2.sql("ROLLBACK")
    other1.sql("SELECT pg_advisory_unlock(7)")
    other2.until_ready()


@test
def circle(t):
    """a deadlock of a lock of pgwith and a row lock, which neither of both sees alone"""
    t.cluster.without_password("pgwith takes no password of the environment")
    table(t)
    d = t.daemon(size=5)
    a, b = (t.client(d, application_name=name) for name in "ab")
    b.sql("BEGIN")
    b.sql("UPDATE accounts SET n = 1 WHERE id = 1")
    a.sql("ENTER LOCK 'l'")
    a.sql("BEGIN")
    pid = a.value("SELECT pg_backend_pid()")
    update(a, 1)
    wait_until(lambda: blocked(t, pid), 10, "a is blocked")
    b.send(wire.query("ENTER LOCK 'l'"))
    wait_until(lambda: len(waits(d)) == 1, 10, "b waits")
    lines, err = ask(d)
    equal((err, lines[0], len(lines)), ("", "* a circle: nobody of it can go on", 3), "lines %r" % lines)
    check("for lock l" in "".join(lines) and "for row of public.accounts" in "".join(lines), lines)
    equal({x["root"] for x in json.loads("\n".join(ask(d, "--json")[0]))}, {False}, "nobody is a root")
    b.cancel()
    b.until_ready()
    b.sql("ROLLBACK")
    a.until_ready()
    a.sql("ROLLBACK")
    a.sql("EXIT ALL")


@test
def two_pools(t):
    """two pools of the same PostgreSQL: what both tell is shown once"""
    t.cluster.without_password("pgwith takes no password of the environment")
    table(t)
    pool = {"conninfo": t.conninfo(), "size": 3}
    d = t.daemon(pools={"p": pool, "q": pool})
    a, b = t.client(d, "p", application_name="a"), t.client(d, "q", application_name="b")
    a.sql("BEGIN; UPDATE accounts SET n = 1 WHERE id = 1")
    b.sql("BEGIN")
    pid = b.value("SELECT pg_backend_pid()")
    update(b, 1)
    wait_until(lambda: blocked(t, pid), 10, "b is blocked")
    lines, err = ask(d)
    equal((len(lines), err), (3, ""), "lines %r" % lines)
    check(", a)" in lines[0] and ", b)" in lines[2], lines)
    a.sql("ROLLBACK")
    b.until_ready()
    b.sql("ROLLBACK")


@test
def refused(t):
    """PostgreSQL, or the configuration, lets us not in: it is said, with status 1, and the rest is shown"""
    t.cluster.without_password("pgwith takes no password of the environment")
    d = t.daemon(size=5)
    a, b = (t.client(d, application_name=name) for name in "ab")
    a.sql("ENTER LOCK 'l'")
    b.send(wire.query("ENTER LOCK 'l'"))
    c = t.client(d)
    c.sql("BEGIN")
    c.sql("SELECT 1")
    wait_until(lambda: len(waits(d)) == 1, 10, "b waits")
    bad = t.path("bad.conf")
    for conninfo, words in ((t.conninfo(user="nosuchrole"), "nosuchrole"),
                            ("host=127.0.0.1 port=1 dbname=x user=x", "refused")):
        with open(bad, "w") as f:
            f.write("[pgwith]\nlisten = %s\n[pool db]\nconninfo = %s\n" % (d.sockets, conninfo))
        lines, err = ask(d, conf=bad, status=1)
        check(err.startswith("pgwith: pool db: its PostgreSQL cannot be asked who waits for whom: ") and words in err, err)
        equal(err.count("\n"), 1, "one line: " + err)
        check(lines[0].startswith("* session ") and "for lock l" in lines[2], lines)
    lines, err = ask(d, conf=t.path("nowhere.conf"), status=1)
    check("nowhere.conf" in err and "--with-server" in err and "--config" in err, err)
    check("for lock l" in lines[2], lines)
    # a pool without leased servers is not asked
    c.sql("COMMIT")
    with open(bad, "w") as f:
        f.write("[pgwith]\nlisten = %s\n[pool db]\nconninfo = host=127.0.0.1 port=1\n" % d.sockets)
    d.quiet()
    equal(ask(d, conf=bad)[1], "", "no server is leased")
    a.sql("EXIT ALL")
    b.until_ready()
    b.sql("EXIT ALL")


@test
def wide_names(t):
    """names of wide characters on a narrow terminal: no line is wider than that"""
    d = t.daemon()
    h, w = t.client(d), t.client(d)
    name = "\u9396" * 30  # of a lock: an application_name is ASCII
    h.sql("ENTER LOCK '%s'" % name)
    w.send(wire.query("ENTER LOCK '%s'" % name))
    wait_until(lambda: len(waits(d)) == 1, 10, "it waits")
    out = child.run(["script", "-qec", "stty cols 60; %s -p %d -U postgres waits" % (program("pgwith"), d.port), "/dev/null"],
                    env={**SANITIZE_ENV, "PGWITH_SOCKET": d.sockets, "TERM": "dumb", "PATH": os.environ["PATH"]})[1]
    lines = out.replace("\r", "").splitlines()
    equal(len(lines), 3, "lines %r" % lines)
    equal(lines[1], "    holds lock " + "\u9396" * 22, "59 columns, and half a character")
    for line in lines:
        width = sum(2 if unicodedata.east_asian_width(c) == "W" else 1 for c in line)
        check(width <= 60, "%d columns: %s" % (width, line))
    h.sql("EXIT ALL")
    w.until_ready()


if __name__ == "__main__":
    main()
