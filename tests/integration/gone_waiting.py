"""A client that hangs up while it waits for a server, a lock, or its turn in a scope leaves the queue at once, with or
without a Terminate, with answers unread or not; what ran before it is done. One that is there goes on to wait."""

import itertools
import os
import select
import signal
import socket
import struct

from pgwtest import check, equal, main, test, wait_until, wire
from pgwtest.scopelog import all_quiet, pools

Q = wire.query


def extended(*texts):
    return b"".join(wire.extended(x) for x in texts) + wire.sync()


# What the client sends at last, by what it waits for then. `m` is held by nobody, `l` by somebody, who has all servers of p2.
WAITS = {
    "a server": Q("INSERT INTO marks VALUES (9)"),
    "a server, by the extended protocol": extended("INSERT INTO marks VALUES (9)"),
    "a server, behind a lazy BEGIN": Q("BEGIN") + Q("INSERT INTO marks VALUES (9)"),
    "a server, in a lock": Q("ENTER LOCK 'm'") + Q("INSERT INTO marks VALUES (9)"),
    "a scope": Q("ENTER a; INSERT INTO marks VALUES (9); LEAVE"),
    "a scope, by the extended protocol": extended("ENTER a") + extended("INSERT INTO marks VALUES (9)"),
    "a scope, behind a lazy BEGIN": Q("BEGIN") + Q("ENTER a") + Q("INSERT INTO marks VALUES (9)"),
    "a scope, in a lock": Q("ENTER LOCK 'm', a") + Q("INSERT INTO marks VALUES (9)"),
    "a lock": Q("ENTER LOCK 'l'") + Q("INSERT INTO marks VALUES (9)"),
    "a lock, by the extended protocol": extended("ENTER LOCK 'l'"),
    "a lock, in one text": Q("ENTER LOCK 'l'; INSERT INTO marks VALUES (9); LEAVE"),
    "a semaphore": Q("ENTER SEMAPHORE 's' LIMIT 1"),
    "a second lock": Q("ENTER LOCK 'm', LOCK 'l'"),
    "a lock in a lock": Q("ENTER LOCK 'm'") + Q("ENTER LOCK 'l'"),
}
# The same of a pool whose servers are not all gone.
WITH_SERVER = {
    "a lock in a scope": Q("ENTER a") + Q("INSERT INTO marks VALUES (9)") + Q("ENTER LOCK 'l'"),
    "a lock as second item": Q("ENTER a, LOCK 'l'"),
    "a scope of another pool as second item": Q("ENTER a, b ON p2"),
    "a scope of another pool as third item": Q("ENTER LOCK 'm', a, b ON p2"),
    "a scope of another pool in a BEGIN": Q("BEGIN; INSERT INTO marks VALUES (9)") + Q("ENTER b ON p2"),
    "a lock in a BEGIN": Q("BEGIN; INSERT INTO marks VALUES (9); ENTER LOCK 'l'"),
}


def close(c):
    c.sock.close()


def reset(c):
    """As the kernel does it for a process that is killed with answers unread."""
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    c.sock.close()


def half_close(c):
    c.sock.shutdown(socket.SHUT_WR)


# When it says Terminate: never, with what it waits for, or when it waits; how it goes; does it read what it has been told?
ENDINGS = [("no", close), ("no", half_close), ("no", reset)] + list(itertools.product(("with it", "later"), (close, half_close, reset)))
UNREAD = (False, True)


def waits(d):
    """Does anybody wait for anything but the holder's?"""
    return any(x["state"] == "waiting" for x in d.show("LOCKS")) or d.waiting("db") + d.waiting("p2") > 0


def readable(c):
    return bool(select.select([c.sock], [], [], 0)[0])


def holder_of(t, d, everything):
    """Has the lock l, the semaphore s and all servers of p2; of db, too, or all but one."""
    h = t.client(d)
    h.sql("ENTER LOCK 'l', SEMAPHORE 's' LIMIT 1, x ON p2" + (", y ON db, z ON db NEW" if everything else ", y ON db"))
    return h


def left(d, number):
    return not [x for x in d.show("CLIENTS") if int(x["id"]) == number]


def scene(t):
    t.sql("CREATE TABLE marks (a int)")
    conf = pools(t, "db", "p2", size=2)
    conf["p2"]["size"] = 1
    return t.daemon(pools=conf, options={"lazy_begin": "on"})


