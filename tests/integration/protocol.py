"""What drivers send at login and afterwards passes through as if the daemon were PostgreSQL."""

import os
import struct

from pgwtest import (Closed, ServerError, Skip, check, equal, main, seconds, slow_factor, test, wait_until,
                     wire)
from pgwtest.looks import error_of


# ---- login -----------------------------------------------------------------------------------------
@test
def login_parameters(t):
    """a login gives the ParameterStatus messages that PostgreSQL gives, and a key"""
    d = t.daemon()
    direct, c = t.direct(), t.client(d)
    c.sql("SELECT 1")
    for name in ("server_version", "server_encoding", "client_encoding", "DateStyle", "TimeZone",
                 "integer_datetimes", "standard_conforming_strings", "IntervalStyle"):
        equal(c.parameters.get(name), direct.parameters[name], name)
    check(c.key, "a key")
    # The second client gets them too, from what the pool knows.
    again = t.client(d)
    equal(again.parameters.get("server_version"), direct.parameters["server_version"], "version")


@test
def no_encryption(t):
    """SSLRequest and GSSENCRequest are answered N, both in either order, then the login goes on"""
    d = t.daemon()
    for codes in ((wire.SSL_REQUEST,), (wire.GSSENC_REQUEST,),
                  (wire.SSL_REQUEST, wire.GSSENC_REQUEST), (wire.GSSENC_REQUEST, wire.SSL_REQUEST)):
        c = d.connect(login=False)
        for code in codes:
            c.send(struct.pack("!ii", 8, code))
            equal(c.sock.recv(10), b"N", "the answer")
        c.login()
        equal(c.value("SELECT 1"), "1", "the session")
        c.close()


@test
def protocol_versions(t):
    """a newer minor version and unknown protocol options are negotiated down; another major is refused"""
    d = t.daemon()
    c = d.connect(login=False)
    body = struct.pack("!i", (3 << 16) + 9999)
    for k, v in dict(c.params, **{"_pq_.something": "x"}).items():
        body += wire.cstr(k) + wire.cstr(v)
    body += b"\0"
    c.send(struct.pack("!i", len(body) + 4) + body)
    kind, answer = c.read()
    equal(kind, "v", "NegotiateProtocolVersion comes first")
    equal(answer, struct.pack("!HHi", 3, 0, 1) + b"_pq_.something\0", "what it says")
    equal(c.until_ready().errors, [], "errors")
    equal(c.value("SELECT 1"), "1", "the session")
    c.close()
    for major in (2, 4):
        c = d.connect(login=False)
        c.send(struct.pack("!ii", 8, major << 16))
        e = c.until_closed().errors
        equal([x.sqlstate for x in e], ["0A000"], "protocol %d" % major)
        c.drop()


@test
def login_errors(t):
    """logins that cannot be: no pool, no user, replication; each with its SQLSTATE, then closed"""
    d = t.daemon()
    equal(error_of(d.connect, "nowhere").sqlstate, "3D000", "no such pool")
    equal(error_of(d.connect, "db", replication="true").sqlstate, "0A000", "replication")
    c = d.connect(login=False)
    c.send(wire.startup_packet({"database": "db"}))
    equal([e.sqlstate for e in c.until_closed().errors], ["28000"], "no user")
    c.drop()
    # libpq's default: the database is the user's name.
    c = d.connect(login=False)
    c.send(wire.startup_packet({"user": "db"}))
    equal(c.until_ready().errors, [], "database left out")
    c.close()


@test
def allow(t):
    """allow: who may come in as whom"""
    d = t.daemon(options={"allow": "app,12345:other", "users": "*"})
    d.connect(user="app").close()
    d.connect(user="postgres").close() if os.geteuid() == 0 else None
    if os.geteuid() != 0:
        return

    def as_user(uid, role):
        def script(side):
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            try:
                d.connect(user=role).close()
                side.say("in")
            except ServerError as e:
                side.say(e.sqlstate)
        os.chmod(d.directory, 0o755)
        return t.process(script).heard()

    equal(as_user(12345, "app"), "in", "everyone as app")
    equal(as_user(12345, "other"), "in", "that uid as other")
    equal(as_user(12346, "other"), "28000", "another uid as other")
    equal(as_user(12345, "postgres"), "28000", "as the superuser")


