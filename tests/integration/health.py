"""pgwith ping, pgwith ready and SHOW HEALTH: what a probe is told, for each sort of trouble. SHOW HELD and its log."""

import json
import os
import re

from pgwtest import check, child, equal, main, test, wait_until, wire
from pgwtest.daemon import SANITIZE_ENV, program


def pgwith(d, *args):
    return child.run([program("pgwith"), "-p", str(d.port), "-U", "postgres", *args],
                     env=dict(SANITIZE_ENV, PGWITH_SOCKET=d.sockets))


def ready(d, status, *words):
    """pgwith ready has this exit status, and its line has these words; ping is good all the while."""
    got, out, err = pgwith(d, "ready", "db")
    equal((got, err), (status, ""), "pgwith ready: " + out)
    for word in words:
        check(word in out, "%r in %r" % (word, out))
    equal(pgwith(d, "ping")[0], 0, "pgwith ping")
    return out


def health(d):
    return d.show("HEALTH")[0]


@test
def well(t):
    """all is well: a short line; an unknown pool is a usage error"""
    d = t.daemon(size=3)
    c = t.client(d)
    c.sql("BEGIN")
    c.sql("SELECT 1")
    equal(ready(d, 0), "db: 1 of 3 leased\n", "the line")
    equal((health(d)["reason"], health(d)["pool"]), (None, "db"), "SHOW HEALTH")
    equal(pgwith(d, "ready")[0], 0, "every pool")
    equal(pgwith(d, "ready", "nowhere")[0], 2, "an unknown pool")
    status, out, _ = pgwith(d, "ready", "db", "--json")
    rows = json.loads(out)
    equal((status, [(r["pool"], r["ready"], r["reason"]) for r in rows]), (0, [("db", True, None)]), "as JSON")
    equal(pgwith(d, "ready", "nowhere", "--json")[0], 2, "an unknown pool")
    equal(pgwith(d, "ready", "-o", "ready,pool", "--csv")[:2], (0, "ready,pool\nt,db\n"), "columns")
    d.console("DISABLE db")
    status, out, _ = pgwith(d, "ready", "--json")
    equal((status, json.loads(out)[0]["ready"]), (1, False), "a bad pool")


@test
def stuck(t):
    """one stuck transaction holds everything: the line names it; not ready once nothing came back for wait_timeout"""
    d = t.daemon(size=1, wait_timeout="600ms")
    c = t.client(d, application_name="culprit")
    c.sql("BEGIN")
    c.sql("SELECT 1")
    waiter = t.client(d)
    waiter.send(wire.query("SELECT 1"))
    wait_until(lambda: d.waiting() == 1, 5, "one waits")
    check("1 waiting, oldest" in health(d)["verdict"] or d.waiting() == 0, health(d)["verdict"])
    wait_until(lambda: pgwith(d, "ready", "db")[0] == 1, 5, "not ready")
    ready(d, 1, "culprit", "idle in transaction", "became free within 600ms")
    c.sql("COMMIT")
    wait_until(lambda: pgwith(d, "ready", "db")[0] == 0, 5, "ready again")


@test
def full(t):
    """the queue is full: the error of those who come"""
    d = t.daemon(size=1, max_waiting=1)
    c = t.client(d)
    c.sql("BEGIN")
    c.sql("SELECT 1")
    waiter = t.client(d)
    waiter.send(wire.query("SELECT 1"))
    wait_until(lambda: d.waiting() == 1, 5, "one waits")
    ready(d, 1, "1 of 1 leased, 1 waiting, oldest", "too many clients wait for pool", "idle in transaction")


@test
def many(t):
    """all of max_clients are in: the error of those who come"""
    d = t.daemon(options={"max_clients": 3})  # the test's own session of the console is one of them
    clients = [t.client(d)]
    ready(d, 0)
    clients.append(t.client(d))
    ready(d, 1, "too many clients: max_clients is 3")
    clients.pop().close()
    wait_until(lambda: pgwith(d, "ready", "db")[0] == 0, 5, "ready again")


