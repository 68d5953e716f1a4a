#include <check.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

START_TEST(every_row_is_well_formed)
{
	for (enum err_id id = ERR_NONE; id < ERR_N; id++) {
		const struct err_kind *k = err_kind(id);

		ck_assert_msg(k->name && k->sqlstate && k->message, "row %d is missing", id);
		ck_assert_uint_eq(strlen(k->sqlstate), 5);
		for (const char *p = k->sqlstate; *p; p++)
			ck_assert_msg(isdigit((unsigned char)*p) || isupper((unsigned char)*p),
				      "%s", k->name);
		ck_assert(*k->name);
		for (const char *p = k->name; *p; p++)
			ck_assert_msg(islower((unsigned char)*p) || *p == '_', "%s", k->name);
		for (enum err_id other = ERR_NONE; other < id; other++)
			ck_assert_str_ne(err_kind(other)->name, k->name);
		/* 00, 01 and 02 are not errors; but one is a warning. */
		ck_assert_msg(id == ERR_NONE || id == ERR_SCOPE_SWEPT ||
				  strncmp(k->sqlstate, "02", 2) > 0,
			      "%s", k->name);
		/* As PostgreSQL words them: no capital, no full stop. */
		ck_assert_msg(!isupper((unsigned char)k->message[0]), "%s", k->name);
		ck_assert_msg(k->message[strlen(k->message) - 1] != '.', "%s", k->name);
		ck_assert_msg(k->hint == NULL || (*k->hint && !strchr(k->hint, '%')), "%s",
			      k->name);
	}
	ck_assert_str_eq(err_kind(ERR_NONE)->name, "none");
}
END_TEST

/* The conversions of a format, one character each: "su". */
static void
conversions(const char *format, char *out, size_t size)
{
	size_t n = 0;

	for (; (format = strchr(format, '%')) != NULL; format += 2) {
		if (format[1] == '%')
			continue;
		ck_assert_uint_lt(n + 1, size);
		out[n++] = format[1];
	}
	out[n] = 0;
}

/* Of each kind, with arguments of the types that its format asks for, put back in at the end. */
START_TEST(every_kind_can_be_made)
{
	char kinds[10];
	struct err e;

	for (enum err_id id = ERR_NONE; id < ERR_N; id++) {
		const struct err_kind *k = err_kind(id);
		unsigned first = 0, second = 0;

		conversions(k->message, kinds, sizeof kinds);
		if (strcmp(kinds, "") == 0)
			err_make(&e, id);
		else if (strcmp(kinds, "s") == 0)
			err_make(&e, id, "<1>"), first = 1;
		else if (strcmp(kinds, "u") == 0)
			err_make(&e, id, 4000000001u);
		else if (strcmp(kinds, "uu") == 0)
			err_make(&e, id, 4000000001u, 4000000002u);
		else if (strcmp(kinds, "ss") == 0)
			err_make(&e, id, "<1>", "<2>"), first = second = 1;
		else if (strcmp(kinds, "sss") == 0)
			err_make(&e, id, "<1>", "<2>", "<3>"), first = second = 1;
		else if (strcmp(kinds, "su") == 0)
			err_make(&e, id, "<1>", 4000000001u), first = 1;
		else if (strcmp(kinds, "sus") == 0)
			err_make(&e, id, "<1>", 4000000001u, "<2>"), first = second = 1;
		else if (strcmp(kinds, "us") == 0)
			err_make(&e, id, 4000000001u, "<1>"), first = 1;
		else if (strcmp(kinds, "uc") == 0)
			err_make(&e, id, 4000000001u, 'x');
		else
			ck_abort_msg("%s: teach this test the arguments \"%s\"", k->name, kinds);
		ck_assert_int_eq(e.id, id);
		ck_assert_str_eq(e.sqlstate, k->sqlstate);
		ck_assert(!first || strstr(e.message, "<1>"));
		ck_assert(!second || strstr(e.message, "<2>"));
		ck_assert(!strchr(kinds, 'u') || strstr(e.message, "4000000001"));
		ck_assert(!strchr(e.message, '%'));
		ck_assert_pstr_eq(e.hint, k->hint);
		ck_assert_ptr_null(e.detail);
		err_clear(&e);
		ck_assert_int_eq(e.id, ERR_NONE);
		ck_assert_ptr_null(e.message);
		err_clear(&e);
	}
}
END_TEST

START_TEST(words_are_added_and_copied)
{
	struct err e, copy;

	err_make(&e, ERR_WAIT_TIMEOUT, "orders", "5 s");
	ck_assert_str_eq(e.message,
			 "no server connection of pool \"orders\" became free within 5 s");
	err_detail(&e, "%d of %d leased", 1, 2);
	err_detail(&e, "%d of %d leased", 20, 20);
	err_hint(&e, "%s", "other");
	err_copy(&copy, &e);
	err_clear(&e);
	ck_assert_str_eq(copy.message,
			 "no server connection of pool \"orders\" became free within 5 s");
	ck_assert_str_eq(copy.detail, "20 of 20 leased");
	ck_assert_str_eq(copy.hint, "other");
	ck_assert_str_eq(copy.sqlstate, "53300");
	err_copy(&e, &copy);
	err_clear(&copy);
	err_clear(&e);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("err");
	TCase *t = tcase_create("err");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, every_row_is_well_formed);
	tcase_add_test(t, every_kind_can_be_made);
	tcase_add_test(t, words_are_added_and_copied);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
