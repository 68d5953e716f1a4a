"""What a Parse depends on: random programs over settings, roles, temporary objects, DDL by oneself and by others,
rollbacks and statements, with and without names, get the same answers through pgwithd, on whatever server each step
runs, as on direct connections, one a session.

A program is a list of steps of three sessions and an administrator, done one after the other: first by direct
connections, then by sessions of the daemon, among others that hold some of its servers, so that each transaction
gets another one. The daemon and its servers stay through all programs, with everything that was prepared there.

PGWITH_PARSE_PROGRAMS is the number of programs (2,000 take some minutes); --seed repeats a run. A program that fails
is cut down to a short one, which is printed.

Left out is what pgwithd(8), Session state, names: literals whose settings the session has changed since the Parse, and
what has been created since then that the text would rather mean. PostgreSQL goes on with what the statement meant, as
long as nothing of it changes; prepared on another server it means what it means now."""

import os
import struct
import time

from pgwtest import check, main, note, sanitized, test, wait_until, wire

PROGRAMS = int(os.environ.get("PGWITH_PARSE_PROGRAMS") or (60 if sanitized() else 150))
SESSIONS = 3
SIZE = 6
TRIES = 150
NAMES = ("a", "b", "c", "")

RESET = """
SET client_min_messages = error;
DROP SCHEMA IF EXISTS s1, s2, pe_one, pe_two CASCADE;
DROP TABLE IF EXISTS public.item, public.wide, public.moody CASCADE; DROP TYPE IF EXISTS public.mood CASCADE;
CREATE SCHEMA s1; CREATE SCHEMA s2; CREATE SCHEMA pe_one; CREATE SCHEMA pe_two;
CREATE TABLE s1.item (code int); INSERT INTO s1.item VALUES (7);
CREATE TABLE s2.item (code text); INSERT INTO s2.item VALUES ('007');
CREATE TABLE pe_one.item (code date); INSERT INTO pe_one.item VALUES ('2020-01-02');
CREATE TABLE pe_two.item (code numeric); INSERT INTO pe_two.item VALUES (7.50);
CREATE TABLE public.item (code bigint); INSERT INTO public.item VALUES (77);
CREATE TABLE public.wide (id int, amount int, fee text); INSERT INTO public.wide VALUES (1, 1000, 'x');
CREATE TYPE public.mood AS ENUM ('sad', 'happy');
CREATE VIEW s1.v AS SELECT code FROM s1.item; CREATE VIEW s2.v AS SELECT code FROM s2.item;
CREATE FUNCTION s1.f(int) RETURNS text LANGUAGE sql AS 'SELECT ''s1 int ''::text || $1';
CREATE FUNCTION s2.f(text) RETURNS text LANGUAGE sql AS 'SELECT ''s2 text '' || $1';
GRANT ALL ON SCHEMA public, s1, s2, pe_one, pe_two TO PUBLIC;
GRANT ALL ON ALL TABLES IN SCHEMA public, s1, s2, pe_one, pe_two TO PUBLIC;
"""

# A text, the values that it may be given, what of the settings its literals depend on.
TEXTS = (
    ("SELECT * FROM item", ((),), ""),
    ("SELECT code FROM item WHERE code::text <> $1::text", (("x",), ("7",)), ""),
    ("INSERT INTO item VALUES ($1) RETURNING *", (("7",), ("0013",), ("2021-03-04",)), ""),
    ("UPDATE item SET code = $1 RETURNING code", (("8",), ("0014",), ("2021-03-04",)), ""),
    ("SELECT $1 = code FROM item", (("7",), ("007",)), ""),
    ("SELECT code + 1 FROM item", ((),), ""),
    ("SELECT * FROM v", ((),), ""),
    ("SELECT * FROM public.wide", ((),), ""),
    ("SELECT amount FROM public.wide WHERE amount < $1", (("2000",), ("3.5",)), ""),
    ("INSERT INTO public.wide (id, amount) VALUES ($1, $2)", (("2", "7"), ("3", "007")), ""),
    ("SELECT f($1)", (("5",), ("five",)), ""),
    ("SELECT $1::mood", (("sad",), ("glad",)), ""),
    ("SELECT mood FROM moody WHERE mood = $1", (("sad",),), ""),
    ("SELECT count(*), current_schema FROM item", ((),), ""),
    ("SELECT current_user, current_schemas(false)", ((),), ""),
    ("SELECT '2024-07-01 12:00'::timestamptz AT TIME ZONE 'UTC'", ((),), "zone"),
    ("SELECT '01/02/2024'::date + $1::int", (("1",),), "date"),
    ("SELECT 'a\\b', 'it''s'", ((),), "strings"),
    ("SELECT 'happy'::mood", ((),), "mood"),
    ("SELECT count(*) FROM item WHERE NULL = NULL OR code IS NULL", ((),), "null"),
    ("SHOW search_path", ((),), ""),
    ("BEGIN", ((),), ""),
    ("COMMIT", ((),), ""),
    ("SELECT", ((),), ""),
    ("", ((),), ""),
    ("SELEC 1", ((),), ""),
)
ENDS = ("BEGIN", "COMMIT")

