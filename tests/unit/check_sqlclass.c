#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "wire/sqlclass.h"
#include "wire/sqlmention.h"
#include "wire/sqltext.h"
#include "wire/sqlusual.h"

#define MB (1 << 20)

static const struct {
	const char *text;
	unsigned set;
} cases[] = {
    {"", 0},
    {" ; ;", 0},
    {"SELECT abalance FROM pgbench_accounts WHERE aid = 12345;", 0},
    {"SELECT 1; SELECT 2; UPDATE t SET x = 1; INSERT INTO t VALUES (1)", 0},
    /* SET */
    {"SET x = 1", SQLCLASS_SET},
    {"set x to 1", SQLCLASS_SET},
    {" /* c */ -- d\n SeT x.y = 1;", SQLCLASS_SET},
    {"SET SESSION x = 1", SQLCLASS_SET},
    {"SET ROLE app", SQLCLASS_SET},
    {"SET SESSION AUTHORIZATION app", SQLCLASS_SET},
    {"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", SQLCLASS_SET},
    {"SET TIME ZONE 'UTC'", SQLCLASS_SET},
    {"SET \"local\" = 1", SQLCLASS_SET},
    {"SET", SQLCLASS_SET},
    {"RESET x", SQLCLASS_SET},
    {"RESET ALL", SQLCLASS_SET},
    {"RESET SESSION AUTHORIZATION", SQLCLASS_SET},
    {"SELECT 1; SET x = 1", SQLCLASS_SET},
    {"SELECT ';'; /* ; */ RESET x; SELECT 1", SQLCLASS_SET},
    {"SET LOCAL x = 1", 0},
    {"SET /**/ LOCAL /**/ ROLE app", 0},
    {"SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", 0},
    {"SET TRANSACTION SNAPSHOT '1'", 0},
    {"SET CONSTRAINTS ALL DEFERRED", 0},
    {"SET CONSTRAINTS a.b IMMEDIATE", 0},
    {"SET local.x = 1", SQLCLASS_SET},
    {"SET transaction.x TO 1", SQLCLASS_SET},
    {"SET constraints /**/ . x = 1", SQLCLASS_SET},
    {"SELECT 'x; SET x = 1'", 0},
    {"SELECT $$; SET x = 1;$$", 0},
    {"SELECT \"; SET x\"", 0},
    {"UPDATE set SET set = 1", 0},
    {"ALTER ROLE r SET x = 1", 0},
    {"CREATE FUNCTION f() RETURNS int LANGUAGE sql SET x = 1 AS ''", SQLCLASS_CREATE},
    {"SETx = 1", SQLCLASS_UNSURE},
    /* set_config */
    {"SELECT set_config('a', 'b', false)", SQLCLASS_SETCONFIG},
    {"SELECT Set_Config ('a', 'b', true)", 0},
    {"SELECT pg_catalog.set_config('a', 'b', TRUE)", 0},
    {"SELECT pg_catalog . \"set_config\" /**/ ('a', 'b', 'f')", SQLCLASS_SETCONFIG},
    {"SELECT set_config($1, $2, $3)", SQLCLASS_SETCONFIG},
    {"SELECT set_config('a', f(1, 2), true)", 0},
    {"SELECT set_config('a', (ARRAY['x', 'y'])[1], true)", 0},
    {"SELECT set_config('a', 'b', true), set_config('a', 'b', not true)", SQLCLASS_SETCONFIG},
    {"SELECT set_config('a', set_config('c', 'd', false), true)", SQLCLASS_SETCONFIG},
    {"SELECT set_config('a', 'b', true and f())", SQLCLASS_SETCONFIG},
    {"SELECT set_config('a', 'b', (true))", SQLCLASS_SETCONFIG},
    {"SELECT set_config('a', true)", SQLCLASS_SETCONFIG},
    {"SELECT set_config('a', 'b', is_local => true)", SQLCLASS_SETCONFIG},
    {"SELECT set_config('a', 'b', \"true\")", SQLCLASS_SETCONFIG},
    {"SELECT set_config(", SQLCLASS_SETCONFIG},
    {"SELECT set_config FROM t", 0},
    {"SELECT 'set_config(1,2,3)'", SQLCLASS_OPAQUE},
    {"SELECT 1 -- set_config(1,2,3)", 0},
    {"SELECT my_set_config(1, 2, 3)", 0},
    {"UPDATE pg_settings SET setting = 'x'", SQLCLASS_SETCONFIG | SQLCLASS_UNSURE},
    {"update only pg_catalog.pg_settings set setting = 'x'", SQLCLASS_SETCONFIG | SQLCLASS_UNSURE},
    {"WITH a AS (SELECT 1) UPDATE \"pg_settings\" SET setting = 'x'",
     SQLCLASS_SETCONFIG | SQLCLASS_UNSURE},
    {"SELECT * FROM pg_settings", 0},
    /* names in other words */
    {"SELECT \"set_config\"('a', 'b', false)", SQLCLASS_SETCONFIG},
    {"SELECT \"pg_catalog\".\"set_config\"('a', 'b', false)", SQLCLASS_SETCONFIG},
    {"SELECT U&\"set\\005fconfig\"('a', 'b', false)", SQLCLASS_SETCONFIG},
    {"SELECT u&\"set\\+00005fconfig\"('a', 'b', true)", 0},
    {"SELECT U&\"set!005fconfig\" UESCAPE '!' ('a', 'b', false)", SQLCLASS_SETCONFIG},
    {"SELECT U&\"set!005fconfig\" /* x */ uescape -- y\n E'\\041' ('a', 'b', false)",
     SQLCLASS_SETCONFIG},
    {"SELECT U&\"set!005fconfig\" UESCAPE $$!$$ ('a', 'b', true)", 0},
    {"SELECT U&\"pg_advisory\\005flock\"(1)", SQLCLASS_LOCK},
    {"SELECT U&\"pg_advisory\\005funlock\"(1)", SQLCLASS_UNDO},
    {"UPDATE U&\"pg\\005fsettings\" SET x = 1", SQLCLASS_SETCONFIG},
    {"SELECT U&\"d\\00e9j\\00e0\" FROM t", 0},
    {"SELECT a &\"b\" FROM t", 0},
    {"SELECT (5::bigint).pg_advisory_lock", SQLCLASS_LOCK},
    {"UPDATE ONLY (pg_settings) SET x = 1", SQLCLASS_SETCONFIG},
    {"UPDATE db.pg_catalog.pg_settings SET x = 1", SQLCLASS_SETCONFIG},
    {"UPDATE my_view SET \"setting\" = 1", SQLCLASS_UNSURE},
    {"WITH x AS (UPDATE my_view SET setting = 1 RETURNING 1) SELECT 1", SQLCLASS_UNSURE},
    {"COPY (UPDATE my_view SET setting = 1 RETURNING 1) TO STDOUT", SQLCLASS_UNSURE},
    {"PREPARE p AS UPDATE my_view SET setting = 1", SQLCLASS_PREPARE | SQLCLASS_UNSURE},
    {"INSERT INTO t SELECT set_config('a', 'b', false)", SQLCLASS_SETCONFIG},
    {"INSERT /* x */ INTO t VALUES (1)", 0},
    {"INSERT  into t VALUES (1)", 0},
    {"UPDATE /* x */ pg_catalog /* . */ . pg_settings SET x = 1", SQLCLASS_SETCONFIG},
    {"UPDATE pg_catalog .pg_settings SET x = 1", SQLCLASS_SETCONFIG},
    {"UPDATE pg_catalog\n.\npg_settings SET x = 1", SQLCLASS_SETCONFIG},
    {"UPDATE pg_catalog --\n.pg_settings SET x = 1", SQLCLASS_SETCONFIG},
    {"SELECT setting FROM pg_settings", 0},
    {"WITH x AS (SELECT set_config('a', 'b', false)) SELECT * FROM x", SQLCLASS_SETCONFIG},
    {"EXPLAIN ANALYZE SELECT set_config('a', 'b', false)", SQLCLASS_SETCONFIG},
    {"EXPLAIN (ANALYZE) SELECT 1 AS a INTO x", SQLCLASS_CREATE},
    {"COPY (SELECT set_config('a', 'b', false)) TO STDOUT", SQLCLASS_SETCONFIG},
    {"INSERT INTO t VALUES (1) RETURNING set_config('a', 'b', false)", SQLCLASS_SETCONFIG},
    {"INSERT INTO t SELECT 1", 0},
    {"WITH x AS (INSERT INTO t VALUES (1)) SELECT 1", 0},
    {"DECLARE c CURSOR FOR SELECT set_config('a', 'b', false)", SQLCLASS_SETCONFIG},
    {"SELECT * INTO x FROM y", SQLCLASS_CREATE},
    {"IMPORT FOREIGN SCHEMA a FROM SERVER b INTO c", SQLCLASS_CREATE},
    {"EXPLAIN ANALYZE EXECUTE p", SQLCLASS_EXECUTE},
    {"CREATE TABLE t AS EXECUTE p", SQLCLASS_CREATE | SQLCLASS_EXECUTE},
    {"CREATE TRIGGER t AFTER INSERT ON a EXECUTE FUNCTION f()", SQLCLASS_CREATE},
    {"GRANT EXECUTE ON FUNCTION f() TO r", 0},
    {"SELECT query_to_xml($1, true, true, '')", SQLCLASS_OPAQUE},
    {"SELECT * FROM ts_stat('SELECT x')", SQLCLASS_OPAQUE},
    {"SELECT ts_rewrite(q, 'SELECT t, s FROM x')", SQLCLASS_OPAQUE},
    {"SELECT table_to_xml('v', true, true, '')", SQLCLASS_OPAQUE},
    {"SELECT pg_catalog.table_to_xml_and_xmlschema('v', true, true, '')", SQLCLASS_OPAQUE},
    {"SELECT schema_to_xml('s', true, true, '')", SQLCLASS_OPAQUE},
    {"SELECT schema_to_xml_and_xmlschema('s', true, true, '')", SQLCLASS_OPAQUE},
    {"SELECT DATABASE_TO_XML(true, true, '')", SQLCLASS_OPAQUE},
    {"SELECT database_to_xml_and_xmlschema(true, true, '')", SQLCLASS_OPAQUE},
    {"SELECT cursor_to_xml('c', 1, true, true, '')", SQLCLASS_OPAQUE},
    {"SELECT * FROM crosstab($1) AS t(a text)", SQLCLASS_OPAQUE},
    {"SELECT * FROM \"crosstab\"($1)", SQLCLASS_OPAQUE},
    {"SELECT * FROM crosstab2($1), crosstab3($2)", SQLCLASS_OPAQUE},
    {"SELECT * FROM crosstab4($1)", SQLCLASS_OPAQUE},
    {"SELECT * FROM connectby('v', 'a', 'b', 'c', 0) AS t(a text)", SQLCLASS_OPAQUE},
    {"SELECT * FROM xpath_table('a', 'b', 'c', 'd', 'e') AS t(a text)", SQLCLASS_OPAQUE},
    {"SELECT xmlconcat(a), crosstab, stable, connectby.x FROM connectby", 0},
    {"SELECT ts_rank(a, b), t_status FROM ts_stats", 0},
    {"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT set_config(1,2,3)'", SQLCLASS_CREATE},
    {"DEFER 'SELECT set_config(1,2,3)'", SQLCLASS_SCOPE},
    {"SELECT dblink_connect('a', 'b')", SQLCLASS_LOAD},
    {"SELECT \"DBLINK_connect_u\"('a', 'b')", SQLCLASS_LOAD},
    {"SELECT pg_backup_start('x')", SQLCLASS_LOAD},
    {"SELECT pg_catalog.pg_replication_origin_session_setup('x')", SQLCLASS_LOAD},
    {"DO 'BEGIN PERFORM dblink_connect(1, 2); END'", SQLCLASS_OPAQUE | SQLCLASS_LOAD},
    {"SELECT dblink('a', 'b')", 0},
    {"SELECT isn_weak(true)", SQLCLASS_LOAD},
    {"SELECT public.\"isn_weak\"(true)", SQLCLASS_LOAD},
    {"SELECT isn_weaker(true), isn_weak", 0},
    {"DO 'BEGIN PERFORM isn_weak(true); END'", SQLCLASS_OPAQUE | SQLCLASS_LOAD},
    {"SELECT pg_create_physical_replication_slot('x', true, true)", SQLCLASS_LOAD},
    {"SELECT pg_create_logical_replication_slot('x', 'y', true)", SQLCLASS_LOAD},
    {"SELECT pg_copy_physical_replication_slot('x', 'y', true)", SQLCLASS_LOAD},
    {"SELECT pg_copy_logical_replication_slot('x', 'y', true)", SQLCLASS_LOAD},
    {"DO $$BEGIN PERFORM pg_create_physical_replication_slot('x', true, true); END$$",
     SQLCLASS_OPAQUE | SQLCLASS_LOAD},
    {"DO $$BEGIN PERFORM pg_backup_start('x'); END$$", SQLCLASS_OPAQUE | SQLCLASS_LOAD},
    {"SELECT * FROM pg_replication_slots", 0},
    {"SELECT set_limit(0.9)", SQLCLASS_SETCONFIG},
    {"SELECT show_limit(), set_limit", 0},
    {"FROBNICATE SESSION", SQLCLASS_UNSURE},
    {"(SELECT 1)", 0},
    {"VALUES (1)", 0},
    {"TABLE t", 0},
    {"LOCK TABLE t", 0},
    {"ALTER SYSTEM SET x = 1", 0},
    {"ALTER ROLE r SET a.b = 1", 0},
    {"COMMENT ON TABLE t IS 'x'", 0},
    /* LISTEN */
    {"LISTEN a", SQLCLASS_LISTEN},
    {"UNLISTEN a", SQLCLASS_UNLISTEN},
    {"CLOSE a", SQLCLASS_UNDO},
    {"DROP TABLE a", SQLCLASS_UNDO},
    {"ALTER TABLE a DROP b", 0},
    {"SELECT pg_advisory_unlock(1)", SQLCLASS_UNDO},
    {"SELECT pg_catalog.\"pg_advisory_unlock_shared\" (1, 2)", SQLCLASS_UNDO},
    {"SELECT pg_advisory_unlock_all(), pg_try_advisory_lock(1)", SQLCLASS_UNDO | SQLCLASS_LOCK},
    {"SELECT pg_advisory_unlock FROM a", 0},
    {"UNLISTEN *; listen b", SQLCLASS_UNLISTEN | SQLCLASS_LISTEN},
    {"NOTIFY listen", 0},
    {"SELECT listen FROM t", 0},
    /* temporary objects */
    {"CREATE TEMP TABLE t (a int)", SQLCLASS_TEMP | SQLCLASS_CREATE},
    {"create local temporary table t (a int)", SQLCLASS_TEMP | SQLCLASS_CREATE},
    {"CREATE GLOBAL TEMP SEQUENCE s", SQLCLASS_TEMP | SQLCLASS_CREATE},
    {"CREATE OR REPLACE TEMP VIEW v AS SELECT 1", SQLCLASS_TEMP | SQLCLASS_CREATE},
    {"CREATE TEMP RECURSIVE VIEW v (a) AS SELECT 1", SQLCLASS_TEMP | SQLCLASS_CREATE},
    {"CREATE /**/ TEMPORARY -- x\n TABLE t AS SELECT 1", SQLCLASS_TEMP | SQLCLASS_CREATE},
    {"CREATE TABLE pg_temp.t (a int)", SQLCLASS_TEMP | SQLCLASS_CREATE},
    {"CREATE TABLE IF NOT EXISTS \"pg_temp\" . t (a int)", SQLCLASS_TEMP | SQLCLASS_CREATE},
    {"CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
     SQLCLASS_TEMP | SQLCLASS_CREATE},
    {"EXPLAIN (ANALYZE) CREATE TEMP TABLE t AS SELECT 1", SQLCLASS_TEMP | SQLCLASS_CREATE},
    {"SELECT 1 AS a INTO TEMP t", SQLCLASS_TEMP | SQLCLASS_CREATE},
    {"SELECT 1 AS a INTO LOCAL TEMPORARY TABLE t FROM x", SQLCLASS_TEMP | SQLCLASS_CREATE},
    {"WITH a AS (SELECT 1) SELECT * INTO TEMPORARY t FROM a", SQLCLASS_TEMP | SQLCLASS_CREATE},
    {"SELECT 1 INTO pg_temp.t", SQLCLASS_TEMP | SQLCLASS_CREATE},
    {"SET search_path = pg_temp, public", SQLCLASS_SET | SQLCLASS_TEMP},
    {"SET LOCAL search_path TO 'pg_temp, public'", SQLCLASS_TEMP},
    {"SET search_path = public, pg_temp", SQLCLASS_SET},
    {"CREATE TABLE temp (temp int)", SQLCLASS_CREATE},
    {"CREATE TABLE local (a temp)", SQLCLASS_CREATE},
    {"CREATE UNLOGGED TABLE t (a int)", SQLCLASS_CREATE},
    {"SELECT 1 INTO temp.t", SQLCLASS_CREATE},
    {"SELECT 1 INTO t", SQLCLASS_CREATE},
    {"INSERT INTO temp VALUES (1)", 0},
    {"INSERT INTO pg_temp.t VALUES (1)", 0},
    {"MERGE INTO temp USING x ON true WHEN MATCHED THEN DO NOTHING", 0},
    {"SELECT temp FROM pg_temp.t", 0},
    {"DROP TABLE pg_temp.t", SQLCLASS_UNDO},
    {"SELECT 'CREATE TEMP TABLE'", 0},
    /* SQL PREPARE */
    {"PREPARE p AS SELECT 1", SQLCLASS_PREPARE},
    {"PREPARE p (int) AS SELECT $1", SQLCLASS_PREPARE},
    {"PREPARE transaction AS SELECT 1", SQLCLASS_PREPARE},
    {"PREPARE transaction (int) AS SELECT 1", SQLCLASS_PREPARE},
    {"PREPARE TRANSACTION 'x'", SQLCLASS_PREPARE_TRANSACTION},
    {"DEALLOCATE p", SQLCLASS_DEALLOCATE},
    {"DEALLOCATE ALL", SQLCLASS_DEALLOCATE},
    {"EXECUTE p", SQLCLASS_EXECUTE},
    /* cursors */
    {"DECLARE c CURSOR WITH HOLD FOR SELECT 1", SQLCLASS_HOLD},
    {"DECLARE c NO SCROLL CURSOR with /**/ hold FOR SELECT 1", SQLCLASS_HOLD},
    {"SELECT 1; DECLARE c CURSOR WITH HOLD FOR SELECT 1;", SQLCLASS_HOLD},
    {"DECLARE c CURSOR WITHOUT HOLD FOR SELECT 1", 0},
    {"DECLARE hold CURSOR FOR WITH x AS (SELECT 1) SELECT 1", 0},
    {"SELECT 1 WITH HOLD", 0},
    {"DECLARE c CURSOR FOR SELECT 'WITH HOLD'", 0},
    /* LOAD, DISCARD */
    {"LOAD 'auto_explain'", SQLCLASS_LOAD},
    {"SELECT load FROM t", 0},
    {"DISCARD ALL", SQLCLASS_DISCARD_ALL},
    {"DISCARD TEMP", SQLCLASS_DISCARD_TEMP},
    {"discard temporary", SQLCLASS_DISCARD_TEMP},
    {"DISCARD PLANS; DISCARD SEQUENCES", SQLCLASS_DISCARD_SEQUENCES},
    {"DISCARD", 0},
    /* locks */
    {"SELECT pg_advisory_lock(1)", SQLCLASS_LOCK},
    {"SELECT pg_advisory_lock_shared(1, 2)", SQLCLASS_LOCK},
    {"SELECT * FROM PG_TRY_ADVISORY_LOCK(1)", SQLCLASS_LOCK},
    {"SELECT pg_catalog.pg_try_advisory_lock_shared (1)", SQLCLASS_LOCK},
    {"SELECT \"pg_advisory_lock\"/**/\n(1)", SQLCLASS_LOCK},
    {"SELECT 1;SELECT(pg_advisory_lock(1))", SQLCLASS_LOCK},
    {"pg_advisory_lock(1)", SQLCLASS_LOCK},
    {"SELECT pg_advisory_xact_lock(1)", 0},
    {"SELECT pg_try_advisory_xact_lock_shared(1)", 0},
    {"SELECT 'pg_advisory_lock(1)', \"pg_advisory_lock \"(1)", SQLCLASS_OPAQUE},
    {"SELECT pg_advisory_lock FROM t", 0},
    {"SELECT xpg_advisory_lock(1), pg_advisory_lock1(1)", 0},
    {"SELECT e'\\' pg_advisory_lock(1)'", SQLCLASS_OPAQUE},
    {"SELECT /* ' */ pg_advisory_lock(1) /* ' */", SQLCLASS_LOCK},
    /* opaque */
    {"DO $$ BEGIN PERFORM 1; END $$", SQLCLASS_OPAQUE},
    {"CALL p()", SQLCLASS_OPAQUE},
    {"INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING", 0},
    /* transactions */
    {"BEGIN", SQLCLASS_BEGIN},
    {"begin isolation level serializable;", SQLCLASS_BEGIN},
    {"START TRANSACTION READ ONLY", SQLCLASS_BEGIN},
    {"COMMIT", SQLCLASS_COMMIT},
    {"END;", SQLCLASS_COMMIT},
    {"COMMIT WORK AND CHAIN", SQLCLASS_COMMIT | SQLCLASS_BEGIN},
    {"COMMIT AND NO CHAIN", SQLCLASS_COMMIT},
    {"COMMIT PREPARED 'x'", 0},
    {"ROLLBACK", SQLCLASS_ROLLBACK},
    {"ABORT TRANSACTION AND CHAIN", SQLCLASS_ROLLBACK | SQLCLASS_BEGIN},
    {"ROLLBACK PREPARED 'x'", 0},
    {"ROLLBACK TO a", SQLCLASS_SAVEPOINT},
    {"ROLLBACK WORK TO SAVEPOINT a", SQLCLASS_SAVEPOINT},
    {"SAVEPOINT a", SQLCLASS_SAVEPOINT},
    {"RELEASE a", SQLCLASS_SAVEPOINT},
    {"BEGIN; SELECT 1; COMMIT", SQLCLASS_BEGIN | SQLCLASS_COMMIT},
    /* bodies */
    {"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END; LISTEN a",
     SQLCLASS_LISTEN | SQLCLASS_CREATE},
    {"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1 case; END; LISTEN a",
     SQLCLASS_LISTEN | SQLCLASS_CREATE},
    {"CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); SET x = 1",
     SQLCLASS_SET | SQLCLASS_CREATE},
    {"SELECT (1; SET x = 1", SQLCLASS_SET},
    /* cut short */
    {"SELECT '; SET x = 1", 0},
    {"SELECT /* ; SET x = 1", 0},
    {"CREATE", SQLCLASS_CREATE},
    {"CREATE OR", SQLCLASS_CREATE},
    {"SELECT 1 INTO", SQLCLASS_CREATE},
    {"ROLLBACK TO", SQLCLASS_SAVEPOINT},
    {"PREPARE", SQLCLASS_PREPARE},
    {"UPDATE", 0},
    /* scope statements */
    {"ENTER", SQLCLASS_SCOPE},
    {" /* a; */ -- b;\n enTer a ON orders;", SQLCLASS_SCOPE},
    {"ENTER LOCK 'nightly'", SQLCLASS_SCOPE},
    {"USE a", SQLCLASS_SCOPE},
    {"DEFER ON COMMIT 'SET x = 1; LISTEN y'", SQLCLASS_SCOPE},
    {"DEFER $$SELECT 1; SELECT 2$$", SQLCLASS_SCOPE},
    {"EXIT", SQLCLASS_SCOPE},
    {"exit all rollback", SQLCLASS_SCOPE},
    {"LEAVE", SQLCLASS_SCOPE},
    {"leave a; COMMIT", SQLCLASS_SCOPE | SQLCLASS_COMMIT},
    {"SHOW SCOPES", SQLCLASS_SCOPE},
    {"show/**/scopes ;", SQLCLASS_SCOPE},
    {"SELECT 1; ENTER a; SELECT 2", SQLCLASS_SCOPE},
    {"SELECT (1; 2); SHOW scopes", SQLCLASS_SCOPE | SQLCLASS_UNSURE},
    {"SET x = 1; EXIT; COMMIT", SQLCLASS_SET | SQLCLASS_SCOPE | SQLCLASS_COMMIT},
    {"; ; USE a", SQLCLASS_SCOPE},
    {"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END; EXIT",
     SQLCLASS_SCOPE | SQLCLASS_CREATE},
    {"SHOW", 0},
    {"SHOW x; SHOW all", 0},
    {"SHOW \"scopes\"", 0},
    {"SHOW 'scopes'", 0},
    {"SHOW scope", 0},
    {"SHOW scopes_", 0},
    {"SHOW; scopes", SQLCLASS_UNSURE},
    {"\"enter\" a", SQLCLASS_UNSURE},
    {"'enter' a", SQLCLASS_UNSURE},
    {"(ENTER a)", 0},
    {"enters a", SQLCLASS_UNSURE},
    {"enter_a", SQLCLASS_UNSURE},
    {"SELECT enter, use, defer, leave, exit FROM scopes", 0},
    {"SELECT 'a; ENTER b'", 0},
    {"SELECT 1 -- ; ENTER b", 0},
    {"EXPLAIN ENTER a", 0},
    {"SELECT (1; ENTER a; EXIT)", 0},
    {"CREATE RULE r AS ON INSERT TO t DO (SELECT 1; EXIT; SHOW scopes)", SQLCLASS_CREATE},
    {"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; USE a; DEFER 'b'; END",
     SQLCLASS_CREATE},
};

