#include "session/shown.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/atom.h"
#include "base/mem.h"
#include "conf/naming.h"
#include "pool/pool.h"
#include "scope/stack.h"
#include "session/application.h"
#include "session/site.h"

bool
shown_is_needed(const struct pool *pool)
{
	return naming_kind(pool->conf->application_name) != NAMING_CLIENT;
}

/* The option is not `client`, and context->application and application_told are the client's own.
 * Servers get the name that the option makes. */
static void
begin(struct session *s, const char *program)
{
	struct context *c = &s->context;
	struct shown *shown = mem_calloc(1, sizeof *shown);

	shown->own = c->application;
	shown->own_told = c->application_told;
	shown->of_pool = naming_kind(s->pool->conf->application_name) == NAMING_POOL;
	if (program)
		snprintf(shown->program, sizeof shown->program, "%s", program);
	else if (peer_program(s->peer.pid, shown->program, sizeof shown->program) == NULL)
		snprintf(shown->program, sizeof shown->program, "?");
	session_rare(s)->shown = shown;
	application_make_now(s, shown->own);
	c->application = atom_keep(shown->now);
	c->application_told = atom_keep(shown->now);
	if (c->application_set)
		application_make_now(s, c->application_set);
}

void
shown_start(struct session *s)
{
	if (s->rare->shown == NULL && shown_is_needed(s->pool))
		begin(s, NULL);
}

void
shown_forget(struct session *s)
{
	struct shown *shown = s->rare->shown;
	struct atoms *atoms = &s->site->atoms;

	if (shown == NULL)
		return;
	atom_drop(atoms, shown->own);
	atom_drop(atoms, shown->own_told);
	atom_drop(atoms, shown->now);
	free(shown);
	s->rare->shown = NULL;
}

/* Servers get the client's own name again. */
static void
end(struct session *s)
{
	struct context *c = &s->context;
	const struct shown *shown = s->rare->shown;

	atom_drop(&s->site->atoms, c->application);
	atom_drop(&s->site->atoms, c->application_told);
	c->application = atom_keep(shown->own);
	c->application_told = atom_keep(shown->own_told);
	shown_forget(s);
	session_drop_rare(s);
}

/* ---- another option ---- */

/* The server of the hold keeps its name for as long as the lease lasts. */
static void
keep_named(struct session *s, struct hold *h)
{
	if (h->lease.srv && h->named == NULL)
		h->named = mem_strdup(application_given(s, h));
}

void
shown_renew(struct session *s)
{
	struct list_node *n;
	char program[32] = "";

	/* Before that, application_start() has still to be called. */
	if (s->pool == NULL || s->context.application_told == NULL ||
	    (s->rare->shown == NULL && !shown_is_needed(s->pool)))
		return;
	keep_named(s, s->own);
	if (s->rare->stack)
		LIST_EACH (n, &s->rare->stack->frames)
			keep_named(s, &LIST_OBJ(n, struct scope, node)->own);
	if (s->rare->shown) {
		snprintf(program, sizeof program, "%s", s->rare->shown->program);
		end(s);
	}
	if (shown_is_needed(s->pool))
		begin(s, *program ? program : NULL);
}

void
shown_pack(struct pack *p, struct session *s)
{
	bool there = s->rare->shown != NULL;
	struct atoms *atoms = &s->site->atoms;
	struct shown *shown;

	PACK(p, there);
	if (!there)
		return;
	if (s->rare->shown == NULL)
		session_rare(s)->shown = mem_calloc(1, sizeof *shown);
	shown = s->rare->shown;
	atom_pack_str(p, atoms, &shown->own);
	atom_pack_str(p, atoms, &shown->own_told);
	atom_pack_str(p, atoms, &shown->now);
	PACK(p, shown->of_pool);
	PACK(p, shown->program);
	shown->program[sizeof shown->program - 1] = 0;
	/* A damaged record. */
	p->failed |= pack_reading(p) && (!shown->own || !shown->own_told || !shown->now);
}
