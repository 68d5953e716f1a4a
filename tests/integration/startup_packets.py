"""Startup packets, hundreds of them: whatever PostgreSQL itself answers to one, pgwithd answers, byte by
byte where that is possible; and what a client is told is what it has.

PGWITH_TEST_PACKETS  random packets (default 150); the seed is printed, CHECK_SEED repeats it"""

import os
import random
import struct
import time

from pgwtest import Closed, check, child, equal, main, note, test, wait_until, wire
from pgwtest.server import bindir
from pgwtest.tap import Skip
from pgwtest.wire import cstr

SEED = int(os.environ.get("CHECK_SEED") or time.time())
PACKETS = int(os.environ.get("PGWITH_TEST_PACKETS", "150"))
LARGEST = 10004  # bytes of a packet, its length counted


def packet(pairs, version=wire.PROTOCOL_3, end=b"\0"):
    body = struct.pack("!i", version) + b"".join(cstr(k) + cstr(v) for k, v in pairs) + end
    return struct.pack("!i", len(body) + 4) + body


class Answer:
    """What came back: each message up to ReadyForQuery, an error, or the end."""

    def __init__(self, client, data, then=b""):
        self.client = client
        self.negotiated, self.key, self.error, self.told, self.notices = None, None, None, {}, []
        self.silent = self.ready = False
        self.order = ""  # of the kinds of messages
        try:
            client.send(data + then)
        except OSError:
            pass
        try:
            while not self.ready and self.error is None:
                kind, body = client.read()
                if kind == "v":
                    self.negotiated = body
                elif kind == "K":
                    self.key = body
                elif kind == "S":
                    name, value = body.split(b"\0")[:2]
                    self.told[name.decode()] = value.decode(errors="replace")
                elif kind == "N":
                    n = wire.report_fields(body)
                    if n["S"] == "DEBUG":
                        continue
                    self.notices.append((n["S"], n["C"], n["M"]))
                elif kind == "E":
                    self.error = wire.ServerError(body)
                elif kind == "Z":
                    self.ready = True
                self.order += kind if not self.order.endswith(kind) else ""
        except (Closed, ConnectionError):
            self.silent = self.error is None

    def words(self):
        """What can be compared."""
        if self.silent:
            return "silence"
        said = [("negotiated", self.negotiated)]
        if self.error:
            return said + [("error", self.error.severity, self.error.sqlstate, self.error.message,
                            self.error.hint)]
        said += [("order", self.order), ("notices", self.notices)]
        return said + [("key", len(self.key))] + sorted(self.told.items())

    def close(self):
        (self.client.close if self.ready else self.client.drop)()


differences = []


def same(got, want, what):
    if got != want:
        if isinstance(got, list) and isinstance(want, list):
            got, want = [x for x in got if x not in want], [x for x in want if x not in got]
        differences.append("%s: got %r, want %r" % (what, got, want))


def none_differs():
    """At the end of a test: all differences at once."""
    found, differences[:] = list(differences), []
    check(not found, "%d differ:\n%s" % (len(found), "\n".join(found[:60])))


def compare(t, d, pairs, database="db", role="postgres", looks=(), **how):
    """Sends it to both, compares, and looks at these settings in both."""
    direct = t.cluster.connect(t.database, login=False)
    ours = d.connect(login=False)
    a = Answer(direct, packet([("user", role), ("database", t.database)] + pairs, **how))
    b = Answer(ours, packet([("user", role), ("database", database)] + pairs, **how))
    what = "%r %r" % (pairs if len(str(pairs)) < 300 else str(pairs)[:300], how)
    try:
        same(b.words(), a.words(), what)
        for name in looks if a.ready and b.ready else ():
            sql = "SELECT current_setting('%s')" % name
            same(ours.ask(sql).rows, direct.ask(sql).rows, "%s after %s" % (name, what))
        if a.ready and b.ready:
            told_is_true(ours, b.told, what)
    finally:
        a.close()
        b.close()
    return a


def told_is_true(c, told, what):
    for name, value in told.items():
        same(c.ask("SELECT current_setting('%s')" % name).value, value, "%s, told after %s" % (name, what))


