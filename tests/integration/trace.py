"""TRACE: what happened to sessions and servers, in order; one reader, who may be slow or go away. pgwith trace: its
files, its report, and what may go wrong."""

import json
import os
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import threading
import time

from pgwtest import check, equal, main, sanitized, test, wait_until, wire
from pgwtest.daemon import SANITIZE_ENV, program
from pgwtest.tap import unavailable


KINDS = ["snapshot", "server", "ask", "who", "session", "wait", "lock", "scope"]
STATES = {"server": ["connecting", "idle", "leased", "cleaning", "closed"],
          "session": ["absent", "present", "parameters", "work"],
          "scope": ["entering", "open", "ended"]}
FIRST, ALL = 1, 2


class Portion:
    """What one TRACE returns, read as src/base/tracepack.h says, without its code."""

    def __init__(self, data):
        self.data, self.at = data, 2
        equal(data[0], 1, "version")
        self.flags, self.names, self.events = data[1], [], []
        self.now, self.lost = self.number(), self.number()
        time_us = self.now
        while self.at < len(data):
            first = data[self.at]
            self.at += 1
            if first == 15:
                number, length = self.number(), self.number()
                self.names.append((number, data[self.at:self.at + length].decode()))
                self.at += length
                continue
            kind, state = KINDS[first & 15], data[self.at]
            self.at += 1
            change = self.number()
            time_us += change >> 1 if change % 2 == 0 else -(change + 1 >> 1)
            subject = self.number()
            other, name, name2 = (self.number() if first & bit else 0 for bit in (16, 32, 64))
            if kind in STATES:
                state = STATES[kind][state]
            elif kind == "ask":
                state = chr(state)
            elif kind != "who":
                state = "begin" if state else "end"
            self.events.append({"kind": kind, "state": state, "time_us": time_us, "subject": str(subject),
                                "other": str(other), "name": name, "name2": name2})

    def number(self):
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7


class Recording:
    """The events of TRACE of one console session, with the names put in."""

    def __init__(self, t, d):
        self.console = t.client(d, "pgwith")
        self.names, self.rows, self.lost, self.portions = {0: None}, [], 0, []
        self.read()

    def read_one(self):
        answer = self.console.ask("TRACE")
        equal([e.sqlstate for e in answer.errors], [], "errors of TRACE")
        equal((answer.columns, len(answer.rows)), (["portion"], 1), "the answer")
        portion = Portion(bytes.fromhex(answer.rows[0][0][2:]))
        self.names.update(portion.names)
        for e in portion.events:
            e["name"], e["name2"] = self.names[e["name"]], self.names[e["name2"]]
        self.rows += portion.events
        self.lost = portion.lost
        self.portions.append(portion)
        return portion

    def read(self):
        while not self.read_one().flags & ALL:
            pass

    def of(self, kind, subject=None):
        """[(state, name)] of the events of one kind."""
        return [(r["state"], r["name"]) for r in self.rows
                if r["kind"] == kind and (subject is None or r["subject"] == subject)]


def session_of(d, name):
    return [c["id"] for c in d.clients() if c["application_name"] == name][0]


@test
def a_transaction_and_one_that_waits(t):
    """who has the server, when it runs and when it does not, and who waits, with names"""
    d = t.daemon(size=1)
    holder = t.client(d, application_name="holder")
    waiter = t.client(d, application_name="waiter")
    r = Recording(t, d)
    who = {x["name2"] for x in r.rows if x["kind"] == "who"}
    check({"holder", "waiter"} <= who, "who is there already: %r" % who)
    holder.sql("BEGIN")
    holder.sql("SELECT pg_sleep(0.05)")
    waiter.send(wire.query("SELECT 1"))
    wait_until(lambda: d.waiting() == 1, 5, "one waits")
    holder.sql("COMMIT")
    waiter.until_ready()
    r.read()
    equal(r.of("wait", session_of(d, "waiter")), [("begin", "db"), ("end", None)], "the wait")
    mine = session_of(d, "holder")
    asks = [x for x in r.rows if x["kind"] == "ask" and x["other"] == mine]
    states = [x["state"] for x in asks]
    equal(states[-4:], ["R", "T", "R", "I"], "runs, idle in transaction, runs, idle")
    check(asks[-3]["time_us"] - asks[-4]["time_us"] >= 50000, "it has run for 50 ms")
    leased = [x["other"] for x in r.rows if x["kind"] == "server" and x["state"] == "leased"]
    equal(leased[-2:], [mine, session_of(d, "waiter")], "who had the server")
    times = [x["time_us"] for x in r.rows]
    equal(times, sorted(times), "in order of time")


