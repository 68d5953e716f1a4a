"""The same thing in other words: texts that set, make, listen to, prepare, lock or hold something, in the
spellings that PostgreSQL takes, each alone, in transactions that end in every way, in blocks, by EXPLAIN
ANALYZE, in the simple and the extended protocol. What the session sees afterwards is what a session of a direct
connection sees; what another client sees on the same server is nothing.

PGWITH_TEST_SPELLINGS is how often each text is run, each time in another spelling and another way."""

import os
import select

from pgwtest import Cluster, Skip, check, equal, main, note, test, unavailable, wait_until, wire

CUSTOM = ["app.tenant", "app.user", "app.b", "session.x", "local.x", "role.x", "time.x", "names.x", "transaction.x", "constraints.x",
          "characteristics.x", "app.c.d"]

LOOK = """SELECT 'setting', name, setting FROM pg_catalog.pg_settings WHERE name NOT LIKE 'transaction#_%' ESCAPE '#'
  OR name = 'transaction_timeout'
UNION ALL SELECT 'custom', n, pg_catalog.coalesce_(n) FROM pg_catalog.unnest(ARRAY[{custom}]) n
UNION ALL SELECT 'role', current_user::text, session_user::text
UNION ALL SELECT 'channel', c, '' FROM pg_catalog.pg_listening_channels() c
UNION ALL SELECT 'prepared', name, '' FROM pg_catalog.pg_prepared_statements WHERE from_sql
UNION ALL SELECT 'cursor', name, is_holdable::text FROM pg_catalog.pg_cursors WHERE name <> ''
UNION ALL SELECT 'lock', classid::text || ' ' || objid, mode FROM pg_catalog.pg_locks
  WHERE locktype = 'advisory' AND pid = pg_catalog.pg_backend_pid()
UNION ALL SELECT 'relation', relname, relkind::text FROM pg_catalog.pg_class
  WHERE relnamespace = pg_catalog.pg_my_temp_schema() AND relkind IN ('r', 'v', 'S', 'f', 'p')
UNION ALL SELECT 'function', proname, '' FROM pg_catalog.pg_proc WHERE pronamespace = pg_catalog.pg_my_temp_schema()
UNION ALL SELECT 'type', typname, '' FROM pg_catalog.pg_type WHERE typnamespace = pg_catalog.pg_my_temp_schema()
  AND typtype IN ('d', 'e')""".replace("pg_catalog.coalesce_(n)", "coalesce(pg_catalog.current_setting(n, true), '')").format(
    custom=", ".join("'%s'" % n for n in CUSTOM))

# What is there for the texts, in both databases.
OBJECTS = """
CREATE TABLE one (a int); INSERT INTO one VALUES (1);
CREATE TABLE sink (a text);
CREATE VIEW params AS SELECT * FROM pg_settings;
CREATE PROCEDURE quiet_sets() LANGUAGE plpgsql AS $$BEGIN SET work_mem = '3MB'; END$$;
CREATE PROCEDURE quiet_locks(n int) LANGUAGE plpgsql AS $$BEGIN PERFORM pg_advisory_lock(n); END$$;
CREATE PROCEDURE quiet_listens() LANGUAGE plpgsql AS $$BEGIN LISTEN chat; END$$;
CREATE PROCEDURE quiet_makes() LANGUAGE plpgsql AS $$BEGIN CREATE TEMP TABLE tt (a int); END$$;
CREATE SCHEMA hides;
CREATE VIEW hides.sets AS SELECT pg_catalog.set_config('work_mem', '3MB', false) AS a;
CREATE FUNCTION runs(text) RETURNS void LANGUAGE plpgsql AS $$BEGIN EXECUTE $1; END$$;
CREATE FUNCTION harmless(text) RETURNS text LANGUAGE sql SET work_mem = '7MB' AS 'SELECT $1';
"""


class Speller:
    """Spells the parts of a text, each time as the seed will have it."""

    def __init__(self, random):
        self.random = random

    def one(self, *choices):
        return self.random.choice(choices)

    def sp(self):
        return self.one(" ", " ", "\n", "\t ", " /* set_ */ ", " -- it's\n ", "/**/ ", " /* /* ; */ ' */ ", "\r\n")

    def maybe(self):
        return self.one("", "", " ", "/**/", "\n", " -- x\n")

    def kw(self, words):
        """Keywords."""
        out = []
        for w in words.split():
            way = self.random.randrange(4)
            out.append(w if way == 0 else w.lower() if way == 1 else w.capitalize() if way == 2 else
                       "".join(self.one(c.lower(), c.upper()) for c in w))
        text = out[0]
        for w in out[1:]:
            text += self.sp() + w
        return text

    def _unicode(self, text, quote, escape):
        out = ""
        for c in text:
            way = self.random.randrange(5)
            if c == escape:
                out += c + c
            elif c == quote:
                out += c + c
            elif way == 0:
                out += "%s%04x" % (escape, ord(c))
            elif way == 1 and len(text) < 12:
                out += "%s+%06X" % (escape, ord(c))
            else:
                out += c
        return out

    def name(self, text):
        """An identifier that is this one, which is in lower case."""
        way = self.random.randrange(6)
        plain = text.replace("_", "a").isalnum()
        if plain and way == 0:
            return text
        if plain and way == 1:
            return text.upper()
        if way == 2:
            return self.one("U&", "u&") + '"' + self._unicode(text, '"', "\\") + '"'
        if way == 3:
            e = self.one("!", "^", "#")
            return ('U&"' + self._unicode(text, '"', e) + '"' + self.sp() + self.kw("UESCAPE") + self.sp() +
                    self.one("'%s'", "E'%s'", "$$%s$$") % e)
        return '"%s"' % text.replace('"', '""')

    def dotted(self, text):
        """A name with points in it, which may be quoted together or each part of its own."""
        if self.random.randrange(3) == 0:
            return self.name(text)
        parts = [self.name(p) for p in text.split(".")]
        return (self.maybe() + "." + self.maybe()).join(parts)

    def string(self, text):
        way = self.random.randrange(7)
        plain = text.replace("'", "''")
        if way == 0:
            return self.one("E'", "e'") + "".join(
                "\\x%02x" % ord(c) if self.random.randrange(4) == 0 else "\\%03o" % ord(c) if
                self.random.randrange(6) == 0 else c for c in text.replace("\\", "\\\\").replace("'", "\\'") if True
            ) + "'" if "\\" not in text and "'" not in text else "E'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
        if way == 1:
            return "U&'" + self._unicode(text, "'", "\\") + "'"
        if way == 2:
            return "$$" + text + "$$" if "$" not in text else "$q$" + text + "$q$"
        if way == 3 and len(text) > 2:
            at = self.random.randrange(1, len(text))
            return "'" + text[:at].replace("'", "''") + "'\n'" + text[at:].replace("'", "''") + "'"
        return "'" + plain + "'"

    def function(self, name):
        return self.one("", "", self.name("pg_catalog") + self.maybe() + "." + self.maybe()) + self.name(name) + self.maybe()

    def set_config(self, name, value, local="false"):
        return "%s(%s%s, %s, %s)" % (self.function("set_config"), self.maybe(), self.string(name), self.string(value),
                                     self.one(local, "'%s'" % local[0], "%s::bool" % local) if local == "false" else local)

    def call(self, expression):
        """A statement in which the expression is evaluated."""
        kw, sp = self.kw, self.sp
        return self.one(
            kw("SELECT") + sp() + expression,
            kw("SELECT") + sp() + expression + ";",
            kw("SELECT * FROM") + sp() + expression + " AS f",
            kw("VALUES") + "(" + expression + ")",
            kw("SELECT") + "(" + kw("SELECT") + sp() + expression + ")",
            "(" + kw("SELECT") + sp() + expression + ")",
            kw("WITH") + " x AS (" + kw("SELECT") + sp() + expression + " AS v) " + kw("SELECT") + " * " + kw("FROM") + " x",
            kw("WITH") + " x AS MATERIALIZED (SELECT " + expression + " AS v) SELECT v FROM x",
            kw("SELECT CASE WHEN") + " a = 1 " + kw("THEN") + sp() + expression + "::text " + kw("END FROM") + " one",
            kw("SELECT") + " a " + kw("FROM") + " one " + kw("WHERE") + " (" + expression + ")::text IS DISTINCT FROM 'q'",
            kw("SELECT") + " x FROM one, LATERAL (SELECT " + expression + ") AS l(x)",
            kw("SELECT") + " 1 AS a UNION ALL SELECT count(*)::int FROM (SELECT " + expression + ") AS q",
            kw("INSERT INTO") + " sink " + kw("VALUES") + " ('a') " + kw("RETURNING") + " (" + expression + ")::text",
            kw("INSERT INTO") + " sink SELECT (" + expression + ")::text",
            kw("UPDATE") + " one SET a = a " + kw("RETURNING") + " (" + expression + ")::text",
            kw("DELETE FROM") + " sink WHERE (" + expression + ")::text = 'never'  OR true RETURNING ("
            + expression + ")::text" if "advisory" not in expression else kw("SELECT") + " " + expression,
            kw("EXPLAIN") + " (" + kw("ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF") + ") " + kw("SELECT") + " " + expression,
            kw("COPY") + " (" + kw("SELECT") + sp() + expression + ") " + kw("TO STDOUT"),
            kw("MERGE INTO") + " one USING (SELECT " + expression + "::text AS v) s ON one.a = 1 "
            + kw("WHEN MATCHED THEN UPDATE SET") + " a = length(s.v) - length(s.v) + 1",
            "SELECT harmless((" + expression + ")::text)",
            "SELECT query_to_xml('SELECT %s', true, true, '')" % expression.replace("'", "''"),
            self.by_function(expression),
        )

    def by_function(self, expression):
        """A function of the user's executes it. What that does is not seen, but for names in plain words."""
        if "work_mem" in expression.lower() or "{n}" in expression:
            plain = "pg_advisory_lock({n})" if "{n}" in expression else "set_config('work_mem', '3MB', false)"
            return "SELECT runs($$SELECT " + plain + "$$)"
        return "SELECT " + expression


