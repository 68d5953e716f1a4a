"""pgwithd under a service manager that the test plays: notifications, a socket that is handed down, the watchdog; and
what systemd-analyze says of the units."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time

from pgwtest import Skip, check, child, equal, main, slow_factor, test, wait_until, wire
from pgwtest.daemon import PORT, SANITIZE_ENV, program

SOURCE = os.environ.get("PGWITH_SRCDIR", ".")


def has_libsystemd():
    with open(os.path.join(os.environ.get("PGWITH_BUILDDIR", "."), "config.h")) as f:
        return "#define HAVE_LIBSYSTEMD 1" in f.read()


class Manager:
    """Plays NOTIFY_SOCKET."""

    def __init__(self, t):
        if not has_libsystemd():
            raise Skip("built without libsystemd")
        self.path = t.path("notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        t.defer(self.socket.close)
        self.heard = []

    def env(self, **more):
        return dict(more, NOTIFY_SOCKET=self.path)

    def hear(self):
        """All messages so far, each a dict."""
        while True:
            try:
                text = self.socket.recv(4096, socket.MSG_DONTWAIT).decode()
            except BlockingIOError:
                return self.heard
            self.heard.append(dict(line.split("=", 1) for line in text.split("\n")))

    def count(self, key):
        return sum(key in message for message in self.hear())

    def expect(self, key, value=None, more_than=0):
        """Waits for such messages; the last of them."""
        def found():
            those = [m for m in self.hear() if key in m and (value is None or re.search(value, m[key]))]
            return len(those) > more_than and those[-1]
        return wait_until(found, 10, "%s=%s among %r" % (key, value, self.heard[-3:]))


@test
def states(t):
    """READY, STATUS, RELOADING with its time, and STOPPING, in this order"""
    m = Manager(t)
    d = t.daemon(env=m.env())
    m.expect("READY")
    check("0 leased, 0 waiting" in m.heard[0]["STATUS"], "the first status: %r" % m.heard)
    before = time.monotonic_ns() // 1000
    d.signal(signal.SIGHUP)
    m.expect("READY", more_than=1)
    said = m.expect("RELOADING")
    check(before <= int(said["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000, "its time: %r" % said)
    order = [k for message in m.heard for k in message if k in ("READY", "RELOADING", "STOPPING")]
    equal(order, ["READY", "RELOADING", "READY"], "the order")
    d.console_close()
    d.signal(signal.SIGTERM)
    equal(d.wait_end(), 0, "the status")
    check(m.count("STOPPING") > 0, "STOPPING: %r" % m.heard)
    equal(m.count("WATCHDOG"), 0, "signs of life that nobody waits for")


@test
def status(t):
    """STATUS counts who is there, has a server, and waits, and tells of a reload that was refused"""
    m = Manager(t)
    d = t.daemon(env=m.env())
    c = t.client(d)
    c.sql("BEGIN")
    m.expect("STATUS", "1 leased, 0 waiting")
    waiter = t.client(d)
    waiter.send(wire.query("SELECT 1"))
    m.expect("STATUS", "[23] sessions, 1 leased, 1 waiting$")
    c.sql("COMMIT")
    waiter.until_ready()
    m.expect("STATUS", "0 leased, 0 waiting$", more_than=1)
    d.rewrite({"nonsense": "1"})
    d.signal(signal.SIGHUP)
    m.expect("STATUS", "refused")
    d.reload()
    check("refused" not in m.expect("READY", more_than=2)["STATUS"], "a good reload makes up for it")


@test
def more_time(t):
    """an end that goes on asks for more time; before it is a matter of time it is not said to end"""
    m = Manager(t)
    d = t.daemon({"shutdown_timeout": "60s"}, env=m.env())
    c = t.client(d)
    c.sql("BEGIN")
    d.console_close()
    t.client(d, "pgwith").send(wire.query("SHUTDOWN AFTER CLIENTS"))
    wait_until(lambda: d.log_has("emptying"), 5, "it empties")
    m.expect("STATUS", "^emptying: ")
    equal(m.count("STOPPING") + m.count("EXTEND_TIMEOUT_USEC"), 0, "it is not said to end")
    d.signal(signal.SIGTERM)
    m.expect("STOPPING")
    m.expect("EXTEND_TIMEOUT_USEC", "^[0-9]+$")
    c.sql("COMMIT")
    equal(d.wait_end(), 0, "the status")


@test
def watchdog(t):
    """signs of life at half of the time; none of a daemon that does not turn"""
    m = Manager(t)
    d = t.daemon(env=m.env(WATCHDOG_USEC="400000"))
    m.expect("WATCHDOG", more_than=3)
    d.signal(signal.SIGSTOP)
    wait_until(lambda: open("/proc/%d/stat" % d.pid).read().rsplit(")", 1)[1].split()[0] == "T", 5, "it stands still")
    seen = m.count("WATCHDOG")
    time.sleep(1.2)  # three times as long as a manager would wait
    equal(m.count("WATCHDOG"), seen, "signs of a daemon that stands still")
    d.signal(signal.SIGCONT)
    m.expect("WATCHDOG", more_than=seen)


@test
def silence(t):
    """without NOTIFY_SOCKET nothing is sent, whatever else is in the environment"""
    m = Manager(t)
    d = t.daemon(env={"WATCHDOG_USEC": "200000"})
    equal(t.client(d).value("SELECT 1"), "1", "it works")
    d.stop()
    equal(m.hear(), [], "messages")


def handing(t, d, path, name="pgwithd.socket", count=1):
    """Starts the daemon of d's configuration with a listening socket at `path`; the process and the socket."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    os.chmod(path, 0o777)
    listener.listen(5)
    t.defer(listener.close)
    log = open(t.path("handed.log"), "ab")
    t.defer(log.close)
    # LISTEN_PID is the process's own: sh has it. Descriptor 3 and the following ones.
    script = "exec 3<&%d; %sexport LISTEN_PID=$$ LISTEN_FDS=%d LISTEN_FDNAMES=%s; exec \"$0\" -c \"$1\"" % (
        listener.fileno(), "exec 4<&3; " if count == 2 else "", count, ":".join([name] * count))
    p = subprocess.Popen(["/bin/bash", "-c", script, program("pgwithd"), d.conf], stdin=subprocess.DEVNULL, stderr=log,
                         pass_fds=[listener.fileno()], env={**os.environ, **SANITIZE_ENV})
    t.defer(lambda: p.poll() is None and (p.kill(), p.wait()))
    return p, listener


