"""The server behind TLS: how libpq gets there, and the relay through libpq's SSL connection."""

import os
import shutil
import socket
import threading
import time

from pgwtest import (check, child, equal, main, seconds, slow_factor, test, unavailable, wait_until,
                     wire)
from pgwtest.daemon import program
from pgwtest.looks import Watch, abandon, error_of, runs
from pgwtest.verified import PASSWORD

SSL = "SELECT ssl, version, client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


def refusal(t, **pool):
    """The error of a client whose pool cannot connect."""
    d = t.daemon(**pool)

    def asks():
        with d.connect() as c:
            c.sql("SELECT 1")
    e = error_of(asks)
    equal(e.sqlstate, "08001", "the error")
    check(PASSWORD not in d.log_text(), "no password in the log")
    return str(e)


# ---- ways in ---------------------------------------------------------------------------------------
@test
def login(t):
    """verify-full, SCRAM with channel binding: logs in, and queries pass"""
    d = t.daemon(size=2)
    c = t.client(d)
    equal(c.sql(SSL), [("t", "TLSv1.3", None)], "the server connection")
    equal(c.ask_extended("SELECT $1::int", (4,)).value, "4", "an extended query")
    check(PASSWORD not in d.log_text() and PASSWORD not in str(d.show("CONFIG")), "the password is kept")


@test
def versions(t):
    """TLS 1.2 and TLS 1.3, as the conninfo says"""
    for version in ("TLSv1.2", "TLSv1.3"):
        d = t.daemon(conninfo=t.conninfo(ssl_min_protocol_version=version,
                                         ssl_max_protocol_version=version))
        equal(t.client(d).sql(SSL)[0][1], version, "the version")


@test
def client_certificate(t):
    """a role that gets in only with its certificate"""
    own = os.path.join(t.cluster.certificates, "certified")
    d = t.daemon(conninfo=t.conninfo(user="certified", password=None, channel_binding=None,
                                     sslcert=own + ".crt", sslkey=own + ".key"))
    c = t.client(d)
    equal(c.sql(SSL), [("t", "TLSv1.3", "/CN=certified")], "the server connection")
    equal(c.value("SELECT session_user"), "certified", "the role")
    text = refusal(t, conninfo=t.conninfo(user="certified"))
    check("certificate" in text, "the reason without one: %s" % text)


@test
def by_name(t):
    """the server's name is verified, though the daemon itself has looked its addresses up"""
    d = t.daemon(conninfo=t.conninfo(host="localhost"))
    equal(t.client(d).sql(SSL)[0][0], "t", "TLS")
    text = refusal(t, conninfo=t.conninfo(host="db.example.org", hostaddr="127.0.0.1"))
    check("does not match host name" in text, "the reason for another name: %s" % text)


@test
def unknown_authority(t):
    """a certificate of somebody else's authority is refused with libpq's reason"""
    other = t.cluster.certificate("other", "/CN=another CA", ["-x509", "-days", "30"])
    text = refusal(t, conninfo=t.conninfo(sslrootcert=other))
    check("certificate verify failed" in text, "the reason: %s" % text)


@test
def wrong_password(t):
    """a wrong password is told to the client, without the password"""
    text = refusal(t, conninfo=t.conninfo(password="wrong1"))
    check("password authentication failed" in text and "wrong1" not in text, "the reason: %s" % text)


@test
def service_and_passfile(t):
    """everything comes from a service file, the password from a password file"""
    service, passfile = t.path("pg_service.conf"), t.path("pgpass")
    parts = t.cluster.tls_conninfo(dbname=t.database, host="localhost", passfile=passfile)
    with open(passfile, "w") as f:
        f.write("localhost:%d:*:postgres:%s\n" % (parts["port"], parts.pop("password").replace(
            "\\", "\\\\").replace(":", "\\:")))
    os.chmod(passfile, 0o600)
    with open(service, "w") as f:
        f.write("[orders]\n" + "".join("%s=%s\n" % kv for kv in parts.items()))
    d = t.daemon(conninfo="service=orders", env={"PGSERVICEFILE": service}, retry_delay="50ms")
    c = t.client(d)
    equal(c.sql(SSL)[0][0], "t", "TLS")
    equal(c.value("SELECT current_database()"), t.database, "the database")
    # The service file is gone: no new connection, and the reason is told; then it is back.
    os.rename(service, service + ".away")
    t.sql("SELECT pg_terminate_backend(%d)" % c.backend())
    wait_until(lambda: [s for s in d.servers() if s["state"] == "idle"] == [], 5, "the server is gone")
    r = c.ask("SELECT 1")
    check(r.errors and "service" in str(r.errors[0]), "the error: %r" % r.errors)
    os.rename(service + ".away", service)
    wait_until(lambda: not c.ask("SELECT 1").errors, 5, "served again")


