#include "session/slow.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pack.h"
#include "base/utf8.h"
#include "pool/pool.h"
#include "session/scopes.h"
#include "session/site.h"

#define WAITED_MAX 700 /* bytes of waited_for in a line of the log */

/* ---- notes ---- */

static void
free_first_note(struct list *l)
{
	struct list_node *n = list_first(l);

	list_remove(l, n);
	free(LIST_OBJ(n, struct slow_note, node));
}

static void
free_notes(struct slow *sl)
{
	while (list_first(&sl->waits))
		free_first_note(&sl->waits);
	while (list_first(&sl->done))
		free_first_note(&sl->done);
}

static void
add_note(struct list *l, int64_t at_us, int64_t us, const char *text, size_t bytes)
{
	struct slow_note *n;
	size_t fit = utf8_fit(text, bytes, SLOW_SQL_MAX);

	if (l->count == SLOW_NOTES_MAX)
		free_first_note(l);
	n = mem_calloc(1, sizeof *n + fit + 4);
	n->at_us = at_us;
	n->us = us;
	memcpy(n->text, text, fit);
	strcpy(n->text + fit, fit < bytes ? "..." : "");
	list_append(l, &n->node);
}

void
slow_watch(struct session *s)
{
	struct slow *sl;

	if (s->rare->slow)
		return;
	sl = session_rare(s)->slow = mem_calloc(1, sizeof *sl);
	list_init(&sl->waits);
	list_init(&sl->done);
}

void
slow_free(struct session *s)
{
	if (s->rare->slow == NULL)
		return;
	free_notes(s->rare->slow);
	free(s->rare->slow);
	s->rare->slow = NULL;
}

static int64_t
now_of(const struct session *s)
{
	return loop_now_us(s->site->loop);
}

/* Frees the notes if nothing is open any more. */
static void
free_notes_if_done(struct session *s)
{
	if (s->rare->slow->began_us == 0 &&
	    (s->rare->stack == NULL || s->rare->stack->frames.count == 0))
		free_notes(s->rare->slow);
}

/* ---- telling ---- */

struct slow_line {
	const char *scope, *kind;
	const struct conf_pool *conf;
	const char *pool; /* its name, "" of a lock */
	const char *outcome, *sqlstate;
	int64_t began_us;
	int64_t wait_us, enter_us, hold_us, cleanup_us;
	uint64_t statements;
};

/* 0 for a negative time: the loop's clock can be a little behind. */
static int64_t
elapsed(int64_t us)
{
	return us > 0 ? us : 0;
}

static void
log_statements(const struct session *s, const struct slow_line *t)
{
	const struct list_node *n;
	unsigned number = 0;

	LIST_EACH (n, &s->rare->slow->done) {
		const struct slow_note *st = LIST_OBJ(n, const struct slow_note, node);

		if (st->at_us >= t->began_us)
			log_info("session", s->id, "slow scope statement",
				 LOG_TEXT("name", t->scope), LOG_NUMBER("n", ++number),
				 LOG_MS("at", elapsed(st->at_us - t->began_us)),
				 LOG_QUOTED("sql", st->text));
	}
}

static void
log_if_slow(const struct session *s, const struct slow_line *t)
{
	int64_t took = now_of(s) - t->began_us;
	const struct list_node *n;
	struct buf waited;

	if (t->conf->log_scope_longer_than_us == 0 || took < t->conf->log_scope_longer_than_us)
		return;
	buf_init(&waited, WAITED_MAX);
	LIST_EACH (n, &s->rare->slow->waits) {
		const struct slow_note *w = LIST_OBJ(n, const struct slow_note, node);

		if (w->at_us >= t->began_us)
			buf_add_fmt(&waited, "%s%s %.1fms", waited.len ? ", " : "", w->text,
				    (double)elapsed(w->us) / 1000);
	}
	log_info("session", s->id, "slow scope", LOG_TEXT("name", t->scope),
		 LOG_QUOTED("kind", t->kind), LOG_TEXT("pool", t->pool),
		 LOG_TEXT("role", s->peer.role), LOG_QUOTED("outcome", t->outcome),
		 LOG_TEXT("sqlstate", t->sqlstate), LOG_MS("took", elapsed(took)),
		 LOG_MS("wait", elapsed(t->wait_us)), LOG_MS("enter", elapsed(t->enter_us)),
		 LOG_MS("hold", elapsed(t->hold_us)), LOG_MS("cleanup", elapsed(t->cleanup_us)),
		 LOG_NUMBER("statements", t->statements),
		 LOG_QUOTED_BYTES("waited_for", buf_data(&waited), waited.len));
	buf_clear(&waited);
	if (t->conf->log_scope_statements)
		log_statements(s, t);
}

/* ---- without ENTER ---- */

static void
note_pool(struct session *s, const struct pool *pool, int64_t waited_us)
{
	char text[96];
	int n = snprintf(text, sizeof text, "pool %s", pool->conf->name);

	if (waited_us > 0)
		add_note(&s->rare->slow->waits, now_of(s) - waited_us, waited_us, text, (size_t)n);
}

static void
begin_at(struct session *s, const struct lease *l, int64_t began_us, int64_t granted_us)
{
	struct slow *sl = s->rare->slow;

	sl->began_us = began_us;
	sl->granted_us = granted_us;
	sl->statements_before = sl->statements;
	sl->errors_before = l->srv->progress.errors;
}

void
slow_begin(struct session *s)
{
	int64_t waited = s->hold->lease.waited_us;

	begin_at(s, &s->hold->lease, now_of(s) - waited, now_of(s));
	note_pool(s, s->pool, waited);
}

