/* sqlonce: which texts another Parse might understand otherwise, and why. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/sqlonce.h"

#define NEVER   SQLONCE_NEVER
#define INFERS  SQLONCE_INFERS
#define CHOOSES SQLONCE_CHOOSES
#define ROWS    SQLONCE_ROWS
#define GROWS   SQLONCE_GROWS
#define COLUMNS SQLONCE_COLUMNS

static const struct {
	const char *text;
	unsigned found; /* no types are given */
} texts[] = {
    /* one statement that has a plan */
    {"SELECT 1", ROWS},
    {"SELECT 1;", ROWS},
    {"/* a */ (SELECT 1) UNION (SELECT 2) -- b", ROWS},
    {"VALUES (1, 2)", ROWS},
    {"WITH a AS (SELECT 1 AS b) SELECT b FROM a", ROWS},
    {"WITH a AS (INSERT INTO t (b) VALUES (1) RETURNING b) SELECT b FROM a", ROWS},
    {"INSERT INTO t (a, b) VALUES (1, 2)", 0},
    {"INSERT INTO s.t VALUES (1, DEFAULT)", 0},
    {"INSERT INTO t AS x (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET a = excluded.a", 0},
    {"INSERT INTO t (a) SELECT a FROM u", 0},
    {"INSERT INTO t DEFAULT VALUES RETURNING a", ROWS},
    {"UPDATE t SET a = a + 1 WHERE b IN (1, 2)", 0},
    {"UPDATE t SET (a, b) = (1, 2) RETURNING a", ROWS},
    {"DELETE FROM t USING u WHERE a = b", 0},
    {"MERGE INTO t USING (SELECT 1 AS b) u ON (a = b) WHEN MATCHED THEN DELETE", 0},
    {"", NEVER},
    {"--", NEVER},
    {";", NEVER},
    {"SELECT 1; SELECT 2", NEVER | ROWS},
    {"SELECT a INTO u FROM t", NEVER | ROWS},
    {"SELECT 1 INTO TEMP u", NEVER | ROWS},
    {"BEGIN", NEVER},
    {"SHOW a", NEVER},
    {"FETCH 1 FROM c", NEVER},
    {"EXECUTE q", NEVER},
    {"EXPLAIN SELECT 1", NEVER},
    {"CREATE TABLE t (a int)", NEVER},
    {"CALL p()", NEVER},
    {"SELEC 1", NEVER},
    {"SELECT 'open", NEVER | ROWS},

    /* words of the grammar that may be names of functions, too */
    {"SELECT filter(1), over(1)", ROWS | CHOOSES},
    {"SELECT over(1)", ROWS | CHOOSES},
    {"SELECT count(*) FILTER (WHERE a > 1) OVER (ORDER BY a) FROM t", ROWS},
    {"SELECT set(1)", ROWS | CHOOSES},
    {"UPDATE t SET a = set(1)", CHOOSES},
    {"UPDATE t SET a = 1 WHERE set(1)", CHOOSES},
    {"UPDATE ONLY s.t * AS x SET (a, b) = (1, 2)", 0},
    {"INSERT INTO t AS x (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET (a, b) = (1, 2)", 0},
    {"SELECT a FROM t ORDER BY set(1) FOR UPDATE LIMIT set(1)", ROWS | CHOOSES},
    {"SELECT a FROM t FOR UPDATE LIMIT set(1)", ROWS | CHOOSES},
    {"SELECT of(1)", ROWS | CHOOSES},
    {"SELECT by(1)", ROWS | CHOOSES},
    {"SELECT a FROM t GROUP BY (a) ORDER BY (a)", ROWS},
    {"SELECT is(1)", ROWS | CHOOSES},
    {"SELECT matched(1)", ROWS | CHOOSES},
    {"SELECT partition(1)", ROWS | CHOOSES},
    {"SELECT NOT materialized(1)", ROWS | CHOOSES},
    {"WITH a AS NOT MATERIALIZED (SELECT 1), b AS MATERIALIZED (SELECT 2) SELECT 3", ROWS},
    {"SELECT conflict(1)", ROWS | CHOOSES},
    {"INSERT INTO t SELECT a FROM u JOIN v ON conflict(1)", CHOOSES},
    {"SELECT like($1::text, $2::text)", ROWS | CHOOSES},
    {"SELECT a FROM t ORDER BY like($1::text, $2::text)", ROWS | CHOOSES},
    {"SELECT a FROM t WHERE a LIKE ($1::text)", ROWS},
    {"SELECT join(1)", ROWS | CHOOSES},
    {"SELECT a FROM t LEFT JOIN (u JOIN (SELECT 1) v ON true) ON true", ROWS},

    /* types that only look like PostgreSQL's own */
    {"SELECT 3::double", ROWS | CHOOSES},
    {"SELECT 3::double precision, CAST(4 AS double precision)", ROWS},
    {"SELECT CAST(3 AS double)", ROWS | CHOOSES},
    {"SELECT $1::double", ROWS | INFERS | CHOOSES},
    {"SELECT zone 'a'", ROWS | CHOOSES},
    {"SELECT s.date '2020-01-01'", ROWS | CHOOSES},
    {"SELECT a AT TIME ZONE 'UTC' FROM t", ROWS},

    /* literals whose value depends on parameters of the server's configuration */
    {"SELECT date '2020-01-01', '2020-01-01'::date, CAST('2020-01-01' AS date)", ROWS},
    {"SELECT date '01/02/2020'", ROWS | CHOOSES},
    {"SELECT '1/2/2020'::date", ROWS | CHOOSES},
    {"SELECT timestamp '2020-01-01 10:00:00.5', '2020-01-01T10:00'::timestamp", ROWS},
    {"SELECT timestamptz '2020-01-01 10:00'", ROWS | CHOOSES},
    {"SELECT timestamp with time zone '2020-01-01 10:00'", ROWS | CHOOSES},
    {"SELECT timestamp with time zone '2020-01-01 10:00+01'", ROWS},
    {"SELECT '2020-01-01 10:00'::timestamp with time zone", ROWS | CHOOSES},
    {"SELECT '2020-01-01 10:00'::timestamp(3) with time zone", ROWS | CHOOSES},
    {"SELECT CAST('2020-01-01' AS timestamp with time zone)", ROWS | CHOOSES},
    {"SELECT '2020-01-01 10:00+00'::timestamptz", ROWS},
    {"SELECT time '10:00', '10:00+02'::timetz", ROWS},
    {"SELECT timetz '10:00'", ROWS | CHOOSES},
    {"SELECT interval '1 day 2 hours'", ROWS},
    {"SELECT interval '-1 day 2 hours'", ROWS | CHOOSES},
    {"SELECT E'no'\n'w'::timestamptz", ROWS | NEVER},

    {"SELECT '{1,null}'::int[], '{1,2}'::int[]", ROWS | CHOOSES},
    {"SELECT '{1,2}'::int[], 'null'::text", ROWS},
    {"SELECT a FROM t WHERE b = NULL", ROWS | CHOOSES},
    {"SELECT a FROM t WHERE b = ((NULL))", ROWS | CHOOSES},
    {"SELECT a FROM t WHERE ((NULL)) = b", ROWS | CHOOSES},
    {"SELECT a, set = NULL FROM t", ROWS | CHOOSES},
    {"SELECT a FROM t WHERE b IS NULL AND c IS NOT NULL AND (d IS NULL)", ROWS},
    {"UPDATE t SET a = NULL", 0},
    {"INSERT INTO t VALUES (NULL, NULL, coalesce(a, NULL))", 0},

    /* parameters */
    {"SELECT a FROM t WHERE a = $1", ROWS | INFERS},
    {"SELECT a FROM t WHERE a = $1::int", ROWS},
    {"SELECT a FROM t WHERE a = $1 :: int8 AND b = $2", ROWS | INFERS},
    {"SELECT a FROM t WHERE a = $1::int AND b = $1", ROWS | INFERS},
    {"SELECT a FROM t WHERE a = CAST($1 AS timestamp with time zone)", ROWS},
    {"SELECT a FROM t WHERE a = ANY ($1::int[])", ROWS},
    {"SELECT a FROM t WHERE a = $1::numeric(10, 2)", ROWS},
    {"SELECT a FROM t WHERE a = $1::mood", ROWS | INFERS | CHOOSES},
    {"SELECT a FROM t WHERE a = CAST($1 AS mood)", ROWS | INFERS | CHOOSES},
    {"SELECT CAST(a AS \"int\"), CAST(b AS int) FROM t", ROWS | CHOOSES},
    {"SELECT a FROM t WHERE a = $1::int.x", ROWS | INFERS | CHOOSES},
    {"INSERT INTO t VALUES ($1)", INFERS},

    /* literals */
    {"SELECT a FROM t WHERE a = 'x'", ROWS | CHOOSES},
    {"SELECT 'x'::text", ROWS},
    {"SELECT 'x'::mood", ROWS | CHOOSES},
    {"SELECT 'x'::regproc", ROWS | CHOOSES},
    {"SELECT CAST('x' AS varchar(3))", ROWS},
    {"SELECT interval '1 day', date '2020-01-01'", ROWS},
    {"SELECT a AT TIME ZONE 'UTC' FROM t", ROWS},
    {"SELECT timestamptz 'now'", NEVER | ROWS},
    {"SELECT '[ToDay,)'::tsrange", NEVER | ROWS},
    {"SELECT $$tomorrow$$::date", NEVER | ROWS},
    {"SELECT 'yester' 'day'::date", NEVER | ROWS | CHOOSES},
    {"SELECT E'a\\n'::text", NEVER},
    {"SELECT 'a\\b'::text", NEVER},
    {"SELECT U&'a'::text", NEVER | ROWS},
    {"SELECT NULL, TRUE, 1.5, -2e3", ROWS},

    /* names */
    {"SELECT f(a) FROM t", ROWS | CHOOSES},
    {"SELECT \"f\"(a) FROM t", ROWS | CHOOSES},
    {"SELECT s.f(a) FROM t", ROWS | CHOOSES},
    {"SELECT s.now() FROM t", ROWS | CHOOSES},
    {"SELECT a FROM f()", ROWS | CHOOSES},
    {"SELECT a FROM t, LATERAL (SELECT b FROM u) v", ROWS},
    {"SELECT now(), count(*) FROM t", ROWS},
    {"SELECT count(a) FROM t", ROWS | CHOOSES},
    {"SELECT now(1) FROM t", ROWS | CHOOSES},
    {"SELECT coalesce(a, 1), greatest(a, b), nullif(a, 2), extract(year FROM c) FROM t", ROWS},
    {"INSERT INTO t (c) VALUES (ROW($1::int, 2))", CHOOSES},
    {"INSERT INTO t (a) VALUES (1) ON CONFLICT ON CONSTRAINT c DO NOTHING", CHOOSES},
    {"SELECT row_number() OVER (PARTITION BY a ORDER BY b) FROM t", ROWS},
    {"SELECT a FROM t JOIN u USING (a) WHERE EXISTS (SELECT 1 FROM v WHERE a = b)", ROWS},
    {"SELECT t.a FROM t WHERE t.a = $1::int", ROWS | COLUMNS},
    {"SELECT t.a FROM t WHERE t.b = $1::int", ROWS | CHOOSES},
    {"DELETE FROM t USING u WHERE t.a = u.a", CHOOSES},
    {"SELECT a FROM s.t", ROWS},
    {"SELECT (c).x FROM t", ROWS | CHOOSES},
    {"SELECT c[1].x FROM t", ROWS | CHOOSES},
    {"SELECT a COLLATE \"C\" FROM t", ROWS | CHOOSES},
    {"SELECT a OPERATOR(s.+) 1 FROM t", ROWS | CHOOSES},
    {"SELECT a AS b, c AS \"d\" FROM t AS u (a, c)", ROWS},
    {"SELECT t FROM t FOR UPDATE OF t", ROWS},
    {"SELECT a FROM a23456789012345678901234567890123456789012345678901234567890b", NEVER | ROWS},
    {"SELECT U&\"a\" FROM t", NEVER | ROWS},
    {"SELECT CASE WHEN a THEN (1) ELSE (2) END FROM t", ROWS},

    /* columns */
    {"SELECT * FROM t", ROWS | GROWS},
    {"SELECT t.* FROM t", ROWS | GROWS},
    {"SELECT a, * FROM t", ROWS | GROWS},
    {"SELECT *, a FROM t", ROWS | GROWS},
    {"SELECT DISTINCT ON (a) * FROM t", ROWS | GROWS},
    {"SELECT DISTINCT ON (a) *, b FROM t", ROWS | GROWS},
    {"SELECT ALL * FROM t", ROWS | GROWS},
    {"SELECT a FROM (SELECT * FROM t) u", ROWS | GROWS},
    {"SELECT *", ROWS | GROWS},
    {"INSERT INTO t VALUES (1) RETURNING *", ROWS | GROWS},
    {"TABLE t", ROWS | GROWS},
    {"SELECT a FROM t UNION TABLE u", ROWS | GROWS},
    {"SELECT a * b, 2 * a, a * 2, (a) * b, a * (b), c[1] * -1 FROM t", ROWS},
};