# Settings: SQL without SET, and what literals depend on.
PATHS = ("search_path = s1", "search_path = s2, s1", "search_path = public", 'search_path = "$user", public',
         "search_path = s1, public", "search_path = s2, public")
SETTINGS = PATHS + PATHS + (
    "TimeZone = 'Asia/Tokyo'", "TimeZone = 'America/New_York'", "DateStyle = 'German'", "DateStyle = 'SQL, DMY'",
    "standard_conforming_strings = off", "standard_conforming_strings = on", "transform_null_equals = on",
    "role = pe_one", "role = pe_two", "role = none")
MEANT = {"Ti": "zone", "Da": "date", "st": "strings", "tr": "null"}

DDL = (
    "ALTER TABLE s1.item ALTER code TYPE text",
    "ALTER TABLE s1.item ALTER code TYPE bigint USING 7",
    "ALTER TABLE s2.item ALTER code TYPE int USING 7",
    "ALTER TABLE public.item ALTER code TYPE text",
    "DROP TABLE s1.item CASCADE; CREATE TABLE s1.item (code text); INSERT INTO s1.item VALUES ('new')",
    "DROP TABLE public.item CASCADE; CREATE TABLE public.item (code int)",
    "ALTER TABLE public.wide DROP amount; ALTER TABLE public.wide ADD amount float4 DEFAULT 2.5",
    "ALTER TABLE public.wide ADD more int DEFAULT 3",
    "ALTER TABLE public.wide DROP fee",
    "DROP TYPE IF EXISTS public.mood CASCADE; CREATE TYPE public.mood AS ENUM ('happy', 'sad', 'glad')",
    "ALTER TYPE public.mood RENAME VALUE 'sad' TO 'glad'",
    "CREATE TABLE public.moody (mood text); INSERT INTO public.moody VALUES ('sad')",
    "DROP TABLE IF EXISTS public.moody; CREATE TABLE public.moody (mood public.mood)",
    "DROP VIEW s1.v; CREATE VIEW s1.v AS SELECT code, 1 AS one FROM s1.item",
    "CREATE OR REPLACE VIEW s2.v AS SELECT code FROM s2.item WHERE code IS NOT NULL",
    "DROP FUNCTION s1.f(int)",
    "CREATE OR REPLACE FUNCTION s2.f(text) RETURNS text LANGUAGE sql AS 'SELECT ''s2 new '' || $1'",
    "DROP FUNCTION s2.f(text); CREATE FUNCTION s2.f(text) RETURNS int LANGUAGE sql AS 'SELECT 5'",
    "ALTER TABLE s2.item RENAME TO gone",
    "DROP TABLE s2.item CASCADE",
)
# What others see only behind its COMMIT; and what hides something that was there.
OWN = (
    "CREATE TEMP TABLE item (code uuid)",
    "CREATE TEMP TABLE item AS SELECT 1.5::float4 AS code",
    "CREATE TEMP VIEW v AS SELECT 1 AS temporary",
)
LOST = ("DROP TABLE IF EXISTS pg_temp.item", "DROP VIEW IF EXISTS pg_temp.v", "DISCARD TEMP")


# ---- programs ----


class Knowledge:
    """What the generator knows of a session: whether its transaction is open, and of which names the text may be
    used (what it means is what PostgreSQL would make of it now)."""

    def __init__(self):
        self.open = False
        self.names = {}         # to the text's index

    def forget_meant(self, what):
        for name in [n for n, i in self.names.items() if i is not None and TEXTS[i][2] in what]:
            self.names[name] = None

    def forget_all(self):
        for name in self.names:
            self.names[name] = None


