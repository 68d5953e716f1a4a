"""Commands of the console that change something: what the client hears, what PostgreSQL sees, and what the pool
does next."""

import os
import threading

from pgwtest import Closed, ServerError, check, child, equal, main, test, unavailable, wait_until, wire
from pgwtest.looks import error_of


def console(t, d, **params):
    return t.client(d, "pgwith", **params)


def done(c, sql, tag=None):
    """The command's Result; it must succeed."""
    r = c.ask(sql)
    equal((r.errors, r.tags), ([], [tag or sql.split()[0]]), sql)
    return r


def state_of(e):
    return (e.severity, e.sqlstate)


def told(c, sqlstate, text):
    """The session is ended with this error, and nothing else."""
    errors = c.until_closed().errors
    equal([state_of(e) for e in errors], [("FATAL", sqlstate)], "the last words")
    check(text in errors[0].message, errors[0].message)


def failed(r, sqlstate, text):
    equal([state_of(e) for e in r.errors], [("ERROR", sqlstate)], "the error")
    check(text in r.errors[0].message, r.errors[0].message)
    return r.errors[0]


def client_row(d, c, pool="db"):
    """SHOW CLIENTS of this client: its cancel key has the id."""
    return [x for x in d.clients(pool) if int(x["id"]) == c.session][0]


def waits(d, count=1, pool="db"):
    wait_until(lambda: d.waiting(pool) == count, 10, "%d wait" % count)


def pids(t):
    return {a["pid"] for a in t.activity()}


def two_pools(t, **options):
    pool = {"conninfo": t.conninfo(), "size": 2, **options}
    return t.daemon(pools={"db": pool, "other": dict(pool)})


# ---- PAUSE, RESUME -----------------------------------------------------------------------------------

@test
def pause(t):
    """PAUSE lets a transaction end, closes the servers, lets everybody wait without wait_timeout; RESUME serves them"""
    d = two_pools(t, wait_timeout="400ms", min_size=1, lazy_begin="on")
    k = console(t, d)
    c = t.client(d)
    c.sql("BEGIN; SELECT 1")
    k.send(wire.query("PAUSE db"))
    said = k.until("N").notices[0]["M"]
    check(said.startswith("waiting for ") and "(postgres, pid" in said, "its notice: " + said)
    equal(c.ask("SELECT 2").errors, [], "inside the transaction")
    waiter, lazy, entering = t.client(d), t.client(d), t.client(d)
    waiter.send(wire.query("SELECT 3"))
    equal(lazy.ask("BEGIN").errors, [], "BEGIN is answered without a server")
    lazy.send(wire.extended("SELECT 4") + wire.sync())
    waits(d, 2)
    equal((client_row(d, c)["holds_up"], client_row(d, waiter)["waits_for"]), ("PAUSE", "pool db, which is paused"), "SHOW CLIENTS")
    e = failed(entering.ask("ENTER a WAIT '10ms'"), "53300", '"db"')
    check("paused" in e.hint, "its hint: %s" % e.hint)
    check(k.silent(0), "PAUSE is not answered")
    equal(c.ask("COMMIT").tags, ["COMMIT"], "the commit")
    r = k.until_ready()
    equal((r.tags, r.errors), (["PAUSE"], []), "PAUSE")
    equal((d.servers(), len(d.servers("other")) > 0), ([], True), "servers")
    equal([x["paused"] for x in d.show("DATABASES")], ["1", "0"], "SHOW DATABASES")
    equal(t.client(d, "other").value("SELECT 5"), "5", "the other pool")
    # longer than wait_timeout
    wait_until(lambda: int(client_row(d, waiter)["wait_us"]) > 800000, 10, "they wait for long")
    check(waiter.silent(0) and lazy.silent(0), "nobody is told anything")
    equal(done(k, "PAUSE db").notices[0]["M"], "already paused", "once more")
    done(k, "RESUME db")
    equal((waiter.until_ready().rows, lazy.until_ready().rows), ([("3",)], [("4",)]), "they are served")
    equal(lazy.ask("COMMIT").tags, ["COMMIT"], "the lazy one")
    check("not paused" in done(k, "RESUME db").notices[0]["M"], "RESUME of what is not paused")
    d.quiet()


@test
def pause_and_limits(t):
    """what was waited for before PAUSE counts after RESUME; RESUME undoes a PAUSE that is waited for"""
    d = t.daemon(wait_timeout="400ms")
    k = console(t, d)
    holder, waiter = t.client(d), t.client(d)
    holder.sql("BEGIN")
    waiter.send(wire.query("SELECT 1"))
    waits(d)
    k.send(wire.query("PAUSE"))
    wait_until(lambda: d.pool()["paused"] == 1, 5, "it is paused")
    wait_until(lambda: int(client_row(d, waiter)["wait_us"]) > 500000, 10, "longer than that")
    equal(d.waiting(), 1, "it still waits")
    done(console(t, d), "RESUME")
    failed(waiter.until_ready(), "53300", "within 400ms")
    e = [x for x in k.until_ready().errors]
    equal([state_of(x) for x in e], [("ERROR", "55000")], "PAUSE was undone")
    holder.sql("COMMIT")


