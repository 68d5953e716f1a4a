#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/units.h"

START_TEST(durations_are_read)
{
	static const struct {
		const char *text;
		int64_t bare, us;
	} good[] = {
	    {"0", UNIT_S, 0},
	    {"5", UNIT_S, 5000000},
	    {"5", UNIT_MS, 5000},
	    {"10us", UNIT_S, 10},
	    {"250ms", UNIT_S, 250000},
	    {"5s", UNIT_MS, 5000000},
	    {"2min", UNIT_S, 120 * UNIT_S},
	    {"1h", UNIT_S, 3600 * UNIT_S},
	    {"1d", UNIT_S, 86400 * UNIT_S},
	    {"1.5s", UNIT_S, 1500000},
	    {".5 s", UNIT_S, 500000},
	    {" \t7 \n ms \r", UNIT_S, 7000},
	    {"1e3ms", UNIT_S, 1000000},
	    {"0.0000004s", UNIT_S, 0},
	    {"007s", UNIT_S, 7000000},
	    {"9007199254740993us", UNIT_S, INT64_C(9007199254740993)},
	    {"9200000000000000000us", UNIT_S, INT64_C(9200000000000000000)},
	};
	int64_t us;

	for (unsigned i = 0; i < sizeof good / sizeof *good; i++) {
		us = -1;
		ck_assert_msg(units_duration(good[i].text, good[i].bare, &us) == 0, "%s",
			      good[i].text);
		ck_assert_msg(us == good[i].us, "%s: %lld", good[i].text, (long long)us);
	}
}
END_TEST

START_TEST(bad_durations_are_refused)
{
	static const char *const syntax[] = {
	    "",     " ",   "s",    ".",      "x5s",   "5x",    "5S",   "5 s s", "5s5", "5,5s",
	    "+5s",  "inf", "nan",  "0x5",    "5 m",   "5sec",  "--5",  "- 5",   "1e",  "5 5",
	    "5s\1", "5;",  "infs", "1.2.3s", "5minn", "00x10", "\xff", "5\xff",
	};
	static const char *const range[] = {
	    "-1",
	    "-5s",
	    "9200000000000000001us",
	    "9223372036854775807us",
	    "9223372036854775808us",
	    "99999999999999999999s",
	    "106751992d",
	    "1e300s",
	    "1e400",
	    "1e19us",
	};
	int64_t us = 77;

	for (unsigned i = 0; i < sizeof syntax / sizeof *syntax; i++)
		ck_assert_msg(units_duration(syntax[i], UNIT_S, &us) == -E_SYNTAX, "%s", syntax[i]);
	for (unsigned i = 0; i < sizeof range / sizeof *range; i++)
		ck_assert_msg(units_duration(range[i], UNIT_S, &us) == -E_RANGE, "%s", range[i]);
	ck_assert_int_eq(us, 77);
}
END_TEST

START_TEST(sizes_are_read)
{
	static const struct {
		const char *text;
		int64_t bare, bytes;
	} good[] = {
	    {"512", 1, 512},
	    {"512B", 1024, 512},
	    {"8", 1024, 8192},
	    {"64kB", 1, 65536},
	    {"1.5 MB", 1, 1572864},
	    {"2GB", 1, INT64_C(2) << 30},
	    {"3TB", 1, INT64_C(3) << 40},
	};
	int64_t bytes;

	for (unsigned i = 0; i < sizeof good / sizeof *good; i++) {
		ck_assert_int_eq(units_size(good[i].text, good[i].bare, &bytes), 0);
		ck_assert_int_eq(bytes, good[i].bytes);
	}
	ck_assert_int_eq(units_size("1kb", 1, &bytes), -E_SYNTAX);
	ck_assert_int_eq(units_size("1K", 1, &bytes), -E_SYNTAX);
	ck_assert_int_eq(units_size("5s", 1, &bytes), -E_SYNTAX);
	ck_assert_int_eq(units_size("-1kB", 1, &bytes), -E_RANGE);
	ck_assert_int_eq(units_size("9000000TB", 1, &bytes), -E_RANGE);
}
END_TEST

START_TEST(the_shortest_form_is_written)
{
	char out[40];

	ck_assert_str_eq(units_duration_str(0, out, sizeof out), "0");
	ck_assert_str_eq(units_duration_str(1, out, sizeof out), "1us");
	ck_assert_str_eq(units_duration_str(250000, out, sizeof out), "250ms");
	ck_assert_str_eq(units_duration_str(1500000, out, sizeof out), "1500ms");
	ck_assert_str_eq(units_duration_str(90 * UNIT_S, out, sizeof out), "90s");
	ck_assert_str_eq(units_duration_str(120 * UNIT_S, out, sizeof out), "2min");
	ck_assert_str_eq(units_duration_str(86400 * UNIT_S, out, sizeof out), "1d");
	ck_assert_str_eq(units_size_str(0, out, sizeof out), "0");
	ck_assert_str_eq(units_size_str(1025, out, sizeof out), "1025B");
	ck_assert_str_eq(units_size_str(65536, out, sizeof out), "64kB");
	ck_assert_str_eq(units_size_str(INT64_C(1) << 41, out, sizeof out), "2TB");
	ck_assert_str_eq(units_elapsed_str(320, out, sizeof out), "0.3 ms");
	ck_assert_str_eq(units_elapsed_str(5 * UNIT_S, out, sizeof out), "5.0 s");
	ck_assert_str_eq(units_elapsed_str(150 * UNIT_S, out, sizeof out), "2.5 min");
	ck_assert_str_eq(units_elapsed_str(3 * UNIT_H, out, sizeof out), "3.0 h");
	ck_assert_str_eq(units_duration_str(123456789, out, 4), "123");
}
END_TEST

START_TEST(what_is_written_is_read_back)
{
	int64_t value = 1, back;
	char out[40];

	for (int i = 0; i < 20000; i++) {
		/* values of every magnitude */
		value = (int64_t)((uint64_t)value * 6364136223846793005u + 1442695040888963407u);
		value = (int64_t)((uint64_t)value >> (2 + i % 60));
		if (value > INT64_C(9200000000000000000))
			continue;
		units_duration_str(value, out, sizeof out);
		ck_assert_msg(units_duration(out, 7, &back) == 0 && back == value, "%s", out);
		units_size_str(value, out, sizeof out);
		ck_assert_msg(units_size(out, 7, &back) == 0 && back == value, "%s", out);
		value += i * INT64_C(2654435761);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("units");
	TCase *t = tcase_create("units");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, durations_are_read);
	tcase_add_test(t, bad_durations_are_refused);
	tcase_add_test(t, sizes_are_read);
	tcase_add_test(t, the_shortest_form_is_written);
	tcase_add_test(t, what_is_written_is_read_back);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
