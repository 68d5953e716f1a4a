"""Random programs of a client, for the test of session isolation: what is sent, and what came back in a
form that is the same through pgwithd and on a direct connection.

A program is data, so that it can be printed, cut down and run again: startup parameters and a list of
steps. Each step is sent whole, then its answers are read:

    ("Q", sql)                      a simple Query
    ("Y", sql, data, end)           a simple Query that is a COPY FROM STDIN; end is "c" or "f"
    ("X", [message, ...])           messages of the extended protocol, which end in Sync or Flush
    ("A", sql)                      somebody else alters a table, if no transaction is open
    ("N", channel, payload)         somebody else notifies

with the messages ("P", statement, sql) or ("P", statement, sql, types), ("B", portal, statement, values), ("D", "S" or "P", name),
("E", portal, limit), ("C", "S" or "P", name), ("Y", portal, data, end) for the Execute of a COPY FROM
STDIN, ("S",) and ("H",).

Notifications are compared where a session is at rest, behind a ReadyForQuery outside of a transaction: what the direct
connection has got by then comes to the other one, too, in the same order, if later, as a pool's connection that listens
for all is told of a session's own NOTIFY, too, only when that is committed (pgwithd(8), LISTEN). Nothing comes inside of a
transaction, and nothing between the parts of an answer.

In texts and values, @K is a number that no other run has (advisory locks, channels), and @S the schema
of the place that the program runs in.

Left out, because PostgreSQL gives a pool no way to do it right (pgwithd(8), Session state):
- whether a parameter app.x was ever set: a server keeps the name after RESET, with an empty value.
  Programs ask for coalesce(current_setting('app.x', true), '');
- lastval(), currval() and random() after setseed() in another transaction;
- EXECUTE by SQL of a statement that Parse made, and one name made by both;
- literals in prepared statements whose meaning changes with DateStyle, TimeZone, client_encoding or
  standard_conforming_strings, and tables of
  different columns that a search_path leads to (there the pool does better than PostgreSQL);
- parameters that a function sets where the text of the statement does not show it;
- SET TRANSACTION ISOLATION LEVEL behind a Parse, which is a query to PostgreSQL, but of which the server
  sees nothing if it has the text;
- what follows a DEALLOCATE or DISCARD ALL by the extended protocol up to the next Sync;
- empty texts by the extended protocol: PostgreSQL 15.x crashes when the portal of one is executed again
  in a transaction that has failed;
- RESET, SET TO DEFAULT and DISCARD ALL of startup parameters: the server's own values hold until the
  next lease;
- values that are an error of the plan for them alone, as 0 in SELECT 1 / $1: a statement that is parsed once may have
  a plan for all values;
- pg_listening_channels(), which tells what the server of the moment listens to;
- application_name as a startup parameter (telling.py tries that).
"""

import re
import struct
import time

from . import wire
from .tap import slow_factor

# Once; and of every place: @Sa.t and @Sb.t have the same columns.
COMMON = """
GRANT pg_monitor TO fz_two;
CREATE VIEW public.t AS SELECT 1 AS a, 'public'::text AS b; GRANT SELECT ON public.t TO fz_one;
"""
SETUP = """
CREATE SCHEMA @Sa; CREATE SCHEMA @Sb;
CREATE TABLE @Sa.t (a int PRIMARY KEY, b text); CREATE TABLE @Sb.t (a int PRIMARY KEY, b text);
GRANT ALL ON SCHEMA @Sa, @Sb TO fz_one; GRANT USAGE ON SCHEMA @Sa TO fz_two;
GRANT ALL ON @Sa.t, @Sb.t TO fz_one; GRANT SELECT ON @Sa.t TO fz_two;
"""
RESET = """
DELETE FROM @Sa.t; DELETE FROM @Sb.t;
INSERT INTO @Sa.t SELECT i, 'a' || i FROM generate_series(1, 5) i;
INSERT INTO @Sb.t SELECT i, 'b' || i FROM generate_series(1, 5) i;
"""

PARAMETERS = {
    "work_mem": ("'3MB'", "'5MB'", "777"),
    "statement_timeout": ("'50s'", "70000"),
    "DateStyle": ("'ISO, DMY'", "German", "'SQL, MDY'", "'Postgres, DMY'"),
    "TimeZone": ("'Asia/Tokyo'", "'America/New_York'", "UTC", "'Europe/Berlin'"),
    "IntervalStyle": ("postgres_verbose", "iso_8601"),
    "extra_float_digits": ("0", "3"),
    "bytea_output": ("escape", "hex"),
    "search_path": ("@Sa", "@Sb", "@Sb, @Sa", "public", "'@Sa'"),
    "client_encoding": ("LATIN1", "'UTF8'", "'LATIN9'"),
    "client_min_messages": ("warning", "notice", "error"),
    "default_transaction_isolation": ("serializable", "'repeatable read'"),
    "default_transaction_read_only": ("on", "off"),
    "default_transaction_deferrable": ("on",),
    "standard_conforming_strings": ("off", "on"),
    "enable_seqscan": ("off",),
    "session_replication_role": ("local",),
    "app.x": ("'one'", "'it''s'", "''", "two"),
    "app.y": ("'a\\b'", "5"),
    '"App"."Z z"': ("'quoted'",),
}