def generate(rng):
    """A list of (session, kind, argument). Session -1 is the administrator."""
    steps = []
    know = [Knowledge() for _ in range(SESSIONS)]
    held = None  # the session whose transaction has created something: the others would wait for it
    texts = [rng.randrange(len(TEXTS) - 1) for _ in range(rng.randint(2, 4))]
    settings = [rng.choice(SETTINGS) for _ in range(rng.randint(2, 5))]
    for _ in range(rng.randint(8, 40)):
        i = held if held is not None else rng.randrange(SESSIONS)
        k = know[i]
        what = rng.random()
        if what < 0.14:
            setting = rng.choice(settings)
            how = rng.choice(("SET ", "SET ", "SET LOCAL ", "SET LOCAL ", "config"))
            if how == "config":
                name, value = setting.split(" = ")
                sql = "SELECT set_config('%s', '%s', %s)" % (name, value.replace("'", ""), rng.choice(("true", "false")))
            else:
                sql = how + setting
            steps.append((i, "query", sql))
            k.forget_meant((MEANT.get(setting[:2]),))
        elif what < 0.17:
            steps.append((i, "query", rng.choice(("RESET ALL", "RESET search_path", "DISCARD ALL", "DISCARD PLANS"))))
            k.forget_meant(tuple(MEANT.values()))
            if steps[-1][2] == "DISCARD ALL" and not k.open:
                k.names.clear()
        elif what < 0.27:
            sql = rng.choice(("BEGIN", "BEGIN", "COMMIT", "ROLLBACK")) if not k.open else rng.choice(
                ("COMMIT", "COMMIT", "ROLLBACK", "ROLLBACK", "SAVEPOINT p", "ROLLBACK TO p"))
            steps.append((i, "query", sql))
            # What SET LOCAL has set, and what was set and rolled back.
            k.forget_meant(tuple(MEANT.values()))
            if sql in ("BEGIN", "COMMIT", "ROLLBACK"):
                k.open = sql == "BEGIN"
            if not k.open:
                held = None
            if "ROLLBACK" in sql:
                k.forget_all()
        elif what < 0.33:
            others = [o for n, o in enumerate(know) if n != i and o.open]
            if others:
                continue
            steps.append((i, "query", rng.choice(DDL)))
            for o in know:
                o.forget_meant(("mood",))
                if "RENAME TO" in steps[-1][2] or "CREATE TABLE" in steps[-1][2]:
                    o.forget_all()
            held = i if k.open else None
        elif what < 0.37:
            if any(o.open for o in know):
                continue
            steps.append((-1, "query", rng.choice(DDL)))
            for o in know:
                o.forget_meant(("mood",))
                if "RENAME TO" in steps[-1][2] or "CREATE TABLE" in steps[-1][2]:
                    o.forget_all()
        elif what < 0.40:
            steps.append((i, "query", rng.choice(OWN if rng.random() < 0.6 else LOST)))
            k.forget_all()
        elif what < 0.64:
            name = rng.choice(NAMES)
            n = rng.choice(texts) if rng.random() < 0.95 else len(TEXTS) - 1
            values = rng.choice(TEXTS[n][1])
            kind = rng.choice(("prepare", "prepare", "described", "described", "at once", "anew"))
            if kind == "anew" and not name:
                kind = "at once"
            if TEXTS[n][0] in ENDS and kind in ("at once", "anew"):
                kind = "prepare"
            refused = name in k.names and name != "" and kind != "anew"
            if refused and rng.random() < 0.8:
                steps.append((i, "close", name))
                refused = False
            steps.append((i, kind, (name, n, values, rng.randrange(2))))
            k.names[name] = None if refused else n
        elif what < 0.94:
            name = rng.choice(list(k.names) or NAMES)
            n = k.names.get(name, 0)
            if n is None or (name and name not in k.names and rng.random() < 0.95):
                continue
            steps.append((i, rng.choice(("run", "run", "run", "described run", "describe")),
                          (name, n, rng.choice(TEXTS[n][1]), rng.randrange(2))))
            if TEXTS[n][0] in ENDS and name in k.names and steps[-1][1] != "describe":
                k.open = TEXTS[n][0] == "BEGIN"
                k.forget_meant(tuple(MEANT.values()))
                held = held if k.open else None
        else:
            name = rng.choice(NAMES)
            kind = rng.choice(("close", "close", "DEALLOCATE", "DEALLOCATE", "DEALLOCATE ALL"))
            everything = kind == "DEALLOCATE ALL"
            if kind == "close":
                steps.append((i, "close", name))
            else:
                steps.append((i, "query", kind if everything else "%s %s" % (kind, name or "nothing")))
            if everything:
                unnamed = k.names.get("", "none")
                k.names.clear()
                if unnamed != "none":
                    k.names[""] = None
            else:
                k.names.pop(name, None)
        if steps and steps[-1][1] == "query":
            k.names.pop("", None)
    return steps


