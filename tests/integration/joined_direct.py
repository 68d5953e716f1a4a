"""Joined scopes: the state of a session and of a transaction, step by step, as on direct connections: what a unit leaves to
the next one, and to other members. Each step is a member's name (a, b) and a text, or messages up to a ReadyForQuery."""

import struct
import time

from pgwtest import check, equal, main, note, sanitized, test, wire
from pgwtest.joined import enter, enter_token
from pgwtest.wire import query

SETUP = """DROP TABLE IF EXISTS t; CREATE TABLE t (n int UNIQUE, v text);
    INSERT INTO t SELECT g, 'v' || g FROM generate_series(1, 10) g;
    SELECT lo_unlink(oid) FROM pg_largeobject_metadata; SELECT lo_from_bytea(4711, 'secret'), lo_from_bytea(4712, 'other');"""


def told(w, step):
    w.send(query(step) if isinstance(step, str) else step)
    r = w.until_ready()
    return (r.kinds.replace("S", ""), r.rows, r.tags, [(e.severity, e.sqlstate, e.message) for e in r.errors],
            [n["C"] for n in r.notices], r.status)


class Lab:
    """Runs the same steps directly and by members of a scope, and counts what differs."""

    def __init__(self, t, **pool):
        self.t, self.wrong = t, 0
        self.d = t.daemon(size=2, **pool)

    def run(self, make, steps):
        clients, answers = {}, []
        try:
            for name, step in steps:
                if name not in clients:
                    clients[name] = make()
                answers.append(told(clients[name], step))
        finally:
            for w in clients.values():
                w.close()
        return answers

    def same(self, title, steps, but=(), **params):
        """`but`: numbers of steps whose answers are others, as pgwith-scopes(7) says; they are returned."""
        self.t.sql(SETUP)
        direct = self.run(lambda: self.t.direct(**params), steps)
        rows = self.t.value("SELECT array_agg((n, v) ORDER BY n, v) FROM t")
        self.t.sql(SETUP)
        owner = self.d.connect("db")
        token = enter_token(owner)
        joined = self.run(lambda: self.d.connect("db", **params, **{"pgwith.join": token}), steps)
        check(not owner.ask("LEAVE").errors, title + ": the scope has been committed")
        owner.close()
        for i, (one, two) in enumerate(zip(direct, joined)):
            if one != two and i not in but:
                note("%s, step %d %r\n    direct %s\n    member %s" % (title, i, steps[i], one, two))
                self.wrong += 1
        if rows != self.t.value("SELECT array_agg((n, v) ORDER BY n, v) FROM t"):
            note("%s: the rows are others: directly %s" % (title, rows))
            self.wrong += 1
        return [joined[i] for i in but]

    def end(self):
        equal(self.wrong, 0, "answers that differ")


def of_a(*steps):
    return [("a", s) for s in steps]


WRITES = ("INSERT INTO t VALUES (77)", wire.extended("INSERT INTO t VALUES (78)") + wire.sync(), "CREATE TABLE made (n int)")
BLOCKS = [s for how in ("BEGIN", "BEGIN READ ONLY", "BEGIN READ WRITE", "START TRANSACTION ISOLATION LEVEL READ COMMITTED",
                        "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE")
          for s in (how, "SHOW transaction_read_only", "INSERT INTO t VALUES (90)", "ROLLBACK")]


