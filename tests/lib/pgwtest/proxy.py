"""A proxy between the daemon and PostgreSQL, for what PostgreSQL does not do on
request: hold logins, hold CancelRequests, refuse, cut, send half of a notification, cancel just that statement."""

import os
import socket
import struct
import threading

from . import wire


class Proxy:
    """Gates are threading.Events: a connection waits while its gate is closed (cleared)."""

    def __init__(self, directory, port, cluster, tcp=False):
        """Between Unix sockets, or (tcp) between ports of 127.0.0.1; `directory` and `port` are
        libpq's host and port of it."""
        self.cluster = cluster
        self.login_gate = threading.Event()
        self.login_gate.set()
        self.cancel_gate = threading.Event()
        self.cancel_gate.set()
        self.half = 0     # bytes of the next notification that are let through, up to...
        self.halved = threading.Event()
        self.half_gate = threading.Event()  # ...this gate
        self.refuse = False
        self.logins = 0   # seen, held ones too
        self.cancels = 0
        self.refused = 0
        self.rewrite = None  # called with (type, body) of each message for PostgreSQL; returns the body
        self._lock = threading.Lock()
        self._open = set()
        self._closing = False
        if tcp:
            self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self._listener.bind(("127.0.0.1", 0))
            self.directory, self.port = self._listener.getsockname()
            self._behind = "127.0.0.1"
        else:
            os.makedirs(directory, exist_ok=True)
            self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._listener.bind(os.path.join(directory, ".s.PGSQL.%d" % port))
            self.directory, self.port = directory, port
            self._behind = cluster.sockets
        self._listener.listen(200)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                s, _ = self._listener.accept()
            except OSError:
                return
            if self.refuse:
                self.refused += 1
                s.close()
                continue
            threading.Thread(target=self._serve, args=(s,), daemon=True).start()

    def _remember(self, s):
        with self._lock:
            self._open.add(s)
            if self._closing:
                s.close()

    def _serve(self, near):
        far = None
        self._remember(near)
        try:
            head = self._exactly(near, 4)
            length, = struct.unpack("!i", head)
            packet = head + self._exactly(near, length - 4)
            code, = struct.unpack_from("!i", packet, 4)
            if code == wire.CANCEL_REQUEST:
                self.cancels += 1
                self.cancel_gate.wait()
            else:
                self.logins += 1
                self.login_gate.wait()
            far = wire.dial(self._behind, self.cluster.port, None)
            self._remember(far)
            far.sendall(packet)
            back = threading.Thread(target=self._pump, args=(far, near), daemon=True)
            back.start()
            if self.rewrite:
                self._forward(near, far)
            else:
                self._pump(near, far)
            back.join()
        except (OSError, EOFError):
            pass
        finally:
            for s in (near, far):
                if s is not None:
                    with self._lock:
                        self._open.discard(s)
                    s.close()

    @staticmethod
    def _exactly(s, count):
        data = b""
        while len(data) < count:
            more = s.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def _forward(self, near, far):
        """What _pump() does, message by message."""
        try:
            while True:
                head = self._exactly(near, 5)
                length, = struct.unpack_from("!i", head, 1)
                body = self._exactly(near, length - 4)
                far.sendall(wire.message(chr(head[0]), self.rewrite(chr(head[0]), body)))
        except (OSError, EOFError):
            pass
        try:
            far.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def _pump(self, source, sink):
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    break
                if self.half and data.startswith(b"A"):
                    sink.sendall(data[:self.half])
                    data = data[self.half:]
                    self.half = 0
                    self.halved.set()
                    self.half_gate.wait()
                sink.sendall(data)
        except OSError:
            pass
        try:
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def cut(self):
        """Cuts every connection that is open."""
        with self._lock:
            for s in self._open:
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def close(self):
        self._closing = True
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        self.login_gate.set()
        self.cancel_gate.set()
        self.half_gate.set()
        self.cut()