/* What later statements of the transaction depend on has a table of its own. */
#define PARSING (SQLCLASS_SET_LOCAL | SQLCLASS_DEFINES)

static const struct {
	const char *text;
	unsigned set;
} parsing_cases[] = {
    {"SELECT 1", 0},
    {"INSERT INTO t SELECT 'create', 'alter'", 0},
    {"SET x = 1", 0},
    {"SET TRANSACTION READ ONLY", 0},
    {"SET CONSTRAINTS ALL DEFERRED", 0},
    {"SET LOCAL x = 1", SQLCLASS_SET_LOCAL},
    {"set /* c */ local role app", SQLCLASS_SET_LOCAL},
    {"SELECT 1; SET LOCAL x = 1", SQLCLASS_SET_LOCAL},
    {"SELECT set_config('a', 'b', true)", SQLCLASS_SET_LOCAL},
    {"WITH a AS (SELECT pg_catalog.\"set_config\" ('a', $1, true)) SELECT 1", SQLCLASS_SET_LOCAL},
    {"SELECT set_config('a', 'b', false)", 0},
    {"CREATE TABLE t (i int)", SQLCLASS_DEFINES},
    {" -- c\n/* d */ create type t as enum ()", SQLCLASS_DEFINES},
    {"ALTER TYPE t ADD VALUE 'x'", SQLCLASS_DEFINES},
    {"DROP VIEW v", SQLCLASS_DEFINES},
    {"IMPORT FOREIGN SCHEMA a FROM SERVER b INTO c", SQLCLASS_DEFINES},
    {"BEGIN; aLTER TABLE t ADD c int; COMMIT", SQLCLASS_DEFINES},
    {"GRANT a TO b", SQLCLASS_DEFINES},
    {"revoke a from b", SQLCLASS_DEFINES},
    {"COMMIT PREPARED 'x'", SQLCLASS_DEFINES},
    {"ROLLBACK PREPARED 'x'", 0},
    {"COMMIT", 0},
    {"SELECT altered, dropped FROM created", 0},
};

