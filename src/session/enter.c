/* enter: ENTER, item by item. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "conf/conf.h"
#include "pool/gate.h"
#include "session/daemon.h"
#include "session/scopes.h"
#include "session/slow.h"
#include "session/state.h"
#include "wire/frame.h"
#include "wire/sqlclass.h"

#define SCOPES_MAX 100 /* that one session has open */
/* The server needs this long to say that its lock is free. */
#define LOCK_WAIT_LEAST_US (20 * UNIT_MS)

/* What an item asks for, found out. */
struct wanted {
	const struct grammar_item *item;
	const struct conf_scope *def; /* or NULL */
	const char *name;
	struct pool *pool; /* NULL: a lock or semaphore of the daemon's */
	int64_t deadline_us;
	unsigned limit;
};

static void
fail(struct scopes *sc, const struct err *e)
{
	scopes_fail(sc, e);
	sc->doing = SCOPES_UNDOING;
}

static const struct grammar_item *
item_of(const struct scopes *sc)
{
	return &sc->statement->items[sc->item];
}

static const struct conf_scope *
definition_of(const struct scopes *sc, const struct grammar_item *item)
{
	if (item->kind != GRAMMAR_TRANSACTION && item->kind != GRAMMAR_DEFINED)
		return NULL;
	return item->name ? conf_scope(sc->session->daemon->conf, item->name) : NULL;
}

/* ---- what is asked for ---- */

static bool
find_pool(struct scopes *sc, struct wanted *w, struct err *e)
{
	struct session *s = sc->session;
	const char *name = w->item->pool             ? w->item->pool
			   : w->def && *w->def->pool ? w->def->pool
						     : NULL;

	if (w->item->kind == GRAMMAR_SEMAPHORE || (w->item->kind == GRAMMAR_LOCK && name == NULL))
		return true;
	w->pool = name == NULL || strcmp(name, s->pool->conf->name) == 0
		      ? s->pool
		      : pools_find(&s->daemon->pools, name, s->role);
	if (w->pool == NULL) {
		err_make(e, ERR_SCOPE_NO_POOL, name);
		return false;
	}
	/* As for a new session. */
	if (w->pool->group != s->pool->group && gate_refuses(w->pool, e))
		return false;
	if (w->pool == s->pool ? s->mode == CONF_STATEMENT
			       : w->pool->conf->mode == CONF_STATEMENT) {
		err_make(e, ERR_STATEMENT_MODE, w->pool->conf->name);
		return false;
	}
	return true;
}

/* A value whose text is no duration or number. */
static bool
bad_value(struct grammar_error *ge, struct err *e)
{
	err_make(e, ERR_SCOPE_VALUE, ge->expected);
	free(ge->expected);
	return false;
}

static bool
read_values(struct scopes *sc, struct wanted *w, struct err *e)
{
	const struct grammar_item *item = w->item;
	struct grammar_error ge;

	sc->wait_us = w->def ? w->def->wait_us : CONF_UNSET;
	w->deadline_us = w->def ? w->def->deadline_us : 0;
	if (w->deadline_us == 0 && w->pool)
		w->deadline_us = w->pool->conf->scope_deadline_us;
	if (item->wait.given && grammar_duration(&item->wait, &sc->wait_us, &ge) < 0)
		return bad_value(&ge, e);
	if (item->deadline.given && grammar_duration(&item->deadline, &w->deadline_us, &ge) < 0)
		return bad_value(&ge, e);
	if (item->limit.given && grammar_limit(&item->limit, &w->limit, &ge) < 0)
		return bad_value(&ge, e);
	return true;
}

