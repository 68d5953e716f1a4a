"""Restart without dropping anyone: the next pgwithd goes on with sessions and servers."""

import os
import re
import signal
import threading

from pgwtest import Closed, check, equal, main, test, wait_until, wire
from pgwtest.context import conninfo
from pgwtest.server import only_local


def backends(t):
    return {a["pid"] for a in t.activity()}


@test
def idle_and_transaction(t):
    """idle sessions, and one in a transaction, go on; the servers are the same; three times"""
    t.sql("CREATE TABLE marks (a int)")
    d = t.supervised(size=2)
    idle, busy = t.client(d), t.client(d)
    equal(idle.value("SELECT 1"), "1", "before")
    busy.sql("BEGIN")
    pid = busy.value("SELECT pg_backend_pid()")
    before = backends(t)
    for n in range(3):
        busy.sql("INSERT INTO marks VALUES (%d)" % n)
        d.restart()
        equal(idle.value("SELECT %d" % n), str(n), "the idle session")
        equal(busy.value("SELECT pg_backend_pid()"), pid, "the server of the transaction")
    busy.sql("COMMIT")
    equal(t.value("SELECT count(*) FROM marks"), "3", "rows")
    check(before <= backends(t), "the servers are those of before")
    equal(d.store.names(), [], "what the supervisor still keeps")
    equal(d.pool()["sv_idle"], 2, "idle servers")


@test
def role_of_the_startup_packet(t):
    """behind a restart, too, RESET ROLE comes back to the role of the startup packet"""
    t.cluster.role("weak")
    d = t.supervised(size=2)
    with d.connect() as first:
        first.sql("SELECT 1")  # there is a server to hand over
    for _ in range(2):
        with d.connect(role="weak") as c:
            for sql, who in (("SET ROLE postgres", "postgres"), ("RESET ROLE", "weak"), ("SET work_mem = '3MB'", "weak")):
                c.sql(sql)
                equal(c.value("SELECT current_user"), who, "behind " + sql)
            equal(c.value("SHOW session_authorization"), "postgres", "who has logged in")
        d.restart()


@test
def in_flight(t):
    """a query that runs, half a result, half a COPY in both directions, half a message"""
    t.sql("CREATE TABLE c (a int, b text)")
    d = t.supervised(size=6)
    runs, reads, copies, gives, half = (t.client(d) for _ in range(5))
    runs.send(wire.query("SELECT pg_sleep(1), 'slept'"))
    reads.send(wire.query("SELECT g, repeat('x', 1000) FROM generate_series(1, 20000) g"))
    gives.send(wire.query("COPY (SELECT g, repeat('y', 1000) FROM generate_series(1, 20000) g) "
                          "TO STDOUT"))
    copies.send(wire.query("COPY c FROM STDIN"))
    copies.until("G")
    row = wire.copy_data(b"1\t" + b"z" * 100 + b"\n")
    copies.send(row * 10 + row[:50])
    text = wire.query("SELECT '%s'" % ("w" * 200000))
    half.send(text[:150000])
    wait_until(lambda: len([a for a in t.activity() if a["state"] == "active"]) >= 4, 5, "they run")
    for _ in range(3):
        d.restart()
        copies.send(row[50:] + row * 10 + row[:50])
    copies.send(row[50:] + wire.copy_done())
    half.send(text[150000:])
    equal(runs.until_ready().rows[0][1], "slept", "the query that ran")
    r = reads.until_ready()
    equal([row[0] for row in r.rows], [str(n) for n in range(1, 20001)], "the result")
    r = gives.until_ready()
    equal((r.errors, r.tags), ([], ["COPY 20000"]), "COPY TO")
    equal(copies.until_ready().errors, [], "COPY FROM")
    equal(t.value("SELECT count(*) FROM c"), "44", "rows that were copied")
    equal(len(half.until_ready().rows[0][0]), 200000, "the long message")


