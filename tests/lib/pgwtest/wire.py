"""A raw client of PostgreSQL's protocol v3 over blocking sockets: it sends exactly what a test says,
also what no driver would. PostgreSQL 15 documentation, chapter 55.
"""

import base64
import hashlib
import hmac
import os
import socket
import struct
import time

from .tap import slow_factor

PROTOCOL_3 = 196608
SSL_REQUEST = 80877103
GSSENC_REQUEST = 80877104
CANCEL_REQUEST = 80877102

TIMEOUT = 30.0  # seconds that one read may take on an idle machine: read_timeout()


class Closed(Exception):
    """The other side has closed the connection."""


class ServerError(Exception):
    """An ErrorResponse. `fields` by their protocol letters; the usual ones as attributes."""

    def __init__(self, body):
        self.fields = report_fields(body)
        self.severity = self.fields.get("V", self.fields.get("S"))
        self.sqlstate = self.fields.get("C")
        self.message = self.fields.get("M")
        self.detail = self.fields.get("D")
        self.hint = self.fields.get("H")
        super().__init__("%s %s: %s%s" % (self.severity, self.sqlstate, self.message,
                                          " / " + self.detail if self.detail else ""))


def report_fields(body):
    fields = {}
    for item in body.split(b"\0"):
        if item:
            fields[chr(item[0])] = item[1:].decode(errors="replace")
    return fields


def session_of(number):
    """The id of the session that was told this number in the place of a process id: they are above all of those."""
    return number - 0x400000 if number >= 0x400000 else number


class Result:
    """Everything up to and including one ReadyForQuery (or up to where reading stopped)."""

    def __init__(self):
        self.columns = []
        self.rows = []      # of all statements; values are str or None
        self.tags = []
        self.errors = []    # ServerError
        self.notices = []   # dicts of fields
        self.copied = []    # bodies of CopyData
        self.kinds = ""     # type letters in order
        self.status = None  # I, T or E

    @property
    def value(self):
        return self.rows[0][0]


def message(kind, body=b""):
    """One framed message."""
    return kind.encode() + struct.pack("!i", len(body) + 4) + body


def cstr(text):
    return (text if isinstance(text, bytes) else text.encode()) + b"\0"


def query(sql):
    return message("Q", cstr(sql))


def parse(sql, name="", types=()):
    return message("P", cstr(name) + cstr(sql) + struct.pack("!h", len(types)) +
                   b"".join(struct.pack("!i", t) for t in types))


def bind(values=(), portal="", statement="", result_formats=(), formats=()):
    """Values are sent as text; bytes as they are."""
    body = cstr(portal) + cstr(statement) + struct.pack("!h", len(formats))
    body += b"".join(struct.pack("!h", f) for f in formats) + struct.pack("!h", len(values))
    for v in values:
        if v is None:
            body += struct.pack("!i", -1)
        else:
            data = v if isinstance(v, bytes) else str(v).encode()
            body += struct.pack("!i", len(data)) + data
    body += struct.pack("!h", len(result_formats))
    body += b"".join(struct.pack("!h", f) for f in result_formats)
    return message("B", body)


def describe(kind="P", name=""):
    return message("D", kind.encode() + cstr(name))


def execute(portal="", limit=0):
    return message("E", cstr(portal) + struct.pack("!i", limit))


def close_(kind="P", name=""):
    return message("C", kind.encode() + cstr(name))


def sync():
    return message("S")


def flush():
    return message("H")


def copy_data(data):
    return message("d", data)


def copy_done():
    return message("c")


def copy_fail(reason="no"):
    return message("f", cstr(reason))


def terminate():
    return message("X")


def extended(sql, values=(), name=""):
    """Parse, Bind, Describe, Execute of one statement, without a Sync."""
    return parse(sql, name) + bind(values, statement=name) + describe() + execute()


def startup_packet(params, version=PROTOCOL_3):
    body = struct.pack("!i", version)
    for k, v in params.items():
        body += cstr(k) + cstr(v)
    body += b"\0"
    return struct.pack("!i", len(body) + 4) + body


def cancel_packet(pid, secret):
    return struct.pack("!iiii", 16, CANCEL_REQUEST, pid, secret)


def read_timeout():
    """Seconds that one read may take."""
    return TIMEOUT * slow_factor()


def dial(host, port, timeout=None):
    """A connected socket. A host that starts with / is a socket directory."""
    if timeout is None:
        timeout = read_timeout()
    if host.startswith("/"):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.settimeout(timeout)
        try:
            s.connect(os.path.join(host, ".s.PGSQL.%d" % port))
        except BaseException:
            s.close()
            raise
        return s
    return socket.create_connection((host, port), timeout)


