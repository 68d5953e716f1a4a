#include "executor/verbs.h"

#include <string.h>

#include "base/log.h"
#include "executor/enter.h"
#include "executor/exit.h"
#include "executor/frame.h"
#include "executor/joint.h"
#include "executor/listing.h"
#include "executor/savepoint.h"
#include "session/application.h"
#include "session/channels.h"
#include "session/effects.h"
#include "session/end.h"
#include "session/reply.h"
#include "session/script.h"
#include "session/site.h"
#include "session/telling.h"
#include "wire/msg.h"
#include "wire/sqlclass.h"

#define ERROR_NAMES_MAX (64 * 1024) /* bytes of the names of scopes in an error */
#define DEFERRED_MAX    1000        /* statements of one scope */

/* ---- statements ---- */

/* Is the innermost thing that is open a transaction of BEGIN? */
static bool
begin_is_open(const struct session *s)
{
	const struct scope *f = stack_innermost(s->rare->stack);

	return scopes_plain(s) || (f && f->kind == SCOPE_BLOCK);
}

static bool
failed_transaction(const struct session *s)
{
	return s->block.state == BLOCK_FAILED || block_is_expired(&s->block) ||
	       (scopes_plain(s) && s->block.state == BLOCK_NONE &&
		s->own->lease.srv->progress.status == 'E');
}

/* Returns the outermost frame that the EXIT ends, or NULL with the reason in *e. */
static struct scope *
exit_target(struct session *s, const struct grammar *g, struct err *e)
{
	const struct stack *st = s->rare->stack;
	struct scope *innermost = stack_innermost(st), *f = innermost, *out;

	if (innermost == NULL) {
		err_make(e, ERR_SCOPE_NONE);
		return NULL;
	}
	if (begin_is_open(s)) {
		err_make(e, ERR_SCOPE_IN_TRANSACTION, grammar_tag(g));
		return NULL;
	}
	if (g->name) {
		f = stack_find(st, g->name);
		if (f == NULL)
			err_make(e, ERR_SCOPE_UNKNOWN, g->name);
		else if (f != innermost)
			err_make(e, ERR_SCOPE_ORDER, g->name, innermost->name);
		return f == innermost ? f : NULL;
	}
	while (g->all && (out = stack_outside(st, f)) != NULL && !scope_is_begin(out))
		f = out;
	/* Scopes around a transaction of BEGIN cannot be exited before that. */
	out = stack_outside(st, f);
	if (g->all && out && stack_outside(st, out)) {
		err_make(e, ERR_SCOPE_IN_TRANSACTION, g->leave ? "LEAVE ALL" : "EXIT ALL");
		return NULL;
	}
	return f;
}

static bool
use_scope(struct session *s, const struct grammar *g, struct err *e)
{
	struct stack *st = s->rare->stack;
	struct scope *f = stack_find(st, g->name);

	if (f == NULL || f->kind == SCOPE_IMPLICIT) {
		err_make(e, ERR_SCOPE_UNKNOWN, g->name);
		return false;
	}
	if (scope_base(f) == NULL) {
		err_make(e, ERR_SCOPE_NO_TRANSACTION, "USE");
		return false;
	}
	if (begin_is_open(s)) {
		err_make(e, ERR_SCOPE_IN_TRANSACTION, "USE");
		return false;
	}
	st->used = f;
	frame_choose_state(s);
	return true;
}

/* JOIN: the session becomes a member of a scope. */
static bool
join_scope(struct session *s, const struct grammar *g, struct err *e)
{
	const char *has = s->rare->stack->frames.count > 0 ? "a scope open"
			  : scopes_plain(s)                ? "a transaction open"
			  : s->own->lease.state == LEASE_HELD || s->own->pinned
			      ? "something in its server"
			  : joint_of(s->pool)     ? "joined a scope already"
			  : channels_count(s) > 0 ? "channels that it listens to"
						  : NULL;

	if (has) {
		err_make(e, ERR_JOIN_STATE, has);
		return false;
	}
	if (!joint_join(s, g->sql.text, e)) {
		/* At login it ends the session. */
		e->id = ERR_JOIN_REFUSED;
		return false;
	}
	return true;
}

/* Statements that begin or end a transaction, a savepoint or a scope. */
#define CONTROL                                                                      \
	(SQLCLASS_BEGIN | SQLCLASS_COMMIT | SQLCLASS_ROLLBACK | SQLCLASS_SAVEPOINT | \
	 SQLCLASS_PREPARE_TRANSACTION | SQLCLASS_SCOPE)