@test(timeout=120)
def between_epoll_and_uring(t):
    """from io_uring to epoll and back: nothing of what was received and kept in a pause is lost"""
    d = t.supervised({"io": "auto"}, size=3)
    io = {x["key"]: x["value"] for x in d.show("STATE")}["io"]
    holders = [t.client(d) for _ in range(2)]
    for h in holders:
        h.sql("BEGIN")
    deaf, little, much, late = (t.client(d) for _ in range(4))
    deaf.send(wire.query("SELECT g, repeat('x', 1000) FROM generate_series(1, 20000) g"))
    wait_until(lambda: len([a for a in t.activity() if a["state"] == "active"]) >= 1, 5, "it runs")
    for c in (little, much, late):
        c.send(wire.query("SELECT 0"))
    wait_until(lambda: d.waiting() == 3, 5, "they wait for a server")
    # They are paused: what they send now is received all the same, up to a bound.
    sent = 1
    for mode in ("epoll", "auto", "epoll", "auto"):
        little.send(wire.query("SELECT %d" % sent))
        much.send(wire.query("SELECT %d, '%s'" % (sent, "m" * 9000)) * 3)
        late.send(wire.query("SELECT %d" % sent)[:9])
        d.console_close()
        d.rewrite({"io": mode})
        d.restart()
        equal({x["key"]: x["value"] for x in d.show("STATE")}["io"], io if mode == "auto" else mode, "what is in use")
        late.send(wire.query("SELECT %d" % sent)[9:])
        sent += 1
    equal(d.waiting(), 3, "they wait")
    equal([row[0] for row in deaf.until_ready().rows], [str(n) for n in range(1, 20001)], "the result that waited")
    for h in holders:
        h.sql("COMMIT")
    for c, times in ((little, 1), (much, 3), (late, 1)):
        got = [c.until_ready().rows[0][0] for _ in range(1 + times * (sent - 1))]
        equal(got, ["0"] + [str(n) for n in range(1, sent) for _ in range(times)], "the answers")


@test(timeout=120)
def much_under_way(t):
    """large results, to a member of a joined scope too, and a COPY in: no stream stays paused behind a restart, whatever was queued"""
    t.sql("CREATE TABLE c (a int, b text)")
    d = t.supervised(size=8)
    owner = t.client(d)
    owner.sql("ENTER a JOINABLE")
    token = owner.ask("SHOW SCOPES").rows[0][-1]
    rows = b"".join(b"%d\t%s\n" % (n, b"x" * 100) for n in range(50000))

    def read(c):
        c.send(wire.query("SELECT g, repeat('x', 100) FROM generate_series(1, 50000) g"))
        return len(c.until_ready().rows)

    def copy(c):
        c.send(wire.query("COPY c FROM STDIN"))
        c.send(wire.copy_data(rows) + wire.copy_done())
        return int(c.until_ready().tags[0].split()[1])

    for n in range(5):
        clients = [(read, t.client(d)) for _ in range(4)] + [(copy, t.client(d)) for _ in range(2)]
        clients.append((read, t.client(d, options="-c pgwith.join=" + token)))
        got = []
        threads = [threading.Thread(target=lambda f=f, c=c: got.append(f(c))) for f, c in clients]
        for x in threads:
            x.start()
        wait_until(lambda: sum(int(s["received"]) + int(s["sent"]) for s in d.servers()) > 1000000, 20, "much has come")
        d.console_close()
        d.restart()
        for x in threads:
            x.join()
        equal(got, [50000] * len(clients), "rows, behind restart %d" % (n + 1))
        for _, c in clients:
            c.close()


