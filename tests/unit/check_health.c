#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "admin/health.h"
#include "base/units.h"
#include "shop.h"

static struct shop shop;

static void
setup(void)
{
	shop_open(&shop);
}

static void
teardown(void)
{
	err_clear(&shop.pool.last_error);
	shop_close(&shop);
}

/* The pool is ready, and the verdict is this. */
static void
is_ready(const char *verdict)
{
	struct health h;

	health_of(&shop.d, &shop.pool, &h);
	ck_assert(h.ready);
	ck_assert_str_eq(h.reason, "");
	ck_assert_str_eq(h.verdict, verdict);
}

/* It is not; the reason begins so, and the verdict has it. */
static void
is_not_ready(const char *reason)
{
	struct health h;

	health_of(&shop.d, &shop.pool, &h);
	ck_assert(!h.ready);
	ck_assert_msg(strncmp(h.reason, reason, strlen(reason)) == 0, "\"%s\"", h.reason);
	ck_assert_msg(strstr(h.verdict, reason) != NULL, "\"%s\"", h.verdict);
}

START_TEST(a_quiet_pool_is_ready)
{
	is_ready("orders: 0 of 2 leased");
	shop_lend(&shop, &shop.pool, 0, 42 * UNIT_S, 'T');
	is_ready("orders: 1 of 2 leased");
}
END_TEST

START_TEST(who_holds_longest_is_named_if_somebody_waits)
{
	struct buyer *b = shop_lend(&shop, &shop.pool, 0, 42 * UNIT_S, 'T');

	b->session.context.application = "import";
	shop_lend(&shop, &shop.pool, 1, 3 * UNIT_S, 'I');
	shop_wait(&shop, &shop.pool, 2, 4200 * UNIT_MS);
	shop.conf.wait_timeout_us = 10 * UNIT_S;
	is_ready("orders: 2 of 2 leased, 1 waiting, oldest 4.2 s; session 1 (import, pid 42424242) "
		 "holds for 42.0 s, idle in transaction");
	/* Without application_name it is the role. */
	b->session.context.application = NULL;
	b->server.progress.status = 'I';
	shop.buyers[1].session.peer.role = "web";
	is_ready("orders: 2 of 2 leased, 1 waiting, oldest 4.2 s; session 1 (app, pid 42424242) "
		 "holds for 42.0 s, idle");
	/* The other one is like it. */
	shop.buyers[1].session.peer.role = "app";
	is_ready("orders: 2 of 2 leased, 1 waiting, oldest 4.2 s; session 1 (app, pid 42424242) "
		 "and 1 more hold for up to 42.0 s, idle");
	progress_sent(&b->server.progress, 'Q');
	is_ready("orders: 2 of 2 leased, 1 waiting, oldest 4.2 s; session 1 (app, pid 42424242) "
		 "holds for 42.0 s, running");
}
END_TEST

START_TEST(those_alike_are_counted_once)
{
	struct conf_pool conf = shop.conf;
	struct pool other;

	shop.conf.size = 5;
	shop.conf.wait_timeout_us = 0;
	for (unsigned i = 0; i < 5; i++)
		shop_lend(&shop, &shop.pool, i, (42 - i) * UNIT_S, 'T');
	shop_wait(&shop, &shop.pool, 6, UNIT_S);
	is_ready("orders: 5 of 5 leased, 1 waiting, oldest 1.0 s; session 1 (app, pid 42424242) "
		 "and 4 more hold for up to 42.0 s, idle in transaction");
	/* One runs, one has another name, and one session has two servers. */
	progress_sent(&shop.buyers[1].server.progress, 'Q');
	shop.buyers[2].session.context.application = "import";
	shop.buyers[4].hold.lease.owner = &shop.buyers[3].session;
	is_ready("orders: 5 of 5 leased, 1 waiting, oldest 1.0 s; session 1 (app, pid 42424242) "
		 "and 1 more hold for up to 42.0 s, idle in transaction");
	/* It has them all itself; and one of another pool does not count. */
	shop.buyers[3].hold.lease.owner = &shop.buyers[0].session;
	shop.buyers[4].hold.lease.owner = &shop.buyers[0].session;
	shop_pool(&shop, &other, &other, &conf);
	shop_lend(&shop, &other, 5, 60 * UNIT_S, 'T');
	is_ready("orders: 5 of 5 leased, 1 waiting, oldest 1.0 s; session 1 (app, pid 42424242) "
		 "holds for 42.0 s, idle in transaction");
}
END_TEST