PROBES = (
    "SELECT current_setting('work_mem'), current_setting('statement_timeout'),"
    " current_setting('DateStyle'), current_setting('TimeZone'), current_setting('search_path')",
    "SELECT coalesce(current_setting('app.x', true), ''), coalesce(current_setting('app.y', true), ''),"
    " coalesce(current_setting('App.Z z', true), '')",
    "SELECT current_user, session_user, current_setting('role'), current_setting('is_superuser')",
    "SELECT name, setting, boot_val FROM pg_settings WHERE name ~"
    " '^(default_tr|bytea|client_|enable_s|extra_f|Inter|session_r|standard|transaction_)' ORDER BY 1",
    "SELECT timestamptz '2020-02-01 12:00:00+00', date '2021-03-04', interval '1 day 2 hours',"
    " decode('0102', 'hex'), 1.1::float8 / 3",
    "SELECT name, is_holdable FROM pg_cursors WHERE name <> '' ORDER BY 1",
    "SELECT relname FROM pg_class WHERE relpersistence = 't' AND relkind = 'r' AND"
    " relnamespace = pg_my_temp_schema() ORDER BY 1",
    "SELECT objid, mode, granted FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
    " ORDER BY 1, 2",
    "SELECT * FROM t ORDER BY a",
    "SHOW TimeZone", "SHOW transaction_isolation", "SHOW transaction_read_only",
)

STATEMENTS = ("s1", "s2", "s3", 'S "4')
SQL_STATEMENTS = ("q1", "q2")
PORTALS = ("p1", "p2")


def is_custom(name):
    return "." in name


def quoted(value):
    return value if value.startswith("'") else "'%s'" % value


def config_name(name):
    return name.replace('"', "")


# ---- statements ------------------------------------------------------------------------------------
def a_set(rng):
    name = rng.choice(sorted(PARAMETERS))
    value = rng.choice(PARAMETERS[name])
    way = rng.randrange(12)
    if way < 4:
        return "SET %s %s %s" % (name, rng.choice(("=", "TO")), value)
    if way == 4:
        return "set/* a */ Session %s = %s" % (name, value)
    if way < 7:
        return "SET LOCAL %s = %s" % (name, value)
    if way == 7:
        return rng.choice(("RESET %s", "SET %s TO DEFAULT", "SET LOCAL %s TO DEFAULT")) % name
    if way < 10:
        return "SELECT set_config('%s', %s, %s)" % (config_name(name), quoted(value),
                                                    rng.choice(("false", "true", "1 = 2")))
    if way == 10 and not is_custom(name):
        return "UPDATE pg_settings SET setting = %s WHERE name = '%s'" % (quoted(value), name)
    return rng.choice((
        "SET TIME ZONE 'Asia/Tokyo'", "SET TIME ZONE 3", "SET TIME ZONE LOCAL", "SET NAMES 'LATIN1'",
        "SET ROLE fz_one", "SET ROLE fz_two", "SET ROLE NONE", "RESET ROLE", "SET LOCAL ROLE fz_one",
        "SET SESSION AUTHORIZATION fz_one", "RESET SESSION AUTHORIZATION",
        "SET SESSION AUTHORIZATION DEFAULT", "SET LOCAL SESSION AUTHORIZATION fz_two", "RESET ALL",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ WRITE",
        "SET TRANSACTION READ ONLY",
        "DO $$ BEGIN PERFORM set_config('work_mem', '7MB', false); END $$",
        "SET work_mem = 'plenty'", "SET nonsense = 1", "SET client_encoding = 'NONE'",
        "SELECT set_config('no_such', '1', false)", "SET SESSION app.x = three"))


def a_transaction(rng):
    return rng.choice((
        "BEGIN", "BEGIN", "BEGIN", "START TRANSACTION", "BEGIN READ ONLY", "begin work;",
        "BEGIN ISOLATION LEVEL SERIALIZABLE", "COMMIT", "COMMIT", "COMMIT", "END", "ROLLBACK",
        "ROLLBACK", "ABORT", "COMMIT AND CHAIN", "ROLLBACK AND CHAIN", "SAVEPOINT v1", "SAVEPOINT v2",
        "ROLLBACK TO v1", "ROLLBACK TO SAVEPOINT v2", "RELEASE v1", "COMMIT PREPARED 'none'"))


def a_query(rng):
    return rng.choice((
        "SELECT 1", "SELECT 'it''s', 2; SELECT 3", "", "SELECT 1/0", "SELECT nonsense", "SELEC",
        "TABLE t ORDER BY a", "INSERT INTO t VALUES (%d, 'n')" % rng.randrange(3, 12),
        "UPDATE t SET b = b || 'u' WHERE a < 3", "DELETE FROM t WHERE a = 4",
        "INSERT INTO t VALUES (20, 'é') ON CONFLICT DO NOTHING RETURNING a, b",
        "SELECT 'é' || chr(228)", "SELECT pg_sleep(0.002)", "DO $$ BEGIN RAISE NOTICE 'hm'; END $$",
        "DO $$ BEGIN RAISE EXCEPTION 'no'; END $$", "SELECT $$SET work_mem = 1$$ AS listen",
        "COPY (SELECT a, b FROM @Sa.t ORDER BY a) TO STDOUT", "COPY (TABLE @Sa.t ORDER BY 1) TO STDOUT; SELECT 7",
        "CREATE TABLE t (a int)", "DROP TABLE no_such", "VALUES (1), (2)", "LOCK TABLE @Sa.t",
        "SELECT count(*) FROM generate_series(1, 3000)", "SELECT repeat('x', 9000)"))


