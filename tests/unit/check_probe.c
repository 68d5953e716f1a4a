#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/units.h"
#include "pool/probe.h"
#include "pool/resolve.h"
#include "shop.h"

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

/* ---- what is logged ---- */

static struct shop shop;
static struct pool app, web; /* roles of the shop's pool */
static FILE *file;

static void
setup(void)
{
	shop_open(&shop);
	shop.conf.wait_while_down = true;
	shop.conf.retry_delay_us = UNIT_S;
	shop.pool.worked = true;
	shop_pool(&shop, &app, &shop.pool, &shop.conf);
	shop_pool(&shop, &web, &shop.pool, &shop.conf);
	app.role = (char *)"app";
	web.role = (char *)"web";
	log_init("test", LOG_INFO);
	file = tmpfile();
	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(dup2(fileno(file), STDERR_FILENO), 0);
}

static void
teardown(void)
{
	err_clear(&shop.pool.last_error);
	err_clear(&app.last_error);
	err_clear(&web.last_error);
	shop_close(&shop);
	fclose(file);
}

/* What has been logged since the last call, behind the names of program and level: the only line,
 * or "". */
static const char *
logged(void)
{
	static char text[1000];
	off_t bytes;
	char *at;

	/* A line of the same kind is held back for a second: the clock here is the log's own. */
	log_flush();
	bytes = lseek(fileno(file), 0, SEEK_END);
	ck_assert_int_eq(pread(fileno(file), text, sizeof text - 1, 0), bytes);
	text[bytes] = 0;
	ck_assert_int_eq(ftruncate(fileno(file), 0), 0);
	lseek(fileno(file), 0, SEEK_SET);
	at = strstr(text, "pool ");
	if (at == NULL)
		return "";
	ck_assert_int_eq(text[bytes - 1], '\n');
	text[bytes - 1] = 0;
	ck_assert_ptr_null(strchr(text, '\n'));
	return at;
}

static void
passes(int64_t us)
{
	int64_t now = loop_now_us(shop.d.site.loop);

	((struct loop_clock *)shop.d.site.loop)->now_us = now + us;
}

static void
sweeps(void)
{
	const struct list_node *n;

	LIST_EACH (n, &shop.d.site.pools.list)
		probe_sweep(LIST_OBJ(n, struct pool, node), loop_now_us(shop.d.site.loop));
}

static void
fails(struct pool *pool, const char *why)
{
	passes(UNIT_S);
	pool_server_failed(pool, ERR_SERVER_UNREACHABLE, why, "");
	pool->probe_us = loop_now_us(shop.d.site.loop) + 3600 * UNIT_S;
}

START_TEST(once_a_minute_the_log_tells_that_a_pool_is_still_down)
{
	fails(&shop.pool, "no route: 7");
	ck_assert_str_eq(logged(), "pool orders: cannot connect why=\"no route: 7\"");
	shop_wait(&shop, &shop.pool, 0, UNIT_S);
	passes(PROBE_TELL_US - 1);
	sweeps();
	ck_assert_str_eq(logged(), "");
	passes(1);
	sweeps();
	ck_assert_str_eq(logged(), "pool orders: still cannot connect why=\"no route: 7\" "
				   "after=60.0s attempts=1 waiting=1");
	sweeps();
	fails(&shop.pool, "timeout");
	ck_assert_str_eq(logged(), "");
	passes(PROBE_TELL_US);
	sweeps();
	ck_assert_str_eq(logged(), "pool orders: still cannot connect why=\"timeout\" "
				   "after=121.0s attempts=2 waiting=1");
	/* Another conninfo: it is not known to be down, but the log has said so. */
	shop.pool.told = NULL;
	pool_forget_place(&shop.pool);
	shop.pool.worked = true;
	passes(PROBE_TELL_US);
	sweeps();
	ck_assert_str_eq(logged(), "");
	fails(&shop.pool, "timeout");
	ck_assert_str_eq(logged(), "pool orders: cannot connect why=\"timeout\"");
	probe_connected(&shop.pool);
	probe_say_again(&shop.pool);
	ck_assert_str_eq(logged(), "pool orders: can connect again after=182.0s attempts=1");
	probe_say_again(&shop.pool);
	ck_assert_str_eq(logged(), "");
}
END_TEST

START_TEST(nothing_is_told_while_nobody_tries)
{
	fails(&shop.pool, "timeout");
	logged();
	shop.pool.paused = true;
	passes(2 * PROBE_TELL_US);
	sweeps();
	ck_assert_str_eq(logged(), "");
	shop.pool.paused = false;
	/* The next client tries. */
	shop.pool.probe_us = 0;
	sweeps();
	ck_assert_str_eq(logged(), "");
	shop_wait(&shop, &shop.pool, 0, UNIT_S);
	sweeps();
	ck_assert_ptr_nonnull(strstr(logged(), "still cannot connect"));
}
END_TEST

START_TEST(roles_that_fail_alike_have_one_line)
{
	fails(&app, "timeout");
	logged();
	fails(&web, "timeout");
	shop_wait(&shop, &app, 0, UNIT_S);
	shop_wait(&shop, &web, 1, UNIT_S);
	logged();
	passes(PROBE_TELL_US);
	sweeps();
	ck_assert_str_eq(logged(), "pool orders: still cannot connect why=\"timeout\" "
				   "after=61.0s attempts=2 waiting=2");
	/* A role that was not down finds that PostgreSQL is back. */
	probe_connected(&shop.pool);
	probe_say_again(&shop.pool);
	ck_assert_str_eq(logged(), "pool orders: can connect again after=61.0s attempts=1");
	probe_say_again(&app);
	probe_say_again(&web);
	passes(PROBE_TELL_US);
	sweeps();
	ck_assert_str_eq(logged(), "");
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
	t = tcase_create("log");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, once_a_minute_the_log_tells_that_a_pool_is_still_down);
	tcase_add_test(t, nothing_is_told_while_nobody_tries);
	tcase_add_test(t, roles_that_fail_alike_have_one_line);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