@test
def malformed_login(t):
    """malformed startup packets and bytes of any kind end that connection only"""
    d = t.daemon()
    for data in (b"\0\0\0\3", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\x08\0\3\0\0",
                 b"\0\0\0\x10\0\3\0\0userXdat", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01" * 10,
                 struct.pack("!ii", 20000, wire.PROTOCOL_3) + b"x" * 19992, bytes(range(256)) * 40):
        c = d.connect(login=False)
        try:
            c.send(data)
        except OSError:
            pass
        c.sock.shutdown(1)
        check(c.hung_up(5), "it is cut off after %r" % data[:20])
        c.drop()
    for n in range(1, 40):
        c = d.connect(login=False)
        c.send(wire.startup_packet(c.params)[:n])
        c.drop()
    with d.connect() as c:
        equal(c.value("SELECT 1"), "1", "the next client")


@test
def login_timeout(t):
    """a client that sends no startup packet, or half of one, is turned away after login_timeout"""
    d = t.daemon(options={"login_timeout": "300ms"})
    for data in (b"", b"\0\0", struct.pack("!ii", 8, wire.SSL_REQUEST)):
        c = d.connect(login=False)
        if data:
            c.send(data)
        took, hung_up = seconds(c.hung_up, 10)
        check(hung_up and 0.1 < took < 3 * slow_factor(), "after %.3f s" % took)
        c.drop()


@test
def max_clients(t):
    """max_clients: one more is refused with 53300, and let in when there is room"""
    d = t.daemon(options={"max_clients": 5})
    clients = []
    try:
        while len(clients) < 10:
            clients.append(d.connect())
    except ServerError as e:
        equal(e.sqlstate, "53300", "the error")
    check(len(clients) in (4, 5), "clients let in: %d" % len(clients))  # the console is one of them
    for c in clients:
        c.close()
    wait_until(lambda: len(d.show("CLIENTS")) <= 1, 5, "they are gone")
    d.connect().close()


@test
def silent_connections(t):
    """connections that say nothing keep nobody out: clients, the console and CancelRequests find room, and the log says who it was"""
    d = t.daemon(size=2, options={"max_clients": 20, "login_timeout": "60s"})
    runs = t.client(d)
    runs.sql("SELECT 1")
    d.console_close()
    silent = [d.connect(login=False) for _ in range(100)]
    for c in silent[::2]:
        try:
            c.send(b"\0\0")
        except OSError:
            pass
    for _ in range(5):
        with d.connect() as c:
            equal(c.value("SELECT 1"), "1", "a client")
        silent += [d.connect(login=False) for _ in range(30)]
    check(len(d.show("CLIENTS")) >= 1, "the console")
    runs.send(wire.query("SELECT pg_sleep(60)"))
    wait_until(lambda: [x for x in t.activity() if x["state"] == "active"], 5, "it runs")
    silent += [d.connect(login=False) for _ in range(30)]
    runs.cancel()
    equal([e.sqlstate for e in runs.until_ready().errors], ["57014"], "the cancel")
    check(d.log_has("said nothing for longest is closed.* pid=%d" % os.getpid()), "the log says who it was")
    for c in silent:
        c.drop()
    # Where nobody is silent, there is no room.
    clients = []
    try:
        while len(clients) < 60:
            clients.append(d.connect())
    except (ServerError, Closed, OSError):
        pass
    check(len(clients) <= 20, "clients let in: %d" % len(clients))
    equal(runs.value("SELECT 1"), "1", "who is in stays")
    for c in clients:
        c.close()