# Spellings of one channel, and of another.
CHANNELS = ('"ch@K"', "ch@K", "CH@K", 'U&"c\\0068@K"', '"ch@K"', '"Ch@K"', '"ch@K ""é"')
NAMES_OF_CHANNELS = ("ch@K", "ch@K", "Ch@K", 'ch@K "é')


def a_listen(rng):
    channel = rng.choice(CHANNELS)
    return rng.choice((
        "LISTEN %s", "LISTEN %s", "LISTEN %s", "listen/* x */%s -- y", " LISTEN\n%s;", "LISTEN %s; LISTEN other", "UNLISTEN %s",
        "UNLISTEN %s", "unlisten %s /* UNLISTEN * */", "UNLISTEN *", "UNLISTEN * ;", "/* LISTEN */ UNLISTEN nobody",
        "NOTIFY %s", "NOTIFY %s, 'hello'", "NOTIFY %s, 'é'", "SELECT pg_notify('ch@K', 'again')",
        "SELECT pg_notify('ch@K', i::text) FROM generate_series(1, 3) i", "DO $$ BEGIN NOTIFY %s, 'do'; END $$",
        "LISTEN %s; NOTIFY %s, 'own'", "NOTIFY %s, 'before'; LISTEN %s", "LISTEN %s; SELECT 1/0", "UNLISTEN %s; SELECT 1/0",
        "BEGIN; LISTEN %s; COMMIT", "BEGIN; LISTEN %s; ROLLBACK", "BEGIN; UNLISTEN %s; COMMIT", "LISTEN %s; UNLISTEN %s",
        "UNLISTEN %s; LISTEN %s", "LISTEN", "LISTEN 'ch@K'", "UNLISTEN", "LISTEN a.b", "DISCARD ALL")).replace("%s", channel)


def a_notification(rng):
    return ("N", rng.choice(NAMES_OF_CHANNELS), rng.choice(("", "one", "it's two", "é", "x" * 40)))


def beside_listen(rng):
    """What is sent between statements of a_listen()."""
    return rng.choice((
        "BEGIN", "BEGIN", "COMMIT", "COMMIT", "COMMIT", "ROLLBACK", "SAVEPOINT v1", "ROLLBACK TO v1", "RELEASE v1", "SELECT 1",
        "SELECT 1", "SELECT 1/0", "COMMIT AND CHAIN", "ROLLBACK AND CHAIN", "SET client_encoding = 'LATIN1'", "RESET ALL",
        "SET search_path = @Sa", "INSERT INTO @Sa.t VALUES (77, 'n') ON CONFLICT DO NOTHING", "BEGIN READ ONLY", "DISCARD ALL",
        "CREATE TEMP TABLE tt (a int)", "DROP TABLE tt", "SET standard_conforming_strings = off", "SET LOCAL work_mem = '3MB'"))


def generate_listening(rng):
    """Programs that listen, in transactions and outside, while others notify."""
    startup = {"client_encoding": "LATIN1"} if rng.random() < 0.15 else {}
    known = {}
    steps = [("Q", rng.choice(("LISTEN ch@K", 'LISTEN "ch@K"; LISTEN "Ch@K"', 'BEGIN; LISTEN "ch@K"')))]
    for _ in range(rng.choice((6, 12, 18, 24))):
        roll = rng.random()
        if roll < 0.35:
            steps.append(a_notification(rng))
        elif roll < 0.70:
            steps.append(("Q", "; ".join(rng.choice((a_listen, a_listen, beside_listen))(rng)
                                         for _ in range(rng.choice((1, 1, 1, 1, 2, 3))))))
        else:
            steps.append(("X", a_listening_exchange(rng, known)))
    if startup:
        steps = [s for s in steps if not RESETS.search(repr(s))]
    return startup, steps


def a_listening_exchange(rng, known):
    """The extended protocol: named statements that are executed again, some without a Sync between them."""
    out = []
    for _ in range(rng.choice((1, 1, 2, 3))):
        name = rng.choice(("", "", "s1", "s2"))
        if name == "" or name not in known or rng.random() < 0.3:
            while True:
                sql = rng.choice((a_listen, a_listen, beside_listen))(rng)
                if sql.isascii() and ";" not in sql and not re.search("DISCARD ALL", sql):
                    break
            if name in known:
                out.append(("C", "S", name))
            known[name] = sql
            out.append(("P", name, sql))
        out += [("B", "", name, ()), ("E", "", 0)]
        if rng.random() < 0.3:
            out.insert(-1, ("D", "P", ""))
        if rng.random() < 0.4:
            out.append(("S",))
    if out[-1] != ("S",):
        out.append(("S",) if rng.random() < 0.9 else ("H",))
    return out


