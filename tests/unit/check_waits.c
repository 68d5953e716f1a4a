#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/mem.h"
#include "loops.h"
#include "pool/pool.h"
#include "scope/waits.h"

static unsigned seed; /* CHECK_SEED, or the time */

/* libcheck tells its parent of every assertion, which is slow. */
#define MUST(that)                                                      \
	do {                                                            \
		if (!(that))                                            \
			ck_abort_msg("CHECK_SEED=%u: %s", seed, #that); \
	} while (0)

static struct loop *loop;
static struct locks locks;
static struct waits waits;
static struct pools pools;

/* ---- pools without connections: only what can be seen of them ---- */

static void
init_pool(struct pool *pool, struct conf_pool *conf, struct pool *group)
{
	*pool = (struct pool){.all = &pools, .conf = conf, .group = group ? group : pool};
	for (int i = 0; i < SERVER_NSTATES; i++) {
		list_init(&pool->servers[i]);
		list_init(&pool->kept[i]);
	}
	list_init(&pool->waiting);
	list_init(&pool->turns);
	list_append(&pools.list, &pool->node);
}

static struct server *
add_server(struct pool *pool, enum server_state state)
{
	struct server *srv = mem_calloc(1, sizeof *srv);

	srv->pool = pool;
	srv->state = state;
	list_append(&pool->servers[state], &srv->node);
	pool->count++;
	pool->group->total++;
	return srv;
}

static void
move_server(struct server *srv, enum server_state state)
{
	list_remove(&srv->pool->servers[srv->state], &srv->node);
	srv->state = state;
	list_append(&srv->pool->servers[state], &srv->node);
}

static void
drop_server(struct server *srv)
{
	list_remove(&srv->pool->servers[srv->state], &srv->node);
	srv->pool->count--;
	srv->pool->group->total--;
	free(srv);
}

static void
hold_server(struct lease *l, struct server *srv)
{
	l->state = LEASE_HELD;
	l->pool = srv->pool;
	l->srv = srv;
	srv->lease = l;
	move_server(srv, SERVER_LEASED);
}

static void
wait_for_server(struct lease *l, struct pool *pool)
{
	l->state = LEASE_WAITING;
	l->pool = pool;
	list_append(&pool->waiting, &l->node);
}

static void
stop_waiting(struct lease *l)
{
	list_remove(&l->pool->waiting, &l->node);
	l->state = LEASE_NONE;
	l->pool = NULL;
}

static void
setup(void)
{
	loop = loops_new();
	locks_init(&locks, loop);
	waits_init(&waits);
	list_init(&pools.list);
}

static void
teardown(void)
{
	struct list_node *p, *n;

	waits_clear(&waits);
	locks_clear(&locks);
	loop_free(loop);
	LIST_EACH (p, &pools.list)
		for (int i = 0; i < SERVER_NSTATES; i++)
			while ((n = list_first(&LIST_OBJ(p, struct pool, node)->servers[i])) !=
			       NULL)
				drop_server(LIST_OBJ(n, struct server, node));
}

/* ---- examples ---- */

static void
be_granted(struct lock_hold *h)
{
	waits_end(&waits, h->session);
}

static const struct lock_ops ops = {.granted = be_granted};

/* Enters, and registers if it waits. */
static int
enter(struct lock_hold *h, const char *name, enum lock_mode mode, unsigned limit, uint64_t session)
{
	int r = lock_enter(&locks, h, name, mode, limit, session, &ops, NULL);

	if (r == -E_AGAIN)
		waits_begin_lock(&waits, session, h);
	return r;
}

static void
leave_all(struct lock_hold *h, int count)
{
	for (int i = 0; i < count; i++)
		lock_leave(&h[i]);
}

/* The circle, or "" if it can go on. */
static const char *
circle(uint64_t session)
{
	static char text[16384];
	char *got;
	bool closed = waits_closed(&waits, session, &got);

	ck_assert_int_eq(closed, got != NULL);
	ck_assert_int_eq(waits_closed(&waits, session, NULL), closed);
	snprintf(text, sizeof text, "%s", got ? got : "");
	free(got);
	return text;
}

START_TEST(nobody_waits)
{
	struct lock_hold h = {0};

	ck_assert_str_eq(circle(1), "");
	ck_assert_int_eq(enter(&h, "a", LOCK_EXCLUSIVE, 0, 1), 0);
	ck_assert_str_eq(circle(1), "");
	waits_end(&waits, 1);
	lock_leave(&h);
}
END_TEST

START_TEST(two_locks)
{
	struct lock_hold h[4] = {0};

	ck_assert_int_eq(enter(&h[0], "a", LOCK_EXCLUSIVE, 0, 12), 0);
	ck_assert_int_eq(enter(&h[1], "b", LOCK_EXCLUSIVE, 0, 13), 0);
	ck_assert_int_eq(enter(&h[2], "b", LOCK_EXCLUSIVE, 0, 12), -E_AGAIN);
	ck_assert_str_eq(circle(12), "");
	ck_assert_int_eq(enter(&h[3], "a", LOCK_SHARED, 0, 13), -E_AGAIN);
	ck_assert_str_eq(circle(13), "session 13 waits for lock \"a\", held by session 12; "
				     "session 12 waits for lock \"b\", held by session 13");
	/* It gives up, and all is well. */
	lock_leave(&h[3]);
	waits_end(&waits, 13);
	ck_assert_str_eq(circle(12), "");
	lock_leave(&h[1]);
	ck_assert_int_eq(h[2].state, LOCK_HELD);
	leave_all(h, 4);
}
END_TEST

START_TEST(two_upgrades)
{
	struct lock_hold h[5] = {0};

	ck_assert_int_eq(enter(&h[0], "a", LOCK_SHARED, 0, 1), 0);
	ck_assert_int_eq(enter(&h[1], "a", LOCK_SHARED, 0, 2), 0);
	ck_assert_int_eq(enter(&h[2], "a", LOCK_EXCLUSIVE, 0, 3), -E_AGAIN);
	ck_assert_int_eq(enter(&h[3], "a", LOCK_EXCLUSIVE, 0, 1), -E_AGAIN);
	ck_assert_str_eq(circle(1), "");
	ck_assert_int_eq(enter(&h[4], "a", LOCK_EXCLUSIVE, 0, 2), -E_AGAIN);
	ck_assert_str_eq(circle(2), "session 2 waits for lock \"a\", behind session 1; "
				    "session 1 waits for lock \"a\", held by session 2");
	for (int i = 4; i >= 0; i--)
		lock_leave(&h[i]);
}
END_TEST

START_TEST(behind_one_that_waits)
{
	struct lock_hold h[6] = {0};

	/* 4 holds b; 1 has a shared; 2, 3 want it exclusively; 4 would share it but for them. */
	ck_assert_int_eq(enter(&h[0], "a", LOCK_SHARED, 0, 1), 0);
	ck_assert_int_eq(enter(&h[1], "b", LOCK_EXCLUSIVE, 0, 4), 0);
	ck_assert_int_eq(enter(&h[2], "a", LOCK_EXCLUSIVE, 0, 2), -E_AGAIN);
	ck_assert_int_eq(enter(&h[3], "a", LOCK_EXCLUSIVE, 0, 3), -E_AGAIN);
	ck_assert_int_eq(enter(&h[4], "a", LOCK_SHARED, 0, 4), -E_AGAIN);
	ck_assert_str_eq(circle(4), "");
	ck_assert_int_eq(enter(&h[5], "b", LOCK_EXCLUSIVE, 0, 1), -E_AGAIN);
	ck_assert_str_eq(circle(1), "session 1 waits for lock \"b\", held by session 4; "
				    "session 4 waits for lock \"a\", behind session 2; "
				    "session 2 waits for lock \"a\", held by session 1");
	for (int i = 5; i >= 0; i--)
		lock_leave(&h[i]);
}
END_TEST

START_TEST(one_of_several_is_enough_for_a_semaphore)
{
	struct lock_hold h[6] = {0};

	ck_assert_int_eq(enter(&h[0], "s", LOCK_SEMAPHORE, 2, 1), 0);
	ck_assert_int_eq(enter(&h[1], "s", LOCK_SEMAPHORE, 2, 2), 0);
	ck_assert_int_eq(enter(&h[2], "a", LOCK_EXCLUSIVE, 0, 3), 0);
	ck_assert_int_eq(enter(&h[3], "s", LOCK_SEMAPHORE, 2, 3), -E_AGAIN);
	ck_assert_int_eq(enter(&h[4], "a", LOCK_EXCLUSIVE, 0, 1), -E_AGAIN);
	/* 2 can go on, so 3 can, so 1 can. */
	ck_assert_str_eq(circle(1), "");
	/* Now nobody can. */
	ck_assert_int_eq(enter(&h[5], "s", LOCK_SEMAPHORE, 2, 2), -E_AGAIN);
	ck_assert_str_eq(circle(2), "session 2 waits for semaphore \"s\", of which session 2 "
				    "holds 1 of 2");
	ck_assert_str_eq(circle(1), "session 1 waits for lock \"a\", held by session 3; session 3 "
				    "waits for semaphore \"s\", of which session 1 holds 1 of 2");
	waits_end(&waits, 2);
	lock_leave(&h[5]);
	ck_assert_str_eq(circle(1), "");
	for (int i = 4; i >= 0; i--)
		lock_leave(&h[i]);
}
END_TEST

START_TEST(a_lock_and_a_pool)
{
	static struct pool pool;
	struct conf_pool conf = {.name = (char *)"orders", .size = 1};
	struct lock_hold h[2] = {0};
	struct lease l12 = {.session = 12}, l13 = {.session = 13}, plain = {.session = 14};
	struct server *srv;

	init_pool(&pool, &conf, NULL);
	srv = add_server(&pool, SERVER_IDLE);
	hold_server(&l12, srv);
	ck_assert_int_eq(enter(&h[0], "a", LOCK_EXCLUSIVE, 0, 13), 0);
	/* A plain client, that nobody registers. */
	wait_for_server(&plain, &pool);
	wait_for_server(&l13, &pool);
	waits_begin_lease(&waits, 13, &l13);
	ck_assert_str_eq(circle(13), "");
	ck_assert_int_eq(enter(&h[1], "a", LOCK_EXCLUSIVE, 0, 12), -E_AGAIN);
	ck_assert_str_eq(circle(12), "session 12 waits for lock \"a\", held by session 13; session "
				     "13 waits for pool \"orders\", of which session 12 holds 1 of "
				     "1");
	/* One more may be opened, is being opened, is being cleaned, is leased by a plain one. */
	conf.size = 2;
	ck_assert_str_eq(circle(12), "");
	srv = add_server(&pool, SERVER_CONNECTING);
	ck_assert_str_eq(circle(12), "");
	move_server(srv, SERVER_CLEANING);
	ck_assert_str_eq(circle(12), "");
	move_server(srv, SERVER_CHECKING);
	ck_assert_str_eq(circle(12), "");
	move_server(srv, SERVER_IDLE);
	ck_assert_str_eq(circle(12), "");
	stop_waiting(&plain);
	hold_server(&plain, srv);
	ck_assert_str_eq(circle(12), "");
	/* That one is another of 12's. */
	plain.session = 12;
	ck_assert_str_eq(circle(12), "session 12 waits for lock \"a\", held by session 13; session "
				     "13 waits for pool \"orders\", of which session 12 holds 2 of "
				     "2");
	waits_end(&waits, 13);
	stop_waiting(&l13);
	ck_assert_str_eq(circle(12), "");
	leave_all(h, 2);
}
END_TEST

START_TEST(a_session_that_waits_for_its_own_server)
{
	static struct pool pool;
	struct conf_pool conf = {.name = (char *)"audit", .size = 1};
	struct lease held = {.session = 1}, more = {.session = 1};

	init_pool(&pool, &conf, NULL);
	hold_server(&held, add_server(&pool, SERVER_IDLE));
	wait_for_server(&more, &pool);
	waits_begin_lease(&waits, 1, &more);
	ck_assert_str_eq(circle(1),
			 "session 1 waits for pool \"audit\", of which session 1 holds 1 of 1");
}
END_TEST

START_TEST(a_pool_that_has_become_smaller)
{
	static struct pool pool;
	struct conf_pool conf = {.name = (char *)"orders", .size = 3};
	struct lock_hold h[2] = {0};
	struct lease l1 = {.session = 1}, l2 = {.session = 2}, l3 = {.session = 3};
	struct server *srv;

	init_pool(&pool, &conf, NULL);
	hold_server(&l1, add_server(&pool, SERVER_IDLE));
	hold_server(&l2, add_server(&pool, SERVER_IDLE));
	srv = add_server(&pool, SERVER_CLEANING);
	ck_assert_int_eq(enter(&h[0], "a", LOCK_EXCLUSIVE, 0, 3), 0);
	ck_assert_int_eq(enter(&h[1], "a", LOCK_EXCLUSIVE, 0, 1), -E_AGAIN);
	wait_for_server(&l3, &pool);
	waits_begin_lease(&waits, 3, &l3);
	ck_assert_str_eq(circle(3), "");
	/* The server in cleanup will be closed, but 2 can give its own. */
	conf.size = 2;
	ck_assert_str_eq(circle(3), "");
	drop_server(srv);
	ck_assert_str_eq(circle(3), "");
	/* That will be closed too. */
	conf.size = 1;
	ck_assert_str_eq(circle(3),
			 "session 3 waits for pool \"orders\", of which session 1 holds 1 "
			 "of 1; session 1 waits for lock \"a\", held by session 3");
	lock_leave(&h[1]);
	waits_end(&waits, 1);
	ck_assert_str_eq(circle(3), "");
	lock_leave(&h[0]);
}
END_TEST

START_TEST(roles_share_the_size)
{
	static struct pool group, anna, bert, other;
	struct conf_pool conf = {.name = (char *)"app", .size = 2, .role = CONF_ROLE_CLIENT};
	struct conf_pool other_conf = {.name = (char *)"other", .size = 1};
	struct lease l1 = {.session = 1}, l2 = {.session = 2}, l3 = {.session = 1};
	struct lease l4 = {.session = 4};
	struct server *srv;

	init_pool(&group, &conf, NULL);
	init_pool(&other, &other_conf, NULL);
	init_pool(&anna, &conf, &group);
	init_pool(&bert, &conf, &group);
	/* Not of this group: that it is free changes nothing. */
	add_server(&other, SERVER_IDLE);
	hold_server(&l1, add_server(&anna, SERVER_IDLE));
	wait_for_server(&l3, &bert);
	waits_begin_lease(&waits, 1, &l3);
	ck_assert_str_eq(circle(1), "");
	srv = add_server(&anna, SERVER_IDLE);
	ck_assert_str_eq(circle(1), "");
	hold_server(&l2, srv);
	ck_assert_str_eq(circle(1), "");
	wait_for_server(&l4, &anna);
	waits_begin_lease(&waits, 2, &l4);
	ck_assert_str_eq(circle(2),
			 "session 2 waits for pool \"app\", of which session 2 holds 1 of 2");
	move_server(l1.srv, SERVER_CLEANING);
	ck_assert_str_eq(circle(2), "");
}
END_TEST

/* Two pools of a cluster, each large enough by itself. */
static struct cluster *
join_cluster(struct pool *a, struct pool *b, int64_t limit)
{
	static struct cluster c;

	c = (struct cluster){.all = &pools, .name = (char *)"main", .limit = limit};
	a->cluster = b->cluster = &c;
	return &c;
}

START_TEST(pools_share_the_limit_of_a_cluster)
{
	static struct pool orders, billing;
	struct conf_pool orders_conf = {.name = (char *)"orders", .size = 9};
	struct conf_pool billing_conf = {.name = (char *)"billing", .size = 9};
	struct lease l1 = {.session = 1}, l2 = {.session = 2}, w1 = {.session = 1};
	struct lease w2 = {.session = 2};
	struct cluster *c;

	init_pool(&orders, &orders_conf, NULL);
	init_pool(&billing, &billing_conf, NULL);
	c = join_cluster(&orders, &billing, 2);
	hold_server(&l1, add_server(&orders, SERVER_IDLE));
	wait_for_server(&w1, &billing);
	waits_begin_lease(&waits, 1, &w1);
	/* One more may be opened; then it is the other's, who can give it back. */
	ck_assert_str_eq(circle(1), "");
	hold_server(&l2, add_server(&billing, SERVER_IDLE));
	ck_assert_str_eq(circle(1), "");
	wait_for_server(&w2, &orders);
	waits_begin_lease(&waits, 2, &w2);
	ck_assert_str_eq(circle(2), "session 2 waits for pool \"orders\" in cluster \"main\", of "
				    "which session 2 holds 1 of 2");
	/* An idle server of the other pool is closed for it, if that does not keep it. */
	add_server(&billing, SERVER_IDLE);
	c->limit = 3;
	ck_assert_str_eq(circle(2), "");
	/* It keeps both for its own sessions: one of them is free for 1, who gives its own back. */
	billing.reserved = 2;
	ck_assert_str_eq(circle(1), "");
	ck_assert_str_eq(circle(2), "");
	/* If it is 2 that asks for a second server of billing, nobody is in the way of either. */
	billing.reserved = 3;
	c->limit = 4;
	ck_assert_str_eq(circle(2), "");
}
END_TEST

START_TEST(a_role_waits_for_its_own_servers)
{
	static struct pool pool;
	struct conf_pool conf = {.name = (char *)"orders", .size = 9};
	struct party app = {
	    .kind = CONF_PARTY_ROLE, .name = (char *)"app", .max_servers = 1, .servers = 1};
	struct lease held = {.session = 1}, more = {.session = 1};

	init_pool(&pool, &conf, NULL);
	held.turn.party[CONF_PARTY_ROLE] = more.turn.party[CONF_PARTY_ROLE] = &app;
	hold_server(&held, add_server(&pool, SERVER_IDLE));
	wait_for_server(&more, &pool);
	waits_begin_lease(&waits, 1, &more);
	ck_assert_str_eq(circle(1), "session 1 waits for a server of role \"app\", of which "
				    "session 1 holds 1 of 1");
	app.max_servers = 2;
	ck_assert_str_eq(circle(1), "");
	app.max_servers = 0;
	ck_assert_str_eq(circle(1), "");
	held.session = 2;
	app.max_servers = 1;
	ck_assert_str_eq(circle(1), "");
}
END_TEST

START_TEST(what_was_granted_and_is_not_told_yet_can_go_on)
{
	struct lock_hold h[3] = {0};

	ck_assert_int_eq(enter(&h[0], "a", LOCK_EXCLUSIVE, 0, 1), 0);
	ck_assert_int_eq(lock_enter(&locks, &h[1], "a", LOCK_EXCLUSIVE, 0, 2, &ops, NULL),
			 -E_AGAIN);
	waits_begin_lock(&waits, 2, &h[1]);
	lock_leave(&h[0]);
	/* registered again, as if the callback had not come yet */
	waits_begin_lock(&waits, 2, &h[1]);
	ck_assert_int_eq(enter(&h[2], "a", LOCK_EXCLUSIVE, 0, 1), -E_AGAIN);
	ck_assert_str_eq(circle(2), "");
	ck_assert_str_eq(circle(1), "");
	lock_leave(&h[1]);
	lock_leave(&h[2]);
}
END_TEST

START_TEST(a_circle_of_others)
{
	struct lock_hold h[5] = {0};

	ck_assert_int_eq(enter(&h[0], "a", LOCK_EXCLUSIVE, 0, 1), 0);
	ck_assert_int_eq(enter(&h[1], "b", LOCK_EXCLUSIVE, 0, 2), 0);
	ck_assert_int_eq(enter(&h[2], "b", LOCK_EXCLUSIVE, 0, 1), -E_AGAIN);
	ck_assert_int_eq(enter(&h[3], "a", LOCK_EXCLUSIVE, 0, 2), -E_AGAIN);
	ck_assert_int_eq(enter(&h[4], "b", LOCK_EXCLUSIVE, 0, 3), -E_AGAIN);
	ck_assert_str_eq(circle(3), "session 3 waits for lock \"b\", behind session 1; "
				    "session 1 waits for lock \"b\", held by session 2; "
				    "session 2 waits for lock \"a\", held by session 1");
	for (int i = 4; i >= 0; i--)
		lock_leave(&h[i]);
}
END_TEST

START_TEST(names_are_made_fit_to_be_shown)
{
	struct lock_hold h[4] = {0};
	char *name = malloc(65537), *want;

	memset(name, 'n', 65536);
	memcpy(name, "\x1b\xff", 2);
	name[65536] = 0;
	ck_assert_int_eq(enter(&h[0], name, LOCK_SHARED, 0, 1), 0);
	ck_assert_int_eq(enter(&h[1], name, LOCK_SHARED, 0, 2), 0);
	ck_assert_int_eq(enter(&h[2], name, LOCK_EXCLUSIVE, 0, 1), -E_AGAIN);
	ck_assert_int_eq(enter(&h[3], name, LOCK_EXCLUSIVE, 0, 2), -E_AGAIN);
	name[63] = 0;
	want = mem_printf("session 2 waits for lock \"\\x1b\\xff%s...\", behind session 1; "
			  "session 1 waits for lock \"\\x1b\\xff%s...\", held by session 2",
			  name + 2, name + 2);
	ck_assert_str_eq(circle(2), want);
	free(want);
	free(name);
	for (int i = 3; i >= 0; i--)
		lock_leave(&h[i]);
}
END_TEST

/* Each session holds its own lock and waits for the next one's, and thousands wait behind them. */
#define MANY 3000

START_TEST(many_sessions)
{
	static const char begin[] = "session 3000 waits for lock \"0\", behind session 3001; "
				    "session 3001 waits for lock \"0\", held by session 1; "
				    "session 1 waits for lock \"1\", held by session 2; ";
	struct lock_hold *own = mem_calloc(MANY, sizeof *own);
	struct lock_hold *next = mem_calloc(MANY, sizeof *next);
	struct lock_hold *queue = mem_calloc(MANY, sizeof *queue);
	struct lock_hold last = {0};
	char name[32];
	const char *text;

	for (unsigned i = 0; i < MANY; i++) {
		snprintf(name, sizeof name, "%u", i);
		ck_assert_int_eq(enter(&own[i], name, LOCK_EXCLUSIVE, 0, i + 1), 0);
	}
	for (unsigned i = 0; i < MANY; i++)
		ck_assert_int_eq(enter(&queue[i], "0", LOCK_SHARED, 0, MANY + i + 1), -E_AGAIN);
	for (unsigned i = 0; i + 1 < MANY; i++) {
		snprintf(name, sizeof name, "%u", i + 1);
		ck_assert_int_eq(enter(&next[i], name, LOCK_EXCLUSIVE, 0, i + 1), -E_AGAIN);
	}
	ck_assert_str_eq(circle(1), "");
	/* The last one waits behind all those that wait for the first lock. */
	ck_assert_int_eq(enter(&last, "0", LOCK_EXCLUSIVE, 0, MANY), -E_AGAIN);
	text = circle(MANY);
	ck_assert_ptr_eq(strstr(text, begin), text);
	ck_assert_str_eq(text + strlen(text) - 11, "; and so on");
	lock_leave(&last);
	leave_all(next, MANY);
	leave_all(queue, MANY);
	leave_all(own, MANY);
	free(own);
	free(next);
	free(queue);
}
END_TEST

/* ---- against brute force ----
 *
 * A world of a few sessions, locks, semaphores and pools takes random steps. Whenever a session
 * begins to wait, the answer is compared with what comes of playing on: in a plain copy, every
 * session that waits for nothing, one after the other in random order, releases all it has and is
 * never seen again; what is released goes to whoever is next. If the asking session gets what it
 * wants in the end, there was no circle. */

#define SESSIONS 7
#define EACH     6 /* holds and leases of one session */
#define LOCKS    3
#define SEMS     2
#define GROUPS   2
#define POOLS    4 /* 0: alone; 1: a group without clients of its own; 2, 3: its roles */
#define SOURCES  (LOCKS + SEMS + GROUPS)
#define ENTRIES  (SESSIONS * EACH + 1)

struct user {
	struct lock_hold holds[EACH];
	struct lease leases[EACH];
	bool plain; /* one lease at most, and never registered */
};

static struct user users[SESSIONS + 1]; /* by session */
static struct conf_pool confs[GROUPS];
static struct pool pool[POOLS];
static struct cluster both; /* of both groups; limit 0: there is none */

struct plain_entry {
	uint64_t session;
	bool shared;
};

struct plain_source {
	unsigned limit; /* 0: a lock */
	struct plain_entry held[ENTRIES], queue[ENTRIES];
	int nheld, nqueue;
};

struct plain {
	struct plain_source sources[SOURCES]; /* the groups are the last ones */
};

#define GROUP_SOURCE (LOCKS + SEMS)

/* The own pool of a group. */
static struct pool *
own_pool(int group)
{
	return &pool[group];
}

static void
copy_hold(void *arg, const struct lock *lock, const struct lock_hold *h, unsigned position)
{
	struct plain_source *s =
	    &((struct plain *)arg)->sources[lock->name[0] - 'a' + (lock->semaphore ? LOCKS : 0)];
	struct plain_entry e = {h->session, h->mode == LOCK_SHARED};

	s->limit = lock->limit;
	if (position == 0)
		s->held[s->nheld++] = e;
	else
		s->queue[s->nqueue++] = e;
}

static void
copy_world(struct plain *w)
{
	memset(w, 0, sizeof *w);
	locks_each(&locks, copy_hold, w);
	for (int p = 0; p < POOLS; p++) {
		struct plain_source *s = &w->sources[LOCKS + SEMS + (p > 0)];

		s->limit = (unsigned)pool[p].conf->size;
		for (int u = 1; u <= SESSIONS; u++)
			for (int i = 0; i < EACH; i++) {
				struct lease *l = &users[u].leases[i];
				struct plain_entry e = {(uint64_t)u, false};

				if (l->pool != &pool[p])
					continue;
				if (l->state == LEASE_HELD)
					s->held[s->nheld++] = e;
				else
					s->queue[s->nqueue++] = e;
			}
	}
}

static bool
plain_waits(const struct plain *w, uint64_t session)
{
	for (int r = 0; r < SOURCES; r++)
		for (int i = 0; i < w->sources[r].nqueue; i++)
			if (w->sources[r].queue[i].session == session)
				return true;
	return false;
}

/* Does the limit of the cluster let the group have one server more? */
static bool
plain_has_room(const struct plain *w, int group)
{
	int taken = 0;

	for (int i = 0; i < GROUPS; i++) {
		int held = w->sources[GROUP_SOURCE + i].nheld;
		int kept = (int)own_pool(i)->reserved;

		taken += i != group && kept > held ? kept : held;
	}
	return both.limit == 0 || taken < both.limit;
}

static bool
plain_serves_next(const struct plain *w, int r)
{
	const struct plain_source *s = &w->sources[r];

	if (s->nqueue == 0 || (r >= GROUP_SOURCE && !plain_has_room(w, r - GROUP_SOURCE)))
		return false;
	if (s->limit > 0)
		return s->nheld < (int)s->limit;
	for (int i = 0; i < s->nheld; i++)
		if (s->held[i].session != s->queue[0].session &&
		    !(s->held[i].shared && s->queue[0].shared))
			return false;
	return true;
}

static void
plain_serve(struct plain *w)
{
	for (int r = 0; r < SOURCES; r++) {
		struct plain_source *s = &w->sources[r];

		while (plain_serves_next(w, r)) {
			s->held[s->nheld++] = s->queue[0];
			memmove(s->queue, s->queue + 1, sizeof *s->queue * (size_t)--s->nqueue);
		}
	}
}

static void
plain_release(struct plain *w, uint64_t session)
{
	for (int r = 0; r < SOURCES; r++) {
		struct plain_source *s = &w->sources[r];
		int kept = 0;

		for (int i = 0; i < s->nheld; i++)
			if (s->held[i].session != session)
				s->held[kept++] = s->held[i];
		s->nheld = kept;
	}
}

static bool
plain_closed(struct plain *w, uint64_t asking)
{
	bool gone[SESSIONS + 1] = {false};

	for (bool more = true; more;) {
		int from = (int)(random() % SESSIONS);

		more = false;
		plain_serve(w);
		for (int i = 0; i < SESSIONS; i++) {
			int u = 1 + (from + i) % SESSIONS;

			if (gone[u] || plain_waits(w, (uint64_t)u))
				continue;
			plain_release(w, (uint64_t)u);
			gone[u] = more = true;
			break;
		}
	}
	return !gone[asking];
}

/* Is every step of the circle true, does each one begin where the one before ended, and does it end
 * where it began, or (a circle of others) where it was before? */
static void
check_text(const char *text, uint64_t asking)
{
	struct plain w;
	uint64_t at = asking;
	bool been[SESSIONS + 1] = {false};

	copy_world(&w);
	while (text) {
		unsigned long long from, to;
		char kind[16], name[16], how[16];
		unsigned held = 0, limit = 0;
		const struct plain_source *s;
		int n, count = 0;
		bool queued = false, clustered;

		n = sscanf(text,
			   "session %llu waits for %15[a-z] \"%15[a-z]\", of which session %llu "
			   "holds %u of %u",
			   &from, kind, name, &to, &held, &limit);
		clustered =
		    n != 6 &&
		    sscanf(text,
			   "session %llu waits for %15[a-z] \"%15[a-z]\" in cluster \"main\", of "
			   "which session %llu holds %u of %u",
			   &from, kind, name, &to, &held, &limit) == 6;
		if (n != 6 && !clustered) {
			n = sscanf(text,
				   "session %llu waits for %15[a-z] \"%15[a-z]\", %15[a-z by] "
				   "session %llu",
				   &from, kind, name, how, &to);
			if (n == 4) /* the set of letters took the word "session" too */
				n = sscanf(strstr(text, ", ") + 2, "%*[^0-9]%llu", &to) + 4;
			MUST(n == 5);
		}
		MUST(from == at);
		MUST(from <= SESSIONS && to <= SESSIONS);
		been[from] = true;
		s = &w.sources[strcmp(kind, "lock") == 0        ? name[0] - 'a'
			       : strcmp(kind, "semaphore") == 0 ? LOCKS + name[0] - 'a'
								: LOCKS + SEMS + name[0] - 'p'];
		for (int i = 0; i < s->nqueue; i++)
			queued |= s->queue[i].session == from;
		MUST(queued);
		for (int i = 0; i < s->nheld; i++)
			count += s->held[i].session == to;
		if (clustered) {
			const struct plain_source *groups = &w.sources[GROUP_SOURCE];

			count = 0;
			for (int g = 0; g < GROUPS; g++)
				for (int i = 0; i < groups[g].nheld; i++)
					count += groups[g].held[i].session == to;
			MUST(limit == both.limit && count == (int)held && count > 0);
		} else if (limit > 0) {
			MUST(limit == s->limit && count == (int)held && count > 0);
		} else if (strncmp(how, "held by", 7) == 0) {
			MUST(count > 0);
		} else {
			int first = -1, second = -1;

			for (int i = 0; i < s->nqueue; i++) {
				if (s->queue[i].session == to)
					first = i;
				if (s->queue[i].session == from)
					second = i;
			}
			MUST(first >= 0 && first < second);
		}
		at = to;
		text = strstr(text, "; ");
		text = text ? text + 2 : NULL;
	}
	MUST(been[at]);
}

static unsigned asked, closed_circles, with_pools, with_clusters;

static void
ask(uint64_t session, bool others)
{
	struct plain w;
	char *text;
	bool want, got;

	copy_world(&w);
	want = plain_closed(&w, session);
	got = waits_closed(&waits, session, &text);
	if (got != want)
		ck_abort_msg("CHECK_SEED=%u: session %llu %s, %s", seed,
			     (unsigned long long)session, want ? "can not go on" : "can go on",
			     text ? text : "");
	asked++;
	closed_circles += got;
	if (got) {
		char end[32];

		with_pools += strstr(text, "for pool") != NULL;
		with_clusters += strstr(text, "in cluster") != NULL;
		check_text(text, session);
		/* It names the one who asks, if that one closed it. */
		snprintf(end, sizeof end, "session %llu", (unsigned long long)session);
		MUST(others || strstr(strstr(text, ", "), end));
	}
	free(text);
}

static bool
is_waiting(const struct user *u)
{
	for (int i = 0; i < EACH; i++)
		if (u->holds[i].state == LOCK_WAITING || u->leases[i].state == LEASE_WAITING)
			return true;
	return false;
}

static bool
holds_lease(const struct user *u)
{
	for (int i = 0; i < EACH; i++)
		if (u->leases[i].state != LEASE_NONE)
			return true;
	return false;
}

/* A session wants a lock or a semaphore; returns what lock_enter() does, or 0. */
static int
want_lock(uint64_t session, struct lock_hold *h)
{
	enum lock_mode mode = (enum lock_mode)(random() % 3);
	char name[2] = {(char)('a' + random() % (mode == LOCK_SEMAPHORE ? SEMS : LOCKS)), 0};
	unsigned limit = mode == LOCK_SEMAPHORE ? 1 + (unsigned)name[0] % 2 : 0;
	int r = lock_enter(&locks, h, name, mode, limit, session, &ops, NULL);

	MUST(r == 0 || r == -E_AGAIN);
	if (r == -E_AGAIN)
		waits_begin_lock(&waits, session, h);
	return r;
}

static int
want_lease(uint64_t session, struct lease *l)
{
	static const int open_pools[] = {0, 2, 3};
	struct pool *p = &pool[open_pools[random() % 3]];
	struct list_node *n = list_first(&p->servers[SERVER_IDLE]);

	if (n) {
		hold_server(l, LIST_OBJ(n, struct server, node));
		return 0;
	}
	wait_for_server(l, p);
	if (!users[session].plain)
		waits_begin_lease(&waits, session, l);
	return -E_AGAIN;
}

static void
give_up_lease(uint64_t session, struct lease *l)
{
	if (l->state == LEASE_WAITING) {
		stop_waiting(l);
		waits_end(&waits, session);
	} else if (l->state == LEASE_HELD) {
		l->srv->lease = NULL;
		move_server(l->srv, random() % 2 ? SERVER_CLEANING : SERVER_CHECKING);
		l->state = LEASE_NONE;
		l->pool = NULL;
		l->srv = NULL;
	}
}

static void
give_up_lock(uint64_t session, struct lock_hold *h)
{
	if (h->state == LOCK_WAITING)
		waits_end(&waits, session);
	lock_leave(h);
}

/* Does the limit of the cluster let the group open a server? */
static bool
there_is_room(const struct pool *group)
{
	int64_t total = 0, claimed = 0;

	for (int i = 0; i < GROUPS; i++) {
		const struct pool *own = own_pool(i);

		total += own->total;
		claimed += own->total > own->reserved ? own->total : own->reserved;
	}
	return both.limit == 0 ||
	       (total < both.limit && (claimed < both.limit || group->total < group->reserved));
}

/* What pools do by themselves. */
static void
step_pool(void)
{
	struct pool *p = &pool[random() % POOLS];
	static const enum server_state busy[] = {SERVER_CONNECTING, SERVER_CHECKING,
						 SERVER_CLEANING};
	struct list_node *n = list_first(&p->servers[busy[random() % 3]]);
	struct list_node *waiting = list_first(&p->waiting);
	struct server *srv = n ? LIST_OBJ(n, struct server, node) : NULL;

	if (srv) {
		struct lease *l = waiting ? LIST_OBJ(waiting, struct lease, node) : NULL;

		move_server(srv, SERVER_IDLE);
		if (l) {
			stop_waiting(l);
			waits_end(&waits, l->session);
			hold_server(l, srv);
		}
		return;
	}
	n = list_first(&p->servers[SERVER_IDLE]);
	if (n && random() % 2)
		drop_server(LIST_OBJ(n, struct server, node));
	if (p != &pool[1] && p->group->total < p->conf->size && there_is_room(p->group))
		add_server(p, SERVER_CONNECTING);
}

static void
step_session(bool patient)
{
	uint64_t session = 1 + (uint64_t)random() % SESSIONS;
	struct user *u = &users[session];
	int i = (int)(random() % EACH), r = 0;
	bool lock = !u->plain && random() % 3 > 0;

	if (random() % 3 == 0) {
		if (lock)
			give_up_lock(session, &u->holds[i]);
		else
			give_up_lease(session, &u->leases[i]);
		return;
	}
	if (is_waiting(u) || (u->plain && holds_lease(u)))
		return;
	if (lock && u->holds[i].state == LOCK_NONE)
		r = want_lock(session, &u->holds[i]);
	else if (!lock && u->leases[i].state == LEASE_NONE)
		r = want_lease(session, &u->leases[i]);
	if (r != -E_AGAIN)
		return;
	if (u->plain)
		return;
	ask(session, patient);
	if (!waits_closed(&waits, session, NULL) || patient)
		return;
	if (lock)
		give_up_lock(session, &u->holds[i]);
	else
		give_up_lease(session, &u->leases[i]);
}

static void
play(unsigned round)
{
	bool patient = round % 4 == 3; /* circles are left as they are: the next ones see them */

	for (int s = 1; s <= SESSIONS; s++) {
		memset(&users[s], 0, sizeof users[s]);
		for (int i = 0; i < EACH; i++)
			lease_init(&users[s].leases[i], NULL, NULL, (uint64_t)s);
		users[s].plain = random() % 4 == 0;
	}
	for (int i = 0; i < GROUPS; i++)
		confs[i] = (struct conf_pool){
		    .name = (char *)(i ? "q" : "p"),
		    .size = 1 + random() % 3,
		    .role = i ? CONF_ROLE_CLIENT : CONF_ROLE_FIXED,
		};
	list_init(&pools.list);
	for (int i = 0; i < POOLS; i++)
		init_pool(&pool[i], &confs[i > 0], i > 1 ? &pool[1] : NULL);
	both = (struct cluster){.all = &pools, .name = (char *)"main"};
	for (int i = 0; round % 3 > 0 && i < GROUPS; i++) {
		own_pool(i)->cluster = &both;
		own_pool(i)->reserved = (unsigned)random() % 2;
		both.limit += own_pool(i)->reserved;
	}
	if (round % 3 > 0)
		both.limit += 1 + random() % 3;
	for (int n = 0; n < 120; n++) {
		uint64_t other;

		if (random() % 3 == 0)
			step_pool();
		else
			step_session(patient);
		/* A reload asks nobody. */
		if (patient && random() % 16 == 0)
			confs[random() % GROUPS].size = 1 + random() % 4;
		/* Not only those that just began. */
		other = 1 + (uint64_t)random() % SESSIONS;
		if (!users[other].plain)
			ask(other, true);
		if (!patient)
			for (uint64_t s = 1; s <= SESSIONS; s++)
				MUST(!waits_closed(&waits, s, NULL));
	}
	for (int s = 1; s <= SESSIONS; s++)
		for (int i = 0; i < EACH; i++) {
			give_up_lock((uint64_t)s, &users[s].holds[i]);
			give_up_lease((uint64_t)s, &users[s].leases[i]);
		}
	MUST(waits.table.count == 0);
	for (int i = 0; i < POOLS; i++)
		for (int state = 0; state < SERVER_NSTATES; state++)
			while (pool[i].servers[state].count > 0)
				drop_server(LIST_OBJ(list_first(&pool[i].servers[state]),
						     struct server, node));
}

START_TEST(random_worlds)
{
	const char *given = getenv("CHECK_ROUNDS");
	unsigned rounds = given ? (unsigned)atoi(given) : 4000, first = seed;

	for (unsigned i = 0; i < rounds; i++) {
		seed = first + i;
		srandom(seed);
		play(seed);
	}
	fprintf(stderr, "# asked %u, closed %u, with pools %u, with clusters %u\n", asked,
		closed_circles, with_pools, with_clusters);
	ck_assert_uint_gt(closed_circles, rounds);
	ck_assert_uint_gt(with_pools, rounds / 10);
	ck_assert_uint_gt(with_clusters, rounds / 10);
	list_init(&pools.list);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("waits");
	TCase *t = tcase_create("waits");
	SRunner *r = srunner_create(s);
	const char *given = getenv("CHECK_SEED");
	int failed;

	seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
	fprintf(stderr, "check_waits: CHECK_SEED=%u\n", seed);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, nobody_waits);
	tcase_add_test(t, two_locks);
	tcase_add_test(t, two_upgrades);
	tcase_add_test(t, behind_one_that_waits);
	tcase_add_test(t, one_of_several_is_enough_for_a_semaphore);
	tcase_add_test(t, a_lock_and_a_pool);
	tcase_add_test(t, a_session_that_waits_for_its_own_server);
	tcase_add_test(t, a_pool_that_has_become_smaller);
	tcase_add_test(t, pools_share_the_limit_of_a_cluster);
	tcase_add_test(t, a_role_waits_for_its_own_servers);
	tcase_add_test(t, roles_share_the_size);
	tcase_add_test(t, what_was_granted_and_is_not_told_yet_can_go_on);
	tcase_add_test(t, a_circle_of_others);
	tcase_add_test(t, names_are_made_fit_to_be_shown);
	tcase_add_test(t, many_sessions);
	tcase_add_test(t, random_worlds);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
