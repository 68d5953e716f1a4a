#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/atom.h"
#include "base/mem.h"
#include "pool/pool.h"
#include "session/context.h"
#include "session/greeting.h"
#include "session/session.h"
#include "session/site.h"
#include "session/telling.h"

static struct site site;
static struct pool pool;
static struct session session;
static char client[] = "client", made[] = "'%a/%s'";
static struct conf_pool conf;
static struct hold own;

/* The session is new again. */
static void
next_client(void)
{
	context_clear(&session.context, &site.pools.told, &site.atoms);
	memset(&session, 0, sizeof session);
	session_set_none(&session);
	memset(&own, 0, sizeof own);
	session.site = &site;
	session.pool = &pool;
	session.hold = session.own = &own;
}

static void
report(const char *name, const char *value)
{
	pool.told = told_with(&site.pools.told, pool.told, name, value);
}

static void
setup(void)
{
	memset(&site, 0, sizeof site);
	memset(&pool, 0, sizeof pool);
	tolds_init(&site.pools.told);
	atoms_init(&site.atoms, 1);
	known_init(&pool.known, &site.pools.known_versions);
	pool.all = &site.pools;
	conf.application_name = client;
	pool.conf = &conf;
	report("server_version", "15.1");
	report("TimeZone", "UTC");
	next_client();
}

static void
teardown(void)
{
	next_client();
	greetings_clear(&site.greetings, &site.pools.told, &site.atoms);
	told_drop(&site.pools.told, pool.told);
	known_clear(&pool.known);
	ck_assert_uint_eq(site.pools.told.sets.count, 0);
	ck_assert_uint_eq(site.atoms.all.count, 0);
	tolds_clear(&site.pools.told);
	atoms_clear(&site.atoms);
}

/* Reads the packet of a user with one parameter. Its bytes last until the next call. */
static struct startup
packet(const char *name, const char *value)
{
	static uint8_t bytes[8 * 1024];
	size_t at = 8;
	struct startup st;

	memcpy(bytes + 4, "\0\3\0\0", 4);
	at += (size_t)sprintf((char *)bytes + at, "user%cbob%c", 0, 0);
	if (name)
		at += (size_t)sprintf((char *)bytes + at, "%s%c%s%c", name, 0, value, 0);
	bytes[at++] = 0;
	bytes[0] = bytes[1] = 0;
	bytes[2] = (uint8_t)(at >> 8);
	bytes[3] = (uint8_t)at;
	ck_assert_int_eq(startup_read(bytes, at, &st), 0);
	return st;
}

/* A client comes with this packet. Returns whether its answer was kept. If not, it is answered as a
 * login does that, with this value of the parameter, and may be kept then. */
static bool
comes(const struct startup *st, const char *name, const char *value)
{
	struct context *c = &session.context;
	struct buf out;

	next_client();
	if (greeting_take(&session, st))
		return true;
	c->told = told_keep(pool.told);
	if (name) {
		char pair[64];
		int n = snprintf(pair, sizeof pair, "%s%c%s", name, 0, value) + 1;

		c->startup = atom_get(&site.atoms, pair, (size_t)n);
		c->told = told_with(&site.pools.told, c->told, name, value);
	}
	buf_init(&out, 4096);
	telling_all(&session, &out);
	buf_clear(&out);
	greeting_keep(&session, st);
	return false;
}

START_TEST(from_the_third_client_on)
{
	struct startup st = packet("TimeZone", "UTC");

	ck_assert(!comes(&st, "TimeZone", "UTC"));
	ck_assert_uint_eq(site.greetings.count, 0);
	ck_assert(!comes(&st, "TimeZone", "UTC"));
	ck_assert(comes(&st, "TimeZone", "UTC"));
	ck_assert_ptr_eq(session.context.told, session.context.greeted);
	ck_assert_mem_eq(session.context.startup, "TimeZone\0UTC", 13);
	/* Its key has another length. */
	next_client();
	session.peer.minor = 2;
	ck_assert_ptr_null(greeting_take(&session, &st));
	/* The servers report something else. */
	report("in_hot_standby", "on");
	ck_assert(!comes(&st, "TimeZone", "UTC"));
	ck_assert(comes(&st, "TimeZone", "UTC"));
	/* Another packet */
	st = packet("TimeZone", "utc");
	ck_assert(!comes(&st, "TimeZone", "UTC"));
}
END_TEST

