"""Many clients that LISTEN, compared with a direct connection, quickly: what a client gets is a piece of a stream of bytes
that the direct connection has, too. So a thousand clients and a hundred thousand notifications are compares of memory.

PostgreSQL 15 documentation, NOTIFY: notifications of one transaction come in the order in which they were sent, those of
several in the order of their commits. All that listen to the same channels of a database get the same stream, then."""

import bisect
import select
import struct
import threading

from . import wire
from .tap import Failure, check, slow_factor

RECEIVE = 262144  # bytes that one recv takes


def identifier(name):
    return '"%s"' % name.replace('"', '""')


def parsed(raw):
    """(pid, channel, payload) of the bytes of one NotificationResponse."""
    channel, payload = raw[9:-1].split(b"\0")
    return struct.unpack_from("!i", raw, 5)[0], channel.decode(), payload.decode()


class Collector(wire.Client):
    """A client that keeps the notifications that came, as bytes."""

    def __init__(self, *args, **named):
        self.heard = []
        super().__init__(*args, **named)

    def take(self, kind, body, r):
        super().take(kind, body, r)
        if kind == "A":
            self.heard.append(wire.message("A", body))

    def payloads(self):
        return [parsed(raw)[2] for raw in self.heard]

    def hear(self, payload):
        """Reads until that has come."""
        at = 0
        while True:
            for raw in self.heard[at:]:
                if parsed(raw)[2] == payload:
                    return
            at = len(self.heard)
            self.take(*self.read(), wire.Result())


class Stream:
    """What those get that listen to one set of channels. `starts`: where each message begins."""

    def __init__(self, channels):
        self.channels = frozenset(channels)
        self.data = bytearray()
        self.starts = []
        self.marks = {}  # payload of a mark: where it begins

    def add(self, raw):
        self.starts.append(len(self.data))
        self.data += raw

    def message(self, n):
        end = self.starts[n + 1] if n + 1 < len(self.starts) else len(self.data)
        return bytes(self.data[self.starts[n]:end])

    def begin_of(self, offset):
        """Where the message begins that is not over at this offset."""
        n = bisect.bisect_right(self.starts, offset) - 1
        return offset if n < 0 or offset == len(self.data) else self.starts[n]

    def explain(self, offset, raw):
        """What is wrong with a message that came where the one at this offset should have come."""
        what = "%s %s %r" % ((len(self.channels),) + parsed(raw)[1:])
        if parsed(raw)[1] not in self.channels:
            return "a notification of a channel that it does not listen to: " + what
        at = self.data.find(raw)
        if at < 0:
            return "a notification that no direct connection has got: " + what
        if at < offset:
            return "doubled or late: %s, %d bytes back" % (what, offset - at)
        n, m = bisect.bisect_left(self.starts, offset), bisect.bisect_left(self.starts, at)
        return "lost or late: %d notifications from %s on, then came %s" % (
            m - n, parsed(self.message(n))[1:], what)


class Reference:
    """The direct connection, which listens to all channels, and the streams made of what it gets."""

    MARK = "mark "

    def __init__(self, client, sets):
        self.client = client
        self.streams = {s: Stream(s) for s in map(frozenset, sets)}
        self.of = {}         # channel: the streams that have it
        self.senders = {}    # first word of the payload: the rest, in order
        self.count = 0
        self.changed = threading.Condition()
        for stream in self.streams.values():
            for channel in stream.channels:
                self.of.setdefault(channel, []).append(stream)
        client.sql("; ".join("LISTEN " + identifier(c) for c in sorted(self.of)))
        client.sock.setblocking(False)
        self._rest = b""

    def fileno(self):
        return self.client.sock.fileno()

    def read(self):
        """Takes what is there."""
        try:
            data = self.client.sock.recv(RECEIVE)
        except BlockingIOError:
            return
        check(data, "the direct connection has ended")
        data = self._rest + data
        at = 0
        with self.changed:
            while len(data) - at >= 5:
                length, = struct.unpack_from("!i", data, at + 1)
                if len(data) - at < length + 1:
                    break
                if data[at] == 65:
                    self._add(data[at:at + length + 1])
                at += length + 1
            self.changed.notify_all()
        self._rest = data[at:]

    def _add(self, raw):
        _, channel, payload = parsed(raw)
        self.count += 1
        mark = payload if payload.startswith(self.MARK) else None
        if mark is None:
            sender, _, rest = payload.partition(" ")
            self.senders.setdefault(sender, []).append(rest)
        for stream in self.of[channel]:
            if mark:
                stream.marks[mark] = len(stream.data)
            stream.add(raw)

    def wait(self, stream, mark):
        """Where the mark begins in that stream, once it has come."""
        with self.changed:
            if not self.changed.wait_for(lambda: mark in stream.marks, 30 * slow_factor()):
                raise Failure("the direct connection has not got %r" % mark)
            return stream.marks[mark]