@test(timeout=300)
def only_reading(t):
    """default_transaction_read_only: by SET, set_config(), characteristics, a startup option; and BEGIN READ WRITE"""
    lab = Lab(t)
    shown = ["SHOW transaction_read_only", "SHOW default_transaction_read_only"]
    for how in ("SET default_transaction_read_only = on", "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
                "DO $$ BEGIN SET default_transaction_read_only = on; END $$", "BEGIN; SET default_transaction_read_only = on; COMMIT",
                wire.extended("SET default_transaction_read_only TO true") + wire.sync()):
        lab.same("by %s" % how, of_a(how, *shown, *WRITES, *BLOCKS, *shown) +
                 [("b", "INSERT INTO t VALUES (80)"), ("a", "INSERT INTO t VALUES (81)"), ("b", "INSERT INTO t VALUES (82)"),
                  ("a", "RESET default_transaction_read_only"), ("a", "INSERT INTO t VALUES (83)")])
    # A name that is an expression pins the member: nobody else is served.
    lab.same("by an expression", of_a("SELECT set_config('default_transaction_' || 'read_only', 'on', false)", *WRITES, *BLOCKS, *shown))
    lab.same("as an option", of_a(*WRITES, *BLOCKS, *shown, "COPY t FROM STDIN", "TABLE t"), default_transaction_read_only="on")
    lab.same("as an option, extended first", of_a(WRITES[1], *BLOCKS), default_transaction_read_only="on")
    lab.same("in one text", of_a("SET default_transaction_read_only = on; INSERT INTO t VALUES (77)", "INSERT INTO t VALUES (78)",
                                 "SET default_transaction_read_only = off", "INSERT INTO t VALUES (79)"))
    lab.same("in a text of parts", of_a("BEGIN; SET default_transaction_read_only = on; INSERT INTO t VALUES (77); COMMIT; "
                                        "INSERT INTO t VALUES (78)", "SHOW transaction_read_only"))
    lab.same("for one transaction", of_a("BEGIN", "SET LOCAL default_transaction_read_only = on", "INSERT INTO t VALUES (77)", "COMMIT",
                                         "INSERT INTO t VALUES (78)"))
    lab.same("rolled back", of_a("BEGIN", "SET default_transaction_read_only = on", "ROLLBACK", "INSERT INTO t VALUES (78)"))
    lab.same("in a transaction", of_a("BEGIN", "SET default_transaction_read_only = on", "INSERT INTO t VALUES (77)", "COMMIT",
                                      "INSERT INTO t VALUES (78)", "BEGIN", "SAVEPOINT s", "INSERT INTO t VALUES (79)", "ROLLBACK TO s",
                                      "INSERT INTO t VALUES (80)", "ROLLBACK"))
    lab.same("with timeouts", of_a("SET statement_timeout = '1min'", "SET default_transaction_read_only = on", "INSERT INTO t VALUES (77)",
                                   "SHOW statement_timeout", *BLOCKS))
    for begin in "BEGIN", "BEGIN READ WRITE", "BEGIN READ ONLY":
        for end in "COMMIT", "ROLLBACK":
            lab.same("%s, %s AND CHAIN" % (begin, end), of_a(
                "SET default_transaction_read_only = on", begin, "SELECT 1", end + " AND CHAIN", "SHOW transaction_read_only",
                "INSERT INTO t VALUES (77)", end + " AND CHAIN", "SHOW transaction_read_only", "ROLLBACK", "SHOW transaction_read_only",
                begin, "SELECT 1/0", end + " AND CHAIN", "SHOW transaction_read_only", "INSERT INTO t VALUES (77)", "ROLLBACK",
                "SET default_transaction_read_only = off", begin, "SELECT 1", end + " AND CHAIN", "INSERT INTO t VALUES (77)", "ROLLBACK"))
    lab.end()


def call(oid, *numbers):
    """A FunctionCall with integers, as libpq's lo_open() sends it."""
    return wire.message("F", struct.pack("!ihhh", oid, 1, 1, len(numbers)) +
                        b"".join(struct.pack("!ii", 4, n) for n in numbers) + struct.pack("!h", 1))