static bool
understand(struct scopes *sc, struct wanted *w, struct err *e)
{
	const struct grammar_item *item = w->item;
	char text[160];

	/* A reload may change it while it is entered. */
	conf_scope_drop(sc->def);
	sc->def = w->def = conf_scope_keep(definition_of(sc, item));
	if (item->kind == GRAMMAR_DEFINED && w->def == NULL) {
		err_make(e, ERR_SCOPE_NOT_DEFINED, item->name);
		return false;
	}
	if (w->def && w->def->nargs != item->nargs) {
		snprintf(text, sizeof text, "scope \"%s\" takes %u arguments, not %u", w->def->name,
			 w->def->nargs, item->nargs);
		err_make(e, ERR_SCOPE_VALUE, text);
		return false;
	}
	if (!find_pool(sc, w, e) || !read_values(sc, w, e))
		return false;
	w->name = item->as         ? item->as
		  : item->name     ? item->name
		  : item->key.text ? item->key.text
				   : w->pool->conf->name;
	if (*w->name == 0 || strlen(w->name) > SCOPE_NAME_MAX) {
		snprintf(text, sizeof text, "the name of a scope or lock has 1 to %d bytes",
			 SCOPE_NAME_MAX);
		err_make(e, ERR_SCOPE_VALUE, text);
		return false;
	}
	if (sc->stack.frames.count >= SCOPES_MAX) {
		err_make(e, ERR_SCOPE_TOO_MANY, "open scopes of a session", SCOPES_MAX);
		return false;
	}
	if (stack_find(&sc->stack, w->name)) {
		err_make(e, ERR_SCOPE_EXISTS, w->name);
		return false;
	}
	return true;
}

/* ---- waiting ---- */

static const char *
kind_of_wait(const struct scope *f)
{
	return f->pool ? "pool" : f->kind == SCOPE_SEMAPHORE ? "semaphore" : "lock";
}

static const char *
name_of_wait(const struct scope *f)
{
	return f->pool ? f->pool->conf->name : f->hold.lock ? f->hold.lock->name : f->name;
}

static void
too_long(struct scopes *sc, struct err *e)
{
	const struct scope *f = sc->frame;
	char text[32];

	if (f->pool && !sc->timed_out)
		pool_wait_error(f->pool, sc->wait_us, e);
	else
		err_make(e, ERR_SCOPE_LOCK_WAIT, f->pool ? "lock" : kind_of_wait(f),
			 f->pool ? f->name : name_of_wait(f),
			 units_duration_str(sc->wait_us, text, sizeof text));
}

static void
stop_timer(struct scopes *sc)
{
	if (sc->timing)
		evtimer_del(&sc->timer);
	sc->timing = false;
}

/* Gives up waiting for it, because of the error. */
static void
give_up(struct scopes *sc, struct err *e)
{
	struct scope *f = sc->frame;

	waits_end(&sc->session->daemon->waits, sc->session->id);
	stop_timer(sc);
	if (f->pool)
		lease_leave(f->lease);
	else
		lock_leave(&f->hold);
	fail(sc, e);
	err_clear(e);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct scopes *sc = arg;
	struct err e;

	sc->timing = false;
	if (sc->doing != SCOPES_ENTERING)
		return;
	if (sc->step == STEP_WAIT) {
		too_long(sc, &e);
		give_up(sc, &e);
		enter_go(sc);
		return;
	}
	/* The wait is one of PostgreSQL's own: for a lock. */
	sc->timed_out = true;
	if (sc->step == STEP_STATEMENT && sc->talk.busy) {
		sc->own_cancel = true;
		lease_cancel(sc->session->lease, 0);
	}
}

/* What WAIT leaves from now on, but at least that. */
static void
start_timer(struct scopes *sc, int64_t least_us)
{
	int64_t us = sc->frame->asked_us + sc->wait_us - loop_now_us(sc->session->daemon->loop);
	struct timeval tv;

	if (sc->wait_us < 0)
		return;
	if (us < least_us)
		us = least_us;
	tv = (struct timeval){.tv_sec = us / UNIT_S, .tv_usec = us % UNIT_S};
	evtimer_assign(&sc->timer, loop_base(sc->session->daemon->loop), on_timer, sc);
	evtimer_add(&sc->timer, &tv);
	sc->timing = true;
}

