#include "session/statement.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "session/context.h"
#include "session/control.h"
#include "session/deallocate.h"
#include "session/effects.h"
#include "session/raise.h"
#include "session/reply.h"
#include "session/resets.h"
#include "session/scopes.h"
#include "session/site.h"
#include "session/standin.h"
#include "wire/frame.h"
#include "wire/msg.h"
#include "wire/sqlclass.h"
#include "wire/sqlcommand.h"

#define NAMES_BYTES_MAX (8 * 1024 * 1024) /* of one session's prepared statements */

/* ---- the unnamed statement ---- */

/* The message uses the unnamed statement: adds it to the batch, if the server lacks it. */
static enum unnamed_use
need_unnamed(struct session *s, const struct message *m)
{
	struct server *srv = s->hold->lease.srv;
	bool executes = m->type == 'B';
	enum unnamed_use use;

	if (srv->progress.skipping)
		return UNNAMED_READY;
	/* If the server has it, nothing is added, so batch_for() need not copy what was passed. */
	use = unnamed_need(s->context.unnamed, &srv->prepared.tracked, &srv->progress,
			   unnamed_is_here(s->context.unnamed) ? NULL : batch_for(s));
	if (use == UNNAMED_READY && executes)
		unnamed_bound(s->context.unnamed);
	if (use == UNNAMED_READY && executes && unnamed_has_effects(s->context.unnamed)) {
		const char *sql;
		size_t bytes;
		unsigned effects = unnamed_effects(s->context.unnamed, &sql, &bytes);

		effects_take(s, m, effects, sql, bytes);
	}
	return use;
}

/* PostgreSQL's own error (15 source, plancache.c). Programs that know of it prepare anew: they look
 * at the name of the function, too. */
static enum verdict
tell_changed(struct session *s, char type, const struct description *known)
{
	static const char fields[] =
	    "SERROR\0VERROR\0C0A000\0Mcached plan must not change result type"
	    "\0Fplancache.c\0L716\0RRevalidateCachedQuery\0";
	struct buf out;
	size_t at;

	buf_init(&out, 512 * 1024);
	/* PostgreSQL describes the parameters before it looks at the plan. */
	if (type == 'D') {
		at = msg_begin(&out, 't');
		buf_add_u16(&out, known->ntypes);
		for (unsigned i = 0; i < known->ntypes; i++)
			buf_add_u32(&out, known->types[i]);
		msg_end(&out, at);
	}
	at = msg_begin(&out, 'E');
	buf_add(&out, fields, sizeof fields); /* with the NUL that ends them */
	msg_end(&out, at);
	reply_send_buf(s, &out);
	buf_clear(&out);
	return session_gone(s) ? OVER : DROP;
}

static enum verdict
wait_for_answer(struct session *s)
{
	stream_pause(&s->stream);
	return HOLD;
}

static enum verdict
unnamed_used(struct session *s, struct message *m)
{
	struct server *srv = s->hold->lease.srv;

	/* In COPY IN, and when it skips, the server must get the message as it is. */
	if (once_stands_in(s->context.unnamed, &srv->prepared) && !srv->progress.skipping &&
	    !progress_copies_in(&srv->progress) && standin_use(s, m))
		return REPLACE;
	switch (need_unnamed(s, m)) {
	case UNNAMED_WAIT:
		return wait_for_answer(s);
	case UNNAMED_CHANGED:
		prepared_fail(&srv->progress, batch_for(s));
		return tell_changed(s, m->type, s->context.unnamed->described);
	default:
		return FORWARD;
	}
}

static enum verdict
parse_unnamed(struct session *s, struct message *m, bool *told)
{
	struct server *srv = s->hold->lease.srv;
	enum once_verdict once = standin_parse(s, m);
	struct buf *out;
	size_t at;

	*told = true;
	if (once == ONCE_SERVE || once == ONCE_PREPARE)
		return REPLACE;
	unnamed_parse(unnamed_make(&s->context.unnamed), &srv->prepared.tracked, &srv->progress,
		      m->body, m->have, m->bytes, m->effects.set);
	if (once == ONCE_NEVER)
		unnamed_note_uncached(s->context.unnamed, standin_infers(srv->pool));
	if (srv->progress.skipping || !statement_is_left(m->next) || !message_is_whole(m))
		return FORWARD;
	out = batch_for(s);
	at = msg_begin(out, 'P');
	buf_add(out, m->body, m->bytes);
	msg_end(out, at);
	unnamed_ask(s->context.unnamed, &srv->prepared.tracked, &srv->progress, out);
	m->used = FRAME_HEADER + m->bytes;
	return REPLACE;
}