@test(timeout=300)
def large_objects(t):
    """descriptors of large objects end with the transaction, and are nobody else's"""
    lab = Lab(t)
    read, opened = "SELECT loread(0, 100)", "SELECT lo_open(4711, 262144)"
    lab.same("of another member", [("a", "BEGIN"), ("a", opened), ("a", "SELECT loread(0, 3)"), ("a", "COMMIT"), ("b", "BEGIN"), ("b", read),
                                   ("b", "ROLLBACK"), ("b", "BEGIN"), ("b", "SELECT lo_open(4712, 262144)"), ("b", read), ("b", "COMMIT"),
                                   ("a", read), ("b", read)])
    lab.same("outside of a transaction", [("a", opened), ("b", read), ("b", "SELECT lo_close(0)"), ("a", read)])
    lab.same("in one text", [("a", opened + "; " + read), ("b", read), ("a", opened + "; " + opened + "; SELECT loread(1, 2)")])
    lab.same("many, with holes", [("a", "BEGIN"), ("a", "SELECT count(lo_open(4711, 262144)) FROM generate_series(1, 300)"),
                                  ("a", "SELECT count(lo_close(g)) FROM generate_series(100, 140) g"), ("a", "COMMIT"), ("b", "BEGIN")] +
             [x for n in (0, 99, 120, 141, 299) for x in (("b", "SAVEPOINT s"), ("b", "SELECT loread(%d, 3)" % n), ("b", "ROLLBACK TO s"))] +
             [("b", opened), ("b", "COMMIT")])
    lab.same("prepared", [("a", wire.parse(opened, "s") + wire.sync()), ("b", "BEGIN"), ("b", "COMMIT"),
                          ("a", wire.bind(statement="s") + wire.execute() + wire.sync()), ("b", read), ("a", read),
                          ("a", "PREPARE q AS " + opened), ("a", "EXECUTE q"), ("a", read), ("a", "DEALLOCATE q"), ("b", read)])
    lo_open, lo_read, lo_close = 952, 954, 953
    lab.same("by FunctionCall", [("a", "BEGIN"), ("a", call(lo_open, 4711, 262144)), ("a", call(lo_read, 0, 4)), ("a", "COMMIT"),
                                 ("b", call(lo_read, 0, 4)), ("b", "BEGIN"), ("b", call(lo_open, 4712, 262144)), ("b", call(lo_read, 0, 4)),
                                 ("b", call(lo_close, 0)), ("b", "COMMIT"), ("a", call(lo_open, 4711, 262144)), ("b", call(lo_read, 0, 4))])
    t.sql("CREATE OR REPLACE FUNCTION opens(oid) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN Lo_Open($1, 262144); END $$;"
          "CREATE OR REPLACE FUNCTION opens2(oid) RETURNS int LANGUAGE sql BEGIN ATOMIC; SELECT lo_open($1, 262144); END")
    for opens in "SELECT opens(4711)", "SELECT opens2(4711)":
        lab.same("in a function", [("a", "BEGIN"), ("a", opens), ("a", "SELECT loread(0, 3)"), ("a", "COMMIT"), ("b", "BEGIN"), ("b", read),
                                   ("b", "ROLLBACK"), ("a", read), ("b", opens), ("a", read)])
        # Without this one, is the other seen, too?
        t.sql("DROP FUNCTION IF EXISTS opens(oid)")
    lab.same("in a function that it makes", [
        ("a", "CREATE FUNCTION opens3(oid) RETURNS int LANGUAGE sql AS $$ SELECT lo_open($1, 262144) $$"), ("a", "SELECT opens3(4711)"),
        ("b", read), ("b", "BEGIN"), ("b", "SELECT opens3(4712)"), ("b", read), ("b", "COMMIT"), ("b", read), ("b", "DROP FUNCTION opens3(oid)")])
    lab.same("written", of_a("BEGIN", "SELECT lo_open(4711, 131072)", "SELECT lowrite(0, 'changed')", "SAVEPOINT s", opened,
                             "ROLLBACK TO s", "SELECT loread(1, 3)", "ROLLBACK", "SELECT lo_get(4711)", "BEGIN", "SELECT lo_open(4711, 131072)",
                             "SELECT lowrite(0, 'changed')", "COMMIT", "SELECT lo_get(4711)"))
    lab.same("with another search_path", of_a("CREATE SCHEMA IF NOT EXISTS evil", "CREATE OR REPLACE FUNCTION evil.wrong(int, int) RETURNS int LANGUAGE "
                                              "plpgsql AS 'BEGIN RAISE ''wrong''; END'", "DROP OPERATOR IF EXISTS evil.+ (int, int)",
                                              "CREATE OPERATOR evil.+ (FUNCTION = evil.wrong, LEFTARG = int, RIGHTARG = int)",
                                              "SET search_path = evil, public, pg_catalog", opened, read, "INSERT INTO t VALUES (77)",
                                              "RESET search_path", "DROP SCHEMA evil CASCADE"))
    lab.end()


