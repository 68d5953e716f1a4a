#include "admin/health.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/held.h"
#include "admin/show.h"
#include "base/mem.h"
#include "base/units.h"
#include "base/utf8.h"
#include "pool/gate.h"
#include "pool/reason.h"
#include "session/application.h"
#include "session/doing.h"

#define NAME_MAX_BYTES 64 /* of a program or an application_name in a verdict */

/* ---- the group ---- */

/* The sums of a group, and who is first in them. Its pools share one size: a server that one of
 * them does not need is closed for another one. */
struct sums {
	unsigned leased, waiting;
	unsigned limited;          /* of those that wait: kept from a server by max_servers */
	const struct lease *first; /* of those that wait: the first in the oldest queue; or NULL */
	unsigned locked;           /* sessions of the group that wait for locks or semaphores */
	const struct lock_hold *lock; /* the longest of these waits; or NULL */
	unsigned free;                /* idle servers, and those that are free soon */
	unsigned connecting;          /* servers that are being opened */
	const struct lease *longest;  /* the lease that is held longest; or NULL */
	int64_t newest_us;            /* when the newest lease began */
	int64_t waits_since_us;
};

/* Leased servers are in the order of their leases, the last one newest. */
static void
add_leased(struct sums *sums, const struct list *leased)
{
	const struct lease *oldest, *newest;

	if (leased->count == 0)
		return;
	oldest = LIST_OBJ(list_first(leased), const struct server, node)->lease;
	newest = LIST_OBJ(list_last(leased), const struct server, node)->lease;
	sums->leased += leased->count;
	if (sums->longest == NULL || oldest->since_us < sums->longest->since_us)
		sums->longest = oldest;
	if (newest->since_us > sums->newest_us)
		sums->newest_us = newest->since_us;
}

static void
add_part(struct sums *sums, const struct pool *part)
{
	const struct list *servers = part->servers;
	int64_t since_us = lease_oldest_wait(part);

	sums->free += servers[SERVER_IDLE].count + servers[SERVER_CHECKING].count +
		      servers[SERVER_CLEANING].count;
	sums->connecting += servers[SERVER_CONNECTING].count;
	add_leased(sums, &servers[SERVER_LEASED]);
	sums->waiting += part->waiting.count;
	sums->limited += part->waiting.count - part->turns.count;
	if (since_us && (sums->waits_since_us == 0 || since_us < sums->waits_since_us)) {
		sums->waits_since_us = since_us;
		sums->first = LIST_OBJ(list_first(&part->waiting), const struct lease, node);
	}
}

/* The session of this pool's group waits for a lock or semaphore. */
static void
add_locked(struct sums *sums, const struct lock_hold *hold)
{
	sums->locked++;
	if (sums->lock == NULL || hold->since_us < sums->lock->since_us)
		sums->lock = hold;
}

/* ---- is it ready? ---- */

/* Copies the text of an error, and its detail if that fits, and frees the error. Returns false. */
static bool
refused_by(struct err *e, struct health *h)
{
	if (e->detail)
		snprintf(h->reason, sizeof h->reason, "%s (%s)", e->message, e->detail);
	else
		snprintf(h->reason, sizeof h->reason, "%s", e->message);
	/* The details of these are pool.c's numbers of servers, and who holds one. */
	h->brief = (unsigned)strlen(e->id == ERR_QUEUE_FULL || e->id == ERR_WAIT_TIMEOUT ||
					    e->id == ERR_NOT_FREE
					? e->message
					: h->reason);
	err_clear(e);
	return false;
}

/* The pool is not ready for a reason of which clients are told nothing: they wait. Returns true. */
static bool
holds_up(struct health *h, const struct pool *group)
{
	reason_say_pool(group, h->reason, sizeof h->reason);
	h->brief = (unsigned)strlen(h->reason);
	return true;
}