SLOW_NAMES = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* "slow.test" is looked up when the file PGWTEST_GATE is there, and is localhost. */
int
getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **list)
{
	int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

	next = dlsym(RTLD_NEXT, "getaddrinfo");
	if (name && strcmp(name, "slow.test") == 0) {
		while (access(getenv("PGWTEST_GATE"), F_OK) < 0)
			usleep(1000);
		name = "localhost";
	}
	return next(name, service, hints, list);
}
"""


def preload(library):
    """LD_PRELOAD for the daemon: the run-time library of a sanitized one insists on being first. (It
    has a getaddrinfo() too, which calls the next one: ours.)"""
    for line in child.run_ok(["ldd", program("pgwithd")]).splitlines():
        words = line.split()
        if words[0].startswith("libasan.so") and words[1:2] == ["=>"]:
            return words[2] + " " + library
    return library


@test
def slow_name(t):
    """a name whose look-up takes long holds up nobody: other pools are served, and the console"""
    if not shutil.which("cc"):
        unavailable("a preloaded getaddrinfo() needs cc")
    source, library, gate = (t.path("slow" + e) for e in (".c", ".so", ".gate"))
    with open(source, "w") as f:
        f.write(SLOW_NAMES)
    child.run_ok(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"])
    d = t.daemon(env={"LD_PRELOAD": preload(library), "PGWTEST_GATE": gate}, pools={
        "slow": {"conninfo": t.conninfo(host="slow.test", sslmode="verify-ca"), "size": 4,
                 "min_size": 2},
        "db": {"conninfo": t.conninfo(), "size": 1}})
    equal([(s["database"], s["state"]) for s in d.servers("slow")], [("slow", "connecting")] * 2,
          "servers of the slow pool")
    c = t.client(d)
    took, value = seconds(c.value, "SELECT 1")
    equal(value, "1", "another pool's answer")
    check(took < slow_factor(), "another pool's answer took %.3f s" % took)
    open(gate, "w").close()
    equal(t.client(d, "slow").sql(SSL)[0][0], "t", "TLS, when the name is known")


# ---- through it ------------------------------------------------------------------------------------
@test
def kills(t):
    """killed with a query running, without Sync, in COPY IN, over TLS 1.2: cleaned up, same server"""
    t.sql("CREATE TABLE marks (a int, b text)")
    w = Watch(t, t.daemon(conninfo=t.conninfo(ssl_max_protocol_version="TLSv1.2")))
    insert = "INSERT INTO marks VALUES (1)"
    abandon(t, lambda c: c.send(wire.query("BEGIN; %s; SELECT pg_sleep(60)" % insert)), w,
            runs("pg_sleep"))
    abandon(t, lambda c: c.send(wire.extended(insert) + wire.extended("SELECT pg_sleep(60)") +
                                wire.flush()), w, runs("pg_sleep"))
    abandon(t, lambda c: c.send(wire.query("COPY marks FROM STDIN") + wire.copy_data(b"1\tx\n")), w,
            runs("COPY"))
    equal(t.value("SELECT count(*) FROM marks"), "0", "rows")


def large(t, version):
    t.sql("CREATE UNLOGGED TABLE sink (v text)")
    d = t.daemon(conninfo=t.conninfo(ssl_max_protocol_version=version), options={"log_level": "info"})
    c = t.client(d)
    r = c.ask("SELECT repeat(md5(i::text), 1000) FROM generate_series(1, 600) i")
    direct = t.direct().ask("SELECT repeat(md5(i::text), 1000) FROM generate_series(1, 600) i")
    equal(r.rows == direct.rows, True, "the rows are the same")
    c.send(wire.query("COPY sink FROM STDIN"))
    c.until("G")
    for i in range(600):
        c.send(wire.copy_data((b"%d" % i).ljust(32000, b"x") + b"\n"))
    c.send(wire.copy_done())
    equal(c.until_ready().tags, ["COPY 600"], "COPY")
    equal(t.value("SELECT sum(length(v)) FROM sink"), str(600 * 32000), "its bytes")
    c.send(b"".join(wire.extended("SELECT %d" % i) + wire.sync() for i in range(500)))
    equal([c.until_ready().value for _ in range(500)], [str(i) for i in range(500)], "the pipeline")
    # The last bytes of an answer may sit in the TLS layer while the socket is silent.
    for size in list(range(16200, 16500, 7)) + [16384 * n - k for n in (1, 2) for k in range(40)]:
        equal(len(c.value("SELECT repeat('x', %d)" % size)), size, "the row")


@test
def large_1_2(t):
    """results and COPY of 20 MB, and a pipeline, pass unharmed over TLS 1.2 (records end anywhere)"""
    large(t, "TLSv1.2")


@test
def large_1_3(t):
    """the same over TLS 1.3"""
    large(t, "TLSv1.3")


@test
def both_ways_at_once(t):
    """a pipeline so long that both ways are full: what is sent and what comes pass each other"""
    d = t.daemon(options={"log_level": "info"})
    c = t.client(d)
    asked = [(i, 1 + (i * 7919) % 60000) for i in range(400)]
    sent = b"".join(wire.extended("SELECT $1, repeat('y', %d)" % size,
                                  (("%d:" % i) + "x" * size,)) + wire.sync() for i, size in asked)
    sender = threading.Thread(target=c.send, args=(sent,))
    sender.start()
    try:
        for i, size in asked:
            r = c.until_ready()
            equal((r.rows[0][0] == ("%d:" % i) + "x" * size, len(r.rows[0][1])), (True, size), "row")
    finally:
        c.sock.shutdown(socket.SHUT_RDWR) if sender.is_alive() else None
        sender.join()


class Deaf:
    """Says yes to TLS, and then nothing: a handshake that must be given up."""

    def __init__(self, t):
        self.seen = 0
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(50)
        self.port = self.listener.getsockname()[1]
        self.open = []
        t.defer(self.close)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            self.open.append(s)
            s.recv(8)
            s.sendall(b"S")
            self.seen += 1

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for s in self.open:
            s.close()


@test
def handshakes_of_others(t):
    """handshakes that fail in one pool do no harm to the connections of another"""
    deaf = Deaf(t)
    d = t.daemon(options={"log_level": "info"}, pools={
        "deaf": {"conninfo": t.conninfo(port=deaf.port), "size": 2, "min_size": 2,
                 "connect_timeout": "50ms", "retry_delay": "1ms"},
        "db": {"conninfo": t.conninfo(), "size": 1}})
    c = t.client(d)
    pid = c.backend()
    until = time.monotonic() + 60
    rounds = 0
    while deaf.seen < 20 or rounds < 10:
        check(time.monotonic() < until, "handshakes are tried: %d" % deaf.seen)
        r = c.ask("SELECT repeat('x', 16000) FROM generate_series(1, 1000)")
        equal((len(r.rows), r.errors), (1000, []), "the rows")
        rounds += 1
    equal(c.backend(), pid, "the backend")


@test
def restart(t):
    """PostgreSQL restarts: served again over TLS, and the reason of the end is its own"""
    d = t.daemon(retry_delay="100ms")
    c, holder = t.client(d), None
    for mode in ("fast", "immediate"):
        c.sql("SELECT 1")
        holder = t.client(d)
        holder.sql("BEGIN")
        t.cluster.restart(mode)
        check(holder.until_closed().errors[-1].sqlstate in ("57P01", "57P02", "08006"), "it is told")
        equal(c.value("SELECT 1"), "1", "the same session (%s)" % mode)
    check("Protocol error" not in d.log_text(), "the end of a server is no protocol error")


if __name__ == "__main__":
    main(tls=True)
