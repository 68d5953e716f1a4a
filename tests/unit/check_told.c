#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pool/told.h"

START_TEST(equal_sets_are_one)
{
	struct tolds all;
	struct told *a = NULL, *b = NULL;

	tolds_init(&all);
	a = told_with(&all, a, "TimeZone", "UTC");
	a = told_with(&all, a, "client_encoding", "UTF8");
	b = told_with(&all, b, "client_encoding", "UTF8");
	ck_assert_ptr_ne(a, b);
	b = told_with(&all, b, "TimeZone", "UTC");
	ck_assert_ptr_eq(a, b);
	ck_assert_ptr_eq(told_with(&all, a, "timezone", "UTC"), a);
	ck_assert_uint_eq(all.sets.count, 1);
	b = told_with(&all, b, "timezone", "Asia/Tokyo");
	ck_assert_str_eq(told_get(a, "TimeZone"), "UTC");
	ck_assert_str_eq(told_get(b, "TIMEZONE"), "Asia/Tokyo");
	ck_assert_uint_eq(all.sets.count, 2);
	told_drop(&all, a);
	ck_assert_uint_eq(all.sets.count, 1);
	b = told_with(&all, b, "TimeZone", NULL);
	ck_assert_ptr_null(told_get(b, "TimeZone"));
	ck_assert_str_eq(told_get(b, "client_encoding"), "UTF8");
	b = told_with(&all, b, "client_encoding", NULL);
	ck_assert_ptr_null(b);
	ck_assert_uint_eq(all.sets.count, 0);
	tolds_clear(&all);
}
END_TEST

START_TEST(what_was_found_alike_is_remembered_for_these_sets_only)
{
	struct tolds all;
	struct told *a = NULL, *own = NULL, *other = NULL, *again = NULL;

	tolds_init(&all);
	a = told_with(&all, a, "TimeZone", "UTC");
	own = told_with(&all, own, "TimeZone", "Asia/Tokyo");
	other = told_with(&all, other, "TimeZone", "Asia/Seoul");
	ck_assert(!told_is_alike(a, own, other));
	ck_assert(!told_is_alike(a, NULL, NULL));
	told_note_alike(a, own, other);
	ck_assert(told_is_alike(a, own, other));
	ck_assert(!told_is_alike(a, other, own));
	ck_assert(!told_is_alike(a, own, NULL));
	ck_assert(!told_is_alike(own, own, other));
	/* A set that comes again is another one, even if it has the memory of the first. */
	told_drop(&all, own);
	again = told_with(&all, again, "TimeZone", "Asia/Tokyo");
	ck_assert(!told_is_alike(a, again, other));
	told_drop(&all, a);
	told_drop(&all, again);
	told_drop(&all, other);
	tolds_clear(&all);
}
END_TEST

START_TEST(two_sets_have_a_number_that_no_others_have)
{
	struct tolds all;
	struct told *a = NULL, *b = NULL, *late = NULL;

	tolds_init(&all);
	a = told_with(&all, a, "TimeZone", "UTC");
	b = told_with(&all, b, "TimeZone", "Asia/Tokyo");
	ck_assert_uint_ne(told_pair(a, b), 0);
	ck_assert_uint_ne(told_pair(a, b), told_pair(b, a));
	ck_assert_uint_ne(told_pair(a, b), told_pair(a, a));
	ck_assert_uint_eq(told_pair(a, NULL), 0);
	/* There are no numbers any more: nothing is remembered of such a set. */
	all.last = UINT32_MAX;
	late = told_with(&all, late, "TimeZone", "Asia/Seoul");
	ck_assert_uint_eq(told_pair(a, late), 0);
	told_note_alike(a, late, b);
	ck_assert(!told_is_alike(a, late, b));
	told_drop(&all, a);
	told_drop(&all, b);
	told_drop(&all, late);
	tolds_clear(&all);
}
END_TEST

START_TEST(pairs_come_sorted_in_whatever_order_they_were_told)
{
	static const char *const names[] = {"b", "A", "c", "B", "a", "D"};
	struct tolds all;
	struct told *t = NULL;
	const char *at = NULL, *name, *value;
	char text[64] = "";

	tolds_init(&all);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(text, sizeof text, "%zu", i);
		t = told_with(&all, t, names[i], text);
	}
	text[0] = 0;
	while (told_next(t, &at, &name, &value))
		snprintf(text + strlen(text), sizeof text - strlen(text), "%s=%s ", name, value);
	ck_assert_str_eq(text, "A=4 b=3 c=2 D=5 ");
	told_drop(&all, t);
	tolds_clear(&all);
}
END_TEST

START_TEST(what_does_not_fit_is_not_told)
{
	struct tolds all;
	struct told *t = NULL;
	char *huge = mem_calloc(1, 200 * 1024);

	memset(huge, 'x', 200 * 1024 - 1);
	tolds_init(&all);
	t = told_with(&all, t, "search_path", "public");
	t = told_with(&all, t, "TimeZone", "UTC");
	t = told_with(&all, t, "search_path", huge);
	ck_assert_ptr_null(told_get(t, "search_path"));
	ck_assert_str_eq(told_get(t, "TimeZone"), "UTC");
	told_drop(&all, t);
	tolds_clear(&all);
	free(huge);
}
END_TEST

START_TEST(a_set_goes_to_the_next_process)
{
	struct tolds all;
	struct told *t = NULL, *none = NULL, *read = NULL;
	struct pack p;
	struct buf out;

	tolds_init(&all);
	t = told_with(&all, t, "TimeZone", "UTC");
	t = told_with(&all, t, "application_name", "");
	buf_init(&out, 4096);
	pack_writer(&p, &out);
	told_pack(&p, &all, &t);
	told_pack(&p, &all, &none);
	pack_reader(&p, buf_data(&out), out.len);
	told_pack(&p, &all, &read);
	ck_assert_ptr_eq(read, t);
	ck_assert_uint_eq(t->uses, 2);
	told_drop(&all, read);
	read = NULL;
	told_pack(&p, &all, &read);
	ck_assert_ptr_null(read);
	ck_assert(!p.failed && p.left == 0);
	/* Cut short, and one string only. */
	pack_reader(&p, buf_data(&out), 12);
	told_pack(&p, &all, &read);
	ck_assert(p.failed && read == NULL);
	buf_data(&out)[8 + strlen("application_name")] = 'x';
	pack_reader(&p, buf_data(&out), out.len);
	told_pack(&p, &all, &read);
	ck_assert(p.failed && read == NULL);
	buf_clear(&out);
	told_drop(&all, t);
	tolds_clear(&all);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("told");
	TCase *t = tcase_create("told");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, equal_sets_are_one);
	tcase_add_test(t, what_was_found_alike_is_remembered_for_these_sets_only);
	tcase_add_test(t, two_sets_have_a_number_that_no_others_have);
	tcase_add_test(t, pairs_come_sorted_in_whatever_order_they_were_told);
	tcase_add_test(t, what_does_not_fit_is_not_told);
	tcase_add_test(t, a_set_goes_to_the_next_process);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