def a_pin(rng):
    return rng.choice((
        "LISTEN \"ch@K\"", "LISTEN other", "UNLISTEN *", "UNLISTEN \"ch@K\"", "NOTIFY \"ch@K\", 'hello'",
        "SELECT pg_notify('ch@K', 'again')",
        "CREATE TEMP TABLE tt (a int)", "CREATE TEMP TABLE tt (a int) ON COMMIT DROP",
        "CREATE TEMP TABLE tt AS SELECT 7 AS a", "SELECT 8 AS a INTO TEMP tt2", "INSERT INTO tt VALUES (1)",
        "SELECT * FROM tt", "DROP TABLE tt", "CREATE TEMP VIEW tv AS SELECT 9", "SELECT * FROM tv",
        "DISCARD TEMP", "DISCARD PLANS", "DISCARD SEQUENCES",
        "DECLARE c1 CURSOR FOR SELECT a FROM t ORDER BY a", "FETCH 2 FROM c1", "CLOSE c1", "CLOSE ALL",
        "DECLARE c2 CURSOR WITH HOLD FOR SELECT a, b FROM t ORDER BY a", "FETCH c2", "CLOSE c2",
        "SELECT pg_advisory_lock(@K)", "SELECT pg_try_advisory_lock_shared(@K)",
        "SELECT pg_advisory_unlock(@K)", "SELECT pg_advisory_unlock_all()",
        "SELECT pg_advisory_xact_lock(@K)", "SELECT pg_try_advisory_xact_lock(@K)",
        "PREPARE q1 AS SELECT 10", "PREPARE q2(int) AS SELECT $1 + 1, current_setting('work_mem')",
        "EXECUTE q1", "EXECUTE q2(4)", "DEALLOCATE q1", "DEALLOCATE PREPARE q2", "DEALLOCATE ALL",
        "DISCARD ALL", "DISCARD ALL"))


def a_forget(rng):
    return rng.choice(("DEALLOCATE s1", "DEALLOCATE s2", "deallocate prepare s1", 'DEALLOCATE "S ""4"',
                       "DEALLOCATE nobody", "DEALLOCATE ALL", "DISCARD ALL", "RESET ALL", "DEALLOCATE q1",
                       "DISCARD PLANS"))


def somewhere(rng, sql):
    """Names the schema of the table t sometimes."""
    return re.sub(r"(?<![.\w])t\b(?! \(a int\))", "@Sa.t", sql) if rng.random() < 0.5 else sql


def a_statement(rng, pins):
    return somewhere(rng, _a_statement(rng, pins))


def _a_statement(rng, pins):
    """One SQL statement, and sometimes a string of them."""
    roll = rng.random()
    if roll < 0.30:
        return a_set(rng)
    if roll < 0.48:
        return a_transaction(rng)
    if roll < 0.66:
        return rng.choice(PROBES)
    if roll < 0.80:
        return a_query(rng)
    if roll < 0.86:
        return a_forget(rng)
    if roll < 0.93:
        return a_pin(rng) if pins else rng.choice(PROBES)
    return "; ".join(a_statement(rng, pins) for _ in range(rng.randrange(2, 5)))


# Texts for Parse, with values for their parameters.
TEXTS = (
    ("SELECT $1::int + 1", lambda r: (r.choice((1, 2, "x", None)),)),
    ("SELECT a, b FROM t WHERE a >= $1 ORDER BY a", lambda r: (r.randrange(5),)),
    ("SELECT * FROM t ORDER BY a", lambda r: ()),
    ("SELECT * FROM @Sb.t ORDER BY a DESC", lambda r: ()),
    ("INSERT INTO t VALUES ($1, $2) RETURNING a", lambda r: (r.randrange(3, 15), "p")),
    ("SELECT set_config('app.x', $1, false)", lambda r: (r.choice(("v1", "v2", "")),)),
    ("SELECT set_config('TimeZone', $1, false)", lambda r: (r.choice(("Asia/Tokyo", "UTC", "x")),)),
    ("SELECT 10 / $1::int", lambda r: (r.choice((0, 2)),)),
    ("SELECT $1::text || chr(228)", lambda r: (r.choice(("a", "ü")),)),
    ("SELECT nonsense", lambda r: ()),
)


def a_text(rng, pins):
    if rng.random() < 0.55:
        sql, values = rng.choice(TEXTS)
        return somewhere(rng, sql), values
    while True:
        sql = a_statement(rng, pins)
        # A string of statements is refused, which is tested often enough. Texts are parsed again
        # with what client_encoding and standard_conforming_strings are then.
        if sql and sql.isascii() and "\\" not in sql and (";" not in sql or rng.random() < 0.2):
            return sql, lambda r: ()


def a_use(rng, known, pins):
    """Some messages that belong together, mostly."""
    roll = rng.random()
    portal = rng.choice(("", "", "") + PORTALS)
    limit = rng.choice((0, 0, 0, 1, 2))
    if roll < 0.35:
        sql, values = a_text(rng, pins)
        known[""] = values
        out = [("P", "", sql), ("B", portal, "", values(rng)), ("E", portal, limit)]
        if rng.random() < 0.5:
            out.insert(2, ("D", "P", portal))
        if rng.random() < 0.1:
            out.pop(rng.randrange(len(out)))
        return out
    if roll < 0.55:
        name = rng.choice(STATEMENTS)
        sql, values = a_text(rng, pins)
        out = [("P", name, sql)]
        if name not in known or rng.random() < 0.6:
            if rng.random() < 0.8:
                out.insert(0, ("C", "S", name))
            known[name] = values
        if rng.random() < 0.4:
            out.append(("D", "S", name))
        if rng.random() < 0.5:
            out += [("B", portal, name, values(rng)), ("E", portal, limit)]
        return out
    if roll < 0.85:
        name = rng.choice(sorted(known) or STATEMENTS)
        values = known[name](rng) if name in known else ()
        out = [("B", portal, name, values), ("E", portal, limit)]
        if rng.random() < 0.3:
            out.insert(1, ("D", "P", portal))
        if rng.random() < 0.2:
            out.insert(0, ("D", "S", name))
        if limit:
            out.append(("E", portal, rng.choice((0, 1))))
        return out
    if roll < 0.89:
        return [("C", "S", rng.choice(STATEMENTS + ("", "q1")))]
    if roll < 0.91:
        return [("C", "P", portal)]
    if roll < 0.93 and pins:
        return [("B", "", rng.choice(SQL_STATEMENTS), (3,) if rng.random() < 0.5 else ()), ("E", "", 0)]
    if roll < 0.96:
        return [("P", "cp", "COPY @Sa.t FROM STDIN"), ("B", "", "cp", ()), ("Y", "", a_copy(rng),
                                                                          rng.choice("cccf")),
                ("C", "S", "cp")]
    return [("D", rng.choice("SP"), rng.choice(("", "s1", "p1", "nobody")))]