@test
def waiting(t):
    """sessions that wait stay in their order, and one that has gone meanwhile is not served"""
    d = t.supervised(size=1)
    holder = t.client(d)
    holder.sql("BEGIN")
    waiters = [t.client(d) for _ in range(5)]
    t.sql("CREATE TABLE turns (id serial, who int)")
    for n, c in enumerate(waiters):
        c.send(wire.query("INSERT INTO turns (who) VALUES (%d)" % n))
        wait_until(lambda n=n: d.waiting() == n + 1, 5, "it waits")
    d.console_close()
    d.restart()
    equal(d.waiting(), 5, "sessions that wait")
    waiters[1].drop()
    wait_until(lambda: d.waiting() == 4, 5, "the one that has gone waits no longer")
    holder.sql("COMMIT")
    for n in (0, 2, 3, 4):
        equal(waiters[n].until_ready().errors, [], "its error")
    equal([r[0] for r in t.sql("SELECT who FROM turns ORDER BY id")], ["0", "2", "3", "4"],
          "the order")


@test
def state_of_sessions(t):
    """parameters, prepared statements, pins, cancel keys; a failed transaction"""
    d = t.supervised(size=3)
    a, b, c = t.client(d), t.client(d), t.client(d)
    a.sql("SET work_mem = '7MB'")
    a.send(wire.parse("SELECT $1::int + 1", "one") + wire.sync())
    a.until_ready()
    b.sql("LISTEN news")
    c.sql("BEGIN")
    equal([e.sqlstate for e in c.ask("SELECT 1/0").errors], ["22012"], "the error")
    d.restart()
    equal(a.value("SHOW work_mem"), "7MB", "the parameter")
    a.send(wire.bind(["41"], statement="one") + wire.execute() + wire.sync())
    equal(a.until_ready().rows[0][0], "42", "the prepared statement")
    equal([e.sqlstate for e in c.ask("SELECT 1").errors], ["25P02"], "the failed transaction")
    c.sql("ROLLBACK")
    t.sql("NOTIFY news, 'x'")
    r = b.ask("SELECT 1")
    equal(len(r.rows), 1, "the pinned one goes on")
    a.send(wire.query("SELECT pg_sleep(30)"))
    wait_until(lambda: [x for x in t.activity() if "pg_sleep" in (x["query"] or "") and
                        x["state"] == "active"], 5, "it runs")
    d.restart()
    a.cancel()
    equal([e.sqlstate for e in a.until_ready().errors], ["57014"], "the cancel, with our own packet")


@test
def reset_before_and_behind(t):
    """a RESET that was bound before the restart, and is executed behind it, comes back to the startup packet then, in whose
    transaction an unnamed portal stays as well"""
    d = t.supervised(size=1)
    packet = {"options": "-c work_mem=5MB -c app.who=alice"}
    look = wire.bind(portal="seen", statement="look") + wire.execute("seen") + wire.close_("P", "seen") + wire.sync()
    exchanges = [wire.parse("SELECT current_setting('work_mem') || current_setting('app.who')", "look") + wire.sync(),
                 wire.query("SET work_mem = '6MB'"), wire.query("SET app.who = 'bob'"), wire.query("BEGIN"),
                 wire.parse("RESET ALL", "r") + wire.bind(portal="p", statement="r") + wire.sync(),
                 wire.parse("SELECT generate_series(1, 9)") + wire.bind() + wire.execute(limit=2) + wire.sync(), look, None, look,
                 wire.execute("p") + wire.sync(), look, wire.execute(limit=2) + wire.sync(), wire.query("COMMIT"), look]
    with d.connect(**packet) as c, t.direct(**packet) as direct:
        seen = []
        for x in (c, direct):
            got = []
            for exchange in exchanges:
                if exchange:
                    x.send(exchange)
                    r = x.until_ready()
                    got.append((r.rows, r.tags, [str(e) for e in r.errors], r.status))
                elif x is c:
                    d.restart()
            seen.append(got)
        equal(seen[0], seen[1], "what is seen")