# ---- what is no startup packet ---------------------------------------------------------------------
@test
def no_packet(t):
    """bytes that are no startup packet, or half of one, get what PostgreSQL says to them: mostly nothing"""
    d = t.daemon()
    good = packet([("user", "postgres"), ("database", "db")])
    cases = [b"", b"\0", b"\0\0\0", wire.terminate(), wire.terminate() + good, wire.sync(), wire.query("SELECT 1"),
             b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", b"\n", b"quit\r\n",
             b"SSH-2.0-OpenSSH\r\n", b"\xff" * 50, b"\0" * 50, bytes(range(256))]
    for length in (0, 4, 5, 7, LARGEST + 1, 20000, 0x7fffffff, 0x80000000, 0xffffffff):
        cases.append(struct.pack("!II", length, wire.PROTOCOL_3) + b"\0" * 16)
    for length in (8, 12, 15):
        cases.append(struct.pack("!IIII", length, wire.CANCEL_REQUEST, 1, 2)[:length])
    for major, minor in ((2, 0), (4, 0), (0, 0), (1, 7), (1234, 5680 + 1), (1234, 0)):
        cases.append(struct.pack("!IHH", 9, major, minor) + b"\0")
    for body in (b"", b"user\0", b"user\0postgres\0database\0", b"user\0x\0\0\0",
                 b"user\0x\0\0a\0b\0\0", b"\0\0", b"\0", b"\0\0\0"):
        cases.append(struct.pack("!II", 8 + len(body), wire.PROTOCOL_3) + body)
    for n in range(1, len(good), 5):
        cases.append(good[:n])
    for data in cases:
        answers = []
        for c in (t.cluster.connect(t.database, login=False), d.connect(login=False)):
            got = b""
            try:
                c.send(data)
                c.sock.shutdown(1)
            except OSError:
                pass
            try:
                while True:
                    more = c.sock.recv(65536)
                    if not more:
                        break
                    got += more
            except ConnectionError:
                pass
            if got[:1] == b"E" and data[4:6] in (b"\0\1", b"\0\2"):
                got = b"E"  # PostgreSQL says it in the words of protocol 2
            fields = wire.report_fields(got[5:]) if got[:1] == b"E" else {}
            answers.append((got[:1], fields.get("S"), fields.get("C"),
                            fields.get("M", "").split(": server supports")[0]))
            c.drop()
        same(answers[1], answers[0], "%r" % data[:60])
    none_differs()
    with d.connect() as c:
        equal(c.value("SELECT 1"), "1", "the next client")


@test
def requests_before(t):
    """SSLRequest and GSSENCRequest, whatever stands in them, in either order"""
    d = t.daemon()
    ssl, gss = (struct.pack("!II", 8, code) for code in (wire.SSL_REQUEST, wire.GSSENC_REQUEST))
    long = struct.pack("!II", 13, wire.SSL_REQUEST) + b"more\0"
    for requests in ((ssl,), (gss,), (ssl, gss), (gss, ssl), (long,), (long, gss)):
        for c in (t.cluster.connect(t.database, login=False), d.connect(login=False)):
            for data in requests:
                c.send(data)
                equal(c.sock.recv(10), b"N", "the answer")
            c.login()
            equal(c.value("SELECT 1"), "1", "the session")
            c.close()
    none_differs()


# ---- versions --------------------------------------------------------------------------------------
@test
def versions(t):
    """minor versions and protocol options are answered as by the pool's own PostgreSQL"""
    d = t.daemon()
    newest = 2 if int(t.value("SHOW server_version_num")) >= 180000 else 0
    c = d.connect(login=False)  # before any server is known
    a = Answer(c, packet([("user", "postgres"), ("database", "db")], version=wire.PROTOCOL_3 + 2))
    equal((a.negotiated, len(a.key)), (struct.pack("!HHi", 3, 0, 0), 8), "the first one")
    a.close()
    for minor in (0, 1, 2, 3, 9999):
        for pairs in ([], [("_pq_.x", "1")], [("_pq_.b", ""), ("application_name", "me"), ("_pq_.a", "2")]):
            compare(t, d, pairs, version=wire.PROTOCOL_3 + minor)
            c = d.connect(login=False)
            a = Answer(c, packet([("user", "postgres"), ("database", "db")] + pairs,
                                 version=wire.PROTOCOL_3 + minor))
            unknown = [k for k, _ in pairs if k.startswith("_pq_.")]
            want = struct.pack("!HHi", 3, min(minor, newest), len(unknown)) + b"".join(map(cstr, unknown))
            equal(a.negotiated, want if unknown or minor > newest else None, "3.%d %r" % (minor, unknown))
            equal(len(a.key), 36 if min(minor, newest) == 2 else 8, "bytes of the key of 3.%d" % minor)
            a.close()
    none_differs()