enum verdict
statement_unnamed(struct session *s, struct message *m, bool *told)
{
	struct server *srv = s->hold->lease.srv;
	struct tracked_list *tracked = &srv->prepared.tracked;
	enum verdict v;

	*told = false;
	switch (m->type) {
	case 'Q':
		/* A Query ends the unnamed statement (15 documentation, 55.2.3). */
		if (!srv->progress.skipping && s->context.unnamed &&
		    (s->context.unnamed->text || s->context.unnamed->here))
			unnamed_forget(s->context.unnamed, tracked);
		return FORWARD;
	case 'P':
		return message_is_unnamed(m) ? parse_unnamed(s, m, told) : FORWARD;
	case 'B':
		return message_is_unnamed(m) ? unnamed_used(s, m) : FORWARD;
	case 'D':
		if (!message_is_unnamed(m) || !message_is_well_formed(m))
			return FORWARD;
		v = unnamed_used(s, m);
		if ((v == FORWARD || v == REPLACE) && !srv->progress.skipping) {
			unnamed_describe(unnamed_make(&s->context.unnamed), tracked,
					 &srv->progress);
			*told = true;
		}
		return v;
	case 'C':
		if (!message_is_unnamed(m) || !message_is_well_formed(m))
			return FORWARD;
		unnamed_close(unnamed_make(&s->context.unnamed), tracked, &srv->progress);
		*told = true;
		return FORWARD;
	default:
		return FORWARD;
	}
}

/* ---- named statements ---- */

static struct prepared_limits
limits_of(const struct session *s)
{
	const struct conf_pool *conf = s->pool->conf;
	unsigned server_max = (unsigned)conf->max_prepared_statements;

	/* No server knows the session's statements by its own names. So if it has some, it goes on
	 * as before when a reload makes the option 0. */
	if (server_max == 0 && s->context.names)
		server_max = 1;
	return (struct prepared_limits){server_max, (unsigned)conf->max_session_statements,
					NAMES_BYTES_MAX};
}

/* How far the state that a Parse depends on may be other than the session's known parameters,
 * because of what the lease has seen before. */
static enum prepared_altered
altered_by(const struct session *s)
{
	if ((s->hold->pinned & ~HOLD_PIN_STATEMENT) || s->hold->pins_doubtful || s->hold->discard)
		return PREPARED_OBJECTS;
	return s->hold->changed ? PREPARED_SETTINGS : PREPARED_UNALTERED;
}

static struct prepared_message
prepared_message_of(const struct session *s, const struct message *m)
{
	const struct pool *pool = s->hold->lease.srv ? s->hold->lease.srv->pool : s->pool;

	return (struct prepared_message){
	    .type = m->type,
	    .place = pool->place,
	    .altered = altered_by(s),
	    .native = (s->hold->pinned & HOLD_PIN_STATEMENT) != 0,
	    .body = m->body,
	    .bytes = m->bytes,
	    .have = m->have,
	    .name = m->statement,
	    .name_bytes = m->statement_bytes,
	    .context = s->context.parameters_sql ? s->context.parameters_sql : "",
	    .now_us = loop_now_us(s->site->loop),
	    .effects = m->type == 'P' ? m->effects.set : 0};
}

static void
make_names(struct session *s)
{
	if (s->context.names)
		return;
	s->context.names = mem_alloc(sizeof *s->context.names);
	names_init(s->context.names, &s->site->pools.statements);
}

/* The text goes to the first server that is asked to execute it. Without this, a program that
 * prepares on one connection while its other connections hold every server in transactions (pgbench
 * -M prepared) would wait for itself. */
bool
statement_adopted(struct session *s, const struct message *m)
{
	static const uint8_t parse_complete[] = {'1', 0, 0, 0, 4};
	struct prepared_limits limits;
	struct prepared_message pm;
	const struct pool *pool = s->pool;

	if (m->type != 'P' || m->next != 'S' || s->context.mode != CONF_TRANSACTION ||
	    pool->servers[SERVER_IDLE].count > 0 || pool->conf->max_prepared_statements == 0 ||
	    (m->effects.set & (SQLCLASS_SET | SQLCLASS_SETCONFIG)))
		return false;
	limits = limits_of(s);
	pm = prepared_message_of(s, m);
	make_names(s);
	if (!prepared_adopt(s->context.names, &limits, &pm))
		return false;
	reply_send(s, parse_complete, sizeof parse_complete);
	return true;
}

/* A Bind of a named statement. */
struct binding {
	struct session *session;
	const struct message *message;
};

