#include "session/resets.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/atom.h"
#include "base/mem.h"
#include "pool/pool.h"
#include "session/application.h"
#include "session/context.h"
#include "session/control.h"
#include "session/lexing.h"
#include "session/params.h"
#include "session/resettext.h"
#include "session/setcalls.h"
#include "session/unlisted.h"
#include "wire/sqlclass.h"
#include "wire/sqltext.h"

#define NAMES_MAX   4096 /* bytes of the names of one text */
#define PORTALS_MAX 64   /* that are kept; the oldest goes first */

/* A portal that was bound to a text that resets or sets parameters, and has not been executed. */
struct reset_portal {
	struct list_node node;
	struct buf names; /* resettext.h */
	bool local;
	char portal[];
};

static struct reset_names *
need_names(struct session *s)
{
	struct reset_names *r = s->context.resets_names;

	if (r)
		return r;
	r = s->context.resets_names = mem_calloc(1, sizeof *r);
	buf_init(&r->names, NAMES_MAX);
	list_init(&r->portals);
	return r;
}

/* ---- portals ---- */

static void
forget_portal(struct reset_names *r, struct reset_portal *p)
{
	list_remove(&r->portals, &p->node);
	buf_clear(&p->names);
	free(p);
}

static struct reset_portal *
find_portal(const struct session *s, const char *name)
{
	struct list_node *n;

	if (s->context.resets_names && name)
		LIST_EACH (n, &s->context.resets_names->portals) {
			struct reset_portal *p = LIST_OBJ(n, struct reset_portal, node);

			if (strcmp(p->portal, name) == 0)
				return p;
		}
	return NULL;
}

static struct reset_portal *
add_portal(struct session *s, const char *name, bool local)
{
	struct reset_names *r = need_names(s);
	struct reset_portal *p = mem_calloc(1, sizeof *p + strlen(name) + 1);

	strcpy(p->portal, name);
	p->local = local;
	buf_init(&p->names, NAMES_MAX);
	list_append(&r->portals, &p->node);
	if (r->portals.count > PORTALS_MAX)
		forget_portal(r, LIST_OBJ(list_first(&r->portals), struct reset_portal, node));
	return p;
}

/* ---- noting ---- */

/* A text that resets or sets these names goes to the server to be executed. */
static void
note_executed(struct session *s, const struct buf *names, bool local)
{
	struct progress *p = &s->hold->lease.srv->progress;
	struct reset_names *r;

	/* What is set counts only behind a reset. */
	if (!resettext_resets_any(names) && s->context.resets == RESETS_NONE)
		return;
	r = need_names(s);
	buf_add(&r->names, buf_data(names), names->len);
	if (!resettext_resets_any(names))
		return;
	s->context.resets = RESETS_NOW;
	s->context.resets_local |= local;
	/* PostgreSQL reports nothing if a reset comes back to the same value, that of the startup
	 * packet. So what a server reports waits until that value is set again. */
	p->statuses_kept = true;
	r->errors = p->errors;
	r->discards = p->discards;
	p->last_set = SET_NONE;
}

/* A portal is bound to a text that resets or sets these names. It may be executed in a later
 * exchange, or never. */
static void
note_bound(struct session *s, const char *portal, const struct buf *names, bool local)
{
	struct reset_portal *p = add_portal(s, portal, local);

	buf_add(&p->names, buf_data(names), names->len);
	if (s->context.resets == RESETS_NONE && resettext_resets_any(names))
		s->context.resets = RESETS_LATER;
}

void
resets_portal(struct session *s, const struct message *m)
{
	struct reset_portal *p;

	if (strchr("BEC", m->type) == NULL || s->hold->lease.srv->progress.skipping ||
	    (p = find_portal(s, m->portal)) == NULL)
		return;
	if (m->type == 'E')
		note_executed(s, &p->names, p->local);
	forget_portal(s->context.resets_names, p);
}

