#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pool/known.h"

START_TEST(what_was_added_is_known)
{
	struct known k;
	uint64_t versions = 0;

	known_init(&k, &versions);
	ck_assert_ptr_null(known_result(&k, "TimeZone", "utc"));
	known_add(&k, "TimeZone", "utc", "UTC");
	known_add(&k, "work_mem", "5MB", "");
	ck_assert_str_eq(known_result(&k, "timezone", "utc"), "UTC");
	ck_assert_str_eq(known_result(&k, "WORK_MEM", "5MB"), "");
	ck_assert_ptr_null(known_result(&k, "TimeZone", "UTC"));
	ck_assert_ptr_null(known_result(&k, "TimeZon", "eutc"));
	known_add(&k, "TIMEZONE", "utc", "Etc/UTC");
	ck_assert_str_eq(known_result(&k, "TimeZone", "utc"), "Etc/UTC");
	ck_assert_uint_eq(k.recent.count, 2);
	known_clear(&k);
	ck_assert_ptr_null(known_result(&k, "TimeZone", "utc"));
	ck_assert_uint_eq(k.bytes, 0);
	known_clear(&k);
}
END_TEST

START_TEST(it_is_bounded_and_keeps_what_is_used)
{
	struct known k;
	uint64_t versions = 0;
	char value[32], *huge = mem_calloc(1, 5000);

	known_init(&k, &versions);
	known_add(&k, "a", "used", "x");
	for (int i = 0; i < 5000; i++) {
		snprintf(value, sizeof value, "%d", i);
		known_add(&k, "a", value, "");
		if (i % 100 == 0)
			ck_assert_str_eq(known_result(&k, "a", "used"), "x");
	}
	ck_assert_uint_le(k.recent.count, 1000);
	ck_assert_uint_eq(k.recent.count, k.answers.count);
	ck_assert_ptr_null(known_result(&k, "a", "0"));
	ck_assert_ptr_nonnull(known_result(&k, "a", "4999"));
	memset(huge, 'x', 4999);
	known_add(&k, "a", huge, "");
	ck_assert_ptr_null(known_result(&k, "a", huge));
	memset(huge, 0, 5000);
	memset(huge, 'y', 1000);
	for (int i = 0; i < 900; i++) {
		snprintf(value, sizeof value, "p%d", i);
		known_add(&k, value, huge, "");
	}
	ck_assert_uint_le(k.bytes, 256 * 1024);
	known_clear(&k);
	free(huge);
}
END_TEST

START_TEST(the_version_changes_with_what_is_not_so_any_more)
{
	struct known k, other;
	uint64_t versions = 0, before;

	known_init(&k, &versions);
	known_init(&other, &versions);
	ck_assert_uint_ne(k.version, 0);
	ck_assert_uint_ne(k.version, other.version);
	before = k.version;
	known_add(&k, "TimeZone", "utc", "UTC");
	known_add(&k, "TimeZone", "utc", "UTC");
	ck_assert_uint_eq(k.recent.count, 1);
	ck_assert_uint_eq(k.version, before);
	known_add(&k, "TimeZone", "utc", "Etc/UTC");
	ck_assert_uint_ne(k.version, before);
	before = k.version;
	known_clear(&k);
	ck_assert_uint_ne(k.version, before);
	ck_assert_uint_ne(k.version, other.version);
	before = k.version;
	for (int i = 0; i < 1001; i++) {
		char value[32];

		snprintf(value, sizeof value, "%d", i);
		known_add(&k, "a", value, "");
		ck_assert(i == 1000 || k.version == before);
	}
	ck_assert_uint_ne(k.version, before);
	known_clear(&k);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("known");
	TCase *t = tcase_create("known");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, what_was_added_is_known);
	tcase_add_test(t, it_is_bounded_and_keeps_what_is_used);
	tcase_add_test(t, the_version_changes_with_what_is_not_so_any_more);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