def bytes_of(step):
    """What the session sends for it."""
    _, kind, arg = step
    if kind == "query":
        return wire.query(arg)
    if kind == "close":
        return wire.close_("S", arg) + wire.sync()
    name, n, values, binary = arg
    text = TEXTS[n][0]
    run = wire.bind(values, statement=name, result_formats=(binary,)) + wire.execute()
    described_run = (wire.bind(values, statement=name, result_formats=(binary,)) + wire.describe("P") + wire.execute())
    return {
        "prepare": wire.parse(text, name),
        "described": wire.parse(text, name) + wire.describe("S", name),
        "at once": wire.parse(text, name) + wire.describe("S", name) + run,
        "anew": wire.parse("DEALLOCATE " + name) + wire.bind() + wire.execute() + wire.parse(text, name) + run,
        "run": run,
        "described run": described_run,
        "describe": wire.describe("S", name),
    }[kind] + wire.sync()


def describe_step(step):
    i, kind, arg = step
    if kind in ("query", "close"):
        return "%2d %s %s" % (i, kind, arg)
    name, n, values, binary = arg
    return "%2d %s %r: %s %r%s" % (i, kind, name, TEXTS[n][0], values, " binary" if binary else "")


# ---- running ----


def oid(o):
    """Types that users have made have other numbers each time."""
    return o if o < 16384 else "own"


def columns(body):
    n, at, found = struct.unpack("!h", body[:2])[0], 2, []
    for _ in range(n):
        end = body.index(b"\0", at)
        _, _, kind, size, modifier, form = struct.unpack("!ihihih", body[end + 1:end + 19])
        found.append((body[at:end].decode(), oid(kind), size, modifier, form))
        at = end + 19
    return found


