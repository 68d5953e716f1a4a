#include <check.h>
#include <stdlib.h>

#include "base/siphash.h"

/* The vectors of the authors' own implementation: key 00 01 ... 0f, data 00 01 ... */
START_TEST(vectors)
{
	static const struct {
		size_t bytes;
		uint64_t hash;
	} known[] = {{0, 0x726fdb47dd0e0e31}, {1, 0x74f839c593dc67fd},  {7, 0xab0200f58b01d137},
		     {8, 0x93f5f5799a932462}, {15, 0xa129ca6149be45e5}, {63, 0x958a324ceb064572}};
	uint8_t key[SIPHASH_KEY], data[64];

	for (size_t i = 0; i < sizeof key; i++)
		key[i] = (uint8_t)i;
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)i;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		ck_assert_uint_eq(siphash(key, data, known[i].bytes), known[i].hash);
	key[15] ^= 1;
	ck_assert_uint_ne(siphash(key, data, 15), 0xa129ca6149be45e5);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("siphash");
	TCase *t = tcase_create("siphash");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, vectors);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
