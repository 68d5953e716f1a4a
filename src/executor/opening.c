#include "executor/opening.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/units.h"
#include "conf/conf.h"
#include "executor/enter.h"
#include "executor/enter_wait.h"
#include "executor/executor.h"
#include "executor/joint.h"
#include "session/application.h"
#include "session/context.h"
#include "session/inquiry.h"
#include "session/readonly.h"
#include "session/sequences.h"
#include "session/site.h"
#include "session/telling.h"
#include "wire/frame.h"

/* The least time for a lock that is waited for: the answer of the server takes some of it. */
#define LOCK_WAIT_LEAST_US (20 * UNIT_MS)

static void
run_later(struct list *run, const char *sql, char **values, unsigned nvalues, uint64_t used)
{
	list_append(
	    run,
	    &deferred_new(DEFERRED_ALWAYS, sql, (const char *const *)values, nvalues, used)->node);
}

/* How many arguments the statement gets: all up to the last one that it uses. */
static unsigned
arguments(const struct conf_statement *st)
{
	return st->args == 0 ? 0 : 64 - (unsigned)__builtin_clzll(st->args);
}

static char **
values_of(const struct grammar_item *item)
{
	char **values = mem_calloc(item->nargs + 1, sizeof *values);

	for (unsigned i = 0; i < item->nargs; i++)
		values[i] = item->args[i].text;
	return values;
}

/* With a WAIT, the lock is first only tried, so that a free lock is had however short WAIT is. If
 * it is not free, it is waited for (work->contended). */
static void
plan_lock(struct work *work, const struct grammar_item *item)
{
	bool patient = work->wait_us < 0 || work->contended;
	char *key = item->key.text;
	char sql[128];

	snprintf(sql, sizeof sql,
		 "SELECT pg_catalog.pg_%sadvisory_xact_lock%s(pg_catalog.hashtextextended($1, 0))",
		 patient ? "" : "try_", item->shared ? "_shared" : "");
	run_later(&work->run, sql, &key, 1, 1);
}

/* Has the server answered that the lock that was tried is not free? */
static bool
not_locked(const struct work *work)
{
	const struct buf *rows = inquiry_rows(work->session);
	const uint8_t *at = buf_data(rows), *end = at + rows->len;
	struct frame f;

	if (work->frame->kind == SCOPE_IMPLICIT || enter_item(work)->kind != GRAMMAR_LOCK)
		return false;
	while (frame_read(at, (size_t)(end - at), &f) == 0 &&
	       FRAME_HEADER + f.body <= (size_t)(end - at)) {
		at += FRAME_HEADER + f.body;
		/* A row of one column, which is true or false. */
		if (f.type == 'D')
			return at[-1] == 'f';
	}
	return false;
}

/* Lists the statements that are run before the frame is open. */
static void
plan_statements(struct work *work)
{
	const struct grammar_item *item = enter_item(work);
	const struct conf_scope *def = work->def;
	char **values = values_of(item);
	enum grammar_access access = item->access;

	if (def && access == GRAMMAR_ACCESS_DEFAULT)
		access = (enum grammar_access)def->access;
	if (work->frame->modes) {
		char *sql = mem_printf("SET TRANSACTION %s", work->frame->modes);

		run_later(&work->run, sql, NULL, 0, 0);
		free(sql);
	}
	if (work->frame->kind == SCOPE_SAVEPOINT && access != GRAMMAR_ACCESS_DEFAULT)
		run_later(&work->run,
			  access == GRAMMAR_READ_ONLY ? "SET TRANSACTION READ ONLY"
						      : "SET TRANSACTION READ WRITE",
			  NULL, 0, 0);
	if (item->kind == GRAMMAR_LOCK)
		plan_lock(work, item);
	for (unsigned i = 0; def && i < def->enter.count; i++) {
		const struct conf_statement *st = &def->enter.list[i];

		run_later(&work->run, st->sql, values, arguments(st), st->args);
	}
	free(values);
}

