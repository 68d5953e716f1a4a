"""Random messages of the protocol, sensible and not, in random pieces.

Whole scripts are sent to PostgreSQL directly and through the daemon: the answers must be the same, byte
for byte, and afterwards the server must be known to be free. Cut scripts are sent to the daemon only:
the server must be free again soon, and serve on.

PostgreSQL itself gives up a connection on which anything but CopyData, CopyDone, CopyFail, Sync and Flush
comes in COPY IN ("protocol synchronization was lost"). The scripts do that too, now and then: it costs the
server, and nothing else may. PGWITH_TEST_SCRIPTS is the number of scripts."""

import os

import re

from pgwtest import Failure, check, equal, main, note, sanitized, test, wait_until, wire
from pgwtest.looks import numbered

SCRIPTS = int(os.environ.get("PGWITH_TEST_SCRIPTS") or (100 if sanitized() else 240))

SETUP = ("CREATE TABLE scrap (a int PRIMARY KEY, b text)",
         "INSERT INTO scrap SELECT i, 'x' FROM generate_series(1, 20) i",
         "CREATE TABLE sink (a int, b text)")

QUERIES = (
    "", ";", "SELECT 1", "SELECT a, b FROM scrap ORDER BY a", "SELECT nonsense", "SELECT 1/0", "BEGIN",
    "BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT s", "ROLLBACK TO s", "SELECT 1; SELECT 1/0; SELECT 2",
    "BEGIN; INSERT INTO sink VALUES (1, 'x'); COMMIT", "BEGIN; SELECT 1/0; COMMIT", "COMMIT; BEGIN",
    "DO $$BEGIN RAISE NOTICE 'hello'; END$$", "SELECT repeat('x', 5000)", "COPY (TABLE scrap ORDER BY a) TO STDOUT",
    "COPY (SELECT 1/0) TO STDOUT", "COPY (TABLE scrap ORDER BY a) TO STDOUT; SELECT 1", "SELECT 1; COPY (TABLE scrap ORDER BY a) TO STDOUT",
    "INSERT INTO scrap VALUES (1, 'again')", "UPDATE scrap SET b = 'y' WHERE a = 3", "SHOW work_mem",
    "DECLARE c CURSOR FOR SELECT * FROM scrap ORDER BY a", "FETCH 3 FROM c", "VALUES (1), (2)",
)
COPIES = ("COPY sink FROM STDIN", "COPY sink FROM STDIN; SELECT 5", "SELECT 5; COPY sink FROM STDIN",
          "COPY sink FROM STDIN; COPY sink FROM STDIN", "COPY sink FROM STDIN; SELECT 1/0",
          "BEGIN; COPY sink FROM STDIN; COMMIT")
PREPARABLE = ("SELECT 1", "SELECT a FROM scrap ORDER BY a", "SELECT $1::int", "SELECT 1/0", "nonsense",
              "SELECT 1/a FROM generate_series(1, 3) a", "INSERT INTO sink VALUES (2, 'y')", "BEGIN",
              "COMMIT", "ROLLBACK", "", "SELECT 1; SELECT 2", "COPY (TABLE scrap ORDER BY a) TO STDOUT",
              "COPY sink FROM STDIN", "COPY sink FROM STDIN", "UPDATE scrap SET b = 'z' WHERE a = 4")


