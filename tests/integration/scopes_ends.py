"""How scopes end when nobody asks for it: killed clients, deadlines and other limits, CancelRequests, lost servers,
the daemon's own end; and waits that would never end."""

import os
import re
import signal
import time

from pgwtest import check, equal, main, seconds, slow_factor, test, wait_until, wire
from pgwtest.scopelog import all_quiet, events, pools, released, story, told, untouched, wait_for, warm

SLEEP = "SELECT pg_sleep(60)"


def scene(t, *names, scopes=None, options=None, **more):
    """Pools, a table `marks`, the backends by pool: (daemon, backends)."""
    t.sql("CREATE TABLE marks (a text)")
    d = t.daemon(pools=pools(t, *names, **more), scopes=scopes, options=options)
    return d, warm(d, *names)


def marks(t):
    return [r[0] for r in t.sql("SELECT a FROM marks ORDER BY ctid")]


def states(c):
    return [tuple(r[1:2] + r[4:5]) for r in c.sql("SHOW SCOPES")]


def one_error(r, sqlstate, words="", what=""):
    equal([e.sqlstate for e in r.errors], [sqlstate], "the error %s (%s)" % (what, r.errors))
    check(words in r.errors[0].message, "%r in the message %r" % (words, r.errors[0].message))
    return r.errors[0]


def running(t, text="pg_sleep"):
    return [r for r in t.activity() if r["state"] == "active" and text in r["query"]]


def asleep(t, text="pg_sleep"):
    wait_until(lambda: running(t, text), 10, "it runs")


# ---- killed ----------------------------------------------------------------------------------------
@test
def killed_with_everything(t):
    """killed with three scopes on three pools, a lock, a semaphore and a query: all is released within 1 s, in order"""
    d, backends = scene(t, "p1", "p2", "p3")

    def script(side):
        c = d.connect("p1")
        side.say(c.session)
        c.sql("ENTER a ON p1, LOCK 'l', b ON p2, SEMAPHORE 's' LIMIT 1, c ON p3;"
              "USE a; INSERT INTO marks VALUES ('a'); DEFER ON ROLLBACK 'INSERT INTO marks VALUES (''undone'')';"
              "USE c; INSERT INTO marks VALUES ('c')")
        c.send(wire.query(SLEEP))
        side.say("in")
        side.stay()

    p = t.process(script)
    session = int(p.heard())
    equal(p.heard(), "in", "the process")
    asleep(t)
    equal(len([r for r in t.activity() if r["xact"]]), 3, "transactions")
    started = time.monotonic()
    p.kill()
    untouched(t, d, backends)
    wait_until(lambda: len(released(d, session)) == 5, 1, "all are released")
    took = time.monotonic() - started
    check(took < 1 * slow_factor(), "all was released after %.3f s" % took)
    equal(story(d, session)[-10:], [x for n in ("c", "s", "b", "l", "a")
                                    for x in (n + " exit", n + " released cancelled")], "the order")
    equal(marks(t), ["undone"], "rows")
    with d.connect("p1") as c:
        c.sql("ENTER LOCK 'l' WAIT '0', SEMAPHORE 's' LIMIT 1 WAIT '0', a WAIT '0', b ON p2 WAIT '0',"
              "c ON p3 WAIT '0'")
        equal([c.sql("USE %s; SELECT pg_backend_pid()" % n)[0][0] for n in "abc"],
              [str(backends[n]) for n in ("p1", "p2", "p3")], "the same backends")
    untouched(t, d, backends)


@test
def killed_in_exit(t):
    """killed during EXIT: what has begun is finished: committed if nothing has failed, rolled back otherwise"""
    d, backends = scene(t, "p1", "p2")
    slow = "DEFER 'INSERT INTO marks SELECT ''deferred'' FROM pg_sleep(0.3)'"
    for end, want in (("EXIT", ["b", "deferred"]), ("EXIT ALL", ["b", "deferred", "a"]),
                      ("EXIT ROLLBACK", ["deferred"])):
        t.sql("TRUNCATE marks")
        c = d.connect("p1")
        c.sql("ENTER a; INSERT INTO marks VALUES ('a'); ENTER b ON p2; INSERT INTO marks VALUES ('b'); " + slow)
        c.send(wire.query(end))
        asleep(t)
        c.drop()
        untouched(t, d, backends, within=2)
        equal(sorted(marks(t)), sorted(want), "rows after " + end)
        equal(released(d, c.session), ["b", "a"], "the order")


