"""TRACE: what happened to sessions and servers, in order; one reader, who may be slow or go away."""

from pgwtest import check, equal, main, test, wait_until, wire


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


if __name__ == "__main__":
    main()
