"""pgwith-fixture by hand: what it answers, as lists of messages, (type, body), as they came. wire.Client makes Results
of them, which is what most tests want."""

import struct

from . import wire
from .tap import equal, wait_until

SYNC = wire.sync()
FLUSH = wire.flush()


class Raw(wire.Client):
    """A connection to a Fixture. Nothing is in its startup packet that a test did not put there."""

    def __init__(self, fixture, login=True, user="app", database="orders", **params):
        super().__init__(fixture.sockets, fixture.port, database, user, login=False, timeout=20)
        self.params = {"user": user, "database": database, **params}
        if login:
            try:
                self.login()
            except BaseException:
                self.drop()
                raise

    def messages(self, kinds):
        """Messages up to and with the next one of one of the types."""
        got = []
        while not got or got[-1][0] not in kinds:
            got.append(self.read())
        return got

    def login(self):
        """The messages up to ReadyForQuery; an error ends them early."""
        self.send(wire.startup_packet(self.params))
        got = self.messages("ZE")
        told = wire.Result()
        for kind, body in got:
            self.take(kind, body, told)
        return got

    def ask(self, sql):
        """The messages of a simple Query."""
        self.send(wire.query(sql))
        return self.messages("Z")

    def start_cancel(self):
        """Sends a CancelRequest; its connection, which ends when it has been acted on."""
        s = wire.dial(self.host, self.port)
        s.sendall(wire.cancel_packet(*self.key))
        return s

    def close(self):
        """Without a word: the fixture has to notice."""
        self.drop()


def ends(sock):
    """Waits until the other side has closed; what it sends before that is dropped."""
    try:
        while sock.recv(65536):
            pass
    except ConnectionResetError:
        pass


def eq(got, want):
    """What is compared is plain from the line that fails."""
    equal(got, want, "the answer")


def wait_for(condition, what="what the test waits for"):
    return wait_until(condition, 20, what)


def active(fixture, where="state = 'active' AND pid <> pg_backend_pid()"):
    """How many sessions of the fixture are so."""
    with Raw(fixture) as c:
        return int(text(c.ask("SELECT count(*) FROM pg_stat_activity WHERE " + where))[0][0])


# ---- what is in messages ------------------------------------------------------------------------------

def kinds(messages):
    return "".join(kind for kind, _ in messages)


def rows(messages):
    """The values of all DataRows, as bytes; None is NULL."""
    return [_values(body) for kind, body in messages if kind == "D"]


def text(messages):
    """The same as text, as tuples."""
    return [tuple(None if v is None else v.decode() for v in row) for row in rows(messages)]


def columns(messages):
    """Names, type oids and formats of the RowDescription."""
    body = next(body for kind, body in messages if kind == "T")
    count, = struct.unpack_from("!H", body)
    at, found = 2, []
    for _ in range(count):
        end = body.index(b"\0", at)
        oid, _, _, form = struct.unpack("!IhiH", body[end + 7:end + 19])
        found.append((body[at:end].decode(), oid, form))
        at = end + 19
    return found


def tags(messages):
    return [body[:-1].decode() for kind, body in messages if kind == "C"]


def states(messages):
    """SQLSTATEs of the errors."""
    return [wire.report_fields(body)["C"] for kind, body in messages if kind == "E"]


def warnings(messages):
    """SQLSTATEs of the notices."""
    return [wire.report_fields(body)["C"] for kind, body in messages if kind == "N"]


def parameters(messages):
    """What ParameterStatus says."""
    return dict(body.decode().split("\0")[:2] for kind, body in messages if kind == "S")


def status(messages):
    """The last message's, which is ReadyForQuery."""
    return messages[-1][1].decode()


def _values(body):
    count, = struct.unpack_from("!H", body)
    at, values = 2, []
    for _ in range(count):
        length, = struct.unpack_from("!i", body, at)
        at += 4
        values.append(None if length < 0 else body[at:at + length])
        at += max(length, 0)
    return values
