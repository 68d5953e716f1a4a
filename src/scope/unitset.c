#include "scope/unitset.h"

#include <string.h>

#include "wire/sqlset.h"

#define TOKENS_MAX 200 /* of a call of set_config(), behind its name */

/* Copies the text of a plain string constant. Returns false if it is none, or too long. */
static bool
read_constant(const struct sqltext_token *tok, char *out, size_t size)
{
	const char *at = tok->start + 1, *end = tok->start + tok->length - 1;
	size_t n = 0;

	if (tok->kind != SQLTEXT_STRING || tok->length < 2 || tok->start[0] != '\'')
		return false;
	for (; at < end && n + 1 < size; at++) {
		if (*at == '\\')
			return false;
		if (*at == '\'')
			at++;
		out[n++] = *at;
	}
	out[n] = 0;
	return n > 0 && at >= end;
}

/* Behind the name set_config: reads the call. Returns true if it names the parameter. If the
 * end of a call is not found, or is far away, the call is `lost`, and so are those behind it, as
 * there may be many: a lost one counts as local, which keeps the value from before. */
static bool
read_call(struct sqltext *text, char *name, size_t size, bool *local, bool *lost)
{
	struct sqltext_token tok, last = {0}, before = {0};
	unsigned depth = 1, count = 0;

	sqltext_token(text, &tok);
	if (!sqltext_is_char(&tok, '('))
		return false;
	sqltext_token(text, &tok);
	if (!read_constant(&tok, name, size))
		return false;
	sqltext_token(text, &tok);
	/* Otherwise the name is an expression. */
	if (!sqltext_is_char(&tok, ','))
		return false;
	last = tok;
	*local = true;
	if (*lost)
		return true;
	while (depth > 0 && count++ < TOKENS_MAX && sqltext_token(text, &tok) != SQLTEXT_END) {
		if (sqltext_is_char(&tok, '(')) {
			depth++;
		} else if (sqltext_is_char(&tok, ')') && --depth == 0) {
			break;
		}
		before = last;
		last = tok;
	}
	*lost = depth > 0;
	if (count <= TOKENS_MAX)
		*local = depth == 0 && last.word == SQLWORD_TRUE && sqltext_is_char(&before, ',');
	return true;
}

static unsigned
each_call(const struct sqltext_stmt *stmt, unsigned flags, unitset_fn *each, void *arg)
{
	struct sqltext text;
	struct sqltext_token tok;
	char name[SQLSET_NAME];
	unsigned count = 0;
	bool local, lost = false;

	if (!sqltext_mentions(stmt->start, stmt->length, "set_config"))
		return 0;
	sqltext_init(&text, stmt->start, stmt->length, flags);
	while (sqltext_token(&text, &tok) != SQLTEXT_END) {
		struct sqltext behind = text;

		if (tok.word != SQLWORD_SET_CONFIG ||
		    !read_call(&behind, name, sizeof name, &local, &lost))
			continue;
		count++;
		if (each)
			each(arg, name, local);
	}
	return count;
}

unsigned
unitset_each(const struct sqltext_stmt *stmt, unsigned flags, unitset_fn *each, void *arg)
{
	struct sqltext text;
	struct sqltext_token tok;
	struct sqlset set;

	if (stmt->first[0] != SQLWORD_SET && stmt->first[0] != SQLWORD_RESET)
		return each_call(stmt, flags, each, arg);
	sqltext_init(&text, stmt->start, stmt->length, flags);
	sqltext_token(&text, &tok);
	sqlset_read(&text, &tok, &set);
	if (set.does == SQLSET_NOTHING || (set.does != SQLSET_RESETS_ALL && set.length <= 0))
		return 0;
	if (each)
		each(arg, set.does == SQLSET_RESETS_ALL ? NULL : set.name, set.local);
	return 1;
}