@test
def held(t):
    """SHOW HELD: a transaction, a scope, a lock, the longest first, with who waits; empty when all is returned"""
    d = t.daemon(size=3, scopes={"work": {}})
    equal(d.show("HELD"), [], "nothing is held")
    first, second = t.client(d, application_name="first"), t.client(d, application_name="second")
    first.sql("BEGIN")
    first.sql("SELECT 1")
    second.sql("ENTER LOCK 'nightly'")
    second.sql("ENTER work ON db")
    third = t.client(d)
    third.send(wire.query("ENTER LOCK 'nightly'"))
    wait_until(lambda: [x for x in d.show("LOCKS") if x["state"] == "waiting"], 5, "one waits for the lock")
    rows = d.show("HELD")
    equal([(x["application_name"], x["kind"], x["name"], x["state"], int(x["waiting"]), x["pool"]) for x in rows],
          [("first", "transaction", "db", "idle in transaction", 0, "db"),
           ("second", "lock", "nightly", "idle in transaction", 1, None),
           ("second", "scope", "work", "idle in transaction", 0, "db")], "SHOW HELD")
    check(int(rows[0]["held_ms"]) >= int(rows[2]["held_ms"]), "the longest first")
    equal(int(rows[0]["backend_pid"]) in d.server_pids(), True, "the backend")
    check("nightly" in rows[2]["scopes"] and "work" in rows[2]["scopes"], rows[2]["scopes"])
    equal(pgwith(d, "held")[0], 0, "pgwith held")
    first.sql("COMMIT")
    second.sql("LEAVE ALL")
    wait_until(lambda: [x["name"] for x in d.show("HELD")] == ["nightly"], 5, "the lock is the third's")


@test
def pins(t):
    """SHOW HELD: why a session keeps its server, between transactions and inside of one"""
    d = t.daemon(size=2)
    c = t.client(d, application_name="c")
    for sql, kind, pinned in (("BEGIN", "transaction", None), ("LISTEN a; SELECT 1", "transaction", "LISTEN"),
                              ("COMMIT", "pinned", "LISTEN"), ("BEGIN", "transaction", "LISTEN")):
        c.sql(sql)
        # after COMMIT, pgwithd asks the server first what is left
        wait_until(lambda: [(x["kind"], x["pinned"]) for x in d.show("HELD")] == [(kind, pinned)], 5, "after " + sql)
        equal(d.clients()[0]["pinned"], pinned, "SHOW CLIENTS says the same")
    c.sql("COMMIT; UNLISTEN *")
    wait_until(lambda: d.show("HELD") == [], 5, "it has given it back")


@test
def told(t):
    """log_held_longer_than: one line while it lasts, one when it has ended; across a reload; no line when it is off"""
    d = t.daemon(size=3)
    quiet = t.client(d, application_name="quiet")
    quiet.sql("BEGIN")
    quiet.sql("SELECT 'secret'")
    wait_until(lambda: int(d.show("HELD")[0]["held_ms"]) > 300, 5, "it lasts")
    check(not d.log_has("holds for long"), "off by default")
    d.console("SET log_held_longer_than = '300ms'")
    wait_until(lambda: d.log_has("holds for long"), 5, "the line")
    check(d.log_has(r'holds for long kind="?transaction"? name="?db"? pool=db role=postgres pid=\d+ program="[^"]*"'
                    r' application_name="quiet" .*class="SELECT" state="idle in transaction" held=\S+ waiting=0'), "what it says")
    locks = t.client(d)
    locks.sql("ENTER LOCK 'x'")
    wait_until(lambda: d.log_has('holds for long kind="?lock"? name="?x'), 5, "a lock")
    quiet.sql("COMMIT")
    wait_until(lambda: d.log_has('holds no longer kind="?transaction'), 5, "the end")
    locks.sql("LEAVE ALL")
    wait_until(lambda: d.log_has('holds no longer kind="?lock'), 5, "the end of the lock")
    equal(d.log_text().count("holds for long"), 2, "each once")
    check("secret" not in "".join(x for x in d.log_text().splitlines() if "holds" in x), "no SQL text")


def held_class(d, name):
    """The class that SHOW HELD has for the session of that application_name, if it holds one thing."""
    rows = [x for x in d.show("HELD") if x["application_name"] == name]
    equal(len(rows), 1, "rows of " + name)
    return rows[0]["class"]


