"""A raw protocol v3 client, only as much as the benchmark needs: it shows when each message goes
out, costs little for each of thousands of connections, and needs nothing but the standard library.
PostgreSQL 15 documentation, 55.2 Message Flow and 55.7 Message Formats."""

import socket
import struct


class ServerError(Exception):
    """An ErrorResponse."""

    def __init__(self, body):
        self.fields = {}
        for field in body.rstrip(b"\0").split(b"\0"):
            self.fields[field[:1].decode()] = field[1:].decode(errors="replace")
        super().__init__(f"{self.fields.get('C')} {self.fields.get('M')}")


def socket_path(directory, port):
    return f"{directory}/.s.PGSQL.{port}"


def message(kind, body=b""):
    return kind + struct.pack("!I", len(body) + 4) + body


def query(sql):
    return message(b"Q", sql.encode() + b"\0")


def extended(sql):
    """Parse, Bind and Execute with the unnamed statement and portal; neither Sync nor Flush."""
    return (message(b"P", b"\0" + sql.encode() + b"\0\0\0")
            + message(b"B", b"\0\0\0\0\0\0\0\0")
            + message(b"E", b"\0\0\0\0\0"))


SYNC = message(b"S")
FLUSH = message(b"H")


class Client:
    """One connection, logged in. `timeout` (seconds, None: no limit) is for every wait."""

    def __init__(self, path, database, user="postgres", timeout=None):
        self.buffer = b""
        self.parameters = {}
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.socket.settimeout(timeout)
            self.socket.connect(path)
            pairs = f"user\0{user}\0database\0{database}\0\0".encode()
            self.socket.sendall(struct.pack("!II", len(pairs) + 8, 3 << 16) + pairs)
            self.until_ready()
        except BaseException:
            self.socket.close()
            raise

    def send(self, data):
        self.socket.sendall(data)

    def receive(self):
        """The next message: type and body."""
        while True:
            if len(self.buffer) >= 5:
                end = 1 + struct.unpack_from("!I", self.buffer, 1)[0]
                if len(self.buffer) >= end:
                    kind, body = self.buffer[:1], self.buffer[5:end]
                    self.buffer = self.buffer[end:]
                    return kind, body
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError("the server closed the connection")
            self.buffer += data

    def until_ready(self):
        """Reads to ReadyForQuery; returns the rows, each a list of strings and None."""
        rows, error = [], None
        while True:
            kind, body = self.receive()
            if kind == b"E":
                error = ServerError(body)
                if error.fields.get("S") in ("FATAL", "PANIC"):
                    raise error
            elif kind == b"R" and struct.unpack("!I", body[:4])[0] != 0:
                raise ConnectionError("an authentication other than trust was asked for")
            elif kind == b"S":
                name, value = body.split(b"\0")[:2]
                self.parameters[name.decode()] = value.decode()
            elif kind == b"D":
                rows.append(data_row(body))
            elif kind == b"Z":
                if error is not None:
                    raise error
                return rows

    def query(self, sql):
        self.send(query(sql))
        return self.until_ready()

    def close(self):
        """Goes politely, with Terminate."""
        try:
            self.socket.sendall(message(b"X"))
        except OSError:
            pass
        self.socket.close()


def data_row(body):
    at, values = 2, []
    for _ in range(struct.unpack_from("!H", body)[0]):
        length = struct.unpack_from("!i", body, at)[0]
        at += 4
        if length < 0:
            values.append(None)
        else:
            values.append(body[at:at + length].decode())
            at += length
    return values