@test
def killed_in_undoing(t):
    """killed while an ENTER that has failed is undone: that is finished; a second kill or cancel changes nothing"""
    t.sql("CREATE TABLE marks (a text)")
    d = t.daemon(pools=pools(t, "p1"), scopes={"s": {
        "cleanup": "INSERT INTO marks SELECT 'cleaned' FROM pg_sleep(0.3)"}})
    backends = warm(d, "p1")
    c = d.connect("p1")
    c.send(wire.query("ENTER s AS a, b ON nowhere"))
    asleep(t)
    c.cancel()
    c.drop()
    untouched(t, d, backends, within=2)
    equal(marks(t), ["cleaned"], "rows")
    told(d, c.session, ["a enter", "a granted", "b enter", "a exit", "a released rolled back"]
         if "b enter" in story(d, c.session) else ["a enter", "a granted", "a exit", "a released rolled back"])


# ---- deadlines -------------------------------------------------------------------------------------
LATE = 0.05  # what a deadline may be off by


def expires(t, d, c, began, deadline, name="a"):
    """The frame expires at its time by the daemon's log, and its server has ended soon after."""
    e = wait_for(d, "expired", name, c.session)
    asked = [x for x in events(d, c.session, "enter") if x.name == name][-1]
    late = e.at - asked.at - deadline
    check(-0.01 < late < LATE * slow_factor(), "the deadline was %.3f s late" % late)
    return e


def after_expiry(t, d, c, backends, name="a"):
    """The session goes on; what goes to the scope is 57014 until it is exited."""
    wait_for(d, "released", name, c.session)
    untouched(t, d, backends)
    for ask in (c.ask, c.ask_extended):
        e = one_error(ask("INSERT INTO marks VALUES ('late')"), "57014", '"%s"' % name)
        check("deadline" in e.message, "the message: " + e.message)
        equal(c.status, "E", "the status")
    equal(states(c), [(name, "expired")], "SHOW SCOPES")
    one_error(c.ask("EXIT"), "57014", '"%s"' % name)
    equal((c.status, states(c)), ("I", []), "after EXIT")
    equal(c.value("SELECT 1"), "1", "the session goes on")
    equal(marks(t), [], "rows")


@test
def deadline_before_the_rest(t):
    """DEADLINE passes between Parse with Flush and Bind (as asyncpg sends them), and the rest comes before PostgreSQL has answered
    the Sync that ends the exchange: one error, one ReadyForQuery for the client's own Sync, and the session goes on"""
    t.sql("CREATE TABLE marks (a text)")
    conf = pools(t, "db", "p2")
    conf["p2"]["scope_deadline"] = "250ms"
    d = t.daemon(pools=conf)
    first = wire.parse("INSERT INTO marks VALUES ('x')", "s") + wire.describe("S", "s") + wire.flush()
    rest = wire.bind(statement="s") + wire.execute()
    for pool, begin, end in (("db", "ENTER a DEADLINE '250ms'", "LEAVE ROLLBACK"), ("db", "ENTER a DEADLINE '250ms'; ENTER b", "LEAVE ALL ROLLBACK"),
                             ("p2", "BEGIN", "ROLLBACK")):
        for parts in ((rest + wire.sync(),), (rest, wire.sync()), (wire.sync(),), (rest + wire.flush(), wire.sync() + wire.query("SELECT 1")),
                      (rest + wire.sync() + rest + wire.sync(),)):
            c, other = t.client(d, pool), t.client(d, "pgwith")
            equal(c.ask(begin).errors, [], begin)
            pid = int(c.value("SELECT pg_backend_pid()"))
            c.send(first)
            c.until("n")
            t.cluster.signal(pid, signal.SIGSTOP)
            try:
                wait_until(lambda: d.log_text().count(" expired ") == 1, 10, "it has expired")
                c.send(parts[0])
                for _ in range(3):  # each a turn of the loop
                    other.ask("SHOW VERSION")
            finally:
                t.cluster.signal(pid, signal.SIGCONT)
            for more in parts[1:]:
                c.send(more)
            wanted = b"".join(parts).count(wire.sync()) + b"".join(parts).count(b"SELECT 1")
            r = [c.until_ready() for _ in range(wanted)]
            equal([e.sqlstate for e in r[0].errors], ["57014"], "the error of the exchange, %s %r: %s" % (begin, parts, r[0].errors))
            equal("".join(x.kinds for x in r[:1]), "EZ", "nothing of the exchange is answered, %s %r" % (begin, parts))
            r = c.ask(end)
            equal((r.errors, c.status), ([], "I"), end)
            equal((c.value("SELECT 7"), marks(t)), ("7", []), "it goes on, and nothing was done")
            c.close()
            other.close()
            all_quiet(d, pool)
            open(d.log, "w").close()


