#include "pool/pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fnv.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "conf/pwcommand.h"
#include "pool/gate.h"
#include "pool/password.h"
#include "pool/probe.h"
#include "pool/reason.h"

/* With role = client: the server of one role is given up for another role only if somebody has
 * waited for that longer by this much. */
#define ROLE_PATIENCE_US (100 * UNIT_MS)
/* How long the last reports of parameters are taken to be true. */
#define STALE_US (1 * UNIT_S)

/* After a connection was lost: for this long, other servers are asked for a sign of life before
 * they are lent. */
#define DOUBT_US UNIT_S

/* From the first failed attempt to the next one; the pause doubles each time, up to retry_delay. */
#define RETRY_FIRST_US (100 * UNIT_MS)

static void pools_serve(void *arg);

void
pools_init(struct pools *all, struct loop *loop, struct threads *threads)
{
	memset(all, 0, sizeof *all);
	all->loop = loop;
	all->threads = threads;
	idmap_init(&all->servers);
	idmap_init(&all->passwords);
	list_init(&all->list);
	list_init(&all->clusters);
	parties_init(&all->parties);
	statements_init(&all->statements);
	tolds_init(&all->told);
	past_init(&all->past);
	all->serve = pools_serve;
	/* What one read can give, and a header that was kept back before. */
	buf_init(&all->filtered, LOOP_SCRATCH + 64);
}

void
pools_clear(struct pools *all)
{
	clusters_clear(all);
	parties_clear(&all->parties);
	statements_clear(&all->statements);
	tolds_clear(&all->told);
	past_clear(&all->past);
	buf_clear(&all->filtered);
	idmap_clear(&all->servers);
	idmap_clear(&all->passwords);
}

struct conninfo *
pool_conninfo(const struct conf_pool *conf, const char *role, char *why, size_t why_size)
{
	struct conninfo *ci = conninfo_new(conf->conninfo, why, why_size);

	if (ci && role)
		conninfo_set_user(ci, role);
	if (ci && conf->password && *conf->password && !pwcommand_is(conf->password))
		conninfo_set_password(ci, conf->password);
	return ci;
}

/* `group`: NULL, or the pool of which the new one serves one role. */
static struct pool *
make_pool(struct pools *all, const struct conf_pool *conf, struct pool *group, const char *role,
	  char *why, size_t why_size)
{
	struct conninfo *ci = pool_conninfo(conf, role, why, why_size);
	struct pool *pool;

	if (ci == NULL)
		return NULL;
	pool = mem_calloc(1, sizeof *pool);
	pool->all = all;
	pool->conf = conf_pool_keep(conf);
	pool->reads = conf->read_only && *conf->read_only;
	pool->all->changes++;
	pool->place = fnv_bytes(FNV_SEED, conf->name, strlen(conf->name));
	pool->conninfo = ci;
	pool->group = group ? group : pool;
	if (role)
		pool->role = mem_strdup(role);
	for (int i = 0; i < SERVER_NSTATES; i++) {
		list_init(&pool->servers[i]);
		list_init(&pool->kept[i]);
	}
	list_init(&pool->waiting);
	list_init(&pool->turns);
	known_init(&pool->known, &all->known_versions);
	pool->period_us = loop_now_us(all->loop);
	password_renew(pool);
	list_append(&all->list, &pool->node);
	if (group == NULL) {
		pool_stats_go_on(pool);
		cluster_join(pool);
	}
	pool_fill(pool);
	return pool;
}

struct pool *
pool_new(struct pools *all, const struct conf_pool *conf, char *why, size_t why_size)
{
	return make_pool(all, conf, NULL, NULL, why, why_size);
}

struct pool *
pool_new_joined(struct pools *all, const struct pool *real, const char *name)
{
	struct conf_pool *conf = mem_alloc(sizeof *conf);
	struct pool *pool;
	char why[256];

	*conf = *real->conf;
	conf->name = mem_strdup(name);
	conf->size = 1;
	conf->min_size = 0;
	conf->mode = CONF_TRANSACTION;
	conf->role = CONF_ROLE_FIXED;
	conf->cluster = "";
	conf->read_only = "";
	conf->idle_timeout_us = conf->max_lifetime_us = conf->check_interval_us = 0;
	conf->discard_always = false;
	pool = make_pool(all, conf, NULL, NULL, why, sizeof why);
	/* The conninfo is right: the other pool was made from it. */
	if (pool == NULL)
		log_fatal("pool", name, "its conninfo cannot be used", LOG_QUOTED("why", why));
	pool->own_conf = conf;
	return pool;
}