/* Has an attempt to open a server failed since the first of the queue came? */
static bool
fails_to_open(const struct pool *pool)
{
	const struct list_node *n = list_first(&pool->waiting);

	return n && pool->last_error.id != ERR_NONE &&
	       LIST_OBJ(n, const struct lease, node)->since_us < pool->retry_us;
}

/* Adds what all pools of the cluster have leased. */
static void
add_cluster(struct sums *sums, const struct cluster *c)
{
	const struct list_node *n;

	LIST_EACH (n, &c->all->list)
		if (LIST_OBJ(n, const struct pool, node)->group->cluster == c)
			add_leased(sums,
				   &LIST_OBJ(n, const struct pool, node)->servers[SERVER_LEASED]);
}

/* Is the pool kept from a server by the other pools of its cluster? */
static bool
is_held_up_by_cluster(const struct pool *pool)
{
	return cluster_is_full(pool->group) && (int64_t)pool->group->total < pool->conf->size;
}

/* Did no server of the group come back for as long as a client would wait? Then a client that came
 * now would get the error of wait_timeout. */
static bool
nothing_comes_back(const struct pool *pool, const struct sums *sums)
{
	int64_t limit = pool->conf->wait_timeout_us;
	struct sums all = {0};

	if (limit == 0 || sums->free > 0)
		return false;
	if (is_held_up_by_cluster(pool)) {
		add_cluster(&all, pool->group->cluster);
		return all.leased > 0 && loop_now_us(pool->all->loop) - all.newest_us >= limit;
	}
	if (sums->leased == 0)
		return false;
	if (!fails_to_open(pool) &&
	    (sums->connecting > 0 || (int64_t)pool->group->total < pool->conf->size))
		return false;
	return loop_now_us(pool->all->loop) - sums->newest_us >= limit;
}

/* Would a client of this pool be served? If not, the reason is set. */
static bool
part_is_ready(struct pool *pool, const struct sums *sums, struct health *h)
{
	struct err e;

	if (pool->servers[SERVER_IDLE].count > 0)
		return true;
	if (pool->down_us && pool->last_error.id != ERR_NONE) {
		err_copy(&e, &pool->last_error);
		return refused_by(&e, h);
	}
	if (pool_refuses(pool, &e))
		return refused_by(&e, h);
	if (nothing_comes_back(pool, sums)) {
		pool_wait_error(pool, NULL, pool->conf->wait_timeout_us, &e);
		return refused_by(&e, h);
	}
	return true;
}

/* Are as many clients in as max_clients allows? One of the console's sessions is not counted: it
 * asks this, and leaves its place to the client that comes. */
static bool
is_full(const struct site *site)
{
	bool asked =
	    site->in_state[SESSION_CONSOLE].count + site->in_state[SESSION_CONSOLE_BUSY].count > 0;

	return site_sessions(site) >=
	       site->conf->max_clients + site->in_state[SESSION_STARTUP].count + asked;
}

/* Is there a reason that holds for all pools of the group? */
static bool
group_refuses(const struct daemon *d, const struct pool *group, struct health *h)
{
	struct err e;

	if (d->site.phase > SITE_FINISHING || group->all->closing)
		err_make(&e, ERR_SHUTDOWN);
	else if (group->removed)
		err_make(&e, ERR_NO_POOL, group->conf->name);
	else if (gate_refuses(group, &e))
		;
	else if (is_full(&d->site))
		err_make(&e, ERR_TOO_MANY_CLIENTS, (unsigned)d->site.conf->max_clients);
	else if (group->all->handing || gate_paused(group))
		return holds_up(h, group);
	else
		return false;
	refused_by(&e, h);
	return true;
}

/* ---- in words ---- */

/* Writes who that is: the program, its process and its application_name, if that is another word;
 * without a program that we may see, the application_name or the role is first. */
