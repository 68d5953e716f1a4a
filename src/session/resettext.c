#include "session/resettext.h"

#include <string.h>
#include <strings.h>

#include "scope/unitset.h"
#include "wire/sqlset.h"
#include "wire/sqltext.h"

/* A walk over a text. */
struct walk {
	struct sqltext at;
	struct sqltext_token tok;
	struct buf *names;
	bool *local;
};

static void
next_token(struct walk *w)
{
	sqltext_token(&w->at, &w->tok);
}

static void
add_name(struct walk *w, const char *prefix, const char *name)
{
	buf_add_fmt(w->names, "%s%s", prefix, name);
	buf_add_u8(w->names, 0);
}

/* Reads what stands behind SET or RESET. */
static void
note_set(struct walk *w)
{
	struct sqlset set;

	sqlset_read(&w->at, &w->tok, &set);
	*w->local |= set.local;
	if (set.does == SQLSET_RESETS_ALL)
		add_name(w, "", "*");
	/* A name that begins with '*' or '-' is no parameter's, and would mean something else. */
	else if (set.does != SQLSET_NOTHING && set.length > 0 && strchr("*-", *set.name) == NULL)
		add_name(w, set.does == SQLSET_SETS ? "-" : "", set.name);
}

/* A call of set_config(). */
static void
note_call(void *arg, const char *name, bool local)
{
	if (name && strchr("*-\"", *name) == NULL)
		add_name(arg, "-", name);
}

static void
read_statement(struct walk *w, const struct sqltext_stmt *stmt, unsigned flags)
{
	sqltext_init(&w->at, stmt->start, stmt->length, flags);
	next_token(w);
	switch (stmt->first[0]) {
	case SQLWORD_RESET:
	case SQLWORD_SET:
		note_set(w);
		break;
	case SQLWORD_DISCARD:
		next_token(w);
		if (w->tok.word == SQLWORD_ALL) {
			add_name(w, "", "*");
			add_name(w, "", "session_authorization");
		}
		break;
	default:
		unitset_each(stmt, flags, note_call, w);
		break;
	}
}

void
resettext_read(const char *sql, size_t bytes, unsigned flags, struct buf *names, bool *local)
{
	struct walk w = {.names = names, .local = local};
	struct sqltext_stmt stmt;
	struct sqltext at;

	sqltext_init(&at, sql, bytes, flags);
	while (sqltext_next(&at, &stmt))
		read_statement(&w, &stmt, flags);
}

bool
resettext_resets_any(const struct buf *names)
{
	const char *at = (const char *)buf_data(names), *end = at + names->len;

	for (; at < end; at += strlen(at) + 1)
		if (*at != '-')
			return true;
	return false;
}

bool
resettext_may_set_null(const struct message *m, const char *sql, size_t bytes)
{
	return sqltext_mentions(sql, bytes, "null") ||
	       (memchr(sql, '$', bytes) != NULL &&
		!(m && m->type == 'B' && message_has_no_null(m)));
}

bool
resettext_was_reset(const struct buf *names, const char *name)
{
	bool is_reset = false, role = strcasecmp(name, "role") == 0;
	const char *at = (const char *)buf_data(names), *end = at + names->len;

	for (; at < end; at += strlen(at) + 1) {
		bool set = *at == '-';
		const char *what = at + set;

		if (strcmp(at, "*") == 0 && !role && strcasecmp(name, "session_authorization") != 0)
			is_reset = true;
		/* SET SESSION AUTHORIZATION sets the role too. */
		else if (strcasecmp(what, name) == 0 ||
			 (role && strcasecmp(what, "session_authorization") == 0))
			is_reset = !set;
	}
	return is_reset;
}
