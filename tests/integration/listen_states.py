"""LISTEN through the pool's connection that listens, in states that a load does not meet by itself: processes are stopped
by SIGSTOP in the middle of something, restarts and RECONNECT come then, channels have odd names. What is heard is what
PostgreSQL gives."""

import os
import signal
import threading

from pgwtest import check, equal, main, test, wait_until, wire
from pgwtest.ears import Collector, identifier, parsed

# what asyncpg's pool sends
RESET = "SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL"
ALL = 3000  # notifications while one keeper is stopped


def collector(t, d, **params):
    c = Collector(d.sockets, d.port, "db", **params)
    t.defer(c.close)
    return c


def keeper(d):
    """The backend of the connection that listens."""
    pids = [int(s["remote_pid"]) for s in d.servers() if s["state"] == "listening"]
    equal(len(pids), 1, "connections that listen")
    return pids[0]


class Stopped:
    """A process that is stopped inside of the with statement, or until go_on()."""

    def __init__(self, pid):
        self.pid = pid

    def __enter__(self):
        os.kill(self.pid, signal.SIGSTOP)
        return self

    def __exit__(self, *_):
        self.go_on()

    def go_on(self):
        os.kill(self.pid, signal.SIGCONT)


class Marks:
    """Notifications of a channel that each of the clients has beside its own: what came before them has come."""

    def __init__(self, t):
        self.t, self.number = t, 0

    def heard(self, c):
        """Payloads that a client has got by now; it holds no transaction."""
        self.number += 1
        mark = "mark %d" % self.number
        c.sql("LISTEN mark")
        self.t.sql("NOTIFY mark, '%s'" % mark)
        c.hear(mark)
        c.sql("UNLISTEN mark")
        got = [p for p in c.payloads() if not p.startswith("mark ")]
        c.heard = []
        return got


def notify(t, *channels):
    """Each with its name as payload."""
    for channel in channels:
        t.sql("NOTIFY %s, '%s'" % (identifier(channel), channel))


# ---- transactions and answers ---------------------------------------------------------------------------
@test
def commit_fails(t):
    """LISTEN and UNLISTEN of a transaction whose COMMIT fails are not in force, whether somebody else listens or not"""
    t.sql("CREATE TABLE p (a int PRIMARY KEY); CREATE TABLE c (a int REFERENCES p DEFERRABLE INITIALLY DEFERRED)")
    d = t.daemon(size=2)
    marks = Marks(t)
    for beside in (False, True):
        c, other = collector(t, d), collector(t, d)
        if beside:
            other.sql("LISTEN ch")
        c.sql("LISTEN old")
        c.sql("BEGIN; INSERT INTO c VALUES (1)")
        c.sql("LISTEN ch")
        c.sql("UNLISTEN old")
        equal([e.sqlstate for e in c.ask("COMMIT").errors], ["23503"], "the COMMIT")
        notify(t, "ch", "old")
        equal(marks.heard(c), ["old"], "what is heard")
        for sql in ("BEGIN", "LISTEN ch", "UNLISTEN ch", "LISTEN other", "COMMIT"):
            c.sql(sql)
        notify(t, "ch", "other", "old")
        equal(marks.heard(c), ["other", "old"], "what is heard")
        c.close()
        other.close()


@test
def between_answers(t):
    """nothing is told inside of a long answer, of COPY, of a transaction, of a scope; all of it is told behind it"""
    t.sql("CREATE TABLE c (a text)")
    d = t.daemon(size=3)
    c = collector(t, d)
    c.sql("LISTEN ch; LISTEN own")
    count = 50

    def some():
        for n in range(count):
            t.sql("NOTIFY ch, '%d'" % n)

    def told(what, r):
        """All have come, and none inside of the answer."""
        answer = r.kinds[:r.kinds.index("C")].lstrip("A")
        check("A" not in answer, "inside of %s: %s" % (what, answer.replace("D", "")))
        if len(c.heard) < count:
            c.hear(str(count - 1))
        equal(c.payloads(), [str(n) for n in range(count)], "told behind " + what)
        c.heard = []
    c.send(wire.query("SELECT repeat('x', 1000) FROM generate_series(1, 20000)"))
    some()
    told("a long answer", c.until_ready())
    c.send(wire.query("COPY c FROM STDIN"))
    c.until("G")
    some()
    check(c.silent(0.1), "nothing in COPY")
    c.send(wire.copy_data(b"x\n") + wire.copy_done())
    told("COPY", c.until_ready())
    for begin, end in (("BEGIN", "COMMIT"), ("BEGIN", "ROLLBACK"), ("ENTER a", "EXIT"), ("ENTER a", "EXIT ROLLBACK")):
        c.sql(begin)
        c.sql("INSERT INTO c VALUES ('y')")
        some()
        c.sql("SELECT 1")
        equal(c.heard, [], "inside of " + begin)
        told(begin, c.ask(end))