def answer(client):
    """Everything up to ReadyForQuery, as it can be compared."""
    found = []
    while True:
        kind, body = client.read()
        if kind == "T":
            found.append(("T", columns(body)))
        elif kind == "t":
            found.append(("t", [oid(o) for o in struct.unpack("!%di" % ((len(body) - 2) // 4), body[2:])]))
        elif kind == "E":
            f = wire.report_fields(body)
            # Of an internal error (a type is gone in the middle of an exchange) it is chance which of PostgreSQL's functions
            # comes upon it first: that depends on what the backend has in its caches.
            where = None if f.get("C") == "XX000" else f.get("R")
            found.append(("E", f.get("C"), unnumbered(f.get("M")), where, f.get("P")))
        elif kind not in "NSA":
            found.append((kind, body))
        if kind == "Z":
            return found


def unnumbered(text):
    """Without the numbers of objects."""
    return " ".join("N" if w.strip('".,').isdigit() and len(w) > 4 else w for w in (text or "").split())


class Lab:
    def __init__(self, t):
        self.t = t
        for role in ("pe_one", "pe_two"):
            t.cluster.role(role, "")
        self.daemon = t.daemon(size=SIZE, wait_timeout="60s", max_prepared_statements=12)
        self.admin = t.cluster.connect(t.database)
        self.holders = [self.daemon.connect() for _ in range(SIZE - SESSIONS)]
        self.spare = self.daemon.connect()
        t.defer(self.close)

    def close(self):
        for c in [self.admin, self.spare] + self.holders:
            c.close()

    def connect(self, pooled):
        params = {"options": "-c lock_timeout=2000"}
        if pooled:
            return wire.Client(self.daemon.sockets, self.daemon.port, "db", timeout=60, **params)
        return wire.Client(self.t.cluster.sockets, self.t.cluster.port, self.t.database, timeout=60, **params)

    def hold(self, rng):
        """Some of the servers are others'."""
        for c in rng.sample(self.holders, rng.randrange(len(self.holders) + 1)):
            c.send(wire.query("BEGIN; SELECT 1"))
            c.until_ready()

    def let_go(self):
        for c in self.holders:
            if c.status != "I":
                c.send(wire.query("COMMIT"))
                c.until_ready()

    def wait_for_server(self, client):
        """Before a named Parse by itself. If its session holds no server and none is idle, pgwithd answers a known text at
        once, and the error comes with the first use (pgwithd(8), Session state). The holders and the other sessions
        leave a server to the session, but that server may still be in cleanup, or be asked what the session has set."""
        if any(s["state"] == "idle" for s in self.daemon.servers()):
            return

        def state():
            return next(c["state"] for c in self.daemon.clients() if c["id"] == str(client.session))

        wait_until(lambda: state() != "saving", 20, "the session's parameters are known")
        if state() == "idle":
            # It waits in the queue for a server, and gives it back idle.
            self.spare.sql("SELECT 1")

    def run(self, steps, rng=None):
        """rng: through the daemon."""
        for error in self.admin.ask(RESET).errors:
            raise error
        clients = [self.connect(rng is not None) for _ in range(SESSIONS)]
        answers = []
        try:
            for step in steps:
                if rng:
                    self.hold(rng)
                c = self.admin if step[0] < 0 else clients[step[0]]
                if rng and step[1] == "prepare" and step[2][0]:
                    self.wait_for_server(c)
                c.send(bytes_of(step))
                answers.append(answer(c))
                if rng:
                    self.let_go()
        finally:
            for c in clients:
                c.close()
        if rng is None:
            # Their locks are to be gone, too.
            pids = ",".join(str(c.key[0]) for c in clients)
            wait_until(lambda: self.admin.value("SELECT count(*) FROM pg_stat_activity WHERE pid IN (%s)" % pids) == "0",
                       20, "the direct sessions have ended")
        return answers


# Errors of a Bind that PostgreSQL finds before it looks at the plan again, and those of the plan. If there are both,
# pgwithd has looked at the plan first, where it has to be made.
BEFORE_PLAN = ("08P01", "22P02", "22P03", "22007", "22008", "25P02")
# PostgreSQL finds this one, too, before it looks at the plan again: the type of a parameter has been dropped. It is known
# by its text, because all internal errors have its code.
TYPE_GONE = "cache lookup failed for type N"


def not_described(wanted, got):
    """In a transaction that has failed, a statement without result may not be described."""
    return [m[0] for m in wanted] == ["t", "n", "Z"] and [m[0] for m in got] == ["E", "Z"] and got[0][1] == "25P02" and \
        wanted[-1] == got[-1] == ("Z", b"E")


def alike(wanted, got):
    if wanted == got or not_described(wanted, got):
        return True
    # The parameters are told before PostgreSQL looks at the plan.
    if wanted[0][0] == "t" and len(wanted) == 3 and wanted[1][0] == "E":
        wanted = wanted[1:] if got[0][0] == "E" else wanted
    if len(wanted) != len(got) or wanted[-1] != got[-1]:
        return False
    return all(w == g or (w[0] == g[0] == "E" and (w[1] in BEFORE_PLAN or w[2] == TYPE_GONE))
               for w, g in zip(wanted, got))


def difference(steps, wanted, got):
    for step, w, g in zip(steps, wanted, got):
        if not alike(w, g):
            return "%s\n  direct:  %s\n  pgwithd: %s" % (describe_step(step), w, g)
    return None


def differs(lab, steps, rng, wanted=None):
    return difference(steps, wanted or lab.run(steps), lab.run(steps, rng))


def shrink(lab, steps, rng):
    """The same, with as few steps as are needed."""
    size, tries = max(1, len(steps) // 2), 0
    while size > 0 and tries < TRIES:
        at = 0
        while at < len(steps) and tries < TRIES:
            fewer = steps[:at] + steps[at + size:]
            tries += 1
            wanted = lab.run(fewer)
            if any(differs(lab, fewer, rng, wanted) for _ in range(3)):
                steps = fewer
            else:
                at += size
        size //= 2
    return steps


@test(timeout=3600)
def programs(t):
    """random programs of three sessions get the answers of direct connections, whatever server each step runs on"""
    t.unless_crashed(compare)


def compare(t):
    lab = Lab(t)
    started = time.monotonic()
    failures = ran = 0
    seen = {}
    while ran < PROGRAMS and failures < 3:
        steps = generate(t.random)
        ran += 1
        wanted = lab.run(steps)
        for message in sum(wanted, []):
            if message[0] == "E":
                seen[message[1]] = seen.get(message[1], 0) + 1
        found = differs(lab, steps, t.random, wanted)
        if not found:
            continue
        failures += 1
        note("---- program %d gets other answers: %s" % (ran, found))
        steps = shrink(lab, steps, t.random)
        for step in steps:
            note("  " + describe_step(step))
        for _ in range(10):
            found = differs(lab, steps, t.random)
            if found:
                note("difference at " + found)
                break
    note("%d programs in %.1f s; errors: %s" % (ran, time.monotonic() - started, seen))
    check(failures == 0, "%d programs got other answers" % failures)
    if ran >= 100:
        # Otherwise it has not come to what it is for.
        check(seen.get("0A000", 0) > 2, "results have changed: %s" % seen)
    lab.daemon.quiet()


if __name__ == "__main__":
    main()