def a_copy(rng):
    return "".join("%d\tcopied\n" % rng.randrange(5, 40) for _ in range(rng.randrange(4))) + \
        rng.choice(("", "", "", "x\ty\n"))


def parted(messages, texts):
    """With a Sync behind each Execute that may deallocate statements. `texts`: name to text, kept."""
    out, portals = [], {}
    for m in messages:
        out.append(m)
        if m[0] == "P":
            texts.setdefault(m[1], set()).add(m[2])
        elif m[0] == "B":
            portals[m[1]] = m[2]
        elif m[0] == "E" and any(re.search("DEALLOCATE|DISCARD ALL", text, re.I)
                                 for text in texts.get(portals.get(m[1]), ())):
            out.append(("S",))
    return out


def a_pipeline(rng, known, pins, texts):
    out = []
    for _ in range(rng.choice((1, 1, 1, 1, 2, 2, 3, 5))):
        out += a_use(rng, known, pins)
        roll = rng.random()
        if roll < 0.3:
            out.append(("S",))
        elif roll < 0.36:
            out.append(("H",))
    out = parted(out, texts)
    if out[-1] not in (("S",), ("H",)):
        out.append(("S",) if rng.random() < 0.93 else ("H",))
    return ("X", out)


def a_startup(rng):
    params = {}
    if rng.random() < 0.35:
        for name, value in (("TimeZone", "Asia/Tokyo"), ("DateStyle", "German"), ("work_mem", "6MB"),
                            ("search_path", "@Sb"), ("client_encoding", "LATIN1"), ("app.y", "start"),
                            ("extra_float_digits", "3"), ("default_transaction_read_only", "on"),
                            ("options", "-c work_mem=8MB -c app.x=opt\\ ion"), ("role", "fz_one")):
            if rng.random() < 0.2:
                params[name] = value
    return params


RESETS = re.compile(r"\bRESET\b|\bDEFAULT\b|TIME ZONE LOCAL|DISCARD ALL|ROLE NONE")


# ---- programs that know unnamed statements only, while others alter the tables ----
INT, TEXT = 23, 25
UNNAMED = (
    # text, types, values of its parameters
    ("SELECT a, b FROM t WHERE a >= $1 ORDER BY a", (INT,), lambda r: (r.randrange(5),)),
    ("SELECT a, b FROM t WHERE a >= $1::int ORDER BY a", (), lambda r: (r.choice((2, "x", None)),)),
    ("SELECT a FROM t WHERE a = $1", (), lambda r: (r.randrange(5),)),
    ("SELECT t.a, t.b FROM t WHERE t.a >= $1 ORDER BY t.b, t.a", (INT,), lambda r: (r.randrange(5),)),
    ("SELECT i.a, i.c FROM t i ORDER BY i.a", (), lambda r: ()),
    ("SELECT * FROM t ORDER BY a", (), lambda r: ()),
    ("SELECT b FROM t ORDER BY a", (), lambda r: ()),
    ("TABLE @Sa.t ORDER BY a", (), lambda r: ()),
    ("SELECT t FROM @Sb.t ORDER BY a", (), lambda r: ()),
    ("SELECT (SELECT b FROM t i WHERE i.a = t.a) FROM t ORDER BY a", (), lambda r: ()),
    ("UPDATE t SET b = $1 WHERE a = $2", (TEXT, INT), lambda r: ("new", r.randrange(5))),
    ("UPDATE @Sa.t SET b = b WHERE a = $1 RETURNING *", (INT,), lambda r: (r.randrange(5),)),
    ("INSERT INTO t (a, b) VALUES ($1, $2) ON CONFLICT DO NOTHING", (INT, TEXT), lambda r: (r.randrange(20), "in")),
    ("INSERT INTO t (a, b) VALUES ($1, $2) ON CONFLICT (a) DO UPDATE SET b = excluded.b", (INT, TEXT),
     lambda r: (r.randrange(20), "up")),
    ("DELETE FROM @Sb.t WHERE a = $1", (INT,), lambda r: (r.randrange(20),)),
    ("SELECT a / $1 FROM @Sa.t ORDER BY a", (INT,), lambda r: (r.choice((0, 2)),)),
    ("SELECT count(*) FROM t", (), lambda r: ()),
    ("SELECT nonsense FROM t", (), lambda r: ()),
    ("SELECT c FROM @Sa.t ORDER BY a", (), lambda r: ()),
    ("SELECT lower(b) FROM t ORDER BY a", (), lambda r: ()),
    ("SELECT a FROM t WHERE b = 'a1' ORDER BY a", (), lambda r: ()),
)
ALTERATIONS = ("ALTER a TYPE bigint", "ALTER a TYPE int", "ALTER b TYPE varchar(40)", "ALTER b TYPE text",
               "ADD COLUMN IF NOT EXISTS c int DEFAULT 7", "ADD COLUMN IF NOT EXISTS c text DEFAULT 'c'",
               "DROP COLUMN IF EXISTS c")