@test
def handed_down(t):
    """a socket that is handed down is used, keeps its permissions, and is left when the daemon ends"""
    if not has_libsystemd():
        raise Skip("built without libsystemd")
    d = t.daemon()
    d.stop()
    path = os.path.join(d.sockets, ".s.PGSQL.%d" % PORT)
    p, listener = handing(t, d, path)
    inode = os.stat(path).st_ino
    equal(d.connect().value("SELECT 1"), "1", "served")
    equal(os.stat(path).st_mode & 0o777, 0o777, "its mode")
    p.terminate()
    equal(p.wait(20 * slow_factor()), 0, "the status")
    equal(os.stat(path).st_ino, inode, "the socket is left")
    # Who comes now waits for the next daemon.
    late = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    t.defer(late.close)
    late.connect(path)
    check(not os.path.exists(path + ".lock"), "the lock is removed")


@test
def not_ours(t):
    """a socket of another path, or two, are refused with their name"""
    if not has_libsystemd():
        raise Skip("built without libsystemd")
    d = t.daemon()
    d.stop()
    other = os.path.join(d.sockets, "other")
    p, _ = handing(t, d, other, "orders.socket")
    equal(p.wait(20 * slow_factor()), 1, "the status")
    p, _ = handing(t, d, os.path.join(d.sockets, ".s.PGSQL.%d" % PORT), "twice.socket", 2)
    equal(p.wait(20 * slow_factor()), 1, "the status")
    with open(t.path("handed.log")) as f:
        text = f.read()
    check('cannot start: the service manager has handed down the socket "orders.socket" at %s' % other in text, text)
    check("handed down 2 sockets" in text, text)


@test
def units(t):
    """the units are good to systemd-analyze, and their exposure is 1.5 at most"""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        raise Skip("there is no systemd-analyze")
    where = t.path("units")
    os.mkdir(where)
    with open(os.path.join(SOURCE, "systemd", "service.in")) as f:
        common = f.read()
    for name in ("pgwithd.service", "pgwithd@.service"):
        with open(os.path.join(SOURCE, "systemd", name + ".in")) as f:
            text = f.read()
        text = text.replace("@service@\n", common).replace("@sbindir@/pgwithd", program("pgwithd"))
        with open(os.path.join(where, name), "w") as f:
            f.write(text.replace("@sysconfdir@", "/etc"))
    for name in ("pgwithd.socket", "pgwithd@.socket"):
        shutil.copy(os.path.join(SOURCE, "systemd", name), where)
    paths = [os.path.join(where, name) for name in sorted(os.listdir(where))]
    equal(len(paths), 4, "units")
    status, out, err = child.run([analyze, "verify", "--recursive-errors=no", "--man=no"] + paths)
    equal((status, out, err), (0, "", ""), "verify")
    for path in paths:
        if path.endswith(".service"):
            status, out, err = child.run([analyze, "security", "--offline=true", "--threshold=15", path])
            equal(status, 0, "security: " + out[-200:] + err)


if __name__ == "__main__":
    main()