@test
def libpq_18(t):
    """libpq 18, which can ask for 3.2 and does not take a wrong answer"""
    place = os.environ.get("PGWITH_TEST_LIBPQ18", "")
    psql = bindir("psql")
    if not os.path.exists(os.path.join(place, "libpq.so.5")):
        raise Skip("Debian 12 has no libpq 18; PGWITH_TEST_LIBPQ18 names its folder")
    d = t.daemon()
    newest = int(t.value("SHOW server_version_num")) >= 180000
    for most in ("3.0", "latest", "3.2"):
        for least in ("3.0", "3.2"):
            if most == "3.0" and least == "3.2":
                continue
            status, out, err = child.run(
                [os.path.join(psql, "psql"), "-XAtc", "SELECT 1",
                 "host=%s port=%d dbname=db user=postgres max_protocol_version=%s min_protocol_version=%s"
                 % (d.sockets, d.port, most, least)], env={"LD_LIBRARY_PATH": place})
            equal((status, out), (0, "1\n") if least == "3.0" or newest else (2, ""),
                  "from %s to %s: %s" % (least, most, err))


@test
def cancel_keys(t):
    """a cancel by the key of 3.0 and by the longer one of 3.2; a wrong or a cut one does nothing"""
    d = t.daemon()
    d.connect().close()
    newest = int(t.value("SHOW server_version_num")) >= 180000
    for minor in (0, 2):
        c = d.connect(login=False)
        a = Answer(c, packet([("user", "postgres"), ("database", "db")], version=wire.PROTOCOL_3 + minor))
        wrong, right = [a.key[:-1] + bytes([a.key[-1] ^ 1]), a.key + b"\0"], [a.key]
        (right if minor == 0 or not newest else wrong).append(a.key[:8])
        for key in right:
            c.send(wire.query("SELECT pg_sleep(60)"))
            for sent in wrong + [key]:
                wait_until(lambda: [r for r in t.activity() if r["state"] == "active"], 10, "it runs before %r" % sent)
                other = d.connect(login=False)
                other.send(struct.pack("!ii", 8 + len(sent), wire.CANCEL_REQUEST) + sent)
                check(other.hung_up(10), "the cancel connection ends")
                other.drop()
            equal([e.sqlstate for e in c.until_ready().errors], ["57014"], "%r" % key)
            # A wrong one that came to the server all the same would have cancelled the statement before, or this one.
            equal(c.ask("SELECT pg_sleep(0.2)").errors, [], "nothing is cancelled afterwards")
        a.close()


# ---- who and where ---------------------------------------------------------------------------------
@test
def who_and_where(t):
    """user, database and replication: empty, left out, twice, in other cases of letters"""
    t.cluster.role("db")
    d = t.daemon()

    def both(pairs, ours):
        direct, through = t.cluster.connect(t.database, login=False), d.connect(login=False)
        a, b = Answer(direct, packet(pairs)), Answer(through, packet(ours))
        same([b.silent, b.ready, b.error and (b.error.sqlstate, b.error.message, b.error.hint)],
              [a.silent, a.ready, a.error and (a.error.sqlstate, a.error.message, a.error.hint)], repr(pairs))
        a.close()
        b.close()

    def named(pairs):
        both([(k, t.database if v == "db" else v) for k, v in pairs], pairs)
    me, here = ("user", "postgres"), ("database", "db")
    for pairs in ([here], [("user", ""), here], [me, ("user", ""), here], [("user", "nobody"), me, here],
                  [me, ("database", "nowhere"), here], [("User", "x"), me, here], [me, here, ("Database", "db")],
                  [me, here, ("OPTIONS", "-c a.b=1")], [me, here, ("Replication", "off")]):
        named(pairs)
    for value in ("off", "false", "no", "0", "f", "of", "FALSE", "n"):
        named([me, here, ("replication", value)])
    for value in ("", "maybe", "o", "2", "on ", "databases", "Database"):
        named([me, here, ("replication", value)])
    for value in ("on", "true", "1", "database", "yes"):
        c = d.connect(login=False)
        a = Answer(c, packet([me, here, ("replication", value)]))
        equal(a.error.sqlstate, "0A000", "replication=" + value)
        a.close()
    none_differs()