@test
def one_that_waits_at_its_login(t):
    """who needs a server to be let in, and gets none, has a name and waits; one that gives up is gone"""
    d = t.daemon(size=1)
    d.console("PAUSE db")
    early, late = (t.client(d, login=False, application_name=name) for name in ("early", "late"))
    early.send(wire.startup_packet(early.params))
    wait_until(lambda: d.waiting() == 1, 5, "the first one waits")
    r = Recording(t, d)
    late.send(wire.startup_packet(late.params))
    wait_until(lambda: d.waiting() == 2, 5, "the second one waits")
    r.read()
    for name in ("early", "late"):
        mine = session_of(d, name)
        equal([x["name2"] for x in r.rows if x["kind"] == "who" and x["subject"] == mine], [name], "who waits")
        equal(r.of("session", mine), [("present", "db")], "it is there")
        equal(r.of("wait", mine), [("begin", "db")], "it waits, told once")
    gone = session_of(d, "late")
    late.drop()
    wait_until(lambda: d.waiting() == 1, 5, "it is gone")
    d.console("RESUME db")
    early.let_in()
    r.read()
    equal(r.of("session", gone)[-1][0], "absent", "the end of the one that has given up")
    equal(r.of("wait", session_of(d, "early")), [("begin", "db"), ("end", None)], "the wait of the other one")


@test
def scopes_and_locks(t):
    """scopes are entered, opened and ended; the wait for a lock has its name"""
    d = t.daemon(size=2)
    a, b = t.client(d, application_name="a"), t.client(d, application_name="b")
    a.sql("ENTER LOCK 'nightly'")
    r = Recording(t, d)
    b.send(wire.query("ENTER LOCK 'nightly'"))
    wait_until(lambda: [x for x in d.show("LOCKS") if x["state"] == "waiting"], 5, "b waits")
    a.sql("EXIT ALL")
    b.until_ready()
    b.sql("EXIT ALL")
    a.sql("ENTER work")
    a.sql("SELECT 1")
    a.sql("EXIT ALL")
    r.read()
    equal(r.of("lock", session_of(d, "b")), [("begin", "nightly"), ("end", None)], "the wait")
    equal([s for s in r.of("scope", session_of(d, "a")) if s[1] == "work"],
          [("entering", "work"), ("open", "work")], "the transaction")
    equal([s for s in r.of("scope", session_of(d, "a")) if s[1] == "nightly"],
          [("open", "nightly")], "what was open at the beginning")
    mine = [x for x in r.rows if x["kind"] == "scope" and x["subject"] == session_of(d, "a")]
    for name in ("work", "nightly"):
        numbers = {x["other"] for x in mine if x["name"] == name}
        equal([x["state"] for x in mine if x["other"] in numbers][-1], "ended", "the end of " + name)


@test
def one_reader(t):
    """one session records at a time, and with its end the next one may"""
    d = t.daemon()
    r = Recording(t, d)
    other = t.client(d, "pgwith")
    equal([e.sqlstate for e in other.ask("TRACE").errors], ["55000"], "a second reader")
    r.console.close()
    wait_until(lambda: other.ask("TRACE").errors == [], 5, "the next one records")


@test
def a_slow_reader(t):
    """who does not read loses events, is told how many, and goes on from a snapshot"""
    d = t.daemon()
    c = t.client(d)
    r = Recording(t, d)
    del r.rows[:]
    for _ in range(17000):  # four events each
        c.send(wire.query("SELECT 1"))
        c.until_ready()
    r.read()
    check(r.lost > 0, "events were lost")
    equal([x["state"] for x in r.rows if x["kind"] == "snapshot"], ["begin", "end"], "a snapshot")
    lost = r.lost
    c.sql("SELECT 1")
    r.read()
    equal(r.lost, lost, "nothing is lost any more")
    check([x for x in r.rows if x["kind"] == "ask" and x["state"] == "R"], "it goes on")