void
resets_note(struct session *s, const struct message *m, unsigned set, const char *sql, size_t bytes,
	    unsigned flags)
{
	struct buf names;
	bool local = false;

	if (sql == NULL)
		return;
	/* Texts in strings are not read. If one of them may reset something, the server is asked
	 * when the transaction has ended. */
	if (((set & SQLCLASS_SETCONFIG) && resettext_may_set_null(m, sql, bytes)) ||
	    ((set & SQLCLASS_OPAQUE) &&
	     (sqltext_mentions(sql, bytes, "reset") || sqltext_mentions(sql, bytes, "default")))) {
		s->context.resets = RESETS_NOW;
		s->context.resets_role_unread |= sqltext_mentions(sql, bytes, "role") ||
						 sqltext_mentions(sql, bytes, "authorization");
	}
	buf_init(&names, NAMES_MAX);
	resettext_read(sql, bytes, flags, &names, &local);
	if (names.len > 0) {
		if (m && m->type == 'B' && m->portal)
			note_bound(s, m->portal, &names, local);
		else
			note_executed(s, &names, local);
	}
	buf_clear(&names);
}

void
resets_message(struct session *s, const struct message *m)
{
	const char *sql = NULL;
	unsigned set = 0;

	if (s->hold->lease.srv->progress.skipping)
		return;
	resets_portal(s, m);
	if (m->type == 'P' && (control_keeps_sql(m) || !message_is_unnamed(m))) {
		s->context.resets_named |=
		    (m->effects.set & CONTROL_RESETS) && !control_keeps_sql(m);
		return;
	}
	if (m->effects.set && m->sql)
		resets_note(s, m, m->effects.set, m->sql, m->sql_bytes, m->effects.lexing);
	if (m->type == 'B' && m->statement)
		sql = control_sql(s, m->statement, &set);
	if (sql)
		resets_note(s, m, set, sql, strlen(sql), lexing_flags(s, NULL));
	else if (m->type == 'B' && s->context.resets_named && s->context.resets == RESETS_NONE)
		s->context.resets = RESETS_LATER;
}

bool
resets_hold(const struct session *s, char type)
{
	const struct progress *p = &s->hold->lease.srv->progress;

	/* An exchange is not held up before its Sync, nor the data of a COPY. */
	return (s->context.resets == RESETS_NOW ||
		(s->context.resets == RESETS_LATER && progress_ends(p))) &&
	       !p->extended && !p->skipping && (p->copy == COPY_NONE || p->copy_ended) &&
	       !progress_at_rest(p) && strchr("QPBDECFS", type) != NULL;
}

static bool
is_startup(const struct session *s, const char *name)
{
	const char *at = s->context.startup, *end = at + atom_bytes(at);

	while (at < end) {
		if (strcasecmp(at, name) == 0)
			return true;
		at += strlen(at) + 1;
		at += strlen(at) + 1;
	}
	return false;
}

/* Do the client's texts reset the parameter, and not set it after that? */
static bool
was_reset(const struct session *s, const char *name)
{
	return s->context.resets_names &&
	       resettext_was_reset(&s->context.resets_names->names, name);
}

/* Has the text that was to reset parameters failed, or was that rolled back? Then it has reset
 * nothing; but a DISCARD ALL stands, whatever fails behind it. */
static bool
has_failed(const struct session *s)
{
	const struct progress *p = &s->hold->lease.srv->progress;
	const struct reset_names *names = s->context.resets_names;

	return names && (p->errors != names->errors || progress_set_undone(p)) &&
	       p->discards == names->discards;
}

/* Is the parameter known to have been empty when the server was asked last? */
static bool
was_empty(const struct session *s, const char *name)
{
	const char *at = s->context.parameters_sql;
	struct setcall c;

	while (setcalls_next(&at, &c))
		if (setcalls_is(&c, name))
			return setcalls_is_empty(&c);
	return false;
}

bool
resets_name(const struct session *s)
{
	return s->context.resets != RESETS_NONE && was_reset(s, "application_name") &&
	       !has_failed(s);
}

bool
resets_emptied(const struct session *s, const char *name)
{
	if (s->context.resets == RESETS_NONE)
		return false;
	if (was_reset(s, name) && !has_failed(s))
		return true;
	return !was_empty(s, name);
}

bool
resets_role(const struct session *s)
{
	return s->context.resets != RESETS_NONE &&
	       (s->context.resets_role_unread || (was_reset(s, "role") && !has_failed(s)));
}

bool
resets_hide(const struct session *s, const char *name, const char *value)
{
	const struct server *srv = s->hold->lease.srv;
	const char *own = told_get(srv->own, name);

	if (s->context.resets == RESETS_NONE || has_failed(s) || (own && strcmp(own, value) != 0))
		return false;
	if (strcasecmp(name, "application_name") == 0)
		return was_reset(s, name);
	if (strcasecmp(name, "is_superuser") == 0)
		name = "role";
	return was_reset(s, name) && is_startup(s, name);
}