# ---- parameters ------------------------------------------------------------------------------------
VALUES = [
    ("extra_float_digits", ["3", "0", "-15", "4", "2.4", "x", "", "0x1", "1MB"]),
    ("client_encoding", ["UTF8", "utf-8", "unicode", "'utf-8'", "LATIN1", "iso88591", "ISO_8859_1", "win1252",
                         "SQL_ASCII", "SJIS", "shift_jis", "BIG5", "GBK", "gb18030", "EUC_JP", "latin-9",
                         "mskanji", "UHC", "koi8r", "abc", "", "none", "auto", "JOHAB"]),
    ("DateStyle", ["ISO", "iso, mdy", "German", "SQL, DMY", "Postgres", "DMY", "ISO,YMD", "default", "euro", "US",
                   "noneuro", "european", "ISO, German", "MDY, DMY", "sql , ymd", "POSTGRESQL", "isolated", "", ",",
                   "ISO,", "germanic", "germa", "\"ISO\", dmy", "YMDx", "postgres, us", "noneuropean"]),
    ("TimeZone", ["UTC", "utc", "Asia/Tokyo", "asia/tokyo", "Europe/Berlin", "GMT", "EST5EDT", "posixrules", "JST-9",
                  "<+03>-3", "2", "-7", "Mars/Phobos", "", "INTERVAL '2' HOUR", "+5:30"]),
    ("IntervalStyle", ["postgres", "ISO_8601", "sql_standard", "postgres_verbose", "iso", "", "SQL_STANDARD"]),
    ("standard_conforming_strings", ["on", "off", "true", "FALSE", "t", "no", "o", "1", "2", ""]),
    ("default_transaction_read_only", ["on", "off", "yes", "0", "maybe"]),
    ("search_path", ["public", "a,b", "\"$user\", public", "\"", "", "A B", "a,", "'x y'", "ü"]),
    ("application_name", ["psql", "", "caf\u00e9", "a\tb\nc", "x" * 63, "x" * 64, "y" * 200, "\u00e9" * 40, "it's",
                          "back\\slash", "\x7f"]),
    ("work_mem", ["5MB", "64", "63", "1TB", "big", "4096kB", "1.5MB", "-1", ""]),
    ("statement_timeout", ["10s", "0", "-1", "1d", "1 min", "abc", "999999999999"]),
    ("bytea_output", ["hex", "ESCAPE", "octal"]),
    ("my.tenant", ["42", "", "it's", "a\\b", "\u00fc"]),
    ("my.Tenant_2", ["x"]),
    ("1my.x", ["x"]), ("my.", ["x"]), (".my", ["x"]), ("my..x", ["x"]), ("my.a-b", ["x"]), ("my.a b", ["x"]),
    ("no_such_parameter", ["1", ""]), ("", []),
    ("shared_buffers", ["1MB", "x"]), ("max_connections", ["5"]), ("port", ["1"]), ("fsync", ["off"]),
    ("server_version", ["9"]), ("is_superuser", ["off"]), ("server_encoding", ["UTF8"]), ("block_size", ["1"]),
    ("in_hot_standby", ["on"]), ("default_tablespace", ["pg_default", ""]), ("role", ["none", "nobody_at_all"]),
    ("lc_messages", ["C", "xx_YY"]), ("log_statement", ["all", "x"]), ("session_replication_role", ["replica"]),
    ("default_transaction_isolation", ["serializable", "READ COMMITTED", "x"]),
    ("temp_buffers", ["16MB"]), ("row_security", ["off"]), ("jit", ["off"]),
]
CASES = ["%s", "%s", "%s", str.upper, str.lower, str.title]


def spelled(rng, name):
    how = rng.choice(CASES)
    return name if how == "%s" else how(name)


def escaped(value):
    return value.replace("\\", "\\\\").replace(" ", "\\ ").replace("\t", "\\\t").replace("\n", "\\\n")