class Random:
    """Draws a script: a list of messages.

    One that is not pinned keeps to itself what it may not rely on in a pool of transactions: unnamed
    statements and portals are made and used between two Syncs."""

    def __init__(self, rng, pinned):
        self.rng, self.pinned = rng, pinned
        self.out = []
        if pinned:
            self.out.append(wire.query("SET my.pin = '1'"))
        for _ in range(rng.randrange(1, 12)):
            rng.choice((self.simple, self.simple, self.exchange, self.exchange, self.copy,
                        self.stray))()

    def simple(self):
        self.out.append(wire.query(self.rng.choice(QUERIES)))

    def data(self):
        """What a client sends in COPY IN, more or less. No Sync between the rows: whether COPY swallows
        one or has failed before it cannot be told from outside, and no client sends it there."""
        rng = self.rng
        for _ in range(rng.randrange(4)):
            self.out.append(wire.copy_data(rng.choice((b"1\tx\n", b"2\ty\n3\tz\n", b"bad\n", b"4\t",
                                                       b"x\n", b"5\tv\n" * 300))))
            if rng.random() < 0.1:
                self.out.append(wire.flush())
        if rng.random() < 0.02:
            self.out.append(wire.query("SELECT 'in copy'"))
        self.out.append(rng.choice((wire.copy_done(), wire.copy_done(), wire.copy_fail())))

    def copy(self):
        self.out.append(wire.query(self.rng.choice(COPIES)))
        for _ in range(self.rng.choice((1, 2, 2, 3))):
            self.data()

    def exchange(self):
        """Extended-protocol messages up to a Sync."""
        rng = self.rng
        copies = False
        for _ in range(rng.randrange(1, 5)):
            name = rng.choice(("", "", "p", "q")) if self.pinned else ""
            portal = rng.choice(("", "", "w")) if self.pinned else ""
            if not self.pinned or rng.random() < 0.8:
                sql = rng.choice(PREPARABLE)
                self.out.append(wire.parse(sql, name))
                copies = sql.endswith("STDIN")
            if not self.pinned or rng.random() < 0.9:
                self.out.append(wire.bind(rng.choice(((), (), ("7",), ("x",))), portal, name))
            if rng.random() < 0.5:
                self.out.append(wire.describe(*rng.choice((("P", portal), ("S", name)))))
            if rng.random() < 0.9:
                self.out.append(wire.execute(portal, rng.choice((0, 0, 0, 1, 5))))
            if copies and rng.random() < 0.95:
                self.data()
                copies = False
            if rng.random() < 0.2:
                self.out.append(wire.execute(portal, 0))
            if rng.random() < 0.2:
                self.out.append(wire.flush())
            if rng.random() < 0.15:
                self.out.append(wire.query(rng.choice(QUERIES)))
            if rng.random() < 0.1:
                self.out.append(wire.close_(*rng.choice((("P", portal), ("S", name)))))
        if rng.random() < 0.3:
            self.out.append(wire.sync())
            if rng.random() < 0.5:
                self.data()
        self.out.append(wire.sync())

    def stray(self):
        self.out.append(self.rng.choice((wire.sync(), wire.flush(), wire.copy_data(b"stray"),
                                         wire.copy_done(), wire.copy_fail(),
                                         wire.message("F", b"\0\0\0\1\0\0\0\0\0\0"))))


def send_in_pieces(c, data, rng):
    at = 0
    while at < len(data):
        n = rng.choice((1, 5, 7, 100, 1000, 10000, len(data)))
        c.send(data[at:at + n])
        at += n


def answers(c, number):
    """Every message up to the end's ReadyForQuery; None if the connection is given up before."""
    # An open COPY ends, an open exchange ends, an open transaction ends; then the last word.
    end = "end %d" % number
    got, seen = [], False
    try:
        c.send(wire.copy_fail("the end") + wire.sync() + wire.query("ROLLBACK") +
               wire.query("SELECT '%s'" % end))
        while not (seen and got[-1][0] == "Z"):
            kind, body = c.read()
            got.append((kind, body))
            seen = seen or kind == "D" and body.endswith(end.encode())
    except (wire.Closed, ConnectionError):
        return None
    return got


class Losses:
    """How many backends PostgreSQL has given up by itself."""

    def __init__(self, t):
        self.log = t.cluster.log
        self.seen = self.now()

    def now(self):
        with open(self.log, errors="replace") as f:
            return f.read().count("protocol synchronization was lost")

    def new(self):
        before, self.seen = self.seen, self.now()
        return self.seen - before


def describe(messages):
    return " ".join("%s%r" % (m[:1].decode(), bytes(m[5:45])) for m in messages if m)


@test(timeout=240)
def same_answers(t):
    """random messages are answered byte for byte as by PostgreSQL, and the server is free afterwards"""
    t.unless_crashed(same, False)


@test(timeout=240)
def same_answers_in_a_session(t):
    """mode = session: the same, with statements and portals that are used again and again"""
    t.unless_crashed(same, True)