/* Adds what is set again: the startup parameters, and application_name, which every session has. */
static void
add_startup(const struct session *s, struct buf *params)
{
	buf_init(params, PARAMS_MAX);
	buf_add(params, s->context.startup, atom_bytes(s->context.startup));
	buf_add_str(params, "application_name");
	buf_add_str(params, application_after_reset(s));
}

/* ---- in a transaction ---- */

static void
add_identifier(struct buf *sql, const char *name)
{
	buf_add_u8(sql, '"');
	for (; *name; name++) {
		if (*name == '.')
			buf_add_fmt(sql, "\".\"");
		else
			buf_add_fmt(sql, *name == '"' ? "\"\"" : "%c", *name);
	}
	buf_add_u8(sql, '"');
}

/* Is the parameter a list of which each element is to be quoted by itself? */
static bool
is_quoted_list(const char *name)
{
	size_t n = strlen(name);

	return strcasecmp(name, "search_path") == 0 || strcasecmp(name, "temp_tablespaces") == 0 ||
	       (n > 10 && strcasecmp(name + n - 10, "_libraries") == 0);
}

/* Adds the elements of a list, divided as by PostgreSQL's SplitIdentifierString(), each as a
 * string. */
static void
add_list(struct buf *sql, const char *value)
{
	char element[1024];
	bool any = false;

	while (*value) {
		size_t n = 0;
		bool quoted;

		value += strspn(value, " \t\n\r\f");
		quoted = *value == '"';
		for (value += quoted; *value && n < sizeof element - 1; value++) {
			if (quoted && *value == '"' && *++value != '"')
				break;
			if (!quoted && strchr(", \t\n\r\f", *value))
				break;
			element[n++] =
			    quoted || *value < 'A' || *value > 'Z' ? *value : (char)(*value | 32);
		}
		element[n] = 0;
		if (any)
			buf_add_fmt(sql, ", ");
		params_literal(sql, element);
		any = true;
		value += strcspn(value, ",");
		value += *value == ',';
	}
	if (!any)
		buf_add_fmt(sql, "''");
}

static void
add_text(struct buf *sql, const char *text)
{
	buf_add_fmt(sql, "%s", text);
	buf_add_u8(sql, 0);
}

/* In a transaction SET is used and no SELECT, because a SELECT would take a snapshot, and the
 * client could not use SET TRANSACTION any more. Returns false if nothing is to be set. */
static bool
add_sets(struct session *s, struct buf *sql)
{
	const char *at, *end;
	struct buf params;
	bool any = false;

	add_startup(s, &params);
	at = (const char *)buf_data(&params);
	end = at + params.len;
	while (at < end) {
		const char *name = at, *value = name + strlen(name) + 1;

		at = value + strlen(value) + 1;
		if (!was_reset(s, name))
			continue;
		if (!any)
			add_text(sql, "SAVEPOINT pgwith_startup");
		buf_add_fmt(sql, "SET %s", s->context.resets_local ? "LOCAL " : "");
		add_identifier(sql, name);
		buf_add_fmt(sql, " TO ");
		if (is_quoted_list(name))
			add_list(sql, value);
		else
			params_literal(sql, value);
		buf_add_u8(sql, 0);
		any = true;
	}
	buf_clear(&params);
	if (any)
		add_text(sql, "RELEASE SAVEPOINT pgwith_startup");
	return any;
}

/* ---- outside of a transaction ---- */

static void
add_row(const char *name, const char *value, bool any, struct buf *sql)
{
	buf_add_fmt(sql, any ? ", (" : "(");
	params_literal(sql, name);
	buf_add_u8(sql, ',');
	params_literal(sql, value);
	buf_add_u8(sql, ')');
}

/* Adds a statement that sets the role of the startup packet if the client has reset its role. */
static void
add_role(const struct session *s, struct buf *sql)
{
	const char *startup = s->context.startup;
	const char *role = params_value(startup, atom_bytes(startup), "role");

	if (role == NULL || !resets_role(s))
		return;
	buf_add_fmt(sql, "SELECT pg_catalog.set_config('role', ");
	params_literal(sql, role);
	add_text(sql, ", false) WHERE pg_catalog.current_setting('role') "
		      "OPERATOR(pg_catalog.=) 'none'");
}

