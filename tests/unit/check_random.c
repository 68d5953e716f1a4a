#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"

START_TEST(no_bytes_are_given_twice_and_none_are_kept)
{
	static const uint8_t zeros[RANDOM_STORE];
	struct random_store r = {0};
	uint8_t got[3 * RANDOM_STORE / 32][32];
	size_t n = sizeof got / sizeof *got;

	for (size_t i = 0; i < n; i++) {
		random_fill(&r, got[i], sizeof got[i]);
		ck_assert_mem_eq(r.store + r.left, zeros, sizeof r.store - r.left);
	}
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < i; k++)
			ck_assert_mem_ne(got[i], got[k], sizeof got[i]);
}
END_TEST

START_TEST(what_is_left_is_too_little)
{
	uint8_t most[RANDOM_STORE] = {0}, few[7];
	struct random_store r = {0};

	random_fill(&r, few, sizeof few);
	ck_assert_uint_eq(r.left, RANDOM_STORE - sizeof few);
	random_fill(&r, most, sizeof most);
	ck_assert_uint_eq(r.left, 0);
	/* A byte may be 0, but not a whole row of them. */
	for (size_t i = 0; i + 32 <= sizeof most; i += 32)
		ck_assert_mem_ne(most + i, r.store, 32);
	random_fill(&r, few, 0);
	ck_assert_uint_eq(r.left, 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("random");
	TCase *t = tcase_create("random");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, no_bytes_are_given_twice_and_none_are_kept);
	tcase_add_test(t, what_is_left_is_too_little);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