UNALTERED = "".join("ALTER TABLE @S%s.t ALTER a TYPE int, ALTER b TYPE text, DROP COLUMN IF EXISTS c;" % s for s in "ab")


def is_altered(program):
    return any(s[0] == "A" for s in program[1])


def an_unnamed_exchange(rng, mine):
    out = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        sql, types, values = rng.choice(mine)
        out += [("P", "", sql, types), ("B", "", "", values(rng)), ("D", "P", ""), ("E", "", 0)]
        if rng.random() < 0.3:
            out.insert(-3, ("D", "S", ""))
        if rng.random() < 0.3:
            out.pop(-2)
        if rng.random() < 0.15:
            out.append(("S",))
    if out[-1] != ("S",):
        out.append(("S",))
    return ("X", out)


def generate_unnamed(rng):
    """The same with unnamed statements that repeat, and with alterations."""
    startup = {"search_path": rng.choice(("@Sa", "@Sb", "@Sb, @Sa"))} if rng.random() < 0.7 else {}
    mine = [rng.choice(UNNAMED) for _ in range(rng.choice((1, 2, 4)))]
    steps = []
    for _ in range(rng.choice((8, 16, 24, 32))):
        roll = rng.random()
        if roll < 0.12:
            steps.append(("A", "ALTER TABLE @S%s.t %s" % (rng.choice("ab"), rng.choice(ALTERATIONS))))
        elif roll < 0.25:
            sql = rng.choice((a_transaction, a_transaction, a_set))(rng)
            if not RESETS.search(sql):
                steps.append(("Q", sql) if rng.random() < 0.6 else
                             ("X", [("P", "", sql), ("B", "", "", ()), ("E", "", 0), ("S",)]))
        else:
            steps.append(an_unnamed_exchange(rng, mine))
    return startup, steps


def generate(rng, kind=None):
    """(startup parameters, steps). `kind`: None; "listening" for programs that listen only; "silent" for those
    that do not."""
    if kind == "listening":
        return generate_listening(rng)
    roll = rng.random()
    if roll < 0.4:
        return generate_unnamed(rng)
    if roll < 0.65 and kind != "silent":
        return generate_listening(rng)
    startup = a_startup(rng)
    known, texts = {}, {}
    pins = rng.random() < 0.5
    steps = []
    for _ in range(rng.choice((4, 8, 12, 16, 24))):
        roll = rng.random()
        if roll < 0.5:
            steps.append(("Q", a_statement(rng, pins)))
        elif roll < 0.96:
            steps.append(a_pipeline(rng, known, pins, texts))
        else:
            steps.append(("Y", "COPY t FROM STDIN", a_copy(rng), rng.choice("cccf")))
    if startup:
        steps = [s for s in steps if not RESETS.search(repr(s))]
    return startup, steps


# ---- running ---------------------------------------------------------------------------------------
def _quoted(text):
    return "'%s'" % text.replace("'", "''")


# Types of the messages that end the answer to one message of the extended protocol.
ENDS = "123TnCsI"


class Place:
    """Where a program runs: the schema @S and the number @K."""

    def __init__(self, schema, number):
        self.schema, self.number = schema, "%09d" % (100000000 + number)

    def text(self, s):
        return s.replace("@S", self.schema).replace("@K", self.number)


def _copy(data, end):
    out = wire.copy_data(data.encode()) if data else b""
    return out + (wire.copy_done() if end == "c" else wire.copy_fail("enough"))


def encode(step, place):
    """The bytes of a step."""
    if step[0] == "Q":
        return wire.query(place.text(step[1]))
    if step[0] == "Y":
        return wire.query(place.text(step[1])) + _copy(step[2], step[3])
    out = b""
    for m in step[1]:
        if m[0] == "P":
            out += wire.parse(place.text(m[2]), m[1], m[3] if len(m) > 3 else ())
        elif m[0] == "B":
            out += wire.bind(m[3], m[1], m[2])
        elif m[0] == "D":
            out += wire.describe(m[1], m[2])
        elif m[0] == "E":
            out += wire.execute(m[1], m[2])
        elif m[0] == "C":
            out += wire.close_(m[1], m[2])
        elif m[0] == "Y":
            out += wire.execute(m[1]) + _copy(m[2], m[3])
        else:
            out += wire.sync() if m[0] == "S" else wire.flush()
    return out


# Names that pgwithd gives, and those of programs: both become STATEMENT.
NAMES = re.compile(rb'prepared statement "(pgwith_\w+|s\d|S ""?4|cp|this_session_has_no_\w+)"'
                   rb'|unnamed prepared statement')