SETTINGS = [("work_mem", "3MB"), ("WORK_MEM", "5MB"), ("datestyle", "German"), ("timezone", "Asia/Tokyo"),
            ("search_path", "pg_catalog"), ("default_transaction_isolation", "serializable"), ("statement_timeout", "10min"),
            ("default_transaction_read_only", "off"), ("default_transaction_deferrable", "on"),
            ("intervalstyle", "iso_8601"), ("bytea_output", "escape"), ("extra_float_digits", "0"),
            ("lock_timeout", "9min"), ("transaction_timeout", "19min"), ("idle_session_timeout", "0"), ("idle_in_transaction_session_timeout", "20min"), ("client_encoding", "LATIN1"),
            ("standard_conforming_strings", "off"), ("enable_seqscan", "off"), ("xmloption", "document")]


def set_statement(s, name, value):
    return (s.kw(s.one("SET", "SET SESSION")) + s.sp() + name + s.maybe() + s.one("=", " " + s.kw("TO") + " ") +
            s.maybe() + value)


def quoted(value):
    """A value for SET, where Unicode escapes and dollar quotes are strings too."""
    return lambda s: s.string(value)


def of_parameters():
    """Parameters: [(kind, text of a speller)]."""
    out = []
    for name, value in SETTINGS:
        out.append(("parameter", lambda s, n=name, v=value: set_statement(s, s.one(n, n.upper(), '"%s"' % n), s.string(v))))
        out.append(("parameter", lambda s, n=name, v=value: s.call(s.set_config(n, v))))
    for name in CUSTOM:
        out.append(("custom", lambda s, n=name: set_statement(s, s.dotted(n), s.string("it is " + n))))
        out.append(("custom", lambda s, n=name: s.call(s.set_config(n, "this is " + n))))
        out.append(("custom", lambda s, n=name: set_statement(s, s.dotted(n), "1") + ";" + s.sp() + s.kw("RESET") + s.sp() +
                    s.dotted(n)))
        out.append(("custom", lambda s, n=name: set_statement(s, s.dotted(n), s.kw("DEFAULT"))))
    kw = lambda text: (lambda s: s.kw(text))
    out += [("parameter", f) for f in (
        kw("SET TIME ZONE 'Asia/Tokyo'"), kw("SET TIME ZONE INTERVAL '-08:00' HOUR TO MINUTE"), kw("SET TIME ZONE -7"),
        kw("SET NAMES 'LATIN1'"), kw("SET SCHEMA 'pg_catalog'"), kw("SET XML OPTION DOCUMENT"), kw("RESET TIME ZONE"),
        kw("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE"),
        kw("SET SESSION TIME ZONE 'Asia/Tokyo'"), kw("SET SESSION SCHEMA 'pg_catalog'"),
        kw("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"), kw("SET TRANSACTION READ ONLY"), kw("SET CONSTRAINTS ALL DEFERRED"),
        kw("SET LOCAL work_mem = '3MB'"), kw("SET LOCAL TIME ZONE 'Asia/Tokyo'"), kw("RESET ALL"), kw("DISCARD ALL"),
        kw("ALTER ROLE quiet SET work_mem = '3MB'"), kw("ALTER DATABASE postgres RESET work_mem"),
        lambda s: set_statement(s, "work_mem", "'3MB'") + ";" + s.kw("RESET ALL"),
        lambda s: set_statement(s, "work_mem", "'3MB'") + ";" + s.kw("DISCARD ALL"),
        lambda s: "SET LOCAL work_mem = '3MB'; SET work_mem FROM CURRENT",
        lambda s: "BEGIN; SET LOCAL work_mem = '3MB'; SET work_mem FROM CURRENT; SET LOCAL work_mem = '5MB'; COMMIT",
        lambda s: "SELECT " + s.set_config("work_mem", "3MB", "true"),
        lambda s: "SELECT " + s.set_config("app.tenant", "x", "true"),
        lambda s: s.kw("UPDATE") + s.sp() + s.one("", "ONLY ") + s.one("", "pg_catalog.", s.name("pg_catalog") + ".") +
        s.name("pg_settings") + " SET setting = '3MB' WHERE name = 'work_mem'",
        lambda s: s.kw("UPDATE ONLY") + " (pg_catalog.pg_settings) SET setting = '3MB' WHERE name = 'work_mem'",
        lambda s: "UPDATE pg_settings AS p SET setting = '3MB' WHERE p.name = 'work_mem'",
        lambda s: "UPDATE params SET " + s.name("setting") + " = '3MB' WHERE name = 'work_mem'",
        lambda s: "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) UPDATE pg_settings SET setting = '3MB' WHERE name = 'work_mem'",
        lambda s: "COPY (UPDATE params SET setting = '3MB' WHERE name = 'work_mem' RETURNING 1) TO STDOUT",
        lambda s: "WITH x AS (UPDATE params SET setting = '3MB' WHERE name = 'work_mem' RETURNING 1) SELECT count(*) FROM x",
        lambda s: s.kw("CALL") + " quiet_sets()", lambda s: s.kw("CALL") + " " + s.name("quiet_sets") + "()",
        lambda s: "DO $$BEGIN SET work_mem = '3MB'; END$$", lambda s: "DO 'BEGIN SET work_mem = ''3MB''; END' LANGUAGE plpgsql",
        lambda s: "DO $$BEGIN EXECUTE 'SET work' || '_mem = ''3MB'''; END$$",
        lambda s: s.by_function("set_config('work_mem', '3MB', false)"),
        lambda s: "SELECT * FROM ts_stat(%s)" % s.string(
            "SELECT to_tsvector('simple', set_config('work_mem', '3MB', false))"),
        lambda s: "SELECT ts_rewrite('a'::tsquery, %s)" % s.string(
            "SELECT 'a'::tsquery, 'b'::tsquery FROM set_config('work_mem', '3MB', false)"),
        lambda s: "SELECT " + s.function("query_to_xml_and_xmlschema") + "(%s, true, true, '')" % s.string(
            "SELECT set_config('work_mem', '3MB', false)"),
        lambda s: "SELECT " + s.function("table_to_xml") + "('hides.sets', true, true, '')",
        lambda s: "SELECT " + s.function("table_to_xml_and_xmlschema") + "('hides.sets', true, true, '')",
        lambda s: "SELECT " + s.function("schema_to_xml") + "('hides', true, true, '')",
        lambda s: "SELECT " + s.function("schema_to_xml_and_xmlschema") + "('hides', true, true, '')",
        lambda s: "SELECT length(" + s.function("database_to_xml") + "(true, true, '')::text) > 0",
        lambda s: "SELECT length(" + s.function("database_to_xml_and_xmlschema") + "(true, true, '')::text) > 0",
        lambda s: "BEGIN; DECLARE c CURSOR FOR SELECT * FROM hides.sets; SELECT " + s.function("cursor_to_xml")
        + "('c', 1, true, true, ''); COMMIT",
        lambda s: "SELECT " + s.set_config("application_name", "me"),
    )]
    out += [("custom", f) for f in (
        lambda s: "SELECT set_config('app.' || 'user', 'x', false)",
        lambda s: "SELECT set_config('app.tenant'::text, 'x', false)",
        lambda s: "SELECT set_config(CAST('app.tenant' AS text), 'x', false)",
        lambda s: "SELECT set_config(n, 'x', false) FROM (VALUES ('app.tenant'), ('app.b')) v(n)",
        lambda s: "SELECT " + s.function("set_config") + "('app.tenant', " + s.set_config("app.b", "x") + ", true)",
        lambda s: "SELECT " + s.set_config("app.tenant", "x", "true") + ", " + s.set_config("app.b", "y"),
        lambda s: "SELECT " + s.set_config("app.tenant", "x", "true") + " WHERE " + s.set_config("app.b", "y") + " = 'y'",
        lambda s: "DO $$BEGIN PERFORM set_config('app.tenant', 'x', false); END$$",
        lambda s: "DO $$BEGIN PERFORM set_config('app.' || 'user', 'x', false); END$$",
        lambda s: "DO $$BEGIN SET app.tenant = 'x'; END$$",
        lambda s: "DO $$BEGIN SET \"app.tenant\" = 'x'; SET LOCAL app.b = 'y'; END$$",
        lambda s: "DO 'BEGIN EXECUTE ''SET app.tenant = 1''; END'",
        lambda s: "DO " + s.string("BEGIN PERFORM " + "set_config('app.tenant', 'x', false); END"),
        lambda s: "DECLARE c CURSOR WITH HOLD FOR SELECT " + s.set_config("app.tenant", "x") + "; CLOSE c",
        lambda s: "BEGIN; DECLARE c CURSOR FOR SELECT " + s.set_config("app.tenant", "x") + "; FETCH c; COMMIT",
        lambda s: "BEGIN; DECLARE c CURSOR FOR SELECT " + s.set_config("app.tenant", "x") + "; COMMIT",
        lambda s: "PREPARE p AS SELECT " + s.set_config("app.tenant", "x") + "; EXECUTE p; DEALLOCATE p",
        lambda s: "PREPARE p AS SELECT " + s.set_config("app.tenant", "x") + "; EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) EXECUTE p",
        lambda s: "SELECT runs($$SELECT set_config('app.tenant', 'x', false)$$)",
        lambda s: "CREATE TEMP TABLE made AS SELECT " + s.set_config("app.tenant", "x") + "; DROP TABLE made",
        lambda s: "BEGIN; SET LOCAL app.tenant = 'x'; SET app.tenant FROM CURRENT; COMMIT",
        lambda s: "SET app.tenant = 'x'; SET app.b TO 'y'; SET SESSION \"app\".\"c\".\"d\" = 'z'",
        lambda s: "SET app.tenant = 'x'; DISCARD ALL",
        lambda s: "SET app.tenant = 'x'; RESET ALL",
    )]
    for role in ("quiet", "it's"):
        def named(s, r=role):
            return s.one(s.name(r), s.string(r)) if r == "quiet" else s.one('"it\'s"', "'it''s'")
        out += [("role", f) for f in (
            lambda s, n=named: s.kw("SET ROLE") + s.sp() + n(s), lambda s, n=named: s.kw("SET SESSION ROLE") + " " + n(s),
            lambda s, n=named: s.kw("SET role") + " = " + n(s), lambda s, n=named: s.kw("SET SESSION AUTHORIZATION") + s.sp() + n(s),
            lambda s, n=named: s.kw("SET SESSION SESSION AUTHORIZATION") + s.sp() + n(s),
            lambda s, n=named: s.kw("SET session_authorization TO") + s.sp() + n(s),
            lambda s, n=named: s.kw("SET LOCAL ROLE") + s.sp() + n(s), lambda s, n=named: s.kw("SET LOCAL SESSION AUTHORIZATION") + " " + n(s),
            lambda s, n=named: s.kw("SET ROLE") + " " + n(s) + ";" + s.kw("RESET ROLE"),
            lambda s, n=named: s.kw("SET SESSION AUTHORIZATION") + " " + n(s) + ";" + s.kw("RESET SESSION AUTHORIZATION"),
            lambda s, n=named: s.kw("SET SESSION AUTHORIZATION") + " " + n(s) + ";" + s.kw("SET SESSION AUTHORIZATION DEFAULT"),
            lambda s, n=named: s.kw("SET ROLE") + " " + n(s) + "; " + s.kw("SET ROLE NONE"),
            lambda s, r=role: s.call(s.set_config("role", r)),
            lambda s, r=role: s.call(s.set_config("session_authorization", r)),
            lambda s, r=role: s.call(s.set_config("ROLE", r)),
        )]
    return out


