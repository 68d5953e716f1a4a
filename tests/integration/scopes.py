"""The scenarios that pgwith was made for: what `async with` is to a Python program, each through psycopg 3 on
real PostgreSQL. The daemon's log shows the order of events."""

import asyncio
import threading
import time

from pgwtest import check, equal, main, seconds, slow_factor, test, wait_until
from pgwtest.scopelog import (all_quiet, connect, dial, driver, elapsed, events, now, number, pools, refused,
                              released, story, told, untouched, wait_for, warm)


def in_background(t, function, *args):
    """Runs it in a thread; .result() waits for it and gives its value or raises."""
    class Work(threading.Thread):
        def run(self):
            try:
                self.value, self.error = function(*args), None
            except BaseException as e:  # pylint: disable=broad-except
                self.value, self.error = None, e

        def result(self):
            self.join(30 * slow_factor())
            check(not self.is_alive(), "it has not ended")
            if self.error:
                raise self.error
            return self.value

    work = Work(daemon=True)
    work.start()
    return work


def in_transaction(t, pid):
    """Is the backend idle in a transaction?"""
    return any(r["pid"] == pid and r["state"] == "idle in transaction" for r in t.activity())


# ---- 1 ---------------------------------------------------------------------------------------------
@test
def enter_use_exit(t):
    """1: enter, use, exit: the grant is awaited, the statement runs inside, the exit is awaited"""
    d = t.daemon()
    backends = warm(d, "db")
    c = connect(t, d)
    c.execute("ENTER a")
    equal(c.execute("SELECT pg_backend_pid()").fetchone()[0], backends["db"], "the backend")
    check(in_transaction(t, backends["db"]), "its transaction is open")
    equal(c.info.transaction_status.name, "INTRANS", "the status")
    elapsed(c.execute("EXIT").statusmessage)
    untouched(t, d, backends)
    want = ["a enter", "a granted", "a exit", "a released success"]
    told(d, number(c), want)
    refused(c, "EXIT", "55000", "no scope is open")
    equal(c.info.transaction_status.name, "IDLE", "the status")
    told(d, number(c), want)
    untouched(t, d, backends)


@test
def one_message(t):
    """1: the same as one text of three statements"""
    d = t.daemon()
    c = connect(t, d)
    cur = c.execute("ENTER a; SELECT 1; EXIT;")
    tags = [cur.statusmessage]
    while cur.nextset():
        tags.append(cur.statusmessage)
        if cur.description:
            equal(cur.fetchall(), [(1,)], "the row")
    equal(tags[:2], ["ENTER", "SELECT 1"], "the tags")
    elapsed(tags[2])
    told(d, number(c), ["a enter", "a granted", "a exit", "a released success"])


@test
def grant_is_awaited(t):
    """1: ENTER is answered when a server is free, EXIT when all of its work is done"""
    d = t.daemon()
    backends = warm(d, "db")
    a, b = connect(t, d), connect(t, d)
    a.execute("ENTER a")
    work = in_background(t, lambda: b.execute("ENTER b"))
    wait_until(lambda: d.waiting() == 1, 5, "the other waits")
    told(d, number(b), ["b enter"])
    a.execute("EXIT")
    work.result()
    told(d, number(b), ["b enter", "b granted"])
    check(events(d, number(a), "released")[0].at <= events(d, number(b), "granted")[0].at, "the order")
    b.execute("DEFER 'SELECT pg_sleep(0.3)'")
    took, _ = seconds(b.execute, "EXIT b")
    check(took >= 0.3, "EXIT was answered after %.3f s" % took)
    untouched(t, d, backends)


