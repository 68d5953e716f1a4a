#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "pool/resolve.h"

/* libpq's words of PQERRORS_VERBOSE, in whatever language the server speaks. */
static const struct {
	const char *line, *cut, *sqlstate;
} lines[] = {
    {"connection to server on socket \"/run/.s.PGSQL.5432\" failed: FATAL:  28P01: password "
     "authentication failed for user \"app\"",
     "connection to server on socket \"/run/.s.PGSQL.5432\" failed: FATAL:  password "
     "authentication failed for user \"app\"",
     "28P01"},
    {"FATAL:  57P03: the database system is starting up",
     "FATAL:  the database system is starting up", "57P03"},
    {"\xd0\x92\xd0\x90\xd0\x96\xd0\x9d\xd0\x9e:  3D000: x",
     "\xd0\x92\xd0\x90\xd0\x96\xd0\x9d\xd0\x9e:  x", "3D000"},
    {"a:  b:  53300: c:  28P01: d", "a:  b:  c:  28P01: d", "53300"},
    {"connection to server on socket \"/x:  y\" failed: No such file or directory", NULL, ""},
    {"server closed the connection unexpectedly", NULL, ""},
    {"x:  28p01: no", NULL, ""},
    {"x:  28P0: no", NULL, ""},
    {"x:  28P01 no", NULL, ""},
    {"x:  28P01:", NULL, ""},
    {"x:  ", NULL, ""},
    {"", NULL, ""},
};

START_TEST(the_sqlstate_is_cut_out)
{
	char line[300], sqlstate[6];
	const char *cut = lines[_i].cut ? lines[_i].cut : lines[_i].line;

	strcpy(line, lines[_i].line);
	conninfo_cut_sqlstate(line, sqlstate);
	ck_assert_str_eq(line, cut);
	ck_assert_str_eq(sqlstate, lines[_i].sqlstate);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("probe");
	TCase *t = tcase_create("probe");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_loop_test(t, the_sqlstate_is_cut_out, 0, sizeof lines / sizeof *lines);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