@test
def names(t):
    """channels with odd names: the answer, the notice, what is heard and what is not behind UNLISTEN are PostgreSQL's"""
    d = t.daemon(size=2)
    pooled, judge = collector(t, d), t.direct()
    direct = Collector(t.cluster.sockets, t.cluster.port, t.database, password=t.cluster.password)
    t.defer(direct.close)

    def answers(r):
        return r.tags, [(e.sqlstate, e.message) for e in r.errors], [n["M"] for n in r.notices]

    def life(c, name, channel):
        found = [answers(c.ask("LISTEN " + name))]
        for verb in ("UNLISTEN", None):
            if channel is not None:
                t.sql("SELECT pg_notify('%s', 'payload')" % channel.replace("'", "''"))
            c.sql("LISTEN mark")
            t.sql("NOTIFY mark, 'mark'")
            c.hear("mark")
            found.append([parsed(raw)[1:] for raw in c.heard[:-1]])
            c.sql("UNLISTEN mark")
            c.heard = []
            if verb:
                found.append(answers(c.ask("UNLISTEN " + name)))
        c.sql("UNLISTEN *")
        return found
    for name in ("ch", "CH", '"CH"', '"a b"', '"%s"' % ("n" * 63), '"%s"' % ("n" * 64), "n" * 64, "n" * 100, '"%s"' % ("é" * 31),
                 '"%s"' % ("é" * 32), '"%s"' % ("é" * 40), "é", "É", 'U&"d\\0061t\\+000061"', "U&\"d!0061\" UESCAPE '!'", '""',
                 '"a""b"', '"%s"' % ('""' * 63), '"%s"' % ('""' * 64), "select", "listen", "all", "none", "public", '"*"', "*",
                 "a$b", "$a", "1a", "_x", '"\\\\"', "E'x'", "'x'", "x.y", "x,y", "x y", "user", "current_user", "default",
                 "x;;", "between", "int", "/* */ x -- y"):
        judge.ask("UNLISTEN *")
        r = judge.ask("LISTEN " + name)
        channel = None if r.errors else judge.value("SELECT pg_listening_channels()")
        equal(life(pooled, name, channel), life(direct, name, channel), "LISTEN " + name)


@test(timeout=120)
def with_parameters(t):
    """sessions that have parameters of their own sent ahead, and one server for them all: each text with LISTEN or UNLISTEN is
    answered"""
    d = t.daemon(size=1, wait_timeout="60s", options={"log_level": "info"})
    marks = Marks(t)
    for message in (wire.query("UNLISTEN ch; SELECT 1"), wire.query("UNLISTEN nobody"), wire.query('UNLISTEN U&"x"'),
                    wire.query("LISTEN ch"), wire.query("BEGIN; UNLISTEN ch; COMMIT"), wire.query("DISCARD ALL"),
                    wire.query(RESET),
                    wire.extended("LISTEN ch") + wire.sync(), wire.extended("UNLISTEN ch") + wire.sync(),
                    wire.extended("SELECT 1") + wire.extended("UNLISTEN ch") + wire.sync()):
        clients = [collector(t, d, application_name="a%d" % n) for n in range(3)]
        for listens in (False, True):
            for _ in range(4):
                for c in clients:
                    c.send(message)
                for c in clients:
                    equal(c.until_ready().errors, [], "errors of %r" % message)
            if not listens:
                for c in clients:
                    c.sql("LISTEN mine")
        t.sql("NOTIFY mine, 'mine'")
        ended = message in (wire.query("DISCARD ALL"), wire.query(RESET))
        for c in clients:
            equal(marks.heard(c), [] if ended else ["mine"], "what is heard behind %r" % message)
        for c in clients:
            c.close()


@test(timeout=120)
def in_one_write(t):
    """random Queries and exchanges in one write, LISTEN, NOTIFY and UNLISTEN among them: answers and notifications are
    PostgreSQL's"""
    d = t.daemon(size=1)
    marks = Marks(t)
    texts = ("LISTEN ch", "UNLISTEN ch", "NOTIFY ch, 'one'", "NOTIFY ch, 'two'", "SELECT 1", "UNLISTEN *", "LISTEN ch",
             "BEGIN", "COMMIT", "COMMIT", "ROLLBACK", "SELECT 1/0", "SELECT 1; UNLISTEN ch", "DISCARD ALL")
    for n in range(150):
        channel = "ch%d" % n
        program = [t.random.choice(texts).replace("ch", channel) for _ in range(t.random.randrange(2, 9))] + ["ROLLBACK"]
        program = [(text, ";" in text or t.random.random() < 0.6) for text in program]
        found = []
        for c in (Collector(t.cluster.sockets, t.cluster.port, t.database, password=t.cluster.password), collector(t, d)):
            c.send(b"".join(wire.query(text) if simple else wire.extended(text) + wire.sync() for text, simple in program))
            answers = [c.until_ready() for _ in program]
            found.append(([(r.tags, r.status, [e.sqlstate for e in r.errors]) for r in answers], marks.heard(c)))
            c.close()
        equal(found[1], found[0], "answers and notifications of %s" % (program,))