def normal(kind, body, place):
    """A message as it must be in both."""
    body = body.replace(place.number.encode(), b"@K")
    if kind == "T":
        # Without the oids of tables, as temporary ones differ, and the numbers of columns, which grow.
        out, at = body[:2], 2
        for _ in range(struct.unpack_from("!h", body)[0]):
            end = body.index(b"\0", at) + 1
            out += body[at:end] + body[end + 6:end + 18]
            at = end + 18
        return kind, out
    if kind in "EN":
        fields = sorted(f for f in body.split(b"\0") if f and f[:1] in b"VCMDHPpqsWtcn")
        if b"C42501" in fields:
            # What is prepared again is refused to the role of then when it is parsed, not when it runs.
            fields = [f for f in fields if f[:1] in b"VC"]
        return kind, NAMES.sub(b"STATEMENT", b"|".join(fields))
    return kind, body


class Session:
    """A client that runs a program step by step and keeps what came."""

    LATE_S = 4  # within which a notification comes that the direct connection has got

    def __init__(self, client, place, alter=None, direct=None):
        """alter(sql) is how somebody else alters a table, and notifies. `direct`: the answers of the same program on a
        direct connection, if this is another one."""
        self.client, self.place, self.alter = client, place, alter
        self.wanted = list(direct[-1][1]) if direct and isinstance(direct[-1][1], list) else None
        self.counts = []        # of each step: notifications by then, or None if it is not at rest behind it
        self.idle = True        # all that has been asked for is answered, and no transaction is open
        self.inside = False     # a notification has come while it was not
        self.unsynced = False   # a step ended without Sync: a COMMIT in it has ended the transaction
        self.skipping = False   # an error came, and no Sync has gone since
        self.answers = []       # of each step: messages, and the parameters where that is known
        self.notified = []
        self.over = False
        self.answers.append(([], self._parameters()))

    def _parameters(self):
        return {k: v for k, v in self.client.parameters.items() if k != "application_name"}

    @property
    def at_rest(self):
        return self.client.status == "I" and not self.skipping

    def run(self, step):
        if self.over:
            return
        if step[0] in "AN":
            if step[0] == "N":
                self.alter("SELECT pg_notify(%s, %s)" % tuple(_quoted(self.place.text(s)) for s in step[1:]))
            elif self.at_rest and self.alter:
                self.alter(self.place.text(step[1]))
            self.answers.append(([], None))
            self._count(step[0] == "N")
            return
        got = []
        try:
            self.client.send(encode(step, self.place))
            self._read(step, got)
            self.answers.append((got, self._parameters() if got[-1:] and got[-1][0] == "Z" else None))
        except (wire.Closed, ConnectionError):
            self.answers.append((got, "closed"))
            self.over = True
        self.unsynced = self.unsynced or step[0] == "X" and step[1][-1:] != [("S",)]
        self._count()

    def _count(self, told=False):
        """Notes how many notifications have come; for this, waits until as many have as directly. `told`: there may be
        one that nothing has been asked behind."""
        if self.over or not self.idle or self.skipping:
            self.counts.append(None)
            return
        try:
            if self.wanted is None:
                if told:
                    # PostgreSQL tells what there is before it answers.
                    self.client.send(wire.sync())
                    self._until([], 1, 0)
            else:
                self._await(self.wanted[len(self.counts)] if len(self.counts) < len(self.wanted) else None)
        except (wire.Closed, ConnectionError):
            self.over = True
        self.counts.append(len(self.notified))

    def _await(self, count):
        """Reads notifications until so many have come, or the time is over."""
        end = time.monotonic() + self.LATE_S * slow_factor()
        while count is not None and len(self.notified) < count and time.monotonic() < end:
            self.client.sock.settimeout(max(0.001, end - time.monotonic()))
            try:
                self._until([], 0, 0, True)
            except TimeoutError:
                self.wanted = []  # the runs differ now: no need to wait any more
            finally:
                self.client.sock.settimeout(wire.read_timeout())

    def _read(self, step, got):
        if step[0] != "X":
            if not self.skipping:
                self._until(got, 1, 0)
            return
        messages = [m[0] for m in step[1]]
        syncs = messages.count("S")
        tail = messages[len(messages) - messages[::-1].index("S"):] if syncs else messages
        if syncs:
            self._until(got, syncs, 0)
        if not self.skipping:
            self._until(got, 0, sum(m != "H" for m in tail))

    def _until(self, got, readies, answers, one=False):
        """Reads that many ReadyForQuery, and then answers of that many messages or an error. `one`: one message."""
        while readies > 0 or answers > 0 or one:
            one = False
            kind, body = self.client.read()
            if kind == "S":
                name, value = body.split(b"\0")[:2]
                self.client.parameters[name.decode()] = value.decode()
                continue
            if kind == "A":
                self.notified.append(body[4:].replace(self.place.number.encode(), b"@K"))
                self.inside = not self.idle and not self.unsynced
                continue
            if self.inside and kind != "Z" and self.wanted is not None:
                got.append(("A", b"inside of an answer or a transaction"))
            got.append(normal(kind, body, self.place))
            self.idle = (kind, body) == ("Z", b"I")
            self.inside = False
            self.unsynced = self.unsynced and kind != "Z"
            if kind == "Z":
                self.client.status = body.decode()
                self.skipping = False
                readies -= 1
            elif kind == "E" and readies == 0:
                self.skipping = True
                return
            elif kind in ENDS and readies == 0:
                answers -= 1

    def finish(self):
        """A Sync, so that all that came is there, and the end; what came in all."""
        self.run(("X", [("S",)]))
        self.client.close()
        return self.answers + [(self.notified, self.counts)]


# Of a Bind: its parameters, or a portal of that name that is there; and what only the analysis of a text says.
OF_BIND = re.compile(rb"C(08P01|42P03|22P02|22P03)\b")
OF_ANALYSIS = re.compile(rb"C(0A000|3F000|42\w{3}|55000)\b")