/* A session that holds two servers uses the second one now. What is said is of the first one. */
START_TEST(the_state_is_that_of_the_server_that_is_held_longest)
{
	struct buyer *first = shop_lend(&shop, &shop.pool, 0, 42 * UNIT_S, 'T');
	struct buyer *second = shop_lend(&shop, &shop.pool, 1, 3 * UNIT_S, 'T');

	second->hold.lease.owner = &first->session;
	first->session.hold = &second->hold;
	progress_sent(&second->server.progress, 'Q');
	shop_wait(&shop, &shop.pool, 2, UNIT_S);
	is_ready("orders: 2 of 2 leased, 1 waiting, oldest 1.0 s; session 1 (app, pid 42424242) "
		 "holds for 42.0 s, idle in transaction");
}
END_TEST

START_TEST(a_long_name_is_cut_at_a_character)
{
	struct buyer *b = shop_lend(&shop, &shop.pool, 0, 42 * UNIT_S, 'T');
	struct health h;
	char name[201], cut[66];

	for (unsigned i = 0; i < 200; i += 2)
		memcpy(name + i, "\xc3\xa4", 2);
	name[200] = 0;
	memcpy(cut, name, 64);
	strcpy(cut + 64, ",");
	b->session.context.application = name;
	shop_wait(&shop, &shop.pool, 2, UNIT_S);
	health_of(&shop.d, &shop.pool, &h);
	ck_assert_ptr_nonnull(strstr(h.verdict, cut));
}
END_TEST

START_TEST(nothing_came_back_for_wait_timeout)
{
	shop_lend(&shop, &shop.pool, 0, 42 * UNIT_S, 'T');
	shop_lend(&shop, &shop.pool, 1, 6 * UNIT_S, 'T');
	is_not_ready("no server connection of pool \"orders\" became free within 5s");
	/* The one that was lent last is younger: servers do come back. */
	shop.buyers[1].hold.lease.since_us += 2 * UNIT_S;
	is_ready("orders: 2 of 2 leased");
	/* Clients wait for ever. */
	shop.buyers[1].hold.lease.since_us -= 2 * UNIT_S;
	shop.conf.wait_timeout_us = 0;
	is_ready("orders: 2 of 2 leased");
	/* One may be opened. */
	shop.conf.wait_timeout_us = 5 * UNIT_S;
	shop.conf.size = 3;
	is_ready("orders: 2 of 3 leased");
	/* One is in cleanup. */
	shop_server(&shop, &shop.pool, 2, SERVER_CLEANING);
	is_ready("orders: 2 of 3 leased");
}
END_TEST

/* The pool could open another server, if PostgreSQL let it. */
START_TEST(the_rest_cannot_be_opened)
{
	shop_lend(&shop, &shop.pool, 0, 42 * UNIT_S, 'T');
	err_make(&shop.pool.last_error, ERR_SERVER_UNREACHABLE, "orders", "no route");
	shop.pool.retry_us = loop_now_us(shop.d.site.loop) - 2 * UNIT_S;
	/* Nobody has tried since then; or one tries for the first time. */
	is_ready("orders: 1 of 2 leased");
	shop_wait(&shop, &shop.pool, 2, UNIT_S);
	is_ready("orders: 1 of 2 leased, 1 waiting, oldest 1.0 s; cannot connect to the server of "
		 "pool \"orders\": no route; session 1 (app, pid 42424242) holds for 42.0 s, idle "
		 "in transaction");
	shop.pool.retry_us += 2 * UNIT_S;
	is_not_ready("no server connection of pool \"orders\" became free within 5s");
	/* The next attempt goes on. */
	shop_server(&shop, &shop.pool, 1, SERVER_CONNECTING);
	is_not_ready("no server connection of pool \"orders\" became free within 5s");
	err_clear(&shop.pool.last_error);
	is_ready(
	    "orders: 1 of 2 leased, 1 waiting, oldest 1.0 s; session 1 (app, pid 42424242) holds "
	    "for 42.0 s, idle in transaction");
}
END_TEST

START_TEST(a_full_queue)
{
	struct health h;

	shop_lend(&shop, &shop.pool, 0, UNIT_S, 'T');
	shop_lend(&shop, &shop.pool, 1, UNIT_S, 'T');
	shop_wait(&shop, &shop.pool, 2, UNIT_S);
	shop_wait(&shop, &shop.pool, 3, UNIT_S);
	is_not_ready("too many clients wait for pool \"orders\"");
	/* The reason stands alone, so it has the numbers, which the verdict has only once. */
	health_of(&shop.d, &shop.pool, &h);
	ck_assert_ptr_nonnull(strstr(h.reason, "(2 of 2 leased, 2 waiting; held longest: "));
	ck_assert_str_eq(
	    h.verdict,
	    "orders: 2 of 2 leased, 2 waiting, oldest 1.0 s; session 1 (app, pid 42424242) "
	    "and 1 more hold for up to 1.0 s, idle in transaction; too many clients wait for pool "
	    "\"orders\": max_waiting is 2");
	shop.conf.max_waiting = 3;
	is_ready(
	    "orders: 2 of 2 leased, 2 waiting, oldest 1.0 s; session 1 (app, pid 42424242) and 1 "
	    "more hold for up to 1.0 s, idle in transaction");
}
END_TEST