struct pool *
pools_find(struct pools *all, const char *name, const char *role)
{
	struct list_node *n;
	struct pool *group = NULL;
	char why[256];

	LIST_EACH (n, &all->list) {
		struct pool *pool = LIST_OBJ(n, struct pool, node);

		if (pool->joined || pool->group->removed || strcmp(pool->conf->name, name) != 0)
			continue;
		if (pool->conf->role == CONF_ROLE_FIXED ||
		    (pool->role && strcmp(pool->role, role) == 0))
			return pool;
		if (pool->role == NULL)
			group = pool;
	}
	/* The conninfo is right: the group was made from it. */
	return group ? make_pool(all, group->conf, group, role, why, sizeof why) : NULL;
}

const char *
pools_told(const struct pools *all, const char *name, const char *parameter)
{
	const struct list_node *n;
	const char *value = NULL;

	LIST_EACH (n, &all->list) {
		const struct pool *pool = LIST_OBJ(n, const struct pool, node);

		if (value == NULL && !pool->group->removed && strcmp(pool->conf->name, name) == 0)
			value = pool_param(pool, parameter);
	}
	return value;
}

static void
clear_params(struct pool *pool)
{
	known_clear(&pool->known);
	told_drop(&pool->all->told, pool->told);
	pool->told = NULL;
}

void
pool_forget_place(struct pool *pool)
{
	clear_params(pool);
	err_clear(&pool->last_error);
	pool->retry_us = pool->down_us = 0;
	pool->attempts = 0;
	pool->refused = pool->group->worked = false;
}

static void
free_pool(void *arg)
{
	struct pool *pool = arg;

	clear_params(pool);
	conf_pool_drop(pool->conf);
	if (pool->own_conf) {
		free(pool->own_conf->name);
		free(pool->own_conf);
	}
	free(pool->role);
	err_clear(&pool->last_error);
	conninfo_free(pool->conninfo);
	pool_tally_clear(&pool->tally);
	free(pool->history);
	free(pool);
}

static void
fail_waiters(struct pool *pool, const struct err *e)
{
	struct list_node *n;

	while ((n = list_first(&pool->waiting)) != NULL)
		lease_fail(LIST_OBJ(n, struct lease, node), e);
}

/* The same for those who have another pool to go to. */
static void
fail_hasty(struct pool *pool, const struct err *e)
{
	struct list_node *n, *after;

	LIST_EACH_SAFE (n, after, &pool->waiting)
		if (LIST_OBJ(n, struct lease, node)->hasty)
			lease_fail(LIST_OBJ(n, struct lease, node), e);
}

void
pool_free(struct pool *pool)
{
	struct list_node *n;
	struct err e;

	list_remove(&pool->all->list, &pool->node);
	pool->all->changes++;
	/* A group lasts longer than its parts: both are freed at the end of the turn, in the order
	 * of these calls. */
	err_make(&e, ERR_SHUTDOWN);
	fail_waiters(pool, &e);
	err_clear(&e);
	if (pool->end_keeper)
		pool->end_keeper(pool);
	for (int i = 0; i < SERVER_CLOSED; i++)
		while ((n = list_first(&pool->servers[i])) != NULL)
			server_close(LIST_OBJ(n, struct server, node),
				     pool->group->removed ? "the pool was removed" : "shutdown");
	password_free(pool);
	if (pool->group == pool)
		cluster_leave(pool);
	if (pool->group != pool)
		pool_stats_move(pool->group, pool);
	else if (pool->own_conf == NULL)
		past_keep(&pool->all->past, pool->conf->name, &pool->stats, &pool->tally);
	loop_defer(pool->all->loop, free_pool, pool);
}

unsigned
pool_busy(const struct pool *pool)
{
	return pool->servers[SERVER_LEASED].count + pool->servers[SERVER_CLEANING].count;
}

unsigned
pools_busy(const struct pools *all)
{
	struct list_node *n;
	unsigned busy = 0;

	LIST_EACH (n, &all->list)
		busy += pool_busy(LIST_OBJ(n, struct pool, node));
	return busy;
}

