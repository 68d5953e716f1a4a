#include "executor/wanted.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "executor/executor.h"
#include "executor/joint.h"
#include "pool/gate.h"
#include "session/admit.h"
#include "session/readonly.h"
#include "session/site.h"

#define SCOPES_MAX 100 /* open scopes of one session */

static const struct conf_scope *
definition_of(const struct work *work, const struct grammar_item *item)
{
	if (item->kind != GRAMMAR_TRANSACTION && item->kind != GRAMMAR_DEFINED)
		return NULL;
	return item->name ? conf_scope(work->session->site->conf, item->name) : NULL;
}

/* May the session's user use this pool? Its own, yes; one that does not exist is refused later. */
static enum access
admit_to_pool(struct session *s, const char *name, struct err *e)
{
	const struct pool *group = gate_find(&s->site->pools, name);

	return group == NULL || group->removed || group == s->pool->group ? ACCESS_YES
									  : admit_pool(s, group, e);
}

/* Does the item say that its transaction only reads? */
static bool
only_reads(const struct session *s, const struct wanted *w)
{
	enum grammar_isolation isolation = w->item->isolation;
	enum grammar_access access = w->item->access;

	/* The enums of both have the same order: opening.c. */
	if (w->def && access == GRAMMAR_ACCESS_DEFAULT)
		access = (enum grammar_access)w->def->access;
	if (w->def && isolation == GRAMMAR_DEFAULT)
		isolation = (enum grammar_isolation)w->def->isolation;
	return access == GRAMMAR_READ_ONLY &&
	       readonly_may_go(s, isolation != GRAMMAR_DEFAULT, isolation == GRAMMAR_SERIALIZABLE);
}

/* The pool of a transaction for which the client names none. */
static struct pool *
unnamed_pool(struct session *s, struct wanted *w)
{
	const struct stack *st = s->rare->stack;
	const struct scope *base = stack_current(st);
	struct pool *to = NULL;

	if (!s->pool->reads || stack_is_joinable(st) ||
	    (w->item->kind != GRAMMAR_TRANSACTION && w->item->kind != GRAMMAR_DEFINED))
		return s->pool;
	/* A scope inside of a transaction that only reads is a savepoint there. */
	if (base && base->apart && !w->item->fresh)
		return base->pool;
	if ((w->item->fresh || stack_transaction_on(st, s->pool) == NULL) && only_reads(s, w))
		to = readonly_target(s);
	w->apart = to != NULL;
	return to ? to : s->pool;
}

static enum access
find_pool(struct work *work, struct wanted *w, struct err *e)
{
	struct session *s = work->session;
	enum access may;
	const char *name = w->item->pool             ? w->item->pool
			   : w->def && *w->def->pool ? w->def->pool
						     : NULL;

	if (w->item->kind == GRAMMAR_SEMAPHORE || (w->item->kind == GRAMMAR_LOCK && name == NULL))
		return ACCESS_YES;
	/* The same rules as for a login. */
	if (name && (may = admit_to_pool(s, name, e)) != ACCESS_YES)
		return may;
	w->chosen = name == NULL;
	w->pool = name == NULL ? unnamed_pool(s, w)
		  : strcmp(name, s->pool->conf->name) == 0
		      ? s->pool
		      : pools_find(&s->site->pools, name, s->peer.role);
	if (w->pool == NULL) {
		err_make(e, ERR_SCOPE_NO_POOL, name);
		return ACCESS_NO;
	}
	/* What is NEW is a transaction of its own. */
	if (!w->item->fresh)
		w->pool = joint_pool(s, w->pool);
	else
		w->pool = joint_real(w->pool);
	if (w->pool->group != s->pool->group && name && gate_refuses(w->pool, e))
		return ACCESS_NO;
	if (w->pool == s->pool || name == NULL ? s->context.mode == CONF_STATEMENT
					       : w->pool->conf->mode == CONF_STATEMENT) {
		err_make(e, ERR_STATEMENT_MODE, w->pool->conf->name);
		return ACCESS_NO;
	}
	return ACCESS_YES;
}

/* Makes the error for a value that is no duration or number. Returns false. */
static bool
bad_value(struct grammar_error *ge, struct err *e)
{
	err_make(e, ERR_SCOPE_VALUE, ge->expected);
	free(ge->expected);
	return false;
}

static bool
read_values(struct work *work, struct wanted *w, struct err *e)
{
	const struct grammar_item *item = w->item;
	struct grammar_error ge;

	work->wait_us = w->def ? w->def->wait_us : CONF_UNSET;
	w->deadline_us = w->def ? w->def->deadline_us : 0;
	if (w->deadline_us == 0 && w->pool)
		w->deadline_us = w->pool->conf->scope_deadline_us;
	if (item->wait.given && grammar_duration(&item->wait, &work->wait_us, &ge) < 0)
		return bad_value(&ge, e);
	if (item->deadline.given && grammar_duration(&item->deadline, &w->deadline_us, &ge) < 0)
		return bad_value(&ge, e);
	if (item->limit.given && grammar_limit(&item->limit, &w->limit, &ge) < 0)
		return bad_value(&ge, e);
	return true;
}

enum access
wanted_find(struct wanted *w, struct work *work, struct err *e)
{
	const struct grammar_item *item = w->item;
	enum access may;
	char text[160];

	/* A reload may change the definition while the item is being entered: this one is kept. */
	conf_scope_drop(work->def);
	work->def = w->def = conf_scope_keep(definition_of(work, item));
	if (item->kind == GRAMMAR_DEFINED && w->def == NULL) {
		err_make(e, ERR_SCOPE_NOT_DEFINED, item->name);
		return ACCESS_NO;
	}
	if (w->def && w->def->nargs != item->nargs) {
		snprintf(text, sizeof text, "scope \"%s\" takes %u arguments, not %u", w->def->name,
			 w->def->nargs, item->nargs);
		err_make(e, ERR_SCOPE_VALUE, text);
		return ACCESS_NO;
	}
	if (item->joinable && w->def && w->def->enter.count > 0) {
		snprintf(text, sizeof text,
			 "scope \"%s\" cannot be joined, since its definition has the option enter",
			 w->def->name);
		err_make(e, ERR_SCOPE_UNSUPPORTED, text);
		return ACCESS_NO;
	}
	may = find_pool(work, w, e);
	if (may != ACCESS_YES)
		return may;
	if (!read_values(work, w, e))
		return ACCESS_NO;
	w->name = item->as         ? item->as
		  : item->name     ? item->name
		  : item->key.text ? item->key.text
		  : w->chosen      ? work->session->pool->conf->name
				   : w->pool->conf->name;
	if (*w->name == 0 || strlen(w->name) > SCOPE_NAME_MAX) {
		snprintf(text, sizeof text, "the name of a scope or lock has 1 to %d bytes",
			 SCOPE_NAME_MAX);
		err_make(e, ERR_SCOPE_VALUE, text);
		return ACCESS_NO;
	}
	if (work->session->rare->stack->frames.count >= SCOPES_MAX) {
		err_make(e, ERR_SCOPE_TOO_MANY, "open scopes of a session", SCOPES_MAX);
		return ACCESS_NO;
	}
	if (stack_find(work->session->rare->stack, w->name)) {
		err_make(e, ERR_SCOPE_EXISTS, w->name);
		return ACCESS_NO;
	}
	return ACCESS_YES;
}