@test
def deadline_while_running(t):
    """DEADLINE passes in a running query: cancelled and rolled back in time, the server is kept"""
    d, backends = scene(t, "db")
    c = t.client(d)
    began = time.monotonic()
    c.sql("ENTER a DEADLINE '400ms'; INSERT INTO marks VALUES ('x')")
    took, r = seconds(c.ask, SLEEP)
    took = time.monotonic() - began
    one_error(r, "57014")
    check(0.39 < took < 0.4 + 2 * LATE * slow_factor() + 0.1, "the answer came after %.3f s" % took)
    equal(r.status, "E", "the status")
    expires(t, d, c, began, 0.4)
    after_expiry(t, d, c, backends)


@test
def deadline_while_idle(t):
    """DEADLINE passes while the client is idle: rolled back in time, without a word until it asks"""
    d, backends = scene(t, "db")
    c = t.client(d)
    c.sql("ENTER a DEADLINE '300ms'; INSERT INTO marks VALUES ('x')")
    expires(t, d, c, 0, 0.3)
    check(c.silent(), "nothing comes unasked")
    after_expiry(t, d, c, backends)


@test
def deadline_in_copy(t):
    """DEADLINE passes in COPY IN: the copy is ended; what the client still sends is dropped"""
    d, backends = scene(t, "db")
    c = t.client(d)
    c.sql("ENTER a DEADLINE '300ms'")
    c.send(wire.query("COPY marks FROM STDIN"))
    c.until("G")
    c.send(wire.copy_data(b"x\n"))
    expires(t, d, c, 0, 0.3)
    wait_for(d, "released", "a", c.session)
    c.send(wire.copy_data(b"y\n") + wire.copy_done())
    r = c.until_ready()
    one_error(r, "57014")
    check(c.silent(), "one answer")
    after_expiry(t, d, c, backends)


@test
def deadline_without_sync(t):
    """DEADLINE passes in the middle of an extended exchange, answered and not, failed and not: one error, one answer"""
    d, backends = scene(t, "db")
    for n, (sent, upto) in enumerate((
            (wire.parse("SELECT 1") + wire.bind() + wire.flush(), "2"),
            (wire.parse("SELECT 1") + wire.bind() + wire.execute() + wire.flush(), "C"),
            (wire.parse("SELECT 1") + wire.bind(), None),
            (wire.parse("SELECT nonsense") + wire.flush(), "E"),
            (wire.parse("SELECT generate_series(1, 9)") + wire.bind() + wire.execute(limit=2) + wire.flush(), "s"),
            (wire.extended(SLEEP) + wire.flush(), "T"),
            (wire.parse("COPY marks FROM STDIN") + wire.bind() + wire.execute() + wire.flush(), "G"))):
        c = d.connect()
        c.sql("ENTER a DEADLINE '300ms'")
        c.send(sent)
        seen = c.until(upto) if upto else None
        expires(t, d, c, 0, 0.3)
        wait_for(d, "released", "a", c.session)
        untouched(t, d, backends)
        c.send(wire.extended("INSERT INTO marks VALUES ('late')") + wire.sync())
        r = c.until_ready()
        errors = r.errors + (seen.errors if seen else [])
        equal(len(errors), 1, "errors of case %d (%s)" % (n, errors))
        check(errors[0].sqlstate == ("42703" if upto == "E" else "57014"), "case %d: %s" % (n, errors[0]))
        equal(r.status, "E", "the status of case %d" % n)
        check(c.silent(), "one answer")
        after_expiry(t, d, c, backends)
        c.close()


@test
def deadline_while_entering(t):
    """DEADLINE passes while entering: for a pool, a lock, a lock of PostgreSQL's, in the second of two items"""
    d, backends = scene(t, "p1", "p2")
    holder = t.client(d, "p2")
    holder.sql("ENTER LOCK 'l', x")
    c = t.client(d, "p1")
    for items, name in (("a ON p2 DEADLINE '300ms'", "a"), ("LOCK 'l' DEADLINE '300ms'", "l"),
                        ("b, a ON p2 DEADLINE '300ms'", "a"), ("a DEADLINE '300ms', b ON p2", "a"),
                        ("a DEADLINE '300ms', LOCK 'l'", "a")):
        took, r = seconds(c.ask, "ENTER " + items)
        e = one_error(r, "57014", '"%s"' % name, items)
        check("deadline" in e.message, "the message: " + e.message)
        check(0.29 < took < 0.3 + (LATE + 0.1) * slow_factor(), "%s: %.3f s" % (items, took))
        equal((r.status, states(c)), ("I", []), "nothing is entered")
    equal(d.waiting("p2"), 0, "nobody waits")
    holder.sql("EXIT ALL")
    untouched(t, d, backends)


