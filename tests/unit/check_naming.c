#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/naming.h"

static const struct naming_values values = {.name = "web",
					    .program = "php-fpm8.2",
					    .scope = "billing",
					    .pid = 4711,
					    .uid = 1000,
					    .session = 18446744073709551615u};

/* Returns the name in a room of `size` bytes, behind which nothing may be written. */
static const char *
made(const char *format, size_t size)
{
	static char room[600];

	memset(room, 'X', sizeof room);
	naming_write(format, &values, room, size);
	ck_assert_uint_lt(strlen(room), size);
	ck_assert_int_eq(room[size], 'X');
	return room;
}

START_TEST(what_a_value_says)
{
	ck_assert_int_eq(naming_kind("client"), NAMING_CLIENT);
	ck_assert_int_eq(naming_kind("Client"), NAMING_CLIENT);
	ck_assert_int_eq(naming_kind("POOL"), NAMING_POOL);
	ck_assert_int_eq(naming_kind("'client'"), NAMING_FORMAT);
	ck_assert_int_eq(naming_kind("%a"), NAMING_FORMAT);
}
END_TEST

START_TEST(what_is_accepted)
{
	static const char *const good[] = {"client",  "pool",      "POOL",        "%a",
					   "'%a/%p'", "'billing'", "''",          "100 %%",
					   "'a''b'",  "%a's",      "%a%p%u%e%s%c"};

	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		char *why = naming_check(good[i]);

		ck_assert_msg(why == NULL, "%s: %s", good[i], why);
	}
}
END_TEST

START_TEST(what_is_refused)
{
	static const struct {
		const char *value, *why;
	} bad[] = {
	    {"clients", "\"clients\": expected client, pool, or a format in single quotes, like "
			"'%a %p'; did you mean \"client\"?"},
	    {"", "\"\": expected client, pool, or a format in single quotes, like '%a %p'"},
	    {"'", "\"'\": expected client, pool, or a format in single quotes, like '%a %p'"},
	    {"%a'", "\"%a'\": the quote at the end has none at the beginning; expected client, "
		    "pool, or a format in single quotes, like '%a %p'"},
	    {"'%a", "\"'%a\": the quote at the beginning has none at the end; expected client, "
		    "pool, or a format in single quotes, like '%a %p'"},
	    {"'billing", NULL},
	    {"%x", "\"%x\": %x is not known; expected %a (application_name of the client), %p (its "
		   "pid), %u (its uid), %e (its program), %s (its session), %c (its scope) or %%"},
	    {"'%a %'", "\"'%a %'\": % is not known; expected %a (application_name of the client), "
		       "%p (its pid), %u (its uid), %e (its program), %s (its session), %c (its "
		       "scope) or %%"},
	    {"%a%%%A", NULL},
	};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char *why = naming_check(bad[i].value);

		ck_assert_ptr_nonnull(why);
		if (bad[i].why)
			ck_assert_str_eq(why, bad[i].why);
		free(why);
	}
}
END_TEST

START_TEST(which_letters_are_used)
{
	ck_assert(naming_uses("'%a %c'", 'c'));
	ck_assert(!naming_uses("'%a %%c'", 'c'));
	ck_assert(naming_uses("%%%c", 'c'));
	ck_assert(!naming_uses("client", 'c'));
	ck_assert(!naming_uses("''", 'c'));
}
END_TEST

START_TEST(what_is_made)
{
	ck_assert_str_eq(made("'%a/%p'", 64), "web/4711");
	ck_assert_str_eq(made("%a/%p", 64), "web/4711");
	ck_assert_str_eq(made("'%e uid=%u %s'", 64), "php-fpm8.2 uid=1000 18446744073709551615");
	ck_assert_str_eq(made("'%a:%c'", 64), "web:billing");
	ck_assert_str_eq(made("'100 %%'", 64), "100 %");
	ck_assert_str_eq(made("'billing'", 64), "billing");
	ck_assert_str_eq(made("''", 64), "");
	ck_assert_str_eq(made("'it's %a'", 64), "it's web");
}
END_TEST

/* Whatever the room is, the name is cut to it, and nothing is written behind. */
START_TEST(every_room)
{
	const char *format = "'%a %p %u %e %s %c %% and more'";
	char whole[200];

	snprintf(whole, sizeof whole, "%s", made(format, 500));
	for (size_t size = 1; size < 500; size++) {
		const char *text = made(format, size);

		ck_assert_uint_eq(strlen(text), strlen(whole) < size ? strlen(whole) : size - 1);
		ck_assert_int_eq(strncmp(text, whole, strlen(text)), 0);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("naming");
	TCase *t = tcase_create("naming");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, what_a_value_says);
	tcase_add_test(t, what_is_accepted);
	tcase_add_test(t, what_is_refused);
	tcase_add_test(t, which_letters_are_used);
	tcase_add_test(t, what_is_made);
	tcase_add_test(t, every_room);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