def wrong_in_two_ways(direct, pooled):
    """A Bind may be wrong, and its statement, too, where it has to be prepared again: pgwithd(8) says so."""
    return direct[0] == pooled[0] == "E" and OF_BIND.search(direct[1]) and OF_ANALYSIS.search(pooled[1])


def begins_behind_a_parse(step, direct, pooled):
    """BEGIN with an isolation level is refused behind a statement of the same exchange that has to be
    prepared again: pgwithd(8) says so. From there on the two runs have nothing in common."""
    if step[0] != "X" or type(direct) is not list or type(pooled) is not list:
        return False
    for d, p in zip(direct, pooled):
        if d != p:
            return d == ("C", b"BEGIN\0") and p[0] == "E" and b"C25001" in p[1]
    return False


def describes_in_a_failed_one(direct, pooled):
    """In a transaction that has failed, a Describe is refused, as the statement has to be prepared again: pgwithd(8) says
    so. Without a Sync behind it, what follows is answered directly, and skipped behind the error."""
    if type(direct) is not list or type(pooled) is not list or len(direct) < len(pooled) or not pooled:
        return False
    n = len(pooled) - 1
    return direct[:n] == pooled[:n] and pooled[n][0] == "E" and b"C25P02" in pooled[n][1] and {k for k, _ in direct[n:]} <= {"t", "n"}


def same(direct, pooled):
    """Are the messages the same? In a transaction that has failed, a statement that the server lacks
    cannot be prepared again: 25P02 in place of another error, or of an answer without rows. A role
    that may not use a statement is refused where the server prepares it again, which can be with
    its Describe; directly, it is described, and refused with the Bind."""
    d, p = list(direct), list(pooled)
    while d and p:
        if p[0][0] == "E" and b"C42501" in p[0][1]:
            described = d[0][0] in ("t", "T", "n")
            while d[0][0] in ("t", "T", "n"):
                d.pop(0)
            # Directly, the Describe was the last message before the Sync.
            if described and len(p) > 1 and p[1] == d[0] == ("Z", b"I"):
                p.pop(0)
        if d[0] != p[0] and not wrong_in_two_ways(d[0], p[0]):
            if p[0][0] != "E" or b"C25P02" not in p[0][1]:
                return False
            while d and d[0][0] != "Z":
                d.pop(0)
            while p and p[0][0] != "Z":
                p.pop(0)
            if not d and not p and direct[-1][0] == "E":
                return True
            if not d or not p or d[0] != p[0] or d[0][1] != b"E":
                return False
        d.pop(0)
        p.pop(0)
    return d == p


def difference(steps, direct, pooled):
    """The first difference of two runs for people, or None."""
    direct = [(p[0] if type(d[0]) is type(p[0]) is list and same(d[0], p[0]) else d[0], d[1])
              for d, p in zip(direct, pooled)] + direct[len(pooled):]
    if direct == pooled:
        return None
    labels = ["login"] + [describe(s) for s in steps] + ["the last Sync", "notifications"]
    for label, step, d, p in zip(labels, [("",)] + steps + [("",)] * 2, direct, pooled):
        if d == p:
            continue
        if begins_behind_a_parse(step, d[0], p[0]) or describes_in_a_failed_one(d[0], p[0]):
            return None
        if isinstance(d[1], dict) and isinstance(p[1], dict) and d[0] == p[0]:
            odd = {k: (d[1].get(k), p[1].get(k)) for k in set(d[1]) | set(p[1])
                   if d[1].get(k) != p[1].get(k)}
            return "%s\n    parameters (direct, pooled): %r" % (label, odd)
        if label == "notifications":
            return "%s, and how many by each step\n    direct: %r\n    pooled: %r" % (label, d, p)
        return "%s\n    direct: %r\n    pooled: %r" % (label, d[0], p[0] if p[1] != "closed" else
                                                       p[0] + ["closed"])
    return "one run is shorter: %d and %d" % (len(direct), len(pooled))


def describe(step):
    if step[0] == "X":
        return "X " + "  ".join(" ".join(repr(v) if i else v for i, v in enumerate(m)) for m in step[1])
    return " ".join([step[0]] + [repr(v) for v in step[1:]])


def shrink(program, fails, budget):
    """Takes away from the program what it fails without, in at most `budget` tries. `fails(program)`."""
    params, steps = program
    tries = 0

    def still(p, s):
        nonlocal tries
        tries += 1
        return tries <= budget and fails((p, s))

    size = max(1, len(steps) // 2)
    while tries < budget:
        at, cut = 0, False
        while at < len(steps):
            fewer = steps[:at] + steps[at + size:]
            if still(params, fewer):
                steps, cut = fewer, True
            else:
                at += size
        if size > 1:
            size = size // 2
        elif not cut:
            break
    for name in sorted(params):
        fewer = {k: v for k, v in params.items() if k != name}
        if still(fewer, steps):
            params = fewer
    for i, step in enumerate(steps):
        at = 0
        while step[0] == "X" and at < len(step[1]) - 1:
            shorter = ("X", step[1][:at] + step[1][at + 1:])
            if still(params, steps[:i] + [shorter] + steps[i + 1:]):
                step = shorter
                steps = steps[:i] + [step] + steps[i + 1:]
            else:
                at += 1
    return params, steps