@test
def many_sessions(t):
    """hundreds of sessions are told in pieces; what changes meanwhile is told as it is"""
    d = t.daemon({"max_clients": "1000"}, size=1)
    clients = [t.client(d, application_name="one of many %d" % i) for i in range(600)]
    clients[0].sql("BEGIN")
    waiting = clients[300:340]
    for c in waiting[:20]:
        c.send(wire.query("SELECT 1"))
    wait_until(lambda: d.waiting() == 20, 5, "half of them wait")
    r = Recording.__new__(Recording)
    r.console, r.names, r.rows, r.lost, r.portions = t.client(d, "pgwith"), {0: None}, [], 0, []
    first = r.read_one()
    equal(first.flags, FIRST, "the first portion is not all")
    for c in waiting[20:]:
        c.send(wire.query("SELECT 1"))
    wait_until(lambda: d.waiting() == 40, 5, "all of them wait")
    clients[599].close()
    r.read()
    check(len(r.portions) > 1, "pieces: %d" % len(r.portions))
    snapshots = [(i, x["state"]) for i, x in enumerate(r.rows) if x["kind"] == "snapshot"]
    equal([s for _, s in snapshots], ["begin", "end"], "one snapshot")
    who = {x["name2"] for x in r.rows if x["kind"] == "who"}
    check(who >= {"one of many %d" % i for i in range(599)}, "all sessions: %d" % len(who))
    clients[0].sql("COMMIT")
    for c in waiting:
        c.until_ready()
    r.read()
    for c in waiting:
        mine = session_of(d, c.parameters["application_name"])
        equal(r.of("wait", mine)[-1][0], "end", "the last of the wait of " + mine)
    equal(len(r.of("who")), len({x["subject"] for x in r.rows if x["kind"] == "who"}), "each is told once")


def arguments(d, *args):
    return [program("pgwith"), "-S", d.sockets, "-p", str(d.port), "-U", "postgres", *args]


def pgwith(d, *args, **how):
    return subprocess.run(arguments(d, *args), capture_output=True, text=True, timeout=60,
                          env=dict(os.environ, **SANITIZE_ENV), **how)


class Running:
    """pgwith trace, while it records."""

    def __init__(self, t, d, path, *args, **how):
        self.process = subprocess.Popen(arguments(d, "trace", "-o", path, *args), stderr=subprocess.PIPE, text=True,
                                        env=dict(os.environ, **SANITIZE_ENV), **how)
        t.defer(self.process.kill)
        wait_until(lambda: self.process.poll() is not None or self.records(d), 10, "it records")

    def records(self, d):
        return [c for c in d.show("CLIENTS") if c["database"] == "pgwith" and int(c["remote_pid"]) == self.process.pid
                and int(c["queries"]) > 2]

    def end(self):
        """(exit status, what it said)"""
        said = self.process.communicate(timeout=60)[1]
        return self.process.returncode, said


def load(t, d):
    """Transactions, scopes, waits for servers and for a lock, by four clients. Returns a function that ends it."""
    over = threading.Event()

    def one(c):
        while not over.is_set():
            c.sql("BEGIN")
            c.sql("SELECT pg_sleep(0.01)")
            time.sleep(0.01)
            c.sql("COMMIT")
            c.sql("ENTER LOCK 'one', work")
            c.sql("SELECT pg_sleep(0.005)")
            c.sql("EXIT ALL")
    clients = [t.client(d, application_name="load %d" % i) for i in range(4)]
    threads = [threading.Thread(target=one, args=(c,)) for c in clients]

    def end():
        over.set()
        for x in threads:
            x.join()

    for x in threads:
        x.start()
    t.defer(end)
    return end