@test
def servers_elsewhere(t):
    """what PostgreSQL calls its socket leads nowhere, as in a container: cancels go where libpq went"""
    only_local("a socket by another name")
    name = ".s.PGSQL.%d" % t.cluster.port
    there, here = os.path.join(t.cluster.sockets, name), t.path("elsewhere")
    os.mkdir(here)
    os.link(there, os.path.join(here, name))
    for state in (True, False):
        d = t.supervised(conninfo=t.conninfo(host=here))
        c = t.client(d)
        c.send(wire.query("SELECT pg_sleep(60)"))
        wait_until(lambda: [x for x in t.activity() if x["state"] == "active"], 5, "it runs")
        os.rename(there, there + ".hidden")
        try:
            d.console_close()
            d.end()
            if not state:
                d.store.replace("pg/state", None)
            d.start_next()
            if state:
                c.cancel()
                equal([e.sqlstate for e in c.until_ready().errors], ["57014"], "the client's cancel")
            wait_until(lambda: not [x for x in t.activity() if x["state"] == "active"], 5, "it has ended")
        finally:
            os.rename(there + ".hidden", there)
        d.stop()


@test
def scopes_and_locks(t):
    """scopes, locks, and who waits for them"""
    t.sql("CREATE TABLE marks (a int)")
    d = t.supervised(size=3)
    a, b, c = t.client(d), t.client(d), t.client(d)
    a.sql("ENTER LOCK 'nightly'")
    a.sql("ENTER x ON db DEADLINE '60s'")
    a.sql("INSERT INTO marks VALUES (1)")
    a.sql("ENTER y")
    a.sql("INSERT INTO marks VALUES (2)")
    a.sql("DEFER 'INSERT INTO marks VALUES (3)'")
    b.send(wire.query("ENTER LOCK 'nightly' AS mine"))
    wait_until(lambda: len(d.show("LOCKS")) == 2, 5, "b waits")
    c.send(wire.query("ENTER LOCK 'nightly' WAIT '30s'"))
    wait_until(lambda: len(d.show("LOCKS")) == 3, 5, "c waits")
    before = [(r["name"], r["mode"]) for r in d.show("LOCKS")]
    d.console_close()
    d.restart()
    equal([(r["name"], r["mode"]) for r in d.show("LOCKS")], before, "SHOW LOCKS")
    equal(len(a.ask("SHOW SCOPES").rows), 3, "the stack")
    a.sql("EXIT y")
    a.sql("EXIT x")
    equal(t.value("SELECT sum(a) FROM marks"), "6", "what was done")
    a.sql("EXIT ALL")
    equal(b.until_ready().errors, [], "b has the lock")
    b.sql("EXIT mine")
    equal(c.until_ready().errors, [], "c has the lock")
    c.sql("EXIT ALL")


@test
def pause_and_statistics(t):
    """a pool that is paused stays so; numbers go on"""
    d = t.supervised(size=1)
    c = t.client(d)
    for _ in range(7):
        c.sql("SELECT 1")
    d.console("PAUSE db")
    total = {r["database"]: r for r in d.show("STATS")}["db"]["total_xact_count"]
    d.console_close()
    d.restart()
    equal({r["database"]: r for r in d.show("STATS")}["db"]["total_xact_count"], total, "STATS")
    c.send(wire.query("SELECT 5"))
    wait_until(lambda: d.waiting() == 1, 5, "it waits")
    d.console("RESUME db")
    equal(c.until_ready().rows[0][0], "5", "the answer")


