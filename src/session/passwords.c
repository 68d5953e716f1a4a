#include "session/passwords.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/fnv.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "base/vault.h"
#include "conf/userlist.h"

#define DOUBT_US UNIT_S

/* Where a secret stands. */
enum origin { FROM_FILE, FROM_QUERY };

/* A verifier that was made or asked for; in a vault. */
struct known {
	struct hash_node node;   /* in `known` */
	struct list_node recent; /* FROM_QUERY: the one that was asked for last stands last */
	char *role;
	enum origin origin;
	uint8_t fingerprint[SCRAM_KEY]; /* FROM_FILE: of the password that it was made of */
	struct verifier verifier;       /* FROM_QUERY: a mock one if the role has no password */
	int64_t asked_us;
};

/* A role that is asked for, or whose verifier is being made; in a vault. Only the thread touches
 * `verifier` and `why` while that is made, only the loop the rest. */
struct asking {
	struct list_node node; /* in `asking` */
	size_t bytes;          /* of all this */
	struct passwords *all;
	uint64_t number; /* of the question: a later one has a higher number */
	char *role;
	enum origin origin;
	/* There was a reload meanwhile: an answer of the pool is not kept. (That of a password in
	 * clear is known by its fingerprint.) */
	bool stale;
	uint8_t fingerprint[SCRAM_KEY];
	struct verifier verifier;
	char *why;
	char password[]; /* to be made a verifier; "" while the pool is asked */
};

struct passwords {
	struct loop *loop;
	struct threads *threads;
	const struct passwords_ops *ops;
	void *arg;
	uint8_t seed[VERIFIER_SEED];
	struct hash known;
	struct list recent;
	struct list asking;
	uint64_t questions;    /* so many there were: the number of the last one */
	struct userlist *file; /* whose passwords in clear are made verifiers now, up to `at` */
	unsigned at;
	/* OpenSSL and libpq free what is theirs when the process exits: no thread may be inside of
	 * them then. */
	pthread_mutex_t lock;
	pthread_cond_t ended;
	unsigned working; /* threads that make a verifier; under the lock */
	bool ending;      /* no thread begins with one; under the lock */
};

/* ---- what is known ---- */

static uint64_t
hash_of(const char *role)
{
	return fnv_bytes(FNV_SEED, role, strlen(role));
}

static struct known *
find_known(const struct passwords *all, const char *role, enum origin origin)
{
	for (struct hash_node *n = hash_first(&all->known, hash_of(role)); n; n = hash_next(n)) {
		struct known *k = HASH_OBJ(n, struct known, node);

		if (k->origin == origin && strcmp(k->role, role) == 0)
			return k;
	}
	return NULL;
}

static void
drop_known(struct passwords *all, struct known *k)
{
	hash_remove(&all->known, &k->node);
	if (list_linked(&k->recent))
		list_remove(&all->recent, &k->recent);
	free(k->role);
	vault_free(k, sizeof *k);
}

/* Keeps the verifier, in place of what was known. */
static void
keep(struct passwords *all, const struct asking *a)
{
	struct known *k = find_known(all, a->role, a->origin);

	if (k)
		drop_known(all, k);
	while (all->recent.count >= PASSWORDS_KEPT)
		drop_known(all, LIST_OBJ(list_first(&all->recent), struct known, recent));
	k = vault_alloc(sizeof *k);
	k->role = mem_strdup(a->role);
	k->origin = a->origin;
	memcpy(k->fingerprint, a->fingerprint, sizeof k->fingerprint);
	k->verifier = a->verifier;
	k->asked_us = loop_now_us(all->loop);
	hash_add(&all->known, &k->node, hash_of(k->role));
	if (k->origin == FROM_QUERY)
		list_append(&all->recent, &k->recent);
}

/* ---- what is asked ---- */

static struct asking *
find_asking(const struct passwords *all, const char *role, enum origin origin)
{
	const struct list_node *n;

	LIST_EACH (n, &all->asking) {
		struct asking *a = LIST_OBJ(n, struct asking, node);

		if (a->origin == origin && (origin == FROM_FILE || !a->stale) &&
		    strcmp(a->role, role) == 0)
			return a;
	}
	return NULL;
}

/* `password`: "" if it is not known yet. */
static struct asking *
new_asking(struct passwords *all, const char *role, enum origin origin, const char *password)
{
	size_t bytes = sizeof(struct asking) + strlen(password) + 1;
	struct asking *a = vault_alloc(bytes);

	a->bytes = bytes;
	a->all = all;
	a->number = ++all->questions;
	a->role = mem_strdup(role);
	a->origin = origin;
	memcpy(a->password, password, strlen(password) + 1);
	list_append(&all->asking, &a->node);
	return a;
}

static void
free_asking(struct asking *a)
{
	free(a->role);
	free(a->why);
	vault_free(a, a->bytes);
}