START_TEST(what_a_parse_depends_on)
{
	const char *text = parsing_cases[_i].text;

	ck_assert_msg((sqlclass(text, strlen(text)) & PARSING) == parsing_cases[_i].set, "%s",
		      text);
}
END_TEST

START_TEST(texts_have_their_class)
{
	unsigned got = sqlclass(cases[_i].text, strlen(cases[_i].text)) & ~PARSING;

	ck_assert_msg(got == cases[_i].set, "%s: wanted %x, got %x", cases[_i].text, cases[_i].set,
		      got);
}
END_TEST

/* Whatever stands around a statement, its class is found: the quick look must not change it. */
START_TEST(surroundings_do_not_matter)
{
	static const char *const around[][2] = {
	    {"SELECT 1;", ""},
	    {"/* temp set_config pg_ */", ""},
	    {"/* 0123456789abcdef0123456789abcdef */", ";-- pg_temp"},
	    {" \n\t", " ; \n"},
	    {"SELECT 'it''s;';", ";\nSELECT $a$ ' $a$"},
	};
	char text[1000];
	size_t n;

	for (unsigned c = 0; c < sizeof cases / sizeof *cases; c++) {
		for (unsigned i = 0; i < sizeof around / sizeof *around; i++) {
			n = (size_t)snprintf(text, sizeof text, "%s%s%s", around[i][0],
					     cases[c].text, around[i][1]);
			ck_assert_msg((sqlclass(text, n) & ~PARSING) == cases[c].set, "%s", text);
		}
		/* Every alignment of the quick look's blocks. */
		for (int pad = 0; pad < 40; pad++) {
			n = (size_t)snprintf(text, sizeof text, "/*%*s*/%s", pad, "",
					     cases[c].text);
			ck_assert_msg((sqlclass(text, n) & ~PARSING) == cases[c].set, "%s", text);
			n = (size_t)snprintf(text, sizeof text, "%s/*%*s*/", cases[c].text, pad,
					     "");
			ck_assert_msg((sqlclass(text, n) & ~PARSING) == cases[c].set, "%s", text);
		}
	}
}
END_TEST

