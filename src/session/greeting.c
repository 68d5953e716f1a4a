#include "session/greeting.h"

#include <stdlib.h>
#include <string.h>

#include "base/atom.h"
#include "base/buf.h"
#include "base/fnv.h"
#include "base/mem.h"
#include "session/context.h"
#include "session/reply.h"
#include "session/shown.h"
#include "session/site.h"
#include "session/telling.h"
#include "wire/msg.h"

#define PACKET_MAX 1024 /* bytes of a packet whose answer is kept */

struct greeting {
	/* What it depends on. */
	char *packet; /* the parameters of the packet */
	size_t packet_bytes;
	size_t key_bytes;
	struct told *reported; /* by the pool's servers */
	uint64_t known;        /* pool->known.version; 0: it does not depend on what is known */
	/* What the session gets. */
	struct told *told;
	const char *startup, *application, *application_told; /* atoms */
	char *parameters_sql;
	/* The answer, with zeros for number and key. */
	struct buf answer;
	size_t number_at; /* place of the number in it; the key stands behind that */
};

/* Bytes of the parameters of a packet: those behind its length and version. */
static size_t
params_bytes(const struct startup *st)
{
	return st->length - 8;
}

size_t
greeting_key_bytes(const struct session *s)
{
	return s->peer.minor >= 2 ? SESSION_KEY : 4;
}

static void
greeting_free(struct greeting *g, struct tolds *tolds, struct atoms *atoms)
{
	told_drop(tolds, g->reported);
	told_drop(tolds, g->told);
	atom_drop(atoms, g->startup);
	atom_drop(atoms, g->application);
	atom_drop(atoms, g->application_told);
	free(g->parameters_sql);
	free(g->packet);
	buf_clear(&g->answer);
	free(g);
}

void
greetings_clear(struct greetings *all, struct tolds *tolds, struct atoms *atoms)
{
	while (all->count > 0)
		greeting_free(all->kept[--all->count], tolds, atoms);
}

static bool
answers(const struct greeting *g, const struct session *s, const struct startup *st)
{
	return !shown_is_needed(s->pool) && g->reported == s->pool->told &&
	       (g->known == 0 || g->known == s->pool->known.version) &&
	       g->key_bytes == greeting_key_bytes(s) && g->packet_bytes == params_bytes(st) &&
	       memcmp(g->packet, st->params, g->packet_bytes) == 0;
}

/* Moves the greeting at place `at` to the front. */
static void
put_first(struct greetings *all, unsigned at)
{
	struct greeting *g = all->kept[at];

	memmove(all->kept + 1, all->kept, at * sizeof g);
	all->kept[0] = g;
}

/* The session, which is new, gets what the packet comes to. */
static void
give(struct session *s, const struct greeting *g)
{
	struct context *c = &s->context;

	c->told = told_keep(g->told);
	c->greeted = told_keep(g->told);
	c->startup = atom_keep(g->startup);
	c->application = atom_keep(g->application);
	c->application_told = atom_keep(g->application_told);
	c->parameters_sql = g->parameters_sql ? mem_strdup(g->parameters_sql) : NULL;
}

const struct greeting *
greeting_take(struct session *s, const struct startup *st)
{
	struct greetings *all = &s->site->greetings;

	for (unsigned i = 0; i < all->count; i++)
		if (answers(all->kept[i], s, st)) {
			put_first(all, i);
			give(s, all->kept[0]);
			return all->kept[0];
		}
	return NULL;
}

/* Is the answer that of every client with this packet? Not if the client was let in before a server
 * has judged its parameters. */
static bool
is_lasting(const struct session *s, const struct startup *st)
{
	const struct context *c = &s->context;

	return params_bytes(st) <= PACKET_MAX && s->pool->told != NULL && s->rare->shown == NULL &&
	       !c->unproven && c->unlisted == NULL && s->hold->pinned == 0 &&
	       s->hold->lease.state == LEASE_NONE && c->greeted == c->told;
}

/* Notes that the packet has come. Returns false if it has not come lately: a packet that comes
 * once, such as that of a client with a name of its own, takes nobody's place. */
static bool
has_come(struct greetings *all, const struct startup *st)
{
	uint64_t hash = fnv_bytes(FNV_SEED, st->params, params_bytes(st));

	for (unsigned i = 0; i < GREETINGS_SEEN; i++)
		if (all->seen[i] == hash)
			return true;
	all->seen[all->nseen++ % GREETINGS_SEEN] = hash;
	return false;
}

static void
make_answer(struct session *s, struct greeting *g)
{
	static const uint8_t no_key[SESSION_KEY];

	buf_init(&g->answer, GREETING_MAX);
	msg_auth_ok(&g->answer);
	telling_all(s, &g->answer);
	g->number_at = g->answer.len + 5;
	msg_backend_key(&g->answer, 0, no_key, g->key_bytes);
	msg_ready(&g->answer, 'I');
}

void
greeting_keep(struct session *s, const struct startup *st)
{
	struct greetings *all = &s->site->greetings;
	struct tolds *tolds = &s->site->pools.told;
	const struct context *c = &s->context;
	struct greeting *g;

	if (!is_lasting(s, st) || !has_come(all, st))
		return;
	g = mem_calloc(1, sizeof *g);
	g->packet_bytes = params_bytes(st);
	g->packet = mem_alloc(g->packet_bytes);
	memcpy(g->packet, st->params, g->packet_bytes);
	g->key_bytes = greeting_key_bytes(s);
	g->reported = told_keep(s->pool->told);
	g->known = telling_is_plain(s) ? 0 : s->pool->known.version;
	g->told = told_keep(c->told);
	g->startup = atom_keep(c->startup);
	g->application = atom_keep(c->application);
	g->application_told = atom_keep(c->application_told);
	g->parameters_sql = c->parameters_sql ? mem_strdup(c->parameters_sql) : NULL;
	make_answer(s, g);
	if (g->answer.failed) {
		greeting_free(g, tolds, &s->site->atoms);
		return;
	}
	if (all->count == GREETINGS_MAX)
		greeting_free(all->kept[--all->count], tolds, &s->site->atoms);
	all->kept[all->count++] = g;
	put_first(all, all->count - 1);
}

void
greeting_send(struct session *s, const struct greeting *g)
{
	uint32_t number = lease_number(s->id);
	const uint8_t be[4] = {number >> 24, number >> 16, number >> 8, number};
	struct buf *out = &s->site->greeting;
	uint8_t *at;

	buf_reset(out);
	buf_add(out, buf_data(&g->answer), g->answer.len);
	at = buf_data(out) + g->number_at;
	memcpy(at, be, sizeof be);
	session_cancel_key(s, at + sizeof be, g->key_bytes);
	reply_send_buf(s, out);
}