# ---- 2 ---------------------------------------------------------------------------------------------
@test
def commit_or_roll_back(t):
    """2: commit on success, roll back on error; EXIT of a failed scope is an error and says of what"""
    t.sql("CREATE TABLE x (who text, n int CHECK (n > 0))")
    d = t.daemon(size=2)

    def program(who, last):
        c = connect(t, d)
        c.execute("ENTER a")
        for n in (1, 2):
            c.execute("INSERT INTO x VALUES (%s, %s)", (who, n))
        try:
            c.execute("INSERT INTO x VALUES (%s, %s)", (who, last))
        except driver().errors.CheckViolation:
            pass
        return c

    good, bad = program("good", 3), program("bad", -1)
    elapsed(good.execute("EXIT").statusmessage)
    equal(bad.info.transaction_status.name, "INERROR", "the status")
    diag = refused(bad, "EXIT", "40000", 'scope "a" failed and was rolled back')
    check("23514" in diag.message_detail, "the detail: %r" % diag.message_detail)
    equal(t.sql("SELECT who, count(*) FROM x GROUP BY 1"), [("good", "3")], "the rows")
    refused(bad, "USE a", "42704", 'scope "a" is not open')
    equal(bad.info.transaction_status.name, "IDLE", "the status")
    told(d, number(good), ["a enter", "a granted", "a exit", "a released success"])
    told(d, number(bad), ["a enter", "a granted", "a exit", "a released error"])
    equal(bad.execute("SELECT count(*) FROM x").fetchone(), (3,), "the session goes on")
    all_quiet(d, "db")


# ---- 3 ---------------------------------------------------------------------------------------------
@test
def a_lock(t):
    """3: a lock: two workers, three rounds each, never both inside; FIFO: they alternate"""
    t.sql("CREATE TABLE counter (n int); INSERT INTO counter VALUES (0)")
    d = t.daemon(size=2)

    def worker(side, rounds):
        c = dial(d)
        side.say(number(c))
        other = int(side.hear())
        for n in range(1, rounds + 1):
            c.execute("ENTER LOCK 'counter'")
            value = c.execute("SELECT n FROM counter").fetchone()[0]
            asked = time.monotonic() + 0.1
            # The other asks again while this one is inside, as long as it has rounds to go.
            wait_until(lambda: time.monotonic() >= asked and
                       (n == rounds or len(events(d, other, "enter")) >= n), 20, "the other asks")
            c.execute("UPDATE counter SET n = %s", (value + 1,))
            c.execute("EXIT counter")
        side.say("done")

    workers = [t.process(worker, 3) for _ in range(2)]
    ids = [int(w.heard()) for w in workers]
    workers[0].tell(ids[1])
    wait_for(d, "granted", "counter", ids[0])
    workers[1].tell(ids[0])
    for w in workers:
        equal(w.heard(), "done", "the worker")
        w.finish()
    equal(t.value("SELECT n FROM counter"), "6", "the counter")
    wait_until(lambda: len(events(d, what="released")) == 6, 5, "all are released")
    got = [(e.what, e.session) for e in events(d) if e.what in ("granted", "released")]
    equal(got, [(what, ids[i % 2]) for i in range(6) for what in ("granted", "released")],
          "one is inside after the other, in turns")
    equal([r["state"] for r in t.activity()], ["idle"] * len(t.activity()), "no transaction was needed")


# ---- 4 ---------------------------------------------------------------------------------------------
def in_order(d, name, limit):
    """From the log: never more than `limit` inside, entered in the order of asking."""
    inside, seen = 0, 0
    for e in events(d):
        inside += {"granted": 1, "released": -1}.get(e.what, 0)
        seen = max(seen, inside)
    check(seen == limit, "%d were inside at once" % seen)
    asked = [e.session for e in events(d, what="enter")]
    equal([e.session for e in events(d, what="granted")], asked, "the order of entry")