@test
def no_state(t):
    """another version, a damaged state, none at all: a clean start, nobody hangs, queries are ended"""
    def spoil_version(data):
        return data[:8] + b"\xff" + data[9:]

    def spoil_byte(data):
        return data[:-1] + bytes([data[-1] ^ 1])

    for spoil, why in ((spoil_version, "of another version"), (spoil_byte, "damaged"),
                       (None, "there is none")):
        d = t.supervised(size=2)
        idle, runs = t.client(d), t.client(d)
        idle.sql("SELECT 1")
        runs.send(wire.query("SELECT pg_sleep(60)"))
        wait_until(lambda: [x for x in t.activity() if x["state"] == "active"], 5, "it runs")
        d.end()
        fd = None
        if spoil:
            data = spoil(d.store.read("pg/state"))
            fd = os.memfd_create("spoiled")
            os.write(fd, data)
        d.store.replace("pg/state", fd)
        d.start_next()
        equal([e.sqlstate for e in idle.until_closed().errors], ["57P01"], "the idle one is told")
        try:
            runs.until_closed()
        except Closed:
            pass
        wait_until(lambda: not [x for x in t.activity() if x["state"] == "active"], 5,
                   "the query is cancelled")
        check(re.search("state not taken over.*" + why, d.log_text()), "the log says why")
        equal(t.client(d).value("SELECT 1"), "1", "a new client")
        equal(d.store.names(), [], "what the supervisor still keeps")
        d.stop()


@test
def what_was_not_kept(t):
    """a store that is full: a session whose server was lost is told, a server without a session is
    cleaned up"""
    d = t.supervised(size=3)
    clients = {}
    for _ in range(2):
        c = t.client(d)
        c.sql("BEGIN")
        clients[c.value("SELECT pg_backend_pid()")] = c
    lost = []

    def drop(name):
        if name.startswith("pg/server-") and not lost:
            lost.append(name.split("-")[2])
            return True
        return False

    d.store.drop = drop
    d.console_close()
    d.end()
    d.store.drop = lambda name: False
    d.start_next()
    equal([e.sqlstate for e in clients.pop(lost[0]).until_closed().errors], ["57P01"],
          "the one whose server was lost is told")
    equal(clients.popitem()[1].value("SELECT 1"), "1", "the other one goes on")
    check(d.log_has("not taken over"), "the log says so")


@test
def time_is_up(t):
    """an ENTER in the middle of PostgreSQL's own wait is ended after handover_timeout, alone"""
    d = t.supervised(options={"handover_timeout": "300ms"}, size=3)
    a, b, c = t.client(d), t.client(d), t.client(d)
    a.sql("ENTER LOCK 'k' ON db")
    b.send(wire.query("ENTER LOCK 'k' ON db WAIT '60s'"))
    wait_until(lambda: t.sql("SELECT 1 FROM pg_locks WHERE NOT granted"), 5, "b waits in PostgreSQL")
    c.sql("BEGIN")
    d.console_close()
    d.restart()
    equal([e.sqlstate for e in b.until_closed().errors], ["57P01"], "b is told")
    a.sql("EXIT ALL")
    c.sql("COMMIT")
    check(d.log_has("handover_timeout"), "the log says so")


@test
def client_not_kept(t):
    """a store that keeps no clients: their transactions are rolled back, the servers are the next
    one's"""
    d = t.supervised(size=1)
    c = t.client(d)
    c.sql("BEGIN")
    pid = c.value("SELECT pg_backend_pid()")
    d.console_close()
    d.store.drop = lambda name: name.startswith("pg/bag-")
    d.end()
    d.store.drop = lambda name: False
    d.start_next()
    equal(t.client(d).value("SELECT pg_backend_pid()"), pid, "the server is the next one's")
    check(d.log_has("cleanup done"), "it was cleaned up")


@test
def nobody_takes_it(t):
    """a supervisor that is gone: SIGUSR2 changes nothing, SIGTERM drains"""
    d = t.supervised(size=2)
    c, other = t.client(d), t.client(d)
    c.sql("BEGIN")
    os.unlink(d.store.path)
    d.signal(signal.SIGUSR2)
    wait_until(lambda: d.log_has("cannot hand over"), 5, "the log says so")
    equal(c.value("SELECT 1"), "1", "the transaction goes on")
    equal(t.client(d).backend() is not None, True, "a new client")
    d.signal(signal.SIGTERM)
    equal([e.sqlstate for e in other.until_closed().errors], ["57P01"], "the idle one is told")
    c.sql("COMMIT")
    equal(d.wait_end(10), 0, "the status")