@test
def many_sessions_add_up(t):
    """the times of each session and each server are the wall time, though the snapshot was told in pieces"""
    d = t.daemon({"max_clients": "1000"}, size=1)
    for i in range(900):
        t.client(d)
    path = t.path("trace.db")
    done = pgwith(d, "trace", "-o", path, "--seconds", "1")
    equal((done.returncode, done.stderr), (0, ""), "pgwith trace")
    db = sqlite3.connect(path)
    wall = db.execute("SELECT end_us FROM recording").fetchone()[0]
    sums = db.execute("SELECT track, min(us), max(us), count(*) FROM (SELECT track, id, sum(end_us-begin_us) us"
                      " FROM segment GROUP BY 1,2) GROUP BY 1").fetchall()
    equal(sums, [("server", wall, wall, 1), ("session", wall, wall, 900)], "times, of %d" % wall)


@test
def the_report_adds_up(t):
    """the times of servers and of sessions are the wall time, within 2 %; the worst has its name"""
    d = t.daemon(size=3, max_waiting=10)
    stuck = t.client(d, application_name="stuck")
    stuck.sql("BEGIN")
    stuck.sql("SELECT 1")
    end_load = load(t, d)
    wait_until(lambda: len(d.servers()) == 3, 5, "three servers")
    path = t.path("trace.db")
    before = time.time()
    done = pgwith(d, "trace", "-o", path, "--seconds", "2")
    equal((done.returncode, done.stderr), (0, ""), "pgwith trace")
    end_load()
    db = sqlite3.connect(path)
    db.row_factory = sqlite3.Row
    about = dict(db.execute("SELECT * FROM recording").fetchone())
    equal((about["lost"], about["restarts"], about["pool"]), (0, 0, None), "about it")
    check(about["events"] > 100, "events: %r" % about)
    check(before - 1 < about["began_at"] < time.time(), "when it began: %r" % about)
    db.row_factory = None
    wall = about["end_us"]
    check(1.9e6 < wall < 5e6, "two seconds: %d" % wall)
    equal(db.execute("SELECT count(*) FROM segment WHERE begin_us<0 OR end_us>? OR end_us<=begin_us",
                     (wall,)).fetchone()[0], 0, "segments outside of the recording")
    for track, count in (("server", 3), ("session", 5)):
        sums = dict(db.execute("SELECT state, sum(end_us-begin_us) FROM segment WHERE track=? GROUP BY 1",
                               (track,)))
        check(abs(sum(sums.values()) - count * wall) <= 0.02 * count * wall,
              "%s: %r of %d times %d" % (track, sums, count, wall))
        if track == "session":
            check({"waiting for a server", "waiting for a lock", "running", "idle in transaction", "outside"}
                  <= set(sums), "states of sessions: %r" % sums)
    for track in ("server", "session"):
        gaps = db.execute("SELECT count(*) FROM (SELECT begin_us, lag(end_us) OVER (PARTITION BY id ORDER BY begin_us)"
                          " AS before FROM segment WHERE track=?) WHERE begin_us<>before", (track,)).fetchone()[0]
        equal(gaps, 0, "gaps between the segments of a %s, and overlaps" % track)
    kept = dict(db.execute("SELECT application_name, sum(end_us-begin_us) FROM segment WHERE track='server'"
                           " AND state='idle in transaction' GROUP BY 1"))
    check(abs(kept["stuck"] - wall) < 0.02 * wall, "the stuck one: %r of %d" % (kept, wall))
    done = pgwith(d, "trace", "--report", path, "--csv")
    equal(done.returncode, 0, "the report: " + done.stderr)
    worst = done.stdout.split("unused_s")[1].splitlines()[1].split(",")
    equal((worst[1], worst[2], worst[4]), (str(os.getpid()), "stuck", "db"), "the worst: " + done.stdout)
    with open("/proc/self/comm") as f:
        equal(worst[0], f.read().strip(), "the program")
    rows = [x.split(",") for x in done.stdout.split("percent,times\n")[1].split("\n\n")[0].splitlines()]
    for track, count in (("server", 3), ("session", 5)):
        time_s = sum(float(x[2]) for x in rows if x[0] == track)
        check(abs(time_s - count * wall / 1e6) <= 0.02 * count * wall / 1e6, "%s in the report: %r" % (track, rows))
        check(abs(sum(float(x[3]) for x in rows if x[0] == track) - 100) < 1, "percents: %r" % rows)
    waits = done.stdout.split("times,time_s,longest_s\n")[1].splitlines()
    check([x for x in waits if "waiting for a server,db" in x], "who waits: %r" % waits)
    check([x for x in waits if "waiting for a lock,db,one" in x], "who waits for the lock: %r" % waits)