static void
executes(void *arg, unsigned effects, const char *sql)
{
	const struct binding *b = arg;

	effects_take(b->session, b->message, effects, sql, strlen(sql));
}

/* Does the Parse, Bind, Describe or Close name no statement? Most do not. A Bind with a named
 * portal is none of these. */
static bool
is_nameless(const struct message *m)
{
	switch (m->type) {
	case 'P':
		return m->have == 0 || message_is_unnamed(m);
	case 'B':
		return message_is_unnamed(m) && *m->portal == 0;
	default:
		return m->kind != 'S' || m->have < 3;
	}
}

enum verdict
statement_named(struct session *s, struct message *m)
{
	struct server *srv = s->hold->lease.srv;
	struct binding binding = {s, m};
	struct prepared_message pm;
	struct prepared_limits limits;
	enum prepared_verdict v;

	if (is_nameless(m))
		return FORWARD;
	limits = limits_of(s);
	pm = prepared_message_of(s, m);
	if (limits.server_max == 0) {
		/* A Bind of the unnamed statement has been noted by unnamed_used(). */
		if (!message_is_unnamed(m))
			resets_message(s, m);
		control_message(s, m);
		if (m->type == 'P' && (!s->context.pin || s->hold->apart))
			return raise_pin_off(s, m, HOLD_PIN_STATEMENT);
		if (m->type == 'P')
			s->hold->pinned |= HOLD_PIN_STATEMENT;
		return FORWARD;
	}
	if (m->type == 'P')
		make_names(s);
	pm.executes = executes;
	pm.arg = &binding;
	v = prepared_message(s->context.names, &srv->prepared, &srv->progress, &limits, &pm,
			     batch_for(s));
	if (m->type == 'B' && pm.command != SQLCOMMAND_NONE)
		s->hold->command = pm.command;
	switch (v) {
	case PREPARED_DONE:
		m->used = FRAME_HEADER + m->bytes;
		return REPLACE;
	case PREPARED_PREFIX:
		m->used = FRAME_HEADER + pm.used;
		return REPLACE;
	case PREPARED_WAIT:
		return wait_for_answer(s);
	case PREPARED_CHANGED:
		return tell_changed(s, m->type, pm.known);
	case PREPARED_TOO_MANY:
		if (!s->context.pin || s->hold->apart)
			return raise_pin_off(s, m, HOLD_PIN_STATEMENT);
		s->hold->pinned |= HOLD_PIN_STATEMENT;
		return FORWARD;
	default:
		return FORWARD; /* malformed: the server's own error is the best */
	}
}

/* ---- waiting ---- */

unsigned
statement_bound(const struct session *s, const char *name, const char **sql, size_t *bytes)
{
	unsigned set = 0;

	*sql = "";
	*bytes = 0;
	if (*name == 0)
		return unnamed_effects(s->context.unnamed, sql, bytes);
	if (s->context.names)
		set = names_effects(s->context.names, name, strlen(name), sql);
	*bytes = strlen(*sql);
	return set;
}

/* Does what the message means depend on an answer that has not come? */
static bool
is_in_doubt(const struct session *s, const struct message *m)
{
	const struct server *srv = s->hold->lease.srv;
	const struct progress *p = &srv->progress;
	const char *name = m->statement, *sql;
	unsigned set = m->effects.set;
	size_t bytes;

	if (m->type == 'B' && name)
		set |= statement_bound(s, name, &sql, &bytes);
	if ((set & (SQLCLASS_DEALLOCATE | SQLCLASS_DISCARD_ALL)) &&
	    (deallocate_in_doubt(s) ||
	     (s->context.names && names_in_doubt(s->context.names, &srv->prepared, p, NULL, 0))))
		return true;
	if (name == NULL || (m->type == 'P' && *name == 0))
		return false;
	if (*name && deallocate_in_doubt(s))
		return true;
	if (*name == 0)
		return (m->type == 'B' || m->type == 'D') &&
		       unnamed_in_doubt(s->context.unnamed, &srv->prepared.tracked, p);
	return s->context.names &&
	       names_in_doubt(s->context.names, &srv->prepared, p, name, strlen(name));
}

bool
statement_must_wait(const struct session *s, const struct message *m)
{
	const struct server *srv = s->hold->lease.srv;
	const struct progress *p = &srv->progress;

	/* In COPY IN the message means nothing, and the server must get it. */
	if (p->skipping || progress_copies_in(p))
		return false;
	return (srv->prepared.tracked.list.count > 0 || p->watch) && is_in_doubt(s, m);
}