@test
def a_semaphore(t):
    """4: a semaphore of 2 and five workers: two inside, first come first served; a killed one's place is free"""
    d = t.daemon()

    def worker(side):
        c = dial(d)
        side.say(number(c))
        side.hear()
        c.execute("ENTER SEMAPHORE 'export' LIMIT 2")
        side.say("in")
        side.hear()
        c.execute("EXIT export")
        side.say("out")
        side.stay()

    workers = [t.process(worker) for _ in range(5)]
    ids = [int(w.heard()) for w in workers]
    for w, session in zip(workers, ids):
        w.tell("go")
        wait_for(d, "enter", "export", session)
    for w in workers[:2]:
        equal(w.heard(), "in", "the first two")
    equal(story(d).count("export granted"), 2, "workers inside")
    workers[0].tell("leave")
    equal(workers[0].heard(), "out", "the first leaves")
    equal(workers[2].heard(), "in", "the third is in")
    # One is killed inside: its place is free at once.
    started = time.monotonic()
    workers[1].kill()
    equal(workers[3].heard(), "in", "the fourth is in")
    check(time.monotonic() - started < 1 * slow_factor(), "at once")
    # And one that waits is killed: it was never inside.
    workers[4].kill()
    told(d, ids[4], ["export enter", "export exit", "export released cancelled"])
    for w in workers[2:4]:
        w.tell("leave")
        equal(w.heard(), "out", "it leaves")
    told(d, ids[1], ["export enter", "export granted", "export exit", "export released cancelled"])
    left = [e for e in events(d) if e.session != ids[4]]
    inside = 0
    for e in left:
        inside += {"granted": 1, "released": -1}.get(e.what, 0)
        check(0 <= inside <= 2, "%d are inside" % inside)
    equal([e.session for e in events(d, what="granted")], ids[:4], "the order of entry")


@test
def semaphore_order(t):
    """4: twelve rounds over a semaphore of 2 by threads: order of entry is order of asking"""
    d = t.daemon()

    def worker():
        c = dial(d)
        for _ in range(12):
            c.execute("ENTER SEMAPHORE 's' LIMIT 2")
            c.execute("EXIT s")
        c.close()

    for work in [in_background(t, worker) for _ in range(5)]:
        work.result()
    wait_until(lambda: len(events(d, what="released")) == 60, 5, "all are released")
    in_order(d, "s", 2)


# ---- 5 ---------------------------------------------------------------------------------------------
TIMED = {"timed": {"enter": "INSERT INTO journal VALUES ('begin', $1)",
                   "cleanup": "INSERT INTO journal VALUES ('end', $1)"}}


@test
def set_up_and_clean_up(t):
    """5: a defined scope: its clean-up has run on success, on error and after a kill; the time is reported"""
    t.sql("CREATE TABLE journal (what text, who text)")
    d = t.daemon(scopes=TIMED)
    backends = warm(d, "db")
    c = connect(t, d)
    c.execute("ENTER timed AS t ('import')")
    c.execute("SELECT pg_sleep(0.5)")
    ms = elapsed(c.execute("EXIT").statusmessage)
    check(500 <= ms < 1000 * slow_factor(), "%.1f ms were reported" % ms)
    equal(t.sql("TABLE journal"), [("begin", "import"), ("end", "import")], "the journal")

    c.execute("ENTER timed AS t ('bad')")
    refused(c, "SELECT 1/0", "22012")
    refused(c, "EXIT", "40000", 'scope "t" failed')
    equal(t.sql("TABLE journal")[2:], [("end", "bad")], "the journal after an error")

    def script(side):
        k = dial(d)
        side.say(number(k))
        k.execute("ENTER timed AS t ('killed')")
        side.say("in")
        k.execute("SELECT pg_sleep(60)")

    p = t.process(script)
    session = int(p.heard())
    equal(p.heard(), "in", "the process")
    wait_until(lambda: any(r["state"] == "active" and "pg_sleep(60)" in r["query"] for r in t.activity()), 5,
               "it runs")
    p.kill()
    wait_until(lambda: t.sql("TABLE journal")[3:] == [("end", "killed")], 1, "the journal after a kill")
    told(d, session, ["t enter", "t granted", "t exit", "t released cancelled"])
    told(d, number(c), ["t enter", "t granted", "t exit", "t released success",
                        "t enter", "t granted", "t exit", "t released error"])
    untouched(t, d, backends)


