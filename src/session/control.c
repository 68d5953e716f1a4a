#include "session/control.h"

#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "pool/pool.h"
#include "wire/sqlclass.h"
#include "wire/sqltext.h"

#define ENDS (SQLCLASS_COMMIT | SQLCLASS_ROLLBACK | SQLCLASS_PREPARE_TRANSACTION)

#define SQL_MAX 4096 /* bytes of a text that is kept */

/* A prepared statement that begins or ends a transaction, or may reset parameters. */
struct control_name {
	struct list_node node;
	unsigned does; /* PROGRESS_BEGINS, PROGRESS_ENDS */
	unsigned set;  /* SQLCLASS_... bits of `sql` */
	char *sql;     /* a text that may reset parameters, or NULL */
	char name[];
};

struct control {
	struct list names; /* oldest first */
};

/* ---- texts ---- */

/* Does the text begin with the end of a transaction? */
static bool
ends_first(const char *sql, size_t bytes)
{
	struct sqltext_token tok;
	struct sqltext at;

	sqltext_init(&at, sql, bytes, 0);
	do
		sqltext_token(&at, &tok);
	while (tok.kind == SQLTEXT_SPLIT);
	return tok.word == SQLWORD_COMMIT || tok.word == SQLWORD_END ||
	       tok.word == SQLWORD_ROLLBACK || tok.word == SQLWORD_ABORT ||
	       tok.word == SQLWORD_PREPARE;
}

/* Returns PROGRESS_BEGINS and PROGRESS_ENDS for a text with these SQLCLASS_... bits. */
static unsigned
begins_or_ends(unsigned set, const char *sql, size_t bytes)
{
	if ((set & (SQLCLASS_BEGIN | ENDS)) == 0)
		return 0;
	if (set & SQLCLASS_BEGIN)
		return set & ENDS ? PROGRESS_BEGINS | PROGRESS_ENDS : PROGRESS_BEGINS;
	return ends_first(sql, bytes) ? PROGRESS_ENDS : 0;
}

/* ---- names ---- */

static struct control_name *
find_control(const struct session *s, const char *name)
{
	struct list_node *n;

	if (s->rare->control)
		LIST_EACH (n, &s->rare->control->names) {
			struct control_name *c = LIST_OBJ(n, struct control_name, node);

			if (strcmp(c->name, name) == 0)
				return c;
		}
	return NULL;
}

static void
drop_control(struct session *s, struct control_name *c)
{
	list_remove(&s->rare->control->names, &c->node);
	free(c->sql);
	free(c);
}

/* Forgets the oldest name. Its statement may still be there: if that may reset parameters, its text
 * is not known any more. */
static void
forget_oldest(struct session *s)
{
	struct control_name *c =
	    LIST_OBJ(list_first(&s->rare->control->names), struct control_name, node);

	s->context.resets_named |= c->sql != NULL;
	drop_control(s, c);
}

/* Takes ownership of `sql`. */
static void
add_control(struct session *s, const char *name, unsigned does, unsigned set, char *sql)
{
	struct control_name *c = mem_calloc(1, sizeof *c + strlen(name) + 1);

	if (s->rare->control == NULL) {
		session_rare(s)->control = mem_alloc(sizeof *s->rare->control);
		list_init(&s->rare->control->names);
	}
	strcpy(c->name, name);
	c->does = does;
	c->set = set;
	c->sql = sql;
	list_append(&s->rare->control->names, &c->node);
	if (s->rare->control->names.count > CONTROL_NAMES_MAX)
		forget_oldest(s);
}

static void
forget_controls(struct session *s)
{
	while (s->rare->control && s->rare->control->names.count > 0)
		forget_oldest(s);
}

void
control_text(struct session *s, unsigned set, const char *sql, size_t bytes)
{
	/* Behind these a name may be gone, or mean another statement. */
	if (set & (SQLCLASS_DEALLOCATE | SQLCLASS_DISCARD_ALL | SQLCLASS_OPAQUE))
		forget_controls(s);
	/* Without a text it is a statement of ours at the end of a scope. */
	if (sql)
		progress_note(&s->hold->lease.srv->progress, begins_or_ends(set, sql, bytes));
}

static void
note_prepared(struct session *s, const struct message *m)
{
	struct control_name *c;
	unsigned does;
	bool resets;

	if (m->sql == NULL)
		return;
	c = find_control(s, m->statement);
	does = begins_or_ends(m->effects.set, m->sql, m->sql_bytes);
	if (c)
		drop_control(s, c);
	resets = control_keeps_sql(m);
	if (does || resets)
		add_control(s, m->statement, does, m->effects.set,
			    resets ? mem_strndup(m->sql, m->sql_bytes) : NULL);
}

static void
note_closed(struct session *s, const struct message *m)
{
	struct control_name *c;

	if (s->rare->control == NULL || m->statement == NULL || !message_is_well_formed(m))
		return;
	c = find_control(s, m->statement);
	if (c)
		drop_control(s, c);
}

void
control_message(struct session *s, const struct message *m)
{
	struct progress *p = &s->hold->lease.srv->progress;
	const struct control_name *c;

	switch (m->type) {
	case 'Q':
		control_text(s, m->effects.set, m->sql, m->sql_bytes);
		return;
	case 'P':
		note_prepared(s, m);
		return;
	case 'B':
		c = m->statement ? find_control(s, m->statement) : NULL;
		progress_note(p, c && c->does ? c->does : PROGRESS_WORKS);
		return;
	case 'C':
		note_closed(s, m);
		return;
	default:
		return;
	}
}

bool
control_keeps_sql(const struct message *m)
{
	return (m->effects.set & CONTROL_RESETS) && message_is_whole(m) && m->sql_bytes <= SQL_MAX;
}

const char *
control_sql(const struct session *s, const char *name, unsigned *set)
{
	const struct control_name *c = find_control(s, name);

	*set = c ? c->set : 0;
	return c ? c->sql : NULL;
}

/* ---- the whole ---- */

void
control_free(struct session *s)
{
	forget_controls(s);
	if (s->rare->control == NULL)
		return;
	free(s->rare->control);
	s->rare->control = NULL;
}

void
control_pack(struct pack *p, struct session *s)
{
	uint32_t count = s->rare->control ? s->rare->control->names.count : 0;
	struct list_node *n = s->rare->control ? list_first(&s->rare->control->names) : NULL;

	PACK(p, count);
	for (uint32_t i = 0; i < count && !p->failed; i++) {
		struct control_name *c =
		    pack_reading(p) ? NULL : LIST_OBJ(n, struct control_name, node);
		char *name = c ? c->name : NULL;
		char *sql = c ? c->sql : NULL;
		unsigned does = c ? c->does : 0, set = c ? c->set : 0;

		pack_str(p, &name);
		pack_str(p, &sql);
		PACK(p, does);
		PACK(p, set);
		if (pack_reading(p)) {
			if (name)
				add_control(s, name, does, set, sql);
			else
				free(sql);
			free(name);
		} else {
			n = n->next;
		}
	}
}