@test
def each_value(t):
    """each parameter with each value, alone: the answer of PostgreSQL, and the value in force"""
    d = t.daemon(size=2)
    count = 0
    for name, values in VALUES:
        for value in values:
            looks = [name] if name in ("work_mem", "extra_float_digits", "my.tenant", "statement_timeout",
                                       "application_name", "search_path", "bytea_output") else []
            for _ in range(3):  # the second one from what is known, the third one from the answer to that
                compare(t, d, [(name, value)], looks=looks)
                count += 1
    note("%d packets" % count)
    none_differs()


# Of these a value other than the one in force ends the session, or makes it slow.
LEFT_ALONE = {"temp_tablespaces",  # at a login PostgreSQL takes one that there is not, and nothing else does
              "post_auth_delay", "pre_auth_delay", "exit_on_error", "local_preload_libraries",
              "session_preload_libraries", "idle_session_timeout", "statement_timeout", "transaction_timeout",
              "client_connection_check_interval", "jit_provider", "debug_io_direct"}

def values_of(row):
    """Values for a row of pg_settings: the one in force, others, and one that is none."""
    name, context, kind, setting, boot, least, most, names = row
    values = [setting or ""]
    if name in LEFT_ALONE:
        return values
    if context in ("user", "superuser"):
        if kind == "bool":
            values += ["on", "off"]
        elif kind == "enum":
            values += names.strip("{}").replace('"', "").split(",")
        elif kind in ("integer", "real"):
            values += [boot, least, most]
        values.append("x")
    return sorted({v for v in values if v is not None})


@test(timeout=300)
def every_setting(t):
    """every name that pg_settings lists, with several values each, as a superuser and as an ordinary role, beside
    options and in them: the answer of PostgreSQL, and what is in force afterwards"""
    t.cluster.role("ordinary")
    rows = t.sql("SELECT name, context, vartype, setting, boot_val, min_val, max_val, enumvals::text"
                 " FROM pg_settings WHERE context NOT IN ('backend', 'superuser-backend') ORDER BY name")
    check(len(rows) > 300, "%d settings" % len(rows))
    count = 0
    for role in ("postgres", "ordinary"):
        d = t.daemon(size=2, conninfo=t.conninfo(user=role))
        for row in rows:
            for value in values_of(row) if role == "postgres" else values_of(row)[:1]:
                pairs = [(row[0], value)] if count % 2 else [("options", "-c %s=%s" % (row[0], escaped(value)))]
                compare(t, d, pairs, role=role, looks=[] if "superuser" in row[1] and role != "postgres" else [row[0]])
                count += 1
    note("%d packets of %d settings" % (count, len(rows)))
    none_differs()


@test
def as_it_starts(t):
    """what a backend takes only as it starts cannot be had of a server that is there: refused, in PostgreSQL's words"""
    rows = t.sql("SELECT name, setting FROM pg_settings WHERE context IN ('backend', 'superuser-backend')")
    check(len(rows) >= 6, "%d settings" % len(rows))
    d = t.daemon(size=2)
    for name, value in rows:
        for where, pairs in (("beside", [(name, value)]), ("in", [("options", "-c %s=%s" % (name, value))])):
            c = d.connect(login=False)
            a = Answer(c, packet([("user", "postgres"), ("database", "db")] + pairs))
            equal((a.error.sqlstate, a.error.message),
                  ("55P02", 'parameter "%s" cannot be set after connection start' % name), where + " options")
            a.close()