@test
def argument_is_bound(t):
    """5: an argument is a value, whatever is in it"""
    t.sql("CREATE TABLE journal (what text, who text)")
    d = t.daemon(scopes=TIMED)
    c = connect(t, d)
    nasty = "'); DROP TABLE journal; -- $1 \\"
    c.execute("ENTER timed AS t (%s)", (nasty,))
    c.execute("EXIT")
    equal(t.sql("TABLE journal"), [("begin", nasty), ("end", nasty)], "the journal")
    refused(c, "ENTER timed", "22023", "takes 1 argument")
    refused(c, "ENTER timed ('a', 'b')", "22023", "takes 1 argument")
    refused(c, "ENTER nobody AS n ('a')", "42704", "nobody")


# ---- 6 ---------------------------------------------------------------------------------------------
NESTED = ["a granted", "b granted", "c granted"]
UNNESTED = ["c released", "b released", "a released"]


def grants_and_releases(d, session, since=0):
    return [" ".join(str(e).split()[:2]) for e in events(d, session, since=since)
            if e.what in ("granted", "released")]


@test
def nesting(t):
    """6: in left to right, out right to left: on EXIT ALL, after an error, when the client is killed"""
    t.sql("CREATE TABLE x (n int)")
    d = t.daemon(pools=pools(t, "p1", "p2", "p3"))
    backends = warm(d, "p1", "p2", "p3")
    c = connect(t, d, "p1")
    enter = "ENTER a ON p1, b ON p2, c ON p3"
    for end, rows in (("EXIT ALL", 3), ("EXIT ALL ROLLBACK", 3)):
        seen = len(events(d))
        c.execute(enter)
        for name in "abc":
            c.execute("USE " + name)
            c.execute("INSERT INTO x VALUES (1)")
        equal(len([r for r in t.activity() if r["xact"]]), 3, "transactions")
        if "ROLLBACK" in end:
            refused(c, "SELECT nonsense", "42703")
        elapsed(c.execute(end).statusmessage)
        equal(grants_and_releases(d, number(c), seen), NESTED + UNNESTED, "the order of " + end)
        equal(t.value("SELECT count(*) FROM x"), str(rows), "rows after " + end)
        untouched(t, d, backends)

    def script(side):
        k = dial(d, "p1")
        side.say(number(k))
        k.execute(enter)
        k.execute("INSERT INTO x VALUES (2)")
        side.say("in")
        k.execute("SELECT pg_sleep(60)")

    p = t.process(script)
    session = int(p.heard())
    equal(p.heard(), "in", "the process")
    p.kill()
    untouched(t, d, backends)
    equal(grants_and_releases(d, session), NESTED + UNNESTED, "the order after a kill")
    equal({e.fields["outcome"] for e in events(d, session, "released")}, {"cancelled"}, "outcomes")
    equal(t.value("SELECT count(*) FROM x"), "3", "rows after the kill")


@test
def last_one_not_entered(t):
    """6: if c cannot be entered, b is released, then a, and the client gets c's error"""
    d = t.daemon(pools=dict(pools(t, "p1", "p2"), **pools(t, "p3", wait_timeout="200ms"),
                            **pools(t, "gone", conninfo=t.conninfo(dbname="no_such_database"))))
    backends = warm(d, "p1", "p2", "p3")
    holder = connect(t, d, "p3")
    holder.execute("ENTER hold")
    c = connect(t, d, "p1")
    for last, sqlstate in (("c ON p3", "53300"), ("c ON p3 WAIT '0'", "53300"), ("c ON nowhere", "3D000"),
                           ("c ON gone", "08001"), ("a ON p3 NEW", "42710"), ("x AS c ('1')", "42704")):
        seen = len(events(d))
        refused(c, "ENTER a ON p1, b ON p2, " + last, sqlstate)
        equal([r for r in grants_and_releases(d, number(c), seen) if r[0] in "ab"],
              NESTED[:2] + UNNESTED[1:], "the order with " + last)
        equal(c.info.transaction_status.name, "IDLE", "the status")
        refused(c, "EXIT", "55000")
    holder.execute("EXIT")
    untouched(t, d, backends)