@test
def deadline_of_postgresqls_lock(t):
    """DEADLINE passes while a lock of PostgreSQL's is waited for: cancelled, and the server is kept"""
    d, _ = scene(t, "db", size=2)
    holder, c = t.client(d), t.client(d)
    holder.sql("ENTER LOCK 'l' ON db")
    took, r = seconds(c.ask, "ENTER LOCK 'l' ON db AS a DEADLINE '400ms'")
    one_error(r, "57014", '"a"')
    check(0.39 < took < 0.4 + (LATE + 0.3) * slow_factor(), "it took %.3f s" % took)
    equal((r.status, states(c)), ("I", []), "nothing is entered")
    pids = d.server_pids()
    holder.sql("EXIT")
    all_quiet(d, "db")
    equal(d.server_pids(), pids, "the servers")


@test
def deadline_of_an_outer_one(t):
    """DEADLINE of an outer scope: those inside are ended first, innermost first, and are expired as well"""
    d, backends = scene(t, "p1", "p2")
    c = t.client(d, "p1")
    c.sql("ENTER top SUPPRESS, LOCK 'o', a ON p2 DEADLINE '400ms', sp ON p2, LOCK 'l'; INSERT INTO marks VALUES ('x')")
    one_error(c.ask(SLEEP), "57014")
    wait_for(d, "released", "a", c.session)
    equal(released(d, c.session), ["l", "sp", "a"], "the order")
    equal({e.fields["outcome"] for e in events(d, c.session, "released")}, {"expired"}, "the outcomes")
    equal(states(c), [("top", "open"), ("o", "open"), ("a", "expired"), ("sp", "expired"), ("l", "expired")],
          "SHOW SCOPES")
    one_error(c.ask("SELECT 1"), "57014", '"a"')
    c.sql("USE top; INSERT INTO marks VALUES ('outside')")
    with d.connect("p2") as other:
        other.sql("ENTER LOCK 'l' WAIT '0', z WAIT '1s'; EXIT ALL")
    r = c.ask("EXIT ROLLBACK")
    equal((r.errors, r.status), ([], "T"), "EXIT ROLLBACK of an expired one")
    one_error(c.ask("EXIT"), "57014", "", "EXIT of sp")
    one_error(c.ask("EXIT"), "57014", '"a"')
    r = c.ask("EXIT ALL")
    equal((r.errors, r.status), ([], "I"), "the outer ones are good")
    equal(marks(t), ["outside"], "rows")
    untouched(t, d, backends)


@test
def deadline_of_a_lock(t):
    """DEADLINE of a lock: what runs inside without a scope is cancelled, a BEGIN rolled back, a wait given up"""
    d, backends = scene(t, "p1", size=1)
    c = d.connect("p1")
    enter = "ENTER LOCK 'l' DEADLINE '300ms'"
    refused = 'scope "l" was ended: its deadline of 300ms'

    def over(what):
        """Everything is refused until the lock is exited, which others can have by now."""
        one_error(c.ask("SELECT 1"), "57014", refused, what)
        one_error(c.ask_extended("SELECT 1"), "57014", refused, what)
        with d.connect("p1") as other:
            other.sql("ENTER LOCK 'l' WAIT '0'; EXIT")
        one_error(c.ask("EXIT"), "57014", refused, what)
        equal(c.value("SELECT 1"), "1", what)

    c.sql(enter)
    took, r = seconds(c.ask, SLEEP)
    one_error(r, "57014", "deadline of", "a statement")
    check(took < 0.35 + slow_factor(), "cancelled after %.3f s" % took)
    over("a statement")

    for n, begin in enumerate(("BEGIN", "BEGIN; INSERT INTO marks VALUES ('x')")):
        c.sql(enter + "; " + begin)
        wait_for(d, "expired", "l", c.session, n + 2)
        one_error(c.ask("SELECT 1"), "57014", refused, begin)
        equal("ROLLBACK, then" in one_error(c.ask("EXIT"), "57014", refused, begin).hint, True, begin)
        equal([(r.tags, r.errors, r.status) for r in [c.ask("ROLLBACK")]], [(["ROLLBACK"], [], "I")], begin)
        over(begin)
    equal(marks(t), [], "rows")

    with d.connect("p1") as holder:
        holder.sql("ENTER h")
        c.sql(enter)
        one_error(c.ask("SELECT 1"), "57014", refused, "a wait")
        holder.sql("EXIT")
    over("a wait")
    untouched(t, d, backends)


