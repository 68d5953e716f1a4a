#include "scope/unitkind.h"

#include <ctype.h>
#include <strings.h>

#include "scope/transaction.h"
#include "scope/unitset.h"
#include "scope/unittemp.h"
#include "wire/sqlmodes.h"

/* Is it DECLARE ... WITH HOLD? */
static bool
is_holdable(const struct sqltext_stmt *s, unsigned flags)
{
	struct sqltext_token tok;
	struct sqltext text;
	bool with = false;

	sqltext_init(&text, s->start, s->length, flags);
	while (sqltext_token(&text, &tok) != SQLTEXT_END && !sqltext_is_word(&tok, "for")) {
		if (with && tok.word == SQLWORD_HOLD)
			return true;
		with = tok.word == SQLWORD_WITH;
	}
	return false;
}

/* Has it a name in it that could be that of a savepoint of the unit? One of a joined scope inside
 * of the unit is another one. Only what is about savepoints is
 * looked at. */
static bool
names_ours(const struct sqltext_stmt *s, const char *ours)
{
	return sqltext_mentions(s->start, s->length, ours) ||
	       sqltext_mentions(s->start, s->length, "u&\"");
}

/* Is its first word this one, of four letters, which SQLWORD_... lacks? */
static bool
begins_with(const struct sqltext_stmt *s, const char *word)
{
	return s->first[0] == SQLWORD_OTHER && s->length > 4 &&
	       strncasecmp(s->start, word, 4) == 0 && !isalnum((unsigned char)s->start[4]) &&
	       s->start[4] != '_';
}

static bool
is_lock(const struct sqltext_stmt *s)
{
	return begins_with(s, "lock");
}

bool
unitkind_copies(const struct sqltext_stmt *s)
{
	return begins_with(s, "copy");
}

/* Is it a SET TRANSACTION whose modes are understood? */
static bool
sets_modes(const struct sqltext_stmt *s)
{
	struct sqlmodes modes = {0};

	return s->first[0] == SQLWORD_SET && s->first[1] == SQLWORD_TRANSACTION &&
	       sqlmodes_read(s->start, s->length, &modes);
}

enum unitkind
unitkind_of(const struct sqltext_stmt *s, const struct unitkind_place *at)
{
	const enum sqltext_word *w = s->first;
	char table[UNITTEMP_NAME];

	switch (w[0]) {
	case SQLWORD_SAVEPOINT:
	case SQLWORD_RELEASE:
		if (names_ours(s, at->ours))
			return UNITKIND_REFUSED;
		return at->block ? UNITKIND_ORDINARY : UNITKIND_OUTSIDE;
	case SQLWORD_PREPARE:
		return w[1] == SQLWORD_TRANSACTION ? UNITKIND_REFUSED : UNITKIND_ORDINARY;
	case SQLWORD_LISTEN:
		return UNITKIND_REFUSED;
	case SQLWORD_DISCARD:
		return w[1] == SQLWORD_ALL && !at->block && at->alone ? UNITKIND_DISCARD
								      : UNITKIND_ORDINARY;
	case SQLWORD_DECLARE:
		return is_holdable(s, at->flags) ? UNITKIND_REFUSED
		       : at->block || !at->alone ? UNITKIND_ORDINARY
						 : UNITKIND_OUTSIDE;
	case SQLWORD_COMMIT:
		return w[1] == SQLWORD_PREPARED ? UNITKIND_REFUSED : UNITKIND_CONTROL;
	case SQLWORD_ROLLBACK:
		if (transaction_is(s))
			return UNITKIND_CONTROL;
		if (w[1] == SQLWORD_PREPARED || names_ours(s, at->ours))
			return UNITKIND_REFUSED;
		return at->block ? UNITKIND_ORDINARY : UNITKIND_OUTSIDE;
	case SQLWORD_SET:
		if (at->block && !at->failed && sets_modes(s))
			return UNITKIND_MODES;
		return unitset_each(s, at->flags, NULL, NULL) > 0 ? UNITKIND_SETS
								  : UNITKIND_ORDINARY;
	case SQLWORD_CREATE:
		if (unittemp_read(s, at->flags, table) == UNITTEMP_REFUSED)
			return UNITKIND_EMPTIES;
		return unitset_each(s, at->flags, NULL, NULL) > 0 ? UNITKIND_SETS
								  : UNITKIND_ORDINARY;
	default:
		if (transaction_is(s))
			return UNITKIND_CONTROL;
		if (is_lock(s))
			return at->block || !at->alone ? UNITKIND_ORDINARY : UNITKIND_OUTSIDE;
		return unitset_each(s, at->flags, NULL, NULL) > 0 ? UNITKIND_SETS
								  : UNITKIND_ORDINARY;
	}
}

bool
unitkind_may_differ(const struct sqltext_stmt *s, unsigned flags)
{
	char table[UNITTEMP_NAME];

	switch (s->first[0]) {
	case SQLWORD_SAVEPOINT:
	case SQLWORD_RELEASE:
	case SQLWORD_COMMIT:
	case SQLWORD_ROLLBACK:
	case SQLWORD_LISTEN:
	case SQLWORD_DECLARE:
		return true;
	case SQLWORD_PREPARE:
		return s->first[1] == SQLWORD_TRANSACTION;
	case SQLWORD_DISCARD:
		return s->first[1] == SQLWORD_ALL;
	case SQLWORD_SET:
		return s->first[1] == SQLWORD_TRANSACTION || unitset_each(s, flags, NULL, NULL) > 0;
	case SQLWORD_CREATE:
		return unittemp_read(s, flags, table) != UNITTEMP_NONE ||
		       unitset_each(s, flags, NULL, NULL) > 0;
	default:
		return transaction_is(s) || is_lock(s) || unitset_each(s, flags, NULL, NULL) > 0;
	}
}

bool
unitkind_any(const char *text, size_t bytes, unsigned flags)
{
	struct sqltext at;
	struct sqltext_stmt stmt;

	sqltext_init(&at, text, bytes, flags);
	while (sqltext_next(&at, &stmt))
		if (unitkind_may_differ(&stmt, flags))
			return true;
	return false;
}

bool
unitkind_is_noted(const char *text, size_t bytes, unsigned flags)
{
	struct sqltext at;
	struct sqltext_stmt stmt;

	sqltext_init(&at, text, bytes, flags);
	return (sqltext_next(&at, &stmt) && unitkind_copies(&stmt)) ||
	       unitkind_any(text, bytes, flags);
}

bool
unitkind_is_ours(const char *text, size_t bytes, unsigned flags, const char *ours)
{
	const struct unitkind_place at = {flags, true, false, true, ours};
	struct sqltext text_at;
	struct sqltext_stmt stmt;

	sqltext_init(&text_at, text, bytes, flags);
	while (sqltext_next(&text_at, &stmt)) {
		enum unitkind kind = unitkind_of(&stmt, &at);

		if (kind == UNITKIND_CONTROL || kind == UNITKIND_REFUSED ||
		    kind == UNITKIND_EMPTIES)
			return true;
	}
	return false;
}

bool
unitkind_is_single(const char *text, size_t bytes, unsigned flags)
{
	struct sqltext at;
	struct sqltext_stmt stmt;

	sqltext_init(&at, text, bytes, flags);
	return sqltext_next(&at, &stmt) && !sqltext_next(&at, &stmt);
}
