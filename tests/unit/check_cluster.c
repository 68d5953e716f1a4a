/* The pools of a cluster, the limits of roles and the order of the queue, with the real pools,
 * leases and servers. The test is PostgreSQL: it has one end of each connection, and counts. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/units.h"
#include "conf/conf.h"
#include "loop/loop.h"
#include "loop/threads.h"
#include "loops.h"
#include "pool/ending.h"
#include "pool/gate.h"
#include "pool/reason.h"
#include "pool/server.c"

#define POOLS  3
#define USERS  14
#define LIMITS 3
#define ENDS   200

static unsigned seed; /* CHECK_SEED, or the time */

/* libcheck tells its parent of every assertion, which is slow. */
#define MUST(that)                                                      \
	do {                                                            \
		if (!(that))                                            \
			ck_abort_msg("CHECK_SEED=%u: %s", seed, #that); \
	} while (0)

struct user {
	struct lease lease;
	const char *role;
	uid_t uid;
	uint64_t came;  /* the order of all that wait */
	int64_t key_us; /* its turn, as the model has it */
};

static struct loop *loop;
static struct pools pools;
static struct conf conf;
static struct conf_cluster cluster;
static struct conf_limits limits[LIMITS];
static struct conf_pool confs[POOLS];
static struct pool *pool[POOLS];
static struct user users[USERS];
static uint64_t arrivals;
static unsigned grants, lendings;

/* ---- PostgreSQL ---- */

static int ends[ENDS];   /* of connections that have logged in; -1: free */
static int64_t promised; /* PostgreSQL's max_connections; 0: it is not looked at */

/* How many PostgreSQL counts: those that log in, and those that have not ended. */
static unsigned
backends(void)
{
	unsigned count = 0;

	for (int i = 0; i < POOLS; i++)
		count += pool[i] ? pool[i]->servers[SERVER_CONNECTING].count : 0;
	for (int i = 0; i < ENDS; i++)
		count += ends[i] >= 0;
	return count;
}

/* In the place of pool/connect.c. */
void
connect_begin(struct server *srv)
{
	MUST(promised == 0 || backends() <= promised);
}

void
connect_failed(struct server *srv, const char *reason)
{
	struct pool *of = srv->pool;

	server_remove(srv);
	pool_server_failed(of, ERR_SERVER_UNREACHABLE, reason, "");
}

bool
connect_try_next(struct server *srv)
{
	return false;
}

/* The server's login succeeds. */
static void
log_in(struct server *srv)
{
	int fds[2], i = 0;

	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
	while (ends[i] >= 0)
		MUST(++i < ENDS);
	ends[i] = fds[1];
	stream_init(&srv->stream, loop, fds[0], QUEUE_MAX, &stream_ops, srv);
	server_set_state(srv, SERVER_IDLE);
	srv->idle_us = loop_now_us(loop);
	pool_server_ready(srv->pool, srv);
}

static struct server *
first_connecting(void)
{
	for (int i = 0; i < POOLS; i++) {
		struct list_node *n = list_first(&pool[i]->servers[SERVER_CONNECTING]);

		if (n)
			return LIST_OBJ(n, struct server, node);
	}
	return NULL;
}

/* Has the client closed its side? */
static bool
is_over(int fd)
{
	char bytes[64];
	ssize_t n;

	while ((n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
		if (memchr(bytes, 'X', (size_t)n))
			return true;
	return n == 0;
}

/* A backend whose client has gone ends. Returns false if there is none. */
static bool
end_backend(void)
{
	for (int i = 0; i < ENDS; i++)
		if (ends[i] >= 0 && is_over(ends[i])) {
			close(ends[i]);
			ends[i] = -1;
			return true;
		}
	return false;
}

/* ---- the stage ---- */

static void
turn(void)
{
	for (int i = 0; i < 3; i++)
		MUST(loop_turn(loop, false) == 0);
}

/* All idle servers have been idle for so much longer. */
static void
age_by(int64_t us)
{
	struct list_node *n;

	for (int i = 0; i < POOLS; i++)
		LIST_EACH (n, &pool[i]->servers[SERVER_IDLE])
			LIST_OBJ(n, struct server, node)->idle_us -= us;
}

/* All idle servers have been idle for long enough to be closed for another pool. */
static void
age(void)
{
	age_by(CLUSTER_IDLE_US);
	pools_serve_soon(&pools);
}

/* Until nothing changes any more: all that is opened has logged in, all that is closed has gone. */
static void
settle(void)
{
	struct server *srv;

	turn();
	for (int i = 0; i < 1000; i++) {
		age();
		turn();
		if ((srv = first_connecting()) != NULL)
			log_in(srv);
		else if (!end_backend())
			return;
		turn();
	}
	MUST(!"it settles");
}

static struct user *
user_of(const struct lease *l)
{
	return LIST_OBJ(l, struct user, lease);
}

static const struct conf_limits *
limits_of(const struct user *u)
{
	return conf_limits(&conf, CONF_PARTY_ROLE, u->role);
}

/* How many servers have the sessions of the same role, or of the same uid? */
static unsigned
servers_like(const struct user *u, bool by_role)
{
	unsigned count = 0;

	for (int i = 0; i < USERS; i++)
		count += users[i].lease.state == LEASE_HELD &&
			 (by_role ? users[i].role == u->role : users[i].uid == u->uid);
	return count;
}

static int64_t
most_servers(const struct user *u, bool by_role)
{
	char number[16];
	const struct conf_limits *l;

	snprintf(number, sizeof number, "%u", (unsigned)u->uid);
	l = by_role ? limits_of(u) : conf_limits(&conf, CONF_PARTY_UID, number);
	return l && l->max_servers > 0 ? l->max_servers : USERS;
}

/* May the user have no server more, because of its role or its uid? */
static bool
is_limited(const struct user *u)
{
	return servers_like(u, true) >= most_servers(u, true) ||
	       servers_like(u, false) >= most_servers(u, false);
}

/* Is it the turn of `a` before that of `b`? */
static bool
is_before(const struct user *a, const struct user *b)
{
	return a->key_us != b->key_us ? a->key_us < b->key_us : a->came < b->came;
}

/* The one who is granted a server is the first of its pool who may have one, and the first of those
 * of the same role and uid in any case. */
static void
granted(struct lease *l)
{
	struct user *u = user_of(l);

	grants++;
	MUST(servers_like(u, true) <= most_servers(u, true));
	MUST(servers_like(u, false) <= most_servers(u, false));
	for (int i = 0; i < USERS; i++) {
		const struct user *other = &users[i];
		bool alike = other->role == u->role && other->uid == u->uid;

		if (other == u || other->lease.state != LEASE_WAITING ||
		    other->lease.pool != l->pool || !is_before(other, u))
			continue;
		MUST(!alike);
		/* Those of its own role or uid may be kept from it by the server that `u` has. */
		MUST(is_limited(other) || other->role == u->role || other->uid == u->uid);
	}
}

static void
failed(struct lease *l, const struct err *e)
{
}

static void
lost(struct lease *l, const struct server *srv, const char *why)
{
}

static void
find_parties(const struct lease *l, struct party *of[PARTY_KINDS])
{
	parties_find(&pools.parties, user_of(l)->role, user_of(l)->uid, of);
}

static const struct lease_ops ops = {
    .granted = granted, .failed = failed, .lost = lost, .parties = find_parties};

static void
stage_open(int64_t limit)
{
	static const char *const names[] = {"a", "b", "c"};
	char why[200];

	loop = loops_new();
	pools_init(&pools, loop, threads_new(loop, 1, 1));
	memset(ends, -1, sizeof ends);
	promised = limit;
	cluster =
	    (struct conf_cluster){.snapshot = &conf, .name = (char *)"main", .server_limit = limit};
	conf.references = 1 << 20;
	conf.clusters = &cluster;
	conf.nclusters = 1;
	conf.limits = limits;
	for (int i = 0; i < POOLS; i++) {
		confs[i].snapshot = &conf;
		confs[i].name = (char *)names[i];
		confs[i].conninfo = (char *)"host=/nonexistent";
		confs[i].cluster = (char *)"main";
		confs[i].max_waiting = 100;
		confs[i].max_opening = 4;
		confs[i].cleanup_timeout_us = 10000000;
		pool[i] = pool_new(&pools, &confs[i], why, sizeof why);
		MUST(pool[i]);
	}
	parties_configure(&pools.parties, &conf);
	for (int i = 0; i < USERS; i++) {
		lease_init(&users[i].lease, &ops, NULL, (uint64_t)i + 1);
		users[i].role = "other";
	}
}

static void
leave(struct user *u)
{
	if (u->lease.state == LEASE_HELD)
		lease_return(&u->lease, false);
	else
		lease_leave(&u->lease);
}

static void
stage_close(void)
{
	pools.closing = true;
	for (int i = 0; i < USERS; i++)
		leave(&users[i]);
	for (int i = 0; i < POOLS; i++)
		pool_free(pool[i]);
	turn();
	threads_free(pools.threads);
	loop_free(loop);
	pools_clear(&pools);
	for (int i = 0; i < ENDS; i++)
		if (ends[i] >= 0)
			close(ends[i]);
	memset(pool, 0, sizeof pool);
	memset(confs, 0, sizeof confs);
	memset(limits, 0, sizeof limits);
	memset(users, 0, sizeof users);
	conf.nlimits = 0;
}

static void
want(struct user *u, struct pool *from)
{
	const struct conf_limits *lim = limits_of(u);
	struct err e;
	int r;

	u->came = ++arrivals;
	u->key_us = loop_now_us(loop) - (lim ? lim->priority * 1000000 : 0);
	r = lease_enter(&u->lease, from, &e);
	MUST(r == 0 || r == -E_AGAIN);
	lendings++;
}

static bool
has(const struct user *u)
{
	return u->lease.state == LEASE_HELD;
}

static void
sizes(int64_t a, int64_t b, int64_t c)
{
	confs[0].size = a;
	confs[1].size = b;
	confs[2].size = c;
}

/* ---- examples ---- */

START_TEST(an_idle_server_of_another_pool_makes_room)
{
	sizes(5, 5, 5);
	stage_open(2);
	want(&users[0], pool[0]);
	want(&users[1], pool[1]);
	settle();
	ck_assert(has(&users[0]) && has(&users[1]));
	/* The one of pool b has been idle for longer. */
	leave(&users[1]);
	turn();
	leave(&users[0]);
	LIST_OBJ(list_first(&pool[1]->servers[SERVER_IDLE]), struct server, node)->idle_us -= 5;
	want(&users[2], pool[2]);
	settle();
	ck_assert(has(&users[2]));
	ck_assert_uint_eq(pool[0]->count, 1);
	ck_assert_uint_eq(pool[1]->count, 0);
	ck_assert_uint_eq(pool[0]->cluster->moved, 1);
	stage_close();
}
END_TEST

START_TEST(a_server_counts_until_postgresql_has_let_it_go)
{
	sizes(5, 5, 5);
	stage_open(1);
	want(&users[0], pool[0]);
	settle();
	leave(&users[0]);
	want(&users[1], pool[1]);
	/* However long the test takes, it is too early. */
	age_by(-60 * UNIT_S);
	users[1].lease.turn.time_us += 60 * UNIT_S;
	turn();
	/* Not before its own pool has had time to want it. */
	ck_assert_uint_eq(pool[0]->servers[SERVER_IDLE].count, 1);
	ck_assert(timer_started(&pool[0]->cluster->timer));
	users[1].lease.turn.time_us -= 60 * UNIT_S;
	age_by(60 * UNIT_S);
	age();
	turn();
	/* It is closed, but its backend has not ended yet. */
	ck_assert_uint_eq(pool[0]->count, 0);
	ck_assert_uint_eq(pool[1]->count, 0);
	ck_assert_uint_eq(pool[1]->cluster->leaving, 1);
	ck_assert(!has(&users[1]));
	ck_assert_uint_eq(clusters_leaving(&pools), 1);
	ck_assert(end_backend());
	turn();
	ck_assert_uint_eq(pool[1]->cluster->leaving, 0);
	ck_assert_uint_eq(pool[1]->count, 1);
	settle();
	ck_assert(has(&users[1]));
	stage_close();
}
END_TEST

START_TEST(a_server_that_never_ends_is_given_up)
{
	sizes(5, 5, 5);
	stage_open(1);
	want(&users[0], pool[0]);
	settle();
	leave(&users[0]);
	want(&users[1], pool[1]);
	age();
	turn();
	promised = 0;
	clusters_sweep(&pools, loop_now_us(loop) + ENDING_MAX_US - 1000000);
	ck_assert_uint_eq(clusters_leaving(&pools), 1);
	clusters_sweep(&pools, loop_now_us(loop) + ENDING_MAX_US);
	ck_assert_uint_eq(clusters_leaving(&pools), 0);
	settle();
	ck_assert(has(&users[1]));
	stage_close();
}
END_TEST

START_TEST(min_size_is_kept)
{
	sizes(5, 5, 5);
	confs[1].min_size = 2;
	stage_open(3);
	settle();
	ck_assert_uint_eq(pool[1]->count, 2);
	for (int i = 0; i < 3; i++)
		want(&users[i], pool[0]);
	settle();
	ck_assert(has(&users[0]) && !has(&users[1]) && !has(&users[2]));
	ck_assert_int_eq(reason_of(&users[1].lease), REASON_CLUSTER);
	ck_assert_uint_eq(pool[1]->count, 2);
	/* Its own sessions get them at once. */
	want(&users[5], pool[1]);
	want(&users[6], pool[1]);
	ck_assert(has(&users[5]) && has(&users[6]));
	/* Even if they are away for a moment. */
	lease_close(&users[5].lease, "test");
	turn();
	ck_assert(!has(&users[1]));
	settle();
	ck_assert_uint_eq(pool[1]->count, 2);
	ck_assert(!has(&users[1]));
	stage_close();
}
END_TEST

START_TEST(a_new_connection_takes_the_place_of_one_that_is_kept)
{
	struct err e;
	uint64_t old;

	sizes(5, 5, 5);
	confs[0].min_size = confs[1].min_size = 1;
	stage_open(2);
	settle();
	want(&users[0], pool[0]);
	old = users[0].lease.srv->id;
	leave(&users[0]);
	ck_assert_int_eq(lease_enter_fresh(&users[1].lease, pool[0], &e), -E_AGAIN);
	settle();
	ck_assert(has(&users[1]) && users[1].lease.srv->id != old);
	ck_assert_uint_eq(pool[0]->count, 1);
	ck_assert_uint_eq(pool[1]->count, 1);
	/* The same if the old one is at work when it is wanted. */
	leave(&users[1]);
	want(&users[0], pool[0]);
	ck_assert_int_eq(lease_enter_fresh(&users[1].lease, pool[0], &e), -E_AGAIN);
	settle();
	ck_assert(!has(&users[1]));
	leave(&users[0]);
	settle();
	ck_assert(has(&users[1]));
	stage_close();
}
END_TEST

START_TEST(a_busy_server_goes_to_whoever_has_waited_much_longer)
{
	sizes(5, 5, 5);
	stage_open(1);
	want(&users[0], pool[0]);
	settle();
	want(&users[1], pool[1]);
	want(&users[2], pool[0]);
	/* About as long: it stays in its pool. */
	leave(&users[0]);
	settle();
	ck_assert(has(&users[2]) && !has(&users[1]));
	want(&users[3], pool[0]);
	users[1].lease.turn.time_us -= CLUSTER_PATIENCE_US + 5000;
	leave(&users[2]);
	turn();
	ck_assert(!has(&users[3]));
	settle();
	ck_assert(has(&users[1]) && !has(&users[3]));
	leave(&users[1]);
	settle();
	ck_assert(has(&users[3]));
	stage_close();
}
END_TEST

START_TEST(the_longest_waiting_of_all_pools_is_first)
{
	sizes(5, 5, 5);
	stage_open(2);
	want(&users[0], pool[0]);
	want(&users[1], pool[0]);
	settle();
	want(&users[2], pool[2]);
	want(&users[3], pool[1]);
	users[2].lease.turn.time_us -= 10;
	/* Nobody waits in pool a. */
	leave(&users[0]);
	settle();
	ck_assert(has(&users[2]) && !has(&users[3]));
	leave(&users[1]);
	settle();
	ck_assert(has(&users[3]));
	stage_close();
}
END_TEST

/* The limit of the cluster changes, as a reload does it. */
static void
set_limit(int64_t limit)
{
	cluster.server_limit = limit;
	for (int i = 0; i < POOLS; i++)
		cluster_join(pool[i]);
	clusters_shrink(&pools);
}

START_TEST(a_smaller_limit_takes_nobodys_server_away)
{
	sizes(5, 5, 5);
	stage_open(6);
	for (int i = 0; i < 6; i++)
		want(&users[i], pool[i % 3]);
	settle();
	leave(&users[0]);
	promised = 0;
	set_limit(3);
	settle();
	/* The idle one is gone, the others are at work. */
	ck_assert_uint_eq(pool[0]->cluster->held, 5);
	for (int i = 1; i < 6; i++)
		ck_assert(has(&users[i]));
	for (int i = 1; i < 6; i++) {
		leave(&users[i]);
		settle();
	}
	ck_assert_uint_eq(pool[0]->cluster->held, 3);
	ck_assert_uint_eq(backends(), 3);
	set_limit(1);
	settle();
	ck_assert_uint_eq(backends(), 1);
	stage_close();
}
END_TEST

static void
limit_party(int i, enum conf_party party, const char *name, int64_t max_servers, int64_t priority)
{
	limits[i] = (struct conf_limits){.snapshot = &conf,
					 .party = party,
					 .name = (char *)name,
					 .max_servers = max_servers,
					 .priority = priority};
	if (conf.nlimits <= (unsigned)i)
		conf.nlimits = (unsigned)i + 1;
}

START_TEST(a_role_at_its_limit_keeps_nobody_waiting)
{
	sizes(3, 3, 3);
	limit_party(0, CONF_PARTY_ROLE, "app", 1, 0);
	stage_open(100);
	for (int i = 0; i < 3; i++)
		users[i].role = "app";
	want(&users[0], pool[0]);
	settle();
	want(&users[1], pool[0]);
	want(&users[2], pool[1]);
	want(&users[3], pool[0]);
	settle();
	/* Not even a server is opened for the two that may have none. */
	ck_assert(has(&users[0]) && !has(&users[1]) && !has(&users[2]) && has(&users[3]));
	ck_assert_uint_eq(pool[0]->count, 2);
	ck_assert_uint_eq(pool[1]->count, 0);
	ck_assert_int_eq(reason_of(&users[1].lease), REASON_PARTY);
	leave(&users[0]);
	settle();
	ck_assert_int_eq(has(&users[1]) + has(&users[2]), 1);
	leave(has(&users[1]) ? &users[1] : &users[2]);
	settle();
	ck_assert_int_eq(has(&users[1]) + has(&users[2]), 1);
	stage_close();
}
END_TEST

START_TEST(those_of_two_full_parties_stay_in_the_lane_of_one)
{
	sizes(3, 3, 3);
	limit_party(0, CONF_PARTY_ROLE, "app", 1, 0);
	limit_party(1, CONF_PARTY_UID, "0", 2, 0);
	stage_open(100);
	for (int i = 0; i < 6; i++)
		users[i].role = i < 5 ? "app" : "other";
	want(&users[0], pool[0]);
	want(&users[5], pool[0]);
	settle();
	ck_assert(has(&users[0]) && has(&users[5]));
	for (int i = 1; i < 5; i++)
		want(&users[i], pool[0]);
	/* Who waits behind the next one is not moved, so a turn costs the same for any number. */
	leave(&users[0]);
	settle();
	ck_assert(has(&users[1]));
	for (int i = 2; i < 5; i++)
		ck_assert(users[i].lease.turn.blocked == users[i].lease.turn.lane[CONF_PARTY_ROLE]);
	stage_close();
}
END_TEST

START_TEST(priority_is_a_head_start)
{
	sizes(1, 1, 1);
	limit_party(0, CONF_PARTY_ROLE, "app", 0, 5);
	stage_open(100);
	users[3].role = "app";
	want(&users[0], pool[0]);
	settle();
	want(&users[1], pool[0]);
	/* It has waited for longer than the priority is worth. */
	users[1].lease.turn.time_us -= 6000000;
	users[1].key_us -= 6000000;
	want(&users[2], pool[0]);
	want(&users[3], pool[0]);
	leave(&users[0]);
	ck_assert(has(&users[1]));
	leave(&users[1]);
	ck_assert(has(&users[3]));
	leave(&users[3]);
	ck_assert(has(&users[2]));
	stage_close();
}
END_TEST

START_TEST(limits_change_while_sessions_wait)
{
	sizes(3, 3, 3);
	limit_party(0, CONF_PARTY_ROLE, "app", 1, 0);
	stage_open(100);
	for (int i = 0; i < 3; i++) {
		users[i].role = "app";
		want(&users[i], pool[0]);
	}
	settle();
	ck_assert(has(&users[0]) && !has(&users[1]));
	queues_forget(&pools);
	limits[0].max_servers = 2;
	parties_configure(&pools.parties, &conf);
	queues_again(&pools);
	settle();
	ck_assert(has(&users[1]) && !has(&users[2]));
	/* Fewer than are lent: nothing is taken away. */
	queues_forget(&pools);
	limits[0].max_servers = 1;
	parties_configure(&pools.parties, &conf);
	queues_again(&pools);
	leave(&users[0]);
	settle();
	ck_assert(has(&users[1]) && !has(&users[2]));
	queues_forget(&pools);
	conf.nlimits = 0;
	parties_configure(&pools.parties, &conf);
	queues_again(&pools);
	settle();
	ck_assert(has(&users[2]));
	stage_close();
}
END_TEST

START_TEST(clients_are_counted)
{
	struct parties all;
	struct err e;

	limits[0] =
	    (struct conf_limits){.party = CONF_PARTY_ROLE, .name = (char *)"app", .max_clients = 2};
	limits[1] = (struct conf_limits){
	    .party = CONF_PARTY_UID, .name = (char *)CONF_PARTY_EACH, .max_clients = 1};
	conf.limits = limits;
	conf.nlimits = 2;
	parties_init(&all);
	parties_configure(&all, &conf);
	ck_assert(party_admit(&all, "app", 1, &e));
	ck_assert(party_admit(&all, "app", 2, &e));
	ck_assert(!party_admit(&all, "app", 3, &e));
	ck_assert_str_eq(e.sqlstate, "53300");
	ck_assert_str_eq(e.message, "too many clients of role \"app\": max_clients is 2");
	ck_assert_str_eq(e.hint, "raise max_clients in the section [role NAME] that holds for it");
	err_clear(&e);
	ck_assert(!party_admit(&all, "web", 2, &e));
	ck_assert_str_eq(e.message, "too many clients of uid 2: max_clients is 1");
	err_clear(&e);
	/* One that was refused has not been counted. */
	party_remove_client(&all, "app", 2);
	ck_assert(party_admit(&all, "web", 2, &e));
	ck_assert(party_admit(&all, "app", 3, &e));
	party_remove_client(&all, "app", 1);
	party_remove_client(&all, "app", 3);
	party_remove_client(&all, "web", 2);
	ck_assert_uint_eq(all.table.count, 0);
	parties_clear(&all);
	memset(limits, 0, sizeof limits);
	conf.nlimits = 0;
}
END_TEST

/* ---- random ---- */

/* Nobody waits who could be served, when all has settled. */
static void
check_rest(void)
{
	const struct cluster *c = pool[0]->cluster;
	unsigned servers = 0, claimed = 0, spare = 0, waiting = 0;

	for (int i = 0; i < POOLS; i++) {
		unsigned keeps = (unsigned)confs[i].min_size;

		MUST(pool[i]->count <= confs[i].size);
		servers += pool[i]->count;
		claimed += pool[i]->count > keeps ? pool[i]->count : keeps;
		waiting += pool[i]->turns.count;
		if (pool[i]->count > keeps)
			spare += pool[i]->servers[SERVER_IDLE].count;
	}
	MUST(c->held == servers && c->claimed == claimed && c->waiting == waiting);
	MUST(c->leaving == 0 && backends() == servers);
	for (int i = 0; i < USERS; i++) {
		const struct user *u = &users[i];
		const struct pool *of = u->lease.pool;

		if (u->lease.state != LEASE_WAITING || is_limited(u) || gate_paused(of))
			continue;
		MUST(of->servers[SERVER_IDLE].count == 0);
		if (of->group->total >= of->conf->size)
			continue;
		MUST(servers >= cluster.server_limit || claimed >= cluster.server_limit);
		MUST(of->count >= of->conf->min_size || servers >= cluster.server_limit);
		MUST(spare == 0);
	}
}

static void
step(void)
{
	static const char *const roles[] = {"app", "batch", "other"};
	struct user *u = &users[random() % USERS];
	struct pool *p = pool[random() % POOLS];
	struct server *srv;

	switch (random() % 16) {
	case 0:
	case 1:
		if ((srv = first_connecting()) != NULL)
			log_in(srv);
		break;
	case 2:
		end_backend();
		break;
	case 3:
		if (u->lease.state == LEASE_WAITING)
			lease_leave(&u->lease);
		break;
	case 4:
		if (has(u))
			lease_close(&u->lease, "random");
		break;
	case 5:
		if (gate_paused(p))
			gate_resume(p);
		else if (random() % 4 == 0)
			gate_pause(p);
		break;
	case 6:
	case 7:
	case 8:
	case 9:
		if (has(u))
			lease_return(&u->lease, false);
		break;
	case 10:
		turn();
		break;
	case 11:
		settle();
		check_rest();
		break;
	default:
		if (u->lease.state != LEASE_NONE)
			break;
		u->role = roles[random() % 3];
		u->uid = 1000 + (uid_t)random() % 2;
		want(u, p);
	}
}

static void
play(void)
{
	int64_t kept = 0;

	for (int i = 0; i < POOLS; i++) {
		confs[i].size = 1 + random() % 5;
		confs[i].min_size = random() % 2 && confs[i].size > 1;
		kept += confs[i].min_size;
	}
	limit_party(0, CONF_PARTY_ROLE, "app", random() % 4, 0);
	limit_party(1, CONF_PARTY_ROLE, "batch", random() % 2 * 3, random() % 3);
	limit_party(2, CONF_PARTY_UID, "1001", random() % 4, 0);
	stage_open(kept + 1 + random() % 5);
	for (int n = 0; n < 300; n++)
		step();
	settle();
	check_rest();
	/* Everybody who waits is served in the end. */
	for (int i = 0; i < POOLS; i++)
		gate_resume(pool[i]);
	for (int n = 0; n < USERS; n++) {
		settle();
		for (int i = 0; i < USERS; i++)
			if (has(&users[i]))
				lease_return(&users[i].lease, false);
	}
	settle();
	for (int i = 0; i < USERS; i++)
		MUST(users[i].lease.state != LEASE_WAITING);
	stage_close();
}

START_TEST(random_steps)
{
	const char *given = getenv("CHECK_ROUNDS");
	unsigned rounds = given ? (unsigned)atoi(given) : 400, first = seed;

	for (unsigned i = 0; i < rounds; i++) {
		seed = first + i;
		srandom(seed);
		play();
	}
	fprintf(stderr, "# lent %u, of these after a wait %u\n", lendings, grants);
	ck_assert_uint_gt(grants, rounds * 10);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("cluster");
	TCase *t = tcase_create("cluster");
	SRunner *r = srunner_create(s);
	const char *given = getenv("CHECK_SEED");
	int failures;

	seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
	fprintf(stderr, "check_cluster: CHECK_SEED=%u\n", seed);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, an_idle_server_of_another_pool_makes_room);
	tcase_add_test(t, a_server_counts_until_postgresql_has_let_it_go);
	tcase_add_test(t, a_server_that_never_ends_is_given_up);
	tcase_add_test(t, min_size_is_kept);
	tcase_add_test(t, a_new_connection_takes_the_place_of_one_that_is_kept);
	tcase_add_test(t, a_busy_server_goes_to_whoever_has_waited_much_longer);
	tcase_add_test(t, the_longest_waiting_of_all_pools_is_first);
	tcase_add_test(t, a_smaller_limit_takes_nobodys_server_away);
	tcase_add_test(t, a_role_at_its_limit_keeps_nobody_waiting);
	tcase_add_test(t, those_of_two_full_parties_stay_in_the_lane_of_one);
	tcase_add_test(t, priority_is_a_head_start);
	tcase_add_test(t, limits_change_while_sessions_wait);
	tcase_add_test(t, clients_are_counted);
	tcase_add_test(t, random_steps);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failures = srunner_ntests_failed(r);
	srunner_free(r);
	return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
