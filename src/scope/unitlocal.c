#include "scope/unitlocal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "scope/unitset.h"
#include "scope/unittemp.h"

#define CAPTURE_MAX (64u * 1024) /* bytes of the statements ahead of one */
#define LOCALS_MAX  500          /* parameters of a unit */

const char *const unitlocal_timeouts[UNITLOCAL_TIMEOUTS] = {
    "statement_timeout",
    "transaction_timeout",
    "idle_in_transaction_session_timeout",
};

const char *
unitlocal_timeout(const char *name)
{
	for (size_t i = 0; i < UNITLOCAL_TIMEOUTS; i++)
		if (strcasecmp(unitlocal_timeouts[i], name) == 0)
			return unitlocal_timeouts[i];
	return NULL;
}

/* A parameter that the unit has set for its transaction. What it was before is kept on the server,
 * in a parameter of ours, so that a ROLLBACK TO of the member rolls that back, too. */
struct unit_local {
	struct list_node node;
	unsigned number; /* of the parameter of ours */
	char name[];
};

void
unitlocal_forget(struct unit_locals *u)
{
	struct list_node *n;

	while ((n = list_first(&u->list)) != NULL) {
		list_remove(&u->list, n);
		free(LIST_OBJ(n, struct unit_local, node));
	}
}

void
unitlocal_init(struct unit_locals *u, const char *prefix)
{
	list_init(&u->list);
	u->prefix = prefix;
	buf_init(&u->capture, CAPTURE_MAX);
}

void
unitlocal_clear(struct unit_locals *u)
{
	unitlocal_forget(u);
	buf_clear(&u->capture);
}

static void
add_literal(struct buf *sql, const char *text)
{
	buf_add_fmt(sql, " E'");
	for (; *text; text++) {
		if (*text == '\'' || *text == '\\')
			buf_add_u8(sql, (uint8_t)*text);
		buf_add_u8(sql, (uint8_t)*text);
	}
	buf_add_u8(sql, '\'');
}

/* The list has the names of temporary tables, too, in double quotes. */
static bool
is_table(const char *name)
{
	return name[0] == '"';
}

static struct unit_local *
find_local(const struct unit_locals *u, const char *name)
{
	struct list_node *n;

	LIST_EACH (n, &u->list) {
		struct unit_local *l = LIST_OBJ(n, struct unit_local, node);

		if ((is_table(name) ? strcmp(l->name, name) : strcasecmp(l->name, name)) == 0)
			return l;
	}
	return NULL;
}

static struct unit_local *
add_local(struct unit_locals *u, const char *name)
{
	size_t bytes = strlen(name) + 1;
	struct unit_local *l = mem_calloc(1, sizeof *l + bytes);

	memcpy(l->name, name, bytes);
	l->number = u->list.count;
	list_append(&u->list, &l->node);
	return l;
}

static bool
is_identity(const char *name)
{
	return strcasecmp(name, "role") == 0 || strcasecmp(name, "session_authorization") == 0;
}

/* Forgets the value that the parameter had before the unit has set it: what it has now stays. */
static void
add_forget(const struct unit_locals *u, const struct unit_local *l, struct buf *sql)
{
	buf_add_fmt(sql, "SELECT pg_catalog.set_config('%s.v%u', '', true)", u->prefix, l->number);
	buf_add_u8(sql, 0);
}

/* Keeps the value that the parameter has now, unless that was set for the transaction, too. */
static void
add_keep(const struct unit_locals *u, const struct unit_local *l, struct buf *sql)
{
	buf_add_fmt(
	    sql,
	    "SELECT pg_catalog.set_config('%s.v%u', CASE WHEN "
	    "pg_catalog.texteq(coalesce(pg_catalog.current_setting('%s.v%u', true), ''), '') "
	    "THEN pg_catalog.textcat('v', coalesce(pg_catalog.current_setting(",
	    u->prefix, l->number, u->prefix, l->number);
	add_literal(sql, l->name);
	buf_add_fmt(sql, ", true), '')) ELSE pg_catalog.current_setting('%s.v%u', true) END, true)",
		    u->prefix, l->number);
	buf_add_u8(sql, 0);
}

/* Gives the parameter its value from before. That of a timeout is not in force at the end of a
 * unit, but is kept for the next one: unitown.c. */
static void
add_restore(const struct unit_locals *u, const struct unit_local *l, struct buf *sql)
{
	const char *kept = unitlocal_timeout(l->name);

	buf_add_fmt(sql,
		    "SELECT CASE WHEN pg_catalog.textne(coalesce("
		    "pg_catalog.current_setting('%s.v%u', true), ''), '') THEN "
		    "pg_catalog.set_config(",
		    u->prefix, l->number);
	if (kept)
		buf_add_fmt(sql, "'%s.%s'", u->prefix, kept);
	else
		add_literal(sql, l->name);
	buf_add_fmt(sql,
		    ", pg_catalog.substr(pg_catalog.current_setting('%s.v%u', true), 2), %s) END",
		    u->prefix, l->number, kept ? "false" : "true");
	buf_add_u8(sql, 0);
}