@test
def deadline_suppressed(t):
    """DEADLINE with SUPPRESS: EXIT succeeds with a NOTICE; a savepoint's own deadline leaves its transaction good"""
    d, backends = scene(t, "db")
    c = t.client(d)
    c.sql("ENTER a DEADLINE '200ms' SUPPRESS; INSERT INTO marks VALUES ('x')")
    wait_for(d, "released", "a")
    r = c.ask("EXIT")
    equal((r.errors, r.status, [(n["S"], n["C"]) for n in r.notices]), ([], "I", [("NOTICE", "57014")]), "EXIT")
    c.sql("ENTER b; INSERT INTO marks VALUES ('kept'); ENTER sp DEADLINE '200ms'; INSERT INTO marks VALUES ('y')")
    one_error(c.ask(SLEEP), "57014")
    one_error(c.ask("SELECT 1"), "57014", '"sp"')
    one_error(c.ask("EXIT"), "57014", '"sp"')
    equal(c.status, "T", "the status")
    c.sql("INSERT INTO marks VALUES ('kept too'); EXIT")
    equal(marks(t), ["kept", "kept too"], "rows")
    untouched(t, d, backends)


@test
def deadline_and_deferred(t):
    """what was deferred and the clean-up of the definition run when a deadline ends the scope"""
    d, backends = scene(t, "db", scopes={"s": {"deadline": "300ms",
                                              "cleanup": "INSERT INTO marks VALUES ('cleaned')",
                                              "on_rollback": "INSERT INTO marks VALUES ('rollback')",
                                              "on_commit": "INSERT INTO marks VALUES ('commit')"}})
    c = t.client(d)
    c.sql("ENTER s AS a (); INSERT INTO marks VALUES ('x'); DEFER 'INSERT INTO marks VALUES (''deferred'')'")
    one_error(c.ask(SLEEP), "57014")
    wait_for(d, "released", "a")
    equal(marks(t), ["deferred", "rollback", "cleaned"], "rows")
    one_error(c.ask("EXIT"), "57014")
    untouched(t, d, backends)


def limits(t, cases):
    for option, start, run in cases:
        t.new_database()
        d, backends = scene(t, "db", **{option: "400ms"})
        c = t.client(d)
        c.sql("%s; INSERT INTO marks VALUES ('x')" % start)
        if run:
            one_error(c.ask(run), "57014", "", option)
        untouched(t, d, backends, within=3)
        r = c.ask("SELECT 1")
        e = one_error(r, "57014", "", option + " " + start)
        check((option in e.message or "deadline" in e.message) and r.status == "E", "%s: %s" % (option, e))
        if start == "BEGIN":
            equal(c.ask("ROLLBACK").status, "I", "the status")
        else:
            one_error(c.ask("EXIT"), "57014")
        equal((c.value("SELECT 1"), marks(t)), ("1", []), "the session goes on")
        d.stop()


@test
def limits_of_a_pool(t):
    """scope_deadline of a pool: the same gentle end"""
    limits(t, (("scope_deadline", "ENTER a", None),))


@test
def more_limits_of_a_pool(t):
    """idle_in_scope_timeout and query_timeout, and all of them for a plain BEGIN"""
    limits(t, (("idle_in_scope_timeout", "ENTER a", None),
               ("query_timeout", "ENTER a", SLEEP), ("scope_deadline", "BEGIN", None),
               ("idle_in_scope_timeout", "BEGIN", None), ("query_timeout", "BEGIN", SLEEP)))


# ---- cancel requests -------------------------------------------------------------------------------
@test
def cancel_while_entering(t):
    """CancelRequest while entering: 57014, and nothing of the ENTER stays"""
    d, backends = scene(t, "p1", "p2")
    holder, c = t.client(d, "p2"), t.client(d, "p1")
    holder.sql("ENTER LOCK 'l', x")
    for items, name in (("a, LOCK 'l'", "l"), ("a, b ON p2", "b"), ("LOCK 'l'", "l")):
        seen = len(events(d))
        c.send(wire.query("ENTER " + items))
        wait_until(lambda: [e for e in events(d, c.session, "enter", seen) if e.name == name], 5, "it waits")
        c.cancel()
        one_error(c.until_ready(), "57014", '"%s"' % name)
        equal((c.status, states(c)), ("I", []), "nothing is entered")
    holder.sql("EXIT ALL")
    untouched(t, d, backends)
    equal(c.value("SELECT 1"), "1", "no cancel is left")


@test
def cancel_in_postgresqls_lock(t):
    """CancelRequest while a lock of PostgreSQL's is waited for: PostgreSQL's 57014, and nothing stays"""
    d, _ = scene(t, "db", size=2)
    holder, c = t.client(d), t.client(d)
    holder.sql("ENTER LOCK 'l' ON db")
    c.send(wire.query("ENTER LOCK 'l' ON db"))
    asleep(t, "pg_advisory_xact_lock")
    c.cancel()
    one_error(c.until_ready(), "57014")
    equal((c.status, states(c)), ("I", []), "nothing is entered")
    holder.sql("EXIT")
    all_quiet(d, "db")