PATHS = ("nosuch, pg_temp", '"$user", pg_temp', "pg_temp", '"pg_temp"', "PG_TEMP, public", "'pg_temp'", "nosuch, 'pg_temp'",
         'U&"pg\\005ftemp"', "nosuch, \"nosuch too\", Pg_Temp, public", "'nosuch', E'pg\\x5ftemp'")

MAKES = ("TABLE tt (a int)", "TABLE tt AS SELECT 7 AS a", "VIEW tt AS SELECT 7 AS a", "SEQUENCE tt", "TABLE IF NOT EXISTS tt (a serial)",
         "RECURSIVE VIEW tt (a) AS SELECT 1", "UNLOGGED TABLE tt (a int)", "TYPE tt AS ENUM ('a')", "DOMAIN tt AS int",
         "FUNCTION tt() RETURNS int LANGUAGE sql AS 'SELECT 1'", "OR REPLACE FUNCTION tt() RETURNS int LANGUAGE sql RETURN 1",
         "TYPE tt AS (a int)", "PROCEDURE tt() LANGUAGE sql AS 'SELECT 1'", "AGGREGATE tt (int) (SFUNC = int4pl, STYPE = int)")


def of_temporary():
    """Temporary objects: by their words, by pg_temp, by search_path."""
    out = []
    temp = lambda s: s.kw(s.one("TEMP", "TEMPORARY", "LOCAL TEMP", "LOCAL TEMPORARY", "GLOBAL TEMP"))
    for what in MAKES[:6]:
        out.append(lambda s, w=what: s.kw("CREATE") + s.sp() + temp(s) + s.sp() + w)
    for what in MAKES:
        first, rest = what.split("tt", 1)
        out.append(lambda s, f=first, r=rest: s.kw("CREATE") + s.sp() + f + s.name("pg_temp") + s.maybe() + "." + s.maybe() +
                   s.name("tt") + r)
        for path in PATHS:
            if (len(what) + len(path)) % 3 == 0:
                out.append(lambda s, w=what, p=path: "SET search_path = %s; CREATE %s" % (p, w))
    for path in PATHS:
        for what in ("CREATE TABLE tt (a int)", "SELECT 7 AS a INTO tt", "CREATE TABLE tt AS SELECT 1 AS a",
                     "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) CREATE TABLE tt AS SELECT 1 AS a",
                     "WITH x AS (SELECT 1 AS a) SELECT * INTO tt FROM x"):
            out.append(lambda s, w=what, p=path: "BEGIN; SET LOCAL search_path TO %s; %s; COMMIT" % (p, w))
    for value in ("nosuch, pg_temp", '"$user", "pg_temp"', "pg_temp"):
        out.append(lambda s, v=value: "BEGIN; SELECT " + s.set_config("search_path", v, "true") + "; CREATE TABLE tt (a int); COMMIT")
        out.append(lambda s, v=value: "SELECT " + s.set_config("search_path", v) + "; CREATE TABLE tt (a int)")
        out.append(lambda s, v=value: "BEGIN; SELECT set_config('search' || '_path', '%s', true); SELECT 1 AS a INTO tt; COMMIT" % v)
        out.append(lambda s, v=value: "BEGIN; SELECT set_config('search_path', 'pg_' || 'temp', true); CREATE SEQUENCE tt; COMMIT")
    out += [
        lambda s: s.kw("SELECT") + " 7 AS a " + s.kw("INTO") + s.sp() + temp(s) + s.one(" ", " TABLE ") + "tt",
        lambda s: s.kw("SELECT") + " 7 AS a " + s.kw("INTO") + s.sp() + s.name("pg_temp") + ".tt",
        lambda s: "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) CREATE TEMP TABLE tt AS SELECT 1 AS a",
        lambda s: "PREPARE p AS SELECT 1 AS a; CREATE TEMP TABLE tt AS EXECUTE p; DEALLOCATE p",
        lambda s: "BEGIN; SET LOCAL search_path = pg_temp; PREPARE p AS SELECT 1 AS a; CREATE TABLE tt AS EXECUTE p; DEALLOCATE p; COMMIT",
        lambda s: "CREATE TEMP TABLE tt (a int) ON COMMIT DROP", lambda s: "CREATE TEMP TABLE tt (a int); DROP TABLE tt",
        lambda s: "CALL quiet_makes()", lambda s: "DO $$BEGIN CREATE TEMP TABLE tt (a int); END$$",
        lambda s: "DO $$BEGIN EXECUTE 'CREATE TABLE pg_' || 'temp.tt (a int)'; END$$",
        lambda s: "SELECT query_to_xml('SELECT 1', true, true, '')", lambda s: "SELECT 1 AS a INTO TEMP tt; DISCARD TEMP",
        lambda s: "CREATE TEMP TABLE tt (a int); DISCARD ALL", lambda s: "CREATE TEMP TABLE tt (a nonsense)",
        lambda s: "CREATE TABLE pg_temp.tt (LIKE one)", lambda s: "CREATE TABLE public.tt (a int); DROP TABLE public.tt",
        lambda s: "CREATE SCHEMA of_its_own CREATE TABLE tt (a int); DROP SCHEMA of_its_own CASCADE",
        lambda s: "CREATE TEMP TABLE tt (a int); CREATE TABLE pg_temp.t2 (a int); DROP TABLE tt",
    ]
    return [("temporary", f) for f in out]


