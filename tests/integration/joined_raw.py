"""Random messages of a member of a joined scope, as no driver sends them: Syncs, Flushes, CopyData and FunctionCalls anywhere,
exchanges without an end, texts that fail in the middle. The answers are those of a direct connection, or, where pools differ from
that, those of a session that has not joined; and another member gets its own answers behind each. A sequence that gets others is
cut down, and printed. PGWITH_FUZZ_SEQUENCES is the number of sequences; --seed repeats a run.

Left out: other messages in a COPY of a Query, a Sync right behind such a COPY, and a Sync ahead of the data of a COPY that is refused
before any of them are read."""

import os
import struct
import time

from pgwtest import check, equal, main, note, sanitized, test, wire
from pgwtest.joined import enter_token

SEQUENCES = int(os.environ.get("PGWITH_FUZZ_SEQUENCES") or (80 if sanitized() else 300))
TXID_CURRENT_SNAPSHOT = 2944  # pg_proc.oid of a function without arguments
NO_FUNCTION = 99999999
PAUSE = 0.02  # seconds: in most cases the answers to what was sent have come then, and in others not


def call(oid):
    return wire.message("F", struct.pack("!ihhh", oid, 0, 0, 0))


def copies():
    """Whole COPYs by the extended protocol: (name, messages, messages ...), with a pause now and then where they are divided."""
    for what, table, data in (("good", "f", b"1\n"), ("bad", "f", b"x\n"), ("refused", "refusing", b"1\n")):
        begin = wire.parse("COPY %s FROM STDIN" % table, "copy") + wire.bind(statement="copy") + wire.execute()
        for how, ahead, end in (("Sync ahead", wire.sync(), wire.copy_done()), ("", b"", wire.copy_done()), ("Flush ahead", wire.flush(), wire.copy_done()),
                                ("Sync, Flush ahead", wire.sync() + wire.flush(), wire.copy_done()), ("CopyFail", wire.sync(), wire.copy_fail("x")),
                                ("Flush behind", wire.sync(), wire.copy_done() + wire.flush())):
            if what == "refused" and wire.sync() in ahead:
                continue
            yield "exchange: %s COPY, %s" % (what, how), begin + ahead, wire.copy_data(data) + end, wire.sync() + wire.close_("S", "copy") + wire.sync()


def copy(sql, *more):
    """A COPY by a Query. What comes behind it has to wait for its end, which a Query says."""
    return wire.query(sql), b"".join(more), wire.query("SELECT 0")


MESSAGES = [
    ("Sync", wire.sync()), ("Flush", wire.flush()), ("CopyData", wire.copy_data(b"7\n")), ("CopyDone", wire.copy_done()),
    ("CopyFail", wire.copy_fail("no")), ("FunctionCall", call(TXID_CURRENT_SNAPSHOT)), ("FunctionCall of none", call(NO_FUNCTION)),
    *[(sql, wire.query(sql)) for sql in ("SELECT 1", "", ";", "SELECT 1/0", "SELEC", "BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT s", "ROLLBACK TO s",
                                         "SELECT 1; BEGIN; SELECT 2", "SELECT 1; COMMIT; SELECT 1/0; COMMIT", "BEGIN; COMMIT AND CHAIN; SELECT 5",
                                         "SET LOCAL work_mem = '2MB'", "SET work_mem = '3MB'", "DISCARD ALL")],
    ("COPY", *copy("COPY f FROM STDIN", wire.copy_data(b"1\n"), wire.flush(), wire.copy_done())),
    ("COPY, CopyFail", *copy("COPY f FROM STDIN", wire.copy_fail("x"))),
    ("COPY in a text", *copy("COPY f FROM STDIN; COMMIT; SELECT 3", wire.copy_data(b"1\n"), wire.copy_done())),
    ("bad COPY in a text", *copy("COPY f FROM STDIN; COMMIT; SELECT 3", wire.copy_data(b"x\n"), wire.copy_done())),
    ("COPY TO", wire.query("COPY (SELECT 1) TO STDOUT")),
    *copies(), ("exchange: COPY TO", wire.extended("COPY (SELECT 1) TO STDOUT") + wire.sync()),
    *[("Parse " + sql, wire.parse(sql)) for sql in ("SELECT 2", "COMMIT", "BEGIN", "SELEC", "", "SET LOCAL work_mem = '2MB'")],
    ("Parse n", wire.parse("SELECT 1", "n")), ("Parse r", wire.parse("ROLLBACK", "r")),
    ("Bind", wire.bind()), ("Bind", wire.bind()), ("Bind n", wire.bind(statement="n", portal="p")), ("Bind r", wire.bind(statement="r")),
    ("Execute", wire.execute()), ("Execute", wire.execute()), ("Execute p", wire.execute("p")), ("Execute 1", wire.execute("", 1)),
    ("Describe", wire.describe()), ("Describe n", wire.describe("S", "n")), ("Close n", wire.close_("S", "n")), ("Close", wire.close_("P", "")),
]