class Scram:
    """SCRAM-SHA-256 without channel binding (RFC 5802, RFC 7677), for passwords of ASCII."""

    def __init__(self, password):
        self._password = password.encode()
        self._nonce = base64.b64encode(os.urandom(18)).decode()

    def first(self):
        """Body of the SASLInitialResponse."""
        text = ("n,,n=,r=" + self._nonce).encode()
        return cstr("SCRAM-SHA-256") + struct.pack("!i", len(text)) + text

    def final(self, challenge):
        """Body of the SASLResponse to the server's first message."""
        parts = dict(item.split("=", 1) for item in challenge.decode().split(","))
        if not parts["r"].startswith(self._nonce):
            raise ValueError("SCRAM: another nonce than ours")
        salted = hashlib.pbkdf2_hmac("sha256", self._password, base64.b64decode(parts["s"]), int(parts["i"]))
        bare = "c=biws,r=" + parts["r"]
        signed = ("n=,r=%s,%s,%s" % (self._nonce, challenge.decode(), bare)).encode()
        key = hmac.digest(salted, b"Client Key", "sha256")
        signature = hmac.digest(hashlib.sha256(key).digest(), signed, "sha256")
        self._server = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), signed, "sha256")
        proof = bytes(a ^ b for a, b in zip(key, signature))
        return (bare + ",p=" + base64.b64encode(proof).decode()).encode()

    def verify(self, answer):
        if base64.b64decode(answer.decode().split("v=", 1)[1].split(",")[0]) != self._server:
            raise ValueError("SCRAM: the server does not know the password")