@test
def classes(t):
    """the class of the last statement: simple, prepared with a name and without, repeated, of several, running"""
    d = t.daemon(size=4)
    c = t.client(d, application_name="c")
    c.sql("BEGIN")
    c.sql("/* a comment */ select 1")
    equal(held_class(d, "c"), "SELECT", "a Query")
    c.sql("SELECT 1; SAVEPOINT a")
    equal(held_class(d, "c"), "SAVEPOINT", "the last one of a text")
    for _ in range(3):  # the second and third time it passes by relay/quick.c
        c.send(wire.parse("UPDATE pg_class SET relname = relname WHERE false") + wire.bind() + wire.execute() + wire.sync())
        c.until_ready()
        equal(held_class(d, "c"), "UPDATE", "the unnamed statement")
    c.send(wire.parse("DELETE FROM pg_class WHERE false", "x") + wire.parse("VALUES (1)", "y") + wire.sync())
    c.until_ready()
    for name, word in (("x", "DELETE"), ("y", "VALUES"), ("x", "DELETE")):
        c.send(wire.bind(statement=name) + wire.execute() + wire.sync())
        c.until_ready()
        equal(held_class(d, "c"), word, "a named statement")
    c.sql("COMMIT")
    equal(d.show("HELD"), [], "nothing is held")
    c.sql("BEGIN")
    c.sql("SHOW work_mem")
    equal(held_class(d, "c"), "SHOW", "another lease")
    r = t.client(d, application_name="r")
    r.send(wire.query("SELECT pg_sleep(30)"))
    wait_until(lambda: [x for x in d.show("HELD") if x["application_name"] == "r"], 5, "it runs")
    row = [x for x in d.show("HELD") if x["application_name"] == "r"][0]
    equal((row["class"], row["state"], row["kind"]), ("SELECT", "running", "transaction"), "one that runs")
    r.cancel()
    r.until_ready()
    s = t.client(d, application_name="s")
    s.sql("ENTER LOCK 'x'")
    equal(held_class(d, "s"), None, "it has no server")
    s.sql("EXIT ALL")
    c.sql("COMMIT")


@test
def kept(t):
    """the class in a pool with mode = session, and without max_prepared_statements"""
    d = t.daemon(size=2, mode="session")
    c = t.client(d, application_name="c")
    c.send(wire.parse("UPDATE pg_class SET relname = relname WHERE false") + wire.bind() + wire.execute() + wire.sync())
    c.until_ready()
    equal(held_class(d, "c"), "UPDATE", "the unnamed statement")
    c.send(wire.parse("DELETE FROM pg_class WHERE false", "x") + wire.bind(statement="x") + wire.execute() + wire.sync())
    c.until_ready()
    equal(held_class(d, "c"), "other", "a named statement, whose text is not kept")
    c.sql("SELECT 1")
    equal(held_class(d, "c"), "SELECT", "a Query")


@test
def restart(t):
    """the class survives a restart that hands over"""
    d = t.supervised(size=3)
    c = t.client(d, application_name="c")
    c.sql("BEGIN")
    c.sql("SELECT 1")
    d.restart()
    equal(held_class(d, "c"), "SELECT", "the class")
    c.sql("COMMIT")


@test
def texts(t):
    """the text of a statement is logged only if log_scope_statements is on, and no table shows it"""
    for statements, slow in (("off", "0"), ("off", "1h"), ("on", "0"), ("on", "1h")):
        d = t.daemon(log_held_longer_than="200ms", log_scope_statements=statements, log_scope_longer_than=slow)
        c = t.client(d, application_name="c")
        c.sql("BEGIN")
        c.sql("SELECT 'first'")
        c.sql("SELECT 'secret'")
        wait_until(lambda: d.log_has("holds for long"), 5, "the line")
        for table in ("HELD", "HEALTH", "LOCKS", "SCOPES", "CLIENTS", "SERVERS"):
            check("secret" not in repr(d.show(table)), "SHOW " + table)
        c.sql("COMMIT")
        wait_until(lambda: d.log_has("holds no longer"), 5, "the end")
        lines = [x for x in d.log_text().splitlines() if "secret" in x]
        if statements == "on":
            equal(len(lines), 1, "lines with the text: %r" % lines)
            check("its last statement sql=\"SELECT 'secret'\"" in lines[0], lines[0])
        else:
            equal(lines, [], "lines with the text")
        check("'first'" not in d.log_text(), "the one before")
        c.close()
        d.stop()


@test
def once(t):
    """a restart that hands over does not log it again; its end is logged"""
    d = t.supervised(size=3, log_held_longer_than="200ms")
    c = t.client(d)
    c.sql("BEGIN")
    c.sql("SELECT 1")
    wait_until(lambda: d.log_has("holds for long"), 5, "the line")
    d.restart()
    c.sql("SELECT 1")
    other = t.client(d)
    other.sql("BEGIN")
    other.sql("SELECT 1")
    wait_until(lambda: d.log_text().count("holds for long") >= 2, 5, "another one, later")
    equal(d.log_text().count("holds for long"), 2, "each once")
    c.sql("COMMIT")
    wait_until(lambda: d.log_has("holds no longer"), 5, "the end")