@test
def cancel_while_exiting(t):
    """CancelRequest during EXIT: what has begun is finished"""
    d, backends = scene(t, "db")
    c = t.client(d)
    for end, want in (("EXIT", ["x", "deferred"]), ("EXIT ROLLBACK", ["deferred"])):
        t.sql("TRUNCATE marks")
        c.sql("ENTER a; INSERT INTO marks VALUES ('x'); DEFER 'INSERT INTO marks SELECT ''deferred'' FROM pg_sleep(0.3)'")
        c.send(wire.query(end))
        asleep(t)
        c.cancel()
        r = c.until_ready()
        equal((r.errors, r.notices, r.status), ([], [], "I"), "the answer of " + end)
        equal(marks(t), want, "rows after " + end)
        equal(c.value("SELECT 1"), "1", "no cancel is left")
    untouched(t, d, backends)


# ---- servers and the daemon ------------------------------------------------------------------------
@test
def server_lost(t):
    """a server is lost inside a scope: the client is told, all else that it held is released"""
    d, backends = scene(t, "p1", "p2")
    for idle in (True, False):
        c = d.connect("p1")
        c.sql("ENTER a ON p2, LOCK 'l', b ON p1; INSERT INTO marks VALUES ('x')")
        if not idle:
            c.send(wire.query(SLEEP))
            asleep(t)
        t.sql("SELECT pg_terminate_backend(%d)" % c.backend() if idle else
              "SELECT pg_terminate_backend(%d)" % running(t)[0]["pid"])
        if idle:
            wait_until(lambda: len(t.activity()) == 1, 5, "the backend is gone")
            try:
                c.send(wire.query("SELECT 1"))
            except OSError:
                pass
        r = c.until_closed()
        check(r.errors and r.errors[-1].sqlstate in ("08006", "57P01"), "the error: %s" % r.errors)
        wait_until(lambda: len(released(d, c.session)) == 3, 2, "all is released")
        equal(released(d, c.session), ["b", "l", "a"], "the order")
        all_quiet(d, "p1", "p2")
        equal(d.server_pids("p2"), {backends["p2"]}, "the other server")
        with d.connect("p1") as other:
            other.sql("ENTER LOCK 'l' WAIT '0', b; SELECT 1; EXIT ALL")
    equal(marks(t), [], "rows")


@test
def server_lost_names_its_pool(t):
    """a server of another pool than the session's is lost: the error names the pool of that server"""
    proxies = {name: t.proxy() for name in ("p1", "p2")}
    d = t.daemon(pools={name: {"conninfo": t.conninfo(host=x.directory, port=x.port), "size": 3} for name, x in proxies.items()})
    for sql, pool in (("ENTER b ON p2", "p2"), ("ENTER a", "p1"), ("ENTER a; ENTER b ON p2", "p2"), ("ENTER b ON p2; ENTER a", "p1"),
                      ("ENTER a; ENTER b ON p2", "p1"), ("BEGIN", "p1")):
        c = d.connect("p1")
        c.sql(sql)
        c.sql("SELECT 1")
        # PostgreSQL has no time for last words.
        proxies[pool].cut()
        equal([e.message.partition(" was lost")[0] for e in c.until_closed().errors],
              ['the server connection of pool "%s"' % pool], "%s, and %s is cut" % (sql, pool))
        all_quiet(d, "p1", "p2")


@test
def server_lost_in_enter(t):
    """a server is lost during ENTER's second item, that of either item: the client is told, all is released"""
    d, _ = scene(t, "p1", "p2", size=2)
    holder = t.client(d, "p1")
    holder.sql("ENTER LOCK 'l' ON p1")
    for lost in ("of the second item", "of the first item"):
        c = d.connect("p1")
        c.send(wire.query("ENTER a ON p2; INSERT INTO marks VALUES ('x'); SELECT pg_backend_pid()"))
        first = int(c.until_ready().rows[0][0])
        c.send(wire.query("ENTER b ON p2 NEW, LOCK 'l' ON p1 AS k"))
        asleep(t, "pg_advisory_xact_lock")
        second = running(t, "pg_advisory_xact_lock")[0]["pid"]
        t.sql("SELECT pg_terminate_backend(%d)" % (second if lost == "of the second item" else first))
        one_error(c.until_closed(), "08006", "", lost)
        wait_until(lambda: len(released(d, c.session)) == 3, 5, "all is released")
        equal(released(d, c.session), ["k", "b", "a"], "the order")
        equal(marks(t), [], "rows")
    holder.sql("EXIT")
    all_quiet(d, "p1", "p2")
    with d.connect("p1") as other:
        other.sql("ENTER a ON p2, LOCK 'l' ON p1; EXIT ALL")


