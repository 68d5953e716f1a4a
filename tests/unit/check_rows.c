#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/rows.h"
#include "wire/reader.h"

/* The one cell of a row with one column of that type. */
static const uint8_t *
cell(enum column_type type, uint16_t format, int64_t value, uint32_t *bytes)
{
	static struct buf out;
	const struct column column = {"x", type};
	struct rows r = {
	    .out = &out, .columns = &column, .ncolumns = 1, .formats = &format, .nformats = 1};
	struct reader in;

	buf_clear(&out);
	buf_init(&out, 1000);
	rows_begin(&r);
	rows_number(&r, value);
	rows_end(&r);
	ck_assert_uint_eq(r.count, 1);
	reader_init(&in, buf_data(&out), out.len);
	ck_assert_int_eq(reader_u8(&in), 'D');
	ck_assert_uint_eq(reader_u32(&in), out.len - 1);
	ck_assert_uint_eq(reader_u16(&in), 1);
	*bytes = reader_u32(&in);
	ck_assert_uint_eq(*bytes, in.left);
	return in.at;
}

START_TEST(numbers_as_text)
{
	static const int64_t values[] = {0,         1,         -1,        9,        10,
					 INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};

	for (unsigned i = 0; i < sizeof values / sizeof *values; i++)
		for (int type = COLUMN_BIGINT; type <= COLUMN_NUMERIC; type++) {
			char want[32];
			uint32_t bytes;
			const uint8_t *at = cell((enum column_type)type, 0, values[i], &bytes);

			snprintf(want, sizeof want, "%lld", (long long)values[i]);
			ck_assert_uint_eq(bytes, strlen(want));
			ck_assert_mem_eq(at, want, bytes);
		}
}
END_TEST

START_TEST(int4_holds_no_more_than_it_can)
{
	uint32_t bytes;

	ck_assert_mem_eq(cell(COLUMN_INT, 0, INT64_MAX, &bytes), "2147483647", 10);
	ck_assert_mem_eq(cell(COLUMN_INT, 1, INT64_MAX, &bytes), "\x7f\xff\xff\xff", 4);
	ck_assert_uint_eq(bytes, 4);
}
END_TEST

/* What numeric_recv() reads: digits of base 10000, weight, sign, scale. */
START_TEST(numbers_as_binary_numeric)
{
	static const int64_t values[] = {0,   1,      9999,     10000,     10001,
					 -12, -50000, 12345678, INT64_MAX, INT64_MIN};

	for (unsigned i = 0; i < sizeof values / sizeof *values; i++) {
		uint32_t bytes;
		const uint8_t *at = cell(COLUMN_NUMERIC, 1, values[i], &bytes);
		uint64_t sum = 0;
		unsigned digits, sign;
		int weight;
		struct reader in;

		reader_init(&in, at, bytes);
		digits = reader_u16(&in);
		weight = (int16_t)reader_u16(&in);
		sign = reader_u16(&in);
		ck_assert_uint_eq(reader_u16(&in), 0);
		ck_assert_uint_eq(sign, values[i] < 0 ? 0x4000 : 0);
		ck_assert_int_eq(weight, digits ? (int)digits - 1 : 0);
		for (; digits > 0; digits--) {
			unsigned digit = reader_u16(&in);

			ck_assert_uint_lt(digit, 10000);
			sum = sum * 10000 + digit;
		}
		ck_assert(reader_done(&in));
		ck_assert(sum == (values[i] < 0 ? -(uint64_t)values[i] : (uint64_t)values[i]));
	}
}
END_TEST

/* Milliseconds with three decimals: as text, and as numeric_recv() reads it. */
START_TEST(milliseconds)
{
	static const struct {
		int64_t us;
		const char *text;
		unsigned ndigits;
		int weight;
		uint16_t digits[4];
	} cases[] = {
	    {0, "0.000", 0, 0, {0}},
	    {7, "0.007", 1, -1, {70}},
	    {1000, "1.000", 2, 0, {1, 0}},
	    {999999, "999.999", 2, 0, {999, 9990}},
	    {12345678901, "12345678.901", 3, 1, {1234, 5678, 9010}},
	};
	const struct column column = {"x", COLUMN_NUMERIC};

	for (unsigned i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
		const uint16_t format = i % 2;
		struct buf out;
		struct rows r = {.out = &out,
				 .columns = &column,
				 .ncolumns = 1,
				 .formats = &format,
				 .nformats = 1};
		struct reader in;
		const char *want = cases[i / 2].text;

		buf_init(&out, 1000);
		rows_begin(&r);
		rows_ms(&r, cases[i / 2].us);
		rows_end(&r);
		reader_init(&in, buf_data(&out) + 7, out.len - 7);
		ck_assert_uint_eq(reader_u32(&in), out.len - 11);
		if (format == 0) {
			ck_assert_uint_eq(in.left, strlen(want));
			ck_assert_mem_eq(in.at, want, in.left);
		} else {
			ck_assert_uint_eq(reader_u16(&in), cases[i / 2].ndigits);
			ck_assert_int_eq((int16_t)reader_u16(&in), cases[i / 2].weight);
			ck_assert_uint_eq(reader_u16(&in), 0);
			ck_assert_uint_eq(reader_u16(&in), 3);
			for (unsigned k = 0; k < cases[i / 2].ndigits; k++)
				ck_assert_uint_eq(reader_u16(&in), cases[i / 2].digits[k]);
			ck_assert(reader_done(&in));
		}
		buf_clear(&out);
	}
}
END_TEST

START_TEST(texts_booleans_and_nothing)
{
	const struct column columns[] = {
	    {"a", COLUMN_TEXT}, {"b", COLUMN_TEXT}, {"c", COLUMN_BOOL}, {"d", COLUMN_INT}};
	const uint16_t formats[] = {0, 1, 1, 0};
	struct buf out;
	struct rows r = {
	    .out = &out, .columns = columns, .ncolumns = 4, .formats = formats, .nformats = 4};

	buf_init(&out, 1000);
	rows_begin(&r);
	rows_text(&r, "x\n");
	rows_text(&r, NULL);
	rows_bool(&r, true);
	rows_null(&r);
	rows_end(&r);
	ck_assert_uint_eq(out.len, 1 + 4 + 2 + (4 + 5) + 4 + (4 + 1) + 4);
	ck_assert_mem_eq(buf_data(&out) + 7,
			 "\0\0\0\5x\\x0a"
			 "\xff\xff\xff\xff"
			 "\0\0\0\1\1"
			 "\xff\xff\xff\xff",
			 9 + 4 + 5 + 4);
	buf_clear(&out);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("rows");
	TCase *t = tcase_create("rows");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, numbers_as_text);
	tcase_add_test(t, int4_holds_no_more_than_it_can);
	tcase_add_test(t, numbers_as_binary_numeric);
	tcase_add_test(t, milliseconds);
	tcase_add_test(t, texts_booleans_and_nothing);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