class Client:
    """One connection. Unless login=False, logged in when the constructor returns; an error at login
    is raised as ServerError."""

    def __init__(self, host, port, dbname, user="postgres", login=True, timeout=None, password=None, **params):
        self.host, self.port, self._password = host, port, password
        self.sock = dial(host, port, timeout)
        self.buffer = bytearray()
        self.at = 0
        self.parameters = {}
        self.key = None  # (pid, secret)
        self.status = None
        self.params = {"user": user, "database": dbname, "client_encoding": "UTF8",
                       "application_name": "pgwtest-client"}
        self.params.update(params)
        if login:
            try:
                self.login()
            except BaseException:
                self.close()
                raise

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def login(self):
        self.send(startup_packet(self.params))
        return self.let_in()

    def let_in(self):
        """What follows the startup packet, up to ReadyForQuery."""
        if self._password is not None:
            self._authenticate()
        r = self.until_ready()
        if r.errors:
            raise r.errors[0]
        return r

    def _authenticate(self):
        """Up to AuthenticationOk. PostgreSQL 15 documentation, 55.2.1 Start-up."""
        scram = Scram(self._password)
        while True:
            kind, body = self.read()
            if kind == "E":
                raise ServerError(body)
            code, = struct.unpack_from("!i", body)
            if kind != "R" or code == 0:
                return
            if code == 3:
                answer = cstr(self._password)
            elif code == 5:
                inner = hashlib.md5((self._password + self.params["user"]).encode()).hexdigest()
                answer = cstr("md5" + hashlib.md5(inner.encode() + body[4:8]).hexdigest())
            elif code == 10:
                answer = scram.first()
            elif code == 11:
                answer = scram.final(body[4:])
            elif code == 12:
                scram.verify(body[4:])
                continue
            else:
                raise ValueError("the server asks for a way to log in that is not known here: %d" % code)
            self.send(message("p", answer))

    # -- sending ---------------------------------------------------------------------------------
    def send(self, data):
        """Sends all of the bytes, whatever they are."""
        self.sock.sendall(data)

    # -- reading ---------------------------------------------------------------------------------
    def _fill(self):
        data = self.sock.recv(262144)
        if not data:
            raise Closed("connection closed by the other side")
        if self.at:
            del self.buffer[:self.at]
            self.at = 0
        self.buffer += data

    def read(self):
        """The next message: (type letter, body). Raises Closed at the end."""
        while len(self.buffer) - self.at < 5:
            self._fill()
        length, = struct.unpack_from("!i", self.buffer, self.at + 1)
        while len(self.buffer) - self.at < length + 1:
            self._fill()
        kind = chr(self.buffer[self.at])
        body = bytes(self.buffer[self.at + 5:self.at + 1 + length])
        self.at += length + 1
        return kind, body

    def take(self, kind, body, r):
        """Adds one message to a Result."""
        r.kinds += kind
        if kind == "T":
            r.columns = _columns(body)
        elif kind == "D":
            r.rows.append(_row(body))
        elif kind == "C":
            r.tags.append(body.rstrip(b"\0").decode(errors="replace"))
        elif kind == "E":
            r.errors.append(ServerError(body))
        elif kind == "N":
            r.notices.append(report_fields(body))
        elif kind == "d":
            r.copied.append(body)
        elif kind == "S":
            name, value = body.split(b"\0")[:2]
            self.parameters[name.decode()] = value.decode(errors="replace")
        elif kind == "K":
            # Since protocol 3.2 the second half may be longer than a number.
            self.key = struct.unpack_from("!i", body)[0], (struct.unpack("!i", body[4:])[0]
                                                           if len(body) == 8 else body[4:])
        elif kind == "Z":
            r.status = self.status = body.decode()

    def until(self, kinds):
        """Reads up to and including the first message of one of the types."""
        r = Result()
        while True:
            try:
                kind, body = self.read()
            except (Closed, ConnectionError):
                # A FATAL error ends the connection: that is its answer.
                if r.errors:
                    return r
                raise
            self.take(kind, body, r)
            if kind in kinds:
                return r

    def until_ready(self):
        return self.until("Z")

    def until_closed(self):
        """Reads to the end of the connection."""
        r = Result()
        while True:
            try:
                self.take(*self.read(), r)
            except (Closed, ConnectionError):
                return r

    def silent(self, seconds=0.05):
        """True if nothing more comes within the time (for what must never come)."""
        if len(self.buffer) > self.at:
            return False
        old = self.sock.gettimeout()
        self.sock.settimeout(seconds)
        try:
            self._fill()
        except (TimeoutError, BlockingIOError):
            return True
        except (Closed, ConnectionError):
            return False
        finally:
            self.sock.settimeout(old)
        return False

    def hung_up(self, timeout=10.0):
        """Waits for the other side to close (reading and dropping); True if it did."""
        end = time.monotonic() + timeout * slow_factor()
        old = self.sock.gettimeout()
        try:
            while time.monotonic() < end:
                self.sock.settimeout(max(0.001, end - time.monotonic()))
                try:
                    if not self.sock.recv(262144):
                        return True
                except TimeoutError:
                    return False
                except ConnectionError:
                    return True
        finally:
            self.sock.settimeout(old)
        return False

    # -- requests --------------------------------------------------------------------------------
    def ask(self, sql):
        """A simple Query; returns its Result, errors included."""
        self.send(query(sql))
        return self.until_ready()

    def sql(self, sql):
        """A simple Query; returns the rows, raises the first error."""
        r = self.ask(sql)
        if r.errors:
            raise r.errors[0]
        return r.rows

    def value(self, sql):
        return self.sql(sql)[0][0]

    def ask_extended(self, sql, values=()):
        """Parse, Bind, Describe, Execute, Sync with unnamed names; the Result."""
        self.send(extended(sql, values) + sync())
        return self.until_ready()

    def backend(self):
        """The PostgreSQL process that serves this client now."""
        return int(self.value("SELECT pg_backend_pid()"))

    @property
    def session(self):
        """The id of its session with pgwithd."""
        return session_of(self.key[0])

    def cancel(self, pid=None, secret=None):
        """Sends a CancelRequest with our key (or another) and waits until its connection ends."""
        s = dial(self.host, self.port)
        try:
            s.sendall(cancel_packet(self.key[0] if pid is None else pid,
                                    self.key[1] if secret is None else secret))
            try:
                while s.recv(1024):
                    pass
            except ConnectionError:
                pass
        finally:
            s.close()

    # -- ends ------------------------------------------------------------------------------------
    def close(self):
        """Closes as drivers do: Terminate, then the socket."""
        try:
            self.sock.settimeout(1)
            self.sock.sendall(terminate())
        except OSError:
            pass
        self.sock.close()

    def drop(self):
        """Closes the socket without a word."""
        self.sock.close()


def _columns(body):
    count, = struct.unpack_from("!h", body)
    names, at = [], 2
    for _ in range(count):
        end = body.index(b"\0", at)
        names.append(body[at:end].decode(errors="replace"))
        at = end + 19
    return names


def _row(body):
    count, = struct.unpack_from("!h", body)
    values, at = [], 2
    for _ in range(count):
        length, = struct.unpack_from("!i", body, at)
        at += 4
        if length < 0:
            values.append(None)
        else:
            values.append(body[at:at + length].decode(errors="replace"))
            at += length
    return tuple(values)