@test
def over_tls(t):
    """servers over TLS: an idle one is replaced, a transaction may end, or is ended by
    handover_timeout"""
    d = t.supervised(pools={"db": {"conninfo": conninfo(dict(t.cluster.tls_conninfo(), dbname=t.database)),
                                   "size": 2},
                            "other": {"conninfo": t.conninfo(), "size": 1}},
                     options={"handover_timeout": "60s"})
    idle, busy, plain = t.client(d), t.client(d), t.client(d, "other")
    t.sql("CREATE TABLE marks (a int)")
    plain.sql("BEGIN")
    busy.sql("BEGIN; INSERT INTO marks VALUES (1)")
    idle.sql("SELECT 1")
    d.console_close()
    d.signal(signal.SIGTERM)
    wait_until(lambda: d.log_has("hands over"), 5, "it begins")
    busy.sql("COMMIT")
    equal(d.wait_end(10), 0, "the status")
    d.rewrite({"handover_timeout": "1s"})
    d.start_next()
    busy.sql("INSERT INTO marks VALUES (2)")
    idle.sql("SELECT 1")
    plain.sql("COMMIT")
    busy.sql("BEGIN; INSERT INTO marks VALUES (3)")
    d.restart()
    equal([e.sqlstate for e in busy.until_closed().errors], ["57P01"], "it is told")
    check(d.log_has("cannot be handed over"), "the log says so")
    equal(idle.value("SELECT count(*) FROM marks"), "2", "rows")


@test
def by_signal(t):
    """SIGUSR2 hands over without handover = on; without a supervisor it only says so"""
    d = t.supervised(options={"handover": "off"})
    c = t.client(d)
    c.sql("BEGIN")
    d.restart(signal.SIGUSR2)
    c.sql("COMMIT")
    d = t.daemon()
    c = t.client(d)
    d.signal(signal.SIGUSR2)
    wait_until(lambda: d.log_has("no handover"), 5, "the log says so")
    equal(c.value("SELECT 1"), "1", "it goes on")


@test
def all_in_one_turn(t):
    """SIGUSR2, SIGTERM behind it, an answer and a new client come in one turn of the loop"""
    d = t.supervised(options={"handover": "off"}, size=2)
    runs, idle = t.client(d), t.client(d)
    idle.sql("SELECT 1")
    for n in range(3):
        runs.send(wire.query("SELECT pg_sleep(0.2), %d" % n))
        wait_until(lambda: [a for a in t.activity() if a["state"] == "active"], 5, "it runs")
        d.signal(signal.SIGSTOP)
        wait_until(lambda: not [a for a in t.activity() if a["state"] == "active"], 5,
                   "PostgreSQL has answered")
        d.signal(signal.SIGUSR2)
        d.signal(signal.SIGTERM)
        d.signal(signal.SIGCONT)
        equal(d.wait_end(10), 0, "the status")
        d.start_next()
        equal(runs.until_ready().rows[0][1], str(n), "the answer")
        equal(idle.value("SELECT %d" % n), str(n), "the idle session")


@test
def small_store(t):
    """nothing is handed over to a supervisor that says that it keeps fewer descriptors than there are"""
    os.environ["FDSTORE"] = "6"
    try:
        d = t.supervised(size=2, min_size=2)
    finally:
        del os.environ["FDSTORE"]
    wait_until(lambda: len(d.servers()) == 2, 5, "two servers")
    c = t.client(d)
    d.signal(signal.SIGUSR2)
    wait_until(lambda: d.log_has("no handover.*FileDescriptorStoreMax"), 5, "the log says so")
    equal(c.value("SELECT 1"), "1", "it goes on")


