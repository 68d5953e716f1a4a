#include "session/standin.h"

#include <string.h>

#include "pool/once.h"
#include "pool/pool.h"
#include "session/resets.h"
#include "session/site.h"
#include "session/statement.h"
#include "wire/frame.h"
#include "wire/msg.h"
#include "wire/reader.h"

/* A client sent an exchange while the one before it could have been done again, so it had to wait.
 * That is not tried with so many of its next Parses. */
#define PIPELINED 100

/* Bytes behind a Parse that are kept together with it. */
#define ONCE_BEHIND_MAX (ONCE_AGAIN_MAX - ONCE_TEXT_MAX - FRAME_HEADER)

/* ---- may a Parse be answered here? ---- */

/* Is the pool's option such that texts are answered at all? */
static bool
is_on(const struct pool *pool)
{
	return pool->conf->statement_cache != CONF_CACHE_OFF &&
	       pool->conf->max_prepared_statements > 0;
}

bool
standin_infers(const struct pool *pool)
{
	return pool->conf->statement_cache == CONF_CACHE_ON;
}

bool
standin_may_answer(const struct session *s)
{
	const struct pool *pool = s->hold->lease.srv ? s->hold->lease.srv->pool : s->pool;

	return is_on(pool) && !unnamed_is_uncached(s->context.unnamed, standin_infers(pool));
}

static const char *
context_of(const struct session *s)
{
	return s->context.parameters_sql ? s->context.parameters_sql : "";
}

/* Fills in what standin_knows() finds. */
static void
look_up(const struct session *s, struct message *m)
{
	const char *context = context_of(s);
	const struct text *t;

	m->hashed = true;
	m->same = unnamed_is_inert(s->context.unnamed, m->body, m->bytes, &m->of_body);
	if (m->same) {
		m->inert = true;
		return;
	}
	m->of_body = text_hash_body(m->body + 1, m->bytes - 1);
	t = text_find_hashed(&s->site->pools.statements, m->body + 1, m->bytes - 1, context,
			     text_hash(m->of_body, context));
	m->inert = t && t->inert;
}

bool
standin_knows(const struct session *s, struct message *m)
{
	const struct pool *pool = s->hold->lease.srv ? s->hold->lease.srv->pool : s->pool;

	if (is_on(pool) && message_is_whole(m) && m->bytes > 0 && *m->body == 0 &&
	    m->bytes <= ONCE_TEXT_MAX)
		look_up(s, m);
	return m->inert;
}

/* Have session and transaction nothing that the meaning of a text depends on, beside the session's
 * known parameters? */
static bool
is_unaltered(const struct session *s)
{
	const struct hold *h = s->hold;

	return h->pinned == 0 && !h->pins_doubtful && !h->discard && !h->changed &&
	       h->lease.srv->prepared.altered == PREPARED_UNALTERED;
}

/* Is all known of the transaction that the Parse belongs to? It may have failed if an exchange
 * before it has not been answered. */
static bool
is_certain(const struct session *s, const struct progress *p)
{
	/* `watch`: a DEALLOCATE ALL may be under way, which takes our statements, too. */
	return !p->skipping && p->copy == COPY_NONE && !p->unsure && !p->half_begun && !p->watch &&
	       p->ready_due == p->own_syncs && p->status != 'E' && s->rare->stack == NULL &&
	       s->rare->slow == NULL;
}

/* May a message of this type be done again? */
static bool
is_of_exchange(char type)
{
	switch (type) {
	case 'P':
	case 'B':
	case 'D':
	case 'E':
	case 'C':
	case 'H':
	case 'S':
		return true;
	default:
		return false;
	}
}

/* Can the messages behind the Parse be done again: are they of the exchange, and is its Sync, if it
 * is here, the last of all? */
static bool
is_rest_of_exchange(const struct message *m)
{
	const uint8_t *data = m->body + m->bytes;
	size_t bytes = m->behind;
	struct frame f;

	if (bytes > ONCE_BEHIND_MAX || (m->next != 'B' && m->next != 'D'))
		return false;
	while (frame_read(data, bytes, &f) == 0) {
		if (!is_of_exchange(f.type))
			return false;
		if (FRAME_HEADER + f.body > bytes)
			return true;
		data += FRAME_HEADER + f.body;
		bytes -= FRAME_HEADER + f.body;
		if (f.type == 'S')
			return bytes == 0;
	}
	return true;
}

/* Is the Parse that comes now the first message of an exchange outside of a transaction? */
static bool
can_be_redone(const struct session *s, const struct progress *p)
{
	return p->status == 'I' && !p->extended && s->block.state == BLOCK_NONE &&
	       s->context.pipelined == 0 && s->context.resets == RESETS_NONE;
}

/* The Bind of the unnamed statement that stands whole behind the Parse; NULL: there is none. It
 * must have as many values as the statement has parameters: PostgreSQL counts them before it looks
 * whether its analysis holds. */
static const uint8_t *
bind_behind(const struct message *m, const struct once *o, size_t *bytes)
{
	const uint8_t *data = m->body + m->bytes;
	struct reader r;
	struct frame f;
	const char *name;

	if (m->next != 'B' || frame_read(data, m->behind, &f) < 0 ||
	    FRAME_HEADER + f.body > m->behind)
		return NULL;
	*bytes = f.body;
	reader_init(&r, data + FRAME_HEADER, f.body);
	reader_str(&r);
	name = reader_str(&r);
	reader_bytes(&r, 2 * (size_t)reader_u16(&r));
	if (name == NULL || *name || reader_u16(&r) != once_parameters(o) || r.failed)
		return NULL;
	return data + FRAME_HEADER;
}