bool
pool_is_stale(const struct pool *pool)
{
	/* A standby may have been promoted since, which is just what clients look for. */
	return loop_now_us(pool->all->loop) - pool->heard_us > STALE_US ||
	       (pool->told && pool->told->standby);
}

const char *
pool_param(const struct pool *pool, const char *name)
{
	return told_get(pool->told, name);
}

/* ---- servers come and go ---- */

static bool
may_try(const struct pool *pool)
{
	return pool->retry_us == 0 || loop_now_us(pool->all->loop) >= pool->retry_us;
}

/* Do sessions go on waiting after the last failed attempt? Only if a server had logged in before:
 * PostgreSQL may be back soon, so the first attempt is repeated in any case, later ones with
 * wait_while_down. An answer of PostgreSQL's own, such as a wrong password, is told at once. */
static bool
is_patient(const struct pool *pool)
{
	return pool->group->worked && !pool->refused &&
	       (pool->attempts <= 1 || pool->conf->wait_while_down);
}

struct server *
pool_oldest_idle(struct pool *group, const struct pool *except)
{
	struct server *oldest = NULL;
	struct list_node *n;

	LIST_EACH (n, &group->all->list) {
		struct pool *other = LIST_OBJ(n, struct pool, node);
		struct list_node *last = list_last(&other->servers[SERVER_IDLE]);
		struct server *srv = last ? LIST_OBJ(last, struct server, node) : NULL;

		if (other->group == group && other != except && srv &&
		    (oldest == NULL || srv->idle_us < oldest->idle_us))
			oldest = srv;
	}
	return oldest;
}

/* Does the first session of the queue need a server that nobody has had, and none is being opened?
 * (Such sessions stand at the front.) */
static bool
wants_fresh(const struct pool *pool)
{
	const struct lease *l = queue_at(pool, 0);

	return l && l->fresh && pool->own_conf == NULL &&
	       pool->servers[SERVER_CONNECTING].count == 0;
}

/* The group is full: makes room by closing the server of another role that has been idle
 * longest. */
static bool
make_room(struct pool *pool)
{
	/* Mostly all servers of the group are this pool's, and the others need not be walked. */
	struct server *oldest =
	    pool->group->total > pool->count ? pool_oldest_idle(pool->group, pool) : NULL;
	struct list_node *own = list_last(&pool->servers[SERVER_IDLE]);

	if (oldest == NULL && own && wants_fresh(pool)) {
		server_close(LIST_OBJ(own, struct server, node),
			     "a session needs a new connection");
		return pool->group->total < pool->conf->size;
	}

	if (oldest == NULL)
		return false;
	server_close(oldest, "another role of the pool needs it");
	return pool->group->total < pool->conf->size;
}

/* A pool with a role: the other pool of the same group whose first session has waited longest; NULL
 * if nobody waits there. */
static struct pool *
other_waiting(const struct pool *pool, int64_t *turn_us)
{
	struct pool *longest = NULL;
	struct list_node *n;

	LIST_EACH (n, &pool->all->list) {
		struct pool *other = LIST_OBJ(n, struct pool, node);
		const struct lease *l = queue_at(other, 0);

		if (other->group == pool->group && other != pool && l &&
		    (longest == NULL || l->turn.time_us < *turn_us)) {
			longest = other;
			*turn_us = l->turn.time_us;
		}
	}
	return longest;
}

/* Is it the turn of a lease, which has waited since `turn_us`, more than that of the first of the
 * pool? The difference must be ROLE_PATIENCE_US, since the change costs a login. */
static bool
is_before(int64_t turn_us, const struct lease *first)
{
	return turn_us < first->turn.time_us && turn_us + ROLE_PATIENCE_US < first->turn.time_us;
}

/* Is there only one free place, and somebody of another role who should have it? */
static bool
later_than_others(const struct pool *pool)
{
	const struct lease *first = queue_at(pool, 0);
	struct pool *other;
	int64_t turn_us = 0;

	if (pool->role == NULL || first == NULL || pool->group->total + 1 < pool->conf->size)
		return false;
	other = other_waiting(pool, &turn_us);
	return other && is_before(turn_us, first) &&
	       other->servers[SERVER_CONNECTING].count < other->turns.count;
}

/* Gives a free server up for another role, if somebody waits for that role longer than anybody for
 * this one. Returns false if the server stays. */
