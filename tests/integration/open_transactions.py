"""SHOW SCOPES, on the console and in a session: a transaction that a client has begun by itself is a row, from its BEGIN
to its end, whoever knows of it: PostgreSQL, or pgwithd alone."""

import itertools
import json

from pgwtest import ServerError, check, child, equal, main, test, wait_until, wire
from pgwtest.daemon import SANITIZE_ENV, program

WHAT = ("level", "name", "kind", "pool", "state", "current")
MODES = list(itertools.product(("transaction", "session"), ("on", "off"), ("simple", "extended")))


def console_rows(d, c, columns=WHAT):
    return [tuple(r[k] for k in columns) for r in d.show("SCOPES") if int(r["session"]) == c.session]


def own_rows(c):
    r = c.ask("SHOW SCOPES")
    equal((r.errors, r.tags), ([], ["SHOW %d" % len(r.rows)]), "SHOW SCOPES of the session")
    return [row[:6] for row in r.rows]


def both(d, c, want, what):
    """The console and the session itself say the same."""
    equal(console_rows(d, c), want, "the console, " + what)
    equal(own_rows(c), want, "the session, " + what)


def plain(state="open", level=1, current="t"):
    return (str(level), "db", "implicit", "db", state, current)


def refused(d, sql):
    """The SQLSTATE by which the console refuses it."""
    try:
        d.console(sql)
    except ServerError as e:
        return e.sqlstate
    return None


def listed(d):
    status, out, err = child.run([program("pgwith"), "-p", str(d.port), "scopes", "--json"],
                                 env={**SANITIZE_ENV, "PGWITH_SOCKET": d.sockets})
    equal(status, 0, "pgwith scopes: " + err)
    return [(r["role"], r["name"], r["kind"], r["state"]) for r in json.loads(out)]


def asker(c, how):
    return c.ask if how == "simple" else c.ask_extended


@test
def begin_to_end(t):
    """BEGIN, an error, COMMIT, ROLLBACK, in either protocol and mode, with and without lazy_begin"""
    t.sql("CREATE TABLE x (i int)")
    for mode, lazy, how in MODES:
        d = t.daemon(mode=mode, lazy_begin=lazy)
        c = t.client(d)
        ask = asker(c, how)
        name = "%s, lazy_begin = %s, %s" % (mode, lazy, how)
        both(d, c, [], name)
        equal(ask("SELECT 1").errors, [], "a statement alone")
        both(d, c, [], "behind a statement alone, " + name)
        for begin, end in (("BEGIN", "COMMIT"), ("START TRANSACTION", "ROLLBACK"), ("BEGIN ISOLATION LEVEL SERIALIZABLE", "END")):
            equal(ask(begin).errors, [], begin)
            both(d, c, [plain()], "%s, %s" % (begin, name))
            equal(c.status, "T", "the status")
            equal(ask("INSERT INTO x VALUES (1)").errors, [], "a statement")
            both(d, c, [plain()], "behind a statement, " + name)
            pid = console_rows(d, c, ("backend_pid",))[0][0]
            check([a for a in t.activity() if str(a["pid"]) == pid and a["state"] == "idle in transaction"],
                  "backend_pid is that of the transaction: %s" % pid)
            equal(d.clients()[0]["scopes"], "(transaction)", "SHOW CLIENTS")
            equal(ask(end).errors, [], end)
            both(d, c, [], "behind %s, %s" % (end, name))
        ask("BEGIN")
        equal([e.sqlstate for e in ask("SELECT 1/0").errors], ["22012"], "an error")
        both(d, c, [plain("failed")], "failed, " + name)
        equal(ask("ROLLBACK").errors, [], "ROLLBACK")
        both(d, c, [], "behind ROLLBACK, " + name)
        ask("BEGIN")
        c.sock.close()
        wait_until(lambda: not d.show("SCOPES"), 5, "its client is gone, " + name)
        d.stop()