@test
def chromes_format(t):
    """the JSON is valid, each event has a beginning and a length, and --pool leaves others out"""
    d = t.daemon(size=2, max_waiting=10)
    end_load = load(t, d)
    path = t.path("trace.json")
    done = pgwith(d, "trace", "--output", path, "--seconds", "1", "--pool", "db")
    equal((done.returncode, done.stderr), (0, ""), "pgwith trace")
    end_load()
    with open(path) as f:
        whole = json.load(f)
    events = whole["traceEvents"]
    equal(whole["otherData"]["lost"], 0, "lost")
    check("load 1" in str([e for e in events if e["name"] == "thread_name"]), "the lines have names")
    spans = [e for e in events if e["ph"] == "X"]
    equal({e["ph"] for e in events}, {"X", "M"}, "phases")
    check(all(e["dur"] > 0 and e["ts"] >= 0 for e in spans), "times")
    check({"running", "idle in transaction", "waiting for a server"} <= {e["name"] for e in spans}, "names")
    equal({e["args"]["pool"] for e in spans}, {"db"}, "pools")
    done = pgwith(d, "trace", "--report", path)
    equal((done.returncode, done.stderr), (1, "pgwith: %s: this is no recording of pgwith trace to SQLite\n" % path),
          "a report on it")


@test
def one_of_two_pools(t):
    """--pool leaves the other pool's servers and sessions out"""
    d = t.daemon(pools={"one": {"conninfo": t.conninfo()}, "two": {"conninfo": t.conninfo()}})
    for pool in ("one", "two"):
        t.client(d, pool, application_name="of " + pool).sql("BEGIN")
    path = t.path("trace.sqlite")
    done = pgwith(d, "trace", "-o", path, "--seconds", "1", "--pool", "two")
    equal((done.returncode, done.stderr), (0, ""), "pgwith trace")
    db = sqlite3.connect(path)
    equal(db.execute("SELECT DISTINCT pool, application_name FROM segment").fetchall(), [("two", "of two")], "segments")
    equal(db.execute("SELECT pool FROM recording").fetchall(), [("two",)], "what the file says")


@test
def one_pool_whose_session_waits_for_another(t):
    """with --pool, the times of a session of the pool are the wall time, also if it waits for another pool's server"""
    d = t.daemon(pools={"one": {"conninfo": t.conninfo()}, "two": {"conninfo": t.conninfo(), "size": "1"}})
    t.client(d, "two", application_name="of two").sql("BEGIN")
    waiter = t.client(d, "one", application_name="of one")
    waiter.send(wire.query("ENTER x ON two"))
    wait_until(lambda: d.waiting("two") == 1, 5, "it waits")
    for pool, names in (("one", ["of one"]), ("two", ["of one", "of two"])):
        path = t.path(pool + ".db")
        done = pgwith(d, "trace", "-o", path, "--seconds", "1", "--pool", pool)
        equal((done.returncode, done.stderr), (0, ""), "pgwith trace")
        db = sqlite3.connect(path)
        wall = db.execute("SELECT end_us FROM recording").fetchone()[0]
        sums = db.execute("SELECT application_name, sum(end_us-begin_us) FROM segment WHERE track='session'"
                          " GROUP BY 1 ORDER BY 1").fetchall()
        equal(sums, [(name, wall) for name in names], "sessions in the recording of " + pool)


@test
def the_name_of_a_client_changes(t):
    """SET application_name is seen in the recording"""
    d = t.daemon(size=1)
    c = t.client(d, application_name="before")
    r = Recording(t, d)
    c.sql("SET application_name = 'behind'")
    c.sql("SELECT 1")
    r.read()
    names = [x["name2"] for x in r.rows if x["kind"] == "who"]
    equal(names[-1], "behind", "names: %r" % names)