def answers(client, sequence):
    """Types of the answers, with statuses, tags and SQLSTATEs; without notices and parameters."""
    got = []
    try:
        for pauses, (_, *parts) in sequence:
            for part in parts:
                client.send(part)
                if pauses:
                    time.sleep(PAUSE)  # for nothing certain: what is sent next comes at another moment
        client.send(wire.sync() + wire.query("ROLLBACK") + wire.query("SELECT 'the end'"))
        while True:
            kind, body = client.read()
            if kind == "D" and b"the end" in body:
                return got + ["the end"]
            if kind == "E":
                kind += wire.report_fields(body)["C"]
            elif kind in "ZC":
                kind += body.rstrip(b"\0").decode()
            if kind not in "NS":
                got.append(kind)
    except (wire.Closed, OSError) as e:
        return got + [type(e).__name__]
    finally:
        client.drop()


class Lab:
    def __init__(self, t):
        self.t = t
        # One table refuses a COPY before any of its data are read.
        t.sql("CREATE TABLE f (n int); CREATE TABLE refusing (n int);"
              "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'no'; END$$;"
              "CREATE TRIGGER refuse BEFORE INSERT ON refusing FOR EACH STATEMENT EXECUTE FUNCTION refuse()")
        self.d = t.daemon(size=3, wait_timeout="60s", options={"log_level": "info"})
        self.owner = self.d.connect()
        self.token = enter_token(self.owner)
        self.other = self.client("member")
        self.pool_differs = 0

    def client(self, what):
        if what == "direct":
            return wire.Client(self.t.cluster.sockets, self.t.cluster.port, self.t.database, timeout=10)
        more = {"pgwith.join": self.token} if what == "member" else {}
        return wire.Client(self.d.sockets, self.d.port, "db", timeout=10, **more)

    def differs(self, sequence):
        """None, or (what a direct connection is answered, what a member is)."""
        direct, member = (answers(self.client(what), sequence) for what in ("direct", "member"))
        if direct == member:
            return None
        if answers(self.client("session"), sequence) == member:
            self.pool_differs += 1
            return None
        return direct, member

    def cut_down(self, sequence):
        for i in range(len(sequence) - 1, -1, -1):
            less = sequence[:i] + sequence[i + 1:]
            if less and self.differs(less):
                sequence = less
        return sequence

    def step(self, number):
        pauses = self.t.random.choice((0, 0, 0.3))
        sequence = [(self.t.random.random() < pauses, self.t.random.choice(MESSAGES)) for _ in range(self.t.random.randrange(2, 12))]
        found = self.differs(sequence)
        if found:
            for text in ("other answers: ", "cut down: "):
                note(text + " | ".join(x[0] + (" (pauses)" if pauses else "") for pauses, x in sequence))
                sequence = self.cut_down(sequence)
            note("direct: %s" % " ".join(found[0]))
            note("member: %s" % " ".join(found[1]))
            check(False, "a member gets other answers")
        r = self.other.ask("SELECT %d" % number)
        equal((r.value, r.tags, r.status), (str(number), ["SELECT 1"], "I"), "what another member gets")


def run(t):
    lab = Lab(t)
    for number in range(SEQUENCES):
        lab.step(number)
    note("%d sequences; in %d of them a pool differs from PostgreSQL" % (SEQUENCES, lab.pool_differs))
    check(lab.pool_differs * 20 <= SEQUENCES, "pools hardly differ: %d" % lab.pool_differs)
    equal([r[1] for r in lab.owner.ask("SHOW SCOPES").rows], ["a"], "the scope is open")
    lab.owner.sql("LEAVE a ROLLBACK")
    lab.d.quiet()


@test(timeout=900)
def sequences(t):
    """random sequences of messages are answered as by PostgreSQL; the scope and its other members go on"""
    t.unless_crashed(run)


if __name__ == "__main__":
    main()