LOCKS = ("pg_advisory_lock", "pg_advisory_lock_shared", "pg_try_advisory_lock", "pg_try_advisory_lock_shared")


def of_others():
    """LISTEN, locks, PREPARE, cursors."""
    out = []
    for f in (lambda s: s.kw("LISTEN") + s.sp() + s.name("chat"), lambda s: s.kw("LISTEN") + s.sp() + s.name("chat") + "; SELECT 1",
              lambda s: "SELECT 1;" + s.sp() + s.kw("LISTEN") + s.sp() + s.name("chat"), lambda s: "LISTEN a; LISTEN b; UNLISTEN a",
              lambda s: "LISTEN a; UNLISTEN *", lambda s: "/* x */ ; ; LISTEN \"It's\"", lambda s: "CALL quiet_listens()",
              lambda s: "DO 'BEGIN LISTEN chat; END'", lambda s: "SELECT ';'';'; LISTEN chat", lambda s: "SELECT $a$;$$'$a$; LISTEN chat",
              lambda s: "SELECT E'\\';'; LISTEN chat; SELECT E'\\''", lambda s: 'SELECT 1 AS ";"";"; LISTEN chat',
              lambda s: "SELECT U&'\\0027; LISTEN no'; LISTEN yes", lambda s: "LISTEN chat; SELECT 1/0",
              lambda s: "EXPLAIN (ANALYZE) SELECT 1; LISTEN chat; DISCARD ALL"):
        out.append(("listen", f))
    for name in LOCKS:
        for arguments in ("{n}", "{n}, 7", "{n}::bigint"):
            out.append(("lock", lambda s, f=name, a=arguments: s.call(s.function(f) + "(" + a + ")")))
    for f in (lambda s: "SELECT ({n}::bigint).pg_advisory_lock", lambda s: "SELECT pg_advisory_lock({n}), pg_advisory_lock({n}), pg_advisory_unlock({n})",
              lambda s: "SELECT pg_advisory_lock({n}); SELECT " + s.function("pg_advisory_unlock") + "({n})",
              lambda s: "SELECT pg_advisory_lock({n}); SELECT " + s.function("pg_advisory_unlock_all") + "()",
              lambda s: "SELECT pg_advisory_xact_lock({n})", lambda s: "CALL quiet_locks({n})",
              lambda s: "DO $$BEGIN PERFORM pg_advisory_lock({n}); END$$", lambda s: "DO $$BEGIN EXECUTE 'SELECT pg_adv' || 'isory_lock({n})'; END$$",
              lambda s: "PREPARE p AS SELECT pg_advisory_lock({n}); EXECUTE p; DEALLOCATE p",
              lambda s: "BEGIN; DECLARE c CURSOR FOR SELECT pg_advisory_lock({n}); FETCH c; CLOSE c; COMMIT",
              lambda s: "BEGIN; DECLARE c CURSOR FOR SELECT pg_advisory_lock({n}); COMMIT",
              lambda s: "SELECT pg_advisory_lock_shared({n}), pg_advisory_unlock({n})",
              lambda s: "SELECT a FROM one ORDER BY pg_advisory_lock({n}) IS NULL"):
        out.append(("lock", f))
    for f in (lambda s: s.kw("PREPARE") + s.sp() + s.name("p1") + s.sp() + s.kw("AS SELECT") + " 1",
              lambda s: s.kw("PREPARE") + s.sp() + s.name("p1") + " (int) " + s.kw("AS") + " SELECT $1", lambda s: "PREPARE transaction AS SELECT 1",
              lambda s: "PREPARE p1 AS SELECT 1; " + s.kw("DEALLOCATE") + s.sp() + s.kw(s.one("PREPARE ", "")+ " x").replace("x", "").replace("X", "") + s.name("p1"),
              lambda s: "PREPARE p1 AS SELECT 1; DEALLOCATE ALL", lambda s: "PREPARE p1 AS SELECT nonsense",
              lambda s: "DO $$BEGIN EXECUTE 'PREPARE p1 AS SELECT 1'; END$$", lambda s: "PREPARE p1 AS SELECT 1; DISCARD PLANS",
              lambda s: "PREPARE p1 AS SELECT 1; PREPARE p2 AS SELECT 2; DEALLOCATE p1; EXECUTE p2"):
        out.append(("prepare", f))
    for f in (lambda s: s.kw("DECLARE") + s.sp() + s.name("c1") + s.sp() + s.kw("CURSOR WITH HOLD FOR SELECT") + " 1",
              lambda s: s.kw("DECLARE") + " c1 " + s.kw("BINARY INSENSITIVE NO SCROLL CURSOR WITH HOLD FOR") + " VALUES (1)",
              lambda s: "DECLARE c1 CURSOR WITH HOLD FOR SELECT 1; CLOSE c1", lambda s: "DECLARE c1 CURSOR WITH HOLD FOR SELECT 1; CLOSE ALL",
              lambda s: "DECLARE c1 CURSOR WITH HOLD FOR SELECT 1; DECLARE c2 CURSOR WITH HOLD FOR SELECT 2; CLOSE c1; FETCH c2",
              lambda s: "BEGIN; DECLARE c1 CURSOR WITH HOLD FOR SELECT 1; FETCH c1; COMMIT", lambda s: "BEGIN; DECLARE c1 CURSOR FOR SELECT 1; COMMIT",
              lambda s: "DO $$BEGIN EXECUTE 'DECLARE c1 CURSOR WITH HOLD FOR SELECT 1'; END$$",
              lambda s: "BEGIN; DECLARE c1 CURSOR WITH HOLD FOR SELECT 1; ROLLBACK"):
        out.append(("cursor", f))
    return out