def goes(t, d, h, name, data, ending, unread):
    """The client waits, and goes in that way. Nothing of it may be there any more, while the holder is."""
    what = "%s: %s, Terminate %s, %s" % (name, ending[1].__name__, ending[0], "unread" if unread else "read")
    held = [(x["name"], x["session"]) for x in d.show("LOCKS")]
    c = d.connect("db")
    number = c.session
    if unread:
        c.send(wire.sync())
        wait_until(lambda: readable(c), 5, "an answer")
    c.send(data + (wire.terminate() if ending[0] == "with it" else b""))
    wait_until(lambda: waits(d), 5, "it waits, " + what)
    if ending[0] == "later":
        c.send(wire.terminate())
    ending[1](c)
    wait_until(lambda: left(d, number), 5, "the session has ended, " + what)
    wait_until(lambda: not waits(d), 5, "nobody waits, " + what)
    wait_until(lambda: [(x["name"], x["session"]) for x in d.show("LOCKS")] == held, 5, "its locks are free, " + what)
    equal({int(x["session"]) for x in d.show("SCOPES")}, {h.session}, "no scope is left, " + what)
    c.sock.close()


def all_ways(t, waits_for, everything):
    d = scene(t)
    h = holder_of(t, d, everything)
    count = 0
    for (name, data), ending, unread in itertools.product(waits_for.items(), ENDINGS, UNREAD):
        goes(t, d, h, name, data, ending, unread)
        count += 1
    equal(h.ask("SELECT 1").errors, [], "the holder")
    equal(h.ask("LEAVE ALL").errors, [], "LEAVE ALL")
    all_quiet(d, "db", "p2")
    equal(t.sql("SELECT a FROM marks"), [], "nothing of them is done")
    check(count == len(waits_for) * len(ENDINGS) * 2, "%d cases" % count)


@test(timeout=300)
def all_servers_are_gone(t):
    """waiting states x Terminate, close, half a close, a reset, with and without answers unread; no server is free"""
    all_ways(t, WAITS, True)


@test(timeout=300)
def inside_of_transactions(t):
    """the same of sessions that have a server: what was open is rolled back, the server is free"""
    all_ways(t, WITH_SERVER, False)


@test(timeout=120)
def what_runs_is_done(t):
    """what runs when the client hangs up behind a Terminate is done; what would wait behind that is not waited for"""
    d = scene(t)
    h = holder_of(t, d, False)
    # It runs for as long as the gate is shut.
    gate = t.direct()
    work = "INSERT INTO marks SELECT 1 FROM pg_advisory_xact_lock(5)"
    behind = {
        "a lock": Q(work) + Q("ENTER LOCK 'l'"),
        "a lock in the same text": Q(work + "; ENTER LOCK 'l'; INSERT INTO marks VALUES (9)"),
        "a lock, by the extended protocol": extended(work) + extended("ENTER LOCK 'l'"),
        "a lock in the same exchange": extended(work, "ENTER LOCK 'l'"),
        "another pool's scope": Q(work) + Q("ENTER a ON p2"),
        "another pool's scope in the same text": Q(work + "; ENTER a ON p2; INSERT INTO marks VALUES (9)"),
        "a lock behind a scope": Q("ENTER a; %s; LEAVE; ENTER LOCK 'l'" % work),
        "a lock behind a transaction": Q("BEGIN; %s; COMMIT; ENTER LOCK 'l'" % work),
        "a lock behind many": Q(work) + Q("SELECT 1") * 5 + Q("ENTER LOCK 'm', LOCK 'l'"),
    }
    for (name, data), when, how in itertools.product(behind.items(), ("with it", "later"), (close, half_close, reset)):
        what = "%s, Terminate %s, %s" % (name, when, how.__name__)
        t.sql("DELETE FROM marks")
        gate.sql("SELECT pg_advisory_lock(5)")
        c = d.connect("db")
        number = c.session
        c.send(data + (wire.terminate() if when == "with it" else b""))
        wait_until(lambda: [a for a in t.activity() if a["wait_event"] == "advisory"], 5, "it runs, " + what)
        if when == "later":
            c.send(wire.terminate())
        how(c)
        gate.sql("SELECT pg_advisory_unlock(5)")
        wait_until(lambda: left(d, number), 10, "the session has ended, " + what)
        equal(t.sql("SELECT a FROM marks"), [("1",)], "what ran is done, " + what)
        equal(waits(d), False, "nobody waits, " + what)
        equal({int(x["session"]) for x in d.show("SCOPES")}, {h.session}, "no scope is left, " + what)
        c.sock.close()
    h.ask("LEAVE ALL")
    all_quiet(d, "db", "p2")


@test
def killed_process(t):
    """the process of a waiting client is killed"""
    d = scene(t)
    h = holder_of(t, d, True)
    for name in ("a server", "a scope", "a lock", "a second lock"):
        back, to = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                c = d.connect("db")
                os.write(to, b"%d\n" % c.session)
                c.send(WAITS[name])
                signal.pause()
            finally:
                os._exit(1)
        os.close(to)
        number = int(os.read(back, 64) or b"0")
        os.close(back)
        check(number, "the process has connected")
        wait_until(lambda: waits(d), 5, "it waits for " + name)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        wait_until(lambda: left(d, number) and not waits(d), 5, "it has left, " + name)
    h.ask("LEAVE ALL")
    all_quiet(d, "db", "p2")


