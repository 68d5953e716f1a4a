/* formed: messages as PostgreSQL reads them, cut short everywhere, and with bytes behind. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "wire/formed.h"

#define M(type, body)                       \
	{                                   \
		type, body, sizeof body - 1 \
	}

static const struct {
	char type;
	const char *body;
	size_t bytes;
} good[] = {
    M('Q', "SELECT 1\0"),
    M('Q', "\0"),
    M('P', "\0SELECT $1\0\0\1\0\0\0\27"),
    M('P', "name\0\0\0\0"),
    M('B', "\0\0\0\0\0\0\0\0"),
    M('B', "p\0s\0\0\1\0\1\0\2\0\0\0\2ab\377\377\377\377\0\1\0\0"),
    M('D', "Sname\0"),
    M('D', "P\0"),
    M('C', "S\0"),
    M('E', "\0\0\0\0\0"),
    M('E', "p\0\377\377\377\377"),
};

START_TEST(messages_with_all_their_parts_are_well_formed)
{
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		ck_assert_msg(formed_well(good[i].type, good[i].body, good[i].bytes), "%zu", i);
	ck_assert(formed_well('S', NULL, 0));
	ck_assert(formed_well('H', NULL, 0));
	ck_assert(formed_well('d', "x", 1));
}
END_TEST

START_TEST(what_is_cut_short_or_has_more_behind_is_not)
{
	char longer[64];

	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		for (size_t n = 0; n < good[i].bytes; n++)
			ck_assert_msg(!formed_well(good[i].type, good[i].body, n), "%zu %zu", i, n);
		memcpy(longer, good[i].body, good[i].bytes);
		longer[good[i].bytes] = 0;
		ck_assert_msg(!formed_well(good[i].type, longer, good[i].bytes + 1), "%zu", i);
	}
	ck_assert(!formed_well('S', "", 1));
	ck_assert(!formed_well('H', "x", 1));
	ck_assert(!formed_well('D', "Xname\0", 6));
	ck_assert(!formed_well('C', "\0name\0", 6));
	/* A value longer than the message, and one that says nothing of how long it is. */
	ck_assert(!formed_well('B', "\0\0\0\0\0\1\177\377\377\377x\0\0", 13));
	ck_assert(!formed_well('B', "\0\0\0\0\377\377\0\0\0\0", 10));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("formed");
	TCase *t = tcase_create("formed");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, messages_with_all_their_parts_are_well_formed);
	tcase_add_test(t, what_is_cut_short_or_has_more_behind_is_not);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
