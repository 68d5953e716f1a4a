#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "admin/metrics.h"

static bool
ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), k = strlen(end);

	return n >= k && strcmp(text + n - k, end) == 0;
}

/* What OpenMetrics and promtool want of names. */
START_TEST(names_are_good)
{
	static const char *const reserved[] = {"_total",  "_count", "_sum",
					       "_bucket", "_info",  "_created"};
	const struct metric *table;
	unsigned count;

	table = metrics_table(&count);
	ck_assert_uint_gt(count, 40);
	for (unsigned i = 0; i < count; i++) {
		const struct metric *m = &table[i];

		ck_assert_msg(strncmp(m->name, "pgwith_", 7) == 0, "%s", m->name);
		ck_assert_uint_eq(strspn(m->name, "abcdefghijklmnopqrstuvwxyz_"), strlen(m->name));
		for (unsigned k = 0; k < sizeof reserved / sizeof *reserved; k++)
			ck_assert_msg(!ends_with(m->name, reserved[k]), "%s", m->name);
		if (*m->unit)
			ck_assert_msg(ends_with(m->name, m->unit), "%s", m->name);
		ck_assert_msg(
		    *m->unit || (!ends_with(m->name, "_seconds") && !ends_with(m->name, "_bytes")),
		    "%s", m->name);
		for (unsigned k = 0; k < i; k++)
			ck_assert_str_ne(m->name, table[k].name);
	}
}
END_TEST

/* Help is written as it is, in both formats and in the manual. */
START_TEST(help_needs_no_escapes)
{
	const struct metric *table;
	unsigned count;

	table = metrics_table(&count);
	for (unsigned i = 0; i < count; i++) {
		const struct metric *m = &table[i];

		ck_assert_msg(strpbrk(m->help, "\\\"\n\t") == NULL, "%s", m->name);
		ck_assert_msg(ends_with(m->help, ".") && *m->help != '.', "%s", m->name);
		ck_assert_ptr_nonnull(m->write);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("metrics");
	TCase *t = tcase_create("metrics");
	SRunner *r;
	int failed;

	tcase_add_test(t, names_are_good);
	tcase_add_test(t, help_needs_no_escapes);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