@test
def killed_by_the_administrator(t):
    """KILL SESSION of one that waits, also behind its Terminate"""
    d = scene(t)
    for everything, table in ((True, WAITS), (False, WITH_SERVER)):
        h = holder_of(t, d, everything)
        for (name, data), said in itertools.product(table.items(), (False, True)):
            c = d.connect("db")
            number = c.session
            c.send(data + (wire.terminate() if said else b""))
            wait_until(lambda: waits(d), 5, "it waits for " + name)
            d.console("KILL SESSION %d" % number)
            wait_until(lambda: left(d, number) and not waits(d), 5, "it has left, " + name)
            equal(c.until_closed().errors[-1].sqlstate, "57P01", "what it is told, " + name)
        h.ask("LEAVE ALL")
        all_quiet(d, "db", "p2")


@test
def who_stays_is_answered(t):
    """a client that has said Terminate and is there waits on, is answered, and its session ends then"""
    d = scene(t)
    for everything, table in ((True, WAITS), (False, WITH_SERVER)):
        for name, data in table.items():
            h = holder_of(t, d, everything)
            c = t.client(d)
            number = c.session
            c.send(data + wire.terminate())
            wait_until(lambda: waits(d), 5, "it waits for " + name)
            equal(h.ask("LEAVE ALL").errors, [], "LEAVE ALL")
            r = c.until_closed()
            equal((r.errors, r.kinds[-1:]), ([], "Z"), "it is answered, " + name)
            wait_until(lambda: left(d, number), 5, "its session has ended, " + name)
            all_quiet(d, "db", "p2")


@test
def handed_over(t):
    """the next process sees that a waiting client hangs up, also one that has said Terminate to the last"""
    t.sql("CREATE TABLE marks (a int)")
    d = t.supervised(size=1)
    h = t.client(d)
    h.sql("ENTER LOCK 'l', x ON db")
    clients = {}
    for name, sql in (("lock", "ENTER LOCK 'l'"), ("server", "INSERT INTO marks VALUES (9)"), ("scope", "ENTER LOCK 'm%s', a")):
        for said in (False, True):
            c = clients[name, said] = d.connect("db")
            c.send(Q(sql % said if "%s" in sql else sql) + (wire.terminate() if said else b""))
    wait_until(lambda: d.waiting() + len([x for x in d.show("LOCKS") if x["state"] == "waiting"]) == 6, 5, "they wait")
    d.console_close()
    d.restart()
    for key, c in clients.items():
        number = c.session
        c.sock.close()
        wait_until(lambda: left(d, number), 5, "%s has left, Terminate %s" % key)
    equal(h.ask("LEAVE ALL").errors, [], "the holder")
    equal(t.sql("SELECT a FROM marks"), [], "rows")


@test
def copy_without_sync(t):
    """a client that leaves behind the end of a COPY by the extended protocol, with its Flush ahead of the end and no
    Sync: PostgreSQL keeps that answer back and ends the transaction, so the server is free"""
    d = scene(t)
    begins = wire.extended("COPY marks FROM STDIN") + wire.flush()
    for end, (said, ending), at_once in itertools.product((wire.copy_done(), wire.copy_fail()), ENDINGS, (False, True)):
        c = d.connect("db")
        number = c.session
        rest = wire.copy_data(b"9\n") + end + (wire.terminate() if said == "with it" else b"")
        c.send(begins + (rest if at_once else b""))
        if not at_once:
            wait_until(lambda: readable(c), 5, "the COPY has begun")
            c.send(rest)
        if said == "later":
            c.send(wire.terminate())
        ending(c)
        wait_until(lambda: left(d, number), 5, "it has left: %r" % ((end, said, ending, at_once),))
        c.sock.close()
    equal(t.sql("SELECT a FROM marks"), [], "rows")
    all_quiet(d, "db")


@test
def of_the_console(t):
    """a command of the console that waits ends with its client, also behind others and a Terminate"""
    d = scene(t)
    h = t.client(d)
    h.sql("BEGIN; SELECT 1")
    for data, ending, unread in itertools.product((Q("PAUSE db"), Q("SHOW VERSION") + Q("PAUSE db")), ENDINGS, UNREAD):
        c = d.connect("pgwith")
        number = c.session
        if unread:
            c.send(Q("SHOW VERSION"))
            wait_until(lambda: readable(c), 5, "an answer")
        c.send(data + (wire.terminate() if ending[0] == "with it" else b""))
        wait_until(lambda: d.pool("db")["paused"], 5, "it pauses")
        if ending[0] == "later":
            c.send(wire.terminate())
        ending[1](c)
        wait_until(lambda: not [x for x in d.show("CLIENTS") if int(x["id"]) == number], 5, "it has left: %r" % (ending,))
        c.sock.close()
        d.console("RESUME db")
    h.sql("COMMIT")


if __name__ == "__main__":
    main()