@test
def identities(t):
    """role and session_authorization: PostgreSQL looks whether the client may be that one; a role is set, behind all
    other parameters, and the other name comes to nothing"""
    for role in ("ordinary", "friend", "stranger"):
        t.cluster.role(role)
    t.sql("GRANT friend TO ordinary")
    looks = ["role", "session_authorization", "is_superuser", "log_statement", "work_mem"]
    who = "SELECT session_user, current_user, pg_catalog.current_setting('role')"
    words = [who]
    for sql in ("RESET SESSION AUTHORIZATION", "RESET ROLE", "SET ROLE friend", "RESET ROLE", "SET ROLE none",
                "SET work_mem = '6MB'", "RESET work_mem", "RESET ROLE", "SET SESSION AUTHORIZATION DEFAULT",
                "SET session_authorization TO DEFAULT", "SET SESSION AUTHORIZATION ordinary", "SET work_mem = '7MB'",
                "RESET SESSION AUTHORIZATION", "SET ROLE none; RESET ALL", "RESET ALL", "RESET ROLE; SET ROLE none",
                "SELECT pg_catalog.set_config('role', 'friend', false)", "DISCARD ALL", "RESET ALL"):
        words += [sql, who, "SELECT pg_catalog.current_setting('work_mem'), pg_catalog.current_setting('log_statement')"]
    count = 0
    for login in ("postgres", "ordinary"):
        for mode in ("transaction", "session"):
            d = t.daemon(size=2, conninfo=t.conninfo(user=login), mode=mode)
            names = ("postgres", "ordinary", "friend", "stranger", "nobody_at_all", "none", "default", "", "x" * 70)
            cases = [[(p, v)] for p in ("session_authorization", "role", "Session_Authorization", "ROLE") for v in names]
            other = [("log_statement", "all")] if login == "postgres" else [("work_mem", "5MB")]
            for p in ("session_authorization", "role"):
                cases += [[(p, "friend")] + other, other + [(p, "friend")], [(p, "nobody")] + [("work_mem", "bad")],
                          [("work_mem", "bad"), (p, "nobody")], [(p, "nobody"), (p, "friend")],
                          [(p, "friend"), (p, "nobody")], [(p, "friend"), (p, "none")]]
            cases += [[("session_authorization", "friend"), ("role", "ordinary")] + other,
                      [("role", "friend"), ("session_authorization", "ordinary")] + other,
                      [("role", "stranger"), ("session_authorization", "stranger")]]
            for pairs in cases:
                for _ in range(2):
                    compare(t, d, pairs, role=login, looks=looks)
                    if " " not in "".join(v for _, v in pairs) and "" not in (v for _, v in pairs):
                        compare(t, d, [("options", " ".join("-c %s=%s" % p for p in pairs))], role=login, looks=looks)
                    count += 2
                both = [Answer(c, packet([("user", login), ("database", n)] + pairs)) for c, n in
                        ((t.cluster.connect(t.database, login=False), t.database), (d.connect(login=False), "db"))]
                for n, sql in enumerate(words) if both[0].ready and both[1].ready else ():
                    ours, direct = (a.client.ask(sql) for a in (both[1], both[0]))
                    same((ours.rows, [e.sqlstate for e in ours.errors]),
                         (direct.rows, [e.sqlstate for e in direct.errors]),
                         "%s behind %s after %r in mode %s" % (sql, words[max(n - 2, 0):n], pairs, mode))
                for a in both:
                    a.close()
            with d.connect() as c:
                equal(c.sql("SELECT session_user, current_user"), [(login, login)], "the next client")
    note("%d packets" % count)
    none_differs()


@test
def when_no_server_can_judge(t):
    """what only a server can refuse is refused with the first statement if all are lent at login, and harms nobody"""
    t.cluster.role("friend")
    d = t.daemon(size=1)
    for pairs, error in (([("session_authorization", "nobody_at_all")], "22023"),
                         ([("session_authorization", "friend")], None),
                         ([("work_mem", "bad"), ("work_mem", "5MB")], "22023"),
                         ([("role", "nobody_at_all"), ("work_mem", "5MB")], "22023"),
                         ([("role", "friend"), ("log_statement", "all")], None)):
        with d.connect() as holder:
            holder.sql("BEGIN")
            holder.sql("SELECT 1")
            c = d.connect(login=False)
            a = Answer(c, packet([("user", "postgres"), ("database", "db")] + pairs))
            check(a.ready, "let in: %r" % pairs)
            c.send(wire.query("SELECT session_user, current_user"))
            wait_until(lambda: d.waiting() == 1, 10, "it waits")
            holder.sql("COMMIT")
            r = c.until("ZE")
            equal([e.sqlstate for e in r.errors], [error] if error else [], repr(pairs))
            if error is None:
                equal(r.rows, [("postgres", dict(pairs).get("role", "postgres"))], repr(pairs))
            c.drop()
            equal(holder.sql("SELECT session_user, current_user"), [("postgres", "postgres")], "the neighbour")


LONG = ["x" * 63, "x" * 64, "y" * 200, "\u00e9" * 40, "a" + "\u00e9" * 40, "\u20ac" * 25, "it's " * 20, '"%s"' % ("q" * 70),
        "back\\slash" * 10, "tab\t" * 30]