@test(timeout=300)
def temporary_tables(t):
    """temporary tables ON COMMIT DROP end with the transaction; ON COMMIT DELETE ROWS is refused"""
    lab = Lab(t)
    for how in ("CREATE TEMP TABLE x ON COMMIT DROP AS SELECT 1 AS n", "CREATE TEMPORARY TABLE IF NOT EXISTS X (n int) ON COMMIT DROP",
                "create local temp table pg_temp.x (n int, m text DEFAULT 'on commit') on /* */ commit drop",
                "CREATE TABLE pg_temp.x (n int) ON COMMIT DROP", 'CREATE TEMP TABLE "x" (n int) ON COMMIT DROP',
                wire.extended("CREATE TEMP TABLE x (n int) ON COMMIT DROP") + wire.sync()):
        for end in "COMMIT", "ROLLBACK":
            lab.same("%s, %s" % (how, end), of_a("BEGIN", how, "INSERT INTO x VALUES (1)", "TABLE x", end, "TABLE x",
                                                 "BEGIN", how, "TABLE x", end, how, "TABLE x") + [("b", "BEGIN"), ("b", how), ("b", "COMMIT")])
    how = "CREATE TEMP TABLE x (n int) ON COMMIT DROP"
    lab.same("odd names", of_a('CREATE TEMP TABLE "o\'dd ""\\$" (n int) ON COMMIT DROP', 'TABLE "o\'dd ""\\$"', "BEGIN",
                               'CREATE TEMP TABLE "X" (n int) ON COMMIT DROP', how, 'TABLE "X"', "TABLE x", "COMMIT", 'TABLE "X"', "TABLE x"))
    lab.same("in savepoints", of_a("BEGIN", "SAVEPOINT s", how, "ROLLBACK TO s", "CREATE TEMP TABLE x (n int)", "COMMIT", "TABLE x", "DROP TABLE x",
                                   "BEGIN", "SAVEPOINT s", how, "RELEASE s", "TABLE x", "COMMIT", "TABLE x"))
    lab.same("one that is there", of_a("CREATE TEMP TABLE x (n int)", "BEGIN", how.replace("x ", "IF NOT EXISTS x "), "INSERT INTO x VALUES (1)",
                                       "COMMIT", "TABLE x", "BEGIN", "SAVEPOINT s", how, "ROLLBACK TO s", "COMMIT", "TABLE x", "DROP TABLE x"))
    lab.same("with a view, a cursor, a trigger", of_a(
        "BEGIN", how, "INSERT INTO x SELECT g FROM generate_series(1, 10) g", "DECLARE c CURSOR FOR TABLE x", "FETCH c",
        "CREATE INDEX ON x (n)", "COMMIT", "TABLE x"))
    lab.same("in one text", of_a(how + "; INSERT INTO x VALUES (1); SELECT n FROM x", "TABLE x", "BEGIN; " + how + "; COMMIT; " + how +
                                 "; SELECT count(*) FROM x"))
    lab.same("with a role", of_a("BEGIN", how, "SET LOCAL ROLE pg_monitor", "COMMIT", "TABLE x", "SELECT current_user"))
    t.sql(FUNCTIONS)
    for does in "SELECT as_low()", "SELECT as_other()", "SET LOCAL ROLE low":
        for first in (), ("SET ROLE low",), ("SET work_mem = '7MB'",):
            lab.same("behind a role, " + does, of_a(*first, "BEGIN", "CREATE TEMP TABLE x (n int) ON COMMIT DROP", does, "COMMIT", "TABLE x", SEEN))
    lab.same("kept", of_a("BEGIN", how.replace("DROP", "PRESERVE ROWS"), "INSERT INTO x VALUES (1)", "COMMIT", "TABLE x", "DROP TABLE x"))
    for how in ("CREATE TEMP TABLE x (n int) ON COMMIT DELETE ROWS", wire.extended("CREATE TEMP TABLE x (n int) ON COMMIT DELETE ROWS") + wire.sync(),
                'CREATE TEMP TABLE U&"x" (n int) ON COMMIT DROP'):
        steps = of_a(how, "BEGIN", how, "SELECT 1", "ROLLBACK")
        answers = lab.same("refused", steps, but=(0, 2, 3))
        for answer in answers[:2]:
            equal([e[:2] for e in answer[3]], [("ERROR", "0A000")], "the error")
        equal(answers[2][3][0][1], "25P02", "the statement behind it")
    lab.end()