# ---- the keeper is stopped, moves, or goes to the next process ------------------------------------------
@test(timeout=120)
def moves_while_stopped(t):
    """RECONNECT while the connection that listens does not read: nothing is lost, doubled or swapped"""
    t.cluster.for_us_alone("stops a backend")
    d = t.daemon(size=2, options={"log_level": "info"})
    c = collector(t, d)
    c.sql("LISTEN ch")
    for before in (0, 0, 500, 1000):
        def send(first, behind):
            for n in range(first, behind, 100):
                t.sql("SELECT pg_notify('ch', i::text) FROM generate_series(%d, %d) i" % (n, n + 99))
        pid = keeper(d)
        if before == 0:
            d.console("RECONNECT")
        with Stopped(pid):
            send(0, before)
            if before:
                d.console("RECONNECT")
            send(before, ALL)
        c.hear(str(ALL - 1))
        equal(c.payloads(), [str(n) for n in range(ALL)], "all, in order")
        c.heard = []
        wait_until(lambda pid=pid: [int(s["remote_pid"]) for s in d.servers() if s["state"] == "listening"] not in ([], [pid]),
                   20, "another connection listens")
        wait_until(lambda: len([s for s in d.servers() if s["state"] == "listening"]) == 1, 20, "only one")


@test(timeout=120)
def handed_over_in_each_state(t):
    """a restart while the keeper is stopped, with a LISTEN, an UNLISTEN and a COMMIT under way, LISTENs and savepoints in a
    transaction, and notifications that wait for the end of another: each goes on"""
    t.cluster.for_us_alone("stops a backend")
    d = t.supervised(size=6, options={"log_level": "info"})
    marks = Marks(t)
    base = collector(t, d)
    base.sql("LISTEN ch")
    for late in (False, True, True):
        pid = keeper(d)
        asks, inside, kept, commits, extended, ends = (collector(t, d) for _ in range(6))
        for sql in ("BEGIN", "LISTEN a", "SAVEPOINT s", "LISTEN b", "ROLLBACK TO s", "LISTEN c"):
            inside.sql(sql)
        kept.sql("LISTEN ch")
        kept.sql("BEGIN; SELECT 1")
        ends.sql("LISTEN ch")
        commits.sql("BEGIN")
        commits.sql("LISTEN d")
        t.sql("NOTIFY ch, 'before'")
        base.hear("before")
        ends.hear("before")
        with Stopped(pid) as stopped:
            asks.send(wire.query("LISTEN a; LISTEN e"))
            commits.send(wire.query("COMMIT"))
            ends.send(wire.query("UNLISTEN ch"))
            extended.send(wire.parse("LISTEN f") + wire.bind() + wire.execute() + wire.sync())
            d.console_close()
            if late:
                # while the process that hands over waits for it
                timer = threading.Timer(0.5, stopped.go_on)
                timer.start()
                d.restart()
                timer.join()
            else:
                d.process.send_signal(signal.SIGTERM)
                wait_until(lambda: d.log_has("hands over"), 10, "it hands over")
                stopped.go_on()
                d.wait_end()
                d.start_next()
        for c, tags in ((asks, ["LISTEN", "LISTEN"]), (commits, ["COMMIT"]), (ends, ["UNLISTEN"]), (extended, ["LISTEN"])):
            r = c.until_ready()
            equal((r.tags, r.errors), (tags, []), "an answer")
        inside.sql("COMMIT")
        notify(t, "a", "b", "c", "d", "e", "f", "ch")
        kept.sql("COMMIT")
        for c, want in ((base, ["before", "ch"]), (kept, ["before", "ch"]), (ends, ["before"]), (asks, ["a", "e"]),
                        (commits, ["d"]), (extended, ["f"]), (inside, ["a", "c"])):
            equal(marks.heard(c), want, "what is heard")
        equal(keeper(d), pid, "the same connection listens")
        for c in (asks, inside, kept, commits, extended, ends):
            c.close()
    check(not d.log_has("not taken over|not handed over"), "everything was taken over")


if __name__ == "__main__":
    main()
