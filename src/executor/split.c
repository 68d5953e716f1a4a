#include "executor/split.h"

#include <stdlib.h>
#include <string.h>

#include "executor/portal.h"
#include "executor/verbs.h"
#include "scope/stack.h"
#include "scope/transaction.h"
#include "session/lexing.h"
#include "session/named.h"
#include "session/raise.h"
#include "session/reply.h"
#include "session/scopes.h"
#include "session/script.h"
#include "session/site.h"
#include "session/statement.h"
#include "wire/msg.h"
#include "wire/sqlclass.h"
#include "wire/sqltext.h"

/* ---- texts of many statements ---- */

/* Returns the name of a statement by which a program's own pool resets a connection, or NULL. */
static const char *
reset_of(const struct sqltext_stmt *stmt)
{
	if (stmt->first[1] != SQLWORD_ALL)
		return NULL;
	return stmt->first[0] == SQLWORD_DISCARD ? "DISCARD ALL"
	       : stmt->first[0] == SQLWORD_RESET ? "RESET ALL"
						 : NULL;
}

/* Do statements go to the transaction of a scope, and is this one that cannot be passed on there as
 * it is, because it begins or ends a transaction or savepoint? */
static bool
is_control(const struct session *s, const struct sqltext_stmt *stmt)
{
	const struct scope *base = stack_current(s->rare->stack);

	/* What stands behind the end of a transaction that only reads goes to another pool. */
	if (base == NULL)
		return s->hold->apart && s->state == SESSION_ACTIVE && transaction_is(stmt);
	/* Each is a part by itself, so that it is known how far a text with savepoints got. */
	if (stack_top_of(s->rare->stack, base)->kind == SCOPE_BLOCK &&
	    (stmt->first[0] == SQLWORD_SAVEPOINT || stmt->first[0] == SQLWORD_RELEASE ||
	     stmt->first[0] == SQLWORD_ROLLBACK))
		return true;
	return transaction_is(stmt);
}

/* Are scopes open, and does the statement end them all? */
static bool
is_reset(const struct session *s, const struct sqltext_stmt *stmt)
{
	return s->rare->stack->frames.count > 0 && reset_of(stmt) != NULL;
}

static bool
stands_alone(const struct session *s, const struct sqltext_stmt *stmt)
{
	return grammar_is(stmt) || is_control(s, stmt) || is_reset(s, stmt);
}

/* Returns the bytes of the first part of the text: one statement that stands alone, or all
 * statements before the next one that does. */
static size_t
part_of(const struct session *s, const char *text, size_t bytes)
{
	struct sqltext at, before;
	struct sqltext_stmt stmt;

	sqltext_init(&at, text, bytes, s->rare->script->lexing);
	if (!sqltext_next(&at, &stmt))
		return bytes;
	if (stands_alone(s, &stmt))
		return (size_t)(at.at - text);
	for (before = at; sqltext_next(&at, &stmt); before = at)
		if (stands_alone(s, &stmt))
			return (size_t)(before.at - text);
	return bytes;
}

#define DIVIDES                                                                      \
	(SQLCLASS_BEGIN | SQLCLASS_COMMIT | SQLCLASS_ROLLBACK | SQLCLASS_SAVEPOINT | \
	 SQLCLASS_SET | SQLCLASS_DISCARD_ALL)

/* Has the text an ordinary statement that stands alone? */
static bool
divides(const struct session *s, unsigned set, const char *sql, size_t bytes, unsigned flags)
{
	struct sqltext at;
	struct sqltext_stmt stmt;

	if (!(set & DIVIDES) || (s->rare->stack->frames.count == 0 && !s->hold->apart))
		return false;
	sqltext_init(&at, sql, bytes, flags);
	while (sqltext_next(&at, &stmt))
		if (is_control(s, &stmt) || is_reset(s, &stmt))
			return true;
	return false;
}

static bool
is_empty_text(const struct session *s, const char *text, size_t bytes)
{
	struct sqltext at;
	struct sqltext_stmt stmt;

	sqltext_init(&at, text, bytes, s->rare->script->lexing);
	return !sqltext_next(&at, &stmt);
}