static void
defer_list(struct scope *f, enum deferred_when when, const struct conf_statements *list,
	   bool backward, char **values)
{
	for (unsigned i = 0; i < list->count; i++) {
		const struct conf_statement *st = &list->list[backward ? list->count - 1 - i : i];

		scope_defer(f, when, st->sql, (const char *const *)values, arguments(st), st->args);
	}
}

/* The frame is open. Adds its definition's statements to what is deferred: these run last first, so
 * they are added backwards. */
static void
frame_opened(struct work *work)
{
	struct scope *f = work->frame;
	const struct conf_scope *def;
	char **values;
	struct err e;

	enter_wait_stop_timer(work);
	if (f->joinable && !joint_open(work->session, f, &e)) {
		frame_fail_enter(work, &e);
		return;
	}
	f->state = SCOPE_OPEN;
	f->opened_us = loop_now_us(work->session->site->loop);
	scopes_trace(work->session, f, TRACE_OPEN);
	work_set_state(work, WORK_NEXT);
	if (f->kind == SCOPE_IMPLICIT)
		return;
	if (f->kind == SCOPE_BLOCK) {
		work->item++;
		return;
	}
	timing_add(scopes_timing(work->session, f), TIMING_ENTER, f->opened_us - f->granted_us);
	def = work->def;
	if (def) {
		values = values_of(enter_item(work));
		defer_list(f, DEFERRED_ON_COMMIT, &def->on_commit, true, values);
		defer_list(f, DEFERRED_ON_ROLLBACK, &def->on_rollback, true, values);
		defer_list(f, DEFERRED_CLEANUP, &def->cleanup, false, values);
		free(values);
	}
	work->item++;
}

static void
send_begin(struct work *work)
{
	static const char *const isolations[] = {
	    [GRAMMAR_DEFAULT] = "",
	    [GRAMMAR_SERIALIZABLE] = " ISOLATION LEVEL SERIALIZABLE",
	    [GRAMMAR_REPEATABLE_READ] = " ISOLATION LEVEL REPEATABLE READ",
	    [GRAMMAR_READ_COMMITTED] = " ISOLATION LEVEL READ COMMITTED",
	    [GRAMMAR_READ_UNCOMMITTED] = " ISOLATION LEVEL READ UNCOMMITTED",
	};
	static const char *const accesses[] = {
	    [GRAMMAR_ACCESS_DEFAULT] = "",
	    [GRAMMAR_READ_ONLY] = " READ ONLY",
	    [GRAMMAR_READ_WRITE] = " READ WRITE",
	};
	const struct conf_scope *def;
	const struct grammar_item *item;
	enum grammar_isolation isolation;
	enum grammar_access access;
	char sql[128];

	work_set_state(work, WORK_BEGIN);
	if (work->frame->kind == SCOPE_IMPLICIT) {
		inquiry_ask(work->session, "BEGIN", INQUIRY_PASSES_ALL, 0);
		return;
	}
	if (scope_is_savepoint(work->frame)) {
		snprintf(sql, sizeof sql, "SAVEPOINT pgwith_%u", work->frame->serial);
		inquiry_ask(work->session, sql, INQUIRY_PASSES_ALL, 0);
		return;
	}
	item = enter_item(work);
	def = work->def;
	isolation = item->isolation;
	access = item->access;
	/* The two enums have the same order. */
	if (def && isolation == GRAMMAR_DEFAULT)
		isolation = (enum grammar_isolation)def->isolation;
	if (def && access == GRAMMAR_ACCESS_DEFAULT)
		access = (enum grammar_access)def->access;
	if (access == GRAMMAR_READ_ONLY && work->session->pool->reads)
		readonly_entered(work->session);
	snprintf(sql, sizeof sql, "BEGIN%s%s", isolations[isolation], accesses[access]);
	inquiry_ask(work->session, sql, INQUIRY_PASSES_ALL, 0);
}

