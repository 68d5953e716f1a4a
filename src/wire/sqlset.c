#include "wire/sqlset.h"

#include <string.h>

#include "wire/sqlname.h"

/* A statement that is read. */
struct walk {
	struct sqltext *text;
	struct sqltext_token *tok;
	struct sqlset *to;
};

static void
step(struct walk *w)
{
	sqltext_token(w->text, w->tok);
}

static struct sqltext_token
token_behind(const struct walk *w)
{
	struct sqltext ahead = *w->text;
	struct sqltext_token behind;

	sqltext_token(&ahead, &behind);
	return behind;
}

/* Is the token the name of a parameter, or its beginning, and no other word of SET or RESET? */
static bool
begins_name(const struct walk *w)
{
	struct sqltext_token behind = token_behind(w);

	return sqltext_is_char(&behind, '.') || sqltext_is_char(&behind, '=') ||
	       behind.word == SQLWORD_TO || behind.word == SQLWORD_FROM;
}

static bool
is_default(const struct walk *w)
{
	return sqltext_is_word(w->tok, "default");
}

static void
set_name(struct walk *w, const char *name)
{
	strcpy(w->to->name, name);
	w->to->length = (long)strlen(name);
}

/* Reads a name whose first token is at hand, and the token behind it. Returns its length, 0 if it
 * is none, -1 if it is not certain. */
static long
read_parts(struct walk *w)
{
	char *name = w->to->name;
	size_t used = 0;
	long n;

	for (;;) {
		if (w->tok->kind != SQLTEXT_NAME && w->tok->kind != SQLTEXT_QUOTED)
			return 0;
		n = sqlname_read(w->tok, w->text->flags, name + used, SQLSET_NAME - used);
		if (n < 0)
			return -1;
		used += (size_t)n;
		step(w);
		if (!sqltext_is_char(w->tok, '.') || used + 2 > SQLSET_NAME)
			return (long)used;
		name[used++] = '.';
		step(w);
	}
}

static bool
read_name(struct walk *w)
{
	w->to->length = read_parts(w);
	if (w->to->length <= 0)
		w->to->name[0] = 0;
	return w->to->length > 0;
}

/* The forms that have a word of their own for the parameter. False if it is none of them. */
static bool
read_special(struct walk *w)
{
	bool resets = false;

	if (begins_name(w))
		return false;
	if (sqltext_is_word(w->tok, "time")) {
		step(w);
		if (sqltext_is_word(w->tok, "zone"))
			step(w);
		set_name(w, "TimeZone");
		resets = is_default(w) || w->tok->word == SQLWORD_LOCAL;
	} else if (sqltext_is_word(w->tok, "names")) {
		step(w);
		set_name(w, "client_encoding");
		resets =
		    is_default(w) || w->tok->kind == SQLTEXT_END || w->tok->kind == SQLTEXT_SPLIT;
	} else if (sqltext_is_word(w->tok, "role")) {
		step(w);
		set_name(w, "role");
	} else if (sqltext_is_word(w->tok, "schema")) {
		step(w);
		set_name(w, "search_path");
	} else {
		return false;
	}
	w->to->does = resets ? SQLSET_RESETS : SQLSET_SETS;
	return true;
}

/* Behind SET. */
static void
read_set(struct walk *w)
{
	/* SET SESSION SESSION AUTHORIZATION is one, too. */
	while ((w->tok->word == SQLWORD_SESSION || w->tok->word == SQLWORD_LOCAL) &&
	       !begins_name(w)) {
		w->to->local |= w->tok->word == SQLWORD_LOCAL;
		step(w);
	}
	if (sqltext_is_word(w->tok, "authorization")) {
		step(w);
		set_name(w, "session_authorization");
		w->to->does = is_default(w) ? SQLSET_RESETS : SQLSET_SETS;
		return;
	}
	if (read_special(w) || !read_name(w))
		return;
	if (w->tok->word == SQLWORD_FROM) {
		w->to->does = SQLSET_SETS;
	} else if (sqltext_is_char(w->tok, '=') || w->tok->word == SQLWORD_TO) {
		step(w);
		w->to->does = is_default(w) ? SQLSET_RESETS : SQLSET_SETS;
	}
}

/* Behind RESET. */
static void
read_reset(struct walk *w)
{
	struct sqltext_token behind = token_behind(w);

	w->to->does = SQLSET_RESETS;
	if (w->tok->word == SQLWORD_ALL) {
		w->to->does = SQLSET_RESETS_ALL;
		step(w);
	} else if (w->tok->word == SQLWORD_SESSION && sqltext_is_word(&behind, "authorization")) {
		step(w);
		step(w);
		set_name(w, "session_authorization");
	} else if (sqltext_is_word(w->tok, "time") && sqltext_is_word(&behind, "zone")) {
		step(w);
		step(w);
		set_name(w, "TimeZone");
	} else if (!read_name(w)) {
		w->to->does = SQLSET_NOTHING;
	}
}

void
sqlset_read(struct sqltext *text, struct sqltext_token *tok, struct sqlset *to)
{
	struct walk w = {.text = text, .tok = tok, .to = to};
	bool sets = tok->word == SQLWORD_SET;

	to->does = SQLSET_NOTHING;
	to->local = false;
	to->length = 0;
	to->name[0] = 0;
	step(&w);
	if (sets)
		read_set(&w);
	else
		read_reset(&w);
}