/* Lets a statement that is there answer the Parse. */
static enum once_verdict
serve(struct session *s, struct once *o, struct message *m)
{
	struct server *srv = s->hold->lease.srv;
	struct progress *p = &srv->progress;
	const uint8_t *bind;
	size_t bytes;

	bind = bind_behind(m, o, &bytes);
	if (bind == NULL && (!o->redo || !once_has_result(o)))
		return ONCE_PASS;
	srv->pool->stats.parses_served++;
	m->used = FRAME_HEADER + m->bytes;
	if (bind == NULL) {
		once_serve(o, unnamed_make(&s->context.unnamed), &srv->prepared, p, batch_for(s));
		return ONCE_SERVE;
	}
	once_serve_bind(o, unnamed_make(&s->context.unnamed), &srv->prepared, p, bind, bytes,
			batch_for(s));
	progress_note(p, PROGRESS_WORKS);
	m->used += FRAME_HEADER + bytes;
	return ONCE_SERVE;
}

enum once_verdict
standin_parse(struct session *s, struct message *m)
{
	struct server *srv = s->hold->lease.srv;
	struct progress *p = &srv->progress;
	struct pool *pool = srv->pool;
	enum once_verdict v;
	struct once o;
	bool redo;

	if (!m->hashed || !is_on(pool) || m->effects.set || statement_is_left(m->next) ||
	    !is_certain(s, p) || !is_unaltered(s))
		return ONCE_PASS;
	o = (struct once){.body = m->body,
			  .bytes = m->bytes,
			  .of_body = m->of_body,
			  .context = context_of(s),
			  .place = pool->place,
			  .defined = pool->group->defined,
			  .now_us = loop_now_us(s->site->loop),
			  .age_us = pool->conf->statement_cache_age_us,
			  .server_max = (unsigned)pool->conf->max_prepared_statements,
			  .infers = standin_infers(pool),
			  .inert = m->effects.lasting,
			  .same = m->same};
	redo = can_be_redone(s, p);
	s->context.pipelined -= s->context.pipelined > 0;
	prepared_note_unwritten(&srv->prepared, p->unwritten);
	if (!once_has_come(&o, &srv->prepared) ||
	    (!(o.text && o.text->inert) && !message_is_well_formed(m)))
		return ONCE_PASS;
	o.redo = redo && is_rest_of_exchange(m);
	v = once_judge(&o, &srv->prepared);
	pool->stats.parses_seen += o.seen;
	if (v == ONCE_SERVE) {
		v = serve(s, &o, m);
	} else if (v == ONCE_PREPARE) {
		m->used = FRAME_HEADER + m->bytes;
		once_prepare(&o, unnamed_make(&s->context.unnamed), &srv->prepared, p,
			     batch_for(s));
	}
	if (o.inert && !o.same && (v == ONCE_SERVE || v == ONCE_PREPARE))
		unnamed_note_inert(s->context.unnamed, o.of_body);
	return v;
}

/* ---- uses of the statement ---- */

bool
standin_use(struct session *s, struct message *m)
{
	struct server *srv = s->hold->lease.srv;
	const char *name;
	struct buf *out;

	/* The same as in is_certain(). */
	if (srv->progress.watch) {
		unnamed_not_here(s->context.unnamed);
		return false;
	}
	name = once_name(s->context.unnamed, &srv->prepared);
	if (name == NULL)
		return false;
	out = batch_for(s);
	if (m->type == 'B') {
		m->used = FRAME_HEADER + once_bind(name, m->body, m->bytes, out);
		progress_sent_as(&srv->progress, PROGRESS_UNNAMED);
	} else {
		once_describe(name, out);
		m->used = FRAME_HEADER + m->bytes;
	}
	return true;
}

/* ---- doing an exchange again ---- */

bool
standin_holds(struct session *s, char type, size_t bytes, bool *ask)
{
	const struct server *srv = s->hold->lease.srv;
	const struct prepared_set *set;

	*ask = false;
	if (s->state != SESSION_ACTIVE)
		return false;
	set = &srv->prepared;
	if (srv->progress.redo)
		return true;
	if (!set->tracked.unconfirmed)
		return false;
	if (srv->progress.syncs != set->tracked.unconfirmed_syncs) {
		s->context.pipelined = PIPELINED;
		return true;
	}
	*ask = !is_of_exchange(type) || bytes > ONCE_AGAIN_MAX - set->again.len;
	return *ask;
}

void
standin_keep(struct session *s, const uint8_t *messages, size_t bytes)
{
	buf_add(&s->hold->lease.srv->prepared.again, messages, bytes);
}

bool
standin_redo(struct session *s)
{
	struct server *srv = s->hold->lease.srv;
	struct progress *p = &srv->progress;
	struct buf again;

	if (p->skipping) {
		static const uint8_t sync[] = {'S', 0, 0, 0, 4};

		progress_sent_own_sync(p);
		server_write(srv, sync, sizeof sync);
		return false;
	}
	if (!progress_at_rest(p))
		return false;
	p->redo = false;
	once_refused(&srv->prepared, p->error);
	progress_forget_error(p);
	srv->pool->stats.parses_redone++;
	again = srv->prepared.again;
	buf_init(&srv->prepared.again, ONCE_AGAIN_MAX);
	again.max = session_keep(s)->max;
	buf_add(&again, buf_data(s->in), s->in->len);
	buf_clear(s->in);
	*s->in = again;
	return true;
}