static bool
defer_statement(struct session *s, const struct grammar *g, struct err *e)
{
	static const enum deferred_when whens[] = {
	    [GRAMMAR_ALWAYS] = DEFERRED_ALWAYS,
	    [GRAMMAR_ON_COMMIT] = DEFERRED_ON_COMMIT,
	    [GRAMMAR_ON_ROLLBACK] = DEFERRED_ON_ROLLBACK,
	};
	struct stack *st = s->rare->stack;
	struct scope *base = stack_current(st), *f = base ? stack_top_of(st, base) : NULL;
	struct effects does;

	effects_of(s, g->sql.text, strlen(g->sql.text), &does);
	if (f == NULL || f->kind == SCOPE_IMPLICIT)
		err_make(e, ERR_SCOPE_NO_TRANSACTION, "DEFER");
	else if (base->state == SCOPE_EXPIRED || f->state == SCOPE_EXPIRED)
		scopes_expired_error(base->state == SCOPE_EXPIRED ? base : f, e);
	else if (base->lease->srv->progress.status == 'E')
		err_make(e, ERR_SCOPE_ABORTED, "DEFER");
	else if (does.set & CONTROL)
		err_make(e, ERR_SCOPE_UNSUPPORTED,
			 "a deferred statement cannot begin or end a transaction or scope");
	else if (f->deferred.count >= DEFERRED_MAX)
		err_make(e, ERR_SCOPE_TOO_MANY, "deferred statements", DEFERRED_MAX);
	else {
		scope_defer(f, whens[g->when], g->sql.text, NULL, 0, 0);
		return true;
	}
	return false;
}

/* ---- the client's own BEGIN, COMMIT and ROLLBACK ---- */

/* Is the innermost thing that is open a BEGIN that statements go to? */
static bool
in_block(const struct stack *st)
{
	struct scope *f = stack_innermost(st);

	return f && f->kind == SCOPE_BLOCK && scope_base(f) == stack_current(st);
}

bool
verbs_takes(const struct session *s, const struct grammar *g)
{
	const struct stack *st = s->rare->stack;
	const struct scope *base = stack_current(st);

	if (base == NULL)
		return false;
	switch (g->verb) {
	case GRAMMAR_BEGIN:
		/* PostgreSQL itself warns of a second BEGIN, and refuses one in a failed
		 * transaction. */
		return !in_block(st) && base->state == SCOPE_OPEN && base->lease &&
		       base->lease->state == LEASE_HELD &&
		       base->lease->srv->progress.status == 'T' && !scopes_expired(s);
	case GRAMMAR_COMMIT:
		return in_block(st);
	default:
		return !g->chain || in_block(st);
	}
}

/* The statement ends all frames up to `last`. If there are scopes among them, and not only BEGINs,
 * the client has left them behind: warns it, logs that, and returns true. */
static bool
warn_of_left_scopes(struct session *s, const char *statement, const struct scope *last)
{
	const struct stack *st = s->rare->stack;
	const struct scope *f = stack_innermost(st);
	struct buf names, quoted;
	unsigned count = 0;
	struct err e;
	bool swept;

	buf_init(&names, ERROR_NAMES_MAX);
	buf_init(&quoted, ERROR_NAMES_MAX);
	for (;; f = stack_outside(st, f)) {
		if (!scope_is_begin(f)) {
			buf_add_fmt(&names, "%s%s", count ? ", " : "", f->name);
			buf_add_fmt(&quoted, "%s\"%s\"", count++ ? ", " : "", f->name);
		}
		if (f == last)
			break;
	}
	buf_add_u8(&names, 0);
	buf_add_u8(&quoted, 0);
	swept = count > 0 && !quoted.failed;
	if (swept) {
		log_warnx(
		    "session", s->id, "scopes left behind", LOG_QUOTED("statement", statement),
		    LOG_NUMBER("count", count), LOG_QUOTED("names", (const char *)buf_data(&names)),
		    LOG_TEXT("application", application_name(s)), LOG_NUMBER("pid", s->peer.pid));
		err_make(&e, ERR_SCOPE_SWEPT, statement, count == 1 ? "the scope" : "the scopes",
			 (const char *)buf_data(&quoted));
		reply_notice(s, "WARNING", &e);
		err_clear(&e);
	}
	buf_clear(&names);
	buf_clear(&quoted);
	return swept;
}

/* Returns the outermost frame that a COMMIT or ROLLBACK ends, or NULL with the reason in *e. Sets
 * *swept if the client has left scopes behind. */
static struct scope *
control_target(struct session *s, const struct grammar *g, bool *swept, struct err *e)
{
	const struct stack *st = s->rare->stack;
	struct scope *f;

	/* A portal may be executed long after its Bind: look again. */
	if (!verbs_takes(s, g)) {
		err_make(e, ERR_SCOPE_NO_TRANSACTION, grammar_tag(g));
		return NULL;
	}
	if (g->verb == GRAMMAR_COMMIT)
		return stack_innermost(st);
	if ((f = stack_begin(st)) == NULL)
		f = stack_outermost(st);
	*swept = warn_of_left_scopes(s, "ROLLBACK", f);
	return f;
}

enum verdict
verbs_sweep_out(struct session *s, const char *statement)
{
	struct work *work;
	bool swept;

	if (s->rare->stack->frames.count == 0)
		return FORWARD;
	/* A transaction of BEGIN inside the scopes ends with them. */
	if (s->block.state != BLOCK_NONE)
		block_set_state(&s->block, s->id, BLOCK_NONE);
	else if (scopes_plain(s))
		scopes_implicit(s);
	swept = warn_of_left_scopes(s, statement, stack_outermost(s->rare->stack));
	if (session_gone(s))
		return OVER;
	work = frame_begin_work(s, WORK_EXIT);
	work->swept = swept;
	exit_begin(work, stack_outermost(s->rare->stack), true);
	exit_go(work);
	if (session_gone(s))
		return OVER;
	return s->rare->work ? HOLD : FORWARD;
}

