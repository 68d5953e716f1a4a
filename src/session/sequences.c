#include "session/sequences.h"

#include "pool/pool.h"
#include "pool/todo.h"
#include "session/context.h"
#include "session/site.h"
#include "wire/msg.h"
#include "wire/sqlmention.h"
#include "wire/sqltext.h"

void
sequences_lease(struct session *s)
{
	struct server *srv = s->hold->lease.srv;

	/* If the session has been on another server since, its last numbers are not on this one. */
	if (srv->sequences == SERVER_NOBODYS)
		srv->sequences = s->id;
	else if (srv->sequences != s->id || s->context.last_server != srv->id)
		srv->sequences = 0;
	/* On a server for what only reads, no numbers are given: those of the one before stay. */
	if (!s->hold->apart)
		s->context.last_server = srv->id;
}

bool
sequences_due(const struct session *s)
{
	const struct server *srv = s->hold->lease.srv;

	/* With mode session there is one lease only, so there is no later one to do it in. */
	return srv->sequences != s->id && (srv->pool->sequences || s->context.mode == CONF_SESSION);
}

void
sequences_gone(struct session *s)
{
	s->hold->lease.srv->sequences = s->id;
}

void
sequences_begin(struct session *s)
{
	struct buf *out;

	if (!sequences_due(s))
		return;
	out = batch_for(s);
	context_own(&s->hold->lease.srv->progress, "DISCARD SEQUENCES", out);
	unnamed_not_here(s->context.unnamed);
	sequences_gone(s);
	msg_sync(out);
	progress_sent_own_sync(&s->hold->lease.srv->progress);
}

static bool
has_failed(const struct progress *p)
{
	return p->status == 'E' && progress_at_rest(p);
}

/* Is all done, but for parameters of ours that were sent ahead? */
static bool
is_free(const struct progress *p)
{
	return progress_at_rest(p) ||
	       (p->ready_due > 0 && p->ready_due == p->own_syncs && !p->extended && !p->skipping &&
		p->to_left == 0 && p->copy == COPY_NONE);
}

/* A text that could tell numbers is about to go to the server: discards those of others. */
static void
discard_others(struct session *s)
{
	struct server *srv = s->hold->lease.srv;
	struct progress *p = &srv->progress;
	bool alone = is_free(p);

	if (srv->sequences == s->id || p->skipping || has_failed(p))
		return;
	/* In a transaction the client may have an unnamed portal, which stays. */
	todo_own_apart("DISCARD SEQUENCES", p, batch_for(s));
	sequences_gone(s);
	/* Without a Sync, PostgreSQL 18 would take a Query behind it for a part of the same
	 * implicit transaction, and leave that open. */
	if (alone) {
		msg_sync(batch_for(s));
		progress_sent_own_sync(p);
	}
}

void
sequences_mind(struct session *s, unsigned set)
{
	if (!(set & SQLMENTION_SEQUENCE))
		return;
	s->hold->lease.srv->pool->sequences = true;
	discard_others(s);
}

/* Is it a text of which the end is not here? It may ask for numbers, but most do not: that is no
 * reason to discard numbers in other leases of the pool, too. */
static bool
is_unread(const struct message *m)
{
	return m->sql && !message_is_whole(m);
}

void
sequences_mind_message(struct session *s, const struct message *m)
{
	sequences_mind(s, m->effects.set);
	if (is_unread(m))
		discard_others(s);
}

/* Parameters of ours are not waited for: when they are answered, the server would be returned, and
 * the text would find parameters ahead of it again. */
bool
sequences_must_wait(const struct session *s, const struct message *m)
{
	const struct server *srv = s->hold->lease.srv;
	const struct progress *p = &srv->progress;

	return m->type == 'Q' && ((m->effects.set & SQLMENTION_SEQUENCE) || is_unread(m)) &&
	       srv->sequences != s->id && s->block.state == BLOCK_NONE && !p->extended &&
	       p->copy == COPY_NONE && !is_free(p);
}

/* Does the text begin by ending a failed transaction, or what has failed of it? If it does not, the
 * server refuses all of it. */
static bool
begins_by_ending(const struct message *m)
{
	switch (m->sql ? sqltext_first(m->sql, m->sql_bytes) : SQLWORD_OTHER) {
	case SQLWORD_COMMIT:
	case SQLWORD_END:
	case SQLWORD_ROLLBACK:
	case SQLWORD_ABORT:
	case SQLWORD_PREPARE:
		return true;
	default:
		return false;
	}
}

bool
sequences_refuses(const struct session *s, const struct message *m)
{
	const struct server *srv = s->hold->lease.srv;

	return (m->effects.set & SQLMENTION_SEQUENCE) && srv->sequences != s->id &&
	       has_failed(&srv->progress) && begins_by_ending(m);
}