/* Two semicolons follow: so the whole text is split into tokens. */
static unsigned
class_by_tokens(const char *text)
{
	char longer[1000];
	int n = snprintf(longer, sizeof longer, "%s;;", text);

	return sqlclass(longer, (size_t)n);
}

/* Is it one statement, which begins with its first byte? Asked of sqltext. */
static bool
is_one_statement(const char *text)
{
	struct sqltext_stmt stmt;
	struct sqltext walk;
	bool at_once;

	sqltext_init(&walk, text, strlen(text), 0);
	if (!sqltext_next(&walk, &stmt))
		return false;
	at_once = stmt.start == text;
	return at_once && !sqltext_next(&walk, &stmt);
}

static void
assert_as_by_tokens(const char *text)
{
	size_t n = strlen(text);
	char *exact = malloc(n);
	bool single = false;

	memcpy(exact, text, n);
	ck_assert_msg(sqlclass_single(exact, n, 0, &single) == class_by_tokens(text), "%s", text);
	ck_assert_msg(!single || is_one_statement(text), "%s", text);
	if (sqlusual_select(exact, n)) {
		ck_assert_msg(class_by_tokens(text) == 0 && is_one_statement(text), "%s", text);
		ck_assert_msg(!sqltext_is_ambiguous(exact, n) && sqlmention(exact, n) == 0, "%s",
			      text);
	}
	free(exact);
}