@test
def long_names(t):
    """what PostgreSQL cuts, it says in a NOTICE: application_name and the other names, alone, twice, beside and in
    options, with client_min_messages ahead or behind, and in SET and set_config()"""
    t.cluster.role("x" * 63)
    d = t.daemon(size=2)
    cases = []
    for value in LONG:
        cases += [[("application_name", value)], [("APPLICATION_NAME", value), ("work_mem", "5MB")]]
        if all(ord(c) < 127 for c in value):
            cases += [[("options", "-c application_name=" + escaped(value))],
                      [("options", "-c application_name=" + escaped(value)), ("application_name", "short")]]
    x = "x" * 70
    for name in ("client_encoding", "default_tablespace", "default_table_access_method", "role",
                 "session_authorization", "search_path", "my.name", "TimeZone", "default_text_search_config"):
        cases += [[(name, x)], [("application_name", x), (name, x)]]
    cases += [[("application_name", x), ("application_name", "y" * 80)], [("application_name", x), ("role", "none")]]
    for level in ("debug5", "log", "notice", "WARNING", "error", "x"):
        cases += [[("client_min_messages", level), ("application_name", x)],
                  [("application_name", x), ("client_min_messages", level)],
                  [("application_name", x), ("options", "-c client_min_messages=" + level)]]
    for pairs in cases:
        for _ in range(2):
            compare(t, d, pairs, looks=["application_name", "role"])
    for value in LONG:
        for sql in ("SET application_name = %s", "SELECT set_config('application_name', %s, false)",
                    "BEGIN; SET LOCAL application_name = %s; COMMIT", "SET role = %s"):
            sql = sql % ("'%s'" % value.replace("'", "''"))
            answers = []
            for c in (t.cluster.connect(t.database), d.connect()):
                c.send(wire.query(sql))
                r = c.until_ready()
                answers.append(([(n["S"], n["C"], n["M"]) for n in r.notices],
                                [e.sqlstate for e in r.errors], c.value("SELECT current_setting('application_name')")))
                c.close()
            same(answers[1], answers[0], sql)
    none_differs()


@test
def of_an_ordinary_role(t):
    """the same of a role that is no superuser: what it may not set is 42501"""
    t.cluster.role("ordinary")
    t.sql("CREATE SCHEMA mine AUTHORIZATION ordinary")
    d = t.daemon(size=2, conninfo=t.conninfo(user="ordinary"))
    for name, value in (("log_statement", "all"), ("session_replication_role", "replica"), ("work_mem", "5MB"),
                        ("lc_messages", "C"), ("role", "postgres"), ("role", "ordinary"), ("my.tenant", "1"),
                        ("session_authorization", "postgres"), ("DateStyle", "German"), ("plpgsql.extra_errors", "x"),
                        ("log_min_messages", "debug1"), ("deadlock_timeout", "1s"), ("row_security", "off")):
        compare(t, d, [(name, value)], role="ordinary")
        compare(t, d, [("options", "-c %s=%s" % (name, value))], role="ordinary")
    none_differs()


@test
def options(t):
    """options: switches, escapes, words that are none, and a length of up to 10,000 bytes"""
    d = t.daemon(size=2)
    for text in ("-c work_mem=5MB", "-cwork_mem=5MB", "--work_mem=5MB", "--work-mem=5MB", "-c\twork-mem=5MB", "-c",
                 "-c work_mem", "--work_mem", "-c =1", "-c work_mem=", "work_mem=5MB", "x -c work_mem=5MB", "-e", "-F",
                 "-B 100", "-i", "-h x", "-k x", "-l", "-N 5", "-n", "-O", "-p 1", "-S 8MB", "-S x", "-s", "-tpa",
                 "-t pl", "-te", "-t p", "-t", "-d 1", "-d0", "-d x", "-d 5", "-fs", "-f nest", "-fx", "-f", "-z",
                 "-ez", "-ze", "-e -ze", "-es -c DateStyle=ISO", "-E", "-j", "-r x", "-v 3", "-D x", "-C x", "-b",
                 "--", "-c work_mem=5MB --", "-- -c work_mem=5MB", "-", "- -e", "\\", "-c my.x=a\\ b", "-c my.x=a\\\\b",
                 "-c my.x=a\\", "-c\\ work_mem=5MB", "-c my.x=a=b", "  \t ", "", "-c my.x='a", "-c my.x=\"a\\ b\"",
                 "-c work_mem=5MB -c work_mem=6MB", "-c search_path=a,b", "-c search-path=x", "-c -work-mem=1",
                 "-c My.X=1 -c mY.x=2", "-c work_mem=bad -c work_mem=5MB", "-c work_mem=5MB -z",
                 "-z -c no_such=1", "-:", "-c:a=1", "-e-c work_mem=5MB"):
        looks = ["work_mem", "DateStyle", "enable_seqscan", "enable_nestloop", "log_min_messages", "search_path"]
        for _ in range(2):
            compare(t, d, [("options", text)], looks=looks + (["my.x"] if "my.x" in text.lower() else []))
    room = LARGEST - len(packet([("user", "postgres"), ("database", t.database), ("options", "")])) - 1
    for n in (4086, 4096, 9000, room - len("-c my.long=")):
        text = "-c my.long=" + "x" * n
        compare(t, d, [("options", text)], looks=["my.long"])
    many = " ".join("-c m.p%d=%d" % (i, i) for i in range(600))[:9000].rsplit(" -c", 1)[0]
    compare(t, d, [("options", many)], looks=["m.p0", "m.p99", "m.p500"])
    compare(t, d, [("options", "-c a.b=1" + " -e" * 3000)], looks=["a.b", "DateStyle"])
    none_differs()