static bool
give_way(struct pool *pool, struct server *srv)
{
	const struct lease *first;
	struct pool *other;
	int64_t turn_us = 0;

	if (pool->role == NULL)
		return false;
	first = queue_at(pool, 0);
	other = other_waiting(pool, &turn_us);
	if (other == NULL || other->servers[SERVER_CONNECTING].count >= other->turns.count ||
	    (first && !is_before(turn_us, first)))
		return false;
	server_close(srv, "another role of the pool needs it");
	pool_fill(other);
	return true;
}

int64_t
pool_least_servers(const struct pool *pool)
{
	/* With role = client the group's own pool has no servers. */
	return pool->group->removed || pool->role || pool->conf->role == CONF_ROLE_CLIENT
		   ? 0
		   : pool->conf->min_size;
}

unsigned
pool_coming(const struct pool *pool)
{
	/* A server in SERVER_CHECKING will be free at once, or be closed. */
	return pool->servers[SERVER_CONNECTING].count + pool->servers[SERVER_CHECKING].count;
}

unsigned
pool_uncovered(const struct pool *pool)
{
	unsigned coming = pool_coming(pool);

	return pool->turns.count > coming ? pool->turns.count - coming : 0;
}

unsigned
pool_may_open(const struct pool *pool)
{
	const struct conf_pool *conf = pool->conf;
	/* While the server is down, one attempt at a time is enough to notice its return. */
	int64_t most = (pool->down_us ? 1 : conf->max_opening) -
		       (int64_t)pool->servers[SERVER_CONNECTING].count;
	int64_t room = conf->size - (int64_t)pool->group->total;

	if (pool->all->closing || pool->all->handing || gate_paused(pool) || pool->own_conf ||
	    !list_linked(&pool->node) || !may_try(pool))
		return 0;
	/* With role = client the group's own pool has no sessions. */
	if (conf->role == CONF_ROLE_CLIENT && pool->role == NULL)
		return 0;
	if (most > room)
		most = room;
	return most > 0 ? (unsigned)most : 0;
}

/* In a cluster: the pools are filled together. */
static void
fill_cluster(struct pool *pool)
{
	const struct pool *group = pool->group;
	bool full = group->total >= pool->conf->size;

	/* A session that needs a new connection may have to take the place of one of its own pool,
	 * which no other pool gets. */
	full |= wants_fresh(pool) && group->leaving == 0 && !cluster_has_room(group);
	if (full && pool_uncovered(pool) > 0 && !gate_paused(pool) && !pool->all->closing &&
	    !pool->all->handing)
		make_room(pool);
	cluster_fill(pool->group->cluster);
}

void
pool_fill(struct pool *pool)
{
	const struct conf_pool *conf = pool->conf;
	struct list *opening = &pool->servers[SERVER_CONNECTING];
	/* A server in SERVER_CHECKING will be free at once, or be closed. */
	unsigned wanted = pool->turns.count > pool->servers[SERVER_CHECKING].count
			      ? pool->turns.count - pool->servers[SERVER_CHECKING].count
			      : 0;

	/* The usual case: there are enough servers. */
	if (opening->count >= wanted && pool->count >= conf->min_size)
		return;
	if (pool->group->cluster) {
		fill_cluster(pool);
		return;
	}
	if (pool->all->closing || pool->all->handing || gate_paused(pool) || pool->own_conf ||
	    !list_linked(&pool->node) || !may_try(pool))
		return;
	/* With role = client the group's own pool has no sessions. */
	if (conf->role == CONF_ROLE_CLIENT && pool->role == NULL)
		return;
	/* While the server is down, one attempt at a time is enough to notice its return. */
	while (opening->count < (pool->down_us ? 1 : conf->max_opening) &&
	       (opening->count < wanted || pool->count < pool_least_servers(pool))) {
		if (later_than_others(pool))
			return;
		if (pool->group->total >= conf->size && !make_room(pool))
			return;
		server_open(pool);
	}
}

/* Lends idle servers of the pool to those who wait. */
static void
serve_waiting(struct pool *pool)
{
	struct server *srv;

	while (pool->turns.count > 0 && (srv = pool_take_idle(pool)) != NULL) {
		unsigned waiting = pool->turns.count;

		pool_server_ready(pool, srv);
		if (pool->turns.count == waiting)
			return;
	}
}