# ---- 7 ---------------------------------------------------------------------------------------------
@test
def error_passed_on(t):
    """7: an inner savepoint scope fails: it is rolled back, its EXIT is an error, the outer one commits"""
    t.sql("CREATE TABLE x (n int)")
    d = t.daemon()
    backends = warm(d, "db")
    for suppress, number_of in (("", 1), (" SUPPRESS", 3)):
        c = connect(t, d)
        c.execute("ENTER outside")
        c.execute("INSERT INTO x VALUES (1)")
        c.execute("ENTER inside" + suppress)
        equal(c.execute("SELECT pg_backend_pid()").fetchone()[0], backends["db"], "the backend")
        c.execute("INSERT INTO x VALUES (2)")
        refused(c, "SELECT 1/0", "22012")
        if suppress:
            elapsed(c.execute("EXIT").statusmessage)
            notice = [n for n in c.notices if n.severity == "NOTICE"]
            equal(len(notice), 1, "notices")
            equal(notice[0].message, 'scope "inside" failed and was rolled back', "the notice")
            check("22012" in notice[0].detail, "its detail: %s" % notice[0].detail)
        else:
            diag = refused(c, "EXIT", "40000", 'scope "inside" failed and was rolled back')
            check("22012" in diag.message_detail, "the detail: %s" % diag.message_detail)
        equal(c.info.transaction_status.name, "INTRANS", "the status")
        c.execute("INSERT INTO x VALUES (3)")
        elapsed(c.execute("EXIT outside").statusmessage)
        equal(t.sql("SELECT n, count(*) FROM x GROUP BY 1 ORDER BY 1"),
              [("1", str((number_of + 1) // 2)), ("3", str((number_of + 1) // 2))], "the rows")
        told(d, number(c), ["outside enter", "outside granted", "inside enter", "inside granted",
                            "inside exit", "inside released error", "outside exit",
                            "outside released success"])
    untouched(t, d, backends)


# ---- 8 ---------------------------------------------------------------------------------------------
SLOW_CLEANUP = {"slow": {"enter": "INSERT INTO journal VALUES ('begin')",
                         "cleanup": "INSERT INTO journal SELECT 'end' FROM pg_sleep(0.1)"}}


@test
def killed_in_the_middle(t):
    """8: killed while a query runs: stopped, rolled back, cleaned up, the same server serves on, within 1 s"""
    t.sql("CREATE TABLE journal (what text)")
    d = t.daemon(scopes=SLOW_CLEANUP)
    backends = warm(d, "db")

    def script(side):
        k = dial(d)
        side.say(number(k))
        k.execute("ENTER slow AS a")
        side.say("in")
        k.execute("SELECT pg_sleep(10)")

    p = t.process(script)
    session = int(p.heard())
    equal(p.heard(), "in", "the process")
    wait_until(lambda: any(r["state"] == "active" and "pg_sleep(10)" in r["query"] for r in t.activity()), 5,
               "it runs")
    started = time.monotonic()
    p.kill()
    c = connect(t, d)
    equal(c.execute("SELECT pg_backend_pid()").fetchone()[0], backends["db"], "the backend of the next client")
    took = time.monotonic() - started
    check(took < 1 * slow_factor(), "the next client is served after %.3f s" % took)
    equal(t.sql("TABLE journal"), [("end",)], "the clean-up has run to its end")
    told(d, session, ["a enter", "a granted", "a exit", "a released cancelled"])
    check(events(d, session, "exit")[0].fields["why"] == "client gone", "why")
    log = d.log_text()
    log = log[log.index("scope exit name=a"):]
    at = [log.find(word) for word in ("cleanup begins", "cancel backend=", "cleanup done", "cancels=1",
                                      "scope released name=a")]
    check(-1 not in at and at == sorted(at), "the steps in the log: %r" % at)
    untouched(t, d, backends)


@test
def cancel_request_in_the_middle(t):
    """8: a CancelRequest while a query runs: 57014, and the scope is failed, not gone"""
    t.sql("CREATE TABLE journal (what text)")
    d = t.daemon(scopes=SLOW_CLEANUP)
    backends = warm(d, "db")
    c = connect(t, d)
    c.execute("ENTER slow AS a")
    work = in_background(t, lambda: refused(c, "SELECT pg_sleep(10)", "57014"))
    wait_until(lambda: any(r["state"] == "active" and "pg_sleep(10)" in r["query"] for r in t.activity()), 5,
               "it runs")
    c.cancel()
    work.result()
    equal(c.info.transaction_status.name, "INERROR", "the status")
    equal(c.execute("SHOW SCOPES").fetchone()[1:5], ("a", "transaction", "db", "failed"), "SHOW SCOPES")
    told(d, number(c), ["a enter", "a granted"])
    refused(c, "SELECT 1", "25P02")
    diag = refused(c, "EXIT", "40000", 'scope "a" failed')
    check("57014" in diag.message_detail, "the detail: %s" % diag.message_detail)
    equal(t.sql("TABLE journal"), [("end",)], "the journal")
    told(d, number(c), ["a enter", "a granted", "a exit", "a released error"])
    untouched(t, d, backends)


# ---- 9 ---------------------------------------------------------------------------------------------
@test
def many_clean_up_steps(t):
    """9: three deferred statements, the second fails: the others run, a WARNING, and the outcome stays"""
    t.sql("CREATE TABLE x (n text, at bigint DEFAULT txid_current())")
    d = t.daemon()
    backends = warm(d, "db")
    for outcome in ("success", "error", "rolled back", "cancelled"):
        t.sql("TRUNCATE x")
        c = dial(d)
        session = number(c)
        c.execute("ENTER a")
        c.execute("INSERT INTO x VALUES ('row')")
        c.execute("DEFER 'INSERT INTO x VALUES (''first'')'")
        c.execute("DEFER 'INSERT INTO no_such VALUES (1)'")
        c.execute("DEFER 'INSERT INTO x VALUES (''third'')'")
        equal(t.sql("TABLE x"), [], "nothing of it is there yet")
        if outcome == "success":
            elapsed(c.execute("EXIT").statusmessage)
        elif outcome == "error":
            refused(c, "SELECT nonsense", "42703")
            diag = refused(c, "EXIT", "40000")
            check("42703" in diag.message_detail, "the first error: %s" % diag.message_detail)
        elif outcome == "rolled back":
            elapsed(c.execute("EXIT ROLLBACK").statusmessage)
        else:
            c.pgconn.finish()
        wait_until(lambda: len(events(d, session, "released")) == 1, 5, "it is released")
        rows = t.sql("SELECT n FROM x ORDER BY ctid")
        equal([r[0] for r in rows], (["row"] if outcome == "success" else []) + ["third", "first"],
              "the rows after " + outcome)
        # In the transaction, or each on its own.
        equal(t.value("SELECT count(DISTINCT at) FROM x"), "1" if outcome == "success" else "2", "transactions")
        if outcome != "cancelled":
            equal([n.severity for n in c.notices], ["WARNING"], "warnings after " + outcome)
            check("no_such" in c.notices[0].message, "its text: " + c.notices[0].message)
            c.close()
        told(d, session, ["a enter", "a granted", "a exit", "a released " + outcome])
        untouched(t, d, backends)


# ---- 10 --------------------------------------------------------------------------------------------
def entering(t, d, sql, pool="db"):
    """A process that says its session's id and then waits in the ENTER."""
    def script(side):
        k = dial(d, pool)
        side.say(number(k))
        k.execute(sql)
        side.say("in")
        side.stay()

    p = t.process(script)
    p.session = int(p.heard())
    return p


@test
def killed_waiting_for_a_pool(t):
    """10: killed while it waits for a full pool: it never gets a server, the next waiter is not delayed"""
    d = t.daemon()
    backends = warm(d, "db")
    holder, after = connect(t, d), connect(t, d)
    holder.execute("ENTER hold")
    p = entering(t, d, "ENTER a")
    wait_until(lambda: d.waiting() == 1, 5, "it waits")
    work = in_background(t, lambda: after.execute("ENTER b"))
    wait_until(lambda: d.waiting() == 2, 5, "the next waits")
    p.kill()
    wait_until(lambda: d.waiting() == 1, 1, "it has left the queue")
    holder.execute("EXIT")
    work.result()
    took = events(d, number(after), "granted")[0].at - events(d, number(holder), "released")[0].at
    check(took < 0.1 * slow_factor(), "the next waiter was granted after %.3f s" % took)
    check("a granted" not in story(d, p.session), "it was never granted")
    after.execute("EXIT")
    untouched(t, d, backends)


@test
def killed_while_opening(t):
    """10: killed while the server was being opened for it: nobody is served less, one login is made"""
    proxy = t.proxy()
    d = t.daemon(pools={"db": {"conninfo": t.conninfo(), "size": 1},
                        "far": {"conninfo": t.conninfo(host=proxy.directory, port=proxy.port), "size": 1}})
    proxy.login_gate.clear()
    p = entering(t, d, "ENTER a ON far")
    wait_until(lambda: proxy.logins == 1, 5, "a server is being opened")
    p.kill()
    wait_until(lambda: len(d.clients()) == 0, 1, "the session is gone")
    check("a granted" not in story(d, p.session), "it was never granted")
    c = connect(t, d)
    work = in_background(t, lambda: c.execute("ENTER b ON far"))
    wait_for(d, "enter", "b")
    proxy.login_gate.set()
    work.result()
    equal(proxy.logins, 1, "logins")
    c.execute("EXIT")
    all_quiet(d, "far")


@test
def killed_at_the_second_item(t):
    """10: killed while it waits for the second item: the first is released, the second never entered"""
    d = t.daemon(pools=pools(t, "p1", "p2"))
    backends = warm(d, "p1", "p2")
    holder = connect(t, d, "p2")
    holder.execute("ENTER hold")
    p = entering(t, d, "ENTER a ON p1, b ON p2", "p1")
    wait_until(lambda: d.waiting("p2") == 1, 5, "it waits")
    check(in_transaction(t, backends["p1"]), "the first is open")
    p.kill()
    d.quiet("p1", 1)
    wait_until(lambda: d.waiting("p2") == 0, 1, "it waits no more")
    told(d, p.session, ["a enter", "a granted", "b enter", "b exit", "b released cancelled", "a exit",
                        "a released cancelled"])
    holder.execute("EXIT")
    untouched(t, d, backends)


@test
def killed_waiting_for_a_lock(t):
    """10: killed while it waits for a lock: the next gets it when it is free"""
    d = t.daemon()
    holder, after = connect(t, d), connect(t, d)
    holder.execute("ENTER LOCK 'x'")
    p = entering(t, d, "ENTER LOCK 'x'")
    wait_for(d, "enter", "x", p.session)
    work = in_background(t, lambda: after.execute("ENTER LOCK 'x' AS mine"))
    wait_for(d, "enter", "mine")
    p.kill()
    wait_for(d, "released", "x", p.session, within=1)
    holder.execute("EXIT")
    work.result()
    check("x granted" not in story(d, p.session), "it was never granted")
    took = events(d, number(after), "granted")[0].at - events(d, number(holder), "exit")[0].at
    check(took < 0.1 * slow_factor(), "the next waiter was granted after %.3f s" % took)


# ---- 11 --------------------------------------------------------------------------------------------
@test
def blocking_and_asynchronous(t):
    """11: blocking and asynchronous clients over one pool at the same time; neither notices the other"""
    t.sql("CREATE TABLE x (who text, n int)")
    d = t.daemon(size=3)
    rounds = 10

    def blocking(side):
        c = dial(d)
        for n in range(rounds):
            c.execute("ENTER a")
            c.execute("INSERT INTO x VALUES ('blocking', %s)", (n,))
            c.execute("ENTER inside")
            c.execute("SELECT pg_sleep(0.002)")
            c.execute("EXIT")
            c.execute("EXIT a ROLLBACK" if n % 2 else "EXIT a")
        side.say("done")

    async def one(who):
        async with await driver().AsyncConnection.connect(d.dsn(), autocommit=True) as c:
            for n in range(rounds):
                await c.execute("ENTER a")
                await c.execute("INSERT INTO x VALUES (%s, %s)", (who, n))
                await c.execute("ENTER LOCK 'l'")
                await c.execute("SELECT pg_sleep(0.002)")
                await c.execute("EXIT")
                await c.execute("EXIT a ROLLBACK" if n % 2 else "EXIT a")

    async def asynchronous():
        await asyncio.gather(*(one("async %d" % i) for i in range(4)))

    processes = [t.process(blocking) for _ in range(3)]
    asyncio.run(asynchronous())
    for p in processes:
        equal(p.heard(), "done", "the blocking client")
        p.finish()
    equal(sorted(t.sql("SELECT who, count(*) FROM x GROUP BY 1")),
          [("async %d" % i, "5") for i in range(4)] + [("blocking", "15")], "the rows")
    all_quiet(d, "db")
    check(len(d.servers()) <= 3, "no more servers than size")
    equal(len(released(d)), 7 * 2 * rounds, "scopes released")
    # Of each session, what was entered last was released first.
    for session in {e.session for e in events(d)}:
        stack = []
        for e in events(d, session):
            if e.what == "enter":
                stack.append(e.name)
            elif e.what == "released":
                equal(e.name, stack.pop(), "the innermost one of session %d" % session)
        equal(stack, [], "left open")


# ---- 12 --------------------------------------------------------------------------------------------
@test
def shared_state(t):
    """12: a parameter that the session has set holds in all its scopes on every pool, and for nobody else"""
    d = t.daemon(pools=pools(t, "p1", "p2", size=2))
    ask = "SELECT coalesce(current_setting('app.request_id', true), '')"
    c, other = connect(t, d, "p1"), connect(t, d, "p1")
    c.execute("SET app.request_id = '42'")
    for enter in ("ENTER a ON p1, b ON p2", "ENTER a ON p2, b ON p1", "ENTER a, b NEW", "ENTER a, b"):
        c.execute(enter)
        for name in ("a", "b", "a"):
            c.execute("USE " + name)
            equal(c.execute(ask).fetchone(), ("42",), "in %s of %s" % (name, enter))
        # Somebody else, on another server and afterwards on the same ones.
        if "NEW" not in enter:
            equal(other.execute(ask).fetchone(), ("",), "somebody else's")
        c.execute("EXIT ALL")
        for pool in ("p1", "p2"):
            with dial(d, pool) as stranger:
                equal(stranger.execute(ask).fetchone(), ("",), "a stranger's")
    equal(c.execute(ask).fetchone(), ("42",), "outside")
    all_quiet(d, "p1", "p2")


if __name__ == "__main__":
    main()