/* A SELECT is mostly not split: each piece that matters is found at each place of it, in texts of
 * each length. */
START_TEST(a_select_is_looked_at_whole)
{
	static const char *const pieces[] = {"pg_temp.a",
					     "INTO t",
					     "set_config('a', 'b', false)",
					     "pg_advisory_lock(1)",
					     "crosstab(q)",
					     "connectby()",
					     "dblink_connect('a')",
					     "set_limit(1)",
					     "a.b",
					     "U&\"x\"",
					     "; SET a = 1",
					     "; LISTEN b",
					     "temp",
					     "t_co",
					     "ta & tb",
					     "\\",
					     "a || b",
					     "$1",
					     "\xc3\xa4",
					     "nextval('a')",
					     "currval('a')",
					     "setseed(1)",
					     "temp_buffers",
					     "u&'x'",
					     ";"};
	enum { PIECES = sizeof pieces / sizeof *pieces };
	char text[400];
	bool single = false;

	for (unsigned i = 0; i < PIECES * PIECES; i++)
		for (int pad = 0; pad < 36; pad++) {
			snprintf(text, sizeof text, "seLECT %*s%s%*s%s", pad, "",
				 pad % 2 ? pieces[i / PIECES] : "x", pad / 3, "",
				 pieces[i % PIECES]);
			assert_as_by_tokens(text);
		}
	for (unsigned i = 0; i < PIECES; i++)
		for (int pad = 0; pad < 20 * 36; pad++) {
			snprintf(text, sizeof text, "SELECT %*s%s%*s", pad / 20, "", pieces[i],
				 pad % 20, "");
			assert_as_by_tokens(text);
		}
	ck_assert_uint_eq(sqlclass_single("SELECT 1 ; ", 11, 0, &single), 0);
	ck_assert(single);
}
END_TEST