/* The frame waits now: may it? */
static void
begin_waiting(struct scopes *sc)
{
	struct session *s = sc->session;
	struct waits *waits = &s->daemon->waits;
	struct scope *f = sc->frame;
	char *circle = NULL;
	struct err e;

	sc->step = STEP_WAIT;
	if (f->pool)
		waits_begin_lease(waits, s->id, f->lease);
	else
		waits_begin_lock(waits, s->id, &f->hold);
	if (waits_closed(waits, s->id, &circle)) {
		err_make(&e, ERR_SCOPE_DEADLOCK, kind_of_wait(f), name_of_wait(f));
		err_detail(&e, "%s", circle);
		free(circle);
		give_up(sc, &e);
	} else if (sc->wait_us == 0) {
		too_long(sc, &e);
		give_up(sc, &e);
	} else {
		start_timer(sc, 0);
	}
}

/* ---- one item ---- */

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct scope *f = arg;

	scopes_expire(f->owner, f, ERR_SCOPE_DEADLINE);
}

static void
set_deadline(struct scopes *sc, struct scope *f, int64_t us)
{
	struct timeval tv = {.tv_sec = us / UNIT_S, .tv_usec = us % UNIT_S};
	char text[32];

	if (us == 0)
		return;
	f->deadline_us = f->asked_us + us;
	f->deadline_text = mem_strdup(units_duration_str(us, text, sizeof text));
	evtimer_assign(&f->timer, loop_base(sc->session->daemon->loop), on_deadline, f);
	evtimer_add(&f->timer, &tv);
}

static struct scope *
push(struct scopes *sc, enum scope_kind kind, const char *name)
{
	struct session *s = sc->session;
	struct scope *f = stack_push(&sc->stack, kind, name, loop_now_us(s->daemon->loop));

	f->owner = s;
	if (s->slow)
		f->statements_before = s->slow->statements;
	sc->frame = f;
	if (kind != SCOPE_IMPLICIT)
		sc->entered++;
	return f;
}

static void
log_granted(const struct scopes *sc, const struct scope *f)
{
	if (!sc->session->daemon->conf->log_scopes)
		return;
	log_info("session %llu: scope granted name=%s kind=\"%s\" pool=%s waited=%.1fms",
		 (unsigned long long)sc->session->id, f->name, scope_kind_name(f),
		 f->pool ? f->pool->conf->name : "", (double)(f->granted_us - f->asked_us) / 1000);
}

/* The lease or lock is there. */
static void
got_it(struct scopes *sc)
{
	struct session *s = sc->session;
	struct scope *f = sc->frame;

	waits_end(&s->daemon->waits, s->id);
	f->granted_us = loop_now_us(s->daemon->loop);
	log_granted(sc, f);
	if (s->slow)
		slow_granted(s, f);
	if (f->kind != SCOPE_IMPLICIT)
		timing_add(scopes_timing(sc, f), TIMING_WAIT, f->granted_us - f->asked_us);
	stop_timer(sc);
	if (f->pool == NULL) {
		f->state = SCOPE_OPEN;
		f->opened_us = f->granted_us;
		timing_add(scopes_timing(sc, f), TIMING_ENTER, 0);
		sc->item++;
		sc->step = STEP_NEXT;
		return;
	}
	scopes_focus(s, f->base ? f->base->lease : f->lease);
	sc->attempts = 0;
	sc->step = STEP_SETUP;
}

static void
on_lock(struct lock_hold *hold)
{
	struct scope *f = LIST_OBJ(hold, struct scope, hold);
	struct session *s = f->owner;

	got_it(s->scopes);
	enter_go(s->scopes);
}

const struct lock_ops enter_lock_ops = {on_lock};