@test
def bad_configuration(t):
    """nothing is handed over to a process that would not start: SIGUSR2 changes nothing, SIGTERM drains"""
    d = t.supervised(size=1)
    c, other = t.client(d), t.client(d)
    c.sql("BEGIN")
    with open(d.conf, "a") as f:
        f.write("\n[nonsense]\n")
    d.signal(signal.SIGUSR2)
    wait_until(lambda: d.log_has("no handover.*the configuration"), 5, "the log says so")
    equal(c.value("SELECT 1"), "1", "the transaction goes on")
    d.signal(signal.SIGTERM)
    equal([e.sqlstate for e in other.until_closed().errors], ["57P01"], "the idle one is told")
    c.sql("COMMIT")
    equal(d.wait_end(10), 0, "the status")


@test
def socket_options(t):
    """listen, port, socket_mode, socket_group and socket_owner are in force after a restart, and nobody is lost by it"""
    d = t.supervised(size=2)
    first = os.path.join(d.sockets, ".s.PGSQL.%d" % d.port)
    c = t.client(d)
    c.sql("BEGIN; CREATE TABLE x (i int)")
    group = next(g for g in os.getgroups() + [0, 65534] if g != os.getegid()) if os.geteuid() == 0 else os.getegid()
    name = __import__("grp").getgrgid(group).gr_name
    root = os.geteuid() == 0

    def restart(**options):
        d.console_close()
        d.rewrite(options)
        d.restart()
        equal(c.value("SELECT 1"), "1", "the transaction goes on with %s" % options)

    for options, mode, gid, uid in (({"socket_mode": "0700"}, 0o700, os.getegid(), os.geteuid()),
                                    ({"socket_mode": "0660", "socket_group": name}, 0o660, group, os.geteuid()),
                                    ({"socket_owner": "nobody"} if root else {}, 0o777, os.getegid(), 65534 if root else os.geteuid()),
                                    ({}, 0o777, os.getegid(), os.geteuid())):
        restart(**options)
        st = os.stat(first)
        equal((st.st_mode & 0o7777, st.st_gid, st.st_uid), (mode, gid, uid), "the socket with %s" % options)
        with d.connect() as new:
            equal(new.value("SELECT 2"), "2", "a new client")
    # what cannot be: the socket stays as it is
    restart(socket_group="no-such-group", socket_mode="0700")
    check(d.log_has("not in force.*no-such-group"), "the log says so")
    equal(os.stat(first).st_mode & 0o7777, 0o777, "as it was")
    restart(listen=os.path.join(d.directory, "nosuch"))
    check(d.log_has("stays where it was.*nosuch"), "the log says so")
    with d.connect() as new:
        equal(new.value("SELECT 2"), "2", "a new client at the old place")
    # the same place by another name
    os.symlink(d.sockets, os.path.join(d.directory, "same"))
    restart(listen=os.path.join(d.directory, "same"))
    check(os.path.exists(first), "it is where it was")
    # other places, and who is on the way to the one of before
    for listen, port in ((d.sockets, 7000), (os.path.join(d.directory, "two"), 7000), (os.path.join(d.directory, "two"), 6432)):
        os.makedirs(listen, exist_ok=True)
        d.console_close()
        before = os.path.join(d.sockets, ".s.PGSQL.%d" % d.port)
        d.rewrite({"listen": listen, "port": port})
        d.end()
        late = d.connect(login=False)
        late.send(wire.startup_packet(late.params))
        d.sockets, d.port = listen, port
        d.start_next()
        late.let_in()
        equal(late.value("SELECT 3"), "3", "who came to the place of before is served")
        late.close()
        equal(c.value("SELECT 1"), "1", "the transaction goes on")
        with d.connect() as new:
            equal(new.value("SELECT 2"), "2", "a new client at the new place")
        check(not os.path.exists(before) and not os.path.exists(before + ".lock"), "nothing is left at the old one")
    c.sql("COMMIT")
    equal(t.value("SELECT count(*) FROM x"), "0", "it is committed")


if __name__ == "__main__":
    main(cluster={"tls": True})