@test
def before_a_server_knows(t):
    """a BEGIN that pgwithd has answered has no process, and an age that goes on when it has got one; the next begins anew"""
    d = t.daemon(lazy_begin="on")
    c = t.client(d)
    c.sql("BEGIN")
    equal(console_rows(d, c, WHAT + ("wait_ms", "backend_pid", "deadline_ms", "deferred")), [plain() + ("0", None, None, "0")], "the row")
    equal([s for s in d.servers() if s["state"] != "idle"], [], "no server is leased")

    def age():
        return int(console_rows(d, c, ("elapsed_ms",))[0][0])
    wait_until(lambda: age() >= 300, 10, "it grows")
    c.sql("SELECT 1")
    check(age() >= 300, "with a server it is no younger")
    check(int(c.ask("SHOW SCOPES").rows[0][6]) >= 300, "nor for the session")
    c.sql("COMMIT; BEGIN")
    check(age() < 300, "the next one, in one text")
    c.sql("SELECT 1")
    c.sql("COMMIT")
    c.sql("BEGIN READ ONLY")
    check(age() < 300, "one that the server has begun")


@test
def waits_for_a_server(t):
    """while its first statement waits, and behind that, wait_ms says how long; if it waits in vain, the row is failed"""
    d = t.daemon(size=1, lazy_begin="on", wait_timeout="10s")
    holder, c = t.client(d), t.client(d)
    holder.sql("BEGIN; SELECT 1")
    c.sql("BEGIN")
    c.send(wire.query("SELECT 1"))
    wait_until(lambda: d.waiting() == 1, 5, "it waits")
    wait_until(lambda: int(console_rows(d, c, ("wait_ms",))[0][0]) >= 100, 5, "wait_ms grows")
    equal(console_rows(d, c), [plain()], "the row of who waits")
    holder.sql("COMMIT")
    equal(c.until_ready().errors, [], "it has its server")
    waited, age = (int(x) for x in console_rows(d, c, ("wait_ms", "elapsed_ms"))[0])
    check(100 <= waited <= age, "what it has waited: %d of %d" % (waited, age))
    c.sql("COMMIT")
    d.console("SET wait_timeout = '50ms'")
    holder.sql("BEGIN; SELECT 1")
    c.sql("BEGIN")
    equal([e.sqlstate for e in c.ask("SELECT 1").errors], ["53300"], "in vain")
    both(d, c, [plain("failed")], "in vain")
    c.sql("ROLLBACK")
    both(d, c, [], "behind ROLLBACK")


@test
def while_it_runs(t):
    """a text that begins a transaction and has not been answered; one that does not is no row"""
    d = t.daemon(size=3)
    c = t.client(d)
    for data, want in ((wire.query("BEGIN; SELECT pg_sleep(60)"), [plain()]),
                       (wire.query("BEGIN; SELECT pg_sleep(60); COMMIT"), [plain()]),
                       (wire.extended("BEGIN ISOLATION LEVEL SERIALIZABLE") + wire.extended("SELECT pg_sleep(60)") + wire.sync(), [plain()]),
                       (wire.query("SELECT pg_sleep(60)"), []),
                       (wire.extended("SELECT pg_sleep(60)") + wire.sync(), [])):
        c.send(data)
        wait_until(lambda: [a for a in t.activity() if a["state"] == "active" and "pg_sleep" in a["query"]], 5, "it runs")
        equal(console_rows(d, c), want, "while %r runs" % data[:40])
        c.cancel()
        equal([e.sqlstate for e in c.until_ready().errors], ["57014"], "the cancel")
        c.ask("ROLLBACK")
        both(d, c, [], "behind it")


@test
def among_scopes(t):
    """inside of a lock, with scopes inside of it, which it outlives; inside of a scope it is a block, as ever"""
    for lazy in ("on", "off"):
        d = t.daemon(size=3, lazy_begin=lazy)
        c = t.client(d)
        c.sql("ENTER LOCK 'l'")
        lock = ("1", "l", "lock", None, "open", "f")
        both(d, c, [lock], "the lock")
        c.sql("BEGIN")
        both(d, c, [lock, plain(level=2)], "BEGIN in it")
        equal(d.clients()[0]["scopes"], "lock l > (transaction)", "SHOW CLIENTS")
        c.sql("SELECT 1")
        both(d, c, [lock, plain(level=2)], "a statement in it")
        c.sql("ENTER a")
        both(d, c, [lock, plain(level=2, current="f"), ("3", "a", "savepoint", "db", "open", "t")], "a scope in it")
        c.sql("LEAVE a")
        both(d, c, [lock, plain(level=2)], "the scope has been left")
        c.sql("COMMIT")
        both(d, c, [lock], "COMMIT")
        c.sql("LEAVE; ENTER a; BEGIN")
        both(d, c, [("1", "a", "transaction", "db", "open", "f"), ("2", "db", "block", "db", "open", "t")], "a block")
        c.sql("COMMIT; LEAVE")
        both(d, c, [], "nothing is left")
        d.stop()