START_TEST(usual_selects_are_known)
{
	static const char *const usual[] = {
	    "SELECT 1",
	    "select 1;",
	    "SELECT abalance FROM pgbench_accounts WHERE aid = 4711;",
	    "SELECT a || 'ta & tb' FROM t WHERE name = 'have' AND b IN (1, 2, 3)",
	    "SELECT '\xc3\xa4\xc3\xb6' FROM t",
	    "SELECT a FROM t WHERE b = $1 AND c < $2",
	};
	static const char *const others[] = {
	    "",
	    "SELECT",
	    "SELECT;",
	    "INSERT INTO t VALUES (1)",
	    "SELECT 1;;",
	    "SELECT 1; ",
	    "SELECT '\xc3\xa4' = $1",
	    " SELECT 1",
	};

	for (unsigned i = 0; i < sizeof usual / sizeof *usual; i++) {
		ck_assert_msg(sqlusual_select(usual[i], strlen(usual[i])), "%s", usual[i]);
		assert_as_by_tokens(usual[i]);
	}
	for (unsigned i = 0; i < sizeof others / sizeof *others; i++)
		ck_assert_msg(!sqlusual_select(others[i], strlen(others[i])), "%s", others[i]);
}
END_TEST

START_TEST(the_backslash_flag_matters)
{
	static const char text[] = "SELECT '\\'; SET x = 1; --'";

	ck_assert_uint_eq(sqlclass(text, sizeof text - 1), SQLCLASS_SET);
	ck_assert_uint_eq(sqlclass_flags(text, sizeof text - 1, SQLTEXT_BACKSLASH), 0);
}
END_TEST