TEXTS = of_parameters() + of_temporary() + of_others()

# ---- ways to run a text ----------------------------------------------------------------------------


def answers(*results):
    """What the client was told, but for what differs by nature (the costs of EXPLAIN)."""
    return [(r.tags, [e.sqlstate for e in r.errors], r.status) for r in results]


def simple(c, text):
    return answers(c.ask(text))


def extended(c, text):
    return answers(c.ask_extended(text))


def named(c, text):
    c.send(wire.parse(text, "n") + wire.sync())
    first = c.until_ready()
    c.send(wire.bind(statement="n") + wire.execute() + wire.sync())
    return answers(first, c.until_ready())


def parsed_first(c, text):
    """Without a name, and bound in an exchange of its own."""
    c.send(wire.parse(text) + wire.sync())
    first = c.until_ready()
    c.send(wire.bind() + wire.execute() + wire.sync())
    return answers(first, c.until_ready())


def between(*statements):
    """The text stands where there is a None."""
    def run(c, text):
        return answers(*[c.ask(text if s is None else s) for s in statements])
    return run


def in_one(before, behind):
    def run(c, text):
        r = c.ask(before + text + behind)
        return answers(r) if r.status == "I" else answers(r, c.ask("ROLLBACK"))
    return run


def in_block(c, text):
    return answers(c.ask("DO $of_do$BEGIN EXECUTE $of_do2$" + text + "$of_do2$; END$of_do$"))


def explained(c, text):
    return answers(c.ask("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) " + text))


def pipelined(c, text):
    c.send(wire.query("SELECT 1") + wire.query(text) + wire.query("SELECT 2"))
    return answers(c.until_ready(), c.until_ready(), c.until_ready())


def in_exchange(c, text):
    c.send(wire.extended("SELECT 1") + wire.extended(text) + wire.extended("SELECT 2") + wire.sync())
    return answers(c.until_ready())


WAYS = {
    "simple": simple,
    "extended": extended,
    "named": named,
    "parsed first": parsed_first,
    "rolled back": between("BEGIN", None, "ROLLBACK"),
    "committed": between("BEGIN", None, "COMMIT"),
    "savepoint rolled back": between("BEGIN", "SAVEPOINT s", None, "ROLLBACK TO s", "COMMIT"),
    "savepoint released": between("BEGIN", "SELECT 1", "SAVEPOINT s", None, "RELEASE s", "COMMIT"),
    "behind another": in_one("SELECT 'a;b'; ", "; SELECT 1"),
    "in one text": in_one("BEGIN; ", "; COMMIT"),
    "before an error": in_one("", "; SELECT 1/0"),
    "in a block": in_block,
    "explained": explained,
    "pipelined": pipelined,
    "in one exchange": in_exchange,
}
# A text of several statements, or one that ends transactions, is not for the others.
MANY = ("simple", "behind another", "before an error", "pipelined", "committed", "rolled back")


def look(c):
    c.send(wire.query(LOOK))
    return seen(c)


def seen(c):
    r = c.until_ready()
    equal((r.errors, r.status), ([], "I"), "looking")
    return set(r.rows)


class Bench:
    """Direct and pooled sessions beside each other, each in a database of its own."""

    def __init__(self, t, **pool):
        self.t = t
        for role in ("quiet", '"it\'s"'):
            t.cluster.role(role, "")
        t.sql(OBJECTS)
        for role in ("quiet", '"it\'s"'):
            t.sql("GRANT ALL ON one, sink TO %s" % role)
        self.daemon = t.daemon(size=1, **{"listen_mode": "pin", **pool})
        name = t.database
        t.new_database()
        t.sql(OBJECTS)
        for role in ("quiet", '"it\'s"'):
            t.sql("GRANT ALL ON one, sink TO %s" % role)
        self.number = 0
        check(name != t.database, "two databases")

    def begin(self, **params):
        """What a new session sees, direct and pooled; of what differs it is not spoken."""
        with self.direct(**params) as c, self.pooled(**params) as p:
            # plpgsql's parameters are there once it is used.
            for x in (c, p):
                x.sql("DO $$BEGIN END$$")
            self.fresh = (look(c), look(p))
            self.nature = {r[1] for r in self.fresh[0] ^ self.fresh[1] if r[0] == "setting"}

    def direct(self, **params):
        return self.t.cluster.connect(self.t.database, **params)

    def pooled(self, **params):
        return self.daemon.connect(**params)

    def plain(self, rows):
        return {r for r in rows if not (r[0] == "setting" and r[1] in self.nature)}

    def nothing(self, rows, what):
        equal(sorted(rows ^ self.fresh[1]), [], "what another client sees " + what)

    def served(self, other):
        """Is the other client answered, before it turns out to wait for the only server?"""
        while True:
            if len(other.buffer) > other.at or select.select([other.sock], [], [], 0.002)[0]:
                return True
            if self.daemon.waiting() == 1:
                return False

    def run(self, way, text, what, **params):
        self.number += 1
        of = lambda base: (text(base + self.number) if callable(text) else text)
        with self.direct(**params) as c:
            c.sql("DO $$BEGIN END$$")
            wanted = (WAYS[way] if isinstance(way, str) else way)(c, of(0)), self.plain(look(c))
        a, b = self.pooled(**params), self.pooled()
        try:
            got = (WAYS[way] if isinstance(way, str) else way)(a, of(0))
            b.send(wire.query(LOOK))
            alone = not self.served(b)
            if not alone:
                self.nothing(seen(b), "meanwhile")
            mine = self.plain(look(a))
            equal(got, wanted[0], "the answers")
            equal(sorted(mine - wanted[1]) + ["missing"] + sorted(wanted[1] - mine), ["missing"], "what the session sees")
            a.close()
            self.nothing(seen(b) if alone else look(b), "afterwards")
        except Exception:
            note("%s, %s: %r" % (what, way if isinstance(way, str) else "", of(0)))
            raise
        finally:
            a.close()
            b.close()