FUNCTIONS = """DO $$ BEGIN CREATE ROLE low; EXCEPTION WHEN duplicate_object THEN END $$;
    CREATE OR REPLACE FUNCTION as_low() RETURNS text LANGUAGE plpgsql AS $$ BEGIN SET LOCAL ROLE low; RETURN current_user; END $$;
    CREATE OR REPLACE FUNCTION tenant(text) RETURNS text LANGUAGE sql AS $$ SELECT set_config('app.tenant', $1, true) $$;
    CREATE OR REPLACE FUNCTION rest(text) RETURNS text LANGUAGE sql AS $$ SELECT set_config('work_mem', '5MB', true),
        set_config('search_path', 'nowhere', true), set_config('TimeZone', 'Asia/Tokyo', true), set_config('client_encoding', 'LATIN1', true),
        set_config('application_name', 'mine', true), set_config('standard_conforming_strings', 'off', true), set_config('bytea_output', 'escape', true);
        SELECT $1 $$;
    CREATE OR REPLACE FUNCTION rest_but_reading(text) RETURNS text LANGUAGE sql AS $$ SELECT set_config('work_mem', '5MB', true),
        set_config('search_path', 'nowhere', true), set_config('TimeZone', 'Asia/Tokyo', true), set_config('application_name', 'mine', true),
        set_config('bytea_output', 'escape', true); SELECT $1 $$;
    CREATE OR REPLACE FUNCTION as_other() RETURNS text LANGUAGE plpgsql AS $$ BEGIN SET LOCAL SESSION AUTHORIZATION low; RETURN session_user; END $$;
    CREATE OR REPLACE FUNCTION timed() RETURNS text LANGUAGE sql AS $$ SELECT set_config('statement_timeout', '7654', true),
        set_config('lock_timeout', '7655', true), set_config('idle_in_transaction_session_timeout', '7656', true); SELECT 'timed' $$;
    CREATE OR REPLACE FUNCTION by_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM tenant(NEW.v); SET LOCAL ROLE low; RETURN NEW; END $$;
    DROP TABLE IF EXISTS rowed CASCADE; CREATE TABLE rowed (v text); GRANT ALL ON rowed TO low; GRANT ALL ON t TO low;
    CREATE TRIGGER r AFTER INSERT ON rowed FOR EACH ROW EXECUTE FUNCTION by_row();
    CREATE OR REPLACE VIEW viewed AS SELECT tenant('by view') AS v, as_low() AS r;
    DROP OPERATOR IF EXISTS @@@ (text, text); CREATE OR REPLACE FUNCTION op(text, text) RETURNS text LANGUAGE sql AS $$ SELECT tenant($1) $$;
    CREATE OPERATOR @@@ (FUNCTION = op, LEFTARG = text, RIGHTARG = text);
    CREATE OR REPLACE PROCEDURE called() LANGUAGE plpgsql AS $$ BEGIN PERFORM tenant('by call'); END $$;"""