/* In memory of just their size, so that ASan and valgrind see a step past the end. */
START_TEST(every_prefix_stays_inside)
{
	for (unsigned c = 0; c < sizeof cases / sizeof *cases; c++) {
		for (size_t n = 0; n <= strlen(cases[c].text); n++) {
			char *text = malloc(n ? n : 1);

			memcpy(text, cases[c].text, n);
			ck_assert_uint_eq(sqlclass(text, n) >> SQLCLASS_N, 0);
			ck_assert_uint_eq(sqlclass_flags(text, n, SQLTEXT_BACKSLASH) >> SQLCLASS_N,
					  0);
			free(text);
		}
	}
}
END_TEST

START_TEST(bits_have_names)
{
	ck_assert_ptr_null(sqlclass_name(0));
	ck_assert_str_eq(sqlclass_name(SQLCLASS_SET), "SET");
	ck_assert_str_eq(sqlclass_name(SQLCLASS_LOCK | SQLCLASS_COMMIT), "advisory lock");
	for (unsigned i = 0; i < SQLCLASS_N; i++)
		ck_assert_ptr_nonnull(sqlclass_name(1u << i));
}
END_TEST

static const char *const hostile[] = {
    "(",
    "$",
    "$a",
    "'",
    "e'\\'",
    ";",
    "a;",
    "set_config(",
    "set_config(a,b,",
    "set_config(a,b,true)",
    "into ",
    "into temp.",
    "create ",
    "or ",
    "update only ",
    "pg_temp ",
    "pg_advisory_lock ",
    "set ",
    "set local ",
    "; set local /**/",
    "end;",
    "with hold ",
    "/**/",
    "'pg_temp'",
    "\"pg_temp\"",
    "rollback work ",
    "; explain create or ",
    "prepare transaction ",
};