def spelled(t, texts, times):
    bench = Bench(t)
    bench.begin()
    s = Speller(t.random)
    runs = 0
    failed = []
    for i, (kind, make) in enumerate(texts):
        for k in range(times):
            text = make(s)
            ways = MANY if "; " in text or ";\n" in text or text.startswith("BEGIN") or ";" in text[:-1] else list(WAYS)
            way = ways[(i + k * 5 + t.random.randrange(len(ways))) % len(ways)] if k else "simple"
            if t.random.randrange(2) and k == 0 and ways is not MANY:
                way = "extended"
            try:
                bench.run(way, lambda n, x=text: x.replace("{n}", str(n)), kind)
            except Exception as e:
                failed.append("%s, %s: %r: %s" % (kind, way, text, e))
                if len(failed) >= int(os.environ.get("PGWITH_TEST_FAILURES", "1")):
                    break
            runs += 1
        if len(failed) >= int(os.environ.get("PGWITH_TEST_FAILURES", "1")):
            break
    note("%d runs of %d texts" % (runs, len(texts)))
    equal(failed, [], "what differs")


TIMES = int(os.environ.get("PGWITH_TEST_SPELLINGS", "2"))


@test(timeout=3000)
def parameters(t):
    """parameters, plain, custom, and roles, in every spelling"""
    spelled(t, of_parameters(), TIMES)


@test(timeout=3000)
def temporary(t):
    """temporary objects by their words, by pg_temp and by search_path"""
    spelled(t, of_temporary(), TIMES)


@test(timeout=3000)
def others(t):
    """LISTEN, advisory locks, PREPARE, cursors"""
    spelled(t, of_others(), TIMES)


@test(timeout=300)
def pin_off(t):
    """with pin = off what would pin is refused or undone: another client sees nothing of it"""
    bench = Bench(t, pin="off")
    bench.begin()
    s = Speller(t.random)
    for kind, make in t.random.sample(TEXTS, min(len(TEXTS), 30 * TIMES)):
        text = make(s)
        many = ";" in text or text.startswith("BEGIN")
        way = t.random.choice(MANY if many else list(WAYS))
        a, b = bench.pooled(), bench.pooled()
        try:
            WAYS[way](a, text.replace("{n}", "5"))
            if a.status != "I":
                a.ask("ROLLBACK")
            bench.nothing(look(b), "meanwhile")
            look(a)
        except Exception:
            note("%s, %s: %r" % (kind, way, text))
            raise
        finally:
            a.close()
            b.close()


@test(timeout=120)
def long_texts(t):
    """a text of which only the beginning is looked at"""
    bench = Bench(t)
    bench.begin()
    for text in ("LISTEN chat", "CREATE TEMP TABLE tt (a int)", "SELECT pg_advisory_lock({n})", "SET work_mem = '3MB'",
                 "PREPARE p AS SELECT 1", "SET ROLE quiet", "DECLARE c CURSOR WITH HOLD FOR SELECT 1"):
        for way in t.random.sample(("simple", "rolled back", "committed", "pipelined"), min(TIMES, 4)):
            for filler in ("SELECT '" + "x" * 70000 + "'; ", "/*" + "'" * 66000 + "*/", "SELECT 1;" * 8000):
                if filler.startswith("SELECT 1") and way == "pipelined":
                    continue
                bench.run(way, lambda n, x=filler + text: x.replace("{n}", str(n)), "long")
            # By the extended protocol, which takes one statement; what is looked at may be its end.
            for way in ("extended", "named", "parsed first", "in one exchange"):
                for whole in ("/*" + "'" * 66000 + "*/" + text, text + " /*" + "x" * 66000 + "*/"):
                    bench.run(way, lambda n, x=whole: x.replace("{n}", str(n)), "long")
    # What is not named where it is looked at is lost for the session, and nobody else has it.
    with bench.pooled() as a, bench.pooled() as b:
        a.sql("SELECT '" + "x" * 70000 + "'; SET app.tenant = 'x'")
        bench.nothing(look(b), "behind a long text")


LIMITS = {"statement_timeout": "100ms", "lock_timeout": "1ms", "idle_in_transaction_session_timeout": "100ms",
          "transaction_timeout": "100ms", "idle_session_timeout": "100ms", "client_connection_check_interval": "100ms",
          "tcp_user_timeout": "100ms", "tcp_keepalives_idle": "1"}


@test(timeout=120)
def limits(t):
    """a time limit that one session has set ends nothing of another one's"""
    d = t.daemon(size=1)
    known = {r[0] for r in t.sql("SELECT name FROM pg_settings")}
    for name, value in LIMITS.items():
        if name not in known:
            continue
        for short in (value, "1ms" if value.endswith("ms") else value):
            b = d.connect()
            ways = ("SET %s = '%s'" % (name, short), "SELECT set_config('%s', '%s', false)" % (name, short),
                    "BEGIN; SET %s = '%s'; COMMIT" % (name, short))
            for sql in t.random.sample(ways, min(TIMES - 1, 3) or 1):
                a = d.connect()
                a.ask(sql)
                # In a transaction and in a statement that last longer, and idle for so long.
                for waits in ("SELECT pg_sleep(0.12)", "BEGIN", "SELECT 1"):
                    b.sql(waits)
                    t.sql("SELECT pg_sleep(0.06)")
                equal(b.ask("COMMIT").status, "I", "%s = %s of another session" % (name, short))
                t.sql("SELECT pg_sleep(0.12)")
                equal(b.value("SELECT 1"), "1", "%s = %s of another session, idle" % (name, short))
                equal(b.value("SELECT setting FROM pg_settings WHERE name = '%s'" % name),
                      t.value("SELECT setting FROM pg_settings WHERE name = '%s'" % name), name)
                a.drop()
            b.close()


@test
def session_functions(t):
    """what a function binds to its backend for good is nobody else's"""
    if t.value("SELECT count(*) FROM pg_available_extensions WHERE name = 'dblink'") == "0":
        raise Skip("dblink is not installed")
    t.sql("CREATE EXTENSION dblink")
    d = t.daemon(size=1)
    # As the server itself sees it, which may be in a container.
    itself = t.conninfo(host=t.value("SHOW unix_socket_directories"))
    for sql in ("SELECT dblink_connect('mine', '{}')", "SELECT public.\"dblink_connect\"('mine', '{}')",
                "DO $$BEGIN PERFORM dblink_connect('mine', '{}'); END$$"):
        a = d.connect()
        a.sql(sql.format(itself.replace("'", "''")))
        equal(a.sql("SELECT dblink_get_connections()"), [("{mine}",)], "its own")
        equal(a.sql("SELECT dblink_get_connections()"), [("{mine}",)], "its own, in the next transaction")
        a.close()
        with d.connect() as b:
            equal(b.sql("SELECT dblink_get_connections()"), [(None,)], "another's")