# A parameter of an extension is unknown until a session has set it, and empty behind that: pgwithd(8).
SEEN = "SELECT current_user, session_user, coalesce(nullif(current_setting('app.tenant', true), ''), 'none'), current_setting('work_mem'), " \
    "current_setting('search_path'), current_setting('TimeZone'), current_setting('client_encoding'), current_setting('application_name'), " \
    "current_setting('statement_timeout'), current_setting('lock_timeout'), current_setting('idle_in_transaction_session_timeout'), " \
    "current_setting('bytea_output'), '\\'"
DOES = ["SELECT as_low()", "SELECT tenant('x')", "SELECT rest('y')", "SELECT as_other()", "SELECT timed()", "INSERT INTO rowed VALUES ('by trigger')",
        "SELECT * FROM viewed", "SELECT 'by operator' @@@ ''", "SELECT tenant('z'), as_low(), rest(''), timed()",
        "WITH x AS (INSERT INTO rowed VALUES ('w') RETURNING v) SELECT v FROM x", "COPY (SELECT tenant('by copy'), as_low()) TO STDOUT",
        "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) SELECT tenant('by explain')"]


@test(timeout=600)
def set_by_functions(t):
    """what a function, trigger, view or operator sets for the transaction ends with the unit, as with a transaction: a role, a
    tenant, timeouts, how texts are read; the session's own parameters are as they were, and other members see nothing"""
    lab = Lab(t)
    t.sql(SETUP + FUNCTIONS)
    seen = [("b", SEEN), ("a", SEEN), ("b", SEEN), ("c", SEEN)]
    texts = ["%s" % d for d in DOES]
    for does in texts:
        lab.same("a statement: " + does, seen + [("a", does)] + seen + [("b", does), ("c", SEEN)] + seen)
        lab.same("extended: " + does, [("a", wire.extended(does) + wire.sync())] + seen + [
            ("a", wire.parse(does, "s") + wire.sync()), ("b", SEEN), ("a", wire.bind(statement="s") + wire.execute() + wire.sync())] + seen)
        lab.same("a block: " + does, [("a", "BEGIN"), ("a", does), ("a", SEEN), ("a", "COMMIT")] + seen +
                 [("a", "BEGIN"), ("a", "SAVEPOINT s"), ("a", does), ("a", "ROLLBACK TO s"), ("a", SEEN), ("a", does), ("a", "COMMIT AND CHAIN"),
                  ("a", SEEN), ("a", does), ("a", "ROLLBACK")] + seen + [("a", does + "; SELECT 1/0")] + seen)
        # How the rest of a text is read may not change within it: pgwith-scopes(7).
        does = does.replace("rest(", "rest_but_reading(")
        lab.same("in one text: " + does, [("a", does + "; " + SEEN)] + seen + [("a", "BEGIN; %s; COMMIT; %s" % (does, SEEN))] + seen +
                 [("a", "%s; SELECT 1; BEGIN; SELECT 2; COMMIT" % does)] + seen)
        # Set by the session: it stays, and what the function has set ends.
        lab.same("with parameters: " + does, of_a("SET work_mem = '9MB'", "SET app.tenant = 'own'", "SET statement_timeout = '54321'",
                                                  "SET application_name = 'named'", "SET TimeZone = 'America/Lima'", does) + seen +
                 of_a(does, SEEN, "RESET work_mem", does) + seen)
        lab.same("with a role that ends: " + does, of_a("BEGIN", "SET ROLE low", "SET LOCAL ROLE low", "RESET SESSION AUTHORIZATION", SEEN, "COMMIT", SEEN,
                                                        "BEGIN", "SET LOCAL ROLE low", "SET SESSION AUTHORIZATION low", "COMMIT", SEEN,
                                                        "RESET SESSION AUTHORIZATION", "BEGIN", "SET ROLE low", "SET LOCAL ROLE NONE", "COMMIT", SEEN, does, SEEN))
        lab.same("with a role: " + does, of_a("SET ROLE pg_monitor", SEEN, "RESET ROLE", does, SEEN, "SET ROLE low", does) + seen)
        lab.same("as options: " + does, [("a", does)] + seen, options="-c work_mem=8MB -c app.tenant=mine -c statement_timeout=99s -c search_path=public",
                 application_name="opt", client_encoding="LATIN9")
    for n in range(40):
        lab.same("mixed %d" % n, [(t.random.choice("abc"), t.random.choice(texts + [SEEN] * 6)) for _ in range(20)])
    lab.end()


