/* sqlcolumn: which texts tell by their own, or by a RowDescription, that t.name is a column. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "wire/msg.h"
#include "wire/sqlcolumn.h"

#define CANNOT UINT64_MAX /* be told */

static const struct {
	const char *text;
	uint64_t told;
} texts[] = {
    /* none */
    {"", 0},
    {"SELECT a FROM t WHERE b = 1", 0},
    {"SELECT 1.5, 1., .5", 0},

    /* each stands in the list */
    {"SELECT t.a FROM t", 1},
    {"SELECT t.a, t.b FROM t WHERE t.a = $1 ORDER BY t.b", 3},
    {"SELECT 1, t.a, 2, T.B x FROM t WHERE t.A = $1 AND t.b > 3", 10},
    {"SELECT t.a AS b, t.c \"d\" FROM s.t WHERE t.c = 1", 3},
    {"SELECT \"t\".\"a\" FROM \"t\" WHERE \"t\".\"a\" = 1", 1},
    {"SELECT s.t.a FROM s.t WHERE s.t.a = 1", 1},
    {"SELECT DISTINCT t.a FROM t", 1},
    {"SELECT ALL t.a FROM t", 1},
    {"SELECT t.a, u.b FROM t JOIN u ON t.a = u.b", 3},
    {"SELECT t.a, u.b FROM t LEFT JOIN s.u USING (c), s.v, w WHERE t.a = 1 OR u.b = 2", 3},
    {"SELECT (t.b + 1), t.b FROM t", 2},
    {"SELECT t.a, count(*), count(t.a) FROM t GROUP BY t.a HAVING count(*) > 1", 1},
    {"SELECT t.a IS DISTINCT FROM t.b, t.b, t.a FROM t", 7},
    {"SELECT t.a AS \"from\", t.b AS from, t.c FROM t WHERE t.c = 1", 7},
    {"SELECT t.a, extract(year FROM t.a) FROM t", 1},
    {"SELECT t.a FROM ONLY s.t WHERE t.a = 1 FOR UPDATE OF t", 1},
    {"SELECT t.a FROM t; ", 1},

    /* some do not */
    {"SELECT t.a FROM t WHERE t.b = 1", CANNOT},
    {"SELECT 1 FROM t WHERE t.b = 1", CANNOT},
    {"SELECT t.a FROM t WHERE \"t\".a = 1", CANNOT},
    {"SELECT t.a FROM t WHERE s.t.a = 1", CANNOT},
    {"SELECT \"t\".\"a\" FROM t WHERE \"t\".\"A\" = 1", CANNOT},
    {"SELECT (t.a) FROM t WHERE t.a = 1", CANNOT},
    {"SELECT -t.a FROM t", CANNOT},
    {"SELECT extract(year FROM t.b) FROM t", CANNOT},
    {"SELECT a IS DISTINCT FROM t.b FROM t", CANNOT},
    {"SELECT DISTINCT ON (t.b) t.a FROM t", CANNOT},
    {"SELECT a FROM t ORDER BY t.a, t.b", CANNOT},
    {"SELECT a FROM t JOIN u ON t.a = u.b, s.v", CANNOT},
    {"SELECT t.a FROM t LIMIT 1 OFFSET t.b", CANNOT},

    /* a star takes an unknown number of columns */
    {"SELECT *, t.a FROM t", CANNOT},
    {"SELECT t.a, * FROM t", CANNOT},
    {"SELECT u.*, t.a FROM t, u", CANNOT},
    {"SELECT t.* FROM t WHERE t.a = 1", CANNOT},
    {"SELECT t.* FROM t", 0},
    {"SELECT t.a, a * b FROM t WHERE t.a = 1", 1},

    /* t may be another one in another query, or in a join that has a name */
    {"SELECT t.a FROM t WHERE EXISTS (SELECT 1 FROM u)", 1},
    {"SELECT t.a FROM t WHERE EXISTS (SELECT 1 FROM u t WHERE t.a = 1)", CANNOT},
    {"SELECT t.a FROM (t JOIN u ON t.a = u.b) t", CANNOT},
    {"SELECT t.a FROM (s.t JOIN s.u USING (b)) t", CANNOT},
    {"SELECT t.a FROM t UNION SELECT u.a FROM u", CANNOT},
    {"SELECT t.a FROM t WHERE t.a IN (TABLE u)", CANNOT},
    {"SELECT t.a, v.x FROM t, (VALUES (1)) v (x) WHERE v.x = 1", CANNOT},
    {"(SELECT t.a FROM t)", CANNOT},
    {"WITH t AS (SELECT 1 AS a) SELECT t.a FROM t", CANNOT},

    /* names of tables */
    {"SELECT a FROM s.t, s.u JOIN s.v ON true, s.w WHERE b = 1", 0},
    {"SELECT a FROM t WHERE b IN (SELECT c FROM s.u, s.v)", 0},
    {"WITH v AS (SELECT a FROM s.t) SELECT b FROM v", 0},
    {"INSERT INTO s.t (a) VALUES (1)", 0},
    {"INSERT INTO s.t SELECT a FROM s.u", 0},
    {"UPDATE s.t SET a = 1", 0},
    {"UPDATE ONLY s.t SET a = b FROM s.u, s.v WHERE c = d", 0},
    {"DELETE FROM s.t USING s.u, s.v WHERE a = b", 0},
    {"TABLE s.t", 0},
    {"SELECT a FROM t WHERE b = 1 ORDER BY c USING <, s.u", CANNOT},

    /* what changes rows */
    {"UPDATE t SET a = t.a + 1", CANNOT},
    {"UPDATE t SET a = 1 WHERE t.b = 2", CANNOT},
    {"UPDATE t SET a = t.a + 1 WHERE t.b = 2 RETURNING t.b, t.a", 3},
    {"UPDATE t SET a = 1 RETURNING *, t.a", CANNOT},
    {"UPDATE x SET b = 1 FROM (t JOIN u ON t.a = u.b) t RETURNING t.a", CANNOT},
    {"DELETE FROM t USING u WHERE t.a = u.a", CANNOT},
    {"DELETE FROM t WHERE t.a = 1 RETURNING 1, t.a", 2},
    {"INSERT INTO t (a) VALUES (1) RETURNING t.b", 1},
    {"INSERT INTO t (a) SELECT u.a FROM u RETURNING t.b", CANNOT},
    {"MERGE INTO s.t USING s.u ON a = b WHEN MATCHED THEN DELETE", 0},
    {"MERGE INTO t USING u ON t.a = u.b WHEN MATCHED THEN DELETE", CANNOT},

    /* ON CONFLICT */
    {"INSERT INTO t (a, b) VALUES (1, 2) ON CONFLICT (a) DO UPDATE SET b = excluded.b", 0},
    {"INSERT INTO s.t AS x (a, \"B\") VALUES (1, 2) ON CONFLICT (a) "
     "DO UPDATE SET \"B\" = x.\"B\" + excluded.\"B\" WHERE x.a > 3",
     0},
    {"INSERT INTO t (a, b) VALUES (1, 2) ON CONFLICT (a) DO UPDATE SET c = excluded.c", CANNOT},
    {"INSERT INTO t VALUES (1, 2) ON CONFLICT (a) DO UPDATE SET b = excluded.b", CANNOT},
    {"INSERT INTO t (a, b) VALUES (t.a, 2)", CANNOT},
    {"INSERT INTO t (TABLE b) ON CONFLICT (a) DO UPDATE SET b = excluded.b", CANNOT},
    {"INSERT INTO t (VALUES (1)) ON CONFLICT (a) DO UPDATE SET b = excluded.values", CANNOT},
    {"INSERT INTO t (a.x, b) VALUES (1, 2)", CANNOT},
    {"INSERT INTO t (a) SELECT 1 ON CONFLICT (a) DO UPDATE SET a = excluded.a", CANNOT},
    {"INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE "
     "SET a = (SELECT excluded.a FROM u excluded)",
     CANNOT},
    {"INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET a = excluded.a "
     "RETURNING 1, t.b, t.a",
     6},
};

