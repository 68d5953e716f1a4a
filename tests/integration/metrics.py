"""metrics_listen: what Prometheus is told, against SHOW; who may listen where; clients of HTTP that hang, or send garbage.
`pgwith metrics`; a Prometheus, its tools and its exporter for PgBouncer, if they are there."""

import json
import os
import re
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.parse
import urllib.request

from pgwtest import Skip, check, child, equal, main, note, slow_factor, test, wait_until, wire
from pgwtest.daemon import SANITIZE_ENV, program
from pgwtest.looks import error_of
from pgwtest.ports import free_port

CLIENTS = 16  # HTTP_CLIENTS of src/admin/http.h
SOURCE = os.path.abspath(os.environ.get("PGWITH_SRCDIR", "."))
CONF = os.path.join(SOURCE, "conf")
SAMPLE = re.compile(r'([a-z_]+)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"(?:,|$)')


def dial(at, timeout=10):
    """A connection to metrics_listen."""
    if at.startswith("/"):
        s = socket.socket(socket.AF_UNIX)
        address = at
    else:
        host, port = at.rsplit(":", 1)
        s = socket.socket(socket.AF_INET6 if host.startswith("[") else socket.AF_INET)
        address = host.strip("[]"), int(port)
    s.settimeout(timeout * slow_factor())
    try:
        s.connect(address)
    except BaseException:
        s.close()
        raise
    return s


def answer_to(at, request, ends=False):
    """All bytes that come as the answer to these; `ends`: nothing comes behind them."""
    with dial(at) as s:
        s.sendall(request)
        if ends:
            s.shutdown(socket.SHUT_WR)
        data = b""
        while True:
            try:
                more = s.recv(1 << 16)
            except ConnectionResetError:
                more = b""
            if not more:
                return data
            data += more