@test
def gates(t):
    """paused, disabled, drained: not ready, until that is ended"""
    d = t.daemon()
    for begin, end, words in (("PAUSE", "RESUME", "the pool is paused"),
                              ("DISABLE db", "ENABLE db", "is disabled by an administrator"),
                              ("DRAIN db", "ENABLE db", "is drained by an administrator")):
        d.console(begin)
        ready(d, 1, words)
        d.console(end)
        ready(d, 0)


@test
def locked(t):
    """who waits for a lock or semaphore is counted too: SHOW HEALTH, SHOW POOLS, ready, status with its exit status"""
    d = t.daemon(size=5)
    a, b, c, e = (t.client(d, application_name=name) for name in ("holder", "b", "c", "e"))
    a.sql("ENTER LOCK 'nightly', SEMAPHORE 's' LIMIT 1")
    equal(pgwith(d, "status", "--max-wait", "1ms")[0], 0, "nobody waits")
    for waiter, text in ((b, "ENTER LOCK 'nightly'"), (c, "ENTER LOCK 'nightly' SHARED"), (e, "ENTER SEMAPHORE 's' LIMIT 1")):
        waiter.send(wire.query(text))
        number = waiter.session
        wait_until(lambda: [x for x in d.show("LOCKS") if int(x["session"]) == number and x["state"] == "waiting"], 5, "it waits")
    pool = wait_until(lambda: d.pool()["lock_wait_ms"] >= 2 and d.pool(), 5, "for 2 ms")
    equal((pool["cl_waiting"], pool["cl_waiting_lock"]), (0, 3), "SHOW POOLS")
    pattern = (r"db: 0 of 5 leased; 3 waiting for locks, oldest \S+ m?s for lock nightly, held by session %d "
               r"\(.*pid %d, holder\) for \S+ m?s") % (a.session, os.getpid())
    check(re.fullmatch(pattern, health(d)["verdict"]), health(d)["verdict"])
    status, out, _ = pgwith(d, "ready")
    check(status == 0 and "3 waiting for locks" in out, "they are no reason not to be ready: %d %s" % (status, out))
    status, out, _ = pgwith(d, "status", "--max-wait", "1ms", "--json")
    row = json.loads(out)[0]
    equal((status, row["waiting"], row["for_locks"]), (1, 3, 3), "status")
    check("a session has waited for" in row["trouble"] and row["trouble"].endswith("for a lock"), row)
    check(row["longest_wait_ms"] >= 2, row)
    equal(pgwith(d, "status", "--max-wait", "1h")[0], 0, "not for so long")
    # With those that wait for servers.
    hogs = [t.client(d) for _ in range(5)]
    for h in hogs:
        h.sql("BEGIN; SELECT 1")
    w = t.client(d)
    w.send(wire.query("SELECT 1"))
    wait_until(lambda: d.waiting() == 1, 5, "one waits")
    verdict = health(d)["verdict"]
    check("5 of 5 leased, 1 waiting" in verdict and "and 4 more hold for up to" in verdict and "; 3 waiting for locks" in verdict,
          verdict)
    row = json.loads(pgwith(d, "status", "--json")[1])[0]
    equal((row["waiting"], row["for_locks"]), (4, 3), "status")
    for h in hogs:
        h.sql("COMMIT")
    w.until_ready()
    a.sql("LEAVE ALL")
    b.until_ready()
    b.sql("LEAVE")
    c.until_ready()
    e.until_ready()
    wait_until(lambda: health(d)["verdict"] == "db: 0 of 5 leased", 5, "nobody waits")


@test
def down(t):
    """PostgreSQL cannot be reached: alive, and not ready, with the words of the client's error"""
    d = t.daemon(conninfo="host=127.0.0.1 port=1 dbname=x user=x", wait_timeout="1s", min_size=1)
    wait_until(lambda: pgwith(d, "ready", "db")[0] == 1, 10, "the pool has tried")
    ready(d, 1, "cannot connect to the server of pool")


@test
def nobody(t):
    """without a daemon: exit status 3"""
    d = t.daemon()
    for words in (("ping",), ("ready",)):
        equal(pgwith(d, "-p", "1", *words)[0], 3, "pgwith %s" % words)
    equal(pgwith(d, "-U", "nobody-of-that-name", "ping")[0], 0, "as a role of nobody")


if __name__ == "__main__":
    main()