START_TEST(each_text)
{
	uint64_t told;
	bool can = sqlcolumn(texts[_i].text, strlen(texts[_i].text), &told);

	if (!can)
		told = CANNOT;
	ck_assert_msg(told == texts[_i].told, "%s: %#llx, not %#llx", texts[_i].text,
		      (unsigned long long)told, (unsigned long long)texts[_i].told);
}
END_TEST

/* Whatever the text, cut off anywhere, it is read within its bounds. */
START_TEST(texts_that_are_cut_off)
{
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		for (size_t n = strlen(texts[i].text); n > 0; n--) {
			char *copy = malloc(n);
			uint64_t told;

			memcpy(copy, texts[i].text, n);
			sqlcolumn(copy, n, &told);
			free(copy);
		}
}
END_TEST

/* Only so many columns and parentheses are followed. */
START_TEST(long_texts)
{
	uint64_t told;
	struct buf b;

	for (unsigned columns = 63; columns < 67; columns++) {
		buf_init(&b, 64 * 1024);
		buf_add_fmt(&b, "SELECT t.a0");
		for (unsigned i = 1; i < columns; i++)
			buf_add_fmt(&b, ", t.a%u", i);
		buf_add_fmt(&b, " FROM t WHERE t.a%u = 1", columns - 1);
		ck_assert(sqlcolumn((char *)buf_data(&b), b.len, &told) == (columns <= 64));
		if (columns <= 64)
			ck_assert_uint_eq(told, UINT64_MAX >> (64 - columns));
		buf_clear(&b);
	}
	for (unsigned depth = 61; depth < 65; depth++) {
		buf_init(&b, 64 * 1024);
		buf_add_fmt(&b, "SELECT t.a FROM t WHERE ");
		for (unsigned i = 0; i < depth; i++)
			buf_add_u8(&b, '(');
		buf_add_fmt(&b, "t.a");
		ck_assert(sqlcolumn((char *)buf_data(&b), b.len, &told) == (depth < 63));
		buf_clear(&b);
	}
}
END_TEST