BOUND = [
    # extension, texts, what shows it
    ("isn", ["SELECT isn_weak(true)", "SELECT public.\"isn_weak\"(true)", "DO $$BEGIN PERFORM isn_weak(true); END$$",
             "WITH x AS (SELECT ISN_WEAK(true)) SELECT * FROM x"], "SELECT isn_weak()"),
    ("pg_trgm", ["SELECT set_limit(0.9)", "SELECT public.\"set_limit\"(0.9)", "DO $$BEGIN PERFORM set_limit(0.9); END$$",
                 "BEGIN; SELECT set_limit(0.9); COMMIT"], "SELECT show_limit()"),
]
SLOT = ["SELECT pg_create_physical_replication_slot('mine', true, true)",
        "DO $$BEGIN PERFORM pg_catalog.pg_create_physical_replication_slot('mine', true, true); END$$"]


def is_its_own(d, direct, texts, look):
    """What these texts leave in a backend, as `look` shows it, is the session's as long as it lasts, and then nobody's."""
    fresh = direct.sql(look)
    for sql in texts:
        for extended in (False, True):
            if extended and sql.startswith("BEGIN"):
                continue
            a, b = d.connect(), d.connect()
            equal((a.ask_extended if extended else a.ask)(sql).errors, [], sql)
            b.sql("BEGIN")
            other, own = b.sql(look), a.sql(look)
            b.sql("COMMIT")
            yield other
            check(own != fresh, "its own, %s" % sql)
            a.close()
            wait_until(lambda: direct.sql(look) == fresh and b.sql(look) == fresh, 10, "the next one's, %s" % sql)
            b.close()


@test
def functions_of_modules(t):
    """state that functions of isn and pg_trgm keep in their backend is the session's, and nobody else's"""
    d = t.daemon(size=2)
    for extension, texts, look in BOUND:
        if t.value("SELECT count(*) FROM pg_available_extensions WHERE name = '%s'" % extension) == "0":
            continue
        t.sql("CREATE EXTENSION %s" % extension)
        with t.cluster.connect(t.database) as direct:
            for other in is_its_own(d, direct, texts, look):
                equal(other, direct.sql(look), "another's of %s" % extension)


@test
def replication_slots(t):
    """a temporary replication slot goes with the session that has made it"""
    if os.environ.get("PGWITH_TEST_SERVER", "local") != "local":
        unavailable("it takes a server of its own")
    cluster = Cluster(t.path("slots"), settings={"wal_level": "replica", "max_wal_senders": "5"})
    t.defer(cluster.destroy)
    d = t.daemon(size=2, conninfo="host=%s port=%d dbname=postgres user=postgres" % (cluster.sockets, cluster.port))
    with cluster.connect("postgres") as direct:
        for _ in is_its_own(d, direct, SLOT, "SELECT slot_name FROM pg_replication_slots"):
            pass


# ---- how a text is read ----------------------------------------------------------------------------
# Texts that are one thing or another, as standard_conforming_strings will have it.
BACKSLASHES = [
    r"SELECT 1, '\''; LISTEN ch; SELECT '\''", r"SELECT 'don\'t; exit; x'", r"SELECT '\\'; LISTEN ch", r"SELECT 'a\'; LISTEN ch; --'",
    r"SELECT E'\''; LISTEN ch; SELECT E'\''", r"SELECT '\''; CREATE TEMP TABLE tt (a int); SELECT '\''",
    r"SELECT '\''; SET app.tenant = 'x'; SELECT '\''", r"SET app.tenant = '\''; SELECT 'y'", r"SELECT set_config('app\056tenant', 'x', false)",
    r"SELECT '\'; LISTEN a; --'", r"SELECT '\''; SET LOCAL work_mem = '3MB'; SELECT '\''", r"SELECT '\''; DO 'BEGIN LISTEN ch; END'; SELECT '\''",
    r"PREPARE p AS SELECT '\''; DEALLOCATE p; SELECT '\''", r"PREPARE p AS SELECT '\'; DEALLOCATE p; --'", r"SELECT $$\$$; LISTEN ch; SELECT $$\$$",
    r"SELECT '\';' AS a; LISTEN ch", r"BEGIN; SELECT '\''; LISTEN ch; ROLLBACK; SELECT '\''", r"SELECT '\'; ROLLBACK; --'",
    r"""SELECT '\'"'; LISTEN "it's"; SELECT '"'""", r"SELECT 'a' '\''; LISTEN ch; SELECT '\''", "SELECT 'a'\n'\\''; LISTEN ch; SELECT '\\''",
    r"SELECT pg_advisory_lock({n}), '\''; SELECT '\''", r"SELECT '\'', pg_advisory_lock({n})", r"SELECT 'set_config(\'app.tenant\', \'x\', false)'",
]


def rows_too(way):
    """The rows count, too."""
    def run(c, text):
        r = []
        ask, extended_ = c.ask, c.ask_extended

        def kept(result):
            r.append((result.rows, [e.fields.get("P") for e in result.errors]))
            return result
        c.ask = lambda sql: kept(ask(sql))
        c.ask_extended = lambda sql: kept(extended_(sql))
        try:
            return WAYS[way](c, text), r
        finally:
            del c.ask, c.ask_extended
    return run


def set_in_same_write(setting):
    """The text comes before it is known that its reading has changed."""
    def run(c, text):
        c.send(wire.query(setting) + wire.query(text) + wire.query("SELECT 2"))
        results = [c.until_ready() for _ in range(3)]
        if results[-1].status != "I":
            results.append(c.ask("ROLLBACK"))
        return answers(*results), [r.rows for r in results]
    return run


def local_in_same_write(setting):
    """A transaction ends, and with it the setting, before the text that comes with its end."""
    def run(c, text):
        c.sql("BEGIN")
        c.sql(setting)
        c.send(wire.query("COMMIT") + wire.query(text) + wire.query("SELECT 2"))
        results = [c.until_ready() for _ in range(3)]
        if results[-1].status != "I":
            results.append(c.ask("ROLLBACK"))
        return answers(*results), [r.rows for r in results]
    return run


def given_before(setting, way):
    """The session has had the setting for a while, and others have had the server."""
    def run(c, text):
        c.sql(setting)
        c.sql("SELECT 1")
        return rows_too(way)(c, text)
    return run


def in_transaction(setting):
    """The text is read so for as long as the transaction lasts."""
    return lambda c, text: (answers(c.ask("BEGIN"), c.ask(setting), c.ask(text), c.ask("COMMIT")), [])


OFF = "SET standard_conforming_strings = off"


@test
def runners_of_extensions(t):
    """functions of tablefunc and xml2 that execute a text, or a view by its name"""
    d = t.daemon(size=1)
    a, b = d.connect(), d.connect()
    text = "SELECT set_config(''work_mem'', ''3MB'', false), ''c'', ''v''"
    texts = {
        "tablefunc": ["SELECT * FROM crosstab('%s') AS t(a text, b text)" % text,
                      "SELECT * FROM public.\"crosstab\"('%s', 'SELECT $$c$$::text') AS t(a text, b text)" % text,
                      "SELECT * FROM CROSSTAB2('%s')" % text, "SELECT * FROM crosstab3('%s')" % text,
                      "SELECT * FROM U&\"crosstab\\0034\"('%s')" % text,
                      "SELECT * FROM connectby('tree', 'k', 'p', 'x', 0) AS t(k text, p text, l int)"],
        "xml2": ["SELECT * FROM xpath_table('k', 'x', 'docs', '/a', 'true') AS t(k text, a text)"]}
    t.sql("CREATE VIEW tree AS SELECT 'y'::text AS k, 'x' || left(set_config('work_mem', '3MB', false), 0) AS p")
    t.sql("CREATE VIEW docs AS SELECT set_config('work_mem', '3MB', false) AS k, '<a/>'::text AS x")
    for extension, those in texts.items():
        if t.value("SELECT count(*) FROM pg_available_extensions WHERE name = '%s'" % extension) == "0":
            note("no " + extension)
            continue
        t.sql("CREATE EXTENSION %s SCHEMA public" % extension)
        for sql in those:
            equal([e.message for e in a.ask(sql).errors], [], sql)
            equal(b.value("SHOW work_mem"), "4MB", "another client, after " + sql)
            equal(a.value("SHOW work_mem"), "3MB", "its own, after " + sql)
            a.sql("RESET work_mem")