static void
want_lock(struct scopes *sc, const struct wanted *w)
{
	static const enum scope_kind kinds[] = {
	    [LOCK_EXCLUSIVE] = SCOPE_LOCK,
	    [LOCK_SHARED] = SCOPE_SHARED_LOCK,
	    [LOCK_SEMAPHORE] = SCOPE_SEMAPHORE,
	};
	enum lock_mode mode = w->item->kind == GRAMMAR_SEMAPHORE ? LOCK_SEMAPHORE
			      : w->item->shared                  ? LOCK_SHARED
								 : LOCK_EXCLUSIVE;
	struct session *s = sc->session;
	struct scope *f = push(sc, kinds[mode], w->name);
	char text[160];
	struct err e;
	int r;

	f->suppress = w->item->suppress;
	f->named = w->item->as != NULL;
	set_deadline(sc, f, w->deadline_us);
	r = lock_enter(&s->daemon->locks, &f->hold, w->item->key.text, mode, w->limit, s->id,
		       &enter_lock_ops, f);
	if (r == -E_RANGE) {
		snprintf(text, sizeof text, "semaphore \"%.60s\" is open with LIMIT %u, not %u",
			 w->item->key.text, f->hold.limit, w->limit);
		err_make(&e, ERR_SCOPE_VALUE, text);
		fail(sc, &e);
		err_clear(&e);
	} else if (r == -E_AGAIN) {
		begin_waiting(sc);
	} else {
		got_it(sc);
	}
}

static void
want_lease(struct scopes *sc, struct scope *f)
{
	struct session *s = sc->session;
	struct err e;
	int r;

	/* Its own lease if that is free, so that what pins the session is there. */
	if (f->pool == s->pool && stack_of_lease(&sc->stack, &s->own) == NULL) {
		f->lease = &s->own;
	} else {
		lease_init(&f->own, &relay_lease_ops, s, s->id);
		f->lease = &f->own;
	}
	if (f->lease->state == LEASE_HELD) {
		got_it(sc);
		return;
	}
	r = lease_enter(f->lease, f->pool, &e);
	if (r == -E_AGAIN) {
		begin_waiting(sc);
	} else if (r == 0) {
		scopes_fresh(s, f->lease);
		got_it(sc);
	} else {
		fail(sc, &e);
		err_clear(&e);
	}
}

static void
want_transaction(struct scopes *sc, const struct wanted *w)
{
	const struct grammar_item *item = w->item;
	struct scope *base = item->fresh ? NULL : stack_transaction_on(&sc->stack, w->pool);
	struct scope *f;
	struct err e;

	if (base == NULL) {
		f = push(sc, SCOPE_TRANSACTION, w->name);
		f->pool = w->pool;
		f->named = item->name != NULL || item->as != NULL;
		f->suppress = item->suppress || (w->def && w->def->suppress);
		set_deadline(sc, f, w->deadline_us);
		want_lease(sc, f);
		return;
	}
	if (base->lease->srv->progress.status == 'E' || base->failed) {
		err_make(&e, ERR_SCOPE_ABORTED, "ENTER");
	} else if (item->isolation != GRAMMAR_DEFAULT ||
		   (w->def && w->def->isolation != CONF_ISOLATION_DEFAULT)) {
		err_make(
		    &e, ERR_SCOPE_VALUE,
		    "a scope inside a transaction of its pool is a savepoint and cannot have an "
		    "isolation level of its own");
		err_hint(&e, "NEW makes it a second transaction");
	} else {
		f = push(sc, SCOPE_SAVEPOINT, w->name);
		f->pool = w->pool;
		f->base = base;
		f->named = item->name != NULL || item->as != NULL;
		f->suppress = item->suppress || (w->def && w->def->suppress);
		/* A deadline of the pool is that of the whole transaction. */
		if (item->deadline.given || (w->def && w->def->deadline_us > 0))
			set_deadline(sc, f, w->deadline_us);
		got_it(sc);
		return;
	}
	fail(sc, &e);
	err_clear(&e);
}