@test
def pause_pinned(t):
    """a pinned session keeps its server: PAUSE waits for it, and says so"""
    d = t.daemon(size=2)
    k = console(t, d)
    c = t.client(d)
    c.sql("LISTEN x; SELECT 1")
    k.send(wire.extended("PAUSE db") + wire.sync())
    wait_until(lambda: client_row(d, c)["holds_up"] == "PAUSE", 5, "SHOW CLIENTS says so")
    k.until("N")
    equal(c.value("SELECT 1"), "1", "it goes on")
    check(k.silent(0), "PAUSE waits")
    c.sql("UNLISTEN *")
    r = k.until_ready()
    equal((r.tags, r.errors), (["PAUSE"], []), "PAUSE")
    equal(pids(t), set(), "backends")
    done(k, "RESUME")
    equal(c.value("SELECT 2"), "2", "afterwards")


@test
def wait_cancelled(t):
    """who waits for PAUSE can cancel, or hang up: the pool stays paused, nothing else is left"""
    d = t.daemon(size=2)
    holder = t.client(d)
    holder.sql("BEGIN")
    k = console(t, d)
    k.send(wire.query("SHOW VERSION; PAUSE; SHOW VERSION"))
    wait_until(lambda: d.pool()["paused"] == 1, 5, "it is paused")
    k.cancel()
    r = k.until_ready()
    equal((r.tags, [state_of(e) for e in r.errors], r.status), (["SHOW"], [("ERROR", "57014")], "I"), "cancelled")
    equal(done(k, "SHOW VERSION").errors, [], "the console goes on")
    # the same in the extended protocol, with messages behind it
    k.send(wire.extended("PAUSE db") + wire.execute() + wire.sync() + wire.query("SHOW VERSION"))
    k.until("N")
    k.cancel()
    r = k.until_ready()
    equal([state_of(e) for e in r.errors], [("ERROR", "57014")], "cancelled")
    equal(k.until_ready().tags, ["SHOW"], "what was behind it")
    sessions = len(d.show("CLIENTS"))
    gone = d.connect("pgwith")
    gone.send(wire.query("PAUSE"))
    gone.until("N")
    gone.drop()
    wait_until(lambda: len(d.show("CLIENTS")) == sessions, 5, "it is gone")
    equal(d.pool()["paused"], 1, "still paused")
    equal(holder.ask("COMMIT").tags, ["COMMIT"], "the transaction")
    wait_until(lambda: not t.activity(), 5, "its server is closed")
    done(k, "RESUME")
    equal(holder.value("SELECT 1"), "1", "afterwards")


@test
def pause_under_load(t):
    """PAUSE, RESUME and RECONNECT in turn while pgbench runs: no client hears of it"""
    # not -M prepared: pgbench would wait for one client in the middle of another's transaction
    d = t.daemon(size=4)
    t.sql("CREATE TABLE hits (n bigint)")
    script = t.path("script.sql")
    with open(script, "w") as f:
        f.write("BEGIN;\nINSERT INTO hits VALUES (1);\nSELECT count(*) FROM hits;\nCOMMIT;\nSELECT 1;\n")
    bench = child.start([t.cluster.program("pgbench"), "-n", "-M", "extended", "-c", "12", "-j", "2", "-T", "2", "-f", script,
                         d.dsn()], t.path("pgbench.log"))
    t.defer(lambda: bench.poll() is None and bench.kill())
    k = console(t, d)
    wait_until(lambda: d.pool()["sv_active"] > 0, 10, "it runs")
    rounds = 0

    def served():
        return int(d.show("STATS")[0]["total_query_count"])
    while bench.poll() is None:
        before = served()
        wait_until(lambda: served() > before + 50 or bench.poll() is not None, 10, "it goes on")
        done(k, "PAUSE")
        equal(d.servers(), [], "paused")
        done(k, "RESUME")
        done(k, "RECONNECT db")
        done(k, "WAIT_CLOSE db")
        rounds += 1
    with open(t.path("pgbench.log")) as f:
        log = f.read()
    equal(bench.returncode, 0, log)
    check(rounds > 3 and "failed transactions: 0 " in log, "%d rounds: %s" % (rounds, log))
    d.quiet()


# ---- DISABLE, ENABLE, RECONNECT, DRAIN ---------------------------------------------------------------