static void
pools_serve(void *arg)
{
	struct pools *all = arg;
	struct list_node *n;

	all->serve_due = false;
	LIST_EACH (n, &all->list)
		serve_waiting(LIST_OBJ(n, struct pool, node));
	LIST_EACH (n, &all->list)
		if (LIST_OBJ(n, struct pool, node)->group->cluster == NULL)
			pool_fill(LIST_OBJ(n, struct pool, node));
	LIST_EACH (n, &all->clusters)
		cluster_fill(LIST_OBJ(n, struct cluster, node));
	loop_event_done(all->loop);
}

void
pool_heard(struct pool *pool, struct server *srv)
{
	const char *version, *at = NULL, *name, *value;

	pool->heard_us = loop_now_us(pool->all->loop);
	if (srv->told == srv->heard && srv->context == srv->heard_context)
		return;
	/* Another version of PostgreSQL may take other values and report other parameters. */
	version = pool_param(pool, "server_version");
	value = told_get(srv->told, "server_version");
	if (version == NULL || value == NULL || strcmp(version, value) != 0) {
		known_clear(&pool->known);
		if (srv->leases == 0)
			clear_params(pool);
	}
	while (told_next(srv->told, &at, &name, &value))
		if (!server_was_set(srv, name))
			pool->told = told_with(&pool->all->told, pool->told, name, value);
	told_drop(&pool->all->told, srv->heard);
	srv->heard = told_keep(srv->told);
	srv->heard_context = srv->context;
}

bool
pool_is_over_lifetime(const struct pool *pool, const struct server *srv)
{
	int64_t most = pool->conf->max_lifetime_us;
	int64_t age_us = loop_now_us(pool->all->loop) - srv->connected_us;

	/* Mostly it is younger than the spread could make its limit. */
	return most > 0 && age_us >= most - most / 8 && age_us >= server_spread_us(srv, most);
}

/* Has a reload made the pool smaller than it is? */
static bool
is_too_large(const struct pool *pool)
{
	return pool->group->total > pool->conf->size;
}

void
pool_server_connected(struct pool *pool, struct server *srv)
{
	probe_connected(pool);
	pool_heard(pool, srv);
	probe_say_again(pool);
	err_clear(&pool->last_error);
	pool->retry_us = pool->down_us = 0;
	pool->attempts = 0;
	pool->refused = false;
	pool->group->worked = true;
	pool_server_ready(pool, srv);
}

void
pool_server_ready(struct pool *pool, struct server *srv)
{
	struct lease *next = pool->turns.count > 0 ? queue_next(pool, srv) : NULL;
	const char *why;

	if (pool->joined)
		pool->joined->idle(pool->joined->arg);
	if (pool->own_conf) {
		if (next && !pool->all->handing)
			lease_grant(next, srv);
		return;
	}
	if (srv->retiring || srv->spoiled || gate_paused(pool) ||
	    pool_is_over_lifetime(pool, srv) || is_too_large(pool) ||
	    (pool->all->closing && next == NULL)) {
		server_close(srv, srv->retiring        ? "retired"
				  : srv->spoiled       ? "a session has left what nothing undoes"
				  : gate_paused(pool)  ? "paused"
				  : is_too_large(pool) ? "the pool was made smaller"
				  : pool->all->closing ? "shutdown"
						       : "max_lifetime");
		return;
	}
	if (pool->all->handing) {
		/* Sessions that wait are served by the next process. */
		if (!server_can_move(srv))
			server_close(srv, "it cannot be handed over");
		return;
	}
	if (give_way(pool, srv))
		return;
	if (pool->group->cluster && (why = cluster_takes(pool)) != NULL) {
		server_close(srv, why);
		return;
	}
	if (next) {
		lease_grant(next, srv);
	} else if (wants_fresh(pool) &&
		   (pool->group->total >= pool->conf->size || !cluster_has_room(pool->group))) {
		server_close(srv, "a session needs a new connection");
		return;
	}
	pool_fill(pool);
	if (next == NULL && pool->group->cluster && pool->group->cluster->waiting > 0)
		cluster_fill(pool->group->cluster);
}

/* Has PostgreSQL refused the login in a way that the next attempt would meet again? Not if it has
 * no room or is starting (53..., 57P03), or is not what target_session_attrs asks for. */
static bool
is_refusal(const char *sqlstate)
{
	static const char *const passing[] = {"53", "57", "08", "58", "XX"};

	for (size_t i = 0; i < sizeof passing / sizeof *passing; i++)
		if (strncmp(sqlstate, passing[i], 2) == 0)
			return false;
	return *sqlstate != 0;
}