@test
def mistakes(t):
    """each has words and an exit status of its own, and leaves no file behind"""
    d = t.daemon()
    path = t.path("trace.db")
    other = t.path("other.db")
    with open(other, "w") as f:
        f.write("precious")
    folder = t.path("there")
    os.mkdir(folder)
    for args, status, words in (
            ((), 2, "trace: -o FILE says where to; --report FILE reads one"),
            (("-o", t.path("x.txt")), 2, '"%s" ends neither in .db or .sqlite (SQLite) nor in .json' % t.path("x.txt")),
            (("-o", ".db"), 2, '".db" ends neither'),
            (("-o", path, "--seconds", "0"), 2, '--seconds: "0" is no number from 1 to 86400'),
            (("-o", path, "--seconds", "5s"), 2, '--seconds: "5s" is no number'),
            (("-o", path, "--pool", "other"), 2, 'there is no pool "other"'),
            (("-o", other), 1, "%s exists already, and is not overwritten" % other),
            (("-o", folder + "/no/trace.json"), 1, "%s/no/trace.json: No such file or directory" % folder),
            (("-o", path, "-p", "6499"), 3, "No such file or directory"),
            (("--report", path), 2, "%s: No such file or directory" % path),
            (("--report", other + "/x.db"), 1, "%s/x.db: Not a directory" % other),
            (("--report", other), 1, "%s: this is no recording of pgwith trace to SQLite" % other)):
        done = pgwith(d, "trace", *(() if "--report" in args else ("--seconds", "1")), *args)
        equal(done.returncode, status, "%r: %s" % (args, done.stderr))
        check(words in done.stderr and done.stderr.startswith("pgwith: "), "%r says %r" % (args, done.stderr))
        check(not os.path.exists(path), "%r leaves a file" % (args,))
    with open(other) as f:
        equal(f.read(), "precious", "the file that was there")
    first = Recording(t, d)
    done = pgwith(d, "trace", "-o", path)
    equal((done.returncode, os.path.exists(path)), (1, False), "another one records")
    check(re.search("session [0-9]+ records already", done.stderr), "it says so: " + done.stderr)
    first.console.close()


@test
def another_user(t):
    """the level stats is enough, and is needed; a file that the user may not write is said to be so"""
    if os.geteuid() != 0:
        unavailable("only root can be somebody else")
    d = t.daemon({"stats_users": "watcher"})
    own = t.path("own")
    os.mkdir(own)
    os.chown(own, 65534, 65534)
    mine = os.path.join(own, "pgwith")
    shutil.copy(program("pgwith"), mine)
    for path, user, status, words in (
            (own + "/a.db", "stranger", 4, "TRACE"),
            (t.path("b.db"), "watcher", 1, "%s: Permission denied" % t.path("b.db")),
            (own + "/c.db", "watcher", 0, "")):
        done = subprocess.run(["setpriv", "--reuid", "65534", "--clear-groups", mine, *arguments(d)[1:], "-U", user,
                               "trace", "-o", path, "--seconds", "1"], capture_output=True, text=True, timeout=60,
                              env=dict(os.environ, **SANITIZE_ENV))
        equal(done.returncode, status, "%s: %s" % (user, done.stderr))
        check(words in done.stderr, "%s: %r" % (user, done.stderr))
        equal(os.path.exists(path), status == 0, "the file of " + user)


@test
def ended_by_a_signal(t):
    """Ctrl-C and SIGTERM end the recording, and what was recorded is kept; SIGHUP does not end it"""
    d = t.daemon(size=1)
    c = t.client(d, application_name="stuck")
    c.sql("BEGIN")
    for number in (signal.SIGINT, signal.SIGTERM):
        path = t.path("signal%d.db" % number)
        r = Running(t, d, path, "--seconds", "600")
        r.process.send_signal(signal.SIGHUP)
        queries = int(r.records(d)[0]["queries"])
        wait_until(lambda r=r, queries=queries: int(r.records(d)[0]["queries"]) > queries + 2, 5, "it goes on")
        r.process.send_signal(number)
        equal(r.end(), (0, ""), "ended by signal %d" % number)
        kept = sqlite3.connect(path).execute("SELECT DISTINCT state FROM segment WHERE application_name='stuck'")
        equal(kept.fetchall(), [("idle in transaction",)], "what was recorded")
    # The second signal comes while the file is written.
    path = t.path("both.db")
    r = Running(t, d, path, "--seconds", "600")
    for number in (signal.SIGSTOP, signal.SIGINT, signal.SIGTERM, signal.SIGCONT):
        r.process.send_signal(number)
    equal(r.end(), (5, "pgwith: given up: %s is not kept\n" % path), "two signals")
    check(not os.path.exists(path), "no half file")