@test
def disable(t):
    """DISABLE refuses new sessions and new visitors, and nobody else; ENABLE ends it"""
    d = two_pools(t)
    k = console(t, d)
    c, visitor = t.client(d), t.client(d, "other")
    done(k, "DISABLE db")
    e = error_of(d.connect)
    equal((state_of(e), "disabled" in e.message), (("FATAL", "57P03"), True), "a new session")
    failed(visitor.ask("ENTER a ON db"), "57P03", '"db" is disabled')
    equal((c.value("SELECT 1"), visitor.value("SELECT 2")), ("1", "2"), "those who are in")
    equal(c.ask("ENTER a; EXIT").errors, [], "a scope of those who are in")
    equal([(x["paused"], x["disabled"]) for x in d.show("DATABASES")], [("0", "1"), ("0", "0")], "SHOW DATABASES")
    check("already" in done(k, "DISABLE db").notices[0]["M"], "once more")
    done(k, "ENABLE db")
    equal(t.client(d).value("SELECT 3"), "3", "enabled")
    equal(visitor.ask("ENTER a ON db; EXIT").errors, [], "the visitor")
    for sql in ("DISABLE nosuch", "PAUSE nosuch", "DRAIN nosuch", "RECONNECT nosuch", "WAIT_CLOSE nosuch", "KILL nosuch",
                "KILL SERVER 999", "KILL SESSION 999", "KILL SESSION x", "KILL SESSION 0", "KILL SCOPE 999"):
        failed(k.ask(sql), "42704", "there is no")


@test
def reconnect(t):
    """RECONNECT replaces idle servers now and others when they are returned; WAIT_CLOSE waits for that"""
    d = t.daemon(size=3, min_size=2)
    k = console(t, d)
    c = t.client(d)
    c.sql("BEGIN")
    mine = c.backend()
    wait_until(lambda: len(pids(t)) >= 2 and d.pool()["sv_login"] == 0, 5, "min_size")
    before = pids(t)
    done(k, "RECONNECT db")
    wait_until(lambda: not (before - {mine}) & pids(t), 5, "idle ones are gone")
    equal((mine in pids(t), client_row(d, c)["holds_up"], d.pool()["sv_retiring"]), (True, "RECONNECT", 1), "the leased one")
    k.send(wire.query("WAIT_CLOSE db"))
    equal(c.backend(), mine, "it goes on")
    check(k.silent(0), "WAIT_CLOSE waits")
    c.sql("COMMIT")
    equal(k.until_ready().tags, ["WAIT_CLOSE"], "WAIT_CLOSE")
    check(c.backend() != mine, "another backend")
    wait_until(lambda: not before & pids(t), 5, "all are gone")
    done(k, "WAIT_CLOSE")


@test
def drain(t):
    """DRAIN ends each session when it is at rest, lets the others finish, and returns when none is left"""
    d = two_pools(t, lazy_begin="on")
    t.sql("CREATE TABLE marks (a int)")
    k = console(t, d)
    idle, busy, lazy, locked, other, visitor = (t.client(d, p) for p in ("db", "db", "db", "db", "other", "other"))
    pinned = t.client(d)
    busy.sql("BEGIN; INSERT INTO marks VALUES (1)")
    equal(lazy.ask("BEGIN").errors, [], "a transaction without a server")
    locked.sql("ENTER LOCK 'l'")
    pinned.sql("LISTEN x; SELECT 1")
    k.send(wire.query("DRAIN db"))
    for c in (idle, pinned):
        told(c, "57P01", 'pool "db" is being drained')
    equal(state_of(error_of(d.connect)), ("FATAL", "57P03"), "a new session")
    equal([d.pool()[x] for x in ("disabled", "draining")], [1, 1], "SHOW POOLS")
    equal({x["holds_up"] for x in d.clients()}, {"DRAIN"}, "SHOW CLIENTS")
    busy.sql("INSERT INTO marks VALUES (2)")
    equal(busy.ask("COMMIT").tags, ["COMMIT"], "the commit")
    told(busy, "57P01", "DRAIN")
    equal(lazy.ask("INSERT INTO marks VALUES (3)").errors, [], "the lazy one")
    equal(lazy.ask("COMMIT").tags, ["COMMIT"], "its commit")
    told(lazy, "57P01", "DRAIN")
    r = k.until("N")
    check("C" not in r.kinds, "DRAIN waits")
    equal(locked.ask("EXIT").errors, [], "the lock")
    told(locked, "57P01", "DRAIN")
    equal(k.until_ready().tags, ["DRAIN"], "DRAIN")
    equal(t.value("SELECT count(*) FROM marks"), "3", "rows")
    equal((other.value("SELECT 1"), d.clients()), ("1", []), "the other pool, and the sessions that are left")
    failed(visitor.ask("ENTER a ON db"), "57P03", "drained")
    done(k, "ENABLE db")
    equal(t.client(d).value("SELECT 1"), "1", "enabled")


