#include <check.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "fixture/types.h"
#include "wire/frame.h"

START_TEST(declared_types_are_known)
{
	static const struct {
		const char *declared;
		uint32_t oid;
		int32_t modifier;
	} cases[] = {
	    {"integer", 23, -1},
	    {"INT", 23, -1},
	    {"bigint", 20, -1},
	    {"double precision", 701, -1},
	    {"numeric(10,2)", 1700, (10 << 16 | 2) + 4},
	    {"numeric(5)", 1700, (5 << 16) + 4},
	    {"varchar(20)", 1043, 24},
	    {"character varying(3)", 1043, 7},
	    {"char(3)", 1042, 7},
	    {"timestamp", 1114, -1},
	    {"timestamp(3) with time zone", 1184, -1},
	    {"timestamp without time zone", 1114, -1},
	    {"\"text\"", 25, -1},
	    {"varchar(99999999999)", 1043, 99999999 + 4},
	};
	const struct type *t;
	int32_t modifier;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		t = type_declared(cases[i].declared, &modifier);
		ck_assert_ptr_nonnull(t);
		ck_assert_uint_eq(t->oid, cases[i].oid);
		ck_assert_int_eq(modifier, cases[i].modifier);
	}
	ck_assert_ptr_null(type_declared("", &modifier));
	ck_assert_ptr_null(type_declared("nosuch", &modifier));
	ck_assert_ptr_null(type_declared("'", &modifier));
}
END_TEST

/* Reads a text value of a type, and writes it in that format. NULL is an error. */
static const uint8_t *
through(const char *type, const char *text, unsigned format, size_t *bytes)
{
	static struct buf out;
	struct value v;
	struct fault why = {0};
	const struct type *t = type_by_name(type);
	const uint8_t *got = NULL;

	if (out.max == 0)
		buf_init(&out, 10000);
	buf_reset(&out);
	if (value_read(&v, t, 0, (const uint8_t *)text, strlen(text), &why) == 0 &&
	    value_write(&out, &v, t, -1, format, &why) == 0) {
		*bytes = frame_u32(buf_data(&out));
		ck_assert_uint_eq(out.len, *bytes + 4);
		got = buf_data(&out) + 4;
	} else {
		ck_assert(fault_is_set(&why));
	}
	value_clear(&v);
	fault_clear(&why);
	return got;
}

START_TEST(text_comes_back_as_postgresql_writes_it)
{
	static const char *const cases[][3] = {
	    {"int4", " 42 ", "42"},
	    {"int4", "2147483648", NULL},
	    {"int8", "9223372036854775807", "9223372036854775807"},
	    {"int8", "9223372036854775808", NULL},
	    {"int4", "4.2", NULL},
	    {"int4", "", NULL},
	    {"bool", "yes", "t"},
	    {"bool", " F ", "f"},
	    {"bool", "o", NULL},
	    {"float8", "0.1", "0.1"},
	    {"float8", "1e300", "1e+300"},
	    {"float8", "NaN", "NaN"},
	    {"float8", "-inf", "-Infinity"},
	    {"float8", "0x10", NULL},
	    {"numeric", "12.50", "12.5"},
	    {"numeric", "1e20", "100000000000000000000"},
	    {"bytea", "\\x00Ff", "\\x00ff"},
	    {"bytea", "a\\\\\\001", "\\x615c01"},
	    {"bytea", "\\x0", NULL},
	    {"bytea", "\\9", NULL},
	    {"timestamptz", "2024-02-29 23:30:00-01:30", "2024-03-01 01:00:00+00"},
	    {"timestamptz", "1970-01-01T00:00:00.000001Z", "1970-01-01 00:00:00.000001+00"},
	    {"timestamp", "1999-12-31 23:59:59.5", "1999-12-31 23:59:59.5"},
	    {"timestamptz", "2024-13-01", NULL},
	    {"timestamptz", "2024-01-01 10:00 nonsense", NULL},
	    {"date", "2024-05-06 10:00", "2024-05-06"},
	    {"text", "", ""},
	};
	const uint8_t *got;
	size_t bytes;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		got = through(cases[i][0], cases[i][1], 0, &bytes);
		ck_assert_msg((got == NULL) == (cases[i][2] == NULL), "%s %s", cases[i][0],
			      cases[i][1]);
		if (got == NULL)
			continue;
		ck_assert_uint_eq(bytes, strlen(cases[i][2]));
		ck_assert_mem_eq(got, cases[i][2], bytes);
	}
}
END_TEST