static void
say_who(const struct session *s, char *out, size_t out_size)
{
	const char *role = s->peer.role ? s->peer.role : "?";
	const char *name = application_name(s);
	char program[64];
	const char *first = show_program(s->peer.pid, program, sizeof program);
	int bytes;

	if (name && *name == 0)
		name = NULL;
	if (first == NULL) {
		first = name ? name : role;
		name = NULL;
	} else if (name && strcmp(name, first) == 0) {
		name = NULL;
	}
	bytes = name ? (int)utf8_fit(name, strlen(name), NAME_MAX_BYTES) : 0;
	snprintf(out, out_size, "%.*s, pid %d%s%.*s",
		 (int)utf8_fit(first, strlen(first), NAME_MAX_BYTES), first, (int)s->peer.pid,
		 name ? ", " : "", bytes, name ? name : "");
}

void
health_say_holder(const struct session *s, unsigned alike, int64_t held_us, const char *state,
		  char *out, size_t out_size)
{
	char text[32], who[2 * NAME_MAX_BYTES + 32], more[64] = "holds for";

	say_who(s, who, sizeof who);
	if (alike > 0)
		snprintf(more, sizeof more, "and %u more hold for up to", alike);
	snprintf(out, out_size, "; session %llu (%s) %s %s, %s", (unsigned long long)s->id, who,
		 more, units_elapsed_str(held_us, text, sizeof text), state);
}

/* How many other sessions are like the one that holds this server, and hold servers of the same
 * group; or of the same cluster, if that is what is full. */
static unsigned
count_alike(const struct lease *l, const char *state, const struct pool *group)
{
	const struct cluster *c = is_held_up_by_cluster(group) ? group->cluster : NULL;
	struct held_alike alike;
	const struct list_node *n, *m;

	held_alike_init(&alike, l->owner, state);
	LIST_EACH (n, &group->all->list) {
		const struct pool *part = LIST_OBJ(n, const struct pool, node);

		if (c ? part->group->cluster != c : part->group != group)
			continue;
		LIST_EACH (m, &part->servers[SERVER_LEASED]) {
			const struct lease *other = LIST_OBJ(m, const struct server, node)->lease;

			if (other && other->owner)
				held_alike_add(&alike, other->owner,
					       doing_state(other->owner, other->srv));
		}
	}
	return held_alike_count(&alike);
}

/* Has who holds longest to do with it? Somebody waits, or a client that came would wait, or PAUSE
 * waits until everything has come back. */
static bool
holder_matters(const struct pool *group, const struct sums *sums, bool ready)
{
	return sums->waiting > 0 ||
	       (!ready && ((int64_t)sums->leased >= group->conf->size || gate_paused(group)));
}

/* Writes what keeps the first in the queue from a server, if that is not told anyway: the numbers
 * of the pool are, and why it is not ready. */
static void
say_reason(const struct sums *sums, const struct health *h, char *out, size_t out_size)
{
	switch (reason_of(sums->first)) {
	case REASON_PARTY:
	case REASON_CLUSTER:
		break;
	case REASON_DOWN:
		if (h->ready)
			break;
		return;
	case REASON_PAUSED:
	case REASON_HANDING:
	case REASON_POOL:
	case REASON_OPENING:
		return;
	}
	snprintf(out, out_size, "; ");
	reason_say(sums->first, out + 2, out_size - 2);
}

/* Writes how many wait, for how long, and what keeps them from a server. If that is the cluster,
 * the longest lease is looked for there. */
static void
say_waiting(const struct pool *group, struct sums *sums, const struct health *h, char *out,
	    size_t out_size)
{
	int64_t waited_us = loop_now_us(group->all->loop) - sums->waits_since_us;
	char text[32], limited[64] = "", reason[256] = "";
	struct sums all = {0};

	if (sums->waiting == 0)
		return;
	if (sums->limited > 0)
		snprintf(limited, sizeof limited, ", %u of them kept by max_servers",
			 sums->limited);
	if (is_held_up_by_cluster(group)) {
		add_cluster(&all, group->cluster);
		sums->longest = all.longest;
	}
	say_reason(sums, h, reason, sizeof reason);
	snprintf(out, out_size, ", %u waiting, oldest %s%s%s", sums->waiting,
		 units_elapsed_str(waited_us, text, sizeof text), limited, reason);
}