@test
def drain_visitors(t):
    """DRAIN waits for the scopes that sessions of other pools have there; ENABLE undoes it"""
    d = two_pools(t)
    k = console(t, d)
    visitor = t.client(d, "other")
    visitor.sql("ENTER a ON db")
    k.send(wire.query("DRAIN db"))
    k.until("N")
    equal(visitor.ask("SELECT 1").errors, [], "it goes on")
    done(console(t, d), "ENABLE db")
    failed(k.until_ready(), "55000", "undone")
    k.send(wire.query("DRAIN db"))
    k.until("N")
    equal(visitor.ask("EXIT").errors, [], "it ends")
    equal(k.until_ready().tags, ["DRAIN"], "DRAIN")
    equal(visitor.value("SELECT 2"), "2", "its session is another pool's")


# ---- KILL --------------------------------------------------------------------------------------------

@test
def kill_session(t):
    """KILL SESSION: told, cancelled, rolled back, scopes released last first; the server serves on"""
    d = t.daemon(size=2)
    t.sql("CREATE TABLE marks (a int)")
    k = console(t, d)
    c = t.client(d)
    c.sql("ENTER a")
    c.sql("INSERT INTO marks VALUES (1)")
    c.sql("ENTER LOCK 'l'")
    c.sql("ENTER b")
    backend = c.backend()
    c.send(wire.query("SELECT pg_sleep(60)"))
    wait_until(lambda: [a for a in t.activity() if "pg_sleep" in a["query"]], 5, "it runs")
    done(k, "KILL SESSION %d" % c.session)
    told(c, "57P01", "ended by an administrator")
    wait_until(lambda: [(a["state"], a["xact"]) for a in t.activity()] == [("idle", None)], 5, "the backend is at rest")
    d.quiet()
    names = [x.split()[0] for x in d.log_text().split("scope released name=")[1:]]
    equal(names, ["b", "l", "a"], "the order")
    equal((t.value("SELECT count(*) FROM marks"), pids(t), d.show("LOCKS")), ("0", {backend}, []), "what is left")
    # idle, waiting, lazily begun; and the console itself, by its id
    idle, holder, holder2, waiter = (t.client(d) for _ in range(4))
    holder.sql("BEGIN")
    holder2.sql("BEGIN")
    waiter.send(wire.query("INSERT INTO marks VALUES (2)"))
    waits(d)
    for x in (idle, waiter):
        done(k, "KILL SESSION %d" % x.session)
        told(x, "57P01", "administrator")
    equal(d.waiting(), 0, "nobody waits")
    e = k.ask("KILL SESSION %d" % k.session)
    equal([state_of(x) for x in e.errors], [("FATAL", "57P01")], "the console")
    holder.sql("COMMIT")
    holder2.sql("COMMIT")
    equal(t.value("SELECT count(*) FROM marks"), "0", "rows")


@test
def kill_waiting(t):
    """a pinned session that waits for a lock or a server is killed: it does not get it while its own server is cleaned"""
    for what, held in (("LOCK 'l'", "ENTER LOCK 'l'"), ("b ON other", "ENTER h ON other")):
        d = t.daemon(pools={"db": {"conninfo": t.conninfo(), "size": 2}, "other": {"conninfo": t.conninfo(), "size": 1}})
        k = console(t, d)
        holder, c = t.client(d), t.client(d)
        holder.sql(held)
        c.sql("LISTEN x; SELECT 1")
        c.send(wire.query("ENTER " + what))
        wait_until(lambda: client_row(d, c)["waits_for"], 5, "it waits")
        equal(k.ask("KILL SESSION %d; KILL SESSION %d" % (c.session, holder.session)).tags, ["KILL", "KILL"], "both in one turn")
        for x in (c, holder):
            told(x, "57P01", "administrator")
        wait_until(lambda: not d.clients() and not d.show("LOCKS"), 5, "they are gone")
        d.quiet()
        d.quiet("other")
        equal(t.client(d).ask("ENTER LOCK 'l', b ON other; EXIT ALL").errors, [], "the next one")


@test
def kill_while_it_reads(t):
    """a pinned session that reads an answer from another pool is killed: what still comes is nobody's"""
    d = two_pools(t)
    k = console(t, d)
    for _ in range(3):
        c = t.client(d)
        c.sql("LISTEN x; SELECT 1")
        c.sql("ENTER b ON other")
        c.send(wire.query("SELECT repeat('x', 8000), pg_sleep(0.0001) FROM generate_series(1, 100000)"))
        c.until("D")
        reader = threading.Thread(target=c.until_closed)
        reader.start()
        done(k, "KILL SESSION %d" % c.session)
        reader.join()
        d.quiet()
        d.quiet("other")
    equal(d.clients(), [], "sessions")


