#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "pool/resolve.h"

static char why[512];

static const char *
param(const struct conninfo_params *p, const char *keyword)
{
	const char *value = NULL;

	for (unsigned i = 0; i < p->count; i++) {
		if (strcmp(p->keywords[i], keyword))
			continue;
		ck_assert_msg(value == NULL, "%s is there twice", keyword);
		value = p->values[i];
	}
	return value;
}

/* The conninfo comes to these lists. */
static void
becomes(const char *text, bool names, const char *host, const char *hostaddr, const char *port)
{
	struct conninfo *ci = conninfo_new(text, why, sizeof why);
	struct conninfo_params p;

	ck_assert_msg(ci != NULL, "%s: %s", text, why);
	ck_assert_msg(conninfo_has_names(ci) == names, "%s: names", text);
	ck_assert_msg(conninfo_resolve(ci, &p, why, sizeof why) == 0, "%s: %s", text, why);
	ck_assert_str_eq(param(&p, "host"), host);
	if (hostaddr)
		ck_assert_str_eq(param(&p, "hostaddr"), hostaddr);
	ck_assert_str_eq(param(&p, "port"), port);
	ck_assert_str_eq(param(&p, "gssencmode"), "disable");
	ck_assert_str_eq(param(&p, "fallback_application_name"), "pgwith");
	ck_assert_ptr_null(p.keywords[p.count]);
	ck_assert_ptr_null(p.values[p.count]);
	conninfo_params_clear(&p);
	conninfo_free(ci);
}

static void
refused(const char *text, const char *reason)
{
	struct conninfo *ci;

	why[0] = 0;
	ci = conninfo_new(text, why, sizeof why);
	ck_assert_msg(ci == NULL, "%s was taken", text);
	ck_assert_msg(strstr(why, reason) != NULL, "%s: %s", text, why);
}

START_TEST(what_needs_no_look_up)
{
	becomes("host=/run/x", false, "/run/x", "", "5432");
	becomes("host=/run/x port=6000", false, "/run/x", "", "6000");
	becomes("host=@abstract", false, "@abstract", "", "5432");
	becomes("host=127.0.0.1", false, "127.0.0.1", "", "5432");
	becomes("host=::1 port=1", false, "::1", "", "1");
	becomes("host=fe80::1%lo", false, "fe80::1%lo", "", "5432");
	becomes("hostaddr=127.0.0.1", false, "", "127.0.0.1", "5432");
	becomes("host=db.invalid hostaddr=127.0.0.1", false, "db.invalid", "127.0.0.1", "5432");
	becomes("host=/a,/b", false, "/a,/b", ",", "5432,5432");
	becomes("host=/a,/b port=1,2", false, "/a,/b", ",", "1,2");
	becomes("host=/a,::1 port=7", false, "/a,::1", ",", "7,7");
	becomes("hostaddr=127.0.0.1,::1 port=1,2", false, ",", "127.0.0.1,::1", "1,2");
	becomes("host=a,b hostaddr=127.0.0.1,::1", false, "a,b", "127.0.0.1,::1", "5432,5432");
	becomes("postgresql:///db?host=/run/x", false, "/run/x", "", "5432");
	becomes("postgresql://u@[::1]:9/db", false, "::1", "", "9");
	becomes("postgres://127.0.0.1:1,127.0.0.2:2/db", false, "127.0.0.1,127.0.0.2", ",", "1,2");
}
END_TEST

/* However many addresses it has, each is a host of the same name. */
START_TEST(a_name_becomes_its_addresses)
{
	struct conninfo *ci =
	    conninfo_new("host=/a,localhost,/b port=1,2,3 dbname=d user=u", why, sizeof why);
	struct conninfo_params p;
	char *host, *addr, *port;
	unsigned hosts = 0, commas[3] = {0};

	ck_assert_ptr_nonnull(ci);
	ck_assert(conninfo_has_names(ci));
	ck_assert_str_eq(conninfo_get(ci, "dbname"), "d");
	ck_assert_ptr_null(conninfo_get(ci, "no_such_keyword"));
	ck_assert_int_eq(conninfo_resolve(ci, &p, why, sizeof why), 0);
	ck_assert_str_eq(param(&p, "dbname"), "d");
	ck_assert_str_eq(param(&p, "user"), "u");
	host = (char *)param(&p, "host");
	addr = (char *)param(&p, "hostaddr");
	port = (char *)param(&p, "port");
	for (char *c = host; *c; c++)
		commas[0] += *c == ',';
	for (char *c = addr; *c; c++)
		commas[1] += *c == ',';
	for (char *c = port; *c; c++)
		commas[2] += *c == ',';
	ck_assert_uint_eq(commas[0], commas[1]);
	ck_assert_uint_eq(commas[0], commas[2]);
	ck_assert_uint_ge(commas[0], 2);
	ck_assert_int_eq(strncmp(host, "/a,localhost,", 13), 0);
	ck_assert_str_eq(host + strlen(host) - 3, ",/b");
	ck_assert_int_eq(strncmp(port, "1,2,", 4), 0);
	for (char *c = strtok(addr, ","); c; c = strtok(NULL, ","), hosts++)
		ck_assert(strncmp(c, "127.", 4) == 0 || strcmp(c, "::1") == 0);
	ck_assert_uint_eq(hosts, commas[0] - 1);
	conninfo_params_clear(&p);
	conninfo_free(ci);
}
END_TEST