static void
capture_one(void *arg, const char *name, bool local)
{
	struct unit_locals *u = arg;
	struct unit_local *l = name && !u->capture.failed ? find_local(u, name) : NULL;
	struct list_node *n;

	if (u->capture.failed)
		return;
	/* It sets the role, too: to none. */
	if (name && strcasecmp(name, "session_authorization") == 0)
		capture_one(u, "role", local);
	if (name == NULL) {
		LIST_EACH (n, &u->list) {
			struct unit_local *x = LIST_OBJ(n, struct unit_local, node);

			if (!is_table(x->name))
				add_forget(u, x, &u->capture);
		}
	} else if (local) {
		/* PostgreSQL itself ends these with the savepoint. */
		if (strncasecmp(name, "transaction_", 12) == 0 && unitlocal_timeout(name) == NULL)
			return;
		/* It has no value that could be set again. */
		if (strcasecmp(name, "seed") == 0)
			return;
		if (l == NULL && u->list.count >= LOCALS_MAX)
			u->capture.failed = true;
		else if (is_table(name))
			unittemp_note(&u->capture, u->prefix,
				      l ? l->number : add_local(u, name)->number, name);
		else
			add_keep(u, l ? l : add_local(u, name), &u->capture);
	} else if (l) {
		add_forget(u, l, &u->capture);
	}
}

bool
unitlocal_capture(struct unit_locals *u, const struct sqltext_stmt *stmt, unsigned flags)
{
	buf_reset(&u->capture);
	unitset_each(stmt, flags, capture_one, u);
	return u->capture.len > 0 || u->capture.failed;
}

static void
restore_parameters(const struct unit_locals *u, struct buf *sql)
{
	struct unit_local *authorization = find_local(u, "session_authorization");
	struct unit_local *role = find_local(u, "role");
	struct list_node *n;

	/* The role of now may not be allowed to set what a role before it has set: the role of the
	 * session is. */
	if (authorization)
		add_restore(u, authorization, sql);
	if (role) {
		buf_add_fmt(sql,
			    "SELECT CASE WHEN pg_catalog.textne(coalesce("
			    "pg_catalog.current_setting('%s.v%u', true), ''), '') THEN "
			    "pg_catalog.set_config('role', 'none', true) END",
			    u->prefix, role->number);
		buf_add_u8(sql, 0);
	}
	LIST_EACH (n, &u->list) {
		struct unit_local *l = LIST_OBJ(n, struct unit_local, node);

		if (!is_table(l->name) && !is_identity(l->name))
			add_restore(u, l, sql);
	}
	if (role)
		add_restore(u, role, sql);
}

void
unitlocal_restore(const struct unit_locals *u, bool parameters, struct buf *sql)
{
	struct list_node *n;

	if (parameters)
		restore_parameters(u, sql);
	/* With the role that the unit began with. */
	LIST_EACH (n, &u->list) {
		struct unit_local *l = LIST_OBJ(n, struct unit_local, node);

		if (is_table(l->name))
			unittemp_drop(sql, u->prefix, l->number, l->name);
	}
	LIST_EACH (n, &u->list)
		add_forget(u, LIST_OBJ(n, struct unit_local, node), sql);
}

bool
unitlocal_has_tables(const struct unit_locals *u)
{
	struct list_node *n;

	LIST_EACH (n, &u->list)
		if (is_table(LIST_OBJ(n, struct unit_local, node)->name))
			return true;
	return false;
}

void
unitlocal_pack(struct pack *p, struct unit_locals *u)
{
	uint32_t count = u->list.count;
	struct list_node *n = u->list.head.next;

	PACK(p, count);
	for (uint32_t i = 0; i < count && !p->failed; i++) {
		struct unit_local *l = NULL;
		unsigned number = 0;
		char *name = NULL;

		if (!pack_reading(p)) {
			l = LIST_OBJ(n, struct unit_local, node);
			n = n->next;
			number = l->number;
			name = l->name;
		}
		PACK(p, number);
		pack_str(p, &name);
		if (!pack_reading(p))
			continue;
		if (name && !p->failed) {
			l = mem_calloc(1, sizeof *l + strlen(name) + 1);
			strcpy(l->name, name);
			l->number = number;
			list_append(&u->list, &l->node);
		}
		free(name);
	}
}