@test
def pgwithd_ends(t):
    """with pgwithd, or with its session, the recording ends, and what was recorded is kept"""
    d = t.daemon(size=1)
    c = t.client(d, application_name="stuck")
    c.sql("BEGIN")
    path = t.path("killed.db")
    r = Running(t, d, path, "--seconds", "600")
    d.console("KILL SESSION %s" % r.records(d)[0]["id"])
    status, said = r.end()
    equal(status, 3, "its session is killed: " + said)
    check("pgwithd has ended, and the recording with it" in said, said)
    equal(sqlite3.connect(path).execute("SELECT count(*) FROM recording").fetchone(), (1,), "it is kept")
    path = t.path("ended.json")
    r = Running(t, d, path, "--seconds", "600")
    d.stop(signal.SIGINT)
    status, said = r.end()
    equal(status, 3, "pgwithd ends: " + said)
    with open(path) as f:
        check("idle in transaction" in {e["name"] for e in json.load(f)["traceEvents"]}, "it is kept")


@test
def pgwithd_hangs(t):
    """Ctrl-C does not wait for a pgwithd that hangs; what was recorded is kept"""
    d = t.daemon(size=1)
    c = t.client(d, application_name="stuck")
    c.sql("BEGIN")
    path = t.path("hung.db")
    r = Running(t, d, path, "--seconds", "600", "--timeout", "1h")
    d.process.send_signal(signal.SIGSTOP)
    t.defer(lambda: d.process.send_signal(signal.SIGCONT))
    r.process.send_signal(signal.SIGINT)
    equal(r.end(), (3, "pgwith: pgwithd does not answer\npgwith: the recording ends here\n"), "the end")
    kept = sqlite3.connect(path).execute("SELECT DISTINCT state FROM segment WHERE application_name='stuck'")
    equal(kept.fetchall(), [("idle in transaction",)], "what was recorded")
    d.process.send_signal(signal.SIGCONT)


@test
def a_name_for_what_is_whole(t):
    """killed while it records, it leaves no file; a file that has come meanwhile is not overwritten, nor is the recording lost"""
    d = t.daemon(size=1)
    folder = t.path("whole")
    os.mkdir(folder)
    path = folder + "/x.db"
    for name in ("x.db", "x.json"):
        r = Running(t, d, folder + "/" + name, "--seconds", "600")
        r.process.kill()
        equal((r.end()[0], os.listdir(folder)), (-signal.SIGKILL, []), name)
        wait_until(lambda r=r: not r.records(d), 10, "the session has gone")
    r = Running(t, d, path, "--seconds", "600")
    with open(path, "w") as f:
        f.write("precious")
    r.process.send_signal(signal.SIGINT)
    status, said = r.end()
    m = re.fullmatch("pgwith: %s exists now, and is not overwritten: the recording is in (.*)\n" % path, said)
    check(status == 1 and m, "%d %s" % (status, said))
    equal(sqlite3.connect(m[1]).execute("SELECT count(*) FROM recording").fetchone(), (1,), "it is whole")
    with open(path) as f:
        equal(f.read(), "precious", "the other file")
    equal(sorted(os.listdir(folder)), sorted([os.path.basename(m[1]), "x.db"]), "nothing else")
    umask = os.umask(0)
    os.umask(umask)
    equal(os.stat(m[1]).st_mode & 0o777, 0o666 & ~umask, "the mode")