static void
next_item(struct scopes *sc)
{
	struct session *s = sc->session;
	struct wanted w = {.item = item_of(sc)};
	struct err e;

	sc->timed_out = false;
	if (!understand(sc, &w, &e)) {
		fail(sc, &e);
		err_clear(&e);
		return;
	}
	if (slow_wanted(w.pool ? w.pool : s->pool))
		slow_watch(s);
	if (s->daemon->conf->log_scopes)
		log_info("session %llu: scope enter name=%s pool=%s", (unsigned long long)s->id,
			 w.name, w.pool ? w.pool->conf->name : "");
	if (w.pool)
		want_transaction(sc, &w);
	else
		want_lock(sc, &w);
}

/* ---- after another process ---- */

static void
adopt_deadline(struct scope *f, int64_t now)
{
	int64_t us = f->deadline_us > now ? f->deadline_us - now : 0;
	struct timeval tv = {.tv_sec = us / UNIT_S, .tv_usec = us % UNIT_S};
	struct session *s = f->owner;

	if (f->deadline_us == 0)
		return;
	evtimer_assign(&f->timer, loop_base(s->daemon->loop), on_deadline, f);
	if (f->state != SCOPE_EXPIRED && !f->expire_due)
		evtimer_add(&f->timer, &tv);
}

void
enter_adopted(struct scopes *sc)
{
	struct session *s = sc->session;
	struct scope *f = sc->frame;
	struct list_node *n;

	LIST_EACH (n, &sc->stack.frames)
		adopt_deadline(LIST_OBJ(n, struct scope, node), loop_now_us(s->daemon->loop));
	if (sc->doing != SCOPES_ENTERING || f == NULL)
		return;
	if (f->pool)
		waits_begin_lease(&s->daemon->waits, s->id, f->lease);
	else
		waits_begin_lock(&s->daemon->waits, s->id, &f->hold);
	start_timer(sc, 0);
}

/* ---- on the server ---- */

static void
run_later(struct list *run, const char *sql, char **values, unsigned nvalues, uint64_t used)
{
	list_append(
	    run,
	    &deferred_new(DEFERRED_ALWAYS, sql, (const char *const *)values, nvalues, used)->node);
}

/* How many of the arguments the statement is given: up to the last that it uses. */
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

static void
plan_lock(struct scopes *sc, const struct grammar_item *item)
{
	char *key = item->key.text;
	char sql[128];

	snprintf(sql, sizeof sql,
		 "SELECT pg_catalog.pg_%sadvisory_xact_lock%s(pg_catalog.hashtextextended($1, 0))",
		 sc->wait_us == 0 ? "try_" : "", item->shared ? "_shared" : "");
	run_later(&sc->run, sql, &key, 1, 1);
}