/* Writes how many sessions wait for locks and semaphores, and who holds what the first of them
 * waits for. */
static void
say_locked(const struct daemon *d, const struct sums *sums, char *out, size_t out_size)
{
	const struct lock *lock = sums->lock ? sums->lock->lock : NULL;
	const struct list_node *n = lock ? list_first(&lock->holders) : NULL;
	const struct lock_hold *held = n ? LIST_OBJ(n, const struct lock_hold, node) : NULL;
	const struct session *s = held ? idmap_get(&d->site.sessions, held->session) : NULL;
	char text[32], who[2 * NAME_MAX_BYTES + 32], holder[300] = "";
	int64_t now_us = loop_now_us(d->site.loop);

	if (lock == NULL)
		return;
	if (s) {
		say_who(s, who, sizeof who);
		snprintf(holder, sizeof holder, ", held by session %llu (%s) for %s",
			 (unsigned long long)s->id, who,
			 units_elapsed_str(now_us - held->since_us, text, sizeof text));
	}
	snprintf(out, out_size, "; %u waiting for locks, oldest %s for %s %.*s%s", sums->locked,
		 units_elapsed_str(now_us - sums->lock->since_us, text, sizeof text),
		 lock->semaphore ? "semaphore" : "lock",
		 (int)utf8_fit(lock->name, strlen(lock->name), NAME_MAX_BYTES), lock->name, holder);
}

static void
say_verdict(const struct daemon *d, const struct pool *group, struct sums *sums, struct health *h)
{
	const struct lease *l;
	int64_t now = loop_now_us(group->all->loop);
	char waiting[400] = "", holder[256] = "", locked[512] = "";
	const char *state;

	say_waiting(group, sums, h, waiting, sizeof waiting);
	l = sums->longest;
	if (l && holder_matters(group, sums, h->ready)) {
		state = doing_state(l->owner, l->srv);
		health_say_holder(l->owner, count_alike(l, state, group), now - l->since_us, state,
				  holder, sizeof holder);
	}
	say_locked(d, sums, locked, sizeof locked);
	snprintf(h->verdict, sizeof h->verdict, "%s: %u of %lld leased%s%s%s%s%.*s",
		 group->conf->name, sums->leased, (long long)group->conf->size, waiting, holder,
		 locked, h->ready ? "" : "; ", (int)h->brief, h->reason);
}

/* ---- groups ---- */

/* A group that is being judged. */
struct trial {
	const struct pool *group;
	struct health *health;
	struct sums sums;
	bool decided; /* nothing that a pool of the group says can change it any more */
};

/* Takes the word of a pool of the group, when the sums of the group are known. It is ready if one
 * of them is, or none is there that a client could be in. */
static void
hear_part(struct trial *t, struct pool *part)
{
	bool is_place = part == t->group && part->conf->role != CONF_ROLE_FIXED;

	if (t->decided || is_place)
		return;
	t->health->ready = t->decided = part_is_ready(part, &t->sums, t->health);
}

static void
begin_trial(struct trial *t, const struct daemon *d)
{
	*t->health = (struct health){0};
	t->decided = group_refuses(d, t->group, t->health);
	t->health->ready = !t->decided;
}

static void
end_trial(struct trial *t, const struct daemon *d)
{
	if (t->health->ready)
		t->health->reason[t->health->brief = 0] = '\0';
	say_verdict(d, t->group, &t->sums, t->health);
}

/* Adds each session that waits for a lock or semaphore to the sums of its group: those of the trial
 * that find() gives, or NULL. */
static void
count_locked(const struct daemon *d, struct trial *(*find)(void *, const struct pool *), void *arg)
{
	const struct list_node *n, *m;

	LIST_EACH (n, &d->site.locks.list)
		LIST_EACH (m, &LIST_OBJ(n, const struct lock, node)->waiting) {
			const struct lock_hold *hold = LIST_OBJ(m, const struct lock_hold, node);
			const struct session *s = idmap_get(&d->site.sessions, hold->session);
			struct trial *t = s && s->pool ? find(arg, s->pool) : NULL;

			if (t)
				add_locked(&t->sums, hold);
		}
}