_Static_assert((int)GRAMMAR_READ_UNCOMMITTED == (int)CONF_READ_UNCOMMITTED &&
		   (int)GRAMMAR_SERIALIZABLE == (int)CONF_SERIALIZABLE &&
		   (int)GRAMMAR_READ_WRITE == (int)CONF_READ_WRITE,
	       "the same order");

void
opening_start(struct work *work)
{
	struct session *s = work->session;
	struct buf sql;

	if (work->frame->kind == SCOPE_TRANSACTION)
		application_enter(s, work->frame->name);
	if (scope_is_savepoint(work->frame) || (!context_differs(s) && !sequences_due(s))) {
		telling_send(s);
		if (!session_ends(s))
			send_begin(work);
		return;
	}
	buf_init(&sql, 1024 * 1024);
	if (sequences_due(s))
		buf_add_fmt(&sql, "DISCARD SEQUENCES; ");
	if (context_differs(s))
		context_change(s, &sql);
	buf_add_u8(&sql, 0);
	inquiry_ask(s, (char *)buf_data(&sql), INQUIRY_PASSES_NO_PARAMETERS, INQUIRY_AGAIN);
	buf_clear(&sql);
}

/* Sends the next statement; if there is none left, the frame is open. */
static void
next_statement(struct work *work)
{
	struct session *s = work->session;
	struct list_node *n = list_first(&work->run);
	struct deferred *d;
	struct err e;

	if (work->timed_out) {
		enter_wait_error(work, &e);
		frame_fail_enter(work, &e);
		return;
	}
	if (n == NULL) {
		frame_opened(work);
		return;
	}
	d = LIST_OBJ(n, struct deferred, node);
	work_set_state(work, WORK_RUN);
	frame_run(s, d,
		  enter_item(work)->kind == GRAMMAR_LOCK && !work->contended ? INQUIRY_ROWS : 0);
	list_remove(&work->run, n);
	deferred_free(d);
	if (work->contended)
		enter_wait_start_timer(work, LOCK_WAIT_LEAST_US);
}

/* A statement of ours has failed. */
static void
statement_refused(struct work *work)
{
	struct session *s = work->session;
	struct err e;

	if (work->timed_out) {
		enter_wait_error(work, &e);
		frame_fail_enter(work, &e);
		return;
	}
	if (work->frame->expire_due) {
		inquiry_give_up(s);
		scopes_expired_error(work->frame, &e);
		frame_fail_enter(work, &e);
		return;
	}
	/* Another server may accept the session's parameters. */
	if (work->state == WORK_SETUP && context_may_be_taken(s) &&
	    strcmp(inquiry_sqlstate(s), "57014") != 0 && &s->hold->lease == work->frame->lease) {
		enter_again(work);
		return;
	}
	s->context.wants_fresh = false;
	if (inquiry_state(s) == INQUIRY_CUT_SHORT) {
		opening_start(work);
		return;
	}
	frame_fail_raw(work, inquiry_error(s));
	work_turn(work, WORK_UNDO);
}

void
opening_go_on(struct work *work)
{
	struct session *s = work->session;

	inquiry_take(s);
	if (inquiry_failed(s)) {
		statement_refused(work);
		return;
	}
	switch (work->state) {
	case WORK_SETUP:
		context_taken(s);
		if (sequences_due(s))
			sequences_gone(s);
		telling_send(s);
		if (!session_ends(s))
			send_begin(work);
		return;
	case WORK_BEGIN:
		work->frame->begun = true;
		if (work->frame->kind == SCOPE_IMPLICIT)
			frame_opened(work);
		else
			plan_statements(work);
		if (work->state == WORK_BEGIN)
			next_statement(work);
		return;
	default:
		if (!work->contended && not_locked(work)) {
			work->contended = true;
			if (work->wait_us > 0)
				plan_lock(work, enter_item(work));
			else
				work->timed_out = true;
		}
		next_statement(work);
	}
}