static void
add_column(struct buf *b, const char *name, uint32_t table, uint16_t number)
{
	buf_add_str(b, name);
	buf_add_u32(b, table);
	buf_add_u16(b, number);
	buf_add(b, "\0\0\0\x17\0\4\xff\xff\xff\xff\0\0", 12);
}

START_TEST(columns_of_tables)
{
	struct buf b;

	buf_init(&b, 64 * 1024);
	buf_add_u16(&b, 4);
	add_column(&b, "a", 16384, 1);
	add_column(&b, "", 0, 0);
	add_column(&b, "whole_row", 16384, 0);
	add_column(&b, "ctid", 16384, UINT16_MAX);
	ck_assert_uint_eq(sqlcolumn_of_tables(buf_data(&b), b.len), 9);
	for (size_t n = 0; n < b.len; n++)
		ck_assert_uint_eq(sqlcolumn_of_tables(buf_data(&b), n) & ~UINT64_C(9), 0);
	buf_reset(&b);
	buf_add_u16(&b, 100);
	for (unsigned i = 0; i < 100; i++)
		add_column(&b, "a", 16384, 1);
	ck_assert_uint_eq(sqlcolumn_of_tables(buf_data(&b), b.len), UINT64_MAX);
	buf_clear(&b);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("sqlcolumn");
	TCase *t = tcase_create("texts");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_loop_test(t, each_text, 0, sizeof texts / sizeof *texts);
	tcase_add_test(t, texts_that_are_cut_off);
	tcase_add_test(t, long_texts);
	tcase_add_test(t, columns_of_tables);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