/* Is the part a scope statement? */
static bool
is_scope(const struct session *s, const char *part, size_t bytes)
{
	struct sqltext at;
	struct sqltext_stmt stmt;

	sqltext_init(&at, part, bytes, s->rare->script->lexing);
	return sqltext_next(&at, &stmt) && grammar_is(&stmt);
}

/* Adds a Query message of the next part. If that goes to PostgreSQL, it has blanks in place of the
 * parts before it, so that positions in errors are those of the client's text. */
static void
part_message(const struct session *s, struct buf *out)
{
	const char *text = (const char *)buf_data(&s->rare->script->text);
	size_t blanks = is_scope(s, text, s->rare->script->part_bytes) ? 0 : s->rare->script->chars;
	size_t at = msg_begin(out, 'Q');

	while (blanks-- > 0)
		buf_add_u8(out, ' ');
	buf_add(out, text, s->rare->script->part_bytes);
	buf_add_u8(out, 0);
	msg_end(out, at);
}

/* The server has done a part, and is at rest. After the last one, the text is answered. */
static void
part_ended(struct session *s)
{
	struct buf out;

	if (script_done(s))
		return;
	buf_init(&out, 16);
	reply_ready(s, &out);
	reply_send_buf(s, &out);
	buf_clear(&out);
}

bool
split_next(struct session *s, struct buf *message)
{
	struct script *sp = s->rare->script;
	const char *text;

	if (!script_pending(s) ||
	    (s->state != SESSION_IDLE &&
	     (s->state != SESSION_ACTIVE || !progress_at_rest(&s->hold->lease.srv->progress))))
		return false;
	if (!script_waiting(s))
		part_ended(s);
	if (!script_waiting(s) || session_gone(s))
		return false;
	text = (const char *)buf_data(&sp->text);
	sp->part_bytes = part_of(s, text, sp->text.len);
	/* Blanks and comments behind the last statement belong to its part. */
	if (is_empty_text(s, text + sp->part_bytes, sp->text.len - sp->part_bytes))
		sp->part_bytes = sp->text.len;
	buf_init(message, SESSION_WHOLE_MAX + 16);
	part_message(s, message);
	return true;
}

bool
split_judged(struct session *s, bool done)
{
	script_judged(s, done);
	return done && !session_gone(s);
}

/* ---- before a scope statement ---- */

enum verdict
split_wait(struct session *s)
{
	struct progress *p;
	bool failed;

	scopes_prepare(s);
	if (s->state == SESSION_IDLE || progress_at_rest(&s->hold->lease.srv->progress)) {
		/* Messages without an answer (Flush, the rest of a COPY) may still be here. They
		 * are sent, because the statement may give the server back. */
		batch_flush(s);
		if (session_gone(s))
			return OVER;
		if (s->extended.boundary == BOUNDARY_NONE)
			return FORWARD;
		failed = s->extended.boundary == BOUNDARY_FAILED;
		boundary_set(s, BOUNDARY_NONE);
		if (!failed)
			return FORWARD;
		s->extended.skip_sync = true;
		return DROP;
	}
	p = &s->hold->lease.srv->progress;
	/* The server skips everything up to Sync, so the scope statement is skipped too. */
	if (p->skipping) {
		s->extended.skip_sync = true;
		return DROP;
	}
	/* Messages of the extended protocol may be answered only after a Sync: one of ours is sent,
	 * without a ReadyForQuery for the client. In a transaction it changes nothing. */
	if (p->extended && p->own_syncs == 0 && !progress_copies_in(p) &&
	    s->extended.boundary == BOUNDARY_NONE)
		boundary_set(s, BOUNDARY_DUE);
	stream_pause(&s->stream);
	return HOLD;
}

void
split_sync(struct session *s)
{
	struct progress *p;
	struct buf out;

	if (s->extended.boundary != BOUNDARY_DUE || s->hold->lease.state != LEASE_HELD)
		return;
	boundary_set(s, BOUNDARY_SENT);
	p = &s->hold->lease.srv->progress;
	buf_init(&out, 16);
	progress_forget_error(p);
	msg_sync(&out);
	progress_sent_own_sync(p);
	server_write(s->hold->lease.srv, buf_data(&out), out.len);
	buf_clear(&out);
}

/* ---- one statement ---- */

