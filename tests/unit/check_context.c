#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/atom.h"
#include "pool/pool.h"
#include "pool/server.h"
#include "session/context.h"
#include "session/session.h"
#include "session/site.h"

static struct site site;
static struct session session;
static struct hold own;
static struct server srv;

static struct told *
zone(const char *name)
{
	return told_with(&site.pools.told, NULL, "TimeZone", name);
}

static void
setup(void)
{
	memset(&site, 0, sizeof site);
	memset(&session, 0, sizeof session);
	session_set_none(&session);
	memset(&own, 0, sizeof own);
	memset(&srv, 0, sizeof srv);
	tolds_init(&site.pools.told);
	atoms_init(&site.atoms, 1);
	session.site = &site;
	session.hold = session.own = &own;
	own.lease.srv = &srv;
	srv.own = zone("UTC");
	srv.told_at_login = told_keep(srv.own);
}

static void
teardown(void)
{
	context_clear(&session.context, &site.pools.told, &site.atoms);
	told_drop(&site.pools.told, srv.own);
	told_drop(&site.pools.told, srv.told_at_login);
	ck_assert_uint_eq(site.pools.told.sets.count, 0);
	ck_assert_uint_eq(site.atoms.all.count, 0);
	tolds_clear(&site.pools.told);
	atoms_clear(&site.atoms);
}

START_TEST(what_the_client_relies_on_is_set)
{
	session.context.told = zone("Asia/Tokyo");
	context_keep_told(&session);
	ck_assert_str_eq(session.context.parameters_sql,
			 "SELECT pg_catalog.set_config('TimeZone','Asia/Tokyo',false)");
	ck_assert_mem_eq(session.context.startup, "TimeZone\0Asia/Tokyo", 20);
	ck_assert_uint_eq(atom_bytes(session.context.startup), 20);
}
END_TEST

/* Each lease of a session calls it: with the same server a second look would cost more than the
 * rest of a transaction. The second look would show here, because it would set the zone again. */
START_TEST(equal_sets_are_compared_once)
{
	session.context.told = zone("Asia/Tokyo");
	context_keep_told(&session);
	free(session.context.parameters_sql);
	session.context.parameters_sql = NULL;
	context_keep_told(&session);
	ck_assert_ptr_null(session.context.parameters_sql);
	/* Other values of the server, and then others of the client, are looked at. */
	told_drop(&site.pools.told, srv.own);
	srv.own = zone("Europe/Berlin");
	context_keep_told(&session);
	ck_assert_ptr_nonnull(session.context.parameters_sql);
	free(session.context.parameters_sql);
	session.context.parameters_sql = NULL;
	told_drop(&site.pools.told, session.context.told);
	session.context.told = zone("Asia/Seoul");
	context_keep_told(&session);
	ck_assert_str_eq(session.context.parameters_sql,
			 "SELECT pg_catalog.set_config('TimeZone','Asia/Seoul',false)");
}
END_TEST

/* What one session has found to be alike, no other one looks at. */
START_TEST(what_is_alike_needs_nothing)
{
	struct told *told = told_with(&site.pools.told, zone("UTC"), "application_name", "x");

	session.context.told = told;
	context_keep_told(&session);
	ck_assert_ptr_null(session.context.parameters_sql);
	ck_assert(told_is_alike(told, srv.own, srv.told_at_login));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("context");
	TCase *t = tcase_create("context");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, what_the_client_relies_on_is_set);
	tcase_add_test(t, equal_sets_are_compared_once);
	tcase_add_test(t, what_is_alike_needs_nothing);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