# Of random programs: what lasts to the end of the session, and of the transaction.
SETS = ["SET work_mem = '9MB'", "SET app.tenant = 'own'", "RESET app.tenant", "RESET ALL", "SET ROLE pg_monitor", "SET ROLE low", "RESET ROLE",
        "SET TimeZone = 'America/Lima'", "SELECT set_config('app.tenant', 'cfg', false)", "SET search_path = public", "SET statement_timeout = '60s'",
        "DISCARD ALL", "SET SESSION AUTHORIZATION low", "RESET SESSION AUTHORIZATION", "SET application_name = 'zz'", "SET client_encoding = 'LATIN1'"]
LOCALS = ["SET LOCAL work_mem = '7MB'", "SET LOCAL ROLE low", "SELECT set_config('app.tenant', 'loc', true)", "SET LOCAL TimeZone = 'Asia/Tokyo'",
          "SET LOCAL statement_timeout = '50s'"]


def random_program(r):
    """Of three sessions. None has SET and a function's setting in one transaction: see set_by_functions_beside_set."""
    steps, inside, sets, locals_ = [], None, False, False
    for _ in range(r.randrange(6, 30)):
        who, pick = inside or r.choice("abc"), r.random()
        text = SEEN
        if inside and pick < .3:
            text = r.choice(["COMMIT", "COMMIT", "ROLLBACK", "END", "COMMIT AND CHAIN"])
            if text != "COMMIT AND CHAIN":
                inside, sets = None, False
            locals_ = False
        elif inside and pick < .45:
            text = r.choice(["SAVEPOINT s", "ROLLBACK TO s", "RELEASE s", "SELECT 1/0"])
        elif inside and .6 <= pick < .8 and not sets:
            text, locals_ = r.choice(DOES), True
        elif inside and .8 <= pick < .9:
            text = r.choice(LOCALS)
        elif inside and pick >= .9 and not locals_:
            text, sets = r.choice([s for s in SETS if "DISCARD" not in s and "encoding" not in s]), True
        elif not inside and pick < .2:
            text = "BEGIN"
            inside = who
        elif not inside and .45 <= pick < .75:
            text = r.choice(DOES)
        elif not inside and pick >= .75:
            text = r.choice(SETS)
        text = text.replace("rest(", "rest_but_reading(")
        steps.append((who, text if "COPY" in text or r.random() < .7 else wire.extended(text) + wire.sync()))
    return steps + ([(inside, "ROLLBACK")] if inside else []) + [(c, SEEN) for c in "abc"]