/* The pause before the next attempt: short at first, as long as sessions go on waiting. */
static int64_t
pause_us(const struct pool *pool)
{
	int64_t most = pool->conf->retry_delay_us, us = RETRY_FIRST_US;

	if (!is_patient(pool))
		return most;
	for (unsigned i = 1; i < pool->attempts && us < most; i++)
		us *= 2;
	return us < most ? us : most;
}

/* PostgreSQL has refused the password, or there was none (libpq's words, which have no SQLSTATE):
 * the hint names the password, and not the server, which runs. */
static void
hint_at_password(struct err *e, const struct pool *pool, const char *sqlstate)
{
	if (strstr(e->message, "no password supplied"))
		err_hint(e, "PostgreSQL asks for a password: the option password of the pool or a "
			    "passfile gives one");
	else if (strcmp(sqlstate, "28P01") != 0)
		return;
	else if (pwcommand_is(pool->conf->password))
		err_hint(e,
			 "PostgreSQL refuses the password that the command of the option password "
			 "prints: check what it prints");
	else
		err_hint(e,
			 "PostgreSQL refuses the password: check that of conninfo, the option "
			 "password or the passfile%s",
			 pool->conf->role == CONF_ROLE_CLIENT ? ", for this role" : "");
}

void
pool_server_failed(struct pool *pool, enum err_id id, const char *reason, const char *sqlstate)
{
	int64_t now = loop_now_us(pool->all->loop);
	bool refused = is_refusal(sqlstate), news;
	struct err e;

	err_make(&e, id, pool->conf->name, reason);
	if (id == ERR_SERVER_UNREACHABLE)
		hint_at_password(&e, pool, sqlstate);
	/* Warn once, not for each attempt, even if the reasons take turns; but warn of each new
	 * answer of PostgreSQL's own. */
	news = pool->last_error.id == ERR_NONE || refused != pool->refused ||
	       (refused && strcmp(pool->last_error.message, e.message) != 0);
	if (news)
		log_warnx("pool", pool->conf->name, "cannot connect", LOG_QUOTED("why", reason));
	else
		log_debug("pool", pool->conf->name, "cannot connect", LOG_QUOTED("why", reason));
	err_clear(&pool->last_error);
	err_copy(&pool->last_error, &e);
	pool->refused = refused;
	if (news)
		pool->group->told_us = now;
	if (may_try(pool)) {
		pool->attempts++;
		pool->retry_us = now + pause_us(pool);
	}
	if (pool->down_us == 0 && pool->count == pool->servers[SERVER_CONNECTING].count)
		pool->down_us = now;
	if (pool->failing_us == 0)
		pool->failing_us = pool->down_us;
	/* As long as other servers work, or this one may come back, waiting makes sense. */
	if (pool->count == 0 && !is_patient(pool))
		fail_waiters(pool, &e);
	else if (pool->down_us)
		fail_hasty(pool, &e);
	err_clear(&e);
}

/* Was a connection lost a moment ago, and has this server sent nothing since? */
static bool
is_doubtful(const struct pool *pool, const struct server *srv)
{
	int64_t loss_us = pool->group->loss_us;

	return loss_us && srv->used_us <= loss_us &&
	       loop_now_us(pool->all->loop) - loss_us < DOUBT_US;
}

struct server *
pool_take_idle(struct pool *pool)
{
	struct list_node *n;

	if (gate_paused(pool) || pool->all->handing)
		return NULL;
	while ((n = list_first(&pool->servers[SERVER_IDLE])) != NULL) {
		struct server *srv = LIST_OBJ(n, struct server, node);
		const char *why;

		/* It may have sent its last words: no client's statement must get lost in it. */
		if (server_has_news(srv)) {
			server_hear(srv);
			if (srv->state != SERVER_IDLE)
				continue;
		}
		/* What has ended another connection may be about to end this one. */
		if (is_doubtful(pool, srv)) {
			server_check(srv);
			return NULL;
		}
		/* Something may have come meanwhile, or have been there before a restart of the
		 * daemon. */
		why = server_remains(srv);
		if (why == NULL)
			return srv;
		server_unfit(srv, why);
	}
	return NULL;
}