def get(at, path="/metrics", method="GET", headers="", host="localhost"):
    """(status, headers, body)"""
    data = answer_to(at, ("%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (method, path, host, headers)).encode())
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    return int(lines[0].split()[1]), dict(line.split(": ", 1) for line in lines[1:]), body.decode()


class Metrics:
    """The samples of a text, each by its name and labels."""

    def __init__(self, text):
        self.text, self.samples, self.types = text, {}, {}
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                check(name not in self.types, "the family %s once" % name)
                self.types[name] = kind
            if line.startswith("#"):
                continue
            found = SAMPLE.match(line)
            check(found, "a sample: %r" % line)
            key = found.group(1), tuple(sorted(LABEL.findall(found.group(2) or "")))
            check(key not in self.samples, "%s once" % line)
            self.samples[key] = float(found.group(3))

    def get(self, name, **labels):
        value = self.samples.get(("pgwith_" + name, tuple(sorted(labels.items()))))
        check(value is not None, "there is a sample %s %r" % (name, labels))
        return value

    def all(self, name):
        """[(labels, value)]"""
        return [(dict(labels), value) for (n, labels), value in self.samples.items() if n == "pgwith_" + name]


def scrape(at):
    status, headers, body = get(at)
    equal((status, headers["Content-Type"]), (200, "text/plain; version=0.0.4; charset=utf-8"), "GET /metrics")
    equal(int(headers["Content-Length"]), len(body.encode()), "Content-Length")
    return Metrics(body)


def listening(t, at=None, **how):
    """A daemon with a listener: (daemon, where)."""
    at = at or "127.0.0.1:%d" % free_port()
    options = dict(how.pop("options", {}), metrics_listen=at)
    return t.daemon(options=options, **how), at


def tool(name):
    path = shutil.which(name)
    if path is None:
        raise Skip(name + " is missing")
    return path


def pgwith(d, *args):
    return child.run([program("pgwith"), "-p", str(d.port), "-U", "postgres", *args],
                     env=dict(SANITIZE_ENV, PGWITH_SOCKET=d.sockets))


def check_histogram(m, name, **labels):
    """The buckets rise up to the count; returns the count."""
    rows = [(float(of["le"]), value) for of, value in m.all(name + "_bucket")
            if {k: v for k, v in of.items() if k != "le"} == labels]
    check(len(rows) > 10, "buckets of %s %r: %r" % (name, labels, rows))
    values = [value for _, value in sorted(rows)]
    equal(values, sorted(values), "the buckets of %s rise" % name)
    equal(values[-1], m.get(name + "_count", **labels), "the last bucket of %s is the count" % name)
    return values[-1]


@test
def values(t):
    """the numbers are those of SHOW POOLS, STATS, SCOPE_STATS, LOCKS, ERRORS and LISTS"""
    d, at = listening(t, pools={"db": {"conninfo": t.conninfo(), "size": 2, "max_waiting": 7},
                                "other": {"conninfo": t.conninfo(), "size": 3}})
    a, b, c, other = t.client(d), t.client(d), t.client(d), t.client(d, "other")
    for i in range(5):
        a.sql("SELECT 1")
    a.sql("LISTEN x; SELECT 1")
    b.sql("ENTER job ON db")
    b.sql("SELECT pg_sleep(0.05)")
    b.sql("ENTER LOCK 'nightly'")
    c.send(wire.query("SELECT 1"))
    wait_until(lambda: d.waiting() == 1, 5, "one waits for a server")
    other.send(wire.query("ENTER LOCK 'nightly'"))
    wait_until(lambda: [x for x in d.show("LOCKS") if x["state"] == "waiting"], 5, "one waits for the lock")
    error_of(d.connect, "nowhere")
    m = scrape(at)
    equal([m.get("pool_servers", pool="db", state=s) for s in ("leased", "idle", "connecting", "checking", "cleaning")],
          [2, 0, 0, 0, 0], "servers")
    equal([m.get("pool_" + x, pool="db") for x in ("size", "queue_limit", "waiting_sessions", "pinned_servers", "idle_sessions",
                                                   "paused", "disabled", "removed", "down")],
          [2, 7, 1, 1, 0, 0, 0, 0, 0], "the pool db")
    equal((m.get("pool_size", pool="other"), m.get("pool_waiting_sessions", pool="other")), (3, 0), "the other pool")
    check(0 < m.get("pool_oldest_wait_seconds", pool="db") < 60, "oldest wait")
    check(0.05 <= m.get("pool_oldest_transaction_seconds", pool="db") < 60, "oldest transaction")
    equal([m.get(x) for x in ("locks", "lock_holders", "lock_waiting_sessions")], [1, 1, 1], "locks")
    check(m.get("lock_oldest_hold_seconds") >= m.get("lock_oldest_wait_seconds") > 0, "times of locks")
    equal(m.get("errors_total", error="no_pool", sqlstate="3D000"), 1, "errors")
    equal(sum(v for _, v in m.all("sessions")), len(d.show("CLIENTS")), "sessions")
    b.sql("EXIT ALL")
    c.until_ready()
    other.until_ready()
    other.sql("EXIT ALL")
    a.sql("UNLISTEN x")
    d.quiet()
    m = scrape(at)
    for row in d.show("STATS"):
        for name, column in (("transactions", "xact_count"), ("queries", "query_count"), ("received_bytes", "received"),
                             ("sent_bytes", "sent"), ("waits", "wait_count"), ("servers_opened", "open_count"),
                             ("cleanups", "cleanup_count"), ("servers_broken", "broken_count")):
            equal(m.get("pool_%s_total" % name, pool=row["database"]), int(row["total_" + column]),
                  "%s of %s" % (name, row["database"]))
    check(abs(m.get("pool_statement_seconds_sum", pool="db") - int(d.show("STATS")[0]["total_query_time"]) / 1e6) < 1e-6,
          "the sum of times is that of SHOW STATS")
    check(check_histogram(m, "pool_statement_seconds", pool="db") >= 8, "statements")
    equal(check_histogram(m, "pool_wait_seconds", pool="db"), m.get("pool_waits_total", pool="db"), "waits")
    equal(check_histogram(m, "pool_login_seconds", pool="db"), 2, "logins")
    check(check_histogram(m, "pool_hold_seconds", pool="db") >= 7, "transactions")
    wait_until(lambda: check_histogram(scrape(at), "loop_lag_seconds") > 0, 5, "loop lag")
    for row in d.show("SCOPE_STATS"):
        labels = {"pool": row["pool"] or "", "scope": row["scope"]}
        equal(m.get("scopes_total", outcome="success", **labels), int(row["success"]), "scopes %r" % labels)
        for phase in ("wait", "enter", "hold", "cleanup"):
            if int(row[phase + "_count"]):
                equal(check_histogram(m, "scope_%s_seconds" % phase, **labels), int(row[phase + "_count"]), phase)
    equal({row["scope"] for row in d.show("SCOPE_STATS")}, {"job", "lock"}, "scopes")
    wait_until(lambda: scrape(at).get("resident_memory_bytes") > 1 << 20, 1, "memory")
    # One more is that of the scrape.
    wait_until(lambda: scrape(at).get("open_descriptors") == d.descriptors() + 1, 5, "descriptors")


@test
def methods(t):
    """GET and HEAD of /metrics; 404 for another path, 405 for another method; both formats"""
    d, at = listening(t)
    status, headers, body = get(at, method="HEAD")
    equal((status, body), (200, ""), "HEAD")
    check(int(headers["Content-Length"]) > 1000, "HEAD: %r" % headers)
    for path in ("/metric", "/metrics/", "/../etc/passwd", "/%6detrics", "/metrics//"):
        equal(get(at, path)[0], 404, path)
    equal(get(at, "/metrics?x=1")[0], 200, "with a query")
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        status, headers, body = get(at, method=method)
        equal((status, headers["Allow"], body), (405, "GET, HEAD", "405 Method Not Allowed\n"), method)
    status, headers, body = get(at, headers="Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n")
    equal((status, headers["Content-Type"]), (200, "application/openmetrics-text; version=1.0.0; charset=utf-8"), "OpenMetrics")
    check(body.endswith("# EOF\n"), "its end")
    check("# UNIT pgwith_pool_wait_seconds seconds\n" in body and "# TYPE pgwith_pool_waits counter\n" in body, "its head")
    check(sorted(Metrics(body).samples) == sorted(scrape(at).samples), "the samples have the same names in both")


@test
def hosts(t):
    """with TCP, only localhost and loopback addresses are a Host: no other web site's page can have a browser read it"""
    d, at = listening(t)
    port = int(at.rpartition(":")[2])
    for host in ("localhost", "LocalHost:80", "127.0.0.1:%d" % port, "127.1.2.3", "[::1]:%d" % port, "[::1]"):
        equal(get(at, host=host)[0], 200, host)
    for host in ("evil.example", "evil.example:%d" % port, "localhost.evil.example", "127.0.0.1.evil.example", "1.2.3.4", "[::2]", "::1:1"):
        status, headers, body = get(at, host=host)
        equal((status, "pgwith" in body), (421, False), host)
    for path in ("http://evil.example/metrics", "//evil.example/metrics"):
        equal(get(at, path)[0], 421, path)
    check(answer_to(at, b"GET /metrics HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.0 200 "), "HTTP/1.0 knows no Host")


@test
def well_formed(t):
    """promtool check metrics has nothing to say; the OpenMetrics text is understood by Python's parser"""
    promtool = tool("promtool")
    d, at = listening(t, size=2)
    c = t.client(d)
    for name in ('plain', 'quo"te', "back\\slash", "\\x41", "new\nline", "ünïcode"):
        c.sql('ENTER "%s"' % name.replace('"', '""'))
        c.sql("EXIT")
    c.sql("ENTER LOCK 'x' AS \"(others)\"; EXIT")
    text = get(at)[2]
    child_status, out, err = child.run([promtool, "check", "metrics"], stdin=text)
    equal((child_status, out, err), (0, "", ""), "promtool check metrics")
    text = get(at, headers="Accept: application/openmetrics-text\r\n")[2]
    try:
        sys.path.append("/usr/lib/python3/dist-packages")
        from prometheus_client.openmetrics.parser import text_string_to_metric_families
    except ImportError:
        raise Skip("python3-prometheus-client is missing") from None
    families = {f.name: f for f in text_string_to_metric_families(text)}
    equal({s.labels["scope"] for s in families["pgwith_scopes"].samples},
          {"plain", 'quo"te', "back\\slash", "\\x5cx41", "new\\x0aline", "ünïcode", "(others)"}, "names of scopes")
    equal(families["pgwith_pool_wait_seconds"].unit, "seconds", "the unit")


@test
def hanging(t):
    """a thousand clients that hang take no more than 16 descriptors, keep no scrape out, and are closed after 10 seconds"""
    d, at = listening(t, size=2)
    c = t.client(d)
    c.sql("SELECT 1")
    scrape(at)
    before = int(scrape(at).get("open_descriptors")) - 1
    hung = []
    t.defer(lambda: [s.close() for s in hung])
    for i in range(1000):
        s = dial(at)
        # Nothing, the beginning of a request, or a request whose answer is not read.
        if i % 3 == 1:
            s.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\n")
        elif i % 3 == 2:
            s.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        hung.append(s)
        if i % 100 == 99:
            equal(c.value("SELECT 1"), "1", "a client of PostgreSQL")
            scrape(at)
    check(d.descriptors() <= before + CLIENTS, "%d descriptors, %d before" % (d.descriptors(), before))
    note("%d descriptors, %d before" % (d.descriptors(), before))
    began = time.monotonic()
    wait_until(lambda: d.descriptors() == before, 12, "all are closed")
    check(time.monotonic() - began < 12 * slow_factor(), "in time")


@test
def slow(t):
    """a client that sends a byte now and then is closed after 10 seconds, one that sends nothing after 5"""
    d, at = listening(t)
    silent, drips = dial(at), dial(at)
    t.defer(silent.close)
    t.defer(drips.close)
    began = time.monotonic()
    drips.setblocking(False)
    ended = {}

    def step():
        for name, s in (("silent", silent), ("drips", drips)):
            if name in ended:
                continue
            try:
                if name == "drips":
                    s.send(b"G")
                s.settimeout(0.05)
                if s.recv(1000) == b"":
                    ended[name] = time.monotonic() - began
            except TimeoutError:
                pass
            except OSError:
                ended[name] = time.monotonic() - began
        return len(ended) == 2
    wait_until(step, 20, "both are closed")
    note("%r" % ended)
    check(4.5 < ended["silent"] < 7 * slow_factor(), "the silent one: %r" % ended)
    check(9.5 < ended["drips"] < 12 * slow_factor(), "the slow one: %r" % ended)


@test
def garbage(t):
    """garbage is answered by an error or a closed connection, and the daemon goes on"""
    d, at = listening(t)
    for request in (b"\0" * 100, b"garbage\r\n\r\n", b"GET\r\n\r\n", b"GET /metrics\r\n\r\n", b"GET /metrics HTTP/9.9\r\n\r\n",
                    b"GET /metrics HTTP/1.1\r\nno colon\r\n\r\n", b"GET " + b"/" * 100000 + b" HTTP/1.1\r\n\r\n",
                    b"GET /metrics HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % i for i in range(5000)) + b"\r\n",
                    b"POST /metrics HTTP/1.1\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 100000,
                    b"POST /metrics HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n",
                    b"POST /metrics HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"GET http:// HTTP/1.1\r\n\r\n",
                    b"CONNECT x:1 HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"r" * 500,
                    wire.query("SELECT 1"), b"GET /metrics HTTP/1.1\r\nExpect: 100-continue\r\n\r\n"):
        try:
            data = answer_to(at, request, ends=True)
        except OSError:
            data = b""
        check(data == b"" or data.startswith(b"HTTP/1."), "%r: %r" % (request[:40], data[:60]))
        check(not data.startswith(b"HTTP/1.1 200") or request.endswith(b"-continue\r\n\r\n"), "%r" % data[:60])
    for _ in range(300):
        size = t.random.choice((1, 10, 100, 5000))
        data = t.random.randbytes(size) + b"\r\n\r\n"
        if t.random.random() < 0.7:
            data = b"GET /metrics HTTP/1.1\r\n" + data
        with dial(at) as s:
            try:
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
                s.recv(1000)
            except OSError:
                pass
    scrape(at)
    equal(t.client(d).value("SELECT 1"), "1", "a client of PostgreSQL")


@test
def unix(t):
    """a Unix socket has its mode before anybody can connect; a dead one is replaced, a living one and a file are not"""
    path = t.path("m")
    d, at = listening(t, path, options={"metrics_socket_mode": "0620"})
    equal(stat.S_IMODE(os.stat(path).st_mode), 0o620, "the mode")
    equal(scrape(at).get("pool_size", pool="db"), 1, "a scrape")
    d.reload({"metrics_socket_mode": "0600"})
    equal(stat.S_IMODE(os.stat(path).st_mode), 0o600, "another mode")
    scrape(at)
    # Another daemon cannot have the same.
    other = t.daemon(options={"metrics_listen": path})
    wait_until(lambda: other.log_has("metrics: does not listen.*cannot listen at .*Address already in use"), 5, "the other's log")
    scrape(at)
    d.process.kill()
    d.process.wait()
    d.expect_status = -signal.SIGKILL
    wait_until(lambda: other.log_has("metrics: listens at="), 5, "it tries again, and replaces the dead one")
    scrape(at)
    other.stop()
    check(not os.path.exists(path), "the file is removed at the end")
    with open(path, "w") as f:
        f.write("not a socket")
    third = t.daemon(options={"metrics_listen": path})
    wait_until(lambda: third.log_has("metrics: does not listen.*File exists"), 5, "a file is left alone")
    with open(path) as f:
        equal(f.read(), "not a socket", "the file")


@test
def refused(t):
    """addresses that others could reach, and what is no address, are refused with what was expected"""
    d = t.daemon()
    for text, words in (("0.0.0.0:9632", "other machines could reach this address"),
                        ("192.168.1.1:9632", "other machines could reach"), ("[::]:9632", "other machines could reach"),
                        ("[fe80::1]:9632", "other machines"), ("9632", "expected 127.0.0.1:PORT"),
                        ("127.0.0.1", "expected 127.0.0.1:PORT"), ("127.0.0.1:0", "expected"), ("127.0.0.1:65536", "expected"),
                        ("127.0.0.1:x", "expected"), ("example.org:9632", "expected"), ("metrics.sock", "expected"),
                        ("/" + "x" * 108, "too long"), ("::1:9632", "expected")):
        e = error_of(d.reload, {"metrics_listen": text})
        check(words in e.detail and "metrics_listen" in e.detail, "%s: %s" % (text, e.detail))
        status, out, err = child.run([program("pgwithd"), "-t", "-c", d.conf], env=SANITIZE_ENV)
        check(status == 2 and words in err, "pgwithd -t: %d %s" % (status, err))


@test
def reloads(t):
    """a reload turns it on, moves it and turns it off; SET too; a port in use is told, and tried again"""
    d = t.daemon()
    first, second = ("127.0.0.1:%d" % free_port() for _ in range(2))
    d.reload({"metrics_listen": first})
    scrape(first)
    open_ = dial(first)
    t.defer(open_.close)
    d.reload({"metrics_listen": second})
    scrape(second)
    error_of_dial(first)
    equal(open_.recv(10), b"", "its connections are closed")
    d.reload({"metrics_listen": second, "log_level": "info"})
    scrape(second)
    d.console("SET metrics_listen = ''")
    error_of_dial(second)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        at = "127.0.0.1:%d" % taken.getsockname()[1]
        r = d.reload({"metrics_listen": at})
        check(any("cannot listen at %s: Address already in use" % at in n["M"] for n in r.notices), "RELOAD warns: %r" % r.notices)
    wait_until(lambda: d.log_has("metrics: listens at=" + at), 5, "it is tried again")
    scrape(at)
    ipv6 = "[::1]:%d" % free_port()
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
    except OSError:
        return
    d.reload({"metrics_listen": ipv6})
    scrape(ipv6)


def error_of_dial(at):
    try:
        dial(at).close()
    except ConnectionRefusedError:
        return
    check(False, "nobody listens at " + at)


@test
def totals_stay(t):
    """counters do not fall when a pool is removed, nor when it comes back, nor at a restart that hands over"""
    at = "127.0.0.1:%d" % free_port()
    pools = {"db": {"conninfo": t.conninfo()}, "other": {"conninfo": t.conninfo()}}
    d = t.supervised(options={"metrics_listen": at}, pools=pools)

    def numbers(name):
        m = scrape(at)
        return [m.get("pool_transactions_total", pool=name), m.get("pool_servers_closed_total", pool=name),
                m.get("pool_statement_seconds_count", pool=name), m.get("pool_statement_seconds_sum", pool=name)]
    with d.connect("other") as c:
        for _ in range(5):
            c.sql("SELECT 1")
    with d.connect("other") as c:
        c.ask("SELECT 1/0")

    def errors():
        return scrape(at).get("pool_server_errors_total", pool="other", sqlstate="22012")
    before = numbers("other")
    equal(errors(), 1, "errors of PostgreSQL")
    equal(before[:3], [6, 0, 6], "of the pool")
    total = d.show("TOTALS")[0]["value"]
    d.reload(pools={"db": pools["db"]})
    wait_until(lambda: all(r["database"] != "other" for r in d.show("POOLS")), 5, "it is gone")
    equal(numbers("other")[:3], [6, 1, 6], "of the pool that is gone")
    equal(scrape(at).all("pool_size"), [({"pool": "db"}, 20)], "it has no size any more")
    equal(d.show("TOTALS")[0]["value"], total, "SHOW TOTALS")
    d.restart()
    wait_until(lambda: d.log_has("metrics: listens"), 5, "it listens again")
    equal(numbers("other")[:3], [6, 1, 6], "behind a restart")
    d.reload(pools=pools)
    equal(numbers("other")[:3], [6, 1, 6], "the pool is there again")
    with d.connect("other") as c:
        c.sql("SELECT 1")
    equal(numbers("other")[:3], [7, 1, 7], "and goes on")
    d.restart()
    equal(numbers("other")[:3], [7, 1, 7], "behind another restart")
    equal(scrape(at).get("pool_login_seconds_count", pool="other"), 2, "logins")
    equal(errors(), 1, "errors of PostgreSQL stay, too")


@test
def server_errors(t):
    """errors of PostgreSQL by SQLSTATE: simple, extended, in a transaction; no more than 64 of them by themselves"""
    d, at = listening(t, size=2)
    c = t.client(d)
    equal(scrape(at).all("pool_server_errors_total"), [({"pool": "db", "sqlstate": "other"}, 0)], "none")
    c.ask("SELECT 1/0")
    c.ask("BEGIN")
    c.ask("SELECT nothing")
    c.ask("SELECT 1")
    c.ask("ROLLBACK")
    for text in ("SELECT 1/0", "SELEC"):
        c.send(wire.extended(text) + wire.extended("SELECT 1") + wire.sync())
        c.until_ready()
    dies = d.connect()
    dies.send(wire.query("SELECT pg_sleep(100)"))
    wait_until(lambda: d.leased(), 5, "it runs")
    dies.drop()
    d.quiet()
    c.ask("ENTER a; SELECT 1/0")
    c.ask("EXIT ROLLBACK")
    m = scrape(at)
    equal({of["sqlstate"]: v for of, v in m.all("pool_server_errors_total")},
          {"22012": 3, "42703": 1, "25P02": 1, "42601": 1, "other": 0}, "errors")
    for i in range(70):
        c.ask("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = 'ZZ%03d'; END $$" % i)
    m = scrape(at)
    equal(len(m.all("pool_server_errors_total")), 65, "series")
    equal(m.get("pool_server_errors_total", pool="db", sqlstate="other"), 10, "the others")


@test
def roles(t):
    """role = client: one series for the pool, and gauges for each role"""
    for role in ("alice", "bob"):
        t.cluster.role(role)
    d, at = listening(t, size=2, role="client", conninfo=t.conninfo(user=None))
    a, b = d.connect("db", "alice"), d.connect("db", "bob")
    t.defer(a.close)
    t.defer(b.close)
    for c in (a, b):
        c.sql("BEGIN")
        c.sql("SELECT 1")
    m = scrape(at)
    equal(m.get("pool_servers", pool="db", state="leased"), 2, "leased")
    equal(sorted((x["role"], v) for x, v in m.all("role_leased_servers")), [("alice", 1), ("bob", 1)], "of each role")
    # Each role has a queue: the longest of them is what max_waiting bounds.
    queued = [d.connect("db", role) for role in ("alice", "alice", "bob")]
    for c in queued:
        t.defer(c.close)
        c.send(wire.query("SELECT 1"))
    wait_until(lambda: sum(int(x["cl_waiting"]) for x in d.show("POOLS")) == 3, 5, "three wait")
    m = scrape(at)
    equal((m.get("pool_waiting_sessions", pool="db"), m.get("pool_longest_queue", pool="db")), (3, 2), "the queues")
    a.sql("COMMIT")
    b.sql("COMMIT")
    for c in queued:
        c.until_ready()
        c.close()
    d.quiet()
    before = scrape(at).get("pool_transactions_total", pool="db")
    equal(before, 5, "transactions")
    a.close()
    b.close()
    d.console("RECONNECT")
    wait_until(lambda: len(d.show("POOLS")) == 1, 10, "nobody is in")
    m = scrape(at)
    equal((m.get("pool_transactions_total", pool="db"), m.get("pool_statement_seconds_count", pool="db")), (5, 9), "the sums stay")
    equal(m.all("role_leased_servers"), [], "no role is in")


@test
def many_pools(t):
    """a text that is made in parts has every pool once; a reload and clients that go in between do no harm"""
    pools = {"p%03d" % i: {"conninfo": t.conninfo(), "size": 1} for i in range(150)}
    d, at = listening(t, options={"log_level": "info"}, pools=pools)
    m = scrape(at)
    for name in ("pool_size", "pool_transactions_total", "pool_login_seconds_count"):
        equal(sorted(of["pool"] for of, _ in m.all(name)), sorted(pools), name)
    with open(d.conf) as f:
        text = f.read()
    for i in range(20):
        s = dial(at)
        s.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        if i % 2:
            s.close()
        part = text if i % 4 == 3 else text[:text.index("[pool p%03d]" % (10 + i))]
        with open(d.conf, "w") as f:
            f.write(part)
        d.console("RELOAD")
        s.close()
    with open(d.conf, "w") as f:
        f.write(text)
    d.console("RELOAD")
    m = scrape(at)
    equal(sorted(of["pool"] for of, _ in m.all("pool_size")), sorted(pools), "in the end")


@test
def many_scopes(t):
    """names of scopes are bounded; what comes behind them is added up"""
    d, at = listening(t)
    c = t.client(d)
    for i in range(300):
        c.sql("ENTER LOCK 'x' AS l%d; EXIT" % i)
    m = scrape(at)
    equal(len(m.all("scopes_total")), 257 * 4, "series")
    equal(m.get("scopes_total", pool="", scope="(others)", outcome="success"), 300 - 256, "the others")
    note("%d bytes" % len(m.text))


@test
def secrets(t):
    """no statement, no password, no application name in it"""
    d, at = listening(t, pools={"db": {"conninfo": t.conninfo(application_name="hidden1"), "password": "hidden2"}})
    c = t.client(d, application_name="hidden3")
    c.sql("SELECT 'hidden4'")
    c.ask("SELECT hidden5")
    c.sql("SET search_path = hidden6")
    c.sql("BEGIN")
    c.sql("SELECT 1")
    for text in (get(at)[2], pgwith(d, "metrics")[1]):
        check("hidden" not in text and "pgwith_pool_size" in text, "what the text shows")


@test
def command(t):
    """pgwith metrics prints the same; -o FILE writes it whole, for a collector of another user"""
    d, at = listening(t)
    t.client(d).sql("SELECT 1")
    status, out, err = pgwith(d, "metrics")
    equal((status, err), (0, ""), "pgwith metrics")
    names = sorted(Metrics(out).samples)
    check(names == sorted(scrape(at).samples), "the samples")
    path = t.path("pgwith.prom")
    os.umask(os.umask(0o022))
    for words in (("-o", path), ("--output", path)):
        equal(pgwith(d, "metrics", *words), (0, "", ""), "pgwith metrics %s" % words[0])
        with open(path) as f:
            check(f.read().endswith("\n"), "the file is whole")
        equal(stat.S_IMODE(os.stat(path).st_mode), 0o644, "the mode of the file")
        equal([x for x in os.listdir(t.directory) if "prom" in x], ["pgwith.prom"], "nothing is left beside it")
    link, pipe = t.path("link"), t.path("pipe")
    os.symlink(path, link)
    equal(pgwith(d, "metrics", "-o", link), (0, "", ""), "a symbolic link")
    check(os.path.islink(link), "it is still one")
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE, text=True) as reader:
        equal(pgwith(d, "metrics", "-o", pipe), (0, "", ""), "a pipe")
        check(reader.stdout.read().endswith("\n") and stat.S_ISFIFO(os.lstat(pipe).st_mode), "it is read, and stays")
    status, out, err = pgwith(d, "metrics", "-o", "/dev/stdout")
    check(status == 0 and "pgwith_pool_size" in out and os.path.islink("/dev/stdout"), "/dev/stdout: %d %s" % (status, err))
    status, out, err = pgwith(d, "metrics", "-o", t.directory)
    check(status == 1 and "Is a directory" in err, "%d %s" % (status, err))
    status, out, err = pgwith(d, "metrics", "-o", t.path("no/such/dir"))
    check(status == 1 and "No such file or directory" in err, "%d %s" % (status, err))
    lines = [x["line"] for x in json.loads(pgwith(d, "metrics", "--json")[1])]
    check(sorted(Metrics("\n".join(lines)).samples) == names, "--json")
    equal(pgwith(d, "metrics", "--json", "-o", path), (0, "", ""), "--json to a file")
    with open(path) as f:
        equal(len(json.load(f)), len(lines), "its rows")
    pgwith(d, "metrics", "-o", path)
    equal(pgwith(d, "-p", "1", "metrics", "-o", path)[0], 3, "no daemon")
    if os.geteuid() == 0:
        mine = shutil.copy(program("pgwith"), t.path("pgwith"))  # the build may be where a stranger cannot go
        status, out, err = child.run([mine, "-p", str(d.port), "-U", "stranger", "metrics"], user="65534",
                                     env=dict(SANITIZE_ENV, PGWITH_SOCKET=d.sockets))
        equal((status, out), (4, ""), "who may not look: " + err)
    with open(path) as f:
        check("pgwith_pool_size" in f.read(), "the file of before is still there")


@test
def when_asked(t):
    """without metrics_listen, the times of statements are counted from the first SHOW METRICS on"""
    d = t.daemon()
    c = t.client(d)
    for _ in range(4):
        c.sql("SELECT 1")
    m = Metrics(pgwith(d, "metrics")[1])
    equal((m.get("pool_queries_total", pool="db"), m.get("pool_statement_seconds_count", pool="db")), (4, 0), "before")
    equal(m.get("pool_login_seconds_count", pool="db"), 1, "logins, which are rare, are always counted")
    for _ in range(3):
        c.sql("SELECT 1")
    m = Metrics(pgwith(d, "metrics")[1])
    equal([m.get("pool_%s_seconds_count" % x, pool="db") for x in ("statement", "hold")], [3, 3], "from then on")
    at = "127.0.0.1:%d" % free_port()
    for how in ({}, {"metrics_listen": at}, {"metrics_listen": ""}):
        d.reload(how)
        c.sql("SELECT 1")
    m = Metrics(pgwith(d, "metrics")[1])
    equal(m.get("pool_statement_seconds_count", pool="db"), 6, "behind reloads, with a listener, and without one again")


@test
def under_load(t):
    """a scrape ten times a second while clients work, and the pool is reloaded"""
    d, at = listening(t, size=2)
    workers = [d.connect() for _ in range(4)]
    for w in workers:
        t.defer(w.close)
    last = {}
    for i in range(30):
        for w in workers:
            w.send(wire.query("SELECT %d" % i))
        m = scrape(at)
        for w in workers:
            w.until_ready()
        for key, value in m.samples.items():
            if key[0].endswith(("_total", "_count", "_bucket", "_sum")):
                check(value >= last.get(key, 0), "%r falls from %r to %r" % (key, last.get(key), value))
                last[key] = value
        if i % 10 == 5:
            d.reload()
    equal(scrape(at).get("pool_queries_total", pool="db"), 120, "queries")


@test
def many_descriptors(t):
    """without descriptors, accepting pauses and goes on; the daemon does not spin"""
    d, at = listening(t)
    open_ = {int(fd) for fd in os.listdir("/proc/%d/fd" % d.pid)}
    used = min(set(range(len(open_) + 1)) - open_)  # the next one's number
    before = resource.prlimit(d.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(d.pid, resource.RLIMIT_NOFILE, (used, before[1]))
    try:
        with dial(at) as s:
            wait_until(lambda: d.log_has("metrics: cannot accept"), 5, "the log")
            cpu = d.cpu_s()
            began = time.monotonic()
            wait_until(lambda: time.monotonic() - began > 1, 5, "a second has passed")
            check(d.cpu_s() - cpu < 0.5, "%g s of the processor" % (d.cpu_s() - cpu))
            resource.prlimit(d.pid, resource.RLIMIT_NOFILE, before)
            s.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            check(s.recv(15) == b"HTTP/1.0 200 OK", "it is served then")
    finally:
        resource.prlimit(d.pid, resource.RLIMIT_NOFILE, before)


def web(at, path):
    """The body of another server's page."""
    with urllib.request.urlopen("http://%s%s" % (at, path), timeout=20 * slow_factor()) as answer:
        return answer.read().decode()


def is_up(at, path):
    try:
        web(at, path)
        return True
    except OSError:  # an answer that is an error, too
        return False


@test
def exporter(t):
    """Debian's prometheus-pgbouncer-exporter: no error, no series twice, the numbers of SHOW"""
    path = tool("prometheus-pgbouncer-exporter")
    t.cluster.role("alice")
    d = t.daemon(pools={"db": {"conninfo": t.conninfo(), "size": 3},
                        "each": {"conninfo": t.conninfo(user=None, dbname="postgres"), "role": "client", "size": 2}})
    c = t.client(d)
    c.sql("BEGIN")
    c.sql("SELECT 1")
    others = [d.connect("each", role) for role in ("alice", "postgres")]
    for other in others:
        t.defer(other.close)
        other.sql("SELECT 1")
    at = "127.0.0.1:%d" % free_port()
    log = t.path("exporter.log")
    process = child.start(["/usr/bin/python3", path, "--host", "127.0.0.1", "--port", at.split(":")[1], "--pgbouncer-host", d.sockets,
                           "--pgbouncer-port", str(d.port), "--pgbouncer-user", "postgres"], log)
    t.defer(process.wait)
    t.defer(process.kill)
    wait_until(lambda: is_up(at, "/") or process.poll() is not None, 20, "it listens")
    for _ in range(3):
        text = web(at, "/metrics")
        with open(log) as f:
            check("Traceback" not in f.read(), "the log of the exporter, " + log)
        samples = re.findall(r"^(pgbouncer_\S+) (\S+)$", text, re.M)
        equal(len(samples), len(dict(samples)), "each series once: %r" % samples)
        got = {k: float(v) for k, v in samples}
        stats = {r["database"]: r for r in d.show("STATS")}
        for database, number in (("db", 2), ("each", 2)):
            equal(got['pgbouncer_requests_total{database="%s"}' % database], number, "requests of " + database)
            equal(int(stats[database]["total_query_count"]), number, "SHOW STATS")
        equal(got['pgbouncer_active_clients{database="db",user="postgres"}'], 1, "active clients")
        equal(got['pgbouncer_pool_size{database="%s"}' % t.database], 3, "size")
        equal((got["pgbouncer_databases"], got["pgbouncer_used_servers"]), (2, 3), "lists")


@test
def prometheus(t):
    """a Prometheus scrapes it every second, in OpenMetrics, without a complaint; queries and alert rules are evaluated"""
    path = tool("prometheus")
    d, at = listening(t, size=1)
    web_at = "127.0.0.1:%d" % free_port()
    log, conf = t.path("prometheus.log"), t.path("prometheus.yml")
    with open(conf, "w") as f:
        f.write("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: ['%s']\n"
                "scrape_configs:\n  - job_name: pgwith\n    static_configs: [{targets: ['%s']}]\n"
                % (os.path.join(CONF, "pgwith-alerts.yml"), at))
    process = child.start([path, "--config.file=" + conf, "--storage.tsdb.path=" + t.path("tsdb"),
                           "--web.listen-address=" + web_at, "--log.level=debug"], log)
    t.defer(process.wait)
    t.defer(process.kill)
    wait_until(lambda: is_up(web_at, "/-/ready") or process.poll() is not None, 30, "Prometheus is ready")

    def ask(query):
        found = json.loads(web(web_at, "/api/v1/query?query=" + urllib.parse.quote(query)))["data"]["result"]
        return float(found[0]["value"][1]) if found else None
    c, waits = t.client(d), t.client(d)
    c.sql("BEGIN")
    c.sql("SELECT 1")
    waits.send(wire.query("SELECT 1"))
    wait_until(lambda: ask('up{job="pgwith"}') == 1, 20, "it is up")
    wait_until(lambda: ask('pgwith_pool_waiting_sessions{pool="db"}') == 1, 10, "one waits")
    wait_until(lambda: (ask("pgwith_pool_oldest_wait_seconds") or 0) > 5, 20, "for five seconds")
    wait_until(lambda: ask('ALERTS{alertname="PgwithOldestWait"}') == 1, 20, "the alert is pending")
    c.sql("COMMIT")
    waits.until_ready()
    wait_until(lambda: (ask("histogram_quantile(0.99, pgwith_pool_wait_seconds_bucket)") or 0) > 1, 10, "a quantile")
    wait_until(lambda: ask("pgwith_build_info") == 1, 5, "build info")
    with open(log) as f:
        lines = [line for line in f.read().splitlines() if re.search("level=(warn|error)|[Aa]ppend failed|[Dd]uplicate", line)]
    equal(lines, [], "what Prometheus complains of")


@test
def rules(t):
    """promtool finds no fault with the alert rules, which name metrics that exist; the dashboard is JSON, and names such too"""
    d, at = listening(t, size=2)
    c = t.client(d)
    c.sql("ENTER a; EXIT a")
    c.sql("ENTER LOCK 'a'; EXIT")
    there = {name for name, _ in scrape(at).samples} | {"pgwith_role_leased_servers", "pgwith_role_waiting_sessions"}
    rules_path, dashboard = os.path.join(CONF, "pgwith-alerts.yml"), os.path.join(CONF, "pgwith-dashboard.json")
    with open(dashboard) as f:
        json.load(f)
    for path in (rules_path, dashboard):
        with open(path) as f:
            named = set(re.findall(r"\bpgwith_[a-z_]+", f.read()))
        check(len(named) > 5, "%s names metrics" % path)
        equal(sorted(named - there), [], "names in %s that do not exist" % path)
    status, out, err = child.run([tool("promtool"), "check", "rules", rules_path])
    equal(status, 0, "promtool check rules: " + out + err)
    status, out, err = child.run([tool("promtool"), "test", "rules", os.path.join(SOURCE, "tests/integration/alerts_test.yml")])
    equal(status, 0, "promtool test rules: " + out + err)


if __name__ == "__main__":
    main()