static void
slow_statement(struct session *s, const struct message *m)
{
	const char *sql = NULL;
	size_t bytes = 0;

	if (m->type == 'Q' || (m->type == 'P' && message_is_unnamed(m))) {
		sql = m->sql;
		bytes = m->sql_bytes;
	} else if (m->type == 'B' && s->context.names && m->statement && *m->statement) {
		names_effects(s->context.names, m->statement, strlen(m->statement), &sql);
		bytes = sql ? strlen(sql) : 0;
	}
	if (bytes > 0)
		add_note(&s->rare->slow->done, now_of(s), 0, sql, strnlen(sql, bytes));
}

void
slow_message(struct session *s, const struct message *m)
{
	struct slow *sl = s->rare->slow;

	/* A session that kept its server has taken no lease, so slow_begin() was not called. */
	if (sl->began_us == 0 && m->type != 'S' && m->type != 'H' &&
	    !(s->rare->stack && scopes_holds(s)))
		begin_at(s, &s->hold->lease, now_of(s), now_of(s));
	if (m->type == 'Q' || m->type == 'E' || m->type == 'F')
		sl->statements++;
	if (s->hold->lease.pool->conf->log_scope_statements)
		slow_statement(s, m);
}

void
slow_end(struct session *s, const char *outcome, const char *sqlstate)
{
	struct slow *sl = s->rare->slow;
	const struct server *srv = s->hold->lease.srv;
	struct slow_line t;

	if (sl->began_us == 0)
		return;
	if (sqlstate == NULL && srv && srv->progress.errors > sl->errors_before) {
		sqlstate = srv->progress.error;
		if (strcmp(outcome, "success") == 0)
			outcome = "error";
	}
	t = (struct slow_line){.scope = "",
			       .kind = "implicit",
			       .conf = s->pool->conf,
			       .pool = s->pool->conf->name,
			       .outcome = outcome,
			       .sqlstate = sqlstate ? sqlstate : "",
			       .began_us = sl->began_us,
			       .wait_us = sl->granted_us - sl->began_us,
			       .hold_us = now_of(s) - sl->granted_us,
			       .statements = sl->statements - sl->statements_before};
	log_if_slow(s, &t);
	sl->began_us = 0;
	free_notes_if_done(s);
}

void
slow_refused(struct session *s, const char *sqlstate)
{
	int64_t waited = now_of(s) - s->since_us;
	struct slow_line t = {.scope = "",
			      .kind = "implicit",
			      .conf = s->pool->conf,
			      .pool = s->pool->conf->name,
			      .outcome = "error",
			      .sqlstate = sqlstate,
			      .began_us = s->since_us,
			      .wait_us = waited};

	note_pool(s, s->pool, waited);
	log_if_slow(s, &t);
	free_notes_if_done(s);
}

/* ---- frames ---- */

void
slow_granted(struct session *s, const struct scope *f)
{
	int64_t waited = f->granted_us - f->asked_us;
	char text[SCOPE_NAME_MAX + 32];
	int n;

	if (waited <= 0)
		return;
	if (f->pool) {
		note_pool(s, f->pool, waited);
		return;
	}
	n = snprintf(text, sizeof text, "%s %s", scope_kind_name(f),
		     f->hold.lock ? f->hold.lock->name : f->name);
	add_note(&s->rare->slow->waits, f->asked_us, waited, text, (size_t)n);
}

void
slow_frame(struct session *s, const struct scope *f, const char *outcome, int64_t exit_us)
{
	struct slow *sl = s->rare->slow;
	int64_t granted = f->granted_us ? f->granted_us : exit_us;
	int64_t opened = f->opened_us ? f->opened_us : exit_us;
	const struct pool *pool = f->pool ? f->pool : s->pool;
	struct slow_line t = {
	    .scope = f->name,
	    .kind = scope_kind_name(f),
	    .conf = pool->conf,
	    .pool = f->pool ? pool->conf->name : "",
	    .outcome = outcome,
	    .sqlstate = f->expired_by != ERR_NONE ? err_kind(f->expired_by)->sqlstate : f->error,
	    .began_us = f->asked_us,
	    .wait_us = granted - f->asked_us,
	    .enter_us = opened - granted,
	    .hold_us = exit_us - opened,
	    .cleanup_us = now_of(s) - exit_us,
	    .statements = sl->statements - f->statements_before};

	/* A plain transaction that became a frame later began before its frame did. */
	if (f->kind == SCOPE_IMPLICIT && sl->began_us) {
		t.began_us = sl->began_us;
		t.wait_us = sl->granted_us - sl->began_us;
		t.enter_us = 0;
		t.hold_us = exit_us - sl->granted_us;
	}
	log_if_slow(s, &t);
	if (f->kind == SCOPE_IMPLICIT)
		sl->began_us = 0;
	free_notes_if_done(s);
}

void
slow_unframed(struct session *s, const struct scope *f)
{
	struct slow *sl = s->rare->slow;

	if (sl->began_us || s->own->lease.state != LEASE_HELD)
		return;
	begin_at(s, &s->own->lease, f->asked_us, f->granted_us);
	sl->statements_before = f->statements_before;
}

/* ---- handover ---- */

void
slow_pack(struct pack *p, struct session *s)
{
	struct slow none = {0}, *slow = &none;
	bool there = s->rare->slow != NULL;

	PACK(p, there);
	if (!there)
		return;
	if (pack_reading(p) && s->pool && slow_wanted(s->pool))
		slow_watch(s);
	if (s->rare->slow)
		slow = s->rare->slow;
	PACK(p, slow->began_us);
	PACK(p, slow->granted_us);
	PACK(p, slow->statements_before);
	PACK(p, slow->errors_before);
	PACK(p, slow->statements);
}
