"""The harness itself, seen to work against PostgreSQL directly and without one: a test that cannot
fail proves nothing, so here the runner is seen to fail too."""

import os
import re
import sys
import tempfile

from pgwtest import Closed, ServerError, check, child, equal, main, test, wait_until, wire

SCRIPT = '''
import time
from pgwtest import Skip, equal, main, test

@test
def good(t):
    """this one is good."""

@test
def bad(t):
    """this one is bad"""
    with open(t.path("some.log"), "w") as f:
        f.write("the log of the bad one\\n")
    equal(1, 2, "one")

@test
def skipped(t):
    """this one is skipped"""
    raise Skip("there is a reason")

@test(timeout=1)
def endless(t):
    """this one does not end"""
    while True:
        time.sleep(1)

@test
def untidy(t):
    """this one cannot be undone"""
    t.defer(lambda: equal(1, 2, "undoing"))

main()
'''


@test
def runner_tells_the_truth(t):
    """the runner reports success, failure with logs, skip, an endless test and one that cannot clean up"""
    path = t.path("script.py")
    with open(path, "w") as f:
        f.write(SCRIPT)
    with tempfile.TemporaryDirectory(dir=t.directory) as top:
        status, out, err = child.run([sys.executable, path], env={
            "PGWITH_TEST_TMP": top, "PGWITH_TEST_SLOW": "1"})
        kept = [d for d, _, _ in os.walk(top)]
    equal(status, 1, "the exit status")
    lines = [line for line in out.splitlines() if re.match(r"1\.\.|ok|not ok|Bail", line)]
    equal(lines, ["1..5", "ok 1 - this one is good", "not ok 2 - this one is bad",
                  "ok 3 - this one is skipped # SKIP there is a reason",
                  "not ok 4 - this one does not end", "not ok 5 - this one cannot be undone"],
          "the TAP")
    check("# | the log of the bad one" in out, "the log's tail is printed: " + out)
    check("one: got 1, want 2" in out, "the reason is printed")
    check(any(d.endswith("/bad") for d in kept), "the failed test's directory is kept")
    check(not any(d.endswith("/good") for d in kept), "the good test's directory is removed")
    status, out, err = child.run([sys.executable, path, "good"], env={"PGWITH_TEST_TMP": t.directory})
    equal((status, "1..1" in out), (0, True), "filtered by name: " + out + err)


@test
def simple_and_extended(t):
    """the raw client speaks the simple and the extended protocol"""
    c = t.direct()
    equal(c.sql("SELECT 1, NULL, 'x'"), [("1", None, "x")], "a simple query")
    r = c.ask_extended("SELECT $1::int + 1", (41,))
    equal((r.value, r.kinds, r.status), ("42", "12TDCZ", "I"), "an extended query")
    r = c.ask("BEGIN; SELECT nonsense")
    equal((r.errors[0].sqlstate, r.status), ("42703", "E"), "an error in a transaction")
    equal(c.ask("ROLLBACK").status, "I", "the rollback")
    try:
        c.sql("SELECT 1/0")
        check(False, "an error must be raised")
    except ServerError as e:
        equal(e.sqlstate, "22012", "the error")


@test
def copies(t):
    """the raw client copies in and out"""
    c = t.direct()
    c.sql("CREATE TABLE x (a int)")
    c.send(wire.query("COPY x FROM STDIN"))
    equal(c.until("G").kinds, "G", "CopyInResponse")
    c.send(wire.copy_data(b"1\n2\n") + wire.copy_done())
    equal(c.until_ready().tags, ["COPY 2"], "COPY IN")
    equal(b"".join(c.ask("COPY x TO STDOUT").copied), b"1\n2\n", "COPY OUT")


@test
def cancels(t):
    """the raw client cancels a running query, and the activity is seen"""
    c = t.direct()
    c.send(wire.query("SELECT pg_sleep(60)"))
    row = wait_until(lambda: [a for a in t.activity() if a["state"] == "active"], 5, "it runs")[0]
    check("pg_sleep" in row["query"], "the query is seen")
    c.cancel()
    equal(c.until_ready().errors[0].sqlstate, "57014", "the cancelled query")


@test
def killed_process(t):
    """a client process is killed in its transaction, which PostgreSQL then rolls back"""
    t.sql("CREATE TABLE marks (a int)")
    cluster, database = t.cluster, t.database

    def script(side):
        c = cluster.connect(database)
        c.sql("BEGIN; INSERT INTO marks VALUES (1)")
        side.say(c.backend())
        side.stay()

    p = t.process(script)
    pid = int(p.heard())
    equal([a["state"] for a in t.activity()], ["idle in transaction"], "the state")
    check(t.cluster.locks(pid), "it holds locks")
    p.kill()
    wait_until(lambda: not t.activity(), 5, "the backend is gone")
    equal(t.value("SELECT count(*) FROM marks"), "0", "rows")


@test
def restarts(t):
    """the cluster is stopped, killed and started again, and its clients notice"""
    for end in (lambda: t.cluster.stop("fast"), lambda: t.cluster.stop("immediate"),
                lambda: t.cluster.kill()):
        c = t.direct()
        cluster = t.cluster
        end()
        check(c.hung_up(), "the client is cut off")
        cluster.start()
        equal(t.value("SELECT 1"), "1", "it serves again")


@test
def proxied(t):
    """the proxy holds logins and cancels, refuses and cuts"""
    p = t.proxy()

    def dial(**how):
        return wire.Client(p.directory, p.port, t.database, password=t.cluster.password, **how)

    p.login_gate.clear()
    c = dial(login=False)
    c.send(wire.startup_packet(c.params))
    wait_until(lambda: p.logins == 1, 5, "the login is seen")
    check(c.silent(), "the login is held")
    p.login_gate.set()
    equal(c.let_in().status, "I", "the login goes on")
    p.cut()
    check(c.hung_up(), "it is cut")
    p.refuse = True
    try:
        dial()
        check(False, "refused")
    except (Closed, ConnectionError):
        equal(p.refused, 1, "refusals")


if __name__ == "__main__":
    main()