/* Was the role asked for once more, because of a reload? */
static bool
is_outdated(const struct passwords *all, const struct asking *a)
{
	const struct list_node *n;

	LIST_EACH (n, &all->asking) {
		const struct asking *b = LIST_OBJ(n, const struct asking, node);

		if (b->number > a->number && strcmp(b->role, a->role) == 0)
			return true;
	}
	return false;
}

/* The answer is complete, with a->verifier or a->why. If a later question is under way, clients
 * that came after the reload wait for the role, too: all of them get the later answer. */
static void
tell(struct passwords *all, struct asking *a)
{
	list_remove(&all->asking, &a->node);
	if (a->why)
		log_warnx("pgwithd", LOG_ALONE, "the password of a role cannot be checked",
			  LOG_TEXT("role", a->role), LOG_QUOTED("why", a->why));
	else if (!a->stale || a->origin == FROM_FILE)
		keep(all, a);
	if (!is_outdated(all, a))
		all->ops->told(all->arg, a->role, a->why ? NULL : &a->verifier);
	free_asking(a);
}

/* ---- passwords in clear ---- */

static void make_next(struct passwords *);

static void
make_verifier(void *arg)
{
	struct asking *a = arg;
	struct passwords *all = a->all;
	bool ending;

	pthread_mutex_lock(&all->lock);
	ending = all->ending;
	all->working += !ending;
	pthread_mutex_unlock(&all->lock);
	if (ending)
		return;
	a->why = verifier_make(a->password, &a->verifier);
	pthread_mutex_lock(&all->lock);
	all->working--;
	pthread_cond_signal(&all->ended);
	pthread_mutex_unlock(&all->lock);
}

/* Waits until no thread makes a verifier: some milliseconds. */
static void
end_making(struct passwords *all)
{
	pthread_mutex_lock(&all->lock);
	all->ending = true;
	while (all->working > 0)
		pthread_cond_wait(&all->ended, &all->lock);
	pthread_mutex_unlock(&all->lock);
}

static void
verifier_made(void *arg)
{
	struct asking *a = arg;
	struct passwords *all = a->all;
	bool of_file = a->origin == FROM_FILE;

	tell(all, a);
	if (of_file)
		make_next(all);
}

static void
submit(struct asking *a)
{
	threads_submit(a->all->threads, a->all, make_verifier, verifier_made, a);
}

/* Has the entry's password been made a verifier? If so, returns that. */
static struct known *
find_made(const struct passwords *all, const struct userlist_entry *e, uint8_t fingerprint[])
{
	struct known *k = find_known(all, e->role, FROM_FILE);

	verifier_fingerprint(all->seed, e->secret, fingerprint);
	return k && memcmp(k->fingerprint, fingerprint, SCRAM_KEY) == 0 ? k : NULL;
}

static bool
ask_file(struct passwords *all, const struct userlist_entry *e, const uint8_t fingerprint[])
{
	struct asking *a = find_asking(all, e->role, FROM_FILE);

	if (a && memcmp(a->fingerprint, fingerprint, SCRAM_KEY) == 0)
		return true;
	if (all->asking.count >= PASSWORDS_ASKED)
		return false;
	a = new_asking(all, e->role, FROM_FILE, e->secret);
	memcpy(a->fingerprint, fingerprint, SCRAM_KEY);
	submit(a);
	return true;
}

/* Makes the next verifier that auth_file needs, so that no client has to wait for it. */
static void
make_next(struct passwords *all)
{
	uint8_t fingerprint[SCRAM_KEY];
	unsigned count;
	const struct userlist_entry *list = userlist_entries(all->file, &count);

	while (all->at < count) {
		const struct userlist_entry *e = &list[all->at++];

		if (e->kind != VERIFIER_PLAIN || find_made(all, e, fingerprint) ||
		    find_asking(all, e->role, FROM_FILE))
			continue;
		ask_file(all, e, fingerprint);
		return;
	}
	userlist_drop(all->file);
	all->file = NULL;
}

/* ---- finding ---- */

/* In these, *v is a mock verifier of the role at first. */

static int
find_in_file(struct passwords *all, const struct userlist_entry *e, struct verifier *v)
{
	uint8_t fingerprint[SCRAM_KEY];
	const struct known *k;

	if (e->kind == VERIFIER_SCRAM)
		verifier_read(e->secret, v);
	if (e->kind != VERIFIER_PLAIN)
		return 0;
	k = find_made(all, e, fingerprint);
	if (k) {
		*v = k->verifier;
		return 0;
	}
	return ask_file(all, e, fingerprint) ? -E_AGAIN : -E_TOOBIG;
}

static int
find_by_query(struct passwords *all, const struct conf *conf, const char *role, struct verifier *v)
{
	const struct known *k = find_known(all, role, FROM_QUERY);

	if (k && loop_now_us(all->loop) - k->asked_us < conf->auth_cache_age_us) {
		*v = k->verifier;
		return 0;
	}
	if (find_asking(all, role, FROM_QUERY))
		return -E_AGAIN;
	if (all->asking.count >= PASSWORDS_ASKED)
		return -E_TOOBIG;
	all->ops->ask(all->arg, role, new_asking(all, role, FROM_QUERY, "")->number);
	return -E_AGAIN;
}