@test
def kill_in_a_message(t):
    """a session that is killed in the middle of a message gets no garbage"""
    d = t.daemon()
    k = console(t, d)
    c = t.client(d)
    c.send(wire.query("SELECT repeat('x', 5000000)"))
    c.until("T")
    wait_until(lambda: int(d.servers()[0]["from_left"] or 0) > 0 and d.servers()[0]["state"] == "leased", 10, "half a row")
    done(k, "KILL SESSION %d" % c.session)
    left = c.buffer[c.at:]  # some may have come with RowDescription
    while data := c.sock.recv(1 << 20):
        left += data
    header = 11  # DataRow of one column
    check(left[:1] == b"D" and len(left) < 5000000, "it has %d bytes of a row" % len(left))
    check(set(left[header:]) <= {ord("x")}, "its last bytes: %r" % bytes(left[-60:]))
    d.quiet()
    equal(t.client(d).value("SELECT 1"), "1", "the next one")


@test
def kill_scope(t):
    """KILL SCOPE ends a scope and what is inside as a deadline would, and names itself until EXIT"""
    d = t.daemon(size=3)
    t.sql("CREATE TABLE marks (a int)")
    k = console(t, d)
    c = t.client(d)
    c.sql("ENTER a")
    c.sql("INSERT INTO marks VALUES (1)")
    c.sql("ENTER b")
    c.sql("ENTER LOCK 'l'")
    c.send(wire.query("INSERT INTO marks SELECT 2 FROM pg_sleep(60)"))
    wait_until(lambda: [a for a in t.activity() if "pg_sleep" in a["query"]], 5, "it runs")
    me = c.session
    failed(k.ask("KILL SCOPE %d nosuch" % me), "42704", '"nosuch"')
    done(k, "KILL SCOPE %d b" % me)
    equal([e.sqlstate for e in c.until_ready().errors], ["57014"], "what ran")
    failed(c.ask("SELECT 1"), "57014", 'scope "b" was ended by an administrator')
    failed(k.ask("KILL SCOPE %d b" % me), "55000", "already")
    equal([(x["name"], x["state"]) for x in d.show("SCOPES")], [("a", "open"), ("b", "expired"), ("l", "expired")], "SHOW SCOPES")
    equal(d.show("LOCKS"), [], "the lock")
    for _ in "lb":
        failed(c.ask("EXIT"), "57014", "administrator")
    equal((c.ask("INSERT INTO marks VALUES (3)").errors, c.ask("EXIT").errors), ([], []), "the scope around it")
    equal(t.sql("SELECT a FROM marks ORDER BY a"), [("1",), ("3",)], "rows")
    # without a name: the innermost transaction, with a lock inside
    c.sql("ENTER a")
    c.sql("ENTER b NEW")
    c.sql("ENTER LOCK 'l'")
    done(k, "KILL SCOPE %d" % me)
    wait_until(lambda: [x["state"] for x in d.show("SCOPES")] == ["open", "expired", "expired"], 5, "the innermost has ended")
    equal(len(c.ask("EXIT ALL ROLLBACK").errors), 0, "EXIT ALL ROLLBACK")
    d.quiet()


@test
def kill_entering(t):
    """KILL SCOPE of a scope that is being entered: ENTER fails, what it had entered is exited, nothing is left"""
    d = t.daemon(size=2)
    k = console(t, d)
    holder, c = t.client(d), t.client(d)
    holder.sql("ENTER LOCK 'l'")
    holder.sql("ENTER h")
    c.send(wire.query("ENTER a, LOCK 'l'"))
    wait_until(lambda: [x for x in d.show("LOCKS") if x["state"] == "waiting"], 5, "it waits for the lock")
    equal(client_row(d, c)["waits_for"], "lock l", "SHOW CLIENTS")
    done(k, "KILL SCOPE %d l" % c.session)
    failed(c.until_ready(), "57014", 'scope "l" was ended by an administrator')
    equal([x["name"] for x in d.show("SCOPES")], ["l", "h"], "what is open")
    other = t.client(d)
    other.sql("BEGIN")
    c.send(wire.query("ENTER a"))
    waits(d)
    done(k, "KILL SCOPE %d" % c.session)
    failed(c.until_ready(), "57014", 'scope "a" was ended by an administrator')
    equal((d.waiting(), [x["kind"] for x in d.show("SCOPES")]), (0, ["lock", "transaction", "implicit"]), "nobody waits")
    other.sql("COMMIT")
    equal(c.value("SELECT 1"), "1", "the session goes on")