@test
def guests_of_the_console(t):
    """who has no rights on the console can come in there, and cannot take the places of clients"""
    if os.geteuid() != 0:
        raise Skip("only root can play several users")
    d = t.daemon(options={"allow": "", "max_clients": "50"}, users="*")
    for directory in (t.directory, d.directory):
        os.chmod(directory, 0o755)
    guests, refused = [], []
    t.defer(lambda: [g.drop() for g in guests])
    os.setegid(65534)
    os.seteuid(65534)
    try:
        for _ in range(60):
            try:
                guests.append(d.connect("pgwith", user="nobody"))
            except ServerError as e:
                refused.append(e)
    finally:
        os.seteuid(0)
        os.setegid(0)
    equal(len(guests), 6, "a tenth of max_clients, and one")
    equal({e.sqlstate for e in refused}, {"53300"}, "the others are refused")
    check("console" in refused[0].detail, refused[0].detail)
    equal(guests[0].ask("SHOW CLIENTS").errors, [], "they can look")
    for _ in range(20):
        equal(t.client(d).value("SELECT 1"), "1", "clients come in")
    check(len(d.show("CLIENTS")) >= 26, "so does an administrator")


@test
def slow_login(t):
    """a login that comes byte by byte is a login"""
    d = t.daemon()
    c = d.connect(login=False)
    for b in wire.startup_packet(c.params):
        c.send(bytes([b]))
    equal(c.until_ready().errors, [], "errors")
    for b in wire.query("SELECT 6"):
        c.send(bytes([b]))
    equal(c.until_ready().value, "6", "a query byte by byte")
    # Everything in one go, the queries before the login has been answered.
    c = d.connect(login=False)
    c.send(wire.startup_packet(c.params) + wire.query("SELECT 7") + wire.extended("SELECT 8") +
           wire.sync())
    equal(c.until_ready().errors, [], "the login")
    equal((c.until_ready().value, c.until_ready().value), ("7", "8"), "the answers")


# ---- requests --------------------------------------------------------------------------------------
def same(t, d, data, turns=1):
    """What the daemon answers is what PostgreSQL answers, byte for byte, `turns` ReadyForQuery."""
    answers = []
    for c in (t.direct(), t.client(d)):
        c.send(data)
        got = []
        for _ in range(turns):
            while True:
                kind, body = c.read()
                got.append((kind, body))
                if kind == "Z":
                    break
        check(c.silent(), "nothing more comes")
        c.close()
        answers.append(got)
    equal(answers[1], answers[0], "the answers")
    d.quiet()


@test
def transparent(t):
    """requests of every kind are answered byte for byte as by PostgreSQL"""
    s = wire.sync()
    d = t.daemon()
    t.sql("CREATE TABLE x (a int, b text)")
    t.sql("CREATE PROCEDURE p() LANGUAGE plpgsql AS $$BEGIN COMMIT; INSERT INTO x VALUES (9, 'p');"
          " COMMIT; END$$")
    for data, turns in (
            (wire.query(""), 1),
            (wire.query("SELECT 1; SELECT 'x', NULL; INSERT INTO x VALUES (1, 'y')"), 1),
            (wire.query("DO $$BEGIN RAISE NOTICE 'hello'; END$$; SELECT 1/0; SELECT 2"), 1),
            (wire.query("BEGIN; SELECT 1; COMMIT; BEGIN; ROLLBACK"), 1),
            (wire.query("CALL p()"), 1),
            (wire.extended("SELECT $1::int, $2::text", (1, None)) + s, 1),
            (wire.parse("SELECT $1::int", types=(23,)) + wire.describe("S") + s, 1),
            (wire.parse("") + wire.bind() + wire.execute() + s, 1),
            (wire.parse("SELECT generate_series(1, 10)") + wire.bind(portal="") +
             wire.execute(limit=3) + wire.execute(limit=3) + wire.execute() + wire.flush() + s, 1),
            (wire.parse("SELECT 1::int8") + wire.bind(result_formats=(1,)) + wire.describe() +
             wire.execute() + wire.close_() + wire.close_("S") + s, 1),
            (wire.extended("SELECT nonsense") + wire.extended("SELECT 1") + s +
             wire.extended("SELECT 2") + s, 2),
            (s + s + s, 3),
            (wire.query("COPY x TO STDOUT") + wire.query("SELECT 1"), 2),
            (wire.query("COPY (SELECT 1) TO STDOUT WITH (FORMAT binary)"), 1),
            (wire.query("COPY x FROM STDIN") + wire.copy_data(b"3\tz\n") + wire.copy_done() +
             wire.query("SELECT count(*) FROM x WHERE a = 3") + wire.query("TRUNCATE x"), 3),
            (wire.query("COPY x FROM STDIN") + wire.copy_data(b"q\tz\n") + wire.copy_done() +
             wire.query("SELECT 5"), 2),
            (wire.query("COPY x FROM STDIN") + wire.copy_fail("why not"), 1),
            (wire.copy_data(b"stray") + wire.copy_done() + wire.query("SELECT 4"), 1),
            (wire.message("F", struct.pack("!ihhhi", 1598, 0, 0, 0, 0)) + wire.query("SELECT 1"), 2),
    ):
        same(t, d, data, turns)
        t.sql("TRUNCATE x")