struct grammar *
split_parse(struct session *s, const char *sql, size_t bytes, struct err *e)
{
	struct grammar *g;
	struct grammar_error ge;

	if (!script_judging(s))
		s->rare->script->lexing = lexing_flags(s, NULL);
	if ((g = transaction_parse(sql, bytes, s->rare->script->lexing)) != NULL)
		return g;
	if (grammar_parse(sql, bytes, s->rare->script->lexing, &g, &ge) == 0)
		return g;
	err_make(e, ERR_SCOPE_SYNTAX, ge.expected);
	free(ge.expected);
	e->position = 1 + sqltext_characters(sql, ge.at, s->rare->script->lexing);
	if (script_judging(s))
		e->position += s->rare->script->chars;
	return NULL;
}

/* Parses all scope statements of a text, because PostgreSQL too parses a whole text before it runs
 * any of it. Returns false with the error in *e if one cannot be parsed. */
static bool
parses_all(struct session *s, const char *sql, size_t bytes, struct err *e)
{
	for (size_t at = 0, n; at < bytes; at += n) {
		struct grammar *g;

		n = part_of(s, sql + at, bytes - at);
		if (!is_scope(s, sql + at, n))
			continue;
		g = split_parse(s, sql + at, n, e);
		if (g == NULL) {
			e->position += sqltext_characters(sql, at, s->rare->script->lexing);
			return false;
		}
		grammar_free(g);
	}
	return true;
}

/* Does the text end within a quote or comment? PostgreSQL refuses such a text as a whole. */
static bool
is_open(const struct session *s, const char *text, size_t bytes)
{
	struct sqltext_stmt stmt;
	struct sqltext at;

	sqltext_init(&at, text, bytes, s->rare->script->lexing);
	while (sqltext_next(&at, &stmt))
		;
	return at.unterminated;
}

static enum verdict
split_text(struct session *s, const char *sql, size_t bytes)
{
	struct err e;

	if (!parses_all(s, sql, bytes, &e))
		return reply_refuse_message(s, 'Q', &e);
	script_start(s, sql, bytes);
	return DROP;
}

static bool
has_one_part(const struct session *s, const char *sql, size_t bytes)
{
	size_t first = part_of(s, sql, bytes);

	return is_empty_text(s, sql + first, bytes - first);
}

static enum verdict judge_ordinary(struct session *, struct message *, unsigned set,
				   const char *sql, size_t bytes);

/* If the text is a statement that ends all scopes, ends them. In a transaction of BEGIN, RESET ALL
 * is an ordinary statement: no program's pool resets a connection there. */
static enum verdict
end_scopes_by_reset(struct session *s, const char *sql, size_t bytes)
{
	struct sqltext at;
	struct sqltext_stmt stmt;

	sqltext_init(&at, sql, bytes, s->rare->script->lexing);
	if (!sqltext_next(&at, &stmt) || !is_reset(s, &stmt))
		return FORWARD;
	if (stmt.first[0] == SQLWORD_RESET && (scopes_plain(s) || stack_begin(s->rare->stack)))
		return FORWARD;
	return verbs_sweep_out(s, reset_of(&stmt));
}

/* A Query that may be a BEGIN, COMMIT or ROLLBACK in a scope, or may end all scopes. All before it
 * has been answered. */
static enum verdict
judge_control(struct session *s, struct message *m, const char *sql, size_t bytes)
{
	enum verdict v = end_scopes_by_reset(s, sql, bytes);
	struct grammar *g;

	named_replaced(s->extended.named, 'P');
	if (v != FORWARD)
		return v;
	g = transaction_parse(sql, bytes, s->rare->script->lexing);
	if (g && verbs_takes(s, g))
		return verbs_do(s, g, 'Q');
	grammar_free(g);
	return judge_ordinary(s, m, m->effects.set, sql, bytes);
}

static enum verdict
judge_query(struct session *s, struct message *m, const char *sql, size_t bytes)
{
	struct grammar *g;
	struct err e;
	enum verdict v;

	if (!message_is_whole(m) || m->bytes > SESSION_WHOLE_MAX - 16) {
		err_make(&e, ERR_SCOPE_TOO_LONG, SESSION_WHOLE_MAX - 16);
		return reply_refuse_message(s, m->type, &e);
	}
	if ((v = split_wait(s)) != FORWARD)
		return v;
	if (!script_judging(s) && !has_one_part(s, sql, bytes))
		return split_text(s, sql, bytes);
	if (!(m->effects.set & SQLCLASS_SCOPE))
		return judge_control(s, m, sql, bytes);
	g = split_parse(s, sql, bytes, &e);
	if (g && g->nparams > 0) {
		grammar_free(g);
		err_make(&e, ERR_SCOPE_SYNTAX, "there is no parameter $1 in a simple query");
		return reply_refuse_message(s, m->type, &e);
	}
	return g ? verbs_do(s, g, 'Q') : reply_refuse_message(s, m->type, &e);
}