/* ---- doing ---- */

/* Carries out SHOW SCOPES, JOIN, USE or DEFER, at once. Returns false with the reason in *e. */
static bool
do_now(struct session *s, const struct grammar *g, char type, struct err *e)
{
	struct buf out;

	if (g->verb == GRAMMAR_SHOW_SCOPES) {
		listing_show(s, type);
		return true;
	}
	if (!(g->verb == GRAMMAR_USE    ? use_scope(s, g, e)
	      : g->verb == GRAMMAR_JOIN ? join_scope(s, g, e)
					: defer_statement(s, g, e)))
		return false;
	executor_tell_of_server(s);
	if (session_ends(s))
		return true;
	buf_init(&out, 256);
	msg_complete(&out, grammar_tag(g));
	if (type == 'Q' && !script_more(s))
		reply_ready(s, &out);
	reply_send_buf(s, &out);
	buf_clear(&out);
	return true;
}

/* Begins ENTER, EXIT, BEGIN, COMMIT or ROLLBACK, which may take long; the work owns the statement
 * then. Returns false with the reason in *e, and has not begun. */
static bool
do_work(struct session *s, struct grammar *g, char type, struct err *e)
{
	struct work *work;
	bool swept = false;
	struct scope *target = NULL, *f = stack_innermost(s->rare->stack);

	if (g->verb == GRAMMAR_ENTER && failed_transaction(s)) {
		err_make(e, ERR_SCOPE_ABORTED, "ENTER");
		return false;
	}
	if (g->verb == GRAMMAR_ENTER && f && f->state == SCOPE_EXPIRED) {
		scopes_expired_error(f, e);
		return false;
	}
	if (g->verb == GRAMMAR_EXIT && (target = exit_target(s, g, e)) == NULL)
		return false;
	if (g->verb == GRAMMAR_BEGIN && !verbs_takes(s, g)) {
		err_make(e, ERR_SCOPE_NO_TRANSACTION, grammar_tag(g));
		return false;
	}
	if ((g->verb == GRAMMAR_COMMIT || g->verb == GRAMMAR_ROLLBACK) &&
	    (target = control_target(s, g, &swept, e)) == NULL)
		return false;
	if (session_gone(s)) {
		grammar_free(g);
		return true;
	}
	work = frame_begin_work(s, target ? WORK_EXIT : WORK_ENTER);
	work->statement = g;
	work->answer_type = type;
	work->swept = swept;
	if (target == NULL) {
		enter_begin(work);
	} else {
		exit_begin(work, target, g->rollback || g->verb == GRAMMAR_ROLLBACK);
		exit_go(work);
	}
	return true;
}

enum verdict
verbs_do(struct session *s, struct grammar *g, char type)
{
	bool works = g->verb != GRAMMAR_USE && g->verb != GRAMMAR_DEFER &&
		     g->verb != GRAMMAR_JOIN && g->verb != GRAMMAR_SHOW_SCOPES;
	struct err e;
	bool good;

	/* A simple Query ends the unnamed statement. */
	if (type == 'Q')
		unnamed_forget(s->context.unnamed,
			       s->hold->lease.srv ? &s->hold->lease.srv->prepared.tracked : NULL);
	scopes_prepare(s);
	s->activity.request_us = loop_now_us(s->site->loop);
	good = works ? do_work(s, g, type, &e) : do_now(s, g, type, &e);
	if (good && works)
		return session_gone(s) ? OVER : DROP;
	grammar_free(g);
	if (good)
		return session_gone(s) ? OVER : DROP;
	return reply_refuse_message(s, type, &e);
}

/* ---- ordinary statements ---- */

bool
verbs_admit(struct session *s, unsigned set, const char *sql, size_t bytes, struct err *e)
{
	const struct stack *st = s->rare->stack;
	struct scope *base = stack_current(st), *top;

	if (scopes_expired(s)) {
		scopes_expired_error(stack_innermost(st), e);
		return false;
	}
	if (base == NULL)
		return true;
	top = stack_top_of(st, base);
	if (set & (SQLCLASS_COMMIT | SQLCLASS_ROLLBACK | SQLCLASS_PREPARE_TRANSACTION)) {
		err_make(e, ERR_SCOPE_END,
			 sqlclass_name(set & (SQLCLASS_COMMIT | SQLCLASS_ROLLBACK |
					      SQLCLASS_PREPARE_TRANSACTION)),
			 stack_begin(st) ? scope_shown(stack_innermost(st)) : base->name);
		return false;
	}
	if ((set & SQLCLASS_SAVEPOINT) && scope_is_savepoint(top))
		return savepoint_follow(s, top, sql, bytes, e);
	return true;
}
