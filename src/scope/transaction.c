#include "scope/transaction.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"

bool
transaction_is(const struct sqltext_stmt *s)
{
	const enum sqltext_word *w = s->first;

	switch (*w++) {
	case SQLWORD_BEGIN:
	case SQLWORD_START:
	case SQLWORD_END:
	case SQLWORD_ABORT:
		return true;
	case SQLWORD_COMMIT:
		return *w != SQLWORD_PREPARED;
	case SQLWORD_ROLLBACK:
		if (*w == SQLWORD_WORK || *w == SQLWORD_TRANSACTION)
			w++;
		return *w != SQLWORD_PREPARED && *w != SQLWORD_TO;
	default:
		return false;
	}
}

static bool
is_keyword(const struct sqltext_token *t, const char *word)
{
	return t->kind == SQLTEXT_NAME && t->length == strlen(word) &&
	       strncasecmp(t->start, word, t->length) == 0;
}

/* Reads the next token if it is this word, which is in lower case; else the text stays where it
 * is. */
static bool
accept_word(struct sqltext *at, const char *word)
{
	struct sqltext ahead = *at;
	struct sqltext_token t;

	sqltext_token(&ahead, &t);
	if (!is_keyword(&t, word))
		return false;
	*at = ahead;
	return true;
}

static bool
nothing_follows(struct sqltext at)
{
	struct sqltext_token t;

	while (sqltext_token(&at, &t) == SQLTEXT_SPLIT)
		;
	return t.kind == SQLTEXT_END && !at.unterminated;
}

static bool
read_level(struct sqltext *at)
{
	if (!accept_word(at, "level"))
		return false;
	if (accept_word(at, "serializable"))
		return true;
	if (accept_word(at, "repeatable"))
		return accept_word(at, "read");
	return accept_word(at, "read") &&
	       (accept_word(at, "committed") || accept_word(at, "uncommitted"));
}

static bool
read_mode(struct sqltext *at)
{
	if (accept_word(at, "isolation"))
		return read_level(at);
	if (accept_word(at, "read"))
		return accept_word(at, "only") || accept_word(at, "write");
	if (accept_word(at, "not"))
		return accept_word(at, "deferrable");
	return accept_word(at, "deferrable");
}

static bool
accept_comma(struct sqltext *at)
{
	struct sqltext ahead = *at;
	struct sqltext_token t;

	if (sqltext_token(&ahead, &t) != SQLTEXT_PUNCT || *t.start != ',')
		return false;
	*at = ahead;
	return true;
}

/* Reads the modes, and keeps their text as it is written. */
static bool
read_modes(struct sqltext *at, struct grammar *g)
{
	const char *start = at->at;

	if (nothing_follows(*at))
		return true;
	do {
		if (!read_mode(at))
			return false;
		accept_comma(at);
	} while (!nothing_follows(*at));
	/* A comma at the end has no mode behind it. */
	if (at->at[-1] == ',')
		return false;
	g->modes = mem_strndup(start, (size_t)(at->at - start));
	return true;
}

static bool
read_chain(struct sqltext *at, struct grammar *g)
{
	if (!accept_word(at, "and"))
		return true;
	if (accept_word(at, "no"))
		return accept_word(at, "chain");
	g->chain = true;
	return accept_word(at, "chain");
}

static bool
read_statement(struct sqltext *at, struct grammar *g)
{
	if (accept_word(at, "start")) {
		g->start = true;
		return accept_word(at, "transaction") && read_modes(at, g);
	}
	if (accept_word(at, "begin")) {
		if (!accept_word(at, "work"))
			accept_word(at, "transaction");
		return read_modes(at, g);
	}
	if (accept_word(at, "commit") || accept_word(at, "end"))
		g->verb = GRAMMAR_COMMIT;
	else if (accept_word(at, "rollback") || accept_word(at, "abort"))
		g->verb = GRAMMAR_ROLLBACK;
	else
		return false;
	if (!accept_word(at, "work"))
		accept_word(at, "transaction");
	return read_chain(at, g);
}

struct grammar *
transaction_parse(const char *text, size_t bytes, unsigned flags)
{
	struct grammar *g = mem_calloc(1, sizeof *g);
	struct sqltext at;

	g->verb = GRAMMAR_BEGIN;
	/* The executor enters a BEGIN as if it were the only item of an ENTER. */
	g->nitems = 1;
	g->items = mem_calloc(1, sizeof *g->items);
	sqltext_init(&at, text, bytes, flags);
	if (read_statement(&at, g) && nothing_follows(at))
		return g;
	grammar_free(g);
	return NULL;
}