/* Each client gets a name of its own: no answer is kept, and none that was kept before is sent. */
START_TEST(names_are_made)
{
	struct startup st = packet(NULL, NULL);

	comes(&st, NULL, NULL);
	comes(&st, NULL, NULL);
	ck_assert(comes(&st, NULL, NULL));
	conf.application_name = made;
	ck_assert(!comes(&st, NULL, NULL));
	conf.application_name = client;
	ck_assert(comes(&st, NULL, NULL));
}
END_TEST

/* Clients with a name of their own each: the answer to others stays. */
START_TEST(what_comes_once_takes_nobodys_place)
{
	struct startup st = packet(NULL, NULL), other;

	comes(&st, NULL, NULL);
	comes(&st, NULL, NULL);
	for (int i = 0; i < 1000; i++) {
		char name[32];

		snprintf(name, sizeof name, "app%d", i);
		other = packet("application_name", name);
		ck_assert(!comes(&other, NULL, NULL));
	}
	st = packet(NULL, NULL);
	ck_assert(comes(&st, NULL, NULL));
	ck_assert_uint_eq(site.greetings.count, 1);
}
END_TEST

/* A value that only a server can spell: the answer is good as long as that is known. */
START_TEST(what_is_known_of_other_answers)
{
	struct startup st = packet("TimeZone", "asia/tokyo");

	known_add(&pool.known, "TimeZone", "asia/tokyo", "Asia/Tokyo");
	comes(&st, "TimeZone", "Asia/Tokyo");
	comes(&st, "TimeZone", "Asia/Tokyo");
	ck_assert(comes(&st, "TimeZone", "Asia/Tokyo"));
	known_add(&pool.known, "TimeZone", "asia/seoul", "Asia/Seoul");
	ck_assert(comes(&st, "TimeZone", "Asia/Tokyo"));
	known_clear(&pool.known);
	ck_assert(!comes(&st, "TimeZone", "Asia/Tokyo"));
}
END_TEST

/* Clients with this name. Returns whether the answer to the last one was kept before it came. */
static bool
named_clients_come(int name, int clients)
{
	struct startup st;
	char text[32];
	bool kept = false;

	snprintf(text, sizeof text, "%d", name);
	st = packet("application_name", text);
	for (int i = 0; i < clients; i++)
		kept = comes(&st, NULL, NULL);
	return kept;
}

START_TEST(the_least_recently_used_one_goes)
{
	named_clients_come(0, 2);
	for (int i = 1; i <= GREETINGS_MAX; i++) {
		ck_assert(!named_clients_come(i, 2));
		ck_assert(named_clients_come(0, 1));
	}
	ck_assert_uint_eq(site.greetings.count, GREETINGS_MAX);
	ck_assert(named_clients_come(0, 1));
	for (int i = GREETINGS_MAX; i > 1; i--)
		ck_assert(named_clients_come(i, 1));
	ck_assert(!named_clients_come(1, 1));
}
END_TEST

START_TEST(what_is_not_kept)
{
	struct startup st = packet("application_name", "x");
	char long_name[2000];

	for (int i = 0; i < 3; i++) {
		ck_assert(!comes(&st, NULL, NULL));
		greetings_clear(&site.greetings, &site.pools.told, &site.atoms);
	}
	/* No server has judged its parameters; it is pinned. */
	session.context.unproven = true;
	greeting_keep(&session, &st);
	session.context.unproven = false;
	own.pinned = 1;
	greeting_keep(&session, &st);
	own.pinned = 0;
	ck_assert_uint_eq(site.greetings.count, 0);
	greeting_keep(&session, &st);
	ck_assert_uint_eq(site.greetings.count, 1);
	/* It is long. */
	memset(long_name, 'x', sizeof long_name);
	long_name[sizeof long_name - 1] = 0;
	for (int i = 0; i < 3; i++) {
		st = packet("application_name", long_name);
		ck_assert(!comes(&st, NULL, NULL));
	}
	ck_assert_uint_eq(site.greetings.count, 1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("greeting");
	TCase *t = tcase_create("greeting");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, from_the_third_client_on);
	tcase_add_test(t, names_are_made);
	tcase_add_test(t, what_comes_once_takes_nobodys_place);
	tcase_add_test(t, what_is_known_of_other_answers);
	tcase_add_test(t, the_least_recently_used_one_goes);
	tcase_add_test(t, what_is_not_kept);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