/* Has a lock that may not be waited for been refused? */
static bool
not_locked(const struct scopes *sc)
{
	const uint8_t *at = buf_data(&sc->talk.kept), *end = at + sc->talk.kept.len;
	struct frame f;

	if (sc->frame->kind == SCOPE_IMPLICIT || item_of(sc)->kind != GRAMMAR_LOCK)
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

/* What is still to be run before the frame is open. */
static void
plan(struct scopes *sc)
{
	const struct grammar_item *item = item_of(sc);
	const struct conf_scope *def = sc->def;
	char **values = values_of(item);
	enum grammar_access access = item->access;

	if (def && access == GRAMMAR_ACCESS_DEFAULT)
		access = (enum grammar_access)def->access;
	if (sc->frame->kind == SCOPE_SAVEPOINT && access != GRAMMAR_ACCESS_DEFAULT)
		run_later(&sc->run,
			  access == GRAMMAR_READ_ONLY ? "SET TRANSACTION READ ONLY"
						      : "SET TRANSACTION READ WRITE",
			  NULL, 0, 0);
	if (item->kind == GRAMMAR_LOCK)
		plan_lock(sc, item);
	for (unsigned i = 0; def && i < def->enter.count; i++) {
		const struct conf_statement *st = &def->enter.list[i];

		run_later(&sc->run, st->sql, values, arguments(st), st->args);
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

/* It is entered. What is deferred is run last first. */
static void
opened(struct scopes *sc)
{
	struct scope *f = sc->frame;
	const struct conf_scope *def;
	char **values;

	stop_timer(sc);
	f->state = SCOPE_OPEN;
	f->opened_us = loop_now_us(sc->session->daemon->loop);
	sc->step = STEP_NEXT;
	if (f->kind == SCOPE_IMPLICIT)
		return;
	timing_add(scopes_timing(sc, f), TIMING_ENTER, f->opened_us - f->granted_us);
	def = sc->def;
	if (def) {
		values = values_of(item_of(sc));
		defer_list(f, DEFERRED_ON_COMMIT, &def->on_commit, true, values);
		defer_list(f, DEFERRED_ON_ROLLBACK, &def->on_rollback, true, values);
		defer_list(f, DEFERRED_CLEANUP, &def->cleanup, false, values);
		free(values);
	}
	sc->item++;
}

static void
send_begin(struct scopes *sc)
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

	sc->step = STEP_BEGIN;
	if (sc->frame->kind == SCOPE_IMPLICIT) {
		talk_query(sc->session, "BEGIN");
		return;
	}
	if (sc->frame->kind == SCOPE_SAVEPOINT) {
		snprintf(sql, sizeof sql, "SAVEPOINT pgwith_%u", sc->frame->serial);
		talk_query(sc->session, sql);
		return;
	}
	item = item_of(sc);
	def = sc->def;
	isolation = item->isolation;
	access = item->access;
	/* The two enums have the same order. */
	if (def && isolation == GRAMMAR_DEFAULT)
		isolation = (enum grammar_isolation)def->isolation;
	if (def && access == GRAMMAR_ACCESS_DEFAULT)
		access = (enum grammar_access)def->access;
	snprintf(sql, sizeof sql, "BEGIN%s%s", isolations[isolation], accesses[access]);
	talk_query(sc->session, sql);
}

_Static_assert((int)GRAMMAR_READ_UNCOMMITTED == (int)CONF_READ_UNCOMMITTED &&
		   (int)GRAMMAR_SERIALIZABLE == (int)CONF_SERIALIZABLE &&
		   (int)GRAMMAR_READ_WRITE == (int)CONF_READ_WRITE,
	       "the same order");

static void
setup(struct scopes *sc)
{
	struct session *s = sc->session;
	struct buf sql;

	if (sc->frame->kind == SCOPE_SAVEPOINT || !state_differs(s)) {
		send_begin(sc);
		return;
	}
	buf_init(&sql, 1024 * 1024);
	state_change(s, &sql);
	buf_add_u8(&sql, 0);
	talk_query(s, (char *)buf_data(&sql));
	buf_clear(&sql);
}

/* The next statement of its definition. */
static void
next_statement(struct scopes *sc)
{
	struct session *s = sc->session;
	struct list_node *n = list_first(&sc->run);
	struct deferred *d;
	struct err e;

	if (sc->timed_out) {
		too_long(sc, &e);
		fail(sc, &e);
		err_clear(&e);
		return;
	}
	if (n == NULL) {
		opened(sc);
		return;
	}
	d = LIST_OBJ(n, struct deferred, node);
	sc->step = STEP_STATEMENT;
	talk_statement(s, d);
	sc->talk.keep_rows = item_of(sc)->kind == GRAMMAR_LOCK && sc->wait_us == 0;
	list_remove(&sc->run, n);
	deferred_free(d);
	/* The wait of a lock of PostgreSQL's goes on: its statement is the last one. */
	if (item_of(sc)->kind == GRAMMAR_LOCK && sc->wait_us > 0 && list_first(&sc->run) == NULL)
		start_timer(sc, LOCK_WAIT_LEAST_US);
}

/* A statement of ours has failed. */
static void
refused(struct scopes *sc)
{
	struct err e;

	if (sc->timed_out) {
		too_long(sc, &e);
		fail(sc, &e);
		err_clear(&e);
		return;
	}
	if (sc->frame->expire_due) {
		scopes_expired_error(sc->frame, &e);
		fail(sc, &e);
		err_clear(&e);
		return;
	}
	/* A statement_timeout that another session has left there. */
	if (sc->step == STEP_SETUP && ++sc->attempts < SCOPES_ATTEMPTS &&
	    strcmp(sc->session->lease->srv->progress.error, "57014") == 0)
		return;
	scopes_fail_raw(sc, &sc->talk.error);
	sc->doing = SCOPES_UNDOING;
}

/* A statement has ended. */
static void
heard(struct scopes *sc)
{
	struct session *s = sc->session;

	sc->talk.ended = false;
	if (talk_failed(s)) {
		refused(sc);
		return;
	}
	switch (sc->step) {
	case STEP_SETUP:
		state_applied(s);
		send_begin(sc);
		return;
	case STEP_BEGIN:
		sc->frame->begun = true;
		if (sc->frame->kind == SCOPE_IMPLICIT)
			opened(sc);
		else
			plan(sc);
		if (sc->step == STEP_BEGIN)
			next_statement(sc);
		return;
	default:
		sc->timed_out |= not_locked(sc);
		next_statement(sc);
	}
}

void
enter_go(struct scopes *sc)
{
	while (sc->doing == SCOPES_ENTERING) {
		if (sc->talk.busy)
			return;
		if (sc->talk.ended)
			heard(sc);
		else if (sc->step == STEP_WAIT)
			return;
		else if (sc->step == STEP_SETUP)
			setup(sc);
		else if (sc->item == sc->statement->nitems)
			break;
		else
			next_item(sc);
		if (sc->session->state == SESSION_CLOSED || sc->gone)
			return;
	}
	if (sc->doing == SCOPES_ENTERING)
		scopes_finish(sc);
	else if (sc->doing == SCOPES_UNDOING)
		enter_undo(sc);
}

/* The first is the one that was entered first. */
static struct scope *
first_entered(const struct scopes *sc)
{
	struct scope *f = stack_innermost(&sc->stack);

	for (unsigned i = 1; i < sc->entered; i++)
		f = stack_outside(&sc->stack, f);
	return f;
}

void
enter_undo(struct scopes *sc)
{
	struct session *s = sc->session;
	struct list_node *n;

	stop_timer(sc);
	while ((n = list_first(&sc->run)) != NULL) {
		list_remove(&sc->run, n);
		deferred_free(LIST_OBJ(n, struct deferred, node));
	}
	if (sc->entered > 0) {
		exit_begin(sc, SCOPES_UNDOING, first_entered(sc), true);
		return;
	}
	/* It was the client's own BEGIN that could not be had. */
	if (sc->frame && sc->frame->kind == SCOPE_IMPLICIT) {
		s->begun = BEGUN_YES;
		exit_begin(sc, SCOPES_UNDOING, sc->frame, true);
		return;
	}
	scopes_finish(sc);
}

void
enter_begin(struct scopes *sc)
{
	struct session *s = sc->session;
	const struct lease *own = &s->own;
	struct scope *f;

	sc->doing = SCOPES_ENTERING;
	sc->step = STEP_NEXT;
	sc->item = sc->entered = 0;
	sc->frame = NULL;
	sc->talk.ended = false;
	if (s->begun == BEGUN_YES) {
		/* The client's BEGIN, of which no server knows yet. */
		s->begun = BEGUN_NOT;
		if (slow_wanted(s->pool))
			slow_watch(s);
		f = push(sc, SCOPE_IMPLICIT, "");
		f->pool = s->pool;
		want_lease(sc, f);
	} else if (own->state == LEASE_HELD && own->srv->progress.status == 'T' &&
		   stack_of_lease(&sc->stack, own) == NULL) {
		scopes_implicit(s);
	}
	enter_go(sc);
}

void
enter_granted(struct scopes *sc)
{
	got_it(sc);
	enter_go(sc);
}

void
enter_refused(struct scopes *sc, struct err *e)
{
	if (sc->step == STEP_WAIT) {
		give_up(sc, e);
		enter_go(sc);
	}
}
