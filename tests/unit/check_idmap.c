#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/idmap.h"

START_TEST(an_empty_map_has_nothing)
{
	struct idmap m;

	idmap_init(&m);
	ck_assert_ptr_null(idmap_get(&m, 0));
	ck_assert_ptr_null(idmap_get(&m, 1));
	idmap_remove(&m, 0);
	idmap_remove(&m, 1);
	ck_assert_uint_eq(m.count, 0);
	idmap_clear(&m);
}
END_TEST

START_TEST(ids_are_never_used_again)
{
	struct idmap m;
	int owner;

	idmap_init(&m);
	for (uint64_t i = 1; i <= 1000; i++) {
		uint64_t id = idmap_add(&m, &owner);

		ck_assert_uint_eq(id, i);
		idmap_remove(&m, id);
		ck_assert_ptr_null(idmap_get(&m, id));
		idmap_remove(&m, id);
		ck_assert_uint_eq(m.count, 0);
	}
	ck_assert_ptr_null(idmap_get(&m, 0));
	ck_assert_uint_eq(m.size, 64);
	idmap_clear(&m);
}
END_TEST

#define IDS 20000

/* Random additions and removals, in phases that grow and shrink, against an array. */
START_TEST(it_does_what_an_array_does)
{
	static char *model[IDS + 1];
	const char *given = getenv("PGWITH_SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 0) : (unsigned)time(NULL);
	uint64_t last = 0;
	size_t count = 0;
	struct idmap m;

	printf("# idmap: PGWITH_SEED=%u\n", seed);
	srandom(seed);
	idmap_init(&m);
	while (last < IDS) {
		long add_percent = random() % 101;

		for (long n = random() % 500; n > 0 && last < IDS; n--) {
			uint64_t id = last ? 1 + (uint64_t)random() % last : 0;

			if (random() % 100 < add_percent) {
				id = idmap_add(&m, (char *)&m + last % 7);
				ck_assert_uint_eq(id, ++last);
				model[id] = (char *)&m + (last - 1) % 7;
				count++;
			} else {
				count -= model[id] != NULL;
				model[id] = NULL;
				idmap_remove(&m, id);
			}
			ck_assert_uint_eq(m.count, count);
			ck_assert_ptr_eq(idmap_get(&m, id), model[id]);
		}
		/* Neighbours of the touched places may be lost: look at all, now and then. */
		if (random() % 8 == 0)
			for (uint64_t id = 0; id <= last; id++)
				ck_assert_ptr_eq(idmap_get(&m, id), model[id]);
		ck_assert_ptr_null(idmap_get(&m, last + 1));
	}
	for (uint64_t id = 1; id <= last; id++) {
		ck_assert_ptr_eq(idmap_get(&m, id), model[id]);
		idmap_remove(&m, id);
	}
	ck_assert_uint_eq(m.count, 0);
	idmap_clear(&m);
	ck_assert_ptr_null(m.slots);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("idmap");
	TCase *t = tcase_create("idmap");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, an_empty_map_has_nothing);
	tcase_add_test(t, ids_are_never_used_again);
	tcase_add_test(t, it_does_what_an_array_does);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