@test
def server_lost_in_exit(t):
    """a server is lost during the exit of one scope: the others are released, and the daemon goes on"""
    d, _ = scene(t, "p1", "p2")
    c = d.connect("p1")
    c.sql("ENTER a ON p2, LOCK 'l', b ON p1; DEFER 'SELECT pg_sleep(30)'")
    c.send(wire.query("EXIT ALL"))
    asleep(t)
    t.sql("SELECT pg_terminate_backend(%d)" % running(t)[0]["pid"])
    r = c.until_closed()
    check(r.errors, "an error")
    wait_until(lambda: len(released(d, c.session)) == 3, 2, "all is released")
    equal(released(d, c.session), ["b", "l", "a"], "the order")
    all_quiet(d, "p1", "p2", within=5)


@test
def daemon_ends(t):
    """SIGTERM while scopes are open: they may be finished; those that are not are rolled back, in order"""
    d, _ = scene(t, "p1", "p2", options={"shutdown_timeout": "2s"})
    good, bad = d.connect("p1"), d.connect("p2")
    good.sql("ENTER a; INSERT INTO marks VALUES ('good')")
    bad.sql("ENTER b, LOCK 'l', sp; INSERT INTO marks VALUES ('bad')")
    d.signal(signal.SIGTERM)
    wait_until(lambda: d.log_has("draining"), 5, "it drains")
    good.sql("INSERT INTO marks VALUES ('late')")
    r = good.ask("EXIT")
    equal(r.errors, [], "the exit of one that ends in time")
    good.until_closed()
    r = bad.until_closed()
    check([e.sqlstate for e in r.errors] == ["57P01"], "the error: %s" % r.errors)
    d.wait_end(10)
    equal(released(d, bad.session), ["sp", "l", "b"], "the order")
    equal(marks(t), ["good", "late"], "rows")
    wait_until(lambda: not t.activity(), 5, "no backend is left")


# ---- waits that would never end --------------------------------------------------------------------
def waits(d, c, sql, name):
    """Sends it and waits until the daemon says that it was asked for."""
    c.send(wire.query(sql))
    wait_for(d, "enter", name, c.session)


@test
def deadlocks(t):
    """a circle over locks, semaphores, upgrades, leases and all of them is 40P01 for the one that closes it"""
    d, backends = scene(t, "p1", "p2")
    for name, first, second, third, fourth in (
            ("locks", "LOCK 'x'", "LOCK 'y'", "LOCK 'y' AS w", "LOCK 'x' AS z"),
            ("semaphores", "SEMAPHORE 'x' LIMIT 1", "SEMAPHORE 'y' LIMIT 1", "SEMAPHORE 'y' LIMIT 1 AS w",
             "SEMAPHORE 'x' LIMIT 1 AS z"),
            ("upgrades", "LOCK 'x' SHARED", "LOCK 'x' SHARED AS y", "LOCK 'x' AS w", "LOCK 'x' AS z"),
            ("leases", "a ON p1", "b ON p2", "w ON p2", "z ON p1"),
            ("a lease and a lock", "a ON p1", "LOCK 'x'", "LOCK 'x' AS w", "z ON p1"),
            ("a semaphore and a lease", "SEMAPHORE 's' LIMIT 1", "a ON p2", "w ON p2", "SEMAPHORE 's' LIMIT 1 AS z")):
        one, two = d.connect("p1"), d.connect("p2")
        one.sql("ENTER " + first)
        two.sql("ENTER " + second)
        waits(d, one, "ENTER " + third, "w")
        took, r = seconds(two.ask, "ENTER " + fourth)
        e = one_error(r, "40P01", "", name)
        check("session %d" % one.session in e.detail and "session %d" % two.session in e.detail,
              "the circle of %s: %s" % (name, e.detail))
        check(took < 1 * slow_factor(), "at once: %.3f s" % took)
        equal([x[0] for x in states(two)], [second.split(" AS ")[-1].split(" ")[-1].strip("'") if " AS " in second
                                            else states(two)[0][0]], "what it had stays")
        two.sql("EXIT ALL")
        equal(one.until_ready().errors, [], "the other goes on")
        one.sql("EXIT ALL")
        one.close()
        two.close()
        untouched(t, d, backends)