START_TEST(no_server_can_be_reached)
{
	struct health h;

	err_make(&shop.pool.last_error, ERR_SERVER_UNREACHABLE, "orders", "no route");
	is_ready("orders: 0 of 2 leased");
	shop.pool.down_us = loop_now_us(shop.d.site.loop);
	is_not_ready("cannot connect to the server of pool \"orders\"");
	/* What PostgreSQL or the system says stays in the verdict. Who holds one of two servers
	 * keeps nobody out. */
	shop_lend(&shop, &shop.pool, 1, UNIT_S, 'T');
	err_detail(&shop.pool.last_error, "no route (none)");
	health_of(&shop.d, &shop.pool, &h);
	ck_assert_ptr_null(strstr(h.verdict, "; session"));
	ck_assert_ptr_nonnull(strstr(h.verdict, "(no route (none))"));
	/* One that is idle serves all the same. */
	shop_server(&shop, &shop.pool, 0, SERVER_IDLE);
	is_ready("orders: 1 of 2 leased");
}
END_TEST

START_TEST(gates)
{
	shop_server(&shop, &shop.pool, 0, SERVER_IDLE);
	shop.pool.paused = true;
	is_not_ready("the pool is paused");
	shop.pool.paused = false;
	shop.pool.gate = POOL_DISABLED;
	is_not_ready("pool \"orders\" is disabled");
	shop.pool.gate = POOL_DRAINED;
	is_not_ready("pool \"orders\" is drained");
	shop.pool.gate = POOL_ENABLED;
	shop.pool.removed = true;
	is_not_ready("there is no pool \"orders\"");
	shop.pool.removed = false;
	shop.d.site.pools.handing = true;
	is_not_ready("a new pgwithd takes over");
	shop.d.site.pools.handing = false;
	shop.d.site.phase = SITE_EMPTYING;
	is_not_ready("pgwithd is shutting down");
	shop.d.site.phase = SITE_RUNNING;
	is_ready("orders: 0 of 2 leased");
}
END_TEST

/* Of the eight sessions, two are at the console, one of which asks, and one has not said yet who it
 * is. */
START_TEST(all_of_max_clients_are_in)
{
	struct health h;

	shop.d.site.in_state[SESSION_CONSOLE].count = 1;
	shop.d.site.in_state[SESSION_CONSOLE_BUSY].count = 1;
	shop.d.site.in_state[SESSION_STARTUP].count = 1;
	shop.whole.max_clients = 6;
	is_not_ready("too many clients: max_clients is 6");
	/* Who has a server is not to blame. */
	shop_lend(&shop, &shop.pool, 0, 42 * UNIT_S, 'T');
	health_of(&shop.d, &shop.pool, &h);
	ck_assert_str_eq(h.verdict, "orders: 1 of 2 leased; too many clients: max_clients is 6");
	/* But PAUSE waits for it. */
	shop.pool.paused = true;
	shop.whole.max_clients = 7;
	health_of(&shop.d, &shop.pool, &h);
	ck_assert_str_eq(
	    h.verdict,
	    "orders: 1 of 2 leased; session 1 (app, pid 42424242) holds for 42.0 s, idle "
	    "in transaction; the pool is paused: an administrator can RESUME it");
	shop.pool.paused = false;
	is_ready("orders: 1 of 2 leased");
}
END_TEST

/* role = client: the group has a pool for each role. */
START_TEST(a_group_is_ready_if_one_role_is)
{
	struct pool red, blue;
	struct health h;

	shop.conf.role = CONF_ROLE_CLIENT;
	is_ready("orders: 0 of 2 leased");
	shop_pool(&shop, &red, &shop.pool, &shop.conf);
	shop_pool(&shop, &blue, &shop.pool, &shop.conf);
	shop_lend(&shop, &red, 0, 42 * UNIT_S, 'T');
	shop_lend(&shop, &blue, 1, 43 * UNIT_S, 'T');
	is_not_ready("no server connection of pool \"orders\" became free within 5s");
	shop.buyers[1].hold.lease.since_us += 42 * UNIT_S;
	is_ready("orders: 2 of 2 leased");
	/* Any pool of the group may be given. */
	health_of(&shop.d, &blue, &h);
	ck_assert(h.ready);
	ck_assert_str_eq(h.verdict, "orders: 2 of 2 leased");
}
END_TEST