/* ---- the extended protocol ---- */

/* Returns the scope statement, or portal, that the message names, or NULL. */
static struct scope_named *
named_of(const struct session *s, const struct message *m)
{
	return m->statement ? named_statement(s->extended.named, m->statement)
			    : named_portal(s->extended.named, m->portal);
}

#define CONTROL \
	(SQLCLASS_COMMIT | SQLCLASS_ROLLBACK | SQLCLASS_SAVEPOINT | SQLCLASS_PREPARE_TRANSACTION)

/* Judges an ordinary statement in scopes. */
static enum verdict
judge_ordinary(struct session *s, struct message *m, unsigned set, const char *sql, size_t bytes)
{
	enum verdict v;
	struct err e;

	/* The client's own transaction has expired: begin.c answers until the client ends it. */
	if (block_is_expired(&s->block))
		return FORWARD;
	/* Most statements mean nothing to scopes; and if only locks are open, none does. */
	if (!scopes_expired(s) && (!(set & CONTROL) || stack_current(s->rare->stack) == NULL))
		return FORWARD;
	if ((v = split_wait(s)) != FORWARD)
		return v;
	if (verbs_admit(s, set, sql, bytes, &e))
		return FORWARD;
	/* In a transaction of the client's own, the error must fail that on the server too. */
	if (e.id == ERR_SAVEPOINT_UNKNOWN && s->hold->lease.srv->progress.status == 'T') {
		v = raise_error(s, m, &e);
		err_clear(&e);
		return v;
	}
	return reply_refuse_message(s, m->type, &e);
}

/* An ordinary Parse or Bind without a name replaces the unnamed scope statement or portal. */
static void
replace_unnamed(struct session *s, const struct message *m)
{
	if (m->type == 'P' && *m->statement == 0)
		named_replaced(s->extended.named, 'P');
	if (m->type == 'B' && *m->portal == 0)
		named_replaced(s->extended.named, 'B');
}

/* The Bind of a statement that may begin or end a transaction, or end all scopes. If the statement
 * concerns a scope, its portal is kept here. */
static enum verdict
bind_control(struct session *s, const struct message *m, const char *sql, size_t bytes)
{
	struct scope_named named = {0};
	enum verdict v = split_wait(s);

	if (v != FORWARD)
		return v;
	s->rare->script->lexing = lexing_flags(s, NULL);
	if ((v = end_scopes_by_reset(s, sql, bytes)) != FORWARD)
		return v;
	named.statement = transaction_parse(sql, bytes, s->rare->script->lexing);
	if (named.statement && verbs_takes(s, named.statement))
		v = portal_message(s, m, &named);
	grammar_free(named.statement);
	return v;
}

/* Does a Parse fail now, unless it is of a statement that ends the transaction? */
static bool
parse_would_fail(const struct session *s)
{
	return scopes_expired(s) || scopes_status(s) == 'E';
}

/* The same for a Parse in a scope that has failed, or has expired and has no server. */
static enum verdict
parse_control(struct session *s, const struct message *m, const char *sql, size_t bytes)
{
	struct grammar *g;
	enum verdict v;
	bool ours;

	if (!divides(s, m->effects.set, sql, bytes, m->effects.lexing))
		return FORWARD;
	if ((v = split_wait(s)) != FORWARD)
		return v;
	s->rare->script->lexing = lexing_flags(s, NULL);
	if ((v = end_scopes_by_reset(s, sql, bytes)) != FORWARD)
		return v;
	if (!scopes_expired(s))
		return FORWARD;
	g = transaction_parse(sql, bytes, s->rare->script->lexing);
	ours = g && verbs_takes(s, g);
	grammar_free(g);
	return ours ? portal_parse(s, m, sql, bytes) : FORWARD;
}

