#include "scope/unittemp.h"

#include <string.h>

/* The name in double quotes. Returns false if it is too long, or not a plain one. */
static bool
copy_name(const struct sqltext_token *tok, char *name)
{
	size_t n = 0;

	if (tok->length + 3 > UNITTEMP_NAME)
		return false;
	if (tok->kind == SQLTEXT_QUOTED && tok->start[0] == '"') {
		memcpy(name, tok->start, tok->length);
		name[tok->length] = 0;
		return true;
	}
	if (tok->kind != SQLTEXT_NAME)
		return false;
	name[n++] = '"';
	for (size_t i = 0; i < tok->length; i++)
		name[n++] = sqltext_lower(tok->start[i]);
	name[n++] = '"';
	name[n] = 0;
	return true;
}

/* Behind CREATE: reads up to the name of a table, which is left in *tok. */
static bool
find_name(struct sqltext *text, struct sqltext_token *tok)
{
	struct sqltext behind;

	while (sqltext_accept(text, "local") || sqltext_accept(text, "global") ||
	       sqltext_accept(text, "temp") || sqltext_accept(text, "temporary"))
		;
	if (!sqltext_accept(text, "table"))
		return false;
	behind = *text;
	if (sqltext_accept(&behind, "if") && sqltext_accept(&behind, "not") &&
	    sqltext_accept(&behind, "exists"))
		*text = behind;
	sqltext_token(text, tok);
	if (sqltext_accept_char(text, '.'))
		sqltext_token(text, tok);
	return true;
}

enum unittemp
unittemp_read(const struct sqltext_stmt *stmt, unsigned flags, char name[UNITTEMP_NAME])
{
	struct sqltext text;
	struct sqltext_token tok;
	bool plain;

	if (stmt->first[0] != SQLWORD_CREATE ||
	    !sqltext_mentions(stmt->start, stmt->length, "commit"))
		return UNITTEMP_NONE;
	sqltext_init(&text, stmt->start, stmt->length, flags);
	sqltext_token(&text, &tok);
	if (!find_name(&text, &tok))
		return UNITTEMP_NONE;
	plain = copy_name(&tok, name);
	while (sqltext_token(&text, &tok) != SQLTEXT_END) {
		if (text.depth > 0 || !sqltext_is_word(&tok, "on") ||
		    !sqltext_accept(&text, "commit"))
			continue;
		if (sqltext_accept(&text, "drop"))
			return plain ? UNITTEMP_DROP : UNITTEMP_REFUSED;
		if (sqltext_accept(&text, "delete"))
			return UNITTEMP_REFUSED;
	}
	return UNITTEMP_NONE;
}

/* A string constant of what names the table. */
static void
add_literal(struct buf *sql, const char *name)
{
	buf_add_fmt(sql, " E'pg_temp.");
	for (; *name; name++) {
		if (*name == '\'' || *name == '\\')
			buf_add_u8(sql, (uint8_t)*name);
		buf_add_u8(sql, (uint8_t)*name);
	}
	buf_add_u8(sql, '\'');
}

void
unittemp_note(struct buf *sql, const char *prefix, unsigned number, const char *name)
{
	buf_add_fmt(sql, "SELECT pg_catalog.set_config('%s.v%u', coalesce(pg_catalog.to_regclass(",
		    prefix, number);
	add_literal(sql, name);
	buf_add_fmt(sql, ")::pg_catalog.oid::pg_catalog.text, 'none'), true)");
	buf_add_u8(sql, 0);
}

void
unittemp_drop(struct buf *sql, const char *prefix, unsigned number, const char *name)
{
	buf_add_fmt(sql,
		    "DO $%s$ DECLARE was pg_catalog.text := "
		    "coalesce(pg_catalog.current_setting('%s.v%u', true), ''); "
		    "made pg_catalog.oid := pg_catalog.to_regclass(",
		    prefix, prefix, number);
	add_literal(sql, name);
	buf_add_fmt(sql,
		    "); BEGIN IF pg_catalog.textne(was, '') AND made IS NOT NULL AND "
		    "pg_catalog.textne(was, made::pg_catalog.text) THEN "
		    "DROP TABLE pg_temp.%s CASCADE; END IF; END $%s$",
		    name, prefix);
	buf_add_u8(sql, 0);
}