@test
def deadlock_with_a_plain_client(t):
    """a session that holds a lock waits for the last server by a plain statement whose holder waits for the lock"""
    d, backends = scene(t, "db")
    one, two = t.client(d), t.client(d)
    one.sql("ENTER LOCK 'x'")
    two.sql("ENTER a")
    waits(d, two, "ENTER LOCK 'x' AS w", "w")
    e = one_error(one.ask("SELECT 1"), "40P01")
    check("db" in e.detail, "the circle: %s" % e.detail)
    e = one_error(one.ask_extended("SELECT 1"), "40P01")
    one.sql("EXIT")
    equal(two.until_ready().errors, [], "the other goes on")
    equal(one.key is not None and two.ask("EXIT ALL").errors, [], "EXIT ALL")
    untouched(t, d, backends)


@test
def no_deadlock_invented(t):
    """waits in a chain are no circle: each is served when the one before it goes"""
    d, backends = scene(t, "db")
    clients = [t.client(d) for _ in range(6)]
    clients[0].sql("ENTER LOCK 'l0'")
    for n, c in enumerate(clients[1:], 1):
        waits(d, c, "ENTER LOCK 'l%d', LOCK 'l%d' AS w%d" % (n, n - 1, n), "w%d" % n)
    clients[0].sql("EXIT ALL")
    for c in clients[1:]:
        equal(c.until_ready().errors, [], "it is served")
        c.sql("EXIT ALL")
    untouched(t, d, backends)


# ---- the words ---------------------------------------------------------------------------------------
@test
def the_error_says_why(t):
    """a statement that a limit has cancelled: its own error names scope and limit, in either protocol; a cancel of the
    client's and PostgreSQL's own time-outs are told as PostgreSQL says them"""
    d = t.daemon(pools=pools(t, "db", size=2))
    c = t.client(d)
    sleep = "SELECT pg_sleep(60)"
    for opens, words in (("ENTER a DEADLINE '150ms'", 'scope "a" was ended: its deadline of 150ms'),
                         ("ENTER LOCK 'l' DEADLINE '150ms'", 'scope "l" was ended: its deadline of 150ms'),
                         ("ENTER o DEADLINE '150ms'; ENTER i; BEGIN", 'scope "o" was ended: its deadline of 150ms')):
        for ask in (c.ask, c.ask_extended):
            c.sql(opens)
            r = ask(sleep)
            check([e.sqlstate for e in r.errors] == ["57014"] and words in r.errors[0].message, "%s: %s" % (opens, r.errors))
            c.ask("ROLLBACK")
            c.ask("LEAVE ALL ROLLBACK")

    def running():
        return [a for a in t.activity() if "pg_sleep" in (a["query"] or "") and a["state"] == "active"]

    c.sql("ENTER a DEADLINE '1min'")
    c.send(wire.query(sleep))
    wait_until(running, 5, "it runs")
    c.cancel()
    equal([e.message for e in c.until_ready().errors], ["canceling statement due to user request"], "the client's own")
    c.ask("LEAVE ROLLBACK")
    c.send(wire.query(sleep))
    wait_until(running, 5, "it runs")
    with d.connect("pgwith") as k:
        equal(k.ask("KILL SCOPE %d" % c.session).errors, [], "KILL SCOPE")
    check("an administrator has ended it" in c.until_ready().errors[0].message, "an administrator's")
    equal(c.ask("SELECT 1").errors, [], "nothing is left of it")
    d2 = t.daemon(pools=pools(t, "db", size=1, query_timeout="200ms"))
    c = t.client(d2)
    for _ in range(2):
        check("query_timeout, 200ms" in c.ask(sleep).errors[0].message, "query_timeout")
        equal(c.ask("SELECT 1").errors, [], "nothing is left of it")
    c.sql("SET statement_timeout = '50ms'")
    equal([e.message for e in c.ask(sleep).errors], ["canceling statement due to statement timeout"], "PostgreSQL's own")


@test
def a_lock_names_its_holder(t):
    """WAIT of a lock or semaphore is over: the error names who has it, by session, role and process, and for how long"""
    d = t.daemon(pools=pools(t, "db", size=1))
    a, b = t.client(d), t.client(d)
    for what in ("LOCK 'l'", "LOCK 'l' SHARED", "SEMAPHORE 's' LIMIT 1"):
        a.sql("ENTER " + what)
        for wait in ("0", "50ms"):
            e = one_error(b.ask("ENTER %s WAIT '%s'" % (what.replace(" SHARED", ""), wait)), "55P03")
            check(re.fullmatch(r"held for \S+ by session %d \(.*pid %d.*\)" % (a.session, os.getpid()), e.detail or ""), "the detail: %s" % e.detail)
        a.sql("LEAVE")


if __name__ == "__main__":
    main()