def same(t, pinned):
    for sql in SETUP:
        t.sql(sql)
    d = t.daemon(options={"log_level": "info"}, mode="session" if pinned else "transaction")
    with d.connect() as c:
        pid = c.backend()
    total = lost = 0
    for number in range(SCRIPTS // 2):
        script = Random(t.random, pinned).out
        data = b"".join(script)
        total += len(script)
        t.sql("TRUNCATE sink")
        got = []
        for dial in (lambda: t.cluster.connect(t.database), d.connect):
            c = dial()
            try:
                send_in_pieces(c, data, t.random)
            except ConnectionError:
                pass
            try:
                got.append(same_names(answers(c, number)))
            except TimeoutError:
                raise Failure("script %d: no answer from %s\n%s"
                              % (number, "the daemon" if got else "PostgreSQL",
                                 describe(script))) from None
            if got[-1] is not None and not c.silent(0.0005):
                raise Failure("script %d: more comes from %s: %r\n%s\nbehind %r"
                              % (number, "the daemon" if len(got) > 1 else "PostgreSQL",
                                 bytes(c.buffer[c.at:]), describe(script), got[-1][-4:]))
            c.close()
            t.sql("UPDATE scrap SET b = 'x'")
        if None in got:
            equal(got, [None, None], "answers of connections that were given up: " + describe(script))
            lost += 1
        elif got[0] != got[1]:
            at = next(i for i in range(len(got[0]) + 1) if got[0][:i + 1] != got[1][:i + 1])
            raise Failure("script %d: answer %d differs\n%s\ndirect %r\ndaemon %r"
                          % (number, at, describe(script), got[0][at - 1:at + 4],
                             got[1][at - 1:at + 4]))
        wait_until(lambda: not d.leased(), 3, "the server is free after " + describe(script))
        if None in got:
            with d.connect() as c:
                pid = c.backend()
        equal(d.server_pids(), {pid}, "the server after " + describe(script))
        with d.connect() as c:
            numbered(c, t.random, "after " + describe(script))
    note("%d scripts, %d messages, %d connections given up by PostgreSQL" % (SCRIPTS // 2, total, lost))
    check(lost < SCRIPTS / 10, "most scripts are not given up")


def same_names(answer):
    """Error texts name the statement: the client's name alone, ours through pgwithd."""
    if answer is None:
        return None
    return [(kind, re.sub(rb'prepared statement "[^"]*"', b'prepared statement', body)
             if kind == "E" else body) for kind, body in answer]


@test(timeout=240)
def cut(t):
    """random messages of clients that are gone at a random byte: the same server is free again soon, in no
    transaction, with nothing left on it"""
    t.unless_crashed(gone_at_any_byte)


def gone_at_any_byte(t):
    for sql in SETUP:
        t.sql(sql)
    d = t.daemon(options={"log_level": "info"})
    with d.connect() as c:
        pid = c.backend()
        plain = c.value("SHOW work_mem")
    losses = Losses(t)
    replaced = 0
    for number in range(SCRIPTS):
        script = Random(t.random, t.random.random() < 0.5).out
        data = b"".join(script)
        data = data[:t.random.randrange(len(data) + 1)]
        c = d.connect()
        try:
            send_in_pieces(c, data, t.random)
            if t.random.random() < 0.3:
                c.silent(0.002)
        except ConnectionError:
            pass
        c.drop()
        with d.connect() as c:
            c.sock.settimeout(10)
            try:
                r = c.ask("SELECT pg_backend_pid(), current_setting('my.pin', true),"
                          " (SELECT count(*) FROM pg_prepared_statements WHERE name NOT LIKE 'pgwith%'),"
                          " current_setting('work_mem'),"
                          " (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND"
                          " mode LIKE '%ExclusiveLock' AND locktype <> 'virtualxid')")
            except TimeoutError:
                raise Failure("script %d: no answer after %s" % (number, describe(script))) from None
            equal(r.errors, [], "errors after " + describe(script))
            if int(r.rows[0][0]) != pid:
                check(losses.new(), "the server was replaced after " + describe(script))
                pid = int(r.rows[0][0])
                replaced += 1
            # A parameter that was made up is empty after DISCARD ALL, not gone.
            equal(r.rows, [(str(pid), r.rows[0][1] and "", "0", plain, "0")],
                  "what the next client finds after " + describe(script))
            equal((r.status, r.kinds), ("I", "TDCZ"), "the answer after " + describe(script))
            numbered(c, t.random, "after " + describe(script))
    d.quiet()
    equal(t.cluster.pids(t.database), {pid}, "the backends")
    note("%d scripts, %d connections given up by PostgreSQL" % (SCRIPTS, replaced))


if __name__ == "__main__":
    main()