@test
def pgwithd_is_restarted(t):
    """a restart that drops nobody does not end the recording either"""
    d = t.supervised(size=2)
    c = t.client(d, application_name="goes on")
    c.sql("BEGIN")
    path = t.path("restarted.db")
    r = Running(t, d, path, "--seconds", "600")
    d.restart()
    c.sql("SELECT 1")
    queries = int(r.records(d)[0]["queries"])
    wait_until(lambda: int(r.records(d)[0]["queries"]) > queries + 2, 5, "it goes on")
    r.process.send_signal(signal.SIGINT)
    equal(r.end(), (0, "pgwith: pgwithd was restarted; the recording goes on\n"), "its end")
    db = sqlite3.connect(path)
    wall, restarts = db.execute("SELECT end_us, restarts FROM recording").fetchone()
    equal(restarts, 1, "restarts")
    for track in ("server", "session"):
        there = db.execute("SELECT sum(end_us-begin_us), count(DISTINCT id) FROM segment WHERE track=?"
                           " AND application_name='goes on'", (track,)).fetchone()
        equal(there[1], 1, "it is the same " + track)
        check(abs(there[0] - wall) <= 0.02 * wall, "%s: %d of %d" % (track, there[0], wall))


@test
def a_full_disk(t):
    """the words are clear, the exit status is 1, and no half file stays; the daemon does not notice"""
    d = t.daemon(size=1)
    c = t.client(d)

    def little_room():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))

    for name in ("full.db", "full.json"):
        path = t.path(name)
        r = Running(t, d, path, "--seconds", "600", preexec_fn=little_room)
        for _ in range(5000):
            if r.process.poll() is not None:
                break
            c.sql("SELECT 1")
        status, said = r.end()
        equal(status, 1, said)
        check("%s: File too large: the recording ends here" % path in said, "what it says: " + said)
        equal(said.count(path), 2, "and why the file is not kept: " + said)
        check(not os.path.exists(path), "the file is not kept")
        equal([x for x in os.listdir(os.path.dirname(path)) if "trace" in x], [], "nor anything else")
    c.sql("SELECT 1")


@test
def a_disk_that_is_full(t):
    """the same with a file system that is full"""
    d = t.daemon(size=1)
    c = t.client(d)
    small = t.path("small")
    os.mkdir(small)
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0:
        unavailable("a mount of one's own (unshare -m)")
    path = small + "/full.db"
    script = 'mount -t tmpfs -o size=64k none "$0" && "$@"; s=$?; ls -A "$0" >&2; exit $s'
    r = subprocess.Popen(["unshare", "-m", "sh", "-c", script, small,
                          *arguments(d, "trace", "-o", path, "--seconds", "600")],
                         stderr=subprocess.PIPE, text=True, env=dict(os.environ, **SANITIZE_ENV))
    t.defer(r.kill)
    while r.poll() is None:
        c.sql("SELECT 1")
    said = r.stderr.read()
    if "mount:" in said:
        unavailable("mount: " + said)
    equal(r.returncode, 1, said)
    equal(said.splitlines(), ["pgwith: %s: No space left on device: the recording ends here" % path,
                              "pgwith: %s: database or disk is full" % path], "what it says, and no file")


@test
def one_that_hangs(t):
    """a pgwith that is stopped costs no memory beyond the ring, and no client waits for it"""
    d = t.daemon({"log_level": "info"}, size=1)
    c = t.client(d)
    path = t.path("hangs.db")
    r = Running(t, d, path, "--seconds", "600")
    r.process.send_signal(signal.SIGSTOP)
    for _ in range(18000):  # four events each: more than the ring has room for
        c.sql("SELECT 1")
    before = d.memory()
    for _ in range(5000):
        c.sql("SELECT 1")
    # What is freed stays for a while in a sanitized build: see SANITIZE_ENV.
    room = (8 << 20) if sanitized() else (256 << 10)
    check(d.memory() - before < room, "memory: %d, %d" % (before, d.memory()))
    r.process.send_signal(signal.SIGCONT)
    r.process.send_signal(signal.SIGINT)
    status, said = r.end()
    equal(status, 0, said)
    lost = re.search("pgwith: ([0-9]+) of ([0-9]+) events were lost: pgwith was too slow; times are not exact", said)
    check(lost and int(lost[1]) > 0, said)
    equal(sqlite3.connect(path).execute("SELECT lost FROM recording").fetchone(), (int(lost[1]),), "in the file")
    done = pgwith(d, "trace", "--report", path)
    equal(done.returncode, 0, done.stderr)
    check("%s events were lost" % lost[1] in done.stderr, "in the report: " + done.stderr)


if __name__ == "__main__":
    main()