START_TEST(each_text)
{
	unsigned found = sqlonce(texts[_i].text, strlen(texts[_i].text), NULL, 0);

	ck_assert_msg(found == texts[_i].found || ((found & NEVER) && (texts[_i].found & NEVER)),
		      "%s: %#x, not %#x", texts[_i].text, found, texts[_i].found);
}
END_TEST

/* int4, int8, unknown, nothing, and a type of a user's */
#define INT4    "\0\0\0\x17"
#define INT8    "\0\0\0\x14"
#define UNKNOWN "\0\0\x02\xc1"
#define NONE    "\0\0\0\0"
#define USERS   "\0\0\x40\0"

static unsigned
with_types(const char *sql, const char *types, unsigned count)
{
	return sqlonce(sql, strlen(sql), (const uint8_t *)types, count);
}

START_TEST(types_that_a_parse_gives)
{
	static const char sql[] = "UPDATE t SET a = $1 WHERE b = $2";

	ck_assert_uint_eq(with_types(sql, INT4 INT8, 2), 0);
	ck_assert_uint_eq(with_types(sql, INT4, 1), INFERS);
	ck_assert_uint_eq(with_types(sql, INT4 NONE, 2), INFERS);
	ck_assert_uint_eq(with_types(sql, UNKNOWN INT4, 2), INFERS);
	ck_assert_uint_eq(with_types(sql, INT4 USERS, 2), CHOOSES);
	ck_assert_uint_eq(with_types("DELETE FROM t WHERE a = $2", INT4 INT8, 2), 0);
	ck_assert_uint_eq(with_types("DELETE FROM t WHERE a = $3", INT4 INT8, 2), INFERS);
	ck_assert_uint_eq(with_types("DELETE FROM t WHERE a = $0", INT4 INT8, 2), INFERS);
	ck_assert_uint_eq(with_types("DELETE FROM t WHERE a = $99999999999", INT4 INT8, 2), INFERS);
}
END_TEST

/* Whatever the text, cut off anywhere, it is read within its bounds. */
START_TEST(texts_that_are_cut_off)
{
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		for (size_t n = strlen(texts[i].text); n > 0; n--) {
			char *copy = malloc(n);

			memcpy(copy, texts[i].text, n);
			sqlonce(copy, n, NULL, 0);
			free(copy);
		}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("sqlonce");
	TCase *t = tcase_create("texts");
	SRunner *r;
	int failed;

	tcase_add_loop_test(t, each_text, 0, sizeof texts / sizeof *texts);
	tcase_add_test(t, types_that_a_parse_gives);
	tcase_add_test(t, texts_that_are_cut_off);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed > 0;
}