@test
def ended_by_others(t):
    """KILL SCOPE by the name of the row, and a limit: the row is expired until the client says the end"""
    d = t.daemon(size=3, lazy_begin="on")
    c = t.client(d)
    for sql in ("BEGIN", "BEGIN; SELECT 1", "ENTER LOCK 'l'; BEGIN; SELECT 1"):
        lock = [("1", "l", "lock", None, "open", "f")] if "LOCK" in sql else []
        c.sql(sql)
        name = console_rows(d, c, ("name",))[-1][0]
        equal(d.console("KILL SCOPE %d %s" % (c.session, name)).errors, [], "KILL SCOPE, " + sql)
        want = lock + [plain("expired", 1 + len(lock))]
        wait_until(lambda: console_rows(d, c) == want, 5, "the row, %s: %r" % (sql, console_rows(d, c)))
        equal([e.sqlstate for e in c.ask("SELECT 1").errors], ["57014"], "a statement, " + sql)
        equal(c.ask("ROLLBACK").errors, [], "ROLLBACK, " + sql)
        both(d, c, lock, "behind ROLLBACK, " + sql)
    c.sql("LEAVE ALL")
    # One in which a scope was entered has the name of the pool, too.
    c.sql("BEGIN; ENTER a")
    equal(d.console("KILL SCOPE %d db" % c.session).errors, [], "KILL SCOPE of what is around a scope")
    wait_until(lambda: [r[4] for r in console_rows(d, c)] == ["expired", "expired"], 5, "both have ended")
    c.ask("ROLLBACK")
    both(d, c, [], "behind ROLLBACK")
    for name in ("db", "a", '""'):
        equal(refused(d, "KILL SCOPE %d %s" % (c.session, name)), "42704", "what is not there: " + name)
    d.console("SET idle_in_scope_timeout = '100ms'")
    c.sql("BEGIN; SELECT 1")
    wait_until(lambda: console_rows(d, c) == [plain("expired")], 5, "idle_in_scope_timeout")
    c.ask("ROLLBACK")
    both(d, c, [], "at the end")


@test
def handed_over(t):
    """the next process has the same rows, no younger, and they end there"""
    d = t.supervised(size=5, lazy_begin="on")
    clients = {}
    for name, sql in (("lazy", "BEGIN"), ("open", "BEGIN; SELECT 1"), ("lazy, then open", None), ("failed", None),
                      ("in a lock", "ENTER LOCK 'l'; BEGIN; SELECT 1")):
        c = clients[name] = t.client(d)
        for text in (sql,) if sql else ("BEGIN", "SELECT 1") if "lazy" in name else ("BEGIN", "SELECT 1/0"):
            c.ask(text)
    columns = WHAT + ("backend_pid",)
    before = {n: console_rows(d, c, columns) for n, c in clients.items()}
    ages = {n: [int(r[0]) for r in console_rows(d, c, ("elapsed_ms",))] for n, c in clients.items()}
    equal([(n, r[-1][4]) for n, r in before.items()], [(n, "failed" if n == "failed" else "open") for n in clients], "before")
    d.console_close()
    d.restart()
    equal({n: console_rows(d, c, columns) for n, c in clients.items()}, before, "the rows")
    for n, c in clients.items():
        now = [int(r[0]) for r in console_rows(d, c, ("elapsed_ms",))]
        check(all(a >= b for a, b in zip(now, ages[n])) and max(now) < 60000, "ages of %s: %r, then %r" % (n, ages[n], now))
        c.sql("ROLLBACK")
        if n == "in a lock":
            c.sql("LEAVE")
        equal(console_rows(d, c), [], n)


@test
def on_the_command_line(t):
    """pgwith scopes lists it"""
    d = t.daemon(lazy_begin="on")
    c = t.client(d, user="app")
    c.sql("BEGIN")
    equal(listed(d), [("app", "db", "implicit", "open")], "the row")
    c.sql("COMMIT")
    equal(listed(d), [], "behind COMMIT")


if __name__ == "__main__":
    main()