START_TEST(binary_values_are_those_of_postgresql)
{
	static const struct {
		const char *type, *text;
		const char *binary;
		size_t bytes;
	} cases[] = {
	    {"bool", "t", "\1", 1},
	    {"int2", "-2", "\xff\xfe", 2},
	    {"int4", "258", "\0\0\1\2", 4},
	    {"int8", "-1", "\xff\xff\xff\xff\xff\xff\xff\xff", 8},
	    {"float8", "1", "\x3f\xf0\0\0\0\0\0\0", 8},
	    {"float4", "-2", "\xc0\0\0\0", 4},
	    {"date", "1999-12-31", "\xff\xff\xff\xff", 4},
	    {"timestamptz", "2000-01-01 00:00:01+00", "\0\0\0\0\0\x0f\x42\x40", 8},
	    {"numeric", "0", "\0\1\0\0\0\0\0\0\0\0", 10},
	    {"numeric", "-12345.67", "\0\3\0\1\x40\0\0\2\0\1\x09\x29\x1a\x2c", 14},
	    {"bytea", "\\x0102", "\1\2", 2},
	    {"jsonb", "{}", "\1{}", 3},
	    {"uuid", "00010203-0405-0607-0809-0a0b0c0d0e0f",
	     "\0\1\2\3\4\5\6\7\x8\x9\xa\xb\xc\xd\xe\xf", 16},
	};
	const uint8_t *got;
	size_t bytes;
	struct value v;
	struct fault why = {0};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		got = through(cases[i].type, cases[i].text, 1, &bytes);
		ck_assert_ptr_nonnull(got);
		ck_assert_uint_eq(bytes, cases[i].bytes);
		ck_assert_mem_eq(got, cases[i].binary, bytes);
	}
	/* Every length but the right one is refused. */
	for (size_t i = 0; i < 8; i++) {
		for (size_t n = 0; n < cases[i].bytes; n++) {
			ck_assert_int_ne(value_read(&v, type_by_name(cases[i].type), 1,
						    (const uint8_t *)cases[i].binary, n, &why),
					 0);
			value_clear(&v);
		}
	}
	fault_clear(&why);
}
END_TEST

START_TEST(every_day_is_its_own_text)
{
	char text[STAMP_CHARS], again[STAMP_CHARS];
	int64_t us;

	for (int64_t day = -800000; day < 1200000; day += 37) {
		stamp_text(day * INT64_C(86400000000) + 1, true, text);
		/* Years before 1 have no text of this form. */
		if (*text == '-' || strncmp(text, "0000", 4) == 0)
			continue;
		ck_assert_int_eq(stamp_parse(text, strlen(text), &us), 0);
		ck_assert_int_eq(us, day * INT64_C(86400000000) + 1);
		stamp_text(us, true, again);
		ck_assert_str_eq(text, again);
	}
}
END_TEST

START_TEST(casts_follow_postgresql)
{
	struct fault why = {0};
	struct value v = {.kind = SQLITE_FLOAT, .real = 2.5};

	ck_assert_int_eq(value_cast(&v, type_by_name("int4"), -1, &why), 0);
	ck_assert_int_eq(v.integer, 2);
	v = (struct value){.kind = SQLITE_FLOAT, .real = 1e300};
	ck_assert_int_ne(value_cast(&v, type_by_name("int8"), -1, &why), 0);
	ck_assert_str_eq(why.sqlstate, "22003");
	v = (struct value){.kind = SQLITE_TEXT, .bytes = "\xc3\xa4\xc3\xb6x", .length = 5};
	ck_assert_int_eq(value_cast(&v, type_by_name("varchar"), 2 + 4, &why), 0);
	ck_assert_uint_eq(v.length, 4);
	value_clear(&v);
	v = (struct value){.kind = SQLITE_INTEGER, .integer = 7};
	ck_assert_int_eq(value_cast(&v, type_by_name("text"), -1, &why), 0);
	ck_assert_str_eq(v.bytes, "7");
	value_clear(&v);
	v = (struct value){.kind = SQLITE_BLOB, .bytes = "\1\2", .length = 2};
	ck_assert_int_eq(value_cast(&v, type_by_name("text"), -1, &why), 0);
	ck_assert_str_eq(v.bytes, "\\x0102");
	value_clear(&v);
	fault_clear(&why);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("types");
	TCase *t = tcase_create("types");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, declared_types_are_known);
	tcase_add_test(t, text_comes_back_as_postgresql_writes_it);
	tcase_add_test(t, binary_values_are_those_of_postgresql);
	tcase_add_test(t, every_day_is_its_own_text);
	tcase_add_test(t, casts_follow_postgresql);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