@test
def long_pipeline(t):
    """two thousand requests sent at once, simple and extended mixed, are answered in order"""
    d = t.daemon()
    c = t.client(d)
    data = b""
    for i in range(1000):
        data += wire.query("SELECT %d" % (2 * i)) + wire.extended("SELECT %d" % (2 * i + 1))
        data += wire.sync()
    c.send(data)
    for i in range(2000):
        equal(c.until_ready().value, str(i), "answer %d" % i)
    d.quiet()


@test
def transactions_are_whole(t):
    """a transaction stays on its server; outside of one another client's statements come between"""
    d = t.daemon(size=1)
    a, b = t.client(d), t.client(d)
    for i in range(20):
        equal((a.value("SELECT %d" % i), b.value("SELECT %d" % -i)), (str(i), str(-i)), "answers")
    a.sql("BEGIN")
    b.send(wire.query("SELECT 'b'"))
    wait_until(lambda: d.waiting() == 1, 5, "b waits")
    equal(a.value("SELECT 'a'"), "a", "a goes on")
    a.sql("SAVEPOINT s")
    equal(a.ask("SELECT nonsense").status, "E", "the status")
    a.sql("ROLLBACK TO s")
    equal(d.waiting(), 1, "b waits still")
    a.sql("COMMIT")
    equal(b.until_ready().value, "b", "b is served")


@test
def unsynced_exchange_keeps_the_server(t):
    """without a Sync the server is not given to another client, whatever has been answered"""
    d = t.daemon(size=1)
    a, b = t.client(d), t.client(d)
    a.send(wire.extended("SELECT 1") + wire.flush())
    a.until("C")
    b.send(wire.query("SELECT 2"))
    wait_until(lambda: d.waiting() == 1, 5, "b waits")
    check(b.silent(), "b gets nothing")
    a.send(wire.sync())
    equal(a.until_ready().kinds, "Z", "the answer to the Sync")
    equal(b.until_ready().value, "2", "b is served")


@test
def unknown_messages(t):
    """a message of an unknown type, or of an impossible length, ends that session; the server serves on"""
    d = t.daemon()
    for data in (wire.message("!", b"x"), b"Q\0\0\0\1", b"Q\xff\xff\xff\xff", b"Q\x7f\xff\xff\xff",
                 wire.message("p", b"secret\0")):
        for begin in (False, True):
            c = d.connect()
            if begin:
                c.sql("BEGIN")
            c.send(data)
            check(c.hung_up(5), "it is cut off after %r" % data)
            c.drop()
    d.quiet()
    with d.connect() as c:
        equal(c.value("SELECT 1"), "1", "the next client")