START_TEST(a_name_without_an_address)
{
	struct conninfo *ci = conninfo_new("host=no-such-host.invalid", why, sizeof why);
	struct conninfo_params p;

	ck_assert_int_eq(conninfo_resolve(ci, &p, why, sizeof why), -E_NOTFOUND);
	ck_assert_ptr_nonnull(strstr(why, "no-such-host.invalid"));
	ck_assert_uint_eq(p.count, 0);
	conninfo_params_clear(&p);
	conninfo_free(ci);
	/* One that has none does not spoil the others. */
	becomes("host=no-such-host.invalid,/b port=1,2", true, "/b", "", "2");
}
END_TEST

START_TEST(lists_that_do_not_match)
{
	char many[1000] = "host=/a";

	refused("host=/a,/b hostaddr=127.0.0.1", "do not match");
	refused("host=/a hostaddr=127.0.0.1,127.0.0.2", "do not match");
	refused("host=/a,/b port=1,2,3", "do not match");
	refused("host=/a port=1,2", "do not match");
	for (int i = 0; i < 64; i++)
		strcat(many, ",/a");
	refused(many, "more than 64 hosts");
	refused("host", "missing \"=\"");
	refused("no_such_option=1", "no_such_option");
	refused("postgresql://[::1", "\"]\"");
}
END_TEST

START_TEST(no_password_in_the_reason)
{
	struct conninfo *ci = conninfo_new("password=geheim host=/a port=1,2", why, sizeof why);

	ck_assert_ptr_null(ci);
	ck_assert_ptr_null(strstr(why, "geheim"));
	ci = conninfo_new("postgresql://u:geheim@h:1,h:2,:x:/d", why, sizeof why);
	ck_assert_ptr_null(strstr(why, "geheim"));
	conninfo_free(ci);
}
END_TEST

START_TEST(environment_and_service_file)
{
	char path[] = "/tmp/check_resolve.XXXXXX";
	int fd = mkstemp(path);
	struct conninfo *ci;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_gt(dprintf(fd, "[orders]\nhost=/svc\nport=7777\ndbname=o\n"
				     "[addr]\nhost=db.invalid\nhostaddr=127.0.0.9\n"),
			 0);
	close(fd);
	setenv("PGSERVICEFILE", path, 1);
	becomes("service=orders", false, "/svc", "", "7777");
	becomes("service=orders port=1", false, "/svc", "", "1");
	ci = conninfo_new("service=orders", why, sizeof why);
	ck_assert_str_eq(conninfo_get(ci, "dbname"), "o");
	conninfo_free(ci);
	becomes("service=addr", false, "db.invalid", "127.0.0.9", "5432");
	why[0] = 0;
	refused("service=no_such_service", "no_such_service");
	unsetenv("PGSERVICEFILE");
	ck_assert_int_eq(unlink(path), 0);
	setenv("PGHOST", "/env", 1);
	setenv("PGPORT", "99", 1);
	becomes("dbname=x", false, "/env", "", "99");
	becomes("host=/a", false, "/a", "", "99");
	setenv("PGHOSTADDR", "127.0.0.3", 1);
	becomes("host=db.invalid", false, "db.invalid", "127.0.0.3", "99");
	unsetenv("PGHOST");
	unsetenv("PGPORT");
	unsetenv("PGHOSTADDR");
}
END_TEST

/* libpq waits in vain for each host of the list in turn, as long as there is another. */
START_TEST(silent_hosts_are_left_out)
{
	struct conninfo *ci = conninfo_new("host=/a,b,/c,2001:db8::1 hostaddr=,10.0.0.2,, "
					   "port=1,2,3,4",
					   why, sizeof why);
	struct conninfo_params p;

	ck_assert_msg(ci != NULL, "%s", why);
	ck_assert_int_eq(conninfo_resolve(ci, &p, why, sizeof why), 0);
	ck_assert_int_eq(conninfo_params_drop(&p, "b", "10.0.0.3", "2"), -E_NOTFOUND);
	ck_assert_int_eq(conninfo_params_drop(&p, "/a", "", "2"), -E_NOTFOUND);
	ck_assert_str_eq(param(&p, "host"), "/a,b,/c,2001:db8::1");
	ck_assert_int_eq(conninfo_params_drop(&p, "b", "10.0.0.2", "2"), 0);
	ck_assert_str_eq(param(&p, "host"), "/c,2001:db8::1,/a");
	ck_assert_str_eq(param(&p, "hostaddr"), ",,");
	ck_assert_str_eq(param(&p, "port"), "3,4,1");
	ck_assert_int_eq(conninfo_params_drop(&p, "2001:db8::1", "2001:db8::1", "4"), 0);
	ck_assert_str_eq(param(&p, "host"), "/a,/c");
	ck_assert_int_eq(conninfo_params_drop(&p, "/a", "", "1"), 0);
	ck_assert_str_eq(param(&p, "host"), "/c");
	ck_assert_str_eq(param(&p, "port"), "3");
	ck_assert_int_eq(conninfo_params_drop(&p, "/c", "", "3"), -E_NOTFOUND);
	ck_assert_str_eq(param(&p, "host"), "/c");
	conninfo_params_clear(&p);
	conninfo_free(ci);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("resolve");
	TCase *t = tcase_create("resolve");
	SRunner *r = srunner_create(s);
	static const char *const variables[] = {"PGHOST",    "PGHOSTADDR",    "PGPORT",
						"PGSERVICE", "PGSERVICEFILE", "PGDATABASE",
						"PGUSER",    "PGSYSCONFDIR"};
	int failed;

	for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
		unsetenv(variables[i]);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, what_needs_no_look_up);
	tcase_add_test(t, a_name_becomes_its_addresses);
	tcase_add_test(t, a_name_without_an_address);
	tcase_add_test(t, lists_that_do_not_match);
	tcase_add_test(t, no_password_in_the_reason);
	tcase_add_test(t, environment_and_service_file);
	tcase_add_test(t, silent_hosts_are_left_out);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