/* Outside of a transaction the server decides: a parameter that pg_settings lists has been reset if
 * its source is not the session; any other, if it is empty. Returns false if there is none. */
static bool
add_question(struct session *s, struct buf *sql)
{
	const char *at, *end;
	struct buf params;
	bool any = false;

	add_startup(s, &params);
	at = (const char *)buf_data(&params);
	end = at + params.len;
	add_role(s, sql);
	/* The role in force may not be allowed to set what the login has set. Outside of a
	 * transaction, SET LOCAL would give a warning, also in the server's log. */
	if (unlisted_asks_as_login(&s->context))
		add_text(sql, "SELECT pg_catalog.set_config('role', 'none', true)");
	buf_add_fmt(sql, "SELECT pg_catalog.set_config(v.name, v.value, false) FROM (VALUES ");
	while (at < end) {
		const char *name = at, *value = name + strlen(name) + 1;

		at = value + strlen(value) + 1;
		if (strcasecmp(name, "seed") == 0 || params_fixed(name) ||
		    strcasecmp(name, "session_authorization") == 0 ||
		    strcasecmp(name, "role") == 0 ||
		    (strchr(name, '.') && !resets_emptied(s, name)))
			continue;
		add_row(name, value, any, sql);
		any = true;
	}
	buf_clear(&params);
	buf_add_fmt(sql, ") AS v (name, value) LEFT JOIN pg_catalog.pg_settings AS p ON "
			 "pg_catalog.lower(p.name) OPERATOR(pg_catalog.=) pg_catalog.lower(v.name) "
			 "WHERE CASE WHEN p.name IS NULL THEN coalesce(pg_catalog."
			 "current_setting(v.name, true), '') OPERATOR(pg_catalog.=) '' ELSE "
			 "p.source OPERATOR(pg_catalog.<>) 'session' END");
	buf_add_u8(sql, 0);
	return any;
}

bool
resets_sql(struct session *s, struct buf *sql)
{
	const struct progress *p = &s->hold->lease.srv->progress;
	bool any;

	if (s->context.resets == RESETS_NONE)
		return false;
	if (p->status != 'I') {
		/* Nothing is set in a failed transaction, whose end undoes the reset. */
		any = p->status == 'T' && s->context.resets == RESETS_NOW &&
		      !progress_set_undone(p) && add_sets(s, sql);
		s->context.resets = RESETS_LATER;
		s->context.resets_local = false;
		if (s->context.resets_names)
			buf_reset(&s->context.resets_names->names);
		return any;
	}
	any = add_question(s, sql);
	/* With the option `pool`, the server has the same name whether it was reset or not. */
	if (s->rare->shown && resets_name(s))
		application_unset(s);
	resets_forget(s);
	return any;
}

void
resets_forget(struct session *s)
{
	struct reset_names *r = s->context.resets_names;

	s->context.resets = RESETS_NONE;
	s->context.resets_local = s->context.resets_role_unread = s->context.resets_failed = false;
	if (s->hold->lease.srv)
		s->hold->lease.srv->progress.statuses_kept = false;
	if (r == NULL)
		return;
	while (r->portals.count > 0)
		forget_portal(r, LIST_OBJ(list_first(&r->portals), struct reset_portal, node));
	buf_clear(&r->names);
	free(r);
	s->context.resets_names = NULL;
}

/* ---- handover ---- */

static void
portals_pack(struct pack *p, struct session *s)
{
	struct reset_names *r = s->context.resets_names;
	uint32_t count = r->portals.count;
	struct list_node *n = list_first(&r->portals);

	PACK(p, count);
	for (uint32_t i = 0; i < count && !p->failed; i++) {
		struct reset_portal *at =
		    pack_reading(p) ? NULL : LIST_OBJ(n, struct reset_portal, node);
		char *name = at ? at->portal : NULL;
		bool local = at && at->local;

		pack_str(p, &name);
		PACK(p, local);
		if (pack_reading(p)) {
			at = add_portal(s, name ? name : "", local);
			free(name);
		} else {
			n = n->next;
		}
		pack_buf(p, &at->names);
	}
}

void
resets_pack(struct pack *p, struct session *s)
{
	bool there = s->context.resets_names != NULL;
	struct reset_names *r;

	PACK(p, there);
	if (!there)
		return;
	r = need_names(s);
	pack_buf(p, &r->names);
	PACK(p, r->errors);
	PACK(p, r->discards);
	portals_pack(p, s);
}