@test(timeout=600)
def backslashes(t):
    """standard_conforming_strings on and off, set in every way and at every time, also behind what is under way"""
    bench = Bench(t)
    bench.begin()
    for n, text in enumerate(BACKSLASHES):
        ways = {
            "on": rows_too("simple"), "off": given_before(OFF, "simple"), "off, committed": given_before(OFF, "committed"),
            "in the same write": set_in_same_write(OFF), "local": in_transaction("SET LOCAL standard_conforming_strings TO 'off'"),
            "local, over": local_in_same_write("SET LOCAL standard_conforming_strings = false"),
            "by set_config": set_in_same_write("SELECT set_config('standard_' || 'conforming_strings', 'off', false)"),
            "by a block": set_in_same_write("DO $$BEGIN SET standard_conforming_strings = off; END$$"),
            "on again": set_in_same_write("SET standard_conforming_strings = off; RESET standard_conforming_strings"),
            "extended": given_before(OFF, "in one exchange"),
        }
        for name, way in t.random.sample(sorted(ways.items()), min(2 * TIMES + 1, len(ways))):
            bench.run(way, lambda k, x=text: x.replace("{n}", str(k)), name)
    # The look is one of the session that has it from its startup packet.
    bench.begin(standard_conforming_strings="off", escape_string_warning="off")
    fresh = bench.fresh[0]
    bench.begin()
    bench.nature |= {r[1] for r in fresh ^ bench.fresh[0] if r[0] == "setting"}
    for text in BACKSLASHES:
        for way in t.random.sample(("simple", "pipelined", "committed"), min(TIMES, 3)):
            bench.run(rows_too(way), lambda k, x=text: x.replace("{n}", str(k)), "startup, " + way,
                      standard_conforming_strings="off", escape_string_warning="off")


# Encodings, and a character of each whose second byte is a backslash.
HALVES = {"SJIS": b"\x95\\", "SHIFT_JIS_2004": b"\x95\\", "BIG5": b"\xa5\\", "GBK": b"\x81\\", "GB18030": b"\x81\\",
          "UHC": b"\xb0\xa1", "JOHAB": b"\xb0\xa1", "EUC_JP": b"\xa4\xa2", "LATIN1": b"\xe9\xa9", "UTF8": "é©".encode()}


def half_texts(h):
    q, e = b"'", b"E'"
    return [
        b"SELECT E'" + h + b"'; LISTEN ch; SELECT E'x'", b"SELECT E'" + h + b"\\''; LISTEN ch; SELECT E'\\''",
        b"SELECT E'" + h + b"; LISTEN ch'", b"SELECT $" + h + b"$; EXIT; ' $" + h + b"$", b"SELECT $" + h + b"$ ' $" + h + b"$; LISTEN ch; --'",
        b"SELECT '" + h + b"'; LISTEN ch; SELECT 'x'", b'LISTEN "' + h + b'"', b"SELECT 1 AS " + h + b"; LISTEN ch", b"LISTEN ch" + h,
        b"SET app.tenant = '" + h + b"'", b"SELECT set_config('app.tenant', E'" + h + b"', false)", b"SET \"app." + h + b"\" = 'x'",
        b"SET app." + h + b" = 'x'", b"PREPARE \"p" + h + b"\" AS SELECT 1; DEALLOCATE \"p" + h + b"\"",
        b"SELECT E'" + h + b"', pg_advisory_lock({n})", b"CREATE TEMP TABLE \"" + h + b"\" (a int)", b"SELECT '" + h + b"\\'; LISTEN ch; --'",
        b"SELECT nonsense, '" + h + b"'", b"SELECT '" + h + h + b"', nonsense",
    ]


@test(timeout=600)
def encodings(t):
    """client encodings in which half of a character looks like a backslash, and others"""
    bench = Bench(t)
    for encoding, half in HALVES.items():
        names = "SET client_encoding TO '%s'" % encoding
        bench.begin()
        for text in half_texts(half):
            ways = (("startup", rows_too("simple"), {"client_encoding": encoding}),
                    ("set", given_before(names, "simple"), {}), ("pipelined", given_before(names, "pipelined"), {}),
                    ("off", given_before(names + "; " + OFF, "simple"), {}), ("in the same write", set_in_same_write(names), {}),
                    ("local", in_transaction(names.replace("SET", "SET LOCAL")), {}),
                    ("local, over", local_in_same_write(names.replace("SET", "SET LOCAL")), {}))
            for name, way, params in t.random.sample(ways, min(max(TIMES - 1, 1), len(ways))):
                if name == "startup":
                    bench.nature.add("client_encoding")
                bench.run(way, lambda k, x=text: x.replace(b"{n}", str(k).encode()), encoding + ", " + name, **params)


@test
def texts_in_scopes(t):
    """scope statements, texts of many statements and positions of errors, in each encoding"""
    d = t.daemon(size=1)
    for encoding, half in HALVES.items():
        c = d.connect(client_encoding=encoding)
        count = len((half * 3).decode({"SHIFT_JIS_2004": "shift_jis_2004", "UHC": "cp949"}.get(encoding, encoding)))
        for prefix in (b"SELECT '" + half * 3 + b"'; ", b"SELECT E'" + half * 3 + b"'; ", b"SELECT '" + half * 3 + b"' AS \"" + half * 0 + b"x;\"; "):
            r = c.ask(prefix + b"ENTER a; SELECT 7; EXIT")
            equal(([x.sqlstate for x in r.errors], len(r.rows), r.status), ([], 2, "I"), "%s %r" % (encoding, prefix))
            before = len(prefix) - 3 * len(half) + count
            for statement, at in ((b"SELECT nonsense", 7), (b"ENTER nonsense ON", 17)):
                text = prefix + b"ENTER a; " + statement + b"; EXIT"
                r = c.ask(text)
                equal([int(x.fields["P"]) for x in r.errors], [before + 9 + at + 1], "%s %r" % (encoding, text))
                if r.status != "I":
                    c.ask("EXIT ALL ROLLBACK")
        c.close()
    c = d.connect(standard_conforming_strings="off", escape_string_warning="off")
    equal(c.sql(r"SELECT 'don\'t; exit; x'"), [("don't; exit; x",)], "no scope statement")
    equal(c.sql(r"ENTER a; SELECT '\'; EXIT; '; EXIT"), [("'; EXIT; ",)], "a scope around such a string")
    c.sql(r"ENTER a; DEFER 'INSERT INTO made VALUES (\'it\\\'s\')'")
    c.sql("CREATE TABLE made (a text)")
    c.sql("EXIT")
    equal(t.sql("SELECT a FROM made"), [("it's",)], "what was deferred")
    # Behind what may change the reading, nothing is taken for a scope statement that may be none.
    c.send(wire.query("SET standard_conforming_strings = on") + wire.query(r"SELECT 'a\'; EXIT; '") + wire.query("SELECT 1"))
    equal([[e.sqlstate for e in c.until_ready().errors] for _ in range(3)], [[], ["42601"], []], "as PostgreSQL reads it")
    c.close()


if __name__ == "__main__":
    main()