class Ear:
    """A client that idles and listens from the beginning of its stream on. `ends`: an error must end it, sooner or later,
    whose SQLSTATE this is."""

    def __init__(self, client, stream, ends=None):
        self.client, self.stream, self.ends = client, stream, ends
        self.offset = 0
        self.waiting = b""    # what has come before the direct connection got it, or is no notification
        self.error = None
        self.over = False
        client.sock.setblocking(False)

    @property
    def behind(self):
        return 0 if self.over else len(self.stream.data) - self.offset

    def read(self):
        """Takes what is there and compares; raises Failure."""
        try:
            data = self.client.sock.recv(RECEIVE)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if data:
            self.waiting += data
            self.compare()
            return
        self.over = True
        self.compare()
        check(self.ends, "the connection of a client ended" + (": %s" % self.error if self.error else ""))

    def compare(self):
        """Compares what has come with the stream, as far as that is known."""
        have = self.stream.data
        while self.waiting:
            n = min(len(self.waiting), len(have) - self.offset)
            if have[self.offset:self.offset + n] == self.waiting[:n]:
                self.offset += n
                self.waiting = self.waiting[n:]
            else:
                begin = self.stream.begin_of(self.offset)
                self.waiting = bytes(have[begin:self.offset]) + self.waiting
                self.offset = begin
            if not self.waiting or not self._one_message():
                return

    def _one_message(self):
        """Takes one message from its beginning on; false if more must be known for that."""
        if len(self.waiting) < 5:
            return False
        length, = struct.unpack_from("!i", self.waiting, 1)
        if len(self.waiting) < length + 1:
            return False
        raw, kind = self.waiting[:length + 1], self.waiting[:1]
        if kind == b"A":
            if self.stream.data[self.offset:self.offset + len(raw)] == raw:
                # What differs comes behind it.
                self.offset += len(raw)
                self.waiting = self.waiting[len(raw):]
                return True
            if self.offset == len(self.stream.data) and parsed(raw)[1] in self.stream.channels:
                return False  # the direct connection has not got it yet
            raise Failure(self.stream.explain(self.offset, raw))
        check(kind in (b"E", b"S", b"N"), "a client that idles got a message %r" % kind)
        if kind == b"E":
            self.error = wire.ServerError(raw[5:])
            check(self.ends == self.error.sqlstate, "a client was told %s" % self.error)
        self.waiting = self.waiting[length + 1:]
        return True

    def finish(self):
        """Nothing is left over: it listens no more, and gets nothing but the answers."""
        if self.ends:
            check(self.over, "the connection of a client has not ended that should have")
            check(not self.waiting, "a client that was ended has got what the direct connection has not: %r" % self.waiting[:99])
            check(self.error, "the connection of a client ended without an error")
            return
        check(not self.waiting and self.behind == 0, "a client has not got all: %d bytes are missing" % self.behind)
        self.client.sock.settimeout(wire.read_timeout())
        r = self.client.ask("UNLISTEN *; SELECT 'end'")
        check(not r.errors and r.kinds in ("CTDCZ", "CTDCSZ"), "answers to UNLISTEN: %s %s" % (r.kinds, r.errors))


class Flock:
    """Ears, and the direct connection, in one loop."""

    def __init__(self, reference):
        self.reference = reference
        self.ears = []
        self.epoll = select.epoll()
        self.by_fd = {}
        self.epoll.register(reference.fileno(), select.EPOLLIN)

    def add(self, ear):
        self.ears.append(ear)
        fd = ear.client.sock.fileno()
        self.by_fd[fd] = ear
        self.epoll.register(fd, select.EPOLLIN)
        return ear

    def leave(self, ear):
        """Its socket is closed, whatever is on its way."""
        self._forget(ear)
        self.ears.remove(ear)
        ear.over = True
        ear.client.drop()

    def _forget(self, ear):
        fd = ear.client.sock.fileno()
        if self.by_fd.pop(fd, None):
            self.epoll.unregister(fd)

    def turn(self, timeout=0.05):
        """Takes what is there, waiting for it so long."""
        ready = self.epoll.poll(timeout)
        reference = self.reference.fileno()
        if any(fd == reference for fd, _ in ready):
            self.reference.read()
        for fd, _ in ready:
            ear = self.by_fd.get(fd)
            if ear:
                ear.read()
                if ear.over:
                    self._forget(ear)
        for ear in self.ears:
            if ear.waiting:
                ear.compare()

    def behind(self):
        """Bytes that the slowest has not got of what the direct connection has."""
        return max((ear.behind for ear in self.ears), default=0)


# ---- clients that come and go --------------------------------------------------------------------------
class Bracket:
    """One time of listening, between marks that a direct connection has sent: from LISTEN's answer on, to UNLISTEN."""

    def __init__(self, reference, stream):
        self.reference, self.stream = reference, stream
        self.marks = []

    def judge(self, raws):
        """`raws`: all notifications that the client has got; marks: before LISTEN, behind its answer, before UNLISTEN,
        behind its answer. The last of them may be missing, if the connection has ended."""
        stream = self.stream
        places = [self.reference.wait(stream, m) for m in self.marks]
        before = places[0]
        with self.reference.changed:
            never = len(stream.data)
            first = places[1] if len(places) > 1 else never
            # Only the answer to UNLISTEN says that the one before it has come.
            last, behind = places[2:] if len(places) == 4 else (-1, never)
            self._compare(raws, before, first, last, behind)

    def _compare(self, raws, before, first, last, behind):
        stream = self.stream
        if not raws and last < 0:
            return
        check(raws, "a client got nothing")
        at = stream.data.find(raws[0])
        if parsed(raws[0])[1] not in stream.channels or at < 0:
            raise Failure(stream.explain(first, raws[0]))
        check(at > before, "what was sent before LISTEN: %s" % (parsed(raws[0]),))
        check(at <= first, "what was sent behind LISTEN is lost: it begins with %s" % (parsed(raws[0]),))
        for raw in raws:
            if stream.data[at:at + len(raw)] != raw:
                raise Failure(stream.explain(at, raw))
            at += len(raw)
        check(at > last, "what was sent before UNLISTEN is lost: it ends with %s" % (parsed(raws[-1]),))
        check(at <= behind, "what was sent behind UNLISTEN: %s" % (parsed(raws[-1]),))
