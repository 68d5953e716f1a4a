"""The PostgreSQL protocol by hand, for tests that have to see (or to break) single messages."""
import socket
import struct


class Closed(Exception):
    """The server closed the connection."""


class Raw:
    """One connection. Messages are (type, body) with type a one-character string."""

    def __init__(self, path, timeout=20):
        self.path = path
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(timeout)
        self.sock.connect(path)
        self.params = {}
        self.key = None

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- bytes
    def send(self, data):
        self.sock.sendall(data)

    def recv(self, n):
        data = b""
        while len(data) < n:
            part = self.sock.recv(n - len(data))
            if not part:
                raise Closed(data)
            data += part
        return data

    # ---- messages
    @staticmethod
    def message(kind, body=b""):
        return kind.encode() + struct.pack("!I", len(body) + 4) + body

    def put(self, kind, body=b""):
        self.send(self.message(kind, body))

    def get(self):
        head = self.recv(5)
        (length,) = struct.unpack("!I", head[1:])
        return chr(head[0]), self.recv(length - 4)

    def until(self, kind):
        """Messages up to and with the next one of that type."""
        got = []
        while not got or got[-1][0] != kind:
            got.append(self.get())
        return got

    # ---- login
    @staticmethod
    def startup(version=3 << 16, **params):
        body = struct.pack("!I", version)
        for name, value in params.items():
            body += name.encode() + b"\0" + value.encode() + b"\0"
        body += b"\0"
        return struct.pack("!I", len(body) + 4) + body

    def login(self, user="app", database="orders", **params):
        """All messages up to ReadyForQuery; an error ends them early."""
        self.send(self.startup(user=user, database=database, **params))
        got = []
        while not got or got[-1][0] not in "ZE":
            got.append(self.get())
        for kind, body in got:
            if kind == "S":
                name, value = body.split(b"\0")[:2]
                self.params[name.decode()] = value.decode()
            elif kind == "K":
                self.key = struct.unpack("!II", body)
        return got

    def cancel(self, key=None):
        """Sends a CancelRequest on a connection of its own, which is returned."""
        other = Raw(self.path)
        other.send(struct.pack("!IIII", 16, 1234 << 16 | 5678, *(key or self.key)))
        return other

    # ---- queries
    def query(self, sql):
        self.put("Q", sql.encode() + b"\0")
        return self.until("Z")


def cstr(text):
    return text.encode() + b"\0"


def parse(sql, name="", oids=()):
    return Raw.message("P", cstr(name) + cstr(sql) + struct.pack("!H", len(oids)) +
                       b"".join(struct.pack("!I", o) for o in oids))


def bind(values=(), portal="", name="", formats=(), results=()):
    body = cstr(portal) + cstr(name) + struct.pack("!H", len(formats))
    body += b"".join(struct.pack("!H", f) for f in formats) + struct.pack("!H", len(values))
    for v in values:
        body += struct.pack("!i", -1) if v is None else struct.pack("!I", len(v)) + v
    return Raw.message("B", body + struct.pack("!H", len(results)) +
                       b"".join(struct.pack("!H", r) for r in results))


def describe(kind, name=""):
    return Raw.message("D", kind.encode() + cstr(name))


def execute(portal="", limit=0):
    return Raw.message("E", cstr(portal) + struct.pack("!I", limit))


def close(kind, name=""):
    return Raw.message("C", kind.encode() + cstr(name))


SYNC = Raw.message("S")
FLUSH = Raw.message("H")


def fields(body):
    """An ErrorResponse's or NoticeResponse's fields by their letters."""
    return {chr(f[0]): f[1:].decode() for f in body.split(b"\0") if f}


def row(body):
    """The values of a DataRow; None is NULL."""
    (n,) = struct.unpack("!H", body[:2])
    at, values = 2, []
    for _ in range(n):
        (length,) = struct.unpack("!i", body[at:at + 4])
        at += 4
        values.append(None if length < 0 else body[at:at + length])
        at += max(length, 0)
    return values


def rows(messages):
    return [row(body) for kind, body in messages if kind == "D"]


def columns(messages):
    """Names, type oids and formats of the RowDescription."""
    body = next(body for kind, body in messages if kind == "T")
    (n,) = struct.unpack("!H", body[:2])
    at, found = 2, []
    for _ in range(n):
        end = body.index(b"\0", at)
        oid, _, _, fmt = struct.unpack("!IhiH", body[end + 7:end + 19])
        found.append((body[at:end].decode(), oid, fmt))
        at = end + 19
    return found


def kinds(messages):
    return "".join(kind for kind, _ in messages)


def tags(messages):
    return [body[:-1].decode() for kind, body in messages if kind == "C"]


def states(messages):
    """SQLSTATEs of the errors."""
    return [fields(body)["C"] for kind, body in messages if kind == "E"]


def warnings(messages):
    return [fields(body)["C"] for kind, body in messages if kind == "N"]


def status(messages):
    return messages[-1][1].decode()