@test(timeout=120)
def set_by_one_that_is_gone(t):
    """a member sends two units in one write, of which the first calls a function that sets a role, and is gone: the second one, if
    it runs, runs by the member's own role"""
    d = t.daemon(size=2)
    t.sql(SETUP + FUNCTIONS + """DO $$ BEGIN CREATE ROLE mine; EXCEPTION WHEN duplicate_object THEN END $$; DROP TABLE IF EXISTS who;
        CREATE TABLE who (n int, r text, w text); GRANT ALL ON who TO mine, low;
        CREATE OR REPLACE FUNCTION writes(int) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO public.who VALUES ($1, current_user, current_setting('work_mem')); SET LOCAL ROLE low; SET LOCAL work_mem = '5MB'; END $$""")
    owner, member = enter(t, d)
    for n in range(150):
        w = member()
        w.sql("SET ROLE mine")
        w.sql("SET work_mem = '9MB'")
        w.send(query("BEGIN; SELECT writes(1); SELECT 1; COMMIT") + query("SELECT writes(2)") + query("SELECT writes(3)"))
        time.sleep(t.random.random() * 0.004)
        if n % 2:
            w.drop()
        else:
            w.close()
    rows = owner.ask("SELECT n, r, w, count(*) FROM who GROUP BY 1, 2, 3 ORDER BY 1, 2, 3").rows
    note("%s" % rows)
    check(sum(int(r[3]) for r in rows if r[0] == "2") > 0, "no second unit has run")
    equal({(r[1], r[2]) for r in rows}, {("mine", "9MB")}, "by which role and parameter")
    check(not owner.ask("LEAVE").errors, "the scope")


@test(timeout=300)
def set_at_random(t):
    """random programs of three members who set parameters, roles and tenants, and call what sets them"""
    lab = Lab(t)
    t.sql(SETUP + FUNCTIONS + "GRANT ALL ON SCHEMA public TO low")
    for n in range(20 if sanitized() else 60):
        lab.same("program %d" % n, random_program(t.random))
    lab.end()


@test(timeout=300)
def set_by_functions_beside_set(t):
    """a unit that sets parameters of its session, too: what its functions set for the transaction is no other member's"""
    d = t.daemon(size=2)
    t.sql(SETUP + FUNCTIONS)
    own = t.value("SELECT current_user")
    for does in ("SET work_mem = '9MB'; SELECT as_low(), tenant('x')", "DO $$ BEGIN PERFORM as_low(), tenant('x'); END $$", "CALL called()",
                 "BEGIN; SET work_mem = '9MB'; SELECT as_low(), tenant('x'); COMMIT", "RESET work_mem; SELECT as_low(), tenant('x')",
                 "SELECT set_config('work_mem', '9MB', false), as_low(), tenant('x')", "RESET work_mem; SELECT tenant('x')",
                 "BEGIN; SET work_mem = '9MB'; SELECT tenant('x'); RESET work_mem; COMMIT", "SET work_mem = '4MB'; SELECT tenant('x')",
                 "DO $$ BEGIN SET LOCAL ROLE low; SET LOCAL app.tenant = 'x'; END $$", "PREPARE p AS SELECT as_low(), tenant('x'); EXECUTE p",
                 "SELECT set_config('work' || '_mem', '9MB', false), as_low(), tenant('x')", "CREATE TEMP TABLE x (n int); SELECT as_low(), tenant('x')"):
        for ends in "closes", "discards", "goes on":
            owner, member = enter(t, d)
            a, b = member(), member()
            equal(b.ask(SEEN).errors, [], "errors")
            first = b.ask(SEEN).rows[0]
            a.ask(does)
            if ends == "closes":
                a.close()
            elif ends == "discards" or "||" in does or "PREPARE" in does:     # which keep the server until then
                a.ask("DISCARD ALL")
            for w in b, member(), owner:
                row = w.ask(SEEN).rows[0]
                equal([row[0], row[1], row[2]], [own, own, "none"], "%s, and it %s: who another one is" % (does, ends))
                equal(row[3:5], first[3:5], "parameters")
            check(not owner.ask("LEAVE ROLLBACK").errors, "the scope")


if __name__ == "__main__":
    main()