int
passwords_find(struct passwords *all, const struct conf *conf, const char *role, struct verifier *v)
{
	const struct userlist_entry *e = userlist_find(conf->userlist, role);

	/* This is done for every role, so that the time does not tell which ones there are: an HMAC
	 * takes 40 us on a processor that was idle. */
	verifier_mock(all->seed, role, v);
	if (e)
		return find_in_file(all, e, v);
	return *conf->auth_pool ? find_by_query(all, conf, role, v) : 0;
}

static struct asking *
find_question(const struct passwords *all, uint64_t number)
{
	const struct list_node *n;

	LIST_EACH (n, &all->asking) {
		struct asking *a = LIST_OBJ(n, struct asking, node);

		if (a->number == number)
			return a;
	}
	return NULL;
}

static void
make_of_answer(struct passwords *all, struct asking *a, const char *secret)
{
	struct asking *b = new_asking(all, a->role, FROM_QUERY, secret);

	b->number = a->number;
	b->stale = a->stale;
	list_remove(&all->asking, &a->node);
	free_asking(a);
	submit(b);
}

void
passwords_answer(struct passwords *all, uint64_t number, const char *secret, const char *why)
{
	struct asking *a = find_question(all, number);
	enum verifier_kind kind = secret ? verifier_kind(secret) : VERIFIER_NONE;

	if (a == NULL)
		return;
	if (why) {
		a->why = mem_strdup(why);
	} else if (kind == VERIFIER_PLAIN) {
		make_of_answer(all, a, secret);
		return;
	} else if (kind != VERIFIER_SCRAM || !verifier_read(secret, &a->verifier)) {
		if (kind == VERIFIER_MD5 || kind == VERIFIER_WRONG)
			log_info_often("pgwithd", LOG_ALONE,
				       "auth_query gives no verifier of SCRAM-SHA-256",
				       LOG_TEXT("role", a->role),
				       LOG_TEXT("gives", kind == VERIFIER_MD5 ? "md5" : "damaged"));
		verifier_mock(all->seed, a->role, &a->verifier);
	}
	tell(all, a);
}

void
passwords_doubt(struct passwords *all, const char *role)
{
	struct known *k = find_known(all, role, FROM_QUERY);

	if (k && loop_now_us(all->loop) - k->asked_us >= DOUBT_US)
		drop_known(all, k);
}

/* ---- all ---- */

/* Is this the verifier of a password in clear that the file still has? */
static bool
is_current(const struct passwords *all, const struct known *k, const struct conf *conf)
{
	const struct userlist_entry *e = userlist_find(conf->userlist, k->role);
	uint8_t fingerprint[SCRAM_KEY];

	return k->origin == FROM_FILE && e && e->kind == VERIFIER_PLAIN &&
	       find_made(all, e, fingerprint) == k;
}

void
passwords_configured(struct passwords *all, const struct conf *conf)
{
	struct list_node *n;

	for (size_t i = 0; i < hash_chains(&all->known); i++)
		for (struct hash_node *h = hash_chain(&all->known, i), *next; h; h = next) {
			struct known *k = HASH_OBJ(h, struct known, node);

			next = h->next;
			if (!is_current(all, k, conf))
				drop_known(all, k);
		}
	LIST_EACH (n, &all->asking)
		LIST_OBJ(n, struct asking, node)->stale = true;
	userlist_drop(all->file);
	all->file = userlist_keep(conf->userlist);
	all->at = 0;
	make_next(all);
}

void
passwords_pack(struct pack *p, struct passwords *all)
{
	PACK(p, all->seed);
}

struct passwords *
passwords_new(struct loop *loop, struct threads *threads, const struct passwords_ops *ops,
	      void *arg)
{
	struct passwords *all = vault_alloc(sizeof *all);

	all->loop = loop;
	all->threads = threads;
	all->ops = ops;
	all->arg = arg;
	verifier_random(all->seed, sizeof all->seed);
	hash_init(&all->known);
	list_init(&all->recent);
	list_init(&all->asking);
	pthread_mutex_init(&all->lock, NULL);
	pthread_cond_init(&all->ended, NULL);
	return all;
}

void
passwords_free(struct passwords *all)
{
	struct list_node *n, *after;
	struct hash_node *h;
	bool waits = false;

	if (all == NULL)
		return;
	end_making(all);
	while ((h = hash_any(&all->known)) != NULL)
		drop_known(all, HASH_OBJ(h, struct known, node));
	hash_clear(&all->known);
	userlist_drop(all->file);
	all->file = NULL;
	LIST_EACH_SAFE (n, after, &all->asking) {
		struct asking *a = LIST_OBJ(n, struct asking, node);

		list_remove(&all->asking, n);
		if (*a->password == 0) {
			free_asking(a);
			continue;
		}
		/* Threads may still come to this one, and go again. Its memory, and the lock, are
		 * left to the end of the process. */
		free(a->role);
		free(a->why);
		waits = true;
	}
	if (!waits)
		vault_free(all, sizeof *all);
}