static enum verdict
judge_extended(struct session *s, struct message *m)
{
	const char *sql = m->sql;
	struct scope_named *named;
	enum verdict v;
	size_t bytes = m->sql_bytes;
	unsigned set = 0;
	struct err e;

	/* A Sync of ours has gone ahead of this message. If the exchange before it has failed, the
	 * statement that the message names may not exist. */
	if (s->extended.boundary != BOUNDARY_NONE && (v = split_wait(s)) != FORWARD)
		return v;
	if (m->portal == NULL && m->statement == NULL)
		return FORWARD;
	if (m->type == 'P') {
		if (m->effects.set & SQLCLASS_SCOPE)
			return (v = split_wait(s)) == FORWARD ? portal_parse(s, m, sql, bytes) : v;
		if (*m->statement && named_statement(s->extended.named, m->statement)) {
			if ((v = split_wait(s)) != FORWARD)
				return v;
			err_make(&e, ERR_STATEMENT_EXISTS, m->statement);
			return reply_refuse_message(s, 'P', &e);
		}
		replace_unnamed(s, m);
		if (parse_would_fail(s) && (v = parse_control(s, m, sql, bytes)) != FORWARD)
			return v;
		/* What the statement does is judged at its Bind. */
		return judge_ordinary(s, m, 0, NULL, 0);
	}
	named = named_of(s, m);
	if (named == NULL) {
		if (m->type == 'B') {
			replace_unnamed(s, m);
			set = statement_bound(s, m->statement, &sql, &bytes);
			if (divides(s, set, sql, bytes, lexing_flags(s, NULL)) &&
			    (v = bind_control(s, m, sql, bytes)) != FORWARD)
				return v;
		}
		return m->type == 'C' ? FORWARD : judge_ordinary(s, m, set, sql, bytes);
	}
	if ((v = split_wait(s)) != FORWARD)
		return v;
	return portal_message(s, m, named);
}

/* A Sync. If the client's scope has expired, it has no server: the one that messages go by belongs
 * to another scope, and must not answer. */
static enum verdict
judge_sync(struct session *s)
{
	struct buf out;

	named_synced(s->extended.named);
	if (!scopes_expired(s) || s->state != SESSION_ACTIVE ||
	    !progress_at_rest(&s->hold->lease.srv->progress))
		return FORWARD;
	buf_init(&out, 16);
	reply_ready(s, &out);
	reply_send_buf(s, &out);
	buf_clear(&out);
	return session_gone(s) ? OVER : DROP;
}

enum verdict
split_judge(struct session *s, struct message *m)
{
	const char *sql = m->sql;
	size_t bytes = m->sql_bytes;
	enum verdict v;

	scopes_prepare(s);
	script_prepare(s);
	if (m->type == 'd' || m->type == 'c' || m->type == 'f')
		return FORWARD;
	/* Messages behind a text wait until all of that is done. */
	if (!script_judging(s) && script_pending(s))
		return HOLD;
	if (s->state == SESSION_ACTIVE && progress_copies_in(&s->hold->lease.srv->progress))
		return FORWARD;
	switch (m->type) {
	case 'Q':
		/* The parts of a text are read with the same flags as the whole text. */
		if ((m->effects.set & (SQLCLASS_SCOPE | DIVIDES)) && !script_judging(s))
			s->rare->script->lexing = lexing_flags(s, NULL);
		/* Where its statements begin must be known, if it may be one that ends scopes. */
		if (m->effects.unsure && (m->effects.set & DIVIDES) &&
		    s->rare->stack->frames.count > 0 && (v = split_wait(s)) != FORWARD)
			return v;
		if (((m->effects.set & SQLCLASS_SCOPE) ||
		     divides(s, m->effects.set, sql, bytes, s->rare->script->lexing)) &&
		    (is_scope(s, sql, bytes) || !message_is_whole(m) || !is_open(s, sql, bytes)))
			return judge_query(s, m, sql, bytes);
		named_replaced(s->extended.named, 'P');
		return judge_ordinary(s, m, m->effects.set, sql, bytes);
	case 'F':
		return judge_ordinary(s, m, 0, NULL, 0);
	case 'S':
		return judge_sync(s);
	case 'H':
		return FORWARD;
	default:
		return judge_extended(s, m);
	}
}
