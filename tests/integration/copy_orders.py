"""COPY FROM STDIN that succeeds or is refused at every stage, with Syncs ahead of its data, among and behind them, in every order:
the answers are those of a direct connection, to the last ReadyForQuery, and another client of the same server gets its own.
PGWITH_FUZZ_SEQUENCES is the number of random sequences of each pool; --seed repeats a run.

Left out: other messages between a Sync that stands in a COPY of the extended protocol and the next Sync behind its data. If the COPY
fails, it depends on how far the server had read whether they are skipped, and pgwithd takes them for skipped."""

import os
import time

from pgwtest import equal, main, sanitized, test, wire

SEQUENCES = int(os.environ.get("PGWITH_FUZZ_SEQUENCES") or (150 if sanitized() else 400))
PAUSE = 0.01  # seconds: in most cases the answers to what was sent have come then, and in others not

TABLES = """
CREATE TABLE good (n int);
CREATE TABLE stated (n int); CREATE TABLE rowed (n int); CREATE TABLE after (n int); CREATE TABLE late (n int);
CREATE TABLE narrow (n int CHECK (n < 5));
CREATE VIEW seen AS SELECT 1 AS n;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'no'; END$$;
CREATE TRIGGER refuse BEFORE INSERT ON stated FOR EACH STATEMENT EXECUTE FUNCTION refuse();
CREATE TRIGGER refuse BEFORE INSERT ON rowed FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER refuse AFTER INSERT ON after FOR EACH STATEMENT EXECUTE FUNCTION refuse();
CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON late DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse();
"""
STATED, GOOD = "COPY stated FROM STDIN", "COPY good FROM STDIN"
COPIES = [GOOD, STATED, *("COPY %s FROM STDIN" % table for table in ("rowed", "after", "late", "narrow", "seen", "absent",
                                                                      "pg_catalog.pg_class")),
          "COPY good FROM STDIN WITH (FORMAT binary)"]
S, DONE, ROW, BAD = wire.sync(), wire.copy_done(), wire.copy_data(b"7\n"), wire.copy_data(b"x\n")


def extended(sql):
    return wire.parse(sql) + wire.bind() + wire.execute()


def answers(client, parts):
    """Types of the answers, with statuses, tags, rows and SQLSTATEs; without notices and parameters."""
    got = []
    try:
        for part in parts:
            if part is None:
                time.sleep(PAUSE)  # for nothing certain: what is sent next comes at another moment
            else:
                client.send(part)
        client.send(wire.copy_fail() + S + wire.query("ROLLBACK") + wire.query("SELECT 'the end'"))
        while True:
            kind, body = client.read()
            if kind == "E":
                kind += wire.report_fields(body)["C"]
            elif kind in "ZCD":
                kind += body.rstrip(b"\0").decode(errors="replace")
            if kind not in "NS":
                got.append(kind)
            if "the end" in kind:
                break
        got.append(client.read()[0])
        return got
    except (wire.Closed, OSError) as e:
        return got + [type(e).__name__]


class Lab:
    def __init__(self, t, **options):
        self.t, self.n = t, 0
        t.sql(TABLES)
        self.d = t.daemon(size=1, options={"log_level": "info", **options})
        self.session = options.get("mode") == "session"
        self.other = None if self.session else t.client(self.d)

    def same(self, parts):
        got = []
        for connect in (self.t.direct, self.d.connect):
            client = connect()
            got.append(answers(client, parts))
            client.drop()
        self.n += 1
        equal(got[1], got[0], "the answers to %r" % (parts,))
        if self.other:
            equal(self.other.value("SELECT %d" % self.n), str(self.n), "another client's, behind %r" % (parts,))


def in_every_way(parts):
    """At once, in one write; and with a pause in the place of each None."""
    yield [b"".join(part for part in parts if part)]
    yield parts


def whole(sql):
    """The orders that drivers send."""
    for begin in ([], [wire.query("BEGIN")]):
        for behind in ([], [extended("SELECT 6"), S, wire.query("SELECT 7")]):
            for copy in ([extended(sql), None, S, None, ROW, DONE, None, S], [extended(sql), S, S, None, ROW, None, S, DONE, None, S],
                         [extended(sql), None, ROW, DONE, S], [extended(sql), S, None, wire.copy_fail(), S],
                         [extended(sql), S, None, BAD, None, DONE, S, S],
                         [wire.query(sql), None, ROW, DONE], [wire.query(sql), S, None, ROW, None, DONE, S]):
                yield [*begin, *copy, None, *behind]


def every_order(lab):
    for sql in COPIES:
        for parts in whole(sql):
            for order in in_every_way(parts):
                lab.same(order)
    lab.d.quiet()


@test
def transactions(t):
    """what drivers send, in a pool of transactions"""
    every_order(Lab(t))


@test
def sessions(t):
    """the same with mode = session"""
    every_order(Lab(t, mode="session"))


def sequence(r):
    """Messages of one or two COPYs and what is around them, as no driver sends them."""
    parts = []
    for _ in range(r.choice((1, 1, 2))):
        sql = r.choice(COPIES)
        if r.random() < 0.3:
            parts.append(r.choice((wire.query("BEGIN"), extended("BEGIN"), extended("SELECT 1"), wire.query("SELECT 2"))))
        parts.append(wire.query(sql) if r.random() < 0.2 else extended(sql))
        data = [S] * r.choice((0, 1, 1, 1, 2))
        data += [r.choice((ROW, ROW, BAD, S, wire.flush())) for _ in range(r.randrange(4))]
        parts += [*data, r.choice((DONE, DONE, DONE, wire.copy_fail()))]
        parts += [S] * r.choice((1, 1, 1, 2) if S in data else (0, 1, 1, 2))
        for _ in range(r.randrange(3)):
            parts.append(r.choice((wire.query("SELECT 3"), extended("SELECT 4") + S, wire.query("COMMIT"), wire.query("SELECT 1/0"),
                                   extended("SELECT 1/0") + S, extended("") + S, wire.query(""), ROW, S, wire.flush())))
    return [x for part in parts for x in ((part, None) if r.random() < 0.25 else (part,))]


@test
def at_random(t):
    """random sequences, in a pool of transactions"""
    lab = Lab(t)
    for _ in range(SEQUENCES):
        lab.same(sequence(t.random))
    lab.d.quiet()


@test
def at_random_sessions(t):
    """the same with mode = session"""
    lab = Lab(t, mode="session")
    for _ in range(SEQUENCES):
        lab.same(sequence(t.random))
    lab.d.quiet()


if __name__ == "__main__":
    main()