@test
def which_wins(t):
    """of several values: a parameter over options wherever they stand, the last over the one before"""
    d = t.daemon(size=2)
    looks = ["work_mem", "DateStyle", "application_name", "TimeZone"]
    for pairs in ([("work_mem", "5MB"), ("options", "-c work_mem=6MB")],
                  [("options", "-c work_mem=6MB"), ("work_mem", "5MB")],
                  [("DateStyle", "ISO, MDY"), ("options", "-c DateStyle=German")],
                  [("options", "-c datestyle=German"), ("DateStyle", "ISO, MDY")],
                  [("DateStyle", "German"), ("DateStyle", "SQL")], [("DateStyle", "German"), ("datestyle", "DMY")],
                  [("DateStyle", "German"), ("options", "-e")], [("options", "-c work_mem=6MB"), ("options", "-e")],
                  [("options", "-c TimeZone=Asia/Tokyo"), ("timezone", "UTC")],
                  [("TIMEZONE", "UTC"), ("TimeZone", "Asia/Tokyo"), ("options", "--timezone=Europe/Berlin")],
                  [("application_name", "a"), ("options", "-c application_name=b")],
                  [("options", "-c application_name=b")], [("Application_Name", "c")],
                  [("application_name", "a"), ("application_name", "b")], [("application_name", "a"),
                                                                          ("APPLICATION_NAME", "")],
                  [("work_mem", "bad"), ("options", "-c maintenance_work_mem=bad")],
                  [("maintenance_work_mem", "bad"), ("work_mem", "bad")],
                  [("work_mem", "bad"), ("options", "-z")]):
        for _ in range(2):
            compare(t, d, pairs, looks=looks)
    none_differs()


@test
def at_random(t):
    """random packets of many parameters, in options and beside them"""
    note("CHECK_SEED=%d" % SEED)
    rng = random.Random(SEED)
    d = t.daemon(size=2)
    let_in = 0
    good = [(n, [v for v in vs]) for n, vs in VALUES if vs]
    for _ in range(PACKETS):
        pairs, words = [], []
        for _ in range(rng.choice((1, 2, 2, 3, 5))):
            name, values = rng.choice(good[:12]) if rng.random() < .9 else rng.choice(good)
            value = rng.choice(values[:4]) if rng.random() < .85 else rng.choice(values)
            name = spelled(rng, name)
            where = rng.random()
            if where < .5 or any(ord(c) > 126 for c in value) or " " in name:
                pairs.append((name, value))
            else:
                words.append(rng.choice(("-c %s=%s", "-c%s=%s", "--%s=%s")) % (name, escaped(value)))
        if words:
            pairs.insert(rng.randrange(len(pairs) + 1), ("options", rng.choice((" ", "  ", "\t")).join(words)))
        let_in += compare(t, d, pairs, looks=["work_mem", "statement_timeout", "extra_float_digits"]).ready
    none_differs()
    check(PACKETS < 50 or let_in > PACKETS / 3, "let in: %d" % let_in)


if __name__ == "__main__":
    main()