@test
def roles(t):
    """a pool with role = client is one pool for PAUSE, RECONNECT, DRAIN and KILL"""
    names = ["control_%d_%s" % (os.getpid(), x) for x in "ab"]
    for name in names:
        t.cluster.sql("CREATE ROLE %s %s" % (name, t.cluster.login), t.database)
        t.defer(t.cluster.sql, "DROP ROLE %s" % name, "postgres")
    d = t.daemon(role="client", size=4)
    k = console(t, d)
    clients = [t.client(d, user=name) for name in names]
    for c in clients:
        equal(c.ask("SELECT 1").errors, [], "a client")
    clients[0].sql("BEGIN")
    k.send(wire.query("PAUSE db"))
    k.until("N")
    clients[1].send(wire.query("SELECT 2"))
    wait_until(lambda: sum(int(x["cl_waiting"]) for x in d.show("POOLS")) == 1, 5, "the other role waits")
    clients[0].sql("COMMIT")
    equal(k.until_ready().tags, ["PAUSE"], "PAUSE")
    equal(t.activity(), [], "backends")
    done(k, "RESUME db")
    equal(clients[1].until_ready().rows, [("2",)], "the other role")
    before = pids(t)
    done(k, "RECONNECT db")
    done(k, "WAIT_CLOSE db")
    wait_until(lambda: not before & pids(t), 5, "all are gone")
    equal(done(k, "KILL POOL db", "KILL").notices[0]["M"], "2 sessions were told", "KILL POOL")
    for c in clients:
        told(c, "57P01", "administrator")
    c = t.client(d, user=names[0])
    done(k, "DRAIN db")
    told(c, "57P01", "drained")
    equal(state_of(error_of(d.connect, user=names[1])), ("FATAL", "57P03"), "another role")


@test
def kill_transaction(t):
    """KILL SCOPE without a name: a plain transaction, one without a server, a wait, a lone statement"""
    d = t.daemon(lazy_begin="on")
    k = console(t, d)
    c = t.client(d)
    me = c.session
    failed(k.ask("KILL SCOPE %d" % me), "55000", "no transaction")
    # open on a server
    c.sql("BEGIN; SELECT 1")
    backend = d.servers()[0]["remote_pid"]
    done(k, "KILL SCOPE %d" % me)
    d.quiet()
    failed(c.ask("SELECT 1"), "57014", "an administrator has ended it")
    failed(k.ask("KILL SCOPE %d" % me), "55000", "already")
    equal((c.ask("ROLLBACK").tags, c.value("SELECT pg_backend_pid()")), (["ROLLBACK"], backend), "afterwards")
    # begun, and no server knows of it
    c.sql("BEGIN")
    done(k, "KILL SCOPE %d" % me)
    failed(c.ask_extended("SELECT 1"), "57014", "an administrator has ended it")
    equal(c.ask("COMMIT").tags, ["ROLLBACK"], "its end")
    holder = t.client(d)
    holder.sql("BEGIN; SELECT 1")
    # waiting, in such a transaction and outside of any
    c.sql("BEGIN")
    c.send(wire.query("SELECT 1"))
    waits(d)
    done(k, "KILL SCOPE %d" % me)
    failed(c.until_ready(), "57014", "an administrator has ended it")
    equal(c.ask("ROLLBACK").tags, ["ROLLBACK"], "its end")
    c.send(wire.query("SELECT 1"))
    waits(d)
    done(k, "KILL SCOPE %d" % me)
    failed(c.until_ready(), "57014", "canceled by an administrator while waiting")
    holder.sql("COMMIT")
    # one statement
    c.send(wire.query("SELECT pg_sleep(60)"))
    wait_until(lambda: [a for a in t.activity() if "pg_sleep" in a["query"]], 5, "it runs")
    done(k, "KILL SCOPE %d" % me)
    equal([e.sqlstate for e in c.until_ready().errors], ["57014"], "what ran")
    equal(c.value("SELECT 2"), "2", "the session goes on")


@test
def kill_server(t):
    """KILL SERVER: what runs is cancelled, the backend goes, its session is told, another one comes"""
    d = t.daemon(size=2, min_size=2)
    k = console(t, d)
    c = t.client(d)
    c.send(wire.query("SELECT pg_sleep(60)"))
    wait_until(lambda: [a for a in t.activity() if "pg_sleep" in a["query"]], 5, "it runs")
    server = [s for s in d.servers() if s["state"] == "leased"][0]
    done(k, "KILL SERVER " + server["id"])
    told(c, "08006", "killed by an administrator")
    wait_until(lambda: int(server["remote_pid"]) not in pids(t), 5, "the backend is gone")
    wait_until(lambda: d.pool()["sv_idle"] == 2, 5, "it is replaced")
    idle = d.servers()[0]
    done(k, "KILL SERVER " + idle["id"])
    wait_until(lambda: int(idle["remote_pid"]) not in pids(t) and d.pool()["sv_idle"] == 2, 5, "an idle one")
    equal([(x["error"], x["count"]) for x in d.show("ERRORS") if x["count"] != "0"], [("server_lost", "1")], "SHOW ERRORS")