@test
def flush_with_a_body(t):
    """a Flush or Sync with a body, behind whatever: an error as PostgreSQL's, also when its sender goes at once,
    and no other waits for an answer that PostgreSQL would skip"""
    d = t.daemon(size=1)
    other = t.client(d)
    for before in (b"", wire.query("SELECT 1"), wire.message("F", b"junk"), wire.extended("SELECT 1"),
                   wire.message("E", b"junk") + wire.sync(), wire.query("BEGIN")):
        for bad in (wire.message("H", b"junk"), wire.message("S", b"junk")):
            for behind in (wire.sync() + wire.query("ROLLBACK") + wire.query("SELECT 8"), b""):
                c, direct = d.connect(), t.cluster.connect(t.database)
                for x in (c, direct):
                    x.send(before + bad + behind)
                if behind:
                    got = []
                    for x in (c, direct):
                        got.append([])
                        while not got[-1] or ("8",) not in got[-1][-1][1]:
                            r = x.until_ready()
                            got[-1].append((r.kinds, r.rows, [e.sqlstate for e in r.errors], r.status))
                    equal(got[0], got[1], "the answers")
                c.drop()
                direct.drop()
                equal(other.value("SELECT 77"), "77", "another client's answer")
    d.quiet()


@test
def statement_in_a_copy(t):
    """Parse of a named statement in the middle of a COPY IN, which PostgreSQL gives up, and its Close behind
    that: it costs the session and the server, and nothing else"""
    t.sql("CREATE TABLE sink (a int)")
    d = t.daemon(size=1)
    for again in (b"", wire.parse("SELECT 2", "q"), wire.parse("SELECT 2", "q") + wire.close_("S", "q")):
        c = d.connect()
        c.send(wire.parse("COPY sink FROM STDIN", "p") + wire.bind(statement="p") + wire.execute() +
               wire.parse("SELECT 1", "q") + wire.sync() + wire.close_("S", "q") + again + wire.sync())
        check(c.hung_up(5), "it is cut off")
        c.drop()
        d.check_alive()
        with d.connect() as c:
            equal(c.value("SELECT 1"), "1", "the next client")
    d.quiet()


@test
def garbage(t):
    """random bytes after login, and random messages, harm nobody but their sender"""
    d = t.daemon(size=2, options={"log_level": "info"})
    other = t.client(d)
    for _ in range(100):
        c = d.connect()
        try:
            if t.random.random() < 0.5:
                c.send(t.random.randbytes(t.random.randrange(1, 3000)))
            else:
                for _ in range(20):
                    c.send(wire.message(t.random.choice("QPBEDCHSdcfF"),
                                        t.random.randbytes(t.random.randrange(0, 200))))
            c.sock.shutdown(1)
        except OSError:
            pass
        c.drop()
        equal(other.value("SELECT 1"), "1", "another client")
    d.quiet(within=10)


@test
def stuck_half_message(t):
    """a client that sends half a message and stays holds no server that others need"""
    d = t.daemon(size=1)
    a, b = t.client(d), t.client(d)
    a.send(wire.query("SELECT 'whole'")[:9])
    equal(b.value("SELECT 1"), "1", "another client")
    a.send(wire.query("SELECT 'whole'")[9:])
    equal(a.until_ready().value, "whole", "the rest comes later")


@test
def many_clients(t):
    """three hundred clients on four servers, each is answered"""
    d = t.daemon(size=4, options={"log_level": "info"})
    clients = [t.client(d) for _ in range(300)]
    for _ in range(3):
        for i, c in enumerate(clients):
            c.send(wire.query("SELECT %d" % i) if i % 2 else wire.extended("SELECT %d" % i) +
                   wire.sync())
        for i, c in enumerate(clients):
            equal(c.until_ready().value, str(i), "the answer")
    check(len(t.activity()) <= 4, "at most four backends")
    d.quiet()


@test
def reconnects(t):
    """a thousand logins in a row leave nothing behind: no descriptor, no session"""
    d = t.daemon(size=2, options={"log_level": "info"})
    d.connect().close()
    d.quiet()
    before = d.descriptors()
    for i in range(1000):
        c = d.connect()
        if i % 10 == 0:
            c.sql("SELECT 1")
        c.close() if i % 2 else c.drop()
    wait_until(lambda: len(d.show("CLIENTS")) <= 1, 5, "the sessions are gone")
    d.quiet()
    wait_until(lambda: d.descriptors() <= before + 1, 5, "descriptors are closed")


if __name__ == "__main__":
    main()