/* A few ms a megabyte; with the square of it, it would take minutes. */
START_TEST(time_grows_with_the_text)
{
	static const char *const prefixes[] = {"", "temp ", "CREATE ", "SET x = "};
	size_t unit = strlen(hostile[_i]), n;
	struct timespec began, ended;
	char *text = malloc(MB);

	for (unsigned i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
		n = strlen(prefixes[i]);
		memcpy(text, prefixes[i], n);
		for (; n + unit < MB; n += unit)
			memcpy(text + n, hostile[_i], unit);
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &began);
		sqlclass(text, n);
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ended);
		ck_assert_int_lt(ended.tv_sec - began.tv_sec, 10);
	}
	free(text);
}
END_TEST

/* A text of one word is looked at without tokens; behind a space it is not. */
START_TEST(one_word_has_its_class)
{
	static const char *const ends[] = {"", ";", " ", " ;", ";;"};
	char text[64];
	int n;

	for (enum sqltext_word w = SQLWORD_OTHER + 1; w < SQLWORD_N; w++)
		for (unsigned i = 0; i < sizeof ends / sizeof *ends; i++) {
			n = snprintf(text, sizeof text, " %s%s", sqltext_word_name(w), ends[i]);
			ck_assert_msg(sqlclass(text + 1, (size_t)n - 1) ==
					  sqlclass(text, (size_t)n),
				      "%s", text);
		}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("sqlclass");
	TCase *t = tcase_create("sqlclass");
	SRunner *r = srunner_create(s);
	int failed, ncases = sizeof cases / sizeof *cases;

	tcase_set_timeout(t, 240);
	tcase_add_loop_test(t, texts_have_their_class, 0, ncases);
	tcase_add_loop_test(t, what_a_parse_depends_on, 0,
			    sizeof parsing_cases / sizeof *parsing_cases);
	tcase_add_test(t, surroundings_do_not_matter);
	tcase_add_test(t, a_select_is_looked_at_whole);
	tcase_add_test(t, usual_selects_are_known);
	tcase_add_test(t, the_backslash_flag_matters);
	tcase_add_test(t, every_prefix_stays_inside);
	tcase_add_test(t, one_word_has_its_class);
	tcase_add_test(t, bits_have_names);
	tcase_add_loop_test(t, time_grows_with_the_text, 0, sizeof hostile / sizeof *hostile);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