/* The pools of a group share its size: what one role holds, another one waits for. */
START_TEST(a_role_waits_for_what_another_one_holds)
{
	struct pool red, blue;

	shop.conf.role = CONF_ROLE_CLIENT;
	shop_pool(&shop, &red, &shop.pool, &shop.conf);
	shop_pool(&shop, &blue, &shop.pool, &shop.conf);
	shop_lend(&shop, &red, 0, 42 * UNIT_S, 'T');
	shop_lend(&shop, &red, 1, 6 * UNIT_S, 'T');
	shop_wait(&shop, &blue, 2, UNIT_S);
	is_not_ready("no server connection of pool \"orders\" became free within 5s");
	/* A server that is idle for one role is closed for another one. */
	shop.conf.size = 3;
	shop_server(&shop, &red, 3, SERVER_IDLE);
	is_ready(
	    "orders: 2 of 3 leased, 1 waiting, oldest 1.0 s; session 1 (app, pid 42424242) and 1 "
	    "more hold for up to 42.0 s, idle in transaction");
}
END_TEST

/* All pools are judged as each one is alone. */
START_TEST(all_are_judged_as_each_one)
{
	struct conf_pool conf[3] = {shop.conf, shop.conf, shop.conf};
	struct pool groups[3], red, blue;
	struct health_group *all;
	struct health h;
	unsigned count;

	for (int i = 0; i < 3; i++) {
		conf[i].name = (char *)(const char *[]){"a", "b", "c"}[i];
		conf[i].role = i == 1 ? CONF_ROLE_CLIENT : CONF_ROLE_FIXED;
		shop_pool(&shop, &groups[i], &groups[i], &conf[i]);
	}
	shop_pool(&shop, &red, &groups[1], &conf[1]);
	shop_pool(&shop, &blue, &groups[1], &conf[1]);
	groups[0].paused = true;
	shop_lend(&shop, &red, 0, 42 * UNIT_S, 'T');
	shop_lend(&shop, &blue, 1, 43 * UNIT_S, 'T');
	shop_server(&shop, &groups[2], 2, SERVER_IDLE);
	all = health_all(&shop.d, &count);
	ck_assert_uint_eq(count, 4);
	ck_assert_ptr_eq(all[0].group, &shop.pool);
	for (unsigned i = 0; i < count; i++) {
		ck_assert_ptr_eq(all[i].group, i ? &groups[i - 1] : &shop.pool);
		health_of(&shop.d, all[i].group, &h);
		ck_assert_int_eq(all[i].health.ready, h.ready);
		ck_assert_str_eq(all[i].health.reason, h.reason);
		ck_assert_str_eq(all[i].health.verdict, h.verdict);
		ck_assert_int_eq(h.ready, i % 3 == 0);
	}
	ck_assert_str_eq(all[3].health.verdict, "c: 0 of 2 leased");
	free(all);
}
END_TEST

/* Who needs a new server waits at the front of the queue, but not for longest. */
START_TEST(the_oldest_wait_is_behind_those_for_a_new_server)
{
	struct buyer *b = shop_wait(&shop, &shop.pool, 2, UNIT_S);

	b->hold.lease.fresh = true;
	shop.conf.max_waiting = 3;
	shop_wait(&shop, &shop.pool, 3, 4 * UNIT_S);
	is_ready("orders: 0 of 2 leased, 2 waiting, oldest 4.0 s");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("health");
	TCase *t = tcase_create("health");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_quiet_pool_is_ready);
	tcase_add_test(t, who_holds_longest_is_named_if_somebody_waits);
	tcase_add_test(t, those_alike_are_counted_once);
	tcase_add_test(t, the_state_is_that_of_the_server_that_is_held_longest);
	tcase_add_test(t, a_long_name_is_cut_at_a_character);
	tcase_add_test(t, nothing_came_back_for_wait_timeout);
	tcase_add_test(t, the_rest_cannot_be_opened);
	tcase_add_test(t, a_full_queue);
	tcase_add_test(t, no_server_can_be_reached);
	tcase_add_test(t, gates);
	tcase_add_test(t, all_of_max_clients_are_in);
	tcase_add_test(t, a_group_is_ready_if_one_role_is);
	tcase_add_test(t, a_role_waits_for_what_another_one_holds);
	tcase_add_test(t, all_are_judged_as_each_one);
	tcase_add_test(t, the_oldest_wait_is_behind_those_for_a_new_server);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