@test
def kill_pool(t):
    """KILL POOL ends the pool's sessions, and scopes of visitors there; others and the pool go on"""
    d = two_pools(t)
    k = console(t, d)
    idle, busy, other, visitor = (t.client(d, p) for p in ("db", "db", "other", "other"))
    busy.sql("BEGIN")
    visitor.sql("ENTER a")
    visitor.sql("ENTER b ON db")
    equal(done(k, "KILL POOL db", "KILL").notices[0]["M"], "3 sessions were told", "the notice")
    for c in (idle, busy):
        told(c, "57P01", "administrator")
    failed(visitor.ask("SELECT 1"), "57014", 'scope "b" was ended by an administrator')
    failed(visitor.ask("EXIT b"), "57014", "administrator")
    equal((visitor.ask("EXIT a").errors, other.value("SELECT 1")), ([], "1"), "the other pool")
    d.quiet()
    c = t.client(d)
    equal(c.value("SELECT 2"), "2", "the pool")
    done(k, "KILL db")
    told(c, "57P01", "administrator")


# ---- SHUTDOWN ----------------------------------------------------------------------------------------

@test
def shutdown(t):
    """SHUTDOWN drains as SIGTERM does; SHUTDOWN NOW cancels and rolls back"""
    t.sql("CREATE TABLE marks (a int)")
    d = t.daemon(options={"shutdown_timeout": "60s"})
    k, c, idle = console(t, d), t.client(d), t.client(d)
    c.sql("BEGIN; INSERT INTO marks VALUES (1)")
    done(k, "SHUTDOWN")
    told(idle, "57P01", "shutting down")
    equal([x["value"] for x in d.show("STATE") if x["key"] == "phase"], ["draining"], "the console goes on")
    equal(c.ask("COMMIT").tags, ["COMMIT"], "the commit")
    told(c, "57P01", "shutting down")
    equal(d.wait_end(5), 0, "the status")
    d = t.daemon(options={"shutdown_timeout": "60s"})
    k, c = console(t, d), t.client(d)
    c.send(wire.query("BEGIN; INSERT INTO marks VALUES (2); SELECT pg_sleep(60)"))
    wait_until(lambda: [a for a in t.activity() if "pg_sleep" in a["query"] and a["state"] == "active"], 5, "it runs")
    done(k, "SHUTDOWN NOW", "SHUTDOWN NOW")
    told(k, "57P01", "shutting down")
    equal([e.sqlstate for e in c.until_closed().errors], ["57P01"], "the client")
    equal(d.wait_end(10), 0, "the status")
    equal(t.value("SELECT count(*) FROM marks"), "1", "rows")


@test
def shutdown_after_scopes(t):
    """SHUTDOWN AFTER SCOPES waits for transactions, however long; the console stays open, and a cancel ends the wait only"""
    d = t.daemon(options={"shutdown_timeout": "1ms"})
    k, c, idle = console(t, d), t.client(d), t.client(d)
    c.sql("BEGIN")
    k.send(wire.query("SHUTDOWN AFTER SCOPES"))
    told(idle, "57P01", "shutting down")
    equal(state_of(error_of(d.connect)), ("FATAL", "57P01"), "a new session")
    k.cancel()
    failed(k.until_ready(), "57014", "SHUTDOWN AFTER SCOPES")
    c.send(wire.query("SELECT pg_sleep(60)"))
    wait_until(lambda: [a for a in t.activity() if "pg_sleep" in a["query"]], 5, "it runs")
    c.cancel()
    equal([e.sqlstate for e in c.until_ready().errors], ["57014"], "clients can cancel")
    again = console(t, d)
    again.send(wire.query("SHUTDOWN WAIT_FOR_SERVERS"))
    wait_until(lambda: client_row(d, again, "pgwith")["state"] == "console", 5, "the console is open")
    equal(c.ask("ROLLBACK").errors, [], "the end")
    told(c, "57P01", "shutting down")
    r = again.until_closed()
    equal((r.tags, [e.sqlstate for e in r.errors]), (["SHUTDOWN WAIT_FOR_SERVERS"], ["57P01"]), "it is answered, then closed")
    equal(d.wait_end(5), 0, "the status")