bool
pool_is_free_soon(const struct pool *pool)
{
	const struct list *in = pool->servers;

	if (gate_paused(pool) || pool->all->handing || pool->all->closing)
		return false;
	return in[SERVER_IDLE].count > 0 ||
	       (pool->waiting.count == 0 &&
		(in[SERVER_CLEANING].count + in[SERVER_CHECKING].count > 0 ||
		 (pool->group->total - in[SERVER_CONNECTING].count < pool->conf->size &&
		  may_try(pool) && cluster_has_room(pool->group))));
}

struct server *
pool_take_fresh(struct pool *pool)
{
	struct list_node *n;

	if (pool_take_idle(pool) == NULL)
		return NULL;
	LIST_EACH (n, &pool->servers[SERVER_IDLE])
		if (LIST_OBJ(n, struct server, node)->leases == 0)
			return LIST_OBJ(n, struct server, node);
	return NULL;
}

/* ---- waiting ---- */

/* Adds to an error of this pool who holds its servers, and as hint why it has none. `full`: the
 * party that is full, or NULL. */
static void
say_numbers(const struct pool *pool, const struct party *full, struct err *e)
{
	struct list_node *n = list_first(&pool->servers[SERVER_LEASED]);
	unsigned cleaning = pool->servers[SERVER_CLEANING].count;
	unsigned connecting = pool->servers[SERVER_CONNECTING].count;
	char who[256] = "", more[64];

	if (n) {
		const struct server *srv = LIST_OBJ(n, struct server, node);

		srv->lease->ops->describe(srv->lease, who, sizeof who);
	}
	snprintf(more, sizeof more, "%s%.0u%s%s%.0u%s", cleaning ? ", " : "", cleaning,
		 cleaning ? " in cleanup" : "", connecting ? ", " : "", connecting,
		 connecting ? " connecting" : "");
	err_detail(e, "%u of %lld leased, %u waiting%s%s%s", pool->servers[SERVER_LEASED].count,
		   (long long)pool->conf->size, pool->waiting.count, more,
		   n ? "; held longest: " : "", who);
	reason_hint(pool, full, e);
}

bool
pool_is_down(const struct pool *pool)
{
	return pool->down_us &&
	       (pool->probe_us || pool->servers[SERVER_CONNECTING].count > 0 || !may_try(pool));
}

bool
pool_refuses(struct pool *pool, struct err *e)
{
	if (pool->all->closing) {
		err_make(e, ERR_SHUTDOWN);
		return true;
	}
	if (pool->count == 0 && !gate_paused(pool) && pool->last_error.id != ERR_NONE &&
	    !may_try(pool) && !is_patient(pool)) {
		err_copy(e, &pool->last_error);
		return true;
	}
	/* max_waiting counts only after the first server has logged in: before that every session
	 * must wait. */
	if (pool->told && pool->waiting.count >= pool->conf->max_waiting) {
		err_make(e, ERR_QUEUE_FULL, pool->conf->name, (unsigned)pool->conf->max_waiting);
		say_numbers(pool, NULL, e);
		return true;
	}
	return false;
}

void
pool_wait_error(const struct pool *pool, const struct lease *l, int64_t limit_us, struct err *e)
{
	const struct party *full = l ? queue_full_party(l) : NULL;
	char text[32], down[32];

	units_duration_str(limit_us, text, sizeof text);
	if (pool->down_us && pool->last_error.id != ERR_NONE) {
		err_copy(e, &pool->last_error);
		units_elapsed_str(loop_now_us(pool->all->loop) - pool->down_us, down, sizeof down);
		if (limit_us > 0 || l == NULL)
			err_detail(e, "waited for %s (wait_timeout); the pool is down for %s", text,
				   down);
		else
			err_detail(e, "WAIT 0 does not wait; the pool is down for %s", down);
		return;
	}
	if (limit_us > 0)
		err_make(e, ERR_WAIT_TIMEOUT, pool->conf->name, text);
	else
		err_make(e, ERR_NOT_FREE, pool->conf->name, l ? ", and WAIT 0 does not wait" : "");
	say_numbers(pool, full, e);
}

bool
pool_is_spent(const struct pool *pool)
{
	/* A pool whose server is only away (probe_us) belongs to a role that exists. */
	return pool->role && pool->count == 0 && pool->waiting.count == 0 && may_try(pool) &&
	       (pool->probe_us == 0 || pool->told == NULL);
}