static struct trial *
trial_of_one(void *arg, const struct pool *pool)
{
	struct trial *t = arg;

	return pool->group == t->group ? t : NULL;
}

void
health_of(const struct daemon *d, const struct pool *pool, struct health *h)
{
	struct trial t = {.group = pool->group, .health = h};
	const struct list_node *n;

	LIST_EACH (n, &pool->all->list)
		if (LIST_OBJ(n, const struct pool, node)->group == t.group)
			add_part(&t.sums, LIST_OBJ(n, const struct pool, node));
	count_locked(d, trial_of_one, &t);
	begin_trial(&t, d);
	LIST_EACH (n, &pool->all->list)
		if (LIST_OBJ(n, struct pool, node)->group == t.group)
			hear_part(&t, LIST_OBJ(n, struct pool, node));
	end_trial(&t, d);
}

static int
by_group(const void *a, const void *b)
{
	const struct trial *x = a, *y = b;

	return ((uintptr_t)x->group > (uintptr_t)y->group) -
	       ((uintptr_t)x->group < (uintptr_t)y->group);
}

static struct trial *
trial_of(struct trial *trials, unsigned count, const struct pool *pool)
{
	const struct trial key = {.group = pool->group};

	return bsearch(&key, trials, count, sizeof key, by_group);
}

struct trials {
	struct trial *list;
	unsigned count;
};

static struct trial *
trial_of_many(void *arg, const struct pool *pool)
{
	struct trials *all = arg;

	return trial_of(all->list, all->count, pool);
}

struct health_group *
health_all(const struct daemon *d, unsigned *count)
{
	const struct list *pools = &d->site.pools.list;
	struct health_group *all = mem_calloc(pools->count + 1, sizeof *all);
	struct trial *trials = mem_calloc(pools->count + 1, sizeof *trials);
	const struct list_node *n;

	*count = 0;
	LIST_EACH (n, pools) {
		const struct pool *pool = LIST_OBJ(n, const struct pool, node);

		if (pool->group != pool)
			continue;
		all[*count].group = pool;
		trials[*count] = (struct trial){.group = pool, .health = &all[*count].health};
		++*count;
	}
	qsort(trials, *count, sizeof *trials, by_group);
	LIST_EACH (n, pools) {
		const struct pool *pool = LIST_OBJ(n, const struct pool, node);

		add_part(&trial_of(trials, *count, pool)->sums, pool);
	}
	count_locked(d, trial_of_many, &(struct trials){trials, *count});
	for (unsigned i = 0; i < *count; i++)
		begin_trial(&trials[i], d);
	LIST_EACH (n, pools) {
		struct pool *pool = LIST_OBJ(n, struct pool, node);

		hear_part(trial_of(trials, *count, pool), pool);
	}
	for (unsigned i = 0; i < *count; i++)
		end_trial(&trials[i], d);
	free(trials);
	return all;
}

/* ---- SHOW HEALTH ---- */

static const struct column health_columns[] = {
    {"pool", COLUMN_TEXT},
    {"ready", COLUMN_BOOL},
    {"reason", COLUMN_TEXT},
    {"verdict", COLUMN_TEXT},
};

static void
fill_health(const struct daemon *d, struct rows *r)
{
	unsigned count;
	struct health_group *all = health_all(d, &count);

	for (unsigned i = 0; i < count; i++) {
		const struct health *h = &all[i].health;

		rows_begin(r);
		rows_text(r, all[i].group->conf->name);
		rows_bool(r, h->ready);
		rows_text(r, h->ready ? NULL : h->reason);
		rows_text(r, h->verdict);
		rows_end(r);
	}
	free(all);
}

const struct show show_health = SHOW_TABLE(health_columns, fill_health);