@test
def shutdown_after_clients(t):
    """SHUTDOWN AFTER CLIENTS lets all sessions stay; SIGTERM or another SHUTDOWN may follow"""
    d = t.daemon()
    k, c, idle = console(t, d), t.client(d), t.client(d)
    k.send(wire.query("SHUTDOWN AFTER CLIENTS"))
    wait_until(lambda: [x["value"] for x in d.show("STATE") if x["key"] == "phase"] == ["emptying"], 5, "the phase")
    equal(state_of(error_of(d.connect)), ("FATAL", "57P01"), "a new session")
    for _ in range(2):
        equal((c.value("SELECT 1"), idle.value("SELECT 2")), ("1", "2"), "they stay")
    c.close()
    equal(idle.value("SELECT 3"), "3", "one of them")
    check(k.silent(0), "it waits")
    idle.close()
    r = k.until_closed()
    equal((r.tags, [e.sqlstate for e in r.errors]), (["SHUTDOWN AFTER CLIENTS"], ["57P01"]), "it is answered, then closed")
    equal(d.wait_end(5), 0, "the status")
    d = t.daemon()
    k, c = console(t, d), t.client(d)
    k.send(wire.query("SHUTDOWN AFTER CLIENTS"))
    wait_until(lambda: [x["value"] for x in d.show("STATE") if x["key"] == "phase"] == ["emptying"], 5, "the phase")
    done(console(t, d), "SHUTDOWN")
    told(c, "57P01", "shutting down")
    equal(k.until_closed().tags, ["SHUTDOWN AFTER CLIENTS"], "it is answered")
    equal(d.wait_end(5), 0, "the status")


# ---- looking -----------------------------------------------------------------------------------------

@test
def inside(t):
    """SHOW ERRORS, MEM, SOCKETS, FDS and USERS count what there is"""
    d = t.daemon(size=2, options={"admin_users": "postgres,boss", "stats_users": "watcher"})
    k = console(t, d)
    c = t.client(d, user="app")
    c.sql("BEGIN")
    for _ in range(3):
        c.ask("ENTER '")
    try:
        d.connect("nosuch")
    except ServerError:
        pass
    errors = {x["error"]: x for x in d.show("ERRORS")}
    equal([(errors[x]["count"], errors[x]["sqlstate"]) for x in ("scope_syntax", "no_pool", "killed")],
          [("3", "42601"), ("1", "3D000"), ("0", "57P01")], "SHOW ERRORS")
    check(errors["no_pool"]["last_time"].startswith("20") and errors["killed"]["last_time"] is None, "times: %r" % errors["no_pool"])
    mem = {x["name"]: x for x in d.show("MEM")}
    equal((mem["sessions"]["used"], mem["servers"]["used"], mem["pools"]["used"]), ("3", "1", "1"), "SHOW MEM")
    equal(int(mem["sessions"]["memtotal"]), 3 * int(mem["sessions"]["size"]), "bytes")
    for n in range(3):
        c.send(wire.parse("SELECT %d, '%s'" % (n, "x" * 1000), "s%d" % n) + wire.sync())
        equal(c.until_ready().errors, [], "Parse")
    mem = {x["name"]: x for x in d.show("MEM")}
    equal([mem[x]["used"] for x in ("statement_texts", "session_statements", "server_statements")], ["3"] * 3, "statements")
    check(int(mem["statement_texts"]["memtotal"]) > 3000, "their bytes")
    sockets = d.show("SOCKETS")
    equal(sorted(x["type"] for x in sockets), ["C", "C", "C", "S"], "SHOW SOCKETS")
    links = {os.readlink("/proc/%d/fd/%s" % (d.pid, x["fd"])).split(":")[0] for x in sockets}
    equal(links, {"socket"}, "descriptors")
    fds = {(x["task"], x["database"]): x for x in d.show("FDS")}
    equal((fds["client", "db"]["link"], fds["server", "db"]["link"]), (fds["server", "db"]["fd"], fds["client", "db"]["fd"]), "SHOW FDS")
    check(all(x["cancel"] is None and x["password"] is None for x in fds.values()), "no secrets")
    users = {x["name"]: (x["level"], x["sessions"], x["leased"]) for x in d.show("USERS")}
    equal(users, {"app": ("none", "1", "1"), "boss": ("admin", "0", "0"), "postgres": ("admin", "2", "0"),
                  "watcher": ("stats", "0", "0")}, "SHOW USERS")
    c.sql("COMMIT")


@test
def what_people_look_for(t):
    """the console under PgBouncer's name; SET in the log as it was given, but no password; idle in transaction"""
    d = t.daemon(size=1)
    k = d.connect("pgbouncer")
    t.defer(k.close)
    equal(k.ask("SHOW VERSION").errors, [], "an exporter of PgBouncer's")
    equal(k.ask("SET size = 5 FOR POOL db").errors, [], "SET")
    a = t.client(d)
    a.sql("BEGIN; SELECT 1")
    wait_until(lambda: [c["state"] for c in d.clients("db")] == ["idle in transaction"], 5, "what it does")
    a.sql("COMMIT")
    k.ask("SET conninfo = 'host=/x password=secret' FOR POOL db")
    with open(d.log) as f:
        lines = [x for x in f if " command text=" in x]
    check('text="SET size = 5 FOR POOL db"' in lines[0], "the log: %s" % lines)
    check('text="SET conninfo = (not shown)"' in lines[1] and "secret" not in "".join(lines), "the log: %s" % lines)


if __name__ == "__main__":
    main()
